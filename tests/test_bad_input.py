"""A user's mistakes: one clear line, exit code 2, no traceback."""

import glob
import os
import pickle
import shutil
import signal

import pytest
import torch

import eval as eval_script
import train
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from tests.scripts import fails, start, wait_for
from tests.tiny import FLAGS


def test_no_such_folder(workdir, capsys):
    assert "folder nowhere/train does not exist" in fails(train, capsys, "--dataset_folder", "nowhere", *FLAGS)
    assert "folder nowhere/test does not exist" in fails(eval_script, capsys, "--dataset_folder", "nowhere")


def test_no_folder_given(workdir, capsys):
    assert "give --dataset_folder (or set SF_XL_PROCESSED_FOLDER)" in fails(train, capsys)
    assert "or --test_set_folder" in fails(eval_script, capsys)


def test_empty_folder(copy, capsys):
    shutil.rmtree("copy/train/sub")
    assert "folder copy/train has no images" in fails(train, capsys, "--dataset_folder", copy, *FLAGS)
    shutil.rmtree("copy/test/queries_v1/sub")
    assert "folder copy/test/queries_v1 has no images" in fails(eval_script, capsys, "--dataset_folder", copy)


def test_missing_test_set_is_found_before_training(copy, capsys):
    shutil.rmtree("copy/test")
    assert "folder copy/test does not exist" in fails(train, capsys, "--dataset_folder", copy, *FLAGS)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("@551000@4181000@.jpg", "has 3 '@', and needs at least 10"),
        ("@abc@4181000@@@@@@@0@@@@@@.jpg", "has 'abc' in field 1 (UTM_east)"),
    ],
)
def test_names_that_do_not_parse(copy, capsys, bad, problem):
    shutil.copy(glob.glob("copy/train/sub/*.jpg")[0], f"copy/train/{bad}")
    line = fails(train, capsys, "--dataset_folder", copy, *FLAGS)
    assert problem in line and repr(bad) in line
    if "abc" in bad:
        shutil.copy(glob.glob("copy/train/sub/*.jpg")[0], f"copy/test/database/{bad}")
        assert problem in fails(eval_script, capsys, "--dataset_folder", copy)


