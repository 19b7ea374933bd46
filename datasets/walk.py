"""Walks through folders without a list. The result is cached, and used while the folder's directories stay the same."""

import logging
import os
import time

import numpy as np
from tqdm import tqdm

from datasets import heif, image_names
from datasets.image_names import ImageNames, offset_dtype
from datasets.pack.reading import find_pack
from support import array_cache
from support.errors import UserError
from support.verified import settled

logger = logging.getLogger(__name__)

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", *heif.EXTENSIONS)
_VERSION = 1  # of the cache's layout
_NAMES = image_names.layout("name")
_DIRECTORIES = image_names.layout("directory") | {"directory_mtimes": (("int64",), ())}
_LAYOUT = _NAMES | _DIRECTORIES
# instead of the mtime of a directory that changed just before the walk: it may change again within one tick
_UNSETTLED = -1


def walk(folder: str, cache_folder: str) -> tuple[ImageNames, str]:
    """Lists all images below a folder: (ImageNames of relative POSIX paths sorted as whole strings, their digest).

    Hidden files and folders are skipped. Symbolic links to folders are followed, but not in circles. A folder that is
    reached in several ways is listed once. The cache keeps the modification time of every directory, and the folder is
    walked again if one has changed. The digest is that of the names as lines. A pack has both in its index.

    Raises UserError if the folder cannot be read, or has no images, or is a pack that is damaged.
    """
    if pack := find_pack(folder):
        return pack.check().names, pack.digest
    identity = {"version": _VERSION, "kind": "listing", "folder": os.path.realpath(folder)}
    path = array_cache.cache_path(cache_folder, folder, identity)
    expected = identity | {"extensions": list(IMAGE_EXTENSIONS)}  # an earlier cache of fewer is replaced in its place

    def open_cache():
        cached = array_cache.load(path, expected, _LAYOUT, _check)
        return cached if cached and isinstance(cached[0].get("digest"), str) and _unchanged(folder, cached[1]) else None

    def build():
        arrays = _walk(folder)
        header = expected | {"digest": array_cache.digest(arrays["name_blob"])}
        logger.info(f"Found the {len(arrays['name_starts'])} images of {folder} (cached in {path})")
        try:
            array_cache.save(path, header, arrays)
        except UserError as error:
            logger.warning(f"{folder} will be walked again the next time: {error}")
            return header, arrays
        # mapped, unless another process has walked another state of the folder
        return array_cache.load(path, header, _LAYOUT, _check) or (header, arrays)

    header, arrays = array_cache.open_or_build(path, open_cache, build)
    return ImageNames(*(arrays[name] for name in _NAMES), source=folder), header["digest"]


def _walk(folder: str) -> dict[str, np.ndarray]:
    """The arrays of a listing.

    Directories are entered in the order of their names with a slash at the end, so that whole names come out sorted.
    """
    blob, lengths = bytearray(), []
    directories, mtimes, seen = [], [], set()
    now = time.time_ns()
    stack = []

    def enter(relative: str) -> None:
        path = os.path.join(folder, relative) if relative else folder
        real = os.path.realpath(path)
        if real in seen:
            return
        seen.add(real)
        try:
            mtime = os.stat(path).st_mtime_ns  # read before the entries, so that later changes are noticed next time
            entries = _entries(path)
        except OSError as error:
            raise UserError(f"folder {path} cannot be read: {error.strerror}") from error
        directories.append(relative)
        mtimes.append(mtime if settled(mtime, now) else _UNSETTLED)
        stack.append((f"{relative}/" if relative else "", iter(entries)))

    enter("")
    with tqdm(desc=f"Listing {folder}", unit="img", leave=False, delay=2, disable=None) as progress:
        while stack:
            prefix, entries = stack[-1]
            for entry in entries:
                if entry.endswith("/"):
                    enter(prefix + entry[:-1])
                    break
                name = os.fsencode(prefix + entry)
                blob += name + b"\n"
                lengths.append(len(name))
                progress.update()
            else:
                stack.pop()
    if not lengths:
        raise UserError(
            f"folder {folder} has no images ({', '.join('*' + e for e in IMAGE_EXTENSIONS)}), "
            "and no list stands beside it (its name with _images_paths.txt)"
        )
    ends = np.cumsum(np.array(lengths, np.int64) + 1) - 1
    starts = ends - lengths
    entered = ImageNames.from_strings([f"./{relative}" for relative in directories])  # never empty
    dtype = offset_dtype(len(blob))
    values = (
        np.frombuffer(blob, np.uint8),
        starts.astype(dtype),
        ends.astype(dtype),
        entered.blob,
        entered.starts,
        entered.ends,
        np.array(mtimes, np.int64),
    )
    return dict(zip(_LAYOUT, values, strict=True))


def _entries(path: str) -> list[str]:
    """The images and the folders (with a slash at the end) of a directory, sorted."""
    found = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                found.append(entry.name + "/")
            elif entry.name.lower().endswith(IMAGE_EXTENSIONS):
                found.append(entry.name)
    found.sort()
    return found


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        if entry.is_symlink():  # in a circle or not accessible; if its name is an image's, it is an unreadable image
            return False
        raise


def _unchanged(folder: str, arrays: dict[str, np.ndarray]) -> bool:
    *names, mtimes = (arrays[name] for name in _DIRECTORIES)
    try:
        return all(
            os.stat(os.path.join(folder, relative)).st_mtime_ns == mtime
            for relative, mtime in zip(ImageNames(*names), mtimes.tolist(), strict=True)
        )
    except (OSError, ValueError, UserError):  # a directory is gone, or never existed
        return False


def _check(arrays: dict[str, np.ndarray]) -> None:
    for kind in ("name", "directory"):
        image_names.check_arrays(*(arrays[name] for name in image_names.layout(kind)))
    if len(arrays["directory_mtimes"]) != len(arrays["directory_starts"]):
        raise ValueError("its arrays do not fit together")
