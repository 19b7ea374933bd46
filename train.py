"""Trains CosPlace: one head a group of classes, one group an epoch in turn."""

import contextlib
import datetime
import functools
import itertools
import logging
import math
import os
import shutil
import sys
import time

import torch
from tqdm import tqdm

import commons
from augmentations import RandomResizedCrop, TrainAugmentation, color_augmentation
from datasets.groups import open_groups
from datasets.night.augmentation import open_night
from datasets.night.pseudo_targets import open_pseudo_targets
from datasets.schedule import Schedule
from datasets.target_dataset import DomainBatch, DomainImages
from datasets.test_dataset import TestDataset, find_database_folder, find_queries_folder
from datasets.train_dataset import TrainDataset, make_loader
from datasets.transfer import to_device
from eval import descriptor_cache, test_and_report
from model.acceleration import compiled, set_tf32, traced
from model.checkpoints import build_network, load_network, load_run_state, save_network, save_run_state
from model.domain_adaptation import make_domain_module
from model.errors import UserError
from model.heads import HEADS, head_options
from model.network import BACKBONES, GeoLocalizationNet
from model.objective import Objective
from model.run_state import restore, restore_domain
from parser import parse_arguments
from test import test

# what a run's results depend on: a resumed run with others is warned of
RESULT_ARGUMENTS = (
    "M", "alpha", "N", "L", "groups_num", "min_images_per_class", "train_all_layers", "use_amp16", "amp_dtype", "compile", "tf32",
    "batch_size", "iterations_per_epoch", "lr_schedule", "image_size", "augmentation_type", "brightness", "contrast", "hue", "saturation",
    "random_resized_crop", "pseudo_target_folder", "night_augmentation", "night_probability", "fda_beta", "target_dataset_folder",
    "resize_test_imgs", "infer_dtype", "positive_dist_threshold",
    "domain_adaptation", "domain_batch_size", "domain_lr", "grl_loss_weight", "aada_m", "aada_gamma", "seed")


def main(argv=None):
    args = parse_arguments(is_training=True, argv=argv)
    return commons.run_experiment(train, args, resumed_folder(args))


