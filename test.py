"""From descriptors to recalls: the evaluation protocol, in one place."""

import contextlib
import functools
import logging
from dataclasses import dataclass

import numpy as np
import torch

from retrieval.cache import DescriptorCache
from retrieval.descriptors import extract_descriptors
from retrieval.index import FLAT, check_index, search_index
from retrieval.sharded import all_descriptors, from_main_alone, search
from support.errors import UserError

RECALL_VALUES = (1, 5, 10, 20, 100)
_BOOTSTRAP_RESAMPLES = 10_000


def compute_recalls(predictions, positives_per_query, recall_values=RECALL_VALUES):
    """Recall@N for each N of recall_values, in percent of all queries: float64 (len(recall_values),).

    predictions: int (q, k), database indices, nearest first, -1 for none; positives_per_query: for each query the
    database images that are right. A query is found at N if one of its first N predictions is right; one without
    positives is always missed.
    """
    return _percent(found_at(predictions, positives_per_query, recall_values))


def _percent(found):
    return 100 * found.mean(axis=0)


def chance_recall(dataset):
    """The recall@1, in percent, that random predictions have on a TestDataset: the mean share of positives in the
    database.
    """
    return 100 * float(np.mean([len(positives) for positives in dataset.positives_per_query])) / len(dataset.database)


def found_at(predictions, positives_per_query, recall_values=RECALL_VALUES):
    """Whether each query is found at each N: bool (q, len(recall_values))."""
    predictions = np.asarray(predictions)
    if len(predictions) != len(positives_per_query) or not len(predictions):
        raise ValueError(f"{len(predictions)} queries have predictions and {len(positives_per_query)} have positives")
    found = np.zeros((len(predictions), len(recall_values)), bool)
    for query, positives in enumerate(positives_per_query):
        right = np.flatnonzero(np.isin(predictions[query], positives))
        if len(right):
            found[query] = right[0] < np.asarray(recall_values)
    return found


def bootstrap_intervals(found, seed=0):
    """95% percentile intervals of recalls, in percent, by resampling queries: float64 (n, 2).

    found: bool (q, n). A resample's number of found queries is binomial, so that it is drawn as such.
    """
    rng = np.random.default_rng(seed)
    resamples = rng.binomial(len(found), found.mean(axis=0), size=(_BOOTSTRAP_RESAMPLES, found.shape[1])) / len(found)
    return 100 * np.percentile(resamples, [2.5, 97.5], axis=0).T


@dataclass
class Difference:
    """How one network's recalls differ from another's on the same queries, in percent of all queries."""

    values: np.ndarray  # (n,) the first's recall less the other's
    intervals: np.ndarray  # (n, 2) 95%
    won: np.ndarray  # (n,) queries that the first alone finds
    lost: np.ndarray  # (n,) queries that the other alone finds


def paired_difference(found, other_found, seed=0):
    """The Difference of two networks, by paired bootstrap: each resample draws queries, and takes both networks'
    results on them.

    found, other_found: bool (q, n), of the same queries. The queries won, lost and equal of a resample are multinomial,
    so that they are drawn as such. Raises ValueError when the shapes differ.
    """
    if found.shape != other_found.shape:
        raise ValueError(f"paired results have one shape, not {found.shape} and {other_found.shape}")
    queries = len(found)
    won, lost = (found & ~other_found).sum(axis=0), (other_found & ~found).sum(axis=0)
    rng = np.random.default_rng(seed)
    shares = np.stack([won, lost, queries - won - lost], axis=1) / queries  # (n, 3)
    resamples = rng.multinomial(queries, shares, size=(_BOOTSTRAP_RESAMPLES, len(shares)))  # (resamples, n, 3)
    differences = 100 * (resamples[..., 0] - resamples[..., 1]) / queries
    return Difference(100 * (won - lost) / queries, np.percentile(differences, [2.5, 97.5], axis=0).T, won, lost)


