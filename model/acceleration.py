"""What makes training faster and changes results by more than rounding, or looks into it: compilation, TF32, traces."""

import logging

import torch

from .errors import UserError
from .files import replacing

_WARM_UP = 10  # steps before a trace


def set_tf32(enabled):
    """Whether CUDA's float32 products and convolutions may round their factors to 10 bits (off: PyTorch itself allows it in
    convolutions)."""
    torch.set_float32_matmul_precision("high" if enabled else "highest")
    torch.backends.cudnn.allow_tf32 = enabled


def compiled(network, device):
    """The network, compiled by torch.compile when it is first called, over the same parameters. Raises UserError where nothing can be
    compiled."""
    try:
        torch.compile(torch.sin)(torch.ones(2, device=device))
    except Exception as error:  # torch raises many kinds
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"--compile: PyTorch cannot compile here ({reason}); install a C++ compiler, or leave it out") from error
    return torch.compile(network)


def traced(batches, steps, path):
    """Yields the batches, and writes a trace of what is done between `steps` of them, after 10 to warm up, to `path` (a JSON file
    for chrome://tracing or ui.perfetto.dev)."""
    profiler = torch.profiler.profile()
    running = False

    def finish():
        profiler.stop()
        with replacing(path) as temporary:
            profiler.export_chrome_trace(temporary)
        logging.info(f"A trace of {steps} steps is in {path}")

    try:
        for number, batch in enumerate(batches):
            if number == _WARM_UP:
                profiler.start()
                running = True
            yield batch
            if running and number == _WARM_UP + steps - 1:
                running = False
                finish()
    finally:
        if running:
            finish()
