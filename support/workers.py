"""Worker processes that read images. They end with their parent or before it, and what goes wrong is explained.

PyTorch's DataLoader has the workers. What it lacks is here:
- A worker packs its batch itself. In PyTorch a thread of the worker does, and a batch that does not fit into shared
  memory (/dev/shm) is lost there without a word.
- A worker that has died, or lives and sends nothing, is noticed where its batch is waited for: between two steps.
- close() ends the workers. Left to the garbage collector they may live until the interpreter's end, and delay it.
"""

import contextlib
import ctypes
import errno
import functools
import math
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.reduction import ForkingPickler
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from support.errors import TOO_MANY_FILES, UserError

PATIENCE = 600  # seconds without a batch from workers that live, after which the run ends
_LOOK = 1  # seconds between two looks at the workers while a batch is waited for
_LEAVE = 1  # seconds that a worker has to leave by itself when it is not needed any more
_GRACE = 40  # seconds that a worker goes on after SIGTERM; its parent takes up to 30 to finish
_PR_SET_PDEATHSIG = 1
_FULL = (
    "the memory that processes share (/dev/shm) is full: enlarge it (Docker: --shm-size=8g or --ipc=host), or give "
    "fewer --num_workers (0 needs none)"
)
_READ_ONLY = "the memory that processes share (/dev/shm) may not be written: mount it writable, or give --num_workers 0"
_MEMORY = (
    "most likely the system ran out of memory, or of what the job may use: give fewer --num_workers, "
    "or the job more memory"
)
_UNKNOWN = (
    "most likely the system ran out of memory: give fewer --num_workers, or 0 to see what happens in the main process"
)
_CRASH = "it crashed while it decoded an image: run with --num_workers 0 to see where"
_ENDS = {signal.SIGBUS: _FULL, signal.SIGKILL: _MEMORY} | dict.fromkeys(
    (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL), _CRASH
)
# what PyTorch and Python say when a batch cannot be handed over
_REFUSED = (
    (re.compile(r"Too many open files|received 0 items of ancdata", re.IGNORECASE), TOO_MANY_FILES[errno.EMFILE]),
    (re.compile(r"unable to (open|write|resize|allocate|mmap)\b.*(torch_|shared memory)"), _FULL),
    (re.compile(r"DataLoader worker \(pid"), _UNKNOWN),  # one that has died before this process could look
)


class _QuietLoader(torch.utils.data.DataLoader):
    def check_worker_number_rationality(self) -> None:
        """Does not warn that there are more workers than cores: the published default of 8 is, on a small machine."""


class Loader:
    """An iterator over the batches of a dataset, which worker processes read; to be closed by who made it.

    It is a context manager, too. In the main thread it raises UserError when a worker has died, when no batch has come
    for PATIENCE, and when batches cannot be handed over. In others PyTorch's own errors come.

    dataset: as a DataLoader takes it
    num_workers: processes; 0 reads in this one
    batch_size: items a batch; None: each item is a batch
    collate: makes a batch of a list of items, or of an item without batch_size (default: leaves it as it is)
    options: DataLoader's
    """

    def __init__(
        self,
        dataset: torch.utils.data.Dataset,
        num_workers: int,
        batch_size: int | None = None,
        collate: Callable[[Any], Any] | None = None,
        **options: Any,
    ):
        collate = collate or _unchanged
        if num_workers:
            options |= {"num_workers": num_workers}
            collate = _Packing(collate)
        self._loader = _QuietLoader(dataset, batch_size, collate_fn=collate, **options)
        self._iterator = None

    @property
    def _workers(self) -> list[multiprocessing.Process]:
        return getattr(self._iterator, "_workers", [])

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            if self._iterator is None:
                self._start()
            with _looking(self._check, bool(self._workers)):
                return next(self._iterator)
        except (OSError, EOFError, RuntimeError) as error:
            message = self._why_dead(error) or _why_refused(error)
            if message is None:
                raise
            raise UserError(message) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers, within about a second. There are no more batches."""
        workers, iterator = self._workers, self._iterator
        self._iterator = iter(())
        if not workers:
            return
        killer = threading.Timer(_LEAVE, _kill, [workers])
        killer.start()
        try:
            iterator._shutdown_workers()
        finally:
            killer.cancel()
            _kill(workers)

    def _start(self) -> None:
        self._loader.worker_init_fn = functools.partial(begin_worker, in_main=_in_main_thread())
        try:
            self._iterator = iter(self._loader)
        except BaseException as error:
            _abandon(error)
            if not isinstance(error, OSError):
                raise
            lack = (TOO_MANY_FILES | {errno.ENOSPC: _FULL, errno.EROFS: _READ_ONLY}).get(error.errno, _MEMORY)
            raise UserError(f"processes that read images cannot be started ({error.strerror}): {lack}") from error
        if self._workers:
            # else PyTorch raises an error in the middle of a step as soon as one dies, and the step is lost
            torch.utils.data._utils.signal_handling._remove_worker_pids(id(self._iterator))
            self._iterator._worker_pids_set = False

    def _check(self, seconds: float) -> None:
        """Raises UserError if a worker has died, or after too many seconds of waiting."""
        if message := self._why_dead():
            raise UserError(message)
        if seconds >= PATIENCE:
            raise UserError(
                f"no batch has come for {PATIENCE:.0f} s from the processes that read images, though they live: look "
                "whether the disk or the network answers, or give --num_workers 0 to see what they wait for"
            )

    def _why_dead(self, error: Exception | None = None) -> str | None:
        """What became of a worker that has died; None if all live. An error may be known before the death is."""
        until = time.monotonic() + isinstance(error, ConnectionError | EOFError)
        while self._workers:
            for worker in self._workers:
                if worker.exitcode:  # not 0: it left when there was no more to do
                    return _explanation(worker.exitcode)
            if time.monotonic() >= until:
                break
            time.sleep(0.05)
        return None


class _Packing:
    """Makes a batch, and puts its tensors into shared memory: what fails there fails in the worker's own thread."""

    def __init__(self, collate: Callable[[Any], Any]):
        self.collate = collate

    def __call__(self, items: Any) -> "_Packed":
        return _Packed(bytes(ForkingPickler.dumps(self.collate(items))))


