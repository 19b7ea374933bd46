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
from support.workers import Loader


@dataclass
class Pictures:
    """What was found in one folder.

    decoded: number of images that were decoded
    unreadable: {index: reason}
    sizes: {(width, height): count}
    """

    decoded: int = 0
    unreadable: dict = field(default_factory=dict)
    sizes: collections.Counter = field(default_factory=collections.Counter)


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
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).digest()
            bytes_ = os.path.getsize(path)
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
    pictures = [Pictures() for _ in folders]
    keys = np.zeros((len(places), 2), np.uint64)
    with Loader(_Decoded(folders, names, places), num_workers) as loader:
        for item, (size, key, problem) in enumerate(tqdm(loader, desc="Decoding", unit="img", disable=None)):
            part, index = places[item].tolist()
            pictures[part].decoded += 1
            if problem:
                pictures[part].unreadable[index] = problem
            if size:
                pictures[part].sizes[size] += 1
                keys[item] = key
    return pictures, _pairs(places, keys)


def _pairs(places: np.ndarray, keys: np.ndarray) -> np.ndarray:
    places, keys = places[keys.any(axis=1)], keys[keys.any(axis=1)]
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    first = first[group.ravel()]  # for each row, the first row with the same key
    doubles = first != np.arange(len(first))
    return np.stack([places[doubles], places[first[doubles]]], axis=1)
