"""The domain batches: which images are of the source, of the target domain, and of a pseudo-target set."""

import argparse
import collections
import os

import pytest
import torch
from PIL import Image

import distributed
from datasets.groups import build_groups
from datasets.night.pseudo_targets import PseudoTargets
from datasets.schedule import Schedule
from datasets.target_dataset import DomainImages
from datasets.train_dataset import TrainDataset, make_loader
from support.errors import UserError
from training.ranks import DataParallel


def make_dataset(folder, batch_size=7, damage=(), target_size=(90, 50)):
    """Training images of 40 x 36 pixels and of gray levels 0 to 14; in two target folders of 3 images each, 100 to 102
    and 200 to 202.
    """
    names = []
    for index in range(15):
        names.append(f"@{551000 + 10 * (index % 5)}@4181000@@@@@@{index}@0@@@@@@.png")
        write(f"{folder}/train/{names[-1]}", index, (40, 36), damage)
    for level in (100, 101, 102, 200, 201, 202):
        write(f"{folder}/target{level // 100}/deep/photo {level}.png", level, target_size, damage)
    schedule = Schedule([5], 5, 30, 1, seed=0)
    groups = build_groups(names, 10, 30, 1, 1, 1)
    domain = DomainImages(f"{folder}/train", groups, schedule, [f"{folder}/target1", f"{folder}/target2"], batch_size)
    return TrainDataset(f"{folder}/train", groups, schedule, domain)


def write(path, level, size, damage):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.new("RGB", size, (level,) * 3).save(path)
    if level in damage:
        os.truncate(path, 20)


def test_two_thirds_are_source_images_and_every_image_comes_up(workdir):
    dataset = make_dataset("f")
    plain = TrainDataset("f/train", dataset.groups, dataset.schedule)
    drawn = collections.Counter()
    for step in range(30):
        batch, without = dataset[step], plain[step]
        assert batch.domain.images.shape == (7, 3, 36, 40) and batch.domain.images.dtype == torch.uint8
        assert batch.domain.is_target.tolist() == [False] * 5 + [True] * 2  # what does not divide by three is source
        levels = batch.domain.images[:, 0, 18, 20]
        assert torch.equal(levels >= 100, batch.domain.is_target)
        drawn.update(levels.tolist())
        # the classification's images are those of a run without domain adaptation: target images are not among them
        assert torch.equal(batch.images, without.images) and without.domain is None and batch.images.max() < 100
        assert not batch.resized and not batch.error
    assert set(drawn) == {*range(15), 100, 101, 102, 200, 201, 202}
    assert DomainImages("", None, None, ["f/target1"], 24).source_size == 16


def test_domain_batches_do_not_depend_on_workers_or_on_the_first_step(workdir):
    dataset = make_dataset("f", damage=(2, 101))
    alone = [dataset[step] for step in range(30)]
    for first, workers in ((0, 2), (5, 1), (7, 0)):
        for batch, expected in zip(make_loader(dataset, first, workers, pin_memory=False), alone[first:], strict=True):
            assert all(
                torch.equal(a, b) for a, b in zip(batch.domain.tensors(), expected.domain.tensors(), strict=True)
            )
            assert batch.unreadable == expected.unreadable
    assert len({tuple(batch.domain.images[:, 0, 0, 0].tolist()) for batch in alone}) > 25


def test_target_images_of_other_sizes_are_cut_to_shape_not_squeezed(workdir):
    dataset = make_dataset("f", target_size=(90, 50))
    for level in (100, 101, 102, 200, 201, 202):  # a central square of 30 x 30 pixels
        path = f"f/target{level // 100}/deep/photo {level}.png"
        image = Image.open(path)
        image.paste((0, 0, 0), (30, 10, 60, 40))
        image.save(path)
    for images in (dataset[step].domain.images[5:] for step in range(4)):
        dark = images[:, 0] < 50
        # 50 rows become 36: the square has 21.6 x 21.6 pixels
        assert all(20 <= dark[:, 18].sum(1).tolist()[row] <= 24 for row in range(2))
        assert all(20 <= dark[:, :, 20].sum(1).tolist()[row] <= 24 for row in range(2))


def test_unreadable_images_are_replaced_by_the_next(workdir):
    dataset = make_dataset("f", damage=(7, 101, 201))
    unreadable = dict(entry for step in range(30) for entry in dataset[step].unreadable)
    levels = {level for step in range(30) for level in dataset[step].domain.images[:, 0, 18, 20].tolist()}
    assert not levels & {7, 101, 201} and not any(dataset[step].error for step in range(30))
    assert {"f/target1/deep/photo 101.png", "f/target2/deep/photo 201.png"} < set(unreadable)


