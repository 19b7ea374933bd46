"""Many processes as one: ranks, shares of the work, reductions.

torchrun starts the processes and tells each its place by environment variables (RANK, WORLD_SIZE, LOCAL_RANK,
MASTER_ADDR, MASTER_PORT). A process on its own is rank 0 of 1: it joins nothing, and every function here then returns
what it was given. What ranks tell each other is numbers and JSON, no pickles. How ranks find each other is
distributed/joining.py's, and how a rank's end reaches the others distributed/failures.py's.
"""

import collections
import contextlib
import datetime
import io
import json
import logging
import os

import torch
import torch.distributed as dist

from distributed.failures import RankWatch
from distributed.joining import agree, connect
from support.errors import UserError, ending_in_one_line

JOINING = datetime.timedelta(minutes=10)  # until all ranks are there, and then until they are connected
WAITING = datetime.timedelta(
    hours=6
)  # for a rank that works longer than the others, as rank 0 on a cache; the dead are found by RankWatch

traffic = collections.Counter()  # bytes that this rank has put into reductions and gathers, by what they were
_watch = None


def rank():
    """This process's number, 0 to size() - 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def size():
    """How many processes run together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main():
    """Whether this is the process that logs, draws and writes what there is one of."""
    return rank() == 0


def quiet():
    """tqdm's `disable`: True but on rank 0, whose terminal decides (None)."""
    return None if is_main() else True


@contextlib.contextmanager
def joined():
    """Within it the processes that torchrun started are ranks of one group: gloo for tensors on CPUs, NCCL for those on
    GPUs. Python's warnings are printed by rank 0 alone; those of the others go to their logs.

    Without torchrun, or with one process, nothing is done. The ranks leave together, unless one of them leaves with an
    exception. A rank that cannot join the others ends with one line and exit code 2.
    """
    global _watch
    if os.environ.get("WORLD_SIZE", "1") == "1" or dist.is_initialized():
        yield
        return
    logging.captureWarnings(os.environ.get("RANK") != "0")
    try:
        with ending_in_one_line(" before all ranks had joined"):
            _join()
        yield
        _watch.stop()
        barrier()
        dist.destroy_process_group()
    finally:
        if _watch:
            _watch.stop()
        _watch = None
        logging.captureWarnings(False)


def _join():
    """Makes the group and what watches over it. Raises UserError."""
    global _watch
    try:
        # a connection for each: one may wait while the other looks
        (store, this, number), (board, _, _) = (next(dist.rendezvous("env://", timeout=JOINING)) for _ in range(2))
        token = agree(store, this, number, JOINING)
        # a group waits for its connections as long as for anything, so they are tried with less patience first; those
        # of the trial stay open until the group has its own, when all ranks have got through the trial
        trial = connect(dist.PrefixStore(f"trial/{token}", store), this, number, JOINING)
        _watch = RankWatch(dist.PrefixStore(f"watch/{token}", board), this, number)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            timeout=WAITING,
            store=dist.PrefixStore(f"group/{token}", store),
            rank=this,
            world_size=number,
        )
        store.set_timeout(
            WAITING
        )  # NCCL meets here in its first collective, to which a rank may come as late as to any other
        del trial
    except (RuntimeError, ValueError, OSError) as error:  # torch.distributed's errors are RuntimeErrors
        raise UserError(
            f"rank {os.environ.get('RANK', '?')} of {os.environ['WORLD_SIZE']} cannot join the others: "
            f"{str(error).splitlines()[0]}; start them with torchrun"
        ) from error


def settle(code, message, error=None):
    """How a script ends on every rank: (exit code, what this rank is to log; None if another rank does).

    code, message: this rank's own end; error: the exception behind it. The first rank that failed decides for all, and
    rank 0 logs.
    """
    return _watch.settle(code, message, error) if _watch else (code, message)


def relay(signals):
    """From now on what one rank's commons._Signals receives is told to all."""
    if _watch:
        _watch.relay(signals)


