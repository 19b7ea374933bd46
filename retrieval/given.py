"""Descriptors that were made elsewhere: an .npy file, with the names of the images beside it."""

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from datasets.test_dataset import ImageFolder, TestDataset
from retrieval.store import DescriptorStore, temporary_store
from support.errors import UserError
from support.regular_files import open_regular

logger = logging.getLogger(__name__)

_LENGTH_TOLERANCE = 1e-2


def names_beside(path: str) -> str:
    """The path of the names of an .npy file of descriptors, one a line: x_names.txt of x.npy or x_descriptors.npy."""
    return re.sub(r"(_descriptors)?\.npy$", "", path) + "_names.txt"


@dataclass(frozen=True)
class Given:
    """The files of a method's descriptors."""

    database: str
    queries: str
    dim: int

    @classmethod
    def of(cls, database: str, queries: str) -> Self:
        """Opens both files. Raises UserError if one is missing or damaged, or if their dimensions differ."""
        dims = [_open(path).shape[1] for path in (database, queries)]
        if dims[0] != dims[1]:
            raise UserError(f"{database} has {dims[0]} dimensions and {queries} {dims[1]}: give files of one method")
        return cls(database, queries, dims[0])

    @contextlib.contextmanager
    def stores(self, dataset: TestDataset) -> Iterator[tuple[DescriptorStore, DescriptorStore]]:
        """The stores of a test's database and queries. Raises UserError as given_store does."""
        with (
            given_store(self.database, dataset.database) as database,
            given_store(self.queries, dataset.queries) as queries,
        ):
            yield database, queries


@contextlib.contextmanager
def given_store(path: str, images: ImageFolder) -> Iterator[DescriptorStore]:
    """A temporary store with the descriptors of a folder's images, in their order, out of an .npy file.

    A row of zeros counts as that of an unreadable image. Rows of another than unit length are warned of, and taken as
    they are.

    path: of the file, (n, dim) of float16, float32 or float64; names_beside(path) names the image of each row,
        relative to the folder, in any order
    images: of the folder

    Raises UserError if a file is missing or damaged, if an image of the folder is not in it, if a name is there twice,
    if a number is not finite, or if the disk refuses.
    """
    array = _open(path)
    rows_of = _rows_of(images, _read_names(path, len(array)), path)
    dtype = "float16" if array.dtype == np.float16 else "float32"
    odd = 0
    with contextlib.closing(temporary_store(len(images), array.shape[1], dtype)) as store:
        for block in store.blocks():
            rows = store.rows(block)
            values = np.asarray(array[rows_of[rows.start : rows.stop]], np.float32)
            if len(bad := np.flatnonzero(~np.isfinite(values).all(axis=1))):
                raise UserError(f"{path}: the descriptor of {images.names[rows[bad[0]]]!r} holds NaN or infinity")
            lengths = np.linalg.norm(values, axis=1)
            zero = np.flatnonzero(lengths == 0).tolist()
            odd += int((np.abs(lengths - 1) > _LENGTH_TOLERANCE).sum()) - len(zero)
            store.write(block, values, {rows[row]: f"its row of {path} is zero" for row in zero})
        store.finish()
        if odd:
            logger.warning(
                f"{odd} of {len(images)} descriptors of {path} do not have unit length: they are compared by L2 "
                "distance as they are"
            )
        yield store


def _open(path: str) -> np.ndarray:
    """The array of an .npy file, memory-mapped."""
    for needed, what in ((path, "descriptors"), (names_beside(path), f"the names of the images of {path}")):
        if not os.path.isfile(needed):
            raise UserError(f"there is no file {needed}, which should have {what}")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is not an .npy file of descriptors, or it is damaged: {error}") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f" or not array.size:
        found = f"an array of {array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise UserError(f"{path} holds {found}, and must hold descriptors: floating-point numbers (images, dimensions)")
    return array


def _read_names(path: str, count: int) -> list[str]:
    names_path = names_beside(path)
    with open_regular(names_path, "r", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        names = file.read().split("\n")
    if not names[-1]:
        names.pop()
    if len(names) != count:
        raise UserError(
            f"{names_path} has {len(names)} names, and {path} {count} descriptors: they belong to other files"
        )
    return names


def _rows_of(images: ImageFolder, names: list[str], path: str) -> np.ndarray:
    """The row of each image of a folder: int64 (n,). Raises UserError if there is none, or if a name is there twice."""
    row_of = {name: row for row, name in enumerate(names)}
    if len(row_of) < len(names):
        twice = next(name for row, name in enumerate(names) if row_of[name] != row)
        raise UserError(f"{names_beside(path)} has {twice!r} twice")
    rows = np.array([row_of.get(name, -1) for name in images.names], np.int64)
    if len(missing := np.flatnonzero(rows < 0)):
        raise UserError(
            f"{path} has no descriptor of {len(missing)} of the {len(images)} images of {images.folder}, such as "
            f"{images.names[missing[0]]!r}; {names_beside(path)} should name images relative to that folder"
        )
    if len(rows) < len(names):
        logger.info(f"{len(names) - len(rows)} of the {len(names)} descriptors of {path} are not of {images.folder}")
    return rows
