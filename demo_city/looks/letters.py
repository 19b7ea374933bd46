"""Writing on signs: words in Latin letters, and made-up letters that look like those of other scripts."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

_TRADES = (
    "CAFE BAKERY BOOKS HOTEL PHARMACY OPTIK BAR PIZZA FLOWERS BANK SHOES MODE BISTRO MARKET WINE SALON TEA GRILL SPORT "
    "KIOSK MUSIC BURGER NOODLES BIKES FASHION PHONES DENTAL LEGAL HOME DELI GYM PRINT TRAVEL TOYS JEWELS CURRY SUSHI "
    "KEBAB HARDWARE LAUNDRY BARBER GALLERY STUDIO EXPRESS SUPER FOTO PUB OFFICE CLINIC SCHOOL COPY TAXI BEAUTY NAILS"
).split()
_SYLLABLES = (
    "ba ber co da del en fi gar har in ka la lin mar mo na nor o pa per ri ro sa son ta ter va vi wil za".split()
)


@lru_cache(64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


def word(rng: np.random.Generator) -> str:
    """A trade, a made-up name, or both."""
    name = "".join(_SYLLABLES[int(n)] for n in rng.integers(len(_SYLLABLES), size=int(rng.integers(2, 4))))
    name = name.title() if rng.random() < 0.5 else name.upper()
    trade = _TRADES[int(rng.integers(len(_TRADES)))]
    form = rng.random()
    if form < 0.35:
        return trade if rng.random() < 0.7 else trade.title()
    if form < 0.7:
        return name
    return f"{name} & {_SYLLABLES[int(rng.integers(len(_SYLLABLES)))].title()}" if form < 0.8 else f"{name} {trade}"


def latin(text: str, size: tuple[int, int], bold: bool = True) -> Image.Image:
    """A text that fills a box as far as its shape allows: an L image of `size` (width, height), 255 in the letters."""
    font = _font(max(min(int(size[1] * 1.25), 64), 6))
    stroke = 1 if bold and size[1] > 9 else 0
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    drawn = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(drawn).text((-left, -top), text, 255, font, stroke_width=stroke)
    scale = min(size[0] / drawn.width * 1.15, size[1] / drawn.height)
    new = max(min(int(drawn.width * scale), size[0]), 1), max(min(int(drawn.height * scale), size[1]), 1)
    picture = Image.new("L", size)
    picture.paste(drawn.resize(new, Image.BOX), ((size[0] - new[0]) // 2, (size[1] - new[1]) // 2))
    return picture


def _dense(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, s: float, pen: int) -> None:
    """One block of many strokes, mostly level and upright, in a square of side s."""

    def line(*points: float) -> None:
        draw.line([(x + s * a, y + s * b) for a, b in zip(points[::2], points[1::2], strict=True)], 255, pen)

    def part(left: float, top: float, right: float, bottom: float) -> None:
        middle = (left + right) / 2
        form = rng.integers(5)
        if form == 0:
            line(left, top, right, top, right, bottom, left, bottom, left, top)
            line(left, (top + bottom) / 2, right, (top + bottom) / 2)
        elif form == 1:
            for k in (0.1, 0.5, 0.9):
                line(left, top + k * (bottom - top), right, top + k * (bottom - top))
            line(middle, top, middle, bottom)
        elif form == 2:
            line(left, top + 0.3 * (bottom - top), right, top + 0.3 * (bottom - top))
            line(middle, top, left, bottom)
            line(middle, top + 0.3 * (bottom - top), right, bottom)
        elif form == 3:
            line(left, top, left, bottom)
            line(left, top, right, top, right, bottom)
            line(middle, top, middle, bottom)
        else:
            line(middle, top, middle, bottom)
            line(left, top + 0.35 * (bottom - top), right, top + 0.35 * (bottom - top))
            line(left, bottom, right, bottom)

    form = rng.integers(3)
    if form == 0:  # a part beside another
        part(0.05, 0.1, 0.35, 0.95)
        part(0.5, 0.1, 0.95, 0.95)
    elif form == 1:  # above another
        part(0.1, 0.05, 0.9, 0.4)
        part(0.1, 0.55, 0.9, 0.95)
    else:
        part(0.08, 0.08, 0.92, 0.92)


def _ring(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, s: float, pen: int) -> None:
    """One block of a ring or corner, an upright with a tick, and sometimes a corner below."""
    low = 0.55 if rng.random() < 0.6 else 0.95
    if rng.random() < 0.4:
        draw.ellipse((x + 0.05 * s, y + 0.1 * s, x + 0.5 * s, y + low * s), outline=255, width=pen)
    else:
        draw.line(
            [
                (x + 0.05 * s, y + 0.1 * s),
                (x + 0.5 * s, y + 0.1 * s),
                (x + (0.5 if rng.random() < 0.5 else 0.05) * s, y + low * s),
            ],
            255,
            pen,
        )
        if rng.random() < 0.5:
            draw.line([(x + 0.05 * s, y + low * s), (x + 0.5 * s, y + low * s)], 255, pen)
    draw.line([(x + 0.75 * s, y), (x + 0.75 * s, y + (low + 0.05) * s)], 255, pen)
    side = 0.95 if rng.random() < 0.5 else 0.58
    draw.line([(x + 0.75 * s, y + low / 2 * s), (x + side * s, y + low / 2 * s)], 255, pen)
    if low < 0.9:
        draw.line([(x + 0.2 * s, y + 0.7 * s), (x + 0.8 * s, y + 0.7 * s), (x + 0.8 * s, y + 0.98 * s)], 255, pen)


def _hung(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, s: float, pen: int) -> None:
    """One letter that hangs from a line."""
    draw.line([(x, y + 0.2 * s), (x + s, y + 0.2 * s)], 255, pen)
    if rng.random() < 0.75:
        draw.line([(x + 0.8 * s, y + 0.2 * s), (x + 0.8 * s, y + s)], 255, pen)
    a, b = rng.integers(0, 180), rng.integers(160, 340)
    draw.arc((x + 0.1 * s, y + 0.3 * s, x + 0.7 * s, y + 0.75 * s), int(a), int(a + b), 255, pen)
    if rng.random() < 0.5:
        draw.arc((x + 0.2 * s, y + 0.6 * s, x + 0.8 * s, y + s), 300, 540, 255, pen)
    if rng.random() < 0.35:
        draw.arc((x + 0.3 * s, y - 0.1 * s, x + s, y + 0.3 * s), 180, 330, 255, pen)


def _cursive(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, s: float, pen: int) -> None:
    """One letter on a line, with bows below, uprights and dots."""
    draw.line([(x, y + 0.65 * s), (x + s, y + 0.65 * s)], 255, pen)
    form = rng.integers(4)
    if form == 0:
        draw.line([(x + 0.5 * s, y + 0.05 * s), (x + 0.5 * s, y + 0.65 * s)], 255, pen)
    elif form == 1:
        draw.arc((x + 0.1 * s, y + 0.4 * s, x + 0.9 * s, y + s), 0, 180, 255, pen)
    elif form == 2:
        draw.arc((x + 0.2 * s, y + 0.35 * s, x + 0.8 * s, y + 0.7 * s), 150, 400, 255, pen)
    dots = y + (0.2 if rng.random() < 0.5 else 0.9) * s
    for n in range(int(rng.integers(0, 3))):
        draw.ellipse((x + (0.35 + 0.25 * n) * s, dots, x + (0.35 + 0.25 * n) * s + pen, dots + pen), 255)


_LETTERS = {"dense": (_dense, 1.12), "ring": (_ring, 1.12), "hung": (_hung, 0.85), "cursive": (_cursive, 0.7)}


def writing(
    rng: np.random.Generator,
    script: str,
    size: tuple[int, int],
    upright: bool = False,
) -> Image.Image:
    """Some words: an L image of `size`, 255 in the letters.

    rng: decides the words
    script: "latin", "dense", "ring", "hung" or "cursive"
    size: width and height, texels
    upright: whether the letters stand one below the other
    """
    width, height = max(size[0], 1), max(size[1], 1)
    if script == "latin":
        if upright:
            return latin(word(rng), (height, width)).transpose(Image.ROTATE_270)
        return latin(word(rng), (width, height))
    letter, advance = _LETTERS[script]
    picture = Image.new("L", (width * 2, height * 2))  # drawn twice as large, for soft strokes
    draw = ImageDraw.Draw(picture)
    side, room = (width, height) if upright else (height, width)
    count = int(rng.integers(2, 9))
    side = min(side, room / (count * advance + 0.01)) * 2 if count * advance * side > room else side * 2
    pen = max(round(side * 0.1), 1)
    start = (room * 2 - count * advance * side) / 2
    for n in range(count):
        if script in ("hung", "cursive") and rng.random() < 0.1:
            continue
        along, across = start + n * advance * side, ((width if upright else height) * 2 - side) / 2
        x, y = (across, along) if upright else (along, across)
        letter(draw, rng, x, y, side * (0.92 if advance > 1 else advance), pen)
    small = picture.reduce(2)
    return ImageChops.add(small, small)
