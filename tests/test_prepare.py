"""Own photos to a data set: positions, zones, areas, files, and bad input (tests/test_prepare_panoramas.py has the
panoramas).
"""

import csv
import glob
import json
import math
import os
import shutil

import numpy as np
import pytest
from PIL import Image, features

from datasets import heif
from datasets.images import open_rgb
from datasets.names import list_images, parse_fields, positions, utm_to_latlon
from datasets.prepare import exif
from datasets.prepare import images as images_module
from datasets.prepare.__main__ import main
from datasets.prepare.areas import BUFFER, choose_queries, split_areas
from datasets.prepare.exif import read_exif
from datasets.prepare.positions import choose_zone, parse_zone, project, seem_swapped
from datasets.prepare.records import Unusable, parse_heading, parse_number, parse_time
from support.errors import UserError
from tests.failures import interrupt, once_there
from tests.photos import HEIC_WITHOUT_DATA, XMP, save_photo

COORDINATES = [(55.70 + index / 2000, 13.19) for index in range(10)]  # 56 m apart


def prepare(*flags):
    main([*map(str, flags), "--num_workers", "0"])


def fails(capsys, *flags):
    with pytest.raises(SystemExit) as exit_:
        prepare(*flags)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and error.startswith("error: ") and len(error.splitlines()) == 1
    return error


def rejected(output="out"):
    with open(f"{output}/rejected.csv", newline="") as file:
        return {row["source"]: f"{row['reason']} ({row['detail']})" for row in csv.DictReader(file)}


def write_csv(path, rows, header="path,latitude,longitude", encoding="utf-8"):
    with open(path, "w", encoding=encoding, newline="") as file:
        file.write("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def photos(workdir):
    """p/0.jpg ... p/9.jpg, with positions in their EXIF."""
    for index, place in enumerate(COORDINATES):
        save_photo(f"p/{index}.jpg", *place)
    return workdir


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("55.5", 55.5),
        (" -3 ", -3),
        ("55,698", 55.698),
        ("122.4 W", -122.4),
        ("33,9S", -33.9),
        ("55 deg 41' 53.40\" N", 55 + 41 / 60 + 53.4 / 3600),
        ("13° 30′ W", -13.5),
        (7, 7),
    ],
)
def test_numbers_as_tables_write_them(text, value):
    assert parse_number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "north", "1,234,567", "55.5.5", "None"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError):
        parse_number(text)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("", ""),
        (None, ""),
        ("2013", "2013"),
        ("201311", "201311"),
        ("2013-11", "201311"),
        ("20131105", "20131105"),
        ("2013-11-05T10:20:30", "20131105102030"),
        ("2013-11-05 10:20:30+02:00", "20131105082030"),
        ("2013:11:05 10:20:30", "20131105102030"),
        ("20131105102030", "20131105102030"),
        ("1383646830", "20131105102030"),
        (1383646830000, "20131105102030"),
    ],
)
def test_times_as_tables_write_them(text, digits):
    assert parse_time(text) == digits


