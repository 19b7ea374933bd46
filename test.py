"""From descriptors to recalls: the evaluation protocol, in one place."""

import contextlib
import dataclasses
import functools
import logging
import os
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

import distributed
from datasets.positives import chance_recalls, format_chance
from datasets.test_dataset import TestDataset
from localization.position import first_lead
from matching.choices import NEIGHBOURS
from matching.reranking import Reranking, SecondLook, look_again
from model.inference import Describer
from model.network import GeoLocalizationNet
from model.precision import infer_dtype
from retrieval import cache as descriptors_cache
from retrieval import interchange
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.index import FLAT, check_index, search_index
from retrieval.recalls import FEW, RECALL_VALUES, found_at, percent, recall_intervals
from retrieval.recalls import compute_recalls as compute_recalls  # test.compute_recalls is for others
from retrieval.sharded import all_descriptors, from_main_alone, search
from retrieval.store import DescriptorStore
from support.errors import UserError
from visualizations import save_predictions

logger = logging.getLogger(__name__)


@dataclass
class TestResult:
    """The result of one test. Percentages are of all queries, unless named otherwise."""

    __test__ = False  # for pytest: not a test

    recalls: np.ndarray  # (n,) percent, at recall_values
    intervals: np.ndarray  # (n, 2) percent, 95%, Wilson's
    recalls_with_positives: np.ndarray  # (n,) percent of the queries that have positives; NaN if there are none
    chance: np.ndarray  # (n,) percent, expected of random predictions
    predictions: np.ndarray  # (q, k) database indices, nearest first; -1: no prediction
    found: np.ndarray  # bool (q, n)
    num_database: int
    num_without_positives: int
    unreadable_queries: dict[int, str]  # index -> reason
    unreadable_database: dict[int, str]
    recall_values: tuple[int, ...] = RECALL_VALUES
    distances: np.ndarray | None = None  # float32 (q, k), squared L2; infinite: no prediction; None: not known
    second_look: SecondLook | None = None  # which put the predictions into this order
    before: "TestResult | None" = None  # in the order of the descriptors, if there was a second look

    @property
    def labelled(self) -> bool:
        """Whether it is known which predictions are right."""
        return len(self.recall_values) > 0

    def recall(self, n: int) -> float:
        """Recall@n in percent, for an n of recall_values."""
        return float(self.recalls[self.recall_values.index(n)])

    @property
    def few(self) -> bool:
        """Whether there are too few queries for a recall to say much."""
        return len(self.found) < FEW

    def cell(self, n: int) -> str:
        """Recall@n with its interval, for a table: "76.7 (74.0 to 79.2)"."""
        low, high = self.intervals[self.recall_values.index(n)]
        return f"{self.recall(n):.1f} ({low:.1f} to {high:.1f}){', few queries' if self.few else ''}"

    def chance_cell(self, n: int) -> str:
        """The recall@n of random predictions, for a table: "2.4"."""
        return format_chance(self.chance[self.recall_values.index(n)])

    @property
    def shown(self) -> tuple[int, ...]:
        """The recall values of the published line: up to 20 of the default ones, all of others."""
        return tuple(n for n in self.recall_values if n <= 20 or self.recall_values != RECALL_VALUES)

    @property
    def similarities(self) -> np.ndarray | None:
        """Cosines of queries and predictions, (q, k); -inf: no prediction; None: not known."""
        return None if self.distances is None else 1 - self.distances.astype(np.float64) / 2  # of unit vectors

    def __str__(self):
        """The published form: "R@1: 76.7, R@5: 85.2, R@10: 88.1, R@20: 90.3"."""
        return ", ".join(f"R@{n}: {self.recall(n):.1f}" for n in self.shown)

    def details(self) -> Iterator[str]:
        """Lines of a table: numbers of queries and images, a head, a row for each recall; without labels no lines."""
        if not self.labelled:
            return
        few = " (few queries)" if self.few else ""
        yield (
            f"{len(self.found)} queries{few}, {self.num_without_positives} of them without positives, "
            f"in {self.num_database} database images"
        )
        yield "R@N     recall    95% interval  chance  of those with positives"
        for row, n in enumerate(self.recall_values):
            low, high = self.intervals[row]
            with_positives = self.recalls_with_positives[row]
            yield (
                f"{f'R@{n}':<7} {self.recalls[row]:6.1f}  {low:5.1f} to {high:5.1f}  {self.chance_cell(n):>6}  "
                f"{'none' if np.isnan(with_positives) else f'{with_positives:.1f}':>23}"
            )


