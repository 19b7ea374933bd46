"""Heads and domain adaptation against figures that the code of the published night experiments gave (tests/golden)."""

import pathlib

import numpy as np
import pytest
import torch

import train
from model.domain_adaptation import (
    ConvolutionalAutoencoder,
    DomainAutoencoder,
    DomainClassifier,
    make_domain_module,
)
from model.heads import HEADS
from support.files import read_tensors
from tests.scripts import assert_same_end, fails, run
from tests.tiny import SHORT
from training.run_state import head_differences

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "night_fork.npz")
IS_TARGET = torch.tensor([False] * 4 + [True] * 2)
LABELS = torch.from_numpy(GOLDEN["heads/y"]).long()


def golden(name):
    return torch.from_numpy(GOLDEN[name])


def normal(random, deviation, *shape):
    return torch.from_numpy(random.normal(0, deviation, shape).astype(np.float32))


def head_inputs():
    """(descriptors (6, 16), class weights (9, 16)): the first is nearly opposite to its class, the second on it."""
    random = np.random.RandomState(41)
    x, weight = (random.normal(0, deviation, shape) for deviation, shape in ((1, (6, 16)), (0.3, (9, 16))))
    labels, z = random.randint(0, 9, 6), random.normal(0, 1, 16)
    assert labels.tolist() == LABELS.tolist()
    x, weight = x.astype(np.float32).astype(float), weight.astype(np.float32).astype(float)
    x[0], x[1] = -weight[labels[0]] + 0.1 * z, weight[labels[1]]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(weight.astype(np.float32))


def step(head, descriptors):
    """What a forward and a backward pass give, by their names in the golden file."""
    descriptors, head.weight.grad = descriptors.clone().requires_grad_(), None
    found = {"logits": head(descriptors, LABELS).detach()}
    loss = head.loss(descriptors, LABELS)
    loss.backward()
    weight = head.weight.detach().clone()
    return found | {"loss": loss.detach(), "dx": descriptors.grad, "dW": head.weight.grad, "W_after_forward": weight}


@pytest.mark.parametrize("loss", ["arcface", "sphereface"])
def test_two_steps_of_the_fork_s_heads(loss):
    descriptors, weight = head_inputs()
    head = HEADS[loss](16, 9, fork=True)
    head.weight.data.copy_(weight)
    for number in (1, 2):
        for name, value in step(head, descriptors).items():
            tolerance = 2e-4 if (loss, name) == ("arcface", "logits") else 1e-4
            torch.testing.assert_close(value, golden(f"{loss}/step{number}/{name}"), rtol=0, atol=tolerance)
        head.weight.data.sub_(0.02 * head.weight.grad)


@pytest.mark.parametrize("loss", ["arcface", "sphereface"])
def test_the_paper_s_heads_differ_from_the_fork_s(loss):
    descriptors, weight = head_inputs()
    head = HEADS[loss](16, 9)
    head.weight.data.copy_(weight)
    found = step(head, descriptors)
    assert torch.equal(found["W_after_forward"], weight)
    assert (found["dW"] - golden(f"{loss}/step1/dW")).abs().max() > 0.1
    same_logits = torch.allclose(found["logits"], golden(f"{loss}/step1/logits"), rtol=0, atol=2e-4)
    assert same_logits == (loss == "sphereface")  # arcface's first angle is beyond pi - m


@pytest.mark.parametrize("weight_of_plain", [1.0, 1.5, 2.0])
def test_emms_is_the_fork_s(weight_of_plain):
    descriptors, weight = head_inputs()
    head = HEADS["emms"](16, 9, l=weight_of_plain)
    head.weight.data.copy_(weight)
    found = step(head, descriptors)
    del found["logits"]
    rows = [head.loss(descriptors[row : row + 1], LABELS[row : row + 1]).detach() for row in range(6)]
    for name, value in (found | {"per_sample": torch.stack(rows)}).items():
        expected = golden(f"emms/l_{weight_of_plain}/{name}")
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-4)


# --- domain adaptation


def uniform(random, *shape):
    return torch.from_numpy(random.uniform(0, 1, shape).astype(np.float32))


def fill(module, random, deviation):
    """Draws a module's parameters, layer by layer, weights before biases."""
    for parameter in module.parameters():
        parameter.data.copy_(normal(random, deviation, *parameter.shape))


