"""People and cars."""

from collections.abc import Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import cutout
from demo_city.looks.palettes import Colour, colours, jitter, pick, shade
from demo_city.seeds import random_for

CARS = {"side": (160, 56), "front": (72, 56), "rear": (72, 56), "top": (160, 72), "window": (64, 32), "wheel": (32, 32)}
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


def _person(key: int, season: str) -> np.ndarray:
    rng = random_for("person", key)
    skin, hair, walk, side = pick(rng, _SKIN), pick(rng, _HAIR), rng.uniform(0, 9), rng.choice([-1, 1])
    woman, legs = rng.random() < 0.5, jitter(rng, pick(rng, _TROUSERS), 8)
    cold = season == "winter" or season != "summer" and rng.random() < 0.6
    today = random_for("clothes", key, season)
    top = jitter(today, pick(today, _COATS if cold else _SHIRTS), 8)
    skirt = woman and not cold and rng.random() < 0.4
    s = 4
    image = Image.new("RGBA", (48 * s, 96 * s), (*shade(top, 0.8), 0))
    draw = ImageDraw.Draw(image)

    def limb(points: list[tuple[float, float]], colour: Colour, pen: float) -> None:
        draw.line([(x * s, y * s) for x, y in points], fill=colour, width=int(pen * s), joint="curve")
        for x, y in points:
            draw.ellipse(((x - pen / 2) * s, (y - pen / 2) * s, (x + pen / 2) * s, (y + pen / 2) * s), fill=colour)

    shoes = (40, 36, 34)
    for step, tone in ((-walk, 0.8), (walk * 0.8, 1.0)):
        foot = 24 + step * side
        limb(
            [(24, 50), (24 + step * 0.6 * side, 68), (foot, 89)],
            shade(skin if skirt else legs, tone),
            6.0 if not skirt else 4.5,
        )
        limb([(foot, 91), (foot + 3 * side, 92)], shoes, 4)
    if skirt or cold and rng.random() < 0.5:  # a skirt or a long coat
        hem = 66 if skirt else 62
        draw.polygon(
            [(18 * s, 46 * s), (30 * s, 46 * s), (33 * s, hem * s), (15 * s, hem * s)], fill=top if cold else legs
        )
    wide = (8.5 if woman else 10) + (1.5 if cold else 0)
    draw.polygon(
        [
            ((24 - wide) * s, 26 * s),
            ((24 + wide) * s, 26 * s),
            ((24 + wide * 0.72) * s, 53 * s),
            ((24 - wide * 0.72) * s, 53 * s),
        ],
        fill=top,
    )
    draw.ellipse(((24 - wide) * s, 22 * s, (24 + wide) * s, 32 * s), fill=top)
    draw.polygon(
        [(24 * s, 24 * s), ((24 + wide) * s, 26 * s), ((24 + wide * 0.7) * s, 53 * s), (24 * s, 53 * s)],
        fill=shade(top, 0.85),
    )
    for edge, swing in ((-1, -walk * 0.5), (1, walk * 0.5)):
        sleeve = cold or rng.random() < 0.5
        elbow, hand = (24 + edge * (wide + 1.5), 40), (24 + edge * (wide + 0.5) + swing * side, 53)
        limb([(24 + edge * wide * 0.85, 28), elbow], shade(top, 0.92), 5.4 if cold else 4.4)
        limb([elbow, hand], shade(top, 0.92) if sleeve else skin, 4.6 if cold else 3.6)
        limb([hand, hand], skin, 3.4)
    limb([(24, 22), (24, 18)], skin, 4.5)
    draw.ellipse((19.5 * s, 6 * s, 28.5 * s, 18.5 * s), fill=skin)
    back = rng.random() < 0.5  # seen from behind
    draw.pieslice((18.8 * s, 4.6 * s, 29.2 * s, 18 * s), 0 if back else 180, 360, fill=hair)
    if woman:
        draw.rectangle((19 * s, 10 * s, (29 if back else 21.5) * s, 23 * s), fill=hair)
    if cold and rng.random() < 0.4:
        draw.pieslice((18.6 * s, 3.6 * s, 29.4 * s, 17 * s), 180, 360, fill=pick(today, _COATS))
    bag = rng.random()
    if bag < 0.35:
        x = 24 + rng.choice([-1, 1]) * (wide + 1)
        draw.rectangle(((x - 4) * s, 50 * s, (x + 4) * s, 62 * s), fill=pick(rng, _COATS + _SHIRTS))
    elif bag < 0.55 and back:
        draw.rounded_rectangle((17.5 * s, 26 * s, 30.5 * s, 44 * s), 3 * s, fill=pick(rng, _COATS))
    return cutout(image, s)


