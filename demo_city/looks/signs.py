"""Signs of traffic and trade, writing, posters, graffiti, wheels and people."""

from collections.abc import Hashable
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Colour, Size, cutout, jitter, mixed, pick, shade, table
from demo_city.seeds import choose, random_for
from demo_city.styles import STYLES, style
from demo_city.years import generation

SIGNS = table("signs")
_font = lru_cache(64)(ImageFont.load_default)
_SCALE = 4  # drawn so many times as large


def sign_texture(kind: str, key: int) -> Texture:
    """A sign. kind: of SIGNS, or "traffic" for any of round, triangle and rectangle; key: decides what is random."""
    if kind == "traffic":
        kind = ("round", "round", "triangle", "rectangle")[key % 4]
    version = partial(generation, key, kind, chance=SIGNS[kind].get("change", 0))
    return Texture(*SIGNS[kind]["size"], partial(_sign, kind, key), lambda year, season: version(year))


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


def _drawn(rng: np.random.Generator, form: str, size: Size, script: str) -> Image.Image:
    """Draws a form of the table four times as large, and reduces it: RGBA."""
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


def _printed(rng: np.random.Generator, size: Size, script: str) -> Image.Image:
    """A poster: a ground, a picture of shapes, a title and small print."""
    w, h = size
    tones = [jitter(rng, pick(rng, "vivid white ochre c6a088"), 14) for _ in range(4)]
    grounds = [Image.new("RGB", size, tone) for tone in (tones[0], mixed(tones[0], tones[1], rng.uniform(0, 0.8)))]
    image = Image.composite(*grounds, Image.linear_gradient("L").resize(size))
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


