"""FDA at evaluation: queries take the low-frequency amplitude of the database images, or the other way round."""

import os

import numpy as np
import torch

from datasets.night.fourier import fda, window
from datasets.night.target_images import names_digest
from datasets.test_dataset import ImageFolder, TestDataset
from model.normalization import to_float


class FDAImages(torch.utils.data.Dataset):
    """An ImageFolder whose images take the low-frequency amplitude of images of another ImageFolder.

    images: the images; items are as theirs
    targets: whose amplitude is taken; each image draws one, uniformly, and takes the next if that cannot be read
    beta: FDA's window
    seed: of the draws, together with the image's index

    The attribute `settings` holds what the images depend on, as plain values.
    """

    def __init__(self, images: ImageFolder, targets: ImageFolder, beta: float, seed: int):
        self.images, self.targets, self.beta, self.seed = images, targets, beta, seed
        self.folder, self.names, self.resize = images.folder, images.names, images.resize
        self.path, self.read = images.path, images.read  # of the files, whose colours are as they were
        self.settings = {
            "fda_beta": beta,
            "seed": seed,
            "targets": os.path.realpath(targets.folder),
            "target_images": names_digest(targets.names),
        }

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor | None, str]:
        _, image, reason = self.images[index]
        if image is None:
            return index, None, reason
        first = int(np.random.default_rng((self.seed, index)).integers(len(self.targets)))
        for offset in range(len(self.targets)):
            _, target, reason = self.targets[(first + offset) % len(self.targets)]
            if target is not None:
                break
        else:
            return index, None, f"no image of {self.targets.folder} can be read to take its colours ({reason})"
        night = fda(*(to_float(values.contiguous()).unsqueeze(0) for values in (image, target)), self.beta)[0]
        return index, (night * 255).round_().to(torch.uint8), ""


def swap_amplitudes(test_set: TestDataset, queries: bool, database: bool, beta: float, seed: int) -> None:
    """Wraps a TestDataset's queries, or its database, in FDAImages, with the other's images as targets.

    test_set: is changed
    queries: whether to wrap the queries
    database: whether to wrap the database
    beta: FDA's window
    seed: of the draws
    """
    images = test_set.queries, test_set.database
    _, first, _ = images[0 if queries else 1][0]
    if first is not None:
        window(beta, *first.shape[-2:])  # warns here, and not in every worker
    if queries:
        test_set.queries = FDAImages(images[0], images[1], beta, seed)
    if database:
        test_set.database = FDAImages(images[1], images[0], beta, seed)
