"""EigenPlaces on images that face its focal points (--nearest_crops)."""

import itertools
import math
import os
import pickle

import numpy as np
import pytest
from PIL import Image

import train
from datasets.eigenplaces import ANGLES, build_eigen_groups
from datasets.groups import open_split
from datasets.images import ImageError
from datasets.names import format_name, write_images_list
from datasets.nearest_crops import NearestCrops, build_nearest_groups
from datasets.night.pseudo_targets import PseudoTargets
from datasets.schedule import Schedule
from datasets.target_dataset import DomainImages
from datasets.train_dataset import TrainDataset
from support.errors import UserError
from tests.photos import angle_between
from tests.scripts import assert_same_end, fails, run
from tests.tiny import EAST, NORTH

PARAMETERS = 15, 2, 10, 3, 40.0, 60.0  # M, N, focal_dist, min_images_per_class, nearest_degrees, crop_degrees


def name(east, north, heading=0.0):
    return format_name(EAST + east, NORTH + north, 10, "S", heading=heading)


def random_names(count=900, side=90.0, seed=0):
    rng = np.random.default_rng(seed)
    return [name(*rng.uniform(0, side, 2).round(2), rng.uniform(0, 360)) for _ in range(count)]


def parsed(names):
    return [[float(field) for field in (n.split("@")[1], n.split("@")[2], n.split("@")[9])] for n in names]


def table(groups):
    return [
        (
            groups.class_ids(g).tolist(),
            [groups.image_indices(g, row).tolist() for row in range(groups.num_classes(g))],
            [groups.focal_point(g, row, angle) for row in range(groups.num_classes(g)) for angle in ANGLES],
            [groups.facing(g, row, angle).tolist() for row in range(groups.num_classes(g)) for angle in ANGLES],
        )
        for g in range(groups.num_groups)
    ]


# --- the classes


def test_against_a_plain_loop():
    names, (M, N, focal_dist, least, degrees, span) = random_names(), PARAMETERS
    found, images, cells = build_nearest_groups(names, *PARAMETERS), parsed(names), {}
    for index, (east, north, _) in enumerate(images):
        cells.setdefault((int(east // M * M), int(north // M * M)), []).append(index)
    eigen = build_eigen_groups(names, M, N, focal_dist, 1)
    points = {
        tuple(cell): [eigen.focal_point(g, row, angle) for angle in ANGLES]
        for g in range(eigen.num_groups)
        for row, cell in enumerate(eigen.class_ids(g).tolist())
    }
    facing, groups, mirrored = {}, {}, 0
    for cell, members in cells.items():
        facing[cell] = []
        mean = np.mean([images[index][:2] for index in members], axis=0)
        for point in points[cell]:
            sides = [[], []]
            for side, (x, y) in zip(sides, (point, 2 * mean - point), strict=True):
                for index in members:
                    east, north, heading = images[index]
                    bearing = math.degrees(math.atan2(x - east, y - north))
                    if angle_between(bearing, heading + span / 2) <= degrees:
                        side.append(index)
            mirrored += len(sides[1]) > len(sides[0])
            facing[cell].append(max(sides, key=len))
        if min(map(len, facing[cell])) >= least:
            groups.setdefault(tuple(side % (M * N) // M for side in cell), []).append(cell)
    assert 10 < sum(map(len, groups.values())) < len(cells) and mirrored > 5  # some classes are dropped
    expected = sorted(groups.values(), key=lambda group: min(cells[cell][0] for cell in group))
    assert found.num_groups == len(expected) == 4
    for g, group in enumerate(expected):
        assert list(map(tuple, found.class_ids(g).tolist())) == sorted(group)
        for row, cell in enumerate(sorted(group)):
            assert found.image_indices(g, row).tolist() == cells[cell]
            for angle, wanted in zip(ANGLES, facing[cell], strict=True):
                assert found.facing(g, row, angle).tolist() == wanted
        assert found.num_group_images(g) == len({image for cell in group for part in facing[cell] for image in part})


def test_of_twelve_crops_each_panorama_gives_the_nearest():
    """Focal points are those of the panoramas, and each has one crop within 15 degrees of its point."""
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 60, (80, 2)).round(2).tolist()
    crops = [name(*place, turn) for place in places for turn in range(3, 360, 30)]
    found = build_nearest_groups(crops, 15, 1, 10, 2, 15.0, 360 / 6.5)
    panoramas = build_eigen_groups([name(*place) for place in places], 15, 1, 10, 2)
    assert found.class_ids(0).tolist() == panoramas.class_ids(0).tolist()
    for row in range(found.num_classes(0)):
        for angle in ANGLES:
            assert found.focal_point(0, row, angle) == pytest.approx(panoramas.focal_point(0, row, angle), abs=1e-6)
            of_panoramas = found.facing(0, row, angle) // 12
            assert of_panoramas.tolist() == panoramas.image_indices(0, row).tolist()


def test_an_image_at_the_limit_faces_its_point():
    """Without an axis the lateral point is in the north, the frontal one in the west, or where more images look."""
    names = [name(20, 20, heading) for heading in (345, 15, 15.02, 344.98, 285, 240)]
    groups = build_nearest_groups(names, 15, 1, 10, 1, 15.0, 0)
    assert groups.facing(0, 0, 0).tolist() == [0, 1] and groups.facing(0, 0, 90).tolist() == [4]
    assert groups.focal_point(0, 0, 90) == pytest.approx((EAST + 10, NORTH + 20))
    groups = build_nearest_groups([*names, name(20, 20, 75), name(20, 20, 105)], 15, 1, 10, 1, 15.0, 0)
    assert groups.facing(0, 0, 90).tolist() == [6, 7]
    assert groups.focal_point(0, 0, 90) == pytest.approx((EAST + 30, NORTH + 20))
    with pytest.raises(IndexError, match="no class 1"):
        groups.facing(0, 1, 0)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"nearest_degrees": 1e-3}, "has 3 images within 0.001 degrees of each of its two points: lower"),
        ({"min_images_per_class": 10**4}, "no class of the image list has 10000 images .the largest"),
        ({"focal_dist": -1}, "--focal_dist is -1"),
        ({"N": 0}, "--N is 0"),
    ],
)
def test_bad_parameters_are_one_clear_line(values, problem):
    names = ("M", "N", "focal_dist", "min_images_per_class", "nearest_degrees", "crop_degrees")
    with pytest.raises(UserError, match=problem):
        build_nearest_groups(random_names(300), **dict(zip(names, PARAMETERS, strict=True)) | values)


