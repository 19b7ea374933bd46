"""Stochastic depth (Huang et al., ECCV 2016) of EfficientNet and ConvNeXt, for processes that have some rows of a batch
each.
"""

import torchvision
from torch import nn


class StochasticDepth(torchvision.ops.StochasticDepth):
    """As torchvision's. share: which rows of the whole batch the next inputs are (datasets.schedule.Share); None: all
    of them.

    A row is dropped or kept as it would be in the whole batch, from the same state of the random numbers, which moves
    on by as much.
    """

    share = None

    def forward(self, input):
        if self.share is None or not self.training:
            return super().forward(input)
        drawn = super().forward(input.new_ones((self.share.count, *[1] * (input.ndim - 1))))
        return input * drawn[self.share.rows]


def replace_stochastic_depth(network):
    """Puts StochasticDepth in the place of torchvision's, in all of a network."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torchvision.ops.StochasticDepth:
                setattr(module, name, StochasticDepth(child.p, child.mode))


def stochastic_depths(network: nn.Module):
    """All StochasticDepth of a network."""
    return [module for module in network.modules() if isinstance(module, StochasticDepth)]
