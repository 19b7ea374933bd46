"""Writes a page of the training curves of one or several runs."""

import argparse
import os
import sys

from report.notes import run_notes
from report.page import check_report
from report.training import METRICS, read_metrics, write_training_report
from support.errors import UserError
from support.escaping import printable


def main(argv: list[str] | None = None) -> None:
    """Runs python -m report. argv: its arguments (default: those of the command line)."""
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="output folder of a run of train.py, or a folder of such; one without metrics.csv is skipped",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="the page, an HTML file that needs no network")
    args = parser.parse_args(argv)
    try:
        check_report(args.output, "--output")
        runs = dict.fromkeys(run for path in args.runs for run in find_runs(os.path.normpath(path)))
        if not runs:
            raise UserError(f"no RUN has a {METRICS}: give the output folders of trainings that ended an epoch")
        metrics = {run: read_metrics(os.path.join(run, METRICS)) for run in runs}
        write_training_report(args.output, metrics, run_notes())
    except UserError as error:
        parser.error(str(error))
    print(f"The training curves are in {args.output}")


def find_runs(path: str) -> list[str]:
    """The folders of runs that a path names: itself, or those in it. Those without metrics are named on stderr."""
    if not os.path.isdir(path) or _has_metrics(path):
        return [path]
    found = sorted(entry.path for entry in os.scandir(path) if _has_metrics(entry.path))
    if not found:
        print(f"{printable(path)} is skipped: it has no {METRICS}", file=sys.stderr)
    return found


def _has_metrics(folder: str) -> bool:
    return os.path.lexists(os.path.join(folder, METRICS))


if __name__ == "__main__":
    sys.exit(main())
