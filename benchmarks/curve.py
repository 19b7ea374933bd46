"""R@1 against training images seen: evaluates the networks of `train.py --keep_every` on the demo's test sets."""

import argparse
import csv
import glob
import logging
import os
import re
import sys

import torch

import commons
from benchmarks.comparison import parse_and_run
from benchmarks.measure import table
from datasets.test_dataset import TestDataset
from demo import TEST_SETS
from model.checkpoints import load_network
from model.network import GeoLocalizationNet
from model.precision import chosen_infer_dtype
from support.errors import UserError
from test import TestOptions, test
from training.acceleration import set_tf32


def main(argv: list[str] | None = None) -> None:
    """Evaluates the kept networks and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curve", description=__doc__)
    add = parser.add_argument
    add("run", help="a run's output folder, with metrics.csv and epoch_<n>.pth")
    add("--folder", default="data/demo", help="the demo's cities (default: %(default)s)")
    add("--resume_model", metavar="FILE", help="the weights that the run began from (default: random ones)")
    add("--batch_size", type=int, default=64, help="the run's training images a step (default: %(default)s)")
    add("--iterations_per_epoch", type=int, default=150, help="the run's (default: %(default)s)")
    add("--image_size", type=int, default=96, help="shorter side of test images, pixels (default: %(default)s)")
    add(
        "--infer_dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="as eval.py's (default: %(default)s)",
    )
    add("--device", default="auto", choices=("auto", "cuda", "mps", "cpu"), help="(default: %(default)s)")
    parse_and_run(parser, run, argv, logging.WARNING)


def run(args: argparse.Namespace) -> None:
    """Evaluates the network before the run, and of each kept epoch. Raises UserError if none was kept."""
    device = commons.select_device(args.device)
    commons.set_seed(0)
    set_tf32(False)
    kept = {int(re.search(r"epoch_(\d+)", path)[1]): path for path in glob.glob(os.path.join(args.run, "epoch_*.pth"))}
    if not kept:
        raise UserError(f"{args.run} holds no epoch_<n>.pth: train with --keep_every")
    validation = {}
    with open(os.path.join(args.run, "metrics.csv"), newline="") as file:
        validation = {int(row["epoch"]) + 1: float(row["R@1"]) for row in csv.DictReader(file)}
    test_sets = {
        title: TestDataset(
            os.path.join(args.folder, folder, "database"),
            os.path.join(args.folder, folder, queries),
            resize=args.image_size,
        )
        for title, folder, queries in TEST_SETS
    }
    trained = load_network(kept[max(kept)])
    dtype = chosen_infer_dtype(args.infer_dtype, trained, device)
    rows = []
    for epoch in [0, *sorted(kept)]:
        path = kept[epoch] if epoch else args.resume_model
        network = load_network(path) if path else GeoLocalizationNet(trained.backbone_name, trained.fc_output_dim)
        network = network.to(device, memory_format=torch.channels_last)
        row = {
            "images seen": f"{epoch * args.batch_size * args.iterations_per_epoch:,}",
            "validation": f"{validation[epoch]:.1f}" if epoch in validation else "",
        }
        for title, dataset in test_sets.items():
            row[title] = f"{test(dataset, network, TestOptions(64, device, 2, dtype)).recall(1):.1f}"
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    print(table(rows, list(rows[0])))


if __name__ == "__main__":
    main()
