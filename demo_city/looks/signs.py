"""Signs of traffic and trade, posters, clocks, wheels and graffiti."""

from collections.abc import Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import cutout
from demo_city.looks.colours import choose, jitter, mixed, pick
from demo_city.looks.figures import person_texture
from demo_city.looks.letters import latin, word, writing
from demo_city.seeds import random_for
from demo_city.styles import STYLES, style
from demo_city.years import GRAFFITI_CHANGE, generation

__all__ = ["CUTOUTS", "SIGNS", "car_texture", "person_texture", "sign_texture", "sprayed"]

# width and height of each kind, texels; those in CUTOUTS have an outline, the others an index of what shines
SIGNS = {
    "round": (48, 48),
    "triangle": (48, 48),
    "rectangle": (48, 48),
    "clock": (64, 64),
    "wheel": (32, 32),
    "street_name": (96, 24),
    "plate": (32, 16),
    "menu": (48, 72),
    "billboard": (256, 128),
    "banner": (48, 160),
    "poster": (64, 96),
    "graffiti": (192, 96),
}
CUTOUTS = ("round", "triangle", "rectangle", "clock", "wheel", "graffiti")
_CHANGES = {"billboard": 0.9, "poster": 0.9, "banner": 0.5, "menu": 0.3, "graffiti": GRAFFITI_CHANGE}
# What is drawn on each kind, one of several forms: shape, colours to choose from, and x and y in hundredths, from the
# upper left; of a line, first how wide it is; after "text" what it says, * for a word and # for a number plate
_RING = "disc b02024 0 0 100 100, disc ecece8 12 12 88 88"
_FORMS = {
    "round": (
        f"{_RING}, text 18181a 22 30 78 70 20|30|50|60",
        "disc 204c94 0 0 100 100, line f0f0f0 10 50 80 50 30, poly f0f0f0 30 45 70 45 50 18",
        "disc b02024 0 0 100 100, box f0f0f0 20 41 80 59",
        _RING,
        "disc b02024 0 0 100 100, disc 204c94 12 12 88 88, line b02024 10 20 20 80 80",
    ),
    "triangle": (
        "poly b02024 0 6 100 6 50 94, poly eeece4 16 16 84 16 50 75",
        "poly b02024 0 94 100 94 50 6, poly eeece4|e2b228 16 84 84 84 50 25, line 18181a 8 50 45 50 66, disc 18181a 45 71 55 80",
    ),
    "rectangle": (
        "box f0f0ee 18 0 82 100, box 204c94 21 3 79 97, text f0f0ee 26 28 74 72 P",
        "box f0f0ee 0 0 100 100, box 204c94 3 3 97 97, poly f0f0ee 50 12 88 84 12 84, line 18181a 7 50 36 42 58 36 76, "
        "line 18181a 7 44 55 60 76",
        "box f0f0ee 0 25 100 75, box 266a48 3 28 97 72, text f0f0ee 20 35 80 65 *",
        "box 1e1e20 18 0 82 100, box ecece8 21 3 79 97, text 1e1e20 26 28 74 72 *",
        "box 1e1e20 0 25 100 75, box d8aa28 3 28 97 72, text 1e1e20 20 35 80 65 *",
    ),
    "clock": tuple(
        "disc 302e2c 0 0 100 100, disc e8e6dc 7 7 93 93, line 222224 4 50 9 50 16, line 222224 4 91 50 84 50, "
        f"line 222224 4 50 91 50 84, line 222224 4 9 50 16 50, line 222224 6 50 50 {hands}"
        for hands in ("66 36 50 50 60 82", "34 60 50 50 44 16", "50 72 50 50 82 42", "30 46 50 50 50 16")
    ),
    "wheel": (
        "disc 222224 0 0 100 100, disc 96989c 20 20 80 80, line 4a4c50 5 50 22 50 78, line 4a4c50 5 22 50 78 50, "
        "line 4a4c50 5 30 30 70 70, line 4a4c50 5 70 30 30 70",
    ),
    "street_name": (
        "box eeeeea 0 0 100 100, box 1e3c78|1c5a40|2a2a2c 2 8 98 92, text eeeeea 8 22 92 78 *",
        "box 1c1c1e 0 0 100 100, box e8e6de 2 8 98 92, text 1c1c1e 8 22 92 78 *",
    ),
    "plate": ("box e8e8e4|e0b840 0 0 100 100, text 1c1c20 6 18 94 82 #",),
    "menu": tuple(
        f"box 68523c 0 0 100 100, box {ground} 6 4 94 96, text {ink} 12 9 88 26 *, "
        + ", ".join(f"line {ink} 2 16 {y} {40 + y * 7 % 40} {y}" for y in range(34, 90, 7))
        for ground, ink in (("282c2a", "d2d2ca"), ("e8e4d8", "32302e"))
    ),
}


def sign_texture(kind: str, key: int) -> Texture:
    """A sign. kind: of SIGNS, or "traffic" for any of round, triangle and rectangle; key: decides what is random."""
    if kind == "traffic":
        kind = ("round", "round", "triangle", "rectangle")[key % 4]

    def version(year: int, season: str) -> Hashable:
        return generation(key, kind, year, _CHANGES[kind]) if kind in _CHANGES else 0

    return Texture(*SIGNS[kind], partial(_sign, kind, key), version)


def car_texture(kind: str, key: int) -> Texture:
    """A part of a car; kind: "wheel" (a cutout), which is all that is not plain; key: decides what is random."""
    return sign_texture(kind, key)


