"""Model soups: averages, the greedy choice, batch norm estimated again, and soup.py as a user runs it."""

import csv
import glob
import os
import shutil

import numpy as np
import pytest
import torch
import torchvision

import eval as eval_script
import soup
from datasets.calibration_dataset import CalibrationImages
from datasets.images import open_rgb, to_array
from datasets.names import list_images
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from model.normalization import normalize
from model.soups import Trial, average, greedy_soup, recalibrate_batch_norm, refuse_damaged
from options.checks import is_test_set
from support.errors import UserError
from support.files import read_tensors, write_tensors
from tests.scripts import assert_equal, fails, run


def network_of(seed, backbone="Small", dim=16):
    torch.manual_seed(seed)
    network = GeoLocalizationNet(backbone, dim)
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.copy_(0.1 * torch.randn(norm.running_mean.shape))
            norm.num_batches_tracked.fill_(seed)
    return network


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """The paths of three networks."""
    folder = tmp_path_factory.mktemp("networks")
    for seed in (1, 2, 3):
        save_network(network_of(seed), folder / f"{seed}.pth")
    return [str(folder / f"{seed}.pth") for seed in (1, 2, 3)]


def table(path):
    with open(path) as file:
        return list(csv.DictReader(file))


# --- averages and choices


def test_average_is_the_mean_whatever_the_order_and_counters_are_the_firsts():
    states = [network_of(seed).state_dict() for seed in (1, 2, 3)]
    before = {key: value.clone() for key, value in states[0].items()}
    mean, reversed_mean = average(states), average(states[::-1])
    assert list(mean) == list(states[0])
    for key, value in mean.items():
        if key.endswith("num_batches_tracked"):
            assert (value.item(), reversed_mean[key].item(), value.dtype) == (1, 3, torch.int64)
            continue
        expected = np.mean([state[key].numpy().astype(np.longdouble) for state in states], axis=0)
        assert value.dtype == torch.float32
        np.testing.assert_allclose(value.numpy(), expected, rtol=1.2e-7, atol=0)  # float32's last digit
        torch.testing.assert_close(value, reversed_mean[key], rtol=1.2e-7, atol=0)
    assert_equal(states[0], before)


def test_greedy_soup_starts_from_the_best_and_keeps_what_does_not_lower_the_recall():
    values = {(3, 0): 49.0, (3, 2): 60.0, (3, 2, 1): 60.0}
    tried = []

    def evaluate(indices):
        tried.append(tuple(indices))
        return values[tuple(indices)]

    trials = list(greedy_soup([50.0, 40.0, 50.0, 55.0], evaluate))
    assert tried == [(3, 0), (3, 2), (3, 2, 1)]  # of equally good ones the earlier first
    assert trials == [
        Trial([3], 55.0, True),
        Trial([3, 0], 49.0, False),
        Trial([3, 2], 60.0, True),
        Trial([3, 2, 1], 60.0, True),
    ]


def test_an_ingredient_with_an_equal_recall_is_kept_and_one_with_the_next_lower_is_not():
    equal = 100 / 3
    for recall, soup_of in ((equal, [0, 1, 2]), (np.nextafter(equal, 0), [0])):
        trials = list(greedy_soup([equal] * 3, lambda indices, recall=recall: recall))
        assert [trial.indices for trial in trials if trial.kept][-1] == soup_of


def test_damaged_networks_are_refused_by_name():
    state = network_of(1).state_dict()
    refuse_damaged(state, "x.pth")
    for value in (float("nan"), float("inf")):
        state["aggregation.3.bias"][3] = value
        with pytest.raises(UserError, match=r"x.pth holds numbers that are not finite \(aggregation\.3\.bias\)"):
            refuse_damaged(state, "x.pth")


# --- batch norm estimated again


def test_batch_norm_statistics_are_the_mean_of_the_batches():
    network = network_of(1)
    batches = [torch.randn(5, 3, 48, 48) * scale for scale in (1, 2, 3)]
    others = {
        key: value.clone()
        for key, value in network.state_dict().items()
        if "running" not in key and "num_batches" not in key
    }
    recalibrate_batch_norm(network, iter(batches))
    convolution, norm = network.backbone[0][0][:2]
    first = [convolution(batch).detach() for batch in batches]  # what the first batch norm sees
    expected = [
        torch.stack([statistic(x) for x in first]).mean(0)
        for statistic in (lambda x: x.mean((0, 2, 3)), lambda x: x.transpose(0, 1).flatten(1).var(1))
    ]
    torch.testing.assert_close(norm.running_mean, expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, expected[1], rtol=1e-4, atol=1e-5)
    assert not network.training and not any(module.training for module in network.modules()) and norm.momentum == 0.1
    assert_equal(others, {key: network.state_dict()[key] for key in others})
    with pytest.raises(UserError, match="a VGG16 has no batch norm to estimate again: leave out --recalibrate_bn"):
        with torch.device("meta"):
            recalibrate_batch_norm(GeoLocalizationNet("VGG16", 8), [])


