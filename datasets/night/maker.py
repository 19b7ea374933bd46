"""Night of single images; each depends only on the settings and on its name."""

import hashlib

import numpy as np
import torch
from PIL import Image

from datasets.choices import needs_target
from datasets.images import ImageError
from datasets.night.augmentation import make_night
from datasets.night.fourier import amplitudes, reach, replace_amplitudes
from datasets.night.target_images import TargetImages
from model.normalization import to_float, to_tensor
from support.errors import UserError

_AMPLITUDES_KEPT = 1 << 26  # bytes, of targets: 2 kB each at beta 0.01 and 512 pixels
_BICUBIC = Image.Resampling.BICUBIC
_ROUNDING = 1e-3  # of 255: so that float32 does not cut a value that stayed the same to the one below


class NightMaker:
    """Makes night of images, one at a time.

    method: one of NIGHT_METHODS
    beta: FDA's window, for the methods that need it
    targets: night images, for the methods that need them
    seed: with an image's name, it decides the target and all that is random
    window: FDA's
    size: (width, height) that image and target are resized to for FDA alone (default: the image's own). It is done as
    by AMLSquad/CosPlace, where it is 1024 x 512: bicubic, cut to 8 bits, and bicubic back
    strength: as in make_night
    """

    def __init__(
        self,
        method: str,
        beta: float = 0.01,
        targets: TargetImages | None = None,
        seed: int = 0,
        window: str = "paper",
        size: tuple[int, int] | None = None,
        strength: str | None = None,
    ):
        self.method, self.beta, self.targets, self.seed = method, beta, targets, seed
        self.window, self.size, self.strength = window, size, strength
        self._amplitudes, self._kept_bytes = {}, 0

    def __call__(self, name: str, image: np.ndarray) -> np.ndarray:
        """Makes night of an image: uint8 (H, W, 3) -> uint8 (H, W, 3). Raises UserError if no target can be read."""
        generator, index = self._draw(name)

        def take_colors(images: torch.Tensor) -> torch.Tensor:
            if not self.size:
                return self._fda(images, index)
            night = self._fda(_to_batch(_resize(image, self.size)), index)
            cut = (night * 255 + _ROUNDING).to(torch.uint8)
            return _to_batch(_resize(_to_image(cut), (image.shape[1], image.shape[0])))

        night = make_night(_to_batch(image), self.method, take_colors, generator, strength=self.strength)
        return _to_image(night.mul_(255).round_().to(torch.uint8))

    def target(self, name: str, size: tuple[int, int]) -> np.ndarray:
        """The image, uint8 (H, W, 3), whose colours an image takes; size: (width, height) to resize it to."""
        return self._read(self._draw(name)[1], size)

    def _fda(self, images: torch.Tensor, index: int) -> torch.Tensor:
        """FDA of one image (1, 3, H, W), with target `index`."""
        height, width = images.shape[-2:]
        amplitudes_ = self._target_amplitudes(index, (width, height))
        return replace_amplitudes(images, amplitudes_, reach(self.beta, height, width, self.window))

    def _draw(self, name: str) -> tuple[torch.Generator, int | None]:
        """(generator of what is random, index of the target) for an image."""
        digest = hashlib.sha256(f"{self.seed}@{name}".encode("utf-8", "surrogateescape")).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        draw = torch.rand((), generator=generator, dtype=torch.float64).item()
        return generator, self.targets.index(draw) if needs_target(self.method) else None

    def _read(self, index: int, size: tuple[int, int]) -> np.ndarray:
        try:
            return self.targets.read(index, size, resampling=_BICUBIC if self.size else Image.Resampling.BILINEAR)
        except ImageError as error:
            raise UserError(str(error)) from error

    def _target_amplitudes(self, index: int, size: tuple[int, int]) -> torch.Tensor:
        if (index, size) not in self._amplitudes:  # a target is drawn many times
            values = amplitudes(_to_batch(self._read(index, size)), reach(self.beta, size[1], size[0], self.window))
            self._kept_bytes += values.nbytes
            self._amplitudes[index, size] = values
            while self._kept_bytes > _AMPLITUDES_KEPT and len(self._amplitudes) > 1:
                self._kept_bytes -= self._amplitudes.pop(next(iter(self._amplitudes))).nbytes
        return self._amplitudes[index, size]


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize(size, _BICUBIC))


def _to_image(images: torch.Tensor) -> np.ndarray:
    """The image of a batch of one: uint8 (1, 3, H, W) -> uint8 (H, W, 3)."""
    return images[0].movedim(0, -1).contiguous().numpy()


def _to_batch(image: np.ndarray) -> torch.Tensor:
    return to_float(to_tensor(image).contiguous()).unsqueeze(0)
