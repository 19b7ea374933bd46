import csv
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from benchmarks import group_schedules, results_table, small_sets
from benchmarks.comparison import cells, holm, interval, paired_difference, sign_test
from benchmarks.measure import ROOT
from benchmarks.results_rows import FORMS, NIGHT_SETS, ROWS
from benchmarks.results_runs import Entry, Runs, last_value
from benchmarks.results_table import order
from datasets.names import list_images
from datasets.night.__main__ import make_parser
from parser import parse_arguments
from support.recipes import expand_recipes
from tests.failures import Killed, at_step, kill
from tests.tiny import FEW, make_tiny

# rows whose flags and ingredients are the same as published
SAME = {"cosface", "emms_1", "emms_1.5", "emms_2", "places365"}


@pytest.fixture
def all_rows(tmp_path, monkeypatch):
    """The Runs of the project's recipes, on the demo's base."""
    monkeypatch.chdir(ROOT)
    return Runs("recipes/results_table.txt", "", "recipes", str(tmp_path))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_recipe_that_parses(row, form, all_rows):
    entry = Entry(form, row)
    flags = all_rows.flags(entry, 0)
    if ROWS[row].kind == "soup":
        args = parse_arguments("soup", [*flags, "--output", "soup.pth", "--ingredients_folder", "models"])
        assert args.method == "uniform" and args.ingredients[0].startswith("models/")
        assert [f"models/{part.row}/best_model.pth" for part in all_rows.parts(entry)] == args.ingredients
        assert len(args.ingredients) > 1 and {part.row for part in all_rows.parts(entry)} < set(ROWS)
    elif ROWS[row].kind in ROWS:
        args = parse_arguments("eval", flags)
        assert args.fda_queries or all_rows.night_set_of(entry)
    elif row != "places365":  # begins from other weights
        parse_arguments("train", flags)
    of_row = [f"@recipes/{FORMS[form]}/{row}.txt"] if ROWS[row].kind == "train" else []
    folders = ["--dataset_folder", "sf_xs", "--target_dataset_folder", "night"]
    parse_arguments("train", ["@recipes/sf_xs.txt", *folders, *of_row])


def test_recipes_are_those_of_the_rows():
    for folder in FORMS.values():
        assert {path.stem for path in pathlib.Path(ROOT, "recipes", folder).iterdir()} == set(ROWS)


def test_rows_that_are_the_same_in_both_forms(all_rows):
    """A soup is not, if one of its ingredients is not."""
    assert {row for row in ROWS if all_rows.is_same(row)} == SAME
    assert all_rows.entry("published", "cosface") == Entry("sound", "cosface")
    assert [part.folder for part in all_rows.parts(Entry("published", "soup_face"))] == [
        "cosface",
        "arcface_as_published",
        "sphereface_as_published",
    ]


def test_what_the_published_rows_do(all_rows):
    """The authors' flags, as docs/night.md has them."""

    def words(row):
        return expand_recipes([f"@{all_rows.recipe('published', row)}"])

    assert last_value(words("arcface"), "--head_variant") == last_value(words("sphereface"), "--head_variant") == "fork"
    for row, alpha in {"0.01": "0.01", "0.1": "0.1", "1": "1", "beta_0.09": "0.1"}.items():
        args = parse_arguments("train", all_rows.flags(Entry("published", f"fda_pp_da_{row}"), 0))
        assert (args.domain_batch_size, args.domain_target_images, args.domain_pseudo_images) == (16, 12, 4)
        assert args.grl_loss_weight == float(alpha) and not args.night_augmentation
    args = parse_arguments("train", all_rows.flags(Entry("published", "da"), 0))
    assert (args.domain_batch_size, args.domain_target_images, args.pseudo_target_folder) == (16, 8, None)
    args = parse_arguments("train", all_rows.flags(Entry("published", "ae"), 0))
    assert (args.aada_m, args.aada_gamma, args.aada_autoencoder, args.domain_target_images) == (0, 0.01, "conv", 8)
    sets = {row: all_rows.night_set_of(Entry("published", row)) for row in ROWS}
    assert {row: name for row, name in sets.items() if name} == {
        "fda": "fda",
        "pp": "pp",
        "fda_on_test": "fda_queries",
        "fda_pp_da_beta_0.09": "fda_pp_beta_0.09",
        **dict.fromkeys(("fda_pp", "fda_pp_emms", "fda_pp_da_0.01", "fda_pp_da_0.1", "fda_pp_da_1"), "fda_pp"),
    }
    assert not any(all_rows.night_set_of(Entry("sound", row)) for row in ROWS)


def _commands(text):
    """The commands that a recipe's comments have."""
    lines = [line.lstrip("# ") for line in text.replace("\\\n#", "").splitlines() if "python -m datasets.night" in line]
    return [make_parser().parse_args(line.split()[3:]) for line in lines]


@pytest.mark.parametrize("row", ["fda", "pp", "fda_pp", "fda_on_test", "fda_pp_da_beta_0.09"])
def test_the_commands_in_comments_are_those_that_the_benchmark_runs(row, all_rows):
    folder = "logs/results_table/night_sets"
    name = all_rows.night_set_of(Entry("published", row))
    found = _commands(open(all_rows.recipe("published", row)).read())
    sources = {"train": "TRAIN", "queries": "QUERIES"}
    for args in reversed(found):
        made = NIGHT_SETS[name]
        command = ["--source", sources.get(made.source, f"{folder}/{made.source}"), "--output", f"{folder}/{name}"]
        command += ["--target", made.target.upper()] if made.target else []
        assert args == make_parser().parse_args([*command, *made.flags.split()])
        name = made.source
    assert name in sources  # from the first set on


def test_rows_that_others_need_come_first():
    rows = order([Entry("published", row) for row in ("soup_face", "fda", "arcface")])
    assert rows[0] == Entry("sound", "cosface") and rows[-1] == Entry("published", "soup_face") and len(rows) == 4
    assert order([Entry("sound", "cosface")]) == [Entry("sound", "cosface")]


# --- statistics


def test_a_paired_difference_sees_what_an_unpaired_one_cannot():
    rng = np.random.default_rng(0)
    reference = rng.random(400) < 0.5
    better = reference.copy()
    better[np.flatnonzero(~reference)[:16]] = True  # 4 points more, of the very same queries
    difference, (low, high) = paired_difference([better], [reference])
    assert difference == pytest.approx(4) and 1.9 < low < 2.9 and 5 < high < 6.2
    low, high = interval([reference])
    assert high - low == pytest.approx(2 * 196 * 0.5 / 20, rel=0.1)  # the binomial's
    assert not paired_difference([reference], [reference])[1].any()


def test_an_interval_has_the_spread_of_the_seeds():
    queries = np.random.default_rng(0).random(2000)
    equal, spread = [queries < 0.5] * 3, [queries < share for share in (0.4, 0.5, 0.6)]
    widths = [np.ptp(interval(found)) for found in (equal, spread)]
    # variances add: of the queries (their mean share at 0.5), and of the seeds, 0.0067 / 3
    assert widths[0] == pytest.approx(2 * 196 * 0.5 / 2000**0.5, rel=0.05)
    assert widths[1] == pytest.approx(2 * 196 * (0.0067 / 3 + 0.2 / 2000) ** 0.5, rel=0.1)
    # paired by seed: all seeds gain the same queries
    gained = [found | (queries > 0.98) for found in spread]
    difference, (low, high) = paired_difference(gained, spread)
    assert difference == pytest.approx(100 * (queries > 0.98).mean()) and high - low < 1.5


def test_the_sign_test_is_exact_and_counts_a_query_once():
    def pair(wins, losses, ties=30):
        found = np.array([True] * wins + [False] * losses + [True] * ties)
        return found, np.array([False] * wins + [True] * losses + [True] * ties)

    scipy_stats = pytest.importorskip("scipy.stats")
    for wins, losses in ((9, 1), (1, 9), (5, 5), (700, 600), (0, 6)):
        found, reference = pair(wins, losses)
        p = scipy_stats.binomtest(wins, wins + losses).pvalue
        assert sign_test([found], [reference]) == pytest.approx(p)
        assert sign_test([found] * 3, [reference] * 3) == pytest.approx(p)  # three times the same is no more evidence
    assert sign_test([found], [found]) == 1
    # 2 of 3 seeds against 1 of 3 is a win; 1 against 1 is a tie
    yes, no = np.array([True] * 6), np.array([False] * 6)
    assert sign_test([yes, yes, no], [no, yes, no]) == 2 / 2**6
    assert sign_test([yes, no, no], [no, yes, no]) == 1


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1] and holm([]) == []


