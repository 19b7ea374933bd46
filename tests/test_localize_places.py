"""localize.py with a database whose positions are in EXIF or a table, with a part of one, and with one that grows."""

import contextlib
import csv
import json
import os
import re
import shutil
import sys

import numpy as np
import pytest

import localize
from datasets import heif
from datasets.names import latlon_to_utm
from datasets.test_dataset import ImageFolder
from localization import places
from localization.database_index import DatabaseIndex
from localization.places import Places, keep_places, load_places, places_of_names, read_places, within
from parser import parse_arguments
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.store import temporary_store
from support.errors import PartlyDone, UserError
from tests.descriptors import SmallNetwork, make_images
from tests.photos import save_photo
from tests.tiny import place_image, save_place

LATITUDE, LONGITUDE = 52.52, 13.405  # Berlin, UTM zone 33U; a place is 0.001 degrees north of the one before
OLD = 10**18  # ns: such images count as unchanged


@pytest.fixture
def database(workdir):
    """Photos of six places: EXIF, and a table, say where. One has no position, and one is in the table alone."""
    os.makedirs("db/more")
    with open("t.csv", "w") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "lat", "lon"])
        for place in range(6):
            name = f"more/photo {place}.jpg" if place > 3 else f"photo {place}.jpg"
            latitude = LATITUDE + 0.001 * place if place != 2 else None
            save_photo(f"db/{name}", latitude, LONGITUDE, image=place_image(place, 0, 1, 32))
            os.utime(f"db/{name}", ns=(OLD, OLD))
            if place < 5:
                writer.writerow([name, LATITUDE + 0.001 * place + 0.01, LONGITUDE])
        writer.writerow(["not_there.jpg", LATITUDE, LONGITUDE])
    return "db"


def test_positions_are_those_of_the_exif(database, caplog):
    caplog.set_level("INFO")
    images, found = read_places(ImageFolder("db"), "exif")
    assert list(images.names) == [*(f"more/photo {i}.jpg" for i in (4, 5)), *(f"photo {i}.jpg" for i in (0, 1, 3))]
    assert found.zone == (33, "U") and images.folder == "db" and len(images) == 5
    np.testing.assert_allclose(found.points[0], latlon_to_utm(LATITUDE + 0.004, LONGITUDE)[:2], atol=0.01)
    assert "5 of the 6 images of db have positions in exif, UTM zone 33U; 1 have none, and are left out" in caplog.text
    assert "1 for no GPS position in its EXIF (first db/photo 2.jpg" in caplog.text


@pytest.mark.parametrize("root", ["", "db/", "./"])
def test_positions_are_those_of_a_table(database, root, caplog):
    caplog.set_level("INFO")
    text = open("t.csv").read()
    for name in ("photo", "more/photo"):
        text = text.replace(f"\n{name} ", f"\n{root}{name} ")
    os.makedirs("db/tables")
    path = "db/tables/../../t.csv" if root == "db/" else "t.csv"  # paths that begin at the table, or at the images
    open("t.csv", "w").write(text)
    images, found = read_places(ImageFolder("db"), path)
    assert len(images) == 5 and "photo 2.jpg" in list(images.names) and "more/photo 5.jpg" not in list(images.names)
    np.testing.assert_allclose(found.points[1], latlon_to_utm(LATITUDE + 0.01, LONGITUDE)[:2], atol=0.01)
    assert "rows of " in caplog.text and "1 for no such file" in caplog.text
    assert "1 have none, and are left out: 1 for no usable row in the table (first more/photo 5" in caplog.text


def test_positions_are_those_of_geojson(database):
    point = {"type": "Point", "coordinates": [LONGITUDE, LATITUDE]}
    features = [{"type": "Feature", "geometry": point, "properties": {"image": "photo 0.jpg"}}]
    json.dump({"type": "FeatureCollection", "features": features}, open("t.geojson", "w"))
    images, found = read_places(ImageFolder("db"), "t.geojson")
    assert list(images.names) == ["photo 0.jpg"] and found.points.shape == (1, 2)


