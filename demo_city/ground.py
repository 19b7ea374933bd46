"""Rasters of a district seen from above (ground colours, shadows, lamp light), and the sky around it."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from demo_city.plan import District, Street
from demo_city.seeds import random_for
from demo_city.years import Capture

CELL = 0.16  # metres of a ground texel
COARSE = 0.5  # metres of a cell of the shadow and light rasters
LEVELS = 6
SKY_WIDTH, SKY_HEIGHT, SKY_TOP = 768, 144, 2.0  # SKY_TOP: tangent of the elevation of the sky's upper row
_PAVING = [(92, 92, 96), (104, 100, 98), (120, 112, 104), (84, 86, 92)]
_FLAGS = [(168, 162, 152), (158, 156, 156), (182, 168, 150), (150, 142, 136)]
GRASS = {"spring": (110, 138, 72), "summer": (104, 124, 66), "autumn": (134, 120, 70), "winter": (124, 122, 98)}


def pack(colours: np.ndarray) -> np.ndarray:
    """Packs colours: uint8 (..., 3) -> uint32 (...). One gather then fetches a whole colour."""
    packed = np.zeros((*colours.shape[:-1], 4), np.uint8)
    packed[..., :3] = colours
    return packed.view(np.uint32)[..., 0]


def ground_levels(district: District) -> list[np.ndarray]:
    """Draws the ground as a pyramid of packed colours: a list of (h, w), with cells of CELL * 2**level metres.

    Row 0 is the southern edge. The top byte is the share of plants, which the season colours: their grey of 128 is to
    be multiplied by GRASS / 128.
    """
    size = tuple(int(np.ceil(v / CELL / 64) * 64) for v in district.high - district.low)
    image = Image.new("RGBA", size, (128, 128, 128, 0 if district.style.setback[1] else 105))
    draw = ImageDraw.Draw(image)

    def points(corners: Sequence[np.ndarray]) -> list[tuple[float, float]]:
        return [tuple(p) for p in ((np.asarray(corners) - district.low) / CELL).tolist()]

    for street in district.streets:  # pavements first, so that carriageways cut through them at crossings
        draw.polygon(
            points(
                _strip(street, -street.roadway - street.pavement, street.roadway + street.pavement, 0, street.length)
            ),
            fill=_FLAGS[(street.line + district.key) % 4],
        )
    for street in district.streets:
        draw.polygon(
            points(
                _strip(
                    street,
                    -street.roadway - 0.18,
                    street.roadway + 0.18,
                    -street.roadway,
                    street.length + street.roadway,
                )
            ),
            fill=(196, 192, 186),
        )
    for street in district.streets:
        draw.polygon(
            points(_strip(street, -street.roadway, street.roadway, -street.roadway, street.length + street.roadway)),
            fill=_PAVING[street.paving],
        )
    for index, street in enumerate(district.streets):
        _markings(draw, points, street, random_for(district.key, "markings", index))
    for building in district.buildings:
        if building.detached:
            front = building.quad[1] - building.quad[0]
            normal = np.array([front[1], -front[0]]) / np.hypot(*front)
            door = building.quad[0] + front * (0.5 if building.fence == "" else 0.6)
            unit = front / np.hypot(*front) * 0.6
            draw.polygon(
                points([door - unit, door + unit, door + unit + normal * 5, door - unit + normal * 5]),
                fill=(160, 154, 146),
            )
    plants = image.getchannel("A").point([255 - v for v in range(256)])  # whatever was drawn is opaque
    image = ImageChops.multiply(image.convert("RGB"), _grain(size))
    levels = []
    for _ in range(LEVELS):
        levels.append(pack(np.asarray(image)) | np.asarray(plants).astype(np.uint32) << np.uint32(24))
        image, plants = image.reduce(2), plants.reduce(2)
    return levels


def _strip(street: Street, left: float, right: float, start: float, end: float) -> list[np.ndarray]:
    """The corners of a rectangle between two lateral offsets and two positions along a street, metres."""
    along, across = street.along, street.across
    return [street.a + along * s + across * d for s, d in ((start, left), (start, right), (end, right), (end, left))]


def _markings(draw: ImageDraw.ImageDraw, points: Callable, street: Street, rng: np.random.Generator) -> None:
    paint, reach = (222, 220, 212), street.roadway + 5.2
    if street.roadway > 3.3:
        for s in np.arange(reach + 2, street.length - reach - 2, 5.0):
            draw.polygon(points(_strip(street, -0.09, 0.09, s, s + 2.4)), fill=paint)
    for near, chance in ((street.roadway + 1.6, rng.random()), (street.length - street.roadway - 4.4, rng.random())):
        if chance < 0.6:
            for d in np.arange(-street.roadway + 0.4, street.roadway - 0.5, 1.0):
                draw.polygon(points(_strip(street, d, d + 0.5, near, near + 2.8)), fill=paint)
    for _ in range(rng.integers(2, 6)):  # repairs of the asphalt
        s, d = rng.uniform(6, max(street.length - 9, 7)), rng.uniform(-street.roadway, street.roadway - 1.5)
        tone = int(rng.integers(64, 92))
        patch = _strip(street, d, d + rng.uniform(0.8, 1.5), s, s + rng.uniform(1, 6))
        draw.polygon(points(patch), fill=(tone, tone, tone + 3))
    for s in np.arange(10, street.length - 8, 17.0):
        draw.polygon(points(_strip(street, 0.9, 1.5, s, s + 0.6)), fill=(58, 56, 56))
    if street.paving == 2:  # setts
        for s in np.arange(0, street.length, 0.64):
            draw.line(
                points(
                    [
                        street.a + street.along * s - street.across * street.roadway,
                        street.a + street.along * s + street.across * street.roadway,
                    ]
                ),
                fill=(104, 97, 92),
            )
    for s in np.arange(0, street.length, 1.28):  # joints of the flagstones
        for side in (-1, 1):
            near, far = street.roadway + 0.2, street.roadway + street.pavement
            draw.line(
                points(
                    [
                        street.a + street.along * s + street.across * near * side,
                        street.a + street.along * s + street.across * far * side,
                    ]
                ),
                fill=(138, 132, 124),
            )


def _grain(size: tuple[int, int]) -> Image.Image:
    """Grains and stains of the ground, to multiply with: an RGB image of this size."""
    rng = random_for("grain")
    noise = rng.normal(236, 11, (512, 512))
    stains = Image.fromarray(rng.normal(0, 9, (40, 40)).astype(np.float32)).resize((512, 512), Image.BICUBIC)
    tile = np.repeat((noise + np.asarray(stains)).clip(0, 255)[..., None], 3, 2)
    tile = Image.fromarray(tile.astype(np.uint8))
    grain = Image.new("RGB", size)
    for x in range(0, size[0], 512):
        for y in range(0, size[1], 512):
            grain.paste(tile, (x, y))
    return grain


def height_raster(district: District) -> np.ndarray:
    """The heights of buildings on cells of COARSE metres: float32 (h, w), row 0 at the southern edge."""
    size = tuple(np.ceil((district.high - district.low) / COARSE).astype(int).tolist())
    image = Image.new("F", size, 0.0)
    draw = ImageDraw.Draw(image)
    for building in district.buildings:
        draw.polygon(
            [tuple(p) for p in ((building.quad - district.low) / COARSE).tolist()],
            fill=building.height + building.rise * 0.6,
        )
    return np.array(image)


def shadow_raster(heights: np.ndarray, sun: np.ndarray) -> np.ndarray:
    """The height below which each cell lies in the shadow of what stands towards the sun: float32, shaped as `heights`.

    sun: unit vector (3,) towards the sun.
    """
    flat = np.hypot(sun[0], sun[1])
    fall = COARSE * 2 * sun[2] / flat  # metres of height that a sunray loses a step of one metre
    shadow = np.zeros_like(heights)
    rows, columns = heights.shape
    for step in range(1, int(heights.max() / fall) + 1):
        dx, dy = int(round(sun[0] / flat * step * 2)), int(round(sun[1] / flat * step * 2))
        if abs(dx) >= columns or abs(dy) >= rows:
            break
        to_rows, to_columns = slice(max(-dy, 0), rows - max(dy, 0)), slice(max(-dx, 0), columns - max(dx, 0))
        from_rows, from_columns = slice(max(dy, 0), rows - max(-dy, 0)), slice(max(dx, 0), columns - max(-dx, 0))
        np.maximum(
            shadow[to_rows, to_columns], heights[from_rows, from_columns] - step * fall, out=shadow[to_rows, to_columns]
        )
    return shadow


def light_raster(district: District) -> np.ndarray:
    """Lamp light on the ground, from about 0 (dark) to 1 (below a lamp): float32 on cells of COARSE metres."""
    size = np.ceil((district.high - district.low) / COARSE).astype(int)
    light = np.full((size[1], size[0]), 0.02, np.float32)
    reach = int(15 / COARSE)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] * COARSE
    pool = (1 / (1 + (x**2 + y**2) / 11.0) ** 1.35).astype(np.float32)
    pool *= np.clip((15 - np.hypot(x, y)) / 5, 0, 1)
    for thing in district.things:
        if thing.kind == "lamp":
            column, row = ((thing.position + thing.facing * 0.9 - district.low) / COARSE).astype(int)
            if reach <= row < size[1] - reach and reach <= column < size[0] - reach:
                light[row - reach : row + reach + 1, column - reach : column + reach + 1] += pool
    return np.minimum(light, 0.85)


def sky(capture: Capture, district: District) -> tuple[np.ndarray, np.ndarray]:
    """Paints the sky as packed colours (SKY_HEIGHT, SKY_WIDTH); returns also the colour of the haze, float32 (3,).

    Columns go by azimuth, clockwise from north. Rows go by the tangent of the elevation, from 0 (row 0) to SKY_TOP.
    """
    rng = random_for(district.key, "sky", *capture.key)
    up = np.linspace(0, 1, SKY_HEIGHT, dtype=np.float32)[:, None, None]
    if capture.night:
        low, high = np.array([58, 46, 44]), np.array([9, 11, 24])
        haze = np.array([34, 30, 34], np.float32)
    else:
        warm = capture.warmth
        low = (
            np.array([206 + 26 * warm, 214 + 4 * warm, 224 - 26 * warm]) * (1 - capture.cloud)
            + np.array([202, 205, 210]) * capture.cloud
        )
        high = np.array([78, 126, 196]) * (1 - capture.cloud) + np.array([172, 177, 186]) * capture.cloud
        haze = low.astype(np.float32)
    colours = low + (high - low) * up ** np.float32(0.55) * np.ones((1, SKY_WIDTH, 1), np.float32)
    clouds = np.zeros((SKY_HEIGHT, SKY_WIDTH), np.float32)
    for octave, weight in ((12, 1.0), (24, 0.6), (48, 0.35), (110, 0.18)):
        grain = rng.normal(0, weight, (octave, octave)).astype(np.float32)
        round_north = Image.fromarray(np.pad(grain, ((0, 0), (3, 3)), mode="wrap"))
        clouds += np.asarray(round_north.resize((SKY_WIDTH, SKY_HEIGHT), Image.BICUBIC, (3, 0, octave + 3, octave)))
    cover = 1 / (1 + np.exp(-3.2 * (clouds - 1.5 + 2.2 * capture.cloud)))[..., None]
    cover *= 0.85 if not capture.night else 0.25
    tone = np.array([46, 42, 46]) if capture.night else np.array([246, 244, 242]) * (1 - 0.2 * capture.cloud)
    shadowed = tone * (1 - 0.12 * np.clip(clouds, 0, 2)[..., None] * (0.4 + capture.cloud))
    colours = colours * (1 - cover) + shadowed * cover
    _far_skyline(colours, random_for(district.key, "skyline"), haze, capture)
    return pack(colours.clip(0, 255).astype(np.uint8)), haze


def _far_skyline(colours: np.ndarray, rng: np.random.Generator, haze: np.ndarray, capture: Capture) -> None:
    """Hills and distant roofs behind the last houses, paled by the haze."""
    x = np.linspace(0, 2 * np.pi, SKY_WIDTH, endpoint=False)
    hills = 5 + sum(rng.uniform(0.5, 2.5) * np.sin(k * x + rng.uniform(0, 6.3)) for k in (1, 2, 3, 5))
    houses = np.repeat(rng.uniform(2, 8, SKY_WIDTH // 6), 6)
    rows = np.arange(SKY_HEIGHT)[:, None]
    tone = np.array([92, 104, 112]) if not capture.night else np.array([22, 22, 28])
    for top, share in ((hills, 0.45), (houses, 0.6)):
        inside = rows < top[None]
        colours[inside] = haze * (1 - share) + tone * share
