"""Grounds and materials: pictures that repeat."""

from collections.abc import Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import opaque
from demo_city.looks.colours import colours, jitter, mixed, pick, shade
from demo_city.looks.materials import covered, noise, stones, weathered
from demo_city.seeds import random_for

TILE = 8.0  # metres of a repetition of a ground
_N, _M = 256, 128  # texels of a side of a ground, and of a material, which repeats after 2 m
Field = np.ndarray  # float (n, n, 3), colours

# grounds without joints: colours by variant; unevenness at three scales; cracks; what lies about, more of it in autumn
_LOOSE = {
    "asphalt": ("5e5e60 7a7874 8a857c 6c6b6a 96918a", (0.08, 0.05, 0.045), 4, 2500, "3c3c3c a8a49c 8a8682"),
    "grass": ("626c42 666e44 5e6a40", (0.16, 0.12, 0.07), 0, 60, "9a7038 7c5a34 b08a48"),
    "gravel": ("a39a8c b0a490 928a80 a8917a", (0.17, 0.08, 0.06), 0, 2500, "c0b8ac 8a8278 6e665e d0c8b8"),
    "sand": ("beac8a", (0.05, 0.05, 0.06), 0, 0, "beac8a"),
    "soil": ("9c7254 8a6c54 a87e5e 766450", (0.1, 0.09, 0.09), 0, 1600, "a8804e 8a5e38 c09a62 6e4e34 b48e5e"),
}
_GRASS = {"spring": (100, 114, 66), "summer": (98, 108, 66), "autumn": (112, 108, 68), "winter": (110, 107, 80)}
# grounds of stones: colours by variant; height and width of a stone by variant, texels; unevenness, darkness of the
# joints, spread of tones; cracks
_PAVED = {
    "setts": (
        "9a9288 a89c90 8c8680 b0a498, 8a8884 7c7a78 98948e 6e6c6a, a8988a 94867a b4a494 8c7c72, 7a6e66 887a70 6c625c",
        ((4, 5), (4, 4), (4, 6), (4, 4)),
        (1.1, 0.6, 0.08),
        0,
    ),
    "slabs": (
        "a8a39a b2ada2 9e9a92, b8b0a2 aca496 c0b8aa, 9a9894 a4a29e 8e8c8a, b4a498 a89a90 bcaca0",
        ((16, 16), (8, 16), (16, 32), (16, 8)),
        (0, 0.76, 0.05),
        2,
    ),
    "bricks": (
        "9a6450 8c5a4a a8705a 805044, 8c8682 9a948e 7e7a78, a0907e b09e8a 948472, 86584c 9a6a58 744a40",
        ((4, 8), (8, 4), (4, 8), (8, 4)),
        (0, 0.72, 0.08),
        0,
    ),
    "concrete": ("a8a49a, b4b0a6, 9c978c, c0bab0", ((128, 128), (64, 64), (64, 128), (128, 64)), (0, 0.62, 0.05), 4),
    "kerb": ("aaa69e, b8b2a8, 9a968e, 2e2d2c d6d2c8", ((32, 256),) * 4, (0, 0.6, 0.04), 0),
}
# materials of walls that are pictured here too, and their colours, pale, since most are tinted
_WALLS = {
    "brick": ("brick", "brick"),
    "roof_tiles": ("pantiles", "pantiles"),
    "stone": ("rubble", "cec8bc"),
    "plaster": ("plaster", "eae8e2"),
    "concrete": ("concrete", "c8c6c0"),
    "corrugated": ("corrugated", "eae8e2"),
    "hedge": ("foliage", "52683a 5e7240 48603a 6a7848"),
}


def ground_texture(kind: str, variant: int) -> Texture:
    """A ground that repeats after TILE metres. kind: of GROUNDS; variant: any number, 0 to 3 are enough.

    Along v follow the stones of a kerb and the bays of a car park.
    """
    by_season = kind in ("grass", "soil", "gravel")
    return Texture(_N, _N, partial(_ground, kind, variant), lambda year, season: season if by_season else "")


def material_texture(kind: str, variant: int) -> Texture:
    """A material that repeats after 2 m, pale enough to be tinted. kind: of MATERIALS; variant: any number."""
    return Texture(_M, _M, partial(_material, kind, variant))


def plain_texture() -> Texture:
    """White with a little noise, to be tinted."""
    return Texture(32, 32, lambda version: opaque(np.full(3, 248.0) * _grain(random_for("plain"), 0.015, 0.01, 0, 32)))


