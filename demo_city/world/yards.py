"""What lies and grows behind the pavements: yards, gardens, parks, squares, parking places and quays."""

import numpy as np

from demo_city.engine.mesh import DETAIL, GROUND
from demo_city.seeds import random_for
from demo_city.world import plants, shapes
from demo_city.world.buildings import Building
from demo_city.world.ground import yard_height
from demo_city.world.kit import Kit
from demo_city.world.lots import Garden
from demo_city.world.monuments import boat
from demo_city.world.network import Block, Network
from demo_city.world.placing import Placer
from demo_city.world.planning import choose
from demo_city.world.terrain import NOTHING, PAVEMENT, THING

# what stands on squares, and what leads through parks
ON_SQUARES = {
    "statue": 1, "fountain": 1, "stall": 3, "terrace": 5, "bench": 4, "planter": 3, "bikes": 2, "bollard": 3,
    "kiosk": 1, "column": 1, "flags": 0.5, "parasol": 1,
}  # fmt: skip
PATHS = {"gravel": 3, "asphalt": 1, "slabs": 1, "sand": 1}
DRIVES = {"concrete": 3, "asphalt": 2, "gravel": 1, "bricks": 1}
SQUARES = {"slabs": 3, "cobbles": 2, "setts": 2, "bricks": 1}


