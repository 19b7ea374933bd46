"""Memory and images a second of backbones, in training and in inference, beside ResNet-18 in the same run.

Weights are random, images lie in memory, and each figure has a process of its own. A training step is a batch forward
and back with a step of Adam, with the layers trained that train.py trains. Inference is what describes test images.
Memory is the largest RssAnon of a process, less that with the libraries alone: weights, gradients and moments count.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.measure import machine, peak_rss_anon, rss_anon, table
from model.inference import Describer
from model.network import GeoLocalizationNet
from training.optimizers import make_adam

REFERENCE = "ResNet18"
BACKBONES = (REFERENCE, "timm/vit_small_patch14_dinov2", "timm/vit_base_patch14_dinov2")


def main(argv: list[str] | None = None) -> None:
    """Measures each backbone and prints the tables of training and of inference."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backbones", description=__doc__)
    add = parser.add_argument
    add("--backbones", nargs="+", default=BACKBONES, metavar="NAME", help="(default: %(default)s)")
    add("--size", type=int, default=224, help="side of the images, pixels (default: %(default)s)")
    add("--batch_size", type=int, default=16, help="images (default: %(default)s)")
    add("--repeats", type=int, default=5, help="batches timed, of which the median counts (default: %(default)s)")
    add("--train_all_layers", action="store_true", help="train the first layers too")
    args = parser.parse_args(argv)
    names = dict.fromkeys([REFERENCE, *args.backbones])
    print(machine())
    print(f"512-D, batches of {args.batch_size} images of {args.size} px on the CPU, float32")
    for what, prepare in (("training", training_step), ("inference", inference)):
        rows = [_in_its_own_process(prepare, name, args) for name in names]
        for row in rows:
            row["images/s"] = 1000 / row["ms an image"]
        columns = ["backbone", "parameters, 10^6", "trained, 10^6", "memory, MB", "images/s", "ms an image"]
        print(f"\n## {what.capitalize()}\n\n{table(rows, columns, ratio='ms an image')}", flush=True)


def training_step(network: GeoLocalizationNet, images: torch.Tensor) -> Callable[[], None]:
    """Returns a function that trains on a batch. images: uint8 (B, 3, H, W)."""
    network, floats = network.train(), images.float() / 255
    optimizer = make_adam(network, 1e-5, torch.device("cpu"))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        network(floats).sum().backward()
        optimizer.step()

    return step


def inference(network: GeoLocalizationNet, images: torch.Tensor) -> Callable[[], None]:
    """Returns a function that describes a batch. images: uint8 (B, 3, H, W)."""
    describe = Describer(network, "cpu")
    return lambda: describe(images)


def measure(prepare: Callable, name: str, args: argparse.Namespace) -> dict:
    """Measures a backbone in this process. Returns its row."""
    torch.manual_seed(0)
    before = rss_anon()
    with peak_rss_anon() as peak:
        network = GeoLocalizationNet(name, 512, args.train_all_layers).to(memory_format=torch.channels_last)
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
        images = torch.randint(0, 256, (args.batch_size, 3, args.size, args.size), dtype=torch.uint8)
        run, seconds = prepare(network, images.contiguous(memory_format=torch.channels_last)), []
        for _ in range(args.repeats + 1):  # the first warms up
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    return {
        "backbone": name,
        "parameters, 10^6": sum(size for size, _ in sizes) / 1e6,
        "trained, 10^6": sum(size for size, trained in sizes if trained) / 1e6,
        "memory, MB": (peak.bytes - before) / 1e6,
        "ms an image": 1000 * statistics.median(seconds[1:]) / args.batch_size,
    }


def _in_its_own_process(prepare: Callable, name: str, args: argparse.Namespace) -> dict:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (prepare, name, args))


if __name__ == "__main__":
    main()
