"""On real photographs, where they are: OpenSfM's lund and berlin beside the checkout (no other test needs them)."""

import pathlib

import pytest

import train
from datasets.check.__main__ import main as check
from datasets.names import list_images, positions
from datasets.prepare.__main__ import main as prepare
from datasets.prepare.areas import FOLDERS
from support.recipes import expand_recipes
from tests.scripts import ROOT

PHOTOS = ROOT.parent / "shared" / "data"


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="no real photos beside the checkout")
def test_recipe_on_real_photographs(workdir, capsys):
    photos = [str(PHOTOS / city / "images") for city in ("lund", "berlin")]
    prepare(
        ["--photos", *photos, "--output", "data/real_photos", "--resize", "120", "--buffer", "10", "--num_workers", "0"]
    )
    out = capsys.readouterr().out
    assert (
        "30 photos in UTM zone 33U; 30 images made" in out
        and "30 of 30 photos have no heading" in out
        and "2 left out" in out
    )
    counts = {folder: len(list_images(f"data/real_photos/{folder}")) for folder in FOLDERS}
    assert counts == {"train": 18, "val/database": 4, "val/queries": 2, "test/database": 4, "test/queries": 2}
    east, north = positions(list_images("data/real_photos/train")).T
    assert ((east > 386500) & (east < 391500) & ((north > 6173900) | (north < 5820000))).all()
    flags = expand_recipes([f"@{ROOT}/recipes/real_photos.txt"])
    weights = flags.index("--backbone_weights") + 1
    flags[weights] = str(ROOT / flags[weights])
    check(["data/real_photos", *flags, "--num_workers", "0"])
    assert "groups: 1, of which 1 would be trained, with 5 classes and 17 of 18 images" in capsys.readouterr().out
    assert (
        train.main(
            [*flags, "--iterations_per_epoch", "2", "--epochs_num", "1", "--image_size", "96", "--num_workers", "0"]
        )
        == 0
    )
    folder = next(pathlib.Path("logs/real_photos").iterdir())
    assert len(list((folder / "preds").glob("*.jpg"))) == 2
    assert "Using 1 of 1 groups, 5 classes and 17 of 18 images" in (folder / "info.log").read_text()
