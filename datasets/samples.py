"""Some images of many, evenly spread."""

import bisect
import collections
import contextlib
import os
from collections.abc import Sequence

import numpy as np
import torch

from datasets.groups import Groups
from datasets.images import ImageError, read_size
from datasets.methods import Method
from datasets.test_dataset import ImageFolder
from support.errors import UserError

_SIZE_SAMPLES = 32


def evenly(of: int, count: int) -> np.ndarray:
    """The indices of at most `count` of so many, evenly spread: int64 (n,), ascending."""
    return np.linspace(0, of - 1, min(count, of)).astype(np.int64)


class ImageSample(ImageFolder):
    """At most `count` images of an ImageFolder, evenly spread over its order. They are read as the folder reads them.

    The attribute `rows` holds their indices in the folder: int64 (n,), ascending.
    """

    def __init__(self, images: ImageFolder, count: int):
        self.images = images
        self.rows = evenly(len(images), count)
        super().__init__(images.folder, images.resize, [images.names[row] for row in self.rows])
        if hasattr(images, "settings"):  # changed as they are read, each by its own draw
            self.settings, self.targets = {**images.settings, "rows": self.rows.tolist()}, images.targets

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor | None, str]:
        _, image, reason = self.images[self.rows[index]]
        return index, image, reason

    def path(self, index: int) -> str:
        """The path of image `index`."""
        return self.images.path(self.rows[index])


def sample_training_images(folder: str, groups: Groups, groups_num: int, count: int, resize: int) -> ImageFolder:
    """At most `count` training images, evenly spread over the classes: a function of groups and count alone.

    A class gives as many images as every other, or all that it has. The images of a class are evenly spread too.

    folder: of the training images
    groups: classes and their images
    groups_num: how many groups are trained, the first ones
    count: of images
    resize: pixels of the shorter side
    """
    sizes = [groups.class_sizes(group) for group in range(groups_num)]
    shares = np.split(share_out(np.concatenate(sizes), count), np.cumsum([len(part) for part in sizes])[:-1])
    names = []
    for group, (available, wanted) in enumerate(zip(sizes, shares, strict=True)):
        for row in np.flatnonzero(wanted):
            places = (2 * np.arange(wanted[row]) + 1) * available[row] // (2 * wanted[row])
            names += [groups.image_name(index) for index in groups.image_indices(group, row)[places]]
    return ImageFolder(folder, resize, names)


def refuse_other_images(folder: str, names: Sequence[str], method: Method) -> None:
    """Raises UserError if a method cannot use images of the size that most of some images have, evenly spread.

    folder: of the images
    names: all of them
    method: of the training
    """
    sizes, example = collections.Counter(), {}
    for row in np.unique(np.linspace(0, len(names) - 1, _SIZE_SAMPLES).astype(np.int64)).tolist():
        with contextlib.suppress(ImageError):  # others tell of those that cannot be read
            size = read_size(os.path.join(folder, names[row]))
            sizes[size] += 1
            example.setdefault(size, names[row])
    for size, _ in sizes.most_common(1):
        try:
            method.size(size)
        except ImageError as error:
            raise UserError(f"{example[size]!r} of {folder} cannot be trained on: {error}") from error


def share_out(sizes: np.ndarray, count: int) -> np.ndarray:
    """How many of `count` images each class gives, of those that it has (sizes): int64, of the shape of sizes."""
    most = int(sizes.max())
    level = bisect.bisect_right(range(most + 1), count, key=lambda level: int(np.minimum(sizes, level).sum())) - 1
    shares = np.minimum(sizes, level)
    rest, larger = count - int(shares.sum()), np.flatnonzero(sizes > level)
    if len(larger):  # more than `rest`, or the level would be higher
        shares[larger[np.arange(rest) * len(larger) // max(rest, 1)]] += 1
    return shares
