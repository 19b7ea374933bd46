"""What every script needs: log folders, logging, how a script ends, devices, seeds."""

import contextlib
import csv
import datetime
import functools
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
from tqdm import tqdm

import distributed
from distributed.failures import FOR_ALL, log_end
from support.errors import UserError
from support.escaping import EscapingFormatter
from support.files import remove_leftovers, replacing
from support.locks import NO_LOCKS, FileLock
from training.acceleration import set_tf32

FINISHED = "Experiment finished (without any errors)"  # published: scripts look for it as the last line of a log
FAILED = "Experiment finished (with some errors)"
_ENDINGS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGUSR1: "told to end by SIGUSR1"}


def run_experiment(body, args, output_folder=None):
    """Runs body(args, output_folder) with its logs in output_folder (default: a new one below logs/<args.save_dir>).

    No two runs write to one folder at the same time. The last line of the log says whether all went well. A UserError
    ends as one line and exit code 2, SIGINT, SIGTERM and SIGUSR1 as 128 + signal, anything else keeps its traceback, in
    the logs too, and exits with 1. Returns 0.
    """
    try:
        lock = contextlib.nullcontext()
        if distributed.is_main():
            output_folder = output_folder or make_log_folder(args.save_dir)
            lock = contextlib.closing(_lock(output_folder))
        output_folder = distributed.from_main(output_folder)
        handlers = _open_logs(output_folder)
    except UserError as error:
        if (message := distributed.settle(2, str(error))[1]) is not None:
            print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2) from None
    set_tf32(False)  # float32 is float32, unless the script asks for less
    with _logging_to(handlers), _Signals() as signals, lock:
        distributed.relay(signals)
        logging.debug(" ".join(sys.argv))
        logging.info(f"Arguments: {vars(args)}")
        logging.info(f"The outputs are being saved in {output_folder}")
        code = _run(body, args, output_folder)
        logging.info(FAILED if code else FINISHED)
    if code:
        raise SystemExit(code)
    return 0


def _run(body, args, output_folder):
    """The exit code of the body; logs why it ends early, on one rank alone."""
    try:
        body(args, output_folder)
        return 0
    except UserError as error:
        end = 2, str(error)
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "number", signal.SIGINT)
        end = 128 + number, _ENDINGS[number]
    except Exception as error:
        end = 1, traceback.format_exc(), error
        logging.debug(end[1])
    code, message = distributed.settle(*end)
    log_end(message)
    return code


class Interrupted(KeyboardInterrupt):
    """SIGINT, SIGTERM, as batch systems send it, or SIGUSR1, with which Slurm warns before a job's time is up; number:
    which.
    """

    def __init__(self, number):
        super().__init__(number)
        self.number = number


