"""A district while it is built: its terrain, the map of what stands where, and how its makers put things into it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.light import Lamps
from demo_city.engine.mesh import DETAIL, GROUND, Mesh
from demo_city.looks.plan import House
from demo_city.looks.surfaces import TILE
from demo_city.seeds import choose, random_for
from demo_city.world import plants, shapes, things
from demo_city.world.network import Network, between
from demo_city.world.plan import Plan
from demo_city.world.shapes import STEEL, WHITE, Kit, Pictures, level, ray
from demo_city.world.things import MODELS, Model, vehicle

EDGE = 90.0  # metres of map beyond the last street
LIGHTS = ((1.0, 0.72, 0.4), (1.0, 0.86, 0.66), (0.9, 0.96, 1.0))  # of lamps: sodium, warm, cold
BOARDS = ((240, 240, 236), (150, 120, 92), (110, 84, 64), (120, 130, 124), (70, 84, 74))
CELL = 0.5  # metres of the map
NOTHING, ROAD, PAVEMENT, BUILDING, THING, WATER = range(6)


class Terrain:
    """Smooth hills: a sum of waves that is nowhere steeper than about `slope`."""

    def __init__(self, key: int, slope: float):
        rng = random_for(key, "terrain")
        turn, length = rng.uniform(0, 2 * np.pi, 4), rng.uniform(170, 520, 4)
        self._waves = np.stack([np.cos(turn), np.sin(turn)]) * (2 * np.pi / length)
        self._phases = rng.uniform(0, 2 * np.pi, 4)
        self._sizes = slope * length / (2 * np.pi) * rng.uniform(0.15, 0.6, 4)

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Metres at points (..., 2)."""
        return np.sin(np.asarray(xy, float) @ self._waves + self._phases) @ self._sizes

    def on(self, xy: np.ndarray, above: float = 0.0) -> np.ndarray:
        """Points (..., 3) on the ground, or `above` metres above it."""
        return level(np.asarray(xy, float), self.height(xy) + above)


class GroundMap:
    """What stands where: a raster of CELL metres with NOTHING to WATER in its cells."""

    def __init__(self, low: np.ndarray, high: np.ndarray):
        self.low = np.asarray(low, float)
        self._size = tuple(int(v) for v in np.ceil((np.asarray(high) - self.low) / CELL) + 1)
        self._image = Image.new("L", self._size, NOTHING)
        self._draw, self._pixels = ImageDraw.Draw(self._image), self._image.load()

    def mark(self, outline: np.ndarray, what: int) -> None:
        """Fills a polygon (k, 2)."""
        self._draw.polygon([tuple(p) for p in ((outline - self.low) / CELL).tolist()], fill=what)

    def mark_disc(self, middle: np.ndarray, radius: float, what: int) -> None:
        """Fills a disc."""
        (x, y), r = (np.asarray(middle) - self.low) / CELL, radius / CELL
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=what)

    def built_on(self, outline: np.ndarray) -> tuple[float, bool]:
        """What is on a polygon (k, 2): the share of it on which something is, and whether a road is."""
        cells = (np.asarray(outline) - self.low) / CELL
        (left, upper), (right, lower) = np.floor(cells.min(0)).astype(int), np.ceil(cells.max(0)).astype(int) + 1
        mask = Image.new("L", (right - left, lower - upper))
        ImageDraw.Draw(mask).polygon([(x - left, y - upper) for x, y in cells.tolist()], fill=1)
        found = np.asarray(self._image.crop((left, upper, right, lower)))[np.asarray(mask, bool)]
        return float((found != NOTHING).mean()), bool((found == ROAD).any())

    def at(self, xy: np.ndarray) -> int:
        """What is at a point (2,); WATER outside the map."""
        x, y = ((xy - self.low) / CELL).tolist()
        return self._pixels[int(x), int(y)] if 0 <= x < self._size[0] and 0 <= y < self._size[1] else WATER

    def within(self, points: np.ndarray, allowed: tuple[int, ...] = (NOTHING,)) -> bool:
        """Whether at all of some points (n, 2) there is only what is allowed."""
        return all(self.at(xy) in allowed for xy in points)


