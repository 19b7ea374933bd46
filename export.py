"""Writes a network as one file that other programs run without this project: ONNX, or a program of torch.export."""

import argparse
import math
import os
import sys
from collections.abc import Iterator

import torch
from tqdm import tqdm

from datasets.calibration_dataset import CalibrationImages
from model.checkpoints import load_network
from model.choices import GEM_ACTIVATIONS
from model.exporting import INPUTS, SUFFIXES, check_packages, export
from model.normalization import normalize
from model.quantization import export_int8
from model.zoo import VARIABLE
from support.errors import UserError

BATCH = 8  # images of the same size that are described at once
INT8_DEFAULTS = {"calibration_images": 200, "image_size": 512, "seed": 0}
EXAMPLE = """\
# python example.py model.onnx query.jpg database1.jpg database2.jpg ...   (export.py --normalize uint8 made model.onnx)
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])

def describe(path):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    return session.run(None, {"images": np.asarray(image).transpose(2, 0, 1)[None]})[0][0]

query, *database = [describe(path) for path in sys.argv[2:]]
similarities = np.stack(database) @ query  # cosines, since descriptors have unit length
for index in np.argsort(-similarities):
    print(f"{similarities[index]:.4f} {sys.argv[3 + index]}")
"""


def main(argv: list[str] | None = None) -> None:
    """Loads a network, writes it, and prints what the file takes and how far it differs."""
    parser = make_parser()
    args = parser.parse_args(argv)
    output = args.output or default_name(args.resume_model) + ("_int8" if args.int8 else "") + SUFFIXES[args.format]
    try:
        check_int8(args)
        if args.format == "onnx":
            check_packages()  # before a model is downloaded
        network = load_network(
            args.resume_model, args.backbone, zoo_location=args.zoo, gem_activation=args.gem_activation
        )
        if args.int8:
            ranges, compared = calibration_images(args)
            cosines = export_int8(network, output, ranges, compared, args.normalize)
            differs = (
                f"in 8 bits; cosine to the network's descriptors on {len(cosines)} images: "
                f"{cosines.mean():.4f}, at least {cosines.min():.4f}"
            )
        else:
            differs = f"differs from the network by at most {export(network, output, args.format, args.normalize):.1e}"
    except UserError as error:
        parser.error(str(error))
    print(
        f"{output}: {os.path.getsize(output) / 1e6:.1f} MB, "
        f"{INPUTS[args.normalize]} -> float32 (batch, {network.fc_output_dim}); {differs}"
    )


def check_int8(args: argparse.Namespace) -> None:
    """Sets the defaults of --int8's flags. Raises UserError on flags that do not go together."""
    for name, default in INT8_DEFAULTS.items():
        value = getattr(args, name)
        if value is not None and not args.int8:
            raise UserError(f"--{name} is of --int8's images: give --int8 FOLDER, or leave it out")
        setattr(args, name, default if value is None else value)
    if args.int8 and args.format != "onnx":
        raise UserError("--int8 writes ONNX alone: leave out --format")
    for name, least in (("calibration_images", 2), ("image_size", 32), ("seed", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name} is {getattr(args, name)}, and must be at least {least}")


def calibration_images(args: argparse.Namespace) -> tuple[Iterator[torch.Tensor], Iterator[torch.Tensor]]:
    """Draws images of --int8's folder: (normalised batches for the ranges, others to compare on).

    Where the folder has few images, the same are compared on. Raises UserError if none can be read.
    """
    images = CalibrationImages(args.int8, 2 * args.calibration_images, args.image_size, args.seed, batch_size=BATCH)
    most = math.ceil(args.calibration_images / BATCH)
    first, others = images.batches[:most], images.batches[most:]
    if not others:
        print(
            f"{args.int8} has few images: the ranges are from the same ones that the descriptors are compared on",
            file=sys.stderr,
        )
        others = images.batches
    return batches(images, range(len(first))), batches(images, range(len(images) - len(others), len(images)))


def batches(images: CalibrationImages, numbers: range) -> Iterator[torch.Tensor]:
    """Yields normalised batches. Images that cannot be read are named on stderr, and left out."""
    count = 0
    for number in tqdm(numbers, "calibration", unit="batches", disable=None):
        batch, unreadable = images[number]
        for path, reason in unreadable:
            print(f"{path!r} is left out: {reason}", file=sys.stderr)
        if len(batch):
            yield normalize(batch)
        count += len(batch)
    if not count:
        raise UserError(f"none of the images that were drawn from {images.folder} can be read")


def default_name(model: str) -> str:
    """Returns the name of a model in the zoo, or of a file without its folder and ending."""
    return os.path.splitext(os.path.basename(model))[0] if os.path.exists(model) else model


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of export.py."""
    parser = argparse.ArgumentParser(
        prog="export.py",
        allow_abbrev=False,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="The file is compared with the network before it gets its name. Batch, height and width are dynamic: "
        "at least\n32 pixels a side in ONNX, 64 in torch_export.\n\nUsing the file without this project:\n\n" + EXAMPLE,
    )
    parser.add_argument(
        "--resume_model",
        required=True,
        metavar="FILE",
        help="best_model.pth, last_checkpoint.pth, or a model's name in the zoo (ResNet50_512)",
    )
    parser.add_argument(
        "--backbone", metavar="NAME", help="its backbone (default: the checkpoint's, or that of the .json beside it)"
    )
    parser.add_argument(
        "--gem_activation", choices=GEM_ACTIVATIONS, help="its GeM's (default: as the .json beside it says, else clamp)"
    )
    parser.add_argument(
        "--zoo",
        metavar="FOLDER_OR_URL",
        help=f"a model zoo of your own (default: the environment variable {VARIABLE}; else none)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="the file to write (default: the model's name with .onnx or .pt2, in this folder)",
    )
    parser.add_argument(
        "--format",
        choices=tuple(SUFFIXES),
        default="onnx",
        help="onnx, or torch_export, a program that torch.export.load reads (default: %(default)s)",
    )
    parser.add_argument(
        "--normalize",
        choices=tuple(INPUTS),
        default="none",
        help="what the file normalises itself: none, so that it "
        "takes ImageNet-normalised images; float, images in 0..1; uint8, images of 8 bits (default: %(default)s)",
    )
    parser.add_argument(
        "--int8",
        metavar="FOLDER",
        help="write ONNX in 8-bit numbers, whose ranges are those on images of this folder: training or database "
        "images of the place (default: 32-bit numbers)",
    )
    for name, text in (
        ("calibration_images", "images of the folder that ranges are taken from; as many others are compared on"),
        ("image_size", "side of the squares that they are cut to, in pixels"),
        ("seed", "of the draw of these images"),
    ):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{text} (default: {INT8_DEFAULTS[name]})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
