"""Running out of memory: noticing it, and a bound for what reads a file."""

import contextlib
import resource
import threading
from collections.abc import Iterator

_limiting = threading.RLock()  # else one thread could put back the limit that another has set for a while
_TEXTS = ("can't allocate memory", "not enough memory", "out of memory")  # PyTorch's: Linux, Windows, a GPU


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left: Python's, NumPy's, or PyTorch's on a CPU or a GPU."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)
    )


@contextlib.contextmanager
def taking_at_most(size: int) -> Iterator[None]:
    """A context in which the process gets at most `size` more bytes of memory (Linux). is_out_of_memory() tells then.

    The bound is the whole process's, so leave room for what other threads do meanwhile.
    """
    now = _taken()
    if now is None:
        yield
        return
    with _limiting:
        before = resource.getrlimit(resource.RLIMIT_DATA)
        limits = [limit for limit in before if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min([now + size, *limits]), before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)


def _taken() -> int | None:
    """What RLIMIT_DATA counts, in bytes; None where that is not known."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return None
