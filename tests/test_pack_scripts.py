"""Every script reads a packed data set as the folder that it was made of, and finds what was kept of that."""

import json
import os
import re
import shutil

import pytest

import eval as eval_script
import localize
import train
from datasets.check.__main__ import main as check
from datasets.night.__main__ import main as night
from datasets.pack.building import Packing, pack
from datasets.prepare.__main__ import main as prepare
from datasets.test_dataset import ImageFolder
from demo_city import build as demo_city
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from retrieval.descriptors import ExtractionOptions
from retrieval.identity import identify
from support.errors import UserError
from tests import small
from tests.children import in_child
from tests.descriptors import SmallNetwork
from tests.photos import save_photo
from tests.scripts import assert_same_end, run
from tests.tiny import FLAGS, SHORT


def files(folder):
    """{path below a folder: bytes}."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                found[os.path.relpath(os.path.join(path, name), folder)] = file.read()
    return found


def log_of(folder):
    with open(f"{folder}/info.log") as file:
        return file.read()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_training_is_that_of_the_folder_bit_for_bit(packed, whole, workdir, num_workers):
    folder = run(train, "--dataset_folder", packed, *SHORT, "--num_workers", num_workers)
    assert_same_end(folder, whole)
    assert "unreadable" not in log_of(folder)


def test_recalls_groups_and_descriptors_are_those_of_the_folder(tiny, packed, whole, workdir):
    for root in (tiny, packed):
        flags = ["--dataset_folder", root, "--resume_model", f"{whole}/best_model.pth", "--device", "cpu"]
        log = log_of(run(eval_script, *flags, "--num_workers", 0))
        if root == tiny:
            expected = re.findall(r"R@.*", log)
    assert re.findall(r"R@.*", log) == expected and len(expected) > 5
    assert log.count("are read from") >= 1  # descriptors, which the folder's evaluation kept
    first = log_of(run(train, "--dataset_folder", tiny, *FLAGS, "--epochs_num", 1, "--iterations_per_epoch", 1))
    second = log_of(run(train, "--dataset_folder", packed, *FLAGS, "--epochs_num", 1, "--iterations_per_epoch", 1))
    assert "Splitting the 72 images" in first and "Splitting" not in second


def test_the_check_finds_the_same(tiny, packed, workdir, capsys):
    reports = []
    for root in (tiny, packed):
        check([root, *FLAGS, "--json"])
        reports.append(json.loads(capsys.readouterr().out) | {"folder": ""})
    assert reports[0] == reports[1] and reports[0]["parts"]["train"]["decoded"] == 72


def test_a_set_by_night_is_the_same_and_the_pack_goes_on_with_it(tiny, packed, workdir):
    flags = ["--method", "fda_pp", "--fda_beta", "0.05", "--num_workers", "0"]
    for root, output in ((tiny, "day"), (packed, "other")):
        night(["--source", f"{root}/test/queries_v1", "--target", f"{root}/val/queries", "--output", output, *flags])
    ours, theirs = files("other"), files("day")
    assert ours == theirs and len(ours) == 12
    name = next(iter(theirs))
    os.unlink(f"day/{name}")
    source = ["--source", f"{packed}/test/queries_v1", "--target", f"{packed}/val/queries", "--output", "day"]
    night([*source, *flags])
    assert files("day") == theirs


def test_photos_of_a_pack_are_prepared_and_not_linked(workdir, capsys):
    for index in range(4):
        save_photo(f"f/{index}.jpg", 55.7 + index / 2000, 13.19)
    pack("f", "p", Packing())
    table = ["path,latitude,longitude", *(f"{index}.jpg,{55.7 + index / 2000},13.19" for index in range(4))]
    with open("t.csv", "w") as file:
        file.write("\n".join(table))
    flags = ["--all_to", "db", "--num_workers", "0", "--output"]
    for source, root in (("--photos", "f"), ("--photos", "p")):
        prepare([source, root, *flags, f"{root}_photos"])
    prepare(["--csv", "t.csv", "--images_folder", "p", *flags, "table"])
    assert files("f_photos/db") == files("p_photos/db") and len(files("table/db")) == 4
    with pytest.raises(SystemExit) as exit_:
        prepare(["--photos", "p", "--images", "link", *flags, "linked"])
    assert exit_.value.code == 2 and "an image of a pack cannot be linked; --images copy" in capsys.readouterr().err


@pytest.fixture
def model(workdir):
    save_network(GeoLocalizationNet("Small", 16), "m.pth")
    return ["--resume_model", "m.pth", "--device", "cpu", "--num_workers", "0"]


def test_photos_are_localized_in_packs(tiny, packed, model, capsys, monkeypatch):
    names = sorted(os.listdir(f"{tiny}/test/queries_v1/sub"))
    lines = []
    for root in (tiny, packed):
        photos = [f"{root}/test/queries_v1", f"{root}/val/queries/sub/none.jpg"]
        with pytest.raises(SystemExit):  # a photo that is not there
            localize.main([*model, "--database_folder", f"{root}/test/database", "--format", "jsonl", *photos])
        printed = capsys.readouterr()
        lines.append(printed.out.replace(root, ""))
    assert lines[0] == lines[1] and len(lines[0].splitlines()) == len(names) + 1
    assert "The index of 24 images is read from" in printed.err and "there is no photo or folder" in lines[0]
    with open("t.csv", "w") as file:
        file.write("path,latitude,longitude\n")
        for name in os.listdir(f"{tiny}/test/database/sub"):
            file.write(f"./sub/{name},37.77,-122.42\n")
    flags = ["--positions", "t.csv", "--format", "jsonl", f"{packed}/test/queries_v1/sub/{names[0]}"]
    localize.main([*model, "--database_folder", f"{packed}/test/database", *flags])
    printed = capsys.readouterr()
    assert "24 of the 24 images" in printed.err and json.loads(printed.out)["latitude"] == pytest.approx(37.77)


def test_a_moved_pack_still_stands_for_its_folder(packed, workdir):
    shutil.copytree(f"{packed}/val/queries", "elsewhere")
    ours, theirs = (
        identify(SmallNetwork(), ImageFolder(folder), ExtractionOptions(2))
        for folder in ("elsewhere", f"{packed}/val/queries")
    )
    assert ours == theirs


def _describe(tiny, packed):
    import cosplace.model.choices

    small.register(cosplace.model.choices.BACKBONES)
    model = cosplace.get_trained_model(weights="m.pth")
    ours, theirs = (f"{root}/val/queries" for root in (packed, tiny))
    assert (cosplace.describe(ours, model) == cosplace.describe(theirs, model)).all()
    photos = cosplace.list_photos(ours)
    assert [photo.replace(packed, tiny) for photo in photos] == cosplace.list_photos(theirs)
    single = photos[3], cosplace.list_photos(theirs)[3]  # the first is the path of no file
    assert (cosplace.describe([single[0], ours], model) == cosplace.describe([single[1], theirs], model)).all()
    found = [cosplace.localize(photos[:2], f"{root}/test/database", model) for root in (tiny, packed)]
    assert found[0] == found[1] and not found[0][0].error


def test_programs_read_packs(tiny, packed, model):
    in_child(_describe, tiny, packed)


def test_the_demo_takes_packed_cities_and_renders_none_into_them(workdir, monkeypatch):
    """Renders nothing: its photographs are stand-ins."""
    settings = demo_city.photos.TINY
    demo_city.prepare_folder("demo", settings)
    renderer = demo_city.Renderer(settings)
    for number in range(len(renderer.areas)):
        renderer.enter(number)
        for task in renderer.tasks:
            for photo in task.photos:
                os.makedirs(f"demo/{task.folder}", exist_ok=True)
                with open(f"demo/{task.folder}/{photo.name}", "w") as file:
                    file.write(photo.name)
    before, written, counts = demo_city.build("demo", settings, 1)
    pack("demo", "packed", Packing())
    assert demo_city.build("packed", settings, 1) == (before, 0, counts) and not written
    name = next(iter(sorted(os.listdir("demo/city1/train"))))
    os.unlink(f"demo/city1/train/{name}")
    os.unlink("demo/city1/train_images_paths.txt")
    pack("demo", "less", Packing())
    with pytest.raises(UserError, match="images are missing, and less/.* is a pack, to which none are added"):
        demo_city.build("less", settings, 1)
