"""Pictures of queries beside their first predictions: misses, and right answers."""

import numpy as np

from datasets.positives import heading_differences
from datasets.test_dataset import TestDataset
from report import curves, texts
from report.thumbnails import thumbnail
from test import TestResult

_MISSES, _RIGHT = 12, 4  # queries shown of an evaluation
_PREDICTIONS = 3  # shown of a query


def misses(dataset: TestDataset, result: TestResult) -> dict:
    """The misses with the most similar first predictions: {"total", "shown": queries with pictures}.

    Queries without positives, or without predictions, are skipped.
    """
    has_positives = np.array([len(positives) > 0 for positives in dataset.positives_per_query])
    missed = np.flatnonzero(~result.found[:, 0] & has_positives & (result.predictions[:, 0] >= 0))
    missed = missed[_most_similar_first(result, missed)]
    return _pictured(dataset, result, missed, missed[:_MISSES])


def right_answers(dataset: TestDataset, result: TestResult) -> dict:
    """Some found queries, from the most similar first prediction to the least: as misses()."""
    found = np.flatnonzero(result.found[:, 0])
    found = found[_most_similar_first(result, found)]
    return _pictured(dataset, result, found, *curves.thinned(found, limit=_RIGHT))


def _most_similar_first(result: TestResult, queries: np.ndarray) -> np.ndarray:
    similarity = curves.similarities(result)
    return np.arange(len(queries)) if similarity is None else np.argsort(-similarity[queries], kind="stable")


def _pictured(dataset: TestDataset, result: TestResult, queries: np.ndarray, shown: np.ndarray) -> dict:
    ranks = curves.first_right(dataset, result)
    return {
        "total": len(queries),
        "shown": [_query(dataset, result, query, int(ranks[query])) for query in shown.tolist()],
    }


def _query(dataset: TestDataset, result: TestResult, query: int, rank: int) -> dict:
    """A query, its first predictions, and the positive that was found first (if none was, the nearest one)."""
    positives, shown = dataset.positives_per_query[query], []
    for position, index in enumerate(result.predictions[query, :_PREDICTIONS].tolist()):
        if index >= 0:
            right = bool(np.isin(index, positives))
            shown.append(_image(dataset, query, index, f"Prediction {position + 1}", right))
            if result.distances is not None:
                shown[-1]["similarity"] = texts.similarity(1 - float(result.distances[query, position]) / 2)
    if not rank or rank > _PREDICTIONS:
        nearest = np.linalg.norm(dataset.database_utms[positives] - dataset.queries_utms[query], axis=1).argmin()
        index = int(result.predictions[query, rank - 1] if rank else positives[nearest])
        caption = f"Right, at rank {rank}" if rank else f"Right, not in the first {result.predictions.shape[1]}"
        shown.append(_image(dataset, query, index, caption, True))
    return {"name": dataset.queries.names[query], "picture": thumbnail(dataset.queries.path(query)), "images": shown}


def _image(dataset: TestDataset, query: int, index: int, caption: str, right: bool) -> dict:
    away = texts.metres(np.linalg.norm(dataset.database_utms[index] - dataset.queries_utms[query])) + " off"
    if dataset.headings is not None:
        database, queries = dataset.headings
        away += f", {heading_differences(database[index], queries[query]):.0f}° turned"
    return {
        "name": dataset.database.names[index],
        "caption": caption,
        "away": away,
        "right": right,
        "picture": thumbnail(dataset.database.path(index)),
        "similarity": None,
    }
