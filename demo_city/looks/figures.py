"""People and cars."""

from collections.abc import Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import cutout
from demo_city.looks.colours import Colour, colours, jitter, pick, shade
from demo_city.seeds import random_for

CARS = {"wheel": (32, 32)}
_SKIN = colours("e0b898 d0a484 b8886a 946848 6e4a34 583a2a c89878")
_HAIR = colours("2a2420 3c2e24 5e442e 8a6a44 b8b4ae 1c1a1a 7a3e26")
_COATS = colours("2e3238 44484e 26303e 5a4c40 6e6a64 3c4a3c 70283a 8a8478 1e1e22 34506e 9a9084 b0a48e")
_SHIRTS = colours("e4e2dc b84848 4a6a96 d0c4a0 5e7a64 303236 c88a5a 8e96a0 d8a8b0 e8e0c8 7a4a70 3e3e44 c8c04a")
_TROUSERS = colours("2c3444 3a4660 26262a 4a4640 6a6254 8a7e6a 54606e")


def _by_season(year: int, season: str) -> Hashable:
    return season


def person_texture(key: int) -> Texture:
    """A standing or walking figure (cutout), 48 x 96 texels: 0.95 x 1.9 m, dressed by season."""
    return Texture(48, 96, partial(_person, key), _by_season)


class _Figure:
    """A person that is being drawn, in texels of the finished picture.

    key: decides who it is
    season: decides the clothes
    """

    SCALE = 4

    def __init__(self, key: int, season: str):
        rng, today = random_for("person", key), random_for("clothes", key, season)
        self.rng, self.skin, self.hair = rng, pick(rng, _SKIN), pick(rng, _HAIR)
        self.walk, self.side, self.woman, self.back = rng.uniform(0, 9), rng.choice([-1, 1]), *(rng.random(2) < 0.5)
        self.cold = season == "winter" or season != "summer" and rng.random() < 0.6
        self.legs = jitter(rng, pick(rng, _TROUSERS), 8)
        self.top = jitter(today, pick(today, _COATS if self.cold else _SHIRTS), 8)
        self.wide = (8.5 if self.woman else 10) + (1.5 if self.cold else 0)
        self.image = Image.new("RGBA", (48 * self.SCALE, 96 * self.SCALE), (*self.top, 0))
        self.pen = ImageDraw.Draw(self.image)
        self.legwear()
        self.body()
        self.head()

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.pen.polygon([(x * self.SCALE, y * self.SCALE) for x, y in points], fill=colour)

    def limb(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        s, r = self.SCALE, width / 2
        self.pen.line([(x * s, y * s) for x, y in points], fill=colour, width=int(width * s), joint="curve")
        for x, y in points:
            self.pen.ellipse(((x - r) * s, (y - r) * s, (x + r) * s, (y + r) * s), fill=colour)

    def legwear(self) -> None:
        skirt = self.woman and not self.cold and self.rng.random() < 0.4
        for step, tone in ((-self.walk, 0.8), (self.walk * 0.8, 1.0)):
            knee, foot = 24 + step * 0.6 * self.side, 24 + step * self.side
            colour = shade(self.skin if skirt else self.legs, tone)
            self.limb([(24, 50), (knee, 68), (foot, 89)], colour, 4.5 if skirt else 6.0)
            self.limb([(foot, 91), (foot + 3 * self.side, 92)], (40, 36, 34), 4)
        if skirt or self.cold and self.rng.random() < 0.5:  # or a long coat
            hem = 66 if skirt else 62
            self.polygon([(18, 46), (30, 46), (33, hem), (15, hem)], self.top if self.cold else self.legs)

    def body(self) -> None:
        wide, top, bare = self.wide, self.top, not self.cold and self.rng.random() < 0.5
        self.limb([(24 - wide + 4, 27), (24 + wide - 4, 27)], top, 9)
        for edge, tone in ((-1, 1.0), (1, 0.85)):
            self.polygon([(24, 24), (24 + edge * wide, 26), (24 + edge * wide * 0.72, 53), (24, 53)], shade(top, tone))
            elbow = (24 + edge * (wide + 1.5), 40)
            hand = (24 + edge * (wide + 0.5) + edge * self.walk * 0.5 * self.side, 53)
            self.limb([(24 + edge * wide * 0.85, 28), elbow], shade(top, 0.92), 5.4 if self.cold else 4.4)
            self.limb([elbow, hand], self.skin if bare else shade(top, 0.92), 4.6 if self.cold else 3.6)
            self.limb([hand, hand], self.skin, 3.4)
        bag, x = self.rng.random(), 24 + self.rng.choice([-1, 1]) * (wide + 1)
        if bag < 0.35:
            self.polygon([(x - 4, 50), (x + 4, 50), (x + 4, 62), (x - 4, 62)], pick(self.rng, _COATS + _SHIRTS))
        elif bag < 0.55 and self.back:
            self.limb([(21, 30), (27, 30), (27, 41), (21, 41), (24, 35)], pick(self.rng, _COATS), 7)

    def head(self) -> None:
        s = self.SCALE
        self.limb([(24, 22), (24, 18)], self.skin, 4.5)
        self.pen.ellipse((19.5 * s, 6 * s, 28.5 * s, 18.5 * s), fill=self.skin)
        self.pen.pieslice((18.8 * s, 4.6 * s, 29.2 * s, 18 * s), 0 if self.back else 180, 360, fill=self.hair)
        if self.woman:
            self.pen.rectangle((19 * s, 10 * s, (29 if self.back else 21.5) * s, 23 * s), fill=self.hair)
        if self.cold and self.rng.random() < 0.4:  # a cap
            self.pen.pieslice((18.6 * s, 3.6 * s, 29.4 * s, 17 * s), 180, 360, fill=pick(self.rng, _COATS))


def _person(key: int, season: str) -> np.ndarray:
    return cutout(_Figure(key, season).image, _Figure.SCALE)


def car_texture(kind: str, key: int) -> Texture:
    """A part of a car; kind: "wheel" (a cutout), which is all that is not plain; key: decides what is random."""
    return Texture(*CARS[kind], partial(_wheel, key))


def _wheel(key: int, version: Hashable) -> np.ndarray:
    rng, side = random_for("car", key), CARS["wheel"][0] * 4
    image = Image.new("RGBA", (side, side), (34, 34, 36, 0))
    draw, middle = ImageDraw.Draw(image), side / 2
    draw.ellipse((0, 0, side - 1, side - 1), fill=(34, 34, 36, 255))
    draw.ellipse((side * 0.2, side * 0.2, side * 0.8, side * 0.8), fill=(150, 152, 156, 255))
    for turn in np.linspace(0, 2 * np.pi, int(rng.integers(5, 11)), endpoint=False):
        tip = middle + side * 0.28 * np.cos(turn), middle + side * 0.28 * np.sin(turn)
        draw.line((middle, middle, *tip), fill=(74, 76, 80, 255), width=6)
    return cutout(image, 4)
