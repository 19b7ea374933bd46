"""Whether two commits are the same program: the figures of a fixed set of small runs on two source trees, compared.

    python -m benchmarks.same_program measure TREE A.json     on each of two trees
    python -m benchmarks.same_program compare A.json B.json   what is equal
    python -m benchmarks.same_program write OLD FOLDER        caches, and a run that is interrupted
    python -m benchmarks.same_program continue NEW FOLDER     reads the caches, ends the run, compares its weights

Everything goes through the scripts' command lines, on one thread of the CPU, and so works for other layouts of a tree.
Weights are compared bit by bit: run all four on one machine.
"""

import argparse
import csv
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import table
from benchmarks.pictures import make_pictures
from demo import SHIPPED

FLAGS = (
    "--M 10 --alpha 30 --N 2 --L 1 --groups_num 2 --min_images_per_class 2 --backbone ResNet18 --fc_output_dim 32 "
    "--backbone_weights none --train_all_layers --batch_size 4 --epochs_num 2 --iterations_per_epoch 3 --image_size 64"
).split()
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
CPU = "--device cpu --num_workers 0".split()
TARGET = ["--target_dataset_folder", "{data}/night"]
TRAININGS = {
    **{loss: ["--loss", loss] for loss in ("cosface", "arcface", "sphereface", "emms")},
    **{method: ["--domain_adaptation", method, *TARGET] for method in ("grl", "aada")},
    "fda_pp": ["--night_augmentation", "fda_pp", *TARGET],
    "joint groups": ["--group_schedule", "iteration", "--local_steps", "1"],
    "cosine schedule": "--lr_schedule cosine --augmentation_type none --freeze_bn --keep_every 1".split(),
}
LONGER = "--epochs_num 4 --iterations_per_epoch 8 --checkpoint_every 1 --resume_train auto --save_dir run".split()
EVALUATION = "--save_descriptors npy --save_pairs 3 --save_sfm_pairs 2 --num_preds_to_save 2".split()
# one file for every tree
FIXED = str(Path(__file__).parents[1] / SHIPPED)
# names that exist in both layouts
GROUPS = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from datasets.groups import open_groups
groups = open_groups(sys.argv[2], 10, 30, 2, 1, 2, cache_folder="cache")
ids = [groups.class_ids(g).tolist() for g in range(groups.num_groups)]
name, images = groups.image_name, groups.image_indices
names = [[[name(i) for i in images(g, c)] for c in range(len(ids[g]))] for g in range(len(ids))]
print(json.dumps({"class ids": ids, "digest": hashlib.sha256(json.dumps(names).encode()).hexdigest()}))
"""
# log lines that the published code writes too
PUBLISHED = r"(The outputs|Using|Validation set|Test set|Epoch|Trained for|<|R@|Resum|Experiment)"
# times, and the part of a cache's name that depends on the data's folder
TIMES = r"^[-\d]+ [:\d]+\s+|\d+:\d\d:\d\d|\d{4}-\d\d-\d\d_[-\d]+|_[0-9a-f]{16}\b"
STATE = ("model_state_dict", "optimizer_state_dict", "classifiers_state_dict", "optimizers_state_dict", "epoch_num")
GONE = {"random_state"}  # of a checkpoint's keys: no longer saved


def main(argv: list[str] | None = None) -> int:
    """Returns 0 if all is equal, else 1."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.same_program", description=__doc__, formatter_class=form)
    parser.add_argument("command", choices=("measure", "compare", "write", "continue"))
    parser.add_argument("first", metavar="TREE_OR_FILE", help="a source tree; for compare a file of figures")
    parser.add_argument("second", metavar="FILE_OR_FOLDER", help="of figures; or what `write` made")
    args = parser.parse_args(argv)
    first, second = os.path.abspath(args.first), os.path.abspath(args.second)
    if args.command == "measure":
        Path(second).write_text(json.dumps(measure(first), indent=1))
    elif args.command == "write":
        write(first, second)
    if args.command in ("measure", "write"):
        return 0
    rows = go_on(first, second) if args.command == "continue" else compare(first, second)
    print(table(rows, list(rows[0])))
    return int(any(row["equal"] == "NO" for row in rows))


