"""Pictures of walls, drawn once per building and year in world units: what makes one house unlike its neighbour.

A picture has PPM texels a metre, row 0 at the top. Beside the colours lies an index of what can shine at night: 0
nothing, 1 to LAST_WINDOW a window, up to LAST_SHOP a shop window, above it a sign.
"""

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from demo_city import plan
from demo_city.paint import (
    BRICK,
    COLOURS,
    LAST_WINDOW,
    MATERIALS,
    PPM,
    ROOF_TILES,
    STONE,
    TRIM,
    VIVID,
    jitter,
    pick,
    plain,
    shade,
)
from demo_city.painter import Painter
from demo_city.plan import random_for
from demo_city.years import GRAFFITI_CHANGE, REPAINT, SHOP_CHANGE, generation


class Look:
    """The lasting choices of a building's appearance, the same for all its walls."""

    def __init__(self, building, style_name, year):
        rng = random_for(building.key, "look")
        names, weights = zip(*MATERIALS[style_name], strict=True)
        self.material = str(rng.choice(names, p=np.array(weights) / sum(weights)))
        painted = generation(building.key, "paint", year, REPAINT)
        paint = random_for(
            building.key, "colour", painted if self.material in ("plaster", "clapboard", "boards") else 0
        )
        self.wall = jitter(paint, pick(paint, COLOURS[self.material]), 14)
        self.trim = pick(rng, TRIM)
        self.frame = pick(
            rng, [(244, 244, 240), (250, 248, 244), (60, 50, 46), (40, 60, 50), (110, 70, 46), (36, 40, 60)]
        )
        self.roof = jitter(rng, pick(rng, ROOF_TILES), 10)
        self.window = str(rng.choice(["single", "double", "arched", "sash", "wide", "french"]))
        self.bay = rng.uniform(1.9, 3.6)
        self.window_width = rng.uniform(0.42, 0.62)
        self.window_height = rng.uniform(0.5, 0.68)
        self.surround = str(
            rng.choice(["none", "frame", "lintel", "hood", "arch" if self.window == "arched" else "frame"])
        )
        self.shutters = (
            pick(rng, VIVID) if rng.random() < 0.25 and self.window in ("single", "double", "french") else None
        )
        self.bands = rng.random() < 0.45
        self.quoins = rng.random() < 0.22
        self.cornice = rng.uniform(0.25, 0.7)
        self.dentils = rng.random() < 0.4
        self.balcony = str(rng.choice(["none", "none", "iron", "solid", "long"])) if style_name == "city1" else "none"
        self.two_tone = pick(paint, COLOURS[self.material]) if rng.random() < 0.2 else None
        self.stairs = style_name == "city1" and rng.random() < 0.07
        self.ivy = rng.random() < 0.09
        self.door = pick(rng, VIVID)


def picture_key(building, kind, piece, year):
    """What a wall's picture depends on besides the wall: years with equal keys share one picture."""
    painted = generation(building.key, "paint", year, REPAINT)
    if kind not in (plan.FRONT, plan.SIDE):
        return painted
    return (
        painted,
        generation(building.key, "tenant", year, SHOP_CHANGE),
        generation(building.key, "graffiti", year, GRAFFITI_CHANGE),
    )


def wall_picture(building, kind, piece, length, height, style_name, year):
    """Draws one wall. length and height in metres: its visible extent.

    Returns two images of the same size: the colours (RGB) and the shining indices (L).
    """
    look = Look(building, style_name, year)
    rng = random_for(building.key, "wall", 1 if kind in (plan.ROOF, plan.CHIMNEY) else piece)
    width, height = min(max(int(length * PPM), 2), 512), min(max(int(height * PPM), 2), 512)
    if kind in (plan.ROOF, plan.CHIMNEY):
        return _roof_picture(building, look, rng, kind, piece, width, height)
    if kind == plan.FENCE:
        return _fence_picture(building, rng, width, height)
    image = plain(rng, look.material, look.wall, width, height)
    index = Image.new("L", (width, height))
    paint = Painter(image, index, height, look, rng, building, year)
    if look.two_tone and kind in (plan.FRONT, plan.SIDE):
        paint.tint(0, building.ground_height, look.two_tone)
    if kind in (plan.FRONT, plan.SIDE):
        paint.facade(length, kind == plan.FRONT)
    else:
        paint.blank(length, kind == plan.BACK)
    # rain and dust darken the foot of a wall, and the eaves shade its top
    z = (height - 0.5 - np.arange(height)) / PPM
    dirt = (1 - 0.22 * np.exp(-z / 0.7)) * (1 - 0.12 * np.exp(-(building.height - z).clip(0) / 0.5))
    dirt = Image.fromarray((dirt * 255).astype(np.uint8)[:, None]).resize((width, height))
    return ImageChops.multiply(image, Image.merge("RGB", (dirt, dirt, dirt))), index


def _roof_picture(building, look, rng, kind, piece, width, height):
    index = Image.new("L", (width, height))
    if kind == plan.CHIMNEY:
        image = plain(rng, "brick", BRICK[building.key % len(BRICK)], width, height)
        ImageDraw.Draw(image).rectangle((0, 0, width, 2), fill=(60, 54, 50))
        return image, index
    image = plain(rng, "roof", look.roof, width, height)
    dormers = (
        building.roof == "mansard"
        and piece % 10 == 0
        or building.roof == "pitched"
        and piece % 10 == 1
        and building.key % 3 == 0
    )
    if dormers and width > 3.5 * PPM:
        draw, glow = ImageDraw.Draw(image), ImageDraw.Draw(index)
        count = max(int(width / PPM / (look.bay * 1.3)), 1)
        tall = int(min(1.5, building.rise * 0.7) * PPM)
        bottom = height - 10 if building.roof == "mansard" else tall + 3
        for n in range(count):
            x, half = int((n + 0.5) / count * width), 9
            draw.rectangle((x - half - 2, bottom - tall - 2, x + half + 2, bottom), fill=look.trim)
            draw.polygon(
                [(x - half - 5, bottom - tall), (x + half + 5, bottom - tall), (x, bottom - tall - 7)],
                fill=shade(look.roof, 0.7),
            )
            pane = (x - half + 2, bottom - tall + 2, x + half - 2, bottom - 2)
            draw.rectangle(pane, fill=(62, 74, 88))
            draw.line((x, bottom - tall, x, bottom), fill=look.frame)
            glow.rectangle(pane, fill=1 + (piece * 7 + n) % LAST_WINDOW)
    return image, index


def _fence_picture(building, rng, width, height):
    index = Image.new("L", (width, height))
    if building.fence == "wall":
        return plain(rng, "stone", STONE[building.key % len(STONE)], width, height), index
    if building.fence == "hedge":
        colours = np.array([66, 96, 46]) * rng.normal(1, 0.22, (height, width, 1)).clip(0.5, 1.5)
        return Image.fromarray(colours.clip(0, 255).astype(np.uint8)), index
    image = Image.new("RGB", (width, height), (84, 92, 70))  # the garden seen through the gaps
    draw = ImageDraw.Draw(image)
    colour, period, bar = ((236, 234, 228), 5, 3) if building.fence == "picket" else ((60, 62, 66), 4, 1)
    for x in range(0, width, period):
        draw.rectangle((x, 0, x + bar - 1, height), fill=colour)
    for y in (height // 5, height * 4 // 5):
        draw.rectangle((0, y, width, y + 1), fill=colour)
    return image, index
