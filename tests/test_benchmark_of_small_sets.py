"""benchmarks.small_sets: a small data set is cut, rows are trained and tested once, and the table is written."""

import os
import shutil

import pytest

import train
from benchmarks import small_sets
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from tests.tiny import FEW

pytest.importorskip("pytorch_metric_learning")
TEST = "Day=city1/test/database:city1/test/queries_v1"
START = "--resume_model m.pth --image_size 32 --resize_test_imgs"


@pytest.fixture
def city(tiny, workdir, monkeypatch):
    """A data set in the demo's layout, and the recipe where the benchmark looks for it."""
    shutil.copytree(tiny, "data/city1")
    save_network(GeoLocalizationNet("Small", 8), "m.pth")
    os.makedirs("recipes")
    with open("recipes/small_city.txt", "w") as file:
        pairs = "--fc_output_dim 8 --loss multi_similarity --images_per_class 2 --freeze_bn"
        file.write(f"{' '.join(map(str, FEW))} {pairs}\n")
    return "data"


def test_rows_are_trained_and_tested_once(city, monkeypatch):
    runs, main = [], train.main
    monkeypatch.setattr(train, "main", lambda flags: (runs.append(flags), main(flags)))
    flags = ["--dataset_folder", city, "--test_sets", TEST, "--output", "table.md", "--start", START, "--seeds", "0"]
    flags += ["--images", "60", "--views", "12", "--seen", "48", "--epochs", "1"]
    rows = ["no training, --whiten database", "small_city.txt", "batch norms trained, --ema 0.99"]
    small_sets.main([*flags, "--rows", *rows])
    assert len(os.listdir("logs/small_sets/60_images_12/train")) == 60
    assert ["--freeze_bn" in run for run in runs] == [True, False]
    table = open("table.md").read()
    assert [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][2:] == [
        "no training",
        *rows,
    ]
    small_sets.main([*flags, "--rows", *rows])
    assert len(runs) == 2 and open("table.md").read() == table
