"""Draws the parts of a wall: windows, doors, balconies, cornices, and what has grown or been sprayed on it."""

import numpy as np
from PIL import Image, ImageDraw

from demo_city.buildings import Building
from demo_city.look import Look
from demo_city.paint import LAST_WINDOW, PPM, VIVID, Colour, pick, pseudo_text, shade
from demo_city.seeds import random_for
from demo_city.shops import Shop
from demo_city.years import GRAFFITI_CHANGE, SHOP_CHANGE, generation

_MARGIN, _ABOVE = 6, 26  # texels round a window for its surround, and above it for an arch


class Painter:
    """Draws on one wall, in metres from its left end and from the ground.

    image: RGB colours
    index: what can shine (L)
    height: of the image, texels
    look: of the building
    rng: decides what is random
    building: the building
    year: of the photographs
    outline: receives the shape of all boxes, or None
    """

    def __init__(
        self,
        image: Image.Image,
        index: Image.Image,
        height: int,
        look: Look,
        rng: np.random.Generator,
        building: Building,
        year: int,
        outline: ImageDraw.ImageDraw | None = None,
    ):
        self.image, self.index, self.height, self.outline = image, index, height, outline
        self.patches = {}
        self.draw, self.glow = ImageDraw.Draw(image), ImageDraw.Draw(index)
        self.look, self.rng, self.building, self.year = look, rng, building, year
        self.windows = 0

    def box(self, left: float, low: float, right: float, high: float, colour: Colour) -> None:
        """Draws a rectangle, in metres.

        left, low, right, high: its edges
        colour: its colour
        """
        x0, x1 = round(left * PPM), round(right * PPM) - 1
        y0, y1 = self.height - round(high * PPM), self.height - 1 - round(low * PPM)
        if x1 >= x0 and y1 >= y0:
            self.draw.rectangle((x0, y0, x1, y1), fill=colour)
            if self.outline:
                self.outline.rectangle((x0, y0, x1, y1), fill=255)

    def shine(self, left: float, low: float, right: float, high: float, value: int) -> None:
        """Marks a rectangle, in metres, as able to shine.

        left, low, right, high: its edges
        value: the index that it gets; 0 for nothing that shines
        """
        x0, x1 = round(left * PPM), round(right * PPM) - 1
        y0, y1 = self.height - round(high * PPM), self.height - 1 - round(low * PPM)
        if x1 >= x0 and y1 >= y0:
            self.glow.rectangle((x0, y0, x1, y1), fill=value)

    def tint(self, low: float, high: float, colour: Colour) -> None:
        """Blends the wall between two heights, in metres, with a colour."""
        y0, y1 = self.height - round(high * PPM), self.height - round(low * PPM)
        part = self.image.crop((0, y0, self.image.width, y1))
        self.image.paste(Image.blend(part, Image.new("RGB", part.size, colour), 0.75), (0, y0))

    def facade(self, length: float, front: bool) -> None:
        """Draws a front or a side; front: whether it is the front."""
        b, look, rng = self.building, self.look, self.rng
        bays = max(int(length / look.bay), 1)
        pitch = length / bays
        top = b.height
        if look.quoins:
            for n in range(int(top / 0.45)):
                long = 0.55 if n % 2 else 0.35
                self.box(0, n * 0.45, long, n * 0.45 + 0.4, look.trim)
                self.box(length - long, n * 0.45, length, n * 0.45 + 0.4, look.trim)
        for storey in range(1, b.storeys):
            z = b.ground_height + (storey - 1) * b.storey_height
            if look.bands or storey == 1:
                self.box(0, z - 0.16, length, z + 0.12, look.trim if look.bands else shade(look.wall, 1.12))
                self.box(0, z - 0.22, length, z - 0.16, shade(look.wall, 0.62))
            for bay in range(bays):
                self.window(bay * pitch, pitch, z, b.storey_height, storey)
            if look.balcony == "long" and storey == 1 + b.key % 2 and front:
                self.balcony(0.5, length - 0.5, z + 0.15, "iron")
        if b.roof in ("gable", "stepped", "curved") and front and b.rise > 1.6:
            self.window(length / 2 - pitch / 2, pitch, top - 0.2, min(b.rise, 2.6), 9)
        if b.detached or not front or b.roof not in ("gable", "stepped"):
            self.box(0, top - look.cornice, length, top, look.trim)
            self.box(0, top - look.cornice - 0.14, length, top - look.cornice, shade(look.wall, 0.55))
            if look.dentils:
                for n in range(int(length / 0.5)):
                    self.box(
                        n * 0.5 + 0.1,
                        top - look.cornice - 0.12,
                        n * 0.5 + 0.3,
                        top - look.cornice + 0.08,
                        shade(look.trim, 0.92),
                    )
        if b.roof == "flat":
            self.box(0, top + 0.55, length, top + 0.7, shade(look.trim, 0.95))
        if b.shop and (front or rng.random() < 0.4):
            Shop(self, generation(b.key, "tenant", self.year, SHOP_CHANGE), length, front).draw()
        else:
            self.ground_floor(length, bays, pitch, front)
        self.extras(length, bays, pitch, front)

    def ground_floor(self, length: float, bays: int, pitch: float, front: bool) -> None:
        """Draws the ground floor of a house without a shop.

        length: of the wall, metres
        bays: number of windows side by side
        pitch: width of a bay, metres
        front: whether it is the front
        """
        b, look = self.building, self.look
        self.box(0, 0, length, 0.55, shade(look.trim if b.key % 3 else look.wall, 0.7))
        entrance = b.key % bays if front else -1
        garage = (b.key // 7) % bays if front and b.key % 5 == 0 and pitch > 2.5 and bays > 1 else -2
        for bay in range(bays):
            middle = (bay + 0.5) * pitch
            if bay == entrance:
                self.door(middle, min(1.25, pitch * 0.5), 2.35)
            elif bay == garage:
                half = min(1.35, pitch * 0.45)
                self.box(middle - half - 0.1, 0, middle + half + 0.1, 2.35, look.trim)
                self.box(middle - half, 0, middle + half, 2.25, shade(look.door, 0.8))
                for n in range(1, 6):
                    self.box(middle - half, n * 0.38, middle + half, n * 0.38 + 0.07, shade(look.door, 0.6))
            else:
                self.window(bay * pitch, pitch, 0.3, min(b.ground_height - 0.3, 3.1), 0)

    def door(self, middle: float, width: float, tall: float) -> None:
        """Draws a door around `middle`, metres from the left end."""
        look = self.look
        left, right = middle - width / 2, middle + width / 2
        self.box(left - 0.18, 0, right + 0.18, tall + 0.75, look.trim)
        self.box(left, 0, right, tall, look.door)
        for low in (0.25, 1.25):
            self.box(left + width * 0.15, low, left + width * 0.45, low + 0.75, shade(look.door, 0.75))
            self.box(right - width * 0.45, low, right - width * 0.15, low + 0.75, shade(look.door, 0.75))
        self.box(left, tall + 0.1, right, tall + 0.55, (70, 80, 92))
        self.shine(left, tall + 0.1, right, tall + 0.55, 1 + self.building.key % LAST_WINDOW)
        self.box(left - 0.3, 0, right + 0.3, 0.15, (150, 146, 140))
        if self.building.detached:  # a porch
            self.box(left - 0.7, tall + 0.5, right + 0.7, tall + 0.75, look.trim)
            self.box(left - 0.7, 0, left - 0.55, tall + 0.5, look.trim)
            self.box(right + 0.55, 0, right + 0.7, tall + 0.5, look.trim)

    def window(self, left: float, pitch: float, z: float, storey_height: float, storey: int) -> None:
        """Draws the window, or the two windows, of one bay with shutters and balcony.

        left: of the bay, metres
        pitch: width of the bay, metres
        z: floor of the storey, metres
        storey_height: metres
        storey: its number
        """
        look, rng = self.look, self.rng
        kind = look.window
        wide = pitch * (look.window_width * (1.35 if kind == "wide" else 1.0))
        wide = min(wide, 2.6 if kind == "wide" else 1.9)
        high = storey_height * look.window_height
        low = z + (storey_height - high) * (0.25 if kind == "french" else 0.62)
        if kind == "french":
            high = storey_height * 0.74
        middle = left + pitch / 2
        halves = [(middle - wide / 2, middle + wide / 2)]
        if kind == "double" and wide > 1.1:
            halves = [(middle - wide / 2, middle - 0.12), (middle + 0.12, middle + wide / 2)]
        for x0, x1 in halves:
            self.one_window(x0, low, x1, low + high, rng)
        a, c = halves[0][0], halves[-1][1]
        if look.shutters:
            each = min(0.45, (pitch - wide) / 2 - 0.08)
            if each > 0.15:
                for x in (a - each - 0.04, c + 0.04):
                    self.box(x, low, x + each, low + high, look.shutters)
                    for n in range(int(high / 0.25)):
                        self.box(
                            x + 0.06, low + n * 0.25, x + each - 0.06, low + n * 0.25 + 0.07, shade(look.shutters, 0.72)
                        )
        if look.balcony in ("iron", "solid") and storey and (storey + int(left / pitch)) % 3 == self.building.key % 3:
            self.balcony(a - 0.35, c + 0.35, z + 0.1, look.balcony)
        elif rng.random() < 0.06 and storey:  # a flower box
            self.box(a, low - 0.25, c, low - 0.05, (96, 70, 52))
            for _ in range(8):
                x = rng.uniform(a, c - 0.1)
                self.box(
                    x,
                    low - 0.1,
                    x + 0.18,
                    low + 0.12,
                    pick(rng, [(200, 50, 60), (230, 190, 60), (60, 120, 50), (220, 120, 170)]),
                )

    def one_window(self, x0: float, low: float, x1: float, high: float, rng: np.random.Generator) -> None:
        """Draws one of the few kinds of windows that this wall has.

        x0, low, x1, high: its edges, metres
        rng: decides which kind
        """
        self.windows += 1
        key = round((x1 - x0) * PPM), round((high - low) * PPM), int(rng.integers(4))
        if key not in self.patches:
            self.patches[key] = self._window_patch(*key)
        picture, outline, panes = self.patches[key]
        left, top = round(x0 * PPM) - _MARGIN, self.height - round(high * PPM) - _ABOVE
        self.image.paste(picture, (left, top), outline)
        number = 1 + (self.windows * 13 + self.building.key % 101) % LAST_WINDOW
        self.index.paste(number, (left, top, left + picture.width, top + picture.height), panes)

    def _window_patch(self, wide: int, tall: int, variant: int) -> tuple[Image.Image, Image.Image, Image.Image]:
        """A window of wide x tall texels with what surrounds it.

        Returns the picture (RGB), its outline (L) and the panes that can shine (L).
        """
        size = wide + 2 * _MARGIN, tall + _MARGIN + _ABOVE
        picture, outline, panes = Image.new("RGB", size), Image.new("L", size), Image.new("L", size)
        rng = random_for(self.building.key, "window", wide, tall, variant)
        patch = Painter(picture, panes, size[1], self.look, rng, self.building, self.year, ImageDraw.Draw(outline))
        patch.draw_window(_MARGIN / PPM, _MARGIN / PPM, (_MARGIN + wide) / PPM, (_MARGIN + tall) / PPM)
        return picture, outline, panes

    def draw_window(self, x0: float, low: float, x1: float, high: float) -> None:
        """Draws a window with its frame, curtains and bars.

        x0, low, x1, high: its edges, metres
        """
        look, rng, number = self.look, self.rng, 255
        if look.surround in ("frame", "arch", "hood"):
            self.box(x0 - 0.17, low - 0.05, x1 + 0.17, high + 0.17, look.trim)
        self.box(x0 - 0.2, low - 0.2, x1 + 0.2, low - 0.06, look.trim)
        if look.surround == "lintel":
            self.box(x0 - 0.25, high, x1 + 0.25, high + 0.28, look.trim)
        if look.surround == "hood":
            self.box(x0 - 0.3, high + 0.22, x1 + 0.3, high + 0.4, shade(look.trim, 1.05))
            self.box(x0 - 0.2, high + 0.13, x1 + 0.2, high + 0.22, shade(look.trim, 0.6))
        arched = look.window == "arched"
        if arched:
            rise = (x1 - x0) / 2
            x_px, y_px = (round(x0 * PPM), round(x1 * PPM) - 1), self.height - round(high * PPM)
            r = round(rise * PPM)
            if look.surround != "none":
                for draw, fill in ((self.draw, look.trim), (self.outline, 255)):
                    draw.pieslice((x_px[0] - 3, y_px - r - 3, x_px[1] + 3, y_px + r + 3), 180, 360, fill=fill)
            self.outline.pieslice((x_px[0], y_px - r, x_px[1], y_px + r), 180, 360, fill=255)
            self.draw.pieslice((x_px[0], y_px - r, x_px[1], y_px + r), 180, 360, fill=look.frame)
            self.draw.pieslice((x_px[0] + 1, y_px - r + 2, x_px[1] - 1, y_px + r - 2), 180, 360, fill=(76, 88, 102))
            self.glow.pieslice((x_px[0] + 1, y_px - r + 2, x_px[1] - 1, y_px + r - 2), 180, 360, fill=number)
        self.box(x0, low, x1, high, look.frame)
        self.box(x0, high - 0.1, x1, high, shade(look.frame, 0.5))  # the reveal's shadow
        glass = 0.07
        if x1 - x0 < 2 * glass + 0.1:
            return
        tone = rng.uniform(0.65, 1.25)
        self.box(x0 + glass, low + glass, x1 - glass, high - 0.1, shade((66, 78, 92), tone))
        self.box(x0 + glass, (low + high) / 2, x1 - glass, high - 0.1, shade((96, 112, 130), tone))
        curtain = rng.random()
        if curtain < 0.3:
            cloth = pick(rng, [(226, 220, 206), (200, 180, 160), (180, 130, 120), (170, 180, 190), (230, 226, 220)])
            side = (x1 - x0) * rng.uniform(0.16, 0.3)
            self.box(x0 + glass, low + glass, x0 + side, high - 0.1, shade(cloth, 0.8))
            self.box(x1 - side, low + glass, x1 - glass, high - 0.1, shade(cloth, 0.8))
        elif curtain < 0.5:
            self.box(x0 + glass, high - (high - low) * rng.uniform(0.2, 0.7), x1 - glass, high - 0.1, (206, 202, 192))
        self.shine(x0 + glass, low + glass, x1 - glass, high - 0.1, number)
        middle = (x0 + x1) / 2
        if look.window != "wide" or x1 - x0 > 1.5:
            self.bar(middle - 0.04, low, middle + 0.04, high)
        if look.window in ("sash", "arched", "single"):
            at = low + (high - low) * (0.5 if look.window == "sash" else 0.68)
            self.bar(x0, at - 0.04, x1, at + 0.04)

    def bar(self, left: float, low: float, right: float, high: float) -> None:
        """Draws a bar of a window, which does not shine.

        left, low, right, high: its edges, metres
        """
        self.box(left, low, right, high, self.look.frame)
        self.shine(left, low, right, high, 0)

    def balcony(self, left: float, right: float, z: float, kind: str) -> None:
        """Draws a balcony.

        left, right: its ends, metres
        z: its floor, metres
        kind: "iron" or "solid"
        """
        self.box(left - 0.05, z - 0.15, right + 0.05, z, shade(self.look.trim, 0.85))
        self.box(left, z - 0.4, right, z - 0.15, shade(self.look.wall, 0.5))
        if kind == "solid":
            self.box(left, z, right, z + 0.9, shade(self.look.trim, 0.95))
            self.shine(left, z, right, z + 0.9, 0)
            return
        for n in range(int((right - left) / 0.19) + 1):
            self.bar_iron(left + n * 0.19, z, left + n * 0.19 + 0.064, z + 0.95)
        self.bar_iron(left, z + 0.9, right, z + 1.0)

    def bar_iron(self, left: float, low: float, right: float, high: float) -> None:
        """Draws an iron bar, which does not shine.

        left, low, right, high: its edges, metres
        """
        self.box(left, low, right, high, (38, 38, 42))
        self.shine(left, low, right, high, 0)

    def extras(self, length: float, bays: int, pitch: float, front: bool) -> None:
        """Draws a downpipe, fire stairs, ivy and graffiti, as far as the building has them.

        length: of the wall, metres
        bays: number of windows side by side
        pitch: width of a bay, metres
        front: whether it is the front
        """
        b, look, rng = self.building, self.look, self.rng
        if b.key % 4 != 1:  # a downpipe
            self.box(length - 0.22, 0, length - 0.1, b.height - 0.3, shade(look.wall, 0.6))
        if look.stairs and front and b.storeys > 2:
            left, right = length * 0.5, min(length * 0.5 + 3.2, length - 0.3)
            for storey in range(1, b.storeys):
                z = b.ground_height + (storey - 1) * b.storey_height
                self.balcony(left, right, z, "iron")
                if storey + 1 < b.storeys:
                    y0, y1 = self.height - z * PPM, self.height - (z + b.storey_height) * PPM
                    self.draw.line((left * PPM, y0, right * PPM, y1), fill=(40, 40, 44), width=3)
        if look.ivy:
            middle, reach = rng.uniform(0.1, 0.9) * length, rng.uniform(3, max(b.height - 1, 4))
            for _ in range(int(60 * reach)):
                z = reach * (1 - np.sqrt(rng.random()))
                x = middle + rng.normal(0, 0.35 + 0.5 * (1 - z / reach))
                r = rng.uniform(0.06, 0.15)
                y = self.height - z * PPM
                self.draw.ellipse(
                    ((x - r) * PPM, y - r * PPM, (x + r) * PPM, y + r * PPM),
                    fill=shade((58, 92, 44), rng.uniform(0.6, 1.25)),
                )
        if not b.shop and rng.random() < 0.12 or not front and rng.random() < 0.3:
            self.graffiti(length)

    def graffiti(self, length: float) -> None:
        """Sprays graffiti, which change from time to time."""
        rng = random_for(
            self.building.key, "graffiti", generation(self.building.key, "graffiti", self.year, GRAFFITI_CHANGE)
        )
        colour, x = pick(rng, VIVID), rng.uniform(0.1, 0.6) * length
        for _ in range(int(rng.integers(3, 6))):
            points = [((x + rng.uniform(-0.1, 0.6)) * PPM, self.height - rng.uniform(0.5, 1.7) * PPM) for _ in range(4)]
            self.draw.line(points, fill=colour, width=2, joint="curve")
            x += 0.5

    def blank(self, length: float, back: bool) -> None:
        """Draws a party wall or the rear: bare, with a few windows, sometimes a painted advertisement or mural."""
        b, rng = self.building, self.rng
        if back:
            for storey in range(b.storeys):
                z = 0.3 if storey == 0 else b.ground_height + (storey - 1) * b.storey_height
                for x in np.arange(1.5, length - 1.5, 3.0):
                    self.one_window(x - 0.5, z + 0.9, x + 0.5, z + 2.2, rng)
        elif b.height > 8 and rng.random() < 0.3:
            low = rng.uniform(0.45, 0.6) * b.height
            self.box(length * 0.12, low, length * 0.88, b.height - 0.8, pick(rng, VIVID))
            pseudo_text(
                self.draw,
                rng,
                (length * 0.2 * PPM, self.height - (b.height - 1.6) * PPM, length * 0.6 * PPM, 1.6 * PPM),
                (240, 236, 226),
            )
