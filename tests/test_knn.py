"""Nearest neighbours: exact by blocks, on a GPU, and by faiss's indexes."""

import json
import logging
import os
import pathlib

import faiss
import numpy as np
import pytest
import torch

import eval as eval_script
from benchmarks import knn as benchmark
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from retrieval import knn
from retrieval.index import check_index, search_index
from retrieval.store import create_store, temporary_store
from support.errors import UserError
from tests.caches import flip
from tests.descriptors import DIM, fill, unit_vectors


def assert_same_neighbours(distances, neighbours, database, queries, k, excluded=()):
    """As IndexFlatL2, but for neighbours whose distances differ by at most 1e-5."""
    flat, rows = faiss.IndexFlatL2(database.shape[1]), np.setdiff1d(np.arange(len(database)), excluded)
    flat.add(database[rows].astype(np.float32))
    expected, positions = flat.search(queries, min(k, len(rows)))
    there = neighbours[:, : len(rows)]
    np.testing.assert_allclose(distances[:, : len(rows)], expected, rtol=0, atol=1e-5)
    exact = ((queries[:, None].astype(np.float64) - database[there].astype(np.float64)) ** 2).sum(-1)
    reference = ((queries[:, None].astype(np.float64) - database[rows[positions]].astype(np.float64)) ** 2).sum(-1)
    different = there != rows[positions]
    assert (np.abs(exact - reference)[different] <= 1e-5).all() and different.mean() < 0.01
    assert (neighbours[:, len(rows) :] == -1).all() and np.isinf(distances[:, len(rows) :]).all()


