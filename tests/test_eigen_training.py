"""train.py --method eigenplaces."""

import json
import os
import pathlib
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import train
from datasets.eigenplaces import ANGLES, EigenPlaces, cut_towards
from datasets.groups import open_split
from datasets.images import open_rgb, to_array
from datasets.names import list_images
from datasets.night import build
from datasets.night.augmentation import NightAugmentation
from datasets.night.pseudo_targets import PseudoTargets
from datasets.night.target_images import TargetImages
from datasets.prepare.__main__ import main as prepare
from datasets.schedule import Schedule, Share
from datasets.target_dataset import DomainImages
from datasets.train_dataset import TrainDataset
from model.checkpoints import initial_network, save_network
from model.heads import CosFace
from model.network import GeoLocalizationNet
from support import downloads
from support.errors import UserError
from support.files import read_tensors
from tests.failures import Killed, at_step, kill, send
from tests.golden import weights as golden
from tests.ranks import all_ranks, run_ranks
from tests.scripts import assert_equal, assert_same_end, fails, rows, run, weights
from tests.tiny import SHORT, place_image
from training.acceleration import without_tf32
from training.objective import Part, SumOfParts
from training.optimizers import MixedPrecision, make_adam
from training.run import Run
from training.run_files import RUN_STATE_KEYS

TRAJECTORY = json.loads((pathlib.Path(__file__).parent / "golden" / "eigenplaces.json").read_text())["trajectory"]
# groups: parity of the cell along the street (N 2); 4 classes in each
FLAGS = (
    "--method eigenplaces --M 15 --N 2 --groups_num 2 --min_images_per_class 2 --backbone Small "
    "--backbone_weights none --train_all_layers --fc_output_dim 32 --batch_size 3 --epochs_num 2 "
    "--iterations_per_epoch 4 --image_size 32 --device cpu --num_workers 0 --lr 0.001"
).split()
# with images of the night, which `dark` and `by_night` have
NIGHT = {
    "grl": "--night_augmentation fda_pp --fda_beta 0.1 --domain_adaptation grl --domain_batch_size 5 "
    "--domain_target_images 2 --iterations_per_epoch 2",
    "aada": "--night_augmentation pp --domain_adaptation aada --aada_m 300 --domain_lr 0.001 --domain_batch_size 6 "
    "--domain_target_images 2 --domain_pseudo_images 1 --domain_source group --iterations_per_epoch 2",
}
MODULE_TERMS = {"grl": ["loss_domain_classifier"], "aada": ["loss_autoencoder", "loss_target_error"]}


@pytest.fixture(scope="session")
def flags(panoramas, tiny):
    """What every run has in common: it is trained on panoramas, validated and tested on the tiny set."""
    return ["--dataset_folder", tiny, "--train_set_folder", panoramas, *FLAGS]


@pytest.fixture(scope="session")
def dark(once):
    """Unlabelled photos of another size, without @ fields."""

    def save_photos():
        for number in range(3):
            place_image(90 + number, 0, 0, size=80).point(lambda value: value // 3).resize((100, 80)).save(
                f"photo {number}.jpg"
            )

    return str(once("dark", save_photos))


@pytest.fixture(scope="session")
def by_night(once, panoramas):
    """The panoramas by night, without one of the first class: the class's mean position is another there."""

    def save_night():
        build.build(build.Settings(panoramas, "n", "pp"))
        os.remove("n_images_paths.txt")
        os.remove(f"n/{build.night_name(list_images(panoramas)[0])}")

    return str(once("by_night", save_night) / "n")


@pytest.fixture(scope="session")
def kinds(flags, dark, by_night):
    """{kind: its flags}: a plain run, and those of NIGHT."""
    target = ["--target_dataset_folder", dark]
    grl, aada = ([*flags, *target, *NIGHT[kind].split()] for kind in NIGHT)
    return {"plain": flags, "grl": grl, "aada": [*aada, "--pseudo_target_folder", by_night]}


@pytest.fixture(scope="session")
def whole_run(once, kinds):
    """From a kind to the log folder of an uninterrupted run."""

    def folder_of(kind):
        (folder,) = once(f"eigen_{kind}", lambda: run(train, *kinds[kind], "--visualize_classes", 3)).glob("logs/*/*")
        return str(folder)

    return folder_of


@pytest.fixture(scope="session")
def eigen(whole_run):
    """The log folder of an uninterrupted run."""
    return whole_run("plain")


def state_of(folder):
    return read_tensors(os.path.join(folder, "last_checkpoint.pth"))


# --- the step


def test_the_published_trajectory():
    """6 iterations of the published loop."""
    network = GeoLocalizationNet("ResNet18", 64)
    network.load_state_dict(golden.fill(network.state_dict()))
    heads = [CosFace(64, classes, TRAJECTORY["s"], TRAJECTORY["m"]) for classes in (9, 7)]
    for head, seed in zip(heads, (5, 6), strict=True):
        drawn = np.random.RandomState(seed).normal(0, 0.1, head.weight.shape)
        head.weight.data.copy_(torch.from_numpy(drawn.astype(np.float32)))
    cpu = torch.device("cpu")
    optimizers = [make_adam(head, 1e-2, cpu) for head in heads]
    lambdas = {"lateral": TRAJECTORY["lambda_lat"], "frontal": TRAJECTORY["lambda_front"]}
    amp = MixedPrecision(torch.float32, cpu)
    trained = Run(network, make_adam(network, 1e-5, cpu), heads, optimizers, amp, head_weights=lambdas)
    found = []
    with without_tf32(), trained.training_groups([0], None) as objectives:
        trained.begin_epoch()
        for i in range(6):
            images = torch.cat([golden.image(seed + 2 * i, 6, 96, 96) for seed in (200, 201)])
            labels = torch.tensor([(i + 2 * j) % 9 for j in range(6)] + [(i + 3 * j) % 7 for j in range(6)])
            with trained.step(SimpleNamespace(seed=0)):
                terms = objectives[0](images, labels)
                trained.backward_and_update(sum(terms.values()), 0)
            found.append([terms["lateral"].item(), terms["frontal"].item()])
    expected = np.transpose([TRAJECTORY["losses_lateral"], TRAJECTORY["losses_frontal"]])
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)
    for head, name in zip(heads, ("head_lateral", "head_frontal"), strict=True):
        np.testing.assert_allclose(head.weight.detach(), TRAJECTORY[name], rtol=0, atol=2e-3)
    with torch.inference_mode():
        descriptors = network.eval()(golden.image(7, 2, 160, 224))
    np.testing.assert_allclose(descriptors, TRAJECTORY["descriptors"], rtol=0, atol=1e-4)


def test_each_head_has_its_own_part_of_the_batch():
    def of(factor):
        return lambda images, labels: {"classification": factor * (images.sum() + labels.sum())}

    objective = SumOfParts([Part("a", 1.0, of(1)), Part("b", 0.5, of(10))])
    images, labels = torch.tensor([1.0, 2, 3, 4]), torch.tensor([0, 1, 2, 3])
    assert objective(images, labels) == {"a": 4, "b": 0.5 * 10 * 12}
    adapted = SumOfParts(objective.parts, lambda batch: {"domain": 10 * batch})
    assert adapted(images, labels, 7) == {"a": 4, "b": 0.5 * 10 * 12, "domain": 70}  # once, of no head's weight


def test_rates_of_a_diverged_run_are_named():
    """Those of the network, the heads and the domain, whatever the number of heads."""
    linear = torch.nn.Linear(1, 1)
    optimizers = [make_adam(linear, lr, torch.device("cpu")) for lr in (0.1, 0.2, 0.2, 0.3)]
    amp = MixedPrecision(torch.float32, torch.device("cpu"))
    two = Run(linear, optimizers[0], [linear] * 2, optimizers[1:3], amp, head_weights={"a": 1, "b": 1})
    assert two.learning_rates(0) == [0.1, 0.2] and len(two.optimizers_of(0)) == 3
    one = Run(linear, optimizers[0], [linear], optimizers[1:2], amp, domain_optimizer=optimizers[3])
    assert one.learning_rates(0) == [0.1, 0.2, 0.3]