@dataclass
class TestResult:
    """What one evaluation gave. Percentages are of all queries, unless named otherwise."""

    __test__ = False  # for pytest: this is no test

    recalls: np.ndarray  # (n,) percent, at recall_values
    intervals: np.ndarray  # (n, 2) percent, 95%
    recalls_with_positives: np.ndarray  # (n,) percent of the queries that have positives; NaN if none has
    predictions: np.ndarray  # (q, k) database indices, nearest first, -1 for none
    found: np.ndarray  # bool (q, n)
    num_database: int
    num_without_positives: int
    unreadable_queries: dict  # index -> reason
    unreadable_database: dict
    recall_values: tuple = RECALL_VALUES
    distances: np.ndarray | None = (
        None  # float32 (q, k) squared L2 to the predictions, infinite for none; None if not known
    )

    def recall(self, n):
        return float(self.recalls[self.recall_values.index(n)])

    def __str__(self):
        """The published form: "R@1: 76.7, R@5: 85.2, R@10: 88.1, R@20: 90.3"."""
        return ", ".join(
            f"R@{n}: {recall:.1f}" for n, recall in zip(self.recall_values, self.recalls, strict=True) if n <= 20
        )

    def details(self):
        """A line for each recall, with what it was measured on."""
        for row, n in enumerate(self.recall_values):
            low, high = self.intervals[row]
            without = (
                "all"
                if self.num_without_positives == len(self.found)
                else f"{self.recalls_with_positives[row]:.1f} without those"
            )
            yield (
                f"R@{n}: {self.recalls[row]:.1f} (95% interval {low:.1f} to {high:.1f}) of {len(self.found)} queries in "
                f"{self.num_database} database images, {self.num_without_positives} queries without positives ({without})"
            )


def test(
    dataset,
    network,
    batch_size=16,
    device="cpu",
    num_workers=0,
    seed=0,
    num_predictions=0,
    dtype=torch.float32,
    cache=None,
    faiss_index=FLAT,
    faiss_nprobe=None,
    use=None,
):
    """Evaluates a network on a TestDataset: descriptors, L2 nearest neighbours, recalls. Of many ranks each extracts
    and searches its share of the database, and all have the result. Returns a TestResult, whose predictions are the
    nearest max(RECALL_VALUES), or num_predictions if that is more.

    cache: the DescriptorCache that descriptors are kept in (default: they are not kept); faiss_index, faiss_nprobe: an
    approximate index as in retrieval.index (default: exact search); use: called with the DescriptorStores of database
    and queries and the predictions, while the stores are open. An unreadable query counts as missed, an unreadable
    database image is never retrieved; both are counted and logged. Raises UserError when no query or no database image
    can be read, or the disk or faiss refuses.
    """
    if faiss_index != FLAT:
        check_index(faiss_index, faiss_nprobe, network.fc_output_dim, len(dataset.database))
    cache = cache or DescriptorCache()
    with contextlib.ExitStack() as stack:
        stores = {}
        for part in ("database", "queries"):
            images = getattr(dataset, part)
            stores[part] = store = stack.enter_context(cache.store(network, images, batch_size, device, dtype))
            extract_descriptors(
                network, images, batch_size, device, num_workers, f"{dataset.name}: {part}", dtype, store
            )
            _report_unreadable(
                images, store.unreadable, "counted as missed" if part == "queries" else "never retrieved"
            )
        database, queries = stores["database"], stores["queries"]
        k = max(*RECALL_VALUES, num_predictions)
        if faiss_index == FLAT:
            distances, predictions = search(database, queries, k, device)
        else:
            with all_descriptors(queries) as descriptors:
                alone = functools.partial(
                    search_index,
                    database,
                    descriptors,
                    k,
                    faiss_index,
                    faiss_nprobe,
                    database.unreadable,
                    queries.unreadable,
                    seed,
                )
                distances, predictions = from_main_alone(alone, database, (len(dataset.queries), k))
        if use:
            use(database, queries, predictions)
    return summarize(
        predictions,
        dataset.positives_per_query,
        len(dataset.database),
        queries.unreadable,
        database.unreadable,
        seed,
        distances,
    )


def _report_unreadable(images, unreadable, effect):
    for index, reason in unreadable.items():
        logging.debug(f"Unreadable: {images.path(index)!r}: {reason}")
    if len(unreadable) == len(images):
        raise UserError(
            f"none of the {len(images)} images of {images.folder} can be read ({next(iter(unreadable.values()))})"
        )
    if unreadable:
        logging.warning(
            f"{len(unreadable)} of {len(images)} images of {images.folder} cannot be read and are {effect} "
            f"(debug.log names them)"
        )


test.__test__ = False  # for pytest: this is no test


def summarize(
    predictions,
    positives_per_query,
    num_database,
    unreadable_queries=None,
    unreadable_database=None,
    seed=0,
    distances=None,
):
    """The TestResult of given predictions."""
    found = found_at(predictions, positives_per_query)
    has_positives = np.array([len(positives) > 0 for positives in positives_per_query])
    with_positives = _percent(found[has_positives]) if has_positives.any() else np.full(found.shape[1], np.nan)
    return TestResult(
        recalls=_percent(found),
        intervals=bootstrap_intervals(found, seed),
        recalls_with_positives=with_positives,
        predictions=predictions,
        found=found,
        num_database=num_database,
        num_without_positives=int((~has_positives).sum()),
        unreadable_queries=unreadable_queries or {},
        unreadable_database=unreadable_database or {},
        distances=distances,
    )
