"""Fourier domain adaptation (FDA; Yang and Soatto, CVPR 2020, equation 4): low-frequency amplitudes of another image.

The window holds few frequencies, so only these are computed, by products with small matrices of cosines and sines.
Their change is transformed back and added to the image. Up to rounding, this equals the complete transforms.
"""

import functools
import logging
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from datasets.choices import check_beta
from model.layers import full_precision

logger = logging.getLogger(__name__)


def fda(source: torch.Tensor, target: torch.Tensor, beta: float, window: str = "paper") -> torch.Tensor:
    """Gives images the low-frequency amplitude of the target; their phase and content stay.

    source: float (B, 3, H, W) in [0, 1]
    target: float (B, 3, h, w) or (1, 3, h, w), resized to H x W if necessary
    beta: size of the window, a share of the shorter side
    window: one of FDA_WINDOWS, as `reach` explains them

    Returns float (B, 3, H, W), clipped to [0, 1]. Raises UserError if beta is outside [0, 0.5], or [0, 1] for "fork".
    Warns if it is so small that at most the mean colour changes.
    """
    n = reach(beta, *source.shape[-2:], window)
    return replace_amplitudes(source, amplitudes(resize(target, source.shape[-2:]), n), n)


@functools.cache  # so that it warns once
def reach(beta: float, height: int, width: int, window: str = "paper") -> int:
    """Computes n: the window holds the frequencies |row| <= n, |column| <= n. It is empty for n = -1.

    beta: size of the window, a share of the shorter side
    height, width: pixels
    window: "paper", where n = floor(beta * min(height, width)), as Yang and Soatto's numpy code; or "fork", where n =
    b - 1 with b = floor(0.5 * min(height, 2 * (floor(width / 2) + 1)) * beta), as their code in torch, which the
    authors of the night's published results (AMLSquad/CosPlace) took

    Raises UserError if beta is out of range, as check_beta.
    """
    check_beta(beta, window)
    side = min(height, width if window == "paper" else 2 * (width // 2 + 1))
    n = math.floor(beta * side) if window == "paper" else math.floor(0.5 * side * beta) - 1
    if n < 1:
        least = (1 if window == "paper" else 4) / side
        logger.warning(
            f"FDA with beta {beta:g} changes nothing{' but the mean colour' if n == 0 else ''} of images of {width} x "
            f"{height} pixels (b = {n if window == 'paper' else n + 1}): give --fda_beta at least "
            f"{math.ceil(1e4 * least) / 1e4:g}"
        )
    return n


def resize(images: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resizes images: float (B, 3, h, w) -> (B, 3, *size), bilinear, antialiased."""
    if images.shape[-2:] == torch.Size(size):
        return images
    return F.interpolate(images, tuple(size), mode="bilinear", align_corners=False, antialias=True)


def amplitudes(images: torch.Tensor, n: int) -> torch.Tensor:
    """Computes the amplitudes of the window's frequencies: float (B, 3, H, W) -> (B, 3, rows, columns).

    Negative columns mirror the positive ones, and are left out.

    images: in [0, 1]
    n: the window's highest frequency, as `reach` gives it
    """
    if n < 0:
        return _promoted(images)[..., :0, :0]
    with full_precision(images.device.type):
        return _spectrum(_promoted(images), n).abs()


def replace_amplitudes(images: torch.Tensor, new: torch.Tensor, n: int) -> torch.Tensor:
    """Gives images (B, 3, H, W) the amplitudes `new`, and keeps their phase.

    new: as `amplitudes` gives them, for this size and n.
    """
    if n < 0:
        return _promoted(images).clamp(0, 1)
    with full_precision(images.device.type):
        images = _promoted(images)
        height, width = images.shape[-2:]
        spectrum = _spectrum(images, n)
        change = torch.polar(new.expand(spectrum.shape), spectrum.angle()) - spectrum
        change = change * _multiplicity(width, n, images.dtype, images.device)
        along_rows = torch.matmul(_rows(height, n, images.dtype, images.device).mH, change)  # (B, 3, H, columns)
        change = (
            torch.cat([along_rows.real, along_rows.imag], dim=-1) @ _columns(width, n, images.dtype, images.device).T
        )
        return images.add(change, alpha=1 / (height * width)).clamp_(0, 1)


def _promoted(images: torch.Tensor) -> torch.Tensor:
    return images.to(torch.promote_types(images.dtype, torch.float32))


def _spectrum(images: torch.Tensor, n: int) -> torch.Tensor:
    """The 2-D DFT at the window's rows, and its columns from 0: complex (B, 3, rows, columns)."""
    height, width = images.shape[-2:]
    real, imaginary = (images @ _columns(width, n, images.dtype, images.device)).chunk(
        2, dim=-1
    )  # (B, 3, H, columns) each
    return torch.matmul(
        _rows(height, n, images.dtype, images.device), torch.complex(real.contiguous(), imaginary.contiguous())
    )


def _phases(frequencies: torch.Tensor, pixels: int) -> torch.Tensor:
    """Angles of the DFT's waves, float64 (frequencies, pixels). Products are reduced as integers, to lose no digit."""
    return (torch.outer(frequencies, torch.arange(pixels)) % pixels).double() * (2 * math.pi / pixels)


@functools.lru_cache(maxsize=64)
def _rows(height: int, n: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """exp(-i phase) of the rows |row| <= n: complex (rows, H)."""
    frequencies = torch.arange(height) if 2 * n + 1 > height else torch.arange(-n, n + 1)
    phases = _phases(frequencies, height)
    return torch.complex(torch.cos(phases).to(dtype), -torch.sin(phases).to(dtype)).to(device)


@functools.lru_cache(maxsize=64)
def _columns(width: int, n: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(cos, -sin) of the columns 0 to n, side by side: (W, 2 * columns)."""
    phases = _phases(torch.arange(min(n, width // 2) + 1), width).T
    return torch.cat([torch.cos(phases), -torch.sin(phases)], dim=1).to(dtype).to(device)


@functools.lru_cache(maxsize=64)
def _multiplicity(width: int, n: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """How often each column counts: 2 with its mirror image, 1 if it is its own (0 and half the width)."""
    columns = torch.arange(min(n, width // 2) + 1)
    return torch.where((columns == 0) | (2 * columns == width), 1, 2).to(dtype).to(device)
