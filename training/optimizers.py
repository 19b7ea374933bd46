"""How a training step updates its parameters: Adam, learning rates, mixed precision."""

import contextlib
import math

import torch


def make_adam(module, lr, device):
    optimizer = torch.optim.Adam(module.parameters(), lr=lr, fused=device.type in ("cpu", "cuda"))
    for parameters in optimizer.param_groups:
        parameters["initial_lr"] = lr
    return optimizer


def lr_factor(name, steps, step):
    """What the network's learning rate is multiplied by at a step: 1 (constant, published), or a linear warm-up over
    the first twentieth of the run and then half a cosine down to 0.
    """
    if name == "constant":
        return 1.0
    warmup = max(1, steps // 20)
    return (
        min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * max(0, step - warmup) / max(1, steps - warmup)))
    )


class MixedPrecision:
    """Autocast and gradient scaling, or neither (float32): one loop serves both.

    dtype: torch.float32, or the 16-bit type that model.precision chose; device: torch.device.
    """

    def __init__(self, dtype, device):
        self.enabled, self.dtype, self.device = dtype != torch.float32, dtype, device
        # bfloat16 has float32's range: its gradients need no scaling
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)

    def autocast(self):
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.enabled)


@contextlib.contextmanager
def on_device(head, optimizer, device):
    """A head and its optimizer's state are on the device only while their group is trained."""

    def move(device):
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
