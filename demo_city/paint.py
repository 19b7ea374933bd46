"""Paints and patterns: palettes, materials, and letters of no alphabet."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from demo_city.seeds import random_for

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255
PPM = 16  # texels a metre
LAST_WINDOW, LAST_SHOP = 199, 229
_TILE = 512  # texels
_ONE = 160
BRICK = [(150, 78, 60), (168, 98, 72), (122, 66, 56), (178, 128, 96), (140, 110, 92), (196, 170, 138), (110, 92, 86)]
PLASTER = [
    (232, 214, 176),
    (224, 190, 150),
    (206, 168, 128),
    (238, 232, 220),
    (214, 196, 190),
    (176, 196, 190),
    (196, 206, 168),
    (222, 170, 140),
    (186, 176, 196),
    (236, 222, 150),
    (160, 172, 184),
    (204, 140, 120),
    (150, 180, 150),
    (242, 200, 178),
]
STONE = [(196, 188, 170), (176, 170, 160), (206, 196, 176), (156, 150, 146), (186, 168, 144)]
WOOD = [
    (234, 232, 226),
    (164, 188, 204),
    (198, 210, 170),
    (232, 216, 160),
    (150, 96, 80),
    (110, 128, 140),
    (206, 176, 150),
    (176, 160, 190),
    (92, 110, 96),
    (222, 190, 184),
    (134, 150, 120),
    (80, 90, 110),
]
TILES = [(120, 150, 150), (90, 110, 140), (190, 180, 150), (140, 160, 130), (170, 130, 110), (210, 206, 196)]
TRIM = [
    (240, 236, 228),
    (212, 200, 180),
    (120, 100, 86),
    (70, 62, 60),
    (184, 170, 150),
    (250, 248, 244),
    (96, 112, 108),
]
VIVID = [
    (176, 36, 40),
    (24, 84, 140),
    (20, 110, 76),
    (224, 168, 30),
    (40, 40, 46),
    (120, 40, 100),
    (222, 108, 36),
    (14, 120, 130),
    (236, 232, 220),
    (92, 60, 40),
    (210, 84, 120),
    (66, 96, 40),
    (60, 60, 150),
    (150, 20, 60),
]
ROOF_TILES = [(120, 70, 56), (84, 84, 92), (104, 96, 90), (140, 84, 62), (72, 78, 84), (110, 104, 80)]
CAR_COLOURS = [
    (198, 200, 204),
    (236, 236, 234),
    (160, 164, 170),
    (28, 30, 34),
    (120, 124, 130),
    (220, 222, 224),
    (62, 66, 74),
    (44, 46, 52),
    (92, 96, 104),
    (150, 30, 34),
    (36, 60, 110),
    (60, 84, 70),
    (176, 150, 96),
    (190, 90, 40),
    (110, 130, 150),
    (224, 190, 60),
]
MATERIALS = {
    "city1": (("brick", 3), ("plaster", 6), ("stone", 2), ("tiles", 1)),
    "city2": (("clapboard", 6), ("brick", 2), ("plaster", 2), ("shingle", 2), ("boards", 1)),
}
COLOURS = {
    "brick": BRICK,
    "plaster": PLASTER,
    "stone": STONE,
    "tiles": TILES,
    "clapboard": WOOD,
    "shingle": WOOD,
    "boards": WOOD,
    "roof": ROOF_TILES,
}
_tiles = {}


def shade(colour: Colour, factor: float) -> Colour:
    """Makes a colour lighter or darker."""
    return tuple(int(min(max(c * factor, 0), 255)) for c in colour)


def material_tile(name: str) -> Image.Image:
    """Draws the pattern of a material as factors, once per process: an L image in which _ONE stands for 1.

    Its sides are twice its period _TILE.
    """
    if name not in _tiles:
        rng = random_for("tile", name)
        y, x = np.mgrid[0:_TILE, 0:_TILE]
        fine = rng.normal(1, 0.035, (_TILE, _TILE))
        if name in ("brick", "stone", "tiles", "shingle"):
            tall, wide, depth, spread = {
                "brick": (4, 9, 0.78, 0.10),
                "stone": (9, 17, 0.75, 0.09),
                "tiles": (7, 7, 0.85, 0.08),
                "shingle": (5, 6, 0.72, 0.10),
            }[name]
            row = y // tall
            shift = 0 if name == "tiles" else (row % 2) * (wide // 2)
            column = (x + shift) // wide
            each = rng.normal(1, spread, (_TILE, _TILE))
            pattern = each[row, column % _TILE]
            pattern[(y % tall == 0) | ((x + shift) % wide == 0)] *= depth
        elif name == "clapboard":
            pattern = np.choose(y % 4, [1.06, 1.02, 0.98, 0.74]) * rng.normal(1, 0.03, _TILE)[y // 4]
        elif name == "boards":
            pattern = np.where(x % 6 == 0, 0.7, 1.0) * rng.normal(1, 0.07, _TILE)[x // 6]
        elif name == "roof":
            each = rng.normal(1, 0.07, (_TILE, _TILE))[y // 5, (x + (y // 5) % 2 * 2) // 4]
            pattern = np.choose(y % 5, [0.72, 0.95, 1.05, 1.05, 1.0]) * each
        else:
            pattern = np.ones((_TILE, _TILE))
        small = Image.fromarray(rng.normal(1, 0.09, (24, 24)).astype(np.float32)).resize((_TILE, _TILE), Image.BICUBIC)
        tile = (pattern * fine * np.asarray(small) * _ONE).clip(0, 255).astype(np.uint8)
        _tiles[name] = Image.fromarray(np.tile(tile, (2, 2)))  # so that a piece of any place is one crop
    return _tiles[name]


def pick(rng: np.random.Generator, options: Sequence[Colour]) -> Colour:
    """Picks one of some colours."""
    return tuple(int(c) for c in options[int(rng.integers(len(options)))])


def jitter(rng: np.random.Generator, colour: Colour, amount: int) -> Colour:
    """Changes a colour at random, by at most about twice `amount` per channel."""
    changes = rng.integers(-amount, amount + 1, 3) + rng.integers(-amount, amount + 1)
    return tuple(int(np.clip(c + d, 12, 250)) for c, d in zip(colour, changes, strict=True))


def plain(rng: np.random.Generator, material: str, colour: Colour, width: int, height: int) -> Image.Image:
    """Draws a wall of one material and colour: an RGB image.

    rng: decides which part of the material's pattern
    material: a key of COLOURS
    colour: of the wall
    width: texels
    height: texels
    """
    left, top = int(rng.integers(0, 16)) * 18, int(rng.integers(0, 16)) * 20
    tile = material_tile(material).crop((left, top, left + width, top + height))
    return Image.merge("RGB", [tile.point([min(v * c // _ONE, 255) for v in range(256)]) for c in colour])


def pseudo_text(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, area: tuple[float, float, float, float], colour: Colour
) -> None:
    """Writes letters of no alphabet, made of strokes.

    draw: what to draw on
    rng: decides the strokes
    area: left, top, width, height, texels
    colour: of the letters
    """
    left, top, width, height = area
    advance = height * 0.72
    for n in range(max(int(width / advance), 1)):
        x0, x1 = left + n * advance, left + n * advance + height * 0.5
        if rng.random() < 0.12 and 0 < n:
            continue
        grid = [(x, top + height * f) for f in (0, 0.5, 1) for x in (x0, x1)]
        for a, c in ((0, 4), (1, 5), (0, 1), (2, 3), (4, 5), (0, 3), (2, 5), (1, 4)):
            if rng.random() < (0.62 if a == 0 and c == 4 else 0.36):
                draw.line((*grid[a], *grid[c]), fill=colour, width=max(int(height * 0.17), 1))
