"""People."""

from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import cutout
from demo_city.looks.colours import Colour, jitter, pick, shade
from demo_city.seeds import random_for

_SKIN = "e0b898 d0a484 b8886a 946848 6e4a34 583a2a c89878"
_HAIR = "2a2420 3c2e24 5e442e 8a6a44 b8b4ae 1c1a1a 7a3e26"
_COATS = "2e3238 44484e 26303e 5a4c40 6e6a64 3c4a3c 70283a 8a8478 1e1e22 34506e 9a9084 b0a48e"
_SHIRTS = "e4e2dc b84848 4a6a96 d0c4a0 5e7a64 303236 c88a5a 8e96a0 d8a8b0 e8e0c8 7a4a70 3e3e44 c8c04a"
_TROUSERS = "2c3444 3a4660 26262a 4a4640 6a6254 8a7e6a 54606e"
_SCALE = 4  # drawn so many times as large


def person_texture(key: int) -> Texture:
    """A standing or walking figure (cutout), 48 x 96 texels: 0.95 x 1.9 m, dressed by season."""
    return Texture(48, 96, partial(_person, key), lambda year, season: season)


def _person(key: int, season: str) -> np.ndarray:
    rng, today = random_for("person", key), random_for("clothes", key, season)
    image = Image.new("RGBA", (48 * _SCALE, 96 * _SCALE))
    pen, skin, hair = ImageDraw.Draw(image), pick(rng, _SKIN), pick(rng, _HAIR)
    walk, side, (woman, back, bare) = rng.uniform(0, 9), rng.choice([-1, 1]), (rng.random(3) < 0.5).tolist()
    cold = season == "winter" or season != "summer" and rng.random() < 0.6
    top, legs = jitter(today, pick(today, _COATS if cold else _SHIRTS), 8), jitter(today, pick(today, _TROUSERS), 8)
    wide = 8.5 + 1.5 * (not woman) + 1.5 * cold
    skirt, coat = woman and not cold and rng.random() < 0.4, cold and rng.random() < 0.5

    def area(points: list[tuple[float, float]], colour: Colour) -> None:
        pen.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour)

    def limb(points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        pen.line([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour, width=int(width * _SCALE), joint="curve")
        for x, y in points:
            pen.ellipse([(v + d * width / 2) * _SCALE for d in (-1, 1) for v in (x, y)], fill=colour)

    for step, tone in ((-walk, 0.8), (walk * 0.8, 1.0)):
        foot = 24 + step * side
        limb(
            [(24, 50), (24 + step * 0.6 * side, 68), (foot, 89)], shade(skin if skirt else legs, tone), 6 - 1.5 * skirt
        )
        limb([(foot, 91), (foot + 3 * side, 92)], (40, 36, 34), 4)
    if skirt or coat:
        area([(18, 46), (30, 46), (33, 64), (15, 64)], top if coat else legs)
    limb([(28 - wide, 27), (20 + wide, 27)], top, 9)
    for edge, tone in ((-1, 1.0), (1, 0.85)):
        area([(24, 24), (24 + edge * wide, 26), (24 + edge * wide * 0.72, 53), (24, 53)], shade(top, tone))
        elbow, hand = (24 + edge * (wide + 1.5), 40), (24 + edge * (wide + 0.5 + walk * 0.5 * side), 53)
        limb([(24 + edge * wide * 0.85, 28), elbow], shade(top, 0.92), 4.4 + cold)
        limb([elbow, hand], skin if bare and not cold else shade(top, 0.92), 3.6 + cold)
        limb([hand, hand], skin, 3.4)
    if rng.random() < 0.35:  # a bag
        x = 24 + side * (wide + 1)
        area([(x - 4, 50), (x + 4, 50), (x + 4, 62), (x - 4, 62)], pick(rng, f"{_COATS} {_SHIRTS}"))
    elif back and rng.random() < 0.4:  # a rucksack
        limb([(21, 30), (27, 30), (27, 41), (21, 41), (24, 35)], pick(rng, _COATS), 7)
    limb([(24, 22), (24, 18)], skin, 4.5)
    pen.ellipse([v * _SCALE for v in (19.5, 6, 28.5, 18.5)], fill=skin)
    pen.pieslice([v * _SCALE for v in (18.8, 4.6, 29.2, 18)], 0 if back else 180, 360, fill=hair)
    if woman:
        pen.rectangle([v * _SCALE for v in (19, 10, 29 if back else 21.5, 23)], fill=hair)
    if cold and rng.random() < 0.4:  # a cap
        pen.pieslice([v * _SCALE for v in (18.6, 3.6, 29.4, 17)], 180, 360, fill=pick(rng, _COATS))
    return cutout(image, _SCALE)
