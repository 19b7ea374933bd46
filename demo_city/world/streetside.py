"""What stands along the streets: trees, lamps, furniture, wires and traffic lights."""

import numpy as np

from demo_city.engine.lamps import DOWN, ROUND, Lamps
from demo_city.engine.mesh import DETAIL, TWO_SIDED, Mesh
from demo_city.seeds import random_for
from demo_city.world import shapes
from demo_city.world.furniture import BY_THE_WALL, ROOM, WIDE
from demo_city.world.ground import yard_height
from demo_city.world.kit import Kit
from demo_city.world.monuments import signal
from demo_city.world.network import ARC_POINTS, Network, Street
from demo_city.world.placing import Placer
from demo_city.world.planning import choose
from demo_city.world.streetlamps import hung_lamp, street_lamp
from demo_city.world.terrain import PAVEMENT

WIRE = (36, 36, 38)


class StreetSide:
    """Furnishes the streets of one district."""

    def __init__(self, placer: Placer):
        self.to, self.plan, self.key = placer, placer.plan, placer.key
        rng = random_for(self.key, "lamps")
        self.lamp_kinds = [choose(rng, self.plan.lamps) for _ in range(3)]

    def street(self, street: Street, number: int) -> None:
        """Trees, lamps, poles and furniture on both pavements; number: of the street."""
        rng, up = random_for(self.key, "street", number), yard_height(street.look["kerb"])
        start, end = street.trims[0] + 1.0, street.length - street.trims[1] - 1.0
        if end - start < 4:
            return
        self._lamps(rng, street, start, end, up)
        if street.look["wires"] and street.walkable:
            self._wires(rng, street, up)
        for side in (-1, 1):
            if street.look["tree"] and street.pavement > 1.2:
                self._trees(rng, street, side, start, end, up)
            for kind, count in self.plan.things.items():
                for _ in range(rng.poisson(count * (end - start) / 120)):
                    self._furnish(rng, street, kind, rng.uniform(start, end), side, up)

    def _trees(self, rng: np.random.Generator, street: Street, side: int, start: float, end: float, up: float) -> None:
        look = street.look
        right = side * (street.roadway + max(look["verge"] / 2, 0.75))
        s = start + rng.uniform(0, look["tree_step"] * 0.7)
        while s < end - 0.5:
            xy = street.beside(s, right)
            if rng.random() < 0.88 and self.to.map.at(xy) == PAVEMENT:
                if not look["verge"]:
                    self._pit(xy, street.along(s), up)
                self.to.tree(rng, xy, look["tree"], look["tree_height"] * rng.uniform(0.75, 1.2), up)
            s += look["tree_step"] * rng.uniform(0.85, 1.15)

    def _pit(self, xy: np.ndarray, along: np.ndarray, up: float) -> None:
        """Bare soil round a tree in a pavement."""
        across, size = np.array([-along[1], along[0]]), 0.6
        outline = [xy + along * a * size + across * b * size for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        self.to.ground.patch(np.array(outline), "soil", 0, up + 0.015)

    def _furnish(self, rng: np.random.Generator, street: Street, kind: str, s: float, side: int, up: float) -> None:
        room = ROOM.get(kind, 0.3)
        if (kind in WIDE and street.pavement < 2.6) or street.pavement < room * 1.2:
            return
        right = side * (street.roadway + 0.55 + max(room - 0.3, 0))
        if kind in BY_THE_WALL:
            right = side * (street.roadway + street.pavement - room - 0.05)
        along = street.along(s) * -side  # so that y points away from the carriageway
        count = int(rng.integers(2, 6)) if kind == "bollard" else 1
        for k in range(count):
            self.to.thing(rng, kind, street.beside(s + k * 1.6, right), along, up)

    def _lamps(self, rng: np.random.Generator, street: Street, start: float, end: float, up: float) -> None:
        kind, step = self.lamp_kinds[street.line % 3], rng.uniform(*self.plan.lamp_step)
        if kind == "hung":
            self._hung(rng, street, start, end, step)
            return
        kind = "wall" if street.pavement < 0.9 else kind
        style = random_for(self.key, "lamp", kind)
        variant = int(style.integers(4))
        kit = Kit(self.to.pictures, style, variant)
        light, both, k = street_lamp(kit, kind, variant), rng.random() < 0.6, int(rng.integers(2))
        mesh, s = kit.done(), start + rng.uniform(1, step * 0.6)
        while s < end:
            side = (-1, 1)[k % 2] if both else -1
            right = side * (street.roadway + (street.pavement - 0.02 if kind == "wall" else 0.4))
            xy, along = street.beside(s, right), street.along(s) * -side
            if kind == "wall" or self.to.map.at(xy) == PAVEMENT:
                self.to.put(mesh, xy, along, up, 0.0 if kind == "wall" else 0.25)
                away = np.array([-along[1], along[0]])
                at = self.to.terrain.on(xy + away * light[1], up + light[2])
                self._lamp(at, DOWN if kind in ("arm", "pole", "post") else ROUND, (light[2] / 6) ** 1.2)
            s += step * rng.uniform(0.9, 1.1) * (1 if both else 1.3)
            k += 1

    def _hung(self, rng: np.random.Generator, street: Street, start: float, end: float, step: float) -> None:
        """Lamps on wires across the street."""
        reach, kit = street.roadway + street.pavement, Kit(self.to.pictures, rng)
        for s in np.arange(start + step * 0.3, end, step):
            high = rng.uniform(5.0, 6.2)
            left, right = (self.to.terrain.on(street.beside(s, k * reach), high + 0.6) for k in (-1, 1))
            hook = self.to.terrain.on(street.at(s), high)
            hung_lamp(kit, left, right, hook)
            self._lamp(hook, DOWN, 0.9)
        self.to.meshes.append(kit.done())

    def _lamp(self, at: np.ndarray, kind: int, power: float) -> None:
        self.to.lamps.append(Lamps(at[None], np.array([self.to.light]), [power], [kind]))

    def _wires(self, rng: np.random.Generator, street: Street, up: float) -> None:
        """Poles on one side, with wires from each to the next and to the houses."""
        right = float(rng.choice([-1, 1])) * (street.roadway + min(0.35, street.pavement / 2))
        pole, kit = self.to.furniture.thing("pole", int(rng.integers(4))), Kit(self.to.pictures, rng)
        ends = street.trims[0] + 0.5, street.length - street.trims[1] - 0.5
        stations = np.linspace(*ends, max(int(street.length / 27), 1) + 1)
        feet = self.to.terrain.on(street.beside(stations, right), up)
        for foot, along in zip(feet, street.along(stations), strict=True):
            self.to.put(pole, foot[:2], along * -np.sign(right), up, 0.25)
        strands = [(-0.8, 7.95), (0.8, 7.95), (0.0, 7.95), (0.15, 6.4), (-0.1, 5.9)][: int(rng.integers(2, 6))]
        for k, (a, b) in enumerate(zip(feet[:-1], feet[1:], strict=True)):
            along = street.along((stations[k] + stations[k + 1]) / 2)
            across = np.array([along[1], -along[0], 0.0])
            for offset, high in strands:
                start, end = (p + across * offset + (0, 0, high) for p in (a, b))
                middle = (start + end) / 2 - (0, 0, 0.45 + 0.3 * rng.random())
                for p, q in ((start, middle), (middle, end)):
                    kit.rod(p, q, 0.022 if high > 7 else 0.035, WIRE, flags=DETAIL, sides=3)
            for _ in range(int(rng.integers(0, 3))):
                reach = right * 1.3
                if rng.random() < 0.6:
                    reach = -np.sign(right) * (street.roadway + street.pavement)
                house = street.beside(stations[k] + rng.uniform(-9, 9), reach)
                end = self.to.terrain.on(house, rng.uniform(4, 6.4))
                kit.rod(a + (0, 0, 6.6), end, 0.02, WIRE, flags=DETAIL, sides=3)
        self.to.meshes.append(kit.done())

    def crossings(self, network: Network) -> None:
        """Traffic lights and street names at the corners."""
        rng = random_for(self.key, "crossings")
        lights = self.plan.traffic[1] > 1.2 and self.plan.roadway[1] > 3.6
        last = -1 - ARC_POINTS // 2
        for block in network.blocks:
            flat = [side for line in block.sides for side in line]
            for side, after in zip(flat, flat[1:] + flat[:1], strict=True):
                street, other = side.street, after.street
                if not (street.real and other.real and street.look["axis"] != other.look["axis"]):
                    continue
                corner, inward = side.kerb[last], side.plot[last] - side.kerb[last]
                reach = np.hypot(*inward)
                if reach < 0.5:
                    continue
                xy, up = corner + inward / reach * 0.5, yard_height(street.look["kerb"])
                along = -street.along(street.length / 2) * (1 if side.forward else -1)
                if lights and street.roadway + other.roadway > 7.4 and rng.random() < 0.85:
                    self.to.put(self._signal(street.roadway > 5), xy, along, up, 0.25)
                elif rng.random() < 0.35:
                    self.to.put(self._name_plate(rng), xy, along, up, 0.2)

    def _signal(self, wide: bool) -> Mesh:
        kit = Kit(self.to.pictures, random_for(self.key, "signal"))
        signal(kit, 4.2 if wide and self.plan.name in ("grid", "towers") else 0.0)
        return kit.done()

    def _name_plate(self, rng: np.random.Generator) -> Mesh:
        kit = Kit(self.to.pictures, rng)
        kit.rod((0, 0, 0), (0, 0, 2.9), 0.035, (130, 134, 136))
        for turn, (dx, dy) in enumerate(((0.45, 0.0), (0.0, 0.45))):
            texture, z = self.to.pictures.sign("street_name", int(rng.integers(99))), 2.5 + 0.2 * turn
            corners = ((-dx, -dy, z), (dx, dy, z), (dx, dy, z + 0.2), (-dx, -dy, z + 0.2))
            kit.add(shapes.quad(corners, texture, flags=TWO_SIDED | DETAIL))
        return kit.done()
