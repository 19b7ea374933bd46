import json
import math
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import eval as eval_script
import visualizations
from datasets.positives import chance_recalls, format_chance
from datasets.protocols import PROTOCOLS
from datasets.test_dataset import ImageFolder, TestDataset, find_database_folder, find_queries_folder
from datasets.test_sets import TestSet
from model.network import GeoLocalizationNet
from parser import parse_arguments
from report.tables import RecallTable
from retrieval import knn
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.recalls import compute_recalls, mcnemar, paired_difference, recall_intervals, wilson_intervals
from support.errors import UserError
from test import TestOptions, summarize, test, test_options
from tests.tiny import EAST, NORTH, save_place
from visualizations import save_predictions

# --- recalls


def test_recalls_count_all_queries():
    predictions = np.array([[3, 1, 2], [0, 1, 2], [5, 4, -1], [-1, -1, -1]])
    positives = [np.array([1, 9]), np.array([0]), np.array([], int), np.array([4])]
    np.testing.assert_allclose(compute_recalls(predictions, positives, [1, 2, 3]), [25, 50, 50])
    result = summarize(predictions, positives, 10)
    assert result.num_without_positives == 1 and result.recall(1) == 25
    np.testing.assert_allclose(result.recalls_with_positives[:2], [100 / 3, 200 / 3])


def test_published_line():
    found = np.zeros((1000, 100), int) - 1
    for row, rank in zip(range(1000), [0] * 767 + [4] * 85 + [9] * 29 + [19] * 22 + [99] * 50, strict=False):
        found[row, rank] = 7
    result = summarize(found, [np.array([7])] * 1000, 10)
    assert str(result) == "R@1: 76.7, R@5: 85.2, R@10: 88.1, R@20: 90.3"
    assert result.recall(100) == 95.3
    assert list(result.details()) == [
        "1000 queries, 0 of them without positives, in 10 database images",
        "R@N     recall    95% interval  chance  of those with positives",
        "R@1       76.7   74.0 to  79.2    10.0                     76.7",
        "R@5       85.2   82.9 to  87.3    50.0                     85.2",
        "R@10      88.1   85.9 to  90.0   100.0                     88.1",
        "R@20      90.3   88.3 to  92.0   100.0                     90.3",
        "R@100     95.3   93.8 to  96.4   100.0                     95.3",
    ]


def test_chosen_recall_values_are_all_in_the_line():
    positives = [np.array([0]), np.array([], int)]
    result = summarize(np.array([[1, 0], [1, 0]]), positives, 2_000_000, recall_values=(1, 2, 50))
    assert str(result) == "R@1: 0.0, R@2: 50.0, R@50: 50.0" and result.shown == (1, 2, 50)
    assert (
        list(result.details())[0] == "2 queries (few queries), 1 of them without positives, in 2000000 database images"
    )
    assert list(result.details())[-1] == "R@50      50.0    9.5 to  90.5    <0.1                    100.0"
    nowhere = summarize(np.array([[1, 0]]), positives[1:], 2)
    assert list(nowhere.details())[2] == "R@1        0.0    0.0 to  79.3     0.0                     none"


def test_chance_is_what_random_predictions_reach():
    for counts, size in (([3, 0, 1], 40), ([5, 4], 5), ([2, 29, 7, 7], 30), ([1, 40], 2_800_000), ([0], 1), ([1], 1)):
        expected = [
            100 * np.mean([1 - math.comb(size - p, min(n, size)) / math.comb(size, min(n, size)) for p in counts])
            for n in (1, 2, 20, 100)
        ]
        np.testing.assert_allclose(chance_recalls(counts, size, (1, 2, 20, 100)), expected, rtol=1e-9)
    rng, positives = np.random.default_rng(0), [np.arange(3), np.array([], int), np.array([7])]
    drawn = np.array([rng.permutation(40)[:5] for _ in range(6000)])
    result = summarize(drawn, positives * 2000, 40)
    np.testing.assert_allclose(result.recalls[:2], result.chance[:2], atol=1.5)
    assert result.chance[0] == pytest.approx(100 * 4 / 3 / 40) and result.chance_cell(1) == "3.3"
    assert [format_chance(chance) for chance in (0, 1e-4, 0.049, 0.051)] == ["0.0", "<0.1", "<0.1", "0.1"]


