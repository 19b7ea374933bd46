"""What everything in the world is built of: simple bodies and their textures, and a kit that collects them.

A body is made in coordinates of its own (x along its front from left to right as seen from outside, y inwards, z up),
then moved to its place. `face` is what all its faces share: texture, tint, flags and owner.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from demo_city.engine.mesh import NO_OWNER, Mesh
from demo_city.engine.textures import TextureTable
from demo_city.looks.fixtures import Fixture
from demo_city.looks.houses import wall_texture
from demo_city.looks.plan import House
from demo_city.looks.signs import person_texture, sign_texture
from demo_city.looks.surfaces import bark_texture, ground_texture, leaves_texture, material_texture, plain_texture

SIGNS = 24  # different signs of a kind in a district, and different people: each costs a picture
WHITE, DARK, STEEL = (255, 255, 255), (34, 36, 38), (150, 154, 158)
AROUND = ("front", "right", "back", "left", "top")
CLOSED = (*AROUND, "bottom")
ENDS = ("front", "left", "right")
WHOLE = ((0, 1), (1, 1), (1, 0), (0, 0))  # uv of a quadrangle that shows a picture once
Point = Sequence[float]


def make(points: np.ndarray, uv: np.ndarray, faces: np.ndarray, **face: object) -> Mesh:
    """A mesh of points (n, 3), uv (n, 2) and faces (m, 3). Tints may also be (m, 3)."""
    count, face = len(faces), {"tint": WHITE, "flags": 0, "owner": NO_OWNER, **face}
    texture, owner, flags = (np.full(count, face[name], np.int32) for name in ("texture", "owner", "flags"))
    tint, (points, uv) = np.empty((count, 3), np.uint8), (np.asarray(each, np.float32) for each in (points, uv))
    tint[:] = face["tint"]
    return Mesh(points, uv, np.asarray(faces, np.int32), texture, tint, flags.astype(np.uint8), owner)


def polygon(corners: Sequence, uv: Sequence = WHOLE, **face: object) -> Mesh:
    """A convex polygon (k, 3), counter-clockwise from the lower left corner."""
    return make(corners, uv, [(0, k, k + 1) for k in range(1, len(corners) - 1)], **face)


def quads(corners: np.ndarray, uv: object = WHOLE, **face: object) -> Mesh:
    """Quadrangles (n, 4, 3), as those of `polygon`; uv: (n, 4, 2), or (4, 2) of each; tints may be (2 n, 3)."""
    k, uv = 4 * np.arange(len(corners))[:, None], np.broadcast_to(uv, (len(corners), 4, 2))
    faces = np.stack([k + (0, 1, 2), k + (0, 2, 3)], 1).reshape(-1, 3)
    return make(np.reshape(corners, (-1, 3)), uv.reshape(-1, 2), faces, **face)


# the corners of a box in the order: bottom 0 to 3, top 4 to 7, each counter-clockwise as seen from above
_CORNERS = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)])
_SIDES = {  # corners, and the axes along which a side is wide and high
    "front": ((0, 1, 5, 4), 0, 2),
    "right": ((1, 2, 6, 5), 1, 2),
    "back": ((2, 3, 7, 6), 0, 2),
    "left": ((3, 0, 4, 7), 1, 2),
    "top": ((4, 5, 6, 7), 0, 1),
    "bottom": ((3, 2, 1, 0), 0, 1),
}


def box(low: Point, high: Point, sides: Sequence[str] = AROUND, metres: float = 2.0, **face: object) -> Mesh:
    """A box between two corners; metres: size of a repetition of the texture, 0 puts all of it on each side."""
    low, size = np.asarray(low, float), np.subtract(high, low)
    corners = low + _CORNERS * size
    repeats = [[size[axis] / metres if metres else 1.0 for axis in _SIDES[side][1:]] for side in sides]
    return quads([corners[list(_SIDES[side][0])] for side in sides], np.array(repeats)[:, None] * WHOLE, **face)


def sheet(points: np.ndarray, uv: np.ndarray, **face: object) -> Mesh:
    """A grid of quads: points (a, b, 3); seen from above, b turns counter-clockwise from a; uv (a, b, 2)."""
    a, b = points.shape[:2]
    first = (np.arange(a - 1)[:, None] * b + np.arange(b - 1)).reshape(-1, 1)
    faces = np.concatenate([first + (0, b, b + 1), first + (0, b + 1, 1)])
    return make(points.reshape(-1, 3), np.reshape(uv, (-1, 2)), faces, **face)


def rod(start: Point, end: Point, radius: float | Sequence[float], sides: int = 4, **face: object) -> Mesh:
    """A round bar without ends; radius: metres, one or two (at start and end)."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    length = max(float(np.linalg.norm(b - a)), 1e-6)
    axis = (b - a) / length
    x, y, z = axis.tolist()
    side = np.array([0.0, -z, y] if abs(z) > 0.7 else [-y, x, 0.0])
    side /= np.linalg.norm(side)
    other = np.array([y * side[2] - z * side[1], z * side[0] - x * side[2], x * side[1] - y * side[0]])
    turn = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    ring, radii = np.cos(turn) * side + np.sin(turn) * other, np.broadcast_to(radius, 2)
    uv = grid(np.linspace(0, 1, sides + 1), [[0.0], [length]])
    return sheet(np.stack([b + ring * radii[1], a + ring * radii[0]]), uv, **face)


