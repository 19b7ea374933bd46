"""Streets and blocks: a lattice that is bent, with some of its edges taken out.

The outermost lines of the lattice are no streets: they close the last ring of blocks, which nobody walks into.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from demo_city.seeds import choose, random_for
from demo_city.world.plan import Plan
from demo_city.world.shapes import along_line, ray, runs

STEP = 6.0  # metres between the points of a centre line
MARGIN = 60.0  # metres from the last street to the edge of the last blocks
SEA = 160.0  # and to that of the water, in a city that lies on it
ARC_POINTS = 7  # of the kerb at a corner; odd, so that one is on the corner
NEAR_KERB, NEAR_WALL = 1.4, 0.5  # metres of a pavement where things stand
YELLOW, WHITE_PAINT = (222, 178, 74), (226, 226, 216)


@dataclass
class Street:
    """A street between two crossings."""

    points: np.ndarray  # (n, 2), centre line, metres
    roadway: float  # half width of the carriageway, metres
    pavement: float  # width of each pavement, metres
    line: int  # index of the lattice line, whose streets have one look
    real: bool  # whether it is a street, or just the edge of the outermost blocks
    walkable: bool  # whether pictures are taken there
    look: dict  # see _line_look

    def __post_init__(self) -> None:
        self.trims = [0.3, 0.3]  # metres at the start and end that belong to crossings; known once there are blocks
        self.distances = runs(self.points)
        self.length = float(self.distances[-1])
        ends = self.points[[1, -1]] - self.points[[0, -2]]
        self.ends = ends / np.hypot(*ends.T)[:, None]  # its direction there

    def at(self, s: float | np.ndarray) -> np.ndarray:
        """Points (..., 2) of the centre line, s metres from its start."""
        return along_line(self.points, s, self.distances)

    def along(self, s: float | np.ndarray) -> np.ndarray:
        """Unit vectors (..., 2) in the direction of the street."""
        s = np.clip(s, 0.5, self.length - 0.5)
        ahead = self.at(s + 0.5) - self.at(s - 0.5)
        return ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)

    def beside(self, s: float | np.ndarray, right: float | np.ndarray) -> np.ndarray:
        """Points (..., 2) that lie `right` metres to the right of the centre line."""
        along = self.along(s)
        return self.at(s) + np.stack([along[..., 1], -along[..., 0]], -1) * np.asarray(right)[..., None]

    def stations(self) -> np.ndarray:
        """Distances (n,) from one crossing to the next, about STEP apart."""
        start, end = self.trims[0], self.length - self.trims[1]
        return np.linspace(start, end, max(int(np.ceil((end - start) / STEP)), 1) + 1)

    @property
    def up(self) -> float:
        """Height of the pavements and of the yards behind them above the carriageway, metres."""
        return max(self.look["kerb"], 0.03)

    @property
    def parking(self) -> tuple[int, ...]:
        """Where cars are parked: 1 on the right, -1 on the left."""
        return () if self.roadway < 2.6 else (1,) if self.roadway < 3.4 else (-1, 1)

    def driven(self, room: float = 1.05) -> tuple[float, float]:
        """From where to where cars drive, metres to the right of the centre line; room: left beside parked ones."""
        left, right = (self.roadway - (2.25 + room if k in self.parking else 0.25 * self.roadway) for k in (-1, 1))
        return -left, right

    @property
    def strip(self) -> tuple[float, float]:
        """The part of a pavement where one can walk, metres from the centre line. On the right nothing stands there."""
        return self.roadway + NEAR_KERB, self.roadway + self.pavement - NEAR_WALL


class Side:
    """A street as a block sees it, which lies on its left when one goes from start to end, its `node`.

    kerb, plot: (n, 2) each, the edge of the carriageway and that of the block behind the pavement, with the corner up
        to the next side; own: the part of `plot` before the corner; without points if there is no street
    """

    def __init__(self, street: Street, forward: bool):
        self.street, self.forward = street, forward
        self.node = street.points[-1 if forward else 0]
        self.kerb = self.plot = self.own = np.zeros((0, 2))

    def width(self, wide: bool) -> float:
        """From the centre line to the kerb, or to the plot if `wide`."""
        return self.street.roadway + (self.street.pavement if wide else 0.0)

    def heading(self, end: int) -> np.ndarray:
        """The direction (2,) in which one goes round the block, at the start (0) or the end (1) of this side."""
        return self.street.ends[end] if self.forward else -self.street.ends[1 - end]

    def line(self, wide: bool) -> np.ndarray:
        """The kerb (n, 2), or the plot's edge, between the crossings."""
        line = self.street.beside(self.street.stations(), (-1 if self.forward else 1) * self.width(wide))
        return line if self.forward else line[::-1]


