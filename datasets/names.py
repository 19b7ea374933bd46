"""Image names: the `@` fields that say where a photo was taken, lists of names, and the folders they lie in.

A data set of SF-XL's size has 5.6 to 41 million names, so that they are kept as one block of bytes with offsets (`ImageNames`)
and parsed with numpy, never as millions of Python strings.
"""

import os
import re

import numpy as np
import utm

from model.errors import UserError
from model.files import replacing

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png")
FIELDS = ("", "UTM_east", "UTM_north", "UTM_zone_number", "UTM_zone_letter", "latitude", "longitude", "pano_id", "tile_num",
          "heading", "pitch", "roll", "height", "timestamp", "note", "extension")
EAST, NORTH, HEADING = FIELDS.index("UTM_east"), FIELDS.index("UTM_north"), FIELDS.index("heading")
NAME_FORMAT = "@".join(FIELDS)
_CHUNK = 1 << 19  # names parsed at a time: bounds the temporary arrays to about 100 MB
_MAX_ABS = 1e9  # metres or degrees; beyond it a number is a mistake, and class keys could overflow
_AT, _NEWLINE, _DOT, _SLASH = ord("@"), ord("\n"), ord("."), ord("/")


class ImageNames:
    """An immutable sequence of image names (relative POSIX paths), held as bytes.

    blob: uint8 array, all names' bytes (UTF-8; undecodable bytes as surrogates); starts, ends: int64 arrays (n,), the byte range
    of each name; source: where the names come from, for messages.
    """

    def __init__(self, blob, starts, ends, source="the image list"):
        self.blob, self.starts, self.ends, self.source = blob, starts, ends, source

    @classmethod
    def from_strings(cls, names, source="the image list"):
        encoded = [os.fsencode(name) for name in names]
        ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if encoded else ends
        return cls(np.frombuffer(b"".join(encoded), np.uint8), starts, ends, source)

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, index):
        return os.fsdecode(self.blob[self.starts[index]:self.ends[index]].tobytes())

    def __iter__(self):
        return (self[i] for i in range(len(self)))


def format_name(utm_east, utm_north, zone_number="", zone_letter="", latitude=None, longitude=None, pano_id="", tile_num="",
                heading=None, pitch="", roll="", height="", timestamp="", note="", extension=".jpg"):
    """The `@` name of an image: UTM in metres with 2 decimals, latitude and longitude in degrees, heading in degrees clockwise
    from north. Fields that are None or "" stay empty. Raises ValueError if a text field holds `@` or a path separator."""
    fields = [f"{utm_east:010.2f}", f"{utm_north:010.2f}", zone_number, zone_letter,
              "" if latitude is None else f"{latitude:09.5f}", "" if longitude is None else f"{longitude:010.5f}",
              pano_id, tile_num, "" if heading is None else f"{heading:06.2f}", pitch, roll, height, timestamp, note, extension]
    fields = [str(field) for field in fields]
    for field in fields:
        if "@" in field or "/" in field:
            raise ValueError(f"the field {field!r} holds a character that separates fields or folders")
    return "@" + "@".join(fields)


def latlon_to_utm(latitude, longitude, zone_number=None, zone_letter=None):
    """Degrees (WGS 84) to (east m, north m, zone number, zone letter); a given zone forces it. Raises UserError out of range."""
    try:
        east, north, zone_number, zone_letter = utm.from_latlon(latitude, longitude, zone_number, zone_letter)
        return float(east), float(north), zone_number, zone_letter
    except (utm.error.OutOfRangeError, ValueError) as error:
        raise UserError(f"latitude {latitude}, longitude {longitude} cannot be put into UTM: {error}") from error


def utm_to_latlon(utm_east, utm_north, zone_number, zone_letter):
    """UTM metres to (latitude, longitude) in degrees (WGS 84). Raises UserError out of range."""
    try:
        latitude, longitude = utm.to_latlon(utm_east, utm_north, zone_number, zone_letter)
        return float(latitude), float(longitude)
    except (utm.error.OutOfRangeError, ValueError) as error:
        raise UserError(f"UTM {utm_east} {utm_north} {zone_number}{zone_letter} is not a position: {error}") from error


def images_list_path(folder):
    """The text file that may stand next to `folder` and then replaces the walk through it."""
    folder = os.path.normpath(folder)
    return (os.path.abspath(folder) if os.path.basename(folder) in (".", "..") else folder) + "_images_paths.txt"


def list_images(folder):
    """The names of the images of `folder` as ImageNames: the lines of `<folder>_images_paths.txt` in their order if that file
    exists, else all images below the folder as relative POSIX paths sorted as whole strings.

    Raises UserError when the folder is missing or has no images, or a line of the list leads out of the folder.
    """
    if not os.path.isdir(folder):
        raise UserError(f"folder {folder} does not exist; check the path")
    if not os.path.exists(images_list_path(folder)):
        return _walk(folder)
    names = read_images_list(images_list_path(folder))
    if not os.path.exists(os.path.join(folder, names[0])):
        raise UserError(f"{names.source} names {names[0]!r}, which is not in {folder}; delete the list or make it anew")
    return names


