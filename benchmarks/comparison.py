"""Shared by the comparisons of trainings: flags, the result of each query, intervals, and a table in a page."""

import argparse
import functools
import glob
import json
import logging
import os
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

import commons
import eval as evaluation
import train
from parser import parse_arguments
from support.errors import UserError
from support.files import replacing
from test import RECALL_VALUES

logger = logging.getLogger(__name__)

DEMO_TEST_SETS = (
    "City 1, day=city1/test/database:city1/test/queries_v1",
    "City 1, night=city1/test/database:city1/test/queries_night",
    "City 2, day=city2/test/database:city2/test/queries_v1",
    "City 2, night=city2/test/database:city2/test/queries_night",
)
RECALLS = (1, 5, 10)
_RESAMPLES = 10_000
# what a cell of cells() holds; reference: the name of the row that the others are compared with
METHOD = (
    "mean over seeds +- their standard deviation (95% interval, queries and seeds resampled); then the difference to "
    "{reference} with its 95% interval, paired, and p of a two-sided exact sign test over queries, corrected for the "
    "number of rows compared (Holm)"
)


def add_flags(
    parser: argparse.ArgumentParser, base: str, work_folder: str, marks: tuple[str, str], folder: str = "data/demo"
) -> None:
    """Adds the flags of every comparison.

    parser: the parser that gets them
    base: the default recipe
    work_folder: the default folder of models and evaluations
    marks: the table goes between these two lines of the output
    folder: of the demo's cities
    """
    add = parser.add_argument
    add("--dataset_folder", default=folder, help="folder that the test sets' paths begin at (default: %(default)s)")
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
        help="below the dataset folder (default: both of the demo's cities, by day and by night)",
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


def trained(flags: list[str], save_dir: str) -> str:
    """Trains, or resumes a stopped run, unless it has finished. Returns its log folder.

    flags: of train.py
    save_dir: below logs/, of these flags alone
    """
    if not (done := glob.glob(os.path.join("logs", save_dir, "*", "finished"))):
        train.main([*flags, "--save_dir", save_dir, "--resume_train", "auto"])
        done = [os.path.join(max(glob.glob(os.path.join("logs", save_dir, "*"))), "finished")]
        with open(done[0], "w"):
            pass
    return os.path.dirname(done[0])


def found_first(
    path: str,
    flags: list[str],
    name: str,
    test_sets: dict[str, tuple[str, str]],
    measure: Callable[[str, str], np.ndarray],
) -> dict[str, np.ndarray]:
    """Returns {test set: bool (q,)}, whether each query is found first, measured once for the same flags
    and folders.

    path: of the file that keeps it
    flags: that the results depend on
    name: of the run, for the log
    test_sets: {title: (database folder, queries folder)}
    measure: of these two folders, as evaluate() returns it
    """
    kept = {"flags": flags, "found": {}, "folders": {}} | read_json(path)
    if kept["flags"] != flags:
        kept = {"flags": flags, "found": {}, "folders": {}}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    for title, folders in test_sets.items():
        if kept["folders"].get(title) != list(folders):
            kept["found"][title] = measure(*folders)[:, 0].astype(int).tolist()
            kept["folders"][title] = list(folders)
            logger.info(f"{name}, {title}: R@1 {100 * np.mean(kept['found'][title]):.1f}")
            write_json(path, kept)
    return {title: np.array(kept["found"][title], bool) for title in test_sets}


def cells(found: dict[Hashable, dict[int, np.ndarray]], reference: Hashable) -> dict[Hashable, str]:
    """Returns the cells of a column of the table: R@1 with its deviation and interval, and the difference.

    found: {row: {seed: bool (q,), whether each query is found first}}, of one test set
    reference: the row that the others are compared with, by the seeds that both have. Without it there are no
    differences. METHOD says what a cell holds.
    """
    texts, differences = {}, {}
    for row, of_seeds in found.items():
        recalls = 100 * np.stack(list(of_seeds.values())).mean(axis=1)
        deviation = f" +- {recalls.std(ddof=1):.1f}" if len(recalls) > 1 else ""
        low, high = interval(list(of_seeds.values()))
        texts[row] = f"{recalls.mean():.1f}{deviation} ({low:.1f} to {high:.1f})"
        common = [seed for seed in of_seeds if seed in found.get(reference, {})]
        if row != reference and common:
            differences[row] = [of_seeds[seed] for seed in common], [found[reference][seed] for seed in common]
    adjusted = holm([sign_test(*pair) for pair in differences.values()])
    for (row, pair), p in zip(differences.items(), adjusted, strict=True):
        difference, (low, high) = paired_difference(*pair)
        p = "< 0.001" if p < 0.001 else f"{p:.3f}"
        texts[row] += f"; {difference:+.1f} ({low:+.1f} to {high:+.1f}), p {p}"
    return texts


