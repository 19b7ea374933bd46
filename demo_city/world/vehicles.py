"""Cars, vans, lorries, motorcycles and bicycles; 1 unit is 1 m, and they look along x."""

from dataclasses import dataclass

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, EMITS, GLASS, TWO_SIDED, Mesh
from demo_city.looks.signs import car_texture
from demo_city.seeds import random_for
from demo_city.world import shapes
from demo_city.world.kit import CLOSED, Kit
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
DARK = (24, 25, 28)
WHEELS = {"truck": 0.48, "bus": 0.48, "suv": 0.37, "pickup": 0.38, "van": 0.35, "rickshaw": 0.24}  # radius, metres


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
            kit = Kit(self.pictures, random_for(kind, variant))
            maker = {"motorbike": _motorbike, "bicycle": _bicycle}.get(kind)
            self._models[kind, variant] = maker(kit) if maker else _car(kit, kind, variant)
        return self._models[kind, variant]

    def parked(self, rng: np.random.Generator, kind: str) -> tuple[Mesh, Model]:
        """As `any`, with its lamps off."""
        mesh, model = self.any(rng, kind)
        mesh.flags = mesh.flags & np.uint8(255 - EMITS)
        return mesh, model

    def any(self, rng: np.random.Generator, kind: str) -> tuple[Mesh, Model]:
        """One vehicle of a kind, in a colour of its own."""
        model = self.model(kind, int(rng.integers(3)) if kind in SIZES else 0)
        return model.coloured(COLOURS[rng.integers(len(COLOURS))]), model


