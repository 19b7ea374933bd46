"""Initial weights of a backbone: torchvision's, or a file's."""

import os

import torch
import torchvision

from . import downloads
from .errors import UserError
from .files import read_tensors
from .state_dicts import describe_differences, plain_names

TORCHVISION_WEIGHTS = ("IMAGENET1K_V1", "IMAGENET1K_V2")
# the entries that belong to the classifier, which is dropped
_CLASSIFIERS = ("fc.", "classifier.", "head.")


def load_initial_weights(network, name, weights):
    """Fills a torchvision network. weights: one of TORCHVISION_WEIGHTS, or the path of a state_dict with torchvision's names, with
    or without its classifier. Raises UserError when they do not exist, do not fit, or cannot be fetched."""
    if weights in TORCHVISION_WEIGHTS:
        state_dict, source = _fetch_torchvision(name, weights), weights
    else:
        state_dict, source = read_tensors(weights), weights
        if isinstance(state_dict, dict) and isinstance(state_dict.get("state_dict"), dict):
            state_dict = state_dict["state_dict"]
        if not isinstance(state_dict, dict) or not all(isinstance(value, torch.Tensor) for value in state_dict.values()):
            raise UserError(f"{weights} is not a state_dict of a {name}")
    state_dict = {key: value for key, value in plain_names(state_dict).items() if not key.startswith(_CLASSIFIERS)}
    expected = {key: value for key, value in network.state_dict().items() if not key.startswith(_CLASSIFIERS)}
    # networks saved before PyTorch 0.4.1 have no such counters; nothing here reads them
    state_dict |= {key: value for key, value in expected.items() if key.endswith("num_batches_tracked") and key not in state_dict}
    differences = describe_differences(state_dict, expected)
    if differences:
        raise UserError(f"the weights {source} do not fit a {name}: {differences}")
    network.load_state_dict(state_dict, strict=False)  # all but the classifier, which is dropped next, was just compared


def _fetch_torchvision(name, weights):
    available = torchvision.models.get_model_weights(name.lower())
    if weights not in available.__members__:
        raise UserError(f"torchvision has no {weights} for {name}; it has {', '.join(available.__members__)}")
    address = available[weights].url
    path = os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(address))
    # torchvision's file names end with the beginning of their hash
    downloads.fetch(address, path, f"{weights} of {name}", check=read_tensors, hash_prefix=address.rsplit("-", 1)[1].removesuffix(".pth"))
    return read_tensors(path)
