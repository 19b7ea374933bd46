"""The light that comes from each pixel of a photograph: kernels."""

from functools import partial

import numpy as np

from demo_city.engine import jit
from demo_city.engine.draw import Picture
from demo_city.engine.light import BEAM, DOWN, Light
from demo_city.engine.maps import LAMP_MARGIN, LAMP_POOL, POOL, SUN_CELL, Maps
from demo_city.engine.mesh import CUTOUT, EMITS, FOLIAGE, GLASS, GROUND, SHELTERED
from demo_city.engine.sky import NOISE
from demo_city.engine.textures import Texels
from demo_city.engine.triangles import REPEATS

# sums may be taken in any order: here no edge of a triangle depends on them
kernel, part = (partial(make, fastmath={"contract", "arcp", "nsz", "reassoc"}) for make in (jit.kernel, jit.part))
_PANES = 229  # alpha up to which an opaque texture shows glass

SEEN = np.dtype(
    [
        ("normal", np.float32, 3),  # towards the camera
        ("across", np.float32, 4),  # whose product with a point (x, y, z, 1) is u
        ("down", np.float32, 4),  # and v
        ("density", np.float64),  # the area of a pixel in a texture of 1 x 1 at a depth of 1 m; as depth ** 3
        ("tint", np.float32, 3),  # by which squares of texels are multiplied
        ("ambient", np.float32, 3),  # light from the sky and the ground, where nothing is around
        ("sun", np.float32, 3),  # light from the sun, where nothing is before it
        ("bias", np.float32),  # how much higher than itself a shadow has to be, metres
        ("glass", np.float32),  # the least share that it mirrors; 0: none
        ("texture", np.int32),
        ("owner", np.int32),
        ("flags", np.int32),
    ],
    align=True,
)


def seen_of(triangles: np.ndarray, picture: Picture, light: Light) -> np.ndarray:
    """What is known of triangles that are seen: TRIANGLE (n,) -> SEEN (n,)."""
    rows, (plane, across, down, _) = np.zeros(len(triangles), SEEN), np.moveaxis(triangles["planes"], 1, 0)
    facing = plane @ picture.inverse[:, 3]
    leaves = (triangles["flags"] & FOLIAGE) > 0
    normal = plane[:, :3] * np.sign(facing)[:, None]
    rows["normal"], rows["across"], rows["down"] = normal, across, down
    for name in ("texture", "owner", "flags"):
        rows[name] = triangles[name]
    rows["density"] = triangles["stretch"] * np.linalg.det(picture.inverse[:3, :3]) / np.abs(facing)
    wet = 1 - light.wet * np.where(triangles["flags"] & GROUND, 0.5, 0.2)
    # as it is stored, a colour is about the square root of the light
    rows["tint"] = np.square(triangles["tint"][:, :3] / np.float32(65025)) * wet[:, None]
    up = np.where(leaves, 0.35, normal[:, 2])[:, None]
    rows["ambient"] = light.above * (0.58 + 0.42 * up) + light.below * (0.5 - 0.5 * up)
    lit = normal @ light.sun
    lit = np.where(leaves, 0.55 + 0.25 * np.abs(lit), np.maximum(lit, 0))
    rows["sun"] = light.sun_colour * lit[:, None]
    # how much the plane itself rises from a cell of the map to the next
    rises = np.minimum(SUN_CELL * np.abs(normal[:, :2]).sum(1) / (lit + 0.02), 2.0)
    rows["bias"] = np.where(leaves, 0.5, 0.03 + rises)
    rows["glass"] = np.where(triangles["flags"] & GLASS, 0.12, 0)
    return rows


