"""What tables of photos may say, and what is refused, left out or told of because it could mean two things."""

import csv
import json
import os
import pathlib

import numpy as np
import pytest

from datasets.names import list_images, parse_fields
from datasets.prepare import gsv_cities
from datasets.prepare.__main__ import main
from datasets.prepare.positions import describe_extent, place_photos
from datasets.prepare.records import Photo, parse_number, parse_time
from datasets.prepare.tables import COLUMNS, Table
from support.errors import UserError
from tests.photos import save_photo


def read(path, content, images_folder=None):
    """A Table that has read this content."""
    pathlib.Path(path).write_text(content, encoding="utf-8")
    table = Table(path, dict.fromkeys(COLUMNS), images_folder)
    table.read_csv() if path.endswith(".csv") else table.read_geojson()
    return table


def reasons(table):
    return [f"{record.reason} ({record.detail})" for record in table.rejected]


def photo(latitude, longitude):
    return Photo("x.jpg", "x.jpg", "x", latitude, longitude)


# --- where it is


def test_the_extent_and_a_map_of_the_centre_are_always_told(workdir, capsys):
    save_photo("p/a.jpg", 55.70, 13.19)
    save_photo("p/b.jpg", 55.71, 13.23)
    for _ in range(2):  # the second finds all there
        main(["--photos", "p", "--output", "out", "--all_to", "db", "--num_workers", "0"])
        assert (
            "\ndegrees: south 55.70000, west 13.19000, north 55.71000, east 13.23000; their centre: "
            "https://www.openstreetmap.org/?mlat=55.70500&mlon=13.21000#map=13/55.70500/13.21000\n"
        ) in capsys.readouterr().out


def test_an_extent_of_one_photo_and_one_across_180_degrees():
    line = describe_extent([photo(-33.5, -70.25)])
    assert "south -33.50000, west -70.25000, north -33.50000, east -70.25000;" in line and "#map=18/-33.50000/" in line
    line = describe_extent([photo(-17, 179.5), photo(-16, -179.5), photo(-16, 179.9)])
    assert "west 179.50000, north -16.00000, east -179.50000;" in line
    assert line.endswith(("#map=8/-16.50000/-180.00000", "#map=8/-16.50000/180.00000"))


# --- headings


def test_a_heading_that_is_no_number_loses_the_heading_and_not_the_photo(workdir, capsys):
    texts = ["584", "-90", "1e2", "", "north", "90 W", "nan", "360"]
    for index in range(len(texts)):
        save_photo(f"{index}.jpg")
    rows = "".join(f"{index}.jpg,{55.7 + index / 1000:.3f},13.19,{text}\n" for index, text in enumerate(texts))
    pathlib.Path("t.csv").write_text(f"path,lat,lon,heading\n{rows}")
    flags = ["--csv", "t.csv", "--all_to", "db", "--num_workers", "0", "--output"]
    main([*flags, "out"])
    headings = [name.split("@")[9] for name in list_images("out/db")]
    assert headings == ["224.00", "270.00", "100.00", "", "", "", "", "000.00"]
    out = capsys.readouterr().out
    assert "3 headings were not understood and are left out: t.csv line 6: 'north'" in out
    assert (
        "4 of 8 photos have no heading" in out and "Taken from the table: path from 'path', latitude from 'lat'" in out
    )
    main([*flags, "out2", "--require_heading"])
    assert len(list_images("out2/db")) == 4 and "4 for no heading" in capsys.readouterr().out


# --- nothing is guessed


@pytest.mark.parametrize(
    ("text", "hemispheres"),
    [
        ("-122.4 W", "EW"),
        ("13.19 E", "NS"),
        ("55.7 n", "EW"),
        ("55° 60' N", "NS"),
        ("55° 1' 60\" N", "NS"),
        ("9 W", ""),
    ],
)
def test_hemispheres_and_minutes_that_contradict_are_no_number(text, hemispheres):
    with pytest.raises(ValueError):
        parse_number(text, hemispheres)


@pytest.mark.parametrize("text", ["2013110510", "201311051020"])  # an hour and a minute, or seconds and milliseconds
def test_a_time_with_two_readings_is_none(text):
    with pytest.raises(ValueError):
        parse_time(text)
    assert parse_time("1383646830") == "20131105102030" == parse_time("1383646830000")


