"""Sums of an epoch's losses, and a stop as soon as a number is none."""

import logging
import math
import zlib

import torch

from support.errors import UserError

_ADVICE = "Lower --lr or --classifiers_lr, or train without --use_amp16"
MAX_SKIPPED_IN_A_ROW = 25  # a gradient scale of 65,536 has come down to 0.002 by then


class DivergedError(UserError):
    """A number of the training is not finite: nothing of it may reach a checkpoint."""


class EpochSums:
    """What an epoch's row of metrics.csv is computed from: kept in the run's state, so that a resumed epoch has the
    same row.
    """

    def __init__(self, totals=None, steps=0, skipped_steps=0, skipped_in_a_row=0, images_crc32=0, seconds=0.0):
        self.totals = totals or {}  # {name: the sum over steps}
        self.steps = steps
        self.skipped_steps, self.skipped_in_a_row = skipped_steps, skipped_in_a_row
        self.images_crc32 = images_crc32  # of the names of all images so far, in their order
        self.seconds = seconds

    def state_dict(self):
        return dict(vars(self))

    def means(self):
        """{name: mean over the steps}."""
        return {name: total / self.steps for name, total in self.totals.items()}


class StepMonitor:
    """Takes each step's losses into `sums`, an epoch's EpochSums. On CUDA that is done one step late, so that the
    device never waits.

    scaler: the GradScaler. Raises DivergedError, naming the step, its images and the learning rates, when a loss is not
    finite, or the scaler has skipped MAX_SKIPPED_IN_A_ROW steps.
    """

    def __init__(self, scaler):
        self.scaler, self.sums, self._waiting, self._scale = scaler, EpochSums(), None, None

    def begin(self):
        """To be called before the steps of an epoch."""
        self._scale = self.scaler.get_scale()

    def add(self, step, terms, names, rates):
        """terms: {name: scalar tensor}; names: of the images; rates: learning rates."""
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

    def flush(self):
        """Takes in the last step too: to be called before anything is kept."""
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
    def _stop(step, names, rates, problem):
        logging.error("Images of iteration %d: %s", step, ", ".join(map(repr, names)))
        rates = ", ".join(f"{name} {rate:g}" for name, rate in zip(("network", "head", "domain"), rates, strict=False))
        raise DivergedError(
            f"{problem}, at the learning rates {rates}; the images are named above, and the last checkpoint is older. "
            f"{_ADVICE}"
        )


def check_finite(state_dict, epoch, iteration):
    """Raises DivergedError unless all floating-point values of a network or head are finite: what a checkpoint must not
    hold.
    """
    for name, value in state_dict.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise DivergedError(
                f"{name} is not finite after iteration {iteration} of epoch {epoch}: no checkpoint is written, and "
                f"the last one is older. {_ADVICE}"
            )