@kernel
def shade(picture: Picture, rows: np.ndarray, texels: Texels, light: Light, maps: Maps, out: np.ndarray) -> None:
    """Lights all pixels.

    picture: the photograph, whose triangles are the rows
    rows: SEEN (n,)
    texels: the pictures on them
    light: of the day or night
    maps: of shadows, openness and lamps
    out: float32 (size, size, 3), filled
    """
    ray, place, colour, mirrored = picture.room[0], picture.room[1], picture.room[2], picture.room[3, 0]
    for y in range(len(out)):
        # a row in several steps: the processor then waits for the memory of many pixels at once
        pixels, seen = out[y], picture.seen[y]
        for x in range(len(out)):
            _ray(picture, x, y, ray[x], place[x])
            if seen[x] < 0:
                _sky(light.sky, ray[x, 0], ray[x, 1], ray[x, 2], pixels[x])
        for x in range(len(out)):
            if seen[x] >= 0:
                colour[x, 3] = _sample(rows[seen[x]], place[x], texels, colour[x])
            if light.snow > 0 and seen[x] >= 0:
                _snow(light.noise, light.snow, rows[seen[x]], place[x], colour[x])
        for x in range(len(out)):
            if seen[x] >= 0:
                _skylight(rows[seen[x]], place[x], maps, pixels[x])
        for x in range(len(out)):
            if seen[x] >= 0:
                _shelter(rows[seen[x]], place[x], maps.sky, pixels[x])
                if light.night:
                    _lamplight(rows[seen[x]], place[x], light.lamps, light.moving, maps, pixels[x])
                elif rows[seen[x]].sun[1] > 0:
                    _sunlight(rows[seen[x]], place[x], maps.sun, pixels[x])
        for x in range(len(out)):
            if seen[x] >= 0:
                one, alpha = rows[seen[x]], int(colour[x, 3])
                for c in range(3):
                    pixels[x, c] *= colour[x, c]
                if one.glass > 0 or 0 < alpha <= _PANES:
                    _mirror_sky(light, one, ray[x], mirrored, pixels[x])
                if one.flags & EMITS or (light.night and alpha > 0):
                    _glow(light, one, alpha, colour[x], pixels[x])
                _haze(light.sky, light.haze, ray[x], mirrored, pixels[x])


@part
def _ray(picture: Picture, x: int, y: int, ray: np.ndarray, place: np.ndarray) -> None:
    """Finds the direction of a pixel and the distance, ray (4,), and the place there and its depth, place (4,)."""
    inverse, square = picture.inverse, 0.0
    place[3] = 1 / np.float64(picture.values[y, x]) if picture.seen[y, x] >= 0 else 0.0
    for c in range(3):
        ray[c] = inverse[c, 0] * (x + 0.5) + inverse[c, 1] * (y + 0.5) + inverse[c, 2]
        place[c] = inverse[c, 3] + ray[c] * place[3]
        square += ray[c] * ray[c]
    ray[3] = np.sqrt(square)
    for c in range(3):
        ray[c] /= ray[3]
    ray[3] *= place[3]


@part
def _sample(one: np.ndarray, place: np.ndarray, texels: Texels, colour: np.ndarray) -> int:
    """Looks up the texture, smoothed between four texels; returns the alpha of the nearest one, 0 for cutouts."""
    u, v = np.float64(one.across[3]), np.float64(one.down[3])
    for c in range(3):
        u += one.across[c] * place[c]
        v += one.down[c] * place[c]
    levels, table, repeats = texels.levels[texels.slots[one.texture]], texels.texels, one.flags & REPEATS
    area, level = one.density * place[3] ** 3, 0
    while area * levels[level, 3] > 1.6 and level < len(levels) - 1:
        level += 1
    first, width, height = levels[level, 0], levels[level, 1], levels[level, 2]
    if repeats:
        u, v = u - np.floor(u), v - np.floor(v)
    u, v = u * width - 0.5, v * height - 0.5
    left, top = int(np.floor(u)), int(np.floor(v))
    s, t = u - left, v - top
    right, bottom = left + 1, top + 1
    if repeats:
        left, top = left + width if left < 0 else left, top + height if top < 0 else top
        right, bottom = right - width if right >= width else right, bottom - height if bottom >= height else bottom
    left, top = min(max(left, 0), width - 1), first + min(max(top, 0), height - 1) * width
    right, bottom = min(max(right, 0), width - 1), first + min(max(bottom, 0), height - 1) * width
    for c in range(3):
        above = table[top + left, c] * (1 - s) + table[top + right, c] * s
        below = table[bottom + left, c] * (1 - s) + table[bottom + right, c] * s
        value = above * (1 - t) + below * t
        colour[c] = value * value * one.tint[c]
    nearest = (top if t < 0.5 else bottom) + (left if s < 0.5 else right)
    return 0 if one.flags & CUTOUT else table[nearest, 3]