def test_every_image_needs_a_heading():
    with pytest.raises(UserError, match=r"has no heading \(field 9\)"):
        build_nearest_groups([*random_names(300), name(1, 1, None)], *PARAMETERS)


def test_classes_are_cached_and_a_damaged_cache_is_rebuilt(workdir, caplog):
    names, method = sorted(random_names()), NearestCrops(*PARAMETERS)
    os.makedirs("train")
    open(f"train/{names[0]}", "w").close()
    write_images_list("train", names)
    first = open_split("train", method)
    whole = table(first)
    assert whole == table(build_nearest_groups(names, *PARAMETERS))
    opened = open_split("train", method)
    assert isinstance(opened.facing(0, 0, 90), np.memmap) and table(opened) == table(first)
    assert len(dumped := pickle.dumps(opened)) < 3000 and table(pickle.loads(dumped)) == table(first)
    assert open_split("train", NearestCrops(*PARAMETERS[:4], 41.0, 60.0)).digest != first.digest
    (cache,) = (
        n for n in os.listdir("cache") if os.path.exists(f"cache/{n}/facing_index.npy") and n in first._origin[0]
    )
    for file, damage in (("facing_offsets", lambda a: a[:-1]), ("facing_index", lambda a: a + 10**6)):
        path = f"cache/{cache}/{file}.npy"
        np.save(path, damage(np.load(path)))
        assert table(open_split("train", method)) == whole
    assert caplog.text.count("rebuilding it") == 2


# --- training


