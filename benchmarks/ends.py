"""How long a script takes to end after the last line of its log, for each kind of end, with workers and with ranks.

The time runs until the last of its processes is gone. The write of a checkpoint comes before that line.
"""

import argparse
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from tqdm import tqdm

from benchmarks.measure import ROOT, machine, table

_LAST = "Experiment finished"
_LIMIT = 300  # seconds for a script
# what the last rank does in the middle of a step (train) or of an extraction (eval), and the exit code of all ranks
KINDS = {"normal": 0, "signal": 128 + signal.SIGTERM, "user's error": 2, "bug": 1}
_EVAL = (
    "--backbone MobileNet_V2 --backbone_weights none --device cpu --no_descriptors_cache --resize_test_imgs "
    "--image_size 64"
).split()
_SCRIPT = """
import os, sys
sys.path.insert(0, {root!r})
import pytest
import train, eval
from retrieval import store
from support.errors import UserError
from tests.failures import at_step, before, send

def bug(): raise ValueError("a bug")
def error(): raise UserError("fix it")

action = {{"signal": send(15), "user's error": error, "bug": bug}}.get({kind!r})
if action and os.environ["RANK"] == str(int(os.environ["WORLD_SIZE"]) - 1):
    if {script!r} == "train":
        at_step(pytest.MonkeyPatch(), 4, action)
    else:
        before(pytest.MonkeyPatch(), store.DescriptorStore, "write", lambda *_: True, action)
sys.exit({script}.main())
"""


def main(argv: list[str] | None = None) -> None:
    """Runs the scripts and prints the table. Raises SystemExit with 1 if one ends in a wrong way or takes over 5 s."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ends", description=__doc__)
    add = parser.add_argument
    add("--scripts", nargs="+", default=["train", "eval"], choices=["train", "eval"], help="default: both")
    add("--workers", nargs="+", type=int, default=[0, 4], help="values of --num_workers (default: 0 4)")
    add("--ranks", nargs="+", type=int, default=[1, 2], help="numbers of processes (default: 1 2)")
    args = parser.parse_args(argv)
    rows = []
    with tempfile.TemporaryDirectory(prefix="ends_") as folder:
        from tests.tiny import make_tiny

        make_tiny(f"{folder}/data", size=512)  # workers are busy decoding
        cases = list(itertools.product(args.scripts, args.ranks, args.workers, KINDS))
        for script, ranks, workers, kind in tqdm(cases, desc="Ends", unit="run", disable=None):
            rows.append(measure(script, kind, ranks, workers, folder))
            tqdm.write(str(rows[-1]), file=sys.stderr)
    print(machine())
    print(table(rows, list(rows[0])))
    if any(row["exit codes"] != row["expected"] or row["until the end, s"] > 5 for row in rows):
        raise SystemExit(1)


def measure(script: str, kind: str, ranks: int, workers: int, folder: str) -> dict:
    """Runs a script that ends in one way. Returns a row of the table.

    script: train or eval
    kind: one of KINDS
    ranks: processes
    workers: of each
    folder: the working folder, with the data set in data
    """
    from tests.tiny import SHORT

    flags = SHORT if script == "train" else _EVAL
    code = _SCRIPT.format(root=ROOT, kind=kind, script=script)
    flags = [*flags, "--dataset_folder", "data", "--num_workers", str(workers)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    receiver, sender = os.pipe()  # its end is the end of all processes that hold it
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, *flags],
            cwd=folder,
            env=os.environ | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=sender,
        )
        for rank in range(ranks)
    ]
    os.close(sender)
    last, lines = time.monotonic(), []
    with open(receiver, errors="replace") as errors:
        for line in errors:
            lines.append(line)
            if _LAST in line:
                last = time.monotonic()
    codes = [process.wait(_LIMIT) for process in started]
    if not any(_LAST in line for line in lines):
        sys.stderr.writelines(lines)
    return {
        "script": script,
        "end": kind,
        "ranks": ranks,
        "workers": workers,
        "until the end, s": time.monotonic() - last,
        "exit codes": " ".join(map(str, codes)),
        "expected": " ".join([str(KINDS[kind])] * ranks),
    }


if __name__ == "__main__":
    sys.exit(main())
