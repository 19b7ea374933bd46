"""What hostile files cost: each is made, and read in a process of its own. Prints its peak memory and its seconds.

A process may take 8 GB of addresses and of disk, and --seconds; so it cannot hurt.
"""

import argparse
import contextlib
import io
import os
import re
import resource
import select
import signal
import socket
import tempfile
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image

from datasets.images import ImageError, open_rgb
from model.checkpoints import load_network
from model.network import GeoLocalizationNet
from support import downloads
from support.errors import UserError
from support.files import read_object, read_tensors
from support.recipes import expand_recipes

_MOST = 8 << 30  # bytes


def main(argv: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="that each may take (default: %(default)s)")
    parser.add_argument("--only", default="", help="a regular expression of the names of the files to try")
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print("| file | its MB | MB of memory | MB of disk | seconds | what comes of it |\n|---|---|---|---|---|---|")
    for name, (make, read) in CASES.items():
        if re.search(args.only, name):
            with tempfile.TemporaryDirectory(prefix="hostile_") as folder, contextlib.chdir(folder):
                make()
                size = os.path.getsize("x") if os.path.isfile("x") else 0
                memory, disk, seconds, outcome = measure(read, args.seconds)
                print(
                    f"| {name} | {size / 1e6:.1f} | {memory:.0f} | {disk:.0f} | {seconds:.1f} | {outcome} |", flush=True
                )


def measure(read: Callable[[], object], limit: float) -> tuple[float, float, float, str]:
    """Calls read() in a fork: (MB of memory more than before, MB of its largest other file, seconds, what came)."""
    output, told = os.pipe()
    start, pid = time.monotonic(), os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            os.write(told, _outcome(read).encode())
        os._exit(0)
    os.close(told)
    memory, ended = 0.0, False
    before = _peak(pid)
    while not ended and time.monotonic() < start + limit:
        memory = max(memory, _peak(pid) - before)
        ended = bool(select.select([output], [], [], 0.01)[0])
    seconds = time.monotonic() - start
    memory = max(memory, _peak(pid) - before)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    outcome = os.read(output, 1000).decode() if ended else f"ended after {limit} s"
    os.close(output)
    sizes = [entry.stat().st_size for entry in os.scandir() if entry.is_file() and entry.name != "x"]
    return memory, max(sizes, default=0) / 1e6, seconds, outcome or "its process died"


def _outcome(read: Callable[[], object]) -> str:
    addresses = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (addresses + _MOST,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST,) * 2)
    try:
        read()
        return "read"
    except (UserError, ImageError, ValueError, OSError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"
    except BaseException as error:
        return f"TRACEBACK: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"


def _peak(pid: int) -> float:
    """The most memory that a process has had, MB."""
    with contextlib.suppress(OSError, TypeError), open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) / 1e3
    return 0.0


# --- files of tensors


def state() -> dict[str, torch.Tensor]:
    """The weights of a small network."""
    return GeoLocalizationNet("ResNet18", 32).state_dict()


def zipped(*entries: tuple[str, bytes], repeated: int = 1) -> None:
    """Writes a compressed zip with these entries, and the content of the last one so many times."""
    with zipfile.ZipFile("x", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, content in entries:
            with file.open(name, "w", force_zip64=True) as entry:
                for _ in range(repeated if name == entries[-1][0] else 1):
                    entry.write(content)


def pickled(value: object) -> bytes:
    """A value as torch.save would write it: the pickle in its zip."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    with zipfile.ZipFile(buffer) as file:
        return file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))


def small_that_unpacks(numbers: int) -> None:
    """Numbers of 4 bytes, all of them zero."""
    content = pickled({"x": torch.zeros(256)}).replace(b"M\0\1", b"J" + numbers.to_bytes(4, "little"))
    zipped(("x/data.pkl", content), ("x/version", b"3"), ("x/data/0", bytes(1 << 20)), repeated=numbers * 4 >> 20)


def of_expanded_tensors() -> None:
    torch.save({key: torch.zeros(1).expand(2**31) for key in state()}, "x")


def of_an_older_format() -> None:
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(256)}, buffer, _use_new_zipfile_serialization=False)
    with open("x", "wb") as file:
        file.write(buffer.getvalue().replace(b"M\0\1", b"J" + (2**30).to_bytes(4, "little")))


def of_many_entries() -> None:
    with zipfile.ZipFile("x", "w") as file:
        for number in range(400_000):
            file.writestr(f"{number}", b"")


def of_many_sets() -> None:
    with zipfile.ZipFile("x", "w") as file:
        file.writestr("x/version", b"3")
        file.writestr("x/data.pkl", b"\x80\x02](" + b"\x8f" * (50 << 20) + b"e.")


def of_long_texts() -> None:
    """A pickle that encodes a text of 1 MB a million times."""
    text = b"X" + (1 << 20).to_bytes(4, "little") + b"a" * (1 << 20) + b"q\0"
    encode = b"c_codecs\nencode\nq\1X\5\0\0\0utf-8q\2"
    with zipfile.ZipFile("x", "w") as file:
        file.writestr("x/version", b"3")
        file.writestr("x/data.pkl", b"\x80\x02](" + text + encode + b"h\1h\0h\2\x86R" * 1_000_000 + b"e.")


def nested() -> None:
    value = []
    for _ in range(45):
        value = [value, value]
    torch.save({"model_state_dict": {(tuple(value[:0]), 1): 1}, "epoch_num": value}, "x")


def changed(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], None]:
    """What writes the weights of a small network, all of more than one dimension changed."""
    return lambda: torch.save({key: change(value) if value.dim() > 1 else value for key, value in state().items()}, "x")


# --- servers


@contextlib.contextmanager
def serving(beginning: bytes, part: bytes, pause: float) -> Iterator[str]:
    """The address of a server that sends a beginning, and then a part for ever."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.recv(4096)
            connection.sendall(beginning)
            while True:
                connection.sendall(part)
                time.sleep(pause)

    os.environ["no_proxy"] = "*"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"


def download(beginning: bytes, part: bytes, pause: float = 0) -> Callable[[], None]:
    """What fetches weights from such a server."""

    def fetch() -> None:
        with serving(beginning, part, pause) as address:
            downloads.fetch(address, os.path.abspath("fetched"), "weights", read_tensors)

    return fetch


def in_little_memory(read: Callable[[], object], size: int) -> Callable[[], object]:
    """read(), where no more than `size` bytes can be had."""

    def limited() -> object:
        addresses = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (addresses + size,) * 2)
        return read()

    return limited


