"""The light that comes from each pixel: kernels."""

import numpy as np

from demo_city.engine.draw import Target, View
from demo_city.engine.jit import kernel, part
from demo_city.engine.light import Light, Row
from demo_city.engine.memory import Texels
from demo_city.engine.openness import Openness
from demo_city.engine.shadow import Shadows

_CUTOUT, _GROUND, _FOLIAGE, _GLASS, _EMITS, _SHELTERED = 1, 2, 4, 8, 16, 128  # of engine.mesh
_DOWN, _BEAM = 1, 2  # of engine.lamps
_PANES = 229  # alpha up to which an opaque texture shows glass


@kernel
def shade(
    view: View,
    target: Target,
    texels: Texels,
    slots: np.ndarray,
    light: Light,
    shadows: Shadows,
    openness: Openness,
    room: Row,
    out: np.ndarray,
) -> None:
    """Lights all pixels.

    view: the camera
    target: what is seen
    texels, slots: the texture memory, and where each texture is in it
    light: of the day or night
    shadows: of the sun
    openness: how much of the sky is seen
    room: for a row
    out: float32 (size, size, 3), filled
    """
    for y in range(view.size):
        _follow_rays(view, target, y, room)
        _sample(target, texels, slots, y, room)
        if light.wet > 0 or light.snow > 0:
            _weather(light, target, room)
        _skylight(light, target, openness, room)
        if light.night:
            _lamplight(light, target, room)
        else:
            _daylight(light, target, shadows, room)
        _glass(light, target, room)
        _glow(light, target, room)
        _haze(light, room, out[y])


@part
def _follow_rays(view: View, target: Target, y: int, room: Row) -> None:
    half, over = view.size / 2, 1 / view.focal
    dy = (y + 0.5 - half) * over
    for x in range(view.size):
        dx = (x + 0.5 - half) * over
        length = np.sqrt(1 + dx * dx + dy * dy)
        row = target.drawn[y, x]
        room.row[x] = row
        depth = 1 / np.float64(target.nearness[y, x]) if row >= 0 else 0.0
        room.distance[x] = depth * length
        for c in range(3):
            ray = view.axes[2, c] + dx * view.axes[0, c] + dy * view.axes[1, c]
            room.rays[x, c] = ray / length
            room.places[x, c] = view.position[c] + ray * depth
            if row >= 0:
                room.normals[x, c] = target.normal[row, c]


@part
def _sample(target: Target, texels: Texels, slots: np.ndarray, y: int, room: Row) -> None:
    """Looks up the textures, smoothed between four texels; alpha is of the nearest one."""
    across, down, tint, unit, table = target.across, target.down, target.tint, np.float32(1), texels.texels
    for x in range(len(room.row)):
        row = room.row[x]
        if row < 0:
            continue
        depth = 1 / np.float64(target.nearness[y, x])
        a, b = x + 0.5, y + 0.5
        u = across[row, 0] + depth * (across[row, 1] * a + across[row, 2] * b + across[row, 3])
        v = down[row, 0] + depth * (down[row, 1] * a + down[row, 2] * b + down[row, 3])
        slot, repeats = slots[target.texture[row]], target.repeats[row]
        width, height = texels.size[slot, 0], texels.size[slot, 1]
        area = target.density[row] * depth * depth * depth * width * height
        level = 0
        while area > 1.6 and level < texels.first.shape[1] - 1:
            area *= 0.25
            level += 1
            width, height = (width + 1) >> 1, (height + 1) >> 1
        if repeats:
            u, v = u - np.floor(u), v - np.floor(v)
        u, v = u * width - 0.5, v * height - 0.5
        left, top = int(np.floor(u)), int(np.floor(v))
        s, t = np.float32(u - left), np.float32(v - top)
        right, bottom = left + 1, top + 1
        if repeats:
            left, top = left + width if left < 0 else left, top + height if top < 0 else top
            right, bottom = right - width if right >= width else right, bottom - height if bottom >= height else bottom
        left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
        right, bottom = min(max(right, 0), width - 1), min(max(bottom, 0), height - 1)
        one, three = texels.first[slot, level] + top * width, texels.first[slot, level] + bottom * width
        one, two, three, four = one + left, one + right, three + left, three + right
        for c in range(3):
            above = table[one, c] * (unit - s) + table[two, c] * s
            below = table[three, c] * (unit - s) + table[four, c] * s
            tinted = (above * (unit - t) + below * t) * (tint[row, c] * np.float32(1 / 65025))
            room.colour[x, c] = tinted * tinted  # as it is stored, it is about the square root of the light
        nearest = (one if t < 0.5 else three) if s < 0.5 else (two if t < 0.5 else four)
        room.alpha[x] = 0 if target.flags[row] & _CUTOUT else table[nearest, 3]


