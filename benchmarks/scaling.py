"""What many GPUs would give: a model of a training step's bytes and time, checked against processes on this machine.

A step of K ranks costs the computation of the largest share of the batch, and its collectives. A ring all-reduce of n
bytes takes 2 (K - 1) / K n / bandwidth + 2 (K - 1) latency (Patarasuk and Yuan, 2009), an all-gather half of that.
Nothing overlaps.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import torch

import distributed
from benchmarks.measure import ROOT, launcher, machine, table
from model.heads import CosFace
from model.network import GeoLocalizationNet
from training.objective import Objective
from training.optimizers import MixedPrecision, make_adam
from training.ranks import DataParallel, make_ranks
from training.run import Run
from training.sharded_head import ShardedHead

# (bytes/s each way, seconds a hop, source); latencies are assumptions
LINKS = {
    "NVLink 4": (450e9, 5e-6, "NVIDIA H100: 900 GB/s both ways together"),
    "PCIe 4.0 x16": (31.5e9, 10e-6, "PCI-SIG: 16 GT/s, 128b/130b"),
    "100 Gbit/s": (12.5e9, 30e-6, "IEEE 802.3ba"),
    "25 Gbit/s": (3.125e9, 30e-6, "IEEE 802.3by"),
}
GPUS = (1, 2, 4, 8, 16, 32, 64)
_SIZES = (1 << 12, 1 << 25)  # bytes, of the all-reduces that latency and bandwidth are measured with


def main(argv: list[str] | None = None) -> None:
    """Prints bytes, predictions and the check, or runs one process of the check."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--backbone", default="ResNet18", help="(default: %(default)s)")
    add("--dim", type=int, default=512, help="of descriptors (default: %(default)s)")
    add(
        "--classes",
        type=int,
        default=35_000,
        help="of a group: about SF-XL's with the default groups (default: %(default)s)",
    )
    add("--batch_size", type=int, default=32, help="images a step (default: %(default)s)")
    add(
        "--local_steps",
        type=int,
        default=100,
        help="steps between averages of --parallel groups (default: %(default)s)",
    )
    add(
        "--images_per_second",
        type=float,
        default=222,
        help="of one GPU (default: %(default)s, the published ResNet-18 on an RTX 3090: "
        "50 epochs of 320,000 images in 20 hours)",
    )
    add(
        "--processes",
        type=int,
        nargs="*",
        default=[2, 3],
        help="numbers of local processes to check the model with; none for the paper part alone (default: 2 3)",
    )
    add("--steps", type=int, default=6, help="measured steps of the check (default: %(default)s)")
    add("--image_size", type=int, default=128, help="of the check, pixels (default: %(default)s)")
    add("--check_classes", type=int, default=2000, help="of the check (default: %(default)s)")
    add("--measure_rank", choices=("data", "groups"), help=argparse.SUPPRESS)  # as a rank of the check
    args = parser.parse_args(argv)
    if args.measure_rank:
        with distributed.joined():
            measure_rank(args)
        return
    print(machine() + "\n")
    print_bytes(args)
    print_predictions(args)
    if args.processes:
        print_check(args)


