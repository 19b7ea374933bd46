"""Many processes as one: ranks, shares of the work, and what ranks exchange.

torchrun starts the processes and tells each its place by environment variables (RANK, WORLD_SIZE, LOCAL_RANK,
MASTER_ADDR, MASTER_PORT). A process on its own is rank 0 of 1: it joins nothing, and every function here then returns
what it was given.

Ranks exchange
- tensors: gradients, sums, descriptors, neighbours and weights, as raw numbers;
- plain values, such as settings and names, as JSON;
- states of plain values and tensors, as the bytes of torch.save, read with weights_only=True: reading runs no code;
- through torchrun's store: names, signs of life, signals, and why a rank failed.

ranks.py says which rank this is, exchange.py has the exchanges, joining.py how ranks find each other, and failures.py
how the others learn that a rank has ended.
"""

import contextlib
import datetime
import logging
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist

from distributed.exchange import (
    all_reduce,
    barrier,
    broadcast,
    broadcast_state,
    check_same,
    each_in_turn,
    from_main,
    gather,
    gather_rows,
    mean,
    on_main,
    rows_to_main,
    sum_flat,
    tensors_to_main,
    traffic,
)
from distributed.failures import RankWatch
from distributed.joining import agree, connect
from distributed.ranks import is_main, length, quiet, rank, share, size
from support.errors import UserError, ending_in_one_line

__all__ = [
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_state",
    "check_same",
    "each_in_turn",
    "from_main",
    "gather",
    "gather_rows",
    "is_main",
    "joined",
    "length",
    "local_device",
    "mean",
    "on_main",
    "quiet",
    "rank",
    "relay",
    "rows_to_main",
    "settle",
    "share",
    "size",
    "sum_flat",
    "tensors_to_main",
    "traffic",
]

JOINING = datetime.timedelta(minutes=10)  # until all ranks are there, and then until they are connected
# for a rank that works longer than the others, such as rank 0 on a cache; RankWatch finds dead ranks much sooner
WAITING = datetime.timedelta(hours=6)

_watch = None


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Makes the processes that torchrun started ranks of one group during the block.

    Tensors on CPUs go through gloo, those on GPUs through NCCL. Rank 0 alone prints Python's warnings; those of the
    others go to their logs. Without torchrun, or with one process, nothing is done. The ranks leave together, unless
    one of them raises an exception. A rank that cannot join the others ends with one line and exit code 2.
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


def _join() -> None:
    """Makes the group, and the RankWatch of its ranks. Raises UserError."""
    global _watch
    try:
        # two connections to the store: one may wait while the other looks
        (store, this, number), (board, _, _) = (next(dist.rendezvous("env://", timeout=JOINING)) for _ in range(2))
        token = agree(store, this, number, JOINING)
        # A group waits for its connections for WAITING, like for all else. A trial with less patience comes first. Its
        # connections stay open until the group has its own, when all ranks have passed the trial.
        trial = connect(dist.PrefixStore(f"trial/{token}", store), this, number, JOINING)
        _watch = RankWatch(dist.PrefixStore(f"watch/{token}", board), this, number)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            timeout=WAITING,
            store=dist.PrefixStore(f"group/{token}", store),
            rank=this,
            world_size=number,
        )
        # NCCL meets here in its first collective, to which a rank may come as late as to any other
        store.set_timeout(WAITING)
        del trial
    except (RuntimeError, ValueError, OSError) as error:  # torch.distributed's errors are RuntimeErrors
        raise UserError(
            f"rank {os.environ.get('RANK', '?')} of {os.environ['WORLD_SIZE']} cannot join the others: "
            f"{str(error).splitlines()[0]}; start them with torchrun"
        ) from error


def settle(code: int, message: str | None, error: BaseException | None = None) -> tuple[int, str | None]:
    """Agrees with all ranks on how a script ends: (exit code, what this rank logs; None if another rank does).

    code, message: how this rank ends by itself; error: the exception behind it. The first rank that failed decides
    for all, and rank 0 logs.
    """
    return _watch.settle(code, message, error) if _watch else (code, message)


def relay(signals: Any) -> None:
    """From now on tells all ranks which signal one of them received. signals: as for RankWatch.relay."""
    if _watch:
        _watch.relay(signals)


def local_device(kind: str) -> torch.device:
    """The torch.device of "cuda" or another kind; of many ranks each has the GPU of its number on its machine.

    Raises UserError when there are fewer GPUs than ranks.
    """
    if kind != "cuda" or size() == 1:
        return torch.device(kind)
    local = int(os.environ["LOCAL_RANK"])
    if local >= torch.cuda.device_count():
        raise UserError(
            f"this machine has {torch.cuda.device_count()} GPUs for {os.environ.get('LOCAL_WORLD_SIZE', local + 1)} "
            "processes: lower torchrun's --nproc_per_node"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)
