"""Grounds and materials: pictures that repeat."""

from functools import partial

import numpy as np

from demo_city.engine.textures import Texture
from demo_city.seeds import random_for

TILE = 8.0  # metres of a repetition
GROUNDS = (
    "asphalt", "concrete", "setts", "cobbles", "slabs", "bricks", "grass", "gravel", "sand", "water", "soil", "parking",
    "crossing", "lane_line", "centre_line", "kerb", "tram",
)  # fmt: skip
MATERIALS = (
    "wood", "planks", "corrugated", "container", "crates", "metal", "fabric", "brick", "stone", "plaster", "glass",
    "hedge", "roof_tiles", "thatch", "poster", "concrete",
)  # fmt: skip


def ground_texture(kind: str, variant: int) -> Texture:
    """A ground that repeats after TILE metres. kind: of GROUNDS; variant: any number, 0 to 3 are enough."""
    return Texture(256, 256, partial(_noise, kind, variant, (120, 118, 114)))


def material_texture(kind: str, variant: int) -> Texture:
    """A material that repeats after 2 metres. kind: of MATERIALS; variant: any number."""
    return Texture(128, 128, partial(_noise, kind, variant, (150, 140, 130)))


def plain_texture() -> Texture:
    """White with a little noise, to be tinted."""
    return Texture(32, 32, partial(_noise, "plain", 0, (248, 248, 248)))


def _noise(kind: str, variant: int, colour: tuple[int, int, int], version: object) -> np.ndarray:
    size = 32 if kind == "plain" else 256 if kind in GROUNDS and colour[0] == 120 else 128
    rng = random_for("surface", kind, variant)
    image = np.zeros((size, size, 4), np.uint8)
    image[..., :3] = (np.array(colour) + rng.normal(0, 4, (size, size, 1))).clip(0, 255)
    return image
