"""What changes: from day to day, and from moment to moment."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from demo_city.engine.lamps import BEAM, ROUND, Lamps
from demo_city.engine.mesh import CUTOUT, DETAIL, TWO_SIDED, Mesh
from demo_city.seeds import random_for
from demo_city.weather import Capture
from demo_city.world import shapes
from demo_city.world.buildings import Building
from demo_city.world.ground import yard_height
from demo_city.world.planning import choose

if TYPE_CHECKING:
    from demo_city.world.district import District

SIGHT = 70.0  # metres within which something moves
SNOW = (244, 246, 250)


def of_day(district: "District", capture: Capture) -> Mesh:
    """What is there on one day or night only; see District.of_day."""
    meshes = [
        _on_slope(district, car.mesh, car.place[:2], car.along, car.place[2]) for car in parked(district, capture)
    ]
    if capture.snow > 0.35:
        for index in (k for k, street in enumerate(district.streets) if street.walkable):
            meshes += _heaps(district, index, capture)
    rng = random_for(district.key, "day", *capture.key)
    for each in district.placer.daily:
        closed = capture.night and each.kind in ("stall", "menu", "parasol")
        cold = capture.season == "winter" and each.kind in ("terrace", "parasol")
        if rng.random() < (0.25 if closed or cold else 0.75):
            meshes.append(shapes.moved(each.mesh, each.place, each.along))
    if capture.season == "autumn":
        meshes += _fallen(district, rng)
    for building in district.buildings:
        if building.near and random_for(building.house.key, "scaffold", capture.year).random() < 0.015:
            meshes += _scaffold(district, building)
    return Mesh.joined(meshes)


@dataclass(frozen=True)
class Parked:
    """A parked vehicle: its mesh in its own coordinates, place (3,), direction (2,), and half its length in metres."""

    mesh: Mesh
    place: np.ndarray
    along: np.ndarray
    room: float


def parked(district: "District", capture: Capture) -> list[Parked]:
    """All parked vehicles of a day or night."""
    if district.parked_on is None or district.parked_on[0] != capture.key:
        cars = [car for index in range(len(district.streets)) for car in _at_kerbs(district, index, capture)]
        rng = random_for(district.key, "places", *capture.key)
        for place, along in district.placer.places:
            if rng.random() < 0.55:
                mesh, model = district.garage.parked(rng, choose(rng, district.plan.vehicles))
                cars.append(Parked(mesh, place, along, model.length / 2))
        district.parked_on = (capture.key, cars)
    return district.parked_on[1]


def _at_kerbs(district: "District", index: int, capture: Capture) -> list[Parked]:
    street, cars = district.streets[index], []
    rng = random_for(district.key, "parked", index, *capture.key)
    if street.roadway < 2.6:
        return []
    start, end = street.trims[0] + 5, street.length - street.trims[1] - 5
    for side, usual in zip((-1, 1), street.look["parked"], strict=True):
        share = np.clip(usual * rng.uniform(0.6, 1.4), 0, 0.97)
        if side < 0 and street.roadway < 3.4:
            share = 0.0
        s = start + rng.uniform(0, 3)
        while s < end:
            if rng.random() < share:
                mesh, model = district.garage.parked(rng, choose(rng, district.plan.vehicles))
                xy = street.beside(s, side * (street.roadway - model.width / 2 - rng.uniform(0.1, 0.35)))
                if district.free(xy):
                    along = street.along(s) * (side if rng.random() < 0.85 else -side)
                    cars.append(Parked(mesh, district.terrain.on(xy), along, model.length / 2))
                s += model.length - 4.5
            s += rng.uniform(5.2, 6.6)
    return cars


def _on_slope(district: "District", mesh: Mesh, xy: np.ndarray, along: np.ndarray, height: float | None = None) -> Mesh:
    """Puts a vehicle on the ground, tilted as it is; height: of the ground there, if it is not the carriageway's."""
    ends = district.ground(np.stack([xy - along * 1.5, xy + along * 1.5]))
    tilted = shapes.moved(mesh, (0.0, 0.0, 0.0))
    tilted.points[:, 2] += tilted.points[:, 0] * (ends[1] - ends[0]) / 3.0
    return shapes.moved(tilted, (*xy, float(ends.mean()) if height is None else height), along)


def _heaps(district: "District", index: int, capture: Capture) -> list[Mesh]:
    street, meshes = district.streets[index], []
    rng = random_for(district.key, "snow", index, *capture.key)
    plain = district.placer.pictures.plain
    for side in (-1, 1):
        for s in np.arange(street.trims[0], street.length - street.trims[1], 2.6):
            if rng.random() < 0.55:
                size, xy = rng.uniform(0.5, 1.3), street.beside(s, side * (street.roadway - 0.1))
                heap = shapes.cone(shapes.circle(size, 6), -0.1, (0, 0, size * 0.5), plain, SNOW)
                meshes.append(shapes.moved(heap, district.terrain.on(xy), street.along(s)))
    return meshes


def _fallen(district: "District", rng: np.random.Generator) -> list[Mesh]:
    """Leaves below the trees."""
    pictures, meshes = district.placer.pictures, []
    for tree in district.placer.trees:
        foot, height, kind = tree.foot, tree.height, tree.kind
        if kind in ("conifer", "palm"):
            continue
        for _ in range(2):
            size, turn = height * rng.uniform(0.12, 0.3), rng.uniform(0, 6.3)
            d = np.array([np.cos(turn), np.sin(turn)]) * size
            e = np.array([-d[1], d[0]])
            middle = foot[:2] + rng.uniform(-0.2, 0.2, 2) * height
            corners = np.array([middle - d - e, middle + d - e, middle + d + e, middle - d + e])
            above = district.terrain.on(corners, foot[2] - district.ground(foot[:2]) + 0.03)
            meshes.append(shapes.quad(above, pictures.leaves(kind, 0), (235, 215, 190), CUTOUT | DETAIL))
    return meshes


