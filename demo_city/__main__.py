"""python -m demo_city: renders the demo cities, or a sheet of sample views."""

import argparse
import os
import sys
from dataclasses import fields, replace

from demo_city import photos
from demo_city.build import build
from demo_city.sheet import write_sheet
from support.errors import UserError, ending_in_one_line

_LARGEST = {
    "train_metres": 50000,
    "val_metres": 50000,
    "test_metres": 50000,
    "pixels": 2048,
    "queries": 100000,
    "target_night": 100000,
}


def make_parser() -> argparse.ArgumentParser:
    """Builds the parser of the command."""
    default = photos.Settings()
    parser = argparse.ArgumentParser(
        prog="python -m demo_city",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Renders two procedural cities into FOLDER in SF-XL's layout: photographs with true positions, "
        "several years, day and night. An interrupted run goes on when the same command is run again.",
    )
    parser.add_argument(
        "--folder", default="data/demo", help="where the data set goes; new, empty, or begun with the same settings"
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="whole number from which everything is made")
    parser.add_argument(
        "--train_metres", type=float, default=default.train_metres, help="metres of streets in city1/train"
    )
    parser.add_argument("--val_metres", type=float, default=default.val_metres, help="metres of streets in city1/val")
    parser.add_argument(
        "--test_metres", type=float, default=default.test_metres, help="metres of streets in each city's test database"
    )
    parser.add_argument(
        "--years", type=int, default=default.years, help="training years, 1 to 4; database and queries are of others"
    )
    parser.add_argument(
        "--train_step", type=float, default=default.train_step, help="metres between the panoramas of a training year"
    )
    parser.add_argument(
        "--database_step", type=float, default=default.database_step, help="metres between the database's panoramas"
    )
    parser.add_argument("--queries", type=int, default=default.queries, help="photographs in each folder of queries")
    parser.add_argument("--target_night", type=int, default=default.target_night, help="photographs in target_night")
    parser.add_argument(
        "--headings", type=int, default=default.headings, help="crops of a panorama, 360 / HEADINGS degrees apart"
    )
    parser.add_argument("--pixels", type=int, default=default.pixels, help="width and height of the images, in pixels")
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
        "--sheet_pixels", type=int, default=256, help="width and height of each view on the sheet, in pixels"
    )
    return parser


def parse_arguments(argv: list[str] | None = None) -> tuple[photos.Settings, str, str | None, int, int]:
    """Parses the command line: (settings, folder, path of the sheet or None, pixels of the sheet's views, processes).

    Raises UserError if a value is out of range.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.tiny:
        given = {
            action.dest
            for action in parser._actions
            for option in action.option_strings
            if any(word == option or word.startswith(option + "=") for word in (sys.argv[1:] if argv is None else argv))
        }
        settings = replace(
            photos.TINY, **{f.name: getattr(args, f.name) for f in fields(photos.Settings) if f.name in given}
        )
    else:
        settings = photos.Settings(**{f.name: getattr(args, f.name) for f in fields(photos.Settings)})
    _check(settings, args)
    return settings, args.folder, args.sheet, args.sheet_pixels, args.processes


def _check(settings: photos.Settings, args: argparse.Namespace) -> None:
    """Raises UserError if a value is out of range."""
    for f in fields(settings):
        value = getattr(settings, f.name)
        if f.name != "seed" and not 0 < value <= _LARGEST.get(f.name, 1000):
            raise UserError(f"--{f.name} is {value}; it must be above 0 and at most {_LARGEST.get(f.name, 1000)}")
    if settings.pixels < 16:
        raise UserError(f"--pixels is {settings.pixels}; it must be at least 16")
    if settings.years > 4:
        raise UserError(f"--years is {settings.years}; there are 4 training years")
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
