"""How images see the focal points of their EigenPlaces classes, by their names alone."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from datasets.check.layout import Part
from datasets.check.names import ScannedNames
from datasets.check.pictures import Pictures
from datasets.check.suggestions import Parameters, count_classes
from datasets.eigenplaces import ANGLES, EigenGroups, EigenPlaces, street_axes
from datasets.nearest_crops import ROUNDING
from datasets.positives import heading_differences
from support.errors import UserError

NEAR = 3.0  # metres from a point within which the direction of a view means little
CLEAR = 0.5  # the largest width of a street, as a share of its length, whose axis is clear
_PERCENTILES = (5, 50, 95)
_DEGREES = (15, 30, 45, 60, 90)  # of --nearest_degrees, of which the report tells how many classes are left
FEW_PANORAMAS = 100_000  # the authors advise hundreds of thousands


def can_be_trained_on(
    part: Part, scanned: ScannedNames, pictures: Pictures, parameters: Parameters, report: dict[str, Any]
) -> bool:
    """Whether a folder's images are such that there can be classes of them; else it adds problems.

    They are panoramas, or with --nearest_crops no panoramas, with headings. Of other images than panoramas it adds
    "crops", unless none has a heading: views_of_crops of those that have one; "without_heading", how many have none;
    "minimum", "degrees" and "left_edge", whether headings are taken as those of the left edges. There are warnings if
    panoramas are few, or if images of another kind are among those.

    part: of training images
    scanned: its names
    pictures: its images; the size of most of them decides
    parameters: of the classes
    report: is added to
    """
    good, refused, nearest = scanned.good(), pictures.refused, parameters.nearest_crops
    known = good[np.isfinite(scanned.headings[good])]
    if not len(known):
        report["problems"].append(
            f"{part.name}: none of {len(good)} names has a heading (field 9), and EigenPlaces needs them; --method "
            "cosplace --alpha 360 --L 1 does not"
        )
        return False
    usual = pictures.sizes.most_common(1)[0][0] if pictures.sizes else None
    if nearest != (usual in refused):
        report["crops"] = _crops(scanned, known, parameters)
    if usual in refused:
        lack = f", which {len(good) - len(known)} of {len(good)} names lack (field 9)" if len(known) < len(good) else ""
        advice = "" if nearest else f". --nearest_crops would train on crops with headings{lack}"
        report["problems"].append(f"{part.name}: the usual image cannot be trained on: {refused[usual]}{advice}")
        return False
    if refused:
        report["warnings"].append(
            f"{part.name}: {sum(pictures.sizes[size] for size in refused)} of {pictures.decoded} images are "
            f"{'panoramas' if nearest else 'not of 6.5:1'}: training refuses the folder if one of them is among the "
            "first that it looks at, and else takes other images of their classes"
        )
    if len(good) < FEW_PANORAMAS and not nearest:
        report["warnings"].append(
            f"{part.name}: {len(good)} panoramas are few: EigenPlaces' authors advise hundreds of thousands"
        )
    if len(known) < len(good):
        use = "classes take those that face their points" if nearest else "panoramas are cut by it"
        report["problems"].append(
            f"{part.name}: {len(good) - len(known)} of {len(good)} names have no heading (field 9), and {use}"
        )
    return len(known) == len(good)


def add_views(
    groups: EigenGroups, positions: np.ndarray, num_groups: int, parameters: Parameters, report: dict[str, Any]
) -> None:
    """Adds "views" to the report: views_of_panoramas, "cells", how many have a panorama, and "minimum", of a class.

    groups, positions, num_groups: as in views_of_panoramas
    parameters: of the classes
    report: is added to
    """
    cells = len(count_classes(positions, np.zeros(len(positions)), parameters.M, 360)[0])
    views = views_of_panoramas(groups, positions, num_groups, parameters.min_images_per_class)
    report["views"] = {"cells": cells, "minimum": parameters.min_images_per_class, **views}


def _crops(scanned: ScannedNames, known: np.ndarray, parameters: Parameters) -> dict[str, Any]:
    """What can_be_trained_on says of crops: of the names at some indices, which have headings."""
    minimum, degrees, span = parameters.min_images_per_class, parameters.nearest_degrees, parameters.span
    crops = {"without_heading": len(scanned.good()) - len(known), "minimum": minimum, "degrees": degrees}
    crops["left_edge"] = span > 0
    try:
        groups = replace(parameters, nearest_crops=False).make_method().build(scanned.select(known))
    except UserError:  # no class has so many
        return crops | dict.fromkeys(("classes", *EigenPlaces.heads, "both"), 0) | {"kept": [[d, 0] for d in _DEGREES]}
    return crops | views_of_crops(groups, scanned.points[known], scanned.headings[known] + span / 2, degrees, minimum)


def sight(
    groups: EigenGroups, positions: np.ndarray, angle: int, num_groups: int | None = None, mirrored: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From each image of each class to the class's focal point: metres, float64 (m,), and bearings, degrees (m,).

    The images are those of the classes in turn. The third array, (K,), has the first one of each class, for reduceat.
    At the point itself the bearing is 0.

    groups: of the classes
    positions: float64 (n, 2), metres, of the list that the groups index
    angle: one of datasets.eigenplaces.ANGLES
    num_groups: the first groups alone (default: all)
    mirrored: whether the point lies on the other side of the mean position
    """
    class_ids, offsets, image_index, points = _classes(groups, num_groups)
    points, counts = points[:, ANGLES.index(angle)], np.diff(offsets)
    if mirrored:
        points = 2 * street_axes(positions, class_ids, offsets, image_index)[0] - points
    east, north = (np.repeat(points[:, axis], counts) - positions[image_index, axis] for axis in range(2))
    return np.hypot(east, north), np.degrees(np.arctan2(east, north)) % 360, offsets[:-1]


