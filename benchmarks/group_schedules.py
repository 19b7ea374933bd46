"""Ways through the groups at equal images seen: one after another, jointly, and in parallel, averaged every J steps.

Every run starts from the demo's fine-tuning recipe. Every finished model and evaluation is kept in the work folder, so that a run that was
stopped goes on where it was. Group-parallel runs take a process a group (torchrun), each a batch a step, and so as many times fewer steps.
"""

import argparse
import glob
import json
import logging
import os
import subprocess
import sys

import numpy as np

from benchmarks.measure import ROOT, table
from benchmarks.results_table import DEMO_TEST_SETS, cell, evaluate
from commons import FINISHED
from model.errors import UserError
from model.files import replacing

BEGIN, END = "<!-- group schedules -->", "<!-- end of the group schedules -->"
GROUPS, ITERATIONS = 3, 100
_PARALLEL = {f"group-parallel, J = {steps}": ["--parallel", "groups", "--local_steps", str(steps)] for steps in (1, 10, 100)}
WAYS = {"sequential": [], "joint": ["--group_schedule", "iteration", "--local_steps", "1"], **_PARALLEL}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.group_schedules", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--dataset_folder", default="data/demo", help="(default: %(default)s)")
    add("--base", default="recipes/demo_finetune.txt", metavar="RECIPE", help=f"flags of every run, but for {GROUPS} groups and the length "
        "(default: %(default)s)")
    add("--rounds", type=int, default=2, help=f"epochs of {ITERATIONS} steps for each group (default: %(default)s)")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="(default: 0 1 2)")
    add("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY", help=f"of {', '.join(WAYS)} (default: all)")
    add("--moments", default="average", choices=("keep", "average", "reset"), help="--local_moments (default: %(default)s)")
    add("--work_folder", default="logs/group_schedules", metavar="FOLDER", help="(default: %(default)s)")
    add("--output", default="recipes/RESULTS.md", metavar="FILE", help=f"the table goes between its lines {BEGIN} and {END}, or to its end "
        "(default: %(default)s)")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run(args)
    except UserError as error:
        parser.error(str(error))


def run(args):
    test_sets = {title: [os.path.join(args.dataset_folder, path) for path in paths.split(":")]
                 for title, paths in (text.split("=") for text in DEMO_TEST_SETS)}
    ways = list(dict.fromkeys(["sequential", *args.ways]))  # which all are compared with
    found = {way: [results(args, way, seed, test_sets) for seed in args.seeds] for way in ways}
    rows = []
    for way in ways:
        row = {"groups": way, "steps": steps_of(args, way)}
        for title in test_sets:
            reference = None if way == "sequential" else [values[title] for values in found["sequential"]]
            row[title] = cell([values[title] for values in found[way]], reference)
        rows.append(row)
    images = args.rounds * GROUPS * ITERATIONS
    write(args.output, f"R@1 in percent after {images} batches of {GROUPS} groups in every way: mean over seeds "
          f"{', '.join(map(str, args.seeds))} +- their standard deviation (95% interval over queries); then the difference to sequential "
          "training with its 95% interval and two-sided p, by a paired bootstrap over queries. Steps are a process's.\n\n"
          + table(rows, list(rows[0])) + "\n")


def steps_of(args, way):
    return args.rounds * ITERATIONS * (1 if way in _PARALLEL else GROUPS)


def results(args, way, seed, test_sets):
    """{test set: whether each query is found first, bool (q,)}, from the work folder or measured."""
    flags = [f"@{args.base}", "--groups_num", str(GROUPS), "--iterations_per_epoch", str(ITERATIONS), "--epochs_num",
             str(steps_of(args, way) // ITERATIONS), "--seed", str(seed), "--local_moments", args.moments, *WAYS[way]]
    path = os.path.join(args.work_folder, f"{way.replace(', ', '_').replace(' = ', '')}_seed{seed}.json")
    if os.path.exists(path):
        with open(path) as file:
            kept = json.load(file)
        if kept["flags"] == flags:
            return {title: np.array(values, bool) for title, values in kept["found"].items()}
    model = train(flags, "group_schedules_" + os.path.basename(path).removesuffix(".json"), GROUPS if way in _PARALLEL else 1)
    found = {}
    for title, (database, queries) in test_sets.items():
        found[title] = evaluate([f"@{args.base}", "--resume_model", model, "--database_folder", database, "--queries_folder", queries,
                                 "--seed", str(seed)], "group_schedules_tests")[:, 0]
        logging.info(f"{way}, seed {seed}, {title}: R@1 {100 * found[title].mean():.1f}")
    os.makedirs(args.work_folder, exist_ok=True)
    with replacing(path) as temporary, open(temporary, "w") as file:
        json.dump({"flags": flags, "found": {title: values.astype(int).tolist() for title, values in found.items()}}, file)
    return found


def train(flags, save_dir, processes):
    """The path of the last network of a run, which goes on where it was stopped. Raises UserError if it fails."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)] if processes > 1 else []
    command = [sys.executable, *launcher, os.path.join(ROOT, "train.py"), *flags, "--save_dir", save_dir, "--resume_train", "auto"]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    folder = max(glob.glob(os.path.join("logs", save_dir, "*")), key=os.path.getmtime, default="")
    with open(os.path.join(folder, "info.log")) as file:
        if ended.returncode or FINISHED not in file.read().splitlines()[-1]:
            raise UserError(f"{' '.join(command)} failed: {(ended.stderr.strip().splitlines() or ['?'])[-1]}")
    return os.path.join(folder, "last_checkpoint.pth")  # the best of different numbers of validations would favour the many


def write(path, text):
    """Puts a text between the marks of a file, or with them at its end."""
    whole = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            whole = file.read()
    if END not in whole.partition(BEGIN)[2]:
        whole += f"\n## Ways through the groups\n\n{BEGIN}\n{END}\n"
    before, _, rest = whole.partition(BEGIN)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
