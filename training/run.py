"""A training run: everything that a step changes, and how a step changes it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from datasets.bad_images import BadImages
from datasets.train_dataset import Batch, TrainDataset
from model.network import GeoLocalizationNet
from model.pair_losses import NoHead, PairLoss
from support.signals import deferred_signals
from training.moving_average import MovingAverage
from training.objective import Objective, SumOfParts
from training.optimizers import MixedPrecision, on_device
from training.ranks import ALONE, Alone
from training.run_state import load_state, state_of
from training.step_monitor import EpochSums, StepMonitor


@dataclass
class Run:
    """What is trained, with what, and how far it is. training.run_state writes and reads it."""

    network: GeoLocalizationNet
    optimizer: torch.optim.Optimizer
    heads: list[nn.Module]  # those of each group in turn, one or more
    head_optimizers: list[torch.optim.Optimizer]
    amp: MixedPrecision
    lr_factor: Callable[[int], float] = lambda step: 1.0  # what the network's learning rate is multiplied by at a step
    trained: nn.Module | None = None  # the compiled network, which has the network's parameters; None: itself
    pairs: PairLoss | None = None  # a loss over the pairs of a batch
    domain: nn.Module | None = None  # what domain adaptation adds
    domain_optimizer: torch.optim.Optimizer | None = None
    average: MovingAverage | None = None  # of the network, with --ema
    bad_images: BadImages | None = None
    head_weights: dict[str, float] = field(default_factory=lambda: {"": 1.0})  # of a group's heads in the loss, by name
    ranks: Alone = ALONE
    facts: dict[str, Any] = field(default_factory=dict)  # plain values that are written with the state

    epoch: int = 0  # epochs that are done, validation included
    iteration: int = 0  # steps of this epoch that are done
    best_recall1: float = -1.0  # percent; -1 before the first validation
    best_epoch: int = -1  # whose validation that was; -1 if it is not known
    epochs_since_best: int = 0  # that were validated
    is_whole: bool = True  # False within a step: no run can go on from such a state

    def __post_init__(self):
        if self.trained is None:  # a compiled network has no truth value
            self.trained = self.network
        self.scaler = self.amp.scaler
        self.monitor = StepMonitor(self.scaler)

    @property
    def seed(self) -> int:
        """The seed of all that is random in it."""
        return self.facts["seed"]

    @property
    def evaluated(self) -> GeoLocalizationNet:
        """The network that is validated, kept and tested."""
        return self.average.network if self.average else self.network

    def begin_epoch(self) -> None:
        """Makes the network ready for the epoch's steps that are left."""
        self.network.train()
        self.monitor.begin()

    @contextlib.contextmanager
    def training_groups(
        self, groups: Sequence[int], dataset: TrainDataset
    ) -> Iterator[dict[int, Objective | SumOfParts]]:
        """Yields the objective of each group. Heads and their optimizers' states are on the device meanwhile."""
        with contextlib.ExitStack() as stack:
            for group in groups:
                for head in self.heads_of(group):
                    stack.enter_context(on_device(self.heads[head], self.head_optimizers[head], self.amp.device))
            yield {group: self.ranks.objective(self, group, dataset) for group in groups}

    def heads_of(self, group: int) -> range:
        """The numbers of a group's heads: indices into heads and head_optimizers."""
        number = len(self.head_weights)
        return range(group * number, (group + 1) * number)

    @contextlib.contextmanager
    def step(self, batch: Batch) -> Iterator[None]:
        """A step, which no signal interrupts. What is random in it (stochastic depth) is a function of the batch."""
        with deferred_signals():
            self.is_whole = False
            torch.manual_seed(batch.seed)
            yield
            self.iteration += 1
            self.is_whole = True

    def set_learning_rates(self, step: int) -> None:
        """Sets the network's learning rate. Those of the heads stay: one that comes late has as much to learn."""
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = parameters["initial_lr"] * self.lr_factor(step)

    def backward_and_update(self, loss: torch.Tensor, group: int) -> None:
        """One step of Adam on the network, the group's heads, and what domain adaptation adds.

        loss: scalar, the sum of the objective's terms
        group: whose heads have a part in it
        """
        optimizers = self.optimizers_of(group)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.ranks.reduce_gradients(self, [self.heads[head] for head in self.heads_of(group)])
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        if self.average:
            self.average.update(self.network)

    def optimizers_of(self, group: int) -> list[torch.optim.Optimizer]:
        """The optimizers of a step: of the network, of the group's heads, and of what domain adaptation adds."""
        return [self.optimizer, *self._optimizers_of_heads(group), *filter(None, [self.domain_optimizer])]

    def learning_rates(self, group: int) -> list[float]:
        """The learning rates of optimizers_of(group); several heads have one."""
        optimizers = [self.optimizer, *self._optimizers_of_heads(group)[:1], *filter(None, [self.domain_optimizer])]
        return [optimizer.param_groups[0]["lr"] for optimizer in optimizers]

    def _optimizers_of_heads(self, group: int):
        # the scaler takes an optimizer that has nothing to update for an error
        return [self.head_optimizers[head] for head in self.heads_of(group) if not isinstance(self.heads[head], NoHead)]

    def state_dict(self) -> dict[str, Any]:
        """As training.run_state.state_of."""
        return state_of(self)

    def load(self, state: dict[str, Any], source: str, published_order: Callable[[int], np.ndarray]) -> None:
        """As training.run_state.load_state."""
        load_state(self, state, source, published_order)

    def take_recall1(self, recall1: float) -> bool:
        """Takes the R@1 of the epoch's validation, in percent. Returns whether it is the best so far."""
        is_best = recall1 > self.best_recall1
        if is_best:
            self.best_recall1, self.best_epoch = recall1, self.epoch
        self.epochs_since_best = 0 if is_best else self.epochs_since_best + 1
        return is_best

    def end_epoch(self) -> None:
        """Counts the epoch, after its validation."""
        self.epoch, self.iteration, self.monitor.sums = self.epoch + 1, 0, EpochSums()
