"""What several processes average, sum and gather of one run."""

import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn

import distributed
from training.step_monitor import EpochSums

if TYPE_CHECKING:
    from training.run import Run

MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam


def common_parameters(run: "Run") -> list[nn.Parameter]:
    """The parameters that all processes have in common."""
    return [*run.network.parameters(), *(run.domain.parameters() if run.domain else ())]


def running_statistics(network: nn.Module) -> list[torch.Tensor]:
    """The running statistics of batch norms."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]


def average(tensors: list[torch.Tensor], what: str) -> None:
    """Replaces tensors by their means over all processes. what: their name in distributed.traffic."""
    for tensor in tensors:
        tensor.div_(distributed.size())
    distributed.sum_flat(tensors, what)


def all_rows(tensor: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, on the CPU of rank 0."""
    return distributed.rows_to_main(tensor.detach().cpu(), "checkpoints")


def merged_sums(parts: Iterable[dict]) -> EpochSums:
    """The EpochSums of several processes, given as their state_dict()s, in one."""
    parts = [EpochSums(**part) for part in parts]
    names = dict.fromkeys(name for part in parts for name in part.totals)
    return EpochSums(
        {name: sum(part.totals.get(name, 0.0) for part in parts) for name in names},
        sum(part.steps for part in parts),
        sum(part.skipped_steps for part in parts),
        0,
        zlib.crc32(" ".join(str(part.images_crc32) for part in parts).encode()),
        max(part.seconds for part in parts),
    )


def mean_optimizer(states: list[dict]) -> dict:
    """Adam's state_dict with the mean of the moments."""
    entries = {
        number: {
            **entry,
            **{
                key: torch.stack([state["state"][number][key].cpu() for state in states]).mean(dim=0) for key in MOMENTS
            },
        }
        for number, entry in states[0]["state"].items()
    }
    return {**states[0], "state": entries}
