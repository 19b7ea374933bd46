"""Checks the folders of a data set, each one and how they go together; the findings are plain values.

A problem is what would make training or evaluation fail. A warning is what they would not notice, or work around.
"""

import os
from typing import Any

import numpy as np
from sklearn.neighbors import KDTree

from datasets.check.layout import DATABASE, QUERIES, TRAIN, Part, find_parts
from datasets.check.names import ScannedNames, scan_names
from datasets.check.pictures import Pictures, look_at
from datasets.check.suggestions import Parameters
from datasets.check.training import check_training
from datasets.image_names import ImageNames
from datasets.names import images_list_path, list_images
from datasets.positives import chance_recalls, find_positives
from datasets.walk import walk
from support.errors import UserError

_EXAMPLES = 3  # names that a line gives
_LARGEST_SIZES = 5
_HIGH_CHANCE = 50  # percent


def check(
    folder: str,
    parameters: Parameters,
    radius: float = 25,
    num_workers: int = 0,
    sample: int | None = None,
    trains: bool = True,
    cache_folder: str = "cache",
) -> dict[str, Any]:
    """Checks a data set, and returns a report of plain values.

    Its keys are "folder", "parts" (by name), "groups", "recipe", "suggestions", "test_sets", "duplicates", "problems",
    "warnings"; of EigenPlaces "views" or "crops".

    folder: of the data set
    parameters: of the split into groups
    radius: metres within which a database image is right
    num_workers: processes that decode images
    sample: the most images of each folder to decode (default: all)
    trains: whether to check that training images can be split into groups
    cache_folder: for the walks through folders

    Raises UserError if there is no such folder.
    """
    parts, problems = find_parts(folder)
    report = {"folder": folder, "parts": {}, "test_sets": {}, "problems": problems, "warnings": []}
    names = {}
    for part in parts:
        try:
            names[part] = list_images(part.path, cache_folder)
        except UserError as error:
            problems.append(str(error))
    parts = list(names)
    scanned = {part: scan_names(names[part], trains and part.role == TRAIN) for part in parts}
    pictures, pairs = (
        look_at([part.path for part in parts], list(names.values()), num_workers, sample)
        if parts
        else ([], np.empty(0))
    )
    for part, looked in zip(parts, pictures, strict=True):
        if part.role == TRAIN and trains:
            looked.refuse_sizes(parameters.make_method())
        report["parts"][part.name] = _part(part, scanned[part], looked, report, cache_folder)
        if part.role == TRAIN and trains:
            check_training(part, scanned[part], looked, parameters, report)
    _test_sets(parts, scanned, radius, report)
    _zones(parts, scanned, report)
    _overlap(parts, scanned, radius, report)
    _duplicates(parts, names, pairs.tolist(), report)
    return report


def _part(
    part: Part, scanned: ScannedNames, pictures: Pictures, report: dict[str, Any], cache_folder: str
) -> dict[str, Any]:
    """Describes one folder, and adds to the report's problems and warnings."""
    names, problems, warnings = scanned.names, report["problems"], report["warnings"]
    if scanned.bad:
        index, reason = next(iter(scanned.bad.items()))
        problems.append(
            f"{part.name}: {len(scanned.bad)} of {len(names)} names do not parse: {names[index]!r} {reason}"
        )
    unreadable = pictures.unreadable
    if unreadable:
        some = ", ".join(f"{names[index]!r}: {reason}" for index, reason in list(unreadable.items())[:_EXAMPLES])
        (problems if len(unreadable) == pictures.decoded else warnings).append(
            f"{part.name}: {len(unreadable)} of {pictures.decoded} images cannot be used: {some}"
        )
    sizes = pictures.sizes.most_common()
    if part.role == TRAIN and pictures.others:
        warnings.append(
            f"{part.name}: {pictures.others} images are not of {sizes[0][0][0]} x {sizes[0][0][1]} pixels as most are: "
            "they would be resized to it, whatever their shape"
        )
    unlisted = 0
    if os.path.exists(images_list_path(part.path)):
        missing = sum(reason.startswith("No such file") for reason in unreadable.values())
        unlisted = len(walk(part.path, cache_folder)[0]) - len(names) + missing
        if unlisted > 0:
            warnings.append(
                f"{part.name}: {unlisted} images below the folder are not in its list {images_list_path(part.path)}; "
                f"`python -m datasets.names {part.path}` makes it again"
            )
    known = np.isfinite(scanned.headings)
    return {
        "role": part.role,
        "images": len(names),
        "decoded": pictures.decoded,
        "unlisted": max(unlisted, 0),
        "unreadable": {names[index]: reason for index, reason in unreadable.items()},
        "bad_names": {names[index]: reason for index, reason in scanned.bad.items()},
        "sizes": [[width, height, count] for (width, height), count in sizes[:_LARGEST_SIZES]],
        "number_of_sizes": len(sizes),
        "utm_zones": dict(scanned.zones.most_common()),
        "extent": _extent(scanned.points[scanned.good()]),
        "headings": scanned.histogram(),
        "without_heading": int((~known).sum()) - len(scanned.bad),
    }