@pytest.mark.parametrize("text", ["yesterday", "12", "-5", "99999999999999", "nan"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):
        parse_time(text)


def test_headings():
    assert parse_heading("") is None and parse_heading("-90") == 270 and parse_heading("360") == 0
    assert parse_heading("999") == 279 and parse_heading("-1e-20") == 0 and parse_heading("584,5") == 224.5
    for text in ("north", "nan", "inf", "90 W", "1e400"):
        with pytest.raises(Unusable):
            parse_heading(text)


TABLES = {
    "comma": (",", "utf-8", "path,latitude,longitude,heading,timestamp", "."),
    "semicolon, decimal comma, BOM": (";", "utf-8-sig", "File Name;Lat;LNG;compass_angle;captured_at", ","),
    "tab, latin-1": ("\t", "latin-1", "IMAGE\tgps_latitude\tgps_longitude\tbearing\tdate", "."),
    "bar, UTF-16": ("|", "utf-16", "photo|y|x|yaw|time", "."),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_all_kinds_give_the_same(workdir, kind):
    delimiter, encoding, header, point = TABLES[kind]
    names = ["straße, 1.jpg", 'über "2".jpg', "3.jpg"]
    for name in names:
        save_photo(f"i/{name}")
    rows = [
        delimiter.join(
            (
                '"{}"'.format(name.replace('"', '""')),
                f"{55.7 + index / 1000:.4f}".replace(".", point),
                f"13{point}19",
                f"4{point}5",
                "2013-11-05",
            )
        )
        for index, name in enumerate(names)
    ]
    write_csv("t.csv", ["", *rows, delimiter * 4], header, encoding)
    prepare("--csv", "t.csv", "--images_folder", "i", "--output", "out", "--all_to", "database")
    listed = list_images("out/database")
    assert len(listed) == 3 and not rejected()
    fields = parse_fields(listed, (5, 6, 9))
    assert fields == pytest.approx(np.array([[55.7, 13.19, 4.5], [55.701, 13.19, 4.5], [55.702, 13.19, 4.5]]))
    assert all("@20131105@" in name for name in listed)


def test_columns_named_by_flags_and_paths_beside_the_table(workdir):
    save_photo("t/a.jpg")
    write_csv("t/t.csv", ["a.jpg,1,2,13.19,55.7"], "datei,latitude,longitude,rechts,hoch")
    prepare(
        "--csv",
        "t/t.csv",
        "--output",
        "out",
        "--all_to",
        "db",
        "--path_column",
        "datei",
        "--latitude_column",
        "hoch",
        "--longitude_column",
        "rechts",
    )
    assert parse_fields(list_images("out/db"), (5, 6)) == pytest.approx(np.array([[55.7, 13.19]]))


def test_geojson_as_mapillary_gives_it(workdir):
    features = []
    for index in range(2):
        save_photo(f"images/{1234 + index}.jpg")
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [13.19, 55.7 + index / 1000, 12.5]},
                "properties": {
                    "id": 1234 + index,
                    "captured_at": 1383646830000,
                    "compass_angle": 350.25,
                    "is_pano": False,
                },
            }
        )
    features.append(
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [[1, 2], [3, 4]]},
            "properties": {"id": 1234},
        }
    )
    with open("m.geojson", "w") as file:
        json.dump({"type": "FeatureCollection", "features": features}, file)
    prepare("--geojson", "m.geojson", "--images_folder", "images", "--output", "out", "--all_to", "db")
    assert parse_fields(list_images("out/db"), (5, 6, 9)) == pytest.approx(
        np.array([[55.7, 13.19, 350.25], [55.701, 13.19, 350.25]])
    )
    assert "@20131105102030@" in list_images("out/db")[0]
    assert rejected() == {"m.geojson feature 3": "a LineString, not a Point ()"}


def test_positions_headings_and_times_of_exif(workdir):
    photo = read_exif(save_photo("a.jpg", -33.865, 151.21, 45.5, "M", "2021:05:03 12:30:00"))
    assert (photo.latitude, photo.longitude, photo.heading) == pytest.approx((-33.865, 151.21, 45.5), abs=1e-6)
    assert photo.magnetic and photo.time == "20210503123000"
    photo = read_exif(save_photo("b.jpg", 37.75, -122.5))
    assert (photo.latitude, photo.longitude) == pytest.approx((37.75, -122.5), abs=1e-6)
    assert photo.heading is None and not photo.magnetic and photo.time == ""
    assert (
        read_exif(save_photo("c.jpg", 37.75, -122.5, 10.0, xmp=XMP % b"271.5")).heading == 271.5
    )  # the panorama's own comes first


def test_damaged_exif_gives_a_position_or_a_reason(workdir):
    save_photo("whole.jpg", -33.865, 151.21, 45.5, "M", "2021:05:03 12:30:00")
    whole = bytearray(open("whole.jpg", "rb").read())
    rng, read = np.random.default_rng(0), 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(20, 300, rng.integers(1, 6)):
            damaged[place] = rng.integers(0, 256)
        with open("damaged.jpg", "wb") as file:
            file.write(damaged)
        try:
            photo = read_exif("damaged.jpg")
            read += 1
            assert (
                -80 <= photo.latitude <= 84
                and -180 <= photo.longitude <= 180
                and (photo.heading is None or 0 <= photo.heading < 360)
            )
        except Unusable as error:
            assert error.reason
    assert 30 < read < 270


