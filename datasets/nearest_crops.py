"""EigenPlaces on images that are no whole panoramas: each class takes those that face its focal point nearly.

With SF-XL's raw crops, 12 of each panorama, the nearest is at most 15 degrees off. Photos with headings do too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from datasets.eigenplaces import ANGLES, EigenGroups, EigenPlaces, check_panorama, check_parameters, focal_points
from datasets.groups import Groups
from datasets.image_names import ImageNames
from datasets.images import ImageError
from datasets.methods import Cut, Method
from datasets.name_fields import EAST, HEADING, NORTH, parse_chunks
from datasets.splitting import gather, keep_classes, split
from support.errors import UserError

_BLOCK = 1 << 20  # images whose directions are computed at a time
ROUNDING = 1e-4  # degrees: a crop at the very limit faces the point, whatever its last bit; names have 0.01


class NearestGroups(EigenGroups):
    """The classes of each group and their focal points, and the images of a class that face each of them."""

    layout: ClassVar[dict[str, tuple]] = {
        **EigenGroups.layout,
        "facing_index": (("int32", "int64"), ()),
        "facing_offsets": (("int64",), ()),
    }
    # a direction may lie at the limit, and its last bit on the other side
    computed = (*EigenGroups.computed, "facing_index", "facing_offsets")

    def facing(self, group: int, class_row: int, angle: int) -> np.ndarray:
        """The images of a class that face one of its focal points, ascending, as image_indices has all of them.

        angle: 0 for the lateral point, 90 for the frontal one

        Raises IndexError if there is no such class or angle.
        """
        self.focal_point(group, class_row, angle)
        classes, offsets = len(self._class_ids), self._further["facing_offsets"]
        row = ANGLES.index(angle) * classes + self._group_offsets[group] + class_row
        return self._further["facing_index"][offsets[row] : offsets[row + 1]]

    def num_group_images(self, group: int) -> int:
        """Number of images of a group that are trained on: those that face a point, or both."""
        first, last = self._group_offsets[group], self._group_offsets[group + 1]
        index, offsets = self._further["facing_index"], self._further["facing_offsets"]
        begins = range(0, len(ANGLES) * len(self._class_ids), len(self._class_ids))
        facing = [index[offsets[begin + first] : offsets[begin + last]] for begin in begins]
        return len(np.unique(np.concatenate(facing)))

    @staticmethod
    def check(arrays: dict[str, np.ndarray]) -> None:
        """Raises ValueError if the arrays do not fit together."""
        EigenGroups.check(arrays)
        index, offsets = arrays["facing_index"], arrays["facing_offsets"]
        if len(offsets) != len(ANGLES) * len(arrays["class_ids"]) + 1 or offsets[0] != 0 or offsets[-1] != len(index):
            raise ValueError("the images that face its focal points are not those of its classes")
        if (np.diff(offsets) < 1).any() or index.min() < 0 or index.max() >= len(arrays["name_starts"]):
            raise ValueError("the images that face its focal points are not those of its classes")


@dataclass(frozen=True)
class NearestCrops(Method):
    """EigenPlaces' classes and heads, trained on whole images that face the classes' focal points.

    The parameters are those of build_nearest_groups.
    """

    kind = "nearest_crops"
    groups = NearestGroups
    heads = EigenPlaces.heads

    M: int
    N: int
    focal_dist: float
    min_images_per_class: int
    nearest_degrees: float
    crop_degrees: float

    def parameters(self) -> dict[str, int | float]:
        shared = EigenPlaces(self.M, self.N, self.focal_dist, self.min_images_per_class).parameters()
        return shared | {"nearest_degrees": float(self.nearest_degrees), "crop_degrees": float(self.crop_degrees)}

    def build(self, names: Sequence[str] | ImageNames) -> NearestGroups:
        return build_nearest_groups(names, **self.parameters())

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        try:
            check_panorama(size)
        except ImageError:
            return size
        raise ImageError(
            "it is a whole panorama, which --nearest_crops does not train on: for a folder of panoramas leave "
            "--nearest_crops out"
        )

    def images(self, groups: NearestGroups, group: int, class_row: int, head: int) -> np.ndarray:
        return groups.facing(group, class_row, ANGLES[head])

    def copies(self) -> Method:
        return EigenPlaces(self.M, self.N, self.focal_dist, min_images_per_class=1)

    def copies_of(
        self, names: ImageNames, indices: np.ndarray, groups: NearestGroups, group: int, class_row: int, head: int
    ) -> np.ndarray:
        # towards the training set's points: of fewer images, the copy's own may lie on the other side
        points = np.array([[groups.focal_point(group, class_row, angle) for angle in ANGLES]])
        some = ImageNames.from_strings([names[index] for index in indices])
        views, whole = _views(some, self.crop_degrees), np.arange(len(indices))
        return indices[_faces(*views, points, np.array([0, len(indices)]), whole, self.nearest_degrees)[head]]

    def cut(self, groups: Groups, group: int, class_row: int, head: int) -> Cut | None:
        return self._whole

    def _whole(self, image: Image.Image, name: str) -> Image.Image:
        """The image itself, unless it is a panorama, which would be squeezed to the shape of a crop: ImageError."""
        self.size(image.size)
        return image


def build_nearest_groups(
    image_names: Sequence[str] | ImageNames,
    M: int,
    N: int,
    focal_dist: float,
    min_images_per_class: int,
    nearest_degrees: float,
    crop_degrees: float,
) -> NearestGroups:
    """Splits images with headings into EigenPlaces' classes and groups, and finds those that face the focal points.

    All images of a cell decide where its focal points lie. On which side of the mean position is free (the published
    choice means nothing), and so each is put where more of the images face it: a camera on a car may see one direction
    of the street alone. A class needs enough images that face each of the two.

    image_names: a list of str, or ImageNames
    M: side of a cell, metres
    N: spacing of a group's classes, cells
    focal_dist: from the mean position of a class to its focal points, metres
    min_images_per_class: classes with fewer images that face one of the points are dropped
    nearest_degrees: how far from the point's direction an image may look, degrees
    crop_degrees: that an image spans, whose heading is of its left edge; 0: the heading is of its centre

    Raises UserError if a parameter is no positive (whole) number, a name does not parse, or no class is left.
    """
    check_parameters(M, N, focal_dist, min_images_per_class)
    names = image_names if isinstance(image_names, ImageNames) else ImageNames.from_strings(image_names)
    positions, directions = _views(names, crop_degrees)
    chunks = (
        (slice(first, first + _BLOCK), positions[first : first + _BLOCK]) for first in range(0, len(names), _BLOCK)
    )
    cells = split(names, chunks, (M, M), (N, N), min_images_per_class, f"raise --M (now {M} m)")
    class_ids, _, offsets, image_index = cells
    points, faces, counts = _better_side(
        [focal_points(positions, class_ids, offsets, image_index, side * focal_dist) for side in (1, -1)],
        lambda points: _faces(positions, directions, points, offsets, image_index, nearest_degrees),
        offsets,
    )
    kept = counts.min(axis=0) >= min_images_per_class
    if not kept.any():
        raise UserError(
            f"no class of {names.source} has {min_images_per_class} images within {nearest_degrees:g} degrees of each "
            f"of its two points: lower --min_images_per_class, or raise --nearest_degrees or --M (now {M} m)"
        )
    rows, group_offsets, class_offsets, kept_index = keep_classes(kept, *cells[1:])
    facing = [kept_index[gather(of_angle, offsets[rows], class_offsets)] for of_angle in faces]
    return NearestGroups(
        class_ids[rows],
        group_offsets,
        class_offsets,
        kept_index,
        names.blob,
        names.starts,
        names.ends,
        focal_points=points[rows],
        facing_index=np.concatenate(facing),
        facing_offsets=np.concatenate([[0], np.cumsum(counts[:, rows])]),
    )


def _views(names: ImageNames, crop_degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Where images were taken, float64 (n, 2), east and north, metres; and where they look, float32 (n,), degrees."""
    positions, directions = np.empty((len(names), 2)), np.empty(len(names), np.float32)
    for part, values in parse_chunks(names, (EAST, NORTH, HEADING)):
        positions[part], directions[part] = values[:, :2], (values[:, 2] + crop_degrees / 2) % 360
    return positions, directions


