"""Night sets, training with the night, and FDA at the test: through the scripts, on a tiny data set."""

import glob
import hashlib
import json
import logging
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import eval as eval_script
import train
from datasets.groups import build_groups
from datasets.images import open_rgb, to_array
from datasets.names import list_images, parse_fields
from datasets.night import __main__ as cli
from datasets.night import build, fda
from datasets.night.augmentation import NightAugmentation
from datasets.night.fda_images import FDAImages
from datasets.night.maker import NightMaker
from datasets.night.pseudo_targets import PseudoTargets, num_day_rows
from datasets.night.target_images import TargetImages
from datasets.schedule import Schedule
from datasets.test_dataset import ImageFolder
from datasets.train_dataset import TrainDataset, make_loader
from options import taken_by
from parser import Arguments, parse_arguments
from support.errors import UserError
from support.files import read_tensors
from tests.failures import interrupt, once_there
from tests.scripts import fails
from tests.tiny import FLAGS, SHORT, place_image, save_place
from training.resuming import check_same_run

BETA = ["--fda_beta", "0.05"]  # b = 3 at 64 pixels


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """Five dark images of several sizes, without `@` names, one of them damaged."""
    folder = tmp_path_factory.mktemp("targets")
    for index, size in enumerate((64, 64, 50, 90, 64)):
        picture = np.asarray(place_image(100 + index, 0, 0, size)) * [0.3, 0.2, 0.1]
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"night {index}.png")
    os.truncate(folder / "night 4.png", 60)
    return str(folder)


def make(*flags):
    return cli.main([str(flag) for flag in flags])


def read_tree(folder):
    paths = sorted(glob.glob(f"{folder}/**/*", recursive=True))
    return {os.path.relpath(path, folder): open(path, "rb").read() for path in paths if os.path.isfile(path)}


@pytest.fixture(scope="module")
def night(tiny, targets, tmp_path_factory):
    """A pseudo-target set of the tiny training set."""
    output = str(tmp_path_factory.mktemp("made") / "train_night")
    make("--source", f"{tiny}/train", "--target", targets, "--output", output, *BETA, "--num_workers", 0)
    return output


# --- sets


def test_a_set_keeps_layout_fields_and_classes(tiny, night):
    day = list_images(f"{tiny}/train")
    names = list_images(night)
    assert names.source == f"{night}_images_paths.txt" and sorted(names) == sorted(map(build.night_name, day))
    assert build.night_name("37/@1@2@.jpg") == "37/night@1@2@.jpg"
    np.testing.assert_array_equal(parse_fields(names, (1, 2, 9)), parse_fields(day, (1, 2, 9)))
    for name in list(day)[::17]:
        before, after = (
            to_array(open_rgb(path)).mean() for path in (f"{tiny}/train/{name}", f"{night}/{build.night_name(name)}")
        )
        assert after < 0.6 * before
    settings = json.load(open(f"{night}_night.json"))
    assert settings["method"] == "fda_pp" and settings["fda_beta"] == 0.05 and settings["seed"] == 0


@pytest.mark.parametrize("flags", [["--num_workers", 3, "--batch_size", 1], ["--num_workers", 1, "--batch_size", 1000]])
def test_images_do_not_depend_on_workers_or_batches(tiny, targets, night, workdir, flags):
    threads = torch.get_num_threads()
    make("--source", f"{tiny}/train", "--target", targets, "--output", "n", *BETA, *flags)
    assert read_tree("n") == read_tree(night) and torch.get_num_threads() == threads


def test_images_depend_on_seed_name_and_method_alone(targets):
    image = to_array(place_image(1, 0, 0))
    maker = NightMaker("fda_pp", 0.05, TargetImages(targets))
    assert np.array_equal(maker("a@b", image), NightMaker("fda_pp", 0.05, TargetImages(targets))("a@b", image))
    others = [
        maker("a@c", image),
        NightMaker("fda_pp", 0.05, TargetImages(targets), seed=1)("a@b", image),
        NightMaker("pp")("a@b", image),
    ]
    assert not any(np.array_equal(maker("a@b", image), other) for other in others)
    drawn = {maker.target(str(name), (8, 8)).tobytes() for name in range(60)}
    assert len(drawn) == 4  # all that can be read


