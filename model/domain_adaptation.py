"""Domain adaptation: modules that make the features of two domains alike. Only training uses them.

Their input is the backbone's last feature map: float32 (D, C, h, w). `is_target`, bool (D,), says which rows are of the
target domain. No checkpoint of a network holds these modules.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def _of_one(value: torch.Tensor, count: int, what: str) -> torch.Tensor:
    """The mean over processes when there is one process."""
    return value


class DomainClassifier(nn.Module):
    """Gradient reversal (Ganin and Lempitsky, ICML 2015).

    A classifier learns to tell the domains apart, from features averaged over positions. A layer before it reverses the
    gradient, so that the backbone learns features that the classifier cannot tell apart.

    channels: C
    loss_weight: alpha, the factor of the cross-entropy; the reversal's own factor is -1, so the backbone's gradient is
        -alpha times that of the plain cross-entropy
    """

    def __init__(self, channels: int, loss_weight: float = 0.1):
        super().__init__()
        self.loss_weight = loss_weight
        self.layers = nn.Sequential(nn.Linear(channels, 50), nn.ReLU(), nn.Linear(50, 20), nn.ReLU(), nn.Linear(20, 2))

    def terms(
        self, features: torch.Tensor, is_target: torch.Tensor, mean: Callable = _of_one
    ) -> dict[str, torch.Tensor]:
        """Computes {"domain_classifier": alpha * cross-entropy}.

        features: float32 (D, C, h, w)
        is_target: bool (D,)
        mean: as distributed.mean, over processes that share the batch
        """
        logits = self.layers(_GradientReversal.apply(_pooled(features)))  # (D, 2)
        return {
            "domain_classifier": self.loss_weight
            * mean(F.cross_entropy(logits, is_target.long()), len(logits), "domain")
        }


class DomainAutoencoder(nn.Module):
    """Asymmetric adversarial adaptation (AADA; Yang et al., ECCV 2020).

    An autoencoder A learns to reproduce source features and, up to a margin, not to reproduce target features. The
    backbone learns target features that A reproduces. The error E(f) is the squared error A(f) - f, averaged over all.

    channels: C
    m: the margin of A's error
    gamma: the weight of the backbone's term
    autoencoder: "pooled", linear layers on features averaged over positions, whose output is linear, since features are
        unbounded; or "conv", a ConvolutionalAutoencoder of the whole map
    """

    def __init__(self, channels: int, m: float = 0.5, gamma: float = 0.01, autoencoder: str = "pooled"):
        super().__init__()
        self.m, self.gamma, self.is_pooled = m, gamma, autoencoder == "pooled"
        if not self.is_pooled:
            self.autoencoder = ConvolutionalAutoencoder((channels, 256, 128, 64))
            return
        self.autoencoder = nn.Sequential(
            nn.Linear(channels, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, 256),
            nn.ReLU(),
            nn.Linear(256, channels),
        )

    def terms(
        self, features: torch.Tensor, is_target: torch.Tensor, mean: Callable = _of_one
    ) -> dict[str, torch.Tensor]:
        """Computes the two terms {"autoencoder": ..., "target_error": ...}, both scalars.

        autoencoder: E(f_source) + max(0, m - E(f_target)), which trains A alone (features are detached)
        target_error: gamma * E(f_target), which trains the backbone alone (A is frozen)

        features: float32 (D, C, h, w)
        is_target: bool (D,)
        mean: as distributed.mean, over processes that share the batch
        """
        features = _pooled(features) if self.is_pooled else features
        source, target = features[~is_target], features[is_target]  # (D_source, C), (D_target, C), or with (h, w)
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
    def _error(autoencoder: Callable, features: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(autoencoder(features), features)


class ConvolutionalAutoencoder(nn.Module):
    """The autoencoder of the published night experiments (their row "AE").

    Each convolution (3 x 3, stride 2) halves a map, and transposed ones bring it back to its size, whatever that is.
    ReLU follows all of them, the last too: it is made for features that are never negative, as those of ResNets.

    channels: of the maps, from the features to the smallest, as (512, 256, 128, 64)
    """

    def __init__(self, channels: Sequence[int]):
        super().__init__()
        pairs = list(itertools.pairwise(channels))
        self.encoder = _with_relus(nn.Conv2d(wide, narrow, 3, 2, 1) for wide, narrow in pairs)
        self.decoder = _with_relus(nn.ConvTranspose2d(narrow, wide, 3, 2, 1) for wide, narrow in reversed(pairs))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (D, C, h, w) as the autoencoder reproduces them: (D, C, h, w)."""
        sizes = []
        for layer in self.encoder:
            if isinstance(layer, nn.Conv2d):
                sizes.append(features.shape[-2:])
            features = layer(features)
        for layer in self.decoder:
            features = layer(features, sizes.pop()) if isinstance(layer, nn.ConvTranspose2d) else layer(features)
        return features


KINDS = {"grl": DomainClassifier, "aada": DomainAutoencoder}


def make_domain_module(
    kind: str, channels: int, seed: int, **options: float | str
) -> DomainClassifier | DomainAutoencoder:
    """Builds a module of KINDS, whose initial weights depend on the seed alone.

    kind: a key of KINDS
    channels: C
    seed: of the initial weights
    options: further arguments of the module
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return KINDS[kind](channels, **options)


def _pooled(features: torch.Tensor) -> torch.Tensor:
    """The mean over positions: (D, C, h, w) to (D, C)."""
    return features.mean(dim=(-2, -1))


def _with_relus(layers: Iterable[nn.Module]) -> nn.Sequential:
    return nn.Sequential(*itertools.chain.from_iterable((layer, nn.ReLU()) for layer in layers))


class _GradientReversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor) -> torch.Tensor:
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return -gradient