def test_headings_are_empty_where_unknown_and_never_360(workdir, capsys):
    for index, direction in enumerate((None, 0, 359.999, 90)):
        save_photo(f"p/{index}.jpg", 55.7 + index / 1000, 13.19, direction, reference="M")
    prepare("--photos", "p", "--output", "out", "--all_to", "db")
    assert [name.split("@")[9] for name in list_images("out/db")] == ["", "000.00", "000.00", "090.00"]
    out = capsys.readouterr().out
    assert (
        "1 of 4 photos have no heading. On a small set do not train: test with --whiten database. To train all the "
        "same: --alpha 360 --L 1, or leave them out"
        in out
        and "3 headings are of magnetic" in out
    )
    prepare("--photos", "p", "--output", "out2", "--all_to", "db", "--require_heading", "--heading_offset", "-100")
    assert [name.split("@")[9] for name in list_images("out2/db")] == ["260.00", "260.00", "350.00"]
    assert rejected("out2") == {"p/0.jpg": "no heading ()"} and "magnetic" not in capsys.readouterr().out


# Bad input


def test_every_row_that_cannot_be_used_is_listed_with_its_line(photos, capsys):
    rows = [
        "p/0.jpg,55.7,13.19",
        "p/1.jpg,13.19,55.7",
        "p/2.jpg,155.7,13.19",
        "p/3.jpg,255.7,13.19",
        "p/4.jpg,nan,13.19",
        "p/5.jpg,0,0",
        "nowhere.jpg,55.7,13.19",
        "p/6.jpg,north,13.19",
        "p/7.jpg,,13.19",
        ",55.7,13.19",
        "p/8.jpg,55.7,13.19,1",
        "p/0.jpg,55.7,13.19",
        "p/9.jpg,85,13.19",
        "p/8.jpg,55.7,33",
        "p/7.jpg,55.7001,13.19",
        "p/6.jpg,55.7002,13.19",
        "p/5.jpg,inf,1",
        "t.csv,55.7,13.19",
    ]
    write_csv("t.csv", rows)
    prepare("--csv", "t.csv", "--output", "out", "--all_to", "db")
    assert len(list_images("out/db")) == 3
    reasons = rejected()
    for line, reason in {
        3: "latitude and longitude seem swapped (latitude 13.19, longitude 55.7",
        4: "latitude and longitude seem swapped",
        5: "latitude or longitude out of range (latitude 255.7",
        6: "a latitude that is no number (nan)",
        7: "position 0, 0",
        8: "no such file (nowhere.jpg)",
        9: "a latitude that is no number (north)",
        10: "no latitude",
        11: "no path",
        12: "more fields than the header",
        13: "named before (by t.csv line 2)",
        14: "beyond UTM's 80 S to 84 N",
        15: "too far from UTM zone 33U",
        18: "a latitude that is no number (inf)",
        19: "an image that cannot be used",
    }.items():
        assert reason in reasons[f"t.csv line {line}"], line
    assert len(reasons) == 15
    out = capsys.readouterr().out
    assert "15 left out (out/rejected.csv):" in out and "1 for no path (first t.csv line 11)" in out


def test_numbers_are_not_guessed(photos):
    """What Python's float() reads beyond plain decimals: in CSV, in GeoJSON's texts and in its numbers."""
    odd = ["1_3", "\uff11\uff13.19", "13.19\v", "1e-400", "0x1p3", "13\u00b010\u00a0'E", "\u0661\u0663\u00b0"]
    write_csv("t.csv", ["p/0.jpg, 55.7\t,13.19,1_0", *(f"p/1.jpg,55.7,{text}" for text in odd)], "path,lat,lon,time")
    prepare("--csv", "t.csv", "--output", "out", "--all_to", "db")
    assert len(list_images("out/db")) == 1 and set(rejected()) == {f"t.csv line {line}" for line in range(3, 10)}
    assert all("a longitude that is no number" in reason for reason in rejected().values())
    points = ["13.19", "1e-400", "NaN", '"13.19"', '"1_3"', "true", "9" * 5000]
    listed = (
        f'{{"type": "Feature", "geometry": {{"type": "Point", "coordinates": [{text}, 55.7]}}, '
        f'"properties": {{"id": "p/{index}.jpg", "unused": 1e-400}}}}'
        for index, text in enumerate(points)
    )
    with open("t.geojson", "w") as file:
        file.write(f'{{"type": "FeatureCollection", "features": [{", ".join(listed)}]}}')
    prepare("--geojson", "t.geojson", "--output", "out2", "--all_to", "db")
    assert len(list_images("out2/db")) == 2
    assert set(rejected("out2")) == {f"t.geojson feature {number}" for number in (2, 3, 5, 6, 7)}
    for text in ("1_600_000_000", "\uff12\uff10\uff11\uff13", "2013\v", "1e-400"):
        with pytest.raises(ValueError):
            parse_time(text)
    with pytest.raises(UserError):
        parse_zone("\uff13\uff13U")


