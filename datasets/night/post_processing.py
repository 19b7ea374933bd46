"""Post-processing (PP): darker, duller, bluer, with a black sky, circles of lamp light, and a dark exposure's noise.

As in augmentations.py, `sample_parameters` draws on the CPU and `apply` computes on the images' device. Lengths are
shares of the image's height, so that images of any size look alike.
"""

import functools
import math
from typing import NamedTuple

import torch

from datasets.night.noise import gaussian_noise, sample_keys
from datasets.schedule import Share
from model.layers import full_precision

CIRCLES = 8
SKY_OPACITY = 1 / 1.2  # of the black gradient at the top
MASK_OPACITY = 100 / 255  # of the darkness between the circles of light
MASK_SIGMA = 80 / 512  # of its blur
NOISE_DEVIATION = 5 / 255
_CELLS = 64  # of the mask, along the height: an eighth of 512, a tenth of the blur's sigma
_REACH = 6  # of the blur, in sigmas
_GRAY = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision's


class PostProcessParameters(NamedTuple):
    brightness: torch.Tensor  # float32 (B,), factors
    saturation: torch.Tensor  # float32 (B,)
    blue: torch.Tensor  # float32 (B,)
    contrast: torch.Tensor  # float32 (B,)
    circles: torch.Tensor  # float32 (B, CIRCLES, 3): x as a share of the width, y of the height, radius of the height
    noise: torch.Tensor  # int32 (B, 2), keys


class PostProcessing:
    """Darkens images by random factors, whose ranges are mild or strong; mild is for images that are dark already.

    strength: one of PP_STRENGTHS
    """

    def __init__(self, strength: str = "strong"):
        # of brightness, saturation, blue and contrast
        self.ranges = (
            ((0.8, 0.9), (0.9, 0.95), (1.05, 1.15), (1.05, 1.1))
            if strength == "mild"
            else ((0.7, 0.8), (0.8, 0.9), (1.15, 1.2), (1.1, 1.2))
        )

    def sample_parameters(self, batch_size: int, generator: torch.Generator | None = None) -> PostProcessParameters:
        """Draws the PostProcessParameters of a batch, for images of any size; generator: on the CPU."""
        low, high = torch.tensor(self.ranges).unsqueeze(-1).unbind(1)
        factors = low + (high - low) * torch.rand(len(self.ranges), batch_size, generator=generator)
        circles = torch.rand(batch_size, CIRCLES, 3, generator=generator)
        circles[..., 1].mul_(3 / 4).add_(1 / 4)
        circles[..., 2].mul_(1 / 3 - 1 / 5).add_(1 / 5)
        return PostProcessParameters(*factors, circles, sample_keys(batch_size, generator))

    def apply(self, images: torch.Tensor, parameters: PostProcessParameters) -> torch.Tensor:
        """Makes night of float images (B, 3, H, W) in [0, 1]; the input is not changed."""
        with full_precision(images.device.type):
            *factors, circles, keys = (values.to(images.device) for values in parameters)
            images = _change_colors(images.to(torch.promote_types(images.dtype, torch.float32)), *factors)
            images.mul_(_light(circles.to(images.dtype), *images.shape[-2:]))
            return images.add_(gaussian_noise(keys, images.shape[1:]), alpha=NOISE_DEVIATION).clamp_(0, 1)

    def __call__(
        self, images: torch.Tensor, generator: torch.Generator | None = None, share: Share | None = None
    ) -> torch.Tensor:
        """Does what post_process does; share: which rows of a larger batch the images are (default: all)."""
        share = share or Share.whole(len(images))
        return self.apply(images, share.of(self.sample_parameters(share.count, generator)))


def post_process(
    images: torch.Tensor, generator: torch.Generator | None = None, strength: str = "strong"
) -> torch.Tensor:
    """Makes night of day: brightness, saturation, blue, contrast, a black gradient, circles of light, noise.

    images: float (B, 3, H, W) in [0, 1], on any device; generator: on the CPU, gives each image draws of its own;
    strength: one of PP_STRENGTHS. Returns float (B, 3, H, W) in [0, 1].
    """
    return PostProcessing(strength)(images, generator)


