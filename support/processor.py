"""Whether this machine's processor computes with 16-bit numbers, or only imitates them."""

import contextlib
import os
import platform

import torch

_BFLOAT16 = {
    "avx512_bf16": "AVX-512-bf16",
    "amx_bf16": "AMX-bf16",
    "bf16": "ARM's bf16",
    "arm_bf16": "ARM's bf16",
}  # flag -> its name
_FLOAT16 = {"avx512_fp16": "AVX-512-fp16", "amx_fp16": "AMX-fp16"}
# these limit oneDNN, which computes PyTorch's convolutions, to an older processor's instructions
_CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_CAPS_WITHOUT_16_BITS = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}


def processor_flags(path: str = "/proc/cpuinfo") -> set[str]:
    """What the processor can do, by Linux's names of its flags; empty where that is unknown."""
    flags = set()
    if hasattr(torch.cpu, "get_capabilities"):  # since PyTorch 2.11
        flags |= {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    with contextlib.suppress(OSError), open(path) as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                flags |= set(value.split())
                break
    return flags


def arithmetic_of(dtype: torch.dtype) -> str:
    """The name of the processor's arithmetic for bfloat16 or float16 ("AVX-512-bf16"); "" where it has none.

    Without it, each product is converted from float32 and back, which takes many times as long as float32 itself.
    """
    capped = any(os.environ.get(variable, "").upper() in _CAPS_WITHOUT_16_BITS for variable in _CAPS)
    if capped or not torch.backends.mkldnn.is_available():
        return ""
    names = _BFLOAT16 if dtype == torch.bfloat16 else _FLOAT16
    flags = processor_flags()
    return next((name for flag, name in names.items() if flag in flags), "")


def processor_name() -> str:
    """The processor's model and number of cores, for tables of figures: "AMD EPYC, 2 cores, AVX512 with bfloat16"."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    bits = "with" if arithmetic_of(torch.bfloat16) else "without"
    return f"{model}, {cores} cores, {torch.backends.cpu.get_cpu_capability()} {bits} bfloat16"
