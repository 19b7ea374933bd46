"""Writes a data set beside its place, and renames it when it is complete. An interrupted run goes on from there."""

import collections
import contextlib
import csv
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from datasets.names import write_images_list
from datasets.pack.reading import stat_image
from datasets.prepare.images import PhotoImages, Writing
from datasets.prepare.records import Photo, Rejected
from support.errors import UserError
from support.escaping import csv_path, csv_text, from_csv_text
from support.files import read_object, rename_finished, replacing
from support.locks import FileLock
from support.workers import Loader

MADE_BY = "python -m datasets.prepare"
SETTINGS_FILE, REJECTED_FILE, SOURCES_FILE = "prepare.json", "rejected.csv", "images.csv"
_FORMAT = 1  # raise it whenever the same settings give other images or names


@dataclasses.dataclass
class Built:
    """What was built.

    counts: {folder: number of images}
    rejected: all that was left out
    made: images written by this run
    there: images that were there before
    panoramic: photos of 2:1 that were not cut
    """

    counts: dict
    rejected: list
    made: int = 0
    there: int = 0
    panoramic: int = 0


def build(
    photos: list[Photo],
    points: np.ndarray,
    zone: tuple[int, str],
    folders: list[str],
    rejected: list[Rejected],
    output: str,
    writing: Writing,
    settings: dict[str, Any],
    num_workers: int = 0,
) -> Built:
    """Makes the data set.

    photos: the photos
    points: float64 (n, 2), metres of the zone
    zone: (number, letter)
    folders: of each photo, below output
    rejected: what was left out before
    output: the folder to make
    writing: how photos become images
    settings: plain values that the choice of folders depends on; another run must have the same
    num_workers: processes that share the photos

    Raises UserError if output is something else, or if the disk refuses.
    """
    output = os.path.abspath(output)
    stored = {
        "made_by": MADE_BY,
        "format": _FORMAT,
        **settings,
        **dataclasses.asdict(writing),
        "zone": "{}{}".format(*zone),
        "photos": _digest(photos),
    }
    stored = json.loads(json.dumps(stored))  # as it will be read
    if (done := finished(output, stored)) is not None:
        return done
    building = unfinished(output)
    with alone(building):
        begin(building, stored)
        images, built = _write_images(PhotoImages(photos, points, zone, folders, building, writing), num_workers)
        built.rejected[:0] = rejected
        _finish(building, output, images, built, stored)
    return built


def _write_images(dataset: PhotoImages, num_workers: int) -> tuple[dict[str, dict[str, str]], Built]:
    """Writes the missing images: ({folder: {name: source}} of all that is there, what was built)."""
    images, built = collections.defaultdict(dict), Built({}, [])
    with Loader(dataset, num_workers) as loader:
        for index, done in enumerate(tqdm(loader, desc="Photos", unit="img", disable=None)):
            if done.error:
                raise UserError(done.error)
            if done.rejected:
                built.rejected.append(done.rejected)
            for name in done.names:
                images[dataset.folders[index]][name] = dataset.photos[index].path
            built.made, built.there = built.made + done.made, built.there + len(done.names) - done.made
            built.panoramic += done.panoramic
    built.counts = {folder: len(images[folder]) for folder in dict.fromkeys(dataset.folders)}
    return images, built


def finished(output: str, stored: dict[str, Any]) -> Built | None:
    """What an earlier run of the same settings built; None if there is none.

    Raises UserError if something else is in its place.
    """
    if not os.path.exists(output) or os.path.isdir(output) and not os.listdir(output):
        return None
    found = read_settings(output)
    if found is None:
        raise UserError(f"{output} is not empty and was not made by {MADE_BY}; give --output a new folder")
    counts = found.pop("counts", None)
    if not isinstance(counts, dict) or not all(isinstance(count, int) for count in counts.values()):
        raise UserError(f"{os.path.join(output, SETTINGS_FILE)} is damaged; give --output a new folder")
    compare(output, found, stored, "give --output a new folder")
    rejected = []
    with (
        contextlib.suppress(FileNotFoundError),
        open(os.path.join(output, REJECTED_FILE), encoding="utf-8", newline="") as file,
    ):
        rejected = [
            Rejected(*map(from_csv_text, row))
            for row in list(csv.reader(file))[1:]
            if len(row) == len(dataclasses.fields(Rejected))
        ]
    return Built(counts, rejected, there=sum(counts.values()))


def begin(building: str, stored: dict[str, Any]) -> None:
    """Makes the unfinished folder, or checks that it was begun with the same settings."""
    found = read_settings(building)
    if found is not None:
        compare(f"the unfinished {building}", found, stored, "remove it")
        return
    os.makedirs(building, exist_ok=True)
    _write_settings(building, stored)


def _finish(
    building: str, output: str, images: dict[str, dict[str, str]], built: Built, stored: dict[str, Any]
) -> None:
    if not built.counts or not all(built.counts.values()):
        empty = [folder for folder, count in built.counts.items() if not count]
        shutil.rmtree(building)  # nothing to go on with
        raise UserError(
            f"no image is left for {' and '.join(empty) or 'the data set'}"
            + (f"; {built.rejected[-1].path!r}: {built.rejected[-1].detail}" if built.rejected else "")
        )
    for folder, names in images.items():
        write_images_list(os.path.join(building, folder), sorted(names))
    write_csv(
        os.path.join(building, SOURCES_FILE),
        ("image", "photo"),
        (
            (csv_path(f"{folder}/{name}"), csv_path(source))
            for folder, names in images.items()
            for name, source in sorted(names.items())
        ),
    )
    complete(building, output, built, stored)


def unfinished(output: str) -> str:
    """The folder in which an output is made."""
    return os.path.join(os.path.dirname(output), f".{os.path.basename(output)}.unfinished")


def complete(building: str, output: str, built: Built, stored: dict[str, Any]) -> None:
    """Writes what was left out and the settings, and renames the folder. Raises UserError if that fails.

    building: that is complete
    output: its name to be
    built: what was built
    stored: the settings
    """
    write_csv(
        os.path.join(building, REJECTED_FILE),
        ("source", "path", "reason", "detail"),
        (
            (csv_path(record.source), csv_path(record.path), csv_text(record.reason), csv_text(record.detail))
            for record in built.rejected
        ),
    )
    _write_settings(building, stored | {"counts": built.counts})
    rename_finished(building, output)


def write_csv(path: str, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Writes a CSV file atomically."""
    with (
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_settings(folder: str) -> dict[str, Any] | None:
    """The settings of a folder that was made here; None for any other folder."""
    try:
        found = read_object(os.path.join(folder, SETTINGS_FILE))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error
    return found if found.get("made_by") == MADE_BY else None


def _write_settings(folder: str, stored: dict[str, Any]) -> None:
    with replacing(os.path.join(folder, SETTINGS_FILE)) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(stored, file, indent=1)


def compare(place: str, found: dict[str, Any], stored: dict[str, Any], remedy: str) -> None:
    differing = [key for key in dict.fromkeys([*stored, *found]) if found.get(key) != stored.get(key)]
    if differing == ["photos"]:
        raise UserError(f"{place} was made of other photos: some have been added, changed or removed since; {remedy}")
    if differing:
        raise UserError(
            f"{place} was made with other settings: "
            + ", ".join(f"{key} {found.get(key)} (now {stored.get(key)})" for key in differing if key != "photos")
            + f"; run with those, or {remedy}"
        )


def _digest(photos: list[Photo]) -> str:
    """The digest of all that is known of the photos, and of their files' sizes and times."""
    value = hashlib.sha256()
    for photo in photos:
        status = stat_image(photo.path)
        value.update(
            repr((dataclasses.astuple(photo), os.path.realpath(photo.path), status.st_size, status.st_mtime_ns)).encode(
                "utf-8", "surrogateescape"
            )
        )
    return value.hexdigest()


@contextlib.contextmanager
def alone(building: str) -> Iterator[None]:
    """A context in which no other process makes this data set."""
    lock = FileLock(building + ".lock")
    try:
        os.makedirs(os.path.dirname(building), exist_ok=True)
        if not lock.acquire(exclusive=True, wait=False):
            raise UserError(f"another process is making {building}; wait for it, or end it")
    except OSError as error:
        raise UserError(f"{building} cannot be made: {error.strerror}; choose another --output") from error
    try:
        yield
    finally:
        lock.release(remove=True)
