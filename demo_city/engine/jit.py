"""Compiling kernels with numba, which the demo city alone needs."""

from collections.abc import Callable

from support.errors import UserError

try:
    import numba
except ModuleNotFoundError:  # said in one line once something is rendered
    numba = None


def kernel(function: Callable) -> Callable:
    """Compiles a function when it is first called, and keeps the result on disk.

    Kernels call parts of their own module only: numba does not notice when another module changes.
    """
    return _compiled(function, cache=True)


def part(function: Callable) -> Callable:
    """A function that kernels alone call. It takes less time to compile."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _compiled(function: Callable, **options: bool) -> Callable:
    if numba is None:
        return _refuse
    # kernels ask for no memory (no NRT): counting references to arrays would take longer than the work
    return numba.njit(nogil=True, error_model="numpy", _nrt=False, **options)(function)


def _refuse(*_args: object) -> None:
    raise UserError("rendering needs numba: pip install -r requirements-demo.txt")