def car_texture(kind: str, key: int) -> Texture:
    """A part of a car, on white so that it can be tinted.

    kind: of CARS; the sides are drawn with the front to the right, and the wheel is a cutout
    key: decides what is random
    """
    return Texture(*CARS[kind], partial(_car, kind, key))


def _car(kind: str, key: int, version: Hashable) -> np.ndarray:
    rng = random_for("car", key)
    (w, h), s = CARS[kind], 2
    image, index = (
        Image.new("RGBA", (w * s, h * s), (244, 244, 244, 0 if kind == "wheel" else 255)),
        Image.new("L", (w, h)),
    )
    draw, glow = ImageDraw.Draw(image), ImageDraw.Draw(index)

    def box(left: float, top: float, right: float, bottom: float, colour: Colour, shine: int = 0) -> None:
        draw.rectangle((left * w * s, top * h * s, right * w * s - 1, bottom * h * s - 1), fill=(*colour, 255))
        if shine:
            glow.rectangle((left * w, top * h, right * w - 1, bottom * h - 1), fill=shine)

    light = np.interp(np.arange(h * s), [0, h * s * 0.45, h * s * 0.6, h * s], [250, 238, 214, 176]).astype(np.uint8)
    if kind in ("side", "front", "rear"):
        image.paste(Image.merge("RGB", [Image.fromarray(light[:, None]).resize(image.size)] * 3))
        box(0, 0.86, 1, 1, (58, 58, 60))
    if kind == "side":
        for x in (0.3, 0.5, 0.7):
            box(x, 0.3, x + 0.006, 0.86, (120, 120, 122))
        for x in (0.42, 0.62):
            box(x, 0.5, x + 0.035, 0.53, (70, 70, 72))
        box(0, 0.42, 0.03, 0.56, (150, 30, 32))
        box(0.95, 0.42, 1, 0.56, (222, 222, 214), 230)
        box(0, 0.38, 1, 0.395, (252, 252, 252))
    elif kind in ("front", "rear"):
        lamp = ((224, 226, 226), 231) if kind == "front" else ((158, 26, 30), 232)
        for x in (0.02, 0.78):
            box(x, 0.4, x + 0.2, 0.56, *lamp)
            box(x + 0.02, 0.43, x + 0.1, 0.53, shade(lamp[0], 0.8), lamp[1])
        if kind == "front":
            box(0.26, 0.44, 0.74, 0.6, (44, 44, 48))
            box(0.2, 0.7, 0.8, 0.84, (50, 50, 54))
        box(0.34, 0.64, 0.66, 0.74, pick(rng, colours("e8e8e4 e8e8e4 e0c060")))
        for x in (0.37, 0.43, 0.5, 0.56, 0.61):
            box(x, 0.66, x + 0.03, 0.72, (40, 40, 44))
        box(0.48, 0.5, 0.52, 0.55, (200, 200, 204))
    elif kind == "window":
        for y in range(h * s):
            tone = 40 + 60 * max(1 - y / (h * s * 0.7), 0)
            draw.line((0, y, w * s, y), fill=(int(tone), int(tone * 1.06), int(tone * 1.12), 255))
        for x in (0.2, 0.62):
            box(x, 0.45, x + 0.16, 1, (34, 34, 36))
    elif kind == "wheel":
        draw.ellipse((0, 0, w * s - 1, h * s - 1), fill=(34, 34, 36, 255))
        draw.ellipse((w * s * 0.2, h * s * 0.2, w * s * 0.8, h * s * 0.8), fill=(150, 152, 156, 255))
        spokes = int(rng.integers(5, 11))
        for n in range(spokes):
            a = n / spokes * 2 * np.pi
            x, y = w * s * (0.5 + 0.28 * np.cos(a)), h * s * (0.5 + 0.28 * np.sin(a))
            draw.line((w * s / 2, h * s / 2, x, y), fill=(74, 76, 80, 255), width=3)
    if kind == "wheel":
        return cutout(image, s)
    small = image.reduce(s)
    small.putalpha(index)
    return np.asarray(small)
