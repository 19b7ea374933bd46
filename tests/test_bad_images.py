"""bad_images.txt, the limit of bad images, and what train.py and eval.py make of both."""

import errno
import glob
import logging
import os
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import eval as eval_script
import train
from datasets.bad_images import BadImages, escape, unescape
from datasets.groups import build_groups
from datasets.night.augmentation import NightAugmentation
from datasets.night.target_images import TargetImages
from datasets.schedule import Schedule
from datasets.target_dataset import DomainImages
from datasets.test_dataset import TestDataset
from datasets.train_dataset import Batch, TrainDataset
from model.network import GeoLocalizationNet
from support.errors import UserError
from support.files import replacing
from test import summarize, test
from tests.photos import encoded, photo, save
from tests.scripts import fails
from tests.tiny import FLAGS


def batch(unreadable=(), resized=(), error="", size=4, domain=None, night=None):
    return Batch(
        0,
        0,
        0,
        0,
        torch.zeros(size, 3, 36, 40),
        torch.zeros(size),
        [],
        list(unreadable),
        list(resized),
        error,
        domain,
        night,
    )


def numbered(*numbers):
    return [(f"f/{number}.jpg", f"reason {number}") for number in numbers]


def lines(folder="."):
    return open(f"{folder}/bad_images.txt", encoding="utf-8").read().splitlines()


def test_each_is_logged_and_listed_once(workdir, caplog):
    bad = BadImages(".")
    bad.take(batch())
    assert not os.path.exists("bad_images.txt")
    bad.take(batch(numbered(1, 2), resized=["f/odd.jpg"]))
    bad.take(batch(numbered(2, 3, 2, 3), resized=["f/odder.jpg", "f/odd.jpg"]))
    assert lines() == ["f/1.jpg\treason 1", "f/2.jpg\treason 2", "f/3.jpg\treason 3"]
    warned = [record.getMessage() for record in caplog.records]
    assert (
        warned[:2] == [f"Unreadable image, another is taken: 'f/{n}.jpg': reason {n}" for n in (1, 2)]
        and len(warned) == 4
    )
    assert warned[2].startswith("'f/odd.jpg' is not of 40 x 36 pixels")
    with caplog.at_level(logging.INFO):
        bad.log_totals()
    assert "18 images read so far: 3 resized, 3 unreadable (listed in ./bad_images.txt)" in caplog.text


def test_domain_and_night_images_count_too(workdir):
    for name in ("train", "target"):
        os.mkdir(name)
        for number in range(3):
            save(encoded(photo()))(f"{name}/@551005@4181005@@@@@@{number}@0@@@@@@.jpg")
    broken = "target/@551005@4181005@@@@@@1@0@@@@@@.jpg"
    os.truncate(broken, 100)
    groups = build_groups(os.listdir("train"), 10, 30, 1, 1, 1)
    schedule = Schedule([1], 1, 20, 1, seed=0)
    for domain, night in (
        (DomainImages("train", groups, schedule, ["target"], 3), None),
        (None, NightAugmentation("fda", 1.0, 0.05, TargetImages("target"))),
    ):
        bad = BadImages(".")
        dataset = TrainDataset("train", groups, schedule, domain, None, night)
        batches = [dataset[step] for step in range(20)]
        for each in batches:
            bad.take(each)
        assert list(bad.unreadable) == [broken] and "Truncated" in bad.unreadable[broken]
        assert bad.num_read == 20 * (4 if domain else 2) + sum(len(each.unreadable) for each in batches)
        assert lines() == [f"{broken}\t{bad.unreadable[broken]}"]
        os.unlink("bad_images.txt")


