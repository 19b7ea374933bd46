"""Leaves and bark, by season."""

from collections.abc import Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import cutout
from demo_city.looks.colours import Colour, colours, jitter, pick, shade
from demo_city.looks.materials import noise
from demo_city.seeds import random_for

LEAVES = ("round", "tall", "broad", "conifer", "palm", "bush", "hedge", "ivy", "grass", "flowers")
EVERGREEN = ("conifer", "palm", "hedge", "ivy")
SIZE, _S = 128, 2  # texels of a side; drawn so many times as large
_TONES = {
    "spring": colours("7e9a4c 8ea656 748c4a 98a860 86964e"),
    "summer": colours("566e36 62783c 4e6634 6e8244 5a6a3e 76844a 4a6038"),
    "autumn": colours("a48a48 946a40 867848 9c6240 ac9454 78693e 8a5440"),
    "evergreen": colours("4a5c34 56683a 425636 5e6c40 3e5038"),
}
_BLOSSOM = colours("e8dce0 e0b8c4 ece8e0 d88a4a d8b840 c8486a b87ac0 d8603c")
# width and height of the clump, shares of the picture; leaves; their length and width, texels
_SHAPES = {
    "round": (1.0, 0.96, 1500, 4.6, 2.8), "tall": (0.8, 1.0, 1300, 4.4, 2.8), "broad": (1.04, 0.92, 1500, 4.8, 2.8),
    "bush": (1.0, 0.95, 1300, 4.4, 2.8), "hedge": (1, 1, 1300, 5, 3.2), "ivy": (1, 1, 700, 8, 6),
    "flowers": (0.98, 0.9, 900, 5, 3),
}  # fmt: skip


def is_evergreen(kind: str, variant: int) -> bool:
    """Whether a plant keeps its leaves: some kinds, and of broad and tall trees and bushes each third variant."""
    return kind in EVERGREEN or kind in ("broad", "tall", "bush") and variant % 3 == 2


def _season(kind: str, variant: int, year: int, season: str) -> Hashable:
    if is_evergreen(kind, variant):
        return "evergreen"
    return season


def leaves_texture(kind: str, variant: int) -> Texture:
    """A clump of leaves (cutout) as large as SIZE.

    kind: of LEAVES. The picture of "palm" is one frond with its tip at the top, that of "conifer" the boughs of one
        tier, that of "grass" a tuft
    variant: any number; see is_evergreen
    """
    return Texture(SIZE, SIZE, partial(_leaves, kind, variant), partial(_season, kind, variant))


def _leaves(kind: str, variant: int, season: str) -> np.ndarray:
    lasting, rng = random_for("plant", kind, variant), random_for("leaves", kind, variant, season)
    tone = jitter(lasting, pick(lasting, _TONES.get(season, _TONES["autumn"][5:6])), 7)
    image = Image.new("RGBA", (SIZE * _S, SIZE * _S), (*shade(tone, 0.7), 0))
    draw = ImageDraw.Draw(image)
    if kind == "palm":
        _frond(draw, rng, tone)
    elif kind == "conifer":
        _boughs(draw, rng, tone)
    elif kind == "grass":
        _blades(draw, rng, {"winter": (132, 122, 88), "autumn": (140, 126, 78)}.get(season, tone))
    else:
        bare = season == "winter"
        bark = pick(lasting, colours("4e4238 5e544a 6e665c 44382e"))
        if kind not in ("hedge", "ivy"):
            _twigs(draw, lasting, bark, 5 if bare else 3, kind == "tall")
        share = {"winter": 0.02, "autumn": 0.7, "spring": 0.8}.get(season, 1.0)
        blossoms = kind == "flowers" or lasting.random() < 0.2
        seasons = ("spring", "summer", "evergreen") if kind in ("flowers", "bush") else ("spring",)
        blossom = pick(lasting, _BLOSSOM) if blossoms and season in seasons else None
        _crown(draw, lasting, tone, kind, share, blossom)
    return cutout(image, _S)