def views_of_panoramas(
    groups: EigenGroups, positions: np.ndarray, num_groups: int, min_images_per_class: int
) -> dict[str, Any]:
    """What the trained classes' panoramas see, as plain values.

    "classes" and "images"; for each of EigenPlaces.heads, "metres" from the panoramas to the point (5th, 50th and 95th
    percentile), "near" (panoramas within NEAR of it) and "classes" (those with min_images_per_class farther ones);
    "streets", of how many classes the axis is "clear" (CLEAR), or there is "none".

    groups, positions: as in sight
    num_groups: the groups that are trained
    min_images_per_class: of the classes
    """
    class_ids, offsets, image_index, _ = _classes(groups, num_groups)
    report = {"classes": len(class_ids), "images": len(image_index)}
    for head, angle in zip(EigenPlaces.heads, ANGLES, strict=True):
        metres, _, begins = sight(groups, positions, angle, num_groups)
        far = metres >= NEAR
        report[head] = {
            "metres": np.percentile(metres, _PERCENTILES).round(1).tolist(),
            "near": int((~far).sum()),
            "classes": int((np.add.reduceat(far, begins, dtype=np.int64) >= min_images_per_class).sum()),
        }
    widths = street_axes(positions, class_ids, offsets, image_index)[2]
    report["streets"] = {"clear": int((widths <= CLEAR).sum()), "none": int((widths == 1).sum())}
    return report


def views_of_crops(
    groups: EigenGroups, positions: np.ndarray, directions: np.ndarray, degrees: float, min_images_per_class: int
) -> dict[str, Any]:
    """How many classes have enough crops that look towards each point, as plain values.

    "classes", all there are; one number for each of EigenPlaces.heads; "both", how many --nearest_crops would keep; and
    "kept", [[degrees, how many it would keep then]] for some other --nearest_degrees. A point is put on the side that
    more crops look towards, as datasets.nearest_crops does.

    groups, positions: as in sight; the groups of all images
    directions: that the middles of the crops look in, float64 (n,), degrees
    degrees: how far off a crop may look
    min_images_per_class: enough
    """
    class_ids, _, image_index, _ = _classes(groups)
    directions, limits = directions[image_index], (degrees, *_DEGREES)
    enough = np.zeros((len(ANGLES), len(limits), len(class_ids)), bool)
    for head, mirrored in itertools.product(range(len(ANGLES)), (False, True)):
        _, bearings, begins = sight(groups, positions, ANGLES[head], mirrored=mirrored)
        off = heading_differences(directions, bearings)
        for row, limit in enumerate(limits):
            facing = np.add.reduceat(off <= limit + ROUNDING, begins, dtype=np.int64)
            enough[head, row] |= facing >= min_images_per_class
    both, *kept = enough.all(axis=0).sum(axis=1).tolist()
    return {
        "classes": len(class_ids),
        **dict(zip(EigenPlaces.heads, enough[:, 0].sum(axis=1).tolist(), strict=True)),
        "both": both,
        "kept": [list(pair) for pair in zip(_DEGREES, kept, strict=True)],
    }


def _classes(
    groups: EigenGroups, num_groups: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of the first groups: class_ids (K, 2), class_offsets (K + 1,), image_index (m,), focal points (K, angles, 2)."""
    arrays = groups.arrays()
    classes = arrays["group_offsets"][groups.num_groups if num_groups is None else num_groups]
    offsets = arrays["class_offsets"][: classes + 1]
    return (
        arrays["class_ids"][:classes],
        offsets,
        arrays["image_index"][: offsets[-1]],
        arrays["focal_points"][:classes],
    )
