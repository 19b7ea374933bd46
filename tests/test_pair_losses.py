"""Pair losses: which pairs count, batches of several images a class, training with them, and what is refused."""

import builtins
import glob
import math
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import distributed
import train
from datasets.schedule import Schedule, pick_apart
from datasets.train_dataset import TrainDataset
from model import pair_losses
from model.choices import PAIR_LOSSES
from model.pair_losses import NoHead, PairLoss
from parser import parse_arguments
from support.errors import UserError
from tests.failures import Killed, at_step, kill
from tests.ranks import all_ranks
from tests.scripts import assert_same_end, fails, run
from tests.tiny import SHORT
from training.data import open_data
from training.optimizers import MixedPrecision
from training.ranks import ALONE
from training.run import Run
from training.sharded_head import GatheredPairs

pytest.importorskip("pytorch_metric_learning")
LABELS = torch.tensor([0, 0, 1, 1, 2])
# east, north, heading: 0 and 2 are near and look the same way across north; 1 looks back; 3 is between; 4 is far
PLACES = torch.tensor(
    [[4e5, 5e6, 355], [4e5 + 2, 5e6, 180], [4e5, 5e6 + 9, 5], [4e5 + 20, 5e6, 0], [4e5, 5e6 + 80, 0]],
    dtype=torch.float64,
)
PAIRS = ["--loss", "multi_similarity", "--images_per_class", "2", "--positives", "12,40"]


def pairs_of(mask):
    return {tuple(pair) for pair in mask.nonzero().tolist() if pair[0] < pair[1]}


def test_pairs_of_one_class_and_pairs_that_do_not_count():
    positive, negative = PairLoss("contrastive", {}).pairs(LABELS, PLACES)
    assert pairs_of(positive) == {(0, 1), (2, 3)} and not positive.diagonal().any()
    assert pairs_of(negative) == {(0, 4), (1, 4), (2, 4), (3, 4)}  # the others are within 25 m
    assert torch.equal(positive, positive.T) and torch.equal(negative, negative.T)


def test_pairs_that_are_near_and_look_the_same_way():
    positive, negative = PairLoss("contrastive", {}, near=(10, 40), apart=19).pairs(LABELS, PLACES)
    assert pairs_of(positive) == {(0, 2)}
    assert pairs_of(negative) == {(0, 3), (2, 3), (0, 4), (1, 4), (2, 4), (3, 4)}  # 1 and 3 are 18 m apart


def multi_similarity(descriptors, positive, negative, alpha, beta, base, margin=0.1):
    """Equations 6, 7 and 10 of the paper, pair by pair."""
    similarity, total = (descriptors @ descriptors.T).tolist(), 0.0
    for row, mine in enumerate(similarity):
        good = [mine[k] for k in range(len(mine)) if positive[row, k]]
        bad = [mine[k] for k in range(len(mine)) if negative[row, k]]
        hard_good = [s for s in good if s - margin < max(bad, default=-math.inf)]
        hard_bad = [s for s in bad if s + margin > min(good, default=math.inf)]
        total += math.log(1 + sum(math.exp(-alpha * (s - base)) for s in hard_good)) / alpha
        total += math.log(1 + sum(math.exp(beta * (s - base)) for s in hard_bad)) / beta
    return total / len(similarity)


@pytest.mark.parametrize("options", [{}, {"alpha": 1.0, "base": 0.0}])
def test_multi_similarity_is_the_papers(options):
    descriptors = F.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    loss = PairLoss("multi_similarity", options, weight=3.0)
    values = {"alpha": 2, "beta": 50, "base": 0.5, **options}
    expected = multi_similarity(descriptors, *loss.pairs(LABELS, PLACES), **values)
    assert loss(descriptors, LABELS, PLACES).item() == pytest.approx(3 * expected, rel=1e-9)
    assert loss(7 * descriptors, LABELS, PLACES).item() == pytest.approx(3 * expected, rel=1e-9)


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_every_pair_loss_draws_positives_together(name):
    descriptors = F.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(1)))
    loss, far = PairLoss(name, {}), PLACES * torch.tensor([1, 9, 1])
    before = loss(descriptors.requires_grad_(), LABELS, far)
    before.backward()
    assert torch.isfinite(descriptors.grad).all() and descriptors.grad.abs().sum() > 0
    after = F.normalize(descriptors.detach() - 0.05 * F.normalize(descriptors.grad))
    assert loss(after, LABELS, far) < before


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_a_batch_without_pairs_has_no_gradient(name):
    descriptors = F.normalize(torch.randn(3, 8)).requires_grad_()
    loss = PairLoss(name, {})(descriptors, torch.arange(3), torch.zeros(3, 3, dtype=torch.float64))
    loss.backward()
    assert loss.item() == 0 and descriptors.grad.abs().sum() == 0


