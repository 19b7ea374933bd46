"""What the names of a folder's images say, and which names are wrong."""

import collections
import contextlib
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from datasets.image_names import ImageNames
from datasets.name_fields import EAST, FIELDS, HEADING, NORTH
from datasets.names import parse_fields
from support.decimals import parse_decimal
from support.errors import UserError

HEADING_BINS = 12  # of the histogram, 30 degrees each
_CHUNK = 1 << 12
_ZONE, _LETTER = FIELDS.index("UTM_zone_number"), FIELDS.index("UTM_zone_letter")


@dataclass
class ScannedNames:
    """The names of a folder, parsed.

    names: the names
    points: float64 (n, 2), UTM east and north, metres; NaN if the name has none
    headings: float64 (n,), degrees; NaN if empty or wrong
    bad: {index: why the name does not parse}
    zones: {"33U": count}; "" for names without a zone
    """

    names: ImageNames
    points: np.ndarray
    headings: np.ndarray
    bad: dict = field(default_factory=dict)
    zones: collections.Counter = field(default_factory=collections.Counter)

    def good(self) -> np.ndarray:
        """The indices of the names that parse: int64 (m,)."""
        return np.flatnonzero(np.isfinite(self.points[:, 0]))

    def histogram(self) -> list[int]:
        """Counts the images in each HEADING_BINS-th of the circle, beginning at north."""
        known = self.headings[np.isfinite(self.headings)] % 360
        return np.bincount((known * HEADING_BINS // 360).astype(int), minlength=HEADING_BINS).tolist()

    def select(self, indices: np.ndarray) -> ImageNames:
        """Selects the names at some indices."""
        return ImageNames(
            self.names.blob,
            np.asarray(self.names.starts)[indices],
            np.asarray(self.names.ends)[indices],
            self.names.source,
        )


def scan_names(names: ImageNames, need_heading: bool) -> ScannedNames:
    """Scans the names of a folder.

    need_heading: whether a name is wrong if its 9th field is missing or is no number (it may be empty).
    """
    scanned = ScannedNames(names, np.full((len(names), 2), np.nan), np.full(len(names), np.nan))
    for begin in tqdm(
        range(0, len(names), _CHUNK), desc=f"Names of {names.source}", leave=False, delay=2, disable=None
    ):
        part = range(begin, min(begin + _CHUNK, len(names)))
        try:
            _fill(scanned, part, need_heading)
        except UserError:  # of one of them: each on its own
            for index in part:
                try:
                    _fill(scanned, range(index, index + 1), need_heading)
                except UserError as error:
                    scanned.bad[index] = _reason(error)
    return scanned


def _fill(scanned: ScannedNames, part: range, need_heading: bool) -> None:
    fields = (EAST, NORTH, HEADING) if need_heading else (EAST, NORTH)
    indices = np.arange(part.start, part.stop)
    scanned.points[indices] = parse_fields(scanned.select(indices), fields, empty_as_zero=(HEADING,))[:, :2]
    for index in part:
        texts = scanned.names[index].split("@")
        scanned.zones["".join(texts[_ZONE : _LETTER + 1]) if len(texts) > _LETTER else ""] += 1
        with contextlib.suppress(ValueError, IndexError):
            scanned.headings[index] = parse_decimal(texts[HEADING].strip(" "))


def _reason(error: UserError) -> str:
    """What is wrong, out of parse_fields' message: without the name and the format of names."""
    return str(error).partition(") ")[2].partition("; names are ")[0]
