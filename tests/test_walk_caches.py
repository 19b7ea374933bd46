"""Lists, walks and the caches made of them: what decides that one is still good, and what happens when it is not."""

import argparse
import errno
import json
import logging
import os
import pickle

import numpy as np
import pytest

from benchmarks import groups as benchmark
from datasets import groups, image_names, name_fields, names, splitting
from datasets.groups import build_groups, open_groups
from datasets.image_names import ImageNames, split_lines
from datasets.names import format_name, images_list_path, list_images, parse_fields, read_images_list, write_images_list
from support import array_cache, verified
from support.errors import UserError
from tests.caches import NAMES, OLD, SETTINGS, age, cache_file, touch, write_list


def refuse(*_, **__):
    raise AssertionError("this should not be called")


# --- the groups' cache and its list


def test_size_and_time_of_the_list_decide(listed, monkeypatch):
    monkeypatch.setattr(verified, "settled", lambda *_: True)
    open_groups("train", *SETTINGS)  # compares the arrays with their checksums, once
    for function in ("digest", "save", "update_header"):
        monkeypatch.setattr(array_cache, function, refuse)
    monkeypatch.setattr(names, "digest", refuse)
    monkeypatch.setattr(names, "split_lines", refuse)
    assert open_groups("train", *SETTINGS).num_images == 20


def test_another_time_with_the_same_contents_refreshes_the_header(listed, monkeypatch):
    write_list(NAMES, OLD + 5)
    monkeypatch.setattr(groups, "build_groups", refuse)
    assert open_groups("train", *SETTINGS).num_images == 20
    with open(cache_file("header.json")) as file:
        assert json.load(file)["list_stamp"]["mtime_ns"] == (OLD + 5) * 10**9
    monkeypatch.setattr(names, "digest", refuse)
    open_groups("train", *SETTINGS)


def test_a_header_that_may_not_be_written_stays(listed, monkeypatch):
    def read_only(path):
        raise UserError(f"{path} cannot be written: Read-only file system")

    write_list(NAMES, OLD + 5)
    monkeypatch.setattr(array_cache, "replacing", read_only)
    assert open_groups("train", *SETTINGS).num_images == 20


def test_another_time_with_other_contents_of_the_same_size_is_rebuilt(listed, caplog):
    caplog.set_level(logging.INFO)
    other = [NAMES[0], *NAMES[:0:-1]]
    write_list(other, OLD + 5)
    assert list(open_groups("train", *SETTINGS).names) == other and "is of another image list" in caplog.text


def test_the_time_of_a_list_just_written_decides_nothing(workdir):
    touch(f"train/{NAMES[0]}")
    other = [NAMES[0], *NAMES[:0:-1]]
    write_images_list("train", NAMES)
    status = os.stat(images_list_path("train"))
    open_groups("train", *SETTINGS)
    write_images_list("train", other)
    os.utime(images_list_path("train"), ns=(status.st_atime_ns, status.st_mtime_ns))  # as within one tick of the clock
    assert list(open_groups("train", *SETTINGS).names) == other


@pytest.mark.parametrize("name", ["name_blob", "name_starts", "image_index", "class_ids"])
def test_a_cache_cut_short_is_rebuilt(listed, caplog, name):
    path = cache_file(f"{name}.npy")
    os.truncate(path, os.path.getsize(path) - 3)
    assert list(open_groups("train", *SETTINGS).names) == NAMES and "is damaged" in caplog.text
    caplog.clear()
    open_groups("train", *SETTINGS)
    assert "is damaged" not in caplog.text


def test_a_cache_of_another_version_is_rebuilt(listed, caplog):
    caplog.set_level(logging.INFO)
    with open(cache_file("header.json")) as file:
        header = json.load(file)
    with open(cache_file("header.json"), "w") as file:
        json.dump(header | {"version": 1}, file)
    assert open_groups("train", *SETTINGS).num_images == 20
    assert "is of version 1 of its format" in caplog.text and "Splitting the 20 images" in caplog.text
    assert len(os.listdir("cache")) == 1


def test_a_disk_that_fills_leaves_the_old_cache(listed, monkeypatch):
    def full(path, array, **_):
        with open(path, "wb") as file:
            file.write(b"part")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(os.listdir("cache"))
    write_list(NAMES[:10], OLD + 5)
    with monkeypatch.context() as patch, pytest.raises(UserError, match="cannot be written to cache: No space left"):
        patch.setattr(np, "save", full)
        open_groups("train", *SETTINGS)
    assert sorted(os.listdir("cache")) == before
    assert open_groups("train", *SETTINGS).num_images == 10


