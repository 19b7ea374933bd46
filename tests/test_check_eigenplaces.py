"""The data set doctor for EigenPlaces: classes of panoramas, and how images see the focal points of their classes."""

import json
import math
import os
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from datasets.check import eigenplaces
from datasets.check.__main__ import main
from datasets.check.eigenplaces import sight, views_of_crops, views_of_panoramas
from datasets.eigenplaces import CROP_DEGREES, build_eigen_groups
from datasets.names import format_name, list_images
from datasets.nearest_crops import build_nearest_groups
from parser import parse_arguments
from tests.tiny import EAST, NORTH

PANORAMA, CROP = (208, 32), (32, 32)


def random_images(seed, count=600):
    """Positions and headings of images along a street, and their names; some stand near a focal point of 5 m."""
    rng = np.random.default_rng(seed)
    places = (rng.uniform(0, 90, (count, 2)) * (1, 0.2) + (EAST, NORTH)).round(2)
    headings = rng.integers(0, 360, count).astype(float)
    names = [format_name(*place, 10, "S", heading=heading) for place, heading in zip(places, headings, strict=True)]
    return places, headings, names


def by_class(groups, num_groups):
    """(group, row, image indices) of each class, in turn."""
    for group in range(num_groups):
        for row in range(groups.num_classes(group)):
            yield group, row, groups.image_indices(group, row).tolist()


# --- geometry, against plain loops


@pytest.mark.parametrize("num_groups", [None, 2])
@pytest.mark.parametrize("angle", [0, 90])
def test_distances_and_bearings_are_those_of_a_loop(num_groups, angle):
    places, _, names = random_images(0)
    groups = build_eigen_groups(names, 15, 2, 5, 3)
    metres, bearings, begins = sight(groups, places, angle, num_groups)
    expected, first = [], []
    for group, row, images in by_class(groups, num_groups or groups.num_groups):
        first.append(len(expected))
        point = groups.focal_point(group, row, angle)
        for image in images:
            east, north = point[0] - places[image, 0], point[1] - places[image, 1]
            expected.append((math.sqrt(east**2 + north**2), math.degrees(math.atan2(east, north)) % 360))
    assert np.stack([metres, bearings], axis=1) == pytest.approx(np.array(expected), abs=1e-6)
    assert begins.tolist() == first and len(first) > 5


def test_views_of_panoramas_are_those_of_a_loop():
    places, _, names = random_images(1)
    groups = build_eigen_groups(names, 15, 2, 5, 3)
    minimum = 20
    views = views_of_panoramas(groups, places, 3, minimum)
    images = [image for _, _, images in by_class(groups, 3) for image in images]
    assert (views["images"], views["classes"]) == (len(images), len(list(by_class(groups, 3))))
    for head, angle in (("lateral", 0), ("frontal", 90)):
        metres, classes = [], 0
        for group, row, images in by_class(groups, 3):
            point = groups.focal_point(group, row, angle)
            ours = [math.dist(places[image], point) for image in images]
            metres += ours
            classes += sum(value >= 3 for value in ours) >= minimum
        near = sum(value < 3 for value in metres)
        assert (views[head]["near"], views[head]["classes"]) == (near, classes)
        assert near > 20 and 0 < classes < views["classes"]
        assert views[head]["metres"] == pytest.approx(np.percentile(metres, (5, 50, 95)), abs=0.051)
    clear = 0
    for _, _, images in by_class(groups, 3):
        values = np.linalg.svd(places[images] - places[images].mean(axis=0), compute_uv=False)
        clear += values[1] <= 0.5 * values[0]
    assert views["streets"] == {"clear": clear, "none": 0} and 0 < clear < views["classes"]


def test_classes_without_an_axis_are_counted():
    places = [(1, 1), (1, 9), (9, 1), (9, 9)], [(21, 5)] * 4, [(31, 5), (33, 5), (38, 5), (44, 5)]
    positions = np.array([place for places in places for place in places], float) + (EAST + 10, NORTH + 10)
    names = [format_name(*place, 10, "S", heading=0) for place in positions]
    groups = build_eigen_groups(names, 15, 1, 10, 4)
    assert views_of_panoramas(groups, positions, 1, 4)["streets"] == {"clear": 1, "none": 2}