def test_fda_set_is_the_fda_of_the_drawn_target(targets):
    image = to_array(place_image(1, 0, 0))
    maker = NightMaker("fda", 0.05, TargetImages(targets))
    day, dark = (
        torch.from_numpy(np.array(values)).movedim(-1, 0)[None] / 255 for values in (image, maker.target("x", (64, 64)))
    )
    expected = (fda(day, dark, 0.05)[0].movedim(0, -1) * 255).round().byte().numpy()
    assert np.abs(maker("x", image).astype(int) - expected).max() <= 1


def test_an_interrupted_run_goes_on(tiny, targets, night, workdir, monkeypatch, capsys):
    command = ["--source", f"{tiny}/train", "--target", targets, "--output", "n", *BETA, "--num_workers", 0]
    once_there(monkeypatch, build._Chunks, "_save", 10, "n/**/*.jpg", interrupt)
    with pytest.raises(SystemExit) as exit_:
        make(*command)
    assert exit_.value.code == 130 and "run the same command again" in capsys.readouterr().err
    assert not os.path.exists("n_images_paths.txt")
    monkeypatch.undo()
    os.chdir(workdir)
    made = glob.glob("n/**/*.jpg", recursive=True)
    stamps = [os.stat(path).st_mtime_ns for path in made]
    make(*command)
    assert "62 images made, 10 were there; 0 left out" in capsys.readouterr().out
    assert [os.stat(path).st_mtime_ns for path in made] == stamps and read_tree("n") == read_tree(night)


def test_images_of_other_sizes_and_kinds_and_unreadable_ones(tiny, workdir, capsys):
    for variant, size in enumerate((64, 40, 72)):
        name = save_place("f", variant, 0, variant, size)
    os.truncate(f"f/{name}", 100)
    os.makedirs("f/deep/er")
    place_image(5, 0, 0, 33).save("f/deep/er/@1@2@.png")
    make("--source", "f", "--output", "n", "--method", "pp", "--num_workers", 2)
    output = capsys.readouterr().out
    assert f"left out: {name!r}: " in output and "n: 3 images made, 0 were there; 1 left out" in output
    listed = list(list_images("n"))
    assert len(listed) == 3 and build.night_name(name) not in listed and "deep/er/night@1@2@.png" in listed
    for name in listed:
        with Image.open(f"n/{name}") as made, Image.open("f/" + name.replace("night@", "@")) as day:
            assert made.size == day.size and made.format == day.format


def refused(capsys, *flags):
    with pytest.raises(SystemExit) as exit_:
        make(*flags)
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1
    return error


def test_refuses_folders(tiny, targets, workdir, capsys):
    source = ["--source", f"{tiny}/train"]
    fda_flags = [*source, "--output", "n", "--method", "fda", "--target"]
    assert "folder nowhere does not exist" in refused(capsys, "--source", "nowhere", "--output", "n", "--method", "pp")
    assert "folder nowhere does not exist" in refused(capsys, *fda_flags, "nowhere")
    os.mkdir("empty")
    assert "folder empty has no images" in refused(capsys, *fda_flags, "empty")
    assert "--method fda takes colours from images of the night: give their folder as --target" in refused(
        capsys, *fda_flags[:-1]
    )
    assert "are the same folder" in refused(capsys, *source, "--output", f"{tiny}/./train", "--method", "pp")
    assert "lies in the other" in refused(capsys, *source, "--output", f"{tiny}/train/night", "--method", "pp")
    assert "lies in the other" in refused(capsys, *source, "--output", tiny, "--method", "pp")
    with open("file", "w"):
        pass
    assert "file is a file" in refused(capsys, *source, "--output", "file", "--method", "pp")
    assert "give --output, the folder to make, or --sheet" in refused(capsys, *source)
    os.mkdir("plain")
    place_image(1, 0, 0).save("plain/photo.jpg")
    assert "image name 'photo.jpg'" in refused(capsys, "--source", "plain", "--output", "n", "--method", "pp")
    os.truncate("plain/photo.jpg", 10)
    os.rename("plain/photo.jpg", "plain/@1@2@.jpg")
    assert "none of the 1 images of plain can be read" in refused(
        capsys, "--source", "plain", "--output", "n", "--method", "pp"
    )
    os.mkdir("bad")
    open("bad/x.jpg", "w").close()
    assert "none of the 1 images of bad can be read" in refused(
        capsys, *source, "--output", "m", "--method", "fda", "--target", "bad"
    )


