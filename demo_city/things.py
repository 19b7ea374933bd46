"""What stands or walks in the street, except trees and cars: lamps, signs, bins, boxes and people."""

from collections.abc import Sequence

import numpy as np

from demo_city.paint import CAR_COLOURS
from demo_city.plan import Thing
from demo_city.stage import Stage


class Person:
    """A person who stands or walks. position: (2,), metres."""

    def __init__(self, rng: np.random.Generator, position: np.ndarray):
        self.position = position
        self.height = rng.uniform(1.55, 1.9)
        self.coat = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
        self.legs = (40, 44, 60) if rng.random() < 0.6 else (90, 80, 70)
        self.stride = rng.uniform(0.05, 0.3)


def draw_post(stage: Stage, thing: Thing, light: Sequence[float]) -> None:
    """Draws a lamp post, a traffic sign, a litter bin or a switch box."""
    base, face = thing.position, thing.facing
    depth = float((base - stage.camera.position) @ stage.camera.forward)
    grey = [(52, 62, 58), (70, 74, 82), (120, 122, 124)][thing.variant % 3]
    if thing.kind == "lamp":
        head = base + face * (0.9 if thing.variant else 0.0)
        x, y, _ = stage.to_view(np.array([[*base, 0], [*base, thing.size], [*head, thing.size + 0.15]]))
        wide = max(stage.scale * 0.055 / depth, 0.6)

        def drawing():
            tone = stage.tone(grey, depth, light)
            stage.draw.rectangle((x[0] - wide, y[1], x[0] + wide, y[0]), fill=tone)
            stage.draw.rectangle((x[0] - wide * 2, y[0] - wide * 12, x[0] + wide * 2, y[0]), fill=tone)
            stage.draw.line((x[1], y[1], x[2], y[2]), fill=tone, width=max(int(wide * 1.6), 1))
            r = max(stage.scale * 0.2 / depth, 1)
            lamp = (255, 236, 190) if stage.night else stage.tone((214, 214, 206), depth, light)
            stage.draw.ellipse((x[2] - r * 1.3, y[2] - r * 0.6, x[2] + r * 1.3, y[2] + r), fill=lamp)
            if stage.night:
                stage.glow(x[2], y[2], r * 7, (255, 214, 150), 210)

        stage.behind((min(x[0], x[2]) - wide * 3, y[2] - wide * 4, max(x[0], x[2]) + wide * 3, y[0]), depth, drawing)
        return
    colour = [(180, 40, 40), (40, 90, 160), (60, 110, 70), (200, 160, 50), (90, 92, 96)][thing.variant % 5]
    tall, half = {"sign": (2.6, 0.33), "bin": (1.0, 0.26), "box": (1.35, 0.5)}[thing.kind]
    x, y, _ = stage.to_view(np.array([[*base, 0], [*base, tall]]))
    wide, tone = stage.scale * half / depth, stage.tone(colour, depth, light)

    def drawing_small():
        if thing.kind == "sign":
            pole = max(wide * 0.1, 0.6)
            stage.draw.rectangle((x[0] - pole, y[1], x[0] + pole, y[0]), fill=stage.tone((120, 122, 124), depth, light))
            plate = (x[0] - wide, y[1], x[0] + wide, y[1] + wide * 2)
            shape = thing.variant // 5 % 3
            inner = (x[0] - wide * 0.6, y[1] + wide * 0.4, x[0] + wide * 0.6, y[1] + wide * 1.6)
            white = stage.tone((236, 236, 232), depth, light)
            (stage.draw.ellipse if shape == 0 else stage.draw.rectangle)(plate, fill=tone)
            (stage.draw.ellipse if shape < 2 else stage.draw.rectangle)(inner, fill=white)
        else:
            stage.draw.rectangle((x[0] - wide, y[1], x[0] + wide, y[0]), fill=tone)
            stage.draw.rectangle(
                (x[0] - wide, y[1], x[0] + wide, y[1] + wide * 0.3), fill=stage.tone(colour, depth, light, 1.3)
            )

    stage.behind((x[0] - wide, y[1], x[0] + wide, y[0]), depth, drawing_small)


def draw_person(stage: Stage, person: Person, light: Sequence[float]) -> None:
    """Draws a person."""
    x, y, depth = stage.to_view(np.array([[*person.position, 0.0], [*person.position, person.height]]))
    x, foot, head, depth = float(x[0]), float(y[0]), float(y[1]), float(depth[0])
    tall = foot - head
    coat, legs, skin = (stage.tone(c, depth, light) for c in (person.coat, person.legs, (206, 160, 132)))

    def drawing():
        step = tall * person.stride * 0.5
        hip = foot - tall * 0.48
        for side in (-1, 1):
            ankle = x + side * (step - tall * 0.015)
            stage.draw.polygon(
                [
                    (x - tall * 0.01 * side, hip),
                    (x + side * tall * 0.08, hip),
                    (ankle + side * tall * 0.035, foot),
                    (ankle - side * tall * 0.035, foot),
                ],
                fill=legs,
            )
        stage.draw.polygon(
            [
                (x - tall * 0.11, head + tall * 0.2),
                (x + tall * 0.11, head + tall * 0.2),
                (x + tall * 0.1, hip + tall * 0.04),
                (x - tall * 0.1, hip + tall * 0.04),
            ],
            fill=coat,
        )
        r = tall * 0.065
        stage.draw.ellipse((x - r, head, x + r, head + r * 2.4), fill=skin)
        hair = stage.tone((60, 46, 38), depth, light)
        stage.draw.pieslice((x - r * 1.1, head - r * 0.2, x + r * 1.1, head + r * 2.2), 180, 360, fill=hair)

    stage.behind((x - tall * 0.2, head, x + tall * 0.2, foot), depth, drawing)
