"""Every read and write of a network's weights."""

import functools
import os

import torch

from model import zoo
from model.network import BACKBONES, GeoLocalizationNet, canonical_backbone
from model.state_dicts import describe_differences, first_not_finite, plain_names
from support.errors import UserError
from support.files import read_tensors, write_tensors


def load_network(source, backbone=None, fc_output_dim=None, train_all_layers=False, zoo_location=None):
    """The network of a checkpoint, on the CPU.

    source: the path of a bare state_dict (best_model.pth) or of a run's state (last_checkpoint.pth, published ones
    too), or a name of the model zoo; backbone, fc_output_dim: what the checkpoint is expected to be, None to read it
    from the checkpoint; zoo_location: the user's own zoo, as in zoo.find. Raises UserError when it cannot be read, or
    is of another architecture (naming the first entries that differ); if it is of the zoo, also when check_network
    refuses it.
    """
    if os.path.exists(source):
        return build_network(
            network_state(read_tensors(source), source), source, backbone, fc_output_dim, train_all_layers
        )
    published_name = zoo.published.published_name(source)
    expected = (
        zoo.published.architecture(published_name) if published_name else (None, None)
    )  # a published model is what its name says
    loaded = {}

    def load(path):
        network = build_network(network_state(read_tensors(path), path), path, *expected, train_all_layers)
        check_network(network, path)
        loaded["network"] = network

    path = zoo.find(source, load, zoo_location)
    if not loaded:  # what was just fetched is not read twice
        load(path)
    network = loaded["network"]
    if (backbone and canonical_backbone(backbone) != network.backbone_name) or fc_output_dim not in (
        None,
        network.fc_output_dim,
    ):
        raise UserError(
            f"{source} is a {network.backbone_name} with {network.fc_output_dim}-D descriptors: fix --backbone and "
            "--fc_output_dim"
        )
    return network


@torch.no_grad()
def check_network(network, source):
    """Raises UserError, naming source and entry, if a network holds numbers that are not finite, or if the descriptor
    of a test image has not unit length.
    """
    if key := first_not_finite(network.state_dict()):
        raise UserError(f"{source} holds numbers that are not finite ({key}): it is damaged, or its training diverged")
    training = network.training
    image = torch.linspace(-2, 2, 3 * 64 * 96).sin().view(1, 3, 64, 96)  # any that is not uniform
    length = network.eval()(image).norm().item()
    network.train(training)
    if not abs(length - 1) < 1e-3:
        raise UserError(
            f"the descriptor that {source} gives of a test image has length {length:.3g}, not 1: its weights are damaged"
        )


def build_network(state_dict, source, backbone=None, fc_output_dim=None, train_all_layers=False):
    """As load_network, from a state_dict; source: where it comes from, for messages."""
    found = infer_architecture(state_dict)
    wanted = (canonical_backbone(backbone) if backbone else None, fc_output_dim)
    if found is None or wanted[0] not in (None, found[0]) or wanted[1] not in (None, found[1]):
        closest = (wanted[0] or (found or _closest(state_dict))[0], wanted[1] or _descriptor_dim(state_dict) or 512)
        differences = describe_differences(state_dict, _expected(*closest))
        what = f"a {found[0]} with {found[1]}-D descriptors, not" if found else "not"
        raise UserError(
            f"{source} is {what} a {closest[0]} with {closest[1]}-D descriptors: {differences}; "
            "fix --backbone and --fc_output_dim, or replace the file"
        )
    network = GeoLocalizationNet(*found, train_all_layers=train_all_layers)
    network.load_state_dict(state_dict, strict=True)
    return network


def network_state(content, source):
    """The network's state_dict in a file's content, wrappers' prefixes removed. Raises UserError if there is none."""
    state_dict = content.get("model_state_dict", content) if isinstance(content, dict) else None
    if (
        not isinstance(state_dict, dict)
        or not state_dict
        or not all(isinstance(value, torch.Tensor) for value in state_dict.values())
    ):
        raise UserError(f"{source} holds no network: neither a state_dict nor a run's state with a model_state_dict")
    return plain_names(state_dict)


def infer_architecture(state_dict):
    """(backbone, fc_output_dim) of a state_dict, from its entries' names and shapes; None if it is of no known
    architecture.
    """
    dim = _descriptor_dim(state_dict)
    if dim:
        for backbone in BACKBONES:
            if not describe_differences(state_dict, _expected(backbone, dim)):
                return backbone, dim
    return None


def save_network(network, path):
    """Writes a bare state_dict, on the CPU in the standard memory layout."""
    write_tensors(portable(network.state_dict()), path)


def portable(value):
    """The same value with all tensors detached, contiguous and on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous()
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(portable(item) for item in value)
    return value


def _descriptor_dim(state_dict):
    bias = state_dict.get("aggregation.3.bias")
    return len(bias) if bias is not None and bias.dim() == 1 else None


@functools.cache
def _expected(backbone, dim):
    with torch.device("meta"):
        return GeoLocalizationNet(backbone, dim).state_dict()


def _closest(state_dict):
    """(backbone,) that shares the most entries with a state_dict of no known architecture."""

    def shared(backbone):
        expected = _expected(backbone, 512)
        return sum(key in expected and expected[key].shape == value.shape for key, value in state_dict.items()) / len(
            expected
        )

    return (max(BACKBONES, key=shared),)
