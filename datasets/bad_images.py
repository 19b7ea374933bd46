"""The images that a run could not read: they are listed in its folder, and too many of them stop the run."""

import logging
import os
import re
from collections.abc import Iterable
from typing import Any

from datasets.test_dataset import TestDataset
from support.errors import UserError
from support.escaping import printable
from support.files import replacing
from support.regular_files import open_regular

logger = logging.getLogger(__name__)

FILE = "bad_images.txt"
_FEW, _ONE_IN = 10, 1000  # unreadable images that a run accepts by default: a few, or one in so many
_LISTED_AT_ONCE = 100  # the list is rewritten when it would grow by 1%, and not for each image
_ESCAPED = re.compile(r"\\(?:[\\nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4})")


class BadImages:
    """Counts the images that a run reads, and lists the unreadable ones in <output_folder>/bad_images.txt.

    A line is path, TAB, reason; both are escaped as in Python's strings, but letters stay letters. A list that is in
    the folder already, from before the run was interrupted, is continued.

    output_folder: of the run
    limit: how many images may be unreadable (default: 10, or 0.1% of the images read so far if that is more)
    writes: whether this process writes the list

    Raises UserError if the list in the folder cannot be read.
    """

    def __init__(self, output_folder: str, limit: int | None = None, writes: bool = True):
        self.path, self.limit, self.writes = os.path.join(output_folder, FILE), limit, writes
        self.num_read = self.num_resized = 0
        self.unreadable = self._read_list()  # path -> reason
        self._num_listed, self._warned = len(self.unreadable), False

    def take(self, batch: Any, num_images: int | None = None) -> None:
        """Counts the images of a training batch; batches that several processes share are merged before.

        batch: a datasets.train_dataset.Batch
        num_images: how many images were read for the batch (default: those that it has)

        Raises UserError if training cannot go on.
        """
        for path, reason in dict(batch.unreadable).items():
            if path not in self.unreadable:
                logger.warning(f"Unreadable image, another is taken: {path!r}: {escape(reason)}")
        if batch.resized and not self.num_resized:
            height, width = batch.images.shape[-2:]
            logger.warning(
                f"{batch.resized[0]!r} is not of {width} x {height} pixels as most images are: "
                "such images are resized, and counted each epoch"
            )
        self.num_resized += len(batch.resized)
        num_read = batch.num_images if num_images is None else num_images
        self._add(batch.unreadable, len(batch.unreadable) + num_read)
        if batch.error:
            self.write()
            raise UserError(batch.error)

    def take_test(self, dataset: TestDataset, result: Any) -> None:
        """Counts the images of a TestDataset, with the unreadable ones of its TestResult.

        Raises UserError if the run has too many; so call it when nothing is lost by that.
        """
        parts = (dataset.database, result.unreadable_database), (dataset.queries, result.unreadable_queries)
        unreadable = [(images.path(index), reason) for images, reasons in parts for index, reason in reasons.items()]
        self._add(unreadable, sum(len(images) for images, _ in parts))

    def log_totals(self) -> None:
        """Logs the totals, if there is anything to tell, and updates the list."""
        if self.unreadable or self.num_resized:
            listed = f" (listed in {self.path})" if self.unreadable else ""
            logger.info(
                f"{self.num_read} images read so far: {self.num_resized} resized, "
                f"{len(self.unreadable)} unreadable{listed}"
            )
        self.write()

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to go on counting: plain values for a checkpoint."""
        self.write()  # so that the list has all that a checkpoint counts
        return {
            "num_read": self.num_read,
            "num_resized": self.num_resized,
            "unreadable": list(map(list, self.unreadable.items())),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a state(), in the same folder or in another."""
        self.num_read, self.num_resized = state["num_read"], state["num_resized"]
        self.unreadable = {path: reason for path, reason in state["unreadable"]} | self.unreadable
        self.write()

    def write(self) -> None:
        """Updates the list. If the disk refuses, it warns once, and tries again the next time."""
        if len(self.unreadable) == self._num_listed or not self.writes:
            return
        try:
            with replacing(self.path) as temporary, open(temporary, "w", encoding="utf-8") as file:
                file.writelines(f"{escape(path)}\t{escape(reason)}\n" for path, reason in self.unreadable.items())
            self._num_listed, self._warned = len(self.unreadable), False
        except UserError as error:
            if not self._warned:
                logger.warning(
                    f"{error}; the run goes on, and lists its {len(self.unreadable)} unreadable images when it can"
                )
            self._warned = True

    def _add(self, unreadable: Iterable[tuple[str, str]], num_read: int) -> None:
        """Counts images read, and those of them that cannot be read: (path, reason).

        Raises UserError if new ones make them too many.
        """
        self.num_read += num_read
        known = len(self.unreadable)
        for path, reason in unreadable:
            self.unreadable.setdefault(path, reason)
        if len(self.unreadable) == known:
            return
        allowed = max(_FEW, self.num_read // _ONE_IN) if self.limit is None else self.limit
        too_many = len(self.unreadable) > allowed
        if too_many or len(self.unreadable) - self._num_listed > self._num_listed / _LISTED_AT_ONCE:
            self.write()
        if too_many:
            path, reason = next(reversed(self.unreadable.items()))
            raise UserError(
                f"{len(self.unreadable)} of the {self.num_read} images read so far cannot be read, "
                f"and {allowed} may be (see "
                f"{self.path}; the last is {path!r}: {escape(reason)}); fix or remove them, or allow so many with "
                "--max_bad_images"
            )

    def _read_list(self) -> dict[str, str]:
        try:
            with open_regular(self.path, "r", encoding="utf-8", errors="backslashreplace") as file:
                lines = [line.rstrip("\n").partition("\t") for line in file]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}; fix or remove it") from error
        return {unescape(path): unescape(reason) for path, _, reason in lines if path}


def escape(text: str) -> str:
    """A text in one line without TAB, which unescape() reverses: printable() of it, with backslashes doubled."""
    return printable(text.replace("\\", "\\\\"))


def unescape(text: str) -> str:
    """Restores the text from which escape() made this one."""
    return _ESCAPED.sub(lambda match: match[0].encode().decode("unicode_escape"), text)
