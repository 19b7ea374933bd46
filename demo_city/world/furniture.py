"""The things that stand in streets; x along the kerb, y away from the carriageway, z up, metres."""

from collections.abc import Callable

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, EMITS, GLASS, TWO_SIDED, Mesh
from demo_city.seeds import random_for
from demo_city.world import shapes
from demo_city.world.pictures import Pictures
from demo_city.world.plants import bush
from demo_city.world.shapes import box, circle, cone, prism, quad, rod

IRON, STEEL, DARK = (58, 60, 62), (150, 154, 158), (34, 36, 38)
# radius in metres within which nobody can stand; things not named here have 0.3
ROOM = {
    "stall": 1.6, "kiosk": 1.7, "stop": 1.6, "terrace": 1.2, "container": 3.0, "fountain": 2.6, "statue": 1.2,
    "bench": 0.9, "bikes": 1.2, "billboard": 0.8, "planter": 0.7, "skip": 1.6, "tank": 1.6, "pallets": 0.9,
    "column": 0.7, "vending": 0.6, "parasol": 0.8, "crates": 0.7, "motorbike": 0.9,
}  # fmt: skip
WIDE = (
    "stall",
    "kiosk",
    "stop",
    "terrace",
    "container",
    "skip",
    "tank",
    "fountain",
    "statue",
)  # need 2.6 m of pavement
BY_THE_WALL = (
    "crates",
    "menu",
    "vending",
    "pallets",
    "terrace",
    "barrel",
    "wheelie",
    "newsbox",
    "skip",
    "tank",
    "plants",
)


class Furniture:
    """Makes each thing of a district once for each of a few variants."""

    def __init__(self, pictures: Pictures, key: int):
        self.pictures, self.key = pictures, key
        self._made: dict[tuple[str, int], Mesh] = {}

    def thing(self, kind: str, variant: int) -> Mesh:
        """A thing, of 4 variants; kind: of Plan.things or a lamp."""
        variant %= 4
        if (kind, variant) not in self._made:
            rng = random_for(self.key, "thing", kind, variant)
            self._made[kind, variant] = Mesh.joined(_MAKERS[kind](self.pictures, rng, variant))
        return self._made[kind, variant]