@pytest.mark.parametrize("span", [0, CROP_DEGREES])
def test_crops_that_face_a_point_are_those_of_a_loop_and_of_the_training(span):
    """On the better side of the street, and of the two ways along it."""
    places, headings, names = random_images(2, 2000)
    groups, least = build_eigen_groups(names, 15, 2, 10, 14), 14
    expected, kept = {"classes": 0, "lateral": 0, "frontal": 0}, 0
    for group, row, images in by_class(groups, groups.num_groups):
        mean, enough = places[images].mean(axis=0), []
        for angle in (0, 90):
            point, counts = np.array(groups.focal_point(group, row, angle)), []
            for target in (point, 2 * mean - point):
                bearings = [math.degrees(math.atan2(*(target - places[image]))) for image in images]
                turns = [headings[image] + span / 2 - bearing for image, bearing in zip(images, bearings, strict=True)]
                counts.append(sum(abs((turn + 180) % 360 - 180) <= 15 for turn in turns))
            enough.append(max(counts) >= least)
        expected["classes"] += 1
        expected["lateral"] += enough[0]
        expected["frontal"] += enough[1]
        kept += all(enough)
    found = views_of_crops(groups, places, headings + span / 2, 15, least)
    assert [degrees for degrees, _ in found["kept"]] == [15, 30, 45, 60, 90]
    for degrees, classes in [[15, kept], *found.pop("kept")]:
        trained = build_nearest_groups(names, 15, 2, 10, least, degrees, span)
        assert sum(trained.num_classes(group) for group in range(trained.num_groups)) == classes
    assert found == expected | {"both": kept} and 0 < kept < expected["lateral"] < expected["classes"]


# --- the command


def save(folder, images, size):
    """Writes images at (east, north, heading), grey all over."""
    os.makedirs(folder, exist_ok=True)
    for number, (east, north, heading) in enumerate(images):
        name = format_name(EAST + east, NORTH + north, 10, "S", pano_id=str(number), heading=heading)
        Image.new("RGB", size, (number % 256,) * 3).save(os.path.join(folder, name))
    return folder


def street(cells=8, headings=(0,)):
    """3 places in each cell of 15 m along a street from west to east."""
    return [(15 * c + 10 + i, 5 + i % 2, heading) for c in range(cells) for i in (0, 5, 9) for heading in headings]


FLAGS = "--method eigenplaces --N 2 --groups_num 2 --min_images_per_class 2 --batch_size 4".split()


def check(capsys, folder, *flags, code=0):
    """The JSON report; code: the exit code that is expected."""
    command = [folder, *map(str, flags), "--num_workers", "0", "--json"]
    if code:
        with pytest.raises(SystemExit) as exit_:
            main(command)
        assert exit_.value.code == code
    else:
        main(command)
    return json.loads(capsys.readouterr().out)


def text(capsys, folder, *flags):
    """The readable report of a data set that cannot be used."""
    with pytest.raises(SystemExit):
        main([folder, *map(str, flags), "--num_workers", "0"])
    return capsys.readouterr().out


def test_sound_panoramas(workdir, capsys, monkeypatch):
    save("p", [*street(), (200, 5, 0)], PANORAMA)
    monkeypatch.setattr(eigenplaces, "FEW_PANORAMAS", 25)
    report = check(capsys, "p", *FLAGS)
    assert report["groups"]["classes"] == [4, 4]
    views = report["views"]
    assert (views["cells"], views["classes"], views["images"]) == (9, 8, 24)
    assert views["streets"] == {"clear": 8, "none": 0} and not report["warnings"]
    assert views["lateral"]["near"] == 0 and views["lateral"]["classes"] == 8
    monkeypatch.setattr(eigenplaces, "FEW_PANORAMAS", 26)
    assert "25 panoramas are few" in check(capsys, "p", *FLAGS)["warnings"][0]
    main(["p", *FLAGS, "--focal_dist", "4", "--num_workers", "0"])
    out = capsys.readouterr().out
    assert "classes: 8 in the trained groups, of 9 cells that have a panorama (88.9 %)" in out
    assert re.search(
        r"  frontal point: \S+ m from the panoramas in the median, .* [1-9]\d* \(.* %\) stand within 3", out
    )
    assert "  street: clear in 8 classes (100.0 %)" in out and out.endswith("p can be used\n")


