"""The demo city: true geometry, the same files from one seed, names, layout, resumption and bad input."""

import json
import os
import re

import numpy as np
import pytest
import utm
from PIL import Image

from datasets import names
from demo_city import __main__ as cli
from demo_city import build, ground, photos, render, years
from demo_city.buildings import FRONT
from demo_city.camera import project
from demo_city.plan import STYLES, District
from demo_city.scene import Pictures, Scene
from tests.failures import interrupt, once_there

FOLDERS = [
    "city1/train",
    "city1/val/database",
    "city1/val/queries",
    "city1/test/database",
    "city1/test/queries_v1",
    "city1/test/queries_night",
    "city2/test/database",
    "city2/test/queries_v1",
    "city2/test/queries_night",
    "target_night",
]
PIXELS = 96


def read_tree(folder):
    """{relative path: bytes} of every file below a folder."""
    return {
        os.path.relpath(os.path.join(root, f), folder): open(os.path.join(root, f), "rb").read()
        for root, _, files in os.walk(folder)
        for f in files
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "tiny"
    cli.main(["--tiny", "--folder", str(folder), "--processes", "1"])
    return folder


@pytest.fixture(scope="module")
def district():
    return District(3, STYLES["city1"], "test", 60.0, (500000.0, 5400000.0))


@pytest.fixture(scope="module")
def scenes(district):
    pictures, shared = Pictures(), {}
    return {
        role: Scene(district, years.captures(role)[0], pictures, shared) for role in ("database", "queries", "night")
    }


def view(scene, camera, **options):
    """(image as float32 (PIXELS, PIXELS, 3), buffers) without what moves and at the final size."""
    buffers = {}
    image = render.render_view(scene, camera, PIXELS, supersample=1, buffers=buffers, **options)
    return np.asarray(image).astype(np.float32), buffers


def looking_at_front(district, wall, distance=7.0):
    """A camera `distance` metres before the middle of a wall, its optical axis on it."""
    walls = district.walls
    middle = (walls.start[wall] + walls.end[wall]) / 2 + walls.normal[wall] * distance
    axis = np.degrees(np.arctan2(-walls.normal[wall, 0], -walls.normal[wall, 1]))
    return render.Camera(middle, 2.0, float(axis - render.FIELD_OF_VIEW / 2) % 360)


def narrow_fronts(district, count):
    walls = district.walls
    fronts = np.flatnonzero((walls.kind == FRONT) & (walls.length < 8.5))
    inner = np.abs((walls.start[fronts] + walls.end[fronts]) / 2).max(1)
    return fronts[np.argsort(inner)][:count]


def test_front_covers_the_columns_between_its_projected_corners(district, scenes):
    walls, checked = district.walls, 0
    for wall in narrow_fronts(district, 6):
        camera = looking_at_front(district, wall)
        corners = np.array([[*walls.start[wall], 2.0], [*walls.end[wall], 2.0]])
        x, y, depth = project(camera, corners, PIXELS)
        assert depth == pytest.approx(7.0, abs=1e-6)
        assert y == pytest.approx(PIXELS * render.HORIZON)  # both are as high as the camera
        row = view(scenes["database"], camera)[1]["building"][int(PIXELS * render.HORIZON)]
        seen = np.flatnonzero(row == walls.building[wall])
        # a neighbour that stands forward may hide an edge, never both ends by more than its half metre
        assert abs(seen[0] - x[0]) <= 1.0 or row[int(x[0]) + 1] != walls.building[wall]
        checked += abs(seen[0] - x[0]) <= 1.0 and abs(seen[-1] + 1 - x[1]) <= 1.0
    assert checked >= 3


def test_roof_line_is_where_the_projection_says(district, scenes):
    walls = district.walls
    flat = [w for w in np.flatnonzero(walls.kind == FRONT) if district.buildings[walls.building[w]].roof == "flat"]
    distance = 22.0
    for wall in flat:
        camera = looking_at_front(district, wall, distance)
        top = float(walls.tops[wall, 0])
        y = project(camera, np.array([[*(walls.start[wall] + walls.end[wall]) / 2, top]]), PIXELS)[1][0]
        buffers = view(scenes["database"], camera)[1]
        column, depth = buffers["building"][:, PIXELS // 2], buffers["depth"][:, PIXELS // 2]
        mine = np.flatnonzero((column == walls.building[wall]) & (np.abs(depth - distance) < 0.1))
        if y > 1 and len(mine) and mine[-1] > PIXELS * render.HORIZON:  # nothing stands between
            assert mine[0] == pytest.approx(y, abs=1.0)
            return
    pytest.fail("no flat roof could be seen")


def test_building_moves_against_the_camera(district, scenes):
    wall = narrow_fronts(district, 1)[0]
    walls = district.walls
    camera = looking_at_front(district, wall)
    moved = render.Camera(camera.position + camera.right * 0.8, camera.height, camera.heading)
    centres = []
    for c in (camera, moved):
        row = view(scenes["database"], c)[1]["building"][int(PIXELS * render.HORIZON)]
        centres.append(np.flatnonzero(row == walls.building[wall]).mean())
    expected = render.focal_length(PIXELS) * 0.8 / 7.0
    assert centres[0] - centres[1] == pytest.approx(expected, abs=1.5)


def test_heading_belongs_to_the_leftmost_column():
    camera = render.Camera(np.zeros(2), 2.0, 30.0)
    ahead = np.array([[np.sin(np.radians(30.0)), np.cos(np.radians(30.0)), 2.0]]) * [
        50,
        50,
        1,
    ]  # due 30 degrees, clockwise from north
    right = np.array([[np.sin(np.radians(100.0)), np.cos(np.radians(100.0)), 2.0]]) * [50, 50, 1]
    assert project(camera, ahead, 128)[0] == pytest.approx([0.0], abs=1e-6)
    assert project(camera, right, 128)[0] == pytest.approx([128.0], abs=1e-6)


def test_crops_join_as_the_headings_say(district, scenes):
    """What a crop shows at its left edge, the crop one field of view further left shows at its right edge."""
    street = district.streets[district.walk(60.0)[0][0]]
    position = (street.a + street.b) / 2
    one = view(scenes["database"], render.Camera(position, 2.0, 100.0))[1]
    two = view(scenes["database"], render.Camera(position, 2.0, 100.0 - render.FIELD_OF_VIEW))[1]
    same = one["building"][:, 0] == two["building"][:, -1]
    far = view(scenes["database"], render.Camera(position, 2.0, 280.0))[1]["building"][:, 0] == two["building"][:, -1]
    assert same.mean() > 0.9 > far.mean()


def test_depth_of_the_ground(district, scenes):
    street = district.streets[district.walk(60.0)[0][0]]
    camera = render.Camera((street.a + street.b) / 2, 2.0, 10.0)
    depth = view(scenes["database"], camera)[1]["depth"]
    tangent = (np.array([PIXELS - 0.5]) - PIXELS * render.HORIZON) / render.focal_length(PIXELS)
    assert depth[-1, PIXELS // 2] == pytest.approx(2.0 / tangent[0], rel=1e-3)


def edges(image):
    grey = image.mean(2)
    return np.abs(np.diff(grey, axis=1))[:-1] + np.abs(np.diff(grey, axis=0))[:, :-1]


def test_day_and_night_share_structure(district, scenes):
    own, other, darker = [], [], []
    cameras = [looking_at_front(district, wall) for wall in narrow_fronts(district, 6)]
    days = [edges(view(scenes["database"], camera)[0]) for camera in cameras]
    for k, camera in enumerate(cameras):
        picture, buffers = view(scenes["night"], camera)
        assert np.array_equal(buffers["building"], view(scenes["database"], camera)[1]["building"])
        darker.append(picture.mean() / view(scenes["database"], camera)[0].mean())
        night = edges(picture)
        own.append(np.corrcoef(days[k].ravel(), night.ravel())[0, 1])
        other.append(np.corrcoef(days[k - 1].ravel(), night.ravel())[0, 1])
    assert np.mean(own) > np.mean(other) + 0.2
    assert np.mean(darker) < 0.6


def test_every_night_lights_other_windows(district):
    pictures, shared = Pictures(), {}
    first, second = (Scene(district, capture, pictures, shared).shine for capture in years.captures("night")[:2])
    windows = slice(1, 200)
    changed = ((first[:, windows] & 0xFFFFFF) > 0) != ((second[:, windows] & 0xFFFFFF) > 0)
    assert 0.1 < changed.mean() < 0.9


def test_years_change_some_shops_and_keep_the_rest():
    before, after = (
        [years.generation(key, "tenant", year, years.SHOP_CHANGE) for key in range(400)]
        for year in (years.DATABASE_YEAR, years.QUERY_YEAR)
    )
    share = np.mean(np.not_equal(before, after))
    assert 0.2 < share < 0.5
    roles = [{c.year for c in years.captures("train", k)} for k in range(years.MAX_TRAIN_YEARS)]
    roles += [{c.year for c in years.captures(role)} for role in ("database", "queries")]
    assert len(set.union(*roles)) == len(roles)  # no year serves two purposes


def test_neighbours_differ_more_than_years(district, scenes):
    """A front in another year is nearer to itself than to its neighbours' fronts, on average over fronts."""
    walls = narrow_fronts(district, 8)
    cameras = [looking_at_front(district, wall) for wall in walls]
    database = np.array([edges(view(scenes["database"], c)[0]).ravel() for c in cameras])
    queries = np.array([edges(view(scenes["queries"], c)[0]).ravel() for c in cameras])
    similarity = np.corrcoef(database, queries)[: len(walls), len(walls) :]
    assert (similarity.argmax(1) == np.arange(len(walls))).mean() >= 0.6


def test_layout_and_lists(tiny):
    for folder in FOLDERS:
        listed = (tiny / f"{folder}_images_paths.txt").read_text().split()
        there = sorted(os.listdir(tiny / folder))
        assert listed == there and there
        with Image.open(tiny / folder / there[0]) as image:
            assert image.size == (photos.TINY.pixels,) * 2 and image.format == "JPEG"
    assert set(os.listdir(tiny)) == {
        "city1",
        "city2",
        "target_night",
        "target_night_images_paths.txt",
        "demo_city.json",
    }


def test_names_hold_true_positions(tiny):
    for folder in FOLDERS:
        listed = names.list_images(str(tiny / folder))
        positions = names.positions(listed)
        headings = names.parse_fields(listed, (names.HEADING,))
        assert ((0 <= headings) & (headings < 360)).all()
        for name, (east, north) in zip(listed, positions, strict=True):
            field = dict(zip(names.FIELDS, name.split("@"), strict=True))
            assert utm.from_latlon(float(field["latitude"]), float(field["longitude"])) == (
                pytest.approx(east, abs=1.5),
                pytest.approx(north, abs=1.5),
                int(field["UTM_zone_number"]),
                field["UTM_zone_letter"],
            )
            assert re.fullmatch(r"[\w-]{22}", field["pano_id"]) and re.fullmatch(
                r"20[12]\d(0[1-9]|1[0-2])", field["timestamp"]
            )
    train = names.list_images(str(tiny / "city1/train"))
    assert set(names.parse_fields(train, (names.HEADING,)).ravel()) == {
        0,
        90,
        180,
        270,
    }  # 4 headings in the tiny setting


def test_years_of_the_folders_differ(tiny):
    dates = {folder: {name.split("@")[13][:4] for name in names.list_images(str(tiny / folder))} for folder in FOLDERS}
    assert len(dates["city1/train"]) == 2
    for city in ("city1", "city2"):
        assert not dates[f"{city}/test/database"] & dates[f"{city}/test/queries_v1"]
    assert not dates["city1/train"] & (dates["city1/test/database"] | dates["city1/test/queries_v1"])


def test_queries_lie_near_the_database_and_splits_far_apart(tiny):
    place = {folder: names.positions(names.list_images(str(tiny / folder))) for folder in FOLDERS}
    for root, queries in (
        ("city1/val", ["queries"]),
        ("city1/test", ["queries_v1", "queries_night"]),
        ("city2/test", ["queries_v1", "queries_night"]),
    ):
        for folder in queries:
            distance = np.hypot(
                *(place[f"{root}/{folder}"][:, None] - place[f"{root}/database"][None]).transpose(2, 0, 1)
            )
            assert distance.min(1).max() <= photos.QUERY_RADIUS
            assert distance.min(1).std() > 0.3  # not on top of the database
    for other in ("city1/val/database", "city1/test/database", "target_night"):
        assert np.hypot(*(place["city1/train"][:, None] - place[other][None]).transpose(2, 0, 1)).min() > 1000


def test_queries_stand_in_the_street():
    settings = photos.Settings(train_metres=60, val_metres=60, test_metres=200, queries=80)
    districts = {name: photos.make_district(settings, name) for name in photos.DISTRICTS}
    tasks = photos.plan_tasks(settings, districts)
    for task in tasks:
        if "queries" in task.folder:
            for photo in task.photos:
                street = districts[task.district].streets[photo.street]
                assert abs((photo.camera.position - street.a) @ street.across) < street.roadway + street.pavement
    headings = np.concatenate(
        [[p.camera.heading for p in t.photos] for t in tasks if t.folder == "city1/test/queries_v1"]
    )
    assert len(headings) == 80 and len(set(headings % 30)) > 40 and np.histogram(headings, 4, (0, 360))[0].min() > 5


def test_files_do_not_depend_on_the_processes(tiny, tmp_path):
    cli.main(["--tiny", "--folder", str(tmp_path / "two"), "--processes", "2"])
    assert read_tree(tmp_path / "two") == read_tree(tiny)


def test_another_seed_gives_another_city():
    one, two = (photos.make_district(photos.Settings(seed=seed, train_metres=50), "train") for seed in (0, 1))
    assert one.nodes.shape != two.nodes.shape or not np.allclose(one.nodes, two.nodes)


def test_resumes_what_is_missing(tiny, tmp_path):
    complete = read_tree(tiny)
    folder = tmp_path / "demo"
    for path, data in complete.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    removed = sorted(p for p in complete if p.endswith(".jpg"))[::7]
    for path in removed:
        (folder / path).unlink()
    (folder / removed[0]).with_suffix(".jpg.tmp").write_bytes(b"half a file")
    kept = folder / next(p for p in sorted(complete) if p.endswith(".jpg") and p not in removed)
    stamp = kept.stat().st_mtime_ns
    before, written, _ = build.build(str(folder), photos.TINY, 1)
    assert (before, written) == (sum(p.endswith(".jpg") for p in complete) - len(removed), len(removed))
    assert read_tree(folder) == complete
    assert kept.stat().st_mtime_ns == stamp


def error_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    return message


def test_refuses_a_folder_of_others(tmp_path, capsys):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    assert "not empty" in error_of(capsys, "--tiny", "--folder", str(tmp_path))
    assert os.listdir(tmp_path) == ["holiday.jpg"]
    assert "is a file" in error_of(capsys, "--tiny", "--folder", str(tmp_path / "holiday.jpg"))


def test_refuses_a_folder_with_other_settings(tiny, capsys):
    message = error_of(capsys, "--tiny", "--folder", str(tiny), "--pixels", "64", "--seed", "5")
    assert "pixels 48 (now 64)" in message and "seed 0 (now 5)" in message and "years" not in message


def test_refuses_a_damaged_settings_file(tmp_path, capsys):
    (tmp_path / "demo_city.json").write_text("{")
    assert "damaged" in error_of(capsys, "--tiny", "--folder", str(tmp_path))
    (tmp_path / "demo_city.json").write_text(json.dumps([1]))
    assert "was not written by" in error_of(capsys, "--tiny", "--folder", str(tmp_path))


@pytest.mark.parametrize(
    "flag, value",
    [
        ("--train_metres", "0"),
        ("--test_metres", "-5"),
        ("--val_metres", "nan"),
        ("--pixels", "8"),
        ("--years", "5"),
        ("--headings", "0"),
        ("--queries", "0"),
        ("--processes", "0"),
    ],
)
def test_refuses_sizes_out_of_range(tmp_path, capsys, flag, value):
    assert flag in error_of(capsys, "--tiny", "--folder", str(tmp_path / "new"), flag, value)
    assert not (tmp_path / "new").exists()


def test_refuses_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    assert str(tmp_path / "file" / "demo") in error_of(capsys, "--tiny", "--folder", str(tmp_path / "file" / "demo"))


def test_interruption_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "demo"
    monkeypatch.setattr(build.Renderer, "photograph", lambda *_: Image.new("RGB", (48, 48)))
    once_there(monkeypatch, build.Renderer, "photograph", 5, f"{folder}/**/*.jpg", interrupt)
    with pytest.raises(SystemExit) as stop:
        cli.main(["--tiny", "--folder", str(folder), "--processes", "1"])
    assert stop.value.code == 130
    assert "run the same command again" in capsys.readouterr().err.splitlines()[-1]
    assert sum(p.endswith(".jpg") for p in read_tree(folder)) == 5
    assert not list(folder.rglob("*_images_paths.txt"))


def test_sheet_shows_both_cities(tmp_path):
    path = tmp_path / "sheet.png"
    cli.main(["--sheet", str(path), "--sheet_pixels", "32", "--test_metres", "100"])
    with Image.open(path) as image:
        assert image.width > 6 * 32 and image.height > 8 * 32


def test_bilinear_lookup_matches_floating_point():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    x, y = rng.uniform(0.6, 6.4, 50).astype(np.float32), rng.uniform(0.6, 8.4, 50).astype(np.float32)
    found = render._bilinear(ground.pack(colours), x, y).view(np.uint8).reshape(-1, 4)[:, :3].astype(float)
    i, j = np.floor(y - 0.5).astype(int), np.floor(x - 0.5).astype(int)
    v, u = (y - 0.5 - i)[:, None], (x - 0.5 - j)[:, None]
    expected = (colours[i, j] * (1 - u) + colours[i, j + 1] * u) * (1 - v) + (
        colours[i + 1, j] * (1 - u) + colours[i + 1, j + 1] * u
    ) * v
    assert np.abs(found - expected).max() < 4
