"""Shop fronts: a sign with letters, display windows, a door, an awning. The tenants change, the house stays."""

from typing import TYPE_CHECKING

import numpy as np

from demo_city.paint import PPM, VIVID, pseudo_text
from demo_city.seeds import random_for

if TYPE_CHECKING:  # it imports this module
    from demo_city.painter import Painter

_GOODS = [
    (200, 60, 50),
    (230, 180, 60),
    (80, 130, 70),
    (60, 100, 160),
    (220, 210, 190),
    (150, 90, 60),
    (190, 120, 160),
    (240, 236, 230),
]


class Shop:
    """The ground floor of one tenant.

    painter: of the wall
    tenant: number of the tenant
    length: of the wall, metres
    front: whether the wall is the side with the door
    """

    def __init__(self, painter: "Painter", tenant: int, length: float, front: bool):
        self.painter, self.length, self.front = painter, length, front
        self.rng = random_for(painter.building.key, "shop", tenant, front)
        look = random_for(painter.building.key, "shop look", tenant)
        self.colour = VIVID[int(look.integers(len(VIVID)))]
        self.sign = VIVID[int(look.integers(len(VIVID)))] if look.random() < 0.6 else self.colour
        bright = sum(self.sign) > 380
        self.letters = (
            (34, 30, 34) if bright else [(248, 244, 232), (250, 214, 90), (236, 240, 248)][int(look.integers(3))]
        )
        self.awning = look.random() < 0.35
        self.stripes = look.random() < 0.6
        self.panes = int(look.integers(2, 5))
        self.closed = look.random() < 0.06
        self.name = random_for(painter.building.key, "letters", tenant)
        self.full = look.random() < 0.4

    def draw(self) -> None:
        """Draws the shop."""
        p, rng, top = self.painter, self.rng, self.painter.building.ground_height
        low, tall = 0.5, min(top - 0.95, 2.9)
        frame = tuple(int(c * 0.8) for c in self.colour)
        p.box(0.12, 0, self.length - 0.12, top - 0.1, self.colour)
        door = rng.uniform(0.15, 0.85) * self.length if self.front else -9
        if p.building.storeys > 1 and self.front and self.length > 7:  # the way up to the flats
            p.box(0.12, 0, 1.75, top - 0.1, p.look.wall)
            p.door(0.95, 0.95, 2.2)
            left = 1.9
        else:
            left = 0.3
        wide = (self.length - 0.3 - left) / self.panes
        for n in range(self.panes):
            x0, x1 = left + n * wide + 0.07, left + (n + 1) * wide - 0.07
            is_door = x0 - 0.1 <= door <= x1 + 0.1
            base = 0.08 if is_door or self.full else low
            p.box(x0, base, x1, tall, (46, 54, 62))
            p.box(x0, base + (tall - base) * 0.6, x1, tall, (70, 82, 94))
            p.shine(x0, base, x1, tall, 200 + int(rng.integers(30)))
            if self.closed:
                for row in np.arange(base, tall, 0.2):
                    p.box(x0, row, x1, row + 0.13, (150, 152, 156))
                p.shine(x0, base, x1, tall, 0)
            elif is_door:
                p.box(x0 + 0.08, 0.9, x0 + 0.2, 1.3, (210, 200, 160))
                p.bar(x1 - 0.1, base, x1, tall)
            else:
                for _ in range(int((x1 - x0) * 5)):
                    x = rng.uniform(x0, max(x1 - 0.35, x0 + 0.01))
                    z = base + (0.05 if rng.random() < 0.7 else 0.9)
                    goods = _GOODS[int(rng.integers(len(_GOODS)))]
                    p.box(
                        x,
                        z,
                        min(x + rng.uniform(0.15, 0.35), x1),
                        z + rng.uniform(0.2, 0.75),
                        tuple(int(c * 0.75) for c in goods),
                    )
            p.box(x0 - 0.07, 0, x0, tall, frame)
        bottom = max(tall + 0.12, top - 0.95)
        p.box(0.05, bottom, self.length - 0.05, top - 0.12, self.sign)
        p.box(0.05, bottom - 0.08, self.length - 0.05, bottom, tuple(int(c * 0.5) for c in self.sign))
        value = 230 + int(rng.integers(25))
        inner = self.length * rng.uniform(0.35, 0.75)
        start = (self.length - inner) * rng.choice([0.15, 0.5, 0.85])
        height = top - 0.12 - bottom
        area = (start * PPM, p.height - (top - 0.12 - height * 0.18) * PPM, inner * PPM, height * 0.62 * PPM)
        before = self.name.bit_generator.state
        pseudo_text(p.draw, self.name, area, self.letters)
        self.name.bit_generator.state = before
        pseudo_text(p.glow, self.name, area, value)  # the same strokes, so that the letters shine
        if self.awning:
            for n in range(int(self.length / 0.4)):
                colour = (236, 230, 218) if self.stripes and n % 2 else self.sign
                p.box(n * 0.4, bottom - 0.62, min((n + 1) * 0.4, self.length), bottom - 0.05, colour)
            p.box(0, bottom - 0.7, self.length, bottom - 0.62, tuple(int(c * 0.6) for c in self.sign))
            p.shine(0, bottom - 0.7, self.length, bottom - 0.05, 0)
