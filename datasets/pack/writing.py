"""Packs the images of a folder. An interrupted run goes on after its last whole shard.

A shard is written beside its place, synced and renamed; then its part of the index is kept beside it (000000.part). The
index itself comes last, and makes the folder a pack.
"""

import collections
import functools
import itertools
import logging
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from errno import EACCES, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENODEV, ENOENT, ENOTDIR, ENXIO, EPERM
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from datasets.image_names import ImageNames
from datasets.names import ListFile, find_listing
from datasets.pack.reading import COLUMNS, INDEX, KIND, LAYOUT, Pack, find_pack, name_hash
from datasets.pack.shards import end_of_shard, find_damage, member_header, padding, shard_path
from support import array_cache
from support.errors import TOO_MANY_FILES, UserError
from support.files import replacing
from support.progress import Progress
from support.regular_files import open_regular

logger = logging.getLogger(__name__)

# with these errors an image counts as unreadable, in the pack as in the folder; others may pass, as of a network share
_UNREADABLE = (ENOENT, ENOTDIR, ELOOP, EACCES, EPERM, EISDIR, EINVAL, ENAMETOOLONG, ENXIO, ENODEV)
_PART = {"version": 1, "kind": "part of a pack"}
_PART_LAYOUT = {"places": LAYOUT["places"]}
_OURS = re.compile(r"\d{6,}\.(tar|part)")
_ROWS = 1000  # images whose files a thread looks at in one go
_BUFFER = 1 << 20  # bytes that are written at a time


class _Image(NamedTuple):
    data: bytes
    size: int  # bytes; below 0: the error with which it cannot be read
    mtime_ns: int


def pack_images(folder: str, output: str, shard_size: int, num_threads: int) -> Pack:
    """Packs the images of a folder, as datasets.names.list_images lists them, or goes on with it.

    folder: of the images
    output: the folder of the pack
    shard_size: the most bytes of a shard, if it has more than one image
    num_threads: that read images

    Raises UserError if an image cannot be read now, or if the disk refuses.
    """
    if pack := find_pack(output):
        change = find_change(folder, pack, num_threads)
        if not change:
            return pack.check()
        logger.warning(f"{folder} is packed again: {change} has changed")
        shutil.rmtree(os.path.join(output, INDEX))
    listing = find_listing(folder)
    names = listing.read()
    os.makedirs(output, exist_ok=True)
    begun = {"names": array_cache.digest(names.blob), "shard_size": shard_size}
    parts = _finished_parts(folder, output, names, begun, num_threads)
    done = sum(map(len, parts))
    images = _in_order(functools.partial(_read, folder, names), range(done, len(names)), num_threads)
    with tqdm(desc=folder, total=len(names), initial=done, unit="img", disable=None) as bar:
        images = _shown(images, bar, folder, done, len(names))
        image = next(images, None)
        while image is not None:
            places, image = _write_shard(output, len(parts), image, images, names, sum(map(len, parts)), shard_size)
            array_cache.save(_part_path(output, len(parts)), _PART | begun, {"places": places})
            parts.append(places)
    places = np.concatenate(parts)
    if (places[:, 2] < 0).all():
        raise UserError(f"none of the {len(names)} images of {folder} can be read ({os.strerror(-places[0, 2])})")
    if find_listing(folder).digest() != begun["names"]:
        raise UserError(f"images of {folder} were added or removed while it was packed: run the same command again")
    return _write_index(folder, output, names, places, isinstance(listing, ListFile))


def find_change(folder: str, pack: Pack, num_threads: int) -> str:
    """Compares a folder with its pack, by names, sizes and times: what has changed; "" if nothing has."""
    listing = find_listing(folder)
    if listing.digest() != pack.digest:
        return "the list of its images"
    return _find_changed_file(folder, listing.read(), 0, pack.places, num_threads)


def _find_changed_file(folder: str, names: ImageNames, first: int, places: np.ndarray, num_threads: int) -> str:
    """The first image that has another size or time than it was packed with; "" if there is none.

    folder, names: of all images
    first: the index of the first that is compared
    places: of these, as in a pack's index
    num_threads: that look at files
    """

    def first_changed(rows: range) -> str:
        for row in rows:
            size, mtime_ns = places[row, [2, 4]].tolist()
            path = os.path.join(folder, names[first + row])
            try:
                status = os.stat(path)
                same = (status.st_size, status.st_mtime_ns) == (size, mtime_ns)
            except OSError:
                same = False
            if not same and not (size < 0 and _read(folder, names, first + row).size == size):
                return repr(names[first + row])
        return ""

    blocks = (range(row, min(row + _ROWS, len(places))) for row in range(0, len(places), _ROWS))
    return next(filter(None, _in_order(first_changed, blocks, num_threads)), "")


