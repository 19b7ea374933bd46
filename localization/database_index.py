"""A database's descriptors, names and positions, as localize.py needs them: with or without the images.

An index is a descriptor store (retrieval.store). It is found by what decides a photo's neighbours: the network's
weights, the images, and the size that they were resized to. What changes only the last bits (batch size, device,
threads, versions) does not matter.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from datasets.image_names import ImageNames
from datasets.images import have_decoders_come
from datasets.pack.reading import original_folder
from datasets.test_dataset import ImageFolder
from localization.places import Places, keep_places, load_places, places_of_names, within
from localization.zones import Zone, in_zone, to_latlon
from retrieval.identity import images_digest
from retrieval.store import DescriptorStore, FolderStore
from retrieval.store_header import header_path, read_header
from retrieval.store_names import restore_names
from support.errors import UserError
from support.locks import FileLock

logger = logging.getLogger(__name__)

# what reading a damaged header raises
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class DamagedIndex(UserError):
    """An index that is there and cannot be used."""


@dataclass
class DatabaseIndex:
    """The descriptors of a database and where its images are."""

    store: DescriptorStore  # complete
    names: ImageNames  # in the order of the store's rows
    positions: np.ndarray  # float64 (n, 2), metres
    zone: Zone | None = None  # UTM zone of all; None: the names say it
    rows: np.ndarray | None = None  # int64 (m,), ascending, the images that are searched; None: all

    def narrow(self, latitude: float, longitude: float, radius: float) -> None:
        """Searches only the images within a radius of a point (degrees, metres). Raises UserError if there is none."""
        rows = within(Places(self.positions, self.zone), self.names, latitude, longitude, radius)
        self.rows = np.setdiff1d(rows, list(self.store.unreadable))
        logger.info(f"{len(self.rows)} of the {len(self.names)} images of the database are searched (--near)")
        if not len(self.rows):
            raise UserError(f"none of the {len(rows)} images of the database within --near can be read")

    @property
    def searched_positions(self) -> np.ndarray:
        """The positions of the images that are searched: float64 (m, 2), metres."""
        return self.positions if self.rows is None else self.positions[self.rows]

    def excluded(self) -> Collection[int]:
        """The images that are never retrieved."""
        if self.rows is None:
            return self.store.unreadable
        return np.setdiff1d(np.arange(self.store.num_images), self.rows)

    def to_latlon(self, east: float, north: float, row: int) -> tuple[float | None, float | None, str | None]:
        """(latitude, longitude, zone) of a point in metres, near the image of a row. None: they are not known."""
        if self.zone:
            return in_zone(east, north, self.zone) or (None, None, None)
        return to_latlon(east, north, self.names[row])


@dataclass(frozen=True)
class WantedIndex:
    """Which index is looked for."""

    weights: str  # identity.weights_digest of the network
    resize: int | None = None  # pixels of the shorter side; None: the images' own size
    images: ImageFolder | None = None  # of the database; None: the images are not there
    places: Places | None = None  # of the images; None: their names say it
    database_folder: str | None = None  # where the images are, or were; None: any database
    strict: bool = False  # do not build a second index of this database for another network or size


@contextlib.contextmanager
def open_index(
    folder: str, wanted: WantedIndex, build: Callable[[], AbstractContextManager[DescriptorStore]] | None = None
) -> Iterator[DatabaseIndex]:
    """Opens the index of a database, and builds it if it is missing, or damaged and the images are there.

    folder: holds indices, or is an index; build: gives a context manager with a complete store of wanted.images.
    Raises UserError if the index is missing or damaged and cannot be built, or may not be.
    """
    places = wanted.places
    if places is None and wanted.images is not None:
        places = places_of_names(wanted.images.names)  # before hours of extraction
    path = _find(folder, wanted)
    with contextlib.ExitStack() as stack:
        try:
            if path is not None:
                store, names = stack.enter_context(_opened(path, wanted.images))
                logger.info(f"The index of {store.num_images} images is read from {path}")
        except DamagedIndex as error:
            if wanted.images is None:
                raise
            logger.warning(f"The index {path} is damaged ({error.__cause__}): building it again")
            path = None
        if path is None:
            store, names = stack.enter_context(build()), wanted.images.names
        if store.unreadable:
            logger.warning(
                f"{len(store.unreadable)} of {store.num_images} images of the database could not be read and are never "
                "retrieved"
            )
        if len(store.unreadable) == store.num_images:
            raise UserError(
                f"none of the {store.num_images} images of the database can be read "
                f"({next(iter(store.unreadable.values()))})"
            )
        if places is None:
            places = load_places(path, names)
        elif store.folder:
            keep_places(store.folder, places)
        yield DatabaseIndex(store, names, places.points, places.zone)


def _find(folder: str, wanted: WantedIndex) -> str | None:
    """The path of the index, or None if it is to be built. Raises UserError as open_index."""
    kept = dict(_kept(folder))
    images, database_folder = wanted.images, wanted.database_folder
    if images is not None:
        database_folder, digest = images.folder, images_digest(images)
    if database_folder is not None:
        real = original_folder(database_folder)
        kept = {
            path: header
            for path, header in kept.items()
            if header["identity"]["folder"] == real or (images is not None and header["identity"]["images"] == digest)
        }
    problem, fit = _unfit(kept, folder, wanted), _of(kept, wanted)
    if images is not None:
        if wanted.strict and not kept:  # the folder may be misspelt
            logger.info(f"--index_folder {folder} holds no index of {database_folder}: a new one is built there")
        if problem and not (wanted.strict and kept):
            return None
        fit = {
            path: header
            for path, header in fit.items()
            if header["identity"]["images"] == digest and not have_decoders_come(header["unreadable"].values())
        }
        if not problem and not fit:
            logger.info(f"{database_folder} has changed since its index in {folder} was built: rebuilding it")
            return None
    if problem:
        raise UserError(problem)
    path = max(fit, key=_last_used)
    if len({header["identity"]["images"] for header in fit.values()}) > 1:
        if len({header["identity"]["folder"] for header in fit.values()}) > 1:
            raise UserError(
                f"{folder} holds indices of several databases: name one with --database_folder, or as --index_folder "
                f"{' or '.join(sorted(fit)[:5])}"
            )
        logger.info(
            f"{folder} holds {len(fit)} indices of {fit[path]['identity']['folder']}, whose images have changed: the "
            "one that was used last is taken"
        )
    return path


def _unfit(kept: dict[str, dict], folder: str, wanted: WantedIndex) -> str:
    """Why none of the indices will do; "" if one does."""
    if not kept:
        return (
            f"{folder} holds no complete index of the database; "
            "name the folder of its images with --database_folder to build one"
        )
    path = max(kept, key=_last_used)
    if not any(header["identity"]["weights"] == wanted.weights for header in kept.values()):
        return (
            f"the index {path} was made with another model than --resume_model: give the model that it was made with "
            "(and its --whiten), or another --index_folder to build a new one"
        )
    if not _of(kept, wanted):
        sizes = sorted(
            {
                header["identity"]["settings"]["resize"] or 0
                for header in kept.values()
                if header["identity"]["weights"] == wanted.weights
            }
        )
        made = " or ".join(
            f"--resize_test_imgs --image_size {size}" if size else "images of their own size" for size in sizes
        )
        return (
            f"the index {path} was made with {made}: give the same flags, or another --index_folder to build a new one"
        )
    return ""


def _of(kept: dict[str, dict], wanted: WantedIndex) -> dict[str, dict]:
    """The indices of the wanted network and size."""
    return {
        path: header
        for path, header in kept.items()
        if header["identity"]["weights"] == wanted.weights and header["identity"]["settings"]["resize"] == wanted.resize
    }


def _kept(folder: str) -> Iterator[tuple[str, dict]]:
    """Yields (path, header) of every complete index in a folder, or of the folder itself if it is one.

    Warns of damaged ones. Raises UserError if the folder cannot be read.
    """
    try:
        paths = (
            [folder] if holds_index(folder) else sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
        )
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"--index_folder {folder} cannot be read: {error.strerror}") from error
    for path in paths:
        try:
            header = read_header(path)
            identity = header["identity"]
            # images with other images' colours ("changed") serve no photo
            if header["complete"] and "changed" not in identity["settings"]:
                # all are read here: a missing key counts as damage
                _ = identity["weights"], identity["folder"], identity["images"], identity["settings"]["resize"]
                _ = header["unreadable"].values()
                yield path, header
        except FileNotFoundError:
            continue
        except _DAMAGED as error:
            logger.warning(f"The index {path} cannot be used: {error or type(error).__name__}")


def holds_index(folder: str) -> bool:
    """Whether a folder is itself an index."""
    return os.path.exists(header_path(folder))


@contextlib.contextmanager
def _opened(path: str, images: ImageFolder | None = None) -> Iterator[tuple[DescriptorStore, ImageNames]]:
    """Opens a store and its names. Within the context no other process removes it. Raises DamagedIndex.

    path: of the store; images: its own, whose names replace damaged ones; None: they are not there
    """
    lock = FileLock(os.path.normpath(path) + ".lock")
    with contextlib.suppress(OSError):  # where nothing can be written, nothing can be removed
        lock.acquire(exclusive=False, reason=f"that writes {path}")
        os.utime(header_path(path))  # what _last_used reads
    try:
        try:
            store = FolderStore(path)
            if images is not None:
                restore_names(path, store.header["names"], images.names)
            names = store.names if images is None else images.names
            if len(names) != store.num_images:
                raise ValueError(f"it has {len(names)} names and {store.num_images} descriptors")
        except _DAMAGED as error:
            raise DamagedIndex(
                f"the index {path} is damaged ({error}); remove it, and rebuild it from the database's images"
            ) from error
        with contextlib.closing(store):
            yield store, names
    finally:
        lock.release()


def _last_used(path: str) -> float:
    return os.stat(header_path(path)).st_mtime
