"""The rows of unchanged images, which a new store takes from an earlier one."""

import logging
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from datasets.test_dataset import ImageFolder
from retrieval import earlier
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.store import FolderStore
from tests.caches import flip
from tests.descriptors import BATCH, IMAGES, SmallNetwork, change_header, extract, kept


@pytest.fixture
def growing(images):
    """A cache whose stores grow, with the descriptors of the folder f, which was made some time ago."""
    make_old()
    cache = DescriptorCache("kept", grows=True)
    assert extract(cache, ImageFolder("f"))[2] == IMAGES - 1  # one is cut off
    return cache


def make_old():
    for entry in os.scandir("f"):
        os.utime(entry.path, ns=(10**18, 10**18))


def save_image(name, seed=1):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(pixels).save(f"f/{name}")


def assert_right(values, unreadable):
    expected, bad = extract_descriptors(SmallNetwork(), ImageFolder("f"), ExtractionOptions(BATCH))
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert unreadable == bad


def test_only_new_and_changed_images_are_described(growing, caplog):
    caplog.set_level(logging.INFO)
    for number in range(3):
        save_image(f"1{number}_new.png", seed=number)
    os.unlink("f/05.png")
    os.rename("f/30.png", "f/00_first.png")  # the same image under another name is described again
    save_image("31.png", seed=9)  # changed
    values, unreadable, seen = extract(growing, ImageFolder("f"))
    assert seen == 3 + 1 + 1 and "36 of the 42 images of f are as they were" in caplog.text
    assert "6 are described; 4 of the images there are gone, or have changed" in caplog.text  # 21 is tried again
    assert_right(values, unreadable)
    again, same, seen = extract(growing, ImageFolder("f"))
    np.testing.assert_array_equal(again, values)
    assert seen == 0 and same == unreadable and len(kept(growing)) == 2


def test_an_image_that_can_be_read_now_is_described(growing):
    shutil.copyfile("f/20.png", "f/other.png")
    os.utime("f/21.png", ns=(10**18, 10**18))
    values, unreadable, seen = extract(growing, ImageFolder("f"))
    assert list(unreadable) == [21] and seen == 1
    assert_right(values, unreadable)


def test_an_interrupted_growth_goes_on(growing):
    for number in range(25):
        save_image(f"9{number:02d}.png", seed=number)
    with pytest.raises(KeyboardInterrupt):  # the blocks have 8, 16 and 1 new images
        extract(growing, ImageFolder("f"), SmallNetwork(fail_after=15))
    values, unreadable, seen = extract(growing, ImageFolder("f"))
    assert 0 < seen < 25 and len(kept(growing)) == 2
    assert_right(values, unreadable)


def test_images_that_have_just_been_written_are_described_again(images):
    cache = DescriptorCache("kept", grows=True)
    recent, old = [f"f/{number:02d}.png" for number in (3, 4)], time.time_ns() - 10**10
    make_old()
    for path in recent:
        os.utime(path)
    extract(cache, ImageFolder("f"))
    os.unlink("f/00.png")
    assert extract(cache, ImageFolder("f"))[2] == 2  # they could have changed within one tick of the clock
    os.utime("f/05.png", ns=(old, old))
    assert extract(cache, ImageFolder("f"))[2] == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda folder, cache: setattr(cache, "grows", False),
        lambda folder, cache: setattr(cache, "dtype", "float16"),
        lambda folder, cache: os.unlink(f"{folder}/stamps"),
        lambda folder, cache: os.truncate(f"{folder}/stamps", 16),
        lambda folder, cache: flip(f"{folder}/stamps", 40),
        lambda folder, cache: flip(f"{folder}/descriptors.npy", 300),
        lambda folder, cache: flip(f"{folder}/header.json", 100),
        lambda folder, cache: change_header(folder, complete=False),
        lambda folder, cache: change_header(folder, identity=[]),
        lambda folder, cache: shutil.move("f", "g"),
    ],
)
def test_nothing_is_taken_from_what_is_damaged_or_of_something_else(growing, change):
    folder = os.path.join("kept", *kept(growing))
    change(folder, growing)
    images = ImageFolder("f" if os.path.isdir("f") else "g")
    os.unlink(images.path(0))
    images = ImageFolder(images.folder)
    _, _, seen = extract(growing, images)
    assert seen == IMAGES - 2


def test_another_network_and_changed_images_take_nothing(growing):
    os.unlink("f/00.png")
    assert extract(growing, ImageFolder("f"), SmallNetwork(seed=1))[2] == IMAGES - 2
    images = ImageFolder("f")
    images.settings, images.targets = "other colours", images
    for _ in range(2):
        images.names = list(images.names)[1:]
        assert extract(growing, images)[2] == len(images) - 1


def test_a_store_that_rows_are_taken_from_is_not_removed(growing):
    size = sum(entry.stat().st_size for entry in os.scandir(os.path.join("kept", *kept(growing))))
    growing.limit = size + 100  # there is no room for a second one
    save_image("new.png")
    values, unreadable, seen = extract(growing, ImageFolder("f"))
    assert seen == 1
    assert_right(values, unreadable)
    (left,) = kept(growing)  # afterwards the older one goes
    assert FolderStore(f"kept/{left}").header["identity"]["settings"][earlier.GROWN]
