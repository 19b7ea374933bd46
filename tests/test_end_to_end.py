"""train.py and eval.py as a user runs them, on a tiny data set."""

import csv
import glob
import logging
import os
import re
import shutil

import numpy as np
import pytest
import torch

import eval as eval_script
import train
from model.checkpoints import load_network
from support.files import read_tensors, write_tensors
from support.processor import arithmetic_of
from tests.scripts import assert_equal, run, weights
from tests.tiny import FLAGS
from training.optimizers import lr_factor
from training.run_files import RUN_STATE_KEYS


@pytest.fixture(scope="session")
def trained(tiny, once):
    """The log folder of one run of 4 epochs, 2 of each of 2 groups."""
    flags = ["--dataset_folder", tiny, *FLAGS, "--epochs_num", 4, "--num_preds_to_save", 2]
    (folder,) = once("trained", lambda: run(train, *flags)).glob("logs/*/*")
    return str(folder)


def test_outputs_of_a_run(trained):
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", os.path.basename(trained))
    assert set(os.listdir(trained)) == {
        "info.log",
        "debug.log",
        "metrics.csv",
        "best_model.pth",
        "last_checkpoint.pth",
        "last_checkpoint.previous.pth",
        "environment.json",
        "preds",
        "preds.jsonl",
    }
    log = open(os.path.join(trained, "info.log")).read()
    assert log.splitlines()[-1].endswith("Experiment finished (without any errors)")
    assert "Group 0: 12 classes, 36 images; each class is seen 1.0 times an epoch" in log
    assert "Using 2 of 2 groups, 24 classes and 72 of 72 images" in log
    assert re.search(
        r"< test - #q: 12; #db: 24 >: R@1: [\d.]+, R@5: [\d.]+, R@10: [\d.]+, R@20: [\d.]+$", log, re.MULTILINE
    )
    with open(os.path.join(trained, "metrics.csv")) as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["group"]) for row in rows] == [("0", "0"), ("1", "1"), ("2", "0"), ("3", "1")]
    assert all(
        float(row["loss"]) > 0 and float(row["images_per_second"]) > 0 and 0 <= float(row["R@1"]) <= 100 for row in rows
    )
    # 6 to 10 of the 24 database images lie within 25 m of a query, 9 on average
    assert {float(row["chance R@1"]) for row in rows} == {37.5}
    state = read_tensors(os.path.join(trained, "last_checkpoint.pth"))
    assert (
        state.keys() >= RUN_STATE_KEYS.keys() and state["epoch_num"] == 4 and len(state["classifiers_state_dict"]) == 2
    )
    assert state["best_val_recall1"] == pytest.approx(max(float(row["R@1"]) for row in rows), abs=1e-3)
    parameters = list(load_network(f"{trained}/best_model.pth").parameters())
    assert len(state["optimizer_state_dict"]["param_groups"][0]["params"]) == len(parameters)
    assert len(os.listdir(os.path.join(trained, "preds"))) == 24


@pytest.mark.parametrize("flags", [["--num_workers", "2"], ["--num_workers", "1", "--augmentation_device", "cpu"]])
def test_weights_do_not_depend_on_workers(tiny, trained, workdir, flags):
    folder = run(train, "--dataset_folder", tiny, *FLAGS, "--epochs_num", 4, *flags)
    assert_equal(weights(folder), weights(trained))
    assert_equal(weights(folder, "best_model.pth"), weights(trained, "best_model.pth"))


def test_another_seed_gives_other_weights(tiny, trained, workdir):
    drawn = run(train, "--dataset_folder", tiny, *FLAGS, "--epochs_num", 1, "--seed", -1)
    assert re.search(r"Seed: \d+ \(drawn\)", open(f"{drawn}/info.log").read())
    assert not torch.equal(weights(drawn)["aggregation.3.weight"], weights(trained)["aggregation.3.weight"])


