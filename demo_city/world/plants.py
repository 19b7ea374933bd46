"""Trees, bushes and hedges: trunks and boughs with clumps of leaves."""

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, FOLIAGE, NO_OWNER, TWO_SIDED, Mesh
from demo_city.seeds import random_for
from demo_city.world import shapes
from demo_city.world.shapes import Pictures

LEAVES = CUTOUT | FOLIAGE | TWO_SIDED
VARIANTS = 5  # different trees of a kind in a district
GREENS = ((255, 255, 255), (228, 236, 214), (244, 240, 220), (214, 226, 206), (255, 246, 224))
# height of the lowest boughs, half width of the crown, clumps and their size
LEAFY = {"round": (0.3, 0.3, 12, 0.36), "tall": (0.16, 0.13, 11, 0.27), "broad": (0.24, 0.46, 17, 0.38)}


def _clumps(texture: int, green: int, rng: np.random.Generator, middles: np.ndarray, sizes: np.ndarray) -> Mesh:
    """Two crossed pictures of leaves at each of some places (n, 3), of some sizes (n,), metres; green: of GREENS."""
    count = len(middles)
    turn = (rng.uniform(0, np.pi, count)[:, None] + (0, np.pi / 2)).reshape(-1)
    tip, half = np.repeat(rng.uniform(-0.5, 0.5, count), 2), np.repeat(sizes / 2, 2)
    side = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1) * half[:, None]
    up = np.stack([-np.sin(turn) * np.sin(tip), np.cos(turn) * np.sin(tip), np.cos(tip)], 1)
    up *= (half * rng.uniform(0.85, 1.1, 2 * count))[:, None]
    middle = np.repeat(middles, 2, 0)
    corners = np.stack([middle - side - up, middle + side - up, middle + side + up, middle - side + up], 1)
    mirrored = rng.random(2 * count)[:, None, None] < 0.5
    uv = np.abs(shapes.WHOLE - mirrored * (1, 0))
    shades = 1 - 0.22 * rng.random(count) - 0.12 * (middles[:, 2] < np.median(middles[:, 2]))
    tints = np.repeat(shades, 4)[:, None] * GREENS[green % len(GREENS)]
    return shapes.quads(corners, uv, texture=texture, tint=tints, flags=LEAVES)


def tree(pictures: Pictures, kind: str, variant: int) -> Mesh:
    """A tree of 1 m, to be scaled. kind: of LEAFY, "conifer" or "palm"; variant: which of the trees of that kind."""
    rng = random_for(pictures.key, "tree", kind, variant)
    maker = {"conifer": _conifer, "palm": _palm}.get(kind, _leafy)
    return Mesh.joined(maker(pictures, kind, variant, rng))


def _leafy(pictures: Pictures, kind: str, variant: int, rng: np.random.Generator) -> list[Mesh]:
    bark, (fork, wide, count, size) = pictures.bark(kind, variant), LEAFY[kind]
    fork, wide = fork * rng.uniform(0.7, 1.35), wide * rng.uniform(0.85, 1.2)
    stems, meshes = 1 if kind != "broad" or rng.random() < 0.5 else int(rng.integers(2, 4)), []
    top = np.array([*rng.normal(0, 0.03, 2), fork])
    for _ in range(stems):
        foot = (*(rng.normal(0, 0.025, 2) if stems > 1 else (0, 0)), -0.03)
        head = top + (*rng.normal(0, 0.06 if stems > 1 else 0, 2), rng.uniform(-0.03, 0.06))
        thick = (0.02 if stems > 1 else 0.03) * rng.uniform(0.75, 1.2)
        meshes.append(shapes.rod(foot, head, (thick, thick * 0.65), 5, texture=bark))
    n = np.arange(count)
    turn, high = n * 2.4 + rng.uniform(-0.5, 0.5, count), np.where(n, rng.uniform(-1, 1, count), 1.0)
    reach = np.sqrt(np.maximum(1 - high**2, 0)) * rng.uniform(0.45, 1.0, count)
    if kind == "tall":
        reach = (1 - 0.65 * np.maximum(high, -0.4)) * rng.uniform(0.3, 0.9, count)
    z = np.minimum(fork + (1 - fork) * (0.52 + high * 0.4), 1 - size * 0.4)
    middles = np.stack([np.cos(turn) * reach * wide, np.sin(turn) * reach * wide, z], 1)
    meshes += [shapes.rod(head, at, (0.016, 0.006), 3, texture=bark) for at in middles[1:16:3]]
    sizes = size * rng.uniform(0.8, 1.25, count)
    return [*meshes, _clumps(pictures.leaves(kind, variant), variant, rng, middles, sizes)]


