"""EigenPlaces' classes, focal points and crops, against figures of the published functions (tests/golden)."""

import json
import os
import pathlib
import pickle

import numpy as np
import pytest
from PIL import Image

from datasets.eigenplaces import EigenPlaces, build_eigen_groups, crop_offset, crop_width, cut_towards, street_axes
from datasets.groups import open_groups, open_split
from datasets.images import ImageError
from datasets.names import format_name, write_images_list
from datasets.schedule import Schedule, Share
from datasets.train_dataset import TrainDataset, make_loader
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
    """Against numpy's decomposition, of long and of nearly round classes; and how wide their streets are."""
    rng = np.random.default_rng(3)
    for _ in range(100):
        places = rng.uniform(0, 14, (rng.integers(3, 30), 2)) * (1, rng.choice([0.001, 0.1, 0.99])) + (10, 10)
        groups = build_eigen_groups([name(*place) for place in places], *PARAMETERS[:3], 1)
        points = places.round(2)
        lateral = np.subtract(groups.focal_point(0, 0, 0), points.mean(axis=0) + (EAST, NORTH))
        vectors, values, _ = np.linalg.svd((points - points.mean(axis=0)).T)
        minor = vectors[:, 1]
        assert min(abs(lateral - 10 * minor).max(), abs(lateral + 10 * minor).max()) < 1e-5
        arrays = groups.arrays()
        classes = (arrays[name] for name in ("class_ids", "class_offsets", "image_index"))
        assert street_axes(points + (EAST, NORTH), *classes)[2] == pytest.approx(values[1] / values[0], abs=1e-6)


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
    with pytest.raises(UserError, match=r"has no heading \(field 9\)"):
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
    monkeypatch.setattr("datasets.eigenplaces.focal_points", lambda *_: np.nextafter(first.arrays()["focal_points"], 0))
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


# --- batches


def save_panoramas(folder, classes=4, images=3, size=(416, 64)):
    """Panoramas whose colours say their headings, along a street from west to east; their names in order."""
    os.makedirs(folder)
    names = []
    for row in range(classes):
        for image in range(images):
            heading = 40 * row + 100 * image
            names.append(name(15 * row + 11 + image, 12 + image % 2, heading))
            heading_panorama(*size, heading).save(os.path.join(folder, names[-1]), "PNG")
    return names


def make_dataset(folder, names, share=None):
    groups = build_eigen_groups(names, 15, 1, 10, 2)
    schedule = Schedule([groups.num_classes(0)], 4, 6, 1, seed=0, heads=2)
    return TrainDataset(folder, groups, schedule, share=share, method=EigenPlaces(15, 1, 10, 2))


def centre_heading(image):
    """The heading of the middle of a crop of an even width: uint8 (3, H, W)."""
    columns = headings_of(np.moveaxis(image.numpy(), 0, 2))[0][image.shape[1] // 2]
    return columns[image.shape[2] // 2 - 1] + 180 / 416


def test_a_step_has_a_lateral_and_a_frontal_batch_cut_towards_their_points(workdir):
    names = save_panoramas("p")
    dataset, drawn = make_dataset("p", names), []
    assert dataset.size == (64, 64)
    for step in range(6):
        batch = dataset[step]
        assert batch.images.shape == (8, 3, 64, 64) and len(batch.labels) == len(batch.names) == 8
        assert sorted(batch.labels[:4].tolist()) == sorted(batch.labels[4:].tolist()) == list(range(4))
        for row, (label, image, crop) in enumerate(zip(batch.labels.tolist(), batch.names, batch.images, strict=True)):
            assert names.index(image) in dataset.groups.image_indices(0, label)
            east, north = np.subtract(dataset.groups.focal_point(0, label, (0, 90)[row // 4]), (EAST, NORTH))
            fields = image.split("@")
            bearing = np.degrees(np.arctan2(east - float(fields[1]) + EAST, north - float(fields[2]) + NORTH))
            assert angle_between(centre_heading(crop), bearing) < 3.5  # three columns and the colours' rounding
        drawn.append((batch.labels.tolist(), batch.names))
    assert any(labels[:4] != labels[4:] for labels, _ in drawn) and any(set(n[:4]) != set(n[4:]) for _, n in drawn)


def test_the_first_heads_draws_are_cosplaces():
    one, two = (Schedule([40], 8, 20, 1, seed=3, heads=heads) for heads in (1, 2))
    for k in (0, 1, 7, 3):
        for head in (1, 0):  # in any order
            assert (two.batch(0, k, head) == one.batch(0, k)).all() == (head == 0)
            assert (two.image_draws(0, k, head) == one.image_draws(0, k)).all() == (head == 0)


def test_batches_of_both_heads_do_not_depend_on_workers_nor_on_shares(workdir):
    names = save_panoramas("p")
    dataset = make_dataset("p", names)
    alone = [dataset[step] for step in range(6)]
    for batch, expected in zip(make_loader(dataset, 2, 2, pin_memory=False), alone[2:], strict=True):
        assert (batch.images == expected.images).all() and (batch.labels == expected.labels).all()
    rows = np.array([2, 3, 6, 7])  # the second half of each head's batch
    part = make_dataset("p", names, Share(8, rows))
    assert part.rows() == rows.tolist()
    for step in range(6):
        assert (part[step].images == alone[step].images[rows]).all() and part[step].labels.equal(alone[step].labels)


def test_among_panoramas_another_image_counts_as_unreadable(workdir):
    names = save_panoramas("p", images=9)
    Image.new("RGB", (64, 64)).save(f"p/{names[4]}", "PNG")
    dataset = make_dataset("p", names)
    unreadable = [entry for step in range(6) for entry in dataset[step].unreadable]
    assert unreadable and {os.path.basename(path) for path, _ in unreadable} == {names[4]}
    assert "64 x 64 pixels, and EigenPlaces needs whole panoramas" in unreadable[0][1]


@pytest.mark.parametrize("size", [(64, 64), (128, 64)])
def test_a_folder_of_other_images_is_refused(workdir, size):
    names = save_panoramas("p", size=size)
    with pytest.raises(UserError, match=r"'@.*' of p cannot be trained on: it has .*raw/train/panoramas, not in proc"):
        make_dataset("p", names)


def test_panoramas_of_another_width_are_resized_and_counted(workdir):
    names = save_panoramas("p", images=9)
    Image.open(f"p/{names[4]}").resize((208, 32)).save(f"p/{names[4]}", "PNG")
    dataset = make_dataset("p", names)
    resized = {os.path.basename(path) for step in range(6) for path in dataset[step].resized}
    assert dataset.size == (64, 64) and resized == {names[4]}