def test_cells_compare_the_seeds_that_both_have():
    reference = np.array([False] * 10 + [True] * 30)
    better = np.array([False] * 2 + [True] * 38)  # 8 wins: p 2 / 256
    found = {
        "a": {0: reference, 1: reference},
        "b": {0: better},
        "c": {0: reference, 1: better},
        "d": {2: better},
    }
    texts = cells(found, "a")
    assert texts["a"].startswith("75.0 +- 0.0 (") and ";" not in texts["a"]
    assert texts["b"].startswith("95.0 (") and "; +20.0 (" in texts["b"]
    assert texts["b"].endswith("p 0.016")  # two rows are compared
    assert "; +10.0 (" in texts["c"] and texts["c"].endswith("p 0.016") and ";" not in texts["d"]
    assert ";" not in cells({"b": found["b"]}, "a")["b"]


def test_other_tables_compare_in_the_same_way(workdir, monkeypatch):
    found = {"T": np.arange(40) < 20}
    monkeypatch.setattr(
        group_schedules, "results", lambda args, way, *_: {"T": np.arange(40) < 20 + 9 * (way == "joint")}
    )
    sets = ["--test_sets", "T=d:q", "--output", "out.md"]
    group_schedules.main([*sets, "--ways", "joint"])
    text = open("out.md").read()
    assert "difference to sequential training" in text and "; +22.5 (" in text and "p 0.004 |" in text
    monkeypatch.setattr(small_sets, "cut", lambda args, is_mixed: "subset")
    monkeypatch.setattr(small_sets, "results", lambda *_: found)
    small_sets.main([*sets, "--rows", "no training", "CosFace in 4 groups", "--seeds", "0"])
    text = open("out.md").read().partition(small_sets.MARKS[0])[2]
    assert "difference to no training" in text and "| no training | 50.0 (" in text and "; +0.0 (" in text


def test_a_way_through_the_groups_is_trained_and_tested_once(workdir, monkeypatch):
    made = []
    monkeypatch.setattr(group_schedules, "train", lambda *of: made.append(of[1]) or "m.pth")
    monkeypatch.setattr(group_schedules, "evaluate", lambda flags, _: made.append(flags[4]) or np.eye(4, 3, dtype=bool))
    pathlib.Path("base.txt").write_text("--lr 1e-3")
    flags = ["--base", "base.txt", "--output", "out.md", "--seeds", "0", "--ways", "sequential", "--test_sets", "A=d:q"]
    group_schedules.main(flags)
    group_schedules.main([*flags, "B=e:q"])  # one more set, of the same network
    trained = "group_schedules/sequential_seed0"
    assert made == [trained, "data/demo/d", trained, "data/demo/e"]
    pathlib.Path("base.txt").write_text("--lr 2e-3")
    group_schedules.main(flags)
    assert made[4:] == [trained, "data/demo/d"] and "| 25.0 (" in open("out.md").read()


# --- runs


RECIPES = {
    "cosface": "--loss cosface",
    "arcface": "--loss arcface",
    "sphereface": "--loss sphereface",
    "soup_face": "--ingredients cosface/best_model.pth arcface/best_model.pth sphereface/best_model.pth",
    "places365": "--backbone_weights absent/places.pth",
    "fda_on_test": "--fda_queries --fda_beta 0.1",
    "da": "--domain_adaptation grl",
}
AS_PUBLISHED = {
    **RECIPES,
    "arcface": "--loss arcface --head_variant fork",
    "fda_pp": "--pseudo_target_folder sets/fda_pp",
    "fda_on_test": "--queries_folder sets/fda_queries",
}


