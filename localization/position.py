"""Estimates where a photo was taken: the mean of its neighbours' densest cluster, weighted by similarity.

Neighbours vote. The weight of the i-th most similar is exp(SHARPNESS (s_i - s_1) / (s_1 - s_k)), normalised. The scale
s_1 - s_k is the photo's own, because similarities differ between networks, and between day and night. The estimate is a
mode of the votes' density. Mean shift (Comaniciu and Meer 2002) finds it, with a Gaussian kernel of KERNEL metres, from
the neighbour where the density is largest. So neighbours far away do not count, however many they are.
"""

from dataclasses import dataclass, fields

import numpy as np

from localization.choices import METHODS
from localization.choices import NEIGHBOURS as NEIGHBOURS

KERNEL = 15.0  # metres, the standard deviation
SHARPNESS = 3.0
_CONVERGED = 0.01  # metres
_STEPS = 100
_AT_ONCE = 512  # photos: (512, 50, 50) distances take 10 MB


@dataclass
class Estimates:
    """Where photos were taken, in the database's metres. q: photos; k: neighbours."""

    positions: np.ndarray  # float64 (q, 2), metres
    anchors: np.ndarray  # int (q,): the neighbour, of k, from which mean shift began
    weights: np.ndarray  # float64 (q, k), each row sums to 1; 0: no neighbour
    distances: np.ndarray  # float64 (q, k), metres from the estimate; infinite: no neighbour
    features: np.ndarray  # float64 (q, 3), or 5 after a second look: FEATURES tell right estimates from wrong ones

    def errors(self, truth: np.ndarray) -> np.ndarray:
        """Metres between the estimates and the truth: float64 (q,). truth: float64 (q, 2), metres."""
        return np.linalg.norm(self.positions - truth, axis=1)

    def of(self, rows: slice | np.ndarray) -> "Estimates":
        """The Estimates of some of the photos."""
        return Estimates(*(getattr(self, field.name)[rows] for field in fields(self)))


FEATURES = ("support", "similarity", "lead")
FEATURES_OF_MATCHES = ("matches", "lead in matches")  # further ones, after a second look by local features


