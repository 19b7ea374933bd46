"""What kernels know of the light, and the row of pixels on which they work."""

from typing import NamedTuple

import numpy as np


class Light(NamedTuple):
    """The light of a day or night, linear: 1 is a white ground under an overcast sky.

    sun, sun_colour: (3,) each, towards the sun, and its light; no light at night
    above, below: (3,) each, light from the sky, and from the ground
    haze: share of the light that it takes a metre, when that is small
    wet, snow: 0 to 1
    night: whether what shines shines
    sky: float32 (side, side, 3), light of the sky, of all directions up
    noise: float32 (side, side), 0 to 1, repeats
    shine: float32 (owners + 1, 256, 3), light of what shines, by owner and alpha; the last row, of no owner,
        is dark
    lamps: float32 (k, 11), positions, colours times power, directions, kind, 1 / reach ** 2
    lights: how many of them, the last ones, are there for a moment and in no cell
    lamp_cells: int32 (rows, columns, n), which lamps reach a cell; -1: no further one
    lamp_cell: metres a side of a cell
    lamp_low: (2,), where the cells begin
    """

    sun: np.ndarray
    sun_colour: np.ndarray
    above: np.ndarray
    below: np.ndarray
    haze: float
    wet: float
    snow: float
    night: bool
    sky: np.ndarray
    noise: np.ndarray
    shine: np.ndarray
    lamps: np.ndarray
    lights: int
    lamp_cells: np.ndarray
    lamp_cell: float
    lamp_low: np.ndarray


class Row(NamedTuple):
    """Room for one row of pixels; kernels pass over it in steps. Where nothing is drawn, only rays have a meaning.

    rays: float32 (size, 3), unit vectors
    places: float64 (size, 3), metres
    normals: float32 (size, 3), towards the camera
    distance: float64 (size,), metres
    colour: float32 (size, 3), share of the light that is given back
    arriving: float32 (size, 3), light that arrives, then light that comes from there
    alpha: int32 (size,), of opaque textures
    row: int32 (size,), of Target.planes; -1 where nothing is
    """

    rays: np.ndarray
    places: np.ndarray
    normals: np.ndarray
    distance: np.ndarray
    colour: np.ndarray
    arriving: np.ndarray
    alpha: np.ndarray
    row: np.ndarray


def new_row(size: int) -> Row:
    """Room for a row of `size` pixels."""
    return Row(
        np.empty((size, 3), np.float32),
        np.empty((size, 3), np.float64),
        np.empty((size, 3), np.float32),
        np.empty(size, np.float64),
        np.empty((size, 3), np.float32),
        np.empty((size, 3), np.float32),
        np.empty(size, np.int32),
        np.empty(size, np.int32),
    )
