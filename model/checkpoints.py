"""Reading and writing of networks: state_dicts in files, and the architecture that they belong to."""

import functools
import logging
import os
from typing import Any

import torch

from model import zoo
from model.choices import BACKBONES, canonical_backbone
from model.network import GeoLocalizationNet
from model.pretrained import TORCHVISION_WEIGHTS
from model.state_dicts import describe_differences, first_not_finite, plain_names
from support.errors import UserError
from support.files import LARGEST_NETWORK, read_tensors, write_tensors

logger = logging.getLogger(__name__)


def load_network(
    source: str,
    backbone: str | None = None,
    fc_output_dim: int | None = None,
    train_all_layers: bool = False,
    zoo_location: str | None = None,
) -> GeoLocalizationNet:
    """Loads a network from a checkpoint or from the model zoo, on the CPU.

    source: path of a bare state_dict (best_model.pth) or of a run's state (last_checkpoint.pth, published ones too), or
        a name of the model zoo
    backbone: the backbone that is expected; None to read it from the checkpoint
    fc_output_dim: the descriptors' dimension that is expected; None to read it from the checkpoint
    train_all_layers: whether the first layers are trained too
    zoo_location: the user's own zoo, as in zoo.find

    Raises UserError if the checkpoint cannot be read or has another architecture (it names the first entries that
    differ), or if check_network refuses a model of the zoo.
    """
    if os.path.exists(source):
        return build_network(_read_network(source), source, backbone, fc_output_dim, train_all_layers)
    published_name = zoo.published.published_name(source)
    # the name of a published model tells its architecture
    expected = zoo.published.architecture(published_name) if published_name else (None, None)
    loaded = {}

    def load(path: str):
        network = build_network(_read_network(path), path, *expected, train_all_layers)
        check_network(network, path)
        loaded["network"] = network

    path = zoo.find(source, load, zoo_location)
    if not loaded:  # else it was just fetched, and is not read twice
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


def initial_network(
    backbone: str,
    fc_output_dim: int,
    train_all_layers: bool = False,
    weights: str | None = None,
    zoo_location: str | None = None,
) -> GeoLocalizationNet:
    """A network to be trained: a backbone of weights below a random last layer.

    backbone, fc_output_dim, train_all_layers: as of GeoLocalizationNet
    weights: as of GeoLocalizationNet, or the name of a model of the zoo, whose backbone is taken
    zoo_location: the user's own zoo, as in zoo.find

    Raises UserError as GeoLocalizationNet and load_network do.
    """
    is_plain = weights is None or weights in TORCHVISION_WEIGHTS or os.path.exists(weights)
    if is_plain or os.path.basename(weights) != weights or "." in weights:
        return GeoLocalizationNet(backbone, fc_output_dim, train_all_layers, weights)
    network = GeoLocalizationNet(backbone, fc_output_dim, train_all_layers)
    try:
        model = load_network(weights, backbone, zoo_location=zoo_location)
    except UserError as error:
        raise UserError(f"{error}; or give another --backbone_weights, as IMAGENET1K_V1") from error
    network.backbone.load_state_dict(model.backbone.state_dict())
    logger.info(f"Initial weights of the {network.backbone_name}: those of {weights}, without its last layer")
    return network


def _read_network(path: str) -> dict[str, torch.Tensor]:
    if path.endswith(".onnx"):
        raise UserError(
            f"{path} is an ONNX file, which eval.py, localize.py and python -m retrieval run: here give a checkpoint"
        )
    return network_state(read_tensors(path, packed=LARGEST_NETWORK), path)


@torch.no_grad()
def check_network(network: GeoLocalizationNet, source: str) -> None:
    """Raises UserError, which names the source, if the network is damaged.

    That is: an entry holds numbers that are not finite, or the descriptor of a test image does not have unit length.
    """
    if key := first_not_finite(network.state_dict()):
        raise UserError(f"{source} holds numbers that are not finite ({key}): it is damaged, or its training diverged")
    training = network.training
    image = torch.linspace(-2, 2, 3 * 64 * 96).sin().view(1, 3, 64, 96)  # any image that is not uniform
    length = network.eval()(image).norm().item()
    network.train(training)
    if not abs(length - 1) < 1e-3:
        raise UserError(
            f"the descriptor that {source} gives of a test image has length {length:.3g}, not 1: "
            "its weights are damaged"
        )


def build_network(
    state_dict: dict[str, torch.Tensor],
    source: str,
    backbone: str | None = None,
    fc_output_dim: int | None = None,
    train_all_layers: bool = False,
) -> GeoLocalizationNet:
    """Builds the network of a state_dict, as load_network does.

    state_dict: names and tensors of a GeoLocalizationNet
    source: where it comes from, for messages
    backbone: the backbone that is expected, or None
    fc_output_dim: the descriptors' dimension that is expected, or None
    train_all_layers: whether the first layers are trained too

    Raises UserError if the architecture is another one.
    """
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


def network_state(content: Any, source: str) -> dict[str, torch.Tensor]:
    """Takes the network's state_dict out of a file's content, without the prefixes of wrappers.

    Raises UserError if there is none.
    """
    state_dict = content.get("model_state_dict", content) if isinstance(content, dict) else None
    if (
        not isinstance(state_dict, dict)
        or not state_dict
        or not all(isinstance(value, torch.Tensor) for value in state_dict.values())
    ):
        raise UserError(f"{source} holds no network: neither a state_dict nor a run's state with a model_state_dict")
    return plain_names(state_dict)


def infer_architecture(state_dict: dict[str, torch.Tensor]) -> tuple[str, int] | None:
    """Finds (backbone, fc_output_dim) from the names and shapes of entries; None if the architecture is unknown."""
    dim = _descriptor_dim(state_dict)
    if dim:
        shape = getattr(state_dict.get("aggregation.3.weight"), "shape", ())
        for backbone, (channels, _) in BACKBONES.items():
            # the shape is asked first: to build all backbones takes seconds
            if shape == (dim, channels) and not describe_differences(state_dict, _expected(backbone, dim)):
                return backbone, dim
    return None


def save_network(network: GeoLocalizationNet, path: str) -> None:
    """Writes the network's state_dict, on the CPU and in the standard memory layout."""
    write_tensors(portable(network.state_dict()), path)


def portable(value: Any) -> Any:
    """Copies a value with all its tensors detached, contiguous and on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous()
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(portable(item) for item in value)
    return value


def _descriptor_dim(state_dict: dict[str, torch.Tensor]) -> int | None:
    bias = state_dict.get("aggregation.3.bias")
    return len(bias) if bias is not None and bias.dim() == 1 else None


@functools.cache
def _expected(backbone: str, dim: int) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return GeoLocalizationNet(backbone, dim).state_dict()


def _closest(state_dict: dict[str, torch.Tensor]) -> tuple[str]:
    """(backbone,) that has most entries in common with a state_dict of unknown architecture."""

    def shared(backbone: str):
        expected = _expected(backbone, 512)
        return sum(key in expected and expected[key].shape == value.shape for key, value in state_dict.items()) / len(
            expected
        )

    return (max(BACKBONES, key=shared),)
