"""Grounds and materials: pictures that repeat."""

from collections.abc import Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import opaque
from demo_city.looks.colours import colours, jitter, mixed, pick, shade, table
from demo_city.looks.materials import covered, noise, stones, weathered
from demo_city.seeds import random_for

TILE = 8.0  # metres of a repetition of a ground
_N, _M = 256, 128  # texels of a side of a ground, and of a material, which repeats after 2 m
_LOOSE, _PAVED, _WALLS = table("loose"), table("paved"), table("walls")
_GRASS = {"spring": (100, 114, 66), "summer": (98, 108, 66), "autumn": (112, 108, 68), "winter": (110, 107, 80)}
Field = np.ndarray  # float (n, n, 3), colours


def ground_texture(kind: str, variant: int) -> Texture:
    """A ground that repeats after TILE metres. kind: of GROUNDS; variant: any number, 0 to 3 are enough.

    Along v follow the stones of a kerb.
    """
    changing = kind in ("grass", "soil", "gravel")
    return Texture(_N, _N, partial(_ground, kind, variant), lambda year, season: season if changing else "")


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
    if kind in _SPECIAL:
        return opaque(_SPECIAL[kind](rng, variant) * _grain(rng, 0.04, 0.03, 0.05))
    return opaque((_loose if kind in _LOOSE else _paved)(rng, kind, variant, season))


def _cracked(rng: np.random.Generator, field: Field, count: int) -> Field:
    """Draws wandering cracks."""
    image = Image.fromarray(field.clip(0, 255).astype(np.uint8))
    for _ in range(count):
        turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.45, int(rng.integers(8, 30))))
        path = rng.uniform(0, _N, 2) + np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * 7, 0)
        for shift in np.ndindex(3, 3):
            ImageDraw.Draw(image).line((path + (np.array(shift) - 1) * _N).ravel().tolist(), fill=(54, 52, 50))
    return field * 0.6 + np.asarray(image) * 0.4


def _loose(rng: np.random.Generator, kind: str, variant: int, season: str) -> Field:
    """A ground without joints, with what lies about on it; more of it in autumn."""
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


