"""What stands along the streets, in the yards, gardens, parks and squares, and does not change from day to day."""

from dataclasses import dataclass

import numpy as np

from demo_city.engine.lamps import DOWN, ROUND, Lamps
from demo_city.engine.mesh import DETAIL, EMITS, TWO_SIDED, Mesh
from demo_city.seeds import random_for
from demo_city.world import plants, shapes
from demo_city.world.furniture import BY_THE_WALL, ROOM, WIDE, Furniture, lamp_post
from demo_city.world.ground import GroundBuilder, yard_height
from demo_city.world.lots import Garden, Settler
from demo_city.world.network import Block, Network, Street
from demo_city.world.pictures import Pictures
from demo_city.world.plans import Plan, choose
from demo_city.world.terrain import NOTHING, PAVEMENT, THING, GroundMap, Terrain

# what is there on most days, but not on all
DAILY = ("stall", "terrace", "parasol", "crates", "wheelie", "menu", "barrier", "motorbike", "bikes", "scooter", "skip",
         "pallets", "container")  # fmt: skip
SODIUM, WARM, COLD = (1.0, 0.72, 0.4), (1.0, 0.86, 0.66), (0.9, 0.96, 1.0)


@dataclass
class Daily:
    """A thing that is there on some days: its mesh, place (3,) and direction (2,)."""

    kind: str
    mesh: Mesh
    place: np.ndarray
    along: np.ndarray


