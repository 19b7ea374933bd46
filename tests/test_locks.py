"""Two runs at once: one cache is built, the others wait and open it; a killed process's lock and leftovers are taken
over.
"""

import errno
import fcntl
import logging
import multiprocessing
import os
import re
import socket
import time

import pytest

from datasets import groups, walk
from datasets.names import list_images, write_images_list
from retrieval.cache import DescriptorCache
from support import array_cache, locks
from support.locks import FileLock, held_if_possible
from tests.caches import NAMES, OLD, SETTINGS, age, touch
from tests.descriptors import SmallNetwork, extract, kept
from tests.scripts import wait_for

FORK = multiprocessing.get_context("fork")


def warnings(caplog):
    """What was logged as a warning or worse: other tests may have left the level at INFO."""
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def train(workdir):
    touch(*(f"train/{name}" for name in NAMES))
    age("train")
    return "train"


@pytest.fixture
def with_list(train):
    write_images_list(train, NAMES)
    os.utime("train_images_paths.txt", (OLD, OLD))
    return train


def start(work, log):
    """A process that does `work` and logs to a file."""

    def run():
        logging.basicConfig(filename=log, level=logging.INFO, format="%(message)s", force=True)
        work()

    process = FORK.Process(target=run)
    process.start()
    return process


def slowed(monkeypatch, module, name, seconds=100.0):
    """The first call of module.name, in whatever process, says in the file `building` who it is, and then takes long;
    the file `built` counts calls.
    """
    real = getattr(module, name)

    def slow(*args, **kwargs):
        with open("built", "a") as file:
            file.write("x")
        if not os.path.exists("building"):
            with open("building", "w") as file:
                file.write(str(os.getpid()))
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and not os.path.exists("go on"):
                time.sleep(0.01)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, slow)


@pytest.mark.parametrize(
    ("listing", "module", "function"), [("with_list", groups, "build_groups"), ("train", walk, "_walk")]
)
def test_two_runs_at_once_build_one_cache(request, monkeypatch, listing, module, function):
    request.getfixturevalue(listing)
    slowed(monkeypatch, module, function)

    def work():
        assert (
            groups.open_groups("train", *SETTINGS).num_images if module is groups else len(list_images("train"))
        ) == 20

    processes = [start(work, f"{i}.log") for i in range(2)]
    wait_for(lambda: any("Waiting" in open(f"{i}.log").read() for i in range(2) if os.path.exists(f"{i}.log")))
    open("go on", "w").close()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    builder = int(open("building").read())
    first, second = (open(f"{i}.log").read() for i in sorted(range(2), key=lambda i: processes[i].pid != builder))
    assert open("built").read() == "x"
    assert (
        f"Waiting for another process (process {builder} on {socket.gethostname()}) that builds the cache cache/train_"
        in second
    )
    done = "Splitting the 20 images" if module is groups else "Found the 20 images"
    assert done in first and done not in second and "Waiting" not in first
    assert not [name for name in os.listdir("cache") if not name.startswith("train_") or name.endswith(".lock")]


@pytest.mark.parametrize("moment", ["before", "within"])
def test_a_killed_builders_lock_is_taken_over_and_what_it_left_goes(with_list, monkeypatch, moment):
    """Killed before it writes, or with half of the cache written; another process waits for it."""
    slowed(monkeypatch, *((groups, "build_groups") if moment == "before" else (array_cache, "_rename_folder")))

    def work():
        groups.open_groups("train", *SETTINGS)

    first = start(work, "first.log")
    wait_for(lambda: os.path.exists("building"))
    left = os.listdir("cache")
    assert any(name.endswith(".lock") for name in left) and any(name.startswith(".building_") for name in left) == (
        moment == "within"
    )
    second = start(work, "second.log")
    wait_for(lambda: os.path.exists("second.log") and "Waiting" in open("second.log").read())
    first.kill()
    first.join()
    second.join(60)
    assert second.exitcode == 0 and "Splitting" in open("second.log").read()
    assert re.fullmatch(r"train_\w{16}", *os.listdir("cache"))


