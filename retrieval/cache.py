"""Keeps descriptors between runs: a store for each network, image list and settings, up to a total size."""

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np

import distributed
from datasets.images import have_decoders_come
from datasets.test_dataset import ImageFolder
from model.network import GeoLocalizationNet
from retrieval.descriptors import ExtractionOptions
from retrieval.earlier import GROWN, Earlier, earlier_rows
from retrieval.identity import identify, identity_key, image_stamps
from retrieval.sharded import shared_store
from retrieval.store import DescriptorStore, FolderStore, block_size, create_store, temporary_store
from retrieval.store_header import header_path
from retrieval.store_names import restore_names
from support.errors import UserError
from support.locks import LOCK, NO_LOCKS, FileLock, held_if_free, remove_leftovers

logger = logging.getLogger(__name__)

FOLDER = os.path.join("cache", "descriptors")
_BUILDING, _REMOVED = ".building", ".removed"
# errors that do not stop a run: the cache is a default. ELOOP, EISDIR: of a lock that is a link or a folder
_NOT_KEPT = (*NO_LOCKS, errno.EROFS, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR)


class DescriptorCache:
    """Gives stores for descriptors: complete ones, interrupted ones to go on with, or empty ones.

    folder: where stores are kept; None: they are temporary
    limit: bytes that the folder may hold; None: any number
    dtype: "float32" or "float16"
    grows: whether a new store takes the rows of unchanged images from an earlier one: their last bits may then differ
        from those of an extraction of the whole folder
    """

    def __init__(
        self, folder: str | None = None, limit: int | None = None, dtype: str = "float32", grows: bool = False
    ):
        self.folder, self.limit, self.dtype, self.grows = folder, limit, dtype, grows

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
    def _whole_store(
        self, network: GeoLocalizationNet, images: ImageFolder, options: ExtractionOptions, block: int
    ) -> Iterator[DescriptorStore]:
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
        with self._earlier(header, images) as earlier:
            if earlier:
                header["identity"]["settings"][GROWN] = True
            name = _name(header)
            lock = FileLock(os.path.join(self.folder, name + LOCK))
            with self._held(name, lock, header, images) as store:
                store.earlier = earlier
                yield store
        if earlier:
            self._make_room(0)  # the earlier store may go now

    def _earlier(self, header: dict, images: ImageFolder) -> AbstractContextManager[Earlier | None]:
        """The rows of unchanged images, if they are wanted and there is no store to go on with."""
        if not self.grows or os.path.isdir(os.path.join(self.folder, _name(header))):
            return contextlib.nullcontext()
        return earlier_rows(self.folder, header, images)

    @contextlib.contextmanager
    def _held(self, name: str, lock: FileLock, header: dict, images: ImageFolder) -> Iterator[DescriptorStore]:
        """Opens or makes the store of a name; afterwards removes it if it is empty, and what the cache may not hold."""
        try:
            with contextlib.closing(self._open(name, lock, header, images)) as store:
                try:
                    yield store
                finally:
                    if store.folder and not store.complete and not store.done:
                        with contextlib.suppress(UserError):  # an empty store too many does no harm
                            _remove(store.folder)  # nothing to go on with
                    self._make_room(0)  # an index may have come beside it
        finally:
            lock.release(remove=not os.path.isdir(os.path.join(self.folder, name)))

    def _may_hold(self, size: int, folder: str) -> bool:
        if self.limit is None or size <= self.limit:
            return True
        logger.info(
            f"The descriptors of {folder} take {size / 1e9:.3g} GB, more than --descriptors_cache_size "
            f"({self.limit / 1e9:.3g} GB): they are not kept"
        )
        return False

    def _open(self, name: str, lock: FileLock, header: dict, images: ImageFolder) -> DescriptorStore:
        """Opens or makes the store of a name, under its lock; gives a temporary one if the folder cannot be used.

        The lock is exclusive until the store is complete, and shared from then on.
        """
        path, reason = os.path.join(self.folder, name), f"that computes the descriptors of {images.folder}"
        try:
            os.makedirs(self.folder, exist_ok=True)
            lock.acquire(exclusive=False, reason=reason)
            store, _ = _load(path, header, images)
            if store and store.complete:
                return _opened(store, images)
            if store:
                store.close()
            lock.acquire(exclusive=True, reason=reason)
        except OSError as error:
            if error.errno in _NOT_KEPT:
                logger.warning(
                    f"The descriptors of {images.folder} are not kept: {error.filename or self.folder} cannot be used "
                    f"({error.strerror})"
                )
                return temporary_store(*(header[key] for key in ("num_images", "dim", "dtype", "block_size")))
            raise UserError(
                f"the descriptors' cache {self.folder} cannot be used: {_reason(error)}; fix it, or give "
                "--no_descriptors_cache"
            ) from error
        store, problem = _load(path, header, images)
        if problem:
            logger.warning(f"The descriptors in {path} cannot be used ({problem}): computing them again")
            _remove(path)
        if store is None:
            self._make_room(header["num_images"] * header["dim"] * np.dtype(header["dtype"]).itemsize)
            store = create_store(path, images.names, header, image_stamps(images))
        if store.complete:  # another process completed it meanwhile
            lock.share()
        store.when_complete = lock.share
        return _opened(store, images)

    def _make_room(self, needed: int) -> None:
        """Removes the least recently used stores until `needed` more bytes fit. Stores in use stay. It never raises."""
        if self.limit is None:
            return
        try:
            stores = sorted(self._kept())
        except FileNotFoundError:  # nothing is kept
            return
        except OSError as error:
            logger.warning(f"No descriptors are removed from {self.folder}, which cannot be read: {error.strerror}")
            return
        total = sum(size for _, size, _ in stores)
        for _, size, name in stores:
            if total + needed <= self.limit:
                return
            if self._remove_unused(name):
                total -= size
                logger.info(
                    f"Removed the descriptors {name} ({size / 1e9:.3g} GB), the least recently used: "
                    f"the cache may hold {self.limit / 1e9:.3g} GB (--descriptors_cache_size)"
                )
        if total + needed > self.limit:
            logger.info(
                f"{self.folder} holds {(total + needed) / 1e9:.3g} GB, more than --descriptors_cache_size: "
                "the rest is in use"
            )

    def _kept(self) -> Iterator[tuple[float, int, str]]:
        """(when last used, bytes, name) of every store, once what killed processes left is removed."""
        remove_leftovers(self.folder, _name_of_leftover)
        for entry in list(os.scandir(self.folder)):
            if not entry.is_dir(follow_symlinks=False) or _name_of_leftover(entry.name):
                continue
            with contextlib.suppress(OSError):  # another process is removing it, or another user's
                yield _last_used(entry.path), sum(file.stat().st_size for file in os.scandir(entry.path)), entry.name

    def _remove_unused(self, name: str) -> bool:
        """Removes a store, unless a process uses it or it is another user's. Returns whether it did."""
        path = os.path.join(self.folder, name)
        try:
            with held_if_free(path + LOCK) as free:
                if free and os.path.isdir(path):
                    _remove(path)
                return free
        except (OSError, UserError):
            return False


