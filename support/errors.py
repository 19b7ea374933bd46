"""The one error class for what a user can fix."""

import contextlib
import errno
import sys
from collections.abc import Iterator

from support.escaping import escape

TOO_MANY_FILES = {  # the errors of a process, or of the system, that may open no more
    code: "too many files are open: raise the limit (ulimit -n 4096), or give fewer --num_workers (0 needs fewest)"
    for code in (errno.EMFILE, errno.ENFILE)
}


class UserError(Exception):
    """What is wrong, where, and what to do, in one line. Scripts print it without a traceback and exit with code 2."""

    exit_code = 2
    on_all_ranks = False  # whether all ranks raise it at the same step

    def __str__(self):
        return escape(super().__str__())  # it may quote an untrusted file


class PartlyDone(UserError):
    """What a script could not do of all that it was asked for. What it could do is done; the exit code is 1."""

    exit_code = 1


@contextlib.contextmanager
def ending_in_one_line(when_interrupted: str = "") -> Iterator[None]:
    """Ends a script that has no log folder: after a UserError with one line and exit code 2, after Ctrl-C with 130.

    when_interrupted: what the line after Ctrl-C says beyond "interrupted".
    """
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(f"\ninterrupted{when_interrupted}", file=sys.stderr)
        raise SystemExit(130) from None


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
