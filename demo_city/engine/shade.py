"""The light that comes from each pixel: kernels."""

from typing import NamedTuple

import numpy as np

from demo_city.engine.draw import DENSITY, NORMAL, Target, U, V, View
from demo_city.engine.jit import kernel
from demo_city.engine.memory import Texels
from demo_city.engine.shadow import Shadows
from demo_city.engine.triangles import Triangles

_CUTOUT, _GROUND, _FOLIAGE, _GLASS, _EMITS, _SHELTERED = 1, 2, 4, 8, 16, 128  # of engine.mesh
LAMP_CELL = 4.0  # metres a side
_PANES = 229  # alpha up to which an opaque texture shows glass


class Light(NamedTuple):
    """The light of a day or night, linear: 1 is a white ground under an overcast sky.

    sun, sun_colour: (3,) each, towards the sun, and its light; no light at night
    above, below: (3,) each, light from the sky, and from the ground
    haze: share of the light that it takes a metre, when that is small
    wet, snow: 0 to 1
    night: whether what shines shines
    sky: float32 (side, side, 3), light of the sky, of all directions up
    noise: float32 (side, side), 0 to 1, repeats
    shine: float32 (owners + 1, 256, 3), light of what shines, by owner and alpha; the last row is of no owner
    lamps: float32 (k, 11), positions, colours times power, directions, kind, reach
    lamp_cells: int32 (rows, columns, n), which lamps reach a place of LAMP_CELL metres; -1: no further one
    lamp_low: (2,), where these cells begin
    """

    sun: np.ndarray
    sun_colour: np.ndarray
    above: np.ndarray
    below: np.ndarray
    haze: float
    wet: float
    snow: float
    night: bool
    sky: np.ndarray
    noise: np.ndarray
    shine: np.ndarray
    lamps: np.ndarray
    lamp_cells: np.ndarray
    lamp_low: np.ndarray


@kernel
def shade(
    view: View,
    target: Target,
    still: Triangles,
    moving: Triangles,
    texels: Texels,
    slots: np.ndarray,
    light: Light,
    shadows: Shadows,
    out: np.ndarray,
) -> None:
    """Lights all pixels.

    view: the camera
    target: what is seen
    still, moving: its triangles
    texels, slots: the texture memory, and where each texture is in it
    light: of the day or night
    shadows: of the sun
    out: float32 (size, size, 3), filled
    """
    size = view.size
    ray, normal, place = np.empty(3), np.empty(3), np.empty(3)
    colour, arriving = np.empty(3), np.empty(3)
    for y in range(size):
        for x in range(size):
            dx, dy = (x + 0.5 - size / 2) / view.focal, (y + 0.5 - size / 2) / view.focal
            for c in range(3):
                ray[c] = view.axes[2, c] + dx * view.axes[0, c] + dy * view.axes[1, c]
            length = np.sqrt(1 + dx * dx + dy * dy)
            row = target.drawn[y, x]
            if row < 0:
                _sky(light.sky, ray[0], ray[1], ray[2], length, colour)
                out[y, x, 0], out[y, x, 1], out[y, x, 2] = colour[0], colour[1], colour[2]
                continue
            depth = 1 / np.float64(target.nearness[y, x])
            for c in range(3):
                ray[c] /= length
                place[c] = view.position[c] + ray[c] * (depth * length)
                normal[c] = target.planes[row, NORMAL + c]
            if target.source[row, 0] == 0:
                _light_pixel(
                    still, target, row, x, y, depth, texels, slots, light, shadows, ray, normal, place, colour, arriving
                )
            else:
                _light_pixel(
                    moving, target, row, x, y, depth, texels, slots, light, shadows, ray, normal, place, colour, arriving
                )
            _haze(light, ray, depth * length, colour, arriving)
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = colour[0], colour[1], colour[2]


