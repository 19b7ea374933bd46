"""Descriptors on disk: what is written, gone on with, reused, made again and removed."""

import json
import logging
import multiprocessing
import os
import pathlib
import time

import numpy as np
import pytest
import torch

from datasets.test_dataset import ImageFolder
from retrieval import descriptors, identity, store
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.store import FolderStore, block_size, create_store, temporary_store
from support.errors import UserError
from support.locks import FileLock
from tests.caches import flip
from tests.descriptors import BATCH, IMAGES, SmallNetwork, change_header, extract, kept
from tests.failures import file_size_limit, full_in_the_middle_of
from tests.scripts import wait_for

# --- going on, reusing


@pytest.mark.parametrize(("fail_after", "blocks"), [(0, 0), (15, 0), (16, 1), (25, 1), (36, 2)])
@pytest.mark.parametrize("workers", [0, 1])
def test_an_interrupted_extraction_goes_on_with_the_same_bits(images, cache, fail_after, blocks, workers, caplog):
    caplog.set_level(logging.INFO)
    whole, _ = extract_descriptors(SmallNetwork(), images, ExtractionOptions(BATCH))
    with pytest.raises(KeyboardInterrupt):
        extract(cache, images, SmallNetwork(fail_after=fail_after), num_workers=workers)
    assert len(kept(cache)) == (blocks > 0)  # an empty store is not kept
    values, unreadable, seen = extract(cache, images)
    np.testing.assert_array_equal(values, whole)
    assert list(unreadable) == [21] and unreadable[21] and not values[21].any()
    assert seen == IMAGES - 16 * blocks - (blocks < 2)
    assert (f"{blocks} of 3 blocks are there" in caplog.text) == (blocks > 0)


def test_a_finished_store_is_reused_with_its_unreadable_images(images, cache, caplog):
    caplog.set_level(logging.INFO)
    first, unreadable, seen = extract(cache, images)
    second, same, not_seen = extract(cache, images)
    np.testing.assert_array_equal(first, second)
    assert unreadable == same and (seen, not_seen) == (IMAGES - 1, 0) and "are read from kept/f_" in caplog.text
    folder = os.path.join("kept", *kept(cache))
    opened = FolderStore(folder)
    assert opened.complete and list(opened.names) == list(images.names)
    assert sorted(os.listdir(folder)) == ["descriptors.npy", "header.json", "names.txt", "stamps"]
    np.testing.assert_array_equal(
        np.load(f"{folder}/descriptors.npy", allow_pickle=False), first
    )  # as any reader of numpy's has it
    with pytest.raises(ValueError, match="read-only"):
        opened.descriptors[0] = 0


def test_what_descriptors_depend_on_makes_another_store(images, cache, monkeypatch):
    network = SmallNetwork()
    extract(cache, images)
    for number, change in enumerate(
        (
            lambda: SmallNetwork(seed=1),
            lambda: os.utime("f/03.png", ns=(1, 1)),
            lambda: os.unlink("f/39.png"),
            lambda: os.rename("f/00.png", "f/001.png"),
            lambda: monkeypatch.setattr(torch, "__version__", "0"),
            lambda: monkeypatch.setattr(identity, "_EXTRACTION", 0),
            lambda: monkeypatch.setattr(cache, "dtype", "float16"),
        ),
        2,
    ):
        network = change() or network
        network.seen = 0
        changed = ImageFolder("f")
        assert extract(cache, changed, network)[2] > 0 and len(kept(cache)) == number
        network.seen = 0
        assert extract(cache, changed, network)[2] == 0
    for resize, batch_size, dtype in (
        (None, 4, torch.float32),
        (None, BATCH, torch.bfloat16),
        (64, BATCH, torch.float32),
    ):
        with cache.store(network, ImageFolder("f", resize), ExtractionOptions(batch_size, dtype=dtype)) as other:
            assert not other.complete


def test_float16_is_float32_rounded(images, cache):
    values, _, _ = extract(DescriptorCache("half", dtype="float16"), images)
    reference = extract(cache, images)[0]
    assert values.dtype == np.float16
    np.testing.assert_array_equal(values, reference.astype(np.float16))
    assert np.abs(values - reference).max() < 0.00025