def sprayed(rng: np.random.Generator, size: Size) -> tuple[Image.Image, Image.Image]:
    """Graffiti: a picture (RGB) and what of it is there (L). size: width and height, texels."""
    w, h = size
    fill, image, mask = pick(rng, "spray"), Image.new("RGB", size, pick(rng, "spray")), Image.new("L", size)
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
        t, reach = np.linspace(0, 1, 60), w * rng.uniform(0.3, 0.6)
        swing, phase = rng.uniform(18, 44), rng.uniform(0, 6, 3)
        x = start * w + t * reach + 0.11 * reach * np.cos(swing * t + phase[0])
        y = h * (0.5 + 0.26 * np.sin(swing * t + phase[1]) * (0.6 + 0.4 * np.sin(swing * 0.37 * t + phase[2])))
        ImageDraw.Draw(mask).line(np.stack([x, y], 1).ravel().tolist(), 230, max(h // 24, 1), "curve")
    return image, mask


def word(rng: np.random.Generator) -> str:
    """A trade, a made-up name, or both."""
    words = table("letters")
    name, trade = "".join(rng.choice(words["syllables"].split(), 3)), str(rng.choice(words["trades"].split()))
    name = name.title() if rng.random() < 0.5 else name.upper()
    return str(rng.choice([trade, trade.title(), name, f"{name} & {name[:2].title()}o", f"{name} {trade}"]))


def latin(text: str, size: Size) -> Image.Image:
    """A text that fills a box as far as its shape allows: an L image of `size` (width, height), 255 in the letters."""
    font, stroke = _font(max(min(int(size[1] * 1.25), 64), 6)), int(size[1] > 9)
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    drawn = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(drawn).text((-left, -top), text, 255, font, stroke_width=stroke)
    scale = min(size[0] / drawn.width * 1.15, size[1] / drawn.height)
    new = max(min(int(drawn.width * scale), size[0]), 1), max(min(int(drawn.height * scale), size[1]), 1)
    picture = Image.new("L", size)
    picture.paste(drawn.resize(new, Image.BOX), ((size[0] - new[0]) // 2, (size[1] - new[1]) // 2))
    return picture


def _dense(rng: np.random.Generator, size: Size, upright: bool) -> Image.Image:
    """A row of letters of many strokes, or a column: each has one or two parts."""
    count, picture, known = int(rng.integers(2, 9)), Image.new("L", (size[0] * 2, size[1] * 2)), table("letters")
    draw, (room, across) = ImageDraw.Draw(picture), picture.size[::-1] if upright else picture.size
    side = min(across, room / (count * 1.12))
    for n in range(count):
        at = (room - count * 1.12 * side) / 2 + n * 1.12 * side, (across - side) / 2
        for left, top, wide, tall in known["forms"][int(rng.integers(len(known["forms"])))]:
            for stroke in known["strokes"][int(rng.integers(len(known["strokes"])))]:
                points = np.array(stroke).reshape(-1, 2) / 10 * (wide, tall) + (left, top)
                points = points * side * 0.92 + (at[::-1] if upright else at)
                draw.line(points.ravel().tolist(), 255, max(round(side * 0.1), 1))
    small = picture.reduce(2)
    return ImageChops.add(small, small)


def writing(rng: np.random.Generator, script: str, size: Size, upright: bool = False) -> Image.Image:
    """Words by chance: an L image of `size`, 255 in the letters, which may stand one below the other.

    script: "latin" or "dense"
    """
    if script == "dense":
        return _dense(rng, size, upright)
    return latin(word(rng), size[::-1]).transpose(Image.ROTATE_270) if upright else latin(word(rng), size)


def person_texture(key: int) -> Texture:
    """A standing or walking figure (cutout), 48 x 96 texels: 0.95 x 1.9 m, dressed by season."""
    return Texture(48, 96, partial(_person, key), lambda year, season: season)


def _person(key: int, season: str) -> np.ndarray:
    rng, today = random_for("person", key), random_for("clothes", key, season)
    image = Image.new("RGBA", (48 * _SCALE, 96 * _SCALE))
    pen, skin, hair = ImageDraw.Draw(image), pick(rng, "skin"), pick(rng, "hair")
    walk, side, (woman, back, bare) = rng.uniform(0, 9), rng.choice([-1, 1]), (rng.random(3) < 0.5).tolist()
    cold = season == "winter" or season != "summer" and rng.random() < 0.6
    top, legs = jitter(today, pick(today, "coats" if cold else "shirts"), 8), jitter(today, pick(today, "trousers"), 8)
    wide = 8.5 + 1.5 * (not woman) + 1.5 * cold
    skirt, coat = woman and not cold and rng.random() < 0.4, cold and rng.random() < 0.5

    def part(colour: Colour, width: float, *points: tuple[float, float]) -> None:
        """Draws a limb, or without a width what lies between the points."""
        places = [(x * _SCALE, y * _SCALE) for x, y in points]
        if not width:
            pen.polygon(places, fill=colour)
            return
        pen.line(places, fill=colour, width=int(width * _SCALE), joint="curve")
        for x, y in points:
            pen.ellipse([(v + d * width / 2) * _SCALE for d in (-1, 1) for v in (x, y)], fill=colour)

    for step, tone in ((-walk, 0.8), (walk * 0.8, 1.0)):
        foot = 24 + step * side
        part(shade(skin if skirt else legs, tone), 6 - 1.5 * skirt, (24, 50), (24 + step * 0.6 * side, 68), (foot, 89))
        part((40, 36, 34), 4, (foot, 91), (foot + 3 * side, 92))
    if skirt or coat:
        part(top if coat else legs, 0, (18, 46), (30, 46), (33, 64), (15, 64))
    part(top, 9, (28 - wide, 27), (20 + wide, 27))
    for edge, tone in ((-1, 1.0), (1, 0.85)):
        part(shade(top, tone), 0, (24, 24), (24 + edge * wide, 26), (24 + edge * wide * 0.72, 53), (24, 53))
        elbow, hand = (24 + edge * (wide + 1.5), 40), (24 + edge * (wide + 0.5 + walk * 0.5 * side), 53)
        part(shade(top, 0.92), 4.4 + cold, (24 + edge * wide * 0.85, 28), elbow)
        part(skin if bare and not cold else shade(top, 0.92), 3.6 + cold, elbow, hand)
        part(skin, 3.4, hand, hand)
    if rng.random() < 0.35:  # a bag
        x = 24 + side * (wide + 1)
        part(pick(rng, "coats shirts"), 0, (x - 4, 50), (x + 4, 50), (x + 4, 62), (x - 4, 62))
    part(skin, 4.5, (24, 22), (24, 18))
    pen.ellipse([v * _SCALE for v in (19.5, 6, 28.5, 18.5)], fill=skin)
    pen.pieslice([v * _SCALE for v in (18.8, 4.6, 29.2, 18)], 0 if back else 180, 360, fill=hair)
    if woman:
        pen.rectangle([v * _SCALE for v in (19, 10, 29 if back else 21.5, 23)], fill=hair)
    if cold and rng.random() < 0.4:  # a cap
        pen.pieslice([v * _SCALE for v in (18.6, 3.6, 29.4, 17)], 180, 360, fill=pick(rng, "coats"))
    return cutout(image, _SCALE)
