"""What is known of a photo before it becomes an image, and how numbers and times are read from text."""

import collections
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass

from support.decimals import parse_decimal
from support.escaping import printable

_BLANKS = " \t"  # around numbers and times; others, as vertical tabs, are no part of a table
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
# as exiftool writes them: 55 deg 41' 53.40" N
_SEXAGESIMAL = re.compile(
    r"(\d+(?:\.\d+)?) *(?:deg|°) *(?:(\d+(?:\.\d+)?) *['′])? *(?:(\d+(?:\.\d+)?) *[\"″])? *([NSEWnsew]?)", re.ASCII
)
_HEMISPHERE = re.compile(r"([0-9]+(?:[.,][0-9]+)?) *([NSEWnsew])")  # with a sign it would be said twice
# YYYYMMDDhh and YYYYMMDDhhmm are numbers of seconds and of milliseconds too
_TWO_TIMES = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])([01]\d|2[0-3])([0-5]\d)?")
_EPOCH = 1e8, 1e10  # seconds: 1973 to 2286; what is larger is in milliseconds


@dataclass(frozen=True)
class Photo:
    """A photo with a position.

    path: of the file
    key: its name in the source, which does not depend on where the source is
    source: where it was read, for messages
    latitude, longitude: degrees, WGS 84
    heading: of the image's centre, degrees clockwise from north, or None
    time: the digits of YYYYMMDDhhmmss that are known, "" if none
    magnetic: whether the heading is of magnetic north
    """

    path: str
    key: str
    source: str
    latitude: float
    longitude: float
    heading: float | None = None
    time: str = ""
    magnetic: bool = False


@dataclass(frozen=True)
class Rejected:
    """A photo or row that cannot be used. reason: in general terms, by which it is counted; detail: of this one."""

    source: str
    path: str
    reason: str
    detail: str = ""


def count_reasons(rejected: list[Rejected]) -> Iterator[str]:
    """Counts photos and rows that are left out by their reasons, with the first example of each."""
    examples = {
        record.reason: printable(": ".join(filter(None, (record.source, record.detail))))
        for record in reversed(rejected)
    }
    for reason, count in collections.Counter(record.reason for record in rejected).most_common():
        yield f"{count} for {reason} (first {examples[reason]})"


class Unusable(Exception):
    """Why a row cannot be used: (reason, detail) as in Rejected."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason, self.detail = reason, detail


def plain_name(name: object) -> str:
    """Returns a column's name as it is compared: in lower case, without blanks, _ and -."""
    return "".join(str(name).lower().split()).replace("_", "").replace("-", "")


def parse_number(text: object, hemispheres: str = "NSEW") -> float:
    """Parses a number of degrees in a table.

    It may have a point or a comma (55,70), a hemisphere (122.4 W), or degrees, minutes and seconds as exiftool writes
    them. Its digits are ASCII's. Raises ValueError for anything else, also for a sign together with a hemisphere.

    text: of the table
    hemispheres: that it may name
    """
    text = str(text).strip(_BLANKS)
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if match := _SEXAGESIMAL.fullmatch(text):
        degrees, minutes, seconds = (parse_decimal(part or "0") for part in match.group(1, 2, 3))
        if minutes >= 60 or seconds >= 60:
            raise ValueError(f"{text!r} has 60 minutes or seconds, or more")
        value, hemisphere = degrees + minutes / 60 + seconds / 3600, match.group(4)
    elif match := _HEMISPHERE.fullmatch(text):
        value, hemisphere = parse_decimal(match.group(1).replace(",", ".")), match.group(2)
    else:
        return parse_decimal(text)
    if hemisphere.upper() not in hemispheres:
        raise ValueError(f"{text!r} has another axis's hemisphere")
    return -value if hemisphere and hemisphere in "SsWw" else value


def parse_heading(text: object) -> float | None:
    """Parses a heading, any number of degrees: in [0, 360), None for an empty field. Raises Unusable if it is none."""
    if text is None or not str(text).strip():
        return None
    try:
        return within_circle(parse_number(text, hemispheres=""))
    except ValueError:
        raise Unusable("a heading that is no number", str(text)) from None


def within_circle(heading: float) -> float:
    """Returns a heading modulo 360 degrees, in [0, 360)."""
    return heading % 360 % 360  # once is not enough: -1e-20 % 360 is 360.0


def parse_time(text: object) -> str:
    """Parses a time: the digits of YYYYMMDDhhmmss that it gives, "" for an empty field.

    It may be seconds or milliseconds since 1970 (in UTC), YYYY, YYYYMM, YYYYMMDD, ISO 8601 (another time zone is
    converted to UTC), or EXIF's YYYY:MM:DD hh:mm:ss. Raises ValueError for anything else, and for YYYYMMDDhh and
    YYYYMMDDhhmm, which could be seconds and milliseconds.
    """
    text = "" if text is None else str(text).strip(_BLANKS)
    if not text:
        return ""
    if not text.isascii() or _TWO_TIMES.fullmatch(text):  # digits of other scripts; two readings
        raise ValueError(f"{text!r} is no time")
    if re.fullmatch(r"(19|20)\d\d((0[1-9]|1[0-2])([0-3]\d)?)?", text):
        return text
    if re.fullmatch(r"(19|20)\d\d-(0[1-9]|1[0-2])", text):
        return text.replace("-", "")
    try:
        seconds = parse_decimal(text)
    except ValueError:
        # EXIF separates a date's parts by colons
        moment = datetime.datetime.fromisoformat(re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text))
        if moment.tzinfo:
            moment = moment.astimezone(datetime.UTC)
        return moment.strftime("%Y%m%d%H%M%S" if len(text) > len("YYYY-MM-DD") else "%Y%m%d")
    if re.fullmatch(r"(19|20)\d{12}", text):
        datetime.datetime.strptime(text, "%Y%m%d%H%M%S")
        return text
    seconds = seconds if seconds < _EPOCH[1] else seconds / 1000
    if not _EPOCH[0] <= seconds < _EPOCH[1]:
        raise ValueError(f"{text} is no time")
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y%m%d%H%M%S")