def estimate_positions(
    positions: np.ndarray,
    similarities: np.ndarray,
    method: str = "cluster",
    radius: float = 25.0,
    matches: np.ndarray | None = None,
) -> Estimates:
    """Estimates the positions of photos from their neighbours.

    positions: float64 (q, k, 2), metres, the best neighbour first
    similarities: (q, k), cosines; -inf: no neighbour (there is always a first one)
    method: "cluster", or "nearest": the first neighbour's position, as published
    radius: metres around the estimate within which a neighbour supports it
    matches: (q, k), verified local matches with each neighbour, which multiply its vote by 1 + matches; None: there was
        no second look

    The features are the weight of the supporting neighbours, the best similarity among them, and how much that is above
    the best similarity of the others (of the last neighbour, if there are no others). With matches two more follow: the
    logarithm of 1 + the most matches of a supporting neighbour, and how much that is above the others'.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}")
    similarities = np.asarray(similarities, np.float64)
    there = np.isfinite(similarities)
    weights = vote_weights(similarities)
    if matches is not None:
        weights = weights * (1 + matches)
        weights /= weights.sum(axis=1, keepdims=True)
    if method == "nearest":
        estimates, anchors = positions[:, 0].copy(), np.zeros(len(positions), int)
    else:
        estimates, anchors = np.empty((len(positions), 2)), np.empty(len(positions), int)
        for begin in range(0, len(positions), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            estimates[part], anchors[part] = _densest(positions[part], weights[part])
    distances = np.where(there, np.linalg.norm(positions - estimates[:, None], axis=2), np.inf)
    supporting = distances <= radius
    last = np.min(similarities, axis=1, where=there, initial=np.inf)
    best, best_other = (
        np.max(similarities, axis=1, where=chosen, initial=-np.inf) for chosen in (supporting, there & ~supporting)
    )
    best = np.where(np.isfinite(best), best, last)  # a mean of neighbours may be near none of them
    features = [(weights * supporting).sum(axis=1), best, best - np.where(np.isfinite(best_other), best_other, last)]
    if matches is not None:
        most, most_other = (
            np.log1p(np.max(matches, axis=1, where=chosen, initial=0)) for chosen in (supporting, there & ~supporting)
        )
        features += [most, most - most_other]
    return Estimates(estimates, anchors, weights, distances, np.stack(features, axis=1))


def vote_weights(similarities: np.ndarray) -> np.ndarray:
    """The weights of neighbours' votes: float64 (q, k); each row sums to 1.

    similarities: (q, k); -inf: no neighbour.
    """
    there = np.isfinite(similarities)
    first = np.max(similarities, axis=1, keepdims=True)
    scale = first - np.min(similarities, axis=1, where=there, initial=np.inf, keepdims=True)
    below = np.where(there, similarities - first, 0) / np.where(scale > 0, scale, 1)  # from 0 down to -1
    weights = np.where(there, np.exp(SHARPNESS * below), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def first_lead(positions: np.ndarray, distances: np.ndarray, radius: float) -> np.ndarray:
    """How far the first neighbour is ahead of the first one elsewhere: 1 - d_first / d_elsewhere, float64 (q,), 0 to 1.

    positions: float64 (q, k, 2), metres
    distances: (q, k), squared L2 of descriptors, ascending; infinite: no neighbour. Without any the lead is 0
    radius: metres from the first neighbour; elsewhere is farther away. If all are near, the last one is taken
    """
    distances = np.asarray(distances, np.float64)
    there = np.isfinite(distances)
    elsewhere = there & (np.linalg.norm(positions - positions[:, :1], axis=2) > radius)
    last = np.max(distances, axis=1, where=there, initial=0)
    other = np.where(elsewhere.any(axis=1), np.min(distances, axis=1, where=elsewhere, initial=np.inf), last)
    ratios = np.ones(len(distances))
    np.divide(distances[:, 0], other, out=ratios, where=there[:, 0] & (other > 0))
    return 1 - np.sqrt(ratios.clip(0, 1))


def _densest(positions: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Modes of weighted points (q, k, 2): (float64 (q, 2), the neighbours that they began from, int (q,))."""
    between = ((positions[:, :, None] - positions[:, None]) ** 2).sum(axis=-1)  # (q, k, k)
    density = np.where(weights > 0, (_kernel(between) * weights[:, None]).sum(axis=-1), -1)
    anchors = density.argmax(axis=1)
    modes = positions[np.arange(len(positions)), anchors]
    for _ in range(_STEPS):
        pull = weights * _kernel(((positions - modes[:, None]) ** 2).sum(axis=-1))
        moved = (pull[:, :, None] * positions).sum(axis=1) / pull.sum(axis=1, keepdims=True)
        step, modes = np.abs(moved - modes).max(initial=0), moved
        if step < _CONVERGED:
            break
    return modes, anchors


def _kernel(squared: np.ndarray) -> np.ndarray:
    return np.exp(-squared / (2 * KERNEL**2))


def far_distances(estimates: Estimates, database: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """How far away the truth may lie if it is not within `radius` metres of the estimate.

    Half of the weight goes to the neighbours' votes beyond the radius, the other half to the database's images beyond
    it, all alike. If one kind is missing, the other has all the weight. If nothing lies beyond the radius, all
    distances are the radius. database: float64 (n, 2), the positions of the database, or of a sample of it.

    Returns (distances float64 (q, a), ascending; their cumulative weights (q, a)).
    """
    spread = np.linalg.norm(database[None] - estimates.positions[:, None], axis=2)
    distances = np.concatenate([np.where(np.isfinite(estimates.distances), estimates.distances, 0), spread], axis=1)
    votes = _share(estimates.weights * (estimates.distances > radius))
    anywhere = _share((spread > radius).astype(float))
    weights = _share(np.concatenate([votes, anywhere], axis=1))
    order = np.where(weights > 0, distances, radius).argsort(axis=1, kind="stable")
    distances, weights = (
        np.take_along_axis(values, order, axis=1) for values in (np.where(weights > 0, distances, radius), weights)
    )
    return distances, np.cumsum(weights, axis=1)


def _share(weights: np.ndarray) -> np.ndarray:
    """Divides rows by their sums; rows of zeros stay zeros."""
    total = weights.sum(axis=1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
