"""Damages checkpoints on purpose, and counts how often reading them tells."""

import os
import random
import shutil
import tempfile

import torch

from support.errors import UserError
from support.files import read_tensors

_STRUCTURE = 1 << 16  # bytes at a file's end and beginning that hold more structure than numbers


def damage(folder: str, number: int, seed: int = 0) -> dict[str, dict[str, int]]:
    """Damages copies of a run's best_model.pth and last_checkpoint.pth, `number` times in all.

    Returns {kind of damage: counts}. "named": a UserError told of it; "missed": other tensors were read.
    """
    rng = random.Random(seed)
    counts = {kind.__doc__: {"number": 0, "named": 0, "harmless (the same tensors)": 0, "missed": 0} for kind in _KINDS}
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("best_model.pth", "last_checkpoint.pth"):
            path = os.path.join(scratch, name)
            shutil.copyfile(os.path.join(folder, name), path)
            expected = read_tensors(path)
            with open(path, "rb") as file:
                whole = file.read()
            for index in range(number // 2):
                kind = _KINDS[index % len(_KINDS)]
                with open(path, "wb") as file:
                    file.write(kind(whole, rng))
                counts[kind.__doc__]["number"] += 1
                counts[kind.__doc__][_verdict(path, expected)] += 1
    return counts


def _flip_anywhere(data: bytes, rng: random.Random):
    """a bit flipped anywhere"""
    return _flip(data, rng.randrange(len(data)), rng)


def _flip_in_structure(data: bytes, rng: random.Random):
    """a bit flipped in the directory or the beginning"""
    size = min(_STRUCTURE, len(data))
    return _flip(data, rng.choice((rng.randrange(size), len(data) - 1 - rng.randrange(size))), rng)


def _zero_page(data: bytes, rng: random.Random):
    """4 KiB of zeros or of other bytes"""
    begin = rng.randrange(len(data)) // 4096 * 4096
    length = min(4096, len(data) - begin)
    return data[:begin] + (bytes(length) if rng.random() < 0.5 else rng.randbytes(length)) + data[begin + length :]


def _cut_off(data: bytes, rng: random.Random):
    """cut off"""
    return data[: rng.randrange(len(data))]


_KINDS = (_flip_anywhere, _flip_in_structure, _zero_page, _cut_off)


def _flip(data: bytes, position: int, rng: random.Random):
    return data[:position] + bytes([data[position] ^ 1 << rng.randrange(8)]) + data[position + 1 :]


def _verdict(path: str, expected: dict):
    try:
        found = read_tensors(path)
    except UserError:
        return "named"
    return "harmless (the same tensors)" if _equal(expected, found) else "missed"


def _equal(a: object, b: object):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_equal, a, b))
    return a == b
