"""What batches have in common: dataclasses whose tensors move together."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Self

import torch


class Tensors:
    """A base of dataclasses that hold tensors, plain values, and further such dataclasses."""

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        """A copy, each tensor of which has gone through the function."""
        return dataclasses.replace(self, **{field: _map(value, function) for field, value in self._fields()})

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yields all tensors."""
        for _, value in self._fields():
            if isinstance(value, torch.Tensor):
                yield value
            elif isinstance(value, Tensors):
                yield from value.tensors()

    def pin_memory(self) -> Self:
        """A copy in page-locked memory. PyTorch's DataLoader calls it."""
        return self.map(torch.Tensor.pin_memory)

    def _fields(self) -> Iterator[tuple[str, Any]]:
        return ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))


def _map(value: Any, function: Callable[[torch.Tensor], torch.Tensor]):
    if isinstance(value, torch.Tensor):
        return function(value)
    return value.map(function) if isinstance(value, Tensors) else value
