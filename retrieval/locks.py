"""Locks between processes, which end with the process that holds them, however it ends."""

import fcntl
import logging
import os


class FileLock:
    """A lock (flock) on a file of its own, that many may share or one alone may hold. It is not held at first.

    Two FileLocks of one path exclude each other in one process too.
    """

    def __init__(self, path):
        self.path, self._handle = path, None

    def acquire(self, exclusive, wait=True, reason=""):
        """Takes the lock, letting go first of what was held. Returns False if others hold it and wait is False; waiting is logged, with the
        reason. Raises OSError if the file cannot be made."""
        self.release()
        mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                if not _try(handle, mode):
                    if not wait:
                        return False
                    logging.info(f"Waiting for another process {reason}".rstrip())
                    fcntl.flock(handle, mode)
                if _is_file(handle, self.path):  # else who held it removed it, and another process may hold a new one
                    self._handle, handle = handle, None
                    return True
            finally:
                if handle is not None:
                    os.close(handle)

    def share(self):
        """From holding it alone to sharing it."""
        fcntl.flock(self._handle, fcntl.LOCK_SH)

    def release(self, remove=False):
        """Lets go; remove: deletes the file too, which only who holds it alone may do."""
        if self._handle is not None:
            if remove:
                os.unlink(self.path)
            fcntl.flock(self._handle, fcntl.LOCK_UN)  # closing it alone would leave it to forked workers
            os.close(self._handle)
            self._handle = None


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
