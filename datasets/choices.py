"""How training images can be changed, by name. It imports no torch, so that --help answers at once."""

from support.errors import UserError

AUGMENTATION_TYPES = ("colorjitter", "none", "brightness", "contrast", "saturation", "bcs")  # as in augmentations.py
NIGHT_METHODS = ("fda", "pp", "fda_pp")
FDA_WINDOWS = {"paper": 0.5, "fork": 1.0}  # and the largest beta of each: no frequency is above half the pixels
PP_STRENGTHS = ("mild", "strong")
DOMAIN_SOURCES = ("all", "group")  # the classes that source images are drawn from


def needs_target(method: str | None) -> bool:
    """Whether a night method (or None) takes colours from images of the night."""
    return method in ("fda", "fda_pp")


def needs_strength(method: str | None) -> bool:
    """Whether a night method (or None) has post-processing, which is mild or strong."""
    return method in ("pp", "fda_pp")


def default_strength(method: str) -> str:
    """The strength of a night method's post-processing, where none is given: one of PP_STRENGTHS."""
    return "mild" if method == "fda_pp" else "strong"


def check_beta(beta: float, window: str = "paper") -> None:
    """Raises UserError if FDA's beta is outside the range of a window of FDA_WINDOWS."""
    if not 0 <= beta <= FDA_WINDOWS[window]:
        raise UserError(f"--fda_beta is {beta}, and must be from 0 to {FDA_WINDOWS[window]:g}")
