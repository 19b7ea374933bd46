"""EigenPlaces' classes, focal points and crops, against figures of the published functions (tests/golden)."""

import json
import os
import pathlib
import pickle

import numpy as np
import pytest
from PIL import Image

from datasets.eigenplaces import EigenPlaces, build_eigen_groups, crop_offset, crop_width, cut_towards
from datasets.groups import open_groups, open_split
from datasets.images import ImageError
from datasets.names import format_name, write_images_list
from support.errors import UserError
from tests.photos import angle_between, heading_panorama, headings_of

GOLDEN = json.loads((pathlib.Path(__file__).parent / "golden" / "eigenplaces.json").read_text())
CASES = [(data_set["names"], case) for data_set in GOLDEN["data_sets"] for case in data_set["cases"]]
EAST, NORTH = 551000.0, 4181000.0
PARAMETERS = 15, 3, 10, 2  # M, N, focal_dist, min_images_per_class


def name(east, north, heading=0):
    """The name of a panorama so far from a corner of a cell, metres."""
    return format_name(EAST + east, NORTH + north, 10, "S", heading=heading)


def build(case, names):
    return build_eigen_groups(names, *(case[key] for key in ("M", "N", "focal_dist", "min_images_per_class")))


def turned(vector):
    return np.array([-vector[1], vector[0]])


# --- classes and focal points


@pytest.mark.parametrize(("names", "case"), CASES)
def test_published_partition(names, case):
    groups = build(case, names)
    assert groups.num_groups == len(case["groups"])
    for g, expected in enumerate(case["groups"]):
        assert groups.class_ids(g).tolist() == [found["id"] for found in expected["classes"]]
        assert groups.class_ids(g).dtype == np.int64
        assert groups.published_order(g).tolist() == expected["published_order"]
        for row, found in enumerate(expected["classes"]):
            assert groups.image_indices(g, row).tolist() == found["images"]


@pytest.mark.parametrize(("names", "case"), CASES)
def test_published_focal_points_up_to_the_mirror_image(names, case):
    groups, compared = build(case, names), 0
    for g, group in enumerate(case["groups"]):
        for row, expected in enumerate(group["classes"]):
            mean = np.array(expected["mean"])
            lateral, frontal = (np.array(groups.focal_point(g, row, angle)) - mean for angle in (0, 90))
            assert frontal == pytest.approx(turned(lateral), abs=1e-4)
            assert np.hypot(*lateral) == pytest.approx(case["focal_dist"], abs=1e-4)
            if not expected["degenerate"]:
                published = np.array(expected["focal"]["0"]) - mean
                assert min(abs(lateral - published).max(), abs(lateral + published).max()) < 1e-4
                compared += 1
    assert compared > 10


@pytest.mark.parametrize(
    ("places", "direction"),
    [
        ([(1, 7), (5, 7), (11, 7), (13, 7)], (0, 1)),  # a street to the east: its north side
        ([(7, 1), (7, 3), (7, 4), (7, 12)], (1, 0)),  # to the north: its east side
        ([(1, 1), (3, 3), (9, 9), (12, 12)], (-(0.5**0.5), 0.5**0.5)),
        ([(1, 12), (3, 10), (9, 4), (12, 1)], (0.5**0.5, 0.5**0.5)),
        ([(2, 2), (2, 12), (12, 2), (12, 12)], (0, 1)),  # no axis
        ([(7.5, 7.5), (8.5, 7.5), (7.5, 8.5), (8.5, 8.5)], (0, 1)),
        ([(7.33, 9.21)] * 4, (0, 1)),
    ],
)
def test_the_side_of_the_street_is_the_northern_one(places, direction):
    """It does not depend on the order of the images, nor on last bits."""
    rng = np.random.default_rng(0)
    mean = np.mean(places, axis=0) + (EAST + 10, NORTH + 10)  # a cell's corner is (551010, 4181010)
    for _ in range(5):
        names = [name(*(np.add(place, 10))) for place in rng.permutation(places)]
        groups = build_eigen_groups(names, *PARAMETERS)
        assert groups.num_groups == 1 and groups.num_classes(0) == 1
        assert np.subtract(groups.focal_point(0, 0, 0), mean) == pytest.approx(np.multiply(10, direction), abs=1e-6)
        assert np.subtract(groups.focal_point(0, 0, 90), mean) == pytest.approx(10 * turned(direction), abs=1e-6)


