"""python -m datasets.check: checks a data set before it is trained or tested on."""

import argparse
import contextlib
import json
import logging

from datasets.check.parts import check
from datasets.check.report import lines
from datasets.check.suggestions import Parameters
from parser import make_further_parser, parse_with
from support.errors import ending_in_one_line
from support.workers import explaining_lost_workers

_USED = {
    "help",
    "M",
    "alpha",
    "N",
    "L",
    "groups_num",
    "min_images_per_class",
    "batch_size",
    "positive_dist_threshold",
    "num_workers",
}
_PARAMETERS = ("M", "alpha", "N", "L", "min_images_per_class", "groups_num", "batch_size")


def parse_check_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line, as parser.parse_with does."""
    parser = make_further_parser(
        "python -m datasets.check",
        "Looks over a data set (train, val, test), a test set (database, queries) or one folder of images: "
        "names, UTM zones, headings, sizes, unreadable and double images, positives, overlap, "
        "and the groups of the given parameters, or "
        "the parameters that would give usable ones. Exit code 1 if training or evaluation would fail.",
        _USED,
    )
    add = parser.add_argument_group("data set").add_argument
    add("folder", metavar="FOLDER", help="the data set")
    add("--json", action="store_true", help="print the findings as JSON")
    add(
        "--sample",
        type=int,
        metavar="N",
        help="decode at most this many images of each folder, evenly spread (default: all)",
    )
    add("--no_groups", action="store_true", help="do not ask whether training images can be split into groups")
    args = parse_with(parser, argv, ())
    if args.sample is not None and args.sample < 1:
        parser.error(f"--sample is {args.sample}; it must be at least 1")
    return args


def main(argv: list[str] | None = None) -> None:
    """Runs the command. The exit code is 1 if the data set cannot be used."""
    args = parse_check_arguments(argv)
    logging.basicConfig(format="%(message)s")
    with ending_in_one_line():
        with explaining_lost_workers():
            report = check(
                args.folder,
                Parameters(*(getattr(args, name) for name in _PARAMETERS)),
                args.positive_dist_threshold,
                args.num_workers,
                args.sample,
                not args.no_groups,
            )
    with contextlib.suppress(BrokenPipeError):
        if args.json:
            print(json.dumps(report, indent=1))
        else:
            print("\n".join(lines(report)))
    if report["problems"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
