"""Options of what a training minimises over its classes and pairs of images."""

import argparse
from dataclasses import dataclass

from model.choices import FORK_HEADS, HEAD_VARIANTS, LOSSES, PAIR_LOSSES, split_loss
from support.errors import UserError
from support.options import number, option, whole


def _loss(text: str) -> str:
    try:
        split_loss(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix(f"--loss {text}: ")) from error
    return text


def _near(text: str) -> tuple[float, float]:
    parts = text.split(",")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not two numbers, metres and degrees, such as 10,40")
    return number(0, 1e6)(parts[0]), number(0, 180)(parts[1])


def _pair_option(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not name.isidentifier() or not equals:  # a blank beside the name would make another name of it
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=NUMBER, such as alpha=1")
    return name, number()(value)


@dataclass(frozen=True)
class LossOptions:
    """loss"""

    loss: str = option(
        "cosface",
        _loss,
        f"head over a group's classes: {', '.join(LOSSES)}; or a pair loss: {', '.join(PAIR_LOSSES)} (needs "
        "requirements-losses.txt); or both, as in cosface+multi_similarity",
        "train check",
        results=True,
        metavar="LOSS",
    )
    loss_s: float | None = option(
        None,
        number(0),
        "scale of the head's cosines",
        "train",
        metavar="S",
        default_text="the head's own: cosface, sphereface and emms 30, arcface 64",
    )
    loss_m: float | None = option(
        None,
        number(0),
        "margin of the head",
        "train",
        metavar="M",
        default_text="the head's own: cosface and emms 0.40, on the cosine, 0 to 1; arcface 0.5, radians, 0 to 1.571; "
        "sphereface 1.5, a factor on the angle, 1 to 10",
    )
    emms_l: float | None = option(
        None, number(0), "weight of emms' plain softmax", "train", metavar="L", default_text="1"
    )
    head_variant: str = option(
        "paper",
        HEAD_VARIANTS,
        f"paper: the head as its paper has it; fork ({' and '.join(FORK_HEADS)}): as the published night experiments "
        "trained it, class weights set to unit length at each step and arcface's margin outside the gradient",
        "train",
    )
    label_smoothing: float = option(
        0.0,
        number(0, 0.999),
        "share of a label that the head's cross-entropy spreads evenly over all classes of the group",
        "train",
        results=True,
        metavar="E",
    )
    images_per_class: int | None = option(
        None,
        whole(1),
        "images of each class in a batch, which has --batch_size / K classes",
        "train check",
        results=True,
        metavar="K",
        default_text="1, and 4 with a pair loss",
    )
    positives: tuple[float, float] | None = option(
        None,
        _near,
        "which images a pair loss draws together: those within so many metres that look the same way within so many "
        "degrees, of any class; two images within --positive_dist_threshold are never pushed apart",
        "train check",
        results=True,
        metavar="METRES,DEGREES",
        default_text="those of one class",
    )
    pair_options: tuple[tuple[str, float], ...] = option(
        (),
        _pair_option,
        "options of the pair loss, by the names that pytorch-metric-learning gives them",
        "train",
        results=True,
        nargs="+",
        metavar="NAME=NUMBER",
        default_text="that package's",
    )
    pair_weight: float | None = option(
        None,
        number(0),
        "weight of the pair loss beside a head",
        "train",
        results=True,
        metavar="W",
        default_text="1",
    )