def interval(found: list[np.ndarray], seed: int = 0) -> np.ndarray:
    """Returns the 95% percentile interval of the mean over seeds and queries, in percent.

    found: a bool (q,) for each seed, whether each query is found.

    Seeds and queries are resampled, each with replacement. All seeds have the same queries, so a resample has the same
    queries for all its seeds (the pigeonhole bootstrap: Owen, Annals of Applied Statistics 1, 2007). Of few seeds, n,
    their part of the spread comes out too small by a factor sqrt(1 - 1/n). One seed has no such part.
    """
    return np.percentile(_resampled_means(100.0 * np.stack(found), seed), [2.5, 97.5])


def paired_difference(found: list[np.ndarray], reference: list[np.ndarray], seed: int = 0) -> tuple[float, np.ndarray]:
    """Returns (difference in percentage points, its 95% interval), resampled as interval() does.

    Both have the same resampled queries and seeds (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
    found, reference: a bool (q,) for each seed, in the same order.
    """
    differences = 100 * (np.stack(found).astype(float) - np.stack(reference))
    return differences.mean(), np.percentile(_resampled_means(differences, seed), [2.5, 97.5])


def sign_test(found: list[np.ndarray], reference: list[np.ndarray]) -> float:
    """Returns the two-sided p of an exact sign test over queries.

    found, reference: a bool (q,) for each seed, in the same order.

    A query counts for the row that finds it with more seeds, and not at all where both find it with the same number. A
    query counts once: to pool all seeds' answers would take those of one query, which resemble each other, for
    independent ones, and p would be too small. With one seed it is McNemar's exact test (Psychometrika 12, 1947). It is
    about these networks: whether other seeds would do the same, the interval says.
    """
    signs = np.sign(np.sum(found, axis=0, dtype=int) - np.sum(reference, axis=0, dtype=int))
    fewer, count = int(min((signs > 0).sum(), (signs < 0).sum())), int((signs != 0).sum())
    tail, choices = 0, 1  # whole numbers: exact, of any size
    for k in range(fewer + 1):
        tail += choices  # choices is count over k
        choices = choices * (count - k) // (k + 1)
    return min(1.0, 2 * tail / 2**count)


def holm(values: list[float]) -> list[float]:
    """Adjusts the p of several comparisons (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def _resampled_means(values: np.ndarray, seed: int):
    """The means of resamples of values (seeds, q): float (_RESAMPLES,)."""
    seeds, queries = values.shape
    by_query, counts = np.ascontiguousarray(values.T), _resampled_counts(queries, seed)
    chunks = [counts[first : first + 500] @ by_query for first in range(0, _RESAMPLES, 500)]  # (500, seeds) each
    drawn = np.random.default_rng((seed, seeds)).integers(seeds, size=(_RESAMPLES, seeds))
    return np.take_along_axis(np.concatenate(chunks) / queries, drawn, axis=1).mean(axis=1)


@functools.lru_cache(maxsize=1)  # all rows of a column have the same queries
def _resampled_counts(queries: int, seed: int) -> np.ndarray:
    """How often each query is in each resample: uint8 (_RESAMPLES, q)."""
    rng = np.random.default_rng(seed)
    counts = np.empty((_RESAMPLES, queries), np.uint8)
    for row in counts:
        row[:] = np.bincount(rng.integers(queries, size=queries), minlength=queries)
    return counts


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


def read_json(path: str) -> dict[str, Any]:
    """Returns what a file holds that write_json wrote; {} if it is missing or cut off, so that it is made again."""
    try:
        with open(path) as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return {}


def write_json(path: str, value: object) -> None:
    """Writes a value beside a file, and puts it in its place."""
    with replacing(path) as temporary, open(temporary, "w") as file:
        json.dump(value, file)
