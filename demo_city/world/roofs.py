"""Roofs over four-cornered buildings, and what stands on them."""

from collections.abc import Sequence

import numpy as np

from demo_city.engine.mesh import DETAIL, Mesh
from demo_city.looks.houses import fixtures
from demo_city.world.network import between
from demo_city.world.pictures import Pictures
from demo_city.world.shapes import WHOLE, Kit, box, circle, cone, level, polygon, prism, rod, sheet
from demo_city.world.site import Building

UNDERSIDE = (150, 140, 128)
KNEE = 0.82  # share of a mansard roof's height at which it bends
TRIANGLE = ((0, 1), (1, 1), (0.5, 0))
LEFT, RIGHT = ((0, 1), (1, 1), (0, 0)), ((0, 1), (1, 1), (1, 0))  # uv of gables that rise to one side


def build_roof(pictures: Pictures, building: Building, rng: np.random.Generator) -> list[Mesh]:
    """The roof of a building: its planes, gables, parapets, dormers, chimneys and plant."""
    house, roof = building.house, _Roof(pictures, building, rng)
    getattr(roof, house.roof)()
    meshes = [roof.done()]
    if house.roof in ("gable", "mansard") and not building.across and building.near:
        meshes.append(_dormers(pictures, building))
    if house.roof in ("gable", "hip", "mansard") and house.use != "church" and rng.random() < 0.75:
        meshes += _chimneys(pictures, building, rng)
    if house.roof == "flat" and building.near:
        meshes += _plant(pictures, building, rng)
    return meshes


def widened(quad: np.ndarray, by: Sequence[float]) -> np.ndarray:
    """A convex counter-clockwise polygon (k, 2) whose sides are moved outwards by some metres each."""
    sides = np.roll(quad, -1, 0) - quad
    sides = sides / np.hypot(*sides.T)[:, None]
    corners = []
    for k, (x, y) in enumerate(quad.tolist()):
        last, this = by[k - 1], by[k]
        (ax, ay), (cx, cy) = sides[k - 1].tolist(), sides[k].tolist()
        turn = ax * cy - ay * cx  # from one side to the next; their outward normals are (y, -x)
        if abs(turn) < 0.05:
            corners.append((x + cy * this, y - cx * this))
        else:
            corners.append((x + (ax * this - cx * last) / turn, y + (ay * this - cy * last) / turn))
    return np.array(corners)


