"""Descriptors kept between runs: one store for each network, image list and settings, within a size."""

import contextlib
import errno
import logging
import os
import shutil
from contextlib import AbstractContextManager

import numpy as np

import distributed
from datasets.test_dataset import ImageFolder
from model.network import GeoLocalizationNet
from retrieval.descriptors import ExtractionOptions
from retrieval.identity import identify, identity_key
from retrieval.sharded import shared_store
from retrieval.store import DescriptorStore, FolderStore, block_size, create_store, header_path, temporary_store
from support.errors import UserError
from support.locks import NO_LOCKS, FileLock

FOLDER = os.path.join("cache", "descriptors")
_LOCK, _BUILDING, _REMOVED = ".lock", ".building", ".removed"
_NOT_KEPT = (*NO_LOCKS, errno.EROFS, errno.EACCES, errno.EPERM)  # what need not stop a run that has a cache by default


class DescriptorCache:
    """Gives stores for descriptors: one that was made before, one to go on with, or an empty one.

    folder: where they are kept, None for temporary ones; limit: bytes that the folder may hold, None for any number;
    dtype: "float32" or "float16".
    """

    def __init__(self, folder=None, limit=None, dtype="float32"):
        self.folder, self.limit, self.dtype = folder, limit, dtype

    def store(
        self, network: GeoLocalizationNet, images: ImageFolder, options: ExtractionOptions
    ) -> AbstractContextManager[DescriptorStore]:
        """A context manager with the store for the descriptors of a folder's images; a sharded one on several ranks.

        Within the context no other process removes the store or writes to it. Parameters as in extract_descriptors.
        Raises UserError if the disk refuses.
        """
        block = block_size(options.batch_size, len(images))
        whole = self._whole_store(network, images, options, block)
        return shared_store(whole, len(images), network.fc_output_dim, self.dtype, block)

    @contextlib.contextmanager
    def _whole_store(self, network, images, options, block):
        dim = network.fc_output_dim
        size = len(images) * dim * np.dtype(self.dtype).itemsize
        if self.folder is None or not self._may_hold(size, images.folder):
            with contextlib.closing(
                temporary_store(len(images), dim, self.dtype, block, sharded=distributed.size() > 1)
            ) as store:
                yield store
            return
        header = {
            "dtype": self.dtype,
            "num_images": len(images),
            "dim": dim,
            "block_size": block,
            "identity": identify(network, images, options),
        }
        name = f"{os.path.basename(header['identity']['folder'])[:50]}_{identity_key(header)}"
        lock = FileLock(os.path.join(self.folder, name + _LOCK))
        try:
            with contextlib.closing(self._open(name, lock, header, images)) as store:
                try:
                    yield store
                finally:
                    if store.folder and not store.complete and not store.done:
                        _remove(store.folder)  # nothing to go on with
                    self._make_room(0)  # an index may have come beside it
        finally:
            lock.release(remove=not os.path.isdir(os.path.join(self.folder, name)))

    def _may_hold(self, size, folder):
        if self.limit is None or size <= self.limit:
            return True
        logging.info(
            f"The descriptors of {folder} take {size / 1e9:.3g} GB, more than --descriptors_cache_size "
            f"({self.limit / 1e9:.3g} GB): they are not kept"
        )
        return False

    def _open(self, name, lock, header, images):
        """The store of that name, under its lock: shared as soon as it is complete, until then held alone. A temporary
        one where none can be had.
        """
        path, reason = os.path.join(self.folder, name), f"that computes the descriptors of {images.folder}"
        try:
            os.makedirs(self.folder, exist_ok=True)
            lock.acquire(exclusive=False, reason=reason)
            store, _ = _load(path, header)
            if store and store.complete:
                return _opened(store, images)
            if store:
                store.close()
            lock.acquire(exclusive=True, reason=reason)
        except OSError as error:
            if error.errno in _NOT_KEPT:
                logging.warning(
                    f"The descriptors of {images.folder} are not kept: {self.folder} cannot be used ({error.strerror})"
                )
                return temporary_store(*(header[key] for key in ("num_images", "dim", "dtype", "block_size")))
            raise UserError(
                f"the descriptors' cache {self.folder} cannot be used: {error.strerror or error}; fix it, or give "
                "--no_descriptors_cache"
            ) from error
        store, problem = _load(path, header)
        if problem:
            logging.warning(f"The descriptors in {path} cannot be used ({problem}): computing them again")
            _remove(path)
        if store is None:
            self._make_room(header["num_images"] * header["dim"] * np.dtype(header["dtype"]).itemsize)
            store = create_store(path, images.names, header)
        if store.complete:  # another process was at work
            lock.share()
        store.when_complete = lock.share
        return _opened(store, images)

    def _make_room(self, needed):
        """Removes the least recently used stores, until `needed` more bytes fit; those in use stay."""
        if self.limit is None:
            return
        stores = sorted(self._kept())
        total = sum(size for _, size, _ in stores)
        for _, size, name in stores:
            if total + needed <= self.limit:
                return
            if self._remove_unused(name):
                total -= size
                logging.info(
                    f"Removed the descriptors {name} ({size / 1e9:.3g} GB), the least recently used: the cache may hold "
                    f"{self.limit / 1e9:.3g} GB (--descriptors_cache_size)"
                )
        if total + needed > self.limit:
            logging.info(
                f"{self.folder} holds {(total + needed) / 1e9:.3g} GB, more than --descriptors_cache_size: the rest is in use"
            )

    def _kept(self):
        """(when last used, bytes, name) of every store; what processes that were killed left behind goes on the way."""
        for entry in list(os.scandir(self.folder)):
            name, end = os.path.splitext(entry.name)
            if not entry.is_dir(follow_symlinks=False):
                if end == _LOCK and not os.path.isdir(os.path.join(self.folder, name)):
                    self._remove_unused(name)
                continue
            if entry.name.endswith((_BUILDING, _REMOVED)):
                self._remove_unused(name, entry.name)
                continue
            with contextlib.suppress(FileNotFoundError):  # removed this moment by another process
                yield _last_used(entry.path), sum(file.stat().st_size for file in os.scandir(entry.path)), entry.name

    def _remove_unused(self, name, folder=None):
        """Removes a store (or a folder that was left of it), unless a process uses it or it is another user's. Returns
        whether it did.
        """
        lock = FileLock(os.path.join(self.folder, name + _LOCK))
        try:
            if not lock.acquire(exclusive=True, wait=False):
                return False
            if os.path.isdir(path := os.path.join(self.folder, folder or name)):
                _remove(path)
            lock.release(remove=True)
            return True
        except (OSError, UserError):
            return False
        finally:
            lock.release()


