"""Night of single images; each depends only on the settings and on its name."""

import hashlib

import numpy as np
import torch

from datasets.choices import needs_target
from datasets.images import ImageError
from datasets.night.augmentation import make_night
from datasets.night.fourier import amplitudes, replace_amplitudes, window
from datasets.night.target_images import TargetImages
from model.normalization import to_float, to_tensor
from support.errors import UserError

_AMPLITUDES_KEPT = 1 << 26  # bytes, of targets: 2 kB each at beta 0.01 and 512 pixels


class NightMaker:
    """Makes night of images, one at a time.

    method: one of NIGHT_METHODS
    beta: FDA's window, for the methods that need it
    targets: night images, for the methods that need them
    seed: with an image's name, it decides the target and all that is random
    """

    def __init__(self, method: str, beta: float = 0.01, targets: TargetImages | None = None, seed: int = 0):
        self.method, self.beta, self.targets, self.seed = method, beta, targets, seed
        self._amplitudes, self._kept_bytes = {}, 0

    def __call__(self, name: str, image: np.ndarray) -> np.ndarray:
        """Makes night of an image: uint8 (H, W, 3) -> uint8 (H, W, 3). Raises UserError if no target can be read."""
        generator, index = self._draw(name)
        height, width = image.shape[:2]

        def take_colors(images: torch.Tensor) -> torch.Tensor:
            return replace_amplitudes(
                images, self._target_amplitudes(index, (width, height)), window(self.beta, height, width)
            )

        night = make_night(_to_batch(image), self.method, take_colors, generator)
        return night.mul_(255).round_().to(torch.uint8)[0].movedim(0, -1).contiguous().numpy()

    def target(self, name: str, size: tuple[int, int]) -> np.ndarray:
        """The image, uint8 (H, W, 3), whose colours an image takes; size: (width, height) to resize it to."""
        return self._read(self._draw(name)[1], size)

    def _draw(self, name: str) -> tuple[torch.Generator, int | None]:
        """(generator of what is random, index of the target) for an image."""
        digest = hashlib.sha256(f"{self.seed}@{name}".encode("utf-8", "surrogateescape")).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        draw = torch.rand((), generator=generator, dtype=torch.float64).item()
        return generator, self.targets.index(draw) if needs_target(self.method) else None

    def _read(self, index: int, size: tuple[int, int]) -> np.ndarray:
        try:
            return self.targets.read(index, size)
        except ImageError as error:
            raise UserError(str(error)) from error

    def _target_amplitudes(self, index: int, size: tuple[int, int]) -> torch.Tensor:
        if (index, size) not in self._amplitudes:  # a target is drawn many times
            values = amplitudes(_to_batch(self._read(index, size)), window(self.beta, size[1], size[0]))
            self._kept_bytes += values.nbytes
            self._amplitudes[index, size] = values
            while self._kept_bytes > _AMPLITUDES_KEPT and len(self._amplitudes) > 1:
                self._kept_bytes -= self._amplitudes.pop(next(iter(self._amplitudes))).nbytes
        return self._amplitudes[index, size]


def _to_batch(image: np.ndarray) -> torch.Tensor:
    return to_float(to_tensor(image).contiguous()).unsqueeze(0)
