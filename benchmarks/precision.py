"""16 bits against float32, and the two memory layouts, by network: what the rules of model/precision.py rest on.

On a processor without 16-bit arithmetic bfloat16 takes seconds per image. Its times are of one pass then. With
ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 a newer processor computes as an older one does.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.measure import machine, table
from model.inference import fold_batch_norm
from model.network import GeoLocalizationNet
from model.precision import name_of

_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
_LONG = 5.0  # seconds after which one pass is enough


def main(argv: list[str] | None = None) -> None:
    """Times each network in each layout and type, and prints a table for each network."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    add = parser.add_argument
    add("--backbones", nargs="+", default=["ResNet18", "MobileNet_V2"], help="(default: %(default)s)")
    add("--size", type=int, default=512, help="side of the images, pixels (default: %(default)s)")
    add("--batch_size", type=int, default=1, help="images a pass (default: %(default)s)")
    add("--repeats", type=int, default=7, help="passes, the median of which counts (default: %(default)s)")
    add("--train", action="store_true", help="time forward and backward passes in training mode")
    args = parser.parse_args(argv)
    print(machine())
    what = "forward and backward" if args.train else "descriptors"
    for backbone in args.backbones:
        print(f"\n{backbone}, 512-D, {args.batch_size} images of {args.size} px, {what}\n")
        rows = measure(backbone, args)
        print(table(rows, list(rows[0]), ratio="ms an image"))


def measure(backbone: str, args: argparse.Namespace) -> list[dict]:
    """The rows of a network: contiguous float32, to which the others are compared, comes first."""
    rows = []
    for layout, memory_format in _LAYOUTS.items():
        network = GeoLocalizationNet(backbone, 512, args.train)
        network = network.train() if args.train else fold_batch_norm(network)
        network = network.to(memory_format=memory_format)
        images = torch.rand(args.batch_size, 3, args.size, args.size).contiguous(memory_format=memory_format)
        for dtype in (torch.float32, torch.bfloat16):
            seconds = median_seconds(pass_of(network, images, dtype, args.train), args.repeats)
            rows.append({"layout": layout, "type": name_of(dtype), "ms an image": 1000 * seconds / args.batch_size})
    return rows


def pass_of(network: torch.nn.Module, images: torch.Tensor, dtype: torch.dtype, train: bool) -> Callable[[], None]:
    """A function that runs one pass.

    network: in training or evaluation mode
    images: float32 (B, 3, H, W)
    dtype: what the network computes in
    train: whether gradients are computed too
    """

    def run() -> None:
        autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype != torch.float32)
        with torch.set_grad_enabled(train), autocast:
            descriptors = network(images)
        if train:
            descriptors.float().square().sum().backward()

    return run


def median_seconds(run: Callable[[], None], repeats: int) -> float:
    """The median time of a function; of one call alone if that takes long."""
    seconds = []
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
        if seconds[0] > _LONG:
            return seconds[0]
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
