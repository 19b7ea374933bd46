"""A user's photos as images: any size and format that Pillow opens, and where their EXIF says they were taken."""

import math

from PIL import Image
from sklearn.metrics.pairwise import haversine_distances

from datasets.images import MIN_SIDE, open_rgb
from datasets.prepare.exif import read_exif
from datasets.prepare.records import Unusable
from datasets.test_dataset import ImageFolder
from localization.choices import MAX_PIXELS

_EARTH = 6_371_008.8  # metres, mean radius


class Photos(ImageFolder):
    """Photos as an ImageFolder. Those of more than MAX_PIXELS are reduced to so many, before they are resized if they
    are to be.

    paths: of the photos; resize: pixels of the shorter side, or None for their own size.
    """

    def __init__(self, paths, resize=None):
        self.folder, self.resize, self.names = "the photos", resize, paths

    def path(self, index):
        return self.names[index]

    @staticmethod
    def read(path):
        return open_photo(path)


def open_photo(path):
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


def read_position(path):
    """(latitude, longitude) in degrees of a photo's EXIF, or None if it has none."""
    try:
        photo = read_exif(path)
        return photo.latitude, photo.longitude
    except Unusable:
        return None


def distance(first, second):
    """Metres between two (latitude, longitude) in degrees, on a sphere: within 0.6% of the ellipsoid's."""
    radians = [[math.radians(degrees) for degrees in point] for point in (first, second)]
    return float(haversine_distances(radians)[0, 1]) * _EARTH