def _opened(store, images):
    with contextlib.suppress(OSError):  # another user's
        os.utime(header_path(store.folder))  # what _last_used reads
    if store.complete:
        logging.info(f"The descriptors of {images.folder} are read from {store.folder}")
    elif store.done:
        logging.info(
            f"Going on with the descriptors of {images.folder} in {store.folder}: {len(store.done)} of {store.num_blocks} blocks "
            "are there"
        )
    else:
        logging.debug(f"The descriptors of {images.folder} are kept in {store.folder}")
    return store


def _load(path, header):
    """(the store, "") if there is one that is sound and has this header, (None, "") if there is none, else (None, what
    is wrong).
    """
    if not os.path.isdir(path):
        return None, ""
    try:
        store = FolderStore(path)
    except (OSError, ValueError) as error:
        return None, str(error)
    if any(store.header.get(key) != value for key, value in header.items()):
        store.close()
        return None, "they are of something else"
    return store, ""


def _last_used(path):
    try:
        return os.stat(header_path(path)).st_mtime
    except FileNotFoundError:
        return 0.0  # no store: the first to go


def _remove(path):
    """Removes a folder. A store disappears at once, its files in a while."""
    left = path
    if not path.endswith((_BUILDING, _REMOVED)):
        left = path + _REMOVED
        shutil.rmtree(left, ignore_errors=True)
        try:
            os.rename(path, left)
        except OSError as error:
            raise UserError(
                f"{path} cannot be removed: {error.strerror}; remove it, or give --no_descriptors_cache"
            ) from error
    shutil.rmtree(left, ignore_errors=True)
