"""Buildings: their walls, arcades and what sticks out of them. Their roofs are in `roofs`."""

from dataclasses import dataclass

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, TWO_SIDED, Mesh
from demo_city.looks.houses import Fixture, House, fixtures
from demo_city.seeds import random_for
from demo_city.world import shapes
from demo_city.world.kit import CLOSED, Kit
from demo_city.world.pictures import Pictures
from demo_city.world.roofs import RoofPlace, build_roof
from demo_city.world.terrain import Terrain

ARCADE_DEPTH = 2.4  # metres
ENDS = ("front", "left", "right")
THIN = CUTOUT | TWO_SIDED


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
                meshes += _fixture(pictures, each, index)
    return [shapes.moved(mesh, (*a, building.floor), along) for mesh in meshes]


def _arcade(pictures: Pictures, building: Building, rng: np.random.Generator) -> list[Mesh]:
    """Columns, ceiling and floor of an arcade."""
    house = building.house
    a, b = building.quad[:2]
    length, high, deep = float(np.hypot(*(b - a))), house.ground_height, ARCADE_DEPTH
    kit = Kit(pictures, rng, house.key % 3, building.index)
    stone, tint = ("stone", "plaster", "concrete")[house.key % 3], (rng.uniform(180, 245),) * 3
    ceiling = ((0, deep, high), (length, deep, high), (length, 0, high), (0, 0, high))
    kit.add(shapes.quad(ceiling, kit.texture(stone), tint, owner=building.index))
    floor = ((0, 0, 0.02), (length, 0, 0.02), (length, deep, 0.02), (0, deep, 0.02))
    uv = ((0, 0), (length / 8, 0), (length / 8, 0.3), (0, 0.3))
    kit.add(shapes.quad(floor, pictures.ground("slabs", house.key % 4), uv=uv))
    count, round_ = max(int(length / rng.uniform(2.6, 4.2)), 1), rng.random() < 0.35
    for x in np.linspace(0.25, length - 0.25, count + 1):
        if round_:
            kit.drum(0.2, -0.6, high, tint, stone, at=(x, 0.25), sides=7, top=False)
            kit.box((x - 0.28, 0, high - 0.3), (x + 0.28, 0.5, high), tint, stone)
        else:
            kit.box((x - 0.24, 0, -0.6), (x + 0.24, 0.48, high), tint, stone)
    if rng.random() < 0.5:  # lintels
        kit.box((0, 0.02, high - 0.45), (length, 0.4, high), tint, stone, sides=CLOSED)
    return [shapes.moved(kit.done(), (*a, building.floor), (b - a) / length)]


def _fixture(pictures: Pictures, each: Fixture, owner: int) -> list[Mesh]:
    """What sticks out of a wall, in the wall's own coordinates."""
    texture = pictures.table.index(each.texture_key, lambda: each.texture)
    low, high = (each.left, -each.depth, each.low), (each.right, 0.0, each.high)
    makers = {"balcony": _balcony, "awning": _awning, "blade": _blade, "steps": _steps, "fire_escape": _fire_escape}
    if each.kind == "column":  # arcades have their own
        return []
    if each.kind in makers:
        return makers[each.kind](pictures, each, texture, owner)
    flags = DETAIL if each.kind in ("pipe", "air_conditioner") else 0
    if each.cutout:
        return [shapes.box(low, high, texture, each.tint, flags | THIN, owner, ENDS, metres=0)]
    if each.kind in ("bay", "board", "air_conditioner"):
        rest = tuple(int(150 + 0.25 * value) for value in each.tint)
        sides = ("left", "right", "top", "bottom")
        return [
            shapes.box(low, high, texture, each.tint, flags, owner, ("front",), metres=0),
            shapes.box(low, high, pictures.plain, rest, flags, owner, sides),
        ]
    return [shapes.box(low, high, texture, each.tint, flags, owner, (*ENDS, "top", "bottom"), metres=2.0)]


