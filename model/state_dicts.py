"""Comparing, renaming and checking the entries of state_dicts."""

import hashlib

import torch

_WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile


def plain_names(state_dict: dict) -> dict[str, torch.Tensor]:
    """Removes the prefixes that DataParallel and torch.compile put before the names of entries."""
    renamed = {}
    for key, value in state_dict.items():
        key = str(key)
        while key.startswith(_WRAPPERS):
            key = key.removeprefix(_WRAPPERS[0]).removeprefix(_WRAPPERS[1])
        renamed[key] = value
    return renamed


def describe_differences(state_dict: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], limit: int = 3) -> str:
    """Describes how a state_dict differs from the expected one in names and shapes; "" if it does not.

    limit: how many entries of each kind are named.
    """
    missing = [key for key in expected if key not in state_dict]
    surplus = [key for key in state_dict if key not in expected]
    shapes = [
        f"{key} is {tuple(state_dict[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in state_dict and state_dict[key].shape != expected[key].shape
    ]
    parts = []
    for label, entries in (("it lacks", missing), ("it also has", surplus), ("", shapes)):
        if entries:
            more = f" and {len(entries) - limit} more" if len(entries) > limit else ""
            parts.append(f"{label} {', '.join(entries[:limit])}{more}".strip())
    return "; ".join(parts)


def first_not_finite(state_dict: dict[str, torch.Tensor]) -> str | None:
    """Finds the first entry with a NaN or an infinity, and returns its name; None if all are finite."""
    return next((key for key, value in state_dict.items() if not torch.isfinite(value).all()), None)


def digest_tensors(state_dict: dict[str, torch.Tensor], start: str = "") -> str:
    """SHA-256 (hexadecimal) of a text and a state_dict: names, types, shapes and values, wherever they lie."""
    digest = hashlib.sha256(start.encode())
    for name, value in state_dict.items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
