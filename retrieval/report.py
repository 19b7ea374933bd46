"""The former name of `python -m report`."""

import sys


def main(argv: list[str] | None = None) -> None:
    """Names the command that took this one's place; the exit code is 2."""
    print("python -m retrieval.report is now python -m report", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