def _change_colors(
    images: torch.Tensor, brightness: torch.Tensor, saturation: torch.Tensor, blue: torch.Tensor, contrast: torch.Tensor
) -> torch.Tensor:
    """Applies the four factors (B,) in this order to a copy (B, 3, H, W); colours are clipped to [0, 1]."""
    gray = torch.tensor(_GRAY, dtype=images.dtype, device=images.device)
    tint = torch.stack([torch.ones_like(blue), torch.ones_like(blue), blue], dim=1)  # (B, 3)
    own, shared = (
        (brightness * share).unsqueeze(1) * tint for share in (saturation, 1 - saturation)
    )  # of the color, of its gray
    luma = (images * gray.view(3, 1, 1)).sum(1, keepdim=True)
    output = (images * own.view(-1, 3, 1, 1)).addcmul_(luma, shared.view(-1, 3, 1, 1)).clamp_(max=1)
    mean = output.mean(dim=(-2, -1)) @ gray  # the mean gray level, (B,)
    return output.mul_(contrast.view(-1, 1, 1, 1)).add_(((1 - contrast) * mean).view(-1, 1, 1, 1)).clamp_(0, 1)


def _light(circles: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """What the gradient and the mask leave of the light: (B, 1, H, W) in (0, 1]."""
    opacity = _mask(circles, height, width).mul_(MASK_OPACITY)
    sky = torch.linspace(SKY_OPACITY, 0, height, dtype=circles.dtype, device=circles.device)
    return ((1 - opacity) * (1 - sky).unsqueeze(1)).unsqueeze(1)


def _mask(circles: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The mask (B, H, W): 1 outside all circles, 0 inside, blurred; the image is mirrored at its edges.

    It is drawn on _CELLS rows of square cells, with soft edges one cell wide. Blur and enlargement are one product of
    matrices per direction. The blur is so much wider than a cell that nothing is lost.
    """
    aspect = width / height
    columns = max(1, round(_CELLS * aspect))
    y = ((torch.arange(_CELLS, device=circles.device) + 0.5) / _CELLS).to(circles.dtype).view(1, 1, -1, 1)
    x = ((torch.arange(columns, device=circles.device) + 0.5) * aspect / columns).to(circles.dtype)
    center_x, center_y, radius = (values[..., None, None] for values in circles.unbind(-1))  # (B, CIRCLES, 1, 1) each
    distance = torch.sqrt((x - aspect * center_x) ** 2 + (y - center_y) ** 2)
    mask = 1 - ((radius - distance) * _CELLS + 0.5).clamp_(0, 1).amax(1)  # (B, _CELLS, columns)
    down, across = (
        _blur(pixels, cells, extent, circles.dtype, circles.device)
        for pixels, cells, extent in ((height, _CELLS, 1.0), (width, columns, aspect))
    )
    return torch.matmul(torch.matmul(down, mask), across.T)


@functools.lru_cache(maxsize=64)
def _blur(pixels: int, cells: int, extent: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The matrix (pixels, cells) that enlarges cells over `extent` heights to pixels, with a Gaussian blur.

    The edges are mirrored.
    """
    centers = (torch.arange(pixels, dtype=torch.float64) + 0.5) * (extent / pixels)
    margin = math.ceil(_REACH * MASK_SIGMA / extent * cells)  # cells beyond either edge
    index = torch.arange(-margin, cells + margin)
    edges = torch.arange(-margin, cells + margin + 1, dtype=torch.float64) * (extent / cells)
    weights = torch.special.ndtr((edges - centers.unsqueeze(1)) / MASK_SIGMA).diff(dim=1)
    wave = index % (2 * cells)
    mirrored = torch.where(wave < cells, wave, 2 * cells - 1 - wave)
    return torch.zeros(pixels, cells, dtype=torch.float64).index_add_(1, mirrored, weights).to(dtype).to(device)
