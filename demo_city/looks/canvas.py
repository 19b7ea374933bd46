"""What pictures are drawn with: colours, and a canvas in metres."""

import tomllib
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255
Size = tuple[int, int]  # width and height, texels
Area = tuple[float, float, float, float]  # left, low, right and high edge of a rectangle, metres
BLACK = (14, 14, 16)  # of shadows


@lru_cache(None)
def table(name: str) -> dict:
    """A table of tables.toml."""
    with open(Path(__file__).with_name("tables.toml"), "rb") as file:
        return tomllib.load(file)[name]


@lru_cache(None)
def colours(text: str) -> tuple[Colour, ...]:
    """Colours of a text of hexadecimal numbers and names of the table "colours", such as "ff0000 00ff00 brick"."""
    named = table("colours")
    return sum((colours(named[w]) if w in named else (tuple(bytes.fromhex(w)),) for w in text.split()), ())


def pick(rng: np.random.Generator, options: str) -> Colour:
    """Picks one of some colours, see colours()."""
    found = colours(options)
    return found[int(rng.integers(len(found)))]


def shade(colour: Colour, factor: float) -> Colour:
    """Makes a colour lighter or darker."""
    return tuple(int(min(max(c * factor, 0), 255)) for c in colour)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Mixes two colours; share: of the other."""
    return tuple(int(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def jitter(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    """Changes a colour at random, by about `amount` in brightness and half of it in hue."""
    change = rng.normal(0, amount) + rng.normal(0, amount / 2, 3)
    return tuple(int(min(max(c + d, 8), 250)) for c, d in zip(colour, change.tolist(), strict=True))


class Canvas:
    """A wall that is being drawn, in metres from its left end and from its lower edge.

    image: RGB colours
    index: what can shine (L): 0 nothing, 1 to 199 a window, 200 to 229 a shop window, 230 to 255 a sign
    cover: what of the picture is drawn on (L), if asked for, to paste it on another
    ppm: texels a metre
    """

    def __init__(self, size: Size, ppm: float, colour: Colour = BLACK, cover: bool = False):
        self.image, self.index = Image.new("RGB", size, colour), Image.new("L", size)
        self.cover = Image.new("L", size) if cover else None
        self.ppm, (self.width, self.height) = ppm, size
        self.length, self.rise = self.width / ppm, self.height / ppm  # metres
        self.draw = ImageDraw.Draw(self.image)

    def texels(self, area: Area) -> tuple[int, int, int, int] | None:
        """The texels of an area: first column and row, and those after the last; None if it has none."""
        (left, low, right, high), p, h = area, self.ppm, self.height
        x0, y0, x1, y1 = round(left * p), h - round(high * p), round(right * p), h - round(low * p)
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None

    def box(self, area: Area, colour: Colour, share: float = 1.0, shine: int | None = None) -> None:
        """Draws a rectangle; share: of the colour, the rest is what was there; shine: its index, None to keep it."""
        if place := self.texels(area):
            size = place[2] - place[0], place[3] - place[1]
            mask = None if share == 1 else Image.new("L", size, int(share * 255))
            self.image.paste(colour, place, mask)
            if self.cover:
                self.cover.paste(255, place, mask)
            if shine is not None:
                self.index.paste(shine, place)

    def bars(
        self, area: Area, step: float, pen: float, colour: Colour, level: bool = False, share: float = 1.0
    ) -> None:
        """Draws upright or level bars in an area, `pen` wide and one each `step` metres; share: as in box."""
        (left, low, right, high), shine = area, 0 if share == 1 else None
        for at in np.arange(low if level else left, (high if level else right) - pen / 2, step).tolist():
            self.box((left, at, right, at + pen) if level else (at, low, at + pen, high), colour, share, shine)

    def line(self, points: list[tuple[float, float]], colour: Colour, pen: float) -> None:
        """Draws a line through points in metres; pen: metres."""
        points = [(x * self.ppm, self.height - z * self.ppm) for x, z in points]
        self.draw.line(points, fill=colour, width=max(round(pen * self.ppm), 1))

    def fill(self, area: Area, picture: Image.Image, shine: int) -> None:
        """Stretches a picture over an area, which shines with an index."""
        if place := self.texels(area):
            self.image.paste(picture.resize((place[2] - place[0], place[3] - place[1]), Image.BILINEAR), place)
            self.index.paste(shine, place)

    def put(self, corner: tuple[float, float], what: Image.Image | Colour, mask: Image.Image, shine: int = 0) -> None:
        """Puts a picture or a colour where a mask (L) is; corner: upper left, metres; shine: index, 0 to keep it."""
        x, y = round(corner[0] * self.ppm), self.height - round(corner[1] * self.ppm)
        self.image.paste(what, (x, y, x + mask.width, y + mask.height), mask)
        if shine:
            self.index.paste(shine, (x, y), mask.convert("1", dither=Image.Dither.NONE))

    def size(self, wide: float, tall: float) -> Size:
        """Metres as texels, at least 4."""
        return max(int(wide * self.ppm), 4), max(int(tall * self.ppm), 4)

    def array(self, alpha: Image.Image | None = None) -> np.ndarray:
        """uint8 (height, width, 4); alpha: None for the index of what can shine."""
        image = self.image.copy()
        image.putalpha(alpha or self.index)
        return np.asarray(image)


def cutout(big: Image.Image, factor: int) -> np.ndarray:
    """Reduces a drawn RGBA image to a cutout: uint8 (height, width, 4)."""
    small = np.array(big.reduce(factor))
    # what is not there gets the mean colour of what is, so that smaller versions have no dark edges
    there = small[..., 3] > 0
    if there.any():
        small[~there, :3] = small[there, :3].mean(0)
    return small


def opaque(field: np.ndarray) -> np.ndarray:
    """A picture that does not shine, uint8 (height, width, 4), of colours (height, width, 3) of 0 to 255."""
    return np.dstack([field.clip(0, 255), np.zeros(field.shape[:2])]).astype(np.uint8)
