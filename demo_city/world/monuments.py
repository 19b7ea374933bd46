"""Larger things of streets and squares: stalls, kiosks, fountains, statues, containers, boats; as in `furniture`."""

from collections.abc import Callable

import numpy as np

from demo_city.engine.mesh import EMITS, TWO_SIDED
from demo_city.world import shapes
from demo_city.world.kit import CLOSED, IRON, STEEL, Kit


def _column(k: Kit, n: int) -> None:
    """A pillar with posters."""
    body = shapes.prism(shapes.circle(0.6, 10), 0.3, 2.7, k.pictures.sign("poster", n), top=False)
    body.uv[:] *= (0.8, 1 / 2.4)
    k.add(body)
    k.drum(0.63, 0, 0.3, (150,) * 3, "stone", sides=10)
    k.cone(0.7, 2.7, 3.4, (60, 84, 70), sides=10)


def _kiosk(k: Kit, n: int) -> None:
    k.box((-1.3, -1.0, 0), (1.3, 1.0, 2.5), ((70, 104, 84), (196, 186, 160), (150, 50, 44), (80, 96, 120))[n], "planks")
    k.card((-1.1, 1.1), -1.02, (0.9, 2.0), k.pictures.sign("menu", n), flags=EMITS)
    k.card((-1.3, 1.3), -1.03, (2.05, 2.45), k.pictures.sign("billboard", n))
    roof = np.array([(-1.6, -1.3), (1.6, -1.3), (1.6, 1.3), (-1.6, 1.3)])
    k.add(shapes.cone(roof, 2.5, (0, 0, k.rng.uniform(2.8, 3.6)), k.pictures.plain, (86, 92, 90)))
    k.add(shapes.quad([(*corner, 2.5) for corner in roof[::-1]], k.pictures.plain, (110,) * 3))


def _stall(k: Kit, n: int) -> None:
    tint = k.pick((190, 44, 44), (226, 222, 210), (50, 110, 80), (60, 90, 150))
    w, d, high, cloth = k.rng.uniform(1.1, 1.7), 0.9, k.rng.uniform(2.1, 2.5), k.texture("fabric")
    for x in (-w, w):
        for y in (-d, d):
            k.rod((x, y, 0), (x, y, high), 0.03, STEEL, sides=3)
    a, b, e = -w - 0.2, w + 0.2, d + 0.3
    if n % 2:
        roof = np.array([(a, -e), (b, -e), (b, e), (a, e)])
        k.add(shapes.cone(roof, high, (0, 0, high + 0.7), cloth, tint, TWO_SIDED))
    else:
        for x, y in ((a, -e), (b, e)):
            slope = ((x, y, high - 0.15), (-x, y, high - 0.15), (-x, 0, high + 0.5), (x, 0, high + 0.5))
            k.add(shapes.quad(slope, cloth, tint, TWO_SIDED))
    k.box((-w, -0.6, 0.0), (w, 0.4, 0.75), tint, "fabric")
    goods = ((-w, -0.65, 0.76), (w, -0.65, 0.76), (w, 0.4, 1.05), (-w, 0.4, 1.05))
    k.add(shapes.quad(goods, k.texture("crates"), uv=((0, 1), (2, 1), (2, 0), (0, 0))))


def _container(k: Kit, n: int) -> None:
    tint = k.pick((150, 70, 50), (60, 90, 130), (100, 120, 90), (190, 180, 160))
    k.box((-3.0, -1.2, 0.1), (3.0, 1.2, 2.7), tint, "container")


def _skip(k: Kit, n: int) -> None:
    tint = ((214, 170, 50), (90, 110, 80), (120, 60, 50), (80, 100, 130))[n]
    body = shapes.box((-1.6, -0.85, 0.1), (1.6, 0.85, 1.4), k.texture("metal"), tint, metres=2)
    body.points[body.points[:, 2] < 1] *= (0.75, 1, 1)
    k.add(body)


def _pallets(k: Kit, n: int) -> None:
    high = k.rng.uniform(0.3, 1.5)
    k.box((-0.6, -0.5, 0), (0.6, 0.5, high), (214, 186, 150), "crates")
    if n % 2:
        k.box((-0.5, -0.45, high), (0.5, 0.45, high + 0.9), (200, 196, 186), "fabric")


def _billboard(k: Kit, n: int) -> None:
    z = k.rng.uniform(2.6, 4.0)
    k.rod((0.06, 0, 0), (0.06, 0, z), 0.14, IRON, sides=6)
    k.board(0.0, (1.6, -1.6), (z, z + 2.0), k.pictures.sign("billboard", n), flags=EMITS)
    k.board(0.12, (-1.6, 1.6), (z, z + 2.0), k.pictures.sign("billboard", n + 7), flags=EMITS)


