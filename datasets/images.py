"""The decoder of all images: photos of the usual formats become upright RGB images with 8 bits per channel."""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, features

from datasets import heif
from datasets.pack.reading import open_image
from support.errors import TOO_MANY_FILES
from support.memory import is_out_of_memory

# the fewest pixels along a side of a test image: every backbone then gives at least one feature
MIN_SIDE = 32
# panoramas of 200 megapixels exist, and Pillow's own limit is 179; at 4 bytes each, this is 1 GiB of a worker's memory
MAX_PIXELS = 2**28
# formats of photos; for some others that Pillow knows (EPS) it runs other programs
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF", "JPEG2000")
NO_HEIC = "it is HEIC: pip install -r requirements-heif.txt"
_NO_AVIF = "it is AVIF: pip install --upgrade Pillow (11.3 or newer reads it)"
_BEGINNING = 16  # bytes that identify the format
# EXIF orientation -> what makes the image upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(Exception):
    """Why an image cannot be read, in a few words. The caller knows its path."""


class NoDecoderError(ImageError):
    """The image may be sound, and what decodes its format is not installed."""


def open_rgb(
    source: str | os.PathLike | BinaryIO | Image.Image, min_side: int = 1, enough_pixels: int | None = None
) -> Image.Image:
    """Decodes a path, a file object or a PIL image to an upright RGB PIL image.

    The rotation that EXIF or HEIC names is applied. Gray, palette and CMYK images are converted, alpha is dropped, 16
    bits per channel become 8, and of several frames the first is taken.

    source: what to decode
    min_side: the fewest pixels along a side
    enough_pixels: a larger JPEG is decoded at 1/2, 1/4 or 1/8 of its size, to no fewer pixels

    Raises NoDecoderError for HEIC and AVIF without their decoder, ImageError for anything else that cannot be decoded
    completely. Truncated files count: a photo that is half gray is worse than none. Images with more than MAX_PIXELS,
    images with fewer than min_side pixels along a side, and what is no regular file are refused before any pixel is
    decoded.
    """
    with open_header(source) as image:
        if min(image.size) < min_side:
            raise ImageError(f"it has {image.width} x {image.height} pixels, fewer than {min_side} along a side")
        # of a HEIC it would take a thumbnail, whose sharpness is not known
        if enough_pixels and image.width * image.height > enough_pixels and image.format != "HEIF":
            scale = (enough_pixels / (image.width * image.height)) ** 0.5
            image.draft("RGB", (round(image.width * scale), round(image.height * scale)))  # other formats skip it
        image.load()
        return _upright(_to_rgb(image), image)


def have_decoders_come(reasons: Iterable[str]) -> bool:
    """Whether one of the reasons why images could not be read was a decoder that is there by now."""
    reasons = set(reasons)
    return (NO_HEIC in reasons and heif.decoder() is not None) or (_NO_AVIF in reasons and features.check("avif"))


def to_array(image: Image.Image) -> np.ndarray:
    """Views an RGB PIL image as uint8 (H, W, 3)."""
    return np.asarray(image)


class ImageRows:
    """Images of one size in one array. For each row, the first candidate that can be read is taken.

    count: number of rows; size: (width, height), pixels.
    """

    def __init__(self, count: int, size: tuple[int, int]):
        self.size = size
        self.array = np.empty((count, size[1], size[0], 3), np.uint8)
        self.names = [""] * count  # of the images that were read
        self.unreadable = []  # (path, reason) of candidates that others replaced
        self.resized = []  # paths of images that had another size

    def fill(
        self,
        row: int,
        folder: str,
        names: Iterable[str],
        crop: bool = False,
        cut: Callable[[Image.Image, str], Image.Image] | None = None,
    ) -> bool:
        """Decodes the first readable image of `names` into a row; False if none can be read.

        row: of the array
        folder: of the names
        names: candidates, in order
        crop: whether an image of another size is first cut centrally to this shape; it then does not count as resized
        cut: from an image and its name to the part of it that is taken; an ImageError of it counts as unreadable

        An image of another size is resized. An image with fewer than MIN_SIDE pixels along a side counts as unreadable,
        unless this size is so small.
        """
        for name in names:
            path = os.path.join(folder, name)
            try:
                with within_memory():
                    image = open_rgb(path, min(MIN_SIDE, *self.size))
                    image = cut(image, name) if cut else image
                    has_another_size = image.size != self.size
                    if has_another_size and crop:
                        image = ImageOps.fit(image, self.size, Image.Resampling.BILINEAR)
                    elif has_another_size:
                        image = image.resize(self.size, Image.Resampling.BILINEAR)
                    self.array[row], self.names[row] = to_array(image), name
            except ImageError as problem:
                self.unreadable.append((path, str(problem)))
                continue
            if has_another_size and not crop:
                self.resized.append(path)
            return True
        return False


