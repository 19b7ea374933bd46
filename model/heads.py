"""Margin losses over the classes of one group, used in training alone: `HEADS` names them."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from model.layers import full_precision

_ACOS_LIMIT = 1 - 1e-5  # acos has no derivative at +-1


class _CosineHead(nn.Module):
    """What the heads share: logit_j = s * (cos(theta_j), or the margin's function of it for j = y), then cross-entropy.

    in_features: the descriptors' dimension; out_features: the number of classes; s: scale; m: margin.
    Descriptors and weights are normalised here, so that the gradient of the cosine is orthogonal to both.
    """

    def __init__(self, in_features, out_features, s, m):
        super().__init__()
        self.s, self.m = s, m
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, descriptors, labels):
        """descriptors: (B, in_features); labels: int64 (B,), -1 for a class that is not here -> float32 logits (B,
        out_features).

        Float32 (float64 for float64 input) under mixed precision too: bfloat16 would round s * cos by up to 0.06.
        """
        with full_precision(descriptors.device.type):
            descriptors = descriptors.to(torch.promote_types(descriptors.dtype, torch.float32))
            cosine = F.linear(F.normalize(descriptors), F.normalize(self.weight))  # (B, classes)
            column = labels.unsqueeze(1)  # (B, 1)
            right = cosine.gather(1, column.clamp(min=0))
            right = torch.where(column < 0, right, self._with_margin(right))
            return self.s * cosine.scatter(1, column.clamp(min=0), right)

    def loss(self, descriptors, labels, cross_entropy=F.cross_entropy):
        """The mean cross-entropy of the batch, a scalar; cross_entropy: another way to compute it from (logits,
        labels).
        """
        return cross_entropy(self(descriptors, labels), labels)

    def settings(self):
        """What the head's loss depends on, as plain values."""
        return {"loss": next(name for name, head in HEADS.items() if head is type(self)), "s": self.s, "m": self.m}

    def _with_margin(self, cosine):
        """The right class's cosine (B, 1), made smaller by the margin."""
        raise NotImplementedError

    def extra_repr(self):
        values = {"in_features": self.weight.shape[1], "out_features": self.weight.shape[0], **self.settings()}
        return ", ".join(f"{name}={value}" for name, value in values.items() if name != "loss")


class CosFace(_CosineHead):
    """CosFace (Wang et al., CVPR 2018, equation 4): logit_y = s * (cos(theta_y) - m)."""

    def __init__(self, in_features, out_features, s=30.0, m=0.40):
        super().__init__(in_features, out_features, s, m)

    def _with_margin(self, cosine):
        return cosine - self.m


class ArcFace(_CosineHead):
    """ArcFace (Deng et al., CVPR 2019, equation 3): logit_y = s * cos(theta_y + m).

    Beyond pi - m, where cos(theta + m) would rise again, s * (cos(theta_y) - m sin(m)), so that the logit falls with
    the angle throughout.
    """

    def __init__(self, in_features, out_features, s=64.0, m=0.5):
        super().__init__(in_features, out_features, s, m)

    def _with_margin(self, cosine):
        angle = _angle(cosine)
        return torch.where(angle > math.pi - self.m, cosine - self.m * math.sin(self.m), torch.cos(angle + self.m))


class SphereFace(_CosineHead):
    """SphereFace (Liu et al., CVPR 2017, equation 7), normalised and with characteristic gradient detachment
    (SphereFace Revived, Liu, Wen et al., 2021): logit_y = s * psi(theta_y), psi(theta) = (-1)^k cos(m theta) - 2k with
    k = floor(m theta / pi), whose gradient is that of s * cos(theta_y).
    """

    def __init__(self, in_features, out_features, s=30.0, m=1.5):
        super().__init__(in_features, out_features, s, m)

    def _with_margin(self, cosine):
        with torch.no_grad():
            angle = self.m * _angle(cosine)
            k = torch.floor(angle / math.pi)
            psi = (1 - 2 * torch.remainder(k, 2)) * torch.cos(angle) - 2 * k
            change = psi - cosine
        return cosine + change


class EMMS(CosFace):
    """CosFace and a plain softmax at once: the loss is the cross-entropy of CosFace's logits plus l times that of
    descriptors x weight^T, where neither is normalised.
    """

    def __init__(self, in_features, out_features, s=30.0, m=0.40, l=1.0):  # noqa: E741
        super().__init__(in_features, out_features, s, m)
        self.l = l  # noqa: E741

    def loss(self, descriptors, labels, cross_entropy=F.cross_entropy):
        """The sum of both cross-entropies, each averaged over the batch, a scalar. (forward gives CosFace's logits
        alone.)
        """
        with full_precision(descriptors.device.type):
            plain = F.linear(descriptors.to(torch.promote_types(descriptors.dtype, torch.float32)), self.weight)
            return super().loss(descriptors, labels, cross_entropy) + self.l * cross_entropy(plain, labels)

    def settings(self):
        return {**super().settings(), "l": self.l}


HEADS = {"cosface": CosFace, "arcface": ArcFace, "sphereface": SphereFace, "emms": EMMS}


def _angle(cosine):
    return torch.acos(cosine.clamp(-_ACOS_LIMIT, _ACOS_LIMIT))
