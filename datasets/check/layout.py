"""Finds the image folders of a data set."""

import os
from dataclasses import dataclass

from datasets.names import check_folder
from support.errors import UserError

TRAIN, DATABASE, QUERIES = "train", "database", "queries"


@dataclass(frozen=True)
class Part:
    """An image folder of a data set.

    name: below the data set, for messages
    path: of the folder
    role: TRAIN, DATABASE or QUERIES
    test_set: name of the folder that database and queries share; "" for the data set itself; None for training images
        and for a single folder of images
    """

    name: str
    path: str
    role: str
    test_set: str | None = None


def find_parts(folder: str) -> tuple[list[Part], list[str]]:
    """Finds the Parts of a data set, and what is missing for training or evaluation.

    folder: a data set (train, val, test), a test set (database, queries...), or one folder of images, which is training
    images unless its name is database or queries. Raises UserError if there is no such folder.
    """
    check_folder(folder)
    inside = _folders(folder)
    if not set(inside) & {"train", "val", "test"}:
        if DATABASE in inside or any(name.startswith(QUERIES) for name in inside):
            return _test_set(folder, "")
        name = os.path.basename(os.path.realpath(folder))
        role = DATABASE if name == DATABASE else QUERIES if name.startswith(QUERIES) else TRAIN
        return [Part(name, folder, role)], []
    parts, missing = [], []
    if "train" in inside:
        parts.append(Part("train", os.path.join(folder, "train"), TRAIN))
    for name in ("val", "test"):
        if name in inside:
            found, lacking = _test_set(os.path.join(folder, name), name)
            parts, missing = parts + found, missing + lacking
        elif "train" in inside:
            missing.append(f"there is no folder {name}, and training needs train, val and test")
    return parts, missing


def _test_set(folder: str, name: str) -> tuple[list[Part], list[str]]:
    inside = _folders(folder)
    found = {
        DATABASE: [entry for entry in inside if entry == DATABASE],
        QUERIES: [entry for entry in inside if entry.startswith(QUERIES)],
    }
    parts = [
        Part(os.path.join(name, entry), os.path.join(folder, entry), role, name)
        for role, entries in found.items()
        for entry in entries
    ]
    return parts, [f"{folder} has no folder {role}" for role, entries in found.items() if not entries]


def _folders(folder: str) -> list[str]:
    """The names of the folders in a folder, sorted."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError as error:
        raise UserError(f"folder {folder} cannot be read: {error.strerror}") from error
