"""Runs of train.py that are killed by SIGKILL inside a function of choice, or at any moment."""

import contextlib
import functools
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple

import torch

from benchmarks.measure import ROOT

_PATIENCE = 20  # seconds that processes of a killed run may take to end


class Place(NamedTuple):
    """A function in which a run is killed."""

    name: str
    function: str  # "module:name", as pkgutil.resolve_name takes it
    matches: object = None  # called with the function's arguments: whether a call counts


class Outcome(NamedTuple):
    """How a run ended."""

    killed: bool
    code: int  # negative: the signal that ended it
    survivors: bool  # whether a process of the run outlived it
    told: bytes  # what the run wrote to its parent


def run(
    script: ModuleType,
    flags: list[str],
    folder: str,
    place: Place | None = None,
    nth: int = 1,
    seconds: float | None = None,
    measured: Sequence[Place] = (),
) -> Outcome:
    """Forks a process that runs script.main(flags) in a folder, and kills it.

    script: a module with main(argv)
    flags: its command line
    folder: the working folder; output goes to its output.txt
    place: where the run is killed; None for any moment
    nth: which of its calls that is
    seconds: the time from the entry into `place`, or from the start, to the kill; None for no kill. A call that would
        end before waits
    measured: Places whose calls are timed; Outcome.told is then JSON, {name: seconds of each call}
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        _be_the_run(script, flags, folder, writing, place, nth, measured)
    os.close(writing)
    try:
        if place is None and seconds is not None:
            select.select([reading], [], [], seconds)  # nothing is told before the end
        elif place is not None:
            if os.read(reading, 1):  # else it ended without being there
                time.sleep(seconds)
        killed = seconds is not None and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        if killed:
            os.kill(pid, signal.SIGKILL)
        told, survivors = _read_to_the_end(reading, _PATIENCE if killed else None)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return Outcome(killed and code == -signal.SIGKILL, code, survivors, told)
    finally:
        os.close(reading)


def run_process(script: ModuleType, flags: list[str], folder: str, seconds: float | None) -> Outcome:
    """Does as `run` with a `python script.py flags`, killed at any moment.

    script: the module of the script
    flags: its command line
    folder: the working folder
    seconds: the time from its first line of output to the kill; None for no kill
    """
    command = [sys.executable, os.path.join(ROOT, script.__name__ + ".py"), *flags]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # bits depend on their number
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, **threads}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        process.stderr.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):  # its output is little enough for the pipe
            process.wait(seconds)
        process.kill()
        survivors = _read_to_the_end(process.stderr.fileno(), _PATIENCE)[1]
    return Outcome(process.returncode == -signal.SIGKILL, process.returncode, survivors, b"")


def _read_to_the_end(reading: int, patience: float | None):
    """Returns (all bytes of a pipe, whether a process still holds its other end after `patience` seconds).

    All processes of a run hold it.
    """
    told = b""
    while select.select([reading], [], [], patience)[0]:
        data = os.read(reading, 1 << 16)
        if not data:
            return told, False
        told += data
    return told, True


def _be_the_run(
    script: ModuleType,
    flags: list[str],
    folder: str,
    writing: int,
    place: Place | None,
    nth: int,
    measured: Sequence[Place],
):
    """Runs the script in the forked process; never returns."""
    code = 70
    try:
        os.chdir(folder)
        with open("output.txt", "ab") as output:
            for number in (1, 2):
                os.dup2(output.fileno(), number)
        seconds = {}
        for wanted in measured:
            _replace(wanted, functools.partial(_timing, seconds=seconds.setdefault(wanted.name, [])))
        if place:
            _replace(place, functools.partial(_telling, nth=nth, writing=writing))
        try:
            code = script.main(flags) or 0
        except SystemExit as ending:
            code = ending.code
        if measured:
            os.write(writing, json.dumps(seconds).encode())
    finally:
        os._exit(code)


def _replace(place: Place, wrap: Callable[[Callable], Callable]):
    owner, _, name = place.function.rpartition("." if "." in place.function.partition(":")[2] else ":")
    owner = pkgutil.resolve_name(owner)
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args, **kwargs):
        if place.matches and not place.matches(*args, **kwargs):
            return original(*args, **kwargs)
        return call(*args, **kwargs)

    call = wrap(original)
    setattr(owner, name, wrapped)


def _timing(original: Callable, seconds: list[float]):
    def call(*args, **kwargs):
        start = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - start)

    return call


def _telling(original: Callable, nth: int, writing: int):
    calls = []

    def call(*args, **kwargs):
        calls.append(None)
        if len(calls) != nth:
            return original(*args, **kwargs)
        os.write(writing, b"!")
        try:
            return original(*args, **kwargs)
        finally:
            time.sleep(_PATIENCE)  # SIGKILL is on its way

    return call