class _Packed:
    """A batch as a worker sends it. It arrives as the batch itself."""

    def __init__(self, data: bytes):
        self.data = data

    def __reduce__(self) -> tuple:
        return ForkingPickler.loads, (self.data,)


def _unchanged(item: Any) -> Any:
    return item


@contextlib.contextmanager
def _looking(check: Callable[[float], None], wanted: bool) -> Iterator[None]:
    """While the block waits, check(seconds so far) is called every _LOOK seconds or more often; it may raise an error.

    A timer's signal does it, as it ends every wait. Time in which this process itself is stopped does not count.
    """
    # no handler that Python knows of: the signal belongs to a library
    if not wanted or not _in_main_thread() or signal.getsignal(signal.SIGALRM) is None:
        yield
        return
    alarm = _Alarm(check)
    try:
        alarm.borrow()
        yield
    finally:
        alarm.give_back()


class _Alarm:
    """SIGALRM and its timer, borrowed from the caller, whose own alarm comes at its time all the same."""

    def __init__(self, check: Callable[[float], None]):
        self.check, self.waited, self.is_borrowed = check, 0.0, False

    def borrow(self) -> None:
        timer = signal.setitimer(signal.ITIMER_REAL, 0)
        self.handler = signal.signal(signal.SIGALRM, self._look)
        again = signal.getitimer(signal.ITIMER_REAL)  # an alarm between those two lines may have set the next
        left, self.interval = again if again[0] else timer
        self.due = time.monotonic() + left if left else math.inf
        self.is_borrowed = True
        self._start()

    def give_back(self) -> None:
        """The caller's alarm comes at once if its time is over."""
        if self.is_borrowed:
            self.is_borrowed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.handler)
            if self.due < math.inf:
                signal.setitimer(signal.ITIMER_REAL, self._left(), self.interval)

    def _left(self) -> float:
        return max(self.due - time.monotonic(), 1e-6)  # 0 would mean never

    def _start(self) -> None:
        self.period = min(_LOOK, self._left())
        signal.setitimer(signal.ITIMER_REAL, self.period)

    def _look(self, number: int, frame: FrameType | None) -> None:
        if not self.is_borrowed:
            return
        self.waited += self.period
        if time.monotonic() >= self.due:
            self.due = time.monotonic() + self.interval if self.interval else math.inf
            self.give_back()  # the caller's handler may set the next alarm, or raise an error
            if callable(self.handler):
                self.handler(number, frame)
            else:
                signal.raise_signal(number)
            self.borrow()
        self.check(self.waited)
        self._start()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _abandon(error: BaseException) -> None:
    """Ends what an iterator had begun when an error came while it was made. Left to itself, it fails once more."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        made = frame.f_locals.get("self")
        if isinstance(made, _MultiProcessingDataLoaderIter) and not hasattr(made, "_workers_status"):
            made._shutdown = True
            _kill(getattr(made, "_workers", []))


def begin_worker(worker_id: int | None = None, in_main: bool = True) -> None:
    """Prepares a worker process; to be called first in it. in_main: whether its parent's main thread has started it.

    Batch systems and terminals send signals to all processes of a job. A worker goes on, so that its parent can finish
    its step.
    """
    end_with_parent(in_main)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    sys.excepthook = _skip_lost_parent
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it ends a process
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(_GRACE))


def _skip_lost_parent(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Prints no traceback when the parent, at its end, no longer fetches what its workers made."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, traceback)


def end_with_parent(in_main: bool = True) -> None:
    """Makes a child process end when its parent does, however that ends; to be called in the child.

    in_main: whether the parent's main thread has started it. The kernel (on Linux) sends its signal at the end of that
    thread. A child that another thread has started, or a fork server, watches its parent itself.
    """
    if in_main and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent, os.getppid()), daemon=True).start()


def _watch(parent: multiprocessing.Process, started_by: int) -> None:
    """Ends this process after its parent, or after the fork server that started it."""
    # a pipe tells of the parent, which other forked processes may hold open: so the number is looked at, too
    while parent.is_alive() and os.getppid() == started_by:
        parent.join(_LOOK)
    os._exit(1)


def _kill(workers: list[multiprocessing.Process]) -> None:
    for worker in workers:
        worker.kill()


def _explanation(exit_code: int) -> str:
    """Why a worker has died, and what helps."""
    if exit_code > 0:
        how, advice = f"exited unexpectedly with exit code {exit_code}", _UNKNOWN
    else:
        how, advice = f"killed by signal: {signal.strsignal(-exit_code)}", _ENDS.get(-exit_code, _UNKNOWN)
    return f"a worker process that reads images ended ({how}): {advice}"


def _why_refused(error: Exception) -> str | None:
    """What was lacking when a batch could not be handed over; None for other errors."""
    message = " ".join(f"{error} {error.__cause__ or ''}".split())
    lack = next((lack for pattern, lack in _REFUSED if pattern.search(message)), None)
    return lack and f"images that worker processes read cannot be handed over: {lack}"
