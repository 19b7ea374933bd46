"""Training methods on the same streets, from the same start, with as many images: CosPlace, EigenPlaces and its halves.

The streets are the demo's, with whole panoramas:

    python -m demo_city --folder data/methods --panoramas --queries 1500 --night_share 0

A row is recipes/methods/<row>.txt after a base recipe. Recall is told for all queries, and apart for those that look
along their street (up to 30 degrees), across it (from 60 on) and askew. Every network and result is kept, so that a
stopped comparison goes on where it was.
"""

import argparse
import functools
import glob
import hashlib
import json
import os

import numpy as np

from benchmarks.comparison import (
    METHOD,
    add_flags,
    cells,
    evaluate,
    found_first,
    parse_and_run,
    test_set,
    trained,
    write_between,
)
from benchmarks.measure import table
from datasets.name_fields import HEADING
from datasets.names import list_images, parse_fields, positions
from demo_city.camera import CROP
from parser import parse_arguments
from support.errors import UserError
from support.recipes import expand_recipes

MARKS = "<!-- methods -->", "<!-- end of the methods -->"
BASE, REFERENCE = "base", "cosplace"
NEAR = 25.0  # metres round a query: the database's positions there show where its street runs
ALONG, ACROSS = 30.0, 60.0  # degrees between a view and the street: up to, and from


def main(argv: list[str] | None = None) -> None:
    """Trains and evaluates what is missing, and writes the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.methods",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_flags(parser, f"recipes/methods/{BASE}.txt", "logs/methods", MARKS)
    parser.set_defaults(dataset_folder="data/methods")
    add("--recipes", default="recipes/methods", metavar="FOLDER", help="where rows' recipes are (default: %(default)s)")
    add("--rows", nargs="+", metavar="ROW", help=f"names of recipes (default: all in the folder but {BASE})")
    parse_and_run(parser, run, argv)


def run(args: argparse.Namespace) -> None:
    """Collects the results of all rows and seeds, and writes the table."""
    test_sets = dict(test_set(text, args.dataset_folder) for text in args.test_sets)
    rows = args.rows or [os.path.basename(path)[:-4] for path in sorted(glob.glob(os.path.join(args.recipes, "*.txt")))]
    rows = [row for row in dict.fromkeys([REFERENCE, *rows]) if row != BASE]
    check(args, rows, test_sets)
    found = {row: {seed: results(args, row, seed, test_sets) for seed in args.seeds} for row in rows}
    lines = []
    for title, folders in test_sets.items():
        for name, which in directions(*folders).items():
            values = {row: {seed: of[title][which] for seed, of in found[row].items()} for row in rows}
            texts = cells(values, REFERENCE) if which.any() else dict.fromkeys(rows, "")
            lines.append({"queries": f"{title}, {name}", "number": int(which.sum()), **texts})
    text = f"R@1 in percent, seeds {', '.join(map(str, args.seeds))}: {METHOD.format(reference=REFERENCE)}."
    write_between(args.output, MARKS, f"{text}\n\n{table(lines, list(lines[0]))}\n")


def check(args: argparse.Namespace, rows: list[str], test_sets: dict[str, tuple[str, str]]) -> None:
    """Checks what all rows need, before hours of work.

    args: the arguments
    rows: names of recipes
    test_sets: {title: (database folder, queries folder)}

    Raises UserError on recipes and folders that are missing, SystemExit (from the parser) on wrong flags.
    """
    folders = [folder for pair in test_sets.values() for folder in pair]
    for row in rows:
        if not os.path.exists(recipe(args, row)):
            raise UserError(f"there is no recipe {recipe(args, row)}: fix --rows or --recipes")
        folders.append(parse_arguments("train", flags_of(args, row, 0)).train_set_folder)
    for folder in folders:
        if not os.path.isdir(folder):
            raise UserError(
                f"folder {folder} does not exist: render it (--help has the command), or fix --dataset_folder, "
                "--test_sets, --base and the recipes"
            )


def recipe(args: argparse.Namespace, row: str) -> str:
    """Returns the path of a row's recipe."""
    return os.path.join(args.recipes, f"{row}.txt")


def flags_of(args: argparse.Namespace, row: str, seed: int) -> list[str]:
    """Returns the flags of a row's training."""
    return [f"@{args.base}", f"@{recipe(args, row)}", "--seed", str(seed)]


def results(
    args: argparse.Namespace, row: str, seed: int, test_sets: dict[str, tuple[str, str]]
) -> dict[str, np.ndarray]:
    """Returns {test set: bool (q,)}, whether each query is found first, from the work folder or measured.

    args: the arguments
    row: name of a recipe
    seed: the run's
    test_sets: {title: (database folder, queries folder)}
    """
    flags = expand_recipes(flags_of(args, row, seed))
    digest = hashlib.sha256(json.dumps(flags).encode()).hexdigest()[:12]
    folder = functools.cache(lambda: trained(flags, os.path.join("methods", f"{row}_{digest}")))

    def measure(database: str, queries: str) -> np.ndarray:
        model = ["--resume_model", os.path.join(folder(), "best_model.pth"), "--seed", str(seed)]
        folders = ["--database_folder", database, "--queries_folder", queries]
        return evaluate([f"@{args.base}", *model, *folders], "methods_tests")

    path = os.path.join(args.work_folder, f"{row}_seed{seed}.json")
    return found_first(path, flags, f"{row}, seed {seed}", test_sets, measure)


def directions(database: str, queries: str) -> dict[str, np.ndarray]:
    """Returns which queries look where: {"all", "along", "across" and "askew": bool (q,)}.

    database, queries: folders. A query without two positions of the database nearby is of none but "all".
    """
    names = list_images(queries)
    angles = angles_to_streets(
        positions(names), parse_fields(names, (HEADING,))[:, 0] + CROP / 2, positions(list_images(database))
    )
    along, across = angles <= ALONG, angles >= ACROSS
    askew = ~np.isnan(angles) & ~along & ~across
    return {"all": np.ones(len(angles), bool), "along": along, "across": across, "askew": askew}


def angles_to_streets(places: np.ndarray, azimuths: np.ndarray, database: np.ndarray) -> np.ndarray:
    """Returns the angles between views and their streets: float (q,), 0 to 90 degrees, nan where no street is known.

    A street is the principal axis of the database's positions within NEAR metres of a query.

    places: (q, 2), east and north of the queries, metres
    azimuths: (q,), of their optical axes, degrees clockwise from north
    database: (n, 2), as places
    """
    angles, spots = np.full(len(places), np.nan), np.unique(database, axis=0)
    for n, place in enumerate(places):
        near = spots[np.hypot(*(spots - place).T) <= NEAR]
        if len(near) > 1:
            east, north = np.linalg.svd(near - near.mean(0))[2][0]
            turn = (azimuths[n] - np.degrees(np.arctan2(east, north))) % 180
            angles[n] = min(turn, 180 - turn)
    return angles


if __name__ == "__main__":
    main()
