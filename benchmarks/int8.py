"""A network in 8 bits against itself in 32: the size of the file, images a second, and recall@1.

Both are ONNX files, run by onnxruntime. Speed is of images in memory. Recall is of folders as benchmarks.real_streets
takes them: `database` and `queries` in it, or each image a query in all others.
"""

import argparse
import os
import tempfile

import numpy as np
import torch

import export
from benchmarks.measure import interleaved, machine, table
from benchmarks.real_streets import find_streets, search
from model.onnx_network import OnnxNetwork
from retrieval.recalls import paired_difference, percent


def main(argv: list[str] | None = None) -> None:
    """Writes both files, and prints the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.int8", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folders", nargs="*", metavar="FOLDER", help="test sets (default: none, so that only speed is measured)")
    add("--resume_model", required=True, metavar="FILE", help="a checkpoint or a name of the model zoo")
    add("--calibration", required=True, metavar="FOLDER", help="images that the ranges of 8 bits are taken from")
    add("--image_size", type=int, default=224, help="shorter side of all images, pixels (default: %(default)s)")
    add("--batch_size", type=int, default=8, help="images described at once (default: %(default)s)")
    add("--repeats", type=int, default=10, help="times that each is timed (default: %(default)s)")
    add("--threads", type=int, default=torch.get_num_threads(), help="of both (default: all cores: %(default)s)")
    add("--seed", type=int, default=0, help="of the bootstrap and the calibration images (default: %(default)s)")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    print(machine(), "\n")
    with tempfile.TemporaryDirectory() as folder:
        networks = write(args, folder)
        print(speed_table(args, networks), "\n")
        if args.folders:
            print(recall_table(args, networks))


def write(args: argparse.Namespace, folder: str) -> dict[str, OnnxNetwork]:
    """Writes both files into a folder, and opens them."""
    common = ["--resume_model", args.resume_model, "--output"]
    paths = {kind: os.path.join(folder, f"{kind}.onnx") for kind in ("float32", "int8")}
    export.main([*common, paths["float32"]])
    calibration = ["--int8", args.calibration, "--image_size", str(args.image_size), "--seed", str(args.seed)]
    export.main([*common, paths["int8"], *calibration])
    return {kind: OnnxNetwork(path) for kind, path in paths.items()}


def speed_table(args: argparse.Namespace, networks: dict[str, OnnxNetwork]) -> str:
    """Returns the table of sizes and images a second, medians of args.repeats batches."""
    images = torch.randn(args.batch_size, 3, args.image_size, args.image_size)
    times = interleaved({kind: lambda n=network: n(images) for kind, network in networks.items()}, args.repeats, 2)
    rows = []
    for kind, network in networks.items():
        seconds = float(np.median(times[kind]))
        megabytes = os.path.getsize(network.path) / 1e6
        rows.append(
            {
                "file": kind,
                "MB": f"{megabytes:.1f}",
                "images/s": args.batch_size / seconds,
                "ms an image": 1e3 * seconds / args.batch_size,
            }
        )
    return table(rows, list(rows[0]), ratio="ms an image")


def recall_table(args: argparse.Namespace, networks: dict[str, OnnxNetwork]) -> str:
    """Returns the table of recall@1 of each folder in both kinds of numbers."""
    rows = []
    for folder in args.folders:
        streets = find_streets(folder, 25.0)
        found = {
            kind: search(network, streets, args.image_size, torch.device("cpu")) for kind, network in networks.items()
        }
        difference = paired_difference(found["int8"], found["float32"], args.seed)
        (low, high), p = difference.intervals[0], difference.p[0]
        rows.append(
            {
                "folder": os.path.basename(os.path.normpath(folder)),
                "queries": len(streets.queries),
                **{kind: f"{percent(hits)[0]:.1f}" for kind, hits in found.items()},
                "int8 minus float32": f"{difference.values[0]:+.1f} ({low:+.1f} to {high:+.1f}), p {p:.2g}",
            }
        )
    return table(rows, list(rows[0]))


if __name__ == "__main__":
    main()