def test_parameters_that_would_do_are_a_command(workdir, capsys):
    folder = save("my panoramas", street(), PANORAMA)
    report = check(capsys, folder, "--method", "eigenplaces", code=1)
    assert "no class of" in report["problems"][0] and "views" not in report
    for suggestion in report["suggestions"]:
        sound = check(capsys, folder, *suggestion["flags"].split())
        assert sum(sound["groups"]["classes"]) == suggestion["classes"]
        assert sum(sound["groups"]["images"]) == suggestion["images"]
    out = text(capsys, folder, *FLAGS, "--batch_size", 8)
    assert "2 of 2 groups have fewer classes than a batch of 8 (group 0 has 4)" in out
    command = shlex.split(re.search("python train.py (.*)", out)[1])
    args = parse_arguments("train", command)
    assert (args.train_set_folder, args.dataset_folder) == (folder, "DATA_SET") and args.method == "eigenplaces"
    assert (args.M, args.N, args.groups_num, args.batch_size) == (15, 2, 2, 4)
    os.makedirs("city")
    os.rename(folder, "city/train")
    command = check(capsys, "city", *FLAGS, "--batch_size", 8, "--focal_dist", 12, code=1)["command"]
    assert command.startswith("python train.py --dataset_folder city --M 15 ") and "--focal_dist 12.0" in command
    save("few", street(1)[:1], PANORAMA)
    out = text(capsys, "few", "--method", "eigenplaces")
    assert "No parameters that were tried give usable groups" in out and "recipe" not in out


def test_a_heading_of_360_is_no_class_of_its_own(workdir, capsys):
    save("p", street(headings=(0, 360)), PANORAMA)
    report = check(capsys, "p", *FLAGS, "--batch_size", 8, code=1)
    assert report["groups"]["images"] == [24, 24]
    assert (report["suggestions"][0]["classes"], report["suggestions"][0]["images"]) == (8, 48)


def test_other_images_are_told_which_folder_and_which_of_their_crops_would_do(workdir, capsys):
    save("c", [*street(headings=range(0, 360, 30)), (60, 5, None)], CROP)
    report = check(capsys, "c", *FLAGS, code=1)
    assert len(report["problems"]) == 1 and "views" not in report and "suggestions" not in report
    advice = "--nearest_crops would train on crops with headings, which 1 of 289 names lack (field 9)"
    for words in ("32 x 32 pixels", "raw/train/panoramas, not in processed or small", advice):
        assert words in report["problems"][0]
    crops = report["crops"]
    assert (crops["classes"], crops["minimum"], crops["without_heading"], crops["degrees"]) == (8, 2, 1, 15)
    assert crops["lateral"] == 8  # of 12 crops of a place, one is always near enough
    assert check(capsys, "c", *FLAGS, "--min_images_per_class", 37, code=1)["crops"]["classes"] == 0
    out = text(capsys, "c", *FLAGS)
    assert "cells with 2 images: 8; with so many that look within 15 degrees: 8 towards the lateral point, 8 to" in out
    assert "those of the left edges (--nearest_crops --heading_is_center: of the centres); 1 images have no" in out
    problems = check(capsys, "c", *FLAGS, "--nearest_crops", code=1)["problems"]
    assert problems == ["c: 1 of 289 names have no heading (field 9), and classes take those that face their points"]


@pytest.mark.parametrize(("centre", "lateral", "frontal"), [(0, 8, 0), (180, 8, 0), (270, 0, 8), (45, 0, 0)])
def test_crops_look_where_their_headings_say(workdir, capsys, centre, lateral, frontal):
    """From 60 m off the directions are those across and along the street, whose two sides are equally good."""
    far = [*FLAGS, "--focal_dist", 60, "--nearest_crops"]
    save("photos", street(headings=(centre,)), CROP)
    save("crops", street(headings=((centre - 40) % 360,)), CROP)
    for folder, flags in (("photos", ["--heading_is_center"]), ("crops", ["--crop_degrees", 80])):
        report = check(capsys, folder, *far, *flags, code=1)
        crops = report["crops"]
        assert (crops["lateral"], crops["frontal"], crops["both"]) == (lateral, frontal, 0)
        assert "no class of" in report["problems"][0] and "suggestions" not in report


