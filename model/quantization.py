"""A network in 8-bit numbers: an ONNX file by onnxruntime's static quantization."""

import os
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from model.exporting import ExportedNetwork, check_packages, export
from model.network import GeoLocalizationNet
from support.errors import UserError, first_line
from support.files import replacing

# between descriptors in 8 bits and the network's, mean of the images; a file with less is not written
LEAST_COSINE = 0.9
# What lies between convolutions is in 8 bits too, so that nothing is converted there. L2 and GeM stay in float32: there
# is no 8-bit arithmetic for powers.
_OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "MaxPool", "GlobalAveragePool")


def export_int8(
    network: GeoLocalizationNet,
    path: str,
    ranges: Iterable[torch.Tensor],
    compared: Iterable[torch.Tensor],
    normalize: str = "none",
) -> np.ndarray:
    """Writes a network to an ONNX file with weights and activations in 8 bits.

    network: moved to the CPU, as float32
    path: of the file, which takes and gives what model.exporting.export's does
    ranges: batches of normalised images, float32 (b, 3, H, W): activations are scaled to what they are on these
    compared: batches of other images, on which the file is compared with the network
    normalize: one of model.exporting.INPUTS

    Returns the cosine between both descriptors of each compared image. Raises UserError as export does, if onnxruntime
    cannot quantize the network, or if the mean of the cosines is below LEAST_COSINE.
    """
    _, onnxruntime = check_packages()
    with replacing(path) as temporary, tempfile.TemporaryDirectory() as folder:
        float32 = os.path.join(folder, "float32.onnx")
        export(network, float32, "onnx", normalize)
        module = ExportedNetwork(network, normalize).eval()
        try:
            _quantize(float32, temporary, (module.denormalized(batch).numpy() for batch in ranges))
        except (OSError, UserError):
            raise
        except Exception as error:  # onnxruntime raises many kinds
            raise UserError(f"a {network.backbone_name} cannot be written in 8 bits: {first_line(error)}") from error
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        cosines = []
        for batch in compared:
            with torch.inference_mode():
                expected = module.network(batch).numpy()
            found = session.run(None, {"images": module.denormalized(batch).numpy()})[0]
            cosines.append((found * expected).sum(axis=1))
        cosines = np.concatenate(cosines)
        if not cosines.mean() >= LEAST_COSINE:
            raise UserError(
                f"in 8 bits the descriptors of the {network.backbone_name} have a cosine of "
                f"{cosines.mean():.3f} with its own, less than {LEAST_COSINE}: {path} was not written; "
                "give images like those that it will see, or export it without --int8"
            )
    return cosines


def _quantize(path: str, output: str, batches: Iterator[np.ndarray]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(batches, None)
            return None if batch is None else {"images": batch}

    prepared = os.path.join(os.path.dirname(path), "prepared.onnx")
    quant_pre_process(path, prepared, skip_symbolic_shape=True)  # its shapes are dynamic
    quantize_static(
        prepared,
        output,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(_OPERATORS),
        per_channel=True,
        # x86's VNNI multiplies uint8 by int8: int8 by int8 took three times as long
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