# --- whole runs


def test_a_run_from_beginning_to_end(eigen):
    state, log = state_of(eigen), open(f"{eigen}/info.log").read()
    assert "Experiment finished (without any errors)" in log and "Epoch 01" in log
    assert "Group 1: 4 classes, 12 images; each class is seen 6.0 times an epoch" in log  # 2 x 4 x 3 / 4
    assert [tuple(head["weight"].shape) for head in state["classifiers_state_dict"]] == [(4, 32)] * 4
    steps = [optimizer["state"][0]["step"] for optimizer in state["optimizers_state_dict"]]
    assert steps == [4] * 4 and state["optimizer_state_dict"]["state"][0]["step"] == 8
    assert state["arguments"]["method"] == "eigenplaces" and state["head_settings"]["s"] == 100
    metrics = rows(eigen)
    assert [row["group"] for row in metrics] == ["0", "1"]
    for row in metrics:
        assert float(row["loss"]) == pytest.approx(float(row["loss_lateral"]) + float(row["loss_frontal"]), rel=1e-4)
        assert 30 < float(row["loss_lateral"]) < 60  # s times the margin, and more
    assert os.path.exists(f"{eigen}/best_model.pth")
    assert len(os.listdir(f"{eigen}/classes")) == 3


def test_heads_of_a_group_begin_with_weights_of_their_own(flags, workdir):
    run(train, *flags, "--epochs_num", 1, "--lambda_lat", 0, "--lambda_front", 0)
    folder = run(train, *flags, "--epochs_num", 1, "--classifiers_lr", 0, "--save_dir", "other")
    heads = [head["weight"] for head in state_of(folder)["classifiers_state_dict"]]
    assert all((a - b).abs().max() > 0.1 for i, a in enumerate(heads) for b in heads[:i])


@pytest.mark.parametrize("lambdas", [("2", "1"), ("1", "0.25")])
def test_lambdas_weigh_the_losses(flags, workdir, lambdas):
    one = [*flags, "--iterations_per_epoch", 1, "--epochs_num", 1]
    plain = rows(run(train, *one))[0]
    weighed = rows(run(train, *one, "--lambda_lat", lambdas[0], "--lambda_front", lambdas[1], "--save_dir", "w"))[0]
    for name, factor in zip(("loss_lateral", "loss_frontal"), lambdas, strict=True):
        assert float(weighed[name]) == pytest.approx(float(factor) * float(plain[name]), rel=1e-5)


@pytest.mark.parametrize("step", [2, 4 + 1])
def test_killed_and_resumed_ends_as_the_uninterrupted_run(flags, eigen, workdir, monkeypatch, step):
    again = [*flags, "--resume_train", "auto", "--checkpoint_every", 1, "--num_workers", 2]
    with monkeypatch.context() as context, pytest.raises(Killed):
        at_step(context, step, kill)
        train.main([str(flag) for flag in again])
    folder = run(train, *again)
    assert "Resuming at epoch" in open(f"{folder}/info.log").read()
    assert_same_end(folder, eigen)


def test_workers_change_nothing(flags, eigen, workdir):
    assert_same_end(run(train, *flags, "--num_workers", 3), eigen)


@pytest.mark.parametrize("kind", ["plain", "aada"])
def test_crops_that_were_made_before_train_the_same(kinds, whole_run, kind, panoramas, workdir, capsys):
    flags, whole = kinds[kind], whole_run(kind)
    made = ["--panoramas", "eigenplaces", "--photos", panoramas, "--output", "crops", "--num_workers", "0"]
    prepare([*made, "--N", "2", "--min_images_per_class", "2"])
    shutil.copytree(panoramas, "panoramas")
    for entry in os.scandir("panoramas"):
        os.truncate(entry.path, 0)  # so nothing can be read of them
    folder = run(train, *flags, "--train_set_folder", "panoramas", "--crops_folder", "crops")
    assert_equal(weights(folder), weights(whole))
    assert [row["loss"] for row in rows(folder)] == [row["loss"] for row in rows(whole)]
    line = fails(train, capsys, *flags, "--crops_folder", "crops", "--focal_dist", 12)
    assert "crops was made with other settings: focal_dist 10.0 (now 12.0)" in line
    assert "no crops of EigenPlaces" in fails(train, capsys, *flags, "--crops_folder", panoramas)


