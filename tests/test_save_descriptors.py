import glob
import os
import sys

import numpy as np
import pytest

import eval as eval_script
from datasets.test_dataset import ImageFolder
from retrieval import descriptors, interchange
from retrieval.interchange import Described
from support.errors import UserError
from tests.scripts import fails
from tests.tiny import save_place


class Images:
    """As an ImageFolder."""

    def __init__(self, folder, names):
        self.folder, self.names = folder, names


def hlocs_names(h5py, path):
    """As hloc lists the names in a file of features."""
    names = []
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda _, item: names.append(item.parent.name.strip("/")) if isinstance(item, h5py.Dataset) else None
        )
    return sorted(names)


def hlocs_pairs(path):
    """As hloc reads a list of pairs."""
    with open(path) as file:
        return [tuple(line.split()) for line in file.read().rstrip("\n").split("\n")]


@pytest.fixture
def test_folder(workdir):
    """Six places in the database, four of them queried, a truncated image in each."""
    for place in range(6):
        save_place("demo/test/database", place, 0, 1)
    for place in range(4):
        save_place("demo/test/queries_v1", place, 0, 2)
    for path in (sorted(glob.glob("demo/test/database/sub/*"))[4], sorted(glob.glob("demo/test/queries_v1/sub/*"))[3]):
        os.truncate(path, 50)
    return "demo"


def evaluate(*flags):
    assert (
        eval_script.main(
            [
                "--dataset_folder",
                "demo",
                "--fc_output_dim",
                "8",
                "--backbone_weights",
                "none",
                "--num_workers",
                "0",
                "--device",
                "cpu",
                *flags,
            ]
        )
        == 0
    )
    return max(glob.glob("logs/default/*"))


def test_all_formats_are_of_one_extraction(test_folder, monkeypatch):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed (requirements-export.txt)")
    extracted = []
    extract = descriptors._extract_block
    monkeypatch.setattr(descriptors, "_extract_block", lambda *args: extracted.append(args[3]) or extract(*args))
    output = evaluate("--save_descriptors", "npy", "h5", "--save_pairs", "2", "--save_sfm_pairs", "3")
    assert extracted == [range(6), range(4)]

    database, queries = (np.load(f"{output}/{part}_descriptors.npy", mmap_mode="r") for part in ("database", "queries"))
    assert database.shape == (6, 8) and queries.shape == (4, 8) and database.dtype == np.float32
    np.testing.assert_array_equal(np.linalg.norm(database, axis=1).round(4), [1, 1, 1, 1, 0, 1])
    names = {part: open(f"{output}/{part}_names.txt").read().splitlines() for part in ("database", "queries")}
    assert names["database"] == list(ImageFolder("demo/test/database").names) and len(names["queries"]) == 4
    (store,) = glob.glob("cache/descriptors/database_*/descriptors.npy")
    assert open(store, "rb").read() == open(f"{output}/database_descriptors.npy", "rb").read()

    full = [f"database/{name}" for name in names["database"]] + [f"queries_v1/{name}" for name in names["queries"]]
    readable = [name for name, row in zip(full, [*database, *queries], strict=True) if row.any()]
    assert hlocs_names(h5py, f"{output}/global_descriptors.h5") == sorted(readable) and len(readable) == 8
    with h5py.File(f"{output}/global_descriptors.h5") as file:
        for name, row in zip(full, [*database, *queries], strict=True):
            if row.any():
                np.testing.assert_array_equal(file[name]["global_descriptor"].__array__(), row)

    distances = ((queries[:, None] - database) ** 2).sum(-1)
    distances[:, 4] = np.inf
    expected = [(full[6 + query], full[index]) for query in range(3) for index in distances[query].argsort()[:2]]
    assert hlocs_pairs(f"{output}/pairs_queries.txt") == expected
    distances = ((database[:, None] - database) ** 2).sum(-1)
    distances[:, 4] = distances[range(6), range(6)] = np.inf
    expected = {
        frozenset((full[image], full[other])) for image in (0, 1, 2, 3, 5) for other in distances[image].argsort()[:3]
    }
    pairs = hlocs_pairs(f"{output}/pairs_sfm.txt")
    assert (
        {frozenset(pair) for pair in pairs} == expected
        and len(pairs) == len(expected)
        and all(len(set(pair)) == 2 for pair in pairs)
    )


