"""A district on one day or night: its light, its sky, what is parked in it, and the pictures of its walls."""

import numpy as np
from PIL import Image

from demo_city import cars, facades, ground, paint
from demo_city.plan import District
from demo_city.seeds import random_for
from demo_city.years import Capture

_POOL = 40_000_000  # texels of wall pictures kept in memory (uint32 colours with the shining index in the top byte)
MIPS = 5
_COARSE = 2  # the first level of the pictures of walls that are only seen from afar


class Pictures:
    """Wall pictures of one process, in one block of memory that is emptied when it is full.

    One gather can then read from all of them.
    """

    def __init__(self, size: int = _POOL):
        self.size = size
        self.texels = np.empty(size, np.uint32)  # memory is taken only as it is filled
        self.used, self.places = 0, {}

    def place(self, district: District, wall: int, year: int, finest: int) -> np.ndarray:
        """Finds or draws a wall's picture: int64 (MIPS, 3), first texel, height and width of each level.

        district: of the wall
        wall: its index
        year: of the photographs
        finest: the first level that is needed
        """
        building = district.buildings[district.walls.building[wall]]
        w = district.walls
        kind, piece = int(w.kind[wall]), int(w.piece[wall])
        key = (district.key, wall, facades.picture_key(building, kind, piece, year))
        if key in self.places:
            return self.places[key]
        first = _COARSE if finest >= _COARSE else 0
        if first:
            key = *key, first
        if key not in self.places:
            colours, index = facades.wall_picture(
                building,
                kind,
                piece,
                float(w.length[wall]),
                float(w.tops[wall].max() - w.low[wall]),
                district.style.name,
                year,
            )
            self.places[key] = self._store(colours, index, first)
        return self.places[key]

    def make_room(self) -> None:
        """Forgets everything when the block is nearly full: called between views, never within one."""
        if self.used > self.size - 6_000_000:
            self.used, self.places = 0, {}

    def _store(self, colours: Image.Image, index: Image.Image, first: int) -> np.ndarray:
        rows, index = np.zeros((MIPS, 3), np.int64), np.asarray(index)
        for level in range(MIPS):
            if level:
                colours, index = colours.reduce(2), index[::2, ::2]
            if level < first:
                continue
            packed = colours.copy()
            packed.putalpha(Image.fromarray(index))
            # by column and upwards, as the columns of a view read it
            flat = np.asarray(packed.transpose(Image.Transpose.ROTATE_270)).reshape(-1).view(np.uint32)
            rows[level] = self.used, colours.height, colours.width
            if self.used + len(flat) > len(self.texels):  # one view needs more than make_room leaves
                self.texels = np.concatenate([self.texels, np.empty_like(self.texels)])
            self.texels[self.used : self.used + len(flat)] = flat
            self.used += len(flat)
        return rows


class Scene:
    """A district on one day or night: what all its views share.

    district: the district
    capture: the day or night
    pictures: of the process
    shared: keeps rasters that several scenes of the process need
    """

    def __init__(self, district: District, capture: Capture, pictures: Pictures, shared: dict):
        self.district, self.capture, self.pictures = district, capture, pictures
        if (district.key, "ground") not in shared:
            shared[district.key, "ground"] = ground.ground_levels(district)
            shared[district.key, "heights"] = ground.height_raster(district)
            shared[district.key, "lamps"] = ground.light_raster(district)
        self.ground = shared[district.key, "ground"]
        self.grass = np.array(ground.GRASS[capture.season], np.float32) / 128
        self.still = [*district.things, *cars.parked_cars(district, capture)]
        self.spots = np.array([thing.position for thing in self.still]).reshape(-1, 2)
        self.sky, self.haze = ground.sky(capture, district)
        self.clear = 1 - capture.haze
        if capture.night:
            self.lamps = shared[district.key, "lamps"]
            rng = random_for(district.key, "lit", capture.night)
            self.ambient = np.array([0.15, 0.16, 0.22], np.float32)
            self.lamp_colour = np.array(
                [(1.05, 0.80, 0.50), (0.92, 0.95, 1.0)][district.style.zone_number % 2], np.float32
            )
            self.shine = _lit_windows(rng, len(district.buildings))
        else:
            sun = 1 - capture.cloud
            warm = np.array([1 + 0.16 * capture.warmth, 1.0, 1 - 0.22 * capture.warmth], np.float32)
            self.sun = (0.86 * sun * warm).astype(np.float32)
            self.ambient = (np.array([0.56, 0.60, 0.68]) * sun + np.array([0.86, 0.88, 0.92]) * (1 - sun)).astype(
                np.float32
            )
            self.shadow = (
                ground.shadow_raster(shared[district.key, "heights"], capture.sun_direction) if sun > 0.05 else None
            )
        self.still_light = self.light_at(self.spots)

    def coarse(self, raster: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The values of a raster of ground.COARSE cells at local metres x, y."""
        column = ((x - self.district.low[0]) / ground.COARSE).astype(np.int32).clip(0, raster.shape[1] - 1)
        row = ((y - self.district.low[1]) / ground.COARSE).astype(np.int32).clip(0, raster.shape[0] - 1)
        return raster[row, column]

    def light_at(self, spots: np.ndarray) -> list[list[float]]:
        """The light at spots (n, 2): [[red, green, blue]], factors on the colours of things there."""
        if self.capture.night:
            return (self.ambient + self.lamp_colour * self.coarse(self.lamps, *spots.T)[:, None] * 0.75).tolist()
        sunlit = self.coarse(self.shadow, *spots.T) < 1.0 if self.shadow is not None else np.zeros(len(spots), bool)
        return (self.ambient + self.sun * np.where(sunlit, 0.62, 0.06)[:, None]).tolist()


def _lit_windows(rng: np.random.Generator, buildings: int) -> np.ndarray:
    """What shines in a night: packed colours (buildings, 256) by the index of what can shine."""
    colours = np.zeros((buildings, 256, 3), np.float32)
    tones = np.array(
        [(255, 214, 140), (255, 226, 170), (250, 196, 112), (226, 234, 255), (180, 200, 255), (255, 170, 120)],
        np.float32,
    )
    home = rng.beta(1.4, 2.6, (buildings, 1))
    lit = rng.random((buildings, 256)) < home
    which = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 5])[rng.integers(0, 12, (buildings, 256))]
    colours[:] = tones[which] * rng.uniform(0.35, 1.0, (buildings, 256, 1))
    colours[~lit] = 0
    shop = rng.random(buildings) < 0.6
    colours[:, paint.LAST_WINDOW + 1 : paint.LAST_SHOP + 1] = (
        np.array([255, 238, 206]) * rng.uniform(0.45, 0.85, (buildings, 1, 1)) * shop[:, None, None]
    )
    neon = np.array([(255, 60, 60), (70, 150, 255), (90, 255, 130), (255, 220, 90), (255, 110, 220), (250, 250, 255)])
    # a sign keeps its colour from night to night; it depends on the index, not on rng
    colours[:, paint.LAST_SHOP + 1 :] = neon[
        (np.arange(buildings)[:, None] * 7 + np.arange(paint.LAST_SHOP + 1, 256)) % 6
    ]
    colours[:, paint.LAST_SHOP + 1 :] *= rng.random((buildings, 1, 1)) < 0.85
    colours[:, 0] = 0
    return ground.pack(colours.astype(np.uint8))
