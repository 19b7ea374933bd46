"""Where windows, doors, shops and balconies of a wall are, for what is painted on it and what sticks out of it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from demo_city.looks.dress import Dress, House, dress
from demo_city.seeds import random_for

DOOR_HEIGHT = 2.3


@dataclass(frozen=True)
class Opening:
    """A window. left, low, right, high: metres; storey, bay: which; kind: None for that of the house."""

    left: float
    low: float
    right: float
    high: float
    storey: int
    bay: int
    kind: str | None = None


@dataclass(frozen=True)
class Layout:
    """The parts of a wall, in metres from its left end and from the ground.

    bays, pitch: how many windows stand side by side, and their distance
    windows: of all storeys
    door: left and right edge of the house's door, or None
    gates: left, right and height of garages and roller doors
    shops: left and right edge of each
    balconies: left, right and floor of each
    """

    bays: int
    pitch: float
    windows: tuple[Opening, ...]
    door: tuple[float, float] | None
    gates: tuple[tuple[float, float, float], ...]
    shops: tuple[tuple[float, float], ...]
    balconies: tuple[tuple[float, float, float], ...]


@lru_cache(4096)
def layout(house: House, kind: str, length: float) -> Layout:
    """The parts of a wall; kind: "front", "side", "party" or "back"; length: metres."""
    look, rng = dress(house, 0), random_for(house.key, "layout", kind, round(length, 2))
    bays = max(round(length / look.pitch), 1)
    if kind in ("side", "party"):
        bays = max(round(length / look.pitch * rng.uniform(0.5, 1.0)), 1)
    pitch = length / bays
    if look.scheme == "shed":
        return _shed(house, kind, length, rng)
    if look.scheme in ("church", "hall"):
        return _hall(house, look, kind, length, rng)
    shops, door, gates = (), None, ()
    if look.shop and (kind == "front" or kind == "side" and house.key % 3 == 0):
        shops, door = _shops(house, kind, length, rng)
    elif kind == "front":
        at = int(rng.integers(bays)) if length < 14 else bays // 2
        half = min(rng.choice([0.5, 0.6, 0.85]), pitch * 0.42)
        door = ((at + 0.5) * pitch - half, (at + 0.5) * pitch + half)
        if "garage" in look.extras and bays > 1 and length > 6.5:
            left = 0.5 if door[0] > length / 2 else length - 3.2
            gates = ((left, left + 2.7, 2.2),)
    windows = _windows(house, look, kind, bays, pitch, rng)
    windows = [w for w in windows if not _covered(w, house, shops, door, gates)]
    return Layout(bays, pitch, tuple(windows), door, gates, shops, _balconies(house, look, kind, windows, bays, pitch))


def _covered(window: Opening, house: House, shops: tuple, door: tuple | None, gates: tuple) -> bool:
    """Whether a window would lie in a shop, a door or a gate."""
    if window.storey:
        return False
    if shops:
        return True
    taken = [door] if door else []
    taken += [gate[:2] for gate in gates]
    return any(window.left < right + 0.3 and window.right > left - 0.3 for left, right in taken)


def _shops(house: House, kind: str, length: float, rng: np.random.Generator) -> tuple[tuple, tuple | None]:
    start, door = 0.0, None
    if kind == "front" and house.storeys > 1 and length > 5.5:  # the way up to the flats
        wide = 1.3 if length < 9 else 1.9
        door, start = (0.35, wide), wide + 0.35
    count = max(round((length - start) / rng.uniform(4.0, 8.5)), 1)
    edges = np.linspace(start, length, count + 1)
    return tuple((float(a), float(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)), door


def _windows(
    house: House,
    look: Dress,
    kind: str,
    bays: int,
    pitch: float,
    rng: np.random.Generator,
) -> list[Opening]:
    """All windows of walls that have a grid of them."""
    length, found = bays * pitch, []
    blank = set(
        np.flatnonzero(rng.random(bays) < {"front": 0.04, "side": 0.3, "back": 0.2, "party": 0.85}[kind]).tolist()
    )
    pairs = look.scheme == "punched" and pitch > 2.3 and house.key % 5 == 0
    noble = house.key % 4 == 0  # a main storey with taller windows
    stairs = int(rng.integers(bays)) if house.use in ("flats", "office") and kind != "front" and bays > 2 else -1
    for storey in range(house.storeys):
        z = house.floor(storey)
        room = house.ground_height if storey == 0 else house.storey_height
        low, high = z + room * look.rise, z + room * (look.rise + look.tall)
        if storey == 0:
            low, high = max(low, 0.8), max(min(low, 1.2) + house.storey_height * look.tall, 1.8)
            high = min(high, room - 0.25)
        if noble and storey == 1:
            high = min(high + 0.3, z + room - 0.25)
        if look.scheme == "curtain" and kind != "party":
            continue
        if look.scheme == "ribbon" and kind != "party":
            found.append(Opening(0.35, z + room * 0.34, length - 0.35, z + room * 0.82, storey, 0, "ribbon"))
            continue
        for bay in range(bays):
            share = look.share
            if look.scheme in ("frame", "loft"):
                share, low, high = 0.82, z + room * (0.14 if look.scheme == "frame" else 0.24), z + room * 0.86
            if bay in blank and look.scheme != "loft":
                continue
            middle, half = (bay + 0.5) * pitch, min(pitch * share, 3.4) / 2
            lift = house.storey_height / 2 if bay == stairs and storey else 0
            if lift and high + lift > house.height - 0.2:
                continue
            if pairs and half > 0.5:
                found.append(Opening(middle - half, low + lift, middle - 0.08, high + lift, storey, bay))
                found.append(Opening(middle + 0.08, low + lift, middle + half, high + lift, storey, bay))
            else:
                found.append(Opening(middle - half, low + lift, middle + half, high + lift, storey, bay))
    return found


def _balconies(
    house: House, look: Dress, kind: str, windows: list[Opening], bays: int, pitch: float
) -> tuple[tuple[float, float, float], ...]:
    if look.scheme == "loggia" and kind in ("front", "back"):
        step = 1 if house.key % 2 else 2
        if house.key % 3 == 0:
            return tuple((0.2, bays * pitch - 0.2, house.floor(s)) for s in range(1, house.storeys))
        groups = range(0, bays, step + 1)
        return tuple(
            (b * pitch + 0.15, min(b + step, bays) * pitch - 0.15, house.floor(s))
            for s in range(1, house.storeys)
            for b in groups
        )
    if kind != "front" or look.balcony == "none" or look.scheme != "punched":
        return ()
    if house.key % 4 == 0 and house.storeys > 2:  # one long balcony
        return ((0.4, bays * pitch - 0.4, house.floor(1 + house.key // 4 % (house.storeys - 1))),)
    step = 2 + house.key % 2
    chosen = range(house.key // 8 % step, bays, step)
    return tuple(
        ((b + 0.5) * pitch - min(pitch * 0.46, 1.5), (b + 0.5) * pitch + min(pitch * 0.46, 1.5), house.floor(s))
        for s in range(1, house.storeys)
        for b in chosen
        if any(w.storey == s and w.bay == b for w in windows)
    )


def _shed(house: House, kind: str, length: float, rng: np.random.Generator) -> Layout:
    """A shed: roller doors, a small door, and a strip of windows under the eaves."""
    bays = max(round(length / rng.uniform(4.5, 6.5)), 1)
    pitch, top = length / bays, house.height
    gates, door = [], None
    for bay in range(bays):
        if kind in ("front", "back") and rng.random() < 0.55 and pitch > 3.6:
            half = min(pitch * 0.4, rng.uniform(1.5, 2.2))
            gates.append(
                ((bay + 0.5) * pitch - half, (bay + 0.5) * pitch + half, min(top * 0.7, rng.uniform(3.0, 4.5)))
            )
        elif door is None and kind == "front":
            door = ((bay + 0.3) * pitch, (bay + 0.3) * pitch + 0.95)
    windows = []
    if kind != "party" and top > 4.5 and rng.random() < 0.75:
        low = top * rng.uniform(0.74, 0.8)
        windows = [Opening(b * pitch + 0.4, low, (b + 1) * pitch - 0.4, top - 0.5, 1, b, "loft") for b in range(bays)]
    return Layout(bays, pitch, tuple(windows), door, tuple(gates), (), ())


def _hall(house: House, look: Dress, kind: str, length: float, rng: np.random.Generator) -> Layout:
    """A church or hall: one row of tall windows."""
    bays = max(round(length / rng.uniform(3.2, 4.5)), 1)
    pitch, top = length / bays, house.height
    bays_with_door = bays // 2 if kind == "front" else -1
    half = min(pitch * 0.24, 1.1)
    window = "arched" if look.scheme == "church" or house.key % 2 else "georgian"
    windows = [
        Opening((b + 0.5) * pitch - half, top * 0.32, (b + 0.5) * pitch + half, top * 0.72, 1, b, window)
        for b in range(bays)
        if b != bays_with_door and kind != "party"
    ]
    middle = (bays_with_door + 0.5) * pitch
    door = (middle - 1.0, middle + 1.0) if kind == "front" and pitch > 2.4 else None
    if door and top > 7:
        windows.append(
            Opening(middle - half * 1.4, top * 0.55, middle + half * 1.4, top * 0.78, 1, bays_with_door, window)
        )
    return Layout(bays, pitch, tuple(windows), door, (), (), ())
