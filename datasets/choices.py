"""How training images can be changed, by name. It imports no torch, so that --help answers at once."""

AUGMENTATION_TYPES = ("colorjitter", "none", "brightness", "contrast", "saturation", "bcs")  # as in augmentations.py
NIGHT_METHODS = ("fda", "pp", "fda_pp")
DOMAIN_SOURCES = ("all", "group")  # the classes that source images are drawn from


def needs_target(method: str | None) -> bool:
    """Whether a night method (or None) takes colours from images of the night."""
    return method in ("fda", "fda_pp")