@pytest.mark.parametrize("block", [7, 64, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("on_gpu", [False, True])
def test_blocks_give_the_neighbours_of_a_flat_index(monkeypatch, block, dtype, on_gpu):
    """on_gpu: the GPU's path, computed on the CPU."""
    monkeypatch.setattr(knn, "BLOCK_BYTES", block * DIM * 4)
    monkeypatch.setattr(knn, "_GPU_QUERIES", 13)
    if on_gpu:
        monkeypatch.setattr(knn, "_search_cpu", knn._search_gpu)
    database, queries = unit_vectors(300).astype(dtype), unit_vectors(40, 1)
    excluded = [0, 9, *range(14, 21), 299]
    tile, precision = faiss.cvar.distance_compute_blas_database_bs, torch.get_float32_matmul_precision()
    distances, neighbours = knn.search(database, queries, 20, excluded, [3])
    assert (faiss.cvar.distance_compute_blas_database_bs, torch.get_float32_matmul_precision()) == (tile, precision)
    assert (
        distances.dtype == np.float32
        and neighbours.dtype == np.int64
        and (neighbours[3] == -1).all()
        and np.isinf(distances[3]).all()
    )
    others = np.arange(40) != 3
    assert_same_neighbours(distances[others], neighbours[others], database, queries[others], 20, excluded)
    assert_same_neighbours(
        *knn.search(database, queries, 310, excluded), database, queries, 310, excluded
    )  # more than there are
    _, none = knn.search(database, queries, 2, range(300))
    assert (none == -1).all()


def test_the_gpu_is_asked_for_full_float32(monkeypatch):
    seen, before = [], torch.get_float32_matmul_precision()
    addmm = torch.addmm

    def record(*args, **options):
        seen.append(torch.get_float32_matmul_precision())
        return addmm(*args, **options)

    monkeypatch.setattr(torch, "addmm", record)
    torch.set_float32_matmul_precision("high")
    try:
        knn._search_gpu(unit_vectors(5), unit_vectors(2), 1, np.ones(5, bool), "cpu")
        assert seen == ["highest"] and torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_search_on_a_gpu(monkeypatch, dtype):
    monkeypatch.setattr(knn, "BLOCK_BYTES", 1000 * 512 * 4)
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        database, queries = unit_vectors(5000, dim=512).astype(dtype), unit_vectors(300, 1, dim=512)
        assert_same_neighbours(
            *knn.search(database, queries, 100, [4, 3000], device="cuda"), database, queries, 100, [4, 3000]
        )
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False


# --- faiss's indexes


@pytest.fixture
def kept(workdir):
    """A complete store of 600 descriptors, two of which are unreadable."""
    store = create_store(
        "s",
        [str(i) for i in range(600)],
        {"dtype": "float32", "num_images": 600, "dim": DIM, "block_size": 256, "identity": {}},
    )
    fill(store)
    return store


def search(store, factory, nprobe=None, k=20, exclude_queries=()):
    return search_index(store, unit_vectors(600)[[5, 100, 599]], k, factory, nprobe, exclude_queries)


@pytest.mark.parametrize("factory", ["IVF8,Flat", "HNSW16", "OPQ4_8,IVF4,PQ4x4", "SQ8", "IVF4,PQ4x4,RFlat"])
def test_an_index_is_built_kept_and_reused(kept, factory, caplog):
    caplog.set_level(logging.INFO)
    distances, neighbours = search(kept, factory, exclude_queries=[1])
    assert neighbours[:, 0].tolist() == [5, -1, 599] and not np.isin(neighbours, [0, 300]).any()
    assert np.isinf(distances[1]).all() and (np.diff(distances[0]) >= 0).all()
    assert "Building the faiss index" in caplog.text and f"faiss index {factory}" in caplog.text
    caplog.clear()
    again = search(kept, factory, exclude_queries=[1])
    np.testing.assert_array_equal(again[1], neighbours)
    assert "is read from s/index_" in caplog.text and "Building" not in caplog.text


def test_index_of_all_cells_is_exact_and_its_recall_is_said(kept, caplog):
    caplog.set_level(logging.INFO)
    _, neighbours = search(kept, "IVF8,Flat", nprobe=8)
    _, exact = knn.search(kept.descriptors, unit_vectors(600)[[5, 100, 599]], 20, kept.unreadable)
    np.testing.assert_array_equal(neighbours, exact)
    assert (
        "faiss index IVF8,Flat, nprobe 8, of 3 queries: its first 10 neighbours hold the exact nearest of 100.0%, "
        "and 100.0% of the exact 10"
    ) in caplog.text
    _, few = search(kept, "IVF8,Flat", nprobe=1, k=600)
    assert (
        (few == -1).any()
        and "nprobe 1, of 3 queries: its first 10 neighbours hold the exact nearest of 100.0%, and 100.0%"
        not in caplog.text
    )
    _, all_there = search(kept, "IVF8,Flat", nprobe=8, k=600)
    assert (all_there[:, :598] >= 0).all() and (all_there[:, 598:] == -1).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path + ".faiss", 400),
        lambda path: os.truncate(path + ".faiss", 50),
        lambda path: flip(path + ".json", 30),
        lambda path: pathlib.Path(path + ".json").write_text("[]"),
        lambda path: pathlib.Path(path + ".json").write_text(
            json.dumps({**json.loads(pathlib.Path(path + ".json").read_text()), "seed": 1})
        ),
    ],
)
def test_a_damaged_index_is_never_read(kept, damage, monkeypatch, caplog):
    _, neighbours = search(kept, "IVF8,Flat")
    damage(os.path.join("s", next(name for name in os.listdir("s") if name.endswith(".faiss")).removesuffix(".faiss")))
    with monkeypatch.context() as patch:
        patch.delattr(faiss, "read_index")
        np.testing.assert_array_equal(search(kept, "IVF8,Flat")[1], neighbours)
    assert caplog.text.count("rebuilding it") == 1
    search(kept, "IVF8,Flat")
    assert caplog.text.count("rebuilding it") == 1


def test_an_index_that_cannot_be_kept_serves_once(kept, monkeypatch, caplog):
    def full(*_):
        raise RuntimeError(
            "Error in virtual size_t faiss::FileIOWriter::operator() at x.cpp:1: write error: No space left on device"
        )

    monkeypatch.setattr(faiss, "write_index", full)
    _, neighbours = search(kept, "IVF8,Flat")
    assert neighbours[0, 0] == 5 and "The index is not kept: write error: No space left on device" in caplog.text
    assert not [
        name
        for name in os.listdir("s")
        if name.endswith((".faiss", ".json", ".tmp")) and name.startswith((".", "index"))
    ]


