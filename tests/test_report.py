import csv
import glob
import hashlib
import io
import json
import os
import re
import shutil

import numpy as np
import pytest

from datasets.names import utm_to_latlon
from datasets.test_dataset import TestDataset
from report import curves, texts
from report.evaluation import Evaluation, write_report
from report.localization import LocalizedPhoto, write_localization_report
from report.page import lettered
from retrieval.recalls import paired_difference
from support.escaping import csv_path, printable
from test import summarize
from tests.pages import Page, browse, unpack
from tests.tiny import EAST, NORTH, place_image, save_place

STATIC = os.path.join(os.path.dirname(curves.__file__), "static")


def evaluate(dataset, seed=0, k=20):
    """A TestResult of random predictions that are right more often at low ranks; distances ascend."""
    rng = np.random.default_rng(seed)
    predictions = np.stack([rng.permutation(len(dataset.database))[:k] for _ in range(len(dataset.queries))])
    for query, positives in enumerate(dataset.positives_per_query):
        if len(positives) and rng.random() < 0.5:
            row = predictions[query]
            row[np.flatnonzero(row == positives[0])] = row[0]
            row[0] = positives[0]
    distances = np.sort(rng.uniform(0.2, 1.8, predictions.shape), axis=1).astype(np.float32)
    return summarize(predictions, dataset.positives_per_query, len(dataset.database), distances=distances)


@pytest.fixture
def dataset(workdir):
    """30 places in the database; queries at 15 of them and at one where there are none."""
    for place in range(30):
        save_place("db", place, 0, 1, size=40)
    for place in (*range(0, 30, 2), 90):
        save_place("queries_v1", place, 0, 2, size=40, offset=1.0)
    return TestDataset("db", "queries_v1", 25)


# --- numbers


def test_numbers_of_the_page_are_those_of_the_result(dataset):
    result = evaluate(dataset)
    write_report("page.html", [Evaluation("queries_v1", "net.pth", dataset, result)], [("Search", "exact")])
    page = Page("page.html")
    for row, n in enumerate(result.recall_values):
        low, high = result.intervals[row]
        assert f"R@{n}" in page.text and f"{result.recalls[row]:.1f} {low:.1f} to {high:.1f}" in page.text
    assert (
        f"{result.recall(1):.1f} % R@1" in page.text
        and "16 queries, 30 database images" in page.text
        and page.text.count("few queries") == 2
        and "Search exact" in page.text
    )
    assert f"without the 1 query that no database image is near {result.recalls_with_positives[0]:.1f}" in page.text
    part = page.data["parts"][0]
    shown = dict(
        zip(
            part["at_n"]["n"],
            zip(part["at_n"]["recall"], part["at_n"]["low"], part["at_n"]["high"], strict=True),
            strict=True,
        )
    )
    for row, n in enumerate(result.recall_values[:4]):  # of 20 predictions
        assert shown[n][0] == pytest.approx(result.recalls[row], abs=1e-3)
        np.testing.assert_allclose(shown[n][1:], result.intervals[row], atol=1e-3)
    at_distance = part["at_distance"]
    for n in (1, 5, 10):
        assert at_distance["recall"][str(n)][at_distance["metres"].index(25)] == pytest.approx(
            result.recall(n), abs=1e-3
        )
    errors = dict(zip(part["errors"]["metres"], part["errors"]["share"], strict=True))
    assert errors[25] == pytest.approx(result.recall(1), abs=1e-3) and part["errors"]["share"][-1] == 100
    shares = np.array([len(positives) / 30 for positives in dataset.positives_per_query])
    assert part["at_n"]["chance"][0] == pytest.approx(100 * shares.mean(), abs=1e-3)
    assert part["at_distance"]["chance"][at_distance["metres"].index(25)] == pytest.approx(part["at_n"]["chance"][0])
    assert f"by chance {100 * shares.mean():.1f}" in page.text
    assert (
        part["similarity"]["recall"][-1]
        == part["similarity"]["precision"][-1]
        == pytest.approx(result.recall(1), abs=1e-3)
    )
    queries, plane = part["queries"], page.data["maps"][0]
    ranks = unpack(queries["rank"], "u2")
    for query, positives in enumerate(dataset.positives_per_query):
        right = np.flatnonzero(np.isin(result.predictions[query], positives))
        assert ranks[query] == (right[0] + 1 if len(right) else 0)
    first = [queries["names"][pointer] for pointer in unpack(queries["predicted"], "i4")]
    assert first == [dataset.database.names[index] for index in result.predictions[:, 0].tolist()]
    np.testing.assert_allclose(unpack(queries["similarity"], "f4"), 1 - result.distances[:, 0] / 2, atol=1e-6)
    np.testing.assert_allclose(
        unpack(plane["queries"], "f4").reshape(-1, 2) + plane["origin"], dataset.queries_utms, atol=0.01
    )
    metres = np.linalg.norm(dataset.database_utms[result.predictions[:, 0]] - dataset.queries_utms, axis=1)
    np.testing.assert_allclose(unpack(queries["metres"], "f4"), metres, rtol=1e-6)


