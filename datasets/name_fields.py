"""The `@` fields of image names, and how the numbers in them are parsed: with numpy, in blocks of names."""

import os
import sys
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from datasets.image_names import ImageNames
from support.decimals import parse_decimal
from support.errors import UserError

FIELDS = (
    "",
    "UTM_east",
    "UTM_north",
    "UTM_zone_number",
    "UTM_zone_letter",
    "latitude",
    "longitude",
    "pano_id",
    "tile_num",
    "heading",
    "pitch",
    "roll",
    "height",
    "timestamp",
    "note",
    "extension",
)
EAST, NORTH, HEADING = FIELDS.index("UTM_east"), FIELDS.index("UTM_north"), FIELDS.index("heading")
NAME_FORMAT = "@".join(FIELDS)
_WITHOUT_HEADINGS = (
    "Without headings: train.py --method cosplace --alpha 360 --L 1, and with a pair loss --positives METRES,180; "
    "eval.py without --positive_heading_threshold"
)
_CHUNK = 1 << 16  # names parsed at a time: their data stay in the processor's cache
_MAX_ABS = 1e9  # metres or degrees; a larger number is a mistake, and class keys could overflow
_MAX_DIGITS = 15  # float64 holds every whole number of so many digits
_AT, _DOT, _ZERO = b"@.0"
# the bytes of plain decimals, maybe among blanks: of texts of these alone, float() reads decimals and nothing else
_PLAIN = np.isin(np.arange(256), np.frombuffer(b"0123456789+-.eE ", np.uint8))


def parse_chunks(
    names: ImageNames, fields: Sequence[int], empty_as_zero: Sequence[int] = ()
) -> Iterator[tuple[slice, np.ndarray]]:
    """Parses numbers in some `@` fields, in chunks: yields (slice of the names, float64 (n, len(fields))).

    names: of the images; fields: indices into FIELDS; empty_as_zero: fields that may be empty and are then 0.

    The numbers are exactly those of support.decimals. Raises UserError that names the first image with too few fields,
    or without a number there that is finite and a plain decimal; blanks around it are skipped.
    """
    with tqdm(desc="Parsing names", total=len(names), unit="img", leave=False, delay=2, disable=None) as progress:
        for begin in range(0, len(names), _CHUNK):
            part = slice(begin, min(begin + _CHUNK, len(names)))
            yield part, _parse_chunk(names, part, fields, empty_as_zero)
            progress.update(part.stop - part.start)


def _parse_chunk(names: ImageNames, part: slice, fields: Sequence[int], empty_as_zero: Sequence[int]) -> np.ndarray:
    base = int(names.starts[part.start])
    starts, ends = (offsets[part].astype(np.int64) - base for offsets in (names.starts, names.ends))
    data = np.asarray(names.blob[base : base + ends[-1]])
    ats = _at_signs(names, part, data, starts, ends, max(fields) + 1)
    values = np.empty((len(starts), len(fields)))
    for column, field in enumerate(fields):
        begin, end = ats[field - 1] + 1, ats[field]
        length = end - begin
        width = int(length.max())
        if width > 64:
            _refuse_name(names, part.start + int(length.argmax()), f"has no number in field {field} ({FIELDS[field]})")
        values[:, column], rest = _parse_decimals(data, begin, end, width)
        if len(rest):
            texts = _texts(data, begin[rest], length[rest], max(width, 1))
            if field in empty_as_zero:
                texts[length[rest] == 0] = b"0"
            values[rest, column] = _parse_texts(texts)
        bad = np.flatnonzero(~(np.abs(values[:, column]) < _MAX_ABS))  # NaN, infinite or absurd
        if len(bad):
            text = os.fsdecode(data[begin[bad[0]] : end[bad[0]]].tobytes())
            problem = f"has {text!r} in field {field} ({FIELDS[field]}), which is not a usable number"
            if field == HEADING and not text.strip():
                problem = f"has no heading (field {field}). {_WITHOUT_HEADINGS}"
            _refuse_name(names, part.start + bad[0], problem)
    return values