def _finished_parts(
    folder: str, output: str, names: ImageNames, begun: dict[str, Any], num_threads: int
) -> list[np.ndarray]:
    """The places of the images in the whole shards of an earlier run. All after the first that will not do is removed.

    folder: that is packed
    output: of the shards
    names: of all images
    begun: what all parts must have been made with
    num_threads: that look at files
    """
    parts = []
    for number in itertools.count():
        loaded = array_cache.load(_part_path(output, number), _PART, _PART_LAYOUT, lambda arrays: None)
        if loaded is None:
            break
        header, places = loaded[0], np.array(loaded[1]["places"])
        first = sum(map(len, parts))
        if {key: header.get(key) for key in begun} != begun:
            problem = "the list of images or the size of shards is another one now"
        elif name := _find_changed_file(folder, names, first, places, num_threads):
            problem = f"{name} has changed"
        else:
            problem = _damage(shard_path(output, number), names, first, places)
        if problem:
            logger.warning(f"{shard_path(output, number)} and what follows are packed again: {problem}")
            break
        parts.append(places)
    if parts:
        logger.info(f"{folder}: {sum(map(len, parts))} of {len(names)} images were packed and checked before")
    for entry in os.listdir(output):
        is_left = entry.startswith((".building_", ".0"))  # by a killed process, beside the place of what it wrote
        if is_left or _OURS.fullmatch(entry) and int(entry.partition(".")[0]) >= len(parts):
            path = os.path.join(output, entry)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    return parts


def _damage(path: str, names: ImageNames, first: int, places: np.ndarray) -> str:
    """What is wrong with a shard whose images begin with the `first`; "" if nothing is."""
    rows = np.flatnonzero(places[:, 2] >= 0).tolist()
    try:
        for name, reason in find_damage(path, ((names[first + row], *places[row, 1:].tolist()) for row in rows)):
            return f"{name!r}: {reason}"
    except OSError as error:
        return error.strerror
    return ""


def _write_shard(
    output: str,
    number: int,
    image: _Image | None,
    images: Iterator[_Image],
    names: ImageNames,
    row: int,
    shard_size: int,
) -> tuple[np.ndarray, _Image | None]:
    """Writes one shard: (the places of its images, the first image of the next shard or None).

    output: of the shards
    number: of this one
    image: its first
    images: those after it
    names: of all images
    row: the index of the first
    shard_size: the most bytes, if it has more than one image
    """
    places, position = [], 0
    with (
        replacing(shard_path(output, number)) as temporary,
        open(temporary, "wb", buffering=_BUFFER) as file,
    ):
        while image is not None:
            if image.size < 0:
                places.append((number, 0, image.size, 0, 0))
            else:
                header = member_header(names[row + len(places)], image.size, image.mtime_ns)
                begin = position + len(header)
                end = begin + image.size + len(padding(image.size))
                if position and end + len(end_of_shard(end)) > shard_size:
                    break
                file.write(header + image.data + padding(image.size))
                places.append((number, begin, image.size, zlib.crc32(image.data), image.mtime_ns))
                position = end
            image = next(images, None)
        file.write(end_of_shard(position))
    return np.array(places, np.int64).reshape(-1, COLUMNS), image


def _write_index(folder: str, output: str, names: ImageNames, places: np.ndarray, is_list: bool) -> Pack:
    """Writes the index, and removes the parts of it."""
    hashes = np.fromiter((name_hash(os.fsencode(name)) for name in names), np.uint64, len(names))
    order = np.argsort(hashes, kind="stable")
    values = (names.blob, names.starts, names.ends, places, hashes[order], order.astype(np.uint32))
    sizes = [os.path.getsize(shard_path(output, number)) for number in range(int(places[:, 0].max()) + 1)]
    header = KIND | {"folder": os.path.realpath(folder), "is_list": is_list, "shards": sizes}
    index = os.path.join(output, INDEX)
    array_cache.save(index, header, dict(zip(LAYOUT, values, strict=True)))
    for entry in os.scandir(index):
        with open(entry.path, "rb") as file:
            os.fsync(file.fileno())
    for number in range(len(sizes)):
        shutil.rmtree(_part_path(output, number), ignore_errors=True)
    return find_pack(output).check()


def _part_path(output: str, number: int) -> str:
    return shard_path(output, number).removesuffix(".tar") + ".part"


def _shown(images: Iterable[_Image], bar: tqdm, folder: str, done: int, total: int) -> Iterator[_Image]:
    """The images, counted by a bar, and in a log line every minute.

    images: those that are still to be packed
    bar: of the progress
    folder: of the images
    done: how many were packed before
    total: how many there are
    """
    progress = Progress(total, done)
    for count, image in enumerate(images, done + 1):
        bar.update()
        if progress.is_due():
            logger.info(f"{folder}: {count} of {total} images are packed, {progress.left(count)} left")
        yield image


def _read(folder: str, names: ImageNames, row: int) -> _Image:
    """Reads an image. Raises UserError unless the error is one of those that last, or if the file changes meanwhile."""
    path = os.path.join(folder, names[row])
    try:
        with open_regular(path) as file:
            before, data, after = os.fstat(file.fileno()), file.read(), os.fstat(file.fileno())
    except OSError as error:
        if error.errno in _UNREADABLE:
            return _Image(b"", -error.errno, 0)
        reason = TOO_MANY_FILES.get(error.errno, f"{error.strerror}; run the same command again to go on")
        raise UserError(f"{path} cannot be read: {reason}") from error
    if (before.st_size, before.st_mtime_ns) != (len(data), after.st_mtime_ns):
        raise UserError(f"{path} changed while it was read; run the same command again to go on")
    return _Image(data, len(data), after.st_mtime_ns)


def _in_order(function: Callable[[Any], Any], items: Iterable[Any], num_threads: int) -> Iterator[Any]:
    """Yields function(item) of each item, in order; threads are a few items ahead."""
    waiting = collections.deque()
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * num_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