@dataclass
class Building:
    """One building; lengths in metres."""

    quad: np.ndarray  # (4, 2), corners, counter-clockwise; the first two are the front's left and right end
    house: House  # what its pictures are made from
    floor: float  # height of the ground floor
    walls: tuple[str, str, str, str]  # their kinds, see looks.houses.wall_texture
    rise: float  # of the ridge above the eaves
    across: bool  # whether the ridge runs from front to back
    overhang: float  # of the roof
    arcade: bool  # whether the ground floor stands back behind columns
    near: bool  # whether it can be seen from where pictures are taken; others have fewer parts
    index: int  # what owner means in its faces

    @property
    def eaves(self) -> float:
        """Height of the walls' upper edge, metres."""
        return self.floor + self.house.height

    def wall(self, k: int) -> tuple[np.ndarray, np.ndarray, float]:
        """The left end (2,), direction (2,) and length of wall k as seen from outside, metres."""
        along, _, length = ray(self.quad[k], self.quad[(k + 1) % 4])
        return self.quad[k], along, length


class Site:
    """What is built so far.

    meshes; lamps; buildings
    gardens: (outline (4, 2), first the left and right corner at the pavement; building; height above the
        carriageway's ground; what closes it off, see Plan.front)
    daily: (kind, mesh, place (3,), direction (2,)) of things that are there on most days
    places: (place (3,), direction (2,)) for cars behind the pavements
    trees: (foot (3,), height in metres) of those that lose their leaves
    """

    def __init__(self, key: int, plan: Plan, terrain: Terrain, network: Network):
        self.key, self.plan, self.terrain, self.network = key, plan, terrain, network
        self.pictures, self.map = Pictures(key), GroundMap(network.low - EDGE, network.high + EDGE)
        self.meshes: list[Mesh] = []
        self.lamps: list[Lamps] = []
        self.buildings: list[Building] = []
        self.gardens, self.daily, self.places, self.trees = [], [], [], []
        self.light = LIGHTS[random_for(key, "light").integers(len(LIGHTS))]
        self._made: dict[tuple, Mesh | Model] = {}

    def made(self, maker: Callable[[Pictures, str, int], object], kind: str, variant: int) -> Mesh | Model:
        """What a maker of plants, things or vehicles makes, which is done once."""
        if (maker, kind, variant) not in self._made:
            self._made[maker, kind, variant] = maker(self.pictures, kind, variant)
        return self._made[maker, kind, variant]

    def vehicle(self, rng: np.random.Generator, kind: str = "") -> Model:
        """One of the vehicles of a kind, or of the city's."""
        return self.made(vehicle, kind or choose(rng, self.plan.vehicles), int(rng.integers(MODELS)))

    def surface(self, xy: np.ndarray, above: float, texture: int, uv: np.ndarray | None = None, **look: object) -> None:
        """Ground over a grid (a, b, 2), `above` metres above the terrain; uv: (a, b, 2), or None for those there."""
        points, uv = self.terrain.on(xy, above), xy / TILE if uv is None else uv
        self.meshes.append(shapes.sheet(points, uv, texture=texture, **{"flags": GROUND, **look}))

    def patch(self, outline: np.ndarray, kind: str, variant: int, above: float, tint: tuple = WHITE) -> None:
        """A quadrangle (4, 2) of ground of another kind, `above` metres above the terrain."""
        size = max(np.hypot(*(outline[1] - outline[0])), np.hypot(*(outline[3] - outline[0])))
        t = np.linspace(0, 1, max(int(size / 8), 1) + 1)[:, None]
        self.surface(between(outline, t[:, None], t[None]), above, self.pictures.ground(kind, variant), tint=tint)

    def put(self, mesh: Mesh, xy: np.ndarray, along: np.ndarray, above: float, room: float = 0.0) -> None:
        """Puts a mesh at a place (2,), its x axis along a unit vector (2,); room: metres where nothing else stands."""
        self.meshes.append(shapes.moved(mesh, self.terrain.on(xy, above), along))
        if room:
            self.map.mark_disc(xy, room, THING)

    def tree(self, rng: np.random.Generator, xy: np.ndarray, kind: str, height: float, above: float) -> None:
        """Plants a tree at a place (2,); height: metres; above: metres above the carriageway's ground."""
        mesh = self.made(plants.tree, kind, int(rng.integers(plants.VARIANTS)))
        foot, wide = self.terrain.on(xy, above), height * rng.uniform(0.9, 1.15)
        self.meshes.append(mesh.placed(foot, rng.uniform(0, 360), (wide, wide, height)))
        if kind in plants.LEAFY:
            self.trees.append((foot, height))
        self.map.mark_disc(xy, 0.45, THING)

    def bush(self, rng: np.random.Generator, xy: np.ndarray, size: float, above: float, kinds: str = "bush") -> None:
        """Plants a bush of a size in metres, and of one of some kinds; the rest as for a tree."""
        mesh = self.made(plants.bush, str(rng.choice(kinds.split())), int(rng.integers(3)))
        scale = (size * rng.uniform(0.9, 1.4), size * rng.uniform(0.9, 1.4), size)
        self.meshes.append(mesh.placed(self.terrain.on(xy, above), rng.uniform(0, 360), scale))

    def thing(self, rng: np.random.Generator, kind: str, xy: np.ndarray, along: np.ndarray, above: float) -> None:
        """Puts a thing (see things.toml) at a place (2,), unless something else is there; the rest as in `put`."""
        room = things.of(kind, "room")
        if not self.map.within([xy, *shapes.circle(room, 6, xy)], (PAVEMENT, NOTHING)):
            return
        mesh = self.made(things.thing, kind, int(rng.integers(things.VARIANTS)))
        if things.of(kind, "daily"):
            self.daily.append((kind, mesh, self.terrain.on(xy, above), along))
            self.map.mark_disc(xy, room, THING)
        else:
            self.put(mesh, xy, along, above, room)

    def lamp(self, at: np.ndarray, kind: int, power: float, colour: tuple | None = None) -> None:
        """Light at a place (3,), metres; kind: of engine.light; power: 1 is a street lamp's."""
        self.lamps.append(Lamps(at[None], np.array([colour or self.light]), [power], [kind]))

    def barrier(self, rng: np.random.Generator, kind: str, a: np.ndarray, b: np.ndarray, above: float) -> None:
        """Puts up a "fence", "wall", "rail", "mesh" or "hedge" from a to b, (2,); the street is on its right."""
        (along, left, length), variant = ray(a, b), int(rng.integers(3))
        kit = Kit(self.pictures, variant)
        _barrier(kit, random_for(self.key, kind, variant), kind, length)
        mesh = kit.done((*a, above), along)
        share = np.clip((mesh.points[:, :2] - a) @ along / length, 0, 1)
        ends = self.terrain.height(np.stack([a, b]))
        mesh.points[:, 2] += (ends[0] * (1 - share) + ends[1] * share).astype(np.float32)  # follows the slope
        self.meshes.append(mesh)
        self.map.mark(np.array([a, b, b + left * 0.3, a + left * 0.3]), THING)

    def barriers(self, rng: np.random.Generator, kind: str, line: np.ndarray, above: float, share: float) -> None:
        """Puts up fences and the like along a share of a line (n, 2)."""
        for a, b in zip(line[:-1], line[1:], strict=True):
            if rng.random() < share and np.hypot(*(b - a)) > 1.5:
                self.barrier(rng, kind, a, b, above)


