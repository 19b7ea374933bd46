"""Trees, bushes, hedges and climbers: trunks and boughs with clumps of leaves."""

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, FOLIAGE, TWO_SIDED, Mesh
from demo_city.seeds import random_for
from demo_city.world import shapes
from demo_city.world.pictures import Pictures

LEAVES = CUTOUT | FOLIAGE | TWO_SIDED
VARIANTS = 5  # different trees of a kind in a district
GREENS = ((255, 255, 255), (228, 236, 214), (244, 240, 220), (214, 226, 206), (255, 246, 224))


def clump(
    pictures: Pictures,
    kind: str,
    variant: int,
    middle: np.ndarray,
    size: float,
    rng: np.random.Generator,
    tint: tuple = (255, 255, 255),
) -> Mesh:
    """Two crossed pictures of leaves.

    kind, variant: of looks.plants.leaves_texture
    middle: (3,), metres
    size: width and height, metres
    rng: turns them
    tint: of the leaves
    """
    turn, tip = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5)
    half = size / 2
    meshes = []
    for k in range(2):
        a = turn + k * np.pi / 2
        side = np.array([np.cos(a), np.sin(a), 0.0]) * half
        up = np.array([-np.sin(a) * np.sin(tip), np.cos(a) * np.sin(tip), np.cos(tip)]) * half * rng.uniform(0.85, 1.1)
        corners = (middle - side - up, middle + side - up, middle + side + up, middle - side + up)
        uv = ((0, 1), (1, 1), (1, 0), (0, 0)) if rng.random() < 0.5 else ((1, 1), (0, 1), (0, 0), (1, 0))
        meshes.append(shapes.quad(corners, pictures.leaves(kind, variant), tint, LEAVES, uv=uv))
    return Mesh.joined(meshes)


def tree(pictures: Pictures, kind: str, variant: int) -> Mesh:
    """A tree of 1 m, to be scaled: trunk, boughs and leaves.

    kind: "round", "tall", "broad", "conifer" or "palm"
    variant: which of the trees of that kind
    """
    rng = random_for("tree", kind, variant)
    makers = {"conifer": _conifer, "palm": _palm}
    return Mesh.joined(makers.get(kind, _leafy)(pictures, kind, variant, rng))


def _leafy(pictures: Pictures, kind: str, variant: int, rng: np.random.Generator) -> list[Mesh]:
    bark = pictures.bark(kind, variant)
    # height of the lowest boughs, half width of the crown, clumps and their size
    fork, wide, count, size = {
        "round": (0.3, 0.3, 12, 0.36),
        "tall": (0.16, 0.13, 11, 0.27),
        "broad": (0.24, 0.46, 17, 0.38),
    }[kind]
    fork *= rng.uniform(0.7, 1.35)
    wide *= rng.uniform(0.85, 1.2)
    lean = rng.normal(0, 0.03, 2)
    top = np.array([*lean, fork])
    stems = 1 if kind != "broad" or rng.random() < 0.5 else int(rng.integers(2, 4))
    meshes = []
    for n in range(stems):
        foot = np.array([*(rng.normal(0, 0.025, 2) if stems > 1 else (0, 0)), -0.03])
        head = top + np.array([*rng.normal(0, 0.09 if stems > 1 else 0, 2), rng.uniform(-0.03, 0.06)])
        thick = (0.034 if n == 0 else 0.026) * rng.uniform(0.75, 1.2)
        meshes.append(shapes.rod(foot, head, (thick, thick * 0.65), bark, sides=5 if stems == 1 else 4))
        top = head if n == 0 else top
    middle = fork + (1 - fork) * 0.52
    for n in range(count):
        angle, height = n * 2.4 + rng.uniform(-0.5, 0.5), rng.uniform(-1, 1) if n else 1.0
        reach = np.sqrt(max(1 - height**2, 0)) * rng.uniform(0.45, 1.0)
        if kind == "tall":
            reach = (1 - 0.65 * max(height, -0.4)) * rng.uniform(0.3, 0.9)
        at = np.array([np.cos(angle) * reach * wide, np.sin(angle) * reach * wide, middle + height * (1 - fork) * 0.4])
        at[2] = min(at[2], 1 - size * 0.4)
        if n % 3 == 1 and len(meshes) < stems + 5:
            meshes.append(shapes.rod(top, at, (0.016, 0.006), bark, sides=3))
        shade = 1 - 0.22 * rng.random() - 0.12 * (height < 0)
        tint = tuple(int(c * shade) for c in GREENS[variant % len(GREENS)])
        meshes.append(clump(pictures, kind, variant % 3, at, size * rng.uniform(0.8, 1.25), rng, tint))
    return meshes


