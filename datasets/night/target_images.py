"""The night images that FDA takes colours from."""

import hashlib
import os
from collections.abc import Iterable

import numpy as np
from PIL import Image

from datasets.images import MIN_SIDE, ImageError, open_rgb, to_array, within_memory
from datasets.names import list_images


def names_digest(names: Iterable[str]) -> str:
    """Computes the SHA-256 of image names, in their order."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(os.fsencode(name) + b"\n")
    return digest.hexdigest()


class TargetImages:
    """The images of a folder, drawn uniformly. Their names need no `@` fields.

    Raises UserError if the folder is missing or has no images.
    """

    def __init__(self, folder: str):
        self.folder, self.names = folder, list_images(folder)

    def __len__(self):
        return len(self.names)

    def index(self, draw: float) -> int:
        """The image that a uniform number in [0, 1) picks."""
        return min(int(draw * len(self)), len(self) - 1)

    def read(
        self,
        index: int,
        size: tuple[int, int],
        unreadable: list[tuple[str, str]] | None = None,
        resampling: Image.Resampling = Image.Resampling.BILINEAR,
    ) -> np.ndarray:
        """Reads image `index`, or the next that can be read, resized: uint8 (H, W, 3).

        index: of the image
        size: (width, height), pixels
        unreadable: a list that receives (path, reason) of skipped images
        resampling: how it is resized

        Raises ImageError if none can be read.
        """
        for offset in range(len(self)):
            path = os.path.join(self.folder, self.names[(index + offset) % len(self)])
            try:
                with within_memory():
                    image = open_rgb(path, min(MIN_SIDE, *size))
                    return to_array(image if image.size == tuple(size) else image.resize(size, resampling))
            except ImageError as error:
                reason = str(error)
                if unreadable is not None:
                    unreadable.append((path, reason))
        raise ImageError(f"none of the {len(self)} images of {self.folder} can be read ({reason})")
