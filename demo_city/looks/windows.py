"""Windows: panes that mirror sky and street, curtains, frames, and what surrounds them."""

from functools import lru_cache

import numpy as np
from PIL import Image

from demo_city.looks.canvas import Area, Canvas
from demo_city.looks.colours import Colour, jitter, mixed, pick, shade
from demo_city.looks.dress import WINDOWS, Dress
from demo_city.seeds import random_for

_MARGIN, _ABOVE, _BELOW = 0.45, 0.75, 0.8  # metres round a window for its surround, and below for stains
_BLACK = (14, 14, 16)


@lru_cache(None)
def pane(number: int) -> Image.Image:
    """What a pane shows: the dark room, and in it the mirrored sky above roofs or trees. RGB; number: 0 to 47."""
    rng, (y, x) = random_for("pane", number), np.mgrid[0:64, 0:48, 0:1][:2] / 64
    room = np.array([38, 40, 42]) * rng.uniform(0.6, 1.5) + rng.normal(0, 2, 3)
    sky = np.array([136, 152, 168]) * rng.uniform(0.75, 1.3) + rng.normal(0, 6, 3)
    roofs = np.interp(np.arange(48), np.arange(0, 49, 6), rng.uniform(0, 0.25, 9) + rng.uniform(0.1, 0.9))
    if number % 3 == 0:  # stepped like a row of houses instead of rolling like trees
        roofs = np.repeat(rng.uniform(0, 0.3, 6) + rng.uniform(0.1, 0.8), 8)
    mirrored = np.where(y < roofs[:, None], sky * (1.05 - 0.35 * y), np.array([62, 62, 58]) * rng.uniform(0.6, 1.4))
    share = rng.choice([0.12, 0.3, 0.5, 0.7]) * (1 - 0.3 * x)
    image = room * (1 - share) * (1.15 - 0.3 * y) + mirrored * share
    return Image.fromarray(image.clip(8, 235).astype(np.uint8))


@lru_cache(None)
def mirrored_city(number: int) -> Image.Image:
    """What a wall of glass mirrors: sky, clouds, and towers opposite. RGB, 256 x 256; number: 0 to 11."""
    rng, (y, x) = random_for("mirrored", number), np.mgrid[0:256, 0:256, 0:1][:2] / 256
    cloud = np.asarray(Image.fromarray(rng.normal(0, 1, (9, 7)).astype(np.float32)).resize((256, 256), Image.BICUBIC))
    image = np.array([150, 172, 196]) * (0.72 + 0.4 * y) + 34 * cloud[..., None].clip(-0.5, 1.5)
    image *= rng.uniform(0.7, 1.05)
    rows = 0.85 + 0.15 * ((y * 256 % 9) < 5) * ((x * 256 % 7) < 5)
    for _ in range(int(rng.integers(2, 7))):
        left, wide, top = rng.uniform(-0.1, 0.9), rng.uniform(0.1, 0.4), rng.uniform(0.25, 0.9)
        tower = (np.array([84, 86, 88]) * rng.uniform(0.5, 1.7) + rng.normal(0, 5, 3)) * rows
        image = np.where((x > left) & (x < left + wide) & (y > top), tower, image)
    return Image.fromarray(image.clip(10, 245).astype(np.uint8))


class Windows:
    """Draws windows of a house; those of one size come in a few variants.

    canvas: of the wall
    look: of the house
    rng: decides what is random
    """

    def __init__(self, canvas: Canvas, look: Dress, rng: np.random.Generator):
        self.canvas, self.look, self.rng = canvas, look, rng
        self._patches: dict[tuple, Canvas] = {}
        self._count = int(rng.integers(199))

    def number(self) -> int:
        """The index of the next window that can be lit."""
        self._count += 1
        return 1 + self._count * 13 % 199

    def place(self, area: Area, kind: str | None = None) -> None:
        """Draws a window in an area of the wall; kind: of dress.WINDOWS; None for that of the house."""
        c, (left, low, right, high) = self.canvas, area
        wide, tall = round((right - left) * c.ppm), round((high - low) * c.ppm)
        if wide < 3 or tall < 3:
            return
        key = wide, tall, kind or self.look.window, int(self.rng.integers(6))
        if key not in self._patches:
            self._patches[key] = _Window(self.look, self.rng, c.ppm, *key[:3]).patch
        patch, at = self._patches[key], (round((left - _MARGIN) * c.ppm), c.height - round((high + _ABOVE) * c.ppm))
        c.image.paste(patch.image, at, patch.cover)
        c.index.paste(self.number(), at, patch.index)


