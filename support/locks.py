"""Locks between processes, which end with the process that holds them, however it ends; and what killed processes left.

Why not the package filelock: readers of descriptors share a lock, so that none of them is evicted, and its locks are
held by one process alone. They also stay as files, do not name who holds them, and go on in forked children.
"""

import contextlib
import errno
import fcntl
import functools
import logging
import os
import re
import shutil
import socket
import time
import weakref
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

LOCK = ".lock"  # NAME.lock is the lock of NAME
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # of file systems without flock
_NAMING = 0.05  # seconds in which a process that took a lock has written its name


_held = weakref.WeakSet()  # the FileLocks that this process holds


class FileLock:
    """A lock (flock) on a file of its own, which many processes share or one holds alone. At first it is not held.

    Two FileLocks of one path exclude each other within one process too. While one process holds it alone, the file
    names that process.
    """

    def __init__(self, path: str):
        self.path, self._handle = path, None
        self.alone = False  # whether it is held, and not shared

    def acquire(self, exclusive: bool, wait: bool = True, reason: str = "") -> bool:
        """Takes the lock; a lock held before is released first.

        exclusive: whether to hold it alone.
        wait: whether to wait for other processes; without, the result is False if one of them holds the lock.
        reason: what the other process does, for the log line about waiting.

        Raises OSError if the file cannot be made, or its file system has no locks.
        """
        self.release()
        mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        while True:
            # O_NOFOLLOW: the file is written to, and a link could lead to any other file
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            try:
                if not _try(handle, mode):
                    if not wait:
                        return False
                    time.sleep(_NAMING)
                    logger.info(f"Waiting for another process{_holder(handle)} {reason}".rstrip())
                    fcntl.flock(handle, mode)
                if _is_file(handle, self.path):  # else its holder removed it, and another process may hold a new one
                    self._handle, handle, self.alone = handle, None, exclusive
                    _leave_to_the_parent()
                    _held.add(self)
                    self._name_holder()
                    return True
            finally:
                if handle is not None:
                    os.close(handle)

    def share(self) -> None:
        """Lets others share a lock that this process held alone."""
        self.alone = False
        self._name_holder()
        fcntl.flock(self._handle, fcntl.LOCK_SH)

    def release(self, remove: bool = False) -> None:
        """Releases the lock; never raises. remove: deletes the file too, unless the lock is shared."""
        if self._handle is not None:
            if remove and self.alone:
                with contextlib.suppress(OSError):  # a lock file too many does no harm
                    os.unlink(self.path)
            with contextlib.suppress(OSError):  # closing releases it too
                fcntl.flock(self._handle, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        os.close(self._handle)
        self._handle, self.alone = None, False
        _held.discard(self)

    def _name_holder(self) -> None:
        with contextlib.suppress(OSError):  # on a full disk the log says less
            os.ftruncate(self._handle, 0)
            if self.alone:
                with open(self._handle, "wb", closefd=False) as file:
                    file.write(f"{os.getpid()} {socket.gethostname()}\n".encode())


@functools.cache
def _leave_to_the_parent() -> None:
    """From now on a forked child closes its copies of locks: they end with the parent, even if the child lives on."""

    def close_all() -> None:
        for lock in list(_held):
            lock._close()

    os.register_at_fork(after_in_child=close_all)


@contextlib.contextmanager
def held_if_possible(path: str, reason: str) -> Iterator[bool]:
    """Holds the lock at `path` alone during the block, and deletes its file at the end. Yields whether it is held.

    It is not held where the file system has no locks, which is warned of once a folder, and where no file can be made.
    reason: as for FileLock.acquire.
    """
    lock = FileLock(path)
    try:
        try:
            held = lock.acquire(exclusive=True, reason=reason)
        except OSError as error:
            held = False
            logger.debug(f"There is no lock {path}: {error.strerror or error}")
            if error.errno in NO_LOCKS:
                _warn_once(
                    f"{os.path.dirname(path) or '.'} is on a file system without locks ({error.strerror}): two runs "
                    "that begin at once may do the same work there"
                )
        yield held
    finally:
        lock.release(remove=True)


@contextlib.contextmanager
def held_if_free(path: str) -> Iterator[bool]:
    """Holds the lock at `path` alone during the block, unless another process has it. Yields whether it is held.

    At the end the lock file is deleted. Raises OSError as FileLock.acquire does.
    """
    lock = FileLock(path)
    try:
        yield lock.acquire(exclusive=True, wait=False)
    finally:
        lock.release(remove=True)


def remove_leftovers(folder: str, name_of: Callable[[str], str], held: str = "") -> None:
    """Removes what killed processes left in a folder of caches: half-made folders, and lock files of nothing.

    folder: the folder of caches, where the cache NAME has the lock NAME.lock.
    name_of: the NAME that a half-made folder belongs to, from the folder's name; "" if it is not half-made.
    held: the NAME whose lock the caller holds. What belongs to other locked names stays.
    """
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder or "."):
            path, is_lock = os.path.join(folder, entry), entry.endswith(LOCK)
            name = entry.removesuffix(LOCK) if is_lock else name_of(entry)
            if not name or (is_lock and (name == held or os.path.isdir(os.path.join(folder, name)))):
                continue
            free = contextlib.nullcontext(True) if name == held else held_if_free(os.path.join(folder, name + LOCK))
            with contextlib.suppress(OSError), free as is_free:
                if is_free and not is_lock:
                    logger.debug(f"Removing {path}, which a killed process left")
                    shutil.rmtree(path, ignore_errors=True)


@functools.cache
def _warn_once(message: str) -> None:
    logger.warning(message)


def _holder(handle: int) -> str:
    """The process that holds a lock alone, in words; "" if the file has anything but a number and a host's name."""
    found = re.fullmatch(rb"(\d{1,9}) ([\w.-]{1,64})\n", os.pread(handle, 100, 0))
    return f" (process {found[1].decode()} on {found[2].decode()})" if found else ""


def _try(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _is_file(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
