"""Descriptors, neighbours and positions from Python (docs/python.md), and python -m retrieval."""

import contextlib
import io
import json
import os
import pathlib
import pickle
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import localize
from datasets.given_images import GivenImages, PhotoFolder
from datasets.test_dataset import ImageFolder
from localization.answers import Localization
from localization.calibration import Calibration
from localization.formats import FORMATS
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from model.zoo.published import name_of_published
from retrieval import __main__ as command
from retrieval import descriptors
from retrieval.knn import most_similar
from support.errors import UserError
from tests.children import in_child
from tests.descriptors import SmallNetwork
from tests.photos import save_photo
from tests.scripts import ROOT, fails
from tests.tiny import place_image, save_place
from training.acceleration import without_tf32

NOTEBOOK = ROOT / "docs" / "tour.ipynb"
WEIGHTS = "recipes/weights/rendered_resnet18_512.pth"


@pytest.fixture(scope="module")
def made(once):
    """photos/ with three photos in two folders, photo.jpg near one of them, a database with positions, a network."""

    def make():
        os.makedirs("photos/more")
        for place, name in enumerate(("a.png", "b.jpg", "more/c.webp")):
            place_image(place, 0, 1).save(f"photos/{name}")
        place_image(1, 0, 2).save("photo.jpg")
        for place in range(8):
            save_place("data/mine/database", place, 0, 1)
        torch.manual_seed(0)
        os.makedirs("zoo")
        save_network(GeoLocalizationNet("ResNet18", 512), "zoo/ResNet18_512.pth")
        os.makedirs("logs/default/TIME")
        save_network(GeoLocalizationNet("MobileNet_V2", 512), "zoo/Small.pth")
        os.link("zoo/Small.pth", "logs/default/TIME/best_model.pth")

    return once("describing", make)


@pytest.fixture
def folder(made, workdir, monkeypatch):
    """A copy of what is made."""
    shutil.copytree(made, workdir, dirs_exist_ok=True, copy_function=os.link)
    monkeypatch.setenv("COSPLACE_ZOO", "zoo")
    return workdir


def run_code(blocks):
    """What blocks of code print, one after another in one program."""
    printed, names = io.StringIO(), {"__name__": "__main__"}
    with contextlib.redirect_stdout(printed):
        for block in blocks:
            exec(compile(block, "a block of code", "exec"), names)
    return printed.getvalue()


# --- what the documents show


def test_the_code_of_the_page_runs(folder):
    page = (ROOT / "docs" / "python.md").read_text().replace("path/to/this/repository", str(ROOT)).replace("480", "64")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6 and len([line for line in blocks[0].splitlines() if line]) <= 10
    (folder / "photos" / "more" / "d.jpg").write_bytes(b"no photo")
    blocks[0] = blocks[0].replace('list_photos("photos")', 'list_photos("photos")[:3]')  # the whole ones
    blocks[2] = blocks[2].replace('"photos"', '"data/mine/database"').replace("dim=128", "dim=4")  # of 8 images
    blocks[4] = blocks[4].replace("describe(paths", 'describe("photos"')  # and the broken one
    blocks.append("assert abs(descriptors - descriptor.detach().numpy()).max() < 1e-5\nprint(own.training)")
    lines = in_child(run_code, blocks).splitlines()
    assert lines[0].startswith("photos/b.jpg 0.9")
    assert lines[1].startswith("photo.jpg (37.7") and "pano1@" in lines[1]
    assert "{3: " in lines[2] and "cannot identify image file" in lines[2] and lines[3:] == ["False"]


