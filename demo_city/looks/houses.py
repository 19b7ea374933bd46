"""The walls, roofs and fences of houses as textures."""

from collections.abc import Hashable
from functools import partial

import numpy as np
from PIL import ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Canvas
from demo_city.looks.dress import Dress, House, dress
from demo_city.looks.facades import Facade, ivy_on
from demo_city.looks.fixtures import Fixture, fixtures
from demo_city.looks.layout import layout
from demo_city.looks.materials import covered, weathered
from demo_city.looks.palettes import (
    BRICK,
    COLOURS,
    RED_TILES,
    STOCK,
    STONE,
    WHITE,
    Colour,
    choose,
    jitter,
    mixed,
    pick,
    shade,
    weights,
)
from demo_city.looks.shops import tenants
from demo_city.looks.signs import sprayed
from demo_city.looks.windows import Windows
from demo_city.seeds import random_for
from demo_city.years import GRAFFITI_CHANGE, REPAINT, generation

__all__ = ["LIMIT", "PPM", "Fixture", "House", "fixtures", "wall_texture"]

PPM = 16  # texels a metre
LIMIT = 512  # texels a side
_WALLS = ("front", "side", "party", "back")
_FENCES = {
    "suburb": weights("picket 4 hedge 4 planks 3 low 1"), "terraces": weights("low 5 hedge 3 railing 3 planks 1"),
    "old_town": weights("stone 4 white 3 planks 2 hedge 1"), "industrial": weights("mesh 5 concrete 3 corrugated 3 low 2"),
    "market": weights("white 4 concrete 3 mural 2 corrugated 2"), "high_street": weights("concrete 3 corrugated 2 railing 2"),
    "towers": weights("hedge 3 railing 3 concrete 2"),
}  # fmt: skip
_LEAF: dict[str, Colour] = {
    "spring": (92, 116, 58),
    "summer": (66, 88, 46),
    "autumn": (146, 66, 40),
    "winter": (94, 78, 66),
}


def wall_texture(
    house: House,
    kind: str,
    piece: int,
    length: float,
    height: float,
) -> Texture:
    """The picture of a wall.

    house: the building
    kind: "front" or "side" (seen, with windows), "party" (blank or nearly so), "back", "roof", "chimney", "gable" (the
        triangle above the eaves, as a rectangle) or "fence"
    piece: number of the wall
    length, height: m; the lower edge is on the ground, that of a gable or a roof at the eaves
    """
    ppm = min(PPM, LIMIT / length, LIMIT / height)
    size = tuple(max(round(metres * ppm), 2) for metres in (length, height))

    def version(year: int, season: str) -> Hashable:
        painted = generation(house.key, "paint", year, REPAINT)
        if kind not in _WALLS:
            return painted, (), generation(house.key, "graffiti", year, GRAFFITI_CHANGE) if kind == "fence" else 0, ""
        creeper = "ivy" in dress(house, 0).extras and house.key % 2
        units = len(layout(house, kind, length).shops)
        sprays = generation(house.key, "graffiti", year, GRAFFITI_CHANGE)
        return painted, tenants(house, units, year), sprays, season if creeper else ""

    return Texture(*size, partial(_paint, house, kind, piece, length, height, size, ppm), version)


