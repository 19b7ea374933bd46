"""Exact nearest neighbours in a memory-mapped store against faiss's IndexFlatL2.

The full setting, SF-XL's test set (5.7 GB of disk, minutes): python -m benchmarks.knn --vectors 2800000
--reference_vectors 1000000
"""

import argparse
import contextlib
import sys
import tempfile
import time

import faiss
import numpy as np
import torch

from benchmarks.measure import machine, peak_rss_anon, table
from retrieval.knn import search
from retrieval.store import DescriptorStore, temporary_store

_COST, _MEMORY = "s per million vectors", "RssAnon added at the peak, MB"
_TOLERANCE = 1e-5  # neighbours whose squared distances differ by less may change places


def main(argv: list[str] | None = None) -> None:
    """Parses the arguments and measures in the folder of choice."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.knn",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--vectors", type=int, default=300_000, help="database descriptors in the store (default: %(default)s)"
    )
    parser.add_argument(
        "--reference_vectors",
        type=int,
        default=200_000,
        help="of these, how many IndexFlatL2 holds in memory, which "
        "needs 4 x dim bytes for each (default: %(default)s)",
    )
    parser.add_argument("--dim", type=int, default=512, help="descriptors' dimension (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=1000, help="query descriptors (default: %(default)s)")
    parser.add_argument("--k", type=int, default=100, help="neighbours a query (default: %(default)s)")
    parser.add_argument(
        "--dtype", choices=("float32", "float16"), default="float32", help="of the store (default: %(default)s)"
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where the store is searched (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="measurements of each, in turn; the fastest counts (default: %(default)s)",
    )
    parser.add_argument("--folder", help="where the store's temporary file is (default: the system's, or TMPDIR)")
    args = parser.parse_args(argv)
    if not 0 < args.reference_vectors <= args.vectors:
        parser.error("--reference_vectors must be from 1 to --vectors")
    tempfile.tempdir, before = args.folder or tempfile.tempdir, tempfile.tempdir
    try:
        run(args)
    finally:
        tempfile.tempdir = before


def run(args: argparse.Namespace) -> None:
    """Fills a store with random unit vectors, measures both, prints the table and whether their neighbours agree."""
    rng = np.random.default_rng(0)
    with contextlib.closing(temporary_store(args.vectors, args.dim, args.dtype, 1 << 14)) as store:
        fill(store, rng)
        queries = unit_vectors(rng, args.queries, args.dim)
        print(machine())
        print(f"{args.vectors} x {args.dim} descriptors ({args.dtype}), {args.queries} queries, k = {args.k}\n")
        runs = {"IndexFlatL2": [], "retrieval.knn": []}
        for _ in range(args.repeats):  # in turn
            runs["IndexFlatL2"].append(flat_index(store.descriptors[: args.reference_vectors], queries, args.k))
            runs["retrieval.knn"].append(ours(store.descriptors, queries, args.k, args.device))
        part = search(store.descriptors[: args.reference_vectors], queries, args.k, device=args.device)
        agree = same_neighbours(runs["IndexFlatL2"][0][2], part, store, queries)
    rows = []
    for name, measured in runs.items():
        vectors = args.reference_vectors if name == "IndexFlatL2" else args.vectors
        rows.append(
            {
                "search": name,
                "vectors": vectors,
                _COST: min(seconds for seconds, _, _ in measured) / vectors * 1e6,
                _MEMORY: max(peak for _, peak, _ in measured) / 1e6,
            }
        )
    print(table(rows, ["search", "vectors", _COST, _MEMORY], ratio=_COST))
    each = [
        ours / args.vectors / (flat / args.reference_vectors)
        for (flat, _, _), (ours, _, _) in zip(*runs.values(), strict=True)
    ]
    print(
        f"\nTime a vector, of IndexFlatL2's: {rows[1][_COST] / rows[0][_COST]:.2f} (each round: "
        f"{', '.join(f'{ratio:.2f}' for ratio in each)}); same neighbours but for distances within {_TOLERANCE:g}: "
        f"{'yes' if agree else 'NO'}"
    )


def flat_index(database: np.ndarray, queries: np.ndarray, k: int) -> tuple[float, int, tuple[np.ndarray, np.ndarray]]:
    """The published way: all descriptors in an IndexFlatL2. Returns (seconds of the search, peak bytes, its result)."""
    with peak_rss_anon() as peak:
        index = faiss.IndexFlatL2(database.shape[1])
        index.add(np.asarray(database, np.float32))
        start = time.perf_counter()
        result = index.search(queries, k)
        seconds = time.perf_counter() - start
    return seconds, peak.bytes - peak.before, result


def ours(
    database: np.ndarray, queries: np.ndarray, k: int, device: str
) -> tuple[float, int, tuple[np.ndarray, np.ndarray]]:
    """Times retrieval.knn. Returns the same as flat_index."""
    with peak_rss_anon() as peak:
        start = time.perf_counter()
        result = search(database, queries, k, device=device)
        seconds = time.perf_counter() - start
    return seconds, peak.bytes - peak.before, result


def same_neighbours(
    expected: tuple[np.ndarray, np.ndarray],
    found: tuple[np.ndarray, np.ndarray],
    store: DescriptorStore,
    queries: np.ndarray,
) -> bool:
    """Returns whether both found the same neighbours. Those within _TOLERANCE of each other may change places.

    expected, found: (distances, neighbours), (q, k) each
    store: the database
    queries: float32 (q, dim)
    """
    for query, one, other in zip(queries.astype(np.float64), expected[1], found[1], strict=True):
        places = np.flatnonzero(one != other)
        if len(places):
            distances = [
                ((query - store.descriptors[ids[places]].astype(np.float64)) ** 2).sum(axis=1) for ids in (one, other)
            ]
            if np.abs(distances[0] - distances[1]).max() > _TOLERANCE:
                return False
    return True


def fill(store: DescriptorStore, rng: np.random.Generator) -> None:
    """Fills a store with random unit vectors."""
    for block in store.pending():
        store.write(block, unit_vectors(rng, len(store.rows(block)), store.dim), {})
    store.finish()


def unit_vectors(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Returns random unit vectors, float32 (n, dim)."""
    vectors = torch.from_numpy(rng.standard_normal((n, dim), dtype=np.float32))
    return torch.nn.functional.normalize(vectors).numpy()


if __name__ == "__main__":
    sys.exit(main())
