"""What every script needs: log folders, logging, how a script ends, devices, seeds."""

import argparse
import contextlib
import datetime
import logging
import os
import random
import re
import secrets
import shlex
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import distributed
from distributed.failures import FOR_ALL, log_end
from options import OPTIONS
from support.errors import TOO_MANY_FILES, UserError
from support.escaping import EscapingFormatter
from support.files import remove_temporaries
from support.locks import NO_LOCKS, FileLock
from support.signals import ENDINGS, Signals
from training.acceleration import set_tf32

logger = logging.getLogger(__name__)

FINISHED = "Experiment finished (without any errors)"  # published: scripts look for it as the last line of a log
FAILED = "Experiment finished (with some errors)"


def run_experiment(
    body: Callable[[argparse.Namespace, str], Any], args: argparse.Namespace, output_folder: str | None = None
) -> int:
    """Runs body(args, output_folder) with its logs in output_folder. Returns 0, or exits with another code.

    No two runs write to one folder at the same time. The last line of the log says whether all went well. A UserError
    ends as one line and exit code 2; SIGINT, SIGTERM and SIGUSR1 end as 128 + signal. Any other exception keeps its
    traceback, in the logs too, and exits with 1. A UserError before anything was written into a new folder, but its
    logs, leaves no folder.

    body: what is run
    args: of the command line, with save_dir
    output_folder: default: a new one below logs/<args.save_dir>
    """
    is_new, writes = output_folder is None, distributed.is_main()
    try:
        lock = contextlib.nullcontext()
        if writes:
            output_folder = output_folder or make_log_folder(args.save_dir)
            lock = contextlib.closing(_lock(output_folder))
        output_folder = distributed.from_main(output_folder)
        handlers = _open_logs(output_folder)
    except UserError as error:
        if (message := distributed.settle(2, str(error))[1]) is not None:
            print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2) from None
    set_tf32(False)  # float32 is float32, unless the script asks for less
    with _logging_to(handlers), Signals(speaks=distributed.is_main()) as signals, lock:
        distributed.relay(signals)
        logger.debug(" ".join(sys.argv))
        logger.info(f"Arguments: {own_arguments(args)}")
        logger.info(f"Other than the defaults: {_as_flags(getattr(args, 'changed', {})) or 'nothing'}")
        logger.info(f"The outputs are being saved in {output_folder}")
        code = _run(body, args, output_folder)
        if left_nothing := code == 2 and is_new and writes and _has_only_logs(output_folder):
            logger.info(f"{output_folder} holds nothing but logs, and is removed")
        logger.info(FAILED if code else FINISHED)
    if left_nothing:
        shutil.rmtree(output_folder, ignore_errors=True)
    if code:
        raise SystemExit(code)
    return 0


def own_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """{name: value} of the flags among the arguments; what the parser adds to them is no flag."""
    flags = {option.name for option in OPTIONS}
    return {name: value for name, value in vars(args).items() if name in flags}


def _as_flags(values: dict[str, Any]) -> str:
    """Values of flags as a command line has them."""
    words = []
    for name, value in values.items():
        words.append(f"--{name}")
        if value is not True:
            words += map(_as_word, value if isinstance(value, list) else [value])
    return shlex.join(words)


def _as_word(value: Any) -> str:
    """A value as a command line has it: one word of "NAME=NUMBER" or "METRES,DEGREES" is a tuple."""
    if isinstance(value, tuple):
        return ("=" if isinstance(value[0], str) else ",").join(map(str, value))
    return "none" if value is None else str(value)


def _run(body: Callable[[argparse.Namespace, str], Any], args: argparse.Namespace, output_folder: str):
    """The exit code of the body; logs why it ends early, on one rank alone."""
    try:
        body(args, output_folder)
        return 0
    except UserError as error:
        return _settle(error.exit_code, str(error))
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "number", signal.SIGINT)
        return _settle(128 + number, ENDINGS[number])
    except Exception as error:
        logger.debug(text := traceback.format_exc())
        if lack := TOO_MANY_FILES.get(getattr(error, "errno", None)):
            return _settle(2, lack)
        return _settle(1, text, error)


def _settle(code: int, message: str, error: Exception | None = None):
    code, message = distributed.settle(code, message, error)
    log_end(message)
    return code


@contextlib.contextmanager
def tolerating_full_disks(what_then: str) -> Iterator[None]:
    """A UserError of the block is logged, and the run goes on; what_then: what becomes of what was to be written."""
    try:
        yield
    except UserError as error:
        logger.error(f"error: {error}; the run goes on, {what_then}")


def make_log_folder(save_dir: str, root: str = "logs") -> str:
    """Makes and returns <root>/<save_dir>/<YYYY-mm-dd_HH-MM-SS>, which no other run has. Raises UserError."""
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


def _has_only_logs(folder: str) -> bool:
    try:
        return all(re.fullmatch(r"(info|debug|debug_rank\d+)\.log|\.lock", name) for name in os.listdir(folder))
    except OSError:
        return False


class _FolderLock(FileLock):
    def close(self) -> None:
        self.release(remove=True)


def _lock(folder: str):
    """Holds a folder alone, until it is closed or the process ends, and clears what a killed run left half-written
    there. Raises UserError if another run holds it.
    """
    lock = _FolderLock(os.path.join(folder, ".lock"))
    try:
        if not lock.acquire(exclusive=True, wait=False):
            raise UserError(f"another run writes to {folder}: wait until it ends, or give another --save_dir")
        remove_temporaries(folder)
    except OSError as error:
        if error.errno in NO_LOCKS:
            logger.warning(
                f"{folder} is on a file system without locks ({error.strerror}): take care that no two runs write to it"
            )
            return lock
        raise UserError(f"the log folder {folder} cannot be written to: {error.strerror or error}") from error
    return lock


class _Terminal(logging.StreamHandler):
    """Writes lines above the progress bars that are on the terminal, and not into them."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(self.stream):
            super().emit(record)


class _LogFile(logging.FileHandler):
    """A log that a full disk does not end: what cannot be written is on the terminal all the same."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not getattr(self, "_told", False):
            self._told = True
            print(
                f"error: {self.baseFilename} cannot be written ({sys.exc_info()[1]}); the run goes on", file=sys.stderr
            )

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def _open_logs(folder: str):
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


def _is_for_all(record: logging.LogRecord):
    return getattr(record, FOR_ALL, False)


@contextlib.contextmanager
def _logging_to(handlers: list[logging.Handler]):
    """Logging with these handlers alone, so that scripts can run one after another in one process."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = before + handlers
    root.setLevel(logging.DEBUG)
    logging.getLogger("PIL").setLevel(
        logging.CRITICAL
    )  # it logs every chunk of every PNG, and each TIFF that it cannot read
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        for handler in handlers:
            handler.close()


def select_device(name: str, flag: str = "--device") -> torch.device:
    """torch.device of "auto" (CUDA, else MPS, else the CPU), "cuda", "mps" or "cpu". Raises UserError, naming the flag,
    if it is absent.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        there = ", ".join(device for device, is_there in available.items() if is_there)
        raise UserError(f"{flag} {name}: PyTorch finds no such device here; it has {there}")
    return distributed.local_device(name)


def set_seed(seed: int) -> int:
    """Seeds all generators and returns the seed.

    -1 draws a seed, and allows kernels whose results vary from run to run.
    """
    drawn = seed == -1
    if drawn:
        seed = distributed.from_main(secrets.randbelow(2**31))
        logger.info(f"Seed: {seed} (drawn)")
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
