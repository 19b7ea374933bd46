"""Windows and shop fronts: glass that mirrors sky and street, what is behind it, and what surrounds it."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from demo_city.looks.canvas import BLACK, Area, Canvas, Colour, Size, colours, jitter, mixed, pick, shade, table
from demo_city.looks.plan import Dress, House, dress
from demo_city.looks.signs import sprayed, writing
from demo_city.seeds import choose, random_for
from demo_city.styles import style
from demo_city.years import SHOP_CHANGE, generation

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
            glow, cover = ImageDraw.Draw(patch.index), ImageDraw.Draw(patch.cover)
            for grow, colour in ((max(round(0.15 * patch.ppm), 1), trim), (0, look.frame), (-1, (62, 70, 78))):
                area = (x0 - grow, y0 - grow, x1 - 1 + grow, y1 + grow)
                patch.draw.pieslice(area, 180, 360, fill=colour)
                cover.pieslice(area, 180, 360, fill=255)
            glow.pieslice(area, 180, 360, fill=255)
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


class Tenant:
    """A shop: what its front, its signs and its awning share. unit: which of a house; number: how many were before."""

    def __init__(self, house: House, unit: int, number: int):
        rng, muted = random_for(house.key, "tenant", unit, number), (70, 70, 70)
        self.paint = mixed(pick(rng, "vivid vivid white"), muted, rng.choice([0.0, 0.0, 0.6]))
        self.sign = self.paint if rng.random() < 0.35 else jitter(rng, pick(rng, "vivid white"), 12)
        self.letters = pick(rng, "dark black" if sum(self.sign) > 390 else "f4f0e6 f0d468 e8ecf0 f4f0e6")
        self.stripes = pick(rng, "white")  # second colour of the awning
        self.front = choose(rng, style(house.style)["look"]["fronts"])  # of the table "fronts", "open" or "closed"
        self.script = dress(house, 0).script
        self.seed = int(rng.integers(1 << 30))  # decides what is written
        self.glow = 230 + self.seed % 26  # index of the lit sign

    def name(self, size: Size, upright: bool = False) -> Image.Image:
        """Its name: a mask (L) of a size in texels; upright: one letter below the other."""
        return writing(random_for("name", self.seed), self.script, size, upright)


def tenants(house: House, units: int, year: int) -> tuple[int, ...]:
    """How often each of the units of a house has changed hands until a year."""
    return tuple(generation(house.key, f"tenant {unit}", year, SHOP_CHANGE) for unit in range(units))


@lru_cache(None)
def _goods() -> Image.Image:
    """Shelves full of goods: RGB, 512 x 64; 64 texels are 4 m wide or high."""
    rng, found, (y, x) = random_for("goods"), np.array(colours("goods")), np.mgrid[0:64, 0:512]
    kinds = np.repeat(rng.integers(len(found), size=(5, 32)), 8, 1) + rng.integers(3, size=(5, 256))
    full = y % 13 > rng.integers(2, 7, (5, 256))[y // 13, x // 2]
    image = np.where((full & (y % 13 < 12))[..., None], found[kinds % len(found)][y // 13, x // 2] * 0.8, (58, 54, 48))
    light = np.interp(np.arange(64), [0, 6, 20, 63], [1.5, 1.2, 1.0, 0.7])[:, None, None]
    return Image.fromarray((image * light).clip(0, 255).astype(np.uint8))


class ShopFront:
    """Draws the shop of a tenant on a wall; top: height of the ground floor; left, right: edges of the shop; metres."""

    def __init__(self, canvas: Canvas, top: float, who: Tenant, left: float, right: float):
        self.canvas, self.who, self.top, self.rng = canvas, who, top, random_for("shop front", who.seed)
        self.lintel = max(min(top - 0.85, 3.0), 2.1)
        pier = min(self.rng.uniform(0.1, 0.45), (right - left) * 0.1)
        if who.front == "wood":
            canvas.box((left + 0.05, 0, right - 0.05, top - 0.1), who.paint)
        {"open": self.open, "closed": self.closed}.get(who.front, self.glazed)(left + pier, right - pier)
        if who.front != "lobby" or self.rng.random() < 0.7:
            self.sign(left + pier - 0.08, right - pier + 0.08)
        canvas.box((left + pier, self.lintel - 0.18, right - pier, self.lintel), BLACK, 0.45)

    def pane(self, area: Area, full: bool) -> None:
        """Draws a display window; full: with shelves, else with a view of the room."""
        c, rng = self.canvas, self.rng
        wide, start = max(min(int((area[2] - area[0]) * c.ppm), 200), 2), int(rng.integers(0, 300))
        inside = _goods().crop((start, 0, start + wide, 64))
        room = Image.new("RGB", inside.size, jitter(rng, (64, 60, 54), 8))
        inside = Image.blend(room, inside, rng.uniform(0.6, 0.95) if full else rng.uniform(0.05, 0.35))
        sheen = Image.fromarray(np.repeat(np.linspace(107, 0, 64).astype(np.uint8)[:, None], wide, 1))
        inside.paste((128, 140, 150), None, sheen)  # the sky that it mirrors
        c.fill(area, inside, 200 + self.who.seed % 30)

    def glazed(self, left: float, right: float) -> None:
        """Draws display windows between posts, one of them with the door."""
        c, rng, who, lintel = self.canvas, self.rng, self.who, self.lintel
        low, painted, divided = table("fronts")[who.front]
        frame = who.paint if painted else pick(rng, "3a3c40 8c9094 c8cac8 2a2a2c 5a4838")
        c.box((left, 0, right, lintel), frame)
        c.box((left, low - 0.06, right, low), shade(frame, 1.15))
        transom = lintel - 0.55 if divided and lintel > 2.5 else lintel
        full = rng.random() < 0.7 and who.front in ("glazed", "wood")
        edges = np.linspace(left, right, max(round((right - left) / rng.uniform(1.1, 2.2)), 2) + 1).tolist()
        door = int(rng.integers(len(edges) - 1))
        for n, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            a, b = a + 0.06, b - 0.06
            if n == door:
                self.door((a + b) / 2, (b - a) / 2, frame)
            else:
                self.pane((a, low, b, transom - 0.03), full)
                posters = rng.uniform(low, max(transom - 0.9, low), int(rng.choice([0, 0, 1, 2])))
                for z in posters.tolist():
                    x = rng.uniform(a, max(b - 0.3, a))
                    c.box((x, z, min(x + 0.45, b), z + rng.uniform(0.4, 0.8)), jitter(rng, pick(rng, "goods"), 20))
            if transom < lintel:
                self.pane((a, transom + 0.05, b, lintel - 0.05), False)

    def door(self, middle: float, half: float, frame: Colour) -> None:
        """Draws the door, which lies back in the shade."""
        c = self.canvas
        c.box((middle - half, 0, middle + half, self.lintel), shade(frame, 0.4))
        half = min(half, 0.62)
        c.box((middle - half, 0, middle + half, 2.15), shade(frame, 0.9))
        self.pane((middle - half + 0.12, 0.25, middle + half - 0.12, 2.02), False)
        c.box((middle + half - 0.14, 0.9, middle + half - 0.06, 1.3), (190, 184, 160))

    def open(self, left: float, right: float) -> None:
        """Draws a shop without a wall: a dark room full of goods, and crates before it."""
        c, rng = self.canvas, self.rng
        self.pane((left, 0, right, self.lintel), True)
        c.box((left, self.lintel - 0.22, right, self.lintel - 0.1), (150, 152, 154))  # the shutter, rolled up
        for x in np.arange(left, right - 0.5, 0.65).tolist():
            high, tone = rng.uniform(0.5, 1.05), pick(rng, "goods")
            c.box((x, 0, x + 0.6, high), jitter(rng, (110, 96, 78), 14))
            c.box((x, high - 0.12, x + 0.6, high + 0.04), tone)
            c.bars((x, high - 0.12, x + 0.6, high + 0.06), 0.13, 0.07, jitter(rng, tone, 30))

    def closed(self, left: float, right: float) -> None:
        """Draws a rolled-down shutter, often sprayed."""
        c, colour = self.canvas, jitter(self.rng, pick(self.rng, "corrugated"), 8)
        c.box((left, 0, right, self.lintel), colour)
        c.bars((left, 0, right, self.lintel), 0.19, 0.06, shade(colour, 0.8), level=True)
        c.bars((left, 0, right, self.lintel), 3.2, 0.1, shade(colour, 0.7))
        if self.rng.random() < 0.4:
            c.put((left + 0.15 * (right - left), 1.8), *sprayed(self.rng, c.size((right - left) * 0.7, 1.4)))

    def sign(self, left: float, right: float) -> None:
        """Draws the sign above the shop: letters on a board, or on the wall itself."""
        c, who, rng = self.canvas, self.who, self.rng
        high, board = self.top - 0.12, rng.random() < 0.8 or who.front in ("wood", "closed")
        low = min(self.lintel + 0.08, high - 0.35)
        if board:
            c.box((left, low - 0.07, right, low), shade(who.sign, 0.5))
            c.box((left, low, right, high), who.sign, shine=who.glow if who.seed % 5 == 0 else 0)  # a box of light
            c.box((left, high, right, high + 0.05), shade(who.sign, 1.2))
        share, tall = rng.uniform(0.35, 0.8), (high - low) * rng.uniform(0.5, 0.75)
        start = left + (right - left) * (1 - share) * rng.choice([0.1, 0.5, 0.5, 0.9])
        ink = who.letters if board else pick(rng, "vivid f4f0e6")
        c.put((start, (low + high + tall) / 2), ink, who.name(c.size((right - left) * share, tall)), who.glow)
