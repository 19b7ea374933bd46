"""Averages networks of one architecture into one: a model soup."""

import argparse
import logging
import os
import re
import sys

import torch

import commons
from datasets.calibration_dataset import CalibrationImages
from datasets.test_dataset import TestDataset, find_database_folder, find_queries_folder
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from model.precision import chosen_infer_dtype, name_of
from model.soups import average, greedy_soup, recalibrate_batch_norm
from model.state_dicts import digest_tensors
from parser import make_further_parser, parse_with
from support.errors import UserError
from test import test
from training.environment import describe_environment, write_environment
from training.ingredients import calibration_batches, load_ingredients

USED = {
    "help",
    "dataset_folder",
    "train_set_folder",
    "val_set_folder",
    "test_set_folder",
    "save_dir",
    "backbone",
    "fc_output_dim",
    "zoo",
    "infer_batch_size",
    "infer_dtype",
    "positive_dist_threshold",
    "resize_test_imgs",
    "image_size",
    "device",
    "seed",
    "num_workers",
}


def main(argv=None):
    return commons.run_experiment(make_soup, parse_soup_arguments(argv))


def parse_soup_arguments(argv=None):
    """The arguments as a Namespace, as parser.parse_with."""
    parser = make_further_parser(
        "soup.py",
        "Averages networks of one architecture into one (a model soup), by choice those alone that "
        "raise R@1 on the validation set.",
        USED,
    )
    group = parser.add_argument_group("soup")
    group.add_argument(
        "--ingredients",
        nargs="+",
        required=True,
        metavar="FILE",
        help="two or more best_model.pth, last_checkpoint.pth or names of published models, of one architecture",
    )
    group.add_argument(
        "--ingredients_folder",
        metavar="FOLDER",
        help="where relative paths of ingredients begin (default: the working folder)",
    )
    group.add_argument(
        "--method",
        choices=("uniform", "greedy"),
        default="uniform",
        help="uniform: the mean of all; greedy: from the best "
        "on, each that does not lower R@1 on the validation set (default: %(default)s)",
    )
    group.add_argument(
        "--output",
        required=True,
        metavar="FILE",
        help="the soup, a bare state_dict; the table of what was tried is FILE.csv",
    )
    group.add_argument(
        "--recalibrate_bn",
        type=int,
        default=0,
        metavar="N",
        help="estimate each soup's batch-norm statistics again on this "
        "many training images, drawn by --seed, in squares of --image_size, not augmented; 0 averages those of the "
        "ingredients (default: %(default)s)",
    )
    return parse_with(parser, argv, (), check_soup)


def check_soup(args):
    """Raises UserError on what does not go together."""
    if len(args.ingredients) < 2:
        raise UserError(f"a soup needs at least two --ingredients, and there is only {args.ingredients[0]}")
    if args.ingredients_folder:
        inside = [os.path.join(args.ingredients_folder, ingredient) for ingredient in args.ingredients]
        args.ingredients = [
            path if os.path.exists(path) or os.sep in name else name  # else a published model's
            for path, name in zip(inside, args.ingredients, strict=True)
        ]
    if len(set(map(os.path.realpath, args.ingredients))) < len(args.ingredients):
        raise UserError("one of the --ingredients is named twice: each counts once")
    if args.recalibrate_bn < 0 or args.recalibrate_bn == 1:
        raise UserError(f"--recalibrate_bn is {args.recalibrate_bn}, and must be a number of images, 2 or more, or 0")
    for needed, flag, why in (
        (args.method == "greedy", "val_set_folder", "--method greedy"),
        (args.recalibrate_bn, "train_set_folder", "--recalibrate_bn"),
    ):
        if needed and getattr(args, flag) is None:
            raise UserError(f"{why} needs --dataset_folder or --{flag}")
    if args.recalibrate_bn and is_test_set(args.train_set_folder, args.test_set_folder):
        raise UserError(
            f"--train_set_folder {args.train_set_folder} is a test set, whose images may not enter a network: name training "
            "images"
        )
    if args.val_set_folder and is_test_set(args.val_set_folder, args.test_set_folder):
        raise UserError(
            f"--val_set_folder {args.val_set_folder} is a test set: a soup chosen on it could not be tested any more; name a "
            "validation set"
        )
    if os.path.realpath(args.output) in map(os.path.realpath, args.ingredients):
        raise UserError(f"--output {args.output} is one of the ingredients, and would be lost; name another file")
    if not os.path.isdir(os.path.dirname(args.output) or "."):
        raise UserError(f"--output {args.output} cannot be written: there is no folder {os.path.dirname(args.output)}")


def is_test_set(folder, test_set_folder):
    """Whether a folder is the data set's test set or lies in it, or its name begins with the word test."""
    real = os.path.realpath(folder)
    names = os.path.basename(os.path.normpath(folder)), os.path.basename(real)
    test_set = os.path.realpath(test_set_folder) if test_set_folder else None
    return (test_set is not None and os.path.commonpath([real, test_set]) == test_set) or any(
        re.match("test(?![a-z])", name, re.IGNORECASE) for name in names
    )


