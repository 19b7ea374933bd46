"""train.py with many ranks against one process."""

import csv
import functools
import glob
import multiprocessing
import os
import re
import shutil
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import commons
import distributed
import train
from datasets.schedule import Schedule
from model.network import GeoLocalizationNet
from model.state_dicts import digest_tensors
from support.errors import UserError
from support.files import read_tensors
from tests.failures import at_step, send
from tests.ranks import all_ranks, run_ranks
from tests.tiny import FEW, FLAGS
from training import build
from training.ranks import Alone, GroupParallel


@pytest.fixture(autouse=True)
def _in_workdir(workdir):
    """Ranks leave files."""


def run(*flags):
    train.main([str(flag) for flag in flags])


def trained(save_dir):
    """(log folder, the state of last_checkpoint.pth, metrics.csv's rows)."""
    folder, state = trained_so_far(save_dir)
    with open(f"{folder}/metrics.csv") as file:
        return folder, state, list(csv.DictReader(file))


def trained_so_far(save_dir):
    """As trained, of a run that may have no metrics yet."""
    (folder,) = glob.glob(f"logs/{save_dir}/*")
    return folder, read_tensors(f"{folder}/last_checkpoint.pth")


def largest_difference(state, expected):
    """Of all weights of network and heads."""
    pairs = [
        (state["model_state_dict"], expected["model_state_dict"]),
        *zip(state["classifiers_state_dict"], expected["classifiers_state_dict"], strict=True),
    ]
    return max((a[key].double() - b[key].double()).abs().max().item() for a, b in pairs for key in b)


def assert_equal(a, b):
    """Two states, bit by bit, wherever they have tensors."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a.keys() - {"seconds", "environment", "random_state"}:
            assert_equal(a[key], b[key])
    elif isinstance(a, list):
        for one, other in zip(a, b, strict=True):
            assert_equal(one, other)
    else:
        assert a == b or a != a


FIFTY = [
    *FLAGS,
    "--freeze_bn",
    "--backbone",
    "Small",
    "--batch_size",
    "7",
    "--epochs_num",
    "2",
    "--iterations_per_epoch",
    "25",
]


def assert_same_trajectory(one, many, rows, other_rows):
    """One process and many: their states, and metrics.csv's rows."""
    assert largest_difference(many, one) < 1e-4
    for row, other in zip(rows, other_rows, strict=True):
        assert row["images_crc32"] == other["images_crc32"]
        assert float(row["loss"]) == pytest.approx(float(other["loss"]), rel=1e-4)
        assert (
            abs(float(row["R@1"]) - float(other["R@1"])) < 9
        )  # one of 12 queries: untrained descriptors are near to each other


def test_many_processes_follow_the_trajectory_of_one(tiny):
    flags = ["--dataset_folder", tiny, *FIFTY]
    run(*flags, "--save_dir", "one")
    _, one, rows = trained("one")
    all_ranks(3, run, *flags, "--save_dir", "many")  # two are compared in float64 below
    folder, many, other_rows = trained("many")
    assert_same_trajectory(one, many, rows, other_rows)
    assert "Traceback" not in open(f"{folder}/info.log").read() and os.path.exists(f"{folder}/debug_rank1.log")
    assert all(name in open(f"{folder}/info.log").read() for name in ("Epoch 01", "R@1"))


