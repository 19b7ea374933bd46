"""The results table: trains the rows that are missing, evaluates each on the test sets, and writes the table.

Beside the table it writes results_table.csv, with all recalls of all seeds. A row is recipes/rows/<row>.txt after a
base recipe, or recipes/rows_as_published/<row>.txt, as its authors ran it. All rows start from the same weights. Sets
by night, finished models and evaluations are kept in the work folder, and so a stopped run can go on. The table can be
made in parts: it has all rows and seeds that the work folder has. benchmarks/comparison.py says how rows are compared.
"""

import argparse
import csv
import logging
import os
import sys

import numpy as np

from benchmarks.comparison import METHOD, RECALLS, add_flags, cells, parse_and_run, test_set, write_between
from benchmarks.measure import table
from benchmarks.results_rows import FORMS, PUBLISHED_SETS, ROWS
from benchmarks.results_runs import Entry, NotRun, Runs
from parser import parse_arguments
from support.errors import UserError
from support.files import replacing

logger = logging.getLogger(__name__)

MARKS = "<!-- results table -->", "<!-- end of the results table -->"
_REFERENCE = Entry("sound", "cosface")


def main(argv: list[str] | None = None) -> None:
    """Parses the arguments and runs the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_flags(parser, "recipes/results_table.txt", "logs/results_table", MARKS, "data/results_table")
    add(
        "--flags",
        default="",
        metavar="FLAGS",
        help="further flags of train.py, eval.py and soup.py for every row, in one string, as "
        "--flags='--dataset_folder sf_xs --target_dataset_folder night' (default: none)",
    )
    add("--recipes", default="recipes", metavar="FOLDER", help="where the rows' recipes are (default: %(default)s)")
    add(
        "--forms",
        nargs="+",
        choices=FORMS,
        default=["sound"],
        metavar="FORM",
        help="sound, published or both; a row that is the same in both is run once (default: sound)",
    )
    add(
        "--rows",
        nargs="+",
        choices=ROWS,
        default=list(ROWS),
        metavar="ROW",
        help=f"of {', '.join(ROWS)} (default: all)",
    )
    parse_and_run(parser, run, argv)


def run(args: argparse.Namespace) -> None:
    """Collects the results of all rows and seeds, and writes the table."""
    test_sets = dict(test_set(text, args.dataset_folder) for text in args.test_sets)
    runs = Runs(args.base, args.flags, args.recipes, args.work_folder)
    entries = order([runs.entry(form, row) for form in args.forms for row in args.rows])
    missing = check(runs, entries, test_sets)
    found = {}  # entry -> {seed: {test set: bool (q, len(RECALLS))}}
    for entry in entries:
        if entry not in missing:
            found[entry] = {
                seed: {title: runs.found(entry, seed, title, folders) for title, folders in test_sets.items()}
                for seed in args.seeds
            }
    add_kept(runs, found, test_sets)
    write(args, runs, test_sets, found, missing)


def order(entries: list[Entry]) -> list[Entry]:
    """Sorts entries: CosFace first, which all are compared with, and soups last, which need other rows."""
    return sorted(
        dict.fromkeys([_REFERENCE, *entries]),
        key=lambda entry: (entry != _REFERENCE, ROWS[entry.row].kind == "soup"),
    )


def check(runs: Runs, entries: list[Entry], test_sets: dict[str, tuple[str, str]]) -> dict[Entry, str]:
    """Checks what all rows need, before hours of work. Returns {entry: why it cannot be run}, and logs it.

    runs: makes the rows
    entries: the rows
    test_sets: {title: (database folder, queries folder)}

    Raises UserError on folders that are missing, SystemExit (from the parser) on wrong flags.
    """
    missing = {}
    for entry in entries:
        try:
            runs.check(entry)
        except NotRun as reason:
            missing[entry] = str(reason)
            logger.warning(f"{entry.folder} is not run {reason}")
    train_set = parse_arguments("train", runs.base).train_set_folder
    for folder in (train_set, *(folder for folders in test_sets.values() for folder in folders)):
        if not os.path.isdir(folder):
            raise UserError(
                f"folder {folder} does not exist: fix --dataset_folder and --test_sets, or --base and --flags"
            )
    return missing


def add_kept(runs: Runs, found: dict[Entry, dict], test_sets: dict[str, tuple[str, str]]) -> None:
    """Adds the rows and seeds that earlier runs have left in the work folder, if their flags are still the same.

    runs: makes the rows
    found: {entry: {seed: {test set: bool (q, len(RECALLS))}}}, which is added to
    test_sets: {title: (database folder, queries folder)}
    """
    for form in FORMS:
        for row in ROWS:
            if not os.path.exists(os.path.join(runs.recipes, FORMS[form], f"{row}.txt")):
                continue
            entry = runs.entry(form, row)
            for seed in runs.seeds():
                values = {title: runs.kept(entry, seed, title, folders) for title, folders in test_sets.items()}
                if all(value is not None for value in values.values()):
                    found.setdefault(entry, {}).setdefault(seed, values)
            if entry in found:
                found[entry] = dict(sorted(found[entry].items()))


def write(
    args: argparse.Namespace,
    runs: Runs,
    test_sets: dict[str, tuple[str, str]],
    found: dict[Entry, dict[int, dict[str, np.ndarray]]],
    missing: dict[Entry, str],
) -> None:
    """Writes the table as markdown, and all recalls of all seeds as CSV.

    args: the arguments
    runs: makes the rows
    test_sets: {title: (database folder, queries folder)}
    found: {entry: {seed: results}}
    missing: {entry: why it was not run}
    """
    columns = {
        title: cells(
            {entry: {seed: values[title][:, 0] for seed, values in seeds.items()} for entry, seeds in found.items()},
            _REFERENCE,
        )
        for title in test_sets
    }
    entries = [entry for row in ROWS for form in FORMS if (entry := Entry(form, row)) in {**found, **missing}]
    rows = [
        {
            "row": ROWS[entry.row].title,
            "form": _form(runs, entry),
            "seeds": " ".join(map(str, found.get(entry, {}))),
            **{f"published {name}": of[0] for name, of in zip(PUBLISHED_SETS, ROWS[entry.row].published, strict=True)},
            **{title: columns[title].get(entry, "not run") for title in test_sets},
        }
        for entry in entries
    ]
    reasons = "".join(
        f"\n{ROWS[entry.row].title} is not run {missing[entry]}.\n" for entry in entries if entry in missing
    )
    text = f"R@1 in percent: {METHOD.format(reference='CosFace')}.\n\n{table(rows, list(rows[0]))}\n{reasons}"
    write_between(args.output, MARKS, text)
    path = os.path.join(os.path.dirname(args.output), "results_table.csv")
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        recalls = [f"R@{n}" for n in RECALLS]
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "form", "test_set", "seed", *recalls])
        for entry in (entry for entry in entries if entry in found):
            for title in test_sets:
                for seed, values in found[entry].items():
                    shares = [f"{100 * share:.1f}" for share in values[title].mean(axis=0)]
                    writer.writerow([entry.row, _form(runs, entry), title, seed, *shares])
    print(text)


def _form(runs: Runs, entry: Entry):
    there = os.path.exists(os.path.join(runs.recipes, FORMS["published"], f"{entry.row}.txt"))
    return "both" if entry.form == "sound" and there and runs.is_same(entry.row) else entry.form


if __name__ == "__main__":
    sys.exit(main())
