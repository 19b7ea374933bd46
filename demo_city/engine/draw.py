"""Which triangle is seen in each pixel, and how far away: kernels."""

from typing import NamedTuple

import numpy as np

from demo_city.engine.jit import kernel, part
from demo_city.engine.memory import Texels
from demo_city.engine.triangles import Triangles

NEAR = 0.08  # metres
CAPACITY = 1 << 16  # triangles in one view
TILE = 8  # pixels a side of the tiles by which hidden cells are found
_TWO_SIDED, _FOLIAGE, _CUTOUT = 64, 4, 1  # of engine.mesh


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
    """What is seen so far: a picture, and rows of what is known of each triangle in it.

    nearness: float32 (size, size), 1 / depth; 0 where nothing is
    drawn: int32 (size, size), the row of the triangle; -1 where nothing is
    slope: float64 (rows, 3): 1 / depth is a x + b y + c at a pixel's centre x, y
    across, down: float64 (rows, 4): u (or v) is a + depth (b x + c y + d)
    density: float64 (rows,), the area of a pixel in a texture of 1 x 1, at a depth of 1 m; it grows with depth ** 3
    normal: float64 (rows, 3), towards the camera
    texture, owner, flags, repeats, tint: as in Triangles
    moves: uint8 (rows,), whether the triangle is of what moves
    index: int32 (rows,), its index there
    count: int64 (1,), rows in use
    """

    nearness: np.ndarray
    drawn: np.ndarray
    slope: np.ndarray
    across: np.ndarray
    down: np.ndarray
    density: np.ndarray
    normal: np.ndarray
    texture: np.ndarray
    owner: np.ndarray
    flags: np.ndarray
    repeats: np.ndarray
    tint: np.ndarray
    moves: np.ndarray
    index: np.ndarray
    count: np.ndarray


def new_target(size: int) -> Target:
    """An empty target of `size` pixels a side."""
    return Target(
        np.zeros((size, size), np.float32),
        np.full((size, size), -1, np.int32),
        np.empty((CAPACITY, 3)),
        np.empty((CAPACITY, 4)),
        np.empty((CAPACITY, 4)),
        np.empty(CAPACITY),
        np.empty((CAPACITY, 3)),
        np.empty(CAPACITY, np.int32),
        np.empty(CAPACITY, np.int32),
        np.empty(CAPACITY, np.uint8),
        np.empty(CAPACITY, np.uint8),
        np.empty((CAPACITY, 3), np.uint8),
        np.empty(CAPACITY, np.uint8),
        np.empty(CAPACITY, np.int32),
        np.zeros(1, np.int64),
    )


