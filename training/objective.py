"""What a training step minimises, as named terms."""

from torch import nn

from model.layers import full_precision
from model.stochastic_depth import stochastic_depths


class Objective:
    """The classification loss of a group's head and, with domain adaptation, the domain's terms.

    network: a GeoLocalizationNet; head: with loss(descriptors, labels); domain: a module of model.domain_adaptation, or
    None. Where processes share a batch, share, domain_share: the rows (datasets.schedule.Share) that this one has of it
    and of the domain batch; options: of the domain's terms (mean).

    Domain images go through the backbone in a forward pass of their own, after the training images and in training mode
    too: batch norm normalises the domain batch, source and target together, by its own statistics, so that a step's
    training descriptors do not depend on it. The running statistics move with both passes, as in the published night
    experiments, and are those of both domains at test.
    """

    def __init__(self, network, head, domain: nn.Module | None = None, share=None, domain_share=None, **options):
        self.network, self.head, self.domain, self.options = network, head, domain, options
        self.share, self.domain_share, self._depths = share, domain_share, stochastic_depths(network)

    def __call__(self, images, labels, domain_batch=None):
        """{name: scalar}, weighted, to be summed and differentiated.

        images: float32 (B, 3, H, W), normalised; labels: int64 (B,), rows of the head; domain_batch: (images,
        is_target), float32 (D, 3, H, W) and bool (D,), needed with domain adaptation. Processes that share a batch have
        some of its images each, and all labels.
        """
        self._set_share(self.share)
        terms = {"classification": self.head.loss(self.network(images), labels)}
        if self.domain is not None:
            domain_images, is_target = domain_batch
            self._set_share(self.domain_share)
            features = self.network.backbone(domain_images)  # (D, C, h, w)
            with full_precision(features.device.type):
                terms |= self.domain.terms(features.float().mean(dim=(-2, -1)), is_target, **self.options)
        return terms

    def _set_share(self, share):
        for depth in self._depths:
            depth.share = share
