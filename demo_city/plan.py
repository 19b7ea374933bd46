"""The plan of a district: streets, blocks, lots, buildings, trees and lamps, all in metres and all from one seed.

Coordinates are UTM metres minus the district's origin: x to the east, y to the north.
"""

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from demo_city.buildings import Building, build_walls
from demo_city.seeds import random_for


@dataclass(frozen=True)
class Style:
    """How a city is laid out. Pairs are ranges in metres unless said otherwise."""

    name: str
    zone_number: int
    zone_letter: str
    origin: tuple  # UTM east and north of the first district
    rotation: float  # degrees counter-clockwise of the street grid
    warp: float  # amplitude in metres of the bends of the grid
    spacing: tuple  # between parallel streets
    roadway: tuple  # half-width of the carriageway
    pavement: tuple
    widths: tuple  # of a building
    depth: float
    gap: tuple  # between neighbours
    setback: tuple  # front garden
    storeys: tuple  # count, both ends included
    storey_height: tuple
    shops: float  # share of the fronts
    roofs: dict  # form: weight


STYLES = {
    "city1": Style(
        "city1",
        32,
        "U",
        (478000.0, 5442000.0),
        rotation=11.0,
        warp=3.0,
        spacing=(58.0, 84.0),
        roadway=(3.0, 4.4),
        pavement=(2.0, 3.4),
        widths=(6.0, 15.0),
        depth=11.0,
        gap=(0.0, 0.0),
        setback=(0.0, 0.0),
        storeys=(2, 6),
        storey_height=(2.8, 3.6),
        shops=0.5,
        roofs={"flat": 4, "mansard": 3, "pitched": 3, "gable": 2, "stepped": 1.2, "curved": 1.2},
    ),
    "city2": Style(
        "city2",
        10,
        "S",
        (547000.0, 4185000.0),
        rotation=-24.0,
        warp=13.0,
        spacing=(64.0, 92.0),
        roadway=(3.2, 4.2),
        pavement=(1.6, 2.6),
        widths=(7.5, 13.0),
        depth=11.0,
        gap=(1.2, 4.5),
        setback=(1.5, 5.0),
        storeys=(1, 3),
        storey_height=(2.7, 3.3),
        shops=0.14,
        roofs={"gable": 5, "pitched": 4, "flat": 1.5, "hip": 3, "false": 1},
    ),
}


@dataclass
class Street:
    """A street between two crossings, one block long.

    a, b: (2,), ends of the centre line; roadway: half-width of the carriageway; pavement: width of each pavement,
    metres.
    """

    a: np.ndarray
    b: np.ndarray
    roadway: float
    pavement: float
    line: int
    trees: str
    paving: int
    walkable: bool

    @cached_property
    def length(self) -> float:
        """Metres."""
        return float(np.hypot(*(self.b - self.a)))

    @cached_property
    def along(self) -> np.ndarray:
        """Unit vector (2,) from a to b."""
        return (self.b - self.a) / self.length

    @cached_property
    def across(self) -> np.ndarray:
        """Unit vector (2,) to the right of `along`."""
        return np.array([self.along[1], -self.along[0]])


@dataclass
class Thing:
    """A fixed object of the street.

    kind: tree, lamp, sign, bin or box
    position: (2,), metres
    size: height, metres
    variant: what it looks like
    facing: (2,), unit vector towards the carriageway
    """

    kind: str
    position: np.ndarray
    size: float
    variant: int
    facing: np.ndarray  # unit vector towards the carriageway


class District:
    """A closed part of a city with at least `metres` of streets to walk. No other district is within sight.

    seed: of the city
    style: of the city
    name: of the district
    metres: of streets
    origin: UTM (east, north), metres

    Attributes: low, high: (2,), its extent in local metres; streets, buildings, things: lists; walls: Walls.
    """

    def __init__(self, seed: int, style: Style, name: str, metres: float, origin: np.ndarray):
        self.seed, self.style, self.name = seed, style, name
        self.origin = np.asarray(origin, float)
        self.key = zlib.crc32(repr((seed, style.name, name)).encode())
        rng = random_for(self.key, "plan")
        nodes, self.lines = _grid(rng, style, metres)
        self.nodes = nodes
        self.low, self.high = nodes.reshape(-1, 2).min(0) - 6, nodes.reshape(-1, 2).max(0) + 6
        self.streets = _streets(nodes, self.lines)
        self.blocks, self.buildings = [], []
        for i in range(nodes.shape[0] - 1):
            for j in range(nodes.shape[1] - 1):
                _fill_block(self, rng, i, j)
        self.walls = build_walls(self.buildings)
        self.things = _street_furniture(self)

    def walk(self, metres: float) -> list[tuple[int, float, float]]:
        """Chooses walkable streets of `metres` in all: (street index, from m, to m), each at most one block long."""
        pieces, left = [], metres
        for index in sorted(
            (i for i, s in enumerate(self.streets) if s.walkable), key=lambda i: (self.streets[i].line % 7, i)
        ):
            if left <= 0:
                break
            pieces.append((index, 0.0, min(self.streets[index].length, left)))
            left -= self.streets[index].length
        return pieces


