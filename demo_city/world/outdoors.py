"""What stands and grows beside the carriageways: trees, lamps, furniture and wires, yards, gardens, parks and quays."""

import numpy as np

from demo_city.engine.light import DOWN, ROUND
from demo_city.engine.mesh import DETAIL, GROUND
from demo_city.seeds import choose, random_for
from demo_city.world import shapes, things
from demo_city.world.ground import GRID
from demo_city.world.network import ARC_POINTS, NEAR_KERB, Block, Street, spot
from demo_city.world.shapes import along_line, rectangle, runs
from demo_city.world.site import NOTHING, PAVEMENT, THING, Building, Site

SQUARES = "slabs 3 cobbles 2 setts 2 bricks 1"
GROUNDS = {"park": "grass 1", "wood": "grass 1 soil 1", "parking": "asphalt 3 gravel 1", "square": SQUARES}
PATHS, DRIVES = "gravel 3 asphalt 1 slabs 1 sand 1", "concrete 3 asphalt 2 gravel 1 bricks 1"
OPEN = ("none", "plants", "planters")  # what closes nothing off


def furnish_block(site: Site, block: Block, number: int) -> None:
    """The yard of a block, and what grows and stands in it; number: its index."""
    rng, plan, use = random_for(site.key, "yard", number), site.plan, block.use
    if use in ("water", "basin"):
        return
    up = float(np.mean([side.street.up for side in block.flat if side.street.real] or [0.1]))
    texture = site.pictures.ground(choose(rng, GROUNDS.get(use, plan.yard)), int(rng.integers(4)))
    points = block.inner(GRID)
    middle = points.mean((0, 1))  # the yard reaches under the pavements' edges
    site.surface(middle + (points - middle) * 1.012, up - 0.03, texture, tint=(rng.uniform(205, 255),) * 3)
    if use == "park":
        _park(site, rng, block, up)
    elif use == "square":
        _square(site, rng, block, up)
    elif use == "parking" or (use == "estate" and rng.random() < 0.6):
        _parking(site, rng, block, up, rows=3 if use == "parking" else 1)
    _greenery(site, rng, block, up)
    if use in ("estate", "park", "wood", "parking"):
        kind = choose(rng, {"none": 2, **plan.front, "hedge": 1.0})
        for k in range(4):
            if kind not in OPEN and block.real(k) and rng.random() < 0.75:
                site.barriers(rng, kind, block.border(k), up, 0.85)


def _greenery(site: Site, rng: np.random.Generator, block: Block, up: float) -> None:
    """Trees and bushes where nothing else is."""
    green, (low, high) = rng.uniform(*site.plan.green), site.plan.tree_height
    wild = {"park": max(green, rng.uniform(0.6, 1.6)), "wood": rng.uniform(1.6, 3.4)}.get(block.use, 0.0)
    thin = {"square": 0.3, "parking": 0.5}.get(block.use, 1.0)
    kinds = [choose(rng, site.plan.trees) for _ in range(2)]
    for xy in _scatter(site, rng, block, (wild or green * thin) / 100, 1.3):
        if rng.random() < 0.62:
            tall = rng.uniform(low, high) * (1.25 if wild else 0.9)
            site.tree(rng, xy, kinds[int(rng.integers(2))], tall, up)
        else:
            site.bush(rng, xy, rng.uniform(0.7, 2.2), up)
    for xy in _scatter(site, rng, block, 1 / 40, 0.5) if block.use == "wood" else ():
        site.bush(rng, xy, rng.uniform(0.4, 1.5), up, "bush grass bush")


def _scatter(site: Site, rng: np.random.Generator, block: Block, density: float, room: float) -> list[np.ndarray]:
    """Free places (2,) of a block; density: how many are tried on 1 m2; room: metres round each that must be free."""
    *_, width, depth = block.frame()
    grid, places = block.inner(13), []
    for u, v in rng.uniform(0, 11.999, (int(width * depth * density), 2)):
        xy = spot(grid, u, v)
        if site.map.within([xy, *shapes.circle(room, 6, xy)]):
            places.append(xy)
    return places


def _park(site: Site, rng: np.random.Generator, block: Block, up: float) -> None:
    """Paths across the grass, benches, and something in the middle."""
    grid, texture = block.inner(9), site.pictures.ground(choose(rng, PATHS))
    for line in (grid[4], grid[:, 4]):
        d = np.gradient(line, axis=0)
        d /= np.hypot(*d.T)[:, None]
        across = np.stack([-d[:, 1], d[:, 0]], 1)
        edges = np.stack([line + across * 1.4, line - across * 1.4])
        uv = shapes.grid(np.arange(9.0), [[0.0], [0.35]])
        site.surface(edges, up + 0.03, texture, uv=uv)
        for k in (2, 3, 5, 6):
            if rng.random() < 0.6:
                site.thing(rng, "bench", line[k] + across[k] * 2.1, d[k], up)
        site.map.mark(np.concatenate([edges[0], edges[1, ::-1]]), PAVEMENT)
    site.thing(rng, choose(rng, "fountain 1 statue 1 planter 1 kiosk 1"), grid[4, 4], np.array([1.0, 0.0]), up)


def _square(site: Site, rng: np.random.Generator, block: Block, up: float) -> None:
    """Monuments, stalls and terraces, and perhaps trees in a row."""
    (along, *_), grid, kind = block.frame(), block.inner(11), choose(rng, site.plan.trees)
    if rng.random() < 0.6:
        tall = rng.uniform(*site.plan.tree_height) * 0.8
        for xy in (*grid[1:10, 1], *(grid[1:10, 9] if rng.random() < 0.5 else ())):
            if site.map.at(xy) == NOTHING:
                site.tree(rng, xy, kind, tall * rng.uniform(0.8, 1.2), up)
    for xy in _scatter(site, rng, block, 1 / 55, 1.8):
        turned = along if rng.random() < 0.7 else along[::-1] * (1, -1)
        site.thing(rng, choose(rng, site.plan.square), xy, turned, up)


