"""Buildings: their walls, arcades and what sticks out of them. Their roofs are in `roofs`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, EMITS, TWO_SIDED, Mesh
from demo_city.looks.houses import Fixture, House, fixtures
from demo_city.seeds import random_for
from demo_city.world import shapes
from demo_city.world.pictures import Pictures
from demo_city.world.roofs import RoofPlace, build_roof
from demo_city.world.terrain import Terrain

ARCADE_DEPTH = 2.4


@dataclass
class Building:
    """One building.

    quad: (4, 2), corners, counter-clockwise; the first two are the front's left and right end
    house: what its pictures are made from
    floor: height of the ground floor, metres
    walls: kinds of the four walls, see looks.houses.wall_texture
    rise, across, overhang: of the roof, see roofs.RoofPlace
    arcade: whether the ground floor stands back behind columns
    near: whether it can be seen from where pictures are taken; others have fewer parts
    index: what owner means in its faces
    """

    quad: np.ndarray
    house: House
    floor: float
    walls: tuple[str, str, str, str]
    rise: float
    across: bool
    overhang: float
    arcade: bool
    near: bool
    index: int

    @property
    def eaves(self) -> float:
        """Height of the walls' upper edge, metres."""
        return self.floor + self.house.height


def build_building(pictures: Pictures, terrain: Terrain, building: Building) -> list[Mesh]:
    """All triangles of a building."""
    rng = random_for(building.house.key, "body")
    meshes = []
    ground = terrain.height(building.quad)
    for k, kind in enumerate(building.walls):
        meshes += _wall(pictures, building, k, kind, float(min(ground[k], ground[(k + 1) % 4])))
    if building.arcade:
        meshes += _arcade(pictures, building, rng)
    open_sides = tuple(kind != "party" for kind in building.walls)
    place = RoofPlace(
        building.quad,
        building.eaves,
        building.rise,
        building.across,
        open_sides,
        building.overhang,
        building.index,
    )
    meshes += build_roof(pictures, building.house, place, rng, building.near)
    if building.house.use == "church":
        meshes += _steeple(pictures, building, rng)
    return meshes


def _wall(pictures: Pictures, building: Building, k: int, kind: str, ground: float) -> list[Mesh]:
    """Wall k with its plinth and fixtures; ground: the lowest height of the ground before it."""
    house, index = building.house, building.index
    a, b = building.quad[k], building.quad[(k + 1) % 4]
    length = float(np.hypot(*(b - a)))
    along = (b - a) / length
    texture = pictures.wall(house, kind, k, length, house.height)
    meshes = []
    parts = [(0.0, length, 0.0, house.height)]
    if building.arcade:
        # the ground floor of the front is put back, and those of its neighbours begin there
        back = ARCADE_DEPTH if k == 0 else 0.0
        start, end = (ARCADE_DEPTH if k == 1 else 0.0), length - (ARCADE_DEPTH if k == 3 else 0.0)
        parts = [(0.0, length, house.ground_height, house.height), (start, end, 0.0, house.ground_height)]
    for number, (left, right, low, high) in enumerate(parts):
        y = back if building.arcade and number == 1 else 0.0
        corners = ((left, y, low), (right, y, low), (right, y, high), (left, y, high))
        u, v = (left / length, right / length), (1 - high / house.height, 1 - low / house.height)
        uv = ((u[0], v[1]), (u[1], v[1]), (u[1], v[0]), (u[0], v[0]))
        meshes.append(shapes.quad(corners, texture, owner=index, uv=uv))
    foot = ground - building.floor - 0.5
    if kind != "party" and foot < -0.05:
        stone = pictures.material(("stone", "plaster", "concrete", "brick")[house.key % 4])
        y = -0.03
        uv = ((0, -foot / 2), (length / 2, -foot / 2), (length / 2, 0), (0, 0))
        corners = ((0, y, foot), (length, y, foot), (length, y, 0.02), (0, y, 0.02))
        meshes.append(shapes.quad(corners, stone, (190, 188, 184), owner=index, uv=uv))
    if building.near or kind == "front":
        for each in fixtures(house, kind, length):
            if building.near or each.kind in ("cornice", "bay", "balcony"):
                meshes += _fixture(pictures, each, index, building.arcade and k == 0)
    return [shapes.moved(mesh, (*a, building.floor), along) for mesh in meshes]


