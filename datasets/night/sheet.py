"""A contact sheet: images by day, with FDA, with PP and with both, and the target whose colours FDA took."""

import os
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datasets.images import ImageError, open_rgb, to_array
from datasets.names import list_images
from datasets.night.build import Settings
from datasets.night.maker import NightMaker
from datasets.night.target_images import TargetImages
from support.errors import UserError
from support.files import replacing


def write_sheet(path: str, settings: Settings, rows: int = 6, pixels: int = 256) -> None:
    """Draws images of a folder, evenly spaced in its list, one per row: by day and in all ways by night.

    path: .jpg or .png
    settings: how the night is made; without a target it is PP alone. Method, output and JPEG quality have no effect
    rows: number of images
    pixels: the most along a side of each image on the sheet; night is made at the image's own size

    Raises UserError if an image cannot be read or the sheet cannot be written.
    """
    targets = TargetImages(settings.target) if settings.target else None
    methods = {"FDA": "fda", "PP": "pp", "FDA+PP": "fda_pp"} if targets else {"PP": "pp"}
    makers = {label: replace(settings, method=method).maker(targets) for label, method in methods.items()}
    names = list_images(settings.source)
    pictures = [
        _row(settings.source, names[int(index)], makers, pixels)
        for index in np.linspace(0, len(names) - 1, min(rows, len(names)))
    ]
    labels = ["day", *makers, *(["FDA's target"] if targets else [])]
    label, gap = max(pixels // 10, 14), max(pixels // 64, 2)
    width, height = (max(picture.size[axis] for row in pictures for picture in row) for axis in (0, 1))
    sheet = Image.new(
        "RGB", (len(labels) * (width + gap) + gap, len(pictures) * (height + gap) + gap + label), (250, 250, 248)
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=label * 0.72)
    for column, text in enumerate(labels):
        draw.text((gap + column * (width + gap) + 2, gap), text, fill=(40, 40, 40), font=font)
        for row, images in enumerate(pictures):
            sheet.paste(images[column], (gap + column * (width + gap), gap + label + row * (height + gap)))
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; choose another file with --sheet") from error
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG" if path.lower().endswith(".png") else "JPEG", quality=90)


def _row(source: str, name: str, makers: dict[str, NightMaker], pixels: int) -> list[Image.Image]:
    """An image by day, by each maker, and the target if there is one: PIL images of at most `pixels` a side."""
    try:
        day = to_array(open_rgb(os.path.join(source, name)))
    except ImageError as error:
        raise UserError(f"{os.path.join(source, name)!r} cannot be read: {error}") from error
    pictures = [day, *(maker(name, day) for maker in makers.values())]
    if "FDA" in makers:
        pictures.append(makers["FDA"].target(name, (day.shape[1], day.shape[0])))
    pictures = [Image.fromarray(picture) for picture in pictures]
    for picture in pictures:
        picture.thumbnail((pixels, pixels))
    return pictures
