"""The one format of descriptors on disk: written by blocks, resumable, read memory-mapped.

A store is a folder with
- descriptors.npy: (n, dim) float32 or float16, an array as numpy.load(mmap_mode="r") opens it; rows of unreadable images are zero;
- names.txt: the images' names, one a line, in the order of the rows (a backslash is written \\\\ and a line break \\n);
- header.json: version, type and sizes, what the descriptors are a function of (identity), unreadable images with reasons, whether it is
  complete, and a digest of all that;
- blocks_<rank>.jsonl, until it is complete: a line for each block of rows that the rank wrote, with checksums of the line and of the rows;
- rank0_<32 hexadecimal digits>, empty, while many ranks open it: by it they know the folder from one on a disk of their own.
"""

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
import zlib

import numpy as np

import distributed
from datasets.image_names import ImageNames
from support.array_cache import npy_header
from support.errors import UserError
from support.files import parse_object, read_object, replacing

VERSION = 1
DTYPES = ("float32", "float16")
_DATA, _NAMES, _BLOCKS = "descriptors.npy", "names.txt", "blocks_{}.jsonl"
_MAX_BLOCK = 1024  # images
_MIN_BLOCKS, _MIN_BATCHES = (
    64,
    4,
)  # so many blocks that ranks have equal shares, so many batches that those of mixed sizes are full
_LARGEST_HEADER = 1 << 27  # bytes: a million unreadable images with reasons


