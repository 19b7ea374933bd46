"""What a run was made with and on, as plain values: what its results may depend on beyond its arguments."""

import argparse
import importlib.metadata
import json
import logging
import os
import platform
import sys
from typing import Any

import torch

from support.errors import UserError
from support.files import replacing
from support.git import commit_of
from support.regular_files import open_regular

logger = logging.getLogger(__name__)

PACKAGES = ("torch", "torchvision", "numpy", "faiss-cpu", "scikit-learn", "utm", "pillow")
# a resumed run with others may differ from the uninterrupted one, if only by rounding
NUMERIC = ("torch", "numpy", "pillow", "device", "instructions", "threads", "memory_format", "deterministic")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, device, processor and settings: name -> plain value."""
    return {
        **{package: _version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "memory_format": "channels_last",
        "deterministic": torch.backends.cudnn.deterministic,
        "commit": commit(),
    }


def describe_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Which settings that a run's numbers depend on have changed: ["torch 2.6.0, now 2.7.0", ...]."""
    return [
        f"{name} {before[name]}, now {now[name]}" for name in NUMERIC if name in before and before[name] != now[name]
    ]


def _version(package: str):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit of this project's files, with a + if they have changed since; None without git."""
    return commit_of(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def write_environment(folder: str, args: argparse.Namespace, environment: dict[str, Any], /, **digests) -> None:
    """Writes environment.json: how and on what the run was started and, in "resumed", each time that it went on.

    A disk that refuses is only logged.

    folder: of the run
    args: of the command line
    environment: as of describe_environment
    digests: name -> hexadecimal digest
    """
    path = os.path.join(folder, "environment.json")
    entry = {
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
        "arguments": vars(args),
        "digests": digests,
        **environment,
    }
    try:
        with open_regular(path, "r") as file:
            first = json.load(file)
        first["resumed"].append(entry)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none yet, or damaged
        first = {**entry, "resumed": []}
    try:
        with replacing(path) as temporary, open(temporary, "w") as file:
            json.dump(first, file, indent=1, default=str)
    except UserError as error:
        logger.error(f"error: {error}; the run goes on without it")
