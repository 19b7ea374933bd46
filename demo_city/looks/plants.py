"""Leaves and bark, by season."""

from collections.abc import Hashable
from functools import partial

import numpy as np

from demo_city.engine.textures import Texture
from demo_city.seeds import random_for

LEAVES = ("round", "tall", "broad", "conifer", "palm", "bush", "hedge", "ivy", "grass", "flowers")
EVERGREEN = ("conifer", "palm", "hedge", "ivy")


def _season(kind: str, year: int, season: str) -> Hashable:
    return season


def leaves_texture(kind: str, variant: int) -> Texture:
    """A clump of leaves (cutout), 128 x 128. kind: of LEAVES; variant: any number."""
    return Texture(128, 128, partial(_leaves, kind, variant), partial(_season, kind))


def _leaves(kind: str, variant: int, season: str) -> np.ndarray:
    rng = random_for("leaves", kind, variant, season)
    image = np.zeros((128, 128, 4), np.uint8)
    image[..., :3] = (80, 100, 50)
    y, x = np.mgrid[0:128, 0:128] - 64
    share = 0.15 if season == "winter" and kind not in EVERGREEN else 0.75
    image[..., 3] = ((np.hypot(x, y) < 62) & (rng.random((128, 128)) < share)) * 255
    return image


def bark_texture(kind: str, variant: int) -> Texture:
    """Bark that repeats; kind: of LEAVES; variant: any number."""
    return Texture(32, 64, partial(_bark, kind, variant))


def _bark(kind: str, variant: int, version: object) -> np.ndarray:
    rng = random_for("bark", kind, variant)
    image = np.zeros((64, 32, 4), np.uint8)
    image[..., :3] = (np.array([96, 84, 70]) + rng.normal(0, 12, (1, 32, 1)) + rng.normal(0, 6, (64, 32, 1))).clip(0, 255)
    return image
