"""Batches of a training run: the step's classes, one or more images each, decoded to uint8."""

import collections
import os
from dataclasses import dataclass, field

import numpy as np
import torch

from datasets.batches import Tensors
from datasets.class_images import ClassImages
from datasets.groups import Groups
from datasets.images import ImageError, ImageRows, read_size
from datasets.methods import Method
from datasets.night.augmentation import NightAugmentation, NightRows
from datasets.night.pseudo_targets import PseudoTargets, num_day_rows
from datasets.schedule import Schedule, Share, pick_apart
from datasets.target_dataset import DomainBatch, DomainImages
from model.normalization import to_tensor
from support.errors import UserError
from support.workers import Loader

_SIZE_SAMPLES = 32


@dataclass
class Batch(Tensors):
    """One step's images and labels, first as a worker reads them, later augmented and on the device."""

    step: int
    group: int  # the group that the step trains
    k: int  # how many batches the group has had before
    seed: int  # of what is random in the network
    images: torch.Tensor  # uint8 (b, 3, H, W), channels_last, this process's rows; float32 (b, 3, S, S) once augmented
    labels: torch.Tensor  # int64 (B,), rows of the group's class_ids, of the whole batch: those of its heads in turn
    names: list[str]  # of the images, those of the domain batch after them
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # (path, reason) of images that others replaced
    resized: list[str] = field(default_factory=list)  # paths of images that had another size than the others
    error: str = ""  # why training cannot go on
    domain: DomainBatch | None = None  # with domain adaptation
    places: torch.Tensor | None = None  # float64 (B, 3), east, north and heading of the whole batch, for pair losses
    night: NightRows | None = None  # the images that NightAugmentation turns into night

    @property
    def num_images(self) -> int:
        """How many images were read for it."""
        images = [self.images, self.domain and self.domain.images, self.night and self.night.targets]
        return sum(len(part) for part in images if part is not None)


class TrainDataset(torch.utils.data.Dataset):
    """Item `step` is the whole batch of that step of the schedule.

    All images are brought to the size that most of the training images have. With several heads a group, B is their
    number times the schedule's batch size. Raises UserError when no image can be read, or if the method cannot use one.

    folder: where the images lie
    groups: classes and their images
    schedule: which classes a step trains
    domain: the domain batches that come along, if any
    pseudo_targets: give the images of half of the classes of each head's batch, if any
    night: turns other images into night, if given
    share: the rows of each batch that are read (default: all)
    method: says how images are cut for which head (default: they are not cut)
    """

    def __init__(
        self,
        folder: str,
        groups: Groups,
        schedule: Schedule,
        domain: DomainImages | None = None,
        pseudo_targets: PseudoTargets | None = None,
        night: NightAugmentation | None = None,
        share: Share | None = None,
        method: Method | None = None,
    ):
        self.folder, self.groups, self.schedule, self.domain = folder, groups, schedule, domain
        self.pseudo_targets, self.night = pseudo_targets, night
        self.share = share or Share.whole(schedule.batch_size * schedule.heads)
        self.method = method or Method()
        self.images = ClassImages(folder, groups, self.method)
        days = num_day_rows(schedule.batch_size) if pseudo_targets else schedule.batch_size
        self.by_day = np.arange(self.share.count) % schedule.batch_size < days  # of a whole batch: bool (B,)
        self.size = self._usual_size()  # (width, height)

    def __len__(self) -> int:
        return self.schedule.steps

    def __getitem__(self, step: int) -> Batch:
        _, group, k = self.schedule.at(step)
        heads = range(self.schedule.heads)
        labels = np.concatenate([self.schedule.batch(group, k, head) for head in heads])
        images, error = self._read(group, k, labels)
        batch = Batch(
            step,
            group,
            k,
            self.schedule.network_seed(group, k),
            to_tensor(images.array),
            torch.from_numpy(labels),
            images.names,
            images.unreadable,
            images.resized,
            error,
        )
        if self.domain and not batch.error:
            batch.domain, names, unreadable, batch.error = self.domain.read(group, k, self.size)
            batch.names += names
            batch.unreadable += unreadable
        if self.night and not batch.error:
            draws = np.concatenate([self.schedule.night_draws(group, k, head) for head in heads], axis=1)
            try:
                batch.night = self.night.prepare(draws, self.by_day, self.size, batch.unreadable, self.share)
            except ImageError as problem:
                batch.error = str(problem)
        return batch

    def rows(self) -> list[int]:
        """The rows of a whole batch, and of the domain batch after it, that this process's names belong to."""
        rows = np.arange(self.share.count)[self.share.rows].tolist()
        return rows + [self.share.count + int(row) for row in self.domain.share.rows] if self.domain else rows

    def _read(self, group: int, k: int, labels: np.ndarray):
        """(the ImageRows of one image per class, "" or why there is no batch)."""
        mine = np.arange(len(labels))[self.share.rows].tolist()
        images, draws = ImageRows(len(mine), self.size), self._image_draws(group, k, labels)
        for number, row in enumerate(mine):
            head, source = row // self.schedule.batch_size, self.images if self.by_day[row] else self.pseudo_targets
            found = source.candidates(group, labels[row], head, draws[row])
            if not images.fill(number, found.folder, found.names, cut=found.cut):
                class_id = tuple(self.groups.class_ids(group)[labels[row]].tolist())
                path, reason = images.unreadable[-1]
                return images, (
                    f"none of the {found.count} images of class {class_id} can be read ({path!r}: {reason}); "
                    f"fix or remove them in {found.folder}"
                )
        return images, ""

    def _image_draws(self, group: int, k: int, labels: np.ndarray) -> np.ndarray:
        """Numbers in [0, 1) that pick the image of each row: other ones of the same class, of each head's batch."""
        classes, per_head = self.schedule.classes_per_batch, []
        for head in range(self.schedule.heads):
            draws = self.schedule.image_draws(group, k, head)
            if self.schedule.images_per_class > 1:
                for row, label in enumerate(labels[head * len(draws) :][:classes]):
                    draws[row::classes] = pick_apart(len(self.groups.image_indices(group, label)), draws[row::classes])
            per_head.append(draws)
        return np.concatenate(per_head)

    def _usual_size(self):
        """The size of most of some images, spread over the trained classes: the same whatever the workers see."""
        (folder, extension), sizes, reason = self.method.files(self.folder, 0), collections.Counter(), ""
        for sample in range(_SIZE_SAMPLES):
            group = sample % self.schedule.groups_num
            row = sample * self.groups.num_classes(group) // _SIZE_SAMPLES
            name = self.groups.image_name(self.groups.image_indices(group, row)[0]) + extension
            try:
                size = read_size(os.path.join(folder, name))
            except ImageError as error:
                reason = f"{name!r}: {error}"
                continue
            try:
                sizes[self.method.size(size)] += 1
            except ImageError as error:
                raise UserError(f"{name!r} of {folder} cannot be trained on: {error}") from error
        if not sizes:
            raise UserError(f"none of {_SIZE_SAMPLES} sampled images of {folder} can be read ({reason})")
        return sizes.most_common(1)[0][0]


def make_loader(dataset: TrainDataset, first_step: int, num_workers: int, pin_memory: bool) -> Loader:
    """A Loader of the batches from a step to the run's end; to be closed.

    There is one for the whole run, so that no epoch starts with a wait.

    dataset: whose items are batches
    first_step: the step of the first batch
    num_workers: processes that read images; 0 reads in this one
    pin_memory: whether batches lie in page-locked memory, for CUDA
    """
    steps = range(first_step, len(dataset))
    return Loader(dataset, num_workers, sampler=steps, pin_memory=pin_memory)
