"""How ranks find each other in a store that outlives them: they agree on a token, under which this attempt has its
keys, and connect.

torchrun's store keeps the keys of ranks that were killed and started again, and nothing that torchrun tells its ranks
names the attempt: of several agents each counts its own restarts (TORCHELASTIC_RESTART_COUNT; pytorch's issue 135712).
So every process draws a name. It says hello by leaving its name under its rank; rank 0 calls the names that it finds,
which are those of killed processes too until the new ones have come, and only the living answer. Once all have, rank 0
says go.
"""

import secrets
import time

import torch.distributed as dist

from support.errors import UserError

PAUSE = 0.02  # seconds between two looks


def agree(store, rank, size, patience):
    """A token, 32 hexadecimal digits, that these ranks have in common with no process before them.

    store: a torch.distributed Store, with whatever earlier attempts have left there, of whatever size; patience: how
    long to wait for the others, a timedelta. Raises TimeoutError, which names the missing ranks on rank 0.
    """
    store, name, until = (
        dist.PrefixStore("joining", store),
        secrets.token_hex(16),
        time.monotonic() + patience.total_seconds(),
    )
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


def connect(store, rank, size, patience):
    """Gloo's connections between all these ranks, open for as long as what is returned is kept.

    store: for this alone; patience: as for agree. Raises UserError if they cannot be made, as through a firewall.
    """
    try:
        return dist.ProcessGroupGloo(store, rank, size, patience)
    except RuntimeError as error:
        raise UserError(
            f"rank {rank} of {size} does not reach the others, or they it ({str(error).splitlines()[0]}): the machines must "
            "reach each other at all ports; GLOO_SOCKET_IFNAME names the network interface"
        ) from error


def _call(store, token, others):
    """Calls all who have said hello; those of the other ranks that have not answered."""
    missing = []
    for other in others:
        if store.check([f"hello/{other}"]):
            name = store.get(f"hello/{other}").decode()
            store.set(f"call/{name}", token)
            if store.check([f"answer/{token}/{name}"]):
                continue
        missing.append(other)
    return missing


def _answer(store, name):
    """Answers rank 0's newest call; its token, or None before the first."""
    if not store.check([f"call/{name}"]):
        return None
    token = store.get(f"call/{name}").decode()
    store.set(f"answer/{token}/{name}", "")
    return token
