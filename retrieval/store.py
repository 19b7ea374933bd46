"""The format of descriptors on disk: written by blocks, resumable, read memory-mapped.

A store is a folder with
- descriptors.npy: (n, dim) float32 or float16, which numpy.load(mmap_mode="r") opens; rows of unreadable images are
  zero;
- names.txt: the images' names, one a line, in the order of the rows (a backslash is written \\\\ and a line break \\n);
- stamps: 16 bytes for each image, by which the next store finds the images that have not changed (retrieval.earlier);
- header.json: version, type and sizes, what the descriptors depend on (identity), unreadable images with reasons,
  whether the store is complete, then also the CRC-32 of each block of rows, and a digest of all that;
- verified.json: that the rows of a complete store, and names.txt, had these checksums (support.verified);
- blocks_<rank>.jsonl, until the store is complete: a line for each block of rows that the rank wrote, with checksums of
  the line and of the rows;
- rank0_<32 hexadecimal digits>, empty, while several ranks open the store: see retrieval.sharded.
"""

import contextlib
import errno
import glob
import hashlib
import json
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

import distributed
from datasets.image_names import ImageNames
from retrieval.store_header import VERSION, read_header, read_unreadable, write_header
from retrieval.store_names import names_path, read_names, write_names
from support.array_cache import npy_header
from support.errors import UserError
from support.files import parse_object
from support.regular_files import open_regular
from support.verified import verify_once

logger = logging.getLogger(__name__)

_DATA, _BLOCKS = "descriptors.npy", "blocks_{}.jsonl"
STAMPS = "stamps"
_MAX_BLOCK = 1024  # images
_MIN_BLOCKS = 64  # of a store, so that ranks have about equal shares
_MIN_BATCHES = 4  # of a block, so that batches are full where images have several sizes
_LONGEST_LINE = 1 << 24  # bytes, of blocks_<rank>.jsonl: a block of unreadable images has 16 KiB for each reason
_SUMS = "crc32"  # key of a complete store's header: a list, by blocks


