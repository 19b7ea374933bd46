"""Buildings: their walls, arcades and what sticks out of them, their roofs and what stands on those."""

from collections.abc import Sequence

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, TWO_SIDED, Mesh
from demo_city.looks.fixtures import Fixture, fixtures
from demo_city.seeds import choose, random_for
from demo_city.world import shapes, things
from demo_city.world.network import between
from demo_city.world.shapes import CLOSED, ENDS, WHOLE, Kit, box, grid, level, polygon
from demo_city.world.site import Building, Site

ARCADE_DEPTH = 2.4  # metres
THIN = CUTOUT | TWO_SIDED
BOXED = (*ENDS, "top", "bottom")
UNDERSIDE = (150, 140, 128)
KNEE = 0.82  # share of a mansard roof's height at which it bends


def build_building(site: Site, building: Building) -> list[Mesh]:
    """All triangles of a building."""
    rng, ground, house = random_for(building.house.key, "body"), site.terrain.height(building.quad), building.house
    meshes = []
    for k in range(4):
        origin, along, length = building.wall(k)
        kit = Kit(site.pictures, house.key % 3, building.index)
        _wall(kit, building, k, length, min(ground[k], ground[(k + 1) % 4]) - building.floor - 0.5)
        if k == 0 and building.arcade:
            _arcade(kit, building, length, rng)
        if k == 0 and house.use == "church":
            _steeple(kit, building, length, rng)
        meshes.append(kit.done((*origin, building.floor), along))
    return [*meshes, _Roof(site, building, rng).done()]


def _wall(kit: Kit, building: Building, k: int, length: float, foot: float) -> None:
    """Wall k with its plinth, which reaches down to `foot` metres, and fixtures."""
    house, kind = building.house, building.walls[k]
    texture = kit.pictures.wall(house, kind, k, length, house.height)
    parts = [(0.0, length, 0.0, house.height, 0.0)]
    if building.arcade:
        # the ground floor of the front is put back, and those of its neighbours begin there
        left, right = ARCADE_DEPTH * (k == 1), length - ARCADE_DEPTH * (k == 3)
        parts = [(0.0, length, house.ground_height, house.height, 0.0)]
        parts.append((left, right, 0.0, house.ground_height, ARCADE_DEPTH * (k == 0)))
    for left, right, low, high, y in parts:
        (u0, u1), (v0, v1) = (left / length, right / length), (1 - high / house.height, 1 - low / house.height)
        corners = ((left, y, low), (right, y, low), (right, y, high), (left, y, high))
        kit.add(polygon, corners, ((u0, v1), (u1, v1), (u1, v0), (u0, v0)), material=texture)
    if kind != "party" and foot < -0.05:
        stone = ("stone", "plaster", "concrete", "brick")[house.key % 4]
        kit.add(box, (0, -0.03, foot), (length, 0, 0.02), ("front",), material=stone, tint=(190, 188, 184))
    for each in fixtures(house, kind, length) if building.near else ():
        _fixture(kit, each)


def _arcade(kit: Kit, building: Building, length: float, rng: np.random.Generator) -> None:
    """Columns, ceiling and floor of an arcade."""
    high, deep = building.house.ground_height, ARCADE_DEPTH
    look = {"material": ("stone", "plaster", "concrete")[building.house.key % 3], "tint": (rng.uniform(180, 245),) * 3}
    kit.add(polygon, ((0, deep, high), (length, deep, high), (length, 0, high), (0, 0, high)), **look)
    paved, uv = kit.pictures.ground("slabs", building.house.key % 4), np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    floor = ((0, 0, 0.02), (length, 0, 0.02), (length, deep, 0.02), (0, deep, 0.02))
    kit.add(polygon, floor, uv * (length / 8, 0.3), material=paved)
    count = max(int(length / rng.uniform(2.6, 4.2)), 1)
    kit.add(box, (0, 0, -0.6), (0.48, 0.48, high), **look)
    kit.repeat([(x, 0, 0) for x in np.linspace(0, length - 0.48, count + 1)])
    if rng.random() < 0.5:  # lintels
        kit.add(box, (0, 0.02, high - 0.45), (length, 0.4, high), CLOSED, **look)


