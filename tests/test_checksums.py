"""What changes in a cache or in finished descriptors is noticed by checksums: once for each change, whatever the time
that the file then has.
"""

import contextlib
import errno
import glob
import logging
import os
import re

import numpy as np
import pytest

from datasets import groups
from datasets.groups import open_groups
from datasets.names import list_images
from datasets.test_dataset import TestDataset
from localization.database_index import _opened
from retrieval import store_header, store_names
from retrieval.cache import DescriptorCache
from retrieval.store import FolderStore
from support import array_cache, verified
from support.errors import UserError
from test import TestFiles, TestOptions, test_and_report
from tests.caches import NAMES, OLD, SETTINGS, age, cache_file, change_array, flip, touch, with_its_time, write_list
from tests.descriptors import IMAGES, SmallNetwork, change_header, extract, kept


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    """As if each file had been written long before it is read: what has been verified is remembered."""
    monkeypatch.setattr(verified, "settled", lambda *_: True)


def refuse(*_):
    raise AssertionError("this should not be called")


# --- descriptors


def roll(rows):
    return np.roll(rows, 1, axis=0)


def one_number(value):
    def change(rows):
        rows[5, 1] = value

    return change


def change_rows(folder, change):
    with with_its_time(f"{folder}/descriptors.npy"):
        rows = np.load(f"{folder}/descriptors.npy", mmap_mode="r+", allow_pickle=False)
        changed = change(rows)
        if changed is not None:
            rows[:] = changed
        rows.flush()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (roll, "have another checksum"),
        (one_number(0.5), "have another checksum"),
        (one_number(np.nan), "hold NaN or infinity"),
        (one_number(-np.inf), "hold NaN or infinity"),
    ],
)
def test_finished_descriptors_that_changed_are_computed_again(images, workdir, caplog, dtype, change, problem):
    cache = DescriptorCache("kept", dtype=dtype)
    whole, unreadable, _ = extract(cache, images)
    assert extract(cache, images)[2] == 0  # verified from now on
    folder = os.path.join("kept", *kept(cache))
    change_rows(folder, change)
    with pytest.raises(UserError, match=f"the index .* is damaged .*{problem}"), _opened(folder):
        pass
    values, same, seen = extract(cache, images)
    np.testing.assert_array_equal(values, whole)
    assert same == unreadable and seen == IMAGES - 1
    assert problem in caplog.text and caplog.text.count("computing them again") == 1
    assert extract(cache, images)[2] == 0


def test_a_flipped_bit_of_a_row_is_noticed(images, cache):
    extract(cache, images)
    folder = os.path.join("kept", *kept(cache))
    flip(f"{folder}/descriptors.npy", 128 + 4 * 4 * 39 + 1)
    assert extract(cache, images)[2] == IMAGES - 1


DAMAGED_NAMES = {
    "is missing": os.unlink,
    "is damaged (its checksum is another)": lambda path: flip(path, 3),
    "is damaged (it is no regular file)": lambda path: (os.unlink(path), os.mkfifo(path)),
}


def reverse(path):
    with open(path) as file:
        lines = file.readlines()
    with open(path, "w") as file:
        file.writelines(reversed(lines))


@pytest.mark.parametrize(("problem", "damage"), [*DAMAGED_NAMES.items(), ("its checksum is another", reverse)])
def test_damaged_names_of_descriptors_are_written_again(images, cache, caplog, problem, damage):
    for interrupted in (True, False):
        if interrupted:
            with pytest.raises(KeyboardInterrupt):
                extract(cache, images, SmallNetwork(fail_after=20))
        folder = os.path.join("kept", *kept(cache))
        damage(f"{folder}/names.txt")
        assert extract(cache, images)[2] == (IMAGES - 16 - 1 if interrupted else 0)
        assert list(FolderStore(folder).names) == list(images.names)
        assert problem in caplog.text and caplog.text.count("it is written again, from the names of the images") == 1
        caplog.clear()
    assert extract(cache, images)[2] == 0 and not caplog.text


def test_names_are_read_for_it_once(images, cache, monkeypatch):
    extract(cache, images)
    extract(cache, images)
    with monkeypatch.context() as patch:
        patch.setattr(store_names, "open_regular", refuse)
        patch.setattr(FolderStore, "_checksums", refuse)
        assert extract(cache, images)[2] == 0
        reverse(os.path.join("kept", *kept(cache), "names.txt"))
        with pytest.raises(AssertionError, match="should not be called"):
            extract(cache, images)