@pytest.mark.parametrize("text", ["554", b"554"])  # its characters and bytes are no degrees, minutes and seconds
def test_a_text_in_exif_is_no_position(text):
    with pytest.raises(Unusable, match="a damaged GPS position"):
        exif._position({1: "N", 2: text, 3: "E", 4: (13.0, 11.0, 0.0)})
    assert exif._heading({17: "1_0"}, b"") == (None, False) == exif._heading({}, b'GPano:PoseHeadingDegrees="1-0"')


def test_csv_outputs_hold_no_formulas_and_are_read_back(workdir, capsys):
    for index, name in enumerate(["@a.jpg", "-b.jpg", "=c.jpg", "d.jpg"]):
        save_photo(name, 55.7 + index / 1000, 13.19)
    write_csv("t.csv", ["@a.jpg,55.7,13.19", "-b.jpg,=1+1,13.19", "=c.jpg,-95,13.19", "@gone.jpg,1,2", "d.jpg,@x,1"])
    flags = "--csv", "t.csv", "--output", "out", "--all_to", "db"
    prepare(*flags)
    with open("out/rejected.csv", newline="") as file:
        rows = [(row["path"], row["detail"]) for row in csv.DictReader(file)]
    assert [path for path, _ in rows] == ["./-b.jpg", "./=c.jpg", "./@gone.jpg", "d.jpg"]
    assert rows[0][1] == "'=1+1" and rows[3][1] == "'@x" and rows[1][1].startswith("latitude -95")
    first = capsys.readouterr().out
    prepare(*flags)  # reads rejected.csv
    assert "(first t.csv line 3: =1+1)" in first and first.splitlines()[1:] == capsys.readouterr().out.splitlines()[1:]
    write_csv("again.csv", [f"{path},55.7,13.19" for path, _ in rows])
    prepare("--csv", "again.csv", "--output", "out2", "--all_to", "db")
    assert len(list_images("out2/db")) == 3 and list(rejected("out2").values()) == ["no such file (./@gone.jpg)"]
    prepare("--photos", "@a.jpg", "--output", "out3", "--all_to", "db")
    with open("out3/images.csv", newline="") as file:
        assert [row["photo"] for row in csv.DictReader(file)] == ["./@a.jpg"]


def test_photos_without_a_position_are_listed(photos, capsys, monkeypatch):
    save_photo("p/none.jpg")
    image = Image.Exif()
    image[0x8825] = {5: 0, 6: 37.0}
    Image.new("RGB", (64, 64)).save("p/altitude.jpg", exif=image)
    image[0x8825] = {2: (55.0, 41.0, 0.0), 4: (13.0, 11.0, 0.0)}
    Image.new("RGB", (64, 64)).save("p/hemisphere.jpg", exif=image)
    save_photo("p/null.jpg", 0.0, 0.0)
    save_photo("p/small.jpg", 55.7, 13.19, image=Image.new("RGB", (64, 20)))
    save_photo("p/cut.jpg", 55.7, 13.19)
    os.truncate("p/cut.jpg", os.path.getsize("p/cut.jpg") - 300)
    for name in ("text.jpg", "phone.heic", ".hidden.jpg", "film.mov"):
        with open(f"p/{name}", "w") as file:
            file.write("no photo")
    monkeypatch.setattr(heif, "decoder", lambda: None)
    with open("p/phone.heic", "wb") as file:
        file.write(HEIC_WITHOUT_DATA)
    prepare("--photos", "p", "--output", "out", "--all_to", "db")
    reasons = {os.path.basename(source): reason for source, reason in rejected().items()}
    assert reasons["none.jpg"] == "no GPS position in its EXIF ()" and reasons["altitude.jpg"].endswith(
        "(an altitude alone)"
    )
    assert (
        reasons["hemisphere.jpg"] == "a damaged GPS position in its EXIF (no hemisphere)"
        and "position 0, 0" in reasons["null.jpg"]
    )
    assert "64 x 20 pixels, fewer than 32" in reasons["small.jpg"] and "truncated" in reasons["cut.jpg"]
    assert "cannot be opened" in reasons["text.jpg"]
    assert reasons["phone.heic"] == "it is HEIC: pip install -r requirements-heif.txt ()"
    assert len(reasons) == 8 and len(list_images("out/db")) == 10