def test_tables_that_cannot_serve_are_refused(database):
    images = ImageFolder("db")
    for text, problem in (
        ("file,lat\nphoto 0.jpg,1\n", "has no column for the longitude; it has 'file', 'lat': rename it longitude$"),
        ("file,lat,lat,lon\na,1,1,1\n", "has two columns for the latitude, 'lat' and 'lat'; rename one$"),
        (
            "file,lat,lon\nphoto 0.jpg,1_0,2\n",
            "no image of db has a position in t.csv; 6 have none.*1 rows of the",
        ),
        ("file,lat,lon\nother.jpg,10,20\n", "no image of db has a position in t.csv"),
        ('{"type":"FeatureCollection"}', "is JSON and no CSV file: the name of a GeoJSON ends in .geojson or .json$"),
        (f"file,lat,lon\nphoto 0.jpg,{LONGITUDE},{LATITUDE}\n", "are swapped, .* so are the others; swap the columns"),
    ):
        open("t.csv", "w").write(text)
        with pytest.raises(UserError, match=problem) as refused:
            read_places(images, "t.csv")
        assert "_column" not in str(refused.value)
    with pytest.raises(UserError, match="none.csv cannot be read: there is no such file; --positions takes exif"):
        read_places(images, "none.csv")
    with pytest.raises(UserError, match=r"has 0 '@'.*give --positions FILE.csv or --positions exif"):
        places_of_names(images.names)


def test_places_are_kept_in_an_index_and_changes_are_noticed(workdir, caplog):
    caplog.set_level("INFO")
    os.makedirs("index")
    names = ["a", "b"]
    first = Places(np.array([[1.123456789, 2.0], [3.0, 4.0]]), (33, "U"))
    keep_places("index", first)
    assert not caplog.text
    again = load_places("index", names)
    assert again.zone == (33, "U") and (again.points == first.points).all()
    keep_places("index", Places(first.points + 1, (33, "U")))
    assert "positions of the images have changed since the index index" in caplog.text
    assert load_places("index", names).points[1].tolist() == [4, 5]
    good = open("index/positions.json").read()
    for bad in (
        good[:20],
        good.replace('"33U"', '"99U"'),
        good.replace('"33U"', "5"),
        good.replace("4.0", "NaN"),
        good.replace("4.0", "1e400"),
        good.replace("4.0", '"4"'),
        good.replace("[4.0, 5.0]", "[4.0]"),
        good.replace(", [4.0, 5.0]", ""),
        good.replace('"version": 1', '"version": 2'),
        good + " " * 10_000,
    ):
        assert bad != good
        open("index/positions.json", "w").write(bad)
        with pytest.raises(UserError, match="positions.json is damaged .*give --database_folder and --positions"):
            load_places("index", names)
    keep_places("index", first)  # damage is written over
    assert load_places("index", names).points[1].tolist() == [3, 4]
    keep_places("index", Places(first.points))  # names that say it
    assert os.listdir("index") == []


def test_positions_that_cannot_be_kept_serve_the_run(workdir, caplog, monkeypatch):
    os.makedirs("index")
    monkeypatch.setattr(places, "replacing", lambda path: (_ for _ in ()).throw(UserError(f"{path} cannot be written")))
    keep_places("index", Places(np.zeros((1, 2)), (33, "U")))
    assert "are not kept in the index, and serve this run: index/positions.json cannot be written" in caplog.text


# --- a part of a database


