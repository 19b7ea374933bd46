"""Streets and blocks: a lattice that is bent, with some of its edges taken out.

The outermost lines of the lattice are no streets: they close the last ring of blocks, which nobody walks into.
"""

from dataclasses import dataclass, field

import numpy as np

from demo_city.world.planning import Plan, choose

STEP = 6.0  # metres between the points of a centre line
MARGIN = 60.0  # metres from the last street to the edge of the last blocks
ARC_POINTS = 7  # of the kerb at a corner; odd, so that one is on the corner


@dataclass
class Street:
    """A street between two crossings.

    points: (n, 2), centre line, metres
    roadway: half width of the carriageway; pavement: width of each pavement, metres
    line: index of the lattice line; of streets in one line, widths and trees are alike
    real: whether it is a street, or just the edge of the outermost blocks
    walkable: whether pictures are taken there
    trims: metres at the start and at the end that belong to the crossings
    nodes: lattice positions of its ends
    """

    points: np.ndarray
    roadway: float
    pavement: float
    line: int
    real: bool
    walkable: bool
    nodes: tuple[tuple[int, int], tuple[int, int]]
    trims: list[float] = field(default_factory=lambda: [0.3, 0.3])
    look: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = np.hypot(*np.diff(self.points, axis=0).T)
        self.distances = np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def length(self) -> float:
        """Metres."""
        return float(self.distances[-1])

    def at(self, s: float | np.ndarray) -> np.ndarray:
        """Points (..., 2) of the centre line, s metres from its start."""
        return np.stack([np.interp(s, self.distances, self.points[:, k]) for k in (0, 1)], -1)

    def along(self, s: float | np.ndarray) -> np.ndarray:
        """Unit vectors (..., 2) in the direction of the street."""
        s = np.clip(s, 0.5, self.length - 0.5)
        ahead = self.at(s + 0.5) - self.at(s - 0.5)
        return ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)

    def beside(self, s: float | np.ndarray, right: float) -> np.ndarray:
        """Points (..., 2) that lie `right` metres to the right of the centre line."""
        along = self.along(s)
        return self.at(s) + np.stack([along[..., 1], -along[..., 0]], -1) * right

    def stations(self) -> np.ndarray:
        """Distances (n,) from one crossing to the next, about STEP apart."""
        start, end = self.trims[0], self.length - self.trims[1]
        return np.linspace(start, end, max(int(np.ceil((end - start) / STEP)), 1) + 1)


@dataclass
class Side:
    """A street as a block sees it, which lies on its left when one goes from start to end.

    kerb, plot: (n, 2) each, the edge of the carriageway and that of the block behind the pavement, with the corner up
        to the next side
    own: (n, 2), the part of `plot` before the corner
    """

    street: Street
    forward: bool
    kerb: np.ndarray | None = None
    plot: np.ndarray | None = None
    own: np.ndarray | None = None


@dataclass
class Block:
    """What lies between streets.

    sides: four lists of Side, counter-clockwise
    corners: (4, 2), of the plot
    use: see Plan.blocks
    """

    sides: list[list[Side]]
    use: str
    corners: np.ndarray | None = None

    def border(self, k: int) -> np.ndarray:
        """The plot's side k: (n, 2), from corner k to the next."""
        start, end = self.corners[k], self.corners[(k + 1) % 4]
        between = np.concatenate([np.zeros((0, 2)), *(side.own for side in self.sides[k] if side.own is not None)])
        # points close to a corner would say nothing about the direction of the line
        away = np.minimum(np.hypot(*(between - start).T), np.hypot(*(between - end).T)) > 1.5
        return np.concatenate([start[None], between[away], end[None]])

    def inner(self, count: int) -> np.ndarray:
        """Points (count, count, 2) spread over the plot; from the first side's start, along it, and inwards."""
        sides = [resampled(self.border(k), count) for k in range(4)]
        u = np.linspace(0, 1, count)[:, None, None]
        v = np.linspace(0, 1, count)[None, :, None]
        south, east, north, west = sides[0], sides[1], sides[2][::-1], sides[3][::-1]
        ruled = (1 - v) * south[:, None] + v * north[:, None] + (1 - u) * west[None] + u * east[None]
        a, b, c, d = self.corners
        return ruled - ((1 - u) * (1 - v) * a + u * (1 - v) * b + u * v * c + (1 - u) * v * d)


