"""Localization for programs: from photos and a database to Localizations, in one call."""

import contextlib
import os
from collections.abc import Iterator, Sequence

import numpy as np

from datasets.pack.reading import find_pack
from datasets.photos import find_photos
from datasets.test_dataset import ImageFolder
from localization import calibration
from localization.answers import Localization, Located, LocateOptions, describe
from localization.database_index import WantedIndex, holds_index, open_index
from localization.photos import Photos
from localization.places import read_places
from model.network import GeoLocalizationNet
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.identity import identity_key, weights_digest
from retrieval.store import DescriptorStore


def localize(
    photos: Sequence[str],
    database: str,
    network: GeoLocalizationNet,
    extraction: ExtractionOptions,
    cache: DescriptorCache,
    options: LocateOptions,
    resize: int | None = None,
    shown: int = 5,
    positions: str | None = None,
) -> list[Localization]:
    """Localizes photos as localize.py does, with radius and confidence if it has been calibrated.

    photos: files, and folders of photos
    database: a folder of images; or an index, or a folder of indices, as localize.py makes
    network: on extraction.device
    extraction: how descriptors are computed
    cache: where the index of a folder of images is kept, and found again
    options: how positions are estimated
    resize: pixels of the shorter side of photos and database; None: their own size
    shown: neighbours listed for each photo
    positions: of a folder of images: "exif", or the path of a table; None: the images' names hold them

    An unreadable photo has a Localization that says why. Raises UserError if a path is missing, if there is no photo,
    or if the index cannot be opened or built.
    """
    given = Photos(find_photos(photos)[0], resize)
    if missing := given.all_missing():
        return describe(given, missing, None, None, None, shown)
    is_index, places = _holds_indices(database), None
    folder = database if is_index else cache.folder
    images = None if is_index else ImageFolder(database, resize)
    if images is not None and positions is not None:
        images, places = read_places(images, positions)
    weights = weights_digest(network)
    identity = {"weights": weights, "resize": resize, "estimate": options.method, "threshold": options.threshold}

    @contextlib.contextmanager
    def build() -> Iterator[DescriptorStore]:
        with cache.store(network, images, extraction) as store:
            extract_descriptors(network, images, extraction, store, "Database")
            yield store

    with open_index(folder, WantedIndex(weights, resize, images, places, strict=is_index), build) as index:
        descriptors, unreadable = extract_descriptors(network, given, extraction, description="Photos")
        readable = np.setdiff1d(np.arange(len(given)), list(unreadable))
        located = Located(index, descriptors[readable], options) if len(readable) else None
        return describe(given, unreadable, index, located, _calibration(folder, identity), shown)


def _holds_indices(folder: str) -> bool:
    """Whether a folder is an index, or a folder of indices, and no pack, which has an index of its own kind."""
    if find_pack(folder):
        return False
    if holds_index(folder):
        return True
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return any(entry.is_dir() and holds_index(entry.path) for entry in entries)
    return False


def _calibration(folder: str, identity: dict) -> calibration.Calibration | None:
    """The calibration that localize.py --calibrate has written beside an index; None if there is none."""
    kept = os.path.dirname(os.path.abspath(folder)) if holds_index(folder) else folder
    path = os.path.join(kept, f"calibration_{identity_key(identity)}.json")
    return calibration.load(path, identity) if os.path.exists(path) else None
