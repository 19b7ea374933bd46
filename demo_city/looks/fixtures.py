"""What sticks out of walls, at the places of the painted windows and shops, and the pictures of it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Canvas
from demo_city.looks.colours import Colour, jitter, mixed, pick, shade
from demo_city.looks.dress import Dress, House, dress
from demo_city.looks.layout import DOOR_HEIGHT, layout
from demo_city.looks.materials import covered
from demo_city.looks.shops import Tenant, tenants
from demo_city.looks.surfaces import material_texture, plain_texture
from demo_city.looks.windows import Windows
from demo_city.seeds import random_for
from demo_city.years import REPAINT, generation

_WHITE = (255, 255, 255)
_PPM = 16
_SIGNS = {"board": (128, 32), "blade": (48, 40), "vertical": (32, 160)}  # width and height, texels
# what a picture is declared by, what makes it, and whether it is a cutout
Picture = tuple[Hashable, Callable[[], Texture], bool]
_PLAIN: Picture = ("plain", plain_texture, False)
_PLASTER: Picture = (("material", "plaster", 1), partial(material_texture, "plaster", 1), False)


@dataclass(frozen=True)
class Fixture:
    """A box that sticks out of a wall.

    kind: "balcony" (a slab with railings, whose picture this is), "slab" (a sunshade), "bay", "awning" (slopes from
        `high` at the wall to `low` at `depth`), "canopy", "blade" (a sign across the pavement: its two faces are
        parallel to `depth`), "board" (a flat sign), "air_conditioner", "pipe", "cornice", "fire_escape" (of the whole
        wall), "steps" (of the whole height), "column" (of an arcade), "dormer" (on a roof). Pictures of balconies,
        bays, boards, blades, awnings, air conditioners and dormers cover a face once; others repeat after 2 m
    left, right: m from the wall's left end as seen from outside
    low, high: m from the ground; of a dormer, m up the roof from the eaves
    depth: m outwards
    texture, texture_key: the picture of its faces, and what it is to be declared by
    tint: by which the picture is multiplied
    cutout: whether the picture's alpha says what is there: then draw its front and ends alone, seen from both sides
    """

    kind: str
    left: float
    right: float
    low: float
    high: float
    depth: float
    texture: Texture
    texture_key: Hashable
    tint: Colour = _WHITE
    cutout: bool = False


def fixtures(house: House, kind: str, length: float) -> list[Fixture]:
    """What sticks out of a wall, aligned with what wall_texture paints on it.

    house: the building
    kind: of the wall; "roof" gives its dormers
    length: of the wall, m
    """
    if kind == "roof":
        return _dormers(house, length)
    return _Maker(house, kind, length).found if kind in ("front", "side", "back") else []


class _Maker:
    """Finds the fixtures of one wall."""

    def __init__(self, house: House, kind: str, length: float):
        self.house, self.look, self.length, self.plan = house, dress(house, 0), length, layout(house, kind, length)
        self.rng = random_for(house.key, "fixtures", kind, round(length, 2))
        self.found: list[Fixture] = []
        if kind != "back":
            self.body()
            for unit, (left, right) in enumerate(self.plan.shops):
                self.shop(unit, left, right)
        if kind != "side":
            self.balconies()
        if kind == "front":
            self.bay()
        self.services(kind == "front")

    def add(
        self,
        kind: str,
        span: tuple[float, float],
        height: tuple[float, float],
        depth: float,
        tint: Colour = _WHITE,
        picture: Picture = _PLAIN,
    ) -> None:
        """Adds a fixture; span: left and right; height: low and high; the others as in Fixture."""
        key, texture, cutout = picture
        left, right = max(span[0], 0.0), min(span[1], self.length)
        self.found.append(Fixture(kind, left, right, *height, depth, texture(), key, tint, cutout))

    def has(self, extra: str, chance: float = 1.0) -> bool:
        """Whether the house has an extra, and a chance comes true."""
        return extra in self.look.extras and self.rng.random() < chance

    def body(self) -> None:
        """The cornice, slabs above windows, steps and a canopy at the door, and columns of an arcade."""
        house, look, top, plan, key = self.house, self.look, self.house.height, self.plan, self.house.key
        if self.has("cornice") and look.scheme in ("punched", "loft", "hall", "church"):
            deep = 0.3 + key % 5 * 0.08
            self.add("cornice", (0, self.length), (top - deep, top), 0.12 + deep * 0.6, look.trim)
        if self.has("sunshades") and look.scheme == "punched":
            for high in sorted({w.high for w in plan.windows if w.storey}):
                self.add("slab", (0.2, self.length - 0.2), (high + 0.14, high + 0.24), 0.5, look.trim)
        if plan.door and self.has("steps"):
            span, count = (plan.door[0] - 0.2, plan.door[1] + 0.2), 1 + key % 3
            self.add("steps", span, (0, 0.16 * count), 0.32 * count, jitter(self.rng, pick(self.rng, "ashlar"), 6))
        if plan.door and self.has("canopy"):
            wide, depth = (1.4, 2.4) if house.use in ("office", "tower") else (0.35, 1.2)
            span, high = (plan.door[0] - wide, plan.door[1] + wide), DOOR_HEIGHT + 0.6
            self.add("canopy", span, (high, high + 0.18), depth, look.trim)
        if self.has("column") and self.length > 6:
            for x in np.linspace(0.2, self.length - 0.2, max(round(self.length / 3.2), 2) + 1).tolist():
                self.add("column", (x - 0.2, x + 0.2), (0, house.ground_height - 0.3), 2.2, look.wall, _PLASTER)

    def shop(self, unit: int, left: float, right: float) -> None:
        """The awning, the sign across the pavement and the board of a shop."""
        house, rng, top = self.house, self.rng, self.house.ground_height
        if self.has("awning", 0.75):
            depth, high = rng.uniform(0.8, 1.8), max(min(top - 0.75, 3.1), 2.2)
            self.add(
                "awning", (left + 0.2, right - 0.2), (high - depth * 0.45, high), depth, picture=_awning(house, unit)
            )
        if self.has("board", 0.6) and house.storeys > 1:
            z = house.floor(1) + rng.uniform(0.0, 0.3)
            self.add("board", (left + 0.4, right - 0.4), (z, z + 0.9), 0.15, picture=_sign(house, unit, "board"))
        if not self.has("blade", 0.85):
            return
        if house.style != "high_street" or house.storeys < 3:
            x, low = left + 0.3 if rng.random() < 0.5 else right - 0.45, max(top - 0.9, 2.4)
            self.add("blade", (x, x + 0.12), (low, low + 0.65), 0.8, picture=_sign(house, unit, "blade"))
            return
        for x in (left + 0.15, right - 0.4)[: int(rng.integers(1, 3))]:  # tall ones in dense streets
            low = top + rng.uniform(0.0, 0.8)
            high = min(low + rng.uniform(2.0, 5.0), house.height - 0.3)
            if high > low + 1:
                picture = _sign(house, unit, "vertical")
                self.add("blade", (x, x + 0.25), (low, high), rng.uniform(0.6, 1.0), picture=picture)

    def balconies(self) -> None:
        """Slabs with railings or solid fronts."""
        look, key = self.look, self.house.key
        loggia = look.scheme == "loggia"
        kind = "solid" if loggia and look.balcony == "none" else look.balcony
        for left, right, z in self.plan.balconies[:24]:
            height, depth = (z - 0.1, z + (2.4 if kind == "caged" else 1.0)), 0.35 if loggia else 1.0 + key % 4 * 0.15
            picture = _PLASTER if kind == "solid" else _railing(kind, key % 4, right - left)
            tint = mixed(look.trim, look.wall, 0.5) if kind == "solid" else _WHITE
            self.add("balcony", (left, right), height, depth, tint, picture)

    def bay(self) -> None:
        """A bay window that stands on the ground, or hangs from the first storey up."""
        house, look, plan = self.house, self.look, self.plan
        oriel = self.has("oriel") and house.storeys > 2 and not plan.balconies
        spans = [(w.left, w.right) for w in plan.windows if w.storey == int(oriel)]
        wanted = oriel or self.has("bay") and not plan.shops
        if not wanted or not spans or look.scheme != "punched" or look.window == "french":
            return
        left, right = spans[house.key % len(spans)]
        middle, half = (left + right) / 2, max((right - left) / 2 + 0.3, 0.95)
        if half + 0.05 < middle < self.length - half - 0.05:
            top = house.storeys - 1 if oriel else min(1 + house.key % 2, house.storeys - 1)
            low, high = (house.floor(1) - 0.1, house.floor(top)) if oriel else (0.0, max(house.floor(top), 2.6) - 0.1)
            self.add("bay", (middle - half, middle + half), (low, high), 0.75, picture=_bay(house, 2 * half, low, high))

    def services(self, front: bool) -> None:
        """Pipes, air conditioners, and iron stairs before the middle of a front."""
        house, look, rng, plan = self.house, self.look, self.rng, self.plan
        if self.has("pipe") and look.scheme != "curtain":
            iron = shade(mixed(look.wall, (90, 92, 92), 0.6), 0.8)
            self.add("pipe", (self.length - 0.3, self.length - 0.17), (0, house.height - 0.2), 0.14, iron)
        for w in [w for w in plan.windows if w.storey and w.right - w.left > 0.7][:: 2 + house.key % 2][:8]:
            if self.has("air_conditioner", 0.7):
                x, height = w.left + rng.uniform(-0.1, 0.3), (w.low - 0.75, w.low - 0.13)
                picture = ("air_conditioner", partial(Texture, 32, 24, _air_conditioner), False)
                self.add("air_conditioner", (x, x + 0.85), height, 0.35, pick(rng, "white"), picture)
        plain = look.scheme in ("punched", "loft") and not plan.balconies
        if front and plain and house.storeys > 2 and self.length > 3 and self.has("fire_escape"):
            half = min(1.7, self.length / 2 - 0.3)
            span = (self.length / 2 - half, self.length / 2 + half)
            self.add("fire_escape", span, (house.floor(1), house.height), 1.1, jitter(rng, (48, 44, 42), 5))


def _dormers(house: House, length: float) -> list[Fixture]:
    """Dormers of a roof; low and high are metres up the slope."""
    rng, chance = random_for(house.key, "dormers"), {"mansard": 0.9, "gable": 0.4, "hip": 0.4}.get(house.roof, 0.0)
    if rng.random() > chance or length < 4:
        return []
    count = max(int(length / max(dress(house, 0).pitch * rng.uniform(1.0, 2.0), 2.4)), 1)
    half, (key, texture, _) = rng.uniform(0.5, 0.8), _dormer(house)
    middles = ((np.arange(count) + 0.5) / count * length).tolist()
    return [Fixture("dormer", x - half, x + half, 0.6, 2.4, 1.5, texture(), key) for x in middles]


def _of_tenant(house: House, unit: int, size: tuple[int, int], paint: Callable[[Tenant], Image.Image]) -> Callable:
    """Makes a texture that changes with the tenant of a unit."""
    return partial(
        Texture,
        *size,
        lambda number: np.asarray(paint(Tenant(house, unit, number))),
        lambda year, season: tenants(house, unit + 1, year)[unit],
    )


def _of_paint(house: House, size: tuple[int, int], paint: Callable[[Dress], np.ndarray]) -> Callable:
    """Makes a texture that changes when the house is painted."""
    version = lambda year, season: generation(house.key, "paint", year, REPAINT)  # noqa: E731
    return partial(Texture, *size, lambda painted: paint(dress(house, painted)), version)


def _sign(house: House, unit: int, kind: str) -> Picture:
    """A sign of the tenant of a unit; kind: of _SIGNS."""
    width, height = size = _SIGNS[kind]

    def paint(who: Tenant) -> Image.Image:
        area = int(width * 0.84), int(height * (0.9 if kind == "vertical" else 0.6))
        canvas, letters = Canvas(size, 1.0, who.sign), who.name(area, kind == "vertical")
        canvas.draw.rectangle((0, 0, width - 1, height - 1), outline=shade(who.sign, 0.7))
        canvas.index.paste(who.glow * (who.glow % 2), (0, 0, width, height))
        canvas.put(((width - area[0]) // 2, (height + area[1]) // 2), who.letters, letters, who.glow)
        return canvas.array()

    return ("sign", house.key, unit, kind), _of_tenant(house, unit, size, paint), False


def _awning(house: House, unit: int) -> Picture:
    """Cloth in stripes or of one colour; the lower fifth hangs down, with letters."""

    def paint(who: Tenant) -> np.ndarray:
        rng = random_for("awning", who.seed)
        canvas = Canvas((64, 32), 1.0, mixed(who.sign, (150, 146, 140), rng.uniform(0.0, 0.35)))
        if rng.random() < 0.4:
            canvas.bars((0, 0, 64, 32), 8, 4, who.stripes)
        canvas.box((0, 6, 64, 7), (20, 20, 20), 0.3)
        if rng.random() < 0.5:
            canvas.put((8, 6), who.letters, who.name((48, 5)))
        return canvas.array()

    return ("awning", house.key, unit), _of_tenant(house, unit, (64, 32), paint), False


def _railing(kind: str, variant: int, length: float) -> Picture:
    """Railings of "iron", a "caged" balcony's bars, or "glass"; variant: 0 to 3; length: metres."""
    wide = min(max(round(length * _PPM / 32), 1) * 32, 512)

    def paint(version: Hashable) -> np.ndarray:
        colour = (*pick(random_for("railing", kind, variant), "2c2c30 3c4a44 d8d6ce 5a5c60"), 255)
        image = Image.new("RGBA", (wide, 32), (*colour[:3], 0))
        draw = ImageDraw.Draw(image)
        if kind == "glass":
            draw.rectangle((0, 6, wide, 27), fill=(118, 132, 136, 255))
            draw.line((0, 8, wide, 18), fill=(150, 164, 168, 255))
        for x in range(0, wide, 21 if kind == "glass" else 5 - variant % 2):
            draw.line((x, 0, x, 31), fill=colour)
        for y in range(0, 32, 8) if kind == "caged" else (0, 1, 2, 29, 30, 31):
            draw.line((0, y, wide, y), fill=colour)
        for x in range(4, wide, 16) if kind == "iron" and variant > 1 else ():
            draw.ellipse((x, 10, x + 8, 20), outline=colour)
        return np.asarray(image)

    return ("railing", kind, variant, wide), partial(Texture, wide, 32, paint), True


