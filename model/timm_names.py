"""The names of timm's models, for --backbone timm/NAME."""

import difflib
from types import ModuleType

from model.choices import TIMM
from support.errors import UserError


def import_timm() -> ModuleType:
    """The package timm. Raises UserError if it is not installed."""
    try:
        import timm
    except ImportError as error:
        raise UserError("a backbone timm/NAME needs timm: pip install -r requirements-timm.txt") from error
    return timm


def known_name(name: str) -> str:
    """The name of a model of timm, whatever its case; it may name weights too, as vit_small_patch14_dinov2.lvd142m.

    Raises UserError, with names that are near, if timm has no such model or no such weights of it.
    """
    timm = import_timm()
    name = name.lower()
    architecture, _, tag = name.partition(".")
    names = timm.list_models(include_tags=False)
    if architecture not in names:
        near = difflib.get_close_matches(architecture, names, n=5, cutoff=0.5)
        advice = f"do you mean {', '.join(near)}?" if near else "timm.list_models() lists them"
        raise UserError(f"timm {timm.__version__} has no model {architecture!r}; {advice}")
    tags = [found.partition(".")[2] for found in timm.list_models(f"{architecture}.*", pretrained=True)]
    if tag and tag not in tags:
        raise UserError(
            f"timm {timm.__version__} has no weights {tag!r} of {architecture}; it has {', '.join(tags) or 'none'}"
        )
    return name


def own_normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, deviation) of the images that a model takes, as timm says. name: timm/NAME."""
    config = import_timm().get_pretrained_cfg(name.removeprefix(TIMM))
    return tuple(config.mean), tuple(config.std)