class Yards:
    """Furnishes the blocks of one district."""

    def __init__(self, placer: Placer):
        self.to, self.plan, self.key = placer, placer.plan, placer.key

    def block(self, block: Block, number: int) -> None:
        """The yard of a block, and what grows and stands in it; number: of the block."""
        rng, plan = random_for(self.key, "yard", number), self.plan
        if block.use in ("water", "basin"):
            return
        streets = [side.street for line in block.sides for side in line if side.street.real]
        up = float(np.mean([yard_height(s.look["kerb"]) for s in streets])) if streets else 0.1
        kinds = {
            "park": {"grass": 1},
            "wood": {"grass": 1, "soil": 1},
            "parking": {"asphalt": 3, "gravel": 1},
            "square": SQUARES,
        }
        kind = choose(rng, kinds.get(block.use, plan.yard))
        self.to.ground.yard(block, kind, int(rng.integers(4)), up, (int(rng.uniform(205, 255)),) * 3)
        if block.use == "park":
            self._park(rng, block, up)
        elif block.use == "square":
            self._square(rng, block, up)
        elif block.use == "parking" or (block.use == "estate" and rng.random() < 0.6):
            self._parking(rng, block, up, rows=3 if block.use == "parking" else 1)
        self._greenery(rng, block, up)
        if block.use in ("estate", "park", "wood", "parking"):
            self._enclosure(rng, block, up)

    def _greenery(self, rng: np.random.Generator, block: Block, up: float) -> None:
        """Trees and bushes where nothing else is."""
        green = rng.uniform(*self.plan.green)
        green = {
            "park": max(green, rng.uniform(0.6, 1.6)),
            "wood": rng.uniform(1.6, 3.4),
            "square": green * 0.3,
            "parking": green * 0.5,
        }.get(block.use, green)
        wild = block.use in ("park", "wood")
        kinds, (low, high) = [choose(rng, self.plan.trees) for _ in range(2)], self.plan.tree_height
        for xy in self._scatter(rng, block, green / 100, 1.3):
            if rng.random() < 0.62:
                tall = rng.uniform(low, high) * (1.25 if wild else 0.9)
                self.to.tree(rng, xy, kinds[int(rng.integers(2))], tall, up)
            else:
                self.to.bush(rng, xy, rng.uniform(0.7, 2.2), up)
        if block.use == "wood":
            for xy in self._scatter(rng, block, 1 / 40, 0.5):
                self.to.bush(rng, xy, rng.uniform(0.4, 1.5), up, str(rng.choice(["bush", "grass", "bush"])))

    def _scatter(self, rng: np.random.Generator, block: Block, density: float, room: float) -> list[np.ndarray]:
        """Free places (2,) of a block.

        rng: draws them
        block: the block
        density: how many are tried on 1 m2
        room: radius in metres that must be free
        """
        a, b, _, d = block.corners
        count = int(np.hypot(*(b - a)) * np.hypot(*(d - a)) * density)
        grid, places = block.inner(13), []
        for u, v in rng.uniform(0, 11.999, (count, 2)):
            i, j = int(u), int(v)
            across = grid[i, j : j + 2] * (1 - u % 1) + grid[i + 1, j : j + 2] * (u % 1)
            xy = across[0] * (1 - v % 1) + across[1] * (v % 1)
            if (self.to.map.at(np.vstack([shapes.circle(room, 6, xy), xy[None]])) == NOTHING).all():
                places.append(xy)
        return places

    def _park(self, rng: np.random.Generator, block: Block, up: float) -> None:
        """Paths across the grass, benches, and something in the middle."""
        grid, texture = block.inner(9), self.to.pictures.ground(choose(rng, PATHS), 0)
        diagonal = (grid[np.arange(9), np.arange(9)],)
        for line in (grid[4], grid[:, 4]) if rng.random() < 0.7 else diagonal:
            d = np.gradient(line, axis=0)
            d /= np.hypot(*d.T)[:, None]
            across = np.stack([-d[:, 1], d[:, 0]], 1)
            left, right = line + across * 1.4, line - across * 1.4
            uv = [np.stack([np.arange(9.0), np.full(9, v)], 1) for v in (0, 0.35)]
            high = [self.to.terrain.on(edge, up + 0.03) for edge in (left, right)]
            self.to.meshes.append(shapes.strip(*high, *uv, texture, flags=GROUND))
            for k in (2, 3, 5, 6):
                if rng.random() < 0.6:
                    self.to.thing(rng, "bench", line[k] + across[k] * 2.1, d[k], up)
            self.to.map.mark(np.concatenate([left, right[::-1]]), PAVEMENT)
        kind = str(rng.choice(["fountain", "statue", "planter", "kiosk"]))
        self.to.thing(rng, kind, grid[4, 4], np.array([1.0, 0.0]), up)

    def _square(self, rng: np.random.Generator, block: Block, up: float) -> None:
        """Monuments, stalls and terraces, and perhaps trees in a row."""
        along = (block.corners[1] - block.corners[0]) / np.hypot(*(block.corners[1] - block.corners[0]))
        kinds = {**ON_SQUARES, "stall": 9} if self.plan.name == "market" else ON_SQUARES
        grid, kind = block.inner(11), choose(rng, self.plan.trees)
        if rng.random() < 0.6:
            tall = rng.uniform(*self.plan.tree_height) * 0.8
            for xy in (*grid[1:10, 1], *(grid[1:10, 9] if rng.random() < 0.5 else ())):
                if self.to.map.at(xy) == NOTHING:
                    self.to.tree(rng, xy, kind, tall * rng.uniform(0.8, 1.2), up)
        for xy in self._scatter(rng, block, 1 / 55, 1.8):
            turned = along if rng.random() < 0.7 else along[::-1] * (1, -1)
            self.to.thing(rng, choose(rng, kinds), xy, turned, up)

    def _parking(self, rng: np.random.Generator, block: Block, up: float, rows: int) -> None:
        """Bays with white lines, in rows."""
        a, b, _, d = block.corners
        along, depth = (b - a) / np.hypot(*(b - a)), np.hypot(*(d - a))
        inward = np.array([-along[1], along[0]])
        for row in range(rows):
            y = depth * (row + 0.6) / (rows + 0.2)
            for x in np.arange(6, np.hypot(*(b - a)) - 6, 2.6):
                xy = a + along * x + inward * y
                bay = _rectangle(xy, along, (-1.3, 1.3), (-2.5, 2.5))
                if (self.to.map.at(bay) != NOTHING).any():
                    continue
                line = self.to.terrain.on(_rectangle(xy, along, (-1.35, -1.25), (-2.4, 2.4)), up + 0.02)
                self.to.meshes.append(shapes.quad(line, self.to.pictures.plain, (220, 220, 214), DETAIL | GROUND))
                self.to.places.append((self.to.terrain.on(xy, up), inward * (1 if row % 2 else -1)))
                self.to.map.mark(bay, THING)

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
                    self.to.barrier(rng, kind, a, b, up)

    def garden(self, building: Building, garden: Garden) -> None:
        """What lies between the pavement and the front wall of a building."""
        rng = random_for(building.house.key, "garden")
        a, b, _, d = garden.outline
        deep, wide, up = float(np.hypot(*(d - a))), float(np.hypot(*(b - a))), garden.kerb
        if deep < 0.7 or wide < 2.2:
            self._by_the_wall(rng, garden, building.quad[:2])
            return
        along = (b - a) / wide
        inward = np.array([-along[1], along[0]])
        middle = float((building.quad[:2].mean(0) - a) @ along)
        door = float(np.clip(middle + rng.uniform(-0.2, 0.2) * wide, 1.0, wide - 1.0))
        path = _rectangle(a, along, (door - 0.6, door + 0.6), (-0.05, deep))
        self.to.ground.patch(path, choose(rng, self.plan.paving), 0, up + 0.02)
        openings = [(door - 0.65, door + 0.65)]
        if self.plan.name == "suburb" and wide > 9 and deep > 4:
            x = 1.6 if door > wide / 2 else wide - 1.6
            drive = _rectangle(a, along, (x - 1.4, x + 1.4), (-0.05, deep + 3))
            self.to.ground.patch(drive, choose(rng, DRIVES), 1, up + 0.02)
            if deep > 5.2:
                self.to.places.append((self.to.terrain.on(a + along * x + inward * (deep - 2.6), up), inward))
            openings.append((x - 1.5, x + 1.5))
        if garden.kind not in ("", "plants", "planters"):
            start = 0.0
            for low, high in [*sorted(openings), (wide, wide)]:
                if low - start > 0.6:
                    self.to.barrier(rng, garden.kind, a + along * start, a + along * low, up)
                start = max(start, high)
        for _ in range(rng.poisson(min(wide * deep / 14 * rng.uniform(*self.plan.green), 9))):
            x, y = rng.uniform(0.5, wide - 0.5), rng.uniform(min(0.6, deep / 2), max(deep - 0.6, deep / 2))
            if any(low - 0.3 < x < high + 0.3 for low, high in openings):
                continue
            xy = a + along * x + inward * y
            if deep > 4 and rng.random() < 0.3:
                self.to.tree(rng, xy, choose(rng, self.plan.trees), rng.uniform(*self.plan.tree_height) * 0.75, up)
            else:
                self.to.bush(rng, xy, rng.uniform(0.5, 1.5), up, str(rng.choice(["bush", "flowers", "grass"])))

    def _by_the_wall(self, rng: np.random.Generator, garden: Garden, front: np.ndarray) -> None:
        """Pots, flowers and climbers at the foot of a front."""
        if garden.kind not in ("plants", "planters"):
            return
        wide = float(np.hypot(*(front[1] - front[0])))
        along = (front[1] - front[0]) / wide
        outward = np.array([along[1], -along[0]])
        for x in rng.uniform(0.4, max(wide - 0.4, 0.5), rng.integers(1, 4)):
            kind = str(rng.choice(["bush", "bush", "flowers"]))
            self.to.bush(rng, front[0] + along * x + outward * 0.35, rng.uniform(0.6, 1.9), garden.kerb, kind)
        if rng.random() < 0.3 and wide > 3.5:
            mesh = plants.climber(self.to.pictures, int(rng.integers(3)), rng.uniform(1, 3), rng.uniform(2, 5))
            self.to.put(mesh, front[0] + along * rng.uniform(0.2, wide - 3), along, garden.kerb)

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
                self.to.barrier(rng, "rail", a, b, 0.08)
        kit, s = Kit(self.to.pictures, rng), rng.uniform(2, 8)
        kit.drum(0.2, -0.2, 0.45, (44, 44, 46), sides=7)
        mooring = kit.done()
        while s < run[-1] - 4:
            xy, ahead = (np.array([np.interp(s + d, run, line[:, j]) for j in (0, 1)]) for d in (0, 0.5))
            along = (ahead - xy) / np.hypot(*(ahead - xy))
            inward = np.array([-along[1], along[0]])
            if kind == "moorings":
                self.to.put(mooring, xy - inward * 0.4, along, 0.1)
            if rng.random() < 0.35:
                length, kit = rng.uniform(5, 13), Kit(self.to.pictures, rng)
                boat(kit, length)
                at = xy + inward * (length * 0.13 + 1.2)
                self.to.meshes.append(shapes.moved(kit.done(), (*at, sea), along * rng.choice([-1, 1])))
                s += length
            s += rng.uniform(5, 9)


def _rectangle(origin: np.ndarray, along: np.ndarray, x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
    """Corners (4, 2), counter-clockwise; x: metres along a unit vector (2,), y: to the left of it."""
    left = np.array([-along[1], along[0]])
    corners = ((x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]))
    return np.array([origin + along * p + left * q for p, q in corners])
