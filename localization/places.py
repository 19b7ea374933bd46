"""Where a database's images were taken: by their names, or by their EXIF or a table (localize.py --positions)."""

import dataclasses
import json
import logging
import math
import os
import re

import numpy as np
from tqdm import tqdm

from datasets.image_names import ImageNames
from datasets.names import positions
from datasets.prepare.exif import ExifPhotos, refuse_swapped
from datasets.prepare.positions import MAX_FROM_MERIDIAN, degrees_from_meridian, place_photos, project
from datasets.prepare.records import Photo, Rejected, Unusable, count_reasons
from datasets.prepare.tables import Table
from datasets.test_dataset import ImageFolder
from localization.choices import EXIF
from localization.zones import Zone, zone_of
from support.errors import UserError
from support.files import read_object, replacing
from support.workers import Loader

logger = logging.getLogger(__name__)

_FILE = "positions.json"  # in an index
_VERSION = 1
_BYTES = 64  # of a position in the file, at most
_ZONE = re.compile(r"([1-9]|[1-5][0-9]|60)([C-HJ-NP-X])")
_JSON = (".json", ".geojson")


@dataclasses.dataclass(frozen=True)
class Places:
    """The positions of a database's images, in the order of the images."""

    points: np.ndarray  # float64 (n, 2), metres
    zone: Zone | None = None  # UTM zone of all; None: the images' names have the positions


def places_of_names(names: ImageNames) -> Places:
    """Reads positions from `@` names. Raises UserError that names the first image without one."""
    try:
        return Places(positions(names))
    except UserError as error:
        raise UserError(
            f"{error}. Where names have no positions, give --positions FILE.csv or --positions exif"
        ) from error


def read_places(images: ImageFolder, source: str, num_workers: int = 0) -> tuple[ImageFolder, Places]:
    """Reads positions from EXIF or a table, and logs how many images have one.

    images: of the database, with any names
    source: "exif", or the path of a CSV or GeoJSON as `datasets.prepare` takes it; paths in it begin at the images'
        folder, or else at the table's
    num_workers: processes that read EXIF

    Returns (the images that have a position, their places in one UTM zone). Raises UserError if none has one, or if the
    table cannot be read.
    """
    if source != EXIF and not os.path.exists(source):
        raise UserError(f"{source} cannot be read: there is no such file; --positions takes exif, a CSV or a GeoJSON")
    photos, rejected, rows = (*_of_exif(images, num_workers), []) if source == EXIF else _of_table(images, source)
    placed, points, zone, misplaced = place_photos(photos) if photos else ([], np.empty((0, 2)), None, [])
    without = [*rejected, *misplaced]
    reasons = f"; {len(without)} have none, and are left out: {'; '.join(count_reasons(without))}" if without else ""
    reasons += f"; {len(rows)} rows of the table are not used: {'; '.join(count_reasons(rows))}" if rows else ""
    if not placed:
        raise UserError(f"no image of {images.folder} has a position in {source}{reasons}")
    logger.info(
        f"{len(placed)} of the {len(images)} images of {images.folder} have positions in {source}, "
        f"UTM zone {zone[0]}{zone[1]}{reasons}"
    )
    names = ImageNames.from_strings((photo.key for photo in placed), source=images.folder)
    return ImageFolder(images.folder, images.resize, names), Places(points, zone)


def _of_exif(images: ImageFolder, num_workers: int) -> tuple[list[Photo], list[Rejected]]:
    files = ExifPhotos([(images.path(index), name) for index, name in enumerate(images.names)])
    with Loader(files, num_workers) as loader:
        records = list(tqdm(loader, desc="EXIF", unit="img", delay=2, leave=False, disable=None))
    return (
        [record for record in records if isinstance(record, Photo)],
        [record for record in records if isinstance(record, Rejected)],
    )


class _DatabaseTable(Table):
    """A table of a database's images: a path begins at their folder, or else at the table's."""

    has_flags = False
    json_help = "the name of a GeoJSON ends in .geojson or .json"

    def _find_file(self, key: str) -> str:
        given = self.images_folder
        try:
            return super()._find_file(key)
        except Unusable as error:
            self.images_folder = os.path.dirname(self.path)
            try:
                return super()._find_file(key)
            except Unusable:
                raise error from None
        finally:
            self.images_folder = given


