"""A second look by local features: recalls before and after by matcher, size, geometry and K, and who needs none.

The folder is as of benchmarks.real_streets: with subfolders database and queries, or each image is a query in all
others. Counts of verified matches are kept in the work folder, so that a stopped run goes on where it was.

Which queries may be skipped (--rerank_below) is chosen on the queries of --calibration. Without it, it is chosen on the
western half of the queries for the eastern one, and the other way round.
"""

import argparse
import hashlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

import commons
from benchmarks.measure import machine, table
from benchmarks.real_streets import RECALL_VALUES, Streets, find_streets, nearest
from datasets.names import positions
from datasets.test_dataset import ImageFolder
from demo import SHIPPED
from localization.position import first_lead
from matching.choices import GEOMETRIES, IMAGE_SIZE, MATCHERS, NEIGHBOURS
from matching.matchers import Matcher, make_matcher
from matching.reranking import Reranking, each_match, new_order
from matching.verification import inliers
from model.checkpoints import load_network
from model.network import GeoLocalizationNet
from report.reranking import LOSS, most_skipped, skipping
from retrieval.descriptors import ExtractionOptions
from retrieval.recalls import Difference, found_at, paired_difference, percent
from retrieval.whitening import Whitening, whitened
from support.errors import ending_in_one_line
from support.files import replacing

_BLOCK = 20  # queries between two savings


@dataclass
class Searched:
    """A set of queries as one network has searched it."""

    streets: Streets
    predictions: np.ndarray  # int (q, k)
    confidences: np.ndarray  # float64 (q,)
    found: np.ndarray  # bool (q, n), before the second look


def main(argv: list[str] | None = None) -> None:
    """Prints the tables of a folder."""
    parser = make_parser()
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    with ending_in_one_line():
        print(machine(), flush=True)
        device = commons.select_device(args.device)
        folders = [args.folder, *([args.calibration] if args.calibration else [])]
        sets = [find_streets(folder, args.positive_dist_threshold) for folder in folders]
        for folder, streets in zip(folders, sets, strict=True):
            print(f"{folder}: {streets}")
        for title, network, size in networks(args, sets[0], device):
            searched = [search(network, streets, size, device, args) for streets in sets]
            print(f"\n## {title}, shorter side {size} pixels\n", flush=True)
            recalls, skipped = rows_of(searched, args, device)
            print(table(recalls, list(recalls[0])))
            print(f"\nQueries skipped, chosen for a loss of at most {LOSS:g} point elsewhere\n")
            print(table(skipped, list(skipped[0])), flush=True)


