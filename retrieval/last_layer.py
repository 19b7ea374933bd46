"""A last layer fitted to images, without labels: `python -m retrieval.last_layer MODEL FOLDER OUTPUT`.

It is the PCA of the features before it, where a power of 0 keeps the lengths of the principal components, 1 whitens
them, and 0.5, between both, divides each by the square root of its deviation (Jegou and Chum, "Negative evidences and
co-occurrences in image retrieval: the benefit of PCA and whitening", ECCV 2012).
"""

import argparse
import copy
import sys

import numpy as np
import torch
from torch import nn

from datasets.test_dataset import ImageFolder
from model.checkpoints import load_network
from model.layers import L2Norm
from model.network import GeoLocalizationNet
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from support.errors import UserError, ending_in_one_line
from support.files import write_tensors

_LAST = 3  # of network.aggregation
_BLOCK = 8192  # features in memory at a time


def without_last_layer(network: GeoLocalizationNet, unit_length: bool = True) -> GeoLocalizationNet:
    """A copy whose descriptors are the pooled features; unit_length: False: as the last layer gets them."""
    copied = copy.deepcopy(network)
    copied.fc_output_dim = copied.aggregation[_LAST].in_features
    copied.aggregation[_LAST] = nn.Identity()
    if not unit_length:
        copied.aggregation[_LAST + 1] = nn.Identity()
    return copied


def principal_components(features: np.ndarray, dim: int, power: float) -> tuple[np.ndarray, np.ndarray]:
    """(weight (dim, channels), bias (dim,)) of a linear layer: the first principal components, in float64.

    features: (n, channels), may be memory-mapped; read in blocks
    dim: of the result
    power: each component is divided by its deviation to this power

    Raises UserError if there are not more features than dimensions, or they vary in fewer.
    """
    count, channels = features.shape
    if dim > channels or dim >= count:
        raise UserError(
            f"a last layer of {dim} dimensions needs features of as many dimensions (here {channels}) and more images "
            f"than that (here {count}): ask for at most {min(channels, count - 1)}"
        )
    mean, products = np.zeros(channels), np.zeros((channels, channels))
    for begin in range(0, count, _BLOCK):
        block = np.asarray(features[begin : begin + _BLOCK], np.float64)
        mean += block.sum(axis=0)
        products += block.T @ block
    mean /= count
    variances, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    variances, vectors = variances[::-1][:dim], vectors[:, ::-1][:, :dim].T
    if variances[-1] <= 1e-12 * variances[0]:
        raise UserError(f"the features vary in fewer than {dim} dimensions: give more images, or ask for fewer")
    # an eigenvector has no sign of its own
    vectors *= np.sign(vectors[np.arange(dim), np.abs(vectors).argmax(axis=1)])[:, None]
    weight = vectors / (variances[:, None] / variances[0]) ** (power / 2)
    return weight, -weight @ mean


def fit_last_layer(
    network: GeoLocalizationNet, images: ImageFolder, dim: int, power: float, options: ExtractionOptions
) -> GeoLocalizationNet:
    """A copy of a network with a last layer fitted to images.

    network: on options.device
    images: without labels; unreadable ones do not count
    dim: of the new descriptors
    power: of the whitening, 0 to 1
    options: how features are extracted

    Raises UserError as principal_components and extract_descriptors do.
    """
    fitted = without_last_layer(network, unit_length=False)
    features, bad = extract_descriptors(fitted, images, options, description="Features")
    if bad:
        features = np.delete(features, list(bad), axis=0)
    weight, bias = principal_components(features, dim, power)
    layer = nn.Linear(weight.shape[1], dim)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight)), layer.bias.copy_(torch.from_numpy(bias))
    layer = layer.to(next(network.parameters()).device)
    fitted.fc_output_dim, fitted.aggregation[_LAST], fitted.aggregation[_LAST + 1] = dim, layer, L2Norm()
    return fitted


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m retrieval.last_layer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", help="best_model.pth, last_checkpoint.pth or a model zoo's name")
    parser.add_argument("folder", help="images that the layer is fitted to; their names do not matter")
    parser.add_argument("output", help="the file to write: the network with its new last layer")
    parser.add_argument("--fc_output_dim", type=int, default=256, metavar="N", help="its dimensions (default: 256)")
    parser.add_argument(
        "--power", type=float, default=0.5, help="of the whitening, from 0, PCA alone, to 1 (default: 0.5)"
    )
    parser.add_argument(
        "--images", type=int, default=5000, metavar="N", help="at most so many, evenly spread (default: 5000)"
    )
    parser.add_argument("--image_size", type=int, metavar="PIXELS", help="shorter side (default: the images' own)")
    parser.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda", "mps"), help="where is computed (default: cpu)"
    )
    args = parser.parse_args(argv)
    if not 0 <= args.power <= 1 or args.fc_output_dim < 1 or args.images < 2:
        parser.error("--power is from 0 to 1, --fc_output_dim at least 1, and --images at least 2")
    with ending_in_one_line():
        images = ImageFolder(args.folder, args.image_size)
        rows = np.unique(np.linspace(0, len(images) - 1, min(args.images, len(images))).astype(int))
        images.names = [images.names[row] for row in rows]
        network = load_network(args.model).eval().to(args.device, memory_format=torch.channels_last)
        options = ExtractionOptions(32, args.device)
        fitted = fit_last_layer(network, images, args.fc_output_dim, args.power, options)
        write_tensors(fitted.state_dict(), args.output)
    print(f"{args.output}: a last layer of {args.fc_output_dim} dimensions, fitted to {args.folder}")


if __name__ == "__main__":
    sys.exit(main())