def _grid(rng: np.random.Generator, style: Style, metres: float) -> tuple[np.ndarray, list[list[dict]]]:
    """Crossings (gx, gy, 2), and the two lists of street lines. One ring of blocks lies round the walkable part."""
    mean = sum(style.spacing) / 2
    nx = ny = 1
    while (nx * (ny + 1) + ny * (nx + 1)) * mean * 0.9 < metres:
        nx, ny = (nx + 1, ny) if nx <= ny else (nx, ny + 1)
    counts = (nx + 3, ny + 3)
    lines, offsets = [], []
    for axis, count in enumerate(counts):
        offsets.append(np.concatenate([[0], np.cumsum(rng.uniform(*style.spacing, count - 1))]))
        lines.append(
            [
                {
                    "roadway": rng.uniform(*style.roadway),
                    "pavement": rng.uniform(*style.pavement),
                    "line": axis * 3 + k * 5,
                    "trees": str(rng.choice(["", "round", "tall", "broad", "round"])),
                    "paving": int(rng.integers(4)),
                }
                for k in range(count)
            ]
        )
    x, y = np.meshgrid(offsets[0] - offsets[0].mean(), offsets[1] - offsets[1].mean(), indexing="ij")
    phase = rng.uniform(0, 2 * np.pi, 4)
    bent_x = x + style.warp * np.sin(y / 61 + phase[0]) + style.warp * 0.5 * np.sin(y / 23 + x / 47 + phase[1])
    bent_y = y + style.warp * np.sin(x / 67 + phase[2]) + style.warp * 0.5 * np.sin(x / 29 + y / 53 + phase[3])
    angle = np.radians(style.rotation)
    nodes = np.stack(
        [bent_x * np.cos(angle) - bent_y * np.sin(angle), bent_x * np.sin(angle) + bent_y * np.cos(angle)], -1
    )
    return nodes, lines


def _streets(nodes: np.ndarray, lines: list[list[dict]]) -> list[Street]:
    streets = []
    gx, gy = nodes.shape[:2]
    for axis in (0, 1):
        for k, line in enumerate(lines[axis]):
            for m in range((gy if axis == 0 else gx) - 1):
                a, b = (nodes[k, m], nodes[k, m + 1]) if axis == 0 else (nodes[m, k], nodes[m + 1, k])
                inner = 1 <= k <= len(lines[axis]) - 2 and 1 <= m <= len(lines[1 - axis]) - 3
                streets.append(
                    Street(a, b, line["roadway"], line["pavement"], line["line"], line["trees"], line["paving"], inner)
                )
    return streets


def _fill_block(district: "District", rng: np.random.Generator, i: int, j: int) -> None:
    """Puts buildings round the block between the lines i, i + 1 and j, j + 1, along each of its four streets."""
    nodes, lines, style = district.nodes, district.lines, district.style
    corners = [nodes[i, j], nodes[i + 1, j], nodes[i + 1, j + 1], nodes[i, j + 1]]
    borders = [lines[1][j], lines[0][i + 1], lines[1][j + 1], lines[0][i]]
    insets = [line["roadway"] + line["pavement"] for line in borders]
    block = np.array(
        [_meet(corners[k - 1], corners[k], insets[k - 1], corners[(k + 1) % 4], insets[k]) for k in range(4)]
    )
    district.blocks.append(block)
    setbacks = rng.uniform(*style.setback, 4)
    plot = np.array([_meet(block[k - 1], block[k], setbacks[k - 1], block[(k + 1) % 4], setbacks[k]) for k in range(4)])
    for k in range(4):
        a, b = plot[k], plot[(k + 1) % 4]
        length = np.hypot(*(b - a))
        along = (b - a) / length
        inward = np.array([-along[1], along[0]])
        back = (plot[k - 1] - a) / np.hypot(*(plot[k - 1] - a))
        position, first, free = 0.0, True, length - style.depth - 0.3
        while free - position > style.widths[0] * 0.8:
            width = rng.uniform(*style.widths)
            if free - position - width < style.widths[0]:
                width = min(free - position, style.widths[1] * 1.2)
            forward = rng.choice([0.0, 0.0, 0.25, 0.5]) if not first else 0.0
            depth = style.depth * (1.0 if first else rng.uniform(0.85, 1.0))
            start, end = a + along * position, a + along * (position + width)
            quad = np.array(
                [
                    start + inward * forward,
                    end + inward * forward,
                    end + inward * depth,
                    start + back * depth if first else start + inward * depth,
                ]
            )
            district.buildings.append(_building(district, rng, quad, first))
            gap = rng.uniform(*style.gap)
            position += width + gap
            first = False


