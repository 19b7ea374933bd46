"""Computes the recalls of a network on a test set."""

import logging
import os
import sys

import torch

import commons
import distributed
from datasets.night.fda_images import swap_amplitudes
from datasets.test_dataset import TestDataset, find_database_folder, find_queries_folder
from model.checkpoints import load_network
from model.network import GeoLocalizationNet
from parser import parse_arguments
from retrieval import cache
from test import test
from visualizations import save_predictions


def main(argv=None):
    with distributed.joined():
        args = parse_arguments(is_training=False, argv=argv)
        return commons.run_experiment(evaluate, args)


def evaluate(args, output_folder):
    """Extracts, searches, logs the recalls, draws predictions. Returns the TestResult."""
    device = commons.select_device(args.device)
    seed = commons.set_seed(args.seed)
    test_set = TestDataset(find_database_folder(args.test_set_folder, args.database_folder),
                           find_queries_folder(args.test_set_folder, args.queries_folder), args.positive_dist_threshold,
                           args.image_size if args.resize_test_imgs else None)
    logging.info(f"Test set: {test_set}")
    if args.fda_queries or args.fda_database:
        swap_amplitudes(test_set, args.fda_queries, args.fda_database, args.fda_beta, seed)
    if args.resume_model:
        network = load_network(args.resume_model, *args.expected_architecture)
    else:
        logging.warning("Without --resume_model the network is not trained: its last layer is random, "
                        f"and the weights of its backbone are {args.backbone_weights or 'too'}")
        network = GeoLocalizationNet(args.backbone, args.fc_output_dim, weights=args.backbone_weights)
    logging.info(f"Network: {network.backbone_name} with {network.fc_output_dim}-D descriptors")
    network = network.to(device, memory_format=torch.channels_last)

    return test_and_report(test_set, network, args, device, seed, output_folder)


def test_and_report(test_set, network, args, device, seed, output_folder):
    """Tests a network, logs the recalls, and draws predictions if that is asked for. Returns the TestResult."""
    result = test(test_set, network, args.infer_batch_size, device, args.num_workers, seed, args.num_preds_to_save,
                  getattr(torch, args.infer_dtype), descriptor_cache(args), args.faiss_index, args.faiss_nprobe)
    logging.info(f"{test_set}: {result}")
    for line in result.details():
        logging.info(line)
    if args.num_preds_to_save and distributed.is_main():
        folder = os.path.join(output_folder, "preds")
        drawn = save_predictions(test_set, result, folder, args.num_preds_to_save, args.save_only_wrong_preds)
        logging.info(f"Predictions of {drawn} queries are drawn in {folder}")
    return result


def descriptor_cache(args, keep=True):
    """The DescriptorCache that args ask for; keep: whether descriptors may outlive the run."""
    keep = keep and not args.no_descriptors_cache
    return cache.DescriptorCache(cache.FOLDER if keep else None, round(args.descriptors_cache_size * 1e9), args.descriptors_dtype)


if __name__ == "__main__":
    sys.exit(main())
