import csv

import numpy as np
import pytest

from benchmarks import results_table
from benchmarks.comparison import interval, paired_bootstrap
from benchmarks.measure import ROOT
from benchmarks.results_rows import ROWS
from benchmarks.results_table import order, soup_ingredients
from parser import parse_arguments
from support.recipes import expand_recipes
from tests.tiny import FEW, make_tiny


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_recipe_that_parses(row, monkeypatch):
    monkeypatch.chdir(ROOT)
    flags = ["@recipes/demo_finetune.txt", f"@recipes/{row}.txt"]
    if ROWS[row].kind == "soup":
        args = parse_arguments("soup", [*flags, "--output", "soup.pth", "--ingredients_folder", "models"])
        assert len(args.ingredients) > 1 and set(soup_ingredients(flags)) < set(ROWS)
        assert args.ingredients[0].startswith("models/")
    elif ROWS[row].kind in ROWS:
        assert parse_arguments("eval", flags).fda_queries
    elif row != "places365":  # begins from other weights
        parse_arguments("train", flags)
    parse_arguments(
        "train",
        [
            "@recipes/sf_xs.txt",
            "--dataset_folder",
            "sf_xs",
            "--target_dataset_folder",
            "night",
            *(flags[1:] if ROWS[row].kind == "train" else []),
        ],
    )


def test_rows_that_others_need_come_first():
    rows = order(["soup_face", "fda", "cosface", "arcface"])
    assert (
        rows[0] == "cosface" and rows[-1] == "soup_face" and sorted(rows) == ["arcface", "cosface", "fda", "soup_face"]
    )
    assert order(["fda"]) == ["cosface", "fda"]


def test_a_paired_bootstrap_sees_what_an_unpaired_one_cannot():
    rng = np.random.default_rng(0)
    reference = (rng.random(400) < 0.5).astype(float)
    better = reference.copy()
    better[np.flatnonzero(reference == 0)[:16]] = 1  # 4 points more, of the very same queries
    difference, (low, high), p = paired_bootstrap(better, reference)
    assert difference == pytest.approx(4) and 1.9 < low < 2.9 and 5 < high < 6.2 and p < 0.001
    low, high = interval(reference)
    assert high - low == pytest.approx(2 * 196 * 0.5 / 20, rel=0.1)  # the binomial's
    assert paired_bootstrap(reference, reference)[2] == 1
    swapped = reference.copy()
    swapped[:40] = 1 - swapped[:40]
    assert paired_bootstrap(swapped, reference)[2] > 0.05


def test_the_table_is_made_once_and_goes_on_where_it_stopped(workdir, capsys):
    data = make_tiny(workdir / "data")
    (workdir / "recipes").mkdir()
    (workdir / "base.txt").write_text(" ".join([*FEW, "--dataset_folder", data, "--iterations_per_epoch", "2"]))
    for name, text in {
        "cosface": "--loss cosface",
        "arcface": "--loss arcface",
        "sphereface": "--loss sphereface",
        "soup_face": "--ingredients cosface/best_model.pth arcface/best_model.pth sphereface/best_model.pth",
        "places365": "--backbone_weights absent/places.pth",
        "fda_on_test": "--fda_queries --fda_beta 0.1",
    }.items():
        (workdir / "recipes" / f"{name}.txt").write_text(text)
    flags = [
        "--dataset_folder",
        data,
        "--base",
        "base.txt",
        "--seeds",
        "0",
        "--test_sets",
        "Tiny=test/database:test/queries_v1",
    ]
    results_table.main([*flags, "--rows", "cosface", "arcface"])
    models = {path: path.stat().st_mtime_ns for path in workdir.glob("logs/results_table/seed0/*/best_model.pth")}
    assert len(models) == 2
    results_table.main([*flags, "--rows", "cosface", "arcface", "soup_face", "places365", "fda_on_test"])
    assert all(path.stat().st_mtime_ns == before for path, before in models.items())
    output = capsys.readouterr().out
    assert "not run without its weights, absent/places.pth" in output and "; +" in output or "; -" in output
    assert (workdir / "recipes" / "RESULTS.md").read_text().startswith("<!-- results table -->\nR@1 in percent")
    (workdir / "recipes" / "RESULTS.md").write_text("Before.\n{}\nold\n{}\nAfter.\n".format(*results_table.MARKS))
    with open("recipes/results_table.csv") as file:
        assert [line["row"] for line in csv.DictReader(file)] == ["cosface", "arcface", "soup_face", "fda_on_test"]
    (workdir / "recipes" / "arcface.txt").write_text("--loss arcface --loss_m 0.2")  # another recipe: trained again
    results_table.main([*flags, "--rows", "arcface"])
    changed = [path.parent.name for path, before in models.items() if path.stat().st_mtime_ns != before]
    assert changed == ["arcface"]
    text = (workdir / "recipes" / "RESULTS.md").read_text()
    assert text.startswith("Before.\n<!-- results table -->\nR@1") and text.endswith(
        "|\n<!-- end of the results table -->\nAfter.\n"
    )
    assert "old" not in text


def test_bad_input_is_one_line(workdir, capsys):
    for flags, message in (
        (["--test_sets", "no paths"], "TITLE=DATABASE:QUERIES"),
        (["--recipes", "absent"], "there is no recipe absent/"),
    ):
        with pytest.raises(SystemExit) as refused:
            results_table.main(flags)
        assert refused.value.code == 2 and message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        results_table.main(["--rows", "triplet"])
    assert expand_recipes(["x"]) == ["x"]
