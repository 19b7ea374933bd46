"""Signals outside the training loop, and processes that end with their parent."""

import ast
import glob
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import eval as eval_script
import parser
import train
from retrieval import store
from support.workers import begin_worker
from tests.failures import before, send
from tests.scripts import ROOT, assert_all_end, children, run
from tests.tiny import EVAL, SHORT


def ended_by(main, flags):
    with pytest.raises(SystemExit) as exit_:
        main([str(flag) for flag in flags])
    return exit_.value.code


def test_an_extraction_goes_on_where_it_was_terminated(tiny, workdir, monkeypatch, capsys):
    monkeypatch.setattr(store, "_MIN_BATCHES", 8)
    flags = ["--dataset_folder", tiny, *EVAL]
    with monkeypatch.context() as context:
        before(  # between its rows and its line
            context, store.FolderStore, "_record", lambda self, block, *_: block == 2, send(signal.SIGTERM)
        )
        assert ended_by(eval_script.main, flags) == 143
    assert "error: terminated" in capsys.readouterr().err
    folder = run(eval_script, *flags)
    whole = run(eval_script, *flags, "--no_descriptors_cache", "--save_dir", "whole")
    logs = [open(f"{path}/info.log").read() for path in (folder, whole)]
    assert "2 of 3 blocks are there" in logs[0]
    recalls = [[line.partition("   ")[2] for line in log.splitlines() if "R@" in line] for log in logs]
    assert recalls[0] == recalls[1] and len(recalls[0]) > 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_while_groups_are_cached_leaves_nothing(tiny, workdir, monkeypatch, number):
    with monkeypatch.context() as context:
        before(context, np, "save", lambda path, *_, **__: path.endswith("class_ids.npy"), send(number))
        assert ended_by(train.main, ["--dataset_folder", tiny, *SHORT]) == 128 + number
    assert len(os.listdir("cache")) == 1 and not glob.glob("cache/.*")


def test_every_process_that_is_started_ends_with_its_parent():
    """Loaders are made by support.workers alone, and pools have an initializer that does as its workers do."""
    pools = 0
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).parts
        if {".venv", "tests", "benchmarks"} & set(parts):
            continue
        source = path.read_text()
        for call in [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]:
            name = ast.unparse(call.func).rpartition(".")[2]
            assert name != "DataLoader" or parts == ("support", "workers.py"), path
            assert name not in ("Process", "ProcessPoolExecutor", "fork"), path
            if name == "Pool":
                pools += 1
                assert "end_with_parent()" in source or "begin_worker" in ast.unparse(call), path
    assert pools


POOL = """
import sys, time
sys.path.insert(0, {root!r})
from support.workers import begin_worker
import multiprocessing

if __name__ == "__main__":
    pool = multiprocessing.get_context("spawn").Pool(2, begin_worker)
    print(pool.map(abs, [-1, -2]), flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_pool_ends_with_its_parent(workdir):
    (workdir / "pool.py").write_text(POOL.format(root=str(ROOT)))
    with subprocess.Popen([sys.executable, "pool.py"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "[1, 2]\n"
        workers = children(process.pid)
        process.kill()
        process.wait()
        assert len(workers) >= 2
        assert_all_end(workers)


def interrupt_import():
    sys.argv = ["soup.py", "--ingredients", "a.pth", "b.pth", "--output", "c.pth"]
    parser.answer_early("soup")
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)


def test_an_interrupt_while_torch_is_imported_is_one_line(capfd):
    process = multiprocessing.get_context("fork").Process(target=interrupt_import)
    process.start()
    process.join()
    assert process.exitcode == 130 and capfd.readouterr().err == "\nerror: interrupted\n"


def begin_pool(sender):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.workers"])  # else each process imports torch
    with context.Pool(2, begin_worker) as pool:
        sender.send((pool.map(abs, [-1, -2]), [process.pid for process in pool._pool]))
        time.sleep(60)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")
def test_a_pool_of_a_fork_server_ends_with_its_parent(monkeypatch):
    """The workers are children of the server, and live as long as their parent does."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the server
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=begin_pool, args=[sender])
    process.start()
    try:
        assert receiver.poll(60), "no worker lives"
        results, workers = receiver.recv()
    finally:
        process.kill()
        process.join()
    assert results == [1, 2] and len(workers) == 2
    assert_all_end(workers)
