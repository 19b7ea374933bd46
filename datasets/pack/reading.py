"""Reading packs. What opens an image, or lists a folder of images, asks here whether it lies in a pack.

A pack is a folder with shards (000000.tar and so on) and an index, which is memory-mapped. Image NAME of the pack DIR
has the path DIR/NAME, as in the folder that the pack was made of. No such file exists: open() fails, and then the pack
is looked for. From then on this process knows DIR, and reads an image of it with one pread, without opening a file.
An image of a usual folder costs no further system call.
"""

import errno
import hashlib
import io
import os
import resource
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Self

import numpy as np

from datasets import image_names
from datasets.image_names import ImageNames
from datasets.pack.shards import Shard, shard_path
from support import array_cache
from support.errors import UserError
from support.regular_files import NotRegularError, open_regular

INDEX = "pack_index"  # the folder in a pack that makes it one
KIND = {"version": 1, "kind": "pack"}  # in the index's header
COLUMNS = 5  # of places: number of the shard, offset there, size, CRC-32, modification time in ns
_NAMES = image_names.layout("name")
# places: of each image, in the order of the names; a size below 0 is the error (errno) with which it could not be read
# hashes, order: the images' name_hash(), ascending, and which image each is of
LAYOUT = _NAMES | {"places": (("int64",), (COLUMNS,)), "hashes": (("uint64",), ()), "order": (("uint32",), ())}
_PACKS_KEPT = 64  # that a process knows
_MOST_OPEN = 512  # shards that a process keeps open, if its limit of open files is at least twice that

_packs: dict[str, "Pack"] = {}  # by what the paths of their images begin with
_shards: dict[tuple, Shard] = {}  # open ones, the oldest first


class Status(NamedTuple):
    """What os.stat says of an image, as far as it is used."""

    st_size: int  # bytes
    st_mtime_ns: int


