"""The data set doctor: what it finds, and that it fails where training or evaluation would."""

import glob
import json
import os
import re
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

import train
from datasets.check import training
from datasets.check.__main__ import main
from datasets.check.suggestions import Parameters, suggest
from datasets.groups import build_groups
from datasets.names import format_name, write_images_list
from parser import parse_arguments
from support.recipes import expand_recipes
from tests.scripts import ROOT
from tests.tiny import EAST, FLAGS, NORTH, save_place


def check(capsys, folder, *flags, code=0):
    """The JSON report; code: the exit code that is expected."""
    try:
        main([str(folder), *map(str, flags), "--num_workers", "0", "--json"])
        assert code == 0
    except SystemExit as exit_:
        assert exit_.code == code
    report = json.loads(capsys.readouterr().out)
    assert bool(report["problems"]) == (code == 1)
    return report


@pytest.fixture
def copy(tiny, workdir):
    shutil.copytree(tiny, "copy")
    return "copy"


def images(folder):
    return sorted(glob.glob(f"{folder}/sub/*.jpg"))


def test_a_sound_data_set(tiny, workdir, capsys):
    report = check(capsys, tiny, *FLAGS)
    assert {name: part["images"] for name, part in report["parts"].items()} == {
        "train": 72,
        "val/database": 24,
        "val/queries": 12,
        "test/database": 24,
        "test/queries_v1": 12,
    }
    train_part = report["parts"]["train"]
    assert train_part["headings"] == [36, 36] + [0] * 10 and train_part["without_heading"] == 0
    assert (
        train_part["sizes"] == [[64, 64, 72]]
        and train_part["utm_zones"] == {"10S": 72}
        and train_part["extent"] == [112, 0]
    )
    assert report["groups"] == {
        "groups": 2,
        "classes": [12, 12],
        "images": [36, 36],
        "of_images": 72,
        "trained_share": 1.0,
    }
    expected = (
        np.mean([2 * len([other for other in range(12) if abs(other - place) <= 2]) for place in range(12)]) / 24 * 100
    )
    assert report["test_sets"]["val/queries"]["chance_recall_at_1"] == pytest.approx(expected)
    known = (
        "within 25 m of a training image",
        "test/database: 24 images are, byte for byte, in val/database too",
    )  # so they are made
    assert not [warning for warning in report["warnings"] if not any(words in warning for words in known)]
    assert report["parts"]["val/queries"]["near_training_images"] == 12 and "suggestions" not in report


def test_the_readable_form(tiny, workdir, capsys):
    main([tiny, *FLAGS, "--sample", "1"])
    out = capsys.readouterr().out
    for line in (
        "train: 72 images over 112 m x 0 m, UTM zone 10S",
        "  sizes: 64 x 64: 1 (1 images decoded)",
        "      0 to  30:      36 ####",
        "group 1: 12 classes",
        "val/queries: 12 queries, 0 without positives within 25 m; in the median 10 of 24 database images are right",
        "groups: 2, of which 2 would be trained, with 24 classes and 72 of 72 images (100.0 %)",
        "can be used",
    ):
        assert line in out
    with pytest.raises(SystemExit) as exit_:
        main([tiny, "--num_workers", "0"])  # with 8 groups, of batches of 32
    out = capsys.readouterr().out
    assert (
        exit_.value.code == 1
        and "no class of" in out
        and "cannot be used as it is" in out
        and "that would give usable groups" in out
    )


@pytest.mark.parametrize(
    "bad", ["@551000@4181000@.jpg", "@abc@4181000@@@@@@@0@@@@@@.jpg", "@551000@4181000@@@@@@@north@@@@@@.jpg"]
)
def test_names_that_do_not_parse(copy, capsys, bad):
    shutil.copy(images("copy/train")[0], f"copy/train/{bad}")
    report = check(capsys, copy, *FLAGS, code=1)
    assert (
        report["problems"][0].startswith("train: 1 of 73 names do not parse: ") and repr(bad) in report["problems"][0]
    )
    assert list(report["parts"]["train"]["bad_names"]) == [bad] and report["groups"]["of_images"] == 72
    with pytest.raises(SystemExit):
        train.main(["--dataset_folder", copy, *FLAGS])