@dataclass
class Network:
    """streets: all, real or not; blocks; crossings: for each a list of points (n, 2), counter-clockwise."""

    streets: list[Street]
    blocks: list[Block]
    crossings: list[np.ndarray]


def resampled(line: np.ndarray, count: int) -> np.ndarray:
    """`count` points at equal distances on a line (n, 2)."""
    distances = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    s = np.linspace(0, distances[-1], count)
    return np.stack([np.interp(s, distances, line[:, k]) for k in (0, 1)], 1)


def build_network(rng: np.random.Generator, plan: Plan, metres: float) -> Network:
    """Streets with at least `metres` to walk, and the blocks between them."""
    bend, counts = _bend(rng, plan), [2, 2]
    mean = [sum(pair) / 2 for pair in plan.spacing]
    while True:
        network = _lattice(np.random.default_rng(int(rng.integers(1 << 62))), plan, counts, bend)
        if sum(street.length for street in network.streets if street.walkable) >= metres:
            return network
        counts[0 if counts[0] * mean[0] <= counts[1] * mean[1] else 1] += 1


def _bend(rng: np.random.Generator, plan: Plan) -> dict:
    return {
        "arc": rng.uniform(*plan.arc),
        "shear": rng.uniform(*plan.shear),
        "turn": rng.uniform(0, 2 * np.pi),
        "size": rng.uniform(*plan.bends, 4) * (1, 0.4, 1, 0.4),
        "wave": 2 * np.pi / rng.uniform(*plan.swing, 4),
        "phase": rng.uniform(0, 2 * np.pi, 4),
        "tilt": rng.uniform(-0.3, 0.3, 4),
    }


def _bent(bend: dict, uv: np.ndarray) -> np.ndarray:
    """Where lattice positions (..., 2) come to lie, metres."""
    u, v = uv[..., 0], uv[..., 1]
    arc = bend["arc"]
    if abs(arc) > 1e-4:
        u, v = np.sin(u * arc) * (1 / arc - v), 1 / arc - np.cos(u * arc) * (1 / arc - v)
    u = u + bend["shear"] * v
    (a, b, c, d), w, p, t = bend["size"], bend["wave"], bend["phase"], bend["tilt"]
    x = u + a * np.sin(v * w[0] + u * w[0] * t[0] + p[0]) + b * np.sin(v * w[1] * 1.4 + u * w[1] * t[1] + p[1])
    y = v + c * np.sin(u * w[2] + v * w[2] * t[2] + p[2]) + d * np.sin(u * w[3] * 1.4 + v * w[3] * t[3] + p[3])
    cos, sin = np.cos(bend["turn"]), np.sin(bend["turn"])
    return np.stack([x * cos - y * sin, x * sin + y * cos], -1)


def _lattice(rng: np.random.Generator, plan: Plan, counts: list[int], bend: dict) -> Network:
    """counts: of the inner blocks in both directions."""
    offsets, looks = [], []
    for axis, count in enumerate(counts):
        steps = np.concatenate([[MARGIN], rng.uniform(*plan.spacing[axis], count), [MARGIN]])
        if plan.water and axis == 1:
            steps[0] = 160.0
        offset = np.concatenate([[0], np.cumsum(steps)])
        offsets.append(offset - offset.mean())
        looks.append([_line_look(rng, plan) for _ in offset])
    extent = max(abs(offsets[1]).max(), 1)
    bend = {**bend, "arc": float(np.clip(bend["arc"], -0.6 / extent, 0.6 / extent))}
    bend["arc"] *= 0.3 if plan.water else 1.0  # a quay is straight enough for ships
    removed, cells = _merged(rng, plan, counts)
    edges = _edges(rng, offsets, looks, bend, removed, plan.water)
    nodes = {}
    for street in edges.values():
        for end, node in enumerate(street.nodes):
            nodes.setdefault(node, []).append((street, end))
    crossings = _crossings(nodes)
    blocks = [_block(rng, plan, edges, cell, counts) for cell in cells]
    return Network(list(edges.values()), blocks, crossings)


