"""The page of a search without labels: how similar the first predictions are, and pictures of them."""

from collections.abc import Iterable

import numpy as np

from report.evaluation import Evaluation, unreadable_images
from report.page import write_page
from report.thumbnails import thumbnail

_BIN = 0.05  # of similarity
_PICTURED = 12  # queries shown whose first prediction is the most similar, and as many of the least similar
_PREDICTIONS = 5  # shown beside a query


def write_search_report(path: str, evaluations: list[Evaluation], settings: Iterable[tuple[str, str]] = ()) -> None:
    """Writes the page, one self-contained HTML file.

    path: of the page
    evaluations: without labels, of one network
    settings: pairs (label, value), shown as they are

    Raises UserError if Jinja2 is missing or the disk refuses.
    """
    parts = [_part(evaluation) for evaluation in evaluations]
    write_page(
        path,
        "search.html",
        title="Image search",
        letters={},
        parts=parts,
        settings=list(settings),
        data={"parts": [part.pop("data") for part in parts]},
    )


def _part(evaluation: Evaluation) -> dict:
    """What the page shows of one folder of queries: words and pictures for the template, "data" for the chart."""
    similarity = evaluation.result.similarities[:, 0]
    answered = np.flatnonzero(np.isfinite(similarity))
    ordered = answered[np.argsort(-similarity[answered], kind="stable")]
    groups = {"Queries and their most similar images": ordered}
    if len(ordered) > 2 * _PICTURED:
        groups = {
            "Most similar first predictions": ordered[:_PICTURED],
            "Least similar first predictions": ordered[-_PICTURED:][::-1],
        }
    last = round(1 / _BIN)
    first = min(int(np.floor(similarity[ordered[-1]] / _BIN)), last - 1) if len(ordered) else last - 1
    edges = np.arange(first, last + 1) * _BIN
    counts, _ = np.histogram(np.clip(similarity[answered], edges[0], edges[-1]), edges)  # rounding may reach beyond
    return {
        "label": evaluation.name,
        "queries": len(similarity),
        "database": evaluation.result.num_database,
        "without": len(similarity) - len(answered),
        "median": float(np.median(similarity[answered])) if len(answered) else None,
        "groups": [
            (title, [_pictured(evaluation, query) for query in rows.tolist()]) for title, rows in groups.items()
        ],
        "unreadable": unreadable_images(evaluation.dataset, evaluation.result),
        "data": {"label": evaluation.name, "edges": edges.round(2).tolist(), "counts": counts.tolist()},
    }


def _pictured(evaluation: Evaluation, query: int) -> dict:
    """A query and its first predictions, as pictures."""
    dataset, result = evaluation.dataset, evaluation.result
    return {
        "name": dataset.queries.names[query],
        "picture": thumbnail(dataset.queries.path(query)),
        "predictions": [
            {
                "name": dataset.database.names[index],
                "similarity": float(similarity),
                "picture": thumbnail(dataset.database.path(index)),
            }
            for index, similarity in zip(
                result.predictions[query, :_PREDICTIONS].tolist(),
                result.similarities[query, :_PREDICTIONS],
                strict=True,
            )
            if index >= 0
        ],
    }
