"""python -m demo_city: renders the demo cities, or a sheet of sample views."""

import argparse
import os
import sys
from dataclasses import replace

from demo_city import photos
from demo_city.build import build
from demo_city.sheet import write_sheet
from support.errors import UserError, ending_in_one_line

_LARGEST = {
    "cities": photos.MOST_CITIES,
    "city_metres": 50000,
    "train_metres": 50000,
    "val_metres": 50000,
    "test_metres": 50000,
    "years": len(photos.TRAIN_YEARS),
    "night_share": 1,
    "pixels": 2048,
    "queries": 100000,
    "target_night": 100000,
}
_MAY_BE_ZERO = ("seed", "cities", "night_share")
_OF_THE_DEMO, _OF_CITIES = ("train_metres", "target_night"), ("city_metres",)
# metres, numbers and shares of photos.Settings, in the order of --help
_HELP = {
    "seed": "whole number from which everything is made",
    "cities": "training cities of all styles but one, with a validation set of further cities and a test set of the "
    f"style that is left out ({photos.UNSEEN}); 0: the demo's two cities instead",
    "city_metres": "metres of streets in each training city, with --cities",
    "train_metres": "metres of streets in city1/train",
    "val_metres": "metres of streets in the validation set",
    "test_metres": "metres of streets in each test database",
    "years": "training years, 1 to 4; database and queries are of others",
    "night_share": "share of the training streets, and of validation queries, that are photographed by night",
    "train_step": "metres between the panoramas of a training year",
    "database_step": "metres between the database's panoramas",
    "queries": "photographs in each folder of queries",
    "query_days": "days, and as many nights, on which queries are taken",
    "target_night": "photographs in target_night",
    "headings": "crops of a panorama, 360 / HEADINGS degrees apart",
    "pixels": "width and height of the images, in pixels",
}


def make_parser() -> argparse.ArgumentParser:
    """Builds the parser of the command."""
    default = photos.Settings()
    parser = argparse.ArgumentParser(
        prog="python -m demo_city",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Renders procedural cities into FOLDER in SF-XL's layout: photographs with true positions, several "
        "years, day and night. An interrupted run goes on when the same command is run again.",
    )
    parser.add_argument(
        "--folder", default="data/demo", help="where the data set goes; new, empty, or begun with the same settings"
    )
    for name, text in _HELP.items():
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=type(value), default=value, help=text)
    parser.add_argument(
        "--processes",
        type=int,
        default=os.cpu_count() or 1,
        help="processes that render; the files do not depend on it",
    )
    parser.add_argument(
        "--tiny", action="store_true", help="a few dozen small images for tests: replaces all sizes but the ones given"
    )
    parser.add_argument("--sheet", metavar="FILE", help="write only a sheet of sample views to FILE, no data set")
    parser.add_argument(
        "--sheet_pixels", type=int, default=192, help="width and height of each view on the sheet, in pixels"
    )
    return parser


def parse_arguments(argv: list[str] | None = None) -> tuple[photos.Settings, str, str | None, int, int]:
    """Parses the command line: (settings, folder, path of the sheet or None, pixels of the sheet's views, processes).

    Raises UserError if a value is out of range.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    words = [word.split("=")[0] for word in (sys.argv[1:] if argv is None else argv)]
    given = {name for name in _HELP if f"--{name}" in words}
    values = {name: getattr(args, name) for name in _HELP}
    settings = (
        replace(photos.TINY, **{name: values[name] for name in given}) if args.tiny else photos.Settings(**values)
    )
    _check(settings, args, given)
    return settings, args.folder, args.sheet, args.sheet_pixels, args.processes


def _check(settings: photos.Settings, args: argparse.Namespace, given: set[str]) -> None:
    """Raises UserError if a value is out of range, or given where it has no use."""
    for name in _HELP:
        value, largest = getattr(settings, name), _LARGEST.get(name, 1000)
        if name == "seed":
            continue
        if not (0 <= value if name in _MAY_BE_ZERO else 0 < value) or not value <= largest:
            limit = "at least 0" if name in _MAY_BE_ZERO else "above 0"
            raise UserError(f"--{name} is {value}; it must be {limit} and at most {largest}")
    if settings.pixels < 16:
        raise UserError(f"--pixels is {settings.pixels}; it must be at least 16")
    for name in sorted(given.intersection(_OF_THE_DEMO if settings.cities else _OF_CITIES)):
        wanted = "without --cities" if settings.cities else "with --cities"
        raise UserError(f"--{name} is used {wanted} alone; leave it out")
    if args.processes < 1:
        raise UserError(f"--processes is {args.processes}; it must be at least 1")
    if not 32 <= args.sheet_pixels <= 1024:
        raise UserError(f"--sheet_pixels is {args.sheet_pixels}; it must be 32 to 1024")
    if args.sheet and not args.sheet.lower().endswith((".jpg", ".jpeg", ".png")):
        raise UserError(f"--sheet is {args.sheet}; it must end in .jpg or .png")


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    folder = "the folder"
    with ending_in_one_line(f"; run the same command again to go on in {folder}"):
        settings, folder, sheet, sheet_pixels, processes = parse_arguments(argv)
        if sheet:
            write_sheet(sheet, settings, sheet_pixels)
            print(f"wrote {sheet}")
            return
        before, written, counts = build(folder, settings, processes)
        for sub, count in counts.items():
            print(f"{count:6d} images in {os.path.join(folder, sub)}")
        print(f"{written} images written, {before} were there")


if __name__ == "__main__":
    main()
