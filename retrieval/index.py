"""Approximate nearest neighbours by any index of faiss's index_factory, built from a store and kept beside it."""

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator

import faiss
import numpy as np

from retrieval import knn
from retrieval.store import DescriptorStore
from support.errors import UserError
from support.files import read_object, replacing
from support.locks import FileLock
from support.regular_files import open_regular

logger = logging.getLogger(__name__)

FLAT = "Flat"  # exact: retrieval/knn.py
DEFAULT_NPROBE = 16
_VERSION = 1
_TRAINING_BYTES = 1 << 29  # of the float32 descriptors that an index is trained on; more if its cells need it
_PER_CELL = 39  # training descriptors a cell, below which faiss warns
_SAMPLED_QUERIES, _SAMPLED_RANKS = 100, 10


def check_index(factory: str, nprobe: int | None, dim: int, num_images: int) -> None:
    """Checks that faiss can make an index: before hours of extraction.

    factory: a string of faiss's index_factory
    nprobe: as in search_index
    dim: of the descriptors
    num_images: of the database

    Raises UserError if it cannot.
    """
    index = _make(factory, dim)
    ivf = faiss.try_extract_index_ivf(index)
    if nprobe is not None and ivf is None:
        raise UserError(
            f"--faiss_nprobe {nprobe}: the index {factory!r} has no cells to probe; leave it out, or give an IVF index"
        )
    if ivf is not None and ivf.nlist < 1:
        raise UserError(f"--faiss_index {factory!r}: an IVF index needs at least 1 cell")
    if ivf is not None and ivf.nlist > num_images:
        raise UserError(
            f"--faiss_index {factory!r}: training its {ivf.nlist} cells needs at least as many images, "
            f"and the database has {num_images}; ask for fewer, or leave it out for exact search"
        )


