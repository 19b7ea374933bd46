"""The image lists that many ranks share out: they must be the same on all machines."""

import itertools
from collections.abc import Iterable

import distributed
from datasets.image_names import ImageNames
from datasets.test_dataset import TestDataset
from support import array_cache
from support.errors import UserError

_NONE = "no further folder", 0, ""


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
    everyones = distributed.gather(
        [[folder, len(names), array_cache.digest(names.blob)] for folder, names in lists.items()]
    )
    for rank, theirs in enumerate(everyones):
        for (folder, count, digest), (other, number, other_digest) in itertools.zip_longest(
            everyones[0], theirs, fillvalue=_NONE
        ):
            if (count, digest) != (number, other_digest):
                raise UserError(
                    f"ranks 0 and {rank} have different lists of images ({folder}: {count} images, and {other}: "
                    f"{number} images): give all machines the same files"
                )
