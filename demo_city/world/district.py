"""A district: everything in it, from one seed, and what changes from day to day and from moment to moment."""

import zlib
from functools import cached_property

import numpy as np

from demo_city.engine.light import BEAM, ROUND, Lamps
from demo_city.engine.mesh import CUTOUT, DETAIL, TWO_SIDED, Mesh
from demo_city.seeds import choose, random_for
from demo_city.weather import Capture
from demo_city.world import ground, lots, outdoors, shapes
from demo_city.world.buildings import build_building
from demo_city.world.network import Network, Street
from demo_city.world.plan import of_city
from demo_city.world.site import LIGHTS, PAVEMENT, ROAD, Site, Terrain

SIGHT = 70.0  # metres within which something moves
CLEAR = 7.0  # metres before and behind the camera where no vehicle is


class District:
    """A part of a city, closed off: no other district is within sight.

    Its terrain and streets are planned at once. All else is built when it is first asked for.

    seed, style: of the city
    name: of the district; other names are other districts of the same city
    metres: of streets to walk, at least
    """

    def __init__(self, seed: int, style: str, name: str, metres: float):
        self.key = zlib.crc32(repr((seed, style, name)).encode())
        self.plan = of_city(seed, style)
        self.terrain = Terrain(self.key, random_for(self.key, "slope").uniform(*self.plan.slope))
        self.network = Network(self.key, self.plan, metres)
        self.ground = self.terrain.height  # of a carriageway, metres at points (..., 2)
        self.streets, self.low, self.high = self.network.streets, self.network.low, self.network.high

    @cached_property
    def site(self) -> Site:
        """All that is built, and the map of where it is."""
        site = Site(self.key, self.plan, self.terrain, self.network)
        ground.build_streets(site)
        sea = ground.build_water(site)
        for number, block in enumerate(self.network.blocks):
            lots.settle(site, block, number)
        outdoors.build_streetsides(site)
        for garden in site.gardens:
            outdoors.furnish_garden(site, *garden)
        for number, block in enumerate(self.network.blocks):
            outdoors.furnish_block(site, block, number)
        if sea is not None:
            outdoors.furnish_quays(site, sea)
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
        """The mesh that is the same on all days, without faces of no area."""
        points, uv, faces, *rest = vars(Mesh.joined(self.site.meshes)).values()
        a, b, c = points[faces.T]
        keep = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-6
        return Mesh(points, uv, *(each[keep] for each in (faces, *rest)))

    @cached_property
    def lamps(self) -> Lamps:
        """What shines at night."""
        return Lamps.joined(self.site.lamps)

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
        walkable = [(street.line % 7, i, street.length) for i, street in enumerate(self.streets) if street.walkable]
        for _, index, length in sorted(walkable):
            if left > 0:
                pieces.append((index, 0.0, min(length, left)))
            left -= length
        return pieces

    def free(self, xy: np.ndarray) -> np.ndarray:
        """Whether one can stand at points (n, 2) or (2,): where cars drive, or on a pavement where nothing is."""
        x, y, east, north, low, high = self._lanes.T
        dx, dy = (np.asarray(xy, float)[..., k, None] - start for k, start in enumerate((x, y)))
        right = dx * north - dy * east
        return ((np.abs(dx * east + dy * north) < 0.6) & (low < right) & (right < high)).any(-1)

    def of_day(self, capture: Capture) -> Mesh:
        """What is there on one day or night only: parked cars, bins, stalls, fallen leaves."""
        site, rng = self.site, random_for(self.key, "day", *capture.key)
        meshes = [mesh for street in site.network.streets for mesh in _at_kerbs(site, street, rng)]
        for place, along in site.places:
            if rng.random() < 0.55:
                car = site.vehicle(rng).painted(rng, lit=False)
                meshes.append(_on_slope(site, car, place[:2], along, float(place[2])))
        for kind, mesh, place, along in site.daily:
            closed = capture.night and kind in ("stall", "menu", "parasol")
            cold = capture.season == "winter" and kind in ("terrace", "parasol")
            if rng.random() < (0.25 if closed or cold else 0.75):
                meshes.append(shapes.moved(mesh, place, along))
        if capture.season == "autumn" and site.trees:
            meshes.append(_fallen(site, rng))
        return Mesh.joined(meshes)

    def of_moment(self, rng: np.random.Generator, street: int, s: float, capture: Capture) -> tuple[Mesh, Lamps]:
        """What moves near a place, and its lamps at night.

        rng: of the moment
        street, s: the place, metres along a street
        capture: the day or night
        """
        site, plan, street = self.site, self.plan, self.streets[street]
        meshes, lamps, eye = [], [], street.at(s)
        for _ in range(rng.poisson(rng.uniform(*plan.traffic) * SIGHT / 50) if street.roadway > 1.8 else 0):
            side = int(rng.choice([-1, 1]))
            kind = choose(rng, {**plan.vehicles, "bicycle": 0.8, "moped": 0.5, "bus": 0.3})
            model = site.vehicle(rng, kind)
            at = s + (CLEAR + model.length / 2 + rng.uniform(0, SIGHT)) * rng.choice([-1, 1])
            if not 0 < at < street.length:
                continue
            spot = street.beside(at, max(street.roadway * 0.35, model.width / 2 + 0.15) * side)
            along = street.along(at) * side
            meshes.append(_on_slope(site, model.painted(rng, bool(capture.night)), spot, along))
            if kind in ("bicycle", "moped"):
                meshes.append(_person(site, rng, spot, eye, 0.35))
            if capture.night:
                lamps.append(_headlights(site, spot, along, model.length, model.width))
        for _ in range(rng.poisson(rng.uniform(*plan.people) * SIGHT / 50 * (0.4 if capture.night else 1.0))):
            at = s + rng.uniform(2.5, SIGHT * 0.7) * rng.choice([-1, 1])
            if not 0 < at < street.length:
                continue
            right = (street.roadway + rng.uniform(0.2, 0.95) * street.pavement) * rng.choice([-1, 1])
            if rng.random() < 0.12 or street.pavement < 0.8:
                right = rng.uniform(-1, 1) * street.roadway
            spot, up = street.beside(at, right), street.up if abs(right) > street.roadway else 0.0
            if site.map.at(spot) in (ROAD, PAVEMENT):
                for _ in range(1 + (rng.random() < 0.3)):  # some walk together
                    meshes.append(_person(site, rng, spot, eye, up))
                    spot = spot + rng.uniform(-0.6, 0.6, 2)
        return Mesh.joined(meshes), Lamps.joined(lamps)


