"""Lines on how far a training is, about once a minute."""

import logging

from datasets.schedule import Schedule
from support.progress import Progress, describe_seconds
from training.run import Run

logger = logging.getLogger(__name__)


class TrainingProgress(Progress):
    """Logs how far a training is, how fast, and when its epoch and all of it will end.

    schedule: of the training
    done: steps that an earlier, interrupted run did
    may_end_early: whether the training may end before its last epoch
    """

    def __init__(self, schedule: Schedule, done: int = 0, may_end_early: bool = False):
        super().__init__(schedule.steps, done)
        self.schedule, self._ends = schedule, "to the end of the training" + may_end_early * " at the latest"

    def log_if_due(self, run: Run, done: int) -> None:
        """Logs a line if one is due.

        run: within an epoch
        done: steps that are done of the whole run
        """
        if not self.is_due():
            return
        sums, ends = run.monitor.sums, f"{self.left(done)} {self._ends}"
        so_far = f"Epoch {run.epoch:02d}, iteration {run.iteration}: "
        if not sums.steps:  # on a GPU the first step is counted with the second
            logger.info(f"{so_far}about {ends}")
            return
        a_step = sums.seconds / sums.steps
        # heads, and processes that train a group each at the same time, have a batch each
        images = self.schedule.batch_size * self.schedule.heads * self.schedule.num_places
        speed = images / max(a_step, 1e-9)
        epoch = describe_seconds((self.schedule.iterations_per_epoch - run.iteration) * a_step)
        loss = f"loss {sums.means()['loss']:.4f}"
        logger.info(f"{so_far}{loss}, {speed:.1f} images/s, about {epoch} to the end of the epoch, {ends}")