def _grain(rng: np.random.Generator, fine: float, middle: float, broad: float, n: int = _N) -> np.ndarray:
    """Factors around 1 of three scales: (n, n, 1)."""
    waves = middle * noise(rng, (48, 48), (n, n)) + broad * noise(rng, (5, 5), (n, n))
    return (1 + fine * rng.normal(0, 1, (n, n)) + waves)[..., None]


def _ground(kind: str, variant: int, season: str) -> np.ndarray:
    rng = random_for("ground", kind, variant)
    if kind in _LOOSE or kind in _PAVED:
        return opaque((_loose if kind in _LOOSE else _paved)(rng, kind, variant, season))
    return opaque(
        {"cobbles": _cobbles, "water": _water, "parking": _parking, "tram": _tram}[kind](rng, variant, season)
    )


def _cracked(rng: np.random.Generator, field: Field, count: int) -> Field:
    """Draws wandering cracks."""
    image = Image.fromarray(field.clip(0, 255).astype(np.uint8))
    for _ in range(count):
        turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.45, int(rng.integers(8, 30))))
        path = rng.uniform(0, _N, 2) + np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * 7, 0)
        for shift in np.ndindex(3, 3):
            ImageDraw.Draw(image).line(((path + (np.array(shift) - 1) * _N).ravel().tolist()), fill=(54, 52, 50))
    return field * 0.6 + np.asarray(image) * 0.4


def _loose(rng: np.random.Generator, kind: str, variant: int, season: str) -> Field:
    tones, grain, cracks, count, litter = _LOOSE[kind]
    tone = _GRASS[season] if kind == "grass" else colours(tones)[variant % len(colours(tones))]
    field = np.array(jitter(rng, tone, 5), float) * _grain(rng, *grain)
    if kind == "grass":
        dry = (noise(rng, (9, 9), (_N, _N)) + 0.35 * noise(rng, (60, 60), (_N, _N))).clip(0.7, 2)[..., None] - 0.7
        field += (np.array([142, 124, 84]) - field) * dry * (0.25 + 0.25 * (variant % 2))
    count = count * 3 if season == "autumn" else count
    places, found = rng.integers(0, _N, (2, count)), np.array(colours(litter))
    field[*places] = found[rng.integers(len(found), size=count)] * rng.uniform(0.7, 1.25, (count, 1))
    return _cracked(rng, field, cracks * (variant % 4))


