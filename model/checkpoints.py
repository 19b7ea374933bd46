"""Reading and writing of networks: state_dicts in files, and the architecture that they belong to."""

import functools
import logging
import os
from typing import Any

import torch

from model import zoo
from model.choices import BACKBONES, TIMM, canonical_backbone, is_of_timm, same_backbone
from model.details import KEY, Details, beside, parse_details, read_details, write_details
from model.network import GeoLocalizationNet
from model.pretrained import TIMM_WEIGHTS, TORCHVISION_WEIGHTS
from model.state_dicts import describe_differences, first_not_finite, plain_names
from model.timm_names import own_normalization
from support.errors import UserError
from support.files import LARGEST_NETWORK, read_tensors, write_tensors

logger = logging.getLogger(__name__)

_OF_TIMM = "backbone.network."  # the beginning of the entries of model.timm_backbone.TimmBackbone


def load_network(
    source: str,
    backbone: str | None = None,
    fc_output_dim: int | None = None,
    train_all_layers: bool = False,
    zoo_location: str | None = None,
    gem_activation: str | None = None,
) -> GeoLocalizationNet:
    """Loads a network from a checkpoint or from the model zoo, on the CPU.

    source: path of a bare state_dict (best_model.pth) or of a run's state (last_checkpoint.pth, published ones too), or
        a name of the model zoo
    backbone: the backbone that is expected; None to read it from the checkpoint
    fc_output_dim: the descriptors' dimension that is expected; None to read it from the checkpoint
    train_all_layers: whether the first layers are trained too
    zoo_location: the user's own zoo, as in zoo.find
    gem_activation: one of GEM_ACTIVATIONS that is expected; None: what the details beside the file say

    Raises UserError if the checkpoint cannot be read or has another architecture (it names the first entries that
    differ), or if check_network refuses a model of the zoo.
    """
    if os.path.exists(source):
        state_dict, details = _read_network(source)
        return build_network(
            state_dict, source, backbone, fc_output_dim, train_all_layers, details, gem_activation=gem_activation
        )
    published_name = zoo.published.published_name(source)
    # the name of a published model tells its architecture
    expected = zoo.published.architecture(published_name) if published_name else (None, None)
    if backbone and is_of_timm(backbone):
        expected = backbone, None  # it may be needed to tell what the file is
    loaded = {}

    def load(path: str):
        state_dict, details = _read_network(path)
        network = build_network(state_dict, path, *expected, train_all_layers, details, gem_activation=gem_activation)
        check_network(network, path)
        loaded["network"] = network

    path = zoo.find(source, load, zoo_location)
    if not loaded:  # else it was just fetched, and is not read twice
        load(path)
    network = loaded["network"]
    if (backbone and not same_backbone(canonical_backbone(backbone), network.backbone_name)) or fc_output_dim not in (
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
    gem_activation: str | None = None,
) -> GeoLocalizationNet:
    """A network to be trained: a backbone of weights below a random last layer.

    backbone, fc_output_dim, train_all_layers: as of GeoLocalizationNet
    weights: as of GeoLocalizationNet, or the name of a model of the zoo, whose backbone is taken
    zoo_location: the user's own zoo, as in zoo.find
    gem_activation: as of GeoLocalizationNet; None: clamp

    Raises UserError as GeoLocalizationNet and load_network do.
    """
    gem_activation = gem_activation or "clamp"
    is_plain = weights is None or weights in (*TORCHVISION_WEIGHTS, TIMM_WEIGHTS) or os.path.exists(weights)
    if is_plain or os.path.basename(weights) != weights or "." in weights:
        return GeoLocalizationNet(backbone, fc_output_dim, train_all_layers, weights, gem_activation)
    network = GeoLocalizationNet(backbone, fc_output_dim, train_all_layers, gem_activation=gem_activation)
    try:
        model = load_network(weights, backbone, zoo_location=zoo_location)
    except UserError as error:
        raise UserError(f"{error}; or give another --backbone_weights, as IMAGENET1K_V1") from error
    network.backbone.load_state_dict(model.backbone.state_dict())
    logger.info(f"Initial weights of the {network.backbone_name}: those of {weights}, without its last layer")
    return network


def network_of(details: Details, fc_output_dim: int, train_all_layers: bool = False) -> GeoLocalizationNet:
    """A network of random weights.

    details: as a network has them
    fc_output_dim, train_all_layers: as of GeoLocalizationNet
    """
    network = GeoLocalizationNet(
        details.backbone,
        fc_output_dim,
        train_all_layers,
        gem_activation=details.gem_activation,
        normalization=details.normalization,
    )
    network.image_size = details.image_size
    return network


