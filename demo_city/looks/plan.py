"""Houses: what all walls of one share, and where windows, doors, shops and balconies of a wall are."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from demo_city.looks.canvas import jitter, mixed, pick, shade, table
from demo_city.seeds import choose, random_for, weights
from demo_city.styles import style

DOOR_HEIGHT = 2.3
_BLANK = {"front": 0.04, "side": 0.3, "back": 0.2, "party": 0.85}  # share of the bays without windows
_BODIES = {"shed": "corrugated 4 panels 2 brick 1", "church": "ashlar 3 rubble 2 brick 3 plaster 2"}
_RURAL = ("rubble", "timber", "clapboard", "boards", "shingle")
_PAINTED = ("plaster", "whitewash", "roughcast", "clapboard", "boards", "concrete", "timber")
_ROOFS = {"flat": "felt", "sawtooth": "seams", "shed": "seams"}
_LARGE_USES = ("warehouse", "hall", "church")


@dataclass(frozen=True)
class House:
    """What painters know of a building."""

    key: int  # decides everything that is random
    style: str  # of styles.STYLES
    use: str  # "home", "flats", "shop", "office", "tower", "warehouse", "hall" or "church"
    storeys: int
    ground_height: float  # of the ground floor, m
    storey_height: float  # and of the others
    roof: str  # "flat", "gable", "hip", "mansard", "shed" or "sawtooth"

    @property
    def height(self) -> float:
        """The eaves above its ground, m."""
        return self.ground_height + (self.storeys - 1) * self.storey_height + 0.4

    def floor(self, storey: int) -> float:
        """The floor of a storey above the ground, m."""
        return 0.0 if storey == 0 else self.ground_height + (storey - 1) * self.storey_height


class Dress:
    """The lasting choices of a house, and its present paint; painted: how often it was painted."""

    def __init__(self, house: House, painted: int):
        rng, paint = random_for(house.key, "dress"), random_for(house.key, "paint", painted)
        own = style(house.style)["look"]
        look, schemes = table("look") | own, table("look")["schemes"] | own.get("schemes", {})
        self.scheme = choose(rng, schemes.get(house.use, schemes["any"]))
        self.material = choose(rng, _BODIES.get(self.scheme, look["materials"]))
        if self.scheme in ("curtain", "frame", "ribbon", "loft") and self.material in _RURAL:
            self.material = "brick" if self.scheme == "loft" else "concrete"
        options = look["colours"].get(self.material, self.material)
        once = paint if self.material in _PAINTED else rng  # what is not painted keeps its colour
        wall = jitter(once, pick(once, options), 6)
        self.wall = mixed(wall, (sum(wall) // 3,) * 3, once.uniform(0.0, 0.35))  # faded
        trim = random_for(house.key, "trim")
        self.trim = pick(trim, "trim")  # light on brick and dark paint, else a tone of the wall
        if self.material not in ("brick", "stock", "clapboard", "shingle") and sum(self.wall) >= 380:
            self.trim = mixed(self.trim, shade(self.wall, trim.choice([0.86, 1.08])), 0.6)
        self.extras = {name for name, chance in weights(look["extras"]).items() if rng.random() < chance}
        self.base = None  # colour of the ground floor, where it differs
        if "two_tone" in self.extras:
            self.base = jitter(paint, pick(paint, options + " white"), 6)
        elif "dark_ground" in self.extras:
            self.base = mixed(self.wall, (84, 80, 76), rng.uniform(0.4, 0.8))
        self.frame = pick(paint, look["frames"])
        self.door = jitter(paint, pick(paint, "vivid" if rng.random() < 0.2 else "doors"), 8)
        self.shutters = mixed(pick(paint, "vivid"), (110, 110, 104), 0.35)
        self.roof = _ROOFS.get(house.roof) or choose(rng, look["roofs"])
        self.roof_colour = jitter(rng, pick(rng, self.roof), 6)
        self.window = choose(rng, look["windows"])
        rise, tall, share = table("windows")[self.window][:3]
        self.pitch = rng.uniform(1.9, 3.3) * (1.35 if share > 0.5 else 1.0)  # distance of the windows, m
        self.share = min(share * rng.uniform(0.85, 1.2), 0.8)  # width of a window in its bay
        self.rise, self.tall = rise * rng.uniform(0.9, 1.1), tall * rng.uniform(0.9, 1.12)
        surround = str(rng.choice(["none", "none", "frame", "lintel", "hood", "brick"]))
        self.surround = "frame" if self.window == "arched" else surround
        self.sill = rng.random() < 0.8
        # whether windows lie back in the wall
        self.deep = self.material not in ("clapboard", "panels", "corrugated") and rng.random() < 0.85
        lived_in = house.use in ("home", "flats", "shop")
        self.balcony = choose(rng, look["balconies"]) if lived_in or house.use == "tower" else "none"
        self.curtains = rng.uniform(0.3, 1.0) if lived_in else rng.uniform(0.0, 0.5)  # share of the windows
        self.grime = rng.uniform(*look["grime"])  # 0 clean to 1
        self.script = choose(rng, look["scripts"])  # of its signs
        self.shop = house.use == "shop" or house.use not in _LARGE_USES and rng.random() < look["shop"]


dress = lru_cache(4096)(Dress)


class Opening(NamedTuple):
    """A window, metres; kind: of the table of windows, None for the house's."""

    left: float
    low: float
    right: float
    high: float
    storey: int
    kind: str | None = None


