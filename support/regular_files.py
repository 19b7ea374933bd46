"""Opening what users name: regular files alone. A FIFO would be waited for, and a device has no end."""

import errno
import os
import stat
from typing import IO, Any


class NotRegularError(OSError):
    """A path leads to a FIFO, a device or a socket."""


def open_regular(path: str | os.PathLike, mode: str = "rb", **options: Any) -> IO:
    """Opens a regular file for reading, as open() does. Raises NotRegularError at once where there is another kind.

    options: of open(), such as encoding.
    """
    file = open(path, mode, opener=_without_waiting, **options)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotRegularError(errno.EINVAL, "it is no regular file", os.fspath(path))
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