@kernel
def _light_pixel(
    triangles: Triangles,
    target: Target,
    row: int,
    x: int,
    y: int,
    depth: float,
    texels: Texels,
    slots: np.ndarray,
    light: Light,
    shadows: Shadows,
    ray: np.ndarray,
    normal: np.ndarray,
    place: np.ndarray,
    colour: np.ndarray,
    arriving: np.ndarray,
) -> None:
    """Fills colour with the light that comes from one place; arriving: room for three numbers."""
    k = target.source[row, 1]
    flags = triangles.flags[k]
    plane = target.planes[row]
    u = plane[U] + depth * (plane[U + 1] * (x + 0.5) + plane[U + 2] * (y + 0.5) + plane[U + 3])
    v = plane[V] + depth * (plane[V + 1] * (x + 0.5) + plane[V + 2] * (y + 0.5) + plane[V + 3])
    area = plane[DENSITY] * depth * depth * depth
    alpha = _texel(texels, slots[triangles.texture[k]], u, v, area, triangles.repeats[k], colour)
    index = 0 if flags & _CUTOUT else alpha
    for c in range(3):
        tinted = colour[c] * triangles.tint[k, c] * (1 / 65025)
        colour[c] = tinted * tinted  # as it is stored, it is about the square root of the light
    pattern = colour[0] + colour[1] + colour[2]
    _weather(light, flags, normal, place, colour)
    if light.night:
        _lamplight(light, flags, normal, place, arriving)
    else:
        _daylight(light, flags, normal, place, shadows, arriving)
    for c in range(3):
        arriving[c] *= colour[c]
    if flags & _GLASS or (0 < index <= _PANES):
        _mirror_sky(light, ray, normal, 0.12 if flags & _GLASS else 0.05, colour, arriving)
    if light.night:
        if flags & _EMITS:
            for c in range(3):
                arriving[c] += 1.6 * colour[c]
        elif index > 0:
            owner = triangles.owner[k]
            pattern = min(0.25 + 0.6 * pattern, 1.5)
            shine = light.shine[owner if owner >= 0 else light.shine.shape[0] - 1, index]
            for c in range(3):
                arriving[c] += shine[c] * pattern
    elif flags & _EMITS:
        for c in range(3):
            arriving[c] += 0.5 * colour[c]
    for c in range(3):
        colour[c] = arriving[c]


@kernel
def _texel(
    texels: Texels, slot: int, u: float, v: float, area: float, repeats: int, colour: np.ndarray
) -> int:
    """Fills colour with 0 to 255, smoothed between four texels, and returns the alpha of the nearest one."""
    width, height = texels.size[slot]
    area *= width * height
    level = 0
    while area > 1.6 and level < texels.first.shape[1] - 1:
        area *= 0.25
        level += 1
        width, height = (width + 1) >> 1, (height + 1) >> 1
    if repeats:
        u, v = u - np.floor(u), v - np.floor(v)
    a, b = u * width - 0.5, v * height - 0.5
    left, top = int(np.floor(a)), int(np.floor(b))
    s, t = np.float32(a - left), np.float32(b - top)
    right, bottom = left + 1, top + 1
    if repeats:
        left = left + width if left < 0 else left
        top = top + height if top < 0 else top
        right = right - width if right >= width else right
        bottom = bottom - height if bottom >= height else bottom
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    right, bottom = min(max(right, 0), width - 1), min(max(bottom, 0), height - 1)
    first = texels.first[slot, level]
    one, two = first + top * width + left, first + top * width + right
    three, four = first + bottom * width + left, first + bottom * width + right
    table = texels.texels
    unit = np.float32(1)
    for c in range(3):
        above = table[one, c] * (unit - s) + table[two, c] * s
        below = table[three, c] * (unit - s) + table[four, c] * s
        colour[c] = above * (unit - t) + below * t
    if s < 0.5:
        return table[one, 3] if t < 0.5 else table[three, 3]
    return table[two, 3] if t < 0.5 else table[four, 3]


@kernel
def _noise(table: np.ndarray, x: float, y: float) -> float:
    side = table.shape[0]
    i, j = int(np.floor(x)), int(np.floor(y))
    s, t = x - i, y - j
    left, right, top, bottom = i & (side - 1), (i + 1) & (side - 1), j & (side - 1), (j + 1) & (side - 1)
    above = table[top, left] * (1 - s) + table[top, right] * s
    return above * (1 - t) + (table[bottom, left] * (1 - s) + table[bottom, right] * s) * t


@kernel
def _weather(light: Light, flags: int, normal: np.ndarray, place: np.ndarray, colour: np.ndarray) -> None:
    """Darkens what is wet, and whitens what snow lies on."""
    if light.wet > 0:
        dark = 1 - light.wet * (0.5 if flags & _GROUND else 0.2)
        for c in range(3):
            colour[c] *= dark
    if light.snow > 0 and not flags & _SHELTERED:
        up = normal[2]
        if flags & _FOLIAGE:
            lying = 0.45 * light.snow
        elif up > 0.25:
            lying = light.snow * min((up - 0.25) * 3, 1.0)
        else:
            return
        fine = _noise(light.noise, place[0] * 9, place[1] * 9 + place[2] * 7)
        coarse = _noise(light.noise, place[0] * 0.7, place[1] * 0.7)
        cover = min(max((lying * 1.5 - 0.6 * coarse - 0.4 * fine) * 4, 0.0), 1.0)
        white = 0.78 + 0.12 * fine
        colour[0] += (white * 0.97 - colour[0]) * cover
        colour[1] += (white * 0.985 - colour[1]) * cover
        colour[2] += (white - colour[2]) * cover


@kernel
def _daylight(
    light: Light, flags: int, normal: np.ndarray, place: np.ndarray, shadows: Shadows, arriving: np.ndarray
) -> None:
    up = 0.35 if flags & _FOLIAGE else normal[2]
    for c in range(3):
        arriving[c] = light.above[c] * (0.58 + 0.42 * up) + light.below[c] * (0.5 - 0.5 * up)
    if light.sun_colour[1] <= 0:
        return
    facing = normal[0] * light.sun[0] + normal[1] * light.sun[1] + normal[2] * light.sun[2]
    if flags & _FOLIAGE:
        facing = 0.55 + 0.25 * abs(facing)
    if facing <= 0:
        return
    free = _sunlit(shadows, flags, normal, place, facing)
    for c in range(3):
        arriving[c] += light.sun_colour[c] * (facing * free)


@kernel
def _sunlit(shadows: Shadows, flags: int, normal: np.ndarray, place: np.ndarray, facing: float) -> float:
    """The share of sunlight, 0 to 1: four cells of the map are compared, and smoothed between them."""
    off = 0.3 if flags & _FOLIAGE else 0.06
    z = place[2] + normal[2] * off
    x = (place[0] + normal[0] * off - z * shadows.slope[0] - shadows.low[0]) / shadows.cell - 0.5
    y = (place[1] + normal[1] * off - z * shadows.slope[1] - shadows.low[1]) / shadows.cell - 0.5
    rows, columns = shadows.heights.shape
    i, j = int(np.floor(x)), int(np.floor(y))
    if i < 0 or j < 0 or i >= columns - 1 or j >= rows - 1:
        return 1.0
    if flags & _FOLIAGE:
        bias = 0.5
    else:
        # how much the plane itself rises from a cell of the map to the next
        bias = 0.03 + min(shadows.cell * (abs(normal[0]) + abs(normal[1])) / (facing + 0.02), 2.0)
    limit, s, t = z + bias, x - i, y - j
    heights = shadows.heights
    above = (heights[j, i] < limit) * (1 - s) + (heights[j, i + 1] < limit) * s
    below = (heights[j + 1, i] < limit) * (1 - s) + (heights[j + 1, i + 1] < limit) * s
    return above * (1 - t) + below * t


@kernel
def _lamplight(light: Light, flags: int, normal: np.ndarray, place: np.ndarray, arriving: np.ndarray) -> None:
    up = 0.2 if flags & _FOLIAGE else normal[2]
    for c in range(3):
        arriving[c] = light.above[c] * (0.7 + 0.3 * up)
    i, j = int((place[0] - light.lamp_low[0]) / LAMP_CELL), int((place[1] - light.lamp_low[1]) / LAMP_CELL)
    rows, columns, count = light.lamp_cells.shape
    if i < 0 or j < 0 or i >= columns or j >= rows:
        return
    for n in range(count):
        k = light.lamp_cells[j, i, n]
        if k < 0:
            return
        lamp = light.lamps[k]
        x, y, z = lamp[0] - place[0], lamp[1] - place[1], lamp[2] - place[2]
        square = x * x + y * y + z * z
        fade = 1 - square / (lamp[10] * lamp[10])
        if fade <= 0:
            continue
        over = 1 / np.sqrt(square + 1e-6)
        facing = (x * normal[0] + y * normal[1] + z * normal[2]) * over
        facing = 0.5 if flags & _FOLIAGE else 0.12 + 0.88 * facing if facing > 0 else 0.12 * max(1 + 3 * facing, 0.0)
        if lamp[9] == 1:  # DOWN
            facing *= min(max(0.12 + 1.5 * z * over, 0.04), 1.0)
        elif lamp[9] == 2:  # BEAM
            along = -(x * lamp[6] + y * lamp[7] + z * lamp[8]) * over
            facing *= max(along - 0.75, 0.0) ** 2 * 16
        facing *= fade * fade * 22 / (square + 4)
        for c in range(3):
            arriving[c] += lamp[3 + c] * facing


@kernel
def _sky(sky: np.ndarray, x: float, y: float, z: float, length: float, colour: np.ndarray) -> None:
    """Fills colour with the light of the sky in a direction of that length; below the horizon, of the horizon."""
    side = sky.shape[0]
    z = max(z, 0.01 * length)
    total = abs(x) + abs(y) + z
    a = ((x + y) / total + 1) * (side / 2) - 0.5
    b = ((x - y) / total + 1) * (side / 2) - 0.5
    a, b = min(max(a, 0.0), side - 1.001), min(max(b, 0.0), side - 1.001)
    i, j = int(a), int(b)
    s, t = np.float32(a - i), np.float32(b - j)
    unit = np.float32(1)
    for c in range(3):
        above = sky[j, i, c] * (unit - s) + sky[j, i + 1, c] * s
        below = sky[j + 1, i, c] * (unit - s) + sky[j + 1, i + 1, c] * s
        colour[c] = above * (unit - t) + below * t


@kernel
def _mirror_sky(
    light: Light, ray: np.ndarray, normal: np.ndarray, least: float, colour: np.ndarray, arriving: np.ndarray
) -> None:
    """Adds what a pane mirrors: the sky, or, at a flat angle, the houses across; colour is overwritten by it."""
    facing = ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2]
    x, y = ray[0] - 2 * facing * normal[0], ray[1] - 2 * facing * normal[1]
    z = ray[2] - 2 * facing * normal[2]
    slant = 1 - min(abs(facing), 1.0)
    square = slant * slant
    share = least + (0.9 - least) * square * square
    tint = colour[0], colour[1], colour[2]
    _sky(light.sky, x, y, z, 1.0, colour)
    free = min(max((z - 0.12) * 4, 0.0), 1.0)
    for c in range(3):
        houses = 0.16 * (light.above[c] + light.sun_colour[c] * 0.4)
        mirrored = houses + (min(colour[c], 1.6) - houses) * free
        arriving[c] += (mirrored - arriving[c]) * share
        colour[c] = tint[c]


@kernel
def _haze(light: Light, ray: np.ndarray, distance: float, colour: np.ndarray, pale: np.ndarray) -> None:
    share = 1 - np.exp(-light.haze * distance)
    if distance > 230:  # what is drawn ends at 400 m, and should not be seen to end
        share += (1 - share) * min((distance - 230) / 150, 1.0)
    if share < 0.004:
        return
    _sky(light.sky, ray[0], ray[1], 0.06, 1.0, pale)
    for c in range(3):
        colour[c] += (min(pale[c], 1.2) - colour[c]) * share


