"""Initial weights by path: the layouts of the files that exist, generated."""

import argparse
import logging
import re
import struct

import pytest
import torch
import torchvision

from model.network import GeoLocalizationNet
from support.errors import UserError

PREFIXED = "module."


def published(outputs, counters=True):
    """The entries of a torchvision ResNet-18 with a classifier of some outputs; counters: with num_batches_tracked,
    which PyTorch has since 0.4.1.
    """
    torch.manual_seed(outputs)
    entries = torchvision.models.resnet18(num_classes=outputs).state_dict()
    for value in entries.values():  # statistics too that are nobody's defaults
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape))
    return {key: value for key, value in entries.items() if counters or not key.endswith("num_batches_tracked")}


def places365():
    return {
        "epoch": 90,
        "arch": "resnet18",
        "best_prec1": 54.2,
        "state_dict": {PREFIXED + key: value for key, value in published(365, counters=False).items()},
    }


LAYOUTS = {
    "places365": (
        places365,
        "of Places365, in 102 entries, under 'state_dict', names as 'module.conv1.weight'; its classifier of 365",
    ),
    "places365_bare": (
        lambda: published(365),
        "of Places365, in 122 entries; its classifier of 365 outputs is dropped",
    ),
    "gldv2": (
        lambda: published(512),
        "of Google Landmarks v2, in 122 entries; its classifier of 512 outputs is dropped",
    ),
    "torchvision": (lambda: published(1000), "of ImageNet, in 122 entries; its classifier of 1000 outputs is dropped"),
    "torchvision_training": (
        lambda: {"model": published(1000), "epoch": 3, "optimizer": {"state": {}}},
        "under 'model'; its classifier",
    ),
    "timm_training": (
        lambda: {"arch": "resnet18", "state_dict": published(17)},
        "122 entries, under 'state_dict'; its classifier of 17",
    ),
    "timm_features": (
        lambda: {key: value for key, value in published(1).items() if not key.startswith("fc.")},
        "without a classifier",
    ),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_recognised_and_their_classifier_dropped(tmp_path, caplog, layout, zipped):
    make, logged = LAYOUTS[layout]
    content = make()
    path = str(tmp_path / "weights.pth.tar")
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with caplog.at_level(logging.INFO):
        network = GeoLocalizationNet("ResNet18", 8, weights=path).state_dict()
    assert logged in caplog.text and f"Initial weights of the ResNet18: {path}" in caplog.text
    entries = content.get("state_dict", content.get("model", content))
    children = dict(zip(("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"), (0, 1, 4, 5, 6, 7), strict=True))
    compared = 0
    for key, value in entries.items():
        child, rest = key.removeprefix(PREFIXED).split(".", 1)
        if child != "fc":
            assert torch.equal(network[f"backbone.{children[child]}.{rest}"], value)
            compared += 1
    assert compared == (100 if "arch" in content and "epoch" in content else 120)


def test_file_written_by_python_2(tmp_path):
    """Its strings are bytes: Places365's first files are of that time."""
    content, path = places365(), tmp_path / "resnet18_places365.pth.tar"
    torch.save(content, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    for text in ("epoch", "arch", "resnet18", "state_dict", *content["state_dict"]):
        unicode = b"X" + struct.pack("<I", len(text)) + text.encode()
        assert unicode in data
        data = data.replace(unicode, b"U" + struct.pack("<B", len(text)) + text.encode())
    path.write_bytes(data)
    network = GeoLocalizationNet("ResNet18", 8, weights=str(path)).state_dict()
    assert torch.equal(
        network["backbone.7.1.bn2.running_var"], content["state_dict"]["module.layer4.1.bn2.running_var"]
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda s: {key.replace("downsample.", "shortcut."): value for key, value in s.items()},
            r"it lacks layer2\.0\.downsample\.0\.weight, .* and \d+ more; it also has layer2\.0\.shortcut\.0\.weight",
        ),
        (
            lambda s: {**s, "conv1.weight": torch.zeros(32, 3, 3, 3)},
            r"conv1\.weight is \(32, 3, 3, 3\) instead of \(64, 3, 7, 7\)$",
        ),
        (lambda s: {**s, "layer5.0.weight": torch.zeros(1)}, r"it also has layer5\.0\.weight$"),
        (
            lambda s: GeoLocalizationNet("ResNet18", 8).state_dict(),
            "it lacks conv1.weight.* from a CosPlace network use --resume_model",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, problem):
    path = str(tmp_path / "x.pth")
    torch.save({"state_dict": change(published(365))}, path)
    with pytest.raises(UserError, match=rf"the weights {re.escape(path)} do not fit a ResNet18: .*{problem}"):
        GeoLocalizationNet("ResNet18", 8, weights=path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "is not a state_dict of a ResNet18, nor a file with one under state_dict, model, model_state_dict"),
        ({"state_dict": {"conv1.weight": 3}}, "is not a state_dict"),
        ({"net": {"conv1.weight": torch.zeros(1)}}, "is not a state_dict"),
        ({"state_dict": {}, "args": argparse.Namespace(lr=1)}, "holds objects other than tensors and plain values"),
    ],
)
def test_files_of_something_else(tmp_path, content, problem):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UserError, match=problem):
        GeoLocalizationNet("ResNet18", 8, weights=str(tmp_path / "x.pth"))