def _line_look(rng: np.random.Generator, plan: Plan) -> dict:
    """What the streets of one line have in common."""
    verge = rng.uniform(*plan.verge)
    verge = verge if verge > 0.5 else 0.0
    return {
        "roadway": rng.uniform(*plan.roadway),
        "pavement": rng.uniform(*plan.pavement) + verge,
        "verge": verge,
        "kerb": rng.uniform(*plan.kerb),
        "road": choose(rng, plan.road),
        "paving": choose(rng, plan.paving),
        "variant": int(rng.integers(4)),
        "stone": 3 if rng.random() < plan.painted else int(rng.integers(3)),  # of the kerb; the last one is painted
        "shade": rng.uniform(0.8, 1.08),
        "marked": rng.random() < rng.uniform(*plan.marked),
        "tree": choose(rng, plan.trees) if rng.random() < rng.uniform(*plan.tree_share) else "",
        "tree_step": rng.uniform(*plan.tree_step),
        "tree_height": rng.uniform(*plan.tree_height),
        "parked": rng.uniform(*plan.parked, 2),
        "wires": rng.random() < plan.wires,
        **_surface_look(rng, plan),
    }


def _surface_look(rng: np.random.Generator, plan: Plan) -> dict:
    """What is painted on the carriageways of one line, and how they were mended."""
    yellow = (222, 178, 74)
    lines = {
        "centre": rng.random() < 0.8,
        "dash": float(rng.choice([6.0, 9.0, 12.0])),
        "duty": float(rng.choice([0.34, 0.5, 1.0])),
        "edges": rng.random() < 0.35,
        "lanes": rng.random() < 0.8,
        "cycle": ((190, 104, 88), (120, 160, 120), (255, 255, 255))[rng.integers(3)] if rng.random() < 0.2 else None,
        "zebra": choose(rng, {"bars": 5, "lines": 2, "": 2}),
    }
    patches = [
        (rng.random(), rng.uniform(-3, 3), rng.uniform(0.8, 14), rng.uniform(0.5, 2.4), rng.uniform(0.6, 1.0))
        for _ in range(rng.integers(0, 7))
    ]
    return {
        "lines": lines,
        "line_tint": yellow if rng.random() < (0.7 if plan.name == "grid" else 0.12) else (226, 226, 216),
        "edge_tint": yellow if rng.random() < 0.3 else (226, 226, 216),
        "patches": patches,
        "tram": choose(rng, {"setts": 1, "concrete": 1, "grass": 0.4}) if rng.random() < plan.tram * 0.6 else "",
    }


def _merged(rng: np.random.Generator, plan: Plan, counts: list[int]) -> tuple[set, list[tuple]]:
    """Joins some cells: the edges (axis, line, place) that fall away, and the cells (i0, i1, j0, j1), ends excluded."""
    nx, ny = counts[0] + 2, counts[1] + 2
    share = rng.uniform(*plan.merged)
    taken, removed, cells = set(), set(), []
    for i in range(nx):
        for j in range(ny):
            if (i, j) in taken:
                continue
            cell = (i, i + 1, j, j + 1)
            inner = 0 < i < nx - 1 and 0 < j < ny - 1
            if inner and rng.random() < share:
                if rng.random() < 0.5 and i + 1 < nx - 1 and (i + 1, j) not in taken:
                    cell = (i, i + 2, j, j + 1)
                    taken.add((i + 1, j))
                    removed.add((0, i + 1, j))
                elif j + 1 < ny - 1 and (i, j + 1) not in taken:
                    cell = (i, i + 1, j, j + 2)
                    taken.add((i, j + 1))
                    removed.add((1, j + 1, i))
            cells.append(cell)
    return removed, cells


