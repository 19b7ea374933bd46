"""What one sees beyond the last streets."""

import numpy as np

from demo_city.engine.mesh import Mesh
from demo_city.looks.houses import House
from demo_city.seeds import random_for
from demo_city.world import plants, shapes
from demo_city.world.network import Network, Street
from demo_city.world.pictures import Pictures
from demo_city.world.planning import Plan
from demo_city.world.terrain import Terrain

HOUSES = 8  # different ones


def around(
    key: int,
    plan: Plan,
    pictures: Pictures,
    terrain: Terrain,
    network: Network,
    first_owner: int,
) -> list[Mesh]:
    """Bodies of houses and trees beyond the outermost blocks, and across the ends of the streets that lead out.

    key: of the district
    plan: of its city
    pictures, terrain: of the district
    network: its streets
    first_owner: the number of the first of HOUSES
    """
    rng = random_for(key, "skyline")
    houses = [_house(rng, plan) for _ in range(HOUSES)]
    meshes = []
    points = np.concatenate([street.points for street in network.streets])
    middle, turns = (points.min(0) + points.max(0)) / 2, np.linspace(0, 2 * np.pi, 61)[:-1]
    for street in network.streets:
        if street.real and not street.walkable:
            meshes += _end(rng, pictures, terrain, street, middle, houses, first_owner)
    wet = [block for block in network.blocks if block.use == "water"]
    sea = wet[0].corners.mean(0) - middle if wet else None
    corners = points - middle
    for turn in turns:
        out = np.array([np.cos(turn), np.sin(turn)])
        if sea is not None and out @ sea / np.hypot(*sea) > 0.55:
            continue
        reach = (corners @ out).max() + rng.uniform(12, 50)
        for _ in range(2):
            xy = middle + out * reach
            if rng.random() < 0.35:
                tree = plants.tree(pictures, "broad" if rng.random() < 0.5 else "round", int(rng.integers(5)))
                size = rng.uniform(9, 16)
                meshes.append(tree.placed(terrain.on(xy, -0.5), rng.uniform(0, 360), size))
            else:
                number = int(rng.integers(HOUSES))
                along = np.array([-out[1], out[0]])
                meshes += _body(pictures, houses[number], xy, -along, terrain, rng, first_owner + number)
            reach += rng.uniform(25, 90)
    return meshes


def _house(rng: np.random.Generator, plan: Plan) -> House:
    use = max(plan.uses, key=plan.uses.get)
    storeys = int(np.clip(round(rng.uniform(*plan.skyline)), 1, 40))
    return House(int(rng.integers(1 << 31)), plan.name, use, storeys, 3.4, 3.1, "flat")


def _body(
    pictures: Pictures,
    house: House,
    xy: np.ndarray,
    along: np.ndarray,
    terrain: Terrain,
    rng: np.random.Generator,
    owner: int,
    width: float | None = None,
) -> list[Mesh]:
    """A plain body with windows and a roof; its front's middle is at xy (2,), and the front runs along `along` (2,)."""
    width, deep = width or rng.uniform(12, 26), rng.uniform(9, 16)
    front = pictures.wall(house, "front", 0, 20.0, house.height)
    low, high = (-width / 2, 0, 0), (width / 2, deep, house.height)
    base = terrain.on(xy, -0.4)
    parts = [shapes.box(low, high, front, owner=owner, sides=("front", "left", "right", "back"), metres=0)]
    if house.storeys < 7 and rng.random() < 0.7:
        roof = pictures.wall(house, "roof", 0, 20.0, 6.0)
        outline = np.array([(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])])
        a, b, c, d = (np.array([*corner, house.height]) for corner in outline)
        left, right = (a + d) / 2 + (0, 0, deep * 0.35), (b + c) / 2 + (0, 0, deep * 0.35)
        parts += [
            shapes.quad((a, b, right, left), roof, owner=owner),
            shapes.quad((c, d, left, right), roof, owner=owner),
            shapes.make((b, c, right), ((0, 1), (1, 1), (0.5, 0)), ((0, 1, 2),), front, owner=owner),
            shapes.make((d, a, left), ((0, 1), (1, 1), (0.5, 0)), ((0, 1, 2),), front, owner=owner),
        ]
    else:
        parts.append(shapes.box(low, high, pictures.plain, (130, 130, 130), sides=("top",), owner=owner))
    return [shapes.moved(part, base, along) for part in parts]


def _end(
    rng: np.random.Generator,
    pictures: Pictures,
    terrain: Terrain,
    street: Street,
    middle: np.ndarray,
    houses: list[House],
    first_owner: int,
) -> list[Mesh]:
    """Closes the far end of a street that leads out."""
    ends = street.points[0], street.points[-1]
    far = int(np.hypot(*(ends[1] - middle)) > np.hypot(*(ends[0] - middle)))
    out = street.along(street.length) if far else -street.along(0.0)
    number = int(rng.integers(HOUSES))
    along = np.array([out[1], -out[0]])  # the front looks back into the street
    width = 2 * (street.roadway + street.pavement) + rng.uniform(16, 26)
    return _body(pictures, houses[number], ends[far] + out * 3, along, terrain, rng, first_owner + number, width)
