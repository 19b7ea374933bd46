"""From photos' descriptors to what localize.py answers: where each photo was taken."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from localization.calibration import Calibration
from localization.database_index import DatabaseIndex
from localization.photos import Photos, distance, read_position
from localization.position import METHODS, NEIGHBOURS, estimate_positions
from matching.reranking import new_order
from retrieval.index import FLAT, search_index
from retrieval.knn import search
from support.errors import UserError

# from neighbours, (q, k), to the verified local matches of the first ones, int (q, first)
Look = Callable[[np.ndarray], np.ndarray]


@dataclass
class Neighbour:
    """A database image that is like a photo."""

    name: str
    similarity: float  # cosine
    distance_m: float  # from the estimate
    utm_east: float
    utm_north: float
    latitude: float | None
    longitude: float | None
    matches: int | None = None  # verified local matches with the photo; None: it was not looked at again


@dataclass
class Localization:
    """Where a photo was taken, in plain values (degrees, metres). None: not known."""

    photo: str
    error: str = ""  # why there is no estimate; "" if there is one
    latitude: float | None = None
    longitude: float | None = None
    utm_east: float | None = None
    utm_north: float | None = None
    utm_zone: str | None = None
    radius_m: float | None = None  # the true position is within it with a probability of 68%
    radius95_m: float | None = None  # 95%
    confidence: float | None = None  # the probability that the estimate is within the threshold
    gps_latitude: float | None = None  # the photo's own, which the estimate does not use
    gps_longitude: float | None = None
    gps_distance_m: float | None = None  # between the two
    neighbours: list[Neighbour] = field(default_factory=list)  # the best first


@dataclass(frozen=True)
class LocateOptions:
    """How neighbours are searched, and positions estimated from them."""

    method: str = METHODS[0]  # as in estimate_positions
    threshold: float = 25.0  # metres within which an estimate is right
    device: torch.device | str = "cpu"  # of exact search
    faiss_index: str = FLAT  # as in retrieval.index; FLAT is exact search
    faiss_nprobe: int | None = None  # cells searched for each photo, for IVF indexes
    seed: int = 0  # of what an approximate index draws


class Located:
    """Photos' neighbours in a database, and the positions estimated from them.

    neighbours: int (q, k), database indices, the most similar first, or after a second look the one with the most
        matches; -1: no neighbour
    similarities: float (q, k), cosines; -inf: no neighbour
    matches: int (q, first), verified local matches of the first neighbours; None: there was no second look
    estimates: Estimates
    database: float64 (n, 2), metres, the positions of the database, or of what is searched of it
    """

    def __init__(self, index: DatabaseIndex, descriptors: np.ndarray, options: LocateOptions, look: Look | None = None):
        """Searches the neighbours.

        index: of the database
        descriptors: float32 (q, dim), of unit length
        options: how to search, and to estimate
        look: a second look at the neighbours, which are then in the order of its matches

        Raises UserError if faiss refuses or finds no neighbour, or as the second look does.
        """
        store, k = index.store, min(NEIGHBOURS, len(index.searched_positions))
        if options.faiss_index == FLAT:
            squared, self.neighbours = search(
                store.descriptors, descriptors, k, index.excluded(), device=options.device
            )
        else:
            squared, self.neighbours = search_index(
                store, descriptors, k, options.faiss_index, options.faiss_nprobe, seed=options.seed
            )
            if (self.neighbours[:, 0] < 0).any():
                raise UserError(
                    f"--faiss_index {options.faiss_index} finds no neighbour of a photo: "
                    "probe more cells with --faiss_nprobe"
                )
        self.similarities = np.where(self.neighbours < 0, -np.inf, 1 - squared / 2)  # of unit vectors
        self.matches = every = None
        if look:
            counts = look(self.neighbours)
            order = new_order(self.neighbours, counts)
            self.neighbours, self.similarities = (
                np.take_along_axis(values, order, axis=1) for values in (self.neighbours, self.similarities)
            )
            self.matches = np.take_along_axis(counts, order[:, : counts.shape[1]], axis=1)
            every = np.zeros(self.neighbours.shape)
            every[:, : counts.shape[1]] = self.matches
        self.estimates = estimate_positions(
            index.positions[self.neighbours], self.similarities, options.method, options.threshold, every
        )
        self.database = index.searched_positions


def describe(
    photos: Photos,
    unreadable: dict[int, str],
    index: DatabaseIndex | None,
    located: Located | None,
    calibration: Calibration | None,
    shown: int,
) -> list[Localization]:
    """The Localization of each photo.

    photos: all of them
    unreadable: {index of a photo: reason}
    index: of the database; None if no photo is readable
    located: of the readable photos, in order; None if there are none
    calibration: gives confidence and radii
    shown: neighbours listed for each photo
    """
    readable = [row for row in range(len(photos)) if row not in unreadable]
    results = [Localization(photos.path(row), unreadable.get(row, "")) for row in range(len(photos))]
    if readable and calibration:
        confidences, radii = (
            calibration.confidence(located.estimates),
            calibration.radii(located.estimates, located.database),
        )
    for query, row in enumerate(readable):
        result, estimates = results[row], located.estimates
        result.utm_east, result.utm_north = estimates.positions[query].tolist()
        anchor = located.neighbours[query, estimates.anchors[query]]
        result.latitude, result.longitude, result.utm_zone = index.to_latlon(result.utm_east, result.utm_north, anchor)
        if calibration:
            result.confidence, (result.radius_m, result.radius95_m) = float(confidences[query]), radii[query].tolist()
        result.neighbours = list(_neighbours(index, located, query, shown))
        _compare(result, read_position(photos.path(row)))
    return results


def _neighbours(index: DatabaseIndex, located: Located, query: int, shown: int) -> Iterator[Neighbour]:
    rows = (located.neighbours[query], located.similarities[query], located.estimates.distances[query])
    for rank, (neighbour, similarity, metres) in enumerate(zip(*(values[:shown] for values in rows), strict=True)):
        if neighbour >= 0:
            east, north = index.positions[neighbour].tolist()
            degrees = index.to_latlon(east, north, neighbour)[:2]
            looked = located.matches is not None and rank < located.matches.shape[1]
            matches = int(located.matches[query, rank]) if looked else None
            yield Neighbour(index.names[neighbour], float(similarity), float(metres), east, north, *degrees, matches)


def _compare(result: Localization, gps: tuple[float, float] | None) -> None:
    if gps is not None:
        result.gps_latitude, result.gps_longitude = gps
        if result.latitude is not None:
            result.gps_distance_m = distance(gps, (result.latitude, result.longitude))
