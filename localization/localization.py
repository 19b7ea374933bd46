"""From photos' descriptors to where they were taken: what localize.py says of each photo."""

from dataclasses import dataclass, field

import numpy as np

from localization.photos import distance, read_position
from localization.position import NEIGHBOURS, estimate_positions
from localization.zones import to_latlon
from retrieval.index import FLAT, search_index
from retrieval.knn import search
from support.errors import UserError


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


@dataclass
class Localization:
    """Where a photo was taken; plain values, degrees and metres. None: not known."""

    photo: str
    error: str = ""  # why there is no estimate
    latitude: float | None = None
    longitude: float | None = None
    utm_east: float | None = None
    utm_north: float | None = None
    utm_zone: str | None = None
    radius_m: float | None = None  # holds the truth with a probability of 68%
    radius95_m: float | None = None  # 95%
    confidence: float | None = None  # the probability that the estimate is within the threshold
    gps_latitude: float | None = None  # the photo's own, of which the estimate knows nothing
    gps_longitude: float | None = None
    gps_distance_m: float | None = None  # between the two
    neighbours: list[Neighbour] = field(default_factory=list)  # the most similar first


class Located:
    """Estimates of descriptors in a DatabaseIndex, and all that they come from.

    descriptors: float32 (q, dim), of unit length; method, threshold: as in estimate_positions; faiss_index,
    faiss_nprobe, seed: as in search_index. neighbours: int (q, k), -1 where there is none; similarities: float (q, k),
    -inf there; estimates: Estimates; database: float64 (n, 2), the positions of the database.
    """

    def __init__(
        self, index, descriptors, method, threshold, device="cpu", faiss_index=FLAT, faiss_nprobe=None, seed=0
    ):
        store, k = index.store, min(NEIGHBOURS, index.store.num_images)
        if faiss_index == FLAT:
            squared, self.neighbours = search(store.descriptors, descriptors, k, store.unreadable, device=device)
        else:
            squared, self.neighbours = search_index(
                store, descriptors, k, faiss_index, faiss_nprobe, store.unreadable, seed=seed
            )
            if (self.neighbours[:, 0] < 0).any():
                raise UserError(
                    f"--faiss_index {faiss_index} finds no neighbour of a photo: probe more cells with --faiss_nprobe"
                )
        self.similarities = np.where(self.neighbours < 0, -np.inf, 1 - squared / 2)  # of unit vectors
        self.estimates = estimate_positions(index.positions[self.neighbours], self.similarities, method, threshold)
        self.database = index.positions


def describe(photos, unreadable, index, located, calibration, shown):
    """A list of Localization, one a photo.

    photos: Photos; unreadable: {index: reason}; located: Located, of the others, in order; calibration: Calibration or
    None; shown: neighbours listed of each.
    """
    readable = [row for row in range(len(photos)) if row not in unreadable]
    results = [Localization(photos.path(row), unreadable.get(row, "")) for row in range(len(photos))]
    if readable and calibration:
        confidences, radii = (
            calibration.confidence(located.estimates),
            calibration.radii(located.estimates, index.positions),
        )
    for query, row in enumerate(readable):
        result, estimates = results[row], located.estimates
        result.utm_east, result.utm_north = estimates.positions[query].tolist()
        anchor = index.names[located.neighbours[query, estimates.anchors[query]]]
        result.latitude, result.longitude, result.utm_zone = to_latlon(result.utm_east, result.utm_north, anchor)
        if calibration:
            result.confidence, (result.radius_m, result.radius95_m) = float(confidences[query]), radii[query].tolist()
        result.neighbours = list(_neighbours(index, located, query, shown))
        _compare(result, read_position(photos.path(row)))
    return results


def _neighbours(index, located, query, shown):
    rows = (located.neighbours[query], located.similarities[query], located.estimates.distances[query])
    for neighbour, similarity, metres in zip(*(values[:shown] for values in rows), strict=True):
        if neighbour >= 0:
            east, north = index.positions[neighbour].tolist()
            name = index.names[neighbour]
            yield Neighbour(name, float(similarity), float(metres), east, north, *to_latlon(east, north, name)[:2])


def _compare(result, gps):
    if gps is not None:
        result.gps_latitude, result.gps_longitude = gps
        if result.latitude is not None:
            result.gps_distance_m = distance(gps, (result.latitude, result.longitude))
