"""Images that a program gives, and all photos of a folder, as ImageFolders."""

import io
import os
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
from PIL import Image

from datasets.image_names import ImageNames
from datasets.images import MIN_SIDE, open_rgb
from datasets.names import check_folder
from datasets.photos import find_photos
from datasets.test_dataset import ImageFolder

Source = str | os.PathLike[str] | IO[bytes] | Image.Image | np.ndarray


class GivenImages(ImageFolder):
    """Images of any kind, in the order in which they are given. A folder stands for the photos in it.

    images: one image or several: paths, folders, binary files, PIL images, or uint8 arrays (H, W, 3)
    resize: pixels of the shorter side; None: the images' own size

    Raises ValueError for anything else, and UserError for a folder without photos. A path that does not exist is an
    image that cannot be read.
    """

    def __init__(self, images: Source | Iterable[Source], resize: int | None = None):
        self.folder, self.resize, self.names = "the given images", resize, list(_sources(images))

    def path(self, index: int) -> Any:
        """The path of an image, or what stands for an image without one."""
        return self.names[index]

    @staticmethod
    def read(path: Any) -> Image.Image:
        """The image: RGB, upright. Raises ImageError."""
        return open_rgb(path.open() if isinstance(path, _Held) else path, MIN_SIDE)


class PhotoFolder(ImageFolder):
    """All photos below a folder, of every format that is read, in the order of datasets.photos.find_photos.

    folder: of the photos
    resize: pixels of the shorter side; None: the photos' own size

    others: number of files whose names are of no image format. Raises UserError if the folder is missing or has no
    photo.
    """

    def __init__(self, folder: str, resize: int | None = None):
        check_folder(folder)
        photos, self.others = find_photos([folder])
        self.folder, self.resize = folder, resize
        self.names = ImageNames.from_strings((os.path.relpath(photo, folder) for photo in photos), folder)


class _Held:
    """An image without a path. Messages call it by its number."""

    def __init__(self, image: IO[bytes] | Image.Image | np.ndarray, number: int):
        self.image, self.number = image, number

    def __repr__(self):
        return f"image {self.number}"

    def open(self) -> IO[bytes] | Image.Image:
        return Image.fromarray(self.image) if isinstance(self.image, np.ndarray) else self.image


def _sources(images: Source | Iterable[Source]) -> Iterator[str | _Held]:
    """The images one by one. Raises as GivenImages."""
    if _is_one(images):
        images = [images]
    elif not isinstance(images, Iterable):
        raise ValueError(f"images are of type {type(images).__name__}, and must be paths, PIL images or uint8 arrays")
    number = 0  # of the row that the next image gets
    for image in images:
        if isinstance(image, str | os.PathLike):
            path = os.fsdecode(image)
            found = find_photos([path])[0] if os.path.isdir(path) else [path]
            yield from found
            number += len(found)
            continue
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise ValueError(
                    f"image {number} is an array of {image.dtype} {image.shape}, and must be uint8 (height, width, 3)"
                )
        elif not _is_one(image):
            raise ValueError(
                f"image {number} is of type {type(image).__name__}, and must be a path, a PIL image or a uint8 array "
                "(height, width, 3)"
            )
        elif isinstance(image, io.TextIOBase):
            raise ValueError(f"image {number} is a file that is open for text: open it with mode 'rb'")
        yield _Held(image, number)
        number += 1


def _is_one(images: Any) -> bool:
    """Whether this is a single image or folder."""
    is_array = isinstance(images, np.ndarray) and images.ndim <= 3
    return is_array or isinstance(images, str | os.PathLike | Image.Image) or hasattr(images, "read")
