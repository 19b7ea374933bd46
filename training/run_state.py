"""All that a training run is made of: as one value to be kept, and put back from it, whoever wrote it."""

import contextlib
import logging

import torch

from model.state_dicts import describe_differences
from support.errors import UserError
from training.step_monitor import EpochSums, StepMonitor, check_finite

PUBLISHED_HEAD = {"loss": "cosface", "s": 30.0, "m": 0.40}  # of states that do not say


class RunState:
    """network, heads: modules; optimizer, head_optimizers: theirs; scaler: the GradScaler; domain, domain_optimizer:
    what domain adaptation adds, or None; bad_images: with state() and restore(state), or None; gather, own: from this
    process's state to that of all that train together, and back; facts: {name: plain value}, kept along.

    epoch: how many are done, validation included; iteration: steps of this epoch that are done; best_recall1: percent,
    -1 before the first validation; monitor: the StepMonitor, whose sums are this epoch's.
    """

    def __init__(
        self,
        network,
        optimizer,
        heads,
        head_optimizers,
        scaler,
        domain=None,
        domain_optimizer=None,
        bad_images=None,
        gather=None,
        own=None,
        **facts,
    ):
        self.network, self.optimizer, self.heads, self.head_optimizers = network, optimizer, heads, head_optimizers
        self.scaler, self.domain, self.domain_optimizer = scaler, domain, domain_optimizer
        self.bad_images, self.facts = bad_images, facts
        self._gather, self._own = gather or _unchanged, own or _unchanged
        self.epoch, self.iteration, self.best_recall1 = 0, 0, -1.0
        self.monitor, self.is_whole = StepMonitor(scaler), True

    @contextlib.contextmanager
    def stepping(self):
        """A step: if it fails in the middle, is_whole tells that the state is of no moment that a run can go on from."""
        self.is_whole = False
        yield
        self.iteration += 1
        self.is_whole = True

    def end_epoch(self):
        self.epoch, self.iteration, self.monitor.sums = self.epoch + 1, 0, EpochSums()

    def state_dict(self):
        """What run_files.save_run_state writes. Raises DivergedError when any weight is not finite."""
        self.monitor.flush()
        for module in (self.network, *self.heads, *([self.domain] if self.domain else [])):
            check_finite(module.state_dict(), self.epoch, self.iteration)
        domain = (
            {
                "domain_state_dict": self.domain.state_dict(),
                "domain_optimizer_state_dict": self.domain_optimizer.state_dict(),
            }
            if self.domain
            else {}
        )
        return self._gather(
            {
                "epoch_num": self.epoch,
                "iteration": self.iteration,
                "epoch_sums": self.monitor.sums.state_dict(),
                "model_state_dict": self.network.state_dict(),
                "optimizer_state_dict": self.optimizer.state_dict(),
                "classifiers_state_dict": [head.state_dict() for head in self.heads],
                "optimizers_state_dict": [optimizer.state_dict() for optimizer in self.head_optimizers],
                "best_val_recall1": self.best_recall1,
                "scaler_state_dict": self.scaler.state_dict(),
                "random_state": _random_state(),
                "head_settings": self.heads[0].settings(),
                **domain,
                **self.facts,
                **({"bad_images": self.bad_images.state()} if self.bad_images else {}),
            }
        )

    def load(self, state, source, published_order):
        """Puts back what run_files.load_run_state read, but for the network.

        source: the file's path, for messages; published_order: group -> int array (C,), for row i of a published head
        its row here. Learning rates stay those of the optimizers. Raises UserError when the state is of other groups or
        of another head.
        """
        state = self._own(state)
        if len(state["classifiers_state_dict"]) != len(self.heads) or len(state["optimizers_state_dict"]) != len(
            self.heads
        ):
            raise UserError(
                f"{source} was trained on {len(state['classifiers_state_dict'])} groups, not on {len(self.heads)}: fix "
                "--groups_num"
            )
        for group, (head, head_state) in enumerate(zip(self.heads, state["classifiers_state_dict"], strict=True)):
            shape = tuple(head_state["weight"].shape) if "weight" in head_state else None
            if shape != tuple(head.weight.shape):
                raise UserError(
                    f"group {group} of {source} has a head of {shape}, and of this training set {tuple(head.weight.shape)} "
                    "(classes, dimension): resume with the data set and the parameters of that run"
                )
            head.load_state_dict(head_state)
        for target, saved in zip(
            [self.optimizer, *self.head_optimizers],
            [state["optimizer_state_dict"], *state["optimizers_state_dict"]],
            strict=True,
        ):
            _restore_optimizer(target, saved, source)
        if "arguments" not in state:  # ours have them
            logging.info(
                f"{source} is taken to be of the published code: the classes of its heads are brought into order"
            )
            for group, (head, head_optimizer) in enumerate(zip(self.heads, self.head_optimizers, strict=True)):
                if len(head.weight):  # another process may have it
                    _reorder_classes(head, head_optimizer, torch.as_tensor(published_order(group)).argsort())
        if state.get("scaler_state_dict") and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler_state_dict"])
        if self.domain:
            restore_domain(state, source, self.domain, self.domain_optimizer)
        self.epoch, self.best_recall1 = state["epoch_num"], state["best_val_recall1"]
        try:
            self.iteration, self.monitor.sums = int(state.get("iteration", 0)), EpochSums(**state.get("epoch_sums", {}))
        except (TypeError, ValueError) as error:
            raise UserError(f"{source} is damaged: where in the epoch it was made does not read ({error})") from error
        if self.bad_images and "bad_images" in state:
            self.bad_images.restore(state["bad_images"])
        _restore_random_state(state.get("random_state", {}))


