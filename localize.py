"""Says where photos were taken, by their neighbours in a database."""

if __name__ == "__main__":  # answer --help and usage errors before torch is imported, which takes seconds
    import parser

    parser.answer_early("localize")

import contextlib
import functools
import logging
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch

import commons
from datasets.names import latlon_to_utm
from datasets.photos import find_photos
from datasets.test_dataset import ImageFolder, TestDataset, find_database_folder, find_queries_folder
from localization import calibration
from localization.answers import Localization, Located, LocateOptions, describe
from localization.database_index import DatabaseIndex, WantedIndex, holds_index, open_index
from localization.formats import FORMATS
from localization.photos import Photos, describe_lack
from localization.places import Places, places_of_names, read_places, within
from localization.reliability import check_drawing, draw_reliability
from matching.reranking import Reranking, verified_counts, verified_points
from model.network import GeoLocalizationNet
from model.onnx_network import load_describer
from model.precision import chosen_infer_dtype
from parser import parse_arguments
from report.localization import MAX_PICTURED, LocalizedPhoto, write_localization_report
from report.notes import run_notes
from report.page import check_report
from retrieval import cache
from retrieval.choices import WHITEN_DATABASE
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.identity import identity_key, weights_digest
from retrieval.index import FLAT, check_index
from retrieval.store import DescriptorStore
from retrieval.store_header import read_header
from retrieval.whitening import Whitening, describe_whitening, whitened, whitened_as_before
from support.errors import PartlyDone, UserError
from support.escaping import printable
from support.files import replacing

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Runs localize.py. argv: its arguments (default: those of the command line).

    The exit code is 1 if a photo is not localized (the others are) or on a bug, and 2 on what the user can fix.
    """
    return commons.run_experiment(run, parse_arguments("localize", argv))


def run(args: Namespace, output_folder: str) -> None:
    """Localizes or calibrates. Raises PartlyDone if a photo could not be localized: after the others."""
    device, seed = commons.select_device(args.device), commons.set_seed(args.seed)
    if args.calibrate:
        check_drawing()
    if args.report:
        check_report(args.report)
    network = load_describer(
        args.resume_model, *args.expected_architecture, zoo_location=args.zoo, gem_activation=args.gem_activation
    )
    network = network.to(device, memory_format=torch.channels_last)
    session = Session(args, network, device, seed, Reranking.of(args, device))
    if args.calibrate:
        session.calibrate()
        return
    results = session.localize(args.photos)
    write(FORMATS[args.format](results), args.output)
    if args.report:
        settings = {
            "Network": args.resume_model,
            "Database": args.database_folder or args.index_folder,
            "Estimate": args.estimate,
            "Images": f"shorter side resized to {args.image_size} pixels"
            if args.resize_test_imgs
            else "in their own size",
            **dict(run_notes()),
        }
        if args.whiten:
            settings["Last layer"] = describe_whitening(args)
        if args.positions:
            settings["Positions of the database"] = args.positions
        if session.reranking:
            settings["Second look"] = session.reranking.describe()
        if args.near:
            settings["Searched"] = "within {2:g} m of {0:g}, {1:g}".format(*args.near)
        pictured = [_pictured(result, args.database_folder, session.points.get(result.photo)) for result in results]
        write_localization_report(args.report, pictured, settings.items())
        logger.info(f"The page is {args.report}")
    failed = [result for result in results if result.error]
    for result in failed:
        logger.warning(f"{printable(result.photo)} is not localized: {printable(result.error)}")
    logger.info(
        f"{len(results) - len(failed)} of {len(results)} photos are localized"
        + (f": {args.output}" if args.output else "")
    )
    if failed:
        raise PartlyDone(
            f"{len(failed)} of {len(results)} photos are not localized"
            if len(failed) < len(results)
            else "no photo is localized"
        )


def _pictured(result: Localization, database_folder: str | None, points: np.ndarray | None) -> LocalizedPhoto:
    """A Localization as the page shows it, with the photo's own GPS position in the database's zone.

    points: matches with its first neighbour, as of LocalizedPhoto.
    """
    own = None
    if result.gps_latitude is not None and result.utm_zone:
        zone = re.fullmatch(r"(\d+)([A-Z]?)", result.utm_zone)
        with contextlib.suppress(UserError):  # at a pole
            east, north, _, _ = latlon_to_utm(result.gps_latitude, result.gps_longitude, int(zone[1]), zone[2] or None)
            own = result.gps_latitude, result.gps_longitude, east, north
    neighbours = [
        (
            os.path.join(database_folder or "", neighbour.name),
            neighbour.similarity,
            neighbour.utm_east,
            neighbour.utm_north,
            neighbour.matches,
        )
        for neighbour in result.neighbours
    ]
    return LocalizedPhoto(
        result.photo,
        result.latitude,
        result.longitude,
        result.utm_east,
        result.utm_north,
        result.radius_m,
        result.confidence,
        neighbours,
        own,
        result.error,
        points,
    )


def write(text: str, path: str | None) -> None:
    """Writes text to a file, which appears whole, or to standard output. Raises UserError if the disk refuses."""
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _folder_of_index(folder: str) -> str | None:
    """Where the images of an index were; None if the folder is none, but holds them, or if it is damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return read_header(folder)["identity"]["folder"]
    return None


