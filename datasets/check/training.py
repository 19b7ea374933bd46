"""Whether a training set can be split into groups and trained on with given parameters, and with which it could."""

from dataclasses import asdict
from typing import Any

import numpy as np

from datasets.check.eigenplaces import add_views, can_be_trained_on
from datasets.check.layout import Part
from datasets.check.names import ScannedNames
from datasets.check.pictures import Pictures
from datasets.check.suggestions import Parameters, suggest
from datasets.eigenplaces import describe_groups_num
from datasets.groups import Groups
from datasets.methods import Method
from support.errors import UserError
from support.recipes import path_in_command

SMALL_RECIPE = "recipes/small_city.txt"
_SMALL = Parameters(
    M=15, alpha=30, N=1, L=1, min_images_per_class=2, groups_num=1, batch_size=64, images_per_class=4
)  # of that recipe
FEW_IMAGES = 50_000  # below that it is proposed; the recipe was measured on 500 to 2,168


def check_training(
    part: Part, scanned: ScannedNames, pictures: Pictures, parameters: Parameters, report: dict[str, Any]
) -> None:
    """Adds "groups" to the report and, if training would fail, "suggestions", problems and warnings.

    Of few images it adds "recipe", what recipes/small_city.txt makes of them, unless batches are of its kind already or
    there is only this one folder, and training needs a data set. For EigenPlaces there is none: it adds "views", how
    the panoramas see their points, or what can_be_trained_on says of other images.

    part: of training images
    scanned: its names
    pictures: its images
    parameters: of the split
    report: is added to
    """
    good = scanned.good()
    if not len(good):
        return
    eigenplaces = parameters.method == "eigenplaces"
    if eigenplaces and not can_be_trained_on(part, scanned, pictures, parameters, report):
        return
    few = len(good) < FEW_IMAGES and parameters.images_per_class == 1
    if few and part.path != report["folder"] and not eigenplaces:
        report["recipe"] = _small_recipe(scanned, good)
    fails, problem = False, _without_headings(scanned, parameters)
    try:
        method = parameters.make_method()
        groups = method.build(scanned.select(good))
        trained = range(min(groups.num_groups, parameters.groups_num))
        classes, images = (
            [count(group) for group in trained] for count in (groups.num_classes, groups.num_group_images)
        )
        report["groups"] = {
            "groups": groups.num_groups,
            "classes": classes,
            "images": images,
            "of_images": len(good),
            "trained_share": sum(images) / len(good),
        }
        fails = _refuse_groups(groups.num_groups, classes, parameters, part, report)
        _refuse_lost_classes(groups, method, pictures.usable()[good], trained, part, report)
        if eigenplaces and not parameters.nearest_crops:
            add_views(groups, scanned.points[good], len(trained), parameters, report)
    except UserError as error:
        problem = problem or str(error)
    if problem:
        report["problems"].append(f"{part.name}: {problem}")
        fails = True
    if fails and not parameters.nearest_crops:  # whose classes depend on directions too
        suggestions = suggest(scanned.points[good], scanned.headings[good], parameters)
        report["suggestions"] = [
            {"flags": suggestion.parameters.flags(), "classes": suggestion.classes, "images": suggestion.images}
            for suggestion in suggestions
        ]
        if eigenplaces and suggestions:
            report["command"] = _command(part, report["folder"], suggestions[0].parameters.flags())


def _command(part: Part, folder: str, flags: str) -> str:
    """How EigenPlaces is trained with some flags: of a lone folder of panoramas the data set of val and test lacks."""
    folders = f"--dataset_folder {path_in_command(folder)}"
    if part.path == folder:
        folders = f"--train_set_folder {path_in_command(folder)} --dataset_folder DATA_SET"
    return f"python train.py {folders} {flags}"


def _small_recipe(scanned: ScannedNames, good: np.ndarray) -> dict[str, Any]:
    """What the recipe for few images makes of a set.

    "file"; "headings": whether all images have one; "classes" and "images" that it trains on, 0 if there is no way;
    "flags" that it needs beside, where its own parameters leave out more than half of the images.
    """
    points, headings = scanned.points[good], scanned.headings[good]
    recipe = {"file": SMALL_RECIPE, "headings": bool(np.isfinite(headings).all()), "flags": ""}
    recipe |= {"classes": 0, "images": 0}
    if recipe["headings"]:
        own = suggest(points, headings, _SMALL, alone=True)
        best = own if own and 2 * own[0].images >= len(good) else suggest(points, headings, _SMALL)
        if best:
            values = asdict(best[0].parameters).items()
            flags = " ".join(f"--{name} {value}" for name, value in values if value != getattr(_SMALL, name))
            recipe |= {"flags": flags, "classes": best[0].classes, "images": best[0].images}
    return recipe


def _refuse_groups(
    num_groups: int, classes: list[int], parameters: Parameters, part: Part, report: dict[str, Any]
) -> bool:
    """Whether training would fail because of the number of groups or of classes, as train.py does."""
    if parameters.groups_num > num_groups:
        wanted = parameters.groups_num
        if parameters.method == "eigenplaces":
            wanted = describe_groups_num(wanted, parameters.N)
        report["problems"].append(f"{part.name}: there are only {num_groups} groups, and --groups_num is {wanted}")
    small = [(group, count) for group, count in enumerate(classes) if count < parameters.classes_per_batch]
    if small:
        report["problems"].append(
            f"{part.name}: {len(small)} of {len(classes)} groups have fewer classes than a batch of "
            f"{parameters.classes_per_batch} (group {small[0][0]} has {small[0][1]})"
        )
    return parameters.groups_num > num_groups or bool(small)


def _refuse_lost_classes(
    groups: Groups, method: Method, usable: np.ndarray, trained: range, part: Part, report: dict[str, Any]
) -> None:
    """Adds a problem for each class that has no usable image for one of its heads: training would stop there.

    groups: as the method builds them
    method: says which images of a class a head has
    usable: whether an image can be read and trained on: bool, of the list that the groups index
    trained: groups
    part: of training images
    report: is added to
    """
    if usable.all():
        return
    for group in trained:
        for row in range(groups.num_classes(group)):
            every = len(groups.image_indices(group, row))
            for head, name in enumerate(method.heads):
                indices = method.images(groups, group, row, head)
                if usable[indices].any():
                    continue
                facing = f" that face the {name} point" if len(indices) < every else ""
                class_id = tuple(groups.class_ids(group)[row].tolist())
                report["problems"].append(
                    f"{part.name}: none of the {len(indices)} images{facing} of class {class_id} can be used"
                )
                if not facing:  # they are all lost, for each head
                    break


def _without_headings(scanned: ScannedNames, parameters: Parameters) -> str:
    """Why a set with names without headings cannot be trained on; "" if it can."""
    without = int((~np.isfinite(scanned.headings[scanned.good()])).sum())
    if not without or not parameters.needs_headings:
        return ""
    flags = "--alpha 360 --L 1" + (f" --positives {parameters.positives[0]:g},180" if parameters.positives else "")
    return f"{without} of {len(scanned.good())} names have no heading (field 9), and need {flags}"
