"""Pictures of walls, drawn once per building and year. They make one house unlike its neighbour.

A picture has PPM texels per metre, and row 0 is at the top. Beside the colours there is an index of what can shine at
night: 0 nothing, 1 to LAST_WINDOW a window, up to LAST_SHOP a shop window, above it a sign.
"""

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from demo_city.buildings import BACK, CHIMNEY, FENCE, FRONT, ROOF, SIDE, Building
from demo_city.look import Look
from demo_city.paint import (
    BRICK,
    LAST_WINDOW,
    PPM,
    STONE,
    plain,
    shade,
)
from demo_city.painter import Painter
from demo_city.seeds import random_for
from demo_city.years import GRAFFITI_CHANGE, REPAINT, SHOP_CHANGE, generation


def picture_key(building: Building, kind: int, piece: int, year: int) -> tuple[int, ...] | int:
    """What a wall's picture depends on besides the wall itself. Years with equal keys share one picture.

    building: the building
    kind: of the wall
    piece: of the wall
    year: of the photographs
    """
    painted = generation(building.key, "paint", year, REPAINT)
    if kind not in (FRONT, SIDE):
        return painted
    return (
        painted,
        generation(building.key, "tenant", year, SHOP_CHANGE),
        generation(building.key, "graffiti", year, GRAFFITI_CHANGE),
    )


def wall_picture(
    building: Building, kind: int, piece: int, length: float, height: float, style_name: str, year: int
) -> tuple[Image.Image, Image.Image]:
    """Draws one wall: two images of the same size, its colours (RGB) and the index of what can shine (L).

    building: the building
    kind: of the wall, FRONT to FENCE
    piece: of the wall
    length: visible, metres
    height: visible, metres
    style_name: a key of plan.STYLES
    year: of the photographs
    """
    look = Look(building, style_name, year)
    rng = random_for(building.key, "wall", 1 if kind in (ROOF, CHIMNEY) else piece)
    width, height = min(max(int(length * PPM), 2), 512), min(max(int(height * PPM), 2), 512)
    if kind in (ROOF, CHIMNEY):
        return _roof_picture(building, look, rng, kind, piece, width, height)
    if kind == FENCE:
        return _fence_picture(building, rng, width, height)
    image = plain(rng, look.material, look.wall, width, height)
    index = Image.new("L", (width, height))
    paint = Painter(image, index, height, look, rng, building, year)
    if look.two_tone and kind in (FRONT, SIDE):
        paint.tint(0, building.ground_height, look.two_tone)
    if kind in (FRONT, SIDE):
        paint.facade(length, kind == FRONT)
    else:
        paint.blank(length, kind == BACK)
    # rain and dust darken the foot of a wall, and the eaves shade its top
    z = (height - 0.5 - np.arange(height)) / PPM
    dirt = (1 - 0.22 * np.exp(-z / 0.7)) * (1 - 0.12 * np.exp(-(building.height - z).clip(0) / 0.5))
    dirt = Image.fromarray((dirt * 255).astype(np.uint8)[:, None]).resize((width, height))
    return ImageChops.multiply(image, Image.merge("RGB", (dirt, dirt, dirt))), index


def _roof_picture(
    building: Building, look: Look, rng: np.random.Generator, kind: int, piece: int, width: int, height: int
) -> tuple[Image.Image, Image.Image]:
    index = Image.new("L", (width, height))
    if kind == CHIMNEY:
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


def _fence_picture(
    building: Building, rng: np.random.Generator, width: int, height: int
) -> tuple[Image.Image, Image.Image]:
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
