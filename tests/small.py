"""Backbones for tests that do not depend on the backbone: a run takes a fifth of what it takes with MobileNet_V2."""

import torchvision
from torch import nn

from model.choices import BACKBONES

NAME = "Small"
DROPPING = "SmallDropping"


class Small(nn.Module):
    """As torchvision's networks: the feature map has a sixteenth of the image's height and width."""

    def __init__(self, weights=None):
        super().__init__()
        widths = (3, 8, 16, 32, 64)
        self.features = nn.Sequential(*map(_block, widths, widths[1:]))


class SmallDropping(Small):
    """With stochastic depth, as EfficientNet and ConvNeXt have it."""

    def __init__(self, weights=None):
        super().__init__(weights)
        self.features.append(_Dropped(64))


class _Dropped(nn.Module):
    """A block that every second image passes by, in training."""

    def __init__(self, channels):
        super().__init__()
        self.block = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.stochastic_depth = torchvision.ops.StochasticDepth(0.5, "row")

    def forward(self, x):
        return x + self.stochastic_depth(self.block(x))


def _block(channels, out_channels):
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def register(backbones=BACKBONES):
    """Makes them backbones of the networks of this process, and of those that are forked from it.

    backbones: the other BACKBONES of a process that has imported them as `cosplace`
    """
    torchvision.models.small, torchvision.models.smalldropping = Small, SmallDropping
    backbones |= {NAME: (64, "2"), DROPPING: (64, "2")}