def test_damaged_names_that_cannot_be_written_again_cost_no_recalls(images, cache, monkeypatch, caplog):
    whole = extract(cache, images)[0]
    os.unlink(os.path.join("kept", *kept(cache), "names.txt"))
    with monkeypatch.context() as patch:
        patch.setattr(store_names, "replacing", no_space)
        values, _, seen = extract(cache, images)
    np.testing.assert_array_equal(values, whole)
    assert seen == 0 and "is missing; the descriptors serve this run all the same" in caplog.text


@pytest.mark.parametrize("names", ["a folder", "other names"])
def test_descriptors_whose_names_cannot_be_restored_are_computed_again(images, cache, caplog, names):
    extract(cache, images)
    folder = os.path.join("kept", *kept(cache))
    if names == "a folder":
        os.unlink(f"{folder}/names.txt")
        os.mkdir(f"{folder}/names.txt")
    else:
        change_header(folder, names="0" * 64)
    assert extract(cache, images)[2] == IMAGES - 1
    assert caplog.text.count("computing them again") == 1 and "names.txt is damaged" in caplog.text
    assert extract(cache, images)[2] == 0


def test_rows_are_read_for_it_once(images, cache, monkeypatch):
    extract(cache, images)
    extract(cache, images)
    folder = os.path.join("kept", *kept(cache))
    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "_checksums", refuse)
        assert extract(cache, images)[2] == 0
        os.utime(f"{folder}/descriptors.npy", (OLD, OLD))
        with pytest.raises(AssertionError, match="should not be called"):
            extract(cache, images)
        patch.setattr(FolderStore, "_checksums", lambda _: [1, 2, 3])
        assert "verified.json" in os.listdir(folder)
        patch.setattr(verified, "replacing", no_space)
        assert extract(cache, images)[2] == IMAGES - 1  # the record is not believed: the file has changed


@contextlib.contextmanager
def no_space(path, *_):
    raise UserError(f"{path} cannot be written: No space left on device")
    yield