@part
def _noise(table: np.ndarray, x: float, y: float) -> float:
    side = table.shape[0]
    i, j = int(np.floor(x)), int(np.floor(y))
    s, t = np.float32(x - i), np.float32(y - j)
    left, right, top, bottom = i & (side - 1), (i + 1) & (side - 1), j & (side - 1), (j + 1) & (side - 1)
    above = table[top, left] + (table[top, right] - table[top, left]) * s
    below = table[bottom, left] + (table[bottom, right] - table[bottom, left]) * s
    return above + (below - above) * t


@part
def _weather(light: Light, target: Target, room: Row) -> None:
    """Darkens what is wet, and whitens what snow lies on."""
    for x in range(len(room.row)):
        if room.row[x] < 0:
            continue
        flags, up = target.flags[room.row[x]], room.normals[x, 2]
        dark = np.float32(1 - light.wet * (0.5 if flags & _GROUND else 0.2))
        for c in range(3):
            room.colour[x, c] *= dark
        if light.snow == 0 or flags & _SHELTERED or (up < 0.25 and not flags & _FOLIAGE):
            continue
        lying = light.snow * (0.45 if flags & _FOLIAGE else min((up - 0.25) * 3, 1.0))
        east, north = room.places[x, 0], room.places[x, 1]
        fine = _noise(light.noise, east * 9, north * 9 + room.places[x, 2] * 7)
        coarse = _noise(light.noise, east * 1.7, north * 1.7)
        wide = _noise(light.noise, east * 0.31, north * 0.31)
        if flags & _GROUND:  # trodden down, and melting
            lying *= 0.55 + 0.6 * wide
        cover = min(max((lying * 1.5 - 0.6 * coarse - 0.4 * fine) * 3, 0.0), 1.0)
        white = 0.62 + 0.14 * fine + 0.12 * coarse
        for c in range(3):
            room.colour[x, c] += (white * (0.97 + 0.015 * c) - room.colour[x, c]) * cover


@part
def _skylight(light: Light, target: Target, openness: Openness, room: Row) -> None:
    """Light from the sky and from the ground, less between houses, and less under what covers a place."""
    low, values, cover = openness.low, openness.values, openness.cover
    rows, columns = values.shape[0], values.shape[1]
    for x in range(len(room.row)):
        if room.row[x] < 0:
            continue
        leaves = (target.flags[room.row[x]] & _FOLIAGE) > 0
        off, up = (0.0, 0.35) if leaves else (0.9, room.normals[x, 2])
        east, north = room.places[x, 0] + off * room.normals[x, 0], room.places[x, 1] + off * room.normals[x, 1]
        a = min(max((east - low[0]) / openness.cell - 0.5, 0.0), columns - 1.001)
        b = min(max((north - low[1]) / openness.cell - 0.5, 0.0), rows - 1.001)
        i, j = int(a), int(b)
        s, t = np.float32(a - i), np.float32(b - j)
        z = room.places[x, 2]
        height = z - values[j, i, 0]
        # between the heights at which it is known: 0.5, 5 and 14 m
        layer = 1 if height < 5 else 2
        share = np.float32((height - 0.5) / 4.5 if height < 5 else (height - 5) / 9)
        share = min(max(share, np.float32(0)), np.float32(1))
        seen = np.float32(0)
        for n in range(2):
            above = values[j, i, layer + n] * (1 - s) + values[j, i + 1, layer + n] * s
            below = values[j + 1, i, layer + n] * (1 - s) + values[j + 1, i + 1, layer + n] * s
            seen += (above * (1 - t) + below * t) * (share if n else 1 - share)
        if up > -0.5:
            near = 0.3 * (1 - abs(room.normals[x, 2])) if not leaves else 0.0
            free = _sunlit(
                cover,
                room.places[x, 0] + near * room.normals[x, 0],
                room.places[x, 1] + near * room.normals[x, 1],
                z,
                1.0 if leaves else 0.25,
            )
            seen *= np.float32(0.42 + 0.58 * free)
        for n in range(3):
            room.arriving[x, n] = seen * (light.above[n] * (0.58 + 0.42 * up) + light.below[n] * (0.5 - 0.5 * up))


