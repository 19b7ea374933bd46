"""Trains CosPlace: one head a group of classes, one group an epoch in turn."""

import contextlib
import datetime
import functools
import itertools
import logging
import os
import sys
import time

import torch
from tqdm import tqdm

import commons
import distributed
from augmentations import RandomResizedCrop, TrainAugmentation, color_augmentation
from datasets.bad_images import BadImages
from datasets.groups import open_groups
from datasets.night.augmentation import open_night
from datasets.night.pseudo_targets import open_pseudo_targets
from datasets.same_lists import check_same_lists
from datasets.schedule import Schedule
from datasets.target_dataset import DomainBatch, DomainImages
from datasets.test_dataset import TestDataset, find_database_folder, find_queries_folder
from datasets.train_dataset import TrainDataset, make_loader
from eval import descriptor_cache, test_and_report
from model.checkpoints import build_network, load_network, save_network
from model.domain_adaptation import make_domain_module
from model.heads import HEADS, head_options
from model.network import BACKBONES, GeoLocalizationNet
from model.precision import chosen_infer_dtype, log_dtype, name_of, training_dtype
from model.state_dicts import digest_tensors
from parser import parse_arguments
from support.errors import UserError
from support.progress import Progress
from support.workers import explaining_lost_workers
from test import test
from training.acceleration import compiled, set_tf32, traced
from training.checkpoints import Checkpoints, keep_best_model
from training.environment import describe_changes, describe_environment, write_environment
from training.objective import Objective
from training.optimizers import MixedPrecision, lr_factor, make_adam, on_device
from training.parallel import ALONE, Parallel
from training.run_files import find_newest_run, load_run_state
from training.run_state import RunState, describe_precision_changes, head_differences
from training.step_monitor import DivergedError
from training.transfer import to_device

# what a run's results depend on: a resumed run with others is refused
RESULT_ARGUMENTS = (
    "M",
    "alpha",
    "N",
    "L",
    "groups_num",
    "min_images_per_class",
    "train_all_layers",
    "compile",
    "tf32",
    "batch_size",
    "iterations_per_epoch",
    "lr",
    "classifiers_lr",
    "lr_schedule",
    "image_size",
    "augmentation_type",
    "brightness",
    "contrast",
    "hue",
    "saturation",
    "random_resized_crop",
    "pseudo_target_folder",
    "night_augmentation",
    "night_probability",
    "fda_beta",
    "target_dataset_folder",
    "resize_test_imgs",
    "positive_dist_threshold",
    "domain_adaptation",
    "domain_batch_size",
    "domain_lr",
    "grl_loss_weight",
    "aada_m",
    "aada_gamma",
    "seed",
    "parallel",
    "group_schedule",
    "local_steps",
    "local_moments",
    "freeze_bn",
    "sync_bn",
)


def main(argv=None):
    with distributed.joined():
        args = parse_arguments(is_training=True, argv=argv)
        folder, problems = find_run_to_resume(args)
        return commons.run_experiment(functools.partial(train, problems=problems), args, folder)