def local_device(kind):
    """torch.device of "cuda" or another kind: with many ranks each has the GPU of its number on its machine. Raises
    UserError when there are fewer GPUs than ranks.
    """
    if kind != "cuda" or size() == 1:
        return torch.device(kind)
    local = int(os.environ["LOCAL_RANK"])
    if local >= torch.cuda.device_count():
        raise UserError(
            f"this machine has {torch.cuda.device_count()} GPUs for {os.environ.get('LOCAL_WORLD_SIZE', local + 1)} processes: "
            "lower torchrun's --nproc_per_node"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def share(count, of=None):
    """The slice of `count` things that is this rank's (or rank `of`'s): contiguous, in the order of ranks, lengths
    differ by at most 1.
    """
    of = rank() if of is None else of
    return slice(count * of // size(), count * (of + 1) // size())


def length(count, of=None):
    """The length of share(count, of)."""
    part = share(count, of)
    return part.stop - part.start


def all_reduce(tensor, what, maximum=False):
    """The sum (or the maximum) over ranks, in place and to the same bits on every rank. what: its name in `traffic`."""
    if size() > 1:
        traffic[what] += tensor.nbytes
        dist.all_reduce(tensor, dist.ReduceOp.MAX if maximum else dist.ReduceOp.SUM)
    return tensor


def mean(value, count, what):
    """The mean of a scalar over ranks, each with its weight `count`. Its gradient is that of this rank's part:
    gradients are summed.
    """
    return value if size() == 1 else _Mean.apply(value, count, what)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, count, what):
        weighted = value.detach() * count if count else torch.zeros_like(value)  # the mean of nothing is no number
        total = all_reduce(torch.stack([weighted, torch.full_like(value, count)]), what)
        ctx.weight = count / total[1]
        return total[0] / total[1]

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.weight, None, None


def sum_flat(tensors, what):
    """all_reduce of many float32 tensors of one device, in place, as one."""
    if size() > 1 and tensors:
        flat = all_reduce(torch.cat([tensor.reshape(-1) for tensor in tensors]), what)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))


def gather_rows(rows, lengths, what):
    """rows: (n, ...) of this rank -> (sum of lengths, ...) of all ranks, in their order, on every rank. lengths: each
    rank's n.
    """
    return rows if size() == 1 else torch.cat(_gather_parts(rows, lengths, what))


def _gather_parts(rows, lengths, what=None):
    """gather_rows' rows of each rank; with no name they are not in `traffic`."""
    padded = rows.new_zeros((max(lengths), *rows.shape[1:]))
    padded[: len(rows)] = rows
    if what:
        traffic[what] += padded.nbytes
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return [part[:length] for part, length in zip(parts, lengths, strict=True)]


def rows_to_main(rows, what):
    """As gather_rows, of tensors on the CPU of lengths that only their ranks know, on rank 0; the others get their own
    rows back.
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


def broadcast(tensor, source, what):
    """Rank `source`'s tensor, in the place of the others' of that shape and type."""
    if size() > 1:
        traffic[what] += tensor.nbytes if rank() == source else 0
        dist.broadcast(tensor, source)
    return tensor


def broadcast_state(module, what):
    """A module on the CPU, whose parameters and buffers become rank 0's; the others' has the same architecture. Returns
    it.
    """
    for tensor in module.state_dict().values():
        broadcast(tensor, 0, what)
    return module


def each_in_turn(tensors):
    """Yields every rank's tensors, of equal shapes and types, one rank after another: memory holds one rank's at a
    time.
    """
    for source in range(size()):
        theirs = [tensor.clone() for tensor in tensors]
        yield [broadcast(tensor, source, "neighbours") for tensor in theirs]


def gather(value):
    """A list of every rank's value, on every rank. value: plain, for JSON."""
    if size() == 1:
        return [value]
    data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    lengths = [torch.empty(1, dtype=torch.int64) for _ in range(size())]
    dist.all_gather(lengths, torch.tensor([len(data)]))
    return [json.loads(part.numpy().tobytes()) for part in _gather_parts(data, list(map(int, lengths)))]


def from_main(value=None):
    """Rank 0's value, on every rank. value: plain, for JSON; that of the others does not matter."""
    return gather(value if is_main() else None)[0]


def check_same(value, what, advice="give all machines the same files"):
    """Raises UserError if ranks have different values. value: plain, for JSON; what: what it is, for the message;
    advice: what to do.
    """
    values = gather(value)
    for other, theirs in enumerate(values):
        if theirs != values[0]:
            raise UserError(f"ranks 0 and {other} have different {what} ({values[0]} and {theirs}): {advice}")


def on_main(function, *arguments):
    """What the function returns on rank 0, on every rank: plain, for JSON."""
    return from_main(function(*arguments) if is_main() else None)


def tensors_to_main(value, source):
    """A state of plain values and tensors: that of rank `source` on rank 0, on the CPU; on the others their own."""
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


def barrier():
    """Waits until all ranks are here."""
    if size() > 1:
        dist.all_reduce(torch.zeros(1))  # dist.barrier would take the GPU's group


@contextlib.contextmanager
def main_first():
    """The block runs on rank 0, and then on the others, which find what it has left in caches."""
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()
