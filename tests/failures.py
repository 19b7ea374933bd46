"""Failures at a place with a name: a step, a validation, the write of a file. No test counts calls.

What the program calls there is named here alone, so that a change of the code is followed in one place.
"""

import contextlib
import csv
import glob
import os
import resource
import signal

import train
import training.checkpoints
from training.run import Run


class Killed(BaseException):
    """As SIGKILL: nothing of ours catches it."""


def kill():
    raise Killed


def send(number):
    """An action that sends this process a signal."""
    return lambda: os.kill(os.getpid(), number)


def interrupt():
    """As Ctrl-C."""
    raise KeyboardInterrupt


def before(patch, owner, name, when, action):
    """action() is called in those calls of owner.name whose arguments `when` accepts, before anything else."""
    original = getattr(owner, name)

    def watched(*args, **kwargs):
        if when(*args, **kwargs):
            action()
        return original(*args, **kwargs)

    patch.setattr(owner, name, watched)


def at_step(patch, step, action):
    """action() in the middle of a training step: `step` counts over all epochs, from 0."""
    before(patch, Run, "set_learning_rates", lambda run, at: at == step, action)


def at_validation(patch, epoch, action):
    """action() at the beginning of an epoch's validation, which metrics.csv has no row of yet."""
    before(patch, train, "test", lambda *_, **__: validated_epochs() == epoch, action)


def validated_epochs():
    """The number of rows in the metrics.csv of the only run."""
    paths = glob.glob("logs/*/*/metrics.csv")
    if not paths:
        return 0
    with open(*paths) as file:
        return len(list(csv.DictReader(file)))


def at_end_of_epoch(patch, epoch, action):
    """action() between the writes of best_model.pth and of the checkpoint that end an epoch."""
    ended = (epoch + 1, 0)
    before(
        patch,
        training.checkpoints,
        "save_run_state",
        lambda state, path: (state["epoch_num"], state["iteration"]) == ended,
        action,
    )


def once_there(patch, owner, name, number, pattern, action):
    """action() in owner.name as soon as `number` files of a pattern are there."""
    before(patch, owner, name, lambda *_, **__: len(glob.glob(pattern, recursive=True)) == number, action)


# --- disks


@contextlib.contextmanager
def file_size_limit(limit):
    """No file of this process can grow beyond so many bytes: writes fail as on a full disk (Python ignores the signal
    that comes along).
    """
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, previous[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous)


def limited_within(patch, owner, name, limit, when=lambda *_, **__: True):
    """A file_size_limit within those calls of owner.name whose arguments `when` accepts."""
    original = getattr(owner, name)

    def limited(*args, **kwargs):
        with file_size_limit(limit) if when(*args, **kwargs) else contextlib.nullcontext():
            return original(*args, **kwargs)

    patch.setattr(owner, name, limited)


def full_in_the_middle_of(patch, is_it):
    """The disk is full from the middle of a write on: half of it is done. is_it(name of the file below the working
    folder, data, offset or None) says which.
    """
    is_full = []

    def failing(real):
        def write(handle, data, *offset):
            if is_full:
                raise OSError(28, "No space left on device")
            if is_it(_name_of(handle), bytes(data), *(offset or (None,))):
                is_full.append(True)
                data = data[: len(data) // 2]
            return real(handle, data, *offset)

        return write

    patch.setattr(os, "write", failing(os.write))
    patch.setattr(os, "pwrite", failing(os.pwrite))


def _name_of(handle):
    """The name of an open file, "" if it is not below the working folder."""
    status = os.fstat(handle)
    paths = glob.glob("**", recursive=True)
    return next((os.path.basename(path) for path in paths if os.path.samestat(os.lstat(path), status)), "")


@contextlib.contextmanager
def ends_within(seconds):
    """Fails where the block waits longer, as for a FIFO."""

    def fail(*_):
        raise AssertionError(f"this waited for {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
