"""JPEG files to read in benchmarks: smooth colours with some detail, and about as many bytes as street-level photos."""

import os

import numpy as np
from PIL import Image

from datasets.names import format_name


def make_pictures(folder: str, number: int, size: int = 512, classes: int | None = None, seed: int = 0) -> list[str]:
    """Writes square images below a folder. Returns their paths.

    folder: made if it is not there
    number: of images
    size: their side, pixels
    classes: number of CosPlace classes; None gives each image its own
    seed: of the colours
    """
    rng = np.random.default_rng(seed)
    os.makedirs(folder, exist_ok=True)
    paths = []
    for index in range(number):
        place = index % (classes or number)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize(
            (size, size), Image.Resampling.BICUBIC
        )
        detail = Image.fromarray(rng.integers(0, 256, (size // 3, size // 3, 3), np.uint8)).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        name = format_name(
            550_005 + 10 * (place % 100), 4_180_005 + 10 * (place // 100), 10, "S", 37.8, -122.4, f"p{index}", "", 0
        )
        paths.append(os.path.join(folder, name))
        Image.blend(coarse, detail, 0.3).save(paths[-1], quality=85)
    return paths
