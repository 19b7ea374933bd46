"""How much of the sky is seen from places in the streets: what lies between houses, or under things, is darker."""

from typing import NamedTuple

import numpy as np

from demo_city.engine.memory import Texels
from demo_city.engine.shadow import NOTHING, Shadows, cast, shadows_of
from demo_city.engine.triangles import Triangles

COVER_CELL = 0.4  # metres
POOL = 5  # cells of the cover a side of one cell here
HEIGHTS = (0.5, 5.0, 14.0)  # metres above the ground, at which it is known
_DISTANCES = (2.0, 4.0, 8.0, 16.0, 30.0)
_LEAST = 0.28  # what houses around give back


class Openness(NamedTuple):
    """How much of the sky is seen, on a grid.

    low: float64 (2,), metres, where it begins
    cell: metres a side of a cell
    values: float32 (rows, columns, 4), the height of the ground, and shares of the light at HEIGHTS above it
    cover: the height to which light from straight above is blocked
    """

    low: np.ndarray
    cell: float
    values: np.ndarray
    cover: Shadows


def openness_of(triangles: Triangles, texels: Texels, slots: np.ndarray) -> Openness:
    """Finds out how much of the sky is seen from everywhere; texels, slots: the textures of leaves."""
    up = np.array([0.0, 0.0, 1.0])
    cover = shadows_of(triangles, up, texels, slots, COVER_CELL)
    cell = cover.cell * POOL
    rows, columns = (-(-side // POOL) for side in cover.heights.shape)
    floor = Shadows(cover.slope, cover.low, cell, np.full((rows, columns), NOTHING, np.float32))
    cast(triangles, floor, texels, slots, True)
    known = floor.heights > NOTHING
    floor.heights[~known] = np.median(floor.heights[known]) if known.any() else 0.0
    padded = np.full((rows * POOL, columns * POOL), NOTHING, np.float32)
    padded[: cover.heights.shape[0], : cover.heights.shape[1]] = cover.heights
    tops = np.zeros_like(floor.heights)
    for y in range(POOL):
        for x in range(POOL):
            tops += np.maximum(padded[y::POOL, x::POOL], floor.heights) * np.float32(1 / POOL**2)
    values = np.empty((rows, columns, 4), np.float32)
    values[..., 0] = floor.heights
    for n, height in enumerate(HEIGHTS):
        values[..., n + 1] = _seen(tops, floor.heights + height, cell)
    return Openness(cover.low, cell, values, cover)


def _seen(tops: np.ndarray, eyes: np.ndarray, cell: float) -> np.ndarray:
    """The share of light from above at heights `eyes`, between things as high as `tops`; all (rows, columns)."""
    rows, columns = tops.shape
    reach = int(_DISTANCES[-1] / cell) + 1
    wide, total = np.pad(tops, reach, "edge"), np.zeros_like(eyes)
    for angle in np.arange(8) * np.pi / 4:
        steep = np.zeros_like(eyes)
        for distance in _DISTANCES:
            x = reach + round(distance * np.cos(angle) / cell)
            y = reach + round(distance * np.sin(angle) / cell)
            np.maximum(steep, (wide[y : y + rows, x : x + columns] - eyes) * np.float32(1 / distance), out=steep)
        total += 1 / (1 + steep * steep)
    return _LEAST + (1 - _LEAST) / 8 * total
