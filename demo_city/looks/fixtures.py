"""What sticks out of walls, at the places of the painted windows and shops."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Canvas
from demo_city.looks.dress import Dress, House, dress
from demo_city.looks.layout import DOOR_HEIGHT, Layout, layout
from demo_city.looks.letters import writing
from demo_city.looks.materials import covered
from demo_city.looks.palettes import COLOURS, LOOKS, STONE, WHITE, Colour, choose, colours, jitter, mixed, pick, shade
from demo_city.looks.shops import tenant, tenants
from demo_city.looks.signs import shop_board
from demo_city.looks.surfaces import material_texture, plain_texture
from demo_city.looks.windows import Windows
from demo_city.seeds import random_for
from demo_city.years import REPAINT, generation

_NO_TINT = (255, 255, 255)
_PPM = 16


@dataclass(frozen=True)
class Fixture:
    """A box that sticks out of a wall.

    kind: "balcony" (a slab with railings, whose picture this is), "slab" (a sunshade), "bay", "awning" (slopes from `high` at the wall to
        `low` at `depth`), "canopy", "blade" (a sign across the pavement: its two faces are parallel to `depth`), "board"
        (a flat sign), "air_conditioner", "pipe", "cornice", "fire_escape" (of the whole wall), "steps" (of the whole
        height), "column" (of an arcade), "dormer" (on a roof). Pictures of balconies, bays, boards, blades, awnings, air
        conditioners and dormers cover a face once; others repeat after 2 m
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
    tint: tuple[int, int, int] = _NO_TINT
    cutout: bool = False


def fixtures(house: House, kind: str, length: float) -> list[Fixture]:
    """What sticks out of a wall, aligned with what wall_texture paints on it.

    house: the building
    kind: of the wall; "roof" gives its dormers
    length: of the wall, m
    """
    if kind == "roof":
        return _dormers(house, length)
    if kind not in ("front", "side", "back"):
        return []
    look = dress(house, 0)
    maker = _Maker(house, look, kind, length, layout(house, kind, length))
    return maker.make()


