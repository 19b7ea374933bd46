"""Compares two runs by their log folders: the data that they saw, their metrics, their arguments and their versions.

Exit code 0: all of that is the same; 1: something differs; 2: a folder cannot be read.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Collection

from support.errors import UserError

_TIMING = ("seconds", "images_per_second")
_DATA = "images_crc32"  # a running CRC-32 of the names of all images of an epoch, in their order
# entries of environment.json that do not change what a run computes
_INCIDENTAL = {"command", "resumed", "arguments", "digests"}
_INCIDENTAL_ARGUMENTS = {"save_dir", "save_dir_given", "resume_train"}


def main(argv: list[str] | None = None) -> None:
    """Prints the comparison. Raises SystemExit with 1 if something differs, with 2 if a folder cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare_runs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", nargs=2, metavar="FOLDER", help="the log folder of a run, such as logs/default/2026-01-31_12-00-00"
    )
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    args = parser.parse_args(argv)
    try:
        found = compare(*args.runs)
    except UserError as error:
        parser.error(str(error))
    print(json.dumps(found, indent=1) if args.json else describe(found))
    if not found["same"]:
        raise SystemExit(1)


def compare(a: str, b: str) -> dict:
    """Compares two log folders. Returns plain values:

    same: whether nothing differs
    epochs: how many rows of metrics.csv each has
    data: {"same", "first_difference": epoch}; "same" says whether the epochs that both have saw the same images in the
        same order, and is None if that was not recorded
    metrics: {"same", "first_difference": {"epoch", "column", "values"}}
    versions, arguments, digests: {name: [value of a, value of b]} of what differs
    resumed: how often each run was resumed

    Runs of eval.py and soup.py have no metrics.csv. Raises UserError when neither file of a folder can be read.
    """
    folders = a, b
    for folder in folders:
        if not os.path.isdir(folder):
            raise UserError(f"there is no log folder {folder}")
    rows, environments = [read_metrics(folder) for folder in folders], [read_environment(folder) for folder in folders]
    for folder, metrics, environment in zip(folders, rows, environments, strict=True):
        if metrics is None and environment is None:
            raise UserError(f"{folder} is no log folder: it has neither metrics.csv nor environment.json")
    found = {
        "folders": list(folders),
        "epochs": [len(metrics or []) for metrics in rows],
        **_compare_metrics(*[m or [] for m in rows]),
    }
    environments = [environment or {} for environment in environments]
    found["versions"] = _changes(*environments, _INCIDENTAL)
    found["arguments"] = _changes(
        *[environment.get("arguments", {}) for environment in environments], _INCIDENTAL_ARGUMENTS
    )
    found["digests"] = _changes(*[environment.get("digests", {}) for environment in environments])
    found["resumed"] = [len(environment.get("resumed", [])) for environment in environments]
    found["same"] = (
        found["epochs"][0] == found["epochs"][1]
        and found["metrics"]["same"]
        and found["data"]["same"] is not False
        and not (found["versions"] or found["arguments"] or found["digests"])
    )
    return found


def read_metrics(folder: str) -> list[dict[str, str]] | None:
    """Returns the rows of a folder's metrics.csv, None without the file. Raises UserError when it is damaged."""
    path = os.path.join(folder, "metrics.csv")
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not all((row.get("epoch") or "").isdigit() and None not in row for row in rows):
        raise UserError(f"{path} is damaged: a row has no epoch, or too many values")
    return rows


def read_environment(folder: str) -> dict | None:
    """Returns a folder's environment.json, None without the file. Raises UserError when it is damaged."""
    path = os.path.join(folder, "environment.json")
    try:
        with open(path, encoding="utf-8") as file:
            environment = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if (
        not isinstance(environment, dict)
        or not all(isinstance(environment.get(name, {}), dict) for name in ("arguments", "digests"))
        or not isinstance(environment.get("resumed", []), list)
    ):
        raise UserError(f"{path} is damaged: it does not say what environment.json of a run says")
    return environment


def _compare_metrics(a: list[dict[str, str]], b: list[dict[str, str]]):
    metrics, data = {"same": True, "first_difference": None}, {"same": None, "first_difference": None}
    for first, second in zip(a, b, strict=False):
        if data["same"] is not False and _DATA in first and _DATA in second:
            data["same"] = first[_DATA] == second[_DATA]
            if not data["same"]:
                data["first_difference"] = int(first["epoch"])
        differing = [
            column
            for column in dict.fromkeys([*first, *second])
            if column not in (*_TIMING, _DATA) and first.get(column) != second.get(column)
        ]
        if differing and metrics["same"]:
            column = differing[0]
            metrics = {
                "same": False,
                "first_difference": {
                    "epoch": int(first["epoch"]),
                    "column": column,
                    "values": [first.get(column), second.get(column)],
                },
            }
    return {"data": data, "metrics": metrics}


def _changes(a: dict, b: dict, incidental: Collection[str] = ()):
    names = [name for name in dict.fromkeys([*a, *b]) if name not in incidental]
    return {name: [a.get(name), b.get(name)] for name in names if a.get(name) != b.get(name)}


def describe(found: dict) -> str:
    """Returns the comparison as lines of text."""
    data, metrics, epochs = found["data"], found["metrics"], found["epochs"]
    lines = [f"A: {found['folders'][0]}", f"B: {found['folders'][1]}"]
    lines += [f"resumed: A {found['resumed'][0]} times, B {found['resumed'][1]} times"] if any(found["resumed"]) else []
    lines += [f"epochs: A {epochs[0]}, B {epochs[1]}; what both have is compared"] if epochs[0] != epochs[1] else []
    if any(epochs):
        lines.append(
            {
                None: "data: not recorded",
                True: "data: both saw the same images in the same order",
                False: f"data: other images, or another order, from epoch {data['first_difference']} on",
            }[data["same"]]
        )
        first = metrics["first_difference"]
        lines.append(
            "metrics: the same"
            if metrics["same"]
            else f"metrics: differ from epoch {first['epoch']} on: {first['column']!r} is "
            f"{first['values'][0]!r} in A and {first['values'][1]!r} in B"
        )
    for kind in ("versions", "arguments", "digests"):
        lines += (
            [f"{kind}: the same"]
            if not found[kind]
            else [f"{kind}: {name!r} is {a!r} in A and {b!r} in B" for name, (a, b) in found[kind].items()]
        )
    return "\n".join([*lines, "SAME" if found["same"] else "DIFFERENT"])


if __name__ == "__main__":
    sys.exit(main())
