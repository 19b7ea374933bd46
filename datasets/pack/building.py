"""Packs a data set, or unpacks one: beside its place, which it gets when it is complete. Both go on where they were."""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from datasets.names import images_list_path
from datasets.pack.layout import RECORD, Layout, find_layout, find_packs
from datasets.pack.reading import Pack, find_pack
from datasets.pack.shards import find_damage, shard_path
from datasets.pack.writing import find_change, pack_images
from datasets.prepare.build import alone, unfinished
from support.errors import UserError
from support.files import read_object, rename_finished, replacing
from support.regular_files import open_regular

logger = logging.getLogger(__name__)

MADE_BY = "python -m datasets.pack"
_FORMAT = 1  # raise it whenever the same folder gives other packs
_EXAMPLES = 3  # names in a line


@dataclass(frozen=True)
class Packing:
    """How a folder is packed.

    shard_size: the most bytes of a shard, if it has more than one image
    whole: whether it is one folder of images, whatever its subfolders are called
    num_threads: that read images
    """

    shard_size: int = 10**9
    whole: bool = False
    num_threads: int = 8


def pack(folder: str, output: str, packing: Packing) -> bool:
    """Packs a folder of images, or a data set. Returns False if that was done before, and nothing has changed since.

    folder: of the images, or of a data set (datasets.pack.layout)
    output: the folder to make: a pack, or a data set of packs

    Raises UserError if output is something else, if an image cannot be read now, or if the disk refuses.
    """
    _refuse_nesting(folder, output)
    layout = find_layout(folder, packing.whole)
    stored = {
        "made_by": MADE_BY,
        "format": _FORMAT,
        "folder": os.path.realpath(folder),
        "shard_size": packing.shard_size,
        "whole": packing.whole,
    }
    if _is_there(output, stored):
        _check_unchanged(folder, output, layout, packing.num_threads)
        return False
    with _building(output, stored) as building:
        for below in layout.packs:
            source = _join(folder, below)
            _describe(source, pack_images(source, _join(building, below), packing.shard_size, packing.num_threads))
        _copy(folder, building, layout.files)
        os.replace(_record(building, hidden=True), _record(building))
    return True


def verify(folder: str) -> dict[str, str]:
    """Reads all of a pack, or of the packs of a data set: {path of an image, or of a shard, that is damaged: how}.

    Raises UserError if there is no pack, or if an index is damaged.
    """
    damaged = {}
    for below in find_packs(folder).packs:
        path = _join(folder, below)
        packed = find_pack(path)
        packed.check_index()
        with tqdm(desc=f"Verifying {path}", total=len(packed.names), unit="img", disable=None) as bar:
            for number in range(len(packed.shard_sizes)):
                found = {os.path.join(path, name): reason for name, reason in _damage(packed, number, bar)}
                if not found and (problem := packed.other_size(number)):  # with which it would not be used
                    found[shard_path(path, number)] = problem
                damaged |= found
    return damaged


def unpack(folder: str, output: str) -> dict[str, str]:
    """Restores what was packed, file by file: {path of an image that is damaged, and left out: how}.

    folder: a pack, or a data set of packs
    output: the folder to make

    Raises UserError if output is something else, or if the disk refuses.
    """
    _refuse_nesting(folder, output)
    layout = find_packs(folder)
    stored = {"made_by": f"{MADE_BY} --unpack", "format": _FORMAT, "folder": os.path.realpath(folder)}
    _is_there(output, stored)  # nothing may be there
    damaged = {}
    with _building(output, stored) as building:
        for below in layout.packs:
            packed = find_pack(_join(folder, below)).check()
            damaged |= _unpack_images(packed, _join(building, below))
            if packed.is_list:
                _write(images_list_path(_join(building, below) if below else output), packed.names.blob)
        _copy(folder, building, layout.files)
        os.unlink(_record(building, hidden=True))
    return damaged


def _join(folder: str, below: str) -> str:
    return os.path.join(folder, below) if below else folder


def _refuse_nesting(folder: str, output: str) -> None:
    inner, outer = os.path.realpath(output), os.path.realpath(folder)
    if os.path.commonpath([inner, outer]) in (inner, outer):
        raise UserError(f"one of {folder} and the output {output} lies in the other; name a folder beside it")


# --- the folder that is made


def _record(folder: str, hidden: bool = False) -> str:
    """The file that says what a folder was made of; it is hidden until the folder is complete."""
    return os.path.join(folder, f".{RECORD}" if hidden else RECORD)


def _is_there(output: str, stored: dict[str, Any]) -> bool:
    """Whether an earlier run has made the output. Raises UserError if it is something else."""
    try:
        if not os.path.lexists(output) or (os.path.isdir(output) and not os.listdir(output)):
            return False
        found = read_object(_record(output))
    except (OSError, ValueError):
        found = {}
    if found.get("made_by") != stored["made_by"]:
        raise UserError(f"{output} is not empty, or no folder, and was not made by {MADE_BY}; name a new folder")
    _compare(output, found, stored, "name a new folder")
    return True