class _Roof(Kit):
    """The planes of one roof: a method for each kind of House.roof."""

    def __init__(self, pictures: Pictures, building: Building, rng: np.random.Generator):
        super().__init__(pictures, 0, building.index)
        self.building, self.house, self.rng = building, building.house, rng
        self.eaves, self.top = building.eaves, building.eaves + building.rise
        self.up = np.array([0, 0, building.rise])
        self.open = [kind != "party" for kind in building.walls]

    def plane(self, piece: int, corners: Sequence, uv: Sequence | None = None, kind: str = "roof") -> None:
        """A part (3 or 4 corners, (k, 3)), the first two along its lower edge; kind: "roof" or "gable"."""
        corners = np.asarray(corners, float)
        length = float(np.linalg.norm(corners[1] - corners[0]))
        height = float(np.linalg.norm((corners[2:] - corners[:2].mean(0)).mean(0)))
        texture = self.pictures.wall(self.house, kind, piece, max(length, 0.5), max(height, 0.5))
        self.add(polygon, corners, uv or (WHOLE if len(corners) == 4 else TRIANGLE), material=texture)

    def brim(self, quad: np.ndarray, open_sides: Sequence[bool]) -> np.ndarray:
        """The walls' corners (4, 2), moved out by the overhang: always before and behind, else at open sides."""
        return widened(quad, [self.building.overhang * (k % 2 == 0 or open_sides[k]) for k in range(4)])

    def gable(self) -> None:
        """Two slopes; the ridge may end at a gable that faces the street."""
        shift, overhang = int(self.building.across), self.building.overhang
        quad = np.roll(self.building.quad, -shift, 0)
        outer = self.brim(quad, np.roll(self.open, -shift))
        drop = overhang * self.building.rise / max(np.hypot(*(quad[2] - quad[1])) / 2, 0.5)  # of the eaves
        a, b, c, d = low = level(outer, self.eaves - drop)
        left, right = level((outer[[0, 1]] + outer[[3, 2]]) / 2, self.top)
        self.plane(0, (a, b, right, left))
        self.plane(1, (c, d, left, right))
        for piece, ends in enumerate(([1, 2], [3, 0])):
            wall = level(quad[ends], self.eaves)
            self.plane(piece, (*wall, (*wall.mean(0)[:2], self.top)), kind="gable")
        if overhang:
            under = level(quad, self.eaves - 0.02)
            for k in (0, 2):
                self.add(polygon, (low[k + 1], low[k], under[k], under[k + 1]), tint=UNDERSIDE)

    def hip(self) -> None:
        """Four slopes."""
        outer = self.brim(self.building.quad, self.open)
        if np.hypot(*(outer[1] - outer[0])) < np.hypot(*(outer[2] - outer[1])):
            outer = np.roll(outer, -1, 0)
        a, b, c, d = level(outer, self.eaves - 0.1)
        share = min(np.linalg.norm(c - b) / 2 / np.linalg.norm(b - a), 0.5)
        middles = (outer[[0, 1]] + outer[[3, 2]]) / 2
        left, right = level(middles + (middles[::-1] - middles) * share, self.top)
        uv = ((0, 1), (1, 1), (1 - share, 0), (share, 0))
        self.plane(0, (a, b, right, left), uv)
        self.plane(1, (b, c, right))
        self.plane(2, (c, d, left, right), uv)
        self.plane(3, (d, a, left))
        if self.building.overhang:
            self.add(polygon, (d, c, b, a), tint=UNDERSIDE)

    def mansard(self) -> None:
        """Steep slopes, then flat ones."""
        steep, quad, low = self.rng.uniform(0.5, 1.1), self.building.quad, self.eaves
        for inset, high in ((steep, self.eaves + KNEE * self.building.rise), (1.6, self.top)):
            insets = [inset * (k % 2 == 0 or self.open[k]) for k in range(4)]
            upper = widened(quad, [-each for each in insets])
            a, b = level(quad, low), level(upper, high)
            for k in range(4):
                j = (k + 1) % 4
                wide = max(np.hypot(*(quad[j] - quad[k])), 1.0)
                uv = ((0, 1), (1, 1), (1 - insets[j] / wide, 0), (insets[k - 1] / wide, 0))
                self.plane(k, (a[k], a[j], b[j], b[k]), uv, "roof" if insets[k] else "gable")
            quad, low = upper, high
        self.plane(5, level(quad, self.top))

    def shed(self) -> None:
        """One slope."""
        a, b, c, d = level(np.roll(self.building.quad, 2 * self.building.across, 0), self.eaves)
        self.plane(0, (a, b, c + self.up, d + self.up))
        self.plane(0, (b, c, c + self.up), RIGHT, "gable")
        self.plane(1, (d, a, d + self.up), LEFT, "gable")
        self.plane(2, (c, d, d + self.up, c + self.up), kind="gable")

    def sawtooth(self) -> None:
        """Sheds in a row, with glass on their high sides."""
        a, b, c, d = level(self.building.quad, self.eaves)
        count, up, glass = max(int(np.linalg.norm(b - a) / 6), 2), self.up, self.pictures.material("glass")
        for n in range(count):
            s, t = n / count, (n + 1) / count
            p, q, r, o = a + (b - a) * s, a + (b - a) * t, d + (c - d) * t, d + (c - d) * s
            self.add(polygon, (q, r, r + up, q + up), ((0, 2), (6, 2), (6, 0), (0, 0)), material=glass)
            self.plane(0, (o, p, q + up, r + up))
            self.plane(0, (p, q, q + up), RIGHT, "gable")
            self.plane(1, (r, o, r + up), LEFT, "gable")

    def flat(self) -> None:
        """A deck behind a parapet."""
        height, texture = max(self.building.rise, 0.05), self.pictures.wall(self.house, "chimney", 1, 2.0, 2.0)
        inner = widened(self.building.quad, [-0.3] * 4)
        rings = ((self.building.quad, 0.0), (self.building.quad, height), (inner, height), (inner, 0.0))
        corners = [level(np.concatenate([quad, quad[:1]]), self.eaves + z) for quad, z in rings]
        run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners[0], axis=0), axis=1))]) / 2
        across = np.cumsum([0.0, height, 0.3, height])[::-1] / 2
        uv = np.stack(np.broadcast_arrays(run, across[:, None]), -1)
        self.add(sheet, np.array(corners)[::-1], uv[::-1], material=texture)
        self.plane(0, level(inner, self.eaves + 0.02))


