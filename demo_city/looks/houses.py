"""The walls, roofs and fences of houses as textures."""

from collections.abc import Hashable
from functools import partial

import numpy as np

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Canvas
from demo_city.looks.colours import Colour, choose, jitter, mixed, pick, shade
from demo_city.looks.dress import Dress, House, dress
from demo_city.looks.facades import Facade, ivy_on
from demo_city.looks.fixtures import Fixture, fixtures
from demo_city.looks.layout import layout
from demo_city.looks.materials import covered, weathered
from demo_city.looks.palettes import BRICK, COLOURS, RED_TILES, STOCK, STONE, WHITE
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
    "suburb": "picket 4 hedge 4 planks 3 low 1", "terraces": "low 5 hedge 3 railing 3 planks 1",
    "old_town": "stone 4 white 3 planks 2 hedge 1", "industrial": "mesh 5 concrete 3 corrugated 3 low 2",
    "market": "white 4 concrete 3 mural 2 corrugated 2", "high_street": "concrete 3 corrugated 2 railing 2",
    "towers": "hedge 3 railing 3 concrete 2",
}  # fmt: skip
_FENCE_MATERIALS = {
    "hedge": ("foliage", ((70, 92, 50),)), "low": ("brick", BRICK), "stone": ("rubble", STONE),
    "white": ("plaster", WHITE), "mural": ("plaster", WHITE), "concrete": ("concrete", COLOURS["concrete"]),
    "planks": ("boards", COLOURS["boards"][5:]), "corrugated": ("corrugated", COLOURS["corrugated"]),
}  # fmt: skip
# colour, distance and width of bars, metres
_BARS = {
    "picket": ((228, 226, 220), 0.25, 0.16),
    "railing": ((46, 48, 50), 0.2, 0.06),
    "mesh": ((132, 136, 136), 0.16, 0.04),
}
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
        extras, units = dress(house, 0).extras, len(layout(house, kind, length).shops)
        changing = kind in ("party", "back") or extras & {"graffiti", "posters"}
        sprays = generation(house.key, "graffiti", year, GRAFFITI_CHANGE) if changing else 0
        return painted, tenants(house, units, year), sprays, season if "ivy" in extras and house.key % 2 else ""

    return Texture(*size, partial(_paint, house, kind, piece, length, ppm, size), version)


def _paint(
    house: House,
    kind: str,
    piece: int,
    length: float,
    ppm: float,
    size: tuple[int, int],
    version: tuple,
) -> np.ndarray:
    painted, tenant_numbers, sprays, season = version
    look, rng = dress(house, painted), random_for(house.key, "wall", kind, piece)
    canvas = Canvas.blank(*size, ppm)
    if kind == "roof":
        _roof(canvas, house, look, rng)
    elif kind == "fence":
        _fence(canvas, house, random_for(house.key, "fence", sprays))
    else:
        canvas.image.paste(covered(rng, *_covering(house, look, kind, rng), size, ppm))
        if kind in _WALLS:
            Facade(canvas, house, look, kind, layout(house, kind, length), rng, tenant_numbers, sprays).draw()
        elif kind == "chimney":
            canvas.tint(0, canvas.rise - 0.25, canvas.length, canvas.rise, (30, 26, 24), 0.4)
        else:
            _gable(canvas, look, rng)
        _aged(canvas, house, look, kind, rng)
        if "ivy" in look.extras and kind != "chimney":
            leaf, share = (_LEAF[season], 0.55 if season == "winter" else 0.95) if season else ((62, 82, 46), 0.9)
            reach = rng.uniform(0.3, 1.0) * canvas.rise
            ivy_on(canvas, random_for(house.key, "ivy", kind, piece), reach, leaf, share)
    return canvas.array()


def _covering(house: House, look: Dress, kind: str, rng: np.random.Generator) -> tuple[str, Colour]:
    """Material and colour of a wall: often the front alone is dressed."""
    if kind == "chimney" and house.key % 3:
        return "brick", jitter(rng, pick(rng, BRICK + STOCK[:2]), 6)
    if kind in ("party", "back") and house.key % 3 == 0 and look.material not in ("corrugated", "clapboard", "panels"):
        return "brick", pick(random_for(house.key, "rear"), BRICK + STOCK)
    if kind == "gable" and look.material in ("brick", "roughcast", "clapboard") and house.key % 4 == 0:
        return choose(rng, "boards 1 pantiles 1 shingle 1"), mixed(look.wall, RED_TILES[house.key % 7], 0.4)
    return look.material, look.wall


def _aged(canvas: Canvas, house: House, look: Dress, kind: str, rng: np.random.Generator) -> None:
    """Darkens a wall by dirt, at its foot by splashes, and under the eaves by their shade."""
    z = (canvas.height - 0.5 - np.arange(canvas.height)) / canvas.ppm
    rows = 1 - 0.06 * look.grime * rng.normal(0, 1) * z / canvas.rise
    if kind in _WALLS:
        rows *= 1 - (0.1 + 0.25 * look.grime) * np.exp(-z / 0.6)
        rows *= 1 - 0.2 * np.exp(-(house.height - z).clip(0) / 0.35)
    glazed = look.scheme == "curtain" and kind != "party"
    canvas.image.paste(weathered(rng, canvas.image, (0.25 if glazed else 0.75) * look.grime, rows))


