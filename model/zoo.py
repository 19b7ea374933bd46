"""Names and addresses of the published models."""

import os

import torch

from . import downloads
from .errors import UserError

COSPLACE = "https://github.com/gmberton/CosPlace/releases/download/v1.0/{}_cosplace.pth"
EIGENPLACES = "https://github.com/gmberton/EigenPlaces/releases/download/v1.0/{}_eigenplaces.pth"
COSPLACE_DIMS = {"VGG16": (64, 128, 256, 512), "ResNet18": (32, 64, 128, 256, 512),
                 **{name: (32, 64, 128, 256, 512, 1024, 2048) for name in ("ResNet50", "ResNet101", "ResNet152")}}
EIGENPLACES_DIMS = {"VGG16": (512,), "ResNet18": (256, 512),
                    **{name: (128, 256, 512, 1024, 2048) for name in ("ResNet50", "ResNet101")}}


def addresses():
    """name -> address: "ResNet50_512" for CosPlace's 30 models, "EigenPlaces_ResNet50_512" for EigenPlaces' 13."""
    models = {}
    for prefix, address, dims in (("", COSPLACE, COSPLACE_DIMS), ("EigenPlaces_", EIGENPLACES, EIGENPLACES_DIMS)):
        for backbone, backbone_dims in dims.items():
            for dim in backbone_dims:
                models[f"{prefix}{backbone}_{dim}"] = address.format(f"{backbone}_{dim}")
    return models


def canonical_name(name):
    """The name of a published model, whatever its case. Raises UserError that lists those that exist."""
    for known in addresses():
        if known.lower() == name.lower():
            return known
    if name.endswith((".pth", ".pt", ".tar")) or os.sep in name:
        raise UserError(f"there is no file {name}; check the path")
    raise UserError(f"{name!r} is neither a file nor a published model; the published models are {', '.join(addresses())}")


def local_path(name):
    """Where a model lies once it is downloaded: below TORCH_HOME, as all of torch.hub's files."""
    return os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(addresses()[canonical_name(name)]))


def architecture(name):
    """(backbone, dimension) of a model."""
    backbone, dim = canonical_name(name).removeprefix("EigenPlaces_").rsplit("_", 1)
    return backbone, int(dim)


def fetch(name, check):
    """Downloads a published model unless it is there, and returns its path; check: as in downloads.fetch. Raises UserError that says
    how to do it by hand when it cannot be fetched; a cut-off or wrong file is not kept."""
    name = canonical_name(name)
    downloads.fetch(addresses()[name], local_path(name), name, check)
    return local_path(name)
