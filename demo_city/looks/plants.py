"""Leaves and bark, by season."""

from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Colour, cutout, jitter, mixed, opaque, pick, shade, table
from demo_city.looks.surfaces import noise
from demo_city.seeds import random_for

EVERGREEN = ("conifer", "palm", "hedge", "ivy")
_SIDE = 256  # texels that are drawn on; the picture has half as many
_SHARES = {"winter": 0.02, "autumn": 0.7, "spring": 0.8}  # of the leaves that are there
_CLUMPS = table("clumps")


def leaves_texture(kind: str, variant: int) -> Texture:
    """A clump of leaves (cutout).

    kind: of LEAVES. The picture of "palm" is one frond with its tip at the top, that of "conifer" the boughs of one
        tier, that of "grass" a tuft
    variant: any number; of broad and tall trees and of bushes each third variant is evergreen
    """
    evergreen = kind in EVERGREEN or kind in ("broad", "tall", "bush") and variant % 3 == 2
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
    _crown(draw, lasting, tone, _CLUMPS[kind], _SHARES.get(season, 1.0), blossom if blooming else None)
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
LEAVES = (*_CLUMPS, *_STROKES)


def bark_texture(kind: str, variant: int) -> Texture:
    """Bark that repeats, 32 x 64 texels; kind: of LEAVES; variant: any number."""

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
