"""The walls and roofs of houses as textures."""

from collections.abc import Hashable

import numpy as np
from PIL import Image, ImageChops

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import BLACK, Canvas, Colour, jitter, mixed, pick, shade
from demo_city.looks.plan import DOOR_HEIGHT, Dress, House, Layout, dress, layout
from demo_city.looks.signs import sprayed
from demo_city.looks.surfaces import covered, noise, weathered
from demo_city.looks.windows import ShopFront, Tenant, Windows, mirrored_city, pane, tenants
from demo_city.seeds import choose, random_for
from demo_city.years import GRAFFITI_CHANGE, REPAINT, generation

_PPM, _LIMIT = 16, 512  # texels a metre, and at most a side
_WALLS = ("front", "side", "party", "back")


def wall_texture(house: House, kind: str, piece: int, length: float, height: float) -> Texture:
    """The picture of a wall.

    house: the building
    kind: "front" or "side" (seen, with windows), "party" (blank or nearly so), "back", "roof", "chimney" or "gable"
        (the triangle above the eaves, as a rectangle)
    piece: number of the wall
    length, height: m; the lower edge is on the ground, that of a gable or a roof at the eaves
    """
    ppm = min(_PPM, _LIMIT / length, _LIMIT / height)
    size = max(round(length * ppm), 2), max(round(height * ppm), 2)

    def version(year: int, season: str) -> Hashable:
        painted = generation(house.key, "paint", year, REPAINT)
        if kind not in _WALLS:
            return painted, (), 0
        changing = kind in ("party", "back") or "graffiti" in dress(house, 0).extras
        sprays = generation(house.key, "graffiti", year, GRAFFITI_CHANGE) if changing else 0
        return painted, tenants(house, len(layout(house, kind, length).shops), year), sprays

    def paint(version: tuple) -> np.ndarray:
        look, rng, canvas = dress(house, version[0]), random_for(house.key, "wall", kind, piece), Canvas(size, ppm)
        canvas.image.paste(covered(rng, *_covering(house, look, kind, rng), size, ppm))
        rows = np.linspace(1.04, 0.94, canvas.height)
        if kind in _WALLS:
            Facade(canvas, look, layout(house, kind, length), rng).draw(*version[1:])
            # dirt, splashes at the foot, and the shade of the eaves
            z = (canvas.height - 0.5 - np.arange(canvas.height)) / ppm
            rows = (1 - 0.06 * look.grime * z / canvas.rise) * (1 - (0.1 + 0.25 * look.grime) * np.exp(-z / 0.6))
            rows *= 1 - 0.2 * np.exp(-(house.height - z).clip(0) / 0.35)
        elif kind in ("roof", "gable"):
            (_roof if kind == "roof" else _gable)(canvas, house, look, rng)
        clean = look.scheme == "curtain" and kind != "party"
        canvas.image.paste(weathered(rng, canvas.image, (0.25 if clean else 0.75) * look.grime, rows))
        return canvas.array()

    return Texture(*size, paint, version)


def _covering(house: House, look: Dress, kind: str, rng: np.random.Generator) -> tuple[str, Colour]:
    """Material and colour of a wall: often the front alone is dressed."""
    if kind == "roof":
        return look.roof, look.roof_colour
    hidden = kind in ("party", "back") and look.material not in ("corrugated", "clapboard", "panels")
    if kind == "chimney" and house.key % 3 or hidden and house.key % 3 == 0:
        return "brick", pick(random_for(house.key, "rear"), "brick stock")
    if kind == "gable" and look.material in ("brick", "roughcast", "clapboard") and house.key % 4 == 0:
        return choose(rng, "boards 1 pantiles 1 shingle 1"), mixed(look.wall, pick(rng, "pantiles"), 0.4)
    return look.material, look.wall


def _gable(canvas: Canvas, house: House, look: Dress, rng: np.random.Generator) -> None:
    """Draws the windows of a gable, inside the triangle, and the edge of the roof."""
    length, height, half = canvas.length, canvas.rise, min(0.55, canvas.length * 0.08)
    windows = Windows(canvas, look, rng)
    for x in (0.38, 0.62) if length >= 8 and height >= 3 else (0.5,) if height > 1.8 else ():
        windows.place((length * x - half, 0.5, length * x + half, 0.5 + min(1.4, height * 0.42)))
    canvas.line([(0, 0), (length / 2, height), (length, 0)], shade(look.trim, 0.95), 0.28)


