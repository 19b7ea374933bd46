"""What can be chosen of a network and its loss, by name. It imports no torch, so that --help answers at once."""

import math
from typing import NamedTuple

from support.errors import UserError

# name -> (channels of the last feature map, first trained child). Before that child all is frozen unless
# train_all_layers: ResNets from layer3 and EfficientNets from block 5, as published; the others from where their
# features reach a stride of 16 pixels, as layer3 does. VGG-16 has no such border; its last five layers are trained, as
# published.
BACKBONES = {
    "ResNet18": (512, "6"),
    "ResNet50": (2048, "6"),
    "ResNet101": (2048, "6"),
    "ResNet152": (2048, "6"),
    "VGG16": (512, "24"),
    "EfficientNet_B0": (1280, "5"),
    "EfficientNet_B1": (1280, "5"),
    "EfficientNet_B2": (1408, "5"),
    "EfficientNet_B3": (1536, "5"),
    "EfficientNet_B4": (1792, "5"),
    "EfficientNet_B5": (2048, "5"),
    "EfficientNet_B6": (2304, "5"),
    "EfficientNet_B7": (2560, "5"),
    "MobileNet_V2": (1280, "7"),
    "MobileNet_V3_Large": (960, "7"),
    # signed features: GeM counts the negative ones as eps; the last LayerNorm is the classifier's, and goes with it
    "ConvNeXt_Tiny": (768, "4"),
    "ConvNeXt_Small": (768, "4"),
    "ConvNeXt_Base": (1024, "4"),
}
TIMM = "timm/"  # the beginning of the names of timm's models
# What GeM does with features before their powers are averaged. clamp is as published.
GEM_ACTIVATIONS = ("clamp", "softplus", "signed", "abs")
ZOO_VARIABLE = "COSPLACE_ZOO"  # the environment variable that names the user's own zoo


class Margins(NamedTuple):
    """The range of a head's margin m."""

    low: float
    high: float
    unit: str


# name of a head, as in model.heads.HEADS -> its margins
LOSSES = {
    "cosface": Margins(0.0, 1.0, "on the cosine"),
    "arcface": Margins(0.0, math.pi / 2, "on the angle, radians"),  # up to there the two pieces of its curve meet
    "sphereface": Margins(1.0, 10.0, "a factor on the angle"),
    "emms": Margins(0.0, 1.0, "on the cosine"),
}

HEAD_VARIANTS = ("paper", "fork")  # as published for the loss, and as in the published night experiments
FORK_HEADS = ("arcface", "sphereface")  # those that have both

AUTOENCODERS = ("pooled", "conv")  # of AADA

# name of a pair loss -> its class in pytorch_metric_learning.losses
PAIR_LOSSES = {
    "multi_similarity": "MultiSimilarityLoss",
    "contrastive": "ContrastiveLoss",
    "triplet_margin": "TripletMarginLoss",
    "circle": "CircleLoss",
    "nt_xent": "NTXentLoss",
    "sup_con": "SupConLoss",
    "generalized_lifted_structure": "GeneralizedLiftedStructureLoss",
    "tuplet_margin": "TupletMarginLoss",
}


def split_loss(loss: str) -> tuple[str | None, str | None]:
    """The head and the pair loss of a --loss: "cosface", "multi_similarity" or "cosface+multi_similarity".

    None stands for the one that is not asked for. Raises UserError when there is no such loss.
    """
    head, plus, pairs = loss.partition("+")
    if head in PAIR_LOSSES and not plus:
        head, pairs = "", head
    is_whole = (head and pairs) if plus else (head or pairs)
    if not is_whole or (head and head not in LOSSES) or (pairs and pairs not in PAIR_LOSSES):
        raise UserError(
            f"--loss {loss}: there is no such loss. Choose a head ({', '.join(LOSSES)}), a pair loss "
            f"({', '.join(PAIR_LOSSES)}), or both, as in cosface+multi_similarity"
        )
    return head or None, pairs or None


def canonical_backbone(name: str) -> str:
    """The name of a backbone as in BACKBONES, or timm/NAME, whatever its case.

    Raises UserError that lists those that exist, or those of timm that are near.
    """
    if is_of_timm(name):
        from model.timm_names import known_name  # timm imports torch, which takes seconds

        return TIMM + known_name(name[len(TIMM) :])
    for known in BACKBONES:
        if known.lower() == name.lower():
            return known
    raise UserError(f"there is no backbone {name!r}; choose one of {', '.join(BACKBONES)} or {TIMM}NAME")


def is_of_timm(backbone: str) -> bool:
    """Whether a backbone's name is one of timm's."""
    return backbone.lower().startswith(TIMM)


def same_backbone(name: str, other: str) -> bool:
    """Whether two canonical names mean one network: timm's may name weights after a dot."""
    return name == other or (
        is_of_timm(name) and is_of_timm(other) and name.partition(".")[0] == other.partition(".")[0]
    )


def head_options(
    loss: str | None,
    s: float | None = None,
    m: float | None = None,
    l: float | None = None,  # noqa: E741
    variant: str = "paper",
) -> dict[str, float]:
    """The keyword arguments of HEADS[loss], without those that are None: there the head has its own default.

    loss: a name of LOSSES, or None for no head
    s: the scale
    m: the margin
    l: the weight of EMMS' plain softmax
    variant: one of HEAD_VARIANTS

    Raises UserError when the margin is out of the head's range, or an option is given that the head does not have.
    """
    if variant != "paper" and loss not in FORK_HEADS:
        raise UserError(f"--head_variant {variant} is for --loss {' and '.join(FORK_HEADS)} alone: leave it out")
    if loss is None:
        if (s, m, l) != (None, None, None):
            raise UserError(
                "--loss_s, --loss_m and --emms_l belong to a head: name one, as in cosface+multi_similarity"
            )
        return {}
    margins = LOSSES[loss]
    if m is not None and not margins.low <= m <= margins.high:
        raise UserError(
            f"--loss_m {m:g} is out of the range of --loss {loss}: from {margins.low:g} to {margins.high:.4g}, "
            f"{margins.unit}"
        )
    if l is not None and loss != "emms":
        raise UserError(f"--emms_l belongs to --loss emms; leave it out with --loss {loss}")
    options = {name: value for name, value in (("s", s), ("m", m), ("l", l)) if value is not None}
    return options | ({"fork": True} if variant == "fork" else {})
