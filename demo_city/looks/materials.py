"""Materials of walls and roofs: repeating patterns at 16 texels a metre, which are then coloured."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops

from demo_city.looks.colours import Colour, mixed
from demo_city.seeds import random_for

PERIOD = 480  # texels; divisible by the sides of all patterns
ONE = 160  # stands for a factor of 1
# rows of so many texels, cells so wide, darkness or lightness of the joints, spread of the cells' tones
_CELLS = {
    "brick": (3, 5, 0.45, 0.11), "stock": (3, 5, 0.4, 0.10), "ashlar": (6, 12, 0.3, 0.05),
    "ceramic": (4, 8, 0.22, 0.04), "shingle": (5, 4, 0.6, 0.10), "pantiles": (5, 4, 0.6, 0.11),
    "slates": (4, 5, 0.5, 0.12), "shingles": (3, 6, 0.4, 0.13), "panels": (48, 20, 0.35, 0.03),
}  # fmt: skip
_BONDS = ("brick", "stock", "ceramic", "panels")
_LIGHT_JOINTS = {"brick": (176, 168, 156), "stock": (150, 142, 130), "rubble": (150, 142, 128)}


def _cells(rng: np.random.Generator, name: str, bond: int) -> tuple[np.ndarray, np.ndarray]:
    """Tones (PERIOD, PERIOD) and joints of rows of bricks, blocks or tiles; bond: 0 running, 1 English, 2 Flemish."""
    tall, wide, depth, spread = _CELLS[name]
    y, x = np.mgrid[0:PERIOD, 0:PERIOD]
    row = y // tall
    tones = rng.normal(1, spread, (PERIOD, PERIOD))
    if name in ("brick", "stock"):
        tones[rng.random(tones.shape) < 0.07] *= 0.72  # overburnt
    half = wide // 2 + 1
    if name in ("brick", "stock") and bond == 1:
        width = np.where(row % 2, 3, wide)
        column, at = x // width, x % width
    elif name in ("brick", "stock") and bond == 2:
        at = (x + row % 2 * 4) % 8
        column, at = (x + row % 2 * 4) // 8 * 2 + (at >= 5), np.where(at >= 5, at - 5, at)
    else:
        shift = 0 if name in ("ceramic", "panels") and bond else row % 2 * half
        column, at = (x + shift) % PERIOD // wide, (x + shift) % wide
    joints = np.where((y % tall == 0) | (at == 0), depth, 0.0)
    return tones[row, column], joints


def _rubble(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Irregular stones: cells around scattered points, joints where two are equally near."""
    cell = 10
    count = PERIOD // cell
    jitter = rng.uniform(0.1, 0.9, (count, count, 2)) * cell
    tones = rng.normal(1, 0.12, (count, count))
    y, x = np.mgrid[0:PERIOD, 0:PERIOD]
    first, second, tone = np.full((3, PERIOD, PERIOD), 1e9)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            row, column = y // cell + dy, x // cell + dx
            point = jitter[row % count, column % count]
            gap = np.hypot((row * cell + point[..., 0] - y) * 1.4, column * cell + point[..., 1] - x)
            nearer = gap < first
            second = np.where(nearer, first, np.minimum(second, gap))
            tone = np.where(nearer, tones[row % count, column % count], tone)
            first = np.where(nearer, gap, first)
    return tone, np.clip(0.75 - (second - first) / 3, 0, 0.7)


