"""Images of a folder, in batches of one size, for the statistics of batch norm."""

import math

import numpy as np
import torch

from datasets.images import ImageRows
from datasets.names import list_images
from model.normalization import to_tensor


class CalibrationImages(torch.utils.data.Dataset):
    """Some images of a folder, drawn without replacement, in batches.

    Item i is batch i: (uint8 (b, 3, size, size), [(path, reason)] of the images that could not be read and are left
    out). Images are cut centrally to squares. Batches have batch_size images or a few fewer, so that all have the same
    weight.

    folder: of the images
    count: how many images are drawn; all, if the folder has no more
    size: side of the squares, pixels
    seed: of the draw
    batch_size: the most images of a batch

    Raises UserError if the folder is missing or empty.
    """

    def __init__(self, folder: str, count: int, size: int, seed: int, batch_size: int = 32):
        self.folder, self.size, self.names = folder, size, list_images(folder)
        drawn = np.random.default_rng(seed).permutation(len(self.names))[:count]
        self.batches = np.array_split(drawn, math.ceil(len(drawn) / batch_size))

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, list[tuple[str, str]]]:
        batch = self.batches[index]
        rows = ImageRows(len(batch), (self.size, self.size))
        filled = [rows.fill(row, self.folder, [self.names[image]], crop=True) for row, image in enumerate(batch)]
        return to_tensor(rows.array[filled]), rows.unreadable
