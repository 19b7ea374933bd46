"""Whether the memory of a training and its workers grows, over thousands of iterations and many validations.

Memory is PSS: what a process holds of its own, and its share of what several hold. The sum over a training and its
workers is what they take of the machine; RSS would count pages that workers share with their parent once for each.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from tqdm import tqdm

from benchmarks.measure import ROOT, machine, table

_EVERY = 0.25  # seconds between two samples
_MIB = 2**20


def main(argv: list[str] | None = None) -> None:
    """Runs the training and prints the table. Raises SystemExit with 1 if memory grows by more than --allowed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    add = parser.add_argument
    add(
        "--folder",
        default="data/demo/city1",
        help="the demo's city (python -m demo_city renders it; default: %(default)s)",
    )
    add("--iterations", type=int, default=5000, help="in all (default: %(default)s)")
    add("--validations", type=int, default=20, help="epochs, each with a validation (default: %(default)s)")
    add("--num_workers", type=int, default=2, help="processes that decode images (default: %(default)s)")
    add(
        "--allowed",
        type=float,
        default=2.0,
        help="percent that memory may grow after the first validation (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    if args.validations < 3:
        parser.error(
            "--validations must be at least 3: the first warms up, the second is what others are compared with"
        )
    flags = f"""--dataset_folder {os.path.abspath(args.folder)}
        --M 15 --alpha 30 --N 3 --L 2 --groups_num 2 --min_images_per_class 3
        --backbone MobileNet_V2 --fc_output_dim 64 --backbone_weights none --train_all_layers
        --batch_size 8 --image_size 32 --resize_test_imgs --infer_batch_size 32 --lr 0.001
        --epochs_num {args.validations}
        --iterations_per_epoch {args.iterations // args.validations} --num_workers {args.num_workers}""".split()
    with tempfile.TemporaryDirectory(prefix="memory_") as folder:
        samples, seconds = watch([sys.executable, os.path.join(ROOT, "train.py"), *flags], folder, args.validations)
    epochs = [summarize(samples, epoch) for epoch in range(args.validations)]
    print(machine())
    print(
        f"{args.iterations // args.validations * args.validations} iterations and "
        f"{args.validations} validations in {seconds:.0f} s\n"
    )
    print(
        table(
            [
                {"epoch": epoch, **{f"{name}, MiB": f"{value / _MIB:.1f}" for name, value in row.items()}}
                for epoch, row in enumerate(epochs)
            ],
            ["epoch", *(f"{name}, MiB" for name in epochs[0])],
        )
    )
    later = epochs[1:]  # after the first validation
    growth = {name: trend([row[name] for row in later]) for name in later[0]}
    print(
        "\ngrowth after the first validation, by the median slope: "
        + ", ".join(f"{name} {percent:+.2f}%" for name, percent in growth.items())
        + f"; the highest epoch is {100 * (max(row[ALL] for row in later) / later[0][ALL] - 1):+.2f}% above epoch 1"
    )
    if growth[ALL] > args.allowed:
        raise SystemExit(1)


MAIN, WORKERS, ALL = "training", "workers", "all"


def summarize(samples: list[tuple[int, int, int]], epoch: int) -> dict[str, int]:
    """Returns the median memory of an epoch's steps, {kind: bytes}. Raises SystemExit without samples of it."""
    rows = sorted((main + workers, main, workers) for when, main, workers in samples if when == epoch)
    if not rows:
        raise SystemExit(f"epoch {epoch} was too short to be sampled: give more --iterations")
    together, own, workers = rows[len(rows) // 2]
    return {MAIN: own, WORKERS: workers, ALL: together}


def trend(values: Sequence[float]) -> float:
    """Returns how much a series grows from its beginning to its end, in percent.

    Taken from the median slope of all pairs (Theil and Sen), which single epochs do not change.
    """
    slopes = [(values[j] - values[i]) / (j - i) for i in range(len(values)) for j in range(i + 1, len(values))]
    return 100 * statistics.median(slopes) * (len(values) - 1) / statistics.median(values)


def watch(command: list[str], folder: str, epochs: int) -> tuple[list[tuple[int, int, int]], float]:
    """Runs a training in a folder, and samples its memory during the epochs' steps.

    Returns ([(epoch, PSS of the training, PSS of its workers), ...] in bytes, seconds). Raises SystemExit if it fails.
    """
    start, samples = time.monotonic(), []
    path = os.path.join(folder, "output.txt")
    with (
        open(path, "ab") as output,
        subprocess.Popen(command, cwd=folder, stderr=output) as process,
        tqdm(total=epochs, desc="Memory", unit="epoch", disable=None) as progress,
    ):
        while process.poll() is None:
            time.sleep(_EVERY)
            with open(path) as file:
                text = file.read()
            validated, stepped = text.count(": R@1: "), text.count(", loss = ")
            progress.update(min(validated, epochs) - progress.n)
            if validated == stepped < epochs and "Validation set" in text:
                samples.append((validated, pss(process.pid), sum(map(pss, children(process.pid)))))
        if process.returncode:
            with open(path) as file:
                raise SystemExit(f"the training failed:\n{file.read()[-4000:]}")
    return samples, time.monotonic() - start


def pss(pid: int) -> int:
    """Returns the proportional set size of a process in bytes, 0 once it has ended (Linux)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return 0


def children(pid: int) -> list[int]:
    """Returns the ids of a process's children (Linux)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]
    return []


if __name__ == "__main__":
    sys.exit(main())