def _paint(
    house: House,
    kind: str,
    piece: int,
    length: float,
    height: float,
    size: tuple[int, int],
    ppm: float,
    version: tuple,
) -> np.ndarray:
    painted, tenant_numbers, sprays, season = version
    look, rng = dress(house, painted), random_for(house.key, "wall", kind, piece)
    if kind == "roof":
        return _roof(house, look, rng, size, ppm)
    if kind == "fence":
        return _fence(house, random_for(house.key, "fence", sprays), size, ppm)
    canvas = Canvas.blank(*size, ppm)
    material, colour = look.material, look.wall
    if kind == "chimney":
        material, colour = (
            ("brick", jitter(rng, pick(rng, BRICK + STOCK[:2]), 6)) if house.key % 3 else (material, colour)
        )
    elif kind in ("party", "back") and house.key % 3 == 0 and material not in ("corrugated", "clapboard", "panels"):
        material, colour = "brick", pick(random_for(house.key, "rear"), BRICK + STOCK)  # only the front was dressed
    elif kind == "gable" and material in ("brick", "roughcast", "clapboard") and house.key % 4 == 0:
        material, colour = (
            choose(rng, weights("boards 1 pantiles 1 shingle 1")),
            mixed(colour, RED_TILES[house.key % 7], 0.4),
        )
    canvas.image.paste(covered(rng, material, colour, size, ppm))
    if kind in _WALLS:
        Facade(canvas, house, look, kind, length, height, rng, tenant_numbers, sprays).draw()
    elif kind == "chimney":
        canvas.box(0, height - 0.25, length, height, shade(colour, 0.75))
    else:
        _gable(canvas, house, look, length, height, rng)
    z = (size[1] - 0.5 - np.arange(size[1])) / ppm
    rows = 1 - 0.06 * look.grime * rng.normal(0, 1) * z / max(height, 1)
    if kind in _WALLS:
        rows = (
            rows
            * (1 - (0.1 + 0.25 * look.grime) * np.exp(-z / 0.6))
            * (1 - 0.2 * np.exp(-(house.height - z).clip(0) / 0.35))
        )
    glazed = look.scheme == "curtain" and kind != "party"
    canvas.image.paste(weathered(rng, canvas.image, (0.25 if glazed else 0.9) * look.grime, rows))
    if "ivy" in look.extras and kind != "chimney":
        leaf, share = (_LEAF[season], 0.55 if season == "winter" else 0.95) if season else ((62, 82, 46), 0.9)
        ivy_on(canvas, random_for(house.key, "ivy", kind, piece), rng.uniform(0.3, 1.0) * height, leaf, share)
    return canvas.array()


def _gable(
    canvas: Canvas,
    house: House,
    look: Dress,
    length: float,
    height: float,
    rng: np.random.Generator,
) -> None:
    """Draws the windows of a gable, inside the triangle, and the edge of the roof."""
    windows, half = Windows(canvas, look, rng), min(0.55, length * 0.08)
    if look.material == "timber":
        for x in np.arange(0, length, 1.1):
            canvas.box(x, 0, x + 0.17, height, (78, 60, 46))
        for z in np.arange(0.0, height, 1.2):
            canvas.box(0, z, length, z + 0.17, (78, 60, 46))
    places = [length / 2] if length < 8 or height < 3 else [length * 0.38, length * 0.62]
    if height > 1.8 and look.scheme != "shed":
        tall = min(1.4, height * 0.42)
        for x in places:
            windows.place(x - half, 0.5, x + half, 0.5 + tall)
        if height > 4.5:
            windows.place(length / 2 - half * 0.7, height * 0.6, length / 2 + half * 0.7, height * 0.6 + 0.9, "single")
    p, h = canvas.ppm, canvas.height
    edge = [(0, h), (length / 2 * p, 0), (length * p, h)]
    canvas.draw.line(edge, fill=shade(look.trim, 0.95), width=max(round(0.28 * p), 1))


def _roof(
    house: House,
    look: Dress,
    rng: np.random.Generator,
    size: tuple[int, int],
    ppm: float,
) -> np.ndarray:
    canvas = Canvas.blank(*size, ppm)
    canvas.image.paste(covered(rng, look.roof, look.roof_colour, size, ppm))
    length, rise = size[0] / ppm, size[1] / ppm
    draw = canvas.draw
    if look.roof == "felt":  # joints, puddles' rims and gravel
        for x in np.arange(0, length, 1.0):
            canvas.tint(x, 0, x + 0.06, rise, (40, 40, 40), 0.4)
    else:
        canvas.box(0, rise - 0.2, length, rise, shade(look.roof_colour, 0.72))
        canvas.box(0, 0, length, 0.13, mixed(look.roof_colour, (96, 98, 98), 0.7))
        if look.grime > 0.4:  # moss and mended tiles
            for _ in range(int(length * rise * 0.12)):
                x, z, r = rng.uniform(0, length), rng.uniform(0, rise), rng.uniform(0.1, 0.5)
                canvas.tint(
                    x, z, x + r * 1.4, z + r, (86, 90, 62) if rng.random() < 0.6 else shade(look.roof_colour, 1.35), 0.4
                )
    if house.roof in ("gable", "hip", "mansard") and rise > 2.5 and length > 3 and house.key % 3 != 1:
        for n in range(int(length / 3.2)):  # windows in the slope
            if rng.random() < 0.45:
                x, z = (n + 0.5) * 3.2 - 0.4, rise * 0.4
                canvas.box(x - 0.07, z - 0.07, x + 0.85, z + 1.15, (62, 62, 64))
                canvas.box(x, z, x + 0.78, z + 1.08, (104, 118, 132), int(rng.integers(1, 200)))
    del draw
    rows = np.linspace(1.04, 0.94, size[1])
    canvas.image.paste(weathered(rng, canvas.image, 0.3 + 0.5 * look.grime, rows))
    return canvas.array()


