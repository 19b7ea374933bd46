"""Batches on the computing device, one ahead."""

import torch


def to_device(batches, device):
    """Yields batches (named tuples, which may hold others) with all their tensors on `device`.

    From pinned memory to a CUDA device the next batch is copied, on a stream of its own, while this one is computed on.
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


def _moved(value, device):
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    return type(value)(*(_moved(item, device) for item in value)) if _is_batch(value) else value


def _arrived(batch, event):
    torch.cuda.current_stream().wait_event(event)
    for value in batch:
        if isinstance(value, torch.Tensor):
            value.record_stream(
                torch.cuda.current_stream()
            )  # its memory is not reused before the work that is queued here is done
        elif _is_batch(value):
            _arrived(value, event)
    return batch


def _is_batch(value):
    return isinstance(value, tuple) and hasattr(value, "_fields")
