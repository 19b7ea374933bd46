"""The former name of `python -m demo_city`."""

import sys


def main(argv: list[str] | None = None) -> None:
    """Names the command that took this one's place; the exit code is 2."""
    print("python -m datasets.demo_city is now python -m demo_city", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
