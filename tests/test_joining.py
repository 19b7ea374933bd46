"""How ranks find each other: in a store that earlier attempts have left full, by two torchrun agents, and what those
say that cannot.
"""

import datetime
import logging
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
import warnings

import pytest
import torch
import torch.distributed as dist
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import distributed
import train
from distributed.joining import agree
from support.errors import UserError
from tests.ranks import LIMIT, all_ranks, run_ranks


@pytest.fixture(autouse=True)
def _in_workdir(workdir):
    """Ranks leave files."""


# --- in a store with whatever is left in it


@pytest.fixture
def server():
    """As torchrun's agent has it: it outlives the ranks of an attempt."""
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


class Joining(threading.Thread):
    """A new process of a rank, after `delay` seconds; ends with a token, or with the error's message."""

    def __init__(self, server, rank, size, patience=20.0, delay=0.0):
        super().__init__()
        self.store = dist.TCPStore("127.0.0.1", server.port, is_master=False)
        self.arguments, self.delay, self.end = (rank, size, datetime.timedelta(seconds=patience)), delay, None
        self.start()

    def run(self):
        time.sleep(self.delay)
        try:
            self.end = agree(self.store, *self.arguments)
        except TimeoutError as error:
            self.end = str(error)


def ends(processes):
    for process in processes:
        process.join()
    return [process.end for process in processes]


def agreed(processes):
    """The token of all of them."""
    (token,) = set(ends(processes))
    assert len(token) == 32 and int(token, 16)
    return token


def test_each_attempt_agrees_on_a_token_of_its_own(server):
    tokens = set()
    for size in (3, 2, 4, 1, 3, 3):  # torchrun's --nnodes=1:4; whatever the order in which they come
        random.seed(0)
        torch.manual_seed(0)  # a seeded draw would repeat
        tokens.add(
            agreed(
                [Joining(server, rank, size, delay=0.03 * ((rank * 5 + len(tokens)) % size)) for rank in range(size)]
            )
        )
    assert len(tokens) == 6


def test_the_dead_are_called_and_the_living_agree(server):
    for size in (
        3,
        4,
    ):  # attempts that were killed: their ranks had said hello, and been called, but were not all there
        assert all(
            "come within" in end or "no word from" in end
            for end in ends([Joining(server, rank, size, patience=0.3) for rank in range(size - 1)])
        )
    late = [
        Joining(server, rank, 3, delay=0.2 * rank) for rank in range(3)
    ]  # rank 0 finds the hellos of ranks that are gone
    first = agreed(late)
    early = [
        Joining(server, rank, 3, delay=0.4 - 0.2 * rank) for rank in range(3)
    ]  # the others find what the last rank 0 said
    assert agreed(early) != first


def test_others_outlast_a_rank_0_that_is_started_again(server):
    waiting = Joining(server, 1, 3)
    assert ends([Joining(server, 0, 3, patience=0.6)]) == ["no word from rank 2 within 1 s"]
    agreed([waiting, Joining(server, 0, 3), Joining(server, 2, 3)])


def test_who_is_missing_is_said(server):
    assert (
        ends([Joining(server, 2, 4, patience=1.0), Joining(server, 0, 4, patience=1.0)])[1]
        == "no word from ranks 1, 3 within 1 s"
    )
    assert ends([Joining(server, 2, 5, patience=0.1)]) == ["rank 0 has not come within 0 s"]


# --- as ranks


def test_ranks_join_whose_agents_have_counted_differently():
    """As after a restart that one agent's rank caused, and the other's only followed."""
    results, codes, errors = run_ranks(
        2,
        distributed.gather,
        1,
        variables={0: {"TORCHELASTIC_RESTART_COUNT": "0"}, 1: {"TORCHELASTIC_RESTART_COUNT": "1"}},
    )
    assert (results, codes) == ([[1, 1]] * 2, [0, 0]), errors


def come_late(seconds):
    """Every kind of what ranks tell each other, to which rank 1 comes late."""
    own, received, total, chosen = (torch.full((1,), distributed.rank() + 1.0) for _ in range(4))
    everyones = [torch.empty(1), torch.empty(1)]
    if distributed.rank() == 1:
        time.sleep(seconds)
        dist.send(own, 0)
    work = [
        dist.all_reduce(total, async_op=True),
        dist.broadcast(chosen, 1, async_op=True),
        dist.all_gather(everyones, own, async_op=True),
    ]
    if distributed.rank() == 0:
        dist.recv(received, 1)
    for one in work:
        one.wait()
    return torch.cat([received, total, chosen, *everyones]).tolist()


