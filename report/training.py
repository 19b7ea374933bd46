"""Curves of training runs, from their metrics.csv."""

import csv
import math
import os
from collections.abc import Iterable

from report.page import lettered, write_page
from support.errors import UserError
from support.regular_files import open_regular

METRICS = "metrics.csv"


def read_metrics(path: str) -> dict[str, list]:
    """Reads a metrics.csv: {column: [numbers]}; None: no number. Epochs count from 0, as in logs. Raises UserError."""
    try:
        with open_regular(path, "r", newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        if not rows or "epoch" not in rows[0]:
            raise ValueError("it has no rows with an epoch")
        columns = {name: [_number(row[name]) for row in rows] for name in rows[0] if name}
        columns["epoch"] = [int(row["epoch"]) for row in rows]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read as a run's metrics: {getattr(error, 'strerror', None) or error}"
        ) from error
    return columns


def training_data(runs: dict[str, dict]) -> list[dict]:
    """What the page's training charts show. runs: {name: columns as of read_metrics}."""
    letters = lettered(runs)
    return [
        {
            "name": letters[name],
            "epoch": columns["epoch"],
            "losses": {column: values for column, values in columns.items() if column.startswith("loss")},
            "recalls": {name: columns[name] for name in _recalls_shown(columns)},
        }
        for name, columns in runs.items()
    ]


def _recalls_shown(columns: dict[str, list]) -> list[str]:
    """The first three recalls, and that of random answers."""
    recalls, chances = ([name for name in columns if name.startswith(begin)] for begin in ("R@", "chance"))
    return recalls[:3] + chances


def best_epochs(runs: dict[str, dict]) -> list[dict]:
    """The best validation of each run: [{"name", "epochs", "epoch", "recall", "loss"}]; epochs: how many there are.

    epoch and recall are None if no recall is known. runs: {name: columns as of read_metrics}.
    """
    lines, letters = [], lettered(runs)
    for name, columns in runs.items():
        recalls = [-math.inf if value is None else value for value in columns.get("R@1", ())]
        best = recalls.index(max(recalls)) if recalls and max(recalls) > -math.inf else None
        lines.append(
            {
                "name": letters[name],
                "epochs": columns["epoch"][-1] + 1,
                "loss": columns.get("loss", [None])[-1],
                "epoch": None if best is None else columns["epoch"][best],
                "recall": None if best is None else recalls[best],
            }
        )
    return lines


def write_training_report(path: str, runs: dict[str, dict], settings: Iterable[tuple[str, str]] = ()) -> None:
    """Writes the page of training runs. Raises UserError if Jinja2 is missing or the disk refuses.

    path: of the page; runs: {name: columns as of read_metrics}, at least one; settings: pairs (label, value) to show
    """
    write_page(
        path,
        "training.html",
        title="Training curves",
        letters=lettered(runs),
        runs=best_epochs(runs),
        settings=list(settings),
        data={"training": training_data(runs)},
    )


def beside_checkpoint(path: str) -> str | None:
    """The metrics.csv beside a checkpoint; None if there is none."""
    metrics = os.path.join(os.path.dirname(path), METRICS)
    return metrics if os.path.isfile(path) and os.path.isfile(metrics) else None


def _number(text: str) -> float | None:
    """A float; None if the text is empty or not finite, because JSON has no NaN."""
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None
