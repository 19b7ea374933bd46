"""Margin losses over the classes of one group, for training only. `HEADS` names them."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from model.layers import full_precision

_ACOS_LIMIT = 1 - 1e-5  # acos has no finite derivative at +-1


class _CosineHead(nn.Module):
    """What the heads share: cosine logits with a margin, then cross-entropy.

    logit_j = s * cos(theta_j), and the margin changes the cosine of the right class y. Descriptors and weights are
    normalised here, so the gradient of the cosine is orthogonal to both.

    in_features: the descriptors' dimension
    out_features: number of classes
    s: scale
    m: margin

    If the attribute label_smoothing is set, so much of a label is spread evenly over all classes (Szegedy et al., CVPR
    2016, section 7).
    """

    label_smoothing = 0.0

    def __init__(self, in_features: int, out_features: int, s: float, m: float):
        super().__init__()
        self.s, self.m = s, m
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, descriptors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Computes the logits: float32 (B, out_features), or float64 for float64 descriptors.

        descriptors: (B, in_features); labels: int64 (B,), -1 for a class that another process has.

        This is float32 under mixed precision too: bfloat16 would round s * cos by up to 0.06.
        """
        with full_precision(descriptors.device.type):
            descriptors = descriptors.to(torch.promote_types(descriptors.dtype, torch.float32))  # (B, in_features)
            cosine = F.linear(F.normalize(descriptors), self._unit_weight())  # (B, out_features)
            column = labels.unsqueeze(1)  # (B, 1)
            right = cosine.gather(1, column.clamp(min=0))  # (B, 1)
            right = torch.where(column < 0, right, self._with_margin(right))
            return self.s * cosine.scatter(1, column.clamp(min=0), right)

    def loss(
        self, descriptors: torch.Tensor, labels: torch.Tensor, cross_entropy: Callable = F.cross_entropy
    ) -> torch.Tensor:
        """Computes the mean cross-entropy of the batch, a scalar.

        cross_entropy: another function of (logits, labels, label_smoothing) to compute it with.
        """
        return cross_entropy(self(descriptors, labels), labels, label_smoothing=self.label_smoothing)

    def settings(self) -> dict[str, str | float]:
        """What the head's loss depends on, as plain values."""
        return {"loss": next(name for name, head in HEADS.items() if head is type(self)), "s": self.s, "m": self.m}

    def _unit_weight(self) -> torch.Tensor:
        """The class weights at unit length: (out_features, in_features)."""
        return F.normalize(self.weight)

    def _with_margin(self, cosine: torch.Tensor) -> torch.Tensor:
        """The right class's cosine (B, 1), made smaller by the margin."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        values = {"in_features": self.weight.shape[1], "out_features": self.weight.shape[0], **self.settings()}
        return ", ".join(f"{name}={value}" for name, value in values.items() if name != "loss")


class CosFace(_CosineHead):
    """CosFace (Wang et al., CVPR 2018, equation 4): logit_y = s * (cos(theta_y) - m)."""

    def __init__(self, in_features: int, out_features: int, s: float = 30.0, m: float = 0.40):
        super().__init__(in_features, out_features, s, m)

    def _with_margin(self, cosine: torch.Tensor) -> torch.Tensor:
        return cosine - self.m


class _HeadWithVariants(_CosineHead):
    """A head that the published night experiments trained in another way than its paper.

    fork: whether to train so. Each forward pass first sets the stored class weights to unit length in place,
        outside the graph. So their gradient keeps its part along the weights, and their norms do not drift. They begin
        as Xavier normal.
    """

    def __init__(self, in_features: int, out_features: int, s: float, m: float, fork: bool):
        super().__init__(in_features, out_features, s, m)
        self.fork = fork
        if fork:
            nn.init.xavier_normal_(self.weight)

    def settings(self) -> dict[str, str | float]:
        return {**super().settings(), "variant": "fork" if self.fork else "paper"}

    def _unit_weight(self) -> torch.Tensor:
        if not self.fork:
            return super()._unit_weight()
        with torch.no_grad():
            self.weight.copy_(F.normalize(self.weight))
        return self.weight


class ArcFace(_HeadWithVariants):
    """ArcFace (Deng et al., CVPR 2019, equation 3): logit_y = s * cos(theta_y + m).

    Beyond pi - m, cos(theta + m) would rise again. There the logit is s * (cos(theta_y) - m sin(m)), which goes on
    falling with the angle.

    With fork=True the logit is s * cos(min(theta_y + m, pi)), flat beyond pi - m, and the gradient is everywhere that
    of s * cos(theta_y).
    """

    def __init__(self, in_features: int, out_features: int, s: float = 64.0, m: float = 0.5, fork: bool = False):
        super().__init__(in_features, out_features, s, m, fork)

    def _with_margin(self, cosine: torch.Tensor) -> torch.Tensor:
        if self.fork:
            with torch.no_grad():
                change = torch.cos((_angle(cosine) + self.m).clamp(max=math.pi)) - cosine
            return cosine + change
        angle = _angle(cosine)
        return torch.where(angle > math.pi - self.m, cosine - self.m * math.sin(self.m), torch.cos(angle + self.m))


class SphereFace(_HeadWithVariants):
    """SphereFace (Liu et al., CVPR 2017, equation 7), normalised: logit_y = s * psi(theta_y).

    psi(theta) = (-1)^k cos(m theta) - 2k with k = floor(m theta / pi). The gradient is that of s * cos(theta_y):
    characteristic gradient detachment (SphereFace Revived, Liu, Wen et al., 2021).

    fork=True differs in the class weights alone.
    """

    def __init__(self, in_features: int, out_features: int, s: float = 30.0, m: float = 1.5, fork: bool = False):
        super().__init__(in_features, out_features, s, m, fork)

    def _with_margin(self, cosine: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            angle = self.m * _angle(cosine)
            k = torch.floor(angle / math.pi)
            psi = (1 - 2 * torch.remainder(k, 2)) * torch.cos(angle) - 2 * k
            change = psi - cosine
        return cosine + change


class EMMS(CosFace):
    """CosFace and a plain softmax at once.

    The loss is the cross-entropy of CosFace's logits plus l times that of descriptors x weight^T, where neither is
    normalised.
    """

    def __init__(self, in_features: int, out_features: int, s: float = 30.0, m: float = 0.40, l: float = 1.0):  # noqa: E741
        super().__init__(in_features, out_features, s, m)
        self.l = l  # noqa: E741

    def loss(
        self, descriptors: torch.Tensor, labels: torch.Tensor, cross_entropy: Callable = F.cross_entropy
    ) -> torch.Tensor:
        """Computes the sum of both cross-entropies, each averaged over the batch: a scalar.

        `forward` gives CosFace's logits alone.
        """
        with full_precision(descriptors.device.type):
            # (B, out_features)
            plain = F.linear(descriptors.to(torch.promote_types(descriptors.dtype, torch.float32)), self.weight)
            plain_loss = cross_entropy(plain, labels, label_smoothing=self.label_smoothing)
            return super().loss(descriptors, labels, cross_entropy) + self.l * plain_loss

    def settings(self) -> dict[str, str | float]:
        return {**super().settings(), "l": self.l}


HEADS = {"cosface": CosFace, "arcface": ArcFace, "sphereface": SphereFace, "emms": EMMS}


def _angle(cosine: torch.Tensor) -> torch.Tensor:
    return torch.acos(cosine.clamp(-_ACOS_LIMIT, _ACOS_LIMIT))
