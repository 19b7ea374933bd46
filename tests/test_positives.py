import argparse

import numpy as np
import pytest

from benchmarks import positives as benchmark
from datasets.positives import find_positives


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


def test_the_benchmarks_ways_agree(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "database.npy", rng.uniform(0, 500, (2000, 2)))
    np.save(tmp_path / "queries.npy", rng.uniform(0, 500, (40, 2)))
    results = [
        benchmark.run(argparse.Namespace(folder=str(tmp_path), role=role, radius=25.0)) for role in benchmark.ROLES
    ]
    assert results[0]["digest"] == results[1]["digest"] and results[0]["positives"] > 100
