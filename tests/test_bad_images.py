"""Images that are bad, or only look so: what the decoder, a training batch and an evaluation make of them; bad_images.txt and its limit."""

import errno
import glob
import io
import logging
import os
import re
import resource
import shutil
import signal
import struct
import threading
import warnings
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import eval as eval_script
import train
from datasets import images
from datasets.bad_images import BadImages, escape, unescape
from datasets.groups import build_groups
from datasets.images import ImageError, open_rgb, read_size
from datasets.night.augmentation import NightAugmentation
from datasets.night.target_images import TargetImages
from datasets.schedule import Schedule
from datasets.target_dataset import DomainImages
from datasets.test_dataset import ImageFolder, TestDataset
from datasets.train_dataset import TrainBatch, TrainDataset
from model.errors import UserError
from model.files import replacing
from model.network import GeoLocalizationNet
from test import summarize, test
from tests.test_bad_input import fails
from tests.tiny import FLAGS

# --- the kinds of image


def photo(mode="RGB", size=(64, 48)):
    bands = Image.linear_gradient("L").resize(size), Image.radial_gradient("L").resize(size), Image.new("L", size, 90)
    return Image.merge("RGB", bands).convert(mode)


def encoded(image, kind="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def save(data):
    def make(path):
        with open(path, "wb") as file:
            file.write(data)
    return make


def png_that_claims(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


def rotated(kind="JPEG"):
    """An upright photo of 64 x 48 pixels, stored on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo().transpose(Image.Transpose.ROTATE_90), kind, exif=exif)


def with_damaged_exif():
    """A sound photo after an EXIF segment whose directory claims 500 entries and ends in the first."""
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHH", 500, 0x0112, 3)
    data = encoded(photo())
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def forbidden(path):
    save(encoded(photo()))(path)
    os.chmod(path, 0)


def frames(kind):
    return encoded(photo(), kind, save_all=True, append_images=[Image.new("RGB", (64, 48), "red")] * 2)


TRANSPARENT = photo("RGBA")
TRANSPARENT.putalpha(Image.linear_gradient("L").resize((64, 48)))
SIXTEEN = Image.fromarray((np.asarray(photo("L"), np.uint16) << 8) + 77)
WHOLE = encoded(photo(size=(640, 480)))

BAD = {
    "truncated": (save(WHOLE[:len(WHOLE) // 2]), "truncated"),
    "progressive, truncated": (save(encoded(photo(size=(640, 480)), progressive=True)[:5000]), "truncated"),
    "PNG, truncated": (save(encoded(photo(), "PNG")[:-900]), "truncated"),
    "cut off in its header": (save(WHOLE[:15]), "Truncated"),
    "zero-byte": (save(b""), "cannot identify image file: it is empty"),
    "text": (save(b"here was a photo\n"), "cannot identify image file: it begins with b'here was a photo'"),
    "HTML": (save(b"<!DOCTYPE html><html>404</html>"), "it begins with b'<!DOCTYPE html><'"),
    "PostScript": (save(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n"), "cannot identify image file"),
    "floating-point TIFF": (save(encoded(photo("F"), "TIFF")), "floating-point"),
    "bomb": (save(png_that_claims(30_000, 30_000)), "claims 30000 x 30000 pixels; more than 268435456 are not decoded"),
    "directory": (os.mkdir, "Is a directory"),
    "broken link": (lambda path: os.symlink("nowhere", path), "No such file or directory"),
    "link loop": (lambda path: os.symlink(os.path.basename(path), path), "Too many levels of symbolic links"),
    "no permission": (forbidden, "Permission denied"),
    "FIFO": (os.mkfifo, "it is no regular file"),
    "1 x 1": (save(encoded(Image.new("RGB", (1, 1)))), "it has 1 x 1 pixels, fewer than 32 along a side"),
    "disappears": (lambda path: None, "No such file or directory"),
}
# how to make it, and what it is decoded to, within 5 gray levels a pixel on average
SOUND = {
    "PNG called x.jpg": (save(encoded(photo(), "PNG")), photo()),
    "CMYK": (save(encoded(photo("CMYK"))), photo()),
    "grayscale": (save(encoded(photo("L"))), photo("L")),
    "16-bit PNG": (save(encoded(SIXTEEN, "PNG")), photo("L")),
    "16-bit TIFF": (save(encoded(SIXTEEN, "TIFF")), photo("L")),
    "palette with transparency": (save(encoded(TRANSPARENT.quantize(), "PNG")), photo()),
    "EXIF-rotated": (save(rotated()), photo()),
    "EXIF-rotated PNG": (save(rotated("PNG")), photo()),
    "EXIF-rotated TIFF": (save(rotated("TIFF")), photo()),
    "damaged EXIF": (save(with_damaged_exif()), photo()),
    "animated GIF": (save(frames("GIF")), photo()),
    "multi-frame TIFF": (save(frames("TIFF")), photo()),
    "multi-picture JPEG": (save(frames("MPO")), photo()),
    "WebP": (save(encoded(photo(), "WEBP", quality=95)), photo()),
}
KINDS = {**BAD, **SOUND}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A class a kind: an image of this kind and two plain ones, in the order of KINDS, with a list, which names directories too."""
    folder, names = tmp_path_factory.mktemp("kinds") / "f", []
    folder.mkdir()
    for index, (make, _) in enumerate(KINDS.values()):
        for number in range(3):
            names.append(f"@{551000 + 10 * index}@4181000@@@@@@{number}@0@@@@@@.jpg")
            (make if number == 0 else save(encoded(photo(), quality=60)))(str(folder / names[-1]))
    (folder.parent / "f_images_paths.txt").write_text("\n".join(names))
    return str(folder), names


@pytest.fixture(autouse=True)
def kernel(monkeypatch):
    """Nothing waits for a FIFO, and root, whom no mode stops, is stopped as others are."""
    def open_as_others(path, flags, *args, **options):
        if os.path.isfile(path) and not os.stat(path).st_mode & 0o777:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return open_by_system(path, flags, *args, **options)
    open_by_system = os.open
    if os.geteuid() == 0:
        monkeypatch.setattr(images.os, "open", open_as_others)
    signal.alarm(120)  # ends the tests, where one hangs
    yield
    signal.alarm(0)


def difference(array, expected):
    """Gray levels, on average; of arrays of other shapes, as many as there are."""
    expected = np.asarray(expected.convert("RGB"), float)
    return np.abs(array - expected).mean() if array.shape == expected.shape else 255


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation(folder, kind):
    images, row = ImageFolder(folder[0]), 3 * list(KINDS).index(kind)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        index, image, reason = images[row]
    assert index == row and not caught
    if kind in BAD:
        assert image is None
        with pytest.raises(ImageError, match=BAD[kind][1]) as error:
            open_rgb(images.path(row), 32)
        assert reason == str(error.value) and "\n" not in reason
    else:
        assert not reason
        assert difference(image.permute(1, 2, 0).numpy(), SOUND[kind][1]) < 5
        assert read_size(images.path(row)) == (64, 48)


def test_training(folder):
    """Bad images are named and replaced by the next of their class, sound ones are seen."""
    groups = build_groups(folder[1], 10, 30, 1, 1, 1)
    dataset = TrainDataset(folder[0], groups, Schedule([len(KINDS)], len(KINDS), 20, 1, seed=0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batches = [dataset[step] for step in range(20)]
    assert not caught and not any(batch.error or batch.resized for batch in batches)
    unreadable = dict(entry for batch in batches for entry in batch.unreadable)
    paths = [os.path.join(folder[0], name) for name in folder[1][::3]]
    assert set(unreadable) == set(paths[:len(BAD)])
    for path, (_, reason) in zip(paths, BAD.values(), strict=False):
        assert re.search(reason, unreadable[path])
    for row, kind in enumerate(KINDS):
        seen = {batch.images[batch.labels.tolist().index(row)].numpy().tobytes() for batch in batches}
        kinds = [photo()] if kind in BAD else [photo(), SOUND[kind][1]]
        for data in seen:
            array = np.frombuffer(data, np.uint8).reshape(3, 48, 64).transpose(1, 2, 0)
            assert any(difference(array, expected) < 5 for expected in kinds)
        assert len(seen) == (1 if kind in BAD else 2), kind


# --- the decoder


@pytest.mark.parametrize("action", ["error", "ignore", "always"])
@pytest.mark.parametrize("pillows_limit", [None, 10])
def test_the_limit_of_pixels_is_our_own(tmp_path, monkeypatch, action, pillows_limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows_limit)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        for width, height in ((30_000, 30_000), (2**14, 2**14 + 1), (2**31 - 1, 1)):
            save(png_that_claims(width, height))(tmp_path / "x.png")
            for read in (open_rgb, read_size):
                with pytest.raises(ImageError, match=f"claims {width} x {height} pixels"):
                    read(tmp_path / "x.png")
        save(png_that_claims(20_000, 10_000))(tmp_path / "x.png")  # a panorama of 200 megapixels
        assert read_size(tmp_path / "x.png") == (20_000, 10_000)
        save(encoded(photo()))(tmp_path / "x.jpg")
        assert open_rgb(tmp_path / "x.jpg").size == (64, 48)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; the pixels would take 3.6 GB
    assert Image.MAX_IMAGE_PIXELS == pillows_limit


def test_a_strip_is_not_resized_beyond_the_limit(tmp_path):
    """32 x 40000 pixels, which would become 512 x 640000."""
    save(encoded(Image.new("L", (32, 40_000)), "PNG"))(tmp_path / "x.png")
    assert ImageFolder(str(tmp_path))[0][1].shape == (3, 40_000, 32)
    _, image, reason = ImageFolder(str(tmp_path), resize=512)[0]
    assert image is None and reason == "it has 32 x 40000 pixels, and would have 512 x 640000"


def test_no_image_of_one_pixel_becomes_one_of_many(tmp_path):
    save(encoded(Image.new("RGB", (1, 1))))(tmp_path / "x.jpg")
    assert ImageFolder(str(tmp_path), resize=512)[0][1] is None
    with pytest.raises(ImageError, match="none of the 1 images .* can be read .it has 1 x 1 pixels"):
        TargetImages(str(tmp_path)).read(0, (64, 64))


def test_what_hubconf_may_be_given(tmp_path):
    """A stream that cannot go back, an image that another opened, and threads, which leave the process's warnings as they are."""
    class Connection(io.BytesIO):
        def seek(self, *args):
            raise io.UnsupportedOperation("seek")
    assert open_rgb(Connection(encoded(photo()))).size == open_rgb(io.BytesIO(encoded(photo()))).size == (64, 48)
    with Image.open(io.BytesIO(WHOLE[:5000])) as lazy, pytest.raises(ImageError, match="truncated"):
        open_rgb(lazy)
    results, filters = [], warnings.filters[:]
    thread = threading.Thread(target=lambda: results.extend((open_rgb(io.BytesIO(encoded(photo()))).size, warnings.filters[:])))
    thread.start()
    thread.join()
    assert results == [(64, 48), filters] and warnings.filters[:] == filters


FILES = [encoded(photo(), kind) for kind in ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "MPO")] + [rotated(), with_damaged_exif()]


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), st.integers(0, 400))
def test_damaged_files_are_images_or_image_errors(monkeypatch, data, changes, cut):
    monkeypatch.setattr(images, "MAX_PIXELS", 10**6)
    data = bytearray(data)
    for position, value in changes:
        data[position % len(data)] = value
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            assert open_rgb(io.BytesIO(bytes(data[:len(data) - cut]))).mode == "RGB"
        except ImageError as error:
            assert str(error)
    assert not caught


def test_folders_without_a_list(workdir):
    """Links that lead nowhere are listed, and found bad when they are read; a folder called x.jpg is a folder."""
    os.makedirs("f/folder.jpg")
    for path in ("f/plain.jpg", "f/folder.jpg/inside.jpg"):
        save(encoded(photo()))(path)
    for kind in ("broken link", "link loop", "FIFO"):
        BAD[kind][0](f"f/{kind}.jpg")
    os.symlink("round", "f/round")
    found = ImageFolder("f")
    assert list(found.names) == ["FIFO.jpg", "broken link.jpg", "folder.jpg/inside.jpg", "link loop.jpg", "plain.jpg"]
    assert [image is not None for _, image, _ in (found[i] for i in range(5))] == [False, False, True, False, True]


# --- bad_images.txt


def batch(unreadable=(), resized=(), error="", size=4, domain=None, night=None):
    return TrainBatch(0, torch.zeros(size, 3, 36, 40), torch.zeros(size), list(unreadable), list(resized), error, domain, night)


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
    assert warned[:2] == [f"Unreadable image, another is taken: 'f/{n}.jpg': reason {n}" for n in (1, 2)] and len(warned) == 4
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
    for domain, night in ((DomainImages("train", groups, schedule, ["target"], 3), None),
                          (None, NightAugmentation("fda", 1.0, 0.05, TargetImages("target")))):
        bad = BadImages(".")
        dataset = TrainDataset("train", groups, schedule, domain, None, night)
        batches = [dataset[step] for step in range(20)]
        for each in batches:
            bad.take(each)
        assert list(bad.unreadable) == [broken] and "Truncated" in bad.unreadable[broken]
        assert bad.num_read == 20 * (4 if domain else 2) + sum(len(each.unreadable) for each in batches)
        assert lines() == [f"{broken}\t{bad.unreadable[broken]}"]
        os.unlink("bad_images.txt")


@pytest.mark.parametrize(("limit", "read", "allowed"),
                         [(None, 0, 10), (None, 10_998, 10), (None, 11_980, 11), (0, 10**6, 0), (3, 10**6, 3)])
def test_the_limit(workdir, limit, read, allowed):
    """By default more than 10 and more than 0.1% of the images read."""
    bad = BadImages(".", limit)
    bad.num_read = read - 2 * allowed  # each costs a row, and an image that another replaced
    for number in range(allowed):
        bad.take(batch(numbered(number), size=1))
    with pytest.raises(UserError) as error:
        bad.take(batch([("f/last\n.jpg", "cut\toff")], size=0))
    assert str(error.value) == (
        f"{allowed + 1} of the {read + 1} images read so far cannot be read, and {allowed} may be (see ./bad_images.txt; the last is "
        "'f/last\\n.jpg': cut\\toff); mend or remove them, or allow so many with --max_bad_images")
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
    entries = [("f/tab\there\n.jpg", "line\nbreak"), ("f/\x1b[31mred.jpg", "\u202ereason"), ("f/caf\udce9 \u00e9.jpg", "back\\slash")]
    BadImages(".").take(batch(entries))
    assert lines() == ["f/tab\\there\\n.jpg\tline\\nbreak", "f/\\x1b[31mred.jpg\t\\u202ereason",
                       "f/caf\\udce9 \u00e9.jpg\tback\\\\slash"]
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
def copy(tiny, workdir):
    """A data set with a bad image in each of its parts, one of them gone after its list was made."""
    shutil.copytree(tiny, "copy")
    bad = {part: sorted(glob.glob(f"copy/{part}/**/*.jpg", recursive=True))[2]
           for part in ("train", "val/database", "test/queries_v1", "test/database")}
    for path in bad.values():
        os.truncate(path, 400)
    return bad


def test_training_lists_them_and_a_resumed_run_goes_on(copy):
    flags = ["--dataset_folder", "copy", *FLAGS, "--iterations_per_epoch", "12"]
    train.main([*flags, "--epochs_num", "1"])
    [folder] = glob.glob("logs/default/*")
    listed = [line.split("\t")[0] for line in lines(folder)]
    assert sorted(listed) == sorted(copy.values()) and all("runcated" in line for line in lines(folder))
    train.main([*flags, "--epochs_num", "2", "--resume_train", f"{folder}/last_checkpoint.pth"])
    assert [line.split("\t")[0] for line in lines(folder)] == listed


def test_training_ends_above_the_limit(copy, capsys):
    line = fails(train, capsys, "--dataset_folder", "copy", *FLAGS, "--iterations_per_epoch", 12, "--max_bad_images", 0)
    assert re.search("error: 1 of the .* images read so far cannot be read, and 0 may be", line) and copy["train"] in line
    assert [line.split("\t")[0] for line in lines(glob.glob("logs/default/*")[0])] == [copy["train"]]


def test_evaluation_above_the_limit_ends_after_its_recalls(copy, capsys):
    flags = ["--dataset_folder", "copy", "--backbone_weights", "none", "--fc_output_dim", 8, "--num_workers", 0, "--num_preds_to_save", 1]
    line = fails(eval_script, capsys, *flags, "--max_bad_images", 1)
    [folder] = glob.glob("logs/default/*")
    assert "error: 2 of the 36 images read so far cannot be read, and 1 may be" in line and f"see {folder}/bad_images.txt" in line
    assert "R@1: " in open(f"{folder}/info.log").read() and len(os.listdir(f"{folder}/preds")) == 24
    assert [line.split("\t")[0] for line in lines(folder)] == [copy["test/database"], copy["test/queries_v1"]]
    assert eval_script.main([*map(str, flags), "--save_dir", "other"]) == 0  # by default


def test_images_that_disappear_during_an_evaluation(copy, tiny):
    dataset = TestDataset("copy/test/database", "copy/test/queries_v1")
    os.unlink(dataset.database.path(5))
    os.unlink(dataset.queries.path(7))
    result = test(dataset, GeoLocalizationNet("ResNet18", 8, weights=None))
    assert result.unreadable_database[5] == result.unreadable_queries[7] == "No such file or directory"
    assert (result.predictions[7] == -1).all() and not (result.predictions == 5).any()
