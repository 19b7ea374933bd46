"""The world of the demo city: all styles build, streets are as they should be, and meshes are sound."""

import time
from functools import lru_cache

import numpy as np
import pytest

from demo_city.engine.mesh import GROUND, Mesh
from demo_city.seeds import random_for
from demo_city.styles import STYLES, style
from demo_city.weather import Capture
from demo_city.world import shapes
from demo_city.world.district import CLEAR, District
from demo_city.world.network import Network
from demo_city.world.plan import of_city
from demo_city.world.plants import VARIANTS, tree
from demo_city.world.site import PAVEMENT, ROAD
from demo_city.world.things import KINDS, PAINT, THINGS, TWO_WHEELED, thing, vehicle

DAY = Capture(2019, 9, "autumn", 185, 44, 0.2, 0.08, 0.2, snow=0.5)
NIGHT = Capture(2022, 11, "winter", 200, 30, 0.5, 0.1, 0.0, night=1)
METRES = 50


@lru_cache(None)
def built(name: str) -> District:
    return District(3, name, "a", METRES)


@pytest.fixture(params=STYLES)
def district(request):
    return built(request.param)


def _normals(mesh: Mesh) -> np.ndarray:
    a, b, c = (mesh.points[mesh.faces[:, k]].astype(float) for k in range(3))
    return np.cross(b - a, c - a)


def _heights(mesh: Mesh, xy: np.ndarray) -> list[np.ndarray]:
    """Heights of the ground faces of a mesh above or below each of some points (n, 2)."""
    faces = mesh.faces[(mesh.flags & GROUND) > 0]
    a, b, c = (mesh.points[faces[:, k]].astype(float) for k in range(3))
    d, e = b - a, c - a
    area = d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0]
    flat = np.abs(area) > 1e-9
    a, d, e, area = a[flat], d[flat], e[flat], area[flat]
    found = []
    for x, y in xy:
        px, py = x - a[:, 0], y - a[:, 1]
        u, v = (px * e[:, 1] - py * e[:, 0]) / area, (d[:, 0] * py - d[:, 1] * px) / area
        inside = (u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6)
        found.append((a[:, 2] + u * d[:, 2] + v * e[:, 2])[inside])
    return found


def test_streets_are_planned_at_once_and_all_else_later():
    started = time.process_time()
    district = District(1, "old_town", "a", 1500.0)
    assert district.free(district.streets[district.walk(1.0)[0][0]].at(3.0)) and np.isfinite(
        district.ground(district.low)
    )
    assert district.ground(np.zeros(2)).shape == () and not district.free(district.high + 5000)
    assert len(district.walk(1500.0)) > 3
    assert time.process_time() - started < 0.5  # a tenth of it, on an idle machine
    assert "site" not in vars(district)


def test_a_district_has_streets_enough_and_everything_in_it(district):
    walk = district.walk(METRES)
    assert sum(end - start for _, start, end in walk) == pytest.approx(METRES)
    assert all(0 <= start < end <= district.streets[index].length + 1e-6 for index, start, end in walk)
    mesh = district.fixed
    assert np.isfinite(mesh.points).all() and np.isfinite(mesh.uv).all()
    assert mesh.faces.max() < len(mesh.points)
    assert mesh.texture.max() < len(district.site.pictures.table.textures)
    assert mesh.owner.max() < len(district.site.buildings)
    assert len(district.site.buildings) > 4 and len(district.lamps.power) > 0
    # about 150 triangles a building, and as many again for what stands about
    assert 5_000 < len(mesh.faces) < 150_000
    assert (np.linalg.norm(_normals(mesh), axis=1) > 2e-7).all()


def test_walls_look_outwards_and_stand_beside_the_streets(district):
    mesh, normals = district.fixed, _normals(district.fixed)
    middles, upright = mesh.points[mesh.faces].mean(1), np.abs(normals[:, 2]) < 1e-6
    for building in district.site.buildings[::9]:
        own = np.flatnonzero((mesh.owner == building.index) & upright & (np.linalg.norm(normals, axis=1) > 2))
        quad = building.quad
        for k in range(4):
            a, b = quad[k], quad[(k + 1) % 4]
            out = np.array([b[1] - a[1], a[0] - b[0]]) / np.hypot(*(b - a))
            assert out @ (quad.mean(0) - a) < 0
            on = own[np.abs((middles[own, :2] - a) @ out) < 1e-3]
            assert (normals[on][:, :2] @ out > -1e-6).all()
        edge = np.concatenate([np.linspace(quad[k], quad[(k + 1) % 4], 12) for k in range(4)])
        for street in (street for street in district.streets if street.walkable):
            line = street.at(np.linspace(0, street.length, int(street.length) + 2))
            assert np.linalg.norm(edge[:, None] - line[None], axis=-1).min() > street.roadway - 0.05


def test_ground_is_under_every_street_and_pavements_are_above_it(district):
    rng = np.random.default_rng(0)
    for street in [street for street in district.streets if street.walkable][:6]:
        s = rng.uniform(0, street.length, 6)
        road = np.concatenate([street.beside(s, 0.0), street.beside(s, street.roadway * 0.8)])
        for heights, expected in zip(_heights(district.fixed, road), district.ground(road), strict=True):
            assert np.abs(heights - expected).min() < 0.12
            assert heights.max() < expected + 0.3
        s = rng.uniform(street.trims[0], street.length - street.trims[1], 6)
        xy = street.beside(s, street.roadway + street.pavement * 0.7)
        for heights, expected in zip(_heights(district.fixed, xy), district.ground(xy), strict=True):
            assert -0.06 < heights.max() - expected - street.up < 0.08