def test_tables_that_cannot_be_used(photos, capsys):
    def problem(content, *flags, suffix="csv"):
        mode = "wb" if isinstance(content, bytes) else "w"
        with open(f"t.{suffix}", mode) as file:
            file.write(content)
        return fails(capsys, f"--{suffix}", f"t.{suffix}", "--output", "out", *flags)

    assert "t.csv is empty" in problem("") and "t.csv is empty" in problem("\n \n")
    assert "t.csv has no rows below its header" in problem("path,latitude,longitude\n")
    line = problem("path,breite,longitude\np/0.jpg,55.7,13.19\n")
    assert (
        "has no column for the latitude; it has 'path', 'breite', 'longitude': name it with --latitude_column" in line
    )
    assert "has no column 'lat'" in problem("path,latitude,longitude\np/0.jpg,55.7,13.19\n", "--latitude_column", "lat")
    line = problem("path,latitude,longitude\np/0.jpg,0,0\np/1.jpg,,\np/2.jpg,0,0\n")
    assert "no photo can be used: 2 for position 0, 0" in line and "1 for no latitude (first t.csv line 3)" in line
    line = problem("path,latitude,longitude\np/0.jpg,-122.4,37.7\n")
    assert (
        "latitude and longitude seem swapped "
        "(first t.csv line 2: latitude -122.4, longitude 37.7: swapped they are a position)" in line
    )
    line = problem(
        "path,latitude,longitude\n" + "".join(f"p/{i}.jpg,{c[1]},{c[0]}\n" for i, c in enumerate(COORDINATES))
    )
    assert "t.csv line 2: latitude 13.19 and longitude 55.7 are swapped, as the EXIF of p/0.jpg shows" in line
    assert "no CSV file, or is damaged" in problem(b"\xff\xfep\x00a\x00t\x00h")
    row = "\np/0.jpg,55.7,13.19,55.8,1\n"
    assert "has two columns for the latitude, 'lat' and 'lat'; rename one" in problem(f"path,lat,lon,lat,1{row}")
    assert "has two columns for the latitude, 'lat' and 'LAT'; rename one" in problem(f"path,lat,lon,LAT,1{row}")
    assert "has two columns for the heading, 'a' and 'a'" in problem(f"path,lat,lon,a,a{row}", "--heading_column", "a")
    twice = (
        '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {"id": 1, "id": 2}}'
    )
    line = problem(f'{{"type": "FeatureCollection", "features": [{twice}]}}', suffix="geojson")
    assert "t.geojson has an object with two values named 'id'; leave one of them" in line
    assert "is not JSON" in problem("{", suffix="geojson") and "no GeoJSON FeatureCollection" in problem(
        "[1]", suffix="geojson"
    )
    assert "no GeoJSON FeatureCollection" in problem('{"type": "FeatureCollection", "features": []}', suffix="geojson")
    assert "have no properties" in problem(
        '{"type": "FeatureCollection", "features": [{"type": "Feature"}, 7]}', suffix="geojson"
    )
    assert "no photo can be used: 1 for no latitude" in problem(
        '{"type": "FeatureCollection", "features": [{"properties": {"path": "p/0.jpg"}, "geometry": null}]}',
        suffix="geojson",
    )
    assert not os.path.exists("out")


