"""Vehicles; 1 unit is 1 m, and they look along x. vehicles.toml says what kinds there are."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, EMITS, GLASS, Mesh
from demo_city.seeds import random_for
from demo_city.world import things
from demo_city.world.pictures import Pictures
from demo_city.world.shapes import CLOSED, DARK, Kit, box, make, polygon, sheet
from demo_city.world.things import PAINT

KINDS = tomllib.loads(Path(__file__).with_name("vehicles.toml").read_text(encoding="utf-8"))
TWO_WHEELED = {"moped": (1.9, 0.7), "bicycle": (1.75, 0.55)}  # length and width; see things.toml
COLOURS = [tuple(bytes.fromhex(colour)) for colour in KINDS.pop("colours").split()]
VARIANTS = 3


@dataclass(frozen=True)
class Model:
    """A kind of vehicle: its mesh, with its middle at the origin and looking along x, and its size in metres."""

    mesh: Mesh
    length: float
    width: float

    def painted(self, rng: np.random.Generator, lit: bool) -> Mesh:
        """One vehicle in a colour of its own; lit: whether its lamps are on."""
        mesh, colour = self.mesh, np.array(COLOURS[rng.integers(len(COLOURS))], np.uint8)
        tint = np.where((mesh.tint == np.array(PAINT, np.uint8)).all(1, keepdims=True), colour, mesh.tint)
        return replace(mesh, tint=tint, flags=mesh.flags if lit else mesh.flags & np.uint8(255 - EMITS))


def vehicle(pictures: Pictures, kind: str, variant: int) -> Model:
    """A vehicle; kind: of KINDS or TWO_WHEELED; variant: below VARIANTS."""
    if kind in TWO_WHEELED:
        return Model(things.thing(pictures, kind, variant), *TWO_WHEELED[kind])
    return _car(pictures, kind, variant)


def _car(pictures: Pictures, kind: str, variant: int) -> Model:
    about, rng = KINDS[kind], random_for("car", kind, variant)
    length, width, height = np.array(about["size"]) * rng.uniform((0.93, 0.97, 0.96), (1.07, 1.03, 1.05))
    outline = [[float(word) for word in point.split()] for point in about["outline"].split(",")]
    at = np.array([point[0] for point in outline])
    at = at + rng.uniform(-0.02, 0.02) * np.sin(at * np.pi)
    x, z = (0.5 - at) * length, np.array([point[1] for point in outline]) * height
    # the sides stand upright up to the belt, and lean in above it
    boxy, k = "boxy" in about, Kit(pictures)
    belt = height * (0.34 if kind == "bus" else 0.5 if boxy else 0.6)
    lean = (0.03 if boxy else 0.17) * width / 2 / (height - belt)
    half = width / 2 - lean * np.maximum(z - belt, 0)
    left, right = np.stack([x, half, z], 1), np.stack([x, -half, z], 1)
    for n in range(len(x) - 1):  # over the top, from the front to the back
        look = {"tint": (52, 60, 70), "flags": GLASS} if len(outline[n]) > 2 else {"tint": PAINT}
        k.add(polygon, (left[n], left[n + 1], right[n + 1], right[n]), **look)
    # the panes reach along the body, and from the belt to a little below the roof
    along = (0.5 - np.linspace(*about["windows"], 4)) * length
    top = np.maximum(np.interp(-along, -x[1:-1], z[1:-1]) - 0.09, belt + 0.04)
    for sign, edge in ((-1, right), (1, left)):
        _flank(k, edge, belt, sign)
        low = np.stack([along, np.full(4, sign * (width / 2 + 0.012)), np.full(4, belt + 0.04)], 1)
        high = np.stack([along, sign * (width / 2 - lean * (top - belt) + 0.012), top], 1)
        k.add(sheet, np.stack([low, high])[::-sign], np.zeros((2, 4, 2)), tint=(44, 50, 58), flags=GLASS)
    _wheels(k, length, width, about.get("wheel", 0.32), height)
    _lights(k, length, width, height * (0.3 if boxy else 0.42))
    return Model(k.done(), float(length), float(width))


def _flank(k: Kit, edge: np.ndarray, belt: float, sign: int) -> None:
    """One side of a body; edge: its outline (n, 3); sign: 1 on the left."""
    knee = np.column_stack([edge[:, 0], np.full(len(edge), edge[0, 1]), np.minimum(edge[:, 2], belt)])
    k.add(polygon, knee[::-sign], np.zeros((len(edge), 2)), tint=PAINT)
    above = np.flatnonzero(edge[:, 2] > belt)
    span = slice(max(above[0] - 1, 0), above[-1] + 2)
    rows = np.stack([knee[span], edge[span]])[::-sign]
    k.add(sheet, rows, np.zeros((*rows.shape[:2], 2)), tint=PAINT)


def _wheels(k: Kit, length: float, width: float, radius: float, height: float) -> None:
    turn, n = np.linspace(0, 2 * np.pi, 9)[:-1], np.arange(1, 7)
    uv, fan = np.stack([np.cos(turn), -np.sin(turn)], 1) / 2 + 0.5, np.stack([0 * n, n, n + 1], 1)
    for sign in (-1, 1):
        ring = np.stack([np.cos(turn) * radius, 0 * turn, radius + np.sin(turn) * radius], 1)
        k.add(make, ring, uv, fan[:, ::-sign], material=k.pictures.wheel, flags=CUTOUT)
        k.repeat([(at * length, sign * (width / 2 + 0.015), 0) for at in (0.32, -0.3)])
    low, side = radius * 0.25, width / 2 - 0.06
    k.add(box, (0.1 - length / 2, -side, low), (length / 2 - 0.1, side, height * 0.24), CLOSED[:4], tint=DARK)


def _lights(k: Kit, length: float, width: float, z: float) -> None:
    def board(end: int, y: float, half: float, low: float, high: float, **look: object) -> None:
        x = end * (length / 2 + 0.012)
        corners = (x, y - half, z + low), (x, y + half, z + high)
        k.add(box, *corners, ("right" if end > 0 else "left",), 0, **{"flags": DETAIL, **look})

    for y in (-width * 0.36, width * 0.36):
        board(1, y, 0.17, -0.07, 0.08, tint=(240, 242, 244), flags=DETAIL | EMITS)
        board(-1, y, 0.15, 0.0, 0.17, tint=(158, 22, 24), flags=DETAIL | EMITS)
    for end in (-1, 1):
        board(end, 0.0, 0.26, -0.2, -0.08, material=k.pictures.sign("plate", 0))
    board(1, 0.0, width * 0.2, -0.06, 0.06, tint=DARK)