def test_refuses_an_output_of_other_settings(tiny, targets, workdir, capsys):
    os.mkdir("photos")
    save_place("photos", 1, 0, 0)
    command = ["--source", "photos", "--output", "n", "--method", "pp"]
    make(*command)
    make(*command)
    message = refused(capsys, *command[:-1], "fda", "--target", targets, "--seed", 3)
    assert "n was begun with other settings: method 'pp' (now 'fda'), seed 0 (now 3), target None (now " in message
    os.mkdir("other")
    open("other/holiday.txt", "w").close()
    assert "other is not empty and was not made by python -m datasets.night" in refused(
        capsys, *command, "--output", "other"
    )
    for content, problem in (("{", "n_night.json is damaged"), ("[]", "was not written by")):
        with open("n_night.json", "w") as file:
            file.write(content)
        assert problem in refused(capsys, *command)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--fda_beta", "0.6", "--fda_beta is 0.6, and must be from 0 to 0.5"),
        ("--fda_beta", "nan", "--fda_beta is nan"),
        ("--fda_beta", "0.02", "--fda_beta has no use without --method fda or fda_pp: give that too, or leave"),
        ("--fda_window", "fork", "--fda_window has no use without --method fda or fda_pp"),
        ("--fda_size", "1024x512", "--fda_size has no use without --method fda or fda_pp"),
        ("--target", "t", "--target has no use without --method fda or fda_pp"),
        ("--sheet_rows", "3", "--sheet_rows has no use without --sheet"),
        ("--num_workers", "-1", "--num_workers is -1"),
        ("--batch_size", "0", "--batch_size is 0"),
        ("--jpeg_quality", "101", "from 1 to 100"),
        ("--sheet", "x.gif", "must end in .jpg or .png"),
    ],
)
def test_refuses_values(tiny, workdir, capsys, flag, value, message):
    assert message in refused(capsys, "--source", f"{tiny}/train", "--output", "n", "--method", "pp", flag, value)
    assert not os.path.exists("n")


@pytest.mark.parametrize("size", ["1024", "1024x", "x512", "1024x31", "99999x99999", "1024 x 512"])
def test_refuses_sizes(workdir, capsys, size):
    with pytest.raises(SystemExit) as exit_:
        make("--source", "s", "--output", "n", "--target", "t", "--fda_size", size)
    assert exit_.value.code == 2 and f"--fda_size: '{size}' is no size: give WIDTHxHEIGHT in" in capsys.readouterr().err


def test_a_set_as_the_fork_made_it(targets, workdir, capsys):
    """FDA at 1024 x 512, then mild post-processing of that set, each written with a JPEG quality of 75."""
    os.mkdir("photos")
    name = save_place("photos", 1, 0, 0)
    fork = ["--fda_window", "fork", "--fda_size", "1024x512", "--jpeg_quality", 75, "--num_workers", 0]
    make("--source", "photos", "--output", "fda", "--method", "fda", "--target", targets, *fork)
    settings = json.load(open("fda_night.json"))
    assert (settings["fda_window"], settings["fda_size"]) == ("fork", [1024, 512]) and "pp_strength" not in settings
    maker = NightMaker("fda", 0.01, TargetImages(targets), window="fork", size=(1024, 512))
    made = f"fda/{build.night_name(name)}"
    Image.fromarray(maker(name, to_array(open_rgb(f"photos/{name}")))).save("expected.jpg")  # Pillow's default is 75
    assert open(made, "rb").read() == open("expected.jpg", "rb").read()
    make(*["--source", "fda", "--output", "pp", "--method", "pp", "--pp_strength", "mild", "--jpeg_quality", 75])
    settings = json.load(open("pp_night.json"))
    assert settings["pp_strength"] == "mild" and "fda_window" not in settings
    mild = to_array(open_rgb(f"pp/{build.night_name(build.night_name(name))}")).mean()
    strong = NightMaker("pp")("x", to_array(open_rgb(made))).mean()
    assert strong < 0.95 * mild < 0.9 * to_array(open_rgb(made)).mean()
    command = ["--source", "photos", "--output", "fda", "--method", "fda", "--target", targets, "--jpeg_quality", 75]
    assert "with other settings: fda_window 'fork' (now 'paper'), fda_size [1024, 512] (now None)" in refused(
        capsys, *command
    )
    assert "--pp_strength has no use without --method pp or fda_pp" in refused(
        capsys, *command, *fork, "--pp_strength", "mild"
    )


