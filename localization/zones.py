"""From a database's metres to latitude and longitude, by what the name of an image beside the point says."""

import math

from datasets.names import EAST, FIELDS, NORTH, utm_to_latlon
from support.errors import UserError

_ZONE_NUMBER, _ZONE_LETTER, _LATITUDE, _LONGITUDE = map(
    FIELDS.index, ("UTM_zone_number", "UTM_zone_letter", "latitude", "longitude")
)
_DEGREE = 111_195.0  # metres of latitude, on a sphere


def to_latlon(east: float, north: float, name: str) -> tuple[float | None, float | None, str | None]:
    """(latitude, longitude, zone) of a point, degrees and a text as "32U"; each None where the name does not say.

    name: the `@` name of an image within some hundred metres of the point. Without a zone that the point can lie in,
    the latitude and longitude are the image's own, moved by the metres between: the directions of a UTM grid are up to
    3 degrees off, 5 cm a metre.
    """
    fields = name.split("@") + [""] * len(FIELDS)
    if fields[_ZONE_NUMBER].isdecimal() and fields[_ZONE_LETTER]:
        try:
            position = utm_to_latlon(east, north, int(fields[_ZONE_NUMBER]), fields[_ZONE_LETTER])
            return *position, f"{int(fields[_ZONE_NUMBER])}{fields[_ZONE_LETTER].upper()}"
        except (
            UserError
        ):  # a set in the zone of its first photo may lie beyond what utm takes, and a letter may be none
            pass
    latitude, longitude, own_east, own_north = (
        _number(fields[index]) for index in (_LATITUDE, _LONGITUDE, EAST, NORTH)
    )
    if None in (latitude, longitude, own_east, own_north) or abs(latitude) >= 90 or abs(longitude) > 180:
        return None, None, None
    longitude += (east - own_east) / (_DEGREE * math.cos(math.radians(latitude)))
    return latitude + (north - own_north) / _DEGREE, (longitude + 180) % 360 - 180, None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
