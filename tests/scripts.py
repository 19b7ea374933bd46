"""Runs scripts as a user does, in this process or another, and looks at what they leave."""

import csv
import glob
import multiprocessing
import os
import pathlib
import sys
import threading
import time

import pytest
import torch
from tqdm import tqdm

from support.files import read_tensors

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCES = [path for path in ROOT.rglob("*.py") if not {".venv", "tests"} & set(path.relative_to(ROOT).parts)]


# --- in this process


def run(script, *flags):
    """Runs script.main, which must succeed. Returns the newest log folder."""
    assert script.main([str(flag) for flag in flags]) == 0
    return max(glob.glob("logs/*/*"), key=os.path.getmtime)


def fails(script, capsys, *flags):
    """The one line that a script ends with."""
    before = _sizes_of_logs()
    with pytest.raises(SystemExit) as exit_:
        script.main([str(flag) for flag in flags])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if "error: " in line]
    assert len(lines) == 1
    for log, size in _sizes_of_logs().items():  # a run that failed before it began leaves none
        if before.get(log) != size:
            assert open(log).read().splitlines()[-1].endswith("Experiment finished (with some errors)")
    return lines[0]


def _sizes_of_logs():
    return {log: os.path.getsize(log) for log in glob.glob("logs/*/*/info.log")}


# --- what a training leaves


def weights(folder, name="last_checkpoint.pth"):
    content = read_tensors(os.path.join(folder, name))
    return content.get("model_state_dict", content)


def assert_equal(a, b):
    assert list(a) == list(b) and all(torch.equal(a[key], b[key]) for key in a)


def rows(folder):
    """The rows of metrics.csv, without what the clock says."""
    with open(os.path.join(folder, "metrics.csv")) as file:
        return [
            {key: value for key, value in row.items() if key not in ("seconds", "images_per_second")}
            for row in csv.DictReader(file)
        ]


def assert_same_end(folder, whole):
    """Two runs have ended with the same networks, moments of the optimizers and metrics."""
    assert_equal(weights(folder), weights(whole))
    assert_equal(weights(folder, "best_model.pth"), weights(whole, "best_model.pth"))
    assert rows(folder) == rows(whole)
    ours, theirs = (read_tensors(f"{path}/last_checkpoint.pth") for path in (folder, whole))
    for a, b in zip(
        [ours["optimizer_state_dict"], *ours["optimizers_state_dict"]],
        [theirs["optimizer_state_dict"], *theirs["optimizers_state_dict"]],
        strict=True,
    ):
        assert all(torch.equal(a["state"][key]["exp_avg"], b["state"][key]["exp_avg"]) for key in b["state"])


# --- other processes


def start(*flags, begin=None):
    """train.py in a process of its own, which is forked: torch is there, and the tests' backbone. Its `stderr` is what
    it writes there.

    begin: called in the process before anything else
    """
    receiver, sender = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=_train, args=(sender, begin, flags))
    process.start()
    os.close(sender)
    process.stderr = open(receiver)  # noqa: SIM115
    return process


def _train(sender, begin, flags):
    import train

    os.dup2(sender, 2)
    os.close(sender)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    tqdm.set_lock(threading.RLock())  # the tests' own would stay locked where this process is killed
    if begin:
        begin()
    sys.exit(train.main([str(flag) for flag in flags]))


def wait_for_line(process, text):
    """The first line with `text` that a process writes to stderr."""
    for line in process.stderr:
        if text in line:
            return line
    process.join(10)
    raise AssertionError(f"ended with {process.exitcode} before {text!r}")


def wait_for(condition, seconds=60):
    """Returns once condition() is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def assert_all_end(pids, seconds=20):
    for _ in range(seconds * 20):
        if not any(map(is_running, pids)):
            return
        time.sleep(0.05)
    raise AssertionError("a process outlives its parent")


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