def test_focal_points_are_the_axes_of_random_classes():
    """Against numpy's decomposition, of long and of nearly round classes."""
    rng = np.random.default_rng(3)
    for _ in range(100):
        places = rng.uniform(0, 14, (rng.integers(3, 30), 2)) * (1, rng.choice([0.001, 0.1, 0.99])) + (10, 10)
        groups = build_eigen_groups([name(*place) for place in places], *PARAMETERS[:3], 1)
        points = places.round(2)
        lateral = np.subtract(groups.focal_point(0, 0, 0), points.mean(axis=0) + (EAST, NORTH))
        minor = np.linalg.svd((points - points.mean(axis=0)).T)[0][:, 1]
        assert min(abs(lateral - 10 * minor).max(), abs(lateral + 10 * minor).max()) < 1e-5


def test_one_image_is_a_class():
    groups = build_eigen_groups([name(11, 11)], 15, 3, 7.5, 1)
    assert groups.focal_point(0, 0, 0) == pytest.approx((EAST + 11, NORTH + 18.5))
    assert groups.class_ids(0).tolist() == [[551010, 4181010]]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"M": 0}, "--M is 0, and must be a whole number"),
        ({"N": 1.5}, "--N is 1.5, and must be a whole number"),
        ({"focal_dist": 0}, "--focal_dist is 0, and must be more than 0 metres"),
        ({"focal_dist": float("nan")}, "--focal_dist is nan"),
        ({"min_images_per_class": 3}, "no class of the image list has 3 images .the largest has 2.: lower"),
    ],
)
def test_bad_parameters_are_one_clear_line(values, problem):
    parameters = {"M": 15, "N": 3, "focal_dist": 10, "min_images_per_class": 2} | values
    with pytest.raises(UserError, match=problem):
        build_eigen_groups([name(11, 11)] * 2, **parameters)


def test_every_panorama_needs_a_heading():
    with pytest.raises(UserError, match=r"has '' in field 9 \(heading\)"):
        build_eigen_groups([name(11, 11), name(12, 11, None)], *PARAMETERS)


def test_there_is_no_focal_point_of_another_class_or_angle():
    groups = build_eigen_groups([name(11, 11)] * 2, *PARAMETERS)
    for row, angle in ((1, 0), (-1, 0), (0, 45)):
        with pytest.raises(IndexError):
            groups.focal_point(0, row, angle)


# --- the cache


@pytest.fixture
def folder(workdir):
    """A training folder with a list, of whose images only the first is there."""
    names = [name(3 * i, 5, i) for i in range(40)]
    os.makedirs("train")
    open(f"train/{names[0]}", "w").close()
    write_images_list("train", names)
    return names


def table(groups):
    return [
        (
            groups.class_ids(g).tolist(),
            [groups.image_indices(g, row).tolist() for row in range(groups.num_classes(g))],
            [groups.focal_point(g, row, angle) for row in range(groups.num_classes(g)) for angle in (0, 90)],
        )
        for g in range(groups.num_groups)
    ]


def test_groups_are_cached_as_cosplaces_are(folder, caplog):
    caplog.set_level("DEBUG")
    built = open_split("train", EigenPlaces(*PARAMETERS))
    assert caplog.text.count("Splitting the 40 images") == 1
    opened = open_split("train", EigenPlaces(15, 3, 10.0, 2))
    assert caplog.text.count("Splitting the 40 images") == 1 and isinstance(opened.class_ids(0), np.memmap)
    assert table(opened) == table(built) == table(build_eigen_groups(folder, *PARAMETERS))
    pickled = pickle.dumps(opened)
    assert len(pickled) < 3000 and table(pickle.loads(pickled)) == table(built)
    assert table(pickle.loads(pickle.dumps(build_eigen_groups(folder, *PARAMETERS)))) == table(built)


def test_every_parameter_and_the_list_have_caches_and_digests_of_their_own(folder):
    parameters = {"M": 15, "N": 3, "focal_dist": 10, "min_images_per_class": 2}
    first = open_split("train", EigenPlaces(**parameters))
    digests = [first.digest, open_groups("train", 15, 360, 3, 1, 2).digest]
    for key, value in {"M": 20, "N": 2, "focal_dist": 20, "min_images_per_class": 5}.items():
        changed = parameters | {key: value}
        opened = open_split("train", EigenPlaces(**changed))
        assert table(opened) == table(build_eigen_groups(folder, **changed)) != table(first)
        digests.append(opened.digest)
    write_images_list("train", folder[:20])
    digests.append(open_split("train", EigenPlaces(**parameters)).digest)
    assert len(set(digests)) == len(digests) == 7 and None not in digests


