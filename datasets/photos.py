"""Finding a user's photos among files and folders."""

import os
from collections.abc import Collection, Sequence

from PIL import Image

from datasets import heif
from datasets.pack.reading import INDEX, find_pack
from support.errors import UserError


def find_photos(paths: Sequence[str]) -> tuple[list[str], int]:
    """Finds the photos among files and folders: (paths of the photos, number of other files in the folders).

    A file is taken as it is, and so is a path that is missing: reading it is that photo's error. Folders are searched,
    in order, for files with the extension of an image format; hidden files are skipped. Raises UserError if there is
    no photo.
    """
    Image.init()
    formats = Image.registered_extensions().items()
    extensions = {extension for extension, format_ in formats if format_ in Image.OPEN} | set(heif.EXTENSIONS)
    photos, others = [], 0
    for path in paths:
        found, number = photos_below(path, extensions) if os.path.exists(path) else ([path], 0)
        photos += found
        others += number
    if not photos:
        raise UserError(
            f"there is no photo in {', '.join(map(repr, paths))}" + (f", only {others} other files" if others else "")
        )
    return photos, others


def photos_below(path: str, extensions: Collection[str]) -> tuple[list[str], int]:
    """(the photos at a path, how many other files are there): a file itself, whatever its name, or those of a folder.

    Folders are searched with all their subfolders, in the order of names; links are followed, hidden files and folders
    skipped. A pack counts as the folder that it was made of. extensions: of photos' names, in lower case. Raises
    UserError when the path is missing.
    """
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise UserError(f"there is no photo or folder {path!r}; check the path")
        return [path], 0
    photos, others, seen = [], 0, set()
    for folder, folders, files in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if (real := os.path.realpath(folder)) in seen:  # links may lead round in circles
            folders.clear()
            continue
        seen.add(real)
        if INDEX in folders and (pack := find_pack(folder)):
            folders.clear()
            names = [name for name in pack.names if os.path.splitext(name)[1].lower() in extensions]
            photos += [os.path.join(folder, name) for name in sorted(names, key=_as_walked)]
            continue
        for name in sorted(name for name in files if not name.startswith(".")):
            if os.path.splitext(name)[1].lower() in extensions:
                photos.append(os.path.join(folder, name))
            else:
                others += 1
    return photos, others


def _as_walked(name: str) -> list[tuple[bool, str]]:
    """What the images of a pack are sorted by to come in the order of their folder: its own files, then its folders."""
    *folders, file = name.split("/")
    return [(True, folder) for folder in folders] + [(False, file)]
