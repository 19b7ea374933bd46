"""localize.py --rerank: neighbours, estimates, confidence and radius after a second look, and its pictures."""

import csv
import json
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

import localize
from localization.position import FEATURES, FEATURES_OF_MATCHES, estimate_positions
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from tests.pages import Page
from tests.photos import block_scene
from tests.scripts import fails
from tests.tiny import EAST, save_place

pytest.importorskip("cv2", reason="OpenCV is not installed (requirements-rerank.txt)")
FLAGS = ["--resume_model", "m.pth", "--device", "cpu", "--num_workers", "0"]
RERANK = ["--rerank", "8", "--rerank_image_size", "96"]


def save_scenes(folder, places, shift, variants=1):
    """Photos of places 100 m apart, a few pixels aside. Returns their names."""
    names = []
    for place in places:
        for variant in range(variants):
            x, y = shift[0] + variant, shift[1]
            names.append(save_place(folder, 10 * place, 0, 1 + variant, size=96))
            Image.fromarray(block_scene(place)[y : y + 100, x : x + 100]).save(f"{folder}/{names[-1]}", quality=95)
    return names


@pytest.fixture(scope="module")
def made(once):
    """Eight places as a database with photos of them, a validation set of 70 queries, and an untrained network."""

    def make():
        save_scenes("db", range(8), (0, 0))
        save_scenes("photos", range(8), (9, 5))
        save_scenes("val/database", range(35), (0, 0))
        save_scenes("val/queries", range(35), (9, 5), variants=2)
        torch.manual_seed(0)
        save_network(GeoLocalizationNet("Small", 16), "m.pth")

    return once("localize_reranking", make)


@pytest.fixture
def city(made, workdir):
    for name in os.listdir(made):
        os.symlink(made / name, name)
    return workdir


def localized(capsys, *flags):
    capsys.readouterr()
    assert localize.main([*FLAGS, "--database_folder", "db", "--format", "jsonl", *flags, "photos"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def right(results):
    """Whether the first neighbour of each photo is of its place."""
    return [os.path.basename(r["photo"]) == os.path.basename(r["neighbours"][0]["name"]) for r in results]


def test_the_right_neighbour_comes_first_and_decides(city, capsys):
    before, after = localized(capsys), localized(capsys, *RERANK)
    assert not all(right(before)) and all(right(after))
    assert not any("matches" in near for result in before for near in result["neighbours"])
    for place, result in enumerate(after):
        counts = [near["matches"] for near in result["neighbours"]]
        assert counts == sorted(counts, reverse=True) and counts[0] >= 8
        assert abs(result["utm_east"] - (EAST + 100 * place + 5)) < 10
    assert localized(capsys, *RERANK, "--num_workers", "2") == after
    few = localized(capsys, *RERANK, "--rerank", "2")
    assert ["matches" in near for near in few[0]["neighbours"]] == [True] * 2 + [False] * 3


def test_formats_have_the_matches(city, capsys):
    flags = [*FLAGS, "--database_folder", "db", "--neighbours", "2"]
    localize.main([*flags, *RERANK, "--output", "a.csv", "--format", "csv", "photos"])
    localize.main([*flags, "--output", "b.csv", "--format", "csv", "photos"])
    heads = [next(csv.reader(open(name))) for name in ("a.csv", "b.csv")]
    assert set(heads[0]) - set(heads[1]) == {"neighbour1_matches", "neighbour2_matches"}
    localize.main([*flags, *RERANK, "--output", "a.txt", "photos"])
    assert re.search(r"^ +\d\.\d{3} +\d+\.\d m +\d+ matches  sub/@", open("a.txt").read(), re.MULTILINE)


def test_the_page_draws_the_matches(city, capsys):
    """Lines lead from the photo, on the left, to the same things in the neighbour, a few pixels aside."""
    results = localized(capsys, *RERANK, "--report", "page.html")
    page = Page("page.html")
    assert "Second look" in page.text and "the first 8, sift" in page.text
    drawings = re.findall(r"<svg viewBox=[^>]*Photo.*?</svg>", open("page.html").read(), re.DOTALL)
    assert len(drawings) == 8
    for drawing, result in zip(drawings, results, strict=True):
        lines = np.array(re.findall(r'<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"/>', drawing), float)
        assert 8 <= len(lines) <= min(60, result["neighbours"][0]["matches"])
        second = float(re.findall(r'<image [^>]*x="(\d+)"', drawing)[1])
        moved = np.median(lines[:, 2:] - [second, 0] - lines[:, :2], axis=0)
        np.testing.assert_allclose(moved, [9 * 2.2, 5 * 2.2], atol=2)  # 100 pixels are drawn as 220


def test_a_calibration_belongs_to_the_second_look(city, capsys):
    assert localize.main([*FLAGS, "--calibrate", "val", *RERANK]) == 0
    results = localized(capsys, *RERANK)
    assert all(result["confidence"] > 0.5 and result["radius_m"] is not None for result in results)
    assert all(result["confidence"] is None for result in localized(capsys))
    (path,) = [f"cache/descriptors/{name}" for name in os.listdir("cache/descriptors") if name.endswith(".json")]
    content = json.load(open(path))
    assert len(content["parameters"]["coefficients"]) == len(FEATURES) + len(FEATURES_OF_MATCHES)
    flags = [*FLAGS, "--database_folder", "db", "--calibration", path, "photos"]
    assert "is of another model or other settings (its second_look" in fails(localize, capsys, *flags, *RERANK[:2])


def test_votes_and_features_of_matches():
    """Two places, of which the less similar one has the matches."""
    positions = np.array([[[0, 0], [100, 0], [102, 0]]], float)
    similarities = np.array([[0.6, 0.5, 0.4]])
    plain, looked = (estimate_positions(positions, similarities, matches=m) for m in (None, np.array([[0, 50, 20]])))
    assert plain.positions[0, 0] < 1 and 100 < looked.positions[0, 0] < 101
    assert plain.features.shape == (1, 3)
    np.testing.assert_allclose(looked.features[0, 3:], np.log(51))
    nothing = estimate_positions(positions, similarities, matches=np.zeros((1, 3)))
    np.testing.assert_array_equal(nothing.positions, plain.positions)
    np.testing.assert_array_equal(nothing.features, np.append(plain.features, [[0, 0]], axis=1))


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--index_folder", "x", *RERANK, "photos"], "--rerank looks at the database's images: give their folder"),
        (["--database_folder", "db", "--matcher", "xfeat", "photos"], "--matcher has no use without --rerank"),
        (["--database_folder", "db", "--rerank", "51", "photos"], "--rerank is 51: of a photo's 50 neighbours no more"),
        (["--database_folder", "db", "--trust_code", "photos"], "--trust_code has no use without --matcher MODULE"),
        (["--database_folder", "db", *RERANK, "--matcher", "a:b", "photos"], "--matcher a:b runs code"),
    ],
)
def test_bad_input(city, capsys, flags, message):
    assert message in fails(localize, capsys, *FLAGS, *flags)
