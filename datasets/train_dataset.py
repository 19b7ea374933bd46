"""Batches of a training run: the step's classes, one image each, decoded to uint8."""

import collections
import os
from typing import NamedTuple

import torch

from datasets.images import ImageError, ImageRows, read_size
from datasets.night.augmentation import NightRows
from datasets.night.pseudo_targets import num_day_rows
from datasets.schedule import Share, round_from
from datasets.target_dataset import DomainBatch
from model.normalization import to_tensor
from support.errors import UserError
from support.workers import make_workers_loader

_SIZE_SAMPLES = 32


class TrainBatch(NamedTuple):
    step: int
    images: torch.Tensor  # uint8 (b, 3, H, W), channels_last: the share's rows of the batch
    labels: torch.Tensor  # int64 (B,), rows of the group's class_ids, of the whole batch
    names: list  # of the images, those of a domain batch after them
    unreadable: list  # (path, reason) of images that others replaced
    resized: list  # paths of images that had another size than their fellows
    error: str  # why training cannot go on; "" if it can
    domain: DomainBatch | None = None  # of a run with domain adaptation
    night: NightRows | None = None  # the images that NightAugmentation is to make night


class TrainDataset(torch.utils.data.Dataset):
    """Item `step` is the whole batch of that step of the schedule.

    folder: where the images lie; groups: datasets.groups.Groups; schedule: datasets.schedule.Schedule; domain: the
    datasets.target_dataset.DomainImages whose batches come along; pseudo_targets: PseudoTargets, which give the images
    of half of each batch's classes; night: a NightAugmentation, which makes night of others; share: the Share of each
    batch whose images are read (default: all). All images are brought to the size that most of the training images
    have. Raises UserError when no image can be read.
    """

    def __init__(self, folder, groups, schedule, domain=None, pseudo_targets=None, night=None, share=None):
        self.folder, self.groups, self.schedule, self.domain = folder, groups, schedule, domain
        self.pseudo_targets, self.night = pseudo_targets, night
        self.share = share or Share.whole(schedule.batch_size)
        self.size = self._usual_size()  # (width, height)

    def __len__(self):
        return self.schedule.steps

    def __getitem__(self, step):
        _, group, k = self.schedule.at(step)
        labels = self.schedule.batch(group, k)
        mine = range(len(labels))[self.share.rows]
        images, error = ImageRows(len(mine), self.size), ""
        days = num_day_rows(len(labels)) if self.pseudo_targets else len(labels)
        draws = self.schedule.image_draws(group, k)
        for number, row in enumerate(mine):
            folder, groups, place = self.folder, self.groups, (group, labels[row])
            if row >= days:
                folder, groups, place = (
                    self.pseudo_targets.folder,
                    self.pseudo_targets.groups,
                    self.pseudo_targets.place(*place),
                )
            candidates = groups.image_indices(*place)
            # an unreadable image is replaced by the next of its class
            if not images.fill(number, folder, map(groups.image_name, round_from(candidates, draws[row]))):
                class_id = tuple(self.groups.class_ids(group)[labels[row]].tolist())
                error = (
                    f"none of the {len(candidates)} images of class {class_id} can be read ({images.unreadable[-1][0]!r}: "
                    f"{images.unreadable[-1][1]}); fix or remove them in {folder}"
                )
                break
        domain = night = None
        names = images.names
        if self.domain and not error:
            domain, domain_names, unreadable, error = self.domain.read(group, k, self.size)
            names = names + domain_names
            images.unreadable += unreadable
        if self.night and not error:
            try:
                night = self.night.prepare(
                    self.schedule.night_draws(group, k)[:, :days], self.size, images.unreadable, self.share
                )
            except ImageError as problem:
                error = str(problem)
        return TrainBatch(
            step,
            to_tensor(images.array),
            torch.from_numpy(labels),
            names,
            images.unreadable,
            images.resized,
            error,
            domain,
            night,
        )

    def _usual_size(self):
        """The size of most of some images spread over the classes that are trained: the same whatever the workers see."""
        sizes, reason = collections.Counter(), ""
        for sample in range(_SIZE_SAMPLES):
            group = sample % self.schedule.groups_num
            row = sample * self.groups.num_classes(group) // _SIZE_SAMPLES
            name = self.groups.image_name(self.groups.image_indices(group, row)[0])
            try:
                sizes[read_size(os.path.join(self.folder, name))] += 1
            except ImageError as error:
                reason = f"{name!r}: {error}"
        if not sizes:
            raise UserError(f"none of {_SIZE_SAMPLES} sampled images of {self.folder} can be read ({reason})")
        return sizes.most_common(1)[0][0]


def make_loader(dataset, first_step, num_workers, pin_memory):
    """A DataLoader over the batches from first_step to the run's end, one for the whole run, so that no epoch starts
    with a wait.
    """
    return make_workers_loader(
        dataset,
        num_workers,
        batch_size=None,
        sampler=range(first_step, len(dataset)),
        collate_fn=_unchanged,
        pin_memory=pin_memory,
    )


def _unchanged(batch):
    return batch
