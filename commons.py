"""What every script needs: log folders, logging, how a script ends, devices, seeds."""

import contextlib
import csv
import datetime
import logging
import os
import random
import secrets
import signal
import sys
import threading
import time
import traceback

import numpy as np
import torch

from model.acceleration import set_tf32
from model.errors import UserError
from model.files import replacing

FINISHED = "Experiment finished (without any errors)"  # published: scripts look for it as the last line of a log
FAILED = "Experiment finished (with some errors)"


def run_experiment(body, args, output_folder=None):
    """Runs body(args, output_folder) with its logs in output_folder (default: a new one below logs/<args.save_dir>).

    The last line of the log says whether all went well. A UserError ends as one line and exit code 2, SIGINT and SIGTERM as 128 + signal,
    anything else keeps its traceback, in the logs too, and exits with 1. Returns 0.
    """
    try:
        output_folder = output_folder or make_log_folder(args.save_dir)
        handlers = _open_logs(output_folder)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    set_tf32(False)  # float32 is float32, unless the script asks for less
    with _logging_to(handlers), _terminating():
        logging.debug(" ".join(sys.argv))
        logging.info(f"Arguments: {vars(args)}")
        logging.info(f"The outputs are being saved in {output_folder}")
        code = 1
        try:
            body(args, output_folder)
            code = 0
        except UserError as error:
            logging.error(f"error: {error}")
            code = 2
        except KeyboardInterrupt as interrupt:
            terminated = isinstance(interrupt, Terminated)
            logging.error(f"error: {'terminated' if terminated else 'interrupted'}")
            code = 128 + (signal.SIGTERM if terminated else signal.SIGINT)
        except Exception:
            logging.critical(traceback.format_exc())
        logging.info(FAILED if code else FINISHED)
    if code:
        raise SystemExit(code)
    return 0


class Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it."""


@contextlib.contextmanager
def _terminating():
    """Within it SIGTERM raises Terminated in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def terminate(number, frame):
        raise Terminated
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def make_log_folder(save_dir, root="logs"):
    """Makes and returns logs/<save_dir>/<YYYY-mm-dd_HH-MM-SS>, which no other run has. Raises UserError if it cannot."""
    while True:
        folder = os.path.join(root, save_dir, datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
        try:
            os.makedirs(os.path.dirname(folder), exist_ok=True)
            os.mkdir(folder)
            return folder
        except FileExistsError:
            if not os.path.isdir(folder):
                raise UserError(f"the log folder {os.path.dirname(folder)} cannot be made: a file is in its place") from None
            time.sleep(0.2)  # another run began in this very second
        except OSError as error:
            raise UserError(f"the log folder {folder} cannot be made: {error.strerror}; run where you may write, or mend --save_dir") \
                from error


def _open_logs(folder):
    plain = logging.Formatter("%(asctime)s   %(message)s", "%Y-%m-%d %H:%M:%S")
    handlers = [logging.StreamHandler()]
    handlers[0].setLevel(logging.INFO)
    try:
        for name, level in (("info.log", logging.INFO), ("debug.log", logging.DEBUG)):
            handler = logging.FileHandler(os.path.join(folder, name), encoding="utf-8", errors="backslashreplace")
            handler.setLevel(level)
            handlers.append(handler)
    except OSError as error:
        raise UserError(f"the log folder {folder} cannot be written to: {error.strerror}") from error
    for handler in handlers:
        handler.setFormatter(plain)
    return handlers


@contextlib.contextmanager
def _logging_to(handlers):
    """Logging with these handlers alone, so that scripts can run one after another in one process."""
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    logger.handlers[:] = before + handlers
    logger.setLevel(logging.DEBUG)
    logging.getLogger("PIL").setLevel(logging.INFO)  # it logs every chunk of every PNG
    try:
        yield
    finally:
        logger.handlers[:] = before
        logger.setLevel(level)
        for handler in handlers:
            handler.close()


class Metrics:
    """metrics.csv: a CSV file that grows by a row an epoch, rewritten whole each time, beside and renamed.

    path: the file; first_epoch: rows of this epoch and later, of an interrupted run, are dropped; tensorboard: numbers go to event files
    in tensorboard/ beside it too, at step `epoch`. Raises UserError if tensorboard is asked for and not installed.
    """

    def __init__(self, path, first_epoch=0, tensorboard=False):
        self.path, self.rows, self.events = path, [], None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise UserError("--tensorboard needs tensorboard, which is not installed: pip install -r requirements-report.txt") \
                    from error
            self.events = SummaryWriter(os.path.join(os.path.dirname(path), "tensorboard"), purge_step=first_epoch or None)
        if first_epoch and os.path.exists(path):
            with open(path, newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if (row.get("epoch") or "").isdigit() and int(row["epoch"]) < first_epoch]

    def add(self, **values):
        """Appends a row; numbers are written with the digits that they need."""
        self.rows.append({key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in values.items()})
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        with replacing(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        if self.events:
            for key, value in values.items():
                if key != "epoch" and isinstance(value, (int, float)):
                    self.events.add_scalar(key, value, values["epoch"])
            self.events.flush()


def select_device(name, flag="--device"):
    """torch.device of "auto" (CUDA, else MPS, else the CPU), "cuda", "mps" or "cpu". Raises UserError, naming the flag, if it is
    absent."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise UserError(f"{flag} {name}: PyTorch finds no such device here; it has {', '.join(d for d in available if available[d])}")
    return torch.device(name)


def set_seed(seed):
    """Seeds all generators and returns the seed; -1 draws one, and allows kernels whose results vary from run to run."""
    drawn = seed == -1
    if drawn:
        seed = secrets.randbelow(2**31)
        logging.info(f"Seed: {seed} (drawn)")
    torch.backends.cudnn.benchmark = drawn
    if not drawn:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it starts
    torch.backends.cudnn.deterministic = not drawn
    if torch.cuda.is_available():  # what this project computes on a CPU is deterministic anyway
        torch.use_deterministic_algorithms(not drawn, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return seed
