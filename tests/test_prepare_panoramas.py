"""Which pixel column of a crop has which heading, on panoramas whose colours say their headings."""

import json
import math

import numpy as np
import pytest
from PIL import Image

import train
from datasets.check.__main__ import main as check
from datasets.images import open_rgb
from datasets.names import list_images, parse_fields
from datasets.prepare.__main__ import main
from datasets.prepare.panoramas import SF_XL_FOV, Crops, looks_panoramic
from tests.photos import XMP, angle_between, heading_panorama, headings_of, save_photo
from tests.tiny import place_image

HEADINGS = (0, 30, 75.5, 180, 217, 300, 345)  # over both edges of all panoramas below


def columns(crop):
    """Headings of the columns' centres, by the middle row, degrees."""
    return headings_of(crop)[0][crop.height // 2]


@pytest.mark.parametrize("size", [(3328, 512), (1000, 500)])
@pytest.mark.parametrize("centre", [0, 37, 200])
def test_sf_xl_crops_begin_at_their_headings(size, centre):
    crops = Crops("sf_xl", 128, HEADINGS)
    assert crops.is_panorama(size)
    expected = SF_XL_FOV * (np.arange(128) + 0.5) / 128
    for heading, crop in zip(HEADINGS, crops.cut(heading_panorama(*size, centre), centre), strict=True):
        assert crop.size == (128, 128)
        assert (
            angle_between(columns(crop), heading + expected).max() < 0.75
        )  # the colours' rounding is up to half a degree
        height = headings_of(crop)[1][:, 64]  # of the panorama: the crop is as high as it is wide, around the horizon
        share = 1 if size[0] > 3 * size[1] else SF_XL_FOV / 180
        assert height == pytest.approx(0.5 + share * ((np.arange(128) + 0.5) / 128 - 0.5), abs=0.006)


def test_sf_xl_crops_are_the_panoramas_own_pixels():
    """Where the heading meets a column, a crop of SF-XL's size is a part of the strip, as SF-XL has it."""
    strip = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 3328, 3)).astype(np.uint8))
    heading = 360 * 800 / 3328 - 180 + 11  # of column 800, if the centre's is 11
    last = 360 * 3000 / 3328 - 180 + 11
    first_crop, over_the_edge = Crops("sf_xl", 512, (heading, last)).cut(strip, 11)
    assert (np.asarray(first_crop) == np.asarray(strip)[:, 800:1312]).all()
    assert (np.asarray(over_the_edge) == np.roll(np.asarray(strip), -3000, axis=1)[:, :512]).all()


@pytest.mark.parametrize(("fov", "pitch"), [(60, 0), (90, 0), (75, 20), (100, -35)])
def test_perspective_crops_are_what_a_camera_sees(fov, pitch):
    """Independently: the direction that each pixel's colour says is projected by a camera matrix, and must come back to
    the pixel.
    """
    size, centre = 96, 37
    crops = Crops("perspective", size, HEADINGS, fov, pitch)
    pixels = np.arange(size) + 0.5
    for heading, crop in zip(HEADINGS, crops.cut(heading_panorama(2048, 1024, centre), centre), strict=True):
        seen, height = headings_of(crop)
        east_of, up = np.radians(seen), math.pi * (0.5 - height)
        directions = np.stack(
            [np.cos(up) * np.sin(east_of), np.cos(up) * np.cos(east_of), np.sin(up)]
        )  # east, north, up
        axis = math.radians(heading + fov / 2)
        yaw = np.array(
            [[math.cos(axis), -math.sin(axis), 0], [math.sin(axis), math.cos(axis), 0], [0, 0, 1]]
        )  # the axis becomes north
        tilt = math.radians(pitch)
        level = np.array([[1, 0, 0], [0, math.cos(tilt), math.sin(tilt)], [0, -math.sin(tilt), math.cos(tilt)]])
        x, z, y = np.einsum("ij,jhw->ihw", level @ yaw, directions)
        focal = size / 2 / math.tan(math.radians(fov / 2))
        # half a degree and half a gray level, in pixels
        assert abs(size / 2 + focal * x / z - pixels[None]).max() < 1.6
        assert abs(size / 2 - focal * y / z - pixels[:, None]).max() < 1.6
        assert abs((size / 2 + focal * x / z - pixels[None]).mean()) < 0.1


def test_perspective_crops_begin_at_their_headings():
    for heading, crop in zip(
        HEADINGS, Crops("perspective", 200, HEADINGS, 60).cut(heading_panorama(2048, 1024, 11), 11), strict=True
    ):
        assert angle_between(columns(crop)[[0, -1]], [heading + 0.11, heading + 59.89]).max() < 0.5
        assert angle_between(columns(crop)[99:101].mean(), heading + 30) < 0.5


def test_large_panoramas_do_not_alias():
    """Columns of black and white, finer than the crop's pixels, become gray."""
    stripes = np.zeros((2048, 4096, 3), np.uint8)
    stripes[:, ::2] = 255
    for kind in ("sf_xl", "perspective"):
        crop = np.asarray(next(Crops(kind, 64, (0,), 60).cut(Image.fromarray(stripes), 0)))
        assert abs(crop.astype(float) - 127.5).max() < 12


def test_panoramas_are_told_by_their_shape():
    for kind, sizes in {
        "sf_xl": {(5376, 2688): True, (3328, 512): True, (4032, 3024): False, (2001, 1000): True, (2100, 1000): False},
        "perspective": {(5376, 2688): True, (3328, 512): False},
    }.items():
        assert {size: Crops(kind).is_panorama(size) for size in sizes} == sizes
    assert looks_panoramic((5376, 2688)) and not looks_panoramic((3328, 512))