def test_a_set_goes_on_when_its_defaults_are_given(targets, workdir):
    os.mkdir("photos")
    save_place("photos", 1, 0, 0)
    for method, strength in (("pp", "strong"), ("fda_pp", "mild")):
        command = ["--source", "photos", "--output", method, "--method", method, "--num_workers", 0]
        command += ["--target", targets, *BETA] if method == "fda_pp" else []
        make(*command)
        make(*command, "--pp_strength", strength)
        os.rename(f"{method}_night.json", "plain.json")
        stored = json.load(open("plain.json")) | {"pp_strength": strength}
        with open(f"{method}_night.json", "w") as file:
            json.dump(stored, file)
        make(*command)


def test_sheet(tiny, targets, workdir, capsys):
    make(
        "--source",
        f"{tiny}/train",
        "--target",
        targets,
        "--sheet",
        "out/sheet.png",
        "--sheet_rows",
        3,
        "--sheet_pixels",
        64,
        *BETA,
    )
    sheet = np.asarray(Image.open("out/sheet.png")).astype(float)
    assert sheet.shape[1] == 5 * 66 + 2 and sheet.shape[0] >= 3 * 66
    columns = [sheet[-66 * 3 :, 2 + 66 * i : 2 + 66 * i + 64].mean() for i in range(5)]
    assert columns[0] > columns[1] > columns[3] and columns[0] > columns[2]  # day, FDA, PP, both
    make("--source", f"{tiny}/train", "--sheet", "pp.jpg", "--sheet_rows", 2, "--sheet_pixels", 32)
    assert Image.open("pp.jpg").width == 2 * 34 + 2
    assert "--fda_beta has no use without --target, the folder of images by night" in refused(
        capsys, "--source", f"{tiny}/train", "--sheet", "pp.jpg", *BETA
    )
    for flag, value in {"output": "o", "method": "fda", "jpeg_quality": 20, "num_workers": 77, "batch_size": 2}.items():
        assert f"--{flag} has no use with --sheet" in refused(
            capsys, "--source", f"{tiny}/train", "--sheet", "pp.jpg", f"--{flag}", value
        )
    sheets = {}
    for name, more in {"plain": [], "strong": ["--pp_strength", "strong"], "fork": ["--fda_window", "fork"]}.items():
        flags = ["--sheet", f"{name}.png", "--sheet_rows", 1, "--sheet_pixels", 64, *BETA]
        make("--source", f"{tiny}/train", "--target", targets, *flags, *more)
        picture = np.asarray(Image.open(f"{name}.png")).astype(float)
        sheets[name] = [picture[-66:, 2 + 66 * i : 2 + 66 * i + 64] for i in range(5)]
    assert sheets["strong"][3].mean() < 0.95 * sheets["plain"][3].mean()  # both, which is mild after FDA
    assert not np.array_equal(sheets["fork"][1], sheets["plain"][1])
    with open("file", "w"):
        pass
    assert "cannot be written" in refused(capsys, "--source", f"{tiny}/train", "--sheet", "file/x.png")


# --- a pseudo-target set in training


def open_dataset(tiny, night=None, pseudo=None, batch_size=5, seed=0):
    names = list_images(f"{tiny}/train")
    groups = build_groups(names, 10, 30, 2, 1, 2)
    schedule = Schedule([groups.num_classes(group) for group in range(2)], batch_size, 3, 4, seed)
    pseudo_targets = (
        PseudoTargets(pseudo, build_groups(list_images(pseudo), 10, 30, 2, 1, 1), groups, 2) if pseudo else None
    )
    return TrainDataset(f"{tiny}/train", groups, schedule, pseudo_targets=pseudo_targets, night=night)


def test_half_of_a_batch_is_night_of_the_same_classes(tiny, night):
    dataset, day = open_dataset(tiny, pseudo=night), open_dataset(tiny)
    assert num_day_rows(5) == 3 and num_day_rows(4) == 2  # an odd batch has the larger half by day
    pictures = {}
    for index, name in enumerate(day.groups.names):
        for folder, file in ((f"{tiny}/train", name), (night, build.night_name(name))):
            pictures[to_array(open_rgb(f"{folder}/{file}")).tobytes()] = index, folder == night
    for step in range(12):
        batch, plain = dataset[step], day[step]
        assert torch.equal(batch.labels, plain.labels) and torch.equal(batch.images[:3], plain.images[:3])
        _, group, _ = dataset.schedule.at(step)
        for row, (image, label) in enumerate(zip(batch.images, batch.labels, strict=True)):
            index, by_night = pictures[image.movedim(0, -1).contiguous().numpy().tobytes()]
            assert by_night == (row >= 3) and index in dataset.groups.image_indices(group, int(label))


