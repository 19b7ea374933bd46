"""A moving average of a network's weights, for training that ends before the weights have settled."""

import copy
from typing import Any

from torch.optim.swa_utils import get_ema_multi_avg_fn

from model.network import GeoLocalizationNet


class MovingAverage:
    """An exponential moving average of a network over its steps, which is validated, kept and tested in its place.

    The running statistics of batch norms are averaged as the weights are, and counters are copied. The decay of step t
    is min(decay, t / (9 + t)). So the first step copies the network, and a run of few steps does not remember how it
    began.

    network: that is trained, on its device
    decay: from 0 to below 1
    """

    def __init__(self, network: GeoLocalizationNet, decay: float):
        self.network, self.decay, self.steps = copy.deepcopy(network), decay, 0

    def update(self, network: GeoLocalizationNet) -> None:
        """Takes the network as it is after a step."""
        decay = min(self.decay, self.steps / (9 + self.steps))
        self.steps += 1
        pairs = list(zip(self.network.state_dict().values(), network.state_dict().values(), strict=True))
        averages, currents = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        get_ema_multi_avg_fn(decay)(list(averages), list(currents), None)
        for average, current in pairs:
            if not average.is_floating_point():
                average.copy_(current)

    def state_dict(self) -> dict[str, Any]:
        """{"steps": number, "network": state_dict of the average}."""
        return {"steps": self.steps, "network": self.network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what state_dict gave. Raises KeyError, RuntimeError or TypeError if it is something else."""
        self.network.load_state_dict(state["network"])
        self.steps = int(state["steps"])
