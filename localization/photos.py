"""Reads a user's photos, of any size and format that Pillow opens, and the positions in their EXIF."""

import math
import os

from PIL import Image
from sklearn.metrics.pairwise import haversine_distances

from datasets import heif
from datasets.images import MIN_SIDE, NO_HEIC, ImageError, open_rgb
from datasets.pack.reading import is_image
from datasets.prepare.exif import read_exif
from datasets.prepare.records import Unusable
from datasets.test_dataset import ImageFolder
from localization.choices import MAX_PIXELS

_EARTH = 6_371_008.8  # metres, mean radius


class Photos(ImageFolder):
    """Photos as an ImageFolder. Those of more than MAX_PIXELS are reduced to so many, and then resized.

    paths: of the photos; resize: pixels of the shorter side; None: they are not resized.
    """

    def __init__(self, paths: list[str], resize: int | None = None):
        self.folder, self.resize, self.names = "the photos", resize, paths

    def path(self, index: int) -> str:
        """The path of a photo."""
        return self.names[index]

    @staticmethod
    def read(path: str) -> Image.Image:
        """The image of a file: RGB, upright. Raises ImageError."""
        if not os.path.exists(path) and not is_image(path):
            raise ImageError(_missing(path))
        return open_photo(path)

    def all_missing(self) -> dict[int, str]:
        """{index: reason} of all photos if none of them exists; {} if one does."""
        if any(os.path.exists(path) or is_image(path) for path in self.names):
            return {}
        return {index: _missing(path) for index, path in enumerate(self.names)}


def _missing(path: str) -> str:
    return f"there is no photo or folder {path!r}; check the path"


def open_photo(path: str) -> Image.Image:
    """Opens a photo as datasets.images.open_rgb, reduced to at most MAX_PIXELS. Raises ImageError.

    JPEGs are reduced while they are decoded.
    """
    image = open_rgb(path, MIN_SIDE, MAX_PIXELS)
    if image.width * image.height > MAX_PIXELS:
        scale = (MAX_PIXELS / (image.width * image.height)) ** 0.5
        image = image.resize(
            (max(1, int(image.width * scale)), max(1, int(image.height * scale))), Image.Resampling.BILINEAR
        )
    return image


def describe_lack(paths: list[str]) -> str:
    """A line on photos that need a package which is not installed; "" if none does."""
    heic = [path for path in paths if path.lower().endswith(heif.HEIC_EXTENSIONS)]
    if not heic or heif.decoder():
        return ""
    return f"{len(heic)} of the photos cannot be read, the first {heic[0]!r}: {NO_HEIC}"


def read_position(path: str) -> tuple[float, float] | None:
    """Reads (latitude, longitude), in degrees, from a photo's EXIF; None if they are not there."""
    try:
        photo = read_exif(path)
        return photo.latitude, photo.longitude
    except Unusable:
        return None


def distance(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Metres between two points (latitude, longitude), in degrees, on a sphere: 0.6% off at most."""
    radians = [[math.radians(degrees) for degrees in point] for point in (first, second)]
    return float(haversine_distances(radians)[0, 1]) * _EARTH
