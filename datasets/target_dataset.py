"""Domain batches: training images (source) beside unlabelled images of another domain (target).

No classification loss sees them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from datasets.batches import Tensors
from datasets.groups import Groups
from datasets.images import ImageRows
from datasets.names import list_images
from datasets.schedule import Schedule, Share, round_from
from model.normalization import to_tensor


@dataclass
class DomainBatch(Tensors):
    """Images of the source and the target domain."""

    images: torch.Tensor  # uint8 (D, 3, H, W), channels_last; float32, augmented, once it is prepared for the network
    is_target: torch.Tensor  # bool (D,); source images come first


class DomainImages:
    """The domain batch of each step: a third are target images, the others source images.

    For a source image a trained group is drawn, one of its classes, and one of the class's images. For a target image a
    target folder is drawn, and one of its images. A pseudo-target set is one more target folder. Raises UserError when
    a folder is missing or empty.

    train_folder: where the groups' images lie
    groups: classes and their images
    schedule: seeds what is drawn
    target_folders: of images of any size, whose names need no `@` fields
    batch_size: images, at least 3
    share: from a number of images to the slice of them that is read, of source and target images each (default: all)
    """

    def __init__(
        self,
        train_folder: str,
        groups: Groups,
        schedule: Schedule,
        target_folders: Sequence[str],
        batch_size: int,
        share: Callable[[int], slice] = lambda count: slice(0, count),
    ):
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

    def read(
        self, group: int, k: int, size: tuple[int, int]
    ) -> tuple[DomainBatch, list[str], list[tuple[str, str]], str]:
        """Reads batch k of a group: (batch, names, (path, reason) of unreadable images, "" or why there is no batch).

        An unreadable image is replaced by the next of its class, or of its folder.

        size: (width, height) of the images, pixels; others are cut centrally to this shape and resized
        """
        images, error = ImageRows(len(self.share.rows), size), ""
        all_draws = self.schedule.domain_draws(group, k, self.share.count)
        for number, row in enumerate(self.share.rows):
            draws = all_draws[row]
            where, folder, names = self._source(draws) if row < self.source_size else self._target(draws)
            if not images.fill(number, folder, names, crop=True):
                path, reason = images.unreadable[-1]
                error = f"none of the images of {where} can be read ({path!r}: {reason}); fix or remove them"
                break
        is_target = torch.from_numpy(self.share.rows >= self.source_size)
        return DomainBatch(to_tensor(images.array), is_target), images.names, images.unreadable, error

    def _source(self, draws: np.ndarray):
        group = int(draws[0] * self.schedule.groups_num)
        label = int(draws[1] * self.groups.num_classes(group))
        names = map(self.groups.image_name, round_from(self.groups.image_indices(group, label), draws[2]))
        return f"a class of {self.train_folder}", self.train_folder, names

    def _target(self, draws: np.ndarray):
        folder, names = self.targets[int(draws[0] * len(self.targets))]
        return folder, folder, round_from(names, draws[1])

    def __str__(self):
        return ", ".join(f"{len(names)} images of {folder}" for folder, names in self.targets)
