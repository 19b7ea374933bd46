"""The things that stand in streets; x along the kerb, y away from the carriageway, z up, metres."""

from collections.abc import Callable

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, EMITS, GLASS, TWO_SIDED, Mesh
from demo_city.seeds import random_for
from demo_city.world.kit import CLOSED, DARK, IRON, STEEL, Kit
from demo_city.world.monuments import MONUMENTS
from demo_city.world.pictures import Pictures
from demo_city.world.plants import bush
from demo_city.world.vehicles import Garage

# radius in metres within which nobody can stand; things not named here have 0.3
ROOM = {
    "stall": 1.6, "kiosk": 1.7, "stop": 1.6, "terrace": 1.2, "container": 3.0, "fountain": 2.6, "statue": 1.2,
    "bench": 0.9, "bikes": 1.2, "billboard": 0.8, "planter": 0.7, "skip": 1.6, "tank": 1.6, "pallets": 0.9,
    "column": 0.7, "vending": 0.6, "parasol": 0.8, "crates": 0.7, "motorbike": 0.9,
}  # fmt: skip
WIDE = ("stall", "kiosk", "stop", "terrace", "container", "skip", "tank", "fountain", "statue")  # on 2.6 m of pavement
BY_THE_WALL = ("crates", "menu", "vending", "pallets", "terrace", "barrel", "wheelie", "newsbox", "skip", "tank")


class Furniture:
    """Makes each thing of a district once for each of four variants."""

    def __init__(self, pictures: Pictures, key: int):
        self.pictures, self.key = pictures, key
        self._made: dict[tuple[str, int], Mesh] = {}

    def thing(self, kind: str, variant: int) -> Mesh:
        """A thing; kind: of Plan.things, "parasol" or "pole"."""
        variant %= 4
        if (kind, variant) not in self._made:
            kit = Kit(self.pictures, random_for(self.key, "thing", kind, variant), variant)
            _MAKERS[kind](kit, variant)
            self._made[kind, variant] = kit.done()
        return self._made[kind, variant]


def _sign(k: Kit, n: int) -> None:
    high, half = k.rng.uniform(2.0, 2.6), k.rng.uniform(0.26, 0.38)
    texture = k.pictures.sign("traffic", int(k.rng.integers(99)))
    k.rod((0, 0, 0), (0, 0, high + half), 0.035, STEEL)
    for z in (high, high - 2 * half)[: 1 + (n == 3)]:
        k.board(-0.04, (half, -half), (z - half, z + half), texture, flags=CUTOUT)
        k.board(-0.03, (-half, half), (z - half, z + half), texture, (120, 120, 122), CUTOUT)


def _bin(k: Kit, n: int) -> None:
    tint = k.pick((54, 72, 60), (60, 62, 66), (190, 92, 40), (70, 84, 110))
    if n % 2:
        k.drum(0.25, 0, 0.85, tint, "metal", top=False)
        k.drum(0.28, 0.85, 0.95, DARK)
    else:
        k.rod((0, 0.1, 0), (0, 0.1, 1.1), 0.04, IRON)
        k.box((-0.2, -0.16, 0.4), (0.2, 0.16, 0.95), tint)


def _bench(k: Kit, n: int) -> None:
    tint = ((196, 160, 120), (140, 110, 80), (110, 124, 104), (170, 170, 166))[n]
    k.box((-0.85, -0.22, 0.4), (0.85, 0.22, 0.46), tint, "planks", sides=CLOSED)
    if n != 3:
        k.box((-0.85, 0.2, 0.52), (0.85, 0.26, 0.86), tint, "planks")
    for x in (-0.7, 0.7):
        k.box((x - 0.04, -0.2, 0), (x + 0.04, 0.22, 0.4), IRON)


def _bollard(k: Kit, n: int) -> None:
    if n == 0:
        k.drum(0.2, 0, 0.5, (220,) * 3, "stone")
        return
    k.drum(0.07, 0, 0.9, k.pick(IRON, (200, 200, 196), DARK), sides=6)
    k.drum(0.075, 0.68, 0.78, (226, 226, 220) if n % 2 else (190, 60, 44), flags=DETAIL, sides=6, top=False)