def prism(outline: np.ndarray, low: float, high: float, top: bool = True, **face: object) -> Mesh:
    """An upright body over a convex outline (k, 2), counter-clockwise; the texture repeats every 2 m."""
    ring = np.concatenate([outline, outline[:1]])
    rows = np.stack([np.column_stack([ring, np.full(len(ring), z)]) for z in (high, low)])
    run = runs(ring) / 2
    body = sheet(rows, grid(run, [[0.0], [(high - low) / 2]]), **face)
    return Mesh.joined([body, polygon(rows[0, :-1], outline / 2, **face)]) if top else body


def cone(outline: np.ndarray, low: float, tip: Point, **face: object) -> Mesh:
    """Triangles from an outline (k, 2), counter-clockwise, at height `low` to a tip (3,)."""
    count = len(outline)
    ring = np.column_stack([outline, np.full(count, low)])
    points = np.stack([ring, np.roll(ring, -1, 0), np.broadcast_to(tip, (count, 3))], 1)
    wide = np.hypot(*(points[:, 1] - points[:, 0]).T[:2]) / 2
    slant, zero = np.full(count, np.linalg.norm(ring[0] - tip) / 2), np.zeros(count)
    uv = np.stack([zero, slant, wide, slant, wide / 2, zero], 1)
    return make(points.reshape(-1, 3), uv.reshape(-1, 2), np.arange(3 * count).reshape(-1, 3), **face)


def circle(radius: float, sides: int, middle: Point = (0.0, 0.0)) -> np.ndarray:
    """Corners (sides, 2) of a regular polygon, counter-clockwise."""
    turn = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    return np.stack([middle[0] + radius * np.cos(turn), middle[1] + radius * np.sin(turn)], 1)


def rectangle(origin: Sequence, along: Sequence, x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
    """Corners (4, 2), counter-clockwise; x: metres along a unit vector (2,), y: to the left of it."""
    corners = np.array([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])])
    return origin + corners @ np.array([along, (-along[1], along[0])])


def widened(quad: np.ndarray, by: Sequence[float]) -> np.ndarray:
    """A convex counter-clockwise polygon (k, 2) whose sides are moved outwards by some metres each."""
    sides = np.roll(quad, -1, 0) - quad
    sides = sides / np.hypot(*sides.T)[:, None]
    corners = []
    for k, (x, y) in enumerate(quad.tolist()):
        last, this = by[k - 1], by[k]
        (ax, ay), (cx, cy) = sides[k - 1].tolist(), sides[k].tolist()
        turn = ax * cy - ay * cx  # from one side to the next; their outward normals are (y, -x)
        if abs(turn) < 0.05:
            corners.append((x + cy * this, y - cx * this))
        else:
            corners.append((x + (ax * this - cx * last) / turn, y + (ay * this - cy * last) / turn))
    return np.array(corners)


def runs(line: np.ndarray) -> np.ndarray:
    """Metres (n,) along a line (n, 2) from its start."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def along_line(line: np.ndarray, s: float | np.ndarray, distances: np.ndarray | None = None) -> np.ndarray:
    """Points (..., 2), s metres from the start of a line (n, 2); distances: its `runs`, if they are known."""
    distances = runs(line) if distances is None else distances
    return np.stack([np.interp(s, distances, line[:, k]) for k in (0, 1)], -1)


def ray(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The direction (2,) from a to b, the one to its left, and the distance."""
    (x, y), length = (b - a).tolist(), float(np.hypot(*(b - a)))
    return np.array([x, y]) / length, np.array([-y, x]) / length, length