@pytest.mark.parametrize("backbone", ["Small", "SmallDropping"])  # the latter drops blocks at random
def test_resumed_run_ends_as_the_uninterrupted_one_in_place(tiny, trained, workdir, backbone):
    flags = ["--dataset_folder", tiny, *FLAGS, "--backbone", backbone]
    if backbone != "Small":
        trained = run(train, *flags, "--epochs_num", 4, "--save_dir", "whole")
    folder = run(train, *flags, "--epochs_num", 1, "--save_dir", "mine")
    for epochs, same_dir in ((3, []), (4, ["--save_dir", "mine"])):
        resumed = run(
            train, *flags, "--epochs_num", epochs, "--resume_train", f"{folder}/last_checkpoint.pth", *same_dir
        )
        assert resumed == folder and len(os.listdir("logs/mine")) == 1
    assert_equal(weights(folder), weights(trained))
    assert_equal(weights(folder, "best_model.pth"), weights(trained, "best_model.pth"))
    with open(f"{folder}/metrics.csv") as file, open(f"{trained}/metrics.csv") as expected:
        timing = {"seconds", "images_per_second"}
        kept, wanted = (
            [{k: v for k, v in row.items() if k not in timing} for row in csv.DictReader(f)] for f in (file, expected)
        )
    assert kept == wanted
    assert "Resuming at epoch 3 of 4" in open(f"{folder}/info.log").read()


def published_state(state):
    """A run's state as the published code writes it: no extras, numpy's float64, optimizers of an older PyTorch, and
    the classes of each head in the order of a Python set.
    """
    state = {key: state[key] for key in RUN_STATE_KEYS} | {"best_val_recall1": np.float64(0.0)}
    for optimizer in [state["optimizer_state_dict"], *state["optimizers_state_dict"]]:
        for group in optimizer["param_groups"]:
            for key in set(group) - {"lr", "betas", "eps", "weight_decay", "amsgrad", "params"}:
                del group[key]
        for entry in optimizer["state"].values():
            entry["step"] = int(entry["step"])
    for group, (head, optimizer) in enumerate(
        zip(state["classifiers_state_dict"], state["optimizers_state_dict"], strict=True)
    ):
        # of the tiny data set: group = parity of the place; names are walked in the order of the places
        in_list_order = [
            (551000 + 10 * place, 4181000, heading) for place in range(group, 12, 2) for heading in (0, 30)
        ]
        published, ours = list(set(in_list_order)), sorted(in_list_order)
        assert published != ours
        rows = [ours.index(class_id) for class_id in published]
        head["weight"] = head["weight"][rows]
        for entry in optimizer["state"].values():
            entry.update({key: entry[key][rows] for key in ("exp_avg", "exp_avg_sq")})
    return state


def test_resuming_a_published_run_state_goes_on_as_from_ours(tiny, workdir):
    flags = ["--dataset_folder", tiny, *FLAGS, "--classifiers_lr", 0.3]
    first = run(train, *flags, "--epochs_num", 2)
    os.mkdir("published")
    torch.save(published_state(read_tensors(f"{first}/last_checkpoint.pth")), "published/last_checkpoint.pth")
    ours = run(train, *flags, "--epochs_num", 4, "--resume_train", f"{first}/last_checkpoint.pth")
    theirs = run(
        train, *flags, "--epochs_num", 4, "--resume_train", "published/last_checkpoint.pth", "--save_dir", "theirs"
    )
    log = open(f"{theirs}/info.log").read()
    assert "Resuming at epoch 2 of 4" in log and "no best_model.pth beside" in log
    assert_equal(weights(theirs), weights(ours))
    assert os.listdir("published") == ["last_checkpoint.pth"] and os.path.exists(f"{theirs}/best_model.pth")


def test_resuming_a_finished_run_without_its_best_model_tests_the_network(tiny, trained, workdir):
    shutil.copy(f"{trained}/last_checkpoint.pth", "last_checkpoint.pth")
    folder = run(train, "--dataset_folder", tiny, *FLAGS, "--epochs_num", 4, "--resume_train", "last_checkpoint.pth")
    assert_equal(weights(folder, "best_model.pth"), weights(trained))


def test_resuming_with_other_arguments_warns_and_a_drawn_seed_stays(tiny, workdir):
    flags = ["--dataset_folder", tiny, *FLAGS, "--seed", -1]
    folder = run(train, *flags, "--epochs_num", 1)
    seed = read_tensors(f"{folder}/last_checkpoint.pth")["seed"]
    run(
        train,
        *flags,
        "--epochs_num",
        2,
        "--batch_size",
        5,
        "--accept_changes",
        "--resume_train",
        f"{folder}/last_checkpoint.pth",
    )
    assert read_tensors(f"{folder}/last_checkpoint.pth")["seed"] == seed
    log = open(f"{folder}/info.log").read()
    assert "The resumed run had --batch_size 4, now 5" in log and "had --seed" not in log


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_resuming_a_published_run_state_on_a_gpu(tiny, workdir):
    flags = ["--dataset_folder", tiny, *FLAGS, "--device", "cuda"]
    first = run(train, *flags, "--epochs_num", 2)
    os.mkdir("published")
    torch.save(published_state(read_tensors(f"{first}/last_checkpoint.pth")), "published/last_checkpoint.pth")
    folder = run(train, *flags, "--epochs_num", 3, "--use_amp16", "--resume_train", "published/last_checkpoint.pth")
    assert all(torch.isfinite(value).all() for value in weights(folder).values())


