"""From 8-bit images to what the network expects."""

import numpy as np
import torch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def to_tensor(array):
    """uint8 (..., H, W, 3) array -> uint8 (..., 3, H, W) tensor over the same memory: channels_last, without a copy."""
    array = np.asarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy()).movedim(-1, -3)


def to_float(images):
    """uint8 (..., 3, H, W) in 0..255 -> float32 in [0, 1]; float images pass."""
    return images if images.is_floating_point() else images.float().div_(255)


def normalize(images):
    """uint8 images (..., 3, H, W) -> float32 with ImageNet's mean and deviation."""
    return normalize_(to_float(images))


def normalize_(images):
    """Float images (..., 3, H, W) in [0, 1], in place -> with ImageNet's mean and deviation."""
    mean, std = (
        torch.tensor(v, device=images.device, dtype=images.dtype).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return images.sub_(mean).div_(std)