def _sign(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    high, half = rng.uniform(2.0, 2.6), rng.uniform(0.26, 0.38)
    board = p.sign("traffic", int(rng.integers(99)))
    parts = [rod((0, 0, 0), (0, 0, high + half), 0.035, p.plain, STEEL)]
    for z in (high, high - 2 * half)[: 1 + (n == 3)]:
        corners = ((-0.04, half, z - half), (-0.04, -half, z - half), (-0.04, -half, z + half), (-0.04, half, z + half))
        parts.append(quad(corners, board, flags=CUTOUT))
        back = [(x - 0.02, y, w) for x, y, w in (corners[1], corners[0], corners[3], corners[2])]
        parts.append(quad([(x + 0.03, y, w) for x, y, w in back], board, (120, 120, 122), CUTOUT))
    return parts


def _bin(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((54, 72, 60), (60, 62, 66), (190, 92, 40), (70, 84, 110))[int(rng.integers(4))]
    if n % 2:
        return [
            prism(circle(0.25, 8), 0, 0.85, p.material("metal"), tint),
            prism(circle(0.28, 8), 0.85, 0.95, p.plain, DARK),
        ]
    return [
        rod((0, 0.1, 0), (0, 0.1, 1.1), 0.04, p.plain, IRON),
        box((-0.2, -0.16, 0.4), (0.2, 0.16, 0.95), p.plain, tint),
    ]


def _bench(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    wood, tint = p.material("planks"), ((196, 160, 120), (140, 110, 80), (110, 124, 104), (170, 170, 166))[n]
    parts = [
        box(
            (-0.85, -0.22, 0.4),
            (0.85, 0.22, 0.46),
            wood,
            tint,
            sides=("front", "left", "right", "back", "top", "bottom"),
        )
    ]
    if n != 3:
        parts.append(box((-0.85, 0.2, 0.52), (0.85, 0.26, 0.86), wood, tint))
    for x in (-0.7, 0.7):
        parts.append(box((x - 0.04, -0.2, 0), (x + 0.04, 0.22, 0.4), p.plain, IRON))
    return parts


def _bollard(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    if n == 0:
        return [prism(circle(0.2, 8), 0, 0.5, p.material("stone"), (220,) * 3)]
    tint = (IRON, (200, 200, 196), DARK)[int(rng.integers(3))]
    return [
        prism(circle(0.07, 6), 0, 0.9, p.plain, tint),
        prism(circle(0.075, 6), 0.68, 0.78, p.plain, (226, 226, 220) if n % 2 else (190, 60, 44), DETAIL, top=False),
    ]


def _box(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    w, h = rng.uniform(0.3, 0.8), rng.uniform(0.9, 1.5)
    tint = ((110, 128, 110), (150, 150, 148), (120, 112, 100), (96, 104, 112))[n]
    parts = [box((-w, -0.2, 0), (w, 0.2, h), p.plain, tint)]
    if rng.random() < 0.6:
        poster = p.sign("graffiti" if n % 2 else "poster", n)
        flags = CUTOUT if n % 2 else 0
        parts.append(
            quad(
                (
                    (-w * 0.8, -0.215, 0.25),
                    (w * 0.8, -0.215, 0.25),
                    (w * 0.8, -0.215, h * 0.85),
                    (-w * 0.8, -0.215, h * 0.85),
                ),
                poster,
                flags=flags,
            )
        )
    return parts


def _column(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    """An advertising pillar."""
    ring = circle(0.6, 10)
    body = prism(ring, 0.3, 2.7, p.sign("poster", n), top=False)
    body.uv[:] = body.uv * (0.8, 1 / 2.4)
    return [
        prism(ring * 1.05, 0, 0.3, p.material("stone"), (150,) * 3),
        body,
        cone(ring * 1.15, 2.7, (0, 0, 3.4), p.plain, (60, 84, 70)),
    ]


def _planter(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    w = rng.uniform(0.3, 0.75)
    material, tint = (
        ("concrete", (200,) * 3),
        ("planks", (170, 130, 96)),
        ("metal", (90, 84, 80)),
        ("plaster", (190, 120, 90)),
    )[n]
    plants = bush(p, n, str(rng.choice(["bush", "flowers", "flowers"])))
    return [
        box((-w, -0.3, 0), (w, 0.3, 0.5), p.material(material), tint, metres=2),
        plants.placed((0, 0, 0.35), 0, (w * 1.5, 0.7, rng.uniform(0.5, 1.1))),
    ]


def _hydrant(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((190, 40, 34), (214, 178, 50), (190, 190, 186), (190, 40, 34))[n]
    return [
        prism(circle(0.12, 6), 0, 0.6, p.plain, tint),
        prism(circle(0.17, 6), 0.38, 0.5, p.plain, tint),
        box((-0.22, -0.06, 0.4), (0.22, 0.06, 0.5), p.plain, tint),
    ]


def _bikes(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    from demo_city.world.vehicles import Garage

    garage, parts = Garage(p), []
    for k in range(int(rng.integers(2, 5))):
        x = (k - 1.5) * 0.65
        parts.append(rod((x, -0.3, 0), (x, -0.3, 0.8), 0.025, p.plain, STEEL, DETAIL, 3))
        mesh, _ = garage.any(rng, "bicycle")
        parts.append(mesh.placed((x + 0.2, 0, 0), 90 + rng.uniform(-12, 12)))
    return parts


def _motorbike(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    from demo_city.world.vehicles import Garage

    garage = Garage(p)
    return [garage.any(rng, "motorbike")[0].placed((k * 0.85, 0, 0), 70 + rng.uniform(-15, 15)) for k in range(1 + n)]


def _pillar(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    """A letter box."""
    tint = ((186, 28, 30), (226, 180, 40), (40, 70, 130), (186, 28, 30))[int(rng.integers(4))]
    if n % 2:
        return [
            box((-0.25, -0.2, 0.35), (0.25, 0.2, 1.3), p.plain, tint),
            rod((0, 0, 0), (0, 0, 0.4), 0.06, p.plain, DARK),
        ]
    return [
        prism(circle(0.24, 9), 0, 1.4, p.plain, tint),
        cone(circle(0.28, 9), 1.4, (0, 0, 1.6), p.plain, tint),
        quad(
            ((-0.13, -0.25, 1.1), (0.13, -0.25, 1.1), (0.13, -0.25, 1.16), (-0.13, -0.25, 1.16)), p.plain, DARK, DETAIL
        ),
    ]


def _phone(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((178, 26, 28), (120, 124, 128), (178, 26, 28), (60, 90, 140))[n]
    parts = [
        box(
            (-0.45, -0.45, 2.1),
            (0.45, 0.45, 2.45),
            p.plain,
            tint,
            sides=("front", "left", "right", "back", "top", "bottom"),
        )
    ]
    for x in (-0.42, 0.42):
        for y in (-0.42, 0.42):
            parts.append(box((x - 0.04, y - 0.04, 0), (x + 0.04, y + 0.04, 2.1), p.plain, tint))
    parts.append(
        box((-0.4, -0.4, 0.1), (0.4, 0.4, 2.1), p.plain, (70, 84, 92), GLASS, sides=("front", "left", "right", "back"))
    )
    return parts


def _stop(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    """A bus stop with a shelter."""
    roof = box(
        (-2, -0.9, 2.35),
        (2, 0.8, 2.5),
        p.plain,
        ((80, 84, 88), (150, 40, 40), (60, 80, 110), (210, 210, 206))[n],
        sides=("front", "left", "right", "back", "top", "bottom"),
    )
    parts = [roof]
    for x in (-1.9, 1.9):
        parts.append(rod((x, 0.7, 0), (x, 0.7, 2.4), 0.05, p.plain, STEEL))
    parts.append(
        quad(
            ((-1.9, 0.72, 0.3), (1.2, 0.72, 0.3), (1.2, 0.72, 2.2), (-1.9, 0.72, 2.2)),
            p.plain,
            (110, 130, 136),
            GLASS | TWO_SIDED,
        )
    )
    parts.append(box((1.25, -0.5, 0.3), (1.37, 0.6, 2.2), p.sign("poster", n), flags=EMITS, metres=0))
    parts.append(box((-1.5, 0.3, 0.4), (0.8, 0.65, 0.46), p.plain, (90, 70, 56)))
    parts.append(rod((-2.6, -0.4, 0), (-2.6, -0.4, 2.9), 0.04, p.plain, STEEL))
    parts.append(
        quad(
            ((-2.6, -0.15, 2.3), (-2.6, -0.65, 2.3), (-2.6, -0.65, 2.9), (-2.6, -0.15, 2.9)),
            p.sign("rectangle", n),
            flags=CUTOUT | TWO_SIDED,
        )
    )
    return parts


def _kiosk(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((70, 104, 84), (196, 186, 160), (150, 50, 44), (80, 96, 120))[n]
    parts = [box((-1.3, -1.0, 0), (1.3, 1.0, 2.5), p.material("planks"), tint, metres=2)]
    parts.append(
        quad(
            ((-1.1, -1.02, 0.9), (1.1, -1.02, 0.9), (1.1, -1.02, 2.0), (-1.1, -1.02, 2.0)),
            p.sign("menu", n),
            flags=EMITS,
        )
    )
    parts.append(
        quad(((-1.3, -1.03, 2.05), (1.3, -1.03, 2.05), (1.3, -1.03, 2.45), (-1.3, -1.03, 2.45)), p.sign("billboard", n))
    )
    roof = np.array([(-1.6, -1.3), (1.6, -1.3), (1.6, 1.3), (-1.6, 1.3)])
    parts.append(cone(roof, 2.5, (0, 0, rng.uniform(2.8, 3.6)), p.plain, (86, 92, 90)))
    parts.append(quad([(*c, 2.5) for c in roof[::-1]], p.plain, (110,) * 3))
    return parts


def _terrace(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    """A table, chairs and perhaps a parasol."""
    wood = ((180, 140, 100), (210, 210, 206), (70, 70, 72), (150, 60, 50))[n]
    parts = [rod((0, 0, 0), (0, 0, 0.72), 0.04, p.plain, IRON), prism(circle(0.4, 8), 0.7, 0.74, p.plain, wood)]
    for a in np.arange(3) * 2.1 + rng.uniform(0, 6):
        chair = Mesh.joined(
            [
                box((-0.2, -0.2, 0.4), (0.2, 0.2, 0.46), p.plain, wood),
                box((-0.2, 0.16, 0.46), (0.2, 0.2, 0.9), p.plain, wood),
                box((-0.18, -0.18, 0), (-0.13, -0.13, 0.4), p.plain, IRON, DETAIL),
                box((0.13, 0.13, 0), (0.18, 0.18, 0.4), p.plain, IRON, DETAIL),
            ]
        )
        parts.append(chair.placed((0.75 * np.cos(a), 0.75 * np.sin(a), 0), np.degrees(a) - 90))
    return [*parts, *(_parasol(p, rng, n) if n % 2 else [])]


def _parasol(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((226, 214, 186), (170, 40, 40), (60, 100, 80), (236, 236, 230))[int(rng.integers(4))]
    ring = circle(rng.uniform(1.2, 1.8), 8)
    top = cone(ring, 2.2, (0, 0, 2.8), p.material("fabric", n), tint)
    top.flags |= TWO_SIDED
    return [rod((0, 0, 0), (0, 0, 2.7), 0.03, p.plain, (190, 180, 160)), top]


def _stall(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((190, 44, 44), (226, 222, 210), (50, 110, 80), (60, 90, 150))[int(rng.integers(4))]
    w, d, high = rng.uniform(1.1, 1.7), 0.9, rng.uniform(2.1, 2.5)
    parts = [rod((x, y, 0), (x, y, high), 0.03, p.plain, STEEL, 0, 3) for x in (-w, w) for y in (-d, d)]
    cloth = p.material("fabric", n)
    if n % 2:
        roof = np.array([(-w - 0.2, -d - 0.3), (w + 0.2, -d - 0.3), (w + 0.2, d + 0.2), (-w - 0.2, d + 0.2)])
        top = cone(roof, high, (0, 0, high + 0.7), cloth, tint)
    else:
        a, b, e = -w - 0.2, w + 0.2, d + 0.3
        top = Mesh.joined([
            quad(((a, -e, high - 0.15), (b, -e, high - 0.15), (b, 0, high + 0.5), (a, 0, high + 0.5)), cloth, tint),
            quad(((b, e, high - 0.15), (a, e, high - 0.15), (a, 0, high + 0.5), (b, 0, high + 0.5)), cloth, tint),
        ])  # fmt: skip
    top.flags |= TWO_SIDED
    parts += [top, box((-w, -0.6, 0.0), (w, 0.4, 0.75), cloth, tint)]
    parts.append(
        quad(
            ((-w, -0.65, 0.76), (w, -0.65, 0.76), (w, 0.4, 1.05), (-w, 0.4, 1.05)),
            p.material("crates", n),
            uv=((0, 1), (2, 1), (2, 0), (0, 0)),
        )
    )
    return parts


def _crates(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    parts = []
    for k in range(int(rng.integers(3, 7))):
        x, z = (k % 3) * 0.62 - 0.6, (k // 3) * 0.33
        tint = ((255, 240, 210), (120, 160, 190), (190, 90, 70), (140, 180, 130))[int(rng.integers(4))]
        parts.append(box((x, -0.2, z), (x + 0.56, 0.2, z + 0.31), p.material("crates", n), tint))
    return parts


def _barrel(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    kind, tint = (
        ("planks", (150, 110, 76)),
        ("metal", (60, 90, 140)),
        ("metal", (150, 70, 50)),
        ("planks", (120, 100, 80)),
    )[n]
    return [prism(circle(0.3, 8, (k * 0.66, 0)), 0, 0.88, p.material(kind), tint) for k in range(1 + n % 3)]


def _wheelie(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    parts = []
    for k in range(1 + n % 3):
        tint = ((58, 84, 62), (64, 66, 70), (60, 80, 120), (120, 84, 56))[int(rng.integers(4))]
        x = k * 0.66
        parts += [
            box((x - 0.26, -0.3, 0.05), (x + 0.26, 0.3, 0.98), p.plain, tint),
            box((x - 0.29, -0.36, 0.98), (x + 0.29, 0.33, 1.06), p.plain, tuple(int(v * 0.8) for v in tint)),
        ]
    return parts


def _menu(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    board = p.sign("menu", n)
    return [
        quad(((-0.3, -0.25, 0), (0.3, -0.25, 0), (0.3, 0, 1.0), (-0.3, 0, 1.0)), board),
        quad(((0.3, 0.25, 0), (-0.3, 0.25, 0), (-0.3, 0, 1.0), (0.3, 0, 1.0)), board),
    ]


def _vending(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    parts = []
    for k in range(1 + n % 3):
        x, tint = k * 1.05, ((226, 228, 230), (190, 36, 40), (50, 90, 160), (226, 228, 230))[int(rng.integers(4))]
        parts.append(box((x - 0.5, -0.35, 0.05), (x + 0.5, 0.35, 1.85), p.plain, tint))
        parts.append(
            quad(
                ((x - 0.42, -0.36, 0.8), (x + 0.42, -0.36, 0.8), (x + 0.42, -0.36, 1.75), (x - 0.42, -0.36, 1.75)),
                p.sign("menu", k + n),
                flags=EMITS,
            )
        )
    return parts


def _meter(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    return [
        rod((0, 0, 0), (0, 0, 1.1), 0.03, p.plain, STEEL, DETAIL),
        box((-0.1, -0.07, 1.1), (0.1, 0.07, 1.4), p.plain, (90, 96, 100), DETAIL),
    ]


def _newsbox(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    colours = ((180, 40, 36), (40, 80, 150), (220, 180, 50), (70, 110, 80), (230, 230, 226))
    return [
        box((k * 0.55 - 0.24, -0.2, 0), (k * 0.55 + 0.24, 0.2, 1.15), p.plain, colours[int(rng.integers(5))])
        for k in range(1 + n)
    ]


def _mailbox(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((60, 62, 66), (190, 190, 186), (120, 40, 36), (70, 90, 120))[n]
    return [
        rod((0, 0, 0), (0, 0, 1.0), 0.05, p.material("wood"), (170, 140, 110)),
        box((-0.12, -0.26, 1.0), (0.12, 0.26, 1.24), p.plain, tint),
    ]


def _hoop(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    """A basketball hoop."""
    return [
        rod((0, 0, 0), (0, 0, 3.3), 0.06, p.plain, DARK),
        box((-0.9, -0.5, 2.7), (0.9, -0.44, 3.7), p.plain, (230, 230, 228)),
    ]


def _container(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((150, 70, 50), (60, 90, 130), (100, 120, 90), (190, 180, 160))[int(rng.integers(4))]
    return [box((-3.0, -1.2, 0.1), (3.0, 1.2, 2.7), p.material("container", n), tint, metres=2.6)]


def _skip(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((214, 170, 50), (90, 110, 80), (120, 60, 50), (80, 100, 130))[n]
    body = box((-1.6, -0.85, 0.1), (1.6, 0.85, 1.4), p.material("metal"), tint, metres=2)
    body.points[body.points[:, 2] < 1] *= (0.75, 1, 1)
    return [body]


def _pallets(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    high = rng.uniform(0.3, 1.5)
    return [
        box((-0.6, -0.5, 0), (0.6, 0.5, high), p.material("crates", n), (214, 186, 150)),
        *(
            [box((-0.5, -0.45, high), (0.5, 0.45, high + 0.9), p.material("fabric", n), (200, 196, 186))]
            if n % 2
            else []
        ),
    ]


def _barrier(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    if n == 0:
        return [cone(circle(0.18, 6, (k * 1.6, 0)), 0, (k * 1.6, 0, 0.72), p.plain, (226, 96, 40)) for k in range(3)]
    if n == 1:
        return [box((-1.2, -0.25, 0), (1.2, 0.25, 0.85), p.material("concrete"), (226,) * 3, metres=2)]
    parts = [rod((x, 0, 0), (x, 0, 1.0), 0.03, p.plain, STEEL) for x in (-1.1, 1.1)]
    tint = (214, 60, 46) if n == 2 else (220, 220, 216)
    return [
        *parts,
        box((-1.2, -0.03, 0.8), (1.2, 0.03, 1.0), p.plain, tint),
        box((-1.2, -0.03, 0.4), (1.2, 0.03, 0.55), p.plain, (230,) * 3),
    ]


def _billboard(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    z = rng.uniform(2.6, 4.0)
    board = ((0, 1.6, z), (0, -1.6, z), (0, -1.6, z + 2.0), (0, 1.6, z + 2.0))
    other = [(0.12, y, w) for _, y, w in (board[1], board[0], board[3], board[2])]
    return [
        rod((0.06, 0, 0), (0.06, 0, z), 0.14, p.plain, IRON, sides=6),
        quad(board, p.sign("billboard", n), flags=EMITS), quad(other, p.sign("billboard", n + 7), flags=EMITS),
    ]  # fmt: skip


def _banners(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    high = rng.uniform(2.4, 3.4)
    cloth = quad(
        ((0.06, -0.05, 0.6), (0.7, -0.05, 0.6), (0.7, -0.05, high), (0.06, -0.05, high)),
        p.sign("banner", n + int(rng.integers(9))),
        flags=TWO_SIDED,
    )
    return [
        rod((0, 0, 0), (0, 0, high + 0.1), 0.025, p.plain, (226,) * 3, sides=3),
        cloth,
        box((-0.2, -0.2, 0), (0.2, 0.2, 0.15), p.plain, (200,) * 3),
    ]


def _flags(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    parts = []
    for k in range(3):
        x = k * 2.2
        parts.append(rod((x, 0, 0), (x, 0, 8.0), (0.06, 0.03), p.plain, (220,) * 3))
        corners = ((x + 0.05, 0, 6.4), (x + 0.8, 0.3, 6.0), (x + 0.8, 0.3, 7.6), (x + 0.05, 0, 7.9))
        parts.append(quad(corners, p.sign("banner", n + k), flags=TWO_SIDED))
    return parts


def _statue(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    stone, bronze = p.material("stone", n), ((88, 120, 104), (84, 76, 66), (200, 196, 186), (70, 70, 70))[n]
    high = rng.uniform(1.4, 3.2)
    return [
        box((-1.1, -1.1, 0), (1.1, 1.1, 0.4), stone, metres=2), box((-0.7, -0.7, 0.4), (0.7, 0.7, high), stone, metres=2),
        rod((0, 0, high), (0.05, 0, high + 1.3), (0.42, 0.34), p.material("metal"), bronze, sides=7),
        rod((0.05, 0, high + 1.3), (0.05, 0, high + 1.7), (0.36, 0.08), p.material("metal"), bronze, sides=7),
        rod((0.3, 0, high + 1.25), (0.75, -0.3, high + 1.9), (0.1, 0.06), p.material("metal"), bronze),
        prism(circle(0.17, 6, (0.05, 0)), high + 1.65, high + 2.0, p.material("metal"), bronze),
    ]  # fmt: skip


def _fountain(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    stone, ring = p.material("stone", n), circle(2.4, 12)
    water = prism(ring * 0.9, 0.2, 0.42, p.ground("water", 0), top=True)
    return [
        prism(ring, 0, 0.55, stone, top=False), water,
        shapes.sheet(np.stack([np.column_stack([r, np.full(13, 0.55)]) for r in (np.vstack([ring, ring[:1]]) * 0.88, np.vstack([ring, ring[:1]]))]),
                     np.stack([np.stack([np.linspace(0, 8, 13), np.full(13, v)], 1) for v in (0, 0.3)]), stone),
        prism(circle(0.3, 8), 0.4, 1.6, stone, top=False), cone(circle(1.0, 10)[::-1], 1.9, (0, 0, 1.3), stone), prism(circle(1.0, 10), 1.85, 1.95, stone),
    ]  # fmt: skip


def _tank(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    ring = circle(1.4, 10)
    return [prism(ring, 0, rng.uniform(3, 6), p.material("corrugated" if n % 2 else "metal"), (200, 200, 196))]


def _scooter(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    tint = ((70, 190, 110), (226, 130, 40), (40, 40, 44), (80, 150, 200))[n]
    return [
        box((-0.45, -0.07, 0.1), (0.4, 0.07, 0.16), p.plain, tint, DETAIL),
        rod((0.42, 0, 0.12), (0.34, 0, 1.1), 0.03, p.plain, tint, DETAIL),
        rod((0.34, -0.25, 1.1), (0.34, 0.25, 1.1), 0.02, p.plain, DARK, DETAIL, 3),
    ]


def _pole(p: Pictures, rng: np.random.Generator, n: int) -> list[Mesh]:
    """A pole of wood or concrete for wires."""
    kind, tint = ("wood", (140, 116, 94)) if n % 2 else ("concrete", (190, 188, 182))
    parts = [rod((0, 0, 0), (0, 0, 8.2), (0.15, 0.11), p.material(kind), tint, sides=6)]
    for z in (7.9, 7.2)[: 1 + n // 2]:
        parts.append(box((-0.06, -0.9, z), (0.06, 0.9, z + 0.12), p.plain, tint))
    if n == 3:
        parts.append(prism(circle(0.28, 7, (0.35, 0)), 5.6, 6.6, p.plain, (150, 154, 156)))
    return parts


def lamp_post(
    p: Pictures, kind: str, n: int, rng: np.random.Generator
) -> tuple[list[Mesh], tuple[float, float, float]]:
    """A street lamp, and where its light is: kind of Plan.lamps; "wall" hangs 2 m behind its place."""
    tint, glow = (IRON, STEEL, (60, 78, 68), (40, 42, 46))[n % 4], (255, 244, 214)
    if kind == "arm":
        high, reach = rng.uniform(6.5, 9), rng.uniform(1.0, 2.2)
        parts = [
            rod((0, 0, 0), (0, 0, high), (0.1, 0.06), p.plain, tint, sides=6),
            rod((0, 0, high), (0, -reach, high + 0.3), 0.04, p.plain, tint, sides=4),
        ]
        parts.append(
            box(
                (-0.14, -reach - 0.5, high + 0.2),
                (0.14, -reach + 0.1, high + 0.34),
                p.plain,
                tint,
                sides=("front", "left", "right", "back", "top"),
            )
        )
        parts.append(
            quad(
                (
                    (-0.12, -reach + 0.05, high + 0.19),
                    (0.12, -reach + 0.05, high + 0.19),
                    (0.12, -reach - 0.45, high + 0.19),
                    (-0.12, -reach - 0.45, high + 0.19),
                ),
                p.plain,
                glow,
                EMITS,
            )
        )
        return parts, (0, -reach, high)
    if kind in ("lantern", "wall"):
        y, high = (0.0, rng.uniform(3.4, 4.4)) if kind == "lantern" else (-0.5, rng.uniform(3.2, 4.2))
        parts = (
            [rod((0, 0, 0), (0, 0, high), (0.09, 0.05), p.plain, tint, sides=6)]
            if kind == "lantern"
            else [rod((0, 0, high + 0.1), (0, y, high + 0.5), 0.03, p.plain, tint, sides=4)]
        )
        ring = circle(0.2, 4, (0, y))
        parts += [
            prism(ring, high, high + 0.45, p.plain, glow, EMITS),
            cone(circle(0.3, 4, (0, y)), high + 0.45, (0, y, high + 0.75), p.plain, tint),
        ]
        return parts, (0, y - 0.05, high + 0.2)
    if kind == "globe":
        high = rng.uniform(3.2, 4.5)
        ball = [
            cone(circle(0.24, 8), high + 0.2, (0, 0, high + 0.48), p.plain, glow, EMITS),
            cone(circle(0.24, 8)[::-1], high + 0.2, (0, 0, high - 0.08), p.plain, glow, EMITS),
        ]
        return [rod((0, 0, 0), (0, 0, high), (0.08, 0.05), p.plain, tint, sides=6), *ball], (0, -0.1, high + 0.2)
    if kind == "pole":
        parts = [
            *_pole(p, rng, n),
            rod((0, 0, 6.2), (0, -1.2, 6.5), 0.03, p.plain, IRON),
            box((-0.12, -1.6, 6.4), (0.12, -1.1, 6.55), p.plain, (200,) * 3, EMITS),
        ]
        return parts, (0, -1.3, 6.3)
    high = rng.uniform(4.0, 6.0)
    head = prism(circle(0.28, 8), high, high + 0.16, p.plain, tint)
    light = prism(circle(0.16, 8), high - 0.22, high, p.plain, glow, EMITS)
    return [rod((0, 0, 0), (0, 0, high), (0.09, 0.06), p.plain, tint, sides=6), light, head], (0, -0.1, high - 0.1)


_MAKERS: dict[str, Callable[[Pictures, np.random.Generator, int], list[Mesh]]] = {
    "sign": _sign, "bin": _bin, "bench": _bench, "bollard": _bollard, "box": _box, "column": _column,
    "planter": _planter, "hydrant": _hydrant, "bikes": _bikes, "motorbike": _motorbike, "pillar": _pillar,
    "phone": _phone, "stop": _stop, "kiosk": _kiosk, "terrace": _terrace, "parasol": _parasol, "stall": _stall,
    "crates": _crates, "barrel": _barrel, "wheelie": _wheelie, "menu": _menu, "vending": _vending, "meter": _meter,
    "newsbox": _newsbox, "mailbox": _mailbox, "hoop": _hoop, "container": _container, "skip": _skip,
    "pallets": _pallets, "barrier": _barrier, "billboard": _billboard, "banners": _banners, "flags": _flags,
    "statue": _statue, "fountain": _fountain, "tank": _tank, "scooter": _scooter, "pole": _pole,
}  # fmt: skip
