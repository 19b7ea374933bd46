"""retrieval.last_layer: a last layer fitted to images without labels."""

import os

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from datasets.test_dataset import ImageFolder
from model.checkpoints import load_network
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
    weight, bias = last_layer.principal_components(values, 5, power)
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
        for weight, bias in (last_layer.principal_components(values, 6, power) for power in (0, 0.5, 1))
    )
    deviations = plain.std(axis=0) / plain.std(axis=0)[0]
    np.testing.assert_allclose(half * np.sqrt(deviations), plain, atol=1e-4)
    np.testing.assert_allclose(full * deviations, plain, atol=1e-4)


def test_blocks_make_no_difference(monkeypatch):
    values = features()
    whole = last_layer.principal_components(values, 5, 0.5)
    monkeypatch.setattr(last_layer, "_BLOCK", 7)
    for one, other in zip(whole, last_layer.principal_components(values, 5, 0.5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("count", "dim", "words"),
    [(5, 5, "ask for at most 4"), (200, 13, "ask for at most 12"), (0, 6, "vary in fewer than 6 dimensions")],
)
def test_refuses_what_cannot_be_fitted(count, dim, words):
    values = features(count) if count else np.repeat(features(4), 50, axis=0)
    with pytest.raises(UserError, match=words):
        last_layer.principal_components(values, dim, 0.5)


def test_the_command_replaces_the_last_layer(workdir):
    os.mkdir("photos")
    for place in range(12):
        place_image(place, 30.0 * place, 0).save(f"photos/{place:02}.jpg")
    with open("photos/13.jpg", "w") as file:
        file.write("no image")
    torch.manual_seed(0)
    network = GeoLocalizationNet("ResNet18", 8)
    torch.save(network.state_dict(), "model.pth")
    last_layer.main(["model.pth", "photos", "fitted.pth", "--fc_output_dim", "4", "--image_size", "64"])
    fitted = load_network("fitted.pth").eval()
    assert fitted.fc_output_dim == 4
    images = ImageFolder("photos", 64)
    options = ExtractionOptions(32)
    network = network.eval().to(memory_format=torch.channels_last)
    pooled, bad = extract_descriptors(last_layer.without_last_layer(network, unit_length=False), images, options)
    assert list(bad) == [12]
    weight, bias = last_layer.principal_components(np.delete(pooled, 12, axis=0), 4, 0.5)
    expected = pooled[:12] @ weight.T + bias
    found, _ = extract_descriptors(fitted.to(memory_format=torch.channels_last), images, options)
    np.testing.assert_allclose(found[:12], expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-3)


def test_bad_input(workdir, capsys):
    os.mkdir("empty")
    assert "--power is from 0 to 1" in fails(last_layer, capsys, "model.pth", "empty", "fitted.pth", "--power", "2")
    assert "empty" in fails(last_layer, capsys, "model.pth", "empty", "fitted.pth")
    assert not os.path.exists("fitted.pth")
