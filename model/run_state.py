"""Putting a run's state back into heads, optimizers and gradient scaler, whoever wrote it."""

import logging

import torch

from .errors import UserError
from .state_dicts import describe_differences

PUBLISHED_HEAD = {"loss": "cosface", "s": 30.0, "m": 0.40}  # of states that do not say


def restore(state, source, heads, optimizer, head_optimizers, scaler, published_order):
    """Loads what checkpoints.load_run_state read, but for the network.

    source: the file's path, for messages; published_order: group -> int array (C,), for row i of a published head its row here.
    Learning rates stay those of the optimizers. Raises UserError when the state is of other groups.
    """
    if len(state["classifiers_state_dict"]) != len(heads) or len(state["optimizers_state_dict"]) != len(heads):
        raise UserError(f"{source} was trained on {len(state['classifiers_state_dict'])} groups, not on {len(heads)}: mend --groups_num")
    _check_head_settings(heads[0].settings(), state.get("head_settings", PUBLISHED_HEAD), source)
    for group, (head, head_state) in enumerate(zip(heads, state["classifiers_state_dict"], strict=True)):
        shape = tuple(head_state["weight"].shape) if "weight" in head_state else None
        if shape != tuple(head.weight.shape):
            raise UserError(f"group {group} of {source} has a head of {shape}, and of this training set {tuple(head.weight.shape)} "
                            "(classes, dimension): resume with the data set and the parameters of that run")
        head.load_state_dict(head_state)
    for target, saved in zip([optimizer, *head_optimizers], [state["optimizer_state_dict"], *state["optimizers_state_dict"]], strict=True):
        _restore_optimizer(target, saved, source)
    if "arguments" not in state:  # ours have them
        logging.info(f"{source} is taken to be of the published code: the classes of its heads are brought into order")
        for group, (head, head_optimizer) in enumerate(zip(heads, head_optimizers, strict=True)):
            _reorder_classes(head, head_optimizer, torch.as_tensor(published_order(group)).argsort())
    if state.get("scaler_state_dict") and scaler.is_enabled():
        scaler.load_state_dict(state["scaler_state_dict"])


def restore_domain(state, source, domain, optimizer):
    """As restore, for what domain adaptation adds. A state of a run without it leaves the module as it is, and warns."""
    if "domain_state_dict" not in state:
        logging.warning(f"{source} is of a run without domain adaptation: what that adds starts untrained")
        return
    differences = describe_differences(state["domain_state_dict"], domain.state_dict())
    if differences:
        raise UserError(f"the domain adaptation of {source} is of another kind or backbone: {differences}; mend --domain_adaptation")
    domain.load_state_dict(state["domain_state_dict"])
    _restore_optimizer(optimizer, state["domain_optimizer_state_dict"], source)


def _check_head_settings(now, before, source):
    if not isinstance(before, dict) or before.get("loss") != now["loss"]:
        before = before.get("loss") if isinstance(before, dict) else before
        raise UserError(f"{source} was trained with --loss {before}, not {now['loss']}: resume with that, or start from its "
                        "network alone with --resume_model")
    for name, value in now.items():
        if before.get(name) != value:
            flag = "emms_l" if name == "l" else f"loss_{name}"
            logging.warning(f"The resumed run had --{flag} {before.get(name)}, now {value}: results will be neither run's")


def _restore_optimizer(target, saved, source):
    rate, fused = target.defaults["lr"], target.defaults["fused"]
    try:
        target.load_state_dict(saved)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"an optimizer state of {source} does not fit: {error}") from error
    for parameters in target.param_groups:
        before = parameters.get("initial_lr", parameters["lr"])
        if before != rate:
            logging.warning(f"The resumed run's learning rate was {before:g}; going on with {rate:g}")
        parameters.update(lr=rate, initial_lr=rate, fused=fused, foreach=None)
    for parameter, entry in target.state.items():
        # fused Adam wants its counter on the parameter's device, and walks memory: moments must lie as their parameter does
        entry["step"] = torch.as_tensor(entry["step"], dtype=torch.float32, device=parameter.device if fused else "cpu")
        for key in ("exp_avg", "exp_avg_sq"):
            entry[key] = torch.empty_like(parameter).copy_(entry[key])


def _reorder_classes(head, optimizer, order):
    """Row i of the head, and of its Adam moments, becomes what row order[i] was."""
    head.weight.data = head.weight.data[order]
    for key in ("exp_avg", "exp_avg_sq"):
        for entry in optimizer.state.values():
            entry[key] = entry[key][order]
