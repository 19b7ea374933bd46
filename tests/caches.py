"""A training folder with a list, the caches made of it, and ways to touch and damage files."""

import contextlib
import os
import time

import numpy as np

from datasets.names import images_list_path, write_images_list
from support import array_cache
from support.files import read_object

NAMES = [f"s/@{551000 + 3 * i}@4181000@@@@@@@0@@@@@@.jpg" for i in range(20)]
SETTINGS = 10, 30, 2, 1, 2  # of open_groups
OLD = 1_500_000_000  # seconds: long before any test


def touch(*paths):
    """Makes empty files, and their folders."""
    for path in paths:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        open(path, "w").close()


def age(folder):
    """Gives every folder below an old time, as after an unpacking long ago."""
    for path, _, _ in os.walk(folder):
        os.utime(path, (OLD, OLD))


def write_list(image_list, mtime=OLD):
    """The list of the folder `train`."""
    write_images_list("train", image_list)
    os.utime(images_list_path("train"), (mtime, mtime))


def cache_file(name):
    """The path of a file of the only cache of `train`."""
    (folder,) = (entry for entry in os.listdir("cache") if entry.startswith("train_"))
    return os.path.join("cache", folder, name)


def flip(path, position):
    """Changes one bit of a file."""
    with open(path, "r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1]))


@contextlib.contextmanager
def with_its_time(path):
    """A change of a file within the block leaves its modification time."""
    status = os.stat(path)
    time.sleep(0.01)  # more than a tick of the clock that files get their times from
    yield
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_array(path, change, forge=False):
    """change(array) of a cache's .npy file, in place. forge: with the checksums that go with it."""
    array = np.load(path, allow_pickle=False).copy()
    changed = change(array)
    with with_its_time(path):
        np.save(path, array if changed is None else changed, allow_pickle=False)
    if forge:
        seal(os.path.dirname(path))


def seal(folder):
    """Forges the header of a cache: the checksums of whatever its arrays are now."""
    header = read_object(os.path.join(folder, "header.json"))
    names = [name.removesuffix(".npy") for name in os.listdir(folder) if name.endswith(".npy")]
    arrays = {name: np.load(os.path.join(folder, name + ".npy"), allow_pickle=False) for name in names}
    array_cache.update_header(folder, header | array_cache.checksums(arrays))
