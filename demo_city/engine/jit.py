"""Compiling kernels with numba, which the demo city alone needs."""

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from support.errors import UserError

try:
    import numba
except ModuleNotFoundError:  # said in one line once something is rendered
    numba = None


def kernel(function: Callable, **options: object) -> Callable:
    """Compiles a function when it is first called, and keeps the result on disk.

    Kernels call parts of their own module only: numba does not notice when another module changes. options: of njit.
    """
    if numba is not None:
        function.__qualname__ += f"-{_state():08x}"  # is in the name of the file
    return part(function, no_cpython_wrapper=False, no_cfunc_wrapper=False, cache=True, **options)


@cache
def _state() -> int:
    """Another number for other sources, and for the package `cosplace`: what is kept on disk names the classes of the
    arguments, and cannot be read where those are not.
    """
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return zlib.crc32(b"".join([__name__.encode(), *sources]))


def part(function: Callable, **options: object) -> Callable:
    """A function that kernels alone call. It takes less time to compile."""
    if numba is None:
        return _refuse
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True} | options
    # kernels ask for no memory (no NRT): counting references to arrays would take longer than the work
    return numba.njit(nogil=True, error_model="numpy", _nrt=False, **options)(function)


def _refuse(*_args: object) -> None:
    raise UserError("rendering needs numba: pip install -r requirements-demo.txt")
