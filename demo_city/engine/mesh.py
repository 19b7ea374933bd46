"""Triangles: how the world is handed to the renderer.

Coordinates are metres from the district's origin: x east, y north, z up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

# what the light does on a face, and when it is drawn: bits of Mesh.flags
CUTOUT = 1  # the texture's alpha says what is there (above 127); without it, alpha is the index of what can shine
GROUND = 2  # gets wet, and mirrors what is above when it rains
FOLIAGE = 4  # thin: lit from both sides
GLASS = 8  # mirrors the sky, more at a flat angle
EMITS = 16  # shines with its own colour at night
DETAIL = 32  # too small to be seen from more than 50 m
TWO_SIDED = 64  # seen from behind too
SHELTERED = 128  # no snow stays on it
NO_OWNER = -1
_NOTHING = np.zeros(0, "3f4, 2f4, 3i4, i4, 3u1, u1, i4")  # the arrays of an empty mesh


@dataclass(eq=False)
class Mesh:
    """n points and m triangles. Textures repeat beyond (0, 0), their upper left corner, and (1, 1)."""

    points: np.ndarray  # float32 (n, 3), metres
    uv: np.ndarray  # float32 (n, 2), of each point in its texture
    faces: np.ndarray  # int32 (m, 3), indices of points, counter-clockwise as seen from outside
    texture: np.ndarray  # int32 (m,), index of the texture
    tint: np.ndarray  # uint8 (m, 3), by which the texture's colours are multiplied; 255 leaves them
    flags: np.ndarray  # uint8 (m,), CUTOUT to SHELTERED
    owner: np.ndarray  # int32 (m,), the building, by which lit windows are looked up; or NO_OWNER

    def placed(self, position: Sequence[float], turn: float = 0.0, scale: float | Sequence[float] = 1.0) -> "Mesh":
        """A copy that is scaled by one factor or one for each axis, turned by degrees counter-clockwise as seen from
        above, and moved by metres, (3,).
        """
        angle = np.radians(turn)
        axes = [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        points = (self.points * np.asarray(scale, np.float32) @ np.array(axes) + position).astype(np.float32)
        return replace(self, points=points)

    @staticmethod
    def joined(meshes: "Sequence[Mesh]") -> "Mesh":
        """All triangles of some meshes in one."""
        meshes = meshes or [Mesh(*(_NOTHING[name] for name in _NOTHING.dtype.names))]
        columns = [np.concatenate([getattr(mesh, field.name) for mesh in meshes]) for field in fields(Mesh)]
        firsts = np.cumsum([0, *(len(mesh.points) for mesh in meshes[:-1])])
        columns[2] = columns[2] + np.repeat(firsts, [len(mesh.faces) for mesh in meshes])[:, None].astype(np.int32)
        return Mesh(*columns)