def test_the_digest_leaves_last_bits_of_focal_points_out(folder, monkeypatch):
    first = open_split("train", EigenPlaces(*PARAMETERS))
    monkeypatch.setattr(
        "datasets.eigenplaces._focal_points", lambda *_: np.nextafter(first.arrays()["focal_points"], 0)
    )
    second = open_split("train", EigenPlaces(*PARAMETERS), "other_cache")
    assert table(second) != table(first) and second.digest == first.digest


def test_a_cache_whose_focal_points_are_not_its_classes_is_rebuilt(folder, caplog):
    first = table(open_split("train", EigenPlaces(*PARAMETERS)))
    (cache,) = (entry for entry in os.listdir("cache") if entry.startswith("train_"))
    path = f"cache/{cache}/focal_points.npy"
    for points in (np.load(path)[1:], np.load(path).astype(np.float32), np.load(path) + 1):
        np.save(path, points)
        assert table(open_split("train", EigenPlaces(*PARAMETERS))) == first
    assert caplog.text.count("rebuilding it") == 3


# --- crops


def columns_apart(a, b, width):
    return abs((a - b + width // 2) % width - width // 2)


def test_published_columns():
    width, compared = GOLDEN["panorama_width"], 0
    for crop in GOLDEN["crops"]:
        left = crop_offset(crop["name"], tuple(crop["focal"]), width)
        assert columns_apart(left, crop["offset"], width) <= crop["on_edge"], crop["what"]
        assert 0 <= left < width and isinstance(left, int)
    for names, case in CASES:
        for group in case["groups"]:
            for found in group["classes"]:
                for angle, focal in found["focal"].items():
                    for place, image in enumerate(found["images"]):
                        left = crop_offset(names[image], tuple(focal), width)
                        on_edge = place in found.get("on_edge", {}).get(angle, [])
                        assert columns_apart(left, found["offset"][angle][place], width) <= on_edge
                        compared += not on_edge
    assert compared > 1000


@pytest.mark.parametrize("width", [3328, 1664, 1300, 1000])
def test_crops_face_the_focal_point(width):
    """On panoramas whose colours say their headings, over the seam too."""
    for heading in (0, 90, 174.5, 180, 360):
        image = heading_panorama(width, round(width / 6.5), heading)
        for bearing in range(0, 360, 23):
            direction = np.sin(np.radians(bearing)), np.cos(np.radians(bearing))
            focal = EAST + 5 + 10 * direction[0], NORTH + 5 + 10 * direction[1]
            crop = cut_towards(focal, image, name(5, 5, heading))
            assert crop.size == (crop_width(width), image.height)
            columns = headings_of(crop)[0][image.height // 2]
            middle = len(columns) // 2
            centre = columns[middle] if len(columns) % 2 else columns[middle - 1] + 180 / width
            assert angle_between(centre, bearing) < 0.6 + 3 * 360 / width  # colours' rounding, and three columns
            steps = (np.diff(columns) + 180) % 360 - 180
            assert abs(steps).max() < 1.3 and steps.sum() == pytest.approx(360 * 2 / 13, abs=1.5)


def test_crops_are_the_panoramas_own_pixels():
    strip = np.random.default_rng(0).integers(0, 256, (64, 416, 3)).astype(np.uint8)
    image, focal = Image.fromarray(strip), (EAST + 5, NORTH + 15)
    for heading in range(0, 360, 15):
        left = crop_offset(name(5, 5, heading), focal, 416)
        crop = np.asarray(cut_towards(focal, image, name(5, 5, heading)))
        assert (crop == np.roll(strip, -left, axis=1)[:, :64]).all()


def test_what_is_no_panorama_is_refused_with_the_folder_that_is_meant():
    method = EigenPlaces(*PARAMETERS)
    assert method.size((3328, 512)) == (512, 512) and method.size((1664, 257)) == (256, 257)
    for size in ((512, 512), (3328, 1664), (512, 3328), (3328, 480)):
        with pytest.raises(
            ImageError, match="whole panoramas of 6.5:1.*raw/train/panoramas, not in processed or small"
        ):
            method.size(size)
        with pytest.raises(ImageError, match="6.5:1"):
            cut_towards((EAST, NORTH), Image.new("RGB", size), name(5, 5))
