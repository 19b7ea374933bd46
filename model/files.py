"""Reading and writing files of tensors: nothing read can run code, nothing written is ever half there."""

import contextlib
import os
import pickle  # only its error
import tempfile

import numpy as np
import torch

from .errors import UserError


def _published_numpy_float():
    """What a numpy float64 in a published last_checkpoint.pth needs, under numpy's old and new module paths; nothing more."""
    scalar = np._core.multiarray.scalar
    return [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"),
            (np.dtype, "numpy.dtype"), (np.dtypes.Float64DType, "numpy.dtypes.Float64DType")]


def read_tensors(path):
    """torch.load on the CPU with weights_only=True. Raises UserError when the file is missing, damaged, or holds more than tensors
    and plain values."""
    try:
        with torch.serialization.safe_globals(_published_numpy_float()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}; check the path") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        with open(path, "rb") as file:
            is_pickle = file.read(1) in (b"\x80", b"P")  # a bare pickle, or one in a zip
        if is_pickle:
            raise UserError(f"{path} holds objects other than tensors and plain values (or is damaged), and was not opened, since such "
                            "files can run code; ask its author for a plain state_dict") from error
        raise UserError(f"{path} is not a file of PyTorch tensors, or is damaged; fetch or save it again") from error
    except Exception as error:  # torch's readers raise nearly anything on damaged files
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is cut off or damaged ({first_line}); fetch or save it again") from error


def write_tensors(value, path):
    """torch.save, beside and renamed. Raises UserError when the disk refuses."""
    with replacing(path) as temporary:
        try:
            torch.save(value, temporary)
        except RuntimeError as error:  # torch's zip writer reports a full disk so
            raise UserError(f"{path} cannot be written: {(str(error).splitlines() or ['?'])[0]}; is the disk full?") from error


@contextlib.contextmanager
def replacing(path):
    """Yields the path of a temporary file beside `path`, which takes its name when the block ends well and goes when not.

    The new file is on the disk (fsync) before it is renamed. Raises UserError on OSError.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", suffix=".tmp", dir=os.path.dirname(path) or ".")
        os.close(handle)
        os.chmod(temporary, 0o666 & ~current_umask())  # mkstemp's files are for their owner alone
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def current_umask():
    """The process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
