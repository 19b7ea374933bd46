"""benchmarks.packing: both ways read the same images, and the delay is added where it should be."""

import os
import subprocess
import sys

import pytest

from benchmarks import packing
from datasets.names import list_images
from datasets.pack.building import Packing, pack

_READ = """
import os, sys, time
start = time.monotonic()
for path in sys.argv[1:]:
    handle = os.open(path, os.O_RDONLY)
    os.pread(handle, 10, 0)
    os.close(handle)
print(time.monotonic() - start)
"""


def test_both_ways_read_the_same_images(workdir):
    packing.make_files("files", 12, 32)
    packing.make_files("files", 12, 32)  # they are there
    pack("files", "pack", Packing())
    assert list(list_images("pack")) == list(list_images("files")) and len(list_images("pack")) == 12
    for folder in ("files", "pack"):
        found = packing.measure(folder, 10, 4, 0, f"cache_{folder}", is_cold=False)
        assert found["images/s"] > 0 and 0 < found["names, s"] < found["first batch, s"]


def test_opens_and_reads_of_the_data_set_alone_are_delayed(workdir):
    shim = packing.compile_shim(".")
    if shim is None:
        pytest.skip("there is no C compiler")
    for name in ("slow/a", "fast/a"):
        os.makedirs(os.path.dirname(name))
        with open(name, "w") as file:
            file.write("text")
    environment = {**os.environ, "LD_PRELOAD": os.path.abspath(shim), "SLOW_MS": "200", "SLOW_FOLDER": "slow/"}

    def seconds(*paths):
        command = [sys.executable, "-c", _READ, *paths]
        return float(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)

    assert seconds("slow/a") >= 0.4 > seconds("fast/a")  # the open, and the read
