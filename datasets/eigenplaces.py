"""EigenPlaces' classes, focal points and crops (Berton et al., ICCV 2023): from names of whole panoramas.

A class is a cell of the map, whatever the heading. The principal axis of its camera positions is the street. One focal
point lies beside the street (lateral), one along it (frontal), both at a distance from the mean position. Of every
panorama of the class, the part around the direction of such a point is trained on.
"""

import functools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from datasets.groups import Groups
from datasets.image_names import ImageNames
from datasets.images import ImageError
from datasets.methods import Cut, Method
from datasets.name_fields import EAST, HEADING, NORTH, parse_chunks
from datasets.names import parse_fields
from datasets.splitting import check_whole, split
from support.errors import UserError

ANGLES = (0, 90)  # degrees from the lateral direction: lateral, frontal
CROP_EXTENSION = ".png"  # after the panorama's name, of crops that were made before: nothing is lost
_CROPS = 13  # half crops round a panorama: 3328 / 256
CROP_DEGREES = 360 * 2 / _CROPS  # that a crop spans from left to right
_TOLERANCE = 0.01  # of a panorama's ratio of width and height: stitching leaves a row too many or too few
# of the axes' lengths and of the direction: positions have 2 decimals, and a float64 of 4e6 m has another 1e-9
_NO_AXIS, _LEVEL = 1e-8, 1e-6


class EigenGroups(Groups):
    """The classes of each group, as Groups has them, with two focal points each."""

    layout: ClassVar[dict[str, tuple]] = {
        **Groups.layout,
        "class_ids": (("int64",), (2,)),
        "focal_points": (("float64",), (len(ANGLES), 2)),
    }
    computed = ("focal_points",)

    def class_ids(self, group: int) -> np.ndarray:
        """The classes of a group, sorted: int64 (C, 2), east and north of the cell (metres)."""
        return super().class_ids(group)

    def focal_point(self, group: int, class_row: int, angle: int) -> tuple[float, float]:
        """(east, north) in metres of a class's focal point.

        angle: 0 for the lateral one, beside the street; 90 for the frontal one, along it

        Raises IndexError if there is no such class or angle.
        """
        if angle not in ANGLES or not 0 <= class_row < self.num_classes(group):
            raise IndexError(f"group {group} has no class {class_row} with a focal point at {angle} degrees")
        points = self._further["focal_points"][self._group_offsets[group] + class_row]
        east, north = points[ANGLES.index(angle)].tolist()
        return east, north

    @staticmethod
    def check(arrays: dict[str, np.ndarray]) -> None:
        """Raises ValueError if the arrays do not fit together."""
        Groups.check(arrays)
        points = arrays["focal_points"]
        if len(points) != len(arrays["class_ids"]) or not np.isfinite(points).all():
            raise ValueError("its focal points are not those of its classes")


@dataclass(frozen=True)
class EigenPlaces(Method):
    """EigenPlaces: a class is a cell, a group has two heads, and panoramas are cut towards the class's focal points.

    The parameters are those of build_eigen_groups.

    crops: folder of crops that datasets.prepare.eigen_crops has made, which are read instead; None: none
    """

    kind = "eigenplaces"
    groups = EigenGroups
    heads = ("lateral", "frontal")

    M: int
    N: int
    focal_dist: float
    min_images_per_class: int
    crops: str | None = None

    def parameters(self) -> dict[str, int | float]:
        return {
            "M": int(self.M),
            "N": int(self.N),
            "focal_dist": float(self.focal_dist),
            "min_images_per_class": int(self.min_images_per_class),
        }

    def build(self, names: Sequence[str] | ImageNames) -> EigenGroups:
        return build_eigen_groups(names, **self.parameters())

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.crops:
            return size
        check_panorama(size)
        return crop_width(size[0]), size[1]

    def files(self, folder: str, head: int) -> tuple[str, str]:
        return (os.path.join(self.crops, self.heads[head]), CROP_EXTENSION) if self.crops else (folder, "")

    def cut(self, groups: EigenGroups, group: int, class_row: int, head: int) -> Cut | None:
        if self.crops:
            return None
        return functools.partial(cut_towards, groups.focal_point(group, class_row, ANGLES[head]))


def build_eigen_groups(
    image_names: Sequence[str] | ImageNames, M: int, N: int, focal_dist: float, min_images_per_class: int
) -> EigenGroups:
    """Splits panoramas into classes and groups, and finds the classes' focal points, in memory.

    The groups are those that CosPlace's formula gives without headings.

    image_names: a list of str, or ImageNames
    M: side of a cell, metres
    N: spacing of a group's classes, cells
    focal_dist: from the mean position of a class to its focal points, metres
    min_images_per_class: classes with fewer images are dropped

    Raises UserError if a parameter is no positive (whole) number, a name does not parse, or no class is left. Every
    name needs a heading, which crops are cut by.
    """
    check_parameters(M, N, focal_dist, min_images_per_class)
    names = image_names if isinstance(image_names, ImageNames) else ImageNames.from_strings(image_names)
    positions = np.empty((len(names), 2))

    def chunks():
        for part, values in parse_chunks(names, (EAST, NORTH, HEADING)):
            positions[part] = values[:, :2]
            yield part, values[:, :2]

    arrays = split(names, chunks(), (M, M), (N, N), min_images_per_class, f"raise --M (now {M} m)")
    class_ids, _, class_offsets, image_index = arrays
    points = focal_points(positions, class_ids, class_offsets, image_index, focal_dist)
    return EigenGroups(*arrays, names.blob, names.starts, names.ends, focal_points=points)


