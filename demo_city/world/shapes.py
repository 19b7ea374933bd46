"""Meshes of simple bodies, of which everything in the world is built.

A body is made in coordinates of its own (x along its front from left to right as seen from outside, y inwards, z up),
then moved to its place with `moved`.
"""

from collections.abc import Sequence

import numpy as np

from demo_city.engine.mesh import NO_OWNER, Mesh

WHITE = (255, 255, 255)


def make(
    points: np.ndarray,
    uv: np.ndarray,
    faces: np.ndarray,
    texture: int,
    tint: Sequence[int] = WHITE,
    flags: int = 0,
    owner: int = NO_OWNER,
) -> Mesh:
    """A mesh whose faces share their texture, tint (3,), flags and owner; points (n, 3), uv (n, 2), faces (m, 3)."""
    count = len(faces)
    colours = np.empty((count, 3), np.uint8)
    colours[:] = np.clip(tint, 0, 255)
    return Mesh(
        np.asarray(points, np.float32),
        np.asarray(uv, np.float32),
        np.asarray(faces, np.int32),
        np.full(count, texture, np.int32),
        colours,
        np.full(count, flags, np.uint8),
        np.full(count, owner, np.int32),
    )


def quad(
    corners: Sequence,
    texture: int,
    tint: Sequence[int] = WHITE,
    flags: int = 0,
    owner: int = NO_OWNER,
    uv: Sequence | None = None,
) -> Mesh:
    """Four corners (4, 3), counter-clockwise from the lower left one; uv: of each, or the whole texture."""
    uv = ((0, 1), (1, 1), (1, 0), (0, 0)) if uv is None else uv
    return make(np.asarray(corners), uv, ((0, 1, 2), (0, 2, 3)), texture, tint, flags, owner)


# the corners of a box in the order: bottom 0 to 3, top 4 to 7, each counter-clockwise as seen from above
_SIDES = {
    "front": (0, 1, 5, 4),
    "right": (1, 2, 6, 5),
    "back": (2, 3, 7, 6),
    "left": (3, 0, 4, 7),
    "top": (4, 5, 6, 7),
    "bottom": (3, 2, 1, 0),
}
_AXES = {"front": (0, 2), "back": (0, 2), "left": (1, 2), "right": (1, 2), "top": (0, 1), "bottom": (0, 1)}


