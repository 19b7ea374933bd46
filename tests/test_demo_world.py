"""The world of the demo city: all styles build, streets are as they should be, and meshes are sound."""

import numpy as np
import pytest

from demo_city.engine.mesh import GROUND, Mesh
from demo_city.engine.textures import TextureTable
from demo_city.seeds import random_for
from demo_city.weather import Capture
from demo_city.world import shapes
from demo_city.world.district import District
from demo_city.world.furniture import _MAKERS, Furniture
from demo_city.world.ground import yard_height
from demo_city.world.network import build_network
from demo_city.world.pictures import Pictures
from demo_city.world.plans import PLANS, of_city
from demo_city.world.plants import tree
from demo_city.world.vehicles import SIZES, Garage

DAY = Capture(2019, 9, "autumn", 185, 44, 0.2, 0.08, 0.2, snow=0.5)
NIGHT = Capture(2022, 11, "winter", 200, 30, 0.5, 0.1, 0.0, night=1)
METRES = 250


@pytest.fixture(scope="module", params=list(PLANS))
def district(request):
    return District(3, request.param, "a", METRES)


def _normals(mesh: Mesh) -> np.ndarray:
    a, b, c = (mesh.points[mesh.faces[:, k]].astype(float) for k in range(3))
    return np.cross(b - a, c - a)


def _heights(mesh: Mesh, xy: np.ndarray) -> list[np.ndarray]:
    """Heights of the faces of a mesh above or below each of some points (n, 2)."""
    a, b, c = (mesh.points[mesh.faces[:, k]].astype(float) for k in range(3))
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


def _ground_of(district: District) -> Mesh:
    mesh = district.fixed
    keep = (mesh.flags & GROUND) > 0
    return Mesh(
        mesh.points, mesh.uv, mesh.faces[keep], mesh.texture[keep], mesh.tint[keep], mesh.flags[keep], mesh.owner[keep]
    )


def test_a_district_has_streets_enough_and_everything_in_it(district):
    walk = district.walk(METRES)
    assert sum(end - start for _, start, end in walk) == pytest.approx(METRES)
    assert all(0 <= start < end <= district.streets[index].length + 1e-6 for index, start, end in walk)
    mesh = district.fixed
    assert np.isfinite(mesh.points).all()
    assert np.isfinite(mesh.uv).all()
    assert mesh.faces.max() < len(mesh.points)
    assert mesh.texture.max() < len(district.textures.textures)
    assert mesh.owner.max() < district.owners
    assert len(district.buildings) > 4
    assert len(district.lamps.power) > 0
    assert (district.low < district.high).all()
    # about 150 triangles a building, and as many again for what stands about
    assert 5_000 < len(mesh.faces) < 250_000


def test_no_face_is_degenerate(district):
    areas = np.linalg.norm(_normals(district.fixed), axis=1) / 2
    assert areas.min() > 1e-7


def test_walls_look_outwards_and_stand_beside_the_streets(district):
    mesh, normals = district.fixed, _normals(district.fixed)
    middles = mesh.points[mesh.faces].mean(1)
    for building in district.buildings[::7]:
        quad = building.quad
        for k in range(4):
            a, b = quad[k], quad[(k + 1) % 4]
            out = np.array([b[1] - a[1], a[0] - b[0]]) / np.hypot(*(b - a))
            assert out @ (quad.mean(0) - a) < 0
            own = (mesh.owner == building.index) & (np.abs(middles[:, 2] - building.floor - 1) < 30)
            on = own & (np.abs((middles[:, :2] - a) @ out) < 1e-3) & (np.linalg.norm(normals, axis=1) > 2)
            on &= np.abs(normals[:, 2]) < 1e-6
            assert (normals[on][:, :2] @ out > -1e-6).all()
        edge = np.concatenate([np.linspace(quad[k], quad[(k + 1) % 4], 12) for k in range(4)])
        for street in district.streets:
            s = np.linspace(0, street.length, int(street.length) + 2)
            near = np.linalg.norm(edge[:, None] - street.at(s)[None], axis=-1).min(1)
            assert near.min() > street.roadway - 0.05


def test_ground_is_under_every_street_and_pavements_are_above_it(district):
    ground, rng = _ground_of(district), np.random.default_rng(0)
    for street in (street for street in district.streets if street.walkable):
        s = rng.uniform(0, street.length, 6)
        road = street.beside(s, 0.0)
        road = np.concatenate([road, street.beside(s, street.roadway * 0.8)])
        for heights, expected in zip(_heights(ground, road), district.ground(road), strict=True):
            assert np.abs(heights - expected).min() < 0.12
            assert heights.max() < expected + 0.3
        s = rng.uniform(street.trims[0], street.length - street.trims[1], 6)
        xy = street.beside(s, street.roadway + street.pavement * 0.7)
        for heights, expected in zip(_heights(ground, xy), district.ground(xy), strict=True):
            above = heights.max() - expected - yard_height(street.look["kerb"])
            assert -0.06 < above < 0.08
    assert district.ground(np.zeros(2)).shape == ()


