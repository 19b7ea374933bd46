"""A method of torch.hub as a network of this project: images to descriptors."""

import copy
import hashlib
import json
import logging
from typing import Any, Self

import torch
from torch import nn

from model.hub.choices import HubSpec
from model.hub.isolation import TheirModules
from model.hub.loading import load_module
from model.layers import L2Norm, full_precision
from model.normalization import IMAGENET_MEAN, IMAGENET_STD, to_float
from support.errors import UserError
from support.memory import is_out_of_memory

logger = logging.getLogger(__name__)

_SIDE = 224  # of test images whose size is not given: a multiple of 14, of 16 and of 32
_UNIT, _SAME = 1e-2, 1e-2  # largest differences of a length from 1, and of an entry of two descriptors


class HubMethod(nn.Module):
    """The module of an entry point, for what takes a GeoLocalizationNet to compute descriptors.

    spec: which entry point
    module: of it, in evaluation mode
    modules: of Python, that it imports
    origin: what it was loaded from, plain, for JSON

    backbone_name, fc_output_dim and identity (what descriptors depend on) are attributes. Raises UserError if the
    module gives no descriptors.
    """

    def __init__(self, spec: HubSpec, module: nn.Module, modules: TheirModules, origin: dict[str, Any]):
        super().__init__()
        self.spec, self.module, self.origin, self.backbone_name = spec, module, origin, spec.name
        self.device, self.last_layer, self._python, self._part = torch.device("cpu"), None, modules, None
        self._mean, self._std = spec.mean or IMAGENET_MEAN, spec.std or IMAGENET_STD
        probe = self._check()
        self.fc_output_dim = probe.shape[1]
        # not all that a module computes with is in its state_dict
        of_probe = hashlib.sha256(probe.numpy().tobytes()).hexdigest()
        computing = [
            origin["entry"],
            origin["arguments"],
            sorted(origin["code"].values()),
            self._mean,
            self._std,
            of_probe,
        ]
        self.identity = json.dumps(computing, sort_keys=True, default=str)

    @classmethod
    def load(cls, spec: HubSpec) -> Self:
        """Loads a method. Raises UserError as load_module does, or if it gives no descriptors."""
        return cls(spec, *load_module(spec))

    def record(self) -> dict[str, Any]:
        """What environment.json says of it."""
        size = self.spec.image_size
        return {**self.origin, "image_size": size, "mean": self._mean, "std": self._std, "dim": self.fc_output_dim}

    def to(self, device: torch.device | str, **_: Any) -> Self:
        """Moves it to a device. The layout of its memory stays: not all modules bear another one."""
        self.device = torch.device(device)
        self.module.to(device)  # not through self: a module may have a `to` of its own
        if self.last_layer is not None:
            self.last_layer.to(device)
        return self

    def with_last_layer(self, layer: nn.Linear) -> Self:
        """A copy, over the same module, whose descriptors go through a linear layer and are brought to unit length."""
        copied = copy.copy(self)
        copied._modules = dict(self._modules)  # of torch: assigning would change the original's
        copied.last_layer, copied.fc_output_dim = nn.Sequential(layer, L2Norm()).to(self.device), layer.out_features
        return copied

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Normalises uint8 images (B, 3, H, W) as the method wants them -> float32."""
        mean, std = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (self._mean, self._std))
        return to_float(images).sub_(mean).div_(std)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Computes float32 descriptors (B, fc_output_dim).

        images: float (B, 3, H, W), normalised. Raises UserError if the module does not take them.
        """
        output = self._call(images)
        descriptors = (output if self._part is None else output[self._part]).float()
        if self.last_layer is None:
            return descriptors
        with full_precision(descriptors.device.type):
            return self.last_layer(descriptors)

    def _call(self, images: torch.Tensor) -> Any:
        height, width = images.shape[-2:]
        advice = "give the size that it takes as --hub_image_size HEIGHT WIDTH (ViTs: multiples of their patch, as 14)"
        try:
            with self._python.found():
                return self.module(images)
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error):
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise UserError(
                f"{self.spec.name} fails on images of {width} x {height} pixels ({reason}): {advice}"
            ) from error

    @torch.inference_mode()
    def _check(self) -> torch.Tensor:
        """Looks at the descriptors of two test images, (2, D), which it returns."""
        size, name = self.spec.image_size, self.spec.name
        sizes = (
            [size]
            if isinstance(size, tuple)
            else [(size or _SIDE, size or _SIDE), (size or _SIDE, 2 * (size or _SIDE))]
        )
        dims = {}
        for height, width in sizes:
            images = self.normalize(_test_images(height, width))
            output = self._call(images)
            self._part = _find_descriptors(output, name, len(images))
            found = (output if self._part is None else output[self._part]).float()
            dims[f"{width} x {height}"] = found.shape[1]
        if self._part is not None:
            logger.info(f"{name} gives {_describe_output(output)}: its part {self._part!r} is taken as the descriptors")
        if len(set(dims.values())) > 1:
            lengths = " and ".join(f"{dim} of {size} pixels" for size, dim in dims.items())
            raise UserError(
                f"{name} gives descriptors of {lengths}: give one size to all images, as --hub_image_size {_SIDE} "
                f"{_SIDE}"
            )
        if not torch.isfinite(found).all():
            raise UserError(f"{name} gives a test image a descriptor of NaN or infinity: its weights are damaged")
        if not ((found.norm(dim=1) - 1).abs() < _UNIT).all():
            logger.warning(
                f"Descriptors of {name} do not have unit length (those of test images: {found[0].norm():.3g} and "
                f"{found[1].norm():.3g}): they are compared by L2 distance as they are"
            )
        if (self(images[:1]) - found[:1]).abs().max() > _SAME * found.abs().max():
            logger.warning(
                f"Descriptors of {name} depend on the other images of their batch: recalls depend on "
                "--infer_batch_size and on the images' order"
            )
        return found


def _find_descriptors(output: object, name: str, count: int) -> int | str | None:
    """Where in a module's output the descriptors are: None, the output itself; else the index or key of a part.

    Of a tuple, list or dictionary it is the only part that is a floating-point matrix (count, D). Raises UserError if
    there is none, or more than one.
    """
    parts = (
        output.items() if isinstance(output, dict) else enumerate(output) if isinstance(output, tuple | list) else ()
    )
    found = [key for key, part in parts if _are_descriptors(part, count)]
    if _are_descriptors(output, count):
        return None
    if len(found) == 1:
        return found[0]
    raise UserError(
        f"{name} gives {_describe_output(output)}, and should give descriptors: a floating-point tensor (images, "
        "dimensions), alone or beside others of another shape"
    )


def _are_descriptors(value: object, count: int) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.dim() == 2
        and len(value) == count
        and value.shape[1] > 0
    )


def _describe_output(output: object) -> str:
    """What a module gives, for messages: "a tensor float32 (2, 8, 7, 7)", "a tuple of 2"."""
    if isinstance(output, torch.Tensor):
        return f"a tensor {str(output.dtype).removeprefix('torch.')} {tuple(output.shape)}"
    if isinstance(output, tuple | list | dict):
        return f"a {type(output).__name__} of {len(output)}"
    return "nothing" if output is None else f"a {type(output).__name__}"


def _test_images(height: int, width: int) -> torch.Tensor:
    """Two images that are not uniform: uint8 (2, 3, height, width)."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 256, (2, 3, 8, 8), generator=generator).float()
    return nn.functional.interpolate(blocks, (height, width), mode="bilinear").to(torch.uint8)
