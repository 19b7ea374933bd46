"""The checkpoints of a run: when they are written, and that they fit together whenever the run ends."""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

from model.checkpoints import load_network, portable, save_network
from model.details import write_details
from model.network import GeoLocalizationNet
from support.errors import UserError
from support.files import LARGEST_NETWORK, read_tensors, write_tensors
from support.signals import Interrupted, deferred_signals
from training.run import Run
from training.run_files import BEST_MODEL, LAST_CHECKPOINT, save_run_state
from training.step_monitor import DivergedError

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN = 600


class Checkpoints:
    """Writes a run's best_model.pth and last_checkpoint.pth, so that the files on the disk always fit together.

    A disk that refuses is logged, and tried again the next time; is_behind is True until then.

    run: whose checkpoints these are
    folder: where they are written
    every: iterations between two within an epoch; 0: none within an epoch; None: about ten minutes
    """

    def __init__(self, run: Run, folder: str, every: int | None):
        self.run, self.every, self.writes = run, every, run.ranks.writes
        self.best_path, self.last_path = (os.path.join(folder, name) for name in (BEST_MODEL, LAST_CHECKPOINT))
        self._unsaved_best, self.is_behind, self._written_at = None, False, time.monotonic()
        self._reached = self._multiple()

    def is_due(self) -> bool:
        """Whether a checkpoint within an epoch is due. Each one is due once."""
        if self.every is None:
            return time.monotonic() - self._written_at >= _SECONDS_BETWEEN
        before, self._reached = self._reached, self._multiple()
        return self._reached > max(before, (self.run.epoch, 0))

    def _multiple(self):
        """(epoch, the last multiple of `every` iterations that is reached in it): not every iteration may be one to
        stop at.
        """
        return self.run.epoch, self.run.iteration // self.every if self.every else 0

    def save_if_due(self) -> None:
        """Writes last_checkpoint.pth if it is due, which no signal interrupts."""
        if self.is_due():
            with deferred_signals():
                self.save()

    def save(self) -> bool:
        """Writes last_checkpoint.pth; returns whether it could. Raises DivergedError when a weight is not finite."""
        state = self.run.state_dict()
        self._written_at = time.monotonic()
        if not self.writes:
            return True
        try:
            self._write(state)
        except UserError as error:
            logger.error(f"error: {error}; the previous checkpoint stays, and the run goes on")
            self.is_behind = True
        return not self.is_behind

    def finish(self) -> None:
        """Writes what the disk has refused the last time. Raises UserError if it still does."""
        if self.is_behind:
            self._write(self.run.state_dict())

    def _write(self, state: dict[str, Any]):
        self._write_best()  # first: no checkpoint may speak of a best model that is not there
        if self.writes:
            save_run_state(state, self.last_path)
        self.is_behind = False

    def keep_best(self) -> None:
        """The network that was validated is the best."""
        self._unsaved_best = {name: value.clone() for name, value in portable(self.run.evaluated.state_dict()).items()}

    def _write_best(self):
        if self._unsaved_best is not None and self.writes:
            write_details(self.run.network.details(), self.best_path)
            write_tensors(self._unsaved_best, self.best_path)
            self._unsaved_best = None

    def load_best(self) -> GeoLocalizationNet:
        """The best network of the run. Raises UserError if it could not be written."""
        self._write_best()
        return load_network(self.best_path)


@contextlib.contextmanager
def checkpoint_at_the_end(checkpoints: Checkpoints) -> Iterator[None]:
    """When the block ends early, by a signal or by an error that a user can fix, nothing of the training is lost."""
    try:
        yield
    except DivergedError:
        raise
    except (Interrupted, UserError) as error:
        run = checkpoints.run
        if run.is_whole and run.ranks.can_save_after(error):
            with deferred_signals():
                if checkpoints.save():
                    logger.info(
                        f"A checkpoint of epoch {run.epoch}, iteration {run.iteration} is written: "
                        f"go on with --resume_train {checkpoints.last_path}"
                    )
        raise


def keep_best_model(checkpoint: str, output_folder: str, network: GeoLocalizationNet, best_recall1: float) -> float:
    """Brings the best model so far beside the resumed run's outputs, and returns its R@1.

    Without a sound one, the network itself is the best until the next validation.

    checkpoint: the path of the resumed run's last_checkpoint.pth
    output_folder: where the run goes on
    network: that was validated, as it was when the checkpoint was written
    best_recall1: percent, of the best model; -1 before the first validation
    """
    if best_recall1 < 0:
        return best_recall1  # no validation yet
    source, target = (os.path.join(folder, BEST_MODEL) for folder in (os.path.dirname(checkpoint), output_folder))
    try:
        if not os.path.exists(source):
            raise UserError(f"there is no {BEST_MODEL} beside {checkpoint}")
        read_tensors(source, packed=LARGEST_NETWORK)
    except UserError as error:
        logger.warning(f"{error}: the best from here on will be kept")
        save_network(network, target)
        return -1.0
    if not (os.path.exists(target) and os.path.samefile(source, target)):
        write_details(network.details(), target)
        shutil.copyfile(source, target)
    return best_recall1