def _conifer(pictures: Pictures, kind: str, variant: int, rng: np.random.Generator) -> list[Mesh]:
    meshes = [shapes.rod((0, 0, -0.03), (0, 0, 0.95), (0.022, 0.004), pictures.bark(kind, variant), sides=4)]
    low, wide, tiers = rng.uniform(0.04, 0.25), rng.uniform(0.14, 0.26), 6
    texture = pictures.leaves(kind, variant % 3)
    for n in range(tiers):
        t = n / tiers
        z, reach = low + (1 - low) * t, wide * (1 - t) + 0.03
        high = (1 - low) / tiers * 2.1
        for k in range(3):
            a = n * 0.7 + k * np.pi / 3
            side = np.array([np.cos(a), np.sin(a), 0]) * reach
            bottom, up = np.array([0, 0, z]), np.array([0, 0, min(high, 1.02 - z)])
            shade = (int(255 - 50 * (1 - t) * rng.random()),) * 3
            meshes.append(
                shapes.quad(
                    (bottom - side, bottom + side, bottom + side + up, bottom - side + up), texture, shade, LEAVES
                )
            )
    return meshes


def _palm(pictures: Pictures, kind: str, variant: int, rng: np.random.Generator) -> list[Mesh]:
    bark, lean = pictures.bark(kind, variant), rng.normal(0, 0.06, 2)
    knee, top = np.array([*lean * 0.35, 0.42]), np.array([*lean, 0.82])
    meshes = [
        shapes.rod((0, 0, -0.03), knee, (0.03, 0.022), bark, sides=5),
        shapes.rod(knee, top, (0.022, 0.018), bark, sides=5),
    ]
    texture = pictures.leaves(kind, variant % 3)
    for n in range(11):
        a, rise = n * 2.4, rng.uniform(-0.12, 0.16)
        out = np.array([np.cos(a), np.sin(a), 0.0])
        side = np.array([-np.sin(a), np.cos(a), 0.0]) * 0.085
        bend = top + out * 0.19 + (0, 0, rise)
        tip = bend + out * 0.14 + (0, 0, rise - 0.2)
        for start, end, v in ((top, bend, (1.0, 0.5)), (bend, tip, (0.5, 0.0))):
            corners = (start - side, start + side, end + side, end - side)
            uv = ((0, v[0]), (1, v[0]), (1, v[1]), (0, v[1]))
            meshes.append(shapes.quad(corners, texture, (255, 255, 255), LEAVES, uv=uv))
    return meshes


def bush(pictures: Pictures, variant: int, kind: str = "bush") -> Mesh:
    """A bush of 1 m, to be scaled. kind: "bush", "flowers" or "grass"."""
    rng = random_for("bush", kind, variant)
    meshes = []
    for n in range(5):
        at = np.array([*rng.uniform(-0.32, 0.32, 2), 0.36 if n else 0.6])
        tint = tuple(int(c * rng.uniform(0.8, 1)) for c in GREENS[variant % len(GREENS)])
        meshes.append(clump(pictures, kind, variant % 3, at, rng.uniform(0.75, 1.0), rng, tint))
    return Mesh.joined(meshes)


def climber(pictures: Pictures, variant: int, width: float, height: float) -> Mesh:
    """Leaves on a wall, and some that stand out from it; x along the wall, y inwards."""
    rng = random_for("climber", variant)
    texture = pictures.leaves("ivy", variant % 3)
    meshes = []
    for x in np.arange(0, width, 1.4):
        for z in np.arange(0, height * rng.uniform(0.6, 1.0), 1.4):
            w, y = rng.uniform(1.5, 2.1), -rng.uniform(0.06, 0.22)
            corners = ((x - 0.2, y, z - 0.1), (x + w, y * 1.5, z - 0.1), (x + w, y, z + w), (x - 0.2, y * 1.5, z + w))
            tint = (int(rng.uniform(190, 255)),) * 3
            meshes.append(shapes.quad(corners, texture, tint, LEAVES))
    return Mesh.joined(meshes)


def hedge(pictures: Pictures, variant: int, length: float, height: float, width: float = 0.6) -> Mesh:
    """A cut hedge along x, with leaves along its upper edge."""
    rng = random_for("hedge", variant)
    body = shapes.box((0, 0, -0.2), (length, width, height), pictures.material("hedge", variant % 3), metres=2.0)
    meshes = [body]
    for x in np.arange(0, length - 0.4, 1.1):
        corners = ((x, -0.04, height - 0.3), (x + 1.2, -0.04, height - 0.3), (x + 1.2, 0.1, height + 0.15),
                   (x, 0.1, height + 0.15))  # fmt: skip
        shade = (int(rng.uniform(200, 255)),) * 3
        meshes.append(shapes.quad(corners, pictures.leaves("hedge", variant % 3), shade, LEAVES | DETAIL))
    return Mesh.joined(meshes)
