"""Triangles: how the world is handed to the renderer.

Coordinates are metres from the district's origin: x east, y north, z up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass
class Mesh:
    """n points and m triangles.

    points: float32 (n, 3), metres
    uv: float32 (n, 2), of each point in its texture: (0, 0) is the upper left corner, (1, 1) the lower right one;
        beyond them the texture repeats
    faces: int32 (m, 3), indices of points, counter-clockwise as seen from outside
    texture: int32 (m,), index of the texture
    tint: uint8 (m, 3), by which the texture's colours are multiplied; 255 leaves them as they are
    flags: uint8 (m,), CUTOUT to SHELTERED
    owner: int32 (m,), index of the building, whose lit windows are looked up by it; or NO_OWNER
    """

    points: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    texture: np.ndarray
    tint: np.ndarray
    flags: np.ndarray
    owner: np.ndarray

    def placed(
        self,
        position: Sequence[float],
        turn: float = 0.0,
        scale: float | Sequence[float] = 1.0,
        tint: Sequence[int] | None = None,
    ) -> "Mesh":
        """A copy that is scaled, turned about the vertical, and moved.

        position: (3,), metres
        turn: degrees counter-clockwise as seen from above
        scale: one factor, or one for each axis
        tint: of all faces, or None to keep theirs
        """
        angle = np.radians(turn)
        points = self.points * np.asarray(scale, np.float32)
        x, y = points[:, 0], points[:, 1]
        turned = np.stack(
            [x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle), points[:, 2]], 1
        )
        colours = self.tint if tint is None else np.broadcast_to(np.asarray(tint, np.uint8), self.tint.shape)
        return Mesh(
            (turned + np.asarray(position)).astype(np.float32),
            self.uv,
            self.faces,
            self.texture,
            colours,
            self.flags,
            self.owner,
        )

    @staticmethod
    def joined(meshes: "Sequence[Mesh]") -> "Mesh":
        """All triangles of some meshes in one."""
        if not meshes:
            return MeshBuilder().build()
        firsts = np.cumsum([0, *(len(mesh.points) for mesh in meshes[:-1])])
        return Mesh(
            np.concatenate([mesh.points for mesh in meshes]),
            np.concatenate([mesh.uv for mesh in meshes]),
            np.concatenate([mesh.faces + np.int32(first) for mesh, first in zip(meshes, firsts, strict=True)]),
            np.concatenate([mesh.texture for mesh in meshes]),
            np.concatenate([mesh.tint for mesh in meshes]),
            np.concatenate([mesh.flags for mesh in meshes]),
            np.concatenate([mesh.owner for mesh in meshes]),
        )


class MeshBuilder:
    """Collects faces, then builds a Mesh of them."""

    def __init__(self) -> None:
        self._meshes: list[Mesh] = []

    def add(self, mesh: Mesh) -> None:
        """Adds all faces of a mesh."""
        self._meshes.append(mesh)

    def polygon(
        self,
        corners: np.ndarray,
        uv: np.ndarray,
        texture: int,
        tint: Sequence[int] = (255, 255, 255),
        flags: int = 0,
        owner: int = NO_OWNER,
    ) -> None:
        """Adds a flat convex polygon.

        corners: (k, 3), metres, counter-clockwise as seen from outside
        uv: (k, 2), of each corner in the texture
        texture: its index
        tint: by which its colours are multiplied
        flags: CUTOUT to SHELTERED
        owner: the building, or NO_OWNER
        """
        count = len(corners) - 2
        fan = np.arange(count, dtype=np.int32)
        faces = np.stack([np.zeros(count, np.int32), fan + 1, fan + 2], 1)
        self._meshes.append(
            Mesh(
                np.asarray(corners, np.float32),
                np.asarray(uv, np.float32),
                faces,
                np.full(count, texture, np.int32),
                np.tile(np.asarray(tint, np.uint8), (count, 1)),
                np.full(count, flags, np.uint8),
                np.full(count, owner, np.int32),
            )
        )

    def wall(
        self,
        start: np.ndarray,
        end: np.ndarray,
        height: float,
        texture: int,
        tint: Sequence[int] = (255, 255, 255),
        flags: int = 0,
        owner: int = NO_OWNER,
        across: tuple[float, float] = (0.0, 1.0),
        down: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Adds an upright rectangle.

        start, end: (3,), its lower left and lower right corners as seen from outside, metres
        height: metres
        texture: its index
        tint: by which its colours are multiplied
        flags: CUTOUT to SHELTERED
        owner: the building, or NO_OWNER
        across: u at the left and at the right edge
        down: v at the upper and at the lower edge
        """
        up = np.array([0, 0, height])
        corners = np.array([start, end, end + up, start + up])
        (left, right), (top, bottom) = across, down
        uv = np.array([[left, bottom], [right, bottom], [right, top], [left, top]])
        self.polygon(corners, uv, texture, tint, flags, owner)

    def build(self) -> Mesh:
        """The mesh of all faces so far."""
        if self._meshes:
            return Mesh.joined(self._meshes)
        return Mesh(
            np.zeros((0, 3), np.float32),
            np.zeros((0, 2), np.float32),
            np.zeros((0, 3), np.int32),
            np.zeros(0, np.int32),
            np.zeros((0, 3), np.uint8),
            np.zeros(0, np.uint8),
            np.zeros(0, np.int32),
        )
