"""Millions of image names in one block of bytes with offsets, never as Python strings."""

import array
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np

from support.errors import UserError

_BLOCK = 1 << 23  # bytes of a list that are processed at a time: bounds the temporary arrays
_LONGEST = 1 << 24  # most bytes of a line
_NEWLINE, _DOT, _SLASH = b"\n./"
_BLANK = np.isin(np.arange(256), [9, 13, 32])
_PARENT = re.compile(rb"(?<![^/\n\r\t ])\.\.(?![^/\n\r\t ])")  # `..` as a whole component of a path, or between blanks


class ImageNames:
    """An immutable sequence of image names (relative POSIX paths), held as bytes.

    blob: uint8, the bytes of all names (UTF-8; undecodable bytes as surrogates)
    starts, ends: integers (n,), the byte range of each name
    source: where the names come from, for messages

    The arrays may be memory-mapped; processes that receive the names then map them too.
    """

    def __init__(self, blob: np.ndarray, starts: np.ndarray, ends: np.ndarray, source: str = "the image list"):
        self.blob, self.starts, self.ends, self.source = blob, starts, ends, source

    @classmethod
    def from_strings(cls, names: Iterable[str], source: str = "the image list") -> Self:
        """Builds the sequence from strings."""
        blob, ends = bytearray(), array.array("q")  # a list of their bytes would need twice the memory
        for name in names:
            blob += os.fsencode(name)
            ends.append(len(blob))
        ends = np.array(ends, np.int64)
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
        return cls(np.frombuffer(blob, np.uint8), starts, ends, source)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> str:
        """The name at an index. Raises UserError if it leads out of the folder: only a damaged cache has such names."""
        name = self.blob[self.starts[index] : self.ends[index]].tobytes()
        if _leads_out(name):
            raise UserError(
                f"{self.source} names {os.fsdecode(name)!r}, which leads out of the folder; remove the cache it is from"
            )
        return os.fsdecode(name)

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def __reduce__(self):
        return _restore, (*(_portable(array) for array in (self.blob, self.starts, self.ends)), self.source)


def offset_dtype(num_bytes: int) -> type[np.integer]:
    """Chooses the dtype of offsets into so many bytes: uint32, or int64 if that is too small."""
    return np.uint32 if num_bytes < 2**32 else np.int64


def layout(kind: str) -> dict[str, tuple]:
    """Describes the arrays of ImageNames in a cache (support.array_cache); their names begin with `kind`."""
    offsets = ("uint32", "int64"), ()
    return {f"{kind}_blob": (("uint8",), ()), f"{kind}_starts": offsets, f"{kind}_ends": offsets}


def check_arrays(blob: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Raises ValueError unless there are names and all lie in the blob, in order. It reads only the offsets."""
    if not 0 < len(starts) == len(ends):
        raise ValueError("its names' offsets are of different numbers")
    previous = 0
    for begin in range(0, len(starts), _BLOCK):
        firsts, lasts = starts[begin : begin + _BLOCK], ends[begin : begin + _BLOCK]
        if firsts[0] < previous or (lasts < firsts).any() or (firsts[1:] < lasts[:-1]).any():
            raise ValueError("its names' offsets do not ascend")
        previous = lasts[-1]
    if previous > len(blob):
        raise ValueError("its names lie outside of what there is")


def split_lines(data: np.ndarray, source: str) -> ImageNames:
    """Splits a list of images into ImageNames over `data` (uint8). Blank lines and blanks around names are skipped.

    Raises UserError, which names `source`, if no name is left, or if a name leads out of its folder: absolute paths,
    `..` and NUL are refused.
    """
    num_lines = (
        sum(np.count_nonzero(data[begin : begin + _BLOCK] == _NEWLINE) for begin in range(0, len(data), _BLOCK)) + 1
    )
    starts, ends = (np.empty(num_lines, offset_dtype(len(data))) for _ in range(2))
    count = 0
    for begin, block, line_ends in _blocks_of_lines(data, source):
        line_starts = np.concatenate([[0], line_ends[:-1] + 1])
        line_starts, line_ends = _strip(block, line_starts, line_ends)
        kept = line_ends > line_starts
        if not kept.all():
            line_starts, line_ends = line_starts[kept], line_ends[kept]
        _refuse_unsafe(block, line_starts, line_ends, count, source)
        found = slice(count, count + len(line_starts))
        starts[found], ends[found] = line_starts + begin, line_ends + begin
        count = found.stop
    if not count:
        raise UserError(f"{source} names no image; delete it or make it again")
    return ImageNames(data, starts[:count], ends[:count], source)


def _blocks_of_lines(data: np.ndarray, source: str) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields (offset, bytes, ends of lines relative to it): whole lines of about _BLOCK bytes.

    A missing last newline is added.
    """
    begin, size = 0, _BLOCK
    while begin < len(data):
        block = np.asarray(data[begin : begin + size])
        newlines = np.flatnonzero(block == _NEWLINE)
        if begin + size >= len(data) and (not len(newlines) or newlines[-1] + 1 < len(block)):
            newlines = np.append(newlines, len(block))
        if not len(newlines):
            if size >= _LONGEST:
                raise UserError(
                    f"{source} has a line of more than {_LONGEST} bytes, and is no list of images; "
                    "delete it or make it again"
                )
            size *= 2  # a line longer than the block
            continue
        yield begin, block[: newlines[-1]], newlines
        begin, size = begin + int(newlines[-1]) + 1, _BLOCK


def _strip(block: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves both ends of every line inwards, past blanks and carriage returns."""
    while len(block):
        move = (ends > starts) & _BLANK[block[np.maximum(ends - 1, 0)]]
        if not move.any():
            break
        ends = ends - move
    while len(block):
        move = (ends > starts) & _BLANK[block[np.minimum(starts, len(block) - 1)]]
        if not move.any():
            break
        starts = starts + move
    return starts, ends


def _refuse_unsafe(block: np.ndarray, starts: np.ndarray, ends: np.ndarray, count: int, source: str) -> None:
    """Raises UserError for the first unsafe name of a block; count: number of names before this block."""
    bad = np.flatnonzero(block[starts] == _SLASH)[:1].tolist() if len(starts) else []
    dots = block == _DOT
    for match in _PARENT.finditer(block) if (dots[1:] & dots[:-1]).any() else ():
        index = int(np.searchsorted(starts, match.start(), side="right")) - 1
        if _leads_out(block[starts[index] : ends[index]].tobytes()):  # and no blanks around the dots
            bad.append(index)
            break
    if len(block) and not block.min():
        bad.append(int(np.searchsorted(starts, block.argmin(), side="right")) - 1)
    if bad:
        index = max(min(bad), 0)
        name = os.fsdecode(block[starts[index] : ends[index]].tobytes())
        raise UserError(
            f"{source} names {name!r} (image {count + index + 1}), which leads out of the folder; "
            "names must be relative paths below it"
        )


def _leads_out(name: bytes) -> bool:
    return name.startswith(b"/") or (b".." in name and b".." in name.split(b"/"))


def _portable(array: np.ndarray) -> np.ndarray | tuple:
    """What another process can build the array from: the place in the file of a mapped array, else the array."""
    if isinstance(array, np.memmap) and array.filename:
        return str(array.filename), array.dtype.str, array.offset, array.shape
    return array


def _restore(*values: Any) -> ImageNames:
    return ImageNames(
        *(np.memmap(value[0], value[1], "r", *value[2:]) if isinstance(value, tuple) else value for value in values)
    )
