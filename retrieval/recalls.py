"""Recalls of a search, how certain they are, and how those of two networks differ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.choices import RECALL_VALUES as RECALL_VALUES

FEW = 30  # queries: from fewer, a recall says little
_BOOTSTRAP_RESAMPLES = 10_000
_Z = 1.959963984540054  # the normal distribution holds 95% within so many standard deviations


def compute_recalls(
    predictions: np.ndarray,
    positives_per_query: Sequence[np.ndarray],
    recall_values: Sequence[int] = RECALL_VALUES,
) -> np.ndarray:
    """Recall@N for each N of recall_values, in percent of all queries: float64 (len(recall_values),).

    A query is found at N if one of its first N predictions is right. A query without positives is always missed.

    predictions: int (q, k), database indices, nearest first; -1: no prediction
    positives_per_query: for each query, the indices of the right database images
    recall_values: the values of N
    """
    return percent(found_at(predictions, positives_per_query, recall_values))


def percent(found: np.ndarray) -> np.ndarray:
    """The recalls, in percent, of bool (q, n): float64 (n,)."""
    return 100 * found.mean(axis=0)


def found_at(
    predictions: np.ndarray,
    positives_per_query: Sequence[np.ndarray],
    recall_values: Sequence[int] = RECALL_VALUES,
) -> np.ndarray:
    """Whether each query is found at each N: bool (q, len(recall_values)). Parameters as in compute_recalls.

    Raises ValueError if there are no queries, or not as many predictions as positives.
    """
    predictions = np.asarray(predictions)
    if len(predictions) != len(positives_per_query) or not len(predictions):
        raise ValueError(f"{len(predictions)} queries have predictions and {len(positives_per_query)} have positives")
    found = np.zeros((len(predictions), len(recall_values)), bool)
    for query, positives in enumerate(positives_per_query):
        right = np.flatnonzero(np.isin(predictions[query], positives))
        if len(right):
            found[query] = right[0] < np.asarray(recall_values)
    return found


def wilson_intervals(shares: np.ndarray | float, count: int) -> np.ndarray:
    """95% intervals of shares of a count, Wilson's (1927): float64 (n, 2), from 0 to 1; (2,) of one share.

    They hold at the extremes and for small counts, where the bootstrap and the usual p +- z s do not (Brown, Cai and
    DasGupta, Interval Estimation for a Binomial Proportion, 2001).

    shares: float (n,), or one; count: the number that they are shares of, at least 1
    """
    shares = np.asarray(shares, np.float64)
    middle = shares + _Z**2 / (2 * count)
    half = _Z * np.sqrt(shares * (1 - shares) / count + _Z**2 / (4 * count**2))
    return np.clip(np.stack([middle - half, middle + half], axis=-1) / (1 + _Z**2 / count), 0, 1)


def recall_intervals(found: np.ndarray) -> np.ndarray:
    """95% intervals of the recalls of bool (q, n), in percent: float64 (n, 2). Raises ValueError without queries."""
    if not len(found):
        raise ValueError("there are no queries, and so no recalls")
    return 100 * wilson_intervals(found.mean(axis=0), len(found))


@dataclass
class Difference:
    """How one network's recalls differ from another's on the same queries, in percent of all queries."""

    values: np.ndarray  # (n,) the first's recall less the other's
    intervals: np.ndarray  # (n, 2) 95%
    won: np.ndarray  # (n,) queries that the first alone finds
    lost: np.ndarray  # (n,) queries that the other alone finds
    p: np.ndarray  # (n,) two-sided, of McNemar's exact test: how likely so uneven a split is between equal networks


def paired_difference(found: np.ndarray, other_found: np.ndarray, seed: int = 0) -> Difference:
    """Compares two networks by paired bootstrap, and by McNemar's test.

    A resample draws queries, and takes both networks' results on them.

    found, other_found: bool (q, n), of the same queries. The numbers of queries won, lost and equal in a resample are
    multinomial, so they are drawn directly. Raises ValueError if the shapes differ, or if there are no queries.
    """
    if found.shape != other_found.shape:
        raise ValueError(f"paired results have one shape, not {found.shape} and {other_found.shape}")
    queries = len(found)
    if not queries:
        raise ValueError("there are no queries, and so no recalls to compare")
    won, lost = (found & ~other_found).sum(axis=0), (other_found & ~found).sum(axis=0)
    rng = np.random.default_rng(seed)
    shares = np.stack([won, lost, queries - won - lost], axis=1) / queries  # (n, 3)
    resamples = rng.multinomial(queries, shares, size=(_BOOTSTRAP_RESAMPLES, len(shares)))  # (resamples, n, 3)
    differences = 100 * (resamples[..., 0] - resamples[..., 1]) / queries
    return Difference(
        values=100 * (won - lost) / queries,
        intervals=np.percentile(differences, [2.5, 97.5], axis=0).T,
        won=won,
        lost=lost,
        p=np.array([mcnemar(*counts) for counts in zip(won.tolist(), lost.tolist(), strict=True)]),
    )


def mcnemar(won: int, lost: int) -> float:
    """The two-sided p of McNemar's test (1947), exact: each query that one network alone finds is a fair coin's throw.

    won, lost: queries that the first alone finds, and the other alone
    """
    throws = won + lost
    whole = math.lgamma(throws + 1) - throws * math.log(2)  # logarithms: the numbers of ways do not fit a float
    tail = (math.exp(whole - math.lgamma(k + 1) - math.lgamma(throws - k + 1)) for k in range(min(won, lost) + 1))
    return min(1.0, 2 * math.fsum(tail))
