"""Blocks become buildings, yards, gardens, parks and squares."""

from dataclasses import dataclass

import numpy as np

from demo_city.looks.houses import House
from demo_city.seeds import random_for
from demo_city.world.buildings import Building
from demo_city.world.ground import yard_height
from demo_city.world.network import Block
from demo_city.world.planning import Plan, choose
from demo_city.world.roofs import widened
from demo_city.world.terrain import BUILDING, GroundMap, Terrain

TAKEN = 0.015  # share of a building's ground on which something may stand
SMALL = 2.6  # metres: no building is narrower


@dataclass
class Garden:
    """The ground between a pavement and a building.

    outline: (4, 2), the left and right corner at the pavement, then the right and left one at the building
    building: its index
    kerb: height above the carriageway's ground
    kind: of what closes it off, see Plan.front
    """

    outline: np.ndarray
    building: int
    kerb: float
    kind: str


class Settler:
    """Puts buildings on the blocks of one district.

    key: of the district
    plan: of its city
    terrain: heights; floors are put on it
    ground_map: where there is room, and where the buildings are marked
    """

    def __init__(self, key: int, plan: Plan, terrain: Terrain, ground_map: GroundMap):
        self.key, self.plan, self.terrain, self.map = key, plan, terrain, ground_map
        self.buildings: list[Building] = []
        self.gardens: list[Garden] = []

    def settle(self, block: Block, number: int) -> None:
        """Builds on a block; number: its index."""
        rng = random_for(self.key, "block", number)
        if block.use == "rows":
            self._rows(rng, block)
        elif block.use == "estate":
            self._estate(rng, block)
        elif block.use == "square" and rng.random() < 0.4:
            self._landmark(rng, block)
        elif block.use == "parking" and rng.random() < 0.5:
            self._estate(rng, block, share=0.3)

    # rows of buildings along the streets

    def _rows(self, rng: np.random.Generator, block: Block) -> None:
        plan = self.plan
        real = [all(side.street.real for side in line) for line in block.sides]
        setbacks = [rng.uniform(*plan.setback) if is_real else 0.5 for is_real in real]
        borders = [block.border(k) for k in range(4)]
        lengths = [np.hypot(*np.diff(border, axis=0).T).sum() for border in borders]
        across = min((lengths[0] + lengths[2]) / 2, (lengths[1] + lengths[3]) / 2)
        depth = min(rng.uniform(*plan.depth), 0.42 * across - max(setbacks))
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
                front = _Frontage(borders, real, setbacks, k)
                self._row(rng, front, style, yard_height(street.look["kerb"]), street.walkable)
        if rng.random() < 0.6 and not style["gap"]:
            self._backyard(rng, block, style)

    def _row(self, rng: np.random.Generator, front: "_Frontage", style: dict, kerb: float, near: bool) -> None:
        plan, depth = self.plan, style["depth"]
        gap = rng.uniform(*plan.gap)
        position = gap / 2 if not front.corner_before else 0.0
        end = front.length - (depth + max(gap, 0.05) if front.corner_after else gap / 2)
        first, left, make = True, 0, None
        while end - position > max(plan.widths[0] * 0.7, SMALL):
            if left <= 0:
                left, make = int(round(rng.uniform(*plan.rows))), self._make(rng, style["storeys"])
            left -= 1
            width = min(make["width"] * rng.uniform(0.97, 1.03), end - position)
            if end - position - width < plan.widths[0] * 0.7:
                width = end - position
            if width > plan.widths[1] * 1.5:
                width /= 2
            forward = 0.0 if first else float(rng.choice([0.0, 0.0, 0.0, 0.25, 0.5]))
            deep = depth * (1.0 if first else rng.uniform(0.86, 1.0))
            corner = first and front.corner_before
            quad = self._fitting(front, (position, position + width), forward, deep, corner)
            touching = not style["gap"]
            kinds = (
                "front",
                "party" if touching and end - position - width > 1 else "side",
                "back",
                "party" if touching and not first else "side",
            )
            make = {**make, "arcade": style["arcade"] and not corner}
            building = self._add(rng, quad, make, kinds, kerb, near, corner)
            if building:
                kind = style["front"] if rng.random() < 0.7 else choose(rng, plan.front)
                spare = gap * 0.5 if style["gap"] else 0.0
                self.gardens.append(Garden(_before(quad, front.setback, spare), building.index, kerb, kind))
            position += width + gap * rng.uniform(0.7, 1.4)
            first = False

    def _fitting(
        self, front: "_Frontage", reach: tuple[float, float], forward: float, depth: float, corner: bool
    ) -> np.ndarray:
        """The corners (4, 2) of a building, set back as far as a bend of the street asks for."""
        for more in (0.0, 0.4, 0.9, 1.6, 2.6):
            quad = front.quad(*reach, forward + more, depth + more, corner)
            if self._has_room(quad):
                break
        return quad

    def _has_room(self, quad: np.ndarray) -> bool:
        """Whether a building (4, 2) would stand on no road, and hardly on anything else."""
        return not self.map.built_on(quad)[1] and self.map.built_on(widened(quad, [-0.35] * 4))[0] <= TAKEN

    def _make(self, rng: np.random.Generator, storeys: float) -> dict:
        """What buildings of one make share."""
        plan = self.plan
        low, high = plan.storeys
        use = choose(rng, plan.uses)
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
        }

    def _add(
        self,
        rng: np.random.Generator,
        quad: np.ndarray,
        make: dict,
        kinds: tuple,
        kerb: float,
        near: bool,
        corner: bool,
    ) -> Building | None:
        """Adds a building where there is room.

        quad: (4, 2), its corners
        make: see _make
        kinds: of the walls
        kerb: height of the yard above the terrain
        near: whether it can be seen from the walk
        corner: whether two streets meet at it
        """
        if not self._has_room(quad):
            return None
        roof, use, storeys = make["roof"], make["use"], make["storeys"]
        if corner and roof in ("gable", "shed", "barrel", "sawtooth"):
            roof = "hip" if rng.random() < 0.6 else "gable"
        if storeys > 8:
            roof = "flat"
        house = House(int(rng.integers(1 << 31)), self.plan.name, use, storeys, make["ground"], make["storey"], roof)
        width, deep = np.hypot(*(quad[1] - quad[0])), np.hypot(*(quad[2] - quad[1]))
        across = make["across"] and not corner
        span = width if across else deep
        if roof == "hip":
            span = min(width, deep)
        rise = {
            "flat": make["parapet"],
            "gable": min(span * make["pitch"], 7.0),
            "hip": min(span * make["pitch"] * 0.8, 5.0),
            "mansard": 2.4 + make["pitch"] * 1.6,
            "shed": min(deep * 0.14, 2.5),
            "sawtooth": 2.2,
            "barrel": min(span * 0.2, 4.0),
        }[roof]
        floor = float(self.terrain.height(quad[:2]).mean()) + kerb
        building = Building(
            quad, house, floor, kinds, rise, across, make["overhang"], make.get("arcade", False) and width > 3.5, near,
            len(self.buildings),
        )  # fmt: skip
        self.buildings.append(building)
        self.map.mark(quad, BUILDING)
        return building

    def _backyard(self, rng: np.random.Generator, block: Block, style: dict) -> None:
        """Lower buildings in the middle of a block, over which one sees now and then."""
        make = {**self._make(rng, style["storeys"] * 0.7), "arcade": False}
        u, v = rng.uniform(0.42, 0.5), rng.uniform(0.42, 0.5)
        quad = _part(block, u - 0.12, u + 0.12, v - 0.1, v + 0.1)
        self._add(rng, quad, make, ("back", "side", "back", "side"), 0.1, False, False)

    # buildings that stand free

    def _estate(self, rng: np.random.Generator, block: Block, share: float = 1.0) -> None:
        plan = self.plan
        a, b, _, d = block.corners
        size = np.hypot(*(b - a)), np.hypot(*(d - a))
        near = any(side.street.walkable for line in block.sides for side in line)
        base = rng.uniform(*plan.storeys)
        wanted = rng.uniform(*plan.widths) * 1.1, rng.uniform(*plan.depth) * 1.3
        spaces = [max(rng.uniform(*plan.setback), 2.0) + rng.uniform(2.0, 9.0) for _ in range(2)]
        counts = [
            max(1, int(length / (want + space))) for length, want, space in zip(size, wanted, spaces, strict=True)
        ]
        for i in range(counts[0]):
            for j in range(counts[1]):
                inside = 0 < i < counts[0] - 1 and 0 < j < counts[1] - 1
                if rng.random() > share * 0.93 or (inside and rng.random() < 0.5):
                    continue
                cell = []
                for n, count, want, length in zip((i, j), counts, wanted, size, strict=True):
                    part = float(np.clip(want * rng.uniform(0.75, 1.1) * count / length, 0.35, 0.88))
                    low = (n + rng.uniform(0.3, 0.7) * (1 - part)) / count
                    cell += [low, low + part / count]
                quad = _part(block, *cell)
                make = self._make(rng, base)
                # the front looks to the nearest street
                turn = 0 if j == 0 else 2 if j == counts[1] - 1 else 3 if i == 0 else 1
                quad = np.roll(quad, -turn, 0)
                self._add(rng, quad, make, ("front", "side", "side", "side"), 0.1, near, False)

    def _landmark(self, rng: np.random.Generator, block: Block) -> None:
        """A church or a hall in the middle of a square."""
        make = {
            **self._make(rng, 2),
            "use": "church" if self.plan.name in ("perimeter", "old_town", "terraces", "waterfront") else "hall",
            "storeys": 1, "ground": rng.uniform(6, 9), "roof": "gable" if rng.random() < 0.8 else "hip",
            "across": True, "pitch": rng.uniform(0.45, 0.7), "overhang": 0.0,
        }  # fmt: skip
        quad = _part(block, 0.36, 0.64, 0.22, 0.8)
        self._add(
            rng, np.roll(quad, -int(rng.integers(4)), 0), make, ("front", "side", "side", "side"), 0.1, True, False
        )


