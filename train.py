"""Trains CosPlace: one head per group of classes, one group per epoch in turn. EigenPlaces has two heads per group."""

if __name__ == "__main__":  # answer --help and usage errors before torch is imported, which takes seconds
    import parser

    parser.answer_early("train")

import argparse
import datetime
import functools
import itertools
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

import torch
from tqdm import tqdm

import commons
import distributed
from datasets.train_dataset import Batch, make_loader
from model.checkpoints import network_of, save_network
from parser import RESULT_OPTIONS, parse_arguments
from retrieval.last_layer import begin_with_fitted_layer
from support.signals import deferred_signals
from test import TestResult, descriptor_cache, test, test_and_report, test_files, test_options
from training.acceleration import set_tf32, traced
from training.build import build_run, record_facts
from training.checkpoints import Checkpoints, checkpoint_at_the_end
from training.data import TrainingData, open_data
from training.early_stopping import epochs_left
from training.metrics import Metrics
from training.objective import Objective, SumOfParts
from training.progress import TrainingProgress
from training.ranks import make_ranks
from training.resuming import find_run_to_resume, resume
from training.run import Run
from training.run_files import load_run_state
from training.step_monitor import EpochSums
from training.transfer import to_device

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Trains as the arguments say (default: those of the command line). Returns the exit code."""
    with distributed.joined():
        args = parse_arguments("train", argv)
        resumed_folder, problems = find_run_to_resume(args)
        return commons.run_experiment(functools.partial(train, problems=problems), args, resumed_folder)


def train(args: argparse.Namespace, output_folder: str, problems: Sequence[str] = ()) -> int:
    """The whole run: data, network and heads, epochs with validation and checkpoints, the test of the best model.

    Returns the number of epochs that it has been trained for.

    args: of the command line
    output_folder: for logs, checkpoints and metrics
    problems: with the checkpoints that a resumed run was looked for in, to be logged
    """
    for problem in problems:
        logger.warning(f"{problem}. It is skipped")
    device = commons.select_device(args.device)
    augmentation_device = commons.select_device(args.augmentation_device or device.type, "--augmentation_device")
    set_tf32(args.tf32)
    state = load_run_state(args.resume_train) if args.resume_train else None
    seed = commons.set_seed(state["seed"] if args.seed == -1 and state and "seed" in state else args.seed)
    ranks = make_ranks(args.parallel, args.local_steps, args.local_moments)
    data = open_data(args, seed, ranks)
    run = build_run(args, data, ranks, device, state)
    if args.fc_init == "pca" and not state:
        images = data.sample(args.fc_init_images, args.image_size)
        options = test_options(args, run.network, device, seed)
        begin_with_fitted_layer(run.network, images, args.fc_init_power, options)
    record_facts(run, args, RESULT_OPTIONS, data.groups.digest, output_folder)
    if state:
        resume(run, state, args, data, output_folder)
        del state
    with commons.tolerating_full_disks("without the maps of classes that are missing"):
        data.draw_classes(args.visualize_classes if ranks.writes else 0, os.path.join(output_folder, "classes"))
    ranks.cut_heads(run)

    checkpoints = Checkpoints(run, output_folder, args.checkpoint_every)
    metrics = Metrics(os.path.join(output_folder, "metrics.csv"), run.epoch, args.tensorboard and ranks.writes)
    first_step = run.epoch * args.iterations_per_epoch + run.iteration
    progress = TrainingProgress(data.schedule, first_step, args.patience is not None)
    loader = make_loader(data.dataset, first_step, args.num_workers, pin_memory=device.type == "cuda")
    batches = prepare_batches(loader, data, run, augmentation_device)
    trace = os.path.join(output_folder, "trace.json") if args.profile and ranks.writes else None
    with checkpoint_at_the_end(checkpoints), loader:
        for epoch in epochs_left(run, args.epochs_num, args.patience):
            groups = data.schedule.groups_of(epoch)
            with ranks.ending_together(), run.training_groups(groups, data.dataset) as objectives:
                steps = epoch_batches(batches, args.iterations_per_epoch, run)
                steps, trace = (traced(steps, args.profile, trace) if trace else steps), None
                train_one_epoch(steps, run, objectives, checkpoints, progress)
                ranks.end_training(checkpoints)
            result, row = validate(run, data, groups, args)
            with deferred_signals():
                if run.take_recall1(result.recall(1)):
                    checkpoints.keep_best()
                keep_epoch(run, metrics, row, args, output_folder)
                run.end_epoch()
                run.bad_images.take_test(data.val_set, result)
                checkpoints.save()
    logger.info(f"Trained for {run.epoch} epochs; best R@1 on {data.val_set}: {run.best_recall1:.1f}")
    test_best(run, checkpoints, data, args, output_folder)
    metrics.write()  # what a full disk has refused so far
    ranks.finish(checkpoints)
    return run.epoch


def train_one_epoch(
    batches: Iterable[Batch],
    run: Run,
    objectives: dict[int, Objective | SumOfParts],
    checkpoints: Checkpoints | None = None,
    progress: TrainingProgress | None = None,
) -> None:
    """Trains on the batches that are left of an epoch. The sums of the losses are in run.monitor.sums.

    batches: augmented, on the device
    run: what is trained
    objectives: of the groups that the batches are of
    checkpoints: written where one is due
    progress: of the whole run
    """
    run.begin_epoch()
    for batch in batches:
        with run.step(batch):
            run.set_learning_rates(batch.step)
            with run.amp.autocast():
                # {name: scalar}
                terms = objectives[batch.group](batch.images, batch.labels, batch.domain, batch.places)
            run.backward_and_update(sum(terms.values()), batch.group)
            run.monitor.add(batch.step, terms, batch.names, run.learning_rates(batch.group))
        if progress:
            progress.log_if_due(run, batch.step + 1)
        run.ranks.end_step(run, checkpoints)
    run.monitor.flush()


def prepare_batches(
    loader: Iterable[Batch], data: TrainingData, run: Run, augmentation_device: torch.device
) -> Iterator[Batch]:
    """Yields the loader's batches, augmented, on the device that the run trains on.

    loader: of uint8 batches
    data: whose augmentation it is
    run: that is told of unreadable images
    augmentation_device: where images are augmented
    """
    device, rows = run.amp.device, data.dataset.rows()
    for batch in to_device(loader, augmentation_device):
        batch = run.ranks.take(run.bad_images, batch, rows)
        yield data.augmented(batch).map(lambda tensor: tensor.to(device, non_blocking=True))


def epoch_batches(batches: Iterator[Batch], iterations_per_epoch: int, run: Run) -> Iterator[Batch]:
    """Yields the batches that are left of the run's epoch, with a progress bar that has the epoch's loss so far."""
    with tqdm(
        itertools.islice(batches, iterations_per_epoch - run.iteration),
        initial=run.iteration,
        total=iterations_per_epoch,
        leave=False,
        desc=f"Epoch {run.epoch:02d}",
        unit="it",
        disable=distributed.quiet(),
    ) as bar:
        for batch in bar:
            yield batch
            if run.monitor.sums.steps:
                bar.set_postfix(loss=f"{run.monitor.sums.means()['loss']:.4f}", refresh=False)


def validate(
    run: Run, data: TrainingData, groups: Sequence[int], args: argparse.Namespace
) -> tuple[TestResult, dict[str, float]]:
    """Logs the epoch's losses and its recalls on the validation set. Returns the result, and a row of metrics.csv.

    run: at the end of an epoch's steps
    data: with the validation set
    groups: that were trained
    args: of the command line
    """
    sums, start, names = run.ranks.epoch_sums(run.monitor.sums), time.monotonic(), run.ranks.names_of(groups)
    losses = sums.means()
    log_losses(run, sums, names)
    run.bad_images.log_totals()
    options = test_options(args, run.evaluated, run.amp.device, run.seed).for_validation()
    # not kept: the next epoch's network is another
    result = test(data.val_set, run.evaluated, options, descriptor_cache(args, keep=False))
    seconds = sums.seconds + time.monotonic() - start
    duration = datetime.timedelta(seconds=round(seconds))
    logger.info(f"Epoch {run.epoch:02d} in {duration}, {data.val_set}: {result}")
    recalls = {f"R@{n}": recall for n, recall in zip(result.recall_values, result.recalls, strict=True)}
    chance = {f"chance R@{result.recall_values[0]}": float(result.chance[0])}
    row = {"epoch": run.epoch, "group": names, **losses, **recalls, **chance, "seconds": seconds}
    row["images_per_second"] = sums.steps * args.batch_size * data.schedule.heads / sums.seconds
    if run.scaler.is_enabled():
        row["skipped_steps"] = sums.skipped_steps
    return result, {**row, "images_crc32": sums.images_crc32}


def log_losses(run: Run, sums: EpochSums, names: int | str) -> None:
    """Logs the means of an epoch's losses, in the published form."""
    losses = ", ".join(f"{name} = {loss:.4f}" for name, loss in sums.means().items())
    skipped = f", {sums.skipped_steps} steps skipped for want of finite gradients" if sums.skipped_steps else ""
    duration = datetime.timedelta(seconds=round(sums.seconds))
    logger.info(f"Epoch {run.epoch:02d} in {duration}, group {names}, {losses}{skipped}")


