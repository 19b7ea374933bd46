"""What stands along the streets: trees, lamps, furniture, wires and traffic lights."""

import numpy as np

from demo_city.engine.light import DOWN, ROUND
from demo_city.engine.mesh import DETAIL
from demo_city.seeds import random_for
from demo_city.world import shapes, things
from demo_city.world.network import ARC_POINTS, NEAR_KERB, Street
from demo_city.world.plan import choose
from demo_city.world.shapes import Kit, rod
from demo_city.world.site import Site
from demo_city.world.terrain import PAVEMENT

WIRE = (36, 36, 38)
HANGS = (0.45, 0.75)  # metres by which wires hang through


def build_streetsides(site: Site) -> None:
    """Furnishes all streets and crossings."""
    _corners(site)
    rng = random_for(site.key, "lamps")
    lamp_kinds = [choose(rng, site.plan.lamps) for _ in range(3)]
    for number, street in enumerate(site.network.streets):
        rng, ends = random_for(site.key, "street", number), street.stations()[[0, -1]] + (1, -1)
        if ends[1] - ends[0] < 4:
            continue
        _lamps(site, rng, street, *ends, lamp_kinds[street.line % 3])
        if street.look["wires"] and street.walkable:
            _wires(site, rng, street)
        for side in (-1, 1):
            if street.look["tree"] and street.pavement > 1.2:
                _trees(site, rng, street, side, *ends)
            for kind, count in site.plan.things.items():
                for s in rng.uniform(*ends, rng.poisson(count * (ends[1] - ends[0]) / 120)):
                    _furnish(site, rng, street, kind, s, side)


def _trees(site: Site, rng: np.random.Generator, street: Street, side: int, start: float, end: float) -> None:
    """Trees on one side; where there is no verge, in bare soil."""
    look, up = street.look, street.up
    right = side * (street.roadway + min(max(look["verge"] / 2, 0.75), NEAR_KERB - 0.55))
    s = start + rng.uniform(0, look["tree_step"] * 0.7)
    while s < end - 0.5:
        xy, along = street.beside(s, right), street.along(s)
        if rng.random() < 0.88 and site.map.at(xy) == PAVEMENT:
            if not look["verge"]:
                site.patch(shapes.rectangle(xy, along, (-0.6, 0.6), (-0.6, 0.6)), "soil", 0, up + 0.015)
            site.tree(rng, xy, look["tree"], look["tree_height"] * rng.uniform(0.75, 1.2), up)
        s += look["tree_step"] * rng.uniform(0.85, 1.15)


def _furnish(site: Site, rng: np.random.Generator, street: Street, kind: str, s: float, side: int) -> None:
    """Puts a thing on a pavement. On the right one, the strip where one walks stays free."""
    room, wall = things.of(kind, "room"), things.of(kind, "wall")
    if (things.of(kind, "wide") and street.pavement < 2.6) or street.pavement < room * 1.2:
        return
    side = -1 if wall or room > 0.3 else side
    right = side * (street.roadway + (street.pavement - room - 0.05 if wall else 0.25 + max(room, 0.3)))
    along = street.along(s) * -side  # so that y points away from the carriageway
    for k in range(int(rng.integers(2, 6)) if kind == "bollard" else 1):
        site.thing(rng, kind, street.beside(s + k * 1.6, right), along, street.up)


def _lamps(site: Site, rng: np.random.Generator, street: Street, start: float, end: float, kind: str) -> None:
    step, up = rng.uniform(*site.plan.lamp_step), street.up
    if kind == "hung":
        _hung(site, rng, street, np.arange(start + step * 0.3, end, step))
        return
    kind = "bracket" if street.pavement < 0.9 else kind
    mesh, both, k = site.made(things.thing, kind, len(kind) % 4), rng.random() < 0.6, int(rng.integers(2))
    light, down = things.of(kind, "light"), DOWN if things.of(kind, "down") else ROUND
    s = start + rng.uniform(1, step * 0.6)
    while s < end:
        side, on_wall = (-1, 1)[k % 2] if both else -1, kind == "bracket"
        xy = street.beside(s, side * (street.roadway + (street.pavement - 0.02 if on_wall else 0.4)))
        along = street.along(s) * -side
        if on_wall or site.map.at(xy) == PAVEMENT:
            site.put(mesh, xy, along, up, 0.0 if on_wall else 0.25)
            at = site.terrain.on(xy + np.array([-along[1], along[0]]) * light[1], up + light[2])
            site.lamp(at, down, (light[2] / 6) ** 1.2)
        s += step * rng.uniform(0.9, 1.1) * (1 if both else 1.3)
        k += 1