def _sprays(rng: np.random.Generator, kind: str) -> np.ndarray:
    """The centres of sprays of leaves (k, 2) on the picture: in an uneven crown, or all over."""
    side = SIZE * _S
    if kind in ("hedge", "ivy"):
        top, edge = (0.3, 0.0) if kind == "hedge" else (0.06, 0.06)
        return rng.uniform((edge, top), (1 - edge, 1.0), (80, 2)) * side
    angle, reach = rng.uniform(0, 2 * np.pi, 70), np.sqrt(rng.random(70)) * rng.uniform(0.75, 1.0, 70)
    reach *= 1 + 0.16 * np.sin(angle * int(rng.integers(2, 5)) + rng.uniform(0, 6))
    return np.stack([np.cos(angle) * reach, np.sin(angle) * reach], 1) * _SHAPES[kind][:2] * side * 0.46 + side / 2


def _crown(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    tone: Colour,
    kind: str,
    share: float,
    blossom: Colour | None,
) -> None:
    """Draws leaves in sprays, the shaded ones first.

    draw: what is drawn on
    rng: decides where
    tone: of the leaves
    kind: of _SHAPES
    share: of the leaves that are there
    blossom: colour of flowers, or None
    """
    _, _, count, length, width = _SHAPES[kind]
    side, centres = SIZE * _S, _sprays(rng, kind)
    # upper sprays are lit, lower and inner ones lie in the shade
    light = 1.1 - 0.5 * (centres[:, 1] / side - 0.3) + rng.normal(0, 0.16, len(centres))
    size, spread = length * _S * rng.uniform(0.85, 1.25), side * (0.06 if kind == "hedge" else 0.052)
    for n in np.argsort(light):
        here = int(count * share / len(centres) + rng.random())
        places, turns = centres[n] + rng.normal(0, spread, (here, 2)), rng.uniform(0, np.pi, here)
        ahead = np.stack([np.cos(turns), np.sin(turns)], 1) * size / 2
        aside = np.stack([-ahead[:, 1], ahead[:, 0]], 1) * width / length
        corners = np.stack([places - ahead, places + aside, places + ahead, places - aside], 1).reshape(here, 8)
        bright = light[n] * rng.uniform(0.72, 1.28, (here, 1))
        colour = np.array(tone) * bright + rng.normal(0, 5, (here, 1)) * (1, 0, -0.5)
        colour = np.column_stack([colour.clip(0, 255), np.full(here, 255)]).astype(int)
        for points, fill in zip(corners.tolist(), colour.tolist(), strict=True):
            draw.polygon(points, fill=tuple(fill))
        if blossom and rng.random() < 0.75:
            for x, y in (centres[n] + rng.normal(0, spread, (int(rng.integers(2, 9)), 2))).tolist():
                r, petal = rng.uniform(2.5, 6), shade(jitter(rng, blossom, 12), min(light[n], 1.1))
                draw.ellipse((x - r, y - r, x + r, y + r), fill=(*petal, 255))


def _twigs(draw: ImageDraw.ImageDraw, rng: np.random.Generator, bark: Colour, depth: int, upright: bool) -> None:
    """Draws branches that fork; depth: how often."""
    side = SIZE * _S

    def grow(x: float, y: float, angle: float, length: float, pen: float, left: int) -> None:
        x1, y1 = x + np.cos(angle) * length, y + np.sin(angle) * length
        draw.line((x, y, x1, y1), fill=(*shade(bark, rng.uniform(0.8, 1.25)), 255), width=max(int(pen), 1))
        if left:
            for _ in range(3):
                start = rng.uniform(0.45, 1.0)
                turn = rng.normal(0, 0.35 if upright else 0.62)
                grow(
                    x + (x1 - x) * start,
                    y + (y1 - y) * start,
                    angle + turn,
                    length * rng.uniform(0.6, 0.85),
                    pen * 0.66,
                    left - 1,
                )

    for _ in range(2):
        grow(side * rng.uniform(0.4, 0.6), side * 0.98, -np.pi / 2 + rng.normal(0, 0.2), side * 0.3, 5.0, depth - 1)


