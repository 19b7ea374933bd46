"""What training on small sets needs: an early end, an average of the weights, a learning rate of the last layer."""

import glob
import logging
import os
import shutil
from types import SimpleNamespace

import pytest
import torch

import train
from model.network import GeoLocalizationNet
from support.errors import UserError
from support.files import read_tensors
from tests.failures import Killed, at_step, kill
from tests.ranks import all_ranks
from tests.scripts import assert_equal, assert_same_end, fails, run, weights
from tests.tiny import FEW, SHORT
from training.early_stopping import epochs_left
from training.moving_average import MovingAverage
from training.optimizers import make_adam
from training.run import Run
from training.run_state import _restore_average, _restore_optimizer

# --- an early end


def run_with(recalls, epochs_num, patience):
    """The epochs that are trained where validations give these recalls."""
    run, trained = SimpleNamespace(epoch=0, best_recall1=-1.0, best_epoch=-1, epochs_since_best=0), []
    for epoch in epochs_left(run, epochs_num, patience):
        trained.append(epoch)
        Run.take_recall1(run, recalls[epoch])
        run.epoch += 1
    return trained


@pytest.mark.parametrize(
    ("recalls", "patience", "trained"),
    [
        ([10, 20, 20, 15, 30, 40], 2, 4),  # an equal recall is no rise
        ([10, 20, 20, 15, 30, 40], 3, 6),
        ([10, 9, 11, 10, 12, 11], 2, 6),
        ([10, 9], 1, 2),
        ([10, 9, 8, 7, 6, 5, 4], None, 7),
    ],
)
def test_a_training_ends_after_so_many_epochs_without_a_rise(recalls, patience, trained):
    assert run_with(recalls, len(recalls), patience) == list(range(trained))


def test_that_a_training_can_end_is_said_once(caplog):
    caplog.set_level(logging.INFO)
    run_with([10, 20, *[15] * 16], 18, None)
    (message,) = caplog.messages
    assert message.startswith(
        "R@1 has not risen for 6 epochs: the best was 20.0, in Epoch 01. The training can end: --pat"
    )
    caplog.clear()
    run_with([10, *[5] * 5], 6, None)  # at the end of the last epoch there is nothing to say
    run_with([10, 9, 8, 7, 6], 5, None)
    assert not caplog.messages


ENDS = ["--iterations_per_epoch", 1, "--epochs_num", 9, "--patience", 2]


@pytest.fixture
def recalls(monkeypatch):
    """Validations whose best is Epoch 01."""
    values, original = [50.0, 60.0, 55.0, 60.0, 40.0, 30.0, 20.0, 10.0, 0.0], Run.take_recall1
    monkeypatch.setattr(Run, "take_recall1", lambda run, _: original(run, values[run.epoch]))


def test_an_early_end_is_the_same_after_a_kill(tiny, workdir, monkeypatch, recalls):
    """With the average of --ema, which goes on as well."""
    flags = ["--dataset_folder", tiny, *FEW, *ENDS, "--ema", 0.5, "--fc_lr", 0.001, "--label_smoothing", 0.1]
    uninterrupted = run(train, *flags, "--save_dir", "uninterrupted")
    log = open(f"{uninterrupted}/info.log").read()
    assert "R@1 has not risen for 2 epochs: the best was 60.0, in Epoch 01. With --patience 2 the training ends" in log
    assert "Trained for 4 epochs; best R@1 on < val" in log and "< test - " in log

    flags += ["--resume_train", "auto"]
    with monkeypatch.context() as context, pytest.raises(Killed):
        at_step(context, 3, kill)
        train.main([str(flag) for flag in flags])
    folder = run(train, *flags)
    assert_same_end(folder, uninterrupted)
    ours, theirs = (read_tensors(f"{path}/last_checkpoint.pth") for path in (folder, uninterrupted))
    assert ours["average_state_dict"]["steps"] == 4 and (ours["best_epoch"], ours["epochs_since_best"]) == (1, 2)
    assert_equal(ours["average_state_dict"]["network"], theirs["average_state_dict"]["network"])

    assert run(train, *flags) == folder  # it has ended, and tests again
    assert open(f"{folder}/info.log").read().count("the training ends after 4 of 9") == 2
    run(train, *flags, "--patience", 3)
    assert "With --patience 3 the training ends after 5 of 9" in open(f"{folder}/info.log").read()


