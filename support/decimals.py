"""Numbers in texts that others wrote: plain decimals alone, and nothing is guessed."""

import math
import re
import sys

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def is_decimal(text: str) -> bool:
    """Whether parse_decimal() reads the text."""
    try:
        parse_decimal(text)
    except ValueError:
        return False
    return True


def parse_decimal(text: str) -> float:
    """The number in a text of ASCII digits: -12.5, .5, 3. or 1e-05.

    Python's float() also reads 1_0, inf, the digits of other scripts, blanks and vertical tabs, and 1e-400 as 0. Raises
    ValueError for these, for numbers that no float holds, and for all other texts.
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no decimal number")
    value = float(text)
    too_small = abs(value) < sys.float_info.min and re.search("[1-9]", text.lower().partition("e")[0])
    if too_small or not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is out of a number's range")
    return value