@pytest.mark.parametrize("kind", ["sf_xl", "perspective"])
def test_names_have_the_heading_of_their_leftmost_column(workdir, capsys, kind):
    save_photo("p/exif.jpg", 55.7, 13.19, 123.0, image=heading_panorama(1024, 512, 123), quality=98)
    save_photo(
        "p/xmp.jpg", 55.701, 13.19, 5.0, image=heading_panorama(1024, 512, 250.5), quality=98, xmp=XMP % b"250.5"
    )
    save_photo("p/unknown.jpg", 55.702, 13.19, image=heading_panorama(1024, 512, 0), quality=98)
    save_photo("p/photo.jpg", 55.703, 13.19, 77.0)
    flags = [
        "--photos",
        "p",
        "--output",
        "out",
        "--all_to",
        "db",
        "--panoramas",
        kind,
        "--crop_size",
        "64",
        "--num_workers",
        "0",
    ]
    main([*flags, "--crop_headings", "0", "90", "-75"])
    names = list_images("out/db")
    assert len(names) == 10 and "unknown" in "".join(names)
    for name in names:
        fields = name.split("@")
        if fields[7].startswith("photo"):
            assert fields[9] == "077.00" and fields[8] == ""
            continue
        crop = open_rgb(f"out/db/{name}")
        heading = float(fields[9]) if fields[9] else (0, 90, 285)[int(fields[8])]
        assert (
            heading in (0, 90, 285) and (fields[9] == "") == fields[7].startswith("unknown") and crop.size == (64, 64)
        )
        assert angle_between(columns(crop)[0], heading) < 3  # half a pixel, and JPEG's colours
    assert parse_fields(names, (9,), empty_as_zero=(9,)).max() == 285
    capsys.readouterr()
    main([*flags, "--crop_headings", "0", "90", "-75"])
    assert "0 images made, 10 were there" in capsys.readouterr().out


def test_panoramas_stay_whole_unless_asked(workdir, capsys):
    save_photo("p/a.jpg", 55.7, 13.19, 123.0, image=heading_panorama(256, 128, 123))
    main(["--photos", "p", "--output", "out", "--all_to", "db", "--num_workers", "0"])
    assert open_rgb(f"out/db/{list_images('out/db')[0]}").size == (256, 128)
    assert "1 photos of 2:1 may be panoramas; --panoramas cuts them" in capsys.readouterr().out


def test_crops_take_the_offset_of_the_camera(workdir):
    save_photo(
        "p/a.jpg", 55.7, 13.19, 10.0, image=heading_panorama(1024, 512, 100), quality=98
    )  # mounted 90 degrees to the right
    main(
        [
            "--photos",
            "p",
            "--output",
            "out",
            "--all_to",
            "db",
            "--num_workers",
            "0",
            "--panoramas",
            "sf_xl",
            "--crop_size",
            "64",
            "--crop_headings",
            "30",
            "--heading_offset",
            "90",
        ]
    )
    name = list_images("out/db")[0]
    assert name.split("@")[9] == "030.00" and angle_between(columns(open_rgb(f"out/db/{name}"))[0], 30) < 3


@pytest.fixture
def street(workdir, capsys):
    """What the check says of a data set of panoramas: from a table, over a border of UTM zones, in two years."""
    rows = ["path;lat;lon;heading;timestamp"]
    for place in range(40):
        for year in (2013, 2017):
            panorama = place_image(place, 0, year, 128).resize((256, 128))
            panorama.save(f"{year}_{place}.jpg")
            rows.append(
                f"{year}_{place}.jpg;55,7;{11.995 + place / 6000:.6f};{place * 7};{year}".replace(".", ",").replace(
                    ",jpg", ".jpg"
                )
            )
    with open("street.csv", "w") as file:
        file.write("\n".join(rows))
    flags = ["--csv", "street.csv", "--output", "street", "--panoramas", "sf_xl", "--crop_size", "64", "--buffer", "30"]
    main([*flags, "--crop_headings", *map(str, range(0, 360, 60)), "--num_workers", "0"])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        check(["street", "--batch_size", "4", "--json", "--num_workers", "0"])
    assert exit_.value.code == 1
    return json.loads(capsys.readouterr().out)


def test_a_street_of_panoramas_becomes_a_set_that_is_sound(street):
    queries, database = (list_images(f"street/test/{part}") for part in ("queries", "database"))
    assert (
        {name.split("@")[13] for name in queries} == {"2017"} and len(queries) % 6 == 0 and len(database) > len(queries)
    )
    assert len(street["problems"]) == 1
    assert len({zone for part in street["parts"].values() for zone in part["utm_zones"]}) == 1
    assert (
        street["test_sets"]["test/queries"]["without_positives"] == 0
        and not street["parts"]["val/database"]["near_training_images"]
    )


def test_a_street_of_panoramas_trains_with_the_parameters_that_the_check_suggests(street):
    flags = street["suggestions"][0]["flags"].split()
    check(["street", *flags, "--num_workers", "0"])
    tiny = [
        "--backbone_weights",
        "none",
        "--train_all_layers",
        "--fc_output_dim",
        "32",
        "--image_size",
        "64",
        "--epochs_num",
        "1",
        "--iterations_per_epoch",
        "1",
        "--device",
        "cpu",
        "--num_workers",
        "0",
    ]
    assert train.main(["--dataset_folder", "street", *flags, *tiny]) == 0
