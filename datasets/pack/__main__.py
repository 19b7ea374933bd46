"""python -m datasets.pack: a data set of small files as a few large tar files, which are read in its place."""

import argparse
import logging
import sys

from datasets.pack.building import Packing, pack, unpack, verify
from support.errors import UserError, ending_in_one_line
from support.escaping import EscapingFormatter, printable

_MB = 10**6


def make_parser() -> argparse.ArgumentParser:
    """Builds the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.pack",
        allow_abbrev=False,
        description="Packs a folder of images, or a data set, into tar files with an index. The output is read in "
        "place of the folder, by every script, and results are the same. Run again, it goes on where it was "
        "interrupted. The exit code of --verify and --unpack is 1 if images are damaged; they are named.",
    )
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="of images, or of a data set; with --verify and --unpack what was packed")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", metavar="FOLDER", help="the folder to make; a data set keeps its layout")
    what.add_argument("--verify", action="store_true", help="compare all images of a pack with their checksums")
    what.add_argument("--unpack", metavar="OUTPUT", help="write the files of a pack back, to a folder that is made")
    add("--shard_mb", type=int, help="megabytes of a tar file, at most (default: 1000)")
    add(
        "--whole",
        action="store_true",
        help="make one pack of FOLDER, even if its subfolders are named as those of a data set are",
    )
    add("--num_workers", type=int, help="threads that read images (default: 8)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the command. The exit code is 1 if images are damaged."""
    args = make_parser().parse_args(argv)
    handler = logging.StreamHandler()
    handler.setFormatter(EscapingFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    with ending_in_one_line("; run the same command again to go on"):
        packing = _packing(args)
        if args.output:
            is_new = pack(args.folder, args.output, packing)
            print(f"{args.output} {'is complete' if is_new else 'was complete, and nothing has changed since'}")
            return
        damaged = verify(args.folder) if args.verify else unpack(args.folder, args.unpack)
    for path, reason in damaged.items():
        print(f"damaged: {printable(path)}: {printable(reason)}")
    done = "is verified" if args.verify else f"is unpacked to {args.unpack}"
    print(f"{args.folder} {done}; {len(damaged)} images or tar files are damaged")
    if damaged:
        sys.exit(1)


def _packing(args: argparse.Namespace) -> Packing:
    """How the folder is packed. Raises UserError if a value is out of range, or if nothing uses it."""
    for name, high in (("shard_mb", 10**6), ("num_workers", 1000)):
        value = getattr(args, name)
        if value is not None and not 1 <= value <= high:
            raise UserError(f"--{name} is {value}; it must be from 1 to {high}")
    if not args.output:
        given = [name for name in ("shard_mb", "whole", "num_workers") if getattr(args, name)]
        if given:
            raise UserError(f"--{given[0]} has no use without --output: leave it out")
    return Packing((args.shard_mb or 1000) * _MB, args.whole, args.num_workers or 8)


if __name__ == "__main__":
    main()
