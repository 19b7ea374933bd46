"""What makes training faster and changes results by more than rounding, or looks into it: TF32 and traces."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

from support.files import replacing

logger = logging.getLogger(__name__)

_WARM_UP = 10  # steps before a trace
_Batch = TypeVar("_Batch")


def set_tf32(enabled: bool) -> None:
    """Sets whether CUDA's float32 products and convolutions may round their factors to 10 bits.

    It is off by default here; PyTorch's own default allows it in convolutions.
    """
    torch.set_float32_matmul_precision("high" if enabled else "highest")
    torch.backends.cudnn.allow_tf32 = enabled


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """A context in which float32 is float32 on GPUs, for functions in a program that may have chosen otherwise."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    set_tf32(False)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def traced(batches: Iterable[_Batch], steps: int, path: str) -> Iterator[_Batch]:
    """Yields an epoch's batches, and writes a trace of `steps` steps to `path`, after 10 to warm up.

    The trace has fewer steps where the epoch ends before. It is a JSON file for chrome://tracing or ui.perfetto.dev.
    """

    def write(profiler: torch.profiler.profile) -> None:
        if number := profiler.step_num - _WARM_UP:
            with replacing(path) as temporary:
                profiler.export_chrome_trace(temporary)
            logger.info(f"A trace of {number} steps is in {path}")

    schedule = torch.profiler.schedule(skip_first=_WARM_UP - 1, wait=0, warmup=1, active=steps, repeat=1)
    with torch.profiler.profile(schedule=schedule, on_trace_ready=write) as profiler:
        for batch in batches:
            yield batch
            profiler.step()
        if profiler.step_num <= _WARM_UP:
            logger.warning(f"No trace: the epoch has no more than the {_WARM_UP} steps that warm up")