def test_pseudo_targets_match_by_class_whatever_their_order_and_groups(tiny):
    train_groups = build_groups(list_images(f"{tiny}/train"), 10, 30, 2, 1, 2)
    shuffled = [build.night_name(name) for name in list_images(f"{tiny}/train")]
    np.random.default_rng(0).shuffle(shuffled)
    more = [*shuffled, "x/night@551995@4181000@@@@@@@0@@@@@@.jpg"]
    found = PseudoTargets("n", groups := build_groups(more, 10, 30, 2, 1, 1), train_groups, 2)
    for group in range(2):
        for row, class_id in enumerate(train_groups.class_ids(group)):
            place = found.place(group, row)
            np.testing.assert_array_equal(groups.class_ids(place[0])[place[1]], class_id)


def test_pseudo_target_set_whose_classes_do_not_match(tiny, night, workdir, capsys):
    shutil.copytree(night, "other")
    for path in glob.glob("other/sub/*@pano3@*"):
        os.unlink(path)
    flags = ["--dataset_folder", tiny, *FLAGS]
    line = fails(train, capsys, *flags, "--pseudo_target_folder", "other")
    assert (
        "2 of the 24 classes that are trained have no image in other, which has 22 classes "
        "(the first that it lacks: (551030, " in line
    )
    assert "folder nowhere does not exist" in fails(train, capsys, *flags, "--pseudo_target_folder", "nowhere")


def test_unreadable_images_by_night_are_named_with_their_folder(tiny, night, workdir, capsys):
    shutil.copytree(night, "other")
    for path in glob.glob("other/sub/*"):
        os.truncate(path, 100)
    line = fails(train, capsys, "--dataset_folder", tiny, *FLAGS, "--pseudo_target_folder", "other")
    assert "fix or remove them in other" in line and "'other/sub/night@" in line


# --- night as an augmentation in training


def test_night_rows_and_targets_do_not_depend_on_workers_or_on_the_first_step(tiny, targets):
    dataset = open_dataset(tiny, NightAugmentation("fda", 0.5, 0.05, TargetImages(targets)))
    alone = [dataset[step] for step in range(12)]
    for first, workers in ((0, 2), (7, 1)):
        for batch, expected in zip(make_loader(dataset, first, workers, pin_memory=False), alone[first:], strict=True):
            assert torch.equal(batch.night.rows, expected.night.rows) and torch.equal(
                batch.night.targets, expected.night.targets
            )
    counts = [len(batch.night.rows) for batch in alone]
    assert len(set(counts)) > 2 and 15 < sum(counts) < 45
    assert all(
        batch.night.targets.shape == (len(batch.night.rows), 3, 64, 64) for batch in alone
    )  # whatever the targets' sizes
    assert any(path == f"{targets}/night 4.png" for batch in alone for path, _ in batch.unreadable)
    other = open_dataset(tiny, NightAugmentation("fda", 0.5, 0.05, TargetImages(targets)), seed=1)
    assert any(not torch.equal(other[step].night.rows, alone[step].night.rows) for step in range(12))


def test_night_probability_and_images_that_are_night_already(tiny, targets, night):
    for probability, rows in ((0.0, []), (1.0, [0, 1, 2])):
        batch = open_dataset(tiny, NightAugmentation("pp", probability, 0.05), night)[0]
        assert batch.night.rows.tolist() == rows and batch.night.targets is None


def run(script, *flags):
    assert script.main([str(flag) for flag in flags]) == 0
    return max(glob.glob("logs/*/*"), key=os.path.getmtime)


def weights(folder):
    return read_tensors(os.path.join(folder, "last_checkpoint.pth"))["model_state_dict"]


def test_training_with_everything_does_not_depend_on_workers_and_resumes(tiny, targets, night, workdir):
    flags = [
        "--dataset_folder",
        tiny,
        *SHORT,
        "--iterations_per_epoch",
        2,
        "--pseudo_target_folder",
        night,
        *BETA,
        "--night_augmentation",
        "fda_pp",
        "--target_dataset_folder",
        targets,
        "--loss",
        "arcface",
        "--augmentation_type",
        "bcs",
        "--fda_window",
        "fork",
        "--pp_strength",
        "strong",
    ]
    whole = run(train, *flags, "--save_dir", "whole", "--num_workers", 1)
    part = run(train, *flags, "--save_dir", "part", "--epochs_num", 1)
    first = weights(part)["backbone.0.0.0.weight"]
    run(train, *flags, "--save_dir", "part", "--resume_train", f"{part}/last_checkpoint.pth")
    resumed = weights(part)
    for key, value in weights(whole).items():
        assert torch.equal(value, resumed[key]), key
    day = run(train, *flags, "--night_probability", 0, "--save_dir", "day", "--epochs_num", 1)
    assert not torch.equal(weights(day)["backbone.0.0.0.weight"], first)


