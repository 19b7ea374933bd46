"""Draws predictions: a query beside its nearest database images, framed green (right) or red (wrong)."""

import json
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from datasets.images import ImageError, open_rgb
from datasets.test_dataset import TestDataset
from support.escaping import printable
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
    """Draws queries beside their predictions, and writes their paths, as the published code does.

    `<output_folder>/<query>.jpg` is the picture. `<query>.txt` has the published form, which re-ranking tools read;
    control characters in names are escaped there. `<output_folder>.jsonl` has a line for each query that is drawn, with
    exact paths, distances and verdicts.

    dataset: the database and its queries
    predictions: int (q, k), database indices, nearest first; -1: no prediction
    output_folder: is made if it is missing
    num_preds: predictions beside each query
    only_wrong: draw only queries whose first prediction is wrong
    limit: draw at most so many queries

    Returns how many queries were drawn. Raises UserError if the disk refuses.
    """
    os.makedirs(output_folder, exist_ok=True)
    rows = []
    for query, nearest in enumerate(predictions[:, :num_preds]):
        nearest = nearest[nearest >= 0]
        right = np.isin(nearest, dataset.positives_per_query[query])
        if only_wrong and len(right) and right[0]:
            continue
        if len(rows) == limit:
            break
        distances = np.linalg.norm(dataset.database_utms[nearest] - dataset.queries_utms[query], axis=1)  # metres
        path = os.path.join(output_folder, f"{query:03d}")
        with replacing(path + ".jpg") as temporary:
            _draw(dataset, query, nearest, right, distances).save(temporary, "JPEG", quality=88)
        with replacing(path + ".txt") as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(_published_text(dataset, query, nearest))
        rows.append(_row(dataset, query, nearest, right, distances))
    with replacing(f"{output_folder.rstrip(os.sep)}.jsonl") as temporary, open(temporary, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return len(rows)


def _published_text(dataset: TestDataset, query: int, predictions: np.ndarray) -> str:
    """The text of a query's file, as the published code writes it."""
    parts = {
        "Query path:": [dataset.queries.path(query)],
        "Predictions paths:": map(dataset.database.path, predictions),
        "Positives paths:": map(dataset.database.path, dataset.positives_per_query[query]),
    }
    return "\n".join(f"{heading}\n" + "\n".join(map(printable, paths)) + "\n" for heading, paths in parts.items())


def _row(dataset: TestDataset, query: int, predictions: np.ndarray, right: np.ndarray, distances: np.ndarray) -> dict:
    """What the .jsonl says of a query."""
    rows = zip(predictions, right.tolist(), distances.tolist(), strict=True)
    return {
        "query": query,
        "path": dataset.queries.path(query),
        "positives": len(dataset.positives_per_query[query]),
        "predictions": [
            {"path": dataset.database.path(index), "right": is_right, "distance_m": round(metres, 1)}
            for index, is_right, metres in rows
        ],
    }


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