class Pack:
    """The images of a pack.

    folder: of the pack

    Attributes: names and digest as of datasets.walk.walk; original: the real path of the folder that was packed;
    is_list: whether its names were those of a list beside it. Raises UserError if the index cannot be used.
    """

    def __init__(self, folder: str):
        self.folder, self._root = folder, os.path.abspath(folder)
        # a relative path means this pack only in this working folder
        self._working_folder = None if os.path.isabs(folder) else os.getcwd()
        self._index = os.path.join(folder, INDEX)
        self.stamp = array_cache.stamp(self._index)
        try:
            self.header, self.arrays = array_cache.read(self._index, KIND, LAYOUT)
            self.original, self.is_list = self.header["folder"], self.header["is_list"]
            self.shard_sizes, self.digest = self.header["shards"], self.header["sha256"]["name_blob"]
            self._check()
        except array_cache.OtherVersion as error:
            raise UserError(
                f"the pack {folder} {error}: read it with the program that made it, or pack the folder again"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"the index of the pack {folder} cannot be used ({_reason(error)}); {_REMEDY}") from error
        self.names = ImageNames(*(self.arrays[name] for name in _NAMES), source=folder)
        # mapped too; as plain arrays they are faster to look into
        self.places, self._hashes, self._order = (
            self.arrays[name].view(np.ndarray) for name in ("places", "hashes", "order")
        )

    def _check(self) -> None:
        names = [self.arrays[name] for name in _NAMES]
        image_names.check_arrays(*names)
        if {len(self.arrays[name]) for name in ("places", "hashes", "order")} != {len(names[1])}:
            raise ValueError("its arrays do not fit together")
        if not isinstance(self.original, str) or not all(isinstance(size, int) for size in self.shard_sizes):
            raise ValueError("its header is damaged")

    def check_index(self) -> None:
        """Compares the index with its checksums, if its files have changed since that was last done.

        Raises UserError if one is wrong.
        """
        try:
            array_cache.verify(self._index, self.header, self.arrays)
        except (OSError, ValueError) as error:
            raise UserError(f"the index of the pack {self.folder} is damaged ({_reason(error)}); {_REMEDY}") from error

    def check(self) -> Self:
        """Checks the index, and the sizes of the shards, which are not read. Raises UserError if one is wrong."""
        self.check_index()
        for number in range(len(self.shard_sizes)):
            path = shard_path(self.folder, number)
            try:
                problem = self.other_size(number)
            except OSError as error:
                raise UserError(f"{path} of the pack cannot be read ({error.strerror}); {_REMEDY}") from error
            if problem:
                raise UserError(f"{path} {problem}; {_REMEDY}")
        return self

    def other_size(self, number: int) -> str:
        """What is wrong with a shard's size, "" if nothing. Raises OSError if there is no such file."""
        found, size = os.stat(shard_path(self.folder, number)).st_size, self.shard_sizes[number]
        return "" if found == size else f"has {found} bytes, and {size} when it was packed"

    def means(self, path: str, prefix: str) -> bool:
        """Whether a path that begins with the prefix of this pack's images is of one of them."""
        return path.startswith(prefix) and (self._working_folder is None or self._working_folder == os.getcwd())

    def row(self, name: str) -> int | None:
        """The index of an image among the names; None if it is not in the pack."""
        wanted = os.fsencode(name)
        key = name_hash(wanted)
        names, place = self.names, int(np.searchsorted(self._hashes, key))
        while place < len(self._hashes) and self._hashes[place] == key:
            row = int(self._order[place])
            if names.blob[names.starts[row] : names.ends[row]].tobytes() == wanted:
                return row
            place += 1
        return None

    def status(self, row: int) -> Status:
        """Size and modification time of an image. Raises OSError if it could not be read when it was to be packed."""
        _, _, size, _, mtime_ns = self.places[row].tolist()
        if size < 0:
            raise _recorded(-size, self.names[row])
        return Status(size, mtime_ns)

    def read(self, row: int) -> bytes:
        """The bytes of an image.

        Raises OSError as its file would have, or if the shard cannot be read; DamagedShard if it is damaged.
        """
        shard, offset, size, crc, _ = self.places[row].tolist()
        if size < 0:
            raise _recorded(-size, self.names[row])
        return self._open_shard(shard).read(offset, size, crc)

    def images_of(self, shard: int) -> Iterator[tuple[str, int, int, int, int]]:
        """The images of a shard as datasets.pack.shards.find_damage takes them."""
        for row in np.flatnonzero((self.places[:, 0] == shard) & (self.places[:, 2] >= 0)).tolist():
            yield self.names[row], *self.places[row, 1:].tolist()

    def _open_shard(self, number: int) -> Shard:
        key = (self.stamp, self._root, number)
        shard = _shards.get(key)
        if shard is None:
            shard = _shards[key] = Shard(shard_path(self._root, number))
            _keep_newest(_shards, min(_MOST_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
        return shard


_REMEDY = (
    "copy the pack again, or pack the folder again; `python -m datasets.pack PACK --verify` says which images it has "
    "lost"
)


def name_hash(name: bytes) -> np.uint64:
    """The number by which an image is looked up."""
    return np.uint64(int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little"))


def find_pack(folder: str) -> Pack | None:
    """The pack in a folder; None if it is none. Raises UserError if its index cannot be used."""
    prefix = os.path.join(folder, "")
    stamp = array_cache.stamp(os.path.join(folder, INDEX))
    if stamp is None:
        _packs.pop(prefix, None)
        return None
    pack = _packs.get(prefix)
    if pack is None or pack.stamp != stamp or not pack.means(prefix, prefix):
        pack = _packs[prefix] = Pack(folder)
        _keep_newest(_packs, _PACKS_KEPT)
    return pack


def find_image(path: str) -> tuple[Pack, int] | None:
    """(the pack, the index of the image in it) of a path; None if it leads to no image of a pack.

    Raises UserError if the pack's index cannot be used.
    """
    known = _known(path) or _search(path)
    if known is None:
        return None
    row = _find_row(*known)
    return None if row is None else (known[0], row)


def open_image(path: str | bytes | os.PathLike) -> BinaryIO:
    """Opens an image, in a folder or in a pack. Raises OSError as open() does, NotRegularError and DamagedShard.

    Raises UserError if it is in a pack whose index cannot be used.
    """
    path = os.fsdecode(path)
    known = _known(path)
    if known is None:
        try:
            return open_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            known = _search(path)
            if known is None:
                raise
    return io.BytesIO(known[0].read(_row(*known, path)))


def stat_image(path: str) -> Status | os.stat_result:
    """Size and modification time of an image, in a folder or in a pack. Raises OSError as os.stat does."""
    known = _known(path)
    if known is None:
        try:
            return os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            known = _search(path)
            if known is None:
                raise
    return known[0].status(_row(*known, path))


def is_image(path: str) -> bool:
    """Whether there is a regular file at a path, or an image of a pack."""
    if os.path.isfile(path):
        return True
    found = find_image(path)
    return found is not None and found[0].places[found[1], 2] >= 0


def original_folder(folder: str) -> str:
    """The real path of a folder, and of a pack that of the folder that it was made of.

    What is kept of one of them (groups, descriptors, an index) so serves the other: a digest of the names, sizes and
    times says whether the images are the same.
    """
    pack = find_pack(folder)
    return pack.original if pack else os.path.realpath(folder)


def _known(path: str) -> tuple[Pack, str] | None:
    """(pack, name) of a path in a pack that this process knows: without a system call, if paths are absolute."""
    for prefix, pack in tuple(_packs.items()):  # another thread may add one
        if pack.means(path, prefix):
            return pack, path[len(prefix) :]
    return None


def _search(path: str) -> tuple[Pack, str] | None:
    """(pack, name) of a path where no file is.

    Folders of a pack's images do not exist. So of the folders that a path leads through, only the last one that exists
    can be a pack.
    """
    folder = os.path.dirname(path)
    while True:
        pack = find_pack(folder or ".")
        if pack is not None:
            return pack, path[len(folder) :].lstrip("/")
        parent = os.path.dirname(folder)
        if os.path.isdir(folder or ".") or parent == folder:
            return None
        folder = parent


def _find_row(pack: Pack, name: str) -> int | None:
    row = pack.row(name)
    return pack.row(os.path.normpath(name.lstrip("/"))) if row is None else row


def _row(pack: Pack, name: str, path: str) -> int:
    row = _find_row(pack, name)
    if row is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return row


def _recorded(code: int, name: str) -> OSError:
    """The error that an image had when it was to be packed."""
    if code == errno.EINVAL:
        return NotRegularError(code, "it is no regular file", name)
    return OSError(code, os.strerror(code), name)


def _keep_newest(kept: dict, count: int) -> None:
    for key in tuple(kept)[: max(0, len(kept) - count)]:
        kept.pop(key, None)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
