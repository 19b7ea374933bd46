"""What ranks send each other: reductions, gathers and broadcasts.

Every rank must call these functions, in the same order. A process on its own gets back what it gave.
"""

import collections
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist

from distributed.ranks import is_main, rank, size
from support.errors import UserError

traffic = collections.Counter()  # bytes that this rank has put into reductions and gathers, by purpose


def all_reduce(tensor: torch.Tensor, what: str, maximum: bool = False) -> torch.Tensor:
    """The sum (or the maximum) over ranks, in place and to the same bits on every rank. what: its name in `traffic`."""
    if size() > 1:
        traffic[what] += tensor.nbytes
        dist.all_reduce(tensor, dist.ReduceOp.MAX if maximum else dist.ReduceOp.SUM)
    return tensor


def mean(value: torch.Tensor, count: int, what: str) -> torch.Tensor:
    """The mean of a scalar over ranks, each with the weight `count`.

    Its gradient is that of this rank's part, since ranks sum their gradients. what: its name in `traffic`.
    """
    return value if size() == 1 else _Mean.apply(value, count, what)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, count: int, what: str) -> torch.Tensor:
        weighted = value.detach() * count if count else torch.zeros_like(value)  # the mean of nothing is NaN
        total = all_reduce(torch.stack([weighted, torch.full_like(value, count)]), what)
        ctx.weight = count / total[1]
        return total[0] / total[1]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple:
        return gradient * ctx.weight, None, None


def sum_flat(tensors: Sequence[torch.Tensor], what: str) -> None:
    """Sums many float32 tensors of one device over ranks, in place, in one reduction. what: its name in `traffic`."""
    if size() > 1 and tensors:
        flat = all_reduce(torch.cat([tensor.reshape(-1) for tensor in tensors]), what)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))


def gather_rows(rows: torch.Tensor, lengths: Sequence[int], what: str) -> torch.Tensor:
    """The rows (n, ...) of all ranks, in the order of ranks, on every rank: (sum of lengths, ...).

    lengths: each rank's n. what: its name in `traffic`.
    """
    return rows if size() == 1 else torch.cat(_gather_parts(rows, lengths, what))


def _gather_parts(rows: torch.Tensor, lengths: Sequence[int], what: str = "") -> list[torch.Tensor]:
    """The rows of each rank, as gather_rows; without a name they are not counted in `traffic`."""
    padded = rows.new_zeros((max(lengths), *rows.shape[1:]))
    padded[: len(rows)] = rows
    if what:
        traffic[what] += padded.nbytes
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return [part[:length] for part, length in zip(parts, lengths, strict=True)]


def rows_to_main(rows: torch.Tensor, what: str) -> torch.Tensor:
    """The rows of all ranks, in the order of ranks, on rank 0; the others get their own back.

    rows: (n, ...) on the CPU; other ranks need not know n. what: its name in `traffic`.
    """
    lengths = gather(len(rows))
    if is_main():
        everyones = rows.new_empty((sum(lengths), *rows.shape[1:]))
        for source, part in enumerate(everyones.split(lengths)):
            part.copy_(rows) if source == 0 else dist.recv(part, source)
        return everyones
    traffic[what] += rows.nbytes
    dist.send(rows.contiguous(), 0)
    return rows


def broadcast(tensor: torch.Tensor, source: int, what: str) -> torch.Tensor:
    """Rank `source`'s tensor, written over the others' of the same shape and type. what: its name in `traffic`."""
    if size() > 1:
        traffic[what] += tensor.nbytes if rank() == source else 0
        dist.broadcast(tensor, source)
    return tensor


def broadcast_state(module: torch.nn.Module, what: str) -> torch.nn.Module:
    """Gives a module on the CPU, of one architecture on all ranks, rank 0's parameters and buffers. Returns it."""
    for tensor in module.state_dict().values():
        broadcast(tensor, 0, what)
    return module


def each_in_turn(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Yields every rank's tensors, of equal shapes and types; memory holds those of one other rank at a time."""
    for source in range(size()):
        theirs = [tensor.clone() for tensor in tensors]
        yield [broadcast(tensor, source, "neighbours") for tensor in theirs]


def gather(value: Any) -> list:
    """A list of every rank's value, on every rank. value: plain, for JSON."""
    if size() == 1:
        return [value]
    data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    lengths = [torch.empty(1, dtype=torch.int64) for _ in range(size())]
    dist.all_gather(lengths, torch.tensor([len(data)]))
    return [json.loads(part.numpy().tobytes()) for part in _gather_parts(data, list(map(int, lengths)))]


def from_main(value: Any = None) -> Any:
    """Rank 0's value, on every rank. value: plain, for JSON; those of other ranks are ignored."""
    return gather(value if is_main() else None)[0]


def on_main(function: Callable, *arguments: Any) -> Any:
    """Calls a function on rank 0 alone. Returns its result, plain and for JSON, on every rank."""
    return from_main(function(*arguments) if is_main() else None)


def check_same(
    value: Any,
    what: str,
    advice: str = "give all machines the same files",
    describe: Callable[[Any, Any], str] = lambda first, other: f"{first} and {other}" if first != other else "",
) -> None:
    """Raises UserError if ranks have different values.

    value: plain, for JSON.
    what: what the value is, for the message.
    advice: what to do, for the message.
    describe: in what rank 0's value and another one differ, for the message; "" if they do not.
    """
    values = gather(value)
    for other, theirs in enumerate(values):
        if differences := describe(values[0], theirs):
            raise UserError(f"ranks 0 and {other} have different {what} ({differences}): {advice}")


def tensors_to_main(value: Any, source: int) -> Any:
    """Rank `source`'s state of plain values and tensors, on rank 0 and on the CPU; other ranks get their own back.

    It travels as the bytes of torch.save, which rank 0 reads with weights_only=True.
    """
    if source == 0 or rank() not in (0, source):
        return value
    if rank() == source:
        buffer = io.BytesIO()
        torch.save(value, buffer)
        data = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
        dist.send(torch.tensor([len(data)]), 0)
        dist.send(data, 0)
        return value
    length = torch.empty(1, dtype=torch.int64)
    dist.recv(length, source)
    data = torch.empty(int(length), dtype=torch.uint8)
    dist.recv(data, source)
    return torch.load(io.BytesIO(memoryview(data.numpy())), map_location="cpu", weights_only=True)


def barrier() -> None:
    """Waits until all ranks are here."""
    if size() > 1:
        dist.all_reduce(torch.zeros(1))  # dist.barrier would take the GPU's group