def test_without_a_cache_and_in_16_bits(test_folder):
    output = evaluate("--save_descriptors", "--no_descriptors_cache", "--descriptors_dtype", "float16")
    assert np.load(f"{output}/queries_descriptors.npy").dtype == np.float16
    assert not glob.glob(f"{output}/*.h5") and not glob.glob(f"{output}/pairs*")


def test_nothing_is_written_unless_asked_for(test_folder):
    assert sorted(os.listdir(evaluate())) == ["bad_images.txt", "debug.log", "environment.json", "info.log"]


def test_several_test_sets_each_have_a_folder(test_folder):
    output = evaluate("--save_descriptors", "npy", "--save_pairs", "1", "--test_set_folders", "demo")
    assert sorted(os.listdir(f"{output}/1_demo-queries_v1")) == [
        "database_descriptors.npy",
        "database_names.txt",
        "pairs_queries.txt",
        "queries_descriptors.npy",
        "queries_names.txt",
    ]


def test_without_h5py(test_folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "h5py", None)
    line = fails(
        eval_script, capsys, "--dataset_folder", "demo", "--save_descriptors", "h5", "--backbone_weights", "none"
    )
    assert line.endswith("HDF5 files need h5py: pip install -r requirements-export.txt")
    with pytest.raises(SystemExit):
        eval_script.main(["--dataset_folder", "demo", "--save_descriptors", "csv"])
    assert "invalid choice: 'csv'" in capsys.readouterr().err


def test_pairs_of_few_and_of_equal_images(workdir, monkeypatch):
    """Images that are equal hide each other's own row; there may be fewer others than asked for."""
    monkeypatch.setattr(interchange, "_BLOCK", 2)
    database = np.eye(5, dtype=np.float32)[[0, 0, 0, 1, 2]]
    images = Images("a", [f"{index}.jpg" for index in range(5)])
    count = interchange.save_sfm_pairs(
        Described(images, database, {4: "truncated"}), os.path.abspath("."), "pairs.txt", 9
    )
    pairs = hlocs_pairs("pairs.txt")
    assert count == len(pairs) == 6  # each of four with each
    assert {frozenset(pair) for pair in pairs} == {
        frozenset((f"a/{i}.jpg", f"a/{j}.jpg")) for i in range(4) for j in range(i)
    }
    assert interchange.save_sfm_pairs(Described(images, database, {}), os.path.abspath("."), "pairs.txt", 1) >= 3
    assert all(len(set(pair)) == 2 for pair in hlocs_pairs("pairs.txt"))


@pytest.mark.parametrize(
    ("name", "problem"), [("a b.jpg", "'a/a b.jpg' has a blank"), ("a\nb.jpg", r"'a/a\\nb.jpg' has a line break")]
)
def test_names_that_no_list_can_hold(workdir, name, problem):
    images = Images("a", [name])
    with pytest.raises(UserError, match=problem):
        interchange.save_query_pairs(np.zeros((1, 1), int), images, images, os.path.abspath("."), "pairs.txt", 1)
    assert os.listdir() == []


def test_folders_that_are_one(workdir):
    """A database that is its own queries."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed (requirements-export.txt)")
    part = Described(Images("a", ["x.jpg", "sub/y.jpg"]), np.eye(2, dtype=np.float32), {})
    interchange.save_h5((part, part), os.path.abspath("a"), "x.h5")
    assert hlocs_names(h5py, "x.h5") == ["sub/y.jpg", "x.jpg"]
