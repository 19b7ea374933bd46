"""A pseudo-target set: a copy of the training set by night, whose images give half of every batch."""

import logging

import numpy as np

from datasets.class_images import ClassImages
from datasets.groups import Groups, open_split
from datasets.image_names import ImageNames
from datasets.methods import Method
from support.errors import UserError

logger = logging.getLogger(__name__)


def num_day_rows(batch_size: int) -> int:
    """Counts the first classes of a batch that give an image by day: the larger half. The others give one by night."""
    return (batch_size + 1) // 2


def open_pseudo_targets(
    folder: str | None, method: Method, train_groups: Groups, groups_num: int
) -> "PseudoTargets | None":
    """Opens the PseudoTargets of a folder; None for None.

    folder: of the images by night
    method: of the training, for images that are not cut before; a class needs only one image by night
    train_groups: of the training set
    groups_num: number of groups that are trained

    Raises UserError as PseudoTargets does.
    """
    if not folder:
        return None
    groups = open_split(folder, method.copies())
    return PseudoTargets(folder, groups, train_groups, groups_num, method)


class PseudoTargets(ClassImages):
    """The images by night of the classes that are trained. Classes are matched by their ids.

    folder: of the images by night
    groups: of that folder, with all classes kept
    train_groups: of the training set
    groups_num: the first groups of train_groups, which are trained
    method: as of ClassImages

    Raises UserError if a class that is trained has no image by night, or one of its heads has none.
    """

    def __init__(
        self, folder: str, groups: Groups, train_groups: Groups, groups_num: int, method: Method | None = None
    ):
        super().__init__(folder, groups, method)
        self.trained = (
            train_groups  # if some images have no copy by night, the classes here would be cut in another way
        )
        ids = [groups.class_ids(group) for group in range(groups.num_groups)]
        # of every class by night: its group and its row there
        places = np.stack(
            [
                np.repeat(np.arange(len(ids)), [len(rows) for rows in ids]),
                np.concatenate([np.arange(len(rows)) for rows in ids]),
            ],
            axis=1,
        )
        trained = np.concatenate([train_groups.class_ids(group) for group in range(groups_num)])
        found = _find_rows(trained, np.concatenate(ids))
        lacking = np.flatnonzero(found < 0)
        if len(lacking):
            raise UserError(
                f"{len(lacking)} of the {len(trained)} classes that are trained have no image in {folder}, which has "
                f"{len(places)} classes (the first that it lacks: {tuple(trained[lacking[0]].tolist())}): give "
                "--pseudo_target_folder a set made of this training set, with `python -m datasets.night`"
            )
        if len(places) > len(trained):
            logger.info(
                f"{len(places) - len(trained)} of the {len(places)} classes of {folder} are not trained and not used"
            )
        self._places = np.split(
            places[found], np.cumsum([train_groups.num_classes(group) for group in range(groups_num)])[:-1]
        )
        if len(self.method.heads) > 1:
            self._check_heads()

    @property
    def names(self) -> ImageNames:
        """The names of all images in the folder."""
        return self.groups.names

    def place(self, group: int, class_row: int) -> tuple[int, int]:
        """Finds a class of the training set in `self.groups`: (group, row)."""
        return tuple(self._places[group][class_row].tolist())

    def indices(self, group: int, class_row: int, head: int) -> np.ndarray:
        """As of ClassImages, of a class of the training set."""
        whole = self.groups.image_indices(*self.place(group, class_row))
        return self.method.copies_of(self.names, whole, self.trained, group, class_row, head)

    def _check_heads(self) -> None:
        """Raises UserError if a head has no image by night of a class."""
        for group, places in enumerate(self._places):
            for row in range(len(places)):
                for head, name in enumerate(self.method.heads):
                    if not len(self.indices(group, row, head)):
                        raise UserError(
                            f"no image of class {tuple(self.trained.class_ids(group)[row].tolist())} in {self.folder} "
                            f"faces its {name} point: give --pseudo_target_folder a set made of this whole training set"
                        )


def _find_rows(wanted: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Finds each row of `wanted` (n, d) in `rows` (m, d), which are distinct: its index, or -1: int64 (n,)."""
    _, number = np.unique(np.concatenate([rows, wanted]), axis=0, return_inverse=True)
    number = number.ravel()
    index = np.full(number.max() + 1, -1)
    index[number[: len(rows)]] = np.arange(len(rows))
    return index[number[len(rows) :]]