# --- the night


def open_dataset(panoramas, night=None, share=None, dark=None, by_night=None):
    """A TrainDataset of 24 batches of 3 + 3 images. By night: the last of each head; in domain batches of 7 the fifth
    image, before two of `dark`.
    """
    method = EigenPlaces(15, 2, 10.0, 2)
    groups, schedule = method.build(list_images(panoramas)), Schedule([4, 4], 3, 4, 6, seed=0, heads=2)
    pseudo = domain = None
    if by_night:
        copies = replace(method, min_images_per_class=1).build(list_images(by_night))
        pseudo = PseudoTargets(by_night, copies, groups, 2, method)
    if dark:
        domain = DomainImages(
            panoramas, groups, schedule, [dark], 7, target_size=3, pseudo_size=1, pseudo_targets=pseudo, method=method
        )
    return TrainDataset(panoramas, groups, schedule, domain, pseudo, night, share, method)


@pytest.mark.parametrize("half_by_night", [False, True])
def test_crops_of_both_heads_become_night(panoramas, by_night, half_by_night):
    night = NightAugmentation("pp", 0.5, 0.01)
    dataset, seen = open_dataset(panoramas, night, by_night=by_night if half_by_night else None), set()
    by_day = range(2 if half_by_night else 3)
    for step in range(8):
        batch, (_, group, k) = dataset[step], dataset.schedule.at(step)
        draws = [dataset.schedule.night_draws(group, k, head)[0] for head in range(2)]
        assert (draws[0] != draws[1]).all()
        expected = [3 * head + row for head in range(2) for row in by_day if draws[head][row] < 0.5]
        difference = night(batch.images, batch.night, 7) - batch.images / 255
        changed = np.flatnonzero(difference.abs().amax((1, 2, 3)) > 0.1)
        assert batch.night.rows.tolist() == changed.tolist() == expected
        seen.update(expected)
    assert seen == {3 * head + row for head in range(2) for row in by_day}


def test_processes_make_the_night_of_the_whole_batch(panoramas, dark):
    night = NightAugmentation("fda_pp", 0.7, 0.1, TargetImages(dark))
    shares = [Share(6, np.array(rows)) for rows in ([0, 1, 3, 4], [2, 5])]
    whole, *parts = (open_dataset(panoramas, night, share) for share in (None, *shares))
    for step in range(8):
        expected = night(whole[step].images, whole[step].night, 7)
        for share, part in zip(shares, parts, strict=True):
            found = night(part[step].images, part[step].night, 7)
            torch.testing.assert_close(found, expected[share.rows], rtol=0, atol=1e-5)