def test_curves_equal_plain_computations():
    rng = np.random.default_rng(0)
    similarity, right = rng.integers(0, 20, 200) / 20, rng.random(200) < 0.6  # many are equal
    similarity[:3] = -np.inf
    thresholds, precision, recall = curves.precision_recall(similarity, right)
    assert (np.diff(thresholds) < 0).all() and len(thresholds) == 20
    for row, threshold in enumerate(thresholds):
        answered = similarity >= threshold
        assert precision[row] == pytest.approx(100 * right[answered].mean())
        assert recall[row] == pytest.approx(100 * (right & answered).sum() / 200)
    assert curves.recall_at_full_precision(np.array([100, 100, 50.0]), np.array([1, 2, 3.0])) == 2
    metres = rng.choice([0.0, 5.0, 25.0, 25.01, 3000.0, np.inf], (100, 10))
    distances, within = curves.recall_at_distance(metres, 25)
    for distance, one, ten in zip(distances, within[1], within[10], strict=True):
        assert one == pytest.approx(100 * (metres[:, 0] <= distance).mean())
        assert ten == pytest.approx(100 * (metres.min(axis=1) <= distance).mean())
    reach, shares = curves.cumulative_errors(metres[:, 0], 30)
    assert 30 in reach and reach[0] == 1 and reach[-1] == 3000
    for distance, share in zip(reach, shares, strict=True):
        assert share == pytest.approx(100 * (metres[:, 0] <= distance).mean())
    assert shares[-1] == pytest.approx(100 * np.isfinite(metres[:, 0]).mean())


def test_a_similarity_below_1_is_never_shown_as_1():
    shown = [texts.similarity(value) for value in (0.71834, 0.998, 0.99996, 1 - 2**-24, 1.0, -0.2)]
    assert shown == ["0.718", "0.998", "0.99996", "0.9999999", "1.000", "-0.200"]


def test_predictions_that_look_another_way_are_wrong_at_every_distance(workdir):
    for place in range(6):
        save_place("db", place, 90 * (place % 2), 1, size=40)
        save_place("queries_v1", place, 0, 2, size=40)
    dataset = TestDataset("db", "queries_v1", 5, positive_heading_threshold=45)
    result = summarize(np.arange(6)[:, None], dataset.positives_per_query, 6, distances=np.ones((6, 1), np.float32))
    write_report("page.html", [Evaluation("q", "net", dataset, result)])
    page, part = Page("page.html"), Page("page.html").data["parts"][0]
    assert result.recall(1) == 50 == part["at_distance"]["recall"]["1"][-1] and part["at_distance"]["chance"] is None
    assert part["errors"]["share"][0] == 100 and "0.0 m off, 0° turned" in page.text
    assert "within 5 m of the query that looks within 45° of its heading" in page.text


def test_positions_are_merged_where_they_are_too_many():
    positions = np.random.default_rng(0).uniform(0, 1000, (5000, 2))
    merged, cell = curves.merged_positions(positions, 400)
    assert len(merged) <= 400 and cell >= 32
    assert max(np.abs(merged[:, None] - position).max(axis=2).min() for position in positions[:50]) <= cell / 2
    everything, none = curves.merged_positions(np.repeat(positions[:100], 12, axis=0), 400)
    assert len(everything) == 100 and none == 0


# --- several evaluations


