"""The ground: carriageways, kerbs, pavements, what is painted on them, yards, water, and what lies beyond."""

import numpy as np

from demo_city.engine.mesh import DETAIL, GROUND
from demo_city.looks.surfaces import TILE
from demo_city.seeds import random_for
from demo_city.world import shapes
from demo_city.world.network import WHITE_PAINT, Side, Street
from demo_city.world.shapes import grid, level, runs
from demo_city.world.site import PAVEMENT, ROAD, WATER, Site

KERB = 0.18  # width of the kerb stone, metres
PAINT = 0.015  # height of markings above the ground, metres
GRID = 9  # points of a yard in each direction


def build_streets(site: Site) -> None:
    """All streets, crossings and pavements."""
    crossings = site.network.crossings
    for side in (side for block in site.network.blocks for side in block.flat if side.street.real):
        _pavement(site, side)
    for number, street in enumerate(site.network.streets):
        rng = random_for(site.key, "surface", number)
        half, tint = street.roadway, (255 * street.look["shade"],) * 3
        s, texture = street.stations(), site.pictures.ground(street.look["road"], street.look["variant"])
        outline = _band(site, street, (s, (-half, 0.0, half)), texture, 0.0, tint=tint, flags=GROUND)
        site.map.mark(np.concatenate([outline[0], outline[2, ::-1]]), ROAD)
        _repaired(site, rng, street)
        if street.look["lines"] and s[-1] - s[0] > 12:
            _markings(site, rng, street, s[0], s[-1])
    widest = max(site.network.streets, key=lambda street: street.roadway)
    for number, outline in enumerate(crossings):
        _crossing(site, random_for(site.key, "crossing", number), outline, widest)


def _crossing(site: Site, rng: np.random.Generator, outline: np.ndarray, street: Street) -> None:
    """The surface where streets meet, made as that of one of them, with some repaired places."""
    site.map.mark(outline, ROAD)
    middle = outline.mean(0)
    ring = np.concatenate([outline, outline[:1]])
    texture = site.pictures.ground(street.look["road"], street.look["variant"])
    xy = np.stack([ring, (ring + middle) / 2, np.broadcast_to(middle, ring.shape)]).transpose(1, 0, 2)
    site.surface(xy, 0.0, texture, tint=(255 * street.look["shade"],) * 3)
    for _ in range(rng.poisson(2)):
        at, (long, wide) = middle + rng.normal(0, street.roadway * 0.45, 2), rng.uniform((0.5, 0.4), (5, 1.2))
        patch = shapes.rectangle(at, street.ends[0], (0, long), (0, wide))
        site.patch(patch, "asphalt", int(rng.integers(4)), PAINT / 2, (255 * rng.uniform(0.6, 1.0),) * 3)


def _pavement(site: Site, side: Side) -> None:
    """The kerb stones, the verge and the pavement of one side of a street."""
    street, look, kerb, plot = side.street, side.street.look, side.kerb, side.plot
    site.map.mark(np.concatenate([kerb, plot[::-1]]), PAVEMENT)
    run, up, stone = runs(kerb), street.up, site.pictures.ground("kerb", look["stone"])
    wide = np.maximum(np.hypot(*(plot - kerb).T), 0.05)[:, None]
    edges = [0.0, KERB, max(look["verge"], KERB), street.pavement]
    rows = np.stack([site.terrain.on(kerb, up), site.terrain.on(kerb, -0.05)])
    uv = grid([[0.0], [up / TILE]], run / TILE)
    site.meshes.append(shapes.sheet(rows, uv, texture=stone, tint=(225,) * 3, flags=GROUND))
    for a, b, kind in zip(edges[:-1], edges[1:], ("kerb", "grass", look["paving"]), strict=True):
        if b - a > 0.02:
            inner, outer = (kerb + (plot - kerb) / wide * np.minimum(x, wide) for x in (a, b))
            xy = np.stack([outer if b < street.pavement else plot, inner])
            uv = grid([[b], [a]], -run) / TILE
            site.surface(xy, up, stone if kind == "kerb" else site.pictures.ground(kind, look["variant"]), uv=uv)


def _band(site: Site, street: Street, place: tuple, texture: int, up: float = PAINT, **look: object) -> np.ndarray:
    """A band on a carriageway, metres (n,) along it and to its right (m,), from the left; returns its points."""
    s, across = place[0], np.array(place[1])[:, None]
    xy, uv = street.beside(s, across), grid(across, -s) / TILE
    site.surface(xy, up, texture, uv, **{"flags": GROUND | DETAIL, **look})
    return xy


