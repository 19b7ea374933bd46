"""The header.json of a store of descriptors: read as a file that anybody may have written."""

import hashlib
import json
import os

from support.files import read_object, replacing

VERSION = 1
DTYPES = ("float32", "float16")
_LARGEST = 1 << 27  # bytes: a million unreadable images with reasons


def header_path(folder: str) -> str:
    """The header.json of a store."""
    return os.path.join(folder, "header.json")


def read_header(folder: str) -> dict:
    """Reads the header.json of a store. Raises OSError if it is missing, ValueError if it is damaged."""
    header = read_object(header_path(folder), _LARGEST)
    if header.get("version") != VERSION:
        raise ValueError(f"its version is {str(header.get('version'))[:20]}, not {VERSION}")
    if header.pop("digest", None) != digest(header):
        raise ValueError("header.json is damaged")
    # the digest is right: these are wrong only if another program wrote the header
    if header.get("dtype") not in DTYPES or not all(
        type(header.get(key)) is int and header[key] > 0 for key in ("num_images", "dim", "block_size")
    ):
        raise ValueError("header.json has impossible sizes")
    if not isinstance(header.get("complete"), bool) or not isinstance(header.get("names"), str):
        raise ValueError("header.json is damaged")
    return header


def write_header(folder: str, header: dict) -> None:
    """Writes the header.json of a store, with its digest. Raises UserError if the disk refuses."""
    with replacing(header_path(folder)) as temporary, open(temporary, "w") as file:
        json.dump({**header, "digest": digest(header)}, file, indent=1)


def digest(header: dict) -> str:
    """SHA-256 (hexadecimal) of a header."""
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def read_unreadable(entry: dict, rows: range) -> dict[int, str]:
    """{index: reason} of a header or a line. Raises ValueError if an index is not among the rows."""
    try:
        unreadable = {int(index): reason for index, reason in entry["unreadable"].items()}
    except (KeyError, AttributeError) as error:
        raise ValueError("its unreadable images are damaged") from error
    if not all(index in rows and isinstance(reason, str) for index, reason in unreadable.items()):
        raise ValueError("its unreadable images are none of its images")
    return unreadable
