"""The height of the ground, and what stands where."""

import numpy as np
from PIL import Image, ImageDraw

from demo_city.seeds import random_for
from demo_city.world.shapes import level

CELL = 0.5  # metres of the map
NOTHING, ROAD, PAVEMENT, BUILDING, THING, WATER = range(6)


class Terrain:
    """Smooth hills: a sum of waves that is nowhere steeper than about `slope`."""

    def __init__(self, key: int, slope: float):
        rng = random_for(key, "terrain")
        turn, length = rng.uniform(0, 2 * np.pi, 4), rng.uniform(170, 520, 4)
        self._waves = np.stack([np.cos(turn), np.sin(turn)]) * (2 * np.pi / length)
        self._phases = rng.uniform(0, 2 * np.pi, 4)
        self._sizes = slope * length / (2 * np.pi) * rng.uniform(0.15, 0.6, 4)

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Metres at points (..., 2)."""
        return np.sin(np.asarray(xy, float) @ self._waves + self._phases) @ self._sizes

    def on(self, xy: np.ndarray, above: float = 0.0) -> np.ndarray:
        """Points (..., 3) on the ground, or `above` metres above it."""
        return level(np.asarray(xy, float), self.height(xy) + above)


class GroundMap:
    """What stands where: a raster of CELL metres with NOTHING to WATER in its cells."""

    def __init__(self, low: np.ndarray, high: np.ndarray):
        self.low = np.asarray(low, float)
        self._size = tuple(int(v) for v in np.ceil((np.asarray(high) - self.low) / CELL) + 1)
        self._image = Image.new("L", self._size, NOTHING)
        self._draw, self._pixels = ImageDraw.Draw(self._image), self._image.load()

    def mark(self, outline: np.ndarray, what: int) -> None:
        """Fills a polygon (k, 2)."""
        self._draw.polygon([tuple(p) for p in ((outline - self.low) / CELL).tolist()], fill=what)

    def mark_disc(self, middle: np.ndarray, radius: float, what: int) -> None:
        """Fills a disc."""
        (x, y), r = (np.asarray(middle) - self.low) / CELL, radius / CELL
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=what)

    def built_on(self, outline: np.ndarray) -> tuple[float, bool]:
        """What is on a polygon (k, 2): the share of it on which something is, and whether a road is."""
        cells = (np.asarray(outline) - self.low) / CELL
        (left, upper), (right, lower) = np.floor(cells.min(0)).astype(int), np.ceil(cells.max(0)).astype(int) + 1
        mask = Image.new("L", (right - left, lower - upper))
        ImageDraw.Draw(mask).polygon([(x - left, y - upper) for x, y in cells.tolist()], fill=1)
        found = np.asarray(self._image.crop((left, upper, right, lower)))[np.asarray(mask, bool)]
        return float((found != NOTHING).mean()), bool((found == ROAD).any())

    def at(self, xy: np.ndarray) -> int:
        """What is at a point (2,); WATER outside the map."""
        x, y = ((xy - self.low) / CELL).tolist()
        return self._pixels[int(x), int(y)] if 0 <= x < self._size[0] and 0 <= y < self._size[1] else WATER

    def within(self, points: np.ndarray, allowed: tuple[int, ...] = (NOTHING,)) -> bool:
        """Whether at all of some points (n, 2) there is only what is allowed."""
        return all(self.at(xy) in allowed for xy in points)
