"""Initial weights of a backbone: torchvision's, or a file's."""

import logging
import os

import torch
import torchvision

from model.state_dicts import describe_differences, plain_names
from support import downloads
from support.errors import UserError
from support.files import read_tensors

TORCHVISION_WEIGHTS = ("IMAGENET1K_V1", "IMAGENET1K_V2")
# the entries that belong to the classifier, which is dropped: torchvision's and timm's
_CLASSIFIERS = ("fc.", "classifier.", "head.", "pre_logits.")
# where training scripts put the entries: Places365's and timm's, torchvision's, and ours
_KEYS = ("state_dict", "model", "model_state_dict")
# a classifier's outputs -> what it was trained on: Places365 (its authors' files) and Google Landmarks v2 (the files of
# the Deep Visual Geo-localization Benchmark, whose last layer is an embedding)
_DATASETS = {365: "Places365", 512: "Google Landmarks v2", 1000: "ImageNet"}


def load_initial_weights(network, name, weights):
    """Fills a torchvision network, but for its classifier.

    weights: one of TORCHVISION_WEIGHTS, or the path of a file with torchvision's names (timm's are the same for
    ResNets), with or without a classifier of any size, bare or as training scripts wrap them: the layouts of Places365
    and of Google Landmarks v2 among them. Raises UserError when they do not exist, do not fit (naming the first entries
    that differ), or cannot be fetched.
    """
    state_dict = _fetch_torchvision(name, weights) if weights in TORCHVISION_WEIGHTS else _read_file(weights, name)
    state_dict = {key: value for key, value in state_dict.items() if not key.startswith(_CLASSIFIERS)}
    expected = {key: value for key, value in network.state_dict().items() if not key.startswith(_CLASSIFIERS)}
    # networks saved before PyTorch 0.4.1 have no such counters; nothing here reads them
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
    network.load_state_dict(
        state_dict, strict=False
    )  # all but the classifier, which is dropped next, was just compared


def _read_file(path, name):
    """The entries of a file of weights, wrappings removed; what they were is logged."""
    content = read_tensors(path)
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
    outputs = [len(value) for key, value in state_dict.items() if key.startswith(_CLASSIFIERS) and value.dim() == 2][
        -1:
    ]
    classifier = f"its classifier of {outputs[0]} outputs is dropped" if outputs else "without a classifier"
    logging.info(
        f"Initial weights of the {name}: {path}, {f'of {_DATASETS[outputs[0]]}, ' if outputs and outputs[0] in _DATASETS else ''}"
        f"in {len(entries)} entries{''.join(f', {part}' for part in layout)}; {classifier}"
    )
    return state_dict


def _fetch_torchvision(name, weights):
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
        check=read_tensors,
        hash_prefix=address.rsplit("-", 1)[1].removesuffix(".pth"),
    )
    return read_tensors(path)
