"""Buildings: their walls, arcades and what sticks out of them. Their roofs are in `roofs`."""

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, TWO_SIDED, Mesh
from demo_city.looks.houses import Fixture, fixtures
from demo_city.seeds import random_for
from demo_city.world.roofs import build_roof
from demo_city.world.shapes import CLOSED, ENDS, Kit, box, cone, polygon, rod
from demo_city.world.site import Building, Site

ARCADE_DEPTH = 2.4  # metres
THIN = CUTOUT | TWO_SIDED
BOXED = (*ENDS, "top", "bottom")
PALE = (190, 188, 184)


def build_building(site: Site, building: Building) -> list[Mesh]:
    """All triangles of a building."""
    rng, ground, house = random_for(building.house.key, "body"), site.terrain.height(building.quad), building.house
    meshes = []
    for k in range(4):
        origin, along, length = building.wall(k)
        kit = Kit(site.pictures, house.key % 3, building.index)
        _wall(kit, building, k, length, min(ground[k], ground[(k + 1) % 4]) - building.floor - 0.5)
        if k == 0 and building.arcade:
            _arcade(kit, building, length, rng)
        if k == 0 and house.use == "church":
            _steeple(kit, building, length, rng)
        meshes.append(kit.done((*origin, building.floor), along))
    return meshes + build_roof(site, building, rng)


def _wall(kit: Kit, building: Building, k: int, length: float, foot: float) -> None:
    """Wall k with its plinth, which reaches down to `foot` metres, and fixtures."""
    house, kind = building.house, building.walls[k]
    texture = kit.pictures.wall(house, kind, k, length, house.height)
    parts = [(0.0, length, 0.0, house.height, 0.0)]
    if building.arcade:
        # the ground floor of the front is put back, and those of its neighbours begin there
        left, right = ARCADE_DEPTH * (k == 1), length - ARCADE_DEPTH * (k == 3)
        parts = [(0.0, length, house.ground_height, house.height, 0.0)]
        parts.append((left, right, 0.0, house.ground_height, ARCADE_DEPTH * (k == 0)))
    for left, right, low, high, y in parts:
        (u0, u1), (v0, v1) = (left / length, right / length), (1 - high / house.height, 1 - low / house.height)
        corners = ((left, y, low), (right, y, low), (right, y, high), (left, y, high))
        kit.add(polygon, corners, ((u0, v1), (u1, v1), (u1, v0), (u0, v0)), material=texture)
    if kind != "party" and foot < -0.05:
        stone = ("stone", "plaster", "concrete", "brick")[house.key % 4]
        kit.add(box, (0, -0.03, foot), (length, 0, 0.02), ("front",), material=stone, tint=PALE)
    for each in fixtures(house, kind, length) if building.near else ():
        _fixture(kit, each)


def _arcade(kit: Kit, building: Building, length: float, rng: np.random.Generator) -> None:
    """Columns, ceiling and floor of an arcade."""
    high, deep = building.house.ground_height, ARCADE_DEPTH
    look = {"material": ("stone", "plaster", "concrete")[building.house.key % 3], "tint": (rng.uniform(180, 245),) * 3}
    kit.add(polygon, ((0, deep, high), (length, deep, high), (length, 0, high), (0, 0, high)), **look)
    paved, uv = kit.pictures.ground("slabs", building.house.key % 4), np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    floor = ((0, 0, 0.02), (length, 0, 0.02), (length, deep, 0.02), (0, deep, 0.02))
    kit.add(polygon, floor, uv * (length / 8, 0.3), material=paved)
    count = max(int(length / rng.uniform(2.6, 4.2)), 1)
    kit.add(box, (0, 0, -0.6), (0.48, 0.48, high), **look)
    kit.repeat([(x, 0, 0) for x in np.linspace(0, length - 0.48, count + 1)])
    if rng.random() < 0.5:  # lintels
        kit.add(box, (0, 0.02, high - 0.45), (length, 0.4, high), CLOSED, **look)