def make_parser() -> argparse.ArgumentParser:
    """Builds the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reranking", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    add = parser.add_argument
    add("folder", help="images with @ names, or with subfolders database and queries")
    add("--calibration", metavar="FOLDER", help="another such folder (default: each half of the queries for the other)")
    add("--resume_model", nargs="*", default=[SHIPPED], metavar="FILE", help="networks (default: the shipped weights)")
    add("--trunk", metavar="FILE", help="weights of a backbone, below a last layer that is fitted to the database")
    add("--trunk_backbone", default="MobileNet_V2", help="its name (default: %(default)s)")
    add("--image_size", type=int, default=128, help="shorter side for networks, pixels (default: %(default)s)")
    add("--trunk_image_size", type=int, default=224, help="the same for the trunk (default: %(default)s)")
    add("--matchers", nargs="+", choices=MATCHERS, default=["sift", "xfeat"], help="default: sift xfeat")
    add("--sizes", type=int, nargs="+", default=[IMAGE_SIZE], help=f"for local features (default: {IMAGE_SIZE})")
    add("--first", type=int, nargs="+", default=[5, 10, 20], metavar="K", help="predictions (default: 5 10 20)")
    add("--positive_dist_threshold", type=float, default=25.0, help="metres (default: 25)")
    add("--work_folder", default="logs/reranking", help="where counts are kept (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    add("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    add("--num_workers", type=int, default=0, help="processes that read images (default: 0)")
    return parser


def networks(
    args: argparse.Namespace, streets: Streets, device: torch.device
) -> Iterator[tuple[str, GeoLocalizationNet, int]]:
    """Yields (title, network, shorter side of its images): the given ones, and the trunk.

    args: of the command line
    streets: whose database the trunk's last layer is fitted to
    device: where networks are put
    """
    for path in args.resume_model:
        yield os.path.basename(path), load_network(path).eval().to(device), args.image_size
    if args.trunk:
        trunk = GeoLocalizationNet(args.trunk_backbone, 512, weights=args.trunk).eval().to(device)
        images = ImageFolder(streets.folders[0], args.trunk_image_size)
        fitted = whitened(trunk, images, Whitening(min(128, len(images) // 2)), ExtractionOptions(32, device))
        yield f"{trunk.backbone_name} of {os.path.basename(args.trunk)}, fitted", fitted, args.trunk_image_size


def search(
    network: GeoLocalizationNet, streets: Streets, size: int, device: torch.device, args: argparse.Namespace
) -> Searched:
    """Searches a set with a network. Parameters as of real_streets.nearest; args: of the command line."""
    wanted = max(*args.first, *RECALL_VALUES, NEIGHBOURS)
    predictions, similarities = nearest(network, streets, size, device, wanted)
    places = positions(ImageFolder(streets.folders[0]).names)
    apart = 2 - 2 * similarities[:, :NEIGHBOURS]  # squared distances of unit vectors
    lead = first_lead(places[predictions[:, :NEIGHBOURS]], apart, args.positive_dist_threshold)
    return Searched(streets, predictions, lead, found_at(predictions, streets.positives, RECALL_VALUES))


def rows_of(searched: list[Searched], args: argparse.Namespace, device: torch.device) -> tuple[list[dict], list[dict]]:
    """The rows of the tables of recalls and of skipped queries.

    searched: the set, and by choice the one of --calibration
    args: of the command line
    device: where matchers compute
    """
    before = percent(searched[0].found)
    names = {f"R@{n}": f"{recall:.1f}" for n, recall in zip(RECALL_VALUES, before, strict=True)}
    recalls, skipped = [{"matcher": "none", "pixels": "", "geometry": "", "K": ""} | names | {"R@1 minus none": ""}], []
    for name in args.matchers:
        matcher = make_matcher(name, device)
        for size in args.sizes:
            how = Reranking(matcher, max(args.first), image_size=size, num_workers=args.num_workers)
            counts = [kept_counts(one, matcher, how, args.work_folder) for one in searched]
            for geometry in GEOMETRIES:
                for first in args.first:
                    after = [found_after(one, c[geometry][:, :first]) for one, c in zip(searched, counts, strict=True)]
                    head = {"matcher": name, "pixels": str(size), "geometry": geometry, "K": str(first)}
                    recalls.append(head | recall_cells(searched[0], after[0], args.seed))
                    skipped.append(head | skip_cells(searched, after, args.seed))
    return recalls, skipped


def found_after(one: Searched, counts: np.ndarray) -> np.ndarray:
    """Whether each query is found after the second look: bool (q, n). counts: (q, first), verified matches."""
    order = new_order(one.predictions, counts)
    return found_at(np.take_along_axis(one.predictions, order, axis=1), one.streets.positives, RECALL_VALUES)


def recall_cells(one: Searched, after: np.ndarray, seed: int) -> dict[str, str]:
    """Recalls after the second look, and the paired difference of R@1 to those before."""
    difference = paired_difference(after, one.found, seed)
    cells = {f"R@{n}": f"{recall:.1f}" for n, recall in zip(RECALL_VALUES, percent(after), strict=True)}
    return cells | {"R@1 minus none": _difference(difference)}


def _difference(difference: Difference) -> str:
    (low, high), p = difference.intervals[0], difference.p[0]
    return f"{difference.values[0]:+.1f} ({low:+.1f} to {high:+.1f}), p {p:.2g}"


def skip_cells(searched: list[Searched], after: list[np.ndarray], seed: int) -> dict[str, str]:
    """How many queries are skipped by a threshold that was chosen on others, and what R@1 that costs.

    searched: as of rows_of
    after: bool (q, n) of each, after a second look at all
    seed: of the bootstrap
    """
    one, found, half = searched[0], after[0], len(after[0]) // 2
    if len(searched) > 1:
        chosen_on, told_of = [(searched[1], after[1], slice(None))], [slice(None)]
    else:  # names begin with metres eastwards: each half by the other
        halves = slice(half), slice(half, None)
        chosen_on, told_of = [(one, found, rows) for rows in halves], halves[::-1]
    partly, again, shown = one.found.copy(), np.zeros(len(found), bool), []
    for (known, looked, rows), others in zip(chosen_on, told_of, strict=True):
        best = most_skipped(skipping(known.confidences[rows], known.found[rows, 0], looked[rows, 0]))
        again[others] = one.confidences[others] < best.threshold
        shown.append(best.shown)
    partly[again] = found[again]
    return {
        "--rerank_below": " and ".join(shown),
        "skipped": f"{100 * (1 - again.mean()):.0f} %",
        "R@1": f"{percent(partly)[0]:.1f}",
        "R@1 minus all looked at": _difference(paired_difference(partly, found, seed)),
        "queries": str(len(again)),
    }


def kept_counts(one: Searched, matcher: Matcher, how: Reranking, folder: str) -> dict[str, np.ndarray]:
    """{geometry: verified matches int (q, first)} of all queries, from the work folder as far as they are there.

    one: the set
    matcher: of local features
    how: to look
    folder: where they are kept
    """
    first = one.predictions[:, : how.first]
    key = [matcher.name, matcher.identity, how.image_size, *map(os.path.realpath, one.streets.folders)]
    digest = hashlib.sha256(repr(key).encode() + first.tobytes() + one.streets.queries.tobytes()).hexdigest()[:16]
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{matcher.name}_{how.image_size}_{digest}.npy")
    counts = (
        np.load(path, allow_pickle=False)
        if os.path.exists(path)
        else np.zeros((0, len(GEOMETRIES), how.first), np.int64)
    )
    database, queries = map(ImageFolder, one.streets.folders)
    pairs = [
        (int(query), int(index))
        for query, row in zip(one.streets.queries[len(counts) :], first[len(counts) :], strict=True)
        for index in row
    ]
    block = []
    for number, matches in enumerate(each_match(database, queries, pairs, how), 1):
        block.append([inliers(matches, geometry).sum() for geometry in GEOMETRIES])
        if number % (how.first * _BLOCK) == 0 or number == len(pairs):
            new = np.array(block).reshape(-1, how.first, len(GEOMETRIES)).transpose(0, 2, 1)
            counts, block = np.concatenate([counts, new]), []
            with replacing(path) as temporary, open(temporary, "wb") as file:
                np.save(file, counts)
    return {geometry: counts[:, number] for number, geometry in enumerate(GEOMETRIES)}


if __name__ == "__main__":
    sys.exit(main())