class _Maker:
    def __init__(self, house: House, look: Dress, kind: str, length: float, plan: Layout):
        self.house, self.look, self.kind, self.length, self.plan = house, look, kind, length, plan
        self.rng = random_for(house.key, "fixtures", kind, round(length, 2))
        self.found: list[Fixture] = []
        self.extras = look.extras

    def add(
        self,
        kind: str,
        span: tuple[float, float],
        height: tuple[float, float],
        depth: float,
        colour: Colour | None = None,
        texture: tuple[Hashable, Texture] | None = None,
        cutout: bool = False,
    ) -> None:
        """Adds a fixture.

        kind: of Fixture
        span, height: left and right, low and high, m
        depth: m
        colour: its tint, if it is plain
        texture: its key and picture, if it is not
        cutout: of Fixture
        """
        key, picture = texture or ("plain", plain_texture())
        self.found.append(Fixture(kind, *span, *height, depth, picture, key, colour or _NO_TINT, cutout))

    def make(self) -> list[Fixture]:
        """All fixtures of the wall."""
        if self.kind in ("front", "side"):
            self.eaves()
            self.shops()
            self.entrance()
        self.balconies()
        if self.kind == "front":
            self.bays()
        self.services()
        return self.found

    def eaves(self) -> None:
        """The cornice, and slabs above windows."""
        look, top = self.look, self.house.height
        if "cornice" in self.extras and look.scheme in ("punched", "loft", "hall", "church"):
            deep = 0.3 + self.house.key % 5 * 0.08
            self.add("cornice", (0, self.length), (top - deep, top), 0.12 + deep * 0.6, look.trim)
        if look.sunshade and look.scheme == "punched":
            for storey in range(1, self.house.storeys):
                highs = [w.high for w in self.plan.windows if w.storey == storey]
                if highs:
                    self.add("slab", (0.2, self.length - 0.2), (highs[0] + 0.14, highs[0] + 0.24), 0.5, look.trim)

    def shops(self) -> None:
        """Awnings, signs across the pavement and boards of all shops."""
        house, look, rng = self.house, self.look, self.rng
        top = house.ground_height
        for unit, (left, right) in enumerate(self.plan.shops):
            key = (house.key, unit)
            if "awning" in self.extras and rng.random() < 0.75:
                texture = Texture(64, 32, partial(_awning, house, look, unit), partial(_tenant_version, house, unit))
                depth = rng.uniform(0.8, 1.8)
                high = max(min(top - 0.75, 3.1), 2.2)
                self.add(
                    "awning",
                    (left + 0.2, right - 0.2),
                    (high - depth * 0.45, high),
                    depth,
                    texture=(("awning", *key), texture),
                )
            if "blade" in self.extras and rng.random() < 0.85:
                self.blades(unit, left, right)
            if "board" in self.extras and house.storeys > 1 and rng.random() < 0.6:
                z = house.floor(1) + rng.uniform(0.0, 0.3)
                texture = _sign(house, look, unit, "board", (128, 32))
                self.add("board", (left + 0.4, right - 0.4), (z, z + 0.9), 0.15, texture=texture)

    def blades(self, unit: int, left: float, right: float) -> None:
        """One or more signs across the pavement, tall ones in dense streets."""
        house, look, rng = self.house, self.look, self.rng
        top = house.ground_height
        if house.style == "high_street" and house.storeys > 2:
            for n in range(int(rng.integers(1, 3))):
                x = left + 0.15 if n == 0 else right - 0.4
                low = top + rng.uniform(0.0, 0.8)
                tall = min(rng.uniform(2.0, 5.0), house.height - low - 0.3)
                if tall > 1.0:
                    texture = _sign(house, look, unit * 2 + n, "vertical", (32, 160))
                    self.add("blade", (x, x + 0.25), (low, low + tall), rng.uniform(0.6, 1.0), texture=texture)
            return
        x = left + 0.3 if rng.random() < 0.5 else right - 0.45
        low = max(top - 0.9, 2.4)
        texture = _sign(house, look, unit, "blade", (48, 40))
        self.add("blade", (x, x + 0.12), (low, low + 0.65), 0.8, texture=texture)

    def entrance(self) -> None:
        """Steps and a canopy at the door, columns of an arcade."""
        look, rng = self.look, self.rng
        if self.plan.door:
            left, right = self.plan.door
            if "steps" in self.extras:
                stone = jitter(rng, pick(rng, STONE), 6)
                count = 1 + self.house.key % 3
                self.add("steps", (left - 0.2, right + 0.2), (0, 0.16 * count), 0.32 * count, stone)
            if "canopy" in self.extras:
                wide = 1.4 if self.house.use in ("office", "tower") else 0.35
                high = DOOR_HEIGHT + 0.6
                self.add(
                    "canopy", (left - wide, right + wide), (high, high + 0.18), 1.2 if wide < 1 else 2.4, look.trim
                )
        if "column" in self.extras and self.kind == "front" and self.length > 6:
            count = max(round(self.length / 3.2), 2)
            high = self.house.ground_height
            key, stone = ("material", "plaster", 1), material_texture("plaster", 1)
            for n in range(count + 1):
                x = min(max(self.length * n / count, 0.2), self.length - 0.2)
                self.add("column", (x - 0.2, x + 0.2), (0, high - 0.3), 2.2, look.wall, (key, stone))

    def balconies(self) -> None:
        """Slabs and railings."""
        look, kind = self.look, self.look.balcony
        if self.kind == "side":
            return
        kind = {"none": "solid"}.get(kind, kind) if look.scheme == "loggia" else kind
        depth = 0.35 if look.scheme == "loggia" else 1.0 + self.house.key % 4 * 0.15
        for left, right, z in self.plan.balconies[:24]:
            if kind == "solid":
                front = mixed(look.trim, look.wall, 0.5)
                self.add(
                    "balcony",
                    (left, right),
                    (z - 0.1, z + 0.95),
                    depth,
                    front,
                    (("material", "plaster", 0), material_texture("plaster", 0)),
                )
            else:
                wide = min(max(round((right - left) * _PPM / 32), 1) * 32, 512)
                texture = Texture(wide, 32, partial(_railing, kind, self.house.key % 4, wide))
                key = ("railing", kind, self.house.key % 4, wide)
                self.add(
                    "balcony",
                    (left, right),
                    (z - 0.1, z + (2.4 if kind == "caged" else 1.0)),
                    depth,
                    None,
                    (key, texture),
                    True,
                )

    def bays(self) -> None:
        """Bay windows that stand on the ground, or hang from the first storey up."""
        house, look, plan = self.house, self.look, self.plan
        oriel = "oriel" in self.extras and house.storeys > 2 and not plan.balconies
        if look.scheme != "punched" or not (oriel or "bay" in self.extras and not plan.shops):
            return
        spans = [(w.left, w.right, w.bay) for w in plan.windows if w.storey == (1 if oriel else 0)]
        if not spans or look.window == "french":
            return
        left, right, bay = spans[house.key % len(spans)]
        middle, half = (left + right) / 2, max((right - left) / 2 + 0.3, 0.95)
        if middle - half < 0.05 or middle + half > self.length - 0.05:
            return
        low = house.floor(1) - 0.1 if oriel else 0.0
        high = (
            house.floor(house.storeys - 1)
            if oriel
            else house.floor(min(2, house.storeys - 1))
            if house.key % 2 and house.storeys > 1
            else house.ground_height - 0.1
        )
        size = max(round(2 * half * _PPM), 8), min(max(round((high - low) * _PPM), 8), 512)
        texture = Texture(
            *size,
            partial(_bay, house, low, high, size),
            lambda year, season: generation(house.key, "paint", year, REPAINT),
        )
        self.add(
            "bay", (middle - half, middle + half), (low, high), 0.75, None, (("bay", house.key, bay, size), texture)
        )

    def services(self) -> None:
        """Pipes, air conditioners and fire escapes."""
        house, look, rng, extras = self.house, self.look, self.rng, self.extras
        if "pipe" in extras and look.scheme != "curtain":
            colour = shade(mixed(look.wall, (90, 92, 92), 0.6), 0.8)
            self.add("pipe", (self.length - 0.3, self.length - 0.17), (0, house.height - 0.2), 0.14, colour)
        if "air_conditioner" in extras:
            texture = ("air_conditioner", Texture(32, 24, _air_conditioner))
            upper = [w for w in self.plan.windows if w.storey and w.right - w.left > 0.7]
            for w in upper[:: 2 + house.key % 2][:8]:
                if rng.random() < 0.7:
                    x = w.left + rng.uniform(-0.1, 0.3)
                    self.add(
                        "air_conditioner", (x, x + 0.85), (w.low - 0.75, w.low - 0.13), 0.35, pick(rng, WHITE), texture
                    )
        if (
            "fire_escape" in extras
            and self.kind == "front"
            and house.storeys > 2
            and not self.plan.balconies
            and look.scheme in ("punched", "loft")
        ):
            wide = min(3.4, self.length - 0.6)
            left = min(max(self.length * 0.5 - wide / 2, 0.3), self.length - wide - 0.3)
            iron = jitter(rng, pick(rng, colours("2e2e32 3a302c 4a4c50")), 4)
            self.add("fire_escape", (left, left + wide), (house.floor(1), house.height), 1.1, iron)