def _parking(site: Site, rng: np.random.Generator, block: Block, up: float, rows: int) -> None:
    """Bays with white lines, in rows."""
    along, inward, width, depth = block.frame()
    for row in range(rows):
        y = depth * (row + 0.6) / (rows + 0.2)
        for x in np.arange(6, width - 6, 2.6):
            xy = block.corners[0] + along * x + inward * y
            bay = rectangle(xy, along, (-1.3, 1.3), (-2.5, 2.5))
            if site.map.within(bay):
                line = rectangle(xy, along, (-1.35, -1.25), (-2.4, 2.4))[[[0, 3], [1, 2]]]
                site.surface(line, up, site.pictures.plain, tint=(220, 220, 214), flags=DETAIL | GROUND)
                site.places.append((site.terrain.on(xy, up), inward * (1 if row % 2 else -1)))
                site.map.mark(bay, THING)


def furnish_garden(site: Site, outline: np.ndarray, building: Building, up: float, kind: str) -> None:
    """What lies between the pavement and the front wall of a building; for the parameters see Site.gardens."""
    rng, (a, b, _, d), plan = random_for(building.index, "garden", site.key), outline, site.plan
    (along, inward, wide), deep = shapes.ray(a, b), float(np.hypot(*(d - a)))
    if deep < 0.7 or wide < 2.2:
        count = rng.integers(1, 4) if kind in ("plants", "planters") else 0
        for u in rng.uniform(0.05, 0.95, count):  # at the foot of the wall
            xy = building.quad[0] * (1 - u) + building.quad[1] * u - inward * 0.35
            site.bush(rng, xy, rng.uniform(0.6, 1.9), up, "bush bush flowers")
        return
    middle = float((building.quad[:2].mean(0) - a) @ along)
    door = float(np.clip(middle + rng.uniform(-0.2, 0.2) * wide, 1.0, wide - 1.0))
    path = rectangle(a, along, (door - 0.6, door + 0.6), (-0.05, deep))
    site.patch(path, choose(rng, plan.paving), 0, up + 0.02)
    openings = [(door - 0.65, door + 0.65)]
    if plan.drives and wide > 9 and deep > 4:
        x = 1.6 if door > wide / 2 else wide - 1.6
        drive = rectangle(a, along, (x - 1.4, x + 1.4), (-0.05, deep + 3))
        site.patch(drive, choose(rng, DRIVES), 1, up + 0.02)
        openings.append((x - 1.5, x + 1.5))
        if deep > 5.2:
            site.places.append((site.terrain.on(a + along * x + inward * (deep - 2.6), up), inward))
    start = 0.0
    for low, high in [*sorted(openings), (wide, wide)] if kind not in OPEN else ():
        if low - start > 0.6:
            site.barrier(rng, kind, a + along * start, a + along * low, up)
        start = max(start, high)
    for _ in range(rng.poisson(min(wide * deep / 14 * rng.uniform(*plan.green), 9))):
        x, y = rng.uniform(0.5, wide - 0.5), rng.uniform(min(0.6, deep / 2), max(deep - 0.6, deep / 2))
        xy = a + along * x + inward * y
        if any(low - 0.3 < x < high + 0.3 for low, high in openings):
            continue
        if deep > 4 and rng.random() < 0.3:
            site.tree(rng, xy, choose(rng, plan.trees), rng.uniform(*plan.tree_height) * 0.75, up)
        else:
            site.bush(rng, xy, rng.uniform(0.5, 1.5), up, "bush flowers grass")


def furnish_quays(site: Site, sea: float) -> None:
    """Railings, bollards and boats along the water; sea: its height, metres."""
    rng = random_for(site.key, "quay")
    kind = choose(rng, "rail 1 mooring 2 none 1")
    wet = [block for block in site.network.blocks if block.use in ("water", "basin")]
    for line in (block.border(k) for block in wet for k in range(4) if block.real(k)):
        if kind == "rail":
            site.barriers(rng, kind, line, 0.08, 1.0)
        run, s = runs(line), rng.uniform(2, 8)
        while s < run[-1] - 4:
            xy, ahead = along_line(line, (s, s + 0.5), run)
            along, inward, _ = shapes.ray(xy, ahead)
            if kind == "mooring":
                site.put(site.made(things.thing, "mooring", 0), xy - inward * 0.4, along, 0.1)
            if rng.random() < 0.35:
                boat, size = site.made(things.thing, "boat", int(rng.integers(4))), rng.uniform(0.6, 1.4)
                at = (*(xy + inward * (size * 1.6 + 0.7)), sea)
                site.meshes.append(shapes.moved(boat, at, along * rng.choice([-1, 1]), (size,) * 3))
                s += 8 * size
            s += rng.uniform(5, 9)


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
    right, up, kit = side * (street.roadway + min(0.35, street.pavement / 2)), street.up, shapes.Kit(site.pictures)
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
            middle = (first + last) / 2 - (0, 0, rng.uniform(0.45, 0.75))
            ends += [(first, middle, high), (middle, last, high)]
        for _ in range(int(rng.integers(0, 3))):
            reach = right * 1.3 if rng.random() < 0.4 else -side * (street.roadway + street.pavement)
            house = street.beside(s + rng.uniform(4, 22), reach)
            ends.append((a + (0, 0, 6.6), site.terrain.on(house, rng.uniform(4, 6.4)), 9))
    for first, last, high in ends:
        kit.add(shapes.rod, first, last, 0.022 if high > 7 else 0.035, 3, tint=(36, 36, 38), flags=DETAIL)
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
