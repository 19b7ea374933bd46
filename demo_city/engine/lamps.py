"""What shines on its surroundings at night."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

ROUND = 0  # shines to all sides: a shop window, a lantern
DOWN = 1  # a street lamp: shines below itself
BEAM = 2  # a headlight: shines in its direction
_REACH = 30.0  # metres, of a street lamp


@dataclass
class Lamps:
    """k lamps."""

    positions: np.ndarray = ()  # float32 (k, 3), metres
    colours: np.ndarray = ()  # float32 (k, 3), about 1
    power: np.ndarray = ()  # float32 (k,), 1 for a street lamp at a height of 6 m
    kind: np.ndarray = ()  # uint8 (k,), ROUND, DOWN or BEAM
    directions: np.ndarray | None = None  # float32 (k, 3), unit vectors of beams, zeros for all others

    def __post_init__(self) -> None:
        if self.directions is None:
            self.directions = np.zeros((len(self.power), 3))
        for name in ("positions", "colours", "directions"):
            setattr(self, name, np.asarray(getattr(self, name), np.float32).reshape(-1, 3))
        self.power, self.kind = np.asarray(self.power, np.float32), np.asarray(self.kind, np.uint8)

    def reach(self) -> np.ndarray:
        """How far their light goes: (k,), metres."""
        return _REACH * np.sqrt(np.clip(self.power, 0.05, 4)) * np.where(self.kind == BEAM, 1.6, 1.0)

    def table(self) -> np.ndarray:
        """What kernels read: float32 (k, 11), positions, colours times power, directions, kind, 1 / reach ** 2."""
        coloured = self.colours * self.power[:, None]
        table = [self.positions, coloured, self.directions, self.kind, 1 / np.square(self.reach())]
        return np.column_stack(table).astype(np.float32)

    @staticmethod
    def joined(parts: "Sequence[Lamps]") -> "Lamps":
        """All lamps of some collections in one."""
        parts = parts or [Lamps()]
        return Lamps(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Lamps)))
