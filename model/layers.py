"""The layers after the backbone: L2 normalisation and generalised-mean pooling."""

import contextlib

import torch
import torch.nn.functional as F
from torch import nn


def full_precision(device_type: str) -> contextlib.AbstractContextManager:
    """A context without autocast: the powers and cosines of small numbers need float32's range and precision."""
    return (
        torch.autocast(device_type, enabled=False)
        if torch.amp.is_autocast_available(device_type)
        else contextlib.nullcontext()
    )


class L2Norm(nn.Module):
    """Divides by the L2 norm over one dimension: the channels of a feature map, or of a descriptor."""

    def __init__(self, dim: int = 1):
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.normalize(x, p=2.0, dim=self.dim)


class GeM(nn.Module):
    """Generalised-mean pooling (Radenovic et al., TPAMI 2018, equation 3): (mean of x^p over positions)^(1/p).

    p is learned. A power needs features that are not negative:

    activation: "clamp", as published: features below eps count as eps, also negative ones; "softplus": a smooth clamp,
        at the scale of features of unit length; "signed": powers keep the sign, and so does the mean; "abs": the sign
        is lost
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6, activation: str = "clamp"):
        super().__init__()
        self.p = nn.Parameter(torch.ones(1) * p)
        self.eps = eps
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, h, w) -> (B, C, 1, 1)
        if self.activation == "signed":
            mean = (x.sign() * x.abs().clamp(min=self.eps).pow(self.p)).mean(dim=(-2, -1), keepdim=True)
            # the root of |mean| with its sign; eps bounds the gradient where the mean is nearly 0
            return mean * (mean.abs() + self.eps).pow(1.0 / self.p - 1.0)
        if self.activation == "softplus":
            scale = float(x.shape[1]) ** 0.5  # the features of a position have unit length: 1 / scale is usual
            x = F.softplus(x * scale) / scale
        elif self.activation == "abs":
            x = x.abs()
        return x.clamp(min=self.eps).pow(self.p).mean(dim=(-2, -1), keepdim=True).pow(1.0 / self.p)

    def extra_repr(self) -> str:
        return f"p={self.p.item():.4f}, eps={self.eps}, activation={self.activation}"
