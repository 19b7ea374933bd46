"""What lies in the shadow around a place, how much of the sky is seen from there, and which lamps reach it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from demo_city.engine.draw import Picture, draw, map_of
from demo_city.engine.lamps import Lamps
from demo_city.engine.memory import Texels
from demo_city.engine.mesh import CUTOUT, GROUND
from demo_city.engine.triangles import Triangles

STEP = 64.0  # metres between the middles of maps
CELLS = 1200  # a side of maps of heights
SUN_CELL, SKY_CELL = 0.24, 0.4  # metres
POOL, LAMP_POOL = 5, 10  # cells of the sky's map a side of one of the map of openness, and of that of lamps
_HEIGHTS = (0.5, 5.0, 14.0)  # metres above the ground, at which openness is known
_DISTANCES = (2.0, 4.0, 8.0, 16.0, 30.0)
_LEAST = 0.28  # of the sky's light: what houses around give back
_LAMPS_AT_ONCE = 6  # that reach a place
_STEPS = np.linspace(0.15, 1, 6)[:, None, None]  # of the way from a lamp, where it may be blocked


class Maps(NamedTuple):
    """Squares around a place.

    sun, sky: the heights to which the light of the sun, and from straight above, is blocked
    openness: float32 (rows, columns, 4), the height of the ground, and shares of the sky's light at heights above it
    lamps: int32 (rows, columns, n), which lamps reach a place, the strongest first; -1: no further one
    """

    sun: Picture
    sky: Picture
    openness: np.ndarray
    lamps: np.ndarray

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
    upright, low = np.zeros(2), np.array([*(middle - SKY_CELL * CELLS / 2), 0])
    sky, floor = map_of(low, upright, SKY_CELL, CELLS), map_of(low, upright, SKY_CELL * POOL, CELLS // POOL)
    _draw_all(parts, texels, floor, GROUND, GROUND)
    ground, known = floor.values, floor.seen >= 0
    ground[~known] = np.median(ground[known]) if known.any() else 0.0
    _draw_all(parts, texels, sky, GROUND | CUTOUT, 0)
    solid = sky.values.reshape(CELLS // POOL, POOL, -1, POOL).min((1, 3))
    _draw_all(parts, texels, sky, CUTOUT, CUTOUT)
    tops = np.maximum(sky.values.reshape(CELLS // POOL, POOL, -1, POOL), ground[:, None, :, None]).mean((1, 3))
    openness = np.stack([ground, *(_openness(tops, ground + height) for height in _HEIGHTS)], 2)
    corner = np.array([*(middle - SUN_CELL * CELLS / 2), ground[len(ground) // 2, len(ground) // 2]])
    shadows = map_of(corner, sun[:2] / max(sun[2], 0.12), SUN_CELL, CELLS)
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
    cell, side, per = SKY_CELL * LAMP_POOL, CELLS // LAMP_POOL, LAMP_POOL // POOL
    strength = np.zeros((side, side, _LAMPS_AT_ONCE), np.float32)
    chosen = np.full(strength.shape, -1, np.int32)
    places = lamps.positions - low.astype(np.float32)
    for k, (place, power, reach) in enumerate(zip(places, lamps.power, lamps.reach(), strict=True)):
        columns, rows = (np.clip(np.array([at - reach, at + reach]) / cell, 0, side).astype(int) for at in place[:2])
        part = (slice(*rows), slice(*columns))
        x, y = ((np.arange(*span) + 0.5) * cell - at for span, at in zip((columns, rows), place, strict=False))
        square = np.square(x) + np.square(y)[:, None]
        # up to 5 m before the place: walls stand in the cells that they hide
        share = _STEPS * np.maximum(1 - 5 / np.sqrt(square + 1), 0)
        i, j = (((at + share * way) / (cell / per)).astype(int) for at, way in ((place[0], x), (place[1], y[:, None])))
        rise = ground[part[0].start * per : part[0].stop * per : per, columns[0] * per : columns[1] * per : per] + 1.5
        height = place[2] + share * (rise - place[2])
        value = power / (square + 20) * (solid[j.clip(0, len(solid) - 1), i.clip(0, len(solid) - 1)] < height).all(0)
        for n in range(_LAMPS_AT_ONCE):  # it takes the place of the first that is weaker, which goes on
            held, which = strength[part][..., n], chosen[part][..., n]
            stronger = value > held
            value, held[...] = np.where(stronger, held, value), np.where(stronger, value, held)
            k, which[...] = np.where(stronger, which, k), np.where(stronger, k, which)
    return chosen
