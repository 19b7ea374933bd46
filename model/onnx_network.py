"""A network of an ONNX file, run by onnxruntime: it describes images, and is never trained."""

import hashlib
import os
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from model.checkpoints import load_network
from model.exporting import INPUTS
from model.network import GeoLocalizationNet
from model.normalization import IMAGENET_MEAN, IMAGENET_STD
from support.errors import UserError, first_line
from support.files import LARGEST_NETWORK
from support.regular_files import open_regular

ENDING = ".onnx"
_LENGTH_TOLERANCE = 1e-2  # of a descriptor: 8 bits lose some
_OUTPUTS = ("tensor(float)", "tensor(float16)", "tensor(double)")
_MOST_PIXELS = 1 << 26  # of a test image
_KINDS = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


def load_describer(
    source: str,
    backbone: str | None = None,
    fc_output_dim: int | None = None,
    zoo_location: str | None = None,
    gem_activation: str | None = None,
) -> "GeoLocalizationNet | OnnxNetwork":
    """Loads what computes descriptors: an ONNX file, or a network as load_network does.

    source: a file that ends in .onnx, a checkpoint, or a name of the model zoo
    backbone: the backbone that is expected; None for any
    fc_output_dim: the descriptors' dimension that is expected; None for any
    zoo_location: the user's own zoo, as in zoo.find
    gem_activation: as in load_network; an ONNX file has its own

    Raises UserError as load_network and OnnxNetwork do.
    """
    if not source.endswith(ENDING):
        return load_network(source, backbone, fc_output_dim, zoo_location=zoo_location, gem_activation=gem_activation)
    if gem_activation:
        raise UserError(f"--gem_activation {gem_activation}: {source} has its own; leave it out")
    network = OnnxNetwork(source)
    if fc_output_dim not in (None, network.fc_output_dim):
        raise UserError(f"{source} gives {network.fc_output_dim}-D descriptors: fix --fc_output_dim")
    if backbone and backbone.lower() != network.backbone.lower():
        raise UserError(f"{source} is a {network.backbone or 'network of unknown architecture'}: leave out --backbone")
    return network


class OnnxNetwork(nn.Module):
    """A network of an ONNX file with one input, images, and one output, descriptors. It computes on the CPU.

    path: of a file that holds all its weights, as export.py writes it. One that was made elsewhere is taken to have
        ImageNet-normalised images, or else uint8 ones

    Attributes: backbone ("" where unknown), backbone_name (for messages), fc_output_dim, runtime.

    Raises UserError if onnxruntime is not installed, or if the file cannot be read or computes something else.
    """

    has_own_numbers = True  # what it computes in is part of the file

    def __init__(self, path: str):
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"{path} needs onnxruntime: pip install -r requirements-export.txt") from error
        self.path, content = path, _read(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        # a file may name others that hold its weights: none is read, and its digest is of all that it computes with
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many kinds
            raise UserError(f"{path} is no ONNX file that onnxruntime can run: {first_line(error)}") from error
        self.backbone, self.kind = self._check()
        self.backbone_name = f"{self.backbone or 'network'} of an ONNX file"
        # descriptors that are kept on the disk belong to this file alone
        digest = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
        self.register_buffer("digest", torch.from_numpy(digest.copy()))
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        self.fc_output_dim = 0  # until it has described an image
        self.fc_output_dim = self._describe_test_image().shape[1]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Computes descriptors, float32 (B, fc_output_dim), of ImageNet-normalised images (B, 3, H, W)."""
        images = images.float().cpu()
        if self.kind != "none":
            mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
            images = (images * std + mean).clamp(0, 1)
        if self.kind == "uint8":
            images = (images * 255).round().to(torch.uint8)
        taken = self.session.get_inputs()[0]
        batches = images.split(1) if taken.shape[0] == 1 else [images]
        try:
            outputs = [self.session.run(None, {taken.name: batch.contiguous().numpy()})[0] for batch in batches]
        except Exception as error:  # onnxruntime raises many kinds
            size = f"{images.shape[3]} x {images.shape[2]}"
            raise UserError(
                f"{self.path}, which takes images {taken.shape}, cannot describe {len(images)} images of {size} "
                f"pixels: {first_line(error)}"
            ) from error
        output = np.concatenate(outputs)
        expected = len(images), self.fc_output_dim or output.shape[-1]
        if output.shape != expected or not np.isfinite(output).all():
            raise UserError(
                f"{self.path} gives an array {output.shape} for {len(images)} images of {images.shape[3]} x "
                f"{images.shape[2]} pixels, or NaN: it should give one descriptor for each, of finite numbers, as many "
                "for all sizes"
            )
        return torch.from_numpy(np.asarray(output, np.float32))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself, which nothing changes: sessions cannot be copied."""
        return self

    def _check(self) -> tuple[str, str]:
        """(backbone, what it takes: a key of INPUTS)."""
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        kind = _KINDS.get(inputs[0].type) if len(inputs) == 1 else None
        is_right = kind and len(outputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].shape[1] == 3
        if is_right and isinstance(inputs[0].shape[0], int) and inputs[0].shape[0] != 1:
            raise UserError(
                f"{self.path} takes {inputs[0].shape[0]} images at once: export it for any number, or for 1"
            )
        if not is_right or outputs[0].type not in _OUTPUTS or len(outputs[0].shape or (0, 0)) != 2:
            shapes = ", ".join(f"{node.name} {node.type} {node.shape}" for node in (*inputs, *outputs))
            raise UserError(
                f"{self.path} has inputs and outputs {shapes}: it should take images, float or uint8 (batch, 3, "
                "height, width), and give descriptors"
            )
        about = self.session.get_modelmeta().custom_metadata_map
        keys = {text: key for key, text in INPUTS.items()}
        return about.get("backbone", ""), keys.get(about.get("input"), "uint8" if kind == "uint8" else "none")

    def _describe_test_image(self) -> torch.Tensor:
        height, width = (side if isinstance(side, int) else 224 for side in self.session.get_inputs()[0].shape[2:])
        if height * width > _MOST_PIXELS:
            raise UserError(f"{self.path} takes images of {width} x {height} pixels, more than can be tried")
        descriptor = self(torch.linspace(-2, 2, 3 * height * width).sin().view(1, 3, height, width))
        if not abs((length := descriptor.norm().item()) - 1) < _LENGTH_TOLERANCE:
            raise UserError(
                f"the descriptor that {self.path} gives of a test image has length {length:.3g}, not 1: let the file "
                "end in an L2 normalisation"
            )
        return descriptor


def _read(path: str) -> bytes:
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST_NETWORK + 1)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}; check the path") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST_NETWORK:
        raise UserError(f"{path} has more than {LARGEST_NETWORK / 1e9:.1f} GB, more than a network has")
    return content
