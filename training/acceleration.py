"""What makes training faster and changes results by more than rounding, or looks into it: compilation, TF32, traces."""

import logging

import torch

from support.errors import UserError
from support.files import replacing

_WARM_UP = 10  # steps before a trace


def set_tf32(enabled):
    """Whether CUDA's float32 products and convolutions may round their factors to 10 bits (off: PyTorch itself allows
    it in convolutions).
    """
    torch.set_float32_matmul_precision("high" if enabled else "highest")
    torch.backends.cudnn.allow_tf32 = enabled


def compiled(network, device):
    """The network, compiled by torch.compile when it is first called, over the same parameters. Raises UserError where
    nothing can be compiled.
    """
    try:
        torch.compile(torch.sin)(torch.ones(2, device=device))
    except Exception as error:  # torch raises many kinds
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"--compile: PyTorch cannot compile here ({reason}); install a C++ compiler, or leave it out"
        ) from error
    return torch.compile(network)


def traced(batches, steps, path):
    """Yields an epoch's batches, and writes a trace of what is done with `steps` of them, after 10 to warm up (fewer
    where the epoch ends), to `path` (a JSON file for chrome://tracing or ui.perfetto.dev).
    """
    profiler, begun, running = torch.profiler.profile(), 0, False
    try:
        for number, batch in enumerate(batches):
            if running and begun == steps:
                running = False
                _finish(profiler, begun, path)
            if number == _WARM_UP:
                profiler.start()
                running = True
            begun += running
            yield batch
    finally:
        if running:
            _finish(profiler, begun, path)
        elif not begun:
            logging.warning(f"No trace: the epoch has no more than the {_WARM_UP} steps that warm up")


def _finish(profiler, steps, path):
    profiler.stop()
    with replacing(path) as temporary:
        profiler.export_chrome_trace(temporary)
    logging.info(f"A trace of {steps} steps is in {path}")
