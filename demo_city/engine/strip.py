"""Whole panoramas: strips of 360 degrees in the projection of SF-XL's, put together from views.

A strip is equirectangular: each column is an azimuth, each row a height above the horizon, with as many pixels to a
degree both ways. Of the 6.5:1 that SF-XL kept of its panoramas, five eighths lie above the horizon.
"""

from functools import lru_cache

import numpy as np

from demo_city.camera import Camera
from demo_city.engine.scene import Surroundings

WIDE = 6.5  # times as wide as high
HORIZON = 320 / 512  # of the height, from the top
_VIEWS = 6  # of 60 degrees each: with the strip's height, they are about square


@lru_cache(2)
def _sector(rows: int, columns: int) -> tuple[int, float, float, np.ndarray, np.ndarray, np.ndarray]:
    """The size, the pitch and the field of view (degrees) of views, and where the pixels of a strip's sixth lie in
    them: the upper left one of four around each, and the shares (rows, columns, 1) of those at the right and below.
    """
    up = (HORIZON - (np.arange(rows)[:, None] + 0.5) / rows) * 2 * np.pi / WIDE
    along = ((np.arange(columns) + 0.5) / columns - 0.5) * 2 * np.pi / _VIEWS
    pitch = (HORIZON - 0.5) * 2 * np.pi / WIDE
    forward = np.cos(along) * np.cos(up) * np.cos(pitch) + np.sin(up) * np.sin(pitch)
    x = np.sin(along) * np.cos(up) / forward
    y = (np.cos(along) * np.cos(up) * np.sin(pitch) - np.sin(up) * np.cos(pitch)) / forward
    focal = columns * _VIEWS / (2 * np.pi)  # pixels: in the middle, a view is as fine as the strip
    size = 2 * int(np.ceil(focal * max(np.abs(x).max(), np.abs(y).max()) + 1))
    x, y = x * focal + (size - 1) / 2, y * focal + (size - 1) / 2
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    shares = ((value - whole)[..., None].astype(np.float32) for value, whole in ((x, left), (y, top)))
    field_of_view = float(np.degrees(2 * np.arctan(size / 2 / focal)))
    return size, float(np.degrees(pitch)), field_of_view, top * size + left, *shares


def strip_of(around: Surroundings, camera: Camera, rows: int) -> np.ndarray:
    """The light of a strip, float32 (rows, columns, 3), linear, about WIDE times as wide as high.

    around: of the camera's place; camera: looks at the middle column
    """
    columns = round(rows * WIDE / _VIEWS)
    size, pitch, field_of_view, first, right, below = _sector(rows, columns)
    sectors = []
    for n in range(_VIEWS):
        azimuth = camera.azimuth + (n + 0.5) * 360 / _VIEWS - 180
        view = around.light(Camera(camera.position, azimuth, pitch, 0.0, field_of_view), size).reshape(-1, 3)
        upper, lower = (view[k] * (1 - right) + view[k + 1] * right for k in (first, first + size))
        sectors.append(upper * (1 - below) + lower * below)
    return np.concatenate(sectors, 1)
