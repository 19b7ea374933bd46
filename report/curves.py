"""The numbers behind the page's charts, from a TestResult and its TestDataset."""

from collections.abc import Sequence

import numpy as np

from datasets.test_dataset import TestDataset
from retrieval.recalls import bootstrap_intervals, found_at
from test import TestResult

MAX_N = 100
_DISTANCES = 101  # points along the axis of distances
_EDGES = (5, 10, 25, 50, 100, 250, 500, 1000)  # metres
_MAX_POINTS = 400  # of a precision-recall curve


def recall_at_n(dataset: TestDataset, result: TestResult) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n int (k,), recalls (k,), intervals (k, 2)): recall@n in percent for every n up to MAX_N, with 95% intervals:
    the result's own where it has them.
    """
    values = np.arange(1, min(MAX_N, result.predictions.shape[1]) + 1)
    found = found_at(result.predictions, dataset.positives_per_query, values)
    intervals = bootstrap_intervals(found)
    for n, interval in zip(result.recall_values, result.intervals, strict=True):
        intervals[values == n] = interval
    return values, 100 * found.mean(axis=0), intervals


def first_right(dataset: TestDataset, result: TestResult) -> np.ndarray:
    """The rank, from 1, of each query's first right prediction: int (q,), 0 if none is right."""
    found = found_at(result.predictions, dataset.positives_per_query, np.arange(1, result.predictions.shape[1] + 1))
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1, 0)


def errors(dataset: TestDataset, result: TestResult) -> np.ndarray:
    """Metres from each query to each of its predictions: float64 (q, k), infinite for none."""
    apart = dataset.database_utms[result.predictions] - dataset.queries_utms[:, None]
    return np.where(result.predictions < 0, np.inf, np.linalg.norm(apart, axis=2))


def recall_at_distance(
    metres: np.ndarray, threshold: float, values: Sequence[int] = (1, 5, 10)
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """(distances (d,), {n: recalls (d,)}): recall@n in percent if a prediction within that distance is right.

    metres: as of errors(); threshold: metres, one of the distances.
    """
    distances = np.union1d(np.linspace(0, max(100, 4 * threshold), _DISTANCES), threshold)
    nearest = {n: np.sort(metres[:, :n].min(axis=1)) for n in values}
    return distances, {
        n: 100 * np.searchsorted(ordered, distances, side="right") / len(metres) for n, ordered in nearest.items()
    }


def error_histogram(first_errors: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """(edges (b,), shares (b + 2,)): the percentage of queries whose first prediction is off by at most edges[0]
    metres, by more than edges[i - 1] and at most edges[i], by more than the last, and of those without a prediction.
    """
    edges = np.union1d([edge for edge in _EDGES], [threshold])
    counts = np.bincount(np.searchsorted(edges, first_errors), minlength=len(edges) + 1)
    missing = np.count_nonzero(np.isinf(first_errors))
    counts[-1] -= missing
    return edges, 100 * np.append(counts, missing) / len(first_errors)


def similarities(result: TestResult) -> np.ndarray | None:
    """Cosine similarity of each query to its first prediction: float64 (q,), -inf without one; None if distances are
    not known. Of unit vectors: 1 - |a - b|^2 / 2.
    """
    return None if result.distances is None else 1 - result.distances[:, 0].astype(np.float64) / 2


def precision_recall(similarity: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(thresholds, precision, recall), each (p,): if only queries whose first prediction is at least that similar are
    answered, precision is the share of right answers and recall the share of all queries that are answered rightly,
    both in percent. The last recall is recall@1. Without any prediction p is 0.

    similarity: float (q,), -inf for no prediction; right: bool (q,).
    """
    order = np.argsort(-similarity, kind="stable")
    order = order[np.isfinite(similarity[order])]
    thresholds, answers = similarity[order], np.cumsum(right[order])
    ends = (
        np.flatnonzero(np.append(thresholds[1:] != thresholds[:-1], True)) if len(order) else order
    )  # of equal similarities the last
    return thresholds[ends], 100 * answers[ends] / (ends + 1), 100 * answers[ends] / len(right)


def recall_at_full_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """The largest recall, in percent, at which all answers are right; 0 if there is none."""
    return float(recall[precision == 100].max(initial=0))


def thinned(*arrays, limit: int = _MAX_POINTS) -> list[np.ndarray]:
    """At most `limit` rows of arrays of one length, evenly chosen, the first and the last among them."""
    rows = np.unique(np.linspace(0, len(arrays[0]) - 1, min(limit, len(arrays[0]))).round().astype(int))
    return [array[rows] for array in arrays]


def merged_positions(positions: np.ndarray, limit: int) -> tuple[np.ndarray, int]:
    """(positions (m, 2) with m at most limit, the side of the cells that were merged to get there, metres; 0 if none
    were).
    """
    merged, side = np.unique(positions, axis=0), 0
    while len(merged) > limit:
        side = 2 * side or 1
        merged = np.unique(np.round(positions / side), axis=0) * side
    return merged, side
