"""A network's last linear layer, and one that is fitted to features instead: their principal components.

A power of whitening of 0 keeps the lengths of the principal components, 1 whitens them, and 0.5, between both, divides
each by the square root of its deviation (Jegou and Chum, "Negative evidences and co-occurrences in image retrieval: the
benefit of PCA and whitening", ECCV 2012).
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from model.hub.method import HubMethod
from model.layers import L2Norm
from model.network import GeoLocalizationNet
from model.onnx_network import OnnxNetwork
from support.errors import UserError

_LAST = 3  # of network.aggregation
_BLOCK = 8192  # features in memory at a time
_WIDE = 4096  # dimensions of features, of which no network of this project has more
_LARGEST = 16384  # rows of a square matrix, whose eigenvectors take 8 GB of memory
_SMALLEST = 1e-12  # share of the largest variance; a smaller one is no dimension of its own
_ROUNDING = 1e-14  # share of the mean's square; a smaller variance is rounding of float32 features


class FittedLayer(NamedTuple):
    """A linear layer that was fitted to features."""

    weight: np.ndarray  # (dim, channels)
    bias: np.ndarray  # (dim,)
    kept: float  # share of the features' variance that lies in its components, 0 to 1


def find_last_layer(network: nn.Module) -> nn.Linear:
    """The last linear layer of a network. Raises UserError if it has none."""
    if isinstance(network, OnnxNetwork):
        raise UserError(f"{network.path} is an ONNX file, in which no last layer can be fitted: give a checkpoint")
    aggregation = getattr(network, "aggregation", ())
    if len(aggregation) <= _LAST or not isinstance(aggregation[_LAST], nn.Linear):
        raise UserError(f"{type(network).__name__} has no last linear layer, so none can be fitted in its place")
    return aggregation[_LAST]


def num_features(network: nn.Module) -> int:
    """How many features a network's last layer gets. A method of torch.hub has none: they are its descriptors."""
    return network.fc_output_dim if isinstance(network, HubMethod) else find_last_layer(network).in_features


def without_last_layer(
    network: GeoLocalizationNet | HubMethod, unit_length: bool = True
) -> GeoLocalizationNet | HubMethod:
    """A copy whose descriptors are the pooled features; unit_length: False: as the last layer gets them.

    A method of torch.hub is returned itself.
    """
    if isinstance(network, HubMethod):
        return network
    channels, copied = find_last_layer(network).in_features, copy.deepcopy(network)
    copied.fc_output_dim = channels
    copied.aggregation[_LAST] = nn.Identity()
    if not unit_length:
        copied.aggregation[_LAST + 1] = nn.Identity()
    return copied


def with_last_layer(network: GeoLocalizationNet | HubMethod, fitted: FittedLayer) -> GeoLocalizationNet | HubMethod:
    """A copy with a fitted layer in the place of its last one, or behind a method; its dimension is the layer's."""
    layer = nn.utils.skip_init(nn.Linear, num_features(network), len(fitted.bias))
    _fill(layer, fitted)
    if isinstance(network, HubMethod):
        return network.with_last_layer(layer)
    old, copied = find_last_layer(network), copy.deepcopy(network)
    copied.fc_output_dim = len(fitted.bias)
    copied.aggregation[_LAST], copied.aggregation[_LAST + 1] = layer.to(old.weight.device), L2Norm()
    return copied


def with_dim(network: GeoLocalizationNet, dim: int) -> GeoLocalizationNet:
    """The network, or, where its descriptors are not of `dim` dimensions, a copy with a random last layer that makes
    them so.
    """
    old = find_last_layer(network)
    if old.out_features == dim:
        return network
    copied = copy.deepcopy(network)
    copied.fc_output_dim, copied.aggregation[_LAST] = dim, nn.Linear(old.in_features, dim).to(old.weight.device)
    return copied


def begin_with(network: GeoLocalizationNet, fitted: FittedLayer) -> None:
    """Puts a fitted layer of the network's dimension into its last one, at the scale that suits training."""
    # L2 follows, so the scale changes no descriptor. But Adam's steps have the learning rate's length whatever the
    # gradients are: weights ten times as large would turn ten times as slowly. nn.Linear's own initial weights have a
    # mean square of 1 / (3 * channels), and so have these: the usual learning rates are as fast as from random weights.
    scale = (3 * fitted.weight.shape[1] * np.square(fitted.weight).mean()) ** -0.5
    _fill(find_last_layer(network), fitted._replace(weight=fitted.weight * scale, bias=fitted.bias * scale))