def summarize(
    predictions: np.ndarray,
    positives_per_query: Sequence[np.ndarray] | None,
    num_database: int,
    unreadable_queries: dict[int, str] | None = None,
    unreadable_database: dict[int, str] | None = None,
    distances: np.ndarray | None = None,
    recall_values: tuple[int, ...] = RECALL_VALUES,
) -> TestResult:
    """The TestResult of given predictions. The parameters are those of found_at, and fields of TestResult.

    Without positives (None) it has no recalls.
    """
    recall_values = recall_values if positives_per_query is not None else ()
    positives_per_query = [()] * len(predictions) if positives_per_query is None else positives_per_query
    found = found_at(predictions, positives_per_query, recall_values)
    counts = np.array([len(positives) for positives in positives_per_query])
    has_positives = counts > 0
    with_positives = percent(found[has_positives]) if has_positives.any() else np.full(found.shape[1], np.nan)
    return TestResult(
        recalls=percent(found),
        intervals=recall_intervals(found),
        recalls_with_positives=with_positives,
        chance=chance_recalls(counts, num_database, recall_values),
        predictions=predictions,
        found=found,
        num_database=num_database,
        num_without_positives=int((~has_positives).sum()),
        unreadable_queries=unreadable_queries or {},
        unreadable_database=unreadable_database or {},
        recall_values=recall_values,
        distances=distances,
    )


@dataclass(frozen=True, kw_only=True)
class TestOptions(ExtractionOptions):
    """How a network is tested: how descriptors are extracted, and how they are searched."""

    __test__ = False  # for pytest: not a test

    seed: int = 0  # of what an approximate index draws
    recall_values: tuple[int, ...] = RECALL_VALUES  # ascending, 1 among them
    num_predictions: int = 0  # wanted for each query; there are max(recall_values) in any case
    faiss_index: str = FLAT  # as in retrieval.index; FLAT is exact search
    faiss_nprobe: int | None = None  # cells searched for each query, for IVF indexes
    reranking: Reranking | None = None  # a second look at the first predictions

    def for_validation(self) -> "TestOptions":
        """The same with exact search, without further predictions than recalls need, and without a second look."""
        return dataclasses.replace(self, num_predictions=0, faiss_index=FLAT, faiss_nprobe=None, reranking=None)


_DEFAULTS = TestOptions()
Use = Callable[[DescriptorStore, DescriptorStore, TestResult], object]  # of stores of database and queries, while open


def test(
    dataset: TestDataset,
    network: GeoLocalizationNet,
    options: TestOptions = _DEFAULTS,
    cache: DescriptorCache | None = None,
    use: Use | None = None,
) -> TestResult:
    """Tests a network: descriptors, nearest neighbours by L2 distance, recalls.

    Each of several ranks extracts and searches its share of the database; all get the result. An unreadable query
    counts as missed, an unreadable database image is never retrieved; both are counted and logged.

    dataset: the database and its queries
    network: on options.device; it is not changed
    options: how to extract and search
    cache: keeps descriptors between runs (default: they are not kept)
    use: called with the stores of database and queries and the result, while the stores are open

    Raises UserError if no query or no database image can be read, or if the disk or faiss refuses.
    """
    if options.faiss_index != FLAT:  # before hours of extraction
        check_index(options.faiss_index, options.faiss_nprobe, network.fc_output_dim, len(dataset.database))
    cache = cache or DescriptorCache()
    with contextlib.ExitStack() as stack:
        stores, describe = [], Describer(network, options.device, options.dtype, options.compile)
        for part in ("database", "queries"):
            images = getattr(dataset, part)
            store = stack.enter_context(cache.store(network, images, options))
            extract_descriptors(network, images, options, store, f"{dataset.name}: {part}", describe)
            report_unreadable(dataset, part, store)
            stores.append(store)
        return test_stores(dataset, *stores, options, use)


def test_stores(
    dataset: TestDataset,
    database: DescriptorStore,
    queries: DescriptorStore,
    options: TestOptions = _DEFAULTS,
    use: Use | None = None,
) -> TestResult:
    """Tests descriptors that are there already: nearest neighbours by L2 distance, recalls.

    dataset: the database and its queries
    database, queries: stores of their descriptors, complete
    options: how to search
    use: called with the stores and the result

    Raises UserError if faiss refuses, or the second look does.
    """
    distances, predictions = _search(database, queries, options)

    def summary(predictions: np.ndarray, distances: np.ndarray) -> TestResult:
        unreadable = queries.unreadable, database.unreadable
        positives, size = dataset.positives_per_query, len(dataset.database)
        return summarize(predictions, positives, size, *unreadable, distances, options.recall_values)

    result = summary(predictions, distances)
    if options.reranking:
        look = look_again(dataset, predictions, confidences(dataset, result), options.reranking)
        before, result = result, summary(look.ordered(predictions), look.ordered(distances))
        result.before, result.second_look = before, look
    if use:
        use(database, queries, result)
    return result


def confidences(dataset: TestDataset, result: TestResult) -> np.ndarray | None:
    """How sure each query's first prediction is, float64 (q,), 0 to 1; None if it is not known where images are."""
    if not dataset.labelled:
        return None
    first, distances = (values[:, :NEIGHBOURS] for values in (result.predictions, result.distances))
    return first_lead(dataset.database_utms[first], distances, dataset.positive_dist_threshold)


def _search(database: DescriptorStore, queries: DescriptorStore, options: TestOptions) -> tuple[np.ndarray, np.ndarray]:
    """(squared distances, predictions), each (q, k), nearest first."""
    k = max(*options.recall_values, options.num_predictions)
    if options.faiss_index == FLAT:
        return search(database, queries, k, options.device)
    with all_descriptors(queries) as descriptors:
        approximate = functools.partial(
            search_index,
            database,
            descriptors,
            k,
            options.faiss_index,
            options.faiss_nprobe,
            queries.unreadable,
            options.seed,
        )
        return from_main_alone(approximate, database, (queries.num_images, k))