def test_unreadable_images_are_a_warning_until_a_class_is_lost(copy, capsys):
    paths = [path for path in images("copy/train") if "@pano3@" in path and "@000.00@" in path]
    for path in paths[:2]:
        os.truncate(path, os.path.getsize(path) // 2)
    report = check(capsys, copy, *FLAGS)
    assert len(report["parts"]["train"]["unreadable"]) == 2 and "2 of 72 images cannot be used" in report["warnings"][0]
    os.truncate(paths[2], 100)
    report = check(capsys, copy, *FLAGS, code=1)
    assert report["problems"] == ["train: none of the 3 images of class (551030, 4181000, 0) can be used"]
    for path in images("copy/val/queries"):
        os.truncate(path, 100)
    assert "val/queries: 12 of 12 images cannot be used" in "\n".join(check(capsys, copy, *FLAGS, code=1)["problems"])


def test_missing_folders(copy, capsys):
    shutil.rmtree("copy/val/queries")
    shutil.rmtree("copy/test")
    report = check(capsys, copy, *FLAGS, code=1)
    assert report["problems"] == [
        "copy/val has no folder queries",
        "there is no folder test, and training needs train, val and test",
    ]
    shutil.rmtree("copy/val")
    shutil.rmtree("copy/train/sub")
    assert "folder copy/train has no images" in check(capsys, copy, *FLAGS, code=1)["problems"][-1]
    for flags, problem in (
        (["nowhere"], "folder nowhere does not exist"),
        (["copy", "--sample", "0"], "--sample is 0"),
        (["copy", "--M", "x"], "not a whole number"),
    ):
        with pytest.raises(SystemExit) as exit_:
            main(flags)
        assert exit_.value.code == 2 and problem in capsys.readouterr().err


def test_headings_that_are_missing_need_alpha_360(copy, capsys):
    path = images("copy/train")[0]
    os.rename(path, path.replace("@000.00@", "@@"))
    report = check(capsys, copy, *FLAGS, code=1)
    assert report["problems"] == ["train: 1 of 72 names have no heading (field 9), and need --alpha 360 --L 1"]
    assert report["parts"]["train"]["without_heading"] == 1
    assert all("--alpha 360 --N" in suggestion["flags"] for suggestion in report["suggestions"])
    check(capsys, copy, *FLAGS, "--alpha", 360)
    pairs = ["--images_per_class", 2, "--positives", "12,40", "--alpha", 360]
    report = check(capsys, copy, *FLAGS, *pairs, code=1)
    assert report["problems"] == [
        "train: 1 of 72 names have no heading (field 9), and need --alpha 360 --L 1 --positives 12,180"
    ]
    flags = report["suggestions"][0]["flags"]
    assert flags.endswith("--positives 12,180") and not check(capsys, copy, *FLAGS, *flags.split())["problems"]


def test_suggestions_are_what_can_be_trained(tiny, workdir, capsys):
    report = check(capsys, tiny, code=1)
    assert "no class of" in report["problems"][0] and len(report["suggestions"]) == 3
    for suggestion in report["suggestions"]:
        sound = check(capsys, tiny, *suggestion["flags"].split())
        assert (
            sum(sound["groups"]["classes"]) == suggestion["classes"]
            and sum(sound["groups"]["images"]) == suggestion["images"]
        )
    report = check(capsys, tiny, *FLAGS, "--batch_size", 13, code=1)
    assert "2 of 2 groups have fewer classes than a batch of 13 (group 0 has 12)" in report["problems"][0]
    best = report["suggestions"][0]["flags"]
    check(capsys, tiny, *best.split())
    assert "--batch_size 8" in best and "--M 10 --alpha 30 --N 2 --L 1 --min_images_per_class 2" in best
    report = check(capsys, tiny, *FLAGS, "--groups_num", 9, code=1)
    assert "there are only 2 groups, and --groups_num is 9" in report["problems"][0]
    assert "--groups_num 2 --batch_size 4" in report["suggestions"][0]["flags"]
    with pytest.raises(SystemExit):
        train.main(["--dataset_folder", tiny, *FLAGS, "--groups_num", "9"])


def test_batches_of_several_images_a_class(tiny, workdir, capsys):
    several = [*FLAGS, "--batch_size", 24, "--images_per_class", 2]
    assert "recipe" not in check(capsys, tiny, *several)
    check(capsys, tiny, *FLAGS, "--batch_size", 24, "--images_per_class", 2, "--loss", "multi_similarity")
    check(capsys, tiny, *FLAGS, "--batch_size", 48, "--loss", "cosface+circle")  # 48 / 4 = 12, as many as there are
    report = check(capsys, tiny, *FLAGS, "--batch_size", 26, "--images_per_class", 2, code=1)
    assert "2 of 2 groups have fewer classes than a batch of 13 (group 0 has 12)" in report["problems"][0]
    best = report["suggestions"][0]["flags"]
    assert best.endswith("--images_per_class 2")
    check(capsys, tiny, *best.split())


def test_few_images_have_a_recipe(tiny, copy, workdir, capsys, monkeypatch):
    found = check(capsys, tiny, *FLAGS)["recipe"]
    assert found["file"] == "recipes/small_city.txt" and found["headings"] and found["images"] > 36
    main([tiny, *map(str, FLAGS)])
    assert (
        f"A recipe for them makes {found['classes']} classes of {found['images']} images:\n"
        f"python train.py @recipes/small_city.txt --dataset_folder {tiny} {found['flags']}".strip()
        in capsys.readouterr().out
    )
    assert "recipe" not in check(capsys, f"{tiny}/train", *FLAGS)  # no data set
    folder = shutil.copytree(tiny, "my city")
    main([folder, *map(str, FLAGS)])
    command = re.search("python train.py .*", capsys.readouterr().out)[0].split("train.py ")[1]
    assert parse_arguments("train", shlex.split(command.replace("@", f"@{ROOT}/"))).dataset_folder == folder
    monkeypatch.setattr(training, "FEW_IMAGES", 72)
    assert "recipe" not in check(capsys, tiny, *FLAGS)


def street(metres, heading):
    """A data set of 20 places, this far apart, each seen twice."""
    for folder in ("train", "val/database", "val/queries", "test/database", "test/queries_v1"):
        for place in range(20):
            for time in range(2):
                path = f"street/{folder}/@{551001 + metres * place + time}@4181003@@@@@@@{heading}@@@@{time}@@.jpg"
                os.makedirs(os.path.dirname(path), exist_ok=True)
                Image.new("RGB", (8, 8)).save(path)
    return "street"


def test_the_recipe_has_the_classes_of_its_own_parameters(workdir, capsys):
    words = expand_recipes([f"@{ROOT}/{training.SMALL_RECIPE}"])
    own = training._SMALL.flags().split()
    for flag, value in zip(own[::2], own[1::2], strict=True):
        if flag != "--images_per_class":  # 4 with a pair loss
            assert words[words.index(flag) + 1] == value
    recipe = check(capsys, street(30, 10), code=1)["recipe"]
    with pytest.raises(SystemExit):
        main(["street"])
    assert capsys.readouterr().out.endswith("as it is; the recipe above makes usable groups\n")
    assert (recipe["flags"], recipe["classes"], recipe["images"]) == ("", 20, 40)


def test_a_place_that_is_too_small_for_recalls_is_warned_of(workdir, capsys):
    warnings = check(capsys, street(1, 10), code=1)["warnings"]
    assert any(line.startswith("val/queries: by chance alone R@1 is 100.0, since most") for line in warnings)


def test_sets_that_the_recipe_cannot_learn_from_are_told_what_to_do_instead(workdir, capsys):
    recipe = check(capsys, street(30, ""), code=1)["recipe"]
    assert not recipe["headings"] and not recipe["classes"]
    with pytest.raises(SystemExit):
        main(["street"])
    out = capsys.readouterr().out
    assert out.endswith("street cannot be used as it is\n")
    assert "Names without headings do not say which do" in out and "--test_set_folder street/test" in out


@pytest.mark.parametrize("seed", range(3))
def test_suggestions_count_as_the_groups_do(seed):
    """Against datasets.groups, on random cities; and every suggestion has a full batch in every group."""
    rng = np.random.default_rng(seed)
    points, headings = rng.uniform(0, 120, (1500, 2)) + (EAST, NORTH), rng.uniform(0, 360, 1500)
    names = [format_name(*point, heading=heading) for point, heading in zip(points, headings, strict=True)]
    points, headings = points.round(2), headings.round(2)
    for suggestion in suggest(points, headings, Parameters(10, 30, 5, 2, 10, 8, 32), 20):
        p = suggestion.parameters
        groups = build_groups(names, p.M, p.alpha, p.N, p.L, p.min_images_per_class)
        classes = [groups.num_classes(group) for group in range(p.groups_num)]
        assert min(classes) >= p.batch_size and sum(classes) == suggestion.classes
        assert sum(groups.num_group_images(group) for group in range(p.groups_num)) == suggestion.images
    assert not suggest(points[:3], headings[:3], Parameters(10, 30, 5, 2, 10, 8, 32))


def test_queries_without_positives(copy, capsys):
    save_place("copy/val/queries", 500, 0, 1)
    report = check(capsys, copy, *FLAGS)
    assert report["test_sets"]["val/queries"]["without_positives"] == 1
    assert "1 of 13 queries have no database image within 25 m" in report["warnings"][0]
    shutil.rmtree("copy/val/queries/sub")
    save_place("copy/val/queries", 500, 0, 1)
    assert (
        "val/queries: no query has a database image within 25 m" in check(capsys, copy, *FLAGS, code=1)["problems"][0]
    )
    check(capsys, copy, *FLAGS, "--positive_dist_threshold", 10000)


def test_doubles_within_and_across_folders(copy, capsys):
    path = images("copy/train")[0]
    shutil.copy(path, path.replace("@pano0@", "@again@"))
    for number, query in enumerate(images("copy/test/queries_v1")[:2]):
        shutil.copy(images("copy/train")[number + 5], query)
    shutil.rmtree("copy/val/database/sub")  # which is the test's
    save_place("copy/val/database", 0, 0, 9)
    report = check(capsys, copy, *FLAGS)
    assert report["duplicates"] == [
        {"of": "train", "in": "train", "count": 1},
        {"of": "test/queries_v1", "in": "train", "count": 2},
    ]
    assert any(
        "test/queries_v1: 2 images are, byte for byte, in train too" in warning for warning in report["warnings"]
    )


def test_zones_sizes_and_lists(copy, capsys):
    path = images("copy/train")[0]
    os.rename(path, path.replace("@10@S@", "@11@S@"))
    os.unlink(save := images("copy/train")[5])
    save_place("copy/train", 3, 0, 9, size=80)
    names = [os.path.relpath(image, "copy/train") for image in images("copy/train")]
    write_images_list("copy/train", [*names[1:], "sub/" + os.path.basename(save)])
    for image in images("copy/test/database"):
        os.rename(image, image.replace("@10@S@", "@32@U@"))
    report = check(capsys, copy, *FLAGS)
    warnings = "\n".join(report["warnings"])
    assert "1 images are not of 64 x 64 pixels as most are" in warnings and "several UTM zones (10S, 11S)" in warnings
    assert "1 of 72 images cannot be used" in warnings and "No such file" in warnings
    assert "train: 1 images below the folder are not in its list copy/train_images_paths.txt" in warnings
    shutil.rmtree("copy/train")
    os.unlink("copy/train_images_paths.txt")
    warning = check(capsys, copy)["warnings"][0]
    assert "the folders are of several UTM zones: val/database 10S, val/queries 10S, test/database 32U" in warning


def test_layouts(tiny, workdir, capsys):
    report = check(capsys, f"{tiny}/test")
    assert (
        list(report["parts"]) == ["database", "queries_v1"]
        and report["test_sets"]["queries_v1"]["without_positives"] == 0
    )
    assert list(check(capsys, f"{tiny}/test/database")["parts"]) == ["database"]
    assert check(capsys, f"{tiny}/train", *FLAGS)["groups"]["groups"] == 2
    check(capsys, f"{tiny}/train", code=1)
    assert "groups" not in check(capsys, f"{tiny}/train", "--no_groups")


def test_samples_and_workers(tiny, workdir, capsys):
    report = check(capsys, tiny, *FLAGS, "--sample", 10)
    assert [part["decoded"] for part in report["parts"].values()] == [10] * 5
    main([tiny, *FLAGS, "--json", "--num_workers", "2"])
    parallel = json.loads(capsys.readouterr().out)
    assert parallel == check(capsys, tiny, *FLAGS)