def test_a_worker_does_not_open_another_lists_groups(listed):
    pickled = pickle.dumps(open_groups("train", *SETTINGS))
    write_list(NAMES[:10], OLD + 5)
    open_groups("train", *SETTINGS)
    with pytest.raises(UserError, match="went or changed while it was in use"):
        pickle.loads(pickled)


# --- walks


def test_a_folder_is_walked_once(workdir, monkeypatch):
    touch("f/b/1.jpg", "f/a.jpg", "f/b/c/2.png", "f/empty/notes.txt")
    age("f")
    first = list(list_images("f"))
    monkeypatch.setattr(os, "scandir", refuse)
    opened = list_images("f")
    assert list(opened) == first == ["a.jpg", "b/1.jpg", "b/c/2.png"] and isinstance(opened.blob, np.memmap)


@pytest.mark.parametrize(
    "change",
    [
        lambda: touch("f/b/c/3.jpg"),
        lambda: touch("f/empty/deep/4.jpg"),
        lambda: os.unlink("f/a.jpg"),
        lambda: os.rename("f/b", "f/d"),
    ],
)
def test_what_changes_in_a_folder_is_noticed(workdir, change):
    touch("f/b/1.jpg", "f/a.jpg", "f/b/c/2.png", "f/empty/notes.txt")
    age("f")
    list_images("f")
    change()
    expected = sorted(
        os.path.relpath(os.path.join(path, name), "f")
        for path, _, files in os.walk("f")
        for name in files
        if not name.endswith(".txt")
    )
    assert list(list_images("f")) == expected and len(expected) in (2, 3, 4)


def test_a_folder_just_changed_is_walked_again(workdir):
    touch("f/a.jpg")
    status = os.stat("f")
    assert list(list_images("f")) == ["a.jpg"]
    touch("f/b.jpg")
    os.utime("f", ns=(status.st_atime_ns, status.st_mtime_ns))  # as within one tick of the clock
    assert list(list_images("f")) == ["a.jpg", "b.jpg"]


def test_links_are_followed_once_and_not_in_circles(workdir):
    touch("f/m/1.jpg", "elsewhere/2.jpg")
    os.symlink("m", "f/alias")
    os.symlink("../../elsewhere", "f/m/out")
    os.symlink("..", "f/m/loop")
    os.symlink("nowhere", "f/broken.jpg")
    assert list(list_images("f")) == ["alias/1.jpg", "alias/out/2.jpg", "broken.jpg"]


def test_names_are_sorted_as_whole_strings(workdir):
    found = [
        "a/1.jpg",
        "a.jpg",
        "a-b/1.jpg",
        "a0.jpg",
        "a/b/2.jpg",
        "a/b.jpg",
        "a/b-.jpg",
        "A.jpg",
        "é/\udcff.jpg",
        "a b.jpg",
        "a\nb.jpg",
    ]
    touch(*(f"f/{name}" for name in found))
    assert list(list_images("f")) == sorted(found)
    with pytest.raises(UserError, match="has a line break"):
        write_images_list("f", list_images("f"))
    assert not os.path.exists("f_images_paths.txt")


def test_a_walk_that_cannot_be_kept_is_used_all_the_same(workdir, caplog):
    touch("f/a.jpg", "cache")
    assert list(list_images("f")) == ["a.jpg"] and "f will be walked again the next time" in caplog.text


def test_a_saved_list_replaces_the_walk_and_keeps_the_cache(workdir, monkeypatch, capsys):
    touch(*(f"train/{name}" for name in NAMES))
    walked = open_groups("train", *SETTINGS)
    names.main(["train"])
    assert "train_images_paths.txt: 20 images" in capsys.readouterr().out
    assert read_images_list("train_images_paths.txt").blob.tobytes() == walked.names.blob.tobytes()
    monkeypatch.setattr(groups, "build_groups", refuse)
    monkeypatch.setattr(names, "walk", refuse)
    opened = open_groups("train", *SETTINGS)
    assert list(opened.names) == sorted(NAMES) and opened.names.source == "train_images_paths.txt"
    with pytest.raises(SystemExit) as stop:
        names.main(["nowhere"])
    assert stop.value.code == 2 and "folder nowhere does not exist" in capsys.readouterr().err