def measure(tree: str) -> dict:
    """Returns the figures of a tree: {what: {figure: plain value}}."""
    figures, models = {}, {}
    with tempfile.TemporaryDirectory(prefix="same_program_") as folder:
        data = make_data(os.path.join(folder, "data"))
        for name, flags in TRAININGS.items():
            output = train(tree, os.path.join(folder, "train", name), data, *flags)
            figures[f"training, {name}"] = training_figures(output) | output_figures(output, tree, folder)
            models[name] = os.path.join(output, "best_model.pth")
        for name, model in (("the trained network", models["cosface"]), ("a fixed network", FIXED)):
            output = evaluate(tree, os.path.join(folder, "eval", name), data, model)
            descriptors = np.load(os.path.join(output, "queries_descriptors.npy"), allow_pickle=False)
            first = {"first descriptor": descriptors[0, :8].tolist()}
            figures[f"evaluation, {name}"] = output_figures(output, tree, folder) | first
        figures["groups"] = json.loads(run([sys.executable, "-c", GROUPS, tree, os.path.join(data, "train")], folder))
        soup = os.path.join(folder, "soup.pth")
        flags = ["--ingredients", models["cosface"], models["arcface"], "--method", "greedy", "--output", soup]
        run([sys.executable, os.path.join(tree, "soup.py"), "--dataset_folder", data, *flags, *CPU], folder)
        rows = re.sub(TIMES, "", Path(soup + ".csv").read_text().replace(folder, "")).splitlines()
        figures["soup"] = {"weights": digest(torch.load(soup, weights_only=True)), "table": rows}
    return figures


