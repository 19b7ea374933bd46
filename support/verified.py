"""Which files have been compared with their checksums, so that a file is read for that once and not at every opening.

It is kept beside the files, in verified.json: the checksum, and the file's inode, size and times. Any write to a file
gives it another time of change (ctime), which no program can set. So a file is read again after any write to it.
"""

import json
import logging
import os
import time
from collections.abc import Callable

from support.errors import UserError
from support.files import read_object, replacing

logger = logging.getLogger(__name__)

_RECORD = "verified.json"
_TIME_STEP = 2_000_000_000  # ns: the coarsest step of modification times on any file system (FAT)


def settled(mtime_ns: int, now_ns: int | None = None) -> bool:
    """Whether a modification time is old enough that any change after `now_ns` (default: now) gives another one."""
    return mtime_ns < (time.time_ns() if now_ns is None else now_ns) - _TIME_STEP


def verify_once(folder: str, sums: dict[str, str], check: Callable[[str], None]) -> None:
    """Calls check(name) for those files that may have changed since they were last found to have their checksums.

    folder: of the files
    sums: {name of a file: its checksum, as text}
    check: reads the file of a name, and raises ValueError if it has another checksum

    Where the record cannot be written, the files are read again the next time. Raises OSError if a file is missing.
    """
    record = os.path.join(folder, _RECORD)
    try:
        known = read_object(record)
    except (OSError, ValueError):
        known = {}
    found = {name: value for name, value in known.items() if name not in sums}  # of other calls
    for name, value in sums.items():
        begin, stamp = time.time_ns(), _stamp(os.path.join(folder, name))
        if known.get(name) != [value, *stamp]:
            check(name)
            if not settled(max(stamp[2:]), begin) or _stamp(os.path.join(folder, name)) != stamp:
                continue  # it may change again without another time
        found[name] = [value, *stamp]
    if found and found != known:
        try:
            with replacing(record) as temporary, open(temporary, "w") as file:
                json.dump(found, file)
        except UserError as error:
            logger.debug(f"The files in {folder} are verified again the next time: {error}")


def _stamp(path: str) -> list[int]:
    status = os.stat(path)
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
