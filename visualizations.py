"""Draws predictions: a query beside its nearest database images, framed green (right) or red (wrong)."""

import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from datasets.images import ImageError, open_rgb
from datasets.test_dataset import TestDataset
from support.files import replacing

_HEIGHT, _FRAME, _GAP, _CAPTION = 256, 6, 10, 44  # pixels
_PER_ROW = 11  # panels; a JPEG can be no wider than 65,500 pixels
_GREEN, _RED, _BLUE, _GRAY = (30, 150, 60), (200, 40, 40), (60, 90, 190), (128, 128, 128)


def save_predictions(
    dataset: TestDataset,
    predictions: np.ndarray,
    output_folder: str,
    num_preds: int,
    only_wrong: bool = False,
    limit: int | None = None,
) -> int:
    """Draws queries beside their predictions: `<output_folder>/<query>.jpg`, and the same in words (.txt).

    dataset: the database and its queries
    predictions: int (q, k), database indices, nearest first; -1: no prediction
    output_folder: is made if it is missing
    num_preds: predictions beside each query
    only_wrong: draw only queries whose first prediction is wrong
    limit: draw at most so many queries

    Returns how many queries were drawn. Raises UserError if the disk refuses.
    """
    os.makedirs(output_folder, exist_ok=True)
    drawn = 0
    digits = max(3, len(str(len(dataset.queries) - 1)))
    for query, nearest in enumerate(predictions[:, :num_preds]):
        nearest = nearest[nearest >= 0]
        right = np.isin(nearest, dataset.positives_per_query[query])
        if only_wrong and len(right) and right[0]:
            continue
        if drawn == limit:
            break
        distances = np.linalg.norm(dataset.database_utms[nearest] - dataset.queries_utms[query], axis=1)  # metres
        path = os.path.join(output_folder, f"{query:0{digits}d}")
        sheet = _draw(dataset, query, nearest, right, distances)
        with replacing(path + ".jpg") as temporary:
            sheet.save(temporary, "JPEG", quality=88)
        with replacing(path + ".txt") as temporary, open(temporary, "w", errors="backslashreplace") as file:
            file.write(f"Query: {dataset.queries.path(query)!r}, {len(dataset.positives_per_query[query])} positives\n")
            for rank, (prediction, is_right, metres) in enumerate(zip(nearest, right, distances, strict=True), 1):
                verdict = "right" if is_right else "wrong"
                file.write(f"{rank}: {verdict}, {metres:.1f} m: {dataset.database.path(prediction)!r}\n")
        drawn += 1
    return drawn


def _draw(
    dataset: TestDataset, query: int, predictions: np.ndarray, right: np.ndarray, distances: np.ndarray
) -> Image.Image:
    positives = len(dataset.positives_per_query[query])
    panels = [
        _panel(
            dataset.queries.path(query), _BLUE, "Query", f"{positives} positive{'s' * (positives != 1)} in the database"
        )
    ]
    for rank, (prediction, is_right, metres) in enumerate(zip(predictions, right, distances, strict=True), 1):
        panels.append(
            _panel(
                dataset.database.path(prediction),
                _GREEN if is_right else _RED,
                f"Prediction {rank}",
                f"{metres:.1f} m: {'right' if is_right else 'wrong'}",
            )
        )
    rows = [panels[begin : begin + _PER_ROW] for begin in range(0, len(panels), _PER_ROW)]
    width = max(sum(panel.width + _GAP for panel in row) for row in rows) + _GAP
    sheet = Image.new("RGB", (width, len(rows) * (panels[0].height + _GAP) + _GAP), "white")
    for index, row in enumerate(rows):
        left = _GAP
        for panel in row:
            sheet.paste(panel, (left, _GAP + index * (panel.height + _GAP)))
            left += panel.width + _GAP
    return sheet


def _panel(path: str, colour: tuple[int, int, int], title: str, caption: str) -> Image.Image:
    try:
        image = open_rgb(path)
        # very wide panoramas would make the others tiny
        image = image.resize(
            (min(max(round(image.width * _HEIGHT / image.height), 120), 3 * _HEIGHT), _HEIGHT), Image.Resampling.LANCZOS
        )
    except ImageError:
        image, caption = Image.new("RGB", (_HEIGHT, _HEIGHT), _GRAY), "cannot be read"
    framed = ImageOps.expand(image, _FRAME, colour)
    panel = Image.new("RGB", (max(framed.width, 180), framed.height + _CAPTION), "white")
    panel.paste(framed, (0, _CAPTION))
    draw = ImageDraw.Draw(panel)
    draw.text((2, 0), title, fill="black", font=ImageFont.load_default(18))
    draw.text((2, 22), caption, fill=colour, font=ImageFont.load_default(16))
    return panel
