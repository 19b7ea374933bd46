"""Augmentation of whole batches on any device. Each image has its own random parameters.

`sample_parameters(batch_size, generator)` draws on the CPU, and `apply(images, parameters)` computes on the images'
device. So one seed gives the same augmentation on every device.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from datasets.schedule import Share
from model.normalization import normalize_, to_float

_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)


class JitterParameters(NamedTuple):
    order: torch.Tensor  # int64 (B, 4): the operations of each image, in the order in which they are applied
    factors: (
        torch.Tensor
    )  # float32 (B, 4): factors of brightness, contrast and saturation, and the hue's shift in turns


class ColorJitter:
    """torchvision's ColorJitter, with parameters of its own for each image.

    The factors of brightness, contrast and saturation are uniform in [max(0, 1 - x), 1 + x], the hue's shift in [-hue,
    hue] turns. They are applied in a random order. A range of 0 leaves that operation out.
    """

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0):
        self.ranges = [(max(0.0, 1 - value), 1 + value) for value in (brightness, contrast, saturation)] + [(-hue, hue)]

    def sample_parameters(self, batch_size: int, generator: torch.Generator | None = None) -> JitterParameters:
        """Draws the JitterParameters of a batch; generator: on the CPU."""
        order = torch.rand(batch_size, 4, generator=generator).argsort(dim=1)
        low, high = torch.tensor(self.ranges).T
        return JitterParameters(order, low + (high - low) * torch.rand(batch_size, 4, generator=generator))

    def apply(self, images: torch.Tensor, parameters: JitterParameters) -> torch.Tensor:
        """Jitters float images (B, 3, H, W) in [0, 1], contiguous, in place."""
        active = [operation for operation, (low, high) in enumerate(self.ranges) if low != high]
        for position in range(4):
            for operation in active:
                rows = (parameters.order[:, position] == operation).nonzero().squeeze(1)  # (b,)
                if not len(rows):
                    continue
                factors = parameters.factors[rows, operation]  # (b,)
                brightens = bool(factors.max() > 1)  # only then can a value leave [0, 1]
                factors, adjust = factors.to(images.device).view(-1, 1, 1, 1), _OPERATIONS[operation]
                if len(rows) == len(images):
                    adjust(images, factors, brightens)
                else:
                    rows = rows.to(images.device)
                    images[rows] = adjust(images[rows], factors, brightens)
        return images

    def __call__(self, images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        return self.apply(
            images.clone(memory_format=torch.contiguous_format), self.sample_parameters(len(images), generator)
        )


class CropParameters(NamedTuple):
    areas: torch.Tensor  # float64 (B, 10): the area of each try, as a share of the image's area
    ratios: torch.Tensor  # float64 (B, 10): width / height of each try
    positions: torch.Tensor  # float64 (B, 2), in [0, 1): top and left, as shares of the free space


class RandomResizedCrop:
    """torchvision's RandomResizedCrop, with a box of its own for each image.

    The box has a random area and aspect ratio. After ten tries that do not fit, it is the largest central box. It is
    resized to `size` with antialiased bilinear interpolation.

    size: of the output, pixels: one number, or (height, width)
    scale: range of the box's area, as a share of the image's
    ratio: range of the box's width / height
    """

    _TRIES = 10

    def __init__(
        self,
        size: int | tuple[int, int],
        scale: tuple[float, float] = (0.5, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ):
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.scale, self.ratio = scale, ratio

    def sample_parameters(self, batch_size: int, generator: torch.Generator | None = None) -> CropParameters:
        """Draws the CropParameters of a batch, for images of any size; generator: on the CPU."""
        areas, ratios = torch.rand(2, batch_size, self._TRIES, generator=generator, dtype=torch.float64)
        positions = torch.rand(batch_size, 2, generator=generator, dtype=torch.float64)
        low, high = (math.log(value) for value in self.ratio)
        return CropParameters(
            self.scale[0] + (self.scale[1] - self.scale[0]) * areas, torch.exp(low + (high - low) * ratios), positions
        )

    def boxes(self, parameters: CropParameters, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """Computes the boxes in images of one size: (top, left, height, width) in pixels for each image."""
        return [
            self._box(*values, height, width) for values in zip(*(field.tolist() for field in parameters), strict=True)
        ]

    def _box(
        self, areas: list[float], ratios: list[float], position: list[float], height: int, width: int
    ) -> tuple[int, int, int, int]:
        for area, ratio in zip(areas, ratios, strict=True):
            h, w = round(math.sqrt(height * width * area / ratio)), round(math.sqrt(height * width * area * ratio))
            if 0 < h <= height and 0 < w <= width:
                return int(position[0] * (height - h + 1)), int(position[1] * (width - w + 1)), h, w
        # no try fits (the image is very long): the largest central box whose ratio is allowed
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        h, w = min(height, round(width / ratio)), min(width, round(height * ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def apply(self, images: torch.Tensor, parameters: CropParameters) -> torch.Tensor:
        """Crops and resizes float images: (B, 3, H, W) -> (B, 3, *size)."""
        output = images.new_empty((len(images), images.shape[1], *self.size))
        for row, (top, left, height, width) in enumerate(self.boxes(parameters, *images.shape[-2:])):
            # if nothing shrinks, antialiasing changes nothing and costs much
            shrinks = height > self.size[0] or width > self.size[1]
            output[row] = F.interpolate(
                images[row : row + 1, :, top : top + height, left : left + width],
                self.size,
                mode="bilinear",
                align_corners=False,
                antialias=shrinks,
            )[0]
        return output

    def __call__(self, images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        return self.apply(images, self.sample_parameters(len(images), generator))


class FixedColors:
    """The same brightness, contrast and saturation factors for every image, applied in this order. 1 changes nothing.

    It has the methods of ColorJitter.
    """

    def __init__(self, brightness: float = 1.0, contrast: float = 1.0, saturation: float = 1.0):
        self.factors = {
            operation: factor for operation, factor in enumerate((brightness, contrast, saturation)) if factor != 1
        }

    def sample_parameters(self, batch_size: int, generator: torch.Generator | None = None) -> None:
        """Draws nothing: all is fixed."""
        return None

    def apply(self, images: torch.Tensor, parameters: None = None) -> torch.Tensor:
        """Changes the colours of float images (B, 3, H, W) in [0, 1], contiguous, in place."""
        for operation, factor in self.factors.items():
            _OPERATIONS[operation](images, torch.tensor(factor, device=images.device), factor > 1)
        return images

    def __call__(self, images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        return self.apply(images.clone(memory_format=torch.contiguous_format))


class FactorParameters(NamedTuple):
    chosen: torch.Tensor  # bool (B,): the images that are changed
    factors: torch.Tensor  # float32 (B, 3): of brightness, contrast and saturation, the same in all rows


class RandomFactors:
    """Changes brightness, contrast or saturation of half of the images, by factors drawn for the batch.

    As in AMLSquad/CosPlace. It has the methods of ColorJitter.

    operations: which of them, in the order in which they are applied
    """

    _FACTORS = (0.65, 1.15, 0.85)  # of brightness, contrast and saturation
    _OFFSETS = (0.5, 0.05, 0.05)  # the most that is added to a factor, or taken away
    _PROBABILITY = 0.5

    def __init__(self, *operations: int):
        self.operations = operations

    def sample_parameters(self, batch_size: int, generator: torch.Generator | None = None) -> FactorParameters:
        """Draws the FactorParameters of a batch; generator: on the CPU."""
        offsets = (2 * torch.rand(3, generator=generator) - 1) * torch.tensor(self._OFFSETS)
        chosen = torch.rand(batch_size, generator=generator) < self._PROBABILITY
        return FactorParameters(chosen, (torch.tensor(self._FACTORS) + offsets).expand(batch_size, 3))

    def apply(self, images: torch.Tensor, parameters: FactorParameters) -> torch.Tensor:
        """Changes the colours of float images (B, 3, H, W) in [0, 1], contiguous, in place."""
        rows = parameters.chosen.nonzero().squeeze(1)  # (b,)
        if len(rows):
            factors, rows = parameters.factors[0].tolist(), rows.to(images.device)
            changed = images[rows]
            for operation in self.operations:
                factor = torch.tensor(factors[operation], device=images.device)
                _OPERATIONS[operation](changed, factor, factors[operation] > 1)
            images[rows] = changed
        return images

    def __call__(self, images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        return self.apply(
            images.clone(memory_format=torch.contiguous_format), self.sample_parameters(len(images), generator)
        )


_RANDOM = {
    "brightness": (_BRIGHTNESS,),
    "contrast": (_CONTRAST,),
    "saturation": (_SATURATION,),
    "bcs": (_BRIGHTNESS, _SATURATION, _CONTRAST),
}
_FIXED = {
    "none": {},
    "brightness": {"brightness": 0.65},
    "contrast": {"contrast": 1.15},
    "saturation": {"saturation": 0.85},
    "bcs": {"brightness": 0.65, "contrast": 1.15, "saturation": 0.85},
}
AUGMENTATION_TYPES = ("colorjitter", *_FIXED)


def color_augmentation(
    augmentation_type: str, brightness: float, contrast: float, saturation: float, hue: float, fixed: bool = False
) -> ColorJitter | FixedColors | RandomFactors:
    """Builds what --augmentation_type names: ColorJitter with these ranges, RandomFactors, or FixedColors.

    augmentation_type: one of AUGMENTATION_TYPES
    brightness: range of the brightness factor around 1, as in ColorJitter; unused by the others, as are the next three
    contrast: range of the contrast factor around 1
    saturation: range of the saturation factor around 1
    hue: largest shift of the hue, turns
    fixed: whether the other types change every image by the same factors
    """
    if augmentation_type == "colorjitter":
        return ColorJitter(brightness, contrast, saturation, hue)
    if augmentation_type in _RANDOM and not fixed:
        return RandomFactors(*_RANDOM[augmentation_type])
    return FixedColors(**_FIXED[augmentation_type])


class TrainAugmentation:
    """The augmentation of training batches, in the published order: jitter, crop, ImageNet normalisation."""

    def __init__(self, jitter: ColorJitter | FixedColors | RandomFactors, crop: RandomResizedCrop):
        self.jitter, self.crop = jitter, crop

    def __call__(self, images: torch.Tensor, seed: int, share: Share | None = None) -> torch.Tensor:
        """Augments a batch; the same seed gives the same result on every device.

        images: (B, 3, H, W), uint8 or float in [0, 1]
        seed: of all random parameters
        share: which rows of a larger batch the images are (default: they are a whole batch)

        Returns float32 (B, 3, h, w), normalised, channels_last. A GPU computes the whole batch at once. A CPU computes
        image by image, with the same result, since an image then stays in the cache.
        """
        generator = torch.Generator().manual_seed(seed)
        share = share or Share.whole(len(images))
        jitter, crop = (share.of(part.sample_parameters(share.count, generator)) for part in (self.jitter, self.crop))
        output = torch.empty((len(images), 3, *self.crop.size), device=images.device, memory_format=torch.channels_last)
        for rows in torch.arange(len(images)).split(1 if images.device.type == "cpu" else len(images)):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            # contiguous: operations over channels are slow on channels_last
            planar = to_float(images[part].clone(memory_format=torch.contiguous_format))  # (b, 3, H, W)
            planar = self.jitter.apply(planar, share._replace(rows=part).of(jitter))  # (b, 3, H, W)
            planar = self.crop.apply(planar, share._replace(rows=part).of(crop))  # (b, 3, h, w)
            output[part] = normalize_(planar)
        return output


def _blend_(images: torch.Tensor, other: torch.Tensor, factors: torch.Tensor, brightens: bool) -> torch.Tensor:
    """Computes factors * images + (1 - factors) * other, in place; other: (b, 1, H or 1, W or 1)."""
    torch.lerp(other, images, factors, out=images)
    return images.clamp_(0, 1) if brightens else images


def _adjust_brightness_(images: torch.Tensor, factors: torch.Tensor, brightens: bool) -> torch.Tensor:
    images.mul_(factors)
    return images.clamp_(max=1) if brightens else images


def _adjust_contrast_(images: torch.Tensor, factors: torch.Tensor, brightens: bool) -> torch.Tensor:
    red, green, blue = images.mean(dim=(-2, -1), keepdim=True).unbind(1)
    return _blend_(images, _grayscale(red, green, blue).unsqueeze(1), factors, brightens)


def _adjust_saturation_(images: torch.Tensor, factors: torch.Tensor, brightens: bool) -> torch.Tensor:
    return _blend_(images, _grayscale(*images.unbind(1)).unsqueeze(1), factors, brightens)


def _grayscale(
    red: torch.Tensor, green: torch.Tensor, blue: torch.Tensor
) -> torch.Tensor:  # with torchvision's weights
    """The gray of three channels, with torchvision's weights."""
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def _adjust_hue_(images: torch.Tensor, shifts: torch.Tensor, _: bool) -> torch.Tensor:
    """Turns the hue by `shifts` (b, 1, 1, 1), in turns, in place.

    This is the way to HSV and back in closed form. V is the largest channel, V - C the smallest, and h in [0, 6) six
    times the hue. Then red is V - C + C clamp(|h - 3| - 1, 0, 1). Green and blue are V - C + C clamp(2 - |h - n|, 0,
    1), with n = 2 and 4.
    """
    rows = images.shape[-2]
    if images.device.type == "cpu":  # so few rows at once that all temporaries stay in the cores' caches
        rows = max(1, _CACHED_PIXELS * torch.get_num_threads() // (len(images) * images.shape[-1]))
    for part in images.split(rows, dim=-2):
        red, green, blue = part.unbind(1)
        largest, smallest = torch.maximum(red, green), torch.minimum(red, green)
        torch.maximum(largest, blue, out=largest)
        torch.minimum(smallest, blue, out=smallest)
        chroma = largest - smallest
        is_red, is_green = largest == red, largest == green
        # six times the hue, by the channel that is largest; 0 for grays
        hue = torch.where(is_red, green - blue, torch.where(is_green, blue - red, red - green))
        hue.div_(chroma.clamp_min(_TINY)).add_(torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0)))
        hue.add_(6 * shifts.squeeze(1)).remainder_(6)
        for channel, n in ((red, 3), (green, 2), (blue, 4)):
            distance = torch.sub(hue, n).abs_()
            distance = distance.sub_(1) if n == 3 else distance.neg_().add_(2)
            torch.addcmul(smallest, chroma, distance.clamp_(0, 1), out=channel)
    return images


_TINY = torch.finfo(torch.float32).tiny
_CACHED_PIXELS = 32_768  # pixels per thread and pass
# each works in place: (images (b, 3, H, W), factors (b, 1, 1, 1), whether a factor is above 1) -> images
_OPERATIONS = {
    _BRIGHTNESS: _adjust_brightness_,
    _CONTRAST: _adjust_contrast_,
    _SATURATION: _adjust_saturation_,
    _HUE: _adjust_hue_,
}
