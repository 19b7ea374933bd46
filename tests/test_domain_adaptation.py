"""Gradient reversal and AADA: their terms and gradients, and whole runs."""

import csv
import functools
import glob
import itertools
import os
import re
import shutil

import pytest
import torch

import eval as eval_script
import train
from datasets.target_dataset import DomainBatch
from model.domain_adaptation import DomainAutoencoder, DomainClassifier, make_domain_module
from model.heads import CosFace
from model.network import GeoLocalizationNet
from support.files import read_tensors
from tests.scripts import assert_equal, fails, run, weights
from tests.tiny import FLAGS, place_image
from training.objective import Objective

KINDS = {
    "grl": ["--domain_adaptation", "grl"],
    "aada": ["--domain_adaptation", "aada", "--aada_m", "300", "--domain_lr", "1e-3"],
    "conv": (
        "--domain_adaptation aada --aada_m 300 --domain_lr 1e-3 --aada_autoencoder conv --domain_target_images 3 "
        "--domain_source group"
    ).split(),
}
GRL = ["--domain_adaptation", "grl", "--target_dataset_folder", "t"]
SHORT = [*FLAGS, "--iterations_per_epoch", 2]
IS_TARGET = torch.tensor([False] * 4 + [True] * 2)


def features_of(module):
    torch.manual_seed(5)
    return module.double(), torch.randn(6, 7, 2, 3, dtype=torch.float64, requires_grad=True)


# --- terms and gradients


def plain_layers(layers, x):
    """Linear layers with ReLU between, written out."""
    linear = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
    for number, layer in enumerate(linear):
        x = x @ layer.weight.T + layer.bias
        x = x.clamp(min=0) if number < len(linear) - 1 else x
    return x


def test_reversed_gradient_is_minus_alpha_times_the_plain_one():
    module, features = features_of(DomainClassifier(7, loss_weight=0.3))
    assert [tuple(p.shape) for p in module.parameters()] == [(50, 7), (50,), (20, 50), (20,), (2, 20), (2,)]
    logits = plain_layers(module.layers, features.mean((2, 3)))
    plain = -torch.log_softmax(logits, 1)[range(6), IS_TARGET.long()].mean()
    wanted, *wanted_own = torch.autograd.grad(plain, [features, *module.parameters()])
    terms = module.terms(features, IS_TARGET)
    assert list(terms) == ["domain_classifier"]
    torch.testing.assert_close(terms["domain_classifier"], 0.3 * plain)
    terms["domain_classifier"].backward()
    assert wanted.norm() > 1e-3
    torch.testing.assert_close(features.grad, -0.3 * wanted)
    for parameter, gradient in zip(
        module.parameters(), wanted_own, strict=True
    ):  # the classifier itself learns to tell
        torch.testing.assert_close(parameter.grad, 0.3 * gradient)