def test_an_index_of_a_temporary_store_is_not_kept(workdir):
    before = os.listdir()
    assert search(fill(temporary_store(600, DIM, block=256)), "IVF8,Flat")[1][0, 0] == 5 and os.listdir() == before


@pytest.mark.parametrize(
    ("factory", "nprobe", "message"),
    [
        ("nonsense", None, "'nonsense' cannot be made or searched: could not parse index string nonsense"),
        ("PQ5", None, "should be a multiple of the number of subquantizers"),
        ("IVF999999999999,Flat", None, "cannot be made"),
        ("IVF0,Flat", None, "needs at least 1 cell"),
        ("IVF601,Flat", None, "its 601 cells needs at least as many images, and the database has 600"),
        ("HNSW16", 4, "--faiss_nprobe 4: the index 'HNSW16' has no cells"),
    ],
)
def test_an_index_that_cannot_be_made_is_refused_at_once(factory, nprobe, message):
    with pytest.raises(UserError, match=message) as error:
        check_index(factory, nprobe, DIM, 600)
    assert "\n" not in str(error.value) and ".cpp" not in str(error.value)


def test_training_that_needs_more_vectors_than_there_are(kept):
    check_index("PQ4x10", None, DIM, 600)
    with pytest.raises(
        UserError, match="^--faiss_index 'PQ4x10' cannot be made or searched: Number of training points"
    ) as error:
        search(kept, "PQ4x10")
    assert "\n" not in str(error.value)


# --- eval.py


def test_eval_reuses_descriptors_and_index(tiny, workdir, caplog, capsys):
    save_network(GeoLocalizationNet("Small", 16), "model.pth")
    flags = ["--dataset_folder", tiny, "--resume_model", "model.pth", "--device", "cpu", "--num_workers", "0"]
    caplog.set_level(logging.INFO)
    runs = {
        "first": [],
        "again": [],
        "index": ["--faiss_index", "IVF4,Flat", "--faiss_nprobe", "4"],
        "uncached": ["--no_descriptors_cache"],
        "half": ["--descriptors_dtype", "float16"],
        "full": ["--descriptors_cache_size", "0"],
    }
    logs = {}
    for name, extra in runs.items():
        caplog.clear()
        assert eval_script.main(flags + extra) == 0
        logs[name] = caplog.text
    recalls = {
        name: next(line for line in log.splitlines() if "R@1: " in line).split("R@1")[1] for name, log in logs.items()
    }
    assert recalls["first"] == recalls["again"] == recalls["index"] == recalls["uncached"] == recalls["full"]
    assert [log.count("are read from cache/descriptors") for log in logs.values()] == [0, 2, 2, 0, 0, 0]
    assert "faiss index IVF4,Flat, nprobe 4, of 12 queries" in logs["index"]
    assert len([name for name in os.listdir("cache/descriptors") if not name.endswith(".lock")]) == 4
    with pytest.raises(SystemExit) as exit_:
        eval_script.main([*flags, "--faiss_index", "IVF4096,PQ64"])
    assert exit_.value.code == 2 and "error: --faiss_index 'IVF4096,PQ64'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit_:
        eval_script.main([*flags, "--faiss_nprobe", "4"])
    assert exit_.value.code == 2 and "--faiss_nprobe is for approximate search" in capsys.readouterr().err


def test_benchmark_prints_its_table(workdir, capsys):
    for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]:
        benchmark.main(
            [
                "--vectors",
                "3000",
                "--reference_vectors",
                "2000",
                "--dim",
                "16",
                "--queries",
                "20",
                "--folder",
                ".",
                "--repeats",
                "1",
                "--device",
                device,
            ]
        )
        printed = capsys.readouterr().out
        assert (
            "| IndexFlatL2 | 2000 |" in printed
            and "| retrieval.knn | 3000 |" in printed
            and printed.strip().endswith("1e-05: yes")
        )
    assert os.listdir() == []
