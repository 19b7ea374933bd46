"""Numbers as pages show them."""

import numpy as np

_MOST_DIGITS = 8  # of a similarity, which comes from float32


def metres(value: float) -> str:
    """A distance; "none" for an infinite one."""
    if np.isinf(value):
        return "none"
    return f"{value / 1000:.1f} km" if value >= 1000 else f"{value:.0f} m" if value >= 10 else f"{value:.1f} m"


def similarity(value: float) -> str:
    """A cosine similarity, with as many digits as tell it from 1: 0.718, 0.99996 and 1.000."""
    digits = 3
    while value < 1 and float(f"{value:.{digits}f}") >= 1 and digits < _MOST_DIGITS:
        digits += 1
    return f"{value:.{digits}f}"
