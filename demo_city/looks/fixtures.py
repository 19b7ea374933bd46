"""What sticks out of walls, at the places of the painted windows and shops."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from demo_city.engine.textures import Texture
from demo_city.looks import covers
from demo_city.looks.colours import Colour, jitter, mixed, pick, shade
from demo_city.looks.covers import Picture
from demo_city.looks.dress import Dress, House, dress
from demo_city.looks.layout import DOOR_HEIGHT, Layout, layout
from demo_city.looks.palettes import STONE, WHITE
from demo_city.looks.surfaces import plain_texture
from demo_city.seeds import random_for

_NO_TINT = (255, 255, 255)
_PLAIN: Picture = ("plain", plain_texture, False)


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
    return _Maker(house, look, kind, length, layout(house, kind, length)).made()


class _Maker:
    """Finds the fixtures of one wall."""

    def __init__(self, house: House, look: Dress, kind: str, length: float, plan: Layout):
        self.house, self.look, self.kind, self.length, self.plan = house, look, kind, length, plan
        self.rng = random_for(house.key, "fixtures", kind, round(length, 2))
        self.found: list[Fixture] = []

    def add(
        self,
        kind: str,
        span: tuple[float, float],
        height: tuple[float, float],
        depth: float,
        tint: Colour = _NO_TINT,
        picture: Picture = _PLAIN,
    ) -> None:
        """Adds a fixture; span: left and right; height: low and high; the others as in Fixture."""
        key, texture, cutout = picture
        left, right = max(span[0], 0.0), min(span[1], self.length)
        self.found.append(Fixture(kind, left, right, *height, depth, texture(), key, tint, cutout))

    def has(self, extra: str, chance: float = 1.0) -> bool:
        """Whether the house has an extra, and a chance comes true."""
        return extra in self.look.extras and self.rng.random() < chance

    def made(self) -> list[Fixture]:
        """All fixtures of the wall."""
        if self.kind != "back":
            self.eaves()
            self.entrance()
            for unit, (left, right) in enumerate(self.plan.shops):
                self.shop(unit, left, right)
        if self.kind != "side":
            self.balconies()
        if self.kind == "front":
            self.bay()
            self.arcade()
            self.fire_escape()
        self.services()
        return self.found

    def eaves(self) -> None:
        """The cornice, and slabs above windows."""
        look, top = self.look, self.house.height
        if self.has("cornice") and look.scheme in ("punched", "loft", "hall", "church"):
            deep = 0.3 + self.house.key % 5 * 0.08
            self.add("cornice", (0, self.length), (top - deep, top), 0.12 + deep * 0.6, look.trim)
        if look.sunshade and look.scheme == "punched":
            for high in sorted({w.high for w in self.plan.windows if w.storey}):
                self.add("slab", (0.2, self.length - 0.2), (high + 0.14, high + 0.24), 0.5, look.trim)

    def shop(self, unit: int, left: float, right: float) -> None:
        """The awning, the sign across the pavement and the board of a shop."""
        house, rng, top = self.house, self.rng, self.house.ground_height
        if self.has("awning", 0.75):
            depth, high = rng.uniform(0.8, 1.8), max(min(top - 0.75, 3.1), 2.2)
            picture = covers.awning(house, self.look, unit)
            self.add("awning", (left + 0.2, right - 0.2), (high - depth * 0.45, high), depth, picture=picture)
        if self.has("board", 0.6) and house.storeys > 1:
            z, picture = house.floor(1) + rng.uniform(0.0, 0.3), covers.sign(house, self.look, unit, "board")
            self.add("board", (left + 0.4, right - 0.4), (z, z + 0.9), 0.15, picture=picture)
        if not self.has("blade", 0.85):
            return
        if house.style != "high_street" or house.storeys < 3:
            x, low = left + 0.3 if rng.random() < 0.5 else right - 0.45, max(top - 0.9, 2.4)
            self.add(
                "blade", (x, x + 0.12), (low, low + 0.65), 0.8, picture=covers.sign(house, self.look, unit, "blade")
            )
            return
        for n in range(int(rng.integers(1, 3))):  # tall ones in dense streets
            x, low = (left + 0.15, right - 0.4)[n], top + rng.uniform(0.0, 0.8)
            tall, picture = (
                min(rng.uniform(2.0, 5.0), house.height - low - 0.3),
                covers.sign(house, self.look, unit * 2 + n, "vertical"),
            )
            if tall > 1.0:
                self.add("blade", (x, x + 0.25), (low, low + tall), rng.uniform(0.6, 1.0), picture=picture)

    def entrance(self) -> None:
        """Steps and a canopy at the door."""
        if not self.plan.door:
            return
        left, right = self.plan.door
        if self.has("steps"):
            count = 1 + self.house.key % 3
            stone = jitter(self.rng, pick(self.rng, STONE), 6)
            self.add("steps", (left - 0.2, right + 0.2), (0, 0.16 * count), 0.32 * count, stone)
        if self.has("canopy"):
            grand, high = self.house.use in ("office", "tower"), DOOR_HEIGHT + 0.6
            wide, depth = (1.4, 2.4) if grand else (0.35, 1.2)
            self.add("canopy", (left - wide, right + wide), (high, high + 0.18), depth, self.look.trim)

    def arcade(self) -> None:
        """Columns before the ground floor."""
        if self.has("column") and self.length > 6:
            for x in np.linspace(0.2, self.length - 0.2, max(round(self.length / 3.2), 2) + 1).tolist():
                height = (0, self.house.ground_height - 0.3)
                self.add("column", (x - 0.2, x + 0.2), height, 2.2, self.look.wall, covers.PLASTER)

    def balconies(self) -> None:
        """Slabs with railings or solid fronts."""
        look, key = self.look, self.house.key
        loggia = look.scheme == "loggia"
        kind = "solid" if loggia and look.balcony == "none" else look.balcony
        depth = 0.35 if loggia else 1.0 + key % 4 * 0.15
        for left, right, z in self.plan.balconies[:24]:
            height = (z - 0.1, z + (2.4 if kind == "caged" else 1.0))
            if kind == "solid":
                self.add("balcony", (left, right), height, depth, mixed(look.trim, look.wall, 0.5), covers.PLASTER)
            else:
                self.add("balcony", (left, right), height, depth, picture=covers.railing(kind, key % 4, right - left))

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
            picture = covers.bay(house, 2 * half, low, high)
            self.add("bay", (middle - half, middle + half), (low, high), 0.75, picture=picture)

    def services(self) -> None:
        """Pipes and air conditioners."""
        house, look, rng = self.house, self.look, self.rng
        if self.has("pipe") and look.scheme != "curtain":
            colour = shade(mixed(look.wall, (90, 92, 92), 0.6), 0.8)
            self.add("pipe", (self.length - 0.3, self.length - 0.17), (0, house.height - 0.2), 0.14, colour)
        upper = [w for w in self.plan.windows if w.storey and w.right - w.left > 0.7]
        for w in upper[:: 2 + house.key % 2][:8]:
            if self.has("air_conditioner", 0.7):
                x, height = w.left + rng.uniform(-0.1, 0.3), (w.low - 0.75, w.low - 0.13)
                self.add("air_conditioner", (x, x + 0.85), height, 0.35, pick(rng, WHITE), covers.AIR_CONDITIONER)

    def fire_escape(self) -> None:
        """Iron stairs before the middle of the wall."""
        house, plain = self.house, self.look.scheme in ("punched", "loft") and not self.plan.balconies
        if plain and house.storeys > 2 and self.length > 3 and self.has("fire_escape"):
            half, iron = min(1.7, self.length / 2 - 0.3), jitter(self.rng, (48, 44, 42), 5)
            span = (self.length / 2 - half, self.length / 2 + half)
            self.add("fire_escape", span, (house.floor(1), house.height), 1.1, iron)


def _dormers(house: House, length: float) -> list[Fixture]:
    """Dormers of a roof; low and high are metres up the slope."""
    look, rng = dress(house, 0), random_for(house.key, "dormers")
    chance = {"mansard": 0.9, "gable": 0.4, "hip": 0.4}.get(house.roof, 0.0)
    if rng.random() > chance or length < 4:
        return []
    count = max(int(length / max(look.pitch * rng.uniform(1.0, 2.0), 2.4)), 1)
    half, (key, texture, _) = rng.uniform(0.5, 0.8), covers.dormer(house)
    middles = (np.arange(count) + 0.5) / count * length
    return [Fixture("dormer", x - half, x + half, 0.6, 2.4, 1.5, texture(), key) for x in middles.tolist()]