def _box(k: Kit, n: int) -> None:
    w, h = k.rng.uniform(0.3, 0.8), k.rng.uniform(0.9, 1.5)
    k.box((-w, -0.2, 0), (w, 0.2, h), ((110, 128, 110), (150, 150, 148), (120, 112, 100), (96, 104, 112))[n])
    if k.rng.random() < 0.6:
        texture = k.pictures.sign("graffiti" if n % 2 else "poster", n)
        k.card((-w * 0.8, w * 0.8), -0.215, (0.25, h * 0.85), texture, flags=CUTOUT if n % 2 else 0)


def _planter(k: Kit, n: int) -> None:
    w = k.rng.uniform(0.3, 0.75)
    material = ("concrete", "planks", "metal", "plaster")[n]
    k.box((-w, -0.3, 0), (w, 0.3, 0.5), ((200,) * 3, (170, 130, 96), (90, 84, 80), (190, 120, 90))[n], material)
    plants = bush(k.pictures, n, str(k.pick("bush", "flowers", "flowers")))
    k.add(plants.placed((0, 0, 0.35), 0, (w * 1.5, 0.7, k.rng.uniform(0.5, 1.1))))


def _hydrant(k: Kit, n: int) -> None:
    tint = ((190, 40, 34), (214, 178, 50), (190, 190, 186), (190, 40, 34))[n]
    k.drum(0.12, 0, 0.6, tint, sides=6)
    k.drum(0.17, 0.38, 0.5, tint, sides=6)
    k.box((-0.22, -0.06, 0.4), (0.22, 0.06, 0.5), tint)


def _bikes(k: Kit, n: int) -> None:
    garage = Garage(k.pictures)
    for number in range(int(k.rng.integers(2, 5))):
        x = (number - 1.5) * 0.65
        k.rod((x, -0.3, 0), (x, -0.3, 0.8), 0.025, STEEL, flags=DETAIL, sides=3)
        k.add(garage.any(k.rng, "bicycle")[0].placed((x + 0.2, 0, 0), 90 + k.rng.uniform(-12, 12)))


def _motorbike(k: Kit, n: int) -> None:
    garage = Garage(k.pictures)
    for number in range(1 + n):
        k.add(garage.any(k.rng, "motorbike")[0].placed((number * 0.85, 0, 0), 70 + k.rng.uniform(-15, 15)))


def _letter_box(k: Kit, n: int) -> None:
    tint = k.pick((186, 28, 30), (226, 180, 40), (40, 70, 130), (186, 28, 30))
    if n % 2:
        k.box((-0.25, -0.2, 0.35), (0.25, 0.2, 1.3), tint, sides=CLOSED)
        k.rod((0, 0, 0), (0, 0, 0.4), 0.06, DARK)
        return
    k.drum(0.24, 0, 1.4, tint, sides=9)
    k.cone(0.28, 1.4, 1.6, tint, sides=9)
    k.card((-0.13, 0.13), -0.25, (1.1, 1.16), k.pictures.plain, DARK, DETAIL)


def _phone(k: Kit, n: int) -> None:
    tint = ((178, 26, 28), (120, 124, 128), (178, 26, 28), (60, 90, 140))[n]
    k.box((-0.45, -0.45, 2.1), (0.45, 0.45, 2.45), tint, sides=CLOSED)
    for x in (-0.42, 0.42):
        for y in (-0.42, 0.42):
            k.box((x - 0.04, y - 0.04, 0), (x + 0.04, y + 0.04, 2.1), tint)
    k.box((-0.4, -0.4, 0.1), (0.4, 0.4, 2.1), (70, 84, 92), flags=GLASS)


def _stop(k: Kit, n: int) -> None:
    """A bus stop with a shelter."""
    tint = ((80, 84, 88), (150, 40, 40), (60, 80, 110), (210, 210, 206))[n]
    k.box((-2, -0.9, 2.35), (2, 0.8, 2.5), tint, sides=CLOSED)
    for x in (-1.9, 1.9):
        k.rod((x, 0.7, 0), (x, 0.7, 2.4), 0.05, STEEL)
    k.card((-1.9, 1.2), 0.72, (0.3, 2.2), k.pictures.plain, (110, 130, 136), GLASS | TWO_SIDED)
    k.board(1.37, (-0.5, 0.6), (0.3, 2.2), k.pictures.sign("poster", n), flags=EMITS | TWO_SIDED)
    k.box((-1.5, 0.3, 0.4), (0.8, 0.65, 0.46), (90, 70, 56), sides=CLOSED)
    k.rod((-2.6, -0.4, 0), (-2.6, -0.4, 2.9), 0.04, STEEL)
    k.board(-2.6, (-0.15, -0.65), (2.3, 2.9), k.pictures.sign("rectangle", n), flags=CUTOUT | TWO_SIDED)


