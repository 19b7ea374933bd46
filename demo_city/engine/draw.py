"""Which triangle is seen in each pixel: kernels for photographs, and for maps of what the sun or the sky sees.

Every picture is a projection: its matrix turns a point (x, y, z, 1) into (X w, Y w, w, value w), where X and Y are
pixels from the upper left corner. Of two triangles in a pixel, that with the greater value is seen. The value is
1 / depth in a photograph, and the height in a map.
"""

from typing import NamedTuple

import numpy as np

from demo_city.camera import Camera
from demo_city.engine.jit import kernel, part
from demo_city.engine.mesh import CUTOUT, DETAIL, TWO_SIDED
from demo_city.engine.textures import Texels
from demo_city.engine.triangles import REPEATS, Triangles

NEAR = 0.08  # metres
TILE = 8  # pixels a side of the tiles by which hidden cells are found


class Picture(NamedTuple):
    """A picture in the making."""

    matrix: np.ndarray  # float64 (4, 4), its projection
    inverse: np.ndarray  # float64 (4, 4), from (X, Y, 1, value) to a multiple of (x, y, z, 1)
    values: np.ndarray  # float32 (size, size), of what is seen
    seen: np.ndarray  # int32 (size, size), which triangle it is; -1: none
    tiles: np.ndarray  # float32 (n, n), the least value in each tile of TILE pixels
    room: np.ndarray  # float64 (4, size, 4), where kernels, which ask for no memory, keep numbers for a while


def photograph_of(camera: Camera, size: int) -> Picture:
    """An empty photograph of `size` pixels a side."""
    focal, position = camera.focal_length(size), np.asarray(camera.position, np.float64)
    right, down, forward = camera.axes
    rows = np.array([focal * right + size / 2 * forward, focal * down + size / 2 * forward, forward])
    matrix = np.vstack([np.column_stack([rows, -rows @ position]), (0, 0, 0, 1)])
    return _empty(matrix, size, 0.0)


def map_of(low: np.ndarray, slope: np.ndarray, cell: float, size: int) -> Picture:
    """An empty map of heights.

    low: (3,), where it begins, metres; a point is mapped to where the ray through it meets the height low[2]
    slope: (2,), metres that a ray goes east and north while it rises by 1 m
    cell: metres a side of a pixel
    size: pixels a side
    """
    matrix = np.zeros((4, 4))
    matrix[:2, :2], matrix[:2, 2] = np.eye(2) / cell, -slope / cell
    matrix[:2, 3], matrix[2, 3], matrix[3, 2] = (low[2] * slope - low[:2]) / cell, 1, 1
    return _empty(matrix, size, -1e4)


