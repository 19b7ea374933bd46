"""This repository as one package: `cosplace.model`, `cosplace.datasets` and so on are its modules.

Put this folder on sys.path to use the repository in a program of your own. Nothing but `cosplace` becomes importable
by that. The repository's own names (`model`, `datasets`, `test`, ...) stay free for your packages.

From photos to positions: get_trained_model, fit_last_layer, describe, nearest, localize. An argument that cannot be
right raises ValueError. What is wrong with a file, a folder or a network raises UserError, with one line on what to do.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import operator
import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    from cosplace.datasets.given_images import Source
    from cosplace.localization.answers import Localization
    from cosplace.model.network import GeoLocalizationNet

_NAME = "cosplace"
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

__path__ = [_ROOT]


def _own_names() -> frozenset[str]:
    """The names of the modules and packages at the repository's root."""
    with os.scandir(_ROOT) as entries:
        return frozenset(
            entry.name.removesuffix(".py")
            for entry in entries
            if entry.name.endswith(".py") or os.path.isfile(os.path.join(entry.path, "__init__.py"))
        )


_OWN_NAMES = _own_names()


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    """As the builtin __import__, but this repository's own names are those below `cosplace`."""
    top = name.partition(".")[0]
    if level or top not in _OWN_NAMES:
        return builtins.__import__(name, globals, locals, fromlist, level)
    module = builtins.__import__(f"{_NAME}.{name}", globals, locals, fromlist, 0)
    return module if fromlist else sys.modules[f"{_NAME}.{top}"]  # `import a.b` binds a, here cosplace.a


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module whose imports of this repository's own names lead below `cosplace`.

    Python looks __import__ up in the __builtins__ of the code that imports. So a dictionary of its own redirects these
    modules alone.
    """

    def exec_module(self, module: Any) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


class _Finder:
    """Finds `cosplace.*` among the files of this repository."""

    root = _ROOT

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module with the loader above; None for modules that are not this repository's."""
        if not fullname.startswith(f"{_NAME}."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        loader = spec.loader if spec else None
        if type(loader) is importlib.machinery.SourceFileLoader and loader.path.startswith(cls.root + os.sep):
            spec.loader = _Loader(loader.name, loader.path)
        return spec


# once, even if this module is loaded again
if not any(getattr(finder, "root", None) == _ROOT for finder in sys.meta_path):
    sys.meta_path.insert(0, _Finder)


# --- the interface; PyTorch is imported when it is first used


from cosplace.support.errors import UserError as UserError  # noqa: E402 - below the finder, which it needs


class UnreadableImagesError(UserError):
    """Some images cannot be read.

    unreadable: {row: reason}
    descriptors: float32 (n, D), as describe would have returned them; the rows of unreadable images are zero
    """

    def __init__(
        self, message: str, unreadable: dict[int, str] | None = None, descriptors: np.ndarray | None = None
    ):  # defaults: pickle makes it of the message alone, and adds the rest
        super().__init__(message)
        self.unreadable, self.descriptors = unreadable, descriptors


def get_trained_model(
    backbone: str | None = None,
    fc_output_dim: int | None = None,
    method: str = "CosPlace",
    weights: str | os.PathLike[str] | None = None,
    gem_activation: str | None = None,
) -> torch.nn.Module:
    """A network with its weights, in eval mode, on the CPU: a published one, or one of your own.

    It takes normalised images (B, 3, H, W) and returns unit descriptors (B, fc_output_dim). Prepare images with
    `preprocess`.

    backbone: VGG16, ResNet18, ResNet50 (the default), ResNet101 or ResNet152
    fc_output_dim: one that is published for this backbone (default: 2048)
    method: "CosPlace" or "EigenPlaces"
    weights: instead of all that, a best_model.pth, a last_checkpoint.pth, or a name as of --resume_model. Backbone and
        dimension are the file's; what is given must be the same. A backbone of timm is told by the .json beside the
        file, or by backbone, as "timm/vit_small_patch14_dinov2"
    gem_activation: of the network of weights, where no .json beside it tells it (default: clamp)

    Raises ValueError if there is no such published model, UserError if weights cannot be loaded.
    """
    from cosplace.model.checkpoints import load_network

    if weights is not None:
        if method != "CosPlace":
            raise ValueError(f"method is {method!r}: with weights, leave it out")
        if fc_output_dim is not None:
            fc_output_dim = _whole("fc_output_dim", fc_output_dim, 1)
        path = _path("weights", weights)
        return load_network(path, backbone, fc_output_dim, gem_activation=gem_activation).eval()
    from cosplace.model.zoo.published import name_of_published

    dim = 2048 if fc_output_dim is None else fc_output_dim
    return load_network(name_of_published(backbone or "ResNet50", dim, method)).eval()


def preprocess(image: str | os.PathLike[str] | IO[bytes] | Image.Image, resize: int | None = None) -> torch.Tensor:
    """A photo as the network expects it: float32 (3, H, W), upright, ImageNet-normalised.

    image: a path, a file object or a PIL image
    resize: pixels of the shorter side; None keeps the photo's own size, as in the published evaluation

    Raises UserError if the photo cannot be read, ValueError for a bad argument.
    """
    from PIL import Image

    from cosplace.datasets.images import MIN_SIDE, ImageError, open_rgb, resize_shorter_side, to_array
    from cosplace.model.normalization import normalize, to_tensor

    if resize is not None:
        resize = _whole("resize", resize, MIN_SIDE)
    if not (isinstance(image, str | os.PathLike | Image.Image) or hasattr(image, "read")):
        raise ValueError(f"image is of type {type(image).__name__}, and must be a path, a binary file or a PIL image")
    try:
        upright = open_rgb(image)
        return normalize(to_tensor(to_array(resize_shorter_side(upright, resize) if resize else upright)))
    except ImageError as error:
        raise UserError(f"{image!r} cannot be read: {error}") from error


def list_photos(folder: str | os.PathLike[str]) -> list[str]:
    """The paths of all photos below a folder, in the order in which describe takes them.

    Raises UserError if the folder is missing or has no photo.
    """
    from cosplace.datasets.photos import find_photos

    folder = _path("folder", folder)
    if not os.path.isdir(folder):
        raise UserError(f"there is no folder {folder!r}; check the path")
    return find_photos([folder])[0]


def describe(
    images: Source | Iterable[Source],
    model: str | os.PathLike[str] | GeoLocalizationNet,
    resize: int | None = None,
    batch_size: int = 16,
) -> np.ndarray:
    """The descriptors of images: float32 (n, D), rows of unit length, in the order of the images.

    images: one or several, mixed as you like: paths, folders (all photos below, as list_photos), PIL images, or uint8
        arrays (H, W, 3), RGB
    model: of get_trained_model, on the device where it is to compute; or its `weights`, then on a GPU if there is one
    resize: pixels of the shorter side, at least 32; None keeps the images' own sizes, as in the published evaluation
    batch_size: images of one size that are computed at once

    Raises ValueError for other images or a bad argument; UnreadableImagesError, which has the descriptors of the
    others, if an image cannot be read.
    """
    import numpy as np

    from cosplace.datasets.given_images import GivenImages
    from cosplace.retrieval.descriptors import extract_descriptors
    from cosplace.training.acceleration import without_tf32

    network, options, resize = _prepare(model, resize, batch_size)
    given = GivenImages(images, resize)
    if not len(given):
        return np.zeros((0, network.fc_output_dim), np.float32)
    with without_tf32():
        descriptors, unreadable = extract_descriptors(network, given, options)
    descriptors = np.array(descriptors)  # the store's file ends with the store
    if unreadable:
        shown = "; ".join(f"{given.path(row)!r}: {reason}" for row, reason in sorted(unreadable.items())[:3])
        more = f"; and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
        message = f"{len(unreadable)} of {len(given)} images cannot be read ({shown}{more})"
        raise UnreadableImagesError(message, unreadable, descriptors)
    return descriptors


def fit_last_layer(
    images: Source | Iterable[Source],
    model: str | os.PathLike[str] | GeoLocalizationNet,
    dim: int | None = None,
    resize: int | None = None,
    batch_size: int = 16,
    power: float = 0.5,
    count: int = 5000,
) -> torch.nn.Module:
    """A copy of a network whose last layer is fitted to images, without labels, as --whiten does: for `describe` and
    `localize`.

    It is a function of the images and the arguments. Describe queries and database with one fitted network.

    images, model, resize, batch_size: as in describe; of a database that is to be searched, or of streets like it
    dim: of the new descriptors; None: the network's own
    power: of the whitening, from 0, the principal components as they are, to 1
    count: images that are taken at most, evenly spread

    Images that cannot be read are skipped. Raises ValueError for other images or a bad argument; UserError if fewer
    than dim + 1 images can be read, or if their features vary in fewer dimensions.
    """
    from cosplace.datasets.given_images import GivenImages
    from cosplace.retrieval.whitening import Whitening, whitened
    from cosplace.training.acceleration import without_tf32

    dim = None if dim is None else _whole("dim", dim, 1)
    count = _whole("count", count, 2)
    if not hasattr(power, "__float__") or not 0 <= power <= 1:
        raise ValueError(f"power is {power!r}, and must be a number from 0 to 1")
    network, options, resize = _prepare(model, resize, batch_size)
    given = GivenImages(images, resize)
    with without_tf32():
        return whitened(network, given, Whitening(dim, float(power), count, flag="dim"), options)


def nearest(queries: np.ndarray, database: np.ndarray, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar rows of a database for each query, by exact search: (similarities, indices), each (q, k).

    The most similar comes first. Similarities are cosines, float32. A database of fewer than k rows gives all of them.
    Rows of zeros, as unreadable images have, are never found; for a query of zeros indices are -1, similarities -inf.

    queries: (q, D), of describe
    database: (n, D); a memory-mapped file is read in blocks
    k: at least 1

    Raises ValueError if the arrays are no descriptors of one dimension.
    """
    from cosplace.retrieval.knn import most_similar

    return most_similar(queries, database, _whole("k", k, 1))


def localize(
    photos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    database: str | os.PathLike[str],
    model: str | os.PathLike[str] | GeoLocalizationNet,
    resize: int | None = None,
    batch_size: int = 16,
    neighbours: int = 5,
    positions: str | os.PathLike[str] | None = None,
) -> list[Localization]:
    """Where photos were taken, as localize.py says it: a Localization for each, with latitude, longitude and more.

    A photo that cannot be read has no position, and says why in `error`. Radius and confidence are None until
    localize.py --calibrate has been run with this model and size.

    photos: files, and folders of photos
    database: a folder of images, or an index of one. The index of a folder is made once, and kept below
        cache/descriptors in the working folder, as localize.py does
    model, resize, batch_size: as in describe; resize is that of the database too
    neighbours: how many similar images are listed for each photo
    positions: where the database's images are: "exif", or a CSV or GeoJSON, as of localize.py --positions; None: their
        names say it. An index has its positions

    Raises ValueError for a bad argument, UserError if a file or the index cannot be used.
    """
    from cosplace.localization.answers import LocateOptions
    from cosplace.localization.one_call import localize
    from cosplace.options.shared import EvaluationOptions
    from cosplace.retrieval.cache import FOLDER, DescriptorCache
    from cosplace.training.acceleration import without_tf32

    neighbours = _whole("neighbours", neighbours, 0)
    if not isinstance(positions, str | os.PathLike | None):
        raise ValueError(f"positions is {positions!r}, and must be 'exif' or the path of a table")
    files, database = _paths("photos", photos), _path("database", database)
    network, options, resize = _prepare(model, resize, batch_size)
    defaults = EvaluationOptions()
    cache = DescriptorCache(FOLDER, round(defaults.descriptors_cache_size * 1e9))
    locating = LocateOptions(threshold=defaults.positive_dist_threshold, device=options.device)
    source = None if positions is None else os.fspath(positions)
    with without_tf32():
        return localize(files, database, network, options, cache, locating, resize, neighbours, source)


def _prepare(model: Any, resize: Any, batch_size: Any) -> tuple[GeoLocalizationNet, Any, int | None]:
    """The network of an argument `model`, the ExtractionOptions for it, and resize. Raises as describe."""
    import torch

    from cosplace.commons import select_device
    from cosplace.datasets.images import MIN_SIDE
    from cosplace.retrieval.descriptors import ExtractionOptions

    batch_size = _whole("batch_size", batch_size, 1)
    if resize is not None:
        resize = _whole("resize", resize, MIN_SIDE)
    if isinstance(model, str | os.PathLike):
        model = get_trained_model(weights=model).to(select_device("auto"))
    if not hasattr(model, "fc_output_dim"):
        raise ValueError(f"model is a {type(model).__name__}, and must be of get_trained_model, or its weights")
    weight = next(model.parameters())
    if weight.dtype != torch.float32:
        raise ValueError(f"the weights of model are {weight.dtype}, and must be float32: give model.float()")
    return model, ExtractionOptions(batch_size, weight.device), resize


def _whole(name: str, value: Any, least: int) -> int:
    """A whole number, of NumPy too, as an int. Raises ValueError if it is none, or too small."""
    if not hasattr(value, "__index__") or value < least:
        raise ValueError(f"{name} is {value!r}, and must be a whole number of at least {least}")
    return operator.index(value)


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name} is of type {type(value).__name__}, and must be a path")
    return os.fsdecode(value)


def _paths(name: str, values: Any) -> list[str]:
    """One path, or several, as a list. Raises ValueError if there is none."""
    if isinstance(values, str | os.PathLike):
        return [os.fsdecode(values)]
    if not isinstance(values, Iterable) or isinstance(values, bytes):
        raise ValueError(f"{name} is of type {type(values).__name__}, and must be a path or several")
    paths = [_path(f"item {number} of {name}", value) for number, value in enumerate(values)]
    if not paths:
        raise ValueError(f"{name} is empty: give a photo, or a folder of photos")
    return paths