@kernel
def mirror(view: View, target: Target, still: Triangles, light: Light, out: np.ndarray) -> None:
    """Mirrors what stands above wet ground in it, as far as it is in the picture.

    view, target, still, light: as for shade
    out: float32 (size, size, 3), changed
    """
    size = view.size
    ray, normal, colour = np.empty(3), np.empty(3), np.empty(3)
    for y in range(size):
        for x in range(size):
            row = target.drawn[y, x]
            if row < 0 or target.source[row, 0] != 0 or not still.flags[target.source[row, 1]] & _GROUND:
                continue
            if target.planes[row, NORMAL + 2] < 0.7:
                continue
            dx, dy = (x + 0.5 - size / 2) / view.focal, (y + 0.5 - size / 2) / view.focal
            depth = 1 / np.float64(target.nearness[y, x])
            for c in range(3):
                ray[c] = view.axes[2, c] + dx * view.axes[0, c] + dy * view.axes[1, c]
            east, north = view.position[0] + ray[0] * depth, view.position[1] + ray[1] * depth
            length = np.sqrt(1 + dx * dx + dy * dy)
            puddle = _noise(light.noise, east * 0.9, north * 0.9)
            puddle = min(max((puddle - 0.75 + 0.3 * light.wet) * 6, 0.0), 1.0)
            ripple = 0.05 * (1 - puddle) + 0.01
            facing = 0.0
            for c in range(3):
                normal[c] = target.planes[row, NORMAL + c]
            normal[0] += ripple * (_noise(light.noise, east * 31, north * 31) - 0.5)
            normal[1] += ripple * (_noise(light.noise, north * 37, east * 29) - 0.5)
            for c in range(3):
                ray[c] /= length
                facing += ray[c] * normal[c]
            slant = 1 - min(abs(facing), 1.0)
            share = light.wet * (0.04 + 0.75 * slant**4) * (0.35 + 0.65 * puddle)
            if light.snow > 0.3:
                share *= 0.3
            for c in range(3):
                ray[c] -= 2 * facing * normal[c]
            _march(view, target, light, ray, depth, dx, dy, out, colour)
            for c in range(3):
                out[y, x, c] += (min(colour[c], 2.0) - out[y, x, c]) * share


@kernel
def _march(
    view: View,
    target: Target,
    light: Light,
    ray: np.ndarray,
    depth: float,
    dx: float,
    dy: float,
    out: np.ndarray,
    colour: np.ndarray,
) -> None:
    """Follows a mirrored ray from a place until it passes behind something in the picture; else it meets the sky."""
    size = view.size
    across, down, forward = 0.0, 0.0, 0.0
    for c in range(3):
        across, down = across + ray[c] * view.axes[0, c], down + ray[c] * view.axes[1, c]
        forward += ray[c] * view.axes[2, c]
    step = 0.4
    for _ in range(16):
        z = depth + forward * step
        if z < 0.2:
            break
        i = int(size / 2 + view.focal * (dx * depth + across * step) / z)
        j = int(size / 2 + view.focal * (dy * depth + down * step) / z)
        if i < 0 or j < 0 or i >= size or j >= size:
            break
        near = target.nearness[j, i]
        if near * z > 1.005 and near * (z - 0.5 * step - 1) < 1:
            for c in range(3):
                colour[c] = out[j, i, c]
            return
        step *= 1.38
    _sky(light.sky, ray[0], ray[1], ray[2], 1.0, colour)
    free = min(max(ray[2] * 3 - 0.3, 0.15), 1.0)
    for c in range(3):
        colour[c] *= free


@kernel
def tone(light: np.ndarray, adapts: float, target: float, out: np.ndarray) -> None:
    """Turns light into a picture, as a camera that sets its exposure by itself.

    light: float32 (size, size, 3)
    adapts: 0 to 1, how much of the difference from the wanted brightness is made up for
    target: the wanted mean brightness, 0 to 1
    out: uint8 (size, size, 3), filled
    """
    size = light.shape[0]
    total = 0.0
    for y in range(0, size, 2):
        for x in range(0, size, 2):
            total += np.sqrt(min(0.3 * light[y, x, 0] + 0.6 * light[y, x, 1] + 0.1 * light[y, x, 2], 1.2))
    mean = total / (((size + 1) // 2) ** 2)
    gain = np.float32(min(max((target / (mean + 1e-4)) ** (2 * adapts), 0.45), 2.5))
    for y in range(size):
        for x in range(size):
            for c in range(3):
                value = np.sqrt(max(light[y, x, c] * gain, np.float32(0)))
                if value > 0.75:  # bright places keep some drawing
                    over = value - np.float32(0.75)
                    value = np.float32(0.75) + over / (1 + over * np.float32(2.2))
                out[y, x, c] = np.uint8(min(value, np.float32(1)) * 255)
