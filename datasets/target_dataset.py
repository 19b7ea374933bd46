"""Domain batches: training images (source) beside unlabelled images of another domain (target).

No classification loss sees them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from datasets.batches import Tensors
from datasets.class_images import ClassImages
from datasets.groups import Groups
from datasets.images import ImageRows
from datasets.methods import Method
from datasets.names import list_images
from datasets.night.pseudo_targets import PseudoTargets
from datasets.schedule import Schedule, Share, round_from
from model.normalization import to_tensor


@dataclass
class DomainBatch(Tensors):
    """Images of the source and the target domain."""

    images: torch.Tensor  # uint8 (D, 3, H, W), channels_last; float32, augmented, once it is prepared for the network
    is_target: torch.Tensor  # bool (D,); source images come first


class DomainImages:
    """The domain batch of each step: source images, then target images.

    For a source image a trained group is drawn, one of its classes, and one of the class's images. With several heads a
    group, images are cut for each of them in turn. For a target image a target folder is drawn, and one of its images,
    which the method does not cut. A pseudo-target set may be one more target folder. Or a fixed number of target images
    is of it, drawn and cut as source images are: class first. Raises UserError when a folder is missing or empty.

    train_folder: where the groups' images lie
    groups: classes and their images
    schedule: seeds what is drawn
    target_folders: of images of any size, whose names need no `@` fields
    batch_size: images, at least 3
    share: from a number of images to the slice of them that is read, of source and target images each (default: all)
    target_size: how many are target images, 1 to batch_size - 1 (default: a third)
    pseudo_size: how many of these, at most, are of pseudo_targets, class by class
    pseudo_targets: needed with pseudo_size
    of_the_group: whether source images are of the group that the step trains, and not of all that are trained
    method: as of ClassImages
    """

    def __init__(
        self,
        train_folder: str,
        groups: Groups,
        schedule: Schedule,
        target_folders: Sequence[str],
        batch_size: int,
        share: Callable[[int], slice] = lambda count: slice(0, count),
        target_size: int | None = None,
        pseudo_size: int = 0,
        pseudo_targets: PseudoTargets | None = None,
        of_the_group: bool = False,
        method: Method | None = None,
    ):
        self.sources, self.schedule = ClassImages(train_folder, groups, method), schedule
        self.targets = [(folder, list_images(folder)) for folder in target_folders]
        self.target_size = batch_size // 3 if target_size is None else target_size
        self.pseudo_size, self.pseudo_targets, self.of_the_group = pseudo_size, pseudo_targets, of_the_group
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
            where, folder, names, cut = self._candidates(int(row), group, all_draws[row])
            if not images.fill(number, folder, names, crop=True, cut=cut):
                path, reason = images.unreadable[-1]
                error = f"none of the images of {where} can be read ({path!r}: {reason}); fix or remove them"
                break
        is_target = torch.from_numpy(self.share.rows >= self.source_size)
        return DomainBatch(to_tensor(images.array), is_target), images.names, images.unreadable, error

    def _candidates(self, row: int, group: int, draws: np.ndarray):
        """(what the images are of, their folder, names from the drawn one on, cut) of a row of the whole batch.

        row: of the batch
        group: that the step trains
        draws: three numbers in [0, 1)
        """
        if row >= self.source_size + self.pseudo_size:
            folder, names = self.targets[int(draws[0] * len(self.targets))]
            return folder, folder, round_from(names, draws[1]), None
        if not self.of_the_group:
            group = int(draws[0] * self.schedule.groups_num)
        class_row = int(draws[1] * self.sources.groups.num_classes(group))
        images = self.sources if row < self.source_size else self.pseudo_targets
        head = row % len(self.sources.method.heads)
        folder, _, names, cut = images.candidates(group, class_row, head, draws[2])
        return f"a class of {folder}", folder, names, cut

    def __str__(self):
        parts = [f"{len(names)} images of {folder}" for folder, names in self.targets]
        if self.pseudo_size:
            parts.append(f"{self.pseudo_size} of {self.target_size} a step from {self.pseudo_targets.folder}")
        return ", ".join(parts)
