"""The .npy files of caches and stores: opened only if they are, to the byte, what numpy writes for a known type and the
file's size.
"""

import io
import math
import os

import numpy as np

_PREFIX = 10  # bytes: magic, version, length of the rest


def npy_header(dtype, shape):
    """The first bytes of the .npy file of a C-ordered array."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": tuple(shape)}
    )
    return buffer.getvalue()


def open_npy(path, dtypes, row=()):
    """A read-only memory map of the (n, *row) array in a .npy file, n as the file's size has it.

    dtypes: names of the types that it may have. No header is parsed: it must be the one that belongs to one of these
    types, so that it cannot claim what is not there. Raises ValueError if it is not, OSError when the file cannot be
    read.
    """
    with open(path, "rb") as file:
        size, prefix = os.fstat(file.fileno()).st_size, file.read(_PREFIX)
        offset = _PREFIX + int.from_bytes(prefix[-2:], "little")
        found = prefix + file.read(offset - _PREFIX)
        for dtype in map(np.dtype, dtypes):
            n, rest = divmod(size - offset, dtype.itemsize * math.prod(row))
            if n >= 0 and not rest and found == npy_header(dtype, (n, *row)):
                return np.memmap(file, dtype, "r", offset, (n, *row))
    raise ValueError(f"{os.path.basename(path)} is no array of its {size} bytes")