def test_intervals_are_those_of_resampled_queries_where_there_are_many():
    rng = np.random.default_rng(0)
    found = rng.random((400, 2)) < [0.7, 0.1]
    resampled = np.array([found[rng.integers(0, 400, 400)].mean(axis=0) for _ in range(4000)])
    np.testing.assert_allclose(recall_intervals(found), 100 * np.percentile(resampled, [2.5, 97.5], axis=0).T, atol=0.5)


def _coverage(low, high, count, recalls):
    """How often the interval of k found queries, (low[k], high[k]), holds the true recall: exact, from the binomial."""
    k = np.arange(count + 1)
    ways = np.array([math.lgamma(count + 1) - math.lgamma(i + 1) - math.lgamma(count - i + 1) for i in k])
    recalls = recalls[:, None]
    probability = np.exp(ways + k * np.log(recalls) + (count - k) * np.log(1 - recalls))
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    return (probability * ((low <= recalls) & (recalls <= high))).sum(axis=1)


@pytest.mark.parametrize("count", [10, 30, 100, 1000])
def test_intervals_hold_the_true_recall_95_times_in_100(count):
    recalls = np.linspace(0.02, 0.98, 193)
    low, high = wilson_intervals(np.arange(count + 1) / count, count).T
    coverage = _coverage(low, high, count, recalls)
    assert 0.9495 < coverage.mean() < 0.9555
    assert coverage.min() > {10: 0.89, 30: 0.91, 100: 0.92, 1000: 0.94}[count]
    assert (
        low[0] == pytest.approx(0) and high[-1] == pytest.approx(1) and high[0] > 0 and low[-1] < 1
    )  # nothing is certain


def test_wilson_intervals_are_the_published_ones():
    # Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3
    for found, count, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        np.testing.assert_allclose(wilson_intervals(found / count, count), [low, high], atol=6e-5)
    np.testing.assert_allclose(wilson_intervals(1 / 29, 29), [0.0061, 0.1718], atol=6e-5)
    eight = summarize(np.zeros((8, 1), int), [np.array([0])] * 8, 2)
    numbers, _, first, *_ = eight.details()
    assert first.startswith("R@1      100.0   67.6 to 100.0 ") and numbers.startswith("8 queries (few queries), 0 of ")
    thirty = summarize(np.zeros((30, 1), int), [np.array([0])] * 30, 2)
    assert eight.few and not thirty.few and "few" not in "".join(thirty.details())


def test_mcnemar_is_exact():
    for won, lost in ((0, 0), (1, 0), (5, 0), (3, 9), (9, 3), (7, 7), (40, 61)):
        tail = sum(math.comb(won + lost, k) for k in range(min(won, lost) + 1))
        assert mcnemar(won, lost) == pytest.approx(min(1, 2 * tail / 2 ** (won + lost)), rel=1e-10)
    assert mcnemar(0, 6) == pytest.approx(2 / 64) and mcnemar(0, 5000) == 0
    assert mcnemar(50_000, 50_000) == 1 and mcnemar(49_000, 51_000) == pytest.approx(2.588716e-10, rel=1e-6)