def test_images_by_night_and_domain_images_are_cut_as_those_by_day(panoramas, dark, by_night):
    """Source images for the heads in turn. Towards the points of the training set, though one image has no copy."""
    dataset, seen = open_dataset(panoramas, dark=dark, by_night=by_night), set()
    groups = dataset.groups
    place_of = {
        groups.image_name(index): (group, row)
        for group in range(2)
        for row in range(4)
        for index in groups.image_indices(group, row)
    }
    for batch in map(dataset.__getitem__, range(len(dataset))):
        # (head, whether by night) of the images that are cut
        rows = [(row // 3, row % 3 == 2) for row in range(6)] + [(row % 2, row == 4) for row in range(5)]
        images = [*batch.images, *batch.domain.images[:5]]
        for image, name, (head, is_night) in zip(images, batch.names, rows, strict=False):
            place = place_of[name.removeprefix("night")]
            assert name.startswith("night") == is_night
            path = os.path.join(by_night if is_night else panoramas, name)
            crop = cut_towards(groups.focal_point(*place, ANGLES[head]), open_rgb(path), name)
            assert np.array_equal(image.movedim(0, -1), to_array(crop))
            seen.add((place, head, is_night))
        assert batch.domain.is_target.tolist() == [False] * 4 + [True] * 3
        assert all(name.startswith("photo") for name in batch.names[11:]) and len(batch.names) == 13
    incomplete = place_of[list_images(panoramas)[0]]
    assert {(incomplete, head, True) for head in range(2)} <= seen
    assert dataset.pseudo_targets.groups.focal_point(*incomplete, 0) != groups.focal_point(*incomplete, 0)


@pytest.mark.parametrize("kind", NIGHT)
def test_a_night_run_ends_the_same_with_workers_and_killed(kinds, whole_run, kind, workdir, monkeypatch):
    whole = whole_run(kind)
    again = [*kinds[kind], "--resume_train", "auto", "--checkpoint_every", 1, "--num_workers", 2]
    with monkeypatch.context() as context, pytest.raises(Killed):
        at_step(context, 2 + 1, kill)
        train.main([str(flag) for flag in again])
    folder = run(train, *again)
    assert "Resuming at epoch" in open(f"{folder}/info.log").read()
    assert_same_end(folder, whole)
    assert_equal(state_of(folder)["domain_state_dict"], state_of(whole)["domain_state_dict"])
    for row in rows(whole):
        parts = [float(row[name]) for name in ("loss_lateral", "loss_frontal", *MODULE_TERMS[kind])]
        assert all(parts) and float(row["loss"]) == pytest.approx(sum(parts), rel=1e-4)


def test_a_folder_by_night_of_other_images_is_refused(kinds, by_night, workdir, capsys):
    shutil.copytree(by_night, "squares")
    for entry in os.scandir("squares"):
        Image.new("RGB", (64, 64)).save(entry.path)
    line = fails(train, capsys, *kinds["aada"], "--pseudo_target_folder", "squares")
    assert "64 pixels, and EigenPlaces needs whole panoramas" in line and "fix or remove them in squares" in line


# --- the published last_checkpoint.pth


def published_state(state, groups):
    """A run's state as the published code writes it: entry 2g is lateral, 2g + 1 frontal, the classes of each head in
    the order of a Python set.
    """
    state = {key: state[key] for key in RUN_STATE_KEYS} | {"best_val_recall1": np.float64(0.0)}
    for g in range(2):
        ids = [tuple(class_id) for class_id in groups.class_ids(g).tolist()]
        seen = sorted(range(len(ids)), key=lambda row, g=g: groups.image_indices(g, row)[0])
        order = [ids.index(class_id) for class_id in set([ids[row] for row in seen])]  # noqa: C403
        assert order != sorted(order)
        for number in (2 * g, 2 * g + 1):
            head, optimizer = state["classifiers_state_dict"][number], state["optimizers_state_dict"][number]
            head["weight"] = head["weight"][order]
            for entry in optimizer["state"].values():
                entry.update({key: entry[key][order] for key in ("exp_avg", "exp_avg_sq")})
    return state


def test_a_published_run_state_goes_on_as_ours(flags, panoramas, eigen, workdir):
    longer = [*flags, "--epochs_num", 4, "--classifiers_lr", 0.3, "--accept_changes", "--resume_train"]
    groups = open_split(panoramas, EigenPlaces(15, 2, 10.0, 2))
    os.mkdir("published")
    torch.save(published_state(state_of(eigen), groups), "published/last_checkpoint.pth")
    ours = run(train, *longer, f"{eigen}/last_checkpoint.pth", "--save_dir", "ours")
    theirs = run(train, *longer, "published/last_checkpoint.pth", "--save_dir", "theirs")
    log = open(f"{theirs}/info.log").read()
    assert "Resuming at epoch 2 of 4" in log and "had --loss_s" not in log
    assert_equal(weights(theirs), weights(ours))
    for a, b in zip(*(state_of(folder)["classifiers_state_dict"] for folder in (theirs, ours)), strict=True):
        assert torch.equal(a["weight"], b["weight"])


def test_a_run_is_not_resumed_by_another_method(flags, eigen, tiny, workdir, capsys):
    resumed = ["--resume_train", f"{eigen}/last_checkpoint.pth"]
    line = fails(train, capsys, *flags, "--lambda_front", 2, "--focal_dist", 9, *resumed)
    assert "had other arguments: --focal_dist 10.0, now 9.0; --lambda_front 1.0, now 2.0" in line
    cosplace = "--M 10 --N 2 --L 1 --groups_num 2 --min_images_per_class 2 --backbone Small".split()
    cosplace += "--fc_output_dim 32 --train_all_layers --batch_size 3 --device cpu --num_workers 0".split()
    assert "--method eigenplaces, now cosplace" in fails(train, capsys, "--dataset_folder", tiny, *cosplace, *resumed)
    state = state_of(eigen)
    state["classifiers_state_dict"], state["optimizers_state_dict"] = [[]] * 8, [{}] * 8
    torch.save({key: state[key] for key in RUN_STATE_KEYS}, "eight.pth")
    line = fails(train, capsys, *flags, "--resume_train", "eight.pth")
    assert "eight.pth was trained on 4 groups, not on 2, of 2 heads each: fix --groups_num or --method" in line


def test_a_refused_run_leaves_the_maps_and_a_disk_that_refuses_maps_ends_no_run(flags, eigen, workdir, capsys):
    folder, goes_on = "logs/default/run", ["--resume_train", "logs/default/run/last_checkpoint.pth"]
    shutil.copytree(eigen, folder)
    maps = {path: path.read_bytes() for path in pathlib.Path(folder, "classes").iterdir()}
    drawn = [*flags, "--visualize_classes", 3, *goes_on]
    assert "had other arguments" in fails(train, capsys, *drawn, "--focal_dist", 5)
    assert len(maps) == 3 and all(path.read_bytes() == content for path, content in maps.items())
    shutil.rmtree(f"{folder}/classes")
    open(f"{folder}/classes", "w").close()
    run(train, *drawn)
    log = open(f"{folder}/info.log").read()
    assert "classes cannot be made: File exists" in log and "the run goes on, without the maps of classes" in log


def test_a_run_begun_before_there_were_methods_goes_on(tiny, whole, workdir):
    """Its arguments lack the options of methods."""
    state = state_of(whole)
    for name in ("method", "focal_dist", "lambda_lat", "lambda_front"):
        del state["arguments"][name]
    torch.save(state, "last_checkpoint.pth")
    folder = run(train, "--dataset_folder", tiny, *SHORT, "--resume_train", "last_checkpoint.pth")
    assert "Resuming at epoch 2 of 2" in open(f"{folder}/info.log").read()


# --- what is refused


def test_a_folder_of_other_images_is_refused(flags, tiny, workdir, capsys):
    line = fails(train, capsys, *flags, "--train_set_folder", f"{tiny}/train", "--M", 10)
    assert "cannot be trained on: it has 64 x 64 pixels" in line
    assert "raw/train/panoramas, not in processed or small" in line


def test_groups_that_do_not_exist_or_are_too_small(flags, workdir, capsys):
    line = fails(train, capsys, *flags, "--groups_num", 0)
    assert (
        "--groups_num is all N x N = 4, but" in line
        and "has only 2 groups with --M 15 --N 2 --min_images_per_class 2" in line
    )
    line = fails(train, capsys, *flags, "--batch_size", 5)
    assert "group 0 has 4 classes, fewer than a batch of 5" in line and "alpha" not in line
    assert "change --M, --N or --min_images_per_class so that groups have more classes" in line


# --- initial weights


def test_a_backbone_begins_as_that_of_a_model_of_the_zoo(workdir):
    os.mkdir("zoo")
    model = GeoLocalizationNet("MobileNet_V2", 16)
    save_network(model, "zoo/known.pth")
    torch.manual_seed(1)
    network = initial_network("MobileNet_V2", 32, weights="known", zoo_location="zoo")
    assert_equal(network.backbone.state_dict(), model.backbone.state_dict())
    torch.manual_seed(1)
    plain = initial_network("MobileNet_V2", 32)
    assert_equal(network.aggregation.state_dict(), plain.aggregation.state_dict())  # random, of this dimension
    with pytest.raises(UserError, match="known is a MobileNet_V2 with 16-D.*or give another --backbone_weights"):
        initial_network("ResNet18", 32, weights="known", zoo_location="zoo")


def test_training_begins_with_the_published_cosplace_network(flags, workdir, capsys, monkeypatch):
    def offline(address, *_, **__):
        raise UserError(f"{address} could not be fetched")

    monkeypatch.setattr(downloads, "fetch", offline)
    begins = [flag for flag in flags if flag not in ("--backbone_weights", "none")] + ["--backbone", "MobileNet_V2"]
    line = fails(train, capsys, *begins, "--backbone", "ResNet18")
    assert "ResNet18_512_cosplace.pth could not be fetched; or give another --backbone_weights, as IMAGENET" in line
    assert "'MobileNet_V2_512' is neither a file nor a published model" in fails(train, capsys, *begins)
    os.mkdir("zoo")
    model = GeoLocalizationNet("MobileNet_V2", 512)
    save_network(model, "zoo/MobileNet_V2_512.pth")
    frozen = [flag for flag in begins if flag != "--train_all_layers"]
    folder = run(train, *frozen, "--zoo", "zoo", "--epochs_num", 1)
    assert "those of MobileNet_V2_512, without its last layer" in open(f"{folder}/info.log").read()
    first = "backbone.0.0.0.weight"  # of the layers that are not trained
    assert torch.equal(weights(folder)[first], model.state_dict()[first])


# --- several processes


def run_here(*flags):
    train.main([str(flag) for flag in flags])


def run_and_stop(step, *flags):
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, step, send(signal.SIGTERM))
        run_here(*flags)


def only_folder(save_dir):
    (folder,) = pathlib.Path("logs", save_dir).iterdir()
    return str(folder)


def largest_difference(state, expected):
    pairs = [
        (state["model_state_dict"], expected["model_state_dict"]),
        *zip(state["classifiers_state_dict"], expected["classifiers_state_dict"], strict=True),
    ]
    return max((a[key].double() - b[key].double()).abs().max().item() for a, b in pairs for key in b)


@pytest.mark.parametrize("kind", NIGHT)
def test_two_processes_follow_the_trajectory_of_one(kinds, workdir, kind):
    """With stochastic depth, whose draws are those of a head's whole batch, and with all that a batch may have."""
    several = [*kinds[kind], "--epochs_num", 1, "--freeze_bn", "--backbone", "SmallDropping", "--lr", 1e-5]
    run_here(*several, "--save_dir", "one")
    all_ranks(2, run_here, *several, "--save_dir", "two")
    one, two = only_folder("one"), only_folder("two")
    assert largest_difference(state_of(two), state_of(one)) < 1e-4
    for key, value in state_of(one)["domain_state_dict"].items():
        assert (state_of(two)["domain_state_dict"][key] - value).abs().mean() < 5e-5, key
    for row, other in zip(rows(one), rows(two), strict=True):
        assert row["images_crc32"] == other["images_crc32"]
        for key in ("loss", "loss_lateral", "loss_frontal", *MODULE_TERMS[kind]):
            assert float(row[key]) == pytest.approx(float(other[key]), rel=1e-3), key


def test_a_group_on_each_process_has_both_its_heads_there(kinds, workdir):
    several = [*kinds["grl"], "--iterations_per_epoch", 4, "--parallel", "groups", "--local_steps", 2]
    several += ["--checkpoint_every", 2]
    all_ranks(2, run_here, *several, "--save_dir", "whole")
    _, codes, errors = run_ranks(2, run_and_stop, 4 + 1, *several, "--save_dir", "groups")
    assert codes == [128 + signal.SIGTERM] * 2, "\n".join(errors)
    all_ranks(2, run_here, *several, "--save_dir", "groups", "--resume_train", "auto")
    whole, resumed = state_of(only_folder("whole")), state_of(only_folder("groups"))
    assert largest_difference(resumed, whole) == 0
    steps = [optimizer["state"][0]["step"] for optimizer in whole["optimizers_state_dict"]]
    assert steps == [8] * 4 and [len(head["weight"]) for head in whole["classifiers_state_dict"]] == [4] * 4
    assert [row["group"] for row in rows(only_folder("whole"))] == ["0+1", "0+1"]