def _paved(rng: np.random.Generator, kind: str, variant: int, season: str) -> Field:
    texts, sizes, (uneven, joint, spread), cracks = _PAVED[kind]
    tones, (tall, wide) = np.array(colours(texts.split(",")[variant % 4]), float), sizes[variant % 4]
    y, x = np.mgrid[0:_N, 0:_N]
    y = y + (noise(rng, (10, 10), (_N, _N)) * uneven).astype(int)
    rows, columns = _N // tall, _N // wide
    row = y // tall % rows
    if uneven:
        x = x + rng.integers(0, wide, rows)[row]
    elif wide < 64 and wide >= tall:
        x = x + row % 2 * (wide // 2)
    elif wide < tall:
        y = y + x // wide % 2 * (tall // 2)
        row = y // tall % rows
    which = np.arange(rows)[:, None] % 2 if kind == "kerb" else rng.integers(len(tones), size=(rows, columns))
    stone = tones[which % len(tones)] * rng.normal(1, spread, (rows, columns, 1))
    field = stone[row, x // wide % columns] * _grain(rng, 0.05, 0.04, 0.05)
    field[(y % tall == 0) | ((x % wide == 0) & (columns > 1))] *= joint
    return _cracked(rng, field, cracks)


def _cobbles(rng: np.random.Generator, variant: int, season: str) -> Field:
    number, first, gap = stones(rng, 40, _N, 1.0)
    tones = np.array(colours("9a948a 867e76 aca294 786e66 a0907e 8c8c8a"), float)[rng.integers(6, size=1600)]
    dome = (1.12 - 0.5 * first**2) * np.where(gap < 0.16, 0.62, 1.0)
    return tones[number] * dome[..., None] * _grain(rng, 0.04, 0.03, 0.05)


def _water(rng: np.random.Generator, variant: int, season: str) -> Field:
    waves = noise(rng, (40, 14), (_N, _N)) + 0.6 * noise(rng, (90, 40), (_N, _N))
    bright = 1 + 0.13 * waves + 0.25 * (waves.clip(1.6, None) - 1.6)
    return np.array(pick(rng, "4a5a5c 44545e 56645c 3e5058"), float) * bright[..., None]


def _parking(rng: np.random.Generator, variant: int, season: str) -> Field:
    field = (_paved if variant % 2 else _loose)(rng, "bricks" if variant % 2 else "asphalt", variant, season)
    lines = np.isin(np.arange(_N), [y + d for y in (0, 85, 171) for d in range(4)])  # a bay each 2.7 m along the road
    field[lines[:, None] & (rng.random((_N, _N)) < 0.82)] = (214, 212, 204)
    return field


def _tram(rng: np.random.Generator, variant: int, season: str) -> Field:
    """A track along v, with its middle at u = 0.5."""
    field = _paved(rng, "setts" if variant % 2 else "concrete", variant, season)
    for left in (_N // 2 - 23, _N // 2 + 21):
        field[:, left - 1 : left + 4], field[:, left : left + 2] = (70, 68, 66), (150, 148, 144)
    return field


GROUNDS = (*_LOOSE, *_PAVED, "cobbles", "water", "parking", "tram")


def _material(kind: str, variant: int, version: Hashable) -> np.ndarray:
    rng = random_for("material", kind, variant)
    if kind not in _WALLS:
        return opaque(_THINGS[kind](rng, variant))
    name, tones = _WALLS[kind]
    name = "ashlar" if kind == "stone" and variant % 2 else name
    image = covered(rng, name, pick(rng, tones), (64, 64))
    return opaque(np.asarray(weathered(rng, image, 0.5, np.ones(64)).resize((_M, _M), Image.BILINEAR)))


def _boards(rng: np.random.Generator, variant: int, pitch: int = 16) -> Field:
    """Level boards with grain along them."""
    y = np.arange(_M)
    each = np.where((y % pitch == 0) & (pitch < _M), 0.5, rng.normal(1, 0.07, _M)[y // pitch])[:, None]
    grain = 1 + 0.06 * noise(rng, (64, 6), (_M, _M)) + 0.03 * noise(rng, (100, 16), (_M, _M))
    return np.array([226.0, 216, 200]) * (each * grain)[..., None]


def _container(rng: np.random.Generator, variant: int) -> Field:
    x = np.arange(_M) % 16
    field = np.array([232.0, 230, 226]) * np.select([x < 5, x < 7, x < 13], [1.0, 0.72, 0.9], 1.08)[:, None]
    rust = (noise(rng, (10, 30), (_M, _M)) + 0.4 * noise(rng, (40, 40), (_M, _M))).clip(1.5, 2.5)[..., None] - 1.5
    return (field + (np.array([140, 84, 52]) - field) * rust) * _grain(rng, 0.02, 0.02, 0.03, _M)


def _crates(rng: np.random.Generator, variant: int) -> Field:
    """Boxes of fruit, or boards of crates."""
    image = Image.fromarray(_boards(rng, variant, 12).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for x, y in np.ndindex(4, 4) if variant % 2 else ():
        tone = pick(rng, "c8482e d88a30 d8b848 6a8a3c 8a2c38 e0d8a0 7a9a50 b86a3c")
        draw.rectangle((x * 32 + 2, y * 32 + 2, x * 32 + 29, y * 32 + 29), fill=shade(tone, 0.5))
        for a, b in (rng.uniform(4, 27, (34, 2)) + (x * 32, y * 32)).tolist():
            draw.ellipse((a - 3, b - 3, a + 3, b + 3), fill=jitter(rng, tone, 14))
    return np.asarray(image, float)


def _metal(rng: np.random.Generator, variant: int) -> Field:
    field = np.array([226.0, 228, 230]) * _grain(rng, 0.015, 0.03, 0.04, _M)
    field[::64], field[:, ::64] = field[::64] * 0.7, field[:, ::64] * 0.75
    return field


def _fabric(rng: np.random.Generator, variant: int) -> Field:
    field = np.full((_M, _M, 3), 238.0)
    stripe = jitter(rng, pick(rng, "vivid"), 10) if variant % 4 == 3 else (150, 150, 150)
    if variant % 2:
        field[:, np.arange(_M) // 16 % 2 == 0] = mixed(stripe, (238, 238, 238), 0.25)
    return field * (1 + 0.07 * noise(rng, (3, 14), (_M, _M)))[..., None]


def _glass(rng: np.random.Generator, variant: int) -> Field:
    sky = np.linspace(1.2, 0.7, _M)[:, None] + 0.1 * noise(rng, (4, 3), (_M, _M))
    field = np.array([112.0, 126, 138]) * sky[..., None]
    field[:3] = field[:, :3] = field[64:66] = (92, 96, 100)
    return field


_THINGS = {
    "wood": partial(_boards, pitch=_M),
    "planks": _boards,
    "container": _container,
    "crates": _crates,
    "metal": _metal,
    "fabric": _fabric,
    "glass": _glass,
}
MATERIALS = (*_WALLS, *_THINGS)
