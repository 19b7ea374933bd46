"""Exact nearest neighbours by L2 distance."""

import faiss
import numpy as np

BLOCK = 1 << 17  # database descriptors searched at a time


def search(database, queries, k, exclude_database=(), exclude_queries=()):
    """The k nearest database descriptors of every query, nearest first.

    database: float32 (n, dim); queries: float32 (q, dim); exclude_database: indices that are never retrieved; exclude_queries:
    indices of queries that retrieve nothing. Returns (distances, neighbours): squared L2 distances float32 (q, k) and database indices
    int64 (q, k), padded with infinity and -1 where the database has fewer than k images.
    """
    heap = faiss.ResultHeap(len(queries), k)
    usable = np.ones(len(database), bool)
    usable[list(exclude_database)] = False
    for begin in range(0, len(database), BLOCK):
        rows = np.flatnonzero(usable[begin:begin + BLOCK])
        block = database[begin:begin + BLOCK]
        block = block if len(rows) == len(block) else block[rows]
        if len(rows):
            distances, neighbours = faiss.knn(queries, np.ascontiguousarray(block), min(k, len(rows)))
            heap.add_result(*_pad(distances, begin + rows[neighbours], k))
    heap.finalize()
    distances, neighbours = heap.D, heap.I
    distances[neighbours < 0] = np.inf
    distances[list(exclude_queries)], neighbours[list(exclude_queries)] = np.inf, -1
    return distances, neighbours


def _pad(distances, neighbours, k):
    missing = ((0, 0), (0, k - distances.shape[1]))
    return np.pad(distances, missing, constant_values=np.inf), np.pad(neighbours, missing, constant_values=-1)
