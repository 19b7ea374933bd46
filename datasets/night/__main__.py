"""python -m datasets.night: makes a copy of a training set by night, or a sheet of samples."""

import argparse
import os
import re
from dataclasses import fields

from datasets.choices import FDA_WINDOWS, NIGHT_METHODS, PP_STRENGTHS, check_beta, needs_strength, needs_target
from datasets.images import MAX_PIXELS, MIN_SIDE
from datasets.night.build import Settings, build
from datasets.night.sheet import write_sheet
from support.errors import UserError, ending_in_one_line
from support.options import refuse_unused


def make_parser() -> argparse.ArgumentParser:
    """Builds the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.night",
        allow_abbrev=False,
        description="Makes a copy of a training set by night, for "
        "--pseudo_target_folder: every image keeps its folder and @ fields, with `night` before the first @. "
        "An interrupted run goes on "
        "when the same command is run again; the images depend on the settings and on their names alone.",
    )
    add = parser.add_argument
    add("--source", required=True, help="folder of images by day")
    add("--target", help="folder of images by night, whose colours FDA takes; any names and sizes")
    add(
        "--output",
        help="folder to make; new, empty, or begun with the same settings (they are recorded in OUTPUT_night.json)",
    )
    add(
        "--method",
        choices=NIGHT_METHODS,
        default="fda_pp",
        help="fda: Fourier domain adaptation; pp: post-processing (darker, bluer, black "
        "sky, circles of light, noise); or both (default: %(default)s)",
    )
    add(
        "--fda_beta",
        type=float,
        default=0.01,
        help="size of FDA's window of low frequencies, a share of an image's shorter side, 0 to 0.5, or to 1 for the "
        "fork's (default: %(default)s)",
    )
    add(
        "--fda_window",
        choices=FDA_WINDOWS,
        default="paper",
        help="what --fda_beta means: paper, beta times the shorter side is the highest frequency; fork, as in "
        "AMLSquad/CosPlace, half of that, less one (default: %(default)s)",
    )
    add(
        "--fda_size",
        type=_size,
        metavar="WIDTHxHEIGHT",
        help="pixels that an image is resized to for FDA, and back (bicubic); 1024x512 in AMLSquad/CosPlace (default: "
        "its own size)",
    )
    add(
        "--pp_strength",
        choices=PP_STRENGTHS,
        help="ranges of the post-processing's factors (default: mild after FDA, else strong)",
    )
    add("--seed", type=int, default=0, help="seed of all that is random (default: %(default)s)")
    add("--jpeg_quality", type=int, default=95, help="of the images written, 1 to 100 (default: %(default)s)")
    add(
        "--num_workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes that share the images; the images do not depend on it (default: %(default)s)",
    )
    add("--batch_size", type=int, default=8, help="images that a process takes at a time (default: %(default)s)")
    add(
        "--sheet",
        metavar="FILE",
        help="write only a sheet of samples, by day and in all ways by night, to FILE (.jpg or .png)",
    )
    add("--sheet_rows", type=int, default=6, help="images on the sheet (default: %(default)s)")
    add(
        "--sheet_pixels",
        type=int,
        default=256,
        help="longer side of each image on the sheet, pixels (default: %(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    args = make_parser().parse_args(argv)
    with ending_in_one_line("; run the same command again to go on"):
        _check(args)
        settings = Settings(**{field.name: getattr(args, field.name) for field in fields(Settings)})
        if args.sheet:
            write_sheet(args.sheet, settings, args.sheet_rows, args.sheet_pixels)
            print(f"wrote {args.sheet}")
            return
        made, there, unreadable = build(settings, args.num_workers, args.batch_size)
    for name, reason in unreadable.items():
        print(f"left out: {name!r}: {reason}")
    print(f"{args.output}: {made} images made, {there} were there; {len(unreadable)} left out")


def _check(args: argparse.Namespace) -> None:
    """Raises UserError if a value is out of range."""
    for name, low, high in (
        ("seed", 0, 2**63 - 1),
        ("jpeg_quality", 1, 100),
        ("num_workers", 0, 1000),
        ("batch_size", 1, 10**6),
        ("sheet_rows", 1, 100),
        ("sheet_pixels", 32, 1024),
    ):
        if not low <= getattr(args, name) <= high:
            raise UserError(f"--{name} is {getattr(args, name)}; it must be from {low} to {high}")
    check_beta(args.fda_beta, args.fda_window)
    if not args.sheet and not args.output:
        raise UserError("give --output, the folder to make, or --sheet")
    if args.sheet and not args.sheet.lower().endswith((".jpg", ".jpeg", ".png")):
        raise UserError(f"--sheet is {args.sheet}; it must end in .jpg or .png")
    _refuse_unused(args)


def _refuse_unused(args: argparse.Namespace) -> None:
    """Raises UserError on a flag of the night that nothing uses. A sheet shows PP, and FDA if there is a target."""
    has_fda = bool(args.target) if args.sheet else needs_target(args.method)
    fda = has_fda, ("--target, the folder of images by night" if args.sheet else "--method fda or fda_pp")
    uses = {
        **dict.fromkeys(("fda_beta", "fda_window", "fda_size", "target"), fda),
        "pp_strength": (args.sheet or needs_strength(args.method), "--method pp or fda_pp"),
        **dict.fromkeys(("sheet_rows", "sheet_pixels"), (args.sheet, "--sheet")),
    }
    parser = make_parser()
    given = {name for name, value in vars(args).items() if value != parser.get_default(name)}
    refuse_unused(given, uses)
    for name in ("output", "method", "jpeg_quality", "num_workers", "batch_size"):
        if args.sheet and name in given:
            raise UserError(
                f"--{name} has no use with --sheet, which shows all methods on one page: leave one of them out"
            )


def _size(text: str) -> tuple[int, int]:
    """(width, height) of WIDTHxHEIGHT."""
    match = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
    size = tuple(map(int, match.groups())) if match else (0, 0)
    if min(size) < MIN_SIDE or size[0] * size[1] > MAX_PIXELS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size: give WIDTHxHEIGHT in pixels, as 1024x512, each at least {MIN_SIDE}, and "
            f"at most {MAX_PIXELS:,} in all"
        )
    return size


if __name__ == "__main__":
    main()
