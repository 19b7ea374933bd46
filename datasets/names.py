"""Image names: the `@` fields that say where a photo was taken, lists of names, and the folders of the images.

A data set of SF-XL's size has 5.6 to 41 million names. They are never held as Python strings.
`python -m datasets.names FOLDER` saves the list of a folder's images.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Sequence

import numpy as np
import utm

from datasets.image_names import ImageNames, split_lines
from datasets.name_fields import EAST, NORTH, parse_chunks
from datasets.name_fields import FIELDS as FIELDS
from datasets.name_fields import HEADING as HEADING
from datasets.pack.reading import find_image
from datasets.pack.reading import find_pack as find_pack
from datasets.walk import walk
from support.array_cache import digest
from support.errors import UserError
from support.files import replacing
from support.regular_files import open_regular
from support.verified import settled

_MAPPED_SIZE = 1 << 24  # bytes from which a list is mapped instead of read


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


def check_folder(folder: str) -> None:
    """Raises UserError if a folder is missing, or is a file."""
    if not os.path.isdir(folder):
        if os.path.exists(folder):
            raise UserError(f"{folder} is no folder; name the folder of the images")
        raise UserError(f"folder {folder} does not exist; check the path")


def find_listing(folder: str, cache_folder: str = "cache") -> "ListFile | Walk":
    """Finds the ListFile or Walk of a folder. Raises UserError if the folder is missing or cannot be walked."""
    check_folder(folder)
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

    def check_unchanged(self) -> None:
        """Nothing changes names that are in the cache."""


class ListFile:
    """The list that stands beside a folder."""

    def __init__(self, folder: str, cache_folder: str | None = None):
        self.folder, self.source = folder, images_list_path(folder)
        status = self._status = _stat(self.source)
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

    def check_unchanged(self) -> None:
        """Raises UserError if the list has changed since this object was made: a mapped list then has other names."""
        status = _stat(self.source)
        if any(getattr(status, key) != getattr(self._status, key) for key in ("st_ino", "st_size", "st_mtime_ns")):
            raise UserError(
                f"{self.source} changed while it was read: start the run again, and change lists only by renaming a "
                "new file over them"
            )

    def check_first(self, names: ImageNames) -> None:
        """Raises UserError if the first name of the list is not in the folder."""
        path = os.path.join(self.folder, names[0])
        if not os.path.lexists(path) and not find_image(path):
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
        with open_regular(path) as file:
            return np.memmap(file, np.uint8, "r") if status.st_size >= _MAPPED_SIZE else np.fromfile(file, np.uint8)
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
    """Parses numbers in some `@` fields of every name: float64 (n, len(fields)).

    The arguments, the numbers and the errors are those of name_fields.parse_chunks.
    """
    values = np.empty((len(names), len(fields)))
    for part, chunk in parse_chunks(names, fields, empty_as_zero):
        values[part] = chunk
    return values


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
            check_folder(folder)
            names = Walk(folder, args.cache_folder).read()
            write_images_list(folder, names)
            print(f"{images_list_path(folder)}: {len(names)} images")
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
