"""Signs of traffic and trade, posters, clocks, wheels and graffiti."""

from collections.abc import Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import cutout
from demo_city.looks.colours import choose, jitter, mixed, pick, table
from demo_city.looks.figures import person_texture
from demo_city.looks.letters import latin, word, writing
from demo_city.seeds import random_for
from demo_city.styles import STYLES, style
from demo_city.years import generation

__all__ = ["SIGNS", "car_texture", "person_texture", "sign_texture", "sprayed"]

SIGNS = table("signs")


def sign_texture(kind: str, key: int) -> Texture:
    """A sign. kind: of SIGNS, or "traffic" for any of round, triangle and rectangle; key: decides what is random."""
    if kind == "traffic":
        kind = ("round", "round", "triangle", "rectangle")[key % 4]
    change = SIGNS[kind].get("change", 0)
    version = partial(lambda year, season: generation(key, kind, year, change) if change else 0)
    return Texture(*SIGNS[kind]["size"], partial(_sign, kind, key), version)


def car_texture(kind: str, key: int) -> Texture:
    """A part of a car; kind: "wheel" (a cutout), which is all that is not plain; key: decides what is random."""
    return sign_texture(kind, key)


def _sign(kind: str, key: int, version: Hashable) -> np.ndarray:
    rng, sign, size = random_for("sign", kind, key, version), SIGNS[kind], tuple(SIGNS[kind]["size"])
    script = choose(rng, style(STYLES[key % len(STYLES)])["look"].get("scripts", "latin 1"))
    if forms := sign.get("forms"):
        image = _drawn(rng, sign.get("base", "") + forms[int(rng.integers(len(forms)))], size, script)
    elif kind == "graffiti":
        image, mask = sprayed(rng, size)
        image.putalpha(mask)
    else:
        image = _printed(rng, size, script)
    if not sign.get("cutout"):
        image.putalpha(230 + int(rng.integers(26)) if kind == "billboard" and rng.random() < 0.6 else 0)
    return np.asarray(image)


def _drawn(rng: np.random.Generator, form: str, size: tuple[int, int], script: str) -> Image.Image:
    """Draws a form of _FORMS four times as large, and reduces it: RGBA."""
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
    return Image.fromarray(cutout(big, 4))


def _printed(rng: np.random.Generator, size: tuple[int, int], script: str) -> Image.Image:
    """A poster: a ground, a picture of shapes, a title and small print."""
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
    return image


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
