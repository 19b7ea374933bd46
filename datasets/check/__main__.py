"""python -m datasets.check: checks a data set before it is trained or tested on."""

import contextlib
import json
import logging
from dataclasses import fields

from datasets.check.parts import check
from datasets.check.report import lines
from datasets.check.suggestions import Parameters
from parser import parse_arguments
from support.errors import ending_in_one_line

_PARAMETERS = tuple(field.name for field in fields(Parameters))


def main(argv: list[str] | None = None) -> None:
    """Runs the command. The exit code is 1 if the data set cannot be used."""
    args = parse_arguments("check", argv)
    logging.basicConfig(format="%(message)s")
    with ending_in_one_line():
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
