"""The page of one or several evaluations: recalls, errors, similarities, a map, misses, and two models compared."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from datasets.positives import chance_recalls
from datasets.test_dataset import TestDataset
from report import curves
from report.page import lettered, packed, write_page
from report.thumbnails import thumbnail
from report.training import best_epochs, training_data
from retrieval.recalls import paired_difference
from test import TestResult

MAP_POINTS = 100_000  # database positions drawn; more are merged by cells
_MISSES, _PREDICTIONS = 12, 3  # shown as pictures: misses an evaluation, predictions a miss


@dataclass
class Evaluation:
    """One model on one test set."""

    name: str  # of the test set; evaluations with one name share the dataset
    model: str
    dataset: TestDataset
    result: TestResult


def write_report(
    path: str,
    evaluations: list[Evaluation],
    settings: Iterable[tuple[str, str]] = (),
    runs: dict[str, dict] | None = None,
    seed: int = 0,
) -> None:
    """Writes the page of evaluations, one self-contained HTML file.

    path: of the page
    evaluations: the model of the first one is compared with each other model on the same test set
    settings: pairs (label, value), shown as they are
    runs: {name: columns} of training runs, as report.training.read_metrics gives them
    seed: of the paired bootstrap

    Raises UserError if Jinja2 is missing or the disk refuses.
    """
    letters = lettered(dict.fromkeys(evaluation.model for evaluation in evaluations))
    models, names = list(letters), list(dict.fromkeys(evaluation.name for evaluation in evaluations))
    evaluations = sorted(
        evaluations, key=lambda evaluation: (names.index(evaluation.name), models.index(evaluation.model))
    )
    maps, parts = {}, []
    for evaluation in evaluations:
        if evaluation.name not in maps:
            maps[evaluation.name] = _map(evaluation)
        label = evaluation.name if len(models) == 1 else f"{evaluation.name}, {letters[evaluation.model]}"
        parts.append(_part(evaluation, label, names.index(evaluation.name), models.index(evaluation.model)))
    comparisons = list(_comparisons(evaluations, letters, seed))
    galleries = [
        {"label": evaluation.name, **_misses(evaluation)} for evaluation in evaluations if evaluation.model == models[0]
    ]
    data = {
        "parts": [part.pop("data") for part in parts],
        "maps": list(maps.values()),
        "training": training_data(runs or {}),
        "comparisons": [comparison["parts"] for comparison in comparisons],
    }
    write_page(
        path,
        "evaluation.html",
        title="Place recognition test",
        letters=letters,
        parts=parts,
        data=data,
        comparisons=comparisons,
        galleries=galleries,
        settings=list(settings),
        runs=best_epochs(runs or {}),
        threshold=_thresholds(evaluations),
    )


def _thresholds(evaluations: list[Evaluation]) -> str:
    return " and ".join(
        f"{metres:g}" for metres in sorted({evaluation.dataset.positive_dist_threshold for evaluation in evaluations})
    )


def _part(evaluation: Evaluation, label: str, set_index: int, model_index: int) -> dict:
    """What the page shows of one evaluation: words and rows for the template, and "data" for the charts."""
    dataset, result = evaluation.dataset, evaluation.result
    metres = curves.errors(dataset, result)
    n, recalls, intervals = curves.recall_at_n(dataset, result)
    distances, within = curves.recall_at_distance(metres, dataset.positive_dist_threshold)
    edges, shares = curves.error_histogram(metres[:, 0], dataset.positive_dist_threshold)
    data = {
        "label": label,
        "set": set_index,
        "model": model_index,
        "threshold": dataset.positive_dist_threshold,
        "at_n": {
            "n": n.tolist(),
            "recall": _rounded(recalls),
            "low": _rounded(intervals[:, 0]),
            "high": _rounded(intervals[:, 1]),
            "chance": _rounded(chance_recalls(list(map(len, dataset.positives_per_query)), len(dataset.database), n)),
        },
        "at_distance": {
            "metres": _rounded(distances),
            "recall": {str(n): _rounded(values) for n, values in within.items()},
        },
        "errors": {"edges": edges.tolist(), "shares": _rounded(shares)},
    }
    similarity, confident = curves.similarities(result), None
    if similarity is not None:
        thresholds, precision, recall = curves.precision_recall(similarity, result.found[:, 0])
        confident = curves.recall_at_full_precision(precision, recall)
        if len(thresholds):
            thresholds, precision, recall = curves.thinned(thresholds, precision, recall)
        data["similarity"] = {
            "threshold": _rounded(thresholds),
            "precision": _rounded(precision),
            "recall": _rounded(recall),
        }
    data["queries"] = _query_data(evaluation, metres[:, 0], similarity)
    return {
        "label": label,
        "data": data,
        "rows": _recall_rows(result),
        "queries": len(result.found),
        "few": result.few,
        "database": result.num_database,
        "without": result.num_without_positives,
        "confident": confident,
        "median": _metres(np.median(metres[:, 0])),
        "unreadable": unreadable_images(dataset, result),
    }


def _recall_rows(result: TestResult) -> list[dict]:
    """For each recall value, in percent: n, the recall, its interval, chance, and that of queries with positives."""
    return [
        {
            "n": n,
            "recall": float(recall),
            "low": float(low),
            "high": float(high),
            "chance": float(chance),
            "with_positives": None if np.isnan(with_positives) else float(with_positives),
        }
        for n, recall, (low, high), chance, with_positives in zip(
            result.recall_values,
            result.recalls,
            result.intervals,
            result.chance,
            result.recalls_with_positives,
            strict=True,
        )
    ]


def unreadable_images(dataset: TestDataset, result: TestResult) -> dict:
    """{"count", "first"}: the first images that could not be read, with reasons, and how many there are."""
    named = [
        (images.path(index), reason)
        for images, unreadable in (
            (dataset.queries, result.unreadable_queries),
            (dataset.database, result.unreadable_database),
        )
        for index, reason in sorted(unreadable.items())
    ]
    return {"count": len(named), "first": named[:20]}


def _query_data(evaluation: Evaluation, first_errors: np.ndarray, similarity: np.ndarray | None) -> dict:
    """Each query's first prediction, for the map: arrays in the order of the queries, and the names they point to."""
    dataset, predicted = evaluation.dataset, evaluation.result.predictions[:, 0]
    shown, rows = np.unique(predicted[predicted >= 0], return_inverse=True)
    pointers = np.full(len(predicted), -1)
    pointers[predicted >= 0] = rows
    origin = _origin(dataset)
    return {
        "rank": packed(curves.first_right(dataset, evaluation.result), "u2"),
        "predicted": packed(pointers, "i4"),
        "metres": packed(np.nan_to_num(first_errors, posinf=-1), "f4"),
        "similarity": None if similarity is None else packed(np.nan_to_num(similarity, neginf=-2), "f4"),
        "names": [dataset.database.names[index] for index in shown.tolist()],
        "positions": packed(dataset.database_utms[shown] - origin, "f4"),
    }