def train(args, output_folder, problems=()):
    """The whole run: groups, network, epochs with validation and checkpoints, the test of the best model. problems: to
    be logged.
    """
    for problem in problems:
        logging.warning(f"{problem}. It is skipped")
    device = commons.select_device(args.device)
    augmentation_device = commons.select_device(args.augmentation_device or device.type, "--augmentation_device")
    set_tf32(args.tf32)
    state = load_run_state(args.resume_train) if args.resume_train else None
    seed = commons.set_seed(state["seed"] if args.seed == -1 and state and "seed" in state else args.seed)

    # Data
    groups = open_groups(args.train_set_folder, args.M, args.alpha, args.N, args.L, args.min_images_per_class)
    if args.groups_num > groups.num_groups:
        raise UserError(
            f"--groups_num is {args.groups_num}, but {args.train_set_folder} has only {groups.num_groups} groups "
            f"with --M {args.M} --alpha {args.alpha} --N {args.N} --L {args.L}"
        )
    parallel = Parallel(args.parallel, args.local_steps, args.local_moments)
    schedule = Schedule(
        [groups.num_classes(g) for g in range(args.groups_num)],
        args.batch_size,
        args.iterations_per_epoch,
        args.epochs_num,
        seed,
        args.local_steps,
        parallel.places(),
    )
    parallel.check(args, schedule.classes_per_group)
    log_groups(groups, schedule)
    pseudo_targets = open_pseudo_targets(
        args.pseudo_target_folder, groups, args.groups_num, args.M, args.alpha, args.N, args.L
    )
    night = open_night(args.night_augmentation, args.night_probability, args.fda_beta, args.target_dataset_folder)
    domain_images = None
    if args.domain_adaptation:
        # images that were made night are of the target domain too
        target_folders = [folder for folder in (args.target_dataset_folder, args.pseudo_target_folder) if folder]
        domain_images = DomainImages(
            args.train_set_folder, groups, schedule, target_folders, args.domain_batch_size, parallel.share
        )
        logging.info(f"Target domain: {domain_images}")
    dataset = TrainDataset(
        args.train_set_folder,
        groups,
        schedule,
        domain_images,
        pseudo_targets,
        night,
        parallel.batch_share(args.batch_size),
    )
    resize = args.image_size if args.resize_test_imgs else None
    val_set, test_set = (
        TestDataset(
            find_database_folder(folder, database),
            find_queries_folder(folder, queries),
            args.positive_dist_threshold,
            resize,
        )
        for folder, database, queries in (
            (args.val_set_folder, None, None),
            (args.test_set_folder, args.database_folder, args.queries_folder),
        )
    )
    logging.info(f"Validation set: {val_set}; test set: {test_set}")
    target_lists = [
        *(domain_images.targets if domain_images else ()),
        *((source.folder, source.names) for source in (night and night.targets, pseudo_targets) if source),
    ]
    check_same_lists([val_set, test_set], target_lists)
    augment = TrainAugmentation(
        color_augmentation(args.augmentation_type, args.brightness, args.contrast, args.saturation, args.hue),
        RandomResizedCrop(args.image_size, scale=(1 - args.random_resized_crop, 1)),
    )

    # Network, heads and their optimizers; the state of a resumed run
    network = make_network(args, state).to(device, memory_format=torch.channels_last)
    network.batch_norm_frozen = args.freeze_bn
    amp_dtype, reason = training_dtype(args.use_amp16, args.amp_dtype, network, device)
    log_dtype("Training", amp_dtype, reason, device)
    infer_dtype = chosen_infer_dtype(args.infer_dtype, network, device)
    precision = {"training": name_of(amp_dtype), "descriptors": name_of(infer_dtype)}
    distributed.check_same(
        precision, "kinds of numbers", "name --amp_dtype and --infer_dtype, for processors choose differently"
    )
    amp = MixedPrecision(amp_dtype, device)
    network = parallel.synchronised(network, device) if args.sync_bn else network
    trained = compiled(network, device) if args.compile else network  # the same parameters
    options = head_options(args.loss, args.loss_s, args.loss_m, args.emms_l)
    heads = [
        parallel.empty_unless_own(
            g, make_head(args.loss, network.fc_output_dim, classes, schedule.head_seed(g), **options)
        )
        for g, classes in enumerate(schedule.classes_per_group)
    ]
    # over all parameters, the frozen ones too: published optimizer states have them
    optimizer = make_adam(network, args.lr, device)
    head_optimizers = [make_adam(head, args.classifiers_lr, device) for head in heads]
    domain = make_domain(args, network, schedule.domain_seed(), device)
    domain_optimizer = make_adam(domain, args.domain_lr, device) if domain else None
    environment = {**describe_environment(device), "precision": precision}
    facts = {"split": groups.digest, "initial_weights": digest_tensors(network.state_dict())}
    distributed.check_same(facts, "training images or initial weights")
    if distributed.is_main():
        write_environment(output_folder, args, environment, **facts)
    bad_images = BadImages(output_folder, args.max_bad_images, writes=distributed.is_main())
    run = RunState(
        network,
        optimizer,
        heads,
        head_optimizers,
        amp.scaler,
        domain,
        domain_optimizer,
        bad_images,
        parallel.gather_state,
        parallel.own_state,
        seed=seed,
        arguments={name: getattr(args, name) for name in (*RESULT_ARGUMENTS, "epochs_num")},
        precision=precision,
        split_digest=groups.digest,
        environment=environment,
        processes=distributed.size(),
    )
    if state:
        check_arguments_of_the_resumed_run(state, args, heads[0], groups.digest, precision)
        for change in describe_changes(state.get("environment", {}), environment):
            logging.warning(
                f"The resumed run had {change}: it will end with other weights than the uninterrupted one, if only slightly"
            )
        if state.get("processes", distributed.size()) != distributed.size():
            logging.warning(
                f"The resumed run had {state['processes']} processes, now {distributed.size()}: {parallel.another_number()}"
            )
        run.load(state, args.resume_train, groups.published_order)
        run.iteration = min(run.iteration, args.iterations_per_epoch)
        run.best_recall1 = distributed.on_main(
            keep_best_model, args.resume_train, output_folder, network, run.best_recall1
        )
        logging.info(
            f"Resuming at epoch {run.epoch} of {args.epochs_num}, iteration {run.iteration} of {args.iterations_per_epoch}, "
            f"best R@1 so far {run.best_recall1:.1f}"
        )
        del state
    parallel.cut_heads(run)

    # Training
    metrics = commons.Metrics(
        os.path.join(output_folder, "metrics.csv"), run.epoch, args.tensorboard and distributed.is_main()
    )
    checkpoints = Checkpoints(run, output_folder, args.checkpoint_every, writes=distributed.is_main())
    loader = make_loader(
        dataset,
        run.epoch * args.iterations_per_epoch + run.iteration,
        args.num_workers,
        pin_memory=device.type == "cuda",
    )
    batches = prepare_batches(loader, augment, night, schedule, augmentation_device, device, bad_images, parallel)
    first_epoch = run.epoch
    progress = Progress(schedule.steps, first_epoch * args.iterations_per_epoch + run.iteration)
    with checkpoint_at_the_end(checkpoints), explaining_lost_workers():
        for epoch in range(first_epoch, args.epochs_num):
            trained_groups = schedule.groups_of(epoch)
            with contextlib.ExitStack() as stack:
                objectives, options = (
                    {},
                    parallel.objective_options(dataset.share, domain_images and domain_images.share),
                )
                for group in trained_groups:
                    stack.enter_context(on_device(heads[group], head_optimizers[group], device))
                    head = parallel.loss_of(heads[group], schedule.classes_per_group[group])
                    objectives[group] = (
                        Objective(trained, head, domain, **options),
                        [optimizer, head_optimizers[group], *([domain_optimizer] if domain else [])],
                    )
                epoch_batches = tqdm(
                    itertools.islice(batches, args.iterations_per_epoch - run.iteration),
                    initial=run.iteration,
                    total=args.iterations_per_epoch,
                    leave=False,
                    desc=f"Epoch {epoch:02d}",
                    unit="it",
                    disable=distributed.quiet(),
                )
                if args.profile and epoch == first_epoch and distributed.is_main():
                    epoch_batches = traced(epoch_batches, args.profile, os.path.join(output_folder, "trace.json"))
                with parallel.ending_together():
                    train_one_epoch(
                        epoch_batches,
                        run,
                        objectives,
                        amp,
                        functools.partial(lr_factor, args.lr_schedule, schedule.steps),
                        checkpoints,
                        parallel,
                        progress,
                    )
                    parallel.end_training(checkpoints)
            sums, start = parallel.epoch_sums(run.monitor.sums), time.monotonic()
            losses = sums.means()
            names = parallel.names_of(trained_groups)
            logging.info(
                f"Epoch {epoch:02d} in {datetime.timedelta(seconds=round(sums.seconds))}, group {names}, "
                + ", ".join(f"{name} = {loss:.4f}" for name, loss in losses.items())
                + (f", {sums.skipped_steps} steps skipped for want of finite gradients" if sums.skipped_steps else "")
            )
            bad_images.log_totals()

            # exact, and not kept: the next epoch's network is another
            result = test(
                val_set,
                network,
                args.infer_batch_size,
                device,
                args.num_workers,
                seed,
                dtype=infer_dtype,
                cache=descriptor_cache(args, keep=False),
            )
            with commons.deferred_signals():
                seconds = sums.seconds + time.monotonic() - start
                logging.info(f"Epoch {epoch:02d} in {datetime.timedelta(seconds=round(seconds))}, {val_set}: {result}")
                if result.recall(1) > run.best_recall1:
                    run.best_recall1 = result.recall(1)
                    checkpoints.keep_best()
                if distributed.is_main():
                    with commons.tolerating_full_disks(
                        "and writes the row or the network that is missing with the next one"
                    ):
                        metrics.add(
                            epoch=epoch,
                            group=names,
                            **losses,
                            **{f"R@{n}": r for n, r in zip(result.recall_values, result.recalls, strict=True)},
                            seconds=seconds,
                            images_per_second=sums.steps * args.batch_size / sums.seconds,
                            **({"skipped_steps": sums.skipped_steps} if amp.scaler.is_enabled() else {}),
                            images_crc32=sums.images_crc32,
                        )
                        if args.keep_every and (epoch + 1) % args.keep_every == 0:
                            save_network(network, os.path.join(output_folder, f"epoch_{epoch + 1:03d}.pth"))
                run.end_epoch()
                bad_images.take_test(val_set, result)
                checkpoints.save()
    del batches

    # Test of the best model
    logging.info(f"Trained for {args.epochs_num} epochs; best R@1 on {val_set}: {run.best_recall1:.1f}")
    # rank 0 alone writes and reads it: the others' disk may still show the one before
    best = (
        checkpoints.load_best()
        if distributed.is_main()
        else GeoLocalizationNet(network.backbone_name, network.fc_output_dim)
    )
    best = distributed.broadcast_state(best, "best model").to(device, memory_format=torch.channels_last)
    test_and_report(test_set, best, args, device, seed, output_folder, bad_images)
    metrics.write()  # what a full disk has refused so far
    parallel.finish(checkpoints)


