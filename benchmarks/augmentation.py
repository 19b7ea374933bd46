"""Jitter, crop and normalisation of a training batch: ours (whole batch) against torchvision's (image by image)."""

import argparse
from collections.abc import Callable

import torch

from augmentations import ColorJitter, RandomResizedCrop, TrainAugmentation
from benchmarks.measure import interleaved, machine, table
from benchmarks.published import Augmentation


def main(argv: list[str] | None = None) -> None:
    """Times both ways in turn and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augmentation", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--batch_size", type=int, default=16, help="images (default: %(default)s)")
    parser.add_argument(
        "--size", type=int, default=512, help="side of the images and of the crops, pixels (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=7, help="timings of each (default: %(default)s)")
    args = parser.parse_args(argv)
    coarse = torch.rand(args.batch_size, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = (
        torch.nn.functional.interpolate(coarse, (args.size, args.size), mode="bicubic")
        .mul(255)
        .clamp(0, 255)
        .to(torch.uint8)
    )
    images = images.to(args.device, memory_format=torch.channels_last)  # as workers hand them over
    floats = images.float().div(255).contiguous()  # the published workers hand over floats
    ours = TrainAugmentation(ColorJitter(0.7, 0.7, 0.7, 0.5), RandomResizedCrop(args.size, scale=(0.5, 1)))
    published = Augmentation(args.size)
    seeds = iter(range(10**6))

    def finished(augment: Callable[[], object]):
        def run():
            augment()
            if images.is_cuda:
                torch.cuda.synchronize()

        return run

    seconds = interleaved(
        {"published": finished(lambda: published(floats)), "ours": finished(lambda: ours(images, next(seeds)))},
        args.repeats,
        warm_up=2,
    )
    rows = [
        {
            "augmentation": name,
            "ms a batch (median)": 1000 * sorted(times)[len(times) // 2],
            "fastest": 1000 * min(times),
        }
        for name, times in seconds.items()
    ]
    print(machine())
    print(
        f"{args.batch_size} images of {args.size} px "
        f"on {torch.cuda.get_device_name() if images.is_cuda else 'the CPU'}, "
        "from what the workers hand over to the network's input\n"
    )
    print(table(rows, list(rows[0]), ratio="ms a batch (median)"))


if __name__ == "__main__":
    main()
