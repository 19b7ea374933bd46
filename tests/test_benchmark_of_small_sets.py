"""benchmarks.small_sets: a small data set is cut, rows are trained and tested once, and the table is written."""

import os
import shutil

import pytest

import train
from benchmarks import small_sets
from datasets.names import list_images, positions
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from tests.tiny import EAST, FEW

pytest.importorskip("pytorch_metric_learning")
TEST = "Day=city1/test/database:city1/test/queries_v1"
START = "--resume_model m.pth --image_size 32 --resize_test_imgs"
FLAGS = ["--dataset_folder", "data", "--test_sets", TEST, "--output", "table.md", "--start", START, "--seeds", "0"]
FLAGS += ["--images", "60", "--views", "12", "--seen", "48", "--epochs", "1"]


@pytest.fixture
def city(tiny, workdir):
    """A data set in the demo's layout, and the recipe where the benchmark looks for it."""
    shutil.copytree(tiny, "data/city1")
    save_network(GeoLocalizationNet("Small", 8), "m.pth")
    os.makedirs("recipes")
    with open("recipes/small_city.txt", "w") as file:
        pairs = "--fc_output_dim 8 --loss multi_similarity --images_per_class 2 --freeze_bn"
        file.write(f"{' '.join(map(str, FEW))} {pairs}\n")
    return "data"


@pytest.fixture
def runs(monkeypatch):
    """The flags of each training."""
    runs, main = [], train.main
    monkeypatch.setattr(train, "main", lambda flags: (runs.append(flags), main(flags)))
    return runs


def test_rows_are_trained_and_tested_once(city, runs):
    rows = ["no training, --whiten database", "small_city.txt", "batch norms trained"]
    small_sets.main([*FLAGS, "--rows", *rows])
    assert len(os.listdir("logs/small_sets/60_images_12/train")) == 60
    assert ["--freeze_bn" in run for run in runs] == [True, False]
    table = open("table.md").read()
    assert [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][2:] == [
        "no training",
        *rows,
    ]
    small_sets.main([*FLAGS, "--rows", *rows])
    assert len(runs) == 2 and open("table.md").read() == table


def test_another_city_is_mixed_in_far_away(city, runs, capsys):
    rows = ["--rows", "small_city.txt, --fc_init pca, and another city"]
    for mix, problem in [([], "give its folder as --mix"), (["--mix", city], "name the folder of another city")]:
        with pytest.raises(SystemExit):
            small_sets.main([*FLAGS, *rows, *mix])
        assert problem in capsys.readouterr().err and not runs
    shutil.copytree(f"{city}/city1", "other/city1")  # at the same place, as cities of other seeds are
    small_sets.main([*FLAGS, *rows, "--mix", "other"])
    (run,) = runs
    folder = run[run.index("--dataset_folder") + 1]
    names = list_images(f"{folder}/train")
    east, north = positions(names).T
    far = east > EAST + 90_000
    assert len(names) == 120 and far.sum() == 60
    assert sorted(east[far] - 100_000) == sorted(east[~far]) and sorted(north[far]) == sorted(north[~far])
    images = {os.path.realpath(f"{folder}/train/{name}") for name in names}
    assert len(images) == 120 and all(map(os.path.isfile, images))
    assert os.path.realpath(f"{folder}/val") == os.path.realpath(f"{city}/city1/val")
    for path in sorted(images)[-30:]:
        assert "/other/" in path
        os.unlink(path)
    with pytest.raises(SystemExit):
        small_sets.main([*FLAGS, *rows, "--mix", "other"])
    assert "--mix other has only 42 such images, and data 60" in capsys.readouterr().err