def test_calibration_images_are_drawn_by_seed_without_replacement(tiny):
    def names_and_sizes(seed, count):
        images = CalibrationImages(f"{tiny}/train", count, 48, seed, batch_size=8)
        return np.concatenate(images.batches).tolist(), [len(batch) for batch in images.batches]

    drawn, sizes = names_and_sizes(1, 20)
    assert (
        len(set(drawn)) == 20 and sizes == [7, 7, 6] and drawn == names_and_sizes(1, 20)[0] != names_and_sizes(2, 20)[0]
    )
    assert sorted(names_and_sizes(1, 1000)[0]) == list(range(72))
    images = CalibrationImages(f"{tiny}/train", 3, 64, 1)
    batch, unreadable = images[0]
    assert batch.shape == (3, 3, 64, 64) and batch.dtype == torch.uint8 and not unreadable
    expected = to_array(open_rgb(f"{tiny}/train/{list_images(f'{tiny}/train')[images.batches[0][1]]}"))
    np.testing.assert_array_equal(batch[1].permute(1, 2, 0).numpy(), expected)


# --- soup.py


def test_uniform_soup_without_a_data_set(networks, workdir):
    folder = run(soup, "--ingredients", *networks, "--output", "soup.pth")
    assert_equal(read_tensors("soup.pth"), average([read_tensors(path) for path in networks]))
    assert [(row["count"], row["R@1"], row["decision"]) for row in table("soup.pth.csv")] == [("3", "", "kept")]
    assert "Without a validation set" in open(f"{folder}/info.log").read()


def test_uniform_soup_is_measured_beside_its_ingredients_and_loads_in_eval(tiny, networks, workdir):
    os.mkdir("out")
    folder = run(
        soup, "--ingredients", *networks, "--dataset_folder", tiny, "--output", "out/soup.pth", "--num_workers", 0
    )
    rows = table("out/soup.pth.csv")
    assert [row["networks"] for row in rows] == [*networks, " + ".join(networks)] and all(
        0 < float(row["R@1"]) <= 100 for row in rows
    )
    log = open(f"{folder}/info.log").read()
    assert all(f"R@1 {float(row['R@1']):5.1f}" in log and row["networks"] in log for row in rows)
    shutil.copytree(f"{tiny}/val", "asif")  # the validation set's own queries, to compare
    evaluated = run(eval_script, "--test_set_folder", "asif", "--resume_model", "out/soup.pth", "--num_workers", 0)
    assert f"R@1: {float(rows[-1]['R@1']):.1f}, " in open(f"{evaluated}/info.log").read()


def test_greedy_soup_keeps_what_the_validation_set_says(tiny, networks, workdir, monkeypatch):
    def recall(ingredients, indices):  # the second is best; the third joins it, the first does not
        return {(0,): 30.0, (1,): 50.0, (2,): 20.0, (1, 0): 40.0, (1, 2): 50.0}[tuple(indices)]

    monkeypatch.setattr(soup.Ingredients, "recall", recall)
    folder = run(
        soup, "--ingredients", *networks, "--method", "greedy", "--dataset_folder", tiny, "--output", "soup.pth"
    )
    assert_equal(read_tensors("soup.pth"), average([read_tensors(networks[1]), read_tensors(networks[2])]))
    assert [(row["R@1"], row["count"], row["decision"]) for row in table("soup.pth.csv")] == [
        ("30", "1", "ingredient"),
        ("50", "1", "ingredient"),
        ("20", "1", "ingredient"),
        ("50", "1", "kept"),
        ("40", "2", "left out"),
        ("50", "2", "kept"),
    ]
    assert "The soup of 2 of 3 ingredients is soup.pth" in open(f"{folder}/info.log").read()


def test_greedy_soup_of_one_is_that_ingredient_as_it_is(tiny, networks, workdir, monkeypatch):
    monkeypatch.setattr(soup.Ingredients, "recall", lambda self, indices: 10.0 / len(indices) + (indices == [2]))
    folder = run(
        soup,
        "--ingredients",
        *networks,
        "--method",
        "greedy",
        "--dataset_folder",
        tiny,
        "--output",
        "soup.pth",
        "--recalibrate_bn",
        8,
    )
    assert_equal(read_tensors("soup.pth"), read_tensors(networks[2]))
    assert f"No other ingredient helps: the soup is {networks[2]} alone" in open(f"{folder}/info.log").read()


