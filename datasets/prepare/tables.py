"""Positions of photos from a CSV file or from GeoJSON. Rows that cannot be used are reported; nothing is guessed."""

import collections
import csv
import json
import os
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

from datasets.pack.reading import is_image
from datasets.prepare import gsv_cities
from datasets.prepare.positions import check_degrees
from datasets.prepare.records import Photo, Rejected, Unusable, parse_heading, parse_number, parse_time, plain_name
from datasets.walk import IMAGE_EXTENSIONS
from support.errors import UserError
from support.regular_files import open_regular

_DELIMITERS = ",;\t|"
_ENCODINGS = "utf-8-sig", "cp1252", "latin-1"  # the last reads anything
_BLOCK = 1 << 20
_SHOWN = 100  # characters of a field in a message
# the usual names of each column, in lower case without blanks, _ and -, also those of exiftool and Mapillary; the first
# one that is there is taken
COLUMNS = {
    "path": (
        "path",
        "imagepath",
        "filepath",
        "file",
        "filename",
        "image",
        "imagename",
        "img",
        "photo",
        "name",
        "sourcefile",
        "key",
        "imageid",
        "id",
    ),
    "latitude": ("latitude", "lat", "gpslatitude", "y"),
    "longitude": ("longitude", "lon", "lng", "long", "gpslongitude", "x"),
    "heading": (
        "heading",
        "computedcompassangle",
        "compassangle",
        "ca",
        "bearing",
        "azimuth",
        "yaw",
        "direction",
        "gpsimgdirection",
        "northdeg",
    ),
    "time": ("timestamp", "capturedat", "time", "datetime", "datetimeoriginal", "date", "captured", "taken"),
}
_REQUIRED = {"csv": ("path", "latitude", "longitude"), "geojson": ("path",)}
_HEMISPHERES = {"latitude": "NS", "longitude": "EW"}
_OTHER_GEOMETRIES = ("MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection")
_DEGREES = re.compile(r"CRS84|EPSG:.*:?4326")  # the names of WGS 84 that GeoJSON files give
_FILE_URL = re.compile(r"file:(?://([^/]*))?(/.*)", re.IGNORECASE | re.DOTALL)


