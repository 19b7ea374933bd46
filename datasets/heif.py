"""HEIC, HEIF and AVIF, the files of phones: which of them a file is, what it claims, and the decoder of HEIC."""

import functools
import re
import struct
from collections.abc import Callable
from typing import BinaryIO

from PIL import Image

HEIC_EXTENSIONS = (".heic", ".heif", ".hif")
EXTENSIONS = (*HEIC_EXTENSIONS, ".avif")
_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_MAX_TYPE_BOX = 512  # bytes; files have a few brands, at 4 bytes each
_SIZE_BOX = re.compile(rb"ispe\0\0\0\0(.{8})", re.DOTALL)
# earlier versions of libheif decode pictures larger than the file claims
_LIBHEIF = (1, 23)


def kind(file: BinaryIO) -> str:
    """Tells whether a file is "HEIF" (HEIC is one of its kinds) or "AVIF", by its first box; "" for all others.

    file: that can seek; it is left at its beginning.
    """
    file.seek(0)
    beginning = file.read(8)
    size = struct.unpack(">I", beginning[:4])[0] if beginning[4:] == b"ftyp" else 0
    box = file.read(min(size, _MAX_TYPE_BOX) - 8) if size > 8 else b""
    file.seek(0)
    brands = {box[at : at + 4] for at in range(0, len(box), 4) if at != 4}  # the second is a version
    return "AVIF" if brands & _AVIF else "HEIF" if brands & _HEIF else ""


def largest_claim(file: BinaryIO) -> tuple[int, int]:
    """Reads the largest (width, height) that a HEIF file claims for a picture in it, before cropping; (0, 0) if none.

    A picture that is cropped in the end is first decoded whole.
    """
    file.seek(0)
    claims = [struct.unpack(">II", match.group(1)) for match in _SIZE_BOX.finditer(file.read())]
    file.seek(0)
    return max(claims, key=lambda size: size[0] * size[1], default=(0, 0))


@functools.cache
def decoder() -> Callable[[BinaryIO], Image.Image] | None:
    """Finds pillow-heif's decoder of a HEIF file; None where it is not installed, or has an early libheif."""
    try:
        import pillow_heif
    except ImportError:
        return None
    version = tuple(int(part) for part in pillow_heif.libheif_version().split(".")[:2])
    return pillow_heif.HeifImageFile if version >= _LIBHEIF else None
