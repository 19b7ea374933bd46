"""A network as one file that other programs run without this project: ONNX, or a program of torch.export."""

import json
import warnings
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from torch import nn

from model.inference import fold_batch_norm
from model.network import GeoLocalizationNet
from model.normalization import IMAGENET_MEAN, IMAGENET_STD
from support.errors import UserError, first_line
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
Run = Callable[[np.ndarray], np.ndarray]  # a file's images -> descriptors


def export(network: GeoLocalizationNet, path: str, file_format: str = "onnx", normalize: str = "none") -> float:
    """Writes a network to a file, unless the file's descriptors differ from the network's.

    network: moved to the CPU, as float32
    path: of the file; its input is called images, its output descriptors
    file_format: one of SUFFIXES
    normalize: one of INPUTS, what the file takes

    Returns the largest difference of a descriptor's entries. Raises UserError if the backbone cannot be exported, the
    difference is more than TOLERANCE, or the disk refuses.
    """
    network = network.cpu().float()
    module = ExportedNetwork(network, normalize).eval()
    with replacing(path) as temporary:
        run = _write(module, file_format, temporary)
        difference = max(_difference(run, module, network, size) for size in CHECKED_SIZES)
        if not difference <= TOLERANCE:
            raise UserError(
                f"the exported {network.backbone_name} differs from the network by {difference:.1e}, more than "
                f"{TOLERANCE:.0e}: {path} was not written"
            )
    return difference


class ExportedNetwork(nn.Module):
    """A network in evaluation mode with folded batch norms, after the part of the normalisation that is asked for.

    network: a GeoLocalizationNet
    normalize: one of INPUTS
    """

    def __init__(self, network: GeoLocalizationNet, normalize: str = "none"):
        super().__init__()
        self.network, self.normalize = fold_batch_norm(network), normalize
        self.about = {
            "backbone": network.backbone_name,
            "fc_output_dim": str(network.fc_output_dim),
            "input": INPUTS[normalize],
            "output": "descriptors of unit length",
        }
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns descriptors (B, fc_output_dim) of images (B, 3, H, W), as INPUTS says."""
        if self.normalize == "uint8":
            images = images.float() / 255
        if self.normalize != "none":
            images = (images - self.mean) / self.std
        return self.network(images)

    def example(self, batch: int, height: int, width: int) -> torch.Tensor:
        """Returns random images, as forward takes them."""
        noise = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
        if self.normalize == "uint8":
            return (noise * 255).round().to(torch.uint8)
        return noise if self.normalize == "float" else (noise - self.mean) / self.std

    def denormalized(self, images: torch.Tensor) -> torch.Tensor:
        """Returns ImageNet-normalised images (B, 3, H, W) as forward takes them."""
        if self.normalize == "none":
            return images
        images = (images * self.std + self.mean).clamp(0, 1)
        return (images * 255).round().to(torch.uint8) if self.normalize == "uint8" else images


def check_packages() -> tuple[ModuleType, ModuleType]:
    """Returns the modules onnx and onnxruntime. Raises UserError if they or onnxscript are not installed."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            "--format onnx needs onnx, onnxruntime and onnxscript: pip install -r requirements-export.txt"
        ) from error
    return onnx, onnxruntime


def _write(module: ExportedNetwork, file_format: str, path: str) -> Run:
    """Writes a file, and returns what runs it. Raises UserError if the exporter fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters' own, of their next versions
            return {"onnx": _write_onnx, "torch_export": _write_program}[file_format](module, module.about, path)
    except (OSError, UserError):
        raise
    except Exception as error:  # exporters raise many kinds
        raise UserError(
            f"a {module.about['backbone']} cannot be written as {file_format} with this PyTorch: {first_line(error)}"
        ) from error


def _write_onnx(module: ExportedNetwork, about: dict[str, str], path: str) -> Run:
    onnx, onnxruntime = check_packages()
    # two images with two different sides: an exporter takes a size of 1, or two equal ones, for constant
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


def _write_program(module: ExportedNetwork, about: dict[str, str], path: str) -> Run:
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
def _difference(run: Run, module: ExportedNetwork, network: GeoLocalizationNet, size: tuple[int, int, int]) -> float:
    """Returns the largest difference between a file's descriptors and the network's."""
    images = module.example(*size)
    normalised = images
    if module.normalize != "none":
        normalised = ((images / 255 if module.normalize == "uint8" else images) - module.mean) / module.std
    training = network.training
    expected = network.eval()(normalised).numpy()
    network.train(training)
    try:
        found = run(images.numpy())
    except Exception as error:  # runtimes raise many kinds
        raise UserError(
            f"the exported {network.backbone_name} takes no images of {size[1]} x {size[2]} pixels "
            f"({first_line(error)}), so it was not written: try another --format"
        ) from error
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