def read_images_list(path):
    """The lines of a list of images, as ImageNames; blank lines are passed over. Raises UserError on an empty or unsafe list."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    newlines = np.flatnonzero(data == _NEWLINE)
    starts = np.concatenate([[0], newlines + 1]).astype(np.int64)
    ends = np.concatenate([newlines, [len(data)]]).astype(np.int64)
    starts, ends = _strip(data, starts, ends)
    kept = ends > starts
    names = ImageNames(data, starts[kept], ends[kept], source=path)
    if not len(names):
        raise UserError(f"{path} names no image; delete it or make it anew")
    _refuse_unsafe(names)
    return names


def write_images_list(folder, names):
    """Writes `<folder>_images_paths.txt`, beside and renamed."""
    with replacing(images_list_path(folder)) as temporary, open(temporary, "wb") as file:
        file.writelines(os.fsencode(name) + b"\n" for name in names)


def positions(names):
    """UTM east and north in metres: float64 (n, 2). Raises UserError naming the first name without them."""
    return parse_fields(names, (EAST, NORTH))


def parse_fields(names, fields, empty_as_zero=()):
    """The numbers in some `@` fields of every name: float64 (n, len(fields)), exactly as float() reads them.

    names: ImageNames; fields: indices into FIELDS; a field in empty_as_zero may be empty and is then 0.
    Raises UserError naming the first name that has too few fields, or no finite number there.
    """
    values = np.empty((len(names), len(fields)))
    for begin in range(0, len(names), _CHUNK):
        part = slice(begin, min(begin + _CHUNK, len(names)))
        values[part] = _parse_chunk(names, part, fields, empty_as_zero)
    return values


def _parse_chunk(names, part, fields, empty_as_zero):
    starts, ends = names.starts[part], names.ends[part]
    base = starts[0]
    data = np.asarray(names.blob[base:ends[-1]])
    ats = np.flatnonzero(data == _AT)
    first_at = np.searchsorted(ats, starts - base)
    count = np.searchsorted(ats, ends - base) - first_at
    few = np.flatnonzero(count <= max(fields))
    if len(few):
        _refuse_name(names, part.start + few[0], f"has {count[few[0]]} '@', and needs at least {max(fields) + 1}")
    values = np.empty((len(starts), len(fields)))
    for column, field in enumerate(fields):
        begin, end = ats[first_at + field - 1] + 1, ats[first_at + field]
        length = end - begin
        width = max(int(length.max()), 1)
        if width > 64:
            _refuse_name(names, part.start + int(length.argmax()), f"has no number in field {field} ({FIELDS[field]})")
        # (n, width) bytes of the field, padded with NUL, which numpy reads as the end of the string
        index = begin[:, None] + np.arange(width)
        characters = np.where(index < end[:, None], data[np.minimum(index, len(data) - 1)], 0).astype(np.uint8)
        if field in empty_as_zero:
            characters[length == 0, 0] = ord("0")
        texts = characters.view(f"S{width}")[:, 0]
        try:
            values[:, column] = texts.astype(np.float64)
        except ValueError:
            values[:, column] = [_to_float(text) for text in texts.tolist()]
        bad = np.flatnonzero(~(np.abs(values[:, column]) < _MAX_ABS))  # NaN, infinite or absurd
        if len(bad):
            text = texts[bad[0]].decode("utf-8", "replace")
            _refuse_name(names, part.start + bad[0], f"has {text!r} in field {field} ({FIELDS[field]}), which is not a usable number")
    return values


def _to_float(text):
    try:
        return float(text)
    except ValueError:
        return np.nan


def _refuse_name(names, index, problem):
    raise UserError(f"image name {names[index]!r} (number {index + 1} of {names.source}) {problem}; "
                    f"names are {NAME_FORMAT}, numbers in metres and degrees")


def _strip(data, starts, ends):
    """Moves both ends of every line inwards past blanks and carriage returns."""
    blank = np.isin(np.arange(256), [9, 13, 32])
    while len(data):
        move = (ends > starts) & blank[data[np.maximum(ends - 1, 0)]]
        if not move.any():
            break
        ends = ends - move
    while len(data):
        move = (ends > starts) & blank[data[np.minimum(starts, len(data) - 1)]]
        if not move.any():
            break
        starts = starts + move
    return starts, ends


def _refuse_unsafe(names):
    """A list from outside may not lead out of its folder: no absolute paths, no `..`, no NUL."""
    first = names.blob[names.starts]
    bad = set(np.flatnonzero(first == _SLASH)[:1].tolist())
    for pattern in (rb"(?<![^/\n\r\t ])\.\.(?![^/\n\r\t ])", rb"\x00"):
        match = re.search(pattern, names.blob)
        if match:
            bad.add(int(np.searchsorted(names.starts, match.start(), side="right")) - 1)
    if bad:
        index = min(bad)
        raise UserError(f"{names.source} names {names[index]!r} (image {index + 1}), which leads out of the folder; "
                        "names must be relative paths below it")


def _walk(folder):
    """All images below a folder as sorted relative POSIX paths. Hidden files and folders are passed over; symbolic links to folders are
    followed, but not round in circles."""
    found = []
    pending, seen = [""], set()
    while pending:
        relative = pending.pop()
        path = os.path.join(folder, relative) if relative else folder
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    name = f"{relative}/{entry.name}" if relative else entry.name
                    if entry.is_dir():
                        pending.append(name)
                    elif entry.name.lower().endswith(IMAGE_EXTENSIONS):
                        found.append(name)
        except OSError as error:
            raise UserError(f"folder {path} cannot be read: {error.strerror}") from error
    if not found:
        raise UserError(f"folder {folder} has no images ({', '.join('*' + e for e in IMAGE_EXTENSIONS)}) and no list "
                        f"{images_list_path(folder)}")
    return ImageNames.from_strings(sorted(found), source=folder)
