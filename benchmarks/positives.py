"""The database images within a radius of each query: ours against the published way, a tree of the whole database.

Each way runs in a process of its own, in turn. Memory is the largest growth of its RssAnon, sampled by this process
every 5 ms.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time

import numpy as np
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from benchmarks.measure import child, machine, rss_anon, table
from datasets.positives import find_positives


def main(argv: list[str] | None = None) -> None:
    """Runs each way in a process of its own, or one way (--role) in this process."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.positives", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--database",
        type=int,
        default=2_800_000,
        help="database images, 12 at each place of a city of 10 km x 10 km "
        "(default: %(default)s, as in SF-XL's test set)",
    )
    parser.add_argument("--queries", type=int, default=1000, help="queries (default: %(default)s)")
    parser.add_argument("--radius", type=float, default=25, help="metres (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the positions (default: %(default)s)")
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)  # a process of its own for each run
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.role:
        print(json.dumps(run(args)))
        return
    with tempfile.TemporaryDirectory() as args.folder:
        report(args)


def report(args: argparse.Namespace) -> None:
    """Writes the positions, runs both ways and prints the table. Raises SystemExit if they disagree."""
    print(machine())
    rng = np.random.default_rng(args.seed)
    places = rng.uniform(0, 10_000, (-(-args.database // 12), 2)) + (545_000, 4_173_000)
    queries = rng.uniform(0, 10_000, (args.queries, 2)) + (545_000, 4_173_000)
    np.save(os.path.join(args.folder, "database.npy"), places.repeat(12, axis=0)[: args.database].round(2))
    np.save(os.path.join(args.folder, "queries.npy"), queries.round(2))
    runs = {role: [] for role in ROLES}
    for _ in tqdm(range(args.repeats), desc="Runs of each way", leave=False, disable=None):
        for role in ROLES:
            result, peak = child(
                "benchmarks.positives", "--role", role, "--radius", args.radius, "--folder", args.folder
            )
            runs[role].append(result | {"growth": peak - result["before"]})
    if len({run["digest"] for role in ROLES for run in runs[role]}) > 1:
        sys.exit("the two ways disagree on the positives")
    rows = []
    for role, results in runs.items():
        seconds = [result["seconds"] for result in results]
        rows.append(
            {
                "way": role,
                "seconds (min)": min(seconds),
                "median": statistics.median(seconds),
                "peak MB on top": max(result["growth"] for result in results) / 1e6,
            }
        )
    print(
        f"{args.database} database images, {args.queries} queries, {args.radius} m: "
        f"{runs['ours'][0]['positives']} positives, the same in all runs\n"
    )
    print(table(rows, ["way", "seconds (min)", "median", "peak MB on top"], "seconds (min)"))


def run(args: argparse.Namespace) -> dict:
    """Times one way."""
    database, queries = (
        np.load(os.path.join(args.folder, name + ".npy"), allow_pickle=False) for name in ("database", "queries")
    )
    before, start = rss_anon(), time.perf_counter()
    positives = ROLES[args.role](database, queries, args.radius)
    seconds = time.perf_counter() - start
    found = [np.sort(indices).tolist() for indices in positives]
    return {
        "seconds": seconds,
        "before": before,
        "positives": sum(map(len, found)),
        "digest": hash(tuple(map(tuple, found))),
    }


def reference(database: np.ndarray, queries: np.ndarray, radius: float) -> np.ndarray:
    """Finds positives in the published way."""
    neighbours = NearestNeighbors(n_jobs=-1).fit(database)
    return neighbours.radius_neighbors(queries, radius=radius, return_distance=False)


ROLES = {"reference": reference, "ours": find_positives}

if __name__ == "__main__":
    sys.exit(main())