@part
def _daylight(light: Light, target: Target, shadows: Shadows, room: Row) -> None:
    if light.sun_colour[1] <= 0:
        return
    sun_x, sun_y, sun_z = light.sun[0], light.sun[1], light.sun[2]
    for x in range(len(room.row)):
        if room.row[x] < 0:
            continue
        leaves = (target.flags[room.row[x]] & _FOLIAGE) > 0
        a, b, c = room.normals[x, 0], room.normals[x, 1], room.normals[x, 2]
        facing = a * sun_x + b * sun_y + c * sun_z
        if leaves:
            facing = 0.55 + 0.25 * abs(facing)
        if facing <= 0:
            continue
        # how much the plane itself rises from a cell of the map to the next
        bias = 0.5 if leaves else 0.03 + min(shadows.cell * (abs(a) + abs(b)) / (facing + 0.02), 2.0)
        off = 0.3 if leaves else 0.06
        z = room.places[x, 2] + c * off
        east, north = room.places[x, 0] + a * off, room.places[x, 1] + b * off
        free = facing * _sunlit(shadows, east, north, z, bias)
        for n in range(3):
            room.arriving[x, n] += light.sun_colour[n] * free


@part
def _sunlit(shadows: Shadows, east: float, north: float, z: float, bias: float) -> float:
    """The share of sunlight, 0 to 1: four cells of the map are compared, and smoothed between them."""
    x = (east - z * shadows.slope[0] - shadows.low[0]) / shadows.cell - 0.5
    y = (north - z * shadows.slope[1] - shadows.low[1]) / shadows.cell - 0.5
    heights = shadows.heights
    i, j = int(np.floor(x)), int(np.floor(y))
    if i < 0 or j < 0 or i >= heights.shape[1] - 1 or j >= heights.shape[0] - 1:
        return 1.0
    limit, s, t = z + bias, x - i, y - j
    above = (heights[j, i] < limit) * (1 - s) + (heights[j, i + 1] < limit) * s
    below = (heights[j + 1, i] < limit) * (1 - s) + (heights[j + 1, i + 1] < limit) * s
    return above * (1 - t) + below * t


@part
def _lamplight(light: Light, target: Target, room: Row) -> None:
    lamps, cells, places, arriving, one = light.lamps, light.lamp_cells, room.places, room.arriving, np.float32(1)
    listed = cells.shape[2]
    for x in range(len(room.row)):
        if room.row[x] < 0:
            continue
        leaves = (target.flags[room.row[x]] & _FOLIAGE) > 0
        i = int((places[x, 0] - light.lamp_low[0]) / light.lamp_cell)
        j = int((places[x, 1] - light.lamp_low[1]) / light.lamp_cell)
        inside = 0 <= i < cells.shape[1] and 0 <= j < cells.shape[0]
        for n in range(0 if inside else listed, listed + light.lights):
            k = cells[j, i, n] if n < listed else len(lamps) - 1 - (n - listed)
            if k < 0:
                continue
            a = lamps[k, 0] - np.float32(places[x, 0])
            b = lamps[k, 1] - np.float32(places[x, 1])
            c = lamps[k, 2] - np.float32(places[x, 2])
            square = a * a + b * b + c * c + np.float32(1e-6)
            fade = one - square * lamps[k, 10]
            if fade <= 0:
                continue
            over = one / np.sqrt(square)
            facing = (a * room.normals[x, 0] + b * room.normals[x, 1] + c * room.normals[x, 2]) * over
            if facing < np.float32(-0.33) and not leaves:
                continue
            share = fade * fade * np.float32(60) / (square + np.float32(4))
            if leaves:
                share *= np.float32(0.35)
            elif facing > 0:
                share *= np.float32(0.12) + np.float32(0.88) * facing
            else:
                share *= np.float32(0.12) + np.float32(0.36) * facing
            if lamps[k, 9] == _DOWN:
                share *= min(max(np.float32(0.12) + np.float32(1.5) * c * over, np.float32(0.04)), one)
            elif lamps[k, 9] == _BEAM:
                along = -(a * lamps[k, 6] + b * lamps[k, 7] + c * lamps[k, 8]) * over - np.float32(0.75)
                share *= np.float32(16) * along * along if along > 0 else np.float32(0)
            arriving[x, 0] += lamps[k, 3] * share
            arriving[x, 1] += lamps[k, 4] * share
            arriving[x, 2] += lamps[k, 5] * share


