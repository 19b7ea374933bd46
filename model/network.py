"""The CosPlace network: a backbone of torchvision or timm without its classifier -> L2 -> GeM -> FC -> L2."""

import logging
from typing import Self

import torch
import torchvision
from torch import nn

from model.choices import BACKBONES, canonical_backbone, is_of_timm
from model.details import Details
from model.layers import GeM, L2Norm, full_precision
from model.pretrained import load_initial_weights
from model.stochastic_depth import replace_stochastic_depth
from support.errors import UserError

logger = logging.getLogger(__name__)


class GeoLocalizationNet(nn.Module):
    """The CosPlace network: images to descriptors of unit length.

    backbone: a name of BACKBONES, or timm/NAME, in any case
    fc_output_dim: the descriptors' dimension
    train_all_layers: whether to freeze nothing
    weights: initial weights of the backbone: None (random), "IMAGENET1K_V1" or "IMAGENET1K_V2" (downloaded by
        torchvision), "timm" (downloaded by timm), or the path of a file
    gem_activation: one of GEM_ACTIVATIONS
    normalization: (mean, deviation) of the images that a backbone of timm takes; None: as timm says

    If the attribute batch_norm_frozen is set, batch norms use their running statistics in training too, and leave them
    as they are. Their factors and offsets are trained.

    Raises UserError if the backbone is unknown, or if the weights do not fit or cannot be fetched.
    """

    batch_norm_frozen = False
    image_size: int | None = None  # side of the crops that it was trained on, pixels, if that is known

    def __init__(
        self,
        backbone: str,
        fc_output_dim: int,
        train_all_layers: bool = False,
        weights: str | None = None,
        gem_activation: str = "clamp",
        normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    ):
        super().__init__()
        self.backbone_name, self.fc_output_dim = canonical_backbone(backbone), fc_output_dim
        if is_of_timm(self.backbone_name):
            from model.timm_backbone import TimmBackbone  # an optional package

            self.backbone = TimmBackbone(self.backbone_name, weights, *(normalization or ()))
            channels = self.backbone.channels
            if not train_all_layers:
                self.train_last_blocks(self.backbone.default_blocks() or None)
        else:
            channels, first_trained = BACKBONES[self.backbone_name]
            self.backbone = _make_backbone(self.backbone_name, weights)
            if not train_all_layers:
                _freeze_before(first_trained, self.backbone_name, self.backbone)
        gem = GeM(activation=gem_activation)
        self.aggregation = nn.Sequential(L2Norm(), gem, nn.Flatten(), nn.Linear(channels, fc_output_dim), L2Norm())

    def details(self) -> Details:
        """What the entries of its state_dict do not tell."""
        known = Details(self.backbone_name, self.aggregation[1].activation, image_size=self.image_size)
        if is_of_timm(self.backbone_name):
            known = known._replace(mean=self.backbone.mean, std=self.backbone.std)
        return known

    def train_last_blocks(self, number: int | None) -> None:
        """Trains the last blocks of the backbone, with what follows them, and freezes what is before.

        Blocks are those of a transformer or stages of convolutions in timm, and in torchvision's networks the children
        with weights: of a ResNet conv1, bn1 and layer1 to layer4. None: all. Raises UserError if there are fewer.
        """
        if is_of_timm(self.backbone_name):
            blocks = self.backbone.blocks()
        else:
            children = [list(child.parameters()) for _, child in _children(self.backbone_name, self.backbone)]
            blocks = [parameters for parameters in children if parameters]
        if number is None:
            return
        if number > len(blocks):
            has = f"has {len(blocks)} blocks" if blocks else "does not say what its blocks are"
            raise UserError(f"--train_last_blocks {number}: {self.backbone_name} {has}; --train_all_layers trains all")
        for index, parameters in enumerate(blocks):
            for parameter in parameters:
                parameter.requires_grad_(index >= len(blocks) - number)
        logger.debug(f"Training the last {number} of {len(blocks)} blocks of {self.backbone_name}; frozen before")

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


def _make_backbone(name: str, weights: str | None) -> nn.Sequential:
    """Builds a backbone of torchvision, whose entries have the published names."""
    network = getattr(torchvision.models, name.lower())(weights=None)
    if weights is not None:
        load_initial_weights(network, name, weights)
    replace_stochastic_depth(network)
    if name.startswith("ResNet"):  # conv1 ... layer4, without avgpool and fc
        return nn.Sequential(*list(network.children())[:-2])
    if name == "VGG16":  # without the last ReLU and the last max pooling
        return nn.Sequential(*list(network.features.children())[:-2])
    return nn.Sequential(network.features)


def _children(name: str, backbone: nn.Sequential) -> list[tuple[str, nn.Module]]:
    """The (name, child) pairs of a backbone of torchvision, in order."""
    is_flat = name.startswith("ResNet") or name == "VGG16"
    return list((backbone if is_flat else backbone[0]).named_children())


def _freeze_before(first_trained: str, name: str, backbone: nn.Sequential) -> None:
    for child_name, child in _children(name, backbone):
        if child_name == first_trained:
            break
        child.requires_grad_(False)
    logger.debug(f"Training the {name} from child {first_trained} on; frozen before")
