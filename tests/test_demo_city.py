"""The demo's data sets: the same files from one seed, names, layout, resumption and bad input."""

import io
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import utm
from PIL import Image

from datasets import names
from datasets.eigenplaces import build_eigen_groups, cut_towards
from demo_city import __main__ as cli
from demo_city import build, photos, sheet, years
from demo_city.camera import CROP, Camera
from demo_city.engine.draw import photograph_of
from demo_city.seeds import random_for
from demo_city.styles import STYLES
from demo_city.weather import draw_day, draw_night
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


def read_tree(folder):
    """{relative path: bytes} of every file below a folder."""
    return {
        os.path.relpath(os.path.join(root, f), folder): open(os.path.join(root, f), "rb").read()
        for root, _, files in os.walk(folder)
        for f in files
    }


@pytest.fixture(scope="module")
def tiny(once):
    return once("rendered", lambda: cli.main(["--tiny", "--folder", "tiny", "--processes", "2"])) / "tiny"


def projected(point, pixels, *camera, **lens):
    """Where a point appears in the picture of a camera at the origin: pixels to the right and down."""
    x, y, w, _ = photograph_of(Camera(np.zeros(3), *camera, **lens), pixels).matrix @ (*point, 1)
    return x / w, y / w


def heading_of(camera):
    """That of the crop's left edge, as in names."""
    return (camera.azimuth - CROP / 2) % 360


def test_heading_belongs_to_the_leftmost_column():
    for azimuth, column in ((30.0, 0.0), (30.0 + CROP, 128.0)):
        point = 50 * np.sin(np.radians(azimuth)), 50 * np.cos(np.radians(azimuth)), 0.0
        assert projected(point, 128, 30.0 + CROP / 2)[0] == pytest.approx(column, abs=1e-6)


def test_pitch_and_roll_turn_the_picture_as_they_say():
    ahead, above = (0, 50, 0), (0, 50, 5)
    assert projected(ahead, 100, 0.0, pitch=10.0)[1] > 60  # the horizon sinks where one looks up
    # a camera turned clockwise sees the world turned the other way
    assert projected(above, 100, 0.0, roll=10.0)[0] < 50
    wide, narrow = (projected(above, 100, 0.0, field_of_view=angle)[1] for angle in (110, 50))
    assert 50 > wide > narrow


def test_days_and_nights_are_of_many_kinds():
    days = [draw_day(random_for("day", n), 2020) for n in range(300)]
    assert {day.season for day in days} == {"spring", "summer", "autumn", "winter"}
    assert 0.2 < np.mean([day.cloud > 0.85 for day in days]) < 0.5 and 0.01 < np.mean([day.wet > 0.5 for day in days])
    assert all(day.season == "winter" for day in days if day.snow) and any(day.snow for day in days)
    assert min(day.sun_height for day in days) >= 5 and max(day.sun_height for day in days) < 70
    fair = [draw_day(random_for("fair", n), 2020, fair=True) for n in range(100)]
    assert not any(day.wet or day.snow or day.cloud > 0.55 for day in fair)
    nights = [draw_night(random_for("night", n), 2020, n) for n in range(1, 9)]
    assert [night.night for night in nights] == list(range(1, 9)) and len({night.key for night in nights}) == 8


def test_years_change_some_shops_and_keep_the_rest():
    before, after = (
        [years.generation(key, "tenant", year, years.SHOP_CHANGE) for key in range(400)]
        for year in (photos.DATABASE_YEAR, photos.QUERY_YEAR)
    )
    assert 0.2 < np.mean(np.not_equal(before, after)) < 0.5


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
    headings = names.parse_fields(train, (names.HEADING,)).ravel()
    assert len(set(np.round(headings % 90, 2))) == len(headings) / 4  # 4 crops of each panorama, 90 degrees apart


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
            assert np.ptp(distance.min(1)) > 0.3  # not on top of the database
    for other in ("city1/val/database", "city1/test/database", "target_night"):
        assert np.hypot(*(place["city1/train"][:, None] - place[other][None]).transpose(2, 0, 1)).min() > 1000