def _terrace(k: Kit, n: int) -> None:
    """A table, chairs and perhaps a parasol."""
    wood = ((180, 140, 100), (210, 210, 206), (70, 70, 72), (150, 60, 50))[n]
    k.rod((0, 0, 0), (0, 0, 0.72), 0.04, IRON)
    k.drum(0.4, 0.7, 0.74, wood)
    seat = Kit(k.pictures, k.rng)
    seat.box((-0.2, -0.2, 0.4), (0.2, 0.2, 0.46), wood, sides=CLOSED)
    seat.box((-0.2, 0.16, 0.46), (0.2, 0.2, 0.9), wood)
    for x in (-0.18, 0.13):
        seat.box((x, -0.18, 0), (x + 0.05, 0.18, 0.4), IRON, flags=DETAIL)
    for turn in np.arange(3) * 2.1 + k.rng.uniform(0, 6):
        k.add(seat.done().placed((0.75 * np.cos(turn), 0.75 * np.sin(turn), 0), np.degrees(turn) - 90))
    if n % 2:
        _parasol(k, n)


def _parasol(k: Kit, n: int) -> None:
    k.rod((0, 0, 0), (0, 0, 2.7), 0.03, (190, 180, 160))
    tint = k.pick((226, 214, 186), (170, 40, 40), (60, 100, 80), (236, 236, 230))
    k.cone(k.rng.uniform(1.2, 1.8), 2.2, 2.8, tint, "fabric", flags=TWO_SIDED)


