"""What a second look by local features brought: recalls before and after, and which queries need none."""

import logging
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from report.curves import precision_recall, recall_at_full_precision
from retrieval.recalls import paired_difference
from test import TestResult

logger = logging.getLogger(__name__)

LOSS = 1.0  # points of R@1 that may be lost where queries are skipped
_SHARES = (0.25, 0.5, 0.75, 0.9)  # of skipped queries, rows of the table


def difference_lines(
    result: TestResult, other: TestResult, names: tuple[str, str], seed: int, below: float = math.inf
) -> Iterator[str]:
    """Lines of a table: how recalls of one result differ from another's, of the same queries.

    result, other: of tests with positions
    names: what they are called where a query is found by one alone
    seed: of the paired bootstrap
    below: recall values from this one on are left out
    """
    difference = paired_difference(result.found, other.found, seed)
    heads = f"found by {names[0]} alone", f"by {names[1]}"
    yield f"R@N     minus    95% interval  {heads[0]}  {heads[1]}  p (exact McNemar test)"
    for row, n in enumerate(value for value in result.recall_values if value < below):
        low, high = difference.intervals[row]
        won, lost = (
            f"{counts[row]:{len(head)}d}" for counts, head in zip((difference.won, difference.lost), heads, strict=True)
        )
        p = f"{difference.p[row]:22.3g}"
        yield f"{f'R@{n}':<7} {difference.values[row]:+5.1f}  {low:+5.1f} to {high:+5.1f}  {won}  {lost}  {p}"


class Skipping(NamedTuple):
    """What comes of it if only queries of less confidence than a threshold are looked at again."""

    threshold: float
    skipped: float  # percent of the queries
    recall: float  # R@1, percent
    loss: float  # of R@1, points, against a second look at all

    @property
    def shown(self) -> str:
        """The threshold in six digits, rounded up: then no fewer queries are looked at."""
        return f"{math.ceil(1_000_000 * self.threshold) / 1_000_000:.6f}"


def skipping(confidences: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[Skipping]:
    """What each threshold would bring, from that at which all queries are looked at down to that at which none is.

    confidences: float (q,)
    before, after: bool (q,), whether each query is found first, before and after a second look at all
    """
    order = np.argsort(confidences, kind="stable")
    ordered, gains = confidences[order], np.append(0, np.cumsum(after[order].astype(int) - before[order]))
    # a query is looked at if its confidence is below a threshold: so equal ones all are, or none
    looked = np.append(np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])), len(order))[::-1]
    thresholds = [np.nextafter(ordered[-1], np.inf), *ordered[looked[1:]]]
    found = before.sum() + gains[looked]
    return [
        Skipping(
            float(threshold),
            100 * (1 - count / len(order)),
            100 * hits / len(order),
            100 * (found[0] - hits) / len(order),
        )
        for threshold, count, hits in zip(thresholds, looked.tolist(), found.tolist(), strict=True)
    ]


def most_skipped(options: list[Skipping], loss: float = LOSS) -> Skipping:
    """The last threshold before R@1 falls by more than `loss` points. options: as of skipping."""
    chosen = options[0]
    for option in options:
        if option.loss > loss:
            break
        chosen = option
    return chosen


def log_second_look(name: str, result: TestResult, seed: int) -> None:
    """Logs what the second look changed, and how long it took.

    name: of the test set and the network
    result: of the test, after the second look
    seed: of the paired bootstrap
    """
    look = result.second_look
    looked, total = int(look.chosen.sum()), len(look.chosen)
    each = f", {look.seconds / looked:.3g} s each" if looked else ""
    logger.info(f"{name}: a second look at {looked} of {total} queries took {look.seconds:.1f} s{each}")
    seen = int((look.counts[look.chosen] > 0).any(axis=1).sum())
    advice = "" if seen or not looked else ": give larger images (--rerank_image_size) or another --matcher"
    logger.info(f"{name}: {seen} of these queries have verified matches with a prediction{advice}")
    if not result.labelled:
        return
    logger.info(f"{name}: after the second look minus before ({result.before})")
    first = look.counts.shape[1]  # recalls of as many predictions and more cannot change
    for line in difference_lines(result, result.before, ("it", "descriptors"), seed, below=first):
        logger.info(line)
    if looked < total:
        return
    right = result.found[:, 0]
    full = recall_at_full_precision(*precision_recall(look.counts[:, 0].astype(float), right)[1:])
    logger.info(f"{name}: R@100P by verified matches {full:.1f}")
    options = skipping(look.confidences, result.before.found[:, 0], right)
    logger.info("queries skipped  by --rerank_below   R@1  minus that of all")
    for share in (0, *_SHARES, 1):
        option = min(options, key=lambda option: abs(option.skipped - 100 * share))
        logger.info(f"{option.skipped:13.1f} %  {option.shown:>17}  {option.recall:4.1f}  {0 - option.loss:+18.1f}")
    if options[0].recall <= options[-1].recall or result.few:
        few = "too few queries to say" if result.few else "no: the second look gains nothing here"
        logger.info(f"{name}: which queries may be skipped: {few}")
        return
    best = most_skipped(options)
    logger.info(
        f"{name}: a loss of at most {LOSS:g} point: --rerank_below {best.shown} ({best.skipped:.0f} % of the "
        "queries skipped); choose it on a validation set"
    )