def step_bytes(
    backbone: str, dim: int, classes: int, batch: int, ranks: int, train_all_layers: bool = False
) -> dict[str, int]:
    """Returns {what: bytes that a rank puts into a step's collectives} under --parallel data.

    The ranks share the classes of the head. "replicated head" is what its gradient would be if each had all of them.

    backbone: a name
    dim: of descriptors
    classes: of a group
    batch: images a step, of all ranks
    ranks: how many
    train_all_layers: whether the first layers train too
    """
    with torch.device("meta"):
        network = GeoLocalizationNet(backbone, dim, train_all_layers)
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    statistics = sum(buffer.numel() for buffer in network.buffers() if buffer.is_floating_point())
    return {
        "gradients": 4 * trained,
        "statistics": 4 * statistics,
        "descriptors": 4 * -(-batch // ranks) * dim,
        "descriptors' gradient": 4 * batch * dim,
        "softmax": 4 * 3 * batch,
        "replicated head": 4 * classes * dim,
    }


def collectives_seconds(sizes: dict[str, int], ranks: int, bandwidth: float, latency: float) -> float:
    """Returns the seconds of a data-parallel step's collectives.

    sizes: of step_bytes
    ranks: how many
    bandwidth: bytes a second
    latency: seconds a hop
    """

    def reduce(count: int):
        return 2 * (ranks - 1) / ranks * count / bandwidth + 2 * (ranks - 1) * latency

    gathered = (ranks - 1) * (sizes["descriptors"] / bandwidth + latency)
    # the softmax takes two
    return (
        gathered
        + sum(reduce(sizes[name]) for name in ("gradients", "statistics", "descriptors' gradient", "softmax"))
        + reduce(0)
    )


def print_bytes(args: argparse.Namespace) -> None:
    """Prints the bytes of a step for some networks."""
    rows = []
    for backbone, dim in (("ResNet18", 512), ("ResNet50", 512), ("ResNet50", 2048), ("VGG16", 512)):
        sizes = step_bytes(backbone, dim, args.classes, args.batch_size, 8)
        head = sum(sizes[name] for name in ("descriptors", "descriptors' gradient", "softmax"))
        rows.append(
            {
                "network": f"{backbone}, {dim}-D",
                "trained parameters, MB": sizes["gradients"] / 1e6,
                "batch norms, MB": sizes["statistics"] / 1e6,
                "head shared out, MB": head / 1e6,
                "head replicated, MB": sizes["replicated head"] / 1e6,
                "of that": f"{head / sizes['replicated head']:.2%}",
            }
        )
    print(
        f"Bytes that a rank of 8 puts into a step's collectives, batch {args.batch_size}, "
        f"{args.classes} classes a group\n"
    )
    print(table(rows, list(rows[0])) + "\n")


def print_predictions(args: argparse.Namespace) -> None:
    """Prints the predicted images a second for each link."""
    sizes = {ranks: step_bytes(args.backbone, args.dim, args.classes, args.batch_size, ranks) for ranks in GPUS}
    for link, (bandwidth, latency, source) in LINKS.items():
        rows = []
        for ranks in GPUS:
            row = {"GPUs": ranks}
            for name, batch in (
                ("data, the batch shared", args.batch_size),
                ("data, a batch each", args.batch_size * ranks),
            ):
                seconds = -(-batch // ranks) / args.images_per_second
                if ranks > 1:
                    per_step = step_bytes(args.backbone, args.dim, args.classes, batch, ranks)
                    seconds += collectives_seconds(per_step, ranks, bandwidth, latency)
                row[name] = round(batch / seconds) if batch >= ranks else "-"
            average = (
                2 * (ranks - 1) / ranks * 3 * sizes[ranks]["gradients"] / bandwidth + 6 * (ranks - 1) * latency
                if ranks > 1
                else 0
            )
            seconds = args.batch_size / args.images_per_second + average / args.local_steps
            row["groups, SF-XL processed"] = round(ranks * args.batch_size / seconds) if 8 % ranks == 0 else "-"
            row["groups, SF-XL raw"] = round(ranks * args.batch_size / seconds) if 48 % ranks == 0 else "-"
            rows.append(row)
        print(
            f"Predicted images/s of {args.backbone}, {args.dim}-D, over {link} "
            f"({bandwidth / 1e9:g} GB/s, {source}; {latency * 1e6:g} us a hop, assumed); "
            f"one GPU {args.images_per_second:g}, --local_steps {args.local_steps}\n"
        )
        print(table(rows, list(rows[0])) + "\n")
    for name, groups in (("processed", 8), ("raw", 48)):
        heads = groups * args.classes * args.dim * 12
        print(
            f"SF-XL {name}, {groups} groups: heads and their moments {heads / 1e9:.2g} GB, "
            f"{heads / LINKS['25 Gbit/s'][0]:.1f} s over 25 Gbit/s for each checkpoint"
        )
    print()


def measure_rank(args: argparse.Namespace) -> None:
    """Runs one process of the check. Rank 0 prints JSON: the step's seconds, its bytes, and the all-reduces' times."""
    torch.manual_seed(0)
    device, ranks = torch.device("cpu"), make_ranks(args.measure_rank, args.local_steps, "average")
    network = GeoLocalizationNet(args.backbone, args.dim).to(memory_format=torch.channels_last)
    head, amp = CosFace(args.dim, args.check_classes), MixedPrecision(torch.float32, device)
    run = Run(network, make_adam(network, 1e-5, device), [head], [make_adam(head, 0.01, device)], amp, ranks=ranks)
    ranks.cut_heads(run)
    shards = isinstance(ranks, DataParallel)
    classes = distributed.share(args.check_classes)
    objective = Objective(network, ShardedHead(head, classes, distributed) if shards else head)
    rows = range(args.batch_size)[ranks.share(args.batch_size)]
    images = torch.randn(len(rows), 3, args.image_size, args.image_size)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(args.check_classes, (args.batch_size,))
    seconds, once = [], {}
    for step in range(-2, args.steps):
        distributed.barrier()
        distributed.traffic.clear()
        start = time.perf_counter()
        for optimizer in (run.optimizer, *run.head_optimizers):
            optimizer.zero_grad(set_to_none=True)
        sum(objective(images, labels).values()).backward()
        ranks.reduce_gradients(run, [head])
        once = dict(distributed.traffic)
        for optimizer in (run.optimizer, *run.head_optimizers):
            optimizer.step()
        distributed.barrier()
        if step >= 0:
            seconds.append(time.perf_counter() - start)
    reduced = {size: min(_timed_reduction(size) for _ in range(5)) for size in _SIZES} if distributed.size() > 1 else {}
    if distributed.is_main():
        print(json.dumps({"seconds": min(seconds), "bytes": once, "reduced": reduced}))


def _timed_reduction(size: int):
    tensors = [torch.ones(size // 8) for _ in range(2)]
    distributed.barrier()
    start = time.perf_counter()
    distributed.sum_flat(tensors, "measured")  # with the copies that a CPU's memory makes slow
    return time.perf_counter() - start


def run_ranks(args: argparse.Namespace, ranks: int, batch: int, kind: str = "data") -> dict:
    """Runs measure_rank in processes with a thread each. Returns its JSON.

    args: the arguments
    ranks: how many processes
    batch: images a step
    kind: of --parallel
    """
    command = [
        *launcher(ranks),
        "-m",
        "benchmarks.scaling",
        "--measure_rank",
        kind,
        "--batch_size",
        batch,
        "--backbone",
        args.backbone,
        "--dim",
        args.dim,
        "--steps",
        args.steps,
        "--image_size",
        args.image_size,
        "--check_classes",
        args.check_classes,
    ]
    output = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ).stdout
    return json.loads(output.splitlines()[-1])


def print_check(args: argparse.Namespace) -> None:
    """Compares the model's prediction for local processes with measurement.

    Unlike GPUs, processes on one CPU slow each other down. So the prediction takes the step of as many processes that
    communicate nothing, and this machine's all-reduces.
    """
    rows, cores = [], len(os.sched_getaffinity(0))
    for ranks in args.processes:
        largest = -(-args.batch_size // ranks)
        alone, beside = (run_ranks(args, number, largest, "groups")["seconds"] for number in (1, ranks))
        many = run_ranks(args, ranks, args.batch_size)
        small, large = (many["reduced"][str(size)] for size in (_SIZES[0], _SIZES[-1]))
        latency = small / (2 * (ranks - 1))
        bandwidth = 2 * (ranks - 1) / ranks * _SIZES[-1] / max(large - small, 1e-9)
        sizes = step_bytes(args.backbone, args.dim, args.check_classes, args.batch_size, ranks)
        expected = {name: count for name, count in sizes.items() if name != "replicated head"}
        predicted = beside + collectives_seconds(sizes, ranks, bandwidth, latency)
        rows.append(
            {
                "processes": ranks,
                "step of its share alone, ms": 1e3 * alone,
                "beside the others, ms": 1e3 * beside,
                "all-reduce, GB/s": bandwidth / 1e9,
                "predicted, ms": 1e3 * predicted,
                "measured, ms": 1e3 * many["seconds"],
                "measured / predicted": many["seconds"] / predicted,
                "bytes predicted": sum(expected.values()),
                "bytes measured": sum(many["bytes"].values()),
            }
        )
    print(
        f"{args.backbone}, {args.image_size} px, batch {args.batch_size}, {args.check_classes} classes, "
        f"on {cores} cores, a thread a process (the fastest step)\n"
    )
    print(table(rows, list(rows[0])))


if __name__ == "__main__":
    main()
