"""What stands or moves in the street: trees, lamps, signs, people and cars, drawn on a view with Pillow from far to
near.
"""

from functools import cached_property

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from demo_city.plan import random_for

CAR_COLOURS = [
    (198, 200, 204),
    (236, 236, 234),
    (160, 164, 170),
    (28, 30, 34),
    (120, 124, 130),
    (220, 222, 224),
    (62, 66, 74),
    (44, 46, 52),
    (92, 96, 104),
    (150, 30, 34),
    (36, 60, 110),
    (60, 84, 70),
    (176, 150, 96),
    (190, 90, 40),
    (110, 130, 150),
    (224, 190, 60),
]
_LEAVES = {
    "spring": [(124, 150, 76), (136, 160, 88), (142, 156, 92)],
    "summer": [(74, 98, 54), (84, 108, 60), (70, 92, 56)],
    "autumn": [(188, 142, 62), (172, 104, 56), (158, 136, 66)],
    "winter": None,
}
TREE_SIZE = (96, 128)  # pixels of a tree's picture; its height in metres is the tree's size
# a car's outline in the middle plane: (position from the front, height), shares of its length and height, then what
# follows: glass?
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
_SIZES = {
    "saloon": (4.5, 1.78, 1.45),
    "hatch": (3.9, 1.72, 1.5),
    "van": (5.2, 1.95, 2.15),
}  # length, width, height in metres
_trees = {}


def tree_picture(variant, season):
    """A tree: an RGB image and its outline (L) of TREE_SIZE, drawn once a process; variant 0..17, six of each of three
    forms.
    """
    if (variant, season) not in _trees:
        rng = random_for("tree", variant)
        width, height = TREE_SIZE
        image = Image.new("RGBA", (width * 2, height * 2), (70, 80, 50, 0))
        draw = ImageDraw.Draw(image)
        form = variant // 6
        evergreen = form == 1 and variant % 3 == 0
        bark = [(74, 60, 48), (96, 88, 80), (60, 50, 44)][variant % 3]
        middle, bottom = width, height * 2
        _branch(
            draw,
            rng,
            middle,
            bottom,
            -np.pi / 2,
            height * (0.62 if form != 2 else 0.5),
            7 if form != 2 else 10,
            bark,
            5,
            0.35 if form == 1 else 0.6,
        )
        leaves = _LEAVES["summer" if evergreen else season]
        if leaves:
            tone = leaves[variant % 3] if not evergreen else (52, 76, 58)
            blobs, tufts = [], rng.uniform(-1, 1, (9, 2)) * 0.75  # the crown is made of tufts, with gaps between them
            for n in range(260):
                offset = tufts[n % 9] + rng.normal(0, 0.22, 2)
                angle, r = np.arctan2(offset[1], offset[0]), min(np.hypot(*offset), 1.05)
                if form == 1:
                    y = rng.random()
                    blobs.append(
                        (middle + r * np.cos(angle) * width * 0.36 * (0.25 + y), height * 0.1 + y * height * 1.35)
                    )
                elif form == 0:
                    blobs.append(
                        (middle + r * np.cos(angle) * width * 0.66, height * 0.78 + r * np.sin(angle) * height * 0.62)
                    )
                else:
                    blobs.append(
                        (middle + r * np.cos(angle) * width * 0.86, height * 0.72 + r * np.sin(angle) * height * 0.45)
                    )
            for x, y in sorted(blobs, key=lambda b: -b[1]):
                size = rng.uniform(5, 12)
                light = (
                    (1.22 - 0.45 * y / (height * 1.5)) * rng.uniform(0.75, 1.2) * (0.9 + 0.25 * (middle - x) / width)
                )
                draw.ellipse(
                    (x - size, y - size * 0.8, x + size, y + size * 0.8),
                    fill=(*(int(min(c * light, 255)) for c in tone), 255),
                )
                for _ in range(5):
                    a, c = rng.normal(x, size * 0.7), rng.normal(y, size * 0.6)
                    draw.ellipse(
                        (a - 3, c - 2, a + 3, c + 2), fill=(*(int(min(v * light * 1.25, 255)) for v in tone), 255)
                    )
        image = image.resize(TREE_SIZE, Image.BOX)
        _trees[variant, season] = image.convert("RGB"), image.getchannel("A")
    return _trees[variant, season]


