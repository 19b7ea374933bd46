"""Descriptors of a folder of images: ours against the published way.

bfloat16 is measured where the processor has arithmetic for it; elsewhere it takes many times as long as float32.
"""

import argparse
import os
import tempfile
import time

import numpy as np
import torch

from benchmarks import published
from benchmarks.measure import machine, sixteen_bits, table
from benchmarks.pictures import make_pictures
from datasets.test_dataset import ImageFolder
from model.network import GeoLocalizationNet
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from training.acceleration import set_tf32


def main(argv: list[str] | None = None) -> None:
    """Times each way once and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extraction", description=__doc__)
    add = parser.add_argument
    add("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    add("--backbone", default="ResNet18", help="(default: %(default)s)")
    add("--images", type=int, default=128, help="JPEG files made for it (default: %(default)s)")
    add("--size", type=int, default=512, help="their side, pixels (default: %(default)s)")
    add("--batch_size", type=int, default=16, help="images (default: %(default)s)")
    add("--num_workers", type=int, default=0, help="(default: %(default)s)")
    args = parser.parse_args(argv)
    device = torch.device(args.device)
    torch.manual_seed(0)
    set_tf32(False)  # of the published too: its descriptors are compared
    network = GeoLocalizationNet(args.backbone, 512).to(device).eval()
    with tempfile.TemporaryDirectory() as folder:
        paths = make_pictures(folder, args.images, args.size)
        images = ImageFolder(folder)
        paths = [os.path.join(folder, name) for name in images.names]
        reference = published.extract(network, paths[: args.batch_size], args.batch_size, 0, device)  # warms up
        rows, alternatives = (
            [],
            {"published": lambda: published.extract(network, paths, args.batch_size, args.num_workers, device)},
        )
        network_cl = GeoLocalizationNet(args.backbone, 512).to(device, memory_format=torch.channels_last)
        network_cl.load_state_dict(network.state_dict())
        for dtype in (torch.float32, *(getattr(torch, name) for name in sixteen_bits(device))):
            alternatives[str(dtype).removeprefix("torch.")] = lambda dtype=dtype: extract_descriptors(
                network_cl, images, ExtractionOptions(args.batch_size, device, args.num_workers, dtype)
            )[0]
        for name, extract in alternatives.items():
            start = time.perf_counter()
            descriptors = extract()
            seconds = time.perf_counter() - start
            reference = descriptors if name == "published" else reference
            rows.append(
                {
                    "descriptors": name,
                    "ms an image": 1000 * seconds / len(images),
                    "images/s": len(images) / seconds,
                    "largest difference": f"{np.abs(descriptors - reference).max():.1e}",
                }
            )
    print(machine())
    print(f"{args.backbone}, 512-D, {args.images} JPEG files of {args.size} px, batches of {args.batch_size}\n")
    print(table(rows, list(rows[0]), ratio="ms an image"))


if __name__ == "__main__":
    main()