def train(args, output_folder):
    """The whole run: groups, network, epochs with validation and checkpoints, the test of the best model."""
    device = commons.select_device(args.device)
    augmentation_device = commons.select_device(args.augmentation_device or device.type, "--augmentation_device")
    amp = MixedPrecision(args.use_amp16, args.amp_dtype, device)
    set_tf32(args.tf32)
    infer_dtype = getattr(torch, args.infer_dtype)
    state = load_run_state(args.resume_train) if args.resume_train else None
    seed = commons.set_seed(state["seed"] if args.seed == -1 and state and "seed" in state else args.seed)

    # Data
    groups = open_groups(args.train_set_folder, args.M, args.alpha, args.N, args.L, args.min_images_per_class)
    if args.groups_num > groups.num_groups:
        raise UserError(f"--groups_num is {args.groups_num}, but {args.train_set_folder} has only {groups.num_groups} groups "
                        f"with --M {args.M} --alpha {args.alpha} --N {args.N} --L {args.L}")
    schedule = Schedule([groups.num_classes(g) for g in range(args.groups_num)], args.batch_size, args.iterations_per_epoch,
                        args.epochs_num, seed)
    log_groups(groups, schedule)
    pseudo_targets = open_pseudo_targets(args.pseudo_target_folder, groups, args.groups_num, args.M, args.alpha, args.N, args.L)
    night = open_night(args.night_augmentation, args.night_probability, args.fda_beta, args.target_dataset_folder)
    domain_images = None
    if args.domain_adaptation:
        # images that were made night are of the target domain too
        target_folders = [folder for folder in (args.target_dataset_folder, args.pseudo_target_folder) if folder]
        domain_images = DomainImages(args.train_set_folder, groups, schedule, target_folders, args.domain_batch_size)
        logging.info(f"Target domain: {domain_images}")
    dataset = TrainDataset(args.train_set_folder, groups, schedule, domain_images, pseudo_targets, night)
    resize = args.image_size if args.resize_test_imgs else None
    val_set, test_set = (TestDataset(find_database_folder(folder, database), find_queries_folder(folder, queries),
                                     args.positive_dist_threshold, resize)
                         for folder, database, queries in ((args.val_set_folder, None, None),
                                                           (args.test_set_folder, args.database_folder, args.queries_folder)))
    logging.info(f"Validation set: {val_set}; test set: {test_set}")
    augment = TrainAugmentation(color_augmentation(args.augmentation_type, args.brightness, args.contrast, args.saturation, args.hue),
                                RandomResizedCrop(args.image_size, scale=(1 - args.random_resized_crop, 1)))

    # Network, heads and their optimizers; the state of a resumed run
    network = make_network(args, state).to(device, memory_format=torch.channels_last)
    trained = compiled(network, device) if args.compile else network  # the same parameters
    options = head_options(args.loss, args.loss_s, args.loss_m, args.emms_l)
    heads = [make_head(args.loss, network.fc_output_dim, classes, schedule.head_seed(g), **options)
             for g, classes in enumerate(schedule.classes_per_group)]
    # over all parameters, the frozen ones too: published optimizer states have them
    optimizer = make_adam(network, args.lr, device)
    head_optimizers = [make_adam(head, args.classifiers_lr, device) for head in heads]
    domain = make_domain(args, network, schedule.domain_seed(), device)
    domain_optimizer = make_adam(domain, args.domain_lr, device) if domain else None
    first_epoch, best_recall1 = 0, -1.0
    if state:
        warn_of_other_arguments(state, args)
        restore(state, args.resume_train, heads, optimizer, head_optimizers, amp.scaler, groups.published_order)
        if domain:
            restore_domain(state, args.resume_train, domain, domain_optimizer)
        first_epoch = state["epoch_num"]
        best_recall1 = keep_best_model(args.resume_train, output_folder, network, state["best_val_recall1"])
        logging.info(f"Resuming at epoch {first_epoch} of {args.epochs_num}, best R@1 so far {best_recall1:.1f}")
        del state

    # Training
    metrics = commons.Metrics(os.path.join(output_folder, "metrics.csv"), first_epoch)
    problems = ImageProblems(dataset.size)
    loader = make_loader(dataset, first_epoch * args.iterations_per_epoch, args.num_workers, pin_memory=device.type == "cuda")
    batches = prepare_batches(loader, augment, night, schedule, augmentation_device, device, problems)
    best_path, last_path = os.path.join(output_folder, "best_model.pth"), os.path.join(output_folder, "last_checkpoint.pth")
    for epoch in range(first_epoch, args.epochs_num):
        start = time.monotonic()
        _, group, _ = schedule.at(epoch * args.iterations_per_epoch)
        with on_device(heads[group], head_optimizers[group], device):
            epoch_batches = tqdm(itertools.islice(batches, args.iterations_per_epoch), total=args.iterations_per_epoch, leave=False,
                                 desc=f"Epoch {epoch:02d}", unit="it", disable=None)
            if args.profile and epoch == first_epoch:
                epoch_batches = traced(epoch_batches, args.profile, os.path.join(output_folder, "trace.json"))
            optimizers = [optimizer, head_optimizers[group], *([domain_optimizer] if domain else [])]
            losses = train_one_epoch(epoch_batches, network, Objective(trained, heads[group], domain), optimizers, amp,
                                     functools.partial(lr_factor, args.lr_schedule, schedule.steps))
        seconds = time.monotonic() - start
        logging.info(f"Epoch {epoch:02d} in {datetime.timedelta(seconds=round(seconds))}, group {group}, "
                     + ", ".join(f"{name} = {loss:.4f}" for name, loss in losses.items()))
        problems.log_totals()

        # exact, and not kept: the next epoch's network is another
        result = test(val_set, network, args.infer_batch_size, device, args.num_workers, seed, dtype=infer_dtype,
                      cache=descriptor_cache(args, keep=False))
        logging.info(f"Epoch {epoch:02d} in {datetime.timedelta(seconds=round(time.monotonic() - start))}, {val_set}: {result}")
        if result.recall(1) > best_recall1:
            best_recall1 = result.recall(1)
            save_network(network, best_path)
        if args.keep_every and (epoch + 1) % args.keep_every == 0:
            save_network(network, os.path.join(output_folder, f"epoch_{epoch + 1:03d}.pth"))
        metrics.add(epoch=epoch, group=group, **losses, **{f"R@{n}": r for n, r in zip(result.recall_values, result.recalls, strict=True)},
                    seconds=time.monotonic() - start, images_per_second=args.iterations_per_epoch * args.batch_size / seconds)
        save_run_state({
            "epoch_num": epoch + 1, "model_state_dict": network.state_dict(), "optimizer_state_dict": optimizer.state_dict(),
            "classifiers_state_dict": [head.state_dict() for head in heads],
            "optimizers_state_dict": [head_optimizer.state_dict() for head_optimizer in head_optimizers],
            "best_val_recall1": best_recall1, "scaler_state_dict": amp.scaler.state_dict(), "seed": seed,
            "head_settings": heads[0].settings(), "arguments": {name: getattr(args, name) for name in (*RESULT_ARGUMENTS, "epochs_num")},
            **({"domain_state_dict": domain.state_dict(), "domain_optimizer_state_dict": domain_optimizer.state_dict()} if domain else {}),
        }, last_path)
    del batches

    # Test of the best model
    logging.info(f"Trained for {args.epochs_num} epochs; best R@1 on {val_set}: {best_recall1:.1f}")
    network = load_network(best_path).to(device, memory_format=torch.channels_last)
    test_and_report(test_set, network, args, device, seed, output_folder)


