"""The state of a run: all that it needs to go on, as plain values and tensors, written and read in one place."""

import itertools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from model.state_dicts import describe_differences
from support.errors import UserError
from training.moving_average import MovingAverage
from training.step_monitor import EpochSums, check_finite

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from training.run import Run

# by method, of states that do not say
PUBLISHED_HEADS = {
    "cosplace": {"loss": "cosface", "s": 30.0, "m": 0.40},
    "eigenplaces": {"loss": "cosface", "s": 100.0, "m": 0.40},
}


def state_of(run: "Run") -> dict[str, Any]:
    """The state of a run, a superset of the published checkpoint's keys.

    Raises DivergedError if a weight is not finite.
    """
    run.monitor.flush()
    for module in filter(None, (run.network, *run.heads, run.domain, run.average and run.average.network)):
        check_finite(module.state_dict(), run.epoch, run.iteration)
    state = {
        "epoch_num": run.epoch,
        "iteration": run.iteration,
        "epoch_sums": run.monitor.sums.state_dict(),
        "model_state_dict": run.network.state_dict(),
        "optimizer_state_dict": run.optimizer.state_dict(),
        "classifiers_state_dict": [head.state_dict() for head in run.heads],
        "optimizers_state_dict": [optimizer.state_dict() for optimizer in run.head_optimizers],
        "best_val_recall1": run.best_recall1,
        "best_epoch": run.best_epoch,
        "epochs_since_best": run.epochs_since_best,
        "scaler_state_dict": run.scaler.state_dict(),
        "head_settings": run.heads[0].settings(),
        **run.facts,
    }
    if run.domain:
        state["domain_state_dict"] = run.domain.state_dict()
        state["domain_optimizer_state_dict"] = run.domain_optimizer.state_dict()
    if run.average:
        state["average_state_dict"] = run.average.state_dict()
    if run.bad_images:
        state["bad_images"] = run.bad_images.state()
    return run.ranks.gather_state(state, len(run.head_weights))


