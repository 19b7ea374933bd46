"""Averages networks of one architecture into one: a model soup."""

if __name__ == "__main__":  # answer --help and usage errors before torch is imported, which takes seconds
    import parser

    parser.answer_early("soup")

import logging
import os
import sys

import torch
from tqdm import tqdm

import commons
from datasets.calibration_dataset import CalibrationImages
from datasets.test_dataset import TestDataset, find_database_folder, find_queries_folder
from model.checkpoints import load_network, save_network
from model.normalization import normalize
from model.precision import chosen_infer_dtype, name_of
from model.soups import average, greedy_soup, recalibrate_batch_norm, refuse_damaged
from model.state_dicts import digest_tensors
from parser import parse_arguments
from support.errors import UserError
from support.workers import make_workers_loader
from test import TestOptions, test
from training.environment import describe_environment, write_environment
from training.metrics import Metrics


def main(argv=None):
    return commons.run_experiment(make_soup, parse_arguments("soup", argv))


def make_soup(args, output_folder):
    """Loads, averages, evaluates, writes the soup and the table."""
    ingredients = Ingredients(args)
    environment = {
        **describe_environment(ingredients.device),
        "precision": {"descriptors": name_of(ingredients.infer_dtype)},
    }
    write_environment(output_folder, args, environment, **ingredients.digests())
    everything = list(range(len(args.ingredients)))
    if ingredients.val_set:
        recalls = [ingredients.recall([index]) for index in everything]
        for index in everything:
            ingredients.log([index], recalls[index], "ingredient")
    if args.method == "greedy":
        soup = None
        for trial in greedy_soup(recalls, ingredients.recall):
            ingredients.log(trial.indices, trial.recall, "kept" if trial.kept else "left out")
            soup = trial.indices if trial.kept else soup
        if len(soup) == 1:
            logging.warning(f"No other ingredient helps: the soup is {args.ingredients[soup[0]]} alone, as it is")
    else:
        soup = everything
        ingredients.log(soup, ingredients.recall(soup) if ingredients.val_set else None, "kept")
    save_network(ingredients.average(soup), args.output)
    logging.info(
        f"The soup of {len(soup)} of {len(everything)} ingredients is {args.output}, the table {ingredients.table.path}"
    )


class Ingredients:
    """The networks of a soup, averages of some of them, and what these are worth on the validation set."""

    def __init__(self, args):
        self.args, self.device, self.seed = args, commons.select_device(args.device), commons.set_seed(args.seed)
        self.val_set = self._open_val_set()
        self.calibration = (
            CalibrationImages(args.train_set_folder, args.recalibrate_bn, args.image_size, self.seed)
            if args.recalibrate_bn
            else None
        )
        self.network, self.state_dicts = self._load()
        self.infer_dtype = chosen_infer_dtype(args.infer_dtype, self.network, self.device)
        self.table = Metrics(args.output + ".csv")

    def _open_val_set(self):
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

    def _load(self):
        """(a network on the device, every ingredient's state_dict on the CPU)."""
        network, state_dicts = None, []
        for source in self.args.ingredients:
            ingredient = load_network(source, *self.args.expected_architecture, zoo_location=self.args.zoo)
            network = network or ingredient
            (name, dim), (first_name, first_dim) = ((n.backbone_name, n.fc_output_dim) for n in (ingredient, network))
            if (name, dim) != (first_name, first_dim):
                raise UserError(
                    f"{source} is a {name} with {dim}-D descriptors, and {self.args.ingredients[0]} a {first_name} with "
                    f"{first_dim}-D: the ingredients of a soup have one architecture"
                )
            refuse_damaged(ingredient.state_dict(), source)
            state_dicts.append({key: value.clone() for key, value in ingredient.state_dict().items()})
        return network.to(self.device, memory_format=torch.channels_last), state_dicts

    def digests(self):
        """{ingredient: SHA-256 of its weights}."""
        return {
            source: digest_tensors(state_dict)
            for source, state_dict in zip(self.args.ingredients, self.state_dicts, strict=True)
        }

    def average(self, indices):
        """The network that is the average of these ingredients; a single one is as it is."""
        self.network.load_state_dict(average([self.state_dicts[index] for index in indices]))
        if self.calibration and len(indices) > 1:
            recalibrate_batch_norm(self.network, self._calibration_batches())
        return self.network

    def recall(self, indices):
        """R@1 of the average of these ingredients on the validation set, percent."""
        args = self.args
        result = test(
            self.val_set,
            self.average(indices),
            TestOptions(args.infer_batch_size, self.device, args.num_workers, self.infer_dtype, self.seed),
        )
        logging.debug(f"{self.name(indices)}: {result}")
        return result.recall(1)

    def _calibration_batches(self):
        loader = make_workers_loader(self.calibration, self.args.num_workers, batch_size=None)
        seen, unreadable = 0, []
        for images, problems in tqdm(loader, desc="Batch norm", unit="batch", leave=False, disable=None):
            unreadable += problems
            seen += len(images)
            if len(images) > 1:  # one image has no statistics where its features have one position
                yield normalize(images.to(self.device)).contiguous(memory_format=torch.channels_last)
        if unreadable:
            name, reason = unreadable[0]
            logging.warning(f"{len(unreadable)} training images cannot be read and are left out, as {name!r}: {reason}")
        if not seen:
            raise UserError(f"none of the images drawn from {self.calibration.folder} can be read")
        logging.debug(f"Batch norm estimated again on {seen} images")

    def name(self, indices):
        return " + ".join(self.args.ingredients[index] for index in indices)

    def log(self, indices, recall, decision):
        """A row of the table, in the log and in the file."""
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