@pytest.mark.parametrize(
    ("limit", "read", "allowed"), [(None, 0, 10), (None, 10_998, 10), (None, 11_980, 11), (0, 10**6, 0), (3, 10**6, 3)]
)
def test_the_limit(workdir, limit, read, allowed):
    """By default more than 10 and more than 0.1% of the images read."""
    bad = BadImages(".", limit)
    bad.num_read = read - 2 * allowed  # each costs a row, and an image that another replaced
    for number in range(allowed):
        bad.take(batch(numbered(number), size=1))
    with pytest.raises(UserError) as error:
        bad.take(batch([("f/last\n.jpg", "cut\toff")], size=0))
    assert str(error.value) == (
        f"{allowed + 1} of the {read + 1} images read so far cannot be read, and {allowed} may be "
        "(see ./bad_images.txt; the last is 'f/last\\n.jpg': cut\\toff); "
        "fix or remove them, or allow so many with --max_bad_images"
    )
    assert len(lines()) == allowed + 1
    bad.take(batch([("f/last\n.jpg", "cut\toff")], size=1))  # it is the new ones that stop a run


def test_a_class_without_images_stops_the_run_with_its_list(workdir):
    with pytest.raises(UserError, match="no image of the class"):
        BadImages(".").take(batch(numbered(1), error="no image of the class"))
    assert len(lines()) == 1


@given(st.text() | st.binary().map(os.fsdecode))
def test_escaped_texts_are_one_line_and_come_back(text):
    line = escape(text)
    assert line.isprintable() and line.splitlines() in ([line], []) and "\t" not in line and unescape(line) == text
    line.encode()  # no surrogates
    assert unescape(text) is not None


def test_names_that_no_line_can_hold(workdir):
    entries = [
        ("f/tab\there\n.jpg", "line\nbreak"),
        ("f/\x1b[31mred.jpg", "\u202ereason"),
        ("f/caf\udce9 \u00e9.jpg", "back\\slash"),
    ]
    BadImages(".").take(batch(entries))
    assert lines() == [
        "f/tab\\there\\n.jpg\tline\\nbreak",
        "f/\\x1b[31mred.jpg\t\\u202ereason",
        "f/caf\\udce9 \u00e9.jpg\tback\\\\slash",
    ]
    assert list(BadImages(".").unreadable.items()) == entries


def test_a_resumed_run_goes_on_with_its_list(workdir, caplog):
    first = BadImages(".")
    first.take(batch(numbered(1, 2), resized=["f/odd.jpg"]))
    state = first.state()
    first.take(batch(numbered(3)))  # and then it is killed
    torch.save(state, "state.pth")
    for folder, known in ((".", 3), ("other", 2)):
        os.makedirs(folder, exist_ok=True)
        resumed = BadImages(folder)
        resumed.restore(torch.load("state.pth", weights_only=True))
        assert (resumed.num_read, resumed.num_resized, len(lines(folder))) == (6, 1, known)
        caplog.clear()
        resumed.take(batch(numbered(3)))
        assert ("f/3.jpg" in caplog.text) == (known == 2)
        resumed.take(batch(numbered(4)))
        assert lines(folder) == [f"{path}\t{reason}" for path, reason in numbered(1, 2, 3, 4)]
        assert resumed.state()["num_read"] == 16


def test_what_another_hand_wrote_is_kept(workdir):
    with open("bad_images.txt", "wb") as file:
        file.write(b"f/1.jpg\treason\n\nf/no reason.jpg\nf/\xff.jpg\tcut of")
    BadImages(".").take(batch(numbered(1, 2)))
    assert lines() == ["f/1.jpg\treason", "f/no reason.jpg\t", "f/\xff.jpg\tcut of", "f/2.jpg\treason 2"]
    os.unlink("bad_images.txt")
    os.mkdir("bad_images.txt")
    with pytest.raises(UserError, match="bad_images.txt cannot be read: Is a directory"):
        BadImages(".")


