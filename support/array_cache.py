"""Caches: folders of plain .npy arrays with a JSON header, opened memory-mapped, so that all processes share one copy
of their pages.

A cache is written beside its place and renamed there, so that nobody sees a part of one. Reading one cannot run code.
The header has the SHA-256 of each array and of itself. Arrays are compared with them after every change of their files
(support.verified).
"""

import contextlib
import errno
import hashlib
import io
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from support.errors import UserError
from support.files import current_umask, read_object, replacing
from support.locks import LOCK, held_if_possible, remove_leftovers
from support.regular_files import open_regular
from support.verified import verify_once

logger = logging.getLogger(__name__)

_HEADER = "header.json"
_SUMS, _SEAL = "sha256", "header_sha256"  # keys of a header: {name of an array: its digest}, and the digest of the rest
_NPY = ".npy"
_BUILDING, _OLD = ".building_", ".old"
_RANDOM = 9  # characters that mkdtemp, and a _ before them, put after a name
_PREFIX = 10  # bytes of a .npy file: magic, version, length of the header's rest
_BLOCK = 1 << 24  # bytes hashed at a time


def cache_path(cache_folder: str, folder: str, identity: Any) -> str:
    """Where the cache of something made from `folder` lies: a readable name and a hash of `identity` (plain values)."""
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return os.path.join(cache_folder, f"{os.path.basename(os.path.realpath(folder))}_{key}")


def open_or_build(path: str, open_cache: Callable[[], Any], build: Callable[[], Any]) -> Any:
    """Returns open_cache(), or if that is None build(), which saves the cache at `path` and returns the same.

    One of several processes builds; the others log that they wait, and then open what it has built. What killed
    processes left in the folder of caches is removed first.
    """
    previous = stamp(path)
    opened = open_cache()
    if opened is not None:
        return opened
    with contextlib.suppress(OSError):  # save reports it
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with held_if_possible(path + LOCK, f"that builds the cache {path}") as held:
        if held:
            remove_leftovers(os.path.dirname(path), _name_of_leftover, os.path.basename(path))
        if stamp(path) != previous:  # another process was faster
            opened = open_cache()
        return build() if opened is None else opened


def stamp(path: str) -> tuple | None:
    """What changes whenever the cache is saved again; None if there is no cache."""
    try:
        status = os.stat(os.path.join(path, _HEADER))
        return status.st_dev, status.st_ino, status.st_mtime_ns
    except OSError:
        return None


def _name_of_leftover(entry: str) -> str:
    """The name of the cache that a temporary folder of `save` belongs to; "" for other folders."""
    return entry.removeprefix(_BUILDING).removesuffix(_OLD)[:-_RANDOM] if entry.startswith(_BUILDING) else ""


def save(path: str, header: dict, arrays: dict[str, np.ndarray]) -> None:
    """Writes a cache of a header (plain values) and arrays by name; readers see the old one, none, or the new one.

    The header gets the checksums of the arrays, unless it has them. If another process saves at the same time, one of
    the two caches stays. Raises UserError when it cannot be written.
    """
    parent = os.path.dirname(path) or "."
    temporary = None
    try:
        os.makedirs(parent, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=f"{_BUILDING}{os.path.basename(path)}_", dir=parent)
        for name, array in arrays.items():
            np.save(os.path.join(temporary, name + _NPY), array, allow_pickle=False)
        _write_header(os.path.join(temporary, _HEADER), header if _SUMS in header else header | checksums(arrays))
        os.chmod(temporary, 0o777 & ~current_umask())  # mkdtemp's folders are for their owner alone
        with contextlib.suppress(FileNotFoundError):  # there is none, or another process has just moved it away
            os.rename(path, old := temporary + _OLD)
            shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(FileExistsError):  # another process was faster; the caller checks what it wrote
            _rename_folder(temporary, path)
    except OSError as error:
        reason = error.strerror or f"{error}; is the disk full?"  # numpy's own errors only count bytes
        raise UserError(f"the cache {os.path.basename(path)} cannot be written to {parent}: {reason}") from error
    finally:
        if temporary and os.path.exists(temporary):
            shutil.rmtree(temporary, ignore_errors=True)