def test_a_path_that_fits_two_files_is_refused(workdir):
    for path in ("1.jpg", "1.png", "2.png", "a b.jpg", "win/c.jpg"):
        save_photo(path)
    table = read("t.csv", "path,lat,lon\n1,55,13\n2,55,13\n1.jpg,55,13\nwin\\c.jpg,55,13\n3,55,13\n")
    assert [found.path for found in table.photos] == ["2.png", "1.jpg", "win/c.jpg"]
    assert reasons(table) == ["several files of that name (1.jpg, 1.png)", "no such file (3)"]


def test_file_urls_are_paths_of_this_machine(workdir):
    save_photo("p/ü 1%.jpg")
    url = (workdir / "p" / "ü 1%.jpg").as_uri()
    assert "%20" in url
    rows = [url, url.replace("file://", "FILE://localhost"), url.replace("file://", "file:"), "file://server/p/a.jpg"]
    rows += [url.replace("1", "2"), "file:///a%00b.jpg"]
    table = read("t.csv", "path,lat,lon\n" + "".join(f"{row},55,13\n" for row in rows), "elsewhere")
    assert [found.path for found in table.photos] == [str(workdir / "p" / "ü 1%.jpg")] * 3
    found = reasons(table)
    assert found[0] == "a file:// path of another machine (file://server/p/a.jpg)"
    assert found[1].startswith("no such file (/") and found[1].endswith("ü 2%.jpg)") and found[2].startswith("no such")


def test_geojson_that_is_given_as_csv_is_told_of(workdir, capsys):
    pathlib.Path("t.geojson").write_text(geojson({"type": "Point", "coordinates": [13.19, 55.7]}))
    with pytest.raises(SystemExit) as exit_:
        main(["--csv", "t.geojson", "--all_to", "db", "--output", "out"])
    assert exit_.value.code == 2
    assert "t.geojson is JSON and no CSV file: give GeoJSON as --geojson" in capsys.readouterr().err


def geojson(*geometries, **members):
    features = [{"type": "Feature", "geometry": shape, "properties": {"path": "a.jpg"}} for shape in geometries]
    return json.dumps({"type": "FeatureCollection", "features": features, **members})


def test_other_geometries_than_points_are_named(workdir):
    save_photo("a.jpg")
    kinds = ["Point", "LineString", "Polygon", "MultiPoint", "GeometryCollection", "Blob", ["LineString"]]
    table = read("t.geojson", geojson(*({"type": kind, "coordinates": [13.19, 55.7]} for kind in kinds), None))
    assert len(table.photos) == 1 and reasons(table) == [
        "a LineString, not a Point ()",
        "a Polygon, not a Point ()",
        "a MultiPoint, not a Point ()",
        "a GeometryCollection, not a Point ()",
        *["no latitude ()"] * 3,
    ]


def test_coordinates_that_are_said_to_be_no_degrees_are_refused(workdir):
    save_photo("a.jpg")
    point = {"type": "Point", "coordinates": [13.19, 55.7]}
    for name in ("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326", "EPSG:4326"):
        crs = {"type": "name", "properties": {"name": name}}
        assert len(read("t.geojson", geojson(point, crs=crs)).photos) == 1
    assert len(read("t.geojson", geojson(point, crs=None)).photos) == 1
    for crs in ({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}, {"type": "link"}, "EPSG:25833"):
        with pytest.raises(UserError, match="says that its coordinates are those of .*: convert them to longitude"):
            read("t.geojson", geojson(point, crs=crs))


def test_what_was_taken_for_what_is_told(workdir):
    save_photo("straße.jpg")
    pathlib.Path("t.csv").write_text("photo;y;x\nstraße.jpg;55,7;13,19\n", encoding="cp1252")
    table = Table("t.csv", dict.fromkeys(COLUMNS))
    table.read_csv()
    assert list(table.notes()) == [
        "Taken from the table: path from 'photo', latitude from 'y', longitude from 'x'",
        "t.csv is not UTF-8, and was read as cp1252",
    ]


def test_a_letter_of_the_other_hemisphere_is_refused():
    south, north = [photo(-33.9, 18.4)], [photo(55.7, 13.19)]
    with pytest.raises(UserError, match="UTM zone 34S is a band of latitude in the other hemisphere .* theirs is 34H"):
        place_photos(south, (34, "S"))  # "34, southern"
    with pytest.raises(UserError, match="theirs is 33U"):
        place_photos(north, (33, "H"))
    assert place_photos(south, (34, "J"))[2] == (34, "J") and place_photos(south + north, (33, "U"))[2] == (33, "U")


# --- GSV-Cities

