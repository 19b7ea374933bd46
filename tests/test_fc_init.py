"""train.py --fc_init pca: a run begins with a last layer that is fitted to training images."""

import glob
import os

import numpy as np
import pytest
import torch

import train
from datasets.groups import build_groups, open_groups
from datasets.samples import sample_training_images, share_out
from model.checkpoints import load_network
from model.last_layer import principal_components, without_last_layer
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from tests.failures import Killed, at_step, kill
from tests.ranks import all_ranks, run_ranks
from tests.scripts import assert_equal, assert_same_end, fails, run, weights
from tests.tiny import FEW

PCA = ["--fc_init", "pca", "--fc_init_images", "60"]
# one step that changes no weight of the network
STILL = [*FEW, "--epochs_num", "1", "--iterations_per_epoch", "1", "--lr", "0", "--freeze_bn"]


@pytest.mark.parametrize(
    ("count", "shares"),
    [(100, [3, 1, 9, 2]), (15, [3, 1, 9, 2]), (8, [3, 1, 2, 2]), (7, [2, 1, 2, 2]), (2, [1, 0, 1, 0]), (0, [0] * 4)],
)
def test_classes_give_as_many_images_as_each_other(count, shares):
    assert share_out(np.array([3, 1, 9, 2]), count).tolist() == shares


def test_images_are_spread_over_the_classes_of_the_trained_groups():
    names = [
        f"@{551000 + 10 * place}@4181000@@@@@@@0@@@@@{image:02}@.jpg" for place in range(12) for image in range(20)
    ]
    groups = build_groups(names, 10, 30, 2, 1, 2)  # even places, odd places
    sample = sample_training_images("f", groups, 1, 12, 48)
    assert (sample.folder, sample.resize, len(sample)) == ("f", 48, 12)
    assert list(sample.names) == [names[20 * place + image] for place in range(0, 12, 2) for image in (5, 15)]
    assert sorted(sample_training_images("f", groups, 2, 1000, 48).names) == sorted(names)


def settings(flags):
    """The arguments of open_groups among flags."""
    return [int(flags[flags.index(f"--{name}") + 1]) for name in ("M", "alpha", "N", "L", "min_images_per_class")]


def test_the_layer_is_the_pca_of_the_features_of_training_images(copy):
    os.truncate(sorted(glob.glob("copy/train/**/*.jpg", recursive=True))[0], 40)
    flags = ["--dataset_folder", copy, *STILL]
    random = run(train, *flags, "--save_dir", "random")
    fitted = run(train, *flags, *PCA, "--fc_init_images", 100, "--fc_init_power", 1, "--save_dir", "pca")
    assert_equal(
        *(
            {name: value for name, value in weights(folder).items() if not name.startswith("aggregation.3.")}
            for folder in (random, fitted)
        )
    )
    network = load_network(f"{random}/best_model.pth").eval().to(memory_format=torch.channels_last)
    features = without_last_layer(network, unit_length=False)
    images = sample_training_images("copy/train", open_groups("copy/train", *settings(FEW)), 2, 100, 32)
    values, bad = extract_descriptors(features, images, ExtractionOptions(16))
    assert len(images) == 72 and len(bad) == 1
    expected = principal_components(np.delete(values, list(bad), axis=0), 32, 1.0)
    ours = weights(fitted)
    scale = ours["aggregation.3.weight"].norm().item() / np.linalg.norm(expected.weight)
    np.testing.assert_allclose(ours["aggregation.3.weight"], scale * expected.weight, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(ours["aggregation.3.bias"], scale * expected.bias, rtol=1e-3, atol=1e-5)
    (line,) = [line for line in open(f"{fitted}/info.log") if "A last layer is fitted" in line]
    assert "to 71 images of copy/train: 32 dimensions, power 1, " in line and "1 more cannot be read" in line
    assert f"{100 * expected.kept:.1f}% of the variance" in line


def test_a_network_that_is_given_gets_a_new_layer(tiny, workdir, capsys):
    flags = ["--dataset_folder", tiny, *STILL]
    first = run(train, *flags, "--seed", 1)
    model = f"{first}/best_model.pth"
    kept = run(train, *flags, "--resume_model", model)
    fitted = run(train, *flags, "--resume_model", model, *PCA)
    assert torch.equal(weights(kept)["aggregation.3.weight"], weights(first)["aggregation.3.weight"])
    assert not torch.allclose(weights(fitted)["aggregation.3.weight"], weights(first)["aggregation.3.weight"])
    assert torch.equal(weights(fitted)["backbone.0.0.0.weight"], weights(first)["backbone.0.0.0.weight"])
    smaller = [*flags, "--resume_model", model, "--fc_output_dim", 8]
    assert "with 32-D descriptors, not a Small with 8-D" in fails(train, capsys, *smaller)
    folder = run(train, *smaller, *PCA)
    assert weights(folder)["aggregation.3.weight"].shape[0] == 8
    assert torch.equal(weights(folder)["backbone.0.0.0.weight"], weights(first)["backbone.0.0.0.weight"])


def test_a_resumed_run_ends_as_the_uninterrupted_one_and_fits_nothing(tiny, workdir, monkeypatch):
    flags = ["--dataset_folder", tiny, *FEW, *PCA, "--epochs_num", "1", "--checkpoint_every", "1"]
    whole = run(train, *flags, "--save_dir", "whole")
    flags += ["--save_dir", "stopped", "--resume_train", "auto"]
    with monkeypatch.context() as context, pytest.raises(Killed):
        at_step(context, 2, kill)
        train.main(flags)
    monkeypatch.setattr(train, "begin_with_fitted_layer", None)
    folder = run(train, *flags)
    assert "Resuming at epoch 0 of 1, iteration 2" in open(f"{folder}/info.log").read()
    assert_same_end(folder, whole)


def test_ranks_begin_with_the_same_layer(tiny, workdir):
    flags = ["--dataset_folder", tiny, *STILL, *PCA]
    alone = weights(run(train, *flags, "--save_dir", "one"))
    folder, other = all_ranks(2, run, train, *flags, "--save_dir", "two")
    assert folder == other  # that their initial weights are the same was compared there
    for name in ("aggregation.3.weight", "aggregation.3.bias"):
        torch.testing.assert_close(weights(folder)[name], alone[name], rtol=1e-3, atol=1e-4)
    _, codes, errors = run_ranks(2, run, train, *flags, "--fc_init_images", 20)
    assert codes == [2, 2] and "--fc_output_dim 19 is the most" in "".join(errors)


def test_what_cannot_be_fitted_is_one_line(tiny, workdir, capsys):
    flags = ["--dataset_folder", tiny, *STILL]
    line = fails(train, capsys, *flags, *PCA, "--fc_init_images", 20)
    assert "32 dimensions needs 33 images that can be read, and there are 20" in line
    assert line.endswith("--fc_output_dim 19 is the most")
    assert not glob.glob("logs/*/*")  # it left nothing
    assert "--fc_init_power says how a last layer is fitted: give --fc_init pca too" in fails(
        train, capsys, *flags, "--fc_init_power", 1
    )
    assert "--fc_init_power" in fails(train, capsys, *flags, *PCA, "--fc_init_power", 1.5)
    folder = run(train, *flags)
    line = fails(train, capsys, *flags, *PCA, "--resume_train", f"{folder}/last_checkpoint.pth")
    assert "had other arguments: --fc_init random, now pca; --fc_init_images 5000, now 60" in line
