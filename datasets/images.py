"""The one decoder: any file that Pillow opens, as an upright RGB image of 8 bits a channel.

It imports nothing of this project, so that hubconf.py can load it beside a user's own package called `datasets`.
"""

import os

import numpy as np
from PIL import ExifTags, Image, ImageOps

# EXIF orientation -> what makes the image upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}


class ImageError(Exception):
    """An image that cannot be read, and why, in a few words; the caller knows its path."""


def open_rgb(source):
    """Decodes a path, a file object or a PIL image to an upright RGB PIL image.

    EXIF rotation is applied. Gray, palette and CMYK images are converted, alpha is dropped, 16 bits a channel become 8.
    Raises ImageError for whatever cannot be decoded to its end (truncated files too: a half-gray photo is worse than none).
    """
    try:
        if isinstance(source, Image.Image):
            return _upright(_to_rgb(source), source)
        with Image.open(source) as image:
            image.load()
            return _upright(_to_rgb(image), image)
    except OSError as error:
        raise ImageError(error.strerror or str(error).replace(f" {source!r}", "")) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged files
        raise ImageError(f"{type(error).__name__}: {error}") from error


def to_array(image):
    """An RGB PIL image as uint8 (H, W, 3)."""
    return np.asarray(image)


class ImageRows:
    """Images of one size in one array, each the first of its candidates that can be read.

    count: how many; size: (width, height), pixels.
    """

    def __init__(self, count, size):
        self.size = size
        self.array = np.empty((count, size[1], size[0], 3), np.uint8)
        self.names = [""] * count  # of the images that were read
        self.unreadable = []  # (name, reason) of candidates that others replaced
        self.resized = []  # names of images that had another size

    def fill(self, row, folder, names, crop=False):
        """Decodes the first of `names` below `folder` that can be read into a row; False if none can.

        An image of another size is resized to this one, or with crop first cut centrally to its shape, and not counted as resized:
        for images that are not meant to be of one size.
        """
        for name in names:
            try:
                image = open_rgb(os.path.join(folder, name))
            except ImageError as problem:
                self.unreadable.append((name, str(problem)))
                continue
            if image.size != self.size and crop:
                image = ImageOps.fit(image, self.size, Image.Resampling.BILINEAR)
            elif image.size != self.size:
                self.resized.append(name)
                image = image.resize(self.size, Image.Resampling.BILINEAR)
            self.array[row], self.names[row] = to_array(image), name
            return True
        return False


def resize_shorter_side(image, size):
    """A PIL image resized so that its shorter side has `size` pixels (bilinear, antialiased), the aspect ratio kept."""
    width, height = image.size
    shorter, longer = sorted((width, height))
    if shorter == size:
        return image
    longer = int(size * longer / shorter)
    return image.resize((size, longer) if width <= height else (longer, size), Image.Resampling.BILINEAR)


def read_size(path):
    """(width, height) of an image as it is once upright, from its header alone. Raises ImageError."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            return (height, width) if _orientation(image) >= 5 else (width, height)
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except Exception as error:  # as above
        raise ImageError(f"{type(error).__name__}: {error}") from error


def _to_rgb(image):
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16 bits a channel; Pillow's own conversion would clip at 255
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values >> 8 if values.max(initial=0) > 255 else values).clip(0, 255).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _upright(rgb, original):
    orientation = _orientation(original)
    return rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb


def _orientation(image):
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF beside a sound image
        return 1