def test_day_beside_night_and_two_models(dataset):
    shutil.copytree("queries_v1", "queries_night")
    night = TestDataset("db", "queries_night", 25)
    results = {
        (name, model): evaluate(of, seed)
        for seed, (name, of, model) in enumerate(
            [
                ("queries_v1", dataset, "one.pth"),
                ("queries_night", night, "one.pth"),
                ("queries_v1", dataset, "two.pth"),
                ("queries_night", night, "two.pth"),
            ]
        )
    }
    runs = {"one.pth": {"epoch": [0, 1], "loss": [3.0, 2.5], "loss_grl": [1.0, None], "R@1": [20.0, 10.0]}}
    write_report(
        "page.html",
        [
            Evaluation(name, model, {"queries_v1": dataset, "queries_night": night}[name], result)
            for (name, model), result in results.items()
        ],
        runs=runs,
    )
    page = Page("page.html")
    assert [part["label"] for part in page.data["parts"]] == [
        "queries_v1, A",
        "queries_v1, B",
        "queries_night, A",
        "queries_night, B",
    ]
    assert [map_["name"] for map_ in page.data["maps"]] == ["queries_v1", "queries_night"]
    assert page.data["comparisons"] == [[0, 1], [2, 3]] and "A : one.pth" in page.text and "B : two.pth" in page.text
    for name in ("queries_v1", "queries_night"):
        one, two = results[name, "one.pth"], results[name, "two.pth"]
        difference = paired_difference(one.found, two.found)
        low, high = (f"{value:+.1f}".replace("-", "−") for value in difference.intervals[0])
        value = f"{difference.values[0]:+.1f}".replace("-", "−")
        assert (
            f"{one.recall(1):.1f} {two.recall(1):.1f} {value} {low} to {high} {difference.won[0]} {difference.lost[0]} "
            f"{difference.p[0]:.2g}" in page.text
        )
    assert "2 epochs, best validation R@1 20.0 % after epoch 0, last loss 2.5" in page.text
    assert page.data["training"][0]["losses"] == {"loss": [3.0, 2.5], "loss_grl": [1.0, None]}
    assert list(lettered(map(str, range(30))).values())[24:28] == ["Y", "Z", "A1", "B1"]


def test_right_answers_are_shown_from_the_most_similar_on(dataset):
    predictions = np.stack([np.roll(np.arange(30), -positives[:1].sum()) for positives in dataset.positives_per_query])
    distances = np.linspace(0.0001, 1.5, 16, dtype=np.float32)[:, None].repeat(30, axis=1)
    write_report(
        "page.html",
        [Evaluation("q", "net", dataset, summarize(predictions, dataset.positives_per_query, 30, distances=distances))],
    )
    page = Page("page.html")
    shown = [dataset.queries.names[query] for query in (0, 5, 9, 14)]
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert [alt.removeprefix("Found query ") for alt in alts if alt.startswith("Found query")] == shown
    assert "15 queries are found at the first prediction. Here are 4, from the most similar" in page.text
    assert "similarity 0.99995" in page.text and "every query that has a right database image is found" in page.text
    assert f'title="{shown[0]}"><span>{shown[0][:-14]}</span><span>{shown[0][-14:]}</span>' in page.source


def test_misses_are_shown_with_the_right_image(dataset):
    predictions = np.tile(np.arange(29, 9, -1), (16, 1))  # the first queries' positives are not among them
    distances = np.linspace(0.5, 1.5, 16, dtype=np.float32)[::-1, None].repeat(
        20, axis=1
    )  # later queries are more similar
    os.truncate(dataset.database.path(29), 60)
    result = summarize(predictions, dataset.positives_per_query, 30, distances=distances)
    write_report("page.html", [Evaluation("q", "net", dataset, result)])
    page = Page("page.html")
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    missed = [query for query in range(15) if not np.isin(29, dataset.positives_per_query[query])][::-1][:12]
    assert [alt.removeprefix("Query ") for alt in alts if alt.startswith("Query")] == [
        dataset.queries.names[query] for query in missed
    ]
    assert page.text.count("cannot be read: ") == 13  # the first prediction of each, and of the right answer
    assert (
        "✓ Right, not in the first 20" in page.text
        and "✓ Right, at rank" in page.text
        and "✗ Prediction 2" in page.text
    )
    assert all(attributes["src"].startswith("data:image/jpeg;base64,") for tag, attributes in page.tags if tag == "img")


