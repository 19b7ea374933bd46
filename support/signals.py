"""Signals that end a run, at a moment when nothing is lost by it."""

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ENDINGS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGUSR1: "told to end by SIGUSR1"}


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end: SIGINT, SIGTERM (batch systems) or SIGUSR1 (Slurm, before a job's time is up).

    number: of the signal
    on_all_ranks: whether all ranks raise this at the same step
    """

    def __init__(self, number: int, on_all_ranks: bool = False):
        super().__init__(number)
        self.number, self.on_all_ranks = number, on_all_ranks


class Signals:
    """While it is entered, the first signal raises Interrupted, and a second one ends the process at once.

    Interrupted is raised in the main thread, or where the outermost block of deferred_signals() ends.

    speaks: whether this process prints what happens, as one of all ranks does
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self, speaks: bool = True):
        self.received: int | None = None
        self.deferring, self.speaks, self._is_relayed = 0, speaks, False

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():  # only it may set handlers
            self._before = {number: signal.signal(number, self._receive) for number in self.NUMBERS}
            _entered.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self in _entered:
            _entered.remove(self)
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def relayed(self, number: int) -> None:
        """Takes a signal that another rank received; it takes effect where a block of deferred_signals() ends."""
        self.received, self._is_relayed = number, True

    def _receive(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._is_relayed:
            self._is_relayed = False
            return
        tell = functools.partial(os.write, 2) if self.speaks else len
        if self.received is not None:
            tell(f"\n{name} again: ending at once\n".encode())
            os._exit(128 + number)
        self.received = number
        tell(f"\n{name}: ending as soon as nothing is lost by it; a second signal ends the run at once\n".encode())
        if not self.deferring:
            raise Interrupted(number)


_entered: list[Signals] = []  # of the runs in this process, the innermost last


@contextlib.contextmanager
def deferred_signals() -> Iterator[None]:
    """A block that no signal interrupts: Interrupted is raised where it ends, if it ends without an error."""
    signals = _entered[-1] if _entered else Signals()
    signals.deferring += 1
    try:
        yield
    finally:
        signals.deferring -= 1
    if signals.received is not None and not signals.deferring:
        raise Interrupted(signals.received)


def pending_signal() -> int:
    """The number of the signal that waits for the end of a block of deferred_signals(); 0 if there is none."""
    return int(_entered[-1].received or 0) if _entered else 0
