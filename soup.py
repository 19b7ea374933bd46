"""Averages networks of one architecture into one: a model soup."""

if __name__ == "__main__":  # answer --help and usage errors before torch is imported, which takes seconds
    import parser

    parser.answer_early("soup")

import argparse
import logging
import os
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
from parser import parse_arguments
from test import TestOptions, test
from training.environment import describe_environment, write_environment
from training.ingredients import calibration_batches, load_ingredients
from training.metrics import Metrics

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Averages networks as the arguments say (default: those of the command line). Returns the exit code."""
    return commons.run_experiment(make_soup, parse_arguments("soup", argv))


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
    logger.info(
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
        logger.warning(
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
        network, self.state_dicts = load_ingredients(
            args.ingredients, args.expected_architecture, args.zoo, args.gem_activation
        )
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.infer_dtype = chosen_infer_dtype(args.infer_dtype, self.network, self.device)
        self.table = Metrics(args.output + ".csv")

    def _open_val_set(self) -> TestDataset | None:
        folder, args = self.args.val_set_folder, self.args
        if folder is None or (args.method == "uniform" and not os.path.isdir(folder)):
            logger.info("Without a validation set the soup is not evaluated")
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
            TestOptions(
                batch_size=args.infer_batch_size,
                device=self.device,
                num_workers=args.num_workers,
                dtype=self.infer_dtype,
                seed=self.seed,
            ),
        )
        logger.debug(f"{self.name(indices)}: {result}")
        return result.recall(1)

    def name(self, indices: list[int]) -> str:
        """Returns the ingredients' names, joined by plus signs."""
        return " + ".join(self.args.ingredients[index] for index in indices)

    def log(self, indices: list[int], recall: float | None, decision: str) -> None:
        """Writes a row of the table into the log and into the file."""
        shown = "not measured" if recall is None else f"R@1 {recall:5.1f}"
        logger.info(f"{shown}  {decision:10}  {self.name(indices)}")
        self.table.add(
            networks=self.name(indices),
            count=len(indices),
            **{"R@1": "" if recall is None else recall},
            decision=decision,
        )


if __name__ == "__main__":
    sys.exit(main())
