"""Makes images of photos: copied, linked, resized, or cut out of a panorama, under their `@` names."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import ImageOps

from datasets.images import (
    MIN_SIDE,
    ImageError,
    NoDecoderError,
    open_rgb,
    read_size,
    resize_shorter_side,
    within_memory,
)
from datasets.names import format_name
from datasets.pack.reading import find_image, open_image
from datasets.prepare.panoramas import Crops, looks_panoramic
from datasets.prepare.records import Photo, Rejected

METHODS = ("copy", "link", "hardlink")
_KEPT = (".jpg", ".jpeg", ".png")  # what is copied or linked as it is; others, as HEIC, become JPEGs
_QUALITY = 95  # of JPEGs that are written


@dataclass(frozen=True)
class Writing:
    """How photos become images.

    method: one of METHODS
    resize: shorter side that larger photos are resized to, pixels; None for their own size
    square: whether they are first cut centrally to squares
    crops: how panoramas are cut; None to leave them whole
    heading_offset: degrees added to every photo's heading
    """

    method: str = "copy"
    resize: int | None = None
    square: bool = False
    crops: Crops | None = None
    heading_offset: float = 0.0


@dataclass
class Done:
    """What was done with one photo."""

    names: list = field(default_factory=list)
    made: int = 0
    panoramic: bool = False
    rejected: Rejected | None = None
    error: str = ""  # why it cannot go on


class PhotoImages(torch.utils.data.Dataset):
    """A dataset whose item i makes the missing images of photo i, and says what was Done."""

    def __init__(
        self,
        photos: list[Photo],
        points: np.ndarray,
        zone: tuple[int, str],
        folders: list[str],
        building: str,
        writing: Writing,
    ):
        self.photos, self.points, self.zone, self.folders = photos, points, zone, folders
        self.building, self.writing = building, writing

    def __len__(self):
        return len(self.photos)

    def __getitem__(self, index: int) -> Done:
        photo, done = self.photos[index], Done()
        try:
            with within_memory():
                size = read_size(photo.path)
                if self.writing.crops and self.writing.crops.is_panorama(size):
                    self._cut(index, done)
                else:
                    done.panoramic = not self.writing.crops and looks_panoramic(size)
                    self._copy(index, done)
        except NoDecoderError as error:
            done.rejected = Rejected(photo.source, photo.path, str(error))
        except ImageError as error:
            done.rejected = Rejected(photo.source, photo.path, "an image that cannot be used", str(error))
        except OSError as error:  # a loader's worker would wrap it in a traceback
            done.error = refusal(error, self.building)
        return done

    def _cut(self, index: int, done: Done) -> None:
        photo, crops = self.photos[index], self.writing.crops
        heading = None if photo.heading is None else photo.heading + self.writing.heading_offset
        names = [
            self._name(index, None if heading is None else crop_heading, ".jpg", f"{number:02d}")
            for number, crop_heading in enumerate(crops.headings)
        ]
        if not all(map(os.path.exists, names)):
            for path, crop in zip(names, crops.cut(open_rgb(photo.path, MIN_SIDE), heading), strict=True):
                if not os.path.exists(path):
                    put(path, lambda temporary, crop=crop: crop.save(temporary, "JPEG", quality=_QUALITY))
                    done.made += 1
        done.names = [self._relative(index, path) for path in names]

    def _copy(self, index: int, done: Done) -> None:
        photo, method, resize, square = (
            self.photos[index],
            self.writing.method,
            self.writing.resize,
            self.writing.square,
        )
        extension = os.path.splitext(photo.path)[1].lower()
        encode = resize or square or extension not in _KEPT
        if encode and method != "copy":
            raise ImageError(
                f"a {extension or 'file'} cannot be linked, since images are {', '.join(_KEPT)}; "
                "--images copy makes a JPEG of it"
            )
        heading = None if photo.heading is None else photo.heading + self.writing.heading_offset
        path = self._name(index, heading, ".jpg" if encode else extension)
        if not os.path.lexists(path):
            image = open_rgb(photo.path, MIN_SIDE)  # decoded in any case, to refuse truncated files
            if encode:
                if square:
                    image = ImageOps.fit(image, (min(image.size),) * 2)
                if resize and min(image.size) > resize:
                    image = resize_shorter_side(image, resize)
                put(path, lambda temporary: image.save(temporary, "JPEG", quality=_QUALITY))
            elif method == "copy":
                put(path, lambda temporary: _copy_bytes(photo.path, temporary))
            elif find_image(photo.path):
                raise ImageError("an image of a pack cannot be linked; --images copy copies it")
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                (os.symlink if method == "link" else os.link)(os.path.realpath(photo.path), path)
            done.made = 1
        done.names = [self._relative(index, path)]

    def _name(self, index: int, heading: float | None, extension: str, tile: str = "") -> str:
        """The path of an image.

        The key's digest tells apart photos of one place, time and file name. Folders are a hundredth of a degree of
        latitude high, as SF-XL's.
        """
        photo, (east, north) = self.photos[index], self.points[index]
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", os.path.splitext(os.path.basename(photo.key))[0])[:40]
        pano_id = f"{stem}-{hashlib.sha256(photo.key.encode('utf-8', 'surrogateescape')).hexdigest()[:10]}"
        # never 360.00, which would be a bin of its own
        heading = None if heading is None else round(heading % 360, 2) % 360
        name = format_name(
            east,
            north,
            *self.zone,
            photo.latitude,
            photo.longitude,
            pano_id,
            tile,
            heading,
            timestamp=photo.time,
            extension=extension,
        )
        return os.path.join(self.building, self.folders[index], f"{photo.latitude:.2f}", name)

    def _relative(self, index: int, path: str) -> str:
        return os.path.relpath(path, os.path.join(self.building, self.folders[index]))


def _copy_bytes(path: str, target: str) -> None:
    if not find_image(path):
        shutil.copyfile(path, target)
        return
    with open_image(path) as source, open(target, "wb") as file:
        shutil.copyfileobj(source, file)


def refusal(error: OSError, building: str) -> str:
    """Why a file below `building` cannot be written, in one line."""
    return (
        f"{error.filename2 or error.filename or building} cannot be written: {error.strerror or error}; "
        "make room or rights, and run the same command again to go on"
    )


def put(path: str, write: Callable[[str], object]) -> None:
    """Calls write(temporary), and renames what it has written to path."""
    folder, base = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{base[-200:]}.tmp")  # hidden: no walk takes it for an image
    write(temporary)
    os.replace(temporary, path)
