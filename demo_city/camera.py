"""The camera: where it stands, and where it looks."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

CROP = 70.0  # degrees: a name holds the heading of the left edge of so wide a crop


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pictures. Angles are in degrees."""

    position: np.ndarray  # (3,), local metres (east, north, up)
    azimuth: float  # of the optical axis, clockwise from north
    pitch: float = 0.0  # of the optical axis above the horizon
    roll: float = 0.0  # of the camera clockwise about its axis
    field_of_view: float = CROP  # from the left to the right edge

    @cached_property
    def axes(self) -> np.ndarray:
        """(3, 3): rows are unit vectors to the right, down and forward in the picture."""
        a, p, r = np.radians([self.azimuth, self.pitch, self.roll])
        forward = np.array([np.sin(a) * np.cos(p), np.cos(a) * np.cos(p), np.sin(p)])
        right = np.array([np.cos(a), -np.sin(a), 0.0])
        down = np.cross(forward, right)
        return np.array([right * np.cos(r) + down * np.sin(r), down * np.cos(r) - right * np.sin(r), forward])

    def focal_length(self, pixels: int) -> float:
        """In pixels, of a picture of `pixels` a side."""
        return pixels / 2 / np.tan(np.radians(self.field_of_view / 2))
