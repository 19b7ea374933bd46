"""Computes the recalls of a network on a test set."""

import functools
import logging
import os
import sys

import torch

import commons
from datasets.bad_images import BadImages
from datasets.night.fda_images import swap_amplitudes
from datasets.test_dataset import TestDataset, find_database_folder, find_queries_folder
from datasets.test_sets import find_test_sets
from model.checkpoints import load_network
from model.network import GeoLocalizationNet
from parser import parse_arguments
from retrieval import cache, interchange
from tables import RecallTable
from test import test
from visualizations import save_predictions


def main(argv=None):
    args = parse_arguments(is_training=False, argv=argv)
    return commons.run_experiment(evaluate, args)


def evaluate(args, output_folder):
    """Extracts, searches, logs the recalls, draws predictions. Returns the TestResult, or with --test_set_folders a list of them."""
    if "h5" in args.save_descriptors:
        interchange.check_h5py()  # said before hours of extraction
    device = commons.select_device(args.device)
    seed = commons.set_seed(args.seed)
    resize = args.image_size if args.resize_test_imgs else None
    if args.test_set_folders:
        test_sets = [test_set for folder in args.test_set_folders for test_set in find_test_sets(folder, args.queries_folder)]
        return _evaluate_all(test_sets, _load(args, device), args, device, seed, output_folder, resize)
    test_set = TestDataset(find_database_folder(args.test_set_folder, args.database_folder),
                           find_queries_folder(args.test_set_folder, args.queries_folder), args.positive_dist_threshold, resize)
    _prepare(test_set, args, seed)
    network = _load(args, device)
    return test_and_report(test_set, network, args, device, seed, output_folder, BadImages(output_folder, args.max_bad_images))


def _evaluate_all(test_sets, network, args, device, seed, output_folder, resize):
    """Evaluates one test set after another; logs one table. Returns the TestResults."""
    table, results = RecallTable(os.path.join(output_folder, "test_sets.csv"), args.resume_model), []
    bad_images = BadImages(output_folder, args.max_bad_images)
    try:
        for number, test_set in enumerate(test_sets, 1):
            dataset = test_set.open(args.positive_dist_threshold, resize)
            _prepare(dataset, args, seed)
            folder = os.path.join(output_folder, f"{number} {dataset.name}".replace("/", "-").replace(" ", "_"))
            results.append(test_and_report(dataset, network, args, device, seed, folder, bad_images))
            table.add(test_set, dataset, results[-1])
    finally:
        if results:
            logging.info(f"Recalls in percent with 95% intervals (also in {table.path}):\n\n{table}\n")
    return results


def _prepare(dataset, args, seed):
    logging.info(f"Test set: {dataset}")
    if args.fda_queries or args.fda_database:
        swap_amplitudes(dataset, args.fda_queries, args.fda_database, args.fda_beta, seed)


def _load(args, device):
    """The network to evaluate, on the device."""
    if args.resume_model:
        network = load_network(args.resume_model, *args.expected_architecture, zoo_location=args.zoo)
    else:
        logging.warning("Without --resume_model the network is not trained: its last layer is random, "
                        f"and the weights of its backbone are {args.backbone_weights or 'too'}")
        network = GeoLocalizationNet(args.backbone, args.fc_output_dim, weights=args.backbone_weights)
    logging.info(f"Network: {network.backbone_name} with {network.fc_output_dim}-D descriptors")
    return network.to(device, memory_format=torch.channels_last)


def test_and_report(test_set, network, args, device, seed, output_folder, bad_images):
    """Tests a network, logs the recalls, draws predictions if that is asked for, and lists bad images. Returns the TestResult. Raises
    UserError when bad_images (BadImages) are too many, and the recalls are of another set than they seem: but they are logged by then.
    """
    result = test(test_set, network, args.infer_batch_size, device, args.num_workers, seed, max(args.num_preds_to_save, args.save_pairs),
                  getattr(torch, args.infer_dtype), descriptor_cache(args), args.faiss_index, args.faiss_nprobe,
                  functools.partial(interchange.save, test_set, output_folder, args.save_descriptors, args.save_pairs,
                                    args.save_sfm_pairs, device))
    logging.info(f"{test_set}: {result}")
    for line in result.details():
        logging.info(line)
    if args.num_preds_to_save:
        folder = os.path.join(output_folder, "preds")
        drawn = save_predictions(test_set, result, folder, args.num_preds_to_save, args.save_only_wrong_preds)
        logging.info(f"Predictions of {drawn} queries are drawn in {folder}")
    bad_images.take_test(test_set, result)
    return result


def descriptor_cache(args, keep=True):
    """The DescriptorCache that args ask for; keep: whether descriptors may outlive the run."""
    keep = keep and not args.no_descriptors_cache
    return cache.DescriptorCache(cache.FOLDER if keep else None, round(args.descriptors_cache_size * 1e9), args.descriptors_dtype)


if __name__ == "__main__":
    sys.exit(main())