def test_bad_flags(photos, capsys):
    for flags, problem in (
        (["--photos", "nowhere"], "no photo or folder 'nowhere'"),
        (["--csv", "none.csv"], "none.csv cannot be read: No such file"),
        (["--resize", "9"], "--resize is 9; it must be from 32"),
        (["--shares", "0", "0", "0"], "one of them above 0"),
        (["--shares", "1", "-1", "0"], "must be 0 or more"),
        (["--images", "link", "--resize", "64"], "give one or the other"),
        (["--utm_zone", "99Z"], "not a zone such as 33U"),
        (["--utm_zone", "10U"], "no photo is near UTM zone 10U"),
        (["--all_to", "../x"], "must be the name of a folder"),
        (["--crop_headings", "0", "360"], "none twice"),
        (["--output", "p/out"], "lies in p, whose photos"),
        (["--images_folder", "p"], "belong to --csv"),
        (["--buffer", "nan"], "--buffer is nan"),
        (["--buffer", "400"], "extend over 501 m, and 400 m are left out between areas"),
        (["--shares", "1", "1", "1"], "val: none of its 4 photos has another within 25 m"),
    ):
        source = [] if flags[0] in ("--photos", "--csv") else ["--photos", "p"]
        assert problem in fails(capsys, *source, "--output", "out", *flags), flags
    for path in glob.glob("p/*.jpg"):
        os.truncate(path, os.path.getsize(path) - 300)
    assert "no image is left for db; 'p/9.jpg'" in fails(capsys, "--photos", "p", "--output", "out", "--all_to", "db")
    os.makedirs("empty")
    assert sorted(os.listdir()) == ["empty", "p"]
    assert "there is no photo in empty" in fails(capsys, "--photos", "empty", "--output", "out")


# One UTM zone


def haversine(a, b):
    """Metres on a sphere of the earth's mean radius."""
    (lat1, lon1), (lat2, lon2) = np.radians(a), np.radians(b)
    part = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371008.8 * math.asin(math.sqrt(part))


@pytest.mark.parametrize(
    "places",
    [
        [(55.7, 11.9995), (55.7, 12.0005)],
        [(0.0005, 11.0), (-0.0005, 11.0)],
        [(55.7, 179.9995), (55.7, -179.9995)],
        [(48.2, 17.5), (48.2, 17.501)],
    ],
)
def test_photos_across_a_border_stay_metric(workdir, places):
    save_photo("p/a.jpg", *places[0])
    save_photo("p/b.jpg", *places[1])
    save_photo("p/c.jpg", places[0][0], places[0][1] + 0.0001)  # most lie in the first one's zone
    prepare("--photos", "p", "--output", "out", "--all_to", "db")
    names = list_images("out/db")
    assert len({tuple(name.split("@")[3:5]) for name in names}) == 1
    by_file = {name.split("@")[7][0]: index for index, name in enumerate(names)}
    points = positions(names)[[by_file["a"], by_file["b"]]]
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(haversine(*places), rel=0.01)
    for file, place in zip("ab", places, strict=True):
        fields = names[by_file[file]].split("@")
        assert (float(fields[5]), float(fields[6])) == pytest.approx(place, abs=6e-6)


def test_the_zone_is_that_of_most_and_goes_back_to_degrees():
    latitudes, longitudes = np.array([55.7, 55.8, 55.9, 48.0]), np.array([12.1, 12.2, 11.9, 12.1])
    zone = choose_zone(latitudes, longitudes)
    assert zone == (33, "U")
    for point, degrees in zip(
        project(latitudes, longitudes, zone), zip(latitudes, longitudes, strict=True), strict=True
    ):
        assert utm_to_latlon(*point, *zone) == pytest.approx(degrees, abs=1e-6)


def test_swapped_positions_are_told_by_the_others():
    latitudes, longitudes = np.array([55.7, 55.8, 13.2, 55.6, 20.0]), np.array([13.2, 13.1, 55.7, 13.3, 13.0])
    assert seem_swapped(latitudes, longitudes).tolist() == [False, False, True, False, False]


# Areas


@pytest.mark.parametrize("seed", range(5))
def test_areas_lie_apart_and_have_their_shares(seed):
    rng = np.random.default_rng(seed)
    points = (
        rng.normal(0, 1, (2000, 2))
        * (3000, 900)
        @ [[math.cos(seed), math.sin(seed)], [-math.sin(seed), math.cos(seed)]]
    )
    areas = split_areas(points, [60, 20, 20], 100)
    for first in range(3):
        for second in range(first):
            gaps = np.linalg.norm(points[areas == first][:, None] - points[areas == second][None], axis=2)
            assert gaps.min() >= 100
    kept = np.bincount(areas[areas != BUFFER]) / (areas != BUFFER).sum()
    assert kept == pytest.approx([0.6, 0.2, 0.2], abs=0.03) and (areas == BUFFER).mean() < 0.08
    order = rng.permutation(2000)
    assert (split_areas(points[order], [60, 20, 20], 100) == areas[order]).all()
    assert (split_areas(points, [1], 100) == 0).all()


