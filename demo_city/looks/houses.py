"""The walls and roofs of houses as textures."""

from collections.abc import Hashable
from functools import partial

import numpy as np

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Canvas
from demo_city.looks.colours import Colour, choose, mixed, pick, shade
from demo_city.looks.dress import Dress, House, dress
from demo_city.looks.facades import Facade, ivy
from demo_city.looks.fixtures import Fixture, fixtures
from demo_city.looks.layout import layout
from demo_city.looks.materials import covered, weathered
from demo_city.looks.shops import tenants
from demo_city.looks.windows import Windows
from demo_city.seeds import random_for
from demo_city.years import GRAFFITI_CHANGE, REPAINT, generation

__all__ = ["Fixture", "House", "fixtures", "wall_texture"]

_PPM, _LIMIT = 16, 512  # texels a metre, and at most a side
_WALLS = ("front", "side", "party", "back")


def wall_texture(
    house: House,
    kind: str,
    piece: int,
    length: float,
    height: float,
) -> Texture:
    """The picture of a wall.

    house: the building
    kind: "front" or "side" (seen, with windows), "party" (blank or nearly so), "back", "roof", "chimney" or "gable"
        (the triangle above the eaves, as a rectangle)
    piece: number of the wall
    length, height: m; the lower edge is on the ground, that of a gable or a roof at the eaves
    """
    ppm = min(_PPM, _LIMIT / length, _LIMIT / height)
    size = max(round(length * ppm), 2), max(round(height * ppm), 2)

    def version(year: int, season: str) -> Hashable:
        painted = generation(house.key, "paint", year, REPAINT)
        if kind not in _WALLS:
            return painted, (), 0, ""
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
    look, rng, canvas = dress(house, painted), random_for(house.key, "wall", kind, piece), Canvas(size, ppm)
    canvas.image.paste(covered(rng, *_covering(house, look, kind, rng), size, ppm))
    rows = np.linspace(1.04, 0.94, canvas.height)
    if kind in _WALLS:
        Facade(canvas, look, layout(house, kind, length), rng).draw(tenant_numbers, sprays)
        # dirt, splashes at the foot, and the shade of the eaves
        z = (canvas.height - 0.5 - np.arange(canvas.height)) / ppm
        rows = (1 - 0.06 * look.grime * rng.normal(0, 1) * z / canvas.rise) * (
            1 - (0.1 + 0.25 * look.grime) * np.exp(-z / 0.6)
        )
        rows *= 1 - 0.2 * np.exp(-(house.height - z).clip(0) / 0.35)
    elif kind == "roof":
        _roof(canvas, house, look, rng)
    elif kind == "gable":
        _gable(canvas, look, rng)
    clean = look.scheme == "curtain" and kind != "party"
    canvas.image.paste(weathered(rng, canvas.image, (0.25 if clean else 0.75) * look.grime, rows))
    if "ivy" in look.extras and kind in _WALLS:
        ivy(canvas, random_for(house.key, "ivy", kind, piece), season)
    return canvas.array()


def _covering(house: House, look: Dress, kind: str, rng: np.random.Generator) -> tuple[str, Colour]:
    """Material and colour of a wall: often the front alone is dressed."""
    if kind == "roof":
        return look.roof, look.roof_colour
    hidden = kind in ("party", "back") and look.material not in ("corrugated", "clapboard", "panels")
    if kind == "chimney" and house.key % 3 or hidden and house.key % 3 == 0:
        return "brick", pick(random_for(house.key, "rear"), "brick stock")
    if kind == "gable" and look.material in ("brick", "roughcast", "clapboard") and house.key % 4 == 0:
        return choose(rng, "boards 1 pantiles 1 shingle 1"), mixed(look.wall, pick(rng, "pantiles"), 0.4)
    return look.material, look.wall


def _gable(canvas: Canvas, look: Dress, rng: np.random.Generator) -> None:
    """Draws the windows of a gable, inside the triangle, and the edge of the roof."""
    length, height, half = canvas.length, canvas.rise, min(0.55, canvas.length * 0.08)
    windows = Windows(canvas, look, rng)
    for x in (0.38, 0.62) if length >= 8 and height >= 3 else (0.5,) if height > 1.8 else ():
        windows.place((length * x - half, 0.5, length * x + half, 0.5 + min(1.4, height * 0.42)))
    if height > 4.5:
        windows.place((length / 2 - half * 0.7, height * 0.6, length / 2 + half * 0.7, height * 0.6 + 0.9), "single")
    canvas.line([(0, 0), (length / 2, height), (length, 0)], shade(look.trim, 0.95), 0.28)


def _roof(canvas: Canvas, house: House, look: Dress, rng: np.random.Generator) -> None:
    """Draws a slope with moss and windows, or a flat roof with the joints of its felt."""
    length, rise = canvas.length, canvas.rise
    if look.roof == "felt":
        canvas.bars((0, 0, length, rise), 1.0, 0.06, (40, 40, 40), share=0.4)
        return
    canvas.box((0, rise - 0.2, length, rise), shade(look.roof_colour, 0.72))
    canvas.box((0, 0, length, 0.13), mixed(look.roof_colour, (96, 98, 98), 0.7))
    for x, z in rng.uniform(0, (length, rise), (int(length * rise * 0.12 * look.grime), 2)).tolist():
        tone = (86, 90, 62) if rng.random() < 0.6 else shade(look.roof_colour, 1.35)
        canvas.box((x, z, x + rng.uniform(0.1, 0.7), z + rng.uniform(0.1, 0.5)), tone, 0.4)
    z, windows = rise * 0.4, house.roof in ("gable", "hip", "mansard") and rise > 2.5 and house.key % 3 != 1
    for x in np.arange(1.2, length - 1.2, 3.2).tolist() if windows else ():
        if rng.random() < 0.45:
            canvas.box((x - 0.07, z - 0.07, x + 0.85, z + 1.15), (62, 62, 64))
            canvas.box((x, z, x + 0.78, z + 1.08), (104, 118, 132), shine=int(rng.integers(1, 200)))
