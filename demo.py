"""The demo: renders two cities, fine-tunes the shipped weights in the first, and tests in both, by day and by night.
It ends with a table, and with a page of three localized photos.
"""

import argparse
import dataclasses
import logging
import os
import statistics
import sys
import time
from collections.abc import Sequence

import torch

import commons
import localize
import train
from datasets.names import list_images
from datasets.test_dataset import TestDataset
from datasets.train_dataset import Batch
from demo_city import __main__ as demo_city
from model.checkpoints import load_network
from model.choices import split_loss
from model.network import GeoLocalizationNet
from model.precision import name_of, training_dtype
from parser import parse_arguments
from retrieval.recalls import RECALL_VALUES
from support.errors import ending_in_one_line
from support.files import replacing
from support.processor import processor_name
from support.progress import describe_seconds
from test import TestResult, descriptor_cache, test, test_options
from training.build import make_head, make_network
from training.objective import Objective
from training.optimizers import MixedPrecision, make_adam
from training.resuming import find_run_to_resume
from training.run import Run
from training.run_files import load_run_state
from visualizations import save_predictions

logger = logging.getLogger(__name__)

# seconds on 2 cores
BUDGETS = {"render": 150, "train": 240, "evaluate": 60}
# where the recipe's epochs take longer than the budget, the demo trains the most of these that do not
SHORTER = (15, 12, 10, 8, 6, 5, 4, 3, 2)
_WARM_UP, _TIMED = 2, 4  # steps
_BESIDE_STEPS = 1.25  # reading images, validation and checkpoints, as a factor on the time of the steps
SHIPPED = "recipes/weights/rendered_resnet18_512.pth"
_LOCALIZED = (("queries_v1", 0), ("queries_v1", 1), ("queries_night", 0))  # of city 1
_DRAWN = 40  # queries of each test set whose predictions are drawn
TEST_SETS = (
    ("City 1, by day", "city1/test", "queries_v1"),
    ("City 1, by night", "city1/test", "queries_night"),
    ("City 2, by day", "city2/test", "queries_v1"),
    ("City 2, by night", "city2/test", "queries_night"),
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="demo.py",
        allow_abbrev=False,
        description=__doc__,
        epilog="All other flags go to train.py, "
        "after those of the recipe. With --epochs_num, no number of epochs is "
        "chosen.",
    )
    parser.add_argument(
        "--folder", default="data/demo", help="where the cities are, or are rendered to (default: %(default)s)"
    )
    parser.add_argument("--recipe", default="recipes/demo.txt", help="flags of train.py (default: %(default)s)")
    parser.add_argument("--city_flags", default="", help="flags of python -m demo_city, in one string (default: none)")
    parser.add_argument(
        "--preds", type=int, default=3, metavar="N", help="images drawn beside each query (default: %(default)s)"
    )
    own, rest = parser.parse_known_args(argv)
    flags = [f"@{own.recipe}", "--dataset_folder", os.path.join(own.folder, "city1"), *rest]
    args = parse_arguments("train", flags)
    resumed_folder, problems = find_run_to_resume(args)
    is_given = any(flag.split("=")[0] == "--epochs_num" for flag in rest)
    with ending_in_one_line():
        args.epochs_num, plan = choose_epochs(args, is_given)
    print(plan, flush=True)
    start = time.monotonic()
    demo_city.main(["--folder", own.folder, *own.city_flags.split()])
    demo = Demo(own.folder, own.preds, {"render": time.monotonic() - start}, plan, problems)
    code = commons.run_experiment(demo.run, args, resumed_folder)
    return code or show_photos(demo, args)


