"""Descriptors of a folder of images: ours against the published way, and against the network alone.

The network alone describes images that are in memory already, in the same batches: the rest is what reading, resizing,
handing over and storing images costs beside it. bfloat16 is measured where the processor has arithmetic for it;
elsewhere it takes many times as long as float32.
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
from model.inference import Describer
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
                network_cl,
                images,
                ExtractionOptions(args.batch_size, device, num_workers=args.num_workers, dtype=dtype),
            )[0]
        for name, extract in alternatives.items():
            start = time.perf_counter()
            descriptors = extract()
            seconds = time.perf_counter() - start
            reference = descriptors if name == "published" else reference
            row = {
                "descriptors": name,
                "ms an image": 1000 * seconds / len(images),
                "images/s": len(images) / seconds,
                "largest difference": f"{np.abs(descriptors - reference).max():.1e}",
            }
            if name != "published":
                alone = network_alone(network_cl, images, device, getattr(torch, name), args.batch_size)
                row["of the network alone"] = f"{100 * alone / seconds:.0f}%"
            rows.append(row)
    print(machine())
    print(f"{args.backbone}, 512-D, {args.images} JPEG files of {args.size} px, batches of {args.batch_size}\n")
    print(table(rows, list(rows[-1]), ratio="ms an image"))


def network_alone(
    network: GeoLocalizationNet, images: ImageFolder, device: torch.device, dtype: torch.dtype, batch_size: int
) -> float:
    """Returns the seconds that the descriptors of all images take, once they are in memory.

    network: on the device
    images: of one size
    device: where is computed
    dtype: what the backbone computes in
    batch_size: images
    """
    describe = Describer(network, device, dtype)
    batches = torch.stack([image for _, image, _ in images]).split(batch_size)
    describe(batches[0])  # warms up
    start = time.perf_counter()
    for batch in batches:
        describe(batch)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
