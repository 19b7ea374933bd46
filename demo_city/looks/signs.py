"""Signs of traffic and trade, posters, clocks and graffiti."""

from collections.abc import Callable, Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import cutout
from demo_city.looks.colours import choose, colours, jitter, mixed, pick
from demo_city.looks.figures import CARS, car_texture, person_texture
from demo_city.looks.letters import latin, word, writing
from demo_city.looks.palettes import LOOKS, OCHRE, STYLES, VIVID, WHITE
from demo_city.seeds import random_for
from demo_city.years import GRAFFITI_CHANGE, generation

__all__ = ["CARS", "CUTOUTS", "SIGNS", "car_texture", "person_texture", "sign_texture", "sprayed"]

# width and height of each kind, texels; those in CUTOUTS have an outline, the others an index of what shines
SIGNS = {
    "round": (48, 48), "triangle": (48, 48), "rectangle": (48, 48), "street_name": (96, 24),
    "billboard": (256, 128), "banner": (48, 160), "poster": (64, 96),
    "plate": (32, 16), "menu": (48, 72), "clock": (64, 64), "graffiti": (192, 96),
}  # fmt: skip
CUTOUTS = ("round", "triangle", "rectangle", "clock", "graffiti")
_CHANGES = {"billboard": 0.9, "poster": 0.9,
            "banner": 0.5, "menu": 0.3, "graffiti": GRAFFITI_CHANGE}  # fmt: skip
_SPRAY = colours("c8c8cc 26262a 3a6ea8 b83848 4a9a6a d8a040 8a4a9a d87a98 e8e8ea 4ab0b8")


def sign_texture(kind: str, key: int, script: str | None = None) -> Texture:
    """A sign.

    kind: of SIGNS, or "traffic" for any of round, triangle and rectangle
    key: decides what is random
    script: see letters.py; None for the one that `key` draws
    """
    if kind == "traffic":
        kind = ("round", "round", "triangle", "rectangle")[key % 4]

    def version(year: int, season: str) -> Hashable:
        return generation(key, kind, year, _CHANGES[kind]) if kind in _CHANGES else 0

    return Texture(*SIGNS[kind], partial(_sign, kind, key, script), version)


def _sign(kind: str, key: int, script: str | None, version: Hashable) -> np.ndarray:
    rng = random_for("sign", kind, key, version)
    script = script or choose(random_for("script", key), LOOKS[STYLES[key % len(STYLES)]].scripts)
    width, height = SIGNS[kind]
    paint: Callable = _PAINTERS[kind]
    picture, alpha = paint(rng, (width, height), script)
    image = picture.convert("RGB")
    image.putalpha(alpha)
    return np.asarray(image)


def _outlined(
    size: tuple[int, int], draw_on: Callable[[ImageDraw.ImageDraw, float], None]
) -> tuple[Image.Image, Image.Image]:
    """Draws a cutout four times as large: what is not drawn on is not there."""
    big = Image.new("RGBA", (size[0] * 4, size[1] * 4), (128, 128, 128, 0))
    draw_on(ImageDraw.Draw(big), 4.0)
    small = Image.fromarray(cutout(big, 4))
    return small.convert("RGB"), small.getchannel("A")