def test_weights_digest_does_not_depend_on_layout_but_on_every_bit():
    network = SmallNetwork()
    digest = identity.weights_digest(network)
    assert identity.weights_digest(SmallNetwork().to(memory_format=torch.channels_last)) == digest
    with torch.no_grad():
        network.conv.bias[0] = torch.nextafter(network.conv.bias[0], torch.tensor(9.0))
    assert identity.weights_digest(network) != digest


def test_killed_while_another_waits(images, cache):
    """SIGKILL while one process writes and another waits for it: the other goes on with what is there."""
    context = multiprocessing.get_context("fork")
    seen = context.Queue()

    def work(seconds):
        network = SmallNetwork()
        network.register_forward_pre_hook(lambda *_: time.sleep(seconds) if network.seen > 20 else None)
        seen.put(extract(cache, images, network)[2])

    first, second = context.Process(target=work, args=(100,)), context.Process(target=work, args=(0,))
    first.start()
    wait_for(
        lambda: (
            os.path.exists("kept") and any(os.path.exists(f"kept/{name}/blocks_0.jsonl") for name in os.listdir("kept"))
        )
    )
    second.start()
    time.sleep(0.2)
    assert second.is_alive() and seen.empty()
    first.kill()
    first.join()
    assert seen.get(timeout=60) == IMAGES - 16 - 1
    second.join()
    np.testing.assert_array_equal(
        extract(cache, images)[0], extract_descriptors(SmallNetwork(), images, ExtractionOptions(BATCH))[0]
    )


# --- damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(f"{folder}/descriptors.npy", 300),
        lambda folder: os.truncate(f"{folder}/descriptors.npy", 10**9),  # sparse
        lambda folder: flip(f"{folder}/descriptors.npy", 40),
        lambda folder: os.unlink(f"{folder}/descriptors.npy"),
        lambda folder: os.truncate(f"{folder}/header.json", 100),
        lambda folder: os.truncate(f"{folder}/header.json", 0),
        lambda folder: flip(f"{folder}/header.json", 30),
        lambda folder: flip(f"{folder}/header.json", 200),
        lambda folder: pathlib.Path(f"{folder}/header.json").write_text("[" * 100_000),
        lambda folder: pathlib.Path(f"{folder}/header.json").write_text('{"version": 1}'),
        lambda folder: os.unlink(f"{folder}/header.json"),
        lambda folder: change_header(folder, version=0),
        lambda folder: change_header(folder, num_images=10**15),
        lambda folder: change_header(folder, num_images=-1),
        lambda folder: change_header(folder, dtype="object"),
        lambda folder: change_header(folder, unreadable=[1]),
        lambda folder: change_header(folder, identity={}),
    ],
)
def test_a_damaged_store_is_rebuilt(images, cache, damage, caplog):
    caplog.set_level(logging.INFO)
    whole = extract(cache, images)[0]
    damage(os.path.join("kept", *kept(cache)))
    values, _, seen = extract(cache, images)
    np.testing.assert_array_equal(values, whole)
    assert seen == IMAGES - 1 and caplog.text.count("computing them again") == 1
    assert extract(cache, images)[2] == 0


@pytest.mark.parametrize(
    ("damage", "blocks"),
    [
        (lambda folder: os.truncate(f"{folder}/blocks_0.jsonl", os.path.getsize(f"{folder}/blocks_0.jsonl") - 1), 1),
        (lambda folder: open(f"{folder}/blocks_0.jsonl", "ab").write(b'0badbeef {"blo'), 2),
        (lambda folder: flip(f"{folder}/blocks_0.jsonl", 15), 0),
        (lambda folder: flip(f"{folder}/descriptors.npy", 150), 1),
    ],
)
def test_only_whole_blocks_are_gone_on_with(images, cache, damage, blocks):
    whole, _ = extract_descriptors(SmallNetwork(), images, ExtractionOptions(BATCH))
    with pytest.raises(KeyboardInterrupt):
        extract(cache, images, SmallNetwork(fail_after=36))
    damage(os.path.join("kept", *kept(cache)))
    with pytest.raises(KeyboardInterrupt):  # and once more, after what was cut off
        extract(cache, images, SmallNetwork(fail_after={0: 20, 1: 18, 2: 4}[blocks]))
    values, unreadable, _ = extract(cache, images)
    np.testing.assert_array_equal(values, whole)
    assert list(unreadable) == [21]


