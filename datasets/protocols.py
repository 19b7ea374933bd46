"""The benchmark data sets of the papers: how their folders are recognised, their sizes, and the published recalls.

Sources of the figures: [CosPlace] Berton et al., CVPR 2022, and its repository; [EigenPlaces] Berton et al., ICCV 2023,
section 4.1 (sizes, thresholds, 10 frames in Nordland, pairs in AmsterTime) and tables 3 and 4, as transcribed in
public. The downloader is github.com/gmberton/VPR-datasets-downloader, whose scripts make the folders. Other sources are
named in their lines. A size without a note is of [EigenPlaces]; one that is published as 84k is kept as 84k.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from model.zoo import published
from support.errors import UserError

THRESHOLD = 25  # metres, of every protocol here [EigenPlaces]


@dataclass(frozen=True)
class Protocol:
    """One set of queries and its database, as papers report it."""

    name: str  # as in published tables
    folders: str  # regular expression for the data set's folder, in lower case without - _ . and blanks
    queries_folder: str = "queries"
    num_queries: str = ""  # as published: "740", "8.3k"; "" if no source gives it
    num_database: str = ""
    hint: str = ""  # why the numbers of images may differ


# Nordland: 10 frames; its downloader puts frames 25 / 10.5 m apart, so that 10 frames lie within 25 m and 11 do not.
# AmsterTime: the other photo of the pair; its downloader puts pairs 1000 m apart. Tokyo 24/7: its downloader resizes
# queries to 480 pixels.
_SF_XL = dict(folders="sfxl", num_database="2.8M", hint="the small SF-XL has a database of 27 thousand images")
_SVOX = dict(folders="svox", num_database="17k")
PROTOCOLS = (
    # published as 6.8k; 6,816: table 12 of SegVLAD (ECCV 2024)
    Protocol("Pitts30k", "pitts(burgh)?30k", num_queries="6816", num_database="10k"),
    Protocol("Pitts250k", "pitts(burgh)?250k", num_queries="8.3k", num_database="84k"),
    Protocol(
        "Tokyo 24/7",
        "tokyo247",
        num_queries="315",
        num_database="76k",
        hint="the queries are those of 247query_subset_v2",
    ),
    # 18,871: issues 18 of the downloader and 31 of mapillary/mapillary_sls
    Protocol(
        "MSLS val",
        "(msls|mapillarysls)(val)?",
        num_queries="740",
        num_database="18871",
        hint="the downloader keeps 11 thousand queries, of which 740 are the official ones: their names, one a line, "
        "in queries_images_paths.txt beside the folder of the queries select them",
    ),
    Protocol("St Lucia", "stlucia", num_queries="1464", num_database="1549"),
    Protocol("SF-XL v1", queries_folder="queries_v1", num_queries="1000", **_SF_XL),
    Protocol("SF-XL v2", queries_folder="queries_v2", num_queries="598", **_SF_XL),
    Protocol("SF-XL night", queries_folder="queries_night", num_queries="466", **_SF_XL),  # [CosPlace]
    Protocol("SF-XL occlusion", queries_folder="queries_occlusion", **_SF_XL),  # no source for its number of queries
    Protocol(
        "Nordland",
        "nordland",
        num_queries="27592",
        num_database="27592",
        hint="the split of Patch-NetVLAD has 27,592 frames in summer (database) and winter (queries); others exist",
    ),
    Protocol("AmsterTime", "amstertime", num_queries="1231", num_database="1231"),
    Protocol("SVOX", num_queries="14278", **_SVOX),  # by day; counted by several who tested on it
    Protocol("SVOX night", queries_folder="queries_night", num_queries="823", **_SVOX),
    Protocol("SVOX overcast", queries_folder="queries_overcast", num_queries="872", **_SVOX),
    Protocol("SVOX rain", queries_folder="queries_rain", num_queries="937", **_SVOX),
    Protocol("SVOX snow", queries_folder="queries_snow", num_queries="870", **_SVOX),
    Protocol("SVOX sun", queries_folder="queries_sun", num_queries="854", **_SVOX),
)

# R@1, percent, beyond published.RECALLS [EigenPlaces, tables 3 and 4]; their other columns are there, or of other data
# sets
_SETS = ("AmsterTime", "Nordland", "SVOX night", "SVOX overcast", "SVOX rain", "SVOX snow", "SVOX sun")
_COMMON = ("Pitts30k", "Pitts250k", "Tokyo 24/7", "SF-XL v1", "SF-XL v2", "MSLS val", "St Lucia")
_MORE = {
    "VGG16_512": (_SETS, (38.7, 58.5, 44.8, 88.5, 85.2, 89.0, 67.3)),
    "ResNet50_128": (
        _COMMON + _SETS,
        (89.0, 89.6, 81.0, 69.1, 86.5, 85.5, 98.7, 39.9, 54.7, 35.4, 88.5, 80.4, 86.6, 65.2),
    ),
    "ResNet50_512": (_SETS, (46.4, 66.5, 51.6, 90.0, 87.3, 89.5, 75.9)),
    "ResNet50_2048": (_SETS, (47.7, 71.9, 50.7, 92.2, 87.0, 92.0, 78.5)),
    "EigenPlaces_VGG16_512": (
        _COMMON + _SETS,
        (89.7, 91.2, 82.2, 69.4, 86.3, 84.2, 95.4, 38.0, 54.5, 42.3, 89.4, 83.5, 89.2, 69.7),
    ),
    "EigenPlaces_ResNet50_128": (
        _COMMON + _SETS,
        (89.6, 90.2, 79.4, 72.4, 86.6, 83.4, 98.8, 37.9, 50.5, 29.0, 90.9, 83.8, 91.1, 68.5),
    ),
    "EigenPlaces_ResNet50_512": (
        _COMMON + _SETS,
        (91.9, 93.5, 89.8, 82.6, 90.6, 89.5, 99.5, 45.7, 67.9, 51.5, 92.8, 89.0, 92.0, 83.1),
    ),
    "EigenPlaces_ResNet50_2048": (
        _COMMON + _SETS,
        (92.5, 94.1, 93.0, 84.1, 90.8, 89.1, 99.6, 48.9, 71.2, 58.9, 93.1, 90.0, 93.1, 86.4),
    ),
}


def recognise(folder: str, queries_folder: str) -> Protocol | None:
    """Recognises the Protocol of a test set, by the names of its folders and of the queries' folder; None if unknown.

    Of the folders that it lies in, the innermost counts.
    """
    for part in reversed(os.path.abspath(folder).split(os.sep)):
        plain = re.sub(r"[-_. ]", "", part.lower())
        candidates = [protocol for protocol in PROTOCOLS if re.fullmatch(protocol.folders, plain)]
        if candidates:
            return next((protocol for protocol in candidates if protocol.queries_folder == queries_folder), None)
    return None


def differences(protocol: Protocol, num_queries: int, num_database: int) -> str:
    """Describes how the numbers of images differ from the protocol's, in the published digits; "" if they agree."""
    parts = [
        f"{found} {what} instead of {wanted}"
        for what, found, wanted in (
            ("queries", num_queries, protocol.num_queries),
            ("database images", num_database, protocol.num_database),
        )
        if wanted and not _agrees(found, wanted)
    ]
    hint = f" ({protocol.hint})" if parts and protocol.hint else ""
    return f"{' and '.join(parts)}{hint}" if parts else ""


