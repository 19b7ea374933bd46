"""Which triangle is seen in each pixel, and how far away: kernels."""

from typing import NamedTuple

import numpy as np

from demo_city.engine.jit import kernel
from demo_city.engine.memory import Texels
from demo_city.engine.triangles import Triangles

NEAR = 0.08  # metres
CAPACITY = 1 << 16  # triangles in one view
TILE = 8  # pixels a side of the tiles by which hidden cells are found
_TWO_SIDED, _FOLIAGE, _CUTOUT = 64, 4, 1  # of engine.mesh

# columns of Target.planes: 1 / depth is a x + b y + c at a pixel's centre
_A, _B, _C = 0, 1, 2
U, V = 3, 7  # then u is planes[U] + depth (planes[U + 1] x + planes[U + 2] y + planes[U + 3])
DENSITY = 11  # the area of a pixel in the texture, of 1 x 1, at a depth of 1 m; it grows with depth ** 3
NORMAL = 12  # (3,), towards the camera


class View(NamedTuple):
    """A camera as kernels see it.

    position: float64 (3,), metres
    axes: float64 (3, 3), unit vectors to the right, down and forward
    focal: focal length, pixels
    size: pixels a side
    """

    position: np.ndarray
    axes: np.ndarray
    focal: float
    size: int


class Target(NamedTuple):
    """What is seen, so far.

    nearness: float32 (size, size), 1 / depth; 0 where nothing is
    drawn: int32 (size, size), the row of the triangle in planes and source; -1 where nothing is
    planes: float64 (CAPACITY, 15), functions over the picture of the triangles that were drawn
    source: int32 (CAPACITY, 2), each one's collection (0 still, 1 moving) and index there
    count: int64 (1,), rows in use
    """

    nearness: np.ndarray
    drawn: np.ndarray
    planes: np.ndarray
    source: np.ndarray
    count: np.ndarray


def new_target(size: int) -> Target:
    """An empty target of `size` pixels a side."""
    return Target(
        np.zeros((size, size), np.float32),
        np.full((size, size), -1, np.int32),
        np.empty((CAPACITY, 15)),
        np.empty((CAPACITY, 2), np.int32),
        np.zeros(1, np.int64),
    )


