"""A contact sheet: places of every style, on a fair day, on another day, and at night."""

import os
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from demo_city import photos
from demo_city.build import Renderer, photograph
from demo_city.camera import Camera
from demo_city.seeds import random_for
from demo_city.styles import STYLES
from demo_city.weather import Capture, draw_day, draw_night
from support.errors import UserError

_PLACES = 2
_METRES = 120.0  # of streets in each city of the sheet


def write_sheet(path: str, settings: photos.Settings, pixels: int) -> None:
    """Draws a row for each style: _PLACES places on a fair day, the same on another day, and at night; and saves it.

    path: .jpg or .png; pixels: side of a view. Raises UserError if the file cannot be written.
    """
    label, gap = max(pixels // 11, 16), max(pixels // 64, 2)
    size = 3 * _PLACES * (pixels + gap) + gap, (pixels + label + gap) * len(STYLES) + gap
    sheet = Image.new("RGB", size, (250, 250, 248))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=label * 0.72)
    for row, style in enumerate(STYLES):
        y = gap + row * (pixels + label + gap)
        renderer = Renderer(settings)
        rng = random_for(settings.seed, "sheet", style)
        area = photos.Area(f"{style}-sheet", style, 900 + row, _METRES, (5e5, 5e6), (32, "T"), "sheet", "", 0)
        renderer.district = photos.make_district(settings, area)
        places = [_place(renderer, rng, column) for column in range(_PLACES)]
        captures = [draw_day(rng, 2019, fair=True), draw_day(rng, 2022), draw_night(rng, 2022, 1)]
        draw.text((gap + 2, y), f"{style}: {', '.join(map(_describe, captures))}", fill=(40, 40, 40), font=font)
        for column, (capture, place) in enumerate((capture, place) for capture in captures for place in places):
            photo = replace(place, name=f"{style}, {column}", moment=(*place.moment, *capture.key))
            image, _ = photograph(renderer.surroundings(capture, photo), capture, photo, pixels)
            sheet.paste(image, (gap + column * (pixels + gap), y + label))
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        sheet.save(path, quality=88)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}; choose another --sheet") from error


def _place(renderer: Renderer, rng: np.random.Generator, column: int) -> photos.Photo:
    """A photograph along a street, or aslant to its fronts."""
    district = renderer.district
    walk = district.walk(_METRES)
    index, begin, end = walk[(2 * column) % len(walk)]
    street, s = district.streets[index], begin + (end - begin) * rng.uniform(0.2, 0.6)
    along, position = street.along(s), street.beside(s, sum(street.driven()) / 2)
    azimuth = float(np.degrees(np.arctan2(along[0], along[1]))) + (0, 40)[column % 2]
    point = np.array([*position, float(district.ground(position)) + 1.7])
    return photos.Photo(Camera(point, azimuth, 4.0, 0.0, 72.0), f"{column}", (district.key, column), (index, s))


def _describe(capture: Capture) -> str:
    weather = "snow" if capture.snow else "rain" if capture.wet > 0.5 else "overcast" if capture.cloud > 0.85 else "sun"
    return f"{'night, ' if capture.night else ''}{capture.season}, {weather if not capture.night else capture.year}"