class _Frontage:
    """The line along one side of a block on which buildings stand."""

    def __init__(self, borders: list[np.ndarray], real: list[bool], setbacks: list[float], k: int):
        self.setback = setbacks[k]
        self.line = _inset(borders[k], setbacks[k])
        before, after = _inset(borders[k - 1], setbacks[k - 1]), _inset(borders[(k + 1) % 4], setbacks[(k + 1) % 4])
        self.line[0], self.line[-1] = _cross(before[-2:], self.line[:2]), _cross(self.line[-2:], after[:2])
        self.distances = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.line, axis=0).T))])
        self.length = float(self.distances[-1])
        self.corner_before, self.corner_after = real[k - 1], real[(k + 1) % 4]
        self.back = (before[-2] - before[-1]) / np.hypot(*(before[-2] - before[-1]))

    def at(self, s: float) -> np.ndarray:
        """The point (2,) s metres from the start."""
        return np.array([np.interp(s, self.distances, self.line[:, k]) for k in (0, 1)])

    def quad(self, start: float, end: float, forward: float, depth: float, corner: bool) -> np.ndarray:
        """The corners (4, 2) of a building; forward: how far its front stands back; corner: of the block."""
        a, b = self.at(start), self.at(end)
        along = (b - a) / np.hypot(*(b - a))
        inward = np.array([-along[1], along[0]])
        back = inward
        if corner and 0.3 < self.back @ inward:
            back = self.back / (self.back @ inward)
        return np.array([a + inward * forward, b + inward * forward, b + inward * depth, a + back * depth])


