"""Exact nearest neighbours by L2 distance. The memory needed does not grow with the database."""

import contextlib
from collections.abc import Iterable, Iterator

import faiss
import numpy as np
import torch

BLOCK_BYTES = 1 << 27  # of database descriptors as float32, searched at a time
_SLACK = 8  # further candidates, because distances by matrix product are off by some bits
_PAIRS_BYTES = 1 << 23  # of the differences between queries and candidates, at a time
_GPU_QUERIES = 2048  # of one matrix product on a GPU: (2048, 65536) distances take 0.5 GB


def search(
    database: np.ndarray,
    queries: np.ndarray,
    k: int,
    exclude_database: Iterable[int] = (),
    exclude_queries: Iterable[int] = (),
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the k nearest database descriptors of every query; of equals, those of the lowest index.

    The order does not depend on how the database is divided into blocks or among ranks.

    database: float32 or float16 (n, dim), may be memory-mapped
    queries: float32 or float16 (q, dim); a float32 copy is held in memory
    k: neighbours of each query
    exclude_database: indices that are never retrieved
    exclude_queries: indices of queries that retrieve nothing
    device: a CUDA device searches by matrix product and top-k in float32

    Returns (distances, neighbours), nearest first: squared L2 distances float32 (q, k), and database indices int64
    (q, k). Where the database has fewer than k images they are infinity and -1.
    """
    queries = np.ascontiguousarray(queries, np.float32)
    usable = np.ones(len(database), bool)
    usable[list(exclude_database)] = False
    device = torch.device(device)
    search_blocks = _search_gpu if device.type == "cuda" else _search_cpu
    if not len(database):  # a rank's share may be
        return np.full((len(queries), k), np.inf, np.float32), np.full((len(queries), k), -1)
    _, candidates = search_blocks(database, queries, k + _SLACK, usable, device)
    return exclude(*nearest(_distances(database, queries, candidates), candidates, k), exclude_queries)


def most_similar(queries: np.ndarray, database: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the k most similar descriptors of every query, and checks that both are descriptors.

    queries: (q, dim), rows of unit length, or of zeros: those find nothing
    database: (n, dim), the same: rows of zeros are never found
    k: neighbours of each query; no more than the database has are given

    Returns (cosines float32 (q, k), indices int64 (q, k)), the most similar first; -inf and -1 for queries of zeros.
    Raises ValueError if an array has another shape, other dimensions, or a row that is neither of unit length nor zero.
    """
    queries, database = np.asanyarray(queries), np.asanyarray(database)
    for name, array in (("queries", queries), ("database", database)):
        if array.ndim != 2 or array.dtype.kind != "f":
            raise ValueError(f"{name} is an array of {array.dtype} {array.shape}, and must be float32 (n, D)")
    if queries.shape[1] != database.shape[1]:
        raise ValueError(
            f"queries have {queries.shape[1]} dimensions, and the database {database.shape[1]}: "
            "describe both with one model"
        )
    zeros = [_zero_rows(array, name) for name, array in (("queries", queries), ("database", database))]
    squared, indices = search(database, queries, min(k, len(database) - len(zeros[1])), zeros[1], zeros[0])
    return np.where(indices < 0, -np.inf, 1 - squared / 2).astype(np.float32), indices


def _zero_rows(descriptors: np.ndarray, name: str) -> np.ndarray:
    """The indices of the rows of zeros. Raises ValueError as most_similar."""
    zero = []
    for indices, block in usable_blocks(descriptors, np.ones(len(descriptors), bool)):
        lengths = np.linalg.norm(block, axis=1)
        wrong = indices[~(np.abs(lengths - 1) < 1e-2) & (lengths != 0)]
        if len(wrong):
            raise ValueError(f"row {wrong[0]} of {name} does not have unit length: give descriptors")
        zero.append(indices[lengths == 0])
    return np.concatenate(zero) if zero else np.zeros(0, np.int64)


def nearest(distances: np.ndarray, neighbours: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorts candidates (q, c) and keeps the k nearest; of equals, those of the lowest index.

    A missing candidate is -1 with an infinite distance. Returns (distances, neighbours), each (q, k).
    """
    order = np.lexsort((np.where(neighbours < 0, np.iinfo(np.int64).max, neighbours), distances), axis=1)[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(neighbours, order, 1)


def _distances(database: np.ndarray, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Squared L2 distances of each query and its candidates (-1: no candidate), float32 (q, c).

    Each pair is computed on its own. In a matrix product the last bits depend on the neighbouring rows, and equal
    images get different distances.
    """
    distances = np.full(candidates.shape, np.inf, np.float32)
    rows = max(1, _PAIRS_BYTES // (8 * candidates.shape[1] * queries.shape[1]))
    for begin in range(0, len(queries), rows):
        found = candidates[begin : begin + rows]
        differences = (
            database[np.maximum(found, 0)].astype(np.float64) - queries[begin : begin + rows, None]
        )  # (rows, c, dim)
        distances[begin : begin + rows][found >= 0] = np.einsum("qcd,qcd->qc", differences, differences)[found >= 0]
    return distances


def exclude(distances: np.ndarray, neighbours: np.ndarray, queries: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """Removes, in place, the neighbours of queries that retrieve nothing. Returns (distances, neighbours).

    distances, neighbours: as search returns them; where a neighbour is -1 its distance becomes infinite.
    """
    neighbours[list(queries)] = -1
    distances[neighbours < 0] = np.inf
    return distances, neighbours


def usable_blocks(database: np.ndarray, usable: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the usable rows of a database, BLOCK_BYTES at a time: (int64 (b,) indices, float32 (b, dim))."""
    rows = max(1, BLOCK_BYTES // (4 * database.shape[1]))
    for begin in range(0, len(database), rows):
        indices = np.flatnonzero(usable[begin : begin + rows])
        block = database[begin : begin + rows]
        if len(indices):
            block = block if len(indices) == len(block) else block[indices]
            yield begin + indices, np.ascontiguousarray(block, np.float32)  # a copy only if it is not float32 yet


def _search_cpu(
    database: np.ndarray, queries: np.ndarray, k: int, usable: np.ndarray, device: torch.device | str
) -> tuple[np.ndarray, np.ndarray]:
    heap = faiss.ResultHeap(len(queries), k)
    for indices, block in usable_blocks(database, usable):
        distances, neighbours = faiss.knn(queries, block, min(k, len(block)))
        heap.add_result(*_pad(distances, indices[neighbours], k))
    heap.finalize()
    return heap.D, heap.I


def _pad(distances: np.ndarray, neighbours: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    missing = ((0, 0), (0, k - distances.shape[1]))
    return np.pad(distances, missing, constant_values=np.inf), np.pad(neighbours, missing, constant_values=-1)


def _search_gpu(
    database: np.ndarray, queries: np.ndarray, k: int, usable: np.ndarray, device: torch.device | str
) -> tuple[np.ndarray, np.ndarray]:
    """|q - x|^2 = |q|^2 + |x|^2 - 2 q.x, of which |q|^2 is added last: it changes no order."""
    queries = torch.from_numpy(queries).to(device)
    best = torch.full((len(queries), k), torch.inf, device=device)
    nearest = torch.full((len(queries), k), -1, device=device)
    with torch.inference_mode(), _full_float32():
        for indices, block in usable_blocks(database, usable):
            block = torch.tensor(block, device=device)
            indices = torch.from_numpy(indices).to(device)
            norms = block.square().sum(dim=1)  # (b,)
            for begin in range(0, len(queries), _GPU_QUERIES):
                part = slice(begin, begin + _GPU_QUERIES)
                distances = torch.addmm(norms, queries[part], block.T, alpha=-2)  # (q, b)
                distances, columns = distances.topk(min(k, len(block)), dim=1, largest=False)
                merged = torch.cat([best[part], distances], dim=1)
                best[part], order = merged.topk(k, dim=1, largest=False)
                nearest[part] = torch.cat([nearest[part], indices[columns]], dim=1).gather(1, order)
        best = (best + queries.square().sum(dim=1, keepdim=True)).clamp_(min=0)
    return best.cpu().numpy(), nearest.cpu().numpy()


@contextlib.contextmanager
def _full_float32() -> Iterator[None]:
    """Matrix products in float32, whatever the settings: TF32 has 10 bits, too few to tell near neighbours apart."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
