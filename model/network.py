"""The CosPlace network: a torchvision backbone without its classifier -> L2 -> GeM -> FC -> L2."""

import logging

import torchvision
from torch import nn

from model.layers import GeM, L2Norm, full_precision
from model.pretrained import load_initial_weights
from model.stochastic_depth import replace_stochastic_depth
from support.errors import UserError

# name -> (channels of the last feature map, first trained child). Before that child all is frozen unless
# train_all_layers: ResNets from layer3 and EfficientNets from block 5, as published; the others from where their
# features reach a stride of 16 pixels, as layer3 does. VGG-16 has no such border; its last five layers are trained, as
# published.
BACKBONES = {
    "ResNet18": (512, "6"),
    "ResNet50": (2048, "6"),
    "ResNet101": (2048, "6"),
    "ResNet152": (2048, "6"),
    "VGG16": (512, "24"),
    "EfficientNet_B0": (1280, "5"),
    "EfficientNet_B1": (1280, "5"),
    "EfficientNet_B2": (1408, "5"),
    "EfficientNet_B3": (1536, "5"),
    "EfficientNet_B4": (1792, "5"),
    "EfficientNet_B5": (2048, "5"),
    "EfficientNet_B6": (2304, "5"),
    "EfficientNet_B7": (2560, "5"),
    "MobileNet_V2": (1280, "7"),
    "MobileNet_V3_Large": (960, "7"),
    # signed features: GeM counts the negative ones as eps; the last LayerNorm is the classifier's, and goes with it
    "ConvNeXt_Tiny": (768, "4"),
    "ConvNeXt_Small": (768, "4"),
    "ConvNeXt_Base": (1024, "4"),
}


def canonical_backbone(name):
    """The name of a backbone as in BACKBONES, whatever its case. Raises UserError that lists those that exist."""
    for known in BACKBONES:
        if known.lower() == name.lower():
            return known
    raise UserError(f"there is no backbone {name!r}; choose one of {', '.join(BACKBONES)}")


class GeoLocalizationNet(nn.Module):
    """Images to descriptors of unit length.

    backbone: a name of BACKBONES, in any case; fc_output_dim: the descriptors' dimension; train_all_layers: freeze
    nothing; weights: the backbone's initial weights: None (random), "IMAGENET1K_V1", "IMAGENET1K_V2" (downloaded by
    torchvision) or the path of a file. batch_norm_frozen (an attribute, False at first): batch norms use their running
    statistics in training too, which stay as they are; factors and offsets are trained. Raises UserError on an unknown
    backbone or weights that do not fit or cannot be fetched.
    """

    batch_norm_frozen = False

    def __init__(self, backbone, fc_output_dim, train_all_layers=False, weights=None):
        super().__init__()
        self.backbone_name, self.fc_output_dim = canonical_backbone(backbone), fc_output_dim
        channels, first_trained = BACKBONES[self.backbone_name]
        self.backbone, children = _make_backbone(self.backbone_name, weights)
        if not train_all_layers:
            for name, child in children:
                if name == first_trained:
                    break
                child.requires_grad_(False)
            logging.debug(f"Training the {self.backbone_name} from child {first_trained} on; frozen before")
        self.aggregation = nn.Sequential(L2Norm(), GeM(), nn.Flatten(), nn.Linear(channels, fc_output_dim), L2Norm())

    def train(self, mode=True):
        """As of any module; with batch_norm_frozen, batch norms stay in evaluation mode."""
        super().train(mode)
        if self.batch_norm_frozen:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, images):
        """images: normalised float (B, 3, H, W), at least 32 x 32 pixels -> float32 descriptors (B, fc_output_dim).

        Under mixed precision the backbone alone computes in 16 bits.
        """
        features = self.backbone(images)  # (B, C, H/32, W/32); H/16 for VGG-16
        with full_precision(features.device.type):
            return self.aggregation(features.float())


def _make_backbone(name, weights):
    """The backbone as a module with the published entry names, and its (name, child) pairs in order."""
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
