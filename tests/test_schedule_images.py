import collections
import os

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.groups import build_groups
from datasets.images import ImageError, open_rgb, read_size, resize_shorter_side, to_array
from datasets.schedule import Schedule
from datasets.train_dataset import TrainDataset, make_loader
from support.errors import UserError

# --- the schedule


def test_epochs_take_groups_in_turn_and_each_group_counts_its_own_batches():
    schedule = Schedule([10, 10, 10], 4, iterations_per_epoch=5, epochs_num=7, seed=0)
    assert schedule.steps == 35
    counts = collections.Counter()
    for step in range(schedule.steps):
        epoch, group, k = schedule.at(step)
        assert epoch == step // 5 and group == epoch % 3 and k == counts[group]
        counts[group] += 1


def test_a_pass_shows_classes_without_replacement_and_drops_the_partial_batch():
    schedule = Schedule([11], 4, 100, 1, seed=3)
    passes = [
        np.concatenate([schedule.batch(0, 2 * number), schedule.batch(0, 2 * number + 1)]) for number in range(200)
    ]
    assert all(len(set(p.tolist())) == 8 for p in passes)
    assert len({tuple(p.tolist()) for p in passes}) == 200
    seen = np.bincount(np.concatenate(passes), minlength=11)
    assert len(seen) == 11 and abs(seen - seen.mean()).max() < 40  # 145 expected each


def test_draws_depend_on_seed_group_and_counter_alone():
    first, second = (Schedule([20, 20], 4, 10, 4, seed=1) for _ in range(2))
    second.batch(1, 7)  # any history
    for group, k in [(0, 0), (1, 9), (0, 13)]:
        np.testing.assert_array_equal(first.batch(group, k), second.batch(group, k))
        np.testing.assert_array_equal(first.image_draws(group, k), second.image_draws(group, k))
        assert first.augmentation_seed(group, k) == second.augmentation_seed(group, k)
    other = Schedule([20, 20], 4, 10, 4, seed=2)
    assert len({s.augmentation_seed(g, k) for s in (first, other) for g in (0, 1) for k in range(20)}) == 80
    assert first.head_seed(0) != first.head_seed(1)


def test_group_smaller_than_a_batch_is_an_error():
    with pytest.raises(UserError, match="group 1 has 3 classes, fewer than a batch of 4"):
        Schedule([10, 3], 4, 5, 1, 0)


# --- training batches


def make_dataset(folder, sizes, damage=(), classes=5, images=3, batch_size=5, steps=12):
    """`classes` classes of `images` images; image i of the list has sizes[i % len(sizes)] and the gray level i."""
    os.makedirs(folder)
    names = []
    for index in range(classes * images):
        names.append(f"@{551000 + 10 * (index % classes)}@4181000@@@@@@{index}@0@@@@@@.png")
        path = os.path.join(folder, names[-1])
        Image.new("RGB", sizes[index % len(sizes)], (index,) * 3).save(path)
        if index in damage:
            os.truncate(path, 20)
    groups = build_groups(names, 10, 30, 1, 1, 1)
    return TrainDataset(folder, groups, Schedule([classes], batch_size, steps, 1, seed=0))


def test_batches_hold_images_of_their_classes(workdir):
    dataset = make_dataset("f", [(40, 36)])
    drawn = collections.Counter()
    for step in range(12):
        batch = dataset[step]
        assert batch.images.dtype == torch.uint8 and batch.images.shape == (5, 3, 36, 40)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        levels = batch.images[:, 0, 0, 0]
        assert (levels % 5 == batch.labels).all() and sorted(batch.labels.tolist()) == list(range(5))
        drawn.update(levels.tolist())
    assert len(drawn) == 15  # every image of every class comes up


def test_batches_do_not_depend_on_workers_or_on_the_first_step(workdir):
    dataset = make_dataset("f", [(40, 36)], damage=(2, 8))
    alone = [dataset[step] for step in range(12)]
    for first, workers in ((0, 2), (5, 3), (7, 0)):
        loaded = list(make_loader(dataset, first, workers, pin_memory=False))
        assert [batch.step for batch in loaded] == list(range(first, 12))
        for batch, expected in zip(loaded, alone[first:], strict=True):
            assert torch.equal(batch.images, expected.images) and torch.equal(batch.labels, expected.labels)
            assert batch.unreadable == expected.unreadable


def test_unreadable_image_is_replaced_by_the_next_of_its_class(workdir):
    dataset = make_dataset("f", [(40, 36)], damage=(7,))  # class 2 has images 2, 7, 12
    replaced = 0
    for step in range(12):
        batch = dataset[step]
        level = batch.images[batch.labels.tolist().index(2), 0, 0, 0].item()
        assert level in (2, 12)
        if batch.unreadable:
            replaced += 1
            assert level == 12 and batch.unreadable[0][0].split("@")[8] == "7"
    assert replaced and not dataset[0].error


def test_class_with_no_readable_image_is_an_error_that_names_it(workdir):
    dataset = make_dataset("f", [(40, 36)], damage=(2, 7, 12))
    error = dataset[0].error
    assert "none of the 3 images of class (551020, 4181000, 0) can be read" in error


def test_images_of_another_size_are_resized_and_named(workdir):
    dataset = make_dataset("f", [(40, 36), (40, 36), (40, 36), (50, 34)])
    assert dataset.size == (40, 36)
    resized = [name for step in range(12) for name in dataset[step].resized]
    assert resized and {int(name.split("@")[8]) % 4 for name in resized} == {3}


# --- the decoder


def gradient(size=(30, 20)):
    return Image.merge(
        "RGB",
        [Image.linear_gradient("L").resize(size), Image.radial_gradient("L").resize(size), Image.new("L", size, 90)],
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path, orientation):
    upright = gradient()
    stored = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # the inverse transposition
    image = upright if stored is None else upright.transpose(Image.Transpose(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(to_array(open_rgb(tmp_path / "x.png")), to_array(upright))
    assert read_size(tmp_path / "x.png") == (30, 20)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_modes_become_rgb(tmp_path, mode):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    gradient().convert(mode).save(path)
    image = open_rgb(path)
    assert image.mode == "RGB" and image.size == (30, 20) and len(np.unique(to_array(image))) > 1


def test_16_bits_become_8(tmp_path):
    values = np.arange(0, 65536, 256, np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "x.png")
    np.testing.assert_array_equal(to_array(open_rgb(tmp_path / "x.png"))[..., 0], values >> 8)


def test_what_cannot_be_decoded_is_an_image_error(tmp_path, monkeypatch):
    gradient((300, 200)).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    cases = {
        "truncated": (data[: len(data) // 2], "truncated"),
        "empty": (b"", "cannot identify"),
        "text": (b"hi" * 99, "cannot identify"),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=reason):
            open_rgb(tmp_path / name)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to("nowhere")
    for name, reason in (("folder.jpg", "directory"), ("link.jpg", "No such file")):
        with pytest.raises(ImageError, match=reason):
            open_rgb(tmp_path / name)
    monkeypatch.setattr("datasets.images.MAX_PIXELS", 100)
    with pytest.raises(ImageError, match="it claims 300 x 200 pixels; more than 100 are not decoded"):
        open_rgb(tmp_path / "whole.jpg")


def test_resize_shorter_side_keeps_the_ratio():
    assert resize_shorter_side(gradient((300, 200)), 100).size == (150, 100)
    assert resize_shorter_side(gradient((200, 300)), 100).size == (100, 150)
    image = gradient((300, 200))
    assert resize_shorter_side(image, 200) is image
