"""A contact sheet: the same places in several years and at night, in both cities."""

import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from demo_city import photos, render, years
from demo_city.camera import FIELD_OF_VIEW, Camera
from demo_city.plan import District
from demo_city.scene import Pictures, Scene
from demo_city.seeds import random_for
from support.errors import UserError

COLUMNS = 6
_NAMES = {"city1": "City 1", "city2": "City 2"}


def write_sheet(path: str, settings: photos.Settings, pixels: int) -> None:
    """Draws 2 cities x 4 moments x COLUMNS places, `pixels` a side, each row with its label, and saves it.

    path: .jpg or .png. Raises UserError if it cannot be written.
    """
    label, gap = max(pixels // 11, 16), max(pixels // 64, 2)
    moments = [
        (years.captures("train", 0)[0], "training year"),
        (years.captures("database")[0], "database"),
        (years.captures("queries")[0], "queries"),
        (years.captures("night")[0], "night queries"),
    ]
    height = (pixels + label + gap) * 2 * len(moments)
    sheet = Image.new("RGB", (COLUMNS * (pixels + gap) + gap, height + gap), (250, 250, 248))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=label * 0.72)
    pictures, shared, y = Pictures(), {}, gap
    for name in ("test", "test2"):
        district = photos.make_district(settings, name)
        cameras = _places(district, settings)
        for capture, role in moments:
            scene = Scene(district, capture, pictures, shared)
            when = f"night, {capture.year}" if capture.night else f"{capture.season} {capture.year}"
            draw.text((gap + 2, y), f"{_NAMES[district.style.name]}: {when} ({role})", fill=(40, 40, 40), font=font)
            for column, (street, camera) in enumerate(cameras):
                photo = photos.Photo(camera, street, "", (district.key, "sheet", column, *capture.key), False)
                image = render.render_view(
                    scene, camera, pixels, photos.traffic(district, photo, capture), supersample=2
                )
                image = render.develop(image, pixels, capture, random_for(settings.seed, "sheet", column, *capture.key))
                sheet.paste(image, (gap + column * (pixels + gap), y + label))
            y += pixels + label + gap
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        sheet.save(path, quality=88)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}; choose another file with --sheet"
        ) from error


def _places(district: District, settings: photos.Settings) -> list[tuple[int, Camera]]:
    """(street index, Camera) of COLUMNS places, along the street and aslant to its fronts."""
    walk = district.walk(settings.test_metres)
    rng = random_for(district.key, "sheet")
    places = []
    for column in range(COLUMNS):
        index, begin, end = walk[(column * 2 + 1) % len(walk)]
        street = district.streets[index]
        position = (
            street.a
            + street.along * (begin + (end - begin) * rng.uniform(0.25, 0.6))
            + street.across * rng.uniform(-1.5, 1.5)
        )
        along = np.degrees(np.arctan2(street.along[0], street.along[1]))
        turn = (0, 38, -42, 12, 80, -25)[column % 6]
        places.append((index, Camera(position, 2.1, float(along + turn - FIELD_OF_VIEW / 2) % 360)))
    return places
