"""Database and queries of one evaluation: names, positions, right database images, and the images themselves."""

import copy
import math
import os
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch
from PIL import Image

from datasets.image_names import ImageNames
from datasets.images import MIN_SIDE, ImageError, open_rgb, resize, to_array, within_memory
from datasets.names import HEADING, check_folder, list_images, parse_fields, positions
from datasets.positives import find_positives, looking_the_same_way
from model.normalization import to_tensor
from support.decimals import parse_decimal
from support.errors import UserError

Resize = int | tuple[int, int] | None  # pixels of the shorter side, or (height, width); None: images' own size
DEFAULT_QUERIES = ("queries_v1", "queries")  # the first that exists is taken


class TestDataset:
    """A database, and the queries to localize in it.

    database_folder: of `@`-named images
    queries_folder: of `@`-named images
    positive_dist_threshold: metres within which a database image is right for a query
    resize: pixels of the shorter side, or (height, width), or None for the images' own size
    locate: (names of the database, names of the queries) -> their positions, if the names have none
    labelled: False: images of any names, without positions; positions and right images are None then
    positive_heading_threshold: degrees within which a right image must look the query's way; None: any way

    Raises UserError if a folder is missing or empty, or if a name has no position, or no heading where it is needed.
    """

    __test__ = False  # for pytest: this is no test

    def __init__(
        self,
        database_folder: str,
        queries_folder: str,
        positive_dist_threshold: float = 25,
        resize: Resize = None,
        locate: Callable | None = None,
        labelled: bool = True,
        positive_heading_threshold: float | None = None,
    ):
        self.name = _name_of(queries_folder)
        self.database = ImageFolder(database_folder, resize)
        self.queries = ImageFolder(queries_folder, resize)
        self.positive_dist_threshold = positive_dist_threshold
        self.labelled = labelled
        if not labelled:
            self.database_utms = self.queries_utms = self.positives_per_query = None
            return
        names = self.database.names, self.queries.names
        self.database_utms, self.queries_utms = (
            locate(*names) if locate else map(_positions, names)
        )  # float64 (n, 2), metres
        self.positives_per_query = find_positives(self.database_utms, self.queries_utms, positive_dist_threshold)
        self.positive_heading_threshold = positive_heading_threshold
        self.headings = None  # of the database and the queries, float64 (n,) and (q,), degrees, where they matter
        if positive_heading_threshold is not None:
            self.headings = _headings(self.database), _headings(self.queries)
            self.positives_per_query = looking_the_same_way(
                self.positives_per_query, *self.headings, positive_heading_threshold
            )

    def resized(self, size: Resize) -> Self:
        """The same test set with images of another size. size: as the parameter resize."""
        other = copy.copy(self)
        other.database, other.queries = self.database.resized(size), self.queries.resized(size)
        return other

    def __str__(self):
        return f"< {self.name} - #q: {len(self.queries)}; #db: {len(self.database)} >"


class ImageFolder(torch.utils.data.Dataset):
    """The images of a folder. Item i is (i, uint8 (3, H, W), ""), or (i, None, why it cannot be read).

    folder: of the images
    resize: pixels of the shorter side, or (height, width), or None for the images' own size
    names: of the images, relative to the folder; None: all of the folder

    Raises UserError if the folder is to be listed, and is missing or empty.
    """

    def __init__(self, folder: str, resize: Resize = None, names: Sequence[str] | None = None):
        self.folder, self.resize = folder, resize
        self.names = list_images(folder) if names is None else names

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor | None, str]:
        try:
            with within_memory():
                image = self.read(self.path(index))
                if self.resize:
                    image = resize(image, self.resize)
                return index, to_tensor(to_array(image)), ""
        except ImageError as error:
            return index, None, str(error)

    def resized(self, size: Resize) -> Self:
        """The same images in another size. size: as the parameter resize."""
        other = copy.copy(self)
        other.resize = size
        return other

    def path(self, index: int) -> str:
        """The path of image `index`."""
        return os.path.join(self.folder, self.names[index])

    @staticmethod
    def read(path: str) -> Image.Image:
        """Decodes a file to an upright RGB image. Raises ImageError."""
        return open_rgb(path, MIN_SIDE)


def _positions(names: ImageNames) -> np.ndarray:
    try:
        return positions(names)
    except UserError as error:
        raise UserError(f"{error}. eval.py --no_labels searches images of any names, without recalls") from error


def _headings(images: ImageFolder) -> np.ndarray:
    """The headings of a folder's images, degrees: float64 (n,). Raises UserError that counts the names without one."""
    try:
        return parse_fields(images.names, (HEADING,))[:, 0]
    except UserError as error:
        without = [name for name in images.names if not _has_heading(name)]
        raise UserError(
            f"--positive_heading_threshold needs headings, and {len(without)} of the {len(images)} names of "
            f"{images.folder} have none in field {HEADING} of `@`, such as {without[0]!r}: leave the flag out"
            if without
            else str(error)
        ) from error


def _has_heading(name: str) -> bool:
    fields = name.split("@")
    try:
        return len(fields) > HEADING + 1 and math.isfinite(parse_decimal(fields[HEADING].strip(" ")))
    except ValueError:
        return False


def _name_of(queries_folder: str) -> str:
    """The published name of a test set, its folder's: "test"; of other queries than the default ones "test/other"."""
    parent, queries = os.path.split(os.path.realpath(queries_folder))
    default = next((name for name in DEFAULT_QUERIES if os.path.isdir(os.path.join(parent, name))), None)
    name = os.path.basename(parent)
    return name if queries == default else f"{name}/{queries}"


def find_queries_folder(test_set_folder: str | None, queries_folder: str | None = None) -> str:
    """Finds the folder of the queries: `queries_folder` below the test set, or as a path of its own.

    By default it is queries_v1 if that is there, else queries. test_set_folder may be None if queries_folder is a path.
    Raises UserError if there is no such folder.
    """
    return _find(test_set_folder, queries_folder, DEFAULT_QUERIES, "--queries_folder")


def find_database_folder(test_set_folder: str | None, database_folder: str | None = None) -> str:
    """Finds the folder of the database as find_queries_folder does (default: `database`)."""
    return _find(test_set_folder, database_folder, ("database",), "--database_folder")


def _find(test_set_folder: str | None, given: str | None, defaults: Sequence[str], flag: str) -> str:
    candidates = (
        [os.path.join(test_set_folder, name) for name in ([given] if given else defaults)] if test_set_folder else []
    )
    if given:
        candidates.append(given)
    for path in candidates:
        if os.path.isdir(path):
            return path
    if test_set_folder:
        check_folder(test_set_folder)
    raise UserError(f"there is no folder {' or '.join(candidates)}; name it with {flag}")
