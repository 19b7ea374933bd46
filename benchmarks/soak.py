"""A training that is killed again and again and resumed, for minutes: are its memory and its open files flat?

Every part between two kills is a `python train.py ... --resume_train auto` of its own. Memory is PSS, as in
benchmarks.memory, and is sampled during the steps alone. Open files are those of the training and of its workers.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.measure import ROOT, machine, table
from benchmarks.memory import children, pss, trend
from distributed.failures import is_alive

_EVERY = 1.0  # seconds between two samples
_WARM_UP = 30  # seconds after the first step that do not count: imports, the first validation, caches of allocators
_MIB = 2**20


def main(argv: list[str] | None = None) -> None:
    """Runs the parts and prints the table. Raises SystemExit with 1 if anything grows or a part does not go on."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    add = parser.add_argument
    add(
        "--folder",
        default="data/demo/city1",
        help="the demo's city (python -m demo_city renders it; default: %(default)s)",
    )
    add("--minutes", type=float, default=20, help="in all (default: %(default)s)")
    add("--kill_every", type=float, default=120, help="seconds between two kills (default: %(default)s)")
    add("--num_workers", type=int, default=2, help="processes that decode images (default: %(default)s)")
    add("--allowed", type=float, default=2.0, help="percent that memory may grow (default: %(default)s)")
    args = parser.parse_args(argv)
    flags = f"""--dataset_folder {os.path.abspath(args.folder)} --save_dir soak --resume_train auto
        --M 15 --alpha 30 --N 3 --L 2 --groups_num 2 --min_images_per_class 3
        --backbone MobileNet_V2 --fc_output_dim 64 --backbone_weights none --train_all_layers
        --batch_size 8 --image_size 32 --resize_test_imgs --infer_batch_size 32 --lr 0.001
        --epochs_num 100000 --iterations_per_epoch 250 --num_workers {args.num_workers}""".split()
    command = [sys.executable, os.path.join(ROOT, "train.py"), *flags]
    parts = []
    with tempfile.TemporaryDirectory(prefix="soak_") as folder:
        until = time.monotonic() + 60 * args.minutes
        while (seconds := min(args.kill_every, until - time.monotonic())) > _WARM_UP:
            parts.append(run_part(command, folder, seconds, resumes=bool(parts)))
            print(f"part {len(parts) - 1}: {parts[-1]}", file=sys.stderr, flush=True)
    rows = [{"part": index, **part} for index, part in enumerate(parts)]
    print(machine())
    print(f"{len(parts)} parts of up to {args.kill_every:.0f} s, each ended by SIGKILL\n")
    print(table(rows, list(rows[0])))
    growth = trend([part["memory, MiB"] for part in parts])
    print(f"\nmemory over all parts, by the median slope: {growth:+.2f}%")
    within = statistics.median(part["growth within, %"] for part in parts)
    print(f"memory within a part, by the median slope: {within:+.2f}% (median of the parts)")
    files = {part["open files"] for part in parts}
    print(f"open files: {min(files)} to {max(files)}")
    if max(growth, within) > args.allowed or len(files) > 1 or any(part["outlived"] for part in parts):
        raise SystemExit(1)


def run_part(command: list[str], folder: str, seconds: float, resumes: bool) -> dict[str, float]:
    """Runs a training for some seconds, kills it, and returns a row of the table.

    command: the training
    folder: its working folder
    seconds: from its start to the kill
    resumes: whether it must go on from the part before it

    Raises SystemExit if it ends by itself, or does not go on.
    """
    path, start, first = os.path.join(folder, "output.txt"), time.monotonic(), None
    memory, files, epochs, family = [], [], 0, set()
    with open(path, "wb") as output, subprocess.Popen(command, cwd=folder, stderr=output) as process:
        while time.monotonic() - start < seconds:
            time.sleep(_EVERY)
            if process.poll() is not None:
                raise SystemExit(f"the training ended with {process.returncode}:\n{_read(path)[-4000:]}")
            family = {process.pid, *children(process.pid)}
            text = _read(path)
            epochs, stepped = text.count(": R@1: "), text.count(", loss = ")
            if first is None and epochs:
                first = time.monotonic()
            if first and time.monotonic() - first > _WARM_UP and epochs == stepped:  # steps, not a validation
                memory.append(sum(map(pss, family)))
                files.append(sum(map(open_files, family)))
        process.send_signal(signal.SIGKILL)
    if not memory or resumes != ("Resuming at epoch" in _read(path)):
        raise SystemExit(f"no step was sampled, or the training did not go on:\n{_read(path)[-4000:]}")
    time.sleep(1)  # the system ends workers when their parent ends
    return {
        "epochs": epochs,
        "memory, MiB": round(statistics.median(memory) / _MIB, 1),
        "growth within, %": round(trend(memory), 2),
        "open files": statistics.mode(files),
        "outlived": sum(map(is_alive, family)),
    }


def open_files(pid: int) -> int:
    """Returns how many files a process has open, 0 once it has ended (Linux)."""
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def _read(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
