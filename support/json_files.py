"""JSON files with one reading alone, whoever wrote them."""

import json
import math

_LARGEST = 1 << 20  # bytes


def read_object(path, largest=_LARGEST):
    """The object in a JSON file as a dict. Raises ValueError on anything else: other values, a name that is there
    twice, NaN or infinity, text that is cut off, too deeply nested, or more than `largest` bytes; OSError when the file
    cannot be read.
    """
    with open(path, "rb") as file:
        text = file.read(largest + 1)
    if len(text) > largest:
        raise ValueError(f"it has more than {largest} bytes")
    return parse_object(text)


def parse_object(text):
    """As read_object, from the file's bytes."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


def _unique(pairs):
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name is there twice")
    return value


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value
