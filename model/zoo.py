"""Names and addresses of the published models, and how to fetch one."""

import http.client
import os

import torch

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


def fetch(name):
    """Downloads a published model unless it is there, checks it, and returns its path. Raises UserError that says how to do it by
    hand when it cannot be fetched; a cut-off or wrong file is not kept."""
    from .checkpoints import build_network, network_state  # they fetch through this module
    from .files import read_tensors

    name = canonical_name(name)
    path, address = local_path(name), addresses()[name]
    if os.path.exists(path):
        return path
    backbone, dim = name.removeprefix("EigenPlaces_").rsplit("_", 1)
    download = f"{path}.{os.getpid()}.download"
    by_hand = f"download {address} by hand and put it at {path}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        torch.hub.download_url_to_file(address, download)
        build_network(network_state(read_tensors(download), address), address, backbone, int(dim))
        os.replace(download, path)
    except UserError as error:
        raise UserError(f"what {address} sent is not {name}: {str(error).replace(download, 'the download')}; or {by_hand}") from error
    except (OSError, RuntimeError, http.client.HTTPException) as error:  # URLError and HTTPError are OSErrors
        raise UserError(f"{name} could not be fetched ({error}): {by_hand}") from error
    finally:
        if os.path.exists(download):
            os.unlink(download)
    return path
