"""Blocks become buildings, with gardens before them; and what one sees beyond the last streets."""

import numpy as np

from demo_city.looks.plan import House
from demo_city.seeds import choose, random_for
from demo_city.world import plants
from demo_city.world.network import Block, spot
from demo_city.world.shapes import along_line, ray, rectangle, runs, widened
from demo_city.world.site import BUILDING, Building, Site

MAKES = 8  # different houses beyond the last streets
# a building in no row; kerb: height of its yard, corner: whether two streets meet there, the rest: see Building
ALONE = {"walls": ("front", "side", "side", "side"), "arcade": False, "near": False, "kerb": 0.1, "corner": False}


def settle(site: Site, block: Block, number: int) -> None:
    """Builds on a block; number: its index."""
    rng = random_for(site.key, "block", number)
    if block.use == "rows":
        _rows(site, rng, block)
    elif block.use == "estate":
        _estate(site, rng, block)
    elif block.use == "square" and rng.random() < 0.4:
        _landmark(site, rng, block)
    elif block.use == "parking" and rng.random() < 0.5:
        _estate(site, rng, block, share=0.3)


def _rows(site: Site, rng: np.random.Generator, block: Block) -> None:
    """Rows of buildings along the streets."""
    plan, real, (*_, width, depth) = site.plan, [block.real(k) for k in range(4)], block.frame()
    setbacks = [rng.uniform(*plan.setback) if is_real else 0.5 for is_real in real]
    inner = widened(block.corners, [-setback for setback in setbacks])
    depth = min(rng.uniform(*plan.depth), 0.42 * min(width, depth) - max(setbacks))
    style = {
        "storeys": rng.uniform(*plan.storeys),
        "arcade": rng.random() < rng.uniform(*plan.arcade),
        "depth": max(depth, 4.0),
        "gap": plan.gap[1] > 1 and rng.random() < 0.9,
        "front": choose(rng, plan.front),
    }
    for k in range(4):
        if real[k]:
            _row(site, rng, _Frontage(block, inner, setbacks[k], k), style)
    if rng.random() < 0.6 and not style["gap"]:  # lower ones in the middle, over which one sees now and then
        u, v = rng.uniform(0.3, 0.38), rng.uniform(0.32, 0.4)
        _add(site, rng, _part(block, u, u + 0.24, v, v + 0.2), _make(site, rng, style["storeys"] * 0.7))


def _row(site: Site, rng: np.random.Generator, front: "_Frontage", style: dict) -> None:
    """Buildings from one corner to the next."""
    plan, depth, touching = site.plan, style["depth"], not style["gap"]
    gap, least = rng.uniform(*plan.gap), plan.widths[0] * 0.7
    position = gap / 2 if not front.corner_before else 0.0
    end = front.length - (depth + max(gap, 0.05) if front.corner_after else gap / 2)
    first, left, make = True, 0, None
    while end - position > max(least, 2.6):
        if left <= 0:
            left, make = int(round(rng.uniform(*plan.rows))), _make(site, rng, style["storeys"])
        left -= 1
        width = min(make["width"] * rng.uniform(0.97, 1.03), end - position)
        width = end - position if end - position - width < least else width
        width /= 1 + (width > plan.widths[1] * 1.5)
        forward = 0.0 if first else float(rng.choice([0.0, 0.0, 0.0, 0.25, 0.5]))
        deep, corner = depth * (1.0 if first else rng.uniform(0.86, 1.0)), first and front.corner_before
        for more in (0.0, 0.4, 0.9, 1.6, 2.6):  # as a bend of the street asks for
            quad = front.quad(position, position + width, forward + more, deep + more, corner)
            if _has_room(site, quad):
                break
        last = end - position - width <= 1
        right, left_wall = ("party" if touching and not free else "side" for free in (last, first))
        make.update(walls=("front", right, "back", left_wall), corner=corner, arcade=style["arcade"] and not corner)
        make.update(kerb=front.street.up, near=front.street.walkable)
        if building := _add(site, rng, quad, make):
            kind = style["front"] if rng.random() < 0.7 else choose(rng, plan.front)
            (a, along, length), spare = building.wall(0), gap * 0.5 * style["gap"]
            outline = rectangle(a, along, (-spare, length + spare), (-front.setback, 0))
            site.gardens.append((outline, building, front.street.up, kind))
        position += width + gap * rng.uniform(0.7, 1.4)
        first = False


def _has_room(site: Site, quad: np.ndarray) -> bool:
    """Whether a building (4, 2) would stand on no road, and hardly on anything else."""
    return not site.map.built_on(quad)[1] and site.map.built_on(widened(quad, [-0.35] * 4))[0] <= 0.015


def _make(site: Site, rng: np.random.Generator, storeys: float) -> dict:
    """What buildings of one make share; storeys: about how many, of the plan's."""
    plan, use, (low, high) = site.plan, choose(rng, site.plan.uses), site.plan.storeys
    count = int(np.clip(round(storeys + rng.normal(0, (high - low) / 3.5)), max(round(low), 1), round(high)))
    if use in ("warehouse", "hall", "shop") and rng.random() < 0.35:
        count = max(1, min(count, int(round(low)) + 1))
    return {
        **ALONE,
        "use": use,
        "storeys": count,
        "roof": choose(rng, plan.roofs),
        "width": rng.uniform(*plan.widths),
        "ground": rng.uniform(*plan.ground_height),
        "storey": rng.uniform(*plan.storey_height),
        "pitch": rng.uniform(0.28, 0.62),
        "across": rng.random() < 0.25,
        "overhang": float(rng.choice([0.0, 0.3, 0.45, 0.6])),
        "parapet": float(rng.choice([0.05, 0.4, 0.7, 1.0])),
    }


