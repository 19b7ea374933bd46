"""The image lists that many ranks share out: they must be the same on all machines."""

import itertools
from collections.abc import Iterable

import distributed
from datasets.image_names import ImageNames
from datasets.test_dataset import TestDataset
from support import array_cache

_MISSING = "no further folder", 0, ""


def check_same_lists(test_sets: Iterable[TestDataset], further: Iterable[tuple[str, ImageNames]] = ()) -> None:
    """Raises UserError, which names the folder, if ranks have different images, or the same ones in another order.

    test_sets: TestDatasets; further: (folder, names) of other images.

    All ranks must call this at the same time. It compares digests of the lists, and reads no image. A single process
    compares nothing.
    """
    if distributed.size() == 1:
        return
    lists = {
        images.folder: images.names for test_set in test_sets for images in (test_set.database, test_set.queries)
    } | dict(further)
    value = [[folder, len(names), array_cache.digest(names.blob)] for folder, names in lists.items()]
    distributed.check_same(value, "lists of images", describe=_first_difference)


def _first_difference(first: list, other: list) -> str:
    for (folder, *list_), (their_folder, *their_list) in itertools.zip_longest(first, other, fillvalue=_MISSING):
        if list_ != their_list:
            return f"{folder}: {list_[0]} images, and {their_folder}: {their_list[0]} images"
    return ""
