"""CosPlace classes and groups (Berton et al., CVPR 2022, section 3.1): from image names to memory-mapped arrays.

An image at (east, north, heading) has the class (east // M * M, north // M * M, heading // alpha * alpha). A group
holds classes that are N cells apart in both directions, or L heading bins apart: so no two of its classes see the same
place.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from datasets import image_names
from datasets.image_names import ImageNames
from datasets.methods import Method
from datasets.name_fields import EAST, HEADING, NORTH, parse_chunks
from datasets.names import ListFile, Walk, find_listing
from datasets.pack.reading import original_folder
from datasets.splitting import check_whole, split
from support import array_cache
from support.errors import UserError

logger = logging.getLogger(__name__)

_VERSION = 2  # of the cache's layout: a cache of another version is rebuilt


class Groups:
    """The classes of each group and the images of each class.

    Groups are numbered by first appearance in the image list. The classes of a group are sorted, and the images of a
    class are in the order of the list. The arrays may be memory-mapped.
    """

    layout: ClassVar[dict[str, tuple]] = {  # of the arrays in a cache (support.array_cache)
        "class_ids": (("int64",), (3,)),
        "group_offsets": (("int64",), ()),
        "class_offsets": (("int64",), ()),
        "image_index": (("int32", "int64"), ()),
        **image_names.layout("name"),
    }
    computed: ClassVar[tuple[str, ...]] = ()  # arrays whose last bits may depend on the machine

    def __init__(
        self,
        class_ids: np.ndarray,
        group_offsets: np.ndarray,
        class_offsets: np.ndarray,
        image_index: np.ndarray,
        name_blob: np.ndarray,
        name_starts: np.ndarray,
        name_ends: np.ndarray,
        **further: np.ndarray,
    ):
        self._further = further  # arrays that another method's layout has too
        self._class_ids, self._group_offsets, self._class_offsets = class_ids, group_offsets, class_offsets
        self._image_index = image_index
        self.names = ImageNames(name_blob, name_starts, name_ends)
        self._origin = None  # (path, expected header) of the cache that the arrays lie in

    def __reduce__(self):
        # a worker that is not forked opens the same cache, instead of receiving a copy of all names
        return (_reopen, (type(self), *self._origin)) if self._origin else (_in_memory, (type(self), self.arrays()))

    @property
    def digest(self) -> str | None:
        """SHA-256 (hexadecimal) of arrays, image list and parameters of the split; None for groups in memory.

        It does not depend on where the images lie, nor on the machine.
        """
        if self._origin is None:
            return None
        header = self._origin[1]
        sums = {name: value for name, value in header["sha256"].items() if name not in self.computed}
        same_split = {**header, "folder": None, "sha256": sums}
        return hashlib.sha256(json.dumps(same_split, sort_keys=True).encode()).hexdigest()

    @property
    def list_digest(self) -> str | None:
        """SHA-256 (hexadecimal) of the image list; None for groups in memory."""
        return self._origin and self._origin[1]["list_digest"]

    @property
    def num_groups(self) -> int:
        """Number of groups."""
        return len(self._group_offsets) - 1

    @property
    def num_images(self) -> int:
        """Number of images in the list, including those of dropped classes."""
        return len(self.names)

    def num_classes(self, group: int) -> int:
        """Number of classes of a group."""
        return int(self._group_offsets[group + 1] - self._group_offsets[group])

    def num_group_images(self, group: int) -> int:
        """Number of images of a group."""
        first, last = self._group_offsets[group], self._group_offsets[group + 1]
        return int(self._class_offsets[last] - self._class_offsets[first])

    def class_sizes(self, group: int) -> np.ndarray:
        """The number of images of each class of a group: int64 (C,)."""
        first, last = self._group_offsets[group], self._group_offsets[group + 1]
        return np.diff(self._class_offsets[first : last + 1]).astype(np.int64)

    def class_ids(self, group: int) -> np.ndarray:
        """The classes of a group, sorted: int64 (C, 3), east and north (metres) and heading (degrees)."""
        return self._class_ids[self._group_offsets[group] : self._group_offsets[group + 1]]

    def image_indices(self, group: int, class_row: int) -> np.ndarray:
        """The images of a class, as indices into the image list, ascending: int32 (n,).

        class_row: row of the class in class_ids(group). Raises IndexError if there is no such row.
        """
        if not 0 <= class_row < self.num_classes(group):
            raise IndexError(f"group {group} has no class {class_row}")
        row = self._group_offsets[group] + class_row
        return self._image_index[self._class_offsets[row] : self._class_offsets[row + 1]]

    def published_order(self, group: int) -> np.ndarray:
        """For each row of a published head, the row of its class in class_ids(group): int64 (C,).

        The published code collects a group's classes in a set, in the order of the image list, and numbers them in the
        order in which the set iterates.
        """
        first_images = [self.image_indices(group, row)[0] for row in range(self.num_classes(group))]
        class_ids = [tuple(class_id) for class_id in self.class_ids(group).tolist()]
        classes = set()
        for row in np.argsort(first_images):
            classes.add(class_ids[row])
        row_of = {class_id: row for row, class_id in enumerate(class_ids)}
        return np.array([row_of[class_id] for class_id in classes])

    def image_name(self, index: int) -> str:
        """The relative path of image `index` of the list."""
        return self.names[index]

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by their names in the cache."""
        values = (
            self._class_ids,
            self._group_offsets,
            self._class_offsets,
            self._image_index,
            self.names.blob,
            self.names.starts,
            self.names.ends,
        )
        return dict(zip(Groups.layout, values, strict=True)) | self._further

    @staticmethod
    def check(arrays: dict[str, np.ndarray]) -> None:
        """Raises ValueError if the arrays do not fit together: a truncated or mixed-up cache is never trained on."""
        group_offsets, class_offsets, image_index = (
            arrays[name] for name in ("group_offsets", "class_offsets", "image_index")
        )
        image_names.check_arrays(*(arrays[name] for name in image_names.layout("name")))
        for offsets, end in ((group_offsets, len(arrays["class_ids"])), (class_offsets, len(image_index))):
            if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != end or (np.diff(offsets) < 1).any():
                raise ValueError("its arrays do not fit together")
        if (
            len(class_offsets) - 1 != len(arrays["class_ids"])
            or image_index.min() < 0
            or image_index.max() >= len(arrays["name_starts"])
        ):
            raise ValueError("its arrays do not fit together")


