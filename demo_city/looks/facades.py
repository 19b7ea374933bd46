"""Composes walls: ornaments, windows, the ground floor, and what years have left on them."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from demo_city.looks.canvas import Canvas
from demo_city.looks.colours import jitter, mixed, pick, shade
from demo_city.looks.dress import Dress
from demo_city.looks.layout import DOOR_HEIGHT, Layout
from demo_city.looks.materials import covered, noise
from demo_city.looks.shops import ShopFront, Tenant
from demo_city.looks.signs import sprayed
from demo_city.looks.windows import Windows, mirrored_city, pane
from demo_city.seeds import random_for

_BLACK = (14, 14, 16)
_ORNATE = ("punched", "loft", "hall", "church")
_LEAF = {"spring": (92, 116, 58), "summer": (66, 88, 46), "autumn": (146, 66, 40), "winter": (94, 78, 66)}


class Facade:
    """Draws one wall of a house.

    canvas: covered with its material already
    look: the house's
    plan: of the wall
    rng: decides what is random, and lasts
    tenants: numbers of the tenants of its shops
    sprays: how often its graffiti have changed
    """

    def __init__(
        self,
        canvas: Canvas,
        look: Dress,
        plan: Layout,
        rng: np.random.Generator,
        tenants: tuple[int, ...],
        sprays: int,
    ):
        self.canvas, self.look, self.plan, self.rng, self.house, self.kind = (
            canvas,
            look,
            plan,
            rng,
            plan.house,
            plan.kind,
        )
        self.length, self.top = canvas.length, min(self.house.height, canvas.rise)
        self.tenants, self.sprays = tenants, sprays
        self.windows = Windows(canvas, look, rng)

    def draw(self) -> None:
        """Draws all of it, from what is behind to what is in front."""
        scheme = self.look.scheme if self.kind != "party" else "bare"
        if scheme == "curtain":
            self.curtain()
        else:
            self.body(scheme)
            for window in self.plan.windows:
                self.windows.place(window[:4], window.kind)
        self.ground_floor()
        if self.kind in ("front", "side") and scheme in _ORNATE:
            self.ornaments()
        self.additions()

    def body(self, scheme: str) -> None:
        """Draws painted ground floors, patches, beams, and the frames and recesses of walls that are not merely punched."""
        c, look, plan, length, top = self.canvas, self.look, self.plan, self.length, self.top
        if look.base and not plan.shops:
            c.box((0, 0, length, self.house.ground_height - 0.1), look.base, 0.85)
        if "patches" in look.extras or scheme == "bare":
            self.patches()
        if look.material == "timber" and scheme == "punched":
            self.timber()
        edges = [n * plan.pitch for n in range(plan.bays + 1)]
        if scheme == "ribbon":
            for w in plan.windows:
                c.box((0, w.high, length, w.high + 0.12), _BLACK, 0.25)
                c.box((0, w.low - 0.1, length, w.low), shade(look.wall, 1.1))
        elif scheme == "frame":  # a grid of slabs and posts with dark recesses
            for w in plan.windows:
                c.box((w.left - 0.12, w.low - 0.15, w.right + 0.12, w.high + 0.2), mixed(look.wall, (40, 42, 46), 0.7))
            for x in edges:
                c.box((x + 0.12, 0, x + 0.2, top), _BLACK, 0.3)
        elif scheme == "loft":  # piers between the windows
            for x in edges:
                c.box((x - 0.25, 0, x + 0.25, top), (255, 244, 230), 0.1)
                c.box((x + 0.25, 0, x + 0.36, top), _BLACK, 0.35)
        elif scheme == "loggia":
            for left, right, z in plan.balconies:
                high = z + self.house.storey_height - 0.25
                c.box((left, z, right, high), mixed(look.wall, (56, 56, 58), 0.72))
                c.box((left, high - 0.65, right, high), _BLACK, 0.4)

    def curtain(self) -> None:
        """Draws a wall of glass: panels that mirror the city, each a little askew, spandrels and bars."""
        c, rng, look, house, size = (
            self.canvas,
            random_for(self.house.key, "curtain"),
            self.look,
            self.house,
            self.canvas.image.size,
        )
        glass, bar = jitter(rng, pick(rng, "glass"), 8), pick(rng, "3a4046 6a7076 a8aaaa 2c3034 c8c8c4")
        panels = house.storeys, max(round(self.length / rng.uniform(1.1, 2.2)), 1)
        city = mirrored_city(int(self.rng.integers(12))).resize(size, Image.BILINEAR)
        body = Image.blend(Image.new("RGB", size, mixed(glass, (60, 66, 72), 0.5)), city, rng.uniform(0.35, 0.75))
        tones = self.rng.normal(255 / 1.3, 20, panels) * np.where(self.rng.random(panels) < 0.1, 1.25, 1.0)
        tones = Image.fromarray(tones.clip(60, 255).astype(np.uint8)).resize(size, Image.NEAREST).convert("RGB")
        body = ImageChops.multiply(body.point([min(int(v * 1.3), 255) for v in range(256)] * 3), tones)
        c.image.paste(Image.blend(body, Image.new("RGB", size, glass), 0.25), (0, 0))
        numbers = Image.fromarray(self.rng.integers(1, 200, panels).astype(np.uint8))
        c.index.paste(numbers.resize(size, Image.NEAREST), (0, 0))
        tall, opaque = house.storey_height * rng.uniform(0.07, 0.2), rng.random() < 0.6
        band = shade(mixed(glass, look.wall if opaque else (40, 44, 48), 0.65), 0.9)
        for z in map(house.floor, range(house.storeys)):
            c.box((0, z - tall, self.length, z + tall), band, shine=0)
            c.box((0, z - 0.06, self.length, z + 0.06), bar, shine=0)
        fin, step = 0.12 if rng.random() < 0.35 else 0.05, self.length / panels[1]
        c.bars((0, 0, self.length, c.rise), step, fin, bar)
        c.bars((fin, 0, self.length, c.rise), step, fin, _BLACK, share=0.3)
        c.box((0, self.top - 0.5, self.length, c.rise), shade(bar, 1.1), shine=0)

    def timber(self) -> None:
        """Draws the beams of a timber frame."""
        c, house, pitch = self.canvas, self.house, self.plan.pitch
        beam = pick(random_for(house.key, "timber"), "4a3a2e 5c4636 3a2e28 6a5846 5a3028")
        for storey in range(house.storeys):
            low, high = house.floor(storey), min(house.floor(storey + 1), self.top)
            c.box((0, high - 0.2, self.length, high), beam)
            c.box((0, low + 0.75, self.length, low + 0.9), beam)
            c.bars((0, low, self.length, high), pitch / 2, 0.17, beam)
            for x, turn in ((0.1, 1), (self.length - 0.1, -1)):
                c.line([(x, low), (x + turn * pitch / 2, high)], beam, 0.16)

    def patches(self) -> None:
        """Draws patches where the render has fallen or was mended."""
        c, rng, look = self.canvas, self.rng, self.look
        for _ in range(int(rng.integers(1, 5))):
            corner, size = rng.uniform(0, (self.length, self.top)), c.size(rng.uniform(0.6, 3.0), rng.uniform(0.5, 2.4))
            ragged = Image.fromarray((noise(rng, (4, 5), size[::-1]) > 0.1).astype(np.uint8) * 255)
            patch = Image.new("RGB", size, shade(mixed(look.wall, (150, 146, 138), 0.4), rng.uniform(0.85, 1.12)))
            if look.material in ("plaster", "whitewash", "roughcast") and rng.random() < 0.5 * look.grime:
                patch = covered(rng, "brick", pick(rng, "brick"), size, c.ppm)
            c.put(corner, patch, ragged)

    def ground_floor(self) -> None:
        """Draws plinth, shops, gates and door."""
        c, look, house, plan = self.canvas, self.look, self.house, self.plan
        if look.scheme != "curtain" and not plan.shops:
            high = 0.3 + house.key % 5 * 0.12
            c.box((0, 0, self.length, high), shade(mixed(look.base or look.wall, (112, 108, 102), 0.5), 0.85), 0.9)
            c.box((0, high, self.length, high + 0.07), shade(look.wall, 1.2), 0.5)
            if "rustic" in look.extras and self.kind in ("front", "side"):
                c.bars((0, 0.7, self.length, house.ground_height - 0.3), 0.42, 0.06, _BLACK, level=True, share=0.35)
        for left, right, high in plan.gates:
            self.gate(left, right, high)
        for unit, (shop, number) in enumerate(zip(plan.shops, self.tenants, strict=True)):
            ShopFront(c, house.ground_height, Tenant(house, unit, number), *shop)
        if plan.door:
            self.door(*plan.door)

    def gate(self, left: float, right: float, high: float) -> None:
        """Draws a garage or a roller door; left, right, high: metres."""
        c, rng, area = self.canvas, self.rng, (left, 0, right, high)
        colour = jitter(rng, self.look.door if rng.random() < 0.4 else pick(rng, "white panels"), 8)
        c.box((left - 0.12, 0, right + 0.12, high + 0.12), shade(self.look.trim, 0.95))
        c.box(area, colour)
        panels = rng.random() < 0.5
        c.bars(area, 0.5 if panels else 0.22, 0.06, shade(colour, 0.78), level=True)
        if panels:
            c.bars(area, 0.65, 0.1, shade(colour, 0.86))
        c.box((left, high - 0.2, right, high), _BLACK, 0.5)

    def door(self, left: float, right: float) -> None:
        """Draws the door of the house, in a recess, with a light above it; left, right: metres."""
        c, look, rng, tall, wide = self.canvas, self.look, self.rng, DOOR_HEIGHT, right - left
        light = rng.random() < 0.7 and self.house.ground_height > 2.9
        head = tall + 0.5 * light
        if look.surround in ("frame", "hood", "lintel") or rng.random() < 0.4:
            c.box((left - 0.2, 0, right + 0.2, head + 0.22), look.trim)
            c.box((right + 0.13, 0, right + 0.2, head + 0.22), shade(look.trim, 0.85))
        c.box((left - 0.03, 0, right + 0.03, head), shade(look.wall, 0.4), shine=0)
        c.box((left, 0, right, 0.15), (148, 144, 136))
        leaves, form = np.linspace(left, right, 3 if wide > 1.35 else 2).tolist(), self.house.key % 3
        for a, b in zip(leaves[:-1], leaves[1:], strict=True):
            c.box((a + 0.06, 0.15, b - 0.06, tall - 0.06), look.door)
            for low, high in ((0.3, 0.95), (1.1, 2.05)):
                if form == 0 or form == 1 and low < 1:
                    c.box((a + 0.2, low, b - 0.2, high), shade(look.door, 0.76))
                    c.box((a + 0.26, low + 0.06, b - 0.2, high - 0.06), shade(look.door, 0.9))
                else:
                    c.fill((a + 0.2, low, b - 0.2, high), pane(int(rng.integers(48))), self.windows.number())
            c.box((b - 0.19, 1.0, b - 0.12, 1.12), (196, 184, 140))
        if light:
            c.box((left + 0.06, tall, right - 0.06, head - 0.06), (62, 68, 74), shine=self.windows.number())
        c.box((left, head - 0.25, right, head), _BLACK, 0.5)
        if rng.random() < 0.6:  # bells, and a number
            c.box((right + 0.24, 1.25, right + 0.36, 1.55), pick(rng, "b8b8b4 3a3c40 a89868"))
            c.box((left - 0.42, 1.9, left - 0.2, 2.08), pick(rng, "24407c e8e6e0 2c2c30"))

    def ornaments(self) -> None:
        """Draws quoins, pilasters, bands and the cornice."""
        c, look, house, top, length = self.canvas, self.look, self.house, self.top, self.length
        if "quoins" in look.extras:
            for z, wide in ((0, 0.35), (0.45, 0.55)):
                for left in (0, length - wide):
                    c.bars((left, z, left + wide, top), 0.9, 0.41, look.trim, level=True)
        if "pilasters" in look.extras and self.kind == "front":
            for bay in range(self.plan.bays + 1):
                x = min(max(bay * self.plan.pitch, 0.25), length - 0.25)
                c.box((x - 0.22, house.ground_height, x + 0.2, top - 0.6), look.trim)
                c.box((x + 0.2, house.ground_height, x + 0.28, top - 0.6), _BLACK, 0.35)
                c.box((x - 0.3, top - 0.85, x + 0.28, top - 0.55), shade(look.trim, 1.05))
        for storey in range(1, house.storeys):
            if "bands" in look.extras or storey == 1 and house.key % 2:
                z = house.floor(storey)
                c.box((0, z - 0.14, length, z + 0.08), look.trim)
                c.box((0, z - 0.22, length, z - 0.14), _BLACK, 0.45)
        if "cornice" in look.extras:
            low = top - 0.3 - house.key % 5 * 0.08
            c.box((0, low, length, top), look.trim)
            c.box((0, low - 0.2, length, low), _BLACK, 0.5)
            if house.key % 3 == 0:
                c.bars((0.1, low + 0.05, length, low + 0.2), 0.5, 0.2, shade(look.trim, 0.8))

    def additions(self) -> None:
        """Draws pipes and their shade, cables, posters and graffiti."""
        c, look, extras, free = self.canvas, self.look, self.look.extras, not self.plan.shops
        if "pipe" in extras and self.kind != "party":
            c.box((self.length - 0.34, 0, self.length - 0.1, self.top), _BLACK, 0.35)
            iron = shade(mixed(look.wall, (90, 92, 92), 0.6), 0.8)
            c.box((self.length - 0.3, 0, self.length - 0.17, self.top - 0.2), iron)
        if "cables" in extras:
            self.cables()
        rng, hidden = random_for(self.house.key, "sprays", self.kind, self.sprays), self.kind in ("party", "back")
        if "posters" in extras and free or hidden and rng.random() < 0.2:
            x, tones = rng.uniform(0, self.length * 0.5), [pick(rng, "vivid white ochre") for _ in range(2)]
            for n in range(int(rng.integers(2, 9))):
                tone, left = jitter(rng, tones[int(rng.integers(2))], 12), x + n * 0.6
                c.box((left, 0.9, left + 0.56, 1.72), tone)
                c.box((left + 0.06, 1.4, left + 0.5, 1.6), mixed(tone, (240, 238, 230), 0.6))
                c.box((left + 0.15, 1.02, left + 0.4, 1.32), shade(tone, 0.6))
        if "graffiti" in extras and (free or self.kind != "front") or hidden and rng.random() < 0.2:
            for _ in range(int(rng.integers(1, 4))):
                wide, tall = min(rng.uniform(0.6, 4.0), self.length), rng.uniform(0.4, 1.8)
                corner = rng.uniform(0, self.length - wide + 0.1), rng.uniform(0.1, 0.6) + tall
                c.put(corner, *sprayed(rng, c.size(wide, tall)))

    def cables(self) -> None:
        """Draws cables along the first storey, and the boxes where they end."""
        c, rng, first, t = self.canvas, self.rng, self.house.ground_height, np.linspace(0, 1, 9)
        for _ in range(int(rng.integers(2, 6))):
            z = first + rng.uniform(-0.2, 0.8) + rng.uniform(-0.25, 0.25) * (t - 0.5) - rng.uniform(0, 1) * t * (1 - t)
            points = list(zip((t * self.length).tolist(), z.tolist(), strict=True))
            c.line(points, mixed(self.look.wall, (40, 40, 42), 0.75), 0.03)
        for x in rng.uniform(0.2, max(self.length - 0.6, 0.3), int(rng.integers(1, 4))).tolist():
            z = first - rng.uniform(0.0, 0.6)
            c.box((x, z, x + rng.uniform(0.2, 0.5), z + rng.uniform(0.3, 0.6)), pick(rng, "panels"))
            c.line([(x + 0.1, z), (x + 0.1, z - rng.uniform(0.5, 2.5))], (40, 40, 42), 0.04)


def ivy(canvas: Canvas, rng: np.random.Generator, season: str) -> None:
    """Lets a creeper grow on a wall; rng: decides where; season: of its leaves, or "" if it is evergreen."""
    leaf, share = _LEAF.get(season, (62, 82, 46)), 0.55 if season == "winter" else 0.95
    size, ppm, reach = canvas.image.size, canvas.ppm, rng.uniform(0.3, 1.0) * canvas.height
    mask = Image.new("L", size)
    spread, z = rng.uniform(0.8, 3.5) * ppm, reach * (1 - np.sqrt(rng.random(90)))
    x = rng.uniform(0, size[0]) + rng.normal(0, spread * 0.4, 90) + rng.normal(0, 0.5, 90) * spread * z / reach
    for a, b, r in np.stack([x, size[1] - z, rng.uniform(0.15, 0.5, 90) * ppm], 1).tolist():
        ImageDraw.Draw(mask).ellipse((a - r, b - r, a + r, b + r), fill=255)
    tile = covered(rng, "foliage", leaf, size)
    soft = np.asarray(mask.reduce(3).resize(size, Image.BILINEAR), np.float32)
    there = (np.asarray(tile)[..., 1] < leaf[1] * (0.35 + 1.1 * share) * (soft / 190 + 0.25)) & (soft > 50)
    covers = Image.fromarray(there.astype(np.uint8) * 255)
    canvas.image.paste(tile, (0, 0), covers)
    canvas.index.paste(0, (0, 0), covers)
