import json
import os

import numpy as np
import pytest
import utm
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from datasets.names import format_name
from localization import calibration
from localization.position import (
    KERNEL,
    SHARPNESS,
    Estimates,
    estimate_positions,
    far_distances,
    first_lead,
    vote_weights,
)
from localization.zones import to_latlon
from support.errors import UserError

# --- the estimate


def made_up_neighbours(queries=20, k=12, seed=0):
    """(positions (q, k, 2), similarities (q, k) descending) with a cluster each, at the origin, and others around."""
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-300, 300, (queries, k, 2))
    positions[:, ::2] = rng.normal(0, 6, (queries, len(range(0, k, 2)), 2))
    return positions, -np.sort(-rng.uniform(0.2, 0.9, (queries, k)), axis=1)


def test_weights_fall_by_a_fixed_factor_from_the_first_to_the_last():
    weights = vote_weights(np.array([[0.9, 0.6, 0.3], [0.5, 0.5, 0.5], [0.7, -np.inf, -np.inf], [0.8, 0.2, -np.inf]]))
    e = np.exp(-SHARPNESS)
    np.testing.assert_allclose(weights[0], np.array([1, e**0.5, e]) / (1 + e**0.5 + e))
    np.testing.assert_allclose(weights[1], 1 / 3)
    np.testing.assert_allclose(weights[2:], [[1, 0, 0], [1 / (1 + e), e / (1 + e), 0]])


def test_the_estimate_is_the_highest_mode_of_the_votes_density():
    positions, similarities = made_up_neighbours()
    found = estimate_positions(positions, similarities)
    axis = np.linspace(-320, 320, 321)  # every 2 metres
    for query in range(5):

        def density(points, query=query):
            squared = ((points[..., None, :] - positions[query]) ** 2).sum(axis=-1)
            return (found.weights[query] * np.exp(-squared / (2 * KERNEL**2))).sum(axis=-1)

        grid = np.stack(np.meshgrid(axis, axis), axis=-1)
        best = grid.reshape(-1, 2)[density(grid).argmax()]
        assert np.linalg.norm(found.positions[query] - best) < 2
        assert density(found.positions[query]) >= density(best) - 1e-6


def test_what_is_far_has_no_part_in_it():
    positions = np.array([[[0.0, 0.0], [4, 0], [2, 3], [500, 500], [900, -200]]])
    similarities = np.array([[0.6, 0.58, 0.5, 0.62, 0.4]])  # the most similar one is alone
    order = np.argsort(-similarities[0])
    found = estimate_positions(positions[:, order], similarities[:, order])
    assert np.linalg.norm(found.positions[0] - [2, 1]) < 2 and found.anchors[0] in (1, 2, 3)
    moved = positions.copy()
    moved[0, 3:] += 1000
    np.testing.assert_allclose(
        estimate_positions(moved[:, order], similarities[:, order]).positions, found.positions, atol=0.02
    )
    nearest = estimate_positions(positions[:, order], similarities[:, order], "nearest")
    assert nearest.positions[0].tolist() == [500, 500] and nearest.anchors[0] == 0 and nearest.distances[0, 0] == 0


def test_features_and_missing_neighbours():
    positions = np.array([[[0.0, 0.0], [100, 0], [10, 0], [0, 0]]])
    similarities = np.array([[0.8, 0.7, 0.5, -np.inf]])
    found = estimate_positions(positions, similarities, "nearest")
    weights = np.exp(SHARPNESS * (similarities[0, :3] - 0.8) / 0.3)
    weights /= weights.sum()
    np.testing.assert_allclose(found.features[0], [weights[0] + weights[2], 0.8, 0.1])
    assert found.distances[0, 3] == np.inf and found.weights[0, 3] == 0
    only = estimate_positions(positions[:, :1], similarities[:, :1])
    np.testing.assert_allclose(only.features[0], [1, 0.8, 0])
    assert only.positions[0].tolist() == [0, 0]
    with pytest.raises(ValueError, match="no method"):
        estimate_positions(positions, similarities, "median")


def test_lead_of_the_first_neighbour():
    positions = np.array([[[0.0, 0.0], [10, 0], [100, 0]]]).repeat(4, axis=0)
    none = [np.inf] * 3
    distances = np.array([[0.25, 0.5, 1], none, [0, 0, 0], [0.25, np.inf, np.inf]])
    np.testing.assert_allclose(first_lead(positions, distances, 25), [0.5, 0, 0, 0])
    np.testing.assert_allclose(first_lead(positions, distances, 5)[0], 1 - 0.5**0.5)
    np.testing.assert_allclose(first_lead(positions, distances, 100)[0], 0.5)  # all are near: the last


def test_results_do_not_depend_on_the_other_photos():
    positions, similarities = made_up_neighbours(queries=600)
    together = estimate_positions(positions, similarities)
    for query in (0, 511, 512, 599):
        alone = estimate_positions(positions[[query]], similarities[[query]])
        np.testing.assert_allclose(alone.positions[0], together.positions[query], atol=0.05)


