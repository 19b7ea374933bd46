"""Photographs of a district: walls by rays, ground and sky by inverse projection, then the things in the street.

A camera has pitch and roll 0. So every vertical wall stays vertical, and covers one span of rows in each column.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from demo_city import cars, ground, paint, things, trees
from demo_city.buildings import PROFILE
from demo_city.camera import FIELD_OF_VIEW, HORIZON, Camera, focal_length
from demo_city.scene import MIPS, Scene
from demo_city.seeds import random_for
from demo_city.stage import Stage
from demo_city.years import Capture

SUPERSAMPLE = 1.25  # rows and columns rendered for each of the picture; more is hardly seen at 128 pixels, and slower
SIGHT = 140.0  # metres
_tables = {}  # random numbers drawn once a process


def _hits(
    scene: Scene, camera: Camera, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Finds the walls that the columns see; directions: (columns, 2), with depth 1 along the optical axis.

    For every wall that rises above all nearer ones, sorted by column and depth, this returns column, wall, depth, share
    of the wall's length from its left end, and the tangent of its top.
    """
    walls = scene.district.walls
    rel = walls.start - camera.position
    edge = walls.end - walls.start
    far = rel + edge
    facing = rel[:, 0] * edge[:, 1] - rel[:, 1] * edge[:, 0]
    # within sight, facing us, and not wholly beyond the left, the right or the near edge of the view
    wide = np.tan(np.radians(FIELD_OF_VIEW / 2)) * 1.02
    d0, d1 = rel @ camera.forward, far @ camera.forward
    x0, x1 = rel @ camera.right, far @ camera.right
    keep = np.flatnonzero(
        (facing < -1e-9)
        & (np.maximum(d0, d1) > 0)
        & (np.minimum(d0, d1) < SIGHT)
        & ~((x0 < -wide * d0) & (x1 < -wide * d1))
        & ~((x0 > wide * d0) & (x1 > wide * d1))
    )
    rel, edge, facing = rel[keep].astype(np.float32), edge[keep].astype(np.float32), facing[keep].astype(np.float32)
    dx, dy = directions[:, :1].astype(np.float32), directions[:, 1:].astype(np.float32)
    denominator = dx * edge[:, 1] - dy * edge[:, 0]
    numerator = rel[:, 0] * dy - rel[:, 1] * dx
    column, k = np.nonzero((numerator <= 0) & (numerator >= denominator) & (denominator < -1e-7))
    below = denominator[column, k]
    depth = facing[k] / below
    share = numerator[column, k] / below
    order = np.lexsort((depth, column))
    column, wall, depth, share = column[order], keep[k[order]], np.maximum(depth[order], 0.05), share[order]
    at = share * (PROFILE - 1)
    left = np.minimum(at.astype(np.int32), PROFILE - 2)
    tops = walls.tops[wall, left]
    tops = tops + (walls.tops[wall, left + 1] - tops) * (at - left)
    tangent = (tops - camera.height) / depth
    count = np.bincount(column, minlength=len(directions))
    rank = np.arange(len(column)) - np.repeat(np.cumsum(count) - count, count)
    table = np.full((len(directions), max(int(count.max(initial=0)), 1)), -np.inf, np.float32)
    table[column, rank] = tangent
    highest = np.maximum.accumulate(table, 1)
    seen = (rank == 0) | (tangent > highest[column, np.maximum(rank - 1, 0)] + 1e-4)
    return column[seen], wall[seen], depth[seen], share[seen], tangent[seen]


