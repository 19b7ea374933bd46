"""A head whose classes are shared among ranks (model parallelism, as in Partial FC, An et al., 2021).

Each rank has some rows of the weight, with their gradient and moments. The softmax is exact. A step sends the batch's
descriptors and their gradient, B x dim each, and three numbers per image (five with --label_smoothing). The gradient of
a whole head on each rank would be classes x dim.
"""

from typing import Any

import torch
from torch import nn

from model.layers import full_precision
from model.pair_losses import PairLoss


class ShardedHead:
    """The loss of a head that has only a rank's classes.

    head: one of model.heads, whose weight has only the rows of these classes, at least one
    classes: this rank's slice of the group's classes
    ranks: the module `distributed`
    """

    def __init__(self, head: nn.Module, classes: slice, ranks: Any):
        self.head, self.classes, self.ranks = head, classes, ranks

    def loss(self, descriptors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean loss of the whole batch, the same on every rank.

        Its gradients are this rank's parts of the network's gradients.

        descriptors: (b, dim) of this rank's share of the batch; labels: int64 (B,) of the whole batch
        """
        everyones = _GatheredRows.apply(descriptors, len(labels), self.ranks)  # (B, dim)
        here = (labels >= self.classes.start) & (labels < self.classes.stop)
        return self.head.loss(everyones, torch.where(here, labels - self.classes.start, -1), self._cross_entropy)

    def _cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float):
        with full_precision(logits.device.type):
            return _ShardedCrossEntropy.apply(logits, labels, self.ranks, label_smoothing)


class GatheredPairs:
    """The pair loss of the descriptors of all ranks.

    pairs: the loss
    ranks: the module `distributed`
    """

    def __init__(self, pairs: PairLoss, ranks: Any):
        self.pairs, self.ranks = pairs, ranks

    def __call__(self, descriptors: torch.Tensor, labels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The loss of the whole batch, the same on every rank. Its gradients are this rank's parts of the network's.

        descriptors: (b, dim) of this rank's share of the batch
        labels: int64 (B,) of the whole batch
        places: float64 (B, 3) of the whole batch
        """
        everyones = _GatheredRows.apply(descriptors, len(labels), self.ranks)  # (B, dim)
        loss = self.pairs(everyones, labels, places)
        # every rank computes all of it, and their gradients are summed
        return loss / self.ranks.size() + (loss * (1 - 1 / self.ranks.size())).detach()


class _GatheredRows(torch.autograd.Function):
    """All ranks' rows, in order; backward, the sum of what all ranks' losses want of this rank's."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, count: int, ranks: Any) -> Any:
        ctx.ranks, ctx.part = ranks, ranks.share(count)
        return ranks.gather_rows(
            rows.detach(), [ranks.length(count, rank) for rank in range(ranks.size())], "descriptors"
        )

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return ctx.ranks.all_reduce(gradient.contiguous(), "descriptors' gradient")[ctx.part], None, None


class _ShardedCrossEntropy(torch.autograd.Function):
    """F.cross_entropy of logits (B, C) of which every rank has some columns; labels: int64 (B,), -1 where the class is
    another rank's.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor, ranks: Any, label_smoothing: float) -> Any:
        largest = ranks.all_reduce(logits.amax(dim=1), "softmax", maximum=True)  # (B,)
        exponentials = (logits - largest.unsqueeze(1)).exp_()
        right = logits.gather(1, labels.clamp(min=0).unsqueeze(1)).squeeze(1)
        sums = [exponentials.sum(dim=1), torch.where(labels < 0, 0, right)]
        if label_smoothing:
            sums += [logits.sum(dim=1), torch.full_like(largest, logits.shape[1])]  # whose sum is the number of classes
        total, wanted, *others = ranks.all_reduce(torch.stack(sums), "softmax")  # (B,) each
        ctx.label_smoothing, ctx.of_each_class = label_smoothing, 0.0
        if label_smoothing:
            ctx.of_each_class = label_smoothing / others[1][0]
            wanted = (1 - label_smoothing) * wanted + ctx.of_each_class * others[0]
        ctx.save_for_backward(exponentials, total, labels)
        return (total.log() + largest - wanted).mean()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        exponentials, total, labels = ctx.saved_tensors
        softmax = exponentials / total.unsqueeze(1)
        rows = (labels >= 0).nonzero().squeeze(1)
        softmax[rows, labels[rows]] -= 1 - ctx.label_smoothing
        if ctx.label_smoothing:
            softmax -= ctx.of_each_class
        return softmax * (gradient / len(labels)), None, None, None
