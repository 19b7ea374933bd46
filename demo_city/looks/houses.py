"""The walls and roofs of houses, and what sticks out of them."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial

import numpy as np

from demo_city.engine.textures import Texture
from demo_city.seeds import random_for
from demo_city.years import GRAFFITI_CHANGE, REPAINT, SHOP_CHANGE, generation

PPM = 16  # texels a metre
LIMIT = 512  # texels a side


@dataclass(frozen=True)
class House:
    """What painters know of a building.

    key: decides everything that is random
    style: one of palettes.STYLES
    use: "home", "flats", "shop", "office", "tower", "warehouse", "hall" or "church"
    ground_height: of the ground floor, m
    storey_height: of the others, m
    roof: "flat", "gable", "hip", "mansard", "shed", "sawtooth" or "barrel"
    """

    key: int
    style: str
    use: str
    storeys: int
    ground_height: float
    storey_height: float
    roof: str

    @property
    def height(self) -> float:
        """The eaves above its ground, m."""
        return self.ground_height + (self.storeys - 1) * self.storey_height + 0.4


@dataclass(frozen=True)
class Fixture:
    """A box that sticks out of a wall.

    kind: "balcony", "bay", "awning", "canopy", "blade" (a sign across the pavement), "board" (a flat sign),
        "air_conditioner", "pipe", "cornice", "fire_escape", "steps", "column" (of an arcade), "dormer" (on a roof)
    left, right: m from the wall's left end as seen from outside
    low, high: m from the ground; of a dormer, m up the roof from the eaves
    depth: m outwards
    texture, texture_key: the picture of its faces, and what it is to be declared by
    tint: by which the picture is multiplied
    """

    kind: str
    left: float
    right: float
    low: float
    high: float
    depth: float
    texture: Texture
    texture_key: Hashable
    tint: tuple[int, int, int]


def wall_texture(
    house: House,
    kind: str,
    piece: int,
    length: float,
    height: float,
) -> Texture:
    """The picture of a wall.

    house: the building
    kind: "front" or "side" (seen, with windows), "party" (blank or nearly so), "back", "roof", "chimney", "gable" (the
        triangle above the eaves, as a rectangle) or "fence"
    piece: number of the wall
    length, height: m; the lower edge is on the ground, that of a gable or a roof at the eaves
    """
    size = [min(max(round(metres * PPM), 2), LIMIT) for metres in (length, height)]

    def version(year: int, season: str) -> Hashable:
        changes = (("paint", REPAINT), ("tenant", SHOP_CHANGE), ("graffiti", GRAFFITI_CHANGE))
        return tuple(generation(house.key, what, year, chance) for what, chance in changes)

    return Texture(*size, partial(_paint, house, kind, piece, *size), version)


def _paint(house: House, kind: str, piece: int, width: int, height: int, version: Hashable) -> np.ndarray:
    rng = random_for(house.key, kind, piece)
    image = np.zeros((height, width, 4), np.uint8)
    image[..., :3] = rng.integers(120, 220, 3)
    if kind in ("front", "side", "back"):
        for y in range(height - 40, 0, -50):
            for x in range(16, width - 20, 40):
                image[max(y, 0) : y + 26, x : x + 18] = (60, 70, 80, rng.integers(1, 200))
    return image


def fixtures(house: House, kind: str, length: float) -> list[Fixture]:
    """What sticks out of a wall, aligned with what wall_texture paints on it.

    house: the building
    kind: of the wall
    length: of the wall, m
    """
    from demo_city.looks.surfaces import plain_texture

    if kind != "front":
        return []
    top = house.height
    cornice = Fixture("cornice", 0, length, top - 0.4, top, 0.3, plain_texture(), "plain", (210, 204, 190))
    return [cornice]
