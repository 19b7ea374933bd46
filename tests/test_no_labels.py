"""eval.py --no_labels: any two folders of images, without positions and without recalls."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import eval as eval_script
from datasets.test_dataset import TestDataset
from parser import parse_arguments
from report.evaluation import Evaluation
from report.search import write_search_report
from support.errors import UserError
from test import summarize
from tests.pages import Page
from tests.scripts import fails, run
from tests.tiny import EVAL, place_image

FOLDERS = ["--no_labels", "--database_folder", "photos", "--queries_folder", "new"]
NETWORK = ["--backbone", "Small", *EVAL]


@pytest.fixture
def folders(workdir):
    """Photos of four places, and two of them again, one under a broken one's name."""
    for folder, places, variant in (("photos", range(4), 1), ("new", (2, 0), 1)):
        os.makedirs(folder)
        for place in places:
            place_image(place, 0, variant).save(f"{folder}/IMG_{place}.png")
    open("new/broken.jpg", "w").close()


def test_two_folders_are_searched_and_all_is_written(folders):
    pytest.importorskip("jinja2", reason="Jinja2 is not installed (requirements-report.txt)")
    flags = "--num_preds_to_save 2 --save_pairs 2 --save_descriptors npy --report page.html".split()
    log = run(eval_script, *FOLDERS, *NETWORK, *flags)
    text = open(f"{log}/info.log").read()
    assert "< " in text and "#q: 3; #db: 4 >: searched, no recalls" in text and "R@" not in text
    query, nearest = open(f"{log}/preds/001.txt").read().split("\n\n")[:2]
    assert query == "Query path:\nnew/IMG_2.png" and nearest.splitlines()[1] == "photos/IMG_2.png"
    assert open(f"{log}/preds/001.txt").read().endswith("\n\nPositives paths:\n\n")
    rows = [json.loads(line) for line in open(f"{log}/preds.jsonl")]
    assert [row["path"] for row in rows] == ["new/IMG_0.png", "new/IMG_2.png", "new/broken.jpg"]
    assert rows[0]["predictions"][0] == {"path": "photos/IMG_0.png", "similarity": 1.0}
    assert rows[2] == {"query": 2, "path": "new/broken.jpg", "predictions": []} and "positives" not in rows[0]
    assert Image.open(f"{log}/preds/000.jpg").width > 700
    assert open(f"{log}/pairs_queries.txt").readline() == "new/IMG_0.png photos/IMG_0.png\n"
    assert np.load(f"{log}/queries_descriptors.npy").shape == (3, 32)
    page = Page("page.html")
    assert "3 queries, 4 database images" in page.text and "1 query has no prediction" in page.text
    assert "similarity 1.000" in page.text and "R@" not in page.text and sum(page.data["parts"][0]["counts"]) == 2
    assert page.source.count("data:image/jpeg") == 2 * 5 and "broken.jpg" in page.text


def test_images_with_other_colours_have_a_page_too(folders):
    pytest.importorskip("jinja2", reason="Jinja2 is not installed (requirements-report.txt)")
    run(eval_script, *FOLDERS, *NETWORK, *"--fda_queries --fda_targets test --fda_beta 0.05 --report page.html".split())
    assert "the first query: 64 x 64 pixels" in Page("page.html").text


def test_what_has_no_output_draws_predictions(workdir):
    assert parse_arguments("eval", FOLDERS).num_preds_to_save == 3
    assert parse_arguments("eval", [*FOLDERS, "--save_pairs", "5"]).num_preds_to_save == 0
    assert parse_arguments("eval", ["--no_labels", "--dataset_folder", "d"]).test_set_folder == "d/test"


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--no_labels"], "--no_labels needs two folders of images: give --database_folder and --queries_folder"),
        (["--no_labels", "--queries_folder", "q"], "--no_labels needs two folders of images"),
        (["--no_labels", "--test_set_folders", "a"], "--test_set_folders needs to know which images are right"),
        ([*FOLDERS, "--compare", "b.pth"], "--compare needs to know which images are right"),
        ([*FOLDERS, "--save_only_wrong_preds"], "--save_only_wrong_preds needs to know"),
        ([*FOLDERS, "--positive_dist_threshold", "10"], "--positive_dist_threshold needs to know"),
        ([*FOLDERS, "--positive_heading_threshold", "45"], "--positive_heading_threshold needs to know"),
        ([*FOLDERS, "--recall_values", "1", "5"], "--recall_values needs to know"),
    ],
)
def test_what_needs_labels_is_refused_at_once(workdir, monkeypatch, capsys, flags, problem):
    monkeypatch.setenv("SF_XL_PROCESSED_FOLDER", "env")  # a labelled data set, which nobody asked for here
    with pytest.raises(SystemExit) as exit_:
        parse_arguments("eval", flags)
    assert exit_.value.code == 2 and problem in capsys.readouterr().err


def test_names_without_positions_and_names_with_blanks(folders, capsys):
    with pytest.raises(UserError, match=r"'IMG_0.png' .* has 0 '@'.*eval.py --no_labels searches images of any names"):
        TestDataset("photos", "new")
    os.rename("new/IMG_2.png", "new/IMG 2.png")
    assert "'new/IMG 2.png' has a blank" in fails(eval_script, capsys, *FOLDERS, *NETWORK, "--save_pairs", "1")
    os.rename("photos", "my photos")  # part of a pair's names too
    flags = [*FOLDERS, "--database_folder", "my photos", *NETWORK, "--save_pairs", "1"]
    assert "'my photos/IMG_0.png' has a blank" in fails(eval_script, capsys, *flags)


def test_the_page_shows_the_most_and_the_least_similar_of_many(folders):
    pytest.importorskip("jinja2", reason="Jinja2 is not installed (requirements-report.txt)")
    dataset = TestDataset("photos", "new", labelled=False)
    assert str(dataset).endswith("#q: 3; #db: 4 >") and dataset.positives_per_query is None
    predictions, distances = np.tile([0, 1], (3, 1)), np.array([[0.0, 0.5], [1.0, 1.5], [np.inf, np.inf]], np.float32)
    predictions[2] = -1
    result = summarize(predictions, None, 4, {2: "it is empty"}, distances=distances)
    assert not result.labelled and str(result) == "" and not list(result.details())
    write_search_report("page.html", [Evaluation("<b>x", "m", dataset, result)], [("Network", "m")])
    page = Page("page.html")
    assert "<b>x" in page.text and "<b>x" not in page.source.split("<main>")[1].split("<script")[0]
    assert "median similarity of the first prediction is 0.750" in page.text
    assert page.data["parts"][0]["edges"][0] == 0.5 and sum(page.data["parts"][0]["counts"]) == 2
    many = TestDataset("photos", "photos", labelled=False)
    many.queries.names = [many.queries.names[0]] * 30
    distances = np.linspace(0, 1, 30, dtype=np.float32)[:, None]
    write_search_report(
        "page.html", [Evaluation("x", "m", many, summarize(np.zeros((30, 1), int), None, 4, distances=distances))]
    )
    text = Page("page.html").text
    assert text.count("Prediction 1") == 24 and text.index("Most similar") < text.index("similarity 0.500")