def test_names_with_line_breaks_and_damaged_names(workdir):
    names = ["a/b.jpg", "line\nbreak.jpg", "back\\nslash\\.jpg", "\udcff.jpg", "end"]
    opened = create_store("s", names, {"dtype": "float32", "num_images": 5, "dim": 2, "block_size": 4, "identity": {}})
    assert list(opened.names) == names
    flip("s/names.txt", 3)
    with pytest.raises(ValueError, match="names.txt is damaged"):
        _ = opened.names


# --- the disk


def test_a_disk_that_fills_before(images, cache):
    """One line at the start, before anything is computed; nothing is left."""
    network = SmallNetwork()
    network.fc_output_dim = 4096
    with (
        file_size_limit(1 << 18),
        pytest.raises(
            UserError,
            match="written to kept/f_.*: File too large; free some space there, or give --no_descriptors_cache",
        ),
    ):
        extract(cache, images, network)
    assert kept(cache) == [] and network.seen == 0


WRITES = {
    "beginning": lambda name, data, offset: name == "descriptors.npy" and offset is None,
    "rows of block 0": lambda name, data, offset: offset == 128,
    "line of block 0": lambda name, data, offset: name == "blocks_0.jsonl" and b'"block": 0' in data,
    "rows of block 1": lambda name, data, offset: offset == 128 + 16 * 4 * 4,
    "line of block 1": lambda name, data, offset: name == "blocks_0.jsonl" and b'"block": 1' in data,
}


@pytest.mark.parametrize("write", WRITES)
def test_a_disk_that_fills_while_writing(images, cache, monkeypatch, write):
    """At every write in turn, half of which is done: nothing half-written is taken for whole."""
    whole, _ = extract_descriptors(SmallNetwork(), images, ExtractionOptions(BATCH))
    with monkeypatch.context() as patch:
        full_in_the_middle_of(patch, WRITES[write])
        with pytest.raises(
            UserError, match="No space left on device; free some space there, or give --no_descriptors_cache"
        ):
            extract(cache, images)
    values, _, seen = extract(cache, images)
    np.testing.assert_array_equal(values, whole)
    assert (seen < IMAGES - 1) == write.endswith("block 1")


def test_a_cache_that_cannot_be_made(images, workdir):
    pathlib.Path("kept").write_text("")
    with pytest.raises(
        UserError, match="the descriptors' cache kept cannot be used: .*; fix it, or give --no_descriptors_cache"
    ):
        extract(DescriptorCache("kept"), images)


def test_temporary_stores_leave_nothing(images, monkeypatch):
    monkeypatch.setattr(store.tempfile, "tempdir", os.getcwd())
    before = sorted(os.listdir())
    values, _, _ = extract(DescriptorCache(None), images)
    assert values[0].any() and sorted(os.listdir()) == before
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="No space left on device; set TMPDIR to where there is more"):
        temporary_store(10, 4)


# --- size


def test_least_recently_used_stores_go(images, workdir, caplog):
    caplog.set_level(logging.INFO)
    extract(DescriptorCache("kept"), images)
    size = sum(file.stat().st_size for name in kept(DescriptorCache("kept")) for file in os.scandir(f"kept/{name}"))
    cache = DescriptorCache("kept", limit=int(2.8 * size))
    extract(cache, images, SmallNetwork(1))
    assert len(kept(cache)) == 2
    for name in kept(cache):
        os.utime(f"kept/{name}/header.json", (1, 1))
    assert extract(cache, images)[2] == 0  # the first is used again
    extract(cache, images, SmallNetwork(2))
    assert len(kept(cache)) == 2 and "the least recently used" in caplog.text
    assert extract(cache, images)[2] == 0 and extract(cache, images, SmallNetwork(2))[2] == 0
    assert extract(cache, images, SmallNetwork(1))[2] > 0
    assert len([name for name in os.listdir("kept") if name.endswith(".lock")]) == 2


