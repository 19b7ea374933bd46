"""Materials of walls and roofs: repeating patterns at 16 texels a metre, which are then coloured."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops

from demo_city.looks.colours import Colour, mixed, table
from demo_city.seeds import random_for

PERIOD = 480  # texels; divisible by the sides of all patterns
ONE = 160  # stands for a factor of 1
# tones of materials that run in one direction, of texels x, y and a random number for each row or column
_LINES = {
    "clapboard": lambda x, y, each: np.choose(y % 4, [1.05, 1.02, 0.98, 0.76]) * (1 + 0.03 * each[y // 4]),
    "boards": lambda x, y, each: np.where(x % 5 == 0, 0.72, 1.0) * (1 + 0.07 * each[x // 5]),
    "corrugated": lambda x, y, each: 1 + 0.13 * np.sin(x * np.pi / 2 + 0.7) - 0.12 * (y % 96 == 0),
    "seams": lambda x, y, each: np.choose(np.minimum(x % 8, 2), [1.16, 0.8, 1.0]) * (1 + 0.02 * each[x // 8]),
    # boarded, in lifts, with the holes of ties
    "concrete": lambda x, y, each: (
        (1 + 0.025 * each[y // 4] + 0.04 * each[y // 48 * 8 + x // 60])
        - (0.2 * ((y % 48 == 0) | (x % 60 == 0)) + 0.25 * ((y % 24 == 12) & (x % 20 == 10)))
    ),
}
_GRAIN = {"roughcast": 0.045, "rubble": 0.05, "felt": 0.05, "concrete": 0.03, "foliage": 0.12}
_LIGHT_JOINTS = {"brick": (176, 168, 156), "stock": (150, 142, 130), "rubble": (150, 142, 128)}


def noise(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Smooth noise of unit spread that repeats: float32 (height, width) of size, with rows and columns of cells."""
    coarse = np.pad(rng.normal(0, 1, cells).astype(np.float32), 2, mode="wrap")
    box = (2.0, 2.0, 2.0 + cells[1], 2.0 + cells[0])
    return np.asarray(Image.fromarray(coarse).resize((size[1], size[0]), Image.BICUBIC, box))


