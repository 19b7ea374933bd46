"""How long a training takes to end after a signal, at random moments of its steps and validations.

The time runs until the last of its processes is gone. It includes the write of the checkpoint.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from tqdm import tqdm

from benchmarks.measure import ROOT, machine, table

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def main(argv: list[str] | None = None) -> None:
    """Runs the trainings and prints the table. Raises SystemExit with 1 if one ends in a wrong way."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signals", description=__doc__)
    add = parser.add_argument
    add(
        "--folder",
        default="data/demo/city1",
        help="the demo's city (python -m demo_city renders it; default: %(default)s)",
    )
    add("--recipe", default="recipes/demo_from_scratch.txt", help="of the training (default: %(default)s)")
    add(
        "--runs",
        type=int,
        default=6,
        help="trainings that get a signal, SIGTERM, SIGUSR1 and SIGINT in turn (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="draws the moments (default: %(default)s)")
    args = parser.parse_args(argv)
    rng, rows = random.Random(args.seed), []
    for index in tqdm(range(args.runs), desc="Signals", unit="run", disable=None):
        with tempfile.TemporaryDirectory(prefix="signals_") as folder:
            # epochs of few steps: as many moments in validations as in steps
            command = [
                sys.executable,
                os.path.join(ROOT, "train.py"),
                f"@{os.path.abspath(args.recipe)}",
                "--iterations_per_epoch",
                "8",
                "--dataset_folder",
                os.path.abspath(args.folder),
            ]
            rows.append(measure(command, folder, _SIGNALS[index % len(_SIGNALS)], rng.uniform(0, 10)))
    print(machine())
    print(table(rows, list(rows[0])))
    if any(row["exit code"] != row["expected"] or row["checkpoint"] == "none" for row in rows):
        raise SystemExit(1)


def measure(command: list[str], folder: str, number: signal.Signals, delay: float) -> dict:
    """Starts a training, sends all its processes a signal, and waits for their end. Returns a row of the table.

    command: the training
    folder: its working folder
    number: the signal
    delay: seconds from its first steps to the signal
    """
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        for line in process.stderr:
            if "Epoch 00" in line:
                break
        time.sleep(delay)
        start = time.monotonic()
        os.killpg(process.pid, number)
        errors = process.stderr.read()  # until the last process that holds it is gone
        code = process.wait()
    seconds = time.monotonic() - start
    written = re.findall(r"A checkpoint of (.*) is written", errors)
    return {
        "signal": number.name,
        "after, s": delay,
        "until the end, s": seconds,
        "exit code": code,
        "expected": 128 + number,
        "checkpoint": written[0] if written else "none",
    }


if __name__ == "__main__":
    sys.exit(main())