def _extent(points: np.ndarray) -> list[float]:
    """[width, height] in metres."""
    return [round(float(side), 1) for side in np.ptp(points, axis=0)] if len(points) else [0.0, 0.0]


def _test_sets(parts: list[Part], scanned: dict[Part, ScannedNames], radius: float, report: dict[str, Any]) -> None:
    """Checks the positives of each folder of queries."""
    for part in parts:
        databases = [other for other in parts if other.role == DATABASE and other.test_set == part.test_set]
        if part.role != QUERIES or not databases or part.test_set is None:
            continue
        database, queries = (scanned[which].points[scanned[which].good()] for which in (databases[0], part))
        if not len(database) or not len(queries):
            continue
        counts = np.array([len(found) for found in find_positives(database, queries, radius)])
        without = int((counts == 0).sum())
        chance = float(chance_recalls(counts, len(database))[0])
        report["test_sets"][part.name] = {
            "queries": len(queries),
            "database": len(database),
            "radius": radius,
            "without_positives": without,
            "median_positives": float(np.median(counts)),
            "chance_recall_at_1": chance,
        }
        if chance > _HIGH_CHANCE:
            report["warnings"].append(
                f"{part.name}: by chance alone R@1 is {chance:.1f}, since most database images are right. Recalls say "
                "little here: take a larger place"
            )
        if without == len(queries):
            report["problems"].append(
                f"{part.name}: no query has a database image within {radius:g} m, so that every recall would be 0; "
                "do both have UTM metres of one zone?"
            )
        elif without:
            report["warnings"].append(
                f"{part.name}: {without} of {len(queries)} queries have no database image within {radius:g} m, and "
                "count as missed"
            )


def _zones(parts: list[Part], scanned: dict[Part, ScannedNames], report: dict[str, Any]) -> None:
    for part in parts:
        zones = [zone for zone in scanned[part].zones if zone]
        if len(zones) > 1:
            report["warnings"].append(
                f"{part.name}: names are of several UTM zones ({', '.join(sorted(zones))}), whose metres do not go "
                "together"
            )
    ours = {part.name: {zone for zone in scanned[part].zones if zone} for part in parts}
    if len(set().union(*ours.values())) > 1 and all(len(zones) <= 1 for zones in ours.values()):
        report["warnings"].append(
            "the folders are of several UTM zones: "
            + ", ".join(f"{name} {''.join(zones)}" for name, zones in ours.items() if zones)
        )


def _overlap(parts: list[Part], scanned: dict[Part, ScannedNames], radius: float, report: dict[str, Any]) -> None:
    """Looks for images of val and test near training images."""
    train = [part for part in parts if part.role == TRAIN and len(scanned[part].good())]
    if not train or len(parts) == 1:
        return
    tree = KDTree(np.unique(scanned[train[0]].points[scanned[train[0]].good()], axis=0))
    for part in parts:
        points = scanned[part].points[scanned[part].good()]
        if part in train or not len(points):
            continue
        near = int((tree.query(points)[0] <= radius).sum())
        report["parts"][part.name]["near_training_images"] = near
        if near:
            report["warnings"].append(
                f"{part.name}: {near} of {len(points)} images lie within {radius:g} m of a training image"
            )


def _duplicates(parts: list[Part], names: dict[Part, ImageNames], pairs: list, report: dict[str, Any]) -> None:
    """Counts pairs of images with the same bytes, by their folders."""
    found = {}
    for (part, index), (first_part, first) in pairs:
        found.setdefault((first_part, part), []).append((index, first))
    report["duplicates"] = []
    for (first_part, part), rows in sorted(found.items()):
        double, original = parts[part], parts[first_part]
        index, first = rows[0]
        report["duplicates"].append({"of": double.name, "in": original.name, "count": len(rows)})
        report["warnings"].append(
            f"{double.name}: {len(rows)} images are, byte for byte, in "
            f"{f'{original.name} too' if part != first_part else 'it twice'}: {names[double][index]!r} and "
            f"{names[original][first]!r}"
        )