def search_index(
    store: DescriptorStore,
    queries: np.ndarray,
    k: int,
    factory: str,
    nprobe: int | None = None,
    exclude_queries: Iterable[int] = (),
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Searches an approximate index of a store's descriptors, as knn.search; logs its recall against exact search.

    An index that was kept beside the store is opened. Otherwise it is built, and kept if the store is.

    store: of the database; its unreadable images are never retrieved
    queries: (q, dim), float32 or float16
    k: neighbours of each query
    factory: a string of faiss's index_factory
    nprobe: cells searched for each query, for IVF indexes (default: DEFAULT_NPROBE)
    exclude_queries: indices of queries that retrieve nothing
    seed: of the sample that the index is trained on, and of the queries that its recall is measured on

    Returns (distances, neighbours) as knn.search. Raises UserError if faiss refuses.
    """
    queries = np.ascontiguousarray(queries, np.float32)
    usable = np.ones(store.num_images, bool)
    usable[list(store.unreadable)] = False
    index = _open_or_build(store, factory, usable, seed)
    ivf = faiss.try_extract_index_ivf(index)
    if ivf is not None:
        ivf.nprobe = nprobe or DEFAULT_NPROBE
    with _refusing(factory):
        distances, positions = index.search(queries, k)
    rows = np.append(np.flatnonzero(usable), -1)  # the index counts usable images only; -1 stays -1
    if positions.min(initial=-1) < -1 or positions.max(initial=-1) >= len(rows) - 1:
        raise UserError(
            f"the faiss index in {store.folder} names descriptors that are not there: another program wrote it; remove "
            "its index_* files"
        )
    distances, neighbours = knn.exclude(distances, rows[positions], exclude_queries)
    _log_recall(
        store,
        queries,
        neighbours,
        f"{factory}" + (f", nprobe {ivf.nprobe}" if ivf is not None else ""),
        exclude_queries,
        seed,
    )
    return distances, neighbours


def _log_recall(
    store: DescriptorStore,
    queries: np.ndarray,
    neighbours: np.ndarray,
    name: str,
    exclude_queries: Iterable[int],
    seed: int,
) -> None:
    """Logs how many of the exact nearest, and of the 10 nearest, neighbours the index finds for a sample of queries."""
    candidates = np.setdiff1d(np.arange(len(queries)), list(exclude_queries))
    sample = np.sort(np.random.default_rng(seed).permutation(candidates)[:_SAMPLED_QUERIES])
    ranks = min(_SAMPLED_RANKS, neighbours.shape[1])
    _, exact = knn.search(store.descriptors, queries[sample], ranks, store.unreadable)
    pairs = list(zip(exact, neighbours[sample, :ranks], strict=True))
    nearest = np.mean([right[0] in found for right, found in pairs])
    shared = np.mean([np.isin(right[right >= 0], found).mean() for right, found in pairs])
    logger.info(
        f"faiss index {name}, of {len(sample)} queries: its first {ranks} neighbours hold the exact nearest of "
        f"{100 * nearest:.1f}%, and {100 * shared:.1f}% of the exact {ranks}"
    )


def _open_or_build(store: DescriptorStore, factory: str, usable: np.ndarray, seed: int) -> faiss.Index:
    if store.folder is None:
        return _build(store, factory, usable, seed)
    header = {
        "version": _VERSION,
        "factory": factory,
        "seed": seed,
        "faiss": faiss.__version__,
        "num_vectors": int(usable.sum()),
        "dim": store.dim,
    }
    path = os.path.join(
        store.folder, "index_" + hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()[:16]
    )
    lock = FileLock(path + ".lock")
    try:
        try:
            lock.acquire(exclusive=True, reason=f"that builds the index {factory} in {store.folder}")
        except OSError as error:  # another user's store, or a full disk
            logger.warning(f"The faiss index cannot be kept in {store.folder}: {error.strerror or error}")
            return _build(store, factory, usable, seed)
        index = _read(path, header)
        if index is None:
            index = _build(store, factory, usable, seed)
            _write(index, path, header)
        return index
    finally:
        lock.release(remove=True)


def _build(store: DescriptorStore, factory: str, usable: np.ndarray, seed: int) -> faiss.Index:
    """Trains an index on a sample of the usable descriptors, and adds them block by block."""
    num_usable = int(usable.sum())
    logger.info(f"Building the faiss index {factory} of {num_usable} descriptors")
    with _refusing(factory):
        index = _make(factory, store.dim)
        if not index.is_trained:
            ivf = faiss.try_extract_index_ivf(index)
            wanted = max(_TRAINING_BYTES // (4 * store.dim), _PER_CELL * ivf.nlist if ivf is not None else 0)
            rows = np.random.default_rng(seed).choice(num_usable, min(wanted, num_usable), replace=False, shuffle=False)
            rows = np.flatnonzero(usable)[np.sort(rows)]  # in the order of the disk
            index.train(np.ascontiguousarray(store.descriptors[rows], np.float32))
        for _, block in knn.usable_blocks(store.descriptors, usable):
            index.add(block)
    return index


def _read(path: str, header: dict) -> faiss.Index | None:
    """Reads the index kept at a path; None if there is none. A damaged one is never given to faiss."""
    try:
        kept = read_object(path + ".json")
        digest = kept.pop("sha256", None)
        if kept != header:
            raise ValueError("its header is of something else")
        if digest != _file_digest(path + ".faiss"):
            raise ValueError("its digest is another")
        with _allocating_at_most(os.path.getsize(path + ".faiss")):
            index = faiss.read_index(path + ".faiss")
        if (index.d, index.ntotal, index.is_trained) != (header["dim"], header["num_vectors"], True):
            raise ValueError(f"it has {index.ntotal} vectors of {index.d} dimensions")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RuntimeError, MemoryError) as error:  # what JSON and faiss raise
        logger.warning(f"The index {path}.faiss cannot be used ({error}): rebuilding it")
        return None
    logger.info(f"The faiss index {header['factory']} is read from {path}.faiss")
    return index


@contextlib.contextmanager
def _allocating_at_most(size: int) -> Iterator[None]:
    """Within the context faiss refuses files that claim vectors of more bytes than size, or longer loops."""
    names = ("vector_byte_limit", "loop_limit")
    names = [name for name in names if hasattr(faiss, f"set_deserialization_{name}")]  # faiss 1.14
    before = [getattr(faiss, f"get_deserialization_{name}")() for name in names]
    for name in names:
        getattr(faiss, f"set_deserialization_{name}")(size)
    try:
        yield
    finally:
        for name, value in zip(names, before, strict=True):
            getattr(faiss, f"set_deserialization_{name}")(value)


def _write(index: faiss.Index, path: str, header: dict) -> None:
    """Writes an index to keep it. If the disk refuses, it serves this run only."""
    try:
        with replacing(path + ".faiss") as temporary:
            faiss.write_index(index, temporary)
        with replacing(path + ".json") as temporary, open(temporary, "w") as file:
            json.dump({**header, "sha256": _file_digest(path + ".faiss")}, file, indent=1)
    except (UserError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            os.unlink(path + ".faiss")
        logger.warning(f"The index is not kept: {_reason(error)}")


def _file_digest(path: str) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(factory: str, dim: int) -> faiss.Index:
    with _refusing(factory):
        return faiss.index_factory(dim, factory)


@contextlib.contextmanager
def _refusing(factory: str) -> Iterator[None]:
    """Turns what faiss raises into UserError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise UserError(f"--faiss_index {factory!r} cannot be made or searched: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The message of faiss, without the place in its source."""
    return re.sub(
        r"^Error in .*? at \S+: (Error: '.*?' failed: )?", "", (str(error).splitlines() or [type(error).__name__])[0]
    )