def test_resume_into_another_folder_brings_the_best_model_along(tiny, trained, workdir):
    folder = run(
        train,
        "--dataset_folder",
        tiny,
        *FLAGS,
        "--epochs_num",
        4,
        "--resume_train",
        f"{trained}/last_checkpoint.pth",
        "--save_dir",
        "again",
        "--lr",
        1e-6,
        "--accept_changes",
    )
    assert folder.startswith("logs/again/")
    assert_equal(weights(folder, "best_model.pth"), weights(trained, "best_model.pth"))
    assert "learning rate was 1e-05; going on with 1e-06" in open(f"{folder}/info.log").read()


def test_learning_rates_of_a_resumed_run_are_those_of_the_command_line(tiny, trained, workdir):
    folder = run(
        train,
        "--dataset_folder",
        tiny,
        *FLAGS,
        "--epochs_num",
        5,
        "--resume_train",
        f"{trained}/last_checkpoint.pth",
        "--save_dir",
        "again",
        "--lr",
        1e-6,
        "--classifiers_lr",
        0.002,
        "--accept_changes",
    )
    state = read_tensors(f"{folder}/last_checkpoint.pth")
    rates = [
        optimizer["param_groups"][0]["lr"]
        for optimizer in [state["optimizer_state_dict"], *state["optimizers_state_dict"]]
    ]
    assert rates == [1e-6, 0.002, 0.002]


def test_cosine_schedule(tiny, workdir):
    factors = [lr_factor("cosine", 100, step) for step in range(100)]
    assert factors[0] == 0.2 and max(factors) == factors[5] == 1 and factors[99] < 0.001
    assert factors[52] == pytest.approx(0.5, abs=0.01) and factors[5:] == sorted(factors[5:], reverse=True)
    assert lr_factor("constant", 100, 99) == 1
    flags = ["--dataset_folder", tiny, *FLAGS, "--lr_schedule", "cosine"]
    whole = run(train, *flags)
    state = read_tensors(f"{whole}/last_checkpoint.pth")
    assert state["optimizer_state_dict"]["param_groups"][0]["lr"] == pytest.approx(1e-5 * lr_factor("cosine", 6, 5))
    # resumed, the schedule goes on from the rates that were asked for
    state |= {"epoch_num": 1}
    write_tensors(state, f"{whole}/last_checkpoint.pth")
    resumed = run(train, *flags, "--resume_train", f"{whole}/last_checkpoint.pth")
    assert "learning rate was" not in open(f"{resumed}/info.log").read()


@pytest.mark.parametrize("dtype", ["auto", "bfloat16", "float16"])
def test_mixed_precision(tiny, trained, workdir, dtype):
    folder = run(train, "--dataset_folder", tiny, *FLAGS, "--epochs_num", 1, "--use_amp16", "--amp_dtype", dtype)
    state = read_tensors(f"{folder}/last_checkpoint.pth")
    assert all(
        torch.isfinite(value).all() and value.dtype != torch.float16 for value in state["model_state_dict"].values()
    )
    assert bool(state["scaler_state_dict"]) == (dtype == "float16")  # only float16's gradients are scaled
    with open(f"{folder}/metrics.csv") as file, open(f"{trained}/metrics.csv") as expected:
        loss, full = (float(next(csv.DictReader(f))["loss"]) for f in (file, expected))
    in_float32 = dtype == "auto" and not arithmetic_of(torch.bfloat16)
    assert (loss == full) == in_float32 and loss == pytest.approx(full, rel=0.02)


def test_training_from_a_networks_weights_alone(tiny, trained, workdir):
    folder = run(
        train,
        "--dataset_folder",
        tiny,
        *FLAGS[: FLAGS.index("--backbone")],
        *FLAGS[FLAGS.index("--batch_size") :],
        "--epochs_num",
        1,
        "--lr",
        0,
        "--resume_model",
        f"{trained}/best_model.pth",
    )
    assert torch.equal(
        weights(folder)["aggregation.3.weight"], weights(trained, "best_model.pth")["aggregation.3.weight"]
    )
    assert len(weights(folder)["aggregation.3.bias"]) == 32  # read from the checkpoint
    assert "frozen" not in open(f"{folder}/info.log").read()


