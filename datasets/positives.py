"""Which database images are right for a query: those within a radius of it and, if asked for, that look its way."""

import collections.abc

import numpy as np
from sklearn.neighbors import KDTree

_CELLS = 4096  # most cells along a side of the grid
_BLOCK = 1 << 18  # database images looked up at a time


def compares_headings(positives: tuple[float, float] | None) -> bool:
    """Whether --positives (metres, degrees) needs the headings of images: within 180 degrees is any."""
    return positives is not None and positives[1] < 180


class Positives(collections.abc.Sequence):
    """Item q: the database images within the radius of query q, ascending: int32 (n,). One array holds all of them."""

    def __init__(self, indices: np.ndarray, offsets: np.ndarray):
        self._indices, self._offsets = indices, offsets

    def __len__(self):
        return len(self._offsets) - 1

    def __getitem__(self, query: int) -> np.ndarray:
        if not -len(self) <= query < len(self):
            raise IndexError(f"there is no query {query}")
        query %= len(self)
        return self._indices[self._offsets[query] : self._offsets[query + 1]]


def find_positives(database: np.ndarray, queries: np.ndarray, radius: float) -> Positives:
    """Finds the Positives of all queries: exact, a distance of `radius` included.

    database: float64 (n, 2), metres; queries: float64 (q, 2), metres; radius: metres.

    Most images of a large database are near no query. A grid finds that out much faster than a tree of the whole
    database is built.
    """
    near = np.flatnonzero(_near_queries(database, queries, radius))
    found = KDTree(database[near]).query_radius(queries, radius) if len(near) else [near] * len(queries)
    offsets = np.concatenate([[0], np.cumsum([len(positives) for positives in found], dtype=np.int64)])
    indices = np.empty(offsets[-1], np.int32)
    for query, positives in enumerate(found):
        indices[offsets[query] : offsets[query + 1]] = np.sort(near[positives])
    return Positives(indices, offsets)


def chance_recalls(
    counts: collections.abc.Sequence[int], num_database: int, recall_values: collections.abc.Sequence[int] = (1,)
) -> np.ndarray:
    """The recall@N of random predictions for each N of recall_values, in percent: float64 (len(recall_values),).

    Of n database images, p of them right, N drawn ones are all wrong with the probability C(n - p, N) / C(n, N). R@1 is
    the mean of p / n.

    counts: p of each query
    num_database: n
    recall_values: the values of N
    """
    if not len(recall_values):
        return np.empty(0)
    counts, queries = np.unique(np.asarray(counts, np.int64), return_counts=True)
    drawn = np.arange(min(max(recall_values), num_database))
    # the next one drawn is right, if all before were wrong; it must be once only right ones are left
    right = np.minimum(counts[:, None] / (num_database - drawn), 1)
    with np.errstate(divide="ignore"):
        missed = np.cumsum(np.log1p(-right), axis=1)  # log(0) where it cannot be missed
    rows = np.minimum(recall_values, num_database) - 1
    return -100 * (queries / queries.sum()) @ np.expm1(missed[:, rows])


def format_chance(chance: float) -> str:
    """A recall of random predictions for logs and tables: "2.4"; what is more than 0 is never "0.0"."""
    return "<0.1" if 0 < chance < 0.05 else f"{chance:.1f}"


def looking_the_same_way(positives: Positives, database: np.ndarray, queries: np.ndarray, degrees: float) -> Positives:
    """The Positives whose headings differ from their query's by at most `degrees`; 359 and 1 differ by 2.

    positives: by position
    database, queries: float64 (n,), (q,), headings in degrees, clockwise
    degrees: from 0 to 180
    """
    kept = [
        found[heading_differences(database[found], queries[query]) <= degrees] for query, found in enumerate(positives)
    ]
    offsets = np.concatenate([[0], np.cumsum([len(found) for found in kept], dtype=np.int64)])
    return Positives(np.concatenate(kept), offsets)


def heading_differences(first: np.ndarray, second: np.ndarray | float) -> np.ndarray:
    """How far headings in degrees differ, from 0 to 180: float64."""
    apart = np.abs(first - second) % 360
    return np.round(np.minimum(apart, 360 - apart), 6)  # 10.1 and 0.1 differ by 10


def _near_queries(database: np.ndarray, queries: np.ndarray, radius: float) -> np.ndarray:
    """bool (n,): False only for database images that are farther than `radius` from all queries."""
    low = queries.min(axis=0)
    extent = queries.max(axis=0) - low
    # a little wider than the radius, so that rounding never moves a positive beyond the neighbouring cells
    side = max(radius * 1.001, extent.max() / _CELLS, 1e-3)
    low = low - 2 * side
    # two cells more on every side: points outside fall into the outermost cells, which stay False
    shape = (extent // side).astype(np.int64) + 5
    grid = np.zeros(shape, bool)
    east, north = np.unique(_cells(queries, low, side, shape), axis=1)
    for step_east in (-1, 0, 1):
        for step_north in (-1, 0, 1):
            grid[east + step_east, north + step_north] = True
    near = np.empty(len(database), bool)
    for begin in range(0, len(database), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        near[part] = grid[tuple(_cells(database[part], low, side, shape))]
    return near


def _cells(points: np.ndarray, low: np.ndarray, side: float, shape: np.ndarray) -> np.ndarray:
    """The cell of each point, moved to the grid's edge if it lies outside: int64 (2, n)."""
    return np.clip((points - low) // side, 0, shape - 1).astype(np.int64).T