@dataclass(frozen=True)
class CosPlace(Method):
    """CosPlace: a class has a cell and a heading, a group has one head, and images are taken whole.

    The parameters are those of build_groups.
    """

    kind = "groups"
    groups = Groups

    M: int
    alpha: int
    N: int
    L: int
    min_images_per_class: int

    def parameters(self) -> dict[str, int]:
        return {name: int(value) for name, value in asdict(self).items()}

    def build(self, names: Sequence[str] | ImageNames) -> Groups:
        return build_groups(names, **self.parameters())


def build_groups(
    image_names: Sequence[str] | ImageNames, M: int, alpha: int, N: int, L: int, min_images_per_class: int
) -> Groups:
    """Splits images into classes and groups, in memory.

    image_names: a list of str, or ImageNames
    M: side of a cell, metres
    alpha: heading bin, degrees
    N: spacing of a group's classes, cells
    L: spacing of a group's classes, heading bins
    min_images_per_class: classes with fewer images are dropped

    A heading may be empty only if alpha >= 360 (training without headings). Raises UserError if a parameter is no
    positive whole number, a name does not parse, or no class is left.
    """
    check_whole(M=M, alpha=alpha, N=N, L=L, min_images_per_class=min_images_per_class)
    names = image_names if isinstance(image_names, ImageNames) else ImageNames.from_strings(image_names)
    chunks = parse_chunks(names, (EAST, NORTH, HEADING), empty_as_zero=(HEADING,) if alpha >= 360 else ())
    advice = f"raise --M (now {M} m) or --alpha (now {alpha} degrees)"
    arrays = split(names, chunks, (M, M, alpha), (N, N, L), min_images_per_class, advice)
    return Groups(*arrays, names.blob, names.starts, names.ends)