def _barrier(k: Kit, rng: np.random.Generator, kind: str, length: float) -> None:
    """What runs along x for some metres."""
    high, tint = rng.uniform(0.8, 1.9), BOARDS[int(rng.integers(len(BOARDS)))]
    if kind == "hedge":
        k.parts.append(plants.hedge(k.pictures, k.variant, length, high))
    elif kind == "wall":
        material = choose(rng, "brick 1 stone 1 plaster 1 concrete 1")
        k.add(shapes.box, (0, 0, -0.4), (length, 0.22, high), material=material)
        k.add(shapes.box, (-0.03, -0.04, high), (length + 0.03, 0.26, high + 0.07), tint=(170, 166, 158))
    elif kind == "fence" and rng.random() < 0.5:
        k.add(shapes.box, (0, 0, 0.05), (length, 0.05, high * 0.85), tint=tint, material="planks")
    else:
        # posts: their distance and thickness; height; bars: their thickness and colour
        step, post, top, bar, tint = {
            "fence": (0.24, 0.05, high * 0.85, 0.04, tint),
            "rail": (0.28, 0.014, 1.05, 0.025, (40, 42, 44)),
            "mesh": (2.5, 0.03, high + 0.6, 0.012, STEEL),
        }[kind]
        bars = np.arange(0.1, top, 0.3) if kind == "mesh" else np.array([0.2, top - 0.15])
        k.add(shapes.rod, (0, 0, 0), (0, 0, top), post, 3, tint=tint, flags=DETAIL if kind == "rail" else 0)
        k.repeat([(x, 0, 0) for x in np.arange(0, max(length - 0.1, 0.2), step)])
        k.add(shapes.rod, (0, 0, 0), (length, 0, 0), bar, 3, tint=tint, flags=DETAIL if kind == "mesh" else 0)
        k.repeat([(0, 0, z) for z in bars])
