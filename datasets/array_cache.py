"""Caches: folders of plain .npy arrays with a JSON header, opened memory-mapped, so that all processes share one copy of their pages.

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

from model.errors import UserError
from model.files import current_umask, replacing

_HEADER = "header.json"
_BLOCK = 1 << 24  # bytes hashed at a time
_MTIME_STEP = 2_000_000_000  # ns: the coarsest that a file system keeps (FAT)


def cache_path(cache_folder, folder, identity):
    """Where the cache of something made from `folder` lies: a readable name and a hash of `identity` (plain values)."""
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return os.path.join(cache_folder, f"{os.path.basename(os.path.realpath(folder))}_{key}")


def save(path, header, arrays):
    """Writes a cache: readers find the old one, none, or the new one, never a part. If another process writes one there at the same time,
    one of the two stays. header: plain values; arrays: {name: array}. Raises UserError when the disk refuses."""
    parent = os.path.dirname(path) or "."
    temporary = None
    try:
        os.makedirs(parent, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=".building_", dir=parent)
        for name, array in arrays.items():
            np.save(os.path.join(temporary, name + ".npy"), array, allow_pickle=False)
        with open(os.path.join(temporary, _HEADER), "w") as file:
            json.dump(header, file, indent=1)
        os.chmod(temporary, 0o777 & ~current_umask())  # mkdtemp's folders are for their owner alone
        with contextlib.suppress(FileNotFoundError):  # none, or another process has just taken it away
            os.rename(path, old := temporary + ".old")
            shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(FileExistsError):  # another process was faster; the caller checks what it wrote
            _rename_folder(temporary, path)
    except OSError as error:
        raise UserError(f"the cache {os.path.basename(path)} cannot be written to {parent}: "
                        f"{error.strerror or f'{error}; is the disk full?'}") from error  # numpy tells bytes alone
    finally:
        if temporary and os.path.exists(temporary):
            shutil.rmtree(temporary, ignore_errors=True)


def load(path, expected, array_names, check):
    """(header, {name: memory-mapped array}) of a cache; None if there is none, it is of another version, or it is damaged.

    expected: what the header must hold; check: called with the arrays, raises ValueError or IndexError unless they fit together.
    Raises UserError when the cache is there and may not be read.
    """
    try:
        with open(os.path.join(path, _HEADER)) as file:
            header = json.load(file)
        if not isinstance(header, dict):
            raise ValueError("its header is no object")
        if header.get("version") != expected["version"]:
            logging.info(f"The cache {path} is of version {header.get('version')} of its format, and {expected['version']} is needed; "
                         "building it anew")
            return None
        if {name: header.get(name) for name in expected} != expected:
            raise ValueError("its header is of something else")
        arrays = {name: np.load(os.path.join(path, name + ".npy"), mmap_mode="r", allow_pickle=False) for name in array_names}
        check(arrays)
    except PermissionError as error:
        raise UserError(f"the cache {path} cannot be read: {error.strerror}; mend its permissions or remove it") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.isdir(path):
            logging.warning(f"The cache {path} lacks {os.path.basename(error.filename)}; building it anew")
        return None
    except (OSError, ValueError, IndexError, EOFError) as error:
        logging.warning(f"The cache {path} is damaged ({error}); building it anew")
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
        value.update(np.ascontiguousarray(data[begin:begin + _BLOCK]))
    return value.hexdigest()


def settled(mtime_ns, now_ns=None):
    """Whether a modification time vouches for what was read at `now_ns` (default: now): a later change gets another time for sure."""
    return mtime_ns < (time.time_ns() if now_ns is None else now_ns) - _MTIME_STEP


def _rename_folder(source, target):
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(error.errno, error.strerror, target) from error
        raise
