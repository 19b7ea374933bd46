"""Signs, people and cars."""

from collections.abc import Hashable
from functools import partial

import numpy as np

from demo_city.engine.textures import Texture
from demo_city.seeds import random_for

# width and height in texels of each kind of sign; those in CUTOUTS have an outline, the others an index of what shines
SIGNS = {
    "round": (48, 48), "triangle": (48, 48), "rectangle": (48, 48), "street_name": (96, 24), "shop_blade": (64, 64),
    "vertical": (40, 192), "neon": (96, 64), "billboard": (256, 128), "banner": (48, 160), "poster": (64, 96),
    "plate": (32, 16), "menu": (48, 72), "clock": (64, 64), "graffiti": (192, 96),
}  # fmt: skip
CUTOUTS = ("round", "triangle", "rectangle", "clock", "graffiti")
CARS = {"side": (160, 56), "front": (72, 56), "rear": (72, 56), "top": (160, 72), "window": (64, 32), "wheel": (32, 32)}


def sign_texture(kind: str, key: int) -> Texture:
    """A sign. kind: of SIGNS, or "traffic" for any of round, triangle and rectangle; key: decides what is random."""
    if kind == "traffic":
        kind = ("round", "triangle", "rectangle")[key % 3]
    return Texture(*SIGNS[kind], partial(_sign, kind, key))


def _sign(kind: str, key: int, version: object) -> np.ndarray:
    width, height = SIGNS[kind]
    image = np.zeros((height, width, 4), np.uint8)
    image[..., :3] = random_for("sign", kind, key).integers(60, 240, 3)
    if kind in CUTOUTS:
        y, x = np.mgrid[0:height, 0:width]
        image[..., 3] = (np.hypot((x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5) < 0.5) * 255
    else:
        image[..., 3] = 230
    return image


def person_texture(key: int) -> Texture:
    """A standing or walking figure (cutout), 48 x 96: 0.9 x 1.8 m, dressed by season."""
    return Texture(48, 96, partial(_person, key), _season)


def _season(year: int, season: str) -> Hashable:
    return season


def _person(key: int, season: str) -> np.ndarray:
    image = np.zeros((96, 48, 4), np.uint8)
    image[..., :3] = random_for("person", key, season).integers(30, 160, 3)
    image[10:, 14:34, 3] = 255
    return image


def car_texture(kind: str, key: int) -> Texture:
    """A part of a car, on white so that it can be tinted. kind: of CARS; key: decides what is random."""
    return Texture(*CARS[kind], partial(_car, kind, key))


def _car(kind: str, key: int, version: object) -> np.ndarray:
    width, height = CARS[kind]
    image = np.full((height, width, 4), 240, np.uint8)
    image[..., 3] = 0
    return image
