"""When a training ends: after its epochs, or earlier, once the validation's recall has not risen for long."""

import logging
import math
from collections.abc import Iterator

from training.run import Run

logger = logging.getLogger(__name__)

_LONG = 5  # epochs without a rise, or a third of all if those are more: then the log says so


def epochs_left(run: Run, epochs_num: int, patience: int | None) -> Iterator[int]:
    """Yields the epochs that are left of a run, each once the one before is done. Logs why it ends early.

    run: whose validations decide
    epochs_num: of the whole training
    patience: epochs in a row without a higher R@1, after which the training ends; None: it never ends early
    """
    long = max(_LONG, math.ceil(epochs_num / 3))
    while run.epoch < epochs_num:
        waited = run.epochs_since_best
        so_far = f"R@1 has not risen for {waited} epoch{'s' * (waited > 1)}: the best was {run.best_recall1:.1f}"
        so_far += f", in Epoch {run.best_epoch:02d}" if run.best_epoch >= 0 else ""  # an earlier version's run
        if patience and waited >= patience:
            logger.info(f"{so_far}. With --patience {patience} the training ends after {run.epoch} of {epochs_num}")
            return
        if not patience and waited == long:
            logger.info(f"{so_far}. The training can end: --patience N does that by itself")
        yield run.epoch
