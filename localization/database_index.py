"""A database's descriptors, names and positions, as localize.py needs them: with the database's images, or without
them.

An index is a descriptor store (retrieval.store), found by what matters to a photo's neighbours: the network's weights,
the images, and the size that they were resized to. What changes the last bits alone (batch size, device, threads,
versions) does not matter.
"""

import contextlib
import logging
import os
from dataclasses import dataclass

import numpy as np

from datasets.image_names import ImageNames
from datasets.names import positions
from retrieval.identity import images_digest
from retrieval.store import FolderStore, header_path, read_header
from support.errors import UserError
from support.locks import FileLock

_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)  # as damaged JSON has it


@dataclass
class DatabaseIndex:
    """store: a DescriptorStore that is complete; names: the images', in the order of its rows; positions: float64 (n,
    2), metres.
    """

    store: object
    names: ImageNames
    positions: np.ndarray


@contextlib.contextmanager
def open_index(folder, weights, resize, images=None, database_folder=None, strict=False, build=None):
    """The DatabaseIndex of a database, opened if it is in `folder`, else built.

    folder: that holds indices, or one index; weights: identity.weights_digest of the network; resize: pixels of the
    shorter side, or None; images: the database's ImageFolder, None if the images are not there; database_folder: where
    they are or were, None for any; strict: do not build a second index of this database for another network or size;
    build: a context manager without arguments that gives a complete store. Raises UserError when there is no such index
    and it cannot be built, or may not.
    """
    path = _find(folder, weights, resize, images, database_folder, strict)
    with contextlib.ExitStack() as stack:
        if path is None:
            store, names = stack.enter_context(build()), images.names
        else:
            store, names = stack.enter_context(_opened(path))
            logging.info(f"The index of {store.num_images} images is read from {path}")
        if store.unreadable:
            logging.warning(
                f"{len(store.unreadable)} of {store.num_images} images of the database could not be read and are never "
                "retrieved"
            )
        if len(store.unreadable) == store.num_images:
            raise UserError(
                f"none of the {store.num_images} images of the database can be read "
                f"({next(iter(store.unreadable.values()))})"
            )
        yield DatabaseIndex(store, names, positions(names))


def _find(folder, weights, resize, images, database_folder, strict):
    """The path of the index, or None if it is to be built."""
    kept = dict(_kept(folder))
    if images is not None:
        database_folder, digest = images.folder, images_digest(images)
    if database_folder is not None:
        real = os.path.realpath(database_folder)
        kept = {
            path: header
            for path, header in kept.items()
            if header["identity"]["folder"] == real or (images is not None and header["identity"]["images"] == digest)
        }
    problem = _unfit(kept, folder, weights, resize)
    if not problem and images is not None:
        fit = {
            path: header
            for path, header in _of(kept, weights, resize).items()
            if header["identity"]["images"] == digest
        }
        if not fit:
            logging.info(f"{database_folder} has changed since its index in {folder} was built: rebuilding it")
            return None
        return max(fit, key=_last_used)
    if problem and images is not None and (not strict or not kept):
        return None
    if problem:
        raise UserError(problem)
    fit = _of(kept, weights, resize)
    if len({header["identity"]["images"] for header in fit.values()}) > 1:
        raise UserError(
            f"{folder} holds indices of several databases: name one with --database_folder, or as --index_folder "
            f"{' or '.join(sorted(fit)[:5])}"
        )
    return max(fit, key=_last_used)


def _unfit(kept, folder, weights, resize):
    """Why none of the indices will do; "" if one does."""
    if not kept:
        return f"{folder} holds no complete index of the database; name the folder of its images with --database_folder to build one"
    path = max(kept, key=_last_used)
    if not any(header["identity"]["weights"] == weights for header in kept.values()):
        return (
            f"the index {path} was made with another model than --resume_model: give the model that it was made with, or another "
            "--index_folder to build a new one"
        )
    if not _of(kept, weights, resize):
        sizes = sorted({header["identity"]["settings"]["resize"] or 0 for header in kept.values()})
        made = " or ".join(
            f"--resize_test_imgs --image_size {size}" if size else "images of their own size" for size in sizes
        )
        return (
            f"the index {path} was made with {made}: give the same flags, or another --index_folder to build a new one"
        )
    return ""


def _of(kept, weights, resize):
    return {
        path: header
        for path, header in kept.items()
        if header["identity"]["weights"] == weights and header["identity"]["settings"]["resize"] == resize
    }


def _kept(folder):
    """Yields (path, header) of every complete index in a folder, or of the one that it is. Damaged ones are warned of."""
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
            if (
                header["complete"] and "changed" not in identity["settings"]
            ):  # that is of images with other images' colours
                _ = identity["weights"], identity["folder"], identity["images"], identity["settings"]["resize"]
                yield path, header
        except FileNotFoundError:
            continue
        except _DAMAGED as error:
            logging.warning(f"The index {path} cannot be used: {error or type(error).__name__}")


def holds_index(folder):
    """Whether a folder is itself an index."""
    return os.path.exists(header_path(folder))


@contextlib.contextmanager
def _opened(path):
    """(the store, its names). As long as the context lasts no other process removes it."""
    lock = FileLock(os.path.normpath(path) + ".lock")
    with contextlib.suppress(OSError):  # where nothing can be written, nothing is removed
        lock.acquire(exclusive=False, reason=f"that writes {path}")
        os.utime(header_path(path))  # it is the last used
    try:
        try:
            store = FolderStore(path)
            names = store.names
            if len(names) != store.num_images:
                raise ValueError(f"it has {len(names)} names and {store.num_images} descriptors")
        except _DAMAGED as error:
            raise UserError(
                f"the index {path} is damaged ({error}); remove it, and rebuild it from the database's images"
            ) from error
        with contextlib.closing(store):
            yield store, names
    finally:
        lock.release()


def _last_used(path):
    return os.stat(header_path(path)).st_mtime