def test_far_distances_are_half_votes_and_half_database():
    positions = np.array([[[0.0, 0.0], [40, 0], [0, 60]]])
    estimates = estimate_positions(positions, np.array([[0.9, 0.6, 0.3]]), "nearest")
    distances, shares = far_distances(estimates, np.array([[0.0, 10], [0, 50], [200, 0]]), 25)
    votes = estimates.weights[0, 1:] / estimates.weights[0, 1:].sum() / 2
    expected = {40: votes[0], 50: 0.25, 60: votes[1], 200: 0.25}
    for metres, below in zip(expected, np.cumsum(list(expected.values())), strict=True):
        assert np.interp(metres, distances[0], shares[0]) == pytest.approx(below)
    distances, shares = far_distances(estimates, np.array([[1.0, 1]]), 25)  # votes alone
    assert np.interp(40, distances[0], shares[0]) == pytest.approx(2 * votes[0])
    nothing = estimate_positions(np.zeros((1, 2, 2)), np.array([[0.5, 0.4]]))
    distances, shares = far_distances(nothing, np.zeros((3, 2)), 25)
    assert (distances == 25).all() and not shares.any()


# --- calibration


class MadeUp:
    """Estimates as Located has them, whose errors depend on the features: right ones are near, wrong ones anywhere in a
    square.
    """

    def __init__(self, queries, seed=0, side=400.0):
        rng = np.random.default_rng(seed)
        self.truth = rng.uniform(0, side, (queries, 2))
        support = rng.uniform(0, 1, queries)
        right = rng.random(queries) < 0.1 + 0.8 * support
        near = self.truth + rng.normal(0, 5, (queries, 2))
        positions = np.where(right[:, None], near, rng.uniform(0, side, (queries, 2)))
        features = np.stack([support, rng.uniform(0, 1, queries), rng.normal(0, 0.1, queries)], axis=1)
        self.estimates = Estimates(
            positions, np.zeros(queries, int), np.ones((queries, 1)), np.zeros((queries, 1)), features
        )
        self.database = rng.uniform(0, side, (300, 2))
        self.errors = self.estimates.errors(self.truth)

    def fit(self, identity=None):
        return calibration.fit(self.estimates, self.database, self.errors, 25, identity or {"weights": "w"})


def test_coverage_on_the_other_half_is_as_asked_for():
    coverage, bias = [], []
    for seed in range(8):
        made = MadeUp(1200, seed)
        _, checked, report = calibration.fit_and_check(made, made.truth, 25, {}, seed)
        coverage.append(checked.coverage())
        bias.append(checked.confidence.mean() - (checked.errors <= 25).mean())
        assert (
            report["coverage"]["0.68"] == checked.coverage()[0] and report["fitted_on"] + report["checked_on"] == 1200
        )
        assert (checked.radii[:, 0] <= checked.radii[:, 1]).all()
    (low, high), (low95, high95) = calibration.WINDOWS
    assert all(low <= one <= high and low95 <= other <= high95 for one, other in coverage)
    np.testing.assert_allclose(np.mean(coverage, axis=0), calibration.LEVELS, atol=0.015)
    assert abs(np.mean(bias)) < 0.015


def test_confidence_is_the_logistic_regression_and_radii_invert_the_distribution():
    made = MadeUp(500)
    fitted = made.fit()
    right = made.errors <= 25
    scaled = StandardScaler().fit_transform(made.estimates.features)
    np.testing.assert_allclose(
        fitted.confidence(made.estimates), LogisticRegression().fit(scaled, right).predict_proba(scaled)[:, 1]
    )
    levels = [0.3, 0.68, 0.9]
    radii = fitted.radii(made.estimates, made.database, levels)
    for column, level in enumerate(levels):
        np.testing.assert_allclose(fitted.ranks(made.estimates, made.database, radii[:, column]), level, atol=1e-6)
    sure = fitted.confidence(made.estimates) > 0.75
    radii = fitted.radii(made.estimates, made.database)[:, 0]
    assert np.median(radii[sure]) < 25 < np.median(radii[~sure])


def test_radii_grow_with_the_database_that_a_wrong_estimate_may_lie_in():
    fitted, small, large = MadeUp(500).fit(), MadeUp(300, 1), MadeUp(300, 1, side=4000.0)
    in_small, in_large = (fitted.radii(made.estimates, made.database)[:, 1] for made in (small, large))
    assert np.median(in_large) > 5 * np.median(in_small) and (large.errors <= in_large).mean() > 0.9