def test_descriptors_of_an_earlier_version_get_checksums(images, cache, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    whole = extract(cache, images)[0]
    folder = os.path.join("kept", *kept(cache))
    forget_checksums(folder)
    with monkeypatch.context() as patch:
        patch.setattr(store_header, "replacing", no_space)  # where nothing can be written they are used all the same
        np.testing.assert_array_equal(extract(cache, images)[0], whole)
    np.testing.assert_array_equal(extract(cache, images)[0], whole)
    assert caplog.text.count("have no checksums, as an earlier version wrote them") == 2
    assert extract(cache, images)[2] == 0 and caplog.text.count("have no checksums") == 2
    change_rows(folder, roll)
    assert extract(cache, images)[2] == IMAGES - 1
    forget_checksums(folder)
    change_rows(folder, one_number(np.nan))
    assert extract(cache, images)[2] == IMAGES - 1


def forget_checksums(folder):
    header = store_header.read_header(folder)
    assert len(header.pop("crc32")) == 3
    store_header.write_header(folder, header)


def test_checksums_of_an_interrupted_extraction_are_kept(images, cache):
    with pytest.raises(KeyboardInterrupt):
        extract(cache, images, SmallNetwork(fail_after=20))
    whole = extract(cache, images)[0]
    np.testing.assert_array_equal(extract(cache, images)[0], whole)
    change_rows(os.path.join("kept", *kept(cache)), roll)
    np.testing.assert_array_equal(extract(cache, images)[0], whole)


# --- groups and walks


def swap(array):
    array[[0, -1]] = array[[-1, 0]]


def other_digit(blob):
    blob[5] ^= 1


@pytest.mark.parametrize(
    ("name", "change"),
    [("image_index", swap), ("class_ids", swap), ("name_blob", other_digit), ("class_offsets", lambda a: a)],
)
def test_a_groups_cache_that_changed_is_rebuilt(listed, caplog, name, change):
    opened = open_groups("train", *SETTINGS)
    before = {key: array.copy() for key, array in opened.arrays().items()}
    change_array(cache_file(f"{name}.npy"), change)
    again = open_groups("train", *SETTINGS)
    for key, array in again.arrays().items():
        np.testing.assert_array_equal(array, before[key])
    changed = name != "class_offsets"  # which was written again as it was
    assert again.digest == opened.digest and (f"is damaged ({name}.npy has another checksum)" in caplog.text) == changed
    assert open_groups("train", *SETTINGS).digest == opened.digest and len(caplog.records) == changed


def test_the_digest_of_groups_is_of_their_contents(listed):
    digest = open_groups("train", *SETTINGS).digest
    change_array(cache_file("image_index.npy"), swap, forge=True)
    forged = open_groups("train", *SETTINGS)
    assert forged.digest != digest and forged.image_indices(0, 0)[0] == 19


def test_a_groups_cache_of_an_earlier_version_is_rebuilt(listed, caplog):
    caplog.set_level(logging.INFO)
    header = array_cache.read_object(cache_file("header.json"))
    del header["sha256"], header["header_sha256"]
    with open(cache_file("header.json"), "w") as file:
        array_cache.json.dump(header, file)
    assert list(open_groups("train", *SETTINGS).names) == NAMES
    assert "has no checksums, as an earlier version wrote it; rebuilding it" in caplog.text
    assert "header_sha256" in array_cache.read_object(cache_file("header.json"))


@pytest.mark.parametrize("key", ["version", "folder", "alpha", "sha256", "list_digest", "list_stamp", "header_sha256"])
def test_a_flipped_bit_of_a_header_is_noticed(listed, caplog, key):
    caplog.set_level(logging.INFO)
    digest = open_groups("train", *SETTINGS).digest
    with open(cache_file("header.json"), "rb") as file:
        value = re.search(rb'"%b": \W*\w' % key.encode(), file.read())
    flip(cache_file("header.json"), value.end() - 1)
    assert open_groups("train", *SETTINGS).digest == digest and "rebuilding it" in caplog.text


def test_a_walk_that_changed_is_rebuilt(workdir, caplog):
    touch("f/a.jpg", "f/b.jpg")
    age("f")
    list_images("f")
    (path,) = glob.glob("cache/*/name_blob.npy")
    change_array(path, lambda blob: blob[::-1])
    assert list(list_images("f")) == ["a.jpg", "b.jpg"] and "name_blob.npy has another checksum" in caplog.text


def test_a_list_that_is_rewritten_while_it_is_split_is_noticed(listed, monkeypatch):
    real = groups.build_groups

    def build(*args, **kwargs):
        write_list(NAMES[::-1], OLD + 9)
        return real(*args, **kwargs)

    write_list([*NAMES[:9], *NAMES[:8:-1]], OLD + 5)
    with (
        monkeypatch.context() as patch,
        pytest.raises(UserError, match="changed while it was read: start the run again"),
    ):
        patch.setattr(groups, "build_groups", build)
        open_groups("train", *SETTINGS)
    touch(f"train/{NAMES[-1]}")
    assert list(open_groups("train", *SETTINGS).names) == NAMES[::-1]


# --- nothing that a cache does can cost the recalls


def test_a_cache_that_cannot_be_made_costs_no_recalls(images, workdir, monkeypatch, caplog):
    real = os.makedirs

    def read_only(path, *args, **kwargs):  # a mode would not stop root
        if path == "kept":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        real(path, *args, **kwargs)

    monkeypatch.setattr(os, "makedirs", read_only)
    assert extract(DescriptorCache("kept", limit=10**9), images)[0].any() and not os.path.exists("kept")
    assert "are not kept: kept cannot be used (Read-only file system)" in caplog.text and len(caplog.records) == 1


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_cache_that_cannot_be_tidied_costs_no_recalls(images, workdir, monkeypatch, caplog, code):
    def refused(path):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "scandir", refused)
    assert extract(DescriptorCache("kept", limit=10**9), images)[0].any()
    assert f"No descriptors are removed from kept, which cannot be read: {os.strerror(code)}" in caplog.text


def test_descriptors_that_cannot_be_marked_as_whole_serve_the_run(images, cache, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr(store_header, "replacing", no_space_when_complete)
        whole = extract(cache, images)[0]
    assert "serve this run, and are not marked as whole" in caplog.text
    values, _, seen = extract(cache, images)
    np.testing.assert_array_equal(values, whole)
    assert seen == 0 and FolderStore(os.path.join("kept", *kept(cache))).complete


real_replacing = store_header.replacing


def no_space_when_complete(path):
    return (no_space if os.path.exists(path) else real_replacing)(path)


class Failing(DescriptorCache):
    """Fails at its end."""

    @contextlib.contextmanager
    def store(self, *args):
        with super().store(*args) as store:
            yield store
        raise OSError("at the end")


@pytest.mark.parametrize("what", ["the cache", "an export"])
def test_recalls_are_logged_before_anything_can_fail(places, monkeypatch, caplog, what):
    caplog.set_level(logging.INFO)
    cache = DescriptorCache()
    if what == "the cache":
        cache = Failing()
    else:
        monkeypatch.setattr("retrieval.interchange.save", refuse)
    test_set = TestDataset("db", "q", positive_dist_threshold=12)
    with pytest.raises((OSError, AssertionError)):
        test_and_report(test_set, SmallNetwork(), TestOptions(batch_size=1), TestFiles("out"), cache)
    assert "q - #q: 20; #db: 20 >: R@1: " in caplog.text and "R@5: " in caplog.text