def make_soup(args: argparse.Namespace, output_folder: str) -> None:
    """Averages the ingredients, all of them or those that help, and writes the soup and the table of what was tried."""
    ingredients = Ingredients(args)
    write_environment(output_folder, args, ingredients.environment(), **ingredients.digests())
    everything = list(range(len(args.ingredients)))
    recalls = measure_each(ingredients, everything) if ingredients.val_set else None
    if args.method == "greedy":
        soup = choose_greedily(ingredients, recalls)
    else:
        soup = everything
        ingredients.log(soup, ingredients.recall(soup) if ingredients.val_set else None, "kept")
    save_network(ingredients.average(soup), args.output)
    logging.info(
        f"The soup of {len(soup)} of {len(everything)} ingredients is {args.output}, the table {ingredients.table.path}"
    )


def measure_each(ingredients: "Ingredients", indices: list[int]) -> list[float]:
    """Returns the R@1 of each ingredient by itself, percent, and writes it into the table."""
    recalls = [ingredients.recall([index]) for index in indices]
    for index, recall in zip(indices, recalls, strict=True):
        ingredients.log([index], recall, "ingredient")
    return recalls


def choose_greedily(ingredients: "Ingredients", recalls: list[float]) -> list[int]:
    """Returns the ingredients of the greedy soup, and writes each trial into the table.

    recalls: the R@1 of each ingredient by itself, percent
    """
    soup = []
    for trial in greedy_soup(recalls, ingredients.recall):
        ingredients.log(trial.indices, trial.recall, "kept" if trial.kept else "left out")
        soup = trial.indices if trial.kept else soup
    if len(soup) == 1:
        logging.warning(
            f"No other ingredient helps: the soup is {ingredients.args.ingredients[soup[0]]} alone, as it is"
        )
    return soup


class Ingredients:
    """The networks of a soup, averages of some of them, and the R@1 of these on the validation set."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.device, self.seed = args, commons.select_device(args.device), commons.set_seed(args.seed)
        self.val_set = self._open_val_set()
        self.calibration = (
            CalibrationImages(args.train_set_folder, args.recalibrate_bn, args.image_size, self.seed)
            if args.recalibrate_bn
            else None
        )
        network, self.state_dicts = load_ingredients(args.ingredients, args.expected_architecture, args.zoo)
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.infer_dtype = chosen_infer_dtype(args.infer_dtype, self.network, self.device)
        self.table = commons.Metrics(args.output + ".csv")

    def _open_val_set(self) -> TestDataset | None:
        folder, args = self.args.val_set_folder, self.args
        if folder is None or (args.method == "uniform" and not os.path.isdir(folder)):
            logging.info("Without a validation set the soup is not evaluated")
            return None
        return TestDataset(
            find_database_folder(folder),
            find_queries_folder(folder),
            args.positive_dist_threshold,
            args.image_size if args.resize_test_imgs else None,
        )

    def environment(self) -> dict:
        """Returns what environment.json says of the machine and the precision."""
        return {**describe_environment(self.device), "precision": {"descriptors": name_of(self.infer_dtype)}}

    def digests(self) -> dict[str, str]:
        """Returns {ingredient: SHA-256 of its weights}."""
        return {
            source: digest_tensors(state_dict)
            for source, state_dict in zip(self.args.ingredients, self.state_dicts, strict=True)
        }

    def average(self, indices: list[int]) -> GeoLocalizationNet:
        """Returns the average of these ingredients. A single one stays as it is."""
        self.network.load_state_dict(average([self.state_dicts[index] for index in indices]))
        if self.calibration and len(indices) > 1:
            batches = calibration_batches(self.calibration, self.args.num_workers, self.device)
            recalibrate_batch_norm(self.network, batches)
        return self.network

    def recall(self, indices: list[int]) -> float:
        """Returns the R@1 of the average of these ingredients on the validation set, percent."""
        args = self.args
        result = test(
            self.val_set,
            self.average(indices),
            args.infer_batch_size,
            self.device,
            args.num_workers,
            self.seed,
            dtype=self.infer_dtype,
        )
        logging.debug(f"{self.name(indices)}: {result}")
        return result.recall(1)

    def name(self, indices: list[int]) -> str:
        """Returns the ingredients' names, joined by plus signs."""
        return " + ".join(self.args.ingredients[index] for index in indices)

    def log(self, indices: list[int], recall: float | None, decision: str) -> None:
        """Writes a row of the table into the log and into the file."""
        shown = "not measured" if recall is None else f"R@1 {recall:5.1f}"
        logging.info(f"{shown}  {decision:10}  {self.name(indices)}")
        self.table.add(
            networks=self.name(indices),
            count=len(indices),
            **{"R@1": "" if recall is None else recall},
            decision=decision,
        )


if __name__ == "__main__":
    sys.exit(main())
