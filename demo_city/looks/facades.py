"""Composes walls: bare material, ornaments, windows, the ground floor, and what years have left on them."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from demo_city.looks.canvas import Canvas
from demo_city.looks.colours import Colour, colours, jitter, mixed, pick, shade
from demo_city.looks.dress import Dress, House
from demo_city.looks.layout import DOOR_HEIGHT, Layout
from demo_city.looks.letters import writing
from demo_city.looks.materials import covered, noise
from demo_city.looks.palettes import COLOURS, GLASS, OCHRE, VIVID, WHITE
from demo_city.looks.shops import ShopFront, tenant
from demo_city.looks.signs import sprayed
from demo_city.looks.windows import Windows, mirrored_city, pane
from demo_city.seeds import random_for


class Facade:
    """Draws one wall of a house.

    canvas: covered with its material already
    house, look: the building
    kind: "front", "side", "party" or "back"
    plan: of the wall
    rng: decides what is random, and lasts
    tenants: numbers of the tenants of its shops
    sprays: how often its graffiti have changed
    """

    def __init__(
        self,
        canvas: Canvas,
        house: House,
        look: Dress,
        kind: str,
        plan: Layout,
        rng: np.random.Generator,
        tenants: tuple[int, ...],
        sprays: int,
    ):
        self.canvas, self.house, self.look, self.kind = canvas, house, look, kind
        self.length, self.height, self.rng = canvas.length, canvas.rise, rng
        self.tenants, self.sprays, self.plan = tenants, sprays, plan
        self.windows = Windows(canvas, look, rng)
        self.top = min(house.height, canvas.rise)

    def draw(self) -> None:
        """Draws all of it, from what is behind to what is in front."""
        look = self.look
        if look.scheme == "curtain" and self.kind != "party":
            self.curtain()
        else:
            if look.base and self.plan.shops == ():
                self.canvas.tint(0, 0, self.length, self.house.ground_height - 0.1, look.base, 0.85)
            if "patches" in look.extras or self.kind == "party":
                self.repairs()
            if look.material == "timber" and look.scheme == "punched":
                self.timber()
            self.structure()
            if self.kind in ("party", "back"):
                self.blank()
            for w in self.plan.windows:
                self.windows.place(w.left, w.low, w.right, w.high, w.kind)
        self.ground_floor()
        if self.kind in ("front", "side"):
            self.ornaments()
        self.additions()

    # -- bodies

    def structure(self) -> None:
        """Draws the frames, bands and recesses of walls that are not merely punched."""
        c, look, scheme = self.canvas, self.look, self.look.scheme
        if self.kind == "party":
            return
        if scheme == "ribbon":
            for w in self.plan.windows:
                c.tint(0, w.high, self.length, w.high + 0.12, (20, 20, 22), 0.25)
                c.box(0, w.low - 0.1, self.length, w.low, shade(look.wall, 1.1))
        elif scheme == "frame":  # a grid of slabs and posts with dark recesses
            dark = mixed(look.wall, (40, 42, 46), 0.7)
            for w in self.plan.windows:
                c.box(w.left - 0.12, w.low - 0.15, w.right + 0.12, w.high + 0.2, dark)
            for bay in range(self.plan.bays + 1):
                x = bay * self.plan.pitch
                c.tint(x + 0.12, 0, x + 0.2, self.top, (20, 20, 22), 0.3)
        elif scheme == "loft":  # piers between the windows
            for bay in range(self.plan.bays + 1):
                x = bay * self.plan.pitch
                c.tint(x - 0.25, 0, x + 0.25, self.top, (255, 244, 230), 0.1)
                c.tint(x + 0.25, 0, x + 0.36, self.top, (10, 10, 12), 0.35)
        elif scheme == "loggia":
            for left, right, z in self.plan.balconies:
                high = z + self.house.storey_height - 0.25
                c.box(left, z, right, high, mixed(look.wall, (56, 56, 58), 0.72))
                c.tint(left, high - 0.65, right, high, (14, 14, 16), 0.4)

    def curtain(self) -> None:
        """Draws a wall of glass: panels that mirror the city, each a little askew, spandrels and bars."""
        c, rng, look = self.canvas, random_for(self.house.key, "curtain"), self.look
        glass, bar = jitter(rng, pick(rng, GLASS), 8), pick(rng, colours("3a4046 6a7076 a8aaaa 2c3034 c8c8c4"))
        columns = max(round(self.length / rng.uniform(1.1, 2.2)), 1)
        spandrel, opaque = rng.uniform(0.15, 0.4), rng.random() < 0.6
        size = c.image.size
        city = mirrored_city(int(self.rng.integers(12))).resize(size, Image.BILINEAR)
        body = Image.blend(Image.new("RGB", size, mixed(glass, (60, 66, 72), 0.5)), city, rng.uniform(0.35, 0.75))
        storeys, storey_height = self.house.storeys, self.house.storey_height
        panels = storeys, columns
        tones = self.rng.normal(255 / 1.3, 20, panels) * np.where(self.rng.random(panels) < 0.1, 1.25, 1.0)
        tones = Image.fromarray(tones.clip(60, 255).astype(np.uint8)).resize(size, Image.NEAREST)
        numbers = Image.fromarray(self.rng.integers(1, 200, panels).astype(np.uint8))
        body = ImageChops.multiply(body.point([min(int(v * 1.3), 255) for v in range(256)] * 3), tones.convert("RGB"))
        c.image.paste(Image.blend(body, Image.new("RGB", size, glass), 0.25), (0, 0))
        c.index.paste(numbers.resize(size, Image.NEAREST), (0, 0))
        band = shade(mixed(glass, look.wall if opaque else (40, 44, 48), 0.65), 0.9)
        for z in map(self.house.floor, range(storeys)):
            c.box(0, z - storey_height * spandrel / 2, self.length, z + storey_height * spandrel / 2, band, 0)
            if rng.random() < 0.25:
                c.box(0, z + storey_height * 0.5, self.length, z + storey_height * 0.52, bar, 0)
            c.box(0, z - 0.06, self.length, z + 0.06, bar, 0)
        fins = rng.random() < 0.35
        for n in range(columns + 1):
            x = self.length * n / columns
            c.box(x - (0.1 if fins else 0.04), 0, x + 0.05, self.height, bar, 0)
            if fins:
                c.tint(x + 0.05, 0, x + 0.2, self.height, (12, 14, 18), 0.35)
        c.box(0, self.top - 0.5, self.length, self.height, shade(bar, 1.1), 0)

    def blank(self) -> None:
        """Draws what bare walls bear: chimney breasts, the line of a house that was, advertisements, murals."""
        c, rng, look = self.canvas, self.rng, self.look
        if self.kind != "party" or self.length < 4:
            return
        form = rng.random()
        if form < 0.25 and self.top > 7:  # the outline of a lower house that stood here
            top = self.top * rng.uniform(0.4, 0.7)
            tone = mixed(look.wall, pick(rng, COLOURS["plaster"]), 0.6)
            c.tint(0, 0, self.length * rng.uniform(0.5, 1.0), top, tone, 0.6)
            c.tint(0, top, self.length, top + 0.15, (60, 52, 46), 0.4)
        elif form < 0.5 and self.top > 6 and "mural" in look.extras or form < 0.32:
            painted = random_for(self.house.key, "mural", self.sprays // 2)
            left, right = self.length * painted.uniform(0.05, 0.25), self.length * painted.uniform(0.7, 0.97)
            low, high = self.top * painted.uniform(0.3, 0.5), self.top * painted.uniform(0.75, 0.95)
            ground, share = pick(painted, VIVID + OCHRE), painted.uniform(0.35, 0.85)  # faded more or less
            c.tint(left, low, right, high, ground, share)
            size = int((right - left) * 0.8 * c.ppm), int((high - low) * painted.uniform(0.25, 0.5) * c.ppm)
            ink = mixed(look.wall, (240, 236, 226) if sum(ground) < 390 else (40, 38, 44), share)
            if min(size) > 5:
                c.write(left + 0.1 * (right - left), low + 0.3 * (high - low), writing(painted, look.script, size), ink)
        for _ in range(int(rng.integers(0, 3))):
            x = rng.uniform(0.5, self.length - 0.5)
            c.tint(x, 0, x + rng.uniform(0.4, 1.2), self.top, shade(look.wall, rng.uniform(0.7, 1.2)), 0.3)

    def timber(self) -> None:
        """Draws the beams of a timber frame."""
        c, rng = self.canvas, random_for(self.house.key, "timber")
        beam = jitter(rng, pick(rng, colours("4a3a2e 5c4636 3a2e28 6a5846 5a3028")), 5)
        pitch = self.plan.pitch
        for storey in range(1, self.house.storeys + 1):
            low = self.house.floor(storey - 1) if storey > 1 else 0.4
            high = min(self.house.floor(storey), self.top)
            c.box(0, high - 0.2, self.length, high, beam)
            c.box(0, low + 0.75, self.length, low + 0.9, beam)
            for n in range(2 * self.plan.bays + 1):
                c.box(n * pitch / 2 - 0.09, low, n * pitch / 2 + 0.09, high, beam)
            for n in (0, self.plan.bays - 1):
                c.line([(n * pitch + 0.1, low), ((n + 0.5) * pitch - 0.1, high)], beam, 0.16)
                c.line([((n + 1) * pitch - 0.1, low), ((n + 0.5) * pitch + 0.1, high)], beam, 0.16)

    # -- ground floor

    def ground_floor(self) -> None:
        """Draws plinth, shops, gates and door."""
        c, look, house, rng = self.canvas, self.look, self.house, self.rng
        plinth = shade(mixed(look.base or look.wall, (112, 108, 102), 0.5), 0.85)
        if look.scheme != "curtain" and self.plan.shops == ():
            high = 0.3 + house.key % 5 * 0.12
            c.tint(0, 0, self.length, high, plinth, 0.9)
            c.tint(0, high, self.length, high + 0.07, shade(look.wall, 1.2), 0.5)
            if house.key % 4 == 1 and self.kind != "party":
                for bay in range(self.plan.bays):  # cellar windows
                    x = (bay + 0.5) * self.plan.pitch
                    c.box(x - 0.3, 0.08, x + 0.3, high - 0.05, (36, 36, 38))
        if "rustic" in look.extras and self.kind in ("front", "side") and not self.plan.shops:
            for z in np.arange(0.7, house.ground_height - 0.3, 0.42):
                c.tint(0, z, self.length, z + 0.06, (24, 22, 20), 0.35)
        for left, right, high in self.plan.gates:
            self.gate(left, right, high)
        for unit, (left, right) in enumerate(self.plan.shops):
            number = self.tenants[unit] if unit < len(self.tenants) else 0
            ShopFront(c, house, look, tenant(house, look, unit, number), left, right).draw()
        if self.plan.door:
            self.door(*self.plan.door, rng)

    def gate(self, left: float, right: float, high: float) -> None:
        """Draws a garage or a roller door; left, right, high: metres."""
        c, rng = self.canvas, self.rng
        colour = jitter(rng, self.look.door if rng.random() < 0.4 else pick(rng, WHITE + COLOURS["panels"]), 8)
        c.box(left - 0.12, 0, right + 0.12, high + 0.12, shade(self.look.trim, 0.95))
        c.box(left, 0, right, high, colour)
        panels = rng.random() < 0.5
        for z in np.arange(0.0, high - 0.1, 0.5 if panels else 0.22):
            c.box(left, z, right, z + 0.06, shade(colour, 0.78))
            if panels:
                for x in np.arange(left + 0.15, right - 0.4, 0.65):
                    c.box(x, z + 0.14, x + 0.45, z + 0.42, shade(colour, 0.92))
        c.tint(left, high - 0.2, right, high, (10, 10, 12), 0.5)
        if rng.random() < 0.3:
            for x in np.arange(left + 0.2, right - 0.5, 0.7):
                self.windows.place(x, high * 0.72, x + 0.5, high * 0.86, "single")

    def door(self, left: float, right: float, rng: np.random.Generator) -> None:
        """Draws the door of the house, in a recess, with a light above it; left, right: metres."""
        c, look = self.canvas, self.look
        wide, tall, colour = right - left, DOOR_HEIGHT, look.door
        step = 0.15
        light = rng.random() < 0.7 and self.house.ground_height > 2.9
        head = tall + (0.5 if light else 0.0)
        if look.surround in ("frame", "hood", "arch", "lintel") or rng.random() < 0.4:
            c.box(left - 0.2, 0, right + 0.2, head + 0.22, look.trim)
            c.box(right + 0.13, 0, right + 0.2, head + 0.22, shade(look.trim, 0.85))
        if rng.random() < 0.25:
            c.box(left - 0.35, head + 0.25, right + 0.35, head + 0.4, look.trim)
            c.tint(left - 0.3, head, right + 0.3, head + 0.25, (14, 14, 16), 0.4)
        c.box(left - 0.03, 0, right + 0.03, head, shade(look.wall, 0.4), 0)
        c.box(left, 0, right, step, (148, 144, 136))
        leaves = 2 if wide > 1.35 else 1
        for n in range(leaves):
            a, b = left + 0.06 + wide * n / leaves, left - 0.06 + wide * (n + 1) / leaves
            c.box(a, step, b, tall - 0.06, shade(colour, 1.0 - 0.06 * n))
            form = self.house.key % 4
            for z0, z1 in ((0.3, 0.95), (1.1, 2.05)):
                if form == 0 or form == 2 and z0 < 1:
                    c.box(a + 0.14, z0, b - 0.14, z1, shade(colour, 0.76))
                    c.box(a + 0.2, z0 + 0.06, b - 0.14, z1 - 0.06, shade(colour, 0.9))
                elif form in (1, 2) and z0 > 1 or form == 3:
                    x0, y0, x1, y1 = c.texels(a + 0.15, z0, b - 0.15, z1)
                    if x1 > x0 and y1 > y0:
                        c.image.paste(pane(int(rng.integers(48))).resize((x1 - x0, y1 - y0), Image.BILINEAR), (x0, y0))
                        c.glow.rectangle((x0, y0, x1 - 1, y1 - 1), fill=self.windows.number())
            c.box(b - 0.14, 1.0, b - 0.07, 1.12, (196, 184, 140))
        if light:
            c.box(left + 0.06, tall, right - 0.06, head - 0.06, (62, 68, 74), self.windows.number())
        c.tint(left, head - 0.25, right, head, (8, 8, 10), 0.5)
        if rng.random() < 0.6:  # bells and a number
            c.box(right + 0.24, 1.25, right + 0.36, 1.55, pick(rng, colours("b8b8b4 3a3c40 a89868")))
        if rng.random() < 0.5:
            c.box(left - 0.42, 1.9, left - 0.2, 2.08, pick(rng, colours("24407c e8e6e0 2c2c30")))

    # -- ornaments and additions

    def ornaments(self) -> None:
        """Draws quoins, pilasters, bands and the cornice."""
        c, look, top, length = self.canvas, self.look, self.top, self.length
        if look.scheme not in ("punched", "loft", "hall", "church"):
            return
        if "quoins" in look.extras:
            for n in range(int(top / 0.45)):
                long = 0.55 if n % 2 else 0.35
                for left, right in ((0, long), (length - long, length)):
                    c.box(left, n * 0.45, right, n * 0.45 + 0.41, look.trim)
        if "pilasters" in look.extras and self.kind == "front":
            for bay in range(self.plan.bays + 1):
                x = min(max(bay * self.plan.pitch, 0.25), length - 0.25)
                c.box(x - 0.22, self.house.ground_height, x + 0.2, top - 0.6, look.trim)
                c.tint(x + 0.2, self.house.ground_height, x + 0.28, top - 0.6, (16, 16, 18), 0.35)
                c.box(x - 0.3, top - 0.85, x + 0.28, top - 0.55, shade(look.trim, 1.05))
        for storey in range(1, self.house.storeys):
            if "bands" in look.extras or storey == 1 and self.house.key % 2:
                z = self.house.floor(storey)
                c.box(0, z - 0.14, length, z + 0.08, look.trim)
                c.tint(0, z - 0.22, length, z - 0.14, (18, 16, 14), 0.45)
        if "cornice" in look.extras:
            deep = 0.3 + self.house.key % 5 * 0.08
            c.box(0, top - deep, length, top, look.trim)
            c.box(0, top - deep * 0.35, length, top, shade(look.trim, 1.06))
            c.tint(0, top - deep - 0.2, length, top - deep, (14, 14, 14), 0.5)
            if self.house.key % 3 == 0:
                for x in np.arange(0.1, length, 0.5):
                    c.box(x, top - deep * 0.85, x + 0.2, top - deep * 0.4, shade(look.trim, 0.8))

    def repairs(self) -> None:
        """Draws patches where the render has fallen or was mended."""
        c, rng, look = self.canvas, self.rng, self.look
        for _ in range(int(rng.integers(1, 5))):
            wide, tall = rng.uniform(0.6, 3.0), rng.uniform(0.5, 2.4)
            x, z = rng.uniform(0, self.length), rng.uniform(0, self.top * 0.8)
            size = max(int(wide * c.ppm), 2), max(int(tall * c.ppm), 2)
            ragged = (noise(rng, (4, 5), (size[1], size[0])) > 0.1).astype(np.uint8) * 255
            if look.material in ("plaster", "whitewash", "roughcast") and rng.random() < 0.5 * look.grime:
                patch = covered(rng, "brick", pick(rng, COLOURS["brick"]), size, c.ppm)
            else:
                patch = Image.new("RGB", size, shade(mixed(look.wall, (150, 146, 138), 0.4), rng.uniform(0.85, 1.12)))
                ragged = ragged // 2 + 60 if rng.random() < 0.4 else ragged
            c.picture(x, z + tall, patch, Image.fromarray(ragged))

    def additions(self) -> None:
        """Draws cables, the shade of pipes, posters, ivy and graffiti."""
        c, look, extras = self.canvas, self.look, self.look.extras
        if "pipe" in extras and self.kind != "party":
            c.tint(self.length - 0.34, 0, self.length - 0.1, self.top, (16, 16, 16), 0.35)
            iron = shade(mixed(look.wall, (90, 92, 92), 0.6), 0.8)
            c.box(self.length - 0.3, 0, self.length - 0.17, self.top - 0.2, iron)
        if "cables" in extras:
            self.cables()
        lasting = random_for(self.house.key, "sprays", self.kind, self.sprays)
        free, hidden = not self.plan.shops, self.kind in ("party", "back")
        if "posters" in extras and free or hidden and lasting.random() < 0.2:
            self.posters(lasting)
        if "graffiti" in extras and (free or self.kind != "front") or hidden and lasting.random() < 0.2:
            for _ in range(int(lasting.integers(1, 4))):
                wide, tall = min(lasting.uniform(0.6, 4.0), self.length), lasting.uniform(0.4, 1.8)
                size = max(int(wide * c.ppm), 6), max(int(tall * c.ppm), 5)
                x, high = lasting.uniform(0, self.length - wide + 0.1), lasting.uniform(0.1, 0.6) + tall
                c.picture(x, high, *sprayed(lasting, size))

    def cables(self) -> None:
        """Draws cables along the first storey, and boxes and meters where they end."""
        c, rng, house = self.canvas, self.rng, self.house
        for _ in range(int(rng.integers(2, 6))):
            z = house.ground_height + rng.uniform(-0.2, 0.8) + (rng.random() < 0.2) * house.storey_height
            sag, slope, t = rng.uniform(0.0, 0.25), rng.uniform(-0.25, 0.25), np.linspace(0, 1, 9)
            points = np.stack([t * self.length, z + slope * (t - 0.5) - sag * 4 * t * (1 - t)], 1)
            c.line([tuple(point) for point in points.tolist()], mixed(self.look.wall, (40, 40, 42), 0.75), 0.03)
        for _ in range(int(rng.integers(1, 4))):
            x, z = rng.uniform(0.2, max(self.length - 0.6, 0.3)), house.ground_height - rng.uniform(0.0, 0.6)
            wide, tall, tone = rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.6), pick(rng, COLOURS["panels"])
            c.box(x, z, x + wide, z + tall, tone)
            c.line([(x + 0.1, z), (x + 0.1, z - rng.uniform(0.5, 2.5))], (40, 40, 42), 0.04)

    def posters(self, rng: np.random.Generator) -> None:
        """Pastes a row of posters; rng: decides them."""
        c, x = self.canvas, rng.uniform(0, self.length * 0.5)
        tones = [pick(rng, VIVID + WHITE + OCHRE) for _ in range(2)]
        for _ in range(int(rng.integers(2, 9))):
            tone, z = jitter(rng, tones[int(rng.integers(2))], 12), rng.uniform(0.8, 1.1)
            c.box(x, z, x + 0.56, z + 0.82, tone)
            c.box(x + 0.06, z + 0.5, x + 0.5, z + 0.7, mixed(tone, (240, 238, 230), 0.6))
            c.box(x + 0.15, z + 0.12, x + 0.4, z + 0.42, shade(tone, 0.6))
            x += 0.6 if rng.random() < 0.85 else 1.4


def ivy_on(canvas: Canvas, rng: np.random.Generator, reach: float, leaf: Colour, share: float) -> None:
    """Lets a creeper grow on a wall.

    canvas: of the wall
    rng: decides where it grows
    reach: how high, metres
    leaf: its colour
    share: of its leaves that are there
    """
    width, height = canvas.image.size
    mask = Image.new("L", (width, height))
    draw, ppm = ImageDraw.Draw(mask), canvas.ppm
    middle, spread = rng.uniform(0, width), rng.uniform(0.8, 3.5) * ppm
    x, z = middle + rng.normal(0, spread * 0.4, 90), reach * ppm * (1 - np.sqrt(rng.random(90)))
    x, size = x + rng.normal(0, 0.5, 90) * spread * z / (reach * ppm), rng.uniform(0.15, 0.5, 90) * ppm
    for a, b, r in zip(x.tolist(), (height - z).tolist(), size.tolist(), strict=True):
        draw.ellipse((a - r, b - r, a + r, b + r), fill=255)
    tile = covered(rng, "foliage", leaf, (width, height), 16)
    mask = mask.resize((max(width // 3, 1), max(height // 3, 1)), Image.BOX).resize(mask.size, Image.BILINEAR)
    threshold = np.asarray(tile)[..., 1] < leaf[1] * (0.35 + 1.1 * share) * (np.asarray(mask, np.float32) / 190 + 0.25)
    covers = Image.fromarray((threshold & (np.asarray(mask) > 50)).astype(np.uint8) * 255)
    canvas.image.paste(tile, (0, 0), covers)
    canvas.index.paste(0, (0, 0), covers)
