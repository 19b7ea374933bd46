"""Grounds and materials: pictures that repeat."""

from collections.abc import Callable, Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.colours import Colour, colours, jitter, mixed, pick, shade
from demo_city.looks.materials import covered, dirt_tile, noise, piece
from demo_city.looks.palettes import COLOURS, VIVID
from demo_city.seeds import random_for

TILE = 8.0  # metres of a repetition of a ground
METRES = 2.0  # metres of a repetition of a material
GROUND_SIZE, MATERIAL_SIZE = 256, 128
_GRASS = {"spring": (100, 114, 66), "summer": (98, 108, 66), "autumn": (112, 108, 68), "winter": (110, 107, 80)}
_ASPHALT = colours("5e5e60 7a7874 8a857c 6c6b6a 96918a")
_PAINT = (214, 212, 204)
Field = np.ndarray  # float (n, n, 3), colours


def ground_texture(kind: str, variant: int) -> Texture:
    """A ground that repeats after TILE metres. kind: of GROUNDS; variant: any number, 0 to 3 are enough.

    Along v follow the stones of a kerb and the bays of a car park.
    """
    by_season = kind in ("grass", "soil", "gravel")
    version = (lambda year, season: season) if by_season else (lambda year, season: "")
    return Texture(GROUND_SIZE, GROUND_SIZE, partial(_ground, kind, variant), version)


def material_texture(kind: str, variant: int) -> Texture:
    """A material that repeats after METRES, pale enough to be tinted. kind: of MATERIALS; variant: any number."""
    return Texture(MATERIAL_SIZE, MATERIAL_SIZE, partial(_material, kind, variant))


def plain_texture() -> Texture:
    """White with a little noise, to be tinted."""
    return Texture(32, 32, _plain)


def _plain(version: Hashable) -> np.ndarray:
    image = np.zeros((32, 32, 4), np.uint8)
    rng = random_for("plain")
    image[..., :3] = (248 + 4 * rng.normal(0, 1, (32, 32)) + 3 * noise(rng, (6, 6), (32, 32)))[..., None].clip(0, 255)
    return image


def _grain(rng: np.random.Generator, fine: float, middle: float, broad: float, size: int = GROUND_SIZE) -> np.ndarray:
    """Factors around 1 of three scales: (size, size)."""
    shape = (size, size)
    return 1 + fine * rng.normal(0, 1, shape) + middle * noise(rng, (48, 48), shape) + broad * noise(rng, (5, 5), shape)


def _ground(kind: str, variant: int, season: str) -> np.ndarray:
    rng = random_for("ground", kind, variant)
    field = _GROUNDS[kind](rng, variant, season)
    image = np.zeros((GROUND_SIZE, GROUND_SIZE, 4), np.uint8)
    image[..., :3] = field.clip(0, 255)
    return image


def _drawn(field: Field, draw_on: Callable[[ImageDraw.ImageDraw], None], share: float = 1.0) -> Field:
    """Draws on a field, with a transparency of 1 - share."""
    image = Image.fromarray(field.clip(0, 255).astype(np.uint8))
    draw_on(ImageDraw.Draw(image))
    return field * (1 - share) + np.asarray(image) * share


def _cracks(rng: np.random.Generator, field: Field, count: int, tone: Colour, pen: int = 1) -> Field:
    """Draws wandering cracks."""

    def draw(d: ImageDraw.ImageDraw) -> None:
        for _ in range(count):
            turn, steps = rng.uniform(0, 2 * np.pi), int(rng.integers(8, 30))
            turns = turn + np.cumsum(rng.normal(0, 0.45, steps))
            path = rng.uniform(0, GROUND_SIZE, 2) + np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * 7, 0)
            for shift in ((0, 0), (-GROUND_SIZE, 0), (0, -GROUND_SIZE), (GROUND_SIZE, 0), (0, GROUND_SIZE)):
                d.line([tuple(point) for point in (path + shift).tolist()], fill=tone, width=pen)

    return _drawn(field, draw, 0.4)


