"""Descriptors and image pairs in the formats of other tools.

hloc (github.com/cvg/Hierarchical-Localization) reads global descriptors from an HDF5 file. It has a group for each
image, with the array `global_descriptor`. Pairs are lines of a text file: two names and a blank between them. Names are
relative to a folder (image_dir) that holds all images.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from datasets.test_dataset import ImageFolder, TestDataset
from retrieval.knn import search
from retrieval.store import DescriptorStore
from support.errors import UserError
from support.files import replacing

logger = logging.getLogger(__name__)

_BLOCK = 1 << 13  # images at a time


class Described(NamedTuple):
    """The images of a folder and their descriptors."""

    images: ImageFolder
    descriptors: np.ndarray  # (n, dim), may be memory-mapped; zero for unreadable images
    unreadable: dict[int, str]  # index -> reason


@dataclass(frozen=True)
class Exports:
    """What is written of a test for other tools, and where."""

    folder: str
    formats: tuple[str, ...] = ()  # of descriptors: "npy" and "h5"
    num_pairs: int = 0  # database images paired with each query; 0: no pairs
    num_sfm_pairs: int = 0  # database images paired with each database image; 0: no pairs


def save(
    test_set: TestDataset,
    exports: Exports,
    device: torch.device | str,
    database_store: DescriptorStore,
    queries_store: DescriptorStore,
    predictions: np.ndarray,
) -> None:
    """Writes the exports of a test, and logs where they are.

    test_set: the database and its queries
    exports: what to write
    device: searches for pairs of database images
    database_store, queries_store: with the descriptors
    predictions: int (q, k), as in test.TestResult

    Raises UserError as save_npy, save_h5 and save_query_pairs.
    """
    database, queries = (
        Described(images, store.descriptors, store.unreadable)
        for images, store in ((test_set.database, database_store), (test_set.queries, queries_store))
    )
    folder = exports.folder
    root = _root(test_set)
    if exports.formats or exports.num_pairs or exports.num_sfm_pairs:
        os.makedirs(folder, exist_ok=True)
    if "npy" in exports.formats:
        save_npy(database, os.path.join(folder, "database"))
        save_npy(queries, os.path.join(folder, "queries"))
        logger.info(
            f"Descriptors are in {folder}: database_descriptors.npy, queries_descriptors.npy, and names beside them"
        )
    if "h5" in exports.formats:
        path = os.path.join(folder, "global_descriptors.h5")
        save_h5((database, queries), root, path)
        logger.info(f"Descriptors for hloc, whose image_dir is {root}, are in {path}")
    if exports.num_pairs:
        path = os.path.join(folder, "pairs_queries.txt")
        count = save_query_pairs(predictions, queries.images, database.images, root, path, exports.num_pairs)
        logger.info(f"{count} pairs of a query and a database image, named from {root}, are in {path}")
    if exports.num_sfm_pairs:
        path = os.path.join(folder, "pairs_sfm.txt")
        count = save_sfm_pairs(database, root, path, exports.num_sfm_pairs, device)
        logger.info(f"{count} pairs of database images, named from {root}, are in {path}")


def save_npy(described: Described, path_start: str) -> None:
    """Writes <path_start>_descriptors.npy, an array (n, dim), and <path_start>_names.txt, the image of each row.

    numpy.load(mmap_mode="r") opens the array. Rows of unreadable images are zero. Names are relative to the folder.
    Raises UserError if the disk refuses, or if a name has a line break.
    """
    write_array(described.descriptors, f"{path_start}_descriptors.npy")
    write_names(described.images.names, f"{path_start}_names.txt")


def write_array(source: np.ndarray, path: str) -> None:
    """Writes descriptors (n, dim), in memory or mapped, as an .npy file. Raises UserError if the disk refuses."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        header = {"descr": source.dtype.str, "fortran_order": False, "shape": source.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for begin in range(0, len(source), _BLOCK):
            file.write(np.ascontiguousarray(source[begin : begin + _BLOCK]))


def write_names(names: Iterable[str], path: str) -> None:
    """Writes names as lines. Raises UserError if the disk refuses, or if a name has a line break."""
    with _writing_lines(path) as write:
        for name in names:
            write(_line_of(name))


def check_names(names: Iterable[str]) -> None:
    """Raises UserError if a name has a line break, which write_names would find too late."""
    for name in names:
        _line_of(name)


def check_h5py() -> ModuleType:
    """Imports h5py. Raises UserError if it is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise UserError("HDF5 files need h5py: pip install -r requirements-export.txt") from error
    return h5py


def check_pair_names(test_set: TestDataset) -> None:
    """Raises UserError if an image's name cannot stand in a list of pairs: before hours of extraction."""
    root = _root(test_set)
    for images in (test_set.database, test_set.queries):
        _pair(next(_names(images, root)), b"")
        if any((images.names.blob == character).any() for character in b" \t\n"):
            for name in _names(images, root):
                _pair(name, b"")


