"""The page of one or several evaluations: recalls, errors, similarities, a map, misses, and two models compared."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from datasets.positives import chance_recalls, format_chance
from datasets.test_dataset import TestDataset
from report import curves, texts
from report.gallery import misses, right_answers
from report.maps import first_predictions, map_of
from report.page import lettered, write_page
from report.training import best_epochs, training_data
from retrieval.recalls import paired_difference
from test import TestResult


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
    precision: float | None = None,
) -> None:
    """Writes the page of evaluations, one self-contained HTML file.

    path: of the page
    evaluations: the model of the first one is compared with each other model on the same test set
    settings: pairs (label, value), shown as they are
    runs: {name: columns} of training runs, as report.training.read_metrics gives them
    seed: of the paired bootstrap
    precision: the share of accepted first predictions that should be right, 0 to 1; None: nothing is said of it

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
            maps[evaluation.name] = map_of(evaluation.name, evaluation.dataset)
        label = evaluation.name if len(models) == 1 else f"{evaluation.name}, {letters[evaluation.model]}"
        parts.append(_part(evaluation, label, names.index(evaluation.name), models.index(evaluation.model), precision))
    comparisons = list(_comparisons(evaluations, letters, seed))
    galleries = [
        {
            "label": evaluation.name,
            "misses": misses(evaluation.dataset, evaluation.result),
            "right": right_answers(evaluation.dataset, evaluation.result),
        }
        for evaluation in evaluations
        if evaluation.model == models[0]
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
        near=_near(evaluations),
    )


def _near(evaluations: list[Evaluation]) -> str:
    """What makes a database image right: "within 25 m of the query"."""
    datasets = [evaluation.dataset for evaluation in evaluations]
    metres = " and ".join(f"{metres:g}" for metres in sorted({dataset.positive_dist_threshold for dataset in datasets}))
    degrees = {dataset.positive_heading_threshold for dataset in datasets} - {None}
    turned = f" that looks within {' and '.join(f'{value:g}' for value in sorted(degrees))}° of its heading"
    return f"within {metres} m of the query{turned if degrees else ''}"


def _part(evaluation: Evaluation, label: str, set_index: int, model_index: int, wanted_precision: float | None) -> dict:
    """What the page shows of one evaluation: words and rows for the template, and "data" for the charts."""
    dataset, result = evaluation.dataset, evaluation.result
    metres = curves.errors(dataset, result)
    n, recalls, intervals = curves.recall_at_n(dataset, result)
    right = curves.with_right_headings(dataset, result, metres)
    distances, within = curves.recall_at_distance(right, dataset.positive_dist_threshold)
    by_chance = curves.chance_at_distance(dataset, distances)
    reach, shares = curves.cumulative_errors(metres[:, 0], dataset.positive_dist_threshold)
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
            "chance": None if by_chance is None else _rounded(by_chance),
        },
        "errors": {"metres": _rounded(reach), "share": _rounded(shares)},
    }
    similarity, confident = curves.similarities(result), None
    if similarity is not None:
        thresholds, precision, recall = curves.precision_recall(similarity, result.found[:, 0])
        confident = curves.recall_at_full_precision(precision, recall)
        if len(thresholds):
            thresholds, precision, recall = curves.thinned(thresholds, precision, recall)
        data["similarity"] = {
            "threshold": _rounded(thresholds, 8),
            "precision": _rounded(precision),
            "recall": _rounded(recall),
        }
    data["queries"] = first_predictions(dataset, result)
    accepted = None
    if wanted_precision is not None:
        found = curves.acceptance(result, wanted_precision)
        accepted = curves.describe_acceptance(found, wanted_precision, len(result.found))
    return {
        "label": label,
        "data": data,
        "rows": _recall_rows(result),
        "before": None if result.before is None else result.before.recalls.tolist(),
        "queries": len(result.found),
        "few": result.few,
        "database": result.num_database,
        "without": result.num_without_positives,
        "confident": confident,
        "accepted": accepted,
        "median": texts.metres(np.median(metres[:, 0])),
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
            "with_positives": None if np.isnan(with_positives) else float(with_positives),
            "chance": format_chance(chance),
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


def _rounded(values: np.ndarray, digits: int = 4) -> list:
    return np.round(np.asarray(values, np.float64), digits).tolist()