@part
def _between(table: np.ndarray, i: int, j: int, c: int, s: float, t: float) -> float:
    """A value of a table (rows, columns, channels), smoothed between column i and the next, and row j and the next."""
    above = table[j, i, c] + (table[j, i + 1, c] - table[j, i, c]) * np.float32(s)
    below = table[j + 1, i, c] + (table[j + 1, i + 1, c] - table[j + 1, i, c]) * np.float32(s)
    return above + (below - above) * np.float32(t)


@part
def _noise(table: np.ndarray, x: float, y: float) -> float:
    i, j = int(np.floor(x)), int(np.floor(y))
    return _between(table, i & (NOISE - 1), j & (NOISE - 1), 0, x - i, y - j)


@part
def _snow(table: np.ndarray, snow: float, one: np.ndarray, place: np.ndarray, colour: np.ndarray) -> None:
    """Whitens what snow lies on."""
    lying = snow * (0.45 if one.flags & FOLIAGE else min((np.float64(one.normal[2]) - 0.25) * 3, 1.0))
    if lying <= 0 or one.flags & SHELTERED:
        return
    fine = _noise(table, place[0] * 9, place[1] * 9 + place[2] * 7)
    coarse = _noise(table, place[0] * 1.7, place[1] * 1.7)
    if one.flags & GROUND:  # trodden down, and melting
        lying *= 0.55 + 0.6 * _noise(table, place[0] * 0.31, place[1] * 0.31)
    cover = min(max((lying * 1.5 - 0.6 * coarse - 0.4 * fine) * 3, 0.0), 1.0)
    white = 0.62 + 0.14 * fine + 0.12 * coarse
    for c in range(3):
        colour[c] += (white * (0.97 + 0.015 * c) - colour[c]) * cover


@part
def _skylight(one: np.ndarray, place: np.ndarray, maps: Maps, light: np.ndarray) -> None:
    """Light from the sky and from the ground, less between houses."""
    values, matrix, off = maps.openness, maps.sky.matrix, 0.0 if one.flags & FOLIAGE else 0.9
    x = (matrix[0, 0] * (place[0] + off * one.normal[0]) + matrix[0, 3]) / POOL - 0.5
    y = (matrix[1, 1] * (place[1] + off * one.normal[1]) + matrix[1, 3]) / POOL - 0.5
    seen = 0.8  # far away
    if 0 <= x < values.shape[1] - 1 and 0 <= y < len(values) - 1:
        i, j = int(x), int(y)
        # between the heights at which it is known: 0.5, 5 and 14 m
        height = place[2] - values[j, i, 0]
        n, share = (1, (height - 0.5) / 4.5) if height < 5 else (2, (height - 5) / 9)
        share = min(max(share, 0.0), 1.0)
        seen = (1 - share) * _between(values, i, j, n, x - i, y - j)
        seen += share * _between(values, i, j, n + 1, x - i, y - j)
    for c in range(3):
        light[c] = seen * one.ambient[c]


@part
def _shelter(one: np.ndarray, place: np.ndarray, sky: Picture, light: np.ndarray) -> None:
    """Takes light from what lies under something."""
    leaves = one.flags & FOLIAGE
    if leaves or one.normal[2] > -0.5:
        free = _free(sky, place, one, 0.0 if leaves else 0.45, 1.0 if leaves else 0.25)
        for c in range(3):
            light[c] *= 0.42 + 0.58 * free


@part
def _sunlight(one: np.ndarray, place: np.ndarray, sun: Picture, light: np.ndarray) -> None:
    free = _free(sun, place, one, 0.3 if one.flags & FOLIAGE else 0.06, np.float64(one.bias))
    for c in range(3):
        light[c] += one.sun[c] * free