def test_resuming_with_another_head_or_other_settings_of_it(tiny, workdir, capsys):
    flags = ["--dataset_folder", tiny, *FLAGS, "--epochs_num", 1, "--iterations_per_epoch", 1]
    folder = run(train, *flags, "--loss", "emms", "--emms_l", 2)
    last = f"{folder}/last_checkpoint.pth"
    assert read_tensors(last)["head_settings"] == {"loss": "emms", "s": 30.0, "m": 0.40, "l": 2.0}
    run(train, *flags, "--loss", "emms", "--emms_l", 1.5, "--loss_m", 0.4, "--accept_changes", "--resume_train", last)
    log = open(f"{folder}/info.log").read()
    assert (
        "The resumed run had --emms_l 2.0, now 1.5: results will be neither run's" in log and "had --loss_m" not in log
    )
    capsys.readouterr()
    with pytest.raises(SystemExit):
        train.main([str(flag) for flag in [*flags, "--resume_train", last]])
    assert (
        "was trained with --loss emms, not cosface: resume with that, or start from its network alone"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [
        ({"augmentation_type": "bcs"}, {"augmentation_type": "bcs", "fixed_colors": True}, ""),
        ({"augmentation_type": "bcs"}, {"augmentation_type": "bcs"}, "--fixed_colors True, now False"),
        ({"augmentation_type": "colorjitter"}, {"augmentation_type": "colorjitter"}, ""),
        ({"augmentation_type": "none"}, {"augmentation_type": "none"}, ""),
        ({"augmentation_type": "none"}, {"augmentation_type": "none", "fda_window": "fork"}, "--fda_window paper, now"),
        (
            {"augmentation_type": "none"},
            {"augmentation_type": "none", "pp_strength": "mild"},
            "--pp_strength None, now",
        ),
    ],
)
def test_earlier_runs_changed_every_image_by_the_same_factors(before, now, changed):
    """A run that was begun without these options goes on as it was."""
    head = {"loss": "cosface"}
    now = {"fixed_colors": False, "fda_window": "paper", "pp_strength": None, **now}
    run = SimpleNamespace(
        facts={"arguments": now, "precision": {}, "split_digest": "d"}, heads=[SimpleNamespace(settings=lambda: head)]
    )
    args = Arguments(resume_train="last_checkpoint.pth")
    state = {"arguments": before, "head_settings": head}
    if not changed:
        check_same_run(run, state, args)
        return
    with pytest.raises(UserError, match=changed):
        check_same_run(run, state, args)


# --- the flags


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--night_augmentation", "fda"],
            "--night_augmentation fda takes colours from images of the night: give their folder as "
            "--target_dataset_folder",
        ),
        (["--night_augmentation", "fda_pp"], "--target_dataset_folder"),
        (["--fda_beta", "0.51"], "--fda_beta is 0.51, and must be from 0 to 0.5"),
        (["--fda_beta", "1.1"], "from 0 to 1"),
        (["--fda_beta", "-0.1"], "from 0 to 1"),
        (["--fda_window", "published"], "invalid choice"),
        (["--pp_strength", "strong"], "--pp_strength has no use without --night_augmentation pp or fda_pp: give that"),
        (["--night_probability", "0.5"], "--night_probability has no use without --night_augmentation: give that too"),
        (["--fixed_colors"], "--fixed_colors has no use without --augmentation_type brightness, contrast, saturation"),
        (["--fda_targets", "test"], "--fda_targets has no use without --fda_queries or --fda_database: give that too"),
        (["--night_probability", "1.5"], "from 0 to 1"),
        (["--loss_m", "1.5"], "--loss_m 1.5 is out of the range of --loss cosface"),
        (["--emms_l", "1"], "--emms_l belongs to --loss emms"),
        (["--fda_queries", "--fda_database"], "not both"),
        (["--loss", "softmax"], "there is no such loss"),
        (["--augmentation_type", "hue"], "invalid choice"),
    ],
)
def test_bad_flags(workdir, capsys, flags, message):
    for script in (train, eval_script):
        is_taken = flags[0].removeprefix("--") in taken_by("train" if script is train else "eval")
        with pytest.raises(SystemExit) as exit_:
            script.main(["--dataset_folder", "x", *flags])
        line, hint = capsys.readouterr().err.strip().splitlines()
        assert exit_.value.code == 2 and "error: " in line and hint.startswith("see ")
        assert (message if is_taken else f"has no {flags[0]}; ") in line