def gathered():
    """(loss, gradient of this rank's descriptors)."""
    descriptors = torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    mine = descriptors[distributed.share(5)].clone().requires_grad_()
    loss = GatheredPairs(PairLoss("multi_similarity", {}), distributed)(mine, LABELS, PLACES)
    loss.backward()
    return loss.item(), mine.grad.tolist()


def test_ranks_have_the_loss_and_the_gradients_of_the_whole_batch(workdir):
    results = all_ranks(2, gathered)
    descriptors = torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()
    expected = PairLoss("multi_similarity", {})(descriptors, LABELS, PLACES)
    expected.backward()
    assert [loss for loss, _ in results] == pytest.approx([expected.item()] * 2, rel=1e-12)
    gradients = torch.tensor([row for _, rows in results for row in rows], dtype=torch.float64)
    torch.testing.assert_close(gradients, descriptors.grad, rtol=1e-9, atol=1e-12)


# --- batches


def test_images_of_a_class_are_other_ones_as_long_as_there_are_some():
    draws = np.random.default_rng(0).random(5)
    picks = [int(draw * 3) for draw in pick_apart(3, draws)]
    assert sorted(picks[:3]) == [0, 1, 2] and picks[3] != picks[4] and picks[0] == int(draws[0] * 3)


def test_a_batch_has_its_classes_once_and_then_again():
    schedule = Schedule([10], 8, 5, 1, seed=0, images_per_class=2)
    first, second = schedule.batch(0, 0), schedule.batch(0, 1)
    assert (first[:4] == first[4:]).all() and len({*first, *second}) == 8
    with pytest.raises(UserError, match="group 0 has 3 classes, fewer than a batch of 4"):
        Schedule([3], 8, 5, 1, seed=0, images_per_class=2)


def test_batches_of_training_images(tiny, workdir):
    args = parse_arguments("train", ["--dataset_folder", tiny, *SHORT, *PAIRS])
    data = open_data(args, 0, ALONE)
    assert isinstance(data.dataset, TrainDataset)
    batch = data.augmented(data.dataset[0])
    assert batch.labels[:2].tolist() == batch.labels[2:].tolist() and len(set(batch.names)) == 4
    ids = data.groups.class_ids(0)[batch.labels.numpy()]
    assert (batch.places.numpy()[:, :2] // 10 * 10 == ids[:, :2]).all() and (
        batch.places[:, 2].numpy() == ids[:, 2]
    ).all()


# --- training


@pytest.mark.parametrize(
    "flags", [PAIRS, ["--loss", "cosface+contrastive", "--images_per_class", "2", "--pair_weight", "0.5"]]
)
def test_killed_and_resumed_ends_as_the_uninterrupted_run(tiny, workdir, monkeypatch, flags):
    flags = ["--dataset_folder", tiny, *SHORT, *flags]
    with_head = "cosface+contrastive" in flags
    whole = run(train, *flags, "--num_workers", "1")
    flags += ["--resume_train", "auto", "--save_dir", "again", "--checkpoint_every", "1"]
    with monkeypatch.context() as context, pytest.raises(Killed):
        at_step(context, 4 + 1, kill)
        train.main(flags)
    assert_same_end(run(train, *flags), whole)
    log = open(f"{whole}/info.log").read()
    assert ("loss_classification = " in log, "loss_pairs = " in log) == (with_head, with_head)


def test_without_a_head_16_bits_need_no_fused_adam():
    """As on MPS, where Adam is not fused, and leaves the scaler to look for gradients that are not finite."""
    network, head = torch.nn.Linear(2, 2), NoHead(2, 3)
    optimizers = [torch.optim.Adam(module.parameters(), 0.1, fused=False) for module in (network, head)]
    run_ = Run(network, optimizers[0], [head], [optimizers[1]], MixedPrecision(torch.float16, torch.device("cpu")))
    before = network.weight.clone()
    run_.backward_and_update(network(torch.ones(1, 2)).sum(), 0)
    assert not torch.equal(network.weight, before)


def test_another_loss_is_not_resumed(tiny, workdir, capsys):
    flags = ["--dataset_folder", tiny, *SHORT, "--epochs_num", "1", "--images_per_class", "2"]
    folder = run(train, *flags, "--loss", "contrastive")
    resumed = [*flags, "--resume_train", f"{folder}/last_checkpoint.pth", "--loss"]
    for loss, message in (
        ("circle", "--loss contrastive, now circle"),
        ("cosface", "was trained with --loss a pair loss alone, not cosface"),
    ):
        with pytest.raises(SystemExit) as exit_:
            train.main([*resumed, loss])
        assert exit_.value.code == 2 and message in capsys.readouterr().err