def _fixture(kit: Kit, each: Fixture) -> None:
    """What sticks out of a wall, in the wall's own coordinates."""
    texture, plain = kit.pictures.fixture(each), kit.pictures.plain
    look, flat = {"material": texture, "tint": each.tint}, {"metres": 0, "material": texture, "tint": each.tint}
    (x0, y, z0), (x1, _, z1) = low, high = (each.left, -each.depth, each.low), (each.right, 0.0, each.high)
    if each.kind == "balcony":
        floor = max(z0, z1 - 1.25)
        kit.add(box, (x0, y, floor - 0.15), (x1, 0, floor), BOXED, tint=(176, 172, 166))
        kit.add(box, (x0, y, floor), high, ENDS, flags=THIN if each.cutout else TWO_SIDED, **flat)
    elif each.kind == "awning":
        slope = ((x0, y, z0), (x1, y, z0), (x1, -0.02, z1), (x0, -0.02, z1))
        kit.add(polygon, slope, flags=TWO_SIDED, **look)
        for x in (x0, x1):
            side = ((x, y, z0), (x, -0.02, z0), (x, -0.02, z1))
            kit.add(polygon, side, ((0, 1), (0.1, 1), (0.1, 0)), flags=TWO_SIDED, **look)
    elif each.kind == "blade":
        x, t = (x0 + x1) / 2, max((x1 - x0) / 2, 0.06)
        kit.add(box, (x - t, y, z0), (x + t, -0.15, z1), ("left", "right"), **flat)
        kit.add(box, (x - t, y, z0), (x + t, -0.15, z1), ("front", "top", "bottom"), tint=(90, 90, 92))
        kit.add(box, (x - 0.03, -0.16, z1 - 0.15), (x + 0.03, 0, z1 - 0.05), tint=(60, 60, 60), flags=DETAIL)
    elif each.kind == "steps":
        count = max(int(round(z1 / 0.17)), 1)
        for n in range(count):
            ends = (x0, each.depth * (n / count - 1), -0.5), (x1, 0.0, z1 * (n + 1) / count)
            kit.add(box, *ends, (*ENDS, "top"), **look)
    elif each.kind == "fire_escape":
        _fire_escape(kit, x0, x1, y, np.arange(z0, z1 - 1, 3.2))
    elif each.cutout:
        kit.add(box, low, high, ENDS, flags=THIN, **flat)
    elif each.kind in ("bay", "board", "air_conditioner"):
        kit.add(box, low, high, ("front",), **flat)
        rest = tuple(150 + 0.25 * value for value in each.tint)
        kit.add(box, low, high, BOXED[1:], material=plain, tint=rest)
    elif each.kind != "column":  # arcades have their own
        kit.add(box, low, high, BOXED, flags=DETAIL if each.kind == "pipe" else 0, **look)


def _fire_escape(kit: Kit, x0: float, x1: float, y: float, floors: np.ndarray) -> None:
    """Landings at some heights, with rails, and stairs between them."""
    iron = (58, 54, 52)
    kit.add(box, (x0, y, 0), (x1, 0, 0.08), BOXED, tint=iron)
    kit.repeat([(0, 0, z) for z in floors])
    kit.add(rod, (x0, y, 0), (x1, y, 0), 0.03, 3, tint=iron, flags=DETAIL)
    kit.repeat([(0, 0, z + more) for z in floors for more in (0.5, 1.0)])
    for n, z in enumerate(floors[:-1]):
        left, right = (x0 + 0.3, x1 - 0.3)[:: 1 if n % 2 else -1]
        stair = ((left, y * 0.8, z), (left, y * 0.3, z), (right, y * 0.3, z + 3.2), (right, y * 0.8, z + 3.2))
        kit.add(polygon, stair, tint=iron, flags=TWO_SIDED)


def _steeple(kit: Kit, building: Building, length: float, rng: np.random.Generator) -> None:
    """A tower before a church's front gable."""
    house, x = building.house, length / 2
    half, high = length * rng.uniform(0.18, 0.26), house.height * rng.uniform(1.5, 2.4) + building.rise
    front, back = -half * 0.8, half * 1.2
    texture, kind = kit.pictures.wall(house, "side", 4, 2 * half, high), int(rng.integers(3))
    kit.add(box, (x - half, front, -0.6), (x + half, back, high), CLOSED[:4], 0, material=texture)
    corners = np.array([(x - half, front), (x + half, front), (x + half, back), (x - half, back)])
    tip = (x, (front + back) / 2, high + half * rng.uniform(1.5, 6))
    tint = ((110, 150, 130), (120, 118, 120), (210, 160, 140))[kind]
    kit.add(cone, corners, high, tip, material=("metal", "metal", "roof_tiles")[kind], tint=tint)
    clock = (x - 0.9, front - 0.05, high - 2.6), (x + 0.9, front, high - 0.8)
    kit.add(box, *clock, ("front",), 0, material=kit.pictures.sign("clock", house.key), flags=CUTOUT)
    kit.add(rod, (*tip[:2], tip[2] - 0.2), (*tip[:2], tip[2] + 1.6), 0.06, 3, tint=(200, 170, 80))