def grid(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Texture coordinates (a, b, 2) of a sheet; u and v: of all its points, or of a row or a column (a, 1)."""
    return np.stack(np.broadcast_arrays(u, v), -1)


def level(xy: np.ndarray, z: float | np.ndarray) -> np.ndarray:
    """Points (..., 3) over points (..., 2) at heights z."""
    return np.concatenate([xy, np.broadcast_to(z, np.shape(xy)[:-1])[..., None]], -1)


def moved(mesh: Mesh, origin: Point, along: Point = (1.0, 0.0), scale: Sequence[float] | None = None) -> Mesh:
    """A copy that is scaled, whose x axis points along a horizontal unit vector (2,), and whose origin is at (3,)."""
    c, s = float(along[0]), float(along[1])
    x, y, z = mesh.points.T if scale is None else mesh.points.T * np.asarray(scale, np.float32)[:, None]
    points = np.stack([x * c - y * s + origin[0], x * s + y * c + origin[1], z + origin[2]], 1)
    return replace(mesh, points=points.astype(np.float32))


class Pictures:
    """Declares the textures of a district in a table, each once; all methods return its index. key: of the district."""

    def __init__(self, key: int):
        self.key, self.table = key, TextureTable()
        self.plain = self.table.index("plain", plain_texture)  # white, to be tinted
        self.wheel = self.table.index("wheel", partial(sign_texture, "wheel", 0))

    def ground(self, kind: str, variant: int = 0) -> int:
        """Repeats every 8 m."""
        return self.table.index(("ground", kind, variant), partial(ground_texture, kind, variant))

    def material(self, kind: str, variant: int = 0) -> int:
        """Wood, metal, stone and the like."""
        return self.table.index(("material", kind, variant), partial(material_texture, kind, variant))

    def leaves(self, kind: str, variant: int = 0) -> int:
        """A clump of leaves, a cutout."""
        return self.table.index(("leaves", kind, variant % 3), partial(leaves_texture, kind, variant % 3))

    def bark(self, kind: str, variant: int = 0) -> int:
        """Of a trunk."""
        return self.table.index(("bark", kind, variant), partial(bark_texture, kind, variant))

    def sign(self, kind: str, key: int) -> int:
        """A sign, poster or screen."""
        return self.table.index(("sign", kind, key % SIGNS), partial(sign_texture, kind, self.key + key % SIGNS))

    def person(self, key: int) -> int:
        """A figure, a cutout."""
        return self.table.index(("person", key % SIGNS), partial(person_texture, self.key + key % SIGNS))

    def wall(self, house: House, kind: str, piece: int, length: float, height: float) -> int:
        """One wall of a building; length and height in metres."""
        key = ("wall", house.key, kind, piece, round(length, 2), round(height, 2))
        return self.table.index(key, partial(wall_texture, house, kind, piece, length, height))

    def fixture(self, each: Fixture) -> int:
        """Of what sticks out of a wall."""
        return self.table.index(each.texture_key, lambda: each.texture)


class Kit:
    """Collects the bodies of one thing; variant: of its materials; owner: of all faces."""

    def __init__(self, pictures: Pictures, variant: int = 0, owner: int = NO_OWNER):
        self.pictures, self.variant, self.owner = pictures, variant, owner
        self.parts: list[Mesh] = []

    def add(self, body: object, *place: object, material: str | int = "", **rest: object) -> None:
        """Adds a body of this module: add(box, low, high, material="wood"); material: "" for plain, or a texture."""
        texture = material
        if isinstance(material, str):
            texture = self.pictures.material(material, self.variant) if material else self.pictures.plain
        self.parts.append(body(*place, texture=texture, owner=self.owner, **rest))

    def repeat(self, offsets: Sequence) -> None:
        """Puts the part that was added last at some offsets (n, 3) instead."""
        part = self.parts.pop()
        self.parts += [replace(part, points=part.points + np.asarray(offset, np.float32)) for offset in offsets]

    def done(self, origin: Point = (0.0, 0.0, 0.0), along: Point = (1.0, 0.0)) -> Mesh:
        """All parts in one mesh, moved to a place."""
        return moved(Mesh.joined(self.parts), origin, along)
