"""Draws classes as maps without tiles: cameras, cell and, of EigenPlaces, focal points and the directions of crops."""

import math
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from datasets.eigenplaces import ANGLES, CROP_DEGREES, EigenGroups, EigenPlaces
from datasets.groups import Groups
from datasets.image_names import ImageNames
from datasets.methods import Method
from datasets.name_fields import HEADING
from datasets.names import parse_fields, positions
from datasets.nearest_crops import NearestCrops
from support.errors import UserError
from support.files import replacing

_SIDE, _TOP, _BOTTOM, _EDGE = 760, 64, 44, 12  # pixels: of the map, above it, below it, around it
_FINER = 3  # drawn so many times larger and then reduced: smooth lines
_MARGIN = 2.5  # metres around what is shown
_SECTORS = {"lateral": (0, 42), "frontal": (45, 68)}  # pixels from the camera: one does not lie on the other
_MOST = 200  # images that are drawn of a class, and of each head
_DASHES = 30  # of the street, as many as fit along the map
_INK, _GRAY, _PALE, _CELL = (30, 34, 40), (120, 126, 134), (228, 231, 235), (246, 241, 226)
_OF_HEADS = {"lateral": (40, 95, 190), "frontal": (205, 85, 20)}


def save_class_maps(groups: Groups, method: Method, num_groups: int, count: int, folder: str) -> None:
    """Draws some classes, evenly spread over the first groups: PNG files with the names of groups and classes.

    groups: as the method builds them
    method: CosPlace or a kind of EigenPlaces
    num_groups: whose classes are drawn
    count: the most classes
    folder: is made if it is missing, when there is something to draw

    Raises UserError if the disk refuses.
    """
    begins = np.cumsum([0, *map(groups.num_classes, range(num_groups))])
    numbers = _evenly(np.arange(begins[-1]), count).tolist()
    for number in tqdm(numbers, desc="Maps of classes", unit="map", leave=False, delay=2, disable=None):
        group = int(np.searchsorted(begins, number, side="right")) - 1
        class_row = number - int(begins[group])
        name = "_".join(map(str, [f"group{group}", *groups.class_ids(group)[class_row].tolist()]))
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder} cannot be made: {error.strerror}; maps of classes are drawn there") from error
        with replacing(os.path.join(folder, f"{name}.png")) as temporary:
            draw_class(groups, method, group, class_row).save(temporary, "PNG")


def draw_class(groups: Groups, method: Method, group: int, class_row: int) -> Image.Image:
    """Draws a class, north up.

    groups: as the method builds them
    method: CosPlace or a kind of EigenPlaces
    group, class_row: as in groups.image_indices
    """
    class_id, M = groups.class_ids(group)[class_row], method.M
    cell, indices = class_id[:2].astype(float), groups.image_indices(group, class_row)
    cameras = positions(_names(groups, indices)) - cell  # from here on from its corner
    points, counts, shown = {}, {}, [_evenly(cameras, _MOST)]
    if isinstance(groups, EigenGroups):
        heads = zip(EigenPlaces.heads, ANGLES, strict=True)
        points = {head: np.subtract(groups.focal_point(group, class_row, angle), cell) for head, angle in heads}
    canvas = _Canvas(np.concatenate([cameras, [(0, 0), (M, M)], *(point[None] for point in points.values())]))
    canvas.ground(M)
    if points:
        canvas.street(cameras.mean(axis=0), points["frontal"])
    for number, (head, point) in enumerate(points.items()):
        facing = method.images(groups, group, class_row, number)
        names, counts[head] = _names(groups, _evenly(facing, _MOST)), len(facing)
        shown.append(positions(names) - cell)
        canvas.crops(shown[-1], *_directions(method, names, point + cell), point, head)
    for head, point in points.items():
        canvas.point(point, head, _OF_HEADS[head])
    canvas.cameras(np.concatenate(shown))
    heading = f", headings from {class_id[2]} degrees" if len(class_id) > 2 else ""
    heads = "".join(f", {number} {head}" for head, number in counts.items())
    few = f", up to {_MOST}{' of each' if points else ''} drawn" if len(cameras) > _MOST else ""
    street = ", broken line: the street" if points else ""
    subtitle = f"cell of {M} m, its corner at UTM {class_id[0]} east, {class_id[1]} north{street}{few}"
    title = f"Group {group}, class {class_row}: {len(cameras)} images{heads}{heading}"
    canvas.captions(title, subtitle, list(points))
    return canvas.finished()


