"""A last layer fitted to features (model.last_layer), and to images (retrieval.last_layer)."""

import os

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from datasets.test_dataset import ImageFolder
from model import last_layer as layers
from model.checkpoints import load_network
from model.last_layer import principal_components, without_last_layer
from model.network import GeoLocalizationNet
from retrieval import last_layer
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from support.errors import UserError
from tests.scripts import fails
from tests.tiny import place_image


def features(count=200, channels=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, channels)) @ rng.normal(size=(channels, channels)) + 3).astype(np.float32)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_it_is_scikit_learns_pca(power):
    values = features()
    weight, bias, _ = principal_components(values, 5, power)
    ours = values @ weight.T + bias
    theirs = PCA(5, whiten=power == 1.0, svd_solver="full").fit(values)
    scale = np.sqrt(theirs.explained_variance_[0]) if power else 1.0  # the first component keeps its deviation
    expected = theirs.transform(values) * scale
    expected *= np.sign((ours * expected).sum(axis=0))
    np.testing.assert_allclose(ours, expected, rtol=1e-2, atol=1e-2 * np.abs(ours).max())
    np.testing.assert_allclose(ours.mean(axis=0), 0, atol=1e-4)


def test_half_whitening_divides_by_the_square_root_of_the_deviation():
    values = features()
    plain, half, full = (
        values @ weight.T + bias
        for weight, bias, _ in (principal_components(values, 6, power) for power in (0, 0.5, 1))
    )
    deviations = plain.std(axis=0) / plain.std(axis=0)[0]
    np.testing.assert_allclose(half * np.sqrt(deviations), plain, atol=1e-4)
    np.testing.assert_allclose(full * deviations, plain, atol=1e-4)


def test_blocks_make_no_difference(monkeypatch):
    values = features()
    whole = principal_components(values, 5, 0.5)
    monkeypatch.setattr(layers, "_BLOCK", 7)
    for one, other in zip(whole, principal_components(values, 5, 0.5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("count", "dim", "words"),
    [
        (5, 5, "needs 6 images that can be read, and there are 5: --fc_output_dim 4 is the most"),
        (200, 13, "features of 12 dimensions give no last layer of 13: .* 12 is the most"),
        (0, 6, "of 200 images vary in fewer than 6 dimensions: --fc_output_dim 3 is the most"),
    ],
)
def test_refuses_what_cannot_be_fitted_and_proposes_what_can(count, dim, words):
    values = features(count) if count else np.repeat(features(4), 50, axis=0)
    with pytest.raises(UserError, match=words) as refused:
        principal_components(values, dim, 0.5)
    most = int(str(refused.value).split(" is the most")[0].split()[-1])
    assert principal_components(values, most, 0.5).weight.shape == (most, 12)


def test_refuses_features_that_do_not_vary():
    with pytest.raises(UserError, match="vary in fewer than 1 dimensions: give other images"):
        principal_components(np.repeat(features(1), 50, axis=0), 1, 0.5)
    with pytest.raises(UserError, match="give more images"):
        principal_components(features(1), 1, 0.5)


def test_empty_rows_do_not_count_and_the_share_of_variance_is_scikit_learns():
    values = features()
    with_empty = np.insert(values, [0, 50, 200], 0, axis=0)
    fitted, expected = principal_components(with_empty, 5, 0.5, empty=3), principal_components(values, 5, 0.5)
    np.testing.assert_allclose(fitted.weight, expected.weight, rtol=1e-6)
    np.testing.assert_allclose(fitted.bias, expected.bias, rtol=1e-6)
    assert fitted.kept == pytest.approx(PCA(5, svd_solver="full").fit(values).explained_variance_ratio_.sum())


def test_training_begins_at_the_scale_of_random_weights():
    torch.manual_seed(0)
    network = GeoLocalizationNet("Small", 8)
    layer, usual = network.aggregation[3], network.aggregation[3].weight.square().mean().item()
    fitted = principal_components(features(channels=64, count=20), 8, 1.0)
    layers.begin_with(network, fitted)
    assert network.aggregation[3] is layer and layer.weight.square().mean().item() == pytest.approx(usual, rel=0.1)
    direction = torch.from_numpy(np.append(fitted.weight, fitted.bias[:, None], axis=1)).flatten()
    ours = torch.cat([layer.weight, layer.bias[:, None]], dim=1).flatten().double()
    assert torch.nn.functional.cosine_similarity(direction, ours, dim=0).item() == pytest.approx(1)


def test_networks_without_a_last_layer_are_refused():
    network = without_last_layer(GeoLocalizationNet("Small", 8))
    for other in (network, torch.nn.Conv2d(3, 4, 3)):
        with pytest.raises(UserError, match="has no last linear layer"):
            without_last_layer(other)


def test_the_command_replaces_the_last_layer(workdir):
    os.mkdir("photos")
    for place in range(12):
        place_image(place, 30.0 * place, 0).save(f"photos/{place:02}.jpg")
    with open("photos/13.jpg", "w") as file:
        file.write("no image")
    torch.manual_seed(0)
    network = GeoLocalizationNet("Small", 8)
    torch.save(network.state_dict(), "model.pth")
    last_layer.main(["model.pth", "photos", "fitted.pth", "--fc_output_dim", "4", "--image_size", "64"])
    fitted = load_network("fitted.pth").eval()
    assert fitted.fc_output_dim == 4
    images = ImageFolder("photos", 64)
    options = ExtractionOptions(32)
    network = network.eval().to(memory_format=torch.channels_last)
    pooled, bad = extract_descriptors(without_last_layer(network, unit_length=False), images, options)
    assert list(bad) == [12]
    weight, bias, _ = principal_components(np.delete(pooled, 12, axis=0), 4, 0.5)
    expected = pooled[:12] @ weight.T + bias
    found, _ = extract_descriptors(fitted.to(memory_format=torch.channels_last), images, options)
    np.testing.assert_allclose(found[:12], expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-3)


def test_bad_input(workdir, capsys, monkeypatch):
    os.mkdir("empty")
    assert "--power is from 0 to 1" in fails(last_layer, capsys, "model.pth", "empty", "fitted.pth", "--power", "2")
    assert "empty" in fails(last_layer, capsys, "model.pth", "empty", "fitted.pth")
    assert "must be at least 1" in fails(last_layer, capsys, "model.pth", "empty", "fitted.pth", "--image_size", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no such device" in fails(last_layer, capsys, "model.pth", "empty", "fitted.pth", "--device", "cuda")
    assert not os.path.exists("fitted.pth")