@pytest.mark.parametrize("case", ["nothing right", "no positives", "one query", "no predictions", "no distances"])
def test_unusual_results(dataset, case):
    if case == "one query":
        shutil.rmtree("queries_v1")
        save_place("queries_v1", 3, 0, 2, size=40)
    if case in ("one query", "no positives"):
        dataset = TestDataset("db", "queries_v1", 0.001 if case == "no positives" else 25)
    result = evaluate(dataset)
    if case == "nothing right":
        predictions = np.array([[(positives.max(initial=0) + 5) % 30] for positives in dataset.positives_per_query])
        result = summarize(predictions, dataset.positives_per_query, 30, distances=np.ones((16, 1), np.float32))
    if case == "no predictions":
        result = summarize(
            np.full((16, 5), -1),
            dataset.positives_per_query,
            30,
            {query: "cut off" for query in range(16)},
            distances=np.full((16, 5), np.inf, np.float32),
        )
    if case == "no distances":
        result.distances = None
    write_report("page.html", [Evaluation("q", "net", dataset, result)])
    page = Page("page.html")
    assert f"{result.recall(1):.1f} % R@1" in page.text
    if case in ("nothing right", "no positives", "no predictions"):
        assert result.recall(1) == 0
    if case == "no predictions":
        assert (
            "queries and database: 16 images cannot be read" in page.text
            and "median error of the first prediction: none" in page.text
        )
        assert page.data["parts"][0]["errors"]["share"][-1] == 0 and page.data["parts"][0]["similarity"]["recall"] == []
    assert ("similarity" in page.data["parts"][0]) == (case != "no distances")


def test_localized_photos(dataset):
    paths = [dataset.queries.path(index) for index in range(3)]
    neighbours = [
        (dataset.database.path(index), 0.9 - index / 100, *dataset.database_utms[index].tolist(), None)
        for index in range(6)
    ]
    own = (37.8, -122.4, EAST + 30.0, NORTH + 40.0)
    photos = [
        LocalizedPhoto(paths[0], 37.77, -122.42, EAST, NORTH, 60.0, 0.8, neighbours, own),
        LocalizedPhoto(paths[1], 37.77, -122.42, EAST, NORTH, 10.0, 0.9, neighbours, own),
        LocalizedPhoto(paths[2], 37.77, -122.42, EAST, NORTH),
        LocalizedPhoto("none.jpg", *[None] * 4, reason="it cannot be read"),
    ]
    write_localization_report("photos.html", photos, [("Database", "db")])
    page = Page("photos.html")
    assert (
        "2 of the photos have a GPS position: its median distance from the estimate is 50 m, and 1 of 2 lies within"
        in page.text
    )
    assert (
        "37.770000, -122.420000" in page.text
        and "https://www.openstreetmap.org/?mlat=37.770000&mlon=-122.420000#map=18/37.770000/-122.420000"
        in [attributes["href"] for tag, attributes in page.tags if tag == "a"]
        and "60 m 80 % 50 m" in page.text
        and "no estimate: it cannot be read" in page.text
        and page.text.count("not calibrated") == 2
    )
    own = {"at": [30, 40], "place": [37.8, -122.4]}
    assert [photo["own"] for photo in page.data["photos"]] == [own, own, None]
    assert page.data["photos"][0]["place"] == [37.77, -122.42] and page.data["photos"][0]["neighbours"][0]["place"]
    assert (
        len(page.data["photos"][0]["neighbours"]) == 6
        and page.text.count("Nearest 5") == 2
        and "Database db" in page.text
    )
    write_localization_report("none.html", photos[3:])
    assert Page("none.html").data == {"photos": []}


# --- a page that is safe, whole and the same


HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'&amp;&lt;\u2028\x1b[31m\x9b\u202e\u2066\u200b\n",
    "\udcff{{ 7 * 7 }}",
]


@pytest.fixture
def hostile(workdir):
    """(TestDataset, TestResult) of names that would like to run; all predictions are wrong, so that all are shown."""
    for place, text in enumerate(HOSTILE):
        for folder in ("db", "q"):
            path = f"{folder}/{text}@{EAST + 200 * place}@{NORTH}@{place}@.jpg"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            place_image(place, 0, 1, 40).save(path.encode("utf-8", "surrogateescape"), "JPEG")
    dataset = TestDataset("db", "q", 25)
    predictions = np.array(
        [[np.argsort(np.abs(dataset.database_utms[:, 0] - east))[1]] for east in dataset.queries_utms[:, 0]]
    )
    return dataset, summarize(
        predictions,
        dataset.positives_per_query,
        4,
        {0: HOSTILE[0]},
        {1: HOSTILE[1]},
        distances=np.ones((4, 1), np.float32),
    )