@contextlib.contextmanager
def checkpoint_at_the_end(checkpoints):
    """When the training in the block ends early, by a signal or by what a user can fix, nothing of it is lost."""
    try:
        yield
    except DivergedError:
        raise
    except (commons.Interrupted, UserError) as error:
        # of many ranks all must be here
        if checkpoints.run.is_whole and (distributed.size() == 1 or getattr(error, "on_all_ranks", False)):
            with commons.deferred_signals():
                if checkpoints.save():
                    logging.info(
                        f"A checkpoint of epoch {checkpoints.run.epoch}, iteration {checkpoints.run.iteration} is written: "
                        f"go on with --resume_train {checkpoints.last_path}"
                    )
        raise


def prepare_batches(loader, augment, night, schedule, augmentation_device, device, bad_images, parallel=ALONE):
    """Yields (step, the network's seed, images, labels, domain batch, names, group), those from images to domain batch
    on the device: float32 (b, 3, image_size, image_size) of this process's share, augmented, int64 (B,) of the whole
    batch, and with domain adaptation a DomainBatch of such images, else None.
    """
    dataset = loader.dataset
    rows = [*range(dataset.share.count)[dataset.share.rows]]
    if dataset.domain:
        rows += [dataset.share.count + int(row) for row in dataset.domain.share.rows]
    for batch in to_device(loader, augmentation_device):
        batch = parallel.take(bad_images, batch, rows)
        _, group, k = schedule.at(batch.step)
        images = night(batch.images, batch.night, schedule.night_seed(group, k)) if night else batch.images
        images, domain = augment(images, schedule.augmentation_seed(group, k), dataset.share).to(device), batch.domain
        if domain:
            domain_images = augment(domain.images, schedule.domain_augmentation_seed(group, k), dataset.domain.share)
            domain = DomainBatch(domain_images.to(device), domain.is_target.to(device))
        labels = batch.labels.to(device, non_blocking=True)
        yield batch.step, schedule.network_seed(group, k), images, labels, domain, batch.names, group


