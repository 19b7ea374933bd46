"""Materials of walls, grounds and things, which repeat; leaves and bark."""

from collections.abc import Hashable
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Colour, Size, colours, cutout, jitter, mixed, opaque, pick, shade, table
from demo_city.seeds import random_for

TILE = 8.0  # metres of a repetition of a ground
_N, _M = 256, 128  # texels of a side of a ground, and of a material, which repeats after 2 m
_LOOSE, _PAVED, _THINGS = table("loose"), table("paved"), table("things")
_GRASS = {"spring": (100, 114, 66), "summer": (98, 108, 66), "autumn": (112, 108, 68), "winter": (110, 107, 80)}
Field = np.ndarray  # float (n, n, 3), colours
PERIOD = 480  # texels of the patterns of walls, at 16 texels a metre; divisible by the sides of all of them
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
_SIDE = 256  # texels that leaves are drawn on; the picture has half as many
_SHARES = {"winter": 0.02, "autumn": 0.7, "spring": 0.8}  # of the leaves that are there


def noise(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Smooth noise of unit spread that repeats: float32 (height, width) of size, with rows and columns of cells."""
    coarse = np.pad(rng.normal(0, 1, cells).astype(np.float32), 2, mode="wrap")
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.BICUBIC, (2, 2, 2 + cells[1], 2 + cells[0])))


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
    tones, joints, (y, x) = np.ones(shape), np.zeros(shape), np.mgrid[0:PERIOD, 0:PERIOD]
    if name in table("cells"):
        tall, wide, depth, spread = table("cells")[name]
        row, tones = y // tall, rng.normal(1, spread, shape)
        tones[rng.random(shape) < (0.07 if name in ("brick", "stock") else 0)] *= 0.72  # overburnt
        x = (x + (0 if stacked else row % 2 * (wide // 2 + 1))) % PERIOD
        tones, joints = tones[row, x // wide], np.where((y % tall == 0) | (x % wide == 0), depth, 0.0)
    elif name == "rubble":
        number, _, gap = stones(rng, 48, PERIOD, 1.4)
        tones, joints = rng.normal(1, 0.12, number.max() + 1)[number], np.clip(0.75 - gap * 10 / 3, 0, 0.7)
    elif name == "foliage":
        tones = 0.95 + 0.22 * noise(rng, (160, 160), shape) + 0.14 * noise(rng, (60, 60), shape)
    elif name in _LINES:
        tones = _LINES[name](x, y, rng.normal(0, 1, PERIOD))
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


def _piece(tile: Image.Image, left: int, top: int, size: Size) -> Image.Image:
    """A part of a tile that repeats; left, top: where it begins, inside the tile; size: width and height, texels."""
    part = Image.new(tile.mode, size)
    for y in range(-top, size[1], tile.height):
        for x in range(-left, size[0], tile.width):
            part.paste(tile, (x, y))
    return part


def covered(rng: np.random.Generator, material: str, colour: Colour, size: Size, ppm: float = 16.0) -> Image.Image:
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


def ground_texture(kind: str, variant: int) -> Texture:
    """A ground that repeats after TILE metres, a kerb along v; variant: any number, 0 to 3 are enough."""
    changing = kind in ("grass", "soil", "gravel")
    return Texture(_N, _N, partial(_ground, kind, variant), lambda year, season: season if changing else "")


def material_texture(kind: str, variant: int) -> Texture:
    """A material that repeats after 2 m, pale enough to be tinted. kind: of the table "things"; variant: any number."""
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


def _material(kind: str, variant: int, version: Hashable) -> np.ndarray:
    rng, (name, tones) = random_for("material", kind, variant), _THINGS[kind]
    image = covered(rng, "ashlar" if kind == "stone" and variant % 2 else name, pick(rng, tones), (64, 64))
    image = weathered(rng, image, 0.5, np.ones(64)).resize((_M, _M), Image.BILINEAR)
    draw = ImageDraw.Draw(image)
    if kind == "fabric" and variant % 2:  # striped
        stripe = mixed(pick(rng, "vivid") if variant % 4 == 3 else (150, 150, 150), (238, 238, 238), 0.25)
        for x in range(0, _M, 32):
            draw.rectangle((x, 0, x + 15, _M), fill=stripe)
    for x, y in np.ndindex(4, 4) if kind == "crates" and variant % 2 else ():  # boxes of fruit and vegetables
        tone, left, top = pick(rng, "fruit"), x * 32, y * 32
        draw.rectangle((left + 2, top + 2, left + 29, top + 29), fill=shade(tone, 0.5))
        for a, b in rng.uniform((left + 4, top + 4), (left + 27, top + 27), (34, 2)).tolist():
            draw.ellipse((a - 3, b - 3, a + 3, b + 3), fill=jitter(rng, tone, 14))
    return opaque(np.asarray(image))


def leaves_texture(kind: str, variant: int) -> Texture:
    """A clump of leaves (cutout), a palm's frond with its tip at the top, a tier of a conifer's boughs, or a tuft.

    kind: "palm", "conifer", "grass", or of the table "clumps"; variant: any number; some are evergreen
    """
    evergreen = kind in ("conifer", "palm", "hedge", "ivy") or kind in ("broad", "tall", "bush") and variant % 3 == 2
    painter = partial(_leaves, kind, variant)
    return Texture(_SIDE // 2, _SIDE // 2, painter, lambda year, season: "evergreen" if evergreen else season)


def _leaves(kind: str, variant: int, season: str) -> np.ndarray:
    lasting, rng = random_for("plant", kind, variant), random_for("leaves", kind, variant, season)
    tone = jitter(lasting, pick(lasting, season), 7)
    image = Image.new("RGBA", (_SIDE, _SIDE), (*shade(tone, 0.7), 0))
    draw = ImageDraw.Draw(image)
    if kind in _STROKES:
        withered = kind == "grass" and season in ("autumn", "winter")
        bluish = mixed(tone, (36, 58, 52), 0.4 if kind == "conifer" else 0.0)
        _draw(draw, _STROKES[kind](rng), (136, 124, 82) if withered else bluish)
        return cutout(image, 2)
    if kind not in ("hedge", "ivy"):
        bark = shade(pick(lasting, "bark"), 0.75)
        _draw(draw, _twigs(lasting, 0.35 if kind == "tall" else 0.62, 5 if season == "winter" else 3), bark)
    blooming = season == "spring" or kind in ("flowers", "bush") and season in ("summer", "evergreen")
    blossom = pick(lasting, "blossom")
    blooming = blooming and (kind == "flowers" or lasting.random() < 0.2)
    _crown(draw, lasting, tone, table("clumps")[kind], _SHARES.get(season, 1.0), blossom if blooming else None)
    return cutout(image, 2)


def _draw(draw: ImageDraw.ImageDraw, strokes: np.ndarray, tone: Colour) -> None:
    """Draws lines of a tone; strokes: (k, 6), x and y of both ends, brightness and width."""
    for *ends, bright, pen in strokes.tolist():
        draw.line(ends, fill=(*shade(tone, bright), 255), width=max(int(pen), 1))


def _crown(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, tone: Colour, clump: list, share: float, blossom: Colour | None
) -> None:
    """Draws leaves in sprays, the shaded ones first: a share of those of a clump, of a tone, perhaps with blossoms."""
    wide, high, count, length, width, everywhere = clump
    angle, reach = rng.uniform(0, 2 * np.pi, 70), np.sqrt(rng.random(70)) * rng.uniform(0.75, 1.0, 70)
    reach *= 1 + 0.16 * np.sin(angle * int(rng.integers(2, 5)) + rng.uniform(0, 6))  # an uneven crown
    centres = (np.stack([np.cos(angle) * wide, np.sin(angle) * high]) * reach * 0.46 + 0.5).T * _SIDE
    if everywhere:
        centres = rng.uniform((0, 1 - high), 1, (80, 2)) * _SIDE
    # upper sprays are lit, lower and inner ones lie in the shade
    light = 1.25 - 0.5 * centres[:, 1] / _SIDE + rng.normal(0, 0.16, len(centres))
    size = length * rng.uniform(0.85, 1.25)
    for n in np.argsort(light):
        here = int(count * share / len(centres) + rng.random())
        places, turns = centres[n] + rng.normal(0, 14, (here, 2)), rng.uniform(0, np.pi, here)
        ahead = np.stack([np.cos(turns), np.sin(turns)], 1) * size
        aside = ahead[:, ::-1] * (-1, 1) * width / length
        corners = np.stack([places - ahead, places + aside, places + ahead, places - aside], 1).reshape(here, 8)
        colours = np.array(tone) * light[n] * rng.uniform(0.7, 1.3, (here, 1)) + rng.normal(0, 4, (here, 3))
        for points, fill in zip(corners.tolist(), colours.clip(0, 255).astype(int).tolist(), strict=True):
            draw.polygon(points, fill=(*fill, 255))
        for x, y in (centres[n] + rng.normal(0, 14, (int(rng.integers(0, 8)), 2))).tolist() if blossom else ():
            r, petal = rng.uniform(2.5, 6), shade(jitter(rng, blossom, 12), min(light[n], 1.1))
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(*petal, 255))


def _twigs(rng: np.random.Generator, spread: float, depth: int) -> np.ndarray:
    """Strokes of two branches that fork; spread: of the angles; depth: how often they fork."""
    starts = np.column_stack([rng.uniform(102, 154, 2), [251, 251]])
    angles, length = rng.normal(-1.57, 0.2, 2), np.full(2, 77.0)
    strokes = []
    for _ in range(depth):
        steps = np.stack([np.cos(angles), np.sin(angles)], 1) * length[:, None]
        strokes.append(np.column_stack([starts, starts + steps, rng.uniform(0.8, 1.25, len(starts)), length / 16]))
        starts = np.repeat(starts, 3, 0) + np.repeat(steps, 3, 0) * rng.uniform(0.45, 1.0, (len(starts) * 3, 1))
        angles = np.repeat(angles, 3) + rng.normal(0, spread, len(starts))
        length = np.repeat(length, 3) * rng.uniform(0.6, 0.85, len(starts))
    return np.concatenate(strokes)


def _frond(rng: np.random.Generator) -> np.ndarray:
    """Strokes of a palm's leaf."""
    y, edge = np.repeat(np.arange(5, 236, 5), 2), np.tile([-1, 1], 47)
    reach = 123 * np.sqrt(np.sin(np.pi * np.minimum(0.12 + y / 320, 1))) * rng.uniform(0.75, 1, 94)
    leaves = [np.full(94, 128), y + 13, 128 + edge * reach, y - 20 + rng.normal(0, 3, 94), rng.uniform(0.7, 1.25, 94)]
    return np.vstack([np.column_stack([*leaves, np.full(94, 4)]), (128, 0, 128, 256, 1.5, 5)])


def _boughs(rng: np.random.Generator) -> np.ndarray:
    """Strokes of the twigs of a conifer, from the top down."""
    t = np.sort(rng.random(1500))
    x, y, k = rng.uniform(-1, 1, 1500) * (10 + 118 * t), 10 + 236 * t, 1500
    start = 128 + x - np.sign(x) * rng.uniform(0, 16, k), y - rng.uniform(6, 12, k)
    return np.column_stack([*start, 128 + x, y, rng.uniform(0.5, 1.15, k) * (1.15 - 0.3 * t), np.full(k, 3)])


def _blades(rng: np.random.Generator) -> np.ndarray:
    """Strokes of a tuft of grass."""
    x, high, k = rng.normal(128, 51, 190), rng.uniform(90, 243, 190), 190
    tip = x + rng.normal(0, 31, k), 256 - high
    return np.column_stack([x, np.full(k, 256), *tip, rng.uniform(0.6, 1.35, k), np.full(k, 3)])


_STROKES = {"conifer": _boughs, "palm": _frond, "grass": _blades}


def bark_texture(kind: str, variant: int) -> Texture:
    """Bark that repeats, 32 x 64 texels; kind: as of leaves; variant: any number."""

    def paint(version: int) -> np.ndarray:
        rng = random_for("bark", kind, variant)
        tone = np.array(jitter(rng, pick(rng, "bark"), 6), float)
        rough = 0.16 * noise(rng, (8, 16), (64, 32)) + 0.08 * rng.normal(0, 1, (64, 32))
        if kind == "palm":
            rough += np.where(np.arange(64) % 6 == 0, -0.3, 0.05)[:, None]
        elif variant % 4 == 1:  # smooth, with pale plates as planes have
            tone = np.where((noise(rng, (9, 5), (64, 32)) > 0.2)[..., None], (166, 160, 138), tone)
        elif variant % 4 == 2:  # white, with dark marks as birches have
            tone = np.where((noise(rng, (14, 3), (64, 32)) > 1.0)[..., None], (52, 48, 46), (206, 202, 192))
        return opaque(tone * (1 + rough)[..., None])

    return Texture(32, 64, paint)