def assert_near(value, name):
    """To 1e-4 of the array's largest value."""
    expected = golden(name)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_gradient_reversal_is_the_fork_s():
    random = np.random.RandomState(51)
    features = uniform(random, 6, 16, 3, 3).requires_grad_()
    module = DomainClassifier(16, loss_weight=0.1)
    fill(module, random, 0.3)
    (term,) = module.terms(features, IS_TARGET).values()
    term.backward()
    assert_near(module.layers(features.detach().mean((2, 3))), "grl/logits")
    assert_near(term.detach() / 0.1, "grl/cross_entropy")
    assert_near(term.detach(), "grl/term")
    assert_near(features.grad, "grl/dfeatures")
    for name, parameter in module.layers.named_parameters():
        layer, kind = name.split(".")
        assert_near(parameter.grad, f"grl/d_{int(layer) + 1}.{kind}")  # there the reversal is layer 0


def convolutional(m):
    """(A DomainAutoencoder of the golden file's size and weights, with its terms' gradients; feature maps; terms.)"""
    random = np.random.RandomState(61)
    features, module = uniform(random, 6, 8, 8, 8).requires_grad_(), DomainAutoencoder(8, m, autoencoder="conv")
    module.autoencoder = ConvolutionalAutoencoder((8, 6, 4, 3))
    fill(module, random, 0.25)
    terms = module.terms(features, IS_TARGET)
    sum(terms.values()).backward()
    gradients = {name: parameter.grad for name, parameter in module.autoencoder.named_parameters()}
    return features.grad, gradients, {name: value.detach() for name, value in terms.items()}


def test_convolutional_autoencoder_is_the_fork_s_with_the_margin_alive():
    features, gradients, terms = convolutional(m=0.5)
    assert_near(terms["autoencoder"], "ae/sound/autoencoder_loss")
    assert_near(terms["target_error"] / 0.01, "ae/E_target")
    assert_near(features[4:], "ae/dfeatures_kept")
    assert not features[:4].any()
    for name in ("encoder.0.weight", "decoder.4.bias"):
        assert_near(gradients[name], f"ae/sound/d_{name}")


def test_without_a_margin_it_trains_as_the_fork_s_whose_margin_had_no_gradient():
    _, gradients, terms = convolutional(m=0.0)
    assert_near(terms["autoencoder"], "ae/E_source")
    names = {name.removeprefix("ae/d_") for name in GOLDEN.files if name.startswith(("ae/d_encoder", "ae/d_decoder"))}
    assert set(gradients) == names and len(names) == 12
    for name, gradient in gradients.items():
        assert_near(gradient, f"ae/d_{name}")


@pytest.mark.parametrize("size", [(16, 16), (3, 3), (7, 10), (1, 1)])
def test_convolutional_autoencoder_gives_maps_of_any_size_back(size):
    module = make_domain_module("aada", 12, 0, autoencoder="conv").autoencoder
    assert [tuple(layer.weight.shape[:2]) for layer in [*module.encoder, *module.decoder][::2]] == [
        *((256, 12), (128, 256), (64, 128)),
        *((64, 128), (128, 256), (256, 12)),  # of a transposed convolution: channels in, out
    ]
    found = module(torch.randn(2, 12, *size))
    assert found.shape == (2, 12, *size) and found.min() >= 0 and found.max() > 0


# --- whole runs


def test_a_run_with_a_fork_s_head_resumes_exactly_and_its_variant_is_compared(tiny, workdir, capsys):
    flags = ["--dataset_folder", tiny, *SHORT, "--loss", "arcface"]
    fork = [*flags, "--head_variant", "fork"]
    whole = run(train, *fork, "--epochs_num", 2, "--save_dir", "whole")
    part = run(train, *fork, "--epochs_num", 1, "--save_dir", "part")
    last = ["--resume_train", f"{part}/last_checkpoint.pth"]
    line = fails(train, capsys, *flags, "--epochs_num", 2, "--save_dir", "part", *last)
    assert "had other arguments: --head_variant fork, now paper. Its results" in line
    run(train, *fork, "--epochs_num", 2, "--save_dir", "part", *last)
    assert_same_end(part, whole)
    heads = read_tensors(f"{part}/last_checkpoint.pth")["classifiers_state_dict"]
    assert all((head["weight"].norm(dim=1) - 1).abs().max() < 0.1 for head in heads)  # 4 steps of Adam from there
    state = {"loss": "arcface", "s": 64.0, "m": 0.5}  # of a run that did not know variants
    assert head_differences({**state, "variant": "paper"}, state) == []
    assert head_differences({**state, "variant": "fork"}, state) == ["--head_variant paper, now fork"]