def resize(image: Image.Image, size: int | tuple[int, int]) -> Image.Image:
    """Resizes a PIL image (bilinear, antialiased): its shorter side to one number of pixels, or to (height, width).

    Raises ImageError as resize_shorter_side does.
    """
    if isinstance(size, int):
        return resize_shorter_side(image, size)
    height, width = size
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.BILINEAR)


def resize_shorter_side(image: Image.Image, size: int) -> Image.Image:
    """Resizes a PIL image so that its shorter side has `size` pixels (bilinear, antialiased); keeps the aspect ratio.

    Raises ImageError for a strip that would have more than MAX_PIXELS.
    """
    width, height = image.size
    shorter, longer = sorted((width, height))
    if shorter == size:
        return image
    longer = int(size * longer / shorter)
    if size * longer > MAX_PIXELS:
        raise ImageError(f"it has {width} x {height} pixels, and would have {size} x {longer}")
    return image.resize((size, longer) if width <= height else (longer, size), Image.Resampling.BILINEAR)


def read_size(path: str | os.PathLike) -> tuple[int, int]:
    """Reads (width, height) of an image as it is once upright, from its header alone. Raises ImageError."""
    with open_header(path) as image:
        width, height = image.size
        if image.format == "TIFF":  # newer versions of Pillow give its size as it is once upright
            width, height = (image.tag_v2[tag] for tag in (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength))
        return (height, width) if _orientation(image) >= 5 else (width, height)


@contextlib.contextmanager
def within_memory() -> Iterator[None]:
    """A context for the work on one image: where memory does not do, that is the image's error. Raises ImageError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ImageError("it does not fit into the memory that is left") from error


@contextlib.contextmanager
def open_header(source: str | os.PathLike | BinaryIO | Image.Image) -> Iterator[Image.Image]:
    """The PIL image of a path or a file object, with only its header read. Errors inside become ImageErrors.

    A PIL image is passed on: whoever opened it has accepted its size.
    """
    image = None
    try:
        with within_memory(), contextlib.ExitStack() as stack:
            stack.enter_context(_without_warnings())
            if isinstance(source, Image.Image):
                yield source
                return
            is_path = isinstance(source, str | bytes | os.PathLike)
            image = _identify(stack.enter_context(open_image(source)) if is_path else source)
            _check_size(*image.size)
            yield stack.enter_context(image)
    except ImageError:
        raise
    except OSError as error:
        if error.errno in TOO_MANY_FILES:  # the image may be sound
            raise
        raise ImageError(error.strerror or str(error)) from error
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged files
        name = "its HEIC data are damaged" if image and image.format == "HEIF" else type(error).__name__
        raise ImageError(f"{name}: {' '.join(str(error).split())}") from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(f"it claims {width} x {height} pixels; more than {MAX_PIXELS} are not decoded")


def _identify(file: BinaryIO) -> Image.Image:
    """Opens as Image.open does, but only _FORMATS, and without its limit of pixels, which is the whole process's."""
    try:
        file.seek(0)
    except (AttributeError, io.UnsupportedOperation):  # as a connection's
        file = io.BytesIO(file.read())
    beginning = file.read(_BEGINNING)
    kind = heif.kind(file)
    if kind == "HEIF":
        return _open_heif(file)
    for name in [kind] if kind else _FORMATS:
        for load_plugins in (Image.preinit, Image.init):
            if name not in Image.OPEN:
                load_plugins()
        factory, accept = Image.OPEN.get(name, (None, None))
        if accept and accept(beginning) is True:
            return factory(file, "")
    if kind:
        raise NoDecoderError(_NO_AVIF)
    raise ImageError("cannot identify image file: it " + (f"begins with {beginning!r}" if beginning else "is empty"))


def _open_heif(file: BinaryIO) -> Image.Image:
    """The image of a HEIF file, with only its header read; it is upright once decoded. Raises ImageError."""
    decoder = heif.decoder()
    if not decoder:
        raise NoDecoderError(NO_HEIC)
    _check_size(*heif.largest_claim(file))
    try:
        return decoder(file, "")
    except SyntaxError as error:
        raise ImageError(f"its HEIC data are damaged: {' '.join(str(error).split())}") from error


def _without_warnings() -> contextlib.AbstractContextManager:
    """A context without Pillow's warnings about EXIF and the like.

    Filters belong to the process, and only its main thread may change them. In workers the main thread decodes.
    """
    is_main = threading.current_thread() is threading.main_thread()
    return warnings.catch_warnings(action="ignore") if is_main else contextlib.nullcontext()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16 bits a channel; Pillow's own conversion would clip at 255
        values = np.asarray(image)
        return Image.fromarray(
            (values >> 8 if values.max(initial=0) > 255 else values).clip(0, 255).astype(np.uint8)
        ).convert("RGB")
    if image.mode == "F":
        raise ImageError("its pixels are floating-point numbers, whose range is not known")
    return image.convert("RGB")


def _upright(rgb: Image.Image, original: Image.Image) -> Image.Image:
    orientation = _orientation(original)
    return rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF beside a sound image
        return 1
