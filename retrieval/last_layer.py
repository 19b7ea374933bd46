"""A last layer fitted to images, without labels: `python -m retrieval.last_layer MODEL FOLDER OUTPUT`.

It is the PCA of the features before it, where a power of 0 keeps the lengths of the principal components, 1 whitens
them, and 0.5 is between both (model/last_layer.py).
"""

import argparse
import logging
import sys

import numpy as np
import torch

import distributed
from datasets.image_names import ImageNames
from datasets.same_lists import check_same_lists
from datasets.samples import ImageSample
from datasets.test_dataset import ImageFolder
from model.checkpoints import load_network
from model.last_layer import (
    FittedLayer,
    begin_with,
    check_count,
    num_features,
    principal_components,
    with_last_layer,
    without_last_layer,
)
from model.network import GeoLocalizationNet
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.sharded import all_descriptors
from support.errors import ending_in_one_line
from support.files import write_tensors

logger = logging.getLogger(__name__)


def fit_last_layer(
    network: GeoLocalizationNet,
    images: ImageFolder,
    dim: int,
    power: float,
    options: ExtractionOptions,
    flag: str = "--fc_output_dim",
) -> FittedLayer:
    """A last layer for a network, fitted to images, in float32: the same bits on every rank.

    Each of several ranks reads its share of the images.

    network: on options.device; it is not changed
    images: without labels; unreadable ones do not count
    dim: of the new descriptors
    power: of the whitening, 0 to 1
    options: how features are extracted
    flag: that asks for dim, for messages

    Raises UserError as principal_components and extract_descriptors do.
    """
    check_count(len(images), num_features(network), dim, flag)  # before any image is read
    if distributed.size() > 1:
        check_same_lists((), [(images.folder, ImageNames.from_strings(images.names))])
    features = without_last_layer(network, unit_length=False)
    with DescriptorCache().store(features, images, options) as store:
        extract_descriptors(features, images, options, store, "Features")
        with all_descriptors(store) as values:
            fitted = principal_components(values, dim, power, len(store.unreadable), flag)
        unreadable = len(store.unreadable)
    fitted = broadcast_layer(fitted)  # machines may round differently
    skipped = f"; {unreadable} more cannot be read, and are skipped" if unreadable else ""
    logger.info(
        f"A last layer is fitted to {len(images) - unreadable} images of {images.folder}: {dim} dimensions, power "
        f"{power:g}, {100 * fitted.kept:.1f}% of the variance of the features{skipped}"
    )
    return fitted


def broadcast_layer(mine: FittedLayer) -> FittedLayer:
    """Rank 0's layer in float32, on every rank. mine: this rank's, of the same shapes."""
    weight, bias = (
        distributed.broadcast(torch.from_numpy(np.ascontiguousarray(values, np.float32)), 0, "last layer").numpy()
        for values in (mine.weight, mine.bias)
    )
    return FittedLayer(weight, bias, mine.kept)


def begin_with_fitted_layer(
    network: GeoLocalizationNet, images: ImageFolder, power: float, options: ExtractionOptions
) -> None:
    """Fits the last layer of a network that is to be trained to images, in its place, with its dimension.

    The parameters are as in fit_last_layer.
    """
    begin_with(network, fit_last_layer(network, images, network.fc_output_dim, power, options))


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
    if args.image_size is not None and args.image_size < 1:
        parser.error(f"--image_size is {args.image_size}, and must be at least 1")
    if not {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[args.device]:
        parser.error(f"--device {args.device}: PyTorch finds no such device here")
    with ending_in_one_line():
        images = ImageSample(ImageFolder(args.folder, args.image_size), args.images)
        network = load_network(args.model).eval().to(args.device, memory_format=torch.channels_last)
        fitted = fit_last_layer(network, images, args.fc_output_dim, args.power, ExtractionOptions(32, args.device))
        write_tensors(with_last_layer(network, fitted).state_dict(), args.output)
    print(
        f"{args.output}: a last layer of {args.fc_output_dim} dimensions, fitted to {args.folder}, with "
        f"{100 * fitted.kept:.1f}% of the variance"
    )


if __name__ == "__main__":
    sys.exit(main())