class _Window:
    """One window, drawn on a patch of its own.

    look: of the house
    rng: decides what is random
    ppm: texels a metre
    wide, tall: its size, texels
    kind: of dress.WINDOWS
    """

    def __init__(
        self,
        look: Dress,
        rng: np.random.Generator,
        ppm: float,
        wide: int,
        tall: int,
        kind: str,
    ):
        size = wide + 2 * round(_MARGIN * ppm), tall + round(_ABOVE * ppm) + round(_BELOW * ppm)
        self.look, self.rng, self.kind, self.patch = look, rng, kind, Canvas(size, ppm, shade(look.wall, 0.45))
        self.high, self.left, self.right = size[1] / ppm - _ABOVE, _MARGIN, _MARGIN + wide / ppm
        self.low, self.wide = self.high - tall / ppm, wide / ppm
        self.surround()
        reveal = 0.07 if look.deep else 0.0
        left, low, right, high = self.left + reveal, self.low, self.right - reveal / 2, self.high - 1.6 * reveal
        self.panes(left, low, right, high)
        self.frame(left, low, right, high)
        if "flowers" in look.extras and rng.random() < 0.4 and self.wide < 2:
            self.patch.box((left, self.low - 0.2, right, self.low + 0.02), (92, 66, 50))
            for _ in range(14):
                x, z = rng.uniform(left - 0.08, right - 0.06), rng.uniform(self.low - 0.1, self.low + 0.26)
                colour = (62, 92, 44) if rng.random() < 0.6 else pick(rng, "b83a44 d0ac4c c880a0 e0dcd0 a04880 c8643c")
                self.patch.box((x, z, x + 0.13, z + 0.13), jitter(rng, colour, 14))

    def stain(self, area: Area, share: float, colour: Colour = _BLACK) -> None:
        """Draws a shadow or a stain on the wall round the window."""
        if texels := self.patch.texels(area):
            self.patch.draw.rectangle(texels, fill=colour)
            self.patch.covers.rectangle(texels, fill=int(255 * share))

    def surround(self) -> None:
        """Draws stains, lintel, architrave or hood, sill, shutters and the reveal."""
        look, rng, box = self.look, self.rng, self.patch.box
        left, low, right, high, trim = self.left, self.low, self.right, self.high, self.look.trim
        if rng.random() < 0.35 + 0.5 * look.grime:  # what runs from the ends of the sill
            for x in (left - 0.12, right + 0.05):
                self.stain((x, low - rng.uniform(0.3, _BELOW), x + 0.07, low), 0.08 + 0.24 * look.grime)
        if look.surround in ("frame", "hood"):
            box((left - 0.16, low - 0.04, right + 0.16, high + 0.16), trim)
            box((right + 0.10, low - 0.04, right + 0.16, high + 0.16), shade(trim, 0.86))
        if look.surround == "lintel":
            box((left - 0.2, high, right + 0.2, high + 0.25), trim)
            box((left - 0.2, high, right + 0.2, high + 0.06), shade(trim, 0.8))
        if look.surround == "brick":  # a flat arch of bricks on end
            box((left - 0.15, high, right + 0.15, high + 0.27), look.wall)
            self.patch.bars((left - 0.15, high, right + 0.15, high + 0.27), 0.26, 0.13, shade(look.wall, 0.82))
        if look.surround == "hood":
            box((left - 0.3, high + 0.22, right + 0.3, high + 0.3), shade(trim, 0.55))
            box((left - 0.3, high + 0.3, right + 0.3, high + 0.44), shade(trim, 1.04))
        if "sunshades" in look.extras:
            self.stain((left - 0.3, high - 0.35, right + 0.3, high + 0.12), 0.4)
            box((left - 0.3, high + 0.12, right + 0.3, high + 0.24), trim)
        if look.sill and self.kind != "french":
            self.stain((left - 0.14, low - 0.22, right + 0.14, low - 0.12), 0.35)
            box((left - 0.14, low - 0.12, right + 0.14, low), shade(trim, 1.05))
        if "shutters" in look.extras and self.wide < 1.6:
            colour, each = jitter(rng, look.shutters, 5), min(self.wide / 2, _MARGIN - 0.06)
            for x in (left - each - 0.03, right + 0.03):
                self.stain((x + each, low - 0.05, x + each + 0.03, high), 0.35)
                box((x, low, x + each, high), colour)
                self.patch.bars(
                    (x + 0.07, low + 0.08, x + each - 0.07, high), 0.14, 0.06, shade(colour, 0.74), level=True
                )
        box((left, low, right, high), shade(look.wall, 0.42))
        if self.kind == "arched":
            self.round_head()

    def round_head(self) -> None:
        """Draws the half round above an arched window."""
        look, patch, rise = self.look, self.patch, min(self.wide / 2, _ABOVE - 0.2)
        x0, y0, x1, y1 = patch.texels((self.left, self.high - rise, self.right, self.high + rise))
        for grow, colour in ((max(round(0.15 * patch.ppm), 1), look.trim), (0, look.frame), (-1, (62, 70, 78))):
            area = (x0 - grow, y0 - grow, x1 + grow, y1 + 1 + grow)
            patch.draw.pieslice(area, 180, 360, fill=colour)
            patch.covers.pieslice(area, 180, 360, fill=255)
        patch.glow.pieslice((x0 + 1, y0 + 1, x1 - 1, y1), 180, 360, fill=255)
        middle = (self.left + self.right) / 2
        for x in (-0.5, 0.0, 0.5):
            patch.line(
                [(middle, self.high), (middle + x * self.wide, self.high + rise * (1 - abs(x)))], look.frame, 0.05
            )

    def panes(self, left: float, low: float, right: float, high: float) -> None:
        """Draws the glass, with curtains behind it."""
        rng, patch, tall = self.rng, self.patch, high - low
        leaves = np.linspace(left, right, 2 if self.wide < 0.9 else 3).tolist()
        for a, b in zip(
            leaves[:-1], leaves[1:], strict=True
        ):  # they are never quite parallel: each mirrors another view
            patch.fill((a, low, b, high), pane(int(rng.integers(48))), 255)
        cloth = mixed(pick(rng, "cloth"), (70, 74, 80), rng.uniform(0.25, 0.6))
        form = rng.random() if self.look.curtains > rng.random() else 1
        if form < 0.35:  # drawn to the sides
            each = (right - left) * rng.uniform(0.14, 0.3)
            patch.box((left, low, left + each, high), cloth)
            patch.box((right - each, low, right, high), shade(cloth, 0.92))
        elif form < 0.6:  # a net all over, or over the lower half
            top = high if rng.random() < 0.6 else low + tall * 0.55
            patch.box((left, low, right, top), cloth, 0.6)
            patch.bars((left, low, right, top), 0.19, 0.07, shade(cloth, 0.8), share=0.5)
        elif form < 1:  # a blind
            bottom = high - tall * rng.uniform(0.15, 0.95)
            patch.box((left, bottom, right, high), cloth)
            if rng.random() < 0.5:
                patch.bars((left, bottom, right, high), 0.13, 0.05, shade(cloth, 0.8), level=True)
        if self.look.deep:
            patch.box((left, high - 0.22, right, high), _BLACK, 0.5)
            patch.box((left, low, left + 0.1, high), _BLACK, 0.3)

    def frame(self, left: float, low: float, right: float, high: float) -> None:
        """Draws the bars, each at least a texel wide."""
        kind, colour, tall, wide = self.kind, self.look.frame, high - low, right - left
        *_, columns, rows, across = WINDOWS[kind]
        columns = columns or max(round(wide / (0.55 if kind == "loft" else 1.2)), 2)
        rows, t = rows or max(round(tall / 0.6), 2), max(0.06, 1.01 / self.patch.ppm)
        shares = (0, 0.22, 0.78, 1) if kind == "picture" else np.linspace(0, 1, columns + 1)
        for share in shares:
            x = left + (wide - t) * share
            self.patch.box((x, low, x + t, high), colour, shine=0)
        for share in (*np.linspace(0, 1, rows + 1), *((across,) if across else ())):
            z = low + (tall - t) * share
            self.patch.box((left, z, right, z + t), colour, shine=0)
        if kind == "french" and self.look.balcony == "none":  # a rail before it
            self.patch.bars((left, low, right, low + 0.95), 0.14, 0.05, (42, 42, 46))
        if kind == "barred":
            self.patch.bars((left, low, right, high), 0.19, 0.04, shade(colour, 0.7))
            self.patch.bars((left, low, right, high), 0.5, 0.06, shade(colour, 0.7), level=True)
