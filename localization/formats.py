"""Localizations as text: a table for people, and JSON lines, CSV or GeoJSON for programs."""

import csv
import dataclasses
import io
import json

from localization.answers import Localization
from support.escaping import csv_path, csv_text, printable

_DECIMALS = {
    "latitude": 7,
    "longitude": 7,
    "gps_latitude": 7,
    "gps_longitude": 7,
    "similarity": 4,
    "confidence": 4,
}
_METRES = 2  # decimals of all others
NOT_CALIBRATED = "not calibrated"
_PLAIN = [field.name for field in dataclasses.fields(Localization) if field.name != "neighbours"]
_IN_CSV = ("name", "similarity", "distance_m")  # of each neighbour
_HEAD = ("latitude", "longitude", "UTM", "radius 68%", "95%", "confidence", "GPS off", "photo")


def to_table(results: list[Localization]) -> str:
    """A row for each photo, and below it its neighbours: similarity, distance from the estimate, matches, name."""
    rows = [_HEAD, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    text = []
    for row, result in zip(rows, [None, *results], strict=True):
        text.append("  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]))
        if result:
            text += [
                f"    {near.similarity:6.3f} {near.distance_m:8.1f} m  "
                + ("" if near.matches is None else f"{near.matches:4d} matches  ")
                + printable(near.name)
                for near in result.neighbours
            ]
    return "\n".join(text) + "\n"


def _row(result: Localization) -> tuple[str, ...]:
    if result.error:
        return (*["-"] * (len(_HEAD) - 1), f"{printable(result.photo)}: {printable(result.error)}")
    utm = f"{result.utm_zone or ''} {result.utm_east:.1f} {result.utm_north:.1f}".strip()
    return (
        _cell(result.latitude, ".6f"),
        _cell(result.longitude, ".6f"),
        utm,
        *(_cell(value, ".0f", " m", NOT_CALIBRATED) for value in (result.radius_m, result.radius95_m)),
        _cell(result.confidence, ".0%", none=NOT_CALIBRATED),
        _cell(result.gps_distance_m, ".0f", " m"),
        printable(result.photo),
    )


def _cell(value: float | None, form: str, unit: str = "", none: str = "-") -> str:
    return none if value is None else f"{value:{form}}{unit}"


def to_jsonl(results: list[Localization]) -> str:
    """A JSON object on each line."""
    return "".join(json.dumps(_values(result)) + "\n" for result in results)


def to_csv(results: list[Localization]) -> str:
    """A row for each photo, with three columns for each neighbour, or four after a second look. Empty: not known.

    Unprintable text is escaped, and what a spreadsheet would take for a formula is not left as one (support.escaping).
    """
    shown = max((len(result.neighbours) for result in results), default=0)
    looked = any(near.matches is not None for result in results for near in result.neighbours)
    of_each = (*_IN_CSV, "matches") if looked else _IN_CSV
    columns = [*_PLAIN, *(f"neighbour{rank}_{name}" for rank in range(1, shown + 1) for name in of_each)]
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    for result in results:
        values = _values(result)
        for rank, near in enumerate(values.pop("neighbours"), 1):
            values |= {f"neighbour{rank}_{name}": near.get(name) for name in of_each}
        writer.writerow({name: _csv_cell(name, value) for name, value in values.items()})
    return file.getvalue()


def _csv_cell(column: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    return (csv_path if column == "photo" or column.endswith("_name") else csv_text)(printable(value))


def to_geojson(results: list[Localization]) -> str:
    """A FeatureCollection (RFC 7946) with a point for each photo; null if latitude and longitude are not known."""
    features = []
    for result in results:
        values = _values(result)
        point = (
            None
            if result.latitude is None
            else {"type": "Point", "coordinates": [values["longitude"], values["latitude"]]}
        )
        features.append({"type": "Feature", "geometry": point, "properties": values})
    return json.dumps({"type": "FeatureCollection", "features": features}, indent=1) + "\n"


def _values(result: Localization) -> dict:
    values = _rounded(dataclasses.asdict(result))
    for near in values["neighbours"]:
        if near["matches"] is None:
            del near["matches"]
    return values


def _rounded(values: dict) -> dict:
    return {
        name: round(value, _DECIMALS.get(name, _METRES))
        if isinstance(value, float)
        else [_rounded(item) for item in value]
        if isinstance(value, list)
        else value
        for name, value in values.items()
    }


FORMATS = {"table": to_table, "jsonl": to_jsonl, "csv": to_csv, "geojson": to_geojson}
