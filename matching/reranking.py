"""The first predictions of queries in a new order: by how many local matches with the query are verified."""

import logging
import time
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from tqdm import tqdm

import distributed
from datasets.images import read_size
from datasets.test_dataset import ImageFolder, TestDataset
from matching.choices import GEOMETRIES, IMAGE_SIZE
from matching.feature_store import FOLDER, KINDS, FeatureStore
from matching.matchers import Features, Matcher, import_cv2, make_matcher
from matching.own import OwnMatcher
from matching.verification import inliers
from support.errors import UserError
from support.memory import is_out_of_memory
from support.progress import EVERY, Progress
from support.workers import Loader

logger = logging.getLogger(__name__)

_RECENT = 256  # database images whose features stay in memory: 140 MB of XFeat's
_LONGEST = 16  # times as long as high: images that are longer have no matches
_AT_ONCE = 8  # images that a worker reads before it hands them over


@dataclass(frozen=True)
class Reranking:
    """How predictions are ordered again.

    matcher: of local features
    first: how many predictions of each query
    geometry: one of choices.GEOMETRIES
    image_size: pixels of the shorter side that images are brought to
    num_workers: processes that read images; results do not depend on it
    store: of the database's features; None: they are not kept
    below: only queries with less confidence are looked at; None: all
    """

    matcher: Matcher
    first: int = 10
    geometry: str = GEOMETRIES[0]
    image_size: int = IMAGE_SIZE
    num_workers: int = 0
    store: FeatureStore | None = None
    below: float | None = None

    def describe(self) -> str:
        """What results depend on, for pages and for what is kept of them."""
        below = "" if self.below is None else f", of confidences below {self.below:g}"
        matcher = " ".join(filter(None, (self.matcher.name, self.matcher.digest[:16])))
        return f"the first {self.first}{below}, {matcher}, {self.geometry}, shorter side {self.image_size} pixels"

    @classmethod
    def of(cls, args: Namespace, device: torch.device) -> Self | None:
        """The Reranking that a script's flags ask for, or None. device: where a matcher computes. Raises UserError."""
        if not args.rerank:
            return None
        import_cv2()  # which every geometry needs
        own = ":" in args.matcher
        matcher = OwnMatcher(args.matcher) if own else make_matcher(args.matcher, device, args.matcher_weights)
        distributed.check_same(matcher.identity, "matchers")
        identity = f"{matcher.identity}, {args.rerank_image_size} pixels"
        logger.debug(f"Local features depend on: {identity}")
        size = round(args.rerank_store_gb * 1e9)
        store = FeatureStore(FOLDER, size, identity) if size else None
        logger.info(
            f"A second look at the first {args.rerank} predictions of each query: {matcher.name}, "
            f"{args.rerank_geometry}, shorter side {args.rerank_image_size} pixels"
        )
        return cls(
            matcher,
            args.rerank,
            args.rerank_geometry,
            args.rerank_image_size,
            args.num_workers,
            store,
            args.rerank_below,
        )


@dataclass(frozen=True)
class SecondLook:
    """What a second look at predictions found."""

    order: np.ndarray  # int (q, k): the columns of the predictions, in their new order
    counts: np.ndarray  # int (q, first): verified matches of the first predictions, in the new order
    confidences: np.ndarray | None  # float64 (q,): how sure the first prediction was before; None: not known
    chosen: np.ndarray  # bool (q,): the queries that were looked at
    seconds: float

    def ordered(self, values: np.ndarray) -> np.ndarray:
        """What belongs to predictions, (q, k), in their new order."""
        return np.take_along_axis(values, self.order, axis=1)


def look_again(
    dataset: TestDataset, predictions: np.ndarray, confidences: np.ndarray | None, reranking: Reranking
) -> SecondLook:
    """Takes a second look at the predictions of a test. Each of several ranks looks at its share.

    dataset: the database and its queries
    predictions: int (q, k), database indices; -1: no prediction
    confidences: float (q,), how sure the first prediction is, which reranking.below needs; None: not known
    reranking: how to look

    Raises UserError as verified_counts does.
    """
    start = time.monotonic()
    chosen = np.ones(len(predictions), bool) if reranking.below is None else confidences < reranking.below
    description = f"{dataset.name}: local matches"
    counts = verified_counts(dataset.database, dataset.queries, predictions, chosen, reranking, description)
    order = new_order(predictions, counts)
    counts = np.take_along_axis(counts, order[:, : counts.shape[1]], axis=1)
    return SecondLook(order, counts, confidences, chosen, time.monotonic() - start)


