"""The rows of unchanged images in an earlier store of the same folder: only new and changed images are described.

A row is taken if the image has the name, size and modification time that it had, and the network and all settings are
the same. A batch then holds other images than in an extraction of the whole folder, which may change the last bits.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from datasets.test_dataset import ImageFolder
from retrieval.identity import NO_STAMP, image_stamps
from retrieval.store import STAMPS, FolderStore
from retrieval.store_header import read_header
from support.locks import LOCK, FileLock
from support.regular_files import open_regular

logger = logging.getLogger(__name__)

GROWN = "grown"  # the setting of a store that has such rows


class Earlier(NamedTuple):
    """Descriptors that are there already."""

    descriptors: np.ndarray  # (m, dim), memory-mapped
    rows: np.ndarray  # int64 (n,): the row of each image; -1: it is to be described

    def unknown(self, images: range) -> list[int]:
        """Those of some images that are to be described."""
        return [image for image in images if self.rows[image] < 0]

    def fill(self, images: range, descriptors: np.ndarray) -> None:
        """Puts the descriptors that are there into float32 (len(images), dim)."""
        rows = self.rows[images.start : images.stop]
        descriptors[rows >= 0] = self.descriptors[rows[rows >= 0]]


@contextlib.contextmanager
def earlier_rows(folder: str, header: dict, images: ImageFolder) -> Iterator[Earlier | None]:
    """Finds the complete store with most of the images, and keeps it from being removed within the context.

    folder: holds stores
    header: of the store that is to be made
    images: of the store that is to be made

    Yields None if no store has any of them.
    """
    stamps = np.fromiter(image_stamps(images), f"S{len(NO_STAMP)}", len(images))
    candidates = []
    if "changed" not in header["identity"]["settings"]:  # else a row depends on other images too
        candidates = [(path, _common(stamps, path, found)) for path, found in _alike(folder, header)]
    with contextlib.ExitStack() as stack:
        for path, rows in sorted(candidates, key=lambda candidate: -np.count_nonzero(candidate[1] >= 0)):
            store = stack.enter_context(_opened(path)) if (rows >= 0).any() else None
            if store is not None:
                rows[np.isin(rows, list(store.unreadable))] = -1  # they are tried again
                _log(images, path, store, rows)
                yield Earlier(store.descriptors, rows)
                return
        yield None


@contextlib.contextmanager
def _opened(path: str) -> Iterator[FolderStore | None]:
    """Opens a store, which no process removes within the context; None if it is damaged or being written."""
    lock, store = FileLock(path + LOCK), None
    try:
        try:
            if lock.acquire(exclusive=False, wait=False):
                store = FolderStore(path)
        except (OSError, ValueError) as error:
            logger.debug(f"No descriptors are taken from {path}: {error}")
        with contextlib.closing(store) if store else contextlib.nullcontext():
            yield store
    finally:
        lock.release()


def _log(images: ImageFolder, path: str, store: FolderStore, rows: np.ndarray) -> None:
    known = np.count_nonzero(rows >= 0)
    gone = store.num_images - len(np.unique(rows[rows >= 0]))
    logger.info(
        f"{known} of the {len(images)} images of {images.folder} are as they were: their descriptors are taken from "
        f"{path}, {len(images) - known} are described"
        + (f"; {gone} of the images there are gone, or have changed" if gone else "")
    )


def _alike(folder: str, header: dict) -> Iterator[tuple[str, dict]]:
    """(path, header) of the complete stores of the same folder, network and settings."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name) if os.path.isdir(folder) else ():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if entry.is_dir() and _key(found := read_header(entry.path)) == _key(header) and found["complete"]:
                yield entry.path, found


def _key(header: dict) -> tuple:
    """What stores have in common that have the same rows of the same images."""
    identity = header["identity"]
    settings = {name: value for name, value in identity["settings"].items() if name != GROWN}
    return identity["weights"], identity["folder"], settings, header["dtype"], header["dim"]


def _common(stamps: np.ndarray, path: str, header: dict) -> np.ndarray:
    """The row of each image in the store at a path: int64 (n,); -1: it is not there, or has changed."""
    nowhere = np.full(len(stamps), -1)
    try:
        with open_regular(os.path.join(path, STAMPS)) as file:
            data = file.read(len(NO_STAMP) * header["num_images"])
    except OSError:  # a store of an earlier version has no stamps
        return nowhere
    if len(data) != len(NO_STAMP) * header["num_images"] or hashlib.sha256(data).hexdigest() != header.get("stamps"):
        return nowhere
    theirs = np.frombuffer(data, stamps.dtype)
    order = np.argsort(theirs, kind="stable")
    found = order[np.minimum(np.searchsorted(theirs, stamps, sorter=order), len(order) - 1)]
    return np.where((theirs[found] == stamps) & (stamps != NO_STAMP.rstrip(b"\0")), found, -1)
