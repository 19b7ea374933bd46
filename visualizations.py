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
_PER_ROW = 11  # panels; a JPEG can be no wider and no higher than 65,500 pixels
_MOST_DRAWN = 2200  # predictions of a query; its text has all
_GREEN, _RED, _BLUE, _GRAY = (30, 150, 60), (200, 40, 40), (60, 90, 190), (128, 128, 128)


def save_predictions(
    dataset: TestDataset,
    predictions: np.ndarray,
    output_folder: str,
    num_preds: int,
    only_wrong: bool = False,
    limit: int | None = None,
    similarities: np.ndarray | None = None,
) -> int:
    """Draws queries beside their predictions, and writes their paths, as the published code does.

    `<output_folder>/<query>.jpg` is the picture. `<query>.txt` has the published form, which re-ranking tools read;
    control characters in names are escaped there. `<output_folder>.jsonl` has a line for each query that is drawn, with
    exact paths, distances and verdicts; where it is not known what is right, similarities instead.

    dataset: the database and its queries
    predictions: int (q, k), database indices, nearest first; -1: no prediction
    output_folder: is made if it is missing
    num_preds: predictions beside each query
    only_wrong: draw only queries whose first prediction is wrong
    limit: draw at most so many queries
    similarities: float (q, k), cosines, which a data set without labels needs

    Returns how many queries were drawn. Raises UserError if the disk refuses.
    """
    os.makedirs(output_folder, exist_ok=True)
    rows = []
    for query, nearest in enumerate(predictions[:, :num_preds]):
        nearest = nearest[nearest >= 0]
        shown = (
            _judged(dataset, query, nearest)
            if dataset.labelled
            else [{"similarity": round(value, 4)} for value in similarities[query, : len(nearest)].tolist()]
        )
        if only_wrong and shown and shown[0]["right"]:
            continue
        if len(rows) == limit:
            break
        path = os.path.join(output_folder, f"{query:03d}")
        with replacing(path + ".jpg") as temporary:
            _draw(dataset, query, nearest[:_MOST_DRAWN], shown[:_MOST_DRAWN]).save(temporary, "JPEG", quality=88)
        with replacing(path + ".txt") as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(_published_text(dataset, query, nearest))
        positives = {"positives": len(dataset.positives_per_query[query])} if dataset.labelled else {}
        paths = ({"path": dataset.database.path(index)} for index in nearest)
        rows.append(
            {"query": query, "path": dataset.queries.path(query)}
            | positives
            | {"predictions": [path | said for path, said in zip(paths, shown, strict=True)]}
        )
    with replacing(f"{output_folder.rstrip(os.sep)}.jsonl") as temporary, open(temporary, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return len(rows)


def _published_text(dataset: TestDataset, query: int, predictions: np.ndarray) -> str:
    """The text of a query's file, as the published code writes it."""
    parts = {
        "Query path:": [dataset.queries.path(query)],
        "Predictions paths:": map(dataset.database.path, predictions),
        "Positives paths:": map(dataset.database.path, dataset.positives_per_query[query] if dataset.labelled else ()),
    }
    return "\n".join(f"{heading}\n" + "\n".join(map(printable, paths)) + "\n" for heading, paths in parts.items())


def _judged(dataset: TestDataset, query: int, predictions: np.ndarray) -> list[dict]:
    """Of each prediction, whether it is right, and how far it is from the query."""
    right = np.isin(predictions, dataset.positives_per_query[query])
    metres = np.linalg.norm(dataset.database_utms[predictions] - dataset.queries_utms[query], axis=1)
    return [
        {"right": is_right, "distance_m": round(distance, 1)}
        for is_right, distance in zip(right.tolist(), metres.tolist(), strict=True)
    ]


def _draw(dataset: TestDataset, query: int, predictions: np.ndarray, shown: list[dict]) -> Image.Image:
    caption = ""
    if dataset.labelled:
        positives = len(dataset.positives_per_query[query])
        caption = f"{positives} positive{'s' * (positives != 1)} in the database"
    panels = [_panel(dataset.queries.path(query), _BLUE, "Query", caption)]
    for rank, (prediction, said) in enumerate(zip(predictions, shown, strict=True), 1):
        if dataset.labelled:
            colour = _GREEN if said["right"] else _RED
            caption = f"{said['distance_m']:.1f} m: {'right' if said['right'] else 'wrong'}"
        else:
            colour, caption = _GRAY, f"similarity {said['similarity']:.3f}"
        panels.append(_panel(dataset.database.path(prediction), colour, f"Prediction {rank}", caption))
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
