"""Windows: panes that mirror sky and street, curtains, frames, and what surrounds them."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from demo_city.looks.canvas import Canvas
from demo_city.looks.colours import Colour, colours, jitter, mixed, pick, shade
from demo_city.looks.dress import Dress
from demo_city.seeds import random_for

PANES = 48
MARGIN, ABOVE, BELOW = 0.45, 0.75, 0.8  # metres round a window for its surround, and below for stains
_CLOTH = colours("e2dcce c8b4a0 d8d4c8 b47c70 aab4be e6e2dc d0c4a8 8e98a4 c0a890 ece8e0")
_FLOWERS = colours("b83a44 d0ac4c c880a0 e0dcd0 a04880 c8643c")


@lru_cache(None)
def pane(number: int) -> Image.Image:
    """What one of PANES panes shows: the dark room, and in it the mirrored sky above roofs or trees. RGB, 48 x 64."""
    rng = random_for("pane", number)
    y, x = np.mgrid[0:64, 0:48] / 64
    room = np.array([38, 40, 42]) * rng.uniform(0.6, 1.5) + rng.normal(0, 2, 3)
    sky = np.array([136, 152, 168]) * rng.uniform(0.75, 1.3) + rng.normal(0, 6, 3)
    roofs = np.interp(np.arange(48), np.arange(0, 49, 6), rng.uniform(0, 0.25, 9) + rng.uniform(0.1, 0.9))
    if number % 3 == 0:  # stepped like a row of houses instead of rolling like trees
        roofs = np.repeat(rng.uniform(0, 0.3, 6) + rng.uniform(0.1, 0.8), 8)
    mirrored = np.where(
        (y < roofs)[..., None], sky * (1.05 - 0.35 * y[..., None]), np.array([62, 62, 58]) * rng.uniform(0.6, 1.4)
    )
    share = rng.choice([0.12, 0.3, 0.5, 0.7]) * (1 - 0.3 * x[..., None])
    image = room * (1 - share) * (1.15 - 0.3 * y[..., None]) + mirrored * share
    return Image.fromarray(image.clip(8, 235).astype(np.uint8))


@lru_cache(None)
def mirrored_city(number: int) -> Image.Image:
    """What a wall of glass mirrors: sky, clouds, and towers opposite. RGB, 256 x 256; number: 0 to 11."""
    rng = random_for("mirrored", number)
    y, x = np.mgrid[0:256, 0:256] / 256
    cloud = np.asarray(Image.fromarray(rng.normal(0, 1, (9, 7)).astype(np.float32)).resize((256, 256), Image.BICUBIC))
    sky = np.array([150, 172, 196]) * (0.72 + 0.4 * y[..., None]) + 34 * cloud[..., None].clip(-0.5, 1.5)
    image = sky * rng.uniform(0.7, 1.05)
    for _ in range(int(rng.integers(2, 7))):
        left, wide, top = rng.uniform(-0.1, 0.9), rng.uniform(0.1, 0.4), rng.uniform(0.25, 0.9)
        inside = (x > left) & (x < left + wide) & (y > top)
        rows = 0.85 + 0.15 * ((y * 256 % 9) < 5) * ((x * 256 % 7) < 5)
        image[inside] = (np.array([84, 86, 88]) * rng.uniform(0.5, 1.7) + rng.normal(0, 5, 3)) * rows[inside][:, None]
    return Image.fromarray(image.clip(10, 245).astype(np.uint8))


class Windows:
    """Draws windows of a house; those of one size come in a few variants.

    canvas: of the wall
    dress: of the house
    rng: decides what is random
    """

    def __init__(self, canvas: Canvas, dress: Dress, rng: np.random.Generator):
        self.canvas, self.dress, self.rng = canvas, dress, rng
        self._patches: dict[tuple, tuple[Image.Image, Image.Image, Image.Image]] = {}
        self._count = int(rng.integers(199))

    def number(self) -> int:
        """The index of the next window that can be lit."""
        self._count += 1
        return 1 + self._count * 13 % 199

    def place(self, left: float, low: float, right: float, high: float, kind: str | None = None) -> None:
        """Draws a window.

        left, low, right, high: its edges, metres
        kind: see _Window.frame; None for the kind of the house
        """
        c = self.canvas
        wide, tall = round((right - left) * c.ppm), round((high - low) * c.ppm)
        if wide < 3 or tall < 3:
            return
        key = wide, tall, kind, int(self.rng.integers(6))
        if key not in self._patches:
            self._patches[key] = self._patch(*key)
        picture, outline, panes = self._patches[key]
        at = round((left - MARGIN) * c.ppm), c.height - round((high + ABOVE) * c.ppm)
        c.image.paste(picture, at, outline)
        c.index.paste(self.number(), at, panes)

    def _patch(
        self, wide: int, tall: int, kind: str | None, variant: int
    ) -> tuple[Image.Image, Image.Image, Image.Image]:
        """A window of wide x tall texels: the picture (RGB), what of it covers the wall (L), and the panes (L)."""
        ppm, dress = self.canvas.ppm, self.dress
        size = wide + 2 * round(MARGIN * ppm), tall + round(ABOVE * ppm) + round(BELOW * ppm)
        patch = Canvas.blank(*size, ppm, shade(dress.wall, 0.45))
        cover = Image.new("L", size)
        box = MARGIN, size[1] / ppm - ABOVE - tall / ppm, MARGIN + wide / ppm, size[1] / ppm - ABOVE
        window = _Window(patch, ImageDraw.Draw(cover), dress, self.rng, box, kind or dress.window)
        window.draw()
        return patch.image, cover, patch.index


class _Window:
    """One window that is being drawn on a patch of its own.

    patch: what is drawn on
    cover: receives what of the patch covers the wall
    dress: of the house
    rng: decides what is random
    box: left, low, right, high, metres
    kind: see frame
    """

    def __init__(
        self,
        patch: Canvas,
        cover: ImageDraw.ImageDraw,
        dress: Dress,
        rng: np.random.Generator,
        box: tuple[float, float, float, float],
        kind: str,
    ):
        self.patch, self.cover, self.dress, self.rng, self.kind = patch, cover, dress, rng, kind
        self.left, self.low, self.right, self.high = box
        self.wide, self.tall = self.right - self.left, self.high - self.low
        self.middle = (self.left + self.right) / 2

    def part(self, left: float, low: float, right: float, high: float, colour: Colour, cover: int = 255) -> None:
        """Draws a rectangle in metres that does not shine; cover: 255 opaque, less for shadows and stains."""
        x0, y0, x1, y1 = self.patch.texels(left, low, right, high)
        if x1 > x0 and y1 > y0:
            self.patch.box(left, low, right, high, colour, 0)
            self.cover.rectangle((x0, y0, x1 - 1, y1 - 1), fill=cover)

    def draw(self) -> None:
        """Draws all of it, from the outside to the inside."""
        d, rng, arch = self.dress, self.rng, self.kind == "arched"
        if rng.random() < 0.35 + 0.5 * d.grime:  # what runs from the ends of the sill
            for x in (self.left - 0.12, self.right + 0.05):
                low, strength = self.low - rng.uniform(0.3, BELOW), int(20 + 60 * d.grime)
                self.part(x, low, x + 0.07, self.low, shade(d.wall, 0.5), strength)
        self.surround()
        self.part(self.left, self.low, self.right, self.high, shade(d.wall, 0.42))  # the reveal
        if arch:
            self.round_head()
        if d.shutters and self.kind in ("casement", "cross", "single", "french", "sash") and self.wide < 1.6:
            self.shutters()
        reveal = 0.07 if d.deep else 0.0
        inner = self.left + reveal, self.low, self.right - reveal / 2, self.high - 1.6 * reveal
        if d.bricked_up and rng.random() < d.bricked_up:
            self.part(*inner, shade(d.wall, 0.8))
            return
        self.panes(inner)
        self.frame(inner)
        self.things(inner)

    def surround(self) -> None:
        """Draws sill, lintel, architrave or hood."""
        d, left, right, high, low = self.dress, self.left, self.right, self.high, self.low
        if d.surround in ("frame", "hood", "arch"):
            self.part(left - 0.16, low - 0.04, right + 0.16, high + 0.16, d.trim)
            self.part(right + 0.10, low - 0.04, right + 0.16, high + 0.16, shade(d.trim, 0.86))
        if d.surround == "lintel":
            self.part(left - 0.2, high, right + 0.2, high + 0.25, d.trim)
            self.part(left - 0.2, high, right + 0.2, high + 0.06, shade(d.trim, 0.8))
        if d.surround == "brick":  # a flat arch of bricks on end
            for n in range(int((self.wide + 0.3) / 0.13)):
                tone = (0.8, 1.08, 0.94)[n % 3]
                self.part(left - 0.15 + n * 0.13, high, left - 0.02 + n * 0.13, high + 0.27, shade(d.wall, tone))
        if d.surround == "hood":
            self.part(left - 0.3, high + 0.3, right + 0.3, high + 0.44, shade(d.trim, 1.04))
            self.part(left - 0.3, high + 0.22, right + 0.3, high + 0.3, shade(d.trim, 0.55))
            for x in (left - 0.26, right + 0.12):
                self.part(x, high + 0.02, x + 0.14, high + 0.24, shade(d.trim, 0.9))
        if d.sunshade:
            self.part(left - 0.3, high + 0.12, right + 0.3, high + 0.24, shade(d.trim, 1.0))
            self.part(left - 0.3, high - 0.35, right + 0.3, high + 0.12, (30, 30, 34), 95)
        if self.kind != "french" and d.sill:
            self.part(left - 0.14, low - 0.12, right + 0.14, low, shade(d.trim, 1.05))
            self.part(left - 0.14, low - 0.22, right + 0.14, low - 0.12, (24, 22, 20), 90)

    def round_head(self) -> None:
        """Draws the half round above an arched window."""
        rise = min(self.wide / 2, ABOVE - 0.2)
        d, patch = self.dress, self.patch
        x0, y0, x1, y1 = patch.texels(self.left, self.high - rise, self.right, self.high + rise)
        edge = max(round(0.15 * patch.ppm), 1)
        for grow, colour in ((edge, d.trim), (0, d.frame), (-1, (62, 70, 78))):
            area = (x0 - grow, y0 - grow, x1 - 1 + grow, y1 + grow)
            if grow == 0 or d.surround != "none" or grow < 0:
                patch.draw.pieslice(area, 180, 360, fill=colour)
                self.cover.pieslice(area, 180, 360, fill=255)
        patch.glow.pieslice((x0 + 1, y0 + 1, x1 - 2, y1 - 1), 180, 360, fill=255)
        for x in (-0.5, 0.0, 0.5):
            top = self.high + rise * (1 - abs(x))
            self.patch.line([(self.middle, self.high), (self.middle + x * self.wide, top)], d.frame, 0.05)

    def shutters(self) -> None:
        """Draws open shutters on both sides; a few are closed."""
        d, each = self.dress, min(self.wide / 2, MARGIN - 0.06)
        colour = jitter(self.rng, d.shutters, 5)
        for x in (self.left - each - 0.03, self.right + 0.03):
            self.part(x, self.low, x + each, self.high, colour)
            for z in np.arange(self.low + 0.08, self.high - 0.08, 0.14):
                self.part(x + 0.07, z, x + each - 0.07, z + 0.06, shade(colour, 0.74))
            self.part(x + each, self.low - 0.05, x + each + 0.03, self.high, (20, 20, 20), 90)

    def panes(self, inner: tuple[float, float, float, float]) -> None:
        """Draws the glass, with curtains behind it."""
        rng, patch = self.rng, self.patch
        x0, y0, x1, y1 = patch.texels(*inner)
        if x1 <= x0 or y1 <= y0:
            return
        leaves = 1 if self.wide < 0.9 else 2
        for n in range(leaves):  # the leaves are never quite parallel: each mirrors something else
            a, b = x0 + (x1 - x0) * n // leaves, x0 + (x1 - x0) * (n + 1) // leaves
            if b > a:
                patch.image.paste(pane(int(rng.integers(PANES))).resize((b - a, y1 - y0), Image.BILINEAR), (a, y0))
        patch.glow.rectangle((x0, y0, x1 - 1, y1 - 1), fill=255)
        cloth = mixed(pick(rng, _CLOTH), (70, 74, 80), rng.uniform(0.25, 0.6))
        left, low, right, high = inner
        form = rng.random() if self.dress.curtains > rng.random() else 1
        if form < 0.3:  # drawn to the sides
            each = (right - left) * rng.uniform(0.14, 0.3)
            patch.box(left, low, left + each, high, cloth)
            patch.box(right - each, low, right, high, shade(cloth, 0.92))
        elif form < 0.55:  # a net all over, or over the lower half
            top = high if rng.random() < 0.6 else low + (high - low) * 0.55
            patch.tint(left, low, right, top, cloth, 0.6)
            for x in np.arange(left, right, 0.19):
                patch.tint(x, low, x + 0.07, top, shade(cloth, 0.8), 0.5)
        elif form < 0.85:  # a blind
            bottom = high - (high - low) * rng.uniform(0.15, 0.95)
            patch.box(left, bottom, right, high, cloth)
            if rng.random() < 0.5:
                for z in np.arange(bottom, high, 0.13):
                    patch.box(left, z, right, z + 0.05, shade(cloth, 0.8))
        elif form < 0.93:  # things on the sill inside
            for _ in range(4):
                x, wide, tall = rng.uniform(left, right - 0.1), rng.uniform(0.08, 0.25), rng.uniform(0.1, 0.5)
                patch.box(x, low, x + wide, low + tall, shade(pick(rng, _CLOTH), 0.6))
        if self.dress.deep:
            patch.tint(left, high - 0.22, right, high, (12, 12, 16), 0.5)
            patch.tint(left, low, left + 0.1, high, (12, 12, 16), 0.3)

    def bar(self, left: float, low: float, right: float, high: float) -> None:
        """Draws a bar of the frame, at least one texel wide."""
        p = 1.01 / self.patch.ppm
        self.patch.box(left, low, max(right, left + p), max(high, low + p), self.dress.frame, 0)

    def frame(self, inner: tuple[float, float, float, float]) -> None:
        """Draws the bars.

        casement: two leaves; cross: two leaves under two lights; sash: two panes that slide; georgian: a sash of many
        panes; single; wide: three; french: two tall leaves; arched; loft: many small panes; slider: two that overlap;
        picture: a large one between narrow ones; barred: behind a grille; louvre: strips of glass; ribbon: a pane each
        1.2 m
        """
        left, low, right, high = inner
        kind, t, w = self.kind, 0.06, right - left
        for x in (left, right - t):
            self.bar(x, low, x + t, high)
        for z in (low, high - t):
            self.bar(left, z, right, z + t)
        columns = {"single": 1, "sash": 1, "wide": 3, "georgian": 3, "louvre": 1, "loft": max(round(w / 0.55), 2),
                   "ribbon": max(round(w / 1.2), 1)}.get(kind, 2)  # fmt: skip
        rows = {"georgian": 4, "loft": max(round((high - low) / 0.6), 2), "sash": 2}.get(kind, 1)
        if kind == "picture":
            for x in (left + 0.22 * w, right - 0.22 * w):
                self.bar(x, low, x + t, high)
            columns = 1
        for n in range(1, columns):
            x = left + w * n / columns
            self.bar(x - t / 2, low, x + t / 2, high)
        for n in range(1, rows):
            z = low + (high - low) * n / rows
            self.bar(left, z - t / 2, right, z + t / 2)
        if kind in ("cross", "single", "arched", "french"):
            z = low + (high - low) * (0.7 if kind != "french" else 0.8)
            self.bar(left, z - t / 2, right, z + t)
        if kind == "french" and self.dress.balcony == "none":  # a rail before it
            for x in np.arange(left, right, 0.14):
                self.patch.box(x, low, x + 0.05, low + 0.95, (42, 42, 46), 0)
            self.patch.box(left, low + 0.92, right, low + 1.0, (42, 42, 46), 0)
        if kind == "barred":
            for x in np.arange(left, right, 0.19):
                self.patch.box(x, low, x + 0.04, high, shade(self.dress.frame, 0.7), 0)
            for z in np.arange(low, high, 0.5):
                self.patch.box(left, z, right, z + 0.06, shade(self.dress.frame, 0.7), 0)
        if kind == "louvre":
            for z in np.arange(low, high, 0.25):
                self.patch.tint(left, z, right, z + 0.08, (16, 18, 20), 0.6)

    def things(self, inner: tuple[float, float, float, float]) -> None:
        """Draws flowers on the sill, or washing, now and then."""
        rng, d = self.rng, self.dress
        left, low, right, high = inner
        if rng.random() < d.flowers and self.wide < 2:
            self.part(left, self.low - 0.2, right, self.low + 0.02, (92, 66, 50))
            for _ in range(14):
                x, z = rng.uniform(left - 0.08, right - 0.06), rng.uniform(self.low - 0.1, self.low + 0.26)
                colour = (62, 92, 44) if rng.random() < 0.6 else pick(rng, _FLOWERS)
                self.part(x, z, x + 0.13, z + 0.13, jitter(rng, colour, 14))
        elif rng.random() < d.washing:
            x = left
            while x < right - 0.2:
                step, bottom = rng.uniform(0.2, 0.5), self.low - rng.uniform(0.2, 0.6)
                self.part(x, bottom, x + step - 0.05, self.low + 0.15, jitter(rng, pick(rng, _CLOTH), 25))
                x += step
