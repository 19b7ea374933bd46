"""Exact search by several processes that share the database: memory of a rank, seconds, and equality to one process.

Every process has one thread. Descriptors are random unit vectors in a store without a folder. Each rank makes and
searches its share.
"""

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time

import numpy as np

import distributed
from benchmarks.knn import unit_vectors
from benchmarks.measure import ROOT, launcher, machine, peak_rss_anon, table
from retrieval.sharded import search
from retrieval.store import DescriptorStore, temporary_store

_MEMORY = "RssAnon added at a rank's peak, MB"


def main(argv: list[str] | None = None) -> None:
    """Runs each number of processes and prints the table, or runs as one of them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sharded_search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--vectors", type=int, default=600_000, help="database descriptors (default: %(default)s)")
    add("--queries", type=int, default=1000, help="query descriptors (default: %(default)s)")
    add("--dim", type=int, default=512, help="descriptors' dimension (default: %(default)s)")
    add("--k", type=int, default=100, help="neighbours a query (default: %(default)s)")
    add("--processes", type=int, nargs="+", default=[1, 2, 3], help="(default: 1 2 3)")
    add("--measure_rank", action="store_true", help=argparse.SUPPRESS)  # as one of the processes
    args = parser.parse_args(argv)
    if args.measure_rank:
        with distributed.joined():
            measure_rank(args)
        return
    print(f"{machine()}\n{args.vectors} x {args.dim} descriptors (float32), {args.queries} queries, k = {args.k}\n")
    rows, digests = [], set()
    for processes in args.processes:
        ranks = run_ranks(args, processes)
        rows.append(
            {
                "processes": processes,
                "database of a rank, MB": max(rank["bytes"] for rank in ranks) / 1e6,
                _MEMORY: max(rank["peak"] for rank in ranks) / 1e6,
                "seconds": max(rank["seconds"] for rank in ranks),
            }
        )
        digests |= {rank["digest"] for rank in ranks}
    print(table(rows, list(rows[0]), ratio="seconds"))
    print(
        f"\nThe same neighbours and distances, bit by bit, on every rank of all: {'yes' if len(digests) == 1 else 'NO'}"
    )


def run_ranks(args: argparse.Namespace, processes: int) -> list[dict]:
    """Runs measure_rank in so many processes. Returns the values of each."""
    flags = [f"--{name}={getattr(args, name)}" for name in ("vectors", "queries", "dim", "k")]
    command = [sys.executable, *launcher(processes), "-m", "benchmarks.sharded_search", "--measure_rank", *flags]
    output = subprocess.run(
        command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return json.loads(output.stdout.splitlines()[-1])


def measure_rank(args: argparse.Namespace) -> None:
    """Searches as one of the processes. Rank 0 prints JSON of what each rank found."""
    with contextlib.ExitStack() as stack:
        database, queries = (
            stack.enter_context(contextlib.closing(fill(count, args.dim, seed)))
            for seed, count in enumerate((args.vectors, args.queries))
        )
        distributed.barrier()
        start = time.perf_counter()
        with peak_rss_anon() as peak:
            distances, neighbours = search(database, queries, args.k)
        seconds, part = time.perf_counter() - start, database.part()
    found = {
        "seconds": seconds,
        "peak": peak.bytes - peak.before,
        "bytes": 4 * args.dim * (part.stop - part.start),
        "digest": hashlib.sha256(distances.tobytes() + neighbours.tobytes()).hexdigest(),
    }
    found = distributed.gather(found)
    if distributed.is_main():
        print(json.dumps(found))


def fill(count: int, dim: int, seed: int) -> DescriptorStore:
    """Returns a store whose descriptors do not depend on the number of ranks."""
    store = temporary_store(count, dim, block=1000, sharded=distributed.size() > 1)
    for block in store.pending():
        store.write(block, unit_vectors(np.random.default_rng((seed, block)), len(store.rows(block)), dim), {})
    store.finish()
    return store


if __name__ == "__main__":
    main()
