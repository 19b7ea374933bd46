"""The findings as text for people: a few lines per folder, then what is wrong."""

import os
from collections.abc import Iterator
from typing import Any

from datasets.check.eigenplaces import CLEAR, NEAR
from datasets.check.layout import TRAIN
from datasets.check.names import HEADING_BINS
from datasets.eigenplaces import EigenPlaces
from support.recipes import path_in_command

_BAR = 40  # characters of the longest bar


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of a report by datasets.check.parts.check."""
    for name, part in report["parts"].items():
        yield f"{name}: {part['images']} images over {part['extent'][0]:.0f} m x {part['extent'][1]:.0f} m" + _zones(
            part["utm_zones"]
        )
        yield f"  sizes: {_sizes(part)}" + (
            "" if part["decoded"] == part["images"] else f" ({part['decoded']} images decoded)"
        )
        yield from _headings(part)
    for name, test_set in report["test_sets"].items():
        yield (
            f"{name}: {test_set['queries']} queries, "
            f"{test_set['without_positives']} without positives within {test_set['radius']:g} m; "
            f"in the median {test_set['median_positives']:g} of {test_set['database']} database images are right "
            f"(chance R@1 {test_set['chance_recall_at_1']:.1f})"
        )
    if "groups" in report:
        yield from _groups(report["groups"])
    if "views" in report:
        yield from _views(report["views"])
    if "crops" in report:
        yield from _crops(report["crops"])
    if "recipe" in report:
        yield "\n" + _recipe(report["recipe"], report["folder"])
    for kind in ("warnings", "problems"):
        if report[kind]:
            yield f"\n{kind.capitalize()}:"
            yield from (f"- {line}" for line in report[kind])
    if report.get("suggestions"):
        yield "\nParameters nearest to these that would give usable groups:"
        yield from (
            f"- {suggestion['flags']} ({suggestion['classes']} classes, {suggestion['images']} images)"
            for suggestion in report["suggestions"]
        )
        if "command" in report:
            yield f"The first as a command, where DATA_SET has val and test:\n{report['command']}"
    elif "suggestions" in report:
        yield "\nNo parameters that were tried give usable groups: there are too few images of a place"
    has_way = "suggestions" in report and report.get("recipe", {}).get("classes")
    yield f"\n{report['folder']} can" + (
        f"not be used as it is{'; the recipe above makes usable groups' if has_way else ''}"
        if report["problems"]
        else " be used"
    )


def _recipe(recipe: dict[str, Any], folder: str) -> str:
    begin = "These are few images for CosPlace's own training, which was made for millions. "
    if recipe["classes"]:
        return (
            f"{begin}A recipe for them makes {recipe['classes']} classes of {recipe['images']} images:\n"
            f"python train.py @{recipe['file']} --dataset_folder {path_in_command(folder)} {recipe['flags']}".rstrip()
        )
    why = "Too few of them show one place" if recipe["headings"] else "Names without headings do not say which do"
    return (
        f"{begin}The recipe for few images learns from photos that show the same. {why}: leave the network as it is, "
        "and fit its last layer to the database, without training:\n"
        f"python eval.py --test_set_folder {path_in_command(os.path.join(folder, 'test'))} --resume_model MODEL "
        "--whiten database"
    )


def _zones(zones: dict[str, int]) -> str:
    known = [f"{zone} {count}" for zone, count in zones.items() if zone]
    return (
        f", UTM zone {known[0].split()[0]}"
        if len(known) == 1 and "" not in zones
        else f", UTM zones: {', '.join(known)}"
        if known
        else ""
    )


def _sizes(part: dict[str, Any]) -> str:
    text = ", ".join(f"{width} x {height}: {count}" for width, height, count in part["sizes"]) or "none was read"
    more = part["number_of_sizes"] - len(part["sizes"])
    return text + (f" and {more} other sizes" if more > 0 else "")


def _headings(part: dict[str, Any]) -> Iterator[str]:
    """The histogram in one line; for training images, a bar for each 30 degrees."""
    step = 360 // HEADING_BINS
    none = f"; {part['without_heading']} names have none" if part["without_heading"] else ""
    if not any(part["headings"]):
        yield f"  headings: none of {part['without_heading']} names has one"
        return
    if part["role"] != TRAIN:
        yield f"  headings, {step} degrees each: {' '.join(map(str, part['headings']))}{none}"
        return
    yield f"  headings{none}:"
    for index, count in enumerate(part["headings"]):
        bar = "#" * round(_BAR * count / max(part["headings"]))
        yield f"  {index * step:5d} to {(index + 1) * step:3d}: {count:7d} {bar}".rstrip()


def _groups(groups: dict[str, Any]) -> Iterator[str]:
    yield (
        f"groups: {groups['groups']}, of which {len(groups['classes'])} would be trained, "
        f"with {sum(groups['classes'])} classes and "
        f"{sum(groups['images'])} of {groups['of_images']} images ({100 * groups['trained_share']:.1f} %)"
    )
    yield from (
        f"  group {number}: {classes} classes, {images} images"
        for number, (classes, images) in enumerate(zip(groups["classes"], groups["images"], strict=True))
    )


def _views(views: dict[str, Any]) -> Iterator[str]:
    classes, images = views["classes"], views["images"]
    share = f"{100 * classes / views['cells']:.1f} %"
    yield f"classes: {classes} in the trained groups, of {views['cells']} cells that have a panorama ({share})"
    for head in EigenPlaces.heads:
        (low, median, high), near = views[head]["metres"], views[head]["near"]
        yield (
            f"  {head} point: {median:g} m from the panoramas in the median, 90 % between {low:g} and {high:g} m; "
            f"{near} ({100 * near / images:.1f} %) stand within {NEAR:g} m, where a view's direction means little; "
            f"{views[head]['classes']} classes have at least {views['minimum']} others"
        )
    clear, none = views["streets"]["clear"], views["streets"]["none"]
    yield (
        f"  street: clear in {clear} classes ({100 * clear / classes:.1f} %), whose panoramas spread at least "
        f"{1 / CLEAR:g} times as far along it as across; {none} classes have no axis, and count as a street from west "
        "to east"
    )


def _crops(crops: dict[str, Any]) -> Iterator[str]:
    enough = ", ".join(f"{crops[head]} towards the {head} point" for head in EigenPlaces.heads)
    left_edge = "left edges (--nearest_crops --heading_is_center: of the centres)"
    none = f"; {crops['without_heading']} images have no heading" if crops["without_heading"] else ""
    yield (
        f"cells with {crops['minimum']} images: {crops['classes']}; with so many that look within "
        f"{crops['degrees']:g} degrees: {enough}, {crops['both']} towards both. Headings are taken as those of the "
        f"{left_edge if crops['left_edge'] else 'centres'}{none}"
    )
    kept = ", ".join(f"{classes} at {degrees}" for degrees, classes in crops["kept"])
    yield f"  classes that --nearest_crops keeps, by --nearest_degrees: {kept}"