def unprintable(text):
    return {character for character in text if not character.isprintable()}


def test_names_are_shown_and_never_run(hostile):
    names = list(hostile[0].queries.names)
    assert sum(text in name for text in HOSTILE for name in names) == 4
    write_report(
        "page.html",
        [Evaluation(HOSTILE[0], HOSTILE[1], *hostile)],
        [(HOSTILE[0], HOSTILE[1])],
        {HOSTILE[0]: {"epoch": [1], "loss": [1.0], "R@1": [2.0]}},
    )
    photos = [
        LocalizedPhoto(
            "q/" + name, 1.0, 2.0, 3.0, 4.0, 5.0, 0.5, [("db/" + name, 0.5, 3.0, 9.0, None)], (1.0, 2.0, 3.0, 4.0)
        )
        for name in names
    ]
    write_localization_report("photos.html", [*photos, LocalizedPhoto(HOSTILE[0], *[None] * 4, reason=HOSTILE[1])])
    clean = [LocalizedPhoto("a.jpg", 1.0, 2.0, 3.0, 4.0)]
    write_localization_report("clean.html", clean)
    scripts = sum(tag == "script" for tag, _ in Page("clean.html").tags)
    for path, expected in (("page.html", scripts + 2), ("photos.html", scripts)):
        page = Page(path)
        assert unprintable(page.source) == unprintable(Page("clean.html").source)  # in names, attributes and scripts
        assert not unprintable(json.dumps(page.data, ensure_ascii=False))  # what scripts show
        assert r"&lt;\u2028\x1b[31m\x9b\u202e\u2066\u200b\n" in page.text
        assert sum(tag == "script" for tag, _ in page.tags) == expected
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
        assert all(attributes["src"].startswith("data:") for tag, attributes in page.tags if tag == "img")
        assert HOSTILE[0] in page.text and HOSTILE[1] in page.text and "{{ 7 * 7 }}" in page.text
    assert Page("page.html").data["maps"][0]["names"] == list(map(printable, names))


