"""Margin losses over the classes of one group, used in training alone."""

import torch
import torch.nn.functional as F
from torch import nn

from .layers import full_precision


class CosFace(nn.Module):
    """CosFace (Wang et al., CVPR 2018, equation 4): logit_j = s * (cos(theta_j) - m * [j = y]), then cross-entropy.

    in_features: the descriptors' dimension; out_features: the number of classes; s: scale; m: margin on the cosine.
    Descriptors and weights are normalised here, so that the gradient is orthogonal to both.
    """

    def __init__(self, in_features, out_features, s=30.0, m=0.40):
        super().__init__()
        self.s, self.m = s, m
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, descriptors, labels):
        """descriptors: (B, in_features); labels: int64 (B,) -> float32 logits (B, out_features).

        Float32 (float64 for float64 input) under mixed precision too: bfloat16 would round s * cos by up to 0.06.
        """
        with full_precision(descriptors.device.type):
            descriptors = descriptors.to(torch.promote_types(descriptors.dtype, torch.float32))
            cosine = F.linear(F.normalize(descriptors), F.normalize(self.weight))  # (B, classes)
            return self.s * (cosine - self.m * F.one_hot(labels, cosine.shape[1]).to(cosine.dtype))

    def loss(self, descriptors, labels):
        """The mean cross-entropy of the batch, a scalar."""
        return F.cross_entropy(self(descriptors, labels), labels)

    def extra_repr(self):
        return f"in_features={self.weight.shape[1]}, out_features={self.weight.shape[0]}, s={self.s}, m={self.m}"