def test_paired_difference_is_that_of_resampled_queries():
    rng = np.random.default_rng(0)
    first = rng.random((300, 2)) < [0.7, 0.9]
    other = np.where(rng.random((300, 2)) < 0.8, first, rng.random((300, 2)) < 0.4)
    difference = paired_difference(first, other)
    resampled = []
    for _ in range(4000):
        rows = rng.integers(0, 300, 300)
        resampled.append(100 * (first[rows].mean(axis=0) - other[rows].mean(axis=0)))
    np.testing.assert_allclose(difference.intervals, np.percentile(resampled, [2.5, 97.5], axis=0).T, atol=0.5)
    np.testing.assert_allclose(difference.values, 100 * (first.mean(axis=0) - other.mean(axis=0)))
    np.testing.assert_array_equal(difference.won, [(first[:, n] & ~other[:, n]).sum() for n in range(2)])
    assert (difference.values == 100 * (difference.won - difference.lost) / 300).all()
    assert difference.p.tolist() == [mcnemar(*row) for row in zip(difference.won, difference.lost, strict=True)]
    with pytest.raises(ValueError, match="one shape"):
        paired_difference(first, other[1:])


def test_without_queries_there_are_no_recalls():
    none = np.zeros((0, 2), bool)
    for compute in (lambda: recall_intervals(none), lambda: paired_difference(none, none)):
        with pytest.raises(ValueError, match="there are no queries, and so no recalls"):
            compute()


# --- nearest neighbours


@pytest.mark.parametrize("block", [7, 100, 1 << 17])
def test_knn_equals_brute_force(monkeypatch, block):
    monkeypatch.setattr(knn, "BLOCK_BYTES", block * 8 * 4)
    rng = np.random.default_rng(0)
    database, queries = rng.normal(size=(101, 8)).astype(np.float32), rng.normal(size=(30, 8)).astype(np.float32)
    excluded = [0, 50, *range(14, 21)]  # a whole block among them
    distances, neighbours = knn.search(database, queries, 12, excluded, exclude_queries=[4])
    expected = ((queries[:, None].astype(np.float64) - database) ** 2).sum(-1)
    expected[:, excluded] = np.inf
    order = expected.argsort(axis=1)[:, :12]
    rows = np.arange(30) != 4
    np.testing.assert_array_equal(neighbours[rows], order[rows])
    np.testing.assert_allclose(distances[rows], np.take_along_axis(expected, order, 1)[rows], rtol=1e-4)
    assert (neighbours[4] == -1).all() and np.isinf(distances[4]).all()


def test_knn_with_more_neighbours_than_database_images():
    database = np.eye(3, dtype=np.float32)
    distances, neighbours = knn.search(database, database[:1], 5)
    assert (
        neighbours[0, 0] == 0 and set(neighbours[0, 1:3].tolist()) == {1, 2} and neighbours[0, 3:].tolist() == [-1, -1]
    )
    assert np.isinf(distances[0, 3:]).all()


# --- descriptors


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return GeoLocalizationNet("ResNet18", 16).eval()


def test_images_of_mixed_sizes_in_order_and_equal_to_one_by_one(workdir, network):
    os.makedirs("f")
    rng = np.random.default_rng(0)
    for i in range(23):
        size = [(64, 48), (48, 64), (70, 50)][rng.integers(3)]
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(f"f/{i:02d}.png")
    os.truncate("f/05.png", 30)
    images = ImageFolder("f")
    batched, unreadable = extract_descriptors(network, images, ExtractionOptions(batch_size=4))
    alone, _ = extract_descriptors(network, images, ExtractionOptions(batch_size=1, num_workers=2))
    np.testing.assert_allclose(batched, alone, rtol=0, atol=1e-5)
    assert list(unreadable) == [5] and not batched[5].any()
    np.testing.assert_allclose(np.linalg.norm(np.delete(batched, 5, 0), axis=1), 1, atol=1e-5)
    assert len(np.unique(batched.round(3), axis=0)) == 23
    half, _ = extract_descriptors(network, images, ExtractionOptions(batch_size=4, dtype=torch.bfloat16))
    assert 1e-5 < np.abs(half - batched).max() < 0.05


def test_descriptors_that_are_not_finite_are_an_error(workdir):
    os.makedirs("f")
    Image.new("RGB", (40, 40)).save("f/0.png")
    broken = GeoLocalizationNet("Small", 16)
    broken.aggregation[3].bias.data.fill_(np.nan)
    with pytest.raises(UserError, match="f/0.png.*not finite"):
        extract_descriptors(broken, ImageFolder("f"))
    assert broken.training  # as it was


