"""Decodes the images of a data set, each one once: which cannot be read, their sizes, and which are the same."""

import collections
import hashlib
import os
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

from datasets.image_names import ImageNames
from datasets.images import MIN_SIDE, ImageError, open_rgb
from datasets.methods import Method
from datasets.pack.reading import open_image
from support.workers import Loader


@dataclass
class Pictures:
    """What was found in one folder.

    decoded: number of images that were decoded
    unreadable: {index: reason}
    sizes: {(width, height): count}
    size_of: int32 (n, 2), width and height of each image of the folder; 0 of those that were not decoded
    refused: {(width, height): why training cannot use images of that size}, as refuse_sizes finds them
    """

    size_of: np.ndarray
    decoded: int = 0
    unreadable: dict = field(default_factory=dict)
    sizes: collections.Counter = field(default_factory=collections.Counter)
    refused: dict = field(default_factory=dict)

    def refuse_sizes(self, method: Method) -> None:
        """Finds the sizes that a method of training cannot use."""
        for size in self.sizes:
            try:
                method.size(size)
            except ImageError as error:
                self.refused[size] = str(error)

    @property
    def others(self) -> int:
        """Number of images of other sizes than most have, which training would resize; 0 if it refuses the folder."""
        usual = max(self.sizes, key=self.sizes.get, default=None)
        if usual in self.refused:
            return 0
        return sum(count for size, count in self.sizes.items() if size != usual and size not in self.refused)

    def usable(self) -> np.ndarray:
        """Which images of the folder training can use, as far as they were decoded: bool (n,)."""
        usable = np.ones(len(self.size_of), bool)
        usable[list(self.unreadable)] = False
        for size in self.refused:
            usable &= (self.size_of != size).any(axis=1)
        return usable


class _Decoded(torch.utils.data.Dataset):
    """Item i is (size or None, (digest of the file's bytes, their number) or None, why it cannot be read)."""

    def __init__(self, folders: list[str], names: list[ImageNames], places: np.ndarray):
        self.folders, self.names, self.places = folders, names, places

    def __len__(self):
        return len(self.places)

    def __getitem__(self, item: int) -> tuple[tuple[int, int] | None, tuple[int, int] | None, str]:
        part, index = self.places[item].tolist()
        path = os.path.join(self.folders[part], self.names[part][index])
        try:
            size = open_rgb(path).size
            with open_image(path) as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).digest()
                bytes_ = file.seek(0, os.SEEK_END)
        except (ImageError, OSError) as error:
            return None, None, str(error)
        problem = (
            f"it has {size[0]} x {size[1]} pixels, fewer than {MIN_SIDE} along a side" if min(size) < MIN_SIDE else ""
        )
        return size, (int.from_bytes(digest, "little"), bytes_), problem


def look_at(
    folders: list[str], names: list[ImageNames], num_workers: int = 0, sample: int | None = None
) -> tuple[list[Pictures], np.ndarray]:
    """Decodes the images of some folders: (Pictures of each folder, pairs of images with the same bytes).

    folders: paths
    names: of each folder
    num_workers: processes that decode
    sample: the most images of each folder, evenly spread (default: all)

    The pairs are int64 (k, 2, 2): (folder, index) of an image, and of the first image with the same bytes. Two names of
    one file, by a link, count too.
    """
    chosen = [
        np.unique(np.linspace(0, len(part) - 1, min(sample or len(part), len(part))).round().astype(np.int64))
        for part in names
    ]
    places = np.concatenate(
        [np.stack([np.full(len(indices), part), indices], axis=1) for part, indices in enumerate(chosen)]
    )
    pictures = [Pictures(np.zeros((len(part), 2), np.int32)) for part in names]
    keys = np.zeros((len(places), 2), np.uint64)
    with Loader(_Decoded(folders, names, places), num_workers) as loader:
        for item, (size, key, problem) in enumerate(tqdm(loader, desc="Decoding", unit="img", disable=None)):
            part, index = places[item].tolist()
            pictures[part].decoded += 1
            if problem:
                pictures[part].unreadable[index] = problem
            if size:
                pictures[part].sizes[size] += 1
                pictures[part].size_of[index] = size
                keys[item] = key
    return pictures, _pairs(places, keys)


def _pairs(places: np.ndarray, keys: np.ndarray) -> np.ndarray:
    places, keys = places[keys.any(axis=1)], keys[keys.any(axis=1)]
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    first = first[group.ravel()]  # for each row, the first row with the same key
    doubles = first != np.arange(len(first))
    return np.stack([places[doubles], places[first[doubles]]], axis=1)
