"""Shared by the comparisons of trainings: flags, the result of each query, intervals, and a table in a page."""

import argparse
import logging
import os
from collections.abc import Callable

import numpy as np

import commons
import eval as evaluation
from parser import parse_arguments
from support.errors import UserError
from support.files import replacing
from test import RECALL_VALUES

DEMO_TEST_SETS = (
    "City 1, day=city1/test/database:city1/test/queries_v1",
    "City 1, night=city1/test/database:city1/test/queries_night",
    "City 2, day=city2/test/database:city2/test/queries_v1",
)
RECALLS = (1, 5, 10)
_RESAMPLES = 10_000


def add_flags(parser: argparse.ArgumentParser, base: str, work_folder: str, marks: tuple[str, str]) -> None:
    """Adds the flags of every comparison.

    parser: the parser that gets them
    base: the default recipe
    work_folder: the default folder of models and evaluations
    marks: the table goes between these two lines of the output
    """
    add = parser.add_argument
    add(
        "--dataset_folder", default="data/demo", help="folder that the test sets' paths begin at (default: %(default)s)"
    )
    add(
        "--base",
        default=base,
        metavar="RECIPE",
        help="flags of every run: the training set, the start, the length (default: %(default)s)",
    )
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="(default: 0 1 2)")
    add(
        "--test_sets",
        nargs="+",
        default=DEMO_TEST_SETS,
        metavar="TITLE=DATABASE:QUERIES",
        help="below the dataset folder (default: the demo's city 1 by day and by night, and city 2 by day)",
    )
    add("--work_folder", default=work_folder, metavar="FOLDER", help="models and evaluations (default: %(default)s)")
    add(
        "--output",
        default="recipes/RESULTS.md",
        metavar="FILE",
        help=f"the table goes between its lines {marks[0]} and {marks[1]} (default: %(default)s)",
    )


def parse_and_run(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], None],
    argv: list[str] | None,
    level: int = logging.INFO,
) -> None:
    """Parses argv and calls run(args). A UserError ends the program as a usage error.

    parser: the parser
    run: called with the arguments
    argv: the command line, None for the program's own
    level: log messages from this level on are shown
    """
    args = parser.parse_args(argv)
    logging.basicConfig(level=level, format="%(message)s")
    try:
        run(args)
    except UserError as error:
        parser.error(str(error))


def test_set(text: str, folder: str) -> tuple[str, tuple[str, str]]:
    """Parses TITLE=DATABASE:QUERIES to (title, (database folder, queries folder)). Raises UserError."""
    title, _, paths = text.partition("=")
    database, _, queries = paths.partition(":")
    if not (title and database and queries):
        raise UserError(f"--test_sets {text}: give TITLE=DATABASE:QUERIES")
    return title, (os.path.join(folder, database), os.path.join(folder, queries))


test_set.__test__ = False  # for pytest: this is no test


def evaluate(flags: list[str], save_dir: str) -> np.ndarray:
    """Runs eval.py with these flags. Returns bool (q, 3): whether each query is found within each N of RECALLS."""
    results = []
    parsed = parse_arguments("eval", [*flags, "--save_dir", save_dir])
    commons.run_experiment(lambda args, folder: results.append(evaluation.evaluate(args, folder)), parsed)
    return results[0].found[:, [RECALL_VALUES.index(n) for n in RECALLS]]


def cell(found: list[np.ndarray], reference: list[np.ndarray] | None) -> str:
    """Returns a cell of the table: R@1 with its deviation and interval, and the difference to the reference.

    found, reference: bool (q,) for each seed; reference is None in the row that the others are compared with.
    """
    recalls = [100 * values.mean() for values in found]
    low, high = interval(np.mean(found, axis=0))
    text = (
        f"{np.mean(recalls):.1f} +- {np.std(recalls, ddof=1) if len(recalls) > 1 else 0:.1f} ({low:.1f} to {high:.1f})"
    )
    if reference is not None:
        difference, (low, high), p = paired_bootstrap(np.mean(found, axis=0), np.mean(reference, axis=0))
        text += f"; {difference:+.1f} ({low:+.1f} to {high:+.1f}), p {'< 0.001' if p < 0.001 else f'{p:.3f}'}"
    return text


def interval(share: np.ndarray, seed: int = 0) -> np.ndarray:
    """Returns the 95% percentile interval of the mean over queries, in percent.

    share: float (q,), the share of seeds that find each query.
    """
    return np.percentile(100 * _resampled_means(share, seed), [2.5, 97.5])


def paired_bootstrap(share: np.ndarray, reference: np.ndarray, seed: int = 0) -> tuple[float, np.ndarray, float]:
    """Returns (difference in percentage points, its 95% interval, two-sided p of no difference).

    Queries are resampled, the same ones for both models (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
    share, reference: float (q,), the share of seeds that find each query.
    """
    differences = 100 * (share - reference)
    means = _resampled_means(differences, seed)
    # the share of resamples on the other side of 0, counting one more so that it is never 0
    p = 2 * (1 + min((means <= 0).sum(), (means >= 0).sum())) / (1 + len(means))
    return differences.mean(), np.percentile(means, [2.5, 97.5]), min(1.0, p)


def _resampled_means(values: np.ndarray, seed: int):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [values[rng.integers(len(values), size=(500, len(values)))].mean(axis=1) for _ in range(_RESAMPLES // 500)]
    )


def write_between(path: str, marks: tuple[str, str], text: str) -> None:
    """Writes a text between the two lines `marks` of a file. A file without them gets them at its end."""
    begin, end = marks
    whole = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            whole = file.read()
    if end not in whole.partition(begin)[2]:
        whole += f"{begin}\n{end}\n"
    before, _, rest = whole.partition(begin)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n{text}{end}{rest.partition(end)[2]}")
