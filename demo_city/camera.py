"""The camera: where it stands, where it looks, and where points appear in its picture."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

FIELD_OF_VIEW = 70.0  # degrees, horizontally; the pictures are square
HORIZON = 0.6  # row of the horizon as a share of the height: a lens shifted up, as for architecture


@dataclass
class Camera:
    """A camera with pitch and roll 0.

    position: (2,), local metres (east, north); height: metres; heading: of the picture's left edge, degrees clockwise
    from north.
    """

    position: np.ndarray
    height: float
    heading: float

    @cached_property
    def forward(self) -> np.ndarray:
        """Unit vector (2,) of the optical axis, half a field of view to the right of the heading."""
        azimuth = np.radians(self.heading + FIELD_OF_VIEW / 2)
        return np.array([np.sin(azimuth), np.cos(azimuth)])

    @cached_property
    def right(self) -> np.ndarray:
        """Unit vector (2,) to the right of the optical axis."""
        return np.array([self.forward[1], -self.forward[0]])


def focal_length(pixels: int) -> float:
    """The focal length, in pixels, of a picture of `pixels` a side."""
    return pixels / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2))


def project(camera: Camera, points: np.ndarray, pixels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Projects points (n, 3), local metres (east, north, up), into a picture of `pixels` a side.

    Returns x and y in pixels from the upper left corner, and the depth in metres, each float64 (n,). Only points with a
    positive depth are in front of the camera.
    """
    offset = points[:, :2] - camera.position
    depth = offset @ camera.forward
    f = focal_length(pixels)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (
            pixels / 2 + f * (offset @ camera.right) / depth,
            pixels * HORIZON + f * (camera.height - points[:, 2]) / depth,
            depth,
        )
