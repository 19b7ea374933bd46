"""Evaluation on several ranks: each extracts and searches its share of a store's blocks; the results are merged."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch

import distributed
from retrieval import knn
from retrieval.store import DescriptorStore, FolderStore, temporary_store
from support.errors import UserError

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def shared_store(
    whole: AbstractContextManager[DescriptorStore], num_images: int, dim: int, dtype: str, block: int
) -> Iterator[DescriptorStore]:
    """The store that all ranks share; with one process, the store of `whole`.

    If the store is not kept, or not all ranks see the same disk, each rank has a temporary store of its own share.

    whole: a context manager with rank 0's store; the other ranks open it under rank 0's locks
    num_images, dim: of the descriptors
    dtype: "float32" or "float16"
    block: images in a block
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
            distributed.barrier()  # rank 0 releases the locks only now


def _open_together(kept: DescriptorStore | None) -> DescriptorStore | None:
    """Opens rank 0's kept store on every rank. Returns None on every rank if not all see the same store.

    kept: on rank 0, its store, which is closed if None is returned; None on the other ranks.
    """
    mark = _leave_mark(kept.folder) if kept is not None and kept.folder else None
    try:
        path = distributed.from_main(mark)
        store = kept if distributed.is_main() else _open_marked(path)
        # complete or not must agree too: a network disk may show an old header, and ranks would wait for each other
        seen = distributed.gather(store.complete if path and store is not None else None)
    finally:
        if mark:
            with contextlib.suppress(OSError):
                os.unlink(mark)
    if None not in seen and len(set(seen)) == 1:
        return store
    if path:
        other = next(rank for rank, complete in enumerate(seen) if complete != seen[0])
        logger.info(f"{os.path.dirname(path)} is not used: rank {other} does not see there what rank 0 does")
    if store is not None:
        store.close()
    return None


def _leave_mark(folder: str) -> str | None:
    """Makes a new file in rank 0's folder and returns its path; None if the disk refuses.

    By this file the other ranks tell rank 0's folder from one of the same name on a disk of their own. Its name is new,
    because a network disk may show old contents under a known name. It is empty, because a full disk has room for that.
    A file that a killed process leaves does no harm.
    """
    path = os.path.join(folder, f"rank0_{os.urandom(16).hex()}")
    try:
        open(path, "x").close()
    except OSError as error:
        logger.info(f"{folder} is not used: many processes need a folder that can be written to ({error.strerror})")
        return None
    return path


def _open_marked(path: str | None) -> FolderStore | None:
    """Opens the store in the folder of a mark; None if the mark is missing, as on another machine's disk."""
    if not path or not os.path.exists(path):
        return None
    try:
        return FolderStore(os.path.dirname(path))
    except (OSError, ValueError):  # a network disk that shows old files
        return None


def search(
    database: DescriptorStore, queries: DescriptorStore, k: int, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Searches as knn.search, in stores that may be sharded. Every rank gets the result that one process gets.

    A rank maps all queries' descriptors, and holds two lists of neighbours.

    database, queries: their stores; unreadable images are excluded
    k: neighbours of each query
    device: as in knn.search
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
def all_descriptors(store: DescriptorStore) -> Iterator[np.ndarray]:
    """All descriptors of a store, on every rank: (n, dim), memory-mapped."""
    if not store.sharded:
        yield store.descriptors
        return
    # a rank reads only what it wrote, in a kept store too: a network disk may show it old pages
    with contextlib.closing(temporary_store(store.num_images, store.dim, store.dtype, store.block_size)) as whole:
        for rank in range(distributed.size()):
            for block in store.blocks(rank):
                rows = whole.rows(block)
                mine = np.array(store.descriptors[rows.start : rows.stop])
                whole.write(block, distributed.broadcast(torch.from_numpy(mine), rank, "queries").numpy(), {})
        yield whole.descriptors


def from_main_alone(
    search: Callable[[], tuple[np.ndarray, np.ndarray]], database: DescriptorStore, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Gives every rank the result of a search that only rank 0 can do: (float32 (q, k), int64 (q, k)).

    search: on rank 0, gives distances and predictions; database: its store; shape: (q, k). Raises UserError if the
    database's descriptors are not in one place.
    """
    if not database.sharded:
        return search()
    if database.folder is None:
        raise UserError(
            "--faiss_index needs all descriptors in one place, and those of several processes are kept apart: "
            "leave out --no_descriptors_cache, and run where all machines see cache/descriptors"
        )
    found = search() if distributed.is_main() else (np.empty(shape, np.float32), np.empty(shape, np.int64))
    return tuple(distributed.broadcast(torch.from_numpy(values), 0, "neighbours").numpy() for values in found)