def test_all_right_and_too_few():
    made = MadeUp(40)
    made.estimates.positions[:] = made.truth + 1
    made.errors = made.estimates.errors(made.truth)
    assert made.fit().confidence(made.estimates) == pytest.approx(
        41 / 42
    )  # as often right as the rule of succession has it
    made.errors = made.errors + 100
    with pytest.raises(UserError, match="40 validation queries, 0 of them within 25 m, are too few"):
        made.fit()
    few = MadeUp(20)
    with pytest.raises(UserError, match="20 validation queries"):
        few.fit()
    with pytest.raises(UserError, match="are too few"):
        calibration.fit_and_check(few, few.truth, 25, {})


def test_halves_are_whole_blocks_with_as_many_queries():
    truth = np.random.default_rng(0).uniform(0, 1000, (2000, 2)) + [480000, 5440000]
    half = calibration.area_halves(truth, 25)
    assert abs(half.mean() - 0.5) < 0.03
    block = ((truth - truth.min(axis=0)) // (np.ptp(truth, axis=0).max() / 8)).astype(int)
    for one in np.unique(block, axis=0):
        assert len(np.unique(half[(block == one).all(axis=1)])) == 1
    assert (calibration.area_halves(truth, 25, 1) != half).any() and (calibration.area_halves(truth, 25) == half).all()
    narrow = calibration.area_halves(truth[:, :] % [100, 100], 25)  # blocks of 50 m, not of 12
    corner = (truth % 100 - (truth % 100).min(axis=0) < 50).all(axis=1)
    assert len(np.unique(narrow[corner])) == 1


def test_a_calibration_is_read_back_and_checked(workdir):
    made = MadeUp(200)
    fitted = made.fit({"weights": "a", "resize": None})
    fitted.save("c.json", {"fitted_on": 200})
    again = calibration.load("c.json", {"weights": "a", "resize": None})
    np.testing.assert_array_equal(
        again.radii(made.estimates, made.database), fitted.radii(made.estimates, made.database)
    )
    with pytest.raises(UserError, match=r"c.json is of another model or other settings \(its weights differ\)"):
        calibration.load("c.json", {"weights": "b", "resize": None})
    with pytest.raises(UserError, match="cannot be read: No such file.*--calibrate"):
        calibration.load("none.json", {})
    content = json.load(open("c.json"))
    damaged = [{**content, "version": 9}, {**content, "threshold": 0}, [], {**content, "parameters": {}}, {"kind": "x"}]
    for name, value in (
        ("near", content["parameters"]["near"][::-1]),
        ("scale", [1, 0, 1]),
        ("levels", [0.7, 1.2]),
        ("mean", [0, 1]),
        ("intercept", float("nan")),
        ("coefficients", ["1", 2, 3]),
        ("levels", [True, 0.9]),
    ):
        damaged.append({**content, "parameters": {**content["parameters"], name: value}})
    for value in damaged:
        json.dump(value, open("d.json", "w"))
        with pytest.raises(UserError, match="d.json is damaged, or no calibration"):
            calibration.load("d.json", content["identity"])
    for text in ("{", "", "\xff", "[" * 100000):
        open("d.json", "w", encoding="latin-1").write(text)
        with pytest.raises(UserError, match="d.json is damaged, or no calibration"):
            calibration.load("d.json", content["identity"])
    assert sorted(os.listdir()) == ["c.json", "d.json"]


# --- latitude and longitude


@pytest.mark.parametrize(("latitude", "longitude"), [(49.18, 8.78), (-33.86, 151.2), (37.77, -122.42), (1.3, 103.8)])
def test_latitude_and_longitude_by_the_zone_or_by_the_image_beside(latitude, longitude):
    east, north, number, letter = utm.from_latlon(latitude, longitude)
    expected = utm.to_latlon(east + 30, north - 40, number, letter)
    *found, zone = to_latlon(east + 30, north - 40, "sub/" + format_name(east, north, number, letter))
    assert found == pytest.approx(expected, abs=1e-9) and zone == f"{number}{letter}"
    *found, zone = to_latlon(east + 30, north - 40, format_name(east, north, latitude=latitude, longitude=longitude))
    metres = np.subtract(found, expected) * [111_195, 111_195 * np.cos(np.radians(latitude))]
    assert (
        np.linalg.norm(metres) < 3 and zone is None
    )  # names have 5 decimals, and the grid is turned by up to 3 degrees


def test_names_that_do_not_say():
    assert to_latlon(1000, 2000, "@1000@2000@.jpg") == (None, None, None)
    assert to_latlon(1000, 2000, format_name(1000, 2000, 10, "")) == (None, None, None)
    assert to_latlon(1000, 2000, format_name(1000, 2000, 10, "I")) == (None, None, None)  # no band, and no such easting
    assert to_latlon(1000, 2000, "@1000@2000@32@U@91@8@@@.jpg") == (None, None, None)
    assert to_latlon(1000, 2000, "@1000@2000@３２@U@5_0@8@@@.jpg") == (None, None, None)  # digits of other scripts
    latitude, longitude, _ = to_latlon(1100, 2000, "@1000@2000@@@0@179.9999@@@.jpg")
    assert latitude == 0 and -180 <= longitude < -179.9