def _paved(rng: np.random.Generator, kind: str, variant: int, season: str = "") -> Field:
    """Rows of stones: uneven ones, or columns where they are taller than wide, or large slabs in a grid."""
    texts, sizes, (uneven, joint, spread), cracks = _PAVED[kind]
    tones, (tall, wide) = np.array(colours(texts[variant % 4]), float), sizes[variant % 4]
    y, x = np.mgrid[0:_N, 0:_N]
    y = y + (noise(rng, (10, 10), (_N, _N)) * uneven).astype(int) + (x // wide % 2 * (tall // 2) if wide < tall else 0)
    rows, columns = _N // tall, _N // wide
    row = y // tall % rows
    x = x + (rng.integers(0, wide, rows)[row] if uneven else row % 2 * (wide // 2) if tall <= wide < 64 else 0)
    which = np.arange(rows)[:, None] % 2 if kind == "kerb" else rng.integers(len(tones), size=(rows, columns))
    stone = tones[which % len(tones)] * rng.normal(1, spread, (rows, columns, 1))
    field = stone[row, x // wide % columns] * _grain(rng, 0.05, 0.04, 0.05)
    field[(y % tall == 0) | ((x % wide == 0) & (columns > 1))] *= joint
    return _cracked(rng, field, cracks)


def _cobbles(rng: np.random.Generator, variant: int) -> Field:
    number, first, gap = stones(rng, 40, _N, 1.0)
    tones = np.array(colours("9a948a 867e76 aca294 786e66 a0907e 8c8c8a"), float)[rng.integers(6, size=1600)]
    return tones[number] * ((1.12 - 0.5 * first**2) * np.where(gap < 0.16, 0.62, 1.0))[..., None]


def _water(rng: np.random.Generator, variant: int) -> Field:
    waves = noise(rng, (40, 14), (_N, _N)) + 0.6 * noise(rng, (90, 40), (_N, _N))
    bright = 1 + 0.13 * waves + 0.25 * (waves.clip(1.6, None) - 1.6)
    return np.array(pick(rng, "4a5a5c 44545e 56645c 3e5058"), float) * bright[..., None]


def _tram(rng: np.random.Generator, variant: int) -> Field:
    """A track along v, with its middle at u = 0.5."""
    field = _paved(rng, "setts" if variant % 2 else "concrete", variant)
    for left in (_N // 2 - 23, _N // 2 + 21):
        field[:, left - 1 : left + 4], field[:, left : left + 2] = (70, 68, 66), (150, 148, 144)
    return field


_SPECIAL = {"cobbles": _cobbles, "water": _water, "tram": _tram}
GROUNDS = (*_LOOSE, *_PAVED, *_SPECIAL)


def _material(kind: str, variant: int, version: Hashable) -> np.ndarray:
    rng = random_for("material", kind, variant)
    if kind in _WALLS:
        name, tones = _WALLS[kind]
        image = covered(rng, "ashlar" if kind == "stone" and variant % 2 else name, pick(rng, tones), (64, 64))
        return opaque(np.asarray(weathered(rng, image, 0.5, np.ones(64)).resize((_M, _M), Image.BILINEAR)))
    y, x = np.mgrid[0:_M, 0:_M]
    tone, factors = _THINGS[kind]
    field = np.array(colours(tone)[0], float) * factors(rng, x, y)[..., None]
    if kind == "container":
        rust = (noise(rng, (10, 30), (_M, _M)) + 0.4 * noise(rng, (40, 40), (_M, _M))).clip(1.5, 2.5)[..., None] - 1.5
        field += (np.array([140, 84, 52]) - field) * rust
    elif kind == "fabric" and variant % 2:  # striped
        stripe = jitter(rng, pick(rng, "vivid"), 10) if variant % 4 == 3 else (150, 150, 150)
        field *= np.where((x // 16 % 2)[..., None], 1, np.array(mixed(stripe, (238,) * 3, 0.25)) / 238)
    return opaque(_fruit(rng, field) if kind == "crates" and variant % 2 else field)


def _fruit(rng: np.random.Generator, field: Field) -> Field:
    """Fills boxes with fruit and vegetables."""
    image = Image.fromarray(field.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for x, y in (np.stack(np.mgrid[0:4, 0:4], 2).reshape(-1, 2) * 32).tolist():
        tone = pick(rng, "fruit")
        draw.rectangle((x + 2, y + 2, x + 29, y + 29), fill=shade(tone, 0.5))
        for a, b in rng.uniform((x + 4, y + 4), (x + 27, y + 27), (34, 2)).tolist():
            draw.ellipse((a - 3, b - 3, a + 3, b + 3), fill=jitter(rng, tone, 14))
    return np.asarray(image, float)


def _boards(pitch: int, rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Level boards with grain along them."""
    each = np.where((y % pitch == 0) & (pitch < _M), 0.5, rng.normal(1, 0.07, _M)[y // pitch])
    return each * (1 + 0.06 * noise(rng, (64, 6), x.shape) + 0.03 * noise(rng, (100, 16), x.shape))


# pale colours of things, and factors by texel
_THINGS = {
    "wood": ("e2d8c8", partial(_boards, _M)),
    "planks": ("e2d8c8", partial(_boards, 16)),
    "crates": ("e2d8c8", partial(_boards, 12)),
    "container": ("e8e6e2", lambda rng, x, y: np.choose(np.minimum(x % 16 // 4, 3), [1, 0.72, 0.9, 1.08])),
    "metal": (
        "e2e4e6",
        lambda rng, x, y: 1 + 0.04 * noise(rng, (30, 30), x.shape) - 0.28 * ((x % 64 == 0) | (y % 64 == 0)),
    ),
    "fabric": ("eeeeee", lambda rng, x, y: 1 + 0.07 * noise(rng, (3, 14), x.shape)),
    "glass": (
        "707e8a",
        lambda rng, x, y: 1.2 - y / 256 + 0.1 * noise(rng, (4, 3), x.shape) - 0.3 * ((x < 3) | (y % 64 < 3)),
    ),
}
MATERIALS = (*_WALLS, *_THINGS)