def _map(evaluation: Evaluation) -> dict:
    """A test set's positions in metres from a corner: float32 keeps centimetres up to 100 km."""
    dataset, origin = evaluation.dataset, _origin(evaluation.dataset)
    database, cell = curves.merged_positions(dataset.database_utms - origin, MAP_POINTS)
    return {
        "name": evaluation.name,
        "origin": origin.tolist(),
        "cell": cell,
        "database": packed(database, "f4"),
        "queries": packed(dataset.queries_utms - origin, "f4"),
        "names": list(dataset.queries.names),
        "has_positives": packed([len(positives) > 0 for positives in dataset.positives_per_query], "u1"),
    }


def _origin(dataset: TestDataset) -> np.ndarray:
    return np.floor(np.minimum(dataset.database_utms.min(axis=0), dataset.queries_utms.min(axis=0)))


def _comparisons(evaluations: list[Evaluation], letters: dict[str, str], seed: int) -> Iterator[dict]:
    """Compares the first model with each other one, on each test set that both were tested on."""
    reference = next(iter(letters))
    first = {evaluation.name: index for index, evaluation in enumerate(evaluations) if evaluation.model == reference}
    for index, other in enumerate(evaluations):
        if other.model == reference or other.name not in first:
            continue
        one = evaluations[first[other.name]].result
        difference = paired_difference(one.found, other.result.found, seed)
        rows = [
            {
                "n": n,
                "recall": float(one.recalls[row]),
                "other": float(other.result.recalls[row]),
                "difference": float(difference.values[row]),
                "low": float(difference.intervals[row, 0]),
                "high": float(difference.intervals[row, 1]),
                "won": int(difference.won[row]),
                "lost": int(difference.lost[row]),
                "p": float(difference.p[row]),
            }
            for row, n in enumerate(one.recall_values)
        ]
        yield {
            "name": other.name,
            "model": letters[reference],
            "other": letters[other.model],
            "few": one.few,
            "rows": rows,
            "parts": [first[other.name], index],
        }


