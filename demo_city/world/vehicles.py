"""Cars, vans, lorries, motorcycles and bicycles; 1 unit is 1 m, and they look along x."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo_city.engine.mesh import DETAIL, EMITS, GLASS, TWO_SIDED, Mesh
from demo_city.looks.signs import car_texture
from demo_city.seeds import random_for
from demo_city.world import shapes
from demo_city.world.pictures import Pictures

COLOURS = (
    (232, 232, 230), (232, 232, 230), (196, 198, 202), (150, 153, 158), (92, 95, 100), (46, 48, 52), (28, 29, 32),
    (28, 29, 32), (150, 28, 30), (186, 44, 36), (40, 62, 112), (62, 92, 146), (104, 130, 160), (40, 70, 56),
    (188, 176, 150), (120, 96, 74), (214, 172, 52), (206, 110, 48), (84, 40, 48), (120, 150, 140),
)  # fmt: skip
# outline in the middle plane, from the front bumper over the roof: (share of the length from the front, share of the
# height, whether the part that follows is glass)
OUTLINES = {
    "saloon": ((0.0, 0.2, 0), (0.01, 0.46, 0), (0.05, 0.52, 0), (0.27, 0.62, 1), (0.42, 0.98, 0), (0.66, 1.0, 1),
               (0.83, 0.68, 0), (0.985, 0.64, 0), (1.0, 0.2, 0)),
    "hatch": ((0.0, 0.2, 0), (0.01, 0.46, 0), (0.06, 0.52, 0), (0.22, 0.62, 1), (0.4, 0.98, 0), (0.84, 1.0, 1),
              (0.96, 0.64, 0), (1.0, 0.5, 0), (1.0, 0.2, 0)),
    "estate": ((0.0, 0.2, 0), (0.01, 0.46, 0), (0.05, 0.52, 0), (0.25, 0.62, 1), (0.4, 0.98, 0), (0.9, 1.0, 1),
               (0.985, 0.64, 0), (1.0, 0.5, 0), (1.0, 0.2, 0)),
    "suv": ((0.0, 0.24, 0), (0.01, 0.52, 0), (0.05, 0.58, 0), (0.24, 0.66, 1), (0.37, 0.98, 0), (0.88, 1.0, 1),
            (0.975, 0.66, 0), (1.0, 0.52, 0), (1.0, 0.24, 0)),
    "pickup": ((0.0, 0.24, 0), (0.01, 0.5, 0), (0.05, 0.56, 0), (0.24, 0.62, 1), (0.34, 0.98, 0), (0.56, 1.0, 1),
               (0.6, 0.62, 0), (0.99, 0.6, 0), (1.0, 0.24, 0)),
    "van": ((0.0, 0.16, 0), (0.01, 0.4, 0), (0.1, 0.5, 1), (0.23, 0.95, 0), (0.5, 1.0, 0), (0.985, 1.0, 0),
            (1.0, 0.6, 0), (1.0, 0.16, 0)),
    "truck": ((0.0, 0.12, 0), (0.0, 0.4, 1), (0.02, 0.72, 0), (0.2, 0.76, 0), (0.24, 1.0, 0), (0.99, 1.0, 0),
              (1.0, 0.6, 0), (1.0, 0.12, 0)),
    "bus": ((0.0, 0.1, 0), (0.0, 0.34, 1), (0.015, 0.94, 0), (0.05, 1.0, 0), (0.96, 1.0, 0), (0.99, 0.95, 1),
            (1.0, 0.4, 0), (1.0, 0.1, 0)),
    "rickshaw": ((0.0, 0.2, 0), (0.05, 0.5, 1), (0.22, 0.95, 0), (0.5, 1.0, 0), (0.9, 0.96, 0), (1.0, 0.6, 0),
                 (1.0, 0.15, 0)),
}  # fmt: skip
# length, width and height in metres; from where to where the side windows reach, shares of the length
SIZES = {
    "saloon": (4.6, 1.8, 1.44, 0.3, 0.8),
    "hatch": (4.0, 1.74, 1.5, 0.26, 0.9),
    "estate": (4.7, 1.8, 1.48, 0.28, 0.94),
    "suv": (4.6, 1.9, 1.72, 0.27, 0.93),
    "pickup": (5.2, 1.9, 1.78, 0.27, 0.58),
    "van": (5.3, 2.0, 2.25, 0.13, 0.3),
    "truck": (7.6, 2.4, 3.1, 0.03, 0.17),
    "bus": (11.0, 2.5, 3.05, 0.03, 0.97),
    "rickshaw": (2.7, 1.3, 1.75, 0.25, 0.9),
}
BODY = (1, 2, 3)  # stands for the colour of the one car
DARK, CHROME = (24, 25, 28), (190, 192, 196)


@dataclass(frozen=True)
class Model:
    """A kind of vehicle.

    mesh: with its middle at the origin, looking along x
    body: bool (m,), faces in the vehicle's own colour
    length, width: metres
    """

    mesh: Mesh
    body: np.ndarray
    length: float
    width: float

    def coloured(self, tint: tuple[int, int, int]) -> Mesh:
        """The vehicle in one colour."""
        return shapes.recoloured(self.mesh, self.body, tint)


class Garage:
    """Makes each kind of vehicle of a district once."""

    def __init__(self, pictures: Pictures):
        self.pictures = pictures
        self._models: dict[tuple[str, int], Model] = {}

    def model(self, kind: str, variant: int = 0) -> Model:
        """A vehicle. kind: of SIZES, "motorbike" or "bicycle"."""
        if (kind, variant) not in self._models:
            maker = {"motorbike": _motorbike, "bicycle": _bicycle}.get(kind)
            self._models[kind, variant] = maker(self.pictures) if maker else _car(self.pictures, kind, variant)
        return self._models[kind, variant]

    def any(self, rng: np.random.Generator, kind: str) -> tuple[Mesh, Model]:
        """One vehicle of a kind, in a colour of its own."""
        model = self.model(kind, int(rng.integers(3)) if kind in SIZES else 0)
        return model.coloured(COLOURS[rng.integers(len(COLOURS))]), model


def _profile(kind: str, variant: int) -> tuple[np.ndarray, np.ndarray, tuple]:
    """The outline (n, 2), x from the front at positive x, and z; what is glass; and the sizes."""
    rng = random_for("car", kind, variant)
    length, width, height, first, last = SIZES[kind]
    length, width, height = (
        length * rng.uniform(0.93, 1.07),
        width * rng.uniform(0.97, 1.03),
        height * rng.uniform(0.96, 1.05),
    )
    outline = np.array(OUTLINES[kind], float)
    bend = rng.uniform(-0.02, 0.02)
    at = outline[:, 0] + bend * np.sin(outline[:, 0] * np.pi)
    return (
        np.stack([(0.5 - at) * length, outline[:, 1] * height], 1),
        outline[:, 2] > 0,
        (length, width, height, first, last),
    )


def _car(pictures: Pictures, kind: str, variant: int) -> Model:
    profile, glass, (length, width, height, first, last) = _profile(kind, variant)
    boxy = kind in ("van", "truck", "bus")
    # the sides stand upright up to the belt, and lean in above it
    belt = height * (0.34 if kind == "bus" else 0.5 if boxy else 0.6)
    lean = 0.03 if boxy else 0.17

    def half(z: np.ndarray) -> np.ndarray:
        return width / 2 * (1 - lean * np.clip((z - belt) / (height - belt), 0, 1))

    x, z = profile.T
    y = half(z)
    plain = pictures.plain
    left, right = np.stack([x, y, z], 1), np.stack([x, -y, z], 1)
    meshes = []
    for k in range(len(x) - 1):  # over the top, from the front to the back
        corners = (right[k], right[k + 1], left[k + 1], left[k])
        if glass[k]:
            meshes.append(shapes.quad(corners[::-1], plain, (52, 60, 70), GLASS))
        else:
            meshes.append(shapes.quad(corners[::-1], plain, BODY))
    for points, order in ((right, 1), (left, -1)):
        meshes.append(_flank(points, belt, plain, order))
        meshes.append(_side_windows(profile, belt, half, (first, last), length, order, plain))
    meshes += _wheels(pictures, length, width, height, kind)
    meshes += _lights(pictures, length, width, height, kind)
    mesh = Mesh.joined(meshes)
    body = (mesh.tint == np.array(BODY, np.uint8)).all(1)
    return Model(mesh, body, length, width)


def _flank(points: np.ndarray, belt: float, texture: int, order: int) -> Mesh:
    """One side of the body; points: the outline (n, 3); order: 1 for the right side, -1 for the left one."""
    foot = points.copy()
    foot[:, 2] = points[0, 2]
    knee = np.minimum(points[:, 2], belt)
    middle = np.column_stack([points[:, 0], np.sign(points[:, 1]) * np.abs(points[:, 1]).max(), knee])
    meshes = []
    for a, b in ((foot, middle), (middle, points)):
        rows = np.stack([a, b])
        uv = np.zeros((*rows.shape[:2], 2))
        meshes.append(shapes.sheet(rows if order > 0 else rows[::-1], uv, texture, BODY))
    return Mesh.joined(meshes)


def _side_windows(
    profile: np.ndarray,
    belt: float,
    half: Callable[[np.ndarray], np.ndarray],
    reach: tuple[float, float],
    length: float,
    order: int,
    texture: int,
) -> Mesh:
    """The panes of one side, a little before the body."""
    x, z = profile.T
    start, end = ((0.5 - share) * length for share in reach)
    low = belt + 0.04
    top = np.interp(-np.linspace(start, end, 7), -x[1:-1], z[1:-1]) - 0.09
    along = np.linspace(start, end, 7)
    top = np.maximum(top, low)
    rows = []
    for height in (np.full(7, low), top):
        rows.append(np.stack([along, -order * (half(height) + 0.012), height], 1))
    points = np.array(rows)
    uv = np.zeros((*points.shape[:2], 2))
    return shapes.sheet(points if order > 0 else points[::-1], uv, texture, (44, 50, 58), GLASS)


def _wheels(pictures: Pictures, length: float, width: float, height: float, kind: str) -> list[Mesh]:
    radius = {"truck": 0.48, "bus": 0.48, "suv": 0.37, "pickup": 0.38, "van": 0.35, "rickshaw": 0.24}.get(kind, 0.32)
    texture = pictures.table.index(("car", "wheel"), lambda: car_texture("wheel", 0))
    meshes = []
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    for at in (0.5 - 0.18, 0.5 - 0.8):
        for sign in (-1, 1):
            ring = np.stack(
                [
                    at * length + radius * np.cos(turn),
                    np.full(8, sign * (width / 2 + 0.015)),
                    radius + radius * np.sin(turn),
                ],
                1,
            )
            k = np.arange(1, 7)
            faces = np.stack([np.zeros_like(k), k, k + 1], 1)
            uv = np.stack([0.5 + 0.5 * np.cos(turn), 0.5 - 0.5 * np.sin(turn)], 1)
            meshes.append(shapes.make(ring, uv, faces if sign < 0 else faces[:, ::-1], texture))
    low = radius * 0.6
    meshes.append(
        shapes.box(
            (-length / 2 + 0.1, -width / 2 + 0.06, low * 0.4),
            (length / 2 - 0.1, width / 2 - 0.06, height * 0.24),
            pictures.plain,
            DARK,
        )
    )
    return meshes


def _lights(pictures: Pictures, length: float, width: float, height: float, kind: str) -> list[Mesh]:
    meshes, plain = [], pictures.plain
    z = height * (0.3 if kind in ("van", "truck", "bus") else 0.42)
    for sign in (-1, 1):
        y = sign * width * 0.36
        front, back = length / 2 + 0.012, -length / 2 - 0.012
        meshes.append(
            shapes.quad(
                (
                    (front, y - 0.17, z - 0.07),
                    (front, y + 0.17, z - 0.07),
                    (front, y + 0.17, z + 0.08),
                    (front, y - 0.17, z + 0.08),
                ),
                plain,
                (240, 242, 244),
                DETAIL | EMITS,
            )
        )
        meshes.append(
            shapes.quad(
                ((back, y + 0.15, z), (back, y - 0.15, z), (back, y - 0.15, z + 0.17), (back, y + 0.15, z + 0.17)),
                plain,
                (158, 22, 24),
                DETAIL | EMITS,
            )
        )
    plate = pictures.sign("plate", 0)
    for x, s in ((length / 2 + 0.014, 1), (-length / 2 - 0.014, -1)):
        meshes.append(
            shapes.quad(
                ((x, -0.26 * s, z - 0.2), (x, 0.26 * s, z - 0.2), (x, 0.26 * s, z - 0.08), (x, -0.26 * s, z - 0.08)),
                plate,
                (255, 255, 255),
                DETAIL,
            )
        )
    meshes.append(
        shapes.quad(
            (
                (length / 2 + 0.01, -width * 0.2, z - 0.06),
                (length / 2 + 0.01, width * 0.2, z - 0.06),
                (length / 2 + 0.01, width * 0.2, z + 0.06),
                (length / 2 + 0.01, -width * 0.2, z + 0.06),
            ),
            plain,
            DARK,
            DETAIL,
        )
    )
    return meshes


def _motorbike(pictures: Pictures) -> Model:
    plain = pictures.plain
    parts = [
        _tyre(pictures, 0.62, 0.29, 0.05), _tyre(pictures, -0.62, 0.29, 0.05),
        shapes.box((-0.45, -0.14, 0.3), (0.3, 0.14, 0.62), plain, DARK),
        shapes.box((-0.05, -0.15, 0.62), (0.4, 0.15, 0.86), plain, BODY),
        shapes.box((-0.75, -0.13, 0.66), (-0.05, 0.13, 0.8), plain, (30, 28, 28)),
        shapes.rod((0.62, 0, 0.3), (0.42, 0, 1.02), 0.05, plain, CHROME),
        shapes.rod((0.42, -0.36, 1.02), (0.42, 0.36, 1.02), 0.03, plain, DARK, sides=3),
        shapes.box((0.44, -0.1, 0.78), (0.58, 0.1, 0.98), plain, (220, 222, 224)),
    ]  # fmt: skip
    mesh = Mesh.joined(parts)
    return Model(mesh, (mesh.tint == np.array(BODY, np.uint8)).all(1), 1.9, 0.7)


def _tyre(pictures: Pictures, x: float, radius: float, half: float, sides: int = 8) -> Mesh:
    """A wheel in the x, z plane: a flat ring, so that one sees through its spokes."""
    turn = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([np.cos(turn), np.zeros_like(turn), np.sin(turn)], 1)
    rows = np.stack([ring * radius, ring * (radius - max(0.06, half))]) + (x, 0, radius)
    uv = np.zeros((*rows.shape[:2], 2))
    return shapes.sheet(rows, uv, pictures.plain, DARK, TWO_SIDED)


def _bicycle(pictures: Pictures) -> Model:
    plain = pictures.plain
    joints = {
        "rear": (-0.5, 0, 0.34),
        "front": (0.52, 0, 0.34),
        "crank": (-0.06, 0, 0.3),
        "seat": (-0.2, 0, 0.86),
        "head": (0.36, 0, 0.84),
    }
    pairs = (
        ("rear", "seat"),
        ("rear", "crank"),
        ("crank", "seat"),
        ("crank", "head"),
        ("seat", "head"),
        ("head", "front"),
    )
    parts = [shapes.rod(joints[a], joints[b], 0.02, plain, BODY, DETAIL, 3) for a, b in pairs]
    parts += [_tyre(pictures, -0.5, 0.34, 0.02), _tyre(pictures, 0.52, 0.34, 0.02)]
    parts.append(shapes.box((-0.33, -0.07, 0.9), (-0.08, 0.07, 0.96), plain, DARK, DETAIL))
    parts.append(shapes.rod((0.34, -0.28, 1.0), (0.34, 0.28, 1.0), 0.02, plain, DARK, DETAIL, 3))
    mesh = Mesh.joined(parts)
    return Model(mesh, (mesh.tint == np.array(BODY, np.uint8)).all(1), 1.75, 0.55)