def _edges(rng: np.random.Generator, offsets: list, looks: list, bend: dict, removed: set, water: bool) -> dict:
    edges = {}
    for axis in (0, 1):
        lines, places = len(offsets[axis]), len(offsets[1 - axis])
        for k in range(lines):
            for m in range(places - 1):
                if (axis, k, m) in removed:
                    continue
                inner = 1 <= k <= lines - 2
                walkable = inner and 1 <= m <= places - 3
                # the outer lines go on at the corners, so that no crossing is open to an outer block's corner
                real = walkable or (inner and (k in (1, lines - 2) or rng.random() < 0.6))
                if water and axis == 0 and m == 0:
                    real = False
                look = looks[axis][k]
                t = np.linspace(0, 1, 2 + int((offsets[1 - axis][m + 1] - offsets[1 - axis][m]) / STEP))
                run = offsets[1 - axis][m] + t * (offsets[1 - axis][m + 1] - offsets[1 - axis][m])
                fixed = np.full_like(run, offsets[axis][k])
                uv = np.stack([fixed, run] if axis == 0 else [run, fixed], -1)
                ends = ((k, m), (k, m + 1)) if axis == 0 else ((m, k), (m + 1, k))
                width = (look["roadway"], look["pavement"]) if real else (0.0, 0.0)
                edges[axis, k, m] = Street(
                    _bent(bend, uv), *width, axis * 1000 + k, real, walkable, ends, look={**look, "axis": axis}
                )
    return edges


def _outwards(street: Street, end: int) -> np.ndarray:
    """Unit vector (2,) of a street from one of its ends into it."""
    return street.along(0.0) if end == 0 else -street.along(street.length)


def _meeting(node: np.ndarray, first: tuple, second: tuple, width: str) -> np.ndarray:
    """Where the border on the left of one street, seen from their node, meets that on the right of the next."""
    (a, a_end), (b, b_end) = first, second
    widths = [s.roadway + (s.pavement if width == "plot" else 0) for s in (a, b)]
    da, db = _outwards(a, a_end), _outwards(b, b_end)
    na, nb = np.array([-da[1], da[0]]), np.array([db[1], -db[0]])
    if abs(da[0] * db[1] - da[1] * db[0]) < 0.25:
        normal = na + nb
        return node + normal / np.linalg.norm(normal) * (widths[0] + widths[1]) / 2
    return node + np.linalg.solve(np.stack([na, nb]), widths)


def _crossings(nodes: dict) -> list[np.ndarray]:
    """Cuts the streets off where they meet, and returns the outlines of the crossings."""
    crossings = []
    for arms in nodes.values():
        arms.sort(key=lambda arm: np.arctan2(*_outwards(*arm)[::-1]))
        node = arms[0][0].points[0 if arms[0][1] == 0 else -1]
        for arm, other in zip(arms, arms[1:] + arms[:1], strict=True):
            if arm is other or not (arm[0].real and other[0].real):
                continue
            corner = _meeting(node, arm, other, "plot")
            for street, end in (arm, other):
                reach = float((corner - node) @ _outwards(street, end)) + 0.8
                street.trims[end] = max(street.trims[end], min(reach, street.length * 0.42))
        real = [arm for arm in arms if arm[0].real]
        if len(real) > 1:
            crossings.append((node, real))
    return [_outline(node, real) for node, real in crossings]


def _end_point(street: Street, end: int, right: float) -> np.ndarray:
    """A point at the end of a street's own part; right: metres, seen from its node."""
    s = street.trims[0] if end == 0 else street.length - street.trims[1]
    return street.beside(s, right if end == 0 else -right)


