"""benchmarks.methods: rows are trained and tested once, and queries are sorted by where they look."""

import glob
import os
import pathlib

import numpy as np
import pytest

import train
from benchmarks import methods
from benchmarks.measure import ROOT
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from parser import parse_arguments

RECIPES = sorted(path.stem for path in pathlib.Path(ROOT, "recipes", "methods").glob("*.txt"))
ROWS = {
    "base": "--dataset_folder {tiny} --resume_model m.pth --backbone Small --fc_output_dim 8 --train_all_layers "
    "--M 15 --N 2 --groups_num 2 --min_images_per_class 2 --batch_size 3 --epochs_num 1 --iterations_per_epoch 2 "
    "--image_size 32 --device cpu --num_workers 0",
    "cosplace": "--alpha 30 --L 1",
    "lateral": "--method eigenplaces --train_set_folder {panoramas} --lambda_front 0",
}


@pytest.mark.parametrize("row", [row for row in RECIPES if row != "base"])
def test_every_recipe_parses_and_sees_as_many_images(row, monkeypatch):
    monkeypatch.chdir(ROOT)
    args = parse_arguments("train", ["@recipes/methods/base.txt", f"@recipes/methods/{row}.txt"])
    heads = (args.lambda_lat > 0) + (args.lambda_front > 0) if args.method == "eigenplaces" else 1
    assert heads * args.batch_size * args.epochs_num * args.iterations_per_epoch == 7680
    assert args.resume_model and args.lr == 2e-4 and args.M == 15


@pytest.fixture
def small(tiny, panoramas, workdir):
    """Flags of the benchmark on tiny sets, whose recipes are in `rows`."""
    save_network(GeoLocalizationNet("Small", 8), "m.pth")
    os.makedirs("rows")
    for row, text in ROWS.items():
        pathlib.Path("rows", f"{row}.txt").write_text(text.format(tiny=tiny, panoramas=panoramas))
    flags = ["--recipes", "rows", "--base", "rows/base.txt", "--seeds", "0", "--output", "table.md"]
    return [*flags, "--dataset_folder", tiny, "--test_sets", "Tiny=test/database:test/queries_v1"]


def test_rows_are_trained_and_tested_once(small, workdir, monkeypatch):
    runs, main = [], train.main
    monkeypatch.setattr(train, "main", lambda flags: (runs.append(flags), main(flags)))
    methods.main(small)
    assert ["eigenplaces" in run for run in runs] == [False, True]
    lines = [line.strip("| ").split(" | ") for line in open("table.md") if line.startswith("| ")]
    assert lines[0][:3] == ["queries", "number", "cosplace"] and lines[0][3].startswith("lateral")
    # all look 55 degrees away from their street
    assert [line[:2] for line in lines[2:]] == [
        ["Tiny, all", "12"],
        ["Tiny, along", "0"],
        ["Tiny, across", "0"],
        ["Tiny, askew", "12"],
    ]
    assert "; " not in lines[2][2] and ", p " in lines[2][3] and lines[2][2:] == lines[5][2:]
    table = open("table.md").read()
    methods.main(small)
    assert len(runs) == 2 and open("table.md").read() == table
    pathlib.Path("rows", "cosplace.txt").write_text("--alpha 30 --L 1 --lr 0.1")
    methods.main([*small, "--rows", "cosplace"])  # of other flags
    assert len(runs) == 3 and "0.1" in runs[2] and "lateral" not in open("table.md").read()
    tests = glob.glob("logs/methods_tests/*")
    methods.main([*small[:-1], "Tiny=test/queries_v1:test/queries_v1", "--rows", "cosplace"])  # of other folders
    assert len(runs) == 3 and len(glob.glob("logs/methods_tests/*")) > len(tests)


def test_angles_to_streets():
    turn, steps = np.radians(120), np.arange(-30.0, 31, 10)
    street = np.stack([np.sin(turn), np.cos(turn)]) * steps[:, None] + (551000, 4181000)
    street = np.concatenate([street, street[:3], [[552000, 4181000]]])  # several images of a place; a lonely one
    places = np.array([[551003, 4181002]] * 5 + [[552001, 4181000], [559000, 4181000]])
    found = methods.angles_to_streets(places, np.array([120, 300, 205, 30, 480, 0, 0]), street)
    np.testing.assert_allclose(found, [0, 0, 85, 90, 0, np.nan, np.nan], atol=1e-6)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--rows", "triplet"], "there is no recipe rows/triplet.txt: fix --rows or --recipes"),
        (["--test_sets", "T=absent:test/queries_v1"], "absent does not exist: render it"),
        (["--rows", "odd"], "argument --loss: there is no such loss"),
        (["--rows", "lost"], "folder absent does not exist"),
    ],
)
def test_bad_input_is_one_line(small, capsys, flags, message):
    texts = {"odd": "--loss absent", "lost": "--train_set_folder absent"}
    if flags[1] in texts:
        pathlib.Path("rows", f"{flags[1]}.txt").write_text(texts[flags[1]])
    with pytest.raises(SystemExit) as refused:
        methods.main([*small, *flags])
    assert refused.value.code == 2 and message in capsys.readouterr().err
    assert not os.path.exists("logs/methods")  # before anything is trained
