"""How far a long piece of work is, and when it will end."""

import time

FIRST, EVERY = 20.0, 60.0  # seconds until the first line in a log, and between two


class Progress:
    """Tells when a line about the work is due, how fast it is, and how long the rest will take at the pace so far.

    total: steps of the whole work
    done: steps that an earlier, interrupted run did
    first: seconds until the first line (default: FIRST)
    """

    def __init__(self, total: int, done: int = 0, first: float | None = None):
        self.total, self._first = total, done
        self._start = time.monotonic()
        self._due = self._start + (FIRST if first is None else first)

    def is_due(self) -> bool:
        """Whether a line is due; if so, the next is due EVERY seconds later."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + EVERY
        return True

    def left(self, done: int) -> str:
        """The time that the rest will take, once `done` steps are done: "40 s", "7 min", "3 h 20 min"."""
        return describe_seconds((self.total - done) / self.speed(done))

    def speed(self, done: int) -> float:
        """Steps a second of this process, once `done` steps are done."""
        return max(1, done - self._first) / max(1e-9, time.monotonic() - self._start)


def describe_seconds(seconds: float) -> str:
    """A time in words: "40 s", "7 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
