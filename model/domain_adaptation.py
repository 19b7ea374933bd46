"""Domain adaptation: what makes the features of two domains alike. Used in training alone; no checkpoint of a network
holds any of it.

Both see the backbone's features, averaged over positions: float32 (D, C), of which `is_target`, bool (D,), are of the
target domain.
"""

import torch
import torch.nn.functional as F
from torch import nn


def _of_one(value, count, what):
    return value


class DomainClassifier(nn.Module):
    """Gradient reversal (Ganin and Lempitsky, ICML 2015): a classifier learns to tell the domains apart, and through a
    layer that reverses its gradient the backbone learns that it cannot.

    channels: C; loss_weight: alpha, what the cross-entropy is multiplied by. The reversal's own factor is -1, so that
    the backbone's gradient is -alpha times that of the plain cross-entropy.
    """

    def __init__(self, channels, loss_weight=0.1):
        super().__init__()
        self.loss_weight = loss_weight
        self.layers = nn.Sequential(nn.Linear(channels, 50), nn.ReLU(), nn.Linear(50, 20), nn.ReLU(), nn.Linear(20, 2))

    def terms(self, features, is_target, mean=_of_one):
        """{"domain_classifier": alpha * cross-entropy}; mean: over processes that share the batch, as distributed.mean."""
        logits = self.layers(_GradientReversal.apply(features))  # (D, 2)
        return {
            "domain_classifier": self.loss_weight
            * mean(F.cross_entropy(logits, is_target.long()), len(logits), "domain")
        }


class DomainAutoencoder(nn.Module):
    """Asymmetric adversarial adaptation (AADA; Yang et al., ECCV 2020): an autoencoder A learns to reproduce source
    features and, up to a margin, not to reproduce target features; the backbone learns target features that A
    reproduces.

    channels: C; m: the margin on A's error; gamma: the weight of the backbone's term. E(f) is the squared error A(f) -
    f averaged over batch and channels. The output is linear, since features are unbounded.
    """

    def __init__(self, channels, m=0.5, gamma=0.01):
        super().__init__()
        self.m, self.gamma = m, gamma
        self.autoencoder = nn.Sequential(
            nn.Linear(channels, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, 256),
            nn.ReLU(),
            nn.Linear(256, channels),
        )

    def terms(self, features, is_target, mean=_of_one):
        """{"autoencoder": E(f_source) + max(0, m - E(f_target)), for A alone (features detached);
        "target_error": gamma * E(f_target), for the backbone alone (A frozen)}; mean: as above."""
        source, target = features[~is_target], features[is_target]
        error_source, error_target = (
            mean(self._error(self.autoencoder, f.detach()), len(f), "domain") for f in (source, target)
        )
        weights = {name: parameter.detach() for name, parameter in self.autoencoder.named_parameters()}
        frozen_error = mean(
            self._error(lambda f: torch.func.functional_call(self.autoencoder, weights, f), target),
            len(target),
            "domain",
        )
        return {"autoencoder": error_source + F.relu(self.m - error_target), "target_error": self.gamma * frozen_error}

    @staticmethod
    def _error(autoencoder, features):
        return F.mse_loss(autoencoder(features), features)


KINDS = {"grl": DomainClassifier, "aada": DomainAutoencoder}


def make_domain_module(kind, channels, seed, **options):
    """A module of KINDS; its initial weights are a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return KINDS[kind](channels, **options)


class _GradientReversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features):
        return features.view_as(features)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient
