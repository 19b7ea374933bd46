"""Options of EigenPlaces, the other method that train.py trains by and datasets.check looks data over for."""

from dataclasses import dataclass
from typing import Any

from model.choices import is_of_timm
from support.options import SWITCH, number, option

METHODS = ("cosplace", "eigenplaces")
# the published EigenPlaces' defaults where CosPlace's are others (Berton et al., ICCV 2023); --groups_num 0 is all
EIGENPLACES_DEFAULTS = {
    "M": 15,
    "N": 3,
    "groups_num": 0,
    "min_images_per_class": 5,
    "loss_s": 100.0,
    "epochs_num": 40,
    "iterations_per_epoch": 5000,
    "use_amp16": True,
}
OF_NEAREST_CROPS = ("nearest_degrees", "crop_degrees", "heading_is_center")
OF_EIGENPLACES = ("focal_dist", "lambda_lat", "lambda_front", "crops_folder", "nearest_crops", *OF_NEAREST_CROPS)
# name of an option -> why EigenPlaces has no use for it
NOT_OF_EIGENPLACES = {
    "alpha": "its classes have no headings",
    "L": "its classes have no headings",
    "images_per_class": "a batch has one image of each class",
    "fc_init": "its last layer begins with random weights",
}


def eigenplaces_defaults(backbone: str | None) -> dict[str, Any]:
    """{name: default} of --method eigenplaces, where they are not CosPlace's.

    backbone: of the network; its initial weights are those of the published CosPlace network of 512 dimensions, if
    there can be one
    """
    if is_of_timm(backbone or ""):  # no CosPlace network is published for it
        return EIGENPLACES_DEFAULTS
    return {**EIGENPLACES_DEFAULTS, "backbone_weights": f"{backbone or 'ResNet18'}_512"}


_OTHERS = " ".join(f"--{name} {value}" for name, value in EIGENPLACES_DEFAULTS.items() if value is not True)


@dataclass(frozen=True)
class MethodOptions:
    """method"""

    method: str = option(
        "cosplace",
        METHODS,
        "cosplace, or eigenplaces (Berton et al., ICCV 2023), which trains on panoramas, towards two points of each "
        f"class. Its defaults are {_OTHERS} (all groups), mixed precision, and as --backbone_weights the published "
        "CosPlace network NAME_512 of the backbone",
        "train check",
        results=True,
    )
    focal_dist: float = option(
        10.0,
        number(0),
        "with --method eigenplaces, the two points of a class lie so many metres from its mean position",
        "train check",
        results=True,
        metavar="METRES",
    )
    lambda_lat: float = option(
        1.0,
        number(0),
        "weight of the lateral loss, towards a point beside the street, of --method eigenplaces",
        "train",
        results=True,
        metavar="W",
    )
    lambda_front: float = option(
        1.0,
        number(0),
        "weight of the frontal loss, towards a point along the street, of --method eigenplaces",
        "train",
        results=True,
        metavar="W",
    )
    nearest_crops: bool = option(
        False,
        SWITCH,
        "--method eigenplaces trains on images with headings that are no panoramas: each class takes those that face "
        "its points",
        "train check",
        results=True,
    )
    nearest_degrees: float = option(
        15.0,
        number(0, 180),
        "with --nearest_crops, an image faces a point if it looks at most so many degrees past it; of 12 crops of a "
        "panorama, one always looks at most 15 degrees past it",
        "train check",
        results=True,
        metavar="DEGREES",
    )
    crop_degrees: float = option(
        55.4,
        number(0, 180),
        "with --nearest_crops, an image spans so many degrees from left to right, and looks half of them to the right "
        "of its heading, as SF-XL's crops do",
        "train check",
        results=True,
        metavar="DEGREES",
    )
    heading_is_center: bool = option(
        False,
        SWITCH,
        "with --nearest_crops, the heading of an image is that of its centre, as of photos, and not of its left edge",
        "train check",
        results=True,
    )
    crops_folder: str | None = option(
        None,
        str,
        "crops of the training set's panoramas, as `python -m datasets.prepare --panoramas eigenplaces` makes them; "
        "they are read instead of the panoramas, with the same results",
        "train",
        metavar="FOLDER",
        default_text="panoramas are cut as they are read",
        ranks="own",
    )
