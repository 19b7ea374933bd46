"""Model soups (Wortsman et al., ICML 2022): networks of one architecture averaged entry by entry."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

from model.network import GeoLocalizationNet
from model.state_dicts import first_not_finite
from support.errors import UserError


def average(state_dicts: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Averages networks: the mean of every floating-point entry, computed in float64; other entries are the first's.

    state_dicts: of one architecture. Their order does not matter, except for the rounding of float64.
    """
    mean = {}
    for key, first in state_dicts[0].items():
        mean[key] = first.clone()
        if first.is_floating_point():
            mean[key] = (sum(state_dict[key].double() for state_dict in state_dicts) / len(state_dicts)).to(first.dtype)
    return mean


def refuse_damaged(state_dict: dict[str, torch.Tensor], source: str) -> None:
    """Raises UserError, which names source and entry, if anything is NaN or infinite: it would spoil the whole soup."""
    if key := first_not_finite(state_dict):
        raise UserError(f"{source} holds numbers that are not finite ({key}): its training diverged; leave it out")


class Trial(NamedTuple):
    indices: list[int]  # of the ingredients that were averaged
    recall: float  # R@1 on the validation set, percent
    kept: bool  # whether the last of them stays in the soup


def greedy_soup(recalls: Sequence[float], evaluate: Callable[[list[int]], float]) -> Iterator[Trial]:
    """Makes the greedy soup (recipe 1 of the paper): yields a Trial for each ingredient, from the best to the worst.

    recalls: R@1 of each ingredient on the validation set, percent
    evaluate: indices -> R@1 of their average

    An ingredient is kept if the recall does not fall: with an equal recall it is. Among equal ingredients the earlier
    comes first. The last Trial that is kept is the soup.
    """
    order = sorted(range(len(recalls)), key=lambda index: -recalls[index])
    kept, best = order[:1], recalls[order[0]]
    yield Trial(kept, best, True)
    for index in order[1:]:
        tried = [*kept, index]
        recall = evaluate(tried)
        better = recall >= best
        if better:
            kept, best = tried, recall
        yield Trial(tried, recall, better)


@torch.no_grad()
def recalibrate_batch_norm(network: GeoLocalizationNet, batches: Iterable[torch.Tensor]) -> None:
    """Estimates the running statistics of batch norm again: the mean of each batch's statistics over all batches.

    batches: normalised images (B, 3, H, W) on the network's device, of about the same B. Everything else is in
    evaluation mode, and so is the whole network afterwards. Raises UserError if the network has no batch norm.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        raise UserError(f"a {network.backbone_name} has no batch norm to estimate again: leave out --recalibrate_bn")
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch then computes the plain mean over all batches
        norm.train()
    for images in batches:
        network.backbone(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