@part
def _free(picture: Picture, place: np.ndarray, one: np.ndarray, off: float, bias: float) -> float:
    """The share of light, 0 to 1, that a map lets through: four cells are compared, and smoothed between them."""
    matrix, heights = picture.matrix, picture.values
    z = place[2] + off * one.normal[2]
    x = matrix[0, 0] * (place[0] + off * one.normal[0]) + matrix[0, 2] * z + matrix[0, 3] - 0.5
    y = matrix[1, 1] * (place[1] + off * one.normal[1]) + matrix[1, 2] * z + matrix[1, 3] - 0.5
    if not (0 <= x < len(heights) - 1 and 0 <= y < len(heights) - 1):
        return 1.0
    i, j, limit = int(x), int(y), z + bias
    above = (heights[j, i] < limit) * (i + 1 - x) + (heights[j, i + 1] < limit) * (x - i)
    below = (heights[j + 1, i] < limit) * (i + 1 - x) + (heights[j + 1, i + 1] < limit) * (x - i)
    return above * (j + 1 - y) + below * (y - j)


@part
def _lamplight(
    one: np.ndarray, place: np.ndarray, lamps: np.ndarray, moving: int, maps: Maps, light: np.ndarray
) -> None:
    cells, matrix, leaves = maps.lamps, maps.sky.matrix, one.flags & FOLIAGE
    x = int((matrix[0, 0] * place[0] + matrix[0, 3]) / LAMP_POOL + LAMP_MARGIN)
    y = int((matrix[1, 1] * place[1] + matrix[1, 3]) / LAMP_POOL + LAMP_MARGIN)
    listed = cells.shape[2] if 0 <= x < cells.shape[1] and 0 <= y < cells.shape[0] else 0
    for n in range(-moving, listed):
        k = cells[y, x, n] if n >= 0 else len(lamps) + n
        if k < 0:
            break
        lamp = lamps[k]
        a, b, c = lamp[0] - np.float32(place[0]), lamp[1] - np.float32(place[1]), lamp[2] - np.float32(place[2])
        square = a * a + b * b + c * c + np.float32(1e-6)
        fade = np.float32(1) - square * lamp[10]
        facing = a * one.normal[0] + b * one.normal[1] + c * one.normal[2]
        if fade <= 0 or (facing < 0 and facing * facing > np.float32(0.11) * square and not leaves):
            continue
        over = np.float32(1) / np.sqrt(square)
        facing *= over
        share = fade * fade * np.float32(60) / (square + np.float32(4))
        share *= 0.35 if leaves else 0.12 + (0.88 if facing > 0 else 0.36) * facing
        if lamp[9] == DOWN:
            share *= min(max(0.12 + 1.5 * c * over, 0.04), 1.0)
        elif lamp[9] == BEAM:
            along = max(-(a * lamp[6] + b * lamp[7] + c * lamp[8]) * over - 0.75, 0.0)
            share *= 16 * along * along
        for i in range(3):
            light[i] += lamp[3 + i] * share


@part
def _sky(sky: np.ndarray, x: float, y: float, z: float, out: np.ndarray) -> None:
    """The light of the sky in a direction; below the horizon, of the horizon."""
    half, z = len(sky) / 2, max(z, 0.01)
    over = half / (abs(x) + abs(y) + z)
    a = min(max((x + y) * over + half - 0.5, 0.0), 2 * half - 1.001)
    b = min(max((x - y) * over + half - 0.5, 0.0), 2 * half - 1.001)
    i, j = int(a), int(b)
    for c in range(3):
        out[c] = _between(sky, i, j, c, a - i, b - j)


@part
def _mirror_sky(weather: Light, one: np.ndarray, ray: np.ndarray, mirrored: np.ndarray, light: np.ndarray) -> None:
    """What panes mirror: the sky, or at a flat angle houses across; mirrored: room for a colour."""
    facing = ray[0] * one.normal[0] + ray[1] * one.normal[1] + ray[2] * one.normal[2]
    z = ray[2] - 2 * facing * one.normal[2]
    _sky(weather.sky, ray[0] - 2 * facing * one.normal[0], ray[1] - 2 * facing * one.normal[1], z, mirrored)
    free, least = min(max((z - 0.12) * 4, 0.0), 1.0), max(np.float64(one.glass), 0.05)
    share = least + (0.9 - least) * (1 - min(abs(facing), 1.0)) ** 4
    for c in range(3):
        houses = 0.16 * (weather.above[c] + 0.4 * weather.sun_colour[c])
        light[c] += (houses + (min(mirrored[c], 1.6) - houses) * free - light[c]) * share


