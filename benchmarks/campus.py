"""A public set of 368 real photos with positions and headings, under `@` names, for benchmarks.real_streets.

It is Dataset/images_val and Dataset/labels_val.csv of the repository
krishnaNallasingu/Image-Based-Geolocation-Estimation-System: a campus at several times of day. The repository has no
licence, so that its photos are measured on and never passed on. Its latitudes and longitudes are scaled and shifted
whole numbers, taken as millionths of a degree: differences are right to about a metre, absolute places are not.
"""

import argparse
import csv
import os
import shutil
import sys

import numpy as np

from datasets.image_names import ImageNames
from datasets.name_fields import FIELDS
from datasets.names import format_name, latlon_to_utm, positions
from support.errors import UserError, ending_in_one_line
from support.regular_files import open_regular

_SCALE = 1e-6  # degrees
_FAR = 1500.0  # metres from the middle; the campus is 700 m long
_TIMESTAMP = FIELDS.index("timestamp")


def main(argv: list[str] | None = None) -> None:
    """Copies the photos under their new names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campus", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="the folder Dataset of a clone of that repository")
    parser.add_argument("output", help="a new folder for the photos with @ names")
    parser.add_argument(
        "--split",
        action="store_true",
        help="photos of even hours go into OUTPUT/database, those of odd hours into OUTPUT/queries, for localize.py "
        "--calibrate (default: all into one folder); 6 photos that lie far away are left out",
    )
    args = parser.parse_args(argv)
    with ending_in_one_line():
        print(copy_photos(args.dataset, args.output, args.split))


def copy_photos(dataset: str, output: str, split: bool = False) -> str:
    """Copies all labelled photos that are there. Returns a line that counts them. Raises UserError.

    The minute of the photo is in the name's timestamp, so that photos of one walk can be told. split: by the hour.
    """
    try:
        with open_regular(os.path.join(dataset, "labels_val.csv"), "r", newline="", encoding="utf-8") as file:
            names = {os.path.join(dataset, "images_val", row["filename"]): _name(row) for row in csv.DictReader(file)}
        os.makedirs(output)  # once it is known that the labels can be read
        there = [path for path in names if os.path.isfile(path)]
        if split and there:
            there = _near(there, names)
        for path in there:
            folder = os.path.join(output, _half(names[path])) if split else output
            os.makedirs(folder, exist_ok=True)
            shutil.copyfile(path, os.path.join(folder, names[path]))
    except (OSError, KeyError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{getattr(error, 'filename', None) or dataset} cannot be used: {reason}") from error
    return f"{len(there)} of {len(names)} labelled photos are in {output}"


def _near(paths: list[str], names: dict[str, str]) -> list[str]:
    """Without the photos that are far from all others: they would be a half of the campus's extent of their own."""
    places = positions(ImageNames.from_strings(names[path] for path in paths))
    away = np.linalg.norm(places - np.median(places, axis=0), axis=1)
    return [path for path, metres in zip(paths, away, strict=True) if metres <= _FAR]


def _half(name: str) -> str:
    return ("database", "queries")[int(name.split("@")[_TIMESTAMP][:-2] or 0) % 2]


def _name(row: dict[str, str]) -> str:
    latitude, longitude = int(row["latitude"]) * _SCALE, int(row["longitude"]) * _SCALE
    stem, extension = os.path.splitext(row["filename"])
    east, north, number, letter = latlon_to_utm(latitude, longitude)
    return format_name(
        east,
        north,
        number,
        letter,
        latitude,
        longitude,
        stem,
        heading=float(row["angle"]) % 360,
        timestamp=row["timestamp"].replace(":", ""),
        extension=extension,
    )


if __name__ == "__main__":
    sys.exit(main())
