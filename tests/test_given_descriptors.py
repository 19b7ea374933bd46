"""eval.py on descriptors that were made elsewhere (--database_descriptors), and recall against dimension."""

import csv
import glob
import os

import numpy as np
import pytest

import eval as eval_script
from datasets.test_dataset import ImageFolder
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from retrieval.given import given_store, names_beside
from support.errors import UserError
from tests.scripts import fails, run
from tests.tiny import save_place

FOLDERS = ["--database_folder", "db", "--queries_folder", "q", "--device", "cpu", "--num_workers", 0]


@pytest.fixture
def city(workdir):
    """12 places in the database, 6 of them queried; and a network."""
    for place in range(12):
        save_place("db", place, 0, 1, size=32)
        if place % 2:
            save_place("q", place, 0, 2, size=32)
    save_network(GeoLocalizationNet("Small", 16), "m.pth")
    return workdir


def log_of(folder):
    return open(f"{folder}/info.log").read()


def recalls(folder):
    return [line.split("   ", 1)[1] for line in log_of(folder).splitlines() if "R@" in line and "R@100P" not in line]


def rewrite(change, source="given", target="other"):
    """Copies files of descriptors, database and queries, changed by change(array, names)."""
    os.makedirs(target, exist_ok=True)
    for part in ("database", "queries"):
        start = f"{source}/{part}"
        names = open(f"{start}_names.txt").read().splitlines()
        array, names = change(np.load(f"{start}_descriptors.npy"), names)
        np.save(f"{target}/{part}_descriptors.npy", array)
        with open(f"{target}/{part}_names.txt", "w") as file:
            file.writelines(f"{name}\n" for name in names)


def files(*folders):
    return [
        "--database_descriptors",
        *(f"{folder}/database_descriptors.npy" for folder in folders),
        "--queries_descriptors",
        *(f"{folder}/queries_descriptors.npy" for folder in folders),
    ]


@pytest.fixture
def given(city):
    """The log folder of a network's test, whose descriptors are in `given`."""
    folder = run(eval_script, *FOLDERS, "--resume_model", "m.pth", "--save_descriptors", "--save_dir", "network")
    os.mkdir("given")
    for path in glob.glob(f"{folder}/*_*.npy") + glob.glob(f"{folder}/*_names.txt"):
        os.rename(path, f"given/{os.path.basename(path)}")
    return folder


def test_descriptors_of_a_network_have_its_recalls(given):
    """In whatever order their rows are, and with rows of other images among them."""

    def shuffled(array, names):
        order = np.random.default_rng(0).permutation(len(names) + 1)
        more = np.concatenate([array, array[:1]])
        return more[order].astype(np.float64), np.array([*names, "another.jpg"])[order].tolist()

    rewrite(shuffled)
    for number, folder in enumerate(("given", "other")):
        flags = [*FOLDERS, *files(folder), "--save_dir", folder, "--save_descriptors", "--report", f"{folder}.html"]
        output = run(eval_script, *flags)
        assert recalls(output) == recalls(given)
        assert ("1 of the 13 descriptors" in log_of(output)) == bool(number)
        again, first = (np.load(f"{path}/database_descriptors.npy") for path in (output, "given"))
        np.testing.assert_array_equal(again, first)
        page = open(f"{folder}.html").read()
        assert f"{folder}/database_descriptors.npy and {folder}/queries_descriptors.npy, 16-D" in page
    assert "not trained" not in log_of(output)  # there is no network


def test_two_methods_are_compared(given):
    rewrite(lambda array, names: (np.roll(array, 5, axis=0) if len(array) == 12 else array, names))
    output = run(eval_script, *FOLDERS, *files("given", "other"), "--save_dir", "two")
    log = log_of(output)
    assert "given/database_descriptors.npy minus other/database_descriptors.npy" in log
    assert "minus    95% interval" in log and "R@1     +" in log
    output = run(eval_script, *FOLDERS, *files("other"), "--compare", "m.pth", "--save_dir", "three")
    assert "other/database_descriptors.npy minus m.pth" in log_of(output) and "R@1     -" in log_of(output)


def test_a_row_of_zeros_is_an_unreadable_image(given):
    def with_zeros(array, names):
        array[1] = 0
        return 3 * array, names

    rewrite(with_zeros)
    log = log_of(run(eval_script, *FOLDERS, *files("other"), "--save_dir", "zeros"))
    assert "1 of 12 images of db cannot be read and are never retrieved" in log
    assert "1 of 6 images of q cannot be read and are counted as missed" in log
    assert "11 of 12 descriptors of other/database_descriptors.npy do not have unit length" in log


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a, n: (a[1:], n[1:]), "has no descriptor of 1 of the 12 images of db, such as 'sub/@"),
        (lambda a, n: (a, [name.removeprefix("sub/") for name in n]), "should name images relative to that folder"),
        (lambda a, n: (a, n[1:]), "has 11 names, and other/database_descriptors.npy 12 descriptors"),
        (lambda a, n: (a, [n[0], *n[:-1]]), "_names.txt has 'sub/@"),
        (lambda a, n: (np.where(np.arange(16) == 3, np.nan, a), n), "holds NaN or infinity"),
        (lambda a, n: (a[:, 0], n), "holds an array of float32 (12,), and must hold descriptors"),
        (lambda a, n: (a.astype(int), n), "holds an array of int64 (12, 16), and must hold descriptors"),
        (lambda a, n: (a[:, : len(a)], n), "has 12 dimensions and other/queries_descriptors.npy 6: give files of one"),
    ],
)
def test_files_that_do_not_fit_are_one_line(given, capsys, change, problem):
    rewrite(change)
    assert problem in fails(eval_script, capsys, *FOLDERS, *files("other"), "--save_dir", "bad")


