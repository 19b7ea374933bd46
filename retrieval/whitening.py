"""Networks with a last layer fitted to images, which is kept: the same command does not fit it again.

A layer is a file last_layer_<key>.pth beside the descriptors: weight, bias, and its identity as JSON, which is what it
depends on. The key is the identity's.
"""

import contextlib
import glob
import json
import logging
import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass

import torch

import distributed
from datasets.pack.reading import original_folder
from datasets.samples import ImageSample, evenly
from datasets.test_dataset import ImageFolder
from model.last_layer import FittedLayer, num_features, principal_components, with_last_layer, without_last_layer
from model.network import GeoLocalizationNet
from retrieval.cache import DescriptorCache
from retrieval.choices import WHITEN_DATABASE
from retrieval.descriptors import ExtractionOptions
from retrieval.dimensions import projected
from retrieval.identity import identify, identity_key, weights_digest
from retrieval.last_layer import broadcast_layer, fit_last_layer
from retrieval.store import DescriptorStore
from support.errors import UserError
from support.files import read_tensors, write_tensors

logger = logging.getLogger(__name__)

_VERSION = 1  # of what happens between features and layer, and of the file: raise it when one of them changes
_FILES = "last_layer_*.pth"
_LARGEST = 1 << 28  # bytes of a file: sixteen times as many as of 2048 dimensions
_MOST = 32  # layers in a folder of limited size


@dataclass(frozen=True)
class Whitening:
    """How a last layer is fitted."""

    dim: int | None = None  # of the descriptors; None: the network's own
    power: float = 0.5  # of the whitening, 0 to 1
    count: int = 5000  # images at most, evenly spread
    flag: str = "--whiten_dim"  # that asks for dim, for messages

    @classmethod
    def of(cls, args: Namespace) -> "Whitening":
        """The Whitening that a script's flags ask for."""
        return cls(args.whiten_dim, args.whiten_power, args.whiten_images)

    def settings(self, network: GeoLocalizationNet) -> dict:
        """What a network's layer depends on beside its weights, images and their size, plain, for JSON."""
        return {"dim": self.dim or network.fc_output_dim, "power": self.power, "count": self.count}


def describe_whitening(args: Namespace) -> str:
    """What a page says of the last layer of --whiten: "fitted to images of the database, 256-D, power 0.5"."""
    images = "the database" if args.whiten == WHITEN_DATABASE else args.whiten
    dim = f", {args.whiten_dim}-D" if args.whiten_dim else ""
    return f"fitted to images of {images}{dim}, power {args.whiten_power:g}"


def images_to_fit(args: Namespace, database: ImageFolder, kind: type[ImageFolder] = ImageFolder) -> ImageFolder:
    """The images that --whiten names: the database's, or those of a folder, at the database's size.

    args: of the script
    database: its images
    kind: how a folder is opened

    Raises UserError if the folder is missing or empty.
    """
    return database if args.whiten == WHITEN_DATABASE else kind(args.whiten, database.resize)


def warn_of_queries(args: Namespace, queries: ImageFolder) -> None:
    """Warns if the folder that --whiten names has queries in it, whose recalls then say less."""
    if args.whiten == WHITEN_DATABASE:
        return
    fitted, asked = original_folder(args.whiten), original_folder(queries.folder)
    if os.path.commonpath([fitted, asked]) in (fitted, asked):
        logger.warning(
            f"--whiten {args.whiten} holds images of {queries.folder}: a network that is fitted to its queries may "
            "find more of them than it will of others. For recalls to be compared, name database or another folder"
        )


def whitened(
    network: GeoLocalizationNet,
    images: ImageFolder,
    wanted: Whitening,
    options: ExtractionOptions,
    cache: DescriptorCache | None = None,
    exact: bool = True,
) -> GeoLocalizationNet:
    """A copy of a network with a last layer fitted to images: one that is kept, or else a new one, which is kept then.

    All ranks get the same one.

    network: on options.device
    images: without labels
    wanted: how the layer is fitted
    options: how features are extracted
    cache: of descriptors, beside which layers are kept; None: none is
    exact: whether a kept layer has the very bits of a new one; else only images, size and settings must be the same

    Raises UserError if there are too few images, or as extract_descriptors.
    """
    sample = ImageSample(images, wanted.count)
    dim, channels = wanted.dim or network.fc_output_dim, num_features(network)
    path = fitted = None
    if cache is not None and cache.folder is not None and distributed.is_main():
        identity = identify(without_last_layer(network, unit_length=False), sample, options)
        if not exact:
            identity["settings"] = {"resize": images.resize}
        identity |= {"version": _VERSION, **wanted.settings(network)}
        path = os.path.join(cache.folder, _FILES.replace("*", identity_key(identity)))
        fitted = _read(path, identity, (dim, channels))
    if distributed.from_main(fitted is not None):
        fitted = _from_main(fitted, dim, channels)
        if path:
            logger.info(f"The last layer that was fitted to images of {images.folder} is read from {path}")
    else:
        fitted = fit_last_layer(network, sample, dim, wanted.power, options, wanted.flag)
        if path:
            _keep(path, fitted, identity, cache.limit)
    return with_last_layer(network, fitted)


