"""Puts things into a district, and remembers which of them are there on some days only."""

from dataclasses import dataclass

import numpy as np

from demo_city.engine.lamps import Lamps
from demo_city.engine.mesh import DETAIL, Mesh
from demo_city.seeds import random_for
from demo_city.world import plants, shapes
from demo_city.world.furniture import ROOM, Furniture
from demo_city.world.ground import GroundBuilder
from demo_city.world.kit import STEEL, Kit
from demo_city.world.pictures import Pictures
from demo_city.world.planning import Plan
from demo_city.world.terrain import NOTHING, PAVEMENT, THING, GroundMap, Terrain

# what is there on most days, but not on all
DAILY = (
    "stall", "terrace", "parasol", "crates", "wheelie", "menu", "barrier", "motorbike", "bikes", "scooter", "skip",
    "pallets", "container",
)  # fmt: skip
SODIUM, WARM, COLD = (1.0, 0.72, 0.4), (1.0, 0.86, 0.66), (0.9, 0.96, 1.0)
BOARDS = ((240, 240, 236), (150, 120, 92), (110, 84, 64), (120, 130, 124), (70, 84, 74))


@dataclass
class Daily:
    """A thing that is there on some days: its mesh, place (3,) and direction (2,)."""

    kind: str
    mesh: Mesh
    place: np.ndarray
    along: np.ndarray


@dataclass
class Tree:
    """A tree: foot (3,) and height in metres, and its kind."""

    foot: np.ndarray
    height: float
    kind: str


class Placer:
    """Puts things on the ground of one district.

    key, plan, pictures, terrain, ground_map: of the district
    ground: makes patches of ground

    Attributes: meshes; lamps; daily; trees; places: for cars, (3,) and the direction (2,) of each.
    """

    def __init__(
        self,
        key: int,
        plan: Plan,
        pictures: Pictures,
        terrain: Terrain,
        ground_map: GroundMap,
        ground: GroundBuilder,
    ):
        self.key, self.plan, self.pictures = key, plan, pictures
        self.terrain, self.map, self.ground = terrain, ground_map, ground
        self.furniture = Furniture(pictures, key)
        self.meshes: list[Mesh] = []
        self.lamps: list[Lamps] = []
        self.daily: list[Daily] = []
        self.trees: list[Tree] = []
        self.places: list[tuple[np.ndarray, np.ndarray]] = []
        self.light = (SODIUM, WARM, COLD)[random_for(key, "light").integers(3)]
        self._plants: dict[tuple[str, int], Mesh] = {}

    def put(self, mesh: Mesh, xy: np.ndarray, along: np.ndarray, above: float, room: float = 0.0) -> None:
        """Puts a mesh on the ground.

        mesh: in its own coordinates
        xy: (2,), where its origin goes
        along: (2,), unit vector of its x axis
        above: metres above the carriageway's ground
        room: radius in which nobody can stand, metres
        """
        self.meshes.append(shapes.moved(mesh, self.terrain.on(xy, above), along))
        if room:
            self.map.mark_disc(xy, room, THING)

    def tree(self, rng: np.random.Generator, xy: np.ndarray, kind: str, height: float, above: float) -> None:
        """Plants a tree.

        rng: chooses which
        xy: (2,), its place
        kind: see plants.tree
        height: metres
        above: metres above the carriageway's ground
        """
        variant = int(rng.integers(plants.VARIANTS))
        if (kind, variant) not in self._plants:
            self._plants[kind, variant] = plants.tree(self.pictures, kind, variant)
        foot = self.terrain.on(xy, above)
        wide = height * rng.uniform(0.9, 1.15)
        self.meshes.append(self._plants[kind, variant].placed(foot, rng.uniform(0, 360), (wide, wide, height)))
        self.trees.append(Tree(foot, height, kind))
        self.map.mark_disc(xy, 0.45, THING)

    def bush(self, rng: np.random.Generator, xy: np.ndarray, size: float, above: float, kind: str = "bush") -> None:
        """Plants a bush of a size in metres; the rest as for a tree."""
        variant = int(rng.integers(3))
        if (kind, variant) not in self._plants:
            self._plants[kind, variant] = plants.bush(self.pictures, variant, kind)
        scale = (size * rng.uniform(0.9, 1.4), size * rng.uniform(0.9, 1.4), size)
        self.meshes.append(self._plants[kind, variant].placed(self.terrain.on(xy, above), rng.uniform(0, 360), scale))

    def thing(self, rng: np.random.Generator, kind: str, xy: np.ndarray, along: np.ndarray, above: float) -> None:
        """Puts a piece of furniture, unless something else is there.

        rng: chooses which
        kind: of furniture
        xy: (2,), its place
        along: (2,), unit vector of its x axis
        above: metres above the carriageway's ground
        """
        room = ROOM.get(kind, 0.3)
        ring = shapes.circle(room, 6, xy)
        taken = self.map.at(np.vstack([ring, xy[None]]))
        if not np.isin(taken, (PAVEMENT, NOTHING)).all():
            return
        mesh = self.furniture.thing(kind, int(rng.integers(4)))
        if kind in DAILY:
            self.daily.append(Daily(kind, mesh, self.terrain.on(xy, above), along))
            self.map.mark_disc(xy, room, THING)
        else:
            self.put(mesh, xy, along, above, room)

    def barrier(self, rng: np.random.Generator, kind: str, a: np.ndarray, b: np.ndarray, above: float) -> None:
        """Puts up a fence, wall, rail or hedge.

        rng: chooses which of three
        kind: "fence", "wall", "rail", "mesh" or "hedge"
        a, b: (2,), its ends; the street is on the right of the way from a to b
        above: metres above the carriageway's ground
        """
        length = float(np.hypot(*(b - a)))
        variant = int(rng.integers(3))
        kit = Kit(self.pictures, random_for(self.key, kind, variant), variant)
        {"hedge": _hedge, "wall": _wall, "mesh": _wire_mesh, "rail": _rail}.get(kind, _boards)(kit, length)
        along = (b - a) / length
        mesh = shapes.moved(kit.done(), (*a, above), along)
        z = self.terrain.height(np.stack([a, b]))
        share = np.clip((mesh.points[:, :2] - a) @ along / length, 0, 1)
        mesh.points[:, 2] += (z[0] * (1 - share) + z[1] * share).astype(np.float32)  # follows the slope
        self.meshes.append(mesh)
        side = np.array([-along[1], along[0]]) * 0.3
        self.map.mark(np.array([a, b, b + side, a + side]), THING)