def test_queries_stand_in_the_street():
    settings = photos.Settings(test_metres=150, queries=80)
    area = next(area for area in photos.areas(settings) if area.folder == "city1/test")
    district = photos.make_district(settings, area)
    queries = [
        photo
        for task in photos.plan_tasks(settings, area, district)
        if "queries_v1" in task.folder
        for photo in task.photos
    ]
    cameras = [photo.camera for photo in queries]
    assert len(cameras) == 80 and all(district.free(camera.position[:2]) for camera in cameras)
    headings = np.array([heading_of(camera) for camera in cameras])
    assert len(set(headings % 30)) > 40 and np.histogram(headings, 4, (0, 360))[0].min() > 5
    heights = [camera.position[2] - float(district.ground(camera.position[:2])) for camera in cameras]
    assert min(heights) > 1.4 and max(heights) < 1.9
    assert np.std([camera.field_of_view for camera in cameras]) > 5 and np.std([camera.pitch for camera in cameras]) > 2


def test_many_cities_leave_one_style_out():
    settings = photos.Settings(cities=30)
    areas = photos.areas(settings)
    trained = {area.style for area in areas if area.role == "train"}
    assert photos.UNSEEN not in trained and len(trained) == 9
    assert {area.style for area in areas if area.role == "val"} == trained
    assert [area.style for area in areas if area.role == "test"] == [photos.UNSEEN]
    places = np.array([area.place for area in areas])
    distances = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + np.diag(np.full(len(places), np.inf))
    assert distances.min() > 4000
    assert sum(area.queries for area in areas if area.role == "val") == settings.queries


def test_a_city_of_many(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(photos, "TRAINED_STYLES", ("old_town",))
    flags = ["--tiny", "--cities", "1", "--queries", "5", "--folder", str(tmp_path), "--processes", "1"]
    flags += ["--night_share", "1", "--years", "1", "--val_metres", "9", "--panoramas"]
    cli.main(flags[:-1])
    train = os.listdir(tmp_path / "train")
    first = tmp_path / "train" / train[0]
    written = first.stat().st_mtime_ns
    cli.main(flags)  # are added to what is there
    assert first.stat().st_mtime_ns == written
    capsys.readouterr()
    assert "panoramas True (now False)" in error_of(capsys, *flags[:-1])
    assert len(train) == 12 and len(os.listdir(tmp_path / "val/queries")) == 5
    assert len(os.listdir(tmp_path / "test/queries_night")) == 5
    folder = tmp_path / "panoramas"
    listed = names.list_images(str(folder))
    assert list(listed) == sorted(os.listdir(folder)) and len(listed) == 3
    # of the same places and moments: east to pano_id, and the height and the date
    assert {(*p[1:8], *p[12:14]) for p in (name.split("@") for name in listed)} == {
        (*p[1:8], *p[12:14]) for p in (name.split("@") for name in train)
    }
    groups = build_eigen_groups(list(listed), 15, 1, 10, 1)
    for row in range(groups.num_classes(0)):
        for index in groups.image_indices(0, row):
            with Image.open(folder / listed[index]) as image:
                assert image.size == (312, 48)
                assert cut_towards(groups.focal_point(0, row, 0), image, listed[index]).size == (48, 48)
    before = (folder / listed[1]).read_bytes()
    (folder / listed[1]).unlink()
    cli.main(flags)
    assert (folder / listed[1]).read_bytes() == before


def test_a_crop_of_a_panorama_shows_what_a_view_shows():
    """Of twelve views all round, each crop resembles its own the most, over the seam too."""
    settings = replace(photos.TINY, panoramas=True, night_share=0.0)
    renderer = build.Renderer(settings)
    renderer.enter(0)
    task = next(task for task in renderer.tasks if task.folder == "city1/panoramas")
    photo = task.photos[0]
    around, place = renderer.surroundings(task.capture, photo), photo.camera.position
    image, _ = build.photograph(around, task.capture, photo, settings.pixels)
    east, north = map(float, photo.name.split("@")[1:3])
    crops, views = [], []
    for azimuth in range(0, 360, 30):
        turn = np.radians(azimuth)
        crop = cut_towards((east + 50 * np.sin(turn), north + 50 * np.cos(turn)), image, photo.name)
        view = around.view(Camera(place, azimuth, 6.9, 0.0, 57.0), settings.pixels)
        for pictures, picture in ((crops, crop), (views, view)):
            pictures.append(np.asarray(picture.convert("L")).astype(float).ravel())
    likeness = np.corrcoef(crops, views)[:12, 12:]
    assert likeness.argmax(0).tolist() == likeness.argmax(1).tolist() == list(range(12))
    assert np.diag(likeness).min() > 0.7


def test_files_do_not_depend_on_processes_or_order(tiny):
    """The fixture's files are of two processes; here one renders some of them again, in another order."""
    renderer, equal = build.Renderer(photos.TINY), []
    for number in reversed(range(len(renderer.areas))):
        renderer.enter(number)
        task = renderer.tasks[-1]
        for photo in reversed(task.photos[-2:]):
            image, quality = build.photograph(renderer.surroundings(task.capture, photo), task.capture, photo, 48)
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality)
            equal.append(file.getvalue() == (tiny / task.folder / photo.name).read_bytes())
    assert len(equal) >= len(renderer.areas) and all(equal)


