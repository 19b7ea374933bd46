"""The folders of images in a data set, each of which becomes a pack, and the files beside them."""

import os
from dataclasses import dataclass, field

from datasets.names import check_folder, images_list_path
from datasets.pack.reading import INDEX, find_pack
from datasets.walk import IMAGE_EXTENSIONS
from support.errors import UserError

RECORD = "packing.json"  # beside what was packed, says of what
# folders of images, whatever is in them; _PAIRS: if both are there (Nordland and AmsterTime, as they are published)
_IMAGES = ("train", "database", "gallery", "panoramas", "lateral", "frontal")
_PAIRS = (("summer", "winter"), ("new", "old"))
_DEPTH = 3  # how many folders deep a data set may lie in the one that is named


@dataclass
class Layout:
    """What a data set has, as paths below it; "" is the data set itself."""

    packs: list[str] = field(default_factory=list)  # folders of images, or packs
    files: list[str] = field(default_factory=list)  # others


def find_layout(folder: str, whole: bool = False) -> Layout:
    """Finds the folders of images of a data set.

    A folder with train, val/database, val/queries and so on is taken apart into these; any other is one folder of
    images, with all its subfolders. Hidden files are skipped, and so are the lists beside folders of images, which the
    packs have.

    folder: of the data set, or of images
    whole: whether it is one folder of images, whatever its subfolders are called

    Raises UserError if it is missing, has no images, or is or has a pack.
    """
    check_folder(folder)
    layout = Layout()
    if whole:
        layout.packs.append("")
    else:
        _add(folder, "", layout, ())
    if not layout.packs:
        raise UserError(f"folder {folder} has no images ({', '.join('*' + e for e in IMAGE_EXTENSIONS)})")
    for below in layout.packs:
        path = os.path.join(folder, below) if below else folder
        if find_pack(path):
            raise UserError(f"{path} is a pack already; `python -m datasets.pack {path} --unpack FOLDER` unpacks it")
    return layout


def find_packs(folder: str) -> Layout:
    """Finds the packs of a data set, and the files beside them. Raises UserError if there is none."""
    check_folder(folder)
    layout = Layout()
    for path, folders, files in os.walk(folder):
        below = "" if path == folder else os.path.relpath(path, folder)
        folders.sort()
        if INDEX in folders:
            folders.clear()
            layout.packs.append(below)
        else:
            layout.files += [os.path.join(below, name) for name in sorted(files) if (below, name) != ("", RECORD)]
    if not layout.packs:
        raise UserError(f"{folder} is no pack, and there is none in it; `python -m datasets.pack FOLDER --output PACK`")
    return layout


def _add(folder: str, below: str, layout: Layout, above: tuple[str, ...]) -> None:
    """Adds what is in a folder of a data set. above: the real paths of the folders that led there."""
    path = os.path.join(folder, below) if below else folder
    above = (*above, os.path.realpath(path))
    if above[-1] in above[:-1]:  # links may lead round in circles
        return
    if _is_images(path):
        layout.packs.append(below)
        return
    folders, files = _entries(path)
    lists = {os.path.basename(images_list_path(os.path.join(path, name))) for name in folders}
    layout.files += [os.path.join(below, name) for name in files if name not in lists]
    for name in folders:
        _add(folder, os.path.join(below, name), layout, above)


def _is_images(path: str) -> bool:
    """Whether a folder is one of images, and no data set that is to be taken apart."""
    if os.path.exists(images_list_path(path)):
        return True
    if _is_taken_apart(path):
        return False
    return os.path.exists(os.path.join(path, INDEX)) or _has_image(path)


def _is_taken_apart(path: str, depth: int = _DEPTH) -> bool:
    folders, files = _entries(path)
    if any(name.lower().endswith(IMAGE_EXTENSIONS) for name in files):
        return False
    name = os.path.basename(os.path.realpath(path))
    if name in _IMAGES[1:] or name.startswith("queries"):
        return False
    if name == "train":  # CosPlace trains on all that is below it, EigenPlaces on the panoramas
        return "panoramas" in folders
    return (
        any(name in _IMAGES or name.startswith("queries") for name in folders)
        or any(set(pair) <= set(folders) for pair in _PAIRS)
        or any(os.path.exists(images_list_path(os.path.join(path, name))) for name in folders)
        or (depth > 0 and any(_is_taken_apart(os.path.join(path, name), depth - 1) for name in folders))
    )


def _has_image(path: str) -> bool:
    """Whether there is an image anywhere below a folder."""
    seen = set()
    for below, folders, files in os.walk(path, followlinks=True):
        if (real := os.path.realpath(below)) in seen:  # links may lead round in circles
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        if any(name.lower().endswith(IMAGE_EXTENSIONS) for name in files if not name.startswith(".")):
            return True
    return False


def _entries(path: str) -> tuple[list[str], list[str]]:
    """(the folders, the files) of a folder, sorted, without hidden ones."""
    folders, files = [], []
    try:
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            if not entry.name.startswith("."):
                (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise UserError(f"folder {path} cannot be read: {error.strerror}") from error
    return folders, files
