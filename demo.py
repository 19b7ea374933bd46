"""The demo: renders the cities, trains on the first, and tests there by day and by night and in the second city. One table at the end."""

import argparse
import logging
import os
import sys
import time

import torch

import commons
import train
from datasets.demo_city import __main__ as demo_city
from datasets.test_dataset import TestDataset
from eval import descriptor_cache
from model.checkpoints import load_network
from model.files import replacing
from model.network import GeoLocalizationNet
from parser import parse_arguments
from test import chance_recall, test
from visualizations import save_predictions

# seconds on 2 cores
BUDGETS = {"render": 100, "train": 460, "evaluate": 40}
_DRAWN = 40  # queries of each test set whose predictions are drawn
TEST_SETS = (("City 1, by day", "city1/test", "queries_v1"), ("City 1, by night", "city1/test", "queries_night"),
             ("City 2, by day", "city2/test", "queries_v1"), ("City 2, by night", "city2/test", "queries_night"))


def main(argv=None):
    parser = argparse.ArgumentParser(prog="demo.py", allow_abbrev=False, description=__doc__, epilog="All other flags go to train.py, "
                                     "after those of the recipe.")
    parser.add_argument("--folder", default="data/demo", help="where the cities are, or are rendered to (default: %(default)s)")
    parser.add_argument("--recipe", default="recipes/demo.txt", help="flags of train.py (default: %(default)s)")
    parser.add_argument("--city_flags", default="", help="flags of python -m datasets.demo_city, in one string (default: none)")
    parser.add_argument("--preds", type=int, default=3, metavar="N", help="images drawn beside each query (default: %(default)s)")
    own, rest = parser.parse_known_args(argv)
    start = time.monotonic()
    demo_city.main(["--folder", own.folder, *own.city_flags.split()])
    seconds = {"render": time.monotonic() - start}
    args = parse_arguments(argv=[f"@{own.recipe}", "--dataset_folder", os.path.join(own.folder, "city1"), *rest])
    resumed_folder, problems = train.find_run_to_resume(args)
    return commons.run_experiment(lambda args, folder: run(args, folder, own.folder, own.preds, seconds, problems), args, resumed_folder)


def run(args, output_folder, demo_folder, num_preds, seconds, problems=()):
    """Trains, evaluates, and writes results.md. seconds: of the phases so far."""
    start = time.monotonic()
    train.train(args, output_folder, problems)
    seconds["train"] = time.monotonic() - start

    start = time.monotonic()
    device = commons.select_device(args.device)
    trained = load_network(os.path.join(output_folder, "best_model.pth"))
    commons.set_seed(args.seed)
    untrained = GeoLocalizationNet(trained.backbone_name, trained.fc_output_dim)
    rows = []
    for title, folder, queries in TEST_SETS:
        dataset = TestDataset(os.path.join(demo_folder, folder, "database"), os.path.join(demo_folder, folder, queries),
                              args.positive_dist_threshold, args.image_size if args.resize_test_imgs else None)
        before, after = (test(dataset, network.to(device, memory_format=torch.channels_last), args.infer_batch_size, device,
                              args.num_workers, args.seed, dtype=getattr(torch, args.infer_dtype), cache=descriptor_cache(args))
                         for network in (untrained, trained))
        rows.append(table_row(title, dataset, before, after))
        if num_preds:
            name = title.lower().replace(",", "").replace(" ", "_")
            save_predictions(dataset, after, os.path.join(output_folder, "preds", name), num_preds, limit=_DRAWN)
    seconds["evaluate"] = time.monotonic() - start

    table = "\n".join([*TABLE_HEAD, *rows, "", "| phase | seconds | budget |", "|---|---|---|",
                       *(f"| {phase} | {spent:.0f} | {BUDGETS[phase]} |" for phase, spent in seconds.items())])
    with replacing(os.path.join(output_folder, "results.md")) as temporary, open(temporary, "w") as file:
        file.write(table + "\n")
    logging.info("Results, R@N in percent with 95% intervals (also in results.md; predictions are drawn in preds/):\n\n" + table + "\n")
    over = [phase for phase, spent in seconds.items() if spent > BUDGETS[phase]]
    if over:
        logging.warning(f"Over the budget for 2 cores: {', '.join(over)}")


TABLE_HEAD = ("| test set | queries / database | chance R@1 | untrained R@1 | R@1 | R@5 | R@10 |", "|---|---|---|---|---|---|---|")


def table_row(title, dataset, untrained, trained):
    def cell(result, n):
        low, high = result.intervals[result.recall_values.index(n)]
        return f"{result.recall(n):.1f} ({low:.1f} to {high:.1f})"
    cells = [title, f"{len(dataset.queries)} / {len(dataset.database)}", f"{chance_recall(dataset):.1f}", cell(untrained, 1),
             *(cell(trained, n) for n in (1, 5, 10))]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