def _branch(draw, rng, x, y, angle, length, width, colour, depth, spread):
    x1, y1 = x + np.cos(angle) * length, y + np.sin(angle) * length
    draw.line((x, y, x1, y1), fill=(*colour, 255), width=max(int(width), 1))
    if depth:
        for _ in range(3 if depth > 2 else 2):
            start = rng.uniform(0.55, 1.0)
            turn, shorter = rng.uniform(-spread, spread) * 1.3, rng.uniform(0.45, 0.7)
            at = x + (x1 - x) * start, y + (y1 - y) * start
            _branch(draw, rng, *at, angle + turn, length * shorter, width * 0.6, colour, depth - 1, spread)


class Car:
    """position (2,) of its middle and forward (2,), unit vector; kind, colour; lights: its lamps are on."""

    def __init__(self, rng, position, forward, lights=False):
        self.position, self.forward, self.lights = position, forward, lights
        scale = rng.uniform(0.93, 1.07)
        self.kind = str(rng.choice(["saloon", "hatch", "hatch", "saloon", "van"]))
        self.colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
        self.size = tuple(v * scale for v in _SIZES[self.kind])

    @cached_property
    def points(self):
        """All points of the drawing, float64 (n, 3): the outline on the right and on the left side, the shadow, four
        wheels, four lamps.
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


def parked_cars(district, capture):
    """The cars at the kerbs of a district on one day or night."""
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


class Person:
    def __init__(self, rng, position):
        self.position = position
        self.height = rng.uniform(1.55, 1.9)
        self.coat = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
        self.legs = (40, 44, 60) if rng.random() < 0.6 else (90, 80, 70)
        self.stride = rng.uniform(0.05, 0.3)


class Stage:
    """One view on which things are drawn. to_view(points (n, 3)) gives pixel x, y and depth; light: factor (3,) at a
    place; every drawing keeps behind what the depth picture (rows, columns), in metres, says is nearer.
    """

    def __init__(self, image, depth, column_depth, camera, scale, horizon, haze, clear, night):
        self.image, self.draw = image, ImageDraw.Draw(image, "RGBA")
        self.depth, self.column_depth = depth, column_depth
        self.camera, self.scale, self.horizon = camera, scale, horizon
        self.haze, self.clear, self.night = haze.tolist(), clear, night

    def to_view(self, points):
        offset = points[:, :2] - self.camera.position
        depth = offset @ self.camera.forward
        near = np.maximum(depth, 0.05)
        x = self.image.width / 2 + self.scale * (offset @ self.camera.right) / near
        y = self.horizon + self.scale * (self.camera.height - points[:, 2]) / near
        return x, y, depth

    def tone(self, colour, depth, light, factor=1.0):
        """A colour lit by `light` (three numbers) times factor and paled by the haze at `depth` metres."""
        clear = self.clear ** (depth / 100)
        lit, pale = factor * clear, 1 - clear
        return (
            min(int(colour[0] * light[0] * lit + self.haze[0] * pale), 255),
            min(int(colour[1] * light[1] * lit + self.haze[1] * pale), 255),
            min(int(colour[2] * light[2] * lit + self.haze[2] * pale), 255),
        )

    def behind(self, box, depth, drawing):
        """Calls drawing() and then puts back what is nearer than `depth` inside box (left, top, right, bottom)."""
        left, top = max(int(box[0]) - 1, 0), max(int(box[1]) - 1, 0)
        right, bottom = min(int(box[2]) + 2, self.image.width), min(int(box[3]) + 2, self.image.height)
        if right <= left or bottom <= top:
            return
        nearest = self.column_depth[left:right]
        if nearest.min() > depth:
            drawing()
            return
        nearer = self.depth[top:bottom, left:right] < depth
        if nearer.all():
            return
        before = self.image.crop((left, top, right, bottom))
        drawing()
        self.image.paste(before, (left, top), Image.fromarray(nearer.astype(np.uint8) * 255))

    def glow(self, x, y, radius, colour, strength=200):
        """Adds the halo of a light; only at night."""
        radius = int(min(max(radius, 2), 90))
        halo = _halo(radius, strength)
        self.image.paste(Image.new("RGB", halo.size, colour), (int(x) - radius, int(y) - radius), halo)


_halos = {}


def _halo(radius, strength):
    if (radius, strength) not in _halos:
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1] / radius
        _halos[radius, strength] = Image.fromarray(
            (np.clip(1 - np.hypot(x, y), 0, 1) ** 2.4 * strength).astype(np.uint8)
        )
    return _halos[radius, strength]


def draw_tree(stage, thing, season, light):
    x, y, depth = stage.to_view(np.array([[*thing.position, 0.0]]))
    x, y, depth = float(x[0]), float(y[0]), float(depth[0])
    height = stage.scale * thing.size / depth
    width = height * TREE_SIZE[0] / TREE_SIZE[1]
    left, top = x - width / 2, y - height
    box = [max(left, 0), max(top, 0), min(left + width, stage.image.width), min(y, stage.image.height)]
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        return
    pixels = [int(np.floor(box[0])), int(np.floor(box[1])), int(np.ceil(box[2])), int(np.ceil(box[3]))]
    source = [
        (pixels[0] - left) / width,
        (pixels[1] - top) / height,
        (pixels[2] - left) / width,
        (pixels[3] - top) / height,
    ]
    source = [min(max(s, 0), 1) * TREE_SIZE[k % 2] for k, s in enumerate(source)]

    def drawing():
        size = (pixels[2] - pixels[0], pixels[3] - pixels[1])
        leaves, outline = tree_picture(thing.variant, season)
        shade = Image.new("RGB", size, tuple(min(int(v * 255), 255) for v in light))
        patch = ImageChops.multiply(leaves.resize(size, Image.BILINEAR, source), shade)
        patch = Image.blend(
            patch, Image.new("RGB", size, tuple(int(v) for v in stage.haze)), 1 - stage.clear ** (depth / 100)
        )
        stage.image.paste(patch, (pixels[0], pixels[1]), outline.resize(size, Image.BILINEAR, source))

    stage.behind(pixels, depth, drawing)


def draw_post(stage, thing, light):
    """A lamp post, a traffic sign, a litter bin or a switch box."""
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


def draw_person(stage, person, light):
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


def draw_car(stage, car, light, sun):
    """A car as an extruded outline: body, glass, wheels and lamps, with its shadow on the ground. sun: (2,),
    horizontal, or None.
    """
    length, width, _ = car.size
    outline = _OUTLINES[car.kind]
    count = len(outline)
    x, y, depth = stage.to_view(car.points)
    if depth.min() < 0.5:
        return
    middle = float(depth[: 2 * count].mean())
    flat = list(zip(x.tolist(), y.tolist(), strict=True))
    wheels, lamps = 2 * count + 4, 2 * count + 4 + 4 * WHEEL
    to_camera = stage.camera.position - car.position
    right, ahead = float(to_camera @ (car.forward[1], -car.forward[0])), float(to_camera @ car.forward)
    detailed = middle < 30

    def polygon(corners, colour, factor):
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
                if detailed:
                    cx, cy = sum(p[0] for p in rim) / WHEEL, sum(p[1] for p in rim) / WHEEL
                    polygon([(cx + (px - cx) * 0.5, cy + (py - cy) * 0.5) for px, py in rim], (150, 152, 156), 1)
        if abs(ahead) > length / 2:
            first = lamps + (0 if ahead > 0 else 2)
            for (lx, ly), near in zip(flat[first : first + 2], depth[first : first + 2].tolist(), strict=True):
                r = max(stage.scale * 0.11 / near, 0.7)
                if stage.night and car.lights:
                    stage.draw.ellipse(
                        (lx - r, ly - r, lx + r, ly + r), fill=(255, 250, 232) if ahead > 0 else (255, 40, 30)
                    )
                    if ahead > 0:
                        stage.glow(lx, ly, r * 11, (255, 244, 214), 220)
                    else:
                        stage.glow(lx, ly, r * 5, (255, 50, 36), 150)
                else:
                    colour = stage.tone((222, 224, 220) if ahead > 0 else (150, 26, 28), middle, light)
                    stage.draw.rectangle((lx - r, ly - r * 0.7, lx + r, ly + r * 0.7), fill=colour)

    stage.behind((x.min(), y.min(), x.max(), y.max()), float(depth.min()), drawing)