def test_a_full_disk_is_one_warning(workdir, caplog, monkeypatch):
    bad = BadImages(".")
    bad.take(batch(numbered(1)))
    with monkeypatch.context() as patched:

        def refuse(*args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patched.setattr(os, "fsync", refuse)
        for number in (2, 3):
            bad.take(batch(numbered(number)))
        bad.log_totals()
        assert lines() == ["f/1.jpg\treason 1"] and os.listdir() == ["bad_images.txt"]
    assert caplog.text.count("No space left on device; the run goes on") == 1
    bad.state()
    assert len(lines()) == 3


def test_many_are_not_each_a_file_written(workdir, monkeypatch):
    written = []
    monkeypatch.setattr("datasets.bad_images.replacing", lambda path: written.append(path) or replacing(path))
    bad = BadImages(".", 10**6)
    for number in range(300):
        bad.take(batch(numbered(number), size=0))
    assert 100 < len(written) < 220
    bad.log_totals()
    assert len(lines()) == 300


def test_unreadable_test_images(workdir):
    dataset = SimpleNamespace(database=Folder("db", 30), queries=Folder("q", 20))
    result = summarize(np.zeros((20, 1), int), [[0]] * 20, 30, {4: "cut off"}, {2: "empty", 7: "text"})
    bad = BadImages(".", 2)
    with pytest.raises(UserError, match="3 of the 50 images read so far cannot be read, and 2 may be"):
        bad.take_test(dataset, result)
    assert lines() == ["db/2\tempty", "db/7\ttext", "q/4\tcut off"]
    bad.take_test(dataset, result)  # the next validation
    assert bad.num_read == 100 and len(lines()) == 3


class Folder:
    def __init__(self, folder, count):
        self.folder, self.count = folder, count

    def __len__(self):
        return self.count

    def path(self, index):
        return f"{self.folder}/{index}"


# --- the scripts


@pytest.fixture
def bad_copy(tiny, workdir):
    """A data set with a bad image in each of its parts: {part: path}."""
    shutil.copytree(tiny, "copy")
    bad = {
        part: sorted(glob.glob(f"copy/{part}/**/*.jpg", recursive=True))[2]
        for part in ("train", "val/database", "test/queries_v1", "test/database")
    }
    for path in bad.values():
        os.truncate(path, 400)
    return bad


def test_training_lists_them_and_a_resumed_run_goes_on(bad_copy):
    flags = ["--dataset_folder", "copy", *FLAGS, "--iterations_per_epoch", "12"]
    train.main([*flags, "--epochs_num", "1"])
    [folder] = glob.glob("logs/default/*")
    listed = [line.split("\t")[0] for line in lines(folder)]
    assert sorted(listed) == sorted(bad_copy.values()) and all("runcated" in line for line in lines(folder))
    train.main([*flags, "--epochs_num", "2", "--resume_train", f"{folder}/last_checkpoint.pth"])
    assert [line.split("\t")[0] for line in lines(folder)] == listed


def test_training_ends_above_the_limit(bad_copy, capsys):
    line = fails(train, capsys, "--dataset_folder", "copy", *FLAGS, "--iterations_per_epoch", 12, "--max_bad_images", 0)
    assert (
        re.search("error: 1 of the .* images read so far cannot be read, and 0 may be", line)
        and bad_copy["train"] in line
    )
    assert [line.split("\t")[0] for line in lines(glob.glob("logs/default/*")[0])] == [bad_copy["train"]]


def test_evaluation_above_the_limit_ends_after_its_recalls(bad_copy, capsys):
    flags = [
        "--dataset_folder",
        "copy",
        "--backbone_weights",
        "none",
        "--fc_output_dim",
        8,
        "--num_workers",
        0,
        "--num_preds_to_save",
        1,
    ]
    line = fails(eval_script, capsys, *flags, "--max_bad_images", 1)
    [folder] = glob.glob("logs/default/*")
    assert (
        "error: 2 of the 36 images read so far cannot be read, and 1 may be" in line
        and f"see {folder}/bad_images.txt" in line
    )
    assert "R@1: " in open(f"{folder}/info.log").read() and len(os.listdir(f"{folder}/preds")) == 24
    assert [line.split("\t")[0] for line in lines(folder)] == [bad_copy["test/database"], bad_copy["test/queries_v1"]]
    assert eval_script.main([*map(str, flags), "--save_dir", "other"]) == 0  # by default


def test_images_that_disappear_during_an_evaluation(bad_copy):
    dataset = TestDataset("copy/test/database", "copy/test/queries_v1")
    os.unlink(dataset.database.path(5))
    os.unlink(dataset.queries.path(7))
    result = test(dataset, GeoLocalizationNet("Small", 8, weights=None))
    assert result.unreadable_database[5] == result.unreadable_queries[7] == "No such file or directory"
    assert (result.predictions[7] == -1).all() and not (result.predictions == 5).any()
