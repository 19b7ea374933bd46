"""On real photographs, where they are: OpenSfM's lund and berlin beside the checkout (no other test needs them)."""

import pathlib

import pytest

import train
from datasets.check.__main__ import main as check
from datasets.names import list_images, parse_fields
from datasets.prepare.__main__ import main as prepare
from parser import expand_recipes

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
