"""Lines on how far a long piece of work is."""

import logging
import re

import pytest
from tqdm import tqdm

import commons
import train
from support import progress
from tests.scripts import run
from tests.tiny import FLAGS


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still: [seconds]."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_is_due_within_the_first_minute_and_then_every_minute(clock):
    watched, due = progress.Progress(100), []
    for second in range(200):
        clock[0] = 1000.0 + second
        if watched.is_due():
            due.append(second)
    assert due == [20, 80, 140]


def test_the_time_left_is_that_of_this_process(clock):
    watched = progress.Progress(total=110, done=10)
    clock[0] += 50
    assert watched.left(20) == "8 min"  # 10 steps in 50 s, 90 to go
    assert watched.left(110) == "0 s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (100, "2 min"), (7100, "118 min"), (12_000, "3 h 20 min")]
)
def test_times_in_words(seconds, words):
    assert progress.describe_seconds(seconds) == words


def test_a_training_tells_the_time_to_its_end(tiny, workdir, monkeypatch):
    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    folder = run(train, "--dataset_folder", tiny, *FLAGS)
    lines = re.findall(
        r"Epoch (\d\d), iteration (\d): loss [\d.]+, about \d+ s to the end", open(f"{folder}/info.log").read()
    )
    assert lines == [(f"{epoch:02d}", str(step)) for epoch in range(2) for step in (1, 2, 3)]


def test_lines_stand_above_a_progress_bar(tmp_path, capsys):
    handler = commons._Terminal()
    with tqdm(total=2, desc="steps", file=handler.stream, mininterval=0) as bar:
        bar.update()
        handler.emit(logging.makeLogRecord({"msg": "a line", "levelno": logging.INFO}))
    before = capsys.readouterr().err.split("a line\n")[0]
    assert before.endswith("\r")  # the bar's line was cleared first
