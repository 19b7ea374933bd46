"""Sums of an epoch's losses, and a stop as soon as a number is not finite."""

import logging
import math
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

import torch

from support.errors import UserError

logger = logging.getLogger(__name__)

_ADVICE = "Lower --lr or --classifiers_lr, or train without --use_amp16"
MAX_SKIPPED_IN_A_ROW = 25  # a gradient scale of 65,536 has come down to 0.002 by then


class DivergedError(UserError):
    """A number of the training is not finite: nothing of it may reach a checkpoint."""


@dataclass
class EpochSums:
    """The numbers behind an epoch's row of metrics.csv, kept in the run's state: a resumed epoch has the same row."""

    totals: dict[str, float] = field(default_factory=dict)  # name -> sum over steps
    steps: int = 0
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    images_crc32: int = 0  # of the names of all images so far, in their order
    seconds: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Plain values, of which EpochSums(**values) makes the same again."""
        return dict(vars(self))

    def means(self) -> dict[str, float]:
        """The mean of each loss over the steps: name -> mean."""
        return {name: total / self.steps for name, total in self.totals.items()}


class StepMonitor:
    """Adds each step's losses to `sums`, an EpochSums. On CUDA it does so one step late: the device never waits.

    Raises DivergedError when a loss is not finite, or when the scaler has skipped MAX_SKIPPED_IN_A_ROW steps. The error
    names the step and the learning rates; the log names the step's images.

    scaler: of the run's gradients
    """

    def __init__(self, scaler: torch.amp.GradScaler):
        self.scaler, self.sums, self._waiting = scaler, EpochSums(), None
        self._scale, self._start = None, time.monotonic()

    def begin(self) -> None:
        """To be called before the steps of an epoch, or before those that are left of it."""
        self._start = time.monotonic() - self.sums.seconds
        self.read_scale()

    def read_scale(self) -> None:
        """Takes the gradient scaler's scale as it is, though it may be lower than after the last step."""
        self._scale = self.scaler.get_scale()

    def add(self, step: int, terms: dict[str, torch.Tensor], names: list[str], rates: list[float]) -> None:
        """Takes the losses of a step.

        step: its number in the run
        terms: {name: scalar}, whose sum is the loss
        names: of the step's images
        rates: learning rates of the network, the head, and the domain adaptation
        """
        loss = sum(terms.values())
        parts = {f"loss_{name}": term for name, term in terms.items()} if len(terms) > 1 else {}
        values = {"loss": loss.detach(), **{name: part.detach() for name, part in parts.items()}}
        one = torch.ones((), device=loss.device)
        # the scale is read after the step: lower than after the step before, it tells that this one was skipped
        copied = torch.stack([value.float() for value in [*values.values(), self.scaler.scale(one)]])
        event = None
        if copied.is_cuda:
            copied, event = copied.to("cpu", non_blocking=True), torch.cuda.Event()
            event.record()
        self.flush()
        self._waiting = step, list(values), copied, event, names, rates
        if event is None:
            self.flush()
        self.sums.seconds = time.monotonic() - self._start

    def flush(self) -> None:
        """Takes the last step too. To be called before anything is kept."""
        if self._waiting is None:
            return
        (step, keys, copied, event, names, rates), self._waiting = self._waiting, None
        if event is not None:
            event.synchronize()
        *values, scale = copied.tolist()
        bad = [key for key, value in zip(keys, values, strict=True) if not math.isfinite(value)]
        if bad:
            self._stop(step, names, rates, f"the {bad[0]} of iteration {step} is {values[keys.index(bad[0])]}")
        for key, value in zip(keys, values, strict=True):
            self.sums.totals[key] = self.sums.totals.get(key, 0.0) + value
        self.sums.steps += 1
        self.sums.images_crc32 = zlib.crc32("\n".join(names).encode("utf-8", "surrogateescape"), self.sums.images_crc32)
        skipped = scale < self._scale  # the scaler found a gradient that is not finite, and made no step
        self._scale = scale
        self.sums.skipped_steps += skipped
        self.sums.skipped_in_a_row = self.sums.skipped_in_a_row + 1 if skipped else 0
        if self.sums.skipped_in_a_row == MAX_SKIPPED_IN_A_ROW:
            self._stop(
                step,
                names,
                rates,
                f"the gradients of the last {MAX_SKIPPED_IN_A_ROW} iterations, up to {step}, are not finite",
            )

    @staticmethod
    def _stop(step: int, names: list[str], rates: list[float], problem: str) -> None:
        logger.error("Images of iteration %d: %s", step, ", ".join(map(repr, names)))
        rates = ", ".join(f"{name} {rate:g}" for name, rate in zip(("network", "head", "domain"), rates, strict=False))
        raise DivergedError(
            f"{problem}, at the learning rates {rates}; the images are named above, and the last checkpoint is older. "
            f"{_ADVICE}"
        )


def check_finite(state_dict: dict[str, torch.Tensor], epoch: int, iteration: int) -> None:
    """Raises DivergedError unless all floating-point values of a network or head are finite.

    A checkpoint must hold no others.

    state_dict: of the network or head
    epoch, iteration: where the run is, for the message
    """
    for name, value in state_dict.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise DivergedError(
                f"{name} is not finite after iteration {iteration} of epoch {epoch}: no checkpoint is written, and "
                f"the last one is older. {_ADVICE}"
            )
