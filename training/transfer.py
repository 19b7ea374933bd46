"""Batches on the computing device, one ahead."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

from datasets.batches import Tensors
from datasets.train_dataset import Batch

B = TypeVar("B", bound=Tensors)


def to_device(batches: Iterable[B], device: torch.device) -> Iterator[B]:
    """Yields batches with all their tensors on the device.

    From pinned memory to a CUDA device the next batch is copied on a stream of its own, while this one is computed on.
    """
    if device.type != "cuda":
        for batch in batches:
            yield _moved(batch, device)
        return
    stream, waiting = torch.cuda.Stream(device), None
    for batch in batches:
        with torch.cuda.stream(stream):
            coming = _moved(batch, device), torch.cuda.Event()
            coming[1].record(stream)
        if waiting:
            yield _arrived(*waiting)
        waiting = coming
    if waiting:
        yield _arrived(*waiting)


def _moved(batch: Batch, device: torch.device):
    return batch.map(lambda tensor: tensor.to(device, non_blocking=True))


def _arrived(batch: Batch, event: torch.cuda.Event):
    stream = torch.cuda.current_stream()
    stream.wait_event(event)
    for tensor in batch.tensors():
        tensor.record_stream(stream)  # its memory is not reused before the work queued here is done
    return batch
