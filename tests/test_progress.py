"""Lines on how far a long piece of work is."""

import functools
import io
import logging
import re
from types import SimpleNamespace

import pytest
from tqdm import tqdm

import commons
import train
from retrieval import descriptors
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from support import progress
from tests.descriptors import BATCH, SmallNetwork
from tests.scripts import rows, run
from tests.tiny import FLAGS
from training.progress import TrainingProgress
from training.step_monitor import EpochSums


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
    folder = run(train, "--dataset_folder", tiny, *FLAGS, "--recall_values", "3", "2")
    lines = re.findall(
        r"Epoch (\d\d), iteration (\d): loss \d+\.\d{4}, [\d.]+ images/s, about \d+ s to the end of the epoch, "
        r"\d+ s to the end of the training\n",
        open(f"{folder}/info.log").read(),
    )
    assert lines == [(f"{epoch:02d}", str(step)) for epoch in range(2) for step in (1, 2, 3)]
    # the chosen recalls, with chance beside
    log = open(f"{folder}/info.log").read()
    assert len(re.findall(r"< (?:val|test) - .*>: R@1: [\d.]+, R@2: [\d.]+, R@3: [\d.]+\n", log)) == 3
    assert re.search(r"Chance R@1: 37\.5 on the validation set, 37\.5 on the test set\n", log)
    assert list(rows(folder)[0])[3:6] == ["R@1", "R@2", "R@3"]


def test_speed_and_ends_of_a_training(clock, caplog):
    caplog.set_level(logging.INFO)
    monitor = SimpleNamespace(sums=EpochSums({"loss": 24.0}, steps=3, seconds=6.0))
    run = SimpleNamespace(epoch=1, iteration=3, monitor=monitor)
    schedule = SimpleNamespace(steps=400, iterations_per_epoch=100, batch_size=32, num_places=2, heads=2)
    watched = TrainingProgress(schedule, 100)
    watched.log_if_due(run, 103)
    assert not caplog.messages
    clock[0] += 30  # 3 steps with what is beside them, 6 s of them in the steps
    watched.log_if_due(run, 103)
    assert caplog.messages == [
        "Epoch 01, iteration 3: loss 8.0000, 64.0 images/s, about 3 min to the end of the epoch, "
        "50 min to the end of the training"
    ]
    monitor.sums, clock[0] = EpochSums(), clock[0] + 60
    watched.log_if_due(run, 103)
    assert caplog.messages[1].startswith("Epoch 01, iteration 3: about 2 h 28 min to the end")
    watched = TrainingProgress(schedule, 100, may_end_early=True)
    clock[0] += 30
    watched.log_if_due(run, 103)
    assert caplog.messages[2].endswith("50 min to the end of the training at the latest")


def test_the_bar_of_an_epoch_shows_its_loss(monkeypatch):
    terminal = io.StringIO()
    bar = functools.partial(tqdm, file=terminal, mininterval=0)
    monkeypatch.setattr(train, "tqdm", lambda *args, **options: bar(*args, **{**options, "disable": False}))
    monitor = SimpleNamespace(sums=EpochSums())
    steps = train.epoch_batches(iter("abcde"), 4, SimpleNamespace(epoch=2, iteration=1, monitor=monitor))
    assert next(steps) == "a"
    monitor.sums = EpochSums({"loss": 6.0}, steps=2)
    assert list(steps) == ["b", "c"]  # of the epoch's 4, one was done
    assert re.search(r"Epoch 02: .*\| [34]/4 .*loss=3\.0000", terminal.getvalue())


def test_a_long_extraction_says_how_far_it_is(images, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    extract_descriptors(SmallNetwork(), images, ExtractionOptions(BATCH), description="queries")
    assert not caplog.messages  # it was quick
    monkeypatch.setattr(descriptors, "EVERY", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    extract_descriptors(SmallNetwork(), images, ExtractionOptions(BATCH), description="queries")
    form = r"queries, (\d+) of 40 images: [\d.]+ images/s, about \d+ s to the end"
    assert [int(re.fullmatch(form, line)[1]) for line in caplog.messages] == list(range(1, 40))
    caplog.clear()
    monkeypatch.setattr(descriptors.distributed, "is_main", lambda: False)
    extract_descriptors(SmallNetwork(), images, ExtractionOptions(BATCH))
    assert not caplog.messages


def test_lines_stand_above_a_progress_bar(tmp_path, capsys):
    handler = commons._Terminal()
    with tqdm(total=2, desc="steps", file=handler.stream, mininterval=0) as bar:
        bar.update()
        handler.emit(logging.makeLogRecord({"msg": "a line", "levelno": logging.INFO}))
    before = capsys.readouterr().err.split("a line\n")[0]
    assert before.endswith("\r")  # the bar's line was cleared first
