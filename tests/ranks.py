"""Ranks as torchrun starts them, but forked, so that none of them imports torch again."""

import contextlib
import multiprocessing
import os
import pickle
import socket
import sys
import traceback

import torch

import distributed

LIMIT = 120  # seconds, on a machine that does much else


def run_ranks(number, function, *arguments, variables=None):
    """Calls function(*arguments) in `number` processes that are each other's ranks. variables: {rank: its further
    environment variables}. Returns (results in the order of ranks, None of one that did not return; exit codes; what
    each wrote to stderr).
    """
    context = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(number):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_rank, args=(sender, rank, number, port, (variables or {}).get(rank, {}), function, arguments)
        )
        process.start()
        sender.close()
        started.append((process, receiver))
    store = torch.distributed.TCPStore(
        "127.0.0.1", port, is_master=True, wait_for_workers=False
    )  # torchrun's is not rank 0's either
    results, codes, errors = [], [], []
    for _, receiver in started:
        results.append(None)
        with contextlib.suppress(EOFError):
            if receiver.poll(LIMIT):
                results[-1] = pickle.loads(receiver.recv_bytes())
    for rank, (process, _) in enumerate(started):
        process.join(LIMIT)
        process.kill()
        codes.append(process.exitcode)
        with open(f"stderr{rank}.txt") as file:
            errors.append(file.read())
    del store
    return results, codes, errors


def all_ranks(number, function, *arguments):
    """The results of run_ranks, where none may fail."""
    results, codes, errors = run_ranks(number, function, *arguments)
    assert codes == [0] * number, "\n".join(errors)
    return results


def _rank(sender, rank, number, port, variables, function, arguments):
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(number),
        "LOCAL_WORLD_SIZE": str(number),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        **variables,
    }
    sys.stderr = open(f"stderr{rank}.txt", "w", buffering=1)  # noqa: SIM115
    try:
        with distributed.joined():
            sender.send_bytes(
                pickle.dumps(function(*arguments))
            )  # `send` would leave tensors in memory that ends with this process
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        raise SystemExit(1) from None