def _better_side(
    sides: Sequence[np.ndarray], faces_of: Callable[[np.ndarray], np.ndarray], class_offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of mirrored focal points, those that more images face: (points, which images face them, how many of each class).

    sides: the points on each side: float64 (K, angles, 2); the first of equal ones is taken
    faces_of: from such points to bool (angles, images)
    class_offsets: as Groups has them
    """
    points, faces = sides[0].copy(), faces_of(sides[0])
    counts = np.stack([np.add.reduceat(of_angle, class_offsets[:-1], dtype=np.int64) for of_angle in faces])
    other_faces = faces_of(sides[1])
    for angle, of_angle in enumerate(other_faces):
        others = np.add.reduceat(of_angle, class_offsets[:-1], dtype=np.int64)
        better = others > counts[angle]
        points[better, angle], counts[angle, better] = sides[1][better, angle], others[better]
        images = np.repeat(better, np.diff(class_offsets))
        faces[angle, images] = of_angle[images]
    return points, faces, counts


def _faces(
    positions: np.ndarray,
    directions: np.ndarray,
    points: np.ndarray,
    class_offsets: np.ndarray,
    image_index: np.ndarray,
    nearest_degrees: float,
) -> np.ndarray:
    """Whether the images of the classes face their class's focal points: bool (angles, images of image_index).

    positions: float64 (n, 2), east and north, metres
    directions: float32 (n,), in which the images look, degrees
    points: float64 (K, angles, 2)
    class_offsets, image_index: as Groups has them
    nearest_degrees: the largest angle
    """
    faces = np.empty((len(ANGLES), len(image_index)), bool)
    for first in range(0, len(image_index), _BLOCK):
        part = slice(first, first + _BLOCK)
        images = image_index[part]
        rows = np.searchsorted(class_offsets, np.arange(first, first + len(images)), side="right") - 1
        for angle in range(len(ANGLES)):
            east, north = (points[rows, angle] - positions[images]).T
            off = np.abs((np.degrees(np.arctan2(east, north)) - directions[images] + 180) % 360 - 180)
            faces[angle, part] = off <= nearest_degrees + ROUNDING
    return faces