def _hung(site: Site, rng: np.random.Generator, street: Street, stations: np.ndarray) -> None:
    """Lamps on wires across the street."""
    wire, lamp = (site.made(things.thing, kind, 0) for kind in ("hung_wire", "hung"))
    wire = shapes.moved(wire, (0, 0, 0), scale=(street.roadway + street.pavement, 1, 1))
    for at, along in zip(street.at(stations), street.along(stations), strict=True):
        high = rng.uniform(5.0, 6.2)
        site.put(wire, at, np.array([along[1], -along[0]]), high)
        site.put(lamp, at, along, high)
        site.lamp(site.terrain.on(at, high), DOWN, 0.9)


def _wires(site: Site, rng: np.random.Generator, street: Street) -> None:
    """Poles on one side, with wires from each to the next and to the houses."""
    side = float(rng.choice([-1, 1]))
    right, up, kit = side * (street.roadway + min(0.35, street.pavement / 2)), street.up, Kit(site.pictures)
    pole, (start, end) = site.made(things.thing, "pole", int(rng.integers(4))), street.stations()[[0, -1]]
    stations = np.linspace(start + 0.5, end - 0.5, max(int(street.length / 27), 1) + 1)
    feet, alongs = site.terrain.on(street.beside(stations, right), up), street.along(stations)
    for foot, along in zip(feet, alongs, strict=True):
        site.put(pole, foot[:2], along * -side, up, 0.25)
    strands = [(-0.8, 7.95), (0.8, 7.95), (0.0, 7.95), (0.15, 6.4), (-0.1, 5.9)][: int(rng.integers(2, 6))]
    ends = []
    for s, a, b, along in zip(stations, feet[:-1], feet[1:], alongs[:-1], strict=False):
        across = np.array([along[1], -along[0], 0.0])
        for offset, high in strands:
            first, last = (p + across * offset + (0, 0, high) for p in (a, b))
            middle = (first + last) / 2 - (0, 0, rng.uniform(*HANGS))
            ends += [(first, middle, high), (middle, last, high)]
        for _ in range(int(rng.integers(0, 3))):
            reach = right * 1.3 if rng.random() < 0.4 else -side * (street.roadway + street.pavement)
            house = street.beside(s + rng.uniform(4, 22), reach)
            ends.append((a + (0, 0, 6.6), site.terrain.on(house, rng.uniform(4, 6.4)), 9))
    for first, last, high in ends:
        kit.add(rod, first, last, 0.022 if high > 7 else 0.035, 3, tint=WIRE, flags=DETAIL)
    site.meshes += kit.parts


def _corners(site: Site) -> None:
    """Traffic lights and street names at the corners of the crossings."""
    rng, plan, last = random_for(site.key, "crossings"), site.plan, -1 - ARC_POINTS // 2
    lights = plan.traffic[1] > 1.2 and plan.roadway[1] > 3.6
    for side, after in (turn for block in site.network.blocks for turn in block.turns):
        street, other = side.street, after.street
        if not (street.real and other.real and street.look["axis"] != other.look["axis"]):
            continue
        corner, inward = side.kerb[last], side.plot[last] - side.kerb[last]
        lit = lights and street.roadway + other.roadway > 7.4 and rng.random() < 0.85
        if np.hypot(*inward) > 0.5 and (lit or rng.random() < 0.35):
            kind = "names" if not lit else plan.signal if street.roadway > 5 else "signal"
            mesh = site.made(things.thing, kind, int(rng.integers(4)) if kind == "names" else 0)
            site.put(mesh, corner + inward / np.hypot(*inward) * 0.5, -side.heading(1), street.up, 0.25)
