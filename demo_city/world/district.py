"""A district: everything in it, from one seed."""

import zlib

import numpy as np

from demo_city.engine.lamps import ROUND, Lamps
from demo_city.engine.mesh import Mesh
from demo_city.engine.textures import TextureTable
from demo_city.seeds import random_for
from demo_city.weather import Capture
from demo_city.world import moments, shapes, skyline
from demo_city.world.buildings import build_building
from demo_city.world.ground import WATER_LEVEL, GroundBuilder
from demo_city.world.lots import Settler
from demo_city.world.network import Network, Street, build_network
from demo_city.world.pictures import Pictures
from demo_city.world.placing import Placer
from demo_city.world.plans import of_city
from demo_city.world.streetside import StreetSide
from demo_city.world.terrain import PAVEMENT, ROAD, GroundMap, Terrain
from demo_city.world.vehicles import Garage
from demo_city.world.yards import Yards

EDGE = 90.0  # metres of map beyond the last street


class District:
    """A part of a city, closed off: no other district is within sight.

    seed: of the city
    style: of the city, see plans.PLANS
    name: of the district; other names are other districts of the same city
    metres: of streets to walk, at least

    Attributes: key; low, high: (2,), its extent in metres; streets; textures; fixed: the mesh that is the same on all
    days; lamps: at night; owners: how many buildings there are.
    """

    def __init__(self, seed: int, style: str, name: str, metres: float):
        self.seed, self.style, self.name = seed, style, name
        self.key = zlib.crc32(repr((seed, style, name)).encode())
        self.plan = plan = of_city(seed, style)
        rng = random_for(self.key, "network")
        network = build_network(rng, plan, metres)
        self.streets: list[Street] = [street for street in network.streets if street.real]
        points = np.concatenate([street.points for street in network.streets])
        self.low, self.high = points.min(0) - 10, points.max(0) + 10
        self.terrain = Terrain(self.key, rng.uniform(*plan.slope))
        self.map = GroundMap(self.low - EDGE, self.high + EDGE)
        self.textures = TextureTable()
        pictures = Pictures(self.textures)
        self.ground_builder = GroundBuilder(pictures, self.terrain, self.map)
        self.ground_builder.network(network)
        settler = Settler(self.key, plan, self.terrain, self.map)
        self.placer = Placer(self.key, plan, pictures, self.terrain, self.map, self.ground_builder)
        meshes = self._blocks(network, settler, pictures)
        self.buildings = settler.buildings
        self.garage = Garage(pictures)
        meshes += self.ground_builder.meshes + self.placer.meshes
        meshes += skyline.around(self.key, plan, pictures, self.terrain, network, len(self.buildings))
        self.owners = len(self.buildings) + skyline.HOUSES
        self.fixed = shapes.without_slivers(Mesh.joined(meshes))
        self.parked_on: tuple[tuple, list[moments.Parked]] | None = None  # of the last day that was asked for
        self.lamps = Lamps.joined([*self.placer.lamps, *self._shop_lamps()])

    def _blocks(self, network: Network, settler: Settler, pictures: Pictures) -> list[Mesh]:
        sea = None
        wet = [block for block in network.blocks if block.use in ("water", "basin")]
        if wet:
            quays = np.concatenate([block.border(k) for block in wet for k in range(4)])
            sea = float(self.terrain.height(quays).min()) + WATER_LEVEL
            stone = pictures.material("stone", 1)
            for block in wet:
                self.ground_builder.water(block, sea, stone)
        self.sea = sea
        for number, block in enumerate(network.blocks):
            settler.settle(block, number)
        sides, yards = StreetSide(self.placer), Yards(self.placer)
        sides.crossings(network)
        for number, street in enumerate(self.streets):
            sides.street(street, number)
        for garden in settler.gardens:
            yards.garden(settler.buildings[garden.building], garden)
        for number, block in enumerate(network.blocks):
            yards.block(block, number)
        yards.quay(network, sea)
        kind = "grass" if self.plan.name in ("suburb", "terraces") else "concrete"
        self.ground_builder.beyond(self.low, self.high, kind, sea)
        return [mesh for building in settler.buildings for mesh in build_building(pictures, self.terrain, building)]

    def _shop_lamps(self) -> list[Lamps]:
        """The light of shop windows on the pavement."""
        lamps = []
        for building in self.buildings:
            if building.house.use != "shop" or not building.near or building.house.key % 3 == 0:
                continue
            a, b = building.quad[:2]
            along = (b - a) / np.hypot(*(b - a))
            spot = (a + b) / 2 + np.array([along[1], -along[0]]) * 0.8
            lamps.append(Lamps([[*spot, building.floor + 2.2]], [(1.0, 0.9, 0.76)], [0.35], [ROUND]))
        return lamps

    def walk(self, metres: float) -> list[tuple[int, float, float]]:
        """Chooses streets of `metres` in all to walk: (street index, from m, to m), each at most one block long."""
        pieces, left = [], metres
        order = (i for i, street in enumerate(self.streets) if street.walkable)
        for index in sorted(order, key=lambda i: (self.streets[i].line % 7, i)):
            if left <= 0:
                break
            pieces.append((index, 0.0, min(self.streets[index].length, left)))
            left -= self.streets[index].length
        return pieces

    def ground(self, xy: np.ndarray) -> np.ndarray:
        """Height of the ground in metres at points (n, 2) or (2,), as of a carriageway there."""
        return self.terrain.height(xy)

    def free(self, xy: np.ndarray, capture: Capture | None = None) -> np.ndarray:
        """Whether one can stand at points (n, 2) or (2,): on a carriageway or pavement where nothing is.

        capture: then neither within what is parked there on that day or night
        """
        free = np.isin(self.map.at(xy), (ROAD, PAVEMENT))
        if capture is not None:
            cars = moments.parked(self, capture)
            places = np.array([car.place[:2] for car in cars]).reshape(-1, 2)
            reach = np.array([car.room for car in cars])
            away = np.asarray(xy, float)[..., None, :] - places
            free &= ~(np.hypot(away[..., 0], away[..., 1]) < reach).any(-1)
        return free

    def of_day(self, capture: Capture) -> Mesh:
        """What is there on one day or night only: parked cars, bins, stalls, fallen leaves, snow, scaffolds."""
        return moments.of_day(self, capture)

    def of_moment(self, rng: np.random.Generator, street: int, s: float, capture: Capture) -> tuple[Mesh, Lamps]:
        """What moves near a place: vehicles and people, and at night their lamps.

        rng: of the moment
        street, s: the place, metres along a street
        capture: the day or night
        """
        return moments.of_moment(self, rng, street, s, capture)
