"""What a file of weights or a run's state may hold: plain values and tensors of real numbers, of bounded cost."""

from typing import Any

import torch

_TYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
_MOST_VALUES = 10_000_000  # one that stands in many places counts as often
_DEEPEST = 50  # dicts and lists in each other


def check_plain(content: Any, largest: int) -> int:
    """Raises ValueError, in a few words, for what would be wrong or expensive to use.

    That is: a tensor that is sparse, quantized, complex or without data; tensors of more than `largest` bytes together,
    where those that share memory count once; values that lie in each other without end, or too many.

    content: what torch.load returned
    largest: bytes of memory that all tensors may have

    Returns the bytes of copies of all tensors, each counted as often as it is named.
    """
    memory = {}
    claimed, _ = _measure(content, (), {}, memory)
    total = sum(memory.values())
    if total > largest:
        raise ValueError(f"its tensors take {total / 1e6:.1f} MB, and it can hold {largest / 1e6:.1f} MB at most")
    return claimed


def _measure(value: Any, keys: tuple, known: dict[int, tuple[int, int]], memory: dict[int, int]) -> tuple[int, int]:
    """(bytes of copies of the tensors in a value, number of values in it). A list is looked at once.

    keys: that lead to the value, for messages
    known: id of a dict, list, tuple or set -> its measures
    memory: gets address of memory that tensors share -> its bytes
    """
    if isinstance(value, torch.Tensor):
        if problem := _problem(value):
            place = ".".join(str(key)[:100] for key in keys if isinstance(key, str | int))
            raise ValueError(f"its entry {place[:200]!r} is {problem}, and not plain real numbers")
        shared = value.untyped_storage()
        memory[shared.data_ptr()] = shared.nbytes()
        return value.numel() * value.element_size(), 1
    if not isinstance(value, dict | list | tuple | set):
        return 0, 1
    if id(value) not in known:
        if len(keys) > _DEEPEST:
            raise ValueError("its values are nested too deeply")
        total, count = 0, 1
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            for part in (key, item):
                size, number = _measure(part, (*keys, key), known, memory)
                total, count = total + size, count + number
        if count > _MOST_VALUES:
            raise ValueError(f"it has more than {_MOST_VALUES} values")
        known[id(value)] = total, count
    return known[id(value)]


def _problem(tensor: torch.Tensor) -> str:
    """Why a tensor is not plain, in a few words; "" if it is."""
    if tensor.is_nested or tensor.layout != torch.strided:
        return "a nested tensor" if tensor.is_nested else "a sparse tensor"
    if tensor.is_quantized:
        return "a quantized tensor"
    if tensor.device.type != "cpu":
        return f"a tensor without data (on {tensor.device.type!r})"
    if tensor.dtype not in _TYPES:
        return f"a tensor of {'complex numbers' if tensor.is_complex() else str(tensor.dtype).removeprefix('torch.')}"
    return ""