def _agrees(number: int, text: str) -> bool:
    """Whether a number is the one that a text such as 740, 8.3k or 2.8M gives, in its digits."""
    scale = {"k": 1e3, "M": 1e6}.get(text[-1], 1)
    value = text.rstrip("kM")
    digits = len(value.partition(".")[2])
    return abs(number / scale - float(value)) <= 0.5 / 10**digits if scale > 1 else number == int(value)


def published_model(source: str | None) -> str | None:
    """Finds the published model that --resume_model names, by its name or that of its file; None if there is none."""
    stem = os.path.basename(source or "").removesuffix(".pth")
    if stem.endswith("_eigenplaces"):
        stem = "EigenPlaces_" + stem
    return published.published_name(stem.removesuffix("_cosplace").removesuffix("_eigenplaces"))


def published_recall(model: str | None, name: str) -> float | None:
    """Finds the published R@1, percent, of a published model on a protocol; None if no source gives it."""
    sets, recalls = _MORE.get(model, ((), ()))
    return published.RECALLS.get(model, {}).get(name, dict(zip(sets, recalls, strict=True)).get(name))


def positions_of_frames(database_names: Iterable[str], queries_names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Makes positions, metres, for Nordland's frames: float64 (n, 2) of the database and (q, 2) of the queries.

    Their names have no positions. Frames of the same name are the same place, and 10 frames lie within 25 m.
    """
    return _positions_by_name(database_names, queries_names, THRESHOLD / 10.5)


def positions_of_pairs(database_names: Iterable[str], queries_names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Makes positions as positions_of_frames does, for AmsterTime's pairs: 1000 m from all other pairs."""
    return _positions_by_name(database_names, queries_names, 1000.0)


def _positions_by_name(
    database_names: Iterable[str], queries_names: Iterable[str], distance: float
) -> tuple[np.ndarray, np.ndarray]:
    stems = [
        [os.path.splitext(os.path.basename(name))[0] for name in names] for names in (database_names, queries_names)
    ]
    if not set(stems[0]) & set(stems[1]):
        raise UserError(
            f"no query has the name of a database image ({stems[1][0]!r}, {stems[0][0]!r}), "
            "which is what tells that they are of one place: check the folders"
        )
    places, indices = np.unique(np.concatenate(stems), return_inverse=True)
    positions = np.stack([np.zeros(len(indices)), distance * indices], axis=1)
    return positions[: len(stems[0])], positions[len(stems[0]) :]
