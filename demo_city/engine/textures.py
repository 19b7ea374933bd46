"""The pictures on the faces: what a district declares, is painted when it comes into sight, and stays in memory."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

LEVELS = 8
_SLOTS = 1 << 15
_MARGIN = 1 << 11  # texels; smoothing may read a row beyond the last one


@dataclass(frozen=True)
class Texture:
    """A picture that can be drawn at any time, and always comes out the same."""

    width: int  # texels, at most 1024
    height: int
    paint: Callable[[Hashable], np.ndarray]  # draws it: version -> uint8 (height, width, 4), RGBA, row 0 at the top
    # (year, season) -> what distinguishes the picture then; equal versions are one picture
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


class Texels(NamedTuple):
    """What kernels read."""

    texels: np.ndarray  # uint8 (n, 4), of all textures
    levels: np.ndarray  # int64 (slots, LEVELS, 4), where each level of a texture begins, its width, height, and texels
    slots: np.ndarray  # int32, of each texture of a district: its slot; -1: not in memory


class TextureMemory:
    """Holds the textures that were seen last, of all scenes of a process.

    megabytes: of texels at most, unless one view needs more
    """

    def __init__(self, megabytes: int = 256):
        self._room = megabytes << 18
        self._texels = np.empty((self._room + _MARGIN, 4), np.uint8)
        self._levels = np.zeros((_SLOTS, LEVELS, 4), np.int64)
        self._slots: dict[Hashable, int] = {}  # least recently used first
        self._vacant = list(range(_SLOTS - 1, -1, -1))
        self._used = 0
        self.epoch = 0  # grows when slots that were told before are no longer valid

    def seen_by(self, slots: np.ndarray) -> Texels:
        """The arrays as they are now, with the slots of a district's textures."""
        return Texels(self._texels, self._levels, slots)

    def slots(self, table: TextureTable, wanted: Iterable[tuple[int, Hashable, bool]]) -> list[int]:
        """The slots of some textures of a table, which are painted if they are not there; others may have to go.

        wanted: of each its index, its version, and whether alpha says what is there
        """
        keys = [(table, *one) for one in wanted]
        for key in keys:
            if key in self._slots:
                self._slots[key] = self._slots.pop(key)
        for key in keys:
            if key not in self._slots:
                self._add(key, set(keys))
        return [self._slots[key] for key in keys]

    def _add(self, key: tuple, keep: set) -> None:
        table, index, version, cutout = key
        levels = smaller_copies(np.array(table.textures[index].paint(version), np.uint8), cutout)
        counts = [level.shape[0] * level.shape[1] for level in levels]
        if self._used + sum(counts) > self._room or not self._vacant:
            self._make_room(sum(counts), keep)
        self._slots[key] = slot = self._vacant.pop()
        for n, (level, count) in enumerate(zip(levels, counts, strict=True)):
            self._levels[slot, n] = self._used, level.shape[1], level.shape[0], count
            self._texels[self._used : self._used + count] = level.reshape(-1, 4)
            self._used += count

    def _make_room(self, count: int, keep: set) -> None:
        """Drops what was used least recently until half is free, and moves the rest together."""
        self.epoch += 1
        kept, left = {}, self._room // 2
        for key, slot in reversed(self._slots.items()):
            size = self._levels[slot, :, 3].sum()
            if key in keep or (left >= size and len(kept) < _SLOTS // 2):
                kept[key] = slot
                left -= size
        self._vacant += sorted(set(self._slots.values()) - set(kept.values()))
        self._slots = dict(reversed(kept.items()))
        sizes = {slot: int(self._levels[slot, :, 3].sum()) for slot in kept.values()}
        self._room = max(self._room, 2 * (sum(sizes.values()) + count))
        former, self._texels, self._used = self._texels, np.empty((self._room + _MARGIN, 4), np.uint8), 0
        for slot, size in sizes.items():
            begin = self._levels[slot, 0, 0]
            self._texels[self._used : self._used + size] = former[begin : begin + size]
            self._levels[slot, :, 0] += self._used - begin
            self._used += size


def smaller_copies(picture: np.ndarray, cutout: bool) -> list[np.ndarray]:
    """The LEVELS of a picture, uint8 (height, width, 4) each; cutout: whether alpha says what is there."""
    levels = [picture]
    solid = (picture[..., 3] > 127).mean()
    for _ in range(1, LEVELS):
        image = Image.fromarray(levels[-1], "RGBA")
        if cutout:
            small = np.array(image.convert("RGBa").reduce(2).convert("RGBA"))
            # as much as in the first level is above 127: leaves don't vanish in the distance
            ranked = np.sort(small[..., 3], axis=None)[::-1]
            limit = max(int(ranked[min(int(solid * ranked.size + 0.5), ranked.size - 1)]), 1)
            small[..., 3] = np.minimum(small[..., 3] * np.int64(127) // limit, 255)
        else:
            small = np.array(Image.fromarray(levels[-1][..., :3]).reduce(2))
            # an index is none that can be averaged: that of one of the four
            small = np.dstack([small, levels[-1][::2, ::2, 3]])
        levels.append(small)
    for fine, coarse in zip(levels[-2::-1], levels[:0:-1], strict=True) if cutout else ():
        # what is not there gets the colour of what is near it, which is seen at the edges
        near = coarse.repeat(2, 0).repeat(2, 1)[: len(fine), : fine.shape[1], :3]
        fine[..., :3] = np.where(fine[..., 3:] == 0, near, fine[..., :3])
    return levels
