"""What wet ground mirrors: a kernel."""

import numpy as np

from demo_city.engine.draw import Target, View
from demo_city.engine.jit import kernel, part
from demo_city.engine.light import Light

_GROUND = 2  # of engine.mesh


@kernel
def mirror(view: View, target: Target, light: Light, out: np.ndarray) -> None:
    """Mirrors what stands above wet ground in it, as far as it is in the picture.

    view, target, light: as for shade
    out: float32 (size, size, 3), changed
    """
    size = view.size
    ray, normal, colour = np.empty(3), np.empty(3), np.empty(3)
    for y in range(size):
        for x in range(size):
            row = target.drawn[y, x]
            if row < 0 or not target.flags[row] & _GROUND or target.normal[row, 2] < 0.7:
                continue
            dx, dy = (x + 0.5 - size / 2) / view.focal, (y + 0.5 - size / 2) / view.focal
            depth = 1 / np.float64(target.nearness[y, x])
            for c in range(3):
                ray[c] = view.axes[2, c] + dx * view.axes[0, c] + dy * view.axes[1, c]
            east, north = view.position[0] + ray[0] * depth, view.position[1] + ray[1] * depth
            length = np.sqrt(1 + dx * dx + dy * dy)
            puddle = _noise(light.noise, east * 11, north * 11)
            puddle = min(max((puddle - 0.8 + 0.35 * light.wet) * 8, 0.0), 1.0)
            ripple = 0.05 * (1 - puddle) + 0.01
            facing = 0.0
            for c in range(3):
                normal[c] = target.normal[row, c]
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
            _march(view, target.nearness, light.sky, ray, depth, dx, dy, out, colour)
            for c in range(3):
                out[y, x, c] += (min(colour[c], 2.0) - out[y, x, c]) * share


@part
def _march(
    view: View,
    nearness: np.ndarray,
    sky: np.ndarray,
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
    step = 0.5
    for _ in range(13):
        z = depth + forward * step
        if z < 0.2:
            break
        i = int(size / 2 + view.focal * (dx * depth + across * step) / z)
        j = int(size / 2 + view.focal * (dy * depth + down * step) / z)
        if i < 0 or j < 0 or i >= size or j >= size:
            break
        near = nearness[j, i]
        if near * z > 1.005 and near * (z - 0.5 * step - 1) < 1:
            for c in range(3):
                colour[c] = out[j, i, c]
            return
        step *= 1.45
    side, up = sky.shape[0], max(ray[2], 0.01)
    total = abs(ray[0]) + abs(ray[1]) + up
    i = min(int(((ray[0] + ray[1]) / total + 1) * side / 2), side - 1)
    j = min(int(((ray[0] - ray[1]) / total + 1) * side / 2), side - 1)
    free = min(max(ray[2] * 3 - 0.3, 0.15), 1.0)  # houses beside the picture
    for c in range(3):
        colour[c] = sky[j, i, c] * free


@part
def _noise(table: np.ndarray, x: float, y: float) -> float:
    return table[int(np.floor(y)) & (table.shape[0] - 1), int(np.floor(x)) & (table.shape[0] - 1)]