def _at_signs(
    names: ImageNames, part: slice, data: np.ndarray, starts: np.ndarray, ends: np.ndarray, needed: int
) -> np.ndarray:
    """The positions in `data` of the first `needed` '@' of each name: int64 (needed, n)."""
    ats = np.flatnonzero(data == _AT)
    per_name = len(ats) // len(starts)
    if per_name >= needed and per_name * len(starts) == len(ats):
        table = ats.reshape(len(starts), per_name)
        if (table[:, 0] >= starts).all() and (table[:, -1] < ends).all():  # all names have equally many
            return np.ascontiguousarray(table[:, :needed].T)
    first = np.searchsorted(ats, starts)
    count = np.searchsorted(ats, ends) - first
    few = np.flatnonzero(count < needed)
    if len(few):
        _refuse_name(names, part.start + few[0], f"has {count[few[0]]} '@', and needs at least {needed}")
    return ats[first + np.arange(needed)[:, None]]


def _parse_decimals(data: np.ndarray, begin: np.ndarray, end: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Parses fields that hold digits only, with as many decimals as the first field has.

    Returns the numbers, float64 (n,), and the rows that are of another form, which are not filled in. The numbers are
    exactly those of float(): the digits make a whole number that float64 holds, so does the power of ten, and one
    division rounds once.
    """
    text = data[begin[0] : end[0]].tobytes()
    decimals = len(text) - text.index(b".") - 1 if b"." in text else 0
    if not (0 < width <= _MAX_DIGITS and decimals < width) or end.min() < width:
        return np.empty(len(begin)), np.arange(len(begin))
    # (n, width) bytes that end where the field ends; those before its beginning count as 0
    characters = np.lib.stride_tricks.sliding_window_view(data, width)[end - width]
    length = end - begin
    if length.min() < width:
        characters[np.arange(width) < (width - length)[:, None]] = _ZERO
    digits = characters - np.uint8(_ZERO)  # wraps around: anything but a digit is above 9
    weights = 10.0 ** np.arange(width - 1, -1, -1)
    plain = length > decimals
    if b"." in text:
        dot = width - decimals - 1
        plain &= characters[:, dot] == _DOT
        digits[:, dot] = 0
        weights[:dot] /= 10  # exact: of powers of ten up to 10^14
    if digits.max() > 9:
        plain &= ~(digits > 9).any(axis=1)
    return digits.astype(np.float64) @ weights / 10.0**decimals, np.flatnonzero(~plain)


def _texts(data: np.ndarray, begin: np.ndarray, length: np.ndarray, width: int) -> np.ndarray:
    """The fields as bytes S(width) (n,), padded with NUL, which ends a string in numpy; b"" if not of _PLAIN bytes."""
    column = np.arange(width)
    inside = column < length[:, None]
    characters = data[np.minimum(begin[:, None] + column, len(data) - 1)]
    plain = (_PLAIN[characters] | ~inside).all(axis=1)
    return np.where(inside & plain[:, None], characters, 0).astype(np.uint8).view(f"S{width}")[:, 0]


def _parse_texts(texts: np.ndarray) -> np.ndarray:
    try:
        values = texts.astype(np.float64)
    except ValueError:
        return np.array([_to_float(text) for text in texts.tolist()])
    zeros = np.flatnonzero(np.abs(values) < sys.float_info.min)
    for row in zeros[texts[zeros] != b"0"]:  # 1e-400 is none
        values[row] = _to_float(texts[row])
    return values


def _to_float(text: bytes) -> float:
    try:
        return parse_decimal(text.decode("ascii").strip(" "))
    except ValueError:
        return np.nan


def _refuse_name(names: ImageNames, index: int, problem: str) -> None:
    raise UserError(
        f"image name {names[index]!r} (number {index + 1} of {names.source}) {problem}; "
        f"names are {NAME_FORMAT}, numbers in metres and degrees"
    )
