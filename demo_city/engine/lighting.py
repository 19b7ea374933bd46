"""The light of a day or night: sun, sky and ground by the weather; lit windows, signs and lamps."""

import numpy as np

from demo_city.engine.lamps import Lamps
from demo_city.engine.shade import LAMP_CELL, Light
from demo_city.engine.shadow import Shadows
from demo_city.engine.sky import noise, sky_map
from demo_city.seeds import random_for
from demo_city.weather import Capture

_LAMPS_AT_ONCE = 8  # that reach a place
_LAMP_REACH = 26.0  # metres, of a street lamp
_AROUND = 120.0  # metres around a camera in which lamps are looked up
NO_SHADOWS = Shadows(np.zeros(2), np.zeros(2), 1.0, np.zeros((1, 1), np.float32))
_WARM = np.array([[1.0, 0.78, 0.48], [1.0, 0.66, 0.34], [1.0, 0.9, 0.72], [0.86, 0.93, 1.0], [1.0, 0.83, 0.6]])


def light_of(capture: Capture, key: int, owners: int) -> Light:
    """The light of a day or night, without its lamps.

    capture: the day or night
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
        above = 0.5 * sky.mean((0, 1)) + np.array([0.006, 0.007, 0.010])
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
        *_no_lamps(),
    )


def _no_lamps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros((0, 11), np.float32), np.full((1, 1, 1), -1, np.int32), np.zeros(2)


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
    return table


def with_lamps(light: Light, lamps: Lamps, position: np.ndarray) -> Light:
    """Adds the lamps around a place, (3,) in metres, to the light of a night."""
    low, cells = position[:2] - _AROUND, int(2 * _AROUND / LAMP_CELL)
    offset = np.linalg.norm(lamps.positions[:, :2] - position[:2], axis=1)
    order = np.argsort(offset, kind="stable")
    near = order[offset[order] < _AROUND + _LAMP_REACH][:4000]
    positions, power = lamps.positions[near], lamps.power[near]
    reach = _LAMP_REACH * np.sqrt(np.clip(power, 0.05, 4)) * np.where(lamps.kind[near] == 2, 1.6, 1.0)
    table = np.column_stack(
        [positions, lamps.colours[near] * power[:, None], lamps.directions[near], lamps.kind[near], reach]
    ).astype(np.float32)
    middle = low + (np.arange(cells)[:, None] + 0.5) * LAMP_CELL
    strength = np.zeros((cells, cells, _LAMPS_AT_ONCE), np.float32)
    chosen = np.full((cells, cells, _LAMPS_AT_ONCE), -1, np.int32)
    for k in range(len(table)):
        begin = np.maximum(((positions[k, :2] - reach[k] - low) / LAMP_CELL).astype(int), 0)
        end = np.minimum(((positions[k, :2] + reach[k] - low) / LAMP_CELL).astype(int) + 1, cells)
        if (end <= begin).any():
            continue
        x, y = (middle[begin[a] : end[a], a] - positions[k, a] for a in (0, 1))
        value = power[k] / (np.square(x)[None] + np.square(y)[:, None] + 20)
        part = (slice(begin[1], end[1]), slice(begin[0], end[0]))
        weakest = strength[part].argmin(2)
        rows, columns = np.nonzero(value > np.take_along_axis(strength[part], weakest[..., None], 2)[..., 0])
        place = (rows + begin[1], columns + begin[0], weakest[rows, columns])
        strength[place], chosen[place] = value[rows, columns], k
    order = np.argsort(-strength, axis=2, kind="stable")
    return light._replace(
        lamps=table, lamp_cells=np.ascontiguousarray(np.take_along_axis(chosen, order, 2)), lamp_low=low
    )
