"""GeM's activations on signed features: recalls of a folder of real streets, and paired differences from clamp.

The features are those of MobileNetV2 before its last ReLU6, a batch norm's output, of which about half is negative. No
layer is trained: descriptors are the pooled features, for each power p. See benchmarks/real_streets.py for the folder
and the search. With a trunk of ReLU6 as published beside them.
"""

import argparse
import logging
import sys

import torch
from torch import nn

import commons
from benchmarks.measure import machine, table
from benchmarks.real_streets import find_streets, search
from model.choices import GEM_ACTIVATIONS
from model.last_layer import without_last_layer
from model.layers import GeM
from model.network import GeoLocalizationNet
from retrieval.recalls import paired_difference, percent, recall_intervals
from support.errors import ending_in_one_line

POWERS = (1.0, 3.0, 5.0)


def main(argv: list[str] | None = None) -> None:
    """Prints the table of a folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gem_activation", description=__doc__)
    add = parser.add_argument
    add("folder", help="images with @ names")
    add("--trunk", required=True, metavar="FILE", help="weights of a MobileNet_V2")
    add("--image_size", type=int, default=224, metavar="PIXELS", help="shorter side (default: %(default)s)")
    add("--positive_dist_threshold", type=float, default=25.0, help="metres (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the bootstrap (default: %(default)s)")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    with ending_in_one_line():
        streets = find_streets(args.folder, args.positive_dist_threshold)
        print(f"{machine()}\n\n{args.folder}, shorter side {args.image_size}: {streets}\n", flush=True)
        print(activation_table(streets, args))


def activation_table(streets: object, args: argparse.Namespace) -> str:
    """The table, as Markdown. streets: as of find_streets; args: of the command line."""
    commons.set_seed(args.seed)
    published = GeoLocalizationNet("MobileNet_V2", 512, weights=args.trunk).eval()
    found = {}
    for p in POWERS:
        for activation in ("ReLU6, clamp", *GEM_ACTIVATIONS):
            network = without_last_layer(published)
            network.aggregation[1] = GeM(p, activation=activation.rpartition(" ")[2])
            if activation in GEM_ACTIVATIONS:  # the last block is convolution, batch norm, ReLU6
                network.backbone[0][-1][-1] = nn.Identity()
            found[p, activation] = search(network, streets, args.image_size, torch.device("cpu"))
    rows = []
    for (p, activation), hits in found.items():
        low, high = recall_intervals(hits)[0]
        recalls = percent(hits)
        difference = paired_difference(hits, found[p, "clamp"], args.seed)
        (left, right), value = difference.intervals[0], difference.values[0]
        is_reference = activation == "clamp"
        rows.append(
            {
                "p": f"{p:g}",
                "activation": activation,
                "R@1 (95% interval)": f"{recalls[0]:.1f} ({low:.1f} to {high:.1f})",
                "R@5": f"{recalls[1]:.1f}",
                "R@1 minus clamp's": "" if is_reference else f"{value:+.1f} ({left:+.1f} to {right:+.1f})",
            }
        )
    return table(rows, list(rows[0]))


if __name__ == "__main__":
    sys.exit(main())
