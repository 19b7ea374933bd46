"""Shop fronts: a sign with letters, display windows, a door. Tenants change, houses stay."""

from functools import lru_cache

import numpy as np
from PIL import Image

from demo_city.looks.canvas import BLACK, Area, Canvas, Colour, choose, colours, jitter, mixed, pick, shade, table
from demo_city.looks.plan import House, dress
from demo_city.looks.signs import sprayed, writing
from demo_city.seeds import random_for
from demo_city.styles import style
from demo_city.years import SHOP_CHANGE, generation


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

    def name(self, size: tuple[int, int], upright: bool = False) -> Image.Image:
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