def train_one_epoch(batches, run, objectives, amp, lr_factor, checkpoints=None, parallel=ALONE, progress=None):
    """The epoch's batches that are left; objectives: {group: (Objective, optimizers: the network's, then those of what
    else it trains)}. progress: the support.progress.Progress of the whole run.

    The sums of the loss and, where it is a sum of several terms, of these are in run.monitor.sums.
    """
    run.network.train()
    run.monitor.begin()
    start = time.monotonic() - run.monitor.sums.seconds
    for step, seed, images, labels, domain, names, group in batches:
        objective, optimizers = objectives[group]
        with commons.deferred_signals():
            with run.stepping():
                torch.manual_seed(
                    seed
                )  # stochastic depth, in the backbones that have it, is a function of the step too
                for optimizer in optimizers:
                    optimizer.zero_grad(set_to_none=True)
                for parameters in optimizers[
                    0
                ].param_groups:  # the network's alone: a head that comes late has as much to learn
                    parameters["lr"] = parameters["initial_lr"] * lr_factor(step)
                with amp.autocast():
                    terms = objective(images, labels, domain)
                amp.scaler.scale(sum(terms.values())).backward()
                parallel.sum_gradients(run, run.heads[group])
                for optimizer in optimizers:
                    amp.scaler.step(optimizer)
                amp.scaler.update()
                run.monitor.add(step, terms, names, [optimizer.param_groups[0]["lr"] for optimizer in optimizers])
            run.monitor.sums.seconds = time.monotonic() - start
            if progress and progress.is_due():
                log_progress(progress, run, step + 1)
            parallel.end_step(run, checkpoints)
    run.monitor.flush()


