"""What one sees beyond the last streets."""

import numpy as np

from demo_city.seeds import random_for
from demo_city.world import lots, plants
from demo_city.world.site import Site

MAKES = 8  # different houses


def build_skyline(site: Site) -> None:
    """Houses and trees beyond the outermost blocks, and across the ends of the streets that lead out."""
    rng, network, plan = random_for(site.key, "skyline"), site.network, site.plan
    makes = [lots.make_of(site, rng, 0) for _ in range(MAKES)]
    for make in makes:
        storeys = int(np.clip(round(rng.uniform(*plan.skyline)), 1, 40))
        make.update(storeys=storeys, width=rng.uniform(14, 26), deep=rng.uniform(9, 16), key=int(rng.integers(1 << 31)))
    points = np.concatenate([street.points for street in network.edges.values()])
    middle = (points.min(0) + points.max(0)) / 2
    for street in (street for street in network.streets if not street.walkable):
        far = int(np.argmax(np.hypot(*(street.points[[0, -1]] - middle).T)))
        out = street.ends[far] * (1 if far else -1)
        width = 2 * (street.roadway + street.pavement) + 20
        _house(site, rng, {**makes[rng.integers(MAKES)], "width": width}, street.points[-far] + out * 3, out)
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
                _house(site, rng, makes[rng.integers(MAKES)], xy, out)
            reach += rng.uniform(25, 90)


def _house(site: Site, rng: np.random.Generator, make: dict, xy: np.ndarray, out: np.ndarray) -> None:
    """A house, the middle of whose front is at xy (2,); out: (2,), the way from the town to it."""
    half, deep = np.array([out[1], -out[0]]) * make["width"] / 2, out * make["deep"]
    lots.add(site, rng, np.array([xy - half, xy + half, xy + half + deep, xy - half + deep]), make, kerb=-0.4)