def _add(site: Site, rng: np.random.Generator, quad: np.ndarray, make: dict) -> Building | None:
    """Adds a building where there is room."""
    if not _has_room(site, quad):
        return None
    roof, storeys, pitch, corner = make["roof"], make["storeys"], make["pitch"], make["corner"]
    if corner and roof in ("gable", "shed", "sawtooth"):
        roof = "hip" if rng.random() < 0.6 else "gable"
    roof, key = "flat" if storeys > 8 else roof, make.get("key", int(rng.integers(1 << 31)))
    house = House(key, site.plan.name, make["use"], storeys, make["ground"], make["storey"], roof)
    width, deep = np.hypot(*(quad[1] - quad[0])), np.hypot(*(quad[2] - quad[1]))
    across = make["across"] and not corner
    rise = {
        "flat": make["parapet"],
        "gable": min((width if across else deep) * pitch, 7.0),
        "hip": min(min(width, deep) * pitch * 0.8, 5.0),
        "mansard": 2.4 + pitch * 1.6,
        "shed": min(deep * 0.14, 2.5),
        "sawtooth": 2.2,
    }[roof]
    floor, arcade = float(site.terrain.height(quad[:2]).mean()) + make["kerb"], make["arcade"] and width > 3.5
    about = make["walls"], rise, across, make["overhang"], arcade, make["near"]
    site.buildings.append(building := Building(quad, house, floor, *about, len(site.buildings)))
    site.map.mark(quad, BUILDING)
    return building


def _estate(site: Site, rng: np.random.Generator, block: Block, share: float = 1.0) -> None:
    """Buildings that stand free; share: of the places that are built on."""
    plan, size = site.plan, np.array(block.frame()[2:])
    near, base = any(side.street.walkable for side in block.flat), rng.uniform(*plan.storeys)
    wanted = np.array([rng.uniform(*plan.widths) * 1.1, rng.uniform(*plan.depth) * 1.3])
    spaces = np.maximum(rng.uniform(*plan.setback, 2), 2.0) + rng.uniform(2.0, 9.0, 2)
    counts = np.maximum(size / (wanted + spaces), 1).astype(int)
    for i, j in np.ndindex(*counts):
        inside = 0 < i < counts[0] - 1 and 0 < j < counts[1] - 1
        if rng.random() > share * 0.93 or (inside and rng.random() < 0.5):
            continue
        part = np.clip(wanted * rng.uniform(0.75, 1.1, 2) * counts / size, 0.35, 0.88)
        u, v = ((i, j) + rng.uniform(0.3, 0.7, 2) * (1 - part)) / counts
        quad = _part(block, u, u + part[0] / counts[0], v, v + part[1] / counts[1])
        # the front looks to the nearest street
        turn = 0 if j == 0 else 2 if j == counts[1] - 1 else 3 if i == 0 else 1
        _add(site, rng, np.roll(quad, -turn, 0), {**_make(site, rng, base), "near": near})


def _landmark(site: Site, rng: np.random.Generator, block: Block) -> None:
    """A church or a hall in the middle of a square."""
    make, quad = _make(site, rng, 2), np.roll(_part(block, 0.36, 0.64, 0.22, 0.8), -int(rng.integers(4)), 0)
    make.update(use=site.plan.landmark, storeys=1, ground=rng.uniform(6, 9), across=True, overhang=0.0, near=True)
    make.update(roof="gable" if rng.random() < 0.8 else "hip", pitch=rng.uniform(0.45, 0.7))
    _add(site, rng, quad, make)


def build_skyline(site: Site) -> None:
    """Houses and trees beyond the outermost blocks, and across the ends of the streets that lead out."""
    rng, network, plan = random_for(site.key, "skyline"), site.network, site.plan
    makes = [_make(site, rng, 0) for _ in range(MAKES)]
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
    half = make["width"] / 2
    quad = rectangle(xy, (out[1], -out[0]), (-half, half), (0, make["deep"]))
    _add(site, rng, quad, {**make, "kerb": -0.4})


class _Frontage:
    """The line along side k of a block on which buildings stand."""

    def __init__(self, block: Block, inner: np.ndarray, setback: float, k: int):
        border, self.setback, self.street = block.border(k), setback, block.sides[k][0].street
        d = np.gradient(border, axis=0)
        self.line = border + np.stack([-d[:, 1], d[:, 0]], 1) * (setback / np.hypot(*d.T))[:, None]
        self.line[0], self.line[-1] = inner[k], inner[(k + 1) % 4]
        self.length = float(runs(self.line)[-1])
        self.corner_before, self.corner_after = block.real(k - 1), block.real((k + 1) % 4)
        self.back, _, _ = ray(*block.border(k - 1)[:-3:-1])

    def quad(self, start: float, end: float, forward: float, depth: float, corner: bool) -> np.ndarray:
        """The corners (4, 2) of a building; forward: how far its front stands back; corner: of the block."""
        a, b = along_line(self.line, (start, end))
        _, inward, _ = ray(a, b)
        back = self.back / (self.back @ inward) if corner and 0.3 < self.back @ inward else inward
        return np.array([a + inward * forward, b + inward * forward, b + inward * depth, a + back * depth])


def _part(block: Block, u0: float, u1: float, v0: float, v1: float) -> np.ndarray:
    """A quadrangle (4, 2) of a block, by shares of its sides."""
    grid = block.inner(21)
    return np.array([spot(grid, u * 20, v * 20) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))])