def _arcade(pictures: Pictures, building: Building, rng: np.random.Generator) -> list[Mesh]:
    """Columns, ceiling and floor of an arcade."""
    house = building.house
    a, b = building.quad[:2]
    length, high = float(np.hypot(*(b - a))), house.ground_height
    texture = pictures.material(("stone", "plaster", "concrete")[house.key % 3])
    tint = (rng.uniform(180, 245),) * 3
    d, owner = ARCADE_DEPTH, building.index
    meshes = [
        shapes.quad(((0, d, high), (length, d, high), (length, 0, high), (0, 0, high)), texture, tint, owner=owner),
        shapes.quad(
            ((0, 0, 0.02), (length, 0, 0.02), (length, d, 0.02), (0, d, 0.02)), pictures.ground("slabs", house.key % 4),
            uv=((0, 0), (length / 8, 0), (length / 8, 0.3), (0, 0.3)),
        ),
    ]  # fmt: skip
    count = max(int(length / rng.uniform(2.6, 4.2)), 1)
    round_ = rng.random() < 0.35
    for x in np.linspace(0.25, length - 0.25, count + 1):
        if round_:
            meshes.append(shapes.prism(shapes.circle(0.2, 7, (x, 0.25)), -0.6, high, texture, tint, top=False))
            meshes.append(shapes.box((x - 0.28, 0, high - 0.3), (x + 0.28, 0.5, high), texture, tint, owner=owner))
        else:
            meshes.append(shapes.box((x - 0.24, 0, -0.6), (x + 0.24, 0.48, high), texture, tint, owner=owner, metres=2))
    if rng.random() < 0.5:  # lintels
        meshes.append(shapes.box((0, 0.02, high - 0.45), (length, 0.4, high), texture, tint, owner=owner, metres=2))
    return [shapes.moved(mesh, (*a, building.floor), (b - a) / length) for mesh in meshes]


def _fixture(pictures: Pictures, each: Fixture, owner: int, arcade: bool) -> list[Mesh]:
    """What sticks out of a wall, in the wall's own coordinates."""
    texture = pictures.table.index(each.texture_key, lambda: each.texture)
    low, high = (each.left, -each.depth, each.low), (each.right, 0.0, each.high)
    makers = {"balcony": _balcony, "awning": _awning, "blade": _blade, "steps": _steps, "fire_escape": _fire_escape}
    if each.kind == "column" and arcade:
        return []
    if each.kind in makers:
        return makers[each.kind](pictures, each, texture, owner)
    flags = DETAIL if each.kind in ("pipe", "air_conditioner") else EMITS * 0
    if each.kind in ("bay", "board"):
        front = shapes.box(low, high, texture, each.tint, flags, owner, ("front",), metres=0)
        rest = shapes.box(
            low, high, pictures.plain, _mixed(each.tint), flags, owner, ("left", "right", "top", "bottom")
        )
        return [front, rest]
    return [shapes.box(low, high, texture, each.tint, flags, owner, ("front", "left", "right", "top", "bottom"), 2.0)]


def _mixed(tint: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(150 + 0.25 * value) for value in tint)