def test_frozen_layers_stay_and_random_ones_are_warned_of(tiny, workdir):
    flags = [flag for flag in FLAGS if flag != "--train_all_layers"]
    folder = run(train, "--dataset_folder", tiny, *flags, "--epochs_num", 2)
    assert "weights are random and its first layers are frozen" in open(f"{folder}/info.log").read()
    one = run(train, "--dataset_folder", tiny, *flags, "--epochs_num", 1, "--save_dir", "one")
    assert torch.equal(weights(folder)["backbone.0.0.0.weight"], weights(one)["backbone.0.0.0.weight"])
    assert not torch.equal(weights(folder)["backbone.0.3.0.weight"], weights(one)["backbone.0.3.0.weight"])
    assert not torch.equal(weights(folder)["backbone.0.0.1.running_mean"], weights(one)["backbone.0.0.1.running_mean"])


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_eval_reads_the_architecture_from_the_checkpoint(tiny, trained, workdir, prefix):
    write_tensors({prefix + key: value for key, value in weights(trained, "best_model.pth").items()}, "model.pth")
    folder = run(
        eval_script,
        "--dataset_folder",
        tiny,
        "--resume_model",
        "model.pth",
        "--num_workers",
        0,
        "--device",
        "cpu",
        "--num_preds_to_save",
        2,
        "--save_only_wrong_preds",
    )
    log, training_log = (open(os.path.join(path, "info.log")).read() for path in (folder, trained))
    recalls = re.compile(r"< test - .*?>: (R@1: .*)$", re.MULTILINE)
    assert recalls.search(log).group(1) == recalls.search(training_log).group(1)
    assert "Network: Small with 32-D descriptors" in log and log.splitlines()[-1].endswith(
        "Experiment finished (without any errors)"
    )
    wrong = 12 - round(12 * float(re.search(r"R@1: ([\d.]+)", log).group(1)) / 100)
    assert len(os.listdir(f"{folder}/preds")) == 2 * wrong


def test_eval_of_a_run_state_with_training_flags_and_resizing(tiny, trained, workdir):
    (workdir / "recipe.txt").write_text(
        f"--dataset_folder {tiny}\n" + " ".join(FLAGS) + "  # one recipe serves both scripts\n"
    )
    folder = run(
        eval_script,
        "@recipe.txt",
        "--resume_model",
        f"{trained}/last_checkpoint.pth",
        "--resize_test_imgs",
        "--image_size",
        48,
        "--queries_folder",
        "queries_v1",
        "--save_dir",
        "mine",
        "--infer_batch_size",
        5,
    )
    assert folder.startswith("logs/mine/")


def test_eval_without_a_checkpoint_says_so(tiny, workdir, capsys):
    folder = run(
        eval_script,
        "--test_set_folder",
        f"{tiny}/test",
        "--backbone_weights",
        "none",
        "--num_workers",
        0,
        "--fc_output_dim",
        8,
    )
    assert "the network is not trained" in open(f"{folder}/info.log").read()


def test_training_lowers_the_loss(tiny, workdir):
    folder = run(
        train,
        "--dataset_folder",
        tiny,
        *FLAGS,
        "--groups_num",
        1,
        "--epochs_num",
        3,
        "--iterations_per_epoch",
        15,
        "--lr",
        1e-3,
        "--hue",
        0,
        "--random_resized_crop",
        0.1,
    )
    with open(f"{folder}/metrics.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[2] < losses[0] - 1


def test_bad_images_are_replaced_missed_and_logged(tiny, workdir):
    shutil.copytree(tiny, "copy")
    for part in ("train", "val/database", "test/queries_v1"):
        os.truncate(sorted(glob.glob(f"copy/{part}/**/*.jpg", recursive=True))[2], 400)
    folder = run(train, "--dataset_folder", "copy", *FLAGS, "--iterations_per_epoch", 12)
    log = open(f"{folder}/info.log").read()
    assert "Unreadable image, another is taken" in log and " images read so far: 0 resized, 1 unreadable (" in log
    assert "1 of 24 images of copy/val/database cannot be read and are never retrieved" in log
    assert "1 of 12 images of copy/test/queries_v1 cannot be read and are counted as missed" in log


def test_logging_is_as_before_a_run(tiny, trained, workdir):
    before = logging.getLogger().handlers[:]
    run(eval_script, "--dataset_folder", tiny, "--resume_model", f"{trained}/best_model.pth", "--num_workers", 0)
    assert logging.getLogger().handlers == before