def run_in_float64(*flags):
    """train.py, without its test, in which all that is float32 is float64; for a process of its own."""
    torch.set_default_dtype(torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        patch.setattr(train, "test_best", lambda *_: None)
        run(*flags)


def test_in_float64_two_processes_follow_the_trajectory_of_one(tiny):
    """To 1e-10 after 25 steps, so that no error can pass as rounding."""
    flags = ["--dataset_folder", tiny, *FIFTY, "--epochs_num", 1, "--lr", 0.001, "--image_size", 32]
    for number in (1, 2):
        all_ranks(number, run_in_float64, *flags, "--save_dir", f"many{number}")
    (_, one, rows), (_, two, other_rows) = trained("many1"), trained("many2")
    assert one["classifiers_state_dict"][0]["weight"].dtype == torch.float64
    assert largest_difference(two, one) < 1e-10
    assert float(rows[0]["loss"]) == pytest.approx(float(other_rows[0]["loss"]), abs=1e-10)


# what train.py is given for a variant of a head and a domain adaptation
PAPER = ["--domain_batch_size", "5"]
FORK = (
    "--loss arcface --head_variant fork --aada_autoencoder conv --domain_batch_size 6 --domain_target_images 3 "
    "--domain_pseudo_images 1 --domain_source group"
).split()


def record_traffic(*flags):
    """The bytes of each kind that this rank has told the others in all of train.py."""
    run(*flags)
    return dict(distributed.traffic)


def test_frozen_parameters_are_never_communicated(tiny):
    flags = [flag for flag in FEW if flag != "--train_all_layers"]
    (traffic, _) = all_ranks(
        2, record_traffic, "--dataset_folder", tiny, *flags, "--epochs_num", 1, "--save_dir", "frozen"
    )
    network = GeoLocalizationNet("Small", 32)
    trained_parameters = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert (
        traffic["gradients"]
        == 4 * 4 * trained_parameters
        < 4 * 4 * sum(parameter.numel() for parameter in network.parameters())
    )
    assert traffic["descriptors"] == 4 * 4 * 2 * 32  # two of four images; the head's gradient is not there


@pytest.mark.parametrize("variant", ["paper", "fork"])
def test_domain_adaptation_and_pseudo_targets_follow_the_trajectory_of_one(tiny, variant):
    """With stochastic depth, whose draws are the whole batch's."""
    shutil.copytree(f"{tiny}/train", "pseudo")
    shutil.copytree(f"{tiny}/val/database", "target")
    flags = [
        "--dataset_folder",
        tiny,
        *FLAGS,
        "--freeze_bn",
        "--backbone",
        "SmallDropping",
        "--image_size",
        "32",
        "--batch_size",
        "5",
        "--iterations_per_epoch",
        "4",
        "--groups_num",
        "1",
        "--pseudo_target_folder",
        "pseudo",
        "--target_dataset_folder",
        "target",
        "--domain_adaptation",
        "aada",
        *{"paper": PAPER, "fork": FORK}[variant],
        "--aada_m",
        "300",
        "--domain_lr",
        "1e-3",
    ]
    run(*flags, "--save_dir", "one")
    all_ranks(3, run, *flags, "--save_dir", "many")
    (_, one, rows), (_, many, other_rows) = trained("one"), trained("many")
    assert largest_difference(many, one) < 1e-4 and float(rows[0]["loss"]) > 0
    for key, value in one["domain_state_dict"].items():
        # a gradient of nearly zero may have either sign, and Adam makes the same step of it
        assert (many["domain_state_dict"][key] - value).abs().mean() < 5e-5, key  # of 8 steps of 1e-3
    for row, other in zip(rows, other_rows, strict=True):
        assert row["images_crc32"] == other["images_crc32"]
        for key in (key for key in row if key.startswith("loss")):
            assert float(row[key]) == pytest.approx(float(other[key]), rel=1e-3), key


def test_another_number_of_processes_goes_on_with_the_trajectory(tiny):
    flags = ["--dataset_folder", tiny, *FEW, "--freeze_bn", "--image_size", "64"]
    run(*flags, "--save_dir", "one")
    _, codes, errors = run_ranks(3, run_and_stop, 4 + 2, signal.SIGTERM, *flags, "--save_dir", "many")
    assert codes == [128 + signal.SIGTERM] * 3, "\n".join(errors)
    all_ranks(2, run, *flags, "--save_dir", "many", "--resume_train", "auto")
    (_, one, rows), (folder, many, other_rows) = trained("one"), trained("many")
    assert_same_trajectory(one, many, rows, other_rows)
    assert "The resumed run had 3 processes, now 2: the same batches" in open(f"{folder}/info.log").read()


def test_groups_go_on_with_another_number_of_processes(tiny):
    flags = ["--dataset_folder", tiny, *FEW, "--iterations_per_epoch", 6, "--parallel", "groups", "--local_steps", 2]
    _, codes, errors = run_ranks(2, run_and_stop, 6 + 3, signal.SIGTERM, *flags, "--save_dir", "groups")
    assert codes == [128 + signal.SIGTERM] * 2, "\n".join(errors)
    before = trained("groups")[1]
    run(*flags, "--save_dir", "groups", "--resume_train", "auto")
    folder, state, rows = trained("groups")
    assert state["epoch_num"] == 2 and [row["group"] for row in rows] == ["0+1", "0+1"]
    assert (
        "The resumed run had 2 processes, now 1: groups take turns from this step on"
        in open(f"{folder}/info.log").read()
    )
    for old, new in zip(before["classifiers_state_dict"], state["classifiers_state_dict"], strict=True):
        assert old["weight"].shape == new["weight"].shape == (12, 32)
    moved = [
        not torch.equal(old["weight"], new["weight"])
        for old, new in zip(before["classifiers_state_dict"], state["classifiers_state_dict"], strict=True)
    ]
    assert moved == [False, True]  # by the last two steps, which are turn 5 of one process


def plain_sgd(module, lr, device, fc_lr=None):
    optimizer = torch.optim.SGD(module.parameters(), lr=lr)
    for parameters in optimizer.param_groups:
        parameters["initial_lr"] = lr
    return optimizer


def run_with_sgd(*flags, place=None):
    """train.py with plain gradient descent; place: of two ranks that train a group each, but alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "make_adam", plain_sgd)
        if place is not None:
            patch.setattr(Alone, "places", (place, 2))
        run(*flags)


def test_groups_averaged_at_every_step_descend_their_mean_gradient(tiny):
    flags = [
        "--dataset_folder",
        tiny,
        *FEW,
        "--parallel",
        "groups",
        "--local_steps",
        1,
        "--iterations_per_epoch",
        1,
        "--epochs_num",
        1,
        "--freeze_bn",
        "--lr",
        0.1,
    ]
    all_ranks(2, run_with_sgd, *flags, "--save_dir", "both")
    for place in range(2):
        run_with_sgd(*flags, "--save_dir", f"group{place}", place=place)
    first, second, both = (trained(name)[1]["model_state_dict"] for name in ("group0", "group1", "both"))
    assert max((first[key] - second[key]).abs().max() for key in first) > 1e-3
    for key, value in both.items():
        torch.testing.assert_close(
            value.double(), (first[key].double() + second[key].double()) / 2, rtol=1e-6, atol=1e-6
        )


def record_averages(*flags):
    """The digests of this rank's network and moments wherever the networks have been averaged."""
    digests = []
    with pytest.MonkeyPatch.context() as patch:
        average = GroupParallel._average_networks

        def recorded(parallel, run):
            average(parallel, run)
            moments = [entry["exp_avg"] for entry in run.optimizer.state.values()]
            digests.append((digest_tensors(run.network.state_dict()), digest_tensors(dict(enumerate(moments)))))

        patch.setattr(GroupParallel, "_average_networks", recorded)
        run(*flags)
    return digests


@pytest.mark.parametrize("moments", ["keep", "average", "reset"])
def test_networks_are_bit_equal_after_each_average(tiny, moments):
    first, second = all_ranks(
        2,
        record_averages,
        "--dataset_folder",
        tiny,
        *FEW,
        "--parallel",
        "groups",
        "--local_steps",
        2,
        "--save_dir",
        "groups",
        "--epochs_num",
        1,
        "--local_moments",
        moments,
    )
    assert len(first) == 2 and first[0] != first[1]
    for (network, moment), (other_network, other_moment) in zip(first, second, strict=True):
        assert network == other_network and (moment == other_moment) == (moments != "keep")
    _, state, rows = trained("groups")
    assert rows[0]["group"] == "0+1" and len(state["optimizers_state_dict"]) == 2
    assert all(optimizer["state"] for optimizer in state["optimizers_state_dict"])  # of both ranks' heads


def test_one_process_with_an_epoch_a_turn_is_the_published_schedule(tiny):
    run("--dataset_folder", tiny, *FEW, "--save_dir", "published")
    for name, flags in (("groups", ["--parallel", "groups"]), ("turns", ["--group_schedule", "iteration"])):
        run("--dataset_folder", tiny, *FEW, *flags, "--local_steps", 4, "--save_dir", name)
        _, expected, rows = trained("published")
        _, state, other_rows = trained(name)
        assert largest_difference(state, expected) == 0 and [row["loss"] for row in rows] == [
            row["loss"] for row in other_rows
        ]


def test_groups_in_turn():
    joint = Schedule([9, 9, 9], 4, 6, 2, 0, local_steps=2)
    assert [joint.at(step)[1:] for step in range(8)] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (0, 2), (0, 3)]
    assert joint.groups_of(0) == [0, 1, 2] and joint.at(7)[0] == 1
    ranks = [Schedule([9] * 4, 4, 4, 2, 0, 2, (rank, 2)) for rank in range(2)]
    assert [[schedule.at(step)[1] for step in range(8)] for schedule in ranks] == [
        [0, 0, 2, 2, 0, 0, 2, 2],
        [1, 1, 3, 3, 1, 1, 3, 3],
    ]
    assert ranks[1].groups_of(0) == [1, 3] and ranks[1].at(6) == (1, 3, 2)
    published = Schedule([9] * 3, 4, 5, 7, 0)
    assert published.groups_of(4) == [1] and published.at(23) == (4, 1, 8)


