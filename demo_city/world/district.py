"""A district: everything in it, from one seed."""

import zlib
from functools import cached_property

import numpy as np

from demo_city.engine.light import ROUND, Lamps
from demo_city.engine.mesh import Mesh
from demo_city.engine.textures import TextureTable
from demo_city.seeds import random_for
from demo_city.weather import Capture
from demo_city.world import ground, lots, moments, shapes, streetside, yards
from demo_city.world.buildings import build_building
from demo_city.world.network import Network
from demo_city.world.plan import of_city
from demo_city.world.site import LIGHTS, Site
from demo_city.world.terrain import Terrain


class District:
    """A part of a city, closed off: no other district is within sight.

    Its terrain and streets are planned at once. All else is built when it is first asked for.

    seed, style: of the city
    name: of the district; other names are other districts of the same city
    metres: of streets to walk, at least

    Attributes: key; plan; terrain; network; streets; low, high: (2,), its extent in metres.
    """

    def __init__(self, seed: int, style: str, name: str, metres: float):
        self.key = zlib.crc32(repr((seed, style, name)).encode())
        self.plan = of_city(seed, style)
        self.terrain = Terrain(self.key, random_for(self.key, "slope").uniform(*self.plan.slope))
        self.network = Network(self.key, self.plan, metres)
        self.streets, self.low, self.high = self.network.streets, self.network.low, self.network.high

    @cached_property
    def site(self) -> Site:
        """All that is built, and the map of where it is."""
        site = Site(self.key, self.plan, self.terrain, self.network)
        ground.build_streets(site)
        sea = ground.build_water(site)
        for number, block in enumerate(self.network.blocks):
            lots.settle(site, block, number)
        streetside.build_streetsides(site)
        for garden in site.gardens:
            yards.furnish_garden(site, *garden)
        for number, block in enumerate(self.network.blocks):
            yards.furnish_block(site, block, number)
        if sea is not None:
            yards.furnish_quays(site, sea)
        ground.build_beyond(site, sea)
        lots.build_skyline(site)
        for building in site.buildings:
            site.meshes += build_building(site, building)
            if building.near and building.house.use == "shop" and building.house.key % 3:
                a, along, length = building.wall(0)  # its windows light the pavement
                spot = a + along * length / 2 + np.array([along[1], -along[0]]) * 0.8
                site.lamp(np.array([*spot, building.floor + 2.2]), ROUND, 0.35, LIGHTS[1])
        return site

    @cached_property
    def fixed(self) -> Mesh:
        """The mesh that is the same on all days."""
        return shapes.without_slivers(Mesh.joined(self.site.meshes))

    @cached_property
    def lamps(self) -> Lamps:
        """What shines at night."""
        return Lamps.joined(self.site.lamps)

    @property
    def textures(self) -> TextureTable:
        """The pictures on all faces."""
        return self.site.pictures.table

    @property
    def owners(self) -> int:
        """How many buildings there are."""
        return len(self.site.buildings)

    @cached_property
    def _lanes(self) -> np.ndarray:
        """Where one can stand, at every metre of each street: points, directions, from and to, metres to the right."""
        lanes, _ = [], self.network.blocks  # which cut the streets' ends off
        for street in (street for street in self.streets if street.walkable):
            s = np.arange(0.0, street.length + 0.5, 1.0)
            own = s[(s > street.trims[0]) & (s < street.length - street.trims[1])]
            for stations, reach in ((s, street.driven(0.2)), (own, street.strip)):
                place = street.at(stations), street.along(stations), np.broadcast_to(reach, (len(stations), 2))
                lanes.append(np.concatenate(place, 1))
        return np.concatenate(lanes)

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

    def free(self, xy: np.ndarray) -> np.ndarray:
        """Whether one can stand at points (n, 2) or (2,): where cars drive, or on a pavement where nothing is."""
        x, y, east, north, low, high = self._lanes.T
        dx, dy = (np.asarray(xy, float)[..., k, None] - start for k, start in enumerate((x, y)))
        right = dx * north - dy * east
        return ((np.abs(dx * east + dy * north) < 0.6) & (low < right) & (right < high)).any(-1)

    def of_day(self, capture: Capture) -> Mesh:
        """What is there on one day or night only: parked cars, bins, stalls, fallen leaves."""
        return moments.of_day(self.site, capture)

    def of_moment(self, rng: np.random.Generator, street: int, s: float, capture: Capture) -> tuple[Mesh, Lamps]:
        """What moves near a place, and its lamps at night.

        rng: of the moment
        street, s: the place, metres along a street
        capture: the day or night
        """
        return moments.of_moment(self.site, rng, self.streets[street], s, capture)
