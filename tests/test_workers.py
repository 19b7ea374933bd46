"""Processes that read images: what they lack is said, and their owner ends them."""

import errno
import gc
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import torch

import commons
import distributed
import eval as eval_script
import train
from datasets.images import open_rgb
from retrieval import store
from support import workers
from support.errors import UserError
from support.workers import Loader
from tests.failures import at_step, before, send
from tests.ranks import run_ranks
from tests.scripts import assert_all_end, is_running
from tests.tiny import FEW


class Items(torch.utils.data.Dataset):
    """Item i is the tensor i, of 200 kB; in a worker, item `at` does something before."""

    def __init__(self, at, action):
        self.at, self.action, self.parent = at, action, os.getpid()

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == self.at and os.getpid() != self.parent:
            self.action()
        return torch.full((50_000,), float(index))


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def fill_memory():
    """What this process shares from now on must be small, as with a full /dev/shm."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def use_up_files():
    while True:
        try:
            os.dup(0)
        except OSError:
            break


@pytest.fixture
def no_patience(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.5)
    monkeypatch.setattr(workers, "_LOOK", 0.1)
    monkeypatch.setattr(workers, "_LEAVE", 0.3)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (fill_memory, r"cannot be handed over: .*/dev/shm.* is full: .*--shm-size.*--num_workers"),
        (use_up_files, r"too many files are open: .*ulimit -n.*--num_workers"),
        (stop, r"no batch has come for .* s from the processes that read images, though they live"),
        (lambda: os._exit(3), r"exited unexpectedly with exit code 3.*--num_workers"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"killed by signal: Killed.*ran out of memory"),
    ],
)
def test_a_batch_that_does_not_come_is_explained(no_patience, action, message):
    """Those before it come. (A worker that has stopped cannot hand over what it has sent, either.)"""
    start, got = time.monotonic(), []
    with Loader(Items(1, action), 1, timeout=5) as loader, pytest.raises(UserError, match=message):  # 5: to fail
        for item in loader:
            got.append(int(item[0]))
        raise AssertionError(got)
    assert got in ([], [0]) and time.monotonic() - start < 4
    assert not multiprocessing.active_children()


def test_a_worker_that_is_stopped_for_a_while_goes_on(monkeypatch):
    monkeypatch.setattr(workers, "_LOOK", 0.1)
    with Loader(Items(1, stop), 2) as loader:
        assert int(next(loader)[0]) == 0
        for process in multiprocessing.active_children():
            threading.Timer(0.6, os.kill, [process.pid, signal.SIGCONT]).start()
        start = time.monotonic()
        assert [int(item[0]) for item in loader] == [1, 2, 3, 4, 5] and time.monotonic() - start > 0.4


@pytest.mark.parametrize("action", [lambda: time.sleep(100), stop])
def test_the_owner_ends_workers_that_are_busy(no_patience, action):
    """Whatever refers to the loader."""
    with pytest.raises(ValueError, match="a bug") as kept, Loader(Items(3, action), 2) as loader:
        next(loader)
        processes = multiprocessing.active_children()
        start = time.monotonic()
        raise ValueError("a bug")
    assert len(processes) == 2 and kept.value.__traceback__
    assert time.monotonic() - start < 2 and not any(is_running(process.pid) for process in processes)


def test_workers_outlive_the_thread_that_started_them():
    with Loader(Items(3, lambda: time.sleep(0.3)), 1) as loader:
        thread = threading.Thread(target=next, args=[loader])
        thread.start()
        thread.join()
        assert [int(item[0]) for item in loader] == [1, 2, 3, 4, 5]


def begin_in_thread(sender):
    def begin():
        loader = Loader(Items(1, lambda: time.sleep(100)), 2)
        next(loader)
        sender.send([worker.pid for worker in loader._workers])

    threading.Thread(target=begin).start()
    time.sleep(100)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")
def test_workers_of_a_thread_end_with_the_process():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=begin_in_thread, args=[sender])
    process.start()
    sender.close()
    pids = receiver.recv()
    process.kill()
    process.join()
    assert len(pids) == 2
    assert_all_end(pids)


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("Queue", errno.ENOSPC, "/dev/shm.* is full"),
        ("Event", errno.EROFS, "/dev/shm.* may not be written"),
        ("Process", errno.EAGAIN, "ran out of memory"),
    ],
)
def test_workers_that_cannot_be_started_leave_nothing(monkeypatch, name, number, message):
    """Neither the worker that had been started, nor words of an iterator that is half made."""
    real, calls, ignored = getattr(torch.multiprocessing, name), [], []

    def fail(*args, **options):
        calls.append(name)
        if name != "Process" or len(calls) > 1:
            raise OSError(number, os.strerror(number))
        return real(*args, **options)

    monkeypatch.setattr(torch.multiprocessing, name, fail)
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    with pytest.raises(UserError, match=message), Loader(Items(0, lambda: time.sleep(100)), 2) as loader:
        next(loader)
    until = time.monotonic() + 2
    while multiprocessing.active_children() and time.monotonic() < until:
        time.sleep(0.01)
    gc.collect()
    assert not ignored and not multiprocessing.active_children()


# --- the caller's own SIGALRM


@pytest.fixture
def alarm():
    """Sets a handler and a timer: alarm(handler, seconds, interval)."""
    before = signal.getsignal(signal.SIGALRM)

    def set_alarm(handler, *times):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *times)

    yield set_alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def wait(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


def test_the_callers_alarm_comes_at_its_time(monkeypatch, alarm):
    monkeypatch.setattr(workers, "_LOOK", 0.1)
    start, alarms, looks = time.monotonic(), [], []

    def handler(*_):
        alarms.append(time.monotonic() - start)

    alarm(handler, 0.25, 0.3)
    with workers._looking(looks.append, True):
        wait(0.65)
    assert [round(seconds, 1) for seconds in alarms] in ([0.2, 0.6], [0.3, 0.6])
    assert len(looks) >= 5 and 0.4 < looks[-1] < 0.7
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    assert signal.getsignal(signal.SIGALRM) is handler and 0 < left <= 0.3 and interval == 0.3
    wait(0.35)
    assert len(alarms) == 3


def test_an_alarm_that_sets_the_next_or_ends_the_wait(no_patience, alarm):
    alarms = []

    def handler(*_):
        alarms.append(None)
        if len(alarms) == 3:
            raise TimeoutError
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    with Loader(Items(1, lambda: time.sleep(100)), 1) as loader:
        next(loader)
        alarm(handler, 0.05)
        with pytest.raises(TimeoutError):
            next(loader)
    assert signal.getsignal(signal.SIGALRM) is handler and signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_time_that_went_by_unnoticed_is_noticed_at_the_end(alarm):
    alarms = []
    alarm(lambda *_: alarms.append(None), 0.05)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    try:
        with workers._looking(print, True):
            wait(0.1)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    wait(0.1)
    assert len(alarms) == 1


def test_too_many_open_files_are_no_bad_image(workdir):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    (workdir / "image.jpg").touch()
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files") as raised:
            open_rgb("image.jpg")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert raised.value.errno == errno.EMFILE


# --- every end of a script: no worker is left to the collector, or to the interpreter's end, which would wait for it


def bug():
    raise ValueError("a bug")


def mistake():
    raise UserError("fix it")


ENDS = {"signal": (send(signal.SIGTERM), 143), "user's error": (mistake, 2), "bug": (bug, 1)}


@pytest.fixture
def no_collector():
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("end", ENDS)
def test_an_evaluation_ends_its_workers(tiny, workdir, monkeypatch, no_collector, end):
    action, code = ENDS[end]
    before(monkeypatch, store.DescriptorStore, "write", lambda *_: True, action)
    flags = ["--backbone", "Small", "--backbone_weights", "none", "--device", "cpu", "--num_workers", "2"]
    with pytest.raises(SystemExit) as ended:
        eval_script.main(["--dataset_folder", tiny, *flags, "--no_descriptors_cache"])
    assert ended.value.code == code and not multiprocessing.active_children()


def test_a_training_ends_its_workers(tiny, workdir, monkeypatch, no_collector):
    at_step(monkeypatch, 1, bug)
    with pytest.raises(SystemExit) as ended:
        train.main(["--dataset_folder", tiny, *FEW, "--num_workers", "2"])
    assert ended.value.code == 1 and not multiprocessing.active_children()


def body(args, folder):
    """A script that waits for ranks and has workers, and ends on rank 1 in some way."""
    with Loader(Items(4, lambda: time.sleep(100)), 2) as loader:
        next(loader)
        distributed.barrier()
        if distributed.rank():
            ENDS[args.end][0]()
        distributed.barrier()


def end_of(name):
    args = SimpleNamespace(save_dir="ends", end=name)
    try:
        commons.run_experiment(body, args)
    finally:
        with open(f"ended{os.environ['RANK']}", "w") as file:
            file.write(str(time.monotonic()))


@pytest.mark.parametrize("end", ENDS)
def test_ranks_end_at_once(workdir, no_patience, end):
    _, codes, errors = run_ranks(2, end_of, end)
    until = time.monotonic()
    assert codes == [ENDS[end][1]] * 2, errors
    assert until - min(float(open(f"ended{rank}").read()) for rank in range(2)) < 5
