"""Blocks become buildings, with gardens before them."""

import numpy as np

from demo_city.looks.houses import House
from demo_city.seeds import random_for
from demo_city.world.network import Block, between
from demo_city.world.plan import choose
from demo_city.world.roofs import widened
from demo_city.world.shapes import runs
from demo_city.world.site import Building, Site
from demo_city.world.terrain import BUILDING

TAKEN = 0.015  # share of a building's ground on which something may stand
SMALL = 2.6  # metres: no building is narrower
FREE = ("front", "side", "side", "side")  # walls of a building that stands alone


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
    plan, real, (_, width, depth) = site.plan, [block.real(k) for k in range(4)], block.frame()
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
            street = block.sides[k][0].street
            _row(site, rng, _Frontage(block, inner, setbacks[k], k), style, street.up, street.walkable)
    if rng.random() < 0.6 and not style["gap"]:  # lower ones in the middle, over which one sees now and then
        u, v = rng.uniform(0.3, 0.38), rng.uniform(0.32, 0.4)
        make = {**_make(site, rng, style["storeys"] * 0.7), "arcade": False}
        _add(site, rng, _part(block, u, u + 0.24, v, v + 0.2), make, ("back", "side", "back", "side"))


def _row(site: Site, rng: np.random.Generator, front: "_Frontage", style: dict, kerb: float, near: bool) -> None:
    """Buildings from one corner to the next.

    front: where
    style: what those of a block share
    kerb: height of their yards above the terrain
    near: whether one walks there
    """
    plan, depth, touching = site.plan, style["depth"], not style["gap"]
    gap, least = rng.uniform(*plan.gap), max(plan.widths[0] * 0.7, SMALL)
    position = gap / 2 if not front.corner_before else 0.0
    end = front.length - (depth + max(gap, 0.05) if front.corner_after else gap / 2)
    first, left, make = True, 0, None
    while end - position > least:
        if left <= 0:
            left, make = int(round(rng.uniform(*plan.rows))), _make(site, rng, style["storeys"])
        left -= 1
        width = min(make["width"] * rng.uniform(0.97, 1.03), end - position)
        if end - position - width < plan.widths[0] * 0.7:
            width = end - position
        if width > plan.widths[1] * 1.5:
            width /= 2
        forward = 0.0 if first else float(rng.choice([0.0, 0.0, 0.0, 0.25, 0.5]))
        deep, corner = depth * (1.0 if first else rng.uniform(0.86, 1.0)), first and front.corner_before
        for more in (0.0, 0.4, 0.9, 1.6, 2.6):  # as a bend of the street asks for
            quad = front.quad(position, position + width, forward + more, deep + more, corner)
            if _has_room(site, quad):
                break
        last = end - position - width <= 1
        kinds = (
            "front",
            "party" if touching and not last else "side",
            "back",
            "party" if touching and not first else "side",
        )
        make["arcade"] = style["arcade"] and not corner
        building = _add(site, rng, quad, make, kinds, kerb, near, corner)
        if building:
            kind = style["front"] if rng.random() < 0.7 else choose(rng, plan.front)
            outline = _before(building, front.setback, gap * 0.5 if style["gap"] else 0.0)
            site.gardens.append((outline, building, kerb, kind))
        position += width + gap * rng.uniform(0.7, 1.4)
        first = False


def _has_room(site: Site, quad: np.ndarray) -> bool:
    """Whether a building (4, 2) would stand on no road, and hardly on anything else."""
    return not site.map.built_on(quad)[1] and site.map.built_on(widened(quad, [-0.35] * 4))[0] <= TAKEN


def _make(site: Site, rng: np.random.Generator, storeys: float) -> dict:
    """What buildings of one make share."""
    plan, use, (low, high) = site.plan, choose(rng, site.plan.uses), site.plan.storeys
    count = int(np.clip(round(storeys + rng.normal(0, (high - low) / 3.5)), max(round(low), 1), round(high)))
    if use in ("warehouse", "hall", "shop") and rng.random() < 0.35:
        count = max(1, min(count, int(round(low)) + 1))
    return {
        "use": use,
        "storeys": count,
        "width": rng.uniform(*plan.widths),
        "ground": rng.uniform(*plan.ground_height),
        "storey": rng.uniform(*plan.storey_height),
        "roof": choose(rng, plan.roofs),
        "pitch": rng.uniform(0.28, 0.62),
        "across": rng.random() < 0.25,
        "overhang": float(rng.choice([0.0, 0.3, 0.45, 0.6])),
        "parapet": float(rng.choice([0.05, 0.4, 0.7, 1.0])),
        "arcade": False,
    }