def verified_counts(
    database: ImageFolder,
    queries: ImageFolder,
    predictions: np.ndarray,
    chosen: np.ndarray,
    reranking: Reranking,
    description: str = "Local matches",
) -> np.ndarray:
    """How many local matches with the query are verified, of the first predictions: int64 (q, first).

    Each of several ranks looks at its share of the queries; all get the result.

    database, queries: their images
    predictions: int (q, k), database indices; -1: no prediction
    chosen: bool (q,): the queries that are looked at; those of others are 0
    reranking: how to look
    description: names the progress bar, and the lines in the log

    Raises UserError if the matcher does not do its work, or memory is too small.
    """
    first = predictions[:, : reranking.first]
    counts = np.zeros(first.shape, np.int64)
    rows = np.flatnonzero(chosen & (first >= 0).any(axis=1))
    mine = rows[distributed.share(len(rows))]
    pairs = [(query, column) for query in mine for column in np.flatnonzero(first[query] >= 0)]
    found = each_match(database, queries, [(query, first[query, column]) for query, column in pairs], reranking)
    for (query, column), matches in zip(pairs, _watched(found, len(pairs), description), strict=True):
        counts[query, column] = inliers(matches, reranking.geometry).sum()
    lengths = [distributed.length(len(rows), rank) for rank in range(distributed.size())]
    counts[rows] = distributed.gather_rows(torch.from_numpy(counts[mine]), lengths, "local matches").numpy()
    return counts


def verified_points(
    database: ImageFolder, queries: ImageFolder, pairs: list[tuple[int, int]], reranking: Reranking
) -> Iterator[np.ndarray]:
    """Yields the verified matches of pairs of images, to be drawn: float (n, 2, 2), shares of width and height.

    The parameters are as in each_match.
    """
    for (query, index), matches in zip(pairs, each_match(database, queries, pairs, reranking), strict=True):
        matches = matches[inliers(matches, reranking.geometry)]
        if len(matches):
            sizes = np.array([read_size(queries.path(query)), read_size(database.path(index))], float)
            matches = matches / (sizes * reranking.image_size / sizes.min(axis=1, keepdims=True))
        yield matches