def test_recalibrated_soup_does_not_depend_on_workers(tiny, networks, workdir, monkeypatch):
    monkeypatch.setattr("model.inference.compiled", None)  # by no seed is a network compiled
    recipe = workdir / "recipe.txt"
    recipe.write_text(
        f"--dataset_folder {tiny} --batch_size 4 --lr 0.1 --image_size 64 --M 20  # a training's flags are skipped\n"
    )
    flags = [
        f"@{recipe}",
        "--ingredients",
        *networks,
        "--recalibrate_bn",
        20,
        "--seed",
        3,
        "--val_set_folder",
        f"{tiny}/val",
    ]
    for workers in (0, 2):
        run(soup, *flags, "--num_workers", workers, "--output", f"{workers}.pth")
    made = read_tensors("0.pth")
    assert_equal(made, read_tensors("2.pth"))
    assert all(0 < float(row["R@1"]) <= 100 for row in table("0.pth.csv"))
    assert [row["R@1"] for row in table("0.pth.csv")] == [row["R@1"] for row in table("2.pth.csv")]
    expected = network_of(0)
    expected.load_state_dict(average([read_tensors(path) for path in networks]))
    assert not torch.equal(expected.backbone[0][0][1].running_mean, made["backbone.0.0.1.running_mean"])
    recalibrate_batch_norm(expected, [normalize(CalibrationImages(f"{tiny}/train", 20, 64, 3)[0][0])])
    for key, value in expected.state_dict().items():
        torch.testing.assert_close(made[key], value, rtol=1e-3, atol=1e-5)


def test_unreadable_training_images_are_left_out_of_the_calibration(copy, networks):
    for path in sorted(glob.glob("copy/train/sub/*.jpg"))[::2]:
        os.truncate(path, 300)
    flags = [
        "--ingredients",
        *networks,
        "--output",
        "soup.pth",
        "--train_set_folder",
        "copy/train",
        "--image_size",
        64,
        "--num_workers",
        0,
    ]
    folder = run(soup, *flags, "--recalibrate_bn", 72)
    assert "36 training images cannot be read and are left out" in open(f"{folder}/info.log").read()


def test_run_states_and_published_models_are_ingredients(networks, workdir):
    os.makedirs("torch_home/hub/checkpoints")
    save_network(network_of(5, "ResNet18", 32), "torch_home/hub/checkpoints/ResNet18_32_cosplace.pth")
    write_tensors(
        {"model_state_dict": network_of(6, "ResNet18", 32).state_dict(), "epoch_num": 3}, "last_checkpoint.pth"
    )
    run(soup, "--ingredients", "resnet18_32", "last_checkpoint.pth", "--output", "soup.pth")
    assert_equal(read_tensors("soup.pth"), average([network_of(seed, "ResNet18", 32).state_dict() for seed in (5, 6)]))


# --- bad input


def test_usage(networks, tiny, workdir, capsys):
    two = ["--ingredients", *networks[:2], "--output", "soup.pth"]
    os.symlink(f"{tiny}/test", "innocent")
    shutil.copytree(f"{tiny}/val", "data/test/by_night")
    for flags, problem in (
        (
            ["--ingredients", networks[0], "--output", "s.pth"],
            "a soup needs at least two --ingredients, and there is only",
        ),
        ([*two, "--method", "greedy"], "--method greedy needs --dataset_folder or --val_set_folder"),
        ([*two, "--recalibrate_bn", 9], "--recalibrate_bn needs --dataset_folder or --train_set_folder"),
        ([*two, "--recalibrate_bn", -1], "must be a number of images"),
        ([*two, "--val_set_folder", f"{tiny}/test"], "is a test set"),
        ([*two, "--val_set_folder", "x/TEST_night/"], "is a test set"),
        ([*two, "--val_set_folder", "innocent"], "innocent is a test set"),
        ([*two, "--dataset_folder", "data", "--val_set_folder", "data/test/by_night"], "is a test set"),
        (
            [*two, "--val_set_folder", "v", "--test_set_folder", "./v"],
            "v is a test set: a soup chosen on it could not be tested",
        ),
        (["--ingredients", *networks[:2], "--output", networks[1]], "is one of the ingredients, and would be lost"),
        ([*two[:-1], "nowhere/soup.pth"], "there is no folder nowhere"),
    ):
        assert problem in fails(soup, capsys, *flags)
    assert not is_test_set("testament", None) and not is_test_set("data/val", "data/test")
    assert not os.path.exists("soup.pth")


def test_networks_that_do_not_mix(networks, workdir, capsys):
    save_network(GeoLocalizationNet("MobileNet_V2", 16), "other.pth")
    save_network(GeoLocalizationNet("Small", 32), "wide.pth")
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), "imagenet.pth")
    spoilt = read_tensors(networks[1])
    spoilt["backbone.0.0.1.running_var"][0] = float("nan")
    write_tensors(spoilt, "spoilt.pth")
    for other, problem in (
        ("other.pth", f"other.pth is a MobileNet_V2 with 16-D descriptors, and {networks[0]} a Small with 16-D"),
        ("wide.pth", "wide.pth is a Small with 32-D descriptors, and"),
        ("imagenet.pth", "imagenet.pth is not a ResNet18 with 512-D descriptors: it lacks backbone.0.weight"),
        ("spoilt.pth", "spoilt.pth holds numbers that are not finite (backbone.0.0.1.running_var)"),
        ("absent.pth", "there is no file absent.pth"),
    ):
        assert problem in fails(soup, capsys, "--ingredients", networks[0], other, "--output", "soup.pth")
        shutil.rmtree("logs")
    assert not os.path.exists("soup.pth") and not os.path.exists("soup.pth.csv")