def test_one_can_stand_on_carriageways_but_not_in_walls(district):
    for street in (street for street in district.streets if street.walkable):
        assert district.free(street.at(np.linspace(0, street.length, 9))).mean() > 0.8
    middles = np.array([building.quad.mean(0) for building in district.buildings])
    assert not district.free(middles).any()
    assert not district.free(district.high + 5000)
    assert not district.free(np.array([car.place[:2] for car in _parked(district)]).reshape(-1, 2), DAY).any()


def _parked(district: District) -> list:
    from demo_city.world.moments import parked

    return parked(district, DAY)


def test_days_and_moments_differ_and_repeat(district):
    day = district.of_day(DAY)
    assert np.array_equal(day.points, district.of_day(DAY).points)
    index, start, end = district.walk(METRES)[0]
    middle = (start + end) / 2
    moments = [district.of_moment(random_for("moment", n), index, middle, NIGHT) for n in (1, 1, 2, 3, 4, 5, 6)]
    assert np.array_equal(moments[0][0].points, moments[1][0].points)
    assert len({len(mesh.points) for mesh, _ in moments}) > 1
    for mesh, lamps in moments:
        assert np.isfinite(mesh.points).all()
        assert len(lamps.positions) == len(lamps.power)
        assert (
            np.linalg.norm(mesh.points.reshape(-1, 3)[:, :2] - district.streets[index].at(middle), axis=1).min(
                initial=9
            )
            > 0.8
        )


@pytest.mark.parametrize("style", ["grid", "old_town"])
def test_a_district_depends_on_its_seed_and_name_alone(style):
    first, again = District(5, style, "a", 120), District(5, style, "a", 120)
    for name in ("points", "uv", "faces", "texture", "tint", "flags", "owner"):
        assert np.array_equal(getattr(first.fixed, name), getattr(again.fixed, name))
    assert len(District(5, style, "b", 120).fixed.points) != len(first.fixed.points)
    assert len(District(6, style, "a", 120).fixed.points) != len(first.fixed.points)


def test_cities_of_one_style_differ():
    plans = [of_city(seed, "perimeter") for seed in range(6)]
    for name in ("roadway", "storeys", "spacing", "trees", "road"):
        assert len({repr(getattr(plan, name)) for plan in plans}) == 6
    low, high = PLANS["perimeter"].roadway
    assert all(low <= plan.roadway[0] < plan.roadway[1] <= high for plan in plans)


def test_no_network_crosses_itself():
    for seed in range(12):
        for style in PLANS:
            network = build_network(random_for(seed, style), of_city(seed, style), 300)
            for block in network.blocks:
                outline = np.concatenate([block.border(k)[:-1] for k in range(4)])
                after = np.roll(outline, -1, 0)
                area = (outline[:, 0] * after[:, 1] - outline[:, 1] * after[:, 0]).sum() / 2
                assert area > 100, (seed, style)


def test_bodies_look_outwards():
    ring = shapes.circle(1.0, 7)
    bodies = [
        shapes.box((-1, -1, -1), (1, 1, 1), 0, sides=("front", "right", "back", "left", "top", "bottom")),
        shapes.rod((0, 0, -1), (0, 0, 1), 0.5, 0),
        shapes.rod((-1, 0, 0), (1, 0.3, 0), 0.5, 0),
        shapes.prism(ring, -1, 1, 0),
        shapes.cone(ring, -0.2, (0, 0, 1), 0),
    ]
    for body in bodies:
        middles = body.points[body.faces].mean(1)
        assert ((_normals(body) * middles).sum(1) > 0).all()


def test_things_have_few_triangles():
    pictures = Pictures(TextureTable())
    for kind in ("round", "tall", "broad", "conifer", "palm"):
        assert all(len(tree(pictures, kind, n).faces) <= 130 for n in range(5))
    garage = Garage(pictures)
    for kind in (*SIZES, "motorbike", "bicycle"):
        model = garage.model(kind)
        assert len(model.mesh.faces) <= 120
        assert model.body.any()
        assert model.mesh.points[:, 2].min() > -0.01
        if kind in SIZES:  # both flanks look outwards
            normals, middles = _normals(model.mesh)[model.body], model.mesh.points[model.mesh.faces].mean(1)[model.body]
            aside = np.abs(normals[:, 1]) > 0.9 * np.linalg.norm(normals, axis=1)
            assert (normals[aside, 1] * middles[aside, 1] > 0).all()
            assert np.abs(normals[aside, 1]).sum() > model.length
    furniture = Furniture(pictures, 1)
    assert all(len(furniture.thing(kind, n).faces) <= 500 for kind in _MAKERS for n in range(4))
