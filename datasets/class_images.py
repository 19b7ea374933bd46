"""The images of a class: which they are, where they lie, and how they are cut."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from datasets.groups import Groups
from datasets.methods import Cut, Method
from datasets.schedule import round_from


class Candidates(NamedTuple):
    """The images that a row of a batch may have."""

    folder: str  # of the names
    count: int
    names: Iterator[str]  # all of them, from the drawn one on: an unreadable image is replaced by the next
    cut: Cut | None


class ClassImages:
    """The images of classes, for each of a group's heads.

    folder: that the list of images is of
    groups: its classes
    method: says which of them a head has, where they lie and how they are cut (default: all, in the folder, not at all)
    """

    def __init__(self, folder: str, groups: Groups, method: Method | None = None):
        self.folder, self.groups, self.method = folder, groups, method or Method()
        self.trained = groups  # that says how images are cut

    def indices(self, group: int, class_row: int, head: int) -> np.ndarray:
        """Which images a head has of a class, as indices into the list. The parameters are those of candidates."""
        return self.method.images(self.groups, group, class_row, head)

    def candidates(self, group: int, class_row: int, head: int, draw: float) -> Candidates:
        """The images of a class.

        group, class_row: as in groups.image_indices
        head: index into the method's heads
        draw: a number in [0, 1) that picks the first
        """
        folder, extension = self.method.files(self.folder, head)
        indices = self.indices(group, class_row, head)
        names = (self.groups.image_name(index) + extension for index in round_from(indices, draw))
        return Candidates(folder, len(indices), names, self.method.cut(self.trained, group, class_row, head))
