"""Worker processes that decode images: they end with their parent, leave signals to it, and what ends them is told."""

import contextlib
import ctypes
import multiprocessing
import os
import re
import signal
import sys
import time

import torch

from support.errors import UserError

_PR_SET_PDEATHSIG = 1
_GRACE = 40  # seconds that a worker goes on after SIGTERM: its parent has 30 to end well
_ADVICE = (
    (
        r"Bus error|shared memory|shm",
        "the memory that processes share (/dev/shm) is full: enlarge it (Docker: --shm-size=8g or "
        "--ipc=host), or give fewer --num_workers (0 needs none)",
    ),
    (
        r"Killed",
        "most likely the system ran out of memory, or of what the job may use: give fewer --num_workers, or the job more memory",
    ),
    (
        r"Segmentation fault|Aborted|Illegal instruction",
        "it crashed while it decoded an image: run with --num_workers 0 to see where",
    ),
    (
        "",
        "most likely the system ran out of memory: give fewer --num_workers, or 0 to see what happens in the main process",
    ),
)

_LOST = re.compile(
    r"DataLoader worker \(pid.*(killed by signal|exited unexpectedly)|unable to (open|mmap|write).*shared memory"
)


def make_workers_loader(dataset, num_workers, **options):
    """A torch DataLoader whose workers end with this process; options: DataLoader's."""
    return torch.utils.data.DataLoader(
        dataset, num_workers=num_workers, worker_init_fn=begin_worker if num_workers else None, **options
    )


def begin_worker(worker_id=None):
    """To be called first in a worker process of a DataLoader.

    Batch systems and terminals send signals to all processes of a job: a worker goes on, so that its parent can finish
    what it is at.
    """
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    sys.excepthook = _pass_over_lost_parent
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(_GRACE))  # SIGALRM ends a process


def _pass_over_lost_parent(kind, error, traceback):
    """A parent that ends no longer fetches what its workers have made: no reason for a traceback in the terminal."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, traceback)


def end_with_parent():
    """To be called in a child process: it ends when its parent does, however that ends (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent is not None and os.getppid() != parent.pid:  # it has just died
            os._exit(1)


@contextlib.contextmanager
def explaining_lost_workers():
    """What PyTorch raises when a worker has died, as a UserError that says what helps."""
    try:
        yield
    except (ConnectionError, EOFError) as error:  # a worker's end of a pipe is gone
        raise _explanation(_cause_of_the_end() or error) from error
    except RuntimeError as error:
        if not _LOST.search(_message(error)):
            raise
        raise _explanation(error) from error


def _cause_of_the_end():
    """What PyTorch's handler of SIGCHLD raises when it learns of a worker's end, which a broken pipe may precede; None
    if it does not.
    """
    try:
        time.sleep(1)
    except RuntimeError as error:
        return error
    return None


def _explanation(error):
    message = _message(error)
    how = re.search(r"(killed by signal: [\w ]+|exited unexpectedly[^.]*|shared memory)", message)
    advice = next(advice for pattern, advice in _ADVICE if re.search(pattern, message))
    return UserError(f"a worker process that reads images ended ({how.group(1).strip() if how else message}): {advice}")


def _message(error):
    return " ".join(f"{error} {error.__cause__ or ''}".split())