@part
def _sky(sky: np.ndarray, x: float, y: float, z: float) -> tuple[float, float, float]:
    """The light of the sky in a direction; below the horizon, of the horizon."""
    side = sky.shape[0]
    z = max(z, np.float32(0.01))
    over = 1 / (abs(x) + abs(y) + z)
    a = ((x + y) * over + 1) * (side / 2) - 0.5
    b = ((x - y) * over + 1) * (side / 2) - 0.5
    a, b = min(max(a, 0.0), side - 1.001), min(max(b, 0.0), side - 1.001)
    i, j = int(a), int(b)
    s, t = np.float32(a - i), np.float32(b - j)
    unit = np.float32(1)
    one, two, three, four = (unit - s) * (unit - t), s * (unit - t), (unit - s) * t, s * t
    return (
        sky[j, i, 0] * one + sky[j, i + 1, 0] * two + sky[j + 1, i, 0] * three + sky[j + 1, i + 1, 0] * four,
        sky[j, i, 1] * one + sky[j, i + 1, 1] * two + sky[j + 1, i, 1] * three + sky[j + 1, i + 1, 1] * four,
        sky[j, i, 2] * one + sky[j, i + 1, 2] * two + sky[j + 1, i, 2] * three + sky[j + 1, i + 1, 2] * four,
    )


@part
def _glass(light: Light, target: Target, room: Row) -> None:
    """Turns arriving light into light that is given back; panes mirror the sky, or at a flat angle houses across."""
    for x in range(len(room.row)):
        if room.row[x] < 0:
            continue
        for c in range(3):
            room.arriving[x, c] *= room.colour[x, c]
        glass, alpha = target.flags[room.row[x]] & _GLASS, room.alpha[x]
        if not glass and not 0 < alpha <= _PANES:
            continue
        facing = np.float32(0)
        for c in range(3):
            facing += room.rays[x, c] * room.normals[x, c]
        a, b = room.rays[x, 0] - 2 * facing * room.normals[x, 0], room.rays[x, 1] - 2 * facing * room.normals[x, 1]
        z = room.rays[x, 2] - 2 * facing * room.normals[x, 2]
        slant, least = 1 - min(abs(facing), np.float32(1)), 0.12 if glass else 0.05
        share = least + (0.9 - least) * slant**4
        free = min(max((z - 0.12) * 4, 0.0), 1.0)
        sky = _sky(light.sky, a, b, z)
        for c in range(3):
            houses = 0.16 * (light.above[c] + light.sun_colour[c] * 0.4)
            mirrored = houses + (min(sky[c], 1.6) - houses) * free
            room.arriving[x, c] += (mirrored - room.arriving[x, c]) * share


@part
def _glow(light: Light, target: Target, room: Row) -> None:
    """Adds what shines by itself."""
    for x in range(len(room.row)):
        row = room.row[x]
        if row < 0:
            continue
        if target.flags[row] & _EMITS:
            for c in range(3):
                room.arriving[x, c] += (1.6 if light.night else 0.5) * room.colour[x, c]
        elif light.night and room.alpha[x] > 0:
            owner = target.owner[row]
            owner = owner if owner >= 0 else light.shine.shape[0] - 1
            pattern = room.colour[x, 0] + room.colour[x, 1] + room.colour[x, 2]
            pattern = min(0.25 + 0.6 * pattern, 1.5)
            for c in range(3):
                room.arriving[x, c] += light.shine[owner, room.alpha[x], c] * pattern


@part
def _haze(light: Light, room: Row, out: np.ndarray) -> None:
    """Fills the row of the picture: the sky, and what is nearer, paled by the distance."""
    for x in range(len(room.row)):
        a, b = room.rays[x, 0], room.rays[x, 1]
        if room.row[x] < 0:
            out[x, 0], out[x, 1], out[x, 2] = _sky(light.sky, a, b, room.rays[x, 2])
            continue
        for c in range(3):
            out[x, c] = room.arriving[x, c]
        distance = room.distance[x]
        share = 1 - np.exp(-light.haze * distance)
        if distance > 230:  # what is drawn ends at 400 m, and should not be seen to end
            share += (1 - share) * min((distance - 230) / 150, 1.0)
        if share > 0.004:
            pale = _sky(light.sky, a, b, np.float32(0.06))
            for c in range(3):
                out[x, c] += (min(pale[c], 1.2) - out[x, c]) * share
