import contextlib
import csv
import dataclasses
import io
import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import localize
from benchmarks import localization as benchmark
from datasets import images
from datasets.images import ImageError
from datasets.names import format_name
from datasets.photos import find_photos
from datasets.prepare.tables import Table
from datasets.test_dataset import ImageFolder
from localization import photos
from localization.answers import Localization, Neighbour
from localization.database_index import WantedIndex, open_index
from localization.formats import FORMATS, to_csv, to_table
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.identity import weights_digest
from support.errors import UserError
from tests.caches import flip
from tests.descriptors import BATCH, SmallNetwork
from tests.photos import save_photo
from tests.tiny import EAST, NORTH, place_image, save_place

FLAGS = ["--resume_model", "m.pth", "--device", "cpu", "--num_workers", "0"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A database of 36 places, 10 m apart; validation queries at 80 places, most of them in the database; photos; two
    networks.
    """
    root = tmp_path_factory.mktemp("localize")
    for place in range(36):
        save_place(root / "val" / "database", place, 0, 1, 32)
    for place in range(80):
        save_place(root / "val" / "queries", place % 44, 0, 2 + place // 44, 32, offset=1)
    os.makedirs(root / "photos" / "more")
    place_image(3, 0, 9, 32).save(root / "photos" / "3.png")
    place_image(20, 0, 9, 32).save(root / "photos" / "more" / "20.webp", lossless=True)
    place_image(7, 0, 9, 32).save(root / "photos" / "7.jpg", quality=95, exif=gps_exif(37.77, -122.42))
    (root / "photos" / "notes.txt").write_text("no photo")
    (root / "photos" / ".hidden.jpg").write_text("no photo")
    for name, seed in (("m.pth", 0), ("other.pth", 1)):
        torch.manual_seed(seed)
        save_network(GeoLocalizationNet("Small", 16), root / name)
    return root


@pytest.fixture
def folder(made, workdir):
    shutil.copytree(made, workdir, dirs_exist_ok=True)  # with the modification times, but under another path
    return workdir


def gps_exif(latitude, longitude):
    """EXIF with a position, to a ten thousandth of a second."""
    exif = Image.Exif()
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    for tag, value, signs in (
        (ExifTags.GPS.GPSLatitudeRef, latitude, "NS"),
        (ExifTags.GPS.GPSLongitudeRef, longitude, "EW"),
    ):
        seconds = round(abs(value) * 3600, 4)
        gps[int(tag)] = signs[value < 0]
        gps[int(tag) + 1] = (seconds // 3600, seconds % 3600 // 60, seconds % 60)
    return exif


def run(capsys, *flags, code=0):
    """What localize.py writes to (standard output, standard error)."""
    capsys.readouterr()
    if code:
        with pytest.raises(SystemExit) as exit_:
            localize.main([*FLAGS, *map(str, flags)])
        assert exit_.value.code == code
    else:
        localize.main([*FLAGS, *map(str, flags)])
    return capsys.readouterr()


def test_photos_are_localized_and_the_index_serves_again_with_and_without_images(folder, capsys, monkeypatch):
    flags = ["--format", "jsonl", "photos"]
    out, err = run(capsys, "--database_folder", "val/database", *flags)
    results = [json.loads(line) for line in out.splitlines()]
    assert [result["photo"] for result in results] == ["photos/3.png", "photos/7.jpg", "photos/more/20.webp"]
    for result, place in zip(results, (3, 7, 20), strict=True):
        nearest = result["neighbours"][0]
        assert np.hypot(nearest["utm_east"] - (EAST + 10 * place + 5), nearest["utm_north"] - (NORTH + 5)) == 0
        assert len(result["neighbours"]) == 5 and 0.9 < nearest["similarity"] <= 1
        assert nearest["distance_m"] == pytest.approx(
            np.hypot(nearest["utm_east"] - result["utm_east"], nearest["utm_north"] - result["utm_north"]), abs=0.02
        )
        assert (
            result["utm_zone"] == "10S"
            and result["radius_m"] is None
            and result["confidence"] is None
            and result["error"] == ""
        )
    assert "neither radius nor confidence: make one with" in err and "1 files whose names are of no image format" in err
    assert results[0]["gps_latitude"] is None and results[1]["gps_longitude"] == pytest.approx(-122.42)

    def no_extraction(*args, **more):
        assert args[1].folder == "the photos", "the index was built again"
        return extract(*args, **more)

    extract = localize.extract_descriptors
    monkeypatch.setattr(localize, "extract_descriptors", no_extraction)
    again, err = run(capsys, "--database_folder", "val/database", *flags, "--infer_batch_size", "4")
    assert again == out and "The index of 36 images is read from" in err
    shutil.rmtree("val/database")
    assert run(capsys, "--database_folder", "val/database", *flags)[0] == out  # the images are not there any more
    assert run(capsys, "--index_folder", "cache/descriptors", *flags)[0] == out
    (index,) = (
        entry
        for entry in os.listdir("cache/descriptors")
        if entry.startswith("database") and not entry.endswith(".lock")
    )
    os.rename(f"cache/descriptors/{index}", "alone")
    assert run(capsys, "--index_folder", "alone", *flags)[0] == out
    nearest = run(capsys, "--index_folder", "alone", "--estimate", "nearest", *flags)[0]
    assert [json.loads(line)["neighbours"][0]["distance_m"] for line in nearest.splitlines()] == [0, 0, 0]
    approximate = run(capsys, "--index_folder", "alone", "--faiss_index", "HNSW16", "--neighbours", 1, *flags)[0]
    assert [json.loads(line)["neighbours"][0]["name"] for line in approximate.splitlines()] == [
        result["neighbours"][0]["name"] for result in results
    ]


def test_an_index_of_another_model_or_size_is_refused_and_one_of_a_changed_database_rebuilt(folder, capsys):
    flags = ["--index_folder", "index", "photos/3.png"]
    run(capsys, "--database_folder", "val/database", *flags)
    err = run(capsys, *flags, "--resume_model", "other.pth", code=2).err
    assert "was made with another model than --resume_model" in err and "Traceback" not in err
    err = run(capsys, *flags, "--database_folder", "val/database", "--resize_test_imgs", "--image_size", 40, code=2).err
    assert "was made with images of their own size: give the same flags" in err
    save_place("val/database", 50, 0, 1, 32)  # the database has grown
    err = run(capsys, "--database_folder", "val/database", *flags).err
    assert "val/database has changed since its index in index was built" in err
    assert "The index of 37 images is read from" in run(capsys, "--database_folder", "val/database", *flags).err
    for more in ([], ["--database_folder", "val/database"]):
        if more:
            os.rename("val/database", "elsewhere")
        err = run(capsys, *flags, *more).err
        assert "index holds 2 indices of" in err and "The index of 37 images is read from" in err


def test_a_damaged_index_is_refused(folder, capsys, caplog):
    assert "nothing holds no complete index" in run(capsys, "--index_folder", "nothing", "photos", code=2).err
    run(capsys, "--database_folder", "val/database", "--index_folder", "index", "photos/3.png")
    (index,) = (entry.path for entry in os.scandir("index") if entry.is_dir())
    header = open(f"{index}/header.json").read()
    weights = json.loads(header)["identity"]["weights"]
    for name, change, problem in (
        ("descriptors.npy", lambda path: os.truncate(path, 500), "is damaged .descriptors.npy has 500 bytes"),
        ("names.txt", lambda path: os.truncate(path, 50), "is damaged .*names.txt is damaged"),
        (
            "header.json",
            lambda path: open(path, "w").write(header.replace('"dim": 16', '"dim": 17')),
            "holds no complete index",
        ),
    ):
        shutil.copy2(f"{index}/{name}", "kept")
        change(f"{index}/{name}")
        with pytest.raises(UserError, match=problem), open_index("index", WantedIndex(weights)):
            pass
        os.replace("kept", f"{index}/{name}")
    assert "cannot be used: header.json is damaged" in caplog.text
    with open_index("index", WantedIndex(weights)) as opened:
        assert len(opened.names) == 36 and opened.positions[3].tolist() == [EAST + 35, NORTH + 5]
    with pytest.raises(UserError, match="was made with another model"), open_index("index", WantedIndex("others")):
        pass


def test_a_damaged_index_is_built_again_where_the_images_are(places, caplog):
    network, database, extraction = SmallNetwork(), ImageFolder("db"), ExtractionOptions(BATCH)

    @contextlib.contextmanager
    def build():
        with DescriptorCache("index").store(network, database, extraction) as store:
            extract_descriptors(network, database, extraction, store)
            yield store

    wanted = WantedIndex(weights_digest(network))
    with open_index("index", dataclasses.replace(wanted, images=database), build):
        described = network.seen
    (index,) = (entry.path for entry in os.scandir("index") if entry.is_dir())
    for name, change, line, computed in (
        ("names.txt", os.unlink, "names.txt is missing: it is written again", 0),
        ("names.txt", lambda path: flip(path, 5), "names.txt is damaged (its checksum is another): it is written", 0),
        ("descriptors.npy", lambda path: os.truncate(path, 500), f"The index {index} is damaged (descrip", described),
    ):
        change(f"{index}/{name}")
        with pytest.raises(UserError, match="is damaged"), open_index("index", wanted):
            pass
        network.seen = 0
        with open_index("index", dataclasses.replace(wanted, images=database), build) as opened:
            assert list(opened.names) == list(database.names)
        assert line in caplog.text and network.seen == computed
        with open_index("index", wanted) as opened:
            assert list(opened.names) == list(database.names)


def test_photos_that_cannot_be_read_are_listed_and_the_others_go_on(folder, capsys):
    os.makedirs("bad")
    shutil.copy("photos/3.png", "bad/b.png")
    os.truncate("bad/b.png", 200)
    Image.new("RGB", (400, 20)).save("bad/c.png")
    open("bad/d.heic", "wb").write(b"\0\0\0\x18ftypheic")
    evil = "bad/\x1b[31mred\n<b>.png"
    shutil.copy("photos/3.png", evil)
    for name in ("table", "csv", "jsonl", "geojson"):
        out, err = run(capsys, "--database_folder", "val/database", "--format", name, "bad", "photos/7.jpg", code=1)
        assert "\x1b" not in out and "\x1b" not in err and "2 of 5 photos are localized" in err
        assert out.count("400 x 20 pixels, fewer than 32") == 1 and "Traceback" not in err
    assert json.loads(out)["features"][0]["properties"]["photo"] == evil
    open("bad.txt", "w").write("x")
    out, err = run(capsys, "--database_folder", "val/database", "bad.txt", "bad/b.png", code=1)  # none can be read
    assert "0 of 2 photos are localized" in err and "bad.txt" in out
    os.makedirs("empty")
    open("empty/notes.txt", "w").close()
    assert (
        "there is no photo in 'empty', only 1 other files"
        in run(capsys, "--database_folder", "val/database", "empty", code=2).err
    )
    out, err = run(capsys, "--database_folder", "val/database", "none.jpg", "photos/3.png", code=1)
    assert "there is no photo or folder 'none.jpg'" in err and "1 of 2 photos are localized" in err
    assert err.splitlines()[-1].endswith("Experiment finished (with some errors)") and "photos/3.png" in out
    out, err = run(capsys, "--database_folder", "val/database", "none.jpg", code=1)
    assert err.splitlines()[-2].endswith("error: no photo is localized") and "without any errors" not in err


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "give photos, or folders of photos"),
        (["a.jpg"], "as --database_folder, or its index as --index_folder"),
        (["a.jpg", "--calibrate", "val"], "takes no photos"),
        (["--calibrate"], "needs a validation set"),
        (["a.jpg", "--database_folder", "d", "--positive_dist_threshold", "0"], "must be more"),
        (["a.jpg", "--database_folder", "d", "--neighbours", "51"], "--neighbours is 51"),
        (["a.jpg", "--database_folder", "d", "--output", "no/where.csv"], "there is no folder no"),
        (["a.jpg", "--database_folder", "d", "--output", "."], "--output . is a folder: name a file in it"),
        (["a.jpg", "--database_folder", "d", "--resume_model="], "--resume_model is empty"),
        (["a.jpg", "--database_folder", "d", "--format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_usage_errors(workdir, capsys, flags, problem):
    assert problem in run(capsys, *flags, code=2).err
    assert not os.path.exists("logs")


def test_calibrated_on_one_half_checked_on_the_other_and_used(folder, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (requirements-report.txt)")
    err = run(capsys, "--calibrate", "val").err
    assert "of one half, checked on the" in err and err.count("radii hold the truth of") == 2
    files = sorted(name for name in os.listdir("cache/descriptors") if name.startswith("calibration"))
    assert [os.path.splitext(name)[1] for name in files] == [".json", ".png"]
    content, picture = json.load(open(f"cache/descriptors/{files[0]}")), Image.open(f"cache/descriptors/{files[1]}")
    assert content["report"]["fitted_on"] + content["report"]["checked_on"] == 80
    colours = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    assert picture.width > 1000 and all(
        (np.abs(colours - colour).max(axis=1) < 30).sum() > 50
        for colour in ((31, 119, 180), (255, 127, 14), (44, 160, 44))
    )  # dots, curve, squares
    run(capsys, "--calibrate", "--val_set_folder", "val", "--estimate", "nearest")  # has a calibration of its own
    assert len(os.listdir("cache/descriptors")) >= len(files) + 2
    out, err = run(capsys, "--database_folder", "val/database", "--format", "jsonl", "photos")
    for result in map(json.loads, out.splitlines()):
        assert 0 < result["confidence"] < 1 and 0 < result["radius_m"] <= result["radius95_m"]
    assert "neither radius" not in err
    os.rename(f"cache/descriptors/{files[0]}", "c.json")
    err = run(
        capsys,
        "--database_folder",
        "val/database",
        "--calibration",
        "c.json",
        "--resume_model",
        "other.pth",
        "photos",
        code=2,
    ).err
    assert "c.json is of another model or other settings (its weights differ)" in err
    open("c.json", "w").write("{")
    for name, problem in (("c.json", "c.json is damaged"), ("none.json", "none.json cannot be read")):
        assert problem in run(capsys, "--database_folder", "val/database", "--calibration", name, "photos", code=2).err


def test_without_matplotlib_calibration_says_what_to_install(folder, capsys, monkeypatch):
    monkeypatch.setitem(localize.sys.modules, "matplotlib", None)
    assert "pip install -r requirements-report.txt" in run(capsys, "--calibrate", "val", code=2).err


def test_a_photos_own_position_is_shown_and_has_no_part_in_the_estimate(folder, capsys):
    place_image(3, 0, 9, 32).save("here.jpg", quality=95, exif=gps_exif(37.7749, -122.4194))
    place_image(3, 0, 9, 32).save("there.jpg", quality=95, exif=gps_exif(-33.9, 18.4))
    Image.open("here.jpg").save("nowhere.png")
    out, _ = run(
        capsys, "--database_folder", "val/database", "--format", "jsonl", "here.jpg", "there.jpg", "nowhere.png"
    )
    here, there, nowhere = map(json.loads, out.splitlines())
    for name in ("latitude", "longitude", "utm_east", "neighbours"):
        assert here[name] == there[name] == nowhere[name]
    assert nowhere["gps_distance_m"] is None
    north, east = (np.radians(here[name] - here[f"gps_{name}"]) * 6_371_008.8 for name in ("latitude", "longitude"))
    assert here["gps_distance_m"] == pytest.approx(np.hypot(north, east * np.cos(np.radians(37.7749))), rel=1e-3)
    assert there["gps_distance_m"] == pytest.approx(16.48e6, rel=0.02)  # San Francisco to Cape Town


def test_a_database_without_zone_gives_utm_alone_with_one_warning(folder, capsys):
    for index, name in enumerate(sorted(os.listdir("val/database/sub"))):
        os.rename(f"val/database/sub/{name}", f"val/database/sub/{format_name(EAST + 10 * index, NORTH)}")
    out, err = run(capsys, "--database_folder", "val/database", "--format", "geojson", "photos")
    assert err.count("neither UTM zone nor latitude") == 1
    for feature in json.loads(out)["features"]:
        assert feature["geometry"] is None and feature["properties"]["utm_zone"] is None
        assert EAST <= feature["properties"]["utm_east"] <= EAST + 360


# --- formats

NAMES = ["a.jpg", 'b, "b".jpg', "c\nd\x1b[2J.jpg", "=1+1.jpg", "<script>.jpg"]
RESULTS = [
    *(
        Localization(
            name,
            "",
            37.7700001,
            -122.42,
            551000.123,
            4181000.5,
            "10S",
            12.3456,
            100.0,
            0.87654,
            37.77,
            -122.41,
            880.4,
            [Neighbour(f"sub/{name}", 0.81234, 3.2, 551001.0, 4181000.0, 37.77, -122.42)],
        )
        for name in NAMES
    ),
    Localization("broken.jpg", "cannot identify image file"),
    Localization("metres.jpg", utm_east=1.5, utm_north=2.5, neighbours=[Neighbour("x", 0.5, 1, 2, 3, None, None)] * 2),
]


def test_no_cell_is_a_formula_and_other_formats_are_exact(workdir):
    name = "@551000.00@4181000.00@10@S@@@@@@@@@@@.jpg"
    result = Localization(
        name, "=cmd|x", neighbours=[Neighbour(name, 0.5, 1, 2, 3, None, None)], utm_east=-1.0, utm_zone="-5"
    )
    (row,) = csv.DictReader(io.StringIO(to_csv([result])))
    assert row["photo"] == row["neighbour1_name"] == f"./{name}" and row["error"] == "'=cmd|x"
    assert row["utm_east"] == "-1.0" and row["utm_zone"] == "-5"  # numbers
    save_photo(name)
    result.latitude, result.longitude = 37.77, -122.42
    with open("o.csv", "w") as file:
        file.write(to_csv([result]))
    table = Table("o.csv", {})
    table.read_csv()  # as datasets.prepare reads it
    assert [(photo.path, photo.latitude) for photo in table.photos] == [(f"./{name}", 37.77)] and not table.rejected
    (line,) = map(json.loads, FORMATS["jsonl"]([result]).splitlines())
    properties = json.loads(FORMATS["geojson"]([result]))["features"][0]["properties"]
    assert line == properties and line["photo"] == line["neighbours"][0]["name"] == name and line["error"] == "=cmd|x"


def test_programs_read_every_format_back():
    lines = [json.loads(line) for line in FORMATS["jsonl"](RESULTS).splitlines()]
    assert (
        [line["photo"] for line in lines[:5]] == NAMES
        and lines[0]["confidence"] == 0.8765
        and lines[0]["radius_m"] == 12.35
    )
    assert lines[0]["neighbours"][0] == {
        "name": "sub/a.jpg",
        "similarity": 0.8123,
        "distance_m": 3.2,
        "utm_east": 551001.0,
        "utm_north": 4181000.0,
        "latitude": 37.77,
        "longitude": -122.42,
    }
    rows = list(csv.DictReader(io.StringIO(to_csv(RESULTS))))
    assert [row["photo"] for row in rows[:4]] == ["a.jpg", 'b, "b".jpg', "c\\nd\\x1b[2J.jpg", "./=1+1.jpg"]
    assert (
        rows[0]["latitude"] == "37.7700001"
        and rows[0]["neighbour1_name"] == "sub/a.jpg"
        and rows[0]["neighbour2_name"] == ""
    )
    assert (
        rows[6]["neighbour2_distance_m"] == "1"
        and rows[6]["latitude"] == ""
        and rows[5]["error"] == "cannot identify image file"
    )
    collection = json.loads(FORMATS["geojson"](RESULTS))
    assert collection["type"] == "FeatureCollection" and collection["features"][0]["geometry"]["coordinates"] == [
        -122.42,
        37.7700001,
    ]
    assert (
        collection["features"][5]["geometry"] is None
        and collection["features"][4]["properties"]["photo"] == "<script>.jpg"
    )


def test_the_table_is_for_people_and_shows_no_escapes():
    text = to_table(RESULTS)
    lines = text.splitlines()
    assert lines[0].split() == [
        "latitude",
        "longitude",
        "UTM",
        "radius",
        "68%",
        "95%",
        "confidence",
        "GPS",
        "off",
        "photo",
    ]
    assert lines[1].split() == [
        "37.770000",
        "-122.420000",
        "10S",
        "551000.1",
        "4181000.5",
        *"12 m 100 m 88% 880 m".split(),
        "a.jpg",
    ]
    assert lines[2].split() == ["0.812", "3.2", "m", "sub/a.jpg"]
    assert lines[-3].split()[:-1] == ["-", "-", "1.5", "2.5", *["not", "calibrated"] * 3, "-"]
    assert "\x1b" not in text and "c\\nd\\x1b[2J.jpg" in text and "broken.jpg: cannot identify image file" in text
    assert (
        len(
            {line.index(name) for line, name in zip(lines[1:10:2], ["a.jpg", "b, ", "c\\n", "=1", "<scr"], strict=True)}
        )
        == 1
    )


def test_output_is_written_whole(folder, capsys, monkeypatch):
    out, _ = run(capsys, "--database_folder", "val/database", "--format", "csv", "--output", "o.csv", "photos")
    assert out == "" and len(list(csv.DictReader(open("o.csv")))) == 3
    before = open("o.csv").read()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert (
        "o.csv cannot be written: No space left"
        in run(capsys, "--database_folder", "val/database", "--output", "o.csv", "photos", code=2).err
    )
    assert open("o.csv").read() == before and not [name for name in os.listdir() if name.startswith(".o.csv")]


# --- photos of any size and format


def test_large_photos_are_reduced(workdir, monkeypatch):
    monkeypatch.setattr(photos, "MAX_PIXELS", 10_000)
    gradient = Image.fromarray(np.linspace(0, 255, 800).astype(np.uint8)[None].repeat(400, axis=0)).convert("RGB")
    gradient.save("a.png")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    gradient.save("b.jpg", exif=exif)
    gradient.convert("CMYK").save("c.jpg")
    for name, size in (("a.png", (141, 70)), ("b.jpg", (70, 141)), ("c.jpg", (141, 70))):
        image = photos.open_photo(name)
        assert image.mode == "RGB" and np.allclose(image.size, size, atol=1) and image.width * image.height <= 10_000
        pixels = np.asarray(image).astype(int)[..., 0]
        rising = pixels[10] if image.width > image.height else pixels[:, 10]
        assert rising[0] < 10 and rising[-1] > 245 and (np.diff(rising) >= -4).all()
    small = Image.open("a.png").resize((90, 60))
    small.save("d.jpg")
    np.testing.assert_array_equal(np.asarray(photos.open_photo("d.jpg")), np.asarray(Image.open("d.jpg")))  # as it is
    monkeypatch.setattr(images, "MAX_PIXELS", 300_000)
    with pytest.raises(ImageError, match="800 x 400 pixels; more than 300000 are not decoded"):
        photos.open_photo("b.jpg")


@pytest.mark.parametrize("extension", ["bmp", "gif", "jpg", "png", "ppm", "tiff", "webp"])
def test_formats(workdir, extension):
    Image.new("RGB", (50, 40), (200, 100, 50)).save(f"x.{extension.upper()}")
    found, others = find_photos(["."])
    assert found == [f"./x.{extension.upper()}"] and not others
    assert np.abs(np.asarray(photos.open_photo(found[0])).astype(int) - [200, 100, 50]).max() < 8


# --- the benchmark


def test_the_benchmark_prints_its_tables(folder, capsys, monkeypatch):
    shutil.copytree("val", "demo/city1/val")
    shutil.copytree("val/database", "demo/city1/test/database")
    shutil.copytree("val/queries", "demo/city1/test/queries_v1")
    monkeypatch.setattr(benchmark, "_TEST_SETS", benchmark._TEST_SETS[:1])
    benchmark.main(
        [
            "--dataset_folder",
            "demo",
            "--resume_model",
            "m.pth",
            "--image_size",
            "32",
            "--splits",
            "2",
            "--device",
            "cpu",
            "--num_workers",
            "0",
        ]
    )
    out = capsys.readouterr().out
    assert out.count("| City 1, day |") == 2 and "| demo/city1/val | 80 |" in out and "| the index alone | 36 |" in out


def test_the_page_shows_photos_neighbours_and_own_positions(folder, capsys):
    pytest.importorskip("jinja2", reason="Jinja2 is not installed (requirements-report.txt)")
    (folder / "photos" / "<b>x.jpg").write_bytes(b"no photo")
    run(capsys, "--database_folder", "val/database", "--report", "page.html", "photos", code=1)
    page = (folder / "page.html").read_text()
    assert "photos/3.png" in page and "&lt;b&gt;x.jpg" in page and "<b>x.jpg" not in page
    assert page.count("data:image/jpeg") == 3 * 6  # each photo and its five neighbours
    results = [
        json.loads(line)
        for line in run(
            capsys, "--database_folder", "val/database", "--format", "jsonl", "photos", code=1
        ).out.splitlines()
    ]
    seven = next(result for result in results if result["photo"].endswith("7.jpg"))
    assert f"{seven['latitude']:.6f}, {seven['longitude']:.6f}" in page
    place = "{latitude:.6f}/{longitude:.6f}".format(**seven)
    address = f"https://www.openstreetmap.org/?mlat={place.replace('/', '&amp;mlon=')}#map=18/{place}"
    assert page.count(f'href="{address}"') == 2  # in the table, and below the photo
    assert page.count("not calibrated") == 2 * 3  # radius and confidence of each photo that is localized
