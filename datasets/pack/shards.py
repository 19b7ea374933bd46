"""Shards: the tar files of a pack. Their bytes are a function of the images' names, sizes, times and contents."""

import errno
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator

_BLOCK = 512  # bytes of tar: headers and contents begin at multiples of it
_RECORD = 20 * _BLOCK  # what tar files end at a multiple of
_NANOSECONDS = 10**9


class DamagedShard(OSError):
    """What a shard holds of an image is not what was packed."""


def shard_path(folder: str, number: int) -> str:
    """The path of a pack's shard."""
    return os.path.join(folder, f"{number:06d}.tar")


def member_header(name: str, size: int, mtime_ns: int) -> bytes:
    """What stands before an image's bytes: its name, size (bytes), and modification time in whole seconds.

    Names of more than 100 bytes are GNU tar's, which all programs read. Owner and rights are always the same.
    """
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, mtime_ns // _NANOSECONDS, 0o644
    return member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """The zeros that follow so many bytes."""
    return bytes(-size % _BLOCK)


def end_of_shard(size: int) -> bytes:
    """What ends a tar file of so many bytes."""
    return bytes(2 * _BLOCK + -(size + 2 * _BLOCK) % _RECORD)


class Shard:
    """An open shard, for any number of threads and forked processes: reading does not move a common place in the file.

    It is closed when it is not referred to any more, so no thread reads from a file that another has closed. Raises
    OSError if it cannot be opened.
    """

    def __init__(self, path: str):
        self._handle = -1
        self.path = path
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self):
        if self._handle >= 0:
            os.close(self._handle)

    def read(self, offset: int, size: int, crc: int) -> bytes:
        """The bytes of an image. Raises DamagedShard unless they are there and have their CRC-32."""
        data = os.pread(self._handle, size, offset)
        while len(data) < size and (more := os.pread(self._handle, size - len(data), offset + len(data))):
            data += more
        if len(data) < size:
            raise _damaged("it ends before the image does", self.path)
        if zlib.crc32(data) != crc:
            raise _damaged("the image has another checksum there", self.path)
        return data


def find_damage(path: str, images: Iterable[tuple[str, int, int, int, int]]) -> Iterator[tuple[str, str]]:
    """Yields (name, what is wrong) of the damaged images of a shard. All of its bytes are read, in order.

    images: (name, offset, size, CRC-32, modification time in ns) of all of them, in the order of the shard

    Raises OSError if the shard cannot be opened.
    """
    with open(path, "rb") as file:
        for name, offset, size, crc, mtime_ns in images:
            header = member_header(name, size, mtime_ns)
            try:
                file.seek(max(0, offset - len(header)))
                found, data, rest = (file.read(count) for count in (len(header), size, -size % _BLOCK))
            except OSError as error:  # a bad place of the disk: others may be read
                yield name, error.strerror
                continue
            if len(data) < size:
                yield name, "the shard ends before it does"
            elif zlib.crc32(data) != crc:
                yield name, "it has another checksum"
            elif found != header or rest != padding(size):
                yield name, "its bytes are sound, but what tar says of it is damaged"


def _damaged(reason: str, path: str) -> DamagedShard:
    return DamagedShard(errno.EIO, f"{os.path.basename(path)} is damaged: {reason}", path)
