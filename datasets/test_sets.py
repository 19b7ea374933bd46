"""Test sets in the layouts in which data sets come: from a folder to databases and queries."""

import os
from typing import NamedTuple

from datasets import protocols
from datasets.names import check_folder
from datasets.test_dataset import TestDataset
from support.errors import UserError

# where the test set may be below a data set's folder; papers report the val of MSLS
_PLACES = ("", "test", "images/test", "processed/test", "val", "images/val")
_DATABASES = ("database", "gallery")  # gallery: SVOX, and older versions of others
# Nordland and AmsterTime as they are published, whose names have no positions: folder -> (database, queries, positions)
_UNNAMED = {
    "Nordland": ("summer", "winter", protocols.positions_of_frames),
    "AmsterTime": ("new", "old", protocols.positions_of_pairs),
}
_UNNAMED_PLACES = ("", "raw_data")


class TestSet(NamedTuple):
    """One set of queries and its database: found, but not read yet."""

    __test__ = False  # for pytest: this is no test

    name: str  # the protocol's, or the folder's and the queries'
    database_folder: str
    queries_folder: str
    protocol: protocols.Protocol | None
    locate: object  # names -> positions, where names have none; else None

    def open(self, threshold: float, resize: int | None, degrees: float | None = None) -> TestDataset:
        """Reads it. Raises UserError as TestDataset does.

        threshold: metres within which a database image is right
        resize: pixels of the shorter side, or None
        degrees: within which a right image must look the query's way, or None
        """
        folders = self.database_folder, self.queries_folder
        dataset = TestDataset(*folders, threshold, resize, self.locate, positive_heading_threshold=degrees)
        dataset.name = self.name
        return dataset


def find_test_sets(folder: str, queries_folder: str | None = None) -> list[TestSet]:
    """Finds the TestSets of a folder: one for each folder queries or queries_* in it, or for the folder that is named.

    folder: of a test set (with database or gallery, and queries); or of a data set with one in test, images/test,
    processed/test or val; or Nordland's or AmsterTime's as published. Raises UserError that lists what was looked for.
    """
    check_folder(folder)
    for place in _PLACES:
        below = os.path.join(folder, place) if place else folder
        database = next((name for name in _DATABASES if os.path.isdir(os.path.join(below, name))), None)
        queries = [queries_folder] if queries_folder else _queries_folders(below)
        if database and queries and all(os.path.isdir(os.path.join(below, name)) for name in queries):
            return [_test_set(folder, below, database, name) for name in queries]
    for name, (database, queries, locate) in _UNNAMED.items():
        for place in _UNNAMED_PLACES:
            paths = [os.path.join(folder, place, part) for part in (database, queries)]
            if all(map(os.path.isdir, paths)):
                return [TestSet(name, *paths, next(p for p in protocols.PROTOCOLS if p.name == name), locate)]
    unnamed = ", ".join(f"{database} and {queries} ({name})" for name, (database, queries, _) in _UNNAMED.items())
    raise UserError(
        f"{folder} is no test set: looked for {' or '.join(_DATABASES)} and {queries_folder or 'queries or queries_*'} "
        f"in {', '.join(place or '.' for place in _PLACES)}, and for {unnamed} in "
        f"{', '.join(p or '.' for p in _UNNAMED_PLACES)}"
    )


def _queries_folders(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir() and (entry.name == "queries" or entry.name.startswith("queries_"))
    )


def _test_set(folder: str, below: str, database: str, queries: str) -> TestSet:
    protocol = protocols.recognise(below, queries)
    name = protocol.name if protocol else os.path.join(os.path.normpath(folder), queries)
    return TestSet(name, os.path.join(below, database), os.path.join(below, queries), protocol, None)
