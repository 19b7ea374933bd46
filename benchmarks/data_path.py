"""Training images a second from one worker process: ours (whole uint8 batches) against the published way."""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterable

import torch

from benchmarks.measure import machine, table
from benchmarks.pictures import make_pictures
from benchmarks.published import ImageDataset
from datasets.groups import open_groups
from datasets.schedule import Schedule
from datasets.train_dataset import TrainDataset, make_loader


def main(argv: list[str] | None = None) -> None:
    """Times both loaders in turn and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_path", description=__doc__)
    parser.add_argument("--pictures", type=int, default=192, help="JPEG files made for it (default: %(default)s)")
    parser.add_argument("--size", type=int, default=512, help="their side, pixels (default: %(default)s)")
    parser.add_argument("--batch_size", type=int, default=32, help="images (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=12, help="batches timed each time (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="timings of each, in turn (default: %(default)s)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        train = os.path.join(folder, "train")
        paths = make_pictures(train, args.pictures, args.size, classes=args.pictures // 4)
        groups = open_groups(train, 10, 30, 1, 1, 1, cache_folder=os.path.join(folder, "cache"))
        steps = args.batches + 2
        ours = TrainDataset(
            train, groups, Schedule([groups.num_classes(0)], args.batch_size, steps, args.repeats + 1, 0)
        )
        rates = {"published": [], "ours": []}
        for repeat in range(args.repeats):
            published = torch.utils.data.DataLoader(
                ImageDataset(paths * (1 + steps * args.batch_size // len(paths))),
                args.batch_size,
                shuffle=True,
                num_workers=1,
                drop_last=True,
            )
            for name, loader in (("published", published), ("ours", make_loader(ours, repeat * steps, 1, False))):
                rates[name].append(rate(loader, args.batches) * args.batch_size)
    rows = [
        {
            "path": name,
            "images/s a worker (median)": sorted(values)[len(values) // 2],
            "best": max(values),
            "ms an image": 1000 / sorted(values)[len(values) // 2],
        }
        for name, values in rates.items()
    ]
    print(machine())
    print(f"JPEGs of {args.size} px, batches of {args.batch_size}, one worker, its start not counted\n")
    print(table(rows, list(rows[0]), ratio="ms an image"))


def rate(loader: Iterable, batches: int) -> float:
    """Returns batches a second, not counting the first."""
    iterator = iter(loader)
    next(iterator)
    start = time.perf_counter()
    for _ in itertools.islice(iterator, batches):
        pass
    return batches / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
