"""The numbers behind the page's charts, from a test set and the result of its test."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.neighbors import KDTree

from datasets.positives import heading_differences
from datasets.test_dataset import TestDataset
from retrieval.recalls import found_at, percent, recall_intervals, wilson_intervals
from test import TestResult

MAX_N = 100
_DISTANCES = 101  # points along the axis of distances
_REACHES = 200  # points along the logarithmic axis of errors
_MAX_POINTS = 400  # of a precision-recall curve


def recall_at_n(dataset: TestDataset, result: TestResult) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall@n in percent for every n up to MAX_N, with 95% intervals.

    Returns (n int (k,), recalls (k,), intervals (k, 2)).
    """
    values = np.arange(1, min(MAX_N, result.predictions.shape[1]) + 1)
    found = found_at(result.predictions, dataset.positives_per_query, values)
    return values, percent(found), recall_intervals(found)


def first_right(dataset: TestDataset, result: TestResult) -> np.ndarray:
    """The rank, from 1, of each query's first right prediction: int (q,); 0: no prediction is right."""
    found = found_at(result.predictions, dataset.positives_per_query, np.arange(1, result.predictions.shape[1] + 1))
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1, 0)


def errors(dataset: TestDataset, result: TestResult) -> np.ndarray:
    """Metres from each query to each of its predictions: float64 (q, k); infinite: no prediction."""
    apart = dataset.database_utms[result.predictions] - dataset.queries_utms[:, None]
    return np.where(result.predictions < 0, np.inf, np.linalg.norm(apart, axis=2))


def recall_at_distance(
    metres: np.ndarray, threshold: float, values: Sequence[int] = (1, 5, 10)
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Recall@n in percent if predictions within a distance count as right, for many distances.

    metres: as of errors; threshold: metres, one of the distances; values: of n.
    Returns (distances (d,), {n: recalls (d,)}).
    """
    distances = np.union1d(np.linspace(0, max(100, 4 * threshold), _DISTANCES), threshold)
    nearest = {n: np.sort(metres[:, :n].min(axis=1)) for n in values}
    return distances, {
        n: 100 * np.searchsorted(ordered, distances, side="right") / len(metres) for n, ordered in nearest.items()
    }


def cumulative_errors(first_errors: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The share of queries, in percent, whose first prediction is within a distance, for distances from 1 m up.

    first_errors: float64 (q,), metres; infinite: no prediction, which is within no distance; threshold: metres, one of
    the distances. Returns (distances (d,), shares (d,)); the last distance holds all predictions.
    """
    ordered = np.sort(first_errors)
    farthest = ordered[np.isfinite(ordered)].max(initial=max(10, 2 * threshold))
    distances = np.union1d(np.geomspace(1, farthest, _REACHES), threshold)
    return distances, 100 * np.searchsorted(ordered, distances, side="right") / len(ordered)


def with_right_headings(dataset: TestDataset, result: TestResult, metres: np.ndarray) -> np.ndarray:
    """The metres of errors(), infinite for predictions that look another way than the test allows."""
    if dataset.headings is None:
        return metres
    database, queries = dataset.headings
    turned = heading_differences(database[result.predictions], queries[:, None])
    return np.where(turned <= dataset.positive_heading_threshold, metres, np.inf)


def chance_at_distance(dataset: TestDataset, distances: np.ndarray) -> np.ndarray | None:
    """Recall@1 in percent of random predictions if those within a distance count as right; None if headings matter."""
    if dataset.headings is not None:
        return None
    pairs = KDTree(dataset.database_utms).two_point_correlation(dataset.queries_utms, distances)
    return 100 * pairs / (len(dataset.queries) * len(dataset.database))


def similarities(result: TestResult) -> np.ndarray | None:
    """Cosine similarity of each query to its first prediction: float64 (q,); -inf: no prediction; None: not known."""
    return None if result.similarities is None else result.similarities[:, 0]


def precision_recall(similarity: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision and recall if only queries with similar first predictions are answered, for each threshold.

    Precision is the share of right answers; recall is the share of all queries that get a right answer. Both are in
    percent. The last recall is recall@1.

    similarity: float (q,); -inf: no prediction; right: bool (q,).
    Returns (thresholds, precision, recall), each (p,); p is 0 if there are no predictions.
    """
    order = np.argsort(-similarity, kind="stable")
    order = order[np.isfinite(similarity[order])]
    thresholds, answers = similarity[order], np.cumsum(right[order])
    # of equal similarities, the last
    ends = np.flatnonzero(np.append(thresholds[1:] != thresholds[:-1], True)) if len(order) else order
    return thresholds[ends], 100 * answers[ends] / (ends + 1), 100 * answers[ends] / len(right)


def recall_at_full_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """The largest recall, in percent, at which all answers are right (R@100P); 0 if some are always wrong."""
    return float(recall[precision == 100].max(initial=0))


class Acceptance(NamedTuple):
    """What comes of it if only first predictions of a similarity or more are accepted."""

    threshold: float  # the similarity
    accepted: int  # queries
    precision: float  # percent of these whose first prediction is right
    low: float  # of its 95% interval, Wilson's
    high: float
    recall: float  # percent of all queries that are accepted and right


def acceptance(result: TestResult, precision: float) -> Acceptance | None:
    """The lowest threshold of similarity at which a share of the accepted first predictions is right.

    result: of a test with positions
    precision: the wanted share, 0 to 1

    None if no threshold has it, or if similarities are not known.
    """
    similarity = similarities(result)
    if similarity is None:
        return None
    thresholds, precisions, recalls = precision_recall(similarity, result.found[:, 0])
    enough = np.flatnonzero(precisions >= 100 * precision - 1e-9)
    if not len(enough):
        return None
    last = enough[-1]
    accepted = int((similarity >= thresholds[last]).sum())
    low, high = 100 * wilson_intervals(precisions[last] / 100, accepted)
    return Acceptance(
        float(thresholds[last]), accepted, float(precisions[last]), float(low), float(high), float(recalls[last])
    )


def describe_acceptance(found: Acceptance | None, precision: float, queries: int) -> str:
    """A sentence on what acceptance() found for a wanted precision, of so many queries."""
    if found is None:
        return f"No threshold of similarity makes {100 * precision:g} % of the accepted first predictions right"
    return (
        f"Of first predictions with a similarity of at least {found.threshold:.4f}, {found.precision:.1f} % are right "
        f"({found.low:.1f} to {found.high:.1f}): {found.accepted} of {queries} queries, {found.recall:.1f} % of all "
        "queries right"
    )


def thinned(*arrays, limit: int = _MAX_POINTS) -> list[np.ndarray]:
    """At most `limit` rows of arrays of one length, evenly spaced, with the first and the last."""
    rows = np.unique(np.linspace(0, len(arrays[0]) - 1, min(limit, len(arrays[0]))).round().astype(int))
    return [array[rows] for array in arrays]


def merged_positions(positions: np.ndarray, limit: int) -> tuple[np.ndarray, int]:
    """Merges positions into cells until at most `limit` are left.

    Returns (positions (m, 2), the side of the cells in metres; 0: equal positions alone were merged).
    """
    merged, side = np.unique(positions, axis=0), 0
    while len(merged) > limit:
        side = 2 * side or 1
        merged = np.unique(np.round(positions / side), axis=0) * side
    return merged, side