def _fixture(kit: Kit, each: Fixture) -> None:
    """What sticks out of a wall, in the wall's own coordinates."""
    texture, plain = kit.pictures.fixture(each), kit.pictures.plain
    look, flat = {"material": texture, "tint": each.tint}, {"metres": 0, "material": texture, "tint": each.tint}
    (x0, y, z0), (x1, _, z1) = low, high = (each.left, -each.depth, each.low), (each.right, 0.0, each.high)
    if each.kind == "balcony":
        floor = max(z0, z1 - 1.25)
        kit.add(box, (x0, y, floor - 0.15), (x1, 0, floor), BOXED, tint=(176, 172, 166))
        kit.add(box, (x0, y, floor), high, ENDS, flags=THIN if each.cutout else TWO_SIDED, **flat)
    elif each.kind == "awning":
        slope = ((x0, y, z0), (x1, y, z0), (x1, -0.02, z1), (x0, -0.02, z1))
        kit.add(polygon, slope, flags=TWO_SIDED, **look)
        for x in (x0, x1):
            side = ((x, y, z0), (x, -0.02, z0), (x, -0.02, z1))
            kit.add(polygon, side, ((0, 1), (0.1, 1), (0.1, 0)), flags=TWO_SIDED, **look)
    elif each.kind == "blade":
        x, t = (x0 + x1) / 2, max((x1 - x0) / 2, 0.06)
        kit.add(box, (x - t, y, z0), (x + t, -0.15, z1), ("left", "right"), **flat)
        kit.add(box, (x - t, y, z0), (x + t, -0.15, z1), ("front", "top", "bottom"), tint=(90, 90, 92))
        kit.add(box, (x - 0.03, -0.16, z1 - 0.15), (x + 0.03, 0, z1 - 0.05), tint=(60, 60, 60), flags=DETAIL)
    elif each.kind == "steps":
        count = max(int(round(z1 / 0.17)), 1)
        for n in range(count):
            ends = (x0, each.depth * (n / count - 1), -0.5), (x1, 0.0, z1 * (n + 1) / count)
            kit.add(box, *ends, (*ENDS, "top"), **look)
    elif each.kind == "fire_escape":
        landing, size = things.thing(kit.pictures, "fire_escape", 0), ((x1 - x0) / 2, -y, 1)
        kit.parts += [shapes.moved(landing, (x0, 0, z), scale=size) for z in np.arange(z0, z1 - 1, 3.2)]
    elif each.cutout:
        kit.add(box, low, high, ENDS, flags=THIN, **flat)
    elif each.kind in ("bay", "board", "air_conditioner"):
        kit.add(box, low, high, ("front",), **flat)
        rest = tuple(150 + 0.25 * value for value in each.tint)
        kit.add(box, low, high, BOXED[1:], material=plain, tint=rest)
    elif each.kind != "column":  # arcades have their own
        kit.add(box, low, high, BOXED, flags=DETAIL if each.kind == "pipe" else 0, **look)


def _steeple(kit: Kit, building: Building, length: float, rng: np.random.Generator) -> None:
    """A tower before a church's front gable."""
    house, x = building.house, length / 2
    half, high = length * rng.uniform(0.18, 0.26), house.height * rng.uniform(1.5, 2.4) + building.rise
    front, back = half * -0.8, half * 1.2
    texture = kit.pictures.wall(house, "side", 4, 2 * half, high)
    kit.add(box, (x - half, front, -0.6), (x + half, back, high), CLOSED[:4], 0, material=texture)
    spire = things.thing(kit.pictures, "spire", house.key % 4)
    kit.parts.append(shapes.moved(spire, (x, half * 0.2, high), scale=(half, half, half * rng.uniform(1.5, 6))))
    kit.parts.append(shapes.moved(things.thing(kit.pictures, "clock", house.key % 4), (x, front, high)))


def _ridge(quad: np.ndarray, share: float) -> np.ndarray:
    """A quadrangle (4, 2) narrowed to a ridge along its first side, which ends some share of its length inside."""
    ends = (quad[[0, 1]] + quad[[3, 2]]) / 2
    return (ends + (ends[::-1] - ends) * share)[[0, 1, 1, 0]]


