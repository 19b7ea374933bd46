"""Where windows, doors, shops and balconies of a wall are, for what is painted on it and what sticks out of it."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from demo_city.looks.dress import House, dress
from demo_city.seeds import random_for

DOOR_HEIGHT = 2.3
_BLANK = {"front": 0.04, "side": 0.3, "back": 0.2, "party": 0.85}  # share of the bays without windows


class Opening(NamedTuple):
    """A window. left, low, right, high: metres; storey, bay: which; kind: of dress.WINDOWS, None for the house's."""

    left: float
    low: float
    right: float
    high: float
    storey: int
    bay: int
    kind: str | None = None


class Layout:
    """The parts of a wall, in metres from its left end and from the ground.

    bays, pitch: how many windows stand side by side, and their distance
    windows: of all storeys
    door: left and right edge of the house's door, or None
    gates: left, right and height of garages and roller doors
    shops: left and right edge of each
    balconies: left, right and floor of each
    """

    def __init__(self, house: House, kind: str, length: float):
        self.house, self.look, self.kind, self.length = house, dress(house, 0), kind, length
        self.rng = rng = random_for(house.key, "layout", kind, round(length, 2))
        self.windows: list[Opening] = []
        self.door: tuple[float, float] | None = None
        self.gates: list[tuple[float, float, float]] = []
        self.shops: list[tuple[float, float]] = []
        self.balconies: list[tuple[float, float, float]] = []
        scheme = self.look.scheme
        wanted = {"shed": (4.5, 6.5), "church": (3.2, 4.5), "hall": (3.2, 4.5)}.get(scheme, (self.look.pitch,) * 2)
        fewer = rng.uniform(0.5, 1.0) if kind in ("side", "party") else 1.0
        self.bays = max(round(length / rng.uniform(*wanted) * fewer), 1)
        self.pitch = length / self.bays
        if scheme in ("shed", "church", "hall"):
            (self._shed if scheme == "shed" else self._hall)()
        else:
            self._ground_floor()
            self._grid()
            self._balconies()

    def _ground_floor(self) -> None:
        """Shops with a door up to the flats beside them, or a door and perhaps a garage."""
        house, rng, length, pitch = self.house, self.rng, self.length, self.pitch
        if self.look.shop and (self.kind == "front" or self.kind == "side" and house.key % 3 == 0):
            start = 0.0
            if self.kind == "front" and house.storeys > 1 and length > 5.5:
                self.door = 0.35, 1.3 if length < 9 else 1.9
                start = self.door[1] + 0.35
            edges = np.linspace(start, length, max(round((length - start) / rng.uniform(4.0, 8.5)), 1) + 1).tolist()
            self.shops = list(zip(edges[:-1], edges[1:], strict=True))
        elif self.kind == "front":
            at = int(rng.integers(self.bays)) if length < 14 else self.bays // 2
            half = min(rng.choice([0.5, 0.6, 0.85]), pitch * 0.42)
            self.door = (at + 0.5) * pitch - half, (at + 0.5) * pitch + half
            if "garage" in self.look.extras and self.bays > 1 and length > 6.5:
                left = 0.5 if self.door[0] > length / 2 else length - 3.2
                self.gates = [(left, left + 2.7, 2.2)]

    def _grid(self) -> None:
        """A row of windows in each storey."""
        house, look, pitch = self.house, self.look, self.pitch
        if look.scheme == "curtain" and self.kind != "party":
            return
        bays = np.flatnonzero(
            self.rng.random(self.bays) >= (0 if look.scheme == "loft" else _BLANK[self.kind])
        ).tolist()
        half, gap = min(pitch * look.share, 3.4) / 2, 0.0
        if look.scheme == "punched" and pitch > 2.3 and house.key % 5 == 0 and half > 0.5:
            gap = 0.08  # they stand in pairs
        if look.scheme in ("frame", "loft"):
            half = min(pitch * 0.82, 3.4) / 2
        for storey in range(house.storeys):
            z, room = house.floor(storey), house.storey_height if storey else house.ground_height
            low, high = z + room * look.rise, z + room * (look.rise + look.tall)
            if storey == 0:
                low, high = max(low, 0.8), min(max(low, 1.0) + house.storey_height * look.tall, room - 0.25)
            elif storey == 1 and house.key % 4 == 0:  # a main storey with taller windows
                high = min(high + 0.3, z + room - 0.25)
            if look.scheme == "ribbon" and self.kind != "party":
                self._add(Opening(0.35, z + room * 0.34, self.length - 0.35, z + room * 0.82, storey, 0, "ribbon"))
                continue
            if look.scheme in ("frame", "loft"):
                low, high = z + room * (0.14 if look.scheme == "frame" else 0.24), z + room * 0.86
            for bay in bays:
                middle = (bay + 0.5) * pitch
                if gap:
                    self._add(Opening(middle - half, low, middle - gap, high, storey, bay))
                self._add(Opening(middle + gap - half * (not gap), low, middle + half, high, storey, bay))

    def _add(self, window: Opening) -> None:
        """Adds a window, unless there is a shop, a door or a gate."""
        taken = [*self.shops, *([self.door] if self.door else ()), *(gate[:2] for gate in self.gates)]
        if window.storey or not any(window.left < b + 0.3 and window.right > a - 0.3 for a, b in taken):
            self.windows.append(window)

    def _balconies(self) -> None:
        house, bays, pitch, scheme = self.house, self.bays, self.pitch, self.look.scheme
        chosen: list[tuple[int, float, float]] = []  # the bays in the middle, and how far it reaches to both sides
        storeys = range(1, house.storeys)
        long = [((bays - 1) / 2, bays * pitch / 2 - 0.3)]
        if scheme == "loggia" and self.kind in ("front", "back"):
            wide = 1 if house.key % 2 else 2
            groups = [(b, min(b + wide, bays)) for b in range(0, bays, wide + 1)]
            chosen = long if house.key % 3 == 0 else [((a + b - 1) / 2, (b - a) * pitch / 2 - 0.15) for a, b in groups]
        elif scheme == "punched" and self.kind == "front" and self.look.balcony != "none":
            step = 2 + house.key % 2
            chosen = [(b, min(pitch * 0.46, 1.5)) for b in range(house.key // 8 % step, bays, step)]
            if house.key % 4 == 0 and house.storeys > 2:  # one long balcony
                chosen, storeys = long, [1 + house.key // 4 % (house.storeys - 1)]
        spans = [((bay + 0.5) * pitch - half, (bay + 0.5) * pitch + half) for bay, half in chosen]
        self.balconies = [(*span, house.floor(storey)) for storey in storeys for span in spans]

    def _shed(self) -> None:
        """A shed: roller doors, a small door, and a strip of windows under the eaves."""
        rng, pitch, top = self.rng, self.pitch, self.house.height
        for left in (np.arange(self.bays) * pitch).tolist() if self.kind in ("front", "back") else ():
            if rng.random() < 0.55 and pitch > 3.6:
                half = min(pitch * 0.4, rng.uniform(1.5, 2.2))
                self.gates.append(
                    (left + pitch / 2 - half, left + pitch / 2 + half, min(top * 0.7, rng.uniform(3.0, 4.5)))
                )
            elif self.kind == "front":
                self.door = self.door or (left + 0.3 * pitch, left + 0.3 * pitch + 0.95)
        if self.kind != "party" and top > 4.5 and rng.random() < 0.75:
            low, edges = top * rng.uniform(0.74, 0.8), np.arange(self.bays) * pitch
            self.windows = [
                Opening(x + 0.4, low, x + pitch - 0.4, top - 0.5, 1, n, "loft") for n, x in enumerate(edges)
            ]

    def _hall(self) -> None:
        """A church or hall: one row of tall windows, a door in the middle of the front."""
        pitch, top, middle = self.pitch, self.house.height, self.bays // 2
        half = min(pitch * 0.24, 1.1)
        window = "arched" if self.look.scheme == "church" or self.house.key % 2 else "georgian"
        for bay in range(self.bays) if self.kind != "party" else ():
            x, door = (bay + 0.5) * pitch, self.kind == "front" and bay == middle
            self.door = (x - 1.0, x + 1.0) if door and pitch > 2.4 else self.door
            low, high, wide = (0.55, 0.78, half * 1.4) if door else (0.32, 0.72, half)
            if not door or top > 7:
                self.windows.append(Opening(x - wide, top * low, x + wide, top * high, 1, bay, window))


@lru_cache(4096)
def layout(house: House, kind: str, length: float) -> Layout:
    """The parts of a wall; kind: "front", "side", "party" or "back"; length: metres."""
    return Layout(house, kind, length)
