"""A run as its arguments ask for it: network, heads, optimizers, and the numbers that they compute in."""

import argparse
import functools
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

import distributed
from datasets.bad_images import BadImages
from datasets.methods import Method
from model.checkpoints import build_network, initial_network, load_network
from model.choices import BACKBONES, head_options, split_loss
from model.compilation import compiled
from model.domain_adaptation import make_domain_module
from model.heads import HEADS
from model.last_layer import with_dim
from model.network import GeoLocalizationNet
from model.pair_losses import NoHead, PairLoss
from model.precision import chosen_infer_dtype, log_dtype, name_of, training_dtype
from model.state_dicts import digest_tensors
from training.data import TrainingData
from training.environment import describe_environment, write_environment
from training.moving_average import MovingAverage
from training.optimizers import MixedPrecision, lr_factor, make_adam
from training.ranks import Alone
from training.run import Run

logger = logging.getLogger(__name__)


def build_run(
    args: argparse.Namespace, data: TrainingData, ranks: Alone, device: torch.device, state: dict[str, Any] | None
) -> Run:
    """The run at its first step, on the device. Raises UserError when the network or the device does not allow it.

    args: of train.py
    data: with the groups and their schedule
    ranks: how processes share the work
    device: where to train
    state: of the run that is resumed, whose network is taken; or None
    """
    schedule = data.schedule
    network = make_network(args, state).to(device, memory_format=torch.channels_last)
    network.batch_norm_frozen = args.freeze_bn
    network = ranks.synchronised(network, device) if args.sync_bn else network
    loss, _ = split_loss(args.loss)
    options = head_options(loss, args.loss_s, args.loss_m, args.emms_l, args.head_variant)
    heads = []
    for group, classes in enumerate(schedule.classes_per_group):
        for _ in range(schedule.heads):
            head = make_head(loss, network.fc_output_dim, classes, schedule.head_seed(len(heads)), **options)
            heads.append(ranks.own_head(group, head))
    for head in heads:
        head.label_smoothing = args.label_smoothing
    domain = make_domain(args, network, schedule.domain_seed(), device)
    return Run(
        network,
        make_adam(network, args.lr, device, args.fc_lr),  # of frozen parameters too, as in published optimizer states
        heads,
        [make_adam(head, args.classifiers_lr, device) for head in heads],
        choose_precision(args, network, device),
        functools.partial(lr_factor, args.lr_schedule, schedule.steps),
        compiled(network, device) if args.compile else None,
        make_pair_loss(args),
        domain,
        make_adam(domain, args.domain_lr, device) if domain else None,
        average=MovingAverage(network, args.ema) if args.ema is not None else None,
        head_weights=head_weights(args, data.dataset.method),
        ranks=ranks,
        facts={"seed": schedule.seed},
    )


def head_weights(args: argparse.Namespace, method: Method) -> dict[str, float]:
    """The weights of a group's heads in the loss, by name. args: of train.py; method: of the training."""
    weights = {"lateral": args.lambda_lat, "frontal": args.lambda_front}
    return {name: weights.get(name, 1.0) for name in method.heads}


def make_network(args: argparse.Namespace, state: dict[str, Any] | None) -> GeoLocalizationNet:
    """The network to train, on the CPU: that of the run's state, of --resume_model, or with --backbone_weights."""
    if state:
        weights = state["model_state_dict"]
        return build_network(weights, args.resume_train, *args.expected_architecture, args.train_all_layers)
    if args.resume_model:
        backbone, dim = args.expected_architecture
        fitted = args.fc_init == "pca"  # the last layer is replaced, and so its dimension is free
        network = load_network(args.resume_model, backbone, None if fitted else dim, args.train_all_layers, args.zoo)
        return with_dim(network, dim) if fitted and dim else network
    if args.backbone_weights is None and not args.train_all_layers:
        logger.warning(
            "The backbone's weights are random and its first layers are frozen: they will stay random. "
            "Give --backbone_weights, or --train_all_layers"
        )
    return initial_network(args.backbone, args.fc_output_dim, args.train_all_layers, args.backbone_weights, args.zoo)


def make_pair_loss(args: argparse.Namespace) -> PairLoss | None:
    """The pair loss of train.py's arguments; None without one. Raises UserError as PairLoss does."""
    _, name = split_loss(args.loss)
    if not name:
        return None
    return PairLoss(name, dict(args.pair_options), args.positives, args.positive_dist_threshold, args.pair_weight)


def make_head(loss: str | None, dim: int, classes: int, seed: int, **options: float) -> nn.Module:
    """A head of random weights, which are a function of the seed alone.

    loss: one of model.heads.HEADS, or None for no head
    dim: of descriptors
    classes: of the group
    seed: of the weights
    options: as of model.heads.head_options
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return (HEADS[loss] if loss else NoHead)(dim, classes, **options)


def make_domain(
    args: argparse.Namespace, network: GeoLocalizationNet, seed: int, device: torch.device
) -> nn.Module | None:
    """The module of --domain_adaptation, on the device; None without it.

    args: of train.py
    network: whose backbone is adapted
    seed: of the module's weights
    device: where to train
    """
    if not args.domain_adaptation:
        return None
    options = {
        "grl": {"loss_weight": args.grl_loss_weight},
        "aada": {"m": args.aada_m, "gamma": args.aada_gamma, "autoencoder": args.aada_autoencoder},
    }
    channels, _ = BACKBONES[network.backbone_name]
    return make_domain_module(args.domain_adaptation, channels, seed, **options[args.domain_adaptation]).to(device)


def choose_precision(args: argparse.Namespace, network: GeoLocalizationNet, device: torch.device) -> MixedPrecision:
    """What the backbone is trained in, logged."""
    dtype, reason = training_dtype(args.use_amp16, args.amp_dtype, network, device)
    log_dtype("Training", dtype, reason, device)
    return MixedPrecision(dtype, device)


def describe_precision(args: argparse.Namespace, run: Run) -> dict[str, str]:
    """The types of numbers of "training" and "descriptors", by name, logged. Raises UserError if ranks differ."""
    infer_dtype = chosen_infer_dtype(args.infer_dtype, run.network, run.amp.device)
    precision = {"training": name_of(run.amp.dtype), "descriptors": name_of(infer_dtype)}
    advice = "name --amp_dtype and --infer_dtype, for processors choose differently"
    distributed.check_same(precision, "kinds of numbers", advice)
    return precision


def record_facts(
    run: Run, args: argparse.Namespace, result_options: Sequence[str], split_digest: str, output_folder: str
) -> None:
    """Keeps, in the run and in environment.json, what the results depend on.

    run: as built
    args: of the command line
    result_options: the names of the options on which the results depend
    split_digest: of the split into groups
    output_folder: for environment.json and bad_images.txt
    """
    precision = describe_precision(args, run)
    environment = {**describe_environment(run.amp.device), "precision": precision}
    digests = {"split": split_digest, "initial_weights": digest_tensors(run.network.state_dict())}
    distributed.check_same(digests, "training images or initial weights")
    if run.ranks.writes:
        write_environment(output_folder, args, environment, **digests)
    run.bad_images = BadImages(output_folder, args.max_bad_images, writes=run.ranks.writes)
    run.facts |= {
        "arguments": {name: getattr(args, name) for name in (*result_options, "epochs_num")},
        "precision": precision,
        "split_digest": split_digest,
        "environment": environment,
        "processes": distributed.size(),
    }
