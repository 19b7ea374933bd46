"""CosPlace classes and groups (Berton et al., CVPR 2022, section 3.1): from image names to memory-mapped arrays.

An image at (east, north, heading) has the class (east // M * M, north // M * M, heading // alpha * alpha). A group
holds classes that are N cells apart in both directions, or L heading bins apart: so no two of its classes see the same
place.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence

import numpy as np

from datasets import image_names
from datasets.image_names import ImageNames
from datasets.name_fields import EAST, HEADING, NORTH, parse_chunks
from datasets.names import ListFile, Walk, find_listing
from support import array_cache
from support.errors import UserError

_VERSION = 2  # of the cache's layout: a cache of another version is rebuilt
_ARRAYS = {
    "class_ids": (("int64",), (3,)),
    "group_offsets": (("int64",), ()),
    "class_offsets": (("int64",), ()),
    "image_index": (("int32", "int64"), ()),
    **image_names.layout("name"),
}
_BLOCK = 1 << 20  # images that are gathered at a time: bounds the temporary arrays


class Groups:
    """The classes of each group and the images of each class.

    Groups are numbered by first appearance in the image list. The classes of a group are sorted, and the images of a
    class are in the order of the list. The arrays may be memory-mapped.
    """

    def __init__(
        self,
        class_ids: np.ndarray,
        group_offsets: np.ndarray,
        class_offsets: np.ndarray,
        image_index: np.ndarray,
        name_blob: np.ndarray,
        name_starts: np.ndarray,
        name_ends: np.ndarray,
    ):
        self._class_ids, self._group_offsets, self._class_offsets = class_ids, group_offsets, class_offsets
        self._image_index = image_index
        self.names = ImageNames(name_blob, name_starts, name_ends)
        self._origin = None  # (path, expected header) of the cache that the arrays lie in

    def __reduce__(self):
        # a worker that is not forked opens the same cache, instead of receiving a copy of all names
        return (_reopen, self._origin) if self._origin else (Groups, tuple(self.arrays().values()))

    @property
    def digest(self) -> str | None:
        """SHA-256 (hexadecimal) of arrays, image list and parameters of the split; None for groups in memory.

        It does not depend on where the images lie.
        """
        if self._origin is None:
            return None
        return hashlib.sha256(json.dumps({**self._origin[1], "folder": None}, sort_keys=True).encode()).hexdigest()

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
        return dict(zip(_ARRAYS, values, strict=True))


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
    for name, value in {"M": M, "alpha": alpha, "N": N, "L": L, "min_images_per_class": min_images_per_class}.items():
        if value != int(value) or value < 1:
            raise UserError(f"--{name} is {value}, and must be a whole number of at least 1")
    names = image_names if isinstance(image_names, ImageNames) else ImageNames.from_strings(image_names)
    keys, decode = _class_keys(names, M, alpha)
    order = _sort(keys)  # images by class, in the order of the list within a class
    begins = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    begins = np.concatenate([[0], begins]) if len(keys) else begins
    counts = np.diff(np.append(begins, len(keys)))
    kept = counts >= min_images_per_class
    if not kept.any():
        raise UserError(
            f"no class of {names.source} has {min_images_per_class} images (the largest has {counts.max(initial=0)}): "
            f"lower --min_images_per_class, or raise --M (now {M} m) or --alpha (now {alpha} degrees)"
        )
    class_ids = decode(keys[begins])  # (K, 3), sorted
    del keys
    group_keys = _group_keys(class_ids, M, alpha, N, L)

    # a group's number is the rank of the first image of any of its kept classes
    group_of_class = np.unique(group_keys[kept], return_inverse=True)[1].ravel()
    first_image = np.full(group_of_class.max() + 1, len(order))
    np.minimum.at(first_image, group_of_class, order[begins[kept]])
    number = np.empty_like(first_image)
    number[np.argsort(first_image)] = np.arange(len(first_image))
    group_of_class = number[group_of_class]

    rows = np.flatnonzero(kept)[np.argsort(group_of_class, kind="stable")]  # kept classes by group, sorted within it
    class_offsets = np.concatenate([[0], np.cumsum(counts[rows])])
    image_index = _gather(order, begins[rows], class_offsets)
    group_offsets = np.concatenate([[0], np.cumsum(np.bincount(group_of_class))])
    return Groups(class_ids[rows], group_offsets, class_offsets, image_index, names.blob, names.starts, names.ends)


def open_groups(
    train_set_folder: str, M: int, alpha: int, N: int, L: int, min_images_per_class: int, cache_folder: str = "cache"
) -> Groups:
    """Opens the groups of a training folder, memory-mapped, from the cache; builds and caches them if necessary.

    train_set_folder: of the images
    M, alpha, N, L, min_images_per_class: as in build_groups
    cache_folder: of the cache (support.array_cache)

    The cache records size, modification time and digest of the image list. If size or time differ, the digest decides
    whether the cache is built again. Raises UserError as build_groups and list_images do, and if the list changes
    meanwhile.
    """
    parameters = {
        "M": int(M),
        "alpha": int(alpha),
        "N": int(N),
        "L": int(L),
        "min_images_per_class": int(min_images_per_class),
    }
    listing = find_listing(train_set_folder, cache_folder)
    identity = {"kind": "groups", "folder": os.path.realpath(train_set_folder), **parameters}
    path = array_cache.cache_path(cache_folder, train_set_folder, identity)
    expected = {"version": _VERSION, **identity}

    def build():
        names = listing.read()
        logging.info(
            f"Splitting the {len(names)} images of {train_set_folder} into classes and groups (cached in {path})"
        )
        built = build_groups(names, **parameters)
        sums = array_cache.checksums(built.arrays())
        listing.check_unchanged()  # else a mapped list has been split by the places of its former names
        found = expected | sums | {"list_digest": sums["sha256"]["name_blob"]}
        array_cache.save(path, found | {"list_stamp": listing.stamp}, built.arrays())
        groups = _load(path, found)
        if groups is None:
            raise UserError(
                f"the cache {path} changed while it was written; is another run building it with another image list?"
            )
        return groups

    groups = array_cache.open_or_build(path, lambda: _open_unchanged(path, expected, listing), build)
    groups.names.source = listing.source
    return groups


def _open_unchanged(path: str, expected: dict, listing: ListFile | Walk) -> Groups | None:
    """The cached groups if they belong to this listing, else None."""
    loaded = array_cache.load(path, expected, _ARRAYS, _check)
    if loaded is None:
        return None
    header, arrays = loaded
    if listing.stamp is None or header.get("list_stamp") != listing.stamp:
        if header.get("list_digest") != listing.digest():
            logging.info(f"The cache {path} is of another image list; rebuilding it")
            return None
        logging.debug(f"The digest of {listing.source} shows that it is the list of {path}")
        if header.get("list_stamp") != listing.stamp:
            array_cache.update_header(path, header | {"list_stamp": listing.stamp})
    groups = Groups(**arrays)
    groups._origin = path, expected | {key: header.get(key) for key in ("sha256", "list_digest")}
    if isinstance(listing, ListFile):
        try:
            listing.check_first(groups.names)
        except UserError:  # building reads the list itself, and finds out what is wrong
            return None
    logging.debug(f"Opened the groups of {len(groups.names)} images from {path}")
    return groups


def _load(path: str, expected: dict) -> Groups | None:
    loaded = array_cache.load(path, expected, _ARRAYS, _check)
    if loaded is None:
        return None
    groups = Groups(**loaded[1])
    groups._origin = path, expected
    return groups


def _reopen(path: str, expected: dict) -> Groups:
    groups = _load(path, expected)
    if groups is None:
        raise UserError(f"the cache {path} went or changed while it was in use; start the run again")
    return groups


def _class_keys(names: ImageNames, M: int, alpha: int) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """An int64 key of each name's class, sortable, and the function from keys to class ids: int64 (n,) -> (n, 3)."""
    cells = np.empty((3, len(names)), np.int32)  # parse_chunks refuses what would not fit
    for part, values in parse_chunks(names, (EAST, NORTH, HEADING), empty_as_zero=(HEADING,) if alpha >= 360 else ()):
        # the published arithmetic is int(value // side * side); the values are already whole before int()
        cells[:, part] = (values // (M, M, alpha)).T
    lows = [int(cell.min(initial=2**31 - 1)) for cell in cells]
    sizes = [int(cell.max(initial=low)) - low + 1 for cell, low in zip(cells, lows, strict=True)]
    if sizes[0] * sizes[1] * sizes[2] >= 2**62:
        raise UserError(
            f"the positions of {names.source} span {sizes[0] * M} m x {sizes[1] * M} m, too much for one split; "
            "are they UTM metres of one zone?"
        )
    keys = cells[0].astype(np.int64)
    for row, (low, size) in enumerate(zip(lows, (sizes[1], sizes[2], 1), strict=True)):
        keys -= low
        keys *= size
        if row < 2:
            keys += cells[row + 1]

    def decode(keys: np.ndarray) -> np.ndarray:
        rest, heading = np.divmod(keys, sizes[2])
        east, north = np.divmod(rest, sizes[1])
        return np.stack([(east + lows[0]) * M, (north + lows[1]) * M, (heading + lows[2]) * alpha], axis=1)

    return keys, decode


def _sort(keys: np.ndarray) -> np.ndarray:
    """Sorts keys in place; returns the stable order that does so: int32 (n,), or int64 if int32 is too small."""
    bits = max(len(keys) - 1, 1).bit_length()
    dtype = np.int32 if bits < 32 else np.int64
    if len(keys) and int(keys.max()) < 2 ** (
        63 - bits
    ):  # numpy sorts plain numbers much faster than it finds their order
        keys <<= bits
        keys |= np.arange(len(keys))
        keys.sort()
        order = (keys & (2**bits - 1)).astype(dtype)
        keys >>= bits
        return order
    order = np.argsort(keys, kind="stable")
    keys[:] = keys[order]
    return order.astype(dtype)


def _gather(order: np.ndarray, begins: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Copies order[begins[i]:...] to the place offsets[i]:offsets[i + 1] of the result, for all i."""
    gathered = np.empty(offsets[-1], order.dtype)
    row = 0
    while row < len(begins):
        last = max(row + 1, int(np.searchsorted(offsets, offsets[row] + _BLOCK, side="right")) - 1)
        counts = np.diff(offsets[row : last + 1])
        part = slice(offsets[row], offsets[last])
        gathered[part] = order[
            np.arange(part.start, part.stop) + np.repeat(begins[row:last] - offsets[row:last], counts)
        ]
        row = last
    return gathered


def _group_keys(class_ids: np.ndarray, M: int, alpha: int, N: int, L: int) -> np.ndarray:
    """An int64 key of each class's group (paper, equation 2)."""
    east, north, heading = class_ids.T
    columns = (east % (M * N) // M, north % (M * N) // M, heading % (alpha * L) // alpha)
    return (columns[0] * N + columns[1]) * L + columns[2]


def _check(arrays: dict[str, np.ndarray]) -> None:
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
