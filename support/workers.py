"""Worker processes that decode images. They end with their parent and leave signals to it; lost ones are explained."""

import contextlib
import ctypes
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import torch

from support.errors import UserError

_PR_SET_PDEATHSIG = 1
_GRACE = 40  # seconds that a worker goes on after SIGTERM; its parent takes up to 30 to finish
_ADVICE = (
    (
        r"Bus error|shared memory|shm",
        "the memory that processes share (/dev/shm) is full: enlarge it (Docker: --shm-size=8g or "
        "--ipc=host), or give fewer --num_workers (0 needs none)",
    ),
    (
        r"Killed",
        "most likely the system ran out of memory, or of what the job may use: give fewer --num_workers, "
        "or the job more memory",
    ),
    (
        r"Segmentation fault|Aborted|Illegal instruction",
        "it crashed while it decoded an image: run with --num_workers 0 to see where",
    ),
    (
        "",
        "most likely the system ran out of memory: give fewer --num_workers, "
        "or 0 to see what happens in the main process",
    ),
)

_LOST = re.compile(
    r"DataLoader worker \(pid.*(killed by signal|exited unexpectedly)|unable to (open|mmap|write).*shared memory"
)


def make_workers_loader(
    dataset: torch.utils.data.Dataset, num_workers: int, **options: Any
) -> torch.utils.data.DataLoader:
    """A torch DataLoader whose workers end with this process. options: DataLoader's."""
    return torch.utils.data.DataLoader(
        dataset, num_workers=num_workers, worker_init_fn=begin_worker if num_workers else None, **options
    )


def begin_worker(worker_id: int | None = None) -> None:
    """Prepares a worker process of a DataLoader; to be called first in it.

    Batch systems and terminals send signals to all processes of a job. A worker goes on, so that its parent can finish
    its step.
    """
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    sys.excepthook = _skip_lost_parent
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(_GRACE))  # SIGALRM ends a process


def _skip_lost_parent(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Prints no traceback when the parent, at its end, no longer fetches what its workers made."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, traceback)


def end_with_parent() -> None:
    """Makes a child process end when its parent does, however that ends (on Linux); to be called in the child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent is not None and os.getppid() != parent.pid:  # it has just died
            os._exit(1)


@contextlib.contextmanager
def explaining_lost_workers() -> Iterator[None]:
    """Turns what PyTorch raises when a worker has died into a UserError that says what helps."""
    try:
        yield
    except (ConnectionError, EOFError) as error:  # a worker's end of a pipe is gone
        raise _explanation(_cause_of_the_end() or error) from error
    except RuntimeError as error:
        if not _LOST.search(_message(error)):
            raise
        raise _explanation(error) from error


def _cause_of_the_end() -> RuntimeError | None:
    """The error by which PyTorch's handler of SIGCHLD reports a worker's end, if it comes within a second.

    A broken pipe may be noticed before.
    """
    try:
        time.sleep(1)
    except RuntimeError as error:
        return error
    return None


def _explanation(error: Exception) -> UserError:
    message = _message(error)
    how = re.search(r"(killed by signal: [\w ]+|exited unexpectedly[^.]*|shared memory)", message)
    advice = next(advice for pattern, advice in _ADVICE if re.search(pattern, message))
    return UserError(f"a worker process that reads images ended ({how.group(1).strip() if how else message}): {advice}")


def _message(error: Exception) -> str:
    return " ".join(f"{error} {error.__cause__ or ''}".split())