def box(
    low: Sequence[float],
    high: Sequence[float],
    texture: int,
    tint: Sequence[int] = WHITE,
    flags: int = 0,
    owner: int = NO_OWNER,
    sides: Sequence[str] = ("front", "right", "back", "left", "top"),
    metres: float = 1.0,
) -> Mesh:
    """A box between two corners (3,).

    texture, tint, flags, owner: of all faces
    sides: names of those that are there
    metres: size of a repetition of the texture; 0 puts the whole texture on each side
    """
    (x0, y0, z0), (x1, y1, z1) = low, high
    corners = np.array(
        [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0), (x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)]
    )
    size = np.array((x1 - x0, y1 - y0, z1 - z0)) / (metres or 1.0)
    points, uv = [], []
    for side in sides:
        points.append(corners[list(_SIDES[side])])
        across, up = (size[list(_AXES[side])]) if metres else (1.0, 1.0)
        uv += [(0, up), (across, up), (across, 0), (0, 0)]
    first = np.arange(len(sides))[:, None, None] * 4
    faces = (first + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return make(np.concatenate(points), uv, faces, texture, tint, flags, owner)


def rod(
    start: Sequence[float],
    end: Sequence[float],
    radius: float | tuple[float, float],
    texture: int,
    tint: Sequence[int] = WHITE,
    flags: int = 0,
    sides: int = 4,
) -> Mesh:
    """A round bar without ends; radius: metres, one or two (at start and end)."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    ra, rb = radius if isinstance(radius, tuple) else (radius, radius)
    length = np.linalg.norm(b - a)
    axis = (b - a) / max(length, 1e-6)
    helper = np.array([1.0, 0, 0]) if abs(axis[2]) > 0.7 else np.array([0, 0, 1.0])
    side = np.cross(axis, helper)
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    turn = np.linspace(0, 2 * np.pi, sides + 1)
    round_ = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * other
    points = np.concatenate([a + round_ * ra, b + round_ * rb])
    u = np.linspace(0, 1, sides + 1)
    uv = np.concatenate([np.stack([u, np.full(sides + 1, length)], 1), np.stack([u, np.zeros(sides + 1)], 1)])
    k, up = np.arange(sides), sides + 1
    faces = np.concatenate([np.stack([k, k + 1, k + 1 + up], 1), np.stack([k, k + 1 + up, k + up], 1)])
    return make(points, uv, faces, texture, tint, flags)


def prism(
    outline: np.ndarray,
    low: float,
    high: float,
    texture: int,
    tint: Sequence[int] = WHITE,
    flags: int = 0,
    top: bool = True,
) -> Mesh:
    """An upright body over a convex outline (k, 2), counter-clockwise; the texture repeats every metre."""
    count = len(outline)
    ring = np.concatenate([outline, outline[:1]])
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(ring, axis=0).T))])
    points = np.concatenate([np.column_stack([ring, np.full(count + 1, z)]) for z in (low, high)])
    uv = np.concatenate([np.stack([lengths, np.full(count + 1, v)], 1) for v in (high - low, 0.0)])
    k, up = np.arange(count), count + 1
    faces = [np.stack([k, k + 1, k + 1 + up], 1), np.stack([k, k + 1 + up, k + up], 1)]
    if top:
        points = np.concatenate([points, np.column_stack([outline, np.full(count, high)])])
        uv = np.concatenate([uv, outline])
        j = np.arange(1, count - 1)
        faces.append(np.stack([np.zeros_like(j), j, j + 1], 1) + 2 * up)
    return make(points, uv, np.concatenate(faces), texture, tint, flags)


def cone(
    outline: np.ndarray,
    low: float,
    tip: Sequence[float],
    texture: int,
    tint: Sequence[int] = WHITE,
    flags: int = 0,
    owner: int = NO_OWNER,
) -> Mesh:
    """Triangles from an outline (k, 2), counter-clockwise, at height `low` to a tip (3,)."""
    count = len(outline)
    tip = np.asarray(tip, float)
    ends = np.roll(outline, -1, 0)
    widths = np.hypot(*(ends - outline).T)
    slant = np.linalg.norm(np.column_stack([(outline + ends) / 2, np.full(count, low)]) - tip, axis=1)
    points = np.stack(
        [
            np.column_stack([outline, np.full(count, low)]),
            np.column_stack([ends, np.full(count, low)]),
            np.tile(tip, (count, 1)),
        ],
        1,
    )
    uv = np.stack(
        [np.stack([0 * slant, slant], 1), np.stack([widths, slant], 1), np.stack([widths / 2, 0 * slant], 1)], 1
    )
    return make(
        points.reshape(-1, 3), uv.reshape(-1, 2), np.arange(3 * count).reshape(-1, 3), texture, tint, flags, owner
    )


def strip(
    left: np.ndarray,
    right: np.ndarray,
    uv_left: np.ndarray,
    uv_right: np.ndarray,
    texture: int,
    tint: Sequence[int] = WHITE,
    flags: int = 0,
    owner: int = NO_OWNER,
) -> Mesh:
    """Quads between two lines (n, 3); seen from above, the first one is on the left of the direction of travel."""
    count = len(left)
    k = np.arange(count - 1)
    faces = np.concatenate([np.stack([k + count, k + 1 + count, k + 1], 1), np.stack([k + count, k + 1, k], 1)])
    return make(np.concatenate([left, right]), np.concatenate([uv_left, uv_right]), faces, texture, tint, flags, owner)


def sheet(
    points: np.ndarray,
    uv: np.ndarray,
    texture: int,
    tint: Sequence[int] = WHITE,
    flags: int = 0,
    owner: int = NO_OWNER,
) -> Mesh:
    """A grid of quads: points (a, b, 3); seen from above, b turns counter-clockwise from a; uv (a, b, 2)."""
    a, b = points.shape[:2]
    i, j = np.meshgrid(np.arange(a - 1), np.arange(b - 1), indexing="ij")
    first = (i * b + j).reshape(-1)
    faces = np.concatenate(
        [np.stack([first, first + b, first + b + 1], 1), np.stack([first, first + b + 1, first + 1], 1)]
    )
    return make(points.reshape(-1, 3), uv.reshape(-1, 2), faces, texture, tint, flags, owner)


def circle(radius: float, sides: int, middle: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
    """Corners (sides, 2) of a regular polygon, counter-clockwise."""
    turn = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    return np.stack([middle[0] + radius * np.cos(turn), middle[1] + radius * np.sin(turn)], 1)


def moved(
    mesh: Mesh,
    origin: Sequence[float],
    along: Sequence[float] = (1.0, 0.0),
) -> Mesh:
    """A copy whose x axis points along a horizontal unit vector (2,), and whose origin is at `origin` (3,)."""
    c, s = float(along[0]), float(along[1])
    x, y, z = mesh.points.T
    points = np.stack([x * c - y * s + origin[0], x * s + y * c + origin[1], z + origin[2]], 1).astype(np.float32)
    return Mesh(points, mesh.uv, mesh.faces, mesh.texture, mesh.tint, mesh.flags, mesh.owner)


def recoloured(mesh: Mesh, marked: np.ndarray, tint: Sequence[int]) -> Mesh:
    """A copy whose marked faces (m,) have another tint."""
    colours = mesh.tint.copy()
    colours[marked] = np.clip(tint, 0, 255)
    return Mesh(mesh.points, mesh.uv, mesh.faces, mesh.texture, colours, mesh.flags, mesh.owner)


def without_slivers(mesh: Mesh) -> Mesh:
    """The mesh without its faces of no area."""
    a, b, c = (mesh.points[mesh.faces[:, k]] for k in range(3))
    keep = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-6
    faces = (getattr(mesh, name)[keep] for name in ("faces", "texture", "tint", "flags", "owner"))
    return Mesh(mesh.points, mesh.uv, *faces)
