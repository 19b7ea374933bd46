"""What a method of training makes of a folder of images. CosPlace is in datasets.groups, EigenPlaces in
datasets.eigenplaces.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PIL import Image

if TYPE_CHECKING:  # it has a method of its own
    from datasets.groups import Groups
    from datasets.image_names import ImageNames

Cut = Callable[[Image.Image, str], Image.Image]  # an RGB image and its name -> what of it is trained on


class Method:
    """The classes of a list of images, the heads of a group, and what of an image is trained on: here all of it.

    Its fields are the parameters of the classes.
    """

    kind: ClassVar[str]  # of its caches
    groups: ClassVar[type]  # of datasets.groups.Groups
    heads: ClassVar[tuple[str, ...]] = ("",)  # the heads of each group, each with batches of its own, by name

    def parameters(self) -> dict[str, int | float]:
        """The parameters of the classes, as plain values by the names of their options."""
        raise NotImplementedError

    def build(self, names: "Sequence[str] | ImageNames") -> "Groups":
        """Splits images into classes and groups, in memory. Raises UserError as the method's function does."""
        raise NotImplementedError

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of what is trained on, of an image of a size: (width, height), pixels.

        Raises ImageError for an image that the method cannot use.
        """
        return size

    def files(self, folder: str, head: int) -> tuple[str, str]:
        """Where the images of one of a group's heads lie: (their folder, what follows the names of the list).

        folder: that the list is of
        head: index into heads
        """
        return folder, ""

    def images(self, groups: "Groups", group: int, class_row: int, head: int) -> np.ndarray:
        """The images of a class that one of the group's heads is trained on, as groups.image_indices has them.

        groups: as the method builds them
        group, class_row: as in groups.image_indices
        head: index into heads
        """
        return groups.image_indices(group, class_row)

    def copies(self) -> "Method":
        """How a copy of the training set is split: into the same classes, however few images they have."""
        return replace(self, min_images_per_class=1)

    def copies_of(
        self, names: "ImageNames", indices: np.ndarray, groups: "Groups", group: int, class_row: int, head: int
    ) -> np.ndarray:
        """Which images of a copy's class one of a group's heads is trained on: some of the indices.

        names, indices: of the copy: its images, and which of them are of the class
        groups: of the training set
        group, class_row: of the class there
        head: index into heads
        """
        return indices

    def cut(self, groups: "Groups", group: int, class_row: int, head: int) -> Cut | None:
        """How images of a class are cut for one of the group's heads; None: not at all.

        groups: as the method builds them
        group, class_row: as in groups.image_indices
        head: index into heads

        The function raises ImageError for an image that the method cannot use.
        """
        return None