class Streetscape:
    """Furnishes one district; attributes: meshes, lamps, daily things, places for cars, trees."""

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
        self.places: list[tuple[np.ndarray, np.ndarray]] = []  # for cars: (3,) and the direction (2,)
        self.trees: list[tuple[np.ndarray, float, str]] = []  # foot (3,), height, kind
        rng = random_for(key, "streetscape")
        self.light = (SODIUM, WARM, COLD)[rng.integers(3)]
        self.lamp_kinds = [choose(rng, plan.lamps) for _ in range(3)]
        self._trees: dict[tuple[str, int], Mesh] = {}

    # single things

    def put(self, mesh: Mesh, xy: np.ndarray, along: np.ndarray, above: float, room: float = 0.0) -> None:
        """Puts a mesh on the ground; along: of its x axis; room: radius in which nobody can stand, metres."""
        self.meshes.append(shapes.moved(mesh, self.terrain.on(xy, above), along))
        if room:
            self.map.mark_disc(xy, room, THING)

    def tree(self, rng: np.random.Generator, xy: np.ndarray, kind: str, height: float, above: float) -> None:
        """Plants a tree of a height in metres."""
        variant = int(rng.integers(plants.VARIANTS))
        if (kind, variant) not in self._trees:
            self._trees[kind, variant] = plants.tree(self.pictures, kind, variant)
        foot = self.terrain.on(xy, above)
        wide = height * rng.uniform(0.9, 1.15)
        self.meshes.append(self._trees[kind, variant].placed(foot, rng.uniform(0, 360), (wide, wide, height)))
        self.trees.append((foot, height, kind))
        self.map.mark_disc(xy, 0.45, THING)

    def bush(self, rng: np.random.Generator, xy: np.ndarray, size: float, above: float, kind: str = "bush") -> None:
        """Plants a bush of a size in metres."""
        variant = int(rng.integers(3))
        if (kind, variant) not in self._trees:
            self._trees[kind, variant] = plants.bush(self.pictures, variant, kind)
        scale = (size * rng.uniform(0.9, 1.4), size * rng.uniform(0.9, 1.4), size)
        self.meshes.append(self._trees[kind, variant].placed(self.terrain.on(xy, above), rng.uniform(0, 360), scale))

    def thing(self, rng: np.random.Generator, kind: str, xy: np.ndarray, along: np.ndarray, above: float) -> None:
        """Puts a piece of furniture, unless something else is there."""
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

    # streets

    def street(self, street: Street, number: int) -> None:
        """Trees, lamps, poles and furniture on both pavements."""
        rng, look = random_for(self.key, "street", number), street.look
        up = yard_height(look["kerb"])
        start, end = street.trims[0] + 1.0, street.length - street.trims[1] - 1.0
        if end - start < 4:
            return
        self._lamps(rng, street, start, end, up)
        for side in (-1, 1):
            edge = side * (street.roadway + 0.55)
            if look["tree"] and street.pavement > 1.4:
                inwards = max(look["verge"] / 2, 0.75)
                s = start + rng.uniform(1, look["tree_step"])
                while s < end - 1:
                    if rng.random() < 0.88:
                        xy = street.beside(s, side * (street.roadway + inwards))
                        if self.map.at(xy) == PAVEMENT:
                            self._pit(rng, street, s, side * (street.roadway + inwards), up)
                            self.tree(rng, xy, look["tree"], look["tree_height"] * rng.uniform(0.75, 1.2), up)
                    s += look["tree_step"] * rng.uniform(0.85, 1.15)
            for kind, count in self.plan.things.items():
                for _ in range(rng.poisson(count * (end - start) / 200)):
                    self._furnish(rng, street, kind, rng.uniform(start, end), side, edge, up)
        if look["wires"] and street.walkable:
            self._wires(rng, street, up)

    def _furnish(
        self, rng: np.random.Generator, street: Street, kind: str, s: float, side: int, edge: float, up: float
    ) -> None:
        room = ROOM.get(kind, 0.3)
        if (kind in WIDE and street.pavement < 2.6) or street.pavement < room * 1.2:
            return
        right = edge + side * max(room - 0.3, 0)
        if kind in BY_THE_WALL:
            right = side * (street.roadway + street.pavement - room - 0.05)
        along = street.along(s) * -side  # so that y points away from the carriageway
        count = int(rng.integers(2, 6)) if kind == "bollard" else 1
        for k in range(count):
            self.thing(rng, kind, street.beside(s + k * 1.6, right), along, up)

    def _pit(self, rng: np.random.Generator, street: Street, s: float, right: float, up: float) -> None:
        """Bare soil round a tree in a pavement."""
        if street.look["verge"] or self.plan.name in ("industrial",):
            return
        middle, along = street.beside(s, right), street.along(s)
        across = np.array([-along[1], along[0]])
        size = 0.6
        outline = [middle + along * a * size + across * b * size for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        self.ground.patch(np.array(outline), "soil", 0, up + 0.015)

    def _lamps(self, rng: np.random.Generator, street: Street, start: float, end: float, up: float) -> None:
        kind, step = self.lamp_kinds[street.line % 3], rng.uniform(*self.plan.lamp_step)
        if street.pavement < 0.9 and kind != "hung":
            kind = "wall"
        if kind == "hung":
            self._hung(rng, street, start, end, step)
            return
        style = random_for(self.key, "lamp", kind)
        parts, light = lamp_post(self.pictures, kind, int(style.integers(4)), style)
        mesh = Mesh.joined(parts)
        both = rng.random() < 0.6
        sides, k = (-1, 1), int(rng.integers(2))
        s = start + rng.uniform(1, step * 0.6)
        while s < end:
            side = sides[k % 2] if both else sides[0]
            right = side * (street.roadway + (street.pavement - 0.02 if kind == "wall" else 0.4))
            xy, along = street.beside(s, right), street.along(s) * -side
            free = self.map.at(xy) in (PAVEMENT,) or kind == "wall"
            if free:
                self.put(mesh, xy, along, up, 0.0 if kind == "wall" else 0.25)
                inward = np.array([-along[1], along[0]])
                at = self.terrain.on(xy + inward * light[1], up + light[2])
                self._lamp(at, DOWN if kind in ("arm", "pole", "post") else ROUND, (light[2] / 6) ** 1.2)
            s += step * rng.uniform(0.9, 1.1) * (1 if both else 1.3)
            k += 1

    def _hung(self, rng: np.random.Generator, street: Street, start: float, end: float, step: float) -> None:
        """Lamps on wires across the street."""
        reach, p = street.roadway + street.pavement, self.pictures
        for s in np.arange(start + step * 0.3, end, step):
            middle, high = street.at(s), rng.uniform(5.0, 6.2)
            a, b = (self.terrain.on(street.beside(s, k * reach), high + 0.6) for k in (-1, 1))
            hook = self.terrain.on(middle, high)
            lamp = shapes.cone(shapes.circle(0.3, 8), 0, (0, 0, 0.35), p.plain, (70, 72, 74))
            light = shapes.prism(shapes.circle(0.2, 6), -0.15, 0.02, p.plain, (255, 244, 214), EMITS)
            for end_point in (a, b):
                self.meshes.append(shapes.rod(hook + (0, 0, 0.35), end_point, 0.02, p.plain, (40, 40, 42), DETAIL, 3))
            self.meshes += [shapes.moved(lamp, hook), shapes.moved(light, hook)]
            self._lamp(hook, DOWN, 0.9)

    def _lamp(self, at: np.ndarray, kind: int, power: float) -> None:
        self.lamps.append(Lamps(at[None], np.array([self.light]), [power], [kind]))

    def _wires(self, rng: np.random.Generator, street: Street, up: float) -> None:
        """Poles on one side, with wires from each to the next and to the houses."""
        side = int(rng.choice([-1, 1]))
        right = side * (street.roadway + min(0.35, street.pavement / 2))
        count = max(int(street.length / 27), 1) + 1
        variant = int(rng.integers(4))
        pole = self.furniture.thing("pole", variant)
        stations = np.linspace(street.trims[0] + 0.5, street.length - street.trims[1] - 0.5, count)
        feet = []
        for s in stations:
            xy = street.beside(s, right)
            self.put(pole, xy, street.along(s) * -side, up, 0.25)
            feet.append(self.terrain.on(xy, up))
        black, heights = (36, 36, 38), [7.95, 7.95, 7.95, 6.4, 5.9][: int(rng.integers(2, 6))]
        offsets = [-0.8, 0.8, 0.0, 0.15, -0.1]
        for k, (a, b) in enumerate(zip(feet[:-1], feet[1:], strict=True)):
            along = street.along((stations[k] + stations[k + 1]) / 2)
            across = np.array([along[1], -along[0], 0.0])
            for high, offset in zip(heights, offsets, strict=False):
                start, end = (p + across * offset + (0, 0, high) for p in (a, b))
                middle = (start + end) / 2 - (0, 0, 0.45 + 0.3 * rng.random())
                for p, q in ((start, middle), (middle, end)):
                    thick = 0.022 if high > 7 else 0.035
                    self.meshes.append(shapes.rod(p, q, thick, self.pictures.plain, black, DETAIL, 3))
            for _ in range(int(rng.integers(0, 3))):
                reach = -np.sign(right) * (street.roadway + street.pavement) if rng.random() < 0.6 else right * 1.3
                house = self.terrain.on(street.beside(stations[k] + rng.uniform(-9, 9), reach), rng.uniform(4, 6.4))
                self.meshes.append(shapes.rod(a + (0, 0, 6.6), house, 0.02, self.pictures.plain, black, DETAIL, 3))

    def crossings(self, network: Network) -> None:
        """Traffic lights and street names at the corners."""
        rng = random_for(self.key, "crossings")
        lights = self.plan.traffic[1] > 1.2 and self.plan.roadway[1] > 4.5
        for block in network.blocks:
            flat = [side for line in block.sides for side in line]
            for k, side in enumerate(flat):
                after = flat[(k + 1) % len(flat)]
                if not (
                    side.street.real and after.street.real and side.street.look["axis"] != after.street.look["axis"]
                ):
                    continue
                corner = side.kerb[-4]
                inward = side.plot[-4] - corner
                reach = np.hypot(*inward)
                if reach < 0.5:
                    continue
                xy, up = corner + inward / reach * 0.5, yard_height(side.street.look["kerb"])
                wide = side.street.roadway + after.street.roadway > 8.4
                along = -side.street.along(side.street.length / 2) * (1 if side.forward else -1)
                if lights and wide and rng.random() < 0.85:
                    self.put(self._signal(side.street.roadway > 6), xy, along, up, 0.25)
                elif rng.random() < 0.35:
                    self.put(self._name_plate(rng), xy, along, up, 0.2)

    def _signal(self, arm: bool) -> Mesh:
        p, dark = self.pictures, (40, 42, 44)
        reach = 4.2 if arm and self.plan.name in ("grid", "towers") else 0.0
        high = 5.6 if reach else 2.9
        parts = [
            shapes.rod((0, 0, 0), (0, 0, high), (0.09, 0.07), p.plain, dark if not reach else (150, 154, 158), sides=6)
        ]
        heads = [(0.0, 2.3)]
        if reach:
            parts.append(shapes.rod((0, 0, high - 0.1), (0, -reach, high + 0.2), 0.06, p.plain, (150, 154, 158)))
            heads += [(-reach + 0.2, high - 0.8), (-reach / 2, high - 0.9)]
        for y, z in heads:
            parts.append(
                shapes.box(
                    (-0.16, y - 0.17, z),
                    (0.16, y + 0.17, z + 0.95),
                    p.plain,
                    (26, 28, 28) if not reach else (170, 140, 40),
                )
            )
            for k, tint in enumerate(((60, 190, 110), (120, 90, 30), (150, 36, 30))):
                low = z + 0.06 + 0.3 * k
                for x, s in ((0.17, 1), (-0.17, -1)):
                    corners = (
                        (x, y - 0.1 * s, low),
                        (x, y + 0.1 * s, low),
                        (x, y + 0.1 * s, low + 0.22),
                        (x, y - 0.1 * s, low + 0.22),
                    )
                    parts.append(shapes.quad(corners, p.plain, tint, EMITS | DETAIL))
        return Mesh.joined(parts)

    def _name_plate(self, rng: np.random.Generator) -> Mesh:
        p = self.pictures
        parts = [shapes.rod((0, 0, 0), (0, 0, 2.9), 0.035, p.plain, (130, 134, 136))]
        for turn in (0, 1):
            sign = p.sign("street_name", int(rng.integers(99)))
            z = 2.5 + 0.2 * turn
            dx, dy = ((0.45, 0.0), (0.0, 0.45))[turn]
            parts.append(
                shapes.quad(
                    ((-dx, -dy, z), (dx, dy, z), (dx, dy, z + 0.2), (-dx, -dy, z + 0.2)), sign, flags=TWO_SIDED | DETAIL
                )
            )
        return Mesh.joined(parts)

    # blocks

    def scatter(self, rng: np.random.Generator, block: Block, count: int, room: float) -> list[np.ndarray]:
        """Free places (2,) of a block, at most `count`."""
        grid, places = block.inner(13), []
        for _ in range(count):
            u, v = rng.uniform(0, 11.999, 2)
            i, j, a, b = int(u), int(v), u % 1, v % 1
            xy = (
                (1 - a) * (1 - b) * grid[i, j]
                + a * (1 - b) * grid[i + 1, j]
                + (1 - a) * b * grid[i, j + 1]
                + a * b * grid[i + 1, j + 1]
            )
            around = self.map.at(np.vstack([shapes.circle(room, 6, xy), xy[None]]))
            if (around == NOTHING).all():
                places.append(xy)
        return places

    def block(self, block: Block, number: int) -> None:
        """The yard of a block, and what grows and stands in it."""
        rng, plan = random_for(self.key, "yard", number), self.plan
        streets = [side.street for line in block.sides for side in line if side.street.real]
        up = float(np.mean([yard_height(s.look["kerb"]) for s in streets])) if streets else 0.1
        if block.use in ("water", "basin"):
            return
        a, b, _, d = block.corners
        area = float(np.hypot(*(b - a)) * np.hypot(*(d - a)))
        variant = int(rng.integers(4))
        kind = {
            "park": "grass",
            "wood": "soil" if rng.random() < 0.5 else "grass",
            "parking": "asphalt" if rng.random() < 0.7 else "gravel",
            "square": choose(rng, {"slabs": 3, "cobbles": 2, "setts": 2, "bricks": 1}),
        }.get(block.use) or choose(rng, plan.yard)
        tint = (int(rng.uniform(205, 255)),) * 3
        self.ground.yard(block, kind, variant, up, tint)
        green = rng.uniform(*plan.green)
        tree_kinds = [choose(rng, plan.trees) for _ in range(2)]
        if block.use == "park":
            self._park(rng, block, up, area)
            green = max(green, rng.uniform(0.5, 1.3))
        elif block.use == "wood":
            green = rng.uniform(1.6, 3.0)
        elif block.use == "square":
            self._square(rng, block, up, area)
            green *= 0.3
        elif block.use == "parking":
            self._parking(rng, block, up)
            green *= 0.4
        elif block.use == "estate":
            self._parking(rng, block, up, rows=1) if rng.random() < 0.6 else None
        low, high = plan.tree_height
        for xy in self.scatter(rng, block, int(area / 100 * green), 1.3):
            if rng.random() < 0.62:
                tall = rng.uniform(low, high) * (1.25 if block.use in ("park", "wood") else 0.9)
                self.tree(rng, xy, tree_kinds[int(rng.integers(2))], tall, up)
            else:
                self.bush(rng, xy, rng.uniform(0.7, 2.2), up)
        if block.use == "wood":
            for xy in self.scatter(rng, block, int(area / 40), 0.5):
                self.bush(rng, xy, rng.uniform(0.4, 1.5), up, str(rng.choice(["bush", "grass", "bush"])))
        if block.use in ("estate", "park", "wood", "parking"):
            self._enclosure(rng, block, up)

    def _park(self, rng: np.random.Generator, block: Block, up: float, area: float) -> None:
        """Paths across the grass, benches, and something in the middle."""
        grid = block.inner(9)
        kind = choose(rng, {"gravel": 3, "asphalt": 1, "slabs": 1, "sand": 1})
        for line in (grid[4], grid[:, 4]) if rng.random() < 0.7 else (grid[np.arange(9), np.arange(9)],):
            d = np.gradient(line, axis=0)
            across = np.stack([-d[:, 1], d[:, 0]], 1) / np.hypot(*d.T)[:, None]
            left, right = line + across * 1.4, line - across * 1.4
            uv = [np.stack([np.arange(9.0), np.full(9, v)], 1) for v in (0, 0.35)]
            texture = self.pictures.ground(kind, 0)
            self.meshes.append(
                shapes.strip(self.terrain.on(left, up + 0.03), self.terrain.on(right, up + 0.03), *uv, texture)
            )
            for k in (2, 3, 5, 6):
                if rng.random() < 0.6:
                    self.thing(rng, "bench", line[k] + across[k] * 2.1, d[k] / np.hypot(*d[k]), up)
            self.map.mark(np.concatenate([left, right[::-1]]), PAVEMENT)
        middle = grid[4, 4]
        self.thing(rng, str(rng.choice(["fountain", "statue", "planter", "kiosk"])), middle, np.array([1.0, 0.0]), up)

    def _square(self, rng: np.random.Generator, block: Block, up: float, area: float) -> None:
        """Monuments, stalls and terraces; in its corners trees in rows."""
        along = (block.corners[1] - block.corners[0]) / np.hypot(*(block.corners[1] - block.corners[0]))
        kinds = {"statue": 1, "fountain": 1, "stall": 7 if self.plan.name == "market" else 3, "terrace": 5, "bench": 4, "planter": 3,
                 "bikes": 2, "bollard": 3, "kiosk": 1, "column": 1, "flags": 0.5, "parasol": 1}  # fmt: skip
        for xy in self.scatter(rng, block, int(area / 60), 1.8):
            self.thing(rng, choose(rng, kinds), xy, along if rng.random() < 0.7 else along[::-1] * (1, -1), up)
        grid, kind = block.inner(11), choose(rng, self.plan.trees)
        if rng.random() < 0.6:
            for k in range(1, 10):
                if self.map.at(grid[k, 1]) == NOTHING:
                    self.tree(rng, grid[k, 1], kind, rng.uniform(*self.plan.tree_height) * 0.8, up)

    def _parking(self, rng: np.random.Generator, block: Block, up: float, rows: int = 3) -> None:
        """Bays with white lines."""
        a, b, c, d = block.corners
        along, depth = (b - a) / np.hypot(*(b - a)), np.hypot(*(d - a))
        inward = np.array([-along[1], along[0]])
        for row in range(rows):
            y = depth * (row + 0.6) / (rows + 0.2)
            for x in np.arange(6, np.hypot(*(b - a)) - 6, 2.6):
                xy = a + along * x + inward * y
                bay = [xy + along * p + inward * q for p, q in ((-1.3, -2.5), (1.3, -2.5), (1.3, 2.5), (-1.3, 2.5))]
                if (self.map.at(np.array(bay)) != NOTHING).any():
                    continue
                line = [
                    xy + along * p + inward * q for p, q in ((-1.35, -2.4), (-1.25, -2.4), (-1.25, 2.4), (-1.35, 2.4))
                ]
                self.meshes.append(
                    shapes.quad(
                        self.terrain.on(np.array(line), up + 0.02), self.pictures.plain, (220, 220, 214), DETAIL
                    )
                )
                self.places.append((self.terrain.on(xy, up), inward * (1 if row % 2 else -1)))
                self.map.mark(np.array(bay), THING)

    def _enclosure(self, rng: np.random.Generator, block: Block, up: float) -> None:
        """What runs round a block that has no rows of houses."""
        kind = choose(rng, {"": 2, **self.plan.front, "hedge": 1.0})
        if kind in ("", "plants", "planters"):
            return
        for k in range(4):
            if not all(side.street.real for side in block.sides[k]) or rng.random() < 0.25:
                continue
            line = block.border(k)
            for a, b in zip(line[:-1], line[1:], strict=True):
                length = np.hypot(*(b - a))
                if rng.random() < 0.85 and length > 1.5:
                    self.barrier(rng, kind, a, b, up)

    def barrier(self, rng: np.random.Generator, kind: str, a: np.ndarray, b: np.ndarray, up: float) -> None:
        """A fence, wall, rail or hedge from a to b (2,), with the street on its right."""
        length = float(np.hypot(*(b - a)))
        style = random_for(self.key, kind, int(rng.integers(3)))
        p, high = self.pictures, style.uniform(0.8, 1.5)
        if kind == "hedge":
            parts = [plants.hedge(p, int(style.integers(3)), length, style.uniform(0.8, 1.9))]
        elif kind == "wall":
            material = p.material(str(style.choice(["brick", "stone", "plaster", "concrete"])), int(style.integers(3)))
            parts = [shapes.box((0, 0, -0.4), (length, 0.22, high), material, metres=2),
                     shapes.box((-0.03, -0.04, high), (length + 0.03, 0.26, high + 0.07), p.plain, (170, 166, 158))]  # fmt: skip
        elif kind == "mesh":
            high += 0.9
            parts = [
                shapes.rod((x, 0, 0), (x, 0, high), 0.03, p.plain, (150, 154, 156), 0, 3)
                for x in np.arange(0, length, 2.5)
            ]
            parts += [
                shapes.rod((0, 0, z), (length, 0, z), 0.012, p.plain, (150, 154, 156), DETAIL, 3)
                for z in np.arange(0.1, high, 0.3)
            ]
        elif kind == "rail":
            parts = [shapes.rod((0, 0, z), (length, 0, z), 0.025, p.plain, (40, 42, 44), sides=3) for z in (0.15, 0.95)]
            parts += [
                shapes.rod((x, 0, 0), (x, 0, 1.05), 0.014, p.plain, (40, 42, 44), DETAIL, 3)
                for x in np.arange(0, length, 0.28)
            ]
        else:
            parts = [self._fence(style, length, min(high, 1.2))]
        along = (b - a) / length
        z = self.terrain.height(np.stack([a, b]))
        for part in parts:
            mesh = shapes.moved(part, (*a, up), along)
            share = np.clip((mesh.points[:, :2] - a) @ along / length, 0, 1)
            mesh.points[:, 2] += (z[0] * (1 - share) + z[1] * share).astype(np.float32)  # follows the slope
            self.meshes.append(mesh)
        side = np.array([-along[1], along[0]]) * 0.3
        self.map.mark(np.array([a, b, b + side, a + side]), THING)

    def _fence(self, style: np.random.Generator, length: float, high: float) -> Mesh:
        """A fence of boards; from each side one sees it."""
        p = self.pictures
        tint = ((240, 240, 236), (150, 120, 92), (110, 84, 64), (120, 130, 124), (70, 84, 74))[int(style.integers(5))]
        if style.random() < 0.5:
            return shapes.box((0, 0, 0.05), (length, 0.05, high), p.material("planks"), tint, metres=2)
        parts = [
            shapes.box((x, 0, 0.05), (x + 0.11, 0.03, high), p.plain, tint, sides=("front", "back"))
            for x in np.arange(0, length - 0.1, 0.24)
        ]
        parts += [
            shapes.box((0, 0.03, z), (length, 0.07, z + 0.09), p.plain, tint, sides=("front", "back"))
            for z in (0.2, high - 0.25)
        ]
        return Mesh.joined(parts)

    # gardens

    def garden(self, settler: Settler, garden: Garden) -> None:
        """What lies between pavement and front wall."""
        building = settler.buildings[garden.building]
        rng = random_for(building.house.key, "garden")
        a, b, c, d = garden.outline
        deep, wide = float(np.hypot(*(d - a))), float(np.hypot(*(b - a)))
        along, inward = (b - a) / wide, (d - a) / max(deep, 1e-6)
        front = building.quad[:2]
        if deep < 0.7 or wide < 2.2:
            self._by_the_wall(rng, garden, front)
            return
        up, door = garden.kerb, float((front.mean(0) - a) @ along) + rng.uniform(-0.2, 0.2) * wide
        door = float(np.clip(door, 1.0, wide - 1.0))
        path = [
            a + along * (door + x) + inward * y for x, y in ((-0.6, -0.05), (0.6, -0.05), (0.6, deep), (-0.6, deep))
        ]
        self.ground.patch(np.array(path), choose(rng, self.plan.paving), 0, up + 0.02)
        openings = [(door - 0.65, door + 0.65)]
        if self.plan.name == "suburb" and wide > 9 and deep > 4:
            x = 1.6 if door > wide / 2 else wide - 1.6
            drive = [
                a + along * (x + p) + inward * q
                for p, q in ((-1.4, -0.05), (1.4, -0.05), (1.4, deep + 3), (-1.4, deep + 3))
            ]
            self.ground.patch(
                np.array(drive), choose(rng, {"concrete": 3, "asphalt": 2, "gravel": 1, "bricks": 1}), 1, up + 0.02
            )
            if deep > 5.2:
                self.places.append((self.terrain.on(a + along * x + inward * (deep - 2.6), up), inward))
            openings.append((x - 1.5, x + 1.5))
        if garden.kind not in ("", "plants", "planters"):
            start = 0.0
            for low, high in [*sorted(openings), (wide, wide)]:
                if low - start > 0.6:
                    self.barrier(rng, garden.kind, a + along * start, a + along * low, up)
                start = max(start, high)
        for _ in range(rng.poisson(min(wide * deep / 14 * rng.uniform(*self.plan.green), 9))):
            x, y = rng.uniform(0.5, wide - 0.5), rng.uniform(min(0.6, deep / 2), max(deep - 0.6, deep / 2))
            if any(low - 0.3 < x < high + 0.3 for low, high in openings):
                continue
            xy = a + along * x + inward * y
            if deep > 4 and rng.random() < 0.3:
                self.tree(rng, xy, choose(rng, self.plan.trees), rng.uniform(*self.plan.tree_height) * 0.75, up)
            else:
                self.bush(rng, xy, rng.uniform(0.5, 1.5), up, str(rng.choice(["bush", "flowers", "grass"])))

    def _by_the_wall(self, rng: np.random.Generator, garden: Garden, front: np.ndarray) -> None:
        """Pots, flowers and climbers at the foot of a front."""
        along = (front[1] - front[0]) / np.hypot(*(front[1] - front[0]))
        outward, wide = np.array([along[1], -along[0]]), float(np.hypot(*(front[1] - front[0])))
        if garden.kind in ("plants", "planters"):
            for x in rng.uniform(0.4, wide - 0.4, rng.integers(1, 4)):
                xy = front[0] + along * x + outward * 0.35
                self.bush(rng, xy, rng.uniform(0.6, 1.9), garden.kerb, str(rng.choice(["bush", "bush", "flowers"])))
            if rng.random() < 0.3:
                mesh = plants.climber(self.pictures, int(rng.integers(3)), rng.uniform(1, 3), rng.uniform(2, 5))
                self.put(mesh, front[0] + along * rng.uniform(0.2, max(wide - 3, 0.3)), along, garden.kerb)

    def quay(self, network: Network, sea: float | None) -> None:
        """Railings, bollards and boats along the water; sea: its height, metres."""
        rng = random_for(self.key, "quay")
        kind = str(rng.choice(["rail", "moorings", "moorings", ""]))
        for block in (b for b in network.blocks if b.use in ("water", "basin")):
            for k in range(4):
                if any(side.street.real for side in block.sides[k]):
                    self._quay_edge(rng, block.border(k), kind, sea)

    def _quay_edge(self, rng: np.random.Generator, line: np.ndarray, kind: str, sea: float) -> None:
        run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        if kind == "rail":
            for a, b in zip(line[:-1], line[1:], strict=True):
                self.barrier(rng, "rail", a, b, 0.08)
        s = rng.uniform(2, 8)
        while s < run[-1] - 4:
            xy, ahead = (np.array([np.interp(s + d, run, line[:, j]) for j in (0, 1)]) for d in (0, 0.5))
            along = (ahead - xy) / np.hypot(*(ahead - xy))
            inward = np.array([-along[1], along[0]])
            if kind == "moorings":
                mooring = shapes.prism(shapes.circle(0.2, 7), -0.2, 0.45, self.pictures.plain, (44, 44, 46))
                self.put(mooring, xy - inward * 0.4, along, 0.1)
            if rng.random() < 0.35:
                length = rng.uniform(5, 13)
                boat = self.boat(rng, length)
                at = xy + inward * (length * 0.13 + 1.2)
                self.meshes.append(shapes.moved(boat, (*at, sea), along * rng.choice([-1, 1])))
                s += length
            s += rng.uniform(5, 9)

    def boat(self, rng: np.random.Generator, length: float) -> Mesh:
        """A boat or barge of some length, afloat at z = 0."""
        p, tint = (
            self.pictures,
            ((230, 230, 226), (50, 70, 110), (120, 50, 46), (40, 44, 48), (70, 100, 90))[int(rng.integers(5))],
        )
        half = length * 0.13 + 0.5
        hull = np.array(
            [(-length / 2, -half), (length * 0.25, -half), (length / 2, 0), (length * 0.25, half), (-length / 2, half)]
        )
        parts = [shapes.prism(hull, -0.3, 0.5 + length * 0.05, p.material("planks"), tint)]
        top = 0.5 + length * 0.05
        parts.append(
            shapes.box(
                (-length * 0.35, -half * 0.6, top), (length * 0.1, half * 0.6, top + 1.3), p.plain, (236, 234, 228)
            )
        )
        if rng.random() < 0.5:
            parts.append(
                shapes.rod(
                    (length * 0.12, 0, top),
                    (length * 0.12, 0, top + length * 1.1),
                    (0.09, 0.04),
                    p.plain,
                    (210, 200, 180),
                )
            )
            parts.append(
                shapes.rod(
                    (length * 0.12, 0, top + 1.6),
                    (-length * 0.35, 0, top + 1.7),
                    0.1,
                    p.material("fabric"),
                    (60, 80, 120),
                )
            )
        return Mesh.joined(parts)