def _litter(rng: np.random.Generator, field: Field, count: int, tones: tuple[Colour, ...]) -> Field:
    """Strews dry leaves or pebbles."""
    where, which = rng.integers(0, GROUND_SIZE, (count, 2)), rng.integers(len(tones), size=count)
    field = field.copy()
    bright = rng.uniform(0.7, 1.25, count)[:, None]
    for dy, dx in ((0, 0), (0, 1)):
        field[(where[:, 0] + dy) % GROUND_SIZE, (where[:, 1] + dx) % GROUND_SIZE] = np.array(tones)[which] * bright
    return field


def _asphalt(rng: np.random.Generator, variant: int, season: str) -> Field:
    tone = np.array(jitter(rng, _ASPHALT[variant % len(_ASPHALT)], 4), float)
    coarse = variant % 4 in (2, 4)
    field = tone * _grain(rng, 0.13 if coarse else 0.07, 0.05, 0.045)[..., None]
    stones = rng.random(field.shape[:2]) < (0.09 if coarse else 0.03)
    field[stones] *= rng.uniform(1.15, 1.5, (int(stones.sum()), 1))
    if variant % 4 != 0:
        field = _cracks(rng, field, 3 + 3 * (variant % 4), (48, 47, 46), 1)
    for _ in range(int(rng.integers(0, 3))):  # spots of oil
        y, x = np.mgrid[0:GROUND_SIZE, 0:GROUND_SIZE]
        a, b, r = *rng.uniform(40, 216, 2), rng.uniform(4, 16)
        field *= 1 - 0.22 * np.exp(-((np.hypot(x - a, y - b) / r) ** 2))[..., None]
    return field