@contextlib.contextmanager
def whitened_stores(
    database: DescriptorStore, queries: DescriptorStore, wanted: Whitening
) -> Iterator[tuple[DescriptorStore, DescriptorStore]]:
    """Temporary stores of given descriptors behind a layer that is fitted to those of the database.

    database, queries: their stores, complete and whole
    wanted: how the layer is fitted

    Raises UserError if there are too few descriptors, or if the disk refuses.
    """
    rows = evenly(database.num_images, wanted.count)
    empty = sum(row in database.unreadable for row in rows.tolist())
    dim = wanted.dim or database.dim
    fitted = principal_components(database.descriptors[rows], dim, wanted.power, empty, wanted.flag)
    logger.info(
        f"A layer is fitted to {len(rows) - empty} descriptors of the database: {dim} dimensions, power "
        f"{wanted.power:g}, {100 * fitted.kept:.1f}% of their variance"
    )
    with projected(database, fitted) as changed, projected(queries, fitted) as asked:
        yield changed, asked


def whitened_as_before(
    network: GeoLocalizationNet, wanted: Whitening, folder: str | None, resize: int | None, kept_in: str
) -> GeoLocalizationNet:
    """A copy of a network with a kept last layer, where the images that it was fitted to are not there.

    network: as it was given then
    wanted: how the layer was fitted
    folder: of the images; None: any
    resize: pixels of their shorter side; None: their own size
    kept_in: the folder of layers and descriptors

    Raises UserError if there is none, or if it could be one of several folders'.
    """
    weights = weights_digest(without_last_layer(network, unit_length=False))
    identity = {"version": _VERSION, "weights": weights, **wanted.settings(network), "settings": {"resize": resize}}
    if folder is not None:
        identity["folder"] = original_folder(folder)
    shape = identity["dim"], num_features(network)
    found = {path: theirs for path, theirs in _identities(kept_in) if identity.items() <= theirs.items()}
    if len(folders := sorted({theirs["folder"] for theirs in found.values()})) > 1:
        raise UserError(
            f"{kept_in} holds last layers that were fitted to several folders: name one with --database_folder, as "
            f"{' or '.join(folders[:5])}"
        )
    for path in sorted(found, key=_last_used, reverse=True):
        if fitted := _read(path, found[path], shape):
            logger.info(f"The last layer that was fitted to images of {found[path]['folder']} is read from {path}")
            return with_last_layer(network, fitted)
    missing = f"there is no folder {folder}, and " if folder and not os.path.isdir(folder) else ""
    raise UserError(
        f"{missing}{kept_in} holds no last layer that was fitted with these flags and this model to images of "
        f"{folder or 'a database'}: name a folder of images, to fit one"
    )


def _from_main(fitted: FittedLayer | None, dim: int, channels: int) -> FittedLayer:
    """Rank 0's layer, on every rank."""
    return broadcast_layer(fitted or FittedLayer(torch.empty(dim, channels).numpy(), torch.empty(dim).numpy(), 0.0))


def _read(path: str, identity: dict, shape: tuple[int, int]) -> FittedLayer | None:
    """The layer of a file; None if there is none, or if it cannot be used, which is logged."""
    if not os.path.exists(path):
        return None
    try:
        content = read_tensors(path, _LARGEST)
        if not isinstance(content, dict) or _identity(content) != identity:
            raise UserError(f"{path} is of something else")
        weight, bias = content["weight"], content["bias"]
        if (tuple(weight.shape), tuple(bias.shape)) != (shape, shape[:1]) or {weight.dtype, bias.dtype} != {
            torch.float32
        }:
            raise UserError(f"{path} has other shapes")
        if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise UserError(f"{path} holds NaN or infinity")
        fitted = FittedLayer(weight.numpy(), bias.numpy(), float(content["kept"]))
    except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
        logger.warning(f"The kept last layer cannot be used: {error}")
        return None
    with contextlib.suppress(OSError):  # another user's
        os.utime(path)  # what _last_used reads
    return fitted


def _identity(content: dict) -> dict:
    """The identity in a file's content. Raises ValueError, KeyError or TypeError if there is none."""
    identity = json.loads(content["identity"])
    if not isinstance(identity, dict) or not isinstance(identity.get("folder"), str):
        raise ValueError("it has no identity")
    return identity


def _identities(folder: str) -> Iterator[tuple[str, dict]]:
    """Yields (path, identity) of the layers in a folder. Damaged ones are left out."""
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), _FILES))):
        with contextlib.suppress(UserError, KeyError, TypeError, ValueError, AttributeError):
            yield path, _identity(read_tensors(path, _LARGEST))


def _keep(path: str, fitted: FittedLayer, identity: dict, limit: int | None) -> None:
    """Writes a layer, unless the folder may not hold it. A disk that refuses is logged.

    path: of the file
    fitted: the layer
    identity: what it depends on
    limit: bytes that the folder may hold; then the least recently used layers go, too; None: any number
    """
    if fitted.weight.nbytes > min(_LARGEST // 2 if limit is None else limit, _LARGEST // 2):
        return
    content = {
        "weight": torch.from_numpy(fitted.weight),
        "bias": torch.from_numpy(fitted.bias),
        "kept": fitted.kept,
        "identity": json.dumps(identity),
    }
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_tensors(content, path)
        others = sorted(glob.glob(os.path.join(glob.escape(os.path.dirname(path)), _FILES)), key=_last_used)
        for other in others[:-_MOST] if limit is not None else ():
            with contextlib.suppress(FileNotFoundError):  # another process needed the room, too
                os.unlink(other)
    except (UserError, OSError) as error:
        logger.warning(f"The last layer is not kept, and serves this run: {error}")


def _last_used(path: str) -> float:
    with contextlib.suppress(OSError):
        return os.stat(path).st_mtime
    return 0.0