@pytest.mark.parametrize(
    ("script", "flags", "unused"),
    [
        ("train", ["--fda_beta=0.05"], "fda_beta has no use without --night_augmentation fda or fda_pp"),
        ("train", ["--night_augmentation", "pp", "--fda_window", "fork"], "fda_window has no use without"),
        ("train", ["--night_augmentation", "pp", "--fda_beta", "0.01"], "fda_beta has no use without"),
        ("train", ["--night_augmentation", "fda", "--pp_strength", "mild"], "pp_strength has no use without"),
        ("train", ["--augmentation_type", "none", "--fixed_colors"], "fixed_colors has no use without"),
        (
            "train",
            ["--augmentation_type", "bcs", "--hue", "0.1"],
            "hue has no use without --augmentation_type colorjitter",
        ),
        ("train", ["--augmentation_type", "none", "--contrast", "0"], "contrast has no use without"),
        ("eval", ["--fda_beta", "0.05"], "fda_beta has no use without --fda_queries or --fda_database"),
        ("eval", ["--fda_window", "paper"], "fda_window has no use without"),
    ],
)
def test_night_flags_that_nothing_uses(workdir, capsys, script, flags, unused):
    """They are refused; in a recipe, which serves several scripts, they are skipped."""
    needed = ["--dataset_folder", "x", *(["--target_dataset_folder", "t"] if script == "train" else [])]
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(script, [*needed, *flags])
    assert exit_.value.code == 2 and f"error: --{unused}" in capsys.readouterr().err
    with open("recipe.txt", "w") as file:
        file.write(" ".join(flags))
    assert parse_arguments(script, [*needed, "@recipe.txt"]).dataset_folder == "x"


def test_the_window_of_the_fork_takes_larger_betas(workdir):
    flags = ["--dataset_folder", "x", "--fda_queries", "--fda_window", "fork", "--fda_beta", "0.9"]
    assert parse_arguments("eval", flags).fda_beta == 0.9


def test_missing_empty_and_damaged_target_folders(tiny, workdir, capsys):
    os.mkdir("empty")
    flags = ["--dataset_folder", tiny, *FLAGS, "--night_augmentation", "fda", "--target_dataset_folder"]
    assert "folder nowhere does not exist" in fails(train, capsys, *flags, "nowhere")
    assert "folder empty has no images" in fails(train, capsys, *flags, "empty")
    open("empty/x.jpg", "w").close()
    assert "none of the 1 images of empty can be read" in fails(
        train, capsys, *flags, "empty", "--night_probability", 1
    )


# --- FDA at the test


def test_fda_images_take_the_amplitude_of_the_drawn_target(tiny, targets):
    images, dark = ImageFolder(f"{tiny}/test/queries_v1"), ImageFolder(targets)
    wrapped = FDAImages(images, dark, 0.05, seed=2)
    assert len(wrapped) == len(images) and wrapped.path(3) == images.path(3) and wrapped.folder == images.folder
    settings = json.loads(json.dumps(wrapped.settings))
    assert (
        settings.pop("target_images") == hashlib.sha256(b"".join(b"night %d.png\n" % i for i in range(5))).hexdigest()
    )
    assert settings == {"fda_beta": 0.05, "seed": 2, "targets": os.path.realpath(targets)}
    fork = FDAImages(images, dark, 0.05, 2, "fork")
    assert fork.settings["fda_window"] == "fork" and not torch.equal(fork[0][1], wrapped[0][1])
    used = set()
    for index in range(len(images)):
        _, found, reason = wrapped[index]
        assert found.dtype == torch.uint8 and found.shape == (3, 64, 64) and not reason
        candidates = [
            fda(images[index][1][None] / 255, dark[target][1][None] / 255, 0.05)[0] * 255 for target in range(4)
        ]
        nearest = [(found.float() - candidate).abs().max().item() for candidate in candidates]
        assert min(nearest) < 1
        used.add(int(np.argmin(nearest)))
        assert torch.equal(found, FDAImages(images, dark, 0.05, seed=2)[index][1])
    assert len(used) > 1  # each query draws its own
    others = [FDAImages(images, dark, 0.05, seed=3)[index][1] for index in range(len(images))]
    assert any(not torch.equal(other, wrapped[index][1]) for index, other in enumerate(others))