def _concrete(rng: np.random.Generator, variant: int, season: str) -> Field:
    tone = np.array(jitter(rng, pick(rng, colours("a8a49a b4b0a6 9c978c c0bab0")), 3), float)
    field = tone * _grain(rng, 0.035, 0.03, 0.07)[..., None]
    step = GROUND_SIZE // (2, 3, 4, 2)[variant % 4]
    y, x = np.mgrid[0:GROUND_SIZE, 0:GROUND_SIZE]
    each = rng.normal(1, 0.05, (8, 8))
    field *= each[y // step, x // step][..., None]
    field[(y % step < 1) | (x % step < 1)] *= 0.62
    return _cracks(rng, field, 2 + 2 * (variant % 3), (84, 80, 74))


# colours by variant; height and width of a stone by variant, texels; unevenness, darkness of joints, spread of tones
_PAVING = {
    "setts": (("9a9288 a89c90 8c8680 b0a498 a0968e", "8a8884 7c7a78 98948e 6e6c6a",
               "a8988a 94867a b4a494 8c7c72 a48e80", "7a6e66 887a70 6c625c 94887e"),
              ((4, 5), (4, 4), (4, 6), (4, 4)), (1.1, 0.6, 0.08)),
    "slabs": (("a8a39a b2ada2 9e9a92", "b8b0a2 aca496 c0b8aa", "9a9894 a4a29e 8e8c8a", "b4a498 a89a90 bcaca0"),
              ((16, 16), (8, 16), (16, 32), (16, 8)), (0, 0.76, 0.05)),
    "bricks": (("9a6450 8c5a4a a8705a 805044", "8c8682 9a948e 7e7a78", "a0907e b09e8a 948472", "86584c 9a6a58 744a40"),
               ((4, 8),) * 4, (0, 0.72, 0.08)),
}  # fmt: skip


def _paved(kind: str, rng: np.random.Generator, variant: int, season: str) -> Field:
    """Rows of stones."""
    n, which = GROUND_SIZE, variant % 4
    texts, sizes, (uneven, joint, spread) = _PAVING[kind]
    tones, (tall, wide) = np.array(colours(texts[which]), float), sizes[which]
    y, x = np.mgrid[0:n, 0:n]
    y = y + (noise(rng, (10, 10), (n, n)) * uneven).astype(int)
    rows, columns = n // tall, n // wide
    row = y // tall % rows
    shift = rng.integers(0, wide, rows)[row] if uneven else row % 2 * (wide // 2)
    stones = tones[rng.integers(len(tones), size=(rows, columns))] * rng.normal(1, spread, (rows, columns, 1))
    field = stones[row, (x + shift) // wide % columns] * _grain(rng, 0.05, 0.04, 0.05)[..., None]
    edge = (y % tall == 0) | ((x + shift) % wide == 0)
    field[edge] *= joint
    field[(y % tall == 1) & ~edge] *= 1.06
    if kind == "slabs":  # with stains
        spots = rng.integers(0, n, (40, 2))
        field[spots[:, 0], spots[:, 1]] *= 0.7
        return _cracks(rng, field, 2, (96, 92, 88))
    return field.transpose(1, 0, 2).copy() if kind == "bricks" and variant % 2 else field


def _cobbles(rng: np.random.Generator, variant: int, season: str) -> Field:
    cell, n = 6.4, GROUND_SIZE
    count = int(n / cell)
    points = rng.uniform(0.15, 0.85, (count, count, 2))
    tones = np.array(colours("9a948a 867e76 aca294 786e66 a0907e 8c8c8a"), float)[rng.integers(6, size=(count, count))]
    y, x = np.mgrid[0:n, 0:n] / cell
    first, second, best = np.full((3, n, n), 9.0)
    best = np.zeros((n, n, 3))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            row, column = np.floor(y).astype(int) + dy, np.floor(x).astype(int) + dx
            point = points[row % count, column % count]
            gap = np.hypot(row + point[..., 0] - y, column + point[..., 1] - x)
            nearer = gap < first
            second = np.where(nearer, first, np.minimum(second, gap))
            best = np.where(nearer[..., None], tones[row % count, column % count], best)
            first = np.where(nearer, gap, first)
    dome = (1.12 - 0.5 * first**2) * np.where(second - first < 0.16, 0.62, 1.0)
    return best * dome[..., None] * _grain(rng, 0.04, 0.03, 0.05)[..., None]


def _grass(rng: np.random.Generator, variant: int, season: str) -> Field:
    tone = np.array(jitter(rng, _GRASS[season], 4), float)
    field = tone * _grain(rng, 0.16, 0.12, 0.07)[..., None]
    dry = (noise(rng, (9, 9), field.shape[:2]) + 0.35 * noise(rng, (60, 60), field.shape[:2])).clip(0.7, 2) - 0.7
    dry = (dry * (0.5 if variant % 2 else 0.25))[..., None]
    field = field * (1 - dry) + np.array([142, 124, 84]) * dry
    if season in ("spring", "summer") and variant % 3 == 0:
        field = _litter(rng, field, 110, colours("d8d6c8 d8c860"))
    return _litter(rng, field, 500 if season == "autumn" else 40, colours("9a7038 7c5a34 b08a48"))


def _gravel(rng: np.random.Generator, variant: int, season: str) -> Field:
    tone = np.array(jitter(rng, pick(rng, colours("a39a8c b0a490 928a80 a8917a")), 5), float)
    field = tone * _grain(rng, 0.17, 0.08, 0.06)[..., None]
    field = _litter(rng, field, 2500, colours("c0b8ac 8a8278 6e665e d0c8b8"))
    return _litter(rng, field, 250 if season == "autumn" else 30, colours("8a6034 7c5a38"))


def _sand(rng: np.random.Generator, variant: int, season: str) -> Field:
    return np.array([190.0, 172, 138]) * _grain(rng, 0.05, 0.05, 0.06)[..., None]


def _water(rng: np.random.Generator, variant: int, season: str) -> Field:
    tone = np.array(pick(rng, colours("4a5a5c 44545e 56645c 3e5058")), float)
    waves = noise(rng, (40, 14), (GROUND_SIZE, GROUND_SIZE)) + 0.6 * noise(rng, (90, 40), (GROUND_SIZE, GROUND_SIZE))
    return tone * (1 + 0.13 * waves + 0.25 * (waves.clip(1.6, None) - 1.6))[..., None]


def _soil(rng: np.random.Generator, variant: int, season: str) -> Field:
    tone = np.array(jitter(rng, colours("9c7254 8a6c54 a87e5e 766450")[variant % 4], 6), float)
    field = tone * _grain(rng, 0.1, 0.09, 0.09)[..., None]
    leaves = {"autumn": 5000, "winter": 3500}.get(season, 2200) // (1 + variant % 2 * 2)
    return _litter(rng, field, leaves, colours("a8804e 8a5e38 c09a62 6e4e34 b48e5e"))


def _parking(rng: np.random.Generator, variant: int, season: str) -> Field:
    field = _asphalt(rng, variant, season) if variant % 2 == 0 else _paved("bricks", rng, variant, season)
    worn = rng.random(field.shape[:2]) < 0.82
    for y in (0, 171, 85):  # a bay each 2.7 m along the road
        field[y : y + 4][worn[y : y + 4]] = _PAINT
    return field


def _kerb(rng: np.random.Generator, variant: int, season: str) -> Field:
    n = GROUND_SIZE
    field = np.array(pick(rng, colours("aaa69e b8b2a8 9a968e")), float) * _grain(rng, 0.05, 0.04, 0.05)[..., None]
    y = np.arange(n)
    if variant % 4 == 3:  # painted black and white, the paint is worn
        dark = (y // 32 % 2 == 0)[:, None] & (noise(rng, (40, 40), (n, n)) < 1.2)
        light = (y // 32 % 2 == 1)[:, None] & (noise(rng, (40, 40), (n, n)) < 1.2)
        field[dark] = np.array([44, 43, 42]) * rng.uniform(0.8, 1.4, (int(dark.sum()), 1))
        field[light] = np.array([214, 210, 200]) * rng.uniform(0.9, 1.05, (int(light.sum()), 1))
    field *= rng.normal(1, 0.04, 8)[y // 32][:, None, None]
    field[y % 32 == 0] *= 0.6
    return field


def _tram(rng: np.random.Generator, variant: int, season: str) -> Field:
    """A track along v, with its middle at u = 0.5."""
    field = _paved("setts", rng, variant, season) if variant % 2 else _concrete(rng, variant, season)
    middle, scale = GROUND_SIZE // 2, GROUND_SIZE / 8  # texels, and texels a metre
    for left in (middle - round(0.72 * scale), middle + round(0.72 * scale) - 2):
        field[:, left - 1 : left + 4] = (70, 68, 66)
        field[:, left : left + 2] = (150, 148, 144)
    return field


_GROUNDS = {kind: partial(_paved, kind) for kind in _PAVING} | {
    "asphalt": _asphalt, "concrete": _concrete, "cobbles": _cobbles, "grass": _grass, "gravel": _gravel, "sand": _sand,
    "water": _water, "soil": _soil, "parking": _parking, "kerb": _kerb, "tram": _tram,
}  # fmt: skip
GROUNDS = tuple(_GROUNDS)

# -- materials. Their colours are pale, since most are tinted


def _material(kind: str, variant: int, version: Hashable) -> np.ndarray:
    rng, size = random_for("material", kind, variant), (MATERIAL_SIZE, MATERIAL_SIZE)
    if kind in _WALLS:
        name, tone = _WALLS[kind]
        name, tone = "ashlar" if kind == "stone" and variant % 2 else name, tone or pick(rng, COLOURS[name])
        image = covered(rng, name, tone, (64, 64)).resize(size, Image.BILINEAR)
        dirt = piece(dirt_tile(5), 16 * (variant % 8), 40, size)
        field = np.asarray(image, float) * np.asarray(dirt, float) / 255
    else:
        field = _THINGS[kind](rng, variant)
    image = np.zeros((*size, 4), np.uint8)
    image[..., :3] = field.clip(0, 255)
    return image


def _boards(rng: np.random.Generator, pitch: int, spread: float, gap: float) -> Field:
    """Level boards with grain along them."""
    n = MATERIAL_SIZE
    y = np.arange(n)
    each = rng.normal(1, spread, n // pitch + 1)[y // pitch]
    grain = 1 + 0.06 * noise(rng, (64, 6), (n, n)) + 0.03 * noise(rng, (100, 16), (n, n))
    tone = np.where(y % pitch == 0, gap, each)[:, None] * grain
    return np.array([226.0, 216, 200]) * tone[..., None]


def _container(rng: np.random.Generator, variant: int) -> Field:
    n = MATERIAL_SIZE
    x = np.arange(n) % 16
    ribs = np.select([x < 5, x < 7, x < 13], [1.0, 0.72, 0.9], 1.08)
    field = np.array([232.0, 230, 226]) * (ribs[None] * _grain(rng, 0.02, 0.02, 0.03, n))[..., None]
    rust = (noise(rng, (10, 30), (n, n)) + 0.4 * noise(rng, (40, 40), (n, n))).clip(1.5, 2.5) - 1.5
    field = field * (1 - rust[..., None]) + np.array([140, 84, 52]) * rust[..., None]
    field[:4] *= 0.7
    return field


def _crates(rng: np.random.Generator, variant: int) -> Field:
    """Boxes of fruit, or boards of crates."""
    n = MATERIAL_SIZE
    image = Image.fromarray(_boards(rng, 12, 0.1, 0.4).clip(0, 255).astype(np.uint8))
    if variant % 2:
        draw = ImageDraw.Draw(image)
        goods = colours("c8482e d88a30 d8b848 6a8a3c 8a2c38 e0d8a0 7a9a50 b86a3c")
        for x in range(0, n, 32):
            for y in range(0, n, 32):
                tone = pick(rng, goods)
                draw.rectangle((x + 2, y + 2, x + 29, y + 29), fill=shade(tone, 0.5))
                for _ in range(34):
                    a, b = rng.uniform(x + 4, x + 27), rng.uniform(y + 4, y + 27)
                    draw.ellipse((a - 3, b - 3, a + 3, b + 3), fill=jitter(rng, tone, 14))
    return np.asarray(image, float)


def _metal(rng: np.random.Generator, variant: int) -> Field:
    n = MATERIAL_SIZE
    field = np.array([226.0, 228, 230]) * _grain(rng, 0.015, 0.03, 0.04, n)[..., None]
    field[::64] *= 0.7
    field[:, ::64] *= 0.75
    return field


def _fabric(rng: np.random.Generator, variant: int) -> Field:
    n = MATERIAL_SIZE
    folds = 1 + 0.07 * noise(rng, (3, 14), (n, n)) + 0.02 * rng.normal(0, 1, (n, n))
    field = np.full((n, n, 3), 238.0)
    if variant % 2:
        stripe = jitter(rng, pick(rng, VIVID), 10) if variant % 4 == 3 else (150, 150, 150)
        field[:, np.arange(n) // 16 % 2 == 0] = mixed(stripe, (238, 238, 238), 0.25)
    return field * folds[..., None]


def _glass(rng: np.random.Generator, variant: int) -> Field:
    n = MATERIAL_SIZE
    sky = np.linspace(1.2, 0.7, n)[:, None] + 0.1 * noise(rng, (4, 3), (n, n))
    field = np.array([112.0, 126, 138]) * sky[..., None]
    field[:3] = field[:, :3] = (92, 96, 100)
    field[64:66] = (92, 96, 100)
    return field


def _hedge(rng: np.random.Generator, variant: int) -> Field:
    n = MATERIAL_SIZE
    tone = np.array(jitter(rng, pick(rng, colours("52683a 5e7240 48603a 6a7848")), 5), float)
    return (
        tone
        * (
            1
            + 0.22 * noise(rng, (44, 44), (n, n))
            + 0.16 * noise(rng, (14, 14), (n, n))
            + 0.14 * rng.normal(0, 1, (n, n))
        )[..., None]
    )


# materials of walls that are pictured here too, and their colours; None for one of materials' own
_WALLS = {"brick": ("brick", None), "roof_tiles": ("pantiles", None), "stone": ("rubble", (206, 200, 188)),
          "plaster": ("plaster", (234, 232, 226)), "concrete": ("concrete", (200, 198, 192)),
          "corrugated": ("corrugated", (234, 232, 226))}  # fmt: skip
_THINGS = {
    "wood": lambda rng, variant: _boards(rng, 128, 0.0, 1.0),
    "planks": lambda rng, variant: _boards(rng, 16, 0.07, 0.5),
    "container": _container, "crates": _crates, "metal": _metal, "fabric": _fabric, "glass": _glass, "hedge": _hedge,
}  # fmt: skip
MATERIALS = (*_WALLS, *_THINGS)
