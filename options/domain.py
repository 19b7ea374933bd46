"""Options of the target domain: its images, and how the backbone is adapted to it."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from datasets.choices import DOMAIN_SOURCES
from model.choices import AUTOENCODERS
from support.options import number, option, whole

_BOTH = ("grl", "aada")
# flag -> (the kinds of domain adaptation that it belongs to, its default, or what gives it from the arguments)
DOMAIN_DEFAULTS: dict[str, tuple[tuple[str, ...], float | str | None | Callable[[argparse.Namespace], float]]] = {
    "domain_batch_size": (_BOTH, 24),
    "domain_target_images": (_BOTH, lambda args: args.domain_batch_size // 3),
    "domain_pseudo_images": (_BOTH, None),
    "domain_source": (_BOTH, "all"),
    "domain_lr": (_BOTH, lambda args: args.lr),
    "grl_loss_weight": (("grl",), 0.1),
    "aada_m": (("aada",), 0.5),
    "aada_gamma": (("aada",), 0.01),
    "aada_autoencoder": (("aada",), "pooled"),
}


@dataclass(frozen=True)
class DomainOptions:
    """target domain"""

    target_dataset_folder: str | None = option(
        None,
        str,
        "folder of unlabelled images of the target domain (night); names need no @ fields",
        "train",
        results=True,
        ranks="given",
    )
    domain_adaptation: str | None = option(
        None,
        ("grl", "aada"),
        "make the backbone's features of source (training) and target images alike: grl, a domain classifier behind a "
        "gradient reversal; aada, an autoencoder as adversary",
        "train",
        results=True,
        default_text="neither",
    )
    domain_batch_size: int | None = option(
        None,
        whole(3),
        "images a step of domain adaptation, of both domains",
        "train",
        results=True,
        metavar="N",
        default_text=str(DOMAIN_DEFAULTS["domain_batch_size"][1]),
    )
    domain_target_images: int | None = option(
        None,
        whole(1),
        "how many of --domain_batch_size are of the target domain",
        "train",
        results=True,
        metavar="N",
        default_text="a third, rounded down",
    )
    domain_pseudo_images: int | None = option(
        None,
        whole(0),
        "how many of --domain_target_images are of --pseudo_target_folder; for each a class is drawn as for a source "
        "image, and one of its images by night; the others are of --target_dataset_folder",
        "train",
        results=True,
        metavar="N",
        default_text="each target image is of either folder, with the same probability",
    )
    domain_source: str | None = option(
        None,
        DOMAIN_SOURCES,
        "which classes source images are of: all, those of all groups that are trained; group, those of the group "
        "that the step trains",
        "train",
        results=True,
        default_text=DOMAIN_DEFAULTS["domain_source"][1],
    )
    domain_lr: float | None = option(
        None,
        number(0),
        "learning rate of grl's classifier or aada's autoencoder (Adam)",
        "train",
        results=True,
        metavar="LR",
        default_text="--lr",
    )
    grl_loss_weight: float | None = option(
        None,
        number(0),
        "weight of grl's cross-entropy",
        "train",
        results=True,
        metavar="ALPHA",
        default_text=str(DOMAIN_DEFAULTS["grl_loss_weight"][1]),
    )
    aada_m: float | None = option(
        None,
        number(0),
        "margin of aada, on the autoencoder's squared error",
        "train",
        results=True,
        metavar="M",
        default_text=str(DOMAIN_DEFAULTS["aada_m"][1]),
    )
    aada_gamma: float | None = option(
        None,
        number(0),
        "weight of aada's term for the backbone",
        "train",
        results=True,
        metavar="GAMMA",
        default_text=str(DOMAIN_DEFAULTS["aada_gamma"][1]),
    )
    aada_autoencoder: str | None = option(
        None,
        AUTOENCODERS,
        "aada's autoencoder: pooled, linear layers on features averaged over positions; conv, convolutions on the "
        "whole map of features",
        "train",
        results=True,
        default_text=DOMAIN_DEFAULTS["aada_autoencoder"][1],
    )
