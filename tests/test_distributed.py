"""Many ranks against one process: shares, evaluation, training, and what happens when one of them fails."""

import glob
import os
import re
import shutil
import socket

import numpy as np
import pytest
import torch

import distributed
import eval
from retrieval import knn
from tests.descriptors import assert_same, evaluation
from tests.ranks import all_ranks, run_ranks


@pytest.fixture(autouse=True)
def _in_workdir(workdir):
    """Ranks leave files."""


# --- ranks, shares, reductions


def test_a_process_on_its_own_joins_nothing():
    rows = torch.arange(3)
    with distributed.joined():
        assert (distributed.rank(), distributed.size(), distributed.is_main(), distributed.quiet()) == (
            0,
            1,
            True,
            None,
        )
        assert (
            distributed.share(7) == slice(0, 7)
            and distributed.gather({"a": 1}) == [{"a": 1}]
            and distributed.from_main(2) == 2
        )
        assert distributed.all_reduce(rows, "x") is rows and distributed.gather_rows(rows, [3], "x") is rows
        assert (
            distributed.settle(2, "why") == (2, "why")
            and not distributed.traffic
            and not torch.distributed.is_initialized()
        )


def collectives():
    rank = distributed.rank()
    tensors = [torch.full((2, 2), rank + 1.0), torch.tensor(rank + 0.5)]
    distributed.sum_flat(tensors, "gradients")
    part = distributed.share(7)
    return {
        "shares": [part.start, part.stop],
        "flat": [tensor.tolist() for tensor in tensors],
        "maximum": distributed.all_reduce(torch.tensor([rank, -rank]), "x", maximum=True).tolist(),
        "rows": distributed.gather_rows(torch.arange(7)[part], [2, 2, 3], "y").tolist(),
        "values": distributed.gather({"é": [rank] * rank}),
        "main": distributed.from_main(rank),
        "traffic": dict(distributed.traffic),
        "turns": [tensor.tolist() for (tensor,) in distributed.each_in_turn([torch.tensor([rank])])],
        "quiet": distributed.quiet(),
    }


def test_collectives():
    results = all_ranks(3, collectives)
    assert [result.pop("shares") for result in results] == [[0, 2], [2, 4], [4, 7]]
    assert [result.pop("quiet") for result in results] == [None, True, True]
    assert (
        results[0]
        == results[1]
        == results[2]
        == {
            "flat": [[[6.0, 6.0], [6.0, 6.0]], 4.5],
            "maximum": [2, 0],
            "rows": list(range(7)),
            "values": [{"é": []}, {"é": [1]}, {"é": [2, 2]}],
            "main": 0,
            "turns": [[0], [1], [2]],
            "traffic": {"gradients": 20, "x": 16, "y": 24},
        }
    )


# --- evaluation


def test_equal_distances_are_in_the_order_of_the_database():
    """Whatever the blocks: with copies of the same descriptors, and more of them than are asked for."""
    rng = np.random.default_rng(0)
    database = np.repeat(rng.normal(size=(40, 8)).astype(np.float32), 5, axis=0)[rng.permutation(200)]
    queries = rng.normal(size=(9, 8)).astype(np.float32)
    exact = ((queries[:, None].astype(np.float64) - database) ** 2).sum(-1).astype(np.float32)
    expected = np.lexsort((np.broadcast_to(np.arange(200), exact.shape), exact), axis=1)[:, :12]
    np.testing.assert_array_equal(knn.search(database, queries, 12)[1], expected)
    parts = [knn.search(database[part], queries, 12) for part in (slice(0, 7), slice(7, 130), slice(130, 200))]
    indices = [found + start * (found >= 0) for (_, found), start in zip(parts, (0, 7, 130), strict=True)]
    distances = np.concatenate([distances for distances, _ in parts], axis=1)
    np.testing.assert_array_equal(knn.nearest(distances, np.concatenate(indices, axis=1), 12)[1], expected)


