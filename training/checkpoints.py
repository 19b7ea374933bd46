"""The checkpoints of a run that goes on: when they are written, and that they fit together whenever it ends."""

import logging
import os
import shutil
import time

from model.checkpoints import load_network, portable, save_network
from support.errors import UserError
from support.files import read_tensors, write_tensors
from training.run_files import BEST_MODEL, LAST_CHECKPOINT, save_run_state

_SECONDS_BETWEEN = 600


class Checkpoints:
    """Writes a run's best_model.pth and last_checkpoint.pth, so that what is on the disk always fits together.

    folder: where; every: iterations between two within an epoch, 0 for none, None for about ten minutes' worth. A disk
    that refuses is logged, and asked again the next time, and is_behind tells so. writes: whether this process is the
    one of a run that writes.
    """

    def __init__(self, run, folder, every, writes=True):
        self.run, self.every, self.writes = run, every, writes
        self.best_path, self.last_path = (os.path.join(folder, name) for name in (BEST_MODEL, LAST_CHECKPOINT))
        self._unsaved_best, self.is_behind, self._written_at = None, False, time.monotonic()
        self._reached = self._multiple()

    def is_due(self):
        if self.every is None:
            return time.monotonic() - self._written_at >= _SECONDS_BETWEEN
        before, self._reached = self._reached, self._multiple()
        return self._reached > max(before, (self.run.epoch, 0))

    def _multiple(self):
        """(epoch, the last multiple of `every` iterations that is reached in it): not every iteration may be one to
        stop at.
        """
        return self.run.epoch, self.run.iteration // self.every if self.every else 0

    def save(self):
        """Returns whether it was written. Raises DivergedError when a weight is not finite."""
        state = self.run.state_dict()
        self._written_at = time.monotonic()
        if not self.writes:
            return True
        try:
            self._write(state)
        except UserError as error:
            logging.error(f"error: {error}; the previous checkpoint stays, and the run goes on")
            self.is_behind = True
        return not self.is_behind

    def finish(self):
        """Writes what the disk has refused the last time. Raises UserError if it still does."""
        if self.is_behind:
            self._write(self.run.state_dict())

    def _write(self, state):
        self._write_best()  # first: no checkpoint may speak of a best model that is not there
        if self.writes:
            save_run_state(state, self.last_path)
        self.is_behind = False

    def keep_best(self):
        """The network as it is now is the best."""
        self._unsaved_best = {name: value.clone() for name, value in portable(self.run.network.state_dict()).items()}

    def _write_best(self):
        if self._unsaved_best is not None and self.writes:
            write_tensors(self._unsaved_best, self.best_path)
            self._unsaved_best = None

    def load_best(self):
        """The best network of the run. Raises UserError if it could not be written."""
        self._write_best()
        return load_network(self.best_path)


def keep_best_model(checkpoint, output_folder, network, best_recall1):
    """Brings the best model so far beside the resumed run's outputs, and returns its R@1. Without one that is sound,
    the network itself is the best until the next validation.
    """
    if best_recall1 < 0:
        return best_recall1  # no validation yet
    source, target = (os.path.join(folder, BEST_MODEL) for folder in (os.path.dirname(checkpoint), output_folder))
    try:
        if not os.path.exists(source):
            raise UserError(f"there is no {BEST_MODEL} beside {checkpoint}")
        read_tensors(source)
    except UserError as error:
        logging.warning(f"{error}: the best from here on will be kept")
        save_network(network, target)
        return -1.0
    if not (os.path.exists(target) and os.path.samefile(source, target)):
        shutil.copyfile(source, target)
    return best_recall1