def stones(rng: np.random.Generator, count: int, side: int, flat: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Irregular stones that repeat, around count x count scattered points; flat: how much wider than tall they are.

    Returns three arrays (side, side): the number of the stone, the distance from its point in cells, and how much
    farther the next point is.
    """
    points, (y, x) = rng.uniform(0.12, 0.88, (count, count, 2)), np.mgrid[0:side, 0:side] * count / side
    rows, columns = np.floor(y + [[[dy]] for dy in (-1, 0, 1)]).astype(int), np.floor(x).astype(int)
    numbers, gaps = [], []
    for row, column in ((row, columns + dx) for row in rows for dx in (-1, 0, 1)):
        point = points[row % count, column % count]
        gaps.append(np.hypot((row + point[..., 0] - y) * flat, column + point[..., 1] - x))
        numbers.append(row % count * count + column % count)
    first, second = np.partition(gaps, 1, axis=0)[:2]
    return np.choose(np.argmin(gaps, 0), numbers), first, second - first


def _cells(rng: np.random.Generator, name: str, stacked: bool) -> tuple[np.ndarray, np.ndarray]:
    """Tones (PERIOD, PERIOD) and joints of rows of bricks, blocks or tiles."""
    tall, wide, depth, spread = table("cells")[name]
    y, x = np.mgrid[0:PERIOD, 0:PERIOD]
    row, tones = y // tall, rng.normal(1, spread, (PERIOD, PERIOD))
    tones[rng.random(tones.shape) < (0.07 if name in ("brick", "stock") else 0)] *= 0.72  # overburnt
    x = (x + (0 if stacked else row % 2 * (wide // 2 + 1))) % PERIOD
    return tones[row, x // wide], np.where((y % tall == 0) | (x % wide == 0), depth, 0.0)


def _picture(factors: np.ndarray, one: int = 255) -> Image.Image:
    return Image.fromarray((factors * one).clip(0, 255).astype(np.uint8))


@lru_cache(None)
def _tile(name: str, stacked: bool, level: int) -> tuple[Image.Image, Image.Image | None]:
    """The pattern of a material, of PERIOD a side, which repeats; level: how often it is halved.

    Returns factors (RGB, ONE is 1), and the share of mortar (L) or None.
    """
    if level:
        return tuple(image and image.reduce(2**level) for image in _tile(name, stacked, 0))
    rng, shape = random_for("material", name, int(stacked)), (PERIOD, PERIOD)
    tones, joints = np.ones(shape), np.zeros(shape)
    if name in table("cells"):
        tones, joints = _cells(rng, name, stacked)
    elif name == "rubble":
        number, _, gap = stones(rng, 48, PERIOD, 1.4)
        tones, joints = rng.normal(1, 0.12, number.max() + 1)[number], np.clip(0.75 - gap * 10 / 3, 0, 0.7)
    elif name == "foliage":
        tones = 0.95 + 0.22 * noise(rng, (160, 160), shape) + 0.14 * noise(rng, (60, 60), shape)
    elif name in _LINES:
        tones = _LINES[name](*np.mgrid[0:PERIOD, 0:PERIOD][::-1], rng.normal(0, 1, PERIOD))
    tones = tones * (1 + _GRAIN.get(name, 0.025) * rng.normal(0, 1, shape)) * (1 + 0.02 * noise(rng, (30, 30), shape))
    warm = noise(rng, (96, 96), shape) * (0.014 if joints.any() else 0.006)
    mortar = _picture(joints) if name in _LIGHT_JOINTS else None
    tones = tones if mortar else tones * (1 - 0.6 * joints)
    return _picture(tones[..., None] * np.dstack([1 + warm, 1 + 0 * warm, 1 - warm]), ONE), mortar


@lru_cache(None)
def _dirt(strength: int) -> Image.Image:
    """What rain and dust leave on walls: factors (RGB, 255 is clean) that repeat; strength: 0 to 10."""
    rng, shape = random_for("dirt"), (PERIOD, PERIOD)
    blotches = (noise(rng, (4, 11), shape) + 0.5 * noise(rng, (15, 32), shape) + 0.3).clip(0, None)
    streaks, spots = noise(rng, (4, 120), shape).clip(0.4, None), noise(rng, (60, 60), shape).clip(1.5, None)
    dirt = 0.14 * blotches + 0.2 * (streaks - 0.4) + 0.12 * (spots - 1.5)
    return _picture(1 - (dirt * strength / 10).clip(0, 0.6)[..., None] * (0.9, 1.0, 1.06))  # it is brown to black


def _piece(tile: Image.Image, left: int, top: int, size: tuple[int, int]) -> Image.Image:
    """A part of a tile that repeats; left, top: where it begins, inside the tile; size: width and height, texels."""
    part = Image.new(tile.mode, size)
    for y in range(-top, size[1], tile.height):
        for x in range(-left, size[0], tile.width):
            part.paste(tile, (x, y))
    return part


def covered(
    rng: np.random.Generator,
    material: str,
    colour: Colour,
    size: tuple[int, int],
    ppm: float = 16.0,
) -> Image.Image:
    """A surface of one material and its mean colour: an RGB image.

    rng: decides which part of the pattern, and the bond
    material: of colours, or "foliage"
    size: width and height, texels
    ppm: texels a metre
    """
    name = {"whitewash": "plaster", "timber": "plaster"}.get(material, material)
    level, stacked = 0 if ppm > 11 else 1 if ppm > 5.5 else 2, name in ("ceramic", "panels") and rng.random() < 0.3
    tile, mortar = _tile(name, stacked, level)
    left, top = (int(v) for v in rng.integers(0, PERIOD, 2) >> level)
    ramp = np.minimum(np.arange(256) * np.array(colour)[:, None] // ONE, 255).ravel().tolist()
    image = _piece(tile, left, top, size).point(ramp)
    if mortar:
        image.paste(mixed(_LIGHT_JOINTS[name], colour, 0.4), None, _piece(mortar, left, top, size))
    return image


def weathered(rng: np.random.Generator, image: Image.Image, strength: float, rows: np.ndarray) -> Image.Image:
    """Darkens an RGB image by dirt of a strength of 0 to 1, and each row, from the top, by a factor."""
    left, top = (int(v) for v in rng.integers(0, PERIOD, 2))
    dirt = _piece(_dirt(round(min(strength, 1) * 10)), left, top, image.size)
    column = _picture(rows[:, None]).resize(image.size, Image.NEAREST)
    return ImageChops.multiply(ImageChops.multiply(image, dirt), Image.merge("RGB", [column] * 3))
