"""Kills a training again and again, resumes it, and compares its end bit by bit with an uninterrupted run.

Then it damages checkpoints on purpose. Most runs are forked from a process that has imported PyTorch, which saves
seconds a start. SIGKILL does the same to them as to any process. The others are a `python train.py` of their own.
"""

import argparse
import csv
import glob
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time

import torch
from tqdm import tqdm

import train
from benchmarks.damage import damage
from benchmarks.killing import Outcome, Place, run, run_process
from benchmarks.measure import machine, table
from benchmarks.pictures import make_pictures
from model.checkpoints import load_network
from support.files import read_tensors

FLAGS = (
    "--M 10 --alpha 30 --N 2 --L 1 --groups_num 2 --min_images_per_class 2 --backbone MobileNet_V2 --fc_output_dim 32 "
    "--backbone_weights none --train_all_layers --image_size 32 --batch_size 8 --epochs_num 4 --iterations_per_epoch 5 "
    "--lr 0.001 --checkpoint_every 2 --resume_train auto --device cpu"
).split()
# in the order in which a run reaches them
STARTING = (
    Place(
        "the cache of a folder's walk",
        "support.array_cache:save",
        lambda path, header, arrays: header["kind"] == "listing",
    ),
    Place(
        "the cache of the groups", "support.array_cache:save", lambda path, header, arrays: header["kind"] == "groups"
    ),
)
TRAINING = (
    Place("an iteration", "train:Objective.__call__"),
    Place("the write of a checkpoint", "training.run_files:write_tensors"),
    Place("the reading back of a checkpoint", "support.files:check_sums", lambda path: path.endswith(".tmp")),
    Place("the renaming of a checkpoint", "support.files:_keep_as"),
    Place("the write of the best model", "training.checkpoints:write_tensors"),
    Place("the validation", "train:test"),
    Place(
        "the validation's descriptors", "retrieval.store:DescriptorStore.write", lambda store, *_: store.folder is None
    ),
    Place("the write of metrics.csv", "training.metrics:Metrics.add"),
    Place("the end of an epoch", "train:Run.end_epoch"),
    Place("the resuming of a run", "training.resuming:keep_best_model"),
)
TESTING = (
    Place("the making of the test's store", "retrieval.cache:create_store"),
    Place(
        "the test's descriptors", "retrieval.store:DescriptorStore.write", lambda store, *_: store.folder is not None
    ),
    Place("the completion of the test's store", "retrieval.store:FolderStore.finish"),
)
ANYWHERE, PROCESS = "any moment", "any moment of a python train.py"
_PLACES_A_RUN = 3  # of TRAINING or ANYWHERE
_PROCESSES_A_RUN = 3  # of PROCESS, at most
_TIMING = ("seconds", "images_per_second")