def _profile(kind: str, variant: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """The outline (n, 2) as x and z from the front bumper over the roof, what is glass, and length, width, height."""
    rng = random_for("car", kind, variant)
    size = np.array(SIZES[kind][:3]) * rng.uniform((0.93, 0.97, 0.96), (1.07, 1.03, 1.05))
    outline = np.array(OUTLINES[kind], float)
    at = outline[:, 0] + rng.uniform(-0.02, 0.02) * np.sin(outline[:, 0] * np.pi)
    return np.stack([(0.5 - at) * size[0], outline[:, 1] * size[2]], 1), outline[:, 2] > 0, tuple(size.tolist())


def _model(kit: Kit, length: float, width: float) -> Model:
    mesh = kit.done()
    return Model(mesh, (mesh.tint == np.array(BODY, np.uint8)).all(1), length, width)


def _car(k: Kit, kind: str, variant: int) -> Model:
    profile, glass, (length, width, height) = _profile(kind, variant)
    boxy = kind in ("van", "truck", "bus")
    # the sides stand upright up to the belt, and lean in above it
    belt = height * (0.34 if kind == "bus" else 0.5 if boxy else 0.6)
    lean = (0.03 if boxy else 0.17) * width / 2 / (height - belt)
    x, z = profile.T
    half = width / 2 - lean * np.maximum(z - belt, 0)
    plain = k.pictures.plain
    left, right = np.stack([x, half, z], 1), np.stack([x, -half, z], 1)
    for n in range(len(x) - 1):  # over the top, from the front to the back
        tint, flags = ((52, 60, 70), GLASS) if glass[n] else (BODY, 0)
        k.add(shapes.quad((left[n], left[n + 1], right[n + 1], right[n]), plain, tint, flags))
    # the panes reach along the body, and from the belt to a little below the roof
    share = np.linspace(*SIZES[kind][3:], 4)
    along = (0.5 - share) * length
    top = np.maximum(np.interp(-along, -x[1:-1], z[1:-1]) - 0.09, belt + 0.04)
    for sign, edge in ((-1, right), (1, left)):
        k.add(_flank(edge, belt, plain, sign))
        low = np.stack([along, np.full(4, sign * (width / 2 + 0.012)), np.full(4, belt + 0.04)], 1)
        high = np.stack([along, sign * (width / 2 - lean * (top - belt) + 0.012), top], 1)
        rows = np.stack([low, high]) if sign < 0 else np.stack([high, low])
        k.add(shapes.sheet(rows, np.zeros((2, 4, 2)), plain, (44, 50, 58), GLASS))
    _wheels(k, length, width, WHEELS.get(kind, 0.32), height)
    _lights(k, length, width, height * (0.3 if boxy else 0.42))
    return _model(k, length, width)


def _flank(edge: np.ndarray, belt: float, texture: int, sign: int) -> Mesh:
    """One side of a body; edge: its outline (n, 3); sign: 1 on the left."""
    side = sign * np.abs(edge[:, 1]).max()
    knee = np.column_stack([edge[:, 0], np.full(len(edge), side), np.minimum(edge[:, 2], belt)])
    n = np.arange(1, len(edge) - 1)
    fan = np.stack([np.zeros_like(n), n, n + 1], 1)[:, ::-sign]
    lower = shapes.make(knee, np.zeros((len(edge), 2)), fan, texture, BODY)
    above = np.flatnonzero(edge[:, 2] > belt)
    span = slice(max(above[0] - 1, 0), above[-1] + 2)
    rows = np.stack([knee[span], edge[span]])
    rows = rows if sign < 0 else rows[::-1]
    return Mesh.joined([lower, shapes.sheet(rows, np.zeros((*rows.shape[:2], 2)), texture, BODY)])


def _wheels(k: Kit, length: float, width: float, radius: float, height: float) -> None:
    texture = k.pictures.table.index(("car", "wheel"), lambda: car_texture("wheel", 0))
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    n = np.arange(1, 7)
    faces, uv = np.stack([np.zeros_like(n), n, n + 1], 1), np.stack([np.cos(turn), -np.sin(turn)], 1) / 2 + 0.5
    for at in (0.32 * length, -0.3 * length):
        for sign in (-1, 1):
            y = np.full(8, sign * (width / 2 + 0.015))
            ring = np.stack([at + radius * np.cos(turn), y, radius + radius * np.sin(turn)], 1)
            k.add(shapes.make(ring, uv, faces[:, ::-sign], texture, flags=CUTOUT))
    low, side = radius * 0.25, width / 2 - 0.06
    k.box((0.1 - length / 2, -side, low), (length / 2 - 0.1, side, height * 0.24), DARK, sides=CLOSED[:4])


def _lights(k: Kit, length: float, width: float, z: float) -> None:
    plain, front, plate = k.pictures.plain, length / 2 + 0.012, k.pictures.sign("plate", 0)
    for y in (-width * 0.36, width * 0.36):
        k.board(front, (y - 0.17, y + 0.17), (z - 0.07, z + 0.08), plain, (240, 242, 244), DETAIL | EMITS)
        k.board(-front, (y + 0.15, y - 0.15), (z, z + 0.17), plain, (158, 22, 24), DETAIL | EMITS)
    for x, y in ((front, 0.26), (-front, -0.26)):
        k.board(x, (-y, y), (z - 0.2, z - 0.08), plate, flags=DETAIL)
    k.board(front, (-width * 0.2, width * 0.2), (z - 0.06, z + 0.06), plain, DARK, DETAIL)


def _motorbike(k: Kit) -> Model:
    _tyre(k, 0.62, 0.29, 0.06)
    _tyre(k, -0.62, 0.29, 0.06)
    k.box((-0.45, -0.14, 0.3), (0.3, 0.14, 0.62), DARK)
    k.box((-0.05, -0.15, 0.62), (0.4, 0.15, 0.86), BODY)
    k.box((-0.75, -0.13, 0.66), (-0.05, 0.13, 0.8), (30, 28, 28))
    k.rod((0.62, 0, 0.3), (0.42, 0, 1.02), 0.05, (190, 192, 196))
    k.rod((0.42, -0.36, 1.02), (0.42, 0.36, 1.02), 0.03, DARK, sides=3)
    k.box((0.44, -0.1, 0.78), (0.58, 0.1, 0.98), (220, 222, 224))
    return _model(k, 1.9, 0.7)


def _tyre(k: Kit, x: float, radius: float, thick: float) -> None:
    """A wheel in the x, z plane: a flat ring, so that one sees through its spokes."""
    turn = np.linspace(0, 2 * np.pi, 9)
    ring = np.stack([np.cos(turn), np.zeros_like(turn), np.sin(turn)], 1)
    rows = np.stack([ring * radius, ring * (radius - thick)]) + (x, 0, radius)
    k.add(shapes.sheet(rows, np.zeros((2, 9, 2)), k.pictures.plain, DARK, TWO_SIDED))


def _bicycle(k: Kit) -> Model:
    rear, front, crank, seat, head = (-0.5, 0, 0.34), (0.52, 0, 0.34), (-0.06, 0, 0.3), (-0.2, 0, 0.86), (0.36, 0, 0.84)
    for a, b in ((rear, seat), (rear, crank), (crank, seat), (crank, head), (seat, head), (head, front)):
        k.rod(a, b, 0.02, BODY, flags=DETAIL, sides=3)
    _tyre(k, -0.5, 0.34, 0.06)
    _tyre(k, 0.52, 0.34, 0.06)
    k.box((-0.33, -0.07, 0.9), (-0.08, 0.07, 0.96), DARK, flags=DETAIL)
    k.rod((0.34, -0.28, 1.0), (0.34, 0.28, 1.0), 0.02, DARK, flags=DETAIL, sides=3)
    return _model(k, 1.75, 0.55)