def load(
    path: str,
    expected: dict,
    layout: dict[str, tuple],
    check: Callable[[dict[str, np.ndarray]], None],
) -> tuple[dict, dict[str, np.ndarray]] | None:
    """(header, {name: memory-mapped array}) of a cache; None if there is none, or it is of another version or damaged.

    Arrays are compared with their checksums if their files have changed since that was last done.

    path: the cache's folder.
    expected: names and values that the header must hold.
    layout: for each array's name, the types that it may have and the shape of a row.
    check: called with the arrays; raises ValueError or IndexError unless they fit together.

    Raises UserError when the cache is there and may not be read.
    """
    try:
        header, arrays = read(path, expected, layout)
        verify(path, header, arrays)
        check(arrays)
    except OtherVersion as error:
        logger.info(f"The cache {path} {error}; rebuilding it")
        return None
    except PermissionError as error:
        raise UserError(
            f"the cache {path} cannot be read: {error.strerror}; fix its permissions or remove it"
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.isdir(path):
            logger.warning(f"The cache {path} lacks {os.path.basename(error.filename)}; rebuilding it")
        return None
    except (OSError, ValueError, IndexError) as error:
        logger.warning(f"The cache {path} is damaged ({error}); rebuilding it")
        return None
    return header, arrays


class OtherVersion(ValueError):
    """A cache is of another version of its format."""


def read(path: str, expected: dict, layout: dict[str, tuple]) -> tuple[dict, dict[str, np.ndarray]]:
    """(header, {name: memory-mapped array}) of a folder that save() wrote; the arrays are not read.

    path, expected, layout: as of load

    Raises OtherVersion, ValueError if the folder is damaged or of something else, OSError if it cannot be read.
    """
    previous = stamp(path)
    header = read_object(os.path.join(path, _HEADER))
    if header.get("version") != expected["version"]:
        raise OtherVersion(
            f"is of version {str(header.get('version'))[:20]} of its format, and {expected['version']} is needed"
        )
    if _SEAL not in header:
        raise OtherVersion("has no checksums, as an earlier version wrote it")
    if header[_SEAL] != _seal(header):
        raise ValueError("its header has another checksum")
    if {name: header.get(name) for name in expected} != expected:
        raise ValueError("its header is of something else")
    arrays = {name: open_npy(os.path.join(path, name + _NPY), *types) for name, types in layout.items()}
    if stamp(path) != previous:  # replaced meanwhile: header and arrays may be of two caches
        return read(path, expected, layout)
    return header, arrays


def verify(path: str, header: dict, arrays: dict[str, np.ndarray]) -> None:
    """Raises ValueError if an array is not the one that was written. It is read only if its file has changed."""
    sums = header.get(_SUMS)
    if not isinstance(sums, dict) or sums.keys() != arrays.keys():
        raise ValueError("its header has no checksums of its arrays")

    def compare(file: str) -> None:
        name = file.removesuffix(_NPY)
        if digest(arrays[name]) != sums[name]:
            raise ValueError(f"{file} has another checksum")

    verify_once(path, {name + _NPY: str(value) for name, value in sums.items()}, compare)


def npy_header(dtype: str | np.dtype, shape: Sequence[int]) -> bytes:
    """The first bytes of the .npy file of a C-ordered array."""
    buffer = io.BytesIO()
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def open_npy(path: str, dtypes: Sequence[str], row: tuple[int, ...] = ()) -> np.ndarray:
    """A read-only memory map of the (n, *row) array in a .npy file, whose type is one of `dtypes`.

    The header is not parsed but compared with the one that such an array of the file's size has. So a hostile header
    has no effect: np.load would evaluate it, open zips, and pass arrays of another order or another size. Raises
    ValueError if the header is another one, OSError when the file cannot be read.
    """
    with open_regular(path) as file:
        size, prefix = os.fstat(file.fileno()).st_size, file.read(_PREFIX)
        offset = _PREFIX + int.from_bytes(prefix[-2:], "little")
        found = prefix + file.read(offset - _PREFIX)
        for dtype in map(np.dtype, dtypes):
            n, rest = divmod(size - offset, dtype.itemsize * math.prod(row))
            if n >= 0 and not rest and found == npy_header(dtype, (n, *row)):
                return np.memmap(file, dtype, "r", offset, (n, *row))
    raise ValueError(f"{os.path.basename(path)} is no array of its {size} bytes")


def update_header(path: str, header: dict) -> None:
    """Replaces the header alone. A cache that may be read but not written stays as it is."""
    try:
        with replacing(os.path.join(path, _HEADER)) as temporary:
            _write_header(temporary, header)
    except UserError as error:
        logger.debug(f"The header of {path} stays as it is: {error}")


def _write_header(path: str, header: dict) -> None:
    with open(path, "w") as file:
        json.dump({**header, _SEAL: _seal(header)}, file, indent=1)


def _seal(header: dict) -> str:
    text = json.dumps({key: value for key, value in header.items() if key != _SEAL}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def checksums(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, str]]:
    """What a header says of the contents of its arrays: {"sha256": {name: digest}}."""
    return {_SUMS: {name: digest(array) for name, array in arrays.items()}}


def digest(data: np.ndarray) -> str:
    """SHA-256 (hexadecimal) of the bytes of an array, mapped or not."""
    data = data.reshape(-1).view(np.uint8)
    value = hashlib.sha256()
    for begin in range(0, len(data), _BLOCK):
        value.update(np.ascontiguousarray(data[begin : begin + _BLOCK]))
    return value.hexdigest()


def _rename_folder(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(error.errno, error.strerror, target) from error
        raise