def test_fda_images_that_cannot_be_read(tiny, workdir):
    shutil.copytree(f"{tiny}/test/queries_v1", "q")
    images = ImageFolder("q")
    os.truncate(images.path(2), 100)
    index, image, reason = FDAImages(images, images, 0.05, 0)[2]
    assert (index, image) == (2, None) and reason
    os.makedirs("bad")
    open("bad/@1@2@.jpg", "w").close()
    index, image, reason = FDAImages(images, ImageFolder("bad"), 0.05, 0)[3]
    assert image is None and "no image of bad can be read to take its colours" in reason


def test_eval_takes_colours_of_training_images_or_of_the_test(tiny, workdir, capsys, caplog):
    flags = ["--dataset_folder", tiny, "--fda_queries"]
    log, folders = logging.getLogger(), {}
    log.setLevel(logging.INFO)
    for name, more in {
        "train": [],
        "named": ["--train_set_folder", f"{tiny}/val/database"],
        "test": ["--fda_targets", "test"],
    }.items():
        ((_, dataset),) = eval_script.open_test_sets(parse_arguments("eval", [*flags, *more, *BETA]), 0)
        assert isinstance(dataset.queries, FDAImages) and type(dataset.database) is ImageFolder
        folders[name] = dataset.queries.targets.folder
        assert f"FDA: the queries take colours of the {len(dataset.queries.targets)} images of {folders[name]}" in (
            caplog.text
        )
    assert folders == {
        "train": f"{tiny}/train",
        "named": f"{tiny}/val/database",
        "test": f"{tiny}/test/database",
    }
    more = ["--fda_database", *BETA]
    for targets, folder in (("train", "train"), ("test", "test/queries_v1")):
        args = parse_arguments("eval", ["--dataset_folder", tiny, *more, "--fda_targets", targets])
        ((_, dataset),) = eval_script.open_test_sets(args, 0)
        assert type(dataset.queries) is ImageFolder and dataset.database.targets.folder == f"{tiny}/{folder}"
    line = fails(eval_script, capsys, *flags, "--train_set_folder", "nowhere")
    assert "there is no folder nowhere of training images, whose colours FDA takes: name it as --train_set_folder" in (
        line
    )
    with pytest.raises(SystemExit):
        parse_arguments("eval", ["--test_set_folders", "a", "--fda_queries"])
    assert "--fda_queries takes colours of training images: give their folder as --train_set_folder, or" in (
        capsys.readouterr().err
    )


def test_eval_with_fda(tiny, workdir, caplog):
    flags = [
        "--dataset_folder",
        tiny,
        "--backbone_weights",
        "none",
        "--fc_output_dim",
        16,
        "--num_workers",
        0,
        "--device",
        "cpu",
    ]
    descriptors = {}

    def record(network, images, *rest, **options):
        descriptors[name, type(images).__name__, len(images)] = extract(network, images, *rest, **options)
        return descriptors[name, type(images).__name__, len(images)]

    import test

    extract, test.extract_descriptors = test.extract_descriptors, record
    try:
        for name, more in {
            "plain": [],
            "queries": ["--fda_queries", *BETA],
            "database": ["--fda_database", "--fda_targets", "test"],
        }.items():
            run(eval_script, *flags, *more, "--save_dir", name)
    finally:
        test.extract_descriptors = extract
    assert set(descriptors) == {
        ("plain", "ImageFolder", 12),
        ("plain", "ImageFolder", 24),
        ("queries", "FDAImages", 12),
        ("queries", "ImageFolder", 24),
        ("database", "ImageFolder", 12),
        ("database", "FDAImages", 24),
    }
    assert not np.allclose(
        descriptors["queries", "FDAImages", 12][0], descriptors["plain", "ImageFolder", 12][0], atol=1e-4
    )
    np.testing.assert_array_equal(
        descriptors["queries", "ImageFolder", 24][0], descriptors["plain", "ImageFolder", 24][0]
    )
    assert caplog.text.count("FDA with beta 0.01 changes nothing but the mean colour") <= 1


def test_refuses_classes_that_no_image_has():
    groups = build_groups(["@1@2@@@@@@@0@@@@@@.jpg", "@100@2@@@@@@@0@@@@@@.jpg"], 10, 30, 1, 1, 1)
    with pytest.raises(UserError, match="2 of the 2 classes that are trained have no image in n, which has 1 classes"):
        PseudoTargets("n", build_groups(["night@51@2@@@@@@@0@@@@@@.jpg"], 10, 30, 1, 1, 1), groups, 1)