@kernel
def draw(
    triangles: Triangles,
    moves: int,
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
    moves: 1 if they are of what moves, else 0
    cells: int32 (k,), from near to far
    detailed: bool (k,), whether to draw the details of each
    cutouts: which of the two; cutouts come after all that is opaque
    view: the camera
    texels: the texture memory
    slots: int32, of each texture: its slot there; -1 unknown, -2 wanted, which are set here for cutouts in sight
    target: drawn on
    Returns the number of textures that were wanted, without which their triangles could not be drawn.
    """
    points, outline = np.empty((3, 3)), np.empty((4, 2))
    left, right = np.empty(view.size), np.empty(view.size)
    tiles = np.zeros(((view.size + TILE - 1) // TILE, (view.size + TILE - 1) // TILE), np.float32)
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
        wanted += _draw_some(
            triangles, begin, end, moves, cutouts, view, texels, slots, target, points, outline, left, right
        )
    return wanted


@part
def _draw_some(
    triangles: Triangles,
    begin: int,
    end: int,
    moves: int,
    cutouts: bool,
    view: View,
    texels: Texels,
    slots: np.ndarray,
    target: Target,
    points: np.ndarray,
    outline: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
) -> int:
    """Draws triangles from begin to end; points, outline, left, right: room for numbers."""
    position, nearness, wanted = view.position, target.nearness, 0
    for k in range(begin, end):
        facing = -np.float64(triangles.normal[k, 3])
        for c in range(3):
            facing += triangles.normal[k, c] * position[c]
        if abs(facing) < 1e-5 or (facing < 0 and not triangles.flags[k] & _TWO_SIDED):
            continue
        corners = _project(triangles.corners, k, view, points, outline)
        if corners < 3:
            continue
        top, bottom = _spans(outline, corners, view.size, left, right)
        row = target.count[0]
        if bottom < top or row >= CAPACITY:
            continue
        _plane(triangles.normal, k, view, target.slope, row)
        for c in range(3):
            target.slope[row, c] /= -facing
        if not cutouts:
            if _fill(target.slope, row, top, bottom, left, right, nearness, target.drawn):
                _note(triangles, k, facing, view, moves, target)
            continue
        slot = slots[triangles.texture[k]]
        if slot == -2 or not _seen(target.slope, row, top, bottom, left, right, nearness):
            continue
        if slot == -1:
            slots[triangles.texture[k]] = -2
            wanted += 1
            continue
        _note(triangles, k, facing, view, moves, target)
        if not _fill_cutout(target, row, top, bottom, left, right, texels, slot):
            target.count[0] -= 1
    return wanted


@part
def _note(triangles: Triangles, k: int, facing: float, view: View, moves: int, target: Target) -> None:
    """Fills the next row with what is known of a triangle."""
    row = target.count[0]
    across, down, slope = target.across, target.down, target.slope
    _plane(triangles.across, k, view, across[:, 1:], row)
    _plane(triangles.down, k, view, down[:, 1:], row)
    across[row, 0], down[row, 0] = triangles.across[k, 3], triangles.down[k, 3]
    for c in range(3):
        across[row, 0] += triangles.across[k, c] * view.position[c]
        down[row, 0] += triangles.down[k, c] * view.position[c]
        target.normal[row, c] = triangles.normal[k, c] if facing > 0 else -triangles.normal[k, c]
        target.tint[row, c] = triangles.tint[k, c]
    target.density[row] = abs(
        slope[row, 0] * (across[row, 2] * down[row, 3] - across[row, 3] * down[row, 2])
        - slope[row, 1] * (across[row, 1] * down[row, 3] - across[row, 3] * down[row, 1])
        + slope[row, 2] * (across[row, 1] * down[row, 2] - across[row, 2] * down[row, 1])
    )
    target.texture[row], target.owner[row] = triangles.texture[k], triangles.owner[k]
    target.flags[row], target.repeats[row] = triangles.flags[k], triangles.repeats[k]
    target.moves[row], target.index[row] = moves, k
    target.count[0] += 1


@part
def _plane(vectors: np.ndarray, k: int, view: View, out: np.ndarray, row: int) -> None:
    """A vector's product with the rays of the picture, which are 1 m long along the axis: a x + b y + c."""
    a, b, c, axes = 0.0, 0.0, 0.0, view.axes
    for i in range(3):
        a += vectors[k, i] * axes[0, i] / view.focal
        b += vectors[k, i] * axes[1, i] / view.focal
        c += vectors[k, i] * axes[2, i]
    out[row, 0], out[row, 1], out[row, 2] = a, b, c - (a + b) * (view.size / 2)


@part
def _project(corners: np.ndarray, k: int, view: View, points: np.ndarray, outline: np.ndarray) -> int:
    """Projects a triangle into outline, without what is nearer than NEAR; returns its number of corners, or 0."""
    inside = 0
    for i in range(3):
        for a in range(3):
            total = 0.0
            for c in range(3):
                total += view.axes[a, c] * (corners[k, i, c] - view.position[c])
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


@part
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


@part
def _ends(left: float, right: float, size: int) -> tuple[int, int]:
    """The pixels whose centres lie in a span: the first one, and the one after the last."""
    return int(min(max(np.ceil(left - 0.5), 0.0), np.float64(size))), int(min(np.ceil(right - 0.5), np.float64(size)))


@part
def _fill(
    slope: np.ndarray,
    row: int,
    top: int,
    bottom: int,
    left: np.ndarray,
    right: np.ndarray,
    nearness: np.ndarray,
    drawn: np.ndarray,
) -> bool:
    """Draws a triangle where it is nearer; returns whether it is anywhere."""
    a, seen = slope[row, 0], False
    for y in range(top, bottom + 1):
        begin, end = _ends(left[y], right[y], nearness.shape[0])
        base = slope[row, 1] * (y + 0.5) + slope[row, 2]
        for x in range(begin, end):
            near = np.float32(base + a * (x + 0.5))
            if near > nearness[y, x]:
                nearness[y, x] = near
                drawn[y, x] = row
                seen = True
    return seen


@part
def _seen(
    slope: np.ndarray, row: int, top: int, bottom: int, left: np.ndarray, right: np.ndarray, nearness: np.ndarray
) -> bool:
    """Whether anything of a triangle lies before all that was drawn."""
    for y in range(top, bottom + 1):
        begin, end = _ends(left[y], right[y], nearness.shape[0])
        for x in range(begin, end):
            if slope[row, 1] * (y + 0.5) + slope[row, 2] + slope[row, 0] * (x + 0.5) > nearness[y, x]:
                return True
    return False


@part
def _fill_cutout(
    target: Target, row: int, top: int, bottom: int, left: np.ndarray, right: np.ndarray, texels: Texels, slot: int
) -> bool:
    """Draws a triangle where it is nearer and its texture solid; returns whether it is anywhere."""
    slope, across, down, nearness, seen = target.slope, target.across, target.down, target.nearness, False
    width, height, repeats = texels.size[slot, 0], texels.size[slot, 1], target.repeats[row]
    scale, level = target.density[row] * width * height, 0
    for y in range(top, bottom + 1):
        begin, end = _ends(left[y], right[y], nearness.shape[0])
        b = y + 0.5
        base = slope[row, 1] * b + slope[row, 2]
        base_u, base_v = across[row, 2] * b + across[row, 3], down[row, 2] * b + down[row, 3]
        for x in range(begin, end):
            a = x + 0.5
            near = np.float32(slope[row, 0] * a + base)
            if near <= nearness[y, x]:
                continue
            depth = 1 / np.float64(near)
            u = across[row, 0] + depth * (across[row, 1] * a + base_u)
            v = down[row, 0] + depth * (down[row, 1] * a + base_v)
            if repeats:
                u, v = u - np.floor(u), v - np.floor(v)
            # the level of the pixel before is mostly right here as well
            area = scale * depth * depth * depth
            while area > 2.0 and level < texels.first.shape[1] - 1:
                area, scale, level = area * 0.25, scale * 0.25, level + 1
                width, height = (width + 1) >> 1, (height + 1) >> 1
            while area < 0.4 and level > 0:
                area, scale, level = area * 4, scale * 4, level - 1
                width = (texels.size[slot, 0] + (1 << level) - 1) >> level
                height = (texels.size[slot, 1] + (1 << level) - 1) >> level
            if _alpha(texels.texels, texels.first[slot, level], width, height, u, v, area < 0.4) > 127:
                nearness[y, x] = near
                target.drawn[y, x] = row
                seen = True
    return seen


@part
def _alpha(texels: np.ndarray, first: int, width: int, height: int, u: float, v: float, smooth: bool) -> float:
    """The alpha of the nearest texel, or, of a texture that is seen large, smoothed between four."""
    if not smooth:
        i, j = min(max(int(u * width), 0), width - 1), min(max(int(v * height), 0), height - 1)
        return np.float32(texels[first + j * width + i, 3])
    a = min(max(u * width - 0.5, 0.0), width - 1.001)
    b = min(max(v * height - 0.5, 0.0), height - 1.001)
    i, j = int(a), int(b)
    s, t, one = np.float32(a - i), np.float32(b - j), first + j * width + i
    two, three, four = one + 1, one + width, one + width + 1
    above = texels[one, 3] * (1 - s) + texels[two, 3] * s
    return above * (1 - t) + (texels[three, 3] * (1 - s) + texels[four, 3] * s) * t


@part
def _farthest(nearness: np.ndarray, tiles: np.ndarray) -> None:
    """The smallest nearness in each tile."""
    size = nearness.shape[0]
    tiles[:] = 1e9
    for y in range(size):
        for x in range(size):
            tiles[y // TILE, x // TILE] = min(tiles[y // TILE, x // TILE], nearness[y, x])


@part
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