def prepare_batches(loader, augment, night, schedule, augmentation_device, device, problems):
    """Yields (step, the network's seed, images, labels, domain batch), the last three on the device: float32 (B, 3, image_size, image_size)
    augmented, int64 (B,), and with domain adaptation a DomainBatch of such images, else None."""
    for batch in to_device(loader, augmentation_device):
        problems.take(batch)
        _, group, k = schedule.at(batch.step)
        images = night(batch.images, batch.night, schedule.night_seed(group, k)) if night else batch.images
        images, domain = augment(images, schedule.augmentation_seed(group, k)).to(device), batch.domain
        if domain:
            domain_images = augment(domain.images, schedule.domain_augmentation_seed(group, k))
            domain = DomainBatch(domain_images.to(device), domain.is_target.to(device))
        yield batch.step, schedule.network_seed(group, k), images, batch.labels.to(device, non_blocking=True), domain


def train_one_epoch(batches, network, objective, optimizers, amp, lr_factor):
    """One pass over the epoch's batches; optimizers: the network's, then those of what else the objective trains.

    Returns the means of the loss and, where it is a sum of several terms, of these: {"loss": ..., "loss_<term>": ...}.
    """
    network.train()
    history = []
    for step, seed, images, labels, domain in batches:
        torch.manual_seed(seed)  # stochastic depth, in the backbones that have it, is a function of the step too
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        for parameters in optimizers[0].param_groups:  # the network's alone: a head that comes late in the run has as much to learn
            parameters["lr"] = parameters["initial_lr"] * lr_factor(step)
        with amp.autocast():
            terms = objective(images, labels, domain)
        loss = sum(terms.values())
        amp.scaler.scale(loss).backward()
        for optimizer in optimizers:
            amp.scaler.step(optimizer)
        amp.scaler.update()
        parts = {f"loss_{name}": term for name, term in terms.items()} if len(terms) > 1 else {}
        history.append({name: value.detach() for name, value in {"loss": loss, **parts}.items()})
    return {name: torch.stack([values[name] for values in history]).mean().item() for name in history[0]}


def lr_factor(name, steps, step):
    """What the network's learning rate is multiplied by at a step: 1 (constant, published), or a linear warm-up over the first twentieth of
    the run and then half a cosine down to 0."""
    if name == "constant":
        return 1.0
    warmup = max(1, steps // 20)
    return min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * max(0, step - warmup) / max(1, steps - warmup)))


class MixedPrecision:
    """Autocast and gradient scaling, or neither: one loop serves both."""

    def __init__(self, enabled, dtype, device):
        if dtype == "auto":
            dtype = "bfloat16" if device.type == "cpu" else "float16"
        self.enabled, self.dtype, self.device = enabled, getattr(torch, dtype), device
        # bfloat16 has float32's range: its gradients need no scaling
        self.scaler = torch.amp.GradScaler(device.type, enabled=enabled and dtype == "float16")

    def autocast(self):
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.enabled)


