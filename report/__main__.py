"""Writes a page of the training curves of one or several runs."""

import argparse
import os
import sys

from report.notes import run_notes
from report.page import check_report
from report.training import METRICS, read_metrics, write_training_report
from support.errors import UserError


def main(argv: list[str] | None = None) -> None:
    """Runs python -m report. argv: its arguments (default: those of the command line)."""
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="output folder of a run of train.py, with its metrics.csv"
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="the page, an HTML file that needs no network")
    args = parser.parse_args(argv)
    try:
        check_report(args.output, "--output")
        runs = {os.path.normpath(run): read_metrics(os.path.join(run, METRICS)) for run in args.runs}
        write_training_report(args.output, runs, run_notes())
    except UserError as error:
        parser.error(str(error))
    print(f"The training curves are in {args.output}")


if __name__ == "__main__":
    sys.exit(main())