def _scaffold(district: "District", building: Building) -> list[Mesh]:
    """Poles and planks before a front."""
    a, b = building.quad[:2]
    length, pictures = float(np.hypot(*(b - a))), district.placer.pictures
    high, steel = building.house.height + 1.0, (150, 152, 156)
    parts = []
    for x in np.linspace(0, length, max(int(length / 2.2), 2)):
        for y in (-0.3, -1.2):
            parts.append(shapes.rod((x, y, -0.3), (x, y, high), 0.035, pictures.plain, steel, 0, 3))
    for z in np.arange(2.2, high, 2.0):
        parts.append(
            shapes.box((0, -1.2, z), (length, -0.3, z + 0.07), pictures.material("planks"), (210, 190, 160),
                       sides=("front", "left", "right", "top", "bottom"), metres=2)
        )  # fmt: skip
        parts.append(shapes.rod((0, -1.2, z + 1), (length, -1.2, z + 1), 0.03, pictures.plain, steel, 0, 3))
    return [shapes.moved(part, (*a, building.floor), (b - a) / length) for part in parts]


def of_moment(
    district: "District",
    rng: np.random.Generator,
    street: int,
    s: float,
    capture: Capture,
) -> tuple[Mesh, Lamps]:
    """What moves near a place; see District.of_moment."""
    meshes, lamps = [], []
    road = district.streets[street]
    eye = road.at(s)
    for _ in range(rng.poisson(rng.uniform(*district.plan.traffic) * SIGHT / 50)):
        at = s + rng.uniform(6, SIGHT) * rng.choice([-1, 1])
        if not 0 < at < road.length or road.roadway < 1.8:
            continue
        side = int(rng.choice([-1, 1]))
        kind = choose(rng, {**district.plan.vehicles, "bicycle": 0.8, "motorbike": 0.5, "bus": 0.3})
        vehicle, model = district.garage.any(rng, kind)
        lane = max(road.roadway * 0.35, model.width / 2 + 0.15) * side
        along = road.along(at) * side
        spot = road.beside(at, lane)
        meshes.append(_on_slope(district, vehicle, spot, along))
        if kind in ("bicycle", "motorbike"):
            meshes.append(_person(district, rng, spot, eye, 0.35))
        if capture.night:
            lamps.append(_headlights(district, spot, along, model.length, model.width))
    for _ in range(rng.poisson(rng.uniform(*district.plan.people) * SIGHT / 50 * (0.4 if capture.night else 1.0))):
        at = s + rng.uniform(2.5, SIGHT * 0.7) * rng.choice([-1, 1])
        if not 0 < at < road.length:
            continue
        right = (road.roadway + rng.uniform(0.2, 0.95) * road.pavement) * rng.choice([-1, 1])
        if rng.random() < 0.12 or road.pavement < 0.8:
            right = rng.uniform(-1, 1) * road.roadway
        spot = road.beside(at, right)
        if district.free(spot):
            up = yard_height(road.look["kerb"]) if abs(right) > road.roadway else 0.0
            meshes.append(_person(district, rng, spot, eye, up))
            if rng.random() < 0.3:  # two who walk together
                meshes.append(_person(district, rng, spot + rng.uniform(-0.6, 0.6, 2), eye, up))
    return Mesh.joined(meshes), Lamps.joined(lamps)


def _person(district: "District", rng: np.random.Generator, xy: np.ndarray, eye: np.ndarray, up: float) -> Mesh:
    """A figure that is turned to where it is seen from."""
    high = float(np.clip(rng.normal(1.7, 0.12), 1.1, 1.95))
    wide = high * 0.42
    away = xy - eye
    away = away / max(np.hypot(*away), 1e-6)
    corners = ((-wide / 2, 0, 0), (wide / 2, 0, 0), (wide / 2, 0, high), (-wide / 2, 0, high))
    uv = ((0, 1), (1, 1), (1, 0), (0, 0)) if rng.random() < 0.5 else ((1, 1), (0, 1), (0, 0), (1, 0))
    texture = district.placer.pictures.person(int(rng.integers(1 << 20)))
    figure = shapes.quad(corners, texture, flags=CUTOUT | TWO_SIDED, uv=uv)
    return shapes.moved(figure, district.terrain.on(xy, up), (away[1], -away[0]))


def _headlights(district: "District", xy: np.ndarray, along: np.ndarray, length: float, width: float) -> Lamps:
    across = np.array([along[1], -along[0]]) * width * 0.36
    spots = [xy + along * length / 2 + across, xy + along * length / 2 - across, xy - along * length / 2]
    positions = np.concatenate([district.terrain.on(np.array(spots), 0.65)])
    ahead = np.array([*along, -0.06])
    ahead /= np.linalg.norm(ahead)
    return Lamps(
        positions,
        np.array([(1.0, 0.97, 0.9), (1.0, 0.97, 0.9), (1.0, 0.12, 0.08)]),
        np.array([1.0, 1.0, 0.06]),
        np.array([BEAM, BEAM, ROUND]),
        np.array([ahead, ahead, np.zeros(3)]),
    )