@pytest.mark.parametrize("number", [2, 3])
def test_a_sharded_evaluation_is_that_of_one_process(places, number):
    alone = evaluation(None)
    assert list(alone[2]) == [11] and list(alone[3]) == [18]
    for folder in (None, "kept"):
        results = all_ranks(number, evaluation, folder)
        for result in results:
            assert_same(result, alone)
        assert sum(result[4] for result in results) == 38 and max(result[4] for result in results) < 25
    assert evaluation("kept")[4] == 0  # one process reads what they have kept, and they what one has
    assert_same(evaluation("kept"), alone)
    (kept,) = (name for name in os.listdir("kept") if name.startswith("db") and not name.endswith(".lock"))
    assert sorted(os.listdir(f"kept/{kept}")) == ["descriptors.npy", "header.json", "names.txt", "stamps"]
    for result in all_ranks(number, evaluation, "kept"):
        assert_same(result, alone)
        assert result[4] == 0


def run_eval(*flags):
    """eval.main's recalls and predictions on this rank."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            eval, "evaluate", lambda args, folder, evaluate=eval.evaluate: found.append(evaluate(args, folder))
        )
        code = eval.main([str(flag) for flag in flags])
    return code, found[0].predictions, found[0].recalls


def test_eval_writes_and_says_once_what_one_process_does(tiny, workdir, monkeypatch):
    flags = [
        "--test_set_folder",
        f"{tiny}/test",
        "--backbone",
        "Small",
        "--backbone_weights",
        "none",
        "--fc_output_dim",
        32,
        "--device",
        "cpu",
        "--num_workers",
        0,
        "--num_preds_to_save",
        2,
        "--report",
        "report.html",
    ]
    _, predictions, recalls = run_eval(*flags, "--save_dir", "one")
    os.rename("report.html", "expected.html")
    shutil.rmtree("cache")
    for code, theirs, their_recalls in all_ranks(2, run_eval, *flags, "--save_dir", "two"):
        assert not code
        np.testing.assert_array_equal(theirs, predictions)
        np.testing.assert_array_equal(their_recalls, recalls)
    logs = [open(glob.glob(f"logs/{name}/*/info.log")[0]).read() for name in ("one", "two")]
    lines = [
        re.findall(r"R@\d+: [\d.]+ \(95%.*|Predictions of \d+ queries|The report is in .*|Experiment finished.*", log)
        for log in logs
    ]
    assert lines[0] and lines[0] == lines[1]
    pictures = [
        sorted(os.path.basename(name) for name in glob.glob(f"logs/{name}/*/preds/*")) for name in ("one", "two")
    ]
    assert (
        pictures[0]
        and pictures[0] == pictures[1]
        and os.path.getsize("report.html") == os.path.getsize("expected.html")
    )


def test_another_number_of_ranks_goes_on_with_an_extraction(places):
    with pytest.raises(KeyboardInterrupt):
        evaluation("kept", fail_after=10)
    alone = evaluation(None)
    results = all_ranks(3, evaluation, "kept")
    for result in results:
        assert_same(result, alone)
    assert 0 < sum(result[4] for result in results) < 38


def test_an_approximate_index_is_rank_0s(places):
    approximate = evaluation("kept", faiss_index="IVF2,Flat")
    for result in all_ranks(2, evaluation, "kept", "IVF2,Flat"):
        assert_same(result, approximate)


def leave():
    code, _ = distributed.settle(2, "why")
    os._exit(code)


def test_rank_0_takes_its_store_away_last(workdir, capfd):
    """Without torchrun the store is rank 0's, and PyTorch prints a stack on others that look at it later."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = {"TORCHELASTIC_USE_AGENT_STORE": "False", "MASTER_PORT": str(free.getsockname()[1])}
    assert run_ranks(3, leave, variables=dict.fromkeys(range(3), own))[1] == [2] * 3
    assert "c10d" not in capfd.readouterr().err
