"""Colours, and what is drawn by chance."""

import re
from functools import lru_cache

import numpy as np

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255
Weights = str  # names and their weights, such as "brick 3 stone 1"

# Most real facades are of low saturation: whites, greys, ochres and brick. Vivid paint is for doors, signs and goods.
# A name may be used by those below it; what walls and roofs are covered with has a name here, see materials.py.
_NAMED = """
white: e8e4da dedbd2 ecebe6 d6d2c8 e4e0d0 d0cec8 dcd8d0 f0eee8
ochre: ddd0b4 d8c49c e3d3a8 cfc0a4 d6b98c c8a878 d8aa58 deb868 dcc8b2 cba66a e6dcc4 d0b894
pastel: c9b8ae bfc4b4 b4bcbe c8b4a4 d4c0b4 b8b0a4 d8c8bc a9b4b4 c6ccb8 ccb4a4 c4bcb4 b0b8a0
grey: c8c6c0 b9b6b0 a8a49e bcbab4 9a9792 d0ccc4 8e8a86 b2aaa0
earth: b07858 9a6a52 a8705a c99a6a 8e7460 b88a66 a88e74 7e6656
brick: 945644 a4664e 864c3e ac7256 98745e 7c584c 9e5e4a 8e5c48 6a4a40 b0705a a07c68 8c5a4c
stock: c0aa86 b09e7c c8b28e a08c74 bea082 ac9472 98866e ccb894
ashlar: c4bca8 b0aaa0 cebfa4 9c9690 baa890 a39a8a d4ccbc 8a847c b4a48a
rubble: ashlar 8e7460 b88a66 a88e74 7e6656
concrete: b0aea8 a09e98 c2c0ba 8e8c88 cecbc4 989288 bab4a8
corrugated: b4b8ba 8c9498 6e7880 c8cac6 5a6870 7c8a7a a0a8b0 46586a 6e443c 5e6a5a d2d2ce
clapboard: e8e6e0 d8d4c8 b8c2c6 c6ccb8 dcd0b0 9a7060 74808a c8b49c a89c88 5e6c62 8a9286 505a66 bfae98 8c4a3c
boards: clapboard
shingle: 9a7060 74808a c8b49c a89c88 5e6c62 8a9286 505a66 bfae98 earth
ceramic: c8c4b8 b0a898 9a8c7c a8b0ac 8c9ca0 d6d2c8 8a6e60 b49a80 e0ded8
panels: corrugated ceramic
plaster: white ochre pastel grey
whitewash: white
timber: white
roughcast: white grey ddd0b4 d8c49c e3d3a8 cfc0a4 d6b98c
pantiles: 8c5240 9a5e46 7e4a3c a86a4c 845a48 946050 6e4438
slates: 5c5e64 50545a 6a6a6c 46484c 74726e 585450
shingles: 6e665e 5a5650 7c746a 4e4a48 86786a 5e6468
seams: 8a8e90 a4a6a4 6a7478 7e5a50 5e7064 b4b2ac 8c8478 6e9484
felt: 5e5c5a 74706a 8a867e 4c4a4a a09a90
glass: 8aa0ac 6f8894 9aa8a8 5c7078 7a8c84 a4b0b4 4e5e6c 8c98a4 6a7a70
trim: e6e2d8 d4ccbc c4bcac f0eee8 b4aa9a 9c948a dcd6ca 787068
doors: 2c3a34 3a2c26 5a4030 26303e 6a2a28 e0ded6 4a4c4e 1e2022 7a5a3c 34505c 8c8a84 3e5a44 c8c2b2 5e6a6c 86402e
light_frames: f0f0ec e4e2da ecebe4 d8d6d0
frames: light_frames 4a423c 3a3e40 5e4636 2e3a34 384454 6a2e28 8a8c8c
dark: 94302e 2c5078 2a5a46 2c2c30
vivid: dark c89c3c 34343a 5e3450 b0683a 2c6468 dedad0 5a4232 4a5c3a 7a2c38 2e3e50 b4b0a6 e4e2dc a8403a 3c4446 6a7076
    23364e 8a6a3a d8d2c0
cloth: e2dcce c8b4a0 d8d4c8 b47c70 aab4be e6e2dc d0c4a8 8e98a4 c0a890 ece8e0
goods: b84438 d8a838 5a7a48 446a94 d4ccb8 8c5c3c b880a0 e8e4dc 303034 c87840 7a8c94 a83048 68906c e0c890
"""


_PALETTES = dict(re.findall(r"(\w+):([^:]+)(?=\n\w+:|$)", _NAMED))


@lru_cache(None)
def colours(text: str) -> tuple[Colour, ...]:
    """Colours of a text of hexadecimal numbers and names of palettes, such as "ff0000 00ff00 brick"."""
    found = (colours(_PALETTES[word]) if word in _PALETTES else (tuple(bytes.fromhex(word)),) for word in text.split())
    return sum(found, ())


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
