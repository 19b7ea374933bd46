"""One evaluation on many ranks: each extracts and searches its own share of a store's blocks, and the best are merged."""

import contextlib
import logging
import os

import numpy as np
import torch

import distributed
from retrieval import knn
from retrieval.store import FolderStore, temporary_store
from support.errors import UserError


@contextlib.contextmanager
def shared_store(whole, num_images, dim, dtype, block):
    """The sharded store of all ranks for num_images descriptors; with one process `whole`'s.

    whole: a context manager that gives rank 0's kept store, which the others open under its locks, or a temporary one.
    Where a store is not kept, or lies on a disk that not all ranks see alike, each rank has a temporary store of its
    own share.
    """
    if distributed.size() == 1:
        with whole as store:
            yield store
        return
    with whole if distributed.is_main() else contextlib.nullcontext() as kept:
        store = _open_together(kept) or temporary_store(num_images, dim, dtype, block, sharded=True)
        store.sharded = True
        with contextlib.closing(store):
            yield store
            distributed.barrier()  # rank 0 lets go of the locks only now


def _open_together(kept):
    """Rank 0's kept store on every rank, or None on every rank where not all see it alike. kept: on rank 0 that store,
    which is closed if None is returned, or a temporary one; None on the others.
    """
    mark = _leave_mark(kept.folder) if kept is not None and kept.folder else None
    try:
        path = distributed.from_main(mark)
        store = kept if distributed.is_main() else _open_marked(path)
        # whether it is complete too: where a network disk shows an old header, ranks would not meet in completing it
        seen = distributed.gather(store.complete if path and store is not None else None)
    finally:
        if mark:
            with contextlib.suppress(OSError):
                os.unlink(mark)
    if None not in seen and len(set(seen)) == 1:
        return store
    if path:
        other = next(rank for rank, complete in enumerate(seen) if complete != seen[0])
        logging.info(f"{os.path.dirname(path)} is not used: rank {other} does not see there what rank 0 does")
    if store is not None:
        store.close()
    return None


def _leave_mark(folder):
    """The path of a new file in rank 0's folder, by which the others know it from one on a disk of their own, which may
    have that name and a store of the same descriptors too; None where the disk refuses.

    Its name is new, since of a known one a network disk may show what was there before; it is empty, since a full disk
    has room for that. What a killed process leaves of it is in nobody's way.
    """
    path = os.path.join(folder, f"rank0_{os.urandom(16).hex()}")
    try:
        open(path, "x").close()
    except OSError as error:
        logging.info(f"{folder} is not used: many processes need a folder that can be written to ({error.strerror})")
        return None
    return path


def _open_marked(path):
    """The store in the folder of a mark; None if the mark is not there, as on another machine's disk."""
    if not path or not os.path.exists(path):
        return None
    try:
        return FolderStore(os.path.dirname(path))
    except (OSError, ValueError):  # a network disk that is behind
        return None


def search(database, queries, k, device="cpu"):
    """knn.search in the DescriptorStore of a database, which may be sharded as that of the queries: the same on every
    rank as one process gives. A rank maps all queries' descriptors, and holds two lists of neighbours.
    """
    with all_descriptors(queries) as everything:
        if not database.sharded:
            return knn.search(database.descriptors, everything, k, database.unreadable, queries.unreadable, device)
        part = database.part()
        excluded = [index - part.start for index in database.unreadable if part.start <= index < part.stop]
        distances, neighbours = knn.search(
            database.descriptors[part], everything, k, excluded, queries.unreadable, device
        )
    neighbours[neighbours >= 0] += part.start
    best = None
    for theirs in distributed.each_in_turn([torch.from_numpy(distances), torch.from_numpy(neighbours)]):
        theirs = [tensor.numpy() for tensor in theirs]
        best = (
            theirs
            if best is None
            else knn.nearest(*(np.concatenate(pair, axis=1) for pair in zip(best, theirs, strict=True)), k)
        )
    return best


@contextlib.contextmanager
def all_descriptors(store):
    """All descriptors of a store, on every rank: (n, dim), memory-mapped."""
    if (
        not store.sharded
    ):  # even a kept one is not read where others wrote: a disk of many machines may show them old pages
        yield store.descriptors
        return
    with contextlib.closing(temporary_store(store.num_images, store.dim, store.dtype, store.block_size)) as whole:
        for rank in range(distributed.size()):
            for block in store.blocks(rank):
                rows = whole.rows(block)
                mine = np.array(store.descriptors[rows.start : rows.stop])
                whole.write(block, distributed.broadcast(torch.from_numpy(mine), rank, "queries").numpy(), {})
        yield whole.descriptors


def from_main_alone(search, database, shape):
    """Of a search that only rank 0 can do, in a kept store: (distances float32 (q, k), predictions int64 (q, k)) on
    every rank. shape: (q, k).
    """
    if not database.sharded:
        return search()
    if database.folder is None:
        raise UserError(
            "--faiss_index needs all descriptors in one place, and those of several processes are kept apart: leave out "
            "--no_descriptors_cache, and run where all machines see cache/descriptors"
        )
    found = search() if distributed.is_main() else (np.empty(shape, np.float32), np.empty(shape, np.int64))
    return tuple(distributed.broadcast(torch.from_numpy(values), 0, "neighbours").numpy() for values in found)