def log_progress(progress, run, steps_done):
    sums = run.monitor.sums
    loss = f"loss {sums.means()['loss']:.4f}, " if sums.steps else ""
    logging.info(
        f"Epoch {run.epoch:02d}, iteration {run.iteration}: {loss}about {progress.left(steps_done)} to the end of the training"
    )


def make_network(args, state):
    """The network to train, on the CPU: of the run's state, of --resume_model, or with --backbone_weights."""
    if state:
        return build_network(
            state["model_state_dict"], args.resume_train, *args.expected_architecture, args.train_all_layers
        )
    if args.resume_model:
        return load_network(args.resume_model, *args.expected_architecture, args.train_all_layers, args.zoo)
    if args.backbone_weights is None and not args.train_all_layers:
        logging.warning(
            "The backbone's weights are random and its first layers are frozen: they will stay random. "
            "Give --backbone_weights, or --train_all_layers"
        )
    return GeoLocalizationNet(args.backbone, args.fc_output_dim, args.train_all_layers, args.backbone_weights)


def make_head(loss, dim, classes, seed, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # a head is a function of the seed and its group alone
        return HEADS[loss](dim, classes, **options)


def make_domain(args, network, seed, device):
    """The module of --domain_adaptation, on the device; None without."""
    if not args.domain_adaptation:
        return None
    options = {"grl": {"loss_weight": args.grl_loss_weight}, "aada": {"m": args.aada_m, "gamma": args.aada_gamma}}
    channels, _ = BACKBONES[network.backbone_name]
    return make_domain_module(args.domain_adaptation, channels, seed, **options[args.domain_adaptation]).to(device)


def find_run_to_resume(args):
    """Resolves --resume_train auto. Returns (the folder that a resumed run goes on in, or None for a new one, what to
    log of damaged checkpoints). A run goes on in its own folder, unless another --save_dir is asked for.
    """
    problems = []
    if args.resume_train == "auto":
        args.resume_train, problems = distributed.on_main(find_newest_run, os.path.join("logs", args.save_dir))
        args.resume_train = args.resume_train and os.path.relpath(args.resume_train)
    if not args.resume_train:
        return None, problems
    folder = os.path.dirname(os.path.abspath(args.resume_train))
    same = not args.save_dir_given or os.path.dirname(folder) == os.path.abspath(os.path.join("logs", args.save_dir))
    return os.path.relpath(folder) if same and os.path.exists(os.path.join(folder, "info.log")) else None, problems


def check_arguments_of_the_resumed_run(state, args, head, split_digest, precision):
    """Raises UserError if a resumed run would not end as the uninterrupted one, naming every difference; with
    --accept_changes it is warned of them.
    """
    before = state.get("arguments", {})
    changes = [
        f"--{name} {before[name]}, now {getattr(args, name)}"
        for name in RESULT_ARGUMENTS
        if name in before and before[name] != getattr(args, name)
    ]
    epochs = before.get("epochs_num", args.epochs_num)
    if args.lr_schedule != "constant" and epochs != args.epochs_num:
        changes.append(f"--epochs_num {epochs}, now {args.epochs_num}, which changes --lr_schedule {args.lr_schedule}")
    changes += describe_precision_changes(state, precision)
    changes += head_differences(head.settings(), state.get("head_settings"))
    if state.get("split_digest", split_digest) != split_digest:
        changes.append(f"the images of {args.train_set_folder} or their split into groups")
    if changes and not args.accept_changes:
        raise UserError(
            f"the run of {args.resume_train} had other arguments: {'; '.join(changes)}. Its results would be neither run's: "
            "give the arguments of that run, or --accept_changes"
        )
    for change in changes:
        logging.warning(f"The resumed run had {change}: results will be neither run's")


def log_groups(groups, schedule):
    seen = schedule.iterations_per_epoch * schedule.batch_size
    for group, classes in enumerate(schedule.classes_per_group):
        logging.info(
            f"Group {group}: {classes} classes, {groups.num_group_images(group)} images; each class is seen "
            f"{seen / classes:.1f} times an epoch"
        )
    logging.info(
        f"Using {schedule.groups_num} of {groups.num_groups} groups, {sum(schedule.classes_per_group)} classes and "
        f"{sum(groups.num_group_images(g) for g in range(schedule.groups_num))} of {groups.num_images} images"
    )


if __name__ == "__main__":
    sys.exit(main())
