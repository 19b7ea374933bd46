"""Roofs over four-cornered buildings, and what stands on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demo_city.engine.mesh import DETAIL, Mesh
from demo_city.looks.houses import House, fixtures
from demo_city.world import shapes
from demo_city.world.kit import Kit
from demo_city.world.pictures import Pictures


@dataclass
class RoofPlace:
    """Where a roof goes.

    quad: (4, 2), the walls' corners, counter-clockwise, the front's left one first
    eaves: height of the walls' upper edge, metres
    rise: of the ridge above the eaves, metres
    across: whether the ridge runs from front to back
    open_sides: of the four walls, which have no neighbour
    overhang: metres
    owner: the building
    """

    quad: np.ndarray
    eaves: float
    rise: float
    across: bool
    open_sides: tuple[bool, bool, bool, bool]
    overhang: float
    owner: int


def build_roof(
    pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator, detail: bool
) -> list[Mesh]:
    """The roof of a building: its planes, gables, parapets, dormers, chimneys and plant."""
    forms = {"gable": _gable, "hip": _hip, "mansard": _mansard, "shed": _shed, "sawtooth": _sawtooth, "barrel": _barrel}
    meshes = forms.get(house.roof, _flat)(pictures, house, place, rng)
    if house.roof in ("gable", "mansard") and not place.across and detail:
        meshes += _dormers(pictures, house, place)
    if house.roof in ("gable", "hip", "mansard") and house.use != "church" and rng.random() < 0.75:
        meshes += _chimneys(pictures, house, place, rng)
    if house.roof == "flat" and detail:
        meshes += _plant(pictures, house, place, rng)
    return meshes


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


def _plane(
    pictures: Pictures,
    house: House,
    piece: int,
    corners: Sequence,
    owner: int,
    uv: Sequence | None = None,
    kind: str = "roof",
    flags: int = 0,
) -> Mesh:
    """A part of a roof (3 or 4 corners, (k, 3)), the first two along its lower edge."""
    corners = np.asarray(corners, float)
    length = float(np.linalg.norm(corners[1] - corners[0]))
    height = float(np.linalg.norm((corners[2:] - corners[:2].mean(0)).mean(0)))
    texture = pictures.wall(house, kind, piece, max(length, 0.5), max(height, 0.5))
    if len(corners) == 4:
        return shapes.quad(corners, texture, owner=owner, uv=uv, flags=flags)
    uv = ((0, 1), (1, 1), (0.5, 0)) if uv is None else uv
    return shapes.make(corners, uv, ((0, 1, 2),), texture, owner=owner, flags=flags)


def _lift(points: np.ndarray, z: float) -> np.ndarray:
    return np.column_stack([points, np.full(len(points), z)])


def _ridged(place: RoofPlace) -> tuple[np.ndarray, tuple[bool, ...]]:
    """The corners and open sides, turned so that the ridge runs along the first side."""
    shift = 1 if place.across else 0
    return np.roll(place.quad, -shift, 0), tuple(np.roll(place.open_sides, -shift))


def _gable(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    quad, open_sides = _ridged(place)
    over = [place.overhang if is_open else 0.0 for is_open in open_sides]
    over[0] = over[2] = place.overhang
    outer = widened(quad, over)
    top = place.eaves + place.rise
    depth = max(np.hypot(*(quad[2] - quad[1])), 1.0)
    drop = place.overhang * place.rise / (depth / 2)  # the eaves hang lower than the walls' edge
    (a, b, c, d), low = _lift(outer, place.eaves - drop), place.eaves
    left, right = (a + d) / 2, (b + c) / 2
    left[2] = right[2] = top
    meshes = [
        _plane(pictures, house, 0, (a, b, right, left), place.owner),
        _plane(pictures, house, 1, (c, d, left, right), place.owner),
    ]
    for piece, (p, q) in enumerate(((1, 2), (3, 0))):
        wall = _lift(quad[[p, q]], low)
        tip = wall.mean(0)
        tip[2] = top
        meshes.append(_plane(pictures, house, piece, (*wall, tip), place.owner, kind="gable"))
    if place.across and not place.overhang:
        meshes += _steps(pictures, house, place, rng)
    elif place.overhang:
        meshes += _undersides(pictures, outer, place.eaves - drop, quad, place)
    return meshes


def _undersides(pictures: Pictures, outer: np.ndarray, low: float, quad: np.ndarray, place: RoofPlace) -> list[Mesh]:
    """Boards below the eaves, seen from the street."""
    meshes = []
    for k in (0, 2):
        a, b = _lift(outer[[k, (k + 1) % 4]], low)
        c, d = _lift(quad[[(k + 1) % 4, k]], place.eaves - 0.02)
        meshes.append(shapes.quad((b, a, d, c), pictures.plain, (150, 140, 128), owner=place.owner))
    return meshes


def _steps(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    """A stepped or straight gable wall that stands above the roof's edge."""
    a, b = place.quad[0], place.quad[1]
    width = float(np.hypot(*(b - a)))
    count = int(rng.integers(3, 6))
    texture = pictures.wall(house, "chimney", 0, 2.0, 2.0)
    meshes = []
    for n in range(count):
        low, high = place.eaves + place.rise * n / count, place.eaves + place.rise * (n + 1) / count + 0.35
        for left, right in ((n, n + 1), (2 * count - n - 1, 2 * count - n)):
            meshes.append(
                shapes.box(
                    (width * left / 2 / count, 0.0, low), (width * right / 2 / count, 0.35, high), texture, metres=2.0,
                    owner=place.owner,
                )
            )  # fmt: skip
    return [shapes.moved(mesh, (*a, 0.0), (b - a) / width) for mesh in meshes]