def _add(
    site: Site,
    rng: np.random.Generator,
    quad: np.ndarray,
    make: dict,
    kinds: tuple = FREE,
    kerb: float = 0.1,
    near: bool = False,
    corner: bool = False,
) -> Building | None:
    """Adds a building where there is room.

    quad: (4, 2), its corners
    make: see _make
    kinds: of the walls
    kerb: height of the yard above the terrain
    near: whether it can be seen from the walk
    corner: whether two streets meet at it
    """
    if not _has_room(site, quad):
        return None
    roof, storeys, pitch = make["roof"], make["storeys"], make["pitch"]
    if corner and roof in ("gable", "shed", "sawtooth"):
        roof = "hip" if rng.random() < 0.6 else "gable"
    roof = "flat" if storeys > 8 else roof
    house = House(
        int(rng.integers(1 << 31)), site.plan.name, make["use"], storeys, make["ground"], make["storey"], roof
    )
    width, deep = np.hypot(*(quad[1] - quad[0])), np.hypot(*(quad[2] - quad[1]))
    across = make["across"] and not corner
    span = min(width, deep) if roof == "hip" else width if across else deep
    rise = {
        "flat": make["parapet"],
        "gable": min(span * pitch, 7.0),
        "hip": min(span * pitch * 0.8, 5.0),
        "mansard": 2.4 + pitch * 1.6,
        "shed": min(deep * 0.14, 2.5),
        "sawtooth": 2.2,
    }[roof]
    floor, arcade = float(site.terrain.height(quad[:2]).mean()) + kerb, make["arcade"] and width > 3.5
    number = len(site.buildings)
    building = Building(quad, house, floor, kinds, rise, across, make["overhang"], arcade, near, number)
    site.buildings.append(building)
    site.map.mark(quad, BUILDING)
    return building


def _estate(site: Site, rng: np.random.Generator, block: Block, share: float = 1.0) -> None:
    """Buildings that stand free; share: of the places that are built on."""
    plan, (_, *size) = site.plan, block.frame()
    near, base = any(side.street.walkable for side in block.flat), rng.uniform(*plan.storeys)
    wanted = rng.uniform(*plan.widths) * 1.1, rng.uniform(*plan.depth) * 1.3
    spaces = [max(rng.uniform(*plan.setback), 2.0) + rng.uniform(2.0, 9.0) for _ in range(2)]
    counts = [max(1, int(long / (want + space))) for long, want, space in zip(size, wanted, spaces, strict=True)]
    for i, j in np.ndindex(*counts):
        inside = 0 < i < counts[0] - 1 and 0 < j < counts[1] - 1
        if rng.random() > share * 0.93 or (inside and rng.random() < 0.5):
            continue
        cell = []
        for n, count, want, length in zip((i, j), counts, wanted, size, strict=True):
            part = float(np.clip(want * rng.uniform(0.75, 1.1) * count / length, 0.35, 0.88))
            low = (n + rng.uniform(0.3, 0.7) * (1 - part)) / count
            cell += [low, low + part / count]
        # the front looks to the nearest street
        turn = 0 if j == 0 else 2 if j == counts[1] - 1 else 3 if i == 0 else 1
        _add(site, rng, np.roll(_part(block, *cell), -turn, 0), _make(site, rng, base), near=near)


def _landmark(site: Site, rng: np.random.Generator, block: Block) -> None:
    """A church or a hall in the middle of a square."""
    make = {
        **_make(site, rng, 2),
        **{"use": site.plan.landmark, "storeys": 1, "ground": rng.uniform(6, 9), "across": True, "overhang": 0.0},
        **{"roof": "gable" if rng.random() < 0.8 else "hip", "pitch": rng.uniform(0.45, 0.7)},
    }
    quad = np.roll(_part(block, 0.36, 0.64, 0.22, 0.8), -int(rng.integers(4)), 0)
    _add(site, rng, quad, make, near=True)


class _Frontage:
    """The line along side k of a block on which buildings stand."""

    def __init__(self, block: Block, inner: np.ndarray, setback: float, k: int):
        border, self.setback = block.border(k), setback
        d = np.gradient(border, axis=0)
        self.line = border + np.stack([-d[:, 1], d[:, 0]], 1) * (setback / np.hypot(*d.T))[:, None]
        self.line[0], self.line[-1] = inner[k], inner[(k + 1) % 4]
        self.distances = runs(self.line)
        self.length = float(self.distances[-1])
        self.corner_before, self.corner_after = block.real(k - 1), block.real((k + 1) % 4)
        before = block.border(k - 1)
        self.back = (before[-2] - before[-1]) / np.hypot(*(before[-2] - before[-1]))

    def quad(self, start: float, end: float, forward: float, depth: float, corner: bool) -> np.ndarray:
        """The corners (4, 2) of a building; forward: how far its front stands back; corner: of the block."""
        a, b = np.stack([np.interp((start, end), self.distances, self.line[:, k]) for k in (0, 1)], 1)
        along = (b - a) / np.hypot(*(b - a))
        inward = np.array([-along[1], along[0]])
        back = self.back / (self.back @ inward) if corner and 0.3 < self.back @ inward else inward
        return np.array([a + inward * forward, b + inward * forward, b + inward * depth, a + back * depth])


def _before(building: Building, setback: float, spare: float) -> np.ndarray:
    """The ground (4, 2) before a building, `spare` metres wider on each side."""
    a, along, length = building.wall(0)
    out = np.array([along[1], -along[0]]) * setback
    a, b = a - along * spare, a + along * (length + spare)
    return np.array([a + out, b + out, b, a])


def _part(block: Block, u0: float, u1: float, v0: float, v1: float) -> np.ndarray:
    """A quadrangle (4, 2) of a block, by shares of its sides."""
    grid, corners = block.inner(21), []
    for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1)):
        i, j = (min(max(int(share * 20), 0), 19) for share in (u, v))
        cell = np.array([grid[i, j], grid[i + 1, j], grid[i + 1, j + 1], grid[i, j + 1]])
        corners.append(between(cell, u * 20 - i, v * 20 - j))
    return np.array(corners)