def main(argv: list[str] | None = None) -> None:
    """Runs the campaign and prints its tables. Raises SystemExit with 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill_test", description=__doc__)
    add = parser.add_argument
    add(
        "--kills",
        type=int,
        default=100,
        help="times that a run is killed, in about a fifth as many trainings (default: %(default)s)",
    )
    add(
        "--process_kills",
        type=int,
        default=30,
        help="how many of them at least are of a `python train.py`, not of a fork (default: %(default)s)",
    )
    add("--damages", type=int, default=300, help="times that a checkpoint is damaged (default: %(default)s)")
    add("--seed", type=int, default=0, help="draws the moments (default: %(default)s)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)  # forked processes have no threads of ours to wait for
    with tempfile.TemporaryDirectory(prefix="kill_test_") as folder:
        campaign = Campaign(folder, random.Random(args.seed))
        campaign.kill(args.kills, args.process_kills)
        found = damage(campaign.whole_run, args.damages, args.seed)
    print(machine())
    print(
        f"{args.kills} kills in {campaign.trainings} trainings, "
        f"{campaign.kills.get(PROCESS, 0)} of them of a python train.py, not of a fork, in "
        f"{campaign.seconds:.0f} s; the uninterrupted run takes {campaign.whole_seconds:.1f} s\n"
    )
    print(
        table([{"killed in": name, "kills": kills} for name, kills in campaign.kills.items()], ["killed in", "kills"])
    )
    print(
        "\ntrainings that ended as the uninterrupted one: "
        f"{campaign.trainings - len(campaign.differences)} of {campaign.trainings}; "
        f"processes that outlived a kill: {campaign.survivors}\n"
    )
    print(
        table(
            [{"checkpoints damaged": name, **counts} for name, counts in found.items()],
            ["checkpoints damaged", "number", "named", "harmless (the same tensors)", "missed"],
        )
    )
    for difference in campaign.differences:
        print(f"DIFFERENCE: {difference}")
    missed = sum(counts["missed"] for counts in found.values())
    if campaign.differences or campaign.survivors or missed:
        raise SystemExit(1)


class Campaign:
    """Kills trainings, resumes them, and compares their ends with the uninterrupted run.

    kills: {place: number}
    differences: a line for each training that ended in another way
    survivors: processes that outlived a kill
    """

    def __init__(self, folder: str, rng: random.Random):
        self.folder, self.rng = folder, rng
        self.trainings = self.survivors = self.seconds = 0
        self.kills, self.differences, self._turn = {}, [], 0
        data = os.path.join(folder, "data")
        for part, number in {
            "train": 120,
            "val/database": 24,
            "val/queries": 24,
            "test/database": 24,
            "test/queries": 24,
        }.items():
            make_pictures(os.path.join(data, part), number, size=48, classes=24, seed=len(part) * 10 + number)
        self.flags = ["--dataset_folder", data, *FLAGS]
        work, start = self._work_folder("whole"), time.monotonic()
        outcome = run(train, [*self.flags, "--num_workers", "0"], work, measured=(*STARTING, *TRAINING, *TESTING))
        self.whole_seconds = time.monotonic() - start
        self.whole_run = self._log_folder(work, outcome)
        self.durations = json.loads(outcome.told)
        self.whole = end_of(self.whole_run)
        # so that forked runs find the architectures that it compares with in memory
        load_network(os.path.join(self.whole_run, "best_model.pth"))

    def _work_folder(self, name: str):
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path

    def _log_folder(self, work: str, outcome: Outcome):
        """Returns the run's log folder: the one with a checkpoint, since earlier kills leave folders without one.

        Raises RuntimeError with the run's output if it failed.
        """
        checkpoints = glob.glob(os.path.join(work, "logs", "*", "*", "last_checkpoint.pth"))
        if outcome.code or len(checkpoints) != 1:
            with open(os.path.join(work, "output.txt"), errors="replace") as file:
                raise RuntimeError(
                    f"a run ended with {outcome.code} and {len(checkpoints)} checkpoints:\n{file.read()[-4000:]}"
                )
        return os.path.dirname(checkpoints[0])

    def kill(self, number: int, of_processes: int = 0) -> None:
        """Kills trainings until there were `number` kills, and `of_processes` of a `python train.py` among them."""
        start = time.monotonic()
        with tqdm(total=number, desc="Kills", unit="kill", disable=None) as progress:
            while True:
                before = sum(self.kills.values())
                processes = max(0, of_processes - self.kills.get(PROCESS, 0))
                left = max(number - before, processes)
                if not left:
                    break
                self._train(left, processes)
                progress.update(sum(self.kills.values()) - before)
        self.seconds = time.monotonic() - start

    def _train(self, left: int, processes: int):
        """Runs a training that is killed at most `left` times, and then ends.

        processes: how many of the kills that are left must be of a `python train.py`.
        """
        work, kills = self._work_folder(f"training_{self.trainings}"), 0
        flags = [*self.flags, "--num_workers", str(self.trainings % 2)]
        self.trainings += 1
        outcome = None
        for place in self._plan(processes) if left > processes else [PROCESS] * processes:
            outcome = self._attempt(place, flags, work)
            if not outcome.killed:
                break
            name = place if isinstance(place, str) else place.name
            self.kills[name] = self.kills.get(name, 0) + 1
            self.survivors += outcome.survivors
            kills += 1
            if kills == left:
                break
        if outcome.killed:
            outcome = run(train, flags, work)
        try:
            found = differences(self.whole, end_of(self._log_folder(work, outcome)))
        except RuntimeError as error:
            found = [str(error)]
        if found:
            self.differences.append(f"training {self.trainings - 1}: " + "; ".join(found[:10]))
        shutil.rmtree(work)

    def _plan(self, processes: int):
        """Chooses where a training is killed, in the order in which it gets there. All places have their turn."""
        choices = [*TRAINING, ANYWHERE, ANYWHERE]
        middle = [choices[(self._turn + i) % len(choices)] for i in range(_PLACES_A_RUN)]
        self._turn += _PLACES_A_RUN
        middle += [PROCESS] * min(_PROCESSES_A_RUN, processes)
        self.rng.shuffle(middle)
        return [STARTING[self.trainings % len(STARTING)], *middle, TESTING[self.trainings % len(TESTING)]]

    def _attempt(self, place: Place | str, flags: list[str], work: str):
        if place == ANYWHERE:
            return run(train, flags, work, seconds=self.rng.uniform(0, self.whole_seconds))
        if place == PROCESS:
            return run_process(train, flags, work, self.rng.uniform(0, self.whole_seconds))
        durations = self.durations[place.name] or [0.0]
        nth = 1 if place in TESTING else self.rng.randint(1, max(1, min(3, len(durations))))
        return run(train, flags, work, place, nth, self.rng.uniform(0, 1) * sorted(durations)[len(durations) // 2])


def end_of(folder: str) -> dict:
    """Returns what a run ends with, except times: plain values and tensors."""
    with open(os.path.join(folder, "metrics.csv"), newline="") as file:
        rows = [{name: value for name, value in row.items() if name not in _TIMING} for row in csv.DictReader(file)]
    with open(os.path.join(folder, "info.log")) as file:
        tested = re.findall(r"< test - .*?>: R@1.*", file.read())[-1:]
    return {
        "metrics.csv": rows,
        "test": tested,
        **{name: read_tensors(os.path.join(folder, name)) for name in ("last_checkpoint.pth", "best_model.pth")},
    }


def differences(a: object, b: object, where: str = "") -> list[str]:
    """Names what differs, bit by bit, in two values of dicts, lists, tensors and plain values."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        same = (
            a.dtype == b.dtype
            and a.shape == b.shape
            and torch.equal(a.flatten().view(torch.uint8), b.flatten().view(torch.uint8))
        )
        return [] if same else [where]
    if isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b):
        return [found for key in a for found in differences(a[key], b[key], f"{where}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [
            found
            for index, (x, y) in enumerate(zip(a, b, strict=True))
            for found in differences(x, y, f"{where}/{index}")
        ]
    return [] if type(a) is type(b) and a == b else [f"{where} ({str(a)[:60]} / {str(b)[:60]})"]


if __name__ == "__main__":
    sys.exit(main())
