"""Training that is interrupted and goes on ends as training that is not."""

import errno
import glob
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import commons
import train
from datasets.train_dataset import TrainDataset
from support.errors import UserError
from support.files import read_tensors
from tests.caches import flip
from tests.failures import Killed, at_end_of_epoch, at_step, at_validation, kill, send
from tests.scripts import (
    ROOT,
    assert_all_end,
    assert_same_end,
    children,
    rows,
    run,
    start,
    wait_for,
    wait_for_line,
    weights,
)
from tests.tiny import SHORT
from training import build
from training.checkpoints import Checkpoints
from training.ranks import ALONE
from training.run_files import find_newest_run, previous_path


@pytest.mark.parametrize(
    ("place", "every", "workers"),
    [
        (lambda patch: at_step(patch, 4 + 1, kill), 1, 0),  # in an iteration of the second epoch
        (lambda patch: at_step(patch, 4 + 1, kill), 3, 1),  # with iterations since the last checkpoint
        (lambda patch: at_validation(patch, 1, kill), 3, 1),
        (lambda patch: at_end_of_epoch(patch, 0, kill), 1, 0),
    ],
    ids=["step", "step_after_checkpoint", "validation", "between_best_model_and_checkpoint"],
)
def test_killed_and_resumed_ends_as_the_uninterrupted_run(tiny, whole, workdir, monkeypatch, place, every, workers):
    flags = [
        "--dataset_folder",
        tiny,
        *SHORT,
        "--resume_train",
        "auto",
        "--checkpoint_every",
        str(every),
        "--num_workers",
        str(workers),
    ]
    with monkeypatch.context() as context, pytest.raises(Killed):
        place(context)
        train.main(flags)
    folder = run(train, *flags)
    assert len(glob.glob("logs/*/*")) == 1 and "Resuming at epoch" in open(f"{folder}/info.log").read()
    assert_same_end(folder, whole)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_sigkill_leaves_no_worker_and_the_run_goes_on(tiny, whole, workdir):
    flags = ["--dataset_folder", tiny, *SHORT, "--checkpoint_every", 1, "--num_workers", 2, "--resume_train", "auto"]
    process = start(*flags)
    try:
        wait_for_line(process, "Epoch 00 in 0:00:0")  # the line after training; validation comes next
        workers = children(process.pid)
        assert workers
    finally:
        process.kill()
    process.join()
    assert_all_end(workers)
    assert_same_end(run(train, *flags), whole)


@pytest.mark.skipif(sys.platform != "linux", reason="signals to a process group with workers")
def test_a_signal_to_all_processes_ends_with_a_checkpoint(tiny, workdir):
    flags = ["--dataset_folder", tiny, *SHORT, "--iterations_per_epoch", 100_000, "--num_workers", 2]
    process = start(*flags, "--checkpoint_every", 1, begin=os.setsid)
    try:
        wait_for(lambda: glob.glob("logs/*/*/last_checkpoint.pth"))
        os.killpg(process.pid, signal.SIGUSR1)
        errors = process.stderr.read()
        process.join(60)
    finally:
        process.kill()
    assert process.exitcode == 128 + signal.SIGUSR1 and "SIGUSR1: ending" in errors
    assert "is written: go on with --resume_train logs/default/" in errors and "Traceback" not in errors
    (folder,) = glob.glob("logs/*/*")
    state = read_tensors(f"{folder}/last_checkpoint.pth")
    assert (state["epoch_num"], state["iteration"] > 0) == (0, True)


