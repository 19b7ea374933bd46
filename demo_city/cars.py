"""Cars, parked and moving: extruded outlines with glass, wheels and lamps."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from demo_city.paint import CAR_COLOURS, Colour
from demo_city.plan import District
from demo_city.seeds import random_for
from demo_city.stage import Stage
from demo_city.years import Capture

# a car's outline in the middle plane: (position from the front, height, whether glass follows); position and height are
# shares of the car's length and height
_OUTLINES = {
    "saloon": [
        (0.0, 0.20, 0),
        (0.01, 0.47, 0),
        (0.24, 0.60, 1),
        (0.40, 0.98, 0),
        (0.68, 1.0, 1),
        (0.84, 0.68, 0),
        (0.99, 0.62, 0),
        (1.0, 0.2, 0),
    ],
    "hatch": [
        (0.0, 0.20, 0),
        (0.01, 0.46, 0),
        (0.20, 0.60, 1),
        (0.38, 0.97, 0),
        (0.82, 1.0, 1),
        (0.96, 0.62, 0),
        (1.0, 0.5, 0),
        (1.0, 0.2, 0),
    ],
    "van": [
        (0.0, 0.16, 0),
        (0.01, 0.42, 0),
        (0.12, 0.52, 1),
        (0.24, 0.97, 0),
        (0.5, 1.0, 0),
        (0.99, 1.0, 0),
        (1.0, 0.6, 0),
        (1.0, 0.16, 0),
    ],
}
WHEEL = 10  # corners of a wheel
# length, width and height, metres
_SIZES = {
    "saloon": (4.5, 1.78, 1.45),
    "hatch": (3.9, 1.72, 1.5),
    "van": (5.2, 1.95, 2.15),
}


class Car:
    """A car. position: (2,), of its middle; forward: (2,), unit vector; lights: whether its lamps are on."""

    def __init__(self, rng: np.random.Generator, position: np.ndarray, forward: np.ndarray, lights: bool = False):
        self.position, self.forward, self.lights = position, forward, lights
        scale = rng.uniform(0.93, 1.07)
        self.kind = str(rng.choice(["saloon", "hatch", "hatch", "saloon", "van"]))
        self.colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
        self.size = tuple(v * scale for v in _SIZES[self.kind])

    @cached_property
    def points(self) -> np.ndarray:
        """All points of the drawing, float64 (n, 3), metres.

        They are the outline on the right and on the left side, the shadow, four wheels and four lamps.
        """
        length, width, height = self.size
        side = np.array([self.forward[1], -self.forward[0]])
        shape = []  # metres behind the front, to the right, up
        for sign in (1, -1):
            for at, up, _ in _OUTLINES[self.kind]:
                half = width / 2 * (1 - 0.24 * max(up - 0.55, 0) / 0.45)  # narrower towards the roof
                shape.append((at * length, sign * half, up * height))
        shape += [(at * length, sign * width / 2, 0.02) for at, sign in ((0.02, 1), (0.98, 1), (0.98, -1), (0.02, -1))]
        turn = np.linspace(0, 2 * np.pi, WHEEL + 1)[:-1]
        for sign in (1, -1):
            for at in (0.19, 0.8):
                shape += [(at * length + 0.33 * np.cos(a), sign * width / 2, 0.33 + 0.33 * np.sin(a)) for a in turn]
        lamp = height * (0.36 if self.kind == "van" else 0.42)
        shape += [(at * length, sign * width * 0.36, lamp) for at in (0, 1) for sign in (-1, 1)]
        behind, right, up = np.array(shape).T
        plan = self.position + self.forward * length / 2 + right[:, None] * side - behind[:, None] * self.forward
        return np.concatenate([plan, up[:, None]], 1)


def parked_cars(district: District, capture: Capture) -> list[Car]:
    """Parks cars at the kerbs of a district, for one day or night."""
    cars = []
    for index, street in enumerate(district.streets):
        rng = random_for(district.key, "parked", index, *capture.key)
        reach = street.roadway + street.pavement + 5
        for side in (-1, 1):
            share = rng.choice([0.15, 0.45, 0.7])
            for s in np.arange(reach, street.length - reach, 6.0):
                if rng.random() < share:
                    place = (
                        street.a
                        + street.along * (s + rng.uniform(-0.4, 0.4))
                        + street.across * side * (street.roadway - 1.05)
                    )
                    cars.append(Car(rng, place, street.along * (side if rng.random() < 0.85 else -side)))
    return cars


def draw_car(stage: Stage, car: Car, light: Sequence[float], sun: np.ndarray | None) -> None:
    """Draws a car as an extruded outline: body, glass, wheels and lamps, with its shadow on the ground.

    stage: the view
    car: the car
    light: factors (3,) of the light at its place
    sun: (2,), horizontal direction of the sun, or None
    """
    (length, width, _), outline = car.size, _OUTLINES[car.kind]
    count = len(outline)
    x, y, depth = stage.to_view(car.points)
    if depth.min() < 0.5:
        return
    middle = float(depth[: 2 * count].mean())
    flat = list(zip(x.tolist(), y.tolist(), strict=True))
    wheels, lamps = 2 * count + 4, 2 * count + 4 + 4 * WHEEL
    to_camera = stage.camera.position - car.position
    right, ahead = float(to_camera @ (car.forward[1], -car.forward[0])), float(to_camera @ car.forward)
    tones = stage.tone((222, 224, 220), middle, light), stage.tone((150, 26, 28), middle, light)

    def polygon(corners: Sequence[tuple[float, float]], colour: Colour, factor: float):
        stage.draw.polygon(corners, fill=stage.tone(colour, middle, light, factor))

    def drawing():
        stage.draw.polygon(flat[2 * count : wheels], fill=(8, 8, 12, 150))
        for k in range(count - 1) if ahead < 0 else range(count - 2, -1, -1):  # the end away from the camera first
            (ax, ay), (bx, by), c, d = flat[k], flat[k + 1], flat[count + k + 1], flat[count + k]
            if (bx - ax) * (c[1] - ay) - (by - ay) * (c[0] - ax) <= 0:  # seen from behind
                continue
            steep = abs(outline[k + 1][1] - outline[k][1]) > 1.2 * abs(outline[k + 1][0] - outline[k][0])
            factor = (0.8 if steep else 1.15) * (1.25 if outline[k][2] else 1)
            polygon([(ax, ay), (bx, by), c, d], (46, 56, 68) if outline[k][2] else car.colour, factor)
        for number, sign in enumerate((1, -1)):
            if right * sign < width / 2:
                continue
            bright = 0.86
            if sun is not None:
                bright = 0.74 + 0.3 * max((car.forward[1] * sun[0] - car.forward[0] * sun[1]) * sign, 0)
            body = flat[number * count : (number + 1) * count]
            polygon(body, car.colour, bright)
            belt = (body[0][1] + body[-1][1]) / 2
            roof = [
                (px, py * 0.93 + belt * 0.07) for (px, py), (_, up, _) in zip(body, outline, strict=True) if up > 0.5
            ]
            pane = roof[:3] if car.kind == "van" else roof
            cx, cy = sum(p[0] for p in pane) / len(pane), sum(p[1] for p in pane) / len(pane)
            polygon([(cx + (px - cx) * 0.88, cy + (py - cy) * 0.72) for px, py in pane], (58, 70, 84), bright)
            for wheel in range(2):
                begin = wheels + (2 * number + wheel) * WHEEL
                rim = flat[begin : begin + WHEEL]
                polygon(rim, (24, 24, 28), 1)
                if middle < 30:
                    cx, cy = sum(p[0] for p in rim) / WHEEL, sum(p[1] for p in rim) / WHEEL
                    polygon([(cx + (px - cx) * 0.5, cy + (py - cy) * 0.5) for px, py in rim], (150, 152, 156), 1)
        if abs(ahead) > length / 2:
            ends = slice(lamps, lamps + 2) if ahead > 0 else slice(lamps + 2, lamps + 4)
            for (px, py), near in zip(flat[ends], depth[ends].tolist(), strict=True):
                _draw_lamp(stage, px, py, max(stage.scale * 0.11 / near, 0.7), ahead > 0, tones, car.lights)

    stage.behind((x.min(), y.min(), x.max(), y.max()), float(depth.min()), drawing)


def _draw_lamp(
    stage: Stage, x: float, y: float, radius: float, front: bool, tones: tuple[Colour, Colour], on: bool
) -> None:
    """Draws a lamp at x, y in pixels; tones: its colours when it is off, at the front and at the rear."""
    if not (stage.night and on):
        stage.draw.rectangle(
            (x - radius, y - radius * 0.7, x + radius, y + radius * 0.7), fill=tones[0] if front else tones[1]
        )
        return
    stage.draw.ellipse(
        (x - radius, y - radius, x + radius, y + radius), fill=(255, 250, 232) if front else (255, 40, 30)
    )
    if front:
        stage.glow(x, y, radius * 11, (255, 244, 214), 220)
    else:
        stage.glow(x, y, radius * 5, (255, 50, 36), 150)
