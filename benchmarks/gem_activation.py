"""GeM's activations on signed features: recalls of a folder of real streets, and paired differences from clamp.

The features are those of MobileNetV2 before its last ReLU6: a batch norm's output, which is negative in many places. No
layer is trained: descriptors are the pooled features, for each power p. Those after ReLU6 stand beside them. The folder
has images with @ names all together, and is searched as by benchmarks/real_streets.py.
"""

import argparse
import logging
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.measure import machine, table
from benchmarks.real_streets import RECALL_VALUES, Streets, find_streets, nearest_of
from datasets.test_dataset import ImageFolder
from model.choices import GEM_ACTIVATIONS
from model.layers import GeM
from model.network import GeoLocalizationNet
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.recalls import found_at, paired_difference, percent, recall_intervals
from support.errors import ending_in_one_line

POWERS = (1.0, 3.0, 5.0)
RELU6 = "ReLU6, then clamp"  # as published


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


class Poolings(nn.Module):
    """Signed feature maps to the pooled features of all ways, each of unit length, one after the other."""

    def __init__(self):
        super().__init__()
        self.ways = [(p, activation) for p in POWERS for activation in (RELU6, *GEM_ACTIVATIONS)]

    def forward(self, features: torch.Tensor) -> torch.Tensor:  # (B, C, h, w) -> (B, ways * C)
        pooled = []
        for p, activation in self.ways:
            is_cut = activation == RELU6
            x = F.normalize(F.relu6(features) if is_cut else features, dim=1)
            pooled.append(F.normalize(GeM(p, activation="clamp" if is_cut else activation)(x).flatten(1), dim=1))
        return torch.cat(pooled, dim=1)


@torch.no_grad()
def activation_table(streets: Streets, args: argparse.Namespace) -> str:
    """The table, as Markdown. streets: the images, each a query; args: of the command line."""
    network = GeoLocalizationNet("MobileNet_V2", 512, weights=args.trunk).eval()
    network.backbone[0][-1][-1] = nn.Identity()  # the last block is convolution, batch norm, ReLU6
    poolings = network.aggregation = Poolings()
    network.fc_output_dim = 1280 * len(poolings.ways)
    images = ImageFolder(streets.folders[0], args.image_size)
    pooled = extract_descriptors(network, images, ExtractionOptions(16))[0]
    found = {}
    for number, way in enumerate(poolings.ways):
        descriptors = np.array(pooled[:, 1280 * number : 1280 * (number + 1)])
        found[way] = found_at(nearest_of(descriptors, descriptors, streets)[0], streets.positives, RECALL_VALUES)
    rows = []
    for (p, activation), hits in found.items():
        low, high = recall_intervals(hits)[0]
        recalls = percent(hits)
        difference = paired_difference(hits, found[p, "clamp"], args.seed)
        (left, right), value = difference.intervals[0], difference.values[0]
        rows.append(
            {
                "p": f"{p:g}",
                "activation": activation,
                "R@1 (95% interval)": f"{recalls[0]:.1f} ({low:.1f} to {high:.1f})",
                "R@5": f"{recalls[1]:.1f}",
                "R@1 minus clamp's": "" if activation == "clamp" else f"{value:+.1f} ({left:+.1f} to {right:+.1f})",
            }
        )
    return table(rows, list(rows[0]))


if __name__ == "__main__":
    sys.exit(main())
