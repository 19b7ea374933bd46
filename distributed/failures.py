"""Which rank failed first, and which rank logs it: by a noticeboard that all ranks read, and signs of life.

A rank that fails puts its end on the board. The others end with its exit code, and rank 0 logs the failure once. A rank
that was killed cannot post: the others see that its process is gone (on the same machine) or that its pulse has
stopped, and post in its name.
"""

import datetime
import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist

logger = logging.getLogger(__name__)

PULSE = 1.0  # seconds between two looks
SILENCE = 30.0  # seconds without a pulse, after which a rank on another machine counts as dead
# seconds that a rank has to end by itself once another has failed, and that others wait for rank 0 to log why
GRACE = 10.0
FOR_ALL = "for_all"  # attribute of a log record that belongs into the run's log, even from a rank other than 0
_CONSEQUENCE = re.compile("peer|time|connection|gloo|nccl|store|pipe", re.IGNORECASE)


class RankWatch:
    """Watches over the ranks of a group, in a thread.

    store: a torch.distributed Store that this attempt to join has for itself; rank, size: as torchrun counts.
    """

    def __init__(self, store: dist.Store, rank: int, size: int):
        self.store, self.rank = store, rank
        self._stopping, self._settling = threading.Event(), threading.Event()
        self._signals = None
        self._pulses = {}  # rank -> (its last pulse, when that was seen)
        store.set(f"place/{rank}", json.dumps([socket.gethostname(), os.getpid(), _machine()]))
        self._places = {other: json.loads(store.get(f"place/{other}")) for other in range(size) if other != rank}
        store.set_timeout(datetime.timedelta(seconds=SILENCE))
        threading.Thread(target=self._run, daemon=True).start()

    def relay(self, signals: Any) -> None:
        """From now on tells all ranks which signal one of them received.

        signals: has `received`, the number of the signal that this rank received or None, and relayed(number), which
        is called with that of another rank.
        """
        self._signals = signals

    def stop(self) -> None:
        """Ends the watch; to be called before the group is left."""
        self._stopping.set()

    def settle(self, code: int, message: str | None, error: BaseException | None = None) -> tuple[int, str | None]:
        """As distributed.settle. It closes the connections between ranks."""
        self._settling.set()
        posted = False
        try:
            # an error of a collective may only be the consequence of another rank's end, which is then awaited
            patience = SILENCE + 2 * PULSE if isinstance(error, RuntimeError) and _CONSEQUENCE.search(str(error)) else 0
            self._find_dead(self._places, patience)
            self._post(self.rank, code, message)
            posted = True
            _hang_up()
            first, code, decided = self._first()
            until = time.monotonic() + GRACE
            while (
                self.rank
                and not self.store.check(["logged"])
                and time.monotonic() < until
                and self._how_dead(0) is None
            ):
                time.sleep(PULSE / 20)
            message = self._to_log(first, decided, message)
            # the store may be rank 0's own, and the others have yet to read there that it has logged
            until = time.monotonic() + GRACE
            while (
                self.rank == 0
                and time.monotonic() < until
                and not self.store.check([f"end/{other}" for other in self._places])
            ):
                time.sleep(PULSE / 20)
            if self.rank == 0:
                time.sleep(PULSE / 5)  # they look every PULSE / 20; PyTorch prints a stack when the store is gone
            return code, message
        except RuntimeError as lost:  # the board went with the machine that it was on
            logger.debug(f"The ranks' noticeboard is gone: {lost}")
            # rank 0 logs what was posted before it lets the board go
            return code, None if posted and self.rank else message

    def _run(self) -> None:
        pulse, noticed, previous = 0, None, time.monotonic()
        while not self._stopping.wait(PULSE):
            pulse += 1
            if time.monotonic() - previous > SILENCE / 2:  # this process stood still: it cannot tell which others did
                self._pulses.clear()
            previous = time.monotonic()
            try:
                self.store.set(f"pulse/{self.rank}", str(pulse))
                self._relay_signals()
                # rank 0 watches all others, which watch rank 0
                self._find_dead([other for other in self._places if 0 in (self.rank, other)])
                first = self._first()
                if first and noticed is None and not self._stopping.is_set():
                    noticed = time.monotonic()
                    if self.rank == 0:
                        log_end(self._to_log(first[0], first[2]))
                # a rank that waits for the failed one in NCCL, or works alone for long, does not end by itself
                if noticed and time.monotonic() - noticed > GRACE and not self._settling.is_set():
                    _end(first[1], self._to_log(first[0], first[2]))
            except RuntimeError as lost:
                received = self._signals.received if self._signals else None
                # the rank with the store was faster to end after the signal
                if received is not None and not self._settling.wait(GRACE):
                    _end(128 + int(received), None)
                if not (self._stopping.is_set() or self._settling.is_set()):
                    _end(1, f"the machine of torchrun's rendezvous is gone ({str(lost).splitlines()[0]})")
                return

    def _relay_signals(self) -> None:
        signals = self._signals
        if signals is None:
            return
        if signals.received is not None:
            self.store.set("signal", str(int(signals.received)))
        elif self.store.check(["signal"]):
            signals.relayed(int(self.store.get("signal")))

    def _find_dead(self, others: Iterable[int], patience: float = 0) -> None:
        """Puts dead ranks on the board; looks again for up to `patience` seconds while the board is empty."""
        until = time.monotonic() + patience
        while True:
            for other in others:
                how = self._how_dead(other)
                if how and not self.store.check([f"end/{other}"]):
                    host, pid, _ = self._places[other]
                    self._post(other, 1, f"rank {other} (process {pid} on {host}) {how}")
            if self._first() or time.monotonic() >= until:
                return
            time.sleep(PULSE / 4)

    def _how_dead(self, other: int) -> str | None:
        """How a rank ended, as far as this one can know; None if it lives."""
        _, pid, machine = self._places[other]
        if machine == _machine():
            return None if is_alive(pid) else "was killed, or ended without a word"
        if self.store.check([f"pulse/{other}"]):
            pulse, now = self.store.get(f"pulse/{other}"), time.monotonic()
            previous, since = self._pulses.get(other, (None, now))
            self._pulses[other] = pulse, since if pulse == previous else now
            if now - self._pulses[other][1] > SILENCE:
                return f"has not been heard of for {SILENCE:.0f} s: it was killed, or its machine is gone"
        return None

    def _post(self, rank: int, code: int, message: str | None) -> None:
        self.store.set(f"end/{rank}", json.dumps([rank, code, message]))
        if self.store.add("ends", 1) == 1:
            self.store.set("first", str(rank))

    def _first(self) -> tuple[int, int, str | None] | None:
        """(rank, code, message) of the rank that failed first; None while none has."""
        if not self.store.check(["ends"]):
            return None
        return tuple(json.loads(self.store.get(f"end/{int(self.store.get('first'))}")))

    def _to_log(self, first: int, message: str, own: str | None = None) -> str | None:
        """What this rank must log of the first failure; None if another rank has logged it."""
        if self.store.add("logged", 1) > 1:
            return None
        if first == self.rank or message == own or message.startswith("rank "):
            return message
        return f"on rank {first}: {message}"


def log_end(message: str | None) -> None:
    """Logs why a script ends, for all ranks; nothing for None."""
    if message:
        logger.error(message if message.startswith("Traceback") else f"error: {message}", extra={FOR_ALL: True})


def _hang_up() -> None:
    """Closes this rank's connections, so that ranks that wait for it in a collective stop waiting.

    Not with NCCL, whose end may itself wait for them: there they wait for GRACE.
    """
    if dist.is_initialized() and not torch.cuda.is_available():
        dist.destroy_process_group()


def _end(code: int, message: str | None) -> None:
    log_end(message)
    logging.shutdown()
    os._exit(code)


def _machine() -> str:
    """A name of the machine or container in which process numbers mean the same; host names need not be unique."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return socket.gethostname()


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs; where the system does not tell (no /proc), it does."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"  # a zombie has ended
    except OSError:
        return not os.path.isdir("/proc/self")
