"""Initial weights of a backbone: torchvision's, or those of a file."""

import logging
import os

import torch
import torchvision
from torch import nn

from model.state_dicts import describe_differences, plain_names
from support import downloads
from support.errors import UserError
from support.files import LARGEST_WEIGHTS, read_tensors
from support.regular_files import open_regular

logger = logging.getLogger(__name__)

TORCHVISION_WEIGHTS = ("IMAGENET1K_V1", "IMAGENET1K_V2")
TIMM_WEIGHTS = "timm"  # those that timm fetches for a model of its own
# beginnings of the classifier's entries, in torchvision and timm: they are dropped
CLASSIFIERS = ("fc.", "classifier.", "head.", "pre_logits.")
# the keys under which training scripts save the entries: Places365 and timm, torchvision, and this project
_KEYS = ("state_dict", "model", "model_state_dict")
# number of a classifier's outputs -> what it was trained on. Google Landmarks v2: the files of the Deep Visual
# Geo-localization Benchmark, whose last layer is an embedding
_DATASETS = {365: "Places365", 512: "Google Landmarks v2", 1000: "ImageNet"}


def load_initial_weights(
    network: nn.Module, name: str, weights: str, classifiers: tuple[str, ...] = CLASSIFIERS
) -> None:
    """Loads the weights of a network of torchvision or timm, except its classifier.

    network: as torchvision or timm makes it
    name: of the backbone
    weights: one of TORCHVISION_WEIGHTS, or the path of a file
    classifiers: beginnings of the names of entries that are dropped

    The file has the network's names (timm's are torchvision's for ResNets), with or without a classifier of any size.
    It may be a bare state_dict or wrapped as training scripts do: the files of Places365 and Google Landmarks v2 are
    read. It may also be of safetensors.

    Raises UserError if the weights do not exist, do not fit (it names the first entries that differ), or cannot be
    fetched.
    """
    state_dict = (
        _fetch_torchvision(name, weights) if weights in TORCHVISION_WEIGHTS else _read_file(weights, name, classifiers)
    )
    state_dict = {key: value for key, value in state_dict.items() if not key.startswith(classifiers)}
    expected = {key: value for key, value in network.state_dict().items() if not key.startswith(classifiers)}
    # files written before PyTorch 0.4.1 have no such counters; nothing here reads them
    state_dict |= {
        key: value for key, value in expected.items() if key.endswith("num_batches_tracked") and key not in state_dict
    }
    differences = describe_differences(state_dict, expected)
    if differences:
        hint = (
            "; to start from a CosPlace network use --resume_model"
            if any(key.startswith("aggregation.") for key in state_dict)
            else ""
        )
        raise UserError(f"the weights {weights} do not fit a {name}: {differences}{hint}")
    # not strict, since the classifier is missing: all other entries were just compared
    network.load_state_dict(state_dict, strict=False)


def _read_file(path: str, name: str, classifiers: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """The entries of a file of weights, without wrappers; logs what the file was."""
    content = _read_safetensors(path) if path.endswith(".safetensors") else read_tensors(path, LARGEST_WEIGHTS)
    wrapped = next((key for key in _KEYS if isinstance(content, dict) and isinstance(content.get(key), dict)), None)
    entries = content[wrapped] if wrapped else content
    if (
        not isinstance(entries, dict)
        or not entries
        or not all(isinstance(value, torch.Tensor) for value in entries.values())
    ):
        raise UserError(f"{path} is not a state_dict of a {name}, nor a file with one under {', '.join(_KEYS)}")
    state_dict = plain_names(entries)
    layout = [f"under {wrapped!r}"] if wrapped else []
    if any(str(key) not in state_dict for key in entries):
        layout.append(f"names as {next(iter(entries))!r}")
    outputs = [len(value) for key, value in state_dict.items() if key.startswith(classifiers) and value.dim() == 2]
    classifier = f"its classifier of {outputs[-1]} outputs is dropped" if outputs else "without a classifier"
    dataset = f"of {_DATASETS[outputs[-1]]}, " if outputs and outputs[-1] in _DATASETS else ""
    logger.info(
        f"Initial weights of the {name}: {path}, {dataset}in {len(entries)} entries"
        f"{''.join(f', {part}' for part in layout)}; {classifier}"
    )
    return state_dict


def _read_safetensors(path: str) -> dict[str, torch.Tensor]:
    """The entries of a file of safetensors, which has no code. Raises UserError if it cannot be read."""
    try:
        import safetensors.torch
    except ImportError as error:
        raise UserError(f"{path} needs safetensors, which timm brings: pip install -r requirements-timm.txt") from error
    try:
        with open_regular(path) as file:
            data = file.read(LARGEST_WEIGHTS + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > LARGEST_WEIGHTS:
        raise UserError(f"{path} has more than {LARGEST_WEIGHTS / 1e9:.1f} GB, the most here: check that it is right")
    try:
        return safetensors.torch.load(data)
    except Exception as error:  # its errors have no common class with those of torch
        raise UserError(f"{path} is no file of safetensors, or is damaged; fetch it again") from error


def _fetch_torchvision(name: str, weights: str) -> dict[str, torch.Tensor]:
    available = torchvision.models.get_model_weights(name.lower())
    if weights not in available.__members__:
        raise UserError(f"torchvision has no {weights} for {name}; it has {', '.join(available.__members__)}")
    address = available[weights].url
    path = os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(address))
    # torchvision's file names end with the beginning of their hash
    downloads.fetch(
        address,
        path,
        f"{weights} of {name}",
        check=lambda path: read_tensors(path, LARGEST_WEIGHTS),
        hash_prefix=address.rsplit("-", 1)[1].removesuffix(".pth"),
        largest=int(1.25 * 2**20 * available[weights].meta["_file_size"]),  # torchvision says MiB
    )
    return read_tensors(path, LARGEST_WEIGHTS)