def block_size(batch_size, num_images):
    """Images a block: whole batches, so that images of one size lose nothing. Blocks are extracted each on its own,
    which is why a resumed extraction, and one by many ranks, gives the same bits.
    """
    return -(-max(min(_MAX_BLOCK, num_images // _MIN_BLOCKS), _MIN_BATCHES * batch_size) // batch_size) * batch_size


class DescriptorStore:
    """Descriptors in one file, written by blocks of `block_size` rows and read as `descriptors`.

    descriptors: read-only memory map (n, dim), float32 or float16; unreadable: {index: reason}; done: the blocks that
    are written; folder: where it is kept, None for a temporary one; complete: whether all is there. Of a sharded store
    each rank writes its share of the blocks, and of a temporary one reads no others.
    """

    folder, sharded = None, False

    def __init__(self, file, path, num_images, dim, dtype, block, offset=0):
        self._file, self._path, self._offset = file, path, offset
        self.num_images, self.dim, self.dtype, self.block_size = num_images, dim, np.dtype(dtype), block
        self.num_blocks = -(-num_images // block)
        self.done, self.unreadable, self.complete = set(), {}, False
        self.descriptors = np.memmap(file, self.dtype, "r", offset, (num_images, dim))

    def rows(self, block):
        """The range of images of a block."""
        return range(block * self.block_size, min((block + 1) * self.block_size, self.num_images))

    def blocks(self, rank=None):
        """The range of this rank's (or another's) share of the blocks; all blocks, unless the store is sharded."""
        return (
            range(self.num_blocks)[distributed.share(self.num_blocks, rank)] if self.sharded else range(self.num_blocks)
        )

    def part(self, rank=None):
        """The slice of these blocks' rows."""
        blocks = self.blocks(rank)
        return slice(blocks.start * self.block_size, min(blocks.stop * self.block_size, self.num_images))

    def pending(self):
        """The blocks that this rank has to write yet, ascending."""
        return [] if self.complete else [block for block in self.blocks() if block not in self.done]

    def write(self, block, descriptors, unreadable):
        """Writes a block: float32 (rows, dim), and {index: reason} of its unreadable images. Raises UserError when the
        disk refuses.
        """
        rows = self.rows(block)
        if descriptors.shape != (len(rows), self.dim):
            raise ValueError(f"block {block} has {len(rows)} rows of {self.dim}, not {descriptors.shape}")
        data = np.ascontiguousarray(descriptors, self.dtype)
        with _refusing(self._path):
            _write_at(self._file, data, self._offset + rows.start * self.dim * self.dtype.itemsize)
            self._record(block, data, unreadable)
        self.unreadable.update(unreadable)
        self.done.add(block)

    def finish(self):
        """To be called when all blocks are written, by every rank of a sharded store."""
        if self.pending():
            raise ValueError(f"{len(self.pending())} blocks are not written")
        if self.sharded:
            self.unreadable = {
                index: reason for part in distributed.gather(list(self.unreadable.items())) for index, reason in part
            }
        self.complete = True

    def close(self):
        """The file is closed; `descriptors` can still be read."""
        self._file.close()

    def _record(self, block, data, unreadable):
        pass


def temporary_store(num_images, dim, dtype="float32", block=_MAX_BLOCK, sharded=False):
    """A DescriptorStore in a file without a name, in the folder for temporary files (TMPDIR): nothing of it outlives
    the process.

    sharded: of this rank's share alone; the rest of the file takes no space.
    """
    with _refusing(f"a temporary file in {tempfile.gettempdir()}", "set TMPDIR to where there is more"):
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        row_size = dim * np.dtype(dtype).itemsize
        os.truncate(file.fileno(), num_images * row_size)
        store = DescriptorStore(file, f"a temporary file in {tempfile.gettempdir()}", num_images, dim, dtype, block)
        store.sharded, part = sharded, store.part()
        _allocate(file, (part.stop - part.start) * row_size, part.start * row_size)
        return store


class FolderStore(DescriptorStore):
    """A store that is kept, possibly not complete. Raises ValueError when what is there is damaged or of another
    version (FileNotFoundError when there is nothing), before anything is mapped.

    header: what header.json says; when_complete: called once the store is.
    """

    @staticmethod
    def when_complete():
        pass

    def __init__(self, folder):
        self.folder = folder
        self.header = header = read_header(folder)
        beginning = npy_header(header["dtype"], (header["num_images"], header["dim"]))
        size = _data_size(header, beginning)
        path = os.path.join(folder, _DATA)
        file = open(path, "rb" if header["complete"] else "r+b", buffering=0)  # noqa: SIM115
        try:
            if (found := os.fstat(file.fileno()).st_size) != size:
                raise ValueError(f"{_DATA} has {found} bytes, not {size}")
            if file.read(len(beginning)) != beginning:
                raise ValueError(f"{_DATA} does not begin as it should")
            super().__init__(
                file, path, header["num_images"], header["dim"], header["dtype"], header["block_size"], len(beginning)
            )
            self.complete = header["complete"]
            self.unreadable = _unreadable(header, range(self.num_images))
            for record in () if self.complete else self._records():
                self._read_blocks(record)
        except BaseException:
            file.close()
            raise

    @property
    def names(self):
        """The images' names, in the order of the rows: ImageNames. Raises ValueError when names.txt is damaged."""
        data = np.fromfile(os.path.join(self.folder, _NAMES), np.uint8)
        if hashlib.sha256(data).hexdigest() != self.header["names"]:
            raise ValueError(f"{os.path.join(self.folder, _NAMES)} is damaged")
        ends = np.flatnonzero(data == ord("\n"))
        names = ImageNames(data, np.concatenate([[0], ends[:-1] + 1]).astype(np.int64), ends, source=self.folder)
        if (data == ord("\\")).any():
            names = ImageNames.from_strings([_unescape(name) for name in names], source=self.folder)
        return names

    def finish(self):
        """Marks the store as complete, once it is on the disk."""
        with _refusing(self._path):
            os.fsync(self._file.fileno())
        super().finish()
        if not self.sharded or distributed.is_main():
            unreadable = {str(index): self.unreadable[index] for index in sorted(self.unreadable)}
            self.header = {**self.header, "complete": True, "unreadable": unreadable}
            _write_header(self.folder, self.header)
            for path in self._records():
                os.unlink(path)
            self.when_complete()

    def _record(self, block, data, unreadable):
        line = json.dumps(
            {
                "block": block,
                "crc32": zlib.crc32(data),
                "unreadable": {str(i): reason for i, reason in unreadable.items()},
            }
        )
        with open(os.path.join(self.folder, _BLOCKS.format(distributed.rank())), "ab", buffering=0) as file:
            _write_at(file, b"%08x %b\n" % (zlib.crc32(line.encode()), line.encode()))

    def _records(self):
        """The paths of what ranks have written down of their blocks."""
        return sorted(glob.glob(os.path.join(glob.escape(self.folder), _BLOCKS.format("*"))))

    def _read_blocks(self, path):
        """Which blocks are done: those with a whole line, whose rows have its checksum. What follows a broken line is
        cut off.
        """
        whole = 0
        with open(path, "r+b") as file:
            for line in file:
                entry = _parse_line(line)
                if entry is None or not 0 <= entry["block"] < self.num_blocks:
                    file.truncate(whole)
                    break
                whole += len(line)
                rows = self.rows(entry["block"])
                if zlib.crc32(self.descriptors[rows.start : rows.stop]) == entry["crc32"]:
                    self.unreadable.update(_unreadable(entry, rows))
                    self.done.add(entry["block"])


def create_store(folder, names, header):
    """Makes an empty store at `folder`, where none may be, with all its disk space taken. Returns a FolderStore.

    names: the images'; header: the store's dtype, num_images, dim, block_size and identity (a dict for JSON: what the
    descriptors are a function of). Raises UserError when the disk refuses; nothing is left then.
    """
    building = folder + ".building"
    shutil.rmtree(building, ignore_errors=True)
    beginning = npy_header(header["dtype"], (header["num_images"], header["dim"]))
    try:
        with _refusing(folder):
            os.makedirs(building)
            with open(os.path.join(building, _DATA), "xb", buffering=0) as file:
                _write_at(file, beginning)
                _allocate(file, _data_size(header, beginning))
            digest = hashlib.sha256()
            with open(os.path.join(building, _NAMES), "wb") as file:
                for name in names:
                    line = os.fsencode(name).replace(b"\\", b"\\\\").replace(b"\n", b"\\n") + b"\n"
                    file.write(line)
                    digest.update(line)
        _write_header(
            building, {"version": VERSION, **header, "names": digest.hexdigest(), "complete": False, "unreadable": {}}
        )
        with _refusing(folder):
            os.rename(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return FolderStore(folder)


def header_path(folder):
    return os.path.join(folder, "header.json")


def _data_size(header, beginning):
    return len(beginning) + header["num_images"] * header["dim"] * np.dtype(header["dtype"]).itemsize


def read_header(folder):
    """What the header.json of a store says, a dict. Raises OSError or ValueError when it is missing or damaged."""
    header = read_object(header_path(folder), _LARGEST_HEADER)
    if header.get("version") != VERSION:
        raise ValueError(f"its version is {str(header.get('version'))[:20]}, not {VERSION}")
    if header.pop("digest", None) != _digest(header):
        raise ValueError("header.json is damaged")
    # with the digest right these can only be wrong in a header that another program wrote
    if header.get("dtype") not in DTYPES or not all(
        type(header.get(key)) is int and header[key] > 0 for key in ("num_images", "dim", "block_size")
    ):
        raise ValueError("header.json has impossible sizes")
    if not isinstance(header.get("complete"), bool) or not isinstance(header.get("names"), str):
        raise ValueError("header.json is damaged")
    return header


def _write_header(folder, header):
    with replacing(header_path(folder)) as temporary, open(temporary, "w") as file:
        json.dump({**header, "digest": _digest(header)}, file, indent=1)


def _digest(header):
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def _parse_line(line):
    """The entry of a line of blocks_<rank>.jsonl, or None if it is not whole. Raises ValueError if it is, and of
    another program.
    """
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    entry = parse_object(text)
    if not all(isinstance(entry.get(key), int) for key in ("block", "crc32")):
        raise ValueError(f"{_BLOCKS} is damaged")
    return entry


def _unreadable(entry, rows):
    """{index: reason} of a header or a line. Raises ValueError unless all are of these rows."""
    try:
        unreadable = {int(index): reason for index, reason in entry["unreadable"].items()}
    except (KeyError, AttributeError) as error:
        raise ValueError("its unreadable images are damaged") from error
    if not all(index in rows and isinstance(reason, str) for index, reason in unreadable.items()):
        raise ValueError("its unreadable images are none of its images")
    return unreadable


def _unescape(name):
    return "\\".join(part.replace("\\n", "\n") for part in name.split("\\\\"))


def _allocate(file, size, offset=0):
    """Takes the disk space of some bytes now, so that a disk that is too small is known before hours of extraction."""
    try:
        os.posix_fallocate(file.fileno(), offset, size)
    except (AttributeError, OSError) as error:  # not on every system, nor on every file system
        if getattr(error, "errno", None) not in (None, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.truncate(file.fileno(), max(offset + size, os.fstat(file.fileno()).st_size))


def _write_at(file, data, offset=None):
    """Writes all bytes, at an offset or at the file's end. Plain writes: on a full disk they raise, where a memory map
    would kill the process.
    """
    view = memoryview(data).cast("B")
    while len(view):
        written = os.write(file.fileno(), view) if offset is None else os.pwrite(file.fileno(), view, offset)
        view = view[written:]
        offset = None if offset is None else offset + written


@contextlib.contextmanager
def _refusing(path, advice="free some space there, or give --no_descriptors_cache"):
    """OSError as UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"descriptors cannot be written to {path}: {error.strerror or error}; {advice}") from error
