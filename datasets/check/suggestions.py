"""Which M, alpha, N, L and min_images_per_class would split a training set into usable groups: found by trying them."""

import itertools
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
from tqdm import tqdm

from datasets.eigenplaces import EigenPlaces
from datasets.groups import CosPlace
from datasets.methods import Method
from datasets.nearest_crops import NearestCrops
from datasets.positives import compares_headings

_TRIED = {
    "M": (5, 10, 15, 20, 25, 30, 50),
    "alpha": (30, 60, 90, 360),
    "N": (5, 4, 3, 2, 1),
    "L": (2, 1),
    "min_images_per_class": (10, 5, 3, 2),
    "batch_size": (32, 16, 8, 4),
}
_UNUSED = 2.0  # the cost of training on half as many images; doubling or halving a parameter costs 1


@dataclass(frozen=True)
class Parameters:
    """Flags of train.py, by their names. EigenPlaces has no use for alpha and L."""

    M: int
    alpha: int
    N: int
    L: int
    min_images_per_class: int
    groups_num: int
    batch_size: int
    images_per_class: int = 1
    method: str = "cosplace"
    focal_dist: float = 10.0
    nearest_crops: bool = False
    nearest_degrees: float = 15.0
    crop_degrees: float = 55.4
    heading_is_center: bool = False
    positives: tuple[float, float] | None = None

    @property
    def needs_headings(self) -> bool:
        """Whether each image must have a heading: for its class, or for a pair loss."""
        return self.method == "cosplace" and (self.alpha < 360 or compares_headings(self.positives))

    def without_headings(self) -> "Parameters":
        """The same, with a pair loss that compares no headings."""
        return replace(self, positives=self.positives and (self.positives[0], 180.0))

    @property
    def classes_per_batch(self) -> int:
        """How many classes a group needs."""
        return self.batch_size // self.images_per_class

    def flags(self) -> str:
        """The parameters as flags of train.py."""
        unused = ("alpha", "L") if self.method == "eigenplaces" else ()
        values = {name: value for name, value in asdict(self).items() if name not in unused}
        if self.positives:
            values["positives"] = f"{self.positives[0]:g},{self.positives[1]:g}"
        defaults = {field.name: field.default for field in fields(self)}
        return " ".join(f"--{name} {value}" for name, value in values.items() if defaults[name] != value)

    @property
    def span(self) -> float:
        """Degrees between the two edges of an image whose heading is of its left one; 0: it is of the centre."""
        return 0.0 if self.heading_is_center else self.crop_degrees

    def make_method(self) -> Method:
        """The method with these parameters, which makes the classes."""
        if self.method == "eigenplaces":
            parameters = self.M, self.N, self.focal_dist, self.min_images_per_class
            nearest = self.nearest_crops
            return NearestCrops(*parameters, self.nearest_degrees, self.span) if nearest else EigenPlaces(*parameters)
        return CosPlace(self.M, self.alpha, self.N, self.L, self.min_images_per_class)


@dataclass(frozen=True)
class Suggestion:
    """Parameters that would work.

    parameters: the parameters
    classes, images: of the groups that would be trained
    cost: how far the parameters are from the wanted ones
    """

    parameters: Parameters
    classes: int
    images: int
    cost: float


def suggest(
    points: np.ndarray, headings: np.ndarray, wanted: Parameters, count: int = 3, alone: bool = False
) -> list[Suggestion]:
    """Finds the usable parameters nearest to `wanted`, at most `count` Suggestions.

    points: float64 (n, 2), metres
    headings: float64 (n,), degrees, NaN if unknown (then nothing may need them); EigenPlaces' classes have none
    wanted: the parameters that were asked for
    count: the most suggestions
    alone: whether only the wanted ones are tried

    Every group that would be trained has a batch of classes. The cost is the sum of |log2| of each parameter's ratio to
    the wanted one, plus 2 log2 of the ratio of all images to those of the trained groups.
    """
    tried = {
        name: sorted({*(() if alone else values), getattr(wanted, name)}, key=lambda value: -value)
        for name, values in _TRIED.items()
    }
    each = wanted.images_per_class
    tried["batch_size"] = [size for size in tried["batch_size"] if 2 * each <= size <= wanted.batch_size]
    if wanted.method == "eigenplaces":
        headings = np.full(len(points), np.nan)
    unknown = not np.isfinite(headings).all()
    if unknown:
        tried["alpha"], wanted = [360], wanted.without_headings()
    found = []
    for M, alpha in tqdm(
        list(itertools.product(tried["M"], tried["alpha"])),
        desc="Trying parameters",
        leave=False,
        delay=2,
        disable=None,
    ):
        classes, first, counts = count_classes(points, np.nan_to_num(headings), M, alpha)
        for minimum in tried["min_images_per_class"]:
            kept = counts >= minimum
            if not kept.any():
                continue
            for N, L in itertools.product(tried["N"], tried["L"]):
                if 360 % (alpha * L):
                    continue  # bins of one group would meet at north
                sizes, images = _groups(classes[kept], first[kept], counts[kept], M, alpha, N, L)
                for batch_size in tried["batch_size"]:
                    lacks = np.append(sizes < batch_size // each, True)
                    usable = int(np.argmax(lacks))  # leading groups that fill a batch
                    usable = min(usable, wanted.groups_num)
                    if usable:
                        values = {"M": M, "alpha": alpha, "N": N, "L": L, "min_images_per_class": minimum}
                        parameters = replace(wanted, **values, groups_num=usable, batch_size=batch_size)
                        trained = int(images[:usable].sum())
                        found.append(
                            Suggestion(
                                parameters,
                                int(sizes[:usable].sum()),
                                trained,
                                _cost(parameters, wanted, unknown) + _UNUSED * np.log2(len(points) / trained),
                            )
                        )
    return sorted(found, key=lambda suggestion: (round(suggestion.cost, 6), suggestion.parameters.M))[:count]


def _cost(parameters: Parameters, wanted: Parameters, alpha_given: bool) -> float:
    """The cost of the parameters alone. A smaller groups_num costs nothing here: images that are not trained on do."""
    ratios = [
        getattr(parameters, name) / getattr(wanted, name) for name in _TRIED if not (alpha_given and name == "alpha")
    ]
    return float(np.abs(np.log2(ratios)).sum())


def count_classes(
    points: np.ndarray, headings: np.ndarray, M: int, alpha: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(class ids (K, 3), index of each one's first image, number of its images), as in datasets.groups."""
    cells = np.stack([points[:, 0] // M * M, points[:, 1] // M * M, headings // alpha * alpha], axis=1).astype(np.int64)
    low = cells.min(axis=0)
    extent = np.ptp(cells, axis=0) + 1
    keys = ((cells[:, 0] - low[0]) * extent[1] + cells[:, 1] - low[1]) * extent[2] + cells[:, 2] - low[2]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return cells[first], first, counts


def _groups(
    classes: np.ndarray, first: np.ndarray, counts: np.ndarray, M: int, alpha: int, N: int, L: int
) -> tuple[np.ndarray, np.ndarray]:
    """(classes, images) of each group, in the order of their first images."""
    keys = (classes[:, 0] % (M * N) // M * N + classes[:, 1] % (M * N) // M) * L + classes[:, 2] % (alpha * L) // alpha
    _, group, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    begins = np.full(len(sizes), np.iinfo(np.int64).max)
    np.minimum.at(begins, group, first)
    order = np.argsort(begins)
    return sizes[order], np.bincount(group, weights=counts)[order]
