"""Where the seconds of the demo's training and evaluation go: this tree against an earlier commit."""

import argparse
import csv
import glob
import os
import re
import subprocess
import sys
import tempfile

from benchmarks.measure import ROOT, machine, table

PUBLISHED_WAY = "ae40d85"  # the last commit before data path, augmentation, extraction and search were made faster


def main(argv: list[str] | None = None) -> None:
    """Runs both trees in turn and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_runs", description=__doc__)
    add = parser.add_argument
    add("--before", default=PUBLISHED_WAY, metavar="COMMIT", help="what to compare with (default: %(default)s)")
    add(
        "--folder", default="data/demo", help="the demo's cities, rendered if they are not there (default: %(default)s)"
    )
    add("--epochs_num", type=int, default=3, help="epochs of 76 steps of 64 images (default: %(default)s)")
    add("--repeats", type=int, default=1, help="runs of each, in turn; the fastest counts (default: %(default)s)")
    args = parser.parse_args(argv)
    runs = {"before": [], "after": []}
    with tempfile.TemporaryDirectory() as folder:
        before = os.path.join(folder, "before")
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", before, args.before], check=True)
        try:
            for _ in range(args.repeats):
                for name, tree in (("before", before), ("after", ROOT)):
                    runs[name].append(measure(tree, os.path.abspath(args.folder), args.epochs_num))
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", before], check=True)
    best = {name: min(values, key=lambda phases: phases["all"]) for name, values in runs.items()}
    print(machine())
    print(f"demo.py with --epochs_num {args.epochs_num}; before: {args.before}\n")
    print(
        table(
            [
                {
                    "phase": phase,
                    "before, s": best["before"][phase],
                    "after, s": best["after"][phase],
                    "ratio": f"{best['before'][phase] / max(best['after'][phase], 1e-9):.2f}x",
                }
                for phase in best["before"]
            ],
            ["phase", "before, s", "after, s", "ratio"],
        )
    )


def measure(tree: str, data: bytes, epochs: int) -> dict[str, float]:
    """Runs a tree's demo.py in a folder of its own. Returns {phase: seconds}."""
    recipe = os.path.join(tree, "recipes/demo_from_scratch.txt")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            os.path.join(tree, "demo.py"),
            "--folder",
            data,
            "--recipe",
            recipe if os.path.exists(recipe) else os.path.join(tree, "recipes/demo.txt"),  # its former name
            "--preds",
            "0",
            "--epochs_num",
            str(epochs),
        ]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        output = glob.glob(os.path.join(folder, "logs", "*", "*"))[0]
        with open(os.path.join(output, "metrics.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        with open(os.path.join(output, "results.md")) as file:
            phases = {
                name: float(seconds)
                for name, seconds in re.findall(r"^\| (train|evaluate) \| (\d+)", file.read(), re.M)
            }
    batches = sum(76 * 64 / float(row["images_per_second"]) for row in rows)
    validation = sum(float(row["seconds"]) for row in rows) - batches
    return {
        "training steps": batches,
        "validation": validation,
        "start, checkpoints, the best model's test": phases["train"] - batches - validation,
        "evaluation: 4 test sets, trained and untrained": phases["evaluate"],
        "all": phases["train"] + phases["evaluate"],
    }


if __name__ == "__main__":
    main()
