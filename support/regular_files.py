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
    return open(path, mode, opener=_open_without_waiting, **options)


def _open_without_waiting(path: str, flags: int) -> int:
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # open() itself refuses a folder
        os.close(handle)
        raise NotRegularError(errno.EINVAL, "it is no regular file", os.fspath(path))
    return handle
