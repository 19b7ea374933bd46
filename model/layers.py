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

    p is learned. Features below eps count as eps, also negative ones.
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6):
        super().__init__()
        self.p = nn.Parameter(torch.ones(1) * p)
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, h, w) -> (B, C, 1, 1)
        return x.clamp(min=self.eps).pow(self.p).mean(dim=(-2, -1), keepdim=True).pow(1.0 / self.p)

    def extra_repr(self) -> str:
        return f"p={self.p.item():.4f}, eps={self.eps}"
