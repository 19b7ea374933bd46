"""The numbers that a network computes in: float32, or 16 bits where the device has arithmetic for them.

A rule decides this, and no measured time, so that results do not depend on how busy a machine is.
"""

import logging

import torch
from torch import nn

from model.hub.method import HubMethod
from support.errors import UserError
from support.processor import arithmetic_of

logger = logging.getLogger(__name__)

_IMITATED = "it imitates them, which takes 5 to 25 times as long as float32"  # measured: benchmarks/RESULTS.md


def training_dtype(
    use_amp16: bool, requested: str, network: nn.Module, device: torch.device
) -> tuple[torch.dtype, str]:
    """Chooses the numbers that the backbone is trained in: (dtype, the reason for the log).

    use_amp16: whether 16 bits are asked for
    requested: "auto", "float16" or "bfloat16"
    network: the network to train
    device: where it is trained
    """
    if not use_amp16:
        return torch.float32, ""
    if requested != "auto":
        return getattr(torch, requested), ""
    # float16 on a GPU is as published
    return _on_cpu(network, "--use_amp16") if device.type == "cpu" else (torch.float16, "")


def infer_dtype(requested: str, network: nn.Module, device: torch.device) -> tuple[torch.dtype, str]:
    """Chooses the numbers that the backbone computes descriptors in: (dtype, the reason for the log).

    requested: "auto", "float32", "bfloat16" or "float16"; network: the network; device: where it computes.

    Raises UserError if the network is an ONNX file, and other numbers than its own are asked for.
    """
    if getattr(network, "has_own_numbers", False):
        if requested not in ("auto", "float32"):
            raise UserError(f"--infer_dtype {requested}: an ONNX file has its own numbers; leave it out")
        return torch.float32, "what the ONNX file gives, whatever it computes in"
    if requested != "auto":
        return getattr(torch, requested), ""
    if isinstance(network, HubMethod):
        return torch.float32, "what 16 bits do to a method of torch.hub is not known"
    if device.type == "cpu":
        return _on_cpu(network, "--infer_dtype auto")
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
        return (torch.bfloat16 if has_bfloat16 else torch.float16), ""
    return torch.float32, "PyTorch's 16-bit arithmetic on this device is young"


def log_dtype(what: str, dtype: torch.dtype, reason: str, device: torch.device) -> None:
    """Logs the numbers that something is computed in; warns if the device only imitates them.

    what: "Training" or "Descriptors"
    dtype: the numbers
    reason: why, or ""
    device: where it computes
    """
    name = name_of(dtype)
    if dtype != torch.float32 and device.type == "cpu" and not arithmetic_of(dtype):
        logger.warning(f"{what} in {name}, as asked for: this processor has no {name} arithmetic; {_IMITATED}")
    else:
        logger.info(f"{what} in {name}" + (f": {reason}" if reason else ""))


def chosen_infer_dtype(requested: str, network: nn.Module, device: torch.device) -> torch.dtype:
    """Chooses as infer_dtype does, and logs the choice."""
    dtype, reason = infer_dtype(requested, network, device)
    log_dtype("Descriptors", dtype, reason, device)
    return dtype


def name_of(dtype: torch.dtype) -> str:
    """The name of a dtype: torch.bfloat16 -> "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def is_depthwise(network: nn.Module) -> bool:
    """Whether a network has depthwise convolutions (MobileNet, EfficientNet, ConvNeXt)."""
    return any(
        isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1 for module in network.modules()
    )


def _on_cpu(network: nn.Module, flag: str) -> tuple[torch.dtype, str]:
    arithmetic = arithmetic_of(torch.bfloat16)
    if not arithmetic:
        return (
            torch.float32,
            f"{flag} takes 16 bits only where the processor has AVX-512-bf16, AMX or ARM's bf16, and this one has not",
        )
    if is_depthwise(network):
        return torch.float32, f"{flag} takes 16 bits on a CPU only for networks without depthwise convolutions"
    return torch.bfloat16, f"the processor has {arithmetic}"