def make_network(args, state):
    """The network to train, on the CPU: of the run's state, of --resume_model, or with --backbone_weights."""
    if state:
        return build_network(state["model_state_dict"], args.resume_train, *args.expected_architecture, args.train_all_layers)
    if args.resume_model:
        return load_network(args.resume_model, *args.expected_architecture, args.train_all_layers, args.zoo)
    if args.backbone_weights is None and not args.train_all_layers:
        logging.warning("The backbone's weights are random and its first layers are frozen: they will stay random. "
                        "Give --backbone_weights, or --train_all_layers")
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


def make_adam(module, lr, device):
    optimizer = torch.optim.Adam(module.parameters(), lr=lr, fused=device.type in ("cpu", "cuda"))
    for parameters in optimizer.param_groups:
        parameters["initial_lr"] = lr
    return optimizer


@contextlib.contextmanager
def on_device(head, optimizer, device):
    """A head and its optimizer's state are on the device only while their group is trained."""
    def move(device):
        head.to(device)
        for state in optimizer.state.values():
            for key, value in state.items():
                if isinstance(value, torch.Tensor) and (key != "step" or optimizer.defaults["fused"]):
                    state[key] = value.to(device)
    move(device)
    yield
    optimizer.zero_grad(set_to_none=True)
    move("cpu")


def resumed_folder(args):
    """The folder that a resumed run goes on in: its own, unless another --save_dir is asked for. None: a new one."""
    if not args.resume_train:
        return None
    folder = os.path.dirname(os.path.abspath(args.resume_train))
    same = not args.save_dir_given or os.path.dirname(folder) == os.path.abspath(os.path.join("logs", args.save_dir))
    return os.path.relpath(folder) if same and os.path.exists(os.path.join(folder, "info.log")) else None


def warn_of_other_arguments(state, args):
    epochs = state.get("arguments", {}).get("epochs_num", args.epochs_num)
    if args.lr_schedule != "constant" and epochs != args.epochs_num:
        logging.warning(f"The resumed run had --epochs_num {epochs}, now {args.epochs_num}: another --lr_schedule {args.lr_schedule}")
    for name, before in state.get("arguments", {}).items():
        if name in RESULT_ARGUMENTS and before != getattr(args, name):
            logging.warning(f"The resumed run had --{name} {before}, now {getattr(args, name)}: results will be neither run's")


def keep_best_model(checkpoint, output_folder, network, best_recall1):
    """Brings the best model so far beside the resumed run's outputs, and returns its R@1. Without one, the network itself is the best
    until the next validation."""
    source, target = (os.path.join(folder, "best_model.pth") for folder in (os.path.dirname(checkpoint), output_folder))
    if not os.path.exists(source):
        logging.warning(f"There is no best_model.pth beside {checkpoint}: the best from here on will be kept")
        save_network(network, target)
        return -1.0
    if not (os.path.exists(target) and os.path.samefile(source, target)):
        shutil.copyfile(source, target)
    return best_recall1


def log_groups(groups, schedule):
    seen = schedule.iterations_per_epoch * schedule.batch_size
    for group, classes in enumerate(schedule.classes_per_group):
        logging.info(f"Group {group}: {classes} classes, {groups.num_group_images(group)} images; each class is seen "
                     f"{seen / classes:.1f} times an epoch")
    logging.info(f"Using {schedule.groups_num} of {groups.num_groups} groups, {sum(schedule.classes_per_group)} classes and "
                 f"{sum(groups.num_group_images(g) for g in range(schedule.groups_num))} of {groups.num_images} images")


class ImageProblems:
    """Counts and logs images that could not be read or had another size; raises UserError when training cannot go on."""

    def __init__(self, size):
        self.size, self.unreadable, self.resized = size, {}, set()

    def take(self, batch):
        for name, reason in batch.unreadable:
            if name not in self.unreadable:
                logging.warning(f"Unreadable image, another is taken: {name!r}: {reason}")
                self.unreadable[name] = reason
        if batch.resized and not self.resized:
            logging.warning(f"{batch.resized[0]!r} is not of {self.size[0]} x {self.size[1]} pixels as most images are: such images are "
                            "resized, and counted each epoch")
        self.resized.update(batch.resized)
        if batch.error:
            raise UserError(batch.error)

    def log_totals(self):
        if self.unreadable or self.resized:
            logging.info(f"So far {len(self.unreadable)} unreadable images were replaced and {len(self.resized)} resized")


if __name__ == "__main__":
    sys.exit(main())