def test_leftovers_of_other_caches_go_unless_somebody_holds_their_lock(with_list):
    for name in (".building_a_01234567", ".building_a_0123456_.old", ".building_b_c_01234567", ".building_01234567"):
        os.makedirs(f"cache/{name}/x")
    os.makedirs("cache/descriptors")
    open("cache/gone.lock", "w").close()
    held = FileLock("cache/b_c.lock")
    held.acquire(exclusive=True)
    groups.open_groups("train", *SETTINGS)
    assert {".building_b_c_01234567", "b_c.lock", "descriptors"} < set(os.listdir("cache"))
    assert not {".building_a_01234567", ".building_a_0123456_.old", "gone.lock", "a.lock"} & set(os.listdir("cache"))


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of_once(with_list, monkeypatch, caplog, code):
    def refuse(handle, mode):
        raise OSError(code, os.strerror(code))

    locks._warn_once.cache_clear()
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert groups.open_groups("train", *SETTINGS).num_images == 20
    touch("f/a.jpg", "g/a.jpg")
    assert len(list_images("f")) == len(list_images("g")) == 1
    assert caplog.text.count("cache is on a file system without locks") == 1 and len(warnings(caplog)) == 1


def test_a_folder_that_may_not_be_written_gets_one_warning(workdir, monkeypatch, caplog):
    def refuse(*args, **kwargs):  # a mode would not stop root
        raise OSError(errno.EROFS, "Read-only file system")

    def refuse_writes(path, flags, *args, **kwargs):
        return (refuse if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else real)(path, flags, *args, **kwargs)

    touch("f/a.jpg")
    real = os.open
    monkeypatch.setattr(os, "open", refuse_writes)
    monkeypatch.setattr(array_cache.tempfile, "mkdtemp", refuse)
    assert list(list_images("f")) == ["a.jpg"]
    assert "f will be walked again the next time: the cache" in caplog.text
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EROFS])
def test_descriptors_are_not_kept_where_no_lock_can_be_had(images, monkeypatch, caplog, code):
    cache = DescriptorCache("kept")
    expected = extract(cache, images)[0]

    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert (extract(DescriptorCache("kept", limit=10**9), images)[0] == expected).all()
    assert "The descriptors of f are not kept: kept cannot be used" in caplog.text
    assert len(kept(cache)) == 1


@pytest.mark.parametrize("make", [lambda path: os.symlink("elsewhere", path), os.mkdir])
def test_descriptors_are_not_kept_where_the_lock_is_a_link_or_a_folder(images, caplog, make):
    cache = DescriptorCache("kept")
    expected = extract(cache, images)[0]
    (lock,) = (f"kept/{name}" for name in os.listdir("kept") if name.endswith(".lock"))
    os.unlink(lock)
    make(lock)
    assert (extract(DescriptorCache("kept", limit=10**9), images)[0] == expected).all()
    assert f"The descriptors of f are not kept: {lock} cannot be used (" in caplog.text
    assert len(kept(cache)) == 1 and not os.path.exists("elsewhere")


def test_an_extraction_that_wrote_nothing_leaves_no_lock(images):
    with pytest.raises(KeyboardInterrupt):
        extract(DescriptorCache("kept"), images, SmallNetwork(fail_after=1))
    assert os.listdir("kept") == []
    open("kept/gone.lock", "w").close()  # of a killed process
    extract(DescriptorCache("kept", limit=10**9), images)
    assert len(os.listdir("kept")) == 2 and "gone.lock" not in os.listdir("kept")


def test_lock_files_name_who_holds_them_alone(workdir, caplog):
    caplog.set_level(logging.INFO)
    lock = FileLock("l")
    lock.acquire(exclusive=True)
    assert open("l").read() == f"{os.getpid()} {socket.gethostname()}\n"
    lock.share()
    assert open("l").read() == "" and os.path.exists("l")
    lock.release(remove=True)  # shared: others may hold it
    assert os.path.exists("l")
    with held_if_possible("l", "") as held:
        assert held
    assert not os.path.exists("l")
    with open("l", "w") as file:
        file.write("12 \x1b[2Jhost\n")
    handle = os.open("l", os.O_RDONLY)
    assert locks._holder(handle) == ""
    os.close(handle)


def test_a_lock_writes_through_no_link(workdir):
    with open("precious", "w") as file:
        file.write("all")
    os.symlink("precious", "l")
    with pytest.raises(OSError, match="symbolic links"):
        FileLock("l").acquire(exclusive=True)
    with held_if_possible("l", "") as held:
        assert not held
    assert open("precious").read() == "all"


def test_a_forked_child_has_no_part_in_its_parents_locks(tmp_path):
    path = str(tmp_path / "lock")
    lock = FileLock(path)
    assert lock.acquire(exclusive=True)
    (reading, writing), (begun, begins) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        os.write(begins, b"1")
        os.read(reading, 1)  # lives on until the parent lets it go
        os._exit(0)
    os.read(begun, 1)
    try:
        assert not FileLock(path).acquire(exclusive=True, wait=False)
        lock._close()  # as the end of this process would: without letting go
        assert FileLock(path).acquire(exclusive=True, wait=False)
    finally:
        os.close(writing)
        os.waitpid(child, 0)
