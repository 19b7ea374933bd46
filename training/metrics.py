"""metrics.csv: a row per epoch, and the same numbers for TensorBoard."""

import csv
import os
from typing import Any

from support.errors import UserError
from support.files import replacing
from support.regular_files import open_regular


class Metrics:
    """A CSV file that grows by a row per epoch. It is rewritten whole each time, beside the old one, and renamed.

    Raises UserError if TensorBoard is asked for and not installed.

    path: the file
    first_epoch: rows of this epoch and later ones, left by an interrupted run, are dropped
    tensorboard: whether numbers also go to event files in tensorboard/ beside the file, at step `epoch`
    """

    def __init__(self, path: str, first_epoch: int = 0, tensorboard: bool = False):
        self.path, self.rows, self._num_written = path, [], 0
        folder = os.path.join(os.path.dirname(path), "tensorboard")
        self.events = _open_events(folder, first_epoch) if tensorboard else None
        if first_epoch and os.path.exists(path):
            with open_regular(path, "r", newline="") as file:
                rows = [row for row in csv.DictReader(file) if (row.get("epoch") or "").isdigit()]
            self.rows = [row for row in rows if int(row["epoch"]) < first_epoch]
            self._num_written = len(self.rows)

    def add(self, **values: Any) -> None:
        """Appends a row. Floats are written with six significant digits."""
        self.rows.append(
            {key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in values.items()}
        )
        if self.events:
            for key, value in values.items():
                if key != "epoch" and isinstance(value, (int, float)):
                    self.events.add_scalar(key, value, values["epoch"])
            self.events.flush()
        self.write()

    def write(self) -> None:
        """Writes the rows that are not in the file yet. Raises UserError if the disk refuses."""
        if len(self.rows) == self._num_written:
            return
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        with replacing(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        self._num_written = len(self.rows)


def _open_events(folder: str, first_epoch: int):
    """A writer of event files. Steps from first_epoch on that an interrupted run left are not shown."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "--tensorboard needs tensorboard, which is not installed: pip install -r requirements-report.txt"
        ) from error
    return SummaryWriter(folder, purge_step=first_epoch)