def _of_table(images: ImageFolder, path: str) -> tuple[list[Photo], list[Rejected], list[Rejected]]:
    """(images with a position, images without one, rows that are not used)."""
    table = _DatabaseTable(path, {}, images.folder)
    table.read_geojson() if path.lower().endswith(_JSON) else table.read_csv()
    try:
        refuse_swapped(table.photos)
    except UserError as error:
        raise UserError(f"{str(error).partition('; name the columns')[0]}; swap the columns' names") from error
    by_file = {}
    for photo in table.photos:
        by_file.setdefault(os.path.realpath(photo.path), photo)  # of two rows the first counts, as in datasets.prepare
    photos, rejected = [], []
    for index, name in enumerate(images.names):
        photo = by_file.pop(os.path.realpath(images.path(index)), None)
        if photo is None:
            rejected.append(Rejected(name, name, "no usable row in the table"))
        else:
            photos.append(dataclasses.replace(photo, key=name))
    return photos, rejected, table.rejected


def within(places: Places, names: ImageNames, latitude: float, longitude: float, radius: float) -> np.ndarray:
    """The images within a radius of a point: int64 (m,), ascending.

    places, names: of the database
    latitude, longitude: of the point, degrees
    radius: metres of the database's UTM zone

    Raises UserError if there is none, or if the database's zone is not known.
    """
    zone = places.zone or zone_of(names[0])
    if zone is None or not _ZONE.fullmatch(f"{zone[0]}{zone[1].upper()}"):
        raise UserError("--near needs the database's UTM zone, and the names of its images do not say it")
    rows = np.empty(0, np.int64)
    if degrees_from_meridian(np.array(longitude), zone[0]) <= MAX_FROM_MERIDIAN:
        centre = project(np.array([latitude]), np.array([longitude]), zone)
        rows = np.flatnonzero(np.hypot(*(places.points - centre).T) <= radius)
    if not len(rows):
        raise UserError(
            f"--near: no image of the database is within {radius:g} m of latitude {latitude:g}, longitude "
            f"{longitude:g}; its UTM zone is {zone[0]}{zone[1]}"
        )
    return rows


# --- kept in an index


def keep_places(folder: str, places: Places) -> None:
    """Keeps places in an index, for runs without the images; says so if other ones were there.

    folder: of the index; places: of its images. Where names have the positions, none are kept.
    """
    path = os.path.join(folder, _FILE)
    try:
        there = read_object(path, _largest(len(places.points))) if os.path.exists(path) else None
    except (OSError, ValueError):
        there = {}
    content = None
    if places.zone:
        points = places.points.tolist()
        content = {"version": _VERSION, "zone": "{}{}".format(*places.zone), "points": points}
    if there == content:
        return
    if there is not None:
        logger.info(f"The positions of the images have changed since the index {folder} was used last")
    try:
        if content is None:
            os.unlink(path)
            return
        with replacing(path) as temporary, open(temporary, "w") as file:
            json.dump(content, file)
    except (UserError, OSError) as error:
        logger.warning(f"The positions are not kept in the index, and serve this run: {error}")


def load_places(folder: str, names: ImageNames) -> Places:
    """Reads the places of an index: those kept in it, or those of its names. Raises UserError if they are damaged."""
    path = os.path.join(folder, _FILE)
    if not os.path.exists(path):
        return places_of_names(names)
    try:
        content = read_object(path, _largest(len(names)))
        zone = _ZONE.fullmatch(content["zone"])
        points = content["points"]
        if content["version"] != _VERSION or not zone or len(points) != len(names) or not all(map(_is_point, points)):
            raise ValueError("it has other points than the index has images")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error}): give --database_folder and --positions, which write it again"
        ) from error
    return Places(np.array(points, np.float64), (int(zone[1]), zone[2]))


def _largest(num_images: int) -> int:
    return 1000 + _BYTES * num_images


def _is_point(point: object) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(isinstance(value, float) and math.isfinite(value) and abs(value) < 1e9 for value in point)
    )
