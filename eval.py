"""Computes the recalls of a network on a test set, or searches any two folders of images."""

if __name__ == "__main__":  # answer --help and usage errors before torch is imported, which takes seconds
    import parser

    parser.answer_early("eval")

import contextlib
import dataclasses
import functools
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Iterator

import torch

import commons
import distributed
from datasets.bad_images import BadImages
from datasets.night.fda_images import open_training_images, swap_amplitudes
from datasets.same_lists import check_same_lists
from datasets.test_dataset import Resize, TestDataset, find_database_folder, find_queries_folder
from datasets.test_sets import TestSet, find_test_sets
from matching.choices import NEIGHBOURS
from matching.reranking import Reranking
from model.hub.choices import describe_size
from model.hub.method import HubMethod
from model.onnx_network import OnnxNetwork
from model.precision import chosen_infer_dtype, name_of
from model.state_dicts import digest_tensors
from options.hub import hub_spec
from parser import parse_arguments
from report.curves import (
    acceptance,
    describe_acceptance,
    precision_recall,
    recall_at_full_precision,
    similarities,
)
from report.dimensions import write_dimensions
from report.evaluation import Evaluation, write_report
from report.notes import run_notes, size_of_first
from report.page import check_report
from report.reranking import difference_lines, log_second_look
from report.search import write_search_report
from report.tables import RecallTable
from report.training import beside_checkpoint, read_metrics
from retrieval.given import Given
from retrieval.index import FLAT
from retrieval.interchange import check_h5py, check_pair_names
from retrieval.methods import Method, Network, check_dimensions, describe_method, image_size, open_methods
from retrieval.whitening import Whitening, describe_whitening, images_to_fit, warn_of_queries, whitened, whitened_stores
from support.errors import UserError
from test import (
    TestOptions,
    TestResult,
    descriptor_cache,
    report_test,
    report_unreadable,
    test_and_report,
    test_files,
    test_options,
    test_stores,
)
from training.environment import describe_environment, write_environment

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Runs eval.py. argv: its arguments (default: those of the command line). Returns the exit code."""
    with distributed.joined():
        args = parse_arguments("eval", argv)
        return commons.run_experiment(evaluate, args)


def evaluate(args: Namespace, output_folder: str) -> TestResult | list[TestResult]:
    """Tests the networks, and writes recalls, predictions, a comparison, tables and the page.

    Returns the TestResult of the first network on the first queries; with --test_set_folders, a list of its results.
    """
    check_outputs(args)
    device = commons.select_device(args.device)
    seed = commons.set_seed(args.seed)
    test_sets = open_test_sets(args, seed)
    methods = open_methods(args, *(hub_spec(args, flag) for flag in ("hub", "compare_hub")))
    networks = {
        name: method.to(device, memory_format=torch.channels_last)
        for name, method in methods.items()
        if not isinstance(method, Given)
    }
    if args.compile and any(isinstance(network, OnnxNetwork | HubMethod) for network in networks.values()):
        raise UserError("--compile is for this project's networks, and not for ONNX files or --hub: leave it out")
    precision = describe_run(args, networks, device, output_folder)
    check_dimensions(args, methods)
    reranking = Reranking.of(args, device)

    evaluations = []
    for number, (name, method) in enumerate(methods.items()):
        logger.info(describe_method(name, method, args, len(methods) > 1))
        options = dataclasses.replace(test_options(args, networks.get(name), device, seed), compile=args.compile)
        if reranking:
            wanted = max(options.num_predictions, args.rerank, NEIGHBOURS)
            options = dataclasses.replace(options, reranking=reranking, num_predictions=wanted)
        folder = output_folder if number == 0 else os.path.join(output_folder, "compare")
        table = RecallTable(os.path.join(folder, "test_sets.csv"), name)
        results = test_all(resized(test_sets, image_size(method, args)), method, options, args, table)
        evaluations += [
            Evaluation(dataset.name, name, dataset, result)
            for (_, dataset), result in zip(test_sets, results, strict=True)
        ]

    if reranking:
        for evaluation in evaluations:
            log_second_look(f"{evaluation.name}, {evaluation.model}", evaluation.result, seed)
    if not args.no_labels:
        log_precision(evaluations, args.precision)
    if len(methods) > 1:
        log_comparison(evaluations[: len(test_sets)], evaluations[len(test_sets) :], seed)
    if args.report and distributed.is_main():
        settings = report_settings(args, methods, [dataset for _, dataset in test_sets], precision, reranking)
        if args.no_labels:
            write_search_report(args.report, evaluations, settings)
        else:
            write_report(args.report, evaluations, settings, training_runs(args), seed, args.precision)
        logger.info(f"The report is in {args.report}")
    bad_images = BadImages(output_folder, args.max_bad_images, writes=distributed.is_main())
    for evaluation in evaluations:  # at the very end, because too many of them are an error
        bad_images.take_test(evaluation.dataset, evaluation.result)
    results = [evaluation.result for evaluation in evaluations[: len(test_sets)]]
    return results if args.test_set_folders else results[0]


def check_outputs(args: Namespace) -> None:
    """Raises UserError if an output cannot be written: before hours of extraction."""
    if args.report and distributed.is_main():
        check_report(args.report)
    if distributed.size() > 1 and (args.save_descriptors or args.save_pairs or args.save_sfm_pairs):
        raise UserError(
            "--save_descriptors, --save_pairs and --save_sfm_pairs need one process with all descriptors: "
            "run without torchrun"
        )
    if distributed.size() > 1 and args.database_descriptors:
        raise UserError("--database_descriptors are read by one process: run without torchrun")
    if "h5" in args.save_descriptors:
        check_h5py()


def open_test_sets(args: Namespace, seed: int) -> list[tuple[TestSet | None, TestDataset]]:
    """Opens the test sets of --test_set_folders, or else one for each folder of queries, whose TestSet is None.

    seed: of --fda_queries and --fda_database. Raises UserError if a folder is missing or two sets have one name.
    """
    resize = args.image_size if args.resize_test_imgs else None
    if args.test_set_folders:
        found = [
            test_set for folder in args.test_set_folders for test_set in find_test_sets(folder, args.queries_folder)
        ]
        pairs = [
            (test_set, test_set.open(args.positive_dist_threshold, resize, args.positive_heading_threshold))
            for test_set in found
        ]
    else:
        pairs = [
            (
                None,
                TestDataset(
                    find_database_folder(args.test_set_folder, args.database_folder),
                    find_queries_folder(args.test_set_folder, queries),
                    args.positive_dist_threshold,
                    resize,
                    labelled=not args.no_labels,
                    positive_heading_threshold=args.positive_heading_threshold,
                ),
            )
            for queries in (args.queries_folder, *args.further_queries)
        ]
    names = [dataset.name for _, dataset in pairs]
    if len(set(names)) < len(names):
        raise UserError(
            f"two folders of queries have one name ({', '.join(names)}): rename one, or test them one by one"
        )
    if args.save_pairs or args.save_sfm_pairs:
        for _, dataset in pairs:
            check_pair_names(dataset)
    has_fda = args.fda_queries or args.fda_database
    targets = open_training_images(args.train_set_folder, resize) if has_fda and args.fda_targets == "train" else None
    check_same_lists([dataset for _, dataset in pairs], [(targets.folder, targets.names)] if targets else ())
    if args.positive_heading_threshold is not None:
        degrees = args.positive_heading_threshold
        logger.info(f"A right database image also looks within {degrees:g} degrees of the query's heading")
    for _, dataset in pairs:
        logger.info(f"Test set: {dataset}")
        if has_fda:
            swap_amplitudes(dataset, args.fda_queries, targets, args.fda_beta, seed, args.fda_window)
    return pairs


def resized(
    test_sets: list[tuple[TestSet | None, TestDataset]], size: Resize
) -> list[tuple[TestSet | None, TestDataset]]:
    """The test sets of open_test_sets, their images in the size of a method."""
    return [
        (test_set, dataset if dataset.database.resize == size else dataset.resized(size))
        for test_set, dataset in test_sets
    ]


def describe_run(
    args: Namespace, networks: dict[str, Network], device: torch.device, output_folder: str
) -> dict[str, str]:
    """Writes the environment of the run, and checks that all ranks have the same weights and precision.

    args: of eval.py
    networks: by name
    device: that they are on
    output_folder: of the run

    Returns {name of the network: what its backbone computes in}.
    """
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
        hub = {name: network.record() for name, network in networks.items() if isinstance(network, HubMethod)}
        environment = {**describe_environment(device), "precision": precision, **({"hub": hub} if hub else {})}
        write_environment(output_folder, args, environment, **digests)
    return precision


def test_all(
    test_sets: list[tuple[TestSet | None, TestDataset]],
    method: Method,
    options: TestOptions,
    args: Namespace,
    table: RecallTable,
) -> list[TestResult]:
    """Tests a network, or descriptors that are given, on all test sets. Outputs go into the folder of the table.

    test_sets: as of open_test_sets
    method: on options.device, if it is a network
    options: how to extract and search
    args: of eval.py
    table: of recalls; with --test_set_folders it is written and logged, also when a later test set fails
    """
    output_folder, results, fitted = os.path.dirname(table.path), [], {}
    cache = descriptor_cache(args)
    try:
        for number, (test_set, dataset) in enumerate(test_sets, 1):
            folder = output_folder
            if test_set:
                folder = os.path.join(folder, f"{number} {dataset.name}".replace("/", "-").replace(" ", "_"))
            elif len(test_sets) > 1:
                folder = os.path.join(folder, os.path.basename(os.path.normpath(dataset.queries.folder)))
            files, tested, use = test_files(args, folder), method, None
            if args.dimensions:
                path = os.path.join(folder, "dimensions.csv")
                use = functools.partial(write_dimensions, args.dimensions, dataset, options, path)
            if isinstance(method, Given):
                with contextlib.ExitStack() as stack:
                    stores = stack.enter_context(method.stores(dataset))
                    for part, store in zip(("database", "queries"), stores, strict=True):
                        report_unreadable(dataset, part, store)
                    if args.whiten:
                        stores = stack.enter_context(whitened_stores(*stores, Whitening.of(args)))
                    run = functools.partial(test_stores, dataset, *stores, options)
                    results.append(report_test(dataset, run, options, files, use))
                continue
            if args.whiten:
                images = images_to_fit(args, dataset.database)
                warn_of_queries(args, dataset.queries)
                # folders of queries may share a database, unless it has their colours
                key = images.folder, number if args.fda_database and args.fda_targets == "test" else None
                if key not in fitted:
                    fitted = {key: whitened(method, images, Whitening.of(args), options, cache)}
                tested = fitted[key]
            results.append(test_and_report(dataset, tested, options, files, cache, use))
            if test_set and distributed.is_main():
                table.add(test_set, dataset, results[-1])
    finally:
        if results and args.test_set_folders and distributed.is_main():
            logger.info(f"Recalls in percent with 95% intervals (also in {table.path}):\n\n{table}\n")
    return results


def log_comparison(evaluations: list[Evaluation], others: list[Evaluation], seed: int) -> None:
    """Logs a table for each test set: how the first network's recalls differ from the other's."""
    for evaluation, other in zip(evaluations, others, strict=True):
        few = " (few queries)" if evaluation.result.few else ""
        logger.info(f"{evaluation.name}{few}: {evaluation.model} minus {other.model}")
        for line in difference_lines(evaluation.result, other.result, ("the first", "the other"), seed):
            logger.info(line)


def log_precision(evaluations: list[Evaluation], precision: float | None) -> None:
    """Logs what the similarity tells: R@100P and, for a wanted precision, the threshold to accept a prediction."""
    for evaluation in evaluations:
        similarity, found = similarities(evaluation.result), evaluation.result.found
        if similarity is None:
            continue
        name = f"{evaluation.name}, {evaluation.model}"
        full = recall_at_full_precision(*precision_recall(similarity, found[:, 0])[1:])
        logger.info(
            f"{name}: R@100P {full:.1f}, the queries found before the first wrong one, by similarity, in percent"
        )
        if precision is not None:
            accepted = acceptance(evaluation.result, precision)
            logger.info(f"{name}: {describe_acceptance(accepted, precision, len(found))}")


def report_settings(
    args: Namespace,
    methods: dict[str, Method],
    datasets: list[TestDataset],
    precision: dict[str, str],
    reranking: Reranking | None = None,
) -> Iterator[tuple[str, str]]:
    """How the page's numbers were made, as pairs (label, value).

    args: of eval.py
    methods: by name
    datasets: all of one database
    precision: as of describe_run
    reranking: the second look, if there was one
    """
    for name, method in methods.items():
        if isinstance(method, Given):
            yield "Descriptors", f"{name} and {method.queries}, {method.dim}-D"
        elif isinstance(method, HubMethod):
            commit = f", commit {method.origin['commit']}" if method.origin["commit"] else ""
            yield "Method of torch.hub", f"{name}{commit}, {method.fc_output_dim}-D"
        else:
            yield "Network", f"{name}: {method.backbone_name}, {method.fc_output_dim}-D"
    yield "Database", datasets[0].database.folder
    yield from (("Queries", dataset.queries.folder) for dataset in datasets)
    size = f"shorter side resized to {args.image_size} pixels" if args.resize_test_imgs else "in their own size"
    yield "Images", f"{size}; the first query: {size_of_first(datasets[0].queries)}"
    for name, method in methods.items():
        if isinstance(method, HubMethod) and method.spec.image_size:
            yield "Images", f"for {name}: {describe_size(method.spec.image_size)}"
    if precision:
        yield "Descriptors", f"computed in {' and '.join(dict.fromkeys(precision.values()))}"
    if args.whiten:
        yield "Last layer", describe_whitening(args)
    if reranking:
        yield "Second look", reranking.describe()
    yield "Search", "exact" if args.faiss_index == FLAT else f"faiss {args.faiss_index}, approximate"
    yield from run_notes()


def training_runs(args: Namespace) -> dict[str, dict]:
    """{checkpoint: its run's metrics}, for the checkpoints that lie beside a metrics.csv."""
    runs = {}
    for checkpoint in filter(None, (args.resume_model, args.compare)):
        metrics = beside_checkpoint(checkpoint)
        try:
            runs |= {checkpoint: read_metrics(metrics)} if metrics else {}
        except UserError as error:
            logger.warning(f"The report has no training curves of {checkpoint}: {error}")
    return runs


if __name__ == "__main__":
    sys.exit(main())