def _read_network(path: str) -> tuple[dict[str, torch.Tensor], Details | None]:
    """(state_dict, details) of a file; the details are in a run's state, or beside the file."""
    if path.endswith(".onnx"):
        raise UserError(
            f"{path} is an ONNX file, which eval.py, localize.py and python -m retrieval run: here give a checkpoint"
        )
    content = read_tensors(path, packed=LARGEST_NETWORK)
    return network_state(content, path), details_in(content, path) or read_details(path)


def details_in(content: Any, source: str) -> Details | None:
    """The details of the network in a run's state; None if there are none. source: for messages."""
    is_state = isinstance(content, dict) and "model_state_dict" in content and KEY in content
    return parse_details(content[KEY], source) if is_state else None


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
    details: Details | None = None,
    gem_activation: str | None = None,
) -> GeoLocalizationNet:
    """Builds the network of a state_dict, as load_network does.

    state_dict: names and tensors of a GeoLocalizationNet
    source: where it comes from, for messages
    backbone: the backbone that is expected, or None
    fc_output_dim: the descriptors' dimension that is expected, or None
    train_all_layers: whether the first layers are trained too
    details: of the network; None if nothing tells them
    gem_activation: that is expected, or None

    Raises UserError if the architecture is another one, or if it is of timm and neither details nor backbone tell it.
    """
    if details is None and any(key.startswith(_OF_TIMM) for key in state_dict):
        details = _assumed_details(source, backbone, gem_activation)
    found = infer_architecture(state_dict, details)
    wanted = (canonical_backbone(backbone) if backbone else None, fc_output_dim)
    is_other = found and wanted[0] and not same_backbone(wanted[0], found[0])
    if found is None or is_other or wanted[1] not in (None, found[1]):
        known = (found or (details.backbone,) if details else _closest(state_dict))[0]
        closest = (wanted[0] or known, wanted[1] or _descriptor_dim(state_dict) or 512)
        differences = describe_differences(state_dict, _expected(*closest))
        what = f"a {found[0]} with {found[1]}-D descriptors, not" if found else "not"
        by_file = f", or the {beside(source)} that tells the backbone" if details and not found else ""
        raise UserError(
            f"{source} is {what} a {closest[0]} with {closest[1]}-D descriptors: {differences}; "
            f"fix --backbone and --fc_output_dim, or replace the file{by_file}"
        )
    if gem_activation and details and gem_activation != details.gem_activation:
        raise UserError(
            f"{source} was trained with --gem_activation {details.gem_activation}, not {gem_activation}: leave it out"
        )
    details = details or Details(found[0])
    details = details._replace(gem_activation=gem_activation or details.gem_activation)
    network = network_of(details, found[1], train_all_layers)
    network.load_state_dict(state_dict, strict=True)
    if details.are_needed:
        crops = f", trained on crops of {details.image_size} pixels" if details.image_size else ""
        logger.info(f"{source}: a {found[0]} with --gem_activation {details.gem_activation}{crops}")
    return network


def _assumed_details(source: str, backbone: str | None, gem_activation: str | None) -> Details:
    """The details of a network of timm that no file tells, but arguments do."""
    if not backbone or not is_of_timm(backbone):
        raise UserError(
            f"{source} is a network of timm, and there is no {beside(source)} that tells which one: restore it, or "
            f"give --backbone {TIMM}NAME, and --gem_activation if it is not clamp"
        )
    name = canonical_backbone(backbone)
    details = Details(name, gem_activation or "clamp", *own_normalization(name))
    logger.info(f"There is no {beside(source)}: {source} is taken for a {name} with --gem_activation {details[1]}")
    return details


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


def infer_architecture(state_dict: dict[str, torch.Tensor], details: Details | None = None) -> tuple[str, int] | None:
    """Finds (backbone, fc_output_dim) from the names and shapes of entries; None if the architecture is unknown.

    details: of the network; None: its backbone is one of BACKBONES
    """
    dim = _descriptor_dim(state_dict)
    if dim:
        shape = getattr(state_dict.get("aggregation.3.weight"), "shape", ())
        for backbone in [details.backbone] if details else BACKBONES:
            # the shape is asked first: to build all backbones takes seconds
            could_be = is_of_timm(backbone) or shape == (dim, BACKBONES[backbone][0])
            if could_be and not describe_differences(state_dict, _expected(backbone, dim)):
                return backbone, dim
    return None


def save_network(network: GeoLocalizationNet, path: str) -> None:
    """Writes the network's state_dict, on the CPU and in the standard memory layout, and its details beside it."""
    write_details(network.details(), path)
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