def run_and_stop(step, number, *flags, rank=1):
    """train.py, in which at an iteration one rank alone gets a signal."""
    with pytest.MonkeyPatch.context() as patch:
        if distributed.rank() == rank:
            at_step(patch, step, send(number))
        run(*flags)


@pytest.mark.parametrize("flags", [[], ["--parallel", "groups", "--local_steps", "1", "--local_moments", "keep"]])
def test_a_signal_to_one_rank_stops_all_and_nothing_is_lost(tiny, flags):
    flags = ["--dataset_folder", tiny, *FEW, *flags]
    all_ranks(2, run, *flags, "--save_dir", "whole")
    _, codes, errors = run_ranks(2, run_and_stop, 4 + 1, signal.SIGUSR1, *flags, "--save_dir", "stopped")
    folder, state, _ = trained("stopped")
    assert codes == [128 + signal.SIGUSR1] * 2, "\n".join(errors)
    assert (state["epoch_num"], state["iteration"]) == (1, 2)
    log = open(f"{folder}/info.log").read()
    assert (
        log.count("told to end by SIGUSR1") == 1 and log.count("A checkpoint of epoch 1, iteration 2 is written") == 1
    )
    all_ranks(2, run, *flags, "--save_dir", "stopped", "--resume_train", "auto")
    _, whole, rows = trained("whole")
    _, state, other_rows = trained("stopped")
    for key in ("model_state_dict", "optimizer_state_dict", "classifiers_state_dict", "optimizers_state_dict"):
        assert_equal(state[key], whole[key])
    assert [[row[key] for key in ("loss", "images_crc32", "R@1")] for row in rows] == [
        [row[key] for key in ("loss", "images_crc32", "R@1")] for row in other_rows
    ]


