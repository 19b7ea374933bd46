"""From 8-bit images to what the network expects."""

import numpy as np
import torch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """Views images as a tensor: uint8 (..., H, W, 3) -> uint8 (..., 3, H, W), channels_last, over the same memory."""
    array = np.asarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy()).movedim(-1, -3)


def to_float(images: torch.Tensor) -> torch.Tensor:
    """Converts uint8 images (..., 3, H, W) to float32 in [0, 1]; float images stay as they are."""
    return images if images.is_floating_point() else images.float().div_(255)


def normalize(images: torch.Tensor) -> torch.Tensor:
    """Normalises uint8 images (..., 3, H, W) with ImageNet's mean and deviation -> float32."""
    return normalize_(to_float(images))


def normalize_(images: torch.Tensor) -> torch.Tensor:
    """Normalises float images (..., 3, H, W) in [0, 1] with ImageNet's mean and deviation, in place."""
    mean, std = (
        torch.tensor(v, device=images.device, dtype=images.dtype).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return images.sub_(mean).div_(std)
