"""What the entries of a network's state_dict do not tell, in a file beside it: best_model.json of best_model.pth."""

import contextlib
import json
import logging
import math
import os
from typing import Any, NamedTuple

from model.choices import GEM_ACTIVATIONS, canonical_backbone, is_of_timm
from model.normalization import IMAGENET_MEAN, IMAGENET_STD
from support.downloads import PART
from support.errors import UserError
from support.files import read_object, replacing

logger = logging.getLogger(__name__)

KEY = "network"  # of a run's state, and of the object in the file


class Details(NamedTuple):
    """What the entries of a network's state_dict do not tell."""

    backbone: str  # canonical
    gem_activation: str = "clamp"
    mean: tuple[float, ...] = IMAGENET_MEAN  # of the images that the backbone itself takes
    std: tuple[float, ...] = IMAGENET_STD
    image_size: int | None = None  # side of the crops that it was trained on, pixels, if that is known

    @property
    def are_needed(self) -> bool:
        """Whether the network is another one than its entries alone tell."""
        return is_of_timm(self.backbone) or self.gem_activation != "clamp"

    def as_facts(self) -> dict[str, dict]:
        """What a run's state says of them: nothing where they are not needed."""
        return {KEY: self._asdict()} if self.are_needed else {}

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, std)."""
        return self.mean, self.std


def beside(path: str) -> str:
    """The path of the details of a file of weights: X.json of X.pth."""
    return os.path.splitext(os.fspath(path).removesuffix(PART))[0] + ".json"


def read_details(path: str) -> Details | None:
    """The details beside a file of weights; None if there are none. Raises UserError if they are no network's."""
    file = beside(path)
    try:
        content = read_object(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning(f"{file} does not say what network {path} is: it cannot be read ({error})")
        return None
    return parse_details(content[KEY], file) if isinstance(content.get(KEY), dict) else None  # of something else


def write_details(details: Details, path: str) -> None:
    """Writes the details of a file of weights that is about to be written, or removes those of the previous one.

    Networks that their entries tell have none. Raises UserError if the disk refuses.
    """
    file = beside(path)
    if details.are_needed:
        if os.path.exists(file) and not _is_ours(file):
            raise UserError(
                f"{file} is of something else, and would have to say what network {path} is: move one of them"
            )
        with replacing(file) as temporary, open(temporary, "w") as text:
            json.dump(details.as_facts(), text, indent=1)
            text.write("\n")
        return
    if _is_ours(file):
        os.unlink(file)


def _is_ours(file: str) -> bool:
    """Whether a file holds details of a network."""
    with contextlib.suppress(OSError, ValueError):
        return isinstance(read_object(file).get(KEY), dict)
    return False


def parse_details(value: Any, source: str) -> Details:
    """The details that _asdict() of them gave. Raises UserError, which names the source, for anything else."""
    try:
        fields = {**value}
        fields |= {name: tuple(map(float, fields[name])) for name in ("mean", "std") if name in fields}
        details = Details(**fields)
        details = details._replace(backbone=canonical_backbone(details.backbone))
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{source} does not tell what network it belongs to ({error}); restore it") from error
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    numbers = (*details.mean, *details.std)
    is_right = len(details.mean) == len(details.std) == 3 and all(map(math.isfinite, numbers)) and min(details.std) > 0
    size = details.image_size
    if not is_right or details.gem_activation not in GEM_ACTIVATIONS or not (size is None or isinstance(size, int)):
        raise UserError(f"{source} has values that no network has: {dict(details._asdict())}; restore it")
    return details