def test_each_head_is_trained_on_images_that_face_its_point(tiny, workdir):
    """And source images of a domain batch face one of each in turn."""
    method = NearestCrops(10, 2, 10, 1, 80.0, 0.0)
    groups = open_split(f"{tiny}/train", method)
    schedule = Schedule([groups.num_classes(g) for g in range(groups.num_groups)], 3, 4, 2, seed=0, heads=2)
    domain = DomainImages(f"{tiny}/train", groups, schedule, [f"{tiny}/val/database"], 6, method=method)
    dataset = TrainDataset(f"{tiny}/train", groups, schedule, domain, method=method)
    facing = [set(), set()]
    for head, group in itertools.product(range(2), range(groups.num_groups)):
        for row in range(groups.num_classes(group)):
            facing[head].update(map(groups.image_name, groups.facing(group, row, ANGLES[head])))
    assert facing[0] - facing[1]
    for step in range(len(dataset)):
        batch = dataset[step]
        assert all(name in facing[row % 2] for row, name in enumerate(batch.names[6:10]))
        places = parsed([os.path.basename(n) for n in batch.names[:6]])
        for row, (east, north, heading) in enumerate(places):
            x, y = groups.focal_point(batch.group, int(batch.labels[row]), ANGLES[row // 3])
            assert angle_between(math.degrees(math.atan2(x - east, y - north)), heading) <= 80


def test_images_by_night_face_the_points_of_the_training_set():
    """Of the images by night, more look to the west, where no point is. In the second set a class has no others."""
    method = NearestCrops(15, 1, 10, 1, 45.0, 0.0)
    headings = [0, 180, 90, 90, 90, 270, 270]  # a street to the north: the lateral point is in the east
    day = [name(x, 3 * i + 12, heading) for x in (17, 32) for i in range(4) for heading in headings]
    groups = method.build(day)
    night = [n for i, n in enumerate(day) if i % 7 not in (3, 4)]
    by_night = PseudoTargets("n", method.copies().build(night), groups, 1, method)
    for row in range(groups.num_classes(0)):
        looking = [{parsed([by_night.names[i]])[0][2] for i in by_night.indices(0, row, head)} for head in (0, 1)]
        assert looking[0] == {90.0} and looking[1] < {0.0, 180.0}
    night = [n for n in day if "@090.00@" not in n or n < day[28]]
    with pytest.raises(UserError, match=r"no image of class \(551025, 4181010\) in n faces its lateral point"):
        PseudoTargets("n", method.copies().build(night), groups, 1, method)


FLAGS = (
    "--method eigenplaces --nearest_crops --nearest_degrees 80 --heading_is_center --M 10 --N 2 --groups_num 2 "
    "--min_images_per_class 1 --backbone Small --backbone_weights none --fc_output_dim 32 --batch_size 3 "
    "--epochs_num 2 --iterations_per_epoch 3 --image_size 32 --device cpu"
).split()


def test_a_run_is_the_same_with_workers_and_when_it_is_resumed(tiny, workdir):
    """With images of the night."""
    folders = ["--dataset_folder", tiny, "--pseudo_target_folder", f"{tiny}/train"]
    folders += ["--target_dataset_folder", f"{tiny}/val/database"]
    flags = [*folders, *FLAGS, *"--night_augmentation pp --domain_adaptation grl --domain_batch_size 4".split()]
    whole = run(train, *flags, "--num_workers", 0, "--save_dir", "whole")
    assert "Experiment finished (without any errors)" in open(f"{whole}/info.log").read()
    parts = [*flags, "--save_dir", "parts", "--resume_train", "auto"]
    run(train, *parts, "--epochs_num", 1, "--num_workers", 2)
    assert_same_end(run(train, *parts, "--num_workers", 0), whole)


def test_what_is_refused(tiny, workdir, capsys):
    flags = ["--dataset_folder", tiny, *FLAGS]
    line = fails(train, capsys, *flags, "--nearest_degrees", 0.5)
    assert "no class of" in line and "images within 0.5 degrees of each of its two points" in line
    assert "--crops_folder has parts of panoramas" in fails(train, capsys, *flags, "--crops_folder", "c")
    without = [flag for flag in flags if flag != "--nearest_crops"]
    assert "--nearest_degrees has no use without --nearest_crops" in fails(train, capsys, *without)
    method = NearestCrops(*PARAMETERS)
    assert method.size((64, 48)) == (64, 48)
    with pytest.raises(ImageError, match="a whole panorama, which --nearest_crops does not train on"):
        method.size((416, 64))
    for more in (["--batch_size", 50], ["--groups_num", 0]):  # no flag that says what the images are
        line = fails(train, capsys, *flags, *more)
        assert "--nearest_degrees" in line and "crop_degrees" not in line


@pytest.mark.parametrize("more", [["--nearest_degrees", 0.5], ["--batch_size", 50], []])
def test_panoramas_are_refused_before_their_classes_are(tiny, panoramas, workdir, capsys, more):
    line = fails(train, capsys, "--dataset_folder", tiny, "--train_set_folder", panoramas, *FLAGS, *more)
    assert "it is a whole panorama, which --nearest_crops does not train on" in line


def test_a_panorama_among_crops_is_not_trained_on(copy):
    method = NearestCrops(10, 2, 10, 1, 80.0, 0.0)
    groups = open_split(f"{copy}/train", method)
    for index in groups.image_indices(0, 0)[1:]:  # the first one is looked at before
        Image.new("RGB", (416, 64)).save(f"{copy}/train/{groups.image_name(index)}")
    dataset = TrainDataset(
        f"{copy}/train", groups, Schedule([groups.num_classes(0)], 3, 4, 2, 0, heads=2), method=method
    )
    reasons = [reason for step in range(len(dataset)) for _, reason in dataset[step].unreadable]
    assert reasons and all("a whole panorama" in reason for reason in reasons)
