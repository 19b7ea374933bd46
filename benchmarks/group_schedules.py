"""Ways through the groups at equal images seen: one after another, jointly, and in parallel, averaged every J steps.

Every run is the demo's recipe, from random weights, with 3 groups. Every finished model and evaluation is kept, so that
a stopped run goes on where it was. Group-parallel runs take a process a group (torchrun), each a batch a step, and so
as many times fewer steps.
"""

import argparse
import functools
import glob
import os
import subprocess
import sys

import numpy as np

from benchmarks.comparison import (
    METHOD,
    add_flags,
    cells,
    evaluate,
    found_first,
    parse_and_run,
    test_set,
    write_between,
)
from benchmarks.measure import ROOT, launcher, table
from support.errors import UserError
from support.recipes import expand_recipes

MARKS = "<!-- group schedules -->", "<!-- end of the group schedules -->"
GROUPS = 3
_PARALLEL = {
    f"group-parallel, J = {steps}": ["--parallel", "groups", "--local_steps", str(steps)] for steps in (1, 10, 100)
}
WAYS = {"sequential": [], "joint": ["--group_schedule", "iteration", "--local_steps", "1"], **_PARALLEL}


def main(argv: list[str] | None = None) -> None:
    """Trains and evaluates what is missing, and writes the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.group_schedules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_flags(parser, "recipes/demo_from_scratch.txt", "logs/group_schedules", MARKS)
    add("--iterations", type=int, default=100, help="steps an epoch (default: %(default)s)")
    add("--rounds", type=int, default=2, help=f"epochs of each of the {GROUPS} groups (default: %(default)s)")
    add(
        "--ways",
        nargs="+",
        choices=WAYS,
        default=list(WAYS),
        metavar="WAY",
        help=f"of {', '.join(WAYS)} (default: all)",
    )
    add(
        "--moments",
        default="average",
        choices=("keep", "average", "reset"),
        help="--local_moments (default: %(default)s)",
    )
    parse_and_run(parser, run, argv)


def run(args: argparse.Namespace) -> None:
    """Collects the results of all ways and seeds, and writes the table."""
    test_sets = dict(test_set(text, args.dataset_folder) for text in args.test_sets)
    ways = list(dict.fromkeys(["sequential", *args.ways]))  # which all are compared with
    found = {(way, seed): results(args, way, seed, test_sets) for seed in args.seeds for way in ways}
    columns = {
        title: cells({way: {seed: found[way, seed][title] for seed in args.seeds} for way in ways}, "sequential")
        for title in test_sets
    }
    rows = [
        {"groups": way, "steps": steps_of(args, way), **{title: columns[title][way] for title in test_sets}}
        for way in ways
    ]
    images = args.rounds * GROUPS * args.iterations
    write_between(
        args.output,
        MARKS,
        f"R@1 in percent after {images} batches of {GROUPS} groups in every way, seeds "
        f"{', '.join(map(str, args.seeds))}: {METHOD.format(reference='sequential training')}. "
        f"Steps are a process's.\n\n{table(rows, list(rows[0]))}\n",
    )


def steps_of(args: argparse.Namespace, way: str) -> int:
    """Returns the steps of one process."""
    return args.rounds * args.iterations * (1 if way in _PARALLEL else GROUPS)


def results(
    args: argparse.Namespace, way: str, seed: int, test_sets: dict[str, tuple[str, str]]
) -> dict[str, np.ndarray]:
    """Returns {test set: bool (q,)}, whether each query is found first, from the work folder or measured.

    args: the arguments
    way: one of WAYS
    seed: the run's
    test_sets: {title: (database folder, queries folder)}
    """
    flags = [
        f"@{args.base}",
        "--groups_num",
        str(GROUPS),
        "--iterations_per_epoch",
        str(args.iterations),
        "--epochs_num",
        str(steps_of(args, way) // args.iterations),
        "--seed",
        str(seed),
        "--local_moments",
        args.moments,
        *WAYS[way],
    ]
    path = os.path.join(args.work_folder, f"{way.replace(', ', '_').replace(' = ', '')}_seed{seed}.json")
    save_dir = os.path.join(os.path.basename(args.work_folder), os.path.basename(path).removesuffix(".json"))
    model = functools.cache(lambda: train(flags, save_dir, GROUPS if way in _PARALLEL else 1))

    def measure(database: str, queries: str) -> np.ndarray:
        folders = ["--database_folder", database, "--queries_folder", queries]
        of_model = [f"@{args.base}", "--resume_model", model(), *folders, "--seed", str(seed)]
        return evaluate(of_model, "group_schedules_tests")

    return found_first(path, expand_recipes(flags), f"{way}, seed {seed}", test_sets, measure)


def train(flags: list[str], save_dir: str, processes: int) -> str:
    """Trains, or resumes a stopped run. Returns the path of its last network. Raises UserError if it fails."""
    command = [
        sys.executable,
        *launcher(processes),
        os.path.join(ROOT, "train.py"),
        *flags,
        "--save_dir",
        save_dir,
        "--resume_train",
        "auto",
    ]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip() and not line.startswith("see ")]
        raise UserError(f"{' '.join(command)} failed: {(lines or ['?'])[-1]}")
    folder = max(glob.glob(os.path.join("logs", save_dir, "*")), key=os.path.getmtime)
    # not the best: more validations would mean more to choose from
    return os.path.join(folder, "last_checkpoint.pth")


if __name__ == "__main__":
    main()