def test_the_notebook_runs(tmp_path):
    """Its folder is a repository of links, so that it writes nothing into this one."""
    notebook = json.loads(NOTEBOOK.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for path in ROOT.iterdir():
        if path.name not in ("data", "cache", "docs"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "docs").mkdir()
    printed = in_child(run_code, ["".join(cell["source"]) for cell in cells], folder=tmp_path / "docs")
    assert printed.startswith("24 database photos, 6 queries\n")
    metres = [int(number) for number in re.findall(r": (\d+) m from the true position", printed)]
    assert len(metres) == 6 and sorted(metres)[2] <= 25


def test_the_notebook_is_small_and_has_its_outputs():
    notebook = json.loads(NOTEBOOK.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    pictures = [output["data"]["image/jpeg"] for output in outputs if "image/jpeg" in output.get("data", {})]
    assert len(pictures) == 1 and NOTEBOOK.stat().st_size < 50_000
    assert not [output for output in outputs if output["output_type"] == "error"]
    for target in re.findall(r"\]\(([^)#]+)", NOTEBOOK.read_text()):
        assert (ROOT / "docs" / target).exists(), target


def test_links_of_the_model_card_lead_to_files():
    card = ROOT / "recipes" / "weights" / "README.md"
    targets = re.findall(r"\]\(([^)#:]+)[)#]", card.read_text())
    assert len(targets) >= 4 and all((card.parent / target).exists() for target in targets)


# --- describe


def describe_kinds():
    import cosplace

    model = SmallNetwork()
    paths = cosplace.list_photos(pathlib.Path("photos"))
    expected = cosplace.describe("photos", model)
    arrays = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    with open(paths[0], "rb") as file:
        mixed = [pathlib.Path("photos"), arrays[2], Image.open(paths[1]), file]
        found = cosplace.describe(iter(mixed), model, batch_size=1)
    np.testing.assert_allclose(found, expected[[0, 1, 2, 2, 1, 0]], atol=1e-6)
    assert (cosplace.describe(arrays, model) == expected).all() and expected.dtype == np.float32
    assert cosplace.describe(arrays[0], model).shape == (1, 4) and cosplace.describe([], model).shape == (0, 4)
    assert (cosplace.describe(paths, model, resize=48) != expected).any()
    return cosplace.describe("photos", pathlib.Path("zoo/Small.pth"))


def test_images_of_any_kind_have_the_descriptors_that_the_command_writes(folder):
    expected = in_child(describe_kinds)
    command.main(["photos", "--output", "out.npy", "--resume_model", "Small", "--num_workers", "0"])
    assert (np.load("out.npy") == expected).all() and expected.shape == (3, 512)
    assert open("out_names.txt").read() == "a.png\nb.jpg\nmore/c.webp\n"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (3, "images are of type int"),
        ([None], "image 0 is of type NoneType"),
        (torch.zeros(2, 3, 64, 64), "image 0 is of type Tensor"),
        (np.zeros((64, 64), np.uint8), r"image 0 is an array of uint8 \(64, 64\), and must be uint8"),
        (["x.jpg", np.zeros((64, 64, 3))], r"image 1 is an array of float64 \(64, 64, 3\)"),
        (np.zeros((1, 64, 64, 4), np.uint8), r"must be uint8 \(height, width, 3\)"),
        (np.zeros((0, 64, 3), np.uint8), "must be uint8"),
    ],
)
def test_other_things_are_no_images(images, message):
    with pytest.raises(ValueError, match=message):
        GivenImages(images)


def test_folders_without_photos_are_refused(workdir):
    os.mkdir("empty")
    for images in ("empty", ["empty"]):
        with pytest.raises(UserError, match="there is no photo in 'empty'"):
            GivenImages(images)
    with pytest.raises(UserError, match="folder nothing does not exist"):
        PhotoFolder("nothing")
    open("photo.jpg", "w").close()
    for folder in (PhotoFolder, ImageFolder):
        with pytest.raises(UserError, match="photo.jpg is no folder; name the folder of the images"):
            folder("photo.jpg")


