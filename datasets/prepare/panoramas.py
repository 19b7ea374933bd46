"""Crops of panoramas, as SF-XL has them or in perspective. A crop's heading is that of its leftmost column.

A panorama spans 360 degrees from left to right, equirectangular. Its centre has the panorama's heading c. The column at
a share u of its width, from the left edge of its pixels, has the heading c - 180 + 360 u. SF-XL's panoramas are strips
of 3328 x 512 pixels, with crops of 512 x 512 every 30 degrees, so that neighbours overlap. Others are whole spheres of
2:1.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from datasets.images import to_array

KINDS = ("sf_xl", "perspective")
SF_XL_FOV = 360 * 512 / 3328  # degrees, 55.4
_SPHERE, _STRIP = 2.0, 3328 / 512  # width / height
_TOLERANCE = 0.01  # of the ratio: stitching leaves a row too many or too few


@dataclass(frozen=True)
class Crops:
    """How panoramas are cut.

    kind: one of KINDS
    size: side of the crops, pixels
    headings: of their leftmost columns, degrees clockwise from north (from the centre, if a panorama has no heading)
    fov: degrees that a perspective crop spans from left to right; its centre has its heading + fov / 2
    pitch: degrees of a perspective crop's centre above the horizon
    """

    kind: str
    size: int = 512
    headings: tuple = tuple(range(0, 360, 30))
    fov: float = 60.0
    pitch: float = 0.0

    def is_panorama(self, size: tuple[int, int]) -> bool:
        """Whether an image of (width, height) can be cut: 2:1, and for sf_xl 6.5:1 too."""
        ratios = (_SPHERE, _STRIP) if self.kind == "sf_xl" else (_SPHERE,)
        return any(abs(size[0] / size[1] / ratio - 1) < _TOLERANCE for ratio in ratios)

    def cut(self, panorama: Image.Image, panorama_heading: float | None) -> Iterator[Image.Image]:
        """Cuts an RGB panorama: yields an RGB PIL image for each heading.

        panorama_heading: of its centre, degrees; None counts as 0.
        """
        if self.kind == "sf_xl":
            yield from _sf_xl_crops(panorama, self._left_edges(panorama_heading), self.size)
        else:
            yield from _perspective_crops(panorama, self._left_edges(panorama_heading), self.size, self.fov, self.pitch)

    def _left_edges(self, panorama_heading: float | None) -> list[float]:
        """Where in the panorama each crop's heading is, as a share of its width in [0, 1)."""
        return [(heading - (panorama_heading or 0) + 180) % 360 / 360 for heading in self.headings]


def looks_panoramic(size: tuple[int, int]) -> bool:
    """Whether an image of (width, height) has the shape of a whole sphere."""
    return abs(size[0] / size[1] / _SPHERE - 1) < _TOLERANCE


def _sf_xl_crops(panorama: Image.Image, left_edges: list[float], size: int) -> Iterator[Image.Image]:
    """Squares of SF_XL_FOV degrees around the horizon, equirectangular as the panorama, resized with antialiasing."""
    width, height = panorama.size
    side = width * SF_XL_FOV / 360
    top = max(0.0, (height - side) / 2)
    extended = _extended(panorama, math.ceil(side) + 1)
    for left in left_edges:
        box = (left * width, top, left * width + side, min(top + side, height))
        yield extended.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _perspective_crops(
    panorama: Image.Image, left_edges: list[float], size: int, fov: float, pitch: float
) -> Iterator[Image.Image]:
    """Gnomonic projections, sampled bilinearly at twice the size and halved.

    The panorama is first resized to that resolution, so that nothing aliases.
    """
    focal = size / (2 * math.tan(math.radians(fov) / 2))  # pixels
    width = min(panorama.width, math.ceil(2 * 2 * math.pi * focal))
    if width < panorama.width:
        panorama = panorama.resize((width, round(width / _SPHERE)), Image.Resampling.BICUBIC)
    margin = 2  # columns: what the first and the last are interpolated with
    source = np.pad(to_array(panorama), ((1, 1), (margin, margin), (0, 0)), mode="edge")
    source[:, :margin], source[:, -margin:] = source[:, -2 * margin : -margin], source[:, margin : 2 * margin]
    source = torch.from_numpy(source).permute(2, 0, 1)[None].float()
    azimuth, elevation = _rays(2 * size, 2 * focal, math.radians(pitch))
    rows = (0.5 - elevation / math.pi) * panorama.height
    for left in left_edges:
        centre = left + fov / 720
        columns = (centre + azimuth / (2 * math.pi)) % 1 * panorama.width
        # shares of the padded source from -1 to 1, edges of pixels at whole numbers
        grid = torch.stack([(columns + margin) / source.shape[3], (rows + 1) / source.shape[2]], dim=-1) * 2 - 1
        crop = torch.nn.functional.grid_sample(source, grid[None].float(), mode="bilinear", align_corners=False)
        crop = torch.nn.functional.avg_pool2d(crop, 2)
        yield Image.fromarray(crop[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy())


def _rays(size: int, focal: float, pitch: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Azimuth from the crop's centre, and elevation, of a square perspective image: float64 (size, size) each.

    Both are in radians, for each pixel.
    """
    offsets = (torch.arange(size, dtype=torch.float64) + 0.5 - size / 2) / focal
    down, right = torch.meshgrid(offsets, offsets, indexing="ij")
    forward = math.cos(pitch) + down * math.sin(pitch)
    up = math.sin(pitch) - down * math.cos(pitch)
    return torch.atan2(right, forward), torch.atan2(up, torch.hypot(right, forward))


def _extended(panorama: Image.Image, columns: int) -> Image.Image:
    """The panorama followed by its first columns, so that no crop ends at its right edge."""
    extended = Image.new("RGB", (panorama.width + columns, panorama.height))
    extended.paste(panorama, (0, 0))
    extended.paste(panorama.crop((0, 0, columns, panorama.height)), (panorama.width, 0))
    return extended
