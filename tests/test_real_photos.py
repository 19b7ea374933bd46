"""On real photographs, where they are: OpenSfM's lund and berlin beside the checkout (no other test needs them)."""

import os
import pathlib

import pytest
from PIL import Image

import train
from datasets import prepare
from datasets.names import list_images, parse_fields
from model.errors import UserError
from parser import expand_recipes
from tests.tiny import place_image

ROOT = pathlib.Path(__file__).resolve().parents[1]
PHOTOS = ROOT.parent / "shared" / "data"


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="no real photos beside the checkout")
def test_recipe_on_real_photographs(workdir, capsys):
    photos = [str(PHOTOS / city / "images") for city in ("lund", "berlin")]
    assert prepare.main(["--photos", *photos, "--output", "data/real_photos", "--resize", "120"]) == 0
    assert "22 images in train, 22 images in val/database, 5 images in val/queries" in capsys.readouterr().out
    fields = parse_fields(list_images("data/real_photos/train"), (1, 2, 9))
    assert ((fields[:, 0] > 386500) & (fields[:, 0] < 391500) & (fields[:, 2] == 0)).all()
    flags = expand_recipes([f"@{ROOT}/recipes/real_photos.txt"])
    weights = flags.index("--backbone_weights") + 1
    flags[weights] = str(ROOT / flags[weights])
    assert train.main([*flags, "--iterations_per_epoch", "2", "--epochs_num", "1", "--image_size", "96", "--num_workers", "0"]) == 0
    folder = next(pathlib.Path("logs/real_photos").iterdir())
    assert len(list((folder / "preds").glob("*.jpg"))) == 5
    assert "Using 1 of 1 groups, 6 classes and 17 of 22 images" in (folder / "info.log").read_text()


def photo(path, latitude=None, longitude=None, direction=None):
    exif = Image.Exif()
    if latitude is not None:
        triple = [(abs(value), (abs(value) % 1) * 60, 0.0) for value in (latitude, longitude)]
        gps = {1: "S" if latitude < 0 else "N", 2: (float(int(triple[0][0])), triple[0][1], 0.0),
               3: "W" if longitude < 0 else "E", 4: (float(int(triple[1][0])), triple[1][1], 0.0)}
        exif[0x8825] = gps | ({17: direction} if direction is not None else {})
    os.makedirs(os.path.dirname(path), exist_ok=True)
    place_image(1, 0, 0).save(path, exif=exif)


def test_positions_and_headings_are_read_from_exif(workdir):
    photo("p/a.jpg", -33.865, 151.21, 45.5)
    photo("p/b.jpg", 37.75, -122.5)
    assert prepare.read_gps("p/a.jpg") == pytest.approx((-33.865, 151.21, 45.5), abs=1e-5)
    assert prepare.read_gps("p/b.jpg") == pytest.approx((37.75, -122.5, 0), abs=1e-5)


def test_photos_without_a_position_are_left_out_and_listed(workdir, capsys):
    for index in range(6):
        photo(f"p/{index}.jpg", 55.7, 13.19 + index / 1000)
    photo("p/none.jpg")
    (workdir / "p/text.jpg").write_text("no photo")
    assert prepare.main(["--photos", "p", "--output", "out", "--query_every", "2"]) == 0
    out = capsys.readouterr().out
    assert "left out: 'p/none.jpg': its EXIF has no GPS position" in out and "left out: 'p/text.jpg': cannot identify image file" in out
    assert "3 images in train" in out and len(list_images("out/val/queries")) == 2 and len(list_images("out/test/queries")) == 1


def test_bad_input(workdir, capsys):
    photo("p/a.jpg")
    cases = ((["--photos", "p"], "0 photos have a position, too few"), (["--photos", "nowhere"], "no photo or folder nowhere"),
             (["--photos", "p", "--query_every", "1"], "at least 2"), (["--photos", "p", "--resize", "9"], "at least 32"))
    for flags, problem in cases:
        with pytest.raises(SystemExit) as exit_:
            prepare.main([*flags, "--output", "out"])
        assert exit_.value.code == 2 and problem in capsys.readouterr().err
    with pytest.raises(UserError, match="p exists and is not empty"):
        prepare.prepare(["p"], "p")
