"""How a training step updates its parameters: Adam, learning rates, mixed precision."""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import nn

from model.last_layer import find_last_layer


def make_adam(module: nn.Module, lr: float, device: torch.device, fc_lr: float | None = None) -> torch.optim.Adam:
    """Adam over all parameters of a module, which knows its first learning rates as `initial_lr`.

    module: whose parameters are trained
    lr: learning rate
    device: where they are
    fc_lr: of a GeoLocalizationNet's last layer, which then is a parameter group of its own; None: as the others
    """
    groups = [{"params": list(module.parameters()), "initial_lr": lr}]
    if fc_lr is not None:
        last = list(find_last_layer(module).parameters())
        # the module's last parameters: so each has the same number in a state_dict as with one group
        groups[0]["params"] = groups[0]["params"][: -len(last)]
        groups.append({"params": last, "lr": fc_lr, "initial_lr": fc_lr})
    return torch.optim.Adam(groups, lr=lr, fused=device.type in ("cpu", "cuda"))


def lr_factor(name: str, steps: int, step: int) -> float:
    """The factor on the network's learning rate at a step.

    name: "constant" (1, published) or "cosine": a linear warm-up over the first twentieth of the run, then half a
    cosine down to 0
    steps: of the whole run
    step: 0 to steps - 1
    """
    if name == "constant":
        return 1.0
    warmup = max(1, steps // 20)
    progress = max(0, step - warmup) / max(1, steps - warmup)  # 0 to 1, after the warm-up
    return min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * progress))


class MixedPrecision:
    """Autocast and gradient scaling, or neither (float32): one loop serves both.

    dtype: torch.float32, or the 16-bit type that model.precision chose
    device: where the network is trained
    """

    def __init__(self, dtype: torch.dtype, device: torch.device):
        self.enabled, self.dtype, self.device = dtype != torch.float32, dtype, device
        # bfloat16 has float32's range: its gradients need no scaling
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)

    def autocast(self) -> torch.autocast:
        """The context that a forward pass runs in."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.enabled)


@contextlib.contextmanager
def on_device(head: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> Iterator[None]:
    """Within it, a head and its optimizer's state are on the device: only while their group is trained."""

    def move(device: torch.device | str) -> None:
        head.to(device)
        for state in optimizer.state.values():
            for key, value in state.items():
                if isinstance(value, torch.Tensor) and (key != "step" or optimizer.defaults["fused"]):
                    state[key] = value.to(device)

    move(device)
    try:
        yield
    finally:
        optimizer.zero_grad(set_to_none=True)
        move("cpu")