def test_images_within_a_radius():
    east, north, *zone = latlon_to_utm(LATITUDE, LONGITUDE)
    near = Places(np.array([[east + metres, north] for metres in (0, 99, 101, 5000)]), tuple(zone))
    assert within(near, [], LATITUDE, LONGITUDE, 100).tolist() == [0, 1]
    for point in ((LATITUDE + 1, LONGITUDE), (LATITUDE, -166.595), (-LATITUDE, LONGITUDE), (0, 0)):
        with pytest.raises(UserError, match=r"no image of the database is within 100 m of .*; its UTM zone is 33U"):
            within(near, [], *point, 100)
    named = Places(near.points)
    assert within(named, ["@0@0@33@U@.jpg"], LATITUDE, LONGITUDE, 100).tolist() == [0, 1]
    for name in ("@0@0@@@@.jpg", "@0@0@99@U@.jpg", "@0@0@33@zz@.jpg", "x.jpg"):
        with pytest.raises(UserError, match="--near needs the database's UTM zone"):
            within(named, [name], LATITUDE, LONGITUDE, 100)


def test_only_images_within_the_radius_are_searched(workdir):
    make_images("f")
    images = ImageFolder("f")
    east, north, *zone = latlon_to_utm(LATITUDE, LONGITUDE)
    points = np.array([[east + 10 * row, north] for row in range(len(images))])
    with contextlib.closing(temporary_store(len(images), 4, block=16)) as store:
        descriptors, _ = extract_descriptors(SmallNetwork(), images, ExtractionOptions(2), store)
        index = DatabaseIndex(store, images.names, points, tuple(zone))
        index.narrow(*map(float, (LATITUDE, LONGITUDE)), 225)  # 23 images, of which 21 cannot be read
        assert index.rows.tolist() == [*range(21), 22]
        located = localize.Located(index, descriptors[[30, 5]], localize.LocateOptions())
        assert set(located.neighbours[0]) <= {*range(21), 22} and located.neighbours[1, 0] == 5
        assert len(located.database) == 22 and index.to_latlon(east, north, 0)[2] == "33U"
        assert index.to_latlon(1e8, north, 0) == (None, None, None)
        index.narrow(LATITUDE, LONGITUDE, 15)  # fewer than the neighbours that are wanted
        assert localize.Located(index, descriptors[[30]], localize.LocateOptions()).neighbours.shape == (1, 2)
        with pytest.raises(UserError, match="none of the 1 images of the database within --near can be read"):
            DatabaseIndex(store, images.names, points + [-210, 0], tuple(zone)).narrow(LATITUDE, LONGITUDE, 1)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ("--positions t.csv --index_folder i a.jpg", "--positions are those of the images in --database_folder"),
        ("--positions t.csv --database_folder d --calibrate val", "--positions is for photos"),
        ("--near 1 2 3 --calibrate val", "--near is for photos"),
        ("--near 1 2 --database_folder d", "expected 3 arguments"),
        ("--database_folder d a.jpg --near 91 2 3", "--near 91 2 3: it needs a latitude from -80 to 84"),
        ("--database_folder d a.jpg --near 1 181 3", "a longitude from -180 to 180"),
        ("--database_folder d a.jpg --near 1 2 0", "and metres above 0"),
        ("--database_folder d a.jpg --near 1 2 nan", "'nan' is not a finite number"),
        ("--database_folder d a.jpg --near 1 x 3", "'x' is not a finite number"),
        ("--database_folder d a.jpg --near 1 2 3 --faiss_index HNSW16", "leave out --faiss_index"),
    ],
)
def test_usage_errors(workdir, capsys, flags, problem):
    with pytest.raises(SystemExit) as exit_:
        localize.main(["--resume_model", "m.pth", *flags.split()])
    assert exit_.value.code == 2 and problem in capsys.readouterr().err and not os.path.exists("logs")


# --- the script