def report_unreadable(dataset: TestDataset, part: str, store: DescriptorStore) -> None:
    """Logs which images of "database" or "queries" cannot be read. Raises UserError if it is none of them."""
    images, unreadable = getattr(dataset, part), store.unreadable
    missed = "counted as missed" if dataset.labelled else "given no prediction"
    effect = missed if part == "queries" else "never retrieved"
    for index, reason in unreadable.items():
        logger.debug(f"Unreadable: {images.path(index)!r}: {reason}")
    if len(unreadable) == len(images):
        raise UserError(
            f"none of the {len(images)} images of {images.folder} can be read ({next(iter(unreadable.values()))})"
        )
    if unreadable:
        first = min(unreadable)
        logger.warning(
            f"{len(unreadable)} of {len(images)} images of {images.folder} cannot be read and are {effect} "
            f"(debug.log names them); the first, {images.names[first]!r}: {unreadable[first]}"
        )


# --- as the scripts test


@dataclass(frozen=True)
class TestFiles(interchange.Exports):
    """What a test writes into its folder: exports, and drawn predictions in preds/."""

    __test__ = False  # for pytest: not a test

    num_preds: int = 0  # predictions drawn beside each query; 0: nothing is drawn
    only_wrong_preds: bool = False  # draw only queries whose first prediction is wrong


def test_and_report(
    test_set: TestDataset,
    network: GeoLocalizationNet,
    options: TestOptions,
    files: TestFiles,
    cache: DescriptorCache | None = None,
    use: Use | None = None,
) -> TestResult:
    """Tests a network, logs its recalls and writes the files.

    test_set: the database and its queries
    network: on options.device
    options: how to extract and search
    files: what to write, and where
    cache, use: as in test
    """
    return report_test(test_set, functools.partial(test, test_set, network, options, cache), options, files, use)


def report_test(
    test_set: TestDataset,
    run: Callable[[Use], TestResult],
    options: TestOptions,
    files: TestFiles,
    use: Use | None = None,
) -> TestResult:
    """Runs a test, logs its recalls and writes the files.

    test_set: the database and its queries
    run: does the test, and calls what it is given with the open stores and the result
    options: of the test
    files: what to write, and where
    use: called with the stores and the result, after all else
    """

    def log_and_export(database: DescriptorStore, queries: DescriptorStore, result: TestResult) -> None:
        # first, before a full disk or a cache can end the run
        logger.info(f"{test_set}: {result if result.labelled else 'searched, no recalls'}")
        for line in result.details():
            logger.info(line)
        interchange.save(test_set, files, options.device, database, queries, result.predictions)
        if use:
            use(database, queries, result)

    result = run(log_and_export)
    if files.num_preds and distributed.is_main():
        folder = os.path.join(files.folder, "preds")
        drawn = save_predictions(
            test_set,
            result.predictions,
            folder,
            files.num_preds,
            files.only_wrong_preds,
            similarities=result.similarities,
        )
        logger.info(f"Predictions of {drawn} queries are drawn in {folder}")
    return result


def test_options(args: Namespace, network: GeoLocalizationNet | None, device: torch.device, seed: int) -> TestOptions:
    """The TestOptions that a script's flags ask for.

    args: of the script
    network: whose backbone --infer_dtype auto decides for; None: nothing is extracted
    device: that the network is on
    seed: as chosen for the run
    """
    return TestOptions(
        batch_size=args.infer_batch_size,
        device=device,
        num_workers=args.num_workers,
        dtype=infer_dtype(args.infer_dtype, network, device)[0] if network else torch.float32,
        seed=seed,
        recall_values=args.recall_values,
        # a page's charts have an N of their own
        num_predictions=max(args.num_preds_to_save, args.save_pairs, *(RECALL_VALUES if args.report else ())),
        faiss_index=args.faiss_index,
        faiss_nprobe=args.faiss_nprobe,
    )


def test_files(args: Namespace, folder: str) -> TestFiles:
    """The TestFiles that a script's flags ask for. folder: where they go."""
    return TestFiles(
        folder=folder,
        formats=tuple(args.save_descriptors),
        num_pairs=args.save_pairs,
        num_sfm_pairs=args.save_sfm_pairs,
        num_preds=args.num_preds_to_save,
        only_wrong_preds=args.save_only_wrong_preds,
    )


def descriptor_cache(args: Namespace, keep: bool = True) -> DescriptorCache:
    """The DescriptorCache that a script's flags ask for. keep: whether descriptors may outlive the run."""
    keep = keep and not args.no_descriptors_cache
    return DescriptorCache(
        descriptors_cache.FOLDER if keep else None, round(args.descriptors_cache_size * 1e9), args.descriptors_dtype
    )


for function in (test, test_stores, test_and_report, test_options, test_files):
    function.__test__ = False  # for pytest: not tests
