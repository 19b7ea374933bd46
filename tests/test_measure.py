import time

import numpy as np

from benchmarks.measure import interleaved, machine, peak_rss_anon, rss_anon, table


def test_peak_is_seen_and_mapped_pages_are_not_counted(tmp_path):
    with peak_rss_anon() as peak:
        held = np.ones(40_000_000, np.uint8)
        time.sleep(0.1)
        del held
    assert 35e6 < peak.bytes - peak.before < 60e6
    held = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (40_000_000,))
    before = rss_anon()
    held[:] = 1
    assert rss_anon() - before < 5e6 and rss_anon(2**22 + 1) == 0


def test_alternatives_are_timed_in_turn_and_tabulated():
    calls = []
    seconds = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert calls == ["a", "b"] * 4 and [len(values) for values in seconds.values()] == [3, 3]
    assert table([{"way": "published", "s": 10.0}, {"way": "ours", "s": 2.5}], ["way", "s"], "s").splitlines() == [
        "| way | s | ratio |", "| --- | --- | --- |", "| published | 10 | 1.00x |", "| ours | 2.5 | 4.00x |"]
    assert "cores" in machine() and "torch" in machine() and "\n" not in machine()
