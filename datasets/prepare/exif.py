"""Position, heading and time of a photo from its EXIF, and a panorama's heading from its XMP."""

import contextlib
import math
import numbers
import os
import re
from collections.abc import Sequence

import torch
from PIL import ExifTags, Image
from tqdm import tqdm

from datasets.images import ImageError, NoDecoderError, open_header
from datasets.photos import photos_below
from datasets.prepare.positions import check_degrees
from datasets.prepare.records import Photo, Rejected, Unusable, parse_time, within_circle
from datasets.walk import IMAGE_EXTENSIONS
from support.decimals import parse_decimal
from support.errors import UserError
from support.workers import Loader

_GPS, _BASE, _IFD = ExifTags.GPS, ExifTags.Base, ExifTags.IFD
EXTENSIONS = (*IMAGE_EXTENSIONS, ".webp", ".tif", ".tiff", ".bmp")
_COMPARED = 20  # photos that are compared with their EXIF
_SAME = 0.01  # degrees: how near two positions are that count as the same
_POSE_HEADING = re.compile(rb"GPano:PoseHeadingDegrees[\s=\"'>]+([-+0-9.]+)")


def read_exif(path: str, key: str | None = None, source: str | None = None) -> Photo:
    """Reads the Photo of a file from its EXIF.

    path: of the file
    key: its name in the source (default: the file's name)
    source: where it was named, for messages (default: the path)

    The heading is GPSImgDirection (of true or magnetic north, as its reference says); a panorama's
    GPano:PoseHeadingDegrees comes first. Raises Unusable if there is no usable position.
    """
    try:
        with open_header(path) as image:
            exif = image.getexif()
            gps, details = exif.get_ifd(_IFD.GPSInfo), exif.get_ifd(_IFD.Exif)
            xmp = image.info.get("xmp", b"")
    except NoDecoderError as error:
        raise Unusable(str(error)) from error
    except (ImageError, OSError) as error:
        raise Unusable("cannot be opened", str(error)) from error
    latitude, longitude = _position(gps)
    check_degrees(latitude, longitude)
    heading, magnetic = _heading(gps, xmp if isinstance(xmp, bytes) else str(xmp).encode())
    return Photo(
        path,
        key or os.path.basename(path),
        source or path,
        latitude,
        longitude,
        heading,
        _time(gps, details, exif),
        magnetic,
    )


def _position(gps: dict) -> list[float]:
    if _GPS.GPSLatitude not in gps or _GPS.GPSLongitude not in gps:
        raise Unusable("no GPS position in its EXIF", "an altitude alone" if _GPS.GPSAltitude in gps else "")
    try:
        values = [
            _degrees(gps[axis], gps[reference])
            for axis, reference in ((_GPS.GPSLatitude, _GPS.GPSLatitudeRef), (_GPS.GPSLongitude, _GPS.GPSLongitudeRef))
        ]
    except KeyError:
        raise Unusable("a damaged GPS position in its EXIF", "no hemisphere") from None
    except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
        raise Unusable("a damaged GPS position in its EXIF", str(error)) from error
    return values


def _degrees(triple: Sequence, reference: str | bytes) -> float:
    if isinstance(triple, bytes):  # whose bytes are no degrees, minutes and seconds
        raise TypeError(f"{triple!r} is no position")
    degrees, minutes, seconds = map(_rational, triple)
    hemisphere = (
        (reference.decode("ascii", "replace") if isinstance(reference, bytes) else reference).strip("\0 ").upper()
    )
    if hemisphere not in ("N", "S", "E", "W"):
        raise ValueError(f"hemisphere {reference!r}")
    return (degrees + minutes / 60 + seconds / 3600) * (-1 if hemisphere in "SW" else 1)


def _rational(value: object) -> float:
    """A number of EXIF. Raises TypeError for text, whose characters float() would read as numbers."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _heading(gps: dict, xmp: bytes) -> tuple[float | None, bool]:
    """(degrees or None, whether it is of magnetic north)."""
    with contextlib.suppress(ValueError):
        if match := _POSE_HEADING.search(xmp):
            return within_circle(parse_decimal(match.group(1).decode())), False
    with contextlib.suppress(ValueError, TypeError, ArithmeticError, KeyError):
        heading = _rational(gps[_GPS.GPSImgDirection])
        if math.isfinite(heading):
            return within_circle(heading), str(gps.get(_GPS.GPSImgDirectionRef, "T")).upper().startswith("M")
    return None, False


def _time(gps: dict, details: dict, exif: Image.Exif) -> str:
    """When the photo was taken, in its own time zone. GPS's time is UTC, and comes last."""
    for text in (details.get(_BASE.DateTimeOriginal), exif.get(_BASE.DateTime), gps.get(_GPS.GPSDateStamp)):
        with contextlib.suppress(ValueError, ArithmeticError):
            if time := parse_time(str(text or "").strip("\0 ").replace("0000:00:00 00:00:00", "")):
                return time
    return ""


class ExifPhotos(torch.utils.data.Dataset):
    """Item i is the Photo of file i, or why it is Rejected. files: (path, key) of each."""

    def __init__(self, files: list[tuple[str, str]]):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index: int) -> Photo | Rejected:
        path, key = self.files[index]
        try:
            return read_exif(path, key, path)
        except Unusable as error:
            return Rejected(path, path, error.reason, error.detail)


def read_photos(paths: Sequence[str], num_workers: int = 0) -> tuple[list[Photo], list[Rejected]]:
    """Reads photos, and folders of photos, in the order of their names: (Photos, what is Rejected).

    Raises UserError if a path does not exist.
    """
    found = []  # (path, its name below the given path)
    for number, path in enumerate(paths):
        root = path if os.path.isdir(path) else os.path.dirname(path)
        found += [(photo, f"{number}/{os.path.relpath(photo, root)}") for photo in photos_below(path, EXTENSIONS)[0]]
    photos, rejected = [], []
    with Loader(ExifPhotos(found), num_workers) as loader:
        for record in tqdm(loader, desc="EXIF", unit="img", delay=2, disable=None):
            (photos if isinstance(record, Photo) else rejected).append(record)
    return photos, rejected


def refuse_swapped(photos: list[Photo]) -> None:
    """Raises UserError if a table has swapped latitude and longitude, as its photos' EXIF shows.

    If the whole set is swapped, the photos cannot be compared with each other. So some of them, spread over the set,
    are compared with their EXIF, and all must agree.
    """
    swapped = []
    for photo in photos[:: max(1, len(photos) // _COMPARED)]:
        with contextlib.suppress(Unusable):
            exif = read_exif(photo.path)
            as_it_is = max(abs(photo.latitude - exif.latitude), abs(photo.longitude - exif.longitude))
            if not max(abs(photo.latitude - exif.longitude), abs(photo.longitude - exif.latitude)) < _SAME < as_it_is:
                return
            swapped.append(photo)
    if swapped:
        raise UserError(
            f"{swapped[0].source}: latitude {swapped[0].latitude:g} and longitude {swapped[0].longitude:g} are "
            "swapped, as the "
            f"EXIF of {swapped[0].path} shows, and so are the others; name the columns with --latitude_column and "
            "--longitude_column (GeoJSON's coordinates are longitude, latitude)"
        )
