"""What lies in the shadow: the height above every place of the ground to which the sun's rays are blocked."""

from typing import NamedTuple

import numpy as np

from demo_city.engine.jit import kernel, part
from demo_city.engine.memory import Texels
from demo_city.engine.triangles import Triangles

_GROUND, _FOLIAGE, _CUTOUT = 2, 4, 1  # of engine.mesh
_LARGEST = 4096  # cells a side
CELL = 0.22  # metres
NOTHING = np.float32(-1e4)


class Shadows(NamedTuple):
    """Heights under rays that all have the same direction.

    slope: float64 (2,), metres that a ray goes east and north while it rises by 1 m
    low: float64 (2,), metres, where the map begins; a point is mapped to where the ray through it meets the height 0
    cell: metres a side of a cell
    heights: float32 (rows, columns), of the highest thing on the ray, metres; NOTHING where it is free
    """

    slope: np.ndarray
    low: np.ndarray
    cell: float
    heights: np.ndarray


def shadows_of(
    triangles: Triangles,
    direction: np.ndarray,
    texels: Texels,
    slots: np.ndarray,
    cell: float = CELL,
) -> Shadows:
    """Casts the shadows of all triangles that are not ground.

    triangles: which cast them
    direction: (3,), towards the light
    texels, slots: the textures of leaves, through which light falls
    cell: metres at least a side of a cell
    """
    slope = direction[:2] / max(direction[2], 0.12)
    flat = triangles.corners[..., :2] - triangles.corners[..., 2:] * slope
    low, high = flat.min((0, 1), initial=1e6) - 1, flat.max((0, 1), initial=-1e6) + 1
    high = np.maximum(high, low)
    cell = max(cell, float((high - low).max()) / _LARGEST)
    columns, rows = (np.ceil((high - low) / cell) + 1).astype(int)
    shadows = Shadows(slope, low.astype(np.float64), cell, np.full((rows, columns), NOTHING, np.float32))
    cast(triangles, shadows, texels, slots, False)
    return shadows


def window(shadows: Shadows, centre: np.ndarray, reach: float) -> Shadows:
    """A copy of what lies at most `reach` metres from a place (3,)."""
    flat = centre[:2] - centre[2] * shadows.slope
    begin = np.floor((flat - reach - shadows.low) / shadows.cell).astype(int)
    end = begin + int(np.ceil(2 * reach / shadows.cell)) + 1
    rows, columns = shadows.heights.shape
    begin, end = np.maximum(begin, 0), np.minimum(end, (columns, rows))
    end = np.maximum(end, begin)
    heights = shadows.heights[begin[1] : end[1], begin[0] : end[0]].copy()
    return Shadows(shadows.slope, shadows.low + begin * shadows.cell, shadows.cell, heights)


@kernel
def cast(triangles: Triangles, shadows: Shadows, texels: Texels, slots: np.ndarray, ground: bool) -> None:
    """Raises the heights to those of the triangles that are not ground, or only of those that are."""
    rows, columns = shadows.heights.shape
    place = np.empty((3, 3))
    for k in range(len(triangles.flags)):
        flags = triangles.flags[k]
        if (flags & _GROUND > 0) != ground:
            continue
        for i in range(3):
            z = np.float64(triangles.corners[k, i, 2])
            for a in range(2):
                value = triangles.corners[k, i, a] - z * shadows.slope[a] - shadows.low[a]
                place[i, a] = value / shadows.cell - 0.5
            place[i, 2] = z
        x0, x1 = min(place[0, 0], place[1, 0], place[2, 0]), max(place[0, 0], place[1, 0], place[2, 0])
        y0, y1 = min(place[0, 1], place[1, 1], place[2, 1]), max(place[0, 1], place[1, 1], place[2, 1])
        first, last = max(int(np.ceil(x0)), 0), min(int(np.floor(x1)), columns - 1)
        top, bottom = max(int(np.ceil(y0)), 0), min(int(np.floor(y1)), rows - 1)
        ax, ay = place[1, 0] - place[0, 0], place[1, 1] - place[0, 1]
        bx, by = place[2, 0] - place[0, 0], place[2, 1] - place[0, 1]
        area = ax * by - ay * bx
        if last < first or bottom < top or abs(area) < 1e-9:
            continue
        slot = slots[triangles.texture[k]] if flags & _CUTOUT else -1
        for y in range(top, bottom + 1):
            for x in range(first, last + 1):
                px, py = x - place[0, 0], y - place[0, 1]
                b, c = (px * by - py * bx) / area, (ax * py - ay * px) / area
                if b < 0 or c < 0 or b + c > 1:
                    continue
                z = place[0, 2] + b * (place[1, 2] - place[0, 2]) + c * (place[2, 2] - place[0, 2])
                if z > shadows.heights[y, x] and (
                    not flags & _CUTOUT or _solid(triangles, k, z, x, y, shadows, texels, slot)
                ):
                    shadows.heights[y, x] = z


@part
def _solid(triangles: Triangles, k: int, z: float, x: int, y: int, shadows: Shadows, texels: Texels, slot: int) -> bool:
    """Whether a cutout is solid where it is hit; those that were never painted let half of the light through."""
    if slot < 0:
        return (x + y) & 1 == 0
    px = shadows.low[0] + (x + 0.5) * shadows.cell + z * shadows.slope[0]
    py = shadows.low[1] + (y + 0.5) * shadows.cell + z * shadows.slope[1]
    across, down = triangles.across[k], triangles.down[k]
    u = across[0] * px + across[1] * py + across[2] * z + across[3]
    v = down[0] * px + down[1] * py + down[2] * z + down[3]
    width, height = texels.size[slot]
    i = min(int((u - np.floor(u)) * width), width - 1)
    j = min(int((v - np.floor(v)) * height), height - 1)
    return texels.texels[texels.first[slot, 0] + j * width + i, 3] > 127
