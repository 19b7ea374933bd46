"""Street lamps, and where their light is."""

import numpy as np

from demo_city.engine.mesh import EMITS
from demo_city.world import shapes
from demo_city.world.furniture import pole
from demo_city.world.kit import CLOSED, IRON, STEEL, Kit

GLOW = (255, 244, 214)


def street_lamp(k: Kit, kind: str, n: int) -> tuple[float, float, float]:
    """Makes a street lamp, and tells where it shines: x, y, z in metres, as in `furniture`.

    k: receives it
    kind: of Plan.lamps; "wall" hangs on a wall at its place
    n: 0 to 3, its variant
    """
    tint = (IRON, STEEL, (60, 78, 68), (40, 42, 46))[n % 4]
    return _MAKERS[kind](k, tint, n)


def _arm(k: Kit, tint: tuple, n: int) -> tuple[float, float, float]:
    high, reach = k.rng.uniform(6.5, 9), k.rng.uniform(1.0, 2.2)
    k.rod((0, 0, 0), (0, 0, high), (0.1, 0.06), tint, sides=6)
    k.rod((0, 0, high), (0, -reach, high + 0.3), 0.04, tint)
    k.box((-0.14, -reach - 0.5, high + 0.2), (0.14, -reach + 0.1, high + 0.34), tint)
    k.box((-0.12, -reach - 0.45, high + 0.16), (0.12, -reach + 0.05, high + 0.2), GLOW, flags=EMITS, sides=("bottom",))
    return 0, -reach, high


def _lantern(k: Kit, tint: tuple, n: int) -> tuple[float, float, float]:
    high = k.rng.uniform(3.4, 4.4)
    k.rod((0, 0, 0), (0, 0, high), (0.09, 0.05), tint, sides=6)
    _head(k, tint, 0.0, high)
    return 0, -0.05, high + 0.2


def _wall(k: Kit, tint: tuple, n: int) -> tuple[float, float, float]:
    high = k.rng.uniform(3.2, 4.2)
    k.rod((0, 0, high + 0.1), (0, -0.5, high + 0.5), 0.03, tint)
    _head(k, tint, -0.5, high)
    return 0, -0.55, high + 0.2


def _head(k: Kit, tint: tuple, y: float, low: float) -> None:
    k.drum(0.2, low, low + 0.45, GLOW, at=(0, y), flags=EMITS, sides=4)
    k.cone(0.3, low + 0.45, low + 0.75, tint, at=(0, y), sides=4)


def _globe(k: Kit, tint: tuple, n: int) -> tuple[float, float, float]:
    high = k.rng.uniform(3.2, 4.5)
    k.rod((0, 0, 0), (0, 0, high), (0.08, 0.05), tint, sides=6)
    k.cone(0.24, high + 0.2, high + 0.48, GLOW, flags=EMITS)
    k.cone(0.24, high + 0.2, high - 0.08, GLOW, flags=EMITS)
    return 0, -0.1, high + 0.2


def _pole(k: Kit, tint: tuple, n: int) -> tuple[float, float, float]:
    pole(k, n)
    k.rod((0, 0, 6.2), (0, -1.2, 6.5), 0.03, IRON)
    k.box((-0.12, -1.6, 6.4), (0.12, -1.1, 6.55), (200,) * 3, flags=EMITS, sides=CLOSED)
    return 0, -1.3, 6.3


def _post(k: Kit, tint: tuple, n: int) -> tuple[float, float, float]:
    high = k.rng.uniform(4.0, 6.0)
    k.rod((0, 0, 0), (0, 0, high), (0.09, 0.06), tint, sides=6)
    k.drum(0.16, high - 0.22, high, GLOW, flags=EMITS, top=False)
    k.drum(0.28, high, high + 0.16, tint)
    return 0, -0.1, high - 0.1


def hung_lamp(k: Kit, left: np.ndarray, right: np.ndarray, hook: np.ndarray) -> None:
    """A lamp on a wire between two walls; all (3,), metres."""
    for end in (left, right):
        k.rod(hook + (0, 0, 0.35), end, 0.02, IRON, sides=3)
    lamp = shapes.cone(shapes.circle(0.3, 8), 0, (0, 0, 0.35), k.pictures.plain, IRON)
    light = shapes.prism(shapes.circle(0.2, 6), -0.15, 0.02, k.pictures.plain, GLOW, EMITS)
    k.add(shapes.moved(lamp, hook))
    k.add(shapes.moved(light, hook))


_MAKERS = {"arm": _arm, "lantern": _lantern, "wall": _wall, "globe": _globe, "pole": _pole, "post": _post}