def test_all_ranks_end_early_together(tiny, workdir):
    """The network stays as it is, and so does its recall."""
    flags = ["--dataset_folder", tiny, *FEW, *ENDS, "--patience", 1, "--freeze_bn", "--lr", 0]
    all_ranks(2, train.main, [str(flag) for flag in flags])
    (log,) = glob.glob("logs/default/*/info.log")
    assert "the training ends after 2 of 9" in open(log).read() and "< test - " in open(log).read()


# --- an average of the weights


def record_averages(*flags):
    """train.py: [(network, its average)] before the first step and after each."""
    found = []

    def copies(run):
        networks = run.network, run.average.network
        found.append([{key: value.clone() for key, value in network.state_dict().items()} for network in networks])

    with pytest.MonkeyPatch.context() as patch:
        for name in ("set_learning_rates", "end_epoch"):
            original = getattr(Run, name)
            patch.setattr(Run, name, lambda run, *args, original=original: (copies(run), original(run, *args)))
        train.main([str(flag) for flag in flags])
    return found


@pytest.mark.parametrize(
    ("processes", "flags"), [(1, []), (2, []), (2, ["--parallel", "groups", "--local_steps", 1])], ids=str
)
def test_the_average_is_the_one_computed_by_hand(tiny, workdir, processes, flags):
    flags = ["--dataset_folder", tiny, *FEW, *flags, "--epochs_num", 1, "--lr", 0.001, "--ema", 0.2]
    results = [record_averages(*flags)] if processes == 1 else all_ranks(processes, record_averages, *flags)
    for (_, average), (_, other) in zip(results[0], results[-1], strict=True):
        assert_equal(average, other)
    networks, averages = zip(*results[0], strict=True)
    assert len(networks) == 5
    expected = {}
    for network, decay in zip(networks[1:], (0.0, 0.1, 2 / 11, 0.2), strict=True):  # the last would be 3 / 12
        expected = {key: decay * expected.get(key, 0.0) + (1 - decay) * network[key].double() for key in network}
    for key, value in averages[-1].items():
        wanted = expected[key] if value.is_floating_point() else networks[-1][key]
        torch.testing.assert_close(value.double(), wanted.double(), rtol=1e-5, atol=1e-6)
    assert any((averages[-1][key] - networks[-1][key]).abs().max() > 1e-4 for key in expected)


def test_the_average_is_kept_and_the_network_trained(tiny, whole, workdir):
    folder = run(train, "--dataset_folder", tiny, *SHORT, "--ema", 0.9, "--keep_every", 1)
    state = read_tensors(f"{folder}/last_checkpoint.pth")
    assert_equal(weights(folder), weights(whole))
    assert_equal(weights(folder, "epoch_002.pth"), state["average_state_dict"]["network"])
    assert_equal(weights(folder, "best_model.pth"), weights(folder, f"epoch_{state['best_epoch'] + 1:03d}.pth"))
    bias = "aggregation.3.bias"
    assert not torch.equal(weights(folder, "epoch_002.pth")[bias], weights(folder)[bias])


def test_frozen_layers_and_a_decay_of_zero():
    network = GeoLocalizationNet("Small", 8)
    average = MovingAverage(network, 0.0)
    for _ in range(3):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += parameter.requires_grad
        average.update(network)
        assert_equal(average.network.state_dict(), network.state_dict())


def test_an_average_that_does_not_fit_is_refused():
    average = MovingAverage(torch.nn.Linear(3, 2), 0.9)
    sound = average.state_dict()
    for damaged in (
        {},
        {**sound, "network": {}},
        {**sound, "network": torch.nn.Linear(4, 2).state_dict()},
        {**sound, "steps": "many"},
        None,
    ):
        with pytest.raises(UserError, match="x.pth is damaged: its moving average does not fit its network"):
            _restore_average({"average_state_dict": damaged}, "x.pth", average)


