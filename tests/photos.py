"""Photos and panoramas for tests, with EXIF as phones and 360-degree cameras write it."""

import io
import os

import numpy as np
from PIL import Image

from tests.tiny import place_image

XMP = b'<x:xmpmeta><rdf:Description GPano:ProjectionType="equirectangular" GPano:PoseHeadingDegrees="%s"/></x:xmpmeta>'
HEIC_WITHOUT_DATA = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def save_photo(path, latitude=None, longitude=None, direction=None, reference="T", time=None, image=None, **options):
    """Writes a photo, by default 64 x 64 pixels, with position, direction and time in its EXIF. Returns the path."""
    exif = Image.Exif()
    gps = {}
    if latitude is not None:
        gps = {
            1: "S" if latitude < 0 else "N",
            2: _triple(latitude),
            3: "W" if longitude < 0 else "E",
            4: _triple(longitude),
        }
    if direction is not None:
        gps |= {16: reference, 17: direction}
    if gps:
        exif[0x8825] = gps
    if time:
        exif[0x8769] = {0x9003: time}
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    (image or place_image(len(path), 0, 0)).save(path, exif=exif, **options)
    return path


def _triple(value):
    value = abs(value)
    return float(int(value)), float(int(value % 1 * 60)), value * 60 % 1 * 60


def heading_panorama(width, height, centre):
    """A panorama of 360 degrees whose red and green are the sine and cosine of the heading, and whose blue is 255 at
    its upper edge and 0 at its lower. centre: the heading of its centre, degrees.
    """
    headings = np.radians(centre - 180 + 360 * (np.arange(width) + 0.5) / width)
    image = np.empty((height, width, 3))
    image[..., 0], image[..., 1] = 127.5 + 127.5 * np.sin(headings), 127.5 + 127.5 * np.cos(headings)
    image[..., 2] = 255 * (1 - (np.arange(height) + 0.5) / height)[:, None]
    return Image.fromarray(image.round().astype(np.uint8))


def headings_of(image):
    """What the pixels of (a part of) a heading_panorama say: (headings, degrees; distance from its upper edge, a share
    of its height).
    """
    red, green, blue = np.moveaxis(np.asarray(image).astype(float), 2, 0)
    return np.degrees(np.arctan2(red - 127.5, green - 127.5)) % 360, 1 - blue / 255


def angle_between(a, b):
    """The smaller difference of two headings, degrees."""
    return abs((np.asarray(a) - b + 180) % 360 - 180)


def photo(mode="RGB", size=(64, 48)):
    """A small picture, not of a place."""
    bands = Image.linear_gradient("L").resize(size), Image.radial_gradient("L").resize(size), Image.new("L", size, 90)
    return Image.merge("RGB", bands).convert(mode)


def encoded(image, kind="JPEG", **options):
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def save(data):
    """A function that writes these bytes to a path."""

    def make(path):
        with open(path, "wb") as file:
            file.write(data)

    return make


def block_scene(place):
    """A picture of many edges and corners, another for each place."""
    rng = np.random.default_rng(place)
    picture = np.full((120, 120, 3), 128, np.uint8)
    for _ in range(60):
        x, y = rng.integers(0, 110, 2)
        width, height = rng.integers(4, 25, 2)
        picture[y : y + height, x : x + width] = rng.integers(0, 256, 3)
    return picture