def _hip(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    over = [place.overhang if is_open else 0.0 for is_open in place.open_sides]
    over[0] = over[2] = place.overhang
    outer = widened(place.quad, over)
    if np.hypot(*(outer[1] - outer[0])) < np.hypot(*(outer[2] - outer[1])):
        outer = np.roll(outer, -1, 0)
    a, b, c, d = _lift(outer, place.eaves - 0.1)
    width, depth = np.linalg.norm(b - a), np.linalg.norm(c - b)
    share = min(depth / 2 / width, 0.5)
    left, right = (a + d) / 2, (b + c) / 2
    left, right = left + (right - left) * share, right + (left - right) * share
    left[2] = right[2] = place.eaves + place.rise
    ends = ((share, 0), (1 - share, 0))
    meshes = [
        _plane(pictures, house, 0, (a, b, right, left), place.owner, ((0, 1), (1, 1), ends[1], ends[0])),
        _plane(pictures, house, 1, (b, c, right), place.owner),
        _plane(pictures, house, 2, (c, d, left, right), place.owner, ((0, 1), (1, 1), ends[1], ends[0])),
        _plane(pictures, house, 3, (d, a, left), place.owner),
    ]
    if place.overhang:
        meshes.append(shapes.quad((d, c, b, a), pictures.plain, (150, 140, 128), owner=place.owner))
    return meshes


def _frustum(
    pictures: Pictures, house: House, quad: np.ndarray, insets: Sequence[float], low: float, high: float, owner: int
) -> tuple[list[Mesh], np.ndarray]:
    """Slopes from a quad up to a smaller one; sides without inset are upright walls. Returns the upper quad too."""
    upper = widened(quad, [-inset for inset in insets])
    a, b = _lift(quad, low), _lift(upper, high)
    meshes = []
    for k in range(4):
        j = (k + 1) % 4
        if insets[k] > 0:
            left = insets[k - 1] / max(np.hypot(*(quad[j] - quad[k])), 1.0)
            right = insets[j] / max(np.hypot(*(quad[j] - quad[k])), 1.0)
            uv = ((0, 1), (1, 1), (1 - right, 0), (left, 0))
            meshes.append(_plane(pictures, house, k, (a[k], a[j], b[j], b[k]), owner, uv))
        else:
            texture = pictures.wall(house, "gable", k, 6.0, 3.0)
            meshes.append(shapes.quad((a[k], a[j], b[j], b[k]), texture, owner=owner))
    return meshes, upper


def _mansard(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    steep = rng.uniform(0.5, 1.1)
    insets = [steep if is_open else 0.0 for is_open in place.open_sides]
    insets[0] = insets[2] = steep
    knee = place.eaves + place.rise * 0.82
    meshes, upper = _frustum(pictures, house, place.quad, insets, place.eaves, knee, place.owner)
    flatter = [1.6 if inset else 0.0 for inset in insets]
    more, lid = _frustum(pictures, house, upper, flatter, knee, place.eaves + place.rise, place.owner)
    top = _plane(pictures, house, 5, _lift(lid, place.eaves + place.rise), place.owner)
    return [*meshes, *more, top]


def _shed(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    quad = np.roll(place.quad, 2, 0) if place.across else place.quad
    a, b, c, d = _lift(quad, place.eaves)
    up = np.array([0, 0, place.rise])
    return [
        _plane(pictures, house, 0, (a, b, c + up, d + up), place.owner),
        _plane(pictures, house, 0, (b, c, c + up), place.owner, ((0, 1), (1, 1), (1, 0)), "gable"),
        _plane(pictures, house, 1, (d, a, d + up), place.owner, ((0, 1), (1, 1), (0, 0)), "gable"),
        _plane(pictures, house, 2, (c, d, d + up, c + up), place.owner, kind="gable"),
    ]


def _sawtooth(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    a, b, c, d = _lift(place.quad, place.eaves)
    count = max(int(np.linalg.norm(b - a) / 6), 2)
    up = np.array([0, 0, place.rise])
    glass = pictures.material("glass")
    meshes = []
    for n in range(count):
        s, t = n / count, (n + 1) / count
        p, q, r, o = a + (b - a) * s, a + (b - a) * t, d + (c - d) * t, d + (c - d) * s
        meshes += [
            shapes.quad((q, r, r + up, q + up), glass, owner=place.owner, uv=((0, 2), (6, 2), (6, 0), (0, 0))),
            _plane(pictures, house, 0, (o, p, q + up, r + up), place.owner),
            _plane(pictures, house, 0, (p, q, q + up), place.owner, ((0, 1), (1, 1), (1, 0)), "gable"),
            _plane(pictures, house, 1, (r, o, r + up), place.owner, ((0, 1), (1, 1), (0, 0)), "gable"),
        ]
    return meshes


def _barrel(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    quad, _ = _ridged(place)
    a, b, c, d = _lift(quad, place.eaves)
    turn = np.linspace(0, np.pi, 8)
    share, up = (1 - np.cos(turn)) / 2, np.sin(turn) * place.rise
    rows = []
    for s, z in zip(share, up, strict=True):
        row = np.stack([b + (c - b) * s, a + (d - a) * s])
        row[:, 2] += z
        rows.append(row)
    points = np.array(rows)  # (8, 2, 3), from the front eaves over the top to the back
    length = float(np.linalg.norm(b - a))
    texture = pictures.wall(house, "roof", 0, length, place.rise * 3)
    uv = np.stack(np.broadcast_arrays(np.array([1.0, 0.0]), (1 - turn / np.pi)[:, None]), -1)
    meshes = [
        shapes.sheet(points[:, ::-1].transpose(1, 0, 2), uv[:, ::-1].transpose(1, 0, 2), texture, owner=place.owner)
    ]
    gable = pictures.wall(house, "gable", 0, float(np.linalg.norm(c - b)), place.rise)
    for column, order in ((0, 1), (1, -1)):
        ring = points[:, column]
        flat = np.stack([share, 1 - up / place.rise], 1)
        k = np.arange(1, len(ring) - 1)
        faces = np.stack([np.zeros_like(k), k, k + 1], 1)[:, ::order]
        # from b over the top to c is clockwise as seen from outside
        meshes.append(shapes.make(ring, flat, faces[:, ::-1], gable, owner=place.owner))
    return meshes


def _flat(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    height = max(place.rise, 0.05)
    thick = 0.3
    inner = widened(place.quad, [-thick] * 4)
    top, deck = place.eaves + height, place.eaves + 0.02
    texture = pictures.wall(house, "chimney", 1, 2.0, 2.0)
    meshes = []
    outer, inside = _lift(place.quad, top), _lift(inner, top)
    for k in range(4):
        j = (k + 1) % 4
        length = np.linalg.norm(outer[j] - outer[k])
        uv = ((0, height / 2), (length / 2, height / 2), (length / 2, 0), (0, 0))
        low = np.array([0, 0, height])
        meshes.append(
            shapes.quad((outer[k] - low, outer[j] - low, outer[j], outer[k]), texture, owner=place.owner, uv=uv)
        )
        meshes.append(
            shapes.quad((inside[j] - low, inside[k] - low, inside[k], inside[j]), texture, owner=place.owner, uv=uv)
        )
        uv = ((0, 0.15), (length / 2, 0.15), (length / 2, 0), (0, 0))
        meshes.append(shapes.quad((outer[k], outer[j], inside[j], inside[k]), texture, owner=place.owner, uv=uv))
    meshes.append(_plane(pictures, house, 0, _lift(inner, deck), place.owner))
    return meshes


def _dormers(pictures: Pictures, house: House, place: RoofPlace) -> list[Mesh]:
    a, b, c = place.quad[:3]
    length = float(np.hypot(*(b - a)))
    run = 0.8 if house.roof == "mansard" else float(np.hypot(*(c - b))) / 2
    rise = place.rise * (0.82 if house.roof == "mansard" else 1.0)
    slope = float(np.hypot(run, rise))
    meshes = []
    for each in fixtures(house, "roof", length):
        if each.kind != "dormer" or each.high * 0.8 > slope:
            continue
        texture = pictures.table.index(each.texture_key, lambda each=each: each.texture)
        y, z = each.low * run / slope, each.low * rise / slope
        tall = min(each.high - each.low, rise - z)
        back = y + tall * run / rise + 0.1
        low, high = (each.left, y, z), (each.right, back, z + tall)
        meshes.append(shapes.box(low, high, texture, each.tint, sides=("front",), metres=0, owner=place.owner))
        meshes.append(
            shapes.box(low, high, pictures.plain, (128, 128, 130), sides=("left", "right"), owner=place.owner)
        )
        meshes.append(_small_roof(pictures, low, high, place.owner, pointed=house.key % 2 == 0))
    return [shapes.moved(mesh, (*a, place.eaves), (b - a) / length) for mesh in meshes]


def _small_roof(pictures: Pictures, low: Sequence, high: Sequence, owner: int, pointed: bool) -> Mesh:
    """Over a dormer between two corners (3,)."""
    x0, x1, y0, y1, z = low[0] - 0.1, high[0] + 0.1, low[1] - 0.15, high[1], high[2]
    tiles, tint = pictures.material("metal"), (110, 112, 116)
    if not pointed:
        return shapes.quad(((x0, y0, z), (x1, y0, z), (x1, y1, z + 0.1), (x0, y1, z + 0.1)), tiles, tint, owner=owner)
    middle, tip = (x0 + x1) / 2, z + (x1 - x0) * 0.35
    ridge, end = (middle, y0, tip), (middle, y1 + 0.4, tip)
    slopes = ((x0, y1, z), (x0, y0, z), ridge, end), ((x1, y0, z), (x1, y1, z), end, ridge)
    front, uv = ((x0, y0, z), (x1, y0, z), ridge), ((0, 1), (1, 1), (0.5, 0))
    gable = shapes.make(front, uv, ((0, 1, 2),), pictures.plain, (200, 196, 190), owner=owner)
    return Mesh.joined([gable, *(shapes.quad(slope, tiles, tint, owner=owner) for slope in slopes)])


def _spots(place: RoofPlace, shares: Sequence[tuple[float, float]]) -> tuple[list[np.ndarray], np.ndarray]:
    """Places (2,) on a roof, by shares of its front and depth; and the front's direction (2,)."""
    a, b, c, d = place.quad
    spots = [(1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c) for u, v in shares]
    return spots, (b - a) / np.hypot(*(b - a))


def _chimneys(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    texture, meshes = pictures.wall(house, "chimney", 0, 2.0, 2.0), []
    shares = rng.choice([0.08, 0.3, 0.62, 0.92], rng.integers(1, 3), replace=False)
    spots, along = _spots(place, [(u, rng.uniform(0.35, 0.65)) for u in shares])
    for spot in spots:
        kit, wide, deep = Kit(pictures, rng, owner=place.owner), rng.uniform(0.5, 1.3), rng.uniform(0.45, 0.6)
        low, high = place.eaves + place.rise * 0.3, place.eaves + place.rise + rng.uniform(0.4, 1.3)
        ends = (-wide / 2, -deep / 2, low), (wide / 2, deep / 2, high)
        kit.add(shapes.box(*ends, texture, metres=2, owner=place.owner))
        for x in np.arange(0.2 - wide / 2, wide / 2 - 0.1, 0.35):
            kit.box((x - 0.09, -0.09, high), (x + 0.09, 0.09, high + 0.35), (150, 92, 66), flags=DETAIL)
        meshes.append(shapes.moved(kit.done(), (*spot, 0.0), along))
    return meshes


def _plant(pictures: Pictures, house: House, place: RoofPlace, rng: np.random.Generator) -> list[Mesh]:
    """Stair heads, tanks, coolers and masts on a flat roof."""
    (a, b, c), meshes = place.quad[:3], []
    area = float(np.hypot(*(b - a)) * np.hypot(*(c - b)))
    spots, along = _spots(place, rng.uniform(0.2, 0.8, (int(rng.integers(1, 3 + min(area / 150, 3))), 2)))
    for spot in spots:
        kit, grey, w = Kit(pictures, rng, house.key % 4), (rng.uniform(140, 220),) * 3, rng.uniform(0.5, 1.3)
        kind = kit.pick("room", "cooler", "tank", "mast", "cooler")
        if kind == "room":
            kit.box((-1.8 * w, -1.2 * w, 0), (1.8 * w, 1.2 * w, rng.uniform(2.2, 3.2)), grey, "plaster")
        elif kind == "tank":
            kit.drum(w, 0, 1.6, (90, 84, 80), "metal", top=False)
            kit.drum(w * 1.2, 1.6, 4.0, (200, 180, 160), "planks", top=False)
            kit.cone(w * 1.3, 4.0, 5.0, (96, 92, 90))
        elif kind == "mast":
            kit.rod((0, 0, 0), (0, 0, rng.uniform(2, 5)), 0.05, (120, 120, 124), flags=DETAIL, sides=3)
        else:
            kit.box((-w, -0.6, 0), (w, 0.6, rng.uniform(0.8, 1.6)), grey, "metal")
        meshes.append(shapes.moved(kit.done(), (*spot, place.eaves), along))
    return meshes