def test_stores_in_use_stay(images, workdir):
    cache = DescriptorCache("kept")
    network = SmallNetwork()
    with cache.store(network, images, ExtractionOptions(BATCH)) as used:
        extract_descriptors(network, images, ExtractionOptions(BATCH), used)
        tight = DescriptorCache("kept", limit=700)
        extract(tight, images, SmallNetwork(1))
        assert os.path.basename(used.folder) in kept(cache)
        with cache.store(network, images, ExtractionOptions(BATCH)) as shared:  # readers share it
            assert shared.complete
    extract(tight, images, SmallNetwork(2))
    assert os.path.basename(used.folder) not in kept(cache)


def test_larger_than_the_cache_is_not_kept(images, workdir, caplog):
    caplog.set_level(logging.INFO)
    assert extract(DescriptorCache("kept", limit=600), images)[0].any() and not os.path.exists("kept")
    assert "more than --descriptors_cache_size" in caplog.text


def test_leftovers_of_killed_processes_go(images, workdir):
    for name in ("old_1.building", "old_2.removed"):
        os.makedirs(f"kept/{name}/x")
    cache = DescriptorCache("kept", limit=10**6)
    extract(cache, images)
    assert len(kept(cache)) == 1


def test_locks(workdir):
    alone, other = FileLock("l"), FileLock("l")
    assert alone.acquire(exclusive=True) and not other.acquire(exclusive=False, wait=False)
    alone.share()
    assert other.acquire(exclusive=False, wait=False) and not alone.acquire(exclusive=True, wait=False)
    assert other.acquire(exclusive=True, wait=False)
    other.release(remove=True)
    assert not os.path.exists("l") and alone.acquire(exclusive=True, wait=False)


def test_a_lock_that_was_let_go_is_not_kept_by_a_forked_worker(workdir):
    lock, other = FileLock("l"), FileLock("l")
    lock.acquire(exclusive=True)
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
    process.start()
    try:
        lock.release()
        assert other.acquire(exclusive=True, wait=False)
    finally:
        process.kill()
        process.join()


def test_disks_without_allocation(images, cache, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(95, "Operation not supported")))
    extract(cache, images)
    assert extract(cache, images)[2] == 0


def test_blocks_are_whole_batches():
    assert [block_size(size, 10**6) for size in (1, 16, 32, 100, 300)] == [1024, 1024, 1024, 1100, 1200]
    assert [block_size(16, number) for number in (1, 5000, 8015, 10**5)] == [64, 80, 128, 1024]


def test_memory_does_not_grow_with_the_database(workdir, monkeypatch):
    """Blocks go to the disk as they come: 64 MB of descriptors in less than 24 MB of memory of the process's own."""
    from benchmarks.measure import peak_rss_anon

    num_images, dim = 1 << 15, 512
    block = np.ones((1024, dim), np.float32)
    monkeypatch.setattr(store.tempfile, "tempdir", os.getcwd())
    with peak_rss_anon(interval=0.001) as peak:
        written = temporary_store(num_images, dim)
        for number in written.pending():
            written.write(number, block, {})
        written.finish()
        assert written.descriptors[::1000].sum() == 33 * dim
    assert peak.bytes - peak.before < 24 << 20


def test_network_is_left_as_it_was(images):
    class Copied(SmallNetwork):
        __deepcopy__ = None  # as any module

    network = Copied(fail_after=3).train()
    with pytest.raises(KeyboardInterrupt):
        extract_descriptors(network, images, ExtractionOptions(BATCH))
    assert network.training and network.seen == 0
    assert descriptors.block_size is block_size
    json.dumps(identity.identify(network, images, ExtractionOptions(BATCH, dtype=torch.float16)))
