"""FDA at evaluation: queries or database images take the low-frequency amplitude of other images."""

import logging
import os

import numpy as np
import torch

from datasets.night.fourier import fda, reach
from datasets.night.target_images import names_digest
from datasets.pack.reading import original_folder
from datasets.test_dataset import ImageFolder, Resize, TestDataset
from model.normalization import to_float
from support.errors import UserError

logger = logging.getLogger(__name__)


class FDAImages(torch.utils.data.Dataset):
    """An ImageFolder whose images take the low-frequency amplitude of images of another ImageFolder.

    images: the images; items are as theirs
    targets: whose amplitude is taken; each image draws one, uniformly, and takes the next if that cannot be read
    beta: FDA's
    seed: of the draws, together with the image's index
    window: FDA's

    The attribute `settings` holds what the images depend on, as plain values.
    """

    def __init__(self, images: ImageFolder, targets: ImageFolder, beta: float, seed: int, window: str = "paper"):
        self.images, self.targets, self.beta, self.seed, self.window = images, targets, beta, seed, window
        self.folder, self.names, self.resize = images.folder, images.names, images.resize
        self.path, self.read = images.path, images.read  # of the files, whose colours are as they were
        self.settings = {
            "fda_beta": beta,
            "seed": seed,
            "targets": original_folder(targets.folder),
            "target_images": names_digest(targets.names),
        }
        if window != "paper":  # as descriptors stored before do not say
            self.settings["fda_window"] = window

    def __len__(self):
        return len(self.images)

    def resized(self, size: Resize) -> "FDAImages":
        """The same images, and their targets, in another size. size: as of ImageFolder."""
        pair = self.images.resized(size), self.targets.resized(size)
        return FDAImages(*pair, self.beta, self.seed, self.window)

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
        pair = (to_float(values.contiguous()).unsqueeze(0) for values in (image, target))
        night = fda(*pair, self.beta, self.window)[0]
        return index, (night * 255).round_().to(torch.uint8), ""


def open_training_images(folder: str, resize: int | None) -> ImageFolder:
    """Opens the training images, whose amplitude is taken as by AMLSquad/CosPlace's "FDA on test".

    folder: of the images; resize: as of ImageFolder. Raises UserError if it is missing or empty.
    """
    if not os.path.isdir(folder):
        raise UserError(
            f"there is no folder {folder} of training images, whose colours FDA takes: name it as --train_set_folder, "
            "or give --fda_targets test for those of the test's other images"
        )
    return ImageFolder(folder, resize)


def swap_amplitudes(
    test_set: TestDataset,
    queries: bool,
    targets: ImageFolder | None,
    beta: float,
    seed: int,
    window: str = "paper",
) -> None:
    """Wraps a TestDataset's queries, or its database, in FDAImages.

    test_set: is changed
    queries: whether to wrap the queries; else the database
    targets: whose amplitude is taken (default: of the other of the two)
    beta: FDA's
    seed: of the draws
    window: FDA's
    """
    images, others = (test_set.queries, test_set.database) if queries else (test_set.database, test_set.queries)
    targets = targets or others
    _, first, _ = images[0]
    if first is not None:
        reach(beta, *first.shape[-2:], window)  # warns here, and not in every worker
    what = "queries" if queries else "database images"
    logger.info(f"FDA: the {what} take colours of the {len(targets)} images of {targets.folder}")
    setattr(test_set, "queries" if queries else "database", FDAImages(images, targets, beta, seed, window))
