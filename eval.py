"""Computes the recalls of a network on a test set."""

if __name__ == "__main__":  # answer --help and usage errors before torch is imported, which takes seconds
    import parser

    parser.answer_early("eval")

import functools
import logging
import os
import sys

import torch

import commons
import distributed
from datasets.bad_images import BadImages
from datasets.night.fda_images import swap_amplitudes
from datasets.same_lists import check_same_lists
from datasets.test_dataset import TestDataset, find_database_folder, find_queries_folder
from datasets.test_sets import find_test_sets
from model.checkpoints import load_network
from model.network import GeoLocalizationNet
from model.precision import chosen_infer_dtype, infer_dtype, name_of
from model.state_dicts import digest_tensors
from parser import parse_arguments
from report.evaluation import Evaluation, write_report
from report.page import check_report
from report.tables import RecallTable
from report.training import beside_checkpoint, read_metrics
from retrieval import cache, interchange
from retrieval.index import FLAT
from support.errors import UserError
from test import paired_difference, test
from training.environment import describe_environment, write_environment
from visualizations import save_predictions


def main(argv=None):
    with distributed.joined():
        args = parse_arguments("eval", argv)
        return commons.run_experiment(evaluate, args)


def evaluate(args, output_folder):
    """Extracts, searches, logs the recalls, draws predictions, compares, writes tables and the page. Returns the
    TestResult of the first network on the first queries, or with --test_set_folders a list of its results.
    """
    if args.report and distributed.is_main():
        check_report(args.report)
    if distributed.size() > 1 and (args.save_descriptors or args.save_pairs or args.save_sfm_pairs):
        raise UserError(
            "--save_descriptors, --save_pairs and --save_sfm_pairs need one process with all descriptors: run without torchrun"
        )
    if "h5" in args.save_descriptors:
        interchange.check_h5py()  # both are said before hours of extraction
    device = commons.select_device(args.device)
    seed = commons.set_seed(args.seed)
    test_sets = open_test_sets(args, seed)
    networks = {
        name: network.to(device, memory_format=torch.channels_last) for name, network in load_networks(args).items()
    }
    digests = {
        label: digest_tensors(network.state_dict())
        for label, network in zip(("weights", "compared_weights"), networks.values(), strict=False)
    }
    distributed.check_same(digests, "weights")
    precision = {
        name: name_of(chosen_infer_dtype(args.infer_dtype, network, device)) for name, network in networks.items()
    }
    distributed.check_same(precision, "kinds of numbers", "name --infer_dtype, for processors choose differently")
    if distributed.is_main():
        write_environment(output_folder, args, {**describe_environment(device), "precision": precision}, **digests)

    evaluations = []
    for name, network in networks.items():
        logging.info(
            f"Network: {network.backbone_name} with {network.fc_output_dim}-D descriptors"
            + (f", {name}" if args.compare else "")
        )
        is_first = not evaluations or name == evaluations[0].model
        results = evaluate_all(
            test_sets,
            name,
            network,
            args,
            device,
            seed,
            output_folder if is_first else os.path.join(output_folder, "compare"),
        )
        evaluations += [
            Evaluation(dataset.name, name, dataset, result)
            for (_, dataset), result in zip(test_sets, results, strict=True)
        ]
    if args.compare:
        log_comparison(evaluations[: len(test_sets)], evaluations[len(test_sets) :], seed)
    if args.report and distributed.is_main():
        datasets = [dataset for _, dataset in test_sets]
        write_report(
            args.report, evaluations, report_settings(args, networks, datasets, precision), training_runs(args), seed
        )
        logging.info(f"The report is in {args.report}")
    bad_images = BadImages(output_folder, args.max_bad_images, writes=distributed.is_main())
    for evaluation in evaluations:  # the last, since too many of them are an error
        bad_images.take_test(evaluation.dataset, evaluation.result)
    results = [evaluation.result for evaluation in evaluations[: len(test_sets)]]
    return results if args.test_set_folders else results[0]


def evaluate_all(test_sets, name, network, args, device, seed, output_folder):
    """The TestResults of a network on test sets, pairs of open_test_sets. With --test_set_folders they are logged, and
    written, as a table too, whether all are reached or not. name: what the network is called.
    """
    table, results = RecallTable(os.path.join(output_folder, "test_sets.csv"), name), []
    try:
        for number, (test_set, dataset) in enumerate(test_sets, 1):
            below = [f"{number} {dataset.name}".replace("/", "-").replace(" ", "_")] if test_set else [dataset.name]
            folder = os.path.join(output_folder, *(below if len(test_sets) > 1 or test_set else []))
            results.append(test_and_report(dataset, network, args, device, seed, folder))
            if test_set and distributed.is_main():
                table.add(test_set, dataset, results[-1])
    finally:
        if results and args.test_set_folders and distributed.is_main():
            logging.info(f"Recalls in percent with 95% intervals (also in {table.path}):\n\n{table}\n")
    return results