def test_damaged_and_missing_files_are_one_line(given, capsys):
    rewrite(lambda array, names: (array, names))
    os.truncate("other/database_descriptors.npy", 200)
    assert "is not an .npy file of descriptors, or it is damaged" in fails(
        eval_script, capsys, *FOLDERS, *files("other")
    )
    np.save("other/database_descriptors.npy", np.array([print], object), allow_pickle=True)  # runs nothing
    assert "is not an .npy file of descriptors" in fails(eval_script, capsys, *FOLDERS, *files("other"))
    os.remove("given/queries_names.txt")
    line = fails(eval_script, capsys, *FOLDERS, *files("given"))
    assert (
        "there is no file given/queries_names.txt, which should have the names of the images of given/queries" in line
    )
    assert names_beside("a/x.npy") == "a/x_names.txt"


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--database_descriptors", "a.npy"], "belong together: give each as many files"),
        ([*files("a", "b"), "--compare", "m.pth"], "name more than two methods"),
        ([*files("a"), "--resume_model", "m.pth"], "without --resume_model: leave one of them out"),
        ([*files("a"), "--whiten", "db"], "--whiten db has no descriptors there to be fitted to"),
        ([*files("a", "b"), "--no_labels"], "--no_labels cannot tell which of two methods is better"),
        (["--no_labels", "--dimensions", 4], "--dimensions needs to know which images are right"),
        (["--resume_model", "m.pth", "--dimensions", 4, 17], "--dimensions 17 are more than the 16 of m.pth"),
    ],
)
def test_what_does_not_go_together(city, capsys, flags, problem):
    assert problem in fails(eval_script, capsys, *FOLDERS, *flags)


def test_a_store_is_in_the_order_of_the_folder(given):
    images = ImageFolder("db")
    reverse = ImageFolder("db", names=list(images.names)[::-1])
    with given_store("given/database_descriptors.npy", images) as one:
        with given_store("given/database_descriptors.npy", reverse) as other:
            np.testing.assert_array_equal(one.descriptors, other.descriptors[::-1])
    with pytest.raises(UserError, match="has no descriptor of 6 of the 6 images of q"):
        with given_store("given/database_descriptors.npy", ImageFolder("q", names=[f"x{n}" for n in range(6)])):
            pass


# --- recall against dimension


def table(folder):
    with open(f"{folder}/dimensions.csv") as file:
        return {int(row["dimensions"]): row for row in csv.DictReader(file)}


def test_recall_against_dimension(given):
    output = run(eval_script, *FOLDERS, *files("given"), "--dimensions", 8, 2, 8, "--save_dir", "table")
    found = table(output)
    assert list(found) == [2, 8, 16] and "by the first dimensions of descriptors" in log_of(output)
    assert float(found[16]["R@1_minus_all"]) == 0
    for dim in (2, 8):

        def cut(array, names, dim=dim):
            short = array[:, :dim].astype(np.float64)
            return short / np.linalg.norm(short, axis=1, keepdims=True), names

        rewrite(cut, target=f"first{dim}")
        alone = run(eval_script, *FOLDERS, *files(f"first{dim}"), "--save_dir", f"alone{dim}")
        (line,) = [line for line in log_of(alone).splitlines() if "< " in line and "R@1: " in line]
        for n in (1, 5):
            assert f"R@{n}: {float(found[dim][f'R@{n}']):.1f}" in line
    assert {row["R@1"] for row in found.values()} != {found[16]["R@1"]}  # two dimensions find fewer


def test_whitened_dimensions_are_those_of_a_smaller_layer(city):
    flags = [*FOLDERS, "--resume_model", "m.pth", "--whiten", "database"]
    output = run(eval_script, *flags, "--whiten_dim", 8, "--dimensions", 3, "--save_dir", "eight")
    alone = run(eval_script, *flags, "--whiten_dim", 3, "--save_dir", "three")
    found = table(output)
    assert list(found) == [3, 8]
    (line,) = [line for line in log_of(alone).splitlines() if "< " in line and "R@1: " in line]
    assert f"R@1: {float(found[3]['R@1']):.1f}, R@5: {float(found[3]['R@5']):.1f}" in line


def test_approximate_search_has_an_exact_row_of_all_dimensions(given):
    flags = ["--faiss_index", "IVF2,Flat", "--faiss_nprobe", 1, "--dimensions", 4]
    found = table(run(eval_script, *FOLDERS, *files("given"), *flags, "--save_dir", "ivf"))
    exact = table(run(eval_script, *FOLDERS, *files("given"), "--dimensions", 4, "--save_dir", "exact"))
    assert found == exact
