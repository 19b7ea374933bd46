"""Small files against a pack of them, from a cold cache: names, the first batch, images a second, system calls.

A second pair of rows adds --delay_ms to every open and every read of the data set's files, as on a network share: by a
library that is compiled here and loaded before the C library. Pages of the memory-mapped index are not delayed by it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.measure import ROOT, machine, table
from benchmarks.pictures import make_pictures
from datasets.images import open_rgb
from datasets.names import list_images
from datasets.pack.building import Packing, pack
from support.workers import Loader

SF_XL = 5_600_000  # images of the processed training set
_PICTURES = 100  # different ones; the others are copies of them
_IN_A_FOLDER = 1000
_DROP = "/proc/sys/vm/drop_caches"
_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char slow[1 << 20];  /* whether a descriptor is of the data set */

static void wait_a_little(void) { usleep(1000 * atoi(getenv("SLOW_MS"))); }

static int opened(int handle, const char *path) {
    const char *folder = getenv("SLOW_FOLDER");
    int ours = strncmp(path, folder, strlen(folder)) == 0;
    if (ours) wait_a_little();
    if (handle >= 0 && handle < (int)sizeof slow) slow[handle] = ours;
    return handle;
}

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...) {                            \
        va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
        int (*real)(const char *, int, int) = dlsym(RTLD_NEXT, #name);      \
        return opened(real(path, flags, mode), path);                       \
    }
OPEN(open)
OPEN(open64)

#define READ(name, parameters, arguments)                                   \
    ssize_t name parameters {                                               \
        ssize_t (*real) parameters = dlsym(RTLD_NEXT, #name);               \
        if (handle >= 0 && handle < (int)sizeof slow && slow[handle]) wait_a_little(); \
        return real arguments;                                              \
    }
READ(read, (int handle, void *to, size_t size), (handle, to, size))
READ(pread, (int handle, void *to, size_t size, off_t offset), (handle, to, size, offset))
READ(pread64, (int handle, void *to, size_t size, off64_t offset), (handle, to, size, offset))
"""