def _compare(place: str, found: dict[str, Any], stored: dict[str, Any], remedy: str) -> None:
    differing = [f"{key} {found.get(key)!r} (now {stored[key]!r})" for key in stored if found.get(key) != stored[key]]
    if differing:
        raise UserError(f"{place} was made with other settings: {', '.join(differing)}; run with those, or {remedy}")


def _check_unchanged(folder: str, output: str, layout: Layout, num_threads: int) -> None:
    """Raises UserError if a folder has changed since it was packed."""
    changes = [] if find_packs(output).packs == layout.packs else ["which folders of images it has"]
    for below in [] if changes else layout.packs:
        if change := find_change(_join(folder, below), find_pack(_join(output, below)).check(), num_threads):
            changes.append(f"{change} in {_join(folder, below)}")
    if changes:
        raise UserError(f"{folder} has changed since it was packed to {output}: {changes[0]}; name a new folder")


@contextlib.contextmanager
def _building(output: str, stored: dict[str, Any]) -> Iterator[str]:
    """A folder beside the output, in which it is made, or which an interrupted run has left; in the end it is renamed.

    output: its name to be
    stored: what it depends on; the folder must have been begun with the same
    """
    output = os.path.abspath(output)
    building = unfinished(output)
    with alone(building):
        try:
            os.makedirs(building, exist_ok=True)
            found = read_object(_record(building, hidden=True))
        except FileNotFoundError:
            _write(_record(building, hidden=True), json.dumps(stored, indent=1).encode())
        except (OSError, ValueError) as error:
            raise UserError(f"{building} cannot be used ({error}); remove it") from error
        else:
            _compare(f"the unfinished {building}", found, stored, "remove it")
        yield building
        rename_finished(building, output)


def _write(path: str, content: bytes | np.ndarray, mtime_ns: int | None = None) -> None:
    """Writes a file, which appears whole, and its folder. Raises UserError if the disk refuses."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    with replacing(path, synced=False) as temporary:
        with open(temporary, "wb") as file:
            file.write(content)
        if mtime_ns is not None:
            os.utime(temporary, ns=(mtime_ns, mtime_ns))


def _has(path: str, size: int, mtime_ns: int) -> bool:
    """Whether a file of that size and time is there, as an interrupted run has left it."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, mtime_ns)


def _copy(folder: str, target: str, files: list[str]) -> None:
    """Copies files that are no images; those that cannot be read are left out, with a warning."""
    for name in files:
        path = os.path.join(folder, name)
        try:
            with open_regular(path) as file:
                status = os.fstat(file.fileno())
                if not _has(os.path.join(target, name), status.st_size, status.st_mtime_ns):
                    content = file.read()
                    _write(os.path.join(target, name), content, status.st_mtime_ns)
        except OSError as error:
            logger.warning(f"{path} is left out: {error.strerror}")


# --- one pack


def _describe(folder: str, packed: Pack) -> None:
    """Logs what was packed, and what not."""
    sizes, count = packed.places[:, 2], len(packed.names)
    logger.info(f"{folder}: {count} images in {len(packed.shard_sizes)} shards, {sum(packed.shard_sizes) / 1e6:.1f} MB")
    if len(bad := np.flatnonzero(sizes < 0)):
        logger.warning(
            f"{len(bad)} of the {count} images of {folder} cannot be read, and stay so in the pack; the first is "
            f"{packed.names[bad[0]]!r}: {os.strerror(-sizes[bad[0]])}"
        )
    others = list(_other_files(folder, packed))
    if others:
        logger.warning(
            f"{len(others)} files in {folder} are not of its images, and are not packed: "
            + ", ".join(map(repr, others[:_EXAMPLES]))
        )


def _other_files(folder: str, packed: Pack) -> Iterator[str]:
    """The files below a folder that its pack does not have, without hidden ones, in the order of datasets.walk."""
    seen = set()
    for path, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(path)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=lambda name: f"{name}/")
        for name in sorted(files):
            below = os.path.relpath(os.path.join(path, name), folder)
            if not name.startswith(".") and packed.row(below) is None:
                yield below


def _damage(packed: Pack, number: int, bar: tqdm) -> Iterator[tuple[str, str]]:
    """Yields (name, what is wrong) of the damaged images of a shard."""
    images = list(packed.images_of(number))
    try:
        yield from find_damage(shard_path(packed.folder, number), images)
    except OSError as error:
        yield from ((name, f"{shard_path(packed.folder, number)}: {error.strerror}") for name, *_ in images)
    bar.update(len(images))


def _unpack_images(packed: Pack, target: str) -> dict[str, str]:
    """Writes the missing images of a pack: {path in the pack of those that are damaged: how}."""
    damaged = {}
    for row, name in enumerate(tqdm(packed.names, desc=f"Unpacking {packed.folder}", unit="img", disable=None)):
        _, _, size, _, mtime_ns = packed.places[row].tolist()
        if size < 0 or _has(os.path.join(target, name), size, mtime_ns):
            continue
        try:
            content = packed.read(row)
        except OSError as error:
            damaged[os.path.join(packed.folder, name)] = error.strerror
            continue
        _write(os.path.join(target, name), content, mtime_ns)
    return damaged