def _dormers(pictures: Pictures, building: Building) -> Mesh:
    (a, along, length), mansard, kit = building.wall(0), building.house.roof == "mansard", Kit(pictures)
    kit.owner = building.index
    run = 0.8 if mansard else float(np.hypot(*(building.quad[2] - building.quad[1]))) / 2
    rise = building.rise * (KNEE if mansard else 1.0)
    slope, tin = float(np.hypot(run, rise)), {"material": "metal", "tint": (110, 112, 116)}
    for each in fixtures(building.house, "roof", length):
        if each.kind != "dormer" or each.high * 0.8 > slope:
            continue
        y, z = each.low * run / slope, each.low * rise / slope
        tall = min(each.high - each.low, rise - z)
        low, high = (each.left, y, z), (each.right, y + tall * run / rise + 0.1, z + tall)
        kit.add(box, low, high, ("front",), 0, material=pictures.fixture(each), tint=each.tint)
        kit.add(box, low, high, ("left", "right"), tint=(128, 128, 130))
        x0, x1, y0, y1, z = each.left - 0.1, each.right + 0.1, y - 0.15, high[1], high[2]
        if building.house.key % 2:
            kit.add(polygon, ((x0, y0, z), (x1, y0, z), (x1, y1, z + 0.1), (x0, y1, z + 0.1)), **tin)
            continue
        middle, tip = (x0 + x1) / 2, z + (x1 - x0) * 0.35
        ridge, end = (middle, y0, tip), (middle, y1 + 0.4, tip)
        kit.add(polygon, ((x0, y1, z), (x0, y0, z), ridge, end), **tin)
        kit.add(polygon, ((x1, y0, z), (x1, y1, z), end, ridge), **tin)
        kit.add(polygon, ((x0, y0, z), (x1, y0, z), ridge), TRIANGLE, tint=(200, 196, 190))
    return kit.done((*a, building.eaves), along)


def _chimneys(pictures: Pictures, building: Building, rng: np.random.Generator) -> list[Mesh]:
    texture, meshes, (_, along, _) = pictures.wall(building.house, "chimney", 0, 2.0, 2.0), [], building.wall(0)
    for u in rng.choice([0.08, 0.3, 0.62, 0.92], rng.integers(1, 3), replace=False):
        kit, x, y = Kit(pictures, 0, building.index), rng.uniform(0.25, 0.65), rng.uniform(0.22, 0.3)
        low, high = building.rise * 0.3, building.rise + rng.uniform(0.4, 1.3)
        kit.add(box, (-x, -y, low), (x, y, high), material=texture)
        kit.add(box, (-0.09, -0.09, high), (0.09, 0.09, high + 0.35), tint=(150, 92, 66), flags=DETAIL)
        kit.repeat([(at, 0, 0) for at in np.arange(0.2 - x, x - 0.1, 0.35)])
        spot = between(building.quad, u, rng.uniform(0.35, 0.65))
        meshes.append(kit.done((*spot, building.eaves), along))
    return meshes


def _plant(pictures: Pictures, building: Building, rng: np.random.Generator) -> list[Mesh]:
    """Stair heads, tanks, coolers and masts on a flat roof."""
    (a, b, c), meshes, (_, along, _) = building.quad[:3], [], building.wall(0)
    area = float(np.hypot(*(b - a)) * np.hypot(*(c - b)))
    for u, v in rng.uniform(0.2, 0.8, (int(rng.integers(1, 3 + min(area / 150, 3))), 2)):
        kit, grey, w = Kit(pictures, building.house.key % 4), (rng.uniform(140, 220),) * 3, rng.uniform(0.5, 1.3)
        kind = str(rng.choice(["room", "cooler", "tank", "mast", "cooler"]))
        if kind == "room":
            kit.add(box, (-1.8 * w, -1.2 * w, 0), (1.8 * w, 1.2 * w, 2.7), material="plaster", tint=grey)
        elif kind == "tank":
            kit.add(prism, circle(w, 8), 0, 1.6, False, material="metal", tint=(90, 84, 80))
            kit.add(prism, circle(w * 1.2, 8), 1.6, 4.0, False, material="planks", tint=(200, 180, 160))
            kit.add(cone, circle(w * 1.3, 8), 4.0, (0, 0, 5.0), tint=(96, 92, 90))
        elif kind == "mast":
            kit.add(rod, (0, 0, 0), (0, 0, 3.5 * w), 0.05, 3, tint=(120, 120, 124), flags=DETAIL)
        else:
            kit.add(box, (-w, -0.6, 0), (w, 0.6, w + 0.2), material="metal", tint=grey)
        meshes.append(kit.done((*between(building.quad, u, v), building.eaves), along))
    return meshes