def show_photos(demo: "Demo", args: argparse.Namespace) -> int:
    """Localizes three photos with the trained network and writes a page. Returns the exit code.

    demo: that has run; args: of train.py
    """
    city, model = os.path.join(demo.folder, "city1", "test"), os.path.join(demo.output_folder, "best_model.pth")
    photos = [
        os.path.join(city, queries, sorted(list_images(os.path.join(city, queries)))[number])
        for queries, number in _LOCALIZED
    ]
    sizes = ["--resize_test_imgs", "--image_size", str(args.image_size)] if args.resize_test_imgs else []
    page = os.path.join(demo.output_folder, "photos.html")
    database = ["--database_folder", os.path.join(city, "database"), "--resume_model", model, *sizes]
    quiet = ["--save_dir", os.path.join(demo.output_folder, "localize")]
    code = localize.main([*database, *quiet, "--device", args.device, "--report", page, *photos])
    print(
        f"\nOpen {page} to see where three photos were taken; {demo.output_folder}/preds has predictions of the tests. "
        f"Next:\n\n"
        f"python eval.py --test_set_folder {city} --resume_model {model} {' '.join(sizes)} --report test.html\n"
        f"python localize.py {' '.join(database)} PHOTO.jpg\n"
        f"python localize.py --database_folder YOUR_PHOTOS --positions exif --resume_model {SHIPPED} {' '.join(sizes)} "
        "YOUR_PHOTO.jpg"
    )
    return code


def choose_epochs(args: argparse.Namespace, is_given: bool) -> tuple[int, str]:
    """How long to train on this machine: (the number of epochs, a line that says so). A few steps are timed, and the
    most epochs of a short list taken that fit the budget, so that the same choice gives the same numbers; a resumed run
    keeps its number. is_given: whether the number is the user's own.
    """
    if args.resume_train:
        kept = load_run_state(args.resume_train).get("arguments", {}).get("epochs_num", args.epochs_num)
        return args.epochs_num if is_given else kept, f"The demo goes on with {args.resume_train}"
    a_step = seconds_a_step(args)
    epoch = a_step * args.iterations_per_epoch * _BESIDE_STEPS
    choices = (args.epochs_num, *(epochs for epochs in SHORTER if epochs < args.epochs_num))
    epochs = args.epochs_num if is_given else next((n for n in choices if n * epoch <= BUDGETS["train"]), choices[-1])
    less = (
        f"of the recipe's {args.epochs_num}, which would take {describe_seconds(args.epochs_num * epoch)} here"
        if epochs < args.epochs_num
        else "as in the recipe"
    )
    return epochs, (
        f"A training step takes {1000 * a_step:.0f} ms here. The demo trains {epochs} epochs, {less}: about "
        f"{describe_seconds(epochs * epoch)}, after up to {BUDGETS['render']} s of rendering"
    )


def seconds_a_step(args: argparse.Namespace) -> float:
    """The median time of some training steps on random images."""
    device = commons.select_device(args.device)
    network = make_network(args, None).to(device, memory_format=torch.channels_last)
    head = make_head(split_loss(args.loss)[0] or "cosface", network.fc_output_dim, 500, seed=0).to(device)
    amp = MixedPrecision(training_dtype(args.use_amp16, args.amp_dtype, network, device)[0], device)
    optimizers = [make_adam(network, args.lr, device), make_adam(head, args.classifiers_lr, device)]
    state = Run(network, optimizers[0], [head], [optimizers[1]], amp)
    images = torch.rand(args.batch_size, 3, args.image_size, args.image_size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(args.batch_size, device=device) % 500
    seconds = []
    for step in range(_WARM_UP + _TIMED):
        start = time.monotonic()
        batch = Batch(step, 0, step, step, images, labels, [])
        train.train_one_epoch([batch], state, {0: Objective(network, head)})
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds[_WARM_UP:])


