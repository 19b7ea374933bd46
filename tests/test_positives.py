import argparse

import numpy as np
import pytest

from benchmarks import positives as benchmark
from datasets.positives import Positives, find_positives, heading_differences, looking_the_same_way
from datasets.test_dataset import TestDataset
from support.errors import UserError
from tests.tiny import save_place


def brute_force(database, queries, radius):
    distances = ((database[None] - queries[:, None]) ** 2).sum(axis=2)
    return [np.flatnonzero(row <= radius**2).tolist() for row in distances]


@pytest.mark.parametrize("radius", [0, 5, 25, 300])
def test_positives_equal_brute_force_on_the_circle_too(radius):
    rng = np.random.default_rng(radius)
    corner = (551_000, 4_181_000)
    database = rng.integers(0, 400, (3000, 2)) + np.array(
        corner, float
    )  # whole metres: many lie on the circle (3, 4, 5)
    queries = rng.integers(0, 400, (50, 2)) + np.array(corner, float)
    queries = np.concatenate([queries, [(551_000 + 8e5, 4_181_000.0), (-3e5, 1.0)]])  # far away: coarse cells
    found = find_positives(database, queries, radius)
    assert [positives.tolist() for positives in found] == brute_force(database, queries, radius)
    assert (
        len(found) == 52
        and found[0].dtype == np.int32
        and not len(found[-1])
        and found[-2].tolist() == found[50].tolist()
    )
    with pytest.raises(IndexError):
        found[52]


def test_a_database_near_no_query():
    found = find_positives(np.array([[0.0, 0.0]]), np.array([[1000.0, 0.0], [2000.0, 0.0]]), 25)
    assert [len(positives) for positives in found] == [0, 0]


def test_headings_wrap_around():
    first, second = [359, 1, 90, 370, -10, 10.1, 180], [1, 359, 270, 10, 350, 0.1, -180]
    assert heading_differences(np.array(first, float), np.array(second, float)).tolist() == [2, 2, 180, 0, 0, 10, 0]
    positives = Positives(np.array([0, 2, 3, 1, 3], np.int32), np.array([0, 3, 3, 5]))
    kept = looking_the_same_way(positives, np.array([350.0, 40, 20, 200]), np.array([5.0, 0, 20]), 20)
    assert [found.tolist() for found in kept] == [[0, 2], [], [1]] and kept[0].dtype == np.int32  # 20 is within 20


def test_right_images_look_the_querys_way(workdir):
    names = [save_place("db", place, heading, 1, size=8) for place in (0, 1) for heading in (0, 90, 180, 270)]
    for place, heading in ((0, 0), (1, 315), (1, 44.99)):
        save_place("q", place, heading, 2, size=8)
    dataset = TestDataset("db", "q", 5, positive_heading_threshold=45)
    queries = {name.split("@")[9]: row for row, name in enumerate(dataset.queries.names)}
    found = {
        heading: {dataset.database.names[index] for index in dataset.positives_per_query[row]}
        for heading, row in queries.items()
    }
    assert found == {"000.00": {names[0]}, "315.00": {names[4], names[7]}, "044.99": {names[4]}}
    assert list(map(len, TestDataset("db", "q", 5).positives_per_query)) == [4, 4, 4]


def test_names_without_headings_are_counted(workdir):
    save_place("db", 0, 10, 1, size=8)
    for place, heading in ((0, ""), (1, "north")):
        save_place("q", place, 0, 2, size=8)
        for path in (workdir / "q" / "sub").glob("*@000.00@*"):
            path.rename(str(path).replace("@000.00@", f"@{heading}@"))
    (workdir / "q" / "@1@2@.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"needs headings, and 3 of the 3 names of q have none in field 9 of `@`"):
        TestDataset("db", "q", 5, positive_heading_threshold=45)
    assert len(TestDataset("db", "q", 5).queries) == 3


def test_the_benchmarks_ways_agree(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "database.npy", rng.uniform(0, 500, (2000, 2)))
    np.save(tmp_path / "queries.npy", rng.uniform(0, 500, (40, 2)))
    results = [
        benchmark.run(argparse.Namespace(folder=str(tmp_path), role=role, radius=25.0)) for role in benchmark.ROLES
    ]
    assert results[0]["digest"] == results[1]["digest"] and results[0]["positives"] > 100
