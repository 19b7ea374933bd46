"""Locks between processes, which end with the process that holds them, however it ends."""

import contextlib
import errno
import fcntl
import functools
import logging
import os
import re
import socket
import time
import weakref

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # of file systems without flock
_NAMING = 0.05  # seconds within which who has just taken a lock has written its name


_held = weakref.WeakSet()  # the FileLocks of this process that are held


class FileLock:
    """A lock (flock) on a file of its own, that many may share or one alone may hold. It is not held at first.

    Two FileLocks of one path exclude each other in one process too. While it is held alone, the file names the process
    that holds it.
    """

    def __init__(self, path):
        self.path, self._handle = path, None
        self.alone = False  # whether it is held, and not shared

    def acquire(self, exclusive, wait=True, reason=""):
        """Takes the lock, letting go first of what was held. Returns False if others hold it and wait is False; waiting
        is logged, with who holds it and the reason. Raises OSError if the file cannot be made, or its file system has
        no locks.
        """
        self.release()
        mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        while True:
            # through no link: what it leads to would be written over
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            try:
                if not _try(handle, mode):
                    if not wait:
                        return False
                    time.sleep(_NAMING)
                    logging.info(f"Waiting for another process{_holder(handle)} {reason}".rstrip())
                    fcntl.flock(handle, mode)
                if _is_file(handle, self.path):  # else who held it removed it, and another process may hold a new one
                    self._handle, handle, self.alone = handle, None, exclusive
                    _leave_to_the_parent()
                    _held.add(self)
                    self._name_holder()
                    return True
            finally:
                if handle is not None:
                    os.close(handle)

    def share(self):
        """From holding it alone to sharing it."""
        self.alone = False
        self._name_holder()
        fcntl.flock(self._handle, fcntl.LOCK_SH)

    def release(self, remove=False):
        """Lets go; remove: deletes the file too, unless it is shared."""
        if self._handle is not None:
            if remove and self.alone:
                with contextlib.suppress(OSError):  # a lock file too many does no harm
                    os.unlink(self.path)
            fcntl.flock(self._handle, fcntl.LOCK_UN)
            self._close()

    def _close(self):
        os.close(self._handle)
        self._handle, self.alone = None, False
        _held.discard(self)

    def _name_holder(self):
        with contextlib.suppress(OSError):  # a full disk: those who wait are told less
            os.ftruncate(self._handle, 0)
            if self.alone:
                with open(self._handle, "wb", closefd=False) as file:
                    file.write(f"{os.getpid()} {socket.gethostname()}\n".encode())


@functools.cache
def _leave_to_the_parent():
    """From now on a forked child has no part in its parent's locks: they end with the parent, though the child may live
    on for a moment.
    """

    def close_all():
        for lock in list(_held):
            lock._close()

    os.register_at_fork(after_in_child=close_all)


@contextlib.contextmanager
def held_if_possible(path, reason):
    """Within it no other process holds the lock at path, whose file goes in the end. Yields whether that is so.

    The block runs without a lock where the file system has none, of which a warning tells once a folder, and where no
    file can be made (whoever writes there will say so). reason: as for FileLock.acquire.
    """
    lock = FileLock(path)
    try:
        try:
            held = lock.acquire(exclusive=True, reason=reason)
        except OSError as error:
            held = False
            logging.debug(f"There is no lock {path}: {error.strerror or error}")
            if error.errno in NO_LOCKS:
                _warn_once(
                    f"{os.path.dirname(path) or '.'} is on a file system without locks ({error.strerror}): two runs that begin at "
                    "once may do the same work there"
                )
        yield held
    finally:
        lock.release(remove=True)


@functools.cache
def _warn_once(message):
    logging.warning(message)


def _holder(handle):
    """Who holds a lock alone, in words; what the file says is taken as a number and a name, or not at all."""
    found = re.fullmatch(rb"(\d{1,9}) ([\w.-]{1,64})\n", os.pread(handle, 100, 0))
    return f" (process {found[1].decode()} on {found[2].decode()})" if found else ""


def _try(handle, mode):
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _is_file(handle, path):
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
