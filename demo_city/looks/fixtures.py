"""What sticks out of walls, at the places of the painted windows and shops, and the pictures of it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

import numpy as np

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Canvas, Colour, Size, jitter, mixed, pick, shade
from demo_city.looks.plan import DOOR_HEIGHT, Dress, House, dress, layout
from demo_city.looks.surfaces import covered, material_texture, plain_texture
from demo_city.looks.windows import Tenant, Windows, tenants
from demo_city.seeds import random_for
from demo_city.years import REPAINT, generation

Picture = tuple[Hashable, Texture]  # what it is to be declared by, and the picture
Span = tuple[float, float]
_WHITE, _PPM = (255, 255, 255), 16


@dataclass(frozen=True)
class Fixture:
    """A box that sticks out of a wall.

    Its kind is "balcony" (a slab with railings or a solid front), "slab" (a sunshade), "bay", "awning" (slopes from
    `high` at the wall to `low` at `depth`), "canopy", "blade" (a sign across the pavement: its faces are parallel to
    `depth`), "board" (a flat sign), "air_conditioner", "pipe", "cornice", "fire_escape" (of the whole wall), "steps"
    (of the whole height) or "dormer". Pictures of balconies, bays, signs, awnings, air conditioners and dormers cover a
    face once; others repeat after 2 m.
    """

    kind: str
    left: float  # m from the wall's left end as seen from outside
    right: float
    low: float  # m from the ground; of a dormer, m up the roof from the eaves
    high: float
    depth: float  # m outwards
    texture: Texture  # of its faces
    texture_key: tuple  # what that is to be declared by
    tint: Colour  # by which the picture is multiplied
    cutout: bool  # whether one sees through between bars


def fixtures(house: House, kind: str, length: float) -> list[Fixture]:
    """What sticks out of a wall `length` metres long, where wall_texture paints it; of a "roof", its dormers."""
    return _Maker(house, kind, length).found if kind in ("front", "side", "back", "roof") else []


class _Maker:
    """Finds the fixtures of one wall."""

    def __init__(self, house: House, kind: str, length: float):
        self.house, self.look, self.length = house, dress(house, 0), length
        self.rng, self.found = random_for(house.key, "fixtures", kind, round(length, 2)), []
        if kind == "roof":
            self.dormers()
            return
        self.plan = layout(house, kind, length)
        if kind != "back":
            self.body()
            for unit, (left, right) in enumerate(self.plan.shops):
                self.shop(unit, left, right)
        if kind == "front":
            self.balconies()
            self.bay()
        self.services(kind == "front")

    def add(
        self, kind: str, span: Span, height: Span, depth: float, tint: Colour = _WHITE, picture: Picture | None = None
    ) -> None:
        """Adds a fixture; span: left and right; height: low and high; picture: None for a plain one."""
        key, texture = picture or ("plain", plain_texture())
        left, right = max(span[0], 0.0), min(span[1], self.length)
        self.found.append(Fixture(kind, left, right, *height, depth, texture, key, tint, key[0] == "railing"))

    def has(self, extra: str, chance: float = 1.0) -> bool:
        """Whether the house has an extra, and a chance comes true."""
        return extra in self.look.extras and self.rng.random() < chance

    def body(self) -> None:
        """The cornice, slabs above windows, steps and a canopy at the door."""
        house, look, top, door, key = self.house, self.look, self.house.height, self.plan.door, self.house.key
        if self.has("cornice") and look.scheme in ("punched", "loft", "hall", "church"):
            deep = 0.3 + key % 5 * 0.08
            self.add("cornice", (0, self.length), (top - deep, top), 0.12 + deep * 0.6, look.trim)
        if self.has("sunshades") and look.scheme == "punched":
            for high in sorted({w.high for w in self.plan.windows if w.storey}):
                self.add("slab", (0.2, self.length - 0.2), (high + 0.14, high + 0.24), 0.5, look.trim)
        if door and self.has("steps"):
            count, stone = 1 + key % 3, jitter(self.rng, pick(self.rng, "ashlar"), 6)
            self.add("steps", (door[0] - 0.2, door[1] + 0.2), (0, 0.16 * count), 0.32 * count, stone)
        if door and self.has("canopy"):
            wide, depth = (1.4, 2.4) if house.use in ("office", "tower") else (0.35, 1.2)
            height = (DOOR_HEIGHT + 0.6, DOOR_HEIGHT + 0.78)
            self.add("canopy", (door[0] - wide, door[1] + wide), height, depth, look.trim)

    def shop(self, unit: int, left: float, right: float) -> None:
        """The awning, the sign across the pavement and the board of a shop."""
        house, rng, top = self.house, self.rng, self.house.ground_height
        if self.has("awning", 0.75):
            depth, high = rng.uniform(0.8, 1.8), max(min(top - 0.75, 3.1), 2.2)
            picture = _changing(house, "awning", (64, 32), 1, _awning, unit)
            self.add("awning", (left + 0.2, right - 0.2), (high - depth * 0.45, high), depth, picture=picture)
        if self.has("board", 0.6) and house.storeys > 1:
            z, picture = house.floor(1) + rng.uniform(0.0, 0.3), _changing(house, "board", (128, 32), 1, _sign, unit)
            self.add("board", (left + 0.4, right - 0.4), (z, z + 0.9), 0.15, picture=picture)
        if not self.has("blade", 0.85):
            return
        low, high, size = max(top - 0.9, 2.4), max(top - 0.25, 3.05), (48, 40)
        if house.style == "high_street" and house.storeys > 2:  # tall ones in dense streets
            low, size = top + rng.uniform(0.0, 0.8), (32, 160)
            high = min(low + rng.uniform(2.0, 5.0), house.height - 0.3)
        x, picture = left + 0.3 if rng.random() < 0.5 else right - 0.45, _changing(house, "blade", size, 1, _sign, unit)
        self.add("blade", (x, x + 0.15), (low, high), rng.uniform(0.6, 1.0), picture=picture)

    def balconies(self) -> None:
        """Slabs with railings or solid fronts."""
        look, key, loggia = self.look, self.house.key, self.look.scheme == "loggia"
        solid = look.balcony == "solid" or loggia and look.balcony == "none"
        tint = mixed(look.trim, look.wall, 0.5) if solid else _WHITE
        for left, right, z in self.plan.balconies[:24]:
            high, depth = z + (2.4 if look.balcony == "caged" else 1.0), 0.35 if loggia else 1.0 + key % 4 * 0.15
            picture = _railing(look.balcony, key % 4, right - left)
            if solid:
                picture = ("material", "plaster", 1), material_texture("plaster", 1)
            self.add("balcony", (left, right), (z - 0.1, high), depth, tint, picture)

    def bay(self) -> None:
        """A bay window that stands on the ground, or hangs from the first storey up."""
        house, look, plan = self.house, self.look, self.plan
        oriel = self.has("oriel") and house.storeys > 2 and not plan.balconies
        spans = [(w.left + w.right) / 2 for w in plan.windows if w.storey == int(oriel)]
        wanted = (oriel or self.has("bay") and not plan.shops) and look.scheme == "punched" and look.window != "french"
        middle, half = spans[house.key % len(spans)] if spans else 0.0, max(look.pitch * look.share / 2 + 0.3, 0.95)
        if wanted and half + 0.05 < middle < self.length - half - 0.05:
            low = house.floor(1) - 0.1 if oriel else 0.0
            high = max(house.floor(house.storeys - 1 if oriel else min(2, house.storeys - 1)), 2.6) - 0.1
            size = max(round(2 * half * _PPM), 8), min(max(round((high - low) * _PPM), 8), 512)
            picture = _changing(house, "bay", size, _PPM, partial(_bay, house, low))
            self.add("bay", (middle - half, middle + half), (low, high), 0.75, picture=picture)

    def services(self, front: bool) -> None:
        """Pipes, air conditioners, and iron stairs before the middle of a front."""
        house, look, rng, plan = self.house, self.look, self.rng, self.plan
        if self.has("pipe") and look.scheme != "curtain":
            iron = shade(mixed(look.wall, (90, 92, 92), 0.6), 0.8)
            self.add("pipe", (self.length - 0.3, self.length - 0.17), (0, house.height - 0.2), 0.14, iron)
        for w in [w for w in plan.windows if w.storey and w.right - w.left > 0.7][:: 2 + house.key % 2][:8]:
            if self.has("air_conditioner", 0.7):
                x, height = w.left + rng.uniform(-0.1, 0.3), (w.low - 0.75, w.low - 0.13)
                picture = "air_conditioner", Texture(32, 24, _air_conditioner)
                self.add("air_conditioner", (x, x + 0.85), height, 0.35, pick(rng, "white"), picture)
        plain = look.scheme in ("punched", "loft") and not plan.balconies and house.storeys > 2 and self.length > 3
        if front and plain and self.has("fire_escape"):
            half, middle = min(1.7, self.length / 2 - 0.3), self.length / 2
            self.add("fire_escape", (middle - half, middle + half), (house.floor(1), house.height), 1.1, (48, 44, 42))

    def dormers(self) -> None:
        """Dormers of a roof; low and high are metres up the slope."""
        chance = {"mansard": 0.9, "gable": 0.4, "hip": 0.4}.get(self.house.roof, 0.0)
        if self.length >= 4 and self.rng.random() < chance:
            count = max(int(self.length / max(self.look.pitch * self.rng.uniform(1.0, 2.0), 2.4)), 1)
            half, picture = self.rng.uniform(0.5, 0.8), _changing(self.house, "dormer", (32, 32), 20, _dormer)
            for x in ((np.arange(count) + 0.5) / count * self.length).tolist():
                self.add("dormer", (x - half, x + half), (0.6, 2.4), 1.5, picture=picture)


def _changing(house: House, kind: str, size: Size, ppm: float, paint: Callable, unit: int | None = None) -> Picture:
    """A picture that changes with the tenant of a unit, or without one, when the house is painted, drawn by `paint`."""

    def draw(number: int) -> np.ndarray:
        canvas, rng = Canvas(size, ppm), random_for(house.key, kind, unit or 0, number * (unit is not None))
        paint(canvas, dress(house, number) if unit is None else Tenant(house, unit, number), rng)
        return canvas.array()

    def version(year: int, season: str) -> int:
        return generation(house.key, "paint", year, REPAINT) if unit is None else tenants(house, unit + 1, year)[unit]

    return (kind, house.key, unit, size), Texture(*size, draw, version)


def _sign(canvas: Canvas, who: Tenant, rng: np.random.Generator) -> None:
    """A sign; on tall ones the letters stand one below the other."""
    wide, high, upright = canvas.width, canvas.height, canvas.height > canvas.width
    area = int(wide * 0.84), int(high * (0.9 if upright else 0.6))
    canvas.box((0, 0, wide, high), shade(who.sign, 0.7), shine=who.glow * (who.glow % 2))
    canvas.box((1, 1, wide - 1, high - 1), who.sign)
    canvas.put(((wide - area[0]) // 2, (high + area[1]) // 2), who.letters, who.name(area, upright), who.glow)


def _awning(canvas: Canvas, who: Tenant, rng: np.random.Generator) -> None:
    """Cloth in stripes or of one colour; the lower fifth hangs down, with letters."""
    canvas.box((0, 0, 64, 32), mixed(who.sign, (150, 146, 140), rng.uniform(0.0, 0.35)))
    if rng.random() < 0.4:
        canvas.bars((0, 0, 64, 32), 8, 4, who.stripes)
    canvas.box((0, 6, 64, 7), (20, 20, 20), 0.3)
    canvas.put((8, 6), who.letters, who.name((48, 5)))


def _bay(house: House, low: float, canvas: Canvas, look: Dress, rng: np.random.Generator) -> None:
    """The face of a bay window from a height up: large panes on each storey between low walls."""
    wide, tall = canvas.length, canvas.rise
    material, colour = ("plaster", look.trim) if rng.random() < 0.5 else (look.material, look.wall)
    canvas.image.paste(covered(rng, material, colour, canvas.image.size))
    windows, kind = Windows(canvas, look, rng), "sash" if wide < 1.9 else "wide"
    for z in (house.floor(storey) - low for storey in range(house.storeys)):
        if -0.2 <= z < tall - 1.5:
            windows.place((0.18, z + 0.8, wide - 0.18, min(z + house.storey_height * 0.82, tall - 0.2)), kind)
            canvas.box((0, z, wide, z + 0.12), look.trim)
    canvas.box((0, tall - 0.18, wide, tall), look.trim)


def _dormer(canvas: Canvas, look: Dress, rng: np.random.Generator) -> None:
    metal = jitter(rng, pick(rng, "seams slates"), 8)
    canvas.box((0, 0, 1.6, 1.6), metal if rng.random() < 0.6 else mixed(look.roof_colour, look.trim, 0.4))
    Windows(canvas, look, rng).place((0.22, 0.15, 1.38, 1.36), "casement")
    canvas.box((0, 1.45, 1.6, 1.6), shade(look.trim, 0.95))


def _railing(kind: str, variant: int, length: float) -> Picture:
    """Railings of "iron", a "caged" balcony's bars, or "glass"; variant: 0 to 3; length: metres."""
    wide = min(max(round(length * _PPM / 32), 1) * 32, 512)

    def paint(version: Hashable) -> np.ndarray:
        canvas, area = Canvas((wide, 32), 1, cover=True), (0, 0, wide, 32)
        colour = pick(random_for("railing", kind, variant), "2c2c30 3c4a44 d8d6ce 5a5c60")
        if kind == "glass":
            canvas.box((0, 4, wide, 26), (118, 132, 136))
        canvas.bars(area, 21 if kind == "glass" else 5 - variant % 2, 1, colour)
        canvas.bars(area, 7 if kind == "caged" else 29, 2, colour, level=True)
        return canvas.array(canvas.cover)

    return ("railing", kind, variant, wide), Texture(wide, 32, paint)


def _air_conditioner(version: Hashable) -> np.ndarray:
    canvas, grey = Canvas((32, 24), 1, (228, 226, 218)), (150, 150, 148)
    canvas.draw.ellipse((2, 2, 21, 21), fill=(84, 86, 88), outline=grey)
    canvas.bars((24, 2, 30, 22), 3, 1, grey, level=True)
    return canvas.array()