class Layout:
    """The parts of a wall, in metres from its left end and from the ground; kind: "front", "side", "party" or "back".

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
        self.windows, self.door, self.gates, self.shops, self.balconies = [], None, [], [], []
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
            if self.kind == "front" and house.storeys > 1 and length > 5.5:
                self.door = 0.35, 1.3 if length < 9 else 1.9
            start = self.door[1] + 0.35 if self.door else 0.0
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
        house, look, pitch, scheme = self.house, self.look, self.pitch, self.look.scheme
        if scheme == "curtain" and self.kind != "party":
            return
        bays = np.flatnonzero(self.rng.random(self.bays) >= (0 if scheme == "loft" else _BLANK[self.kind])).tolist()
        half = min(pitch * (0.82 if scheme in ("frame", "loft") else look.share), 3.4) / 2
        taken = [*self.shops, *([self.door] if self.door else ()), *(gate[:2] for gate in self.gates)]
        for storey in range(house.storeys):
            z, room = house.floor(storey), house.storey_height if storey else house.ground_height
            low, high = z + room * look.rise, z + room * (look.rise + look.tall)
            if scheme in ("frame", "loft"):
                low, high = z + room * (0.14 if scheme == "frame" else 0.24), z + room * 0.86
            elif storey == 0:
                low, high = max(low, 0.8), min(max(low, 1.0) + house.storey_height * look.tall, room - 0.25)
            elif storey == 1 and house.key % 4 == 0:  # a main storey with taller windows
                high = min(high + 0.3, z + room - 0.25)
            window, spans = None, [((bay + 0.5) * pitch - half, (bay + 0.5) * pitch + half) for bay in bays]
            if scheme == "ribbon" and self.kind != "party":
                low, high, window, spans = z + room * 0.34, z + room * 0.82, "ribbon", [(0.35, self.length - 0.35)]
            for left, right in spans:  # on the ground not where there is a shop, a door or a gate
                if storey or not any(left < b + 0.3 and right > a - 0.3 for a, b in taken):
                    self.windows.append(Opening(left, low, right, high, storey, window))

    def _balconies(self) -> None:
        house, bays, pitch, scheme = self.house, self.bays, self.pitch, self.look.scheme
        step, half, storeys = 2 + house.key % 2, min(pitch * 0.46, 1.5), range(1, house.storeys)
        spans = [((b + 0.5) * pitch - half, (b + 0.5) * pitch + half) for b in range(house.key // 8 % step, bays, step)]
        if scheme == "loggia":
            starts = np.arange(0, bays, step) * pitch
            spans = [(x + 0.15, min(x + (step - 1) * pitch, self.length) - 0.15) for x in starts.tolist()]
        if house.key % 4 == 0:  # one long balcony
            spans = [(0.3, self.length - 0.3)]
        if self.kind == "front" and (scheme == "loggia" or scheme == "punched" and self.look.balcony != "none"):
            self.balconies = [(*span, house.floor(storey)) for storey in storeys for span in spans]

    def _shed(self) -> None:
        """A shed: roller doors, a small door, and a strip of windows under the eaves."""
        rng, pitch, top, lefts = self.rng, self.pitch, self.house.height, (np.arange(self.bays) * self.pitch).tolist()
        for left in lefts if self.kind in ("front", "back") else ():
            if rng.random() < 0.55 and pitch > 3.6:
                side, high = max(pitch * 0.1, pitch / 2 - 2.2), min(top * 0.7, rng.uniform(3.0, 4.5))
                self.gates.append((left + side, left + pitch - side, high))
            elif self.kind == "front":
                self.door = self.door or (left + 0.3 * pitch, left + 0.3 * pitch + 0.95)
        if self.kind != "party" and top > 4.5 and rng.random() < 0.75:
            low = top * rng.uniform(0.74, 0.8)
            self.windows = [Opening(x + 0.4, low, x + pitch - 0.4, top - 0.5, 1, "loft") for x in lefts]

    def _hall(self) -> None:
        """A church or hall: one row of tall windows, a door in the middle of the front."""
        pitch, top, middle = self.pitch, self.house.height, self.bays // 2
        window = "arched" if self.look.scheme == "church" or self.house.key % 2 else "georgian"
        for bay in range(self.bays) if self.kind != "party" else ():
            x, half, low = (bay + 0.5) * pitch, min(pitch * 0.24, 1.1), 0.32
            if bay == middle and self.kind == "front":
                self.door, low = (x - min(1.0, pitch * 0.4), x + min(1.0, pitch * 0.4)), 0.55
            if low < 0.5 or top > 7:
                self.windows.append(Opening(x - half, top * low, x + half, top * 0.74, 1, window))


layout = lru_cache(4096)(Layout)
