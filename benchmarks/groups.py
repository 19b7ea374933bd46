"""From millions of image names to classes and groups, against the published way written plainly: seconds and memory.

`python -m benchmarks.groups` writes a seeded list of names like SF-XL's, and runs each way in a process of its own,
ours before and after the reference. Seconds are from the call to groups that can be read, imports not counted; memory
is the process's RssAnon, sampled by this one every 5 ms from /proc/<pid>/status.
"""

import argparse
import collections
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.measure import child, machine, private_dirty, rss_anon, table
from datasets.groups import Groups, open_groups
from datasets.names import images_list_path

M, ALPHA, N, L, MINIMUM = 10, 30, 5, 2, 10  # the published defaults
_PART = 1 << 20  # names made at a time, sorted within a part
_CROPS = 12  # headings a panorama
_VISITS = 12  # panoramas a cell of 10 m, on average
_BLOCK = 100  # metres a block of houses
_LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8)


def main(argv: list[str] | None = None) -> None:
    """Runs each way in a process of its own, or one way (--role) in this process."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.groups", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images",
        type=int,
        default=5_600_000,
        help="names in the list; SF-XL has 5,600,000, raw 41,200,000. The "
        "reference needs about 1.8 kB of memory a name (default: %(default)s)",
    )
    parser.add_argument("--only_ours", action="store_true", help="leave the reference out")
    parser.add_argument(
        "--samples", type=int, default=10_000, help="samples that each worker draws (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=2, help="DataLoader workers (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the list (default: %(default)s)")
    parser.add_argument(
        "--scratch",
        default=tempfile.gettempdir(),
        help="where the list (115 bytes a name) and the caches go, and are deleted in the end (default: %(default)s)",
    )
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)  # a process of its own for each
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.role:
        print(json.dumps(ROLES[args.role](args)))
    else:
        report(args)


def report(args: argparse.Namespace) -> None:
    """Writes the list, runs all ways and prints the tables."""
    print(machine())
    with tempfile.TemporaryDirectory(prefix="groups_", dir=args.scratch) as scratch:
        folder = os.path.join(scratch, "train")
        start = time.perf_counter()
        write_list(folder, args.images, args.seed)
        size = os.path.getsize(images_list_path(folder))
        print(f"{args.images} names, {size / 1e6:.0f} MB, made in {time.perf_counter() - start:.0f} s\n")

        rows, results = [], []
        for role in ["ours"] if args.only_ours else ["ours", "reference", "ours"]:
            result, peak = child("benchmarks.groups", "--role", role, "--folder", folder)
            results.append(result["groups"])
            rows.append({"way": role, "seconds": result["seconds"], "peak MB": peak / 1e6})
        if any(result != results[0] for result in results):
            sys.exit("the reference and ours disagree on the groups")
        rows.sort(key=lambda row: row["way"], reverse=True)
        print(f"{len(results[0])} groups, {sum(classes for classes, _ in results[0])} classes, the same in all runs\n")
        print(table(rows, ["way", "seconds", "peak MB"], None if args.only_ours else "seconds"))
        if not args.only_ours:
            print(f"\nMemory: {rows[0]['peak MB'] / max(row['peak MB'] for row in rows[1:]):.1f} times less")

        result, _ = child("benchmarks.groups", "--role", "open", "--folder", folder)
        print(
            f"\nOpening the cache and looking at its {result['groups']} groups: {min(result['seconds']):.4f} s "
            f"(slowest of {len(result['seconds'])}: {max(result['seconds']):.4f} s), "
            f"{result['growth'] / 1e6:.1f} MB more than before, {result['process'] / 1e6:.1f} MB in all"
        )
        print(f"The same when the list has another time: its digest is verified in {result['touched']:.2f} s")
        result, _ = child(
            "benchmarks.groups",
            "--role",
            "workers",
            "--folder",
            folder,
            "--samples",
            args.samples,
            "--workers",
            args.workers,
        )
        for way, growth in result.items():
            grown = ", ".join(f"{value / 1e6:.1f}" for value in growth)
            print(
                f"Each of {args.workers} workers grew over {args.samples} samples (names, no images) by: "
                f"{grown} MB, {way}"
            )


def write_list(folder: str, images: int, seed: int) -> None:
    """Writes `<folder>_images_paths.txt`: panoramas along streets over several years, each cut into 12 headings."""
    os.makedirs(folder)
    rng = np.random.default_rng(seed)
    with (
        open(images_list_path(folder), "wb") as file,
        tqdm(total=images, desc="Names", unit="img", disable=None, leave=False) as progress,
    ):
        for begin in range(0, images, _PART):
            part = sorted(make_names(rng, min(_PART, images - begin)))
            file.write(b"".join(part))
            if not begin:  # the one image that is looked for
                first = os.path.join(folder, part[0].decode().rstrip())
                os.makedirs(os.path.dirname(first))
                open(first, "wb").close()
            progress.update(len(part))


def make_names(rng: np.random.Generator, images: int) -> list[bytes]:
    """Returns lines of this many names, as bytes."""
    panoramas = -(-images // _CROPS)
    blocks = max(1, panoramas * 10 // (_VISITS * _BLOCK))
    corner = rng.integers(0, 100, (blocks, 2)) * _BLOCK  # of a city of 10 km x 10 km
    block = rng.integers(0, blocks, panoramas)
    along = rng.uniform(0, _BLOCK, panoramas)[:, None] * np.eye(2)[rng.integers(0, 2, blocks)][block]
    grid = corner[block] + along + rng.normal(0, 2, (panoramas, 2))  # 2 m: lanes and errors of GPS
    angle = np.deg2rad(9)  # the streets do not run along the axes
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    east, north = (grid @ rotation + (545_000, 4_173_000)).T
    latitude, longitude = 37.70 + (north - 4_173_000) / 111_000, -122.49 + (east - 545_000) / 88_000
    offset = rng.choice([0.0, 9.0, 81.0], panoramas) + rng.normal(0, 3, panoramas)  # cameras look along their streets
    ids = _LETTERS[rng.integers(0, len(_LETTERS), (panoramas, 22))].view("S22")[:, 0]
    dates = rng.integers(2007, 2022, panoramas) * 100 + rng.integers(1, 13, panoramas)
    lines = []
    for e, n, lat, lon, pano, first, date in zip(
        east.tolist(),
        north.tolist(),
        latitude.tolist(),
        longitude.tolist(),
        ids.tolist(),
        offset.tolist(),
        dates.tolist(),
        strict=True,
    ):
        head = f"{lat:.2f}/@{e:010.2f}@{n:010.2f}@10@S@{lat:09.5f}@{lon:010.5f}@{pano.decode()}@@"
        lines += [
            f"{head}{(first + turn) % 360:06.2f}@@@@{date}@@.jpg\n".encode() for turn in range(0, 360, 360 // _CROPS)
        ]
    return lines[:images]


def ours(args: argparse.Namespace) -> dict:
    """Builds the groups without a cache."""
    cache = args.folder + "_cache"
    shutil.rmtree(cache, ignore_errors=True)
    start = time.perf_counter()
    groups = open_groups(args.folder, M, ALPHA, N, L, MINIMUM, cache)
    return {"seconds": time.perf_counter() - start, "groups": summary(groups)}


def summary(groups: Groups) -> list[list[int]]:
    """Returns [classes, images] of each group."""
    return [[groups.num_classes(group), groups.num_group_images(group)] for group in range(groups.num_groups)]


def reference(args: argparse.Namespace) -> dict:
    """The published way. It also reads its file back for every group, which is not counted: pickle could run code."""
    start = time.perf_counter()
    with open(images_list_path(args.folder)) as file:
        paths = file.read().splitlines()
    fields = [path.split("@") for path in paths]
    values = np.array([(field[1], field[2], field[9]) for field in fields]).astype(np.float64)
    ids = [class_and_group(*value) for value in values]
    images_per_class = collections.defaultdict(list)
    for path, (class_id, _) in zip(paths, ids, strict=True):
        images_per_class[class_id].append(path)
    images_per_class = {class_id: images for class_id, images in images_per_class.items() if len(images) >= MINIMUM}
    classes_per_group = collections.defaultdict(set)
    for class_id, group_id in ids:
        if class_id in images_per_class:
            classes_per_group[group_id].add(class_id)
    groups = [list(classes) for classes in classes_per_group.values()]
    torch.save((groups, images_per_class), args.folder + "_reference.torch")
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "groups": [[len(group), sum(len(images_per_class[c]) for c in group)] for group in groups],
    }


def class_and_group(east: float, north: float, heading: float) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Returns class and group of an image, as the paper defines them."""
    class_id = int(east // M * M), int(north // M * M), int(heading // ALPHA * ALPHA)
    return class_id, (class_id[0] % (M * N) // M, class_id[1] % (M * N) // M, class_id[2] % (ALPHA * L) // ALPHA)


def opening(args: argparse.Namespace) -> dict:
    """Times the opening of a cache that is there."""
    before, seconds = rss_anon(), []
    for _ in range(7):
        start = time.perf_counter()
        groups = open_groups(args.folder, M, ALPHA, N, L, MINIMUM, args.folder + "_cache")
        for group in range(min(8, groups.num_groups)):
            (
                groups.num_classes(group),
                groups.num_group_images(group),
                groups.image_name(groups.image_indices(group, 0)[0]),
            )
        seconds.append(time.perf_counter() - start)
    process = rss_anon()
    os.utime(images_list_path(args.folder), (1e9, 1e9))
    start = time.perf_counter()
    open_groups(args.folder, M, ALPHA, N, L, MINIMUM, args.folder + "_cache")
    return {
        "seconds": seconds,
        "growth": process - before,
        "process": process,
        "touched": time.perf_counter() - start,
        "groups": min(8, groups.num_groups),
    }


class Draws(torch.utils.data.Dataset):
    """Calls `draw` with a random generator for each item. An item is (its worker, that worker's private memory).

    The memory is read at every 100th item, and else 0.
    """

    def __init__(self, draw: Callable[[np.random.Generator], object], items: int):
        self.draw, self.items = draw, items

    def __len__(self):
        return self.items

    def __getitem__(self, item: int):
        self.draw(np.random.default_rng(item))
        worker = torch.utils.data.get_worker_info()
        return worker.id, private_dirty() if item // worker.num_workers % 100 == 0 else 0


def workers(args: argparse.Namespace) -> dict[str, list[int]]:
    """Returns the growth of each worker with our groups, and with a list of 500,000 names for comparison."""
    groups = open_groups(args.folder, M, ALPHA, N, L, MINIMUM, args.folder + "_cache")
    listed = [groups.image_name(index) for index in range(min(groups.num_images, 500_000))]

    def from_groups(rng: np.random.Generator):  # a group, a class of it, an image of that, as in training
        group = int(rng.integers(min(8, groups.num_groups)))
        images = groups.image_indices(group, rng.integers(groups.num_classes(group)))
        return groups.image_name(images[rng.integers(len(images))])

    def from_list(rng: np.random.Generator):
        return [listed[index] for index in rng.integers(0, len(listed), 32)]

    growth = {}
    for way, draw in (("our groups", from_groups), ("a list of 500,000 strings instead, 32 a sample", from_list)):
        loader = torch.utils.data.DataLoader(
            Draws(draw, args.samples * args.workers), batch_size=None, num_workers=args.workers
        )
        seen = collections.defaultdict(list)
        for worker, memory in loader:
            seen[worker].append(memory)
        growth[way] = [max(memory) - memory[0] for _, memory in sorted(seen.items())]
    return growth


ROLES = {"ours": ours, "reference": reference, "open": opening, "workers": workers}

if __name__ == "__main__":
    sys.exit(main())