def _empty(matrix: np.ndarray, size: int, least: float) -> Picture:
    values, seen = np.full((size, size), least, np.float32), np.full((size, size), -1, np.int32)
    tiles = np.full((-(-size // TILE), -(-size // TILE)), -1e9, np.float32)
    return Picture(matrix, np.linalg.inv(matrix), values, seen, tiles, np.empty((4, size, 4)))


@kernel
def draw(
    triangles: Triangles,
    cells: np.ndarray,
    detailed: int,
    mask: int,
    flags: int,
    texels: Texels,
    number: int,
    picture: Picture,
) -> None:
    """Draws triangles of some cells.

    triangles: of which
    cells: int64 (k,), from near to far
    detailed: number of cells whose details are drawn
    mask, flags: what is drawn: triangles whose flags are these where the mask has bits
    texels: pictures of cutouts, which come after all that is opaque
    number: of the first triangle, as it is written into the picture
    picture: drawn on
    """
    size, since = picture.seen.shape[0], 0
    points, outline, lines, spans = picture.room[0], picture.room[1], picture.room[2], picture.room[3]
    for n in range(len(cells)):
        if since > size * size // 128:
            _least(picture.values, picture.tiles)
            since = 0
        if _hidden(triangles.boxes[cells[n]], picture):
            continue
        if n >= detailed:
            mask |= DETAIL
        begin, end = triangles.first[cells[n]], triangles.first[cells[n] + 1]
        since += end - begin
        for k in range(begin, end):
            one = triangles.each[k]
            if one.flags & mask != flags:
                continue
            facing = _line(one.planes[0], picture.inverse, lines[0])
            if abs(facing) < 1e-5 or (facing < 0 and not one.flags & TWO_SIDED):
                continue
            corners = _project(one.corners, picture.matrix, points, outline, size)
            top, bottom = _spans(outline, corners, spans)
            if top >= bottom:
                continue
            for c in range(3):
                lines[0, c] /= -facing
            for i in range(1, 4 if one.flags & CUTOUT else 1):  # value, u w, v w and w
                along = _line(one.planes[i], picture.inverse, lines[i])
                for c in range(3):
                    lines[i, c] += along * lines[0, c]
            _fill(picture, number + k, top, bottom, texels, one)


@part
def _line(plane: np.ndarray, inverse: np.ndarray, line: np.ndarray) -> float:
    """What a plane's product with a point is in the picture, times w: a X + b Y + c + d value; returns d."""
    for i in range(3):
        line[i] = 0.0
    value = 0.0
    for c in range(4):
        for i in range(3):
            line[i] += plane[c] * inverse[c, i]
        value += plane[c] * inverse[c, 3]
    return value


@part
def _project(corners: np.ndarray, matrix: np.ndarray, points: np.ndarray, outline: np.ndarray, size: int) -> int:
    """Projects a triangle into outline, without what is nearer than NEAR; returns its number of corners, or 0."""
    outside = 31
    for i in range(3):
        for a in range(3):
            points[i, a] = matrix[a, 3]
            for c in range(3):
                points[i, a] += matrix[a, c] * corners[i, c]
        outside &= _sides(points[i, 0], points[i, 1], points[i, 2], size)
    if outside:
        return 0
    count = 0
    for i in range(3):
        j = (i + 1) % 3
        here, there = points[i, 2] >= NEAR, points[j, 2] >= NEAR
        if here:
            outline[count, 0], outline[count, 1] = points[i, 0] / points[i, 2], points[i, 1] / points[i, 2]
            count += 1
        if here != there:
            # from the corner in front of the camera, so that both triangles at an edge find the same point
            a, b = (i, j) if here else (j, i)
            share = (points[a, 2] - NEAR) / (points[a, 2] - points[b, 2])
            for c in range(2):
                outline[count, c] = (points[a, c] + share * (points[b, c] - points[a, c])) / NEAR
            count += 1
    return count


@part
def _sides(x: float, y: float, w: float, size: int) -> int:
    """On which sides of the picture a projected point lies, as bits."""
    return (x < 0) | (x > size * w) << 1 | (y < 0) << 2 | (y > size * w) << 3 | (w < NEAR) << 4


@part
def _spans(outline: np.ndarray, corners: int, spans: np.ndarray) -> tuple[int, int]:
    """Finds the first row of a convex outline and the one after the last, and where it begins and ends in each."""
    low, high, size = outline[0, 1], outline[0, 1], len(spans)
    for i in range(1, corners):
        low, high = min(low, outline[i, 1]), max(high, outline[i, 1])
    top, bottom = (_pixel(low, size), _pixel(high, size)) if corners else (0, 0)
    for y in range(top, bottom):
        spans[y, 0], spans[y, 1] = 1e9, -1e9
    for i in range(corners):
        j = (i + 1) % corners
        if outline[i, 1] == outline[j, 1]:
            continue
        # from the upper end, so that both triangles at an edge find the same places
        a, b = (i, j) if outline[i, 1] < outline[j, 1] else (j, i)
        slope = (outline[b, 0] - outline[a, 0]) / (outline[b, 1] - outline[a, 1])
        for y in range(_pixel(outline[a, 1], size), _pixel(outline[b, 1], size)):
            x = outline[a, 0] + (y + 0.5 - outline[a, 1]) * slope
            spans[y, 0], spans[y, 1] = min(spans[y, 0], x), max(spans[y, 1], x)
    return top, bottom


@part
def _pixel(place: float, size: int) -> int:
    """The first pixel whose centre does not lie before a place."""
    return int(min(max(np.ceil(place - 0.5), 0.0), np.float64(size)))


@part
def _fill(picture: Picture, number: int, top: int, bottom: int, texels: Texels, one: np.ndarray) -> None:
    """Draws a triangle where its value is greater, and, if it is a cutout, its texture solid."""
    lines, spans, values = picture.room[2], picture.room[3], picture.values
    cutout, slot, density = one.flags & CUTOUT, 0, 0.0
    if cutout:
        slot = texels.slots[one.texture]
        for i in range(3):  # the determinant: the area of a pixel in the texture at w = 1; it grows with 1 / w ** 3
            j, k = (i + 1) % 3, (i + 2) % 3
            density += lines[1, i] * (lines[2, j] * lines[3, k] - lines[2, k] * lines[3, j])
    steep = lines[0, 0]
    for y in range(top, bottom):
        base = lines[0, 1] * (y + 0.5) + lines[0, 2]
        for x in range(_pixel(spans[y, 0], len(spans)), _pixel(spans[y, 1], len(spans))):
            value = np.float32(steep * (x + 0.5) + base)
            if value > values[y, x]:
                if not cutout or _solid(lines, x, y, abs(density), texels, slot, one.flags & REPEATS):
                    values[y, x], picture.seen[y, x] = value, number


@part
def _at(line: np.ndarray, x: int, y: int) -> float:
    return line[0] * (x + 0.5) + (line[1] * (y + 0.5) + line[2])


@part
def _solid(lines: np.ndarray, x: int, y: int, density: float, texels: Texels, slot: int, repeats: bool) -> bool:
    """Whether a texture is solid in a pixel: its nearest texel, or, where it is seen large, smoothed between four."""
    over, levels, level = 1 / _at(lines[3], x, y), texels.levels[slot], 0
    u, v, area = _at(lines[1], x, y) * over, _at(lines[2], x, y) * over, density * over**3
    if repeats:
        u, v = u - np.floor(u), v - np.floor(v)
    while area * levels[level, 3] > 2.0 and level < len(levels) - 1:
        level += 1
    first, width, height, count = levels[level, 0], levels[level, 1], levels[level, 2], levels[level, 3]
    if area * count > 0.4:
        i, j = min(max(int(u * width), 0), width - 1), min(max(int(v * height), 0), height - 1)
        return texels.texels[first + j * width + i, 3] > 127
    u, v = u * width - 0.5, v * height - 0.5
    u, v = max(min(u, width - 1.001), 0.0), max(min(v, height - 1.001), 0.0)
    i, j = int(u), int(v)
    s, t, k = u - i, v - j, first + j * width + i
    above = texels.texels[k, 3] * (1 - s) + texels.texels[k + 1, 3] * s
    below = texels.texels[k + width, 3] * (1 - s) + texels.texels[k + width + 1, 3] * s
    return above * (1 - t) + below * t > 127


@part
def _least(values: np.ndarray, tiles: np.ndarray) -> None:
    """The smallest value in each tile."""
    tiles[:] = 1e9
    for y in range(len(values)):
        for x in range(len(values)):
            tiles[y // TILE, x // TILE] = min(tiles[y // TILE, x // TILE], values[y, x])


@part
def _hidden(box: np.ndarray, picture: Picture) -> bool:
    """Whether a box lies outside the picture, or behind what was drawn."""
    left, right, top, bottom, value, outside = 1e9, -1e9, 1e9, -1e9, -1e9, 31
    matrix, size, tiles, q = picture.matrix, len(picture.seen), picture.tiles, picture.room[0, 0]
    behind = False
    for corner in range(8):
        for a in range(4):
            q[a] = matrix[a, 3]
            for c in range(3):
                q[a] += matrix[a, c] * box[corner >> c & 1, c]
        outside &= _sides(q[0], q[1], q[2], size)
        behind |= q[2] < NEAR
        x, y = q[0] / q[2], q[1] / q[2]
        left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
        value = max(value, q[3] / q[2])
    if outside or behind:
        return outside > 0
    for j in range(int(max(top, 0.0)) // TILE, int(min(bottom, size - 1.0)) // TILE + 1):
        for i in range(int(max(left, 0.0)) // TILE, int(min(right, size - 1.0)) // TILE + 1):
            if tiles[j, i] < value:
                return False
    return True
