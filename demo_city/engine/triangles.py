"""A mesh, made ready for drawing: sorted by cells of the ground, with what every triangle needs at every view."""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from demo_city.engine.mesh import Mesh

CELL = 16.0  # metres a side
FAR = 400.0  # metres: nothing beyond is drawn
DETAIL_FAR = 50.0
REPEATS = 256  # a flag beside those of a mesh: the texture repeats

TRIANGLE = np.dtype(
    [
        ("corners", np.float32, (3, 3)),  # metres
        ("planes", np.float32, (4, 4)),  # products with (x, y, z, 1) are the distance from its plane, u, v, and 1
        ("stretch", np.float32),  # the area in a texture of 1 x 1 of a square metre
        ("texture", np.int32),
        ("owner", np.int32),
        ("flags", np.int32),
        ("tint", np.uint8, 4),  # red, green, blue, and nothing
    ],
    align=True,
)
_known: WeakKeyDictionary[Mesh, "Triangles"] = WeakKeyDictionary()


class Triangles(NamedTuple):
    """Triangles that have an area, sorted by cell."""

    each: np.ndarray  # TRIANGLE (m,)
    first: np.ndarray  # int64 (c + 1,), where each cell begins, and where the last one ends
    boxes: np.ndarray  # float32 (c, 2, 3), lowest and highest coordinates of each cell

    def around(self, place: np.ndarray) -> tuple[np.ndarray, int]:
        """The cells that may be seen from a place (3,), from near to far, and how many of them with their details."""
        low, high = self.boxes[:, 0], self.boxes[:, 1]
        away = np.linalg.norm(np.maximum(np.maximum(low - place, place - high), 0), axis=1)
        return np.argsort(away, kind="stable")[: (away < FAR).sum()], int((away < DETAIL_FAR).sum())


def triangles_of(mesh: Mesh) -> Triangles:
    """Sorts a mesh by cells, and works out the planes of its triangles; the same mesh only once."""
    if mesh not in _known:
        _known[mesh] = _sorted(mesh)
    return _known[mesh]


def _sorted(mesh: Mesh) -> Triangles:
    corners = mesh.points[mesh.faces].astype(np.float64)
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    cross = np.cross(one, two)
    double = np.linalg.norm(cross, axis=1)
    kept = np.flatnonzero(double > 1e-7)
    cell = np.floor(corners[kept].mean(1)[:, :2] / CELL).astype(np.int64) @ [1 << 20, 1]
    order = np.argsort(cell, kind="stable")
    kept, cell = kept[order], cell[order]

    each = np.zeros(len(kept), TRIANGLE)
    corners, one, two, double, uv = corners[kept], one[kept], two[kept], double[kept, None], mesh.uv[mesh.faces[kept]]
    normal = cross[kept] / double
    # the gradients along the plane of a function that has given differences along two edges
    along_one, along_two = np.cross(two, normal) / double, np.cross(normal, one) / double
    each["planes"][:, 3, 3] = 1
    each["planes"][:, 0, :3], each["planes"][:, 0, 3] = normal, -(normal * corners[:, 0]).sum(1)
    for axis in (0, 1):
        steps = uv[:, 1:, axis] - uv[:, :1, axis]
        gradient = along_one * steps[:, :1] + along_two * steps[:, 1:]
        each["planes"][:, axis + 1, :3] = gradient
        each["planes"][:, axis + 1, 3] = uv[:, 0, axis] - (gradient * corners[:, 0]).sum(1)
    across, down = each["planes"][:, 1, :3], each["planes"][:, 2, :3]
    each["stretch"] = np.linalg.norm(np.cross(across, down), axis=1)
    each["corners"], each["texture"], each["owner"] = corners, mesh.texture[kept], mesh.owner[kept]
    repeats = ((uv < -1e-3) | (uv > 1 + 1e-3)).any((1, 2))
    each["flags"], each["tint"][:, :3] = mesh.flags[kept] + repeats * np.int32(REPEATS), mesh.tint[kept]
    first = np.flatnonzero(np.diff(cell, prepend=-1 << 62))
    boxes = np.minimum.reduceat(corners.min(1), first), np.maximum.reduceat(corners.max(1), first)
    return Triangles(each, np.append(first, len(kept)), np.stack(boxes, 1).astype(np.float32))
