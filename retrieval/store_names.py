"""The names.txt of a store of descriptors: a name a line (a backslash is written \\\\ and a line break \\n)."""

import hashlib
import logging
import os
from collections.abc import Iterable

import numpy as np

from datasets.image_names import ImageNames
from support.errors import UserError
from support.files import replacing
from support.regular_files import open_regular
from support.verified import verify_once

logger = logging.getLogger(__name__)

_FILE = "names.txt"


def names_path(folder: str) -> str:
    """The names.txt of a store."""
    return os.path.join(folder, _FILE)


def read_names(folder: str, digest: str) -> ImageNames:
    """Reads the names of a store. Raises ValueError unless they have this SHA-256, OSError if there is no such file."""
    with open_regular(names_path(folder)) as file:
        data = np.fromfile(file, np.uint8)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{names_path(folder)} is damaged")
    ends = np.flatnonzero(data == ord("\n"))
    names = ImageNames(data, np.concatenate([[0], ends[:-1] + 1]).astype(np.int64), ends, source=folder)
    if (data == ord("\\")).any():
        names = ImageNames.from_strings([_unescape(name) for name in names], source=folder)
    return names


def write_names(path: str, names: Iterable[str]) -> str:
    """Writes names, and returns their SHA-256 (hexadecimal). Raises OSError if the disk refuses."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for name in names:
            line = os.fsencode(name).replace(b"\\", b"\\\\").replace(b"\n", b"\\n") + b"\n"
            file.write(line)
            digest.update(line)
    return digest.hexdigest()


def restore_names(folder: str, digest: str, names: Iterable[str]) -> None:
    """Writes the names.txt of a store again if it is damaged. It is read only if it has changed since the last time.

    folder: the store
    digest: of its names
    names: of its images

    Raises ValueError if the names have another digest. A disk that refuses is warned of: the rows need no names.
    """
    path = names_path(folder)

    def compare(_: str) -> None:
        with open_regular(path) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise ValueError("its checksum is another")

    try:
        verify_once(folder, {_FILE: digest}, compare)
        return
    except FileNotFoundError:
        problem = f"{path} is missing"
    except (OSError, ValueError) as error:
        problem = f"{path} is damaged ({getattr(error, 'strerror', None) or error})"
    if os.path.isdir(path):  # no file can be renamed to it
        raise ValueError(problem)
    try:
        with replacing(path) as temporary:
            if write_names(temporary, names) != digest:
                raise ValueError(problem)
    except UserError as error:
        logger.warning(f"{problem}; the descriptors serve this run all the same: {error}")
        return
    logger.warning(f"{problem}: it is written again, from the names of the images")


def _unescape(name: str) -> str:
    return "\\".join(part.replace("\\n", "\n") for part in name.split("\\\\"))