def _sign(kind: str, key: int, version: Hashable) -> np.ndarray:
    rng, size = random_for("sign", kind, key, version), SIGNS[kind]
    script = choose(rng, style(STYLES[key % len(STYLES)])["look"].get("scripts", "latin 1"))
    if kind in _FORMS:
        forms = _FORMS[kind]
        image = _drawn(rng, forms[int(rng.integers(len(forms)))], size, script)
        if kind not in CUTOUTS:
            image[..., 3] = 0
        return image
    image, alpha = sprayed(rng, size) if kind == "graffiti" else _printed(rng, size, script)
    if kind == "billboard" and rng.random() < 0.6:
        alpha = 230 + int(rng.integers(26))
    image.putalpha(alpha)
    return np.asarray(image)


def _drawn(rng: np.random.Generator, form: str, size: tuple[int, int], script: str) -> np.ndarray:
    """Draws a form of _FORMS four times as large, and reduces it: uint8 (height, width, 4)."""
    big = Image.new("RGBA", (size[0] * 4, size[1] * 4), (128, 128, 128, 0))
    draw = ImageDraw.Draw(big)
    for shape, ink, *rest in (part.split() for part in form.split(", ")):
        fill = (*pick(rng, ink.replace("|", " ")), 255)
        pen = float(rest.pop(0)) * big.width / 100 if shape == "line" else 0
        says = str(rng.choice(rest.pop().split("|"))) if shape == "text" else ""
        points = (np.array(rest, float).reshape(-1, 2) * big.size / 100).ravel().tolist()
        if shape == "line":
            draw.line(points, fill, int(pen), "curve")
        elif shape == "text":
            area = int(points[2] - points[0]), int(points[3] - points[1])
            plate = "".join(map(chr, rng.integers(65, 91, 2))) + str(rng.integers(100, 9999))
            letters = writing(rng, script, area) if says == "*" else latin(plate if says == "#" else says, area)
            big.paste(fill, (int(points[0]), int(points[1])), letters)
        else:
            {"disc": draw.ellipse, "box": draw.rectangle, "poly": draw.polygon}[shape](points, fill)
    return cutout(big, 4)


def _printed(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, int]:
    """A poster: a ground, a picture of shapes, a title and small print; it does not shine."""
    w, h = size
    tones = [jitter(rng, pick(rng, "vivid white ochre c6a088"), 14) for _ in range(4)]
    first, second = (
        Image.new("RGB", size, tones[0]),
        Image.new("RGB", size, mixed(tones[0], tones[1], rng.uniform(0, 0.8))),
    )
    image = Image.composite(first, second, Image.linear_gradient("L").resize(size))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 5))):  # a face, a bottle, a landscape: at this distance, shapes
        x, y, s = rng.uniform(0.1, 0.8) * w, rng.uniform(0.15, 0.7) * h, rng.uniform(0.15, 0.45) * min(w, h)
        area, fill = (x - s, y - s, x + s, y + s * rng.uniform(0.4, 1.4)), tones[int(rng.integers(1, 4))]
        (draw.ellipse if rng.random() < 0.6 else draw.rectangle)(area, fill=fill)
    ink = (244, 242, 236) if sum(tones[0]) < 390 else (34, 34, 38)
    title = writing(rng, script, (int(w * 0.84), int(h * rng.uniform(0.12, 0.24))))
    image.paste(ink, (int(w * 0.08), int(h * rng.choice([0.06, 0.7]))), title)
    for y in range(int(h * 0.9), int(h * 0.97), 3):
        draw.line((w * 0.1, y, w * rng.uniform(0.5, 0.9), y), fill=ink)
    return image, 0


def sprayed(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    """Graffiti: a picture (RGB) and what of it is there (L). size: width and height, texels."""
    w, h = size
    spray = "c8c8cc 26262a 3a6ea8 b83848 4a9a6a d8a040 8a4a9a d87a98 e8e8ea 4ab0b8"
    fill, image, mask = pick(rng, spray), Image.new("RGB", size, pick(rng, spray)), Image.new("L", size)
    if rng.random() < 0.45 and min(size) > 12:  # fat letters with an outline
        letters = latin(word(rng).split()[0].upper()[: int(rng.integers(3, 7))], (int(w * 0.9), int(h * 0.8)))
        shear = rng.uniform(-0.3, 0.3)
        slant = (1, shear, -shear * h / 2 - w * 0.05, rng.uniform(-0.1, 0.1), 1, -h * 0.1)
        letters = letters.filter(ImageFilter.MaxFilter(3)).transform(size, Image.AFFINE, slant)
        image.paste(fill, None, letters)
        light = ImageChops.multiply(letters, Image.linear_gradient("L").resize(size))
        image.paste(mixed(fill, (255, 255, 255), 0.35), None, light)
        return image, letters.filter(ImageFilter.MaxFilter(5 if h > 30 else 3))
    for start in (0.05, 0.4, 0.65)[: int(rng.integers(1, 4))]:  # tags in one stroke, with loops
        t, reach, swing, phase = (
            np.linspace(0, 1, 60),
            w * rng.uniform(0.3, 0.6),
            rng.uniform(18, 44),
            rng.uniform(0, 6, 3),
        )
        x = start * w + t * reach + 0.11 * reach * np.cos(swing * t + phase[0])
        y = h * (0.5 + 0.26 * np.sin(swing * t + phase[1]) * (0.6 + 0.4 * np.sin(swing * 0.37 * t + phase[2])))
        ImageDraw.Draw(mask).line(list(zip(x.tolist(), y.tolist(), strict=True)), 230, max(h // 24, 1), "curve")
    return image, mask
