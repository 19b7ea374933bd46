"""The renderer of the demo city: where things appear, what hides what, light, weather, and the same bits again."""

import builtins
import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

from demo_city.camera import Camera
from demo_city.engine import jit
from demo_city.engine.develop import Optics, develop
from demo_city.engine.draw import photograph_of
from demo_city.engine.light import DOWN, Lamps
from demo_city.engine.mesh import CUTOUT, EMITS, GROUND, NO_OWNER, SHELTERED, TWO_SIDED, Mesh
from demo_city.engine.scene import Scene
from demo_city.engine.strip import strip_of
from demo_city.engine.textures import Texture, TextureMemory, TextureTable
from demo_city.weather import Capture
from support.errors import UserError
from tests.scripts import ROOT

PIXELS = 96
CLEAR = Capture(2019, 6, "summer", 180, 45, 0.0, 0.02, 0.0)
GREY = Capture(2019, 11, "autumn", 180, 20, 1.0, 0.02, 0.0)
NIGHT = Capture(2019, 11, "autumn", 180, 20, 0.5, 0.02, 0.0, night=1)
EYE = np.array([0.0, 0.0, 2.0])
SQUARE = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], float)


def _plain(rgba):
    return Texture(8, 8, lambda version: np.full((8, 8, 4), rgba, np.uint8))


class World:
    """A mesh in the making, and views of it."""

    def __init__(self):
        self.table, self.meshes = TextureTable(), []
        self.white = self.table.index("white", lambda: _plain((200, 200, 200, 0)))
        self.memory = TextureMemory(16)

    def polygon(self, corners, uv, texture, flags=0, owner=NO_OWNER):
        count = len(corners) - 2
        faces = np.array([[0, k + 1, k + 2] for k in range(count)], np.int32)
        values = (np.full(count, value, kind) for value, kind in ((flags, np.uint8), (owner, np.int32)))
        texture, tint = np.full(count, texture, np.int32), np.full((count, 3), 255, np.uint8)
        self.meshes.append(Mesh(np.float32(corners), np.float32(uv), faces, texture, tint, *values))

    def wall(self, start, end, height, texture, **more):
        up = np.array([0, 0, height])
        self.polygon(np.array([start, end, end + up, start + up]), SQUARE, texture, **more)

    def ground(self, size=60.0, flags=GROUND, texture=None):
        corners = np.array([[-size, -size, 0], [size, -size, 0], [size, size, 0], [-size, size, 0]])
        self.polygon(corners, corners[:, :2], self.white if texture is None else texture, flags=flags)

    def box(self, low, high, owner=0, texture=None, flags=0):
        (x0, y0, z0), (x1, y1, z1) = low, high
        feet = np.array([[x0, y0, z0], [x1, y0, z0], [x1, y1, z0], [x0, y1, z0]], float)
        texture = self.white if texture is None else texture
        for k in range(4):
            self.wall(feet[k], feet[(k + 1) % 4], z1 - z0, texture, owner=owner, flags=flags)
        self.polygon(feet + [0, 0, z1 - z0], SQUARE, texture, owner=owner, flags=flags)

    def scene(self, capture=GREY, lamps=None):
        return Scene(self.table, [Mesh.joined(self.meshes)], lamps or Lamps(), capture, 1, 10, self.memory)

    def view(self, camera, capture=GREY, lamps=None, moving=None, lights=None):
        """The picture, float32 (PIXELS, PIXELS, 3), and of its pixels the depth (infinite: nothing) and the owner."""
        around = self.scene(capture, lamps).around(camera.position, moving, lights)
        photograph = photograph_of(camera, PIXELS)
        owners = np.append(around.draw(photograph)["owner"], -1)
        with np.errstate(divide="ignore"):
            buffers = {"depth": 1 / photograph.values, "owner": owners[photograph.seen]}
        return np.asarray(around.view(camera, PIXELS)).astype(np.float32), buffers


