"""Every kind of image, bad or only odd: what the decoder, a training batch and an evaluation make of it."""

import errno
import io
import os
import re
import resource
import signal
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets import images
from datasets.groups import build_groups
from datasets.images import ImageError, open_rgb, read_size
from datasets.night.target_images import TargetImages
from datasets.schedule import Schedule
from datasets.test_dataset import ImageFolder
from datasets.train_dataset import TrainDataset
from tests.children import in_child
from tests.photos import encoded, photo, save


def png_that_claims(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    )


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
    "truncated": (save(WHOLE[: len(WHOLE) // 2]), "truncated"),
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
    "WebP": (save(encoded(photo(), "WEBP", quality=95)), photo()),
}
KINDS = {**BAD, **SOUND}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A class a kind: an image of this kind and two plain ones, in the order of KINDS, with a list, which names
    directories too.
    """
    folder, names = tmp_path_factory.mktemp("kinds") / "f", []
    folder.mkdir()
    for index, (make, _) in enumerate(KINDS.values()):
        for number in range(3):
            names.append(f"@{551000 + 10 * index}@4181000@@@@@@{number}@0@@@@@@.jpg")
            (make if number == 0 else save(encoded(photo(), quality=60)))(str(folder / names[-1]))
    (folder.parent / "f_images_paths.txt").write_text("\n".join(names))
    return str(folder), names


@pytest.fixture(autouse=True)
def guards(monkeypatch):
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
    found, row = ImageFolder(folder[0]), 3 * list(KINDS).index(kind)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        index, image, reason = found[row]
    assert index == row and not caught
    if kind in BAD:
        assert image is None
        with pytest.raises(ImageError, match=BAD[kind][1]) as error:
            open_rgb(found.path(row), 32)
        assert reason == str(error.value) and "\n" not in reason
    else:
        assert not reason
        assert difference(image.permute(1, 2, 0).numpy(), SOUND[kind][1]) < 5
        assert read_size(found.path(row)) == (64, 48)


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
    assert set(unreadable) == set(paths[: len(BAD)])
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
def test_the_limit_of_pixels_is_our_own(tmp_path, action, pillows_limit):
    in_child(refuse_huge_images, tmp_path, action, pillows_limit)


def refuse_huge_images(folder, action, pillows_limit):
    """In a process that may take 100 MB more than it has, some of it free; the pixels would take 0.8 to 6.4 GB."""
    data = int(Path("/proc/self/statm").read_text().split()[5])
    more = data * resource.getpagesize() + 100_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (more, more))
    with pytest.raises(MemoryError):
        bytearray(700_000_000)
    Image.MAX_IMAGE_PIXELS = pillows_limit
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        for width, height in ((30_000, 30_000), (2**14, 2**14 + 1), (2**31 - 1, 1)):
            save(png_that_claims(width, height))(folder / "x.png")
            for read in (open_rgb, read_size):
                with pytest.raises(ImageError, match=f"claims {width} x {height} pixels"):
                    read(folder / "x.png")
        save(png_that_claims(20_000, 10_000))(folder / "x.png")  # a panorama of 200 megapixels
        assert read_size(folder / "x.png") == (20_000, 10_000)
        save(encoded(photo()))(folder / "x.jpg")
        assert open_rgb(folder / "x.jpg").size == (64, 48)
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
    """A stream that cannot go back, an image that another opened, and threads, which leave the process's warnings as
    they are.
    """

    class Connection(io.BytesIO):
        def seek(self, *args):
            raise io.UnsupportedOperation("seek")

    assert open_rgb(Connection(encoded(photo()))).size == open_rgb(io.BytesIO(encoded(photo()))).size == (64, 48)
    with Image.open(io.BytesIO(WHOLE[:5000])) as lazy, pytest.raises(ImageError, match="truncated"):
        open_rgb(lazy)
    results, filters = [], warnings.filters[:]
    thread = threading.Thread(
        target=lambda: results.extend((open_rgb(io.BytesIO(encoded(photo()))).size, warnings.filters[:]))
    )
    thread.start()
    thread.join()
    assert results == [(64, 48), filters] and warnings.filters[:] == filters


FILES = [encoded(photo(), kind) for kind in ("JPEG", "PNG", "TIFF", "GIF", "WEBP")] + [rotated(), with_damaged_exif()]


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.integers(0, 400),
)
def test_damaged_files_are_images_or_image_errors(monkeypatch, data, changes, cut):
    monkeypatch.setattr(images, "MAX_PIXELS", 10**6)
    data = bytearray(data)
    for position, value in changes:
        data[position % len(data)] = value
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            assert open_rgb(io.BytesIO(bytes(data[: len(data) - cut]))).mode == "RGB"
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