def open_test_sets(args, seed):
    """[(TestSet, its TestDataset)] of --test_set_folders, or [(None, TestDataset)] of each folder of queries."""
    resize = args.image_size if args.resize_test_imgs else None
    if args.test_set_folders:
        found = [
            test_set for folder in args.test_set_folders for test_set in find_test_sets(folder, args.queries_folder)
        ]
        pairs = [(test_set, test_set.open(args.positive_dist_threshold, resize)) for test_set in found]
    else:
        pairs = [
            (
                None,
                TestDataset(
                    find_database_folder(args.test_set_folder, args.database_folder),
                    find_queries_folder(args.test_set_folder, queries),
                    args.positive_dist_threshold,
                    resize,
                ),
            )
            for queries in (args.queries_folder, *args.further_queries)
        ]
    names = [dataset.name for _, dataset in pairs]
    if len(set(names)) < len(names):
        raise UserError(
            f"two folders of queries have one name ({', '.join(names)}): rename one, or test them one by one"
        )
    check_same_lists([dataset for _, dataset in pairs])
    for _, dataset in pairs:
        logging.info(f"Test set: {dataset}")
        if args.fda_queries or args.fda_database:
            swap_amplitudes(dataset, args.fda_queries, args.fda_database, args.fda_beta, seed)
    return pairs


def load_networks(args):
    """{name: network} of --resume_model, or an untrained one, and of --compare."""
    if args.compare and args.resume_model and os.path.realpath(args.compare) == os.path.realpath(args.resume_model):
        raise UserError(f"--compare {args.compare} is --resume_model itself: name another network")
    if args.resume_model:
        name, network = (
            args.resume_model,
            load_network(args.resume_model, *args.expected_architecture, zoo_location=args.zoo),
        )
    else:
        logging.warning(
            "Without --resume_model the network is not trained: its last layer is random, "
            f"and the weights of its backbone are {args.backbone_weights or 'too'}"
        )
        name, network = (
            "untrained",
            GeoLocalizationNet(args.backbone, args.fc_output_dim, weights=args.backbone_weights),
        )
    return {name: network} | ({args.compare: load_network(args.compare, zoo_location=args.zoo)} if args.compare else {})


def log_comparison(evaluations, others, seed):
    """Logs, for each test set, how the first network's recalls differ from the other's."""
    for evaluation, other in zip(evaluations, others, strict=True):
        difference = paired_difference(evaluation.result.found, other.result.found, seed)
        for row, n in enumerate(evaluation.result.recall_values):
            low, high = difference.intervals[row]
            logging.info(
                f"{evaluation.name}, R@{n} of {evaluation.model} less that of {other.model}: {difference.values[row]:+.1f} "
                f"(95% interval {low:+.1f} to {high:+.1f}); {difference.won[row]} queries found by the first alone, "
                f"{difference.lost[row]} by the other"
            )


def report_settings(args, networks, test_sets, precision):
    """What the page says of how its numbers were made: pairs (label, value)."""
    yield from (
        ("Network", f"{name}: {network.backbone_name}, {network.fc_output_dim}-D") for name, network in networks.items()
    )
    yield "Database", test_sets[0].database.folder
    yield from (("Queries", test_set.queries.folder) for test_set in test_sets)
    yield (
        "Images",
        f"shorter side resized to {args.image_size} pixels" if args.resize_test_imgs else "in their own size",
    )
    yield "Descriptors", f"computed in {' and '.join(dict.fromkeys(precision.values()))}"
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
    """Tests a network, logs the recalls, draws predictions if that is asked for, and lists bad images. Returns the
    TestResult. Raises UserError when bad_images (BadImages, or None: the caller takes them) are too many, and the
    recalls are of another set than they seem: but they are logged by then.
    """
    result = test(
        test_set,
        network,
        args.infer_batch_size,
        device,
        args.num_workers,
        seed,
        max(args.num_preds_to_save, args.save_pairs),
        infer_dtype(args.infer_dtype, network, device)[0],
        descriptor_cache(args),
        args.faiss_index,
        args.faiss_nprobe,
        functools.partial(
            interchange.save,
            test_set,
            output_folder,
            args.save_descriptors,
            args.save_pairs,
            args.save_sfm_pairs,
            device,
        ),
    )
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
    return cache.DescriptorCache(
        cache.FOLDER if keep else None, round(args.descriptors_cache_size * 1e9), args.descriptors_dtype
    )


if __name__ == "__main__":
    sys.exit(main())
