"""From a database's metres to latitude and longitude, by the name of a nearby image."""

import math

from datasets.names import EAST, FIELDS, NORTH, utm_to_latlon
from support.decimals import parse_decimal
from support.errors import UserError

_ZONE_NUMBER, _ZONE_LETTER, _LATITUDE, _LONGITUDE = map(
    FIELDS.index, ("UTM_zone_number", "UTM_zone_letter", "latitude", "longitude")
)
Zone = tuple[int, str]  # number and letter
_DEGREE = 111_195.0  # metres of latitude, on a sphere


def to_latlon(east: float, north: float, name: str) -> tuple[float | None, float | None, str | None]:
    """(latitude, longitude, zone) of a point: degrees, and a text such as "32U". None: the name does not say.

    If the name has no zone that the point can lie in, the image's own latitude and longitude are moved by the metres
    between. A UTM grid is turned by up to 3 degrees, which makes 5 cm a metre.

    east, north: metres; name: the `@` name of an image within some hundred metres of the point.
    """
    zone = zone_of(name)
    if zone and (found := in_zone(east, north, zone)) is not None:
        return found
    fields = name.split("@") + [""] * len(FIELDS)
    latitude, longitude, own_east, own_north = (
        _number(fields[index]) for index in (_LATITUDE, _LONGITUDE, EAST, NORTH)
    )
    if None in (latitude, longitude, own_east, own_north) or abs(latitude) >= 90 or abs(longitude) > 180:
        return None, None, None
    longitude += (east - own_east) / (_DEGREE * math.cos(math.radians(latitude)))
    return latitude + (north - own_north) / _DEGREE, (longitude + 180) % 360 - 180, None


def zone_of(name: str) -> Zone | None:
    """The UTM zone in the `@` name of an image, whatever its letter is; None if the name has none."""
    fields = name.split("@") + [""] * len(FIELDS)
    number, letter = fields[_ZONE_NUMBER], fields[_ZONE_LETTER]
    return (int(number), letter) if number.isascii() and number.isdecimal() and letter else None


def in_zone(east: float, north: float, zone: Zone) -> tuple[float, float, str] | None:
    """(latitude, longitude, zone as a text) of a point in metres; None if it is too far from the zone, or none."""
    try:
        return *utm_to_latlon(east, north, *zone), f"{zone[0]}{zone[1].upper()}"
    except UserError:
        return None


def _number(text: str) -> float | None:
    try:
        return parse_decimal(text.strip(" "))
    except ValueError:
        return None
