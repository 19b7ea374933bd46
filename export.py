"""Writes a network as one file that other programs run without this project: ONNX, or a program of torch.export."""

import argparse
import os
import sys

from model.checkpoints import load_network
from model.choices import GEM_ACTIVATIONS
from model.exporting import INPUTS, SUFFIXES, check_packages, export
from model.zoo import VARIABLE
from support.errors import UserError

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
    output = args.output or default_name(args.resume_model) + SUFFIXES[args.format]
    try:
        if args.format == "onnx":
            check_packages()  # before a model is downloaded
        network = load_network(
            args.resume_model, args.backbone, zoo_location=args.zoo, gem_activation=args.gem_activation
        )
        difference = export(network, output, args.format, args.normalize)
    except UserError as error:
        parser.error(str(error))
    print(
        f"{output}: {os.path.getsize(output) / 1e6:.1f} MB, "
        f"{INPUTS[args.normalize]} -> float32 (batch, {network.fc_output_dim}); "
        f"differs from the network by at most {difference:.1e}"
    )


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
    return parser


if __name__ == "__main__":
    sys.exit(main())