def nothing() -> None:
    """Makes no file."""


_WEIGHTS = lambda: load_network("x")  # noqa: E731
_IMAGE = lambda: open_rgb("x")  # noqa: E731
_OK = b"HTTP/1.1 200 OK\r\n\r\n"
# name -> (what makes the file x, what reads it)
CASES = {
    "weights of 4 MB that unpack to 4 GB": (lambda: small_that_unpacks(2**30), _WEIGHTS),
    "weights of 1 MB that unpack to 1 GB, as a network may": (lambda: small_that_unpacks(250 << 20), _WEIGHTS),
    "weights: a link to /dev/zero": (lambda: os.symlink("/dev/zero", "x"), _WEIGHTS),
    "weights: a FIFO": (lambda: os.mkfifo("x"), _WEIGHTS),
    "weights of expanded tensors, 8 GB each": (of_expanded_tensors, _WEIGHTS),
    "weights of an older format that claim 4 GB": (of_an_older_format, _WEIGHTS),
    "a zip of 400,000 entries": (of_many_entries, _WEIGHTS),
    "a pickle of 50 million sets": (of_many_sets, _WEIGHTS),
    "a pickle that makes a million texts": (of_long_texts, _WEIGHTS),
    "lists in lists, 2^45 in all": (nested, lambda: len(str(read_tensors("x")["epoch_num"]))),
    "complex weights": (changed(lambda value: value + 1j), _WEIGHTS),
    "sparse weights": (changed(torch.Tensor.to_sparse), _WEIGHTS),
    "quantized weights": (changed(lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)), _WEIGHTS),
    "weights without data (meta)": (changed(lambda value: value.to("meta")), _WEIGHTS),
    "a recipe: a FIFO": (lambda: os.mkfifo("x"), lambda: expand_recipes(["@x"])),
    "JSON: a FIFO": (lambda: os.mkfifo("x"), lambda: read_object("x")),
    "JSON: a link to /dev/zero": (lambda: os.symlink("/dev/zero", "x"), lambda: read_object("x")),
    "a download without end": (nothing, download(_OK, bytes(1 << 20))),
    "a download of a byte every half second": (nothing, download(_OK, b"x", 0.5)),
    "headers of a byte every half second": (nothing, download(b"", b"x", 0.5)),
    "an image: a FIFO": (lambda: os.mkfifo("x"), _IMAGE),
    "a PNG of 16,000 x 16,000 pixels": (lambda: Image.new("RGB", (16_000, 16_000)).save("x", "PNG"), _IMAGE),
    "the same in 256 MB of memory": (
        lambda: Image.new("RGB", (16_000, 16_000)).save("x", "PNG"),
        in_little_memory(_IMAGE, 256 << 20),
    ),
    "a PNG of 30,000 x 30,000 pixels": (
        lambda: Image.fromarray(np.zeros((30_000, 30_000), np.uint8)).save("x", "PNG"),
        _IMAGE,
    ),
}

if __name__ == "__main__":
    main()
