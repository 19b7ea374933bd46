"""Stochastic depth (Huang et al., ECCV 2016) of EfficientNet and ConvNeXt, also when processes share a batch."""

import torch
import torchvision
from torch import nn
from torchvision.ops import stochastic_depth


class StochasticDepth(torchvision.ops.StochasticDepth):
    """torchvision's StochasticDepth, for processes that each have some rows of a batch.

    share: which rows of the whole batch the next inputs are (datasets.schedule.Share); None: all of them.

    A row is dropped or kept as it would be in the whole batch: the random numbers of all rows are drawn.
    """

    share = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_scripting():  # TorchScript knows no share, and no super()
            return stochastic_depth(input, self.p, self.mode, self.training)
        if self.share is None or not self.training:
            return super().forward(input)
        drawn = super().forward(input.new_ones((self.share.count, *[1] * (input.ndim - 1))))
        return input * drawn[self.share.rows]


def replace_stochastic_depth(network: nn.Module) -> None:
    """Replaces torchvision's StochasticDepth, and timm's DropPath, by this one, everywhere in a network."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torchvision.ops.StochasticDepth:
                setattr(module, name, StochasticDepth(child.p, child.mode))
            elif type(child).__name__ == "DropPath" and child.drop_prob:
                setattr(module, name, StochasticDepth(child.drop_prob, "row"))


def stochastic_depths(network: nn.Module) -> list[StochasticDepth]:
    """Lists all StochasticDepth modules of a network."""
    return [module for module in network.modules() if isinstance(module, StochasticDepth)]
