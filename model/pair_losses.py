"""Losses over the pairs of a batch, by the names that pytorch-metric-learning gives them."""

import functools
import importlib
import inspect
import types

import torch
import torch.nn.functional as F
from torch import nn

from model.choices import PAIR_LOSSES
from model.layers import full_precision
from support.errors import UserError

_MINING = 0.1  # epsilon of Multi-Similarity's mining


class PairLoss:
    """A loss over the pairs of a batch.

    A pair is positive if both images are of one class or, with `near`, if they are taken near each other and look the
    same way. It is negative if it is not positive and the images are more than `apart` apart. Other pairs do not
    count. So a batch may have classes that touch.

    Multi-Similarity (Wang et al., CVPR 2019) has its mining (equations 6 and 7): pairs that are easy already do not
    count.

    name: of PAIR_LOSSES
    options: of the loss, by pytorch-metric-learning's names, such as alpha
    near: metres and degrees, or None
    apart: metres
    weight: what the loss is multiplied by

    Raises UserError when the package is not installed, the loss has no such options, or their values give no number.
    """

    def __init__(
        self,
        name: str,
        options: dict[str, float],
        near: tuple[float, float] | None = None,
        apart: float = 25.0,
        weight: float = 1.0,
    ):
        kind = getattr(_package(), PAIR_LOSSES[name])
        known = [parameter for parameter in inspect.signature(kind).parameters if parameter != "kwargs"]
        if unknown := sorted(set(options) - set(known)):
            has = ", ".join(known) or "none"
            raise UserError(f"--pair_options: {name} has no {', '.join(unknown)}; its options are: {has}")
        try:
            self.loss = kind(**options)
            finite = self._is_finite()
        except (ValueError, TypeError, AssertionError, ArithmeticError, RuntimeError) as error:
            raise UserError(f"--pair_options: {name} refuses these values: {error}") from error
        if not finite:
            given = ", ".join(f"{option}={value:g}" for option, value in options.items())
            raise UserError(f"--pair_options: the loss of {name} is not finite with {given}: give other values")
        self.mines, self.near, self.apart, self.weight = name == "multi_similarity", near, apart, weight

    def __call__(self, descriptors: torch.Tensor, labels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Computes the loss of a batch, a scalar; 0 if no pair counts.

        descriptors: (B, dim)
        labels: int64 (B,)
        places: float64 (B, 3): east and north in metres, heading in degrees
        """
        with full_precision(descriptors.device.type):
            descriptors = descriptors.to(torch.promote_types(descriptors.dtype, torch.float32))
            positive, negative = self.pairs(labels, places.to(descriptors.device))
            if self.mines:
                positive, negative = _mined(F.normalize(descriptors.detach()), positive, negative)
            pairs = (*positive.nonzero(as_tuple=True), *negative.nonzero(as_tuple=True))
            return self.weight * self.loss(descriptors, indices_tuple=pairs)

    def _is_finite(self) -> bool:
        """Whether the loss of four images of two classes is finite, and its gradient."""
        descriptors = F.normalize(torch.arange(32.0).sin().view(4, 8)).requires_grad_()
        positive = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
        negative = torch.tensor([[0, 0, 1, 1, 2, 2, 3, 3], [2, 3, 2, 3, 0, 1, 0, 1]])
        with torch.random.fork_rng(devices=[]):  # some losses draw triplets
            loss = self.loss(descriptors, indices_tuple=(*positive, *negative))
        (gradient,) = torch.autograd.grad(loss, descriptors)
        return bool(torch.isfinite(loss) and torch.isfinite(gradient).all())

    def pairs(self, labels: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Which pairs are positive, and which negative: bool (B, B) each. The parameters are those of a call."""
        points = places[:, :2] - places[:1, :2]  # from the first one: cdist rounds large numbers
        metres = torch.cdist(points, points)
        if self.near is None:
            positive = labels[:, None] == labels
        else:
            degrees = (places[:, None, 2] - places[:, 2] + 180) % 360 - 180
            positive = (metres <= self.near[0]) & (degrees.abs() <= self.near[1])
        negative = ~positive & (metres > self.apart)
        return positive & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), negative


class NoHead(nn.Module):
    """The place of a head where a pair loss is trained alone: no class has a weight.

    in_features: the descriptors' dimension; out_features: number of classes, which does not matter
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, in_features))

    def settings(self) -> dict[str, str | float]:
        """What the loss depends on, as plain values."""
        return {"loss": "a pair loss alone"}


def _mined(descriptors: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor):
    """The pairs that are less similar than the nearest negative, or more similar than the farthest positive, by a
    margin.
    """
    similarity = descriptors @ descriptors.T
    nearest = similarity.masked_fill(~negative, -torch.inf).amax(dim=1, keepdim=True)
    farthest = similarity.masked_fill(~positive, torch.inf).amin(dim=1, keepdim=True)
    return positive & (similarity - _MINING < nearest), negative & (similarity + _MINING > farthest)


@functools.cache
def _package() -> types.ModuleType:
    try:
        return importlib.import_module("pytorch_metric_learning.losses")
    except ImportError as error:
        raise UserError("pair losses need pytorch-metric-learning: pip install -r requirements-losses.txt") from error
