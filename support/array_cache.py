"""Caches: folders of plain .npy arrays with a JSON header, opened memory-mapped, so that all processes share one copy
of their pages.

No part of one is ever seen: a cache is written beside its place and renamed there. Nothing in one can run code.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time

import numpy as np

from support.errors import UserError
from support.files import current_umask, replacing
from support.json_files import read_object
from support.locks import FileLock, held_if_possible
from support.npy import open_npy

_HEADER = "header.json"
_BUILDING, _OLD, _LOCK = ".building_", ".old", ".lock"
_RANDOM = 9  # characters that mkdtemp, and a _ before them, put after a name
_BLOCK = 1 << 24  # bytes hashed at a time
_MTIME_STEP = 2_000_000_000  # ns: the coarsest that a file system keeps (FAT)


def cache_path(cache_folder, folder, identity):
    """Where the cache of something made from `folder` lies: a readable name and a hash of `identity` (plain values)."""
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return os.path.join(cache_folder, f"{os.path.basename(os.path.realpath(folder))}_{key}")


def open_or_build(path, open_cache, build):
    """open_cache(), or if that is None build(), which saves the cache at path and returns what was asked for.

    Of several processes one builds; the others wait for it, say so, and then open what it has built. What killed
    processes left in the folder of caches is removed on the way.
    """
    before = _identity(path)
    opened = open_cache()
    if opened is not None:
        return opened
    with contextlib.suppress(OSError):  # save says so
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with held_if_possible(path + _LOCK, f"that builds the cache {path}") as held:
        if held:
            _remove_leftovers(path)
        if _identity(path) != before:  # another process was faster
            opened = open_cache()
        return build() if opened is None else opened


def _identity(path):
    """What is another once a cache was saved."""
    try:
        status = os.stat(os.path.join(path, _HEADER))
        return status.st_dev, status.st_ino, status.st_mtime_ns
    except OSError:
        return None


def _remove_leftovers(path):
    """Removes what killed processes left of this cache, whose lock is held, and of those whose lock nobody holds."""
    parent, own = os.path.split(path)
    with contextlib.suppress(OSError):
        for entry in os.listdir(parent or "."):
            building = entry.startswith(_BUILDING)
            name = (
                entry.removeprefix(_BUILDING).removesuffix(_OLD)[:-_RANDOM] if building else entry.removesuffix(_LOCK)
            )
            if not name or (name == entry):
                continue
            lock = FileLock(os.path.join(parent, name + _LOCK))
            with contextlib.suppress(OSError):
                free = name == own or lock.acquire(exclusive=True, wait=False)
                if building and free:
                    logging.debug(f"Removing {os.path.join(parent, entry)}, which a killed process left")
                    shutil.rmtree(os.path.join(parent, entry), ignore_errors=True)
            lock.release(remove=True)


def save(path, header, arrays):
    """Writes a cache: readers find the old one, none, or the new one, never a part. If another process writes one there
    at the same time, one of the two stays. header: plain values; arrays: {name: array}. Raises UserError when the disk
    refuses.
    """
    parent = os.path.dirname(path) or "."
    temporary = None
    try:
        os.makedirs(parent, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=f"{_BUILDING}{os.path.basename(path)}_", dir=parent)
        for name, array in arrays.items():
            np.save(os.path.join(temporary, name + ".npy"), array, allow_pickle=False)
        with open(os.path.join(temporary, _HEADER), "w") as file:
            json.dump(header, file, indent=1)
        os.chmod(temporary, 0o777 & ~current_umask())  # mkdtemp's folders are for their owner alone
        with contextlib.suppress(FileNotFoundError):  # none, or another process has just taken it away
            os.rename(path, old := temporary + _OLD)
            shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(FileExistsError):  # another process was faster; the caller checks what it wrote
            _rename_folder(temporary, path)
    except OSError as error:
        raise UserError(
            f"the cache {os.path.basename(path)} cannot be written to {parent}: "
            f"{error.strerror or f'{error}; is the disk full?'}"
        ) from error  # numpy tells bytes alone
    finally:
        if temporary and os.path.exists(temporary):
            shutil.rmtree(temporary, ignore_errors=True)


def load(path, expected, layout, check):
    """(header, {name: memory-mapped array}) of a cache; None if there is none, it is of another version, or it is
    damaged.

    expected: what the header must hold; layout: {array's name: (the types that it may have, the shape of a row)};
    check: called with the arrays, raises ValueError or IndexError unless they fit together. No header of an array is
    believed beyond its file's size. Raises UserError when the cache is there and may not be read.
    """
    before = _identity(path)
    try:
        header = read_object(os.path.join(path, _HEADER))
        if header.get("version") != expected["version"]:
            logging.info(
                f"The cache {path} is of version {str(header.get('version'))[:20]} of its format, and {expected['version']} is "
                "needed; rebuilding it"
            )
            return None
        if {name: header.get(name) for name in expected} != expected:
            raise ValueError("its header is of something else")
        arrays = {name: open_npy(os.path.join(path, name + ".npy"), *types) for name, types in layout.items()}
        if _identity(path) != before:  # replaced meanwhile: header and arrays may be of two
            return load(path, expected, layout, check)
        check(arrays)
    except PermissionError as error:
        raise UserError(
            f"the cache {path} cannot be read: {error.strerror}; fix its permissions or remove it"
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.isdir(path):
            logging.warning(f"The cache {path} lacks {os.path.basename(error.filename)}; rebuilding it")
        return None
    except (OSError, ValueError, IndexError) as error:
        logging.warning(f"The cache {path} is damaged ({error}); rebuilding it")
        return None
    return header, arrays


def update_header(path, header):
    """Replaces the header alone. A cache that may be read but not written stays as it is."""
    try:
        with replacing(os.path.join(path, _HEADER)) as temporary, open(temporary, "w") as file:
            json.dump(header, file, indent=1)
    except UserError as error:
        logging.debug(f"The header of {path} stays as it is: {error}")


def digest(data):
    """SHA-256 (hexadecimal) of a uint8 array, mapped or not."""
    value = hashlib.sha256()
    for begin in range(0, len(data), _BLOCK):
        value.update(np.ascontiguousarray(data[begin : begin + _BLOCK]))
    return value.hexdigest()


def settled(mtime_ns, now_ns=None):
    """Whether a modification time vouches for what was read at `now_ns` (default: now): a later change gets another
    time for sure.
    """
    return mtime_ns < (time.time_ns() if now_ns is None else now_ns) - _MTIME_STEP


def _rename_folder(source, target):
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(error.errno, error.strerror, target) from error
        raise