def test_queries_are_the_latest_that_keep_a_database_image_near():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 300, (400, 2))
    times = [f"20{year}0101" for year in rng.integers(13, 18, 400)]
    queries = choose_queries(points, times, 0.15, 25, 0)
    assert queries.sum() == 60 and {times[index] for index in np.flatnonzero(queries)} == {"20170101"}
    gaps = np.linalg.norm(points[queries][:, None] - points[~queries][None], axis=2)
    assert (gaps.min(axis=1) <= 25).all()
    drawn = [choose_queries(points, [""] * 400, 0.9, 25, seed) for seed in (0, 0, 1)]
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()
    gaps = np.linalg.norm(points[drawn[0]][:, None] - points[~drawn[0]][None], axis=2)
    assert (gaps.min(axis=1) <= 25).all() and drawn[0].sum() > 300


def test_a_whole_data_set(workdir, capsys):
    rng = np.random.default_rng(0)
    for index in range(60):
        latitude, longitude = 55.7 + rng.uniform(0, 0.01), 13.19 + rng.uniform(0, 0.0005)
        save_photo(f"p/{index // 20}/{index % 20}.jpg", latitude, longitude, time="2021:05:03 12:30:00")
    prepare("--photos", "p", "--output", "out", "--query_share", "0.25", "--positive_dist_threshold", "100")
    counts = {
        folder: len(list_images(f"out/{folder}"))
        for folder in ("train", "val/database", "val/queries", "test/database", "test/queries")
    }
    names = [name for folder in counts for name in list_images(f"out/{folder}")]
    assert len(set(names)) == sum(counts.values()) == 60 - len(rejected()) and len(rejected()) < 15
    assert counts["val/queries"] == round(0.25 * (counts["val/queries"] + counts["val/database"])) > 1
    out = capsys.readouterr().out
    for folder, count in counts.items():
        assert f"{count:8d} images in out/{folder}" in out
        assert os.path.exists(f"out/{folder}_images_paths.txt")
    train, test = (positions(list_images(f"out/{folder}")) for folder in ("train", "test/database"))
    assert np.linalg.norm(train[:, None] - test[None], axis=2).min() > 50
    with open("out/images.csv", newline="") as file:
        sources = {row["image"]: row["photo"] for row in csv.DictReader(file)}
    assert len(sources) == len(names) and all(
        open_rgb(f"out/{image}").tobytes() == open_rgb(photo).tobytes() for image, photo in list(sources.items())[:5]
    )
    assert all(os.path.isfile(os.path.join("out", image)) for image in sources)


# Files


def snapshot(folder):
    return {
        path: (os.lstat(path).st_mtime_ns, os.lstat(path).st_ino)
        for path in glob.glob(f"{folder}/**", recursive=True, include_hidden=True)
    }


@pytest.mark.parametrize("method", ["copy", "link", "hardlink", "resize", "square"])
def test_images_are_copied_linked_or_resized_and_a_rerun_changes_nothing(photos, capsys, method):
    save_photo("p/gray.png", 55.7, 13.19, image=Image.new("L", (90, 64), 7))
    os.symlink("../p", "p/round")
    flags = ["--photos", "p", "--output", "out", "--all_to", "db"]
    flags += {"resize": ["--resize", "48"], "square": ["--square"]}.get(method) or ["--images", method]
    prepare(*flags)
    before = snapshot("out")
    paths = {name.split("@")[7].split("-")[0]: f"out/db/{name}" for name in list_images("out/db")}
    assert len(paths) == 11
    if method == "resize":
        assert Image.open(paths["0"]).size == (48, 48) and Image.open(paths["gray"]).size == (67, 48)
    elif method == "square":
        assert Image.open(paths["gray"]).size == (64, 64)
    else:
        assert open(paths["0"], "rb").read() == open("p/0.jpg", "rb").read() and paths["gray"].endswith(".png")
        assert os.path.islink(paths["0"]) == (method == "link")
        assert os.path.samefile(paths["0"], "p/0.jpg") == (method != "copy")
    capsys.readouterr()
    prepare(*flags)
    assert snapshot("out") == before and "0 images made, 11 were there" in capsys.readouterr().out
    assert "out was made with other settings: all_to db (now other)" in fails(capsys, *flags, "--all_to", "other")
    save_photo("p/more.jpg", 55.7, 13.19)
    assert "out was made of other photos" in fails(capsys, *flags)
    assert snapshot("out") == before and not glob.glob(".out*")