def render_view(
    scene: Scene,
    camera: Camera,
    pixels: int,
    moving: Sequence[cars.Car | things.Person] = (),
    supersample: float = SUPERSAMPLE,
    buffers: dict[str, np.ndarray] | None = None,
) -> Image.Image:
    """Renders one photograph before the camera's own faults: an RGB image of `pixels` times `supersample` a side.

    scene: the district on one day or night
    camera: in the district's metres
    pixels: side of the finished picture
    moving: cars and persons of this moment
    supersample: factor on `pixels`
    buffers: a dict that receives "depth", float32 (h, w), metres, and "building", int (h, w), -1 for none; or None
    """
    scene.pictures.make_room()
    size = int(round(pixels * supersample))
    f = focal_length(size)
    x = (np.arange(size) + 0.5 - size / 2) / f
    rows = ((size * HORIZON - np.arange(size) - 0.5) / f).astype(np.float32)  # tangent of the elevation of each row
    directions = camera.forward + x[:, None] * camera.right
    column, wall, depth, share, tangent = _hits(scene, camera, directions)
    count = np.bincount(column, minlength=size)
    first = np.cumsum(count) - count
    near = np.full(size, np.inf, np.float32)
    near[count > 0] = depth[first[count > 0]]
    deepest = max(int(count.max(initial=0)), 1)
    table = np.full((deepest, size), np.inf, np.float32)
    table[np.arange(len(column)) - first[column], column] = tangent
    layer = np.zeros((size, size), np.uint8)
    for k in range(deepest):
        layer += rows[:, None] > table[k]
    foot = -camera.height / np.minimum(near, 1e4)
    is_ground = rows[:, None] < foot
    is_wall = ~is_ground & (layer < count)
    colours = np.empty((size * size, 3), np.float32)
    depths = np.full(size * size, np.inf, np.float32)

    places = np.flatnonzero(is_wall)
    hit = layer.ravel()[places] + first[places % size]
    tangents = rows[places // size]
    lit, depths[places] = _wall_colours(scene, camera, directions, f, column, wall, depth, share, hit, tangents)
    colours[places] = lit
    places = np.flatnonzero(is_ground)
    colours[places], depths[places] = _ground_colours(scene, camera, directions, f, places // size, places % size, rows)
    places = np.flatnonzero(~is_wall & ~is_ground)
    colours[places] = _sky_colours(scene, directions, places // size, places % size, rows)

    depths = depths.reshape(size, size)
    if buffers is not None:
        buffers["depth"] = depths
        owner = np.append(scene.district.walls.building[wall], -1)
        buffers["building"] = np.where(is_wall, owner[np.minimum(first + layer, len(wall))], -1)
    np.clip(colours, 0, 255, out=colours)
    image = Image.fromarray(colours.astype(np.uint8).reshape(size, size, 3))
    _draw_things(scene, camera, image, depths, near, f, moving)
    return image


def _unpack(packed: np.ndarray) -> np.ndarray:
    return packed.view(np.uint8).reshape(-1, 4)


def _haze(scene: Scene, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the haze leaves of the colours at `depth` (n,) metres, and what it adds: float32 (n, 1) and (n, 3)."""
    clear = np.exp(depth * np.float32(np.log(scene.clear) / 100)).astype(np.float32)[:, None]
    return clear, scene.haze * (1 - clear)


def _wall_colours(
    scene: Scene,
    camera: Camera,
    directions: np.ndarray,
    f: float,
    column: np.ndarray,
    wall: np.ndarray,
    depth: np.ndarray,
    share: np.ndarray,
    hit: np.ndarray,
    tangents: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    walls, capture = scene.district.walls, scene.capture
    seen, slot = np.unique(wall, return_inverse=True)
    slant = np.abs((walls.normal[wall] * directions[column]).sum(1)) / np.hypot(*directions[column].T)
    texels = depth / f * paint.PPM / np.sqrt(np.maximum(slant, 0.05))  # of the finest level, in a pixel
    level = np.floor(np.log2(np.maximum(texels, 1e-3)) + 0.25).astype(np.int32).clip(0, MIPS - 1)
    finest = np.full(len(seen), MIPS)
    np.minimum.at(finest, slot, level)
    places = [
        scene.pictures.place(scene.district, int(w), capture.year, int(first))
        for w, first in zip(seen, finest, strict=True)
    ]
    places = np.array(places).reshape(-1, MIPS, 3)
    start, tall, wide = places[slot, level].T
    low = walls.low[wall]
    scale = (tall / (walls.tops[wall].max(1) - low)).astype(np.float32)
    base = start + np.minimum((share * wide).astype(np.int64), wide - 1) * tall
    point = camera.position + directions[column] * depth[:, None]
    before = point + walls.normal[wall] * 0.8

    d = depth[hit]
    z = camera.height + tangents * d
    texel = base[hit] + np.minimum(((z - low[hit]) * scale[hit]).astype(np.int32), tall[hit] - 1).clip(0)
    packed = scene.pictures.texels[texel]
    colours = _unpack(packed)[:, :3].astype(np.float32)
    clear, pale = _haze(scene, depth)
    if capture.night:
        lamp = scene.coarse(scene.lamps, before[:, 0], before[:, 1]).astype(np.float32) * (
            0.35 + 0.65 * slant.astype(np.float32)
        )
        fall = np.exp(-np.square((z - 2.6) / 5.5))
        light = (lamp[hit] * fall)[:, None] * scene.lamp_colour
        light += scene.ambient
        colours *= light
        _light_windows(scene, colours, packed, walls.building[wall[hit]])
        colours *= clear[hit]
    else:
        facing = walls.normal[wall] @ scene.capture.sun_direction[:2]
        # walls that look away from the sun get less sky light, so that the edges of a house can be seen
        light = ((0.9 + 0.13 * facing).astype(np.float32)[:, None] * scene.ambient * clear)[hit]
        if scene.shadow is not None:
            sunny = (np.maximum(facing, 0) * 0.9).astype(np.float32)[:, None] * scene.sun * clear
            dark = scene.coarse(scene.shadow, before[:, 0], before[:, 1])
            light += sunny[hit] * ((z - dark[hit]) * 2).clip(0, 1)[:, None]
        colours *= light
    colours += pale[hit]
    return colours, d


def _light_windows(scene: Scene, colours: np.ndarray, packed: np.ndarray, building: np.ndarray) -> None:
    """Lights the windows, shops and signs that are lit tonight, in place; each array: of n pixels."""
    shining = _unpack(packed)[:, 3]
    lit = np.flatnonzero(shining)
    if len(lit):
        glow = _unpack(scene.shine[building[lit], shining[lit]])[:, :3].astype(np.float32)
        pattern = _unpack(packed[lit])[:, :3].astype(np.float32).mean(1, keepdims=True)
        colours[lit] = np.maximum(colours[lit], glow * np.minimum(0.4 + pattern / 190, 1.15))


def _ground_colours(
    scene: Scene,
    camera: Camera,
    directions: np.ndarray,
    f: float,
    row: np.ndarray,
    column: np.ndarray,
    rows: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    depths = np.minimum(-camera.height / np.minimum(rows, -1e-4), 600).astype(np.float32)  # of each row
    # one texel of the level is about the geometric mean of a pixel's width and its length on the ground
    foot = depths / f * np.sqrt(depths / camera.height) / ground.CELL
    levels = np.floor(np.log2(np.maximum(foot, 1e-3)) + 0.3).astype(np.int32).clip(0, ground.LEVELS - 1)
    clear, pale = (part[row] for part in _haze(scene, depths))
    depth = depths[row]
    vector = directions.astype(np.float32)[column]
    x = depth * vector[:, 0] + np.float32(camera.position[0] - scene.district.low[0])
    y = depth * vector[:, 1] + np.float32(camera.position[1] - scene.district.low[1])
    packed = np.empty(len(depth), np.uint32)
    begin = 0
    # the levels fall from the horizon down, in the order of the pixels: those of one level lie together
    ends = np.searchsorted(row, [np.searchsorted(-levels, -k, side="right") for k in range(ground.LEVELS - 1, -1, -1)])
    for k, end in zip(range(ground.LEVELS - 1, -1, -1), ends, strict=True):
        if end > begin:
            raster, cell = scene.ground[k], np.float32(1 / (ground.CELL * 2**k))
            packed[begin:end] = (_bilinear if k < 2 else _nearest)(raster, x[begin:end] * cell, y[begin:end] * cell)
        begin = max(begin, end)
    colours = _unpack(packed)[:, :3].astype(np.float32)
    green = np.flatnonzero(packed >> 24)
    colours[green] *= 1 + (packed[green] >> 24).astype(np.float32)[:, None] / 255 * (scene.grass - 1)
    raster = scene.lamps if scene.capture.night else scene.shadow
    if raster is not None:
        # a fixed jitter of one cell turns the steps of the raster into a soft edge
        jitter = _jitter()[: len(depth)]
        value = _nearest(
            raster, x * np.float32(1 / ground.COARSE) + jitter[:, 0], y * np.float32(1 / ground.COARSE) + jitter[:, 1]
        )
        if scene.capture.night:
            light = value[:, None] * (scene.lamp_colour * np.float32(0.9))
        else:
            sunny = (
                np.float32(0.85 * scene.capture.sun_direction[2] + 0.1) * (0.3 - value).clip(0, 0.3) / np.float32(0.3)
            )
            light = sunny[:, None] * scene.sun
        light += scene.ambient
        colours *= light
    else:
        colours *= scene.ambient
    colours *= clear
    colours += pale
    return colours, depth


def _nearest(raster: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The cells of a raster at x, y, in cells."""
    return raster[y.astype(np.int32).clip(0, raster.shape[0] - 1), x.astype(np.int32).clip(0, raster.shape[1] - 1)]


def _bilinear(raster: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolates packed colours between the cells of a raster.

    It works on two bytes at a time, in the halves of a uint32, with weights of 1/256.
    """
    x, y = (x - np.float32(0.5)).clip(0, raster.shape[1] - 1.01), (y - np.float32(0.5)).clip(0, raster.shape[0] - 1.01)
    j, i = x.astype(np.int32), y.astype(np.int32)
    u, v = ((x - j) * 256).astype(np.uint32), ((y - i) * 256).astype(np.uint32)
    corner = i * raster.shape[1] + j
    flat = raster.ravel()
    texels = [flat[corner + step] for step in (0, 1, raster.shape[1], raster.shape[1] + 1)]
    mask, out = np.uint32(0x00FF00FF), []
    for shift in (np.uint32(0), np.uint32(8)):
        a, b, c, d = ((t >> shift) & mask for t in texels)
        below, above = ((a * (256 - u) + b * u) >> 8) & mask, ((c * (256 - u) + d * u) >> 8) & mask
        out.append(((below * (256 - v) + above * v) >> 8) & mask)
    return out[0] | (out[1] << np.uint32(8))


def _jitter(count: int = 1 << 20) -> np.ndarray:
    """Random offsets: float32 (count, 2), uniform in -0.5 to 0.5, the same in every process."""
    if "jitter" not in _tables:
        _tables["jitter"] = random_for("jitter").random((count, 2), dtype=np.float32) - np.float32(0.5)
    return _tables["jitter"]


def _sky_colours(
    scene: Scene, directions: np.ndarray, row: np.ndarray, column: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    azimuth = np.arctan2(directions[:, 0], directions[:, 1]) % (2 * np.pi)
    across = (azimuth * (ground.SKY_WIDTH / (2 * np.pi))).astype(np.int32) % ground.SKY_WIDTH
    length = np.hypot(directions[:, 0], directions[:, 1]).astype(np.float32)
    up = (
        (rows[row] / length[column] * (ground.SKY_HEIGHT / ground.SKY_TOP))
        .astype(np.int32)
        .clip(0, ground.SKY_HEIGHT - 1)
    )
    return _unpack(scene.sky[up, across[column]])[:, :3]


def _draw_things(
    scene: Scene,
    camera: Camera,
    image: Image.Image,
    depths: np.ndarray,
    near: np.ndarray,
    f: float,
    moving: Sequence[cars.Car | things.Person],
) -> None:
    stage = Stage(
        image, depths, near, camera, f, image.height * HORIZON, scene.haze, scene.clear, bool(scene.capture.night)
    )
    everything, lights, spots = scene.still, scene.still_light, scene.spots
    if moving:
        places = np.array([thing.position for thing in moving])
        everything, lights, spots = (
            [*everything, *moving],
            [*lights, *scene.light_at(places)],
            np.concatenate([spots, places]),
        )
    spots = spots - camera.position
    depth, across = spots @ camera.forward, spots @ camera.right
    reach = np.full(len(spots), 3.0)
    wide = np.tan(np.radians(FIELD_OF_VIEW / 2))
    shown = np.flatnonzero((depth > 1.0) & (depth < 85) & (np.abs(across) < depth * wide + reach * 1.8))
    # what stands behind the walls of all its columns cannot be seen, unless it is a tree
    left = (image.width / 2 + f * (across[shown] - reach[shown]) / depth[shown]).clip(0, image.width - 1).astype(int)
    right = (image.width / 2 + f * (across[shown] + reach[shown]) / depth[shown]).clip(0, image.width - 1).astype(int)
    for k, a, c in sorted(zip(shown, left, right, strict=True), key=lambda item: -depth[item[0]]):
        thing = everything[k]
        if near[a : c + 1].max() < depth[k]:
            continue
        light = lights[k]
        if isinstance(thing, cars.Car):
            sun = None if scene.capture.night or scene.shadow is None else scene.capture.sun_direction[:2]
            cars.draw_car(stage, thing, light, sun)
        elif isinstance(thing, things.Person):
            things.draw_person(stage, thing, light)
        elif thing.kind == "tree":
            trees.draw_tree(stage, thing, scene.capture.season, light)
        else:
            things.draw_post(stage, thing, light)


def develop(image: Image.Image, pixels: int, capture: Capture, rng: np.random.Generator) -> Image.Image:
    """Adds the camera's faults: bloom and blur (at night), exposure, colour cast and noise, at `pixels` a side.

    image: of render_view
    pixels: side of the result
    capture: the day or night
    rng: decides what is random
    """
    if image.width != pixels:
        image = image.resize((pixels, pixels), Image.BOX if image.width % pixels == 0 else Image.HAMMING)
    if capture.night:
        bright = image.point([max(0, int((v - 140) * 1.1)) for v in range(256)] * 3).filter(
            ImageFilter.GaussianBlur(pixels / 45)
        )
        image = ImageChops.add(image, bright)
        blur, noise, gain = rng.uniform(0.2, 0.9) * pixels / 128, rng.uniform(4, 10), rng.uniform(0.9, 1.45)
    else:
        blur, noise, gain = max(rng.uniform(-0.6, 0.5), 0) * pixels / 128, rng.uniform(1, 3), rng.uniform(0.9, 1.1)
    if blur > 0.1:
        image = image.filter(ImageFilter.GaussianBlur(blur))
    cast = gain * (1 + rng.uniform(-0.03, 0.03, 3))
    if "noise" not in _tables:
        _tables["noise"] = random_for("sensor").normal(0, 1, (1024, 1024, 3)).astype(np.float32)
    a, c = rng.integers(0, 1024 - min(pixels, 1023), 2)
    grain = _tables["noise"][a : a + pixels, c : c + pixels]
    if grain.shape[:2] != (pixels, pixels):
        grain = random_for("sensor", int(a)).normal(0, 1, (pixels, pixels, 3)).astype(np.float32)
    array = np.asarray(image).astype(np.float32) * cast.astype(np.float32) + grain * np.float32(noise)
    return Image.fromarray(array.clip(0, 255).astype(np.uint8))