def _repaired(site: Site, rng: np.random.Generator, street: Street) -> None:
    """Repaired places."""
    half, (start, end) = street.roadway, street.stations()[[0, -1]]
    for _ in range(rng.integers(0, 7)):
        middle, wide, long = rng.uniform(-3, 3), rng.uniform(0.5, 2.4), rng.uniform(0.8, 14)
        across = np.clip((middle - wide / 2, middle + wide / 2), 0.2 - half, half - 0.2)
        begin = start + rng.random() * max(end - start - long, 0)
        texture, tint = site.pictures.ground("asphalt", int(rng.integers(4))), (255 * rng.uniform(0.6, 1.0),) * 3
        _band(site, street, (np.linspace(begin, begin + long, 3), across), texture, PAINT / 2, tint=tint)


def _markings(site: Site, rng: np.random.Generator, street: Street, start: float, end: float) -> None:
    """Lines and zebra crossings, worn in places."""
    style, half, worn = street.look["lines"], street.roadway, site.pictures.ground("concrete", street.line % 4)

    def paint(begin: float, until: float, left: float, right: float, tint: tuple = WHITE_PAINT) -> None:
        fading = style["wear"] * rng.random()
        if fading < 0.44:
            texture = worn if fading > 0.12 else site.pictures.plain
            s = np.linspace(begin, until, max(int((until - begin) / 6), 1) + 1)
            _band(site, street, (s, (left, right)), texture, tint=np.array(tint) * (1 - 0.6 * fading))

    lanes = (-half / 2, half / 2)
    for wanted, where, step, long, tint in (
        (style["centre"] and half > 2.4, (0.0,), style["dash"], style["dash"] * style["duty"], style["tint"]),
        (style["edges"], (0.3 - half, half - 0.3), 9.0, 9.0, style["edge_tint"]),
        (style["lanes"] and half > 5.5, lanes, 9.0, 3.0, WHITE_PAINT),
    ):
        for right in where if wanted else ():
            for s in np.arange(start + 5, end - 5, step):
                paint(s, min(s + long, end - 4), right - 0.065, right + 0.065, tint)
    for s in (start + 0.6, end - 3.6):
        if style["zebra"] == "bars":
            for right in np.arange(-half + 0.4, half - 0.7, 1.05):
                paint(s, s + 3.0, right, right + 0.52)
        elif style["zebra"] == "lines":
            for at in (s, s + 2.6):
                paint(at, at + 0.35, -half + 0.2, half - 0.2)
        else:  # where one stops
            low, high = (-half, 0.0) if s < start + 1 else (0.0, half)
            paint(s + 1.5, s + 1.9, low + 0.2, high - 0.2)


def build_water(site: Site) -> float | None:
    """Basins and the open water, with walls of stone; returns the height of the water, metres."""
    wet = [block for block in site.network.blocks if block.use in ("water", "basin")]
    if not wet:
        return None
    borders = [block.border(k) for block in wet for k in range(4)]
    sea = float(site.terrain.height(np.concatenate(borders)).min()) - 1.3  # below the lowest quay
    stone, water = site.pictures.material("stone"), site.pictures.ground("water")
    for n, block in enumerate(wet):
        points, lines = block.inner(GRID), borders[4 * n : 4 * n + 4]
        site.meshes.append(shapes.sheet(level(points, sea), points / TILE / 2, texture=water, flags=GROUND))
        site.map.mark(np.concatenate([line[:-1] for line in lines]), WATER)
        for line in (line for k, line in enumerate(lines) if block.real(k)):
            rows = np.stack([level(line, sea - 0.5), site.terrain.on(line, 0.05)])
            uv = grid(runs(line) / 2, [[1.0], [0.0]])
            site.meshes.append(shapes.sheet(rows, uv, texture=stone, tint=(200, 200, 196)))
    return sea


def build_beyond(site: Site, sea: float | None) -> None:
    """What lies round the district, far out; sea: height of the water that is there, or None."""
    low, high, turn = site.network.low, site.network.high, np.linspace(0, 2 * np.pi, 25)
    reach = (high - low).max() / 2
    radii = np.append(np.array([0.0, 0.35, 0.7, 1.0, 1.25, 1.6, 2.2]) * reach * 1.2, reach + 700)
    xy = (low + high) / 2 + radii[:, None, None] * np.stack([np.cos(turn), np.sin(turn)], -1)
    points, inside = site.terrain.on(xy, -0.6), (radii < reach * 1.1)[:, None]
    points[..., 2] -= 6.0 * inside
    if sea is not None:
        points[..., 2] = np.where(inside, points[..., 2], sea - 0.05)
    texture = site.pictures.ground("water" if sea is not None else site.plan.outskirts)
    site.meshes.append(shapes.sheet(points, xy / TILE, texture=texture, tint=(235,) * 3, flags=GROUND))
