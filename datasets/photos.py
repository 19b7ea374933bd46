"""A user's photos: any size and format that Pillow opens, anywhere."""

import math
import os
import warnings

from PIL import Image, JpegImagePlugin
from sklearn.metrics.pairwise import haversine_distances

from datasets.images import ImageError, open_rgb
from datasets.prepare import read_gps
from datasets.test_dataset import ImageFolder
from model.errors import UserError

MAX_PIXELS = 1 << 21  # of what the network sees; larger photos are reduced to so many: a VGG-16 takes 2 GB for them
MAX_JPEG_PIXELS = 1 << 28  # libjpeg reduces while it decodes, but holds all coefficients of a progressive file: 1.5 GB for so many
_EARTH = 6_371_008.8  # metres, mean radius
_HEIC = (".heic", ".heif", ".avif")  # formats of phones that Pillow may not open: named, not passed over


class Photos(ImageFolder):
    """Photos as an ImageFolder. Those of more than MAX_PIXELS are reduced to so many, before they are resized if they are to be.

    paths: of the photos; resize: pixels of the shorter side, or None for their own size.
    """

    def __init__(self, paths, resize=None):
        self.folder, self.resize, self.names = "the photos", resize, paths

    def path(self, index):
        return self.names[index]

    @staticmethod
    def read(path):
        return open_photo(path)


def find_photos(paths):
    """(the photos among files and folders, how many other files the folders hold): files are taken as they are, folders searched through
    for names of image formats, in order, hidden files passed over. Raises UserError when a path is missing or there is no photo."""
    Image.init()
    extensions = {extension for extension, format_ in Image.registered_extensions().items() if format_ in Image.OPEN} | set(_HEIC)
    photos, others = [], 0
    for path in paths:
        if not os.path.isdir(path):
            if not os.path.exists(path):
                raise UserError(f"there is no photo or folder {path!r}; check the path")
            photos.append(path)
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(name for name in files if not name.startswith(".")):
                if os.path.splitext(name)[1].lower() in extensions:
                    photos.append(os.path.join(folder, name))
                else:
                    others += 1
    if not photos:
        raise UserError(f"there is no photo in {', '.join(map(repr, paths))}" + (f", only {others} other files" if others else ""))
    return photos, others


def open_photo(path):
    """As datasets.images.open_rgb, in bounded memory: an RGB image of at most MAX_PIXELS, upright. Raises ImageError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # up to Pillow's own limit all is decoded
        image = open_rgb(_reduced_jpeg(path) or path)
    if image.width * image.height > MAX_PIXELS:
        scale = (MAX_PIXELS / (image.width * image.height)) ** 0.5
        image = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))), Image.Resampling.BILINEAR)
    return image


def _reduced_jpeg(path):
    """A large JPEG, to be decoded at 1/2, 1/4 or 1/8 of its size, but to no less than MAX_PIXELS; None for all else.

    Opened by its own class, since Image.open refuses 200-megapixel photos by their full size.
    """
    try:
        image = JpegImagePlugin.JpegImageFile(path)
    except Exception:  # no JPEG, or a damaged one: open_rgb says what is wrong
        return None
    pixels = image.width * image.height
    if pixels > MAX_JPEG_PIXELS:
        image.close()
        raise ImageError(f"it has {pixels / 1e6:.0f} megapixels, more than {MAX_JPEG_PIXELS / 1e6:.0f}; reduce it first")
    if pixels <= MAX_PIXELS:
        image.close()
        return None
    scale = (MAX_PIXELS / pixels) ** 0.5
    image.draft("RGB", (int(image.width * scale), int(image.height * scale)))
    return image


def read_position(path):
    """(latitude, longitude) in degrees of a photo's EXIF, or None if it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return read_gps(path)[:2]
    except (ImageError, Image.DecompressionBombError):
        return None


def distance(first, second):
    """Metres between two (latitude, longitude) in degrees, on a sphere: within 0.6% of the ellipsoid's."""
    radians = [[math.radians(degrees) for degrees in point] for point in (first, second)]
    return float(haversine_distances(radians)[0, 1]) * _EARTH
