"""What writes pages: eval.py, runs' curves, event files; and what a page is made of."""

import glob
import os
import re
import shutil
import sys
import time

import numpy as np
import pytest
import torch

import eval as eval_script
import report.__main__ as curves_script
import train
from benchmarks import report as benchmark
from datasets.test_dataset import ImageFolder
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from report import notes
from report.page import check_report
from report.thumbnails import thumbnail
from report.training import read_metrics
from support.errors import UserError
from tests.pages import Page
from tests.scripts import fails
from tests.tiny import FLAGS, place_image
from training.metrics import Metrics


def test_thumbnails_are_small(workdir):
    place_image(1, 0, 1, 900).resize((3000, 600)).save("wide.jpg")
    small = thumbnail("wide.jpg")
    assert (small["width"], small["height"]) == (264, 132) and len(small["uri"]) < 15_000
    assert thumbnail("absent.jpg") == {"reason": "No such file or directory"}


def test_notes_say_how_a_page_was_made(workdir, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/report/__main__.py", "a run", "--output", "x.html"])
    monkeypatch.setattr(notes, "commit", lambda: None)  # without git
    assert dict(notes.run_notes()).keys() == {"Date", "Command"}
    assert dict(notes.run_notes())["Command"] == "python -m report 'a run' --output x.html"
    place_image(1, 0, 1, 50).save("a.jpg")
    images = ImageFolder(".")
    assert notes.size_of_first(images) == "50 x 50 pixels"
    os.truncate("a.jpg", 40)
    assert notes.size_of_first(images) == "unreadable"


def test_the_benchmark_runs(workdir, capsys):
    benchmark.main("--database 60 --queries 9 --chromium no_such_browser".split())
    output = capsys.readouterr().out
    assert "There is no no_such_browser" in output and re.search(r"\| 60 \| 9 \| 2 \| [\d.]+ \| [\d.]+ \|", output)


def test_curves_of_runs(workdir, capsys):
    for run, loss in (("one", 2.0), ("two", 1.0)):
        os.makedirs(run)
        with open(f"{run}/metrics.csv", "w") as file:
            file.write(f"epoch,group,loss,R@1,R@5\n0,0,{loss},30,60\n1,1,nan,40,\n")
    curves_script.main(["one", "two/", "--output", "runs.html"])
    page = Page("runs.html")
    assert "Date 20" in page.text and "Command python " in page.text
    assert "A : one" in page.text and "A: 2 epochs, best validation R@1 40.0 % after epoch 1." in page.text
    assert page.data["training"][1] == {
        "name": "B",
        "epoch": [0, 1],
        "losses": {"loss": [1.0, None]},
        "recalls": {"R@1": [30.0, 40.0], "R@5": [60.0, None]},
    }
    for text in ("", "epoch,loss\n", "loss\n1\n", "epoch,loss\n1,x\n", "epoch\nx\n"):
        with open("one/metrics.csv", "w") as file:
            file.write(text)
        with pytest.raises(UserError, match="one/metrics.csv cannot be read as a run's metrics"):
            read_metrics("one/metrics.csv")
    with open("one/metrics.csv", "wb") as file:  # as a spreadsheet writes it
        file.write(b"\xef\xbb\xbfepoch,loss\r\n0,2.5\r\n")
    assert read_metrics("one/metrics.csv") == {"epoch": [0], "loss": [2.5]}
    with pytest.raises(SystemExit) as refused:
        curves_script.main(["nowhere", "--output", "runs.html"])
    assert refused.value.code == 2 and "nowhere/metrics.csv cannot be read" in capsys.readouterr().err


def test_curves_skip_what_has_no_metrics(workdir, capsys):
    for run in ("logs/default/1", "logs/default/2", "logs/default/failed", "logs/eval/1", "logs/\x1b"):
        os.makedirs(run)
    for run in ("default/1", "default/2"):
        with open(f"logs/{run}/metrics.csv", "w") as file:
            file.write("epoch,loss,R@1,R@3,R@9,R@27,chance R@1\n0,1,30,60,70,80,2\n")
    curves_script.main([*sorted(glob.glob("logs/*")), "logs/default/2", "--output", "runs.html"])
    page, told = Page("runs.html"), capsys.readouterr().err.splitlines()
    assert told == ["logs/\\x1b is skipped: it has no metrics.csv", "logs/eval is skipped: it has no metrics.csv"]
    assert "A : logs/default/1" in page.text and "B : logs/default/2" in page.text and "C :" not in page.text
    assert [list(run["recalls"]) for run in page.data["training"]] == [["R@1", "R@3", "R@9", "chance R@1"]] * 2
    with pytest.raises(SystemExit) as refused:
        curves_script.main(["logs/eval", "--output", "runs.html"])
    assert refused.value.code == 2 and "no RUN has a metrics.csv: give" in capsys.readouterr().err


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for seed in range(2):
        torch.manual_seed(seed)
        save_network(GeoLocalizationNet("Small", 32), str(folder / f"{seed}.pth"))
    (folder / "metrics.csv").write_text("epoch,loss,R@1\n0,2.5,50\n")
    return folder


def test_eval_writes_the_page(tiny, networks, workdir, capsys):
    shutil.copytree(tiny, "city")
    shutil.copytree("city/test/queries_v1", "city/test/queries_night")
    flags = ["--dataset_folder", "city", "--resume_model", f"{networks}/0.pth", "--device", "cpu", "--num_workers", "0"]
    eval_script.main(
        [
            *flags,
            "--report",
            "page.html",
            "--compare",
            f"{networks}/1.pth",
            "--further_queries",
            "queries_night",
            "--num_preds_to_save",
            "1",
        ]
    )
    page, folder = Page("page.html"), glob.glob("logs/default/*")[0]
    log = open(f"{folder}/info.log").read()
    lines = re.findall(r"R@\d+ +([\d.]+) +([\d.]+) to +([\d.]+) ", log)
    assert len(lines) == 20
    for line in lines:
        assert "{} {} to {}".format(*line) in page.text
    assert len(re.findall(r"< test(?:/queries_night)? - #q: 12; #db: 24 >: R@1", log)) == 4
    assert len(page.data["parts"]) == 4
    assert len(re.findall(r"queries_night \(few queries\): .*0.pth minus .*1.pth\n", log)) == 1
    assert len(re.findall(r"R@\d+ +[+-][\d.]+ +[+-][\d.]+ to +[+-][\d.]+ +\d+ +\d+ +[\d.e-]+\n", log)) == 10
    assert [run["losses"] for run in page.data["training"]] == [{"loss": [2.5]}] * 2
    assert "in their own size; the first query: 64 x 64 pixels" in page.text
    assert re.search(r"Date \d{4}-\d\d-\d\d \d\d:\d\d [+-]\d{4} Command python ", page.text)
    assert (
        len(glob.glob(f"{folder}/queries_*/preds/*.jpg"))
        == len(glob.glob(f"{folder}/compare/queries_*/preds/*.jpg"))
        == 24
    )
    shutil.rmtree("logs")
    assert "is --resume_model itself" in fails(eval_script, capsys, *flags, "--compare", f"{networks}/0.pth")
    shutil.rmtree("logs")
    assert "two folders of queries have one name" in fails(
        eval_script, capsys, *flags, "--further_queries", "city/test/queries_v1"
    )


def test_a_page_that_cannot_be_written_is_said_at_once(tiny, workdir, capsys, monkeypatch):
    assert "there is no folder nowhere" in fails(
        eval_script, capsys, "--dataset_folder", tiny, "--report", "nowhere/page.html"
    )
    with pytest.raises(UserError, match="that is a folder"):
        check_report(".")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    line = fails(eval_script, capsys, "--dataset_folder", tiny, "--report", "page.html")
    assert "--report needs Jinja2" in line and "pip install -r requirements-report.txt" in line
    assert not glob.glob("logs/*/*") and not os.path.exists("page.html")


def test_training_writes_event_files(tiny, workdir):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train.main(["--dataset_folder", tiny, *FLAGS, "--iterations_per_epoch", "1", "--epochs_num", "1", "--tensorboard"])
    folder = glob.glob("logs/default/*")[0]
    time.sleep(1.1)  # event files are named after the second, and read in the order of their names
    resumed = Metrics(f"{folder}/metrics.csv", 1, tensorboard=True)
    for epoch in (1, 2, 3):
        resumed.add(epoch=epoch, group=0, loss=4.5 - epoch, **{"R@1": 50.0 + epoch})
    time.sleep(1.1)
    Metrics(f"{folder}/metrics.csv", 3, tensorboard=True).add(epoch=3, group=1, loss=0.25, **{"R@1": 60.0})
    metrics = read_metrics(f"{folder}/metrics.csv")
    events = accumulator.EventAccumulator(f"{folder}/tensorboard").Reload()
    for name in ("loss", "R@1", "group"):
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == [0, 1, 2, 3]
        np.testing.assert_allclose([scalar.value for scalar in scalars], metrics[name], rtol=1e-4)


def test_event_files_need_tensorboard(tiny, workdir, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert "--tensorboard needs tensorboard" in fails(train, capsys, "--dataset_folder", tiny, *FLAGS, "--tensorboard")