@pytest.fixture
def small(workdir):
    """Flags of the benchmark on a tiny data set, with recipes of its own below recipes/."""
    data = make_tiny(workdir / "data")
    for folder, recipes in zip(FORMS.values(), (RECIPES, AS_PUBLISHED), strict=True):
        (workdir / "recipes" / folder).mkdir(parents=True)
        for name, text in recipes.items():
            (workdir / "recipes" / folder / f"{name}.txt").write_text(text)
    (workdir / "recipes" / "rows" / "fda_pp.txt").write_text("--night_augmentation fda_pp")
    (workdir / "base.txt").write_text(" ".join([*FEW, "--dataset_folder", data, "--iterations_per_epoch", "2"]))
    sets = ["--test_sets", "Tiny=test/database:test/queries_v1"]
    return ["--dataset_folder", data, "--base", "base.txt", "--seeds", "0", *sets]


def models(workdir):
    """{folder of a model: when it was written}."""
    return {
        path.parent.name: path.stat().st_mtime_ns for path in workdir.glob("logs/results_table/seed*/*/best_model.pth")
    }


def lines():
    """(row, form, seed) of each line of the CSV."""
    with open("recipes/results_table.csv") as file:
        return [(line["row"], line["form"], line["seed"]) for line in csv.DictReader(file)]


def test_the_table_is_made_once_and_goes_on_where_it_stopped(small, workdir, capsys, caplog):
    results_table.main([*small, "--rows", "cosface", "arcface"])
    before = models(workdir)
    assert set(before) == {"cosface", "arcface"}
    results_table.main([*small, "--rows", "cosface", "arcface", "soup_face", "places365", "da", "fda_on_test"])
    assert all(models(workdir)[name] == time for name, time in before.items())
    output = capsys.readouterr().out
    assert "not run without its weights, absent/places.pth" in output and "; +" in output or "; -" in output
    assert "da is not run without images of the night, --target_dataset_folder is not given" in caplog.messages
    results = workdir / "recipes" / "RESULTS.md"
    assert results.read_text().startswith("<!-- results table -->\nR@1 in percent")
    results.write_text("Before.\n{}\nold\n{}\nAfter.\n".format(*results_table.MARKS))
    assert [line[0] for line in lines()] == ["cosface", "arcface", "fda_on_test", "soup_face"]
    (workdir / "recipes" / "rows" / "arcface.txt").write_text("--loss arcface --loss_m 0.2")  # another recipe
    results_table.main([*small, "--rows", "arcface"])
    assert [name for name, time in before.items() if models(workdir)[name] != time] == ["arcface"]
    text = results.read_text()
    assert text.startswith("Before.\n<!-- results table -->\nR@1")
    assert text.endswith("|\n<!-- end of the results table -->\nAfter.\n") and "old" not in text
    # the soup is of the former ArcFace: it is left out, and what is still true is not
    assert [line[0] for line in lines()] == ["cosface", "arcface", "fda_on_test"]


def test_a_row_that_was_stopped_goes_on(small, workdir, monkeypatch):
    flags = [*small, "--rows", "cosface", "--flags=--epochs_num 2"]
    with monkeypatch.context() as patch, pytest.raises(Killed):
        at_step(patch, 2, kill)  # the second epoch's first
        results_table.main(flags)
    results_table.main(flags)
    (log,) = workdir.glob("logs/results_table/cosface_seed0/*/*/info.log")
    assert "Resuming at epoch 1 of 2" in log.read_text() and set(models(workdir)) == {"cosface"}


def test_parts_make_one_table(small, workdir):
    """Parts may be made on other machines, and their models stay there."""
    results_table.main([*small, "--rows", "cosface"])
    results_table.main([*small[:-4], "--seeds", "1", *small[-2:], "--rows", "sphereface"])
    for path in workdir.glob("logs/results_table/seed*/*/best_model.pth"):
        path.unlink()
    shutil.copytree("logs/results_table", "part", copy_function=shutil.copyfile)  # with other times
    results_table.main([*small, "--work_folder", "part", "--rows", "cosface"])
    table = [("cosface", "both", "0"), ("cosface", "both", "1"), ("sphereface", "both", "1")]
    assert lines() == table and not models(workdir) and not list(workdir.glob("part/seed*/*/*.pth"))
    text = (workdir / "recipes" / "RESULTS.md").read_text()
    assert "| CosFace | both | 0 1 |" in text and "| SphereFace | both | 1 |" in text
    kept = workdir / "part" / "seed1" / "sphereface" / "Tiny.json"
    kept.write_text(kept.read_text()[:20])  # cut off
    results_table.main([*small, "--work_folder", "part", "--rows", "cosface"])
    assert lines() == table[:2]


