"""What a training step minimises, as named terms."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from datasets.schedule import Share
from datasets.target_dataset import DomainBatch
from model.layers import full_precision
from model.network import GeoLocalizationNet
from model.pair_losses import PairLoss
from model.stochastic_depth import stochastic_depths


class Objective:
    """The classification loss of a group's head, a pair loss, or both and, with domain adaptation, the domain's terms.

    Domain images go through the backbone in a forward pass of their own, after the training images. Batch norm
    normalises the domain batch, source and target together, by its own statistics, so the training descriptors of a
    step do not depend on it. The running statistics move with both passes, as in the published night experiments. At
    test they are those of both domains.

    network: gives descriptors, and features of the domain batch
    head: with loss(descriptors, labels); None without one
    domain: a module of model.domain_adaptation, if any
    pairs: a loss over the pairs of a batch, if any
    share, domain_share: the rows of a batch and of a domain batch that this process has (default: all)
    options: of the domain's terms (mean)
    """

    def __init__(
        self,
        network: GeoLocalizationNet,
        head: nn.Module | None,
        domain: nn.Module | None = None,
        pairs: PairLoss | None = None,
        share: Share | None = None,
        domain_share: Share | None = None,
        **options,
    ):
        self.network, self.head, self.domain, self.options = network, head, domain, options
        self.pairs = pairs
        self.share, self.domain_share, self._depths = share, domain_share, stochastic_depths(network)

    def __call__(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        domain_batch: DomainBatch | None = None,
        places: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """The weighted terms of the loss, whose sum is minimised: name -> scalar.

        Processes that share a batch have some of its images each, and all labels.

        images: float32 (B, 3, H, W), normalised
        labels: int64 (B,), rows of the head
        domain_batch: float32 images (D, 3, H, W) and bool is_target (D,), with domain adaptation
        places: float64 (B, 3), metres and degrees, with a pair loss
        """
        self._set_share(self.share)
        descriptors, terms = self.network(images), {}
        if self.head is not None:
            terms["classification"] = self.head.loss(descriptors, labels)
        if self.pairs is not None:
            terms["pairs"] = self.pairs(descriptors, labels, places)
        if domain_batch is not None:
            terms |= self.domain_terms(domain_batch)
        return terms

    def domain_terms(self, batch: DomainBatch) -> dict[str, torch.Tensor]:
        """The terms of a domain batch, as of __call__."""
        self._set_share(self.domain_share)
        features = self.network.backbone(batch.images)  # (D, C, h, w)
        with full_precision(features.device.type):
            return self.domain.terms(features.float(), batch.is_target, **self.options)

    def _set_share(self, share: Share | None):
        for depth in self._depths:
            depth.share = share


class Part(NamedTuple):
    """The part that one of several heads has in a loss."""

    name: str
    weight: float
    objective: Objective  # of this head


class SumOfParts:
    """The losses of several heads, as EigenPlaces has them (Berton et al., ICCV 2023).

    A batch has an equal part for each head, in their order. Each goes through the network in a forward pass of its own:
    batch norm normalises it by its own statistics, and the running ones move once for each. One domain batch follows.

    parts: of the heads
    domain_terms: from the domain batch to its terms, with domain adaptation
    """

    def __init__(
        self, parts: Sequence[Part], domain_terms: Callable[[DomainBatch], dict[str, torch.Tensor]] | None = None
    ):
        self.parts, self.domain_terms = parts, domain_terms

    def __call__(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        domain_batch: DomainBatch | None = None,
        places: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """The weighted terms of the loss, by the names of the heads, then those of the domain: name -> scalar.

        images: float32 (B, 3, H, W), normalised, the parts of the heads in turn
        labels: int64 (B,), rows of the heads
        domain_batch: as of Objective
        places: None
        """
        number = len(self.parts)
        pieces = zip(self.parts, images.chunk(number), labels.chunk(number), strict=True)
        terms = {part.name: part.weight * sum(part.objective(*piece).values()) for part, *piece in pieces}
        return terms | (self.domain_terms(domain_batch) if self.domain_terms else {})
