"""A network made ready to compute descriptors and nothing else."""

import contextlib
import copy
import logging

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.normalization import normalize

FOLDING_TOLERANCE = 1e-5  # the largest difference of a descriptor's entries
_CACHED_PIXELS = 1 << 17  # a CPU thread's share of a pass, whose feature maps then stay in its cache


class Describer:
    """Computes descriptors with a copy of a network in evaluation mode, its batch norms folded; the network stays as it
    is.

    network: a GeoLocalizationNet on `device`; dtype: what its backbone computes in.
    """

    def __init__(self, network, device, dtype=torch.float32):
        self.device, self.dtype = torch.device(device), dtype
        # faster than contiguous for depthwise networks too, in float32: 32 ms an image in place of 73 (MobileNetV2, 512
        # px)
        self.network = fold_batch_norm(network, self.device).to(memory_format=torch.channels_last)

    def __call__(self, images):
        """images: uint8 (b, 3, H, W) -> descriptors, float32 (b, fc_output_dim), on the CPU."""
        autocast = (
            contextlib.nullcontext()
            if self.dtype == torch.float32
            else torch.autocast(self.device.type, dtype=self.dtype)
        )
        at_once = len(images)
        if self.device.type == "cpu":
            at_once = max(1, _CACHED_PIXELS * torch.get_num_threads() // (images.shape[-2] * images.shape[-1]))
        with torch.inference_mode(), autocast:
            return torch.cat(
                [
                    self.network(
                        normalize(part.to(self.device, non_blocking=True)).contiguous(memory_format=torch.channels_last)
                    )
                    .float()
                    .cpu()
                    for part in images.split(at_once)
                ]
            )


def fold_batch_norm(network, device="cpu"):
    """A copy of the network in evaluation mode whose batch norms are folded into the convolutions before them; without
    folding where that changes the descriptors of a random image by more than FOLDING_TOLERANCE.
    """
    plain = copy.deepcopy(network).eval()
    folded = copy.deepcopy(plain)
    if not _fold(folded):
        return plain
    probe = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.inference_mode():
        difference = (folded(probe) - plain(probe)).abs().max().item()
    if difference <= FOLDING_TOLERANCE:
        return folded
    logging.debug(f"Batch norms are not folded: descriptors would change by {difference:.1e}")
    return plain


def _fold(module):
    """Folds, in place, every batch norm that follows a convolution among a module's children; returns how many."""
    count, previous = 0, (None, None)
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d | nn.SyncBatchNorm) and isinstance(previous[1], nn.Conv2d):
            setattr(module, previous[0], fuse_conv_bn_eval(previous[1], child))
            setattr(module, name, nn.Identity())
            count += 1
        else:
            count += _fold(child)
        previous = name, child
    return count