def block_size(batch_size: int, num_images: int) -> int:
    """How many images a block has: whole batches, so that no batch is cut short.

    Each block is extracted on its own. So a resumed extraction, or one by several ranks, gives the same bits.
    """
    return -(-max(min(_MAX_BLOCK, num_images // _MIN_BLOCKS), _MIN_BATCHES * batch_size) // batch_size) * batch_size


class DescriptorStore:
    """Descriptors in one file, written by blocks of `block_size` rows and read as `descriptors`.

    In a sharded store each rank writes its share of the blocks; if the store is temporary, it reads no others.

    descriptors: read-only memory map (n, dim), float32 or float16
    unreadable: {index: reason}
    done: the blocks that are written
    folder: where the store is kept; None: it is temporary
    complete: whether all blocks are written
    earlier: rows that need not be described (retrieval.earlier.Earlier); None: all are
    """

    folder, sharded, earlier = None, False, None

    def __init__(
        self, file: BinaryIO, path: str, num_images: int, dim: int, dtype: str | np.dtype, block: int, offset: int = 0
    ):
        self._file, self._path, self._offset = file, path, offset
        self.num_images, self.dim, self.dtype, self.block_size = num_images, dim, np.dtype(dtype), block
        self.num_blocks = -(-num_images // block)
        self.done, self.unreadable, self.complete = set(), {}, False
        self.descriptors = np.memmap(file, self.dtype, "r", offset, (num_images, dim))

    def rows(self, block: int) -> range:
        """The range of images of a block."""
        return range(block * self.block_size, min((block + 1) * self.block_size, self.num_images))

    def blocks(self, rank: int | None = None) -> range:
        """The blocks of this rank (or another); all blocks if the store is not sharded."""
        blocks = range(self.num_blocks)
        return blocks[distributed.share(self.num_blocks, rank)] if self.sharded else blocks

    def part(self, rank: int | None = None) -> slice:
        """The rows of these blocks, as a slice."""
        blocks = self.blocks(rank)
        return slice(blocks.start * self.block_size, min(blocks.stop * self.block_size, self.num_images))

    def pending(self) -> list[int]:
        """The blocks that this rank still has to write, ascending."""
        return [] if self.complete else [block for block in self.blocks() if block not in self.done]

    def write(self, block: int, descriptors: np.ndarray, unreadable: dict[int, str]) -> None:
        """Writes a block: float32 (rows, dim), and {index: reason} of its unreadable images.

        Raises UserError if the disk refuses, ValueError if the shape is wrong.
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

    def finish(self) -> None:
        """Marks the store as complete. Every rank of a sharded one calls it. ValueError: blocks are missing."""
        if self.pending():
            raise ValueError(f"{len(self.pending())} blocks are not written")
        if self.sharded:
            self.unreadable = {
                index: reason for part in distributed.gather(list(self.unreadable.items())) for index, reason in part
            }
        self.complete = True

    def close(self) -> None:
        """Closes the file. `descriptors` can still be read."""
        self._file.close()

    def _record(self, block: int, data: np.ndarray, unreadable: dict[int, str]) -> None:
        pass


def temporary_store(
    num_images: int, dim: int, dtype: str | np.dtype = "float32", block: int = _MAX_BLOCK, sharded: bool = False
) -> DescriptorStore:
    """Makes a store in a nameless file in the folder for temporary files (TMPDIR). It ends with the process.

    num_images, dim: of the descriptors
    dtype: float32 or float16
    block: images in a block
    sharded: the file has space for this rank's share only

    Raises UserError if the disk refuses.
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
    """A store that is kept in a folder, complete or not.

    Opening it raises ValueError if it is damaged or of another version, and FileNotFoundError if it is missing. The
    rows of a complete store are read and compared with their checksums, unless that was done since they changed.

    header: the content of header.json
    when_complete: called once the store is complete
    """

    @staticmethod
    def when_complete() -> None:
        """To be replaced."""

    def __init__(self, folder: str):
        self.folder = folder
        self.header = header = read_header(folder)
        beginning = npy_header(header["dtype"], (header["num_images"], header["dim"]))
        size = _data_size(header, beginning)
        path = os.path.join(folder, _DATA)
        file = open_regular(path, "rb" if header["complete"] else "r+b", buffering=0)
        try:
            if (found := os.fstat(file.fileno()).st_size) != size:
                raise ValueError(f"{_DATA} has {found} bytes, not {size}")
            if file.read(len(beginning)) != beginning:
                raise ValueError(f"{_DATA} does not begin as it should")
            super().__init__(
                file, path, header["num_images"], header["dim"], header["dtype"], header["block_size"], len(beginning)
            )
            self.complete = header["complete"]
            self.unreadable = read_unreadable(header, range(self.num_images))
            self._sums = {}  # {block: CRC-32 of its rows}, of an incomplete store
            if self.complete:
                self._verify()
            else:
                for record in self._records():
                    self._read_blocks(record)
        except BaseException:
            file.close()
            raise

    @property
    def names(self) -> ImageNames:
        """The images' names, in the order of the rows. Raises ValueError or OSError if names.txt is damaged."""
        return read_names(self.folder, self.header["names"])

    def finish(self) -> None:
        """Marks the store as complete, once it is on the disk. Raises UserError if the disk refuses.

        A header that cannot be written is warned of: the next run writes it.
        """
        with _refusing(self._path):
            os.fsync(self._file.fileno())
        super().finish()
        sums = distributed.gather(list(self._sums.items())) if self.sharded else [self._sums.items()]
        if not self.sharded or distributed.is_main():
            unreadable = {str(index): self.unreadable[index] for index in sorted(self.unreadable)}
            self._sums = {block: value for part in sums for block, value in part}
            sums = [self._sums[block] for block in range(self.num_blocks)]
            self.header = {**self.header, "complete": True, "unreadable": unreadable, _SUMS: sums}
            try:
                write_header(self.folder, self.header)
            except UserError as error:
                logger.warning(f"The descriptors in {self.folder} serve this run, and are not marked as whole: {error}")
                return
            for path in self._records():
                with contextlib.suppress(OSError):
                    os.unlink(path)
            self.when_complete()

    def _verify(self) -> None:
        """Raises ValueError unless the rows have their checksums. A store of an earlier version gets them now."""
        sums = self.header.get(_SUMS)
        if sums is None:
            logger.info(
                f"The descriptors in {self.folder} have no checksums, as an earlier version wrote them: they are taken "
                "as they are, and get some"
            )
            self.header[_SUMS] = self._checksums()
            try:
                write_header(self.folder, self.header)
            except UserError as error:
                logger.debug(f"They are not kept: {error}")
            return

        def compare(_: str) -> None:
            if self._checksums() != sums:
                raise ValueError(f"rows of {_DATA} have another checksum")

        verify_once(self.folder, {_DATA: hashlib.sha256(json.dumps(sums).encode()).hexdigest()}, compare)

    def _checksums(self) -> list[int]:
        """The CRC-32 of each block. Raises ValueError for a number that is not finite."""
        sums = []
        with tqdm(
            total=self.num_images, desc=f"Checking {self.folder}", unit="img", leave=False, delay=2, disable=None
        ) as progress:
            for block in range(self.num_blocks):
                rows = self.rows(block)
                values = self.descriptors[rows.start : rows.stop]
                if not np.isfinite(values).all():
                    raise ValueError(f"rows {rows.start} to {rows.stop - 1} of {_DATA} hold NaN or infinity")
                sums.append(zlib.crc32(values))
                progress.update(len(rows))
        return sums

    def _record(self, block: int, data: np.ndarray, unreadable: dict[int, str]) -> None:
        self._sums[block] = zlib.crc32(data)
        line = json.dumps(
            {
                "block": block,
                "crc32": self._sums[block],
                "unreadable": {str(i): reason for i, reason in unreadable.items()},
            }
        )
        with open(os.path.join(self.folder, _BLOCKS.format(distributed.rank())), "ab", buffering=0) as file:
            _write_at(file, b"%08x %b\n" % (zlib.crc32(line.encode()), line.encode()))

    def _records(self) -> list[str]:
        """The paths of the blocks_<rank>.jsonl that are there."""
        return sorted(glob.glob(os.path.join(glob.escape(self.folder), _BLOCKS.format("*"))))

    def _read_blocks(self, path: str) -> None:
        """Finds the blocks that are done: their line is whole, and their rows have its checksum.

        What follows a broken line is cut off.
        """
        whole = 0
        with open_regular(path, "r+b") as file:
            for line in iter(lambda: file.readline(_LONGEST_LINE), b""):
                entry = _parse_line(line)
                if entry is None or not 0 <= entry["block"] < self.num_blocks:
                    file.truncate(whole)
                    break
                whole += len(line)
                rows = self.rows(entry["block"])
                if zlib.crc32(self.descriptors[rows.start : rows.stop]) == entry["crc32"]:
                    self.unreadable.update(read_unreadable(entry, rows))
                    self.done.add(entry["block"])
                    self._sums[entry["block"]] = entry["crc32"]


def create_store(folder: str, names: Iterable[str], header: dict, stamps: Iterable[bytes] = ()) -> FolderStore:
    """Makes an empty store in a new folder, and reserves its disk space.

    names: of the images; header: the store's dtype, num_images, dim, block_size and identity (what the descriptors
    depend on, as a dict for JSON); stamps: of identity.image_stamps. Raises UserError if the disk refuses; nothing is
    left then.
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
            digest = write_names(names_path(building), names)
            stamps = b"".join(stamps)
            with open(os.path.join(building, STAMPS), "wb") as file:
                file.write(stamps)
        digests = {"names": digest, "stamps": hashlib.sha256(stamps).hexdigest()}
        write_header(building, {"version": VERSION, **header, **digests, "complete": False, "unreadable": {}})
        with _refusing(folder):
            os.rename(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return FolderStore(folder)


def _data_size(header: dict, beginning: bytes) -> int:
    return len(beginning) + header["num_images"] * header["dim"] * np.dtype(header["dtype"]).itemsize


def _parse_line(line: bytes) -> dict | None:
    """The entry in a line of blocks_<rank>.jsonl; None if the line is not whole.

    Raises ValueError if a whole line is not one of ours.
    """
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    entry = parse_object(text)
    if not all(isinstance(entry.get(key), int) for key in ("block", "crc32")):
        raise ValueError(f"{_BLOCKS} is damaged")
    return entry


def _allocate(file: BinaryIO, size: int, offset: int = 0) -> None:
    """Reserves disk space now, so that a disk that is too small is noticed before hours of extraction."""
    try:
        os.posix_fallocate(file.fileno(), offset, size)
    except (AttributeError, OSError) as error:  # not all systems and file systems have it
        if getattr(error, "errno", None) not in (None, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.truncate(file.fileno(), max(offset + size, os.fstat(file.fileno()).st_size))


def _write_at(file: BinaryIO, data: np.ndarray | bytes, offset: int | None = None) -> None:
    """Writes all bytes, at an offset or at the file's end.

    Plain writes raise an error on a full disk; a memory map would kill the process.
    """
    view = memoryview(data).cast("B")
    while len(view):
        written = os.write(file.fileno(), view) if offset is None else os.pwrite(file.fileno(), view, offset)
        view = view[written:]
        offset = None if offset is None else offset + written


@contextlib.contextmanager
def _refusing(path: str, advice: str = "free some space there, or give --no_descriptors_cache") -> Iterator[None]:
    """Turns OSError into UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"descriptors cannot be written to {path}: {error.strerror or error}; {advice}") from error
