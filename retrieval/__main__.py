"""python -m retrieval: the descriptors of all photos of a folder, as an array that numpy reads."""

if __name__ == "__main__":  # answer --help and usage errors before torch is imported, which takes seconds
    import parser

    parser.answer_early("describe")

import logging
import os
import sys
from argparse import Namespace

import torch

import commons
from datasets.given_images import PhotoFolder
from model.onnx_network import load_describer
from model.precision import chosen_infer_dtype
from parser import parse_arguments
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.interchange import check_names, write_array, write_names
from retrieval.whitening import Whitening, images_to_fit, whitened
from support.errors import PartlyDone, UserError
from test import descriptor_cache

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Runs the command. argv: its arguments (default: those of the command line).

    The exit code is 1 if an image is unreadable (the others are described) or on a bug, and 2 on what the user can fix.
    """
    args = parse_arguments("describe", argv)
    return commons.run_experiment(lambda args, output_folder: describe(args), args)


def describe(args: Namespace) -> None:
    """Writes the array and the names, as the arguments say. Raises PartlyDone if an image is unreadable."""
    device = commons.select_device(args.device)
    commons.set_seed(args.seed)
    images = PhotoFolder(args.folder, args.image_size if args.resize_test_imgs else None)
    if images.others:
        logger.info(f"{images.others} files whose names are of no image format are skipped")
    check_names(images.names)
    network = load_describer(
        args.resume_model, *args.expected_architecture, zoo_location=args.zoo, gem_activation=args.gem_activation
    )
    network = network.to(device, memory_format=torch.channels_last)
    dtype = chosen_infer_dtype(args.infer_dtype, network, device)
    options = ExtractionOptions(args.infer_batch_size, device, num_workers=args.num_workers, dtype=dtype)
    cache = descriptor_cache(args)
    if args.whiten:
        network = whitened(network, images_to_fit(args, images, PhotoFolder), Whitening.of(args), options, cache)
    names = os.path.splitext(args.output)[0] + "_names.txt"
    with cache.store(network, images, options) as store:
        extract_descriptors(network, images, options, store)
        unreadable = store.unreadable
        if len(unreadable) == len(images):
            raise UserError(
                f"none of the {len(images)} images of {args.folder} can be read ({next(iter(unreadable.values()))})"
            )
        write_names(images.names, names)
        write_array(store.descriptors, args.output)
    for row, reason in sorted(unreadable.items()):
        logger.warning(f"{images.path(row)!r} cannot be read, and its row {row} is zero: {reason}")
    logger.info(
        f"{len(images)} descriptors of {network.fc_output_dim} numbers are in {args.output}, their names in {names}"
    )
    if unreadable:
        raise PartlyDone(f"{len(unreadable)} of {len(images)} images cannot be read: their rows are zero")


if __name__ == "__main__":
    sys.exit(main())