def _crates(k: Kit, n: int) -> None:
    for number in range(int(k.rng.integers(3, 7))):
        x, z = (number % 3) * 0.62 - 0.6, (number // 3) * 0.33
        tint = k.pick((255, 240, 210), (120, 160, 190), (190, 90, 70), (140, 180, 130))
        k.box((x, -0.2, z), (x + 0.56, 0.2, z + 0.31), tint, "crates")


def _barrel(k: Kit, n: int) -> None:
    material = ("planks", "metal", "metal", "planks")[n]
    for number in range(1 + n % 3):
        tint = ((150, 110, 76), (60, 90, 140), (150, 70, 50), (120, 100, 80))[n]
        k.drum(0.3, 0, 0.88, tint, material, at=(number * 0.66, 0))


def _wheelie(k: Kit, n: int) -> None:
    """Bins on wheels."""
    for number in range(1 + n % 3):
        tint = np.array(k.pick((58, 84, 62), (64, 66, 70), (60, 80, 120), (120, 84, 56)))
        x = number * 0.66
        k.box((x - 0.26, -0.3, 0.05), (x + 0.26, 0.3, 0.98), tint)
        k.box((x - 0.29, -0.36, 0.98), (x + 0.29, 0.33, 1.06), tint * 0.8)


def _menu(k: Kit, n: int) -> None:
    """A board with two faces that lean on each other."""
    texture = k.pictures.sign("menu", n)
    for x, y in ((0.3, -0.25), (-0.3, 0.25)):
        mesh = Kit(k.pictures, k.rng)
        mesh.card((-x, x), y, (0, 1.0), texture)
        part = mesh.done()
        part.points[part.points[:, 2] > 0.5, 1] = 0
        k.add(part)


def _vending(k: Kit, n: int) -> None:
    for number in range(1 + n % 3):
        x, tint = number * 1.05, k.pick((226, 228, 230), (190, 36, 40), (50, 90, 160), (226, 228, 230))
        k.box((x - 0.5, -0.35, 0.05), (x + 0.5, 0.35, 1.85), tint)
        texture = k.pictures.sign("menu", number + n)
        k.card((x - 0.42, x + 0.42), -0.36, (0.8, 1.75), texture, flags=EMITS)


def _meter(k: Kit, n: int) -> None:
    k.rod((0, 0, 0), (0, 0, 1.1), 0.03, STEEL, flags=DETAIL)
    k.box((-0.1, -0.07, 1.1), (0.1, 0.07, 1.4), (90, 96, 100), flags=DETAIL)


def _newsbox(k: Kit, n: int) -> None:
    for number in range(1 + n):
        tint = k.pick((180, 40, 36), (40, 80, 150), (220, 180, 50), (70, 110, 80), (230, 230, 226))
        k.box((number * 0.55 - 0.24, -0.2, 0), (number * 0.55 + 0.24, 0.2, 1.15), tint)


def _mailbox(k: Kit, n: int) -> None:
    k.rod((0, 0, 0), (0, 0, 1.0), 0.05, (170, 140, 110), "wood")
    k.box((-0.12, -0.26, 1.0), (0.12, 0.26, 1.24), ((60, 62, 66), (190, 190, 186), (120, 40, 36), (70, 90, 120))[n])


def _hoop(k: Kit, n: int) -> None:
    """For basketball."""
    k.rod((0, 0, 0), (0, 0, 3.3), 0.06, DARK)
    k.box((-0.9, -0.5, 2.7), (0.9, -0.44, 3.7), (230, 230, 228))


def _barrier(k: Kit, n: int) -> None:
    if n == 0:
        for x in (0.0, 1.6, 3.2):
            k.cone(0.18, 0, 0.72, (226, 96, 40), at=(x, 0), sides=6)
    elif n == 1:
        k.box((-1.2, -0.25, 0), (1.2, 0.25, 0.85), (226,) * 3, "concrete")
    else:
        for x in (-1.1, 1.1):
            k.rod((x, 0, 0), (x, 0, 1.0), 0.03, STEEL)
        k.box((-1.2, -0.03, 0.8), (1.2, 0.03, 1.0), (214, 60, 46) if n == 2 else (220, 220, 216))
        k.box((-1.2, -0.03, 0.4), (1.2, 0.03, 0.55), (230,) * 3)


def _banners(k: Kit, n: int) -> None:
    high = k.rng.uniform(2.4, 3.4)
    k.rod((0, 0, 0), (0, 0, high + 0.1), 0.025, (226,) * 3, sides=3)
    k.box((-0.2, -0.2, 0), (0.2, 0.2, 0.15), (200,) * 3)
    texture = k.pictures.sign("banner", n + int(k.rng.integers(9)))
    k.card((0.06, 0.7), -0.05, (0.6, high), texture, flags=TWO_SIDED)


def _scooter(k: Kit, n: int) -> None:
    tint = ((70, 190, 110), (226, 130, 40), (40, 40, 44), (80, 150, 200))[n]
    k.box((-0.45, -0.07, 0.1), (0.4, 0.07, 0.16), tint, flags=DETAIL)
    k.rod((0.42, 0, 0.12), (0.34, 0, 1.1), 0.03, tint, flags=DETAIL)
    k.rod((0.34, -0.25, 1.1), (0.34, 0.25, 1.1), 0.02, DARK, flags=DETAIL, sides=3)


def pole(k: Kit, n: int) -> None:
    """A pole of wood or concrete for wires."""
    material, tint = ("wood", (140, 116, 94)) if n % 2 else ("concrete", (190, 188, 182))
    k.rod((0, 0, 0), (0, 0, 8.2), (0.15, 0.11), tint, material, sides=6)
    for z in (7.9, 7.2)[: 1 + n // 2]:
        k.box((-0.06, -0.9, z), (0.06, 0.9, z + 0.12), tint, sides=CLOSED)
    if n == 3:
        k.drum(0.28, 5.6, 6.6, (150, 154, 156), at=(0.35, 0), sides=7)


_MAKERS: dict[str, Callable[[Kit, int], None]] = {
    "sign": _sign, "bin": _bin, "bench": _bench, "bollard": _bollard, "box": _box, "planter": _planter,
    "hydrant": _hydrant, "bikes": _bikes, "motorbike": _motorbike, "pillar": _letter_box, "phone": _phone,
    "stop": _stop, "terrace": _terrace, "parasol": _parasol, "crates": _crates, "barrel": _barrel,
    "wheelie": _wheelie, "menu": _menu, "vending": _vending, "meter": _meter, "newsbox": _newsbox,
    "mailbox": _mailbox, "hoop": _hoop, "barrier": _barrier, "banners": _banners, "scooter": _scooter,
    "pole": pole, **MONUMENTS,
}  # fmt: skip
