"""The pictures on the faces: what a district declares, and what is drawn when it comes into sight."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Texture:
    """A picture that can be drawn at any time, and always comes out the same.

    width, height: texels, at most 1024
    paint: draws it: version -> uint8 (height, width, 4), red, green, blue, alpha; row 0 is at the top
    version: (year, season) -> what distinguishes the picture then; equal versions are one picture. Seasons are
        "spring", "summer", "autumn" and "winter"
    """

    width: int
    height: int
    paint: Callable[[Hashable], np.ndarray]
    version: Callable[[int, str], Hashable] = lambda year, season: 0


class TextureTable:
    """All textures of a district. Faces refer to them by index."""

    def __init__(self) -> None:
        self.textures: list[Texture] = []
        self._known: dict[Hashable, int] = {}

    def index(self, key: Hashable, make: Callable[[], Texture]) -> int:
        """The index of the texture with this key, which is declared at its first use."""
        if key not in self._known:
            self._known[key] = len(self.textures)
            self.textures.append(make())
        return self._known[key]