def _lines(rng: np.random.Generator, name: str) -> np.ndarray:
    """Tones of materials that run in one direction, or in none."""
    y, x = np.mgrid[0:PERIOD, 0:PERIOD]
    each = rng.normal(1, 1, PERIOD)
    if name == "clapboard":
        return np.choose(y % 4, [1.05, 1.02, 0.98, 0.76]) * (1 + 0.03 * (each[y // 4] - 1))
    if name in ("boards", "timber"):
        return (
            np.where(x % 5 == 0, 0.72, 1.0) * (1 + 0.07 * (each[x // 5] - 1)) if name == "boards" else np.ones_like(x)
        )
    if name == "corrugated":
        return 1 + 0.13 * np.sin(x * np.pi / 2 + 0.7) - 0.12 * (y % 96 == 0)
    if name == "seams":
        return np.choose((x % 8 == 0) + 2 * (x % 8 == 1), [1.0, 1.16, 0.8]) * (1 + 0.02 * (each[x // 8] - 1))
    if name == "foliage":
        leaves = 0.22 * noise(rng, (160, 160), (PERIOD, PERIOD)) + 0.14 * noise(rng, (60, 60), (PERIOD, PERIOD))
        return 0.95 + leaves + 0.12 * rng.normal(0, 1, (PERIOD, PERIOD))
    if name == "thatch":
        return 1 + 0.16 * rng.normal(0, 1, (PERIOD // 6, PERIOD))[y // 6, x]
    if name == "concrete":  # boarded, in lifts, with holes of the ties
        joints = (y % 48 == 0) | (x % 60 == 0)
        holes = ((y % 24 == 12) & (x % 20 == 10)) * 0.25
        return (
            (1 + 0.025 * (each[y // 4] - 1)) * (1 + 0.04 * rng.normal(0, 1, (10, 8))[y // 48, x // 60])
            - 0.2 * joints
            - holes
        )
    return np.ones((PERIOD, PERIOD))


def noise(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Smooth noise of unit spread that repeats: float32 (height, width).

    rng: decides it
    cells: rows and columns of independent values
    size: height and width
    """
    coarse = np.pad(rng.normal(0, 1, cells).astype(np.float32), 2, mode="wrap")
    box = (2.0, 2.0, 2.0 + cells[1], 2.0 + cells[0])
    return np.asarray(Image.fromarray(coarse).resize((size[1], size[0]), Image.BICUBIC, box))


@lru_cache(None)
def material_tile(name: str, bond: int, level: int) -> tuple[Image.Image, Image.Image | None]:
    """The pattern of a material, of PERIOD a side, which repeats.

    name: of palettes.COLOURS; bond: 0 to 2; level: how often it is halved
    Returns factors (RGB, ONE is 1), and the share of mortar (L) or None.
    """
    if level:
        tile, joints = material_tile(name, bond, 0)
        return tile.reduce(2**level), joints and joints.reduce(2**level)
    rng = random_for("material", name, bond)
    joints = np.zeros((PERIOD, PERIOD))
    if name in _CELLS:
        tones, joints = _cells(rng, name, bond)
    elif name == "rubble":
        tones, joints = _rubble(rng)
    else:
        tones = _lines(rng, name)
    grain = {"roughcast": 0.045, "rubble": 0.05, "felt": 0.05, "earth": 0.05, "concrete": 0.03}.get(name, 0.025)
    tones = tones * (1 + grain * rng.normal(0, 1, tones.shape)) * (1 + 0.02 * noise(rng, (30, 30), tones.shape))
    if name not in _LIGHT_JOINTS:
        tones = tones * (1 - 0.6 * joints)
    warm = noise(rng, (96, 96), tones.shape) * (0.014 if name in _CELLS or name == "rubble" else 0.006)
    factors = tones[..., None] * np.stack([1 + warm, np.ones_like(warm), 1 - warm], 2)
    tile = Image.fromarray((factors * ONE).clip(0, 255).astype(np.uint8))
    mortar = Image.fromarray((joints * 255).astype(np.uint8)) if name in _LIGHT_JOINTS else None
    return tile, mortar


@lru_cache(None)
def dirt_tile(strength: int) -> Image.Image:
    """What rain and dust leave on walls: factors (RGB, 255 is clean) that repeat; strength: 0 to 10."""
    rng = random_for("dirt")
    shape = (PERIOD, PERIOD)
    blotches = noise(rng, (4, 11), shape) + 0.5 * noise(rng, (15, 32), shape)
    streaks = noise(rng, (4, 120), shape).clip(0.4, None) - 0.4
    spots = noise(rng, (60, 60), shape).clip(1.5, None) - 1.5
    dirt = 0.14 * (blotches + 0.3).clip(0, None) + 0.2 * streaks + 0.12 * spots
    factors = 1 - (dirt * strength / 10).clip(0, 0.6)[..., None] * np.array([0.9, 1.0, 1.06])  # it is brown to black
    return Image.fromarray((factors * 255).clip(0, 255).astype(np.uint8))


def piece(tile: Image.Image, left: int, top: int, size: tuple[int, int]) -> Image.Image:
    """A part of a tile that repeats; left, top: where it begins, inside the tile; size: width and height, texels."""
    part = Image.new(tile.mode, size)
    for y in range(-top, size[1], tile.height):
        for x in range(-left, size[0], tile.width):
            part.paste(tile, (x, y))
    return part


def _table(colour: Colour) -> list[int]:
    return np.minimum(np.arange(256)[None] * np.array(colour)[:, None] // ONE, 255).ravel().tolist()


def covered(
    rng: np.random.Generator,
    material: str,
    colour: Colour,
    size: tuple[int, int],
    ppm: float = 16.0,
) -> Image.Image:
    """A surface of one material and colour: an RGB image.

    rng: decides which part of the pattern, and the bond
    material: of palettes.COLOURS
    colour: its mean
    size: width and height, texels
    ppm: texels a metre
    """
    name = {"whitewash": "plaster", "timber": "plaster"}.get(material, material)
    level = 0 if ppm > 11 else 1 if ppm > 5.5 else 2
    bond = int(rng.integers(3)) if name in _BONDS else 0
    tile, mortar = material_tile(name, bond, level)
    left, top = (int(v) for v in rng.integers(0, PERIOD, 2) >> level)
    image = piece(tile, left, top, size).point(_table(colour))
    if mortar:
        joint = mixed(_LIGHT_JOINTS[name], colour, 0.4)
        image.paste(joint, None, piece(mortar, left, top, size))
    return image


def weathered(
    rng: np.random.Generator,
    image: Image.Image,
    strength: float,
    rows: np.ndarray,
) -> Image.Image:
    """Darkens a wall by dirt.

    rng: decides which part of the dirt
    image: RGB
    strength: 0 to 1
    rows: a factor for each row, from the top
    """
    left, top = (int(v) for v in rng.integers(0, PERIOD, 2))
    dirt = piece(dirt_tile(round(min(strength, 1) * 10)), left, top, image.size)
    column = Image.fromarray((rows * 255).clip(0, 255).astype(np.uint8)[:, None]).resize(image.size, Image.NEAREST)
    return ImageChops.multiply(ImageChops.multiply(image, dirt), Image.merge("RGB", [column] * 3))