def test_another_seed_gives_another_city():
    settings = [photos.Settings(seed=seed, train_metres=30) for seed in (0, 1)]
    one, two = (photos.make_district(one, photos.areas(one)[0]) for one in settings)
    assert not np.allclose(one.streets[0].at(5.0), two.streets[0].at(5.0))


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
        ("--night_share", "1.5"),
        ("--cities", "-1"),
    ],
)
def test_refuses_sizes_out_of_range(tmp_path, capsys, flag, value):
    assert flag in error_of(capsys, "--tiny", "--folder", str(tmp_path / "new"), flag, value)
    assert not (tmp_path / "new").exists()


def test_refuses_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    assert str(tmp_path / "file" / "demo") in error_of(capsys, "--tiny", "--folder", str(tmp_path / "file" / "demo"))


def test_refuses_flags_of_the_other_kind(tmp_path, capsys):
    folder = ["--tiny", "--folder", str(tmp_path / "new")]
    assert "with --cities alone" in error_of(capsys, *folder, "--city_metres", "50")
    assert "--sheet writes none" in error_of(capsys, "--sheet", str(tmp_path / "a.jpg"), "--panoramas")
    assert "without --cities alone" in error_of(capsys, *folder, "--cities", "2", "--target_night", "5")


def test_interruption_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "demo"
    monkeypatch.setattr(build, "photograph", lambda *_: (Image.new("RGB", (48, 48)), 90))
    once_there(monkeypatch, build, "photograph", 5, f"{folder}/**/*.jpg", interrupt)
    with pytest.raises(SystemExit) as stop:
        cli.main(["--tiny", "--folder", str(folder), "--processes", "1"])
    assert stop.value.code == 130
    assert "run the same command again" in capsys.readouterr().err.splitlines()[-1]
    assert sum(p.endswith(".jpg") for p in read_tree(folder)) == 5
    assert not list(folder.rglob("*_images_paths.txt"))


@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_rendered_by_day_or_by_night(style):
    renderer, night = build.Renderer(photos.TINY), STYLES.index(style) % 2
    area = photos.Area(style, style, 7, 30.0, (500_000.0, 4_500_000.0), (32, "T"), "test", "", 1)
    renderer.district = photos.make_district(photos.TINY, area)
    rng = random_for("every style", style)
    capture = draw_night(rng, 2022, 1) if night else draw_day(rng, 2022)
    photo = photos.plan_tasks(photos.TINY, area, renderer.district)[0].photos[0]
    around, seen = renderer.surroundings(capture, photo), photograph_of(photo.camera, 72)
    picture = np.asarray(around.view(photo.camera, 72)).astype(float)
    assert picture.std() > 4 and (80 if night else 250) > picture.mean() > (3 if night else 40)
    assert len(around.draw(seen)) > 60 and (seen.seen >= 0).mean() > 0.3


def test_the_sheet_has_a_row_for_each_style(tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "STYLES", ("suburb", "grid"))
    path = tmp_path / "sheet.png"
    cli.main(["--sheet", str(path), "--sheet_pixels", "32"])
    with Image.open(path) as image:
        assert image.width > 6 * 32 and 3 * 50 > image.height > 2 * 48
        pixels = np.asarray(image.convert("L")).astype(float)
    assert all(pixels[2 + row * 50 + 16 : 2 + row * 50 + 48, 2:34].std() > 5 for row in range(2))