# --- a whole evaluation


@pytest.fixture
def test_folder(workdir):
    """Six places in the database; queries at five of them, and one 300 m away."""
    for place in range(6):
        save_place("db", place, 0, 1)
    for place in (0, 1, 2, 3, 4, 40):
        save_place("q", place, 0, 2)
    return TestDataset("db", "q", positive_dist_threshold=5)


def test_positives_lie_within_the_threshold(test_folder):
    assert [p.tolist() for p in test_folder.positives_per_query] == [[0], [1], [2], [3], [4], []]
    wider = TestDataset("db", "q", positive_dist_threshold=10)  # the threshold belongs to the circle
    assert [p.tolist() for p in wider.positives_per_query] == [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], []]
    assert str(test_folder) == f"< {os.path.basename(os.getcwd())}/q - #q: 6; #db: 6 >"
    np.testing.assert_allclose(test_folder.database_utms[0], (EAST + 5, NORTH + 5))


def test_recalls_with_headings_are_said_and_not_compared(test_folder, caplog):
    flags = "--database_folder db --queries_folder q --positive_heading_threshold 30".split()
    caplog.set_level("INFO")
    ((_, dataset),) = eval_script.open_test_sets(parse_arguments("eval", flags), 0)
    assert (
        "also looks within 30 degrees of the query's heading" in caplog.text and dataset.headings[0].tolist() == [0] * 6
    )
    result = summarize(np.zeros((6, 1), int), dataset.positives_per_query, 6)
    RecallTable("t.csv", "ResNet50_512").add(TestSet("Pitts30k", "db", "q", PROTOCOLS[0], None), dataset, result)
    assert "a threshold of 30 degrees between headings: its recalls cannot be compared" in caplog.text


def test_unreadable_images_are_counted_and_keep_their_index(test_folder, network, caplog):
    whole = test(test_folder, network)
    assert whole.recall(1) == pytest.approx(100 * 5 / 6) and whole.num_without_positives == 1
    assert [row[0] for row in whole.predictions[:5]] == [0, 1, 2, 3, 4]
    name = test_folder.database.names[2]
    os.truncate(test_folder.database.path(2), 50)
    os.truncate(test_folder.queries.path(4), 50)
    result = test(test_folder, network, TestOptions(num_workers=1))
    assert not (result.predictions == 2).any() and (result.predictions[4] == -1).all()
    assert [row[0] for row in result.predictions[[0, 1, 3]]] == [0, 1, 3] and result.recall(100) == 50
    assert list(result.unreadable_database) == [2] and list(result.unreadable_queries) == [4]
    line = f"1 of 6 images of db cannot be read and are never retrieved (debug.log names them); the first, {name!r}: "
    assert line + "Truncated File Read" in caplog.text
    shutil.rmtree("q")
    os.makedirs("q")
    open("q/@551000@4181000@.jpg", "w").close()
    with pytest.raises(UserError, match="none of the 1 images of q can be read"):
        test(TestDataset("db", "q"), network)


def test_recall_values_are_searched_for(test_folder, network):
    result = test(test_folder, network, TestOptions(recall_values=(1, 3)))
    assert result.predictions.shape == (6, 3) and str(result).startswith("R@1: 83.3, R@3: ")
    wide = test(test_folder, network, TestOptions(recall_values=(1, 3), num_predictions=5))
    assert wide.predictions.shape == (6, 5) and wide.recall_values == (1, 3) and wide.found.shape == (6, 2)


def test_recall_values_of_the_command_line(workdir, network):
    def options(*flags):
        args = parse_arguments("eval", ["--dataset_folder", "d", *flags])
        return test_options(args, network, torch.device("cpu"), 0)

    assert options("--recall_values", "7", "3", "7").for_validation().recall_values == (1, 3, 7)
    assert options("--recall_values", "3").num_predictions == 0
    assert options("--recall_values", "3", "--report", "p.html").num_predictions == 100  # of the page's charts


