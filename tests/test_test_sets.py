import csv
import glob
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import eval as eval_script
from datasets import protocols
from datasets.image_names import ImageNames
from datasets.positives import find_positives
from datasets.protocols import Protocol, differences, published_model, published_recall, recognise
from datasets.test_sets import TestSet, find_test_sets
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from report.tables import RecallTable
from support.errors import UserError
from test import summarize
from tests.scripts import fails
from tests.tiny import place_image, save_place


def folders(*paths):
    for path in paths:
        os.makedirs(path)


# --- layouts


@pytest.mark.parametrize(
    ("given", "test_folder", "database", "queries", "names"),
    [
        ("pitts30k", "pitts30k/images/test", "database", ["queries"], ["Pitts30k"]),
        ("pitts30k/images", "pitts30k/images/test", "database", ["queries"], ["Pitts30k"]),
        ("Pitts250k/images/test", "Pitts250k/images/test", "database", ["queries"], ["Pitts250k"]),
        ("tokyo247", "tokyo247/images/test", "database", ["queries"], ["Tokyo 24/7"]),
        ("msls", "msls/val", "database", ["queries"], ["MSLS val"]),
        ("mapillary_sls/val", "mapillary_sls/val", "database", ["queries"], ["MSLS val"]),
        ("st_lucia", "st_lucia/images/test", "gallery", ["queries"], ["St Lucia"]),
        (
            "sf-xl",
            "sf-xl/processed/test",
            "database",
            ["queries_v1", "queries_v2", "queries_night", "queries_occlusion"],
            ["SF-XL night", "SF-XL occlusion", "SF-XL v1", "SF-XL v2"],
        ),
        (
            "svox",
            "svox/images/test",
            "gallery",
            ["queries", "queries_sun", "queries_night"],
            ["SVOX", "SVOX night", "SVOX sun"],
        ),
        ("nordland", "nordland/images/test", "database", ["queries"], ["Nordland"]),
        ("amstertime", "amstertime/images/test", "database", ["queries"], ["AmsterTime"]),
        ("mine", "mine/test", "database", ["queries_v1", "queries"], ["mine/queries", "mine/queries_v1"]),
    ],
)
def test_layouts(workdir, given, test_folder, database, queries, names):
    folders(*(f"{test_folder}/{name}" for name in (database, *queries)))
    found = find_test_sets(given)
    assert [test_set.name for test_set in found] == names
    for test_set, name in zip(found, sorted(queries), strict=True):
        assert os.path.samefile(test_set.database_folder, f"{test_folder}/{database}")
        assert os.path.samefile(test_set.queries_folder, f"{test_folder}/{name}")
        assert (test_set.protocol is None) == (given == "mine")


def test_one_set_of_queries(workdir):
    folders("svox/images/test/gallery", "svox/images/test/queries_night", "svox/images/test/queries_sun")
    assert [test_set.name for test_set in find_test_sets("svox", "queries_sun")] == ["SVOX sun"]
    with pytest.raises(UserError, match="looked for database or gallery and queries_v9 in"):
        find_test_sets("svox", "queries_v9")


def test_unknown_layouts_say_what_was_looked_for(workdir, capsys):
    folders("odd/images/db", "odd/images/query")
    line = fails(eval_script, capsys, "--test_set_folders", "odd")
    assert (
        "odd is no test set: looked for database or gallery and queries or queries_* in ., test, images/test, "
        "processed/test, val, images/val, and for summer and winter (Nordland), new and old (AmsterTime) in ., raw_data"
    ) in line
    assert "folder nowhere does not exist" in fails(eval_script, capsys, "--test_set_folders", "nowhere")
    with pytest.raises(SystemExit):
        eval_script.main(["--test_set_folders", "odd", "--database_folder", "x"])
    assert "leave out --test_set_folder and --database_folder" in capsys.readouterr().err


# --- protocols