def main(argv: list[str] | None = None) -> None:
    """Makes the data set, measures, and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packing", description=__doc__)
    add = parser.add_argument
    add("--images", type=int, default=200_000, help="small files (default: %(default)s)")
    add("--size", type=int, default=512, help="their side, pixels (default: %(default)s)")
    add("--read", type=int, default=4000, help="images read in random order (default: %(default)s)")
    add("--read_slow", type=int, default=400, help="those read with a delay (default: %(default)s)")
    add("--batch_size", type=int, default=32, help="images (default: %(default)s)")
    add("--num_workers", type=int, default=2, help="processes that read (default: %(default)s)")
    add("--delay_ms", type=int, default=10, help="added to an open and to a read (default: %(default)s)")
    add("--folder", help="where the data set is made and left, on the disk to measure (default: temporary)")
    add("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(measure(**args.child)))
        return
    with tempfile.TemporaryDirectory(prefix="packing_") as scratch:
        home = os.path.abspath(args.folder or os.path.join(scratch, "data"))
        folders = {"files": os.path.join(home, "files"), "pack": os.path.join(home, "pack")}
        make_files(folders["files"], args.images, args.size)
        start = time.perf_counter()
        if pack(folders["files"], folders["pack"], Packing()):
            print(f"packed in {time.perf_counter() - start:.1f} s\n", file=sys.stderr)
        shim = compile_shim(scratch)
        rows = []
        for delay, count in ((0, args.read), (args.delay_ms, args.read_slow)):
            for name, folder in folders.items():
                if not delay or shim:
                    rows.append(row(args, name, folder, delay, count, shim, scratch))
    print(machine())
    print(f"{args.images} JPEGs of {args.size} px, batches of {args.batch_size}, {args.num_workers} workers, caches")
    print("dropped" if os.access(_DROP, os.W_OK) else "not all dropped: inodes stay, for lack of rights", end="\n\n")
    print(table(rows, list(rows[0])))
    print(f"\nnames of {SF_XL:,} images, in proportion: ", end="")
    print(", ".join(f"{r['read']} {r['names, s'] * SF_XL / args.images:.3g} s" for r in rows[: len(folders)]))


def make_files(folder: str, count: int, size: int) -> None:
    """Writes small files, in folders of _IN_A_FOLDER, unless they are there: copies of a few pictures."""
    if os.path.isdir(folder):
        return
    pictures = make_pictures(f"{folder}.pictures", min(count, _PICTURES), size)
    building = f"{folder}.unfinished"
    for number in range(count):
        below = os.path.join(building, f"{37 + number // _IN_A_FOLDER / 100:.2f}")
        os.makedirs(below, exist_ok=True)
        stem, _, rest = os.path.basename(pictures[number % len(pictures)]).partition(".")
        shutil.copyfile(pictures[number % len(pictures)], os.path.join(below, f"{stem}.{rest[:-4]}{number}.jpg"))
    shutil.rmtree(f"{folder}.pictures")
    os.rename(building, folder)


def compile_shim(scratch: str) -> str | None:
    """Compiles the library that delays opens and reads: its path; None where there is no compiler."""
    source, library = os.path.join(scratch, "slow.c"), os.path.join(scratch, "slow.so")
    with open(source, "w") as file:
        file.write(_SHIM)
    compiler = shutil.which("cc")
    if not compiler:
        print("the rows with a delay are left out: there is no C compiler (cc)", file=sys.stderr)
        return None
    subprocess.run([compiler, "-w", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def row(
    args: argparse.Namespace, name: str, folder: str, delay: int, count: int, shim: str | None, scratch: str
) -> dict[str, object]:
    """Measures one way of reading: a row of the table.

    args: of the command
    name: of the way
    folder: of the data set
    delay: added to opens and reads, ms
    count: of images that are read
    shim: the library that adds it
    scratch: a folder for what is temporary
    """
    settings = {
        "folder": folder,
        "count": count,
        "batch_size": args.batch_size,
        "num_workers": args.num_workers,
        "cache": tempfile.mkdtemp(dir=scratch),
    }
    slow = {"LD_PRELOAD": shim, "SLOW_MS": str(delay), "SLOW_FOLDER": folder} if delay else {}
    found = child(settings, slow)
    calls = "" if delay else system_calls(settings, scratch)
    return {"read": name, "delay, ms": delay, **found, "system calls an image": calls}


def child(settings: dict[str, object], environment: dict[str, str], wrapper: Sequence[str] = ()) -> dict[str, float]:
    """Calls measure(**settings) in a process of its own, with further variables, started by a wrapper."""
    command = [*wrapper, sys.executable, "-m", "benchmarks.packing", "--child", json.dumps(settings)]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(result.stdout.splitlines()[-1])


def system_calls(settings: dict[str, object], scratch: str) -> float | str:
    """System calls on files for an image, by strace: those of more images, less those of fewer, in one process."""
    if not shutil.which("strace"):
        return "(no strace)"
    totals, counts = [], (100, 200)
    for count in counts:
        path = os.path.join(scratch, "calls")
        wrapper = ["strace", "-f", "-c", "-e", "trace=file,read,pread64,lseek,fstat,close,ioctl,fcntl", "-o", path]
        child({**settings, "count": count, "batch_size": 1, "num_workers": 0, "is_cold": False}, {}, wrapper)
        with open(path) as file:
            totals.append(int(re.search(r"(\d+)\s+(?:\d+\s+)?total", file.read())[1]))
    return (totals[1] - totals[0]) / (counts[1] - counts[0])


class Batches(torch.utils.data.Dataset):
    """Item i is the number of images of batch i, which it decodes."""

    def __init__(self, folder: str, names: Sequence[str], rows: np.ndarray, batch_size: int):
        self.folder, self.names, self.rows, self.size = folder, names, rows, batch_size

    def __len__(self):
        return -(-len(self.rows) // self.size)

    def __getitem__(self, item: int) -> int:
        rows = self.rows[item * self.size : (item + 1) * self.size].tolist()
        return len([open_rgb(os.path.join(self.folder, self.names[row])) for row in rows])


def measure(
    folder: str, count: int, batch_size: int, num_workers: int, cache: str, is_cold: bool = True
) -> dict[str, float]:
    """Lists a data set and reads images of it in random order. Times run from before the listing.

    folder: of the data set
    count: of images
    batch_size: images
    num_workers: processes that read; 0 reads in this one
    cache: where a walk is kept: an empty folder
    is_cold: whether caches are dropped first
    """
    if is_cold:
        drop_caches(folder)
    start = time.perf_counter()
    names = list_images(folder, cache)
    listed = time.perf_counter() - start
    rows = np.random.default_rng(0).permutation(len(names))[:count]
    with Loader(Batches(folder, names, rows, batch_size), num_workers) as loader:
        first_batch = next(loader)
        first = time.perf_counter() - start
        rest = sum(loader)
        taken = time.perf_counter() - start - first
    return {"names, s": listed, "first batch, s": first, "images/s": rest / taken if first_batch and rest else 0.0}


def drop_caches(folder: str) -> None:
    """Drops what the system remembers of files; without the right to, at least the pages of a folder's files."""
    os.sync()
    try:
        with open(_DROP, "w") as file:
            file.write("3")
    except OSError:
        for path, _, names in os.walk(folder):
            for name in names:
                handle = os.open(os.path.join(path, name), os.O_RDONLY)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(handle)


if __name__ == "__main__":
    main()
