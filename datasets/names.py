"""Image names: the `@` fields that say where a photo was taken, lists of names, and the folders of the images.

A data set of SF-XL's size has 5.6 to 41 million names. They are parsed with numpy, in blocks, never as Python strings.
`python -m datasets.names FOLDER` saves the list of a folder's images.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import utm
from tqdm import tqdm

from datasets.image_names import ImageNames, split_lines
from datasets.walk import walk
from support.array_cache import digest, settled
from support.errors import UserError
from support.files import replacing

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
_CHUNK = 1 << 16  # names parsed at a time: their data stay in the processor's cache
_MAX_ABS = 1e9  # metres or degrees; a larger number is a mistake, and class keys could overflow
_MAX_DIGITS = 15  # float64 holds every whole number of so many digits
_MAPPED_SIZE = 1 << 24  # bytes from which a list is mapped instead of read
_AT, _DOT, _ZERO = b"@.0"


def format_name(
    utm_east: float,
    utm_north: float,
    zone_number: int | str = "",
    zone_letter: str = "",
    latitude: float | None = None,
    longitude: float | None = None,
    pano_id: str = "",
    tile_num: int | str = "",
    heading: float | None = None,
    pitch: float | str = "",
    roll: float | str = "",
    height: float | str = "",
    timestamp: str = "",
    note: str = "",
    extension: str = ".jpg",
) -> str:
    """Formats the `@` name of an image. Fields that are None or "" stay empty.

    utm_east, utm_north: metres, written with 2 decimals
    zone_number, zone_letter: of UTM
    latitude, longitude: degrees
    pano_id, tile_num: of the panorama, and of the crop
    heading: degrees clockwise from north
    pitch, roll: degrees
    height: metres
    timestamp: digits of YYYYMMDD... that are known
    note: any text
    extension: of the file

    Raises ValueError if a text field holds `@` or a path separator.
    """
    fields = [
        f"{utm_east:010.2f}",
        f"{utm_north:010.2f}",
        zone_number,
        zone_letter,
        "" if latitude is None else f"{latitude:09.5f}",
        "" if longitude is None else f"{longitude:010.5f}",
        pano_id,
        tile_num,
        "" if heading is None else f"{heading:06.2f}",
        pitch,
        roll,
        height,
        timestamp,
        note,
        extension,
    ]
    fields = [str(field) for field in fields]
    for field in fields:
        if "@" in field or "/" in field:
            raise ValueError(f"the field {field!r} holds a character that separates fields or folders")
    return "@" + "@".join(fields)


def latlon_to_utm(
    latitude: float, longitude: float, zone_number: int | None = None, zone_letter: str | None = None
) -> tuple[float, float, int, str]:
    """Converts degrees (WGS 84) to (east m, north m, zone number, zone letter).

    latitude, longitude: degrees
    zone_number: forces the zone
    zone_letter: forces the zone

    Raises UserError if the position is out of range.
    """
    try:
        east, north, zone_number, zone_letter = utm.from_latlon(latitude, longitude, zone_number, zone_letter)
        return float(east), float(north), zone_number, zone_letter
    except (utm.error.OutOfRangeError, ValueError) as error:
        raise UserError(f"latitude {latitude}, longitude {longitude} cannot be put into UTM: {error}") from error


def utm_to_latlon(utm_east: float, utm_north: float, zone_number: int, zone_letter: str) -> tuple[float, float]:
    """Converts UTM to (latitude, longitude) in degrees (WGS 84).

    utm_east, utm_north: metres
    zone_number, zone_letter: of UTM

    Raises UserError if the position is out of range.
    """
    try:
        latitude, longitude = utm.to_latlon(utm_east, utm_north, zone_number, zone_letter)
        return float(latitude), float(longitude)
    except (utm.error.OutOfRangeError, ValueError) as error:
        raise UserError(f"UTM {utm_east} {utm_north} {zone_number}{zone_letter} is not a position: {error}") from error


def images_list_path(folder: str) -> str:
    """The path of the list that may stand beside `folder`, and then replaces the walk through it."""
    folder = os.path.normpath(folder)
    return (os.path.abspath(folder) if os.path.basename(folder) in (".", "..") else folder) + "_images_paths.txt"


def list_images(folder: str, cache_folder: str = "cache") -> ImageNames:
    """Lists the names of a folder's images.

    They are the lines of `<folder>_images_paths.txt`, in their order, if that file exists. Else they are all images
    below the folder, as relative POSIX paths sorted as whole strings (datasets.walk, kept in the cache).

    Raises UserError if the folder is missing or has no images, or if a line of the list leads out of the folder.
    """
    return find_listing(folder, cache_folder).read()


def find_listing(folder: str, cache_folder: str = "cache") -> "ListFile | Walk":
    """Finds the ListFile or Walk of a folder. Raises UserError if the folder is missing or cannot be walked."""
    if not os.path.isdir(folder):
        raise UserError(f"folder {folder} does not exist; check the path")
    return (ListFile if os.path.exists(images_list_path(folder)) else Walk)(folder, cache_folder)


class Walk:
    """The images of a folder without a list."""

    def __init__(self, folder: str, cache_folder: str):
        self.source = folder
        self._names, self._digest = walk(folder, cache_folder)
        self.stamp = {"digest": self._digest}  # plain values; as long as they are the same, so are the names

    def digest(self) -> str:
        """SHA-256 of the names as lines: that of the list which write_images_list would write."""
        return self._digest

    def read(self) -> ImageNames:
        """The names."""
        return self._names


class ListFile:
    """The list that stands beside a folder."""

    def __init__(self, folder: str, cache_folder: str | None = None):
        self.folder, self.source = folder, images_list_path(folder)
        status = _stat(self.source)
        # None while another list could get the same time
        self.stamp = {"size": status.st_size, "mtime_ns": status.st_mtime_ns} if settled(status.st_mtime_ns) else None

    def digest(self) -> str:
        """SHA-256 of the file."""
        return digest(_read_or_map(self.source))

    def read(self) -> ImageNames:
        """Reads the names. Raises UserError if they are not those of the folder."""
        names = read_images_list(self.source)
        self.check_first(names)
        return names

    def check_first(self, names: ImageNames) -> None:
        """Raises UserError if the first name of the list is not in the folder."""
        if not os.path.lexists(os.path.join(self.folder, names[0])):
            raise UserError(
                f"{self.source} names {names[0]!r}, which is not in {self.folder}; delete the list or make it again"
            )


def read_images_list(path: str) -> ImageNames:
    """Reads a list of images; blank lines are skipped. Raises UserError if the list is empty or unsafe.

    A large list is memory-mapped. While it is in use it may be replaced (another file renamed over it), but not
    rewritten in place.
    """
    return split_lines(_read_or_map(path), path)


def write_images_list(folder: str, names: Iterable[str]) -> None:
    """Writes `<folder>_images_paths.txt` atomically. Raises UserError if a name cannot stand in a line."""
    with replacing(images_list_path(folder)) as temporary, open(temporary, "wb") as file:
        for name in names:
            line = os.fsencode(name)
            if b"\n" in line or line != line.strip(b" \t\r"):
                raise UserError(
                    f"image name {name!r} has a line break, or a blank at an end, and cannot stand in a list; "
                    "rename the file"
                )
            file.write(line + b"\n")


def _read_or_map(path: str) -> np.ndarray:
    status = _stat(path)
    try:
        return np.memmap(path, np.uint8, "r") if status.st_size >= _MAPPED_SIZE else np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def positions(names: ImageNames) -> np.ndarray:
    """Parses UTM east and north, metres: float64 (n, 2). Raises UserError that names the first image without them."""
    return parse_fields(names, (EAST, NORTH))


def parse_fields(names: ImageNames, fields: Sequence[int], empty_as_zero: Sequence[int] = ()) -> np.ndarray:
    """Parses numbers in some `@` fields of every name: float64 (n, len(fields)), exactly as float() reads them.

    names: of the images; fields: indices into FIELDS; empty_as_zero: fields that may be empty and are then 0.

    Raises UserError that names the first image with too few fields, or without a finite number there.
    """
    values = np.empty((len(names), len(fields)))
    for part, chunk in parse_chunks(names, fields, empty_as_zero):
        values[part] = chunk
    return values


def parse_chunks(
    names: ImageNames, fields: Sequence[int], empty_as_zero: Sequence[int] = ()
) -> Iterator[tuple[slice, np.ndarray]]:
    """Does what parse_fields does, in chunks: yields (slice of the names, float64 (n, len(fields)))."""
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
                texts[texts == b""] = b"0"
            values[rest, column] = _parse_texts(texts)
        bad = np.flatnonzero(~(np.abs(values[:, column]) < _MAX_ABS))  # NaN, infinite or absurd
        if len(bad):
            text = os.fsdecode(data[begin[bad[0]] : end[bad[0]]].tobytes())
            _refuse_name(
                names,
                part.start + bad[0],
                f"has {text!r} in field {field} ({FIELDS[field]}), which is not a usable number",
            )
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
    """The fields as bytes S(width) (n,), padded with NUL, which ends a string in numpy."""
    column = np.arange(width)
    characters = np.where(column < length[:, None], data[np.minimum(begin[:, None] + column, len(data) - 1)], 0).astype(
        np.uint8
    )
    return characters.view(f"S{width}")[:, 0]


def _parse_texts(texts: np.ndarray) -> np.ndarray | list[float]:
    try:
        return texts.astype(np.float64)
    except ValueError:
        return [_to_float(text) for text in texts.tolist()]


def _to_float(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _refuse_name(names: ImageNames, index: int, problem: str) -> None:
    raise UserError(
        f"image name {names[index]!r} (number {index + 1} of {names.source}) {problem}; "
        f"names are {NAME_FORMAT}, numbers in metres and degrees"
    )


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.names",
        description="Saves the list of each folder's images as "
        "FOLDER_images_paths.txt, so that no run walks through the folder again.",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        metavar="FOLDER",
        help="folder of images, walked through unless nothing in it has changed "
        "since a run did so; a list that is there is made again",
    )
    parser.add_argument(
        "--cache_folder", default="cache", metavar="FOLDER", help="where walks are kept (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s")
    try:
        for folder in args.folders:
            if not os.path.isdir(folder):
                raise UserError(f"folder {folder} does not exist; check the path")
            names = Walk(folder, args.cache_folder).read()
            write_images_list(folder, names)
            print(f"{images_list_path(folder)}: {len(names)} images")
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