def head_differences(now, before):
    """["--loss_m 0.4, now 0.5", ...] of a head's settings. before: None for a published head. Raises UserError if the
    head is of another kind.
    """
    before = PUBLISHED_HEAD if before is None else before
    if not isinstance(before, dict) or before.get("loss") != now["loss"]:
        before = before.get("loss") if isinstance(before, dict) else before
        raise UserError(
            f"the run to resume was trained with --loss {before}, not {now['loss']}: resume with that, or start from its "
            "network alone with --resume_model"
        )
    return [
        f"--{'emms_l' if name == 'l' else f'loss_{name}'} {before.get(name)}, now {value}"
        for name, value in now.items()
        if before.get(name) != value
    ]


def describe_precision_changes(state, precision):
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


def _precision_of_arguments(arguments, environment):
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


def restore_domain(state, source, domain, optimizer):
    """As restore, for what domain adaptation adds. A state of a run without it leaves the module as it is, and warns."""
    if "domain_state_dict" not in state:
        logging.warning(f"{source} is of a run without domain adaptation: what that adds starts untrained")
        return
    differences = describe_differences(state["domain_state_dict"], domain.state_dict())
    if differences:
        raise UserError(
            f"the domain adaptation of {source} is of another kind or backbone: {differences}; fix --domain_adaptation"
        )
    domain.load_state_dict(state["domain_state_dict"])
    _restore_optimizer(optimizer, state["domain_optimizer_state_dict"], source)


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
        # fused Adam wants its counter on the parameter's device, and walks memory: moments must lie as their parameter
        # does
        entry["step"] = torch.as_tensor(entry["step"], dtype=torch.float32, device=parameter.device if fused else "cpu")
        for key in ("exp_avg", "exp_avg_sq"):
            entry[key] = torch.empty_like(parameter).copy_(entry[key])


def _reorder_classes(head, optimizer, order):
    """Row i of the head, and of its Adam moments, becomes what row order[i] was."""
    head.weight.data = head.weight.data[order]
    for key in ("exp_avg", "exp_avg_sq"):
        for entry in optimizer.state.values():
            entry[key] = entry[key][order]


def _unchanged(state):
    return state


def _random_state():
    return {"torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def _restore_random_state(state):
    """Each step seeds what is random in it, so that this matters to nothing yet but to what somebody adds."""
    if "torch" in state:
        torch.set_rng_state(state["torch"])
    if state.get("cuda") and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