def open_groups(
    train_set_folder: str, M: int, alpha: int, N: int, L: int, min_images_per_class: int, cache_folder: str = "cache"
) -> Groups:
    """Opens CosPlace's groups of a training folder, as open_split does.

    train_set_folder: of the images
    M, alpha, N, L, min_images_per_class: as in build_groups
    cache_folder: of the cache (support.array_cache)
    """
    return open_split(train_set_folder, CosPlace(M, alpha, N, L, min_images_per_class), cache_folder)


def open_split(train_set_folder: str, method: Method, cache_folder: str = "cache") -> Any:
    """Opens a method's groups of a training folder, memory-mapped, from the cache; builds and caches them if necessary.

    The cache records size, modification time and digest of the image list. If size or time differ, the digest decides
    whether the cache is built again. Raises UserError as the method's build and list_images do, and if the list changes
    meanwhile.
    """
    listing = find_listing(train_set_folder, cache_folder)
    folder = original_folder(train_set_folder)
    identity = {"kind": method.kind, "folder": folder, **method.parameters()}
    path = array_cache.cache_path(cache_folder, folder, identity)
    expected = {"version": _VERSION, **identity}

    def build():
        names = listing.read()
        logger.info(
            f"Splitting the {len(names)} images of {train_set_folder} into classes and groups (cached in {path})"
        )
        built = method.build(names)
        sums = array_cache.checksums(built.arrays())
        listing.check_unchanged()  # else a mapped list has been split by the places of its former names
        found = expected | sums | {"list_digest": sums["sha256"]["name_blob"]}
        array_cache.save(path, found | {"list_stamp": listing.stamp}, built.arrays())
        groups = _load(method.groups, path, found)
        if groups is None:
            raise UserError(
                f"the cache {path} changed while it was written; is another run building it with another image list?"
            )
        return groups

    opened = array_cache.open_or_build(path, lambda: _open_unchanged(method.groups, path, expected, listing), build)
    opened.names.source = listing.source
    return opened


def _open_unchanged(kind: type[Groups], path: str, expected: dict, listing: ListFile | Walk) -> Groups | None:
    """The cached groups if they belong to this listing, else None."""
    loaded = array_cache.load(path, expected, kind.layout, kind.check)
    if loaded is None:
        return None
    header, arrays = loaded
    if listing.stamp is None or header.get("list_stamp") != listing.stamp:
        if header.get("list_digest") != listing.digest():
            logger.info(f"The cache {path} is of another image list; rebuilding it")
            return None
        logger.debug(f"The digest of {listing.source} shows that it is the list of {path}")
        if header.get("list_stamp") != listing.stamp:
            array_cache.update_header(path, header | {"list_stamp": listing.stamp})
    groups = kind(**arrays)
    groups._origin = path, expected | {key: header.get(key) for key in ("sha256", "list_digest")}
    if isinstance(listing, ListFile):
        try:
            listing.check_first(groups.names)
        except UserError:  # building reads the list itself, and finds out what is wrong
            return None
    logger.debug(f"Opened the groups of {len(groups.names)} images from {path}")
    return groups


def _load(kind: type[Groups], path: str, expected: dict) -> Groups | None:
    loaded = array_cache.load(path, expected, kind.layout, kind.check)
    if loaded is None:
        return None
    groups = kind(**loaded[1])
    groups._origin = path, expected
    return groups


def _in_memory(kind: type[Groups], arrays: dict[str, np.ndarray]) -> Groups:
    return kind(**arrays)


def _reopen(kind: type[Groups], path: str, expected: dict) -> Groups:
    groups = _load(kind, path, expected)
    if groups is None:
        raise UserError(f"the cache {path} went or changed while it was in use; start the run again")
    return groups