def _flags(k: Kit, n: int) -> None:
    for number in range(3):
        x = number * 2.2
        k.rod((x, 0, 0), (x, 0, 8.0), (0.06, 0.03), (220,) * 3)
        corners = ((x + 0.05, 0, 6.4), (x + 0.8, 0.3, 6.0), (x + 0.8, 0.3, 7.6), (x + 0.05, 0, 7.9))
        k.add(shapes.quad(corners, k.pictures.sign("banner", n + number), flags=TWO_SIDED))


def _statue(k: Kit, n: int) -> None:
    bronze, high = ((88, 120, 104), (84, 76, 66), (200, 196, 186), (70, 70, 70))[n], k.rng.uniform(1.4, 3.2)
    k.box((-1.1, -1.1, 0), (1.1, 1.1, 0.4), material="stone")
    k.box((-0.7, -0.7, 0.4), (0.7, 0.7, high), material="stone")
    k.rod((0, 0, high), (0.05, 0, high + 1.3), (0.42, 0.34), bronze, "metal", sides=7)
    k.rod((0.05, 0, high + 1.3), (0.05, 0, high + 1.7), (0.36, 0.08), bronze, "metal", sides=7)
    k.rod((0.3, 0, high + 1.25), (0.75, -0.3, high + 1.9), (0.1, 0.06), bronze, "metal")
    k.drum(0.17, high + 1.65, high + 2.0, bronze, "metal", at=(0.05, 0), sides=6)


def _fountain(k: Kit, n: int) -> None:
    ring = np.vstack([shapes.circle(2.4, 12), shapes.circle(2.4, 12)[:1]])
    rim = np.stack([np.column_stack([r, np.full(13, 0.55)]) for r in (ring * 0.88, ring)])
    uv = np.stack([np.stack([np.linspace(0, 8, 13), np.full(13, v)], 1) for v in (0, 0.3)])
    k.add(shapes.sheet(rim, uv, k.texture("stone")))
    k.add(shapes.prism(ring[:12] * 0.9, 0.2, 0.42, k.pictures.ground("water", 0)))
    k.drum(2.4, 0, 0.55, material="stone", sides=12, top=False)
    k.drum(0.3, 0.4, 1.6, material="stone", top=False)
    k.cone(1.0, 1.9, 1.3, material="stone", sides=10)
    k.drum(1.0, 1.85, 1.95, material="stone", sides=10)


def _tank(k: Kit, n: int) -> None:
    k.drum(1.4, 0, k.rng.uniform(3, 6), (200, 200, 196), "corrugated" if n % 2 else "metal", sides=10)


def boat(k: Kit, length: float) -> None:
    """A boat or barge of some length in metres, afloat at z = 0."""
    half, top = length * 0.13 + 0.5, 0.5 + length * 0.05
    tint = k.pick((230, 230, 226), (50, 70, 110), (120, 50, 46), (40, 44, 48), (70, 100, 90))
    bow = length * 0.25
    hull = np.array([(-length / 2, -half), (bow, -half), (length / 2, 0), (bow, half), (-length / 2, half)])
    k.add(shapes.prism(hull, -0.3, top, k.texture("planks"), tint))
    k.box((-length * 0.35, -half * 0.6, top), (length * 0.1, half * 0.6, top + 1.3), (236, 234, 228))
    if k.rng.random() < 0.5:
        mast = length * 0.12
        k.rod((mast, 0, top), (mast, 0, top + length * 1.1), (0.09, 0.04), (210, 200, 180))
        k.rod((mast, 0, top + 1.6), (-length * 0.35, 0, top + 1.7), 0.1, (60, 80, 120), "fabric")


def signal(k: Kit, reach: float) -> None:
    """A traffic light; reach: metres of its arm over the carriageway, or 0."""
    mast = (150, 154, 158) if reach else (40, 42, 44)
    high = 5.6 if reach else 2.9
    k.rod((0, 0, 0), (0, 0, high), (0.09, 0.07), mast, sides=6)
    heads = [(0.0, 2.3)]
    if reach:
        k.rod((0, 0, high - 0.1), (0, -reach, high + 0.2), 0.06, mast)
        heads += [(0.2 - reach, high - 0.8), (-reach / 2, high - 0.9)]
    for y, z in heads:
        k.box((-0.16, y - 0.17, z), (0.16, y + 0.17, z + 0.95), (170, 140, 40) if reach else (26, 28, 28), sides=CLOSED)
        for number, tint in enumerate(((60, 190, 110), (120, 90, 30), (150, 36, 30))):
            low = z + 0.06 + 0.3 * number
            for x, s in ((0.17, 0.1), (-0.17, -0.1)):
                k.board(x, (y - s, y + s), (low, low + 0.22), k.pictures.plain, tint, EMITS)


MONUMENTS: dict[str, Callable[[Kit, int], None]] = {
    "column": _column, "kiosk": _kiosk, "stall": _stall, "container": _container, "skip": _skip, "pallets": _pallets,
    "billboard": _billboard, "flags": _flags, "statue": _statue, "fountain": _fountain, "tank": _tank,
}  # fmt: skip
