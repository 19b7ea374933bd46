"""What benchmarks.kill_test and benchmarks.memory measure with: that it kills where it says, and sees what differs."""

import json
import os
import sys
import time
import types

import pytest
import torch

from benchmarks import kill_test, memory
from benchmarks.damage import damage
from benchmarks.killing import Place, run
from support.files import write_tensors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at as Linux has them")


SLOW = 6


def step(number):
    with open("steps.txt", "a") as file:
        file.write(f"begun {number}\n")
        file.flush()
        time.sleep(9 if number == SLOW else 0.01)
        file.write(f"ended {number}\n")


def main(flags):
    if flags[1:] == ["orphan"] and not os.fork():
        time.sleep(3)
        os._exit(0)
    for number in range(int(flags[0])):
        sys.modules[__name__].step(number)
    return 3


SCRIPT = types.SimpleNamespace(main=main)
STEP = Place("a step", f"{__name__}:step", lambda number: number % 2 == 0)


def test_a_run_is_killed_inside_the_call_that_was_asked_for(workdir):
    outcome = run(SCRIPT, ["9"], workdir, STEP, nth=4, seconds=0.02)
    assert (outcome.killed, outcome.code, outcome.survivors) == (True, -9, False)
    steps = (workdir / "steps.txt").read_text().splitlines()
    assert steps == [f"{what} {number}" for number in range(SLOW) for what in ("begun", "ended")] + [f"begun {SLOW}"]


def test_a_function_that_ends_first_waits_for_its_end(workdir):
    assert run(SCRIPT, ["9"], workdir, STEP, nth=1, seconds=1).killed
    assert (workdir / "steps.txt").read_text() == "begun 0\nended 0\n"


def test_runs_that_are_not_killed(workdir):
    outcome = run(SCRIPT, ["5"], workdir, measured=[STEP])
    assert (outcome.killed, outcome.code, outcome.survivors) == (False, 3, False)
    seconds = json.loads(outcome.told)["a step"]
    assert len(seconds) == 3 and min(seconds) >= 0.01
    assert run(SCRIPT, ["2"], workdir, STEP, nth=2, seconds=0)[:2] == (False, 3)  # it never came by there
    assert run(SCRIPT, ["1"], workdir, seconds=10)[:2] == (False, 3)
    assert run(SCRIPT, ["99"], workdir, seconds=0.2)[:2] == (True, -9)


def test_a_process_that_outlives_its_run_is_seen(workdir, monkeypatch):
    monkeypatch.setattr("benchmarks.killing._PATIENCE", 0.3)
    assert run(SCRIPT, ["1", "orphan"], workdir, STEP, nth=1, seconds=0).survivors


def test_differences_are_bit_by_bit():
    a = {"x": torch.tensor([0.0, 1.0]), "y": [1, {"z": "w"}]}
    assert kill_test.differences(a, {"x": torch.tensor([0.0, 1.0]), "y": [1, {"z": "w"}]}) == []
    assert kill_test.differences(a, a | {"x": torch.tensor([-0.0, 1.0])}) == ["/x"]
    assert kill_test.differences(a, a | {"y": [1, {"z": "v"}]}) == ["/y/1/z (w / v)"]
    assert (
        kill_test.differences(a, {"x": a["x"]}) and kill_test.differences(1, 1.0) and kill_test.differences([1], [1, 2])
    )
    nan = torch.tensor([float("nan")])
    assert kill_test.differences(nan, nan.clone()) == []


def test_places_are_there():
    """A place that was renamed would never be killed in: the benchmark would say nothing of it."""
    import pkgutil

    for place in (*kill_test.STARTING, *kill_test.TRAINING, *kill_test.TESTING):
        assert callable(pkgutil.resolve_name(place.function)), place.name


def test_damage_that_is_not_noticed_is_counted(workdir, monkeypatch):
    for name in ("best_model.pth", "last_checkpoint.pth"):
        write_tensors({"weight": torch.arange(100_000.0)}, name)
    total = {name: sum(counts[name] for counts in damage(".", 40).values()) for name in ("number", "named", "missed")}
    assert total["number"] == 40 and total["named"] > 30 and total["missed"] == 0
    monkeypatch.setattr("support.files._check_sums", lambda *_: 0)  # as torch.load alone
    assert sum(counts["missed"] for counts in damage(".", 40).values()) > 5


def test_a_trend_is_no_matter_of_single_epochs():
    assert memory.trend([100.0, 101, 102, 103, 104]) == pytest.approx(100 * 4 / 102)
    assert memory.trend([100.0, 100, 150, 100, 100, 100]) == 0


def test_memory_of_a_process_and_its_children():
    before = memory.pss(os.getpid())
    held = bytearray(os.urandom(1 << 24))
    assert memory.pss(os.getpid()) - before > 1 << 23 and held
    child = os.fork()
    if not child:
        time.sleep(30)
        os._exit(0)
    try:
        assert child in memory.children(os.getpid()) and memory.pss(child) > 0
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert memory.pss(child) == 0