def test_other_folders_are_not_touched(photos, capsys):
    os.makedirs("mine")
    open("mine/file", "w").close()
    assert "mine is not empty and was not made by" in fails(
        capsys, "--photos", "p", "--output", "mine", "--all_to", "db"
    )
    assert os.listdir("mine") == ["file"]
    for content, problem in (
        ("{", "was not made by"),
        ('{"made_by": "python -m datasets.prepare", "counts": 7}', "is damaged"),
    ):
        with open("mine/prepare.json", "w") as file:
            file.write(content)
        assert problem in fails(capsys, "--photos", "p", "--output", "mine", "--all_to", "db")


def test_an_interrupted_run_goes_on(photos, capsys, monkeypatch):
    flags = ["--photos", "p", "--output", "out", "--all_to", "db"]
    with monkeypatch.context() as patch:
        once_there(patch, images_module, "put", 3, ".out.unfinished/**/*@*.*g", interrupt)
        with pytest.raises(SystemExit) as exit_:
            prepare(*flags)
    assert (
        exit_.value.code == 130
        and not os.path.exists("out")
        and "run the same command again" in capsys.readouterr().err
    )
    assert "unfinished" in fails(capsys, *flags, "--heading_offset", "3")
    prepare(*flags)
    assert "7 images made, 3 were there" in capsys.readouterr().out and len(list_images("out/db")) == 10
    prepare(*flags[:3], "whole", *flags[4:])
    assert list(list_images("whole/db")) == list(list_images("out/db"))


def test_a_full_disk_is_one_line(photos, capsys, monkeypatch):
    def refuse(source, target):
        raise OSError(28, "No space left on device", target)

    monkeypatch.setattr(shutil, "copyfile", refuse)
    line = fails(capsys, "--photos", "p", "--output", "out", "--all_to", "db")
    assert "No space left on device; make room" in line and not os.path.exists("out")


def test_photos_of_one_place_and_time_have_names_of_their_own(workdir):
    for folder in ("a", "b"):
        for name in ("1.jpg", "2.jpg"):
            save_photo(f"p/{folder}/{name}", 55.7, 13.19, 90, time="2021:05:03 12:30:00")
    prepare("--photos", "p", "p/a", "--output", "out", "--all_to", "db")
    assert len(set(list_images("out/db"))) == 4
    assert list(rejected().values()) == [
        "a file that was named before (by p/a/1.jpg)",
        "a file that was named before (by p/a/2.jpg)",
    ]


def test_the_data_set_does_not_depend_on_the_workers(photos):
    for workers in (0, 2):
        main(["--photos", "p", "--output", f"out{workers}", "--all_to", "db", "--num_workers", str(workers)])
    assert list(list_images("out0/db")) == list(list_images("out2/db"))


def test_other_formats_become_jpegs_and_cannot_be_linked(workdir):
    formats = ["webp", "jpg", "png"] + ["avif"] * features.check("avif")
    for extension in formats:
        save_photo(f"p/{extension}.{extension}", 55.7, 13.19, image=Image.new("RGB", (48, 40), "red"))
    prepare("--photos", "p", "--output", "out", "--all_to", "db")
    images = {name.split("@")[7].split("-")[0]: name for name in list_images("out/db")}
    assert set(images) == set(formats) and not rejected() and images["png"].endswith(".png")
    for extension, name in images.items():
        assert extension == "png" or name.endswith(".jpg")
        image = open_rgb(f"out/db/{name}")
        assert image.size == (48, 40) and abs(np.asarray(image).mean(axis=(0, 1)) - (255, 0, 0)).max() < 5
    prepare("--photos", "p", "--output", "linked", "--all_to", "db", "--images", "link")
    assert "a .webp cannot be linked" in rejected("linked")["p/webp.webp"] and len(list_images("linked/db")) == 2