def check_parameters(M: int, N: int, focal_dist: float, min_images_per_class: int) -> None:
    """Raises UserError if a parameter of build_eigen_groups is no positive (whole) number."""
    check_whole(M=M, N=N, min_images_per_class=min_images_per_class)
    if not 0 < focal_dist < math.inf:
        raise UserError(f"--focal_dist is {focal_dist}, and must be more than 0 metres")


def describe_groups_num(groups_num: int, N: int) -> str:
    """A number of groups, for messages: --groups_num 0, the default, is all N x N."""
    return f"all N x N = {groups_num}" if groups_num == N * N else str(groups_num)


def crop_offset(image_name: str, focal_point: tuple[float, float], panorama_width: int) -> int:
    """The leftmost column, in [0, panorama_width), of the crop of a panorama that faces a point.

    It is the published one, whose two truncations put it up to 2 columns left of the exact one. At the panorama's own
    position the bearing counts as 0.

    image_name: with the position, and the heading of the panorama's centre
    focal_point: (east, north), metres
    panorama_width: pixels that span 360 degrees

    Raises UserError if the name does not parse.
    """
    east, north, heading = parse_fields(ImageNames.from_strings([image_name]), (EAST, NORTH, HEADING))[0].tolist()
    bearing = math.degrees(math.atan2(focal_point[0] - east, focal_point[1] - north)) % 360
    # the bearing's column if the left edge were north, and how far north is from the left edge
    columns = int(bearing / 360 * panorama_width) + int((180 - heading) % 360 / 360 * panorama_width)
    return int((columns - panorama_width / _CROPS) % panorama_width)


def crop_width(panorama_width: int) -> int:
    """Columns of a crop: 512 of a panorama of 3328, which makes it a square."""
    return round(2 * panorama_width / _CROPS)


def check_panorama(size: tuple[int, int]) -> None:
    """Raises ImageError unless an image of (width, height) pixels is a panorama of 6.5:1."""
    width, height = size
    if abs(2 * width / height / _CROPS - 1) > _TOLERANCE:
        raise ImageError(
            f"it has {width} x {height} pixels, and EigenPlaces needs whole panoramas of 6.5:1 such as 3328 x 512: "
            "those of SF-XL are in raw/train/panoramas, not in processed or small"
        )


def cut_towards(focal_point: tuple[float, float], panorama: Image.Image, name: str) -> Image.Image:
    """The crop of a panorama that faces a point: its own pixels, over the seam from the last to the first column.

    focal_point: (east, north), metres
    panorama: RGB, of 6.5:1
    name: of the panorama

    Raises ImageError if it is no panorama, UserError if the name does not parse.
    """
    check_panorama(panorama.size)
    left, columns = crop_offset(name, focal_point, panorama.width), crop_width(panorama.width)
    crop = panorama.crop((left, 0, left + columns, panorama.height))
    beyond = left + columns - panorama.width
    if beyond > 0:
        crop.paste(panorama.crop((0, 0, beyond, panorama.height)), (columns - beyond, 0))
    return crop


def street_axes(
    positions: np.ndarray, class_ids: np.ndarray, class_offsets: np.ndarray, image_index: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The street of each class: its mean position, float64 (K, 2); the direction across it, (K, 2); its width, (K,).

    Across is the minor axis of the class's positions. An axis has two directions: the one that has a part to the north
    is taken, and of an axis from west to east the one to the east. The published sign is LAPACK's, and means nothing.
    Positions without a principal axis (all equal, or the corners of a square) count as a street from west to east.

    The width is the spread of the positions across the street, as a share of that along it: the ratio of the two
    singular values. It is 1 without a principal axis.

    positions: float64 (n, 2), metres
    class_ids, class_offsets, image_index: as Groups has them
    """
    begins, counts = class_offsets[:-1], np.diff(class_offsets)
    means, residuals = [], []
    for axis in range(2):  # from the cell's corner, where no decimals are lost; then from the mean
        offsets = positions[image_index, axis] - np.repeat(class_ids[:, axis], counts)
        means.append(np.add.reduceat(offsets, begins) / counts)
        offsets -= np.repeat(means[axis], counts)
        residuals.append(offsets)
    east, north = residuals
    # the matrix of second moments, [[a, b], [b, c]]; its eigenvalues differ by `difference`
    a, b, c = (np.add.reduceat(product, begins) for product in (east * east, east * north, north * north))
    difference = np.sqrt((a - c) ** 2 + 4 * b * b)
    # the eigenvector of the smaller one, in the form that adds numbers of one sign
    minor = np.where(
        (a >= c)[:, None],
        np.stack([-2 * b, a - c + difference], axis=1),
        np.stack([c - a + difference, -2 * b], axis=1),
    )
    no_axis = difference <= _NO_AXIS * (a + c + counts * _NO_AXIS)
    minor[no_axis] = 0, 1
    minor /= np.sqrt((minor * minor).sum(axis=1, keepdims=True))
    level = np.abs(minor[:, 1]) < _LEVEL
    minor[np.where(level, minor[:, 0], minor[:, 1]) < 0] *= -1
    widths = np.ones(len(counts))
    np.divide(np.maximum(a + c - difference, 0), a + c + difference, out=widths, where=~no_axis)
    return class_ids + np.stack(means, axis=1), minor, np.sqrt(widths)


def focal_points(
    positions: np.ndarray, class_ids: np.ndarray, class_offsets: np.ndarray, image_index: np.ndarray, focal_dist: float
) -> np.ndarray:
    """The focal points of each class: float64 (K, angles, 2), metres.

    focal_dist: metres
    The other arguments are those of street_axes.
    """
    means, across, _ = street_axes(positions, class_ids, class_offsets, image_index)
    directions = np.stack([across, np.stack([-across[:, 1], across[:, 0]], axis=1)], axis=1)  # frontal: turned by +90
    return means[:, None] + focal_dist * directions
