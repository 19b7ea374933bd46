"""Augmentation of whole batches on any device, each image with parameters of its own.

`sample_parameters(batch_size, generator)` draws on the CPU, `apply(images, parameters)` computes wherever the images
are, so that one seed gives the same augmentation on every device.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from datasets.schedule import Share
from model.normalization import normalize_, to_float

_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)


class JitterParameters(NamedTuple):
    order: torch.Tensor  # int64 (B, 4): the operations of an image in the order in which they are applied
    factors: torch.Tensor  # float32 (B, 4): brightness, contrast and saturation factors, and the hue's shift in turns


class ColorJitter:
    """torchvision's ColorJitter, image by image: brightness, contrast and saturation factors uniform in [max(0, 1 - x),
    1 + x], hue shift uniform in [-hue, hue], in a random order. A zero range leaves that operation out.
    """

    def __init__(self, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0):
        self.ranges = [(max(0.0, 1 - value), 1 + value) for value in (brightness, contrast, saturation)] + [(-hue, hue)]

    def sample_parameters(self, batch_size, generator=None):
        """JitterParameters of a batch; generator: a CPU torch.Generator."""
        order = torch.rand(batch_size, 4, generator=generator).argsort(dim=1)
        low, high = torch.tensor(self.ranges).T
        return JitterParameters(order, low + (high - low) * torch.rand(batch_size, 4, generator=generator))

    def apply(self, images, parameters):
        """images: float (B, 3, H, W) in [0, 1], planar -> the same tensor, jittered in place."""
        active = [operation for operation, (low, high) in enumerate(self.ranges) if low != high]
        for position in range(4):
            for operation in active:
                rows = (parameters.order[:, position] == operation).nonzero().squeeze(1)
                if not len(rows):
                    continue
                factors = parameters.factors[rows, operation]
                brightens = bool(factors.max() > 1)  # only then can a value leave [0, 1]
                factors, adjust = factors.to(images.device).view(-1, 1, 1, 1), _OPERATIONS[operation]
                if len(rows) == len(images):
                    adjust(images, factors, brightens)
                else:
                    rows = rows.to(images.device)
                    images[rows] = adjust(images[rows], factors, brightens)
        return images

    def __call__(self, images, generator=None):
        return self.apply(
            images.clone(memory_format=torch.contiguous_format), self.sample_parameters(len(images), generator)
        )


class CropParameters(NamedTuple):
    areas: torch.Tensor  # float64 (B, 10): tries of the crop's share of the image's area
    ratios: torch.Tensor  # float64 (B, 10): tries of its width / height
    positions: torch.Tensor  # float64 (B, 2): in [0, 1), its top and left within what is free


class RandomResizedCrop:
    """torchvision's RandomResizedCrop, image by image: a box of random area and aspect ratio (ten tries, then the
    largest central one), resized to `size` with antialiased bilinear interpolation.

    size: pixels, one number or (height, width); scale: range of the area's share; ratio: range of width / height.
    """

    _TRIES = 10

    def __init__(self, size, scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)):
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.scale, self.ratio = scale, ratio

    def sample_parameters(self, batch_size, generator=None):
        """CropParameters of a batch, whatever the images' size; generator: a CPU torch.Generator."""
        areas, ratios = torch.rand(2, batch_size, self._TRIES, generator=generator, dtype=torch.float64)
        positions = torch.rand(batch_size, 2, generator=generator, dtype=torch.float64)
        low, high = (math.log(value) for value in self.ratio)
        return CropParameters(
            self.scale[0] + (self.scale[1] - self.scale[0]) * areas, torch.exp(low + (high - low) * ratios), positions
        )

    def boxes(self, parameters, height, width):
        """The crops in images of a size: a list of (top, left, height, width) in pixels."""
        return [
            self._box(*values, height, width) for values in zip(*(field.tolist() for field in parameters), strict=True)
        ]

    def _box(self, areas, ratios, position, height, width):
        for area, ratio in zip(areas, ratios, strict=True):
            h, w = round(math.sqrt(height * width * area / ratio)), round(math.sqrt(height * width * area * ratio))
            if 0 < h <= height and 0 < w <= width:
                return int(position[0] * (height - h + 1)), int(position[1] * (width - w + 1)), h, w
        # no try fits (very long images): the largest central box whose ratio is allowed
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        h, w = min(height, round(width / ratio)), min(width, round(height * ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def apply(self, images, parameters):
        """images: float (B, 3, H, W) -> (B, 3, *size)."""
        output = images.new_empty((len(images), images.shape[1], *self.size))
        for row, (top, left, height, width) in enumerate(self.boxes(parameters, *images.shape[-2:])):
            # where nothing shrinks, antialiasing changes nothing and costs much
            shrinks = height > self.size[0] or width > self.size[1]
            output[row] = F.interpolate(
                images[row : row + 1, :, top : top + height, left : left + width],
                self.size,
                mode="bilinear",
                align_corners=False,
                antialias=shrinks,
            )[0]
        return output

    def __call__(self, images, generator=None):
        return self.apply(images, self.sample_parameters(len(images), generator))


class FixedColors:
    """The same brightness, contrast and saturation factors for every image, in this order; 1 changes nothing. It has
    ColorJitter's methods.
    """

    def __init__(self, brightness=1.0, contrast=1.0, saturation=1.0):
        self.factors = {
            operation: factor for operation, factor in enumerate((brightness, contrast, saturation)) if factor != 1
        }

    def sample_parameters(self, batch_size, generator=None):
        return None  # there is nothing to draw

    def apply(self, images, parameters=None):
        """images: float (B, 3, H, W) in [0, 1], planar -> the same tensor, its colours changed in place."""
        for operation, factor in self.factors.items():
            _OPERATIONS[operation](images, torch.tensor(factor, device=images.device), factor > 1)
        return images

    def __call__(self, images, generator=None):
        return self.apply(images.clone(memory_format=torch.contiguous_format))


_FIXED = {
    "none": {},
    "brightness": {"brightness": 0.65},
    "contrast": {"contrast": 1.15},
    "saturation": {"saturation": 0.85},
    "bcs": {"brightness": 0.65, "contrast": 1.15, "saturation": 0.85},
}
AUGMENTATION_TYPES = ("colorjitter", *_FIXED)


def color_augmentation(augmentation_type, brightness, contrast, saturation, hue):
    """What --augmentation_type names: ColorJitter with these ranges, or FixedColors."""
    if augmentation_type == "colorjitter":
        return ColorJitter(brightness, contrast, saturation, hue)
    return FixedColors(**_FIXED[augmentation_type])


class TrainAugmentation:
    """What a training batch goes through, in the published order: jitter, crop, ImageNet normalisation."""

    def __init__(self, jitter, crop):
        self.jitter, self.crop = jitter, crop

    def __call__(self, images, seed, share=None):
        """images: (B, 3, H, W), uint8 or float in [0, 1] -> float32 (B, 3, h, w), normalised, channels_last; the same
        for the same seed on every device. share: the datasets.schedule.Share of a batch that the images are (default: a
        whole batch).

        A GPU computes the whole batch at once. A CPU computes image by image, which gives the same: an image stays in
        the cache.
        """
        generator = torch.Generator().manual_seed(seed)
        share = share or Share.whole(len(images))
        jitter, crop = (share.of(part.sample_parameters(share.count, generator)) for part in (self.jitter, self.crop))
        output = torch.empty((len(images), 3, *self.crop.size), device=images.device, memory_format=torch.channels_last)
        for rows in torch.arange(len(images)).split(1 if images.device.type == "cpu" else len(images)):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            # planar: operations over channels are slow on channels_last
            planar = to_float(images[part].clone(memory_format=torch.contiguous_format))
            planar = self.jitter.apply(planar, share._replace(rows=part).of(jitter))
            planar = self.crop.apply(planar, share._replace(rows=part).of(crop))
            output[part] = normalize_(planar)
        return output


def _blend_(images, other, factors, brightens):
    """In place, factors * images + (1 - factors) * other, other (b, 1, H or 1, W or 1)."""
    torch.lerp(other, images, factors, out=images)
    return images.clamp_(0, 1) if brightens else images


def _adjust_brightness_(images, factors, brightens):
    images.mul_(factors)
    return images.clamp_(max=1) if brightens else images


def _adjust_contrast_(images, factors, brightens):
    red, green, blue = images.mean(dim=(-2, -1), keepdim=True).unbind(1)
    return _blend_(images, _grayscale(red, green, blue).unsqueeze(1), factors, brightens)


def _adjust_saturation_(images, factors, brightens):
    return _blend_(images, _grayscale(*images.unbind(1)).unsqueeze(1), factors, brightens)


def _grayscale(red, green, blue):  # with torchvision's weights
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def _adjust_hue_(images, shifts, _):
    """Turns the hue by `shifts` (b, 1, 1, 1), in turns.

    HSV and back in closed form. With the largest channel V, the smallest V - C and six times the hue h in [0, 6), HSV
    gives red V - C + C clamp(|h - 3| - 1, 0, 1), and green and blue V - C + C clamp(2 - |h - n|, 0, 1) with n = 2 and
    4.
    """
    rows = images.shape[-2]
    if images.device.type == "cpu":  # as many rows at once as leave the dozen of temporaries in the cores' caches
        rows = max(1, _CACHED_PIXELS * torch.get_num_threads() // (len(images) * images.shape[-1]))
    for part in images.split(rows, dim=-2):
        red, green, blue = part.unbind(1)
        largest, smallest = torch.maximum(red, green), torch.minimum(red, green)
        torch.maximum(largest, blue, out=largest)
        torch.minimum(smallest, blue, out=smallest)
        chroma = largest - smallest
        is_red, is_green = largest == red, largest == green
        # six times the hue, by the channel that is largest; a gray's numerator is 0
        hue = torch.where(is_red, green - blue, torch.where(is_green, blue - red, red - green))
        hue.div_(chroma.clamp_min(_TINY)).add_(torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0)))
        hue.add_(6 * shifts.squeeze(1)).remainder_(6)
        for channel, n in ((red, 3), (green, 2), (blue, 4)):
            distance = torch.sub(hue, n).abs_()
            distance = distance.sub_(1) if n == 3 else distance.neg_().add_(2)
            torch.addcmul(smallest, chroma, distance.clamp_(0, 1), out=channel)
    return images


_TINY = torch.finfo(torch.float32).tiny
_CACHED_PIXELS = 32_768  # a thread's
# each in place: (images (b, 3, H, W), factors (b, 1, 1, 1), whether a factor is above 1) -> images
_OPERATIONS = {
    _BRIGHTNESS: _adjust_brightness_,
    _CONTRAST: _adjust_contrast_,
    _SATURATION: _adjust_saturation_,
    _HUE: _adjust_hue_,
}