def _outline(node: np.ndarray, arms: list[tuple]) -> np.ndarray:
    return np.concatenate([corner_arc(node, *pair, "kerb") for pair in zip(arms, arms[1:] + arms[:1], strict=True)])


def corner_arc(node: np.ndarray, first: tuple, second: tuple, width: str) -> np.ndarray:
    """The border (ARC_POINTS, 2) from the left of the first street, seen from the node, to the right of the next.

    width: "kerb" (rounded) or "plot"
    """
    extra = [s.pavement if width == "plot" else 0.0 for s, _ in (first, second)]
    start = _end_point(*first, -first[0].roadway - extra[0])
    end = _end_point(*second, second[0].roadway + extra[1])
    corner = _meeting(node, first, second, width)
    t = np.linspace(0, 1, ARC_POINTS)[:, None]
    if width == "kerb":
        return (1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end
    half = np.minimum(2 * t, 1), np.maximum(2 * t - 1, 0)
    return start + (corner - start) * half[0] + (end - corner) * half[1]


def _block(rng: np.random.Generator, plan: Plan, edges: dict, cell: tuple, counts: list[int]) -> Block:
    i0, i1, j0, j1 = cell
    sides = [
        [Side(edges[1, j0, i], True) for i in range(i0, i1)],
        [Side(edges[0, i1, j], True) for j in range(j0, j1)],
        [Side(edges[1, j1, i], False) for i in reversed(range(i0, i1))],
        [Side(edges[0, i0, j], False) for j in reversed(range(j0, j1))],
    ]
    ring = i0 == 0 or j0 == 0 or i1 == counts[0] + 2 or j1 == counts[1] + 2
    use = choose(rng, plan.blocks)
    if ring and use in ("square", "basin", "park", "parking"):
        use = "rows"
    if plan.water and j0 == 0:
        use = "water"
    if use == "basin" and not plan.water:
        use = "square"
    block = Block(sides, use)
    flat = [side for line in sides for side in line]
    corners = {}
    for k, side in enumerate(flat):
        after = flat[(k + 1) % len(flat)]
        corners[k] = _turn(side, after)
    for k, side in enumerate(flat):
        if side.street.real:
            _border_lines(side, corners[(k - 1) % len(flat)], corners[k])
        else:
            side.kerb = side.plot = np.stack([corners[(k - 1) % len(flat)]["plot"], corners[k]["plot"]])
    ends = np.cumsum([len(line) for line in sides]) - 1
    block.corners = np.stack([corners[int(ends[k - 1])]["plot"] for k in range(4)])
    return block


def _turn(side: Side, after: Side) -> dict:
    """The corner between two sides: the points of the borders, and the arcs if both are streets."""
    arm, other = (side.street, 1 if side.forward else 0), (after.street, 0 if after.forward else 1)
    node = side.street.points[-1 if side.forward else 0]
    # seen from the node, the block lies to the right of the arriving street and to the left of the leaving one
    turn = {width: _meeting(node, other, arm, width) for width in ("kerb", "plot")}
    if side.street.real and after.street.real:
        turn["arcs"] = [corner_arc(node, other, arm, width)[::-1] for width in ("kerb", "plot")]
    return turn


def _border_lines(side: Side, before: dict, after: dict) -> None:
    """Sets a side's kerb and plot lines, up to the next side's first point."""
    street, stations = side.street, side.street.stations()
    left = -1.0 if side.forward else 1.0
    lines = []
    for number, width in enumerate(("kerb", "plot")):
        reach = street.roadway + (street.pavement if width == "plot" else 0)
        line = street.beside(stations, left * reach)
        if not side.forward:
            line = line[::-1]
        parts = [line]
        if "arcs" not in before:
            parts.insert(0, before[width][None])
        parts.append(after["arcs"][number][1:] if "arcs" in after else after[width][None])
        lines.append(np.concatenate(parts))
    side.kerb, side.plot = lines
    side.own = line
