"""How ranks find each other in a store that outlives them: they agree on a token and connect.

The keys of an attempt to join begin with its token. torchrun's store keeps the keys of ranks that were killed and
started again, and nothing that torchrun tells its ranks names the attempt: each of several agents counts its own
restarts (TORCHELASTIC_RESTART_COUNT; PyTorch's issue 135712).

So every process draws a random name, and says hello by leaving it under its rank. Rank 0 calls the names that it finds.
Some may be those of killed processes, until the new ones have come, but only the living answer. When all ranks have
answered, rank 0 says go.
"""

import datetime
import secrets
import time
from collections.abc import Iterable

import torch.distributed as dist

from support.errors import UserError

PAUSE = 0.02  # seconds between two looks


def agree(store: dist.Store, rank: int, size: int, patience: datetime.timedelta) -> str:
    """A token, 32 hexadecimal digits, that these ranks have in common, and no earlier processes.

    store: a torch.distributed Store, which may hold what earlier attempts left there.
    rank: this process's number.
    size: the number of ranks.
    patience: how long to wait for the others.

    Raises TimeoutError, which on rank 0 names the missing ranks.
    """
    store, name = dist.PrefixStore("joining", store), secrets.token_hex(16)
    until = time.monotonic() + patience.total_seconds()
    store.set(f"hello/{rank}", name)
    while True:
        if rank:
            token = _answer(store, name)
            if token and store.check([f"go/{token}"]):
                return token
            lack = "not all ranks have come" if token else "rank 0 has not come"
        else:
            missing = _call(store, name, range(1, size))
            if not missing:
                store.set(f"go/{name}", "")
                return name
            lack = f"no word from {'rank' if len(missing) == 1 else 'ranks'} {', '.join(map(str, missing))}"
        if time.monotonic() > until:
            raise TimeoutError(f"{lack} within {patience.total_seconds():.0f} s")
        time.sleep(PAUSE)


def connect(store: dist.Store, rank: int, size: int, patience: datetime.timedelta) -> dist.ProcessGroupGloo:
    """Gloo's connections between all ranks, which stay open as long as the result is kept.

    store: used for nothing else.
    rank: this process's number.
    size: the number of ranks.
    patience: how long to wait for the others.

    Raises UserError if the ranks do not reach each other, for example because of a firewall.
    """
    try:
        return dist.ProcessGroupGloo(store, rank, size, patience)
    except RuntimeError as error:
        raise UserError(
            f"rank {rank} of {size} does not reach the others, or they it ({str(error).splitlines()[0]}): the machines "
            "must reach each other at all ports; GLOO_SOCKET_IFNAME names the network interface"
        ) from error


def _call(store: dist.Store, token: str, others: Iterable[int]) -> list[int]:
    """Calls all ranks that have said hello. Returns those that have not answered."""
    missing = []
    for other in others:
        if store.check([f"hello/{other}"]):
            name = store.get(f"hello/{other}").decode()
            store.set(f"call/{name}", token)
            if store.check([f"answer/{token}/{name}"]):
                continue
        missing.append(other)
    return missing


def _answer(store: dist.Store, name: str) -> str | None:
    """Answers rank 0's newest call. Returns its token, or None before the first call."""
    if not store.check([f"call/{name}"]):
        return None
    token = store.get(f"call/{name}").decode()
    store.set(f"answer/{token}/{name}", "")
    return token