def write(tree: str, folder: str) -> None:
    """Writes a whole run, the same run interrupted, and the caches of groups and descriptors into a folder."""
    data = make_data(os.path.join(folder, "data"))
    whole, begun = os.path.join(folder, "whole"), os.path.join(folder, "begun")
    model = os.path.join(train(tree, whole, data, *LONGER), "best_model.pth")
    evaluate(tree, begun, data, model)
    command = [sys.executable, os.path.join(tree, "train.py"), "--dataset_folder", data, *FLAGS, *LONGER, *CPU]
    with subprocess.Popen(command, cwd=begun, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not glob.glob(os.path.join(begun, "logs/run/*/metrics.csv")):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
    if process.returncode in (0, 1, 2):
        raise SystemExit(f"the run was not interrupted: it ended with {process.returncode}")
    print("interrupted with", Path(_output(begun, "run"), "metrics.csv").read_text().count("\n") - 1, "epochs done")


def go_on(tree: str, folder: str) -> list[dict]:
    """Ends the interrupted run of `write` with a tree, in a copy. Returns rows as `compare`."""
    data, rows = os.path.join(folder, "data"), []
    with tempfile.TemporaryDirectory(prefix="same_program_") as scratch:
        work = shutil.copytree(os.path.join(folder, "begun"), os.path.join(scratch, "begun"))
        caches = {"groups cache": "cache/train_*/class_ids.npy", "store": "cache/descriptors/*/descriptors.npy"}
        before = {name: _stamps(work, pattern) for name, pattern in caches.items()}
        output, whole = train(tree, work, data, *LONGER), _output(os.path.join(folder, "whole"), "run")
        tested = evaluate(tree, work, data, os.path.join(whole, "best_model.pth"))
        expected, found = training_figures(whole), training_figures(output)
        for name, value in expected.items():
            rows.append({"what": f"the run that went on, {name}", "equal": "yes" if found[name] == value else "NO"})
        environment = json.loads(Path(output, "environment.json").read_text())
        rows.append({"what": "the run resumed once", "equal": "yes" if len(environment["resumed"]) == 1 else "NO"})
        for (name, pattern), log in zip(caches.items(), (output, tested), strict=True):
            said = re.findall(r"   (.*rebuil.*)", Path(log, "info.log").read_text())
            read = before[name] and _stamps(work, pattern) == before[name]
            rows.append({"what": name, "equal": "read" if read else f"rebuilt: {said[0]}" if said else "NO"})
    return rows


def compare(first: str, second: str) -> list[dict]:
    """Returns a row for each figure of two files: {"what", "equal": yes or NO, "difference"}."""
    rows, (a, b) = [], (json.loads(Path(path).read_text()) for path in (first, second))
    for what in dict.fromkeys([*a, *b]):
        for figure in dict.fromkeys([*a.get(what, {}), *b.get(what, {})]):
            values = [figures.get(what, {}).get(figure, "missing") for figures in (a, b)]
            different = "" if values[0] == values[1] else _difference(*values)
            rows.append({"what": f"{what}: {figure}", "equal": "NO" if different else "yes", "difference": different})
    return rows


def _difference(a: object, b: object) -> str:
    a, b = (list(value.items()) if isinstance(value, dict) else value for value in (a, b))
    if isinstance(a, list) and isinstance(b, list) and sorted(map(str, a)) != sorted(map(str, b)):
        a, b = ([item for item in one if item not in other][:3] for one, other in ((a, b), (b, a)))
    return f"{str(a)[:300]} / {str(b)[:300]}".replace("|", "/")


def training_figures(output: str) -> dict:
    """Returns what a training computed: metrics without times, digests of its state, the keys of its checkpoint."""
    with open(os.path.join(output, "metrics.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"], row["images_per_second"]
    checkpoint = torch.load(os.path.join(output, "last_checkpoint.pth"), weights_only=True)
    return {
        "metrics": rows,
        **{name: digest(checkpoint[name]) for name in STATE},
        "best model": digest(torch.load(os.path.join(output, "best_model.pth"), weights_only=True)),
        "keys of the checkpoint": sorted(checkpoint.keys() - GONE),
    }


def output_figures(output: str, tree: str, folder: str) -> dict:
    """Returns the files of a log folder, with digests of those without times and weights, and its log lines."""
    files = {}
    for path in sorted(path for path in Path(output).rglob("*") if path.is_file()):
        varies = path.suffix in (".log", ".json", ".csv", ".pth")
        files[str(path.relative_to(output))] = "" if varies else _sha(path.read_bytes().replace(folder.encode(), b""))
    log = Path(output, "info.log").read_text().replace(folder, "WORK").replace(tree, "TREE")
    lines = [re.sub(TIMES, "", line) for line in log.splitlines() if "   Arguments: " not in line]
    return {
        "files": files,
        "published log lines": [line for line in lines if re.match(PUBLISHED, line)],
        "other log lines": [line for line in lines if not re.match(PUBLISHED, line)],
    }


def digest(value: object) -> str:
    """Returns a digest of nested dicts and lists of tensors and plain values, bit by bit."""
    if isinstance(value, torch.Tensor):
        return _sha(f"{value.dtype}{tuple(value.shape)}".encode() + value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        value = [part for key in value for part in (key, value[key])]
    return _sha(";".join(map(digest, value)).encode()) if isinstance(value, list | tuple) else repr(value)


def make_data(root: str) -> str:
    """A tiny city, the same every time: train, val, test, and night for domain adaptation. Returns its folder."""
    numbers = {"train": 72, "val/database": 24, "val/queries": 24, "test/database": 24, "test/queries": 24, "night": 12}
    for seed, (part, number) in enumerate(numbers.items()):
        make_pictures(os.path.join(root, part), number, size=64, classes=24, seed=seed)
    return root


def train(tree: str, work: str, data: str, *flags: str) -> str:
    """Trains in a folder; later flags replace those of FLAGS. Returns the log folder."""
    flags = [*FLAGS, *(flag.format(data=data) for flag in flags), *CPU]
    run([sys.executable, os.path.join(tree, "train.py"), "--dataset_folder", data, *flags], work)
    return _output(work, "run" if "run" in flags else "default")


def evaluate(tree: str, work: str, data: str, model: str) -> str:
    """Evaluates a network in a folder. Returns the log folder."""
    flags = ["--dataset_folder", data, "--resume_model", model, *EVALUATION, *CPU, "--save_dir", "eval"]
    run([sys.executable, os.path.join(tree, "eval.py"), *flags], work)
    return _output(work, "eval")


def run(command: list[str], work: str) -> str:
    """Runs a command in a folder. Returns its standard output. Raises SystemExit with its last lines if it fails."""
    os.makedirs(work, exist_ok=True)
    ended = subprocess.run(command, cwd=work, env=ENVIRONMENT, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
    return ended.stdout


def _output(work: str, save_dir: str) -> str:
    """The newest log folder."""
    return max(glob.glob(os.path.join(work, "logs", save_dir, "*")), key=os.path.getmtime)


def _stamps(work: str, pattern: str) -> dict[str, tuple[int, int]]:
    return {path: (os.stat(path).st_ino, os.stat(path).st_mtime_ns) for path in glob.glob(os.path.join(work, pattern))}


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
