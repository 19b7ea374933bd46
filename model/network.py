"""The CosPlace network: a torchvision backbone without its classifier -> L2 -> GeM -> FC -> L2."""

import logging
from typing import Self

import torch
import torchvision
from torch import nn

from model.choices import BACKBONES, canonical_backbone
from model.layers import GeM, L2Norm, full_precision
from model.pretrained import load_initial_weights
from model.stochastic_depth import replace_stochastic_depth

logger = logging.getLogger(__name__)


class GeoLocalizationNet(nn.Module):
    """The CosPlace network: images to descriptors of unit length.

    backbone: a name of BACKBONES, in any case
    fc_output_dim: the descriptors' dimension
    train_all_layers: whether to freeze nothing
    weights: initial weights of the backbone: None (random), "IMAGENET1K_V1" or "IMAGENET1K_V2" (downloaded by
        torchvision), or the path of a file

    If the attribute batch_norm_frozen is set, batch norms use their running statistics in training too, and leave them
    as they are. Their factors and offsets are trained.

    Raises UserError if the backbone is unknown, or if the weights do not fit or cannot be fetched.
    """

    batch_norm_frozen = False

    def __init__(self, backbone: str, fc_output_dim: int, train_all_layers: bool = False, weights: str | None = None):
        super().__init__()
        self.backbone_name, self.fc_output_dim = canonical_backbone(backbone), fc_output_dim
        channels, first_trained = BACKBONES[self.backbone_name]
        self.backbone, children = _make_backbone(self.backbone_name, weights)
        if not train_all_layers:
            for name, child in children:
                if name == first_trained:
                    break
                child.requires_grad_(False)
            logger.debug(f"Training the {self.backbone_name} from child {first_trained} on; frozen before")
        self.aggregation = nn.Sequential(L2Norm(), GeM(), nn.Flatten(), nn.Linear(channels, fc_output_dim), L2Norm())

    def train(self, mode: bool = True) -> Self:
        """Sets training mode, as of any module. With batch_norm_frozen, batch norms stay in evaluation mode."""
        super().train(mode)
        if self.batch_norm_frozen:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Computes float32 descriptors (B, fc_output_dim).

        images: float (B, 3, H, W), normalised, at least 32 x 32 pixels. Under mixed precision only the backbone
        computes in 16 bits.
        """
        features = self.backbone(images)  # (B, C, H/32, W/32); H/16 for VGG-16
        if torch.jit.is_scripting():  # TorchScript knows no context of a device that is found out as it runs
            return self.aggregation(features.float())
        with full_precision(features.device.type):
            return self.aggregation(features.float())  # (B, fc_output_dim)


def _make_backbone(name: str, weights: str | None) -> tuple[nn.Module, list[tuple[str, nn.Module]]]:
    """Builds the backbone, whose entries have the published names, and lists its (name, child) pairs in order."""
    network = getattr(torchvision.models, name.lower())(weights=None)
    if weights is not None:
        load_initial_weights(network, name, weights)
    replace_stochastic_depth(network)
    if name.startswith("ResNet"):  # conv1 ... layer4, without avgpool and fc
        backbone = nn.Sequential(*list(network.children())[:-2])
    elif name == "VGG16":  # without the last ReLU and the last max pooling
        backbone = nn.Sequential(*list(network.features.children())[:-2])
    else:
        backbone = nn.Sequential(network.features)
        return backbone, list(network.features.named_children())
    return backbone, list(backbone.named_children())
