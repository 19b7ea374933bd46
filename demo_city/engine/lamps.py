"""What shines on its surroundings at night."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

ROUND = 0  # shines to all sides: a shop window, a lantern
DOWN = 1  # a street lamp: shines below itself
BEAM = 2  # a headlight: shines in its direction


@dataclass
class Lamps:
    """k lamps.

    positions: float32 (k, 3), metres
    colours: float32 (k, 3), about 1
    power: float32 (k,), 1 for a street lamp at a height of 6 m
    kind: uint8 (k,), ROUND, DOWN or BEAM
    directions: float32 (k, 3), unit vectors of beams, zeros for all others
    """

    positions: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    colours: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    power: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    kind: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    directions: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.positions)
        self.positions = np.asarray(self.positions, np.float32).reshape(count, 3)
        self.colours = np.asarray(self.colours, np.float32).reshape(count, 3)
        self.power = np.asarray(self.power, np.float32)
        self.kind = np.asarray(self.kind, np.uint8)
        if self.directions is None:
            self.directions = np.zeros((count, 3))
        self.directions = np.asarray(self.directions, np.float32).reshape(count, 3)

    @staticmethod
    def joined(parts: "Sequence[Lamps]") -> "Lamps":
        """All lamps of some collections in one."""
        if not parts:
            return Lamps()
        names = ("positions", "colours", "power", "kind", "directions")
        return Lamps(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