def load_state(run: "Run", state: dict[str, Any], source: str, published_order: Callable[[int], np.ndarray]) -> None:
    """Puts back a state, but for the network's weights. Learning rates stay those of the optimizers.

    Raises UserError when the state is of other groups or of another head.

    run: that goes on
    state: as read by load_run_state
    source: the file's path, for messages
    published_order: group -> int array (C,), for row i of a published head its row here
    """
    heads = len(run.head_weights)
    state = run.ranks.own_state(state, heads)
    _load_heads(run, state, source)
    saved = [state["optimizer_state_dict"], *state["optimizers_state_dict"]]
    for optimizer, optimizer_state in zip([run.optimizer, *run.head_optimizers], saved, strict=True):
        _restore_optimizer(optimizer, optimizer_state, source)
    if "arguments" not in state:  # ours have them
        logger.info(f"{source} is taken to be of the published code: the classes of its heads are brought into order")
        for number, (head, optimizer) in enumerate(zip(run.heads, run.head_optimizers, strict=True)):
            if len(head.weight):  # another process may have it
                _reorder_classes(head, optimizer, torch.as_tensor(published_order(number // heads)).argsort())
    if state.get("scaler_state_dict") and run.scaler.is_enabled():
        run.scaler.load_state_dict(state["scaler_state_dict"])
    if run.domain:
        restore_domain(state, source, run.domain, run.domain_optimizer)
    if run.average:
        _restore_average(state, source, run.average)
    run.epoch, run.best_recall1 = state["epoch_num"], state["best_val_recall1"]
    try:
        run.iteration, run.monitor.sums = int(state.get("iteration", 0)), EpochSums(**state.get("epoch_sums", {}))
        run.best_epoch, run.epochs_since_best = int(state.get("best_epoch", -1)), int(state.get("epochs_since_best", 0))
    except (TypeError, ValueError) as error:
        raise UserError(f"{source} is damaged: where in the epoch it was made does not read ({error})") from error
    if run.bad_images and "bad_images" in state:
        run.bad_images.restore(state["bad_images"])


def _load_heads(run: "Run", state: dict[str, Any], source: str):
    heads, per_group = state["classifiers_state_dict"], len(run.head_weights)
    if not len(heads) == len(state["optimizers_state_dict"]) == len(run.heads):
        each = f", of {per_group} heads each" if per_group > 1 else ""
        raise UserError(
            f"{source} was trained on {len(heads) / per_group:g} groups, not on {len(run.heads) // per_group}{each}: "
            f"fix --groups_num{' or --method' if per_group > 1 else ''}"
        )
    for number, (head, head_state) in enumerate(zip(run.heads, heads, strict=True)):
        shape = tuple(head_state["weight"].shape) if "weight" in head_state else None
        if shape != tuple(head.weight.shape):
            raise UserError(
                f"group {number // per_group} of {source} has a head of {shape}, and of this training set "
                f"{tuple(head.weight.shape)} (classes, dimension): resume with the data set and the parameters of that "
                "run"
            )
        head.load_state_dict(head_state)


def head_differences(now: dict[str, Any], before: dict[str, Any] | None, method: str = "cosplace") -> list[str]:
    """["--loss_m 0.4, now 0.5", ...] of a head's settings. Raises UserError if the head is of another kind.

    now: of the head that goes on
    before: None for a published head
    method: of the training
    """
    before = PUBLISHED_HEADS[method] if before is None else before
    flags = {"l": "emms_l", "variant": "head_variant"}
    if not isinstance(before, dict) or before.get("loss") != now["loss"]:
        before = before.get("loss") if isinstance(before, dict) else before
        raise UserError(
            f"the run to resume was trained with --loss {before}, not {now['loss']}: resume with that, or start from "
            "its network alone with --resume_model"
        )
    before = {"variant": "paper", **before}  # earlier runs had no other
    return [
        f"--{flags.get(name, f'loss_{name}')} {before.get(name)}, now {value}"
        for name, value in now.items()
        if before.get(name) != value
    ]


def describe_precision_changes(state: dict[str, Any], precision: dict[str, str]) -> list[str]:
    """["training in bfloat16, now float32 (--use_amp16, --amp_dtype)", ...]: which numbers a run computed in, and
    computes in now.

    state: the run's; precision: {"training": name, "descriptors": name}.
    """
    before = state.get("precision")
    if not isinstance(before, dict):
        before = _precision_of_arguments(state.get("arguments", {}), state.get("environment", {}))
    flags = {"training": "--use_amp16, --amp_dtype", "descriptors": "--infer_dtype"}
    return [
        f"{what} in {before[what]}, now {name} ({flags[what]})"
        for what, name in precision.items()
        if before.get(what, name) != name
    ]


def _precision_of_arguments(arguments: dict[str, Any], environment: dict[str, Any]):
    """What the flags of a run meant before `auto` looked at the processor: bfloat16 on any CPU."""
    if "use_amp16" not in arguments:
        return {}
    training = arguments.get("amp_dtype", "auto")
    if training == "auto":
        training = "bfloat16" if environment.get("device") == "cpu" else "float16"
    return {
        "training": training if arguments["use_amp16"] else "float32",
        "descriptors": arguments.get("infer_dtype", "float32"),
    }


def restore_domain(state: dict[str, Any], source: str, domain: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Puts back what domain adaptation adds. A state without it leaves the module as it is, with a warning."""
    if "domain_state_dict" not in state:
        logger.warning(f"{source} is of a run without domain adaptation: what that adds starts untrained")
        return
    differences = describe_differences(state["domain_state_dict"], domain.state_dict())
    if differences:
        raise UserError(
            f"the domain adaptation of {source} is of another kind or backbone: {differences}; fix --domain_adaptation "
            "or --aada_autoencoder"
        )
    domain.load_state_dict(state["domain_state_dict"])
    _restore_optimizer(optimizer, state["domain_optimizer_state_dict"], source)


def _restore_average(state: dict[str, Any], source: str, average: MovingAverage):
    """Puts back the average of --ema. Without one it begins with the network, with a warning."""
    if "average_state_dict" not in state:
        logger.warning(f"{source} is of a run without --ema: the average begins with the network as it is there")
        return
    try:
        average.load_state_dict(state["average_state_dict"])
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{source} is damaged: its moving average does not fit its network ({reason})") from error


def _restore_optimizer(target: torch.optim.Optimizer, saved: dict[str, Any], source: str):
    rates = [parameters.get("initial_lr", parameters["lr"]) for parameters in target.param_groups]
    sizes, fused = [len(parameters["params"]) for parameters in target.param_groups], target.defaults["fused"]
    try:
        target.load_state_dict(_in_groups(saved, sizes))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"an optimizer state of {source} does not fit: {error}") from error
    for parameters, rate in zip(target.param_groups, rates, strict=True):
        before = parameters.get("initial_lr", parameters["lr"])
        if before != rate:
            logger.warning(f"The resumed run's learning rate was {before:g}; going on with {rate:g}")
        parameters.update(lr=rate, initial_lr=rate, fused=fused, foreach=None)
    for parameter, entry in target.state.items():
        # fused Adam wants its counter on the parameter's device, and walks memory: moments must lie as their parameter
        # does
        entry["step"] = torch.as_tensor(entry["step"], dtype=torch.float32, device=parameter.device if fused else "cpu")
        for key in ("exp_avg", "exp_avg_sq"):
            if entry[key].shape != parameter.shape:  # copy_ would stretch a single number
                raise UserError(f"an optimizer state of {source} does not fit: {key} is {tuple(entry[key].shape)}")
            entry[key] = torch.empty_like(parameter).copy_(entry[key])


def _in_groups(saved: dict[str, Any], sizes: list[int]) -> dict[str, Any]:
    """An optimizer's state with its parameters in groups of these sizes: published ones have one, --fc_lr makes two."""
    groups = saved["param_groups"]
    numbers = [number for group in groups for number in group["params"]]
    if len(groups) == len(sizes) or len(numbers) != sum(sizes):
        return saved
    ends = list(itertools.accumulate(sizes))
    parts = [numbers[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    return {**saved, "param_groups": [{**groups[0], "params": part} for part in parts]}


def _reorder_classes(head: nn.Module, optimizer: torch.optim.Optimizer, order: torch.Tensor):
    """Row i of the head, and of its Adam moments, becomes what row order[i] was."""
    head.weight.data = head.weight.data[order]
    for key in ("exp_avg", "exp_avg_sq"):
        for entry in optimizer.state.values():
            entry[key] = entry[key][order]
