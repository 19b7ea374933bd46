"""Lists the models that are known by name, or fetches some: `python -m model.zoo [NAME ...]`.

Every file is checked before it takes its name: its entries fit the architecture, all numbers are finite, and the
descriptor of a test image has unit length.
"""

import argparse
import logging
import os
import sys

from model.checkpoints import load_network
from model.zoo import LIST, VARIABLE, local_path, own_location, own_names, published, size_of
from support import downloads
from support.errors import UserError

_HEAD = ("name", "dimension", "MB", "there", "address", "R@1 as published")


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m model.zoo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Files go to $TORCH_HOME/hub/checkpoints (default: ~/.cache/torch/hub/checkpoints).",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="models to fetch, in any case (default: none, list all)"
    )
    parser.add_argument(
        "--all", action="store_true", help="fetch all that are listed: the published models (5.6 GB), or with --zoo its"
    )
    parser.add_argument(
        "--zoo",
        metavar="FOLDER_OR_URL",
        help="a zoo of your own: a folder, or the address that file names are appended to "
        f"(which lists its models if it has a {LIST}, a name a line). A name means the file NAME.pth there, if there "
        f"is one, else the published model (default: the environment variable {VARIABLE}; else none)",
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        location = own_location(args.zoo)
        if not args.names and not args.all:
            print(table(location))
            return
        names = args.names or _all_names(location)
    except UserError as error:
        parser.error(str(error))
    failed = 0
    for name in names:
        try:
            network = load_network(name, zoo_location=location)
            print(f"{name}: {network.backbone_name} with {network.fc_output_dim}-D descriptors, checked", flush=True)
        except UserError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr, flush=True)
    if failed:
        raise SystemExit(2)


def _all_names(location: str | None) -> list[str]:
    names = own_names(location) if location else published.addresses()
    if names is None:
        raise UserError(f"{location} has no {LIST} that lists its models: name those to fetch")
    return names


def table(location: str | None = None) -> str:
    """Makes the list of all models, as text: the user's own, then the published ones."""
    rows = []
    for name in (own_names(location) or []) if location else []:
        rows.append((name, *_of_file(local_path(name, location))))
    for name, address in published.addresses().items():
        backbone, dim = published.architecture(name)
        path = local_path(name)
        size = os.path.getsize(path) if os.path.exists(path) else size_of(backbone, dim)
        recalls = ", ".join(f"{dataset} {recall:.1f}" for dataset, recall in published.RECALLS.get(name, {}).items())
        rows.append((name, str(dim), f"{size / 1e6:.0f}", _presence(path), address, recalls))
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column in (1, 2) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (_HEAD, *rows)
    ]
    if location and own_names(location) is None:
        lines.append(f"{location} has no {LIST} that lists its models; they can be fetched by name.")
    return "\n".join(lines)


def _of_file(path: str) -> tuple[str, str, str, str]:
    """The cells of an own model's row, without its name."""
    if not os.path.exists(path):
        return "", "", _presence(path), "", ""
    size = f"{os.path.getsize(path) / 1e6:.0f}"
    try:
        return str(load_network(path).fc_output_dim), size, "yes", "", ""
    except UserError as error:
        return "", size, str(error), "", ""


def _presence(path: str) -> str:
    if os.path.exists(path):
        return "yes"
    part = path + downloads.PART
    return f"{os.path.getsize(part) / 1e6:.0f} MB of it" if os.path.exists(part) else "no"


if __name__ == "__main__":
    main()