class _Signals:
    """Within it the first of these signals raises Interrupted in the main thread, or when the last block of
    deferred_signals() ends; the second ends the process at once.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self):
        self.received, self.deferring, self._is_relayed = None, 0, False

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():  # only it may set handlers
            self._before = {number: signal.signal(number, self._receive) for number in self.NUMBERS}
            _signals.append(self)
        return self

    def __exit__(self, *_):
        if self in _signals:
            _signals.remove(self)
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def relayed(self, number):
        """Another rank got a signal, which this process is to get too: it takes effect where a block of
        deferred_signals() ends.
        """
        self.received, self._is_relayed = number, True

    def _receive(self, number, frame):
        name = signal.Signals(number).name
        if self._is_relayed:
            self._is_relayed = False
            return
        tell = functools.partial(os.write, 2) if distributed.is_main() else len  # one of all ranks
        if self.received is not None:
            tell(f"\n{name} again: ending at once\n".encode())
            os._exit(128 + number)
        self.received = number
        tell(f"\n{name}: ending as soon as nothing is lost by it; a second signal ends the run at once\n".encode())
        if not self.deferring:
            raise Interrupted(number)


_signals = []  # the _Signals of the run that goes on


@contextlib.contextmanager
def deferred_signals():
    """A block that no signal interrupts: Interrupted is raised where it ends, if it ends well."""
    signals = _signals[-1] if _signals else _Signals()
    signals.deferring += 1
    try:
        yield
    finally:
        signals.deferring -= 1
    if signals.received is not None and not signals.deferring:
        raise Interrupted(signals.received)


def pending_signal():
    """The number of the signal that waits for the end of a block of deferred_signals(), or 0."""
    return int(_signals[-1].received or 0) if _signals else 0


@contextlib.contextmanager
def tolerating_full_disks(what_then):
    """A UserError of the block is logged, and the run goes on; what_then: what becomes of what was to be written."""
    try:
        yield
    except UserError as error:
        logging.error(f"error: {error}; the run goes on, {what_then}")


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
                raise UserError(
                    f"the log folder {os.path.dirname(folder)} cannot be made: a file is in its place"
                ) from None
            time.sleep(0.2)  # another run began in this very second
        except OSError as error:
            raise UserError(
                f"the log folder {folder} cannot be made: {error.strerror}; run where you may write, or fix --save_dir"
            ) from error


class _FolderLock(FileLock):
    def close(self):
        self.release(remove=True)


def _lock(folder):
    """Holds a folder alone, until it is closed or the process ends, and clears what a killed run left half-written
    there. Raises UserError if another run holds it.
    """
    lock = _FolderLock(os.path.join(folder, ".lock"))
    try:
        if not lock.acquire(exclusive=True, wait=False):
            raise UserError(f"another run writes to {folder}: wait until it ends, or give another --save_dir")
        remove_leftovers(folder)
    except OSError as error:
        if error.errno in NO_LOCKS:
            logging.warning(
                f"{folder} is on a file system without locks ({error.strerror}): take care that no two runs write to it"
            )
            return lock
        raise UserError(f"the log folder {folder} cannot be written to: {error.strerror or error}") from error
    return lock


class _Terminal(logging.StreamHandler):
    """Writes lines above the progress bars that are on the terminal, and not into them."""

    def emit(self, record):
        with tqdm.external_write_mode(self.stream):
            super().emit(record)


class _LogFile(logging.FileHandler):
    """A log that a full disk does not end: what cannot be written is on the terminal all the same."""

    def handleError(self, record):  # noqa: N802
        if not getattr(self, "_told", False):
            self._told = True
            print(
                f"error: {self.baseFilename} cannot be written ({sys.exc_info()[1]}); the run goes on", file=sys.stderr
            )

    def close(self):
        with contextlib.suppress(OSError):
            super().close()


def _open_logs(folder):
    plain = EscapingFormatter("%(asctime)s   %(message)s", "%Y-%m-%d %H:%M:%S")
    handlers, files = [_Terminal()], (("info.log", logging.INFO), ("debug.log", logging.DEBUG))
    handlers[0].setLevel(logging.INFO)
    if not distributed.is_main():  # the others log what rank 0, which is gone, cannot
        files = ("info.log", logging.INFO), (f"debug_rank{distributed.rank()}.log", logging.DEBUG)
    try:
        for name, level in files:
            handler = _LogFile(
                os.path.join(folder, name), encoding="utf-8", errors="backslashreplace", delay=name == "info.log"
            )
            handler.setLevel(level)
            handlers.append(handler)
    except OSError as error:
        raise UserError(f"the log folder {folder} cannot be written to: {error.strerror}") from error
    for handler in () if distributed.is_main() else handlers[:2]:  # the terminal and info.log are rank 0's
        handler.addFilter(_is_for_all)
    for handler in handlers:
        handler.setFormatter(plain)
    return handlers


def _is_for_all(record):
    return getattr(record, FOR_ALL, False)


@contextlib.contextmanager
def _logging_to(handlers):
    """Logging with these handlers alone, so that scripts can run one after another in one process."""
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    logger.handlers[:] = before + handlers
    logger.setLevel(logging.DEBUG)
    logging.getLogger("PIL").setLevel(
        logging.CRITICAL
    )  # it logs every chunk of every PNG, and each TIFF that it cannot read
    try:
        yield
    finally:
        logger.handlers[:] = before
        logger.setLevel(level)
        for handler in handlers:
            handler.close()


class Metrics:
    """metrics.csv: a CSV file that grows by a row an epoch, rewritten whole each time, beside and renamed.

    path: the file; first_epoch: rows of this epoch and later, of an interrupted run, are dropped; tensorboard: numbers
    go to event files in tensorboard/ beside it too, at step `epoch`. Raises UserError if tensorboard is asked for and
    not installed.
    """

    def __init__(self, path, first_epoch=0, tensorboard=False):
        self.path, self.rows, self._num_written = path, [], 0
        self.events = (
            _open_events(os.path.join(os.path.dirname(path), "tensorboard"), first_epoch) if tensorboard else None
        )
        if first_epoch and os.path.exists(path):
            with open(path, newline="") as file:
                self.rows = [
                    row
                    for row in csv.DictReader(file)
                    if (row.get("epoch") or "").isdigit() and int(row["epoch"]) < first_epoch
                ]
            self._num_written = len(self.rows)

    def add(self, **values):
        """Appends a row; numbers are written with the digits that they need."""
        self.rows.append(
            {key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in values.items()}
        )
        if self.events:
            for key, value in values.items():
                if key != "epoch" and isinstance(value, (int, float)):
                    self.events.add_scalar(key, value, values["epoch"])
            self.events.flush()
        self.write()

    def write(self):
        """Writes the rows that a full disk has refused, if there are any. Raises UserError if it still does."""
        if len(self.rows) == self._num_written:
            return
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        with replacing(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        self._num_written = len(self.rows)


def _open_events(folder, first_epoch):
    """A writer of event files, in which steps from first_epoch on that an interrupted run left are skipped."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "--tensorboard needs tensorboard, which is not installed: pip install -r requirements-report.txt"
        ) from error
    return SummaryWriter(folder, purge_step=first_epoch)


def select_device(name, flag="--device"):
    """torch.device of "auto" (CUDA, else MPS, else the CPU), "cuda", "mps" or "cpu". Raises UserError, naming the flag,
    if it is absent.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise UserError(
            f"{flag} {name}: PyTorch finds no such device here; it has {', '.join(d for d in available if available[d])}"
        )
    return distributed.local_device(name)


def set_seed(seed):
    """Seeds all generators and returns the seed; -1 draws one, and allows kernels whose results vary from run to run."""
    drawn = seed == -1
    if drawn:
        seed = distributed.from_main(secrets.randbelow(2**31))
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