class Table:
    """Reads one table, and collects its photos.

    path: of the file
    columns: {"path": ..., "latitude": ..., "longitude": ..., "heading": ..., "time": ...}, the names of columns (CSV)
        or properties (GeoJSON); None for the usual names
    images_folder: where relative paths begin; None for the table's folder

    Attributes: photos; rejected: rows that cannot be used; odd_times, odd_headings: of photos whose time or heading was
    not understood and is left out; found: the columns that were taken, by field.
    """

    has_flags = True  # the --..._column that a message may name
    json_help = "give GeoJSON as --geojson"  # to who gives JSON as CSV

    def __init__(self, path: str, columns: dict[str, str | None], images_folder: str | None = None):
        self.path, self.columns = path, columns
        self.images_folder = os.path.dirname(path) if images_folder is None else images_folder
        self.photos, self.rejected, self.odd_times, self.odd_headings = [], [], [], []
        self.found, self.encoding, self.is_data_frame = {}, "utf-8-sig", False

    def notes(self) -> Iterator[str]:
        """Yields lines on what was taken for what, and on what was left out of photos that are used."""
        yield "Taken from the table: " + ", ".join(f"{field} from {name!r}" for field, name in self.found.items())
        if self.encoding in _ENCODINGS[1:]:
            yield f"{self.path} is not UTF-8, and was read as {self.encoding}"
        for what, odd in (("times", self.odd_times), ("headings", self.odd_headings)):
            if odd:
                yield f"{len(odd)} {what} were not understood and are left out: {odd[0]}"

    def read_csv(self) -> None:
        """Reads a CSV file. Raises UserError if it cannot be read, is empty or lacks a column."""
        encoding = self.encoding = _encoding(self.path)
        csv.field_size_limit(_BLOCK)
        with open(self.path, encoding=encoding, newline="") as file:
            try:
                delimiter = self._delimiter(next((line for line in file if line.strip()), ""))
                file.seek(0)
                reader = csv.reader(file, delimiter=delimiter)
                rows = (row for row in reader if any(cell.strip() for cell in row))
                header = next(rows, [])
                if header and header[0].lstrip().startswith(("{", "[")):
                    raise UserError(f"{self.path} is JSON and no CSV file: {self.json_help}")
                fields = self._find(header, "csv")
                frame = {} if "path" in fields else self._data_frame(header)
                for row in rows:
                    values, named = (
                        {name: row[index] if index < len(row) else "" for name, index in columns.items()}
                        for columns in (fields, frame)
                    )
                    self._add(
                        f"line {reader.line_num}",
                        (gsv_cities.values_of(named) | values) if frame else values,
                        too_long=any(row[len(header) :]),
                    )
            except (csv.Error, UnicodeError) as error:
                raise UserError(f"{self.path} is no CSV file, or is damaged: {error}") from error
        if not self.photos and not self.rejected:
            raise UserError(f"{self.path} has no rows below its header")

    def read_geojson(self) -> None:
        """Reads GeoJSON. Raises UserError if the file cannot be read, or is no FeatureCollection."""
        try:
            with open_regular(self.path, "r", encoding="utf-8-sig") as file:  # numbers stay the texts that they are
                content = json.load(
                    file, object_pairs_hook=self._object, parse_float=str, parse_int=str, parse_constant=str
                )
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.path} is not JSON: {error}") from error
        features = (
            content.get("features")
            if isinstance(content, dict) and content.get("type") == "FeatureCollection"
            else None
        )
        if not isinstance(features, list) or not features:
            raise UserError(
                f"{self.path} is no GeoJSON FeatureCollection with features (Points, "
                "with a property for the image's path)"
            )
        self._check_crs(content.get("crs"))
        names = list(
            dict.fromkeys(
                name
                for feature in features
                if isinstance(feature, dict) and isinstance(feature.get("properties"), dict)
                for name in feature["properties"]
            )
        )
        fields = {field: names[index] for field, index in self._find(names, "geojson").items()}
        for number, feature in enumerate(features, 1):
            feature = feature if isinstance(feature, dict) else {}
            geometry, properties = (
                value if isinstance(value, dict) else {}
                for value in (feature.get("geometry"), feature.get("properties"))
            )
            values = {field: properties.get(name) for field, name in fields.items()}
            point, kind = geometry.get("coordinates"), geometry.get("type")
            if kind in _OTHER_GEOMETRIES:
                self._reject(f"feature {number}", _key(values), f"a {kind}, not a Point")
                continue
            is_point = kind == "Point" and isinstance(point, list) and len(point) >= 2
            values["longitude"], values["latitude"] = point[:2] if is_point else ("", "")
            self._add(f"feature {number}", values)

    def _check_crs(self, crs: object) -> None:
        """Raises UserError if the file says that its coordinates are others than longitude and latitude of WGS 84."""
        properties = crs.get("properties") if isinstance(crs, dict) else None
        name = str(properties.get("name") if isinstance(properties, dict) else crs)
        if crs is not None and not _DEGREES.search(name):
            raise UserError(
                f"{self.path} says that its coordinates are those of {name[:80]!r}: "
                "convert them to longitude and latitude (WGS 84, EPSG:4326)"
            )

    def _data_frame(self, header: list[str]) -> dict[str, int]:
        """The columns of a data frame of GSV-Cities. Raises UserError if there is no folder of images."""
        folder = os.path.join(self.images_folder, gsv_cities.FOLDER)
        if not os.path.isdir(folder):
            flag = "--images_folder" if self.has_flags else "--database_folder"
            raise UserError(
                f"{self.path} is a data frame of GSV-Cities, and there is no folder {folder}: "
                f"name the data set's folder with {flag}"
            )
        self.is_data_frame = True
        self.found["path"] = "the columns of GSV-Cities"
        return gsv_cities.find_columns(header)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object of JSON. Raises UserError if two values have one name."""
        twice = [name for name, count in collections.Counter(name for name, _ in pairs).items() if count > 1]
        if twice:
            raise UserError(f"{self.path} has an object with two values named {twice[0]!r}; leave one of them")
        return dict(pairs)

    def _find(self, names: list, kind: str) -> dict[str, int]:
        """Finds the columns: {field: index}. Raises UserError if a required one is missing, or there are two of it."""
        what, several = ("column", "columns") if kind == "csv" else ("property", "properties")
        if not any(str(name).strip() for name in names):
            raise UserError(
                f"{self.path} is empty" if kind == "csv" else f"the features of {self.path} have no properties"
            )
        plain = [plain_name(name) for name in names]
        stripped = [str(name).strip() for name in names]
        fields, makes_paths = {}, kind == "csv" and bool(gsv_cities.find_columns(names))
        for field, usual in COLUMNS.items():
            if kind == "geojson" and field in ("latitude", "longitude"):
                continue
            given = self.columns.get(field)
            known, wanted = (stripped, (given,)) if given else (plain, usual)
            name = next((name for name in wanted if name in known), None)
            if name is not None:
                fields[field], *others = (index for index, other in enumerate(known) if other == name)
                if others:
                    raise UserError(
                        f"{self.path} has two {several} for the {field}, "
                        f"{stripped[fields[field]]!r} and {stripped[others[0]]!r}; "
                        f"rename one{f', or name another with --{field}_column' if self.has_flags else ''}"
                    )
            elif given or (field in _REQUIRED[kind] and not (field == "path" and makes_paths)):
                missing = repr(given) if given else f"for the {field}"
                raise UserError(
                    f"{self.path} has no {what} {missing}; it has {', '.join(map(repr, stripped[:20]))}: "
                    f"{f'name it with --{field}_column' if self.has_flags else f'rename it {usual[0]}'}"
                )
        self.found = {field: stripped[index] for field, index in fields.items()}
        return fields

    def _delimiter(self, line: str) -> str:
        """The delimiter that finds most columns in the first line; among equals, the one that splits it most often."""

        def score(delimiter: str) -> tuple[int, int]:
            header = next(csv.reader([line], delimiter=delimiter), [])
            try:
                return len(self._find(header, "csv")), len(header)
            except UserError:
                return 0, len(header)

        return max(_DELIMITERS, key=score)

    def _reject(self, place: str, key: str, reason: str, detail: str = "") -> None:
        self.rejected.append(Rejected(self._source(place), key, reason, detail))

    def _source(self, place: str) -> str:
        return f"{os.path.basename(self.path)} {place}"

    def _add(self, place: str, values: dict[str, Any], too_long: bool = False) -> None:
        source, key = self._source(place), _key(values)
        try:
            if too_long:
                raise Unusable("more fields than the header has", "an unquoted delimiter?")
            path = self._find_file(key)
            latitude, longitude = (_coordinate(values, field) for field in ("latitude", "longitude"))
            check_degrees(latitude, longitude)
        except Unusable as error:
            self._reject(place, key, error.reason, error.detail)
            return
        heading, time = None, ""
        try:
            heading = parse_heading(values.get("heading"))
        except Unusable:
            self.odd_headings.append(f"{source}: {values['heading']!r}")
        try:
            time = parse_time(values.get("time"))
        except (ValueError, OverflowError):
            self.odd_times.append(f"{source}: {values['time']!r}")
        self.photos.append(Photo(path, key, source, latitude, longitude, heading, time))

    def _find_file(self, key: str) -> str:
        """Finds the file of a key. Extensions of images are tried too: Mapillary's keys are bare numbers."""
        if not key:
            raise Unusable("no path")
        if "\n" in key:
            raise Unusable("a path of more than one line", f"an unclosed quote? {key!r}"[:_SHOWN])
        local = _local_path(key)
        for spelling in dict.fromkeys((local, local.replace("\\", "/"))):
            path = os.path.join(self.images_folder, spelling)
            if is_image(path):
                return path
            found = [path + extension for extension in IMAGE_EXTENSIONS if is_image(path + extension)]
            if len(found) > 1:
                raise Unusable("several files of that name", ", ".join(found))
            if found:
                return found[0]
        if self.is_data_frame and is_image(path[:-4] + ".JPG"):
            return path[:-4] + ".JPG"
        raise Unusable("no such file", os.path.join(self.images_folder, local))


def _key(values: dict[str, Any]) -> str:
    """What a row names its file, as a text."""
    return str(values.get("path") if values.get("path") is not None else "").strip()


def _local_path(key: str) -> str:
    """The path that a row names, also as file://. Raises Unusable for another machine's."""
    url = _FILE_URL.fullmatch(key)
    if not url:
        return key
    host, path = url.groups()
    if host and host.lower() != "localhost":
        raise Unusable("a file:// path of another machine", key)
    return os.fsdecode(urllib.parse.unquote_to_bytes(path))


def _coordinate(values: dict[str, Any], field: str) -> float:
    text = values.get(field)
    if text is None or not str(text).strip():
        raise Unusable(f"no {field}")
    try:
        return parse_number(text, _HEMISPHERES[field])
    except ValueError:
        raise Unusable(f"a {field} that is no number", str(text)) from None


def _encoding(path: str) -> str:
    """The first encoding that reads the whole file; UTF-16 by its byte-order mark."""
    try:
        with open_regular(path) as file:
            if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                return "utf-16"
        for encoding in _ENCODINGS:
            try:
                with open(path, encoding=encoding) as file:
                    while file.read(_BLOCK):
                        pass
                return encoding
            except UnicodeDecodeError:
                continue
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