def test_a_killed_rank_stops_the_others_with_one_message(tiny):
    _, codes, errors = run_ranks(
        2, run_and_stop, 1, signal.SIGKILL, "--dataset_folder", tiny, *FEW, "--save_dir", "killed"
    )
    assert codes == [1, -signal.SIGKILL]
    (log,) = glob.glob("logs/killed/*/info.log")
    lines = [line for line in open(log).read().splitlines() if "error: " in line]
    assert (
        len(lines) == 1 and "rank 1 (process" in lines[0] and "was killed" in lines[0] and "Traceback" not in errors[0]
    )


def test_that_rank_0_was_killed_is_said_by_another(tiny):
    kill_rank_0 = functools.partial(run_and_stop, rank=0)
    _, codes, errors = run_ranks(
        3, kill_rank_0, 1, signal.SIGKILL, "--dataset_folder", tiny, *FEW, "--freeze_bn", "--save_dir", "killed"
    )
    assert codes == [-signal.SIGKILL, 1, 1]
    (log,) = glob.glob("logs/killed/*/info.log")
    for text in (open(log).read(), "".join(errors)):
        lines = [line for line in text.splitlines() if "error: " in line]
        assert (
            len(lines) == 1 and "rank 0 (process" in lines[0] and "was killed" in lines[0] and "Traceback" not in text
        )


