"""Writing on signs: words in Latin letters, and made-up letters of many strokes that look like those of East Asia."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

from demo_city.looks.colours import table


def word(rng: np.random.Generator) -> str:
    """A trade, a made-up name, or both."""
    words = table("letters")
    name, trade = (
        "".join(rng.choice(words["syllables"].split(), int(rng.integers(2, 4)))),
        str(rng.choice(words["trades"].split())),
    )
    name = name.title() if rng.random() < 0.5 else name.upper()
    return str(rng.choice([trade, trade.title(), name, f"{name} & {name[:2].title()}o", f"{name} {trade}"]))


@lru_cache(64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


def latin(text: str, size: tuple[int, int]) -> Image.Image:
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


def _dense(rng: np.random.Generator, size: tuple[int, int], upright: bool) -> Image.Image:
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


def writing(
    rng: np.random.Generator,
    script: str,
    size: tuple[int, int],
    upright: bool = False,
) -> Image.Image:
    """Some words: an L image of `size`, 255 in the letters.

    rng: decides the words
    script: "latin" or "dense"
    size: width and height, texels
    upright: whether the letters stand one below the other
    """
    if script == "dense":
        return _dense(rng, size, upright)
    return latin(word(rng), size[::-1]).transpose(Image.ROTATE_270) if upright else latin(word(rng), size)
