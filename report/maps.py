"""What the map of a test shows: positions, places on the earth, and each query's first prediction."""

import numpy as np

from datasets.test_dataset import TestDataset
from localization.zones import to_latlon
from report import curves
from report.page import packed
from test import TestResult

MAP_POINTS = 100_000  # database positions drawn; more are merged by cells
_NOWHERE = -(2**31)  # in place of a latitude that is not known


def map_of(name: str, dataset: TestDataset) -> dict:
    """A test set's positions in metres from a corner: float32 keeps centimetres up to 100 km."""
    origin = _origin(dataset)
    database, cell = curves.merged_positions(dataset.database_utms - origin, MAP_POINTS)
    return {
        "name": name,
        "origin": origin.tolist(),
        "cell": cell,
        "database": packed(database, "f4"),
        "queries": packed(dataset.queries_utms - origin, "f4"),
        "places": packed(_places(dataset), "i4"),
        "names": list(dataset.queries.names),
        "has_positives": packed([len(positives) > 0 for positives in dataset.positives_per_query], "u1"),
    }


def first_predictions(dataset: TestDataset, result: TestResult) -> dict:
    """Each query's first prediction: arrays in the order of the queries, and the names they point to."""
    predicted, metres = result.predictions[:, 0], curves.errors(dataset, result)[:, 0]
    similarity = curves.similarities(result)
    shown, rows = np.unique(predicted[predicted >= 0], return_inverse=True)
    pointers = np.full(len(predicted), -1)
    pointers[predicted >= 0] = rows
    return {
        "rank": packed(curves.first_right(dataset, result), "u2"),
        "predicted": packed(pointers, "i4"),
        "metres": packed(np.nan_to_num(metres, posinf=-1), "f4"),
        "similarity": None if similarity is None else packed(np.nan_to_num(similarity, neginf=-2), "f4"),
        "names": [dataset.database.names[index] for index in shown.tolist()],
        "positions": packed(dataset.database_utms[shown] - _origin(dataset), "f4"),
    }


def _places(dataset: TestDataset) -> np.ndarray:
    """Latitude and longitude of each query in millionths of a degree, int32 (q, 2); _NOWHERE: the name does not say."""
    places = np.full((len(dataset.queries), 2), _NOWHERE, np.int32)
    for query, ((east, north), name) in enumerate(
        zip(dataset.queries_utms.tolist(), dataset.queries.names, strict=True)
    ):
        latitude, longitude, _ = to_latlon(east, north, name)
        if latitude is not None:
            places[query] = np.round([latitude * 1e6, longitude * 1e6])
    return places


def _origin(dataset: TestDataset) -> np.ndarray:
    return np.floor(np.minimum(dataset.database_utms.min(axis=0), dataset.queries_utms.min(axis=0)))