def fail_in_many_ways():
    import cosplace

    model = SmallNetwork()
    with contextlib.suppress(cosplace.UserError):
        cosplace.describe(["x.jpg"], model)
        raise AssertionError("a missing photo is described")
    images = ["photo.jpg", "no.jpg", np.zeros((20, 90, 3), np.uint8), *["no.jpg"] * 3]
    try:
        cosplace.describe(images, model)
    except cosplace.UnreadableImagesError as error:
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error) and again.unreadable == error.unreadable
        assert list(error.unreadable) == [1, 2, 3, 4, 5] and not error.descriptors[1:].any()
        assert (error.descriptors[0] == cosplace.describe("photo.jpg", model)).all()
        assert str(error).startswith(
            "5 of 6 images cannot be read ('no.jpg': No such file or directory; image 2: it has"
        )
        assert str(error).endswith("; and 2 more)")
    one = np.ones((1, 1), np.float32)
    for problem, function, *arguments in (
        ("backbone is 'ResNet51'", cosplace.get_trained_model, "ResNet51"),
        ("model is a int", cosplace.describe, "photo.jpg", 3),
        ("resize is 31, and must be a whole number of at least 32", cosplace.describe, "photo.jpg", model, 31),
        ("resize is 64.0", cosplace.localize, "photo.jpg", "data", model, 64.0),
        ("batch_size is 0", cosplace.describe, "photo.jpg", model, None, 0),
        ("neighbours is -1", cosplace.localize, "photo.jpg", "data", model, None, 16, -1),
        ("positions is 3", cosplace.localize, "photo.jpg", "data", model, None, 16, 5, 3),
        ("k is 0", cosplace.nearest, one, one, 0),
        ("backbone is 'x'", torch.hub.load, str(ROOT), "get_trained_model", "x"),
        ("fc_output_dim is 'x'", torch.hub.load, str(ROOT), "get_trained_model", "VGG16", "x"),
    ):
        source = {"source": "local"} if function is torch.hub.load else {}
        with pytest.raises(ValueError, match=problem):
            function(*arguments, **source)
    for problem, function, *arguments in (
        ("there is no file x.pth", cosplace.describe, "photo.jpg", "x.pth"),
        ("is a MobileNet_V2 with 512-D descriptors, not a VGG16", weights_of, "VGG16", None),
        ("not a MobileNet_V2 with 64-D", weights_of, None, 64),
        ("there is no folder 'x'", cosplace.list_photos, "x"),
        ("'x.jpg' cannot be read: No such file", cosplace.preprocess, "x.jpg"),
        ("folder x does not exist", cosplace.localize, "photo.jpg", "x", model),
    ):
        with pytest.raises(cosplace.UserError, match=problem):
            function(*arguments)
    assert (
        cosplace.nearest(one, one, 2)[1].tolist()
        == [[0]]
        == torch.hub.load(str(ROOT), "nearest", one, one, source="local")[1].tolist()
    )


def weights_of(backbone, dim):
    import cosplace

    return cosplace.get_trained_model(backbone, dim, weights="zoo/Small.pth")


def test_every_error_says_what_is_wrong(folder):
    in_child(fail_in_many_ways)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("ResNet51", 512),
            "backbone is 'ResNet51', and must be one of VGG16, ResNet18, ResNet50, ResNet101, ResNet152",
        ),
        ((3, 512), "backbone is 3"),
        (("VGG16", 2048), "fc_output_dim is 2048, and must be one of 64, 128, 256, 512 for VGG16 of CosPlace"),
        (("VGG16", "many"), "fc_output_dim is 'many', and must be a whole number"),
        (("VGG16", float("inf")), "must be a whole number"),
        (("VGG16", 64, "eigenplaces"), "fc_output_dim is 64, and must be one of 512 for VGG16 of"),
        (("ResNet152", 512, "EigenPlaces"), "backbone is 'ResNet152', and must be one of"),
        (("VGG16", 512, "NetVLAD"), 'method is \'NetVLAD\', and must be "CosPlace" or "EigenPlaces"'),
        (("VGG16", 512, None), "method is None"),
    ],
)
def test_unpublished_models_raise_value_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        name_of_published(*arguments)


def test_names_of_published_models():
    assert name_of_published("resnet50", "2048") == "ResNet50_2048"
    assert name_of_published("VGG16", np.int64(512), "EIGENPLACES") == "EigenPlaces_VGG16_512"


