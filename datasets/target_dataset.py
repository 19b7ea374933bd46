"""Domain batches: training images (source) beside unlabelled images of another domain (target), which no classification
loss sees.
"""

from typing import NamedTuple

import numpy as np
import torch

from datasets.images import ImageRows
from datasets.names import list_images
from datasets.schedule import Share, round_from
from model.normalization import to_tensor


class DomainBatch(NamedTuple):
    images: torch.Tensor  # uint8 (D, 3, H, W), channels_last; float32, augmented, once it is prepared for the network
    is_target: torch.Tensor  # bool (D,); source images come first


class DomainImages:
    """The domain batch of each step: two thirds source images, one third target images (what does not divide by three
    is source).

    A source image is drawn as the classification's are: a group that is trained, one of its classes, one of that
    class's images. A target image: one of the target folders, each as likely, and one of its images; so a pseudo-target
    set is one more target folder. train_folder: where the groups' images lie; groups: datasets.groups.Groups; schedule:
    datasets.schedule.Schedule; target_folders: their images need no `@` fields and may have any sizes; batch_size:
    images, at least 3; share: from a number of images to the slice of them that is read, of source and target images
    each (default: all). Raises UserError when a folder is missing or empty.
    """

    def __init__(self, train_folder, groups, schedule, target_folders, batch_size, share=lambda count: slice(0, count)):
        self.train_folder, self.groups, self.schedule = train_folder, groups, schedule
        self.targets = [(folder, list_images(folder)) for folder in target_folders]
        self.target_size = batch_size // 3
        self.source_size = batch_size - self.target_size
        rows = np.arange(batch_size)
        self.share = Share(
            batch_size,
            np.concatenate(
                [rows[: self.source_size][share(self.source_size)], rows[self.source_size :][share(self.target_size)]]
            ),
        )

    def read(self, group, k, size):
        """Batch k of a group: (DomainBatch, its images' names, [(path, reason)] of unreadable images that others
        replaced, "" or why there is no batch).

        size: (width, height) of its images in pixels; others are cut centrally to this shape and resized. An unreadable
        image is replaced by the next of its class, or of its folder.
        """
        images, error = ImageRows(len(self.share.rows), size), ""
        all_draws = self.schedule.domain_draws(group, k, self.share.count)
        for number, row in enumerate(self.share.rows):
            draws = all_draws[row]
            where, folder, names = self._source(draws) if row < self.source_size else self._target(draws)
            if not images.fill(number, folder, names, crop=True):
                error = (
                    f"none of the images of {where} can be read ({images.unreadable[-1][0]!r}: {images.unreadable[-1][1]}); "
                    "fix or remove them"
                )
                break
        is_target = torch.from_numpy(self.share.rows >= self.source_size)
        return DomainBatch(to_tensor(images.array), is_target), images.names, images.unreadable, error

    def _source(self, draws):
        group = int(draws[0] * self.schedule.groups_num)
        label = int(draws[1] * self.groups.num_classes(group))
        names = map(self.groups.image_name, round_from(self.groups.image_indices(group, label), draws[2]))
        return f"a class of {self.train_folder}", self.train_folder, names

    def _target(self, draws):
        folder, names = self.targets[int(draws[0] * len(self.targets))]
        return folder, folder, round_from(names, draws[1])

    def __str__(self):
        return ", ".join(f"{len(names)} images of {folder}" for folder, names in self.targets)