def _at_kerbs(site: Site, street: Street, rng: np.random.Generator) -> list[Mesh]:
    """The cars that are parked in a street."""
    meshes, (start, end) = [], street.stations()[[0, -1]] + (5, -5)
    for side, usual in zip((-1, 1), street.look["parked"], strict=True):
        share, s = np.clip(usual * rng.uniform(0.6, 1.4), 0, 0.97), start + rng.uniform(0, 3)
        while s < end and side in street.parking:
            if rng.random() < share:
                model = site.vehicle(rng)
                xy = street.beside(s, side * (street.roadway - model.width / 2 - rng.uniform(0.1, 0.35)))
                tall = model.mesh.points[:, 2].max() > 2  # would hide a narrow street
                if site.map.at(xy) == ROAD and not (tall and street.roadway < 4.4):
                    along = street.along(s) * (side if rng.random() < 0.85 else -side)
                    meshes.append(_on_slope(site, model.painted(rng, lit=False), xy, along))
                s += model.length - 4.5
            s += rng.uniform(5.2, 6.6)
    return meshes


def _on_slope(site: Site, mesh: Mesh, xy: np.ndarray, along: np.ndarray, height: float | None = None) -> Mesh:
    """Puts a vehicle on the ground, tilted as it is; height: of the ground there, if it is not the carriageway's."""
    low, high = site.terrain.height(np.stack([xy - along * 1.5, xy + along * 1.5])).tolist()
    mesh = shapes.moved(mesh, (*xy, (low + high) / 2 if height is None else height), along)
    mesh.points[:, 2] += (mesh.points[:, :2] - xy.astype(np.float32)) @ (along * (high - low) / 3.0).astype(np.float32)
    return mesh


def _fallen(site: Site, rng: np.random.Generator) -> Mesh:
    """Leaves below the trees."""
    feet, heights = (np.repeat(np.array(each), 2, 0) for each in zip(*site.trees, strict=True))
    count = len(feet)
    size, turn = heights * rng.uniform(0.12, 0.3, count), rng.uniform(0, 6.3, count)
    d = np.stack([np.cos(turn), np.sin(turn)], 1) * size[:, None]
    e = np.stack([-d[:, 1], d[:, 0]], 1)
    middle = feet[:, :2] + rng.uniform(-0.2, 0.2, (count, 2)) * heights[:, None]
    corners = np.stack([middle - d - e, middle + d - e, middle + d + e, middle - d + e], 1)
    above = feet[:, 2] - site.terrain.height(feet[:, :2]) + 0.03
    points, kind = site.terrain.on(corners, above[:, None]), max(site.plan.trees, key=site.plan.trees.get)
    return shapes.quads(points, texture=site.pictures.leaves(kind, 0), tint=(235, 215, 190), flags=CUTOUT | DETAIL)


def _person(site: Site, rng: np.random.Generator, xy: np.ndarray, eye: np.ndarray, up: float) -> Mesh:
    """A figure that is turned to where it is seen from."""
    high, away = float(np.clip(rng.normal(1.7, 0.12), 1.1, 1.95)), (xy - eye) / max(np.hypot(*(xy - eye)), 1e-6)
    half = high * 0.21 * float(rng.choice([-1, 1]))  # some are seen from behind, as in a mirror
    corners = ((-half, 0, 0), (half, 0, 0), (half, 0, high), (-half, 0, high))
    texture = site.pictures.person(int(rng.integers(1 << 20)))
    figure = shapes.polygon(corners, texture=texture, flags=CUTOUT | TWO_SIDED)
    return shapes.moved(figure, site.terrain.on(xy, up), (away[1], -away[0]))


def _headlights(site: Site, xy: np.ndarray, along: np.ndarray, length: float, width: float) -> Lamps:
    across, front = np.array([along[1], -along[0]]) * width * 0.36, xy + along * length / 2
    positions = site.terrain.on(np.array([front + across, front - across, xy - along * length / 2]), 0.65)
    ahead, colours = np.array([*along, -0.06]) / np.hypot(1, 0.06), [(1.0, 0.97, 0.9)] * 2 + [(1.0, 0.12, 0.08)]
    return Lamps(positions, colours, [1.0, 1.0, 0.06], [BEAM, BEAM, ROUND], [ahead, ahead, np.zeros(3)])
