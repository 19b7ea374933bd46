"""What is drawn by chance: random numbers that depend on names alone, and choices by weight."""

import zlib
from functools import lru_cache

import numpy as np


def random_for(*keys: int | float | str) -> np.random.Generator:
    """Makes a generator that depends on the keys alone (numbers and strings), never on what was drawn before."""
    return np.random.default_rng([zlib.crc32(repr(key).encode()) for key in keys])


@lru_cache(None)
def weights(text: str) -> dict[str, float]:
    """The weight of each name in a text such as "brick 3 stone 1"."""
    words = text.split()
    return {name: float(weight) for name, weight in zip(words[::2], words[1::2], strict=True)}


def choose(rng: np.random.Generator, options: dict[str, float] | str) -> str:
    """Draws a name by its weight."""
    options = weights(options) if isinstance(options, str) else options
    sums = np.cumsum(list(options.values()))
    return list(options)[int(np.searchsorted(sums, rng.random() * sums[-1], "right"))]