def _building(district: "District", rng: np.random.Generator, quad: np.ndarray, corner: bool) -> Building:
    style = district.style
    low, high = style.storeys
    storeys = int(np.clip(round(rng.normal((low + high) / 2 + (0.4 if corner else 0), (high - low) / 3.2)), low, high))
    shop = bool(rng.random() < style.shops + (0.25 if corner else 0))
    roofs = list(style.roofs)
    weights = np.array([style.roofs[r] for r in roofs], float)
    roof = str(rng.choice(roofs, p=weights / weights.sum()))
    if corner and roof in ("stepped", "curved", "gable") and style.name == "city1":
        roof = "mansard"
    width = np.hypot(*(quad[1] - quad[0]))
    rise = {
        "flat": 0.0,
        "mansard": rng.uniform(2.2, 3.0),
        "pitched": rng.uniform(2.5, 4.2),
        "gable": width * rng.uniform(0.3, 0.5),
        "stepped": width * rng.uniform(0.35, 0.5),
        "curved": rng.uniform(1.2, 2.4),
        "hip": rng.uniform(2.0, 3.2),
        "false": rng.uniform(0.8, 1.6),
    }[roof]
    detached = style.gap[1] > 0
    fence = (
        str(rng.choice(["", "hedge", "picket", "wall", "rail"]))
        if detached and style.setback[0] > 1 and not shop
        else ""
    )
    return Building(
        int(rng.integers(1 << 31)),
        quad,
        storeys,
        rng.uniform(3.4, 4.4) if shop else rng.uniform(2.9, 3.6),
        rng.uniform(*style.storey_height),
        roof,
        min(rise, 5.0),
        shop,
        corner,
        detached,
        fence,
    )


def _meet(
    before: np.ndarray, corner: np.ndarray, inset_before: float, after: np.ndarray, inset_after: float
) -> np.ndarray:
    """The corner of a counter-clockwise polygon after its two edges were moved inwards by their insets."""
    d1, d2 = (corner - before) / np.hypot(*(corner - before)), (after - corner) / np.hypot(*(after - corner))
    n1, n2 = np.array([-d1[1], d1[0]]), np.array([-d2[1], d2[0]])
    # the point p with (p - corner) . n1 = inset_before and (p - corner) . n2 = inset_after
    return corner + np.linalg.solve(np.stack([n1, n2]), [inset_before, inset_after])


def _street_furniture(district: District) -> list[Thing]:
    things = []
    for index, street in enumerate(district.streets):
        rng = random_for(district.key, "furniture", index)
        reach = street.roadway + street.pavement + 4
        for side in (-1, 1):
            kerb = street.across * side * (street.roadway + 0.55)
            step, s = rng.uniform(8, 13), reach + rng.uniform(0, 6)
            while s < street.length - reach:
                if street.trees and rng.random() < 0.8:
                    things.append(
                        Thing(
                            "tree",
                            street.a + street.along * s + kerb,
                            rng.uniform(4.5, 8.0),
                            int(rng.integers(6)) + 6 * ["round", "tall", "broad"].index(street.trees),
                            -street.across * side,
                        )
                    )
                elif rng.random() < 0.35:
                    things.append(
                        Thing(
                            str(rng.choice(["sign", "bin", "box"])),
                            street.a + street.along * s + kerb * 1.02,
                            1.0,
                            int(rng.integers(1000)),
                            -street.across * side,
                        )
                    )
                s += step * rng.uniform(0.8, 1.2)
            s = reach - 2 + (9 if side > 0 else 0) + rng.uniform(0, 3)
            while s < street.length - reach + 2:
                things.append(
                    Thing(
                        "lamp",
                        street.a + street.along * s + kerb * 0.97,
                        rng.uniform(5.0, 6.0),
                        street.line % 3,
                        -street.across * side,
                    )
                )
                s += rng.uniform(19, 24)
    if district.style.setback[1] > 0:
        for building in district.buildings:
            rng = random_for(building.key, "garden")
            if rng.random() < 0.45:
                q = building.quad
                front = q[1] - q[0]
                normal = np.array([front[1], -front[0]]) / np.hypot(*front)
                spot = q[0] + front * rng.choice([-0.06, 0.1, 0.9]) + normal * rng.uniform(0.8, 1.1)
                things.append(Thing("tree", spot, rng.uniform(2.5, 5.5), int(rng.integers(18)), normal))
    return things