def test_an_unprepared_database_that_grows_and_whose_table_changes(database, capsys, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(localize, "load_describer", lambda *_, **__: Network())
    place_image(1, 0, 1, 32).save("photo.jpg")
    flags = ["--database_folder", "db", "--positions", "t.csv", "--format", "jsonl", "photo.jpg"]
    first = run(capsys, *flags)
    assert first["neighbours"][0]["name"] == "photo 1.jpg" and first["utm_zone"] == "33U"
    assert first["neighbours"][0]["latitude"] == pytest.approx(LATITUDE + 0.011, abs=1e-6)
    assert run(capsys, *flags) == first and "The index of 5 images is read from" in caplog.text
    assert run(capsys, "--format", "jsonl", "photo.jpg", "--index_folder", "cache/descriptors") == first
    open("t.csv", "a").write(f"more/photo 5.jpg,{LATITUDE},{LONGITUDE}\n")
    os.unlink("db/photo 0.jpg")
    run(capsys, *flags)
    assert "4 of the 5 images of db are as they were" in caplog.text
    assert "1 are described; 1 of the images there are gone" in caplog.text and "have changed since" not in caplog.text
    text = open("t.csv").read()
    open("t.csv", "w").write(re.sub(r"photo 1.jpg,[\d.]+", "photo 1.jpg,52.6", text))
    result = run(capsys, *flags, "--near", "52.6", LONGITUDE, "50")
    assert "The positions of the images have changed since" in caplog.text
    assert "1 of the 5 images of the database are searched" in caplog.text
    assert result["latitude"] == pytest.approx(52.6, abs=1e-6) and len(result["neighbours"]) == 1


def test_what_would_fail_does_so_before_the_index_is_built(workdir, capsys, monkeypatch, caplog):
    monkeypatch.setattr(localize, "load_describer", lambda *_, **__: Network())
    place_image(1, 0, 1, 32).save("photo.jpg")
    os.makedirs("any")
    shutil.copy("photo.jpg", "any/photo.jpg")
    save_place("db", 0, 0, 1, 32)
    open("x.hif", "w").close()
    for flags, problem in (
        (["--database_folder", "any"], "give --positions FILE.csv or --positions exif"),
        (["--database_folder", "db", "--near", "0", "0", "9"], "no image of the database is within 9 m"),
        (["--database_folder", "db", "--faiss_index", "IVF9,Flat"], "training its 9 cells needs"),
        (["--database_folder", "db", "--report", "page.html"], "pip install -r requirements-report.txt"),
        (["--database_folder", "none", "--positions", "exif"], "folder none does not exist"),
        (["--database_folder", "any", "--positions", "exif"], "no image of any has a position in exif"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "jinja2", None)
            patch.setattr(heif, "decoder", lambda: None)
            with pytest.raises(UserError, match=problem):
                run(capsys, *flags, "photo.jpg", "x.hif")
        assert not os.path.exists("cache/descriptors")
    line = "1 of the photos cannot be read, the first 'x.hif': it is HEIC: pip install -r requirements-heif.txt"
    assert line in caplog.text


def test_no_index_is_built_for_photos_that_are_all_missing(workdir, capsys, monkeypatch):
    monkeypatch.setattr(localize, "load_describer", lambda *_, **__: Network())
    save_place("db", 0, 0, 1, 32)
    with pytest.raises(PartlyDone, match="no photo is localized"):
        run(capsys, "--database_folder", "db", "--format", "jsonl", "a.jpg", "b.jpg")
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [result["error"] for result in results] == [
        f"there is no photo or folder '{name}.jpg'; check the path" for name in "ab"
    ]
    assert not os.path.exists("cache/descriptors")


class Network(SmallNetwork):
    """A network whose descriptors tell the images of places apart."""

    def forward(self, images):
        return super().forward(images - images.mean(dim=(1, 2, 3), keepdim=True))


def run(capsys, *flags):
    """The one photo's result. localize.main would wait for a log folder of its own, and another second."""
    capsys.readouterr()
    flags = ["--resume_model", "m.pth", "--device", "cpu", "--num_workers", "0", *map(str, flags)]
    localize.run(parse_arguments("localize", flags), "logs")
    return json.loads(capsys.readouterr().out)


def test_a_data_frame_of_gsv_cities_needs_the_data_set_s_folder(database):
    header = "place_id,year,month,northdeg,city_id,lat,lon,panoid"
    with open("frame.csv", "w") as file:
        file.write(f"{header}\n1,2019,7,90,London,52,13,p\n")
    with pytest.raises(UserError, match="name the data set's folder with --database_folder"):
        read_places(ImageFolder("db"), "frame.csv")
