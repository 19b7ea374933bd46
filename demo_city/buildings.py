"""Buildings, and the vertical walls that stand for them.

A building is a prism on a quadrilateral. All that stands is a set of vertical walls (`Walls`): a camera with pitch 0
sees a vertical wall as one span of every column.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from demo_city.seeds import random_for

PROFILE = 33  # samples of a wall's upper edge, from its left end to its right end
FRONT, SIDE, PARTY, BACK, ROOF, CHIMNEY, FENCE = range(7)  # what a wall is


@dataclass
class Building:
    """A house on a quadrilateral.

    quad: float (4, 2), metres, corners counter-clockwise, with the street front from 0 to 1; height: of the eaves;
    rise: of the roof above the eaves.
    """

    key: int
    quad: np.ndarray
    storeys: int
    ground_height: float
    storey_height: float
    roof: str
    rise: float
    shop: bool
    corner: bool
    detached: bool
    fence: str = ""

    @cached_property
    def height(self) -> float:
        """Height of the eaves, metres."""
        return self.ground_height + (self.storeys - 1) * self.storey_height + 0.5


@dataclass
class Walls:
    """All vertical walls of a district, n in all.

    start, end: float64 (n, 2), metres, left to right as seen from outside
    tops: float32 (n, PROFILE), heights of the upper edge, metres
    low: float32 (n,), metres: nothing of the wall can be seen below
    building: int (n,), index of the building
    kind: int (n,), FRONT to FENCE
    piece: int (n,), tells apart the walls of one kind of a building
    length: float64 (n,), metres
    normal: float64 (n, 2), outward unit vectors
    """

    start: np.ndarray
    end: np.ndarray
    tops: np.ndarray
    low: np.ndarray
    building: np.ndarray
    kind: np.ndarray
    piece: np.ndarray
    length: np.ndarray = field(init=False)
    normal: np.ndarray = field(init=False)

    def __post_init__(self):
        edge = self.end - self.start
        self.length = np.hypot(edge[:, 0], edge[:, 1])
        self.normal = np.stack([edge[:, 1], -edge[:, 0]], 1) / self.length[:, None]


def _profile(roof: str, rise: float, height: float, across: bool) -> np.ndarray:
    """The heights of a wall's upper edge (PROFILE,); across: whether the wall carries the roof's cross-section."""
    s = np.linspace(0, 1, PROFILE)
    triangle = 1 - np.abs(2 * s - 1)
    if roof == "flat":
        return np.full(PROFILE, height + 0.7)
    if roof == "false" and across:
        return height + rise * (0.7 + 0.3 * (triangle > 0.5))
    if roof == "stepped" and across:
        return height + rise * np.ceil(triangle * 5) / 5
    if roof == "curved" and across:
        return height + rise * (0.25 + 0.75 * np.sin(np.pi * s) ** 0.7)
    if across and roof == "mansard":
        return height + rise * np.minimum(1, triangle * 8)
    if across and roof in ("gable", "pitched"):
        return height + rise * triangle
    return np.full(PROFILE, height)


def build_walls(buildings: list[Building]) -> Walls:
    """Builds the walls of all buildings."""
    rows = []
    for index, building in enumerate(buildings):
        for start, end, tops, kind, piece in _building_walls(building):
            # what stands on the roof begins at the eaves: nearer walls hide the rest
            low = building.height - 0.5 if kind in (ROOF, CHIMNEY) else 0.0
            rows.append((start, end, tops, low, index, kind, piece))
    starts, ends, tops, low, owner, kind, piece = (np.array(column) for column in zip(*rows, strict=True))
    return Walls(starts, ends, tops.astype(np.float32), low.astype(np.float32), owner, kind, piece)


def _building_walls(b: Building) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int, int]]:
    """Yields (start, end, tops, kind, piece) of a building's walls.

    They are the four walls, stepped planes that stand for a sloping roof, the chimney and the fence.
    """
    q, roof, h = b.quad, b.roof, b.height
    front_carries = roof in ("gable", "stepped", "curved", "false")
    side_carries = roof in ("pitched", "mansard")
    for k in range(4):
        kind = (FRONT, PARTY, BACK, PARTY)[k]
        if k == 3 and b.corner or k in (1, 3) and b.detached:
            kind = SIDE
        yield q[k], q[(k + 1) % 4], _profile(roof, b.rise, h, front_carries if k in (0, 2) else side_carries), kind, k
    if roof != "flat":
        # slopes start at the walls that do not carry the cross-section; a hip has slopes on all sides
        slopes = [k for k in range(4) if roof == "hip" or (k in (0, 2)) != front_carries]
        steps = (
            ((0.05, 0.92), (0.15, 1.0))
            if roof == "mansard"
            else ((0.06, 0.12), (0.17, 0.34), (0.32, 0.64), (0.48, 0.96))
        )
        for k in slopes:
            for step, (inset, up) in enumerate(steps):
                a, c = q[k] + (q[k - 1] - q[k]) * inset, q[(k + 1) % 4] + (q[(k + 2) % 4] - q[(k + 1) % 4]) * inset
                if roof == "hip":
                    a, c = a + (c - a) * inset * 0.7, c + (a - c) * inset * 0.7
                yield a, c, np.full(PROFILE, h + b.rise * up), ROOF, 10 * k + step
    rng = random_for(b.key, "chimney")
    if rng.random() < 0.6:
        spot, size = rng.uniform(0.15, 0.85), rng.uniform(0.5, 1.0)
        side = q[1] - q[0]
        unit, inward = side / np.hypot(*side), (q[3] - q[0]) * rng.uniform(0.2, 0.4)
        box = q[0] + side * spot + inward + np.array([[-size / 2], [size / 2]]) * unit
        deep = inward / np.hypot(*inward) * size * 0.7
        corners = [box[0], box[1], box[1] + deep, box[0] + deep]
        for k in range(4):
            yield (
                corners[k],
                corners[(k + 1) % 4],
                np.full(PROFILE, h + b.rise * 0.6 + rng.uniform(1.2, 1.3)),
                CHIMNEY,
                50 + k,
            )
    if b.fence:
        front = q[1] - q[0]
        normal = np.array([front[1], -front[0]]) / np.hypot(*front)
        a, c = q[0] + normal * 1.3, q[1] + normal * 1.3
        gate = a + front * 0.55, a + front * 0.55 + front / np.hypot(*front) * 1.2
        tall = {"hedge": 1.3, "picket": 1.0, "wall": 0.7, "rail": 1.1}[b.fence] * rng.uniform(0.8, 1.2)
        for piece, (s, e) in enumerate(((a, gate[0]), (gate[1], c))):
            yield s, e, np.full(PROFILE, tall), FENCE, 60 + piece
            yield e, s, np.full(PROFILE, tall), FENCE, 62 + piece
