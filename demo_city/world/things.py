"""Things that stand in streets, of parts that things.toml and lights.toml list in a language of their own; vehicles."""

import tomllib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, EMITS, GLASS, TWO_SIDED, Mesh
from demo_city.seeds import random_for
from demo_city.world import plants, shapes
from demo_city.world.shapes import AROUND, CLOSED, DARK, Kit, Pictures, box, make, polygon, sheet


def _table(name: str) -> dict:
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


THINGS, KINDS = _table("things.toml") | _table("lights.toml"), _table("vehicles.toml")
VARIANTS = 4
TWO_WHEELED = {"moped": (1.9, 0.7), "bicycle": (1.75, 0.55)}  # length and width; see things.toml
COLOURS = [tuple(bytes.fromhex(colour)) for colour in KINDS.pop("colours").split()]
MODELS = 3  # of each kind of vehicle
PAINT = (1, 2, 3)  # stands for a colour of its own, until it gets one
_FLAGS = {"detail": DETAIL, "glass": GLASS, "emits": EMITS, "thin": TWO_SIDED, "cutout": CUTOUT}


def of(kind: str, name: str, otherwise: float = 0.0) -> float:
    """A property of a kind of things, see things.toml."""
    return THINGS[kind].get(name, 0.3 if name == "room" else otherwise)


def thing(pictures: Pictures, kind: str, variant: int) -> Mesh:
    """A thing of a district; kind: of THINGS; variant: 0 to 3."""
    size = random_for(pictures.key, "thing", kind, variant).uniform(-1, 1, 3) * of(kind, "vary", 0.1) + 1
    return shapes.moved(_joined(pictures, kind, variant, PAINT), (0, 0, 0), scale=size)


def _joined(pictures: Pictures, kind: str, n: int, paint: tuple[int, ...]) -> Mesh:
    kit = Kit(pictures, n)
    for variants, shape, numbers, words in _read(kind):
        if str(n) in variants:
            _add(kit, shape, numbers, [options[n % len(options)] for options in words], paint)
    return Mesh.joined(kit.parts)


@lru_cache(None)
def _read(kind: str) -> list[tuple[str, str, list[float], list[list[str]]]]:
    """The lines of a thing's parts: variants, shape, numbers and words."""
    found = []
    for line in THINGS[kind]["parts"].strip().splitlines():
        before, colon, after = line.partition(": ")
        shape, *rest = (after if colon else line).split()
        count = next((k for k, word in enumerate(rest) if word[-1] not in "0123456789." or word[0] in "#sx"), len(rest))
        numbers, words = [float(word) for word in rest[:count]], [word.split("|") for word in rest[count:]]
        words = [["#" * (options[0][0] == "#") + option.lstrip("#") for option in options] for options in words]
        found.append((before if colon else "0123", shape, numbers, words))
    return found


def _add(kit: Kit, shape: str, a: list[float], words: list[str], paint: tuple[int, ...]) -> None:
    """Adds one part; a: its numbers."""
    how, sides, count, step = {"flags": 0}, 8 if shape in ("drum", "cone") else 4, 1, 0.0
    for word in words:
        if word[0] == "#":
            how["tint"] = tuple(bytes.fromhex(word[1:]))
        elif word == "paint":
            how["tint"] = paint
        elif word in _FLAGS:
            how["flags"] |= _FLAGS[word]
        elif word.startswith("sign:"):
            how["material"] = kit.pictures.sign(word[5:], kit.variant)
        elif word[0] == "s" and word[1:].isdigit():
            sides = int(word[1:])
        elif word[0] == "x" and word[1].isdigit():
            count, step = int(word[1]), float(word[3:])
        elif word not in ("open", "closed", *CLOSED):
            how["material"] = word
    x, y, z = a[:3]
    if shape == "use":
        turn, mesh = np.radians(a[3]), _joined(kit.pictures, words[0], kit.variant, how.get("tint", paint))
        kit.parts.append(shapes.moved(mesh, a[:3], (np.cos(turn), np.sin(turn))))
    elif shape == "bush":
        kit.parts.append(plants.bush(kit.pictures, words[0], kit.variant))
        kit.parts[-1] = shapes.moved(kit.parts[-1], a[:3], scale=(a[3], a[3], a[4]))
    elif shape == "box":
        those = [word for word in words if word in CLOSED] or (CLOSED if "closed" in words else AROUND)
        kit.add(box, a[:3], a[3:], those, 2.0 if isinstance(how.get("material", ""), str) else 0.0, **how)
    elif shape == "rod":
        kit.add(shapes.rod, a[:3], a[3:6], a[6:], sides, **how)
    elif shape == "drum":
        kit.add(shapes.prism, shapes.circle(z, sides, (x, y)), *a[3:], "open" not in words, **how)
    elif shape == "cone":
        kit.add(shapes.cone, shapes.circle(z, sides, (x, y))[:: 1 if a[4] > a[3] else -1], a[3], (x, y, a[4]), **how)
    elif shape == "ring":
        turn = np.linspace(0, 2 * np.pi, 9)
        circle = np.stack([np.cos(turn), 0 * turn, np.sin(turn)], 1)
        rows = np.stack([circle * z, circle * (z - 0.06)]) + (x, 0, y)
        kit.add(sheet, rows, np.zeros((2, 9, 2)), tint=DARK, **how)
    else:
        kit.add(polygon, np.reshape(a, (4, 3)), **how)
    kit.repeat([(k * step, 0, 0) for k in range(count)])


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
    """A vehicle; kind: of KINDS or TWO_WHEELED; variant: below MODELS."""
    if kind in TWO_WHEELED:
        return Model(thing(pictures, kind, variant), *TWO_WHEELED[kind])
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
    """Lamps, number plates and the grille."""
    red, white, boards = {"tint": (158, 22, 24)}, {"tint": (240, 242, 244)}, []
    for y in (-width * 0.36, width * 0.36):
        boards += [(1, y, 0.17, -0.07, 0.08, white), (-1, y, 0.15, 0.0, 0.17, red)]
    boards += [(end, 0.0, 0.26, -0.2, -0.08, {"material": k.pictures.sign("plate", 0)}) for end in (-1, 1)]
    for end, y, half, low, high, look in (*boards, (1, 0.0, width * 0.2, -0.06, 0.06, {"tint": DARK})):
        x, flags = end * (length / 2 + 0.012), DETAIL | EMITS * (look in (red, white))
        corners = (x, y - half, z + low), (x, y + half, z + high)
        k.add(box, *corners, ("right" if end > 0 else "left",), 0, flags=flags, **look)
