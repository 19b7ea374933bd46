"""EigenPlaces' crops that are made before the training."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from datasets.eigenplaces import EigenPlaces, cut_towards
from datasets.groups import open_split
from datasets.images import open_rgb
from datasets.names import format_name, write_images_list
from datasets.prepare.__main__ import main
from datasets.prepare.eigen_crops import with_crops
from datasets.schedule import Schedule
from datasets.train_dataset import TrainDataset
from support.errors import UserError

METHOD = EigenPlaces(15, 1, 10.0, 2)
FLAGS = ["--panoramas", "eigenplaces", "--photos", "panoramas", "--output", "crops", "--num_workers", "0"]
FLAGS += ["--N", "1", "--min_images_per_class", "2"]


@pytest.fixture
def panoramas(workdir):
    """JPEGs in a sub-folder: four classes of three images, and one of a single one. Returns their names."""
    os.makedirs("panoramas/s")
    names, rng = [], np.random.default_rng(0)
    for row, image in [(row, image) for row in range(4) for image in range(3)] + [(9, 0)]:
        place = 551011.0 + 15 * row + image, 4181012.0 + image % 2
        names.append("s/" + format_name(*place, 10, "S", heading=97 * len(names) % 360))
        pixels = rng.integers(0, 256, (8, 52, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((416, 64)).save(f"panoramas/{names[-1]}", quality=90)
    return names


def files():
    return sorted(
        os.path.relpath(os.path.join(path, name), "crops") for path, _, found in os.walk("crops") for name in found
    )


def fails(capsys, *flags):
    with pytest.raises(SystemExit) as exit_:
        main([*FLAGS, *flags])
    assert exit_.value.code == 2
    return capsys.readouterr().err


def test_crops_are_what_training_cuts_pixel_for_pixel(panoramas, capsys):
    main(FLAGS)
    assert "24 crops made, 0 were there" in capsys.readouterr().out
    groups = open_split("panoramas", METHOD)
    expected = [f"{head}/{name}.png" for head in ("lateral", "frontal") for name in panoramas[:-1]]
    assert files() == sorted([*expected, "prepare.json", "rejected.csv"])
    for row in range(4):
        for index in groups.image_indices(0, row):
            name = groups.image_name(index)
            for head, angle in (("lateral", 0), ("frontal", 90)):
                cut = cut_towards(groups.focal_point(0, row, angle), open_rgb(f"panoramas/{name}"), name)
                assert (np.asarray(open_rgb(f"crops/{head}/{name}.png")) == np.asarray(cut)).all()


def test_training_reads_the_same_batches_from_crops(panoramas):
    main(FLAGS)
    groups = open_split("panoramas", METHOD)
    prepared = with_crops(METHOD, groups, "crops")
    schedule = Schedule([4], 4, 5, 1, seed=0, heads=2)
    cut, read = (TrainDataset("panoramas", groups, schedule, method=method) for method in (METHOD, prepared))
    assert cut.size == read.size == (64, 64)
    for step in range(5):
        assert (cut[step].images == read[step].images).all() and cut[step].labels.equal(read[step].labels)
        assert read[step].names == [name + ".png" for name in cut[step].names] and not read[step].unreadable


def test_an_interrupted_run_goes_on_and_a_finished_one_changes_nothing(panoramas, capsys):
    main(FLAGS)
    os.rename("crops", ".crops.unfinished")
    settings = json.load(open(".crops.unfinished/prepare.json"))
    assert settings.pop("counts") == {"lateral": 12, "frontal": 12}
    json.dump(settings, open(".crops.unfinished/prepare.json", "w"))
    os.unlink(f".crops.unfinished/frontal/{panoramas[5]}.png")
    with pytest.raises(UserError, match=r"unfinished has no crops of EigenPlaces"):
        with_crops(METHOD, open_split("panoramas", METHOD), ".crops.unfinished")
    capsys.readouterr()
    main(FLAGS)
    assert "1 crops made, 23 were there" in capsys.readouterr().out and len(files()) == 26
    main([*FLAGS, "--num_workers", "2"])
    assert "0 crops made, 24 were there" in capsys.readouterr().out


def test_crops_of_other_classes_or_of_another_list_are_refused(panoramas, capsys):
    main(FLAGS)
    settings = json.load(open("crops/prepare.json"))
    assert {key: settings[key] for key in ("M", "N", "focal_dist", "min_images_per_class")} == METHOD.parameters()
    for changed in (EigenPlaces(15, 1, 20, 2), EigenPlaces(15, 2, 10, 2), EigenPlaces(30, 1, 10, 2)):
        with pytest.raises(UserError, match=r"crops was made with other settings: .*make the crops again"):
            with_crops(changed, open_split("panoramas", changed), "crops")
    assert "focal_dist 10.0 (now 12.0)" in fails(capsys, "--focal_dist", "12")
    write_images_list("panoramas", panoramas[::-1])
    with pytest.raises(UserError, match="list_digest"):
        with_crops(METHOD, open_split("panoramas", METHOD), "crops")
    with pytest.raises(UserError, match="panoramas has no crops of EigenPlaces"):
        with_crops(METHOD, open_split("panoramas", METHOD), "panoramas")


def test_what_cannot_be_cut_is_listed(panoramas, capsys):
    os.truncate(f"panoramas/{panoramas[4]}", 300)
    Image.new("RGB", (64, 64)).save(f"panoramas/{panoramas[7]}")
    main(FLAGS)
    assert "2 left out" in capsys.readouterr().out and len(files()) == 22
    with open("crops/rejected.csv") as file:
        assert "needs whole panoramas of 6.5:1" in file.read()


def test_a_folder_of_other_images_is_refused_at_once(panoramas, capsys):
    for name in panoramas:
        Image.new("RGB", (64, 64)).save(f"panoramas/{name}")
    assert "raw/train/panoramas, not in processed or small" in fails(capsys)
    assert not os.path.exists("crops") and not os.path.exists(".crops.unfinished")


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--resize", "64", "--all_to", "db"], "has no use for --resize, --all_to: leave out"),
        (["--crop_size", "64"], "has no use for --crop_size"),
        (["--M", "0"], "--M is 0, and must be a whole number"),
        (["--focal_dist", "-1"], "--focal_dist is -1.0, and must be more than 0 metres"),
        (["--photos", "panoramas", "other"], "needs one folder of panoramas"),
        (["--photos", "nowhere"], "folder nowhere does not exist"),
        (["--panoramas", "sf_xl"], "--N, --min_images_per_class can only be given with --panoramas eigenplaces"),
    ],
)
def test_bad_flags_are_one_clear_line(panoramas, capsys, flags, problem):
    message = fails(capsys, *flags)
    assert problem in message and message.count("\n") == 1