def test_the_innermost_folder_that_is_known_counts(workdir):
    assert recognise("/x/sf-xl/pitts30k/images/test", "queries").name == "Pitts30k"
    assert recognise("/x/Tokyo-24.7/test", "queries").name == "Tokyo 24/7"
    assert recognise("/x/SF_XL/processed/test", "queries_v2").name == "SF-XL v2"
    assert recognise("/x/pitts30k", "queries_v1") is None and recognise("/x/tokyo", "queries") is None


def test_numbers_agree_in_the_digits_that_are_published():
    protocol = Protocol("x", "x", num_queries="8.3k", num_database="2.8M", hint="why")
    assert differences(protocol, 8280, 2_805_840) == "" and differences(protocol, 8349, 2_750_001) == ""
    assert (
        differences(protocol, 8400, 27_191)
        == "8400 queries instead of 8.3k and 27191 database images instead of 2.8M (why)"
    )
    exact = Protocol("x", "x", num_queries="740")
    assert differences(exact, 740, 5) == "" and differences(exact, 747, 5) == "747 queries instead of 740"


def test_published_figures():
    assert published_model("ResNet50_512") == published_model("weights/ResNet50_512_cosplace.pth") == "ResNet50_512"
    assert (
        published_model("eigenplaces_resnet50_512")
        == published_model("x/ResNet50_512_eigenplaces.pth")
        == "EigenPlaces_ResNet50_512"
    )
    assert published_model("best_model.pth") is None and published_model(None) is None
    assert (
        published_recall("ResNet50_512", "MSLS val") == 86.9 and published_recall("ResNet50_2048", "SVOX night") == 50.7
    )
    assert published_recall("ResNet18_512", "MSLS val") is None and published_recall(None, "MSLS val") is None
    names = {protocol.name for protocol in protocols.PROTOCOLS}
    for model, (sets, recalls) in protocols._MORE.items():
        assert published_model(model) == model and set(sets) <= names and len(sets) == len(recalls)
    assert set().union(*protocols.published.RECALLS.values()) <= names


def test_every_protocol_is_documented():
    text = open(os.path.join(os.path.dirname(protocols.__file__), "..", "docs", "test_sets.md")).read()
    for protocol in protocols.PROTOCOLS:
        words = (
            protocol.name.split()[0],
            protocol.num_queries,
            protocol.num_database,
            protocol.queries_folder.removeprefix("queries"),
        )
        assert all(word in text for word in words), protocol


def test_frames_within_ten_are_right():
    names = [f"image-{number:05d}" for number in range(40, 80)]
    database, queries = (ImageNames.from_strings([f"{name}.{kind}" for name in names]) for kind in ("png", "jpg"))
    found = find_positives(*protocols.positions_of_frames(database, queries), protocols.THRESHOLD)
    for frame in (0, 15, 39):
        assert found[frame].tolist() == list(range(max(0, frame - 10), min(39, frame + 10) + 1))
    with pytest.raises(UserError, match="no query has the name of a database image .'1', '2'."):
        protocols.positions_of_frames(ImageNames.from_strings(["2.png"]), ImageNames.from_strings(["1.png"]))


def test_names_of_the_downloader_count_frames_too(workdir):
    """25 / 10.5 m a frame, cut to one decimal, as download_nordland.py names them."""
    north = [int(frame * 25 / 10.5 * 10) / 10 for frame in range(40)]
    utms = np.stack([np.zeros(40), north], axis=1)
    assert find_positives(utms, utms, protocols.THRESHOLD)[20].tolist() == list(range(10, 31))


def test_pairs(workdir):
    for place in (0, 1, 2):
        for season, ending in (("new", "png"), ("old", "jpg")):
            os.makedirs(f"AmsterTime/{season}", exist_ok=True)
            place_image(place, 0, 1).save(f"AmsterTime/{season}/{place * 7}.{ending}")
    (test_set,) = find_test_sets("AmsterTime")
    dataset = test_set.open(25, None)
    assert test_set.name == dataset.name == "AmsterTime" and test_set.protocol.num_queries == "1231"
    assert [positives.tolist() for positives in dataset.positives_per_query] == [[0], [1], [2]]