def _frond(draw: ImageDraw.ImageDraw, rng: np.random.Generator, tone: Colour) -> None:
    side = SIZE * _S
    for y in range(int(side * 0.02), int(side * 0.92), 5):
        t = y / side
        reach = side * 0.48 * np.sqrt(np.sin(np.pi * min(0.12 + t * 0.8, 1)))
        for edge in (-1, 1):
            bright = rng.uniform(0.7, 1.25)
            tip = (side / 2 + edge * reach * rng.uniform(0.75, 1), y - side * 0.08 + rng.normal(0, 3))
            draw.line((side / 2, y + side * 0.05, *tip), fill=(*shade(tone, bright), 255), width=4)
    draw.line((side / 2, 0, side / 2, side), fill=(*shade((130, 126, 70), 1.0), 255), width=5)


def _boughs(draw: ImageDraw.ImageDraw, rng: np.random.Generator, tone: Colour) -> None:
    side = SIZE * _S
    tone = tuple(int(c * f) for c, f in zip(tone, (0.82, 0.92, 1.0), strict=True))
    for n in range(560):
        t = n / 560  # from the top down
        y = side * (0.04 + 0.92 * t)
        x = side / 2 + rng.uniform(-1, 1) * side * 0.5 * (0.08 + 0.92 * t)
        edge = np.sign(x - side / 2)
        bright = rng.uniform(0.55, 1.1) * (1.15 - 0.3 * t)
        draw.line((x - edge * rng.uniform(0, 16), y - 12, x, y), fill=(*shade(tone, bright), 255), width=5)
        for _ in range(2):
            a, b = x + rng.normal(0, 7), y + rng.normal(0, 5)
            draw.line((a, b, a + edge * 7, b + 8), fill=(*shade(tone, bright * 1.2), 255), width=2)


def _blades(draw: ImageDraw.ImageDraw, rng: np.random.Generator, tone: Colour) -> None:
    side = SIZE * _S
    for _ in range(190):
        x, lean, high = rng.normal(side / 2, side * 0.2), rng.normal(0, side * 0.12), side * rng.uniform(0.35, 0.95)
        fill = (*shade(tone, rng.uniform(0.6, 1.35)), 255)
        draw.line([(x, side), (x + lean * 0.3, side - high * 0.6), (x + lean, side - high)], fill=fill, width=3)


def bark_texture(kind: str, variant: int) -> Texture:
    """Bark that repeats, 32 x 64 texels; kind: of LEAVES; variant: any number."""
    return Texture(32, 64, partial(_bark, kind, variant))


def _bark(kind: str, variant: int, version: Hashable) -> np.ndarray:
    rng = random_for("bark", kind, variant)
    tone = np.array(jitter(rng, pick(rng, colours("6a5a4a 7c7060 5a4a3e 948a7c 70604e 84786a 4e443c")), 6), float)
    rough = 0.16 * noise(rng, (8, 16), (64, 32)) + 0.08 * rng.normal(0, 1, (64, 32))
    if kind == "palm":
        rough = rough + np.where(np.arange(64) % 6 == 0, -0.3, 0.05)[:, None]
    elif variant % 4 == 1:  # smooth, with pale plates as planes have
        pale = noise(rng, (9, 5), (64, 32)) > 0.2
        tone = np.where(pale[..., None], (166, 160, 138), tone)
    elif variant % 4 == 2:  # white, with dark marks as birches have
        tone = np.where((noise(rng, (14, 3), (64, 32)) > 1.0)[..., None], (52, 48, 46), (206, 202, 192))
    image = np.zeros((64, 32, 4), np.uint8)
    image[..., :3] = (tone * (1 + rough)[..., None]).clip(0, 255)
    return image