@part
def _glow(weather: Light, one: np.ndarray, alpha: int, colour: np.ndarray, light: np.ndarray) -> None:
    """Adds what shines by itself; what has no owner, -1, finds the last row, which is dark."""
    pattern = min(0.25 + 0.6 * (colour[0] + colour[1] + colour[2]), 1.5)
    for c in range(3):
        if one.flags & EMITS:
            light[c] += (1.6 if weather.night else 0.5) * colour[c]
        else:
            light[c] += weather.shine[one.owner, alpha, c] * pattern


@part
def _haze(sky: np.ndarray, haze: float, ray: np.ndarray, pale: np.ndarray, light: np.ndarray) -> None:
    """Pales what is far away; pale: room for a colour."""
    share = 1 - np.exp(-haze * ray[3])
    if ray[3] > 230:  # what is drawn ends at 400 m, and should not be seen to end
        share += (1 - share) * min((ray[3] - 230) / 150, 1.0)
    if share > 0.004:
        _sky(sky, ray[0], ray[1], 0.06, pale)
        for c in range(3):
            light[c] += (min(pale[c], 1.2) - light[c]) * share


@kernel
def mirror(picture: Picture, rows: np.ndarray, light: Light, out: np.ndarray) -> None:
    """Mirrors in wet ground what stands above it, as far as it is in the picture; arguments as for shade."""
    ray, place, normal, colour = picture.room[0, 0], picture.room[1, 0], picture.room[2, 0], picture.room[3, 0]
    for y in range(len(out)):
        for x in range(len(out)):
            k = picture.seen[y, x]
            if k < 0 or not rows[k].flags & GROUND or rows[k].normal[2] < 0.7:
                continue
            _ray(picture, x, y, ray, place)
            low = _noise(light.noise, place[0] * 11, place[1] * 11)
            puddle = min(max((low - 0.8 + 0.35 * light.wet) * 8, 0.0), 1.0)
            ripple, facing = 0.06 - 0.05 * puddle, 0.0
            for c in range(3):
                normal[c] = rows[k].normal[c]
                if c < 2:
                    normal[c] += ripple * (_noise(light.noise, place[c] * 31, place[1 - c] * 31) - 0.5)
                facing += ray[c] * normal[c]
            for c in range(3):
                ray[c] -= 2 * facing * normal[c]
            share = light.wet * (0.04 + 0.75 * (1 - min(abs(facing), 1.0)) ** 4) * (0.35 + 0.65 * puddle)
            _march(picture, place, ray, out, light.sky, colour)
            for c in range(3):
                out[y, x, c] += (min(colour[c], 2.0) - out[y, x, c]) * (share * 0.3 if light.snow > 0.3 else share)


@part
def _march(
    picture: Picture, place: np.ndarray, ray: np.ndarray, out: np.ndarray, sky: np.ndarray, colour: np.ndarray
) -> None:
    """Follows a mirrored ray from a place until it passes behind something in the picture; else it meets the sky."""
    matrix, step = picture.matrix, 0.5
    for _ in range(13):
        x, y, z = matrix[0, 3], matrix[1, 3], matrix[2, 3]
        for c in range(3):
            at = place[c] + ray[c] * step
            x, y, z = x + matrix[0, c] * at, y + matrix[1, c] * at, z + matrix[2, c] * at
        if z < 0.2 or x < 0 or y < 0 or x >= z * len(out) or y >= z * len(out):
            break
        i, j = int(x / z), int(y / z)
        near = picture.values[j, i]
        if near * z > 1.005 and near * (z - 0.5 * step - 1) < 1:
            for c in range(3):
                colour[c] = out[j, i, c]
            return
        step *= 1.45
    _sky(sky, ray[0], ray[1], ray[2], colour)
    for c in range(3):
        colour[c] *= min(max(ray[2] * 3 - 0.3, 0.15), 1.0)  # houses beside the picture
