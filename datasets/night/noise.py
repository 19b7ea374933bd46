"""Gaussian noise as a function of (key, position): the same on every device and for every batch.

A generator's numbers depend on the device and on previous draws. Drawing on the CPU and copying would take longer than
the rest of the night on a GPU. A counter-based hash avoids both.
"""

import math
from collections.abc import Sequence

import torch

_WEYL = -1640531527  # 2^32 / golden ratio
_ROUNDS = (
    (17, 0xED5AD4BB - 2**32),
    (11, 0xAC4C1B51 - 2**32),
    (15, 0x31848BAB),
    (14, 1),
)  # Wellons' triple32: shifts and multipliers


def sample_keys(count: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draws keys: int32 (count, 2); generator: on the CPU."""
    return torch.randint(-(2**31), 2**31, (count, 2), generator=generator).to(torch.int32)


def gaussian_noise(keys: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Computes standard normal noise: float32 (B, *shape); keys: int32 (B, 2), on the device of the result."""
    half = -(-math.prod(shape) // 2)
    uniform = _hash(keys, 2 * half).bitwise_and_(0x7FFFFFFF).float().add_(0.5).mul_(2.0**-31)  # in (0, 1]
    radius, turn = uniform[:, :half], uniform[:, half:].mul_(2 * math.pi)
    radius = radius.log_().mul_(-2).sqrt_()  # Box and Muller: two normal numbers of two uniform ones
    noise = torch.empty_like(uniform)
    torch.mul(radius, torch.cos(turn), out=noise[:, :half])
    torch.mul(radius, torch.sin(turn), out=noise[:, half:])
    return noise[:, : math.prod(shape)].reshape(len(keys), *shape)


def _hash(keys: torch.Tensor, count: int) -> torch.Tensor:
    """32 random bits for each position: int32 (B, count). Products wrap around."""
    first, second = keys.unsqueeze(-1).unbind(1)  # (B, 1) each
    bits = torch.arange(count, dtype=torch.int32, device=keys.device).mul_(_WEYL) + first
    shifted = torch.empty_like(bits)
    for round_, (shift, multiplier) in enumerate(_ROUNDS):
        torch.bitwise_right_shift(bits, shift, out=shifted)
        shifted.bitwise_and_(2 ** (32 - shift) - 1)  # clears the sign bits that were shifted in
        bits.bitwise_xor_(shifted).mul_(multiplier)
        if round_ == 0:
            bits.bitwise_xor_(second)  # so that keys with the same first word share no part of their sequences
    return bits