class _Roof(Kit):
    """One roof: its planes, gables and parapets (a method for each kind of House.roof), and what stands on it."""

    def __init__(self, site: Site, building: Building, rng: np.random.Generator):
        super().__init__(site.pictures, 0, building.index)
        self.building, self.house, self.rng, kind = building, building.house, rng, building.house.roof
        self.eaves, self.top = building.eaves, building.eaves + building.rise
        self.open = [kind != "party" for kind in building.walls]
        getattr(self, kind)()
        if kind in ("gable", "mansard") and not building.across and building.near:
            self.dormers()
        if kind in ("gable", "hip", "mansard") and self.house.use != "church" and rng.random() < 0.75:
            self.chimneys()
        if kind == "flat" and building.near:
            self.plant(site)

    def plane(self, piece: int, corners: Sequence, uv: Sequence = WHOLE, kind: str = "roof") -> None:
        """A part (4, 3), the first two corners along its lower edge; kind: "roof" or "gable"."""
        corners = np.asarray(corners, float)
        length = float(np.linalg.norm(corners[1] - corners[0]))
        height = float(np.linalg.norm((corners[2:] - corners[:2].mean(0)).mean(0)))
        texture = self.pictures.wall(self.house, kind, piece, max(length, 0.5), max(height, 0.5))
        self.add(polygon, corners, uv, material=texture)

    def shell(
        self, kind: str, sides: Sequence[int], lower: np.ndarray, upper: np.ndarray, low: float, high: float
    ) -> None:
        """Some sides of a body between two quadrangles (4, 2), which may be narrowed to a ridge, and heights."""
        a, b = level(lower, low), level(upper, high)
        for k in sides:
            j = (k + 1) % 4
            edge = lower[j] - lower[k]
            left, right = ((upper[n] - lower[k]) @ edge / (edge @ edge) for n in (k, j))
            self.plane(k, (a[k], a[j], b[j], b[k]), ((0, 1), (1, 1), (right, 0), (left, 0)), kind)

    def brim(self, quad: np.ndarray, open_sides: Sequence[bool]) -> np.ndarray:
        """The walls' corners (4, 2), moved out by the overhang: always before and behind, else at open sides."""
        return shapes.widened(quad, [self.building.overhang * (k % 2 == 0 or open_sides[k]) for k in range(4)])

    def gable(self) -> None:
        """Two slopes; the ridge may end at a gable that faces the street."""
        shift, overhang = int(self.building.across), self.building.overhang
        quad = np.roll(self.building.quad, -shift, 0)
        outer = self.brim(quad, np.roll(self.open, -shift))
        low = self.eaves - overhang * self.building.rise / max(np.hypot(*(quad[2] - quad[1])) / 2, 0.5)
        self.shell("roof", (0, 2), outer, _ridge(outer, 0.0), low, self.top)
        self.shell("gable", (1, 3), quad, _ridge(quad, 0.0), self.eaves, self.top)
        edge, under = level(outer, low), level(quad, self.eaves - 0.02)
        for k in (0, 2) if overhang else ():
            self.add(polygon, (edge[k + 1], edge[k], under[k], under[k + 1]), tint=UNDERSIDE)

    def hip(self) -> None:
        """Four slopes."""
        outer, low = self.brim(self.building.quad, self.open), self.eaves - 0.1
        if np.hypot(*(outer[1] - outer[0])) < np.hypot(*(outer[2] - outer[1])):
            outer = np.roll(outer, -1, 0)
        share = min(np.hypot(*(outer[2] - outer[1])) / 2 / np.hypot(*(outer[1] - outer[0])), 0.5)
        self.shell("roof", range(4), outer, _ridge(outer, share), low, self.top)
        if self.building.overhang:
            self.add(polygon, level(outer[::-1], low), tint=UNDERSIDE)

    def mansard(self) -> None:
        """Steep slopes, then flat ones."""
        steep, quad, low = self.rng.uniform(0.5, 1.1), self.building.quad, self.eaves
        sloped = [k for k in range(4) if k % 2 == 0 or self.open[k]]
        for inset, high in ((steep, self.eaves + KNEE * self.building.rise), (1.6, self.top)):
            upper = shapes.widened(quad, [-inset * (k in sloped) for k in range(4)])
            self.shell("roof", sloped, quad, upper, low, high)
            self.shell("gable", [k for k in range(4) if k not in sloped], quad, upper, low, high)
            quad, low = upper, high
        self.plane(5, level(quad, self.top))

    def shed(self, quad: np.ndarray | None = None, walls: Sequence[int] = (1, 2, 3)) -> None:
        """One slope, over the walls or over a part of them (4, 2)."""
        if quad is None:
            quad = np.roll(self.building.quad, 2 * self.building.across, 0)
        self.shell("roof", (0,), quad, quad[[3, 2, 2, 3]], self.eaves, self.top)
        self.shell("gable", walls, quad, quad[[3, 2, 2, 3]], self.eaves, self.top)

    def sawtooth(self) -> None:
        """Sheds in a row, with glass on their high sides."""
        a, b, c, d = self.building.quad
        count, glass = max(int(np.hypot(*(b - a)) / 6), 2), self.pictures.material("glass")
        for s, t in zip(np.arange(count) / count, np.arange(1, count + 1) / count, strict=True):
            quad = np.array([d + (c - d) * s, a + (b - a) * s, a + (b - a) * t, d + (c - d) * t])
            self.shed(quad, (1, 3))
            wall = np.concatenate([level(quad[2:], self.eaves), level(quad[:1:-1], self.top)])
            self.add(polygon, wall, ((0, 2), (6, 2), (6, 0), (0, 0)), material=glass)

    def flat(self) -> None:
        """A deck behind a parapet."""
        height, texture = max(self.building.rise, 0.05), self.pictures.wall(self.house, "chimney", 1, 2.0, 2.0)
        inner = shapes.widened(self.building.quad, [-0.3] * 4)
        rings = ((self.building.quad, 0.0), (self.building.quad, height), (inner, height), (inner, 0.0))
        corners = [level(np.concatenate([quad, quad[:1]]), self.eaves + z) for quad, z in rings]
        across = np.cumsum([0.0, height, 0.3, height])[::-1, None] / 2
        uv = grid(shapes.runs(corners[0][:, :2]) / 2, across)
        self.add(shapes.sheet, np.array(corners)[::-1], uv[::-1], material=texture)
        self.plane(0, level(inner, self.eaves + 0.02))

    def dormers(self) -> None:
        """Windows in the slope above the front."""
        (a, along, length), mansard = self.building.wall(0), self.house.roof == "mansard"
        kit = Kit(self.pictures, 0, self.owner)
        run = 0.8 if mansard else float(np.hypot(*(self.building.quad[2] - self.building.quad[1]))) / 2
        rise = self.building.rise * (KNEE if mansard else 1.0)
        slope, tin = float(np.hypot(run, rise)), {"material": "metal", "tint": (110, 112, 116)}
        for each in fixtures(self.house, "roof", length):
            if each.kind != "dormer" or each.high * 0.8 > slope:
                continue
            y, z = each.low * run / slope, each.low * rise / slope
            tall = min(each.high - each.low, rise - z)
            low, high = (each.left, y, z), (each.right, y + tall * run / rise + 0.1, z + tall)
            kit.add(box, low, high, ("front",), 0, material=self.pictures.fixture(each), tint=each.tint)
            kit.add(box, low, high, ("left", "right"), tint=(128, 128, 130))
            x0, x1, y0, y1, z = each.left - 0.1, each.right + 0.1, y - 0.15, high[1], high[2]
            middle, tip = (x0 + x1) / 2, z + (x1 - x0) * 0.35
            ridge, end = (middle, y0, tip), (middle, y1 + 0.4, tip)
            kit.add(polygon, ((x0, y1, z), (x0, y0, z), ridge, end), **tin)
            kit.add(polygon, ((x1, y0, z), (x1, y1, z), end, ridge), **tin)
            kit.add(polygon, ((x0, y0, z), (x1, y0, z), ridge), ((0, 1), (1, 1), (0.5, 0)), tint=(200, 196, 190))
        self.parts.append(kit.done((*a, self.eaves), along))

    def chimneys(self) -> None:
        """One or two, across the ridge."""
        texture, rng, rise = self.pictures.wall(self.house, "chimney", 0, 2.0, 2.0), self.rng, self.building.rise
        for u in rng.choice([0.08, 0.3, 0.62, 0.92], rng.integers(1, 3), replace=False):
            kit, x, y = Kit(self.pictures, 0, self.owner), rng.uniform(0.25, 0.65), rng.uniform(0.22, 0.3)
            high = rise + rng.uniform(0.4, 1.3)
            kit.add(box, (-x, -y, rise * 0.3), (x, y, high), material=texture)
            kit.add(box, (-0.09, -0.09, high), (0.09, 0.09, high + 0.35), tint=(150, 92, 66), flags=DETAIL)
            kit.repeat([(at, 0, 0) for at in np.arange(0.2 - x, x - 0.1, 0.35)])
            self.stand(kit.done(), u, rng.uniform(0.35, 0.65))

    def plant(self, site: Site) -> None:
        """Stair heads, tanks, coolers and masts on a flat roof."""
        rng, (a, b, c) = self.rng, self.building.quad[:3]
        area = float(np.hypot(*(b - a)) * np.hypot(*(c - b)))
        for u, v in rng.uniform(0.2, 0.8, (int(rng.integers(1, 3 + min(area / 150, 3))), 2)):
            kind = choose(rng, "room 1 cooler 2 cistern 1 mast 1")
            self.stand(site.made(things.thing, kind, int(rng.integers(4))), u, v)

    def stand(self, mesh: Mesh, u: float, v: float) -> None:
        """Puts something at shares of the roof's sides, turned as the front is."""
        spot, (_, along, _) = between(self.building.quad, u, v), self.building.wall(0)
        self.parts.append(shapes.moved(mesh, (*spot, self.eaves), along))
