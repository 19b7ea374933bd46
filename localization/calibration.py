"""How far to trust an estimate: its confidence, and radii that hold the truth with a given probability.

An estimate is right (within `threshold` metres of the truth) or wrong. A logistic regression on the neighbours' support
and similarities gives the probability c that it is right. The error of an estimate is then distributed as

F(r) = c N(r) + (1 - c) G(r).

N are the errors of right estimates on the validation set. G is where the truth may lie otherwise: at the neighbours
that vote for another place, or anywhere in the database (position.far_distances). So wrong estimates are as far off as
this database is wide, and not as the validation's. The radius of level q is F^-1(q'). Here q' is q, corrected by where
the validation's errors lie in their predicted distributions (distributional conformal prediction, Chernozhukov,
Wuethrich and Zhu 2021).
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from localization.position import FEATURES, FEATURES_OF_MATCHES, Estimates, far_distances
from support.errors import UserError
from support.files import read_object, replacing

if TYPE_CHECKING:
    from localization.answers import Located  # which imports this module

LEVELS = (0.68, 0.95)
WINDOWS = ((0.63, 0.73), (0.90, 1.0))  # where coverage on unseen queries should lie
MIN_QUERIES = 30  # in each half
_VERSION = 1
_KIND = "calibration of positions"
_NEAR = 20  # quantiles of right estimates' errors
_PRIOR = 150  # queries that speak against a correction: from few queries it is mostly noise
_SAMPLE = 1024  # of a database's positions
_AT_ONCE = 512  # photos: their distances to the sample take 5 MB, several times
_BLOCKS = 8
_BY_FEATURE = ("mean", "scale", "coefficients")
_LIST_LENGTHS = {"near": _NEAR, "levels": len(LEVELS)}


class Calibration:
    """Turns estimates into confidences and radii.

    identity: the network and settings of the estimates, as plain values; second_look is there if there was one
    threshold: metres within which an estimate is right
    parameters: plain values, see fit
    """

    def __init__(self, identity: dict, threshold: float, parameters: dict):
        self.identity, self.threshold, self.parameters = identity, threshold, parameters

    def confidence(self, estimates: Estimates) -> np.ndarray:
        """The probability that each estimate is within the threshold of the truth: float64 (q,)."""
        scaled = (estimates.features - self.parameters["mean"]) / np.asarray(self.parameters["scale"])
        logits = scaled @ np.asarray(self.parameters["coefficients"]) + self.parameters["intercept"]
        return 1 / (1 + np.exp(-logits))

    def radii(self, estimates: Estimates, database: np.ndarray, levels: Sequence[float] | None = None) -> np.ndarray:
        """Metres within which the truth lies with the probabilities LEVELS: float64 (q, 2).

        database: float64 (n, 2), the positions of the database; levels: quantiles of the predicted distributions
        (default: LEVELS as corrected).
        """
        levels = self.parameters["levels"] if levels is None else levels
        return np.stack(
            [np.interp(levels, shares, distances) for distances, shares in self._distributions(estimates, database)]
        )

    def ranks(self, estimates: Estimates, database: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """The share of its predicted distribution below each error: float64 (q,), uniform if the prediction is right.

        database: float64 (n, 2), the positions of the database; errors: float64 (q,), metres.
        """
        return np.array(
            [
                np.interp(error, distances, shares)
                for error, (distances, shares) in zip(errors, self._distributions(estimates, database), strict=True)
            ]
        )

    def _distributions(self, estimates: Estimates, database: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (distances, F at them) for each estimate."""
        near = np.concatenate([[0], self.parameters["near"], [self.threshold]])
        near_shares = np.concatenate([[0], _middles(_NEAR), [1]])
        database = database[
            np.linspace(0, len(database) - 1, min(len(database), _SAMPLE)).astype(int)
        ]  # evenly spread over the rows
        for begin in range(0, len(estimates.positions), _AT_ONCE):
            part = estimates.of(slice(begin, begin + _AT_ONCE))
            for c, distances, shares in zip(
                self.confidence(part), *far_distances(part, database, self.threshold), strict=True
            ):
                yield np.concatenate([near, distances]), np.concatenate([c * near_shares, c + (1 - c) * shares])

    def save(self, path: str, report: dict) -> None:
        """Writes a JSON file, which appears whole. report: plain values for people, on the data and the check."""
        content = {
            "kind": _KIND,
            "version": _VERSION,
            "identity": self.identity,
            "threshold": self.threshold,
            "parameters": self.parameters,
            "report": report,
        }
        with replacing(path) as temporary, open(temporary, "w") as file:
            json.dump(content, file, indent=1)