def _name(header: dict) -> str:
    """The folder's name of a store."""
    return f"{os.path.basename(header['identity']['folder'])[:50]}_{identity_key(header)}"


def _opened(store: FolderStore, images: ImageFolder) -> FolderStore:
    with contextlib.suppress(OSError):  # another user's
        os.utime(header_path(store.folder))  # what _last_used reads
    if store.complete:
        logger.info(f"The descriptors of {images.folder} are read from {store.folder}")
    elif store.done:
        logger.info(
            f"Going on with the descriptors of {images.folder} in {store.folder}: "
            f"{len(store.done)} of {store.num_blocks} blocks are there"
        )
    else:
        logger.debug(f"The descriptors of {images.folder} are kept in {store.folder}")
    return store


def _reason(error: OSError) -> str:
    return ": ".join(filter(None, (error.filename, error.strerror))) or str(error)


def _load(path: str, header: dict, images: ImageFolder) -> tuple[FolderStore | None, str]:
    """Opens the store at a path if it has this header; writes its names again if they alone are damaged.

    Returns (the store, ""); (None, "") if there is no store; (None, problem) if it cannot be used.
    """
    if not os.path.isdir(path):
        return None, ""
    try:
        store = FolderStore(path)
    except (OSError, ValueError) as error:
        return None, str(error)
    try:
        if any(store.header.get(key) != value for key, value in header.items()):
            raise ValueError("they are of something else")
        if have_decoders_come(store.unreadable.values()):
            raise ValueError("images whose decoder was missing can be read by now")
        restore_names(path, store.header["names"], images.names)
    except ValueError as error:
        store.close()
        return None, str(error)
    return store, ""


def _name_of_leftover(entry: str) -> str:
    """The name of the store that a folder is being built for, or was removed from; "" for other folders."""
    name, end = os.path.splitext(entry)
    return name if end in (_BUILDING, _REMOVED) else ""


def _last_used(path: str) -> float:
    try:
        return os.stat(header_path(path)).st_mtime
    except FileNotFoundError:
        return 0.0  # no store: removed first


def _remove(path: str) -> None:
    """Removes a store: its folder disappears at once, its files in a while."""
    left = path + _REMOVED
    shutil.rmtree(left, ignore_errors=True)
    try:
        os.rename(path, left)
    except OSError as error:
        raise UserError(
            f"{path} cannot be removed: {error.strerror}; remove it, or give --no_descriptors_cache"
        ) from error
    shutil.rmtree(left, ignore_errors=True)
