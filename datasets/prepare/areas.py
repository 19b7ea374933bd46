"""Splits by area: strips across a set's longest direction, with gaps between them; and which photos become queries."""

from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import KDTree

from support.errors import UserError

BUFFER = -1  # the area of photos between two areas
FOLDERS = ("train", "val/database", "val/queries", "test/database", "test/queries")
BUFFER_REASON = "a place between two parts, whose photos would overlap (--buffer)"


def split_areas(points: np.ndarray, shares: Sequence[float], buffer: float) -> np.ndarray:
    """Splits points into areas: int64 (n,), an index into shares, or BUFFER.

    points: float64 (n, 2), metres; shares: positive numbers, which the numbers of points approximate; buffer: metres.

    Areas are strips across the direction in which the points extend most, in the order of shares. Points nearer than
    half the buffer to the line between two areas belong to neither. So points of two areas are at least `buffer` apart.
    Raises UserError if an area is left empty.
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
                f"{np.ptp(along):.0f} m, and {buffer:g} m are left out between areas; lower --buffer, "
                "or change --shares"
            )
    return areas


def _longest_direction(points: np.ndarray) -> np.ndarray:
    """The unit vector of the points' first principal component, which points north or, failing that, east."""
    _, vectors = np.linalg.eigh(np.cov(points.T) if len(points) > 1 else np.eye(2))
    east, north = vectors[:, -1]
    return vectors[:, -1] * (-1 if (round(north, 9), east) < (0, 0) else 1)


def choose_queries(points: np.ndarray, times: Sequence[str], share: float, radius: float, seed: int) -> np.ndarray:
    """Chooses which of an area's photos are queries: bool (n,). The others are its database.

    points: float64 (n, 2), metres
    times: digits of YYYYMMDDhhmmss, "" if unknown
    share: of the photos that become queries
    radius: metres
    seed: of the draw

    Queries are photos of the latest days, drawn within a day (among all photos if there are no times). Every query
    keeps a database image within the radius. Raises UserError if no query can be chosen.
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
            f"none of its {len(points)} photos has another within {radius:g} m, and queries need a database near them: "
            "raise --positive_dist_threshold, or change --shares"
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
    """Assigns a folder to each photo, by areas: one of FOLDERS, or None in a buffer.

    points: float64 (n, 2), metres
    times: as in choose_queries
    shares: {"train": ..., "val": ..., "test": ...}, some may be 0
    buffer: metres, as in split_areas
    query_share: share of val's and test's photos that become queries
    radius: metres, as in choose_queries
    seed: of the draw

    Raises UserError as split_areas and choose_queries do.
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