def _balcony(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    x0, x1, y = each.left, each.right, -each.depth
    slab = shapes.box((x0, y, each.low), (x1, 0, each.low + 0.15), pictures.plain, (176, 172, 166), 0, owner,
                      ("front", "left", "right", "bottom", "top"))  # fmt: skip
    low, high = each.low + 0.15, min(each.high, each.low + 1.25)
    flags = CUTOUT | TWO_SIDED if (each.texture_key and "rail" in str(each.texture_key)) else TWO_SIDED
    rails = [
        shapes.quad(((x0, y, low), (x1, y, low), (x1, y, high), (x0, y, high)), texture, each.tint, flags, owner),
        shapes.quad(((x0, 0, low), (x0, y, low), (x0, y, high), (x0, 0, high)), texture, each.tint, flags, owner,
                    ((0, 1), (0.3, 1), (0.3, 0), (0, 0))),
        shapes.quad(((x1, y, low), (x1, 0, low), (x1, 0, high), (x1, y, high)), texture, each.tint, flags, owner,
                    ((0, 1), (0.3, 1), (0.3, 0), (0, 0))),
    ]  # fmt: skip
    return [slab, *rails]


def _awning(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    x0, x1, y = each.left, each.right, -each.depth
    edge = each.low + 0.25
    slope = ((x0, y, edge), (x1, y, edge), (x1, -0.02, each.high), (x0, -0.02, each.high))
    fall = ((x0, y, each.low), (x1, y, each.low), (x1, y, edge), (x0, y, edge))
    return [
        shapes.quad(slope, texture, each.tint, TWO_SIDED, owner, ((0, 0.8), (1, 0.8), (1, 0), (0, 0))),
        shapes.quad(fall, texture, each.tint, TWO_SIDED, owner, ((0, 1), (1, 1), (1, 0.8), (0, 0.8))),
    ]


def _blade(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    x, y, t = (each.left + each.right) / 2, -each.depth, max((each.right - each.left) / 2, 0.06)
    low, high = (x - t, y, each.low), (x + t, -0.15, each.high)
    return [
        shapes.box(low, high, texture, each.tint, 0, owner, ("left", "right"), metres=0),
        shapes.box(low, high, pictures.plain, (90, 90, 92), 0, owner, ("front", "top", "bottom")),
        shapes.box(
            (x - 0.03, -0.16, each.high - 0.2), (x + 0.03, 0, each.high - 0.1), pictures.plain, (60, 60, 60), DETAIL
        ),
    ]


def _steps(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    rise = each.high - max(each.low, 0.0)
    count = max(int(round(rise / 0.17)), 1)
    deep = each.depth / count
    return [
        shapes.box(
            (each.left, -each.depth + n * deep, -0.5), (each.right, 0, rise * (n + 1) / count), texture, each.tint, 0,
            owner, ("front", "left", "right", "top"), 2.0,
        )
        for n in range(count)
    ]  # fmt: skip


def _fire_escape(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    meshes, iron = [], (58, 54, 52)
    x0, x1, y = each.left, each.right, -each.depth
    for n, z in enumerate(np.arange(each.low, each.high - 1, 3.2)):
        meshes.append(shapes.box((x0, y, z), (x1, 0, z + 0.08), pictures.plain, iron, 0, owner,
                                 ("front", "left", "right", "top", "bottom")))  # fmt: skip
        for height in (0.5, 1.0):
            meshes.append(shapes.rod((x0, y, z + height), (x1, y, z + height), 0.03, pictures.plain, iron, DETAIL, 3))
        left, right = (x0 + 0.3, x1 - 0.3) if n % 2 else (x1 - 0.3, x0 + 0.3)
        if z + 3.2 < each.high - 1:
            stair = ((left, y * 0.8, z), (left, y * 0.3, z), (right, y * 0.3, z + 3.2), (right, y * 0.8, z + 3.2))
            meshes.append(shapes.quad(stair, pictures.plain, iron, TWO_SIDED, owner))
    return meshes


def _steeple(pictures: Pictures, building: Building, rng: np.random.Generator) -> list[Mesh]:
    """A tower before a church's front gable."""
    house = building.house
    a, b = building.quad[:2]
    length = float(np.hypot(*(b - a)))
    half, high = length * rng.uniform(0.18, 0.26), house.height * rng.uniform(1.5, 2.4) + building.rise
    texture = pictures.wall(house, "side", 4, 2 * half, high)
    low, up = (length / 2 - half, -half * 0.8, -0.6), (length / 2 + half, half * 1.2, high)
    body = shapes.box(low, up, texture, owner=building.index, sides=("front", "left", "right", "back"), metres=0)
    corners = np.array([(low[0], low[1]), (up[0], low[1]), (up[0], up[1]), (low[0], up[1])])
    middle, tip = corners.mean(0), high + half * rng.uniform(1.5, 6)
    spire = pictures.material(("metal", "roof_tiles")[house.key % 2])
    tint = ((110, 150, 130), (120, 118, 120), (210, 200, 190))[house.key % 3]
    clock = pictures.sign("clock", house.key)
    face = ((-0.9, high - 2.6), (0.9, high - 2.6), (0.9, high - 0.8), (-0.9, high - 0.8))
    dial = [(length / 2 + x, low[1] - 0.05, z) for x, z in face]
    meshes = [
        body,
        shapes.cone(corners, high, (*middle, tip), spire, tint, owner=building.index),
        shapes.quad(dial, clock, flags=CUTOUT),
        shapes.rod((*middle, tip - 0.2), (*middle, tip + 1.6), 0.06, pictures.plain, (200, 170, 80), sides=3),
    ]
    return [shapes.moved(mesh, (*a, building.floor), (b - a) / length) for mesh in meshes]
