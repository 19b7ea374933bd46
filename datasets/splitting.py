"""Splits images into classes, which are cells of a grid, and classes into groups: of millions of names, with numpy."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from datasets.image_names import ImageNames
from support.errors import UserError

_BLOCK = 1 << 20  # images that are gathered at a time: bounds the temporary arrays


def check_whole(**parameters: float) -> None:
    """Raises UserError if a parameter is no positive whole number."""
    for name, value in parameters.items():
        if value != int(value) or value < 1:
            raise UserError(f"--{name} is {value}, and must be a whole number of at least 1")


def split(
    names: ImageNames,
    chunks: Iterable[tuple[slice, np.ndarray]],
    sides: Sequence[int],
    spacing: Sequence[int],
    min_images_per_class: int,
    advice: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Splits images into classes, which are cells of a grid, and groups of classes (paper, equations 1 and 2).

    Returns class_ids, group_offsets, class_offsets and image_index, as Groups has them.

    names: of the images
    chunks: (slice of the names, float64 (n, D)): the coordinates of each image, east and north first
    sides: of a cell, in the units of the D coordinates
    spacing: of a group's classes, cells in each direction
    min_images_per_class: classes with fewer images are dropped
    advice: what to do, other than lower that, if no class is left

    Raises UserError if none is, or if the coordinates span too much.
    """
    keys, decode = _class_keys(names, chunks, sides)
    order = _sort(keys)  # images by class, in the order of the list within a class
    begins = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    begins = np.concatenate([[0], begins]) if len(keys) else begins
    counts = np.diff(np.append(begins, len(keys)))
    kept = counts >= min_images_per_class
    if not kept.any():
        raise UserError(
            f"no class of {names.source} has {min_images_per_class} images (the largest has {counts.max(initial=0)}): "
            f"lower --min_images_per_class, or {advice}"
        )
    class_ids = decode(keys[begins])  # (K, D), sorted
    del keys
    group_keys = _group_keys(class_ids, sides, spacing)

    by_group, group_offsets = _number_groups(group_keys[kept], order[begins[kept]])
    rows = np.flatnonzero(kept)[by_group]  # kept classes by group, sorted within it
    class_offsets = _offsets(counts[rows])
    image_index = gather(order, begins[rows], class_offsets)
    return class_ids[rows], group_offsets, class_offsets, image_index


def keep_classes(
    kept: np.ndarray, group_offsets: np.ndarray, class_offsets: np.ndarray, image_index: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Drops classes after a split, and numbers the groups again: (rows of what is kept, and the arrays of it).

    kept: bool (K,), at least one of them
    group_offsets, class_offsets, image_index: as split returns them
    """
    group_of_class = np.repeat(np.arange(len(group_offsets) - 1), np.diff(group_offsets))
    by_group, group_offsets = _number_groups(group_of_class[kept], image_index[class_offsets[:-1][kept]])
    rows = np.flatnonzero(kept)[by_group]
    offsets = _offsets(np.diff(class_offsets)[rows])
    return rows, group_offsets, offsets, gather(image_index, class_offsets[rows], offsets)


def _number_groups(group_keys: np.ndarray, first_images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(The order of classes by group, the groups' offsets). A group's number is the rank of the first of its images.

    group_keys: of each class's group: int64 (K,)
    first_images: of each class: (K,)
    """
    group_of_class = np.unique(group_keys, return_inverse=True)[1].ravel()
    first_image = np.full(group_of_class.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_image, group_of_class, first_images)
    number = np.empty_like(first_image)
    number[np.argsort(first_image)] = np.arange(len(first_image))
    group_of_class = number[group_of_class]
    return np.argsort(group_of_class, kind="stable"), _offsets(np.bincount(group_of_class))


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)])


def _class_keys(
    names: ImageNames, chunks: Iterable[tuple[slice, np.ndarray]], sides: Sequence[int]
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """An int64 key of each name's class, sortable, and the function from keys to class ids: int64 (n,) -> (n, D)."""
    cells = np.empty((len(sides), len(names)), np.int32)  # parse_chunks refuses what would not fit
    for part, values in chunks:
        # the published arithmetic is int(value // side * side); the values are already whole before int()
        cells[:, part] = (values // tuple(sides)).T
    lows = [int(cell.min(initial=2**31 - 1)) for cell in cells]
    sizes = [int(cell.max(initial=low)) - low + 1 for cell, low in zip(cells, lows, strict=True)]
    if math.prod(sizes) >= 2**62:
        raise UserError(
            f"the positions of {names.source} span {sizes[0] * sides[0]} m x {sizes[1] * sides[1]} m, too much for one "
            "split; are they UTM metres of one zone?"
        )
    keys = np.zeros(len(names), np.int64)
    for cell, low, size in zip(cells, lows, sizes, strict=True):
        keys *= size
        keys += cell
        keys -= low

    def decode(keys: np.ndarray) -> np.ndarray:
        columns = []
        for side, low, size in zip(reversed(sides), reversed(lows), reversed(sizes), strict=True):
            keys, cell = np.divmod(keys, size)
            columns.append((cell + low) * side)
        return np.stack(columns[::-1], axis=1)

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


def gather(order: np.ndarray, begins: np.ndarray, offsets: np.ndarray) -> np.ndarray:
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


def _group_keys(class_ids: np.ndarray, sides: Sequence[int], spacing: Sequence[int]) -> np.ndarray:
    """An int64 key of each class's group (paper, equation 2)."""
    keys = np.zeros(len(class_ids), np.int64)
    for coordinate, side, number in zip(class_ids.T, sides, spacing, strict=True):
        keys = keys * number + coordinate % (side * number) // side
    return keys
