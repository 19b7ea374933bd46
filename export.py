"""Writes a network as one file that other programs run without this project: ONNX, or a program of torch.export."""

import argparse
import json
import os
import sys
import warnings

import numpy as np
import torch
from torch import nn

from model.checkpoints import load_network
from model.inference import fold_batch_norm
from model.normalization import IMAGENET_MEAN, IMAGENET_STD
from model.zoo import VARIABLE
from support.errors import UserError
from support.files import replacing

TOLERANCE = 1e-4  # the largest difference of a descriptor's entries
# images, height and width (pixels), on which the file is compared with the network
CHECKED_SIZES = ((1, 224, 224), (3, 97, 161), (2, 64, 64))
SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2"}
INPUTS = {
    "none": "float32 RGB (batch, 3, height, width), ImageNet-normalised",
    "float": "float32 RGB (batch, 3, height, width) in 0..1",
    "uint8": "uint8 RGB (batch, 3, height, width)",
}
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


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="export.py",
        allow_abbrev=False,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="The file is compared with the network before it gets its name. Batch, height and width are dynamic: at least 32 pixels a\n"
        "side in ONNX, 64 in torch_export.\n\nUsing the file without this project:\n\n" + EXAMPLE,
    )
    parser.add_argument(
        "--resume_model",
        required=True,
        metavar="FILE",
        help="best_model.pth, last_checkpoint.pth, or a model's name in the zoo (ResNet50_512)",
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
    args = parser.parse_args(argv)
    name = (
        os.path.splitext(os.path.basename(args.resume_model))[0]
        if os.path.exists(args.resume_model)
        else args.resume_model
    )
    output = args.output or name + SUFFIXES[args.format]
    try:
        if args.format == "onnx":
            check_packages()  # before a model is fetched
        network = load_network(args.resume_model, zoo_location=args.zoo)
        difference = export(network, output, args.format, args.normalize)
    except UserError as error:
        parser.error(str(error))
    print(
        f"{output}: {os.path.getsize(output) / 1e6:.1f} MB, {INPUTS[args.normalize]} -> float32 (batch, {network.fc_output_dim}); "
        f"differs from the network by at most {difference:.1e}"
    )


def export(network, path, file_format="onnx", normalize="none"):
    """Writes a GeoLocalizationNet to a path, and returns by how much its descriptors' entries differ from the network's
    at most.

    file_format: "onnx" or "torch_export"; normalize: one of INPUTS, what the file takes. Its input is called images,
    its output descriptors. Raises UserError if the backbone cannot be exported, the file differs by more than
    TOLERANCE, or the disk refuses.
    """
    network = network.cpu().float()
    module = ExportedNetwork(network, normalize).eval()
    about = {
        "backbone": network.backbone_name,
        "fc_output_dim": str(network.fc_output_dim),
        "input": INPUTS[normalize],
        "output": "descriptors of unit length",
    }
    with replacing(path) as temporary:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the exporters' own, of their next versions
                run = {"onnx": _write_onnx, "torch_export": _write_program}[file_format](module, about, temporary)
        except (OSError, UserError):
            raise
        except Exception as error:  # exporters raise many kinds
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise UserError(
                f"a {network.backbone_name} cannot be written as {file_format} with this PyTorch: {reason}"
            ) from error
        difference = max(_difference(run, network, module, size) for size in CHECKED_SIZES)
        if not difference <= TOLERANCE:
            raise UserError(
                f"the exported {network.backbone_name} differs from the network by {difference:.1e}, more than "
                f"{TOLERANCE:.0e}: {path} was not written"
            )
    return difference


class ExportedNetwork(nn.Module):
    """A network in evaluation mode, its batch norms folded, after as much of the normalisation as is asked for.

    network: GeoLocalizationNet; normalize: one of INPUTS.
    """

    def __init__(self, network, normalize="none"):
        super().__init__()
        self.network, self.normalize = fold_batch_norm(network), normalize
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1))

    def forward(self, images):  # (B, 3, H, W), as INPUTS says -> (B, fc_output_dim)
        if self.normalize == "uint8":
            images = images.float() / 255
        if self.normalize != "none":
            images = (images - self.mean) / self.std
        return self.network(images)

    def example(self, batch, height, width):
        """Random images, as forward takes them."""
        noise = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
        if self.normalize == "uint8":
            return (noise * 255).round().to(torch.uint8)
        return noise if self.normalize == "float" else (noise - self.mean) / self.std


def check_packages():
    """onnx and onnxruntime. Raises UserError if they, or onnxscript, are not installed."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            "--format onnx needs onnx, onnxruntime and onnxscript: pip install -r requirements-export.txt"
        ) from error
    return onnx, onnxruntime


def _write_onnx(module, about, path):
    """Writes an ONNX file, and returns what runs it: array -> array."""
    onnx, onnxruntime = check_packages()
    # two images, of two sides: an exporter takes a size of 1, or two equal ones, for constant
    torch.onnx.export(
        module,
        (module.example(2, 96, 128),),
        path,
        input_names=["images"],
        output_names=["descriptors"],
        dynamo=True,
        dynamic_shapes={"images": {0: "batch", 2: "height", 3: "width"}},
        external_data=False,
        verbose=False,
    )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def _write_program(module, about, path):
    """As _write_onnx, for torch.export."""
    dynamic = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        module, (module.example(2, 96, 128),), dynamic_shapes={"images": {0: dynamic, 2: dynamic, 3: dynamic}}
    )
    with open(path, "wb") as file:
        torch.export.save(program, file, extra_files={"about.json": json.dumps(about)})
    with open(path, "rb") as file:
        loaded = torch.export.load(file).module()
    return lambda images: loaded(torch.from_numpy(images)).detach().numpy()


@torch.no_grad()
def _difference(run, network, module, size):
    """The largest difference between a file's descriptors and the network's."""
    images = module.example(*size)
    normalised = images
    if module.normalize != "none":
        normalised = ((images / 255 if module.normalize == "uint8" else images) - module.mean) / module.std
    training = network.training
    expected = network.eval()(normalised).numpy()
    network.train(training)
    found = run(images.numpy())
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")


if __name__ == "__main__":
    sys.exit(main())
