"""The light of a day or night: sun, sky and ground by the weather; lit windows, signs and lamps."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from demo_city.engine.sky import noise, sky_map
from demo_city.seeds import random_for
from demo_city.weather import Capture

ROUND = 0  # shines to all sides: a shop window, a lantern
DOWN = 1  # a street lamp: shines below itself
BEAM = 2  # a headlight: shines in its direction
_REACH = 30.0  # metres, of a street lamp
_LIGHTS_AT_ONCE = 8  # for a moment
_WARM = np.array([[1.0, 0.78, 0.48], [1.0, 0.66, 0.34], [1.0, 0.9, 0.72], [0.86, 0.93, 1.0], [1.0, 0.83, 0.6]])
# of alphas that shine: from, to, share that is lit (None: differs by house), darkest and brightest
_SHINES = ((1, 200, None, 0.1, 0.75), (200, 230, 0.75, 0.5, 1.3), (230, 256, 0.8, 0.7, 2.0))


@dataclass
class Lamps:
    """k lamps."""

    positions: np.ndarray = ()  # float32 (k, 3), metres
    colours: np.ndarray = ()  # float32 (k, 3), about 1
    power: np.ndarray = ()  # float32 (k,), 1 for a street lamp at a height of 6 m
    kind: np.ndarray = ()  # uint8 (k,), ROUND, DOWN or BEAM
    directions: np.ndarray | None = None  # float32 (k, 3), unit vectors of beams, zeros for all others

    def __post_init__(self) -> None:
        if self.directions is None:
            self.directions = np.zeros((len(self.power), 3))
        for name in ("positions", "colours", "directions"):
            setattr(self, name, np.asarray(getattr(self, name), np.float32).reshape(-1, 3))
        self.power, self.kind = np.asarray(self.power, np.float32), np.asarray(self.kind, np.uint8)

    def reach(self) -> np.ndarray:
        """How far their light goes: (k,), metres."""
        return _REACH * np.sqrt(np.clip(self.power, 0.05, 4)) * np.where(self.kind == BEAM, 1.6, 1.0)

    def table(self) -> np.ndarray:
        """What kernels read: float32 (k, 11), positions, colours times power, directions, kind, 1 / reach ** 2."""
        coloured = self.colours * self.power[:, None]
        table = [self.positions, coloured, self.directions, self.kind, 1 / np.square(self.reach())]
        return np.column_stack(table).astype(np.float32)

    @staticmethod
    def joined(parts: "Sequence[Lamps]") -> "Lamps":
        """All lamps of some collections in one."""
        parts = parts or [Lamps()]
        return Lamps(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Lamps)))


class Light(NamedTuple):
    """The light of a day or night, linear: 1 is a white ground under an overcast sky."""

    sun: np.ndarray  # (3,), towards it
    sun_colour: np.ndarray  # (3,), its light; zeros at night
    above: np.ndarray  # (3,), light from the sky
    below: np.ndarray  # (3,), light from the ground
    haze: float  # share of the light that it takes a metre, when that is small
    wet: float  # 0 to 1
    snow: float  # 0 to 1
    night: bool  # whether what shines shines
    sky: np.ndarray  # float32 (side, side, 3), light of the sky, of all directions up
    noise: np.ndarray  # float32 (rows, columns, 1), 0 to 1, repeats
    shine: np.ndarray  # float32 (owners + 1, 256, 3), light by owner and alpha; the last row, of no owner, is dark
    lamps: np.ndarray  # float32 (k, 11), as of Lamps.table
    moving: int  # how many of the lamps, the last ones, are there for a moment only

    def also(self, lights: Lamps, place: np.ndarray) -> "Light":
        """This light with lights that are there for a moment: the nearest ones to a place, (3,) in metres."""
        near = np.argsort(np.linalg.norm(lights.positions - place, axis=1), kind="stable")[:_LIGHTS_AT_ONCE]
        return self._replace(lamps=np.concatenate([self.lamps, lights.table()[near]]), moving=len(near))


def light_of(capture: Capture, lamps: Lamps, key: int, owners: int) -> Light:
    """The light of a day or night.

    capture: the day or night
    lamps: that shine at night
    key: decides the clouds and which windows are lit
    owners: number of buildings
    """
    warm = np.array([1 + 0.10 * capture.warmth, 1.0, 1 - 0.12 * capture.warmth])
    height = np.radians(max(capture.sun_height, 2))
    air = np.exp(-np.array([0.10, 0.19, 0.36]) / (np.sin(height) + 0.08))  # what is left of red, green and blue
    clear = (1 - capture.cloud) if capture.cloud < 0.85 else 0.0
    sun = np.zeros(3) if capture.night else 2.1 * air * warm * min(1.0, clear * 1.6)
    blue = np.array([0.30, 0.36, 0.46]) * (0.7 + 0.3 * np.sin(height))
    grey = np.array([0.98, 1.0, 1.03]) * (0.75 + 0.25 * np.sin(height))
    above = (blue + (grey - blue) * min(capture.cloud, 1.0) ** 1.3) * warm
    sky = sky_map(capture, sun if sun.any() else np.array([1.0, 0.95, 0.9]), key)
    if capture.night:
        above = 0.5 * sky.mean((0, 1)) + np.array([0.018, 0.019, 0.024])
    below = (0.18 + 0.5 * capture.snow) * (above + sun * max(capture.sun_direction[2], 0) * 0.5)
    haze = -float(np.log(max(1 - capture.haze, 0.05))) / 100
    weather = (haze, float(capture.wet), float(capture.snow), bool(capture.night))
    shine = _shine(random_for(key, "shine", capture.night), owners + 1) if capture.night else np.zeros((1, 256, 3))
    return Light(
        capture.sun_direction, sun, above, below, *weather, sky, noise(), shine.astype(np.float32), lamps.table(), 0
    )


def _shine(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Which windows, shops and signs are lit on a night, and how bright, as in Light."""
    table = np.zeros((rows, 256, 3))
    for first, last, share, dark, bright in _SHINES:
        size = (rows, last - first)
        lit = rng.random(size) < (rng.beta(1.2, 2.6, (rows, 1)) if share is None else share)
        own, other = rng.integers(len(_WARM), size=(rows, 1)), rng.integers(len(_WARM), size=size)
        warm = _WARM[np.where(rng.random(size) < 0.6, own, other)]
        colour = 0.55 + 0.45 * rng.random((*size, 3)) if first >= 230 else warm
        table[:, first:last] = colour * (lit * rng.uniform(dark, bright, size))[..., None]
    table[-1] = 0  # what belongs to no building shines by its flag alone
    return table
