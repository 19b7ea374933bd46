"""A disk that is full or refuses, for real: by the system's limit on the size of files, and by a small file system of
its own.
"""

import glob
import os
import subprocess
import sys

import pytest

import eval as eval_script
import train
from support.errors import UserError
from support.files import read_tensors
from tests.failures import file_size_limit, limited_within
from tests.scripts import ROOT, assert_same_end, run
from tests.tiny import SHORT
from training.metrics import Metrics


def reached(checkpoints):
    return checkpoints.run.epoch, checkpoints.run.iteration


def test_a_run_goes_on_and_writes_the_next_time(tiny, whole, workdir, monkeypatch, capsys):
    limited_within(  # logs fit, networks do not
        monkeypatch, train.Checkpoints, "save", 60_000, lambda checkpoints: reached(checkpoints) <= (1, 0)
    )
    folder = run(train, "--dataset_folder", tiny, *SHORT, "--checkpoint_every", "3")
    errors = capsys.readouterr().err
    assert errors.count("the previous checkpoint stays, and the run goes on") == 2 and "Traceback" not in errors
    assert_same_end(folder, whole)
    assert not glob.glob(f"{folder}/.*")


def test_the_previous_checkpoint_stays(tiny, workdir, monkeypatch, capsys):
    flags = ["--dataset_folder", tiny, *SHORT]
    folder = run(train, *flags, "--epochs_num", "1")
    before = {name: os.path.getmtime(f"{folder}/{name}") for name in ("last_checkpoint.pth", "best_model.pth")}
    for name in ("save", "finish"):
        limited_within(monkeypatch, train.Checkpoints, name, 60_000)
    with pytest.raises(SystemExit) as exit_:
        train.main([*flags, "--resume_train", "auto", "--epochs_num", "2"])
    errors = capsys.readouterr().err
    assert exit_.value.code == 2 and "last_checkpoint.pth cannot be written" in errors and "Traceback" not in errors
    assert "< test - #q: 12; #db: 24 >: R@1" in errors  # it was tested all the same
    assert os.path.getmtime(f"{folder}/last_checkpoint.pth") == before["last_checkpoint.pth"]
    assert read_tensors(f"{folder}/last_checkpoint.pth")["epoch_num"] == 1


def test_rows_that_did_not_fit_are_written_in_the_end(workdir):
    metrics = Metrics("metrics.csv")
    metrics.add(epoch=0)
    with file_size_limit(5), pytest.raises(UserError, match="metrics.csv cannot be written"):
        metrics.add(epoch=1)
    assert (workdir / "metrics.csv").read_text() == "epoch\n0\n"
    metrics.write()
    assert (workdir / "metrics.csv").read_text() == "epoch\n0\n1\n"


def test_a_validation_that_does_not_fit_loses_no_iteration(tiny, whole, workdir, monkeypatch, capsys):
    flags = ["--dataset_folder", tiny, *SHORT, "--resume_train", "auto", "--checkpoint_every", "0"]
    with monkeypatch.context() as context, pytest.raises(SystemExit) as exit_:
        limited_within(context, train, "test", 1000)
        train.main(flags)
    errors = capsys.readouterr().err
    assert (
        exit_.value.code == 2
        and f"descriptors cannot be written to a temporary file in {os.environ.get('TMPDIR', '/tmp')}" in errors
    )
    assert (
        "set TMPDIR to where there is more" in errors
        and "is written: go on with" in errors
        and "Traceback" not in errors
    )
    assert_same_end(run(train, *flags), whole)


def test_caches_that_do_not_fit_leave_nothing(tiny, workdir, capsys):
    with file_size_limit(4000), pytest.raises(SystemExit) as exit_:
        train.main(["--dataset_folder", tiny, *SHORT])
    errors = capsys.readouterr().err
    assert exit_.value.code == 2 and "Traceback" not in errors
    assert "train will be walked again the next time" in errors  # a list that can be done without
    assert (
        errors.count("error: the cache train_") == 1
        and "cannot be written to cache: " in errors
        and "is the disk full?" in errors
    )
    assert not [name for name in os.listdir("cache") if name.startswith((".", "train"))]


def test_a_tests_descriptors_that_do_not_fit_leave_nothing(tiny, workdir, capsys):
    with file_size_limit(2000), pytest.raises(SystemExit) as exit_:
        eval_script.main(
            ["--dataset_folder", tiny, "--backbone_weights", "none", "--fc_output_dim", "32", "--num_workers", "0"]
        )
    errors = capsys.readouterr().err
    assert (
        exit_.value.code == 2
        and "error: descriptors cannot be written to cache/descriptors" in errors
        and "Traceback" not in errors
    )
    assert not [entry for entry in os.listdir("cache/descriptors") if not entry.endswith(".lock")]


FULL_DISK = """
import os, sys
sys.path.insert(0, {root!r})
import train
from tests import small

small.register()

def save(checkpoints, original=train.Checkpoints.save):
    written = original(checkpoints)
    if checkpoints.run.epoch == 1 and os.path.exists("logs/filler"):
        os.unlink("logs/filler")
    return written

train.Checkpoints.save = save
with open("logs/filler", "wb", buffering=0) as file:  # all that there is
    for size in (1 << 20, 1 << 12):
        try:
            while file.write(bytes(size)) == size:
                pass
        except OSError:
            pass
train.main(sys.argv[1:])
"""


def test_a_disk_that_is_full_until_the_second_epoch(tiny, whole, workdir):
    """A file system of 130 MB below logs/: neither logs, metrics.csv, environment.json nor networks can be written at
    first.
    """
    os.mkdir("logs")
    (workdir / "full.py").write_text(FULL_DISK.format(root=str(ROOT)))
    script = 'mount -t tmpfs -o size=130m none logs || exit 77; "$@"; code=$?; cp -r logs kept; exit $code'
    try:
        ended = subprocess.run(
            [
                "unshare",
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                script,
                "sh",
                sys.executable,
                "full.py",
                "--dataset_folder",
                tiny,
                *SHORT,
            ],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare to mount a file system with")
    if ended.returncode in (1, 77) and not ended.stdout and "Arguments" not in ended.stderr:
        pytest.skip(f"no file system can be mounted here: {ended.stderr.strip()}")
    errors = ended.stderr
    assert ended.returncode == 0 and "Traceback" not in errors, errors[-2000:]
    assert (
        "info.log cannot be written" in errors
        and "environment.json cannot be written: No space left on device" in errors
    )
    assert "best_model.pth cannot be written" in errors and "is the disk full?" in errors or "No space left" in errors
    assert "metrics.csv cannot be written: No space left on device; the run goes on, and writes" in errors
    (folder,) = glob.glob("kept/default/*")
    assert_same_end(folder, whole)