def fail_alone(seconds):
    """A body of run_experiment that fails on rank 0 while the others wait for it in a collective; how long this rank
    took to end.
    """

    def body(args, folder):
        if distributed.is_main():
            raise UserError("fix it")
        distributed.barrier()

    start = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        commons.run_experiment(body, SimpleNamespace(save_dir="alone"))
    with open(f"seconds{os.environ['RANK']}", "w") as file:
        file.write(f"{time.monotonic() - start}")
    raise SystemExit(ended.value.code)


def test_ranks_that_wait_for_one_that_has_failed_end_at_once(tiny):
    _, codes, errors = run_ranks(3, fail_alone, 5)
    assert codes == [2, 2, 2] and "".join(errors).count("error: fix it") == 1
    assert max(float(open(f"seconds{rank}").read()) for rank in range(3)) < 8  # and not GRACE's 10


def test_a_rank_on_another_machine_that_falls_silent_is_named(tiny, monkeypatch):
    monkeypatch.setattr("distributed.failures.SILENCE", 2.0)
    monkeypatch.setattr("distributed.failures.PULSE", 0.2)
    # whose processes cannot be seen from here
    monkeypatch.setattr("distributed.failures._machine", lambda: os.environ.get("RANK"))
    _, codes, errors = run_ranks(
        2, run_and_stop, 1, signal.SIGKILL, "--dataset_folder", tiny, *FEW, "--save_dir", "silent"
    )
    assert codes == [1, -signal.SIGKILL]
    (log,) = glob.glob("logs/silent/*/info.log")
    lines = [line for line in open(log).read().splitlines() if "error: " in line]
    assert (
        len(lines) == 1
        and re.search(r"rank 1 \(process .* has not been heard of for 2 s", lines[0])
        and "Traceback" not in errors[0]
    )


@pytest.mark.parametrize(
    "flags", [["--val_set_folder", "nowhere"], ["--batch_size", "x"], ["--parallel", "groups", "--groups_num", "1"]]
)
def test_a_users_error_is_printed_once(tiny, flags):
    _, codes, errors = run_ranks(2, run, "--dataset_folder", tiny, *FEW, *flags)
    assert codes == [2, 2] and [line for text in errors for line in text.splitlines() if "Traceback" in line] == []
    assert len([line for text in errors for line in text.splitlines() if "error: " in line]) == 1, errors


def run_with(own, *flags):
    """train.py, with further flags on rank 1."""
    run(*flags, *(own if distributed.rank() else ()))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (["--lr", "0.5", "--epochs_num", "3"], "(--epochs_num: 2 and 3; --lr: 1e-05 and 0.5): give all ranks the same"),
        (["--batch_size", "x"], "on rank 1: argument --batch_size: 'x' is not a whole number"),
    ],
)
def test_ranks_with_different_arguments_end_at_once(tiny, own, message):
    _, codes, errors = run_ranks(2, run_with, own, "--dataset_folder", tiny, *FEW)
    assert codes == [2, 2] and "Traceback" not in "".join(errors) and not os.path.exists("logs")
    (line,) = [line for text in errors for line in text.splitlines() if "error: " in line]
    assert message in line


@pytest.fixture
def damaged(tiny):
    """The data set with every fifth training image cut off."""
    shutil.copytree(tiny, "copy")
    for name in sorted(glob.glob("copy/train/**/*.jpg", recursive=True))[::5]:
        os.truncate(name, 400)
    return ["--dataset_folder", "copy", *FEW]


def test_bad_images_are_counted_over_ranks(damaged):
    groups = ["--parallel", "groups", "--local_steps", 2]
    run(*damaged, "--save_dir", "one")
    all_ranks(2, run, *damaged, "--save_dir", "two")
    all_ranks(2, run, *damaged, *groups, "--epochs_num", 1, "--save_dir", "groups")
    logs = [open(f"{trained(name)[0]}/info.log").read() for name in ("one", "two", "groups")]
    counts = [re.findall(r"(\d+) images read so far: \d+ resized, (\d+) unreadable", log) for log in logs]
    assert len(counts[0]) == 2 and counts[0] == counts[1]
    # two groups at a time read twice as many, and find what one process finds in both of its epochs
    read = [int(count) for count, _ in counts[2]]
    assert read[0] == int(counts[0][1][0]) - 36 and set(bad_images("one")) <= set(bad_images("groups"))


def bad_images(save_dir):
    return open(f"{trained(save_dir)[0]}/bad_images.txt").read().splitlines()


@pytest.mark.parametrize("flags", [[], ["--parallel", "groups", "--local_steps", "2"]])
def test_too_many_bad_images_end_all_ranks_with_a_checkpoint(damaged, flags):
    _, codes, errors = run_ranks(2, run, *damaged, "--max_bad_images", "1", *flags, "--save_dir", "bad")
    assert codes == [2, 2], "\n".join(errors)
    folder, state = trained_so_far("bad")
    assert sum(line.count("error: ") for text in errors for line in text.splitlines()) == 1
    assert "A checkpoint of epoch" in open(f"{folder}/info.log").read() and state["classifiers_state_dict"][1][
        "weight"
    ].shape == (12, 32)


def killed_at_first(*flags):
    """train.py, whose rank 1 is killed at an iteration, but not once it has been started again."""
    with pytest.MonkeyPatch.context() as patch:
        if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            at_step(patch, 5, send(signal.SIGKILL))
        run(*flags)


def torchrun(function, *arguments):
    """What `torchrun --nproc_per_node 2 --max_restarts 1` does, with forks, so that no process imports torch again."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        max_restarts=1,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="fork",
    )
    elastic_launch(config, function)(*arguments)


def test_torchrun_restarts_from_the_newest_checkpoint(tiny):
    flags = ["--dataset_folder", tiny, *FEW, "--checkpoint_every", 1]
    all_ranks(2, run, *flags, "--save_dir", "whole")
    flags += ["--save_dir", "killed", "--resume_train", "auto"]
    agent = multiprocessing.get_context("fork").Process(target=torchrun, args=(killed_at_first, *flags))
    agent.start()
    agent.join(300)
    assert agent.exitcode == 0
    (_, whole, _), (folder, state, _) = trained("whole"), trained("killed")
    log = open(f"{folder}/info.log").read()
    # torchrun ends rank 0 at once, and names the killed one itself
    assert "Resuming at epoch 1 of 2, iteration 1 of 4" in log
    assert largest_difference(state, whole) == 0