@kernel
def draw(
    triangles: Triangles,
    collection: int,
    cells: np.ndarray,
    detailed: np.ndarray,
    cutouts: bool,
    view: View,
    texels: Texels,
    slots: np.ndarray,
    target: Target,
) -> int:
    """Draws the opaque triangles, or the cutouts, of some cells.

    triangles: of which
    collection: 0 still, 1 moving
    cells: int32 (k,), from near to far
    detailed: bool (k,), whether to draw the details of each
    cutouts: which of the two; cutouts come after all that is opaque
    view: the camera
    texels: the texture memory
    slots: int32, of each texture: its slot there; -1 unknown, -2 wanted, which are set here for cutouts in sight
    target: drawn on
    Returns the number of textures that were wanted, without which their triangles could not be drawn.
    """
    size = view.size
    points = np.empty((3, 3))
    outline = np.empty((4, 2))
    left, right = np.empty(size), np.empty(size)
    tiles = np.zeros(((size + TILE - 1) // TILE, (size + TILE - 1) // TILE), np.float32)
    wanted, since = 0, 0
    for n in range(len(cells)):
        cell = cells[n]
        if n >= 6:  # the nearest ones are hardly hidden
            if since > 300 or n == 6:
                _farthest(target.nearness, tiles)
                since = 0
            if _hidden(triangles.low[cell], triangles.high[cell], view, tiles):
                continue
        kind = 2 if cutouts else 0
        begin, end = triangles.first[cell, kind], triangles.first[cell, kind + (2 if detailed[n] else 1)]
        since += end - begin
        for k in range(begin, end):
            facing = -np.float64(triangles.normal[k, 3])
            for c in range(3):
                facing += triangles.normal[k, c] * view.position[c]
            if abs(facing) < 1e-5 or (facing < 0 and not triangles.flags[k] & _TWO_SIDED):
                continue
            corners = _project(triangles.corners[k], view, points, outline)
            if corners < 3:
                continue
            top, bottom = _spans(outline, corners, size, left, right)
            if bottom < top or target.count[0] >= CAPACITY:
                continue
            row = target.count[0]
            _planes(triangles, k, facing, view, target.planes[row])
            slot = slots[triangles.texture[k]] if cutouts else 0
            if slot < 0:
                if slot == -1 and _seen(target, row, top, bottom, left, right):
                    slots[triangles.texture[k]] = -2
                    wanted += 1
                continue
            if cutouts:
                seen = _fill_cutout(target, row, top, bottom, left, right, texels, slot, triangles.repeats[k])
            else:
                seen = _fill(target, row, top, bottom, left, right)
            if seen:
                target.source[row, 0], target.source[row, 1] = collection, k
                target.count[0] += 1
    return wanted


@kernel
def _project(corners: np.ndarray, view: View, points: np.ndarray, outline: np.ndarray) -> int:
    """Projects a triangle into outline, without what is nearer than NEAR; returns its number of corners, or 0."""
    inside = 0
    for i in range(3):
        for a in range(3):
            total = 0.0
            for c in range(3):
                total += view.axes[a, c] * (corners[i, c] - view.position[c])
            points[i, a] = total
        inside += points[i, 2] >= NEAR
    if inside == 0:
        return 0
    # all on one side of the picture
    half = view.size / 2 / view.focal
    for a in range(2):
        below, above = 0, 0
        for i in range(3):
            reach = points[i, 2] * half
            below += points[i, a] < -reach
            above += points[i, a] > reach
        if below == 3 or above == 3:
            return 0
    centre, count = view.size / 2, 0
    for i in range(3):
        j = (i + 1) % 3
        here, there = points[i, 2] >= NEAR, points[j, 2] >= NEAR
        if here:
            outline[count, 0] = centre + view.focal * points[i, 0] / points[i, 2]
            outline[count, 1] = centre + view.focal * points[i, 1] / points[i, 2]
            count += 1
        if here != there:
            # from the corner in front of the camera, so that both triangles at an edge find the same point
            a, b = (i, j) if here else (j, i)
            share = (points[a, 2] - NEAR) / (points[a, 2] - points[b, 2])
            for c in range(2):
                value = points[a, c] + share * (points[b, c] - points[a, c])
                outline[count, c] = centre + view.focal * value / NEAR
            count += 1
    return count


@kernel
def _spans(outline: np.ndarray, corners: int, size: int, left: np.ndarray, right: np.ndarray) -> tuple[int, int]:
    """Finds the first and last row of a convex outline, and where it begins and ends in each row between them."""
    low, high = outline[0, 1], outline[0, 1]
    for i in range(1, corners):
        low, high = min(low, outline[i, 1]), max(high, outline[i, 1])
    top, bottom = int(max(np.ceil(low - 0.5), 0.0)), int(min(np.ceil(high - 0.5), np.float64(size))) - 1
    if bottom < top:
        return 0, -1
    for y in range(top, bottom + 1):
        left[y], right[y] = 1e9, -1e9
    for i in range(corners):
        j = (i + 1) % corners
        if outline[i, 1] == outline[j, 1]:
            continue
        # from the upper end, so that both triangles at an edge find the same places
        a, b = (i, j) if outline[i, 1] < outline[j, 1] else (j, i)
        slope = (outline[b, 0] - outline[a, 0]) / (outline[b, 1] - outline[a, 1])
        first = max(int(max(np.ceil(outline[a, 1] - 0.5), 0.0)), top)
        last = min(int(min(np.ceil(outline[b, 1] - 0.5), np.float64(size))) - 1, bottom)
        for y in range(first, last + 1):
            x = outline[a, 0] + (y + 0.5 - outline[a, 1]) * slope
            left[y], right[y] = min(left[y], x), max(right[y], x)
    return top, bottom


@kernel
def _ends(left: float, right: float, size: int) -> tuple[int, int]:
    """The pixels whose centres lie in a span: the first one, and the one after the last."""
    return int(min(max(np.ceil(left - 0.5), 0.0), np.float64(size))), int(min(np.ceil(right - 0.5), np.float64(size)))


@kernel
def _planes(triangles: Triangles, k: int, facing: float, view: View, plane: np.ndarray) -> None:
    """The functions over the picture: from a point's place in space, which lies on a ray through its pixel."""
    centre, axes = view.size / 2, view.axes
    for out in range(3):  # 1 / depth, u, v
        vector = triangles.normal[k] if out == 0 else triangles.across[k] if out == 1 else triangles.down[k]
        a, b, c, here = 0.0, 0.0, 0.0, np.float64(vector[3])
        for i in range(3):
            a += vector[i] * axes[0, i] / view.focal
            b += vector[i] * axes[1, i] / view.focal
            c += vector[i] * axes[2, i]
            here += vector[i] * view.position[i]
        c -= (a + b) * centre
        if out == 0:
            plane[_A], plane[_B], plane[_C] = -a / facing, -b / facing, -c / facing
        else:
            base = U if out == 1 else V
            plane[base], plane[base + 1], plane[base + 2], plane[base + 3] = here, a, b, c
    plane[DENSITY] = abs(
        plane[_A] * (plane[U + 2] * plane[V + 3] - plane[U + 3] * plane[V + 2])
        - plane[_B] * (plane[U + 1] * plane[V + 3] - plane[U + 3] * plane[V + 1])
        + plane[_C] * (plane[U + 1] * plane[V + 2] - plane[U + 2] * plane[V + 1])
    )
    for i in range(3):
        plane[NORMAL + i] = triangles.normal[k, i] if facing > 0 else -triangles.normal[k, i]


@kernel
def _fill(target: Target, row: int, top: int, bottom: int, left: np.ndarray, right: np.ndarray) -> bool:
    plane, size, seen = target.planes[row], target.nearness.shape[0], False
    for y in range(top, bottom + 1):
        begin, end = _ends(left[y], right[y], size)
        base = plane[_B] * (y + 0.5) + plane[_C]
        for x in range(begin, end):
            near = np.float32(base + plane[_A] * (x + 0.5))
            if near > target.nearness[y, x]:
                target.nearness[y, x] = near
                target.drawn[y, x] = row
                seen = True
    return seen


@kernel
def _seen(target: Target, row: int, top: int, bottom: int, left: np.ndarray, right: np.ndarray) -> bool:
    """Whether anything of a triangle lies before all that was drawn."""
    plane, size = target.planes[row], target.nearness.shape[0]
    for y in range(top, bottom + 1):
        begin, end = _ends(left[y], right[y], size)
        for x in range(begin, end):
            if plane[_B] * (y + 0.5) + plane[_C] + plane[_A] * (x + 0.5) > target.nearness[y, x]:
                return True
    return False


@kernel
def _fill_cutout(
    target: Target,
    row: int,
    top: int,
    bottom: int,
    left: np.ndarray,
    right: np.ndarray,
    texels: Texels,
    slot: int,
    repeats: int,
) -> bool:
    plane, size, seen = target.planes[row], target.nearness.shape[0], False
    full_width, full_height = texels.size[slot]
    for y in range(top, bottom + 1):
        begin, end = _ends(left[y], right[y], size)
        for x in range(begin, end):
            near = np.float32(plane[_B] * (y + 0.5) + plane[_C] + plane[_A] * (x + 0.5))
            if near <= target.nearness[y, x]:
                continue
            depth = 1 / near
            u = plane[U] + depth * (plane[U + 1] * (x + 0.5) + plane[U + 2] * (y + 0.5) + plane[U + 3])
            v = plane[V] + depth * (plane[V + 1] * (x + 0.5) + plane[V + 2] * (y + 0.5) + plane[V + 3])
            if repeats:
                u, v = u - np.floor(u), v - np.floor(v)
            area = plane[DENSITY] * depth * depth * depth * full_width * full_height
            level, width, height = 0, full_width, full_height
            while area > 2.0 and level < texels.first.shape[1] - 1:
                area *= 0.25
                level += 1
                width, height = (width + 1) >> 1, (height + 1) >> 1
            i, j = min(max(int(u * width), 0), width - 1), min(max(int(v * height), 0), height - 1)
            if texels.texels[texels.first[slot, level] + j * width + i, 3] > 127:
                target.nearness[y, x] = near
                target.drawn[y, x] = row
                seen = True
    return seen


@kernel
def _farthest(nearness: np.ndarray, tiles: np.ndarray) -> None:
    """The smallest nearness in each tile."""
    size = nearness.shape[0]
    tiles[:] = 1e9
    for y in range(size):
        for x in range(size):
            tiles[y // TILE, x // TILE] = min(tiles[y // TILE, x // TILE], nearness[y, x])


@kernel
def _hidden(low: np.ndarray, high: np.ndarray, view: View, tiles: np.ndarray) -> bool:
    """Whether a box lies behind what was drawn."""
    size = view.size
    left, right, top, bottom, nearest = 1e9, -1e9, 1e9, -1e9, 1e9
    for corner in range(8):
        a, b, depth = 0.0, 0.0, 0.0
        for c in range(3):
            offset = (high[c] if corner >> c & 1 else low[c]) - view.position[c]
            a, b, depth = (
                a + view.axes[0, c] * offset,
                b + view.axes[1, c] * offset,
                depth + view.axes[2, c] * offset,
            )
        if depth < NEAR:
            return False
        x, y = size / 2 + view.focal * a / depth, size / 2 + view.focal * b / depth
        left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
        nearest = min(nearest, depth)
    if right < 0 or left >= size or bottom < 0 or top >= size:
        return True
    limit = np.float32(1 / nearest)
    for j in range(int(max(top, 0.0)) // TILE, int(min(bottom, size - 1.0)) // TILE + 1):
        for i in range(int(max(left, 0.0)) // TILE, int(min(right, size - 1.0)) // TILE + 1):
            if tiles[j, i] < limit:
                return False
    return True
