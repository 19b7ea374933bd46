"""Weights on a folder of real streets, beside random weights and a given trunk: recalls, and paired differences.

The folder has images with `@` names: either in the subfolders database and queries, or all together. Then each image is
a query and is searched in all others. What was taken in the same minute at the same place (an equal timestamp in the
name, within the threshold) is left out of that query's search: it would be too easy. Queries without a right image do
not count.

"before the last layer": pooled features, as long as the backbone is wide. They tell what the backbone knows; the
descriptors tell what the last layer makes of it.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

import commons
from benchmarks.measure import machine, table
from datasets.name_fields import FIELDS, HEADING
from datasets.names import parse_fields, positions
from datasets.positives import chance_recalls, find_positives, heading_differences
from datasets.test_dataset import ImageFolder
from demo import SHIPPED
from model.checkpoints import load_network
from model.last_layer import without_last_layer
from model.network import GeoLocalizationNet
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.recalls import found_at, paired_difference, percent, recall_intervals
from support.errors import UserError, ending_in_one_line

RECALL_VALUES = (1, 5, 10)
_BLOCK = 256  # queries searched at a time
_TIMESTAMP = FIELDS.index("timestamp")


@dataclass
class Streets:
    """Images with positions.

    folders: of the database and of the queries; the same one twice if each image is a query
    positives: of each query that counts, the right rows of the database
    left_out: of each query that counts, the rows that are not searched
    queries: rows of the queries that count
    total: how many queries there are
    """

    folders: tuple[str, str]
    positives: list[np.ndarray]
    left_out: list[np.ndarray]
    queries: np.ndarray
    num_database: int
    total: int

    def __str__(self):
        return (
            f"{len(self.queries)} of {self.total} queries have a right image; {self.num_database} database images, "
            f"{np.mean([len(rows) for rows in self.left_out]):.1f} on average left out of a search"
        )


def main(argv: list[str] | None = None) -> None:
    """Prints the table of a folder."""
    parser = make_parser()
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    with ending_in_one_line():
        streets = find_streets(args.folder, args.positive_dist_threshold, args.positive_heading_threshold)
        print(f"{machine()}\n\n{args.folder}: {streets}")
        for size in args.image_size:
            print(f"\n## Shorter side {size} pixels\n\n{size_table(streets, size, args)}", flush=True)


def make_parser() -> argparse.ArgumentParser:
    """Builds the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_streets", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("folder", help="images with @ names, or with subfolders database and queries")
    parser.add_argument(
        "--resume_model", nargs="+", default=[SHIPPED], metavar="FILE", help="networks (default: the shipped weights)"
    )
    parser.add_argument("--trunk", metavar="FILE", help="weights of a backbone, below an untrained last layer")
    parser.add_argument("--trunk_backbone", default="MobileNet_V2", help="its name (default: %(default)s)")
    parser.add_argument(
        "--image_size",
        type=int,
        nargs="+",
        default=[160, 96, 128, 224],
        metavar="PIXELS",
        help="shorter sides that images are brought to (default: 160 96 128 224)",
    )
    parser.add_argument(
        "--positive_dist_threshold",
        type=float,
        default=25.0,
        help="metres within which an image is right (default: 25)",
    )
    parser.add_argument(
        "--positive_heading_threshold",
        type=float,
        metavar="DEGREES",
        help="a right image looks the same way within so many degrees (default: any way)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of random weights and of the bootstrap (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    return parser


def find_streets(folder: str, threshold: float, heading_threshold: float | None = None) -> Streets:
    """Reads the names below a folder. Raises UserError if they have no positions, or no query has a right image.

    folder: as the module says
    threshold: metres
    heading_threshold: degrees, or None
    """
    folders = tuple(os.path.join(folder, name) for name in ("database", "queries"))
    alone = not all(map(os.path.isdir, folders))
    folders = (folder, folder) if alone else folders
    images = [ImageFolder(path) for path in folders]
    places = [positions(one.names) for one in images]
    found = find_positives(places[0], places[1], threshold)
    headings = None if heading_threshold is None else [parse_fields(one.names, (HEADING,))[:, 0] for one in images]
    stamps = [np.array([_stamp(name) for name in one.names]) for one in images]
    rows, positives, left_out = [], [], []
    for query, near in enumerate(found):
        skipped = np.array([], np.int64)
        if alone:
            same = (stamps[0][near] == stamps[1][query]) & (stamps[1][query] != "")
            skipped = np.union1d(near[same], [query])
        right = np.setdiff1d(near, skipped)
        if headings is not None:
            right = right[heading_differences(headings[0][right], headings[1][query]) <= heading_threshold]
        if len(right):
            rows.append(query), positives.append(right), left_out.append(skipped)
    if not rows:
        raise UserError(f"no image of {folder} has another within {threshold:g} m: check the folder's names")
    return Streets(folders, positives, left_out, np.array(rows), len(places[0]), len(found))


def _stamp(name: str) -> str:
    return os.path.basename(name).split("@")[_TIMESTAMP]


def size_table(streets: Streets, size: int, args: argparse.Namespace) -> str:
    """The table of all networks at one image size, as Markdown. args: of the command line."""
    device = commons.select_device(args.device)
    found = {title: search(network, streets, size, device) for title, network in networks(args, device)}
    *others, last = found
    chance = chance_recalls(
        [len(rows) for rows in streets.positives],
        streets.num_database - round(np.mean([len(rows) for rows in streets.left_out])),
    )[0]
    rows, column = [], f"R@1 minus that of {last}"
    for title, hits in found.items():
        low, high = recall_intervals(hits)[0]
        recalls = percent(hits)
        row = {"network": title, "R@1 (95% interval)": f"{recalls[0]:.1f} ({low:.1f} to {high:.1f})"}
        row |= {f"R@{n}": f"{recall:.1f}" for n, recall in zip(RECALL_VALUES[1:], recalls[1:], strict=True)}
        if title in others:
            difference = paired_difference(hits, found[last], args.seed)
            (low, high), p = difference.intervals[0], difference.p[0]
            row[column] = f"{difference.values[0]:+.1f} ({low:+.1f} to {high:+.1f}), p {p:.2g}"
        rows.append(row)
    return table(rows, list(rows[0])) + f"\n\nChance R@1: {chance:.1f}"


def networks(args: argparse.Namespace, device: torch.device) -> Iterator[tuple[str, GeoLocalizationNet]]:
    """Yields (title, network): the given ones, one with random weights, and the trunk; each before its last layer too.

    args: of the command line; device: where they are put
    """
    trained = [(os.path.basename(path), load_network(path)) for path in args.resume_model]
    kind, dim = trained[0][1].backbone_name, trained[0][1].fc_output_dim
    commons.set_seed(args.seed)
    every = [*trained, (f"random {kind}", GeoLocalizationNet(kind, dim))]
    if args.trunk:
        commons.set_seed(args.seed)
        trunk = GeoLocalizationNet(args.trunk_backbone, dim, weights=args.trunk)
        every.append((f"{trunk.backbone_name} of {os.path.basename(args.trunk)}, untrained last layer", trunk))
    for title, network in every:
        network = network.eval().to(device)
        yield f"{title}, before the last layer", without_last_layer(network)
        yield title, network


def search(network: GeoLocalizationNet, streets: Streets, size: int, device: torch.device) -> np.ndarray:
    """Whether each query that counts is found at each N of RECALL_VALUES: bool (q, n). Parameters as of nearest."""
    return found_at(nearest(network, streets, size, device)[0], streets.positives, RECALL_VALUES)


def nearest(
    network: GeoLocalizationNet, streets: Streets, size: int, device: torch.device, k: int = max(RECALL_VALUES)
) -> tuple[np.ndarray, np.ndarray]:
    """(predictions int (q, k), similarities float32 (q, k)) of each query that counts, nearest first.

    network: on the device
    streets: the images
    size: shorter side, pixels
    device: where is computed
    k: predictions of each query
    """
    options = ExtractionOptions(32, device)
    database = np.array(extract_descriptors(network, ImageFolder(streets.folders[0], size), options)[0])
    queries = database
    if streets.folders[1] != streets.folders[0]:
        queries = np.array(extract_descriptors(network, ImageFolder(streets.folders[1], size), options)[0])
    return nearest_of(database, queries, streets, k)


def nearest_of(
    database: np.ndarray, queries: np.ndarray, streets: Streets, k: int = max(RECALL_VALUES)
) -> tuple[np.ndarray, np.ndarray]:
    """As nearest, of descriptors.

    database, queries: (n, dim) and (q, dim), of all images
    streets: the images
    k: predictions of each query
    """
    queries = queries[streets.queries]
    predictions, similarities = [], []
    for begin in range(0, len(queries), _BLOCK):
        similarity = queries[begin : begin + _BLOCK] @ database.T
        for row, left_out in enumerate(streets.left_out[begin : begin + _BLOCK]):
            similarity[row, left_out] = -np.inf
        predictions.append(np.argsort(-similarity, axis=1, kind="stable")[:, :k])
        similarities.append(np.take_along_axis(similarity, predictions[-1], axis=1))
    return np.concatenate(predictions), np.concatenate(similarities)


if __name__ == "__main__":
    sys.exit(main())