def test_published_rows_are_made_beside_the_sound_ones(small, workdir, capsys):
    shutil.copytree("data/test/queries_v1", "night")
    queries = workdir / "data" / "test" / "queries_v1" / "sub"
    first = sorted(os.listdir(queries))[0]
    os.rename(queries / first, queries / f"x{first}")  # by night, xnight@ comes after night@
    small += ["--flags=--target_dataset_folder night"]
    results_table.main([*small, "--forms", "sound", "published", "--rows", "cosface", "arcface", "soup_face"])
    folders = {"cosface", "arcface", "sphereface", "arcface_as_published", "soup_face", "soup_face_as_published"}
    assert set(models(workdir)) == folders  # cosface and sphereface once
    results_table.main([*small, "--forms", "published", "--rows", "fda_pp", "fda_on_test"])
    assert set(models(workdir)) == {*folders, "fda_pp_as_published"}
    sets = "logs/results_table/night_sets"
    assert len(list_images(f"{sets}/fda_pp")) == len(list_images("data/train"))
    with open(f"{sets}/fda_night.json") as file:
        made = json.load(file)
    assert (made["fda_window"], made["fda_size"], made["jpeg_quality"]) == ("fork", [1024, 512], 75)
    with open(f"{sets}/fda_queries_Tiny_night.json") as file:
        assert json.load(file)["target"] == os.path.realpath("data/train")
    forms = {line[:2] for line in lines()}
    assert {("cosface", "both"), ("arcface", "sound"), ("arcface", "published"), ("fda_pp", "published")} < forms
    assert {("fda_on_test", "published"), ("soup_face", "sound"), ("soup_face", "published")} < forms
    assert ("fda_pp", "sound") not in forms


def test_queries_by_night_keep_their_order(small, workdir, monkeypatch):
    names = list_images("data/test/queries_v1")
    odd = f"sub/x{os.path.basename(names[0])}"
    os.rename(f"data/test/queries_v1/{names[0]}", f"data/test/queries_v1/{odd}")
    pathlib.Path("data/test/queries_v1", names[-1]).write_bytes(b"no image")
    runs = Runs("base.txt", "", "recipes", "work")
    monkeypatch.setattr(runs, "model", lambda *_: "model.pth")

    def found_by_night(flags, _):
        names_by_night = list_images(last_value(flags, "--queries_folder"))
        assert len(names_by_night) == len(names) - 1
        return np.array(["xnight@" in name for name in names_by_night])

    monkeypatch.setattr("benchmarks.results_runs.evaluate", found_by_night)
    test_set = ("data/test/database", "data/test/queries_v1")
    found = runs._measure(Entry("published", "fda_on_test"), 0, "Tiny", test_set)
    assert found.tolist() == [name == odd for name in list_images(test_set[1])] and found.sum() == 1


def test_bad_input_is_one_line(small, capsys):
    for flags, message in (
        (["--test_sets", "no paths"], "TITLE=DATABASE:QUERIES"),
        (["--recipes", "absent"], "there is no recipe absent/rows/"),
        (
            ["--rows", "cosface", "--test_sets", "T=absent:test/queries_v1"],
            "absent does not exist: fix --dataset_folder",
        ),
        (["--rows", "cosface", "--flags=--loss absent"], "argument --loss: there is no such loss"),
        (["--rows", "triplet"], "invalid choice: 'triplet'"),
        (["--forms", "best"], "invalid choice: 'best'"),
    ):
        with pytest.raises(SystemExit) as refused:
            results_table.main([*small, *flags])
        assert refused.value.code == 2 and message in capsys.readouterr().err, flags
    assert not os.path.exists("logs/results_table/seed0")  # before anything is trained