def _conifer(pictures: Pictures, kind: str, variant: int, rng: np.random.Generator) -> list[Mesh]:
    low, wide, t = rng.uniform(0.04, 0.25), rng.uniform(0.14, 0.26), np.repeat(np.arange(6) / 6, 3)
    turn = np.repeat(np.arange(6) * 0.7, 3) + np.tile(np.arange(3) * np.pi / 3, 6)
    side = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1) * (wide * (1 - t) + 0.03)[:, None]
    bottom = np.stack([0 * t, 0 * t, low + (1 - low) * t], 1)
    up = np.stack([0 * t, 0 * t, np.minimum((1 - low) * 0.35, 1.02 - bottom[:, 2])], 1)
    corners = np.stack([bottom - side, bottom + side, bottom + side + up, bottom - side + up], 1)
    tints = np.repeat(255 - 50 * (1 - t) * rng.random(18), 2)[:, None]
    trunk = shapes.rod((0, 0, -0.03), (0, 0, 0.95), (0.022, 0.004), texture=pictures.bark(kind, variant))
    return [trunk, shapes.quads(corners, texture=pictures.leaves(kind, variant), tint=tints, flags=LEAVES)]


def _palm(pictures: Pictures, kind: str, variant: int, rng: np.random.Generator) -> list[Mesh]:
    bark, lean, turn = pictures.bark(kind, variant), rng.normal(0, 0.06, 2), np.arange(11) * 2.4
    knee, top, rise = np.array([*lean * 0.35, 0.42]), np.array([*lean, 0.82]), rng.uniform(-0.12, 0.16, 11)
    out, up = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1), np.array([0, 0, 1.0]) * rise[:, None]
    side, start = np.stack([-out[:, 1], out[:, 0], 0 * turn], 1) * 0.085, np.broadcast_to(top, (11, 3))
    bend = top + out * 0.19 + up
    tip = bend + out * 0.14 + up - (0, 0, 0.2)
    meshes = [shapes.rod((0, 0, -0.03), knee, (0.03, 0.022), 5, texture=bark)]
    meshes.append(shapes.rod(knee, top, (0.022, 0.018), 5, texture=bark))
    for a, b, low in ((start, bend, 0.5), (bend, tip, 0.0)):
        corners, uv = np.stack([a - side, a + side, b + side, b - side], 1), shapes.WHOLE * np.array([1, 0.5])
        meshes.append(shapes.quads(corners, uv + (0, low), texture=pictures.leaves(kind, variant), flags=LEAVES))
    return meshes


def bush(pictures: Pictures, kind: str, variant: int) -> Mesh:
    """A bush of 1 m, to be scaled. kind: "bush", "flowers" or "grass"."""
    rng = random_for(pictures.key, "bush", kind, variant)
    middles = np.column_stack([rng.uniform(-0.32, 0.32, (5, 2)), [0.6, 0.36, 0.36, 0.36, 0.36]])
    return _clumps(pictures.leaves(kind, variant), variant, rng, middles, rng.uniform(0.75, 1.0, 5))


def hedge(pictures: Pictures, variant: int, length: float, height: float) -> Mesh:
    """A cut hedge along x, with leaves along its upper edge."""
    rng, green = random_for("hedge", variant), pictures.material("hedge", variant % 3)
    x = np.arange(0, max(length - 0.4, 0.5), 1.1)
    y, z = np.full_like(x, 0.1), np.full_like(x, height + 0.15)
    corners = [(x, y - 0.14, z - 0.45), (x + 1.2, y - 0.14, z - 0.45), (x + 1.2, y, z), (x, y, z)]
    look = {"texture": pictures.leaves("hedge", variant), "flags": LEAVES | DETAIL}
    tints = np.repeat(rng.uniform(200, 255, (len(x), 1)), 2, 0)
    leaves = shapes.quads(np.array(corners).transpose(2, 0, 1), tint=tints, **look)
    body = shapes.box((0, 0, -0.2), (length, 0.6, height), texture=green, owner=NO_OWNER)
    return Mesh.joined([body, leaves])
