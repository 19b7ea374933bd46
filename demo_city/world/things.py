"""The things that stand in streets, made of the parts that things.toml lists in a small language of its own."""

import tomllib
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from demo_city.engine.mesh import CUTOUT, DETAIL, EMITS, GLASS, TWO_SIDED, Mesh
from demo_city.seeds import random_for
from demo_city.world import plants, shapes
from demo_city.world.pictures import Pictures
from demo_city.world.shapes import AROUND, CLOSED, DARK, Kit

THINGS = tomllib.loads(Path(__file__).with_name("things.toml").read_text(encoding="utf-8"))
VARIANTS = 4
PAINT = (1, 2, 3)  # stands for a colour of its own, until it gets one
_FLAGS = {"detail": DETAIL, "glass": GLASS, "emits": EMITS, "thin": TWO_SIDED, "cutout": CUTOUT}


def of(kind: str, name: str, otherwise: float = 0.0) -> float:
    """A property of a kind of things, see things.toml."""
    return THINGS[kind].get(name, 0.3 if name == "room" else otherwise)


def thing(pictures: Pictures, kind: str, variant: int) -> Mesh:
    """A thing of a district; kind: of THINGS; variant: 0 to 3."""
    size = random_for(pictures.key, "thing", kind, variant).uniform(-1, 1, 3) * of(kind, "vary", 0.1) + 1
    return shapes.moved(Mesh.joined(_parts(pictures, kind, variant, PAINT)), (0, 0, 0), scale=size)


def _parts(pictures: Pictures, kind: str, n: int, paint: tuple[int, ...]) -> list[Mesh]:
    kit = Kit(pictures, n)
    for variants, shape, numbers, words in _read(kind):
        if str(n) in variants:
            _add(kit, n, shape, numbers, [options[n % len(options)] for options in words], paint)
    return kit.parts


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


def _add(kit: Kit, n: int, shape: str, a: list[float], words: list[str], paint: tuple[int, ...]) -> None:
    """Adds one part; a: its numbers."""
    how, sides, repeats, metres = {"flags": 0}, 8 if shape in ("drum", "cone") else 4, (1, 0.0), 2.0
    for word in words:
        if word[0] == "#":
            colour = word.lstrip("#")
            how["tint"] = tuple(int(colour[k : k + 2], 16) for k in (0, 2, 4))
        elif word == "paint":
            how["tint"] = paint
        elif word in _FLAGS:
            how["flags"] |= _FLAGS[word]
        elif word.startswith("sign:"):
            how["material"] = kit.pictures.sign(word[5:], n)
            metres = 0.0
        elif word[0] == "s" and word[1:].isdigit():
            sides = int(word[1:])
        elif word[0] == "x" and word[1].isdigit():
            repeats = (int(word[1]), float(word[3:]))
        elif word not in ("open", "closed", *CLOSED):
            how["material"] = word
    if shape == "use":
        parts = _parts(kit.pictures, words[0], n, how.get("tint", paint))
        turn = np.radians(a[3])
        kit.parts.append(shapes.moved(Mesh.joined(parts), a[:3], (np.cos(turn), np.sin(turn))))
        return
    if shape == "bush":
        kit.parts.append(shapes.moved(plants.bush(kit.pictures, words[0], n), a[:3], scale=(a[3], a[3], a[4])))
        return
    kit.add(*_body(shape, a, sides, words, metres), **{"tint": DARK, **how} if shape == "ring" else how)
    kit.repeat([(k * repeats[1], 0, 0) for k in range(repeats[0])])


def _body(shape: str, a: list[float], sides: int, words: list[str], metres: float) -> tuple:
    """A function of `shapes`, and its arguments."""
    if shape == "box":
        those = [word for word in words if word in CLOSED] or (CLOSED if "closed" in words else AROUND)
        return partial(shapes.box, sides=those, metres=metres), a[:3], a[3:]
    if shape == "rod":
        return partial(shapes.rod, sides=sides), a[:3], a[3:6], a[6:]
    if shape in ("drum", "cone"):
        x, y, radius, low, high = a
        ring = shapes.circle(radius, sides, (x, y))
        if shape == "drum":
            return partial(shapes.prism, top="open" not in words), ring, low, high
        return shapes.cone, ring if high > low else ring[::-1], low, (x, y, high)
    if shape == "ring":
        turn = np.linspace(0, 2 * np.pi, 9)
        round_ = np.stack([np.cos(turn), 0 * turn, np.sin(turn)], 1)
        rows = np.stack([round_ * a[2], round_ * (a[2] - 0.06)]) + (a[0], 0, a[1])
        return shapes.sheet, rows, np.zeros((2, 9, 2))
    return shapes.polygon, np.reshape(a, (4, 3))