def keep_epoch(run: Run, metrics: Metrics, row: dict[str, float], args: argparse.Namespace, output_folder: str) -> None:
    """Writes an epoch's row of metrics.csv and, with --keep_every, its network. A full disk is tolerated.

    run: at the end of an epoch's validation
    metrics: of the run
    row: of the epoch
    args: of the command line
    output_folder: for the network
    """
    if not run.ranks.writes:
        return
    with commons.tolerating_full_disks("and writes the row or the network that is missing with the next one"):
        metrics.add(**row)
        if args.keep_every and (run.epoch + 1) % args.keep_every == 0:
            save_network(run.evaluated, os.path.join(output_folder, f"epoch_{run.epoch + 1:03d}.pth"))


def test_best(
    run: Run, checkpoints: Checkpoints, data: TrainingData, args: argparse.Namespace, output_folder: str
) -> None:
    """Tests the best model.

    run: that has ended
    checkpoints: with the best model
    data: with the test set
    args: of the command line
    output_folder: for drawn predictions
    """
    best = network_of(run.network.details(), run.network.fc_output_dim)
    if run.ranks.writes:  # it alone reads the file: other machines' disks may still show an older one
        best = checkpoints.load_best()
    best = distributed.broadcast_state(best, "best model").to(run.amp.device, memory_format=torch.channels_last)
    options, files = test_options(args, best, run.amp.device, run.seed), test_files(args, output_folder)
    result = test_and_report(data.test_set, best, options, files, descriptor_cache(args))
    run.bad_images.take_test(data.test_set, result)


if __name__ == "__main__":
    sys.exit(main())