def _dormers(house: House, length: float) -> list[Fixture]:
    """Dormers of a roof; low and high are metres up the slope."""
    look, rng = dress(house, 0), random_for(house.key, "dormers")
    if (
        house.roof not in ("gable", "hip", "mansard")
        or rng.random() < (0.1 if house.roof == "mansard" else 0.6)
        or length < 4
    ):
        return []
    count = max(int(length / max(look.pitch * rng.uniform(1.0, 2.0), 2.4)), 1)
    half = rng.uniform(0.5, 0.8)
    texture = Texture(
        32, 32, partial(_dormer, house), lambda year, season: generation(house.key, "paint", year, REPAINT)
    )
    return [
        Fixture("dormer", x - half, x + half, 0.6, 2.4, 1.5, texture, ("dormer", house.key))
        for x in ((n + 0.5) / count * length for n in range(count))
    ]


def _tenant_version(house: House, unit: int, year: int, season: str) -> Hashable:
    return tenants(house, unit + 1, year)[unit]


def _sign(house: House, look: Dress, unit: int, kind: str, size: tuple[int, int]) -> tuple[Hashable, Texture]:
    texture = Texture(*size, partial(_shop_sign, house, look, unit, kind, size), partial(_tenant_version, house, unit))
    return ("sign", house.key, unit, kind), texture


def _shop_sign(house: House, look: Dress, unit: int, kind: str, size: tuple[int, int], number: int) -> np.ndarray:
    who = tenant(house, look, unit, number)
    upright = kind == "vertical"
    script = (
        who.script
        if who.script in ("dense", "ring", "latin") or not upright
        else choose(random_for(who.seed), LOOKS["high_street"].scripts)
    )
    letters = writing(
        random_for("name", who.seed), script, (int(size[0] * 0.84), int(size[1] * (0.9 if upright else 0.6))), upright
    )
    return shop_board(size, who.sign, who.letters, letters, 230 + who.seed % 26)