def new_order(predictions: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The columns of predictions in their new order, int (q, k): by counts, and equal ones as they were.

    predictions: int (q, k)
    counts: (q, first), of the first predictions; the others keep their places after them
    """
    order = np.tile(np.arange(predictions.shape[1]), (len(predictions), 1))
    order[:, : counts.shape[1]] = np.argsort(-counts, axis=1, kind="stable")
    return order


def each_match(
    database: ImageFolder, queries: ImageFolder, pairs: list[tuple[int, int]], reranking: Reranking
) -> Iterator[np.ndarray]:
    """Yields the matches of pairs of images, in their order: (n, 2, 2), x and y in the query and in the other, pixels.

    An image that cannot be read has no matches. Pixels are those of images brought to reranking.image_size.

    database, queries: their images
    pairs: (index of a query, index of a database image), those of one query together
    reranking: how to look
    """
    plan = list(_plan(pairs))
    images = _Images(database, queries, reranking)
    recent, query = OrderedDict(), None
    order = [item for needed in plan for item in needed]
    with Loader(images, reranking.num_workers, _AT_ONCE, list, sampler=order) as loader:
        items = (item for batch in loader for item in batch)
        for (_, index), needed in zip(pairs, plan, strict=True):
            for is_query, number in needed:
                features = _features(next(items), images, is_query, number, reranking)
                if is_query:
                    query = features
                else:
                    _remember(recent, number, features)
            recent.move_to_end(index)
            other = recent[index]
            if query is None or other is None:
                yield np.zeros((0, 2, 2), np.float32)
            else:
                yield _checked_matches(reranking.matcher, query, other)


def _plan(pairs: Iterable[tuple[int, int]]) -> Iterator[list[tuple[bool, int]]]:
    """What is to be read for each pair: (whether it is a query, its index). It knows what is still in memory."""
    recent, current = OrderedDict(), None
    for query, index in pairs:
        needed = []
        if query != current:
            needed.append((True, query))
            current = query
        if index not in recent:
            needed.append((False, index))
            _remember(recent, index, None)
        recent.move_to_end(index)
        yield needed


def _remember(recent: OrderedDict, index: int, features: Features | None) -> None:
    recent[index] = features
    if len(recent) > _RECENT:
        recent.popitem(last=False)


class _Images(torch.utils.data.Dataset):
    """What workers read: kept features of a database image, or an image. Items are those of _plan.

    An item is (features or None, uint8 (3, H, W) or None).
    """

    def __init__(self, database: ImageFolder, queries: ImageFolder, reranking: Reranking):
        self.store = reranking.store
        self.database, self.queries = (images.resized(reranking.image_size) for images in (database, queries))

    def __getitem__(self, item: tuple[bool, int]) -> tuple[Features | None, torch.Tensor | None]:
        is_query, index = item
        features = None if is_query or not self.store else self.store.get(self.database.path(index))
        if features:
            return features, None
        image = (self.queries if is_query else self.database)[index][1]
        if image is not None and max(image.shape[1:]) > _LONGEST * min(image.shape[1:]):
            image = None  # a strip: brought to this height it would not fit into memory, and nothing matches it
        return None, image


def _features(
    item: tuple[Features | None, torch.Tensor | None],
    images: _Images,
    is_query: bool,
    index: int,
    reranking: Reranking,
) -> Features | None:
    """The features of an image, None of one that cannot be read. Those of the database's images are kept.

    item: of images
    images: that are read
    is_query, index: which image it is
    reranking: how to look
    """
    features, image = item
    if features is not None or image is None:
        return features
    try:
        features = reranking.matcher.features(image)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"there is not enough memory for the local features of an image of {image.shape[2]} x {image.shape[1]} "
            "pixels: lower --rerank_image_size"
        ) from error
    if not isinstance(features, dict) or not all(
        isinstance(name, str) and isinstance(array, np.ndarray) and array.dtype.kind in KINDS
        for name, array in features.items()
    ):
        raise UserError(
            f"the features of --matcher {reranking.matcher.name} are {_kind(features)}, and must be a dict of "
            "names and numpy arrays of numbers"
        )
    if reranking.store and not is_query:
        reranking.store.put(images.database.path(index), features)
    return features


def _checked_matches(matcher: Matcher, query: Features, other: Features) -> np.ndarray:
    """The matches of two images. Raises UserError if they are none."""
    matches = matcher.matches(query, other)
    if (
        not isinstance(matches, np.ndarray)
        or matches.dtype.kind != "f"
        or matches.ndim != 3
        or matches.shape[1:] != (2, 2)
        or not np.isfinite(matches).all()
    ):
        raise UserError(
            f"the matches of --matcher {matcher.name} are {_kind(matches)}, and must be finite floating-point numbers "
            "(n, 2, 2), x and y in both images"
        )
    return matches


def _kind(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, np.ndarray):
        finite = value.dtype.kind != "f" or np.isfinite(value).all()
        return f"an array of {value.dtype} {value.shape}" + ("" if finite else " with NaN or infinity")
    return f"a value of type {type(value).__name__}"


def _watched(items: Iterator, total: int, description: str) -> Iterator:
    """Yields the items. They move a bar and, on rank 0, about every minute a line says how far it is."""
    progress = Progress(total, first=EVERY)
    with tqdm(total=total, desc=description, unit="pair", leave=False, disable=distributed.quiet()) as bar:
        for done, item in enumerate(items, 1):
            bar.update()
            yield item
            if distributed.is_main() and progress.is_due():
                of = f"{total} pairs" + (" of this process" if distributed.size() > 1 else "")
                logger.info(
                    f"{description}, {done} of {of}: {progress.speed(done):.1f} pairs/s, about {progress.left(done)} "
                    "to the end"
                )