def test_one_can_stand_where_nothing_stands(district):
    rng, site = np.random.default_rng(1), district.site
    for street in district.streets:
        if street.walkable:
            assert district.free(street.at(np.linspace(0, street.length, 9))).mean() > 0.8
    assert not district.free(np.array([building.quad.mean(0) for building in site.buildings])).any()
    xy = rng.uniform(district.low, district.high, (4000, 2))
    free = xy[district.free(xy)]
    assert len(free) > 20
    # the map has cells of half a metre, so that some seem to be taken
    assert np.mean([site.map.at(point) in (ROAD, PAVEMENT) for point in free]) > 0.95
    # nothing of a day, parked cars least of all, is higher than a kerb there
    day = district.of_day(Capture(2019, 6, "summer", 185, 44, 0.2, 0.08, 0.2))
    high = day.points[day.points[:, 2] - district.ground(day.points[:, :2]) > 0.5]
    for point in free[:40]:
        assert np.hypot(*(high[:, :2] - point).T).min(initial=9) > 0.1


def test_days_and_moments_differ_and_repeat(district):
    day = district.of_day(DAY)
    assert np.array_equal(day.points, district.of_day(DAY).points)
    index, start, end = district.walk(METRES)[0]
    eye = district.streets[index].at((start + end) / 2)
    moments = [
        district.of_moment(random_for("moment", n), index, (start + end) / 2, NIGHT) for n in (1, 1, 2, 3, 4, 5, 6)
    ]
    assert np.array_equal(moments[0][0].points, moments[1][0].points)
    assert len({len(mesh.points) for mesh, _ in moments}) > 1 or district.plan.name in ("suburb", "industrial")
    for mesh, lamps in moments:
        assert np.isfinite(mesh.points).all() and len(lamps.positions) == len(lamps.power)
        assert np.hypot(*(mesh.points[:, :2] - eye).T).min(initial=9) > 0.8
        # beams start at cars, which keep away
        assert np.hypot(*(lamps.positions[:, :2] - eye).T).min(initial=99) > CLEAR * 0.7


def test_a_district_depends_on_its_seed_and_name_alone():
    first, again = built("suburb"), District(3, "suburb", "a", METRES)
    for name in ("points", "uv", "faces", "texture", "tint", "flags", "owner"):
        assert np.array_equal(getattr(first.fixed, name), getattr(again.fixed, name))
    for other in (District(3, "suburb", "b", METRES), District(6, "suburb", "a", METRES)):
        assert not np.allclose(other.streets[0].at(5.0), first.streets[0].at(5.0))


def test_cities_of_one_style_differ():
    plans = [of_city(seed, "perimeter") for seed in range(6)]
    for name in ("roadway", "storeys", "spacing", "trees", "road"):
        assert len({repr(getattr(plan, name)) for plan in plans}) == 6
    low, high = style("perimeter")["plan"]["roadway"]
    assert all(low <= plan.roadway[0] < plan.roadway[1] <= high for plan in plans)


def test_plans_name_what_there_is():
    for name in STYLES:
        plan = of_city(0, name)
        assert set(plan.things) | set(plan.square) | {plan.signal} <= set(THINGS)
        assert set(plan.lamps) <= {kind for kind in THINGS if "light" in THINGS[kind]} | {"hung"}
        assert set(plan.vehicles) <= set(KINDS)


def test_no_network_crosses_itself():
    for seed in range(4):
        for name in STYLES:
            network = Network(seed, of_city(seed, name), 300)
            assert len(network.crossings) > 3
            for block in network.blocks:
                outline = np.concatenate([block.border(k)[:-1] for k in range(4)])
                after = np.roll(outline, -1, 0)
                area = (outline[:, 0] * after[:, 1] - outline[:, 1] * after[:, 0]).sum() / 2
                assert area > 100, (seed, name)


def test_bodies_look_outwards():
    ring = shapes.circle(1.0, 7)
    bodies = [
        shapes.box((-1, -1, -1), (1, 1, 1), shapes.CLOSED, texture=0),
        shapes.rod((0, 0, -1), (0, 0, 1), 0.5, texture=0),
        shapes.rod((-1, 0, 0), (1, 0.3, 0), 0.5, texture=0),
        shapes.prism(ring, -1, 1, texture=0),
        shapes.cone(ring, -0.2, (0, 0, 1), texture=0),
    ]
    for body in bodies:
        assert ((_normals(body) * body.points[body.faces].mean(1)).sum(1) > 0).all()


def test_things_have_few_triangles():
    pictures = shapes.Pictures(1)
    for kind in ("round", "tall", "broad", "conifer", "palm"):
        assert all(len(tree(pictures, kind, n).faces) <= 130 for n in range(VARIANTS))
    assert all(len(thing(pictures, kind, n).faces) <= 500 for kind in THINGS for n in range(4))
    for kind in (*KINDS, *TWO_WHEELED):
        model = vehicle(pictures, kind, 0)
        mesh, body = model.mesh, (model.mesh.tint == np.array(PAINT, np.uint8)).all(1)
        assert len(mesh.faces) <= 130 and body.any() and mesh.points[:, 2].min() > -0.02
        if kind in KINDS:  # both flanks look outwards
            normals, middles = _normals(mesh)[body], mesh.points[mesh.faces].mean(1)[body]
            aside = np.abs(normals[:, 1]) > 0.9 * np.linalg.norm(normals, axis=1)
            assert (normals[aside, 1] * middles[aside, 1] > 0).all()
            assert np.abs(normals[aside, 1]).sum() > model.length
