"""torch.compile: faster after minutes, and results differ a little."""

import torch

from support.errors import UserError, first_line


def compiled(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """The network with the same parameters, which torch.compile compiles at its first call.

    Raises UserError where nothing can be compiled.
    """
    try:
        torch.compile(torch.sin)(torch.ones(2, device=device))
    except Exception as error:  # torch raises many kinds
        raise UserError(
            f"--compile: PyTorch cannot compile here ({first_line(error)}); install a C++ compiler, or leave it out"
        ) from error
    return torch.compile(network)
