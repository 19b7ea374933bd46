"""What every benchmark needs: a description of the machine, memory of processes, timing, and tables.

Memory is RssAnon: what a process itself holds. Pages of mapped files do not count, since the system takes them back
when it needs them. In a forked worker RssAnon counts what is still shared with the parent, and does not see a page
being copied. `private_dirty()` does.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from support.processor import arithmetic_of, processor_name

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def machine() -> str:
    """Returns one line: the CPU, its cores and arithmetic, and the versions of Python and of libraries."""
    versions = [f"Python {platform.python_version()}"]
    for package in ("torch", "faiss-cpu", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    return f"{processor_name()}; {', '.join(versions)}"


def sixteen_bits(device: torch.device) -> list[str]:
    """Returns ["bfloat16"] where the device has arithmetic for it. Else prints a line and returns []."""
    if device.type != "cpu" or arithmetic_of(torch.bfloat16):
        return ["bfloat16"]
    print("bfloat16 is left out: this processor has no arithmetic for it\n")
    return []


def rss_anon(pid: int | str = "self") -> int:
    """Returns the RssAnon of a process in bytes, 0 once it has ended (Linux)."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def private_dirty(pid: int | str = "self") -> int:
    """Returns the bytes that a process has written and shares with no other, 0 once it has ended (Linux).

    Pages copied from the parent's are included. Takes milliseconds in a large process.
    """
    total, private = 0, False
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/smaps") as file:
        for line in file:
            words = line.split()
            # a mapping's first line: a file mapped as shared may hold pages that another process wrote
            if not words[0].endswith(":"):
                private = words[1].endswith("p")
            elif private and words[0] == "Private_Dirty:":
                total += int(words[1]) * 1024
    return total


class Peak:
    """The largest RssAnon seen (`bytes`) and that at the start (`before`), in bytes."""

    def __init__(self, before: int):
        self.before = self.bytes = before


@contextlib.contextmanager
def peak_rss_anon(pid: int | str = "self", interval: float = 0.005) -> Iterator[Peak]:
    """Yields a Peak. A thread samples the process every `interval` seconds until the block ends.

    The thread sees nothing while C code holds the interpreter's lock (pickle does, numpy mostly not). Measure such code
    from its parent, as child() does.
    """
    peak, stop = Peak(rss_anon(pid)), threading.Event()

    def sample():
        while not stop.wait(interval):
            peak.bytes = max(peak.bytes, rss_anon(pid))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        peak.bytes = max(peak.bytes, rss_anon(pid))


def child(module: str, *arguments: object) -> tuple[Any, int]:
    """Runs `python -m module arguments` in the project's folder. Its last line of output must be JSON.

    Returns (the JSON's value, the peak RssAnon in bytes). Raises subprocess.CalledProcessError when it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process,
        peak_rss_anon(process.pid) as peak,
    ):
        output = process.communicate()[0]
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return json.loads(output.splitlines()[-1]), peak.bytes


def launcher(processes: int) -> list[str]:
    """Returns what goes between `python` and a script for this many processes: torchrun, or nothing for one."""
    return ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)] if processes > 1 else []


def interleaved(
    functions: dict[str, Callable[[], object]], repeats: int = 5, warm_up: int = 1
) -> dict[str, list[float]]:
    """Times alternatives in turn, so that whatever else the machine does disturbs all alike.

    functions: {name: function without arguments}. Returns {name: `repeats` times in seconds}.
    """
    seconds = {name: [] for name in functions}
    for repeat in range(-warm_up, repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if repeat >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def table(rows: Iterable[dict], columns: Sequence[str], ratio: str | None = None) -> str:
    """Returns a markdown table.

    rows: {column: value}; floats are shown with 3 significant digits
    columns: their order
    ratio: a column of seconds or other costs; a last column then says how many times cheaper than the first row it is
    """
    rows = [dict(row) for row in rows]
    if ratio:
        columns = [*columns, "ratio"]
        for row in rows:
            if row.get(ratio):
                row["ratio"] = f"{rows[0][ratio] / row[ratio]:.2f}x"
    lines = [columns, ["---"] * len(columns), *([_text(row.get(column, "")) for column in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(value: object):
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 100
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )
