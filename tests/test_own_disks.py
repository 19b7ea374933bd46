"""Ranks whose machines have disks of their own, or see a common one late: kept descriptors, lists of images, the best
model.
"""

import contextlib
import errno
import glob
import os
import re
import shutil

import pytest

import distributed
import eval
import train
from datasets.names import list_images
from datasets.same_lists import check_same_lists
from datasets.test_dataset import TestDataset
from model.state_dicts import digest_tensors
from retrieval.store import FolderStore
from support.errors import UserError
from support.files import read_tensors
from tests.descriptors import assert_same, evaluation
from tests.ranks import all_ranks, run_ranks
from tests.tiny import FEW, save_place
from training.checkpoints import Checkpoints


@pytest.fixture(autouse=True)
def _in_workdir(workdir):
    """Ranks leave files."""


# --- kept descriptors


def evaluation_at_home(*arguments):
    """An evaluation on a machine of this rank's own, with a disk of its own."""
    os.chdir(f"machine{distributed.rank()}")
    return evaluation(*arguments)


@pytest.mark.parametrize("fail_after", [10, None])
def test_a_store_of_the_same_name_on_another_machine_is_not_mixed_in(places, monkeypatch, unverified, fail_after):
    """Whether it is complete there or not."""
    alone = evaluation(None)
    for rank in range(2):
        os.mkdir(f"machine{rank}")
        for folder in ("db", "q"):
            os.symlink(f"../{folder}", f"machine{rank}/{folder}")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) if fail_after else contextlib.nullcontext():
        patch.chdir("machine1")
        evaluation("kept", "Flat", fail_after)
    before = files_below("machine1/kept")
    assert any("blocks_0" in name for name in before) == bool(fail_after)
    for result in all_ranks(2, evaluation_at_home, "kept"):
        assert_same(result, alone)
    assert files_below("machine1/kept") == before and not os.listdir("machine0/kept")
    monkeypatch.chdir("machine0")
    assert_same(evaluation("kept"), alone)


def files_below(folder):
    return {path: open(path, "rb").read() for path in glob.glob(f"{folder}/**", recursive=True) if os.path.isfile(path)}


@pytest.fixture
def unverified(monkeypatch):
    """No file ever counts as verified: else a record of it appears once it is 2 s old, which a busy machine may see."""
    monkeypatch.setattr("support.verified._TIME_STEP", 10**18)


def refuse(*_):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


class OldHeader(FolderStore):
    """As a network disk may still show it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.complete = False


def evaluations_of_stores_that_are_not_seen_alike():
    """Of a complete store whose mark comes late to rank 1, whose header does, and which rank 0 cannot mark."""
    results = []
    for there, name, value in (
        (1, "os.path.exists", lambda path: False),
        (1, "FolderStore", OldHeader),
        (0, "open", refuse),
    ):
        with pytest.MonkeyPatch.context() as patch:
            if distributed.rank() == there:
                patch.setattr(f"retrieval.sharded.{name}", value, raising=name != "open")
            results.append(evaluation("kept"))
    return results


def test_a_store_that_not_all_ranks_see_alike_is_not_used(places, unverified):
    alone = evaluation("kept")
    before = files_below("kept")
    for results in zip(*all_ranks(2, evaluations_of_stores_that_are_not_seen_alike), strict=True):
        for result in results:
            assert_same(result, alone)
        assert sum(result[4] for result in results) == 38
    assert files_below("kept") == before


def test_the_mark_of_a_killed_run_is_in_nobodys_way(places):
    alone = evaluation("kept")
    (header,) = glob.glob("kept/db*/header.json")
    open(f"{os.path.dirname(header)}/rank0_{16 * '0f'}", "w").close()
    for result in [*all_ranks(2, evaluation, "kept"), evaluation("kept")]:
        assert_same(result, alone)
        assert result[4] == 0


# --- lists of images


def different_lists():
    """What each check says on this rank, whose folders are those of its machine."""
    machine, messages = f"machine{distributed.rank()}", []
    for test_sets, further in (
        (["same"], ["same/q"]),
        (["more"], []),
        (["renamed"], []),
        (["same"], ["same/q", "more/db"]),
        (["same", "same" if distributed.rank() else "also"], []),
    ):
        try:
            check_same_lists(
                [TestDataset(f"{machine}/{name}/db", f"{machine}/{name}/q") for name in test_sets],
                [(f"{machine}/{name}", list_images(f"{machine}/{name}")) for name in further],
            )
            messages.append("")
        except UserError as error:
            messages.append(str(error))
    return messages


def test_ranks_with_different_images_are_told_of_the_folder():
    for rank in range(2):
        for name in ("same", "more", "renamed", "also"):
            for folder, number in (("db", 3), ("q", 2)):
                for place in range(number):
                    save_place(f"machine{rank}/{name}/{folder}", place, 0, 1)
    save_place("machine1/more/db", 3, 0, 1)
    os.rename(glob.glob("machine1/renamed/q/sub/*")[0], "machine1/renamed/q/sub/@551000@4181000@@@@@@@@@@@@.jpg")
    expected = [
        "",
        "machine0/more/db: 3 images, and machine1/more/db: 4 images",
        "machine0/renamed/q: 2 images, and machine1/renamed/q: 2",
        "machine0/more/db: 3 images, and machine1/more/db: 4 images",
        "machine0/also/db: 3 images, and no further folder: 0 images",
    ]
    first, second = all_ranks(2, different_lists)
    assert first == second
    for message, part in zip(first, expected, strict=True):
        assert part in message and bool(part) == message.startswith("ranks 0 and 1 have different lists of images (")


def on_this_machine(main, folder_flag, *flags):
    """A script whose flag names another folder on each machine."""
    main([folder_flag, f"machine{distributed.rank()}", *map(str, flags)])


@pytest.mark.parametrize(
    ("part", "flag", "flags", "counts"),
    [
        ("test", "--test_set_folder", [], (12, 13)),
        ("train", "--train_set_folder", ["--fda_queries"], (72, 73)),
        ("val/database", "--target_dataset_folder", ["--domain_adaptation", "grl"], (24, 25)),
        ("val/database", "--target_dataset_folder", ["--night_augmentation", "fda"], (24, 25)),
        ("train", "--pseudo_target_folder", [], (72, 73)),
    ],
)
def test_scripts_refuse_different_folders(tiny, part, flag, flags, counts):
    """eval.py's queries, the images whose colours they take, and what train.py reads beside its training set."""
    for rank in range(2):
        shutil.copytree(f"{tiny}/{part}", f"machine{rank}")
    below = "/queries_v1" if part == "test" else ""
    save_place(f"machine1{below}", 0, 0, 9)
    is_eval = flag in ("--test_set_folder", "--train_set_folder")
    script, common = (eval.main, FEW[-2:]) if is_eval else (train.main, FEW)
    _, codes, errors = run_ranks(2, on_this_machine, script, flag, "--dataset_folder", tiny, *common, *flags)
    assert codes == [2, 2] and not errors[1], "\n".join(errors)
    assert f"(machine0{below}: {counts[0]} images, and machine1{below}: {counts[1]} images)" in errors[0]


# --- the best model


def trained_with(load_best, there, *flags):
    """train.py, in which one rank reads the best model in another way. The digest of the network that this rank tests
    in the end, and its recalls.
    """
    tested = []
    with pytest.MonkeyPatch.context() as patch:
        if distributed.rank() == there:
            patch.setattr(Checkpoints, "load_best", load_best)

        def recorded(test_set, network, *arguments, test_and_report=train.test_and_report):
            result = test_and_report(test_set, network, *arguments)
            tested.append((digest_tensors(network.state_dict()), result.recalls.tolist()))
            return result

        patch.setattr(train, "test_and_report", recorded)
        train.main([str(flag) for flag in flags])
    return tested


def no_best_model(checkpoints):
    raise UserError(f"{checkpoints.best_path} cannot be written: No space left on device")


def test_rank_0_reads_the_best_model_for_all(tiny):
    """With statistics of batch norms, which each rank has of its own until the last validation."""
    flags = ["--dataset_folder", tiny, *FEW, "--epochs_num", 1, "--iterations_per_epoch", 1, "--save_dir", "run"]
    first, second = all_ranks(2, trained_with, no_best_model, 1, *flags)
    (best,) = glob.glob("logs/run/*/best_model.pth")
    assert first == second == [(digest_tensors(read_tensors(best)), first[0][1])]
    _, codes, errors = run_ranks(2, trained_with, no_best_model, 0, *flags)
    lines = [line for text in errors for line in text.splitlines() if "error: " in line]
    assert (
        codes == [2, 2]
        and len(lines) == 1
        and re.search(r"error: logs.*best_model.pth cannot be written: No space left", lines[0])
    )