# --- names and lists by blocks


def test_lines_are_split_alike_whatever_the_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    lines = ["x" * int(n) for n in rng.integers(0, 40, 60)] + ["a..b.jpg", " c d.jpg\t", "..e"]
    for end, last in (("\n", "\n"), ("\r\n", ""), ("\n", "\n\n ")):
        data = np.frombuffer((end.join(lines) + last).encode(), np.uint8)
        for block in (1, 7, 64, 1 << 20):
            monkeypatch.setattr(image_names, "_BLOCK", block)
            assert list(split_lines(data, "list")) == [line.strip() for line in lines if line.strip()]


@pytest.mark.parametrize("bad", ["a/../b.jpg", "/etc/b.jpg", "..", "b\0.jpg"])
def test_unsafe_names_are_numbered_over_blocks(monkeypatch, bad):
    monkeypatch.setattr(image_names, "_BLOCK", 8)
    lines = ["ok.jpg", "", "also.jpg", bad, "more.jpg"]
    with pytest.raises(UserError, match=r"\(image 3\), which leads out of the folder"):
        split_lines(np.frombuffer("\n".join(lines).encode(), np.uint8), "list")


def test_large_lists_are_mapped_and_their_processes_share_them(workdir, monkeypatch):
    monkeypatch.setattr(names, "_MAPPED_SIZE", 1)
    write_images_list("train", NAMES)
    read = read_images_list("train_images_paths.txt")
    assert isinstance(read.blob, np.memmap) and list(read) == NAMES
    pickled = pickle.dumps(read)
    assert NAMES[3].encode() not in pickled and list(pickle.loads(pickled)) == NAMES


def test_decimals_are_exact_on_the_fast_way_and_on_the_slow_one(monkeypatch):
    def table(texts):
        return ImageNames.from_strings([f"s/@{text}@1.5@.jpg" for text in texts])

    rng = np.random.default_rng(1)
    odd = ["-3.25", "1e3", ".5", "5.", "+7", "12", "0.1234567890123456789"] * 42
    for decimals in (0, 1, 2, 6):
        texts = [f"{value:.{decimals}f}" for value in rng.uniform(0, 10.0 ** rng.integers(1, 8), 300)]
        with monkeypatch.context() as patch:
            patch.setattr(name_fields, "_texts", refuse)
            np.testing.assert_array_equal(parse_fields(table(texts), (1,))[:, 0], [float(text) for text in texts])
        mixed = [text for pair in zip(texts, odd, strict=False) for text in pair]
        np.testing.assert_array_equal(parse_fields(table(mixed), (1,))[:, 0], [float(text) for text in mixed])
    long = [f"{value:.14f}" for value in rng.uniform(100, 1000, 300)]  # more digits than float64 holds
    np.testing.assert_array_equal(parse_fields(table(long), (1,))[:, 0], [float(text) for text in long])
    monkeypatch.setattr(name_fields, "_CHUNK", 7)
    np.testing.assert_array_equal(parse_fields(table(mixed), (1, 2)), [[float(text), 1.5] for text in mixed])


def test_groups_are_the_same_however_they_are_sorted_and_gathered(monkeypatch):
    rng = np.random.default_rng(2)
    keys = rng.integers(0, 50, 1000)
    order = np.argsort(keys, kind="stable")
    for large in (0, 2**61):  # which leaves no room for the index beside the key
        copy = keys + large
        np.testing.assert_array_equal(splitting._sort(copy), order)
        np.testing.assert_array_equal(copy, keys[order] + large)
    listed = [format_name(*rng.uniform(0, 60, 2), heading=0) for _ in range(500)]
    expected = build_groups(listed, 10, 30, 2, 1, 3)
    monkeypatch.setattr(splitting, "_BLOCK", 16)
    for name, array in build_groups(listed, 10, 30, 2, 1, 3).arrays().items():
        np.testing.assert_array_equal(array, expected.arrays()[name])


def test_the_benchmarks_reference_agrees(workdir):
    benchmark.write_list("train", 3000, seed=0)
    args = argparse.Namespace(folder="train")
    result = benchmark.ours(args)["groups"]
    assert result == benchmark.reference(args)["groups"] and len(result) > 8
