"""Colours, and what is drawn by chance."""

import tomllib
from functools import lru_cache
from pathlib import Path

import numpy as np

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255
Weights = str  # names and their weights, such as "brick 3 stone 1"


@lru_cache(None)
def table(name: str) -> dict:
    """A table of tables.toml."""
    with open(Path(__file__).with_name("tables.toml"), "rb") as file:
        return tomllib.load(file)[name]


@lru_cache(None)
def colours(text: str) -> tuple[Colour, ...]:
    """Colours of a text of hexadecimal numbers and names of the table "colours", such as "ff0000 00ff00 brick"."""
    named = table("colours")
    return sum((colours(named[w]) if w in named else (tuple(bytes.fromhex(w)),) for w in text.split()), ())


@lru_cache(None)
def weights(text: Weights) -> dict[str, float]:
    """The weight of each name in a text."""
    words = text.split()
    return {name: float(weight) for name, weight in zip(words[::2], words[1::2], strict=True)}


def choose(rng: np.random.Generator, options: Weights) -> str:
    """Draws a name by its weight."""
    names = weights(options)
    sums = np.cumsum(list(names.values()))
    return list(names)[int(np.searchsorted(sums, rng.random() * sums[-1], "right"))]


def pick(rng: np.random.Generator, options: str) -> Colour:
    """Picks one of some colours, see colours()."""
    found = colours(options)
    return found[int(rng.integers(len(found)))]


def shade(colour: Colour, factor: float) -> Colour:
    """Makes a colour lighter or darker."""
    return tuple(int(min(max(c * factor, 0), 255)) for c in colour)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Mixes two colours; share: of the other."""
    return tuple(int(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def jitter(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    """Changes a colour at random, by about `amount` in brightness and half of it in hue."""
    change = rng.normal(0, amount) + rng.normal(0, amount / 2, 3)
    return tuple(int(min(max(c + d, 8), 250)) for c, d in zip(colour, change.tolist(), strict=True))