def _air_conditioner(version: Hashable) -> np.ndarray:
    canvas, grey = Canvas((32, 24), 1.0, (228, 226, 218)), (150, 150, 148)
    canvas.draw.ellipse((2, 2, 21, 21), fill=(84, 86, 88), outline=grey)
    canvas.draw.ellipse((7, 7, 16, 16), outline=grey)
    canvas.bars((24, 2, 30, 22), 3, 1, grey, level=True)
    return canvas.array()


def _bay(house: House, width: float, low: float, high: float) -> Picture:
    """The face of a bay window: large panes on each storey between low walls; width, low, high: metres."""
    size, tall = (max(round(width * _PPM), 8), min(max(round((high - low) * _PPM), 8), 512)), high - low

    def paint(look: Dress) -> np.ndarray:
        rng, canvas = random_for(house.key, "bay"), Canvas(size, _PPM)
        material, colour = ("plaster", look.trim) if rng.random() < 0.5 else (look.material, look.wall)
        canvas.image.paste(covered(rng, material, colour, size))
        windows, kind = Windows(canvas, look, rng), "sash" if width < 1.9 else "wide"
        for z in (house.floor(storey) - low for storey in range(house.storeys)):
            if -0.2 <= z < tall - 1.5:
                windows.place((0.18, z + 0.8, width - 0.18, min(z + house.storey_height * 0.82, tall - 0.2)), kind)
                canvas.box((0, z, width, z + 0.12), look.trim)
        canvas.box((0, tall - 0.18, width, tall), look.trim)
        return canvas.array()

    return ("bay", house.key, size), _of_paint(house, size, paint), False


def _dormer(house: House) -> Picture:
    """The face of a dormer."""

    def paint(look: Dress) -> np.ndarray:
        rng = random_for(house.key, "dormer")
        metal = jitter(rng, pick(rng, "seams slates"), 8)
        canvas = Canvas((32, 32), 20, metal if rng.random() < 0.6 else mixed(look.roof_colour, look.trim, 0.4))
        Windows(canvas, look, rng).place((0.22, 0.15, 1.38, 1.36), "casement")
        canvas.box((0, 1.45, 1.6, 1.6), shade(look.trim, 0.95))
        return canvas.array()

    return ("dormer", house.key), _of_paint(house, (32, 32), paint), False
