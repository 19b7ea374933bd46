"""Against figures computed once with the published implementation (tests/golden)."""

import json
import pathlib

import numpy as np
import pytest
import torch

from datasets.groups import build_groups
from model.heads import CosFace
from model.network import GeoLocalizationNet
from tests.golden import weights

GOLDEN = pathlib.Path(__file__).parent / "golden"
STATE_DICTS = json.loads((GOLDEN / "state_dicts.json").read_text())
NUMERICS = np.load(GOLDEN / "numerics.npz")
PARTITION = json.loads((GOLDEN / "partition.json").read_text())


@pytest.mark.parametrize("name", STATE_DICTS)
def test_state_dict_names_shapes_and_trainable_parameters(name):
    backbone, dim = name.split("/")
    with torch.device("meta"):
        network = GeoLocalizationNet(backbone, int(dim))
    assert [[key, list(value.shape)] for key, value in network.state_dict().items()] == STATE_DICTS[name]["keys"]
    assert [key for key, value in network.named_parameters() if value.requires_grad] == STATE_DICTS[name]["trainable"]


@pytest.mark.parametrize("name", [key for key in NUMERICS.files if key.startswith("desc")])
def test_descriptors(name):
    kind, backbone, dim = name.split(".")
    network = GeoLocalizationNet(backbone, int(dim)).eval()
    network.load_state_dict(weights.fill(network.state_dict()), strict=True)
    images = weights.image(7, 2, 160, 224) if kind == "desc" else weights.image(8, 1, 97, 131)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        with torch.inference_mode():
            descriptors = network.to(memory_format=memory_format)(images.to(memory_format=memory_format))
        np.testing.assert_allclose(descriptors, NUMERICS[name], rtol=0, atol=1e-5)


def test_cosface():
    weight, labels = torch.from_numpy(NUMERICS["cosface.W"]), torch.from_numpy(NUMERICS["cosface.y"])
    descriptors = torch.from_numpy(NUMERICS["cosface.x"]).requires_grad_()
    head = CosFace(weight.shape[1], weight.shape[0])
    head.weight.data.copy_(weight)
    np.testing.assert_allclose(head(descriptors, labels).detach(), NUMERICS["cosface.logits"], rtol=0, atol=1e-5)
    loss = head.loss(descriptors, labels)
    loss.backward()
    np.testing.assert_allclose(loss.detach(), NUMERICS["cosface.loss"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(descriptors.grad, NUMERICS["cosface.dx"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(head.weight.grad, NUMERICS["cosface.dW"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", PARTITION["cases"], ids=lambda case: f"M{case['M']}_alpha{case['alpha']}")
def test_partition(case):
    groups = build_groups(PARTITION["names"], case["M"], case["alpha"], case["N"], case["L"], case["mipc"])
    assert [groups.class_ids(g).tolist() for g in range(groups.num_groups)] == case["groups"]
    images = {
        "_".join(map(str, class_id)): groups.image_indices(g, row).tolist()
        for g, classes in enumerate(case["groups"])
        for row, class_id in enumerate(classes)
    }
    assert images == case["images"]