def test_folder_with_no_readable_image_is_an_error_that_names_it(workdir):
    dataset = make_dataset("f", damage=(200, 201, 202))
    errors = {dataset[step].error for step in range(30)} - {""}
    assert errors and all(
        "none of the images of f/target2 can be read ('f/target2/deep/photo 20" in error for error in errors
    )
    with pytest.raises(UserError, match="folder f/nowhere does not exist"):
        DomainImages("", None, None, ["f/nowhere"], 24)


def open_with_pseudo_images(**options):
    """A TrainDataset of 3 + 2 classes in two groups, with their images by night (gray levels 20 higher), and domain
    batches of 16 images, 4 of them source and 4 pseudo-night images.
    """
    names = list(make_dataset("f").groups.names)
    for name in names:
        level = Image.open(f"f/train/{name}").getpixel((0, 0))[0]
        write(f"f/night/night{name}", 20 + level, (40, 36), ())
    groups, by_night = (
        build_groups(given, 10, 30, 2, 1, 1) for given in (names, [f"night{name}" for name in reversed(names)])
    )
    schedule = Schedule([groups.num_classes(group) for group in range(2)], 2, 30, 1, seed=0, local_steps=1)
    pseudo = PseudoTargets("f/night", by_night, groups, 2)
    targets = ["f/target1", "f/target2"]
    domain = DomainImages(
        "f/train", groups, schedule, targets, 16, target_size=12, pseudo_size=4, pseudo_targets=pseudo, **options
    )
    return TrainDataset("f/train", groups, schedule, domain, pseudo)


def groups_of_levels(groups):
    """{gray level by day: group}."""
    return {
        Image.open(f"f/train/{groups.image_name(index)}").getpixel((0, 0))[0]: group
        for group in range(2)
        for row in range(groups.num_classes(group))
        for index in groups.image_indices(group, row)
    }


@pytest.mark.parametrize("of_the_group", [False, True])
def test_a_number_of_target_images_is_pseudo_night_and_source_images_may_be_of_the_group(workdir, of_the_group):
    dataset = open_with_pseudo_images(of_the_group=of_the_group)
    group_of, drawn, same_group = groups_of_levels(dataset.groups), collections.Counter(), []
    assert sorted(group_of) == list(range(15)) and set(group_of.values()) == {0, 1}
    for step in range(30):
        batch = dataset[step]
        assert batch.domain.is_target.tolist() == [False] * 4 + [True] * 12
        levels = batch.domain.images[:, 0, 18, 20].tolist()
        day, night, targets = levels[:4], levels[4:8], levels[8:]
        assert max(day) < 15 and min(night) >= 20 and max(night) < 35 and min(targets) >= 100
        drawn.update(levels)
        same_group += [group_of[level] == batch.group for level in [*day, *(level - 20 for level in night)]]
    assert set(drawn) == {*range(15), *range(20, 35), 100, 101, 102, 200, 201, 202}
    assert all(same_group) if of_the_group else 0.3 < sum(same_group) / len(same_group) < 0.7
    assert str(dataset.domain).endswith("3 images of f/target2, 4 of 12 a step from f/night")


def test_every_process_needs_a_source_image(monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 4)
    args = argparse.Namespace(batch_size=8, domain_batch_size=16, domain_target_images=12)
    DataParallel().check(args, [9])
    args.domain_target_images = 13
    with pytest.raises(UserError, match="4 processes cannot share 8 images a batch, 3 source images a domain batch"):
        DataParallel().check(args, [9])


def test_processes_share_pseudo_night_images_too(workdir):
    whole = open_with_pseudo_images()
    halves = [
        open_with_pseudo_images(share=lambda count, part=part: slice(part * count // 2, (part + 1) * count // 2))
        for part in range(2)
    ]
    for step in range(4):
        parts, expected = [half[step].domain for half in halves], whole[step].domain
        rows = torch.cat([torch.from_numpy(half.domain.share.rows) for half in halves])
        assert sorted(rows.tolist()) == list(range(16))
        assert torch.equal(torch.cat([part.images for part in parts]), expected.images[rows])
        assert torch.equal(torch.cat([part.is_target for part in parts]), expected.is_target[rows])