# --- the command


@pytest.fixture
def three_sets(workdir, monkeypatch):
    """A test set of demo, and two of SVOX's, whose protocols are small; the flags of an evaluation on all three."""
    for place in range(4):
        save_place("demo/test/database", place, 0, 1)
        save_place("demo/test/queries", place + (30 if place == 3 else 0), 0, 2)
        for queries, count in (("queries_night", 4), ("queries_sun", 3)):
            if place < count:
                save_place(f"svox/images/test/{queries}", place, 0, 3)
        save_place("svox/images/test/gallery", place, 0, 1)
    small = dict(folders="svox", num_database="4", hint="a hint")
    monkeypatch.setattr(
        protocols,
        "PROTOCOLS",
        (
            Protocol("SVOX night", queries_folder="queries_night", num_queries="4", **small),
            Protocol("SVOX sun", queries_folder="queries_sun", num_queries="854", **small),
        ),
    )
    torch.manual_seed(0)
    save_network(GeoLocalizationNet("Small", 16), "ResNet50_512_cosplace.pth")
    return [
        "--resume_model",
        "ResNet50_512_cosplace.pth",
        "--num_workers",
        "0",
        "--device",
        "cpu",
        "--num_preds_to_save",
        "1",
        "--test_set_folders",
        "demo",
        "svox",
    ]


def test_several_test_sets_in_one_table(three_sets, capfd):
    assert eval_script.main(three_sets) == 0
    log = capfd.readouterr().err
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in log.splitlines() if line.startswith("    | ")
    ]
    assert rows[0] == [
        *"test set,queries,database,without positives,chance R@1,R@1,R@5,R@10,R@20".split(","),
        "published R@1 of ResNet50_512",
    ]
    assert rows[2][:6] == ["demo/queries", "4", "4", "1", "68.8", "75.0 (30.1 to 95.4), few queries"]
    assert (
        rows[3][:6] == ["SVOX night", "4", "4", "0", "87.5", "100.0 (51.0 to 100.0), few queries"]
        and rows[3][-1] == "51.6"
    )
    assert rows[4][0] == "SVOX sun" and rows[4][1:3] == ["3", "4"] and "51.6" not in rows[4]
    assert (
        "SVOX sun: the test has 3 queries instead of 854 (a hint): its recalls cannot be compared with published ones"
        in log
    )


def test_several_test_sets_in_one_file(three_sets):
    assert eval_script.main(three_sets) == 0
    (folder,) = glob.glob("logs/default/*")
    with open(f"{folder}/test_sets.csv", newline="") as file:
        records = list(csv.DictReader(file))
    assert [(r["test_set"], r["published_R@1"], r["without_positives"]) for r in records] == [
        ("demo/queries", "", "1"),
        ("SVOX night", "51.6", "0"),
        ("SVOX sun", "", "0"),
    ]
    assert [float(records[0][name]) for name in ("R@1", "R@1_low", "R@1_high", "R@1_chance", "R@100_high")] == [
        75,
        30.0642,
        95.4413,
        68.75,
        95.4413,
    ]
    assert (
        len(glob.glob(f"{folder}/1_demo-queries/preds/*.jpg")) == 4
        and len(glob.glob(f"{folder}/3_SVOX_sun/preds/*.jpg")) == 3
    )


def test_the_table_holds_no_formulas(workdir):
    test_set = TestSet("=1+1", "@db", "-q", None, None)
    dataset = SimpleNamespace(database=range(3), queries=range(2))
    RecallTable("t.csv").add(test_set, dataset, summarize(np.zeros((2, 1), int), [[0], [1]], 3))
    with open("t.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["test_set"], row["database_folder"], row["queries_folder"]) == ("'=1+1", "./@db", "./-q")


def test_another_threshold_than_the_protocols_is_said(three_sets, capfd):
    assert eval_script.main([*three_sets, "--positive_dist_threshold", "5"]) == 0
    assert "SVOX night: the test has a threshold of 5 m instead of 25: its recalls cannot" in capfd.readouterr().err
