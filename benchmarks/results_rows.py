"""The rows of the results table: their recipes, what they are made of, and the figures that their authors published.

Each has a recipe in two forms: as its method is meant, and as its authors ran it, as far as that is known.

Published: ResNet-18, 512-D, trained on SF-XL small; R@1 / R@5 / R@10 on sf-xs, tokyo-xs and tokyo-night.
"""

from typing import NamedTuple

FORMS = {"sound": "rows", "published": "rows_as_published"}  # form -> the folder of its recipes, in recipes/
PUBLISHED_SETS = ("sf-xs", "tokyo-xs", "tokyo-night")


class Row(NamedTuple):
    """A row of the results table."""

    title: str
    kind: str  # "train", "soup", or the row whose model is evaluated with this recipe's flags
    published: tuple  # of (R@1, R@5, R@10) a published set, in percent


def _row(title: str, published: str, kind: str = "train"):
    values = tuple(float(value) for value in published.split())
    return Row(title, kind, (values[:3], values[3:6], values[6:]))


# name of the recipe -> Row
ROWS = {
    "cosface": _row("CosFace", "52.7 65.5 70.8 70.2 84.1 89.5 52.4 70.5 80.0"),
    "arcface": _row("ArcFace", "48.4 61.1 66.0 70.2 84.4 87.9 51.4 74.3 80.0"),
    "sphereface": _row("SphereFace", "50.4 63.7 68.6 71.7 84.4 87.9 56.2 70.5 77.1"),
    "fda_pp_da_0.1": _row("FDA+PP+DA (alpha=0.1)", "50.9 63.4 69.1 73.3 85.4 88.6 61.0 81.0 83.8"),
    "ae": _row("AE", "52.8 66.0 71.0 73.0 86.3 91.1 53.3 76.2 87.6"),
    "fda_pp": _row("FDA+PP", "51.0 65.9 71.0 69.8 84.1 88.6 53.3 74.3 77.1"),
    "fda": _row("FDA", "51.3 65.2 69.8 71.7 83.8 88.3 53.3 69.5 77.1"),
    "pp": _row("PP", "48.6 61.9 67.2 67.6 82.2 88.3 50.5 71.4 81.9"),
    "fda_on_test": _row("FDA on test", "52.1 66.6 70.6 70.2 84.4 88.6 56.2 71.4 81.0", "cosface"),
    "da": _row("DA", "52.7 68.0 73.0 71.7 86.7 91.1 56.2 78.1 84.8"),
    "fda_pp_da_0.01": _row("FDA+PP+DA (alpha=0.01)", "50.4 63.9 69.0 71.4 86.0 89.8 59.0 79.0 83.8"),
    "fda_pp_da_1": _row("FDA+PP+DA (alpha=1)", "47.2 62.5 67.7 58.1 71.4 78.1 68.3 82.9 87.3"),
    "fda_pp_da_beta_0.09": _row("FDA+PP+DA (beta=0.09)", "46.5 61.8 68.3 71.4 84.8 89.5 64.8 74.3 81.0"),
    "soup_face": _row("Soup Face", "51.6 65.1 70.1 68.9 82.5 87.9 52.4 71.4 77.1", "soup"),
    "emms_1": _row("EMMS l=1", "52.9 66.5 71.1 69.2 81.6 86.3 52.4 70.5 77.1"),
    "emms_1.5": _row("EMMS l=1.5", "51.7 66.0 71.1 69.8 83.5 87.6 54.3 72.4 77.1"),
    "emms_2": _row("EMMS l=2", "50.5 65.4 70.4 70.5 83.5 87.6 52.4 72.4 77.1"),
    "fda_pp_emms": _row("FDA+PP+colorjitter+EMMS", "50.3 65.2 70.9 70.5 86.3 90.5 54.3 79.0 84.8"),
    "places365": _row("Places365 pretrain", "50.3 65.5 70.3 64.4 81.6 87.6 42.9 68.6 77.1"),
    "different_alphas": _row("Different Alphas", "49.8 64.7 69.8 72.1 84.1 89.2 57.1 78.1 83.8", "soup"),
    "face_soup_emms": _row("Face soup + EMMS", "51.6 66.8 70.7 67.6 84.1 89.5 50.5 73.3 81.0", "soup"),
    "fda_pp_da_soup": _row("FDA PP DA soup", "51.4 65.3 70.3 70.8 84.1 88.9 55.2 75.2 81.9", "soup"),
}

_FDA = "--method fda --fda_beta {} --fda_window fork --fda_size 1024x512 --jpeg_quality 75"
_PP = "--method pp --pp_strength mild --jpeg_quality 75"


class NightSet(NamedTuple):
    """A set by night that a recipe as published names by its folder's name."""

    source: str  # "train", "queries", or the set that it is made of
    target: str | None  # what FDA takes colours of: "night", --target_dataset_folder, or "train"
    flags: str  # further ones of python -m datasets.night


NIGHT_SETS = {
    "fda": NightSet("train", "night", _FDA.format(0.01)),
    "pp": NightSet("train", None, _PP),
    "fda_pp": NightSet("fda", None, _PP),
    "fda_beta_0.09": NightSet("train", "night", _FDA.format(0.09)),
    "fda_pp_beta_0.09": NightSet("fda_beta_0.09", None, _PP),
    "fda_queries": NightSet("queries", "train", _FDA.format(0.01)),
}