def _traffic_round(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    red, blue, form = (176, 32, 36), (32, 76, 148), int(rng.integers(5))

    def draw(d: ImageDraw.ImageDraw, s: float) -> None:
        w = size[0] * s
        ground = blue if form in (1, 4) else red if form == 2 else (236, 236, 232)
        d.ellipse((0, 0, w - 1, w - 1), fill=(236, 236, 232) if form == 2 else blue if form == 1 else red)
        d.ellipse((w * 0.12, w * 0.12, w * 0.88, w * 0.88), fill=ground)
        if form == 0:  # a limit of speed
            text = latin(str(rng.choice([20, 30, 40, 50, 60, 70])), (int(w * 0.56), int(w * 0.4)))
            d.bitmap((w * 0.22, w * 0.3), text, fill=(24, 24, 26))
        elif form == 1:  # an arrow
            d.line((w * 0.5, w * 0.8, w * 0.5, w * 0.3), fill=(240, 240, 240), width=int(w * 0.1))
            d.polygon([(w * 0.3, w * 0.45), (w * 0.7, w * 0.45), (w * 0.5, w * 0.18)], fill=(240, 240, 240))
        elif form == 2:  # no entry
            d.rectangle((w * 0.2, w * 0.41, w * 0.8, w * 0.59), fill=(240, 240, 240))
        elif form == 4:  # no parking
            d.line((w * 0.2, w * 0.2, w * 0.8, w * 0.8), fill=red, width=int(w * 0.1))

    return _outlined(size, draw)


def _traffic_triangle(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    form = int(rng.integers(4))

    def draw(d: ImageDraw.ImageDraw, s: float) -> None:
        w = size[0] * s
        corners = (
            [(0, w * 0.06), (w, w * 0.06), (w / 2, w * 0.94)]
            if form == 0
            else [(0, w * 0.94), (w, w * 0.94), (w / 2, w * 0.06)]
        )
        middle = (w / 2, sum(y for _, y in corners) / 3)
        d.polygon(corners, fill=(176, 32, 36))
        inner = [tuple(m + (c - m) * 0.68 for c, m in zip(corner, middle, strict=True)) for corner in corners]
        d.polygon(inner, fill=(238, 236, 228) if form < 3 else (226, 178, 40))
        if form:
            d.line((w * 0.5, w * 0.46, w * 0.5, w * 0.68), fill=(24, 24, 26), width=int(w * 0.08))
            d.ellipse((w * 0.45, w * 0.73, w * 0.55, w * 0.82), fill=(24, 24, 26))

    return _outlined(size, draw)


def _traffic_rectangle(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    form = int(rng.integers(5))
    ground = ((32, 76, 148), (32, 76, 148), (38, 106, 72), (236, 236, 232), (216, 170, 40))[form]
    ink = (240, 240, 238) if form < 3 else (30, 30, 32)
    text = "P" if form == 0 else word(rng)[:8]
    narrow = 0.18 if form in (0, 3) else 0.0

    def draw(d: ImageDraw.ImageDraw, s: float) -> None:
        w = size[0] * s
        top = 0 if form in (0, 1, 3) else w * 0.25
        d.rounded_rectangle((w * narrow, top, w * (1 - narrow) - 1, w - top - 1), w * 0.06, fill=ink)
        d.rounded_rectangle(
            (w * (narrow + 0.03), top + w * 0.03, w * (0.97 - narrow), w * 0.97 - top), w * 0.05, fill=ground
        )
        if form == 1:  # a crossing for walkers
            d.polygon([(w * 0.5, w * 0.12), (w * 0.88, w * 0.84), (w * 0.12, w * 0.84)], fill=ink)
            d.line((w * 0.5, w * 0.36, w * 0.42, w * 0.58, w * 0.36, w * 0.76), fill=(24, 24, 26), width=int(w * 0.07))
            d.line((w * 0.44, w * 0.55, w * 0.6, w * 0.76), fill=(24, 24, 26), width=int(w * 0.07))
        else:
            d.bitmap((w * 0.26, w * 0.28), latin(text, (int(w * 0.5), int(w * 0.45))), fill=ink)

    return _outlined(size, draw)


def _clock(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    hour = rng.uniform(0, 12)

    def draw(d: ImageDraw.ImageDraw, s: float) -> None:
        w = size[0] * s
        d.ellipse((0, 0, w - 1, w - 1), fill=(48, 46, 44))
        d.ellipse((w * 0.07, w * 0.07, w * 0.93, w * 0.93), fill=(232, 230, 220))
        for share, reach, pen in [(n / 12, (0.36, 0.41), 0.035) for n in range(12)] + [
            (hour / 12, (0, 0.22), 0.06),
            (hour % 1, (0, 0.34), 0.04),
        ]:
            x, y = np.sin(share * 2 * np.pi), -np.cos(share * 2 * np.pi)
            d.line([(w * (0.5 + r * x), w * (0.5 + r * y)) for r in reach], fill=(34, 34, 36), width=int(w * pen))

    return _outlined(size, draw)


def _printed(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    """A poster: a ground, a picture of shapes, a title and small print."""
    w, h = size
    tones = [jitter(rng, pick(rng, VIVID + WHITE + OCHRE), 14) for _ in range(4)]
    fade = Image.linear_gradient("L").resize(size)
    image = Image.composite(
        Image.new("RGB", size, tones[0]), Image.new("RGB", size, mixed(tones[0], tones[1], rng.uniform(0, 0.8))), fade
    )
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 5))):  # a face, a bottle, a landscape: at this distance, shapes
        x, y, s = rng.uniform(0.1, 0.8) * w, rng.uniform(0.15, 0.7) * h, rng.uniform(0.15, 0.45) * min(w, h)
        area, fill = (x - s, y - s, x + s, y + s * rng.uniform(0.4, 1.4)), pick(rng, [*tones[1:], (198, 160, 136)])
        (draw.ellipse if rng.random() < 0.6 else draw.rectangle)(area, fill=fill)
    ink = (244, 242, 236) if sum(tones[0]) < 390 else (34, 34, 38)
    title = writing(rng, script, (int(w * 0.84), max(int(h * rng.uniform(0.12, 0.24)), 4)))
    image.paste(ink, (int(w * 0.08), int(h * rng.choice([0.06, 0.7]))), title)
    for y in range(int(h * 0.9), int(h * 0.97), 3):
        draw.line((w * 0.1, y, w * rng.uniform(0.5, 0.9), y), fill=ink)
    return image, Image.new("L", size)


def _billboard(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    image, _ = _printed(rng, size, script)
    ImageDraw.Draw(image).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=(70, 70, 72), width=3)
    return image, Image.new("L", size, 230 + int(rng.integers(26)) if rng.random() < 0.6 else 0)


def _street_name(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    ground = pick(rng, colours("1e3c78 1e3c78 e8e6de 1c5a40 2a2a2c"))
    ink = (238, 238, 234) if sum(ground) < 390 else (28, 28, 30)
    image = Image.new("RGB", size, ground)
    ImageDraw.Draw(image).rectangle((1, 1, size[0] - 2, size[1] - 2), outline=ink)
    image.paste(ink, (8, 5), writing(rng, script, (size[0] - 16, size[1] - 10)))
    return image, Image.new("L", size)


def _plate(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    image = Image.new("RGB", size, pick(rng, colours("e8e8e4 e8e8e4 e0b840")))
    text = "".join(chr(int(c)) for c in rng.integers(65, 91, 2)) + str(int(rng.integers(100, 9999)))
    image.paste((28, 28, 32), (2, 3), latin(text, (size[0] - 4, size[1] - 6)))
    return image, Image.new("L", size)


def _menu(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    image = Image.new("RGB", size, (104, 82, 60))
    draw = ImageDraw.Draw(image)
    slate = rng.random() < 0.6
    draw.rectangle((3, 3, size[0] - 4, size[1] - 4), fill=(40, 44, 42) if slate else (232, 228, 216))
    ink = (210, 210, 202) if slate else (50, 48, 46)
    image.paste(ink, (6, 6), writing(rng, script, (size[0] - 12, 12)))
    for y in range(24, size[1] - 8, 5):
        draw.line((8, y, rng.uniform(0.4, 0.8) * size[0], y), fill=ink)
    return image, Image.new("L", size)


def sprayed(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    """Graffiti: a picture (RGB) and what of it is there (L). size: width and height, texels."""
    w, h = size
    ink, fill = pick(rng, _SPRAY), pick(rng, _SPRAY)
    image, mask = Image.new("RGB", size, ink), Image.new("L", size)
    if rng.random() < 0.45 and min(size) > 12:  # fat letters with an outline
        text = word(rng).split()[0].upper()[: int(rng.integers(3, 7))]
        letters = latin(text, (int(w * 0.9), int(h * 0.8))).filter(ImageFilter.MaxFilter(3))
        shear = rng.uniform(-0.3, 0.3)
        letters = letters.transform(
            size, Image.AFFINE, (1, shear, -shear * h / 2 - w * 0.05, rng.uniform(-0.1, 0.1), 1, -h * 0.1)
        )
        mask = letters.filter(ImageFilter.MaxFilter(5 if h > 30 else 3))
        image.paste(fill, None, letters)
        light = Image.linear_gradient("L").resize(size)
        image.paste(mixed(fill, (255, 255, 255), 0.35), None, ImageChops.multiply(letters, light))
        return image, mask
    draw = ImageDraw.Draw(mask)
    start = w * 0.05
    for _ in range(int(rng.integers(1, 4))):  # tags in one stroke, with loops
        t, reach = np.linspace(0, 1, 60), w * rng.uniform(0.3, 0.6)
        swing, phase = rng.uniform(3, 7) * 2 * np.pi, rng.uniform(0, 6, 3)
        x = start + t * reach + 0.11 * reach * np.cos(swing * t + phase[0])
        y = h * (0.5 + 0.26 * np.sin(swing * t + phase[1]) * (0.6 + 0.4 * np.sin(swing * 0.37 * t + phase[2])))
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), 230, max(h // 24, 1), "curve")
        start += w * rng.uniform(0.1, 0.3)
    return image, mask


def _graffiti(rng: np.random.Generator, size: tuple[int, int], script: str) -> tuple[Image.Image, Image.Image]:
    return sprayed(rng, size)


_PAINTERS = {
    "round": _traffic_round, "triangle": _traffic_triangle, "rectangle": _traffic_rectangle,
    "street_name": _street_name,
    "billboard": _billboard,
    "banner": _printed, "poster": _printed, "plate": _plate, "menu": _menu, "clock": _clock, "graffiti": _graffiti,
}  # fmt: skip
