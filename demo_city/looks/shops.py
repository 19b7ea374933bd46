"""Shop fronts: a sign with letters, display windows, a door. Tenants change, houses stay."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from demo_city.looks.canvas import LAST_SIGN, Canvas
from demo_city.looks.colours import Colour, choose, colours, jitter, mixed, pick, shade
from demo_city.looks.dress import Dress, House
from demo_city.looks.letters import writing
from demo_city.looks.palettes import COLOURS, LOOKS, VIVID, WHITE
from demo_city.seeds import random_for
from demo_city.years import SHOP_CHANGE, generation

_GOODS = colours("b84438 d8a838 5a7a48 446a94 d4ccb8 8c5c3c b880a0 e8e4dc 303034 c87840 7a8c94 a83048 68906c e0c890")


@dataclass(frozen=True)
class Tenant:
    """A shop: what its front, its signs and its awning share.

    front: "glazed", "wood", "cafe", "open", "closed" or "lobby"
    paint: of the front
    sign, letters: colours of the sign
    stripes: second colour of the awning
    seed: decides what is written
    """

    front: str
    paint: Colour
    sign: Colour
    letters: Colour
    stripes: Colour
    script: str
    seed: int


def tenants(house: House, units: int, year: int) -> tuple[int, ...]:
    """How often each of the units of a house has changed hands until a year."""
    return tuple(generation(house.key, f"tenant {unit}", year, SHOP_CHANGE) for unit in range(units))


@lru_cache(8192)
def tenant(house: House, look: Dress, unit: int, number: int) -> Tenant:
    """A tenant of a house; unit: of which shop; number: how many were there before."""
    rng = random_for(house.key, "tenant", unit, number)
    style = LOOKS[house.style]
    vivid = jitter(rng, pick(rng, VIVID), 10)
    paint = (
        vivid
        if rng.random() < 0.4
        else mixed(pick(rng, VIVID), (70, 70, 70), 0.6)
        if rng.random() < 0.6
        else pick(rng, WHITE)
    )
    sign = (
        paint if rng.random() < 0.35 else jitter(rng, pick(rng, VIVID), 12) if rng.random() < 0.7 else pick(rng, WHITE)
    )
    bright = sum(sign) > 390
    letters = pick(rng, VIVID[:5]) if bright else pick(rng, colours("f4f0e6 f0d468 e8ecf0 f4f0e6"))
    if bright and sum(letters) > 330:
        letters = (36, 34, 38)
    front = choose(rng, style.fronts)
    script = look.script if rng.random() < 0.8 else choose(rng, style.scripts)
    return Tenant(front, paint, sign, letters, pick(rng, WHITE), script, int(rng.integers(1 << 30)))


@lru_cache(None)
def _sheen() -> Image.Image:
    """How much a display window mirrors, from its upper edge down."""
    return Image.fromarray(np.linspace(107, 0, 64).astype(np.uint8)[:, None])


@lru_cache(None)
def goods_tile() -> Image.Image:
    """Shelves full of goods: RGB, 512 x 64; 64 texels are 4 m wide or high."""
    rng = random_for("goods")
    tile = Image.new("RGB", (512, 64), (58, 54, 48))
    draw = ImageDraw.Draw(tile)
    for x in range(0, 512, 32):  # sections of one kind each: clothes, bottles, boxes, bread
        tones = [pick(rng, _GOODS) for _ in range(3)]
        if rng.random() < 0.4:
            for _ in range(4):
                left = x + int(rng.integers(0, 26))
                colour = shade(tones[int(rng.integers(3))], 0.8)
                draw.ellipse((left + 1, 22, left + 4, 26), fill=(170, 150, 130))
                draw.rectangle((left, 27, left + 5, int(rng.integers(42, 58))), fill=colour)
            continue
        for y in range(8, 64, 14):
            draw.line((x, y + 12, x + 31, y + 12), fill=(120, 106, 88))
            left = x
            while left < x + 31:
                wide = int(rng.integers(1, 6))
                tone = shade(jitter(rng, tones[int(rng.integers(3))], 16), 0.8)
                draw.rectangle((left, y + int(rng.integers(1, 8)), min(left + wide, x + 31), y + 11), fill=tone)
                left += wide + 1
    light = np.interp(np.arange(64), [0, 6, 20, 63], [1.5, 1.2, 1.0, 0.7])[:, None, None]
    return Image.fromarray((np.asarray(tile) * light).clip(0, 255).astype(np.uint8))


class ShopFront:
    """Draws one shop.

    canvas: of the wall
    house, look: the building
    who: the tenant
    left, right: edges of the shop, metres
    """

    def __init__(self, canvas: Canvas, house: House, look: Dress, who: Tenant, left: float, right: float):
        self.canvas, self.house, self.look, self.who = canvas, house, look, who
        self.left, self.right, self.top = left, right, house.ground_height
        self.rng = random_for("shop front", who.seed)
        self.glow = 200 + who.seed % 30
        self.sign_glow = 230 + who.seed % (LAST_SIGN - 229)
        self.lintel = max(min(self.top - 0.85, 3.0), 2.1)

    def draw(self) -> None:
        """Draws the front, then its sign."""
        c, who, rng = self.canvas, self.who, self.rng
        pier = min(rng.uniform(0.1, 0.45), (self.right - self.left) * 0.1)
        if who.front == "wood":
            c.box(self.left + 0.05, 0, self.right - 0.05, self.top - 0.1, who.paint)
        left, right = self.left + pier, self.right - pier
        {"open": self.open, "closed": self.closed}.get(who.front, self.glazed)(left, right)
        if rng.random() < 0.9 or who.front != "lobby":
            self.sign(left - 0.08, right + 0.08)
        c.tint(left, self.lintel - 0.18, right, self.lintel, (10, 10, 12), 0.45)

    def pane(self, left: float, low: float, right: float, high: float, full: bool) -> None:
        """Draws a display window; full: with shelves, else with a view of the room."""
        c, rng = self.canvas, self.rng
        x0, y0, x1, y1 = c.texels(left, low, right, high)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        wide, start = min(int(x1 - x0), 200), int(rng.integers(0, 300))
        inside = goods_tile().crop((start, 0, start + wide, 64)).resize((x1 - x0, y1 - y0), Image.BILINEAR)
        room = Image.new("RGB", inside.size, jitter(rng, (64, 60, 54), 8))
        inside = Image.blend(room, inside, rng.uniform(0.6, 0.95) if full else rng.uniform(0.05, 0.35))
        mirrored = _sheen().resize(inside.size, Image.BILINEAR)
        inside.paste((128, 140, 150), None, mirrored)
        c.image.paste(inside, (x0, y0))
        c.glow.rectangle((x0, y0, x1 - 1, y1 - 1), fill=self.glow)

    def glazed(self, left: float, right: float) -> None:
        """Draws display windows between posts, one of them with the door."""
        c, who, rng = self.canvas, self.who, self.rng
        frame = who.paint if who.front in ("wood", "cafe") else pick(rng, colours("3a3c40 8c9094 c8cac8 2a2a2c 5a4838"))
        low = {"wood": 0.6, "cafe": 0.45, "lobby": 0.03}.get(who.front, 0.15 if rng.random() < 0.6 else 0.5)
        panes = max(round((right - left) / rng.uniform(1.1, 2.2)), 2)
        door, post = int(rng.integers(panes)), 0.09 if who.front != "wood" else 0.15
        c.box(left, 0, right, self.lintel, frame)
        if low > 0.3:
            c.box(left, 0, right, low - 0.06, shade(frame, 0.85))
            c.box(left, low - 0.06, right, low, shade(frame, 1.15))
        transom = self.lintel - 0.55 if who.front in ("wood", "cafe", "lobby") and self.lintel > 2.5 else self.lintel
        full = rng.random() < 0.7 and who.front not in ("lobby", "cafe")
        for n in range(panes):
            a, b = left + (right - left) * n / panes + post / 2, left + (right - left) * (n + 1) / panes - post / 2
            if n == door:
                self.door(a, b, frame)
            else:
                self.pane(a, low, b, transom - 0.03, full)
                self.glass_signs(a, low, b, transom)
            if transom < self.lintel:
                self.pane(a, transom + 0.05, b, self.lintel - 0.05, False)

    def door(self, left: float, right: float, frame: Colour) -> None:
        """Draws the door, which lies back in the shade."""
        c = self.canvas
        c.box(left, 0, right, self.lintel, shade(frame, 0.4))
        middle, half = (left + right) / 2, min((right - left) / 2, 0.62)
        c.box(middle - half, 0, middle + half, 2.15, shade(frame, 0.9))
        self.pane(middle - half + 0.12, 0.25, middle + half - 0.12, 2.02, False)
        c.box(middle + half - 0.14, 0.9, middle + half - 0.06, 1.3, (190, 184, 160))
        c.box(left, 0, right, 0.07, (120, 116, 110))

    def glass_signs(self, left: float, low: float, right: float, high: float) -> None:
        """Sticks posters, letters or offers on a display window, now and then."""
        c, rng, form = self.canvas, self.rng, self.rng.random()
        if form < 0.25:
            for _ in range(int(rng.integers(1, 4))):
                x, z = rng.uniform(left, max(right - 0.5, left)), rng.uniform(low + 0.1, max(high - 1.0, low + 0.2))
                c.box(
                    x,
                    z,
                    min(x + 0.45, right),
                    min(z + rng.uniform(0.4, 0.8), high),
                    jitter(rng, pick(rng, _GOODS), 20),
                    None,
                )
        elif form < 0.4:
            size = max(int((right - left) * 0.8 * c.ppm), 3), max(int(0.28 * c.ppm), 4)
            c.write(
                left + 0.1 * (right - left),
                low + (high - low) * 0.55,
                writing(rng, self.who.script, size),
                (226, 224, 216),
            )
        elif form < 0.47:
            c.tint(left, low, right, low + (high - low) * 0.45, mixed(self.who.sign, (220, 220, 216), 0.4), 0.7)

    def open(self, left: float, right: float) -> None:
        """Draws a shop without a wall: a dark room full of goods, and stands before it."""
        c, rng = self.canvas, self.rng
        c.box(left, 0, right, self.lintel, (34, 32, 30), self.glow)
        self.pane(left + 0.1, 0.7, right - 0.1, self.lintel - 0.15, True)
        c.tint(left, self.lintel - 0.6, right, self.lintel, (16, 14, 14), 0.5)
        c.box(left, self.lintel - 0.22, right, self.lintel - 0.1, (150, 152, 154))  # the shutter, rolled up
        x = left
        while x < right - 0.5:
            wide, tone = rng.uniform(0.4, 0.9), pick(rng, _GOODS)
            height = rng.uniform(0.5, 1.05)
            c.box(x, 0, x + wide - 0.06, height - 0.12, jitter(rng, (110, 96, 78), 14))
            for k in range(int(wide / 0.13)):
                c.box(x + k * 0.13, height - 0.12, x + k * 0.13 + 0.12, height + 0.06, jitter(rng, tone, 18))
            x += wide + (rng.uniform(0.5, 1.2) if rng.random() < 0.25 else 0)

    def closed(self, left: float, right: float) -> None:
        """Draws a rolled-down shutter, often sprayed."""
        c, rng = self.canvas, self.rng
        colour = jitter(rng, pick(rng, COLOURS["corrugated"]), 8)
        c.box(left, 0, right, self.lintel, shade(colour, 0.7))
        count = max(round((right - left) / 3.2), 1)
        for n in range(count):
            a, b = left + (right - left) * n / count + 0.05, left + (right - left) * (n + 1) / count - 0.05
            c.box(a, 0, b, self.lintel - 0.12, colour, 0)
            for z in np.arange(0, self.lintel - 0.15, 0.19):
                c.box(a, z, b, z + 0.06, shade(colour, 0.8))
            c.box(a, 0, b, 0.1, shade(colour, 0.6))
        if rng.random() < 0.4:
            from demo_city.looks.signs import sprayed

            size = max(int((right - left) * 0.7 * c.ppm), 8), max(int(1.4 * c.ppm), 6)
            c.picture(left + 0.15 * (right - left), 1.8, *sprayed(rng, size))

    def sign(self, left: float, right: float) -> None:
        """Draws the sign above the shop: letters on a board, or on the wall itself."""
        c, who, rng = self.canvas, self.who, self.rng
        low, high = self.lintel + 0.08, self.top - 0.12
        if high - low < 0.25:
            low = high - 0.35
        board = rng.random() < 0.8 or who.front in ("wood", "closed")
        if board:
            lit = who.seed % 5 == 0  # a box of light
            c.box(left, low, right, high, who.sign, self.sign_glow if lit else 0)
            c.box(left, low - 0.07, right, low, shade(who.sign, 0.5))
            c.box(left, high, right, high + 0.05, shade(who.sign, 1.2))
        share = rng.uniform(0.35, 0.8)
        tall = (high - low) * rng.uniform(0.5, 0.75)
        size = int((right - left) * share * c.ppm), int(tall * c.ppm)
        if min(size) < 4:
            return
        start = left + (right - left) * (1 - share) * rng.choice([0.1, 0.5, 0.5, 0.9])
        letters = writing(random_for("name", who.seed), who.script, size)
        ink = who.letters if board else pick(rng, VIVID) if sum(self.look.wall) > 330 else (236, 234, 228)
        c.write(start, low + (high - low - tall) / 2, letters, ink, self.sign_glow)
        if rng.random() < 0.3 and share < 0.6:  # a mark beside the letters
            side = tall * 0.9
            x = left + 0.2 if start - left > side + 0.4 else right - side - 0.2
            x0, y0, x1, y1 = c.texels(x, low + 0.1, x + side, low + 0.1 + side)
            if x1 > x0 and y1 > y0:
                c.draw.ellipse((x0, y0, x1, y1), fill=jitter(rng, pick(rng, VIVID), 10))
