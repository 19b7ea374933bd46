"""What a run writes of its arguments, and which runs leave no log folder."""

import os
import re
from types import SimpleNamespace

import pytest

import commons
import train
from parser import parse_arguments
from support.errors import UserError
from tests.scripts import fails
from training.run_files import find_newest_run


def end(body, folder=None, save_dir="x"):
    """The exit code of a run."""
    try:
        return commons.run_experiment(body, SimpleNamespace(save_dir=save_dir), folder)
    except SystemExit as exit_:
        return exit_.code


def failing(error, name=None):
    """A run that writes a file, if it is named, and fails."""

    def body(args, folder):
        if name:
            open(os.path.join(folder, name), "w").close()
        raise error

    return body


def test_a_run_that_failed_before_it_began_leaves_no_folder(workdir, capsys):
    assert end(failing(UserError("give another"))) == 2
    error = capsys.readouterr().err
    assert error.count("error: give another") == 1 and not os.listdir("logs/x")
    assert re.search(r"logs/x/\S+ holds nothing but logs, and is removed\n.*with some errors\)\n$", error)
    assert find_newest_run("logs/x") == (None, [])
    assert "folder nowhere/train does not exist" in fails(train, capsys, "--dataset_folder", "nowhere")
    assert not os.listdir("logs/default")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (failing(UserError("it broke"), "metrics.csv"), 2),
        (failing(UserError("it broke"), ".metrics.csv.1.tmp"), 2),
        (failing(ValueError("it broke")), 1),
        (failing(KeyboardInterrupt()), 130),
        (lambda args, folder: None, 0),
    ],
)
def test_other_ends_keep_their_logs(workdir, capsys, body, code):
    assert end(body) == code
    (folder,) = os.listdir("logs/x")
    assert {"info.log", "debug.log"} <= set(os.listdir(f"logs/x/{folder}"))
    assert "is removed" not in capsys.readouterr().err


def test_a_folder_that_a_run_goes_on_in_stays(workdir):
    os.makedirs("logs/x/1")
    assert end(failing(UserError("give another")), "logs/x/1") == 2
    assert sorted(os.listdir("logs/x/1")) == ["debug.log", "info.log"]


def test_the_log_begins_with_the_arguments(workdir, capsys):
    flags = [
        "--dataset_folder",
        "my city",
        "--resize_test_imgs",
        "--infer_batch_size",
        "16",
        "--recall_values",
        "3",
        "1",
    ]
    commons.run_experiment(lambda args, folder: None, parse_arguments("eval", flags))
    published, changed = (line.split("   ", 1)[1] for line in capsys.readouterr().err.splitlines()[:2])
    assert published.startswith("Arguments: {'dataset_folder': 'my city', 'train_set_folder': 'my city/train', ")
    assert "'recall_values': (1, 3)" in published and "save_dir_given" not in published and "'M'" not in published
    assert changed == "Other than the defaults: --dataset_folder 'my city' --recall_values 3 1 --resize_test_imgs"
    pairs = ["--loss", "circle", "--positives", "12,40", "--pair_options", "m=0.3", "gamma=8.0"]
    commons.run_experiment(lambda args, folder: None, parse_arguments("train", ["--dataset_folder", "d", *pairs]))
    err = capsys.readouterr().err
    assert "--loss circle --positives 12.0,40.0 --pair_options m=0.3 gamma=8.0\n" in err
    commons.run_experiment(lambda args, folder: None, parse_arguments("eval", ["--test_set_folder", "t"]))
    assert "Other than the defaults: --test_set_folder t\n" in capsys.readouterr().err
    assert end(lambda args, folder: None) == 0
    assert "Arguments: {'save_dir': 'x'}\n" in (err := capsys.readouterr().err)
    assert "Other than the defaults: nothing\n" in err