def test_a_page_needs_no_network_and_is_the_same_again(dataset):
    evaluations = [Evaluation("queries_v1", "net", dataset, evaluate(dataset))]
    write_report("page.html", evaluations)
    write_report("again.html", evaluations)
    assert open("page.html", "rb").read() == open("again.html", "rb").read()
    page = Page("page.html")
    assert not [
        tag
        for tag, attributes in page.tags
        if tag in ("link", "iframe", "object") or tag == "script" and "src" in attributes
    ]
    assert "default-src 'none'" in page.tags[3][1]["content"]
    assert os.path.getsize("page.html") < 2e6 and [tag for tag, _ in page.tags].count("h1") == 1
    with open(os.path.join(STATIC, "echarts.common.min.js"), "rb") as file:
        assert (
            hashlib.file_digest(file, "sha256").hexdigest()
            == "61f13280aba3161f77fc801bf5f9c786f55f10432153a0683fc5cc0700b013d5"
        )
    assert not any(
        "</script" in open(path, encoding="utf-8").read().lower() for path in glob.glob(os.path.join(STATIC, "*.js"))
    )


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_a_browser_draws_the_charts(dataset):
    results = [
        Evaluation("queries_v1", model, dataset, evaluate(dataset, seed)) for seed, model in enumerate(("one", "two"))
    ]
    write_report("page.html", results, runs={"one": {"epoch": [1, 2], "loss": [2.0, 1.0], "R@1": [10.0, 20.0]}})
    page = browse(
        "page.html",
        """document.querySelectorAll(".chart").forEach(element => {
        const chart = echarts.getInstanceByDom(element);
        chart.getZr().flush();
        element.dataset.series = chart.getOption().series.map(series => series.data.length).join(" ");
        element.dataset.fits = chart.getWidth() === element.clientWidth && chart.getWidth() > 300;
    });
    window.open = address => { document.body.dataset.opened = address; };
    const map = document.getElementById("map");
    for (const key of ["n", "n", "Enter"]) map.dispatchEvent(new KeyboardEvent("keydown", {key}));
    document.body.dataset.csv = TABLES["at-n"]().split("\\n")[1];
    document.body.dataset.wide = document.querySelector(".sideways").hidden;""",
    )
    charts = [attributes for _, attributes in page.tags if "chart" in attributes.get("class", "").split()]
    drawn = {attributes["id"]: [int(size) for size in attributes["data-series"].split()] for attributes in charts}
    found = int(results[0].result.found[:, 0].sum())
    assert {attributes["data-fits"] for attributes in charts} == {"true"}
    assert (
        len(drawn) == 7
        and drawn["map"][1:] == [1, found, 15 - found]
        and drawn["at-n"] == [20] * 7
        and drawn["training-loss"] == [2]
    )
    assert (
        f"found ({found})" in page.text
        and f"missed ({15 - found})" in page.text
        and "no database image near (1)" in page.text
    )
    body = next(attributes for tag, attributes in page.tags if tag == "body")
    place = utm_to_latlon(*dataset.queries_utms[1], 10, "S")
    latitude, longitude = map(float, re.search(r"mlat=([\d.]+)&mlon=([-\d.]+)#map", body["data-opened"]).groups())
    assert (latitude, longitude) == pytest.approx(place, abs=1e-6) and body["data-wide"] == "true"
    at_n = page.data["parts"][0]["at_n"]
    numbers = [at_n[name][0] for name in ("n", "recall", "low", "high", "chance")]
    assert body["data-csv"] == ",".join(["queries_v1"] + [f"{number:.6g}" for number in numbers]).replace(
        "queries_v1", '"queries_v1, A"'
    )
    scale = next(attributes for _, attributes in page.tags if attributes.get("id") == "map-scale")
    assert 52 <= float(re.search(r"width: ([\d.]+)px", scale["style"])[1]) <= 130 and " 200 m " in page.text
    assert "queries_v1, A against B" in page.text and f"UTM {EAST + 5:.0f} east" in page.text


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_a_browser_shows_a_hostile_name_as_text(hostile):
    dataset, result = hostile
    dataset.queries_utms[3], result.predictions[3] = dataset.queries_utms[0], dataset.positives_per_query[3]
    write_report("page.html", [Evaluation(HOSTILE[0], HOSTILE[1], *hostile)])
    page = browse(
        "page.html",
        """const chart = echarts.getInstanceByDom(document.getElementById("map"));
        chart.getZr().flush();
        chart.dispatchAction({type: "showTip", seriesIndex: 3, dataIndex: 2});
        document.body.dataset.tip = document.querySelector(".tooltip").textContent;
        const press = key => document.getElementById("map").dispatchEvent(new KeyboardEvent("keydown", {key}));
        press("n");
        document.body.dataset.details = document.getElementById("map-details").textContent;
        document.body.dataset.sizes = chart.getOption().series.slice(1).map(({data}) => data.length).join(" ");
        document.body.dataset.csv = JSON.stringify(TABLES["map"]());
        const cells = ["=1+1", "'=1", "-1.5", "-1e999", "@a", "a,b"].map(csvText).join(" ");
        document.body.dataset.cells = cells + csv([["a,b", null, 0, 'c"']]);
        document.body.dataset.similar = [0.998, 0.99996, 1, 0.5].map(similarity).join(" ");""",
    )
    body = next(attributes for tag, attributes in page.tags if tag == "body")
    tip = body["data-tip"]
    assert body["data-sizes"] == "0 1 3" and body["data-details"].startswith(
        f"2 queries: 1 found, 1 missed{dataset.queries.names[0]}"
    )  # at one position, and neither hides the other
    lines = list(csv.reader(io.StringIO(json.loads(body["data-csv"]))))
    assert [line[0] for line in lines[1:]] == [csv_path(printable(name)) for name in dataset.queries.names]
    assert lines[1][1:3] == ["", ""] and lines[4][5] == "1"  # names without a zone; the rank
    assert body["data-cells"] == """'=1+1 ''=1 -1.5 '-1e999 '@a a,b"a,b",,0,"c\"\""\n"""
    assert body["data-similar"] == "0.998 0.99996 1.000 0.500"
    first = dataset.database.names[result.predictions[2, 0]]
    assert (
        tip
        == f"Query{dataset.queries.names[2]}✗ no right predictionfirst prediction: 200.0 m off, similarity 0.500{first}"
    )
    assert not [tag for tag, attributes in page.tags if any(name.startswith("on") for name in attributes)]
