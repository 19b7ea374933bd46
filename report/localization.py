"""The page of localized photos: estimates, radii, neighbours, and the photos' own positions for comparison."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from localization.zones import to_latlon
from report.page import write_page
from report.thumbnails import thumbnail

MAX_PICTURED = 40  # photos shown with pictures; the table has all
_NEIGHBOURS = 5  # pictures beside a photo
_MATCHES_HEIGHT, _GAP = 220, 6  # pixels of a picture with matches
_MOST_LINES = 60


@dataclass
class LocalizedPhoto:
    """Where one photo was taken, in plain values."""

    path: str
    latitude: float | None  # degrees (WGS 84) of the estimate; None: there is no estimate
    longitude: float | None
    east: float | None  # UTM metres, in the database's zone
    north: float | None
    radius_m: float | None = None  # the true position is likely within it; None: not calibrated
    confidence: float | None = None  # 0 to 1; None: not calibrated
    neighbours: tuple = ()  # (path, cosine similarity, east m, north m, matches or None), the best first
    own: tuple | None = None  # (latitude, longitude, east m, north m) of the photo's own GPS
    reason: str = ""  # why there is no estimate
    points: np.ndarray | None = None  # (n, 2, 2): matches with the first neighbour, shares of width and height


def write_localization_report(
    path: str, photos: list[LocalizedPhoto], settings: Iterable[tuple[str, str]] = ()
) -> None:
    """Writes the page of localized photos, one self-contained HTML file.

    settings: pairs (label, value), shown as they are. Raises UserError if Jinja2 is missing or the disk refuses.
    """
    errors = [_error(photo) for photo in photos]
    known = [error for error in errors if error is not None]
    rows = [
        {
            "photo": photo,
            "error": error,
            "position": None if photo.latitude is None else f"{photo.latitude:.6f}, {photo.longitude:.6f}",
        }
        for photo, error in zip(photos, errors, strict=True)
    ]
    for row in rows[:MAX_PICTURED]:
        row["picture"] = thumbnail(row["photo"].path)
        row["neighbours"] = [
            {"name": name, "similarity": similarity, "matches": matches, "picture": thumbnail(name)}
            for name, similarity, _, _, matches in row["photo"].neighbours[:_NEIGHBOURS]
        ]
        if row["photo"].points is not None:
            row["matches"] = _matches(row["photo"])
    within = [
        row["error"] <= row["photo"].radius_m
        for row in rows
        if row["error"] is not None and row["photo"].radius_m is not None
    ]
    write_page(
        path,
        "localization.html",
        title="Where the photos were taken",
        letters={},
        rows=rows,
        pictured=rows[:MAX_PICTURED],
        looked_again=any(near[-1] is not None for photo in photos for near in photo.neighbours),
        settings=list(settings),
        failed=sum(photo.east is None for photo in photos),
        known=len(known),
        median=float(np.median(known)) if known else None,
        within=sum(within),
        with_radius=len(within),
        data={"photos": [_data(photo) for photo in photos if photo.east is not None]},
    )


def _error(photo: LocalizedPhoto) -> float | None:
    """Metres from the estimate to the photo's own GPS position; None if one of them is missing."""
    return (
        None
        if photo.own is None or photo.east is None
        else float(np.hypot(photo.own[2] - photo.east, photo.own[3] - photo.north))
    )


def _matches(photo: LocalizedPhoto) -> dict | None:
    """A photo beside its first neighbour, with lines between points that match; None if one cannot be read."""
    pictures = [thumbnail(path, _MATCHES_HEIGHT, None) for path in (photo.path, photo.neighbours[0][0])]
    if any("reason" in picture for picture in pictures):
        return None
    lefts = 0, pictures[0]["width"] + _GAP
    sizes = np.array([[picture["width"], picture["height"]] for picture in pictures])
    shown = np.unique(np.linspace(0, len(photo.points) - 1, min(len(photo.points), _MOST_LINES)).astype(int))
    lines = np.round(photo.points[shown] * sizes + [[lefts[0], 0], [lefts[1], 0]], 1)
    return {
        "pictures": [dict(picture, left=left) for picture, left in zip(pictures, lefts, strict=True)],
        "lines": lines.reshape(-1, 4).tolist(),
        "number": len(photo.points),
        "width": lefts[1] + pictures[1]["width"],
        "height": _MATCHES_HEIGHT,
    }


def _data(photo: LocalizedPhoto) -> dict:
    """What the map shows of a photo, in metres east and north of the estimate."""

    def relative(east: float, north: float) -> list[float]:
        return [round(float(east - photo.east), 2), round(float(north - photo.north), 2)]

    return {
        "path": photo.path,
        "radius": photo.radius_m,
        "utm": [photo.east, photo.north],
        "place": _place(photo.latitude, photo.longitude),
        "own": None if photo.own is None else {"at": relative(*photo.own[2:]), "place": _place(*photo.own[:2])},
        "neighbours": [
            {
                "name": name,
                "similarity": round(float(similarity), 8),
                "at": relative(east, north),
                "place": _place(*to_latlon(east, north, os.path.basename(name))[:2]),
            }
            for name, similarity, east, north, _ in photo.neighbours
        ],
    }


def _place(latitude: float | None, longitude: float | None) -> list[float] | None:
    """Degrees, for a link to a map; None: not known."""
    return None if latitude is None else [round(latitude, 6), round(longitude, 6)]