def _before(quad: np.ndarray, setback: float, spare: float) -> np.ndarray:
    """The ground (4, 2) before a building, `spare` metres wider on each side."""
    a, b = quad[:2]
    along = (b - a) / np.hypot(*(b - a))
    out = np.array([along[1], -along[0]]) * setback
    a, b = a - along * spare, b + along * spare
    return np.array([a + out, b + out, b, a])


def _inset(line: np.ndarray, by: float) -> np.ndarray:
    d = np.gradient(line, axis=0)
    d /= np.maximum(np.hypot(*d.T), 1e-6)[:, None]
    return line + np.stack([-d[:, 1], d[:, 0]], 1) * by


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where two lines (2, 2) meet; the second one's start if they hardly do."""
    d, e = first[1] - first[0], second[1] - second[0]
    area = d[0] * e[1] - d[1] * e[0]
    if abs(area) < 0.2 * np.hypot(*d) * np.hypot(*e):
        return (first[1] + second[0]) / 2
    gap = second[0] - first[0]
    return first[0] + d * (gap[0] * e[1] - gap[1] * e[0]) / area


def _part(block: Block, u0: float, u1: float, v0: float, v1: float) -> np.ndarray:
    """A quadrangle (4, 2) of a block, by shares of its sides."""
    grid = block.inner(21)
    places = np.array([(u0, v0), (u1, v0), (u1, v1), (u0, v1)]) * 20
    low = np.floor(places).astype(int).clip(0, 19)
    t = places - low
    corners = []
    for (i, j), (a, b) in zip(low, t, strict=True):
        corners.append(
            (1 - a) * (1 - b) * grid[i, j] + a * (1 - b) * grid[i + 1, j] + a * b * grid[i + 1, j + 1]
            + (1 - a) * b * grid[i, j + 1]
        )  # fmt: skip
    return np.array(corners)