@torch.no_grad()
def _fill(layer: nn.Linear, fitted: FittedLayer) -> None:
    for parameter, values in ((layer.weight, fitted.weight), (layer.bias, fitted.bias)):
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def check_count(count: int, channels: int, dim: int, flag: str) -> None:
    """Raises UserError if so many images or features cannot give a layer of so many dimensions.

    count: of images
    channels: of the features
    dim: of the layer
    flag: that asks for dim
    """
    most = min(channels, count - 1)
    if dim > most:
        advice = f"{flag} {most} is the most" if most > 0 else "give more images"
        if dim > channels:
            raise UserError(f"features of {channels} dimensions give no last layer of {dim}: {advice}")
        raise UserError(
            f"a last layer of {dim} dimensions needs {dim + 1} images that can be read, and there are {count}: {advice}"
        )


def principal_components(
    features: np.ndarray, dim: int, power: float, empty: int = 0, flag: str = "--fc_output_dim"
) -> FittedLayer:
    """The first principal components of features as a linear layer, in float64.

    features: (n, channels), may be memory-mapped; read in blocks
    dim: of the result
    power: each component is divided by its deviation to this power
    empty: how many rows do not count, which are zero
    flag: that asks for dim, for messages

    Raises UserError if there are not more features than dimensions, or they vary in fewer. It names the most.
    """
    count, channels = len(features) - empty, features.shape[1]
    check_count(count, channels, dim, flag)
    if (size := min(count, channels)) > _LARGEST:
        raise UserError(
            f"the principal components of {count} images with {channels} dimensions take too much memory (a square "
            f"matrix of {size} rows): give at most {_LARGEST} images"
        )
    if channels > max(_WIDE, count):
        mean, variances, vectors = _components_of_wide(features, count, dim)
    else:
        mean, variances, vectors = _components(features, count, dim)
    least = max(_SMALLEST * variances[0], _ROUNDING * mean @ mean)
    if variances[dim - 1] <= least:
        most = int((variances > least).sum())
        raise UserError(
            f"the features of {count} images vary in fewer than {dim} dimensions: "
            + (f"{flag} {most} is the most" if most else "give other images")
        )
    # an eigenvector has no sign of its own
    vectors *= np.sign(vectors[np.arange(dim), np.abs(vectors).argmax(axis=1)])[:, None]
    weight = vectors / (variances[:dim, None] / variances[0]) ** (power / 2)
    return FittedLayer(weight, -weight @ mean, float(variances[:dim].sum() / variances.sum()))


def _components(features: np.ndarray, count: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean (channels,), all variances, descending, and the first eigenvectors (dim, channels) of the covariance.

    features: (n, channels), count of which are not zero rows
    """
    channels = features.shape[1]
    mean, products = np.zeros(channels), np.zeros((channels, channels))
    for begin in range(0, len(features), _BLOCK):
        block = np.asarray(features[begin : begin + _BLOCK], np.float64)
        mean += block.sum(axis=0)
        products += block.T @ block
    mean /= count
    variances, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    return mean, variances[::-1].clip(0), vectors[:, ::-1][:, :dim].T


def _components_of_wide(features: np.ndarray, count: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As _components, of the products of images with each other: a smaller matrix where there are fewer of them."""
    channels = features.shape[1]
    columns = [slice(begin, begin + _WIDE) for begin in range(0, channels, _WIDE)]
    mean, rows = np.zeros(channels), np.zeros(len(features), bool)
    for part in columns:
        block = np.asarray(features[:, part], np.float64)
        mean[part] = block.sum(axis=0) / count
        rows |= block.any(axis=1)
    products = np.zeros((len(features), len(features)))

    def centred(part: slice) -> np.ndarray:
        return (np.asarray(features[:, part], np.float64) - mean[part]) * rows[:, None]

    for part in columns:
        block = centred(part)
        products += block @ block.T
    variances, vectors = np.linalg.eigh(products / count)
    variances, vectors = variances[::-1].clip(0), vectors[:, ::-1][:, :dim]
    components = np.concatenate([centred(part).T @ vectors for part in columns]).T  # (dim, channels)
    return mean, variances, components / np.linalg.norm(components, axis=1, keepdims=True).clip(1e-300)
