"""Finding a user's photos among files and folders."""

import os
from collections.abc import Iterable

from PIL import Image

from support.errors import UserError

_HEIC = (".heic", ".heif", ".avif")  # photos too, though they may not be read: named, not skipped


def find_photos(paths: Iterable[str]) -> tuple[list[str], int]:
    """Finds the photos among files and folders: (paths of the photos, number of other files in the folders).

    A file is taken as it is. Folders are searched, in order, for files with the extension of an image format; hidden
    files are skipped. Raises UserError if a path is missing or there is no photo.
    """
    Image.init()
    extensions = {
        extension for extension, format_ in Image.registered_extensions().items() if format_ in Image.OPEN
    } | set(_HEIC)
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
        raise UserError(
            f"there is no photo in {', '.join(map(repr, paths))}" + (f", only {others} other files" if others else "")
        )
    return photos, others