@pytest.mark.parametrize("m", [0.01, 100.0])  # beyond the margin, and within it
def test_aada_backbone_learns_from_the_target_term_alone_and_the_autoencoder_from_both(m):
    module, features = features_of(DomainAutoencoder(7, m=m, gamma=0.25))
    assert [p.shape[0] for p in module.parameters()][::2] == [256, 128, 256, 7]
    pooled = features.mean((2, 3))
    fixed = pooled.detach()
    error_source, error_target = (
        ((plain_layers(module.autoencoder, f) - f) ** 2).sum() / f.numel() for f in (fixed[:4], fixed[4:])
    )
    own = error_source + torch.clamp(m - error_target, min=0)
    wanted_own = torch.autograd.grad(own, list(module.parameters()))
    for_backbone = 0.25 * ((plain_layers(module.autoencoder, pooled[4:]) - pooled[4:]) ** 2).mean()
    (wanted,) = torch.autograd.grad(for_backbone, features)

    terms = module.terms(features, IS_TARGET)
    torch.testing.assert_close(terms, {"autoencoder": own, "target_error": for_backbone})
    sum(terms.values()).backward()
    torch.testing.assert_close(features.grad, wanted)
    assert features.grad[4:].norm() > 1e-3 and not features.grad[:4].any()
    for parameter, gradient in zip(module.parameters(), wanted_own, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert (error_target > m) == (m == 0.01)


def test_initial_weights_are_a_function_of_the_seed_alone():
    state = torch.random.get_rng_state()
    first, again, other = (make_domain_module("aada", 7, seed).state_dict() for seed in (1, 1, 2))
    assert_equal(first, again)
    assert not torch.equal(first["autoencoder.0.weight"], other["autoencoder.0.weight"])
    assert torch.equal(torch.random.get_rng_state(), state)


class Recorder(torch.nn.Module):
    """A domain module that keeps what it is given."""

    def terms(self, features, is_target):
        self.features, self.is_target = features, is_target
        return {"recorded": features.mean()}


@pytest.mark.parametrize("amp", [False, True])
def test_objective(amp):
    torch.manual_seed(0)
    network, head, domain = (
        GeoLocalizationNet("ResNet18", 16, train_all_layers=True).train(),
        CosFace(16, 9),
        Recorder(),
    )
    images, labels, domain_images = torch.randn(4, 3, 64, 64), torch.tensor([1, 0, 8, 3]), torch.randn(6, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        plain = head.loss(network(images), labels)
        alone = Objective(network, head)(images, labels)
        before = network.backbone[1].running_mean.clone()
        terms = Objective(network, head, domain)(images, labels, DomainBatch(domain_images, IS_TARGET))
        expected = network.backbone(domain_images).float()
    assert list(alone) == ["classification"] and torch.equal(alone["classification"], plain)
    assert list(terms) == ["classification", "recorded"] and torch.equal(
        terms["classification"], plain
    )  # passes of their own
    assert (
        domain.features.shape == (6, 512, 2, 2)
        and domain.features.dtype == torch.float32
        and torch.equal(domain.is_target, IS_TARGET)
    )
    torch.testing.assert_close(domain.features, expected)
    # both passes move the running statistics
    means = [network.backbone[0](x).mean((0, 2, 3)) for x in (images, domain_images)]
    after = 0.9 * (0.9 * before + 0.1 * means[0]) + 0.1 * means[1]
    torch.testing.assert_close(
        network.backbone[1].running_mean, 0.9 * after + 0.1 * means[1], rtol=0, atol=1e-2 if amp else 1e-5
    )
    (gradient,) = torch.autograd.grad(terms["recorded"], network.backbone[0].weight)
    assert gradient.abs().max() > 0


# --- whole runs


@pytest.fixture(scope="session")
def target(once):
    """Unlabelled images of another size, without @ fields; one is cut off."""
    return str(once("target", make_target))


def make_target():
    for number in range(5):
        place_image(90 + number, 0, 0, size=80).resize((100, 80)).save(f"night photo {number}.jpg")
    os.truncate("night photo 3.jpg", 300)


@pytest.fixture(scope="session")
def adapted(tiny, target, once):
    """kind -> the log folder of a run of 2 epochs, one of each of 2 groups."""
    folders = {}
    for kind, flags in KINDS.items():
        flags = [*flags_of(tiny, target, flags), "--epochs_num", 2]
        (folder,) = once(f"adapted_{kind}", functools.partial(run, train, *flags)).glob("logs/*/*")
        folders[kind] = str(folder)
    return folders


def flags_of(dataset, target, kind):
    return ["--dataset_folder", dataset, *SHORT, "--target_dataset_folder", target, "--domain_batch_size", 6, *kind]


@pytest.mark.parametrize("kind", KINDS)
def test_terms_are_logged_and_best_model_holds_the_network_alone(tiny, adapted, workdir, kind):
    names = ["domain_classifier"] if kind == "grl" else ["autoencoder", "target_error"]
    with open(f"{adapted[kind]}/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    log = open(f"{adapted[kind]}/info.log").read()
    for row in rows:
        parts = {name: float(row[f"loss_{name}"]) for name in ["classification", *names]}
        assert all(value > 0 for value in parts.values()) and float(row["loss"]) == pytest.approx(
            sum(parts.values()), rel=1e-4
        )
        logged = {
            name: float(value)
            for name, value in re.findall(r"(loss\w*) = ([\d.]+)", log.split(f"Epoch 0{row['epoch']} in ")[1])
        }
        assert logged == pytest.approx(
            {name: float(row[name]) for name in row if name.startswith("loss")}, abs=1e-4, rel=1e-5
        )
    assert (
        "Target domain: 5 images of " in log
        and "Unreadable image, another is taken" in log
        and "night photo 3.jpg" in log
    )
    assert list(weights(adapted[kind], "best_model.pth")) == list(GeoLocalizationNet("Small", 32).state_dict())
    folder = run(
        eval_script, "--dataset_folder", tiny, "--resume_model", f"{adapted[kind]}/best_model.pth", "--num_workers", 0
    )
    assert "Network: Small with 32-D descriptors" in open(f"{folder}/info.log").read()


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_run_ends_as_the_uninterrupted_one(tiny, target, adapted, workdir, kind):
    flags = flags_of(tiny, target, KINDS[kind])
    folder = run(train, *flags, "--epochs_num", 1, "--num_workers", 1)
    run(train, *flags, "--epochs_num", 2, "--num_workers", 2, "--resume_train", f"{folder}/last_checkpoint.pth")
    assert_equal(weights(folder), weights(adapted[kind]))
    assert_equal(weights(folder, "best_model.pth"), weights(adapted[kind], "best_model.pth"))
    states = [read_tensors(f"{path}/last_checkpoint.pth") for path in (folder, adapted[kind])]
    assert_equal(*(state["domain_state_dict"] for state in states))
    moments = [
        [entry["exp_avg"] for entry in state["domain_optimizer_state_dict"]["state"].values()] for state in states
    ]
    assert moments[0] and all(torch.equal(a, b) and a.any() for a, b in zip(*moments, strict=True))
    assert states[0]["domain_optimizer_state_dict"]["param_groups"][0]["lr"] == (1e-5 if kind == "grl" else 1e-3)


def test_adaptation_changes_the_network_and_the_kinds_differ(tiny, adapted, workdir):
    plain = weights(run(train, "--dataset_folder", tiny, *SHORT))
    entries = [state["backbone.0.3.0.weight"] for state in (plain, *(weights(adapted[kind]) for kind in KINDS))]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(entries, 2))


@pytest.mark.parametrize(("kind", "dtype"), [("grl", "float16"), ("aada", "bfloat16"), ("conv", "bfloat16")])
def test_mixed_precision(tiny, target, adapted, workdir, kind, dtype):
    folder = run(train, *flags_of(tiny, target, KINDS[kind]), "--epochs_num", 1, "--use_amp16", "--amp_dtype", dtype)
    state = read_tensors(f"{folder}/last_checkpoint.pth")
    for part in ("model_state_dict", "domain_state_dict"):
        assert all(
            torch.isfinite(value).all() and value.dtype in (torch.float32, torch.int64)
            for value in state[part].values()
        )
    with open(f"{folder}/metrics.csv") as file, open(f"{adapted[kind]}/metrics.csv") as expected:
        row, full = (next(csv.DictReader(f)) for f in (file, expected))
    for name in (name for name in row if name.startswith("loss")):
        assert float(row[name]) == pytest.approx(float(full[name]), rel=0.03), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu(tiny, target, workdir, kind):
    flags = flags_of(tiny, target, [*KINDS[kind], "--device", "cuda", "--use_amp16", "--num_workers", "1"])
    folder = run(train, *flags, "--epochs_num", 1)
    run(train, *flags, "--epochs_num", 2, "--resume_train", f"{folder}/last_checkpoint.pth")
    state = read_tensors(f"{folder}/last_checkpoint.pth")
    assert all(
        torch.isfinite(value).all()
        for value in [*state["model_state_dict"].values(), *state["domain_state_dict"].values()]
    )


def test_resuming_with_and_without_domain_adaptation(tiny, target, adapted, workdir, capsys):
    last = {kind: shutil.copytree(folder, kind) + "/last_checkpoint.pth" for kind, folder in adapted.items()}
    plain = run(
        train,
        "--dataset_folder",
        tiny,
        *SHORT,
        "--epochs_num",
        3,
        "--resume_train",
        last["grl"],
        "--save_dir",
        "plain",
        "--accept_changes",
    )
    assert "The resumed run had --domain_adaptation grl, now None" in open(f"{plain}/info.log").read()
    assert "domain_state_dict" not in read_tensors(f"{plain}/last_checkpoint.pth")
    with_it = run(
        train,
        *flags_of(tiny, target, KINDS["grl"]),
        "--epochs_num",
        3,
        "--resume_train",
        f"{plain}/last_checkpoint.pth",
        "--save_dir",
        "grl_again",
        "--accept_changes",
    )
    assert (
        "is of a run without domain adaptation: what that adds starts untrained" in open(f"{with_it}/info.log").read()
    )
    shutil.rmtree("logs")
    line = fails(
        train,
        capsys,
        *flags_of(tiny, target, KINDS["grl"]),
        "--resume_train",
        last["aada"],
        "--save_dir",
        "x",
        "--accept_changes",
    )
    assert "is of another kind or backbone: it lacks layers.0.weight" in line and "fix --domain_adaptation" in line


def test_a_run_of_before_goes_on_as_it_was(tiny, target, adapted, workdir, capsys):
    """Its arguments lack the options that came later."""
    last = shutil.copytree(adapted["aada"], "logs/run/before") + "/last_checkpoint.pth"
    state, later = (
        read_tensors(last),
        "domain_target_images domain_pseudo_images domain_source aada_autoencoder".split(),
    )
    values = [state["arguments"].pop(name) for name in later]
    assert values == [2, None, "all", "pooled"]
    torch.save(state, last)
    flags = [*flags_of(tiny, target, KINDS["aada"]), "--save_dir", "run", "--resume_train", last]
    changed = ["--domain_target_images", 3, "--domain_source", "group"]
    line = fails(train, capsys, *flags, *changed)
    assert "arguments: --domain_target_images 2, now 3; --domain_source all, now group. Its results" in line
    line = fails(train, capsys, *flags, "--aada_autoencoder", "conv", "--accept_changes")
    assert "is of another kind or backbone: it lacks" in line and "or --aada_autoencoder" in line
    folder = run(train, *flags, "--epochs_num", 2)
    assert "results will be neither run's" not in open(f"{folder}/info.log").read().split("Arguments: ")[-1]


# --- bad input


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--domain_adaptation", "grl"], "--domain_adaptation grl needs --target_dataset_folder"),
        (["--grl_loss_weight", "0.1"], "--grl_loss_weight needs --domain_adaptation grl"),
        (["--aada_m", "0.5"], "--aada_m needs --domain_adaptation aada"),
        (["--aada_gamma", "0"], "--aada_gamma needs --domain_adaptation aada"),
        (["--domain_batch_size", "24"], "--domain_batch_size needs --domain_adaptation grl or aada"),
        (["--domain_lr", "1"], "--domain_lr needs --domain_adaptation grl or aada"),
        (
            [*GRL, "--aada_m", "1"],
            "--aada_m needs --domain_adaptation aada",
        ),
        ([*GRL, "--domain_batch_size", "2"], "at least 3"),
        (["--domain_target_images", "8"], "--domain_target_images needs --domain_adaptation grl or aada"),
        (["--domain_pseudo_images", "4"], "--domain_pseudo_images needs --domain_adaptation grl or aada"),
        (["--domain_source", "group"], "--domain_source needs --domain_adaptation grl or aada"),
        ([*GRL, "--aada_autoencoder", "conv"], "--aada_autoencoder needs --domain_adaptation aada"),
        (
            [*GRL, "--domain_target_images", "24"],
            "--domain_target_images 24 leaves no source images of --domain_batch_size 24: give at most 23",
        ),
        ([*GRL, "--domain_pseudo_images", "0"], "--domain_pseudo_images needs --pseudo_target_folder"),
        (
            [*GRL, "--pseudo_target_folder", "p", "--domain_pseudo_images", "8"],
            "--domain_pseudo_images 8 leaves no images of --target_dataset_folder among --domain_target_images 8: give "
            "at most 7",
        ),
    ],
)
def test_flags_that_do_not_go_together(workdir, capsys, flags, problem):
    assert problem in fails(train, capsys, "--dataset_folder", "x", *flags)


def test_empty_or_missing_target_folder(copy, capsys):
    os.mkdir("empty")
    for folder, problem in (("empty", "folder empty has no images"), ("nowhere", "folder nowhere does not exist")):
        assert problem in fails(train, capsys, *flags_of(copy, folder, KINDS["grl"]))
    os.mkdir("damaged")
    shutil.copy(glob.glob("copy/train/sub/*.jpg")[0], "damaged/x.jpg")
    os.truncate("damaged/x.jpg", 100)
    assert "none of the images of damaged can be read ('damaged/x.jpg': " in fails(
        train, capsys, *flags_of(copy, "damaged", KINDS["aada"])
    )
