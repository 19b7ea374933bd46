"""Computes the recalls of a network on a test set."""

import logging
import os
import sys

import torch

import commons
import distributed
from datasets.bad_images import BadImages
from datasets.night.fda_images import swap_amplitudes
from datasets.test_dataset import TestDataset, find_database_folder, find_queries_folder
from model.checkpoints import load_network
from model.environment import describe_environment, digest_tensors, write_environment
from model.errors import UserError
from model.network import GeoLocalizationNet
from parser import parse_arguments
from retrieval import cache
from retrieval.index import FLAT
from retrieval.report.evaluation import Evaluation, write_report
from retrieval.report.page import check_report
from retrieval.report.training import beside_checkpoint, read_metrics
from test import paired_difference, test
from visualizations import save_predictions


def main(argv=None):
    with distributed.joined():
        args = parse_arguments(is_training=False, argv=argv)
        return commons.run_experiment(evaluate, args)


def evaluate(args, output_folder):
    """Extracts, searches, logs the recalls, draws predictions, compares, writes the page. Returns the TestResult of the first network on
    the first queries."""
    if args.report and distributed.is_main():
        check_report(args.report)
    device = commons.select_device(args.device)
    seed = commons.set_seed(args.seed)
    test_sets = [open_test_set(args, queries, seed) for queries in (args.queries_folder, *args.further_queries)]
    names = [test_set.name for test_set in test_sets]
    if len(set(names)) < len(names):
        raise UserError(f"two folders of queries have one name ({', '.join(names)}): rename one, or test them one by one")
    networks = {name: network.to(device, memory_format=torch.channels_last) for name, network in load_networks(args).items()}

    digests = {label: digest_tensors(network.state_dict())
               for label, network in zip(("weights", "compared_weights"), networks.values(), strict=False)}
    distributed.check_same(digests, "weights")
    if distributed.is_main():
        write_environment(output_folder, args, describe_environment(device), **digests)

    evaluations = []
    for name, network in networks.items():
        logging.info(f"Network: {network.backbone_name} with {network.fc_output_dim}-D descriptors" + (f", {name}" if args.compare else ""))
        for test_set in test_sets:
            folder = os.path.join(output_folder, *(["compare"] if evaluations and name != evaluations[0].model else []),
                                  *([test_set.name] if len(test_sets) > 1 else []))
            result = test_and_report(test_set, network, args, device, seed, folder)
            evaluations.append(Evaluation(test_set.name, name, test_set, result))
    if args.compare:
        log_comparison(evaluations[:len(test_sets)], evaluations[len(test_sets):], seed)
    if args.report and distributed.is_main():
        write_report(args.report, evaluations, report_settings(args, networks, test_sets), training_runs(args), seed)
        logging.info(f"The report is in {args.report}")
    bad_images = BadImages(output_folder, args.max_bad_images, writes=distributed.is_main())
    for evaluation in evaluations:  # the last, since too many of them are an error
        bad_images.take_test(evaluation.dataset, evaluation.result)
    return evaluations[0].result


def open_test_set(args, queries_folder, seed):
    """The TestDataset of a folder of queries."""
    test_set = TestDataset(find_database_folder(args.test_set_folder, args.database_folder),
                           find_queries_folder(args.test_set_folder, queries_folder), args.positive_dist_threshold,
                           args.image_size if args.resize_test_imgs else None)
    logging.info(f"Test set: {test_set}")
    if args.fda_queries or args.fda_database:
        swap_amplitudes(test_set, args.fda_queries, args.fda_database, args.fda_beta, seed)
    return test_set


def load_networks(args):
    """{name: network} of --resume_model, or an untrained one, and of --compare."""
    if args.compare and args.resume_model and os.path.realpath(args.compare) == os.path.realpath(args.resume_model):
        raise UserError(f"--compare {args.compare} is --resume_model itself: name another network")
    if args.resume_model:
        name, network = args.resume_model, load_network(args.resume_model, *args.expected_architecture)
    else:
        logging.warning("Without --resume_model the network is not trained: its last layer is random, "
                        f"and the weights of its backbone are {args.backbone_weights or 'too'}")
        name, network = "untrained", GeoLocalizationNet(args.backbone, args.fc_output_dim, weights=args.backbone_weights)
    return {name: network} | ({args.compare: load_network(args.compare)} if args.compare else {})


def log_comparison(evaluations, others, seed):
    """Logs, for each test set, how the first network's recalls differ from the other's."""
    for evaluation, other in zip(evaluations, others, strict=True):
        difference = paired_difference(evaluation.result.found, other.result.found, seed)
        for row, n in enumerate(evaluation.result.recall_values):
            low, high = difference.intervals[row]
            logging.info(f"{evaluation.name}, R@{n} of {evaluation.model} less that of {other.model}: {difference.values[row]:+.1f} "
                         f"(95% interval {low:+.1f} to {high:+.1f}); {difference.won[row]} queries found by the first alone, "
                         f"{difference.lost[row]} by the other")


def report_settings(args, networks, test_sets):
    """What the page says of how its numbers were made: pairs (label, value)."""
    yield from (("Network", f"{name}: {network.backbone_name}, {network.fc_output_dim}-D") for name, network in networks.items())
    yield "Database", test_sets[0].database.folder
    yield from (("Queries", test_set.queries.folder) for test_set in test_sets)
    yield "Images", f"shorter side resized to {args.image_size} pixels" if args.resize_test_imgs else "in their own size"
    yield "Descriptors", f"computed in {args.infer_dtype}"
    yield "Search", "exact" if args.faiss_index == FLAT else f"faiss {args.faiss_index}, approximate"


def training_runs(args):
    """{checkpoint: its run's metrics}, of those beside which there is a metrics.csv."""
    runs = {}
    for checkpoint in filter(None, (args.resume_model, args.compare)):
        metrics = beside_checkpoint(checkpoint)
        try:
            runs |= {checkpoint: read_metrics(metrics)} if metrics else {}
        except UserError as error:
            logging.warning(f"The report has no training curves of {checkpoint}: {error}")
    return runs


def test_and_report(test_set, network, args, device, seed, output_folder, bad_images=None):
    """Tests a network, logs the recalls, draws predictions if that is asked for, and lists bad images. Returns the TestResult. Raises
    UserError when bad_images (BadImages, or None: the caller takes them) are too many, and the recalls are of another set than they seem:
    but they are logged by then.
    """
    result = test(test_set, network, args.infer_batch_size, device, args.num_workers, seed, args.num_preds_to_save,
                  getattr(torch, args.infer_dtype), descriptor_cache(args), args.faiss_index, args.faiss_nprobe)
    logging.info(f"{test_set}: {result}")
    for line in result.details():
        logging.info(line)
    if args.num_preds_to_save and distributed.is_main():
        folder = os.path.join(output_folder, "preds")
        drawn = save_predictions(test_set, result, folder, args.num_preds_to_save, args.save_only_wrong_preds)
        logging.info(f"Predictions of {drawn} queries are drawn in {folder}")
    if bad_images:
        bad_images.take_test(test_set, result)
    return result


def descriptor_cache(args, keep=True):
    """The DescriptorCache that args ask for; keep: whether descriptors may outlive the run."""
    keep = keep and not args.no_descriptors_cache
    return cache.DescriptorCache(cache.FOLDER if keep else None, round(args.descriptors_cache_size * 1e9), args.descriptors_dtype)


if __name__ == "__main__":
    sys.exit(main())