def test_predictions_are_drawn(test_folder, network):
    result = test(test_folder, network)
    assert save_predictions(test_folder, result.predictions, "preds", 3) == 6
    assert sorted(os.listdir("preds"))[:3] == ["000.jpg", "000.txt", "001.jpg"]
    query, nearest = test_folder.queries, [test_folder.database.path(index) for index in result.predictions[1, :3]]
    positives = [test_folder.database.path(index) for index in test_folder.positives_per_query[1]]
    parts = ["Query path:", query.path(1), "", "Predictions paths:", *nearest, "", "Positives paths:", *positives, ""]
    assert open("preds/001.txt").read() == "\n".join(parts)  # as the published code writes it
    row = json.loads(open("preds.jsonl").read().splitlines()[1])
    assert row["path"] == query.path(1) and row["positives"] == 1 and len(row["predictions"]) == 3
    assert row["predictions"][0] == {"path": nearest[0], "right": True, "distance_m": 0.0}
    assert not row["predictions"][1]["right"] and row["predictions"][1]["distance_m"] == 10.0
    sheet = np.asarray(Image.open("preds/001.jpg")).astype(int)
    frame = sheet[150:250, [10 + 3, 10 + 278 + 3, 10 + 2 * 278 + 3]].mean(axis=0)
    assert frame[0].argmax() == 2 and frame[1].argmax() == 1 and frame[2].argmax() == 0  # blue, green, red
    assert save_predictions(test_folder, result.predictions, "few", 2, limit=2) == 2 and len(os.listdir("few")) == 4
    assert save_predictions(test_folder, result.predictions, "wrong", 2, only_wrong=True) == 1 and sorted(
        os.listdir("wrong")
    ) == [
        "005.jpg",
        "005.txt",
    ]


def test_no_picture_is_larger_than_a_jpeg_can_be_and_the_text_has_all(test_folder, network, monkeypatch):
    drawn, panel = visualizations._MOST_DRAWN, visualizations._panel("none.jpg", (0, 0, 0), "", "")
    rows = -(-(drawn + 1) // visualizations._PER_ROW)
    assert rows * (panel.height + visualizations._GAP) + visualizations._GAP <= 65500
    monkeypatch.setattr(visualizations, "_MOST_DRAWN", 2)
    save_predictions(test_folder, test(test_folder, network).predictions, "preds", 4)
    assert Image.open("preds/001.jpg").width == 10 + 3 * 278
    nearest = open("preds/001.txt").read().split("\n\n")[1]
    assert len(nearest.splitlines()) == 1 + 4


def test_folders_of_queries_and_database(workdir):
    for name in ("t/database", "t/queries", "elsewhere"):
        os.makedirs(name)
    assert find_queries_folder("t") == "t/queries" and find_database_folder("t") == "t/database"
    os.makedirs("t/queries_v1")
    assert find_queries_folder("t") == "t/queries_v1" and find_queries_folder("t", "queries") == "t/queries"
    assert (
        find_database_folder(None, "elsewhere") == "elsewhere" and find_queries_folder("t", "elsewhere") == "elsewhere"
    )
    with pytest.raises(UserError, match="no folder t/night or night; name it with --queries_folder"):
        find_queries_folder("t", "night")
    with pytest.raises(UserError, match="folder nowhere does not exist"):
        find_database_folder("nowhere")


def test_tiny_images_count_as_unreadable(workdir):
    os.makedirs("f")
    Image.new("RGB", (40, 31)).save("f/0.png")
    _, image, reason = ImageFolder("f")[0]
    assert image is None and "40 x 31 pixels, fewer than 32" in reason


def test_many_predictions_go_into_several_rows(test_folder, network):
    result = test(test_folder, network)
    result.predictions = np.zeros((6, 100), int)
    save_predictions(test_folder, result.predictions, "many", 100)
    sheet = Image.open("many/000.jpg")
    assert sheet.width < 4000 and sheet.height > 2500
