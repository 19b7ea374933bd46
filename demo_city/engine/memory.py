"""Textures in memory: painted when they come into sight, with smaller and smaller copies for the distance."""

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np

from demo_city.engine.jit import kernel, part
from demo_city.engine.textures import TextureTable

LEVELS = 8
_SLOTS = 1 << 15


class Texels(NamedTuple):
    """What kernels read.

    texels: uint8 (n, 4), of all textures
    first: int64 (slots, LEVELS), where each level of a texture begins
    size: int32 (slots, 2), width and height of the first level; each further one has half of it, rounded up
    """

    texels: np.ndarray
    first: np.ndarray
    size: np.ndarray


class TextureMemory:
    """Holds the textures that were seen last, of all scenes of a process.

    megabytes: of texels at most, unless one view needs more
    """

    def __init__(self, megabytes: int = 256):
        self._room = megabytes << 18
        self._texels = np.empty((self._room, 4), np.uint8)
        self._first = np.zeros((_SLOTS, LEVELS), np.int64)
        self._size = np.zeros((_SLOTS, 2), np.int32)
        self._slots: dict[Hashable, int] = {}  # least recently used first
        self._vacant = list(range(_SLOTS - 1, -1, -1))
        self._used = 0
        self.epoch = 0  # grows when slots that were told before are no longer valid
        self.painted = 0  # textures so far

    @property
    def arrays(self) -> Texels:
        """The arrays as they are now."""
        return Texels(self._texels, self._first, self._size)

    def slots(self, table: TextureTable, wanted: Iterable[tuple[int, Hashable, bool]]) -> list[int]:
        """The slots of some textures, which are painted if they are not there.

        table: of the textures
        wanted: of each its index, its version, and whether alpha says what is there; textures that are asked for in
            one call stay together, others may have to go
        """
        keys = [(table, index, version, cutout) for index, version, cutout in wanted]
        for key in keys:
            if key in self._slots:
                self._slots[key] = self._slots.pop(key)
        for key in keys:
            if key not in self._slots:
                self._add(key, set(keys))
        return [self._slots[key] for key in keys]

    def _add(self, key: tuple, keep: set) -> None:
        table, index, version, cutout = key
        texture = table.textures[index]
        picture = np.ascontiguousarray(texture.paint(version), np.uint8).reshape(-1, 4)
        sizes = [(-(-texture.width // (1 << level)), -(-texture.height // (1 << level))) for level in range(LEVELS)]
        counts = [w * h for w, h in sizes]
        if self._used + sum(counts) > len(self._texels) or not self._vacant:
            self._make_room(sum(counts), keep)
        slot = self._vacant.pop()
        self._first[slot] = self._used + np.cumsum([0, *counts[:-1]])
        self._size[slot] = sizes[0]
        self._texels[self._used : self._used + counts[0]] = picture
        _halve(self._texels, self._first[slot], texture.width, texture.height, cutout)
        self._used += sum(counts)
        self._slots[key] = slot
        self.painted += 1

    def _make_room(self, count: int, keep: set) -> None:
        """Drops what was used least recently until half is free, and moves the rest together."""
        self.epoch += 1
        kept, room = [], len(self._texels) // 2
        for key, slot in reversed(self._slots.items()):
            texels = self._extent(slot)
            if key in keep or (room >= texels and len(kept) < _SLOTS // 2):
                kept.append((key, slot))
                room -= texels
        dropped = set(self._slots.values()) - {slot for _, slot in kept}
        self._vacant += sorted(dropped)
        self._slots = dict(reversed(kept))
        needed = sum(self._extent(slot) for _, slot in kept) + count
        texels = np.empty((max(self._room, 2 * needed), 4), np.uint8)
        self._used = 0
        for _, slot in kept:
            begin, size = int(self._first[slot, 0]), self._extent(slot)
            texels[self._used : self._used + size] = self._texels[begin : begin + size]
            self._first[slot] += self._used - begin
            self._used += size
        self._texels = texels

    def _extent(self, slot: int) -> int:
        width, height = (int(side) for side in self._size[slot])
        return sum(-(-width // (1 << level)) * -(-height // (1 << level)) for level in range(LEVELS))


@kernel
def _halve(texels: np.ndarray, first: np.ndarray, width: int, height: int, cutout: bool) -> None:
    """Fills the levels after the first, each by means of 2 x 2 texels of the one before."""
    solid = 0
    for k in range(first[0], first[0] + width * height):
        solid += texels[k, 3] > 127
    share = solid / (width * height)
    total, counts = np.empty(4, np.int64), np.empty(256, np.int64)
    sizes = np.empty((LEVELS, 2), np.int64)
    sizes[0, 0], sizes[0, 1] = width, height
    for level in range(1, LEVELS):
        w, h = (width + 1) // 2, (height + 1) // 2
        sizes[level, 0], sizes[level, 1] = w, h
        counts[:] = 0
        for y in range(h):
            for x in range(w):
                total[:] = 0
                weights = 0
                out = first[level] + y * w + x
                for dy in range(2):
                    row = first[level - 1] + min(2 * y + dy, height - 1) * width
                    for dx in range(2):
                        texel = texels[row + min(2 * x + dx, width - 1)]
                        weight = np.int64(texel[3]) + 1 if cutout else 1
                        weights += weight
                        for c in range(3):
                            total[c] += weight * texel[c]
                        total[3] += texel[3]
                for c in range(3):
                    texels[out, c] = (total[c] + weights // 2) // weights
                # an index is none that can be averaged: that of one of the four
                source = first[level - 1] + min(2 * y + (x & 1), height - 1) * width + min(2 * x + (y & 1), width - 1)
                texels[out, 3] = (total[3] + 2) // 4 if cutout else texels[source, 3]
                counts[texels[out, 3]] += 1
        if cutout and share > 0:
            _keep_share(texels, first[level], w * h, counts, share)
        width, height = w, h
    if cutout:
        _spread(texels, first, sizes)


@part
def _keep_share(texels: np.ndarray, first: int, count: int, counts: np.ndarray, share: float) -> None:
    """Scales alpha so that as much as in the first level is above 127: leaves don't vanish in the distance."""
    above, limit = 0, 255
    while limit > 1 and above + counts[limit] <= share * count + 0.5:
        above += counts[limit]
        limit -= 1
    for k in range(first, first + count):
        texels[k, 3] = min(texels[k, 3] * 127 // limit, 255)


@part
def _spread(texels: np.ndarray, first: np.ndarray, sizes: np.ndarray) -> None:
    """Gives texels where nothing is the colour of what is near them, which is seen at the edges."""
    for level in range(LEVELS - 2, -1, -1):
        width, height = sizes[level]
        for y in range(height):
            for x in range(width):
                k = first[level] + y * width + x
                if texels[k, 3] == 0:
                    for c in range(3):
                        texels[k, c] = texels[first[level + 1] + (y // 2) * sizes[level + 1, 0] + x // 2, c]
