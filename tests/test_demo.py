"""The demo from end to end on a tiny city."""

import csv
import glob
import pathlib
import re
import shutil

import pytest

import demo
import demo_city.__main__ as demo_city
from parser import parse_arguments
from tests import small

ROOT = pathlib.Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes" / "demo_from_scratch.txt"
SMALL = [
    "--recipe",
    str(RECIPE),
    "--save_dir",
    "demo",
    "--city_flags=--tiny --processes 1",
    "--M",
    "20",
    "--N",
    "1",
    "--L",
    "1",
    "--groups_num",
    "1",
    "--min_images_per_class",
    "2",
    "--batch_size",
    "4",
    "--image_size",
    "48",
    "--num_workers",
    "0",
]


@pytest.fixture
def rendered(once, workdir):
    """The demo's city is there already."""
    city = once("rendered", lambda: demo_city.main(["--tiny", "--processes", "2", "--folder", "tiny"])) / "tiny"
    shutil.copytree(city, "data/demo")


def test_demo_trains_evaluates_localizes_and_writes_its_table(rendered, capsys):
    shutil.copytree(ROOT / "recipes" / "weights", "recipes/weights")
    flags = ["--epochs_num", "2", "--iterations_per_epoch", "2", "--preds", "2", "--backbone_weights", "IMAGENET1K_V1"]
    flags += ["--resume_model", demo.SHIPPED, "--fc_output_dim", "512"]
    assert demo.main([*SMALL, *flags]) == 0
    folder, out = pathlib.Path(glob.glob("logs/demo/*")[0]), capsys.readouterr().out
    assert "0 images written" in out and f"Open {folder}/photos.html" in out
    page = (folder / "photos.html").read_text()
    assert len(re.findall(r"<b>Photo \d|>Photo \d", page)) == 3 and "not calibrated" in page
    table = (folder / "results.md").read_text()
    assert table.strip().replace("\n", "\n    ") in (folder / "info.log").read_text()
    networks = ["random weights", "shipped weights", "fine-tuned"]
    assert table.startswith("\n".join(demo.table_head(networks)))
    assert "| chance R@1 | random weights R@1 | shipped weights R@1 | fine-tuned R@1 | R@5 |" in table
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| City")]
    assert [row[0] for row in rows] == [
        "| City 1, by day",
        "| City 1, by night",
        "| City 2, by day",
        "| City 2, by night",
    ]
    for row in rows:
        queries, database = map(int, row[1].split(" / "))
        assert queries == 6 and database >= 8 and 0 < float(row[2]) <= 100
        assert 0 <= float(row[3]) <= 100 and 0 <= float(row[4]) <= 100
        assert all(re.match(r"[\d.]+ \([\d.]+ to [\d.]+\), few queries", cell) for cell in row[5:])
    assert re.search(r"\| render \| \d+ \| \d+ \|\n\| train \| \d+ \| \d+ \|\n\| evaluate \| \d+ \| \d+ \|", table)
    assert len(list((folder / "preds" / "city_1_by_day").glob("*.jpg"))) == 6
    # each network's descriptors of a database are computed once: by day, or in the training's own test
    log = (folder / "debug.log").read_text()
    reused = re.findall(r"The descriptors of \S+/(city\d/test/\w+) are read from cache", log)
    assert sorted(reused) == ["city1/test/database"] * 4 + ["city1/test/queries_v1"] + ["city2/test/database"] * 3
    assert "/val/" not in "".join(re.findall(r"The descriptors of .*", log))


def test_a_training_of_a_few_steps_lowers_the_loss(rendered):
    flags = ["--epochs_num", "3", "--iterations_per_epoch", "12", "--lr_schedule", "constant", "--preds", "0"]
    demo.main([*SMALL, "--backbone", small.NAME, *flags])
    with open(glob.glob("logs/demo/*/metrics.csv")[0]) as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize(("seconds", "epochs"), [(0.26, 18), (0.3, 15), (0.4, 12), (1.13, 4), (17.9, 2)])
def test_a_slower_processor_trains_fewer_epochs(monkeypatch, seconds, epochs):
    monkeypatch.setattr(demo, "seconds_a_step", lambda args: seconds)
    monkeypatch.setitem(demo.BUDGETS, "train", 460)
    args = parse_arguments(argv=[f"@{RECIPE}"])
    assert args.iterations_per_epoch == 76
    chosen, plan = demo.choose_epochs(args, is_given=False)
    assert chosen == epochs and f"The demo trains {epochs} epochs" in plan
    assert ("of the recipe's 18, which would take" in plan) == (epochs < 18)
    assert demo.choose_epochs(args, is_given=True)[0] == 18


def test_a_choice_is_kept_when_the_demo_goes_on(rendered, monkeypatch):
    flags = [*SMALL, "--backbone", small.NAME, "--iterations_per_epoch", "1", "--preds", "0"]
    monkeypatch.setattr(demo, "SHORTER", (1,))
    with monkeypatch.context() as slow:
        slow.setattr(demo, "seconds_a_step", lambda args: 1e3)
        demo.main(flags)
    (folder,) = glob.glob("logs/demo/*")
    assert "Trained for 1 epochs of 4 images" in pathlib.Path(folder, "results.md").read_text()
    demo.main([*flags, "--resume_train", "auto"])
    assert glob.glob("logs/demo/*") == [folder]
    log = pathlib.Path(folder, "info.log").read_text()
    assert "The demo goes on with logs/demo" in log and "Resuming at epoch 1 of 1" in log


@pytest.mark.parametrize(
    ("flags", "problem"), [(["--train_metres", "0"], "--train_metres"), (["--pixels", "3"], "--pixels")]
)
def test_bad_city_flags(workdir, monkeypatch, capsys, flags, problem):
    monkeypatch.setattr(demo, "seconds_a_step", lambda args: 1.0)
    with pytest.raises(SystemExit) as exit_:
        demo.main(["--recipe", str(RECIPE), "--city_flags", " ".join(flags)])
    assert exit_.value.code == 2 and problem in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--resume_train", "nowhere.pth"], ["--backbone_weights", "nowhere.pth"]])
def test_what_a_user_can_fix_ends_in_one_line_before_anything_is_rendered(workdir, capsys, flags):
    with pytest.raises(SystemExit) as refused:
        demo.main([*SMALL, *flags])
    error = capsys.readouterr().err
    assert refused.value.code == 2 and error.count("\n") == 1 and "nowhere.pth" in error
    assert not (workdir / "data").exists()
