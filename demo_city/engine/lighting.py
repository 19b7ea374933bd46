"""The light of a day or night: sun, sky and ground by the weather; lit windows, signs and lamps."""

import numpy as np

from demo_city.engine.lamps import BEAM, Lamps
from demo_city.engine.light import Light
from demo_city.engine.shadow import Shadows
from demo_city.engine.sky import noise, sky_map
from demo_city.seeds import random_for
from demo_city.weather import Capture

LAMP_CELL = 4.0  # metres a side
_LAMPS_AT_ONCE = 6  # that reach a place
_LIGHTS_AT_ONCE = 8  # for a moment
_LAMP_REACH = 30.0  # metres, of a street lamp
NO_SHADOWS = Shadows(np.zeros(2), np.zeros(2), 1.0, np.zeros((1, 1), np.float32))
_WARM = np.array([[1.0, 0.78, 0.48], [1.0, 0.66, 0.34], [1.0, 0.9, 0.72], [0.86, 0.93, 1.0], [1.0, 0.83, 0.6]])


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
    ground = 0.18 + 0.5 * capture.snow
    below = ground * (above + sun * max(capture.sun_direction[2], 0) * 0.5)
    return Light(
        capture.sun_direction,
        sun,
        above,
        below,
        -float(np.log(max(1 - capture.haze, 0.05))) / 100,
        float(capture.wet),
        float(capture.snow),
        bool(capture.night),
        sky,
        noise(),
        _shine(capture, key, owners),
        _table(lamps),
        0,
        *_lamp_cells(lamps if capture.night else Lamps()),
    )


def _shine(capture: Capture, key: int, owners: int) -> np.ndarray:
    """Which windows, shops and signs are lit on a night, and how bright: float32 (owners + 1, 256, 3)."""
    if not capture.night:
        return np.zeros((1, 256, 3), np.float32)
    rng = random_for(key, "shine", capture.night)
    table = np.zeros((owners + 1, 256, 3), np.float32)
    awake = rng.beta(1.2, 2.6, (owners + 1, 1))
    lit = rng.random((owners + 1, 200)) < awake
    own = rng.integers(len(_WARM), size=(owners + 1, 1))
    other = rng.integers(len(_WARM), size=(owners + 1, 200))
    colour = _WARM[np.where(rng.random((owners + 1, 200)) < 0.6, own, other)]
    table[:, :200] = colour * (lit * rng.uniform(0.1, 0.75, lit.shape))[..., None]
    shops = rng.random((owners + 1, 30)) < 0.75
    colour = _WARM[rng.integers(len(_WARM), size=(owners + 1, 30))]
    table[:, 200:230] = colour * (shops * rng.uniform(0.5, 1.3, shops.shape))[..., None]
    signs = rng.random((owners + 1, 26)) < 0.8
    colour = 0.55 + 0.45 * rng.random((owners + 1, 26, 3))
    table[:, 230:] = colour * (signs * rng.uniform(0.7, 2.0, signs.shape))[..., None]
    table[:, 0] = 0
    table[-1] = 0  # what belongs to no building shines by its flag alone
    return table


def _reach(lamps: Lamps) -> np.ndarray:
    return _LAMP_REACH * np.sqrt(np.clip(lamps.power, 0.05, 4)) * np.where(lamps.kind == BEAM, 1.6, 1.0)


def _table(lamps: Lamps) -> np.ndarray:
    """The table of lamps, as in Light."""
    coloured = lamps.colours * lamps.power[:, None]
    table = [lamps.positions, coloured, lamps.directions, lamps.kind, 1 / np.square(_reach(lamps))]
    return np.column_stack(table).astype(np.float32)


def _lamp_cells(lamps: Lamps) -> tuple[np.ndarray, float, np.ndarray]:
    """Which lamps reach each place, as in Light: the strongest first."""
    flat, reach = lamps.positions[:, :2], _reach(lamps)
    low = flat.min(0, initial=1e6) - _LAMP_REACH
    columns, rows = np.maximum((flat.max(0, initial=-1e6) + _LAMP_REACH - low) / LAMP_CELL, 0).astype(int) + 1
    strength = np.zeros((rows, columns, _LAMPS_AT_ONCE), np.float32)
    chosen = np.full(strength.shape, -1, np.int32)
    for k, power in enumerate(lamps.power):
        begin = np.maximum(((flat[k] - reach[k] - low) / LAMP_CELL).astype(int), 0)
        end = np.minimum(((flat[k] + reach[k] - low) / LAMP_CELL).astype(int) + 1, (columns, rows))
        x, y = (low[a] + (np.arange(begin[a], end[a]) + 0.5) * LAMP_CELL - flat[k, a] for a in (0, 1))
        value = power / (np.square(x) + np.square(y)[:, None] + 20)
        part = (slice(begin[1], end[1]), slice(begin[0], end[0]))
        for place in range(_LAMPS_AT_ONCE):  # it takes the place of the first that is weaker, which goes on
            held, which = strength[part][..., place], chosen[part][..., place]
            stronger = value > held
            value, held[...] = np.where(stronger, held, value), np.where(stronger, value, held)
            k, which[...] = np.where(stronger, which, k), np.where(stronger, k, which)
    return chosen, LAMP_CELL, low.astype(np.float64)


def with_lights(light: Light, lights: Lamps | None, position: np.ndarray) -> Light:
    """Adds lights that are there for a moment to the light of a night: the nearest ones to a place, (3,) in metres."""
    if lights is None or not len(lights.power):
        return light
    away = np.linalg.norm(lights.positions - position, axis=1)
    near = np.argsort(away, kind="stable")[:_LIGHTS_AT_ONCE]
    return light._replace(lamps=np.concatenate([light.lamps, _table(lights)[near]]), lights=len(near))
