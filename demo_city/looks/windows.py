"""Windows: panes that mirror sky and street, curtains, frames, and what surrounds them."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from demo_city.looks.canvas import BLACK, Area, Canvas, jitter, mixed, pick, shade, table
from demo_city.looks.plan import Dress
from demo_city.seeds import random_for

_MARGIN, _ABOVE, _BELOW = 0.45, 0.75, 0.8  # metres round a window for its surround, and below for stains


@lru_cache(None)
def pane(number: int) -> Image.Image:
    """What a pane shows: the dark room, and in it the mirrored sky above roofs or trees. RGB; number: 0 to 47."""
    rng, (y, x) = random_for("pane", number), np.mgrid[0:64, 0:48, 0:1][:2] / 64
    room = np.array([38, 40, 42]) * rng.uniform(0.6, 1.5) * (1.15 - 0.3 * y)
    sky = np.array([136, 152, 168]) * rng.uniform(0.75, 1.3) + rng.normal(0, 6, 3)
    roofs = np.interp(np.arange(48), np.arange(0, 49, 6), rng.uniform(0, 0.25, 9) + rng.uniform(0.1, 0.9))
    if number % 3 == 0:  # stepped like a row of houses instead of rolling like trees
        roofs = np.repeat(rng.uniform(0, 0.3, 6) + rng.uniform(0.1, 0.8), 8)
    mirrored = np.where(y < roofs[:, None], sky * (1.05 - 0.35 * y), np.array([62, 62, 58]) * rng.uniform(0.6, 1.4))
    image = room + (mirrored - room) * rng.choice([0.12, 0.3, 0.5, 0.7]) * (1 - 0.3 * x)
    return Image.fromarray(image.clip(8, 235).astype(np.uint8))


@lru_cache(None)
def mirrored_city(number: int) -> Image.Image:
    """What a wall of glass mirrors: sky, clouds, and towers opposite. RGB, 256 x 256; number: 0 to 11."""
    rng, (y, x) = random_for("mirrored", number), np.mgrid[0:256, 0:256, 0:1][:2] / 256
    cloud = np.asarray(Image.fromarray(rng.normal(0, 1, (9, 7)).astype(np.float32)).resize((256, 256), Image.BICUBIC))
    image = np.array([150, 172, 196]) * (0.72 + 0.4 * y) + 34 * cloud[..., None].clip(-0.5, 1.5)
    rows = 0.85 + 0.15 * ((y * 256 % 9) < 5) * ((x * 256 % 7) < 5)
    for _ in range(int(rng.integers(2, 7))):
        left, wide, top = rng.uniform(-0.1, 0.9), rng.uniform(0.1, 0.4), rng.uniform(0.25, 0.9)
        tower = (np.array([84, 86, 88]) * rng.uniform(0.5, 1.7) + rng.normal(0, 5, 3)) * rows
        image = np.where((x > left) & (x < left + wide) & (y > top), tower, image)
    return Image.fromarray(image.clip(10, 245).astype(np.uint8))


class Windows:
    """Draws windows of a house on a wall; those of one size come in a few variants."""

    def __init__(self, canvas: Canvas, look: Dress, rng: np.random.Generator):
        self.canvas, self.look, self.rng = canvas, look, rng
        self._patches: dict[tuple, Canvas] = {}
        self._count = int(rng.integers(199))

    def number(self) -> int:
        """The index of the next window that can be lit."""
        self._count += 1
        return 1 + self._count * 13 % 199

    def place(self, area: Area, kind: str | None = None) -> None:
        """Draws a window in an area of the wall; kind: of the table "windows"; None for that of the house."""
        c, (left, low, right, high) = self.canvas, area
        wide, tall = round((right - left) * c.ppm), round((high - low) * c.ppm)
        if wide < 3 or tall < 3:
            return
        key = wide, tall, kind or self.look.window, int(self.rng.integers(6))
        if key not in self._patches:
            self._patches[key] = self._patch(*key[:3])
        patch, at = self._patches[key], (round((left - _MARGIN) * c.ppm), c.height - round((high + _ABOVE) * c.ppm))
        c.image.paste(patch.image, at, patch.cover)
        c.index.paste(self.number(), at, patch.index)

    def _patch(self, wide: int, tall: int, kind: str) -> Canvas:
        """A window of wide x tall texels on a canvas of its own."""
        ppm, look = self.canvas.ppm, self.look
        size = wide + 2 * round(_MARGIN * ppm), tall + round(_ABOVE * ppm) + round(_BELOW * ppm)
        patch, high, reveal = Canvas(size, ppm, cover=True), size[1] / ppm - _ABOVE, 0.07 if look.deep else 0.0
        low, right = high - tall / ppm, _MARGIN + wide / ppm
        self._surround(patch, _MARGIN, low, right, high, kind)
        inner = _MARGIN + reveal, low, right - reveal / 2, high - 1.6 * reveal
        self._panes(patch, *inner)
        self._frame(patch, *inner, kind)
        return patch

    def _surround(self, patch: Canvas, left: float, low: float, right: float, high: float, kind: str) -> None:
        """Draws stains, architrave, lintel or hood, sill, shutters and the reveal."""
        look, rng, box, trim, wall = self.look, self.rng, patch.box, self.look.trim, self.look.wall
        for x in (left - 0.12, right + 0.05) if rng.random() < 0.4 + look.grime else ():  # runs from the sill's ends
            box((x, low - rng.uniform(0.3, _BELOW), x + 0.07, low), BLACK, 0.24 * look.grime)
        if look.surround in ("frame", "hood"):
            box((left - 0.16, low - 0.04, right + 0.16, high + 0.16), trim)
            box((right + 0.10, low - 0.04, right + 0.16, high + 0.16), shade(trim, 0.86))
        if look.surround == "hood":
            box((left - 0.3, high + 0.22, right + 0.3, high + 0.44), trim)
            box((left - 0.3, high + 0.22, right + 0.3, high + 0.3), shade(trim, 0.6))
        if look.surround in ("lintel", "brick"):  # of stone, or bricks on end
            area, tone = (left - 0.15, high, right + 0.15, high + 0.26), trim if look.surround == "lintel" else wall
            box(area, tone)
            patch.bars(area, *((9, 0) if look.surround == "lintel" else (0.26, 0.13)), shade(tone, 0.82))
        if look.sill and kind != "french":
            box((left - 0.14, low - 0.22, right + 0.14, low - 0.12), BLACK, 0.35)
            box((left - 0.14, low - 0.12, right + 0.14, low), shade(trim, 1.05))
        if "shutters" in look.extras and right - left < 1.6:
            colour, each = jitter(rng, look.shutters, 5), min((right - left) / 2, _MARGIN - 0.06)
            for x in (left - each - 0.03, right + 0.03):
                box((x, low, x + each, high), colour)
                patch.bars((x + 0.07, low + 0.08, x + each - 0.07, high), 0.14, 0.06, shade(colour, 0.74), level=True)
        box((left, low, right, high), shade(wall, 0.42))
        if kind == "arched":  # the half round above it
            rise, middle = min((right - left) / 2, _ABOVE - 0.2), (left + right) / 2
            x0, y0, x1, y1 = patch.texels((left, high - rise, right, high + rise))
            for grow, colour in ((max(round(0.15 * patch.ppm), 1), trim), (0, look.frame), (-1, (62, 70, 78))):
                area = (x0 - grow, y0 - grow, x1 + grow, y1 + 1 + grow)
                patch.draw.pieslice(area, 180, 360, fill=colour)
                ImageDraw.Draw(patch.cover).pieslice(area, 180, 360, fill=255)
            patch.glow.pieslice(area, 180, 360, fill=255)
            patch.line([(middle, high), (middle, high + rise)], look.frame, 0.05)

    def _panes(self, patch: Canvas, left: float, low: float, right: float, high: float) -> None:
        """Draws the glass, with curtains behind it."""
        rng, wide, tall = self.rng, right - left, high - low
        patch.fill((left, low, right, high), pane(int(rng.integers(48))), 255)
        if wide > 0.8:  # two leaves, which are never quite parallel
            patch.fill((left + wide / 2, low, right, high), pane(int(rng.integers(48))), 255)
        cloth = mixed(pick(rng, "cloth"), (70, 74, 80), rng.uniform(0.25, 0.6))
        form = rng.random() if self.look.curtains > rng.random() else 1
        if form < 0.35:  # drawn to the sides
            each = wide * rng.uniform(0.14, 0.3)
            patch.box((left, low, left + each, high), cloth)
            patch.box((right - each, low, right, high), shade(cloth, 0.92))
        elif form < 0.6:  # a net all over, or over the lower half
            patch.box((left, low, right, low + tall * rng.choice([0.55, 1])), cloth, 0.6)
        elif form < 1:  # a blind
            area = (left, high - tall * rng.uniform(0.15, 0.95), right, high)
            patch.box(area, cloth)
            patch.bars(area, 0.13, 0.05, shade(cloth, rng.choice([0.8, 1])), level=True)
        if self.look.deep:
            patch.box((left, high - 0.22, right, high), BLACK, 0.5)
            patch.box((left, low, left + 0.1, high), BLACK, 0.3)

    def _frame(self, patch: Canvas, left: float, low: float, right: float, high: float, kind: str) -> None:
        """Draws the bars, each at least a texel wide."""
        colour, tall, wide, t = self.look.frame, high - low, right - left, max(0.06, 1.01 / patch.ppm)
        *_, columns, rows, across = table("windows")[kind]
        columns = columns or max(round(wide / (0.55 if kind == "loft" else 1.2)), 2)
        shares = (0, 0.22, 0.78, 1) if kind == "picture" else [n / columns for n in range(columns + 1)]
        for x in (left + (wide - t) * share for share in shares):
            patch.box((x, low, x + t, high), colour, shine=0)
        rows = rows or max(round(tall / 0.6), 2)
        for share in (*(n / rows for n in range(rows + 1)), across):
            z = low + (tall - t) * share
            patch.box((left, z, right, z + t), colour, shine=0)
        if kind == "french" and self.look.balcony == "none" or kind == "barred":  # a rail, or a grille before it
            area = (left, low, right, high if kind == "barred" else low + 0.95)
            patch.bars(area, 0.17, 0.05, (42, 42, 46))
            patch.bars(area, 0.9, 0.05, (42, 42, 46), level=True)