@dataclasses.dataclass
class Demo:
    """What is run: where the cities are, how long is trained, and the seconds of the phases so far."""

    folder: str  # of the cities
    num_preds: int  # images drawn beside each query
    seconds: dict[str, float]
    plan: str  # a line that says how long is trained
    problems: Sequence[str] = ()  # with checkpoints, to be logged
    output_folder: str = ""
    epochs: int = 0  # that were trained

    def run(self, args: argparse.Namespace, output_folder: str) -> None:
        """Trains, evaluates, and writes results.md. args: of train.py."""
        self.output_folder = output_folder
        logger.info(self.plan)
        start = time.monotonic()
        self.epochs = train.train(args, output_folder, self.problems)
        self.seconds["train"] = time.monotonic() - start
        start = time.monotonic()
        table, trained_in = self.evaluate(args, output_folder)
        self.seconds["evaluate"] = time.monotonic() - start
        self.write_table(args, table, trained_in, os.path.join(output_folder, "results.md"))
        over = [phase for phase, spent in self.seconds.items() if spent > BUDGETS[phase]]
        if over:
            logger.warning(f"Over the budget for 2 cores: {', '.join(over)}")

    def evaluate(self, args: argparse.Namespace, output_folder: str) -> tuple[list[str], str]:
        """Tests the trained network, the one that it began from, and random weights.

        args: of train.py; output_folder: with the trained network. Returns (the lines of a table, what was trained in).
        """
        device = commons.select_device(args.device)
        trained = load_network(os.path.join(output_folder, "best_model.pth"))
        commons.set_seed(args.seed)
        networks = {"random weights": GeoLocalizationNet(trained.backbone_name, trained.fc_output_dim)}
        if args.resume_model:
            networks["shipped weights" if args.resume_model == SHIPPED else args.resume_model] = load_network(
                args.resume_model
            )
        networks["fine-tuned" if args.resume_model else "trained"] = trained
        for network in networks.values():
            network.to(device, memory_format=torch.channels_last)
        rows = []
        for title, folder, queries in TEST_SETS:
            dataset = TestDataset(
                os.path.join(self.folder, folder, "database"),
                os.path.join(self.folder, folder, queries),
                args.positive_dist_threshold,
                args.image_size if args.resize_test_imgs else None,
            )
            results = [self.test(dataset, network, args) for network in networks.values()]
            rows.append(table_row(title, dataset, results))
            if self.num_preds:
                name = title.lower().replace(",", "").replace(" ", "_")
                pictures = os.path.join(output_folder, "preds", name)
                save_predictions(dataset, results[-1].predictions, pictures, self.num_preds, limit=_DRAWN)
        lines = [*table_head(list(networks)), *rows]
        return lines, name_of(training_dtype(args.use_amp16, args.amp_dtype, trained, device)[0])

    @staticmethod
    def test(dataset: TestDataset, network: GeoLocalizationNet, args: argparse.Namespace) -> TestResult:
        """Tests a network. The table has R@1, R@5 and R@10, whatever --recall_values the training has."""
        options = test_options(args, network, next(network.parameters()).device, args.seed)
        options = dataclasses.replace(options, recall_values=RECALL_VALUES)
        return test(dataset, network, options, descriptor_cache(args))

    def write_table(self, args: argparse.Namespace, rows: Sequence[str], trained_in: str, path: str) -> None:
        """Writes the table and logs it.

        args: of train.py
        rows: of the table
        trained_in: the name of the type of numbers
        path: of the file
        """
        images = args.iterations_per_epoch * args.batch_size
        lines = [
            *rows,
            "",
            f"Trained for {self.epochs} epochs of {images} images, in {trained_in}, on {processor_name()}.",
            "",
            "| phase | seconds | budget |",
            "|---|---|---|",
            *(f"| {phase} | {spent:.0f} | {BUDGETS[phase]} |" for phase, spent in self.seconds.items()),
        ]
        table = "\n".join(lines) + "\n"
        with replacing(path) as temporary, open(temporary, "w") as file:
            file.write(table)
        logger.info(
            "Results, R@N in percent with 95% intervals (also in results.md; predictions are drawn in preds/):\n\n"
            + table
        )


def table_head(networks: Sequence[str]) -> list[str]:
    """The head of the table; networks: their titles, the trained one last."""
    columns = ["test set", "queries / database", "chance R@1", *(f"{name} R@1" for name in networks), "R@5", "R@10"]
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def table_row(title: str, dataset: TestDataset, results: Sequence[TestResult]) -> str:
    """The row of a test set. results: of each network, the trained one last."""
    *others, trained = results
    cells = [
        title,
        f"{len(dataset.queries)} / {len(dataset.database)}",
        trained.chance_cell(1),
        *(f"{result.recall(1):.1f}" for result in others),
        *(trained.cell(n) for n in (1, 5, 10)),
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