class Session:
    """A network with a database's index, which localizes photos or is calibrated."""

    def __init__(
        self,
        args: Namespace,
        network: GeoLocalizationNet,
        device: torch.device,
        seed: int,
        reranking: Reranking | None = None,
    ):
        """Opens nothing yet.

        args: of localize.py
        network: on device, as it was loaded
        device: where is computed
        seed: as chosen for the run
        reranking: a second look at neighbours, or None
        """
        self.args, self.loaded, self.seed, self.reranking = args, network, seed, reranking
        self.points = {}  # {photo: its matches with the first neighbour}, of photos that a page shows
        dtype = chosen_infer_dtype(args.infer_dtype, network, device)
        self.options = ExtractionOptions(args.infer_batch_size, device, num_workers=args.num_workers, dtype=dtype)
        self.resize = args.image_size if args.resize_test_imgs else None
        self.folder = args.index_folder or cache.FOLDER
        limit = None if args.index_folder else round(args.descriptors_cache_size * 1e9)
        kept = os.path.dirname(os.path.abspath(self.folder)) if holds_index(self.folder) else self.folder
        self.cache = cache.DescriptorCache(kept, limit, args.descriptors_dtype, grows=True)

    @functools.cached_property
    def network(self) -> GeoLocalizationNet:
        """The network that describes: with the last layer of --whiten, which is fitted when it is first asked for."""
        args = self.args
        if not args.whiten:
            return self.loaded
        wanted, folder = Whitening.of(args), args.whiten
        if folder == WHITEN_DATABASE:
            folder = args.database_folder
        if folder is None or not os.path.isdir(folder):
            folder = folder or _folder_of_index(self.folder)
            return whitened_as_before(self.loaded, wanted, folder, self.resize, self.cache.folder)
        images = ImageFolder(folder, self.resize)
        # as for an index, what changes only the last bits does not matter
        return whitened(self.loaded, images, wanted, self.options, self.cache, exact=False)

    @functools.cached_property
    def identity(self) -> dict:
        """What a calibration depends on."""
        second_look = {"second_look": self.reranking.describe()} if self.reranking else {}
        return {
            "weights": weights_digest(self.network),
            "resize": self.resize,
            "estimate": self.args.estimate,
            "threshold": self.args.positive_dist_threshold,
            **second_look,
        }

    @functools.cached_property
    def calibration_path(self) -> str:
        """Where the calibration is."""
        name = f"calibration_{identity_key(self.identity)}.json"
        return self.args.calibration or os.path.join(self.cache.folder, name)

    def localize(self, paths: list[str]) -> list[Localization]:
        """Localizes the photos among files and folders."""
        args = self.args
        paths, others = find_photos(paths)
        if others:
            logger.info(f"{others} files whose names are of no image format are skipped")
        if lack := describe_lack(paths):
            logger.warning(lack)
        photos = Photos(paths, self.resize)
        if missing := photos.all_missing():  # before the index is built
            return describe(photos, missing, None, None, None, args.neighbours)
        images, places = self._database()
        calibrated = self._calibration()
        with self.open_index(images, args.database_folder, places) as index:
            if args.near:
                index.narrow(*args.near)
            descriptors, unreadable = extract_descriptors(self.network, photos, self.options, description="Photos")
            readable = np.setdiff1d(np.arange(len(photos)), list(unreadable))
            located = self._locate(index, descriptors[readable], args.database_folder, photos.only(readable))
            results = describe(photos, unreadable, index, located, calibrated, args.neighbours)
        if any(result.latitude is None for result in results if not result.error):
            logger.warning(
                "The names of the database say neither UTM zone nor latitude and longitude: "
                "positions are UTM metres alone"
            )
        return results

    def _database(self) -> tuple[ImageFolder | None, Places | None]:
        """The database's images, and where they are; (None, None) if they are not there.

        What would be wrong with the search is found here, before the index is built. Raises UserError.
        """
        args = self.args
        if not args.database_folder or not (os.path.isdir(args.database_folder) or args.positions):
            return None, None
        images = ImageFolder(args.database_folder, self.resize)
        if args.positions:
            images, places = read_places(images, args.positions, args.num_workers)
        else:
            places = places_of_names(images.names)
        if args.near:
            within(places, images.names, *args.near)
        if args.faiss_index != FLAT:
            check_index(args.faiss_index, args.faiss_nprobe, self.network.fc_output_dim, len(images))
        return images, places

    def calibrate(self) -> None:
        """Fits a calibration on one half of a validation set's area, checks it on the other half, and writes it."""
        args = self.args
        queries_folder = find_queries_folder(args.calibrate, args.queries_folder)
        dataset = TestDataset(
            find_database_folder(args.calibrate, args.database_folder),
            queries_folder,
            args.positive_dist_threshold,
            self.resize,
        )
        logger.info(f"Validation set: {dataset}")
        located, truth = self.locate_queries(dataset)
        fitted, checked, report = calibration.fit_and_check(
            located, truth, args.positive_dist_threshold, self.identity, self.seed
        )
        for line in calibration.describe_report(report):
            logger.info(line)
        os.makedirs(os.path.dirname(self.calibration_path) or ".", exist_ok=True)
        fitted.save(self.calibration_path, {"queries_folder": os.path.realpath(queries_folder), **report})
        picture = os.path.splitext(self.calibration_path)[0] + ".png"
        draw_reliability(checked, args.positive_dist_threshold, picture)
        logger.info(f"The calibration is {self.calibration_path}, its reliability diagram {picture}")

    def locate_queries(self, dataset: TestDataset) -> tuple[Located, np.ndarray]:
        """The readable queries of a data set, and their true positions: float64 (q, 2), metres."""
        with (
            self.open_index(dataset.database, dataset.database.folder) as index,
            self._described(dataset.queries) as queries,
        ):
            readable = np.setdiff1d(np.arange(len(dataset.queries)), list(queries.unreadable))
            located = self._locate(
                index, queries.descriptors[readable], dataset.database.folder, dataset.queries.only(readable)
            )
            return located, dataset.queries_utms[readable]

    def _calibration(self) -> calibration.Calibration | None:
        """The calibration to use; None if there is none and none was named."""
        if self.args.calibration or os.path.exists(self.calibration_path):
            return calibration.load(self.calibration_path, self.identity)
        logger.warning(
            "Not calibrated: without a calibration of this model and these settings there is neither radius nor "
            "confidence: make one with localize.py --calibrate VAL_SET, and the same flags"
        )
        return None

    def open_index(
        self, images: ImageFolder | None, database_folder: str | None, places: Places | None = None
    ) -> AbstractContextManager[DatabaseIndex]:
        """Opens the index as localization.database_index.open_index, and builds it if it is missing.

        The arguments are as in WantedIndex.
        """
        wanted = WantedIndex(
            weights=self.identity["weights"],
            resize=self.resize,
            images=images,
            places=places,
            database_folder=database_folder,
            # a database that has changed has another last layer, and a second index
            strict=self.args.index_folder is not None and self.args.whiten != WHITEN_DATABASE,
        )
        return open_index(self.folder, wanted, lambda: self._described(images))

    @contextlib.contextmanager
    def _described(self, images: ImageFolder) -> Iterator[DescriptorStore]:
        """The complete store of the descriptors of a folder's images."""
        name = os.path.basename(os.path.normpath(images.folder))
        with self.cache.store(self.network, images, self.options) as store:
            extract_descriptors(self.network, images, self.options, store, name)
            yield store

    def _locate(
        self, index: DatabaseIndex, descriptors: np.ndarray, database_folder: str | None, photos: ImageFolder
    ) -> Located | None:
        """Photos' neighbours and estimates; None if there are no photos. database_folder: holds the index's images."""
        if not len(photos):
            return None
        args = self.args
        options = LocateOptions(
            method=args.estimate,
            threshold=args.positive_dist_threshold,
            device=self.options.device,
            faiss_index=args.faiss_index,
            faiss_nprobe=args.faiss_nprobe,
            seed=self.seed,
        )
        if not self.reranking:
            return Located(index, descriptors, options)
        database = ImageFolder(database_folder, names=index.names)

        def look(neighbours: np.ndarray) -> np.ndarray:
            return verified_counts(database, photos, neighbours, np.ones(len(photos), bool), self.reranking)

        located = Located(index, descriptors, options, look)
        if args.report:
            shown = [row for row in range(min(len(photos), MAX_PICTURED)) if located.matches[row, 0] > 0]
            pairs = [(row, int(located.neighbours[row, 0])) for row in shown]
            points = verified_points(database, photos, pairs, self.reranking)
            self.points = {photos.path(row): matches for row, matches in zip(shown, points, strict=True)}
        return located


if __name__ == "__main__":
    sys.exit(main())