def test_the_groups_of_nearest_crops_are_looked_over(workdir, capsys):
    nearest = [*FLAGS, "--nearest_crops"]
    save("c", street(headings=range(0, 360, 30)), CROP)
    report = check(capsys, "c", *nearest)
    assert report["groups"]["classes"] == [4, 4] and sum(report["groups"]["images"]) < 288 / 3
    assert report["crops"]["both"] == 8 and "views" not in report
    wide = check(capsys, "c", *nearest, "--nearest_degrees", 180)["groups"]
    assert wide["images"] == [144, 144] and wide["trained_share"] == 1  # each faces both points
    main(["c", *nearest, "--num_workers", "0"])
    assert "keeps, by --nearest_degrees: 8 at 15, 8 at 30, 8 at 45, 8 at 60, 8 at 90\n" in capsys.readouterr().out
    few = check(capsys, "c", *nearest, "--min_images_per_class", 10, code=1)["crops"]
    assert few["both"] == 0 and few["kept"][0] == [15, 0] and few["kept"][-1][1] > 0
    assert "2 of 2 groups have fewer" in check(capsys, "c", *nearest, "--batch_size", 8, code=1)["problems"][0]
    save("p", street(), PANORAMA)
    assert "whole panorama, which --nearest_crops does not" in check(capsys, "p", *nearest, code=1)["problems"][0]
    save("c", [(200, 5, 0)], PANORAMA)
    warnings = "\n".join(check(capsys, "c", *nearest)["warnings"])
    assert "1 of 289 images are panoramas: training refuses the folder if one of them is among the first" in warnings
    assert "resized" not in warnings


@pytest.mark.parametrize("damage", ["cut off", "panorama"])
def test_a_class_without_images_of_one_head_is_found(workdir, capsys, damage):
    save("c", street(headings=range(0, 360, 30)), CROP)
    names = list_images("c")
    groups = build_nearest_groups(names, 15, 2, 10, 2, 15, 55.4)
    for index in groups.facing(1, 2, 90):
        path = f"c/{names[index]}"
        Image.new("RGB", PANORAMA).save(path) if damage == "panorama" else os.truncate(path, 100)
    (problem,) = check(capsys, "c", *FLAGS, "--nearest_crops", code=1)["problems"]
    east, north = groups.class_ids(1)[2].tolist()
    facing = f"{len(groups.facing(1, 2, 90))} images that face the frontal point"
    assert problem == f"c: none of the {facing} of class ({east}, {north}) can be used"


def test_a_class_without_panoramas_is_one_problem(workdir, capsys):
    save("p", street(), PANORAMA)
    for name in sorted(os.listdir("p"))[:3]:
        Image.new("RGB", CROP).save(f"p/{name}")
    report = check(capsys, "p", *FLAGS, code=1)
    assert report["problems"] == ["p: none of the 3 images of class (551010, 4180995) can be used"]


def test_all_groups_are_named_as_such(workdir, capsys):
    save("p", street(), PANORAMA)
    problems = check(capsys, "p", *FLAGS, "--groups_num", 0, code=1)["problems"]
    assert problems == ["p: there are only 2 groups, and --groups_num is all N x N = 4"]
    problems = check(capsys, "p", *FLAGS, "--groups_num", 3, code=1)["problems"]
    assert problems == ["p: there are only 2 groups, and --groups_num is 3"]


def test_images_without_headings_or_of_another_shape(workdir, capsys):
    save("p", street(), PANORAMA)
    save("p", [(3, 5, 0)], CROP)
    warnings = "\n".join(check(capsys, "p", *FLAGS)["warnings"])
    assert "p: 1 of 25 images are not of 6.5:1: training refuses the folder if one of them" in warnings
    assert "resized" not in warnings
    save("p", [(4, 5, None)], PANORAMA)
    report = check(capsys, "p", *FLAGS, code=1)
    assert report["problems"] == ["p: 1 of 26 names have no heading (field 9), and panoramas are cut by it"]
    save("none", [(4, 5, None)] * 3, CROP)
    for flags in (FLAGS, [*FLAGS, "--nearest_crops"]):
        report = check(capsys, "none", *flags, code=1)
        assert "crops" not in report and len(report["problems"]) == 1
        assert "none of 3 names has a heading (field 9), and EigenPlaces needs them" in report["problems"][0]
