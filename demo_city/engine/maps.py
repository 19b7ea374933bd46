"""What lies in the shadow around a place, how much of the sky is seen from there, and which lamps reach it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from demo_city.engine.draw import Picture, draw, map_of
from demo_city.engine.light import Lamps
from demo_city.engine.mesh import CUTOUT, GROUND
from demo_city.engine.textures import Texels
from demo_city.engine.triangles import Triangles

STEP = 64.0  # metres between the middles of maps
SIDE = 288.0  # metres, of maps
SUN_CELL, SKY_CELL = 0.24, 0.4  # metres
POOL, LAMP_POOL = 5, 10  # cells of the sky's map a side of one of the map of openness, and of that of lamps
LAMP_MARGIN = 24  # cells by which the map of lamps is wider on each side
_HEIGHTS = (0.5, 5.0, 14.0)  # metres above the ground, at which openness is known
_DISTANCES = (2.0, 4.0, 8.0, 16.0, 30.0)
_LEAST = 0.28  # of the sky's light: what houses around give back
_LAMPS_AT_ONCE = 6  # that reach a place
_STEPS = np.linspace(0.15, 1, 6)[:, None, None]  # of the way from a lamp, where it may be blocked


class Maps(NamedTuple):
    """Squares around a place."""

    sun: Picture  # the height to which the light of the sun is blocked
    sky: Picture  # and light from straight above
    openness: np.ndarray  # float32 (rows, columns, 4), the height of the ground, and shares of the sky's light above it
    lamps: np.ndarray  # int32 (rows, columns, n), which lamps reach a place, the strongest first; -1: no further one

    def also(self, triangles: Triangles, texels: Texels) -> "Maps":
        """Maps in which more triangles cast shadows."""
        sun, sky = (picture._replace(values=picture.values.copy()) for picture in self[:2])
        for picture in (sun, sky):
            _cast([triangles], texels, picture)
        return self._replace(sun=sun, sky=sky)


def maps_of(parts: Sequence[Triangles], texels: Texels, middle: np.ndarray, sun: np.ndarray, lamps: Lamps) -> Maps:
    """Draws the maps of a square.

    parts: all that does not move
    texels: of their cutouts
    middle: (2,), of the square, metres
    sun: (3,), towards it; zeros if it does not shine
    lamps: that may reach it
    """
    low, upright, cells = np.append(middle - SIDE / 2, 0), np.zeros(2), round(SIDE / SKY_CELL)
    sky, floor = map_of(low, upright, SKY_CELL, cells), map_of(low, upright, SKY_CELL * POOL, cells // POOL)
    _draw_all(parts, texels, floor, GROUND, GROUND)
    ground, known, pools = floor.values, floor.seen >= 0, (cells // POOL, POOL, cells // POOL, POOL)
    ground[~known] = np.median(ground[known]) if known.any() else 0.0
    _draw_all(parts, texels, sky, GROUND | CUTOUT, 0)
    solid = sky.values.reshape(pools).min((1, 3))
    _draw_all(parts, texels, sky, CUTOUT, CUTOUT)
    tops = np.maximum(sky.values.reshape(pools), ground[:, None, :, None]).mean((1, 3))
    openness = np.stack([ground, *(_openness(tops, ground + height) for height in _HEIGHTS)], 2)
    low[2] = ground[len(ground) // 2, len(ground) // 2]
    shadows = map_of(low, sun[:2] / max(sun[2], 0.12), SUN_CELL, round(SIDE / SUN_CELL))
    if sun.any():
        _cast(parts, texels, shadows)
    return Maps(shadows, sky, openness.astype(np.float32), _lamps(lamps, low, ground, solid))


def _cast(parts: Sequence[Triangles], texels: Texels, picture: Picture) -> None:
    _draw_all(parts, texels, picture, GROUND | CUTOUT, 0)
    _draw_all(parts, texels, picture, CUTOUT, CUTOUT)


def _draw_all(parts: Sequence[Triangles], texels: Texels, picture: Picture, mask: int, flags: int) -> None:
    for part in parts:
        cells = np.arange(len(part.boxes))
        draw(part, cells, len(cells), mask, flags, texels, 0, picture)


def _openness(tops: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """The share of light from above at heights `eyes`, between things as high as `tops`; all (rows, columns)."""
    cell, (rows, columns) = SKY_CELL * POOL, tops.shape
    reach = int(_DISTANCES[-1] / cell) + 1
    wide, total = np.pad(tops, reach, "edge"), np.zeros_like(eyes)
    for angle in np.arange(8) * np.pi / 4:
        steep = np.zeros_like(eyes)
        for distance in _DISTANCES:
            x, y = (reach + round(distance * way / cell) for way in (np.cos(angle), np.sin(angle)))
            np.maximum(steep, (wide[y : y + rows, x : x + columns] - eyes) * np.float32(1 / distance), out=steep)
        total += 1 / (1 + steep * steep)
    return _LEAST + (1 - _LEAST) / 8 * total


def _lamps(lamps: Lamps, low: np.ndarray, ground: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Which lamps reach each place, and are not hidden by a house, as in Maps; ground, solid: heights, by POOL."""
    cell, per = SKY_CELL * LAMP_POOL, LAMP_POOL // POOL
    side = round(SIDE / cell) + 2 * LAMP_MARGIN
    strength = np.zeros((side, side, _LAMPS_AT_ONCE), np.float32)
    chosen = np.full(strength.shape, -1, np.int32)
    ground, solid = np.pad(ground, LAMP_MARGIN * per, "edge"), np.pad(solid, LAMP_MARGIN * per, "minimum")
    places = lamps.positions - np.append(low[:2] - LAMP_MARGIN * cell, 0)
    for k, (place, power, reach) in enumerate(zip(places, lamps.power, lamps.reach(), strict=True)):
        columns, rows = (
            np.arange(*np.clip(np.array([at - reach, at + reach]) / cell, 0, side).astype(int)) for at in place[:2]
        )
        x, y = (columns + 0.5) * cell - place[0], ((rows + 0.5) * cell - place[1])[:, None]
        # up to 5 m before the place: walls stand in the cells that they hide
        way = _STEPS * np.maximum(1 - 5 / np.hypot(np.hypot(x, y), 1), 0)
        i, j = (
            ((at + way * offset) / (cell / per)).astype(int).clip(0, side * per - 1)
            for at, offset in zip(place, (x, y), strict=False)
        )
        part = np.ix_(rows, columns)
        height = place[2] + way * (ground[::per, ::per][part] + 1.5 - place[2])
        value = (solid[j, i] < height).all(0) * power / (x * x + y * y + 20)
        for n in range(_LAMPS_AT_ONCE):  # it takes the place of the first that is weaker, which goes on
            held, which = strength[..., n][part], chosen[..., n][part]
            stronger = value > held
            value, strength[..., n][part] = np.where(stronger, held, value), np.where(stronger, value, held)
            k, chosen[..., n][part] = np.where(stronger, which, k), np.where(stronger, k, which)
    return chosen
