"""Batches on the computing device, one ahead."""

import torch


def to_device(batches, device):
    """Yields batches (named tuples) with all their tensors on `device`.

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


def _moved(batch, device):
    return batch._replace(**{field: value.to(device, non_blocking=True) for field, value in batch._asdict().items()
                             if isinstance(value, torch.Tensor)})


def _arrived(batch, event):
    stream = torch.cuda.current_stream()
    stream.wait_event(event)
    for value in batch:
        if isinstance(value, torch.Tensor):
            value.record_stream(stream)  # its memory is not reused before the work that is queued here is done
    return batch
