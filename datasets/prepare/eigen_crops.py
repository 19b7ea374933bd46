"""EigenPlaces' crops, made before the training: the two parts that it needs of each panorama, without loss.

They are what training would cut, pixel for pixel. A folder of them has `lateral` and `frontal`, with the panoramas'
names followed by .png, and records what the choice of the parts depends on.
"""

import dataclasses
import json
import os
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from datasets.eigenplaces import CROP_EXTENSION, EigenGroups, EigenPlaces
from datasets.groups import open_split
from datasets.images import MIN_SIDE, ImageError, open_rgb, read_size, within_memory
from datasets.prepare.build import (
    MADE_BY,
    SETTINGS_FILE,
    Built,
    alone,
    begin,
    compare,
    complete,
    finished,
    read_settings,
    unfinished,
)
from datasets.prepare.images import Done, put, refusal
from datasets.prepare.records import Rejected
from support.errors import UserError
from support.workers import Loader

_FORMAT = 1  # raise it whenever the same settings give other crops


class PanoramaCrops(torch.utils.data.Dataset):
    """A dataset whose item i makes the missing crops of the i-th panorama of a class, and says what was Done."""

    def __init__(self, folder: str, building: str, groups: EigenGroups, method: EigenPlaces):
        self.folder, self.building, self.groups, self.method = folder, building, groups, method
        arrays = groups.arrays()
        self._image_index = arrays["image_index"]
        self._class_ends, self._group_ends = arrays["class_offsets"][1:], arrays["group_offsets"][1:]

    def __len__(self):
        return len(self._image_index)

    def __getitem__(self, index: int) -> Done:
        name, done = self.groups.image_name(self._image_index[index]), Done()
        path = os.path.join(self.folder, name)
        try:
            with within_memory():
                self._cut(index, name, path, done)
        except ImageError as error:
            done.rejected = Rejected(self.folder, path, "a panorama that cannot be used", str(error))
        except OSError as error:  # a loader's worker would wrap it in a traceback
            done.error = refusal(error, self.building)
        return done

    def _cut(self, index: int, name: str, path: str, done: Done) -> None:
        row = int(np.searchsorted(self._class_ends, index, side="right"))  # among the classes of all groups
        group = int(np.searchsorted(self._group_ends, row, side="right"))
        place = group, row - (int(self._group_ends[group - 1]) if group else 0)
        done.names = [os.path.join(self.building, head, name + CROP_EXTENSION) for head in self.method.heads]
        missing = [head for head, target in enumerate(done.names) if not os.path.exists(target)]
        panorama = open_rgb(path, MIN_SIDE) if missing else None
        for head in missing:
            crop = self.method.cut(self.groups, *place, head)(panorama, name)
            put(done.names[head], lambda temporary, crop=crop: crop.save(temporary, "PNG"))
            done.made += 1


def prepare_crops(folder: str, output: str, method: EigenPlaces, num_workers: int = 0) -> Built:
    """Makes the crops of a folder of panoramas. An interrupted run goes on from there.

    folder: of panoramas with `@` names, as train.py's --train_set_folder
    output: the folder to make
    method: with the parameters of the classes
    num_workers: processes that share the panoramas

    Raises UserError if output is something else, if the disk refuses, or if no panorama can be used.
    """
    groups = open_split(folder, method)
    _check_first(folder, groups, method)
    output, stored = os.path.abspath(output), _settings(groups, method)
    if (done := finished(output, stored)) is not None:
        return done
    building, built = unfinished(output), Built(dict.fromkeys(method.heads, 0), [])
    with alone(building):
        begin(building, stored)
        dataset = PanoramaCrops(folder, building, groups, method)
        with Loader(dataset, num_workers) as loader:
            for done in tqdm(loader, total=len(dataset), desc="Panoramas", unit="img", disable=None):
                if done.error:
                    raise UserError(done.error)
                if done.rejected:
                    built.rejected.append(done.rejected)
                    continue
                built.made, built.there = built.made + done.made, built.there + len(done.names) - done.made
                built.counts = {head: count + 1 for head, count in built.counts.items()}
        if not any(built.counts.values()):
            first = built.rejected[0]
            raise UserError(f"no panorama of {folder} can be used; {first.path!r}: {first.detail}")
        complete(building, output, built, stored)
    return built


def with_crops(method: EigenPlaces, groups: EigenGroups, folder: str) -> EigenPlaces:
    """The method with the crops of a folder, which are read instead of panoramas.

    method: of the training
    groups: that it has opened
    folder: that prepare_crops has made

    Raises UserError if it is something else, or of another list of images or other parameters.
    """
    found = read_settings(folder)
    if found is None or found.pop("counts", None) is None:
        raise UserError(
            f"{folder} has no crops of EigenPlaces ({SETTINGS_FILE} is missing, or they are unfinished): make them"
        )
    compare(folder, found, _settings(groups, method), "make the crops again")
    return dataclasses.replace(method, crops=folder)


def _check_first(folder: str, groups: EigenGroups, method: EigenPlaces) -> None:
    """Raises UserError if the first panorama is none: a whole folder would be decoded for nothing."""
    path = os.path.join(folder, groups.image_name(groups.image_indices(0, 0)[0]))
    try:
        size = read_size(path)
    except ImageError:  # it will be listed, as the others that cannot be read
        return
    try:
        method.size(size)
    except ImageError as error:
        raise UserError(f"{path!r} cannot be cut: {error}") from error


def _settings(groups: EigenGroups, method: EigenPlaces) -> dict[str, Any]:
    stored = {"made_by": MADE_BY, "format": _FORMAT, "panoramas": method.kind, **method.parameters()}
    return json.loads(json.dumps(stored | {"list_digest": groups.list_digest}))  # as it will be read