# --- a learning rate of the last layer


def test_the_last_layer_is_a_group_of_its_own():
    network = GeoLocalizationNet("Small", 8)
    one, two = (make_adam(network, 0.1, torch.device("cpu"), fc_lr) for fc_lr in (None, 0.5))
    assert len(one.param_groups) == 1 and [group["lr"] for group in two.param_groups] == [0.1, 0.5]
    assert {id(parameter) for parameter in two.param_groups[1]["params"]} == {
        id(parameter) for parameter in network.aggregation[3].parameters()
    }
    numbers = [number for group in two.state_dict()["param_groups"] for number in group["params"]]
    assert numbers == one.state_dict()["param_groups"][0]["params"]


@pytest.mark.parametrize("rates", [(None, 0.5), (0.5, None), (0.5, 0.5), (0.2, 0.5)])
def test_moments_find_their_parameters_in_other_groups(rates):
    network = GeoLocalizationNet("Small", 8)
    saved, target = (make_adam(network, 0.1, torch.device("cpu"), rate) for rate in rates)
    for parameter in network.parameters():
        parameter.grad = torch.rand_like(parameter)
    saved.step()
    before = [group["lr"] for group in target.param_groups]
    _restore_optimizer(target, saved.state_dict(), "x.pth")
    assert all(torch.equal(target.state[p]["exp_avg"], saved.state[p]["exp_avg"]) for p in network.parameters())
    assert [group["lr"] for group in target.param_groups] == before
    assert [group["initial_lr"] for group in target.param_groups] == before


def test_moments_of_another_number_of_parameters_are_refused():
    networks = GeoLocalizationNet("Small", 8), GeoLocalizationNet("VGG16", 8)
    target, saved = (
        make_adam(network, 0.1, torch.device("cpu"), rate) for network, rate in zip(networks, (0.5, None), strict=True)
    )
    with pytest.raises(UserError, match="an optimizer state of x.pth does not fit"):
        _restore_optimizer(target, saved.state_dict(), "x.pth")


def test_the_rate_of_the_last_layer_changes_that_layer_alone(tiny, whole, workdir):
    same = run(train, "--dataset_folder", tiny, *SHORT, "--fc_lr", 0.001)  # as --lr
    assert_equal(weights(same), weights(whole))
    shutil.copytree(whole, "logs/still/1")
    flags = ["--dataset_folder", tiny, *SHORT, "--save_dir", "still", "--resume_train", "auto"]
    # the state has one group, and no average
    folder = run(train, *flags, "--epochs_num", 3, "--fc_lr", 0, "--ema", 0.9, "--accept_changes")
    before, after = weights(whole), weights(folder)
    trained = [key for key, _ in GeoLocalizationNet("Small", 32).named_parameters()]
    assert {key for key in trained if torch.equal(before[key], after[key])} == {
        "aggregation.3.weight",
        "aggregation.3.bias",
    }
    log = open(f"{folder}/info.log").read()
    assert "is of a run without --ema: the average begins with the network as it is there" in log
    assert "The resumed run's learning rate was 0.001; going on with 0\n" in log


def test_runs_of_earlier_versions_had_none_of_it(tiny, whole, workdir, capsys):
    state = read_tensors(f"{whole}/last_checkpoint.previous.pth")
    for name in ("ema", "fc_lr", "label_smoothing"):
        del state["arguments"][name]
    del state["best_epoch"], state["epochs_since_best"]
    os.makedirs("logs/default/1")
    torch.save(state, "logs/default/1/last_checkpoint.pth")
    shutil.copy(f"{whole}/best_model.pth", "logs/default/1")
    flags = ["--dataset_folder", tiny, *SHORT, "--resume_train", "logs/default/1/last_checkpoint.pth"]
    changed = fails(train, capsys, *flags, "--ema", 0.9, "--fc_lr", 0.1, "--label_smoothing", 0.2)
    assert all(text in changed for text in ("--ema None, now 0.9", "--fc_lr None", "--label_smoothing 0.0, now 0.2"))
    folder = run(train, *flags, "--patience", 2)
    assert_equal(weights(folder), weights(whole))
