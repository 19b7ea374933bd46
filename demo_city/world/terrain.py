"""The height of the ground, and what stands where."""

import numpy as np
from PIL import Image, ImageDraw

from demo_city.seeds import random_for

CELL = 0.5  # metres of the map
NOTHING, ROAD, PAVEMENT, BUILDING, THING, WATER = range(6)


class Terrain:
    """Smooth hills: a sum of waves that is nowhere steeper than about `slope`."""

    def __init__(self, key: int, slope: float):
        rng = random_for(key, "terrain")
        turn, length = rng.uniform(0, 2 * np.pi, 4), rng.uniform(170, 520, 4)
        self._waves = np.stack([np.cos(turn), np.sin(turn)], 1) * (2 * np.pi / length)[:, None]
        self._phases = rng.uniform(0, 2 * np.pi, 4)
        self._sizes = slope * length / (2 * np.pi) * rng.uniform(0.15, 0.6, 4)

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Metres at points (..., 2)."""
        xy = np.asarray(xy, float)
        return (np.sin(xy @ self._waves.T + self._phases) * self._sizes).sum(-1)

    def on(self, xy: np.ndarray, above: float = 0.0) -> np.ndarray:
        """Points (n, 3) on the ground, or `above` metres above it."""
        xy = np.asarray(xy, float)
        return np.concatenate([xy, self.height(xy)[..., None] + above], -1)


class GroundMap:
    """What stands where: a raster of CELL metres with NOTHING to WATER in its cells."""

    def __init__(self, low: np.ndarray, high: np.ndarray):
        self.low = np.asarray(low, float)
        width, height = (int(v) for v in np.ceil((np.asarray(high) - self.low) / CELL) + 1)
        self._image = Image.new("L", (width, height), NOTHING)
        self._draw = ImageDraw.Draw(self._image)

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
        left, upper = np.floor(cells.min(0)).astype(int)
        right, lower = np.ceil(cells.max(0)).astype(int) + 1
        if left < 0 or upper < 0 or right > self._image.width or lower > self._image.height:
            return 1.0, True
        mask = Image.new("L", (right - left, lower - upper))
        ImageDraw.Draw(mask).polygon([(x - left, y - upper) for x, y in cells.tolist()], fill=1)
        found = np.asarray(self._image.crop((left, upper, right, lower)))[np.asarray(mask, bool)]
        return float((found != NOTHING).mean()), bool((found == ROAD).any())

    def at(self, xy: np.ndarray) -> np.ndarray:
        """What is at points (..., 2): uint8 (...); WATER outside the map."""
        cells = np.floor((np.asarray(xy, float) - self.low) / CELL).astype(int)
        flat = cells.reshape(-1, 2)
        if len(flat) < 40:  # the raster would be copied for an array of it
            width, height = self._image.size
            pixels = self._image.load()
            found = [pixels[x, y] if 0 <= x < width and 0 <= y < height else WATER for x, y in flat.tolist()]
            return np.array(found, np.uint8).reshape(cells.shape[:-1])
        raster = np.asarray(self._image)
        size = np.array(raster.shape[::-1])
        inside = ((flat >= 0) & (flat < size)).all(1)
        x, y = flat.clip(0, size - 1).T
        return np.where(inside, raster[y, x], np.uint8(WATER)).reshape(cells.shape[:-1])
