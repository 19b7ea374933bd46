"""A user's photos as images: any size and format that Pillow opens, and where their EXIF says they were taken."""

import math

from PIL import Image
from sklearn.metrics.pairwise import haversine_distances

from datasets.images import MIN_SIDE, open_rgb
from datasets.prepare.exif import read_exif
from datasets.prepare.records import Unusable
from datasets.test_dataset import ImageFolder

MAX_PIXELS = 1 << 21  # of what the network sees; larger photos are reduced to so many: a VGG-16 takes 2 GB for them
_EARTH = 6_371_008.8  # metres, mean radius


class Photos(ImageFolder):
    """Photos as an ImageFolder. Those of more than MAX_PIXELS are reduced to so many, before they are resized if they
    are to be.

    paths: of the photos; resize: pixels of the shorter side, or None for their own size.
    """

    def __init__(self, paths: list[str], resize: int | None = None):
        self.folder, self.resize, self.names = "the photos", resize, paths

    def path(self, index: int) -> str:
        return self.names[index]

    @staticmethod
    def read(path: str) -> Image.Image:
        return open_photo(path)


def open_photo(path: str) -> Image.Image:
    """As datasets.images.open_rgb, an image of at most MAX_PIXELS; raises ImageError. JPEGs are reduced while they are
    decoded.
    """
    image = open_rgb(path, MIN_SIDE, MAX_PIXELS)
    if image.width * image.height > MAX_PIXELS:
        scale = (MAX_PIXELS / (image.width * image.height)) ** 0.5
        image = image.resize(
            (max(1, int(image.width * scale)), max(1, int(image.height * scale))), Image.Resampling.BILINEAR
        )
    return image


def read_position(path: str) -> tuple[float, float] | None:
    """(latitude, longitude) in degrees of a photo's EXIF, or None if it has none."""
    try:
        photo = read_exif(path)
        return photo.latitude, photo.longitude
    except Unusable:
        return None


def distance(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Metres between two (latitude, longitude) in degrees, on a sphere: within 0.6% of the ellipsoid's."""
    radians = [[math.radians(degrees) for degrees in point] for point in (first, second)]
    return float(haversine_distances(radians)[0, 1]) * _EARTH
