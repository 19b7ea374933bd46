"""Reading and writing files: nothing read can run code, nothing written is ever half there."""

import contextlib
import json
import math
import os
import pickle  # only its error
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from support.errors import UserError

_LARGEST_JSON = 1 << 20  # bytes


def _published_numpy_float() -> list[tuple]:
    """What torch.load must allow for a numpy float64 in a published last_checkpoint.pth, and nothing more.

    numpy's module has an old and a new path.
    """
    scalar = np._core.multiarray.scalar
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        (np.dtype, "numpy.dtype"),
        (np.dtypes.Float64DType, "numpy.dtypes.Float64DType"),
    ]


def read_tensors(path: str) -> Any:
    """Reads a file of tensors and plain values: torch.load on the CPU with weights_only=True.

    Raises UserError when the file is missing, holds other objects, or is damaged (checksums show even one wrong bit).
    """
    try:
        check_sums(path)
        with torch.serialization.safe_globals(_published_numpy_float()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}; check the path") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        with open(path, "rb") as file:
            is_pickle = file.read(1) in (b"\x80", b"P")  # a bare pickle, or one in a zip
        if is_pickle:
            raise UserError(
                f"{path} holds objects other than tensors and plain values (or is damaged), and was not opened, since "
                "such files can run code; ask its author for a plain state_dict"
            ) from error
        raise UserError(f"{path} is not a file of PyTorch tensors, or is damaged; fetch or save it again") from error
    except Exception as error:  # torch's readers raise nearly anything on damaged files
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is cut off or damaged ({first_line}); fetch or save it again") from error


def write_tensors(value: Any, path: str, previous: str | None = None) -> None:
    """Writes tensors and plain values with torch.save to a temporary file, checks it on the disk and renames it.

    previous: the path that the previous file at `path` is kept at. Raises UserError when the disk refuses or returns
    something else than what was written; all files are then as before.
    """
    with replacing(path, previous) as temporary:
        try:
            torch.save(value, temporary)
        except RuntimeError as error:  # torch's zip writer reports a full disk so
            raise UserError(f"{path} cannot be written: is the disk full?") from error
        _forget_pages(temporary)
        try:
            check_sums(temporary)
        except UserError as error:
            raise UserError(f"{path} was written and read back damaged: is the disk failing?") from error


def check_sums(path: str) -> None:
    """Compares the CRC-32 of all entries of a zip, which torch.load does not. Raises UserError if one is wrong.

    Files of older formats, which have no checksums, pass.
    """
    with open(path, "rb") as file:
        beginning = file.read(2)
    if beginning and beginning != b"PK" and not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except OSError:
        raise
    except Exception as error:  # zipfile raises many kinds on damaged headers
        raise UserError(f"{path} is cut off or damaged ({error}); fetch or save it again") from error
    if damaged:
        raise UserError(f"{path} is damaged (the checksum of its entry {damaged!r} is wrong); fetch or save it again")


def _forget_pages(path: str) -> None:
    """Writes a file to the disk and drops it from memory, so that reading it reads the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_object(path: str, largest: int = _LARGEST_JSON) -> dict:
    """The object in an untrusted JSON file of at most `largest` bytes.

    Raises ValueError as parse_object, and for a larger file; OSError when the file cannot be read.
    """
    with open(path, "rb") as file:
        text = file.read(largest + 1)
    if len(text) > largest:
        raise ValueError(f"it has more than {largest} bytes")
    return parse_object(text)


def parse_object(text: bytes | str) -> dict:
    """The object in a JSON text. Raises ValueError for other values, NaN, infinity, and text that is not JSON."""
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


@contextlib.contextmanager
def replacing(path: str, previous: str | None = None) -> Iterator[str]:
    """Yields the path of a temporary file beside `path`, which replaces `path` unless the block raises.

    previous: the path that the previous file at `path` is kept at. The new file is on the disk (fsync) before it is
    renamed. If there was a file at `path`, there is one at every moment. Raises UserError on OSError.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(
            prefix=f".{os.path.basename(path)}.", suffix=".tmp", dir=os.path.dirname(path) or "."
        )
        os.close(handle)
        os.chmod(temporary, 0o666 & ~current_umask())  # mkstemp's files are for their owner alone
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        if previous:
            _keep_as(path, previous)
        os.replace(temporary, path)
        _sync_folder(os.path.dirname(path) or ".")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def remove_leftovers(folder: str) -> None:
    """Deletes temporary files of `replacing` that a killed process left in a folder, to which no other may write."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(".tmp"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))


def _keep_as(path: str, previous: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(previous)
    with contextlib.suppress(FileNotFoundError):
        try:
            os.link(path, previous)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
            os.replace(path, previous)  # a file system without links: for a moment there is no file at `path`


def _sync_folder(folder: str) -> None:
    """Writes renames to the disk. A folder that cannot be opened or synced (some network disks) gets there soon."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def current_umask() -> int:
    """The process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