def test_class_whose_every_image_is_truncated(copy, capsys):
    for path in glob.glob("copy/train/sub/*.jpg"):
        if "@pano3@" in path:
            os.truncate(path, os.path.getsize(path) // 2)
    line = fails(train, capsys, "--dataset_folder", copy, *FLAGS, "--iterations_per_epoch", 9, "--num_workers", 2)
    assert "none of the 3 images of class (551030, 4181000, " in line and "truncated" in line


def test_more_groups_than_exist(copy, capsys):
    line = fails(train, capsys, "--dataset_folder", copy, *FLAGS, "--groups_num", 99)
    assert "--groups_num is 99, but copy/train has only 2 groups" in line


def test_batch_larger_than_the_group(copy, capsys):
    line = fails(train, capsys, "--dataset_folder", copy, *FLAGS, "--batch_size", 13)
    assert "group 0 has 12 classes, fewer than a batch of 13" in line


def test_no_class_large_enough(copy, capsys):
    line = fails(train, capsys, "--dataset_folder", copy, *FLAGS, "--min_images_per_class", 50)
    assert "no class of copy/train has 50 images (the largest has 3)" in line


def test_checkpoint_of_another_architecture(copy, capsys):
    save_network(GeoLocalizationNet("MobileNet_V2", 32), "other.pth")
    for script, flags in ((train, [*FLAGS, "--backbone", "ResNet18"]), (eval_script, ["--backbone", "ResNet18"])):
        line = fails(script, capsys, "--dataset_folder", copy, *flags, "--resume_model", "other.pth")
        assert (
            "other.pth is a MobileNet_V2 with 32-D descriptors, not a ResNet18" in line
            and "it lacks backbone.0.weight" in line
        )


def test_resuming_on_other_groups(copy, capsys):
    train.main(["--dataset_folder", copy, *FLAGS, "--epochs_num", "1", "--iterations_per_epoch", "1"])
    capsys.readouterr()
    changed = ["--dataset_folder", copy, *FLAGS, "--accept_changes", "--resume_train"]
    last = glob.glob("logs/*/*/last_checkpoint.pth")[0]
    line = fails(train, capsys, *changed, last, "--groups_num", 1)
    assert "was trained on 2 groups, not on 1" in line
    line = fails(train, capsys, *changed, last, "--alpha", 60)
    assert "has a head of (12, 32), and of this training set (6, 32)" in line


def test_cut_off_and_malicious_checkpoints(copy, capsys):
    save_network(GeoLocalizationNet("ResNet18", 32), "cut.pth")
    os.truncate("cut.pth", os.path.getsize("cut.pth") // 2)
    assert "cut.pth is cut off or damaged" in fails(
        eval_script, capsys, "--dataset_folder", copy, "--resume_model", "cut.pth"
    )
    assert "cut.pth is cut off or damaged" in fails(
        train, capsys, "--dataset_folder", copy, *FLAGS, "--resume_train", "cut.pth"
    )

    class Malicious:
        def __reduce__(self):
            return os.mkdir, ("it_ran",)

    torch.save({"x": Malicious()}, "bad.pth")
    with open("worse.pth", "wb") as file:
        pickle.dump(Malicious(), file)
    for path in ("bad.pth", "worse.pth"):
        for script, flag in (
            (eval_script, "--resume_model"),
            *((train, f"--{flag}") for flag in ("resume_model", "resume_train", "backbone_weights")),
        ):
            assert "holds objects other than tensors" in fails(
                script, capsys, "--dataset_folder", copy, *FLAGS, flag, path
            )
    assert not os.path.exists("it_ran")


def test_unwritable_logs_folder(copy, capsys):
    with open("logs", "w"):
        pass
    for script in (train, eval_script):
        assert "the log folder logs/default/" in fails(script, capsys, "--dataset_folder", copy, *FLAGS)


def test_logs_folder_without_permission(copy, capsys, monkeypatch):
    def refuse(path, *args):  # a mode would not stop root
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "mkdir", refuse)
    assert "cannot be made: Permission denied; run where you may write" in fails(
        train, capsys, "--dataset_folder", copy, *FLAGS
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_absent_device(copy, capsys):
    line = fails(train, capsys, "--dataset_folder", copy, *FLAGS, "--device", "cuda")
    assert "--device cuda: PyTorch finds no such device here; it has cpu" in line
    line = fails(train, capsys, "--dataset_folder", copy, *FLAGS, "--augmentation_device", "cuda")
    assert "--augmentation_device cuda: PyTorch finds no such device" in line


def test_unknown_model(copy, capsys):
    line = fails(eval_script, capsys, "--dataset_folder", copy, "--resume_model", "ResNet99_512")
    assert "'ResNet99_512' is neither a file nor a published model" in line
    assert "there is no file logs/x.pth" in fails(
        eval_script, capsys, "--dataset_folder", copy, "--resume_model", "logs/x.pth"
    )


@pytest.mark.parametrize(
    ("number", "word"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGUSR1, "told to end by SIGUSR1")],
)
def test_signals_end_with_a_last_line_and_their_exit_code(tiny, workdir, number, word):
    flags = ["--dataset_folder", tiny, *FLAGS, "--iterations_per_epoch", 100_000, "--num_workers", 1]
    # a shell that starts these tests in the background has them, and what they start, ignore SIGINT
    how = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    process = start(*flags, "--checkpoint_every", 1, begin=lambda: signal.signal(number, how))
    try:
        wait_for(lambda: glob.glob("logs/*/*/last_checkpoint.pth"))
        os.kill(process.pid, number)
        process.join(60)
        assert process.exitcode == 128 + number
    finally:
        process.kill()
    lines = open(glob.glob("logs/*/*/info.log")[0]).read().splitlines()
    assert lines[-2].endswith(f"error: {word}") and lines[-1].endswith("Experiment finished (with some errors)")


def test_programming_errors_keep_their_traceback(copy, capsys, monkeypatch):
    monkeypatch.setattr(eval_script, "test_and_report", lambda *args: 1 / 0)
    with pytest.raises(SystemExit) as exit_:
        eval_script.main(["--dataset_folder", copy, "--backbone_weights", "none", "--num_workers", "0"])
    assert exit_.value.code == 1 and "ZeroDivisionError" in capsys.readouterr().err
    log = open(glob.glob("logs/*/*/info.log")[0]).read()
    assert "Traceback" in log and log.splitlines()[-1].endswith("Experiment finished (with some errors)")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_an_augmentation_device_that_is_absent_is_refused_before_anything_is_written(tiny, workdir, capsys):
    with pytest.raises(SystemExit) as refused:
        train.main(["--dataset_folder", tiny, *FLAGS, "--augmentation_device", "cuda"])
    assert refused.value.code == 2 and "--augmentation_device cuda: PyTorch finds no such" in capsys.readouterr().err
    assert not list(workdir.rglob("*.pth"))