@pytest.mark.parametrize("azimuth, pitch, roll", [(0, 0, 0), (40, 0, 0), (0, 12, 0), (200, -15, 10), (310, 25, -30)])
def test_points_appear_where_the_camera_projects_them(azimuth, pitch, roll):
    camera = Camera(EYE, azimuth, pitch, roll)
    world, rng, expected = World(), np.random.default_rng(1), {}
    for owner in range(10):
        depth, across, down = rng.uniform(5, 60), *rng.uniform(-0.5, 0.5, 2)
        right, below, forward = camera.axes
        centre = EYE + depth * (forward + across * right + down * below)
        half = depth * 0.04
        corners = np.array([centre + half * (a * right + b * below) for a, b in ((-1, 1), (1, 1), (1, -1), (-1, -1))])
        world.polygon(corners, SQUARE, world.white, owner=owner)
        f = camera.focal_length(PIXELS)
        expected[owner] = PIXELS / 2 + f * across, PIXELS / 2 + f * down, depth, f * half / depth
    _, buffers = world.view(camera)
    for owner, (x, y, depth, half) in expected.items():
        rows, columns = np.nonzero(buffers["owner"] == owner)
        if len(rows) < 0.95 * (2 * half) ** 2:
            continue  # behind another one
        assert columns.mean() + 0.5 == pytest.approx(x, abs=0.6) and rows.mean() + 0.5 == pytest.approx(y, abs=0.6)
        np.testing.assert_allclose(buffers["depth"][rows, columns], depth, rtol=1e-4)