def _evenly(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of some values, evenly spread over their order."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))]


def _names(groups: Groups, indices: np.ndarray) -> ImageNames:
    return ImageNames.from_strings(groups.image_name(index) for index in indices.tolist())


def _directions(method: Method, names: ImageNames, point: np.ndarray) -> tuple[np.ndarray, float]:
    """Where the middle of what is trained on looks, degrees clockwise from north: at the point, if images are cut; and
    how many degrees it spans. Of images whose heading is of their centre, nothing says that: it is taken as a crop's.
    """
    if isinstance(method, NearestCrops):
        headings = parse_fields(names, (HEADING,))[:, 0]
        return headings + method.crop_degrees / 2, method.crop_degrees or CROP_DEGREES
    east, north = (point - positions(names)).T
    return np.degrees(np.arctan2(east, north)), CROP_DEGREES


class _Canvas:
    """A picture of a part of the ground, which shows some points with a margin around. Coordinates are metres."""

    def __init__(self, shown: np.ndarray):
        low, high = shown.min(axis=0) - _MARGIN, shown.max(axis=0) + _MARGIN
        self._extent = float((high - low).max())
        self._low = (low + high - self._extent) / 2
        self._scale = _FINER * _SIDE / self._extent  # pixels a metre
        self._step = _round_down(self._extent / 4)  # metres between lines, and of the scale bar
        size = (_FINER * (_SIDE + 2 * _EDGE), _FINER * (_SIDE + _TOP + _BOTTOM))
        self._image = Image.new("RGB", size, "white")
        self._draw = ImageDraw.Draw(self._image)

    def ground(self, M: int) -> None:
        """The square of the cell, M metres wide, regular lines, and a frame."""
        last = self._low + self._extent
        cell = [*self._pixels([0, M]), *self._pixels([M, 0])]
        self._draw.rectangle(cell, fill=_CELL)
        for axis in (0, 1):
            for value in np.arange(np.ceil(self._low[axis] / self._step) * self._step, last[axis], self._step):
                ends = np.stack([self._low, last])
                ends[:, axis] = value
                self._draw.line([self._pixels(end) for end in ends], fill=_PALE, width=_FINER)
        self._draw.rectangle(cell, outline=_GRAY, width=2 * _FINER)
        frame = [*self._pixels([self._low[0], last[1]]), *self._pixels([last[0], self._low[1]])]
        self._draw.rectangle(frame, outline=_GRAY, width=_FINER)

    def street(self, mean: np.ndarray, frontal: np.ndarray) -> None:
        """A broken line along the street, through the mean position."""
        dash = self._extent / _DASHES * (frontal - mean) / np.hypot(*(frontal - mean))
        for number in range(-_DASHES, _DASHES):
            ends = mean + number * dash, mean + (number + 0.5) * dash
            if all(self._inside(end) for end in ends):
                self._draw.line([self._pixels(end) for end in ends], fill=_GRAY, width=_FINER)

    def crops(self, cameras: np.ndarray, directions: np.ndarray, degrees: float, point: np.ndarray, head: str) -> None:
        """From each camera a thin line to a focal point, and the sector that its crop sees, near the camera.

        cameras: float64 (n, 2)
        directions: of the crops, degrees (n,)
        degrees: that a crop spans
        point: (2,)
        head: of which the crops are
        """
        colour = _OF_HEADS[head]
        pale = tuple((value + 2 * 255) // 3 for value in colour)
        for camera in cameras:
            self._draw.line([self._pixels(camera), self._pixels(point)], fill=pale, width=_FINER)
        inner, radius = (_FINER * reach for reach in _SECTORS[head])
        opacity = round(255 * max(0.7 / len(cameras) ** 0.5, 0.12))  # many sectors lie on each other
        for camera, direction in zip(cameras, directions.tolist(), strict=True):
            x, y = self._pixels(camera)
            clockwise = direction - 90  # from the right, as Pillow has it
            sector = Image.new("L", (2 * radius, 2 * radius))
            ends, draw = (clockwise - degrees / 2, clockwise + degrees / 2), ImageDraw.Draw(sector)
            draw.pieslice([0, 0, 2 * radius - 1, 2 * radius - 1], *ends, fill=opacity)
            if inner:
                draw.ellipse([radius - inner, radius - inner, radius + inner, radius + inner], fill=0)
            self._image.paste(colour, (round(x) - radius, round(y) - radius), sector)

    def cameras(self, cameras: np.ndarray) -> None:
        """A dot for each camera."""
        for camera in cameras:
            self._dot(camera, 4.5, _INK)

    def point(self, point: np.ndarray, head: str, colour: tuple[int, int, int]) -> None:
        """A focal point with its name."""
        self._dot(point, 9, colour)
        self._dot(point, 3.5, (255, 255, 255), edge=0)
        x, y = self._pixels(point)
        self._text((x, y - 14 * _FINER), head, 15, colour, "mb")

    def captions(self, title: str, subtitle: str, heads: list[str]) -> None:
        """What is written above and below the map: title, north, scale, legend."""
        self._text((_FINER * _EDGE, _FINER * 9), title, 20, _INK, "la")
        self._text((_FINER * _EDGE, _FINER * 37), subtitle, 14, _GRAY, "la")
        x, y = self._image.width - _FINER * (_EDGE + 14), _FINER * 10
        arrow = [(x, y), (x + 9 * _FINER, y + 26 * _FINER), (x, y + 20 * _FINER), (x - 9 * _FINER, y + 26 * _FINER)]
        self._draw.polygon(arrow, fill=_INK)
        self._text((x, y + 28 * _FINER), "N", 14, _INK, "ma")
        begin, y = _FINER * _EDGE, self._image.height - _FINER * _BOTTOM / 2
        end = begin + self._step * self._scale
        for x in (begin, end):
            self._draw.line([(x, y - 5 * _FINER), (x, y + 5 * _FINER)], fill=_INK, width=2 * _FINER)
        self._draw.line([(begin, y), (end, y)], fill=_INK, width=2 * _FINER)
        self._text((end + 8 * _FINER, y), f"{self._step:g} m", 14, _INK, "lm")
        words = [("cameras", _INK), *((f"crops towards the {head} point", _OF_HEADS[head]) for head in heads)]
        x = self._image.width - _FINER * _EDGE
        for word, colour in reversed(words):
            x -= self._text((x, y), word, 14, _INK, "rm") + 12 * _FINER
            self._draw.ellipse([x - 5 * _FINER, y - 5 * _FINER, x + 5 * _FINER, y + 5 * _FINER], fill=colour)
            x -= 22 * _FINER

    def finished(self) -> Image.Image:
        """The picture, at its own size."""
        return self._image.resize((self._image.width // _FINER, self._image.height // _FINER), Image.Resampling.BOX)

    def _pixels(self, point: np.ndarray) -> tuple[float, float]:
        east, north = (np.asarray(point) - self._low) * self._scale
        return float(east) + _FINER * _EDGE, _FINER * (_TOP + _SIDE) - float(north)

    def _inside(self, point: np.ndarray) -> bool:
        return bool(((point >= self._low) & (point <= self._low + self._extent)).all())

    def _dot(self, point: np.ndarray, radius: float, colour: tuple[int, int, int], edge: float = 1.2) -> None:
        x, y = self._pixels(point)
        for reach, fill in ((radius + edge, (255, 255, 255)), (radius, colour)):
            reach *= _FINER
            self._draw.ellipse([x - reach, y - reach, x + reach, y + reach], fill=fill)

    def _text(self, place: tuple[float, float], text: str, size: int, colour: tuple[int, int, int], anchor: str):
        """Writes a text; returns its width in pixels. anchor: as of Pillow."""
        font = ImageFont.load_default(size * _FINER)
        self._draw.text(place, text, fill=colour, font=font, anchor=anchor)
        return self._draw.textlength(text, font)


def _round_down(metres: float) -> float:
    """The largest of 1, 2, 5, 10, 20... (and 0.5, 0.2...) that is no larger."""
    power = 10.0 ** math.floor(math.log10(metres))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= metres or factor == 1)
