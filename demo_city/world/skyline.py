"""What one sees beyond the last streets."""

import numpy as np

from demo_city.looks.houses import House
from demo_city.seeds import random_for
from demo_city.world import plants
from demo_city.world.roofs import TRIANGLE
from demo_city.world.shapes import Kit, box, polygon
from demo_city.world.site import Site

HOUSES = 8  # different ones


def build_skyline(site: Site) -> None:
    """Bodies of houses and trees beyond the outermost blocks, and across the ends of the streets that lead out."""
    rng, network, plan = random_for(site.key, "skyline"), site.network, site.plan
    use, houses = max(plan.uses, key=plan.uses.get), []
    for _ in range(HOUSES):
        storeys = int(np.clip(round(rng.uniform(*plan.skyline)), 1, 40))
        houses.append(House(int(rng.integers(1 << 31)), plan.name, use, storeys, 3.4, 3.1, "flat"))
    points = np.concatenate([street.points for street in network.edges.values()])
    middle = (points.min(0) + points.max(0)) / 2
    for street in (street for street in network.streets if not street.walkable):
        far = int(np.argmax(np.hypot(*(street.points[[0, -1]] - middle).T)))
        out = street.ends[far] * (1 if far else -1)
        width = 2 * (street.roadway + street.pavement) + rng.uniform(16, 26)
        _house(site, rng, houses, street.points[-far] + out * 3, out, width)
    wet = [block.corners.mean(0) - middle for block in network.blocks if block.use == "water"]
    for turn in np.arange(60) * np.pi / 30:
        out = np.array([np.cos(turn), np.sin(turn)])
        if wet and out @ wet[0] / np.hypot(*wet[0]) > 0.55:
            continue
        reach = ((points - middle) @ out).max() + rng.uniform(12, 50)
        for _ in range(2):
            xy = middle + out * reach
            if rng.random() < 0.35:
                tree = site.made(plants.tree, str(rng.choice(["broad", "round"])), int(rng.integers(plants.VARIANTS)))
                site.meshes.append(tree.placed(site.terrain.on(xy, -0.5), rng.uniform(0, 360), rng.uniform(9, 16)))
            else:
                _house(site, rng, houses, xy, out, rng.uniform(12, 26))
            reach += rng.uniform(25, 90)


def _house(
    site: Site, rng: np.random.Generator, houses: list[House], xy: np.ndarray, out: np.ndarray, width: float
) -> None:
    """A plain body with windows and a roof.

    houses: one of them
    xy: (2,), the middle of its front
    out: (2,), the way from the town to it
    width: of its front, metres
    """
    number, half, deep = int(rng.integers(HOUSES)), width / 2, rng.uniform(9, 16)
    house, kit = houses[number], Kit(site.pictures, 0, len(site.buildings) + number)
    front, high = site.pictures.wall(house, "front", 0, 20.0, house.height), house.height
    low, up, grey = (-half, 0, 0), (half, deep, high), (130, 130, 130)
    kit.add(box, low, up, ("front", "left", "right", "back"), 0, material=front)
    if house.storeys < 7 and rng.random() < 0.7:
        roof, top = site.pictures.wall(house, "roof", 0, 20.0, 6.0), high + deep * 0.35
        a, b, c, d = (-half, 0, high), (half, 0, high), (half, deep, high), (-half, deep, high)
        left, right = (-half, deep / 2, top), (half, deep / 2, top)
        kit.add(polygon, (a, b, right, left), material=roof)
        kit.add(polygon, (c, d, left, right), material=roof)
        kit.add(polygon, (b, c, right), TRIANGLE, material=front)
        kit.add(polygon, (d, a, left), TRIANGLE, material=front)
    else:
        kit.add(box, low, up, ("top",), tint=grey)
    site.meshes.append(kit.done(site.terrain.on(xy, -0.4), (out[1], -out[0])))
