"""Keeps local features of database images between runs: a file for each image and matcher, up to a total size.

A file has a line of JSON (names, types and shapes of arrays, and the CRC-32 of their bytes), then these bytes. It is
written beside its place and renamed there, so processes may share a folder. Reading one cannot run code.
"""

import contextlib
import hashlib
import json
import logging
import math
import os
import zlib
from typing import BinaryIO

import numpy as np

from datasets.pack.reading import stat_image
from support.errors import UserError
from support.files import parse_object, remove_temporaries, replacing
from support.regular_files import open_regular
from support.verified import settled

logger = logging.getLogger(__name__)

FOLDER = os.path.join("cache", "local_features")
KINDS = "fiub"  # of numpy's types: numbers and truth values
_LONGEST_LINE = 1 << 16  # bytes
_LEFT = 0.9  # share of the limit that is left when the least recently used go, so that they do not go one by one
_LOOK = 0.05  # share of the limit that a process writes before it looks at what others have written


class FeatureStore:
    """The features of one matcher, in a folder that other matchers and processes use too.

    folder: of all features
    limit: bytes that it may hold
    identity: what the features depend on, apart from the image
    """

    def __init__(self, folder: str, limit: int, identity: str):
        self.folder, self.limit = folder, limit
        self._own = os.path.join(folder, hashlib.sha256(identity.encode()).hexdigest()[:16])
        self._refused = False
        try:
            os.makedirs(self._own, exist_ok=True)
            remove_temporaries(self._own)
        except OSError as error:
            self._refuse(error.strerror)
        self._make_room()

    def get(self, image: str) -> dict[str, np.ndarray] | None:
        """The features of an image, by its path; None if they are not there, or damaged, or the image has changed."""
        path = self._path(image)
        if path is None:
            return None
        try:
            features = _read(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning(f"The local features in {path} cannot be used ({error}): computing them again")
            return None
        with contextlib.suppress(OSError):  # another user's; or removed meanwhile
            os.utime(path)  # by which the least recently used are found
        return features

    def put(self, image: str, features: dict[str, np.ndarray]) -> None:
        """Keeps the features of an image, unless they or the folder are too large, or the image has just changed."""
        path = self._path(image)
        size = sum(array.nbytes for array in features.values())
        if path is None or size > self.limit or self._refused:
            return
        try:
            with replacing(path, synced=False) as temporary, open(temporary, "wb") as file:
                _write(file, features)
                self._new += file.tell()
        except UserError as error:
            self._refuse(str(error))
        if self._new > _LOOK * self.limit or self._size + self._new > self.limit:
            self._make_room()
            if self._size > self.limit:  # what lies there cannot be removed
                self._refuse("it holds more than --rerank_store_gb, and nothing of it may be removed")

    def _refuse(self, reason: str) -> None:
        self._refused = True
        logger.warning(f"Local features are not kept: {self.folder} cannot be used ({reason})")

    def _path(self, image: str) -> str | None:
        """Where the features of an image are; None for one that is missing or may still change."""
        try:
            status = stat_image(image)
        except OSError:
            return None
        if not settled(status.st_mtime_ns):
            return None
        identity = f"{os.path.realpath(image)}\n{status.st_size} {status.st_mtime_ns}"
        return os.path.join(self._own, hashlib.sha256(os.fsencode(identity)).hexdigest()[:32])

    def _entries(self) -> list[tuple[float, int, str]]:
        """(when last used, bytes, path) of all features in the folder."""
        found = []
        with contextlib.suppress(OSError):
            for matcher in os.scandir(self.folder):
                with contextlib.suppress(OSError):  # removed meanwhile, or no folder
                    for entry in os.scandir(matcher.path):
                        with contextlib.suppress(OSError):
                            status = entry.stat(follow_symlinks=False)
                            found.append((status.st_mtime, status.st_size, entry.path))
        return found

    def _make_room(self) -> None:
        """Removes the least recently used features, of any matcher, if the folder holds too much."""
        entries = sorted(self._entries())
        self._size, self._new = sum(size for _, size, _ in entries), 0  # bytes; those written since
        if self._size <= self.limit:
            return
        for _, size, path in entries:
            if self._size <= _LEFT * self.limit:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
                self._size -= size


def _write(file: BinaryIO, features: dict[str, np.ndarray]) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in features.items()}
    data = b"".join(array.tobytes() for array in arrays.values())
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    line = json.dumps({"arrays": shapes, "crc32": _checksum(shapes, data)}).encode() + b"\n"
    if len(line) > _LONGEST_LINE:
        raise UserError(f"{len(arrays)} arrays of one image are too many")
    file.write(line + data)


def _checksum(shapes: dict, data: bytes) -> int:
    """Of what the first line says of the arrays, and of their data."""
    return zlib.crc32(data, zlib.crc32(json.dumps(shapes).encode()))


def _read(path: str) -> dict[str, np.ndarray]:
    """The arrays in a file. Raises ValueError if it is damaged, OSError if it cannot be read."""
    with open_regular(path) as file:
        header = parse_object(file.readline(_LONGEST_LINE))
        data = file.read()
    if header.get("crc32") != _checksum(header.get("arrays"), data):
        raise ValueError("they have another checksum")
    features, begin = {}, 0
    try:
        for name, (kind, shape) in header["arrays"].items():
            dtype = np.dtype(kind)
            if dtype.kind not in KINDS:
                raise ValueError(f"{name} is of type {dtype}")
            end = begin + dtype.itemsize * math.prod(shape)
            features[name] = np.frombuffer(data[begin:end], dtype).reshape(shape).copy()
            begin = end
    except (KeyError, TypeError, AttributeError, SyntaxError) as error:
        raise ValueError("their first line is not one of ours") from error
    return features