def test_what_follows_may_take_longer_than_joining(monkeypatch):
    monkeypatch.setattr(distributed, "JOINING", datetime.timedelta(seconds=2))
    assert all_ranks(2, come_late, 3.0) == [[2, 3, 2, 1, 2]] * 2


@pytest.mark.parametrize("missing", [0, 1])
def test_a_rank_that_does_not_come_is_named(monkeypatch, missing):
    monkeypatch.setattr(distributed, "JOINING", datetime.timedelta(seconds=1))
    _, codes, errors = run_ranks(2, distributed.size, variables={missing: {"WORLD_SIZE": "1"}})
    assert codes[missing] == 0 and codes[1 - missing] == 2
    reason = ["rank 0 has not come", "no word from rank 1"][missing]
    assert (
        errors[1 - missing]
        == f"error: rank {1 - missing} of 2 cannot join the others: {reason} within 1 s; start them with torchrun\n"
    )


def test_connections_are_not_waited_for_longer_than_joining(monkeypatch):
    """A rank that falls silent once it has agreed, as behind a firewall that lets through to the store alone."""

    def unconnected(*arguments):
        token = agree(*arguments)
        if os.environ["RANK"] == "1":
            os._exit(0)
        return token

    monkeypatch.setattr(distributed, "JOINING", datetime.timedelta(seconds=2))
    monkeypatch.setattr(distributed, "agree", unconnected)
    _, codes, (message, _) = run_ranks(2, distributed.size)
    assert (
        codes == [2, 0]
        and message.startswith("error: rank 0 of 2 does not reach the others")
        and message.count("\n") == 1
    )


@pytest.mark.parametrize(
    "variables, reason",
    [
        ({}, "RANK expected, but not set"),
        ({"RANK": "1"}, "MASTER_ADDR expected, but not set"),
        ({"RANK": "one"}, "invalid literal"),
    ],
)
def test_what_torchrun_would_have_set_is_missed_in_one_line(monkeypatch, capsys, variables, reason):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"WORLD_SIZE": "2", **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        train.main(["--dataset_folder", "nowhere"])
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.startswith("error: rank ") and reason in error and error.count("\n") == 1
    assert error.endswith("start them with torchrun\n") and not os.path.exists("logs")


def warn():
    """What is logged of a warning."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger().addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("said on both", stacklevel=1)
    return [record.getMessage().split("UserWarning: ")[1].splitlines()[0] for record in records]


def test_warnings_of_other_ranks_go_to_their_logs(monkeypatch):
    assert all_ranks(2, warn) == [[], ["said on both"]]
    before, meanwhile = warnings.showwarning, []

    def fail():
        meanwhile.append(warnings.showwarning)
        raise UserError("alone")

    monkeypatch.setattr(distributed, "_join", fail)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit), distributed.joined():
        pass
    assert meanwhile[0] is not before and warnings.showwarning is before


# --- two agents


def be_killed_once():
    """Rank 1 is; rank 0 learns of it from its agent alone, which therefore counts no restart."""
    with distributed.joined():
        assert distributed.all_reduce(torch.ones(1), "x") == 2
        if not os.path.exists("killed"):
            distributed.barrier()
            if distributed.rank() == 1:
                open("killed", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(LIMIT)
        with open(f"rank{distributed.rank()}", "w") as file:
            file.write(os.environ["TORCHELASTIC_RESTART_COUNT"])


def agent(port):
    """What torchrun runs on each of two nodes; its ranks are forked."""
    elastic_launch(
        LaunchConfig(
            2,
            2,
            1,
            run_id="x",
            rdzv_backend="c10d",
            rdzv_endpoint=f"127.0.0.1:{port}",
            max_restarts=1,
            start_method="fork",
        ),
        be_killed_once,
    )()


def test_two_agents_restart_the_ranks_of_both_when_one_is_killed(monkeypatch):
    monkeypatch.setattr("distributed.failures.GRACE", LIMIT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agents = [multiprocessing.get_context("fork").Process(target=agent, args=(port,)) for _ in range(2)]
    for process in agents:
        process.start()
    for process in agents:
        process.join(LIMIT)
        process.terminate()  # its ranks too
    assert [process.exitcode for process in agents] == [0, 0]
    assert [open(f"rank{rank}").read() for rank in range(2)] == ["0", "1"]
