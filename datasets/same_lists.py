"""The lists of images that many ranks share out: they have to be the same on all machines."""

import itertools
from collections.abc import Iterable

import distributed
from datasets.image_names import ImageNames
from datasets.test_dataset import TestDataset
from support import array_cache
from support.errors import UserError

_NONE = "no further folder", 0, ""


def check_same_lists(test_sets: Iterable[TestDataset], further: Iterable[tuple[str, ImageNames]] = ()) -> None:
    """Raises UserError, naming the folder, if ranks have different images, or the same in another order. One process
    compares nothing.

    test_sets: TestDatasets; further: (folder, its ImageNames) of other images. All ranks must call this at once. It
    takes the digests of the lists as they lie in memory or in their files, and looks at no image.
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
                    f"ranks 0 and {rank} have different lists of images ({folder}: {count} images, and {other}: {number} "
                    "images): give all machines the same files"
                )