class Block:
    """What lies between streets.

    sides: four lists of Side, counter-clockwise; use: see Plan.blocks; corners: (4, 2), of the plot
    """

    def __init__(self, sides: list[list[Side]], use: str):
        self.sides, self.use = sides, use
        self.flat = [side for line in sides for side in line]
        self.turns = list(zip(self.flat, self.flat[1:] + self.flat[:1], strict=True))
        self.corners = np.stack([_meeting(sides[k - 1][-1], sides[k][0], True) for k in range(4)])

    def real(self, k: int) -> bool:
        """Whether there are streets along side k."""
        return all(side.street.real for side in self.sides[k])

    def border(self, k: int) -> np.ndarray:
        """The plot's side k: (n, 2), from corner k to the next."""
        start, end = self.corners[k], self.corners[(k + 1) % 4]
        inside = np.concatenate([side.own for side in self.sides[k]])
        # points close to a corner would say nothing about the direction of the line
        away = np.minimum(np.hypot(*(inside - start).T), np.hypot(*(inside - end).T)) > 1.5
        return np.concatenate([start[None], inside[away], end[None]])

    def inner(self, count: int) -> np.ndarray:
        """Points (count, count, 2) spread over the plot; from the first side's start, along it, and inwards."""
        t, lines = np.linspace(0, 1, count)[:, None, None], [self.border(k) for k in range(4)]
        south, east, north, west = (along_line(line, t[:, 0, 0] * runs(line)[-1]) for line in lines)
        u, v, north, west = t, t.transpose(1, 0, 2), north[::-1], west[::-1]
        ruled = (1 - v) * south[:, None] + v * north[:, None] + (1 - u) * west[None] + u * east[None]
        return ruled - between(self.corners, u, v)

    def frame(self) -> tuple[np.ndarray, np.ndarray, float, float]:
        """The direction (2,) of its first side, the one inwards, and its size along them, metres."""
        a, b, _, d = self.corners
        return *ray(a, b), float(np.hypot(*(d - a)))

    def trim(self) -> None:
        """Cuts its streets off where they meet."""
        for side, after in self.turns:
            if side.street.real and after.street.real:
                corner = _meeting(side, after, True) - side.node
                for each, end, out in ((side, 1, -side.heading(1)), (after, 0, after.heading(0))):
                    street, end = each.street, end if each.forward else 1 - end
                    street.trims[end] = max(street.trims[end], min(float(corner @ out) + 0.8, street.length * 0.42))

    def draw(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Sets the lines of its sides. Returns its corners at the carriageway: (the node (2,), an arc (n, 2))."""
        t = np.linspace(0, 2, ARC_POINTS)[:, None]
        for name in ("plot", "kerb"):
            wide, arcs, none = name == "plot", [], np.zeros((0, 2))
            owns = [side.line(wide) if side.street.real else none for side in self.flat]
            for (side, after), own, following in zip(self.turns, owns, owns[1:] + owns[:1], strict=True):
                start, corner, end = own[-1:], _meeting(side, after, wide)[None], following[:1]
                both = side.street.real and after.street.real
                if not both:
                    arcs.append(np.concatenate([start, corner, end]))
                elif wide:
                    arcs.append(start + (corner - start) * np.minimum(t, 1) + (end - corner) * np.maximum(t - 1, 0))
                else:
                    arcs.append((1 - t / 2) ** 2 * start + t * (1 - t / 2) * corner + (t / 2) ** 2 * end)
            for k, side in enumerate(self.flat):
                start = none if self.flat[k - 1].street.real else arcs[k - 1][:1]
                setattr(side, name, np.concatenate([start, owns[k], arcs[k][1:]]))
                side.own = owns[k] if wide else side.own
        return [(side.node, arc) for side, arc in zip(self.flat, arcs, strict=True)]


def between(corners: np.ndarray, u: float | np.ndarray, v: float | np.ndarray) -> np.ndarray:
    """Points of a quadrangle (4, ...): u shares of the way along its first side, v of the way inwards."""
    a, b, c, d = corners
    return (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c)


def spot(grid: np.ndarray, u: float, v: float) -> np.ndarray:
    """A point (2,) between those of a grid (n, n, 2), u and v cells from its first one."""
    i, j = (min(max(int(cells), 0), len(grid) - 2) for cells in (u, v))
    return between((grid[i, j], grid[i + 1, j], grid[i + 1, j + 1], grid[i, j + 1]), u - i, v - j)


def _meeting(side: Side, after: Side, wide: bool) -> np.ndarray:
    """Where the borders of two successive sides meet, (2,)."""
    (ax, ay), (bx, by) = side.heading(1).tolist(), after.heading(0).tolist()
    a, b, turn = side.width(wide), after.width(wide), ax * by - ay * bx
    if abs(turn) < 0.25:
        normal = np.array([-ay - by, ax + bx])
        return side.node + normal / np.hypot(*normal) * (a + b) / 2
    return side.node + np.array([a * bx - b * ax, a * by - b * ay]) / turn


class Network:
    """Streets with at least `metres` to walk. What lies between them is found out when it is asked for.

    streets: those that are real; edges: all, (axis, line, place): Street; low, high: (2,), the extent of it all, metres
    """

    def __init__(self, key: int, plan: Plan, metres: float):
        self.key, self.plan = key, plan
        rng = random_for(key, "network")
        self._arc = rng.uniform(*plan.arc) * (0.3 if plan.water else 1.0)  # a quay is straight enough for ships
        self._shear, self._turn = rng.uniform(*plan.shear), rng.uniform(0, 2 * np.pi)
        # two waves in each direction: how far they swing, per metre of way, tilt and phase
        self._swings = rng.uniform(*plan.bends, (2, 2)) * (1, 0.4)
        self._waves = 2 * np.pi / rng.uniform(*plan.swing, (2, 2)) * (1, 1.4)
        self._tilts, self._phases = rng.uniform(-0.3, 0.3, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
        (width, depth), counts = (sum(pair) / 2 for pair in plan.spacing), [1, 1]
        while True:
            straight = (counts[0] + 1) * counts[1] * depth + (counts[1] + 1) * counts[0] * width
            if straight > metres:
                self._lay(counts)
                if sum(street.length for street in self.streets if street.walkable) >= metres:
                    break
            counts[0 if counts[0] * width <= counts[1] * depth else 1] += 1
        points = np.concatenate([street.points for street in self.edges.values()])
        self.low, self.high = points.min(0) - 10, points.max(0) + 10

    def _lay(self, counts: list[int]) -> None:
        """Lays the streets; counts: of the inner blocks in both directions."""
        rng, plan = random_for(self.key, "lattice", *counts), self.plan
        self._counts, offsets = counts, []
        for axis, count in enumerate(counts):
            first = SEA if plan.water and axis == 1 else MARGIN
            offset = np.cumsum([0, first, *rng.uniform(*plan.spacing[axis], count), MARGIN])
            offsets.append(offset - offset.mean())
        looks = [[{**_line_look(rng, plan), "axis": axis} for _ in offsets[axis]] for axis in (0, 1)]
        self._cells = _cells(rng, plan, counts)
        removed = {(0, i0 + 1, j0) for i0, i1, j0, _ in self._cells if i1 - i0 == 2}
        self.edges = {}
        for axis, (own, other) in enumerate((offsets, offsets[::-1])):
            for k, m in np.ndindex(len(own), len(other) - 1):
                if (axis, k, m) in removed:
                    continue
                inner = 1 <= k <= len(own) - 2
                walkable = inner and 1 <= m <= len(other) - 3
                # the outer lines go on at the corners, so that no crossing is open to an outer block's corner
                real = walkable or (inner and (k in (1, len(own) - 2) or rng.random() < 0.6))
                real = real and not (plan.water and axis == 0 and m == 0)
                run = np.linspace(other[m], other[m + 1], 2 + int((other[m + 1] - other[m]) / STEP))
                uv, look = np.stack([np.full_like(run, own[k]), run][:: 1 - 2 * axis], -1), looks[axis][k]
                width = (look["roadway"], look["pavement"]) if real else (0.0, 0.0)
                points = self._bent(uv, max(abs(offsets[1]).max(), 1))
                self.edges[axis, k, m] = Street(points, *width, axis * 1000 + k, real, walkable, look)
        self.streets = [street for street in self.edges.values() if street.real]

    def _bent(self, uv: np.ndarray, extent: float) -> np.ndarray:
        """Where lattice positions (..., 2) come to lie, metres; extent: of the lattice, across its arc."""
        arc, (u, v) = float(np.clip(self._arc, -0.6 / extent, 0.6 / extent)), uv.T
        if abs(arc) > 1e-4:
            u, v = np.sin(u * arc) * (1 / arc - v), 1 / arc - np.cos(u * arc) * (1 / arc - v)
        u = u + self._shear * v
        lines = np.stack([v, u])[..., None] + np.stack([u, v])[..., None] * self._tilts[:, None]
        bends = np.sin(lines * self._waves[:, None] + self._phases[:, None])
        x, y = u + bends[0] @ self._swings[0], v + bends[1] @ self._swings[1]
        cos, sin = np.cos(self._turn), np.sin(self._turn)
        return np.stack([x * cos - y * sin, x * sin + y * cos], -1)

    @cached_property
    def blocks(self) -> list[Block]:
        """What lies between the streets, whose ends are cut off now."""
        rng, blocks, edges = random_for(self.key, "blocks"), [], self.edges
        for i0, i1, j0, j1 in self._cells:
            sides = [
                [Side(edges[1, j0, i], True) for i in range(i0, i1)],
                [Side(edges[0, i1, j], True) for j in range(j0, j1)],
                [Side(edges[1, j1, i], False) for i in reversed(range(i0, i1))],
                [Side(edges[0, i0, j], False) for j in reversed(range(j0, j1))],
            ]
            ring = i0 == 0 or j0 == 0 or i1 == self._counts[0] + 2 or j1 == self._counts[1] + 2
            use = choose(rng, self.plan.blocks)
            if ring and use in ("square", "basin", "park", "parking"):
                use = "rows"
            blocks.append(Block(sides, "water" if self.plan.water and j0 == 0 else use))
        for block in blocks:
            block.trim()
        return blocks

    @cached_property
    def crossings(self) -> list[np.ndarray]:
        """The outline of each crossing, (n, 2), counter-clockwise. Sets the blocks' lines."""
        nodes = {}
        for block in self.blocks:
            for node, arc in block.draw():
                if len(arc) > 1:
                    middle = arc[len(arc) // 2] - node
                    nodes.setdefault(tuple(node.round(3)), []).append((np.arctan2(middle[1], middle[0]), arc[::-1]))
        outlines = [[arc for _, arc in sorted(arcs, key=lambda each: each[0])] for arcs in nodes.values()]
        return [np.concatenate(arcs) for arcs in outlines if sum(map(len, arcs)) > 4]


def _line_look(rng: np.random.Generator, plan: Plan) -> dict:
    """What the streets of one line have in common: widths, surfaces, what is painted on them, and trees."""
    verge = rng.uniform(*plan.verge)
    verge = verge if verge > 0.5 else 0.0
    lines = {
        "centre": rng.random() < 0.8,
        "dash": float(rng.choice([6.0, 9.0, 12.0])),
        "duty": float(rng.choice([0.34, 0.5, 1.0])),
        "edges": rng.random() < 0.35,
        "lanes": rng.random() < 0.8,
        "zebra": choose(rng, "bars 5 lines 2 none 2"),
        "tint": YELLOW if rng.random() < plan.yellow else WHITE_PAINT,
        "edge_tint": YELLOW if rng.random() < 0.3 else WHITE_PAINT,
        "wear": rng.uniform(0.0, 0.5),
    }
    return {
        **{name: rng.uniform(*getattr(plan, name)) for name in ("roadway", "kerb", "tree_step", "tree_height")},
        **{name: choose(rng, getattr(plan, name)) for name in ("road", "paving")},
        "pavement": rng.uniform(*plan.pavement) + verge,
        "verge": verge,
        "variant": int(rng.integers(4)),
        "stone": 3 if rng.random() < plan.painted else int(rng.integers(3)),  # of the kerb; the last one is painted
        "shade": min(rng.uniform(0.8, 1.08), 1.0),
        "lines": lines if rng.random() < rng.uniform(*plan.marked) else None,
        "tree": choose(rng, plan.trees) if rng.random() < rng.uniform(*plan.tree_share) else "",
        "parked": rng.uniform(*plan.parked, 2),
        "wires": rng.random() < plan.wires,
    }


def _cells(rng: np.random.Generator, plan: Plan, counts: list[int]) -> list[tuple[int, int, int, int]]:
    """The cells (i0, i1, j0, j1) of the lattice, ends excluded; some are two in one."""
    share, cells = rng.uniform(*plan.merged), []
    for j in range(counts[1] + 2):
        i = 0
        while i < counts[0] + 2:
            wide = 2 if 0 < i < counts[0] and 0 < j <= counts[1] and rng.random() < 1.5 * share else 1
            cells.append((i, i + wide, j, j + 1))
            i += wide
    return cells