def _balcony(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    floor = max(each.low, each.high - 1.25)
    low, high = (each.left, -each.depth, floor), (each.right, 0.0, each.high)
    slab = (each.left, -each.depth, floor - 0.15), (each.right, 0.0, floor)
    flags = THIN if each.cutout else TWO_SIDED
    return [
        shapes.box(*slab, pictures.plain, (176, 172, 166), 0, owner, (*ENDS, "top", "bottom")),
        shapes.box(low, high, texture, each.tint, flags, owner, ENDS, metres=0),
    ]


def _awning(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    x0, x1, y, low, high = each.left, each.right, -each.depth, each.low, each.high
    slope = ((x0, y, low), (x1, y, low), (x1, -0.02, high), (x0, -0.02, high))
    meshes = [shapes.quad(slope, texture, each.tint, TWO_SIDED, owner)]
    for x in (x0, x1):
        side = ((x, y, low), (x, -0.02, low), (x, -0.02, high))
        uv = ((0, 1), (0.1, 1), (0.1, 0))
        meshes.append(shapes.make(side, uv, ((0, 1, 2),), texture, each.tint, TWO_SIDED, owner))
    return meshes


def _blade(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    x, y, t = (each.left + each.right) / 2, -each.depth, max((each.right - each.left) / 2, 0.06)
    low, high, arm = (x - t, y, each.low), (x + t, -0.15, each.high), each.high - 0.15
    return [
        shapes.box(low, high, texture, each.tint, 0, owner, ("left", "right"), metres=0),
        shapes.box(low, high, pictures.plain, (90, 90, 92), 0, owner, ("front", "top", "bottom")),
        shapes.box((x - 0.03, -0.16, arm), (x + 0.03, 0, arm + 0.1), pictures.plain, (60, 60, 60), DETAIL),
    ]


def _steps(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    rise = each.high - max(each.low, 0.0)
    count = max(int(round(rise / 0.17)), 1)
    meshes, sides = [], ("front", "left", "right", "top")
    for n in range(count):
        low = (each.left, each.depth * (n / count - 1), -0.5)
        high = (each.right, 0.0, rise * (n + 1) / count)
        meshes.append(shapes.box(low, high, texture, each.tint, 0, owner, sides, 2.0))
    return meshes


def _fire_escape(pictures: Pictures, each: Fixture, texture: int, owner: int) -> list[Mesh]:
    kit, iron = Kit(pictures, random_for(owner), owner=owner), (58, 54, 52)
    x0, x1, y = each.left, each.right, -each.depth
    for n, z in enumerate(np.arange(each.low, each.high - 1, 3.2)):
        kit.box((x0, y, z), (x1, 0, z + 0.08), iron, sides=(*ENDS, "top", "bottom"))
        for height in (0.5, 1.0):
            kit.rod((x0, y, z + height), (x1, y, z + height), 0.03, iron, flags=DETAIL, sides=3)
        left, right = (x0 + 0.3, x1 - 0.3) if n % 2 else (x1 - 0.3, x0 + 0.3)
        if z + 3.2 < each.high - 1:
            stair = ((left, y * 0.8, z), (left, y * 0.3, z), (right, y * 0.3, z + 3.2), (right, y * 0.8, z + 3.2))
            kit.add(shapes.quad(stair, pictures.plain, iron, TWO_SIDED, owner))
    return [kit.done()]


def _steeple(pictures: Pictures, building: Building, rng: np.random.Generator) -> list[Mesh]:
    """A tower before a church's front gable."""
    house = building.house
    a, b = building.quad[:2]
    length = float(np.hypot(*(b - a)))
    half, high = length * rng.uniform(0.18, 0.26), house.height * rng.uniform(1.5, 2.4) + building.rise
    kit, x, front, back = Kit(pictures, rng, owner=building.index), length / 2, -half * 0.8, half * 1.2
    texture = pictures.wall(house, "side", 4, 2 * half, high)
    low, up = (x - half, front, -0.6), (x + half, back, high)
    kit.add(shapes.box(low, up, texture, owner=building.index, sides=CLOSED[:4], metres=0))
    corners = np.array([(x - half, front), (x + half, front), (x + half, back), (x - half, back)])
    top = (x, (front + back) / 2, high + half * rng.uniform(1.5, 6))
    spire, tint = kit.pick("metal", "roof_tiles"), kit.pick((110, 150, 130), (120, 118, 120), (210, 200, 190))
    kit.add(shapes.cone(corners, high, top, kit.texture(str(spire)), tint, owner=building.index))
    kit.card(
        (x - 0.9, x + 0.9), front - 0.05, (high - 2.6, high - 0.8), pictures.sign("clock", house.key), flags=CUTOUT
    )
    kit.rod((*top[:2], top[2] - 0.2), (*top[:2], top[2] + 1.6), 0.06, (200, 170, 80), sides=3)
    return [shapes.moved(kit.done(), (*a, building.floor), (b - a) / length)]
