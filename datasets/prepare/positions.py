"""From degrees to metres: which positions are possible, and one UTM zone for a whole set."""

import collections
import math
import re
from collections.abc import Callable

import numpy as np
import utm

from datasets.prepare.records import Photo, Rejected, Unusable
from support.errors import UserError

_NULL_ISLAND = 1e-6  # degrees, a tenth of a metre: what devices without a fix write
_NEAR = 1.0  # degrees from the median: a position farther away, but near it when swapped, counts as swapped
# degrees from the zone's central meridian (up to 3 within the zone): beyond it, UTM stretches distances by over 1 %
MAX_FROM_MERIDIAN = 9.0


def check_degrees(latitude: float, longitude: float) -> None:
    """Raises Unusable unless latitude and longitude are a position that UTM can hold."""
    place = f"latitude {latitude:g}, longitude {longitude:g}"
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise Unusable("a latitude or longitude that is no number", place)
    if abs(latitude) > 90 and abs(longitude) <= 90 and abs(latitude) <= 180:
        raise Unusable("latitude and longitude seem swapped", f"{place}: swapped they are a position")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise Unusable("a latitude or longitude out of range", place)
    if max(abs(latitude), abs(longitude)) < _NULL_ISLAND:
        raise Unusable("position 0, 0, which devices write that know none", place)
    if not -80 <= latitude <= 84:
        raise Unusable("a latitude beyond UTM's 80 S to 84 N", place)


def seem_swapped(latitudes: np.ndarray, longitudes: np.ndarray) -> np.ndarray:
    """Finds positions far from the set's median that are near it with latitude and longitude swapped: bool (n,)."""
    latitude, longitude = np.median(latitudes), np.median(longitudes)
    far = np.maximum(abs(latitudes - latitude), abs(longitudes - longitude)) > _NEAR
    return far & (np.maximum(abs(longitudes - latitude), abs(latitudes - longitude)) <= _NEAR)


def parse_zone(text: str) -> tuple[int, str]:
    """Parses a zone: "33U" -> (33, "U"). Raises UserError if it is none."""
    match = re.fullmatch(r"([0-9]{1,2})([C-HJ-NP-X])", text.strip().upper())
    if not match or not 1 <= int(match.group(1)) <= 60:
        raise UserError(f"--utm_zone {text} is not a zone such as 33U: a number from 1 to 60 and a letter from C to X")
    return int(match.group(1)), match.group(2)


def choose_zone(latitudes: np.ndarray, longitudes: np.ndarray) -> tuple[int, str]:
    """Chooses the UTM zone (number, letter) of most positions."""
    zones = collections.Counter(
        (utm.latlon_to_zone_number(latitude, longitude), utm.latitude_to_zone_letter(latitude))
        for latitude, longitude in zip(latitudes.tolist(), longitudes.tolist(), strict=True)
    )
    return max(sorted(zones), key=zones.get)


def degrees_from_meridian(longitudes: np.ndarray, zone_number: int) -> np.ndarray:
    """Computes how far each longitude is from the zone's central meridian, the shorter way round: float64 (n,)."""
    return abs((longitudes - (zone_number * 6 - 183) + 180) % 360 - 180)


def project(latitudes: np.ndarray, longitudes: np.ndarray, zone: tuple[int, str]) -> np.ndarray:
    """Computes UTM east and north in metres of one zone: float64 (n, 2).

    Positions of other zones and hemispheres continue the zone.
    """
    east, north, *_ = utm.from_latlon(latitudes, longitudes, *zone)
    return np.stack([east, north], axis=1)


def place_photos(
    photos: list[Photo], zone: tuple[int, str] | None = None
) -> tuple[list[Photo], np.ndarray, tuple[int, str], list[Rejected]]:
    """Converts photos to metres of one UTM zone: (photos in it, their points, (zone number, letter), rejected ones).

    photos: with degrees that check_degrees accepts; zone: as of parse_zone, None for the zone of most photos. The
    points are float64 (n, 2). Photos are left out if latitude and longitude seem swapped, compared with the other
    photos, or if they are too far from the zone.
    """
    rejected = []

    def leave_out(which: np.ndarray, reason: str, describe: Callable[[Photo], str]) -> list[Photo]:
        pairs = list(zip(photos, which.tolist(), strict=True))
        rejected.extend(Rejected(photo.source, photo.path, reason, describe(photo)) for photo, out in pairs if out)
        return [photo for photo, out in pairs if not out]

    photos = leave_out(
        seem_swapped(*_degrees(photos)),
        "latitude and longitude seem swapped",
        lambda photo: (
            f"latitude {photo.latitude:g}, longitude {photo.longitude:g}: swapped they would be near the others"
        ),
    )
    zone = zone or choose_zone(*_degrees(photos))
    far = degrees_from_meridian(_degrees(photos)[1], zone[0]) > MAX_FROM_MERIDIAN
    photos = leave_out(
        far,
        f"too far from UTM zone {zone[0]}{zone[1]}, in whose metres the set is",
        lambda photo: (
            f"latitude {photo.latitude:g}, longitude {photo.longitude:g}: make a set of its own of such photos"
        ),
    )
    if not photos:
        raise UserError(f"no photo is near UTM zone {zone[0]}{zone[1]}; fix --utm_zone, or leave it out")
    latitudes = _degrees(photos)[0]
    if (latitudes < 0).all() if zone[1] >= "N" else (latitudes >= 0).all():  # 33S is often meant as "33, southern"
        band = utm.latitude_to_zone_letter(float(np.median(latitudes)))
        raise UserError(
            f"the letter of UTM zone {zone[0]}{zone[1]} is a band of latitude in the other hemisphere than all photos: "
            f"theirs is {zone[0]}{band}; fix --utm_zone, or leave it out"
        )
    return photos, project(*_degrees(photos), zone), zone, rejected


def describe_extent(photos: list[Photo]) -> str:
    """Says where photos are: their extent in degrees, and a link to its centre on OpenStreetMap."""
    latitudes, longitudes = _degrees(photos)
    south, north = latitudes.min(), latitudes.max()
    longitudes = np.unique(longitudes)
    gaps = np.diff(longitudes, append=longitudes[0] + 360)
    widest = int(gaps.argmax())  # the photos lie on the other side of it, maybe across 180 degrees
    west, width = longitudes[(widest + 1) % len(longitudes)], 360 - gaps[widest]
    latitude, longitude = (south + north) / 2, (west + width / 2 + 180) % 360 - 180
    zoom = int(min(18, math.log2(360 / max(north - south, width, 1e-4))))
    return (
        f"degrees: south {south:.5f}, west {west:.5f}, north {north:.5f}, east {longitudes[widest]:.5f}; their centre: "
        f"https://www.openstreetmap.org/?mlat={latitude:.5f}&mlon={longitude:.5f}#map={zoom}/{latitude:.5f}/{longitude:.5f}"
    )


def _degrees(photos: list[Photo]) -> tuple[np.ndarray, np.ndarray]:
    return (np.array([photo.latitude for photo in photos]), np.array([photo.longitude for photo in photos]))
