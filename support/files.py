"""Reading and writing files: nothing read can run code, nothing written is ever half there."""

import contextlib
import fcntl
import itertools
import json
import math
import os
import pickle  # only its error
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import torch

from support.errors import UserError
from support.memory import is_out_of_memory, taking_at_most
from support.plain_values import check_plain
from support.regular_files import open_regular
from support.tensor_zips import refuse_other_zips

LARGEST_WEIGHTS = 2 << 30  # bytes: three times the largest network of torchvision's that is read
LARGEST_NETWORK = 1 << 30  # bytes: a ConvNeXt_Base with 2048-D descriptors takes 0.72e9 as float64
_LARGEST_JSON = 1 << 20  # bytes
# How many times its own size a file of tensors may unpack to, and bytes more. torch.save compresses nothing and writes
# what tensors share once. model.packing compresses, zeros to nearly nothing: networks have LARGEST_NETWORK.
_MOST_UNPACKED, _SLACK = 4, 1 << 20
_MOST_CLAIMED = (
    16  # times its own size that a file's tensors may claim: those that share memory count as often as named
)
_MOST_ENTRIES = 100_000  # of a zip: a few for each tensor are usual
_ROOM = 256 << 20  # bytes of memory beside a file's tensors, for what is read into plain values and for other threads
_LONGEST_BASE = 200  # bytes of a file's name that the name of its temporary file repeats


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