def test_descriptors_are_in_full_float32_and_the_program_s_choice_stays(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with pytest.raises(KeyError), without_tf32():
        assert not torch.backends.cudnn.allow_tf32 and torch.get_float32_matmul_precision() == "highest"
        raise KeyError
    assert torch.backends.cudnn.allow_tf32


# --- nearest


def unit(rows, dim=8):
    values = np.random.default_rng(rows).normal(size=(rows, dim)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_the_most_similar_are_found():
    queries, database = unit(5), unit(30)
    similarities, indices = most_similar(queries, database, 4)
    cosines = queries @ database.T
    assert (indices == np.argsort(-cosines, axis=1)[:, :4]).all() and similarities.dtype == np.float32
    np.testing.assert_allclose(similarities, np.take_along_axis(cosines, indices, 1), atol=1e-6)
    assert most_similar(queries, database.astype(np.float16), 99)[1].shape == (5, 30)
    assert most_similar(queries[:0], database, 4)[1].shape == (0, 4)
    assert most_similar(queries, database[:0], 4)[1].shape == (5, 0)


def test_rows_of_zeros_find_nothing_and_are_not_found():
    queries, database = unit(2), unit(3)
    queries[0] = database[1] = 0
    similarities, indices = most_similar(queries, database, 3)
    assert indices[0].tolist() == [-1, -1] and (similarities[0] == -np.inf).all() and set(indices[1]) == {0, 2}


@pytest.mark.parametrize(
    ("queries", "database", "message"),
    [
        (unit(2)[0], unit(3), r"queries is an array of float32 \(8,\), and must be float32 \(n, D\)"),
        (unit(2), np.zeros((3, 8), np.uint8), "database is an array of uint8"),
        (unit(2), unit(3, 9), "queries have 8 dimensions, and the database 9: describe both with one model"),
        (2 * unit(2), unit(3), "row 0 of queries does not have unit length"),
        (unit(2), unit(3) * [[1], [np.nan], [1]], "row 1 of database does not have unit length"),
    ],
)
def test_what_are_no_descriptors_is_refused(queries, database, message):
    with pytest.raises(ValueError, match=message):
        most_similar(queries, database, 1)


# --- localize


def localize_by_exif():
    import cosplace

    model = cosplace.get_trained_model(weights="Small")
    (missing,) = cosplace.localize("none.jpg", "own", model, 64)
    assert missing.error == "there is no photo or folder 'none.jpg'; check the path" and missing.latitude is None
    assert not os.path.exists("cache/descriptors")  # for nothing, no index is built
    found = [cosplace.localize("photo.jpg", "own", model, 64, positions=source)[0] for source in ("exif", "t.csv")]
    again = cosplace.localize("photo.jpg", "cache/descriptors", model, 64)[0]
    try:
        cosplace.localize("photo.jpg", "own", model, 64)
    except cosplace.UserError as error:
        return [(result.latitude, result.neighbours[0].name) for result in (*found, again)], str(error)


def test_positions_of_a_database_may_be_those_of_exif_or_a_table(folder):
    for place in range(3):
        save_photo(f"own/{place}.jpg", 52.52 + 0.001 * place, 13.405, image=place_image(place, 0, 1))
    pathlib.Path("t.csv").write_text("file,lat,lon\n" + "".join(f"{place}.jpg,52.6,13.405\n" for place in range(3)))
    found, error = in_child(localize_by_exif)
    assert [name for _, name in found] == ["1.jpg"] * 3
    assert [latitude for latitude, _ in found] == pytest.approx([52.521, 52.6, 52.6], abs=1e-5)
    assert "Where names have no positions, give --positions FILE.csv or --positions exif" in error


def localize_from_python():
    import cosplace

    model = cosplace.get_trained_model(weights="Small")
    results = cosplace.localize(["photo.jpg", pathlib.Path("photos")], "data/mine/database", model, 64, neighbours=2)
    (index,) = (path for path in pathlib.Path("cache/descriptors").glob("database_*") if path.is_dir())
    for database in ("cache/descriptors", index):
        (alone,) = cosplace.localize("photo.jpg", database, model, 64)
        assert alone.neighbours[0].name == results[0].neighbours[0].name and alone.radius_m > 0
    return FORMATS["jsonl"]([Localization(**vars(result)) for result in results])


def test_photos_are_localized_as_by_the_script(folder, capsys):
    (folder / "photos" / "more" / "d.jpg").write_bytes(b"no photo")
    flags = "--resume_model Small --database_folder data/mine/database --resize_test_imgs --image_size 64".split()
    flags += "--num_workers 0 --device cpu --neighbours 2 --format jsonl photo.jpg photos".split()
    session = localize.parse_arguments("localize", flags)
    network = localize.load_describer("zoo/Small.pth")
    session = localize.Session(session, network, torch.device("cpu"), 0)
    os.makedirs("cache/descriptors")
    parameters = {"mean": [0.0] * 3, "scale": [1.0] * 3, "coefficients": [0.1] * 3, "intercept": 0.0}
    parameters |= {"near": np.linspace(1, 20, 20).tolist(), "levels": [0.68, 0.95]}
    Calibration(session.identity, 25, parameters).save(session.calibration_path, {})
    with pytest.raises(SystemExit):  # a photo is broken
        localize.main(flags)
    expected = capsys.readouterr().out
    assert in_child(localize_from_python) == expected
    results = [json.loads(line) for line in expected.splitlines()]
    assert results[0]["radius_m"] > 0 and results[-1]["error"].startswith("cannot identify")


# --- python -m retrieval


def describe_folder(*flags, code=0):
    flags = ["photos", "--output", "out.npy", "--resume_model", "Small", "--num_workers", "0", *flags]
    if code:
        with pytest.raises(SystemExit) as exit_:
            command.main(flags)
        assert exit_.value.code == code
    else:
        command.main(flags)


def test_the_command_lists_unreadable_photos_and_goes_on_where_it_was(folder, capsys, monkeypatch):
    (folder / "photos" / "d.jpg").write_bytes(b"no photo")
    (folder / "photos" / "notes.txt").write_text("no photo")
    describe_folder("--descriptors_dtype", "float16", code=1)
    error = capsys.readouterr().err
    assert "'photos/d.jpg' cannot be read, and its row 2 is zero: cannot identify image" in error
    assert "1 files whose names are of no image format are skipped" in error
    assert "error: 1 of 4 images cannot be read: their rows are zero" in error and "(with some errors)" in error
    first = np.load("out.npy")
    assert first.dtype == np.float16 and first.shape == (4, 512) and first.any(axis=1).tolist() == [1, 1, 0, 1]
    assert open("out_names.txt").read().split() == ["a.png", "b.jpg", "d.jpg", "more/c.webp"]
    monkeypatch.setattr(descriptors, "Describer", None)  # all is there
    os.unlink("out.npy")
    describe_folder("--descriptors_dtype", "float16", code=1)
    assert (np.load("out.npy") == first).all()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output", "out.txt"], "--output out.txt must end in .npy"),
        (["--output", "nowhere/out.npy"], "there is no folder nowhere"),
        (["--resume_model", ""], "--resume_model is empty"),
        (["--resume_model", "x.pth"], "there is no file x.pth"),
    ],
)
def test_bad_flags_of_the_command(folder, capsys, flags, message):
    with pytest.raises(SystemExit) as exit_:
        command.main(["photos", "--output", "out.npy", "--resume_model", "Small", *flags])
    assert exit_.value.code == 2 and message in capsys.readouterr().err and not os.path.exists("out.npy")


def test_usage_errors_of_the_command_come_before_torch():
    program = [sys.executable, "-X", "importtime", "-m", "retrieval", "photos", "--output", "out.npy"]
    result = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2 and "give the network as --resume_model" in result.stderr
    assert not re.search(r"\| +(torch|numpy)$", result.stderr, re.MULTILINE)


def test_bad_folders_of_the_command(workdir, capsys, monkeypatch):
    monkeypatch.setattr(command, "load_describer", lambda *_, **__: SmallNetwork())
    flags = ["--output", "out.npy", "--resume_model", "m.pth", "--num_workers", "0"]
    assert "folder photos does not exist" in fails(command, capsys, "photos", *flags)
    os.mkdir("photos")
    assert "there is no photo in 'photos'" in fails(command, capsys, "photos", *flags)
    pathlib.Path("photos/a\nb.jpg").write_bytes(b"")
    assert "has a line break, and cannot stand in a list" in fails(command, capsys, "photos", *flags)
    os.rename("photos/a\nb.jpg", "photos/a.jpg")
    assert "none of the 1 images of photos can be read" in fails(command, capsys, "photos", *flags)
    assert os.listdir(".").count("out.npy") == 0