def _fence(
    house: House,
    rng: np.random.Generator,
    size: tuple[int, int],
    ppm: float,
) -> np.ndarray:
    lasting = random_for(house.key, "fence")
    kind = choose(lasting, _FENCES.get(house.style, weights("low 3 railing 3 hedge 2 planks 1 white 1")))
    canvas = Canvas.blank(*size, ppm, (72, 76, 66))
    length, high = size[0] / ppm, size[1] / ppm
    material, colour = {
        "hedge": ("foliage", (70, 92, 50)), "low": ("brick", pick(lasting, BRICK)), "stone": ("rubble", pick(lasting, STONE)),
        "white": ("plaster", pick(lasting, WHITE)), "mural": ("plaster", pick(lasting, WHITE)),
        "concrete": ("concrete", pick(lasting, COLOURS["concrete"])), "planks": ("boards", pick(lasting, COLOURS["boards"][5:])),
        "corrugated": ("corrugated", pick(lasting, COLOURS["corrugated"])),
    }.get(kind, ("foliage", (84, 92, 74)))  # fmt: skip
    canvas.image.paste(covered(lasting, material, jitter(lasting, colour, 8), size, ppm))
    if kind in ("picket", "railing", "mesh"):
        bar, gap, pen = {
            "picket": ((228, 226, 220), 0.25, 0.16),
            "railing": ((46, 48, 50), 0.2, 0.06),
            "mesh": ((132, 136, 136), 0.16, 0.04),
        }[kind]
        for x in np.arange(0, length, gap):
            canvas.box(x, 0, x + pen, high, bar)
        for z in (high * 0.15, high * 0.85):
            canvas.box(0, z, length, z + 0.08, bar)
        if kind == "railing":
            canvas.box(0, 0, length, high * 0.25, jitter(lasting, (150, 144, 134), 12))
    elif kind == "mural":
        for x in np.arange(0, length, 1.6):  # painted by many hands
            canvas.box(x, 0.1, x + 1.55, high - 0.1, jitter(rng, pick(rng, COLOURS["plaster"]), 30))
            for _ in range(6):
                a, b, r = rng.uniform(x, x + 1.3), rng.uniform(0.1, high - 0.2), rng.uniform(0.1, 0.45)
                x0, y0, x1, y1 = canvas.texels(a, b, a + r, b + r)
                ImageDraw.Draw(canvas.image).ellipse(
                    (x0, y0, x1, y1), fill=tuple(int(v) for v in rng.integers(30, 220, 3))
                )
    elif kind in ("low", "stone", "white", "concrete"):
        canvas.box(0, high - 0.12, length, high, shade(colour, 1.15))
    if kind in ("concrete", "corrugated", "white", "planks") and rng.random() < 0.4:
        patch = max(int(min(length * 0.8, 3) * ppm), 4), max(int(high * 0.7 * ppm), 4)
        canvas.picture(rng.uniform(0, max(length - 3, 0.1)), high * 0.9, *sprayed(rng, patch))
    rows = np.interp(np.linspace(high, 0, size[1]), [0, 0.4, high + 0.5], [0.75, 0.95, 1.0])
    strength = 0.2 if kind == "hedge" else 0.8
    canvas.image.paste(weathered(lasting, canvas.image, strength, rows))
    return canvas.array()
