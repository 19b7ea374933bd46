"""Backbones of timm (pytorch-image-models), convolutional ones and transformers: images to a feature map."""

import contextlib
import functools
import logging
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from model.choices import TIMM
from model.normalization import IMAGENET_MEAN, IMAGENET_STD
from model.pretrained import CLASSIFIERS, TIMM_WEIGHTS, TORCHVISION_WEIGHTS, load_initial_weights
from model.stochastic_depth import replace_stochastic_depth
from model.timm_names import import_timm
from support.errors import UserError

logger = logging.getLogger(__name__)

# How a model is asked to take images of any size. The first way that it knows and that works is taken.
_ANY_SIZE = ({"dynamic_img_size": True}, {"strict_img_size": False, "dynamic_mask": True}, {})
# what is trained unless something else is asked for: stages of convolutions from where they reach a stride of 16
# pixels, as of the other backbones, and blocks of a transformer
_LAST_STAGES, _LAST_BLOCKS = 2, 4


class TimmBackbone(nn.Module):
    """A model of timm without its classifier, as a feature map of images of any size.

    name: timm/NAME, as of canonical_backbone
    weights: None (random), "timm" (its own, downloaded), or the path of a file
    mean, std: of the images that the model takes; None: as timm says

    Images come normalised with ImageNet's mean and deviation, as for every network here, and are brought to the model's
    own normalisation and to multiples of its patches. A transformer's patch tokens become the feature map. Its class
    and register tokens are left out.

    Raises UserError if the model gives no feature map, or takes images of one size only; or as load_initial_weights.
    """

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ):
        super().__init__()
        self.name = name
        self.network, features, way = _make_model(name)
        self.ratio = _patch(self.network)
        self.prefix = getattr(self.network, "num_prefix_tokens", 0)
        self.channels_last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        dropped = self._take_trial(features)
        if weights is not None:
            _load_weights(self.network, name, weights, dropped, way)
        replace_stochastic_depth(self.network)
        config = self.network.pretrained_cfg
        self.mean, self.std = tuple(mean or config["mean"]), tuple(std or config["std"])
        # from ImageNet's normalisation to the model's own: images * scale + shift
        own_mean, own_std, imagenet_mean, imagenet_std = (
            torch.tensor(values, dtype=torch.float64, device="cpu")
            for values in (self.mean, self.std, IMAGENET_MEAN, IMAGENET_STD)
        )
        self.normalizes = (self.mean, self.std) != (IMAGENET_MEAN, IMAGENET_STD)
        device = next(self.network.parameters()).device
        for buffer, values in (
            ("scale", imagenet_std / own_std),
            ("shift", (imagenet_mean - own_mean) / own_std),
        ):
            self.register_buffer(buffer, values.float().view(3, 1, 1).to(device), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Computes the feature map (B, C, h, w) of images (B, 3, H, W), float, ImageNet-normalised."""
        if self.normalizes:
            images = images * self.scale + self.shift
        sides = images.shape[-2:]
        height, width = ((side + patch // 2) // patch * patch for side, patch in zip(sides, self.ratio, strict=True))
        # an exported program takes sizes that are not known yet; of the right size, images stay as they are
        if torch.compiler.is_exporting() or (height, width) != tuple(sides):
            if not torch.compiler.is_compiling():
                _log_once(self.name, self.ratio)
            images = F.interpolate(images, (height, width), mode="bilinear", align_corners=False)
        features = self.network.forward_features(images)
        if features.dim() == 3:  # tokens (B, prefix + h * w, C)
            grid = height // self.ratio[0], width // self.ratio[1]
            return features[:, self.prefix :].transpose(1, 2).unflatten(2, grid)
        return features.permute(0, 3, 1, 2) if self.channels_last else features

    def blocks(self) -> list[list[nn.Parameter]]:
        """The parameters by blocks of a transformer or stages of convolutions, in the order of computation.

        What comes before the first and after the last is part of these. Empty if timm does not say what the blocks are.
        """
        info = getattr(self.network, "feature_info", None) or []
        names = [entry["module"] for entry in (info if isinstance(info, list) else info.info)]
        blocks, borders, inside = [[]], names[:-1], False
        for name, module in self.network.named_modules():
            if inside and not _is_within(name, borders[0]):
                blocks.append([])
                del borders[0]
            inside = bool(borders) and _is_within(name, borders[0])
            own = module.named_parameters(name, recurse=False)
            blocks[-1] += [parameter for key, parameter in own if key not in self.unused]
        return blocks if len(blocks) == len(names) else []

    def default_blocks(self) -> int:
        """How many of the last blocks are trained unless something else is asked for."""
        return min(_LAST_BLOCKS if self.gives_tokens else _LAST_STAGES, len(self.blocks()))

    def _take_trial(self, features: torch.Tensor) -> tuple[str, ...]:
        """Drops the children that have no part in the features of a trial, and returns their names.

        Parameters without a part in them, as a mask token, stay and are frozen.
        """
        self.gives_tokens = features.dim() == 3
        if self.gives_tokens:
            self.channels = features.shape[2]
        else:
            self.channels = features.shape[3 if self.channels_last else 1]
        used, dropped = {id(parameter) for parameter in _parameters_of(features)}, []
        for name, child in list(self.network.named_children()):
            parameters = list(child.parameters())
            if parameters and all(parameter.requires_grad and id(parameter) not in used for parameter in parameters):
                setattr(self.network, name, nn.Identity())
                dropped.append(name)
        self.unused = {name for name, parameter in self.network.named_parameters() if id(parameter) not in used}
        for name in self.unused:
            self.network.get_parameter(name).requires_grad_(False)
        return tuple(dropped)


@functools.cache
def _log_once(name: str, ratio: tuple[int, int]) -> None:
    sides = str(ratio[0]) if ratio[0] == ratio[1] else f"{ratio[0]} x {ratio[1]}"
    logger.info(f"Images are resized to the nearest multiples of {sides} pixels a side, the patches of {name}")


def _is_within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


@torch.inference_mode(False)  # a trial asks for gradients
def _make_model(name: str) -> tuple[nn.Module, torch.Tensor, dict[str, bool]]:
    """A model of random weights, its features of a trial, and how it was asked to take images of any size.

    Raises UserError if it gives no feature map, or takes images of one size only.
    """
    timm, problems = import_timm(), []
    for way in _ANY_SIZE:
        try:
            model = timm.create_model(name.removeprefix(TIMM), num_classes=0, **way)
        except TypeError:  # it does not know this way
            continue
        try:
            features = _try_out(model)
        except Exception as error:  # models raise many kinds
            problems.append(str(error).splitlines()[0] if str(error) else type(error).__name__)
            continue
        if features is not None:
            return model, features, way
        problems.append("its features have no places in the image")
    raise UserError(
        f"{name} gives no feature map of images of any size ({'; '.join(dict.fromkeys(problems)) or 'no way known'}): "
        "choose another backbone, such as timm/vit_small_patch14_dinov2 or timm/convnext_tiny"
    )


def _try_out(model: nn.Module) -> torch.Tensor | None:
    """The features that a model gives of images of a size that it was not made for; None if they are no feature map."""
    patches = _patch(model)
    # 2 x 3 patches at least, of about 64 x 96 pixels
    sides = [patch * max(n, 32 * n // patch) + (patch == 1) for n, patch in zip((2, 3), patches, strict=True)]
    device, training = next(model.parameters()).device, model.training
    with torch.enable_grad():
        features = model.eval().forward_features(torch.zeros(2, 3, *sides, device=device))
    model.train(training)
    if not isinstance(features, torch.Tensor) or features.dim() not in (3, 4):
        return None
    if features.dim() == 3:
        places = math.prod(side // patch for side, patch in zip(sides, patches, strict=True))
        return features if features.shape[1] == getattr(model, "num_prefix_tokens", 0) + places else None
    return features


def _patch(model: nn.Module) -> tuple[int, int]:
    """(height, width) of the patches that images must be multiples of; (1, 1): they may be of any size."""
    embed = getattr(model, "patch_embed", None)
    return tuple(embed.feat_ratio(as_scalar=False)) if hasattr(embed, "feat_ratio") else (1, 1)


def _parameters_of(result: torch.Tensor) -> Iterator[nn.Parameter]:
    """The parameters that a result was computed of, by its graph of gradients."""
    seen, left = set(), [result.grad_fn]
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        left += [following for following, _ in node.next_functions]


def _load_weights(model: nn.Module, name: str, weights: str, dropped: tuple[str, ...], way: dict[str, bool]) -> None:
    """Loads weights as TimmBackbone says. dropped: children that it has no more; way: as of _make_model."""
    if weights in TORCHVISION_WEIGHTS:
        raise UserError(
            f"--backbone_weights {weights} are torchvision's: give {TIMM_WEIGHTS}, none or a file for {name}"
        )
    if weights != TIMM_WEIGHTS:
        heads = (*CLASSIFIERS, *(f"{child}." for child in dropped))
        load_initial_weights(model, name, weights, heads)
        return
    if not model.pretrained_cfg.get("url") and not model.pretrained_cfg.get("hf_hub_id"):
        raise UserError(f"timm has no weights of {name}: give --backbone_weights none or a file")
    logger.info(f"Fetching timm's weights of {name}, unless they are in huggingface_hub's cache")
    try:
        with torch.random.fork_rng(devices=[]), _without_lines_of_retries():
            fetched = import_timm().create_model(name.removeprefix(TIMM), pretrained=True, num_classes=0, **way)
    except Exception as error:  # huggingface_hub and its clients raise many kinds
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"timm's weights of {name} cannot be fetched ({reason}): give --backbone_weights none or a file"
        ) from error
    own = model.state_dict()
    model.load_state_dict({key: value for key, value in fetched.state_dict().items() if key in own})
    logger.info(f"Initial weights of the {name}: timm's, {model.pretrained_cfg.get('hf_hub_id') or 'downloaded'}")


@contextlib.contextmanager
def _without_lines_of_retries() -> Iterator[None]:
    """A block in which huggingface_hub says nothing of its retries, which take a minute without a network."""
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        hub.setLevel(level)