HEADER = "place_id,year,month,northdeg,city_id,lat,lon,panoid"
ROW = "130,2018,4,15,London,51.4861,-0.0895151,6jFjb3wGyCkcBfq4k559ag"


def test_names_of_gsv_cities_are_the_published_ones():
    """The example of the data set's README, and one whose heading is more than a circle."""
    values = gsv_cities.values_of(dict(zip(HEADER.split(","), ROW.split(","), strict=True)))
    assert values == {
        "path": "Images/London/London_0000130_2018_04_015_51.4861_-0.0895151_6jFjb3wGyCkcBfq4k559ag.jpg",
        "time": "201804",
    }
    row = "3,2015,5,584,PRS,48.79733778544615,2.231461206488333,7P0FnGV3k4Fmtw66b8_-Gg"
    values = gsv_cities.values_of(dict(zip(HEADER.split(","), row.split(","), strict=True)))
    name = "PRS_0000003_2015_05_584_48.79733778544615_2.231461206488333_7P0FnGV3k4Fmtw66b8_-Gg.jpg"
    assert values["path"] == f"Images/PRS/{name}"


def test_a_data_frame_of_gsv_cities_becomes_a_data_set(workdir):
    rows = [ROW, "131,2015,12,584,London,51.4862,-0.0896,ab_-c", "132,2015,12,0,London,51.4863,-0.0896,gone"]
    for row in rows[:2]:
        path = gsv_cities.values_of(dict(zip(HEADER.split(","), row.split(","), strict=True)))["path"]
        save_photo(f"gsv/{path}")
    os.rename(f"gsv/{path}", f"gsv/{path[:-4]}.JPG")
    os.mkdir("gsv/Dataframes")
    pathlib.Path("gsv/Dataframes/London.csv").write_text("\n".join([HEADER, *rows, "133,2015", ""]))
    flags = ["--csv", "gsv/Dataframes/London.csv", "--images_folder", "gsv", "--all_to", "db", "--num_workers", "0"]
    main([*flags, "--output", "out"])
    names = list_images("out/db")  # by their UTM coordinates
    assert parse_fields(names, (5, 6, 9)) == pytest.approx(
        np.array([[51.4862, -0.0896, 224], [51.4861, -0.08952, 15]]), abs=1e-5
    )
    assert [name.split("@")[13] for name in names] == ["201512", "201804"]
    with open("out/rejected.csv", newline="") as file:
        assert [row["reason"] for row in csv.DictReader(file)] == ["no such file"] * 2


def test_a_data_frame_without_its_images_is_told_of(workdir):
    with pytest.raises(UserError, match="is a data frame of GSV-Cities, and there is no folder Images: name the data"):
        read("t.csv", f"{HEADER}\n{ROW}\n")
    with pytest.raises(UserError, match="name the data set's folder with --images_folder"):
        read("t.csv", f"{HEADER}\n{ROW}\n")
    with pytest.raises(UserError, match="has no column for the path"):  # a column is missing
        read("t.csv", f"{HEADER.replace('panoid', 'pano')}\n{ROW}\n")
    save_photo("a.jpg")
    table = read("t.csv", f"path,{HEADER}\na.jpg,{ROW}\n")  # a table with a path is one like others
    assert [(found.path, found.heading, found.time) for found in table.photos] == [("a.jpg", 15, "")]


# --- what tables say is shown in one line


def test_control_characters_of_a_table_do_not_reach_the_terminal(workdir, capsys):
    save_photo("a.jpg")
    pathlib.Path("t.csv").write_text("file,lat,lon\na.jpg,52,13\n\x1b[31m\x07b.jpg,52,13\n")
    main(["--csv", "t.csv", "--all_to", "db", "--num_workers", "0", "--output", "out"])
    out = capsys.readouterr().out
    assert "\x1b" not in out and "no such file (first t.csv line 3: \\x1b[31m\\x07b.jpg)" in out


def test_an_unclosed_quote_is_told_of_in_one_line(workdir, capsys):
    save_photo("a.jpg")
    pathlib.Path("t.csv").write_text('file,lat,lon\n"a.jpg,52,13\n' + "a.jpg,52,13\n" * 30)
    with pytest.raises(SystemExit) as caught:
        main(["--csv", "t.csv", "--all_to", "db", "--num_workers", "0", "--output", "out"])
    err = capsys.readouterr().err
    assert caught.value.code == 2 and err.count("\n") == 1 and len(err) < 300
    assert "1 for a path of more than one line (first t.csv line 32: an unclosed quote? 'a.jpg,52,13\\na.jpg" in err