def _roof(canvas: Canvas, house: House, look: Dress, rng: np.random.Generator) -> None:
    """Draws a slope with windows, or a flat roof with the joints of its felt."""
    length, rise = canvas.length, canvas.rise
    if look.roof == "felt":
        canvas.bars((0, 0, length, rise), 1.0, 0.06, (40, 40, 40), share=0.4)
        return
    canvas.box((0, rise - 0.2, length, rise), shade(look.roof_colour, 0.72))
    canvas.box((0, 0, length, 0.13), mixed(look.roof_colour, (96, 98, 98), 0.7))
    z, windows = rise * 0.4, house.roof in ("gable", "hip", "mansard") and rise > 2.5 and house.key % 3 != 1
    for x in np.arange(1.2, length - 1.2, 3.2).tolist() if windows else ():
        if rng.random() < 0.45:
            canvas.box((x - 0.07, z - 0.07, x + 0.85, z + 1.15), (62, 62, 64))
            canvas.box((x, z, x + 0.78, z + 1.08), (104, 118, 132), shine=int(rng.integers(1, 200)))


class Facade:
    """Draws one wall of a house on a canvas that is covered with its material."""

    def __init__(self, canvas: Canvas, look: Dress, plan: Layout, rng: np.random.Generator):
        self.canvas, self.look, self.plan, self.rng = canvas, look, plan, rng
        self.house, self.kind, self.length = plan.house, plan.kind, canvas.length
        self.windows, self.top = Windows(canvas, look, rng), min(self.house.height, canvas.rise)

    def draw(self, tenants: tuple[int, ...], sprays: int) -> None:
        """Draws all of it; tenants: numbers of those of its shops; sprays: how often its graffiti have changed."""
        scheme = self.look.scheme if self.kind != "party" else "bare"
        if scheme == "curtain":
            self.curtain()
        else:
            self.body(scheme)
            for window in self.plan.windows:
                self.windows.place(window[:4], window.kind)
        for left, right, high in self.plan.gates:
            self.gate(left, right, high)
        for unit, (shop, number) in enumerate(zip(self.plan.shops, tenants, strict=True)):
            ShopFront(self.canvas, self.house.ground_height, Tenant(self.house, unit, number), *shop)
        if self.plan.door:
            self.door(*self.plan.door)
        if self.kind in ("front", "side") and scheme in ("punched", "loft", "hall", "church"):
            self.ornaments()
        self.additions(random_for(self.house.key, "sprays", self.kind, sprays))

    def body(self, scheme: str) -> None:
        """Draws the ground floor and plinth, patches, beams, and the frames and recesses between the windows."""
        c, look, plan, length, top, key = self.canvas, self.look, self.plan, self.length, self.top, self.house.key
        if not plan.shops:
            high, base = 0.3 + key % 5 * 0.12, look.base or look.wall
            c.box((0, 0, length, self.house.ground_height - 0.1), base, 0.85 if look.base else 0.0)
            c.box((0, 0, length, high), shade(mixed(base, (112, 108, 102), 0.5), 0.85), 0.9)
            if "rustic" in look.extras:
                c.bars((0, 0.7, length, self.house.ground_height - 0.3), 0.42, 0.06, BLACK, level=True, share=0.35)
        if "patches" in look.extras or scheme == "bare":
            self.patches()
        if look.material == "timber" and scheme == "punched":
            beam = pick(random_for(key, "timber"), "4a3a2e 5c4636 3a2e28 6a5846 5a3028")
            c.bars((0, 0, length, top), plan.pitch / 2, 0.17, beam)
            for z in map(self.house.floor, range(self.house.storeys)):
                c.box((0, z + 0.75, length, z + 0.9), beam)
                c.box((0, z - 0.15, length, z + 0.1), beam)
                c.line([(0.1, z), (plan.pitch / 2, z + 2.8)], beam, 0.16)
                c.line([(length - 0.1, z), (length - plan.pitch / 2, z + 2.8)], beam, 0.16)
        if scheme == "loggia":
            for left, right, z in plan.balconies:
                high = z + self.house.storey_height - 0.25
                c.box((left, z, right, high), mixed(look.wall, (56, 56, 58), 0.72))
                c.box((left, high - 0.65, right, high), BLACK, 0.4)
        if scheme in ("ribbon", "frame", "loft"):
            for w in plan.windows:
                c.box((w.left - 0.12, w.low - 0.15, w.right + 0.12, w.high + 0.2), mixed(look.wall, (40, 42, 46), 0.6))
            c.bars((0, 0, length, top), plan.pitch, 0.1, BLACK, share=0.3)  # the shade of piers

    def curtain(self) -> None:
        """Draws a wall of glass: panels that mirror the city, each a little askew, spandrels and bars."""
        c, rng, own, house = self.canvas, random_for(self.house.key, "curtain"), self.rng, self.house
        size, length = c.image.size, self.length
        glass, bar = jitter(rng, pick(rng, "glass"), 8), pick(rng, "3a4046 6a7076 a8aaaa 2c3034 c8c8c4")
        panels = house.storeys, max(round(length / rng.uniform(1.1, 2.2)), 1)
        city = mirrored_city(int(own.integers(12))).resize(size, Image.BILINEAR)
        body = Image.blend(Image.new("RGB", size, mixed(glass, (60, 66, 72), 0.3)), city, rng.uniform(0.3, 0.6))
        tones = own.normal(225, 20, panels) * np.where(own.random(panels) < 0.1, 1.2, 1.0)
        tones = Image.fromarray(tones.clip(60, 255).astype(np.uint8)).resize(size, Image.NEAREST).convert("RGB")
        c.image.paste(ImageChops.multiply(body, tones), (0, 0))
        numbers = Image.fromarray(own.integers(1, 200, panels).astype(np.uint8))
        c.index.paste(numbers.resize(size, Image.NEAREST), (0, 0))
        tall, step, fin = house.storey_height * rng.uniform(0.07, 0.2), length / panels[1], rng.choice([0.05, 0.12])
        band = mixed(glass, self.look.wall if rng.random() < 0.6 else (40, 44, 48), 0.65)
        for z in map(house.floor, range(house.storeys)):
            c.box((0, z - tall, length, z + tall), band, shine=0)
            c.box((0, z - 0.06, length, z + 0.06), bar, shine=0)
        c.bars((0, 0, length, c.rise), step, fin, bar)
        c.bars((fin, 0, length, c.rise), step, fin, BLACK, share=0.3)
        c.box((0, self.top - 0.5, length, c.rise), shade(bar, 1.1), shine=0)

    def patches(self) -> None:
        """Draws patches where the render has fallen or was repaired."""
        c, rng, look = self.canvas, self.rng, self.look
        for _ in range(int(rng.integers(1, 5))):
            corner, size = rng.uniform(0, (self.length, self.top)), c.size(rng.uniform(0.6, 3.0), rng.uniform(0.5, 2.4))
            ragged = Image.fromarray((noise(rng, (4, 5), size[::-1]) > 0.1).astype(np.uint8) * 255)
            patch = Image.new("RGB", size, shade(mixed(look.wall, (150, 146, 138), 0.4), rng.uniform(0.85, 1.12)))
            if look.material in ("plaster", "whitewash", "roughcast") and rng.random() < 0.5 * look.grime:
                patch = covered(rng, "brick", pick(rng, "brick"), size, c.ppm)
            c.put(corner, patch, ragged)

    def gate(self, left: float, right: float, high: float) -> None:
        """Draws a garage or a roller door; left, right, high: metres."""
        c, rng, area = self.canvas, self.rng, (left, 0, right, high)
        colour, panels = jitter(rng, pick(rng, "white panels doors"), 8), rng.random() < 0.5
        c.box((left - 0.12, 0, right + 0.12, high + 0.12), shade(self.look.trim, 0.95))
        c.box(area, colour)
        c.bars(area, 0.5 if panels else 0.22, 0.06, shade(colour, 0.78), level=True)
        if panels:
            c.bars(area, 0.65, 0.1, shade(colour, 0.86))
        c.box((left, high - 0.2, right, high), BLACK, 0.5)

    def door(self, left: float, right: float) -> None:
        """Draws the door of the house, in a recess, with a light above it; left, right: metres."""
        c, look, rng, tall = self.canvas, self.look, self.rng, DOOR_HEIGHT
        head = tall + (0.5 if rng.random() < 0.7 and self.house.ground_height > 2.9 else 0.0)
        if look.surround in ("frame", "hood", "lintel") or rng.random() < 0.4:
            c.box((left - 0.2, 0, right + 0.2, head + 0.22), look.trim)
            c.box((right + 0.13, 0, right + 0.2, head + 0.22), shade(look.trim, 0.85))
        c.box((left - 0.03, 0, right + 0.03, head), shade(look.wall, 0.4), shine=0)
        c.box((left, 0, right, 0.15), (148, 144, 136))
        leaves, form = np.linspace(left, right, 3 if right - left > 1.35 else 2).tolist(), self.house.key % 3
        for a, b in zip(leaves[:-1], leaves[1:], strict=True):
            c.box((a + 0.06, 0.15, b - 0.06, tall - 0.06), look.door)
            for low, high in ((0.3, 0.95), (1.1, 2.05)):
                if form == 0 or form == 1 and low < 1:
                    c.box((a + 0.2, low, b - 0.2, high), shade(look.door, 0.76))
                    c.box((a + 0.26, low + 0.06, b - 0.2, high - 0.06), shade(look.door, 0.9))
                else:
                    c.fill((a + 0.2, low, b - 0.2, high), pane(int(rng.integers(48))), self.windows.number())
            c.box((b - 0.19, 1.0, b - 0.12, 1.12), (196, 184, 140))
        c.box((left + 0.06, tall, right - 0.06, head - 0.06), (62, 68, 74), shine=self.windows.number())
        c.box((left, head - 0.25, right, head), BLACK, 0.5)

    def ornaments(self) -> None:
        """Draws quoins, bands and the cornice."""
        c, look, house, top, length = self.canvas, self.look, self.house, self.top, self.length
        for z, wide in ((0, 0.35), (0.45, 0.55)) if "quoins" in look.extras else ():
            c.bars((0, z, wide, top), 0.9, 0.41, look.trim, level=True)
            c.bars((length - wide, z, length, top), 0.9, 0.41, look.trim, level=True)
        for z in map(house.floor, range(1, house.storeys if "bands" in look.extras else 1 + house.key % 2)):
            c.box((0, z - 0.14, length, z + 0.08), look.trim)
            c.box((0, z - 0.22, length, z - 0.14), BLACK, 0.45)
        if "cornice" in look.extras:
            low = top - 0.3 - house.key % 5 * 0.08
            c.box((0, low, length, top), look.trim)
            c.box((0, low - 0.2, length, low), BLACK, 0.5)
            c.bars((0.1, low + 0.05, length, low + 0.2), 0.5, 0.2, shade(look.trim, 0.8))

    def additions(self, sprays: np.random.Generator) -> None:
        """Draws pipes and their shade, cables with the boxes where they end, and graffiti; sprays: decides these."""
        c, look, extras, rng, length = self.canvas, self.look, self.look.extras, self.rng, self.length
        if "pipe" in extras and self.kind != "party":
            c.box((length - 0.34, 0, length - 0.1, self.top), BLACK, 0.35)
            c.box((length - 0.3, 0, length - 0.17, self.top - 0.2), shade(mixed(look.wall, (90, 92, 92), 0.6), 0.8))
        t = np.linspace(0, 1, 9)
        for _ in range(int(rng.integers(2, 6)) if "cables" in extras else 0):
            first, end = self.house.ground_height + rng.uniform(-0.2, 0.8), rng.uniform(0.2, max(length, 0.3))
            z = first + rng.uniform(-0.25, 0.25) * (t - 0.5) - rng.uniform(0, 1) * t * (1 - t)
            c.line(np.stack([t * length, z], 1).tolist(), mixed(look.wall, BLACK, 0.7), 0.03)
            c.box((end, first - 0.8, end + rng.uniform(0.2, 0.5), first - 0.4), pick(rng, "panels"))
        hidden = self.kind in ("party", "back") and sprays.random() < 0.3
        sprayed_on = hidden or "graffiti" in extras and not (self.plan.shops and self.kind == "front")
        for _ in range(int(sprays.integers(1, 4)) if sprayed_on else 0):
            wide, tall = min(sprays.uniform(0.6, 4.0), length), sprays.uniform(0.4, 1.8)
            corner = sprays.uniform(0, length - wide + 0.1), sprays.uniform(0.1, 0.6) + tall
            c.put(corner, *sprayed(sprays, c.size(wide, tall)))