def save_h5(parts: Iterable[Described], root: str, path: str) -> None:
    """Writes hloc's file of global descriptors, with all readable images of the parts.

    root: the folder that names are relative to. Raises UserError if the disk refuses or h5py is not installed.
    """
    h5py = check_h5py()
    with (
        replacing(path) as temporary,
        h5py.File(temporary, "w", libver="latest", locking=False) as file,  # `replacing` holds its lock
        tqdm(
            total=sum(len(part.descriptors) for part in parts), desc="HDF5", unit="img", leave=False, disable=None
        ) as progress,
    ):
        for part in parts:
            for index, (name, descriptor) in enumerate(zip(_names(part.images, root), part.descriptors, strict=True)):
                progress.update()
                if index not in part.unreadable and name not in file:  # database and queries may be one folder
                    file.create_group(name).create_dataset("global_descriptor", data=descriptor)


def save_query_pairs(
    predictions: np.ndarray, queries: ImageFolder, database: ImageFolder, root: str, path: str, count: int
) -> int:
    """Writes the nearest database images of every query, as hloc's pairs_from_retrieval. Returns how many lines.

    A line is "query database"; queries are in their order, and the nearest image comes first.

    predictions: int (q, k), database indices, nearest first; -1: no prediction
    queries, database: their images
    root: the folder that names are relative to
    path: of the file
    count: database images for each query, at most

    Raises UserError if the disk refuses, or if a name has a blank.
    """
    database_names = list(_names(database, root))
    written = 0
    with _writing_lines(path) as write:
        for query, nearest in zip(_names(queries, root), predictions[:, :count], strict=True):
            for index in nearest[nearest >= 0]:
                write(_pair(query, database_names[index]))
                written += 1
    return written


def save_sfm_pairs(database: Described, root: str, path: str, count: int, device: torch.device | str = "cpu") -> int:
    """Writes pairs of database images for structure from motion. Returns how many lines.

    Every image is paired with its nearest others, each pair once. The time grows with the square of the database.

    database: images and descriptors
    root, path: as in save_query_pairs
    count: other images for each image
    device: of the search

    Raises UserError as save_query_pairs.
    """
    names = list(_names(database.images, root))
    readable = np.setdiff1d(np.arange(len(names)), list(database.unreadable))
    nearest_of = np.full((len(names), count), -1)
    with tqdm(total=len(readable), desc="SfM pairs", unit="img", leave=False, disable=None) as progress:
        for begin in range(0, len(readable), _BLOCK):
            rows = readable[begin : begin + _BLOCK]
            _, nearest = search(
                database.descriptors, database.descriptors[rows], count + 1, database.unreadable, device=device
            )
            nearest_of[rows] = _without(nearest, rows)
            progress.update(len(rows))
    written = 0
    with _writing_lines(path) as write:
        for image, nearest in enumerate(nearest_of):
            for other in nearest[nearest >= 0]:
                if other > image or image not in nearest_of[other]:  # else the pair is written already
                    write(_pair(names[image], names[other]))
                    written += 1
    return written


def _without(nearest: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Removes the image itself from each row of neighbours (n, k + 1), or else the last neighbour: (n, k)."""
    itself = nearest == rows[:, None]
    itself[~itself.any(axis=1), -1] = True
    return nearest[~itself].reshape(len(nearest), -1)


def _root(test_set: TestDataset) -> str:
    """The folder that holds database and queries."""
    return os.path.commonpath([os.path.abspath(images.folder) for images in (test_set.database, test_set.queries)])


def _names(images: ImageFolder, root: str) -> Iterator[bytes]:
    """The images' paths relative to root, as bytes with / between folders."""
    prefix = os.path.relpath(os.path.abspath(images.folder), root)
    prefix = b"" if prefix == "." else os.fsencode(prefix) + b"/"
    for name in images.names:
        yield prefix + os.fsencode(name)


def _pair(first: bytes, second: bytes) -> bytes:
    for name in (first, second):
        if b" " in name or b"\t" in name:
            raise UserError(
                f"image name {os.fsdecode(name)!r} has a blank, which separates the names of a pair; rename the file"
            )
    return _line_of(first) + b" " + _line_of(second)


def _line_of(name: str | bytes) -> bytes:
    name = os.fsencode(name)
    if b"\n" in name:
        raise UserError(
            f"image name {os.fsdecode(name)!r} has a line break, and cannot stand in a list; rename the file"
        )
    return name


@contextlib.contextmanager
def _writing_lines(path: str) -> Iterator[Callable[[bytes], object]]:
    """Yields a function that writes a line. The file appears whole, at the end."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        yield lambda line: file.write(line + b"\n")
