"""When, by which command and from which commit a page was made, and of images of which size."""

import datetime
import os
import shlex
import sys
from collections.abc import Iterator

from datasets.images import ImageError
from datasets.test_dataset import ImageFolder
from training.environment import commit


def run_notes() -> Iterator[tuple[str, str]]:
    """Yields pairs (label, value): the date, the command, and the commit where git knows it."""
    yield "Date", datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")
    script = os.path.basename(sys.argv[0])
    if script == "__main__.py":
        script = f"-m {os.path.basename(os.path.dirname(sys.argv[0]))}"
    yield "Command", " ".join(["python", script, shlex.join(sys.argv[1:])]).strip()
    if known := commit():
        yield "Commit", known


def size_of_first(images: ImageFolder) -> str:
    """The size of a folder's first image: "512 x 384 pixels"."""
    try:
        image = images.read(images.path(0))
    except ImageError:
        return "unreadable"
    return f"{image.width} x {image.height} pixels"