def _hedge(k: Kit, length: float) -> None:
    k.add(plants.hedge(k.pictures, k.variant, length, k.rng.uniform(0.8, 1.9)))


def _wall(k: Kit, length: float) -> None:
    high = k.rng.uniform(0.7, 1.9)
    k.box((0, 0, -0.4), (length, 0.22, high), material=str(k.pick("brick", "stone", "plaster", "concrete")))
    k.box((-0.03, -0.04, high), (length + 0.03, 0.26, high + 0.07), (170, 166, 158))


def _wire_mesh(k: Kit, length: float) -> None:
    high = k.rng.uniform(1.6, 2.4)
    for x in np.arange(0, length, 2.5):
        k.rod((x, 0, 0), (x, 0, high), 0.03, STEEL, sides=3)
    for z in np.arange(0.1, high, 0.3):
        k.rod((0, 0, z), (length, 0, z), 0.012, STEEL, flags=DETAIL, sides=3)


def _rail(k: Kit, length: float) -> None:
    for z in (0.15, 0.95):
        k.rod((0, 0, z), (length, 0, z), 0.025, (40, 42, 44), sides=3)
    for x in np.arange(0, length, 0.28):
        k.rod((x, 0, 0), (x, 0, 1.05), 0.014, (40, 42, 44), flags=DETAIL, sides=3)


def _boards(k: Kit, length: float) -> None:
    tint, high = k.pick(*BOARDS), k.rng.uniform(0.8, 1.6)
    if k.rng.random() < 0.5:
        k.box((0, 0, 0.05), (length, 0.05, high), tint, "planks")
        return
    for x in np.arange(0, length - 0.1, 0.24):
        k.box((x, 0, 0.05), (x + 0.11, 0.03, high), tint, sides=("front", "back"))
    for z in (0.2, high - 0.25):
        k.box((0, 0.03, z), (length, 0.07, z + 0.09), tint, sides=("front", "back"))