def _misses(evaluation: Evaluation) -> dict:
    """The misses with the most similar first predictions, as pictures.

    Queries without positives, or without predictions, are skipped.
    """
    dataset, result = evaluation.dataset, evaluation.result
    has_positives = np.array([len(positives) > 0 for positives in dataset.positives_per_query])
    missed = np.flatnonzero(~result.found[:, 0] & has_positives & (result.predictions[:, 0] >= 0))
    similarity = curves.similarities(result)
    if similarity is not None:
        missed = missed[np.argsort(-similarity[missed], kind="stable")]
    ranks = curves.first_right(dataset, result)
    return {
        "total": len(missed),
        "misses": [_miss(dataset, result, query, int(ranks[query])) for query in missed[:_MISSES].tolist()],
    }


def _miss(dataset: TestDataset, result: TestResult, query: int, rank: int) -> dict:
    """A query, its first predictions, and the positive that was found first (if none was, the nearest one)."""
    positives = dataset.positives_per_query[query]

    def image(index: int, caption: str, right: bool) -> dict:
        metres = np.linalg.norm(dataset.database_utms[index] - dataset.queries_utms[query])
        return {
            "name": dataset.database.names[index],
            "caption": caption,
            "metres": _metres(metres),
            "right": right,
            "picture": thumbnail(dataset.database.path(index)),
            "similarity": None,
        }

    shown = []
    for position, index in enumerate(result.predictions[query, :_PREDICTIONS].tolist()):
        if index >= 0:
            shown.append(image(index, f"Prediction {position + 1}", bool(np.isin(index, positives))))
            if result.distances is not None:
                shown[-1]["similarity"] = 1 - float(result.distances[query, position]) / 2
    if not rank or rank > _PREDICTIONS:
        nearest = np.linalg.norm(dataset.database_utms[positives] - dataset.queries_utms[query], axis=1).argmin()
        index = int(result.predictions[query, rank - 1] if rank else positives[nearest])
        shown.append(
            image(
                index,
                f"Right, at rank {rank}" if rank else f"Right, not in the first {result.predictions.shape[1]}",
                True,
            )
        )
    return {"name": dataset.queries.names[query], "picture": thumbnail(dataset.queries.path(query)), "shown": shown}


def _metres(value: float) -> str:
    """A distance as the page shows it; "none" for an infinite one."""
    if np.isinf(value):
        return "none"
    return f"{value / 1000:.1f} km" if value >= 1000 else f"{value:.0f} m" if value >= 10 else f"{value:.1f} m"


def _rounded(values: np.ndarray, digits: int = 4) -> list:
    return np.round(np.asarray(values, np.float64), digits).tolist()