def load(path: str, identity: dict) -> Calibration:
    """Reads a calibration. Raises UserError if it is missing, damaged, or of another network or other settings."""
    try:
        content = read_object(path)
    except OSError as error:
        raise UserError(
            f"the calibration {path} cannot be read: {error.strerror}; make one with --calibrate"
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is damaged, or no calibration: make it again with --calibrate") from error
    if content.get("kind") != _KIND or content.get("version") != _VERSION or not _sound(content):
        raise UserError(f"{path} is damaged, or no calibration of this version: make it again with --calibrate")
    if content["identity"] != identity:
        differing = [
            name
            for name in sorted(identity)
            if not isinstance(content["identity"], dict) or content["identity"].get(name) != identity[name]
        ] or ["settings"]
        raise UserError(
            f"the calibration {path} is of another model or other settings (its {', '.join(differing)} differ): "
            "name the one of this model, or make it with --calibrate"
        )
    return Calibration(identity, content["threshold"], content["parameters"])


def fit(
    estimates: Estimates, database: np.ndarray, errors: np.ndarray, threshold: float, identity: dict
) -> Calibration:
    """Fits a calibration to the estimates of a validation set.

    estimates: of its queries
    database: float64 (n, 2), the positions of the database
    errors: float64 (q,), metres from the truth
    threshold: metres within which an estimate is right
    identity: as in Calibration

    Raises UserError if there are fewer than MIN_QUERIES queries, or if no estimate is right.
    """
    right = errors <= threshold
    if len(errors) < MIN_QUERIES or not right.any():
        raise UserError(
            f"{len(errors)} validation queries, {right.sum()} of them within {threshold:g} m, are too few to calibrate "
            f"on: name a validation set with at least {MIN_QUERIES} in each half of its area"
        )
    scaler = StandardScaler().fit(estimates.features)
    if right.all():
        coefficients, intercept = (
            [0.0] * estimates.features.shape[1],
            math.log(len(errors) + 1),
        )  # the rule of succession
    else:
        regression = LogisticRegression().fit(scaler.transform(estimates.features), right)
        coefficients, intercept = regression.coef_[0].tolist(), float(regression.intercept_[0])
    parameters = {
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
        "coefficients": coefficients,
        "intercept": intercept,
        "near": np.quantile(errors[right], _middles(_NEAR)).tolist(),
        "levels": list(LEVELS),
    }
    calibration = Calibration(identity, threshold, parameters)
    ranks = calibration.ranks(estimates, database, errors)
    corrected = np.quantile(ranks, LEVELS, method="weibull")  # the k-th of n ranks has the expectation k / (n + 1)
    parameters["levels"] = ((len(errors) * corrected + _PRIOR * np.array(LEVELS)) / (len(errors) + _PRIOR)).tolist()
    return calibration


@dataclass
class Checked:
    """A calibration's answers for queries that it was not fitted on, and the truth; each float64 (q, ...)."""

    errors: np.ndarray  # (q,) metres
    confidence: np.ndarray  # (q,)
    radii: np.ndarray  # (q, 2), of LEVELS
    ranks: np.ndarray  # (q,), see Calibration.ranks

    def coverage(self) -> np.ndarray:
        """The share of the radii that hold the truth: float64 (2,)."""
        return (self.errors[:, None] <= self.radii).mean(axis=0)


def fit_and_check(
    located: "Located", truth: np.ndarray, threshold: float, identity: dict, seed: int = 0
) -> tuple[Calibration, "Checked", dict]:
    """Fits a calibration on one half of the queries' area, and checks it on the other half.

    located: the queries
    truth: float64 (q, 2), metres
    threshold: metres within which an estimate is right
    identity: as in Calibration
    seed: of area_halves

    Returns (the calibration, the check, a report in plain values). Raises UserError if a half has too few queries.
    """
    errors = located.estimates.errors(truth)
    fitted_on = area_halves(truth, threshold, seed)
    calibration = fit(located.estimates.of(fitted_on), located.database, errors[fitted_on], threshold, identity)
    estimates, errors = located.estimates.of(~fitted_on), errors[~fitted_on]
    if len(errors) < MIN_QUERIES:
        raise UserError(
            f"the half to check on has {len(errors)} queries, fewer than {MIN_QUERIES}: "
            "name a larger validation set, or another --seed"
        )
    checked = Checked(
        errors,
        calibration.confidence(estimates),
        calibration.radii(estimates, located.database),
        calibration.ranks(estimates, located.database, errors),
    )
    report = {
        "seed": seed,
        "threshold": threshold,
        "fitted_on": int(fitted_on.sum()),
        "checked_on": len(errors),
        "coverage": dict(zip(map(str, LEVELS), checked.coverage().tolist(), strict=True)),
        "right": float((errors <= threshold).mean()),
        "mean_confidence": float(checked.confidence.mean()),
        "median_error": float(np.median(errors)),
        "median_radii": np.median(checked.radii, axis=0).tolist(),
    }
    return calibration, checked, report


def describe_report(report: dict) -> Iterator[str]:
    """Lines for the log, of the report of fit_and_check."""
    yield (
        f"Fitted on the {report['fitted_on']} queries of one half, checked on the {report['checked_on']} of the other, "
        f"whose median error is {report['median_error']:.1f} m; {report['right']:.1%} are within "
        f"{report['threshold']:g} m, and the mean confidence is {report['mean_confidence']:.1%}"
    )
    for level, (low, high), radius in zip(LEVELS, WINDOWS, report["median_radii"], strict=True):
        coverage = report["coverage"][str(level)]
        noise = 1.96 * math.sqrt(level * (1 - level) / report["checked_on"])
        verdict = "" if low <= coverage <= high else f": outside {low:.0%} to {high:.0%}"
        yield (
            f"The {level:.0%} radii hold the truth of {coverage:.1%} (+- {noise:.1%} by chance alone; "
            f"median radius {radius:.0f} m){verdict}"
        )


def area_halves(positions: np.ndarray, threshold: float, seed: int = 0) -> np.ndarray:
    """Divides queries into halves, by blocks of the area (spatial block cross-validation, Roberts et al. 2017).

    Both halves have as many queries, as far as blocks allow. Blocks are squares, _BLOCKS along the longer side of the
    area. They are at least two thresholds wide, so that few queries share database images with the other half.

    positions: float64 (q, 2), metres; threshold: metres; seed: of the order of the blocks. Returns bool (q,).
    """
    low = positions.min(axis=0)
    side = max(2 * threshold, (positions.max(axis=0) - low).max() / _BLOCKS)
    _, block, counts = np.unique((positions - low) // side, axis=0, return_inverse=True, return_counts=True)
    halves, sizes = np.zeros(len(counts), bool), [0, 0]
    for index in np.random.default_rng(seed).permutation(len(counts)):
        halves[index] = sizes[1] < sizes[0]
        sizes[int(halves[index])] += counts[index]
    return ~halves[block.ravel()]


def _middles(n: int) -> np.ndarray:
    return (np.arange(n) + 0.5) / n


def _sound(content: dict) -> bool:
    """Whether the values of a file are of the kind that fit makes."""
    parameters = content.get("parameters")
    if (
        not isinstance(parameters, dict)
        or not _is_number(content.get("threshold"))
        or not _is_number(parameters.get("intercept"))
    ):
        return False
    second_look = isinstance(content.get("identity"), dict) and "second_look" in content["identity"]
    features = len(FEATURES) + (len(FEATURES_OF_MATCHES) if second_look else 0)
    for name, length in (_LIST_LENGTHS | dict.fromkeys(_BY_FEATURE, features)).items():
        values = parameters.get(name)
        if not isinstance(values, list) or len(values) != length or not all(map(_is_number, values)):
            return False
    near, levels = parameters["near"], parameters["levels"]
    return (
        content["threshold"] > 0
        and all(scale > 0 for scale in parameters["scale"])
        and near == sorted(near)
        and 0 <= near[0]
        and near[-1] <= content["threshold"]
        and 0 < levels[0] <= levels[1] < 1
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