def _awning(house: House, look: Dress, unit: int, number: int) -> np.ndarray:
    """Cloth in stripes or of one colour; the lower fifth hangs down, with letters."""
    who = tenant(house, look, unit, number)
    rng = random_for("awning", who.seed)
    cloth = mixed(who.sign, (150, 146, 140), rng.uniform(0.0, 0.35))
    image = Image.new("RGB", (64, 32), cloth)
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.4:
        for x in range(0, 64, 8):
            draw.rectangle((x, 0, x + 3, 31), fill=who.stripes)
    draw.line((0, 25, 63, 25), fill=shade(cloth, 0.7))
    if rng.random() < 0.5:
        image.paste(who.letters, (8, 26), writing(random_for("name", who.seed), who.script, (48, 5)))
    image.putalpha(0)
    return np.asarray(image)


def _railing(kind: str, variant: int, wide: int, version: Hashable) -> np.ndarray:
    """Railings of iron bars, a cage, or glass with a rail: a cutout."""
    rng = random_for("railing", kind, variant)
    colour = pick(rng, colours("2c2c30 3c4a44 d8d6ce 5a5c60")) if kind != "glass" else (150, 154, 156)
    image = Image.new("RGBA", (wide, 32), (*colour, 0))
    draw = ImageDraw.Draw(image)
    if kind == "glass":
        draw.rectangle((0, 3, wide, 29), fill=(118, 132, 136, 255))
        for x in range(0, wide, 21):
            draw.line((x, 0, x, 31), fill=(*colour, 255))
        draw.line((0, 8, wide, 18), fill=(150, 164, 168, 255))
    else:
        for x in range(0, wide, 4 if variant % 2 else 5):
            draw.line((x, 0, x, 31), fill=(*colour, 255), width=1 + (kind == "caged" and variant == 3))
        if kind == "caged":
            for y in range(0, 32, 8):
                draw.line((0, y, wide, y), fill=(*colour, 255))
        elif variant > 1:
            for x in range(4, wide, 16):
                draw.ellipse((x, 10, x + 8, 20), outline=(*colour, 255))
    draw.rectangle((0, 0, wide, 2), fill=(*colour, 255))
    draw.rectangle((0, 29, wide, 31), fill=(*colour, 255))
    return np.asarray(image)


def _air_conditioner(version: Hashable) -> np.ndarray:
    image = Image.new("RGBA", (32, 24), (228, 226, 218, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((2, 2, 21, 21), fill=(84, 86, 88, 0), outline=(150, 150, 148, 0))
    for r in (3, 6):
        draw.ellipse((12 - r, 12 - r, 12 + r, 12 + r), outline=(150, 150, 148, 0))
    for y in range(4, 22, 3):
        draw.line((24, y, 29, y), fill=(160, 160, 156, 0))
    draw.line((0, 23, 31, 23), fill=(120, 100, 84, 0))
    return np.asarray(image)


def _bay(house: House, low: float, high: float, size: tuple[int, int], painted: int) -> np.ndarray:
    """The face of a bay window: large panes on each storey between low walls."""
    look, rng = dress(house, painted), random_for(house.key, "bay")
    canvas = Canvas.blank(*size, _PPM)
    light = rng.random() < 0.5
    canvas.image.paste(covered(rng, "plaster" if light else look.material, look.trim if light else look.wall, size))
    windows, wide = Windows(canvas, look, rng), size[0] / _PPM
    for storey in range(house.storeys):
        z = house.floor(storey)
        if low - 0.2 <= z < high - 1.5:
            windows.place(
                0.18,
                z - low + 0.8,
                wide - 0.18,
                min(z - low + house.storey_height * 0.82, high - low - 0.2),
                "sash" if wide < 1.6 else "wide",
            )
            canvas.box(0, z - low, wide, z - low + 0.12, look.trim)
    canvas.box(0, high - low - 0.18, wide, high - low, look.trim)
    return canvas.array()


def _dormer(house: House, painted: int) -> np.ndarray:
    look, rng = dress(house, painted), random_for(house.key, "dormer")
    sides = (
        jitter(rng, pick(rng, COLOURS["seams"] + COLOURS["slates"]), 8)
        if rng.random() < 0.6
        else mixed(look.roof_colour, look.trim, 0.4)
    )
    canvas = Canvas.blank(32, 32, 20, sides)
    Windows(canvas, look, rng).place(0.22, 0.15, 1.38, 1.36, "casement")
    canvas.box(0, 1.45, 1.6, 1.6, shade(look.trim, 0.95))
    return canvas.array()