def test_a_second_signal_ends_at_once(tiny, workdir):
    code = (
        "import commons, os, signal, time, argparse\nfrom support.signals import deferred_signals\n"
        "def body(args, folder):\n"
        "    with deferred_signals():\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(60)\n"
        "commons.run_experiment(body, argparse.Namespace(save_dir='x'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert ended.returncode == 128 + signal.SIGINT and "SIGINT again: ending at once" in ended.stderr


def test_an_abandoned_validation_is_done_after_resuming(tiny, whole, workdir, monkeypatch):
    flags = ["--dataset_folder", tiny, *SHORT, "--checkpoint_every", "0"]
    with monkeypatch.context() as context:
        at_validation(context, 0, send(signal.SIGTERM))
        with pytest.raises(SystemExit) as exit_:
            train.main(flags)
    assert exit_.value.code == 128 + signal.SIGTERM
    (last,) = glob.glob("logs/*/*/last_checkpoint.pth")
    assert read_tensors(last)["iteration"] == 4
    assert_same_end(run(train, *flags, "--resume_train", last), whole)


def test_bad_images_are_counted_on(tiny, workdir):
    shutil.copytree(tiny, "copy")
    for path in sorted(glob.glob("copy/train/**/*.jpg", recursive=True))[1::6]:
        os.truncate(path, 400)
    flags = ["--dataset_folder", "copy", *SHORT, "--iterations_per_epoch", "12", "--max_bad_images", "20"]
    whole = run(train, *flags, "--save_dir", "whole")
    run(train, *flags, "--epochs_num", 1)
    (last,) = glob.glob("logs/default/*/last_checkpoint.pth")
    folder = run(train, *flags, "--resume_train", last)
    counts, expected = (read_tensors(f"{path}/last_checkpoint.pth")["bad_images"] for path in (folder, whole))
    assert counts == expected and len(counts["unreadable"]) > 1
    assert open(f"{folder}/bad_images.txt").read() == open(f"{whole}/bad_images.txt").read()


# --- damaged and missing checkpoints


def test_a_flipped_bit_is_named_and_the_checkpoint_before_is_used(tiny, whole, workdir, capsys):
    shutil.copytree(whole, "logs/default/1")
    last = "logs/default/1/last_checkpoint.pth"
    flip(last, os.path.getsize(last) // 2)
    flags = ["--dataset_folder", tiny, *SHORT, "--resume_train"]
    folder = run(train, *flags, last)
    log = open(f"{folder}/info.log").read()
    assert "last_checkpoint.pth is damaged (the checksum of its entry" in log and "Resuming at epoch 1 of 2" in log
    assert_same_end(folder, whole)
    for path in (last, previous_path(last)):
        flip(path, os.path.getsize(path) // 2)
    with pytest.raises(SystemExit) as exit_:
        train.main([*flags, last])
    assert exit_.value.code == 2 and "is damaged" in capsys.readouterr().err
    folder = run(train, *flags, "auto")  # none is sound: a new run, which says why
    assert folder != "logs/default/1" and "is damaged" in open(f"{folder}/info.log").read()
    assert_same_end(folder, whole)


def test_auto_takes_the_newest_sound_run(whole, workdir):
    for number, age in (("1", 100), ("2", 50), ("3", 0)):
        shutil.copytree(whole, f"logs/x/{number}")
        for path in glob.glob(f"logs/x/{number}/*.pth"):
            os.utime(path, (1e9 - age, 1e9 - age))
    assert find_newest_run("logs/x") == ("logs/x/3/last_checkpoint.pth", [])
    for path in glob.glob("logs/x/3/last_checkpoint*"):
        os.truncate(path, 1000)
    found, problems = find_newest_run("logs/x")
    assert (
        found == "logs/x/2/last_checkpoint.pth"
        and len(problems) == 2
        and all("logs/x/3" in problem for problem in problems)
    )
    os.unlink(found)  # the one before it is there
    assert find_newest_run("logs/x")[0] == found
    assert find_newest_run("logs/none") == (None, [])


def test_resuming_lists_all_differences_and_refuses_them(tiny, whole, workdir, capsys):
    flags = ["--dataset_folder", tiny, *SHORT, "--resume_train", f"{whole}/last_checkpoint.pth", "--save_dir", "other"]
    with pytest.raises(SystemExit) as exit_:
        train.main([*flags, "--lr", "0.1", "--loss_m", "0.2", "--hue", "0.1"])
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and "--accept_changes" in error
    assert all(change in error for change in ("--lr 0.001, now 0.1", "--loss_m 0.4, now 0.2", "--hue 0.5, now 0.1"))
    shutil.copytree(tiny, "changed")
    name = sorted(glob.glob("changed/train/**/*.jpg", recursive=True))[0]
    os.rename(name, name.replace("pano0", "panoX"))
    with pytest.raises(SystemExit):
        train.main([*flags, "--dataset_folder", "changed"])
    assert "the images of changed/train or their split into groups" in capsys.readouterr().err


def test_another_machine_is_warned_of(tiny, whole, workdir, monkeypatch):
    original = build.describe_environment
    monkeypatch.setattr(build, "describe_environment", lambda device: {**original(device), "instructions": "AVX9"})
    folder = run(
        train,
        "--dataset_folder",
        tiny,
        *SHORT,
        "--epochs_num",
        3,
        "--resume_train",
        f"{whole}/last_checkpoint.pth",
        "--save_dir",
        "x",
    )
    assert (
        f"The resumed run had instructions {torch.backends.cpu.get_cpu_capability()}, now AVX9"
        in open(f"{folder}/info.log").read()
    )


def test_two_runs_never_share_a_log_folder(tiny, whole, workdir, capsys):
    shutil.copytree(whole, "logs/default/1")
    lock = commons._lock("logs/default/1")
    flags = ["--dataset_folder", tiny, *SHORT, "--epochs_num", "3", "--resume_train", "auto"]
    with pytest.raises(SystemExit) as exit_:
        train.main(flags)
    assert exit_.value.code == 2 and "another run writes to logs/default/1" in capsys.readouterr().err
    lock.close()
    assert run(train, *flags) == "logs/default/1"


# --- numbers that are not finite


def diverging(monkeypatch, step, change):
    """Changes the images that the network gets at a step."""
    original = train.prepare_batches

    def prepare(*args):
        for batch in original(*args):
            yield replace(batch, images=change(batch.images)) if batch.step == step else batch

    monkeypatch.setattr(train, "prepare_batches", prepare)


def test_a_loss_that_is_not_finite_stops_before_a_checkpoint(tiny, workdir, monkeypatch, capsys):
    diverging(monkeypatch, 5, lambda images: images * float("nan"))
    with pytest.raises(SystemExit) as exit_:
        train.main(["--dataset_folder", tiny, *SHORT, "--checkpoint_every", "1"])
    error = capsys.readouterr().err
    assert (
        exit_.value.code == 2
        and "the loss of iteration 5 is nan, at the learning rates network 0.001, head 0.01" in error
    )
    assert "Images of iteration 5: 'sub/@" in error
    state = read_tensors(glob.glob("logs/*/*/last_checkpoint.pth")[0])
    assert (state["epoch_num"], state["iteration"]) == (1, 1)
    assert all(torch.isfinite(value).all() for value in state["model_state_dict"].values())


def test_weights_that_are_not_finite_reach_no_checkpoint(tiny, workdir, monkeypatch, capsys):
    original = train.Run.end_epoch

    def end_epoch(run):
        with torch.no_grad():
            next(run.network.parameters())[0] = float("inf")
        original(run)

    monkeypatch.setattr(train.Run, "end_epoch", end_epoch)
    with pytest.raises(SystemExit):
        train.main(["--dataset_folder", tiny, *SHORT])
    assert "backbone.0.0.0.weight is not finite" in capsys.readouterr().err
    assert not glob.glob("logs/*/*/last_checkpoint.pth")


class Steep(torch.autograd.Function):
    """What it is given, with a gradient that is not finite."""

    @staticmethod
    def forward(context, images):
        return images.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * float("inf")


@pytest.mark.parametrize(("limit", "steps"), [(25, 4), (3, 3)])
def test_skipped_steps_are_counted_and_many_stop_the_run(tiny, workdir, monkeypatch, capsys, limit, steps):
    monkeypatch.setattr("training.step_monitor.MAX_SKIPPED_IN_A_ROW", limit)
    original = train.Objective.__call__
    monkeypatch.setattr(
        train.Objective,
        "__call__",
        lambda self, *args: {name: Steep.apply(term) for name, term in original(self, *args).items()},
    )
    flags = ["--dataset_folder", tiny, *SHORT, "--epochs_num", "1", "--use_amp16", "--amp_dtype", "float16"]
    if limit > 4:
        folder = run(train, *flags)
        assert rows(folder)[0]["skipped_steps"] == "4" and "4 steps skipped" in open(f"{folder}/info.log").read()
        return
    with pytest.raises(SystemExit):
        train.main(flags)
    assert "the gradients of the last 3 iterations, up to 2, are not finite" in capsys.readouterr().err


# --- workers that fail


@pytest.mark.parametrize(
    ("number", "advice"),
    [(signal.SIGKILL, "ran out of memory"), (signal.SIGBUS, "/dev/shm"), (signal.SIGSEGV, "crashed")],
)
def test_a_killed_worker_is_reported_as_that(tiny, workdir, monkeypatch, capsys, number, advice):
    original = TrainDataset.__getitem__
    parent = os.getpid()

    def getitem(dataset, step):
        if step == 3 and os.getpid() != parent:
            signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
            os.kill(os.getpid(), number)
        return original(dataset, step)

    monkeypatch.setattr(TrainDataset, "__getitem__", getitem)
    with pytest.raises(SystemExit) as exit_:
        train.main(["--dataset_folder", tiny, *SHORT, "--num_workers", "1"])
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and advice in error and "--num_workers" in error and "Traceback" not in error
    assert "A checkpoint of epoch 0, iteration " in error


def test_environment(whole):
    import json

    with open(f"{whole}/environment.json") as file:
        environment = json.load(file)
    assert environment["torch"] == torch.__version__.split("+")[0] and environment["arguments"]["lr"] == 0.001
    assert (
        len(environment["digests"]["split"]) == len(environment["digests"]["initial_weights"]) == 64
        and environment["resumed"] == []
    )


def test_find_run_to_resume_needs_a_folder_of_runs(workdir):
    with pytest.raises(UserError, match="there is no file"):
        train.load_run_state("logs/x/last_checkpoint.pth")


def test_a_file_system_without_locks_is_warned_of(tiny, workdir, monkeypatch, caplog):
    def acquire(*args, **kwargs):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(commons.FileLock, "acquire", acquire)
    os.mkdir("folder")
    commons._lock("folder").close()
    assert "folder is on a file system without locks" in caplog.text


def test_auto_begins_from_a_given_network_and_goes_on_with_its_run(tiny, workdir):
    start = run(train, "--dataset_folder", tiny, *SHORT, "--epochs_num", 1, "--save_dir", "start")
    flags = [
        "--dataset_folder",
        tiny,
        *SHORT,
        "--resume_model",
        f"{start}/best_model.pth",
        "--resume_train",
        "auto",
        "--save_dir",
        "tuned",
    ]
    folder = run(train, *flags, "--epochs_num", 1, "--lr", 0)
    assert torch.equal(
        weights(folder)["aggregation.3.weight"], weights(start, "best_model.pth")["aggregation.3.weight"]
    )
    assert run(train, *flags, "--epochs_num", 2, "--lr", 0, "--accept_changes") == folder
    assert "Resuming at epoch 1 of 2" in open(f"{folder}/info.log").read()


def test_checkpoints_are_due_at_the_first_stop_after_every_so_many_iterations(tmp_path):
    """Group-parallel runs can stop where networks are averaged alone."""
    run = SimpleNamespace(epoch=1, iteration=4, ranks=ALONE)
    checkpoints = Checkpoints(run, tmp_path, 3)
    due = []
    for run.epoch, run.iteration in ((1, 5), (1, 6), (1, 8), (1, 10), (1, 12), (2, 2), (2, 4), (2, 6)):
        due += [(run.epoch, run.iteration)] if checkpoints.is_due() else []
    assert due == [(1, 6), (1, 10), (1, 12), (2, 4), (2, 6)]
    assert not Checkpoints(run, tmp_path, 0).is_due()
