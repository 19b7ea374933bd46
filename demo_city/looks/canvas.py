"""A picture that is drawn in metres, with the index of what can shine."""

import numpy as np
from PIL import Image, ImageDraw

from demo_city.looks.colours import Colour

LAST_WINDOW, LAST_SHOP, LAST_SIGN = 199, 229, 255


class Canvas:
    """A wall that is being drawn, in metres from its left end and from its lower edge.

    image: RGB colours
    index: what can shine (L): 0 nothing, up to LAST_WINDOW a window, to LAST_SHOP a shop window, to LAST_SIGN a sign
    ppm: texels a metre
    """

    def __init__(self, image: Image.Image, index: Image.Image, ppm: float):
        self.image, self.index, self.ppm = image, index, ppm
        self.width, self.height = image.size
        self.length, self.rise = self.width / ppm, self.height / ppm  # metres
        self.draw, self.glow = ImageDraw.Draw(image), ImageDraw.Draw(index)

    @classmethod
    def blank(cls, width: int, height: int, ppm: float, colour: Colour = (128, 128, 128)) -> "Canvas":
        """A canvas of one colour; width, height: texels; ppm: texels a metre."""
        return cls(Image.new("RGB", (width, height), colour), Image.new("L", (width, height)), ppm)

    def texels(self, left: float, low: float, right: float, high: float) -> tuple[int, int, int, int]:
        """The texels of a rectangle in metres: left, top, right and bottom, the latter two excluded."""
        p, h = self.ppm, self.height
        return round(left * p), h - round(high * p), round(right * p), h - round(low * p)

    def box(
        self,
        left: float,
        low: float,
        right: float,
        high: float,
        colour: Colour,
        shine: int | None = None,
    ) -> None:
        """Draws a rectangle.

        left, low, right, high: its edges, metres
        colour: its colour
        shine: the index that it gets, or None to keep the one that is there
        """
        x0, y0, x1, y1 = self.texels(left, low, right, high)
        if x1 > x0 and y1 > y0:
            self.draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=colour)
            if shine is not None:
                self.glow.rectangle((x0, y0, x1 - 1, y1 - 1), fill=shine)

    def tint(self, left: float, low: float, right: float, high: float, colour: Colour, share: float) -> None:
        """Blends a rectangle (left, low, right, high, metres) with a colour; share: of the colour."""
        x0, y0, x1, y1 = self.texels(left, low, right, high)
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, self.width), min(y1, self.height)
        if x1 > x0 and y1 > y0:
            self.image.paste(colour, (x0, y0, x1, y1), Image.new("L", (x1 - x0, y1 - y0), int(share * 255)))

    def line(self, points: list[tuple[float, float]], colour: Colour, pen: float) -> None:
        """Draws a line through points in metres; pen: metres."""
        p, h = self.ppm, self.height
        self.draw.line([(x * p, h - y * p) for x, y in points], fill=colour, width=max(round(pen * p), 1))

    def picture(self, left: float, high: float, picture: Image.Image, mask: Image.Image | None = None) -> None:
        """Pastes a picture with its upper left corner at a place in metres; mask: L, or None for all of it."""
        self.image.paste(picture, (round(left * self.ppm), self.height - round(high * self.ppm)), mask)

    def write(
        self,
        left: float,
        low: float,
        letters: Image.Image,
        colour: Colour,
        shine: int = 0,
    ) -> None:
        """Writes letters.

        left, low: of their box, metres
        letters: L, 255 in the letters
        colour: of the letters
        shine: the index that they get
        """
        at = round(left * self.ppm), self.height - round(low * self.ppm) - letters.height
        self.image.paste(colour, at, letters)
        if shine:
            self.index.paste(shine, at, letters.convert("1", dither=Image.Dither.NONE))

    def array(self) -> np.ndarray:
        """uint8 (height, width, 4)."""
        image = self.image.copy()
        image.putalpha(self.index)
        return np.asarray(image)


def cutout(big: Image.Image, factor: int) -> np.ndarray:
    """Reduces a drawn RGBA image to a cutout: uint8 (height, width, 4).

    What is not there gets the mean colour of what is, so that smaller versions of the picture have no dark edges.
    """
    small = np.array(big.reduce(factor))
    there = small[..., 3] > 0
    if there.any():
        small[~there, :3] = small[there, :3].mean(0)
    return small
