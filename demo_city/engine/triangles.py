"""A mesh, made ready for drawing: sorted by cells of the ground, with what every triangle needs at every view."""

from typing import NamedTuple

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, Mesh

CELL = 16.0  # metres a side
FAR = 400.0  # metres: nothing beyond is drawn
DETAIL_FAR = 50.0


class Triangles(NamedTuple):
    """m triangles with an area, sorted by cell, and in it: opaque, opaque details, cutouts, details that are cutouts.

    corners: float32 (m, 3, 3), metres
    normal: float32 (m, 4): n and d with n p = d for points p of its plane
    across, down: float32 (m, 4): g and c, so that u (or v) of a point p of its plane is g p + c
    texture, owner: int32 (m,)
    tint: uint8 (m, 3)
    flags: uint8 (m,)
    repeats: uint8 (m,), 1 where the texture repeats
    first: int32 (c, 5), where the four kinds of each cell begin, and where the last ends
    low, high: float32 (c, 3), extent of each cell
    """

    corners: np.ndarray
    normal: np.ndarray
    across: np.ndarray
    down: np.ndarray
    texture: np.ndarray
    owner: np.ndarray
    tint: np.ndarray
    flags: np.ndarray
    repeats: np.ndarray
    first: np.ndarray
    low: np.ndarray
    high: np.ndarray


def triangles_of(mesh: Mesh) -> Triangles:
    """Sorts a mesh by cells, and works out the planes of its triangles. Those without an area are left out."""
    corners = np.asarray(mesh.points, np.float64)[mesh.faces]
    uv = np.asarray(mesh.uv, np.float64)[mesh.faces]
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    cross = np.cross(one, two)
    double = np.linalg.norm(cross, axis=1)
    kept = np.flatnonzero(double > 1e-7)
    kind = 2 * ((mesh.flags[kept] & CUTOUT) > 0) + ((mesh.flags[kept] & DETAIL) > 0)
    cell = np.floor(corners[kept].mean(1)[:, :2] / CELL).astype(np.int64)
    cell -= cell.min(0, initial=0)
    order = np.argsort((cell[:, 0] * (cell[:, 1].max(initial=0) + 1) + cell[:, 1]) * 4 + kind, kind="stable")
    kept, cell, kind = kept[order], cell[order], kind[order]

    corners, uv, one, two, double = corners[kept], uv[kept], one[kept], two[kept], double[kept, None]
    normal = cross[kept] / double
    # the gradients along the plane of a function that has given differences along two edges
    along_one, along_two = np.cross(two, normal) / double, np.cross(normal, one) / double
    gradients = []
    for axis in (0, 1):
        steps = uv[:, 1:, axis] - uv[:, :1, axis]
        gradient = along_one * steps[:, :1] + along_two * steps[:, 1:]
        gradients.append(_with_offset(gradient, uv[:, 0, axis] - (gradient * corners[:, 0]).sum(1)))
    edge = 1e-3
    begins = np.flatnonzero(np.any(np.diff(cell, axis=0, prepend=cell[:1] - 1) != 0, axis=1))
    return Triangles(
        corners.astype(np.float32),
        _with_offset(normal, (normal * corners[:, 0]).sum(1)),
        *gradients,
        mesh.texture[kept].astype(np.int32),
        mesh.owner[kept].astype(np.int32),
        np.ascontiguousarray(mesh.tint[kept]),
        mesh.flags[kept],
        ((uv < -edge) | (uv > 1 + edge)).any((1, 2)).astype(np.uint8),
        _kinds(kind, begins),
        *_extents(corners, begins),
    )


def _with_offset(vectors: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return np.concatenate([vectors, offset[:, None]], 1).astype(np.float32)


def _kinds(kind: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Where the kinds of each cell begin: int32 (c, 5)."""
    counts = np.add.reduceat((kind[:, None] == np.arange(4)).astype(np.int32), begins) if len(begins) else kind[:0]
    counts = counts.reshape(-1, 4)
    return np.concatenate([begins[:, None], begins[:, None] + np.cumsum(counts, 1)], 1).astype(np.int32)


def _extents(corners: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(begins):
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)
    low, high = np.minimum.reduceat(corners.min(1), begins), np.maximum.reduceat(corners.max(1), begins)
    return low.astype(np.float32), high.astype(np.float32)


class Nearby(NamedTuple):
    """The cells around a place, from near to far.

    cells: int32 (k,)
    detailed: bool (k,), whether their details are seen
    centre: float32 (k, 3), and reach: (k,), of spheres around them, metres
    """

    cells: np.ndarray
    detailed: np.ndarray
    centre: np.ndarray
    reach: np.ndarray

    def in_sight(self, position: np.ndarray, axes: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray]:
        """Which of them a camera may see: cells and detailed.

        position: (3,), metres
        axes: (3, 3), unit vectors to the right, down and forward
        spread: tangent of half its field of view
        """
        across, down, forward = axes.astype(np.float32) @ (self.centre - position.astype(np.float32)).T
        limit = forward * spread + self.reach * np.sqrt(1 + spread * spread)
        seen = (np.abs(across) < limit) & (np.abs(down) < limit) & (forward > -self.reach)
        return self.cells[seen], self.detailed[seen]


def nearby(triangles: Triangles, position: np.ndarray) -> Nearby:
    """Finds the cells around a place, (3,) in metres."""
    centre, size = (triangles.low + triangles.high) / 2, triangles.high - triangles.low
    reach = np.sqrt((size * size).sum(1)) / 2
    away = centre - position.astype(np.float32)
    distance = np.sqrt((away * away).sum(1)) - reach
    close = np.flatnonzero(distance < FAR)
    order = close[np.argsort(distance[close], kind="stable")]
    return Nearby(order.astype(np.int32), distance[order] < DETAIL_FAR, centre[order], reach[order])
