"""Where the time of an evaluation goes: its parts alone, their sum against the whole, and the same on paper for a GPU.

Each part is measured alone on this machine: listing names, decoding, the network, storing, search, right images. On a
CPU decoding and network share the cores, so the parts should add up to the whole. On a GPU they run side by side: there
the slowest of reading, decoding, copying and network counts, and the rest is added. The GPU's column is no measurement.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.extraction import network_alone
from benchmarks.knn import unit_vectors
from benchmarks.measure import machine, table
from benchmarks.pictures import make_pictures
from datasets.names import format_name
from datasets.positives import find_positives
from datasets.test_dataset import ImageFolder, TestDataset
from model.network import GeoLocalizationNet
from model.precision import infer_dtype
from retrieval.knn import search
from retrieval.store import DescriptorStore, temporary_store
from test import TestOptions, test

_DIM, _RADIUS = 512, 25.0  # of descriptors; metres
_DISTINCT = 500  # pictures; the other names are links to them
_SAMPLE = 200  # images of the parts that are measured on some of them
# of one NVIDIA H100 SXM, by its data sheet: operations a second in bfloat16 (dense) and in float32
_BFLOAT16, _FLOAT32 = 989e12, 67e12
_PCIE = 63e9  # bytes a second of PCIe 5.0 x16 (PCI-SIG: 32 GT/s, 128b/130b)


class Part(NamedTuple):
    """A part of an evaluation, in seconds."""

    name: str
    here: float  # on all cores of this machine, as many images as were measured
    on_paper: float  # with the GPU, as many images as are asked for
    side_by_side: bool  # whether it runs beside others of this kind on a GPU


def main(argv: list[str] | None = None) -> None:
    """Measures the parts and the whole, and prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.whole_evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--backbone", default="ResNet18", help="(default: %(default)s)")
    add("--images", type=int, default=20_000, help="database images of the check (default: %(default)s)")
    add("--queries", type=int, default=1000, help="(default: %(default)s)")
    add("--size", type=int, default=224, help="side of the check's images, pixels (default: %(default)s)")
    add("--batch_size", type=int, default=16, help="images (default: %(default)s)")
    add("--num_workers", type=int, default=1, help="processes that read images (default: %(default)s)")
    add("--paper_images", type=int, default=2_800_000, help="database images on paper (default: %(default)s)")
    add("--paper_size", type=int, default=512, help="their side, pixels (default: %(default)s)")
    add("--paper_cores", type=int, default=16, help="that decode, each as fast as one here (default: %(default)s)")
    add("--attained", type=float, default=0.1, help="share of the GPU's peak, an assumption (default: %(default)s)")
    add("--disk", type=float, default=2.0, help="GB/s that the disk reads, an assumption (default: %(default)s)")
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    network = GeoLocalizationNet(args.backbone, _DIM).to(memory_format=torch.channels_last).eval()
    dtype, _ = infer_dtype("auto", network, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        database, queries = (os.path.join(folder, name) for name in ("database", "queries"))
        make_links(database, args.images, args.size)
        make_links(queries, args.queries, args.size)
        parts = measure(network, database, dtype, args)
        whole = evaluate(network, database, queries, dtype, args)
    print(machine())
    print(f"{args.backbone}, {_DIM}-D. Here: {args.images} + {args.queries} images of {args.size} px")
    print(
        f"On paper: {args.paper_images} + {args.queries} of {args.paper_size} px; one H100, bfloat16, at "
        f"{100 * args.attained:g}% of its peak; {args.paper_cores} cores\n"
    )
    print(table(rows_of(parts, whole), ["part", "here, s", "share", "on paper, s", "side by side"]))


def rows_of(parts: list[Part], whole: float) -> list[dict]:
    """The rows of the table. whole: seconds of the evaluation here."""
    total = sum(part.here for part in parts)
    rows = [
        {
            "part": part.name,
            "here, s": part.here,
            "share": f"{100 * part.here / total:.1f}%",
            "on paper, s": part.on_paper,
            "side by side": "yes" if part.side_by_side else "",
        }
        for part in parts
    ]
    slowest = max(part.on_paper for part in parts if part.side_by_side)
    paper = slowest + sum(part.on_paper for part in parts if not part.side_by_side)
    rows.append({"part": "all, from the parts", "here, s": total, "share": "100%", "on paper, s": paper})
    rows.append({"part": "all, measured", "here, s": whole, "share": f"{100 * whole / total:.1f}%"})
    return rows


def make_links(folder: str, number: int, size: int) -> None:
    """Makes `number` names of JPEG images, of which at most _DISTINCT are pictures and the others links to them.

    folder: made
    number: of names, 10 m apart on rows of 200
    size: side of the images, pixels
    """
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as pictures:
        paths = make_pictures(pictures, min(number, _DISTINCT), size)
        os.makedirs(folder)
        for index in range(number):
            east, north = 550_005 + 10 * (index % 200), 4_180_005 + 10 * (index // 200)
            name = format_name(east, north, 10, "S", 37.8, -122.4, f"p{index}", "", 0)
            os.link(paths[index % len(paths)], os.path.join(folder, name))


def measure(network: GeoLocalizationNet, database: str, dtype: torch.dtype, args: argparse.Namespace) -> list[Part]:
    """Measures each part of the evaluation alone.

    network: on the CPU
    database: a folder
    dtype: what the backbone computes in
    args: of the command line
    """
    cores, total, wanted = os.cpu_count(), args.images + args.queries, args.paper_images + args.queries
    grown = args.paper_images / args.images
    names, images = timed(lambda: ImageFolder(database))
    some = images.only(range(min(_SAMPLE, len(images))))
    decoding = decoding_seconds(some)
    with tempfile.TemporaryDirectory() as folder:
        larger = make_pictures(folder, min(_SAMPLE, args.images), args.paper_size)
        size = sum(map(os.path.getsize, larger)) / len(larger)  # bytes of a file
        larger_decoding = decoding_seconds(ImageFolder(folder))
    computing = network_alone(network, some, torch.device("cpu"), dtype, args.batch_size) / len(some)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, args.paper_size, args.paper_size))
    rng = np.random.default_rng(0)
    asked = unit_vectors(rng, args.queries, _DIM)
    with contextlib.closing(temporary_store(args.images, _DIM)) as store:
        block = unit_vectors(rng, store.block_size, _DIM)
        storing, _ = timed(lambda: fill(store, block))
        searching, _ = timed(lambda: search(store.descriptors, asked, 100))
    places = rng.uniform(0, 10 * args.images**0.5, (args.images, 2))
    near, _ = timed(lambda: find_positives(places, places[: args.queries], _RADIUS))
    pixels = 3 * args.paper_size**2  # bytes of an image in memory
    operations = 2 * args.paper_images * args.queries * _DIM
    return [
        Part("names", names, names * grown, False),
        Part("reading files", 0.0, wanted * size / (1e9 * args.disk), True),
        Part("decoding", total * decoding / cores, wanted * larger_decoding / args.paper_cores, True),
        Part("copying to the GPU", 0.0, wanted * pixels / _PCIE, True),
        Part("network", total * computing, wanted * counter.get_total_flops() / (_BFLOAT16 * args.attained), True),
        Part("storing descriptors", storing, storing * grown, False),
        Part("search", searching, operations / (_FLOAT32 * args.attained) + wanted * 4 * _DIM / _PCIE, False),
        Part("right images", near, near * grown, False),
    ]


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Returns (seconds, result) of a function without arguments."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def decoding_seconds(images: ImageFolder) -> float:
    """Seconds that one core decodes an image."""
    return timed(lambda: list(images))[0] / len(images)


def fill(store: DescriptorStore, values: np.ndarray) -> None:
    """Writes the same rows to all blocks of a store."""
    for block in store.pending():
        store.write(block, values[: len(store.rows(block))], {})
    store.finish()


def evaluate(
    network: GeoLocalizationNet, database: str, queries: str, dtype: torch.dtype, args: argparse.Namespace
) -> float:
    """Returns the seconds of the whole evaluation, as eval.py does it, without its start and its files.

    network: on the CPU
    database, queries: folders
    dtype: what the backbone computes in
    args: of the command line
    """
    options = TestOptions(batch_size=args.batch_size, num_workers=args.num_workers, dtype=dtype)
    return timed(lambda: test(TestDataset(database, queries, _RADIUS), network, options))[0]


if __name__ == "__main__":
    main()
