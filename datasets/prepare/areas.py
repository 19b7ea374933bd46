"""Splits by area: strips across a set's longest direction, with nothing in between; and which photos of an area are
queries.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import KDTree

from support.errors import UserError

BUFFER = -1  # the area of photos between two areas
FOLDERS = ("train", "val/database", "val/queries", "test/database", "test/queries")
BUFFER_REASON = "a place between two parts, whose photos would overlap (--buffer)"


def split_areas(points: np.ndarray, shares: Sequence[float], buffer: float) -> np.ndarray:
    """The area of each point: int64 (n,), an index into shares or BUFFER.

    points: float64 (n, 2), metres; shares: positive numbers, whose ratios the numbers of points come near to; buffer:
    metres. Areas are strips across the direction in which the points extend most, in the order of shares; points nearer
    than half the buffer to the line between two belong to neither, so that points of two areas are at least `buffer`
    apart. Raises UserError when an area is left empty.
    """
    along = (points - points.mean(axis=0)) @ _longest_direction(points)
    order = np.sort(along)
    areas = np.zeros(len(points), np.int64)
    lines = []
    for share in np.cumsum(shares)[:-1] / np.sum(shares):
        cut = int(np.clip(round(share * len(order)), 1, len(order) - 1)) if len(order) > 1 else 0
        lines.append((order[cut - 1] + order[cut]) / 2)
    for number, line in enumerate(lines, 1):
        areas[along >= line] = number
    for line in lines:
        areas[abs(along - line) < buffer / 2] = BUFFER
    for number in range(len(shares)):
        if not (areas == number).any():
            raise UserError(
                f"area {number + 1} of {len(shares)} has no photo: the {len(points)} photos extend over "
                f"{np.ptp(along):.0f} m, and {buffer:g} m are left out between areas; lower --buffer, or change --shares"
            )
    return areas


def _longest_direction(points: np.ndarray) -> np.ndarray:
    """The unit vector of the points' first principal component, pointing north or, else, east."""
    _, vectors = np.linalg.eigh(np.cov(points.T) if len(points) > 1 else np.eye(2))
    east, north = vectors[:, -1]
    return vectors[:, -1] * (-1 if (round(north, 9), east) < (0, 0) else 1)


def choose_queries(points: np.ndarray, times: Sequence[str], share: float, radius: float, seed: int) -> np.ndarray:
    """Which of an area's photos are queries: bool (n,); the others are its database.

    points: float64 (n, 2), metres; times: digits of YYYYMMDDhhmmss, "" where unknown; share: of the photos, that are to
    be queries; radius: metres. Queries are the photos of the latest days, drawn by seed within a day (without times
    among all), as long as every query keeps a database image within the radius. Raises UserError when none can be
    chosen.
    """
    draws = np.random.default_rng(seed).random(len(points))
    order = sorted(range(len(points)), key=lambda index: (times[index][:8], draws[index]), reverse=True)
    near = KDTree(points).query_radius(points, radius)
    database_near = np.array([len(indices) for indices in near]) - 1
    queries = np.zeros(len(points), bool)
    wanted = max(1, round(share * len(points)))
    for index in order:
        others = near[index][near[index] != index]
        if database_near[index] and not (queries[others] & (database_near[others] == 1)).any():
            queries[index] = True
            database_near[others] -= 1
            wanted -= 1
            if not wanted:
                break
    if not queries.any():
        raise UserError(
            f"none of its {len(points)} photos has another within {radius:g} m, and queries need a database near them: raise "
            "--positive_dist_threshold, or change --shares"
        )
    return queries


def assign_folders(
    points: np.ndarray,
    times: Sequence[str],
    shares: dict[str, float],
    buffer: float,
    query_share: float,
    radius: float,
    seed: int,
) -> list[str | None]:
    """The folder of each photo, by areas: a list, of FOLDERS, None in a buffer.

    shares: {"train": ..., "val": ..., "test": ...}, of which some may be 0; the rest as of split_areas and
    choose_queries.
    """
    shares = {part: share for part, share in shares.items() if share}
    areas = split_areas(points, list(shares.values()), buffer)
    folders = [None] * len(points)
    for number, part in enumerate(shares):
        rows = np.flatnonzero(areas == number)
        queries = np.zeros(len(rows), bool)
        if part != "train":
            try:
                queries = choose_queries(points[rows], [times[row] for row in rows], query_share, radius, seed)
            except UserError as error:
                raise UserError(f"{part}: {error}") from None
        for row, query in zip(rows.tolist(), queries.tolist(), strict=True):
            folders[row] = part if part == "train" else f"{part}/{'queries' if query else 'database'}"
    return folders