def read_tensors(path: str, largest: int | None = None, packed: int = 0) -> Any:
    """Reads a file of tensors and plain values: torch.load on the CPU with weights_only=True.

    path: of a regular file
    largest: bytes that it may have, and unpack to (default: this machine's memory)
    packed: bytes that it may unpack to however small it is

    Raises UserError when the file is missing, holds other objects, is damaged (checksums show even one wrong bit), or
    when what it claims to hold is too large.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            _refuse_larger(path, size, largest)
            with taking_at_most(2 * _most_unpacked(size) + _ROOM):
                unpacked = _check_sums(file, path, packed)
                _refuse_larger(path, unpacked, largest)
            most = max(_most_unpacked(size), unpacked)
            # torch.load has a tensor twice for a moment
            with taking_at_most(2 * most + _ROOM):
                file.seek(0)
                with torch.serialization.safe_globals(_published_numpy_float()):
                    content = torch.load(file, map_location="cpu", weights_only=True)
    except UserError:
        raise
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
        if is_out_of_memory(error):
            raise UserError(
                f"{path} is not read: that takes more memory than there is, or than {size / 1e6:.1f} MB of tensors do; "
                "check that it is the right file"
            ) from error
        raise UserError(f"{path} {_describe_failure(error)}") from error
    try:
        claimed = check_plain(content, most)
    except ValueError as error:
        raise UserError(f"{path} is not used: {error}; ask its author for a plain state_dict") from error
    most_claimed = max(_MOST_CLAIMED * size, LARGEST_NETWORK)
    if claimed > most_claimed:
        raise UserError(
            f"{path} is not used: its tensors claim {claimed / 1e6:.1f} MB, far more than the file holds, and "
            f"{most_claimed / 1e6:.1f} MB are the most here; check that it is the right file"
        )
    return content


def _describe_failure(error: Exception) -> str:
    """What is wrong with a file that torch.load refuses."""
    if "TorchScript" in str(error):
        return "holds a TorchScript program: give the file of weights that it was made of (best_model.pth)"
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return f"is cut off or damaged ({first_line}); fetch or save it again"


def _refuse_larger(path: str, size: int, largest: int | None) -> None:
    largest = largest or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > largest:
        raise UserError(
            f"{path} is not read: it holds {size / 1e9:.1f} GB, and {largest / 1e9:.1f} GB are the most here; "
            "check that it is the right file"
        )


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
        check_written(temporary, path, check_sums)


def check_written(temporary: str, path: str, read: Callable[[str], object]) -> None:
    """Reads what was written to a temporary file for `path` from the disk. Raises UserError if read() does."""
    _forget_pages(temporary)
    try:
        read(temporary)
    except UserError as error:
        raise UserError(f"{path} was written and read back damaged: is the disk failing?") from error


def check_sums(path: str) -> None:
    """Compares the CRC-32 of all entries of a zip, which torch.load does not.

    Files of older formats, which have no checksums, pass. Raises UserError if one is wrong, if entries unpack to far
    more than torch.save would write, or if torch would read other entries; OSError if the file cannot be read, or is no
    regular one.
    """
    with open_regular(path) as file:
        _check_sums(file, path)


def _check_sums(file: BinaryIO, path: str, packed: int = 0) -> int:
    """check_sums of an open file: the number of bytes that it unpacks to; 0 for older formats."""
    beginning = file.read(2)
    if beginning and beginning != b"PK" and not zipfile.is_zipfile(file):
        return 0
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = _unpacked(archive, os.fstat(file.fileno()).st_size, packed)
            refuse_other_zips(archive, file)
            damaged = archive.testzip()
    except OSError:
        raise
    except Exception as error:  # zipfile raises many kinds on damaged headers
        raise UserError(f"{path} is cut off or damaged ({error}); fetch or save it again") from error
    if damaged:
        raise UserError(f"{path} is damaged (the checksum of its entry {damaged!r} is wrong); fetch or save it again")
    return unpacked


def _unpacked(archive: zipfile.ZipFile, size: int, packed: int) -> int:
    """The bytes that a zip of `size` bytes unpacks to. Raises ValueError if torch.save would not write so many.

    packed: bytes that are never too many
    """
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise ValueError(f"it has {len(entries)} entries")
    total = sum(entry.file_size for entry in entries)
    if total > max(_most_unpacked(size), packed):
        raise ValueError(f"it has {size / 1e6:.1f} MB and would unpack to {total / 1e6:.1f} MB")
    return total


def _most_unpacked(size: int) -> int:
    return _MOST_UNPACKED * size + _SLACK


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
    with open_regular(path) as file:
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
def replacing(path: str, previous: str | None = None, synced: bool = True) -> Iterator[str]:
    """Yields the path of a temporary file beside `path`, which replaces `path` unless the block raises.

    path: to be replaced. If there was a file, there is one at every moment
    previous: the path that the previous file at `path` is kept at
    synced: whether the new file is on the disk (fsync) before it is renamed; without, only killed processes do no harm

    What a killed process left of the same file is removed first. Raises UserError on OSError.
    """
    temporary = handle = None
    try:
        temporary, handle = _make_temporary(path)
        yield temporary
        if synced:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        if previous:
            _keep_as(path, previous)
        os.replace(temporary, path)
        if synced:
            _sync_folder(os.path.dirname(path) or ".")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if handle is not None:
            with contextlib.suppress(FileNotFoundError):  # it has been renamed
                os.unlink(temporary)
            os.close(handle)


def _make_temporary(path: str) -> tuple[str, int]:
    """Makes an empty file beside `path`: (its path, the handle whose lock says that its writer lives).

    Its name depends on that of `path` alone, so the next writer comes upon what a killed one left.
    """
    folder, base = os.path.split(os.fsencode(path))
    for number in itertools.count(1):  # a further one for each process that writes the same file now
        temporary = os.path.join(folder, b".%s.%d.tmp" % (base[-_LONGEST_BASE:], number))
        while not os.path.lexists(temporary) or _remove_left(temporary):
            try:
                handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                continue
            _lock(handle)
            if _is_at(handle, temporary):  # else another process took it for one that was left
                return os.fsdecode(temporary), handle
            os.close(handle)


def _remove_left(temporary: str | bytes) -> bool:
    """Deletes a temporary file, unless its writer lives or that cannot be told. Returns whether it is gone."""
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)  # O_RDWR: for NFS
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(handle, temporary):
            os.unlink(temporary)
        return True
    except OSError:  # it is held, may not be removed, or there are no locks here
        return False
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    with contextlib.suppress(OSError):  # without locks nothing is removed either
        fcntl.flock(handle, fcntl.LOCK_EX)


def _is_at(handle: int, path: str | bytes) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def remove_temporaries(folder: str) -> None:
    """Deletes what killed processes left of any file that they were about to replace in a folder."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(".tmp"):
            _remove_left(os.path.join(folder, name))


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


def rename_finished(building: str, output: str) -> None:
    """Gives a folder that is complete its name, in the place of an empty one. Raises UserError if the disk refuses."""
    try:
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(output)
        os.rename(building, output)
    except OSError as error:
        raise UserError(f"{building} is complete and cannot be renamed to {output}: {error.strerror}") from error