# --- bad input


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--loss", "cosface+arcface"], "Choose a head"),
        (["--loss", "multi_similarity+cosface"], "Choose a head"),
        (["--loss", "contrastive+circle"], "Choose a head"),
        (["--loss", "+"], "Choose a head"),
        (["--loss", "cosface+"], "Choose a head"),
        (["--loss", "+circle"], "Choose a head"),
        (["--loss", "circle+"], "Choose a head"),
        (["--loss", "circle", "--images_per_class", "1"], "--images_per_class must be at least 2"),
        (["--loss", "circle", "--images_per_class", "5"], "--batch_size 32 must be a multiple of --images_per_class 5"),
        (["--loss", "circle", "--images_per_class", "32"], "of two classes at least"),
        (["--positives", "10,40"], "--positives needs a pair loss"),
        (["--pair_options", "alpha=1"], "--pair_options needs a pair loss"),
        (["--pair_weight", "0"], "--pair_weight needs a pair loss"),
        (["--loss", "circle", "--label_smoothing", "0.1"], "--label_smoothing belongs to a head"),
        (["--loss", "circle", "--pair_options", "m=1", "gamma=2", "m=3"], "--pair_options gives m more than once"),
        (["--loss", "circle", "--pair_options", " m=1"], "is not of the form NAME=NUMBER"),
        (["--loss", "circle", "--pair_weight", "2"], "--pair_weight is for a pair loss beside a head"),
        (["--loss", "circle", "--loss_m", "0.3"], "belong to a head"),
        (["--loss", "circle", "--positives", "10"], "is not two numbers"),
        (["--loss", "circle", "--positives", "10,200"], "is not a finite number from 0 to 180"),
        (["--loss", "circle", "--pair_options", "m"], "is not of the form NAME=NUMBER"),
    ],
)
def test_what_does_not_go_together_is_refused(workdir, capsys, flags, message):
    with pytest.raises(SystemExit) as exit_:
        parse_arguments("train", ["--dataset_folder", "d", *flags])
    assert exit_.value.code == 2 and message in capsys.readouterr().err


def test_options_that_a_pair_loss_does_not_have():
    with pytest.raises(UserError, match="circle has no alpha; its options are: m, gamma"):
        PairLoss("circle", {"alpha": 1.0})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("multi_similarity", {"alpha": 0.0}, "multi_similarity refuses these values: "),
        ("multi_similarity", {"beta": 1e300}, "is not finite with beta=1e\\+300"),
        ("nt_xent", {"temperature": 0.0}, "is not finite with temperature=0"),
    ],
)
def test_values_that_give_no_number_are_refused_before_a_training(name, options, message):
    state = torch.get_rng_state()
    with pytest.raises(UserError, match=message):
        PairLoss(name, options)
    PairLoss("triplet_margin", {"triplets_per_anchor": 1.0})
    assert torch.equal(torch.get_rng_state(), state)


def test_without_the_package_a_line_says_what_to_install(monkeypatch):
    importing = builtins.__import__
    pair_losses._package.cache_clear()
    monkeypatch.setattr(pair_losses.importlib, "import_module", lambda name: importing("no." + name))
    with pytest.raises(UserError, match="pip install -r requirements-losses.txt"):
        PairLoss("circle", {})
    pair_losses._package.cache_clear()


def test_positives_that_look_the_same_way_need_headings(tiny, workdir):
    args = parse_arguments("train", ["--dataset_folder", tiny, *SHORT, *PAIRS])
    data = open_data(args, 0, ALONE)
    batch = data.dataset[0]
    batch.names[0] = "@1@2@@@@@@@@@@@@@@.jpg"
    with pytest.raises(
        UserError, match="has no heading .field 9.. Without headings: train.py --method cosplace --alpha 360 --L 1"
    ):
        data.augmented(batch)
    data.headings = False
    assert data.augmented(data.dataset[0]).places.shape == (4, 3)


def test_images_without_headings_are_refused_before_a_training(copy, capsys):
    path = glob.glob("copy/train/sub/*@030.00@*.jpg")[0]
    os.rename(path, path.replace("@030.00@", "@@"))
    flags = ["--dataset_folder", copy, *SHORT, *PAIRS, "--alpha", 360]
    assert "has no heading (field 9)" in fails(train, capsys, *flags)
    assert not glob.glob("logs/*/*/last_checkpoint.pth")
    args = parse_arguments("train", [*map(str, flags), "--positives", "12,180"])
    assert not open_data(args, 0, ALONE).headings
