"""python -m demo_city: renders the demo cities, or a sheet of sample views."""

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import replace

from demo_city import photos
from demo_city.build import build
from demo_city.sheet import write_sheet
from support.errors import UserError, ending_in_one_line

_MAY_BE_ZERO = ("cities", "night_share")
_OF_THE_DEMO, _OF_CITIES = ("train_metres", "target_night"), ("city_metres",)
_CITIES = (
    "training cities of all styles but one, with a validation set of further cities and a test set of the style that "
    f"is left out ({photos.UNSEEN}); 0: the demo's two cities instead"
)
_NIGHTS = "share of the training streets, and of validation queries, that are photographed by night"
# numbers of photos.Settings, in the order of --help: the largest value, and what it is
_FLAGS = {
    "seed": (None, "whole number from which everything is made"),
    "cities": (photos.MOST_CITIES, _CITIES),
    "city_metres": (50000, "metres of streets in each training city, with --cities"),
    "train_metres": (50000, "metres of streets in city1/train"),
    "val_metres": (50000, "metres of streets in the validation set"),
    "test_metres": (50000, "metres of streets in each test database"),
    "years": (len(photos.TRAIN_YEARS), "training years, 1 to 4; database and queries are of others"),
    "night_share": (1, _NIGHTS),
    "train_step": (1000, "metres between the panoramas of a training year"),
    "database_step": (1000, "metres between the database's panoramas"),
    "queries": (100000, "photographs in each folder of queries"),
    "query_days": (1000, "days, and as many nights, on which queries are taken"),
    "target_night": (100000, "photographs in target_night"),
    "headings": (1000, "crops of a panorama, 360 / HEADINGS degrees apart"),
    "pixels": (2048, "width and height of the images, in pixels"),
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
    text = "where the data set goes; new, empty, or begun with the same settings"
    parser.add_argument("--folder", default="data/demo", help=text)
    for name, (_, text) in _FLAGS.items():
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=type(value), default=value, help=text)
    text = "also write each training panorama whole, as EigenPlaces needs it, to panoramas beside the train folder"
    parser.add_argument("--panoramas", action="store_true", help=text)
    text = "processes that render; the files do not depend on it"
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help=text)
    text = "a few dozen small images for tests: replaces all sizes but the ones given"
    parser.add_argument("--tiny", action="store_true", help=text)
    parser.add_argument("--sheet", metavar="FILE", help="write only a sheet of sample views to FILE, no data set")
    text = "width and height of each view on the sheet, in pixels"
    parser.add_argument("--sheet_pixels", type=int, default=192, help=text)
    return parser


def _parse(argv: list[str] | None) -> tuple[photos.Settings, argparse.Namespace]:
    """Parses the command line. Raises UserError if a value is out of range."""
    args = make_parser().parse_args(argv)
    words = [word.split("=")[0] for word in (sys.argv[1:] if argv is None else argv)]
    given = {name: getattr(args, name) for name in _FLAGS if f"--{name}" in words}
    settings = replace(photos.TINY if args.tiny else photos.Settings(), **given, panoramas=args.panoramas)
    _check(settings, args, given)
    return settings, args


def _check(settings: photos.Settings, args: argparse.Namespace, given: Iterable[str]) -> None:
    """Raises UserError if a value is out of range, or given where it has no use."""
    for name, (largest, _) in _FLAGS.items():
        value, limit = getattr(settings, name), "at least 0" if name in _MAY_BE_ZERO else "above 0"
        if largest and not (value <= largest and (value > 0 or value == 0 and name in _MAY_BE_ZERO)):
            raise UserError(f"--{name} is {value}; it must be {limit} and at most {largest}")
    if settings.pixels < 16:
        raise UserError(f"--pixels is {settings.pixels}; it must be at least 16")
    for name in sorted(set(given).intersection(_OF_THE_DEMO if settings.cities else _OF_CITIES)):
        wanted = "without --cities" if settings.cities else "with --cities"
        raise UserError(f"--{name} is used {wanted} alone; leave it out")
    if args.processes < 1:
        raise UserError(f"--processes is {args.processes}; it must be at least 1")
    if not 32 <= args.sheet_pixels <= 1024:
        raise UserError(f"--sheet_pixels is {args.sheet_pixels}; it must be 32 to 1024")
    if args.sheet and args.panoramas:
        raise UserError("--panoramas is for a data set, and --sheet writes none; leave one of them out")
    if args.sheet and not args.sheet.lower().endswith((".jpg", ".jpeg", ".png")):
        raise UserError(f"--sheet is {args.sheet}; it must end in .jpg or .png")


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    with ending_in_one_line("; run the same command again to go on in the folder"):
        settings, args = _parse(argv)
        if args.sheet:
            write_sheet(args.sheet, settings, args.sheet_pixels)
            print(f"wrote {args.sheet}")
            return
        before, written, counts = build(args.folder, settings, args.processes)
        for sub, count in counts.items():
            print(f"{count:6d} images in {os.path.join(args.folder, sub)}")
        print(f"{written} images written, {before} were there")


if __name__ == "__main__":
    main()