@pytest.mark.parametrize("heading", [0, 217])
def test_a_strip_has_each_direction_in_its_column_and_row(heading):
    """Degrees to the right of the strip's middle, and above the horizon: far left, over the seam, in corners."""
    marks = [(-170, 0), (180, 0), (179.5, 20), (-90, 33), (30, -19), (0, 0), (91, 10)]
    world = World()
    black = world.table.index("black", lambda: _plain((4, 4, 4, 0)))
    for right, above in marks:
        camera, half = Camera(EYE, heading + right, above), 0.4
        across, down, forward = camera.axes
        corners = [20 * forward + half * (a * across + b * down) for a, b in ((-1, 1), (1, 1), (1, -1), (-1, -1))]
        world.polygon(EYE + np.array(corners), SQUARE, black)
    light = strip_of(world.scene().around(EYE), Camera(EYE, heading), 256)
    assert light.shape == (256, 1662, 3)  # as many columns as six views can share equally
    wide, dark = light.shape[1], light.mean(2) < 0.1
    for right, above in marks:
        x, y = (0.5 + right / 360) * wide % wide, (320 / 512 - above / 360 * 6.5) * 256
        rows, columns = np.nonzero(np.roll(dark, wide // 2 - int(x), 1)[:, wide // 2 - 12 : wide // 2 + 13])
        near = np.abs(rows + 0.5 - y) < 12
        assert rows[near].mean() + 0.5 == pytest.approx(y, abs=0.5)
        assert columns[near].mean() + 0.5 - 12 == pytest.approx(x % 1, abs=0.5)
        assert 80 < near.sum() < 150
    assert dark.sum() < 150 * len(marks)  # nothing else


def test_what_is_nearer_hides_what_is_farther_in_any_order():
    for order in ((0, 1), (1, 0)):
        world = World()
        for owner in order:
            distance = (8, 20)[owner]
            world.box((-20 + 18 * (1 - owner), distance, 0), (20, distance + 1, 12), owner)
        _, buffers = world.view(Camera(EYE, 0))
        row = buffers["owner"][PIXELS // 2]
        assert row[0] == 1 and row[-1] == 0 and set(row) <= {0, 1}
        np.testing.assert_allclose(buffers["depth"][PIXELS // 2][row == 0], 8, rtol=1e-5)


def test_cutouts_show_what_is_behind_their_holes():
    world = World()
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[:, :16] = 255  # solid on the left
    half = world.table.index("half", lambda: Texture(32, 32, lambda version: picture))
    world.box((-20, 20, -5), (20, 21, 15), 1)
    world.wall(np.array([-4.0, 10, 0]), np.array([4.0, 10, 0]), 4, half, flags=CUTOUT | TWO_SIDED, owner=2)
    row = world.view(Camera(EYE, 0))[1]["owner"][PIXELS // 2]
    assert row[PIXELS // 2 - 6] == 2 and row[PIXELS // 2 + 6] == 1


def test_leaves_keep_their_share_in_the_distance():
    rng = np.random.default_rng(0)
    picture = np.full((64, 64, 4), 255, np.uint8)
    picture[..., 3] = 255 * (rng.random((64, 64)) < 0.4)
    world = World()
    leaves = world.table.index("leaves", lambda: Texture(64, 64, lambda version: picture))
    world.wall(np.array([-1.5, 0, 0]), np.array([1.5, 0, 0]), 3, leaves, flags=CUTOUT | TWO_SIDED, owner=3)
    for distance in (4.0, 12.0, 30.0):
        camera = Camera(
            np.array([0, -distance, 1.5]), 0, field_of_view=float(2 * np.degrees(np.arctan(1.5 / distance)))
        )
        share = (world.view(camera)[1]["owner"] == 3).mean()
        assert 0.3 < share < 0.5, distance


def test_neighbouring_triangles_leave_no_hole():
    world, rng = World(), np.random.default_rng(3)
    side = np.linspace(-30, 30, 25)
    grid = np.stack(np.meshgrid(side, side, indexing="ij"), 2)
    grid[1:-1, 1:-1] += rng.uniform(-0.8, 0.8, (23, 23, 2))
    points = np.concatenate([grid, rng.uniform(-0.5, 0.5, (25, 25, 1))], 2)
    for i in range(24):
        for j in range(24):
            corners = points[[i, i + 1, i + 1, i], [j, j, j + 1, j + 1]]
            world.polygon(corners[:3], SQUARE[:3], world.white)
            world.polygon(corners[[0, 2, 3]], SQUARE[[0, 2, 3]], world.white)
    for height, pitch, roll in ((15, -89, 20), (4, -50, -15)):
        _, buffers = world.view(Camera(np.array([0.3, -1.7, height]), 33, pitch, roll))
        assert np.isfinite(buffers["depth"]).all()


def test_what_passes_the_camera_is_clipped():
    world = World()
    world.ground()
    world.box((1.0, -30, 0), (1.5, 30, 6), 1)  # a wall beside the camera, from behind it to before it
    _, buffers = world.view(Camera(EYE, 0))
    f, row = Camera(EYE, 0).focal_length(PIXELS), PIXELS // 2
    x = np.arange(PIXELS) + 0.5 - PIXELS / 2
    wall = (x > 3) & (f / np.maximum(x, 1) < 30)
    assert (buffers["owner"][row, wall] == 1).all()
    np.testing.assert_allclose(buffers["depth"][row, wall], f / x[wall], rtol=1e-4)
    assert np.isfinite(buffers["depth"][PIXELS // 2 + 8 :]).all()


def test_pitch_moves_the_horizon_and_roll_turns_it():
    world = World()
    world.ground(390, flags=0)
    horizon = {}
    for pitch in (-10, 0, 10):
        seen = np.isfinite(world.view(Camera(EYE, 20, pitch))[1]["depth"])
        horizon[pitch] = PIXELS - seen[:, PIXELS // 2].sum()
    f = Camera(EYE, 0).focal_length(PIXELS)
    assert horizon[10] - horizon[0] == pytest.approx(f * np.tan(np.radians(10)), abs=2)
    assert horizon[0] - horizon[-10] == pytest.approx(f * np.tan(np.radians(10)), abs=2)
    seen = np.isfinite(world.view(Camera(EYE, 20, 0, 20))[1]["depth"])
    slope = np.polyfit(np.arange(PIXELS), PIXELS - seen.sum(0), 1)[0]
    # a camera turned clockwise sees the horizon turned counter-clockwise
    assert abs(slope) == pytest.approx(np.tan(np.radians(20)), abs=0.05)


@pytest.mark.parametrize("azimuth", [0, 90, 225])
def test_shadows_fall_away_from_the_sun(azimuth):
    world = World()
    world.ground()
    world.box((-1, -1, 0), (1, 1, 3))
    day = Capture(2019, 6, "summer", azimuth, 40, 0.0, 0.0, 0.0)
    picture, buffers = world.view(Camera(np.array([0, 0, 25.0]), 0, -90), day)
    bare = (buffers["owner"] == -1) & np.isfinite(buffers["depth"])
    dark = bare & (picture.sum(2) < 0.8 * np.median(picture.sum(2)[bare]))
    rows, columns = np.nonzero(dark)
    away = np.array([columns.mean() + 0.5 - PIXELS / 2, PIXELS / 2 - rows.mean() - 0.5])  # east, north
    away /= np.linalg.norm(away)
    assert away @ [-np.sin(np.radians(azimuth)), -np.cos(np.radians(azimuth))] > 0.97
    assert dark.sum() > 30


def test_walls_that_face_the_sun_are_brighter_and_clouds_take_the_shadows():
    world = World()
    world.ground()
    world.box((-3, -3, 0), (3, 3, 5))
    south, north = Camera(np.array([0.0, -15, 2]), 0), Camera(np.array([0.0, 15, 2]), 180)
    ratios = {}
    for day in (CLEAR, GREY):
        walls = []
        for camera in (south, north):
            picture, buffers = world.view(camera, day)
            ground = picture[-1].mean()
            walls.append(picture[buffers["owner"] == 0].mean() / ground)
        ratios[day] = walls[0] / walls[1]
    assert ratios[CLEAR] > 1.2 and ratios[GREY] == pytest.approx(1, abs=0.02)


def test_snow_lies_on_what_looks_up_and_is_not_sheltered():
    snow = Capture(2019, 1, "winter", 180, 20, 1.0, 0.0, 0.0, snow=1.0)
    world = World()
    dark = world.table.index("dark", lambda: _plain((50, 50, 50, 0)))
    world.ground(texture=dark)
    world.box((-4, 10, 0), (-1, 13, 1), 1, dark)
    world.box((1, 10, 0), (4, 13, 1), 2, dark, SHELTERED)
    camera = Camera(np.array([0.0, 0, 4.0]), 0, -12)
    picture, buffers = world.view(camera, snow)
    light = picture.mean(2)
    rows = np.arange(PIXELS)[:, None]
    faces = {}
    for owner in (1, 2):
        mask = buffers["owner"] == owner
        top, bottom = np.nonzero(mask)[0].min(), np.nonzero(mask)[0].max()
        faces[owner] = light[mask & (rows <= top + 1)].mean(), light[mask & (rows >= bottom - 3)].mean()
    assert faces[1][0] > 2 * faces[1][1]
    assert faces[2][0] < 1.6 * faces[2][1]
    assert light[-1].mean() > 2 * faces[1][1]


def test_wet_ground_mirrors_what_stands_on_it():
    rain = Capture(2019, 11, "autumn", 180, 20, 1.0, 0.0, 0.0, wet=1.0)
    differences = {}
    for day in (GREY, rain):
        pictures = []
        for colour in ((250, 20, 20, 0), (20, 20, 250, 0)):
            world = World()
            world.ground(texture=world.table.index("road", lambda: _plain((90, 90, 90, 0))))
            world.box((-8, 14, 0), (8, 15, 9), 1, world.table.index("wall", lambda c=colour: _plain(c)))
            picture, buffers = world.view(Camera(EYE, 0), day)
            pictures.append(picture)
        below = (buffers["owner"] == -1) & np.isfinite(buffers["depth"]) & (buffers["depth"] < 14)
        differences[day] = np.abs(pictures[0] - pictures[1])[below][:, [0, 2]].mean()
    assert differences[rain] > differences[GREY] + 4


def test_lamps_and_windows_shine_at_night_alone():
    world = World()
    world.ground()
    window = world.table.index("window", lambda: _plain((90, 90, 100, 20)))
    for owner in range(10):
        world.box((-22 + 4.5 * owner, 20, 0), (-18.5 + 4.5 * owner, 24, 5), owner, window)
    lamp = Lamps(np.array([[0, 10, 6.0]]), np.ones((1, 3)), np.ones(1), np.array([DOWN]))
    camera = Camera(EYE, 0)
    off, buffers = world.view(camera, NIGHT)
    lit, _ = world.view(camera, NIGHT, lamp)
    ground = buffers["owner"] == -1
    near = ground & (np.abs(buffers["depth"] - 10) < 1)
    assert lit[near].mean() > 2 * off[near].mean()
    brightness = [off[buffers["owner"] == owner].mean() for owner in range(10) if (buffers["owner"] == owner).any()]
    assert max(brightness) > 2 * min(brightness)  # some are dark
    same, _ = world.view(camera, CLEAR, lamp)
    np.testing.assert_array_equal(world.view(camera, CLEAR)[0], same)


def test_what_moves_is_drawn_and_casts_a_shadow():
    world = World()
    world.ground()
    car = World()
    car.box((-1, 8, 0), (1, 10, 2), 7, flags=EMITS)
    camera = Camera(np.array([0, 8.0, 20]), 0, -90)
    still, _ = world.view(camera, CLEAR)
    picture, buffers = world.view(camera, CLEAR, moving=Mesh.joined(car.meshes))
    moves = buffers["owner"] == 7
    assert moves.sum() > 20
    assert ((still - picture).sum(2) > 60)[~moves].sum() > 20  # north of it, away from the sun


def test_the_same_bits_again_whatever_was_in_memory():
    world = World()
    world.ground()
    rng = np.random.default_rng(5)
    for owner in range(10):
        noise = rng.integers(0, 255, (300, 300, 4), np.uint8)
        texture = world.table.index(owner, lambda p=noise: Texture(300, 300, lambda version: p))
        world.box((-24 + 5 * owner, 20 + owner, 0), (-20 + 5 * owner, 25 + owner, 8), owner, texture)
    camera = Camera(EYE, 0)
    first, _ = world.view(camera, CLEAR)
    world.memory = TextureMemory(1)  # too small for more than one of them
    around = world.scene(CLEAR).around(EYE)
    for azimuth in (0, 120, 240, 0):
        image = around.view(Camera(EYE, azimuth), PIXELS)
    np.testing.assert_array_equal(np.asarray(image), first)
    rng, optics = np.random.default_rng, Optics.drawn(np.random.default_rng(7), CLEAR)
    photographs = [develop(image, (64, 64), CLEAR, optics, rng(8)) for _ in range(2)]
    assert photographs[0].size == (64, 64)
    np.testing.assert_array_equal(*photographs)


def test_optics_do_what_they_say():
    world = World()
    world.ground()
    world.box((-3, 10, 0), (3, 12, 5))
    image = world.scene(GREY).around(EYE).view(Camera(EYE, 0), 96)
    rng = np.random.default_rng

    def developed(**optics):
        return np.asarray(develop(image, (64, 64), GREY, Optics(**optics), rng(0))).astype(np.float32)

    plain = developed()
    assert developed(exposure=0.7).mean() > 1.1 * plain.mean()
    assert developed(saturation=0.0).std(2).max() < 1.5
    assert np.abs(np.diff(developed(blur=1.5), axis=0)).max() < np.abs(np.diff(plain, axis=0)).max()
    sideways = developed(motion=8.0)
    assert np.abs(np.diff(sideways, axis=1)).max() < 0.6 * np.abs(np.diff(plain, axis=1)).max()
    assert np.abs(developed(noise=10.0) - plain).std() > 3
    assert developed(vignette=0.4)[0, 0].mean() < 0.8 * plain[0, 0].mean()


def test_an_empty_world_is_all_sky():
    _, buffers = World().view(Camera(EYE, 0), CLEAR)
    assert np.isinf(buffers["depth"]).all()


def test_houses_hide_lamps():
    world = World()
    world.ground()
    world.box((-40, 10, 0), (40, 20, 12))
    lamp = Lamps(np.array([[0, 24, 6.0]]), np.ones((1, 3)), np.ones(1), np.array([DOWN]))
    here, behind = (Camera(np.array([0, north, 9.0]), 0, -90) for north in (3.0, 28.0))
    for camera, lit in ((here, False), (behind, True)):
        assert (world.view(camera, NIGHT, lamp)[0].mean() > 1.3 * world.view(camera, NIGHT)[0].mean()) == lit


def test_without_numba_a_line_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name == "numba":
            raise ModuleNotFoundError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    try:
        importlib.reload(jit)
        with pytest.raises(UserError, match=r"pip install -r requirements-demo\.txt"):
            jit.kernel(lambda: None)()
    finally:
        monkeypatch.undo()
        importlib.reload(jit)


def test_what_another_package_or_state_has_compiled_is_not_read(tmp_path):
    """What numba keeps on disk names the classes of the arguments."""
    kept = "def added(pair):\n    return pair.a + pair.b\n"
    (tmp_path / "kernels.py").write_text(kept)
    for package, own in (("cosplace.demo_city", "one"), ("demo_city", "two")):
        (tmp_path / f"{own}.py").write_text("import collections\nPair = collections.namedtuple('Pair', 'a b')\n")
        program = f"import kernels, {own}\nfrom {package}.engine import jit\n"
        program += f"print(jit.kernel(kernels.added)({own}.Pair(1, 2)))\n"
        path = os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "python")))
        child = [sys.executable, "-c", program]
        done = subprocess.run(child, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
        assert done.stdout == "3\n", done.stderr
        (tmp_path / f"{own}.py").unlink()