def _gable(canvas: Canvas, look: Dress, rng: np.random.Generator) -> None:
    """Draws the windows of a gable, inside the triangle, and the edge of the roof."""
    length, height = canvas.length, canvas.rise
    windows, half = Windows(canvas, look, rng), min(0.55, length * 0.08)
    if look.material == "timber":
        for x in np.arange(0, length, 1.1):
            canvas.box(x, 0, x + 0.17, height, (78, 60, 46))
        for z in np.arange(0.0, height, 1.2):
            canvas.box(0, z, length, z + 0.17, (78, 60, 46))
    if height > 1.8 and look.scheme != "shed":
        for x in (length / 2,) if length < 8 or height < 3 else (length * 0.38, length * 0.62):
            windows.place(x - half, 0.5, x + half, 0.5 + min(1.4, height * 0.42))
        if height > 4.5:
            windows.place(length / 2 - half * 0.7, height * 0.6, length / 2 + half * 0.7, height * 0.6 + 0.9, "single")
    canvas.line([(0, 0), (length / 2, height), (length, 0)], shade(look.trim, 0.95), 0.28)


def _roof(canvas: Canvas, house: House, look: Dress, rng: np.random.Generator) -> None:
    """Draws a slope with moss, mended tiles and windows, or a flat roof with the joints of its felt."""
    canvas.image.paste(covered(rng, look.roof, look.roof_colour, canvas.image.size, canvas.ppm))
    length, rise = canvas.length, canvas.rise
    if look.roof == "felt":
        for x in np.arange(0, length, 1.0):
            canvas.tint(x, 0, x + 0.06, rise, (40, 40, 40), 0.4)
    else:
        canvas.box(0, rise - 0.2, length, rise, shade(look.roof_colour, 0.72))
        canvas.box(0, 0, length, 0.13, mixed(look.roof_colour, (96, 98, 98), 0.7))
        for _ in range(int(length * rise * 0.12) if look.grime > 0.4 else 0):
            x, z, r = rng.uniform(0, length), rng.uniform(0, rise), rng.uniform(0.1, 0.5)
            tone = (86, 90, 62) if rng.random() < 0.6 else shade(look.roof_colour, 1.35)
            canvas.tint(x, z, x + r * 1.4, z + r, tone, 0.4)
    if house.roof in ("gable", "hip", "mansard") and rise > 2.5 and house.key % 3 != 1:
        for x in np.arange(1.2, length - 1.2, 3.2):
            if rng.random() < 0.45:
                canvas.box(x - 0.07, rise * 0.4 - 0.07, x + 0.85, rise * 0.4 + 1.15, (62, 62, 64))
                canvas.box(x, rise * 0.4, x + 0.78, rise * 0.4 + 1.08, (104, 118, 132), int(rng.integers(1, 200)))
    rows = np.linspace(1.04, 0.94, canvas.height)
    canvas.image.paste(weathered(rng, canvas.image, 0.3 + 0.5 * look.grime, rows))


def _fence(canvas: Canvas, house: House, rng: np.random.Generator) -> None:
    """Draws a fence or a wall; rng: decides what is sprayed on it."""
    lasting, length, high, ppm = random_for(house.key, "fence"), canvas.length, canvas.rise, canvas.ppm
    kind = choose(lasting, _FENCES.get(house.style, "low 3 railing 3 hedge 2 planks 1 white 1"))
    material, options = _FENCE_MATERIALS.get(kind, ("foliage", ((84, 92, 74),)))
    colour = jitter(lasting, pick(lasting, options), 8)
    canvas.image.paste(covered(lasting, material, colour, canvas.image.size, ppm))
    if kind in _BARS:
        bar, gap, pen = _BARS[kind]
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
                paint = tuple(rng.integers(30, 220, 3).tolist())
                canvas.draw.ellipse(canvas.texels(a, b, a + r, b + r), fill=paint)
    elif kind in ("low", "stone", "white", "concrete"):
        canvas.box(0, high - 0.12, length, high, shade(colour, 1.15))
    if kind in ("concrete", "corrugated", "white", "planks") and rng.random() < 0.4:
        patch = max(int(min(length * 0.8, 3) * ppm), 4), max(int(high * 0.7 * ppm), 4)
        canvas.picture(rng.uniform(0, max(length - 3, 0.1)), high * 0.9, *sprayed(rng, patch))
    rows = np.interp(np.linspace(high, 0, canvas.height), [0, 0.4, high + 0.5], [0.75, 0.95, 1.0])
    canvas.image.paste(weathered(lasting, canvas.image, 0.2 if kind == "hedge" else 0.8, rows))
