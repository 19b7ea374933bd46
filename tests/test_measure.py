import mmap
import os
import time

import numpy as np

from benchmarks.measure import interleaved, machine, peak_rss_anon, private_dirty, rss_anon, table


def test_peak_is_seen_and_mapped_pages_are_not_counted(tmp_path):
    with peak_rss_anon() as peak:
        held = mmap.mmap(
            -1, 40_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )  # fresh pages, whatever malloc has left over
        np.frombuffer(held, np.uint8)[:] = 1
        time.sleep(0.1)
        held.close()
    assert 35e6 < peak.bytes - peak.before < 60e6
    held = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (40_000_000,))
    before = rss_anon()
    held[:] = 1
    assert rss_anon() - before < 5e6 and rss_anon(2**22 + 1) == 0


def test_pages_that_a_fork_copies_are_seen_where_rss_anon_is_blind(tmp_path):
    held = np.ones(40_000_000, np.uint8)
    mapped = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (40_000_000,))
    mapped[:] = 1  # not yet written to the disk
    child = os.fork()
    if not child:
        before = private_dirty(), rss_anon()
        int(mapped.sum())
        looked = private_dirty() - before[0]
        held[:] = 2
        copied, blind = private_dirty() - before[0], rss_anon() - before[1]
        os._exit(0 if looked < 5e6 and 35e6 < copied < 60e6 and blind < 5e6 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and private_dirty(2**22 + 1) == 0


def test_alternatives_are_timed_in_turn_and_tabulated():
    calls = []
    seconds = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert calls == ["a", "b"] * 4 and [len(values) for values in seconds.values()] == [3, 3]
    assert table([{"way": "published", "s": 10.0}, {"way": "ours", "s": 2.5}], ["way", "s"], "s").splitlines() == [
        "| way | s | ratio |",
        "| --- | --- | --- |",
        "| published | 10 | 1.00x |",
        "| ours | 2.5 | 4.00x |",
    ]
    assert "cores" in machine() and "torch" in machine() and "\n" not in machine()
